"""A trained run as one object that paints."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facekit.data.geometry import same_aspect
from facekit.editing import provenance
from facekit.editing.attributes import AttributeTransfer
from facekit.editing.pictures import (
    Batch,
    MaskInput,
    PhotoInput,
    PhotoOutput,
    read_masks,
    read_photos,
    to_bytes,
    to_pictures,
)
from facekit.engine.model import LoadedModel, changes_attributes
from facekit.engine.precision import Precision
from facekit.interfaces import Condition, FacekitError, LabelMap, PortContext, Style

logger = logging.getLogger("facekit.editing")

DEFAULT_BATCH = 8
"""Pictures painted at once; more only cost memory."""


class FacePipeline:
    """Paints masks in the look of reference photos with the weights of a run. Make one with :func:`facekit.load`.

    It remembers the style of the last reference, so that painting another mask in the same look costs the generator
    only. One object is not meant for several threads at once.

    Args:
        loaded: the model and what belongs to it.
        run: the run folder it comes from.
        precision: device and number format.
        mask_label_map: what the class ids of the masks mean that it is given, where that is a finer label map.

    Attributes:
        run: the run folder.
        recipe: its recipe.
        notes: which weights older versions of the components wrote, so that they were migrated.
        label_map: what the class ids of masks mean to the model.
        mask_label_map: what they mean in the masks that it is given.
        size: side of the pictures in pixels.
        weights: which weights paint: ``ema`` or ``live``.
        step: the step they were saved at.
        device: where it computes.
        attributes: changes attributes, for runs that do so in place of painting masks; else None. Its ``names`` are
            those that it changes.
        takes_reference: the model reads the look from a reference photo.
        takes_reference_mask: it reads the reference's own mask as well.
    """

    def __init__(
        self, loaded: LoadedModel, *, run: Path, precision: Precision, mask_label_map: LabelMap | None = None
    ) -> None:
        self.run = run
        self.recipe = loaded.recipe
        self.notes = loaded.notes
        self.label_map = loaded.label_map
        self.mask_label_map = loaded.label_map if mask_label_map is None else mask_label_map
        self.size = loaded.recipe.data.size
        self.weights = loaded.weights
        self.step = loaded.step
        self.device = precision.device
        self.precision = precision.name
        self._precision = precision
        self._model = precision.place(loaded.model).eval().requires_grad_(False)
        encoder = loaded.recipe.model.style_encoder
        self.takes_reference = encoder is not None
        self.takes_reference_mask = False
        if encoder is not None:
            ports = encoder.ports(PortContext(size=self.size))
            self.takes_reference_mask = any(port.name == "mask" and not port.optional for port in ports.needs)
        self.attributes = (
            AttributeTransfer(self._model, precision, names=loaded.attribute_names, run=run)
            if changes_attributes(loaded.recipe)
            else None
        )
        self._remembered: tuple[Tensor, Tensor | None, Style] | None = None
        logger.info("%s: %s weights of step %d on %s in %s", run, self.weights, self.step, self.device, self.precision)

    def generate(
        self,
        mask: MaskInput,
        reference: PhotoInput | None = None,
        reference_mask: MaskInput | None = None,
        *,
        batch: int = DEFAULT_BATCH,
    ) -> PhotoOutput:
        """Paint faces.

        One mask with several references, or several masks with one reference, are painted in all combinations of the
        one with the others; equally many are paired in order.

        Args:
            mask: the wanted geometry: an indexed or greyscale picture of class ids, or integers (H, W); or several: a
                list of pictures, or integers (N, H, W).
            reference: the photo with the wanted look: a picture, or a tensor (3, H, W), float in [-1, 1] or uint8; or
                several. Runs without a style encoder take none; given one, they do not look at it.
            reference_mask: the class ids of the reference photo, in the forms of ``mask``. The look is read region by
                region, so this is the mask of the reference itself, never the one that is painted.
            batch: most pictures to paint at once.

        Returns:
            pictures of the run's size in the form of ``reference`` (of ``mask`` where there is none): a PIL image for
            PIL images, a tensor of the same dtype on the same device for tensors ([-1, 1] for floats); one for one,
            several (a list, or N before the rest) for several. Masks that are tensors give float32 tensors.

        Raises:
            FacekitError: naming the picture that is wrong: ids outside the label map, a mask that does not fit its
                photo, a missing reference or reference mask, numbers of pictures that do not fit each other.
            TypeError: an argument is neither a PIL image, a list of them, nor a tensor.
        """
        self.check_paints_masks()
        masks = self.read_masks(mask, role="mask")
        photos = None if reference is None else read_photos(reference, size=self.size, role="reference")
        photo_masks = None if reference_mask is None else self.read_masks(reference_mask, role="reference_mask")
        self.check_reference(photos, photo_masks)
        images = self.paint(masks, photos, photo_masks, batch=batch)
        single = masks.single and (photos is None or photos.single)
        return _in_the_form_of(mask, reference, images, single=single)

    def transfer(
        self, source: PhotoInput, attributes: Mapping[str, bool], *, batch: int = DEFAULT_BATCH
    ) -> PhotoOutput:
        """Give photos other attributes, with a run that does so (StarGAN).

        Args:
            source: the photo to change, or several: a picture, or a tensor (3, H, W), float in [-1, 1] or uint8.
            attributes: the wanted ones by name, some of ``attributes.names``. The others stay as the run's
                discriminator reads them off the photo; where it classifies none, all must be given.
            batch: most pictures to change at once.

        Returns:
            pictures of the run's size in the form of ``source``, as :meth:`generate` does.

        Raises:
            FacekitError: the run paints masks, an attribute is not one of its own, or one is missing.
            TypeError: an argument is neither a PIL image, a list of them, nor a tensor.
        """
        transfer = self.check_changes_attributes()
        photos = read_photos(source, size=self.size, role="source")
        images = transfer.change(photos, transfer.wanted(photos, attributes, batch=batch), batch=batch)
        return _in_the_form_of(source, source, images, single=photos.single)

    def check_paints_masks(self) -> None:
        """Check that the run paints masks.

        Raises:
            FacekitError: it changes the attributes of photos.
        """
        if self.attributes is not None:
            raise FacekitError(
                "this run changes the attributes of a photo, and paints no masks",
                where=str(self.run),
                remedy="`facekit generate RUN --source PHOTO --attribute NAME=1` changes them, in Python "
                f"transfer(photo, {{name: True}}); it knows {', '.join(self.attributes.names)}",
            )

    def check_changes_attributes(self) -> AttributeTransfer:
        """Return what changes attributes.

        Raises:
            FacekitError: the run paints masks.
        """
        if self.attributes is None:
            raise FacekitError(
                "this run paints masks, and does not change the attributes of a photo",
                where=str(self.run),
                remedy="give a mask to paint"
                + (", a reference and the reference's own mask" if self.takes_reference else ""),
            )
        return self.attributes

    def read_masks(self, mask: MaskInput, *, role: str) -> Batch:
        """Return masks as the model takes them: at its size, in its label map.

        Args:
            mask: see :meth:`generate`.
            role: what to call them where one is wrong: ``mask`` or ``reference_mask``.

        Raises:
            FacekitError: naming the picture that is no mask, or holds ids outside the label map.
        """
        return read_masks(mask, size=self.size, label_map=self.label_map, role=role, given=self.mask_label_map)

    def check_reference(self, photos: Batch | None, photo_masks: Batch | None) -> None:
        """Check that there is the reference the model needs, and that the masks are those of the photos.

        Raises:
            FacekitError: something is missing or does not fit.
        """
        if photos is None:
            if self.takes_reference:
                raise FacekitError(
                    "this run paints in the look of a reference photo, and there is none",
                    where=str(self.run),
                    remedy="give reference, and its own mask as reference_mask",
                )
            if photo_masks is not None:
                raise FacekitError("there is a reference_mask without a reference")
            return
        if photo_masks is None:
            if self.takes_reference_mask:
                raise FacekitError(
                    "this run reads the look of a photo region by region, so a reference travels with its own mask",
                    where=photos.names[0],
                    remedy="give reference_mask: the class ids of the reference photo (not the mask to paint, whose "
                    "regions lie elsewhere)",
                )
            return
        if len(photos) != len(photo_masks):
            raise FacekitError(f"{len(photos)} references have {len(photo_masks)} masks; each has its own")
        for photo_size, mask_size, name in zip(photos.sizes, photo_masks.sizes, photo_masks.names, strict=True):
            if not same_aspect(photo_size, mask_size):
                raise FacekitError(
                    f"the mask is {mask_size[1]}x{mask_size[0]} and its photo {photo_size[1]}x{photo_size[0]}: "
                    "one is not the mask of the other",
                    where=name,
                    remedy="a reference mask may differ from its photo in size, not in aspect",
                )

    @torch.no_grad()
    def paint(
        self, masks: Batch, photos: Batch | None, photo_masks: Batch | None, *, batch: int = DEFAULT_BATCH
    ) -> Tensor:
        """Paint prepared pictures; see :meth:`generate` for how they are paired.

        Returns:
            (N, 3, size, size), float32 in [-1, 1], on the CPU.

        Raises:
            FacekitError: the numbers of masks and references do not fit each other.
        """
        if batch < 1:
            raise ValueError(f"batch must be at least 1, not {batch}")
        count = len(masks)
        if photos is not None and len(photos) != count:
            if 1 not in (count, len(photos)):
                raise FacekitError(
                    f"{count} masks cannot be paired with {len(photos)} references",
                    remedy="give as many, or one of the two",
                )
            count = max(count, len(photos))
        results = []
        for start in range(0, count, batch):
            part = slice(start, min(start + batch, count))
            photo = None if photos is None else _part(photos.tensor, part)
            photo_mask = None if photo_masks is None else _part(photo_masks.tensor, part)
            condition = Condition(
                mask=_part(masks.tensor, part).to(self.device),
                reference_image=None if photo is None else self._place_photo(photo),
                reference_mask=None if photo_mask is None else photo_mask.to(self.device),
            )
            style = None if photo is None or not self.takes_reference else self._style_of(photo, photo_mask, condition)
            condition = _repeat_mask(condition, part.stop - part.start)
            condition, style = _repeat_reference(condition, style, part.stop - part.start)
            with self._precision.autocast():
                generated = self._model.generate(condition, style)
            results.append(generated.image.float().cpu())
        return torch.cat(results)

    @torch.no_grad()
    def style_of(self, photos: Batch, photo_masks: Batch | None) -> Style:
        """Return the style of reference photos, one each; it can be given to :meth:`paint_in_style` again and again.

        Raises:
            FacekitError: the run takes no reference, or a mask is missing or does not fit its photo.
        """
        if not self.takes_reference:
            raise FacekitError("this run takes no reference, so it has no styles", where=str(self.run))
        self.check_reference(photos, photo_masks)
        masks = torch.zeros((len(photos), self.size, self.size), dtype=torch.int64)
        with self._precision.autocast():
            style: Style = self._model.encode(
                self._place_photo(photos.tensor),
                (masks if photo_masks is None else photo_masks.tensor).to(self.device),
            )
        return Style(style.code.float())

    @torch.no_grad()
    def paint_in_style(self, masks: Batch, style: Style | None) -> Tensor:
        """Paint masks in a style: one for all, or one each; None for runs that take no reference.

        Returns:
            (N, 3, size, size), float32 in [-1, 1], on the CPU.
        """
        if style is not None and len(style.code) != len(masks):
            style = Style(style.code.expand(len(masks), *style.code.shape[1:]))
        with self._precision.autocast():
            generated = self._model.generate(Condition(mask=masks.tensor.to(self.device)), style)
        return generated.image.float().cpu()

    def record(self, **inputs: Any) -> dict[str, Any]:
        """Return what :func:`facekit.editing.save_png` writes into a result: that it is synthetic, and what made it.

        Args:
            **inputs: further entries, such as the names of the files.
        """
        return {
            provenance.SYNTHETIC: True,
            provenance.RUN: self.run.resolve().name,
            provenance.RECIPE: self.recipe.name,
            provenance.STEP: self.step,
            provenance.WEIGHTS: self.weights,
            provenance.WEIGHTS_SHA256: self.weights_sha256,
            **inputs,
        }

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 over the names and values of all weights that paint."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self._model.state_dict().items()):
            values = tensor.detach().cpu().contiguous()
            digest.update(f"{name} {tuple(values.shape)} {values.dtype}\n".encode())
            digest.update(values.flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    def _place_photo(self, photos: Tensor) -> Tensor:
        return photos.to(self.device).contiguous(memory_format=torch.channels_last)

    def _style_of(self, photos: Tensor, masks: Tensor | None, condition: Condition) -> Style:
        """Return the style of references; ``condition`` has the same pictures where the model is."""
        if self._remembered is not None:
            last_photos, last_masks, style = self._remembered
            # Compared where they came from: on a GPU the answer would have to be waited for.
            if _equal(photos, last_photos) and _equal(masks, last_masks):
                return style
        placed, placed_masks = condition.reference_image, condition.reference_mask
        assert placed is not None
        if placed_masks is None:  # the encoder does not look at it
            placed_masks = torch.zeros((len(photos), *photos.shape[-2:]), dtype=torch.int64, device=placed.device)
        with self._precision.autocast():
            style = self._model.encode(placed, placed_masks)
        # Copies, since the caller may write into what was given.
        self._remembered = (photos.clone(), None if masks is None else masks.clone(), style)
        return style


def _part(tensor: Tensor, part: slice) -> Tensor:
    """Return a part of a batch; a batch of one belongs to every part."""
    return tensor if len(tensor) == 1 else tensor[part]


def _repeat_mask(condition: Condition, count: int) -> Condition:
    mask = condition.mask
    return condition if len(mask) == count else Condition(mask.expand(count, -1, -1), *_reference(condition))


def _repeat_reference(condition: Condition, style: Style | None, count: int) -> tuple[Condition, Style | None]:
    """Repeat one reference and its style for every mask, after it was encoded once."""
    photos, masks = _reference(condition)
    if photos is not None and len(photos) != count:
        photos = photos.expand(count, -1, -1, -1)
        masks = None if masks is None else masks.expand(count, -1, -1)
        condition = Condition(condition.mask, photos, masks)
    if style is not None and len(style.code) != count:
        style = Style(style.code.expand(count, *style.code.shape[1:]))
    return condition, style


def _reference(condition: Condition) -> tuple[Tensor | None, Tensor | None]:
    return condition.reference_image, condition.reference_mask


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other if one is None or other is None else torch.equal(one, other)


def _in_the_form_of(mask: MaskInput, reference: PhotoInput | None, images: Tensor, *, single: bool) -> PhotoOutput:
    given = mask if reference is None else reference
    if not isinstance(given, Tensor):
        pictures = to_pictures(images)
        return pictures[0] if single else pictures
    if reference is not None:
        images = to_bytes(images) if given.dtype == torch.uint8 else images.to(given.dtype)
    images = images.to(given.device)
    return images[0] if single else images
