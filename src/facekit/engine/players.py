"""Players: who is trained, on which losses, and how their weights are updated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from facekit.engine.model import FaceModel
from facekit.engine.precision import Precision
from facekit.interfaces import BuildContext, FacekitError, LabelMap, Loss, Player, Step, did_you_mean
from facekit.recipe.resolved import ResolvedRecipe
from facekit.recipe.settings import FreezeSettings, OptimiserSettings, ScheduleSettings, Slot

SLOTS_OF: dict[Player, tuple[Slot, ...]] = {
    "generator": ("style_encoder", "generator"),
    "discriminator": ("discriminator",),
}
"""The places of a model that each player trains."""


@dataclass(frozen=True)
class WeightedLoss:
    """A loss of a player: its name in logs, its weight, and what computes it."""

    label: str
    weight: float
    loss: Loss

    def __call__(self, step: Step) -> Tensor:
        """Return the weighted loss, a scalar in float32."""
        value = self.loss(step)
        if value.numel() != 1:
            raise FacekitError(
                f"the loss {step.player}/{self.label} gave a tensor of shape {tuple(value.shape)}, not one number"
            )
        return value.float().reshape(()) * self.weight


class PlayerInTraining:
    """A player: its losses, its weights and its optimiser.

    Args:
        name: which player.
        model: the model.
        losses: its losses, at least one.
        optimiser: how its weights are updated.
        frozen: parts of the model that are not trained at first.
        steps: steps of the run.
        gradient_clip: largest norm of its gradient.
    """

    def __init__(
        self,
        *,
        name: Player,
        model: FaceModel,
        losses: Sequence[WeightedLoss],
        optimiser: OptimiserSettings,
        frozen: Sequence[FreezeSettings],
        steps: int,
        gradient_clip: float | None,
    ) -> None:
        self.name: Player = name
        self.losses = tuple(losses)
        self.gradient_clip = gradient_clip
        self.parameters: dict[str, nn.Parameter] = {}
        # What the optimiser updates: the same numbers in the order in which they lie in memory. Given channels-last
        # weights, torch's fused optimisers copy each of them every step, which takes longer than the update.
        self._views: dict[str, Tensor] = {}
        self._trained_from: dict[str, float] = {}
        self._rates: dict[str, float] = {}
        groups: list[dict[str, object]] = []
        for slot in SLOTS_OF[name]:
            network = model.slot(slot)
            parameters = (
                {} if network is None else {f"{slot}.{key}": value for key, value in network.named_parameters()}
            )
            if not parameters:
                continue
            self.parameters.update(parameters)
            self._rates[slot] = optimiser.lr * optimiser.lr_scale.get(slot, 1.0)
            views = {key: in_storage_order(parameter.detach()) for key, parameter in parameters.items()}
            self._views.update(views)
            groups.append({"params": list(views.values()), "name": slot, "lr": self._rates[slot]})
        if not self.parameters:
            raise FacekitError(
                f"the {name} has losses but no weights to train", where=f"losses.{name}", remedy="take its losses out"
            )
        for setting in frozen:
            for key in self.parameters:
                if key == setting.part or key.startswith(setting.part + "."):
                    # A part that several settings name is trained when the last of them lets it go.
                    start = float("inf") if setting.until >= 1 else setting.until * steps
                    self._trained_from[key] = max(start, self._trained_from.get(key, 0.0))
        family = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimiser.use]
        self.optimiser: torch.optim.Optimizer = family(
            groups,
            betas=optimiser.betas,
            eps=optimiser.eps,
            weight_decay=optimiser.weight_decay,
            fused=True,
        )

    def is_trained(self, key: str, step: int) -> bool:
        """Return whether a weight is trained at a step."""
        return step >= self._trained_from.get(key, 0.0)

    @contextmanager
    def awake(self, step: int) -> Iterator[None]:
        """Let the player's weights take gradients while the context lasts; then they are as they were before."""
        before = [parameter.requires_grad for parameter in self.parameters.values()]
        for key, parameter in self.parameters.items():
            parameter.requires_grad_(self.is_trained(key, step))
        try:
            with torch.enable_grad():
                yield
        finally:
            for parameter, was in zip(self.parameters.values(), before, strict=True):
                parameter.requires_grad_(was)

    def clip(self) -> Tensor | None:
        """Scale a gradient that is longer than ``gradient_clip`` down to it.

        Returns:
            the norm of the whole gradient before, a scalar; None where nothing is clipped.
        """
        if self.gradient_clip is None:
            return None
        return torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.gradient_clip, foreach=True)

    def update(self, factor: float) -> None:
        """Update the weights from their gradients, with every learning rate times ``factor``."""
        for group in self.optimiser.param_groups:
            group["lr"] = self._rates[group["name"]] * factor
        for key, parameter in self.parameters.items():
            gradient, parameter.grad = parameter.grad, None
            self._views[key].grad = None if gradient is None else in_storage_order(gradient, like=parameter)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def learning_rates(self, factor: float) -> dict[str, float]:
        """Return the learning rate of each place of the model."""
        return {slot: rate * factor for slot, rate in self._rates.items()}

    def optimiser_state(self) -> dict[str, Tensor]:
        """Return the optimiser's moments and counts by name, ``generator.stem.weight/exp_avg``."""
        state: dict[str, Tensor] = {}
        for key, parameter in self.parameters.items():
            view = self._views[key]
            for name, value in self.optimiser.state.get(view, {}).items():
                tensor = torch.as_tensor(value)
                state[f"{key}/{name}"] = from_storage_order(tensor, parameter) if tensor.shape == view.shape else tensor
        return state

    def load_optimiser_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`optimiser_state` returned; entries of other players are left alone."""
        self.optimiser.state.clear()
        for name, tensor in state.items():
            key, _, entry = name.rpartition("/")
            parameter = self.parameters.get(key)
            if parameter is None:
                continue
            if tensor.shape == parameter.shape:
                moments = torch.empty_like(parameter, dtype=tensor.dtype, requires_grad=False).copy_(tensor)
                value = in_storage_order(moments)
            else:
                value = tensor.to(parameter.device)
            self.optimiser.state[self._views[key]][entry] = value


def _lies_channels_last(tensor: Tensor) -> bool:
    return tensor.dim() == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)


def in_storage_order(tensor: Tensor, *, like: Tensor | None = None) -> Tensor:
    """Return a tensor as its numbers lie in memory: channels-last ones as N,H,W,C, others as they are.

    Args:
        tensor: no numbers are copied unless it lies otherwise than ``like``.
        like: a tensor of the same shape whose order is wanted; its own by default.
    """
    if not _lies_channels_last(tensor if like is None else like):
        return tensor
    return tensor.permute(0, 2, 3, 1).contiguous()


def from_storage_order(tensor: Tensor, like: Tensor) -> Tensor:
    """Return what :func:`in_storage_order` made of a tensor of the shape and memory format of ``like`` as it was."""
    return tensor.permute(0, 3, 1, 2) if _lies_channels_last(like) else tensor


def schedule_factor(settings: ScheduleSettings, *, step: int, steps: int) -> float:
    """Return the factor on the learning rates at a step, a pure function.

    Args:
        settings: the schedule.
        step: the step, from 0.
        steps: steps of the run. ``linear_decay`` would reach 0 at step ``steps``, one after the last.
    """
    factor = 1.0
    if step < settings.warmup_steps:
        factor = (step + 1) / settings.warmup_steps
    start = settings.decay_from * steps
    if settings.use == "linear_decay" and step > start:
        factor *= (steps - step) / (steps - start)
    return factor


def has_losses(recipe: ResolvedRecipe, player: Player) -> bool:
    """Return whether a player has losses; those of weight 0 do not count, and are not computed."""
    return any(loss.weight for loss in recipe.losses_of(player))


LossesOf = Mapping[Player, Sequence[WeightedLoss]]
"""The losses of the players that have any."""


def build_losses(
    recipe: ResolvedRecipe, *, precision: Precision, label_map: LabelMap, attribute_names: tuple[str, ...]
) -> dict[Player, list[WeightedLoss]]:
    """Build the losses of a recipe, in the order of the turns: discriminator, generator; without those of weight 0.

    Raises:
        FacekitError: the generator has no loss, or a loss cannot be built.
    """
    if not has_losses(recipe, "generator"):
        raise FacekitError("the generator has no losses, so there is nothing to train", where="losses.generator")
    losses: dict[Player, list[WeightedLoss]] = {}
    order: tuple[Player, ...] = ("discriminator", "generator")
    for player in order:
        for choice in recipe.losses_of(player):
            if not choice.weight:
                continue
            context = BuildContext(
                label_map=label_map,
                attribute_names=attribute_names,
                size=recipe.data.size,
                dimensions=recipe.dimensions,
                player=player,
            )
            loss = choice.choice.build(context)
            if isinstance(loss, nn.Module):
                # Losses are not trained: gradients of their own weights (a perceptual network's) would be for nothing.
                loss = precision.place(loss).requires_grad_(False)
            losses.setdefault(player, []).append(WeightedLoss(choice.label, choice.weight, loss))
    return losses


def build_players(
    recipe: ResolvedRecipe, *, model: FaceModel, losses: LossesOf, steps: int
) -> dict[Player, PlayerInTraining]:
    """Build the players that have losses, in the order of their turns. All weights are frozen until a turn begins.

    Raises:
        FacekitError: a part that is to be frozen does not exist.
    """
    for setting in recipe.train.freeze:
        part_of(model, setting.part, where="train.freeze")
    model.requires_grad_(False)
    return {
        name: PlayerInTraining(
            name=name,
            model=model,
            losses=own,
            optimiser=recipe.train.optimiser,
            frozen=recipe.train.freeze,
            steps=steps,
            gradient_clip=recipe.train.gradient_clip,
        )
        for name, own in losses.items()
    }


def loss_buffers(players: Mapping[Player, PlayerInTraining]) -> dict[str, Tensor]:
    """Return the buffers of losses that are modules (running means and the like), by ``player/label.buffer``.

    Only those that belong to the state: the frozen weights of a perceptual network are buffers that do not.
    """
    return {
        f"{player.name}/{entry.label}.{key}": buffer
        for player in players.values()
        for entry in player.losses
        if isinstance(entry.loss, nn.Module)
        for key, buffer in entry.loss.named_buffers()
        if key in entry.loss.state_dict()
    }


def part_of(model: FaceModel, part: str, *, where: str) -> nn.Module:
    """Return a part of the model by name: a slot, or slot and submodule.

    Raises:
        FacekitError: there is no such part; the message names those that look like it.
    """
    modules = dict(model.named_modules())
    modules.pop("")
    if part not in modules:
        raise FacekitError(
            f"the model has no part {part!r}",
            where=where,
            remedy=did_you_mean(part, modules) or f"parts: {', '.join(name for name, _ in model.named_children())}",
        )
    return modules[part]
