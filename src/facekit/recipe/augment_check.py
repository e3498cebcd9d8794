"""Checks ``train.augment``: a component, and the discriminators that it stands in front of."""

from __future__ import annotations

from collections.abc import Sequence

from facekit.interfaces import DISCRIMINATOR, did_you_mean
from facekit.recipe.nodes import Entry, is_null, mark_at
from facekit.recipe.problems import Path, Problems
from facekit.recipe.resolved import AugmentationChoice, ModelChoice
from facekit.recipe.settings import AugmentCore, AugmentSettings
from facekit.recipe.update_check import CheckComponent
from facekit.registry import join_use

_PATH: Path = ("train", "augment")


def check_augmentation(
    entry: Entry | None, *, component: CheckComponent, model: ModelChoice | None, problems: Problems
) -> tuple[AugmentationChoice | None, AugmentSettings | None]:
    """Check ``train.augment``.

    Args:
        entry: what is written; None for nothing.
        component: checks a component.
        model: the networks; None where they are not known.
        problems: collects the mistakes.

    Returns:
        the component, and the settings that say the same with every default written out; None and None where there is
        no augmentation, or anything is wrong.
    """
    if entry is None or is_null(entry.node):
        return None, None
    choice, core = component("augmentation", entry.node, _PATH, entry.key_mark, AugmentCore)
    if choice is None or core is None or model is None:
        return None, None
    own = [name for name, network in model.components() if network.component.spec.kind == DISCRIMINATOR]
    if not own:
        problems.add(
            "an augmentation stands in front of a discriminator, and this recipe has none",
            entry.key_mark,
            _PATH,
            "add model.discriminator, or take train.augment out",
        )
        return None, None
    if not _are_discriminators(core.of, own, entry, model, problems):
        return None, None
    spec = choice.component.spec
    settings = AugmentSettings(
        use=join_use(spec.id, spec.version), of=core.of, **choice.options.model_dump(mode="json")
    )
    return AugmentationChoice(choice, core.of or tuple(own)), settings


def _are_discriminators(
    names: Sequence[str], own: Sequence[str], entry: Entry, model: ModelChoice, problems: Problems
) -> bool:
    """Return whether all names are those of discriminators of the recipe."""
    sound = True
    for index, name in enumerate(names):
        if name in own:
            continue
        sound = False
        network = model.get(name)
        message = f"this recipe has no network {name!r}"
        if network is not None:
            kind = network.component.spec.kind.replace("_", " ")
            message = f"{name!r} is of the kind {kind}, and an augmentation stands in front of discriminators"
        problems.add(
            message,
            mark_at(entry.node, ("of", index), entry.key_mark),
            (*_PATH, "of", index),
            did_you_mean(name, own) or f"discriminators: {', '.join(own)}",
        )
    return sound
