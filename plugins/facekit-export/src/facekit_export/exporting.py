"""A run becomes files that other programs compute with, and each is held against the run before it is kept."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn import functional as F

from facekit.interfaces import FacekitError, RunFailure
from facekit_export import formats
from facekit_export.document import document_of
from facekit_export.formats import Computation, Format
from facekit_export.graph import (
    Example,
    FacePipeline,
    Graph,
    Input,
    Tensors,
    graphs_of,
    inputs_of,
    outputs_of,
)

TOLERANCE = 1e-4
"""How far an output may be from the run's own, where outputs lie within [-1, 1]; of larger ones, of their largest."""

FAR = 1e-3
"""How far is far: where a network looks classes up at places that it computes, the last digit decides at a border which
of two it reads."""

FEW = 0.01
"""Share of the values that may be far."""

SAMPLES = 3
"""How many samples are traced with and compared; one of them alone as well."""


class Difference(NamedTuple):
    """How far files are from the run: the largest difference, and the share of the values beyond :data:`FAR`."""

    largest: float
    far: float

    @property
    def agrees(self) -> bool:
        """Whether they compute what the run computes."""
        return self.largest <= TOLERANCE or (math.isfinite(self.largest) and self.far <= FEW)

    def __str__(self) -> str:
        beyond = f", with {self.far:.1%} of the values more than {FAR:g} away" if self.far else ""
        return f"{self.largest:.1e}{beyond}"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        files: the files.
        graphs: what each computes.
        difference: from the run's own outputs.
        compared_on: with which inputs, in words.
    """

    files: tuple[Path, ...]
    graphs: tuple[Graph, ...]
    difference: Difference
    compared_on: str


def export_run(
    pipeline: FacePipeline,
    out: Path,
    *,
    form: Format,
    size: int | None = None,
    split: bool = False,
    overwrite: bool = False,
    tell: Callable[[str], None] = lambda message: None,
) -> Exported:
    """Write what a run computes, compare it with the run, and keep the files where they agree.

    Args:
        pipeline: the run, on the CPU in fp32.
        out: the file. With ``split`` there are two, with ``.style_encoder`` and ``.generator`` before the ending.
        form: ``onnx``, or ``torch`` for an exported program.
        size: side of the images in pixels; that of the run by default.
        split: style encoder and generator apart.
        overwrite: replace files that are there.
        tell: told what is done, in words.

    Raises:
        FacekitError: a package is missing, a file is there, or the networks cannot be traced, or not at this size.
        RunFailure: the files do not compute what the run computes, or cannot be written.
    """
    formats.check_installed(form)
    if out.suffix != formats.ENDINGS[form]:
        raise FacekitError(f"files of this form end in {formats.ENDINGS[form]}", where=str(out))
    size = pipeline.size if size is None else size
    inputs = inputs_of(pipeline, size)
    example = example_of(pipeline, inputs, size)
    try:
        graphs = graphs_of(pipeline, example.tensors, inputs, size=size, split=split)
    except (RuntimeError, ValueError) as error:
        if size == pipeline.size:
            raise
        raise FacekitError(f"the networks make no images of {size} pixels: {error}", where="--size") from error
    files = [out.with_name(f"{out.stem}.{each.name}{out.suffix}") if each.name else out for each in graphs]
    for file in files:
        if file.exists() and not overwrite:
            raise FacekitError("this file is there already", where=str(file), remedy="--overwrite replaces it")
    beside = [file.with_name(f".{file.stem}.{os.getpid()}.part{file.suffix}") for file in files]
    with ExitStack() as cleared:
        for file, part, graph in zip(files, beside, graphs, strict=True):
            cleared.callback(_remove, part)
            tell(f"tracing {file.name}")
            metadata = document_of(pipeline, graph, size=size, files=[each.name for each in files])
            try:
                part.parent.mkdir(parents=True, exist_ok=True)
                formats.write(form, graph, part, metadata)
            except OSError as error:
                raise RunFailure(f"the file cannot be written: {error.strerror or error}", where=str(file)) from error
        tell(f"comparing with the run on {example.origin}")
        computations = [formats.read(form, part, graph) for part, graph in zip(beside, graphs, strict=True)]
        difference = difference_of(pipeline, computations, example.tensors)
        if not difference.agrees:
            raise RunFailure(
                f"what was exported differs from the run by {difference}",
                where=str(out),
                remedy="nothing was kept. Untrained networks may differ so, since their norms divide by small numbers: "
                "train the run further, or try --format torch",
            )
        for part, file in zip(beside, files, strict=True):
            part.replace(file)
    return Exported(tuple(files), tuple(graphs), difference, example.origin)


def difference_of(pipeline: FacePipeline, computations: Sequence[Computation], tensors: Tensors) -> Difference:
    """Return how far files are from the run: for one sample alone and for all, whichever output is furthest."""
    largest = far = 0.0
    for count in (1, SAMPLES):
        given = {name: tensor[:count].contiguous() for name, tensor in tensors.items()}
        wanted = outputs_of(pipeline, given)
        for compute in computations:
            given = {**given, **compute(given)}
        for name, tensor in wanted.items():
            differences = (given[name] - tensor).abs() / tensor.abs().max().clamp_min(1)
            differences = differences.nan_to_num(nan=float("inf"))
            largest = max(largest, float(differences.max()))
            far = max(far, float((differences > FAR).float().mean()))
    return Difference(largest, far)


def example_of(pipeline: FacePipeline, inputs: Sequence[Input], size: int) -> Example:
    """Return inputs of a few samples: faces of the run's data, or drawn ones where its data is not here."""
    random = torch.Generator().manual_seed(0)
    try:
        batch = next(iter(pipeline.faces("validation", batch=SAMPLES)), None)
    except FacekitError:
        batch = None  # the data is elsewhere, or has changed since
    held: Tensors = {}
    if batch is not None and len(batch) == SAMPLES:
        condition = batch.condition if batch.reference is None else batch.condition.rolled_reference()
        held = {"mask": condition.mask, "source": condition.source_image, "attributes": condition.attributes}
        if condition.reference is not None:
            held |= {"reference": condition.reference.image, "reference_mask": condition.reference.mask}
        held = {name: tensor for name, tensor in {**held, **condition.extra}.items() if tensor is not None}
    real = [each for each in inputs if each.name in held]
    drawn = [each for each in inputs if each.name not in held and each.meaning != "standard normal numbers"]
    tensors = {each.name: _of_size(held[each.name], each) for each in real}
    for each in inputs:
        if each.name not in tensors:
            tensors[each.name] = _drawn(each, pipeline, random)
    told = [f"{SAMPLES} validation faces of its data"] if real else []
    told += [f"drawn {', '.join(each.name for each in drawn)}"] if drawn else []
    return Example(tensors, " and ".join(told) or "noise")


