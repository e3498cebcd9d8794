"""Plain scalars as the core schema of YAML 1.2.2 (section 10.3.2) reads them.

PyYAML follows YAML 1.1, in which ``on`` is true, ``1_000`` is 1000, ``010`` is 8 and ``1e-4`` is a string.
"""

from __future__ import annotations

import re

from facekit.recipe.nodes import ScalarValue

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NOT_A_NUMBER = frozenset({".nan", ".NaN", ".NAN"})
_MOST_DIGITS = 400


def read_scalar(text: str) -> ScalarValue:
    """Return the value of a plain (unquoted) scalar.

    Raises:
        ValueError: an integer of more than 400 digits.
    """
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    is_octal, is_hexadecimal = _OCTAL.fullmatch(text), _HEXADECIMAL.fullmatch(text)
    if is_octal or is_hexadecimal or _INTEGER.fullmatch(text):
        if len(text) > _MOST_DIGITS:
            raise ValueError(f"a number of {len(text)} digits")
        return int(text, 8) if is_octal else int(text, 16) if is_hexadecimal else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITY.fullmatch(text):
        return float("-inf") if text.startswith("-") else float("inf")
    if text in _NOT_A_NUMBER:
        return float("nan")
    return text
