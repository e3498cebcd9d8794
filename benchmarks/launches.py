"""How many kernels a training step starts on a GPU, counted without one.

::

    python -m benchmarks.launches                                  # the benchmark model and the default recipe, 256/4
    python -m benchmarks.launches recipes/spade.yaml --set data.size=512

The engine's own step runs on torch's ``meta`` device, whose tensors have shapes, strides and no numbers, with bf16 as
autocast casts on CUDA. Every operator that would start a kernel is counted: views and empty tensors start none, a
convolution one and one for its bias, its backward pass one a gradient, a batch norm two, and one that works on a list
of tensors one for each 40. The second step is counted. A run on CUDA starts some more within cuDNN; how long any takes
is not said.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.subjects import Case
from facekit.interfaces import FaceBatch, map_tensors
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import Registry, load_registry
from facekit.training.augmentation import build_augmentation
from facekit.training.check.shape_check import _batch_of_shapes
from facekit.training.network_call import RunNetworks
from facekit.training.networks import build_model
from facekit.training.open_data import labels_of
from facekit.training.optimiser import Ema, averaged_networks
from facekit.training.players import build_losses, build_players
from facekit.training.precision import HalfWeights, Precision, lies_channels_last
from facekit.training.step import StepRunner

TENSORS_A_LAUNCH = 40
"""Tensors that one kernel of an operator on lists works on."""

KINDS: Mapping[str, str] = {
    "convolution": "convolutions and matrix products",
    "mm": "convolutions and matrix products",
    "norm": "norms",
    "reflection": "reflection",
    "flip": "reflection",
    "adam": "optimiser and average",
    "foreach": "optimiser and average",
    "relu": "activations",
    "threshold": "activations",
    "tanh": "activations",
    "sigmoid": "activations",
    "clone": "copies",
    "copy": "copies",
    "cat": "copies",
}
"""Kinds of operators by what their names hold; the first that fits counts."""

NO_LAUNCH = ("empty", "view", "detach", "alias", "_reshape_alias", "lift_fresh")

_IN_BF16 = {
    *(F.conv2d, F.conv_transpose2d, F.conv1d, F.conv3d, F.linear, torch.matmul, torch.bmm, torch.mm, torch.addmm),
    *(torch.baddbmm, torch.einsum, Tensor.matmul, Tensor.bmm, Tensor.mm, Tensor.__matmul__),
}
"""What autocast computes in bf16 on CUDA."""


class _Autocast(TorchFunctionMode):
    """Casts as autocast does on CUDA, which ``meta`` tensors know nothing of; stands for it while it lasts."""

    def __init__(self) -> None:
        super().__init__()
        self._on = False
        stand_ins = {
            "autocast": self._within,
            "is_autocast_enabled": lambda *_: self._on,
            "get_autocast_dtype": lambda *_: torch.bfloat16,
        }
        self._patches = [patch.object(torch, name, stand_in) for name, stand_in in stand_ins.items()]
        self._patches.append(patch.object(torch.amp, "is_autocast_available", lambda *_: True))

    def __enter__(self) -> _Autocast:
        for each in self._patches:
            each.start()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for each in self._patches:
            each.stop()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def cast(given: Any) -> Any:
            floats = isinstance(given, Tensor) and given.dtype == torch.float32
            return given.to(torch.bfloat16) if floats else given

        if self._on and function in _IN_BF16:
            args, kwargs = [cast(each) for each in args], {name: cast(each) for name, each in (kwargs or {}).items()}
        return function(*args, **(kwargs or {}))

    @contextmanager
    def _within(self, device: str, dtype: torch.dtype | None = None, enabled: bool = True) -> Iterator[None]:
        before, self._on = self._on, enabled
        try:
            yield
        finally:
            self._on = before


class Launches(TorchDispatchMode):
    """Counts launches by kind while it lasts; those of the forward passes of losses under ``losses``.

    ``outside`` counts those outside of networks and of the way back through them: what stays where the networks are
    replayed as CUDA graphs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.outside = 0
        self._in_loss = self._in_network = False
        self._of_networks: list[tuple[int, int]] = []

    @property
    def total(self) -> int:
        """All launches."""
        return self.found.total()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count an operator and call it."""
        result = function(*args, **(kwargs or {}))
        self._count(kind(function, args, result), launches(function, args, result))
        name = function.overloadpacket.__name__
        if name.startswith("convolution"):
            # cuDNN computes in channels-last order where features or weights lie so, and copies what does not.
            features = args[:2] if name == "convolution" else args[:3]
            if any(map(_lies_channels_last, features)):
                self._count("copies", sum(not _lies_channels_last(each) for each in features))
                result = _channels_last(result) if name == "convolution" else tuple(map(_channels_last, result))
        elif name.startswith("reflection"):
            self._count("copies", int(not args[0].is_contiguous()))
        return result

    def _count(self, kind: str, count: int) -> None:
        if count:
            self.found["losses" if self._in_loss else kind] += count
            self.outside += 0 if self._in_network or self._behind_network() else count

    def _behind_network(self) -> bool:
        """Return whether this is the backward pass of something that a network computed."""
        node = torch._C._current_autograd_node()
        return node is not None and any(first <= node._sequence_nr() < end for first, end in self._of_networks)

    def in_loss(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a loss whose own operators are counted as losses."""

        def counted(*args: Any, **named: Any) -> Any:
            self._in_loss = True
            try:
                return call(*args, **named)
            finally:
                self._in_loss = False

        return counted

    def in_network(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a network whose operators, and those of its backward pass, are counted as of networks."""

        def counted(*args: Any, **named: Any) -> Any:
            before = self._in_loss, self._in_network
            self._in_loss, self._in_network = False, True
            first = torch._C._autograd._get_sequence_nr()
            try:
                return call(*args, **named)
            finally:
                self._of_networks.append((first, torch._C._autograd._get_sequence_nr()))
                self._in_loss, self._in_network = before

        return counted


def launches(function: Any, args: Sequence[Any], result: Any) -> int:
    """Return how many kernels an operator starts."""
    name: str = function.overloadpacket.__name__
    tensors = [each for each in (*args, result) if isinstance(each, Tensor)]
    on_device = any(each.device.type == "meta" for each in tensors)
    if name.startswith("_foreach") or name.startswith("_fused"):
        return math.ceil(len(args[0]) / TENSORS_A_LAUNCH)
    if not on_device and not isinstance(result, tuple | list):
        return 0
    if function.is_view or any(part in name for part in NO_LAUNCH):
        return 0
    if name == "convolution":
        return 1 if args[2] is None else 2
    if name == "convolution_backward":
        return sum(map(bool, args[-1]))
    return 2 if "batch_norm" in name else 1


def kind(function: Any, args: Sequence[Any], result: Any) -> str:
    """Return the kind of an operator."""
    name: str = function.overloadpacket.__name__
    if name in ("_to_copy", "copy_", "_foreach_copy_"):
        source = args[0] if name == "_to_copy" else args[1]
        into = result if name == "_to_copy" else args[0]
        one, other = (each[0] if isinstance(each, tuple | list) else each for each in (source, into))
        if one.device != other.device:
            return "uploads"
        return "copies" if one.dtype == other.dtype else "casts"
    return next((found for part, found in KINDS.items() if part in name), "other arithmetic")


def _lies_channels_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last) and tensor.shape[1] > 1


def _channels_last(tensor: Tensor | None) -> Tensor | None:
    if tensor is None or tensor.dim() != 4:
        return tensor
    return torch.empty_like(tensor, memory_format=torch.channels_last)


def count_step(recipe: ResolvedRecipe, *, registry: Registry) -> Launches:
    """Return the launches of the second step of a recipe on CUDA, the average included."""
    device, settings = torch.device("meta"), recipe.train
    name: Literal["fp32", "bf16"] = "fp32" if settings.precision == "fp32" else "bf16"
    precision = Precision(device, name, lies_channels_last(settings.channels_last, device))
    label_map, attribute_names = labels_of(recipe, registry)
    made = {"label_map": label_map, "attribute_names": attribute_names}
    model = precision.place(build_model(recipe, **made)).train()
    augmentation = build_augmentation(recipe, precision=precision, **made)
    half = HalfWeights(model) if precision.halves_weights and settings.accumulate == 1 else None
    maps = registry.label_maps
    networks = RunNetworks(model, precision, recipe=recipe, label_maps=maps, half=half, augmentation=augmentation)
    losses = build_losses(recipe, precision=precision, steps=settings.steps, **made)
    players = build_players(recipe, model=model, losses=losses, steps=settings.steps or 1, half=half)
    ema = Ema(model, settings.ema, averaged_networks(recipe), images=settings.batch) if settings.ema.on else None
    counter = Launches()
    for player in players.values():
        player.losses = tuple(replace(loss, loss=counter.in_loss(loss.loss)) for loss in player.losses)
    for network in networks.values():
        network._network, network._fast = counter.in_network(network._network), counter.in_network(network._fast)
    batch = _as_pixels(_batch_of_shapes(recipe, registry, label_map, attribute_names))
    runner = StepRunner(networks, players, settings)

    def step(index: int) -> None:
        runner.run(index, iter([batch] * runner.micro_batches))
        if ema is not None:
            ema.update(index)

    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(settings.deterministic, warn_only=True)
    try:
        with _Autocast():
            step(0)
            with counter:
                step(1)
    finally:
        torch.use_deterministic_algorithms(before)
    return counter


def _as_pixels(batch: FaceBatch) -> FaceBatch:
    """Return a batch as the loader gives it on a GPU."""

    def pixels(tensor: Tensor) -> Tensor:
        photo = tensor.dim() == 4 and tensor.shape[1] == 3
        return tensor.permute(0, 2, 3, 1).byte() if photo else tensor.byte() if tensor.dim() == 3 else tensor

    return replace(map_tensors(replace(batch, extra={}), pixels), extra=batch.extra)


def main(arguments: Sequence[str] | None = None) -> None:
    """Count, and print one JSON object by recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", type=Path)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    chosen = parser.parse_args(arguments)
    registry = load_registry()
    default = Path(__file__).resolve().parent.parent / "recipes" / "sft_pix2pixhd.yaml"
    sources: dict[str, Path | Case] = {"benchmark model": Case(256, 4), "sft_pix2pixhd": default}
    if chosen.recipe is not None:
        sources = {chosen.recipe.stem: chosen.recipe}
    overrides = ["data.size=256", "train.batch=4", *chosen.overrides]
    document: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, source in sources.items():
            file = source.write(Path(folder)) if isinstance(source, Case) else source
            recipe = read_recipe(file, registry=registry, overrides=overrides)
            counted = count_step(recipe, registry=registry)
            document[name] = {
                "launches": counted.total,
                "outside of networks": counted.outside,
                **dict(counted.found.most_common()),
            }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
