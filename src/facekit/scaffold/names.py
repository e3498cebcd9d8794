"""What a new plugin is called, in all the places it needs a name."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

from facekit.interfaces import FacekitError

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_PREFIX = "facekit_"


@dataclass(frozen=True)
class PluginName:
    """The names of a new plugin.

    Args:
        distribution: what is installed, e.g. ``facekit-freckles``.
        module: what is imported, e.g. ``facekit_freckles``.
        namespace: what stands before its components' names, e.g. ``freckles``.
    """

    distribution: str
    module: str
    namespace: str


def check_name(name: str) -> PluginName:
    """Return the names that follow from one a person gave.

    Raises:
        FacekitError: it cannot be the name of a distribution or a module, or is taken.
    """
    remedy = "letters, digits and dashes, as in facekit-freckles"
    if not _NAME.fullmatch(name):
        raise FacekitError(f"{name!r} cannot be the name of a distribution", remedy=remedy)
    module = re.sub(r"[-_.]+", "_", name).lower()
    if not module.isidentifier() or keyword.iskeyword(module):
        raise FacekitError(f"{name!r} would make a module {module!r}, which Python cannot import", remedy=remedy)
    distribution = module.replace("_", "-")
    if module == "facekit" or module in sys.stdlib_module_names or find_spec(module) is not None:
        raise FacekitError(f"there is a module {module!r} already", remedy="choose another name")
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        pass
    else:
        raise FacekitError(f"a distribution {distribution!r} is installed already", remedy="choose another name")
    return PluginName(distribution, module, module.removeprefix(_PREFIX) or module)
