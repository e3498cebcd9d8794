"""The third stage of validation: does the recipe's model fit together, and what does it cost?

:func:`probe_shapes` runs one step on fake tensors, which have shapes and no numbers: any size of model takes seconds
and no memory. :func:`estimate_memory` asks it for the memory alone. Real steps are in
:mod:`facekit.training.check.dry_run`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedFakeTensorException,
)
from torch.utils.flop_counter import FlopCounterMode

from facekit.data.reference import ReferenceAugmentation
from facekit.interfaces import (
    FaceBatch,
    LabelMap,
    Player,
    Reference,
    map_tensors,
    sample,
)
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import Registry
from facekit.sampling.noise import noise_for_batch
from facekit.training.augmentation import build_augmentation
from facekit.training.initialise import initial_weights
from facekit.training.memory import process_memory
from facekit.training.network_call import RunNetworks
from facekit.training.networks import FaceModel, build_model, count_parameters
from facekit.training.open_data import extra_ports, labels_of, shape_of
from facekit.training.optimiser import averaged_networks
from facekit.training.players import LossesOf, PlayerInTraining, build_losses, build_players
from facekit.training.precision import Precision, choose_number_format, recompute_activations
from facekit.training.step import StepRunner


class SavedBytes(torch.autograd.graph.saved_tensors_hooks):
    """Counts the bytes that passes within its context keep for their backward passes, each memory once; the innermost
    context counts alone."""

    def __init__(self, *uncounted: Tensor) -> None:
        super().__init__(self.see, lambda tensor: tensor)
        self.bytes = 0
        # The tensors are held, so that no two of them can have had the same storage one after the other.
        self._seen = {storage_of(tensor): tensor for tensor in uncounted}

    def see(self, tensor: Tensor) -> Tensor:
        """Count a tensor that is kept, and return it."""
        if storage_of(tensor) not in self._seen:
            self._seen[storage_of(tensor)] = tensor
            self.bytes += tensor.untyped_storage().nbytes()
        return tensor


class RecomputedParts:
    """Calls the parts that a run would compute again, and finds the one that keeps most while that is done.

    Args:
        kept: counts what is kept until the backward pass: of these parts, what they are given.
    """

    def __init__(self, model: FaceModel, kept: SavedBytes) -> None:
        self.largest = 0
        self._model = model
        self._kept = kept

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a part."""
        if not torch.is_grad_enabled():
            return function(*arguments)
        given = [value for value in arguments if isinstance(value, Tensor)]
        with (saved := SavedBytes(*self._model.parameters(), *given)):
            result = function(*arguments)
        trained: list[Tensor] = []

        def look(tensor: Tensor) -> Tensor:
            if tensor.requires_grad:
                trained.append(tensor)
            return tensor

        map_tensors(result, look)
        if trained:  # else nothing is computed again, and nothing kept for it
            for value in given:
                self._kept.see(value)
            self.largest = max(self.largest, saved.bytes)
        return result


def storage_of(tensor: Tensor) -> int:
    """Return what tensors over one memory have in common, and others have not."""
    return tensor.untyped_storage()._cdata


_MOMENTS = 2
"""Numbers that Adam keeps for each weight."""

_FLOAT_BYTES = 4

_WORKSPACE_ACTIVATIONS = 0.4
"""Share of the activations that is borrowed once more at the peak: fitted to six models of 128 to 512 pixels."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training holds at its peak.

    Args:
        gradients: one number a weight that is trained, of the player with the most.
        activations: what the forward passes of the larger turn keep for their backward passes.
        checkpoint: the copy that a checkpoint is written from while steps go on. Zero for training on CUDA, too.
        workspace: what passes borrow while they run: weights in the order that convolutions compute in, and gradients
            of feature maps on their way back. Estimated from the others.
        process: what this process holds before: interpreter, libraries, plugins. Zero for training on CUDA, whose
            memory has none of it.
    """

    parameters: int
    gradients: int
    optimiser: int
    average: int
    activations: int
    checkpoint: int
    workspace: int
    process: int

    @property
    def total(self) -> int:
        """The sum of all."""
        own = self.parameters + self.gradients + self.optimiser + self.average + self.activations
        return own + self.checkpoint + self.workspace + self.process


