"""What a plugin would offer, read from its source as text: for one that is broken or switched off, and is not run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple, cast

from facekit.registry.source import SourceNotFound, find_module
from facekit.registry.spec import KINDS, Kind

_MOST_FILES = 500
_LARGEST_FILE = 2**20

_SPEC = re.compile(r"\bComponentSpec\(")
_KIND = re.compile(r"\bkind\s*=\s*[\"']([a-z_]+)[\"']\s*[,)]")
_DECORATOR = re.compile(
    r"^@(?:[\w.]+\.)?(loss|metric)\(\s*(?:id\s*=\s*)?(?:[\"']([a-z0-9_]+/[a-z0-9_]+)[\"']\s*[,)])?", re.MULTILINE
)
_ID = re.compile(r"\bid\s*=\s*[\"']([a-z0-9_]+/[a-z0-9_]+)[\"']\s*[,)]")


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

    Kind and id are understood where they are written as text in the call of ``ComponentSpec``, ``@loss`` or
    ``@metric``.

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
        offering = offering or "facekit_components" in text
        calls = list(_SPEC.finditer(text))
        for call, end in zip(calls, [*(after.start() for after in calls[1:]), len(text)]):
            kind, id_ = (pattern.search(text, call.end(), end) for pattern in (_KIND, _ID))
            if kind and id_ and kind[1] in KINDS:
                line = text.count("\n", 0, call.start()) + 1
                found.add(Offer(cast(Kind, kind[1]), id_[1], each, line))
            else:
                complete = False
        for decorator in _DECORATOR.finditer(text) if "facekit.registry" in text else ():
            if decorator[2]:
                line = text.count("\n", 0, decorator.start()) + 1
                found.add(Offer(cast(Kind, decorator[1]), decorator[2], each, line))
            else:
                complete = False
    recipes = tuple(_files(root, ".yaml")) if root.is_dir() else ()
    # A hook without specs in sight: they are made somewhere else, or in another way.
    return Offers(tuple(sorted(found)), complete and (bool(found) or not offering), recipes)


def _files(root: Path, suffix: str) -> list[Path]:
    if root.is_file():
        return [root] if root.suffix == suffix else []
    files = sorted(root.rglob(f"*{suffix}"))[:_MOST_FILES]
    return [file for file in files if file.is_file() and file.stat().st_size <= _LARGEST_FILE]
