"""The dataset ``evaluator_photos``: other datasets as evaluators learn from them. Imports no torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from facekit.faces.copies import KnownPhotos, thumbnail
from facekit.interfaces import (
    ATTRIBUTES,
    IMAGE,
    MASK,
    NO_LABELS,
    DatasetContext,
    FaceDataset,
    FacekitError,
    FaceSample,
    Finding,
    LabelMap,
    Options,
    Port,
    PortContext,
    Ports,
    Repairs,
    cache_folder,
    did_you_mean,
)
from facekit.registry import ComponentSpec, load_registry

from .options import KNOWN, EvaluatorPhotosOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MEASURED = ("validation", "test")
_COMPARED_AT = 64


def chosen_datasets(options: EvaluatorPhotosOptions) -> list[tuple[ComponentSpec, Options]]:
    """Return the datasets that the options name.

    Raises:
        FacekitError: there is no such dataset, or its options are wrong.
    """
    found = []
    for place, entry in enumerate(options.of):
        name = entry.get("use")
        if not isinstance(name, str):
            raise FacekitError("this names no dataset", where=f"of[{place}]", remedy="give it a `use:`")
        spec = load_registry().find("dataset", name).spec
        try:
            own = spec.options.model_validate({key: value for key, value in entry.items() if key != "use"})
        except ValidationError as error:
            first = error.errors()[0]
            option = ".".join(str(part) for part in first["loc"])
            known = ", ".join(spec.options.model_fields)
            raise FacekitError(
                f"{first['msg']}: {option}", where=f"of[{place}]", remedy=f"options of {name} are {known}"
            ) from error
        found.append((spec, own))
    return found


def dataset_ids(options: Options, spec: ComponentSpec) -> list[str]:
    """Return the ids of the dataset components behind a recipe's dataset: its own, or those that it is made of."""
    if isinstance(options, EvaluatorPhotosOptions):
        return [one.id for one, _ in chosen_datasets(options)]
    return [spec.id]


def ports(options: EvaluatorPhotosOptions, context: PortContext) -> Ports:
    """Return what the dataset gives: masks of one dataset alone, and which attributes are known of several."""
    datasets = chosen_datasets(options)
    given = {port.name: port for port in datasets[0][0].ports(datasets[0][1], context).gives}
    gives: list[Port] = [IMAGE]
    if MASK.name in given and len(datasets) == 1:
        gives.append(given[MASK.name])
    if options.attributes or (options.attributes is None and ATTRIBUTES.name in given):
        count = len(options.attributes) if options.attributes else given[ATTRIBUTES.name].shape[1]
        gives.append(Port(ATTRIBUTES.name, ("batch", count), dtype="binary", value_range=(0.0, 1.0)))
        if len(datasets) > 1:
            gives.append(Port(KNOWN, ("batch", count), dtype="binary", value_range=(0.0, 1.0)))
    return Ports(gives=tuple(gives))


def build(options: EvaluatorPhotosOptions, context: DatasetContext) -> EvaluatorPhotos:
    """Open the datasets. Raises FacekitError as :class:`EvaluatorPhotos`, and where one cannot be opened."""
    chosen = chosen_datasets(options)
    return EvaluatorPhotos(options, {spec.id: spec.build(own, context) for spec, own in chosen})


