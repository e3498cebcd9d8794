"""What an exported file says of itself: what it reads and gives, what made it, and whose it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import facekit
from facekit_export.graph import FacePipeline, Graph


def document_of(pipeline: FacePipeline, graph: Graph, *, size: int, files: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of a file, as JSON takes it.

    Args:
        pipeline: the run.
        graph: what the file computes.
        size: side of its images in pixels.
        files: the names of all files of the export.
    """
    recipe = pipeline.recipe
    components = {name: choice.component.spec for name, choice in recipe.model.components()}
    used = {name: spec for name, spec in components.items() if name not in recipe.model.discriminators}
    label_map = pipeline.label_map
    source = pipeline.run / "recipe.yaml"
    return {
        "facekit": facekit.__version__,
        **pipeline.record(),
        "recipe_sha256": hashlib.sha256(source.read_bytes()).hexdigest() if source.is_file() else None,
        "part": graph.name or "whole",
        "files": list(files),
        "size": size,
        "inputs": [each.document() for each in graph.inputs],
        "outputs": [
            {"name": name, "shape": ["batch", *tensor.shape[1:]], "dtype": str(tensor.dtype).split(".")[-1]}
            for name, tensor in graph.given.items()
        ],
        "image": "RGB, from -1 to 1, channels before height and width",
        "label_map": {
            "name": label_map.name,
            "classes": [{"name": each.name, "colour": list(each.colour)} for each in label_map.classes],
        },
        "attributes": list(pipeline.attribute_names),
        "components": {name: f"{spec.id}@{spec.version}" for name, spec in used.items()},
        "licence": {
            "code": {spec.id: spec.licence for spec in used.values()},
            "first_weights": {spec.id: spec.weights_licence for spec in used.values() if spec.weights_licence},
            "trained_on": recipe.dataset.component.spec.id,
            "note": "What may be done with the weights depends on the terms of the photos that they learned from.",
        },
    }
