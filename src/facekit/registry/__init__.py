"""Component specs, hooks and plugin loading. Importing this package does not import torch."""

from facekit.registry.decorators import FunctionComponent, components, loss, metric
from facekit.registry.discovery import ENTRY_POINT_GROUP, PluginOrigin, how_to_upgrade
from facekit.registry.hooks import hookimpl, hookspec
from facekit.registry.plugin_record import ComponentRecord, PluginRecord
from facekit.registry.plugins import LoadedPlugin, PluginFailure, PluginSet
from facekit.registry.registry import (
    Clash,
    Refusal,
    RegisteredComponent,
    Registry,
    UnknownComponent,
    forget_registries,
    load_registry,
)
from facekit.registry.spec import (
    KINDS,
    CommandSpec,
    ComponentSpec,
    Kind,
    LeastShare,
    Migration,
    PluginInfo,
    join_use,
    name_of_use,
    split_use,
)

__all__ = [
    "ENTRY_POINT_GROUP",
    "KINDS",
    "Clash",
    "CommandSpec",
    "ComponentRecord",
    "ComponentSpec",
    "FunctionComponent",
    "Kind",
    "LeastShare",
    "LoadedPlugin",
    "Migration",
    "PluginFailure",
    "PluginInfo",
    "PluginOrigin",
    "PluginRecord",
    "PluginSet",
    "Refusal",
    "RegisteredComponent",
    "Registry",
    "UnknownComponent",
    "components",
    "forget_registries",
    "hookimpl",
    "hookspec",
    "how_to_upgrade",
    "join_use",
    "load_registry",
    "loss",
    "metric",
    "name_of_use",
    "split_use",
]
