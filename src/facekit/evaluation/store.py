"""Evaluations on disk: each in a file of its own, with the values of every photo, and some pictures. Torch-free.

::

    RUN/evaluations/
      step-00000500-test-ema-1f0c9a3e.json
      step-00000500-test-ema-1f0c9a3e/style_copy-00.png    mask, reference, photo, result: what the model reads

``metrics.jsonl`` has the numbers as well, without the values of single photos: it is read line by line, often.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.evaluation.results import PARTS, EvaluationResult
from facekit.evaluation.tasks import TASK_SEED
from facekit.interfaces import FacekitError
from facekit.recipe.resolved import ResolvedRecipe
from facekit.training.run.folder import full_disk_stops, seal_is_sound, sealed, step_name, write_json
from facekit.training.run.metric_lines import read_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = 1
"""Version of the files."""

PICTURES = 8
"""Faces of a task whose pictures are kept."""

BASELINE_PREFIX = "baseline/"
"""Begins what stands for the weights of a baseline: ``baseline/copy_reference``."""

_KEY_LENGTH = 8


@dataclass(frozen=True)
class Asked:
    """What an evaluation is to measure: what tells it from another one of the same weights.

    Args:
        metrics: the metrics of a recipe as plain data, every default written out.
    """

    metrics: tuple[Mapping[str, Any], ...]
    split: str = "test"
    seed: int = TASK_SEED
    limit: int | None = None
    settings: tuple[str, ...] = ()

    @staticmethod
    def of(
        recipe: ResolvedRecipe,
        *,
        split: str,
        seed: int = TASK_SEED,
        limit: int | None = None,
        settings: Sequence[str] = (),
    ) -> Asked:
        """Return what the metrics of a recipe ask for."""
        return Asked(tuple(recipe.document["metrics"]), split, seed, limit, tuple(sorted(settings)))

    @property
    def key(self) -> str:
        """A short hash of all of it but the split, which stands in the file's name."""
        asked = [list(self.metrics), self.seed, self.limit, *([self.settings] if self.settings else [])]
        said = json.dumps(asked, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(said.encode()).hexdigest()[:_KEY_LENGTH]

    def file(self, folder: Path, *, step: int, weights: str) -> Path:
        """Return the file of an evaluation in the folder of all evaluations of a run."""
        return folder / f"{step_name(step)}-{self.split}-{weights.replace('/', '-')}-{self.key}.json"


@dataclass(frozen=True)
class StoredMeasurement:
    """One number as it was written down; the fields are those of :class:`facekit.interfaces.Measurement`.

    Args:
        value: NaN where the metric had none.
        id: its protocol id; only numbers with equal ids may be compared.
        interval: 95 % bootstrap interval over the photos; None for numbers that are no mean over photos.
        per_sample: one value a photo, or nothing.
        detail: whether it stands behind another.
        samples: the names of what ``per_sample`` is of, where the file says so.
    """

    name: str
    value: float
    unit: str
    better: str
    count: int
    id: str
    protocol: Mapping[str, str]
    interval: tuple[float, float] | None
    per_sample: tuple[float, ...]
    detail: bool = False
    samples: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeptPicture:
    """A result that was kept, with what it was generated from.

    Args:
        file: the PNG: all parts side by side, of one size.
        shows: what the parts are, from left to right: some of ``mask``, ``reference``, ``photo``, and ``result``.
    """

    key: str
    reference_key: str
    file: Path
    shows: tuple[str, ...] = PARTS

    def parts(self) -> dict[str, NDArray[np.uint8]]:
        """Return the pictures (H, W, 3) uint8 by what they show. Raises FacekitError when the file cannot be read."""
        import numpy as np

        from facekit.interfaces.image_files import read_image

        strip = np.asarray(read_image(self.file, formats=("PNG",)).convert("RGB"))
        return dict(zip(self.shows, np.split(strip, len(self.shows), axis=1), strict=True))


@dataclass(frozen=True)
class StoredEvaluation:
    """An evaluation as it was written down.

    Args:
        weights: ``ema``, ``live`` or ``baseline/NAME``.
        seconds_per_picture: time to generate one image, in a batch.
        pairs: the (target key, reference key) of every result, by the name of the list of pairs.
    """

    file: Path
    system: str
    split: str
    weights: str
    step: int
    protocol: str
    fields: Mapping[str, str]
    seconds_per_picture: float
    measurements: Mapping[str, StoredMeasurement]
    pairs: Mapping[str, tuple[tuple[str, str], ...]]
    pictures: Mapping[str, tuple[KeptPicture, ...]]


def write_evaluation(result: EvaluationResult, file: Path) -> Path:
    """Write an evaluation with its pictures; one that stands there is replaced. Returns the file.

    Raises:
        RunFailure: the disk is full.
    """
    from PIL import Image

    document = {"format": FORMAT, **result.document()}
    for entry, measurement in zip(document["measurements"], result.measurements, strict=True):
        entry["per_sample"] = [value if math.isfinite(value) else None for value in measurement.per_sample]
    document["pairs"] = {task: [list(pair) for pair in pairs] for task, pairs in result.pairs.items()}
    folder = file.with_suffix("")
    with full_disk_stops(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        # The JSON comes last: where it stands, everything it names does.
        file.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        pictures: dict[str, list[dict[str, Any]]] = {}
        for task, kept in result.pictures.items():
            folder.mkdir(exist_ok=True)
            for number, picture in enumerate(kept):
                name = f"{task.replace('/', '-')}-{number:02d}.png"
                Image.fromarray(picture.strip).save(folder / name, format="PNG")
                entry = {"key": picture.key, "reference_key": picture.reference_key, "file": f"{folder.name}/{name}"}
                pictures.setdefault(task, []).append({**entry, "shows": list(picture.parts)})
        write_json(file, sealed({**document, "pictures": pictures}))
    return file


def read_evaluation(file: Path) -> StoredEvaluation:
    """Read what :func:`write_evaluation` wrote.

    Raises:
        FacekitError: there is no such file, or it cannot be read.
    """
    with readable_document(file):
        document = sound_document(file)
        if document["format"] != FORMAT:
            raise FacekitError(f"this evaluation is of format {document['format']}, not {FORMAT}", where=str(file))
        return stored_evaluation(document, file)


def sound_document(file: Path) -> Any:
    """Return what a JSON file with a checksum holds, safe to use; within :func:`readable_document`.

    Raises:
        OSError, ValueError: it cannot be read, or is not what was written.
    """
    text = file.read_text(encoding="utf-8")
    document = read_json(text)
    # Of what the file says, not of what is safe to use: damage must not look sound by being left out.
    if isinstance(document, dict) and not seal_is_sound(json.loads(text)):
        raise ValueError("it is not what was written (its entries and its checksum differ)")
    return document


@contextmanager
def readable_document(file: Path) -> Iterator[None]:
    """Turn whatever reading a damaged evaluation raises into a FacekitError that names the file."""
    try:
        yield
    except KeyError as error:
        raise FacekitError(
            f"the evaluation cannot be read: it has no {error.args[0]!r}",
            where=str(file),
            remedy="remove it and measure again",
        ) from error
    except (OSError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise FacekitError(
            f"the evaluation cannot be read: {error}", where=str(file), remedy="remove it and measure again"
        ) from error


def stored_evaluation(document: Mapping[str, Any], file: Path) -> StoredEvaluation:
    """Return the evaluation that a document of a file holds.

    Raises:
        KeyError, TypeError, ValueError, AttributeError, IndexError: it holds something else; see
            :func:`readable_document`.
    """
    return StoredEvaluation(
        file=file,
        **{name: a_value(str, document, name) for name in ("system", "split", "weights", "protocol")},
        step=a_value(int, document, "step"),
        fields=a_value(dict, document, "protocol_fields"),
        seconds_per_picture=float(a_value((int, float), document, "seconds_per_picture")),
        measurements={entry["name"]: _measurement(entry) for entry in document["measurements"]},
        pairs={
            name: tuple((str(target), str(reference)) for target, reference in pairs)
            for name, pairs in document["pairs"].items()
        },
        pictures={
            task: tuple(_picture(file.parent, entry) for entry in kept) for task, kept in document["pictures"].items()
        },
    )


def a_value(kind: Any, document: Mapping[str, Any], name: str) -> Any:
    """Return an entry of an evaluation. Raises KeyError where there is none, TypeError where it is of another type."""
    value = document[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r:.40}")
    return value


def _picture(folder: Path, entry: Mapping[str, Any]) -> KeptPicture:
    # Evaluations of before say nothing of the parts: they have all of them.
    shows = tuple(str(part) for part in entry.get("shows", PARTS))
    return KeptPicture(
        a_value(str, entry, "key"), a_value(str, entry, "reference_key"), folder / a_value(str, entry, "file"), shows
    )


def _measurement(entry: Mapping[str, Any]) -> StoredMeasurement:
    interval = entry["interval"]
    return StoredMeasurement(
        **{name: a_value(str, entry, name) for name in ("name", "unit", "better", "id")},
        count=a_value(int, entry, "count"),
        protocol=a_value(dict, entry, "protocol"),
        value=math.nan if entry["value"] is None else float(entry["value"]),
        interval=None if interval is None else (float(interval[0]), float(interval[1])),
        per_sample=tuple(math.nan if value is None else float(value) for value in entry["per_sample"]),
        # Evaluations of before have no details.
        detail=entry.get("detail") is True,
        samples=tuple(map(str, entry.get("samples", ()))),
    )
