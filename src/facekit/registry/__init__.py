"""Component specs, hooks and plugin loading. Importing this package does not import torch."""

from facekit.registry.hooks import hookimpl, hookspec
from facekit.registry.migration import Migration
from facekit.registry.plugins import ENTRY_POINT_GROUP, LoadedPlugin, PluginFailure, PluginOrigin, PluginSet
from facekit.registry.registry import (
    Clash,
    RegisteredComponent,
    Registry,
    UnknownComponent,
    forget_registries,
    load_registry,
)
from facekit.registry.spec import KINDS, CommandSpec, ComponentSpec, Kind, PluginInfo

__all__ = [
    "ENTRY_POINT_GROUP",
    "KINDS",
    "Clash",
    "CommandSpec",
    "ComponentSpec",
    "Kind",
    "LoadedPlugin",
    "Migration",
    "PluginFailure",
    "PluginInfo",
    "PluginOrigin",
    "PluginSet",
    "RegisteredComponent",
    "Registry",
    "UnknownComponent",
    "forget_registries",
    "hookimpl",
    "hookspec",
    "load_registry",
]
