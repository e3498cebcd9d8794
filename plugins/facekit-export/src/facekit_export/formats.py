"""The forms of files: how each is written from a traced graph, and how its file is called again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch.export import Dim, ExportedProgram

from facekit.interfaces import FacekitError
from facekit_export.graph import Graph, Tensors

Format = Literal["onnx", "torch"]

ENDINGS: dict[Format, str] = {"onnx": ".onnx", "torch": ".pt2"}

METADATA = "facekit"
"""The entry of an ONNX file's metadata, and with ``.json`` the extra file of an exported program, that is the document
of :func:`facekit_export.document.document_of`."""

_MOST_BYTES = 2**31 - 2**20
"""An ONNX file is one protobuf message, of at most 2 GiB; the graph itself takes less than a MiB."""

Computation = Callable[[Tensors], Tensors]


def check_installed(form: Format) -> None:
    """Raise FacekitError where a package is missing that a form of files is written or checked with."""
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if form == "onnx" and find_spec(name) is None]
    if missing:
        raise FacekitError(
            f"ONNX files are written and checked with {' and '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not installed",
            remedy="`pip install 'facekit-export[onnx]'`, or export with --format torch",
        )


def traced(graph: Graph) -> ExportedProgram:
    """Return the program of a graph, for any number of samples.

    Raises:
        FacekitError: its networks do something that depends on numbers in tensors or on how many samples there are.
    """
    batch = Dim("batch", min=1)
    try:
        return torch.export.export(
            graph, graph.example, dynamic_shapes=(tuple({0: batch} for _ in graph.example),), strict=False
        )
    except Exception as error:  # whatever a family's code does where a tensor has no numbers yet
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FacekitError(
            f"the networks cannot be traced for any number of samples: {first}",
            where=", ".join(name for name, _ in graph.named_children()),
            remedy="this is for the people of their plugin: what a forward pass does must depend neither on numbers in "
            "tensors nor on how many samples there are. `facekit --debug ...` shows the whole traceback",
        ) from error


def write(form: Format, graph: Graph, file: Path, metadata: Mapping[str, Any]) -> None:
    """Write a graph into a file. Raises FacekitError where it cannot be traced, or is too large for the form."""
    program, text = traced(graph), json.dumps(metadata, ensure_ascii=False)
    if form == "torch":
        torch.export.save(program, file, extra_files={f"{METADATA}.json": text})
        return
    size = sum(tensor.numel() * tensor.element_size() for tensor in graph.state_dict().values())
    if size > _MOST_BYTES:
        raise FacekitError(
            f"the weights take {size / 2**30:.1f} GiB, and an ONNX file holds 2", remedy="export with --format torch"
        )
    found = torch.onnx.export(
        program,
        (),
        dynamo=True,
        external_data=False,
        verbose=False,
        input_names=[each.name for each in graph.inputs],
        output_names=list(graph.outputs),
    )
    assert found is not None
    found.model.metadata_props[METADATA] = text
    found.model.producer_name, found.model.producer_version = "facekit-export", str(metadata["facekit"])
    found.save(file, external_data=False)


def read(form: Format, file: Path, graph: Graph) -> Computation:
    """Return what a file computes, of tensors by name, read back from the file."""
    names = [each.name for each in graph.inputs]
    if form == "torch":
        module = torch.export.load(file).module()
        return lambda tensors: dict(zip(graph.outputs, module(*(tensors[name] for name in names)), strict=True))
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def compute(tensors: Tensors) -> Tensors:
        found = session.run(list(graph.outputs), {name: tensors[name].numpy() for name in names})
        return {name: torch.from_numpy(each) for name, each in zip(graph.outputs, found, strict=True)}

    return compute
