"""What a metric promises."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.evaluation.fit import possible_tasks, what_is_read
from facekit.interfaces import (
    EVALUATED,
    BuildContext,
    Condition,
    FacekitError,
    Generated,
    Measurement,
    Observation,
    RealPhotos,
    Reference,
    Task,
    TransferMetric,
)
from facekit.registry import Kind
from facekit.sampling.inputs import MASK, REFERENCE, REFERENCE_MASK, SamplingInputs
from facekit.testing.contract import BrokenPromise, ComponentContract, promised, seeded
from facekit.testing.port_inputs import blobs, make, make_extra

_NOISE = 0.4
_SPLITS = {EVALUATED: 0, "test": 0, "validation": 1, "train": 2}
"""What is added to the seed of the photos of each split; those of the test split are evaluated."""


class BenchPhotos:
    """Real photos of a split; see :class:`facekit.interfaces.RealPhotos`."""

    def __init__(self, split: str, photos: Tensor) -> None:
        self.split = split
        self.keys = tuple(f"face{row}" if _SPLITS[split] == 0 else f"{split}{row}" for row in range(len(photos)))
        self._photos = photos

    def __len__(self) -> int:
        return len(self._photos)

    def fingerprint(self, start: int = 0, stop: int | None = None) -> str:
        """Return the SHA-256 of photos ``start`` to ``stop``."""
        return hashlib.sha256(self._photos[start:stop].numpy().tobytes()).hexdigest()

    def read(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Return photos ``start`` to ``stop``."""
        return self._photos[start:stop].clone()


