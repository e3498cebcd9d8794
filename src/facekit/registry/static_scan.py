"""What a plugin would offer, read from its source as text: for one that is broken or switched off, and is not run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

from facekit.registry.source import SourceNotFound, find_module
from facekit.registry.spec import KINDS, Kind

_MOST_FILES = 500
_LARGEST_FILE = 2**20
_MOST_NESTED = 16
"""How deep an expression may be that makes a name; more is no name that a person wrote."""

_CLASS = "ComponentSpec"
_HOOK = "facekit_components"
_KIND_AS_TEXT = re.compile(r"\bkind\s*=\s*[\"']([a-z_]+)[\"']")
_ID_AS_TEXT = re.compile(r"\bid\s*=\s*[\"']([a-z0-9_]+/[a-z0-9_]+)[\"']")


class Offer(NamedTuple):
    """A component that a source file speaks of."""

    kind: Kind
    id: str
    file: Path
    line: int

    @property
    def name(self) -> str:
        """The part of the id after the namespace."""
        return self.id.split("/", 1)[1]


class Offers(NamedTuple):
    """What was found in the source of a plugin: components by kind and id, and files that may be recipes.

    It is ``complete`` where every spec there says its kind and id in so many words, or there is no hook that would
    offer any; otherwise there may be more.
    """

    components: tuple[Offer, ...] = ()
    complete: bool = False
    recipes: tuple[Path, ...] = ()


def read_offers(target: str, *, file: Path | None = None) -> Offers:
    """Return the components that the package of an entry point declares, without running any of it.

    Kind and id are understood where they are written as text, as constants of the same file, or are joined of these.

    Args:
        target: ``module`` or ``module:attribute``.
        file: the file of a one-file plugin.
    """
    root = file
    try:
        parts = target.partition(":")[0].split(".")
        for depth in range(1, len(parts) + 1) if root is None else ():
            # Folders that several distributions share (namespace packages) are passed through.
            spec = find_module(".".join(parts[:depth]))
            if spec.origin is not None and spec.has_location:
                root = Path(spec.origin)
                root = root.parent if spec.submodule_search_locations is not None else root
                break
    except (SourceNotFound, ValueError):
        return Offers()
    if root is None:
        return Offers()
    files = _files(root, ".py")
    found: set[Offer] = set()
    complete = bool(files)  # else it is compiled
    offering = False
    for each in files:
        try:
            text = each.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            complete = False
            continue
        offering = offering or _HOOK in text
        if _CLASS not in text:
            continue
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            found |= set(_from_text(text, each))
            complete = False
            continue
        specs = list(_from_tree(tree, each))
        found |= {spec for spec in specs if spec is not None}
        complete = complete and None not in specs
    recipes = tuple(_files(root, ".yaml")) if root.is_dir() else ()
    if offering and not found:
        complete = False  # its specs are made somewhere else, or in another way
    return Offers(tuple(sorted(found)), complete, recipes)


def _files(root: Path, suffix: str) -> list[Path]:
    if root.is_file():
        return [root] if root.suffix == suffix else []
    files = sorted(root.rglob(f"*{suffix}"))[:_MOST_FILES]
    return [file for file in files if file.is_file() and file.stat().st_size <= _LARGEST_FILE]


def _from_tree(tree: ast.Module, file: Path) -> Iterator[Offer | None]:
    """Yield each spec of a file; None for one whose kind or id are not in so many words."""
    constants: dict[str, ast.expr] = {}
    names = {_CLASS}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                constants[target.id] = statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            constants[statement.target.id] = statement.value
        elif isinstance(statement, ast.ImportFrom):
            names |= {alias.asname for alias in statement.names if alias.name == _CLASS and alias.asname}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else None
        if name not in names:
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
        kind, id_ = (_text(given[key], constants) if key in given else None for key in ("kind", "id"))
        known = kind in KINDS and id_ is not None and "/" in id_
        yield Offer(cast(Kind, kind), str(id_), file, node.lineno) if known else None


def _text(node: ast.expr, constants: dict[str, ast.expr], depth: int = 0) -> str | None:
    """Return the text that an expression makes; None where it cannot be told."""
    if depth > _MOST_NESTED:
        return None
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name) and node.id in constants:
        return _text(constants[node.id], constants, depth + 1)
    parts: list[ast.expr] = []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [node.left, node.right]
    elif isinstance(node, ast.JoinedStr):
        inner = [value for value in node.values if isinstance(value, ast.FormattedValue)]
        if any(value.format_spec is not None or value.conversion != -1 for value in inner):
            return None
        parts = [value.value if isinstance(value, ast.FormattedValue) else value for value in node.values]
    texts = [_text(part, constants, depth + 1) for part in parts]
    return "".join(text or "" for text in texts) if texts and None not in texts else None


def _from_text(text: str, file: Path) -> Iterator[Offer]:
    """Yield what looks like specs in a file that is no Python, perhaps for one character."""
    before, *chunks = text.split(f"{_CLASS}(")
    line = before.count("\n") + 1
    for chunk in chunks:
        kind, id_ = _KIND_AS_TEXT.search(chunk), _ID_AS_TEXT.search(chunk)
        if kind and id_ and kind[1] in KINDS:
            yield Offer(cast(Kind, kind[1]), id_[1], file, line)
        line += chunk.count("\n")
