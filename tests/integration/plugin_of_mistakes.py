"""A plugin file with one mistake in each component, for test_component_mistakes.py."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from facekit.interfaces import GENERATED, IMAGE, MASK, BuildContext, Condition, Generated, NoOptions, Ports, Step
from facekit.registry import ComponentSpec, hookimpl


class Plain(nn.Module):
    """A generator without a mistake; what is wrong with the others is in what they give."""

    def __init__(self, classes: int, change: Any) -> None:
        super().__init__()
        self.net = nn.Conv2d(classes, 3, 3, padding=1)
        self.change = change

    def forward(self, condition: Condition, style: None) -> Any:
        """Return what the mistake makes of a good result."""
        planes = nn.functional.one_hot(condition.require_mask(), self.net.in_channels).permute(0, 3, 1, 2).float()
        return self.change(Generated(self.net(planes).tanh()))


def _raise(result: Generated) -> Generated:
    raise ValueError("my bug")


CHANGES = {
    "sound": lambda result: result,
    "one_channel": lambda result: Generated(result.image[:, :1]),
    "half_size": lambda result: Generated(result.image[..., ::2, ::2]),
    "bare_tensor": lambda result: result.image,
    "float64": lambda result: Generated(result.image.double()),
    "detached": lambda result: Generated(result.image.detach()),
    "raises": _raise,
}


def build_sound(options: NoOptions, context: BuildContext) -> Plain:
    """Build the generator without a mistake."""
    return Plain(len(context.label_map), CHANGES["sound"])


def build_one_channel(options: NoOptions, context: BuildContext) -> Plain:
    """Build one that gives one channel."""
    return Plain(len(context.label_map), CHANGES["one_channel"])


def build_half_size(options: NoOptions, context: BuildContext) -> Plain:
    """Build one that gives half the size."""
    return Plain(len(context.label_map), CHANGES["half_size"])


def build_bare_tensor(options: NoOptions, context: BuildContext) -> Plain:
    """Build one that gives a tensor."""
    return Plain(len(context.label_map), CHANGES["bare_tensor"])


def build_float64(options: NoOptions, context: BuildContext) -> Plain:
    """Build one that gives double precision."""
    return Plain(len(context.label_map), CHANGES["float64"])


def build_detached(options: NoOptions, context: BuildContext) -> Plain:
    """Build one that is cut from its weights."""
    return Plain(len(context.label_map), CHANGES["detached"])


def build_raises(options: NoOptions, context: BuildContext) -> Plain:
    """Build one whose forward pass fails."""
    return Plain(len(context.label_map), CHANGES["raises"])


def build_none(options: NoOptions, context: BuildContext) -> None:
    """Build nothing."""


def build_few_arguments(options: NoOptions) -> None:
    """Take too few arguments."""


def build_l1(options: NoOptions, context: BuildContext) -> Any:
    """Build a loss without a mistake."""
    from facekit_gan import fake

    return lambda step: (fake(step).image - step.batch.image).abs().mean()


def build_typo(options: NoOptions, context: BuildContext) -> Any:
    """Build a loss with a typing error."""
    from facekit_gan import fake

    return lambda step: fake(step).imgae.mean()


def build_nothing(options: NoOptions, context: BuildContext) -> Any:
    """Build a loss that returns None."""

    def nothing(step: Step) -> None:
        step.networks["generator"](step.condition, None)

    return nothing


def build_vector(options: NoOptions, context: BuildContext) -> Any:
    """Build a loss that returns one number a face."""
    from facekit_gan import fake

    return lambda step: fake(step).image.mean((1, 2, 3))


def build_asks(options: NoOptions, context: BuildContext) -> Any:
    """Build a loss that reads what it does not declare."""
    from facekit_gan import style

    return lambda step: style(step).code.mean()


class Learns(nn.Module):
    """A loss with a weight of its own and nothing of the generator."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, step: Step) -> Tensor:
        """Return the weight."""
        return self.weight.square()


def build_learns(options: NoOptions, context: BuildContext) -> Learns:
    """Build a loss with a weight of its own."""
    return Learns()


def _spec(kind: Any, name: str, factory: str | None = None, **more: Any) -> ComponentSpec:
    needs, gives = ((MASK,), (GENERATED,)) if kind == "generator" else ((IMAGE, GENERATED), ())
    return ComponentSpec(
        interface_version=1,
        kind=kind,
        id=f"wrong/{name}",
        summary=f"{name}.",
        options=NoOptions,
        factory=factory or f"plugin_of_mistakes:build_{name}",
        ports=lambda options, context: Ports(needs=needs, gives=gives),
        **more,
    )


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer them all."""
    generators = [_spec("generator", name) for name in (*CHANGES, "none", "few_arguments")]
    generators += [
        _spec("generator", "misspelt_factory", "plugin_of_mistakes:build_it"),
        _spec("generator", "misspelt_module", "plugin_of_mistake:build_sound"),
    ]
    losses = [_spec("loss", name) for name in ("l1", "typo", "nothing", "vector", "asks", "learns")]
    return [*generators, *losses]
