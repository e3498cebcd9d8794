"""A style-based GAN in plain PyTorch: three networks, a loop of two updates. It knows nothing of facekit.

python plain_stylegan.py photos/ 2000

Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020, in small.
"""

import sys
from copy import deepcopy
from math import log2

import torch
from torch import nn
from torch.nn import functional as F


class Mapping(nn.Module):
    """Maps noise z to a latent w."""

    def __init__(self, latent=64, layers=4):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(latent, latent) for _ in range(layers))

    def forward(self, z):
        w = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.layers:
            w = F.leaky_relu(layer(w), 0.2)
        return w


class ModulatedConvolution(nn.Module):
    """A convolution whose input channels w scales, and whose output channels are scaled back to unit variance."""

    def __init__(self, inputs, outputs, latent):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3) / (3 * inputs**0.5))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.style = nn.Linear(latent, inputs)

    def forward(self, features, w):
        style = 1 + self.style(w)
        variance = (self.weight.square().sum((2, 3)) @ style.square().T).T
        features = F.conv2d(features * style[:, :, None, None], self.weight, padding=1)
        features = features * torch.rsqrt(variance + 1e-8)[:, :, None, None]
        return F.leaky_relu(features + self.bias[:, None, None], 0.2)


class Synthesis(nn.Module):
    """Makes an image of w: a learnt start of 4x4, doubled until it is as large as the image."""

    def __init__(self, size=32, channels=32, latent=64):
        super().__init__()
        self.start = nn.Parameter(torch.randn(1, channels, 4, 4))
        doublings = int(log2(size)) - 2
        self.layers = nn.ModuleList(ModulatedConvolution(channels, channels, latent) for _ in range(doublings))
        self.images = nn.ModuleList(nn.Conv2d(channels, 3, 1) for _ in range(doublings))

    def forward(self, w):
        features, image = self.start.expand(len(w), -1, -1, -1), 0.0
        for layer, to_image in zip(self.layers, self.images, strict=True):
            features = layer(F.interpolate(features, scale_factor=2.0), w)
            image = to_image(features) + (F.interpolate(image, scale_factor=2.0) if torch.is_tensor(image) else 0.0)
        return image.tanh()


class Discriminator(nn.Module):
    """Halves an image down to 4x4 and scores it, (N, 1)."""

    def __init__(self, size=32, channels=32):
        super().__init__()
        layers = [nn.Conv2d(3, channels, 1), nn.LeakyReLU(0.2)]
        for _ in range(int(log2(size)) - 2):
            layers += [nn.Conv2d(channels, channels, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 16, 1))

    def forward(self, image):
        return self.layers(image)


def train(images, steps, batch=16, latent=64, gamma=1.0):
    """Train on images (N, 3, S, S) in [-1, 1], and return the averages of mapping and synthesis network."""
    size = images.shape[-1]
    mapping, synthesis, discriminator = Mapping(latent), Synthesis(size, latent=latent), Discriminator(size)
    averages = deepcopy(mapping), deepcopy(synthesis)
    groups = [{"params": mapping.parameters(), "lr": 2e-5}, {"params": synthesis.parameters()}]
    generator_optimiser = torch.optim.Adam(groups, lr=2e-3, betas=(0.0, 0.99))
    discriminator_optimiser = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.0, 0.99))
    for _ in range(steps):
        real = images[torch.randint(0, len(images), (batch,))].requires_grad_()
        score, fake = discriminator(real), synthesis(mapping(torch.randn(batch, latent)))
        loss = F.softplus(-score).mean() + F.softplus(discriminator(fake.detach())).mean()
        (slope,) = torch.autograd.grad(score.sum(), real, create_graph=True)
        loss = loss + gamma / 2 * slope.square().sum((1, 2, 3)).mean()
        discriminator_optimiser.zero_grad()
        loss.backward()
        discriminator_optimiser.step()

        loss = F.softplus(-discriminator(fake)).mean()
        generator_optimiser.zero_grad()
        loss.backward()
        generator_optimiser.step()
        for average, network in zip(averages, (mapping, synthesis)):
            for mean, weight in zip(average.parameters(), network.parameters()):
                mean.data.lerp_(weight.data, 0.001)
    return averages


@torch.no_grad()
def sample(mapping, synthesis, z, truncation=1.0):
    """Return new images (N, 3, S, S); with less truncation they stay closer to the mean face."""
    w, centre = mapping(z), mapping(torch.zeros_like(z[:1]))
    return synthesis(centre + (w - centre) * truncation)


if __name__ == "__main__":
    from plain_vae import read
    from torchvision.utils import save_image

    faces = sample(*train(read(sys.argv[1]), int(sys.argv[2])), torch.randn(16, 64), truncation=0.7)
    save_image(faces, "faces.png", normalize=True, value_range=(-1, 1))
