"""What facekit needs to know of `plain_vae.py`, which stays as it is.

facekit run ported_vae.yaml --plugin-file ported_vae.py
facekit generate runs/ported_vae-1 --plugin-file ported_vae.py --count 16 --seed 7 -o faces
"""

import sys
from pathlib import Path

from pydantic import Field

from facekit.interfaces import GENERATED, IMAGE, Options, Port, Ports
from facekit.registry import ComponentSpec, hookimpl

sys.path.insert(0, str(Path(__file__).parent))  # where plain_vae.py is; a distribution needs no such line


class VaeOptions(Options):
    """Options of the networks."""

    channels: int = Field(32, ge=1)
    """Channels at half the size; twice as many at a quarter."""
    latent: int = Field(64, ge=1)
    """Numbers of a latent."""


class LatentOptions(Options):
    """Options of the sampler."""

    latent: int = Field(64, ge=1)
    """Numbers of a latent, as the networks have them."""


class ElboOptions(LatentOptions):
    """Options of the loss."""

    beta: float = Field(1.0, ge=0)
    """Weight of the divergence from the prior beside the reconstruction."""


def noise(options):
    """Return the port of what `torch.randn` drew: facekit draws it."""
    return Port("noise", ("batch", options.latent), dtype="noise")


def encoder_ports(options, context):
    """Needs an image, gives the distribution of its latent."""
    code = ("batch", options.latent)
    gives = (Port("mean", code), Port("log_variance", code))
    return Ports(needs=(IMAGE,), gives=gives, smallest_size=8, size_multiple=4)


def decoder_ports(options, context):
    """Needs noise, gives an image."""
    return Ports(needs=(noise(options),), size_multiple=4)


def sampler_ports(options, context):
    """Needs noise, gives an image."""
    return Ports(needs=(noise(options),), gives=(GENERATED,))


def elbo_ports(options, context):
    """Needs an image, the distribution of its latent, and noise."""
    code = ("batch", options.latent)
    return Ports(needs=(IMAGE, Port("mean", code), Port("log_variance", code), noise(options)))


@hookimpl
def facekit_components():
    """Say what the plugin offers."""

    def spec(kind, name, summary, options, ports):
        return ComponentSpec(
            interface_version=1,
            kind=kind,
            id=f"port/{name}",
            summary=summary,
            options=options,
            factory=f"ported_vae:build_{name}",
            ports=ports,
            paper="Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014",
        )

    return [
        spec("network", "vae_encoder", "Reads the distribution of an image's latent.", VaeOptions, encoder_ports),
        spec("network", "vae_decoder", "Makes an image of a latent.", VaeOptions, decoder_ports),
        spec("sampler", "vae_sampler", "Decodes noise.", LatentOptions, sampler_ports),
        spec("loss", "elbo", "Reconstruction error and divergence from the prior.", ElboOptions, elbo_ports),
    ]


def build_vae_encoder(options, context):
    """Build the encoder."""
    from plain_vae import Encoder

    return Encoder(context.size, options.channels, options.latent)


def build_vae_decoder(options, context):
    """Build the decoder."""
    from plain_vae import Decoder

    return Decoder(context.size, options.channels, options.latent)


def build_vae_sampler(options, context):
    """Build the sampler: `sample` of the plain script, of networks and noise that facekit gives."""
    from facekit.interfaces import Generated

    def sample(networks, condition):
        return Generated(networks["decoder"](condition.extra["noise"]))

    return sample


def build_elbo(options, context):
    """Build the loss: the body of the training loop, without optimiser, device and data."""
    from plain_vae import elbo

    def loss(step):
        image = step.batch.image
        mean, log_variance = step.once("latent", lambda: step.networks["encoder"](image))
        code = mean + step.condition.extra["noise"] * (log_variance / 2).exp()
        return elbo(image, step.networks["decoder"](code), mean, log_variance, options.beta)

    return loss
