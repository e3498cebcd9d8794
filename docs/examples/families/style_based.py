"""A style-based GAN in small: noise, a mapping network, a synthesis network, and the sampler that calls the two.

    facekit run style_based.yaml --plugin-file style_based.py --set data.root=photos
    facekit generate runs/style_based-1 --plugin-file style_based.py --count 16 --set sampler.truncation=0.7 -o faces

Karras et al., A Style-Based Generator Architecture for Generative Adversarial Networks, CVPR 2019. Two networks of the
kind `network`, which facekit calls by no rule of its own: the sampler does, in training and everywhere else. The
adversarial loss and the penalty are those of `facekit-losses`.
"""

from math import log2

from pydantic import Field

from facekit.interfaces import DISCRIMINATOR_OUTPUT, GENERATED, Options, Port, Ports
from facekit.registry import ComponentSpec, hookimpl


class SizeOptions(Options):
    """Options of the networks."""

    channels: int = Field(32, ge=4)
    """Channels at every size."""
    latent: int = Field(64, ge=1)
    """Numbers of the noise, and of the style vector w."""


class SamplerOptions(SizeOptions):
    """Options of the sampler; no weight depends on the truncation, so it may change when a run is used."""

    truncation: float = Field(1.0, ge=0, le=1)
    """How far from the mean style faces may be: 1 is everywhere, 0 is one mean face."""


def mapping_ports(options, context):
    """Needs noise, gives a style vector."""
    noise = Port("noise", ("batch", options.latent), dtype="noise")
    return Ports(needs=(noise,), gives=(Port("w", ("batch", options.latent)),))


def synthesis_ports(options, context):
    """Needs a style vector, gives a face."""
    return Ports(needs=(Port("w", ("batch", options.latent)),), gives=(GENERATED,), smallest_size=8)


def sampler_ports(options, context):
    """Needs noise; the face is the synthesis network's."""
    return Ports(needs=(Port("noise", ("batch", options.latent), dtype="noise"),))


def critic_ports(options, context):
    """Needs a face, gives its scores."""
    return Ports(needs=(GENERATED,), gives=(DISCRIMINATOR_OUTPUT,))


def spec(kind, name, summary, ports, options=SizeOptions, **more):
    """Return the spec of a component of this family."""
    return ComponentSpec(
        interface_version=1,
        kind=kind,
        id=f"families/{name}",
        summary=summary,
        options=options,
        factory=f"style_based:build_{name}",
        ports=ports,
        paper="Karras et al., A Style-Based Generator Architecture, CVPR 2019",
        **more,
    )


@hookimpl
def facekit_components():
    """Say what the plugin offers."""
    return [
        spec("network", "mapping", "Maps noise to a style vector.", mapping_ports),
        spec("network", "synthesis", "Makes a face of a style vector.", synthesis_ports),
        spec("sampler", "style_sampler", "Calls the two.", sampler_ports, SamplerOptions, runtime=("truncation",)),
        spec("discriminator", "critic", "Halves an image down to 4x4 and scores it.", critic_ports),
    ]


def build_mapping(options, context):
    """Build the mapping network."""
    from torch import nn

    first, second, last = (nn.Linear(options.latent, options.latent) for _ in range(3))
    return nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), last)


def build_synthesis(options, context):
    """Build the synthesis network: a learnt 4x4 start, whose channels w scales at every doubling."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    from facekit.interfaces import Generated

    class Synthesis(nn.Module):
        def __init__(self):
            super().__init__()
            count = int(log2(context.size)) - 2
            self.start = nn.Parameter(torch.randn(1, options.channels, 4, 4))
            channels = options.channels
            self.convolutions = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(count))
            self.styles = nn.ModuleList(nn.Linear(options.latent, options.channels) for _ in range(count))
            self.image = nn.Conv2d(options.channels, 3, 1)

        def forward(self, w):
            features = self.start.expand(len(w), -1, -1, -1)
            for convolution, style in zip(self.convolutions, self.styles, strict=True):
                features = convolution(F.interpolate(features, scale_factor=2) * (1 + style(w))[:, :, None, None])
                features = F.leaky_relu(F.instance_norm(features), 0.2)
            return Generated(self.image(features).tanh())

    return Synthesis()


def build_style_sampler(options, context):
    """Build the sampler, a function of the networks and a condition."""

    def sample(networks, condition):
        w = networks["mapping"](condition.extra["noise"])
        if options.truncation < 1:
            centre = networks["mapping"](condition.extra["noise"].new_zeros(1, options.latent))
            w = centre + (w - centre) * options.truncation
        return networks["synthesis"](w)

    return sample


def build_critic(options, context):
    """Build the discriminator."""
    from torch import nn

    from facekit.interfaces import DiscriminatorOutput, ScaleOutput

    class Critic(nn.Module):
        def __init__(self):
            super().__init__()
            layers = [nn.Conv2d(3, options.channels, 3, padding=1), nn.LeakyReLU(0.2)]
            for _ in range(int(log2(context.size)) - 2):
                layers += [nn.Conv2d(options.channels, options.channels, 4, 2, 1), nn.LeakyReLU(0.2)]
            self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(options.channels * 16, 1))

        def forward(self, picture, condition):
            return DiscriminatorOutput((ScaleOutput(self.layers(picture.image)),))

    return Critic()
