"""Weights that lie in packages, which are looked for and not imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from facekit.interfaces import FacekitError


def package_folder(package: str, *, missing: str, remedy: str) -> Path:
    """Return the folder of a package.

    Args:
        package: its name, as Python imports it.
        missing: what is not installed without it: ``the weights of squeezenet``.
        remedy: what to do then.

    Raises:
        FacekitError: the package is not installed.
    """
    found = find_spec(package)
    places = list(found.submodule_search_locations or ()) if found is not None else []
    if not places:
        raise FacekitError(f"{missing} are not installed", where="metrics", remedy=remedy)
    return Path(places[0])
