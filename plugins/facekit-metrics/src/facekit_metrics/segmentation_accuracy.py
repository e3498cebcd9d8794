"""Segmentation accuracy: does a trained segmenter read the mask from the result that the generator was given?"""

from __future__ import annotations

import torch

from facekit.interfaces import BuildContext, FacekitError, Measurement, Observation, Task

from .evaluators import store
from .evaluators.accuracy import confusion, segmentation_figures
from .evaluators.seen import LearnedFrom
from .evaluators.trained import TrainedSegmenter
from .measurements import mean_measurement
from .options import SegmentationAccuracyOptions

OF_SOURCE = "_of_source"
"""Ends the names of measurements against the mask of the source photo, of systems that read no mask."""


class SegmentationAccuracy:
    """The share of pixels in which an independent segmenter reads from results the class that the mask asked for.

    A system that reads no mask keeps the geometry of its source photo. It is compared with the source's mask, under
    names that end in ``_of_source``, since following a mask and leaving a photo as it is are two things.

    Args:
        segmenter: the evaluator.
        learned_from: the photos it learned from; none of them is measured.
        tasks: the tasks whose results are measured, each apart.
        transfers: ``attribute_transfer``: the attributes.
    """

    def __init__(
        self,
        segmenter: TrainedSegmenter,
        learned_from: LearnedFrom,
        *,
        tasks: tuple[Task, ...],
        transfers: tuple[str, ...],
    ) -> None:
        self.tasks = tasks
        self.transfers = transfers
        self._segmenter = segmenter
        self._learned_from = learned_from
        self._names = segmenter.label_map.names
        classes = len(self._names)
        self._counts = {task: torch.zeros(classes, classes, dtype=torch.int64) for task in tasks}
        # By attribute, so that the order of values does not depend on how tasks took turns.
        self._shares: dict[tuple[Task, str], list[float]] = {}
        self._of_source: bool | None = None

    def update(self, observation: Observation) -> None:
        """Take in what the segmenter reads from a batch.

        Raises:
            FacekitError: the segmenter has learned from one of the photos, or results of systems that read masks come
                together with those of systems that do not.
        """
        condition = observation.condition
        self._learned_from.refuse(observation.target, observation.keys)
        if condition.reference is not None:
            self._learned_from.refuse(condition.reference.image, observation.reference_keys)
        of_source = "mask" not in observation.reads
        if self._of_source not in (None, of_source):
            raise FacekitError("segmentation_accuracy was given results with and without masks", where="metrics")
        self._of_source = of_source
        mask = observation.geometry()
        said = self._segmenter(observation.generated.image).argmax(1)
        shares = self._shares.setdefault((observation.task, observation.attribute), [])
        shares += (said == mask).double().mean((1, 2)).tolist()
        self._counts[observation.task] += confusion(mask.cpu(), said.cpu(), len(self._names))

    def compute(self) -> tuple[Measurement, ...]:
        """Return for each task ``segmentation_accuracy/TASK``, ``segmentation_mean_iou/TASK`` and, class by class, the
        intersection over union ``segmentation_iou_TASK/CLASS``; the mean is over the classes that masks show.

        Raises:
            FacekitError: nothing was observed.
        """
        found: list[Measurement] = []
        ending = OF_SOURCE if self._of_source else ""
        for task in self.tasks:
            values = [
                100 * share for attribute in ("", *self.transfers) for share in self._shares.get((task, attribute), ())
            ]
            protocol = self._protocol(task)
            name = f"segmentation_accuracy{ending}/{task}"
            found.append(mean_measurement(name, values, unit="%", better="higher", protocol=protocol))
            matrix = self._counts[task]
            figures, shown = segmentation_figures(matrix, self._names), matrix.sum(1) > 0
            shares = {f"segmentation_mean_iou{ending}/{task}": figures["mean_iou"]} | {
                f"segmentation_iou{ending}_{task}/{name}": figures[f"iou/{name}"]
                for name, is_shown in zip(self._names, shown.tolist(), strict=True)
                if is_shown
            }
            found += [
                Measurement(
                    name, 100 * share, "%", "higher", protocol, len(values), detail=name.startswith("segmentation_iou")
                )
                for name, share in shares.items()
            ]
        return tuple(found)

    def _protocol(self, task: Task) -> dict[str, str]:
        return {
            "evaluator": self._segmenter.provenance,
            "evaluator_on_held_out_photos": self._segmenter.own_accuracy,
            "mask": "of the source photo, since the model reads none" if self._of_source else "that was asked for",
            "pairs": f"{task} of {', '.join(self.transfers)}" if task == "attribute_transfer" else task,
        }


def build(options: SegmentationAccuracyOptions, context: BuildContext) -> SegmentationAccuracy:
    """Build the metric from a recipe's options.

    Raises:
        FacekitError: there is no segmenter for the label map, or its classes are others.
    """
    kept = store.find(store.SEGMENTER, options.evaluator, label_map=context.label_map.name, dataset=context.dataset)
    if kept.label_map.names != context.label_map.names:
        raise FacekitError(
            f"the segmenter {kept.id} tells other classes than the masks have",
            where="evaluator",
            remedy=f"train one on data with the label map {context.label_map.name!r}",
        )
    tasks: tuple[Task, ...] = tuple(options.tasks)
    return SegmentationAccuracy(
        TrainedSegmenter(kept),
        store.learned_from(kept),
        tasks=tasks,
        transfers=options.transfer if "attribute_transfer" in tasks else (),
    )
