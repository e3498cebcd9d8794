"""What a run remembers of the plugins that it was made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from facekit.registry.discovery import PluginOrigin
from facekit.registry.spec import KINDS, ComponentSpec, Kind


@dataclass(frozen=True)
class ComponentRecord:
    """A component that a run used, and where it came from.

    ``distribution`` is what offered it, or the path of a one-file plugin, which has no ``distribution_version``.
    """

    kind: Kind
    id: str
    version: int
    distribution: str
    distribution_version: str = ""
    is_file: bool = False

    @classmethod
    def of(cls, spec: ComponentSpec, origin: PluginOrigin) -> ComponentRecord:
        """Return what is to be remembered of a component."""
        is_file = origin.file is not None
        return cls(spec.kind, spec.id, spec.version, origin.distribution, origin.version, is_file=is_file)

    @classmethod
    def read(cls, document: Any) -> ComponentRecord | None:
        """Read what :meth:`document` returned; None for what is not of that form."""
        if not isinstance(document, Mapping):
            return None
        kind, id_, version, file = (document.get(key) for key in ("kind", "component", "version", "plugin_file"))
        distribution = document.get("distribution") if file is None else file
        if kind not in KINDS or not isinstance(version, int):
            return None
        if not isinstance(id_, str) or not isinstance(distribution, str):
            return None
        whose = str(document.get("distribution_version") or "") if file is None else ""
        return cls(kind, id_, version, distribution, whose, is_file=file is not None)

    def document(self) -> dict[str, Any]:
        """Return it as JSON data."""
        itself = {"kind": self.kind, "component": self.id, "version": self.version}
        if self.is_file:
            return {**itself, "plugin_file": self.distribution}
        return {**itself, "distribution": self.distribution, "distribution_version": self.distribution_version}


@dataclass(frozen=True)
class PluginRecord:
    """The plugins that a run was made with.

    Args:
        versions: of each distribution; empty for a plugin that is one file, whose path stands for its name.
        components: each component that its recipe names.
        files: the one-file plugins that were given, those that no component came from too (trackers).
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    components: Sequence[ComponentRecord] = ()
    files: Sequence[str] = ()

    @classmethod
    def read(cls, document: Any) -> PluginRecord:
        """Read it from the record of a run; what is not of the right form is left out."""
        if not isinstance(document, Mapping):
            return cls()
        versions, components, files = (document.get(key) for key in ("plugins", "components", "plugin_files"))
        read = [ComponentRecord.read(one) for one in components.values()] if isinstance(components, Mapping) else []
        return cls(
            {str(key): str(value) for key, value in versions.items()} if isinstance(versions, Mapping) else {},
            tuple(one for one in read if one is not None),
            tuple(file for file in files if isinstance(file, str)) if isinstance(files, list) else (),
        )

    def component(self, kind: Kind, name: str) -> ComponentRecord | None:
        """Return what is known of a component, by its id or its name alone; None where nothing is."""
        for one in self.components:
            if one.kind == kind and name in (one.id, one.id.partition("/")[2]):
                return one
        return None

    def version_of(self, distribution: str) -> str:
        """Return the version that the run had of a distribution; empty where that is not known, and for a file."""
        return self.versions.get(distribution, "")

    def is_file(self, distribution: str) -> bool:
        """Tell whether this is a plugin that is one file."""
        return distribution in self.files or (distribution.endswith(".py") and not self.version_of(distribution))

    def as_made(self, distribution: str) -> str | None:
        """Return how to install the version that the run was made with; None for what it does not name."""
        version = self.version_of(distribution)
        return f"`pip install '{distribution}=={version}'`" if version else None