@dataclass(frozen=True)
class ShapeProbe:
    """What one step of a recipe costs.

    Args:
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
    on_fake_tensors: bool = True


def probe_shapes(recipe: ResolvedRecipe, *, registry: Registry) -> ShapeProbe:
    """Build a recipe's model and run one step of it, forward and backward, on fake tensors.

    The data need not be there: where the dataset cannot be opened, label map and attributes are made up from the
    dimensions of the recipe. Losses are built for real, and weights that networks start from are read, so their files
    must be there.

    Raises:
        FacekitError: a component cannot be built, or its forward or backward pass fails; the message names the recipe's
            place and what the component raised.
    """
    found = _probe(recipe, registry, with_numbers=True)
    assert found is not None
    return found


def estimate_memory(recipe: ResolvedRecipe, *, registry: Registry) -> MemoryEstimate | None:
    """Return what training will hold at its peak, or None where a component looks at numbers.

    It takes seconds and no memory to speak of, whatever the size of the model.

    Raises:
        FacekitError: as :func:`probe_shapes`.
    """
    found = _probe(recipe, registry, with_numbers=False)
    return None if found is None else found.memory


def _probe(recipe: ResolvedRecipe, registry: Registry, *, with_numbers: bool) -> ShapeProbe | None:
    """Return what a step costs; where a component looks at numbers, by real ones if those are wanted, else None."""
    label_map, attribute_names = labels_of(recipe, registry)
    # On the CPU whatever the run's device: fake tensors compute nothing, and a recipe can be checked elsewhere.
    on_cuda = recipe.train.device == "cuda" or (recipe.train.device == "auto" and torch.cuda.is_available())
    held = 0 if on_cuda else process_memory()
    device = torch.device("cpu")
    precision = Precision(device, choose_number_format(recipe.train.precision, device))
    losses = build_losses(recipe, precision=precision, label_map=label_map, attribute_names=attribute_names)
    weights = initial_weights(recipe, registry=registry)

    def run() -> ShapeProbe:
        model = build_model(recipe, label_map=label_map, attribute_names=attribute_names).train()
        for each in weights:
            each.check(model)
        augmentation = build_augmentation(
            recipe, precision=precision, label_map=label_map, attribute_names=attribute_names
        )
        maps = registry.label_maps
        networks = RunNetworks(model, precision, recipe=recipe, label_maps=maps, augmentation=augmentation)
        batch = _batch_of_shapes(recipe, registry, label_map, attribute_names)
        return _run_one_step(recipe, networks, losses, batch, held)

    # It would print the traceback of an error that is told in one sentence.
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    disabled, logger.disabled = logger.disabled, True
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            return run()
    except (DataDependentOutputException, DynamicOutputShapeException, UnsupportedFakeTensorException):
        return replace(run(), on_fake_tensors=False) if with_numbers else None
    finally:
        logger.disabled = disabled


def _run_one_step(
    recipe: ResolvedRecipe, networks: RunNetworks, losses: LossesOf, batch: FaceBatch, held: int
) -> ShapeProbe:
    model, settings = networks.model, recipe.train
    once = settings.model_copy(update={"accumulate": 1, "turns": {}})
    players = build_players(replace(recipe, train=once), model=model, losses=losses, steps=1)
    costs = _Costs(model, checkpointing=settings.activation_checkpointing)
    runner = StepRunner(networks, players, once, around=costs.of_turn, updates=False, shares=False)
    condition = replace(batch.condition, extra={**batch.extra, **noise_for_batch(model.noise, len(batch), 0)})
    with networks.calling(checking=True), torch.no_grad(), _flop_counter() as counter:
        sample(networks, condition)
    runner.run(0, iter([batch]), checking=True)
    together = costs
    if settings.accumulate == 1 and len(players) > 1:
        # With one micro-batch an earlier turn keeps the graph that a later one takes over from it.
        together = _Costs(model, checkpointing=settings.activation_checkpointing)
        sharing = StepRunner(networks, players, once, around=together.of_turn, updates=False, shares=True)
        sharing.run(0, iter([batch]))
    trained = [sum(each.numel() for each in player.parameters.values()) for player in players.values()]
    kept = sum(tensor.nbytes for tensor in model.state_dict().values())
    # With activation checkpointing freed memory is given back, one weight at a time; else copies of all come to stay.
    reordered = max(weight.nbytes for weight in model.parameters()) if settings.activation_checkpointing else kept
    if networks.precision.name == "bf16":
        reordered //= 2
    averaged = sum(tensor.numel() for tensor in model.only(averaged_networks(recipe)).state_dict().values())
    flops = sum(settings.turns.get(name, 1) * flops for name, flops in together.flops.items())
    activations = max(*costs.activations, *together.activations)
    moments = sum(trained) * _MOMENTS * _FLOAT_BYTES
    average = averaged * _FLOAT_BYTES if recipe.train.ema.on else 0
    return ShapeProbe(
        parameters=count_parameters(model),
        step_flops=settings.accumulate * flops,
        picture_flops=counter.get_total_flops() // settings.batch,
        memory=MemoryEstimate(
            parameters=kept,
            gradients=max(trained) * _FLOAT_BYTES,
            optimiser=moments,
            average=average,
            activations=activations,
            checkpoint=kept + moments + average if held else 0,
            workspace=reordered + round(_WORKSPACE_ACTIVATIONS * activations),
            process=held,
        ),
    )


class _NoModules(nullcontext[None]):
    """Stands for the flop counter's tracker of modules, whose hooks fail where a component differentiates a leaf."""

    parents = frozenset({"Global"})


