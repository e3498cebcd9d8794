"""Attribute accuracy: does a trained classifier see the attributes that results should have?"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, FacekitError, Measurement, Observation, Task, did_you_mean

from .evaluators import store
from .evaluators.accuracy import balanced_accuracy
from .evaluators.seen import LearnedFrom
from .evaluators.trained import TrainedClassifier
from .measurements import mean_measurement, nothing_to_measure
from .options import AttributeAccuracyOptions


@dataclass
class _Answers:
    """What the classifier said of the results of one list of pairs, in their order.

    Args:
        right: for each result, (A,) bool: which attributes are as they should be.
        truth: for each result, (A,) bool: which it should have.
        faces: texts that say which faces and which wishes these are, for the protocol.
    """

    right: list[Tensor] = field(default_factory=list)
    truth: list[Tensor] = field(default_factory=list)
    faces: list[str] = field(default_factory=list)


class AttributeAccuracy:
    """The share of attributes that an independent classifier reads from results as they should be.

    In reconstruction results should have the attributes of the photo. In ``attribute_transfer`` the attribute that was
    to change and those that were not are measured apart. Beside each share, which is (TP + TN) / all, stands the
    balanced one: the mean of the shares among results that should have the attribute and among those that should not.

    Args:
        classifier: the evaluator.
        learned_from: the photos it learned from; none of them is measured.
        names: the attributes of the data.
        measured: those of them that are measured; the classifier tells all of them.
        transfers: those whose transfer is measured.
    """

    def __init__(
        self,
        classifier: TrainedClassifier,
        learned_from: LearnedFrom,
        *,
        names: Sequence[str],
        measured: Sequence[str],
        transfers: Sequence[str],
    ) -> None:
        self.transfers = tuple(transfers)
        self._classifier = classifier
        self._learned_from = learned_from
        self._measured = tuple(measured)
        self._columns = [tuple(names).index(name) for name in measured]
        self._logits = [classifier.attributes.index(name) for name in measured]
        self._own = _Answers()
        self._changed = {name: _Answers() for name in transfers}

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Results in a face's own look, and those in which an attribute changes."""
        return ("reconstruction", "attribute_transfer") if self.transfers else ("reconstruction",)

    def update(self, observation: Observation) -> None:
        """Take in what the classifier says of a batch.

        Raises:
            FacekitError: the data has no attributes, or the classifier has learned from one of the photos.
        """
        if observation.attributes is None or observation.condition.attributes is None:
            raise FacekitError("attribute_accuracy compares results with attributes, and the data has none")
        self._learned_from.refuse(observation.target, observation.keys)
        if observation.condition.reference is not None:
            self._learned_from.refuse(observation.condition.reference.image, observation.reference_keys)
        answers = self._changed[observation.attribute] if observation.attribute else self._own
        said = self._classifier(observation.generated.image)[:, self._logits].cpu() > 0
        truth = observation.attributes[:, self._columns].cpu() > 0
        wished = observation.condition.attributes[:, self._columns].cpu() > 0
        answers.right.extend(said == truth)
        answers.truth.extend(truth)
        answers.faces.extend(
            f"{key}\0{look}\0{wish.int().tolist()}"
            for key, look, wish in zip(observation.keys, observation.reference_keys, wished, strict=True)
        )

    def compute(self) -> tuple[Measurement, ...]:
        """Return the measurements.

        ``attribute_accuracy`` and ``attribute_accuracy/NAME`` of reconstructions; ``attribute_transfer`` and
        ``attribute_transfer/NAME``, the share of results that got or lost the attribute as wished;
        ``attribute_preservation`` and ``attribute_preservation/NAME``, the share of the other attributes that stayed
        while NAME changed; and ``balanced_`` forms of the first two families.

        Raises:
            FacekitError: nothing was observed.
        """
        if not self._own.right:
            raise nothing_to_measure("attribute_accuracy")
        right, truth = torch.stack(self._own.right), torch.stack(self._own.truth)
        protocol = self._protocol(self._own)
        every = {**protocol, "attributes": ", ".join(self._measured)}
        found = [
            self._mean("attribute_accuracy", right.double().mean(1).tolist(), every),
            self._balanced("balanced_attribute_accuracy", right, truth, every),
        ]
        for column, name in enumerate(self._measured):
            found += self._both("attribute_accuracy", name, right[:, [column]], truth[:, [column]], protocol)
        return (*found, *(self._of_transfers() if self.transfers else ()))

    def _of_transfers(self) -> list[Measurement]:
        each: list[Measurement] = []
        successes: list[float] = []
        kept_shares: list[float] = []
        balanced: list[float] = []
        together = _Answers()
        for name, answers in self._changed.items():
            if not answers.right:
                raise FacekitError(f"attribute_accuracy saw no results in which {name} changes")
            right, truth = torch.stack(answers.right), torch.stack(answers.truth)
            column = self._measured.index(name)
            others = [place for place in range(len(self._measured)) if place != column]
            protocol = self._protocol(answers)
            both = self._both("attribute_transfer", name, right[:, [column]], truth[:, [column]], protocol)
            each += both
            balanced.append(both[1].value)
            successes += right[:, column].double().tolist()
            if others:
                kept = right[:, others].double().mean(1).tolist()
                told = {**protocol, "attributes": ", ".join(self._measured[place] for place in others)}
                each.append(self._mean(f"attribute_preservation/{name}", kept, told))
                kept_shares += kept
            together.faces += [f"{name}\0{face}" for face in answers.faces]
        protocol = {**self._protocol(together), "attributes": ", ".join(self.transfers)}
        mean, count = math.fsum(balanced) / len(balanced), len(successes)
        means = [
            self._mean("attribute_transfer", successes, protocol),
            Measurement("balanced_attribute_transfer", mean, "%", "higher", protocol, count),
        ]
        if kept_shares:
            kept_protocol = {**protocol, "kept": ", ".join(self._measured)}
            means.append(self._mean("attribute_preservation", kept_shares, kept_protocol))
        return means + each

    def _both(
        self, family: str, name: str, right: Tensor, truth: Tensor, protocol: dict[str, str]
    ) -> tuple[Measurement, Measurement]:
        """Return the share of one attribute, and the balanced one, of (N, 1) bool."""
        return (
            self._mean(f"{family}/{name}", right[:, 0].double().tolist(), protocol),
            self._balanced(f"balanced_{family}/{name}", right, truth, protocol),
        )

    def _mean(self, name: str, shares: list[float], protocol: dict[str, str]) -> Measurement:
        values = [100 * share for share in shares]
        return mean_measurement(name, values, unit="%", better="higher", protocol=protocol)

    def _balanced(self, name: str, right: Tensor, truth: Tensor, protocol: dict[str, str]) -> Measurement:
        """Return the mean over the attributes for which both wishes occur; NaN where that is none."""
        each = (
            balanced_accuracy(truth[:, column], truth[:, column] == right[:, column])
            for column in range(right.shape[1])
        )
        values = [value for value in each if not math.isnan(value)]
        value = 100 * math.fsum(values) / len(values) if values else math.nan
        return Measurement(name, value, "%", "higher", protocol, len(right))

    def _protocol(self, answers: _Answers) -> dict[str, str]:
        faces = hashlib.sha256("\n".join(sorted(answers.faces)).encode()).hexdigest()[:16]
        kept = self._classifier.kept
        figures = "; ".join(
            f"{name} {kept.accuracy[f'accuracy/{name}']:.1%}, balanced {kept.accuracy[f'balanced_accuracy/{name}']:.1%}"
            for name in self._measured
        )
        return {
            "evaluator": kept.provenance,
            "evaluator_on_held_out_photos": f"{kept.own_accuracy}; {figures}",
            "faces_and_wishes": faces,
        }


