"""What distributions ask for, and what they do not get, read from metadata alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from facekit.registry.versions import TOOLKIT


def unmet_requirements(distribution: metadata.Distribution) -> Iterator[str]:
    """Yield what is missing or of the wrong version, a sentence each.

    Requirements of extras are nobody's until somebody asks for the extra, and those for other systems are not ours.
    """
    for line in distribution.requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement as error:
            yield f"its metadata asks for {line!r}, which is no requirement ({str(error).splitlines()[0]})"
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        wanted = str(requirement).partition(";")[0].strip()
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield f"it needs {wanted}, which is not installed"
            continue
        except Exception as error:  # its folder is there, but not what belongs into it
            yield f"it needs {wanted}, whose own metadata cannot be read ({type(error).__name__}: {error})"
            continue
        if not isinstance(version, str):  # what some versions of Python return for such a folder
            yield f"it needs {wanted}, whose own metadata cannot be read (it states no version)"
            continue
        try:
            parsed = Version(version)
        except InvalidVersion:
            continue  # a version of nobody's scheme cannot be compared
        # Who installed a release before its time meant to.
        if not requirement.specifier.contains(parsed, prereleases=True):
            yield f"it needs {wanted}, and {requirement.name} {version} is installed"


def library_versions(plugins: Iterable[str]) -> dict[str, str]:
    """Return the versions of what plugins need beside facekit and what facekit needs: layers, weights, decoders.

    A run's numbers depend on these as on the plugins themselves. What is not installed, or cannot be read, is left out:
    :func:`unmet_requirements` speaks of that.

    Args:
        plugins: names of distributions; those of one-file plugins, which say nothing of what they need, may be among
            them.
    """
    plugins = set(plugins)
    known = {TOOLKIT, *_needed_by(TOOLKIT)}
    found = {}
    for name in sorted({name for plugin in plugins for name in _needed_by(plugin)} - known - plugins):
        version = _version_of(name)
        if version is not None:
            found[name] = version
    return found


def _needed_by(distribution: str) -> set[str]:
    try:
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return set()
    found: set[str] = set()
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found.add(canonicalize_name(requirement.name))
    return found


def _version_of(distribution: str) -> str | None:
    try:
        version = metadata.version(distribution)
    except Exception:  # not installed, or its folder is there and not what belongs into it
        return None
    return version if isinstance(version, str) else None
