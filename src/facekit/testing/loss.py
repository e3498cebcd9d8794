"""What a loss promises."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, cast

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from facekit.interfaces import DISCRIMINATOR, FaceBatch, Player, Ports, map_tensors
from facekit.registry import Kind
from facekit.testing.contract import BrokenPromise, ComponentContract, every_form, promise, seeded
from facekit.testing.outputs import check_gradients_agree, gradients_of, tensors_in
from facekit.testing.toy_step import bench_batch, bench_model, bench_step
from facekit.training.convolution_guard import right_gradients
from facekit.training.networks import FaceModel
from facekit.training.precision import Precision
from facekit.training.step import TrainingStep

_CPU = torch.device("cpu")
_USUAL = Precision(_CPU, "fp32")
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

    @every_form
    @promise
    def test_ports_match(self, size_index: int, batch_index: int) -> None:
        """A loss works with what its ports need, and is a finite scalar in float32."""
        for player in self.players():
            ports = self._ports(self.sizes[size_index % len(self.sizes)], player)
            size, batch = self.form(size_index, batch_index, ports)
            value: Any = self._value(player, size=size, batch=batch)
            if not isinstance(value, Tensor) or value.dim() or value.dtype != torch.float32:
                shown = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise BrokenPromise(f"it is {shown} for the {player}", "return .float().mean() or the like")
            if not bool(torch.isfinite(value)):
                raise BrokenPromise(f"it is {float(value)} for the {player}", "find the division or logarithm")

    @promise
    def test_gradients_reach_the_player(self) -> None:
        """Gradients are finite, reach the player whose loss it is, and nobody else."""
        size, batch = max(self.sizes), max(self.batches)
        for player in self.players():
            loss = self._loss(size, player)
            own = loss.named_parameters() if isinstance(loss, nn.Module) else ()
            if trainable := [name for name, entry in own if entry.requires_grad]:
                seen = f"the loss has parameters of its own that nobody trains: {trainable}"
                raise BrokenPromise(seen, "make them buffers, or freeze them")
            step = self._step(player, size=size, batch=batch)
            loss(step).backward()
            named = step.networks.model.named_parameters()
            gradients = {name: entry.grad for name, entry in named if entry.grad is not None}
            if broken := [name for name, each in gradients.items() if not bool(each.isfinite().all())]:
                raise BrokenPromise(f"gradients that are not finite in {broken[:3]}", "find the division or root")
            if foreign := [name for name in gradients if not _trains(player, name.split(".")[0])]:
                seen = f"the {player}'s loss gives gradients to {foreign[:3]}"
                raise BrokenPromise(seen, "do not switch requires_grad on")
            if not any(bool(each.any()) for each in gradients.values()):
                raise BrokenPromise(f"none reaches the {player}", "is there a detach() or no_grad() too many?")

    @promise
    def test_is_deterministic(self) -> None:
        """The same step gives the same loss, whatever the global random state is."""
        for player in self.players():
            first, second = self._value(player), self._value(player, global_seed=self.seed + 1)
            if not torch.equal(first, second):
                seen = f"{float(first)!r} and {float(second)!r} for the {player}"
                raise BrokenPromise(seen, "draw from step.random only; keep no state between steps")

    @promise
    def test_samples_are_independent(self) -> None:
        """The loss of a batch is the mean of its samples' losses.

        Or the contract or the ports say why not.
        """
        count = max(3, *self.batches)
        for player in self.players():
            if self.couples_samples or self._ports(self.sizes[0], player).smallest_batch > 1:
                continue
            whole = float(self._value(player, batch=count))
            mean = sum(float(self._value(player, batch=count, only=row)) for row in range(count)) / count
            if abs(whole - mean) > 1e-3 * max(abs(mean), 1e-6):
                raise BrokenPromise(
                    f"{whole:.6g} for the batch and {mean:.6g} as the mean of its samples ({player})",
                    "average over samples last, or say why not in `couples_samples`",
                )

    @promise
    def test_save_and_load(self) -> None:
        """What is saved is all that a loss depends on."""
        for player in self.players():
            loss, fresh = self._loss(self.sizes[0], player), self._loss(self.sizes[0], player, seed=self.seed + 1)
            if not isinstance(loss, nn.Module):
                continue
            state = {name: value.contiguous().clone() for name, value in loss.state_dict().items()}
            cast("nn.Module", fresh).load_state_dict(load(save(state)))
            one, other = self._value(player, loss=loss), self._value(player, loss=fresh)
            if not torch.equal(one, other):
                raise BrokenPromise(
                    f"{float(one)!r} before and {float(other)!r} after loading ({player})",
                    "register tensors that matter as persistent buffers, or derive them from the options",
                )

    @promise
    def test_bf16_agrees(self) -> None:
        """With networks in bf16 the loss agrees with fp32 within ``bf16_tolerance``."""
        remedy = "raise `bf16_tolerance`, or compute in fp32"
        self._agrees(Precision(_CPU, "bf16"), self.bf16_tolerance, remedy)

    @promise
    def test_channels_last_agrees(self) -> None:
        """With networks and images in channels-last order, the loss and the player's gradients agree.

        The loss may differ by ``channels_last_tolerance``, a gradient by ``channels_last_gradient_tolerance`` of its
        root mean square, or of a hundredth of that of the largest gradient where its own is smaller. It runs under the
        guard that training has (:func:`facekit.training.convolution_guard.right_gradients`).
        """
        precision = Precision(_CPU, "fp32", channels_last=True)
        with right_gradients(_CPU):
            remedy = "never read the memory order, or compute in fp32"
            self._agrees(precision, self.channels_last_tolerance, remedy)
            for player in self.players():
                usual, other = (self._gradients(player, each) for each in (_USUAL, precision))
                check_gradients_agree(usual, other, self.channels_last_gradient_tolerance, whose=f" of the {player}")

    @promise
    def test_fake_tensors(self) -> None:
        """A recipe's shapes can be checked without computing anything.

        The loss runs forward and backward on fake tensors.
        """
        for player in self.players():
            loss = self._loss(self.sizes[0], player, probe=True)  # as the shape check does: losses are built for real
            try:
                with seeded(self.seed), FakeTensorMode(allow_non_fake_inputs=True):
                    loss(self._step(player)).backward()
            except Exception as error:
                raise BrokenPromise(
                    f"{type(error).__name__} on fake tensors: {error}",
                    "do not look at numbers (item(), bool(), nonzero) in the loss, or declare `probe=` in the spec",
                ) from error

    @promise
    def test_leaves_the_step_alone(self) -> None:
        """A loss changes nothing that other losses read."""
        for player in self.players():
            if changed := self._changed(player):
                raise BrokenPromise(f"it changed {', '.join(changed)}", "do not work in place")

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

    def batch(self, size: int, count: int, player: Player) -> FaceBatch:
        """Return faces with what the ports need."""
        ports = self._ports(size, player)
        return bench_batch(
            ports.needs,
            size=size,
            batch=max(count, ports.smallest_batch),
            label_map=self.label_map,
            attributes=len(self.attribute_names),
            seed=self.seed,
        )

    def _ports(self, size: int, player: Player) -> Ports:
        return self.spec.ports(self.validated(), replace(self.port_context(size), player=player))

    def _loss(self, size: int, player: Player, *, seed: int | None = None, probe: bool = False) -> Any:
        context = replace(self.build_context(size), player=player)
        build = self.spec.build_probe if probe else self.spec.build
        with seeded(self.seed if seed is None else seed):
            return build(self.validated(), context)

    def _step(
        self,
        player: Player,
        *,
        size: int | None = None,
        batch: int | None = None,
        precision: Precision = _USUAL,
        only: int | None = None,
    ) -> TrainingStep:
        """Return a step in which the player trains, on one face of the batch ``only`` where it is given."""
        size = size or self.sizes[0]
        with seeded(self.seed):
            model = self.model(size, player)
        for name, network in model.named_children():
            network.requires_grad_(_trains(player, name))
        faces = self.batch(size, batch or max(self.batches), player)
        if only is not None:
            row = slice(only, only + 1)
            cut = map_tensors(replace(faces, keys=()), lambda tensor: tensor[row])
            faces = replace(cut, keys=faces.keys[row])
        if precision != _USUAL:  # tensors without numbers cannot be placed
            model = precision.place(model)
        faces = precision.place_batch(faces)
        return bench_step(model, faces, player=player, precision=precision, seed=self.seed)

    def _value(self, player: Player, *, loss: Any = None, global_seed: int | None = None, **where: Any) -> Tensor:
        """Return the loss of a step; ``where`` as for :meth:`_step`."""
        loss = loss or self._loss(where.get("size", self.sizes[0]), player)
        step = self._step(player, **where)
        with seeded(self.seed if global_seed is None else global_seed):
            value = loss(step)
        return value.detach() if isinstance(value, Tensor) else value

    def _changed(self, player: Player) -> list[str]:
        """Return what the loss changed of the batch and of what networks gave."""
        step = self._step(player)
        watched = _tensors_of(step.batch)
        before = {name: value.detach().clone() for name, value in watched.items()}

        def keep(name: str, module: nn.Module, given: Any, result: Any) -> None:
            for number, tensor in enumerate(tensors_in(result)):
                title = f"what the {name.replace('_', ' ')} gave ({number})"
                watched[title], before[title] = tensor, tensor.detach().clone()

        for name, network in step.networks.model.named_children():
            network.register_forward_hook(partial(keep, name))
        self._loss(self.sizes[0], player)(step)
        return [name for name, value in watched.items() if not torch.equal(value.detach(), before[name])]

    def _gradients(self, player: Player, precision: Precision) -> dict[str, Tensor]:
        """Return the gradients of the player's parameters, by name."""
        loss, step = self._loss(self.sizes[0], player), self._step(player, precision=precision)
        with seeded(self.seed):
            value = loss(step)
        return gradients_of(value, dict(step.networks.model.named_parameters()))

    def _agrees(self, precision: Precision, tolerance: float, remedy: str) -> None:
        for player in self.players():
            usual, other = (float(self._value(player, precision=each)) for each in (_USUAL, precision))
            off = abs(usual - other) / max(abs(usual), _SMALL_LOSS)
            if not off <= tolerance:
                seen = f"{other:.6g} instead of {usual:.6g} for the {player}, off by {off:.3g}, over {tolerance:g}"
                raise BrokenPromise(seen, remedy)


def _trains(player: Player, network: str) -> bool:
    """Return whether a player trains a network: the discriminator itself, and the other player all others."""
    return (network == DISCRIMINATOR) == (player == DISCRIMINATOR)


def _tensors_of(batch: FaceBatch) -> dict[str, Tensor]:
    found = {"image": batch.image, "mask": batch.mask, "attributes": batch.attributes, **batch.extra}
    if batch.reference is not None:
        found |= {"reference.image": batch.reference.image, "reference.mask": batch.reference.mask}
    return {name: value for name, value in found.items() if value is not None}
