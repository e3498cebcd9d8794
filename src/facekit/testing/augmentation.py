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
from facekit.testing.contract import BrokenPromise, ComponentContract, promised

_TOLERANCE = 1e-5
_ADAPTATIONS = 4


class AugmentationContract(ComponentContract):
    """The promises of an augmentation. Subclass it with ``spec``, and ``options`` where the defaults are not wanted.

    It is tried with everything that it can do happening to every sample (``draw(..., certain=True)``).
    """

    kind: ClassVar[Kind] = "augmentation"

    def augmentation(self, size: int) -> Augmentation:
        """Return the augmentation."""
        with promised("an augmentation is built from its options"):
            made: Augmentation = self.build(size)
        return made

    def drawn(self, augmentation: Augmentation, count: int, *, certain: bool = True) -> dict[str, Tensor]:
        """Return what is drawn for some samples."""
        random = torch.Generator().manual_seed(self.seed)
        with promised("an augmentation draws"):
            return dict(augmentation.draw(count, random, certain=certain))

    def shown(
        self, augmentation: Augmentation, image: Generated, condition: Condition, drawn: Mapping[str, Tensor]
    ) -> tuple[Generated, Condition]:
        """Return images and conditions as a discriminator is shown them."""
        with promised("an augmentation changes images of every size"):
            return augmentation(image, condition, drawn)

    def images(self, count: int, size: int) -> tuple[Generated, Condition]:
        """Return images with a coarser level, and a condition with mask, reference and attributes."""
        random = torch.Generator().manual_seed(self.seed)
        image, level, other = (
            torch.rand(count, 3, side, side, generator=random) * 2 - 1 for side in (size, size // 2, size)
        )
        classes = max(1, len(self.label_map))
        mask = torch.randint(classes, (count, size, size), generator=random)
        attributes = torch.ones(count, len(self.attribute_names))
        condition = Condition(mask, Reference(other, mask.flip(-1)), attributes, source_image=image.clone())
        return Generated(image, (level,)), condition

    def test_draws_are_repeatable(self) -> None:
        """From the same generator it draws the same, one row a sample, and from nothing else."""
        promise = "what is drawn is a function of the generator, so that a run can go on anywhere"
        for size in self.sizes:
            for count in self.batches:
                augmentation = self.augmentation(size)
                torch.manual_seed(self.seed)
                first = self.drawn(augmentation, count)
                torch.manual_seed(self.seed + 1)
                again = self.drawn(augmentation, count)
                for name, tensor in first.items():
                    if len(tensor) != count or tensor.device.type != "cpu":
                        seen = f"`{name}` of shape {tuple(tensor.shape)} on {tensor.device} for {count} samples"
                        raise BrokenPromise("a draw has one row a sample, on the CPU", seen, "return (count, ...)")
                    if name not in again or not torch.equal(tensor, again[name]):
                        raise BrokenPromise(promise, f"`{name}` is another the second time", "draw from `random` only")

    def test_keeps_the_form(self) -> None:
        """What it shows has the shapes, numbers and classes of what it was given; the reference stays as it is."""
        promise = "a discriminator is shown what it would be shown without an augmentation, changed"
        for size in self.sizes:
            for count in self.batches:
                image, condition = self.images(count, size)
                before = image.image.clone()
                augmentation = self.augmentation(size)
                new, moved = self.shown(augmentation, image, condition, self.drawn(augmentation, count))
                for name, old, now in (
                    ("image", image.image, new.image),
                    ("pyramid", image.pyramid[0], new.pyramid[0] if new.pyramid else None),
                    ("mask", condition.mask, moved.mask),
                    ("source_image", condition.source_image, moved.source_image),
                ):
                    assert old is not None
                    if now is None or now.shape != old.shape or now.dtype != old.dtype:
                        seen = "nothing" if now is None else f"{tuple(now.shape)} of {now.dtype}"
                        raise BrokenPromise(promise, f"`{name}` became {seen}", "use dataclasses.replace")
                assert moved.mask is not None
                classes = max(1, len(self.label_map))
                if int(moved.mask.min()) < 0 or int(moved.mask.max()) >= classes:
                    raise BrokenPromise(promise, "the mask has ids that are no classes", "fill with a class id")
                if not new.image.isfinite().all():
                    raise BrokenPromise(promise, "the image has numbers that are not finite", "look for divisions")
                if moved.reference is not condition.reference or moved.attributes is not condition.attributes:
                    raise BrokenPromise(promise, "reference or attributes changed", "leave them as they are")
                if not torch.equal(image.image, before):
                    raise BrokenPromise(promise, "the image that it was given changed", "compute a new tensor")

    def test_samples_are_independent(self) -> None:
        """A sample is changed in the same way whatever else is in its batch."""
        size, count = self.sizes[0], max(2, *self.batches)
        image, condition = self.images(count, size)
        augmentation = self.augmentation(size)
        drawn = self.drawn(augmentation, count)
        together, _ = self.shown(augmentation, image, condition, drawn)
        for index in range(count):
            rows = slice(index, index + 1)
            part = replace(image, image=image.image[rows], pyramid=tuple(level[rows] for level in image.pyramid))
            mask = None if condition.mask is None else condition.mask[rows]
            row = {name: tensor[rows] for name, tensor in drawn.items()}
            alone, _ = self.shown(augmentation, part, Condition(mask), row)
            off = float((alone.image - together.image[rows]).abs().max())
            if off > _TOLERANCE:
                raise BrokenPromise(
                    "photos and fakes are changed alike, in one pass or in two",
                    f"sample {index} alone is off by {off:.3g}",
                    "compute each sample from its own row of the draw",
                )

    def test_can_be_differentiated_twice(self) -> None:
        """Gradients pass through it to the image, and those can be differentiated again."""
        promise = "generators learn, and gradient penalties are taken, through it"
        size = self.sizes[0]
        image, condition = self.images(1, size)
        leaf = image.image.clone().requires_grad_(True)
        augmentation = self.augmentation(size)
        new, _ = self.shown(augmentation, Generated(leaf), condition, self.drawn(augmentation, 1))
        try:
            (slope,) = torch.autograd.grad(new.image.square().sum(), leaf, create_graph=True)
            torch.autograd.grad(slope.square().sum(), leaf)
        except RuntimeError as error:
            raise BrokenPromise(
                promise, str(error).splitlines()[0], "use operations whose gradients have gradients; no `detach`"
            ) from error
        if not slope.any():
            raise BrokenPromise(promise, "no gradient arrives at the image", "compute the result from the image")

    def test_resumes_exactly(self) -> None:
        """An adaptive one, made anew with the state that a checkpoint kept, goes on as it would have."""
        size = self.sizes[0]
        whole = self.augmentation(size)
        if not isinstance(whole, AdaptiveAugmentation):
            return
        image, condition = self.images(3, size)
        states: list[list[Any]] = []
        for resumed in (False, True):
            current: Any = self.augmentation(size)
            for index in range(_ADAPTATIONS):
                if resumed and index == _ADAPTATIONS // 2:
                    with promised("checkpoints can keep the state of an augmentation"):
                        kept = load(save(current.state()))
                    current = self.augmentation(size)
                    current.load_state(kept)
                self._adapt(current, index)
            drawn = self.drawn(current, 3, certain=False)
            shown = self.shown(current, image, condition, drawn)[0] if drawn else image
            states.append([{name: tensor.tolist() for name, tensor in current.state().items()}, shown.image])
        if states[0][0] != states[1][0] or not torch.equal(states[0][1], states[1][1]):
            raise BrokenPromise(
                "a run that goes on from a checkpoint is the same run, bit for bit",
                f"after going on it keeps {states[1][0]} in place of {states[0][0]}",
                "give all that changes in `state`, and take all of it back in `load_state`",
            )

    def _adapt(self, augmentation: AdaptiveAugmentation, index: int) -> None:
        """Let it see what a discriminator gave for three photos and three fakes, and adapt."""
        random = torch.Generator().manual_seed(self.seed + index)
        output = DiscriminatorOutput((ScaleOutput(torch.randn(6, 1, 4, 4, generator=random) + 1),))
        real = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
        with promised("an adaptive augmentation follows what discriminators give"):
            augmentation.adapt(augmentation.read(output, real).tolist(), 3000)
