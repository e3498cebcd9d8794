"""Players: who is trained, on which losses, and how their weights are updated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from facekit.interfaces import (
    BuildContext,
    FacekitError,
    LabelMap,
    Loss,
    Player,
    Stateful,
    Step,
    did_you_mean,
)
from facekit.recipe.resolved import ResolvedRecipe, UpdateChoices, networks_of
from facekit.recipe.settings import FreezeSettings, WeightRamp
from facekit.training import failures
from facekit.training.checkpoint import checkpoints
from facekit.training.failures import Culprit, failures_in
from facekit.training.networks import FaceModel
from facekit.training.optimiser import make_optimiser, scaled_rate
from facekit.training.precision import HalfWeights, Precision
from facekit.training.schedule import RateFactor, weight_at


@dataclass(frozen=True)
class WeightedLoss:
    """A loss of a player.

    Args:
        every: it is computed at every n-th step, counted n times there.
        steps: steps of the run, over which the weight may change; None computes it with its largest weight.
    """

    label: str
    weight: float | WeightRamp
    loss: Loss
    culprit: Culprit
    every: int = 1
    steps: int | None = None

    def weight_now(self, index: int) -> float:
        """Return the factor on its value at a step, from 0: 0 where it is left out or weighs nothing."""
        return 0.0 if index % self.every else weight_at(self.weight, step=index, steps=self.steps)

    def __call__(self, step: Step) -> Tensor:
        """Return the weighted loss, a scalar in float32: 0 at steps where it is left out or weighs nothing.

        Raises:
            FacekitError: it fails, or gives anything but one number; the message names it, its place and its plugin.
        """
        weight = self.weight_now(step.index)
        if not weight:
            return torch.zeros((), device=step.batch.image.device)
        culprit = self.culprit
        with failures_in(culprit, "fails"):
            value = self.loss(step)
        if not isinstance(value, Tensor):
            gave = f"{culprit.title} gave {type(value).__name__}, not a tensor"
            raise culprit.error(gave, remedy="let it return its value")
        if value.numel() != 1:
            gave = f"{culprit.title} gave a tensor of shape {tuple(value.shape)}, not one number"
            raise culprit.error(gave, remedy="take the mean over samples")
        return value.float().reshape(()) * (weight * self.every)


class PlayerInTraining:
    """A player: its losses, its weights and its optimiser.

    Args:
        lr_scale: factors on the learning rates of networks and parts of networks.
        frozen: parts of the model that are not trained at first.
        half: the copies in bf16 that networks compute with; None where they compute with the weights themselves.
    """

    def __init__(
        self,
        *,
        name: Player,
        model: FaceModel,
        trained: Sequence[str],
        losses: Sequence[WeightedLoss],
        updates: UpdateChoices,
        lr_scale: Mapping[str, float],
        frozen: Sequence[FreezeSettings],
        steps: int,
        gradient_clip: float | None,
        turns: int = 1,
        half: HalfWeights[FaceModel] | None = None,
    ) -> None:
        self.name: Player = name
        self.trained = frozenset(trained)
        self.turns = turns
        self.losses = tuple(losses)
        self.gradient_clip = gradient_clip
        self.parameters: dict[str, nn.Parameter] = {}
        self.factor = RateFactor(updates.schedule_of(name), player=name, steps=steps)
        """The factor on its learning rates at a step."""
        optimiser = updates.optimiser_of(name)
        self._trained_from: dict[str, float] = {}
        self._rates: dict[str, float] = {}
        rates: dict[str, float] = {}
        for slot in trained:
            network = model.get(slot)
            # A weight that several networks of a player use is trained once, under its first name.
            known = {id(parameter) for parameter in self.parameters.values()}
            named = [] if network is None else network.named_parameters()
            own = {f"{slot}.{key}": parameter for key, parameter in named if id(parameter) not in known}
            if not own:
                continue
            self.parameters.update(own)
            for part in (slot, *(key for key in lr_scale if key.startswith(f"{slot}."))):
                self._rates[part] = scaled_rate(part, optimiser.lr, lr_scale)
            rates.update({key: scaled_rate(key, optimiser.lr, lr_scale) for key in own})
        if not self.parameters:
            raise FacekitError(
                f"the {name} has losses but no weights to train", where=f"losses.{name}", remedy="take its losses out"
            )
        copies = {} if half is None else half.copies
        self._copies = {key: copies[each] for key, each in self.parameters.items() if each in copies}
        self.computing: dict[str, nn.Parameter] = {**self.parameters, **self._copies}
        """What networks compute with by the names of the weights: their copies in bf16, or themselves."""
        for setting in frozen:
            for key in self.parameters:
                if key == setting.part or key.startswith(setting.part + "."):
                    # A part that several settings name is trained when the last of them lets it go.
                    start = float("inf") if setting.until >= 1 else setting.until * steps
                    self._trained_from[key] = max(start, self._trained_from.get(key, 0.0))
        self.optimiser = make_optimiser(
            optimiser.choice, player=name, steps=steps, parameters=self.parameters, rates=rates
        )

    def is_trained(self, key: str, step: int) -> bool:
        """Return whether a weight is trained at a step."""
        return step >= self._trained_from.get(key, 0.0)

    @contextmanager
    def trainable(self, step: int) -> Iterator[None]:
        """Let the player's weights take gradients while the context lasts; then they are as they were before."""
        both = [*self.parameters.items(), *self._copies.items()]
        before = [weight.requires_grad for _, weight in both]
        for key, weight in both:
            weight.requires_grad_(self.is_trained(key, step))
        try:
            with torch.enable_grad():
                yield
        finally:
            for (_, weight), was in zip(both, before, strict=True):
                weight.requires_grad_(was)

    def leaves(self, *, full: bool) -> list[nn.Parameter]:
        """Return what takes gradients of the weights that are trained now: their copies in bf16, or they themselves.

        Args:
            full: both, since networks computed in full precision as well.
        """
        own = [weight for key, weight in self.parameters.items() if full or key not in self._copies]
        return [weight for weight in (*own, *self._copies.values()) if weight.requires_grad]

    def collect_gradients(self) -> None:
        """Add the gradients of copies in bf16 to those of the weights, in one pass over all."""
        found = [(self.parameters[key], copy) for key, copy in self._copies.items() if copy.grad is not None]
        if not found:
            return
        weights, copies = zip(*found, strict=True)
        gradients = [torch.empty_like(weight) for weight in weights]
        torch._foreach_copy_(gradients, [copy.grad for copy in copies])
        for weight, copy, gradient in zip(weights, copies, gradients, strict=True):
            # Networks in full precision computed with the weight itself.
            weight.grad = gradient if weight.grad is None else weight.grad + gradient
            copy.grad = None

    @torch.no_grad()
    def update(self, factor: float) -> None:
        """Update the weights that have gradients, with every learning rate times ``factor``; the gradients go, and the
        copies in bf16 are written anew, in one pass over all."""
        self.optimiser.update(factor)
        if self._copies:
            torch._foreach_copy_(list(self._copies.values()), [self.parameters[key] for key in self._copies])

    @contextmanager
    def arrivals(self) -> Iterator[set[str]]:
        """Give a set that collects the names of the weights that a gradient arrives at within the context."""
        arrived: set[str] = set()

        def noted(key: str) -> Callable[[Tensor], None]:
            return lambda _: arrived.add(key)

        with ExitStack() as stack:
            for key, parameter in (*self.parameters.items(), *self._copies.items()):
                if parameter.requires_grad:
                    handle = parameter.register_post_accumulate_grad_hook(noted(key))
                    stack.callback(handle.remove)
            yield arrived

    def check_arrivals(self, arrived: Collection[str], step: int) -> None:
        """Check after a turn that gradients reached every network that is trained at this step.

        Raises:
            FacekitError: none arrived at all, or none at one of the networks.
        """
        expected = {key for key in self.parameters if self.is_trained(key, step)}
        losses = ", ".join(loss.label for loss in self.losses)
        where = f"losses.{self.name}"
        if expected and not arrived:
            raise FacekitError(
                f"no gradient arrives: the losses of the {self.name} ({losses}) do not depend on the weights of "
                f"{', '.join(sorted(self.trained))}",
                where=where,
                remedy="look for a detach() or a no_grad() too many in these networks and losses",
            )
        for name in sorted({key.split(".")[0] for key in expected} - {key.split(".")[0] for key in arrived}):
            raise FacekitError(
                f"no loss of the {self.name} ({losses}) reaches the network {name!r}, so it would learn nothing",
                where=f"model.{name}",
                remedy=f"add a loss that depends on it, freeze it (`frozen: true`), or take model.{name} out",
            )

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
    """Build the losses of a recipe, in the order of the turns; without those of weight 0.

    Args:
        precision: where losses that are modules are placed.
        steps: steps of the run; None for weights that are the largest of the run.

    Raises:
        FacekitError: there is no loss but for discriminators, or a loss cannot be built.
    """
    players = recipe.players
    if not set(players) - recipe.model.discriminators:
        raise FacekitError("the generator has no losses, so there is nothing to train", where="losses")
    losses: dict[Player, list[WeightedLoss]] = {}
    for player in players:
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
            loss = failures.build(f"loss {choice.label}", choice.choice, context)
            culprit = Culprit(f"the loss {player}/{choice.label}", choice.choice, choice.choice.path)
            if isinstance(loss, nn.Module):
                if trained := [name for name, parameter in loss.named_parameters() if parameter.requires_grad]:
                    more = f" and {len(trained) - 1} more" if len(trained) > 1 else ""
                    raise culprit.error(
                        f"{culprit.title} has weights of its own ({trained[0]}{more}), and losses are not trained",
                        remedy="make them a network of the recipe; where they are frozen (a perceptual network), say "
                        "so: requires_grad_(False)",
                    )
                loss = precision.place(loss)
            weighted = WeightedLoss(choice.label, choice.weight, loss, culprit, choice.every, steps)
            losses.setdefault(player, []).append(weighted)
    return losses


