"""The third rung of the validation ladder: does the recipe's model fit together, and what does it cost?

:func:`probe_shapes` runs one step on fake tensors, which have shapes and no numbers: any size of model takes seconds
and no memory. :func:`estimate_memory` asks it for the memory alone. Real steps are in :mod:`facekit.engine.trial`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedFakeTensorException,
)
from torch.utils.flop_counter import FlopCounterMode

from facekit.data import is_drawn
from facekit.engine.memory import process_memory
from facekit.engine.model import build_model, count_parameters
from facekit.engine.networks import Networks, make_networks
from facekit.engine.open_data import open_dataset
from facekit.engine.players import LossesOf, build_losses, build_players, has_losses
from facekit.engine.precision import Precision, choose_number_format
from facekit.engine.recompute import recompute_activations
from facekit.engine.saved_bytes import RecomputedParts, counting_saved, tensor_bytes
from facekit.engine.step import GeneratorPass, TrainingStep
from facekit.interfaces import (
    FaceBatch,
    FacekitError,
    LabelClass,
    LabelMap,
    Player,
)
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import Registry

_MOMENTS = 2
"""Numbers that Adam keeps for each weight."""

_FLOAT_BYTES = 4

_BORROWED_ACTIVATIONS = 0.4
"""Share of the activations that is borrowed once more at the peak: fitted to six models of 128 to 512 pixels."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training holds at its peak.

    Args:
        parameters: the weights and buffers of the model.
        gradients: one number a weight that is trained; of large weights that are updated during the backward pass,
            those of one.
        optimiser: its moments.
        average: the averaged weights.
        activations: what the forward passes of the larger turn keep for their backward passes.
        borrowed: what passes borrow while they run: weights in the order that convolutions compute in, and gradients
            of feature maps on their way back. Estimated from the others.
        process: what this process holds before: interpreter, libraries, plugins. Zero for training on CUDA, whose
            memory has none of it.
    """

    parameters: int
    gradients: int
    optimiser: int
    average: int
    activations: int
    borrowed: int
    process: int

    @property
    def total(self) -> int:
        """The sum of all."""
        own = self.parameters + self.gradients + self.optimiser + self.average + self.activations
        return own + self.borrowed + self.process


@dataclass(frozen=True)
class ShapeProbe:
    """What one step of a recipe costs.

    Args:
        parameters: weights in each place of the model.
        step_flops: floating point operations of one step: all turns and micro-batches, forward and backward. A
            multiplication and an addition count as two. What activation checkpointing does again is not counted.
        picture_flops: those of painting one picture, its style included.
        memory: bytes at the peak.
        on_fake_tensors: False when a component looks at numbers, so that the step was computed with real ones.
    """

    parameters: Mapping[str, int]
    step_flops: int
    picture_flops: int
    memory: MemoryEstimate
    on_fake_tensors: bool


def probe_shapes(recipe: ResolvedRecipe, *, registry: Registry) -> ShapeProbe:
    """Build a recipe's model and run one step of it, forward and backward, on fake tensors.

    The data need not be there: where the dataset cannot be opened, label map and attributes are made up from the
    dimensions of the recipe. Losses are built for real, so their weight files must be there.

    Raises:
        FacekitError: a component cannot be built, or its forward or backward pass fails; the message names the recipe's
            place and what the component raised.
    """
    run = _prepare(recipe, registry)
    found = _on_fake_tensors(run)
    return run(on_fake_tensors=False) if found is None else found


def estimate_memory(recipe: ResolvedRecipe, *, registry: Registry) -> MemoryEstimate | None:
    """Return what training will hold at its peak, or None where a component looks at numbers.

    It takes seconds and no memory to speak of, whatever the size of the model.

    Raises:
        FacekitError: as :func:`probe_shapes`.
    """
    found = _on_fake_tensors(_prepare(recipe, registry))
    return None if found is None else found.memory


def _prepare(recipe: ResolvedRecipe, registry: Registry) -> Callable[..., ShapeProbe]:
    """Return what runs one step, with or without numbers."""
    label_map, attribute_names = _data_of(recipe, registry)
    # On the CPU whatever the run's device: fake tensors compute nothing, and a recipe can be checked elsewhere.
    on_cuda = recipe.train.device == "cuda" or (recipe.train.device == "auto" and torch.cuda.is_available())
    held = 0 if on_cuda else process_memory()
    early = not on_cuda and recipe.train.accumulate == 1
    device = torch.device("cpu")
    precision = Precision(device, choose_number_format(recipe.train.precision, device))
    losses = build_losses(recipe, precision=precision, label_map=label_map, attribute_names=attribute_names)
    return partial(_run_one_step, recipe, registry, precision, label_map, attribute_names, losses, held, early)


def _on_fake_tensors(run: Callable[..., ShapeProbe]) -> ShapeProbe | None:
    """Return what a step costs, or None where a component looks at numbers, which fake tensors have not."""
    try:
        with _quiet(logging.getLogger("torch._subclasses.fake_tensor")), FakeTensorMode(allow_non_fake_inputs=True):
            return run(on_fake_tensors=True)
    except (DataDependentOutputException, DynamicOutputShapeException, UnsupportedFakeTensorException):
        return None


def _run_one_step(
    recipe: ResolvedRecipe,
    registry: Registry,
    precision: Precision,
    label_map: LabelMap,
    attribute_names: tuple[str, ...],
    losses: LossesOf,
    held: int,
    early: bool,
    *,
    on_fake_tensors: bool,
) -> ShapeProbe:
    model = build_model(recipe, label_map=label_map, attribute_names=attribute_names)
    model.train()
    networks = make_networks(recipe, model, precision, label_maps=registry.label_maps, compile=False)
    players = build_players(recipe, model=model, losses=losses, steps=1, early=early)
    batch = _batch_of_shapes(recipe, label_map, attribute_names)
    turns = recipe.train.discriminator_turns if has_losses(recipe, "discriminator") else 0
    _try_forward(networks, batch)
    flops: dict[Player, int] = {}
    activations: list[int] = []
    order: tuple[Player, ...] = ("discriminator", "generator")
    generator = players["generator"]
    for name in order:
        if name not in players:
            continue
        recording = partial(generator.awake, 0) if name == "discriminator" else nullcontext
        made = GeneratorPass(networks, batch, recording, swapped=recipe.train.swapped)
        step = TrainingStep(index=0, player=name, networks=networks, made=made, seed=(0, name))
        with (
            players[name].awake(0),
            FlopCounterMode(display=False) as counter,
            counting_saved(*model.parameters()) as saved,
        ):
            repeated = RecomputedParts(model, saved)
            if recipe.train.activation_checkpointing:
                recompute_activations(model, repeated)
            total = torch.zeros(())
            for loss in players[name].losses:
                with _failures_of(f"losses.{name}", loss.label):
                    total = total + loss(step)
            if total.requires_grad:
                with _failures_of(f"losses.{name}", "the backward pass"):
                    total.backward()
        flops[name] = counter.get_total_flops()
        # The backward pass holds one part's activations at a time.
        activations.append(saved.bytes + repeated.largest)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        networks.generate(batch.condition, None)
    painting = counter.get_total_flops()
    trained = sum(parameter.numel() for player in players.values() for parameter in player.parameters.values())
    kept = sum(tensor_bytes(tensor) for tensor in model.state_dict().values())
    # With activation checkpointing freed memory is given back, one weight at a time; else copies of all come to stay.
    reordered = max(map(tensor_bytes, model.parameters())) if recipe.train.activation_checkpointing else kept
    if precision.name == "bf16":
        reordered //= 2
    averaged = sum(tensor.numel() for key, tensor in model.state_dict().items() if not key.startswith("discriminator."))
    # With one micro-batch the last discriminator turn and the generator's turn share the generator's forward pass.
    shared = painting if turns and recipe.train.accumulate == 1 else 0
    step_flops = recipe.train.accumulate * (turns * flops.get("discriminator", 0) + flops["generator"]) - shared
    return ShapeProbe(
        parameters=count_parameters(model),
        step_flops=step_flops,
        picture_flops=painting // recipe.train.batch,
        memory=MemoryEstimate(
            parameters=kept,
            gradients=max(player.optimiser.gradients_at_once for player in players.values()) * _FLOAT_BYTES,
            optimiser=trained * _MOMENTS * _FLOAT_BYTES,
            average=averaged * _FLOAT_BYTES if recipe.train.ema.on else 0,
            activations=max(activations),
            borrowed=reordered + round(_BORROWED_ACTIVATIONS * max(activations)),
            process=held,
        ),
        on_fake_tensors=on_fake_tensors,
    )


def _try_forward(networks: Networks, batch: FaceBatch) -> None:
    """Run each network once, so that a failure names the network and not the first loss that asked for it."""
    condition, style = batch.condition, None
    with torch.no_grad():
        if networks.has_style_encoder:
            with _failures_of("model.style_encoder", "the forward pass"):
                style = networks.encode(batch.reference_image, batch.reference_mask)
        with _failures_of("model.generator", "the forward pass"):
            fake = networks.generate(condition, style)
        if networks.model.slot("discriminator") is not None:
            with _failures_of("model.discriminator", "the forward pass"):
                networks.judge(fake, condition)


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep a logger from printing the traceback of an error that is told in one sentence."""
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


