"""Mistakes in recipes, and the error that reports all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from facekit.interfaces import FacekitError
from facekit.recipe.resolved import Mark, Notice

Path = tuple[str | int, ...]
"""A place in the recipe's tree: map keys and list positions from the root."""

_Placed = TypeVar("_Placed", "Problem", Notice)

_LONGEST_LINE = 120


def show_path(path: Path) -> str:
    """Return the path as people write it: ``losses.generator[1].weight``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


@dataclass(frozen=True)
class Problem:
    """One mistake.

    Args:
        message: what is wrong.
        mark: where.
        path: the place in the recipe's tree, e.g. ``model.generator.blocks``; empty for the whole file.
        remedy: what to do about it, or ``did you mean ...?``.
    """

    message: str
    mark: Mark
    path: str = ""
    remedy: str | None = None

    def __str__(self) -> str:
        said = f"{self.mark}: {self.path}: {self.message}" if self.path else f"{self.mark}: {self.message}"
        said += f"; {self.remedy}" if self.remedy else ""
        if not self.mark.line or not self.mark.text.strip():
            return said
        # The line and a caret under the column; only the neighbourhood of the caret for long lines.
        line, column = self.mark.text.rstrip(), self.mark.column
        line = "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)
        if len(line) > _LONGEST_LINE:
            start = max(0, column - 1 - _LONGEST_LINE // 2)
            line, column = line[start : start + _LONGEST_LINE], column - start
        indent = "".join("\t" if character == "\t" else " " for character in line[: column - 1]).ljust(column - 1)
        return f"{said}\n  {line}\n  {indent}^"


class RecipeError(FacekitError):
    """A recipe with mistakes: every one that was found, each with its place.

    Args:
        problems: at least one.
        notices: what was found beside them, which may explain them.
    """

    def __init__(self, problems: Sequence[Problem], notices: Sequence[Notice] = ()) -> None:
        first = problems[0]
        message = f"{first.path}: {first.message}" if first.path else first.message
        super().__init__(message, where=str(first.mark), remedy=first.remedy)
        self.problems = tuple(problems)
        self.notices = tuple(notices)

    def __str__(self) -> str:
        text = "\n".join(str(problem) for problem in self.problems)
        return f"{text}\n{len(self.problems)} mistakes" if len(self.problems) > 1 else text


@dataclass
class Problems:
    """Collects mistakes, and notices, while a recipe is read."""

    found: list[Problem] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    broken: bool = False
    """Something could not be read at all, so that looking further would only find follow-ups."""

    def add(
        self, message: str, mark: Mark, path: Path | str = (), remedy: str | None = None, *, breaks: bool = False
    ) -> None:
        """Record a mistake; one that was recorded before is not repeated. ``breaks`` sets :attr:`broken`."""
        self.broken = self.broken or breaks
        problem = Problem(message, mark, path if isinstance(path, str) else show_path(path), remedy)
        if problem not in self.found:
            self.found.append(problem)

    def note(self, message: str, mark: Mark, path: Path) -> None:
        """Record something that is no mistake; once, as mistakes."""
        notice = Notice(message, mark, show_path(path))
        if notice not in self.notices:
            self.notices.append(notice)

    def raise_if_any(self) -> None:
        """Raise :class:`RecipeError` with all mistakes, if there are any: the files' by line, then the overrides'."""
        if self.found:
            raise RecipeError(_in_order(self.found), self.notices_in_order())

    def notices_in_order(self) -> tuple[Notice, ...]:
        """Return the notices in the order of mistakes: the files' by line, then the overrides'."""
        return tuple(_in_order(self.notices))


def _in_order(found: Sequence[_Placed]) -> list[_Placed]:
    files = list(dict.fromkeys(entry.mark.file for entry in found))

    def order(entry: _Placed) -> tuple[bool, int, int, int]:
        mark = entry.mark
        return mark.is_override, files.index(mark.file), mark.line, mark.column

    return sorted(found, key=order)
