"""What the networks of a family's own and its sampler promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from facekit.interfaces import GENERATED, Condition, Generated, Port, Reference, map_tensors
from facekit.registry import Kind
from facekit.testing.contract import BrokenPromise, ComponentContract, promised, seeded
from facekit.testing.network import NetworkContract
from facekit.testing.network_inputs import Inputs
from facekit.testing.outputs import Given, tensors_in
from facekit.testing.port_inputs import check_given, make
from facekit.training.network_call import outputs_by_port


@dataclass(frozen=True)
class PortInputs(Inputs):
    """Inputs with a tensor for each port that is needed.

    Args:
        tensors: by the names of the ports.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)


class FamilyNetworkContract(NetworkContract):
    """What a network of the kind ``network`` promises.

    It is called with a tensor for each port that it needs, in their order. It returns a tensor for the one port that it
    gives, or a mapping by the names of several::

        class TestMapping(FamilyNetworkContract):
            spec = MAPPING
            options = {"layers": 1}

    A network that is called otherwise overrides :meth:`given`.
    """

    kind: ClassVar[Kind] = "network"

    def inputs(
        self,
        size: int,
        batch: int,
        *,
        seed: int | None = None,
        strength: float = 1.0,
        undeclared: bool = False,
        without: str | None = None,
    ) -> PortInputs:
        """Return a tensor for each port that is needed; see :meth:`NetworkContract.inputs`."""
        other = super().inputs(size, batch, seed=seed, strength=strength, undeclared=undeclared, without=without)
        settled, random = self.settled(size, batch), torch.Generator().manual_seed(self.seed if seed is None else seed)

        def drawn(port: Port) -> Tensor:
            tensor = make(port, settled, random)
            return tensor * strength if port.dtype == "float" and port.value_range is None else tensor

        tensors = {port.name: drawn(port) for port in self.ports(size).needs if port.name != without}
        return PortInputs(**{each.name: getattr(other, each.name) for each in fields(other)}, tensors=tensors)

    def given(self, network: Any, inputs: Inputs) -> Given:
        """Call the network with what its ports need."""
        assert isinstance(inputs, PortInputs)
        result = network(*inputs.tensors.values())
        given = outputs_by_port(result, self.ports(self.sizes[0]))
        if not given:
            raise BrokenPromise(
                "a network gives what its ports say",
                f"it returned a {type(result).__name__}, in which no port is found",
                "return a tensor for one port, a mapping for several, or override `given`",
            )
        return given


class SamplerContract(ComponentContract):
    """What a sampler promises.

    ::

        class TestFromNoise(SamplerContract):
            spec = FROM_NOISE

            def networks(self, size):
                return {"mapping": torch.nn.Linear(8, 8), "generator": TinyGenerator()}
    """

    kind: ClassVar[Kind] = "sampler"

    def networks(self, size: int) -> Mapping[str, Callable[..., Any]]:
        """Return tiny networks, by the names that the sampler calls; override it."""
        raise NotImplementedError(f"{type(self).__name__} needs `networks`: what the sampler calls, by name")

    @pytest.mark.parametrize("batch_index", range(2), ids=["small_batch", "large_batch"])
    @pytest.mark.parametrize("size_index", range(2), ids=["small", "large"])
    def test_ports_match(self, size_index: int, batch_index: int) -> None:
        """The sampler makes images of the recipe's size from what its ports need alone."""
        size, batch = self.sizes[size_index % len(self.sizes)], self.batches[batch_index % len(self.batches)]
        settled = self.settled(size, batch)
        gives = {port.name: port for port in (GENERATED, *self.ports(size).gives)}
        found = outputs_by_port(self._sampled(size, self.condition(size, batch)), self.ports(size))
        for port in gives.values():
            check_given(port, found.get(port.name, ()), settled, where=f"for {batch} of {size}x{size}")

    def test_is_deterministic(self) -> None:
        """The same condition gives the same images, whatever the global random state is."""
        size = self.sizes[0]
        condition = self.condition(size, max(self.batches))
        first, second = (self._sampled(size, condition, seed=self.seed + number).image for number in range(2))
        if not torch.equal(first, second):
            raise BrokenPromise(
                "the same condition gives the same images",
                "the images differ between two calls",
                "declare a port with dtype='noise' for random numbers: facekit draws them, and they can be repeated",
            )

    def test_samples_are_independent(self) -> None:
        """An image does not depend on the other samples of its batch."""
        size, batch = self.sizes[0], max(2, *self.batches)
        condition, other = self.condition(size, batch), self.condition(size, batch, seed=self.seed + 1)
        rows = iter(tensors_in(other))

        def mixed(tensor: Tensor) -> Tensor:
            return torch.cat([tensor[:1], next(rows)[1:]])

        alone, among = (self._sampled(size, each).image[:1] for each in (condition, map_tensors(condition, mixed)))
        if not torch.allclose(alone, among, rtol=1e-4, atol=1e-5):
            raise BrokenPromise(
                "an image does not depend on the other samples of its batch",
                f"the first image changes when the other {batch - 1} samples are exchanged",
                "take nothing from other rows: no roll(), no mean over the batch",
            )

    def condition(self, size: int, batch: int, *, seed: int | None = None) -> Condition:
        """Return a condition with what the ports need, and nothing else."""
        settled, random = self.settled(size, batch), torch.Generator().manual_seed(self.seed if seed is None else seed)
        made = {port.name: make(port, settled, random) for port in self.ports(size).needs}
        reference = made.pop("reference.image", None)
        reference_mask = made.pop("reference.mask", None)
        return Condition(
            mask=made.pop("mask", None),
            reference=None if reference is None else Reference(reference, reference_mask),
            attributes=made.pop("attributes", None),
            source_image=made.pop("image", None),
            extra=made,
        )

    def _sampled(self, size: int, condition: Condition, *, seed: int | None = None) -> Generated:
        with seeded(self.seed):
            sampler, networks = self.build(size), self.networks(size)
        for module in (sampler, *networks.values()):
            if isinstance(module, torch.nn.Module):
                module.eval()
        promise = "a sampler works with what its ports need"
        with promised(promise), seeded(self.seed if seed is None else seed), torch.no_grad():
            image = sampler(networks, condition)
        if not isinstance(image, Generated):
            raise BrokenPromise(
                "a sampler returns a Generated", f"it returned a {type(image).__name__}", "wrap it: Generated(...)"
            )
        return image
