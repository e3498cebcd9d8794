"""The locked recipe: plain data and YAML with every default written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from facekit.recipe.layers import RECIPE_FORMAT
from facekit.recipe.resolved import ComponentChoice, LossChoice, ModelChoice, NetworkChoice
from facekit.recipe.settings import DataSettings, TrainSettings, WeightRamp
from facekit.recipe.yaml_source import read_scalar
from facekit.registry import join_use


def document_of(
    name: str,
    description: str,
    dataset: ComponentChoice,
    data: DataSettings,
    model: ModelChoice,
    losses: Sequence[LossChoice],
    metrics: Sequence[ComponentChoice],
    train: TrainSettings,
) -> dict[str, Any]:
    """Return a recipe as plain data.

    Components are named by their whole id and their version, so that it means the same tomorrow.
    """
    return {
        "facekit": RECIPE_FORMAT,
        "name": name,
        "description": description,
        "data": {**_component(dataset), **data.model_dump(mode="json")},
        "model": {name: _network(network) for name, network in model.networks.items()},
        "losses": {
            player: [
                _component(loss.choice, weight=_weight(loss.weight), every=loss.every, label=loss.label)
                for loss in losses
                if loss.player == player
            ]
            for player in dict.fromkeys(loss.player for loss in losses)
        },
        "metrics": [_component(metric) for metric in metrics],
        "train": train.model_dump(mode="json"),
    }


def _network(network: NetworkChoice) -> dict[str, Any]:
    # Only what was set: most networks are trained from scratch.
    return _component(network.choice, **network.settings.model_dump(mode="json", exclude_defaults=True))


def _weight(weight: float | WeightRamp) -> Any:
    return weight.model_dump(mode="json", by_alias=True) if isinstance(weight, WeightRamp) else weight


def dump_document(document: Mapping[str, Any]) -> str:
    """Return plain data as YAML that reads back to the same data, by this package and by YAML 1.1 readers."""
    return yaml.dump(
        dict(document), Dumper=RecipeDumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )


def _component(choice: ComponentChoice, **core: Any) -> dict[str, Any]:
    spec = choice.component.spec
    return {"use": join_use(spec.id, spec.version), **core, **choice.options.model_dump(mode="json")}


class RecipeDumper(yaml.SafeDumper):
    """PyYAML's dumper, with quotes around text that YAML 1.2 would read as something else, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out: a recipe has no anchors."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        style = None if isinstance(read_scalar(text), str) else "'"
    except ValueError:  # a number of too many digits
        style = "'"
    if any(not character.isprintable() and character != "\n" for character in text):
        style = '"'  # escapes what would be lost, or break the line
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


RecipeDumper.add_representer(str, _represent_text)
