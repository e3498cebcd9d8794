"""What a run is at a step: everything a checkpoint keeps, and how it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from facekit.interfaces import Player, RunFailure
from facekit.training import seeds
from facekit.training.augmentation import RunAugmentation
from facekit.training.checkpoint import checkpoints
from facekit.training.checkpoint.checkpoints import Checkpoint
from facekit.training.checkpoint.contents import reading
from facekit.training.checkpoint.reader import COMPONENTS, CheckpointReader, Components, written_by
from facekit.training.ema import Ema
from facekit.training.loss_shares import LossShares
from facekit.training.nan_guard import LossGuard
from facekit.training.networks import FaceModel
from facekit.training.players import PlayerInTraining, load_loss_state, loss_state
from facekit.training.style_collapse import ReferenceWatch
from facekit.training.tensors import all_finite
from facekit.training.validation import BestCheckpoint

STEP, RANDOM, SUMS, SUMMED_STEPS, WATCH, BEST = "step", "random", "sums", "summed_steps", "reference_watch", "best"
AUGMENTATION, LOSS_SHARES = "augmentation", "loss_shares"
"""Keys of a checkpoint's ``state.json``."""


@dataclass
class TrainingState:
    """All that changes while a run trains.

    Args:
        model: the networks.
        players: their losses and optimisers.
        ema: the average; None for none.
        guard: the sums since the last log line.
        watch: whether results change with the reference.
        best: which checkpoint was the best.
        components: the components whose tensors a checkpoint holds.
        loss_shares: how much each loss is of the gradient.
        augmentation: what stands in front of discriminators; None for nothing.
        done: updates done.
    """

    model: FaceModel
    players: Mapping[Player, PlayerInTraining]
    ema: Ema | None
    guard: LossGuard
    watch: ReferenceWatch
    best: BestCheckpoint
    components: Components
    loss_shares: LossShares
    augmentation: RunAugmentation | None = None
    done: int = field(default=0)

    def check(self, where: Path) -> None:
        """Check that the weights are fit to go on from.

        Raises:
            RunFailure: a weight, or a loss since the last check, is not finite.
        """
        self.guard.settle()
        bad = all_finite(self._weights(self.model))
        if bad is not None:
            raise RunFailure(
                f"the weight {bad} is not finite after step {self.done}; no checkpoint is written of it",
                where=str(where),
                remedy="a checkpoint from before, where there is one, is good; try a lower learning rate or "
                "train.gradient_clip in a new run",
            )

    def write(self, folder: Path, copies: Mapping[str, bytes]) -> Path:
        """Write a checkpoint, with copies of files of the run, into the folder of checkpoints; return its own folder.

        Raises:
            RunFailure: the disk is full.
        """
        moments: dict[str, Tensor] = {}
        for player in self.players.values():
            moments.update(player.optimiser.state())
        return checkpoints.write(
            folder,
            step=self.done,
            tensors={
                checkpoints.LIVE: self._weights(self.model),
                checkpoints.EMA: {} if self.ema is None else self._weights(self.ema.model),
                checkpoints.OPTIMISER: moments,
                checkpoints.LOSSES: loss_state(self.players),
                checkpoints.AUGMENTATION: {} if self.augmentation is None else self.augmentation.state(),
            },
            state={
                STEP: self.done,
                COMPONENTS: written_by(self.components),
                # Each step seeds the global generators anew; their states are for code that draws between steps.
                RANDOM: seeds.random_states(),
                SUMS: self.guard.sums,
                SUMMED_STEPS: self.guard.steps,
                WATCH: self.watch.state(),
                BEST: self.best.state(),
                LOSS_SHARES: self.loss_shares.state(),
                AUGMENTATION: None if self.augmentation is None else self.augmentation.counts(),
            },
            copies=copies,
        )

    def _weights(self, model: FaceModel) -> dict[str, Tensor]:
        return checkpoints.model_state(_unfrozen(model))

    def _load(self, model: FaceModel, state: Mapping[str, Tensor], *, where: str) -> None:
        checkpoints.load_state(_unfrozen(model), state, where=where)

    def restore(self, found: Checkpoint, device: torch.device) -> list[str]:
        """Take over everything that a checkpoint holds; what older versions of the components wrote is migrated.

        Returns:
            what was migrated, and what could not be, one sentence each.

        Raises:
            FacekitError: its weights do not fit the model, a migration fails, or newer versions of the components wrote
                it; or what it holds is not what a run writes.
        """
        state, where = found.state(), str(found.folder)
        reader = CheckpointReader(found, self.components)
        self.done = found.step
        self._load(self.model, reader.live(), where=where)
        if self.ema is not None:
            self._load(self.ema.model, reader.ema(), where=where)
        moments = reader.moments()
        with reading(found.folder / checkpoints.OPTIMISER):
            for player in self.players.values():
                player.optimiser.load_state(moments)
        load_loss_state(self.players, reader.losses(), device, where=where)
        with reading(found.folder / checkpoints.STATE):
            seeds.restore_random_states(state[RANDOM])
            self.guard.sums = {str(name): float(value) for name, value in state[SUMS].items()}
            self.guard.steps = int(state[SUMMED_STEPS])
            self.watch.load_state(state[WATCH])
            self.best.load_state(state[BEST])
            if LOSS_SHARES in state:  # runs that began before they were read go on
                self.loss_shares.load_state(state[LOSS_SHARES])
            if self.augmentation is not None:
                self.augmentation.load_state(reader.augmentation(), state[AUGMENTATION], device)
        return reader.notes


def _unfrozen(model: FaceModel) -> FaceModel:
    """Return the networks of a model whose weights change; frozen ones are written into the run folder once."""
    return model.only([name for name, _ in model.named_children() if name not in model.frozen])
