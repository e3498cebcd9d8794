"""What a run is at a step: everything a checkpoint keeps, and how it comes back."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facekit.interfaces import CheckpointSaved, Player, RunFailure
from facekit.recipe.settings import TrainSettings, seconds_of
from facekit.sampling.noise import derive_seed
from facekit.training.augmentation import RunAugmentation
from facekit.training.checkpoint import checkpoints
from facekit.training.checkpoint.checkpoints import Checkpoint, reading
from facekit.training.checkpoint.reader import COMPONENTS, CheckpointReader, Components, written_by
from facekit.training.loss_shares import LossShares
from facekit.training.nan_guard import LossGuard, all_finite
from facekit.training.networks import FaceModel, changing_networks
from facekit.training.optimiser import Ema
from facekit.training.players import PlayerInTraining, load_loss_state, loss_state
from facekit.training.run.folder import RunFolder
from facekit.training.samples import ReferenceWatch
from facekit.training.validation import BestCheckpoint


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
        bad = all_finite(checkpoints.model_state(changing_networks(self.model)))
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
            checkpoints.LIVE: checkpoints.model_state(changing_networks(self.model)),
            checkpoints.EMA: {} if self.ema is None else checkpoints.model_state(changing_networks(self.ema.model)),
            checkpoints.OPTIMISER: moments,
            checkpoints.LOSSES: loss_state(self.players),
            checkpoints.AUGMENTATION: {} if self.augmentation is None else self.augmentation.state(),
        }
        tensors = {name: checkpoints.on_cpu(named) for name, named in files.items()}
        arrived = torch.cuda.Event() if torch.cuda.is_initialized() else None
        if arrived is not None:
            arrived.record()
        state = {
            "step": self.done,
            COMPONENTS: written_by(self.components),
            # Each step seeds the global generators anew; their states are for code that draws between steps.
            "random": random_states(),
            "sums": dict(self.guard.sums),
            "summed_steps": self.guard.steps,
            "reference_watch": self.watch.state(),
            "best": self.best.state(),
            "loss_shares": self.loss_shares.state(),
            "augmentation": None if self.augmentation is None else self.augmentation.counts(),
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
        checkpoints.load_state(changing_networks(self.model), reader.tensors(checkpoints.LIVE), where=where)
        if self.ema is not None:
            checkpoints.load_state(changing_networks(self.ema.model), reader.tensors(checkpoints.EMA), where=where)
        moments = reader.moments()
        with reading(found.folder / checkpoints.OPTIMISER):
            for player in self.players.values():
                player.optimiser.load_state(moments)
        load_loss_state(self.players, reader.tensors(checkpoints.LOSSES), device, where=where)
        with reading(found.folder / checkpoints.STATE):
            restore_random_states(state["random"])
            self.guard.sums = {str(name): float(value) for name, value in state["sums"].items()}
            self.guard.steps = int(state["summed_steps"])
            self.watch.load_state(state["reference_watch"])
            self.best.load_state(state["best"])
            if "loss_shares" in state:  # runs that began before they were read go on
                self.loss_shares.load_state(state["loss_shares"])
            if self.augmentation is not None:
                self.augmentation.load_state(reader.tensors(checkpoints.AUGMENTATION), state["augmentation"], device)
        return reader.notes


class CheckpointWriter:
    """Writes the checkpoints of a run, one at a time, and removes those that need not be kept.

    However its context ends, it waits for the one that is being written.

    Args:
        told: called with each that is written, in the thread of the run.
    """

    def __init__(self, run: RunFolder, settings: TrainSettings, *, told: Callable[[CheckpointSaved], None]) -> None:
        self._run, self._told = run, told
        self._every, self._last = settings.checkpoint_every, settings.keep.last
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="writes checkpoints")
        self._writing: Future[CheckpointSaved] | None = None
        self._began = time.monotonic()

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def is_due(self, step: int) -> bool:
        """Return whether it is time for a checkpoint after a step."""
        if isinstance(self._every, int):
            return step % self._every == 0
        return time.monotonic() - self._began >= seconds_of(self._every)

    def write(self, state: TrainingState, copies: Mapping[str, bytes]) -> None:
        """Let a checkpoint be written of what the run is now, once the one before is.

        Args:
            copies: the contents of files of the run.

        Raises:
            RunFailure: the one before could not be written.
        """
        self.finish()
        self._began = time.monotonic()
        step, best, write, folder = state.done, state.best.step, state.copy(copies), self._run.checkpoints

        def work() -> CheckpointSaved:
            saved = CheckpointSaved(self._run.path, step, write(folder))
            checkpoints.keep(folder, last=self._last, best=best)
            return saved

        self._writing = self._pool.submit(work)

    def look(self) -> None:
        """Tell of the checkpoint that was being written where it is. Raises RunFailure where it could not be."""
        if self._writing is not None and self._writing.done():
            self.finish()

    def finish(self, *, failing: bool = False) -> None:
        """Wait for the checkpoint that is being written, and tell of it.

        Args:
            failing: the run ends of something else: that this failed too is not told.

        Raises:
            RunFailure: it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None and not (failing and writing.exception()):
            self._told(writing.result())


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
        "python": [version, list(numbers), gauss],
        "numpy": [name, np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)],
        "torch": _encode(torch.get_rng_state()),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = [_encode(state) for state in torch.cuda.get_rng_state_all()]
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Put back what :func:`random_states` returned. States of devices that this machine lacks are left out."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, np.asarray(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(_decode(states["torch"]))
    if "cuda" in states and torch.cuda.is_available():
        for index, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
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
