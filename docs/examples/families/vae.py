"""A variational autoencoder in small: a style encoder with fields of its own, and a decoder that starts from noise.

    facekit run vae.yaml --plugin-file vae.py --set data.root=photos
    facekit generate runs/vae-1 --plugin-file vae.py --count 16 --seed 7 -o faces

Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014. The encoder gives a subclass of `Style` whose mean and
log variance are the ports `style.mean` and `style.log_variance`, which the loss needs. The sampler encodes a photo
where one is given and starts from the prior where none is.
"""

from dataclasses import dataclass, replace

from pydantic import Field

from facekit.interfaces import GENERATED, IMAGE, Options, Port, Ports, Style
from facekit.registry import ComponentSpec, hookimpl


@dataclass(frozen=True, slots=True)
class VaeStyle(Style):
    """A style with the distribution it was drawn from: mean and log variance, both (N, D)."""

    mean: object = None
    log_variance: object = None


class VaeOptions(Options):
    """Options of the networks."""

    channels: int = Field(32, ge=1)
    """Channels at half the size; twice as many at a quarter."""
    latent: int = Field(64, ge=1)
    """Numbers of a style."""


class ElboOptions(Options):
    """Options of the loss."""

    latent: int = Field(64, ge=1)
    """Numbers of a style, as the networks have them."""
    beta: float = Field(1.0, ge=0)
    """Weight of the divergence from the prior beside the reconstruction."""


def noise(options):
    """What a style is drawn with in training, and the prior elsewhere."""
    return Port("noise", ("batch", options.latent), dtype="noise")


def encoder_ports(options, context):
    """Needs a photo, gives its style and the distribution of it."""
    code = ("batch", options.latent)
    gives = (Port("style", code), Port("style.mean", code), Port("style.log_variance", code))
    return Ports(needs=(IMAGE,), gives=gives, smallest_size=8, size_multiple=4)


def spec(kind, name, summary, ports, options=VaeOptions):
    """Return the spec of a component of this family."""
    return ComponentSpec(
        interface_version=1,
        kind=kind,
        id=f"families/{name}",
        summary=summary,
        options=options,
        factory=f"vae:build_{name}",
        ports=ports,
        paper="Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014",
    )


@hookimpl
def facekit_components():
    """Say what the plugin offers."""

    def sampler_ports(options, context):
        return Ports(needs=(noise(options), replace(IMAGE, optional=True)), gives=(GENERATED,))

    def elbo_ports(options, context):
        code = ("batch", options.latent)
        return Ports(needs=(IMAGE, noise(options), Port("style.mean", code), Port("style.log_variance", code)))

    return [
        spec("style_encoder", "vae_encoder", "Reads the distribution of a photo's style.", encoder_ports),
        spec("network", "vae_decoder", "Makes a face of a style.", lambda options, context: Ports()),
        spec("sampler", "vae_sampler", "Decodes a photo's mean style, or noise where there is none.", sampler_ports),
        spec("loss", "elbo", "Reconstruction error and divergence from the prior.", elbo_ports, ElboOptions),
    ]


def build_vae_encoder(options, context):
    """Build the encoder."""
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            side, channels = context.size // 4, options.channels
            first, second = nn.Conv2d(3, channels, 4, 2, 1), nn.Conv2d(channels, 2 * channels, 4, 2, 1)
            last = nn.Linear(2 * channels * side**2, 2 * options.latent)
            self.layers = nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), nn.Flatten(), last)

        def forward(self, image, mask):
            mean, log_variance = self.layers(image).chunk(2, 1)
            return VaeStyle(mean, mean=mean, log_variance=log_variance)

    return Encoder()


def build_vae_decoder(options, context):
    """Build the decoder, from style (N, D) to image (N, 3, S, S)."""
    from torch import nn

    side, channels = context.size // 4, options.channels
    return nn.Sequential(
        nn.Linear(options.latent, 2 * channels * side**2),
        nn.Unflatten(1, (2 * channels, side, side)),
        nn.SiLU(),
        nn.ConvTranspose2d(2 * channels, channels, 4, 2, 1),
        nn.SiLU(),
        nn.ConvTranspose2d(channels, 3, 4, 2, 1),
        nn.Tanh(),
    )


def build_vae_sampler(options, context):
    """Build the sampler."""
    from facekit.interfaces import Generated

    def sample(networks, condition):
        photo = condition.source_image
        code = condition.extra["noise"] if photo is None else networks["style_encoder"](photo, None).mean
        return Generated(networks["decoder"](code))

    return sample


def build_elbo(options, context):
    """Build the loss: the negative evidence lower bound, per pixel."""

    def elbo(step):
        photo = step.batch.image
        style = step.once("style", lambda: step.networks["style_encoder"](photo, None))
        mean, log_variance = style.mean.float(), style.log_variance.float()
        code = mean + step.condition.extra["noise"] * (log_variance / 2).exp()
        error = (step.networks["decoder"](code) - photo).square().sum((1, 2, 3)).mean()
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1).mean()
        return (error + options.beta * divergence) / photo[0].numel()

    return elbo
