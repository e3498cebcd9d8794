"""MSG-GAN in small: a generator that starts from noise and gives every size at once, all of which are discriminated.

    facekit run msg_gan.yaml --plugin-file msg_gan.py --set data.root=photos
    facekit generate runs/msg_gan-1 --plugin-file msg_gan.py --count 16 --seed 7 -o faces

Karnewar and Wang, MSG-GAN: Multi-Scale Gradients for Generative Adversarial Networks, CVPR 2020. Nothing of it is known
to facekit: the generator is an ordinary one whose ports say that it needs noise and gives a pyramid, and the losses are
those of `facekit-losses`. Real photos get the same sizes by area averages (`facekit_gan.real`).
"""

from math import log2

from pydantic import Field

from facekit.interfaces import DISCRIMINATOR_OUTPUT, GENERATED, GENERATED_PYRAMID, Options, Port, Ports
from facekit.registry import ComponentSpec, hookimpl


class MsgOptions(Options):
    """Options of both networks."""

    channels: int = Field(32, ge=4)
    """Channels at every size."""
    latent: int = Field(64, ge=1)
    """Numbers of the noise that a face starts from."""


def generator_ports(options, context):
    """Needs noise and nothing else, so nobody is asked for a mask."""
    noise = Port("noise", ("batch", options.latent), dtype="noise")
    return Ports(needs=(noise,), gives=(GENERATED, GENERATED_PYRAMID), smallest_size=16)


@hookimpl
def facekit_components():
    """Say what the plugin offers."""
    paper = "Karnewar and Wang, MSG-GAN, CVPR 2020"
    return [
        ComponentSpec(
            interface_version=1,
            kind="generator",
            id="families/msg_generator",
            summary="Grows a face from noise, with an image at every size.",
            options=MsgOptions,
            factory="msg_gan:build_generator",
            ports=generator_ports,
            paper=paper,
        ),
        ComponentSpec(
            interface_version=1,
            kind="discriminator",
            id="families/msg_discriminator",
            summary="Reads an image from its finest size to its coarsest.",
            options=MsgOptions,
            factory="msg_gan:build_discriminator",
            ports=lambda options, context: Ports(needs=(GENERATED, GENERATED_PYRAMID), gives=(DISCRIMINATOR_OUTPUT,)),
            paper=paper,
            # The deviation over the batch at the end: real and fake must not share a pass.
            batch_dependent=True,
        ),
    ]


def build_generator(options, context):
    """Build the generator: a 4x4 start, then one block and one image a doubling."""
    from torch import nn
    from torch.nn import functional as F

    from facekit.interfaces import Generated

    doublings = int(log2(context.size)) - 2

    class MsgGenerator(nn.Module):
        def __init__(self):
            super().__init__()
            self.start = nn.Linear(options.latent, options.channels * 16)
            self.blocks = nn.ModuleList(
                nn.Conv2d(options.channels, options.channels, 3, padding=1) for _ in range(doublings)
            )
            self.images = nn.ModuleList(nn.Conv2d(options.channels, 3, 1) for _ in range(doublings))

        def forward(self, condition, style):
            noise = F.normalize(condition.extra["noise"]) * options.latent**0.5
            features = self.start(noise).view(len(noise), -1, 4, 4)
            sizes = []
            for block, image in zip(self.blocks, self.images, strict=True):
                features = F.leaky_relu(block(F.interpolate(features, scale_factor=2)), 0.2)
                features = features / (features.square().mean(1, keepdim=True) + 1e-8).sqrt()
                sizes.append(image(features).tanh())
            *coarser, finest = sizes
            return Generated(finest, tuple(reversed(coarser)))

    return MsgGenerator()


def build_discriminator(options, context):
    """Build the discriminator: each size joins the features of the finer ones."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    from facekit.interfaces import DiscriminatorOutput, ScaleOutput

    halvings = int(log2(context.size)) - 3

    class MsgDiscriminator(nn.Module):
        def __init__(self):
            super().__init__()
            self.start = nn.Conv2d(3, options.channels, 3, padding=1)
            self.blocks = nn.ModuleList(
                nn.Conv2d(options.channels + 3, options.channels, 3, padding=1) for _ in range(halvings)
            )
            self.end = nn.Conv2d(options.channels + 1, options.channels, 4)
            self.score = nn.Linear(options.channels * 25, 1)

        def forward(self, picture, condition):
            features = F.leaky_relu(self.start(picture.image), 0.2)
            for block, level in zip(self.blocks, picture.pyramid, strict=True):
                features = F.leaky_relu(block(torch.cat([F.avg_pool2d(features, 2), level], 1)), 0.2)
            spread = features.std(0, unbiased=False).mean().expand(len(features), 1, *features.shape[2:])
            features = F.leaky_relu(self.end(torch.cat([features, spread], 1)), 0.2)
            return DiscriminatorOutput((ScaleOutput(self.score(features.flatten(1))),))

    return MsgDiscriminator()
