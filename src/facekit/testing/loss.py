"""What a loss promises."""

from __future__ import annotations

import tempfile
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from facekit.interfaces import DISCRIMINATOR, BuildContext, FaceBatch, Player, map_tensors
from facekit.registry import Kind
from facekit.testing.contract import BrokenPromise, ComponentContract, promised, seeded
from facekit.testing.outputs import check_gradients_agree, gradients_of, tensors_in
from facekit.testing.toy_step import bench_batch, bench_model, bench_step
from facekit.training.convolution_guard import right_gradients
from facekit.training.networks import FaceModel
from facekit.training.precision import Precision
from facekit.training.step import TrainingStep

_CPU = torch.device("cpu")
_SMALL_LOSS = 0.05


class LossContract(ComponentContract):
    """What a loss promises, for every player it declares.

    It is tried in a real step of the engine, over tiny networks that offer what its ports need and nothing else::

        class TestMyLoss(LossContract):
            spec = MY_LOSS
            options = {"power": 2}

    Ports of a family's own, such as ``style.mean`` and ``generated.latents``, are fields of what style encoder and
    generator give. A loss that asks networks for more overrides :meth:`model`.
    """

    kind: ClassVar[Kind] = "loss"

    couples_samples: ClassVar[str] = ""
    """Why the loss of a batch is not the mean of its samples' losses, for a loss that compares them; else empty."""
    bf16_tolerance: ClassVar[float] = 0.1
    """Difference between the loss of bf16 networks and that of fp32 ones, as a share of that (of 0.05 at least)."""
    channels_last_tolerance: ClassVar[float] = 1e-3
    """The same for channels-last against the usual order."""
    channels_last_gradient_tolerance: ClassVar[float] = 1e-2
    """How far a gradient of the player may be off in channels-last order, as a share of its size."""

    @pytest.mark.parametrize("batch_index", range(2), ids=["small_batch", "large_batch"])
    @pytest.mark.parametrize("size_index", range(2), ids=["small", "large"])
    def test_ports_match(self, size_index: int, batch_index: int) -> None:
        """The loss works with what its ports need alone, and is a finite scalar in float32."""
        size, batch = self.sizes[size_index % len(self.sizes)], self.batches[batch_index % len(self.batches)]
        promise = "a loss works with what its ports need, and is a finite scalar in float32"
        for player in self.players():
            ports = self._ports(size, player)
            if size < ports.smallest_size or size % ports.size_multiple:
                raise BrokenPromise(promise, f"{size} is no size its ports allow", "set `sizes` in the contract")
            value = self._value(size=size, batch=batch, player=player)
            if not isinstance(value, Tensor) or value.dim() or value.dtype != torch.float32:
                shown = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise BrokenPromise(promise, f"it is {shown} for the {player}", "return .float().mean() or the like")
            if not bool(torch.isfinite(value)):
                raise BrokenPromise(promise, f"it is {float(value)} for the {player}", "find the division or logarithm")

    def test_gradients_reach_the_player(self) -> None:
        """Gradients are finite, reach the player whose loss it is, and nobody else."""
        promise = "gradients are finite, reach the player whose loss it is, and nobody else"
        size, batch = max(self.sizes), max(self.batches)
        for player in self.players():
            loss = self._loss(size, player)
            if isinstance(loss, nn.Module) and (
                own := [name for name, entry in loss.named_parameters() if entry.requires_grad]
            ):
                raise BrokenPromise(
                    promise,
                    f"the loss has parameters of its own that nobody trains: {own}",
                    "make them buffers, or freeze them",
                )
            model = self._trainable(self._model(size, player), player)
            self._call(loss, self._step(model, size, batch, player)).backward()
            gradients = {name: entry.grad for name, entry in model.named_parameters() if entry.grad is not None}
            if broken := [name for name, grad in gradients.items() if not bool(grad.isfinite().all())]:
                raise BrokenPromise(
                    promise, f"gradients that are not finite in {broken[:3]}", "find the division or root"
                )
            foreign = [name for name in gradients if (name.split(".")[0] == DISCRIMINATOR) != (player == DISCRIMINATOR)]
            if foreign:
                raise BrokenPromise(
                    promise, f"the {player}'s loss gives gradients to {foreign[:3]}", "do not switch requires_grad on"
                )
            if not any(bool(grad.any()) for grad in gradients.values()):
                raise BrokenPromise(promise, f"none reaches the {player}", "is there a detach() or no_grad() too many?")

    def test_is_deterministic(self) -> None:
        """The same step gives the same loss, whatever the global random state is."""
        for player in self.players():
            first = self._value(player=player)
            second = self._value(player=player, global_seed=self.seed + 1)
            if not torch.equal(first, second):
                raise BrokenPromise(
                    "the same step gives the same loss",
                    f"{float(first)!r} and {float(second)!r} for the {player}",
                    "draw from step.random only; keep no state between steps",
                )

    def test_samples_are_independent(self) -> None:
        """The loss of a batch is the mean of its samples' losses, or the contract says why not."""
        size = self.sizes[0]
        for player in self.players():
            ports = self._ports(size, player)
            count = max(3, *self.batches)
            if ports.smallest_batch > 1:
                continue  # its ports say that it compares samples
            whole = float(self._value(size=size, batch=count, player=player))
            each = [float(self._value(size=size, batch=count, player=player, only=row)) for row in range(count)]
            mean = sum(each) / count
            same = abs(whole - mean) <= 1e-3 * max(abs(mean), 1e-6)
            promise = "the loss of a batch is the mean of its samples' losses"
            if not same and not self.couples_samples:
                raise BrokenPromise(
                    promise,
                    f"{whole:.6g} for the batch and {mean:.6g} as the mean of its samples ({player})",
                    "average over samples last, or say why not in `couples_samples`",
                )

    def test_save_and_load(self) -> None:
        """A loss with buffers gives the same after saving and loading them."""
        size = self.sizes[0]
        for player in self.players():
            loss = self._loss(size, player)
            if not isinstance(loss, nn.Module):
                continue
            fresh = self._loss(size, player, seed=self.seed + 1)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "loss.safetensors"
                save_file({name: value.contiguous().clone() for name, value in loss.state_dict().items()}, file)
                cast("nn.Module", fresh).load_state_dict(load_file(file))
            one, other = self._value(player=player, loss=loss), self._value(player=player, loss=fresh)
            if not torch.equal(one, other):
                raise BrokenPromise(
                    "what is saved is all that a loss depends on",
                    f"{float(one)!r} before and {float(other)!r} after loading ({player})",
                    "register tensors that matter as persistent buffers, or derive them from the options",
                )

    def test_bf16_agrees(self) -> None:
        """With networks in bf16 the loss agrees with fp32 within ``bf16_tolerance``."""
        self._agrees(Precision(_CPU, "bf16"), self.bf16_tolerance, "with networks in bf16", "raise `bf16_tolerance`")

    def test_channels_last_agrees(self) -> None:
        """With networks and images in channels-last order, the loss and the player's gradients agree.

        The loss may differ by ``channels_last_tolerance``, a gradient by ``channels_last_gradient_tolerance`` of its
        root mean square, or of a hundredth of that of the largest gradient where its own is smaller. It runs under the
        guard that training has (:func:`facekit.training.convolution_guard.right_gradients`).
        """
        precision = Precision(_CPU, "fp32", channels_last=True)
        with right_gradients(_CPU):
            self._agrees(
                precision, self.channels_last_tolerance, "in channels-last order", "never read the memory order"
            )
            for player in self.players():
                usual, other = self._gradients(player, Precision(_CPU, "fp32")), self._gradients(player, precision)
                check_gradients_agree(usual, other, self.channels_last_gradient_tolerance, whose=f" of the {player}")

    def test_fake_tensors(self) -> None:
        """The loss runs forward and backward on fake tensors."""
        size, batch = self.sizes[0], max(self.batches)
        for player in self.players():
            loss = self._loss(size, player, probe=True)  # as the shape check does: losses are built for real
            try:
                with seeded(self.seed), FakeTensorMode(allow_non_fake_inputs=True):
                    model = self._trainable(self._model(size, player), player)
                    loss(self._step(model, size, batch, player)).backward()
            except Exception as error:
                raise BrokenPromise(
                    "a recipe's shapes can be checked without computing anything",
                    f"{type(error).__name__} on fake tensors: {error}",
                    "do not look at numbers (item(), bool(), nonzero) in the loss, or declare `probe=` in the spec",
                ) from error

    def test_leaves_the_step_alone(self) -> None:
        """The loss changes nothing that other losses of the step read."""
        for player in self.players():
            size = self.sizes[0]
            model = self._trainable(self._model(size, player), player)
            step = self._step(model, size, max(self.batches), player)
            watched = _tensors_of(step.batch)
            before = {name: value.detach().clone() for name, value in watched.items()}

            for name, network in model.named_children():
                network.register_forward_hook(
                    partial(_keep, f"what the {name.replace('_', ' ')} gave", watched, before)
                )
            self._call(self._loss(size, player), step)
            if changed := [name for name, value in watched.items() if not torch.equal(value.detach(), before[name])]:
                raise BrokenPromise(
                    "a loss changes nothing that other losses read",
                    f"it changed {', '.join(changed)}",
                    "do not work in place",
                )

    # What it is tried on

    def players(self) -> tuple[Player, ...]:
        """Return the players it is tried for: the contract's ``player``, or all that the spec declares."""
        return (self.player,) if self.player else self.spec.players

    def model(self, size: int, player: Player) -> FaceModel:
        """Return the networks it is tried on; override it for a loss that asks networks for more than its ports."""
        return bench_model(
            self._ports(size, player).needs,
            classes=len(self.label_map),
            attributes=len(self.attribute_names),
            settled=self.settled(size, max(self.batches)),
        )

    # Helpers

    def _ports(self, size: int, player: Player) -> Any:
        context = self.port_context(size)
        return self.spec.ports(self.validated(), type(context)(context.size, context.label_maps, player))

    def _loss(self, size: int, player: Player, *, seed: int | None = None, probe: bool = False) -> Any:
        context = self.build_context(size)
        told = {field.name: getattr(context, field.name) for field in fields(context)} | {"player": player}
        build = self.spec.build_probe if probe else self.spec.build
        with seeded(self.seed if seed is None else seed), promised("the loss can be built from its options"):
            return build(self.validated(), BuildContext(**told))

    def _model(self, size: int, player: Player) -> FaceModel:
        with seeded(self.seed):
            return self.model(size, player).requires_grad_(False)

    @staticmethod
    def _trainable(model: FaceModel, player: Player) -> FaceModel:
        for name, network in model.named_children():
            if (name == DISCRIMINATOR) == (player == DISCRIMINATOR):
                network.requires_grad_(True)
        return model

    def _batch(self, size: int, batch: int, player: Player) -> FaceBatch:
        needs = self._ports(size, player)
        return bench_batch(
            needs.needs,
            size=size,
            batch=max(batch, needs.smallest_batch),
            label_map=self.label_map,
            attributes=len(self.attribute_names),
            seed=self.seed,
        )

    def _step(
        self,
        model: FaceModel,
        size: int,
        batch: int,
        player: Player,
        *,
        precision: Precision | None = None,
        only: int | None = None,
    ) -> TrainingStep:
        faces = self._batch(size, batch, player)
        if only is not None:
            faces = _row(faces, only)
        chosen = precision or Precision(_CPU, "fp32")
        return bench_step(model, chosen.place_batch(faces), player=player, precision=chosen, seed=self.seed)

    def _value(
        self,
        *,
        player: Player,
        size: int | None = None,
        batch: int | None = None,
        precision: Precision | None = None,
        global_seed: int | None = None,
        loss: Any = None,
        only: int | None = None,
    ) -> Tensor:
        size = size or self.sizes[0]
        loss = self._loss(size, player) if loss is None else loss
        model = self._trainable(self._model(size, player), player)
        if precision is not None:
            model = precision.place(model)
        step = self._step(model, size, batch or max(self.batches), player, precision=precision, only=only)
        with seeded(self.seed if global_seed is None else global_seed):
            value = self._call(loss, step)
        return value.detach() if isinstance(value, Tensor) else value

    def _gradients(self, player: Player, precision: Precision) -> dict[str, Tensor]:
        """Return the gradients of the player's parameters, by name."""
        size = self.sizes[0]
        model = precision.place(self._trainable(self._model(size, player), player))
        step = self._step(model, size, max(self.batches), player, precision=precision)
        with seeded(self.seed):
            value = self._call(self._loss(size, player), step)
        return gradients_of(value, dict(model.named_parameters()))

    @staticmethod
    def _call(loss: Any, step: TrainingStep) -> Tensor:
        with promised("a loss works with what its ports need"):
            return cast("Tensor", loss(step))

    def _agrees(self, precision: Precision, tolerance: float, how: str, remedy: str) -> None:
        for player in self.players():
            usual = float(self._value(player=player))
            other = float(self._value(player=player, precision=precision))
            off = abs(usual - other) / max(abs(usual), _SMALL_LOSS)
            if not off <= tolerance:
                raise BrokenPromise(
                    f"{how} the loss is the same within {tolerance:g}",
                    f"{other:.6g} instead of {usual:.6g} for the {player}, off by {off:.3g}",
                    f"{remedy}, or compute in fp32",
                )


def _row(batch: FaceBatch, row: int) -> FaceBatch:
    part = slice(row, row + 1)
    return replace(map_tensors(replace(batch, keys=()), lambda tensor: tensor[part]), keys=batch.keys[part])


def _tensors_of(batch: FaceBatch) -> dict[str, Tensor]:
    found = {"image": batch.image, "mask": batch.mask, "attributes": batch.attributes, **batch.extra}
    if batch.reference is not None:
        found |= {"reference.image": batch.reference.image, "reference.mask": batch.reference.mask}
    return {name: value for name, value in found.items() if value is not None}


def _keep(
    name: str, watched: dict[str, Tensor], before: dict[str, Tensor], module: nn.Module, given: Any, result: Any
) -> None:
    """Keep what a network gave, and a copy of it."""
    for number, tensor in enumerate(tensors_in(result)):
        watched[f"{name} ({number})"], before[f"{name} ({number})"] = tensor, tensor.detach().clone()