class EvaluatorPhotos:
    """The photos of one dataset, or of several, that an evaluator learns from and is tested on.

    ``train`` are the photos of the splits it is to learn from, but for those that any of the datasets has for
    validation or tests: CelebA-HQ, say, is made of photos of CelebA. ``test`` are the ``validation`` photos of the
    first dataset, or an even share of its photos where it has none. So no photo of a ``test`` split is among them:
    results are measured on those.

    Args:
        options: which splits and attributes.
        datasets: by the ids of their components.

    Raises:
        FacekitError: a dataset has none of the splits or of the attributes, or there are too few photos.
    """

    def __init__(self, options: EvaluatorPhotosOptions, datasets: Mapping[str, FaceDataset]) -> None:
        if len(datasets) < len(options.of):
            raise FacekitError("a dataset is named twice", where="of", remedy="name each of them once")
        self._datasets, self._options = dict(datasets), options
        first = next(iter(datasets.values()))
        self.label_map: LabelMap = first.label_map if len(datasets) == 1 else NO_LABELS
        self.attribute_names = tuple(first.attribute_names) if options.attributes is None else options.attributes
        self._columns: dict[str, list[tuple[int, int]]] = {}
        for name, dataset in self._datasets.items():
            own = {attribute: column for column, attribute in enumerate(dataset.attribute_names)}
            wanted = [attribute for attribute in self.attribute_names if attribute not in own]
            if wanted and (dataset is first or len(wanted) == len(self.attribute_names)):
                raise FacekitError(
                    f"{name} has no attribute {wanted[0]!r}",
                    where="attributes",
                    remedy=did_you_mean(wanted[0], own) or f"it has {', '.join(own) or 'none'}",
                )
            self._columns[name] = [(p, own[a]) for p, a in enumerate(self.attribute_names) if a in own]

    @cached_property
    def _rows(self) -> tuple[list[tuple[str, int]], int]:
        """The samples, each by its dataset and its row there: those to learn from, then those to test on."""
        learned: list[tuple[str, int]] = []
        tested: list[tuple[str, int]] = []
        for place, (name, dataset) in enumerate(self._datasets.items()):
            found = dataset.splits()
            rows = [(name, int(row)) for split in self._options.splits for row in found.get(split, ())]
            if not rows:
                raise FacekitError(
                    f"{name} has no photos in {' or '.join(self._options.splits)}",
                    where="splits",
                    remedy=f"it has {', '.join(split for split, members in found.items() if len(members))}",
                )
            if place == 0:
                tested = [(name, int(row)) for row in found.get("validation", ())]
                if not tested:
                    step = max(2, round(1 / self._options.held_out))
                    tested, rows = rows[::step], [row for at, row in enumerate(rows) if at % step]
            learned += rows
        if len(self._datasets) > 1:
            copies = self._copies(learned)
            learned = [row for row in learned if row not in copies]
        if not learned:
            raise FacekitError("there are too few photos to learn from and to test on", where="splits")
        return [*learned, *tested], len(learned)

    def _copies(self, learned: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        """Return which photos the validation or test photos of a dataset show; kept, since all of them are read."""
        measured = [
            (name, int(row))
            for name, dataset in self._datasets.items()
            for split, rows in dataset.splits().items()
            if split in _MEASURED
            for row in rows
        ]
        made_of = [[each.fingerprint() for each in self._datasets.values()], learned, measured]
        key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
        file = cache_folder() / "evaluator_photos" / f"{key}.json"
        if file.is_file():
            return {(name, row) for name, row in json.loads(file.read_text(encoding="utf-8"))}
        known = KnownPhotos(self._thumbnails(measured))
        found = sorted({learned[row] for row, _ in known.copies(self._thumbnails(learned))})
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(f".{os.getpid()}.part")
        beside.write_text(json.dumps(found), encoding="utf-8")
        beside.replace(file)
        return set(found)

    def _thumbnails(self, rows: Sequence[tuple[str, int]]) -> NDArray[np.uint8]:
        images = [thumbnail(self._datasets[name].read(row, size=_COMPARED_AT).image) for name, row in rows]
        return np.stack(images) if images else np.zeros((0, 32, 32, 3), np.uint8)

    @property
    def keys(self) -> Sequence[str]:
        """The keys of the photos; of several datasets with the name of the dataset before each."""
        names = [(name, self._datasets[name].keys[row]) for name, row in self._rows[0]]
        return [key if len(self._datasets) == 1 else f"{name.split('/')[1]}/{key}" for name, key in names]

    @property
    def repair_names(self) -> tuple[str, ...]:
        """What the datasets may repair."""
        repairing = [each for each in self._datasets.values() if isinstance(each, Repairs)]
        return tuple(dict.fromkeys(name for each in repairing for name in each.repair_names))

    def splits(self) -> dict[str, Sequence[int]]:
        """Return the photos to learn from as ``train`` and those to test on as ``test``."""
        rows, learned = self._rows
        return {"train": range(learned), "test": range(learned, len(rows))}

    def fingerprint(self) -> str:
        """Return a hash of those of the datasets, of the attributes and of which photos these are."""
        found = [each.fingerprint() for each in self._datasets.values()]
        return hashlib.sha256(json.dumps([found, self.attribute_names, *self._rows]).encode()).hexdigest()

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Read one photo; see :class:`facekit.interfaces.FaceDataset`."""
        name, row = self._rows[0][index]
        sample = self._datasets[name].read(row, size=size)
        values, known = np.zeros((2, len(self.attribute_names)), bool)
        for place, column in self._columns[name]:
            assert sample.attributes is not None
            values[place], known[place] = sample.attributes[column], True
        several = len(self._datasets) > 1
        return FaceSample(
            sample.image,
            None if several else sample.mask,
            values if self.attribute_names else None,
            {KNOWN: known} if several and self.attribute_names else {},
            sample.repairs,
        )

    def mirror_extra(self, extra: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Return which attributes are known of a mirrored photo: the same."""
        return dict(extra)

    def check(self, index: int) -> list[Finding]:
        """Return what is wrong with one photo."""
        name, row = self._rows[0][index]
        return self._datasets[name].check(row)

    def check_all(self) -> list[Finding]:
        """Return what is wrong with each dataset."""
        return [finding for each in self._datasets.values() for finding in each.check_all()]
