"""Networks as losses call them: in the precision of the run, held to their ports, with what stands in front of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from facekit.interfaces import (
    DISCRIMINATOR,
    SAMPLER,
    STYLE_ENCODER,
    DiscriminatorOutput,
    FacekitError,
    Generated,
    LabelMap,
    Network,
    Port,
    PortContext,
    Ports,
    ScaleOutput,
    Style,
    did_you_mean,
    map_tensors,
)
from facekit.recipe.resolved import ComponentChoice, ResolvedRecipe
from facekit.training.augmentation import RunAugmentation
from facekit.training.failures import Culprit, failures_in
from facekit.training.networks import FaceModel
from facekit.training.precision import Acceleration, HalfWeights, Precision

T = TypeVar("T")

RESULTS: dict[str, type] = {
    "style_encoder": Style,
    "generator": Generated,
    "sampler": Generated,
    "discriminator": DiscriminatorOutput,
}
"""What a component of a kind returns."""


def outputs_by_port(result: Any, ports: Ports) -> dict[str, tuple[Tensor, ...]]:
    """Return the tensors of what a component gave under the names of ports.

    ``style`` is the code of a :class:`Style`, ``generated`` the image of a :class:`Generated`, ``discriminated``
    the logits of a :class:`DiscriminatorOutput`; ``style.mean`` is the field ``mean`` of a family's subclass,
    ``generated.depth`` a field or one of the maps. Of anything else: a tensor is the only port that is declared, a
    mapping or a dataclass has its own names.
    """
    if isinstance(result, Style):
        return {"style": (result.code,), **_own_fields(result, Style, "style")}
    if isinstance(result, Generated):
        maps = {f"generated.{name}": (tensor,) for name, tensor in result.maps.items()}
        pyramid = {"generated.pyramid": result.pyramid} if result.pyramid else {}
        return {"generated": (result.image,), **pyramid, **maps, **_own_fields(result, Generated, "generated")}
    if isinstance(result, DiscriminatorOutput):
        features = tuple(feature for scale in result.scales for feature in scale.features)
        logits = () if result.class_logits is None else (result.class_logits,)
        return {
            "discriminated": tuple(scale.logits for scale in result.scales),
            **({"discriminated.features": features} if features else {}),
            **({"discriminated.class_logits": logits} if logits else {}),
            **_own_fields(result, DiscriminatorOutput, "discriminated"),
        }
    if isinstance(result, Tensor):
        return {ports.gives[0].name: (result,)} if len(ports.gives) == 1 else {}
    if isinstance(result, Mapping):
        return {str(name): (value,) for name, value in result.items() if isinstance(value, Tensor)}
    if is_dataclass(result) and not isinstance(result, type):
        found = {each.name: getattr(result, each.name) for each in fields(result)}
        return {name: (value,) for name, value in found.items() if isinstance(value, Tensor)}
    return {}


def _own_fields(result: Any, core: type, prefix: str) -> dict[str, tuple[Tensor, ...]]:
    known = {each.name for each in fields(core)}
    own = {each.name: getattr(result, each.name) for each in fields(result) if each.name not in known}
    return {f"{prefix}.{name}": (value,) for name, value in own.items() if isinstance(value, Tensor)}


def mismatch(port: Port, given: tuple[Tensor, ...], settled: Mapping[str, int]) -> str | None:
    """Return what is wrong with the tensors of a port, None where nothing is.

    Args:
        settled: the numbers behind named dimensions; others may be any number.
    """
    expected = [settled.get(side, None) if isinstance(side, str) else side for side in port.shape]
    declared = f"({', '.join(str(side) for side in port.shape)}{', ...' if port.leading else ''})"
    named = {side: settled[side] for side in port.shape if isinstance(side, str) and side in settled}
    if named:
        declared += f" with {', '.join(f'{name} = {number}' for name, number in named.items())}"
    for tensor in given:
        shape = list(tensor.shape)
        compared = shape[: len(expected)] if port.leading else shape
        if len(compared) != len(expected) or any(e not in (None, s) for e, s in zip(expected, compared, strict=True)):
            return f"`{port.name}` of shape {tuple(shape)}, and its port says {declared}"
        if port.dtype == "class_ids" and tensor.is_floating_point():
            return f"`{port.name}` as {tensor.dtype}, and its port says class ids (integers)"
        if port.dtype != "class_ids" and tensor.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            return f"`{port.name}` as {tensor.dtype}, and its port says {port.dtype} numbers, which are float32 here"
    return None


def check_outputs(culprit: Culprit, kind: str, ports: Ports, result: Any, settled: Mapping[str, int]) -> None:
    """Check what a component gave.

    Raises:
        FacekitError: it is not of the type of its kind, lacks what a port declares, or has another shape or type.
    """
    expected = RESULTS.get(kind)
    if expected is not None and not isinstance(result, expected):
        found = "a tensor" if isinstance(result, Tensor) else type(result).__name__  # a fake one in the shape check
        raise culprit.error(
            f"{culprit.title} gave {found}, not {expected.__name__}",
            remedy=f"wrap what it returns: facekit.interfaces.{expected.__name__}(...)",
        )
    given = outputs_by_port(result, ports)
    for port in ports.gives:
        tensors = given.get(port.name)
        if tensors is None:
            if kind == "network" and not given:
                continue  # a network's own kind of result, which only its family can read
            raise culprit.error(
                f"{culprit.title} declares that it gives `{port.name}`, and did not",
                remedy=f"it gave {', '.join(given) or 'nothing that a port names'}",
            )
        wrong = mismatch(port, tensors, settled)
        if wrong is not None:
            raise culprit.error(f"{culprit.title} gave {wrong}", remedy="correct the ports, or what it returns")


_CORE = Generated.__module__
"""The module of the core's own containers."""


