"""A network as losses call it: in the precision of the run, held to its ports, and with what stands in front of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from facekit.interfaces import DiscriminatorOutput, Ports
from facekit.training.augmentation import RunAugmentation
from facekit.training.failures import Culprit, failures_in
from facekit.training.port_check import check_outputs
from facekit.training.precision import Precision
from facekit.training.tensors import logits_in_float32, to_float32

NO_PORTS = Ports()
"""What a network declares of which nothing is known (contract tests)."""


@dataclass
class Calls:
    """What the networks of a run share while they are called.

    Args:
        precision: how they compute.
        copies: copy what graphs would write over.
        settled: the numbers behind named dimensions.
        augmentation: what stands in front of some of them; None for nothing.
        checking: hold results against ports.
        full: compute in float32 and uncompiled.
        called: sets that collect the names of those that are called.
    """

    precision: Precision
    copies: bool
    settled: Mapping[str, int]
    augmentation: RunAugmentation | None = None
    checking: bool = False
    full: bool = False
    called: tuple[set[str], ...] = ()


class NetworkCall:
    """A network as losses call it; see :class:`facekit.interfaces.Network`.

    Args:
        name: its name in the recipe.
        network: the network; anything else that can be called for a sampler.
        compiled: the same, compiled, or itself.
        calls: what all networks of the run share.
        ports: what the component declares.
        batch_dependent: whether its result for a sample depends on the others of the batch.
        kind: the component's kind.
        culprit: whom to name in errors.
    """

    def __init__(
        self,
        name: str,
        network: Callable[..., Any],
        compiled: Callable[..., Any],
        calls: Calls,
        *,
        ports: Ports = NO_PORTS,
        batch_dependent: bool = False,
        kind: str = "network",
        culprit: Culprit | None = None,
    ) -> None:
        self.name = name
        self.ports = ports
        self.batch_dependent = batch_dependent
        self._network = network
        self._compiled = compiled
        self._calls = calls
        self._kind = kind
        self._culprit = culprit or Culprit(f"the {name.replace('_', ' ')}", path=f"model.{name}")

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Return what the network returns."""
        result = self._run(self._network if self._calls.full else self._compiled, arguments, named)
        if self._calls.checking:
            check_outputs(self._culprit, self._kind, self.ports, result, self._calls.settled)
        return result

    def __getattr__(self, name: str) -> Any:
        """Return a method of the network as it is called in a step, or another attribute as it is."""
        found = getattr(self._network, name)
        if not callable(found) or isinstance(found, nn.Module):
            return found
        return lambda *arguments, **named: self._run(found, arguments, named)

    def _run(self, function: Callable[..., Any], arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        calls = self._calls
        for names in calls.called:
            names.add(self.name)
        before = arguments, named
        augmentation = calls.augmentation
        if augmentation is not None and augmentation.stands_before(self.name):
            # Outside of autocast and of the compiled network: coordinates need all their digits.
            arguments, named = augmentation.shown(self.ports, arguments, named)
        with failures_in(self._culprit, "fails in its forward pass"), calls.precision.autocast(full=calls.full):
            result = function(*arguments, **named)
            # A run may keep a result for longer than a step, and graphs write over what they gave.
            copies = calls.copies and function is self._compiled
            if isinstance(result, DiscriminatorOutput):
                output = logits_in_float32(result, copy=copies)
                if augmentation is not None and not calls.full:
                    augmentation.see(self.name, *before, output)
                return output
            return to_float32(result, copy=copies)
