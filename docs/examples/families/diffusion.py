"""Mask-conditioned diffusion in small: a network that predicts noise, and a sampler that takes it away step by step.

    facekit run diffusion.yaml --plugin-file diffusion.py
    facekit generate runs/diffusion-1 --plugin-file diffusion.py --mask mask.png --set sampler.steps=50 -o out.png

Ho et al., Denoising Diffusion Probabilistic Models, NeurIPS 2020; sampling by Song et al., Denoising Diffusion Implicit
Models, ICLR 2021. The noise of an image is a port of the image's own shape. How many steps the sampler takes is a
`runtime` option: no weight depends on it, so it may change when a run is used.
"""

from pydantic import Field

from facekit.interfaces import GENERATED, IMAGE, MASK, Options, Port, Ports
from facekit.registry import ComponentSpec, hookimpl

TIMES = 200
"""Times at which noise was added, from almost none to almost nothing else."""

NOISE = Port("noise_image", ("batch", 3, "size", "size"), dtype="noise")
"""The noise that an image starts from, and that is added to real ones in training."""


class DenoiserOptions(Options):
    """Options of the network."""

    channels: int = Field(32, ge=1)
    """Channels of every layer."""
    layers: int = Field(4, ge=1)
    """Layers, each with twice the dilation of the one before."""


class DdimOptions(Options):
    """Options of the sampler."""

    steps: int = Field(20, ge=1, le=TIMES)
    """Steps from noise to image; more are better and slower."""


class NoOwnOptions(Options):
    """The loss has none."""


def spec(kind, name, summary, options, ports, **more):
    """Return the spec of a component of this family."""
    return ComponentSpec(
        interface_version=1,
        kind=kind,
        id=f"families/{name}",
        summary=summary,
        options=options,
        factory=f"diffusion:build_{name}",
        ports=lambda options, context: ports,
        paper="Ho et al., Denoising Diffusion Probabilistic Models, NeurIPS 2020",
        **more,
    )


@hookimpl
def facekit_components():
    """Say what the plugin offers."""
    return [
        spec("network", "denoiser", "Predicts the noise in an image.", DenoiserOptions, Ports(needs=(MASK,))),
        spec(
            "sampler",
            "ddim",
            "Takes noise away step by step.",
            DdimOptions,
            Ports(needs=(MASK, NOISE), gives=(GENERATED,)),
            runtime=("steps",),
        ),
        spec(
            "loss",
            "noise_prediction",
            "Squared error of the predicted noise, at a random time.",
            NoOwnOptions,
            Ports(needs=(IMAGE, MASK, NOISE)),
        ),
    ]


def kept():
    """Return the share of an image's variance that is left at each time, (TIMES,), float32."""
    import torch

    return torch.cumprod(1 - torch.linspace(1e-4, 0.04, TIMES), 0)


def build_denoiser(options, context):
    """Build the network: dilated convolutions of image, mask and time."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Denoiser(nn.Module):
        def __init__(self):
            super().__init__()
            self.classes, channels = len(context.label_map), options.channels
            self.first = nn.Conv2d(3 + self.classes, channels, 3, padding=1)
            self.time = nn.Sequential(nn.Linear(1, channels), nn.SiLU(), nn.Linear(channels, channels))
            self.layers = nn.ModuleList(
                nn.Conv2d(channels, channels, 3, padding=2**index, dilation=2**index) for index in range(options.layers)
            )
            self.last = nn.Conv2d(channels, 3, 3, padding=1)

        def forward(self, noisy, time, mask):
            planes = F.one_hot(mask, self.classes).permute(0, 3, 1, 2).to(noisy.dtype)
            features = self.first(torch.cat([noisy, planes], 1))
            features = features + self.time(time[:, None] / TIMES)[:, :, None, None]
            for layer in self.layers:
                features = features + layer(F.silu(F.instance_norm(features)))
            return self.last(F.silu(features))

    return Denoiser()


def build_ddim(options, context):
    """Build the sampler."""
    import torch

    from facekit.interfaces import Generated

    def sample(networks, condition):
        image, mask = condition.extra[NOISE.name], condition.require_mask()
        shares = [*kept()[torch.linspace(TIMES - 1, 0, options.steps).long()].tolist(), 1.0]
        times = torch.linspace(TIMES - 1, 0, options.steps).long().tolist()
        for time, share, following in zip(times, shares, shares[1:]):
            now = torch.full((len(image),), float(time), device=image.device)
            noise = networks["denoiser"](image, now, mask).float()
            clean = ((image - (1 - share) ** 0.5 * noise) / share**0.5).clamp(-1, 1)
            image = following**0.5 * clean + (1 - following) ** 0.5 * noise
        return Generated(image.clamp(-1, 1))

    return sample


def build_noise_prediction(options, context):
    """Build the loss."""
    import torch

    def noise_prediction(step):
        image, noise = step.batch.image, step.condition.extra[NOISE.name]
        time = torch.randint(0, TIMES, (len(image),), generator=step.random).to(image.device)
        share = kept().to(image.device)[time][:, None, None, None]
        noisy = share.sqrt() * image + (1 - share).sqrt() * noise
        return (step.networks["denoiser"](noisy, time.float(), step.batch.require_mask()) - noise).square().mean()

    return noise_prediction
