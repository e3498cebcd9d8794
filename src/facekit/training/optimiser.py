"""What updates weights: Adam and AdamW, any optimiser of ``torch.optim`` or a plugin; and their moving average."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw

from facekit.interfaces import FacekitError, MakeOptimiser, Options, TrainingContext
from facekit.recipe.resolved import ComponentChoice, ResolvedRecipe
from facekit.recipe.settings import EmaSettings
from facekit.registry.built_in import OWN, AdamOptions, AdamWOptions
from facekit.training.nested import CannotFlatten, flatten, nest
from facekit.training.networks import FaceModel
from facekit.training.schedule import decay_at


class Optimiser:
    """Adam (Kingma and Ba, ICLR 2015) or AdamW (Loshchilov and Hutter, ICLR 2019) by torch's fused kernels.

    It calls torch's functions in place of ``torch.optim.Adam``, which imports torch's compiler: 1.4 s of processor time
    and 158 MB of every run. The numbers are the same.
    """

    def __init__(
        self, options: AdamOptions, parameters: Mapping[str, nn.Parameter], rates: Mapping[str, float]
    ) -> None:
        self._options, self._parameters, self._rates = options, parameters, rates
        self._function = adamw if isinstance(options, AdamWOptions) else adam
        # ``step``, a scalar where the weight is, and the means of gradients and of their squares, once it was updated.
        self._moments: dict[str, dict[str, Tensor]] = {}

    @torch.no_grad()
    def update(self, factor: float) -> None:
        """Update the weights that have gradients, with every learning rate times ``factor``; the gradients go."""
        by_rate: defaultdict[float, list[str]] = defaultdict(list)
        for key, weight in self._parameters.items():
            if weight.grad is not None:
                by_rate[self._rates[key]].append(key)
        beta1, beta2 = self._options.betas
        for rate, keys in by_rate.items():
            weights: list[Tensor] = [self._parameters[key] for key in keys]
            for key in keys:
                if key not in self._moments:
                    self._moments[key] = _new_moments(self._parameters[key])
            moments = [self._moments[key] for key in keys]
            self._function(
                weights,
                [weight.grad for weight in weights if weight.grad is not None],
                [each["exp_avg"] for each in moments],
                [each["exp_avg_sq"] for each in moments],
                [],
                [each["step"] for each in moments],
                fused=True,
                amsgrad=False,
                beta1=beta1,
                beta2=beta2,
                lr=rate * factor,
                weight_decay=self._options.weight_decay,
                eps=self._options.eps,
                maximize=False,
            )
            for key in keys:
                self._parameters[key].grad = None

    def state(self) -> dict[str, Tensor]:
        """Return moments and counts by name, ``generator.stem.weight/exp_avg``, in the shapes of the weights."""
        return {
            f"{key}/{entry}": tensor for key in self._parameters for entry, tensor in self._moments.get(key, {}).items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`state` returned; weights that it does not name start afresh."""
        self._moments.clear()
        for key, weight in self._parameters.items():
            if f"{key}/step" in state:
                self._moments[key] = _new_moments(weight)
                for entry, tensor in self._moments[key].items():
                    tensor.copy_(state[f"{key}/{entry}"])


def build_adam(options: AdamOptions, context: TrainingContext) -> partial[Optimiser]:
    """Build what makes the optimiser from weights and their learning rates."""
    return partial(Optimiser, options)


def _new_moments(weight: nn.Parameter) -> dict[str, Tensor]:
    step = torch.zeros((), dtype=torch.float32, device=weight.device)
    like = weight.detach()
    return {"step": step, "exp_avg": torch.zeros_like(like), "exp_avg_sq": torch.zeros_like(like)}