def _flop_counter() -> FlopCounterMode:
    """Return a counter of all operations together."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]
    return counter


class _Costs:
    """Counts what each player's turn computes and keeps, one micro-batch of it."""

    def __init__(self, model: FaceModel, *, checkpointing: bool) -> None:
        self.flops: dict[Player, int] = {}
        self.activations: list[int] = []
        self._model = model
        self._checkpointing = checkpointing

    @contextmanager
    def of_turn(self, player: PlayerInTraining) -> Iterator[None]:
        """Count the turn of a player within the context."""
        model = self._model
        with _flop_counter() as counter, (saved := SavedBytes(*model.parameters())):
            repeated = RecomputedParts(model, saved)
            if self._checkpointing:
                recompute_activations(model, repeated)
            yield
        self.flops[player.name] = counter.get_total_flops()
        # The backward pass holds one part's activations at a time.
        self.activations.append(saved.bytes + repeated.largest)


def _batch_of_shapes(
    recipe: ResolvedRecipe, registry: Registry, label_map: LabelMap, attribute_names: tuple[str, ...]
) -> FaceBatch:
    count, size = recipe.train.batch, recipe.data.size
    image = torch.zeros(count, 3, size, size)
    mask = torch.zeros(count, size, size, dtype=torch.int64) if label_map.classes else None
    attributes = torch.zeros(count, len(attribute_names)) if attribute_names else None
    drawn = ReferenceAugmentation(**dict(recipe.data.reference)).is_drawn
    reference = Reference(image, mask)
    if drawn:
        reference = map_tensors(reference, torch.zeros_like)
    keys = tuple(f"probe{index}" for index in range(count))
    extra = {
        port.name: torch.zeros(
            count, *shape_of(port, recipe), dtype=torch.int64 if port.dtype == "class_ids" else torch.float32
        )
        for port in extra_ports(recipe, registry.label_maps)
    }
    return FaceBatch(image, keys, mask, reference, attributes, extra)
