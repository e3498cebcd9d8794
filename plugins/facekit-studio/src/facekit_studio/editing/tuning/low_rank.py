"""Changes of low rank of a generator's weights, and of a style's code (Hu et al., LoRA, 2021), and their cache."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from facekit.inference.provenance import digest_of_tensors
from facekit.interfaces import RunFailure, Style, cache_folder

Factors = Mapping[str, tuple[Tensor, Tensor]]
"""By a weight's name two matrices, (O, r) and (r, I), whose product is its change, flattened after its first
dimension."""


@dataclass(frozen=True, eq=False)
class TunedChange:
    """What tuning to a photo changes.

    Args:
        code: what is added to the code of the photo's style, of its shape (1, ...).
        factors: the changes of the generator's weights.
    """

    code: Tensor
    factors: Factors

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, on the CPU: ``code``, and ``up/NAME`` and ``down/NAME`` of each weight."""
        named = {"code": self.code}
        for name, (up, down) in self.factors.items():
            named[f"up/{name}"], named[f"down/{name}"] = up, down
        return {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> TunedChange:
        """Return the change that :attr:`tensors` are of. Raises KeyError where one is missing."""
        names = [name.removeprefix("up/") for name in tensors if name.startswith("up/")]
        return TunedChange(tensors["code"], {name: (tensors[f"up/{name}"], tensors[f"down/{name}"]) for name in names})

    @property
    def sha256(self) -> str:
        """SHA-256 over the names and values of all of it."""
        return digest_of_tensors(self.tensors)

    def style(self, style: Style) -> Style:
        """Return the photo's style with its code changed; whatever else a model family keeps in it stays."""
        return replace(style, code=style.code + self.code.to(style.code))

    def generator(self, generator: nn.Module) -> nn.Module:
        """Return a copy of a generator with its weights changed; the generator itself stays as it is."""
        tuned = copy.deepcopy(generator).requires_grad_(False)
        with torch.no_grad():
            for name, weight in merged(tunable_weights(generator), self.factors).items():
                tuned.get_parameter(name).copy_(weight)
        return tuned


def tunable_weights(generator: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights of a generator's convolutions and linear layers by name: torch's own, or a plugin's that keep
    a ``weight`` of two dimensions or more."""
    tables = {id(module.weight) for module in generator.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)}
    # A weight that several layers share has one name here, and one change.
    return {
        name: weight
        for name, weight in generator.named_parameters()
        if name.rpartition(".")[2] == "weight"
        and weight.dim() >= 2
        and weight.is_floating_point()
        and id(weight) not in tables
    }


def first_factors(
    weights: Mapping[str, Tensor], rank: int, random: torch.Generator
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return factors of no change yet: the first are zeros, the second are drawn with variance 1 / I, on the CPU."""
    found = {}
    for name, weight in weights.items():
        rows, columns = weight.shape[0], weight[0].numel()
        inner = min(rank, rows, columns)
        down = torch.randn((inner, columns), generator=random) / columns**0.5
        up = torch.zeros((rows, inner), device=weight.device)
        found[name] = (up.requires_grad_(), down.to(weight.device).requires_grad_())
    return found


def merged(weights: Mapping[str, Tensor], factors: Factors) -> dict[str, Tensor]:
    """Return weights with their changes added; gradients flow into the factors."""
    return {
        name: weights[name].detach() + (up @ down).view(weights[name].shape).to(weights[name])
        for name, (up, down) in factors.items()
    }


_ENTRY = "facekit_tuned"
"""The file's metadata that holds :class:`Outcome`, as JSON."""


class Outcome(BaseModel):
    """What tuning took and gave.

    Args:
        seconds: how long it took.
        before: peak signal-to-noise ratio in dB of the photo as the run generates it.
        after: the same after tuning.
        sha256: over the tensors of the change.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float
    before: float
    after: float
    sha256: str


@dataclass(frozen=True)
class Found:
    """What the cache holds.

    Args:
        change: the change; None where there is none, or it is damaged.
        outcome: what it took and gave.
        damaged: whether there is a file that cannot be used.
    """

    change: TunedChange | None = None
    outcome: Outcome | None = None
    damaged: bool = False


def place_of(key: str) -> Path:
    """Return the file of a tuning with the hash ``key``."""
    return cache_folder() / "tuned" / f"{key}.safetensors"


def find_kept(key: str) -> Found:
    """Return the tuning that is kept under a hash of all that it depends on."""
    from safetensors import SafetensorError, safe_open

    place = place_of(key)
    if not place.is_file():
        return Found()
    try:
        with safe_open(place, framework="pt", device="cpu") as file:
            outcome = Outcome.model_validate_json((file.metadata() or {})[_ENTRY])
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValidationError):
        return Found(damaged=True)
    if digest_of_tensors(tensors) != outcome.sha256:
        return Found(damaged=True)
    return Found(TunedChange.of(tensors), outcome)


def keep_change(key: str, change: TunedChange, outcome: Outcome) -> None:
    """Keep a tuning; the file is written beside and renamed, so it is never half there.

    Raises:
        RunFailure: it cannot be written.
    """
    from safetensors.torch import save_file

    place = place_of(key)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{key[:16]}-", dir=place.parent)
        os.close(handle)
        try:
            save_file(change.tensors, beside, metadata={_ENTRY: json.dumps(outcome.model_dump())})
            Path(beside).replace(place)
        finally:
            Path(beside).unlink(missing_ok=True)
    except OSError as error:
        raise RunFailure(
            f"what was tuned cannot be kept: {error}",
            where=str(place),
            remedy="free some space, or choose another disk with FACEKIT_CACHE",
        ) from error
