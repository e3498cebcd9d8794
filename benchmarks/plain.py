"""The networks of the main model, and a training step, written plainly: what facekit is measured against.

As published training code has it: fp32, N,C,H,W, padding layers in front of convolutions, ``nn.InstanceNorm2d``, one
pass of the discriminator for each picture, unfused Adam. The discriminator is not frozen in the generator's turn. The
numbers are the same as facekit's: :func:`copy_weights` gives a plain network the weights of facekit's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 19


class Sft(nn.Module):
    """x(1 + gamma) + beta, with gamma and beta from two 1x1 convolutions each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.LeakyReLU(0.1), nn.Conv2d(channels, channels, 1)
        )
        self.beta = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.LeakyReLU(0.1), nn.Conv2d(channels, channels, 1))

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Transform features by a condition of the same shape."""
        return features * (1 + self.gamma(condition)) + self.beta(condition)


def reflected(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Return a reflection padding and its convolution."""
    return [nn.ReflectionPad2d((kernel - 1) // 2), nn.Conv2d(inputs, outputs, kernel, stride=stride)]


class PlainStyleEncoder(nn.Module):
    """Photo and one-hot mask to a style vector of ``numbers`` numbers."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.label_fine = nn.Sequential(
            *reflected(CLASSES, 16, 7), nn.ReLU(), *reflected(16, 32, 4, 2), nn.ReLU(), *reflected(32, 64, 4, 2)
        )
        deeper = [layer for _ in range(3) for layer in (nn.ReLU(), *reflected(64, 64, 4, 2))]
        self.label_coarse = nn.Sequential(*deeper)
        self.fine = nn.Sequential(
            *reflected(3, 16, 7),
            nn.ReLU(),
            *reflected(16, 32, 4, 2),
            nn.ReLU(),
            *reflected(32, 64, 4, 2),
            nn.ReLU(),
        )
        self.fine_sft = Sft(64)
        self.coarse = nn.Sequential(*(layer for _ in range(3) for layer in (*reflected(64, 64, 4, 2), nn.ReLU())))
        self.coarse_sft = Sft(64)
        self.head = nn.Conv2d(64, numbers, 1)

    def forward(self, photo: Tensor, planes: Tensor) -> Tensor:
        """Return N,numbers from N,3,H,W and N,19,H,W."""
        label_fine = self.label_fine(planes)
        features = self.fine_sft(self.fine(photo), label_fine)
        features = self.coarse_sft(self.coarse(features), self.label_coarse(label_fine))
        return self.head(F.adaptive_avg_pool2d(features, 1)).flatten(1)


class AdaIn(nn.Module):
    """Instance norm, then the style's own shift and 1 + scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)

    def forward(self, features: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        """Return N,C,H,W; shift and scale are N,C."""
        return self.norm(features) * (1 + scale[:, :, None, None]) + shift[:, :, None, None]


class PlainResidualBlock(nn.Module):
    """Two reflected 3x3 convolutions with AdaIN, and the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*reflected(channels, channels, 3))
        self.first_norm = AdaIn(channels)
        self.relu = nn.ReLU()
        self.second = nn.Sequential(*reflected(channels, channels, 3))
        self.second_norm = AdaIn(channels)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Return N,C,H,W; the style is N,4*C."""
        shift, scale, second_shift, second_scale = style.chunk(4, dim=1)
        hidden = self.relu(self.first_norm(self.first(features), shift, scale))
        return features + self.second_norm(self.second(hidden), second_shift, second_scale)


class PlainGenerator(nn.Module):
    """One-hot mask and style vector to a picture."""

    def __init__(self, filters: int, blocks: int = 4, downsamplings: int = 4) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(downsamplings + 1)]
        down: list[nn.Module] = [*reflected(CLASSES, filters, 7), nn.InstanceNorm2d(filters), nn.ReLU()]
        for level in range(downsamplings):
            down += [nn.Conv2d(widths[level], widths[level + 1], 3, stride=2, padding=1)]
            down += [nn.InstanceNorm2d(widths[level + 1]), nn.ReLU()]
        self.down = nn.Sequential(*down)
        self.blocks = nn.ModuleList(PlainResidualBlock(widths[-1]) for _ in range(blocks))
        up: list[nn.Module] = []
        for level in reversed(range(downsamplings)):
            up += [nn.ConvTranspose2d(widths[level + 1], widths[level], 3, stride=2, padding=1, output_padding=1)]
            up += [nn.InstanceNorm2d(widths[level]), nn.ReLU()]
        self.up = nn.Sequential(*up, *reflected(filters, 3, 7), nn.Tanh())
        self.style_numbers = blocks * 4 * widths[-1]

    def forward(self, planes: Tensor, style: Tensor) -> Tensor:
        """Return pictures N,3,H,W in [-1, 1]."""
        features = self.down(planes)
        for block, part in zip(self.blocks, style.chunk(len(self.blocks), dim=1), strict=True):
            features = block(features, part)
        return self.up(features)


class PlainDiscriminator(nn.Module):
    """The patch discriminator at two scales; gives the maps of each, the logits last."""

    def __init__(self, filters: int, scales: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList(self._scale(filters) for _ in range(scales))
        self.pool = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    @staticmethod
    def _scale(filters: int) -> nn.ModuleList:
        wide = [min(filters * 2**level, 512) for level in range(4)]
        layers = [nn.Sequential(nn.Conv2d(CLASSES + 3, wide[0], 4, stride=2, padding=2), nn.LeakyReLU(0.2))]
        for level, stride in ((1, 2), (2, 2), (3, 1)):
            layers.append(
                nn.Sequential(
                    nn.Conv2d(wide[level - 1], wide[level], 4, stride=stride, padding=2),
                    nn.InstanceNorm2d(wide[level]),
                    nn.LeakyReLU(0.2),
                )
            )
        layers.append(nn.Sequential(nn.Conv2d(wide[3], 1, 4, stride=1, padding=2)))
        return nn.ModuleList(layers)

    def forward(self, pair: Tensor) -> list[list[Tensor]]:
        """Evaluator N,22,H,W, full resolution first."""
        discriminator_outputs = []
        for index, scale in enumerate(self.scales):
            if index:
                pair = self.pool(pair)
            maps, hidden = [], pair
            for layer in scale:
                hidden = layer(hidden)
                maps.append(hidden)
            discriminator_outputs.append(maps)
        return discriminator_outputs


class PlainLosses(NamedTuple):
    """The weighted losses of a step."""

    adversarial: float
    feature_matching: float
    discriminator: float

    @property
    def generator(self) -> float:
        """The generator's sum."""
        return self.adversarial + self.feature_matching


def one_hot(mask: Tensor) -> Tensor:
    """Return class ids N,H,W as planes N,19,H,W."""
    planes = torch.zeros(mask.shape[0], CLASSES, *mask.shape[1:], device=mask.device)
    return planes.scatter_(1, mask.long().unsqueeze(1), 1.0)


class PlainTraining:
    """The training step of published code: all losses first, then both updates, each with its backward pass."""

    def __init__(self, filters: int = 64, *, learning_rate: float = 2e-4, device: str = "cpu") -> None:
        self.device = device
        self.generator = PlainGenerator(filters).to(device)
        self.encoder = PlainStyleEncoder(self.generator.style_numbers).to(device)
        self.discriminator = PlainDiscriminator(filters).to(device)
        painting = [*self.encoder.parameters(), *self.generator.parameters()]
        adam = {"lr": learning_rate, "betas": (0.5, 0.999), "foreach": False, "fused": False}
        self.painting_optimiser = torch.optim.Adam(painting, **adam)
        self.judging_optimiser = torch.optim.Adam(self.discriminator.parameters(), **adam)

    def paint(self, photo: Tensor, mask: Tensor) -> Tensor:
        """Return pictures of masks N,H,W in the look of their own photos."""
        planes = one_hot(mask)
        return self.generator(planes, self.encoder(photo, planes))

    def step(self, photo: Tensor, mask: Tensor) -> PlainLosses:
        """Train on photos N,3,H,W with their masks N,H,W."""
        photo, mask = photo.to(self.device), mask.to(self.device)
        planes = one_hot(mask)
        fake = self.generator(planes, self.encoder(photo, planes))

        of_cut = self.discriminator(torch.cat((planes, fake.detach()), dim=1))
        of_real = self.discriminator(torch.cat((planes, photo), dim=1))
        judging = sum(
            (F.mse_loss(real[-1], torch.ones_like(real[-1])) + F.mse_loss(cut[-1], torch.zeros_like(cut[-1]))) / 2
            for real, cut in zip(of_real, of_cut, strict=True)
        )
        of_fake = self.discriminator(torch.cat((planes, fake), dim=1))
        adversarial = sum(F.mse_loss(scale[-1], torch.ones_like(scale[-1])) for scale in of_fake)
        matching = sum(
            F.l1_loss(fake_map, real_map.detach()) * 10 * 4 / 4 / len(of_fake)
            for fake_scale, real_scale in zip(of_fake, of_real, strict=True)
            for fake_map, real_map in zip(fake_scale[:-1], real_scale[:-1], strict=True)
        )

        self.painting_optimiser.zero_grad()
        (adversarial + matching).backward()
        self.painting_optimiser.step()
        self.judging_optimiser.zero_grad()
        judging.backward()
        self.judging_optimiser.step()
        return PlainLosses(adversarial.item(), matching.item(), judging.item())


def copy_weights(source: nn.Module, plain: nn.Module) -> None:
    """Give a plain network the weights of facekit's network of the same layers.

    Raises:
        ValueError: the networks have other layers.
    """
    theirs, ours = list(plain.parameters()), list(source.parameters())
    if [weight.shape for weight in ours] != [weight.shape for weight in theirs]:
        raise ValueError("the networks have other layers")
    with torch.no_grad():
        for weight, own in zip(theirs, ours, strict=True):
            weight.copy_(own)
