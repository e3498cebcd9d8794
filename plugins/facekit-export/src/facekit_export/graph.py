"""What a run's networks compute, as functions of named tensors that can be traced."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from facekit.interfaces import (
    GENERATOR,
    SAMPLER,
    STYLE_ENCODER,
    Condition,
    FacekitError,
    Generated,
    Port,
    PortContext,
    Reference,
    Style,
    encode,
    map_tensors,
    sample,
)

FacePipeline = Any
"""What ``facekit.load`` returns, whose room is not open to plugins."""

Tensors = dict[str, Tensor]

IMAGE = "image"
_GIVEN = ("mask", "reference", "reference_mask", "source", "attributes")
_OF_PORTS = {"image": "source", "reference.image": "reference", "reference.mask": "reference_mask"}
_OF_ENCODER = {"image": "reference", "mask": "reference_mask"}
"""What ``pipeline.generate`` calls inputs, by the ports of a generator or sampler, and of a style encoder."""


@dataclass(frozen=True)
class Input:
    """One input of an exported graph.

    Args:
        name: as in ``pipeline.generate``; noise and what a family brings of its own by the name of its port.
        shape: of one sample.
        dtype: of its numbers.
        meaning: its values, in words.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    meaning: str

    def document(self) -> dict[str, Any]:
        """Return it as the metadata of a file has it."""
        shape = ["batch", *self.shape]
        return {"name": self.name, "shape": shape, "dtype": str(self.dtype).split(".")[-1], "meaning": self.meaning}


@dataclass(frozen=True)
class Example:
    """Inputs of N samples by name, and where they are from, in words."""

    tensors: Tensors
    origin: str


