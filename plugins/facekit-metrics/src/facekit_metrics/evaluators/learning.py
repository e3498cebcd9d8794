"""The loop that trains an evaluator: it can be stopped at any epoch and goes on from there."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facekit.interfaces import FacekitError

from .options import EvaluatorSettings

ENCODER_SHARE = 0.3
"""The encoder's learning rate, as a share of that of the new layers."""

BatchLoss = Callable[[Tensor, torch.Generator], Tensor]
"""The loss of some photos, by their rows; everything drawn comes from the generator."""


@dataclass(frozen=True)
class Report:
    """What training says as it goes: which epoch of how many ended, its mean loss, seconds it took."""

    epoch: int
    epochs: int
    loss: float
    seconds: float


class Learning:
    """A network with a pretrained encoder, its optimiser and the average of its weights.

    Args:
        network: all of it.
        encoder: the part that knows ImageNet.
        settings: how to train.
        count: photos to learn from.
    """

    def __init__(self, network: nn.Module, encoder: nn.Module, settings: EvaluatorSettings, *, count: int) -> None:
        self._network = network
        self._settings = settings
        self._count = count
        self._updates = settings.epochs * math.ceil(count / settings.batch)
        self._done = 0
        known = {id(parameter) for parameter in encoder.parameters()}
        new = [parameter for parameter in network.parameters() if id(parameter) not in known]
        groups = [
            {"params": list(encoder.parameters()), "lr": settings.lr * ENCODER_SHARE},
            {"params": new, "lr": settings.lr},
        ]
        self._optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
        self._rates = [group["lr"] for group in self._optimiser.param_groups]
        self._average = {name: value.detach().clone() for name, value in network.state_dict().items()}

    def learn(
        self,
        loss_of: BatchLoss,
        file: Path,
        *,
        again: bool,
        say: Callable[[str], None],
        report: Callable[[Report], None],
    ) -> None:
        """Learn for all epochs that are left, then put the averaged weights into the network.

        Args:
            loss_of: the loss of some photos.
            file: where it is kept after each epoch, and goes on from.
            again: begin anew even if it is there.
            say: told where it goes on.
            report: told after each epoch.

        Raises:
            FacekitError: the file is damaged, or the loss is no longer a number.
        """
        if again:
            file.unlink(missing_ok=True)
        first = self._load(file)
        if first:
            say(f"going on after epoch {first}")
        for epoch in range(first, self._settings.epochs):
            begun = time.monotonic()
            # Dropout draws from the global generator: seeded by the epoch, so that a resumed training draws the same.
            torch.manual_seed(self._seed(epoch))
            loss = self._epoch(loss_of, epoch)
            self._save(file, epoch + 1)
            report(Report(epoch + 1, self._settings.epochs, loss, time.monotonic() - begun))
        self._network.load_state_dict(self._average)

    def _seed(self, epoch: int) -> int:
        return self._settings.seed * 1_000_003 + epoch

    def _epoch(self, loss_of: BatchLoss, epoch: int) -> float:
        """Learn from every photo once; returns the mean loss. Everything drawn follows from seed and epoch.

        Raises:
            FacekitError: the loss is no longer a number.
        """
        self._network.train()
        random = torch.Generator().manual_seed(self._seed(epoch))
        total = torch.zeros(())
        order = torch.randperm(self._count, generator=random).split(self._settings.batch)
        for rows in order:
            loss = loss_of(rows, random)
            if not bool(torch.isfinite(loss)):
                raise FacekitError(f"the loss is no longer a number in epoch {epoch + 1}", remedy="try a smaller lr")
            self._set_rates()
            self._optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self._network.parameters(), 5.0)
            self._optimiser.step()
            self._done += 1
            self._move_average()
            total += loss.detach()
        return float(total) / len(order)

    def _save(self, file: Path, epochs: int) -> None:
        """Write everything that the next epoch depends on; beside, then renamed."""
        tensors = {f"network.{name}": value for name, value in self._network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self._average.items()}
        for index, entry in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in entry.items()}
        tensors = {name: value.contiguous() for name, value in tensors.items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(f".{os.getpid()}.part")
        save_file(tensors, beside, metadata={"progress": json.dumps({"epochs": epochs, "updates": self._done})})
        beside.replace(file)

    def _load(self, file: Path) -> int:
        """Read what :meth:`_save` wrote; returns how many epochs are done, 0 when nothing is there.

        Raises:
            FacekitError: the file is damaged.
        """
        from safetensors import SafetensorError, safe_open

        if not file.is_file():
            return 0
        try:
            with safe_open(file, "pt") as opened:
                progress = json.loads(opened.metadata()["progress"])
            tensors = load_file(file)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise FacekitError(
                f"the unfinished training cannot be read: {error}", where=str(file), remedy="remove the file"
            ) from error
        self._network.load_state_dict(_below("network.", tensors))
        self._average = _below("average.", tensors)
        groups = self._optimiser.state_dict()["param_groups"]
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimiser.", tensors).items():
            index, _, part = name.partition(".")
            state.setdefault(int(index), {})[part] = value
        self._optimiser.load_state_dict({"state": state, "param_groups": groups})
        self._done = int(progress["updates"])
        return int(progress["epochs"])

    def _set_rates(self) -> None:
        """Warm up over the first 5 %, then fall along a cosine."""
        share = self._done / self._updates
        factor = min(1.0, (self._done + 1) / max(1, 0.05 * self._updates)) * 0.5 * (1 + math.cos(math.pi * share))
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    @torch.no_grad()
    def _move_average(self) -> None:
        stays = min(self._settings.ema, self._done / (self._done + 10))
        for name, value in self._network.state_dict().items():
            self._average[name].lerp_(value, 1 - stays)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