def to_float32(container: T, *, copy: bool = False) -> T:
    """Return a network's result with half-precision tensors as float32; others stay as they are, or are copied.

    The fields that a model family adds to a container of the core are left alone: a latent that was cast would no
    longer lead to the image, and a loss could not differentiate the one with respect to the other.
    """

    def convert(tensor: Tensor) -> Tensor:
        if tensor.dtype in (torch.bfloat16, torch.float16):
            return tensor.float()
        return tensor.clone() if copy else tensor

    if is_dataclass(container) and not isinstance(container, type):
        core = next((base for base in type(container).__mro__ if base.__module__ == _CORE), None)
        if core is None:
            return container
        own = {each.name: map_tensors(getattr(container, each.name), convert) for each in fields(cast("Any", core))}
        return cast("T", replace(cast("Any", container), **own))
    return map_tensors(container, convert)


class _Float32Features(ScaleOutput):
    """A scale's output whose feature maps are cast when they are looked at."""

    @property
    def features(self) -> tuple[Tensor, ...]:
        """The feature maps in float32."""
        return to_float32(super().features)

    @features.setter
    def features(self, maps: tuple[Tensor, ...]) -> None:
        vars(ScaleOutput)["features"].__set__(self, maps)


def _logits_in_float32(output: DiscriminatorOutput, *, copy: bool) -> DiscriminatorOutput:
    """Return a discriminator's output as losses see it: in float32, feature maps once somebody looks at them.

    The maps are by far the larger part of it, and most turns look at none of them; float32 copies of all would take a
    tenth of a step's memory.
    """

    def scale_in_float32(scale: ScaleOutput) -> ScaleOutput:
        maps: tuple[Tensor, ...] = vars(ScaleOutput)["features"].__get__(scale)  # as they were computed
        return _Float32Features(to_float32(scale.logits, copy=copy), map_tensors(maps, Tensor.clone) if copy else maps)

    scales = tuple(map(scale_in_float32, output.scales))
    return replace(output, scales=scales, class_logits=to_float32(output.class_logits, copy=copy))


PLAINLY = Acceleration()


