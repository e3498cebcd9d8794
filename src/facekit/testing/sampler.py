"""What a sampler promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch

from facekit.interfaces import GENERATED, Condition, Generated, Reference
from facekit.registry import Kind
from facekit.testing.contract import BrokenPromise, ComponentContract, every_form, promise, promised, seeded
from facekit.testing.inputs import make
from facekit.testing.outputs import among_others, check_given, expect
from facekit.training.network_call import outputs_by_port


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

    @every_form
    @promise
    def test_ports_match(self, size_index: int, batch_index: int) -> None:
        """The sampler makes images of the recipe's size from what its ports need alone."""
        ports = self.ports(self.sizes[size_index % len(self.sizes)])
        size, batch = self.form(size_index, batch_index, ports)
        found = outputs_by_port(self._sampled(size, self.condition(size, batch)), ports)
        for port in {port.name: port for port in (GENERATED, *ports.gives)}.values():
            where = f"for {batch} of {size}x{size}"
            check_given(port, found.get(port.name, ()), self.settled(size, batch), where=where)

    @promise
    def test_is_deterministic(self) -> None:
        """The same condition gives the same images, whatever the global random state is."""
        size = self.sizes[0]
        condition = self.condition(size, max(self.batches))
        first, second = (self._sampled(size, condition, seed=self.seed + number).image for number in range(2))
        if not torch.equal(first, second):
            raise BrokenPromise(
                "the images differ between two calls",
                "declare a port with dtype='noise' for random numbers: facekit draws them, and they can be repeated",
            )

    @promise
    def test_samples_are_independent(self) -> None:
        """An image does not depend on the other samples of its batch."""
        size, batch = self.sizes[0], max(2, *self.batches)
        condition, other = self.condition(size, batch), self.condition(size, batch, seed=self.seed + 1)
        both = (condition, among_others(condition, other))
        alone, among = (self._sampled(size, each).image[:1] for each in both)
        if not torch.allclose(alone, among, rtol=1e-4, atol=1e-5):
            raise BrokenPromise(
                f"the first image changes when the other {batch - 1} samples are exchanged",
                "take nothing from other rows: no roll(), no mean over the batch",
            )

    def condition(self, size: int, batch: int, *, seed: int | None = None) -> Condition:
        """Return a condition with what the ports need, and nothing else."""
        settled, random = self.settled(size, batch), torch.Generator().manual_seed(self.seed if seed is None else seed)
        made = {port.name: make(port, settled, random) for port in self.ports(size).needs}
        reference, reference_mask = made.pop("reference.image", None), made.pop("reference.mask", None)
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
        with (
            promised("a sampler works with what its ports need"),
            seeded(self.seed if seed is None else seed),
            torch.no_grad(),
        ):
            image = sampler(networks, condition)
        expect(image, Generated, "a sampler")
        return image
