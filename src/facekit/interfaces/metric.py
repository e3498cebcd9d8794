"""The interface of metrics: what is observed, what comes out with which protocol, and real photos to compare with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, get_args, runtime_checkable

from facekit.interfaces.containers import Condition, Generated
from facekit.interfaces.errors import FacekitError
from facekit.interfaces.read_only import read_only

if TYPE_CHECKING:
    from torch import Tensor

Task = Literal["reconstruction", "style_copy", "attribute_transfer", "generation"]
"""Evaluation tasks. ``reconstruction``: each test face from its own mask and its own style. ``style_copy``: each test
mask in the style of another test photo. ``attribute_transfer``: each test face keeps its style and gets the mask of a
face that has an attribute it lacks, or lacks one it has. ``generation``: as many images from noise as there are test
faces; models that read more than noise get it from the test faces."""

TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True, slots=True)
class Observation:
    """A batch of fakes that a metric observes.

    The condition of each task, for models that generate from masks and for models that change real images
    (``source_image`` and ``attributes``, as StarGAN does):

    - ``reconstruction``: mask, reference, source photo and attributes are those of one face.
    - ``style_copy``: the mask and the attributes are the target face's, the reference and the source photo those of the
      face whose style is wanted.
    - ``attribute_transfer``: the mask is the target face's; the reference and the source photo are those of the face
      that is changed, and the attributes are its own but for the one that changes.
    - ``generation``: as ``reconstruction``; the noise is that of the sample, and ``target`` is a photo of the split to
      compare sets with, which a model from noise alone has not seen.

    Masks are None where the data has none.

    Args:
        task: which task the fakes were made for.
        condition: the conditions (target mask, reference photo and its mask), N of them.
        generated: the fakes, rounded to 8 bits as a saved image would be.
        target: the real photo of the target face, (N, 3, H, W) in [-1, 1].
        keys: the keys of the target faces.
        reference_keys: the keys of the reference faces.
        attributes: what the fakes should show, (N, A) float in {0, 1}; None where the data has no attributes. It is
            ``condition.attributes``, but for real photos, which show what they show.
        attribute: ``attribute_transfer``: the name of the attribute that changes; empty in other tasks.
        wanted: ``attribute_transfer``: its value after the change, (N,) float in {0, 1}.
        reads: what the model was given: some of ``mask``, ``reference``, ``reference_mask``, ``source`` and
            ``attributes``; empty for one that starts from noise alone.
    """

    task: Task
    condition: Condition
    generated: Generated
    target: Tensor
    keys: tuple[str, ...]
    reference_keys: tuple[str, ...]
    attributes: Tensor | None = None
    attribute: str = ""
    wanted: Tensor | None = None
    reads: frozenset[str] = frozenset({"mask", "reference", "reference_mask"})

    def geometry(self) -> Tensor:
        """Return the class ids (N, H, W) of the geometry that the fakes should have.

        That is the target mask. A model that does not read it kept the geometry of its source photo, whose mask is that
        of the reference.

        Raises:
            FacekitError: there is no such mask.
        """
        if "mask" in self.reads:
            return self.condition.require_mask()
        if self.condition.reference is None or not self.reads & {"reference", "source"}:
            raise FacekitError("a metric compares geometry, and these results were made without any")
        return self.condition.reference.require_mask()


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number with all that is needed to compare it.

    Args:
        name: the metric's name, e.g. ``style_following/skin``.
        value: the number.
        unit: ``dB``, ``share``, ``%`` or empty.
        better: which direction is better.
        protocol: the metric's own part of the protocol (extractor hash, regions, colour space); the core adds data,
            split and size.
        count: how many samples (or pairs) the number rests on.
        per_sample: one value a sample, for bootstrap intervals and paired tests; empty where the number is no mean.
            Which samples have a value may depend on the faces, never on the fakes: tests pair them one by one.
        detail: whether it is one of many that stand behind another, such as a region's beside the mean over regions.
            It is measured and kept as any other, and shown only when asked for.
    """

    name: str
    value: float
    unit: str
    better: Literal["higher", "lower"]
    protocol: Mapping[str, str] = field(default_factory=dict)
    count: int = 0
    per_sample: tuple[float, ...] = ()
    detail: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "protocol", read_only(self.protocol))


class Metric(Protocol):
    """A metric: observes fakes batch by batch, then computes. Its value does not depend on the batch size."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks whose fakes it observes."""
        ...

    def update(self, observation: Observation) -> None:
        """Take in one batch."""
        ...

    def compute(self) -> tuple[Measurement, ...]:
        """Return the measurements over all that was observed. Raises FacekitError when nothing was."""
        ...


@runtime_checkable
class TransferMetric(Protocol):
    """What a metric has beside :class:`Metric` when ``attribute_transfer`` is one of its tasks."""

    @property
    def transfers(self) -> tuple[str, ...]:
        """The attributes whose transfer it observes, each a list of pairs of its own."""
        ...


@dataclass(frozen=True, kw_only=True)
class FurtherResults:
    """What a plugin measured of a run beside its evaluation: a part of a section of the report, a table of comparisons.

    Args:
        section: the heading of the section: ``Edits``.
        name: what was measured, ``open_mouth``: comparisons have a table for each.
        file: the file of the run folder that holds them.
        split: whose faces.
        weights: ``ema`` or ``live``.
        step: updates behind the weights.
        results: a document for each system, those of this run under :attr:`RUN`, in the form of
            ``facekit.evaluation.EvaluationResult.document``. A measurement may have its values in ``per_sample`` and
            the names of what these are of in ``samples``: tests pair results whose names are the same.
        about: which of several models made the results; a few words, for a row of a comparison.
        notes: sentences for the report.
        picture: a PNG; None for none.
        caption: what it shows.
        skipped: why nothing was measured; empty where something was.
        damaged: why the file cannot be read; the rest is empty then.
    """

    RUN: ClassVar[str] = "run"

    section: str
    name: str
    file: Path
    split: str = ""
    weights: str = ""
    step: int = 0
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    about: str = ""
    notes: tuple[str, ...] = ()
    picture: Path | None = None
    caption: str = ""
    skipped: str = ""
    damaged: str = ""


EVALUATED = "evaluated"
"""In place of a split's name: the photos of the faces that are evaluated, whichever split they are of."""


class RealPhotos(Protocol):
    """The real photos of one split, at the size and as sharp as fakes are compared with them.

    Nothing is read before it is asked for, so that a metric can be built, and its options checked, before the data is
    prepared.
    """

    @property
    def split(self) -> str:
        """The split they are of."""
        ...

    @property
    def keys(self) -> Sequence[str]:
        """The keys of their faces, in order."""
        ...

    def __len__(self) -> int: ...

    def fingerprint(self, start: int = 0, stop: int | None = None) -> str:
        """Return the SHA-256, in hex, of the 8-bit pixels of photos ``start`` to ``stop``.

        It names what a metric may keep in :func:`~facekit.interfaces.cache_folder`: features, statistics.
        """
        ...

    def read(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Return photos ``start`` to ``stop``, (N, 3, H, W) float32 in [-1, 1], on the CPU."""
        ...


PhotoSource = Callable[[str], RealPhotos]
"""Returns the real photos of a split, or of :data:`EVALUATED`; raises FacekitError where it is not there or empty."""
