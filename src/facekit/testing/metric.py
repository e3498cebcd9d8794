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
from facekit.testing.contract import BrokenPromise, ComponentContract, promise, seeded
from facekit.testing.inputs import blobs, make, make_extra

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

    @promise
    def test_ports_match(self) -> None:
        """A metric works with what its ports need, and names tasks that exist."""
        for size in self.sizes:
            metric = self.build(size)
            tasks = tuple(metric.tasks)
            if not tasks or set(tasks) - set(get_args(Task)):
                raise BrokenPromise(f"its tasks are {tasks!r}", f"there are {', '.join(get_args(Task))}")
            if strange := set(tasks) - set(possible_tasks(self.inputs)):
                raise BrokenPromise(
                    f"it asks for {', '.join(sorted(strange))} of a model that reads {what_is_read(self.inputs)}",
                    "choose with context.first_task(...) in the factory, or name a task in the test's options",
                    "the tasks follow the model where the options name none",
                )
            if "attribute_transfer" in tasks:
                named, known = "a metric of attribute_transfer names the attributes to transfer", self.attribute_names
                there_are = f"there are {', '.join(known)}"
                if not isinstance(metric, TransferMetric) or not metric.transfers:
                    raise BrokenPromise("it names none", f"give it a property `transfers`; {there_are}", named)
                if unknown := sorted({*metric.transfers} - {*known}):
                    raise BrokenPromise(f"it names {', '.join(unknown)}", there_are, named)
            self._measured(metric, self.observations(size, metric, at_once=2))

    @promise
    def test_does_not_depend_on_batches(self) -> None:
        """The value does not depend on batch size and order."""
        size = self.sizes[0]
        metric = self.build(size)
        whole = self._measured(self.build(size), self.observations(size, metric, at_once=self.count))
        for at_once in (1, 4):
            parts = self._measured(self.build(size), self.observations(size, metric, at_once=at_once))
            self._same(whole, parts, f"in batches of {at_once} instead of {self.count}")
        shuffled = list(reversed(self.observations(size, metric, at_once=2)))
        self._same(whole, self._measured(self.build(size), shuffled), "in another order")

    @promise
    def test_is_deterministic(self) -> None:
        """The same faces give the same value, whatever the global random state, however often it is computed."""
        size = self.sizes[0]
        metric = self.build(size)
        observations = self.observations(size, metric, at_once=2)
        first = self._measured(metric, observations)
        self._same(first, tuple(metric.compute()), "when computed a second time", exactly=True)
        again = self._measured(self.build(size), observations, seed=self.seed + 1)
        self._same(first, again, "with another global random state", exactly=True)

    @promise
    def test_measurements_are_sound(self) -> None:
        """Measurements have names of their own, counts, valid directions, and values for each sample that fit."""
        size = self.sizes[0]
        metric = self.build(size)
        measured = self._measured(metric, self.observations(size, metric, at_once=2))
        if not measured:
            raise BrokenPromise("there is none", "return a Measurement")
        names = [entry.name for entry in measured]
        if len(set(names)) != len(names):
            raise BrokenPromise(f"a name occurs twice in {names}", "give each measurement a name of its own")
        for entry in measured:
            if not isinstance(entry, Measurement):
                raise BrokenPromise(f"a {type(entry).__name__}", "return Measurement objects")
            if entry.better not in ("higher", "lower"):
                raise BrokenPromise(f"{entry.name} says better={entry.better!r}", "write higher or lower")
            if entry.count < 1 or len(entry.per_sample) not in (0, entry.count):
                seen = f"{entry.name} rests on {entry.count} samples and lists {len(entry.per_sample)}"
                raise BrokenPromise(seen, "count the samples; per_sample has one value each, or none")
            protocol = entry.protocol.items()
            if wrong := [key for key, text in protocol if not (isinstance(key, str) and isinstance(text, str))]:
                raise BrokenPromise(f"{entry.name} has protocol entries that are no text: {wrong}", "use str()")
            if entry.per_sample and math.isfinite(entry.value):
                mean = math.fsum(entry.per_sample) / len(entry.per_sample)
                if abs(mean - entry.value) > 1e-6 * max(1.0, abs(mean)):
                    seen = f"{entry.name} is {entry.value:.6g}, and the mean of its samples {mean:.6g}"
                    raise BrokenPromise(seen, "per_sample is for values that are means; leave it empty otherwise")

    @promise
    def test_nothing_observed_is_an_error(self) -> None:
        """Computing before anything was observed raises FacekitError."""
        remedy = "raise FacekitError with a sentence"
        try:
            value = self.build(self.sizes[0]).compute()
        except FacekitError:
            return
        except Exception as error:
            raise BrokenPromise(f"{type(error).__name__}: {error}", remedy) from error
        raise BrokenPromise(f"it returned {value!r}", remedy)

    @promise
    def test_leaves_observations_alone(self) -> None:
        """A metric changes nothing that others look at."""
        size = self.sizes[0]
        metric = self.build(size)
        for observation in self.observations(size, metric, at_once=3):
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
            if changed := [name for name, value in before.items() if not torch.equal(value, watched[name])]:
                raise BrokenPromise(f"it changed {', '.join(changed)}", "do not work in place")

    @promise
    def test_better_is_better(self) -> None:
        """A perfect result is at least as good as a noisy one, in the direction the metric states."""
        size = self.sizes[0]
        metric = self.build(size)
        if self.not_about_likeness or "reconstruction" not in metric.tasks:
            return
        noisy = self._measured(metric, self.observations(size, metric, at_once=3))
        perfect = self._measured(self.build(size), self.observations(size, metric, at_once=3, noise=0.0))
        values = {entry.name: entry.value for entry in perfect}
        for entry in noisy:
            value = values.get(entry.name, math.nan)
            if value < entry.value if entry.better == "higher" else value > entry.value:
                raise BrokenPromise(
                    f"{entry.name} is {value:.6g} for the photos themselves and {entry.value:.6g} with noise, "
                    f"and better is {entry.better}",
                    "correct `better`, or say in `not_about_likeness` why a perfect result is not best",
                )

    def build_context(self, size: int) -> BuildContext:
        """Return what a factory gets beside the options, real images of the usual splits included."""

        def photos(split: str) -> RealPhotos:
            if split not in _SPLITS:
                raise FacekitError(f"the data has no split {split!r}", remedy=f"it has {', '.join(_SPLITS)}")
            return BenchPhotos(split, self._photos(size, torch.Generator().manual_seed(self.seed + _SPLITS[split])))

        return replace(super().build_context(size), photos=photos, tasks=possible_tasks(self.inputs))

    def observations(self, size: int, metric: Any, *, at_once: int, noise: float = _NOISE) -> list[Observation]:
        """Return what a metric is shown for its tasks: faces in batches, each with the generated image."""
        random = torch.Generator().manual_seed(self.seed)
        photos = self._photos(size, random)
        masks = blobs((self.count, size, size), len(self.label_map), random)
        attributes = (torch.rand(self.count, len(self.attribute_names), generator=random) < 0.5).float()
        images = _to_levels(photos + noise * torch.randn(photos.shape, generator=random)) if noise else photos
        settled, random = self.settled(size, self.count), torch.Generator().manual_seed(self.seed)
        needs = [port for port in self.ports(size).needs if port.name.startswith("generated.") and not port.leading]
        maps = {port.name.removeprefix("generated."): make(port, settled, random) for port in needs}
        lists: list[tuple[Task, str]] = []
        for task in metric.tasks:
            lists += [(task, name) for name in metric.transfers] if task == "attribute_transfer" else [(task, "")]
        found: list[Observation] = []
        for task, attribute in lists:
            own = task in ("reconstruction", "generation")
            style = torch.arange(self.count).roll(0 if own else 1)
            shown, wanted = attributes, None
            if attribute:
                # The face that gives the style keeps its other attributes.
                shown = attributes[style]
                column = self.attribute_names.index(attribute)
                wanted = 1 - shown[:, column]
                shown[:, column] = wanted
            found += [
                Observation(
                    task=task,
                    condition=self._condition(photos, masks, shown[rows], rows, style[rows]),
                    generated=Generated(images[rows].clone(), maps={k: v[rows] for k, v in maps.items()}),
                    target=photos[rows].clone(),
                    keys=tuple(f"face{row}" for row in rows.tolist()),
                    reference_keys=tuple(f"face{row}" for row in style[rows].tolist()),
                    attributes=None if self.inputs.from_nothing else shown[rows],
                    attribute=attribute,
                    wanted=None if wanted is None else wanted[rows],
                    reads=self.inputs.needed | self.inputs.optional,
                )
                for rows in torch.arange(self.count).split(at_once)
            ]
        return found

    def _condition(self, photos: Tensor, masks: Tensor, shown: Tensor, rows: Tensor, style: Tensor) -> Condition:
        """Return what results were made from; of a model from noise alone that is the noise of each face, no more.

        What the metric needs under a port's own name is among the extra tensors, as a dataset gives it.
        """
        seeds = [torch.Generator().manual_seed(row) for row in rows.tolist()]
        drawn = {
            name: torch.stack([torch.randn(shape, generator=seed) for seed in seeds])
            for name, shape in self.inputs.noise.items()
        }
        if self.inputs.from_nothing:
            return Condition(extra=drawn)
        size = photos.shape[-1]
        random = torch.Generator().manual_seed(self.seed)
        given = make_extra(self.ports(size).needs, self.settled(size, self.count), random)
        return Condition(
            mask=masks[rows],
            reference=Reference(photos[style], masks[style]),
            attributes=shown,
            source_image=photos[style],
            extra={**{name: tensor[rows] for name, tensor in given.items()}, **drawn},
        )

    def _photos(self, size: int, random: torch.Generator) -> Tensor:
        smooth = torch.rand(self.count, 3, 8, 8, generator=random) * 1.6 - 0.8
        photos = F.interpolate(smooth, size=(size, size), mode="bilinear")
        return _to_levels(photos + 0.05 * torch.randn(photos.shape, generator=random))

    def _measured(
        self, metric: Any, observations: Sequence[Observation], *, seed: int | None = None
    ) -> tuple[Measurement, ...]:
        with seeded(self.seed if seed is None else seed):
            for observation in observations:
                metric.update(observation)
            return tuple(metric.compute())

    def _same(
        self, first: Sequence[Measurement], second: Sequence[Measurement], how: str, *, exactly: bool = False
    ) -> None:
        if [entry.name for entry in first] != [entry.name for entry in second]:
            raise BrokenPromise(f"other measurements {how}", "the names follow from the options alone")
        for one, other in zip(first, second, strict=True):
            if math.isnan(one.value) and math.isnan(other.value):
                continue
            allowed = 0.0 if exactly else self.tolerance * max(1.0, abs(one.value))
            if not abs(one.value - other.value) <= allowed:
                seen = f"{one.name} is {other.value!r} {how}, and {one.value!r} otherwise"
                raise BrokenPromise(seen, "keep sums or values for each sample, and divide in compute()")
            if dict(one.protocol) != dict(other.protocol):
                seen = f"{one.name} has another protocol {how}"
                raise BrokenPromise(seen, "state what was measured, not how")


def _to_levels(photos: Tensor) -> Tensor:
    """Return photos rounded to 8 bits, as a saved image would be."""
    return ((photos.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