def build(options: AttributeAccuracyOptions, context: BuildContext) -> AttributeAccuracy:
    """Build the metric from a recipe's options.

    Raises:
        FacekitError: the data has no such attributes, or there is no classifier that tells them.
    """
    names = context.attribute_names
    if not names:
        raise FacekitError(
            "attribute_accuracy needs attributes, and the data has none",
            remedy="put the attribute file beside the photos and name the attributes in `data.attributes`",
        )
    for name in (*(options.attributes or ()), *options.transfer):
        if name not in names:
            raise FacekitError(
                f"attribute_accuracy measures {name!r}, which the data does not have",
                remedy=did_you_mean(name, names) or f"it has {', '.join(names)}",
            )
    wanted = tuple(dict.fromkeys((*(options.attributes or ()), *options.transfer)))
    kept = store.find(store.ATTRIBUTES, options.evaluator, dataset=context.dataset, attributes=wanted)
    measured = wanted if options.attributes else tuple(name for name in names if name in kept.attributes)
    if not measured:
        raise FacekitError(
            f"the classifier {kept.id} tells none of the data's attributes",
            where="evaluator",
            remedy=f"it tells {', '.join(kept.attributes)}; the data has {', '.join(names)}",
        )
    return AttributeAccuracy(
        TrainedClassifier(kept),
        store.learned_from(kept),
        names=names,
        measured=measured,
        transfers=options.transfer,
    )
