"""A training step: whose turn it is, what losses see of it, gradients, updates. To know what a step does, read this.

A step has rounds, each on faces of its own; a player with ``train.turns`` n acts in the last n of them, so that all act
in the last. Within a round the players take their turns one after the other on the same faces. In a turn each of
``train.accumulate`` micro-batches gives losses and gradients; then the optimiser updates the player's networks. All
other networks are frozen.

With one micro-batch, the turns of a round share what ``once`` computed, as long as no network behind it was updated in
between: what the generator made for the discriminator's turn keeps its graph, the discriminator sees it cut, and the
generator's turn uses it without a second forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from facekit.interfaces import Condition, FaceBatch, Player, map_tensors
from facekit.recipe.settings import TrainSettings
from facekit.sampling.noise import noise_for_batch, random_generator
from facekit.training.loss_shares import LossShares
from facekit.training.network_call import RunNetworks
from facekit.training.players import PlayerInTraining, load_loss_state, loss_state
from facekit.training.precision import Acceleration

T = TypeVar("T")

GRADIENT_NORM = "gradient_norm/"
"""Begins the names of gradient norms among the diagnostics."""


@dataclass
class _Entry:
    """What ``once`` computed, the networks it was computed with, and the result cut from its graph once it was seen."""

    value: Any
    networks: frozenset[str]
    cut: Any = None


@dataclass
class BatchMemory:
    """A micro-batch, and what was computed of it once."""

    batch: FaceBatch
    condition: Condition = field(init=False)
    entries: dict[Hashable, _Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.condition = self.batch.condition

    def forget(self, networks: frozenset[str]) -> None:
        """Forget what was computed with some networks, which have changed since."""
        self.entries = {key: entry for key, entry in self.entries.items() if not entry.networks & networks}


class TrainingStep:
    """One turn of one player on one micro-batch. Fulfils ``facekit.interfaces.Step``.

    Args:
        seed: parts of the seed of :attr:`random`.
        later: lets the networks of the players that take their turn on the same memory later take gradients.
        mean: takes the mean of a tensor over all processes.
    """

    def __init__(
        self,
        *,
        index: int,
        player: Player,
        trained: frozenset[str],
        networks: RunNetworks,
        memory: BatchMemory,
        seed: tuple[int | str, ...],
        later: Callable[[], AbstractContextManager[object]] = nullcontext,
        mean: Callable[[Tensor], Tensor] = lambda numbers: numbers,
    ) -> None:
        self.index = index
        self.player: Player = player
        self.trained = trained
        self.networks = networks
        self.batch = memory.batch
        self.condition = memory.condition
        self._memory = memory
        self._seed = seed
        self._later = later
        self._mean = mean
        self._making = 0

    @cached_property
    def random(self) -> torch.Generator:
        """A CPU generator seeded by run, step, player, round and micro-batch."""
        return random_generator(*self._seed, "losses")

    def full_precision(self) -> AbstractContextManager[None]:
        """Return a context in which networks compute in float32 and uncompiled."""
        return self.networks.full_precision()

    def mean(self, numbers: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes; see :class:`facekit.interfaces.Step`."""
        return self._mean(numbers.detach())

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` returns, computed once; see :class:`facekit.interfaces.Step`."""
        entry = self._memory.entries.get(key)
        if entry is None:
            entry = self._memory.entries[key] = self._make(make)
        else:
            self.networks.note(entry.networks)
        # What is made of it is cut as a whole, or leads on: the backward pass goes to the player's own weights alone.
        if self._making or not entry.networks or entry.networks & self.trained:
            return cast("T", entry.value)
        if entry.cut is None:
            entry.cut = map_tensors(entry.value, Tensor.detach)
        return cast("T", entry.cut)

    def _make(self, make: Callable[[], Any]) -> _Entry:
        self._making += 1
        try:
            # With its graph even where the loss that asks first wants none. Within another one, the networks of later
            # players take gradients already.
            trainable = self._later() if self._making == 1 else nullcontext()
            with self.networks.tracing() as called, trainable, torch.enable_grad():
                return _Entry(make(), frozenset(called))
        finally:
            self._making -= 1


class StepRunner:
    """Does training steps: the loop's, and the one of the shape check.

    Args:
        watch: told every number that a step computes, as :meth:`LossGuard.watch` is; None for nobody.
        around: gives a context for a player's turn.
        average: gives a context in which a backward pass averages the gradients of weights over all processes.
        mean: takes the mean of a tensor over all processes.
        updates: update the weights; the shape check does not.
        shares: let the turns of a round share what ``once`` computed; by default with one micro-batch.
        loss_shares: reads how much each loss is of the gradient, in the last round of a step; None for nobody.
    """

    def __init__(
        self,
        networks: RunNetworks,
        players: Mapping[Player, PlayerInTraining],
        settings: TrainSettings,
        *,
        rank: int = 0,
        watch: Callable[[str, Tensor, FaceBatch, float], None] | None = None,
        average: Callable[[Sequence[nn.Parameter]], AbstractContextManager[object]] = lambda weights: nullcontext(),
        mean: Callable[[Tensor], Tensor] = lambda numbers: numbers,
        around: Callable[[PlayerInTraining], AbstractContextManager[object]] = lambda player: nullcontext(),
        updates: bool = True,
        shares: bool | None = None,
        loss_shares: LossShares | None = None,
    ) -> None:
        self.networks = networks
        self.players = players
        self.rounds = max(player.turns for player in players.values())
        self._settings = settings
        self._rank = rank
        self._watch = watch
        self._average = average
        self._mean = mean
        self._around = around
        self._updates = updates
        self._shares = settings.accumulate == 1 if shares is None else shares
        self._loss_shares = loss_shares
        self._augmentation = networks.augmentation
        # The next turn draws anew: what a discriminator gave in this one is of no use there.
        self._shown_otherwise = frozenset[str]() if self._augmentation is None else self._augmentation.of

    @property
    def micro_batches(self) -> int:
        """How many micro-batches a step takes."""
        return self.rounds * self._settings.accumulate

    def run(self, index: int, faces: Iterator[FaceBatch], *, checking: bool = False) -> None:
        """Do one step.

        Args:
            checking: hold what components give against their ports, and see that gradients reach every network.

        Raises:
            FacekitError: a component fails or, when checking, breaks a promise.
        """
        if self.networks.acceleration.cuda_graphs:  # they may write over what they gave in the step before
            torch.compiler.cudagraph_mark_step_begin()
        reads = self._loss_shares is not None and any(self._loss_shares.due(name, index) for name in self.players)
        # A reading differentiates losses one by one: compiled networks compute all gradients at once, and graphs write
        # over what a second pass would need.
        with self.networks.calling(plainly=reads):
            self._take_rounds(index, faces, checking=checking)
        if self._augmentation is not None and self._updates:
            self._augmentation.end_step(index)

    def _take_rounds(self, index: int, faces: Iterator[FaceBatch], *, checking: bool) -> None:
        precision, noise = self.networks.precision, self.networks.model.noise
        for number in range(self.rounds):
            acting = [player for player in self.players.values() if player.turns >= self.rounds - number]
            memories = []
            for micro in range(self._settings.accumulate):
                batch = precision.place_batch(next(faces))
                seed = (self._settings.seed, index, number, micro, self._rank, "noise")
                if drawn := noise_for_batch(noise, len(batch), *seed):
                    placed = {name: tensor.to(precision.device, non_blocking=True) for name, tensor in drawn.items()}
                    batch = replace(batch, extra={**batch.extra, **placed})
                memories.append(BatchMemory(batch))
            for place, player in enumerate(acting):
                later = acting[place + 1 :] if self._shares else []
                with self._around(player), self.networks.calling(checking=checking):
                    self._take_turn(player, memories, later, index=index, number=number, checking=checking)
                if self._shares:
                    memories[0].forget(player.trained | self._shown_otherwise)
                else:
                    memories = [BatchMemory(memory.batch) for memory in memories]

    def _take_turn(
        self,
        player: PlayerInTraining,
        memories: Sequence[BatchMemory],
        later: Sequence[PlayerInTraining],
        *,
        index: int,
        number: int,
        checking: bool,
    ) -> None:
        """Let one player take a turn: losses, backward, update. All other networks are frozen."""
        settings, share = self._settings, 1 / player.turns
        factor = player.factor(index)
        # Lazy losses leave steps out, in which some networks may stay without a gradient.
        checking = checking and all(loss.weight_now(index) for loss in player.losses)

        def trainable_later() -> AbstractContextManager[object]:
            stack = ExitStack()
            for other in later:
                stack.enter_context(other.trainable(index))
            return stack

        with player.trainable(index), player.arrivals() if checking else nullcontext() as arrived:
            for micro, memory in enumerate(memories):
                seed = (settings.seed, index, player.name, number, micro, self._rank)
                step = TrainingStep(
                    index=index,
                    player=player.name,
                    trained=player.trained,
                    networks=self.networks,
                    memory=memory,
                    seed=seed,
                    later=trainable_later,
                    mean=self._mean,
                )
                total, values = torch.zeros((), device=self.networks.precision.device), []
                turn: AbstractContextManager[object] = nullcontext()
                if self._augmentation is not None:
                    certain = not self._updates
                    turn = self._augmentation.turn(step.batch, trained=step.trained, seed=seed, certain=certain)
                with turn:
                    for loss in player.losses:
                        value = loss(step)
                        if self._watch is not None:
                            name = f"{player.name}/{loss.label}"
                            self._watch(name, value, step.batch, share / len(memories))
                        total = total + value
                        values.append(value)
                reader, first = self._loss_shares, number == self.rounds - 1 and micro == 0
                if reader is not None and first and reader.due(player.name, index):
                    reader.read(player, values)
                # Lazy losses and frozen parts can leave a turn without a gradient.
                weights = player.leaves(full=self.networks.were_full)
                with self._average(weights) if weights and micro == len(memories) - 1 else nullcontext():
                    if total.requires_grad and weights:
                        # A result of `once` may lead into networks of later players, which still need its graph.
                        (total / len(memories)).backward(inputs=weights)
            if arrived is not None:
                player.check_arrivals(arrived, index)
            player.collect_gradients()
            if not self._updates:
                for parameter in player.parameters.values():
                    parameter.grad = None
                return
            norm = player.clip()
            if norm is not None and self._watch is not None:
                self._watch(f"{GRADIENT_NORM}{player.name}", norm, memories[-1].batch, share)
            player.update(factor)


def rehearse(
    networks: RunNetworks,
    players: Mapping[Player, PlayerInTraining],
    settings: TrainSettings,
    faces: Sequence[FaceBatch],
) -> Acceleration:
    """Try steps without an update where ``auto`` chose to compile networks or to record their kernels.

    What steps leave behind is put back. Where they fail, networks are called as they are from now on.

    Args:
        faces: the micro-batches of a step.

    Returns:
        what is done to the networks from now on.
    """
    if not networks.acceleration.chosen:
        return networks.acceleration
    buffers = list(networks.model.buffers())
    before = [buffer.clone() for buffer in buffers]
    kept = {name: tensor.clone() for name, tensor in loss_state(players).items()}
    augmentation, networks.augmentation = networks.augmentation, None
    try:
        for _ in range(3):  # torch runs the kernels of a graph once, then records them, then replays them
            StepRunner(networks, players, settings, updates=False).run(0, iter(faces))
    except Exception as error:  # of a compiler, of a driver, or of a network's own code under them
        networks.is_plain = True
        text = str(error.__cause__ or error).strip() or type(error).__name__
        return Acceleration(why=f"neither CUDA graphs nor compiled, since that fails: {text.splitlines()[0]}")
    finally:
        networks.augmentation = augmentation
        for buffer, was in zip(buffers, before, strict=True):
            buffer.copy_(was)
        load_loss_state(players, kept, networks.precision.device, where="")
    return networks.acceleration