def _of_size(tensor: torch.Tensor, given: Input) -> torch.Tensor:
    if tuple(tensor.shape[1:]) == given.shape or tensor.dim() < 3:
        return tensor
    planes = tensor[:, None].float() if tensor.dim() == 3 else tensor
    resized = F.interpolate(planes, size=given.shape[-2:], mode="nearest")
    return (resized[:, 0] if tensor.dim() == 3 else resized).to(tensor.dtype)


def _drawn(given: Input, pipeline: FacePipeline, random: torch.Generator) -> torch.Tensor:
    """Return numbers that an input may have: coarse blocks where it is a picture."""
    if given.meaning == "standard normal numbers":
        return torch.randn((SAMPLES, *given.shape), generator=random)
    coarse = (*given.shape[:-2], *(min(side, 8) for side in given.shape[-2:])) if len(given.shape) > 1 else given.shape
    numbers = torch.rand((SAMPLES, *coarse), generator=random)
    if given.dtype == torch.int64:
        numbers = (numbers * len(pipeline.label_map)).floor()
    elif given.meaning == "0 or 1":
        numbers = numbers.round()
    else:
        numbers = numbers * 2 - 1
    return _of_size(numbers.to(given.dtype), given)


def _remove(file: Path) -> None:
    with suppress(FileNotFoundError):  # gone when it was renamed
        file.unlink()
