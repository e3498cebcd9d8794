"""The losses of the published recipes, with their weights, against each paper's sums written out, on given tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from facekit.interfaces import DiscriminatorOutput, Generated, ScaleOutput
from facekit_losses.adversarial import discriminator_adversarial_loss, generator_adversarial_loss
from facekit_losses.cycle_reconstruction import cycle_reconstruction_loss
from facekit_losses.domain_classification import domain_classification_loss
from facekit_losses.feature_matching import feature_matching_loss
from facekit_losses.gradient_penalty import gradient_penalty
from facekit_losses.kl import kl_divergence
from facekit_losses.r1_penalty import r1_penalty

PAPER = Path(__file__).resolve().parents[3] / "recipes" / "paper"
MAPS = {"spade_encoder": 4, "sean": 3, "pix2pixhd_global": 4}
"""Feature maps of a scale of each discriminator."""
LEVELS = 7
"""Sizes from 4 to 256 pixels."""


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def output(seed: int, *, maps: int = 0, scales: int = 2, attributes: int = 0) -> DiscriminatorOutput:
    made = tuple(
        ScaleOutput(
            drawn(3, 1, 5 - scale, 5 - scale, seed=seed + scale),
            tuple(drawn(3, 2 + place, 6, 6, seed=seed + 10 * place + scale) for place in range(maps)),
        )
        for scale in range(scales)
    )
    return DiscriminatorOutput(made, drawn(3, attributes, seed=seed) if attributes else None)


def entries(recipe: Path, player: str) -> list[dict[str, Any]]:
    """The losses of a player in a recipe, or in the one that it extends."""
    document = yaml.safe_load(recipe.read_text())
    if player in document.get("losses", {}):
        return document["losses"][player]
    return entries(recipe.parent / document["extends"], player)


# Critics whose gradients are known: their score is the sum of the image, or of each level, times given numbers.
SLOPES = [drawn(1, 3, 4, 4, seed=90 + level) for level in range(LEVELS)]


def linear(image: Generated) -> DiscriminatorOutput:
    levels = (image.image, *image.pyramid)
    pairs = zip(levels, SLOPES, strict=False)
    return DiscriminatorOutput((ScaleOutput(sum((level * slope).sum((1, 2, 3)) for level, slope in pairs)[:, None]),))


IMAGE = Generated(drawn(3, 3, 4, 4, seed=70))
PYRAMID = Generated(IMAGE.image, tuple(drawn(3, 3, 4, 4, seed=71 + level) for level in range(LEVELS - 1)))
WANTED = torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 0]], dtype=torch.float64)
MEAN, LOG_VARIANCE = drawn(3, 6, seed=80), drawn(3, 6, seed=81)


def value(entry: dict[str, Any], player: str, made: DiscriminatorOutput, photos: DiscriminatorOutput) -> float:
    """One loss of a recipe, weighted."""
    use, weight = entry["use"], float(entry.get("weight", 1))
    if use == "adversarial" and player == "generator":
        loss = generator_adversarial_loss(made, photos, objective=entry["objective"])
    elif use == "adversarial":
        loss = discriminator_adversarial_loss(photos, made, objective=entry["objective"])
    elif use == "feature_matching":
        loss = feature_matching_loss(made, photos)
    elif use == "kl":
        loss = kl_divergence(MEAN, LOG_VARIANCE)
    elif use == "domain_classification":
        loss = domain_classification_loss(made if player == "generator" else photos, WANTED)
    elif use == "cycle_reconstruction":
        loss = cycle_reconstruction_loss(IMAGE.image, PYRAMID.pyramid[0])
    elif use == "gradient_penalty":
        loss = gradient_penalty(linear, IMAGE)
    elif use == "r1_penalty":
        loss = r1_penalty(linear, PYRAMID)
    else:
        assert use == "perceptual"  # it needs a network; its own tests hold it against sums
        return 0.0
    return weight * float(loss)


def logits(of: DiscriminatorOutput) -> list[np.ndarray]:
    return [scale.logits.numpy() for scale in of.scales]


def distances(made: DiscriminatorOutput, photos: DiscriminatorOutput) -> list[list[float]]:
    """The mean absolute difference of each feature map, by scale."""
    return [
        [float(np.abs(one.numpy() - other.numpy()).mean()) for one, other in zip(f.features, r.features, strict=True)]
        for f, r in zip(made.scales, photos.scales, strict=True)
    ]


def softplus(numbers: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(numbers))


def above_zero(numbers: np.ndarray) -> np.ndarray:
    return np.maximum(numbers, 0)


def kl() -> float:
    mean, log_variance = MEAN.numpy(), LOG_VARIANCE.numpy()
    return float(-0.5 * (1 + log_variance - mean**2 - np.exp(log_variance)).sum())


def cross_entropy(of: DiscriminatorOutput) -> float:
    assert of.class_logits is not None
    shares = 1 / (1 + np.exp(-of.class_logits.numpy()))
    wanted = WANTED.numpy()
    return float(-(wanted * np.log(shares) + (1 - wanted) * np.log(1 - shares)).sum() / len(wanted))


def squared_slope(level: int) -> float:
    return float((SLOPES[level].numpy() ** 2).sum())


def published(name: str, made: DiscriminatorOutput, photos: DiscriminatorOutput) -> tuple[float, float]:
    """The sums of the paper or its code, of the generator and of the discriminator."""
    fake, real = logits(made), logits(photos)
    pairs = list(zip(fake, real, strict=True))
    if name in ("spade_encoder", "sean"):  # hinge and feature matching are means over scales
        matching = 10 * np.mean([sum(each) for each in distances(made, photos)])
        generator = np.mean([-f.mean() for f in fake]) + matching + (0.05 * kl() if name == "spade_encoder" else 0)
        return generator, np.mean([above_zero(1 - r).mean() + above_zero(1 + f).mean() for f, r in pairs])
    if name == "pix2pixhd_global":
        matching = 10 * sum(4 / (3 + 1) / 2 * each for scale in distances(made, photos) for each in scale)
        return (
            sum(((f - 1) ** 2).mean() for f in fake) + matching,
            0.5 * (sum((f**2).mean() for f in fake) + sum(((r - 1) ** 2).mean() for r in real)),
        )
    if name == "msg_gan":  # the relativistic average hinge
        ((f, r),) = pairs
        return (
            above_zero(1 - (f - r.mean())).mean() + above_zero(1 + (r - f.mean())).mean(),
            above_zero(1 - (r - f.mean())).mean() + above_zero(1 + (f - r.mean())).mean(),
        )
    if name == "msg_style_gan":  # R1 with gamma 10, a mean over the levels
        ((f, r),) = pairs
        penalty = 10 / 2 * np.mean([squared_slope(level) for level in range(LEVELS)])
        return softplus(-f).mean(), softplus(f).mean() + softplus(-r).mean() + penalty
    ((f, r),) = pairs
    cycle = np.abs(IMAGE.image.numpy() - PYRAMID.pyramid[0].numpy()).mean()
    return (
        -f.mean() + cross_entropy(made) + 10 * cycle,
        f.mean() - r.mean() + cross_entropy(photos) + 10 * (squared_slope(0) ** 0.5 - 1) ** 2,
    )


@pytest.mark.parametrize("name", ["spade_encoder", "sean", "pix2pixhd_global", "msg_gan", "msg_style_gan", "stargan"])
def test_a_published_recipe_has_the_published_losses(name: str) -> None:
    plan = {"maps": MAPS.get(name, 0), "scales": 2 if name in MAPS else 1, "attributes": 3 * (name == "stargan")}
    made, photos = output(1, **plan), output(500, **plan)
    for player, expected in zip(("generator", "discriminator"), published(name, made, photos), strict=True):
        found = sum(value(entry, player, made, photos) for entry in entries(PAPER / f"{name}.yaml", player))
        # The weight of R1 is written with five figures.
        assert found == pytest.approx(expected, rel=2e-5 if name == "msg_style_gan" else 1e-6), player
