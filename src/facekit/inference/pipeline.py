"""A trained model as one object that generates."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facekit.inference import provenance
from facekit.inference.given import (
    REGION_OPTION,
    Given,
    RegionReference,
    check_given,
    check_shows,
    target_attributes,
)
from facekit.inference.networks import InferenceNetworks
from facekit.inference.pictures import (
    Batch,
    MaskInput,
    PhotoInput,
    PhotoOutput,
    in_the_form_of,
    read_masks,
    read_photos,
)
from facekit.interfaces import Condition, FaceBatch, FacekitError, LabelMap, Reference, Style
from facekit.registry import Registry
from facekit.sampling.inputs import ATTRIBUTES, MASK, REFERENCE, REFERENCE_MASK, SOURCE, inputs_of
from facekit.sampling.noise import noise_for_keys
from facekit.training.network_call import RunNetworks
from facekit.training.networks import LoadedModel, runtime_options
from facekit.training.open_data import faces_of_run
from facekit.training.precision import Acceleration, Precision

logger = logging.getLogger("facekit.inference")

DEFAULT_BATCH = 8
"""Images generated at once; more only cost memory."""


class FacePipeline:
    """Generates images with the weights of a run. Make one with :func:`facekit.load`.

    What it is given follows from the ports of the run's networks: :attr:`inputs` says which of mask, reference,
    reference mask, source photo and attributes it reads, and whether it starts from noise.

    It remembers the style of the last reference, so that another mask in the same style costs the generator only. One
    object is not meant for several threads at once.

    Args:
        loaded: the model and what belongs to it.
        run: the run folder, or the file of weights, that it comes from.
        precision: device and number format.
        registry: the plugins.
        mask_label_map: what the class ids of the masks mean that it is given, where that is a finer label map.
        compile: let torch compile the networks.

    Attributes:
        recipe: the recipe of the run.
        notes: which weights older versions of the components wrote, so that they were migrated.
        inputs: what an image is made from.
        networks: the networks, for calls with plain tensors.
        label_map, mask_label_map: what the class ids of masks mean to the model, and in the masks that it is given.
        attribute_names: the attributes of the data it was trained on, in order.
        size: side of the images in pixels.
        weights, step: which weights generate, ``ema``, ``live``, or ``file``, and the step they were saved at; 0 for a
            file.
        device: where it computes.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        run: Path,
        precision: Precision,
        registry: Registry,
        mask_label_map: LabelMap | None = None,
        compile: bool = False,
    ) -> None:
        self.run = run
        self.recipe, self.notes = loaded.recipe, loaded.notes
        self.label_map, self.attribute_names = loaded.label_map, loaded.attribute_names
        self.mask_label_map = loaded.label_map if mask_label_map is None else mask_label_map
        self.size = loaded.recipe.data.size
        self.weights, self.step = loaded.weights, loaded.step
        self.device, self.precision = precision.device, precision.name
        self.inputs = inputs_of(loaded.recipe, registry.label_maps)
        self._registry = registry
        self._model = precision.place(loaded.model).eval().requires_grad_(False)
        call = partial(
            RunNetworks,
            precision=precision,
            recipe=loaded.recipe,
            label_maps=registry.label_maps,
            acceleration=Acceleration(compile=compile),
        )
        self.networks = InferenceNetworks(self._model, call, label_map=loaded.label_map)
        self._remembered: tuple[Tensor, Tensor | None, Style] | None = None
        logger.info("%s: %s weights of step %d on %s in %s", run, self.weights, self.step, self.device, self.precision)

    def generate(
        self,
        mask: MaskInput | None = None,
        reference: PhotoInput | None = None,
        reference_mask: MaskInput | None = None,
        *,
        source: PhotoInput | None = None,
        attributes: Mapping[str, bool] | Tensor | None = None,
        region_references: Mapping[str, tuple[PhotoInput, MaskInput]] | None = None,
        seed: int = 0,
        keys: Sequence[str] | None = None,
        batch: int = DEFAULT_BATCH,
    ) -> PhotoOutput:
        """Generate an image from what :attr:`inputs` names, or several.

        What is given once goes with every image: one mask with several references, or several masks with one reference.
        Equally many are paired in order.

        Args:
            mask: the wanted geometry: an indexed or greyscale picture of class ids, or integers (H, W); or several: a
                list of pictures, or integers (N, H, W).
            reference: the photo with the wanted style: a picture, or a tensor (3, H, W), float in [-1, 1] or uint8; or
                several.
            reference_mask: the class ids of the reference photo, in the forms of ``mask``: those of the reference
                itself, never those of the result.
            source: the photo to change, or several, in the forms of ``reference``.
            attributes: the wanted attributes by name, or all as a tensor (A,) or (N, A) in {0, 1}. Those that are not
                named stay as the run's discriminator reads them off the source photo.
            region_references: by the name of a region, another photo whose style it has in every image, and that
                photo's own mask: ``{"hair": (photo, mask)}``. For runs whose style has a code for every region.
            seed: of the noise, for runs that start from noise. Equal seeds give equal images, whatever the batch.
            keys: what to call the images, whose noise depends on the seed and on this name; by default their numbers
                ``0``, ``1``, ...
            batch: most images to generate at once.

        Returns:
            images of the run's size in the form of ``reference``, else of ``source``, else of ``mask``: a PIL image for
            PIL images (and where nothing is given), a tensor of the same dtype on the same device for tensors ([-1, 1]
            for floats); one for one, several (a list, or N before the rest) for several. Masks that are tensors give
            float32 tensors.

        Raises:
            FacekitError: something is missing or not read; or naming the picture that is wrong: ids outside the label
                map, a mask that does not fit its photo, numbers of pictures that do not fit each other.
            TypeError: an argument is neither a PIL image, a list of them, nor a tensor.
        """
        given = self.read(mask, reference, reference_mask, source=source, attributes=attributes, batch=batch)
        given = replace(given, region_references=self.read_region_references(region_references or {}))
        images = self.generate_from(given, keys=keys, seed=seed, batch=batch)
        return in_the_form_of((reference, source, mask), images, single=given.single and len(images) == 1)

    def sample(
        self,
        count: int,
        *,
        mask: MaskInput | None = None,
        reference: PhotoInput | None = None,
        reference_mask: MaskInput | None = None,
        source: PhotoInput | None = None,
        attributes: Mapping[str, bool] | Tensor | None = None,
        seed: int = 0,
        tensors: bool = False,
        batch: int = DEFAULT_BATCH,
    ) -> PhotoOutput:
        """Generate images from noise: sample i is the same for every ``count`` and ``batch``.

        Args:
            mask, reference, reference_mask, source, attributes: for runs that read more than noise: one for all images,
                or one each; see :meth:`generate`.
            tensors: return a tensor (count, 3, S, S), float32 in [-1, 1] on the CPU, whatever is given.

        Returns:
            a list of PIL images, or a tensor where ``tensors`` or a tensor is given.

        Raises:
            FacekitError: the run starts from no noise, so that all images would be equal; or as :meth:`generate`.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        self.check_starts_from_noise()
        given = self.read(mask, reference, reference_mask, source=source, attributes=attributes, batch=batch)
        keys = [str(number) for number in range(count)]
        images = self.generate_from(given, keys=keys, seed=seed, batch=batch)
        return images.cpu() if tensors else in_the_form_of((reference, source, mask), images, single=False)

    def check_starts_from_noise(self) -> None:
        """Raise FacekitError where the run starts from no noise."""
        if not self.inputs.noise:
            raise FacekitError(
                "this run starts from no noise, so that all samples of one input would be equal",
                where=str(self.run),
                remedy="leave out count and seed (--count, --seed)",
            )

    def read(
        self,
        mask: MaskInput | None = None,
        reference: PhotoInput | None = None,
        reference_mask: MaskInput | None = None,
        *,
        source: PhotoInput | None = None,
        attributes: Mapping[str, bool] | Tensor | None = None,
        batch: int = DEFAULT_BATCH,
    ) -> Given:
        """Return what :meth:`generate` is given as the networks take it, checked. Raises as :meth:`generate`."""
        arguments = {MASK: mask, REFERENCE: reference, REFERENCE_MASK: reference_mask, SOURCE: source}
        there = {name for name, value in {**arguments, ATTRIBUTES: attributes}.items() if value is not None}
        check_given(self.inputs, there, where=str(self.run))
        given = self.read_pictures(arguments)
        return given if attributes is None else self.with_attributes(given, attributes, batch=batch)

    def read_pictures(self, given: Mapping[str, Any]) -> Given:
        """Return the pictures of :meth:`read` by name. No network is called, so that threads may read beside others."""
        read: dict[str, Batch] = {}
        for name, value in given.items():
            if value is not None:
                masks = name in (MASK, REFERENCE_MASK)
                read[name] = self._masks(value, name) if masks else read_photos(value, size=self.size, role=name)
        return Given(read.get(MASK), read.get(REFERENCE), read.get(REFERENCE_MASK), read.get(SOURCE))

    def _masks(self, value: MaskInput, role: str) -> Batch:
        return read_masks(value, size=self.size, label_map=self.label_map, role=role, given=self.mask_label_map)

    def with_attributes(
        self, given: Given, wanted: Mapping[str, bool] | Tensor, *, batch: int = DEFAULT_BATCH
    ) -> Given:
        """Return what was read with all attributes, those that are not named as the source photos have them."""
        known, where = self.attribute_names, str(self.run)
        rows = target_attributes(wanted, known, photos=given.source, networks=self.networks, batch=batch, where=where)
        return replace(given, attributes=rows)

    def read_region_references(self, given: Mapping[str, tuple[PhotoInput, MaskInput]]) -> tuple[RegionReference, ...]:
        """Return references of regions, a photo and its own mask each, as the networks take them, those of one photo
        together. Raises as :meth:`generate`."""
        regional = self.inputs.reads(REFERENCE) and self.inputs.reads(REFERENCE_MASK) and self.networks.gives_styles
        if given and not regional:
            raise FacekitError(
                "this run has no style by region, so that single regions cannot have a reference of their own",
                where=str(self.run),
                remedy=f"leave out region_references ({REGION_OPTION}), or take a run with a code for every region: "
                "`sft_pix2pixhd` and `sean` are such recipes",
            )
        read: dict[tuple[int, int], RegionReference] = {}
        for region, number in zip(given, self.networks.regions(list(given)), strict=True):
            photo, mask = given[region]
            key, role = (id(photo), id(mask)), "region_reference"
            if key in read:
                one = replace(read[key], regions=(*read[key].regions, region))
            else:
                photos = read_photos(photo, size=self.size, role=f"{role}[{region}]")
                one = RegionReference((region,), photos, self._masks(mask, f"{role}_mask[{region}]"))
            if (len(one.photo), len(one.mask)) != (1, 1):
                raise FacekitError(
                    f"the region {region} has {len(one.photo)} photos with {len(one.mask)} masks; it takes one of each",
                    where=f"{role}[{region}]",
                )
            check_shows(region, bool((one.mask.tensor == number).any()), where=one.photo.names[0])
            read[key] = one
        return tuple(read.values())

    def generate_from(
        self, given: Given, *, keys: Sequence[str] | None = None, seed: int = 0, batch: int = DEFAULT_BATCH
    ) -> Tensor:
        """Return images (N, 3, size, size), float32 in [-1, 1] on the device, of what :meth:`read` read.

        Raises:
            FacekitError: what is given are several, and not as many as the keys.
        """
        if batch < 1:
            raise ValueError(f"batch must be at least 1, not {batch}")
        keys = [str(number) for number in range(len(given))] if keys is None else keys
        if len(given) not in (1, len(keys)):
            raise FacekitError(
                f"{len(keys)} images cannot be made from {len(given)} inputs", remedy="give one for all, or one each"
            )
        results = []
        for start in range(0, len(keys), batch):
            named = keys[start : start + batch]
            condition, style = given.condition(slice(start, start + batch)), None
            if condition.reference is not None and self.networks.gives_styles:
                style = self._style(condition.reference)
                for other in given.region_references:
                    theirs = self.networks.encode(other.photo.tensor, other.mask.tensor)
                    style = self.networks.mix(style, theirs, other.regions)
                style = style.repeat(len(named))
                condition = replace(condition, reference=None)
            results.append(self.generate_for(condition, named, style=style, seed=seed))
        return torch.cat(results)

    def style_of(self, photos: Batch, photo_masks: Batch | None) -> Style | Reference:
        """Return the style of reference photos, one each, for :meth:`generate_in_style`; or the reference itself for
        models that read it in another way than by a style encoder alone, so that there is nothing to mix.

        Raises:
            FacekitError: the run reads no reference, or a mask is missing or does not fit its photo.
        """
        if not self.inputs.reads(REFERENCE):
            raise FacekitError("this run reads no reference, so it has no styles", where=str(self.run))
        if not self.inputs.reads(REFERENCE_MASK):
            photo_masks = None
        given = Given(reference=photos, reference_mask=photo_masks)
        there = {*self.inputs.needed - {REFERENCE_MASK}, REFERENCE, *([] if photo_masks is None else [REFERENCE_MASK])}
        check_given(self.inputs, there, where=photos.names[0])
        reference = given.condition(slice(None)).reference
        assert reference is not None
        if not self.networks.gives_styles:
            return reference
        return self.networks.encode(reference.image, reference.mask)

    def generate_in_style(self, masks: Batch, style: Style | Reference | None, *, seed: int = 0) -> Tensor:
        """Return images (N, 3, size, size), float32 in [-1, 1] on the device, of masks in a style: one for all, or one
        each; None for runs that read no reference."""
        keys = [str(number) for number in range(len(masks))]
        condition = Condition(mask=masks.tensor)
        repeated = None if style is None else style.repeat(len(masks))
        if isinstance(repeated, Reference):
            return self.generate_for(replace(condition, reference=repeated), keys, seed=seed)
        return self.generate_for(condition, keys, style=repeated, seed=seed)

    def generate_for(
        self, condition: Condition, keys: Sequence[str], *, style: Style | None = None, seed: int = 0
    ) -> Tensor:
        """Return images (N, 3, size, size), float32 in [-1, 1] on the device, of N conditions or one for all, on any
        device; what a family's own ports need is in ``extra``. The noise depends on ``seed`` and the N ``keys``."""
        condition = condition.repeat(len(keys)).with_(**noise_for_keys(self.inputs.noise, keys, seed))
        image = self.networks.sample(condition, style).image.float()
        if not bool(torch.isfinite(image).all()):
            raise FacekitError(
                f"the {self.weights} weights of step {self.step} gave an image with values that are not finite numbers",
                where=str(self.run),
                remedy="take other weights (--weights, --step)",
            )
        return image

    def faces(self, split: str, *, batch: int = DEFAULT_BATCH) -> Iterator[FaceBatch]:
        """Yield the faces of a split on the CPU, as they are. Raises FacekitError where the data is another by now."""
        return faces_of_run(self.run, self.recipe, self._registry, split=split, batch=batch)

    def with_networks(self, networks: InferenceNetworks) -> FacePipeline:
        """Return the same run generating with other networks; :attr:`made_of` stays that of the run's own weights."""
        other = copy.copy(self)
        other.networks, other._remembered = networks, None
        return other

    def record(self, **inputs: Any) -> dict[str, Any]:
        """Return what :func:`facekit.inference.save_png` writes into a result: that it is synthetic, what made it, and
        ``inputs``, such as the names of the files."""
        return {
            provenance.SYNTHETIC: True,
            provenance.RUN: self.run.resolve().name,
            provenance.RECIPE: self.recipe.name,
            provenance.STEP: self.step,
            provenance.WEIGHTS: self.weights,
            **self.made_of,
            **inputs,
        }

    @property
    def made_of(self) -> dict[str, Any]:
        """What results depend on beside their inputs: the weights, and the runtime options where there are any."""
        runtime = runtime_options(self.recipe)
        return {provenance.WEIGHTS_SHA256: self.weights_sha256, **({provenance.RUNTIME: runtime} if runtime else {})}

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 over the names and values of all weights that generate."""
        return provenance.digest_of_tensors(self._model.state_dict())

    def _style(self, reference: Reference) -> Style:
        """Return the style of references, remembered for as long as they are the same."""
        if self._remembered is not None:
            last_photos, last_masks, style = self._remembered
            # Compared where they came from: pictures need not wait for a GPU.
            if _equal(reference.image, last_photos) and _equal(reference.mask, last_masks):
                return style
        style = self.networks.encode(reference.image, reference.mask)
        # Copies, since the caller may write into what was given.
        self._remembered = (reference.image.clone(), None if reference.mask is None else reference.mask.clone(), style)
        return style


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None or one.device != other.device:
        return one is other
    return torch.equal(one, other)
