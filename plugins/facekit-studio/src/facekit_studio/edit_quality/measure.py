"""Measuring what one system made of the photos of one edit, beside real photos of that kind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facekit.evaluation import bootstrap_interval
from facekit.faces.glasses import TINTED_VERSION
from facekit.interfaces import LabelMap, Measurement
from facekit_studio.edit_quality.faces import Face
from facekit_studio.edit_quality.kinds import NamedEdit, glasses_are_clear
from facekit_studio.edit_quality.measures import (
    CONTEXT,
    CROP_SIDE,
    FEWEST,
    PartFigures,
    band_energy,
    changed_outside,
    crop,
    part_figures,
    seam,
    window_around,
)
from facekit_studio.edit_quality.plugin_metrics import CropPhotos, Evaluators
from facekit_studio.editing.script.masks import Ids, Pixels

_ENERGY = "squared difference of BT.601 luma to Gaussians of 1.0 and 2.5 pixels, mean over the part's pixels"
_INSIDE = f"pixels of the part that the edit changes, less their outline; at least {FEWEST}"


@dataclass(frozen=True, eq=False)
class Result:
    """An edited photo beside what it was made from; or a real photo that stands for one.

    Args:
        face: the photo before, with its mask.
        wanted: the mask that the result should show, (S, S).
        image: the result, (S, S, 3).
        touched: the pixels that the edit could change; None for a real photo, which nobody edited.
    """

    face: Face
    wanted: Ids
    image: NDArray[np.uint8]
    touched: Pixels | None

    @classmethod
    def real(cls, face: Face) -> Result:
        """Return a real photo in place of a result."""
        return cls(face, face.mask, face.image, None)

    def changed(self, edit: NamedEdit, label_map: LabelMap) -> Pixels:
        """Return the pixels that an edit is about; all of a real photo."""
        if self.touched is None:
            return np.ones(self.wanted.shape, dtype=bool)
        return edit.changed(self.face.mask, self.wanted, label_map)


class RealKind:
    """Real photos that show what an edit should show."""

    def __init__(self, edit: NamedEdit, faces: Sequence[Face], *, split: str, label_map: LabelMap) -> None:
        self.faces = tuple(faces)
        self.split = split
        found = [_figures(edit, Result.real(face), label_map) for face in faces]
        self._parts = {name: [figures for each in found if (figures := each[name]) is not None] for name in edit.parts}
        boxes = [window_around(edit.shown(face.mask, label_map)) for face in faces]
        crops = [crop(face.image, box) for face, box in zip(faces, boxes, strict=True)]
        shape = (len(crops), CROP_SIDE, CROP_SIDE, 3)
        keys = [face.key for face in faces]
        self.crops = CropPhotos(split, keys, np.asarray(crops, dtype=np.uint8).reshape(shape))

    def texture(self, part: str, band: Literal["fine", "coarse"]) -> float:
        """Return the mean energy of a part over the photos; NaN where none shows it."""
        return _mean([getattr(figures, band) for figures in self._parts[part]])

    def count(self, part: str) -> int:
        """Return how many of the photos show a part."""
        return len(self._parts[part])

    def colour_distance(self, part: str, lab: NDArray[np.float64]) -> float:
        """Return how far a colour is from the photos' mean, in their spread: the root of their mean squared distance.

        NaN where fewer than two photos show the part, or all in one colour.
        """
        colours = np.array([figures.lab for figures in self._parts[part]])
        if len(colours) < 2:
            return math.nan
        mean = colours.mean(axis=0)
        spread = math.sqrt(float(((colours - mean) ** 2).sum(axis=1).mean()))
        return float(np.linalg.norm(lab - mean)) / spread if spread > 0 else math.nan


@dataclass(frozen=True)
class Figures:
    """What was measured of one system's results.

    Args:
        measurements: the numbers.
        intervals: 95 % bootstrap intervals over the photos, by name, of those that are means.
        photos: the values of each photo, by its key and the measurement's name.
        absent: what was not measured, and why.
    """

    measurements: tuple[Measurement, ...]
    intervals: Mapping[str, tuple[float, float]]
    photos: Mapping[str, Mapping[str, float]]
    absent: Mapping[str, str] = field(default_factory=dict)


def measure_results(
    edit: NamedEdit,
    results: Sequence[Result],
    kind: RealKind,
    evaluators: Evaluators,
    *,
    label_map: LabelMap,
    extractor: str,
) -> Figures:
    """Measure results of an edit beside real photos of its kind."""
    photos: dict[str, dict[str, float]] = {result.face.key: {} for result in results}
    for result in results:
        own = photos[result.face.key]
        for part, figures in _figures(edit, result, label_map).items():
            if figures is not None:
                own[f"texture/fine/{part}"] = _ratio(figures.fine, kind.texture(part, "fine"))
                own[f"texture/coarse/{part}"] = _ratio(figures.coarse, kind.texture(part, "coarse"))
                own[f"colour/{part}"] = kind.colour_distance(part, figures.lab)
        if edit.clear_glasses:
            clear = glasses_are_clear(result.image, result.wanted, label_map)
            if clear is not None:
                own["clear_glasses"] = float(clear)
        if result.touched is not None:
            own["outside_pixels"] = changed_outside(result.image, result.face.image, result.touched)
            own["touched"] = float(result.touched.mean())
            step = seam(result.image, result.face.image, result.touched)
            if step is not None:
                own["seam"] = step
    measurements = _of_photos(edit, photos, kind)
    judged, absent = _judged(edit, results, kind, evaluators, label_map=label_map, extractor=extractor)
    measurements += judged
    for part in edit.parts:
        if not any(f"colour/{part}" in own for own in photos.values()):
            absent[part] = f"in no photo does the edit change {FEWEST} of its pixels, less their outline"
    intervals = {
        entry.name: interval for entry in measurements if (interval := bootstrap_interval(entry.per_sample)) is not None
    }
    for entry in judged:
        if len(entry.per_sample) == len(results):
            for result, value in zip(results, entry.per_sample, strict=True):
                photos[result.face.key][entry.name] = value
    return Figures(tuple(measurements), intervals, photos, absent)


def _figures(edit: NamedEdit, result: Result, label_map: LabelMap) -> dict[str, PartFigures | None]:
    energy, changed = band_energy(result.image), result.changed(edit, label_map)
    return {
        name: part_figures(result.image, edit.part(name, result.wanted, label_map) & changed, energy)
        for name in edit.parts
    }


def _of_photos(edit: NamedEdit, photos: Mapping[str, Mapping[str, float]], kind: RealKind) -> list[Measurement]:
    """Return the means over photos of what is measured in each."""
    found = []
    of = f"photos of {kind.split}"
    for part in edit.parts:
        beside = f"mean over {kind.count(part)} {of}"
        for band in ("fine", "coarse"):
            protocol = {"energy": _ENERGY, "inside": _INSIDE, "beside": beside}
            found.append(_mean_of(f"texture/{band}/{part}", photos, "", "higher", protocol))
        protocol = {
            "colour": "CIE 1976 Lab, D65: mean over the part's pixels",
            "inside": _INSIDE,
            "beside": f"{beside}, in the root of their mean squared distance to it",
        }
        found.append(_mean_of(f"colour/{part}", photos, "spreads", "lower", protocol))
    glasses = {
        "glasses": f"lenses of the result beside the skin around them, by facekit.faces (version {TINTED_VERSION}); "
        "clear before the edit"
    }
    found.append(_mean_of("clear_glasses", photos, "share", "higher", glasses))
    outside = {
        "outside_pixels": ("pixels", {"outside": "pixels that the edit does not say it touched"}),
        "seam": ("levels", {"seam": "steps of brightness across the outline of what was touched, less the photo's"}),
        "touched": ("share", {"touched": "share of the photo's pixels that the edit could change"}),
    }
    for name, (unit, protocol) in outside.items():
        found.append(_mean_of(name, photos, unit, "lower", protocol))
    return [entry for entry in found if entry.count]


def _mean_of(
    name: str,
    photos: Mapping[str, Mapping[str, float]],
    unit: str,
    better: Literal["higher", "lower"],
    protocol: Mapping[str, str],
) -> Measurement:
    values = [value for own in photos.values() if (value := own.get(name, math.nan)) == value]
    return Measurement(name, _mean(values), unit, better, protocol, len(values), tuple(values))


def _judged(
    edit: NamedEdit,
    results: Sequence[Result],
    kind: RealKind,
    evaluators: Evaluators,
    *,
    label_map: LabelMap,
    extractor: str,
) -> tuple[list[Measurement], dict[str, str]]:
    """Return what metrics of plugins measure, and what they do not and why."""
    found: list[Measurement] = []
    absent: dict[str, str] = {}

    def take(name: str, answer: tuple[Measurement, ...] | str, names: Mapping[str, str]) -> None:
        if isinstance(answer, str):
            absent[name] = answer
            return
        for entry in answer:
            if entry.name in names:
                protocol = {**entry.protocol, "metric": entry.name}
                found.append(replace(entry, name=names[entry.name], protocol=protocol))

    crops = {
        result.face.key: crop(result.image, window_around(shown))
        for result in results
        if (shown := edit.shown(result.wanted, label_map)).any()
    }
    own = f"KID-{extractor}/reconstruction"
    take(
        "kid",
        _told(evaluators.kid(crops, kind.crops, extractor=extractor), crop=f"{CONTEXT} extents, {CROP_SIDE} px a side"),
        {own: f"KID-{extractor}", f"{own}/deviation": f"KID-{extractor}/deviation"},
    )
    if edit.attribute is not None:
        name, wanted = edit.attribute
        after = [(each.face.key, each.face.image, each.image) for each in results]
        protocol = {"attribute": name if wanted else f"no {name}"}
        names = {f"attribute_accuracy/{name}": "attribute"}
        take("attribute", _told(evaluators.attribute(name, wanted, after), **protocol), names)
        before = [(each.face.key, each.face.image, each.face.image) for each in results if each.touched is not None]
        if before and "attribute" not in absent:
            names = {f"attribute_accuracy/{name}": "attribute_before"}
            take("attribute_before", _told(evaluators.attribute(name, wanted, before), **protocol), names)
    masked = [(each.face.key, each.face.image, each.image, each.wanted) for each in results]
    classes = dict.fromkeys(name for part in edit.window for name in edit.parts[part] if name in label_map.names)
    names = {f"segmentation_iou_reconstruction/{name}": f"iou/{name}" for name in classes}
    take("iou", evaluators.segmentation(masked), names)
    if any(each.touched is not None for each in results):
        names = {f"identity/reconstruction/{name}": f"identity/{name}" for name in ("cosine", "same_person")}
        take("identity", evaluators.identity(masked), names)
    return found, absent


def _told(answer: tuple[Measurement, ...] | str, **more: str) -> tuple[Measurement, ...] | str:
    """Return an answer with more in its protocol."""
    if isinstance(answer, str):
        return answer
    return tuple(replace(entry, protocol={**entry.protocol, **more}) for entry in answer)


def _ratio(energy: float, real: float) -> float:
    """Return an energy as a multiple of that of real photos; NaN where they are flat, or none shows the part."""
    return energy / real if real > 0 else math.nan


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
