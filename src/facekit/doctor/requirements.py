"""What distributions ask for, and what they do not get, read from metadata alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from facekit.registry.discovery import TOOLKIT, requirements_of


def unmet_requirements(distribution: metadata.Distribution) -> Iterator[str]:
    """Yield what is missing or of the wrong version, a sentence each.

    Requirements of extras are nobody's until somebody asks for the extra, and those for other systems are not ours.
    """
    for line, requirement in _asked_here(distribution.requires or ()):
        if isinstance(requirement, InvalidRequirement):
            yield f"its metadata asks for {line!r}, which is no requirement ({str(requirement).splitlines()[0]})"
            continue
        wanted = str(requirement).partition(";")[0].strip()
        try:
            version = metadata.version(requirement.name)
            if not isinstance(version, str):  # what some versions of Python return for a folder without its metadata
                raise ValueError("it states no version")
        except metadata.PackageNotFoundError:
            yield f"it needs {wanted}, which is not installed"
            continue
        except Exception as error:  # its folder is there, but not what belongs into it
            yield f"it needs {wanted}, whose own metadata cannot be read ({type(error).__name__}: {error})"
            continue
        with suppress(InvalidVersion):  # a version of nobody's scheme cannot be compared
            # Who installed a release before its time meant to.
            if not requirement.specifier.contains(Version(version), prereleases=True):
                yield f"it needs {wanted}, and {requirement.name} {version} is installed"


def library_versions(plugins: Iterable[str]) -> dict[str, str]:
    """Return the versions of what plugins need beside facekit and what facekit needs: layers, weights, decoders.

    A run's numbers depend on these as on the plugins themselves. A library that needs facekit is listed with what it
    needs. What is not installed, or cannot be read, is left out: :func:`unmet_requirements` speaks of that.

    Args:
        plugins: names of distributions; those of one-file plugins, which say nothing of what they need, may be among
            them.
    """
    plugins, common = set(plugins), {TOOLKIT, *_needed_by(TOOLKIT)}
    needed: set[str] = set()
    waiting = sorted(plugins)
    while waiting:
        found = _needed_by(waiting.pop()) - needed - common - plugins
        needed |= found
        waiting += [name for name in found if TOOLKIT in _needed_by(name)]
    versions: dict[str, str] = {}
    for name in sorted(needed):
        with suppress(Exception):  # not installed, or its folder is there and not what belongs into it
            version: str | None = metadata.version(name)
            versions |= {name: version} if isinstance(version, str) else {}
    return versions


def _needed_by(distribution: str) -> set[str]:
    asked = _asked_here(requirements_of(distribution))
    return {canonicalize_name(requirement.name) for _, requirement in asked if isinstance(requirement, Requirement)}


def _asked_here(lines: Iterable[str]) -> Iterator[tuple[str, Requirement | InvalidRequirement]]:
    """Yield the requirements that hold here without extras, each with its line; or what is wrong with it."""
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement as error:
            yield line, error
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield line, requirement