class Graph(nn.Module):
    """A function of tensors, in the order of ``inputs``, that gives the tensors ``outputs``; its weights are copies.

    Args:
        name: what a file's name ends with where there are several.
        networks: the networks, and the sampler where there is one.
        inputs: what it reads.
        compute: the function, of the networks and of tensors by name.
        example: inputs to find out with what it gives.
    """

    def __init__(
        self,
        name: str,
        networks: Mapping[str, Callable[..., Any]],
        inputs: Sequence[Input],
        compute: Callable[[Mapping[str, Callable[..., Any]], Tensors], Tensors],
        example: Tensors,
    ) -> None:
        super().__init__()
        self.name, self.inputs, self._compute = name, tuple(inputs), compute
        self._networks = {key: _plain(network) for key, network in networks.items()}
        for key, network in self._networks.items():
            if isinstance(network, nn.Module):
                self.add_module(key, network)
        self.eval().requires_grad_(False)
        self.example = tuple(example[each.name] for each in self.inputs)
        self.given = self._compute(self._networks, example)
        self.outputs = tuple(self.given)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of inputs, (N, ...) each."""
        named = dict(zip((each.name for each in self.inputs), tensors, strict=True))
        return tuple(self._compute(self._networks, named).values())


def graphs_of(
    pipeline: FacePipeline, example: Tensors, inputs: Sequence[Input], *, size: int, split: bool
) -> list[Graph]:
    """Return the graphs of a run: one from everything it reads to the image, or its style encoder and its generator.

    Args:
        pipeline: the run.
        example: inputs of a few samples by name.
        inputs: what the run reads.
        size: side of the images in pixels.
        split: style encoder and generator apart, so that a style is read once for many masks.

    Raises:
        FacekitError: the run has no style that is read once; or its networks do not work at the size of the example.
    """
    networks = {
        name: network
        for name, network in pipeline.networks.callables.items()
        if name not in pipeline.recipe.model.discriminators
    }
    if not split:
        return [_sized(Graph("", networks, inputs, _image, example), size)]
    if not pipeline.networks.gives_styles:
        raise FacekitError(
            "this run has no style that is encoded once and used again, so there is nothing to split",
            where=str(pipeline.run),
            remedy="leave out --split",
        )
    of_encoder = [each for each in inputs if each.name in _OF_ENCODER.values()]
    encoder = Graph(STYLE_ENCODER, {STYLE_ENCODER: networks[STYLE_ENCODER]}, of_encoder, _style, example)
    style = encode(networks, Reference(example["reference"], example.get("reference_mask")))
    places = {id(tensor): name for name, tensor in _of_style(style).items()}
    of_style = [
        Input(name, tuple(tensor.shape[1:]), tensor.dtype, "as the style encoder gives it")
        for name, tensor in encoder.given.items()
    ]

    def paint(of: Mapping[str, Callable[..., Any]], tensors: Tensors) -> Tensors:
        own = {each.name: tensors[each.name] for each in others}
        filled = map_tensors(style, lambda tensor: tensors[places[id(tensor)]])
        return _named(of[GENERATOR](condition_of(own), filled))

    others = [each for each in inputs if each not in of_encoder]
    generator = Graph(
        GENERATOR, {GENERATOR: networks[GENERATOR]}, [*others, *of_style], paint, {**example, **encoder.given}
    )
    return [encoder, _sized(generator, size)]


def inputs_of(pipeline: FacePipeline, size: int) -> list[Input]:
    """Return what a run needs for an image of ``size`` pixels a side, noise included.

    Raises:
        FacekitError: its networks do not work at that size.
    """
    model, asked = pipeline.recipe.model, pipeline.inputs
    context = PortContext(size, {pipeline.label_map.name: pipeline.label_map})
    callers = (SAMPLER,) if model.get(SAMPLER) is not None else (GENERATOR, STYLE_ENCODER)
    found: dict[str, Input] = {}
    for name, choice in model.components():
        ports = choice.ports(context)
        if name in model.discriminators:
            continue
        if size < ports.smallest_size or size % ports.size_multiple:
            raise FacekitError(
                f"{choice.component.spec.id} makes no images of {size} pixels: they have at least "
                f"{ports.smallest_size}, and a multiple of {ports.size_multiple}",
                where="--size",
            )
        for port in ports.needs:
            called = (_OF_ENCODER if name == STYLE_ENCODER else _OF_PORTS).get(port.name, port.name)
            if port.dtype == "noise" or (name in callers and called in asked.needed):
                found.setdefault(called, _input(called, port, pipeline, size))
    order = {name: number for number, name in enumerate(_GIVEN)}
    return sorted(found.values(), key=lambda each: order.get(each.name, len(order)))


def _input(name: str, port: Port, pipeline: FacePipeline, size: int) -> Input:
    settled = {**pipeline.recipe.dimensions, "size": size}
    shape = tuple(settled[side] if isinstance(side, str) else side for side in port.shape[1:])
    meanings = {
        "class_ids": f"class ids of the label map {pipeline.label_map.name}, 0 to {len(pipeline.label_map) - 1}",
        "noise": "standard normal numbers",
        "binary": "0 or 1",
    }
    low, high = port.value_range or (None, None)
    meaning = meanings.get(port.dtype, "any number" if low is None else f"from {low:g} to {high:g}")
    return Input(name, shape, torch.int64 if port.dtype == "class_ids" else torch.float32, meaning)


def condition_of(tensors: Tensors) -> Condition:
    """Return the condition of inputs by name."""
    given = dict(tensors)
    photo, mask = given.pop("reference", None), given.pop("reference_mask", None)
    condition = Condition().with_(
        **{"source_image" if name == "source" else name: each for name, each in given.items()}
    )
    return condition if photo is None else condition.with_(reference=Reference(photo, mask))


def outputs_of(pipeline: FacePipeline, tensors: Tensors) -> Tensors:
    """Return what the run itself gives for inputs, by the names of outputs."""
    return _named(pipeline.networks.sample(condition_of(tensors)))


def _image(networks: Mapping[str, Callable[..., Any]], tensors: Tensors) -> Tensors:
    return _named(sample(networks, condition_of(tensors)))


def _style(networks: Mapping[str, Callable[..., Any]], tensors: Tensors) -> Tensors:
    return _of_style(networks[STYLE_ENCODER](tensors["reference"], tensors.get("reference_mask")))


def _of_style(style: Style) -> Tensors:
    return {name.removesuffix(".code"): tensor for name, tensor in _tensors_in(style, "style")}


def _named(generated: Generated) -> Tensors:
    # An output of its own, where a network hands on one of its inputs.
    return {IMAGE: generated.image.clone(), **{f"generated.{name}": each for name, each in generated.maps.items()}}


def _tensors_in(container: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a container, with a name for each."""
    if isinstance(container, Tensor):
        yield name, container
    elif isinstance(container, tuple):
        for index, entry in enumerate(container):
            yield from _tensors_in(entry, f"{name}.{index}")
    elif isinstance(container, Mapping):
        for key, entry in container.items():
            yield from _tensors_in(entry, f"{name}.{key}")
    elif is_dataclass(container):
        for each in fields(container):
            if each.init:
                yield from _tensors_in(getattr(container, each.name), f"{name}.{each.name}")


def _plain(network: Callable[..., Any]) -> Callable[..., Any]:
    """Return a copy of a module in the usual order of memory; a sampler that is a function as it is."""
    if not isinstance(network, nn.Module):
        return network
    return copy.deepcopy(network).to(memory_format=torch.contiguous_format)


def _sized(graph: Graph, size: int) -> Graph:
    """Return a graph. Raises FacekitError where its images are not of the size that is asked for."""
    made = tuple(graph.given[IMAGE].shape[2:])
    if made != (size, size):
        raise FacekitError(f"this run makes images of {made[0]} pixels, whatever it is given", where="--size")
    return graph
