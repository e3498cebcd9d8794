"""Adam and AdamW on weights as they lie in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw

from facekit.interfaces import TrainingContext
from facekit.registry.built_in import AdamOptions, AdamWOptions


@dataclass(frozen=True)
class _Moments:
    """What Adam knows of a weight, in the order in which the weight lies in memory; the names are those of checkpoints.

    Args:
        step: how often it was updated, a float32 scalar on the weight's device.
        exp_avg: the mean of its gradients.
        exp_avg_sq: the mean of their squares.
    """

    step: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor


@dataclass
class _Weight:
    """A weight that is trained.

    Args:
        parameter: the weight.
        view: the same numbers in the order in which they lie in memory. Given channels-last weights, torch's fused
            kernels copy each of them every step, which takes longer than the update.
        rate: its learning rate, before any schedule.
        moments: None until it is first updated.
    """

    parameter: nn.Parameter
    view: Tensor
    rate: float
    moments: _Moments | None = None


class Optimiser:
    """Adam (Kingma and Ba, ICLR 2015) or AdamW (Loshchilov and Hutter, ICLR 2019) by torch's fused kernels.

    It calls torch's functions in place of ``torch.optim.Adam``, which imports torch's compiler: 1.5 seconds and 150 MB
    of every run.

    Args:
        options: which of the two, and its numbers.
        parameters: the weights by name.
        rates: the learning rate of each.
    """

    def __init__(
        self,
        options: AdamOptions,
        parameters: Mapping[str, nn.Parameter],
        rates: Mapping[str, float],
    ) -> None:
        self._options = options
        self._function = adamw if isinstance(options, AdamWOptions) else adam
        self._weights = {
            key: _Weight(parameter, in_storage_order(parameter.detach()), rates[key])
            for key, parameter in parameters.items()
        }

    def update(self, factor: float) -> None:
        """Update the weights that have gradients, with every learning rate times ``factor``; the gradients go."""
        by_rate: defaultdict[float, list[_Weight]] = defaultdict(list)
        for weight in self._weights.values():
            if weight.parameter.grad is not None:
                by_rate[weight.rate].append(weight)
        for rate, weights in by_rate.items():
            self._update(weights, rate * factor)

    def state(self) -> dict[str, Tensor]:
        """Return moments and counts by name, ``generator.stem.weight/exp_avg``, in the shapes of the weights."""
        found: dict[str, Tensor] = {}
        for key, weight in self._weights.items():
            moments, like = weight.moments, weight.parameter
            if moments is not None:
                found[f"{key}/step"] = moments.step
                found[f"{key}/exp_avg"] = from_storage_order(moments.exp_avg, like)
                found[f"{key}/exp_avg_sq"] = from_storage_order(moments.exp_avg_sq, like)
        return found

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`state` returned; weights that it does not name start afresh."""
        for key, weight in self._weights.items():
            if f"{key}/step" not in state:
                weight.moments = None
                continue
            weight.moments = moments = _new_moments(weight.view)
            moments.step.copy_(state[f"{key}/step"])
            moments.exp_avg.copy_(in_storage_order(state[f"{key}/exp_avg"], like=weight.parameter))
            moments.exp_avg_sq.copy_(in_storage_order(state[f"{key}/exp_avg_sq"], like=weight.parameter))

    @torch.no_grad()
    def _update(self, weights: Sequence[_Weight], rate: float) -> None:
        gradients: list[Tensor] = []
        moments: list[_Moments] = []
        for weight in weights:
            assert weight.parameter.grad is not None
            gradients.append(in_storage_order(weight.parameter.grad, like=weight.parameter))
            weight.parameter.grad = None
            if weight.moments is None:
                weight.moments = _new_moments(weight.view)
            moments.append(weight.moments)
        beta1, beta2 = self._options.betas
        self._function(
            [weight.view for weight in weights],
            gradients,
            [each.exp_avg for each in moments],
            [each.exp_avg_sq for each in moments],
            [],
            [each.step for each in moments],
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=rate,
            weight_decay=self._options.weight_decay,
            eps=self._options.eps,
            maximize=False,
        )


def build_adam(options: AdamOptions, context: TrainingContext) -> partial[Optimiser]:
    """Build what makes the optimiser from weights and their learning rates."""
    return partial(Optimiser, options)


def _new_moments(view: Tensor) -> _Moments:
    step = torch.zeros((), dtype=torch.float32, device=view.device)
    return _Moments(step, torch.zeros_like(view), torch.zeros_like(view))


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