@contextmanager
def _failures_of(where: str, what: str) -> Iterator[None]:
    try:
        yield
    except (FacekitError, DataDependentOutputException, DynamicOutputShapeException, UnsupportedFakeTensorException):
        raise
    except Exception as error:  # a component may raise anything
        raise FacekitError(
            f"{what} fails on pictures of this recipe's size: {type(error).__name__}: {error}",
            where=where,
            remedy="the components do not fit together, or one has a mistake",
        ) from error


def _batch_of_shapes(recipe: ResolvedRecipe, label_map: LabelMap, attribute_names: tuple[str, ...]) -> FaceBatch:
    count, size = recipe.train.batch, recipe.data.size
    image = torch.zeros(count, 3, size, size)
    mask = torch.zeros(count, size, size, dtype=torch.int64)
    attributes = torch.zeros(count, len(attribute_names)) if attribute_names else None
    drawn = is_drawn(recipe.data.reference)
    reference = (torch.zeros_like(image), torch.zeros_like(mask)) if drawn else (image, mask)
    return FaceBatch(image, mask, *reference, attributes, tuple(f"probe{index}" for index in range(count)))


def _data_of(recipe: ResolvedRecipe, registry: Registry) -> tuple[LabelMap, tuple[str, ...]]:
    try:
        dataset = open_dataset(recipe, registry)
        return dataset.label_map, tuple(dataset.attribute_names)
    except FacekitError:
        # The pictures are elsewhere; the recipe's ports know how many classes and attributes they have.
        classes = recipe.dimensions.get("classes", 1)
        fitting = [label_map for label_map in registry.label_maps.values() if len(label_map) == classes]
        made_up = LabelMap(
            "unknown", tuple(LabelClass(f"class_{index}", (index, index, index)) for index in range(classes))
        )
        names = tuple(f"attribute_{index}" for index in range(recipe.dimensions.get("attributes", 0)))
        return (fitting[0] if fitting else made_up), names