class MetricContract(ComponentContract):
    """What a metric promises.

    ::

        class TestMyMetric(MetricContract):
            spec = MY_METRIC
    """

    kind: ClassVar[Kind] = "metric"

    count: ClassVar[int] = 6
    """How many faces it is tried on."""
    tolerance: ClassVar[float] = 1e-6
    """How much the value may depend on batch sizes and order, as a share of it."""
    inputs: ClassVar[SamplingInputs] = SamplingInputs(frozenset({MASK, REFERENCE, REFERENCE_MASK}))
    """What the model reads whose results it is shown: ``SamplingInputs(frozenset(), noise={"z": (8,)})`` for one from
    noise alone, which has no masks, references and attributes to show."""
    not_about_likeness: ClassVar[str] = ""
    """Why a perfect result is not the best one for this metric (a measure of diversity, say); else empty."""

    def test_ports_match(self) -> None:
        """The metric works with what its ports need, at several sizes, and names valid tasks."""
        promise = "a metric works with what its ports need, and names tasks that exist"
        for size in self.sizes:
            metric = self._metric(size)
            tasks = tuple(metric.tasks)
            if not tasks or set(tasks) - set(get_args(Task)):
                raise BrokenPromise(promise, f"its tasks are {tasks!r}", f"there are {', '.join(get_args(Task))}")
            if strange := set(tasks) - set(possible_tasks(self.inputs)):
                read = what_is_read(self.inputs)
                raise BrokenPromise(
                    "the tasks follow the model where the options name none",
                    f"it asks for {', '.join(sorted(strange))} of a model that reads {read}",
                    "choose with context.first_task(...) in the factory, or name a task in the test's options",
                )
            self._check_transfers(metric)
            self._measured(metric, self._observations(size, metric, at_once=2), promise)

    def test_does_not_depend_on_batches(self) -> None:
        """The value does not depend on how the faces were put into batches, nor on their order."""
        promise = "the value does not depend on batch size and order"
        size = self.sizes[0]
        metric = self._metric(size)
        whole = self._measured(self._metric(size), self._observations(size, metric, at_once=self.count), promise)
        for at_once in (1, 4):
            parts = self._measured(self._metric(size), self._observations(size, metric, at_once=at_once), promise)
            self._same(promise, whole, parts, f"in batches of {at_once} instead of {self.count}")
        shuffled = list(reversed(self._observations(size, metric, at_once=2)))
        self._same(promise, whole, self._measured(self._metric(size), shuffled, promise), "in another order")

    def test_is_deterministic(self) -> None:
        """The same faces give the same value, whatever the global random state, however often it is computed."""
        promise = "the same faces give the same value"
        size = self.sizes[0]
        metric = self._metric(size)
        observations = self._observations(size, metric, at_once=2)
        first = self._measured(metric, observations, promise)
        self._same(promise, first, tuple(metric.compute()), "when computed a second time", exactly=True)
        with seeded(self.seed + 1):
            again = self._measured(self._metric(size), observations, promise, keep_random=True)
        self._same(promise, first, again, "with another global random state", exactly=True)

    def test_measurements_are_sound(self) -> None:
        """Measurements have names of their own, counts, valid directions, and values for each sample that fit."""
        promise = "measurements say what they are"
        size = self.sizes[0]
        metric = self._metric(size)
        measured = self._measured(metric, self._observations(size, metric, at_once=2), promise)
        if not measured:
            raise BrokenPromise(promise, "there is none", "return a Measurement")
        names = [entry.name for entry in measured]
        if len(set(names)) != len(names):
            raise BrokenPromise(promise, f"a name occurs twice in {names}", "give each measurement a name of its own")
        for entry in measured:
            if not isinstance(entry, Measurement):
                raise BrokenPromise(promise, f"a {type(entry).__name__}", "return Measurement objects")
            if entry.better not in ("higher", "lower"):
                raise BrokenPromise(promise, f"{entry.name} says better={entry.better!r}", "write higher or lower")
            if entry.count < 1 or len(entry.per_sample) not in (0, entry.count):
                raise BrokenPromise(
                    promise,
                    f"{entry.name} rests on {entry.count} samples and lists {len(entry.per_sample)}",
                    "count the samples; per_sample has one value each, or none",
                )
            wrong = [
                key for key, value in entry.protocol.items() if not isinstance(key, str) or not isinstance(value, str)
            ]
            if wrong:
                raise BrokenPromise(
                    promise, f"{entry.name} has protocol entries that are no text: {wrong}", "use str()"
                )
            if entry.per_sample and math.isfinite(entry.value):
                mean = math.fsum(entry.per_sample) / len(entry.per_sample)
                if abs(mean - entry.value) > 1e-6 * max(1.0, abs(mean)):
                    raise BrokenPromise(
                        promise,
                        f"{entry.name} is {entry.value:.6g}, and the mean of its samples {mean:.6g}",
                        "per_sample is for values that are means; leave it empty otherwise",
                    )

    def test_nothing_observed_is_an_error(self) -> None:
        """Computing without a single face is an error for people."""
        promise = "computing before anything was observed raises FacekitError"
        try:
            value = self._metric(self.sizes[0]).compute()
        except FacekitError:
            return
        except Exception as error:
            raise BrokenPromise(
                promise, f"{type(error).__name__}: {error}", "raise FacekitError with a sentence"
            ) from error
        raise BrokenPromise(promise, f"it returned {value!r}", "raise FacekitError with a sentence")

    def test_leaves_observations_alone(self) -> None:
        """The metric changes nothing that other metrics look at."""
        size = self.sizes[0]
        metric = self._metric(size)
        for observation in self._observations(size, metric, at_once=3):
            reference = observation.condition.reference
            given: dict[str, Tensor | None] = {
                "generated": observation.generated.image,
                "target": observation.target,
                "mask": observation.condition.mask,
                "reference": None if reference is None else reference.image,
            }
            watched = {name: value for name, value in given.items() if value is not None}
            before = {name: value.clone() for name, value in watched.items()}
            metric.update(observation)
            changed = [name for name, value in before.items() if not torch.equal(value, watched[name])]
            if changed:
                raise BrokenPromise(
                    "a metric changes nothing that others look at",
                    f"it changed {', '.join(changed)}",
                    "do not work in place",
                )

    def test_better_is_better(self) -> None:
        """A perfect reconstruction is at least as good as a noisy one, in the direction the metric states."""
        size = self.sizes[0]
        metric = self._metric(size)
        if self.not_about_likeness or "reconstruction" not in metric.tasks:
            return
        promise = "a perfect result is at least as good as a noisy one"
        noisy = self._measured(metric, self._observations(size, metric, at_once=3), promise)
        perfect = self._measured(self._metric(size), self._observations(size, metric, at_once=3, noise=0.0), promise)
        values = {entry.name: entry.value for entry in perfect}
        for entry in noisy:
            value = values.get(entry.name, math.nan)
            worse = value < entry.value if entry.better == "higher" else value > entry.value
            if worse:
                raise BrokenPromise(
                    promise,
                    f"{entry.name} is {value:.6g} for the photos themselves and {entry.value:.6g} with noise, "
                    f"and better is {entry.better}",
                    "correct `better`, or say in `not_about_likeness` why a perfect result is not best",
                )

    # Helpers

    def build_context(self, size: int) -> BuildContext:
        """Return what a factory gets beside the options, real images of the usual splits included."""

        def photos(split: str) -> RealPhotos:
            if split not in _SPLITS:
                raise FacekitError(f"the data has no split {split!r}", remedy=f"it has {', '.join(_SPLITS)}")
            return BenchPhotos(split, self._photos(size, torch.Generator().manual_seed(self.seed + _SPLITS[split])))

        return replace(super().build_context(size), photos=photos, tasks=possible_tasks(self.inputs))

    def _photos(self, size: int, random: torch.Generator) -> Tensor:
        smooth = torch.rand(self.count, 3, 8, 8, generator=random) * 1.6 - 0.8
        photos = F.interpolate(smooth, size=(size, size), mode="bilinear")
        return _to_levels(photos + 0.05 * torch.randn(photos.shape, generator=random))

    def _metric(self, size: int) -> Any:
        with promised("the metric can be built from its options"):
            return self.build(size)

    def _check_transfers(self, metric: Any) -> None:
        if "attribute_transfer" not in metric.tasks:
            return
        promise = "a metric of attribute_transfer names the attributes whose transfer it wants to see"
        known = ", ".join(self.attribute_names)
        if not isinstance(metric, TransferMetric) or not metric.transfers:
            raise BrokenPromise(promise, "it names none", f"give it a property `transfers`; there are {known}")
        if strange := set(metric.transfers) - set(self.attribute_names):
            raise BrokenPromise(promise, f"it names {', '.join(sorted(strange))}", f"there are {known}")

    def _measured(
        self, metric: Any, observations: Sequence[Observation], promise: str, *, keep_random: bool = False
    ) -> tuple[Measurement, ...]:
        with promised(promise):
            if keep_random:
                return self._observed(metric, observations)
            with seeded(self.seed):
                return self._observed(metric, observations)

    @staticmethod
    def _observed(metric: Any, observations: Sequence[Observation]) -> tuple[Measurement, ...]:
        for observation in observations:
            metric.update(observation)
        return tuple(metric.compute())

    def _observations(self, size: int, metric: Any, *, at_once: int, noise: float = _NOISE) -> list[Observation]:
        random = torch.Generator().manual_seed(self.seed)
        photos = self._photos(size, random)
        masks = blobs((self.count, size, size), len(self.label_map), random)
        attributes = (torch.rand(self.count, len(self.attribute_names), generator=random) < 0.5).float()
        painted = _to_levels(photos + noise * torch.randn(photos.shape, generator=random)) if noise else photos
        lists: list[tuple[Task, str]] = []
        for task in metric.tasks:
            lists += [(task, name) for name in metric.transfers] if task == "attribute_transfer" else [(task, "")]
        maps = self._maps(size)
        found = []
        for task, attribute in lists:
            own = task in ("reconstruction", "generation")
            look = torch.arange(self.count) if own else torch.arange(self.count).roll(1)
            shown, wanted = attributes, None
            if attribute:
                # The face that gives the style keeps its other attributes.
                shown = attributes[look]
                column = self.attribute_names.index(attribute)
                wanted = 1 - shown[:, column]
                shown[:, column] = wanted
            for start in range(0, self.count, at_once):
                rows = torch.arange(start, min(start + at_once, self.count))
                found.append(
                    Observation(
                        task=task,
                        condition=self._condition(photos, masks, shown[rows], rows, look),
                        generated=Generated(painted[rows].clone(), maps={k: v[rows] for k, v in maps.items()}),
                        target=photos[rows].clone(),
                        keys=tuple(f"face{row}" for row in rows.tolist()),
                        reference_keys=tuple(f"face{row}" for row in look[rows].tolist()),
                        attributes=None if self.inputs.from_nothing else shown[rows],
                        attribute=attribute,
                        wanted=None if wanted is None else wanted[rows],
                        reads=self.inputs.needed | self.inputs.optional,
                    )
                )
        return found

    def _maps(self, size: int) -> dict[str, Tensor]:
        """Return what the metric needs beside the generated image, under the names of maps."""
        settled, random = self.settled(size, self.count), torch.Generator().manual_seed(self.seed)
        needs = [port for port in self.ports(size).needs if port.name.startswith("generated.") and not port.leading]
        return {port.name.removeprefix("generated."): make(port, settled, random) for port in needs}

    def _condition(self, photos: Tensor, masks: Tensor, shown: Tensor, rows: Tensor, look: Tensor) -> Condition:
        """Return what results were made from; of a model from noise alone that is the noise of each face, no more.

        What the metric needs under a port's own name is among the extra tensors, as a dataset gives it.
        """
        drawn = {
            name: torch.stack(
                [torch.randn(shape, generator=torch.Generator().manual_seed(row)) for row in rows.tolist()]
            )
            for name, shape in self.inputs.noise.items()
        }
        if self.inputs.from_nothing:
            return Condition(extra=drawn)
        size = photos.shape[-1]
        settled = {
            "batch": self.count,
            "size": size,
            "classes": len(self.label_map),
            "attributes": len(self.attribute_names),
        }
        given = make_extra(self.ports(size).needs, settled, torch.Generator().manual_seed(self.seed))
        return Condition(
            mask=masks[rows],
            reference=Reference(photos[look[rows]], masks[look[rows]]),
            attributes=shown,
            source_image=photos[look[rows]],
            extra={**{name: tensor[rows] for name, tensor in given.items()}, **drawn},
        )

    def _same(
        self,
        promise: str,
        first: Sequence[Measurement],
        second: Sequence[Measurement],
        how: str,
        *,
        exactly: bool = False,
    ) -> None:
        if [entry.name for entry in first] != [entry.name for entry in second]:
            raise BrokenPromise(promise, f"other measurements {how}", "the names follow from the options alone")
        for one, other in zip(first, second, strict=True):
            allowed = 0.0 if exactly else self.tolerance * max(1.0, abs(one.value))
            if math.isnan(one.value) and math.isnan(other.value):
                continue
            if not abs(one.value - other.value) <= allowed:
                raise BrokenPromise(
                    promise,
                    f"{one.name} is {other.value!r} {how}, and {one.value!r} otherwise",
                    "keep sums or values for each sample, and divide in compute()",
                )
            if dict(one.protocol) != dict(other.protocol):
                raise BrokenPromise(
                    promise, f"{one.name} has another protocol {how}", "state what was measured, not how"
                )


def _to_levels(photos: Tensor) -> Tensor:
    """Return photos rounded to 8 bits, as a saved image would be."""
    return ((photos.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
