"""Distributions that are known to exist, installed or not, and what they offer: so that a recipe can say what it lacks.

``known_distributions.json`` beside this file is written by ``plugins/write_known_distributions.py`` from the
distributions themselves; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from facekit.registry.spec import Kind

FILE = "known_distributions.json"


class KnownDistribution(NamedTuple):
    """A distribution of plugins by the name that ``pip install`` takes.

    It has components, by kind and id, and adds commands, with a line of help each.
    """

    name: str
    components: tuple[tuple[Kind, str], ...]
    commands: Mapping[str, str]

    def offers(self, kind: Kind, name: str) -> bool:
        """Tell whether it has a component of this name, or of this id."""
        return any(kind == one and name in (id_, id_.split("/")[1]) for one, id_ in self.components)


@cache
def known_distributions() -> tuple[KnownDistribution, ...]:
    """Return the distributions that are known, by name."""
    document = json.loads(Path(__file__).with_name(FILE).read_text(encoding="utf-8"))
    return tuple(
        KnownDistribution(
            name,
            tuple((kind, id_) for kind, ids in entry["components"].items() for id_ in ids),
            entry["commands"],
        )
        for name, entry in sorted(document.items())
    )
