"""A diffusion model in plain PyTorch: a U-Net, a loss, ancestral sampling. It knows nothing of facekit.

python plain_ddpm.py photos/ 2000

Ho et al., Denoising Diffusion Probabilistic Models, NeurIPS 2020, in small.
"""

import sys

import torch
from torch import nn
from torch.nn import functional as F

TIMES = 200
"""Times at which noise was added, from almost none to almost nothing else."""

BETAS = torch.linspace(1e-4, 0.04, TIMES)
KEPT = torch.cumprod(1 - BETAS, 0)
"""The share of an image's variance that is left at each time."""


class Block(nn.Module):
    """Two convolutions with a skip, told the time in between."""

    def __init__(self, inputs, outputs, time):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(time, outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, features, time):
        hidden = F.silu(F.group_norm(self.first(features), 4)) + self.time(time)[:, :, None, None]
        return self.skip(features) + F.silu(F.group_norm(self.second(hidden), 4))


class UNet(nn.Module):
    """Predicts the noise in an image (N, 3, S, S) at times (N,)."""

    def __init__(self, channels=32):
        super().__init__()
        self.channels = channels
        self.time = nn.Sequential(nn.Linear(channels, channels), nn.SiLU())
        self.down = nn.ModuleList([Block(3, channels, channels), Block(channels, 2 * channels, channels)])
        self.middle = Block(2 * channels, 2 * channels, channels)
        self.up = nn.ModuleList(
            [Block(4 * channels, channels, channels), Block(2 * channels, channels, channels)],
        )
        self.last = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, image, time):
        waves = torch.exp(-torch.arange(0, self.channels, 2, device=time.device) / self.channels * 8) * time[:, None]
        time = self.time(torch.cat([waves.sin(), waves.cos()], 1))
        features, kept = image, []
        for block in self.down:
            kept.append(block(features, time))
            features = F.avg_pool2d(kept[-1], 2)
        features = self.middle(features, time)
        for block in self.up:
            features = block(torch.cat([F.interpolate(features, scale_factor=2.0), kept.pop()], 1), time)
        return self.last(features)


def add_noise(image, noise, time):
    """Return what is left of images at times (N,), with the noise that is there in place of the rest."""
    share = KEPT.to(image.device)[time][:, None, None, None]
    return share.sqrt() * image + (1 - share).sqrt() * noise


def take_away(image, predicted, time, noise):
    """Return the images of one time before: less of the predicted noise, and a little fresh one."""
    beta, kept = BETAS[time].item(), KEPT[time].item()
    mean = (image - beta / (1 - kept) ** 0.5 * predicted) / (1 - beta) ** 0.5
    return mean + beta**0.5 * noise if time else mean


def train(images, steps, batch=16):
    """Train on images (N, 3, S, S) in [-1, 1], and return the network."""
    network = UNet()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(steps):
        image = images[torch.randint(0, len(images), (batch,))]
        noise, time = torch.randn_like(image), torch.randint(0, TIMES, (batch,))
        loss = F.mse_loss(network(add_noise(image, noise, time), time.float()), noise)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network


@torch.no_grad()
def sample(network, count, size=32):
    """Return new images (count, 3, S, S)."""
    image = torch.randn(count, 3, size, size)
    for time in reversed(range(TIMES)):
        predicted = network(image, torch.full((count,), float(time)))
        image = take_away(image, predicted, time, torch.randn_like(image))
    return image.clamp(-1, 1)


if __name__ == "__main__":
    from plain_vae import read
    from torchvision.utils import save_image

    faces = sample(train(read(sys.argv[1]), int(sys.argv[2])), 16)
    save_image(faces, "faces.png", normalize=True, value_range=(-1, 1))
