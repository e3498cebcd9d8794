"""A discriminator at its second version, which still reads the recipes and the weights of the first."""

from typing import Literal

from pydantic import Field

from facekit.interfaces import DISCRIMINATOR_FEATURES, DISCRIMINATOR_OUTPUT, GENERATED, MASK, Options, Ports
from facekit.registry import ComponentSpec, Migration, hookimpl


class PatchCriticOptions(Options):
    """The options of today, and only those."""

    channels: int = Field(32, ge=1)
    """Channels of the first layer."""
    norm: Literal["instance", "off"] = "instance"
    """Normalisation between the layers."""
    slope: float = Field(0.01, ge=0)
    """Slope of the rectifier below zero."""


NAMES = Migration(
    to=2,
    summary="Options and layers are called what other discriminators call them.",
    renamed={"filters": "channels"},
    removed={"sigmoid": "Use the loss `adversarial` with `objective: bce`, which works on logits."},
    harmless={"sigmoid": (False,)},
    weights="patch_critic:rename_layers",
)


def rename_layers(state, options):
    """Give the layers of version 1 the names of version 2."""
    names = {"conv1": "first", "conv2": "second"}
    return {f"{names[layer]}.{kind}": state[f"{layer}.{kind}"] for layer in names for kind in ("weight", "bias")}


@hookimpl
def facekit_components():
    """Say what the plugin offers."""
    return [
        ComponentSpec(
            interface_version=1,
            kind="discriminator",
            id="example/patch_critic",
            summary="Tells patches of real and generated images apart, by two layers.",
            options=PatchCriticOptions,
            factory="patch_critic:build",
            ports=lambda options, context: Ports(
                needs=(MASK, GENERATED), gives=(DISCRIMINATOR_OUTPUT, DISCRIMINATOR_FEATURES)
            ),
            version=2,
            migrations=(NAMES,),
        )
    ]


def build(options, context):
    """Build the discriminator."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    from facekit.interfaces import DiscriminatorOutput, ScaleOutput

    class PatchCritic(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3 + len(context.label_map), options.channels, 4, 2, 1)
            self.norm = nn.InstanceNorm2d(options.channels) if options.norm == "instance" else nn.Identity()
            self.second = nn.Conv2d(options.channels, 1, 4, 2, 1)

        def forward(self, image, condition):
            planes = F.one_hot(condition.require_mask(), len(context.label_map)).permute(0, 3, 1, 2)
            pair = torch.cat([planes.to(image.image.dtype), image.image], 1)
            features = F.leaky_relu(self.norm(self.first(pair)), options.slope)
            return DiscriminatorOutput((ScaleOutput(self.second(features), (features,)),))

    return PatchCritic()
