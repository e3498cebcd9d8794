"""What an augmentation in front of discriminators promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from safetensors.torch import load, save
from torch import Tensor

from facekit.interfaces import (
    AdaptiveAugmentation,
    Augmentation,
    Condition,
    DiscriminatorOutput,
    Generated,
    Reference,
    ScaleOutput,
)
from facekit.registry import Kind
from facekit.testing.contract import BrokenPromise, ComponentContract, promise, promised

_TOLERANCE = 1e-5
_ADAPTATIONS = 4


class AugmentationContract(ComponentContract):
    """The promises of an augmentation. Subclass it with ``spec``, and ``options`` where the defaults are not wanted.

    It is tried with everything that it can do happening to every sample (``draw(..., certain=True)``).
    """

    kind: ClassVar[Kind] = "augmentation"

    @promise
    def test_draws_are_repeatable(self) -> None:
        """What is drawn is a function of the generator, so that a run can go on anywhere."""
        for size, count in self._forms():
            augmentation = self.build(size)
            torch.manual_seed(self.seed)
            first = self.drawn(augmentation, count)
            torch.manual_seed(self.seed + 1)
            again = self.drawn(augmentation, count)
            for name, tensor in first.items():
                if len(tensor) != count or tensor.device.type != "cpu":
                    seen = f"`{name}` of shape {tuple(tensor.shape)} on {tensor.device} for {count} samples"
                    raise BrokenPromise(seen, "return (count, ...)", "a draw has one row a sample, on the CPU")
                if name not in again or not torch.equal(tensor, again[name]):
                    raise BrokenPromise(f"`{name}` is another the second time", "draw from `random` only")

    @promise
    def test_keeps_the_form(self) -> None:
        """A discriminator is shown what it would be shown without an augmentation, changed.

        That has the same shapes, numbers and classes; the reference stays as it is.
        """
        for size, count in self._forms():
            image, condition = self.images(count, size)
            before = image.image.clone()
            augmentation = self.build(size)
            new, moved = augmentation(image, condition, self.drawn(augmentation, count))
            for name, old, now in (
                ("image", image.image, new.image),
                ("pyramid", image.pyramid[0], new.pyramid[0] if new.pyramid else None),
                ("mask", condition.mask, moved.mask),
                ("source_image", condition.source_image, moved.source_image),
            ):
                assert old is not None
                if now is None or now.shape != old.shape or now.dtype != old.dtype:
                    seen = "nothing" if now is None else f"{tuple(now.shape)} of {now.dtype}"
                    raise BrokenPromise(f"`{name}` became {seen}", "use dataclasses.replace")
            if int(moved.mask.min()) < 0 or int(moved.mask.max()) >= max(1, len(self.label_map)):
                raise BrokenPromise("the mask has ids that are no classes", "fill with a class id")
            if not new.image.isfinite().all():
                raise BrokenPromise("the image has numbers that are not finite", "look for divisions")
            if moved.reference is not condition.reference or moved.attributes is not condition.attributes:
                raise BrokenPromise("reference or attributes changed", "leave them as they are")
            if not torch.equal(image.image, before):
                raise BrokenPromise("the image that it was given changed", "compute a new tensor")

    @promise
    def test_samples_are_independent(self) -> None:
        """Photos and fakes are changed alike, in one pass or in two, whatever else is in the batch."""
        size, count = self.sizes[0], max(2, *self.batches)
        image, condition = self.images(count, size)
        augmentation = self.build(size)
        drawn = self.drawn(augmentation, count)
        together, _ = augmentation(image, condition, drawn)
        for index in range(count):
            rows = slice(index, index + 1)
            part = replace(image, image=image.image[rows], pyramid=tuple(level[rows] for level in image.pyramid))
            mask = None if condition.mask is None else condition.mask[rows]
            alone, _ = augmentation(part, Condition(mask), {name: tensor[rows] for name, tensor in drawn.items()})
            off = float((alone.image - together.image[rows]).abs().max())
            if off > _TOLERANCE:
                seen = f"sample {index} alone is off by {off:.3g}"
                raise BrokenPromise(seen, "compute each sample from its own row of the draw")

    @promise
    def test_can_be_differentiated_twice(self) -> None:
        """Generators learn, and gradient penalties are taken, through it."""
        size = self.sizes[0]
        image, condition = self.images(1, size)
        leaf = image.image.clone().requires_grad_(True)
        augmentation = self.build(size)
        new, _ = augmentation(Generated(leaf), condition, self.drawn(augmentation, 1))
        try:
            (slope,) = torch.autograd.grad(new.image.square().sum(), leaf, create_graph=True)
            torch.autograd.grad(slope.square().sum(), leaf)
        except RuntimeError as error:
            remedy = "use operations whose gradients have gradients; no `detach`"
            raise BrokenPromise(str(error).splitlines()[0], remedy) from error
        if not slope.any():
            raise BrokenPromise("no gradient arrives at the image", "compute the result from the image")

    @promise
    def test_resumes_exactly(self) -> None:
        """A run that goes on from a checkpoint is the same run, bit for bit.

        An adaptive augmentation, made anew with the state that a checkpoint kept, goes on as it would have.
        """
        if not isinstance(self.build(self.sizes[0]), AdaptiveAugmentation):
            return
        (state, shown), (again, shown_again) = (self._adapted(resumed=resumed) for resumed in (False, True))
        if state != again or not torch.equal(shown, shown_again):
            raise BrokenPromise(
                f"after going on it keeps {again} in place of {state}",
                "give all that changes in `state`, and take all of it back in `load_state`",
            )

    def drawn(self, augmentation: Augmentation, count: int, *, certain: bool = True) -> dict[str, Tensor]:
        """Return what is drawn for some samples."""
        return dict(augmentation.draw(count, torch.Generator().manual_seed(self.seed), certain=certain))

    def images(self, count: int, size: int) -> tuple[Generated, Condition]:
        """Return images with a coarser level, and a condition with mask, reference and attributes."""
        random = torch.Generator().manual_seed(self.seed)
        image, level, other = (
            torch.rand(count, 3, side, side, generator=random) * 2 - 1 for side in (size, size // 2, size)
        )
        mask = torch.randint(max(1, len(self.label_map)), (count, size, size), generator=random)
        attributes = torch.ones(count, len(self.attribute_names))
        condition = Condition(mask, Reference(other, mask.flip(-1)), attributes, source_image=image.clone())
        return Generated(image, (level,)), condition

    def _forms(self) -> list[tuple[int, int]]:
        return [(size, count) for size in self.sizes for count in self.batches]

    def _adapted(self, *, resumed: bool) -> tuple[Mapping[str, Any], Tensor]:
        """Return the state after some adaptations, and an image as it is shown then."""
        size = self.sizes[0]
        augmentation = self.build(size)
        real = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
        for index in range(_ADAPTATIONS):
            if resumed and index == _ADAPTATIONS // 2:
                with promised("checkpoints can keep the state of an augmentation"):
                    kept = load(save(augmentation.state()))
                augmentation = self.build(size)
                augmentation.load_state(kept)
            random = torch.Generator().manual_seed(self.seed + index)
            output = DiscriminatorOutput((ScaleOutput(torch.randn(6, 1, 4, 4, generator=random) + 1),))
            augmentation.adapt(augmentation.read(output, real).tolist(), 3000)
        image, condition = self.images(3, size)
        drawn = self.drawn(augmentation, 3, certain=False)
        shown = augmentation(image, condition, drawn)[0] if drawn else image
        return {name: tensor.tolist() for name, tensor in augmentation.state().items()}, shown.image
