"""What facekit needs to know of `plain_ddpm.py`, which stays as it is.

facekit run ported_ddpm.yaml --plugin-file ported_ddpm.py
facekit generate runs/ported_ddpm-1 --plugin-file ported_ddpm.py --count 16 --set sampler.method=ddim -o faces
"""

import sys
from pathlib import Path
from typing import Literal

from pydantic import Field

from facekit.interfaces import GENERATED, IMAGE, NoOptions, Options, Port, Ports
from facekit.registry import ComponentSpec, hookimpl

sys.path.insert(0, str(Path(__file__).parent))  # where plain_ddpm.py is; a distribution needs no such line

NOISE = Port("noise", ("batch", 3, "size", "size"), dtype="noise")
"""What an image starts from, and what is added to real ones in training: facekit draws it."""


class UNetOptions(Options):
    """Options of the network."""

    channels: int = Field(32, ge=4, multiple_of=4)
    """Channels at the full size; twice as many at half of it."""


class SamplerOptions(Options):
    """Options of the sampler."""

    method: Literal["ddpm", "ddim"] = "ddpm"
    """`ddpm` adds fresh noise at each time and visits all times; `ddim` adds none and may leave times out."""
    steps: int = Field(20, ge=1, le=200)
    """Times that `ddim` visits; more are better and slower."""


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
            factory=f"ported_ddpm:build_{name}",
            ports=lambda options, context: ports,
            paper="Ho et al., Denoising Diffusion Probabilistic Models, NeurIPS 2020",
            **more,
        )

    network, loss = Ports(size_multiple=4), Ports(needs=(IMAGE, NOISE))
    sampler, free = Ports(needs=(NOISE,), gives=(GENERATED,)), {"runtime": ("method", "steps")}
    return [
        spec("network", "unet", "Predicts the noise in an image.", UNetOptions, network),
        spec("sampler", "denoising", "Takes noise away step by step.", SamplerOptions, sampler, **free),
        spec("loss", "noise_error", "Squared error of the predicted noise, at a random time.", NoOptions, loss),
    ]


def build_unet(options, context):
    """Build the network."""
    from plain_ddpm import UNet

    return UNet(options.channels)


def build_denoising(options, context):
    """Build the sampler."""
    import torch
    from plain_ddpm import KEPT, TIMES, take_away

    from facekit.interfaces import Generated

    def fresh_noise(start):
        """Return a function that draws noise, for each image from a generator that its own first noise seeds."""
        seeds = start.float().cpu().flatten(1)[:, :2].contiguous().view(torch.int64).flatten().tolist()
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        shape, device = start.shape[1:], start.device
        return lambda: torch.stack([torch.randn(shape, generator=each) for each in generators]).to(device)

    def sample(networks, condition):
        image = condition.extra["noise"]
        draw = fresh_noise(image)
        ancestral = options.method == "ddpm"
        visited = torch.linspace(TIMES - 1, 0, TIMES if ancestral else options.steps).long().tolist()
        for time, following in zip(visited, [*visited[1:], None], strict=True):
            predicted = networks["unet"](image, torch.full((len(image),), float(time), device=image.device))
            if ancestral:
                image = take_away(image, predicted, time, draw())
                continue
            now, then = KEPT[time].item(), 1.0 if following is None else KEPT[following].item()
            clean = ((image - (1 - now) ** 0.5 * predicted) / now**0.5).clamp(-1, 1)
            image = then**0.5 * clean + (1 - then) ** 0.5 * predicted
        return Generated(image.clamp(-1, 1))

    return sample


def build_noise_error(options, context):
    """Build the loss: the body of the training loop, without optimiser, device and data."""
    import torch
    from plain_ddpm import TIMES, add_noise
    from torch.nn import functional as F

    def loss(step):
        image, noise = step.batch.image, step.condition.extra["noise"]
        time = torch.randint(0, TIMES, (len(image),), generator=step.random).to(image.device)
        return F.mse_loss(step.networks["unet"](add_noise(image, noise, time), time.float()), noise)

    return loss
