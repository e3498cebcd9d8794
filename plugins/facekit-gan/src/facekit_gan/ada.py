"""Adaptive discriminator augmentation (Karras et al., NeurIPS 2020)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, Condition, DiscriminatorOutput, FacekitError, Generated

from .moving import background_of, moved
from .options import AdaOptions

SHIFT = 1 / 8
"""The largest translation, as a share of the side."""

SCALE, BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.2, 0.5, 1.0
"""Standard deviations: of the base-2 logarithms of scale, contrast and saturation, and of what brightness adds."""


class Ada:
    """Changes images with a probability that follows how well the discriminator knows the photos.

    Each change happens to each sample with the probability p, by itself, with the published strengths: a translation of
    whole pixels, an isotropic scale, a rotation; brightness, contrast, inverted lightness, hue, saturation. Mirroring
    is left to ``data.mirror``, quarter turns to the rotation. What comes into the frame is 0 in images and background
    in masks, where the published code mirrors images at their edges: masks could not tell mirrored regions apart.

    p goes up by images / ``speed`` where the mean sign of the discriminator's output for photos lies above the target,
    else down. At p = 0 images are shown as they are, bit for bit.

    Args:
        options: the recipe's options.
        size: image side in pixels.
        background: the class id of what comes into the frame of a mask.
    """

    def __init__(self, options: AdaOptions, *, size: int, background: int) -> None:
        self.interval = options.interval
        self.p = min(options.p, options.largest)
        self._options = options
        self._size = size
        self._background = background
        self._threshold = options.threshold
        self._sign = 0.0

    def draw(self, count: int, random: torch.Generator, *, certain: bool = False) -> Mapping[str, Tensor]:
        """Return motions (count, 2, 3) and matrices of colours (count, 3, 4); nothing at p = 0.

        Numbers of all parts are drawn whatever the policy, so that its parts do not change each other's.
        """
        if not self.p and not certain:
            return {}
        chances, numbers = torch.rand(count, 8, generator=random), torch.randn(count, 4, generator=random)
        places, turns = torch.rand(count, 2, generator=random), torch.rand(count, 2, generator=random) * 2 - 1
        happens = torch.ones_like(chances) if certain else (chances < self.p).float()
        policy = self._options.policy
        found: dict[str, Tensor] = {}
        if {"translation", "scale", "rotation"} & set(policy):
            chosen = happens[:, :3] * torch.tensor(
                [float(name in policy) for name in ("translation", "scale", "rotation")]
            )
            reach = int(self._size * SHIFT + 0.5)
            # Half is rounded away from what would fall outside: each whole number is as likely.
            shift = (places * (2 * reach + 1)).floor() - reach
            angle = turns[:, 0] * math.radians(self._options.rotation)
            found["motion"] = _motions(
                shift * chosen[:, :1], numbers[:, 0] * SCALE * chosen[:, 1], angle * chosen[:, 2]
            )
        if "color" in policy:
            found["color"] = _colours(numbers[:, 1:], turns[:, 1] * math.pi, happens[:, 3:])
        return found

    def __call__(
        self, image: Generated, condition: Condition, drawn: Mapping[str, Tensor]
    ) -> tuple[Generated, Condition]:
        """Return images and conditions as the discriminator is shown them; see :class:`Augmentation`."""
        if "motion" in drawn:
            whole = self._options.policy[:1] == ("translation",) and not {"scale", "rotation"} & set(
                self._options.policy
            )
            image, condition = moved(image, condition, drawn["motion"], background=self._background, whole=whole)
        if "color" in drawn:
            matrix = drawn["color"]
            levels = tuple(_recoloured(level, matrix) for level in image.pyramid)
            image = replace(image, image=_recoloured(image.image, matrix), pyramid=levels)
        return image, condition

    def read(self, output: DiscriminatorOutput, real: Tensor) -> Tensor:
        """Return sums over samples: signs for photos, their number, outputs for photos and fakes, number of fakes."""
        scales = [scale.logits.float().flatten(1) for scale in output.scales]
        level = torch.stack([logits.mean(1) for logits in scales]).mean(0)
        threshold = 0.0 if self._threshold is None else self._threshold
        sign = torch.stack([(logits - threshold).sign().mean(1) for logits in scales]).mean(0)
        fake = 1 - real
        return torch.stack([(sign * real).sum(), real.sum(), (level * real).sum(), (level * fake).sum(), fake.sum()])

    def adapt(self, sums: Sequence[float], images: int) -> None:
        """Move p towards what keeps the mean sign for photos at the target.

        Raises:
            FacekitError: discriminators were shown images, and none of them was a photo of the batch.
        """
        signs, photos, of_photos, of_fakes, fakes = sums
        if not photos:
            raise FacekitError(
                "ada follows what the discriminator gives for photos, and no loss has shown it those of the batch",
                remedy="let a loss discriminate `step.batch.image` as it is; or set "
                "train.augment.target: null, which keeps the probability",
            )
        known = self._threshold is not None
        if known:
            self._sign = signs / photos
        if known and self._options.target is not None:
            error = self._sign - self._options.target
            change = (error > 0) - (error < 0)
            self.p = min(max(self.p + change * images / self._options.speed, 0.0), self._options.largest)
        if self._options.threshold is None and fakes:
            self._threshold = (of_photos / photos + of_fakes / fakes) / 2

    def diagnostics(self) -> Mapping[str, float]:
        """Return the probability, and the mean sign that it last followed."""
        return {"p": self.p, "sign": self._sign}

    def state(self) -> dict[str, Tensor]:
        """Return probability, threshold and mean sign as float64 scalars; the threshold where there is one."""
        kept = {"p": self.p, "sign": self._sign}
        if self._threshold is not None:
            kept["threshold"] = self._threshold
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in kept.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`state` returned."""
        self.p, self._sign = float(state["p"]), float(state["sign"])
        self._threshold = float(state["threshold"]) if "threshold" in state else self._options.threshold


