"""Tuning a loaded run to a photo, or finding that this was done before."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from collections import OrderedDict
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from facekit.inference.networks import InferenceNetworks
from facekit.inference.pictures import read_masks, read_photos
from facekit.inference.pipeline import FacePipeline
from facekit.interfaces import GENERATOR, Condition, FacekitError, Style
from facekit.sampling.inputs import REFERENCE, REFERENCE_MASK
from facekit.sampling.noise import noise_for_keys, random_generator
from facekit.training.precision import reproducible
from facekit_studio.editing.local import fills_holes
from facekit_studio.editing.script.masks import Ids
from facekit_studio.editing.tuning.fit import (
    METHOD,
    Probe,
    TuningOptions,
    TuningProgress,
    fit,
    kept_apart,
    other_masks,
    other_styles,
)
from facekit_studio.editing.tuning.low_rank import (
    Found,
    Outcome,
    TunedChange,
    find_kept,
    keep_change,
    place_of,
    tunable_weights,
)

logger = logging.getLogger("facekit_studio.editing")


@dataclass(frozen=True, eq=False)
class TunedFace:
    """A run that was tuned to a photo. The run itself is as it was.

    Args:
        pipeline: generates with the tuned generator. Its record is that of the run.
        style: the photo's style, tuned.
        change: what was changed.
        sha256: over the change.
        note: what a person should know: steps, seconds, and what they gave.
        found: whether it was tuned before.
    """

    pipeline: FacePipeline
    style: Style
    change: TunedChange
    sha256: str
    note: str
    found: bool


class TunesFaces(Protocol):
    """What an editor asks for the run as it is tuned to a face."""

    seed: int
    """Of all that is drawn."""

    @property
    def made_of(self) -> dict[str, Any]:
        """What results depend on beside weights, photo, mask and seed."""
        ...

    def tune(self, image: NDArray[np.uint8], mask: Ids) -> TunedFace:
        """Return the run, tuned to a square (S, S, 3) uint8 with its class ids (M, M)."""
        ...


def check_can_be_tuned(pipeline: FacePipeline) -> None:
    """Check that a run generates whole faces from a mask and a style that can be tuned.

    Raises:
        FacekitError: it fills holes, has no style encoder, or its generator has no weights to tune.
    """
    if fills_holes(pipeline.inputs):
        raise FacekitError(
            "this run fills in parts of the photo itself, so it cannot be tuned to it",
            where=str(pipeline.run),
            remedy="leave out --tune; or give a run of whole faces as RUN, and this one as --local",
        )
    if not pipeline.inputs.reads(REFERENCE) or not pipeline.networks.gives_styles:
        raise FacekitError(
            "this run has no style encoder, so there is no style that could be tuned to a photo",
            where=str(pipeline.run),
            remedy="leave out --tune, or take a run whose generator is given the style of a style encoder",
        )
    if not tunable_weights(pipeline.networks.module(GENERATOR)):
        raise FacekitError(
            "this run's generator has no convolutions and no linear layers that could be tuned",
            where=str(pipeline.run),
            remedy="leave out --tune",
        )


class FaceTuner:
    """Tunes a run to photos, one at a time. The run is never changed.

    Photo, mask, weights, options and seed give the same bits each time, with the same number of threads. What was tuned
    is kept in ``tuned`` of :func:`~facekit.interfaces.cache_folder`; it tells what the person looks like.

    Args:
        pipeline: the run.
        options: how.
        seed: of all that is drawn, the noise of the run included.
        progress: told each step.
        keep: whether the cache is used; without, nothing is written to the disk.
        remembered: tuned runs that are kept in memory, each with a generator of its own.

    Attributes:
        options: how.
        seed: of all that is drawn.

    Raises:
        FacekitError: the run cannot be tuned.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        options: TuningOptions | None = None,
        *,
        seed: int = 0,
        progress: TuningProgress | None = None,
        keep: bool = True,
        remembered: int = 1,
    ) -> None:
        check_can_be_tuned(pipeline)
        self.options = TuningOptions() if options is None else options
        self._pipeline = pipeline
        self.seed = seed
        self._progress = progress
        self._keep = keep
        self._most_remembered = remembered
        self._remembered: OrderedDict[str, TunedFace] = OrderedDict()

    @property
    def made_of(self) -> dict[str, Any]:
        """What results depend on beside weights, photo, mask and seed."""
        return {"method": METHOD, **self.options.model_dump()}

    def tune(self, image: NDArray[np.uint8], mask: Ids) -> TunedFace:
        """Return the run, tuned to a photo; from the cache, where it was tuned before.

        Args:
            image: the square (S, S, 3) uint8.
            mask: its class ids (M, M) uint8.

        Raises:
            FacekitError: the run's generator lets no gradients through, or gives values that are not finite.
            RunFailure: what was tuned cannot be kept (a full disk).
        """
        pipeline = self._pipeline
        photo = read_photos(Image.fromarray(image), size=pipeline.size, role="photo").tensor
        ids = torch.from_numpy(mask.astype(np.int64))
        masks = read_masks(ids, size=pipeline.size, label_map=pipeline.label_map, role="mask").tensor
        key = self._key(photo, masks)
        if key in self._remembered:
            self._remembered.move_to_end(key)
            return self._remembered[key]
        own_mask = masks if pipeline.inputs.reads(REFERENCE_MASK) else None
        style = pipeline.networks.encode(photo, own_mask)
        found = find_kept(key) if self._keep else Found()
        if found.damaged:
            logger.warning("%s is damaged; the run is tuned again", place_of(key))
        change, outcome = found.change, found.outcome
        if change is None or outcome is None:
            change, outcome = self._tune(photo, masks, style)
            if self._keep:
                keep_change(key, change, outcome)
        tuned = TunedFace(
            pipeline=pipeline.with_networks(self._changed(change)),
            style=change.style(style),
            change=change,
            sha256=outcome.sha256,
            note=self._note(outcome, found),
            found=found.change is not None,
        )
        self._remembered[key] = tuned
        if len(self._remembered) > self._most_remembered:
            self._remembered.popitem(last=False)
        return tuned

    def _tune(self, photo: Tensor, mask: Tensor, style: Style) -> tuple[TunedChange, Outcome]:
        start = perf_counter()
        pipeline, networks = self._pipeline, self._pipeline.networks
        # A copy, since other weights stand in it while it is tuned, and the run may generate in another thread.
        generator = copy.deepcopy(networks.module(GENERATOR))
        random = random_generator("tune", self.seed)
        image = networks.place(photo)
        with reproducible(pipeline.device, True):
            others = self._others(generator, photo, mask, style, random) if self.options.locality else []
            change = fit(
                generator,
                Probe(mask, style, True, image),
                others,
                condition=self._condition,
                options=self.options,
                random=random,
                progress=self._progress,
                where=str(pipeline.run),
            )
            before = networks.sample(self._condition(mask), style).image
            after = self._changed(change).sample(self._condition(mask), change.style(style)).image
        seconds = perf_counter() - start
        outcome = Outcome(seconds=seconds, before=_psnr(before, image), after=_psnr(after, image), sha256=change.sha256)
        return change, outcome

    def _others(
        self, generator: nn.Module, photo: Tensor, mask: Tensor, style: Style, random: torch.Generator
    ) -> list[Probe]:
        """Return what is to come out of the generator as it does now."""
        networks = self._pipeline.networks

        def now(ids: Tensor, of: Style) -> Tensor:
            with torch.no_grad():
                made: Tensor = generator(self._condition(ids), of).image.float()
            return made

        image, own = networks.place(photo), networks.place(mask)
        own_mask = mask if self._pipeline.inputs.reads(REFERENCE_MASK) else None
        masks = other_masks(mask, len(self._pipeline.label_map), random)
        styles = other_styles(style, photo, lambda shown: networks.encode(shown, own_mask), random)
        return [
            *(Probe(ids, style, True, kept_apart(now(ids, style), image, own, networks.place(ids))) for ids in masks),
            *(Probe(mask, other, False, now(mask, other)) for other in styles),
        ]

    def _condition(self, mask: Tensor) -> Condition:
        # The noise is that of the one image that :meth:`FacePipeline.generate_in_style` makes.
        noise = noise_for_keys(self._pipeline.inputs.noise, ["0"], self.seed)
        placed: Condition = self._pipeline.networks.place(Condition(mask=mask).with_(**noise))
        return placed

    def _changed(self, change: TunedChange) -> InferenceNetworks:
        networks = self._pipeline.networks
        return networks.with_network(GENERATOR, change.generator(networks.module(GENERATOR)))

    def _key(self, photo: Tensor, mask: Tensor) -> str:
        """Return the hash of all that a tuning depends on."""
        document = {
            **self.made_of,
            **self._pipeline.made_of,
            "seed": self.seed,
            "device": self._pipeline.device.type,
            "photo": hashlib.sha256(photo.numpy().tobytes()).hexdigest(),
            "mask": hashlib.sha256(mask.numpy().tobytes()).hexdigest(),
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    def _note(self, outcome: Outcome, found: Found) -> str:
        gain = f"{outcome.before:.1f} dB to {outcome.after:.1f} dB"
        took = f"{self.options.steps:,} steps, {outcome.seconds:.0f} s"
        if found.change is not None:
            return f"tuned to the photo before ({took}: {gain})"
        again = "; what was kept of it was damaged" if found.damaged else ""
        return f"tuned to the photo ({took}: {gain}){again}"


def _psnr(image: Tensor, target: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB of images in [-1, 1]; at most 100."""
    error = float((image.clamp(-1, 1) - target).square().mean())
    return 10 * float(np.log10(4 / max(error, 4e-10)))
