"""Writes ``settings.md`` from the settings themselves. A test compares; run it after changing a setting.

python docs/generate_settings.py
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from facekit.components.options import OptionDescription, describe_options
from facekit.recipe.dump import dump_value
from facekit.recipe.schema import recipe_schema
from facekit.recipe.settings import DataSettings, LossSettings, NetworkSettings, TrainSettings
from facekit.registry import PluginSet, Registry
from facekit.registry.built_in import SPECS

TARGET = Path(__file__).with_name("settings.md")

INTRODUCTION = """\
# Settings

Generated from the settings by `docs/generate_settings.py`: every setting of a recipe that belongs to facekit itself,
by its path. `--set PATH=VALUE` changes one, `facekit recipes show RECIPE --origin` prints all of a recipe with where
each was set. The options of components stand beside them and are theirs: `facekit components show NAME` prints them.
[Recipes](recipes.md) says how settings work together, [the glossary](glossary.md) what the words mean.

In a path, `NAME` is the name of a network, `PLAYER` that of a player, and `[]` an item of a list, which `--set`
names by its position or its component: `losses.generator[perceptual].weight`.
"""

HEAD = "| setting | what it takes | default | what it does |\n|---|---|---|---|\n"

USE = "The component, by its short name or its whole id."

TRAIN_PARTS = {
    "The length of a run, and a step": ("steps", "epochs", "batch", "accumulate", "turns", "seed"),
    "Optimiser, schedule, average": ("optimiser", "schedule", "gradient_clip", "ema"),
    "Augmentation in front of discriminators": ("augment",),
    "Weights to start from": ("initialise", "freeze"),
    "Device and speed": (
        *("device", "precision", "channels_last", "compile", "cuda_graphs", "deterministic"),
        *("activation_checkpointing", "gradient_averaging"),
    ),
    "Logs, samples, checkpoints": (
        *("log_every", "loss_shares", "sample_every", "samples", "evaluate_every", "checkpoint_every", "keep"),
    ),
}
"""The settings under ``train:`` by what they are about."""


def render() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION, "## The recipe\n", HEAD + "".join(_top())]
    for path, settings in (("data", DataSettings), ("model.NAME", NetworkSettings), ("losses.PLAYER[]", LossSettings)):
        rows = [_row(f"{path}.use", "text", "required", USE), *_rows(describe_options(settings), path)]
        parts += [f"## `{path.split('.')[0]}`\n", HEAD + "".join(rows)]
    parts += [
        "## `metrics`\n",
        HEAD + _row("metrics[].use", "text", "required", f"{USE} All else is the metric's own."),
    ]
    parts += ["## `train`\n"]
    for title, names in TRAIN_PARTS.items():
        parts += [f"### {title}\n", HEAD + "".join(_rows(_train(names), "train"))]
    parts += [
        "## Optimisers and schedules of facekit\n",
        "What stands beside `use`; those of `torch.optim` and of plugins are listed by `facekit components ls`.\n",
        _own(),
    ]
    return "\n".join(parts)


def _top() -> Iterator[str]:
    """Rows for the keys at the top of a recipe."""
    plugins = PluginSet({"FACEKIT_NO_PLUGINS": "1"})
    schema = recipe_schema(Registry(plugins))
    needed = schema["then"]["required"]
    kinds = {
        "facekit": "1",
        "extends": "text or list of texts",
        "name": "text",
        "description": "text",
        "metrics": "list",
    }
    for key, inner in schema["properties"].items():
        required = "required" if key in needed else ""
        yield _row(key, kinds.get(key, "map of settings"), required, inner.get("description", ""))


def _train(names: Iterable[str]) -> list[OptionDescription]:
    found = {option.name: option for option in describe_options(TrainSettings)}
    return [found[name] for name in names]


def _own() -> str:
    """Return the tables of facekit's own optimisers and schedules."""
    tables = []
    for kind in ("optimiser", "schedule"):
        found: dict[str, OptionDescription] = {}
        users: dict[str, list[str]] = {}
        for spec in (spec for spec in SPECS if spec.kind == kind):
            for option in describe_options(spec.options):
                found[option.name] = option
                users.setdefault(option.name, []).append(f"`{spec.name}`")
        rows = (
            _row(
                f"train.{kind}.{name}", option.type, _default(option), f"{', '.join(users[name])}: {option.description}"
            )
            for name, option in found.items()
        )
        tables.append(HEAD + "".join(rows))
    return "\n".join(tables)


def _rows(options: Iterable[OptionDescription], path: str) -> Iterator[str]:
    """Rows for options and for those inside them."""
    for option in options:
        inside = option.name.startswith(("[]", "("))
        name = f"{path}{option.name}" if inside else f"{path}.{option.name}"
        yield _row(name, option.type, _default(option), option.description)
        yield from _rows(option.options, name)


def _default(option: OptionDescription) -> str:
    if option.required:
        return "required"
    if not option.has_default or (option.options and not isinstance(option.default, float)):
        return ""  # a map of settings, which follow with defaults of their own
    return f"`{dump_value(option.default)}`"


def _row(path: str, kind: str, default: str, about: str) -> str:
    cells = [cell.replace("|", "\\|").replace("\n", " ") for cell in (f"`{path}`", kind, default, about)]
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    print(f"wrote {TARGET}")
