"""Small pieces of HTML, every value escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

_YAML_LINE = re.compile(r"^(\s*(?:- )*)([\w./-]+|\"[^\"]*\"|'[^']*')(:)(?=\s|$)(.*)$")
_YAML_NUMBER = re.compile(r"^\s*[-+]?(\d[\d_]*\.?\d*|\.\d+)(e[-+]?\d+)?\s*$", re.IGNORECASE)
_YAML_WORD = re.compile(r"^\s*(true|false|null|~)\s*$")


def text(value: object) -> str:
    """Return a value as escaped text."""
    return escape(str(value))


def spoken(name: str) -> str:
    """Return a measurement's name for people: ``style_following/skin`` as ``Style following · skin``."""
    family, slash, part = name.replace("_", " ").partition("/")
    family = family.upper() if len(family) <= 4 else family[:1].upper() + family[1:]
    return f"{family} · {part}" if slash else family


def duration(seconds: float) -> str:
    """Return a time in words: ``9 min 12 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def section(anchor: str, title: str, *parts: str) -> str:
    """Return a card with a heading; an empty string where every part is empty."""
    body = "".join(parts)
    return f'<section id="{anchor}"><h2>{text(title)}</h2>{body}</section>' if body else ""


def facts(title: str, values: Mapping[str, object]) -> str:
    """Return a table of names and values; values that are empty or None are left out."""
    rows = "".join(
        f'<tr><td class="dim">{text(name)}</td><td class="mono">{text(value)}</td></tr>'
        for name, value in values.items()
        if value not in (None, "")
    )
    return f"<div><h3>{text(title)}</h3><table><tbody>{rows}</tbody></table></div>" if rows else ""


def numbers_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose columns after the first are numbers. The cells are text and are escaped here."""
    head = "".join(f"<th{' class=number' if index else ''}>{text(name)}</th>" for index, name in enumerate(headings))
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=number' if index else ''}>{text(cell)}</td>" for index, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    if not body:
        return ""
    return f"<div><h3>{text(title)}</h3><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def command(title: str, line: str) -> str:
    """Return a command to copy, under a title."""
    return f'<h3>{text(title)}</h3><div class="copyable"><pre class="command">{text(line)}</pre></div>'


def yaml(document: str) -> str:
    """Return YAML with keys, numbers, strings and comments in colours."""
    return f'<pre class="yaml">{"".join(_yaml_line(line) for line in document.splitlines(keepends=True))}</pre>'


def _yaml_line(line: str) -> str:
    body = line.rstrip("\n")
    end = line[len(body) :]
    if body.lstrip().startswith("#"):
        return f'<span class="x">{text(body)}</span>{end}'
    match = _YAML_LINE.match(body)
    if match:
        lead, key, colon, value = match.groups()
        return f'{text(lead)}<span class="k">{text(key)}</span>{colon}{_yaml_value(value)}{end}'
    lead = body[: len(body) - len(body.lstrip(" -"))]
    return f"{text(lead)}{_yaml_value(body[len(lead) :])}{end}"


def _yaml_value(value: str) -> str:
    if _YAML_NUMBER.match(value) or _YAML_WORD.match(value):
        return f'<span class="n">{text(value)}</span>'
    return f'<span class="s">{text(value)}</span>' if value.strip() else text(value)
