"""A variational autoencoder in plain PyTorch: two networks, a loss, a loop. It knows nothing of facekit.

python plain_vae.py photos/ 2000

Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014.
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F


class Encoder(nn.Module):
    """Reads the mean and the log variance of a latent from an image."""

    def __init__(self, size=32, channels=32, latent=64):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, channels, 4, 2, 1),
            nn.SiLU(),
            nn.Conv2d(channels, 2 * channels, 4, 2, 1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(2 * channels * (size // 4) ** 2, 2 * latent),
        )

    def forward(self, image):
        return self.layers(image).chunk(2, 1)


class Decoder(nn.Module):
    """Makes an image of a latent."""

    def __init__(self, size=32, channels=32, latent=64):
        super().__init__()
        side = size // 4
        self.layers = nn.Sequential(
            nn.Linear(latent, 2 * channels * side**2),
            nn.Unflatten(1, (2 * channels, side, side)),
            nn.SiLU(),
            nn.ConvTranspose2d(2 * channels, channels, 4, 2, 1),
            nn.SiLU(),
            nn.ConvTranspose2d(channels, 3, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, latent):
        return self.layers(latent)


def elbo(image, decoded, mean, log_variance, beta=1.0):
    """Return the negative evidence lower bound per pixel."""
    error = F.mse_loss(decoded, image, reduction="none").sum((1, 2, 3))
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
    return (error + beta * divergence).mean() / image[0].numel()


def train(images, steps, batch=16, latent=64):
    """Train on images (N, 3, S, S) in [-1, 1], and return the two networks."""
    size = images.shape[-1]
    encoder, decoder = Encoder(size, latent=latent), Decoder(size, latent=latent)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    for _ in range(steps):
        image = images[torch.randint(0, len(images), (batch,))]
        mean, log_variance = encoder(image)
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        loss = elbo(image, decoder(code), mean, log_variance)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return encoder, decoder


@torch.no_grad()
def sample(decoder, count, latent=64):
    """Return new images (count, 3, S, S)."""
    return decoder(torch.randn(count, latent))


def read(folder, size=32):
    """Return the images of a folder (N, 3, S, S) in [-1, 1]."""
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms.functional import center_crop, resize

    images = [decode_image(str(path), ImageReadMode.RGB) for path in sorted(Path(folder).glob("*.*"))]
    images = [center_crop(resize(image, size, antialias=True), size) for image in images]
    return torch.stack(images).float() / 127.5 - 1


if __name__ == "__main__":
    from torchvision.utils import save_image

    _, decoder = train(read(sys.argv[1]), int(sys.argv[2]))
    save_image(sample(decoder, 16), "faces.png", normalize=True, value_range=(-1, 1))
