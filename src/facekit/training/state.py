"""What a run is at a step: everything a checkpoint keeps, and how it comes back."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facekit.interfaces import Player, RunFailure
from facekit.sampling.noise import derive_seed
from facekit.training.augmentation import RunAugmentation
from facekit.training.checkpoint import checkpoints
from facekit.training.checkpoint.checkpoints import Checkpoint, reading
from facekit.training.checkpoint.reader import COMPONENTS, CheckpointReader, Components, written_by
from facekit.training.loss_shares import LossShares
from facekit.training.nan_guard import LossGuard, all_finite
from facekit.training.networks import FaceModel
from facekit.training.optimiser import Ema
from facekit.training.players import PlayerInTraining, load_loss_state, loss_state
from facekit.training.samples import ReferenceWatch
from facekit.training.validation import BestCheckpoint

STEP, RANDOM, SUMS, SUMMED_STEPS, WATCH, BEST = "step", "random", "sums", "summed_steps", "reference_watch", "best"
AUGMENTATION, LOSS_SHARES = "augmentation", "loss_shares"
"""Keys of a checkpoint's ``state.json``."""


@dataclass
class TrainingState:
    """All that changes while a run trains.

    Args:
        ema: the average; None for none.
        watch: whether results change with the reference.
        augmentation: what stands in front of discriminators; None for nothing.
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
        bad = all_finite(checkpoints.model_state(_unfrozen(self.model)))
        if bad is not None:
            raise RunFailure(
                f"the weight {bad} is not finite after step {self.done}; no checkpoint is written of it",
                where=str(where),
                remedy="a checkpoint from before, where there is one, is good; try a lower learning rate or "
                "train.gradient_clip in a new run",
            )

    def copy(self, copies: Mapping[str, bytes]) -> Callable[[Path], Path]:
        """Copy all that a checkpoint holds, and return what writes it, in any thread, as the run goes on.

        That takes the folder of checkpoints, and returns the checkpoint's own. It raises RunFailure where the disk is
        full.

        Args:
            copies: the contents of files of the run.
        """
        moments: dict[str, Tensor] = {}
        for player in self.players.values():
            moments.update(player.optimiser.state())
        files = {
            checkpoints.LIVE: checkpoints.model_state(_unfrozen(self.model)),
            checkpoints.EMA: {} if self.ema is None else checkpoints.model_state(_unfrozen(self.ema.model)),
            checkpoints.OPTIMISER: moments,
            checkpoints.LOSSES: loss_state(self.players),
            checkpoints.AUGMENTATION: {} if self.augmentation is None else self.augmentation.state(),
        }
        tensors = {name: checkpoints.on_cpu(named) for name, named in files.items()}
        arrived = torch.cuda.Event() if torch.cuda.is_initialized() else None
        if arrived is not None:
            arrived.record()
        state = {
            STEP: self.done,
            COMPONENTS: written_by(self.components),
            # Each step seeds the global generators anew; their states are for code that draws between steps.
            RANDOM: random_states(),
            SUMS: dict(self.guard.sums),
            SUMMED_STEPS: self.guard.steps,
            WATCH: self.watch.state(),
            BEST: self.best.state(),
            LOSS_SHARES: self.loss_shares.state(),
            AUGMENTATION: None if self.augmentation is None else self.augmentation.counts(),
        }
        step = self.done

        def write(folder: Path) -> Path:
            if arrived is not None:
                arrived.synchronize()
            return checkpoints.write(folder, step=step, tensors=tensors, state=state, copies=copies)

        return write

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
        checkpoints.load_state(_unfrozen(self.model), reader.live(), where=where)
        if self.ema is not None:
            checkpoints.load_state(_unfrozen(self.ema.model), reader.ema(), where=where)
        moments = reader.moments()
        with reading(found.folder / checkpoints.OPTIMISER):
            for player in self.players.values():
                player.optimiser.load_state(moments)
        load_loss_state(self.players, reader.losses(), device, where=where)
        with reading(found.folder / checkpoints.STATE):
            restore_random_states(state[RANDOM])
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


PYTHON, NUMPY, TORCH, CUDA = "python", "numpy", "torch", "cuda"
"""Keys of the document of random states."""


def seed_everything(*parts: int | str) -> None:
    """Seed the global generators of Python, NumPy and torch (all devices), for components that use them (dropout)."""
    seed = derive_seed(*parts)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def random_states() -> dict[str, Any]:
    """Return the states of all global generators as plain JSON data."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    states: dict[str, Any] = {
        PYTHON: [version, list(numbers), gauss],
        NUMPY: [name, np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)],
        TORCH: _encode(torch.get_rng_state()),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states[CUDA] = [_encode(state) for state in torch.cuda.get_rng_state_all()]
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Put back what :func:`random_states` returned. States of devices that this machine lacks are left out."""
    version, numbers, gauss = states[PYTHON]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = states[NUMPY]
    np.random.set_state((name, np.asarray(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(_decode(states[TORCH]))
    if CUDA in states and torch.cuda.is_available():
        for index, state in enumerate(states[CUDA][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(_decode(state), index)


@contextmanager
def global_states_kept() -> Iterator[None]:
    """Leave the global generators as they were found: seeding a run is not to change the program around it."""
    states = random_states()
    try:
        yield
    finally:
        restore_random_states(states)


def _encode(state: torch.Tensor) -> str:
    return base64.b64encode(state.numpy().tobytes()).decode()


def _decode(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
