"""A model: the networks that a recipe puts into its places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from torch import nn

from facekit.data.store import label_map_from
from facekit.engine import checkpoints
from facekit.engine.checkpoint_reader import CheckpointReader
from facekit.engine.run_folder import RunFolder
from facekit.engine.run_recipe import read_run_recipe
from facekit.engine.seeds import derive_seed
from facekit.interfaces import (
    BuildContext,
    Condition,
    Discriminator,
    FacekitError,
    Generated,
    Generator,
    Judgement,
    LabelMap,
    PortContext,
    Style,
    StyleEncoder,
)
from facekit.recipe.resolved import ComponentChoice, ResolvedRecipe
from facekit.registry import Registry

Weights = Literal["ema", "live"]


class FaceModel(nn.Module):
    """The networks of a recipe. The names of the submodules are the places of the recipe, so that the keys of the state
    are ``generator.stem.weight`` and the like.

    Args:
        generator: paints.
        style_encoder: reads the look of the reference; None in recipes without one.
        discriminator: judges; None in recipes without one, and where only painting is wanted.
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        style_encoder: nn.Module | None = None,
        discriminator: nn.Module | None = None,
    ) -> None:
        super().__init__()
        # In the order of the recipe's places; places that are not filled do not appear in the state.
        if style_encoder is not None:
            self.style_encoder = style_encoder
        self.generator = generator
        if discriminator is not None:
            self.discriminator = discriminator

    def slot(self, name: str) -> nn.Module | None:
        """Return the network in a place, None when it is empty."""
        return self._modules.get(name)

    def encode(self, image: torch.Tensor, mask: torch.Tensor) -> Style:
        """Return the style of photos (N, 3, H, W) in [-1, 1] with their own masks (N, H, W).

        Raises:
            FacekitError: the recipe has no style encoder.
        """
        encoder = self.slot("style_encoder")
        if encoder is None:
            raise FacekitError(
                "this recipe has no style encoder, but something asks for a style",
                remedy="fill model.style_encoder, or take out the loss that needs a style",
            )
        return cast("StyleEncoder", encoder)(image, mask)

    def generate(self, condition: Condition, style: Style | None = None) -> Generated:
        """Return pictures (N, 3, H, W) in [-1, 1] for a condition.

        Args:
            condition: geometry and look, N of them.
            style: saves encoding the reference of ``condition`` again; ignored by models without a style encoder.

        Raises:
            FacekitError: the model reads a reference, and ``condition`` has none.
        """
        if self.slot("style_encoder") is None:
            style = None
        elif style is None:
            if condition.reference_image is None or condition.reference_mask is None:
                raise FacekitError(
                    "this model paints in the look of a reference photo, and there is none",
                    remedy="give a reference photo and its own mask",
                )
            style = self.encode(condition.reference_image, condition.reference_mask)
        return cast("Generator", self.generator)(condition, style)

    def judge(self, picture: Generated, condition: Condition) -> Judgement:
        """Return the discriminator's judgement of pictures.

        Raises:
            FacekitError: the model has no discriminator.
        """
        discriminator = self.slot("discriminator")
        if discriminator is None:
            raise FacekitError(
                "this recipe has no discriminator, but something asks for a judgement",
                remedy="fill model.discriminator, or take out the losses that need a judgement",
            )
        return cast("Discriminator", discriminator)(picture, condition)


def build_model(
    recipe: ResolvedRecipe,
    *,
    label_map: LabelMap,
    attribute_names: tuple[str, ...],
    with_discriminator: bool = True,
) -> FaceModel:
    """Build the networks of a recipe on the CPU, with their initial weights.

    The initial weights of a place depend on the run's seed and the place alone; torch's global generator is left as it
    was.

    Args:
        recipe: the recipe.
        label_map: the label map of the data.
        attribute_names: the attributes of the data, in order.
        with_discriminator: build the discriminator too.

    Raises:
        FacekitError: a component cannot be built from its options; the message names its place in the recipe.
    """
    context = BuildContext(
        label_map=label_map,
        attribute_names=attribute_names,
        size=recipe.data.size,
        dimensions=recipe.dimensions,
    )
    networks: dict[str, nn.Module] = {}
    for slot, choice in recipe.model.slots():
        if slot == "discriminator" and not with_discriminator:
            continue
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(recipe.train.seed, "initialise", slot))
            network = choice.component.spec.build(choice.options, context)
        if not isinstance(network, nn.Module):
            raise FacekitError(
                f"{choice.component.spec.id} gave {type(network).__name__} in place of a torch module",
                where=choice.path,
                remedy=f"this is a mistake in the plugin {choice.component.origin}",
            )
        networks[slot] = network
    return FaceModel(**networks)


