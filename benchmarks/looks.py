"""How much of an evaluator's word is about the look and not about the shapes? The same masks painted in three looks.

::

    python -m benchmarks.looks RUN [--attribute Smiling] [--repeats 4] [--split test] [--segmenter ID] [--classifier ID]

Takes the pairs of `attribute_transfer`: each face gets the mask of a face that differs in the attribute, several times
with other partners. Every mask is painted in the look of the face that it is given to (what the metric measures), in
the look of the face that it belongs to (so that look and mask agree), and in the mean of the styles of training
photos. Prints for each, and for the real photos of the masks, the share that shows the attribute of the mask, and the
pixels that are as the mask says, as JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import facekit
from facekit.data.loader import fixed_batch
from facekit.data.store import PackedFaces
from facekit.evaluation.tasks import transfer_pairs
from facekit.inference import FacePipeline
from facekit.inference.pictures import Batch
from facekit.interfaces import FaceBatch, Style, concatenate, map_tensors
from facekit.registry import load_registry
from facekit.training.open_data import open_data
from facekit_metrics.evaluators import store
from facekit_metrics.evaluators.trained import TrainedClassifier, TrainedSegmenter

AT_ONCE = 10
STYLES_OF_THE_MEAN = 200


def pictures(pipeline: FacePipeline, faces: FaceBatch) -> tuple[Batch, Batch]:
    """Return photos and masks as the pipeline takes them."""
    sizes, names = ((pipeline.size, pipeline.size),) * len(faces), tuple(faces.keys)
    return Batch(faces.image, sizes, names, False), Batch(faces.mask, sizes, names, False)


def mean_style(pipeline: FacePipeline, packed: PackedFaces) -> Style:
    """Return the mean of the styles of training photos."""
    rows = packed.rows("train")[:STYLES_OF_THE_MEAN]
    parts = [fixed_batch(packed, rows[start : start + AT_ONCE]) for start in range(0, len(rows), AT_ONCE)]
    styles = concatenate([style_of(pipeline, part) for part in parts])
    return map_tensors(styles, lambda tensor: tensor.float().mean(0, keepdim=True))


def style_of(pipeline: FacePipeline, faces: FaceBatch) -> Style:
    """Return the styles of faces; the run has a style encoder."""
    style = pipeline.style_of(*pictures(pipeline, faces))
    assert isinstance(style, Style)
    return style


def measure(
    pipeline: FacePipeline,
    packed: PackedFaces,
    attribute: str,
    mean: Style | None,
    *,
    split: str,
    repeats: int,
    classifier: TrainedClassifier,
    segmenter: TrainedSegmenter,
) -> dict[str, Any]:
    """Return what the evaluators say of each look, in percent; without a ``mean`` style the run takes no reference."""
    logit, column = classifier.attributes.index(attribute), packed.attribute_names.index(attribute)
    found: dict[str, list[Tensor]] = {}
    for seed in range(repeats):
        pairs = transfer_pairs(packed, packed.rows(split), attribute, seed=seed)
        for start in range(0, len(pairs), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            masks, looks = fixed_batch(packed, pairs.targets[part]), fixed_batch(packed, pairs.references[part])
            _, shapes = pictures(pipeline, masks)
            results = {"real photos of the masks": masks.image}
            if mean is None:
                results["painted"] = pipeline.generate_in_style(shapes, None)
            else:
                own, given = (style_of(pipeline, faces) for faces in (masks, looks))
                results["the face's look"] = pipeline.generate_in_style(shapes, given)
                results["the look of the mask's own photo"] = pipeline.generate_in_style(shapes, own)
                results["the mean look"] = pipeline.generate_in_style(shapes, mean)
            assert masks.attributes is not None
            wanted = masks.attributes[:, column] > 0
            for name, images in results.items():
                shown = (classifier(images)[:, logit] > 0) == wanted
                right = (segmenter(images).argmax(1) == masks.mask).float().mean((1, 2))
                found.setdefault(name, []).append(torch.stack([shown.float(), right], 1))
    means = {name: 100 * torch.cat(values).mean(0) for name, values in found.items()}
    return {
        name: {"shows the attribute": round(float(shown), 1), "pixels as the mask says": round(float(right), 2)}
        for name, (shown, right) in means.items()
    }


@torch.no_grad()
def main() -> None:
    """Measure a run and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run folder whose data has attributes")
    parser.add_argument("--attribute", action="append", help="may be repeated; by default Smiling")
    parser.add_argument("--repeats", type=int, default=4, help="partners of each face")
    parser.add_argument("--split", default="test")
    parser.add_argument("--classifier", default=store.NEWEST, help="id of an evaluator of attributes")
    parser.add_argument("--segmenter", default=store.NEWEST, help="id of an evaluator of regions")
    chosen = parser.parse_args()
    registry = load_registry()
    pipeline = facekit.load(chosen.run, registry=registry)
    packed = open_data(pipeline.recipe, registry)
    attributes = chosen.attribute or ["Smiling"]
    classifier = TrainedClassifier(store.find(store.ATTRIBUTES, chosen.classifier, attributes=attributes))
    segmenter = TrainedSegmenter(store.find(store.SEGMENTER, chosen.segmenter, label_map=pipeline.label_map.name))
    mean = mean_style(pipeline, packed) if pipeline.networks.gives_styles else None
    for attribute in attributes:
        result = measure(
            pipeline,
            packed,
            attribute,
            mean,
            split=chosen.split,
            repeats=chosen.repeats,
            classifier=classifier,
            segmenter=segmenter,
        )
        print(json.dumps({"run": chosen.run.name, "split": chosen.split, "attribute": attribute, **result}, indent=1))


if __name__ == "__main__":
    main()