def build_players(
    recipe: ResolvedRecipe,
    *,
    model: FaceModel,
    losses: LossesOf,
    steps: int,
    processes: int = 1,
    half: HalfWeights[FaceModel] | None = None,
) -> dict[Player, PlayerInTraining]:
    """Build the players that have losses, in the order of their turns. All weights are frozen until a turn begins.

    Raises:
        FacekitError: a part that is to be frozen, or to have a learning rate of its own, does not exist; or an
            optimiser or a schedule cannot be built; or several processes train and a loss keeps state of its own.
    """
    for part in recipe.train.optimiser.lr_scale:
        part_of(model, part, where=f"train.optimiser.lr_scale.{part}")
    for setting in recipe.train.freeze:
        part_of(model, setting.part, where="train.freeze")
    for player, loss in ((player, loss) for player, own in losses.items() for loss in own):
        if processes > 1 and isinstance(loss.loss, Stateful):
            raise FacekitError(
                f"the loss {player}/{loss.label} keeps state of its own, which works in one process only",
                where=f"losses.{player}",
                remedy="train in one process, or switch that state off (`replay_pool: 0`)",
            )
    for networks in (model, model if half is None else half.model):
        networks.requires_grad_(False)
    return {
        name: PlayerInTraining(
            name=name,
            model=model,
            trained=networks_of(name, tuple(losses), recipe.model),
            turns=recipe.train.turns.get(name, 1),
            losses=own,
            updates=recipe.updates,
            lr_scale=recipe.train.optimiser.lr_scale,
            frozen=recipe.train.freeze,
            steps=steps,
            gradient_clip=recipe.train.gradient_clip,
            half=half,
        )
        for name, own in losses.items()
    }


