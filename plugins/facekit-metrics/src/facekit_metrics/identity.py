"""Identity: does a result show the person that it should, as a face recogniser sees it?"""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, FacekitError, Measurement, Observation, Task

from .dlib_faces import RECOGNISER, SHA256, SIDE, DlibFaces, Landmarks, dlib_faces, face_classes, models_folder
from .measurements import mean_measurement
from .options import IdentityOptions

SAME_PERSON = 0.6
"""Distance below which dlib's embeddings are of one person, by its author."""


class _Result(NamedTuple):
    """Embedding of a result, with the keys of the faces whose mask and whose look it has."""

    mask_owner: str
    reference: str
    embedding: Tensor


def placements(own: Tensor, others: Tensor) -> Tensor:
    """Return the share of other people's distances that are above each own one; ties count half.

    Their mean is the area under the ROC curve of telling own from others by distance (Hanley and McNeil, 1982).

    Args:
        own: (N,).
        others: (M,), M at least 1.

    Returns:
        (N,) float64 in 0..1.
    """
    ordered = others.sort().values
    below = torch.searchsorted(ordered, own.contiguous()).double()
    up_to = torch.searchsorted(ordered, own.contiguous(), right=True).double()
    return 1 - (below + up_to) / (2 * len(ordered))


class Identity:
    """Whether results show the person they should, by dlib's face embedding.

    A reconstruction is compared with the photo of its face. A result in another face's look is compared with the photo
    of that face, and apart from it with the photo of the mask's owner. Landmarks are those of the real photo whose
    geometry the result has, for both. Faces that are found in no photo are left out; which they are does not depend on
    results.

    Args:
        faces: finds and embeds.
        tasks: whose results.
        classes: ids of the classes of a face, for photos in which no face is found.
    """

    def __init__(self, faces: DlibFaces, *, tasks: tuple[Task, ...], classes: Collection[int] = ()) -> None:
        self.tasks = tasks
        self._faces = faces
        self._classes = tuple(classes)
        self._seen: set[Task] = set()
        self._photos: dict[str, Tensor] = {}
        self._results: dict[Task, list[_Result]] = {task: [] for task in tasks}

    def update(self, observation: Observation) -> None:
        """Take in a batch. Raises FacekitError when the results were made without reference photos."""
        condition, reference = observation.condition, observation.condition.reference
        if reference is None and observation.task == "style_copy":
            raise FacekitError("identity compares results with reference photos, and these have none", where="metrics")
        self._seen.add(observation.task)
        for index, (key, look) in enumerate(zip(observation.keys, observation.reference_keys, strict=True)):
            mask = None if condition.mask is None else condition.mask[index]
            owner = self._photo(key, observation.target[index], mask)
            geometry = owner
            if observation.task == "style_copy" and reference is not None:
                other = self._photo(
                    look, reference.image[index], None if reference.mask is None else reference.mask[index]
                )
                # A system that reads no mask leaves the face of its source where it is.
                geometry = owner if "mask" in observation.reads else other
            if geometry is not None:
                found = self._faces.embedding(observation.generated.image[index], geometry)
                self._results[observation.task].append(_Result(key, look, found))

    def compute(self) -> tuple[Measurement, ...]:
        """Return the measurements ``cosine``, ``distance``, ``same_person``, ``rank_1`` and ``auc``.

        They are called ``identity/reconstruction/...``, ``identity/style_copy/reference/...`` and
        ``identity/style_copy/mask_owner/...``. NaN and a count of 0 where no face was found; so is ``auc`` where there
        is no other person.

        Raises:
            FacekitError: nothing was observed in one of the tasks.
        """
        found: list[Measurement] = []
        for task, results in self._results.items():
            if task not in self._seen:
                raise FacekitError(f"identity was given no results of {task} to measure")
            if task == "reconstruction":
                found += self._measurements(f"identity/{task}", results, of_reference=False)
            else:
                found += self._measurements(f"identity/{task}/reference", results, of_reference=True)
                found += self._measurements(f"identity/{task}/mask_owner", results, of_reference=False)
        return tuple(found)

    def _photo(self, key: str, photo: Tensor, mask: Tensor | None) -> Landmarks | None:
        found = self._faces.photo(photo, mask, self._classes)
        if found is None:
            return None
        self._photos[key] = found[1]
        return found[0]

    def _measurements(self, name: str, results: list[_Result], *, of_reference: bool) -> list[Measurement]:
        keys = sorted(self._photos)
        rows = {key: row for row, key in enumerate(keys)}
        own_keys = [result.reference if of_reference else result.mask_owner for result in results]
        kept = [(result, rows[key]) for result, key in zip(results, own_keys, strict=True) if key in rows]
        values: dict[str, list[float]] = {measure: [] for measure in _MEASURES}
        if kept:
            gallery = torch.stack([self._photos[key] for key in keys])
            shown = torch.stack([result.embedding for result, _ in kept])
            places = torch.tensor([row for _, row in kept])
            # Without matrix products: the distance of equal vectors is 0.
            distances = torch.cdist(shown, gallery, compute_mode="donot_use_mm_for_euclid_dist")
            own = distances.gather(1, places.unsqueeze(1)).squeeze(1)
            is_other = torch.ones_like(distances, dtype=torch.bool).scatter_(1, places.unsqueeze(1), False)
            nearest_other = distances.masked_fill(~is_other, math.inf).min(1).values
            for line, (result, _) in enumerate(kept):
                is_other[line, [rows[key] for key in (result.mask_owner, result.reference) if key in rows]] = False
            others = distances[is_other]
            values = {
                "cosine": torch.cosine_similarity(shown, gallery[places]).tolist(),
                "distance": own.tolist(),
                "same_person": (own < SAME_PERSON).double().tolist(),
                "rank_1": (own < nearest_other).double().tolist(),
                "auc": placements(own, others).tolist() if len(others) else [],
            }
        protocol = {
            "embedding": f"dlib face recognition ResNet v1, sha256 {SHA256[RECOGNISER]}",
            "landmarks": "5 points of the real photo whose geometry the result has, for both; dlib's frontal detector, "
            "else the face's box in the mask",
            "input": f"bicubic, antialiased, to {SIDE} x {SIDE}, 8 bits",
            "photos": str(len(keys)),
        }
        return [
            mean_measurement(
                f"{name}/{measure}",
                values[measure],
                unit="share" if measure in ("same_person", "rank_1") else "",
                better="lower" if measure == "distance" else "higher",
                protocol={**protocol, **({"distance": meaning} if meaning else {})},
                detail=measure == "distance" or name.endswith("/mask_owner"),
                none=True,
            )
            for measure, meaning in _MEASURES.items()
        ]


_MEASURES = {
    "cosine": "",
    "distance": "Euclidean",
    "same_person": f"Euclidean, below {SAME_PERSON}",
    "rank_1": "Euclidean; own photo nearer than every other evaluated photo",
    "auc": "Euclidean; own beside those of results to photos of neither their look nor their mask",
}


def build(options: IdentityOptions, context: BuildContext) -> Identity:
    """Build the metric from a recipe's options. Raises FacekitError when dlib or its models are not installed."""
    folder = models_folder(None if options.models is None else Path(options.models))
    return Identity(dlib_faces(folder), tasks=options.tasks, classes=face_classes(context.label_map))