class TorchOptimiser:
    """An optimiser with the interface of ``torch.optim.Optimizer``.

    Args:
        rates: the learning rate of each, before any schedule.

    Raises:
        FacekitError: the optimiser refuses its options or the weights, or is none.
    """

    def __init__(
        self,
        choice: ComponentChoice,
        make: MakeOptimiser,
        *,
        player: str,
        parameters: Mapping[str, nn.Parameter],
        rates: Mapping[str, float],
    ) -> None:
        self._choice = choice
        self._player = player
        self._parameters = parameters
        by_rate: dict[float, list[nn.Parameter]] = {}
        for key, parameter in parameters.items():
            by_rate.setdefault(rates[key], []).append(parameter)
        self._rates = list(by_rate)
        try:
            made: object = make([{"params": weights, "lr": rate} for rate, weights in by_rate.items()])
        except FacekitError:
            raise
        except Exception as error:  # of a plugin's, or of torch's own checks of its options
            raise FacekitError(
                f"{self._name} cannot be made: {type(error).__name__}: {error}",
                where=choice.path,
                remedy=f"change its options, or choose another optimiser; it comes from {choice.component.origin}",
            ) from error
        if not isinstance(made, torch.optim.Optimizer) or len(made.param_groups) != len(by_rate):
            raise FacekitError(
                f"{self._name} gave {type(made).__name__}, not a torch.optim.Optimizer with the groups it was given",
                where=choice.path,
                remedy=f"this is a mistake in the plugin {choice.component.origin}",
            )
        self.optimizer = made
        self._first = [self._numbers(group) for group in made.param_groups]

    def update(self, factor: float) -> None:
        """Update the weights that have gradients, with every learning rate times ``factor``; the gradients go."""
        if all(parameter.grad is None for parameter in self._parameters.values()):
            return  # a turn in which every loss was left out
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Return what it knows of each weight, and the numbers of its groups that it has changed.

        The names are ``generator.stem.weight/exp_avg``, and ``generator/groups/0/d!float`` for a group of the player
        ``generator``.

        Raises:
            FacekitError: it keeps something that checkpoints cannot keep.
        """
        found: dict[str, Tensor] = {}
        try:
            for key, parameter in self._parameters.items():
                for entry, value in self.optimizer.state.get(parameter, {}).items():
                    found |= flatten(f"{key}/{entry}", value)
            for index, (group, first) in enumerate(zip(self.optimizer.param_groups, self._first, strict=True)):
                for entry, value in self._numbers(group).items():
                    if entry not in first or type(value) is not type(first[entry]) or value != first[entry]:
                        found |= flatten(f"{self._group(index)}{entry}", value)
        except CannotFlatten as error:
            raise FacekitError(
                f"the state of {self._name} cannot be kept in a checkpoint: {error}",
                where=self._choice.path,
                remedy=f"this is a mistake in the plugin {self._choice.component.origin}: an optimiser keeps tensors, "
                "numbers, None, and lists and maps of these",
            ) from error
        return found

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`state` returned; weights that it does not name start afresh."""
        by_weight: dict[str, dict[str, Tensor]] = {}
        for name, tensor in state.items():
            weight, _, entry = name.rpartition("/")
            by_weight.setdefault(weight, {})[entry] = tensor
        for key, parameter in self._parameters.items():
            if key in by_weight:
                entries = nest(by_weight[key], parameter.device)
                self.optimizer.state[parameter] = {name: _as_laid(each, parameter) for name, each in entries.items()}
        for index, group in enumerate(self.optimizer.param_groups):
            group.update(nest(by_weight.get(self._group(index)[:-1], {}), torch.device("cpu")))

    @property
    def _name(self) -> str:
        return f"the optimiser {self._choice.component.spec.id!r}"

    def _group(self, index: int) -> str:
        return f"{self._player}/groups/{index}/"

    @staticmethod
    def _numbers(group: Mapping[str, Any]) -> dict[str, float]:
        return {key: value for key, value in group.items() if key != "lr" and type(value) in (bool, int, float)}


def _as_laid(value: Any, parameter: nn.Parameter) -> Any:
    """Return a tensor of a weight's shape as the weight lies in memory: sums over it then run in the same order."""
    if isinstance(value, Tensor) and value.shape == parameter.shape and value.dim():
        return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
    return value


WeightUpdates = Optimiser | TorchOptimiser
"""What updates the weights of a player."""


def build(options: Options, context: TrainingContext) -> MakeOptimiser:
    """Build what makes an optimiser of ``torch.optim``; the class of the options is named as the optimiser's."""
    family = getattr(torch.optim, type(options).__name__)
    return lambda groups: family(groups, **options.model_dump())


def make_optimiser(
    choice: ComponentChoice,
    *,
    player: str,
    steps: int,
    parameters: Mapping[str, nn.Parameter],
    rates: Mapping[str, float],
) -> WeightUpdates:
    """Return what updates the weights of a player.

    Args:
        rates: the learning rate of each, before any schedule.

    Raises:
        FacekitError: the optimiser cannot be built from its options.
    """
    made = choice.build(TrainingContext(player=player, steps=steps))
    if choice.component.origin == OWN:
        updates: WeightUpdates = made(parameters, rates)
        return updates
    return TorchOptimiser(choice, made, player=player, parameters=parameters, rates=rates)


def scaled_rate(name: str, rate: float, scales: Mapping[str, float]) -> float:
    """Return the learning rate of a network, a part of one, or a weight.

    Args:
        name: its name: ``generator``, ``generator.mapping``, ``generator.mapping.0.weight``.
        scales: factors by the names of networks and parts. The longest that fits counts.
    """
    fitting = [key for key in scales if name == key or name.startswith(f"{key}.")]
    return rate * scales[max(fitting, key=len)] if fitting else rate


def averaged_networks(recipe: ResolvedRecipe) -> tuple[str, ...]:
    """Return the names of the networks that are averaged: all but discriminators and those that are frozen."""
    left_out = recipe.model.discriminators | recipe.model.frozen
    return tuple(name for name in recipe.model.networks if name not in left_out)


class Ema:
    """A copy of the networks whose weights follow those of the model slowly.

    Parameters are averaged in fp32; buffers (running statistics) are copied. Frozen networks are shared with the model.

    Args:
        settings: how fast they follow; the average must be on.
        images: images a step, over all processes and micro-batches.
    """

    def __init__(self, model: FaceModel, settings: EmaSettings, networks: Sequence[str], *, images: int) -> None:
        self.settings = settings
        self.images = images
        source = model.only(networks)
        frozen = {id(network): network for name, network in model.named_children() if name in model.frozen}
        self.model: FaceModel = copy.deepcopy(model.only((*networks, *model.frozen)), frozen)
        self.model.eval().requires_grad_(False)
        averaged = self.model.only(networks)
        self._averages: list[Tensor] = list(averaged.parameters())
        self._weights: list[Tensor] = list(source.parameters())
        self._buffers = list(zip(averaged.buffers(), source.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the model after the update of a step (counted from 0)."""
        torch._foreach_lerp_(self._averages, self._weights, 1 - decay_at(self.settings, step, images=self.images))
        for average, buffer in self._buffers:
            average.copy_(buffer)