def _losses_by_prefix(players: Mapping[Player, PlayerInTraining]) -> Iterator[tuple[str, Loss]]:
    for player in players.values():
        for entry in player.losses:
            yield f"{player.name}/{entry.label}.", entry.loss


def loss_state(players: Mapping[Player, PlayerInTraining]) -> dict[str, Tensor]:
    """Return what losses keep from step to step, by ``player/label.name``.

    That is what a stateful loss says, and the buffers of one that is a module (running means and the like): those that
    belong to its state. The frozen weights of a perceptual network are buffers that do not.
    """
    found: dict[str, Tensor] = {}
    for prefix, loss in _losses_by_prefix(players):
        own: Mapping[str, Tensor] = {}
        if isinstance(loss, Stateful):
            own = loss.state()
        elif isinstance(loss, nn.Module):
            kept = loss.state_dict()
            own = {key: buffer for key, buffer in loss.named_buffers() if key in kept}
        found |= {f"{prefix}{key}": tensor for key, tensor in own.items()}
    return found


def load_loss_state(
    players: Mapping[Player, PlayerInTraining], state: Mapping[str, Tensor], device: torch.device, *, where: str
) -> None:
    """Put back what :func:`loss_state` returned.

    Raises:
        FacekitError: a loss keeps other buffers.
    """
    buffers = loss_state(players)
    for prefix, loss in _losses_by_prefix(players):
        own = {key: tensor for key, tensor in state.items() if key.startswith(prefix)}
        if isinstance(loss, Stateful):
            loss.load_state({key.removeprefix(prefix): tensor for key, tensor in own.items()}, device)
            continue
        kept = {key: buffer for key, buffer in buffers.items() if key.startswith(prefix)}
        checkpoints.check_fit(kept, own, where=where)
        for key, tensor in own.items():
            kept[key].copy_(tensor)


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