def changes_attributes(recipe: ResolvedRecipe) -> bool:
    """Return whether the generator of a recipe gives a photo other attributes, in place of painting a mask."""
    ports = recipe.model.generator.ports(PortContext(size=recipe.data.size))
    needs = {port.name for port in ports.needs if not port.optional}
    return {"image", "attributes"} <= needs and "mask" not in needs


def count_parameters(model: FaceModel) -> dict[str, int]:
    """Return the number of parameters in each filled place."""
    return {
        slot: sum(parameter.numel() for parameter in network.parameters()) for slot, network in model.named_children()
    }


@dataclass(frozen=True)
class LoadedModel:
    """A trained model and what it takes to use it.

    Args:
        model: the networks, in evaluation mode.
        recipe: the recipe of the run.
        label_map: what the class ids of masks mean.
        attribute_names: the attributes of the data it was trained on.
        step: the step of the checkpoint.
        weights: which weights these are: ``ema``, or ``live`` when they were asked for or the run keeps no average.
        checkpoint: the folder they come from.
        warnings: damaged checkpoints that were passed over.
        notes: which weights older versions of the components wrote, so that they were migrated.
    """

    model: FaceModel
    recipe: ResolvedRecipe
    label_map: LabelMap
    attribute_names: tuple[str, ...]
    step: int
    weights: Weights
    checkpoint: Path
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load_model(
    run: Path,
    *,
    registry: Registry,
    weights: Weights = "ema",
    step: int | None = None,
    with_discriminator: bool | None = False,
) -> LoadedModel:
    """Load a trained model from its run folder; the data it was trained on is not needed.

    Args:
        run: the run folder.
        registry: the plugins.
        weights: ``ema`` for the averaged weights, ``live`` for those of the last update.
        step: a certain checkpoint; by default the newest sound one.
        with_discriminator: load the discriminator too; it has live weights only. None loads that of a model that
            changes attributes, since it may tell those that a photo has.

    Raises:
        FacekitError: the folder is no run, has no sound checkpoint, a plugin is missing, or newer than the installed
            versions of the components wrote it.
    """
    folder = RunFolder(run)
    if not folder.holds_a_run:
        raise FacekitError("this is not a run folder: it has no recipe.yaml", where=str(run))
    recipe = read_run_recipe(folder.recipe, registry=registry)
    lock = folder.read_lock()
    label_map, attribute_names = label_map_from(lock["label_map"]), tuple(lock["attribute_names"])
    found = checkpoints.find(folder.checkpoints, step=step)
    if with_discriminator is None:
        with_discriminator = changes_attributes(recipe)
    model = build_model(
        recipe, label_map=label_map, attribute_names=attribute_names, with_discriminator=with_discriminator
    )
    built: dict[str, ComponentChoice] = {
        slot: choice for slot, choice in recipe.model.slots() if model.slot(slot) is not None
    }
    reader = CheckpointReader(found, built)
    averaged = weights == "ema" and found.has_ema
    state: Mapping[str, torch.Tensor] = {**reader.live(), **(reader.ema() if averaged else {})}
    checkpoints.load_state(model, state, where=str(found.folder))
    return LoadedModel(
        model=model.eval().requires_grad_(False),
        recipe=recipe,
        label_map=label_map,
        attribute_names=attribute_names,
        step=found.step,
        weights="ema" if averaged else "live",
        checkpoint=found.folder,
        warnings=found.damaged,
        notes=tuple(reader.notes),
    )
