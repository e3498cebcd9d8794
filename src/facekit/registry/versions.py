"""Versions of the interfaces: how a component that was written for an older one is used, or why it cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata

from facekit.interfaces import FacekitError
from facekit.registry.plugins import PluginOrigin
from facekit.registry.spec import ComponentSpec
from facekit.version import __version__

TOOLKIT = "facekit-toolkit"
"""The distribution that speaks the interfaces."""

_NEEDS_TOOLKIT = re.compile(r"facekit[-_.]toolkit\s*\(?\s*([<>=!~][^;)]*)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class InterfaceChange:
    """One change of the interfaces that plugins are written against.

    Args:
        version: the version of the interfaces that made it; 2 is the first.
        toolkit: the first facekit-toolkit that speaks this version, e.g. ``0.4.0``.
        summary: what changed, in one sentence that people are shown.
        adapt: turns a spec of the version before into one of this version (its ``interface_version`` is set by the
            caller); None where a component has to be changed by hand, so that an older one is refused. To change what
            the factory gives, return a spec of a subclass with a ``build`` of its own.
    """

    version: int
    toolkit: str
    summary: str
    adapt: Callable[[ComponentSpec], ComponentSpec] | None = None


INTERFACE_CHANGES: tuple[InterfaceChange, ...] = ()
"""Every change since version 1, in order. The last one's version is ``facekit.interfaces.INTERFACE_VERSION``."""


def newest_version(changes: Sequence[InterfaceChange]) -> int:
    """Return the version of the interfaces that a table of changes leads to."""
    return changes[-1].version if changes else 1


def adapt_spec(
    spec: ComponentSpec, *, origin: PluginOrigin, changes: Sequence[InterfaceChange] = INTERFACE_CHANGES
) -> ComponentSpec:
    """Return a spec as the newest version of the interfaces has it: the same one, or one adapted step by step.

    Args:
        spec: the spec as the plugin gave it.
        origin: the plugin, for messages.
        changes: the changes of the interfaces, from version 2 on and without a gap.

    Raises:
        FacekitError: it is written for a version that this facekit does not know, or that it knows no way from; the
            message says what changed since, the remedy what to do.
    """
    newest, written = newest_version(changes), spec.interface_version
    which = f"{spec.kind} {spec.id!r}"
    if type(written) is not int or written < 1:
        raise FacekitError(
            f"{which} states {written!r} as its interface version; versions are whole numbers from 1",
            remedy=f"write interface_version={newest} in its spec",
        )
    if written > newest:
        raise FacekitError(
            f"{which} is written for version {written} of facekit's interfaces, and this {TOOLKIT} ({__version__}) "
            f"speaks {'version 1' if newest == 1 else f'versions up to {newest}'}",
            remedy=_how_to_get_a_newer_toolkit(origin),
        )
    since = [change for change in changes if change.version > written]
    for change in since:
        if change.adapt is None:
            what = "; ".join(f"version {each.version}: {each.summary.rstrip('.')}" for each in since)
            raise FacekitError(
                f"{which} is written for version {written} of facekit's interfaces, and this {TOOLKIT} ({__version__}) "
                f"speaks version {newest}. What changed since ({what})",
                remedy=f"{_how_to_get_a_newer_plugin(origin)}; or install {TOOLKIT}<{change.toolkit}, which speaks "
                f"version {written}",
            )
        try:
            adapted = change.adapt(spec)
            if not isinstance(adapted, ComponentSpec):
                raise TypeError(f"it became {type(adapted).__name__}, not a ComponentSpec")
            spec = replace(adapted, interface_version=change.version)
        except Exception as error:
            raise FacekitError(
                f"{which} is written for version {written} of facekit's interfaces, and could not be adapted to "
                f"version {change.version} ({change.summary.rstrip('.')}): {type(error).__name__}: {error}",
                remedy=_how_to_get_a_newer_plugin(origin),
            ) from error
    return spec


def how_to_upgrade(origin: PluginOrigin) -> str:
    """Return how a newer version of a plugin is had."""
    if not origin.version:
        return f"is {origin.distribution} the newest one you have?"
    return f"upgrade it: `pip install --upgrade {origin.distribution}`"


def _how_to_get_a_newer_plugin(origin: PluginOrigin) -> str:
    return how_to_upgrade(origin) if origin.version else f"change {origin.distribution}, and then its interface_version"


def _how_to_get_a_newer_toolkit(origin: PluginOrigin) -> str:
    """Return how to upgrade facekit: to what the plugin's own metadata asks for, where it asks for a version."""
    for requirement in requirements_of(origin.distribution):
        match = _NEEDS_TOOLKIT.match(requirement)
        if match:
            wanted = match.group(1).strip()
            return f"upgrade facekit: `pip install '{TOOLKIT}{wanted}'`, which {origin} asks for"
    return f"upgrade facekit: `pip install --upgrade {TOOLKIT}`; or install an older {origin.distribution}"


def requirements_of(distribution: str) -> list[str]:
    """Return what a distribution asks for, as its metadata says it; nothing for a one-file plugin."""
    try:
        return metadata.requires(distribution) or []
    except (metadata.PackageNotFoundError, ValueError):  # a one-file plugin
        return []
