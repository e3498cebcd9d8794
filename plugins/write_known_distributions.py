"""Writes what each distribution beside this file offers into the core, which then says where to get what is missing.

    python plugins/write_known_distributions.py

All of them must be installed. Run it after a component or command was added, renamed or removed; a test compares.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import facekit.registry
from facekit.registry import KINDS, PluginSet, Registry
from facekit.registry.install_hints import FILE

TARGET = Path(facekit.registry.__file__).with_name(FILE)


def distributions() -> list[str]:
    """Return the names of the distributions beside this file that are plugins."""
    projects = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*/pyproject.toml"))]
    plugins = [project for project in projects if '[project.entry-points."facekit.plugins"]' in project]
    return [re.findall(r'^name = "(.+)"$', plugin, re.MULTILINE)[0] for plugin in plugins]


def render() -> str:
    """Return the whole file."""
    names = distributions()
    plugins = PluginSet({"FACEKIT_PLUGINS": ",".join(names), "FACEKIT_STRICT_PLUGINS": "1"})
    plugins.load_installed()
    registry = Registry(plugins)
    document = {
        name: {
            "components": {
                kind: ids
                for kind in KINDS
                if (ids := [one.spec.id for one in registry.of_kind(kind) if one.origin.distribution == name])
            },
            "commands": {
                spec.name: spec.summary
                for spec in sorted(
                    (spec for origin, spec in registry.commands() if origin.distribution == name),
                    key=lambda spec: spec.name,
                )
            },
        }
        for name in names
    }
    return json.dumps(document, indent=2) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    print(f"wrote {TARGET}")