def _motions(shift: Tensor, scale: Tensor, angle: Tensor) -> Tensor:
    """Return where pixels come from when images are moved, then scaled, then rotated, (N, 2, 3).

    Args:
        shift: (N, 2), x and y in pixels.
        scale: (N,), logarithms of base 2.
        angle: (N,), radians.
    """
    cosine, sine = angle.cos() / 2**scale, angle.sin() / 2**scale
    turn = torch.stack([torch.stack([cosine, sine], 1), torch.stack([-sine, cosine], 1)], 1)
    return torch.cat([turn, -shift[:, :, None]], 2)


def _colours(numbers: Tensor, hue: Tensor, happens: Tensor) -> Tensor:
    """Return matrices (N, 3, 4) that take colours (r, g, b, 1) to others.

    Args:
        numbers: (N, 3), standard normal, for brightness, contrast and saturation.
        hue: (N,), radians.
        happens: (N, 5) in {0, 1}: brightness, contrast, inverted lightness, hue, saturation.
    """
    one, grey = torch.eye(3), torch.full((3, 3), 1 / 3)
    root = math.sqrt(1 / 3)
    across = torch.tensor([[0.0, -root, root], [root, 0.0, -root], [-root, root, 0.0]])
    flag = happens[:, :, None, None]
    contrast = one * 2 ** (numbers[:, 1] * CONTRAST * happens[:, 1])[:, None, None]
    inverted = one - 2 * grey * flag[:, 2]
    angle = (hue * happens[:, 3])[:, None, None]
    # Rodrigues' rotation about the grey axis; without an angle it is the identity exactly.
    turned = one + across * angle.sin() + (grey - one) * (1 - angle.cos())
    saturated = one + (one - grey) * (2 ** (numbers[:, 2] * SATURATION * happens[:, 4]) - 1)[:, None, None]
    matrix = saturated @ turned @ inverted @ contrast
    added = (numbers[:, 0] * BRIGHTNESS * happens[:, 0])[:, None, None].expand(-1, 3, 1)
    return torch.cat([matrix, matrix @ added], 2)


def _recoloured(image: Tensor, matrix: Tensor) -> Tensor:
    """Return images (N, 3, H, W) with a matrix (N, 3, 4) each applied to their colours.

    Channel by channel: a product of matrices would be rounded on GPUs.
    """
    columns = [matrix[:, :, index, None, None] for index in range(4)]
    red, green, blue = (image[:, index, None] for index in range(3))
    return columns[0] * red + columns[1] * green + columns[2] * blue + columns[3]


def build(options: AdaOptions, context: BuildContext) -> Ada:
    """Build the augmentation from a recipe's options."""
    return Ada(options, size=context.size, background=background_of(context.label_map))
