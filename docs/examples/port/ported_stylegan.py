"""What facekit needs to know of `plain_stylegan.py`, which stays as it is.

facekit run ported_stylegan.yaml --plugin-file ported_stylegan.py
facekit generate runs/ported_stylegan-1 --plugin-file ported_stylegan.py --count 16 -o faces
"""

import sys
from pathlib import Path

from pydantic import Field

from facekit.interfaces import DISCRIMINATOR_OUTPUT, GENERATED, Options, Port, Ports
from facekit.registry import ComponentSpec, hookimpl

sys.path.insert(0, str(Path(__file__).parent))  # where plain_stylegan.py is; a distribution needs no such line


class LatentOptions(Options):
    """The option that all parts of the generator share."""

    latent: int = Field(64, ge=1)
    """Numbers of the noise z, and of the latent w."""


class MappingOptions(LatentOptions):
    """Options of the mapping network."""

    layers: int = Field(4, ge=1)
    """Its linear layers."""


class SynthesisOptions(LatentOptions):
    """Options of the synthesis network."""

    channels: int = Field(32, ge=4)
    """Channels at every size."""


class CriticOptions(Options):
    """Options of the discriminator."""

    channels: int = Field(32, ge=4)
    """Channels at every size."""


class SamplerOptions(LatentOptions):
    """Options of the sampler."""

    truncation: float = Field(1.0, ge=0, le=1)
    """How far from the mean face images may be: 1 is everywhere, 0 is the one mean face."""


def noise(options):
    """Return the port of what `torch.randn` drew: facekit draws it."""
    return Port("noise", ("batch", options.latent), dtype="noise")


def mapping_ports(options, context):
    """Needs noise, gives w."""
    return Ports(needs=(noise(options),), gives=(Port("w", ("batch", options.latent)),))


def synthesis_ports(options, context):
    """Needs w, gives an image."""
    return Ports(needs=(Port("w", ("batch", options.latent)),), gives=(GENERATED,), smallest_size=8)


def sampler_ports(options, context):
    """Needs noise; the synthesis network gives the image."""
    return Ports(needs=(noise(options),))


def critic_ports(options, context):
    """Needs an image, gives its score."""
    return Ports(needs=(GENERATED,), gives=(DISCRIMINATOR_OUTPUT,), smallest_size=8)


@hookimpl
def facekit_components():
    """Say what the plugin offers."""

    def spec(kind, name, summary, options, ports, **more):
        return ComponentSpec(
            interface_version=1,
            kind=kind,
            id=f"port/{name}",
            summary=summary,
            options=options,
            factory=f"ported_stylegan:build_{name}",
            ports=ports,
            paper="Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020",
            **more,
        )

    free = {"runtime": ("truncation",)}  # no weight depends on it
    return [
        spec("network", "mapping", "Maps noise to w.", MappingOptions, mapping_ports),
        spec("network", "synthesis", "Makes an image of w.", SynthesisOptions, synthesis_ports),
        spec("sampler", "style_sampler", "Calls the two.", SamplerOptions, sampler_ports, **free),
        spec("discriminator", "critic", "Halves an image down to 4x4 and scores it.", CriticOptions, critic_ports),
    ]


def build_mapping(options, context):
    """Build the mapping network."""
    from plain_stylegan import Mapping

    return Mapping(options.latent, options.layers)


def build_synthesis(options, context):
    """Build the synthesis network."""
    from plain_stylegan import Synthesis

    return Synthesis(context.size, options.channels, options.latent)


def build_style_sampler(options, context):
    """Build the sampler: it makes the fakes of training, and all other images."""
    from facekit.interfaces import Generated

    def sample(networks, condition):
        z = condition.extra["noise"]
        w = networks["mapping"](z)
        if options.truncation < 1:
            centre = networks["mapping"](z.new_zeros(1, options.latent))
            w = centre + (w - centre) * options.truncation
        return Generated(networks["synthesis"](w))

    return sample


def build_critic(options, context):
    """Build the discriminator in the form that the losses of `facekit-losses` call: images and scores in containers."""
    from plain_stylegan import Discriminator

    from facekit.interfaces import DiscriminatorOutput, ScaleOutput

    class Critic(Discriminator):
        def forward(self, image, condition):
            return DiscriminatorOutput((ScaleOutput(super().forward(image.image)),))

    return Critic(context.size, options.channels)
