"""What a grid says beside its rows: seeds, budget, columns, how it is measured and shown."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from facekit.evaluation.results import BASELINE_NAMES
from facekit.evaluation.store import PICTURES
from facekit.interfaces import FacekitError, Options, did_you_mean


def _no_repeats(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) != len(seeds):
        raise ValueError("a seed stands twice")
    return seeds


def _known_baseline(name: str | None) -> str | None:
    if name is not None and name not in BASELINE_NAMES:
        hint = did_you_mean(name, BASELINE_NAMES) or f"baselines: {', '.join(BASELINE_NAMES)}"
        raise ValueError(f"there is no baseline {name!r}; {hint}")
    return name


Seed = Annotated[int, Field(ge=0)]
Keep = Literal["checkpoints", "none"]


class MeasuringSettings(Options):
    """How every row is measured, so that their numbers can stand beside each other."""

    split: Literal["train", "validation", "test", "extra"] = "test"
    """Whose faces."""
    weights: Literal["ema", "live"] = "ema"
    """Which weights; a run without an average has live ones only."""
    seed: Seed = 0
    """Seed of the pairing of masks and looks."""
    limit: int | None = Field(None, ge=2)
    """Measure only the first faces of the split."""
    batch: int = Field(8, ge=1)
    """Faces generated at a time; it decides the speed only."""


class SheetSettings(Options):
    """The contact sheet: one row a test face, one column a system."""

    task: str = "style_copy"
    """Whose results it shows: a task, or the transfer of an attribute, ``attribute_transfer/Smiling``."""
    faces: int = Field(6, ge=1, le=PICTURES)
    """How many test faces."""


class PublishedFigures(Options):
    """Figures that others have published: shown in a table of their own, never in place of a measurement."""

    source: str
    """Where they were published."""
    note: str = ""
    """In what they differ from what is measured here."""
    columns: tuple[str, ...] = Field(min_length=1)
    """What they are."""
    rows: dict[str, tuple[float | None, ...]] = Field(min_length=1)
    """The figures of each system, one a column; null where none was published."""

    @model_validator(mode="after")
    def _one_figure_a_column(self) -> PublishedFigures:
        for name, figures in self.rows.items():
            if len(figures) != len(self.columns):
                raise ValueError(f"{name!r} has {len(figures)} figures for {len(self.columns)} columns")
        return self


class RowSettings(Options):
    """A row of the table, beside what it sets."""

    base: str | None = None
    """The recipe it starts from: a path beside the grid, or the name of a shipped recipe; by default the grid's."""
    baseline: Annotated[str | None, AfterValidator(_known_baseline)] = None
    """A baseline that needs no training, in place of a recipe."""
    note: str = ""
    """A sentence for the reader of the table."""

    @model_validator(mode="after")
    def _one_of_both(self) -> RowSettings:
        if self.base is not None and self.baseline is not None:
            raise ValueError("give base or baseline, not both: a baseline is not trained")
        return self


class GridSettings(Options):
    """What a grid says beside ``set``, ``metrics``, ``rows`` and ``grid``."""

    name: str | None = None
    """What to call it; by default its file's name."""
    description: str = ""
    """One sentence, for lists."""
    base: str
    """The recipe that rows start from: a path beside the grid, or the name of a shipped recipe."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_no_repeats)] = (0, 1, 2)
    """Each row is trained once with each of them."""
    steps: int = Field(ge=1)
    """The budget: generator updates of every run."""
    reference: str | None = None
    """The row that others are tested against; by default the first."""
    columns: tuple[str, ...] | None = Field(None, min_length=1)
    """Measurements in the table, by name or by the part before a slash; by default all."""
    measure: MeasuringSettings = MeasuringSettings()
    """How every row is measured."""
    keep: Keep = "checkpoints"
    """What is left of a run that is measured: its checkpoints, or none of them."""
    sheet: SheetSettings = SheetSettings()
    """The contact sheet."""
    published: PublishedFigures | None = None
    """Figures to stand beside the table."""


MOST_SEEDS = 1000
"""Most seeds of a grid that are given on the command line: each of them trains every row."""

_SEED_DIGITS = 18


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return seeds written as ``0,1,2`` or ``0-4``.

    Raises:
        FacekitError: they cannot be read, they are too many, or one stands twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise FacekitError(f"seeds are written like 0,1,2 or 0-4, not {text!r}", where="--seeds")
        if max(len(first), len(last)) > _SEED_DIGITS or int(last or first) - int(first) + len(seeds) >= MOST_SEEDS:
            shown = text if len(text) <= 40 else f"{text[:37]}..."
            raise FacekitError(
                f"{shown!r} names more than {MOST_SEEDS:,} seeds, or one of more than {_SEED_DIGITS} digits",
                where="--seeds",
            )
        seeds += range(int(first), int(last or first) + 1)
    if not seeds or len(set(seeds)) != len(seeds):
        raise FacekitError(f"{text!r} names no seed, or one twice", where="--seeds")
    return tuple(seeds)
