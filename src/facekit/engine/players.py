"""Players: who is trained, on which losses, and how their weights are updated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from facekit.engine.model import FaceModel
from facekit.engine.precision import Precision
from facekit.engine.schedule import RateFactor, weight_at
from facekit.engine.torch_optimiser import make_optimiser, scaled_rate
from facekit.interfaces import BuildContext, FacekitError, LabelMap, Loss, Player, Step, UpdatedEarly, did_you_mean
from facekit.recipe.resolved import ResolvedRecipe, UpdateChoices
from facekit.recipe.settings import FreezeSettings, Slot, WeightRamp

SLOTS_OF: dict[Player, tuple[Slot, ...]] = {
    "generator": ("style_encoder", "generator"),
    "discriminator": ("discriminator",),
}
"""The places of a model that each player trains."""


@dataclass(frozen=True)
class WeightedLoss:
    """A loss of a player.

    Args:
        label: its name in logs.
        weight: factor on its value.
        loss: what computes it.
        every: it is computed at every n-th step, counted n times there.
        steps: steps of the run, over which the weight may change; None computes it with its largest weight.
    """

    label: str
    weight: float | WeightRamp
    loss: Loss
    every: int = 1
    steps: int | None = None

    def __call__(self, step: Step) -> Tensor:
        """Return the weighted loss, a scalar in float32: 0 at steps where it is left out or weighs nothing."""
        weight = weight_at(self.weight, step=step.index, steps=self.steps)
        if step.index % self.every or not weight:
            return torch.zeros((), device=step.batch.image.device)
        value = self.loss(step)
        if value.numel() != 1:
            raise FacekitError(
                f"the loss {step.player}/{self.label} gave a tensor of shape {tuple(value.shape)}, not one number"
            )
        return value.float().reshape(()) * (weight * self.every)


class PlayerInTraining:
    """A player: its losses, its weights and its optimiser.

    Args:
        name: which player.
        model: the model.
        losses: its losses, at least one.
        updates: the optimisers and schedules of the recipe.
        lr_scale: factors on the learning rates of networks and parts of networks.
        frozen: parts of the model that are not trained at first.
        steps: steps of the run.
        gradient_clip: largest norm of its gradient.
        early: whether large weights may be updated while the backward pass goes on, in networks that allow it.
    """

    def __init__(
        self,
        *,
        name: Player,
        model: FaceModel,
        losses: Sequence[WeightedLoss],
        updates: UpdateChoices,
        lr_scale: Mapping[str, float],
        frozen: Sequence[FreezeSettings],
        steps: int,
        gradient_clip: float | None,
        early: bool = False,
    ) -> None:
        self.name: Player = name
        self.losses = tuple(losses)
        self.gradient_clip = gradient_clip
        self.parameters: dict[str, nn.Parameter] = {}
        self.factor = RateFactor(updates.schedule_of(name), player=name, steps=steps)
        """The factor on its learning rates at a step."""
        optimiser = updates.optimiser_of(name)
        self._trained_from: dict[str, float] = {}
        self._rates: dict[str, float] = {}
        rates: dict[str, float] = {}
        updated_early: list[str] = []
        for slot in SLOTS_OF[name]:
            network = model.slot(slot)
            # A weight that both networks of a player use is trained once, under its first name.
            known = {id(parameter) for parameter in self.parameters.values()}
            named = [] if network is None else network.named_parameters()
            own = {f"{slot}.{key}": parameter for key, parameter in named if id(parameter) not in known}
            if not own:
                continue
            self.parameters.update(own)
            for part in (slot, *(key for key in lr_scale if key.startswith(f"{slot}."))):
                self._rates[part] = scaled_rate(part, optimiser.lr, lr_scale)
            rates.update({key: scaled_rate(key, optimiser.lr, lr_scale) for key in own})
            # A gradient is clipped by its whole length, which is known when all of it is there.
            if early and gradient_clip is None and isinstance(network, UpdatedEarly) and network.updated_early:
                updated_early += own
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
        self.optimiser = make_optimiser(
            optimiser.choice,
            player=name,
            steps=steps,
            parameters=self.parameters,
            rates=rates,
            early=updated_early,
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

    def learning_rates(self, step: int) -> dict[str, float]:
        """Return the learning rate of each network at a step, and of each part that has one of its own."""
        factor = self.factor(step)
        return {part: rate * factor for part, rate in self._rates.items()}


def has_losses(recipe: ResolvedRecipe, player: Player) -> bool:
    """Return whether a player has losses; those of weight 0 do not count, and are not computed."""
    return any(loss.weight for loss in recipe.losses_of(player))


LossesOf = Mapping[Player, Sequence[WeightedLoss]]
"""The losses of the players that have any."""


def build_losses(
    recipe: ResolvedRecipe,
    *,
    precision: Precision,
    label_map: LabelMap,
    attribute_names: tuple[str, ...],
    steps: int | None = None,
) -> dict[Player, list[WeightedLoss]]:
    """Build the losses of a recipe, in the order of the turns: discriminator, generator; without those of weight 0.

    Args:
        recipe: the recipe.
        precision: where losses that are modules are placed.
        label_map: the label map of the data.
        attribute_names: the attributes of the data, in order.
        steps: steps of the run; None for weights that are the largest of the run.

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
            losses.setdefault(player, []).append(WeightedLoss(choice.label, choice.weight, loss, choice.every, steps))
    return losses


def build_players(
    recipe: ResolvedRecipe, *, model: FaceModel, losses: LossesOf, steps: int, early: bool = False
) -> dict[Player, PlayerInTraining]:
    """Build the players that have losses, in the order of their turns. All weights are frozen until a turn begins.

    Args:
        recipe: the recipe.
        model: the model.
        losses: the losses of each.
        steps: steps of the run.
        early: whether large weights may be updated while the backward pass goes on, in networks that allow it.

    Raises:
        FacekitError: a part that is to be frozen, or to have a learning rate of its own, does not exist; or an
            optimiser or a schedule cannot be built.
    """
    for part in recipe.train.optimiser.lr_scale:
        part_of(model, part, where=f"train.optimiser.lr_scale.{part}")
    for setting in recipe.train.freeze:
        part_of(model, setting.part, where="train.freeze")
    model.requires_grad_(False)
    return {
        name: PlayerInTraining(
            name=name,
            model=model,
            losses=own,
            updates=recipe.updates,
            lr_scale=recipe.train.optimiser.lr_scale,
            frozen=recipe.train.freeze,
            steps=steps,
            gradient_clip=recipe.train.gradient_clip,
            early=early,
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