class NetworkCall:
    """A network as losses call it; see :class:`facekit.interfaces.Network`.

    Args:
        network: the network; anything else that can be called for a sampler.
        run: the networks of the run, which know how all of them are called.
        choice: its component in the recipe; None where there is no recipe (contract tests).
    """

    def __init__(
        self, name: str, network: Callable[..., Any], run: RunNetworks, choice: ComponentChoice | None, ports: Ports
    ) -> None:
        spec = None if choice is None else choice.component.spec
        self.name = name
        self.ports = ports
        self.batch_dependent = spec is not None and spec.batch_dependent
        self._kind = name if spec is None else spec.kind
        self._culprit = (
            Culprit(f"the {name.replace('_', ' ')}", path=f"model.{name}")
            if choice is None
            else Culprit.of(name, choice)
        )
        self._run = run
        self._network = network
        self._computing = self._fast = network if run.half is None else run.half.model.callables[name]
        # A step meets few sizes and meets them every time: code for each is faster than code for all.
        how = run.acceleration
        if name != SAMPLER and how.compile:
            mode = "reduce-overhead" if how.cuda_graphs else None
            self._fast = torch.compile(self._computing, dynamic=False, mode=mode)
        elif name != SAMPLER and how.cuda_graphs:
            self._fast = torch.compile(self._computing, dynamic=False, backend="cudagraphs")

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Return what the network returns."""
        run = self._run
        network = self._network if run.full else self._computing if run.is_plain else self._fast
        result = self._call(network, arguments, named)
        if self._run.is_checking:
            check_outputs(self._culprit, self._kind, self.ports, result, self._run.settled)
        return result

    def __getattr__(self, name: str) -> Any:
        """Return a method of the network as it is called in a step, or another attribute as it is."""
        found = getattr(self._network if self._run.full else self._computing, name)
        if not callable(found) or isinstance(found, nn.Module):
            return found
        return lambda *arguments, **named: self._call(found, arguments, named)

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        run, augmentation = self._run, self._run.augmentation
        run.note(frozenset({self.name}))
        before = arguments, named
        if augmentation is not None and augmentation.stands_before(self.name):
            # Outside of autocast and of the compiled network: coordinates need all their digits.
            arguments, named = augmentation.shown(self.ports, arguments, named)
        with failures_in(self._culprit, "fails in its forward pass"), run.precision.autocast(full=run.full):
            result = function(*arguments, **named)
            # A run may keep a result for longer than a step, and graphs write over what they gave.
            copies = run.acceleration.cuda_graphs and function is self._fast
            if isinstance(result, DiscriminatorOutput):
                output = _logits_in_float32(result, copy=copies)
                if augmentation is not None and not run.full:
                    augmentation.see(self.name, *before, output)
                return output
            return to_float32(result, copy=copies)


class RunNetworks(Mapping[str, Network]):
    """The networks of a model as a step calls them: in the precision of the run, with results in float32.

    Feature maps of a discriminator stay as they were computed; see :func:`_logits_in_float32`.

    Args:
        recipe: says what each network declares; None for networks without a recipe (contract tests).
        acceleration: what is done so that a step takes less time.
        half: copies of the networks with weights in bf16 that take part in place of them; None for none.
        ports: in place of ``recipe``: what networks declare, by name.
        augmentation: what stands in front of discriminators in training; None for nothing.
    """

    def __init__(
        self,
        model: FaceModel,
        precision: Precision,
        *,
        recipe: ResolvedRecipe | None = None,
        label_maps: Mapping[str, LabelMap] | None = None,
        acceleration: Acceleration = PLAINLY,
        half: HalfWeights[FaceModel] | None = None,
        ports: Mapping[str, Ports] | None = None,
        augmentation: RunAugmentation | None = None,
    ) -> None:
        self.model, self.precision, self.augmentation = model, precision, augmentation
        self.acceleration, self.half = acceleration, half
        self.settled: dict[str, int] = {} if recipe is None else {"size": recipe.data.size, **recipe.dimensions}
        """The numbers behind named dimensions."""
        self.is_checking = self.full = self.is_plain = False
        self.were_full = False
        """Whether networks ever computed in full precision, with the weights and not with their copies."""
        self._called: tuple[set[str], ...] = ()
        self._networks: dict[str, NetworkCall] = {}
        for name, network in model.callables.items():
            choice = None if recipe is None else recipe.model.get(name)
            if choice is None or recipe is None:
                declared = (ports or {}).get(name, Ports())
            else:
                declared = choice.ports(PortContext(recipe.data.size, label_maps or {}))
            self._networks[name] = NetworkCall(name, network, self, choice, declared)

    def __getitem__(self, name: str) -> NetworkCall:
        """Return a network by its name. Raises FacekitError where there is none."""
        if name not in self._networks:
            hint = did_you_mean(name, self._networks) or f"it has {', '.join(self._networks)}"
            usual = {STYLE_ENCODER, DISCRIMINATOR}
            raise FacekitError(
                f"this recipe has no {name.replace('_', ' ')}, but something asks for it",
                remedy=f"add model.{name}, or take out the loss that asks" if name in usual else hint,
            )
        return self._networks[name]

    def __contains__(self, name: object) -> bool:
        return name in self._networks

    def __iter__(self) -> Iterator[str]:
        return iter(self._networks)

    def __len__(self) -> int:
        return len(self._networks)

    @contextmanager
    def calling(self, *, checking: bool = False, plainly: bool = False) -> Iterator[None]:
        """Change how networks are called within the context.

        Args:
            checking: hold every result against the ports of its network.
            plainly: call networks as they are, neither compiled nor replayed.
        """
        before = self.is_checking, self.is_plain
        self.is_checking, self.is_plain = self.is_checking or checking, self.is_plain or plainly
        try:
            yield
        finally:
            self.is_checking, self.is_plain = before

    @contextmanager
    def full_precision(self) -> Iterator[None]:
        """Let networks compute in float32 and uncompiled within the context."""
        self.full, before = True, self.full
        self.were_full = True
        try:
            with self.precision.autocast(full=True):
                yield
        finally:
            self.full = before

    def note(self, names: frozenset[str]) -> None:
        """Count networks as called: those that are, and those whose result is used again."""
        for called in self._called:
            called |= names

    @contextmanager
    def tracing(self) -> Iterator[set[str]]:
        """Give a set that collects the names of all networks that are called within the context."""
        called, names = self._called, set[str]()
        self._called = (*called, names)
        try:
            yield names
        finally:
            self._called = called
