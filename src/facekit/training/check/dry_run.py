"""The last stage of validation: real steps on a few faces, in a folder that is removed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from facekit.data.cache import prepare
from facekit.data.parallel import ProgressCallback
from facekit.interfaces import FaceDataset, FaceSample, Finding, MirrorsExtra, RunEvent, StepLogged
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import Registry
from facekit.training.loop import train
from facekit.training.open_data import open_dataset


@dataclass(frozen=True)
class StepProbe:
    """How real steps went.

    Args:
        losses: the weighted losses of the last one, by ``player/label``.
    """

    steps: int
    seconds_per_step: float
    losses: Mapping[str, float]
    warnings: tuple[str, ...]


def probe_steps(
    recipe: ResolvedRecipe, *, registry: Registry, steps: int = 2, progress: ProgressCallback | None = None
) -> StepProbe:
    """Train real steps of a recipe on a few of its faces, a sample grid and a checkpoint included.

    Args:
        recipe: the recipe; its data must be there.

    Raises:
        FacekitError: the data cannot be read, or a component fails.
        RunFailure: a loss is not finite.
    """
    settings = recipe.train.model_copy(
        update={
            "steps": steps,
            "epochs": None,
            "log_every": 1,
            "sample_every": steps,
            "checkpoint_every": steps,
            "evaluate_every": None,
            "keep": recipe.train.keep.model_copy(update={"best": None}),
        }
    )
    short = replace(recipe, train=settings, document={**recipe.document, "train": settings.model_dump(mode="json")})
    events: list[RunEvent] = []
    with TemporaryDirectory(prefix="facekit-probe-") as folder:
        faces = _FirstFaces(open_dataset(recipe, registry), count=max(2, recipe.train.batch))
        packed = prepare(
            faces, size=recipe.data.size, cache=Path(folder) / "cache", name="probe", workers=1, progress=progress
        )
        result = train(
            short,
            out=Path(folder) / "run",
            registry=registry,
            observer=events.append,
            command="probe",
            packed=packed,
            watched=False,
        )
    logged = [event for event in events if isinstance(event, StepLogged)][-1]
    return StepProbe(result.step, logged.seconds_per_step, logged.losses, result.warnings)


class _FirstFaces:
    """The first faces of the training and the validation split of a dataset."""

    def __init__(self, dataset: FaceDataset, *, count: int) -> None:
        self._dataset = dataset
        self._count = count
        self.label_map = dataset.label_map
        self.attribute_names = dataset.attribute_names
        self.keys = dataset.keys
        if isinstance(dataset, MirrorsExtra):
            self.mirror_extra = dataset.mirror_extra

    def splits(self) -> dict[str, Sequence[int]]:
        return {
            name: rows[: self._count]
            for name, rows in self._dataset.splits().items()
            if name in ("train", "validation")
        }

    def fingerprint(self) -> str:
        return f"{self._dataset.fingerprint()}-first-{self._count}"

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        return self._dataset.read(index, size=size)

    def check(self, index: int) -> list[Finding]:
        return self._dataset.check(index)

    def check_all(self) -> list[Finding]:
        return self._dataset.check_all()
