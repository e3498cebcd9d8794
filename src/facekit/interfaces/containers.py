"""The typed containers that components speak in. Importing this module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Condition:
    """What a generator may see: the wanted geometry and the wanted look.

    Args:
        mask: class ids (N, H, W), int64: the geometry of the result.
        reference_image: photo (N, 3, H, W) in [-1, 1] that gives the look; None where the model takes none.
        reference_mask: class ids (N, H, W) of the reference photo, int64. A reference always travels with its own mask.
        attributes: wanted attributes (N, A), float in {0, 1}; None where the data has none.
        source_image: photo (N, 3, H, W) in [-1, 1] that is to be changed (image-to-image models such as StarGAN).
    """

    mask: Tensor
    reference_image: Tensor | None = None
    reference_mask: Tensor | None = None
    attributes: Tensor | None = None
    source_image: Tensor | None = None

    def with_reference(self, image: Tensor, mask: Tensor) -> Condition:
        """Return the same geometry in the look of another photo."""
        return replace(self, reference_image=image, reference_mask=mask)

    def rolled_reference(self, shift: int = 1) -> Condition:
        """Return each geometry with the reference of another sample of the batch (rolled by ``shift``)."""
        if self.reference_image is None or self.reference_mask is None:
            raise ValueError("this condition has no reference to roll")
        return self.with_reference(self.reference_image.roll(shift, 0), self.reference_mask.roll(shift, 0))

    def with_attributes(self, attributes: Tensor) -> Condition:
        """Return the same with other wanted attributes (N, A)."""
        return replace(self, attributes=attributes)

    def first(self, count: int) -> Condition:
        """Return the condition of the first ``count`` samples."""

        def head(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[:count]

        return Condition(
            mask=self.mask[:count],
            reference_image=head(self.reference_image),
            reference_mask=head(self.reference_mask),
            attributes=head(self.attributes),
            source_image=head(self.source_image),
        )

    def to(self, device: torch.device | str) -> Condition:
        """Return the condition on a device."""

        def move(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=True)

        return Condition(
            mask=self.mask.to(device, non_blocking=True),
            reference_image=move(self.reference_image),
            reference_mask=move(self.reference_mask),
            attributes=move(self.attributes),
            source_image=move(self.source_image),
        )


@dataclass(frozen=True, slots=True)
class FaceBatch:
    """A batch of real faces.

    Args:
        image: photos (N, 3, H, W), float in [-1, 1].
        mask: class ids (N, H, W), int64.
        reference_image: photos (N, 3, H, W) whose look is wanted; during training the photo itself or an
            augmentation of it.
        reference_mask: class ids (N, H, W) of the reference photos.
        attributes: (N, A) float in {0, 1}, in the order of the dataset's ``attribute_names``; None where it has none.
        keys: the sample keys, N of them.
    """

    image: Tensor
    mask: Tensor
    reference_image: Tensor
    reference_mask: Tensor
    attributes: Tensor | None
    keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def condition(self) -> Condition:
        """What a generator may see of this batch: own mask, reference, own attributes, and the photo as the source."""
        return Condition(
            mask=self.mask,
            reference_image=self.reference_image,
            reference_mask=self.reference_mask,
            attributes=self.attributes,
            source_image=self.image,
        )

    def to(self, device: torch.device | str) -> FaceBatch:
        """Return the batch on a device; copies from pinned memory do not block."""
        return FaceBatch(
            image=self.image.to(device, non_blocking=True),
            mask=self.mask.to(device, non_blocking=True),
            reference_image=self.reference_image.to(device, non_blocking=True),
            reference_mask=self.reference_mask.to(device, non_blocking=True),
            attributes=None if self.attributes is None else self.attributes.to(device, non_blocking=True),
            keys=self.keys,
        )


@dataclass(frozen=True, slots=True)
class Style:
    """The look of a photo, as a style encoder gives it.

    Args:
        code: (N, D) for one vector a picture; (N, R, D) for one vector a region.
    """

    code: Tensor

    def roll(self, shift: int = 1) -> Style:
        """Return the styles given to other samples of the batch; the twin of :meth:`Condition.rolled_reference`."""
        return Style(self.code.roll(shift, 0))

    def first(self, count: int) -> Style:
        """Return the styles of the first ``count`` samples."""
        return Style(self.code[:count])


@dataclass(frozen=True, slots=True)
class Generated:
    """A picture that is judged: a generator's result, or a real photo put into the same form.

    Args:
        image: (N, 3, H, W) in [-1, 1].
        pyramid: the same picture at coarser sizes, finest first, from generators that paint several scales (MSG-GAN).

    A model family with more to say (a VAE's mean and variance, a rendered mesh) subclasses it.
    """

    image: Tensor
    pyramid: tuple[Tensor, ...] = ()

    def detach(self) -> Generated:
        """Return the picture cut from the graph that made it."""
        return replace(self, image=self.image.detach(), pyramid=tuple(level.detach() for level in self.pyramid))


@dataclass(frozen=True, slots=True)
class ScaleJudgement:
    """What a discriminator says at one scale: logits (N, 1, h, w) or (N, 1), and the feature maps that led to them."""

    logits: Tensor
    features: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a discriminator says of a picture, scale by scale (finest first).

    Args:
        scales: one entry a scale.
        class_logits: (N, A) attribute logits from discriminators that also classify (StarGAN); else None.
    """

    scales: tuple[ScaleJudgement, ...]
    class_logits: Tensor | None = None

    def split(self, count: int) -> tuple[Judgement, Judgement]:
        """Return the judgement of the first ``count`` samples and that of the rest (after one joint pass)."""
        return self._slice(slice(None, count)), self._slice(slice(count, None))

    def detach(self) -> Judgement:
        """Return the judgement cut from its graph."""
        return Judgement(
            scales=tuple(
                ScaleJudgement(scale.logits.detach(), tuple(feature.detach() for feature in scale.features))
                for scale in self.scales
            ),
            class_logits=None if self.class_logits is None else self.class_logits.detach(),
        )

    def _slice(self, part: slice) -> Judgement:
        return Judgement(
            scales=tuple(
                ScaleJudgement(scale.logits[part], tuple(feature[part] for feature in scale.features))
                for scale in self.scales
            ),
            class_logits=None if self.class_logits is None else self.class_logits[part],
        )
