"""Where a factory is written, found without running any of its code. Torch-free."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from pathlib import Path

_MOST_HOPS = 8
"""How often a name may be handed on by an import before we stop following it."""


class SourceNotFound(LookupError):
    """A target whose source cannot be found; the message says why."""


@dataclass(frozen=True)
class SourceLocation:
    """A place in a source file.

    Args:
        file: the file.
        line: 1-based; None where the file cannot be read as Python (a compiled module), or makes the name when it runs.
    """

    file: Path
    line: int | None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else str(self.file)


def find_source(target: str) -> SourceLocation:
    """Return where ``"module:function"`` is defined.

    Neither the module nor the packages above it are imported, so that nothing they import (torch, say) is either: files
    are looked up as the import system would, and read as text. A name that a module has from another one is followed to
    the module that defines it.

    Args:
        target: as in :attr:`ComponentSpec.factory`.

    Raises:
        SourceNotFound: there is no such module, or it has no such name.
    """
    module, _, name = target.partition(":")
    return _find(module, name, frozenset())


def find_module(name: str) -> ModuleSpec:
    """Return the spec of a module without importing the packages above it; finders run no code of it.

    Raises:
        SourceNotFound: there is no such module.
    """
    places: list[str] | None = None
    found: ModuleSpec | None = None
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        part = ".".join(parts[:depth])
        found = getattr(sys.modules.get(part), "__spec__", None)
        for finder in sys.meta_path if found is None else ():
            look = getattr(finder, "find_spec", None)
            try:
                found = look(part, places, None) if look is not None else None
            except ImportError as error:
                raise SourceNotFound(f"the module {part!r} cannot be looked up: {error}") from error
            except KeyError:
                # A folder without __init__ in a package that is not imported: Python asks for the imported package.
                found = ModuleSpec(part, None, is_package=True)
                found.submodule_search_locations = _folders(part, places)
            if found is not None:
                break
        if found is None:
            raise SourceNotFound(f"there is no module {part!r}")
        if depth < len(parts) and found.submodule_search_locations is None:
            raise SourceNotFound(f"{part!r} is a module, not a package, so there is no module {name!r}")
        try:
            places = list(found.submodule_search_locations or ())
        except KeyError:  # as above; some versions of Python ask only now
            places = _folders(part, places)
    assert found is not None  # a name has at least one part
    return found


def _folders(name: str, places: list[str] | None) -> list[str]:
    tail = name.rpartition(".")[2]
    return [
        str(Path(place) / tail) for place in (sys.path if places is None else places) if (Path(place) / tail).is_dir()
    ]


def _find(module: str, name: str, seen: frozenset[tuple[str, str]]) -> SourceLocation:
    spec = find_module(module)
    if not spec.has_location or spec.origin is None:
        raise SourceNotFound(f"the module {module!r} is not a file")
    file = Path(spec.origin)
    try:
        text = spec.loader.get_source(spec.name) if isinstance(spec.loader, InspectLoader) else None
        tree = ast.parse(text or "")
    except (ImportError, SyntaxError, ValueError) as error:
        raise SourceNotFound(f"{file} cannot be read as Python: {error}") from error
    if text is None:
        return SourceLocation(file, None)
    here = (module, name)
    if here in seen or len(seen) >= _MOST_HOPS:
        raise SourceNotFound(f"{module!r} hands {name!r} on in a circle")
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    found: SourceLocation | None = None
    lost: SourceNotFound | None = None
    stars: list[str] = []
    makes_names = False
    for statement in _statements(tree.body):
        line = _defines(statement, name)
        if line is not None:
            found = SourceLocation(file, line)
            continue
        makes_names = makes_names or _defines(statement, "__getattr__") is not None
        if not isinstance(statement, ast.ImportFrom):
            continue
        # Its leading dots are followed from the package.
        above = package.split(".")[: len(package.split(".")) - (statement.level - 1)] if statement.level else []
        origin = ".".join([*above, *([statement.module] if statement.module else [])])
        for alias in statement.names:
            if (alias.asname or alias.name) == name:
                try:
                    found = _find(origin, alias.name, seen | {here})
                except SourceNotFound as error:
                    lost = error  # one of two imports of which the other is tried where this one fails, perhaps
            elif alias.name == "*":
                stars.append(origin)
    for origin in reversed(stars) if found is None else ():
        try:
            return _find(origin, name, seen | {here})
        except SourceNotFound:
            continue  # another module may have handed it on
    if found is not None:
        return found
    if makes_names:
        return SourceLocation(file, None)
    raise lost or SourceNotFound(f"{file} has no {name!r}")


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield a module's own statements, those under ``if`` and ``try`` as well, but not what is for type checkers."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            if "TYPE_CHECKING" not in ast.unparse(statement.test):
                yield from _statements(statement.body)
            yield from _statements(statement.orelse)
        elif isinstance(statement, ast.Try):
            handlers = [inner for handler in statement.handlers for inner in handler.body]
            yield from _statements([*statement.body, *handlers, *statement.orelse, *statement.finalbody])
        elif isinstance(statement, ast.With):
            yield from _statements(statement.body)


def _defines(statement: ast.stmt, name: str) -> int | None:
    """Return the line in which a statement gives a name a value; None where it does not."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.lineno if statement.name == name else None
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    for target in targets:
        names = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
        if any(isinstance(inner, ast.Name) and inner.id == name for inner in names):
            return statement.lineno
    return None
