"""What a distribution asks for and does not get, read from metadata alone."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version


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
