"""What style encoders, generators and discriminators promise alike."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from facekit.interfaces import DiscriminatorOutput, Generated, Style, map_tensors
from facekit.registry import Kind
from facekit.testing.contract import BrokenPromise, ComponentContract, matching, promised, seeded
from facekit.testing.network_inputs import Inputs, make_inputs
from facekit.testing.outputs import Given, check_gradients_agree, difference, expect, gradients_of, some, tensors_in
from facekit.testing.port_inputs import check_given, named_floats
from facekit.training.convolution_guard import right_gradients
from facekit.training.network_call import NO_PORTS, outputs_by_port

STRONG = 100.0
"""What unbounded inputs are multiplied with to see whether a declared range holds."""


class NetworkContract(ComponentContract):
    """The promises of networks. Subclass the contract of a kind instead."""

    parameters_without_gradient: ClassVar[tuple[str, ...]] = ()
    """Names of parameters (``*`` and ``?`` as in file names) that no gradient reaches at the first step, on purpose."""
    bf16_tolerance: ClassVar[float] = 0.1
    """Root mean square of the difference between bf16 and fp32 results, over that of the fp32 result's deviation."""
    channels_last_tolerance: ClassVar[float] = 1e-3
    """The same for channels-last against the usual order, both in fp32."""
    channels_last_gradient_tolerance: ClassVar[float] = 1e-2
    """How far a gradient in channels-last order may be off, as a share of its size, in fp32."""

    @pytest.mark.parametrize("batch_index", range(2), ids=["small_batch", "large_batch"])
    @pytest.mark.parametrize("size_index", range(2), ids=["small", "large"])
    def test_ports_match(self, size_index: int, batch_index: int) -> None:
        """What comes out has the shapes, kinds of numbers and ranges of the ports, from what the ports need alone."""
        size, batch = self.sizes[size_index % len(self.sizes)], self.batches[batch_index % len(self.batches)]
        self._check_size(size)
        network, settled, ports = self._network(size), self.settled(size, batch), self.ports(size)
        where = f"for {batch} of {size}x{size}"
        promise = "a component works with what its ports need, and only with that"
        inputs = self.inputs(size, batch)
        given = self._run(network, inputs, promise)
        for port in ports.gives:
            check_given(port, given.get(port.name, ()), settled, where=where)
        strong = self._run(network, self.inputs(size, batch, strength=STRONG), promise)
        for port in ports.gives:
            if port.value_range is not None:
                check_given(port, strong.get(port.name, ()), settled, where=f"{where} from large inputs")
        other = self._run(network, self.inputs(size, batch, undeclared=True), promise)
        if name := difference(given, other):
            needs = ", ".join(port.name for port in ports.needs) or "nothing"
            raise BrokenPromise(
                promise,
                f"{name} changes with inputs that are not declared; declared is {needs}",
                "declare what the component reads (mask, image, attributes, style) in its ports",
            )
        for port in ports.needs:
            if port.optional:
                self._run(
                    network, self.inputs(size, batch, without=port.name), f"the optional {port.name!r} can be left out"
                )

    def test_gradients_reach_every_parameter(self) -> None:
        """Gradients are finite and reach every parameter, but for the exceptions the contract lists."""
        size = max(self.sizes)
        network = self._network(size).train()
        given = self._run(network, self.inputs(size, max(self.batches)), "a training pass works", gradients=True)
        total = self._total(given)
        promise = "gradients are finite and reach every parameter"
        if not total.requires_grad:
            raise BrokenPromise(promise, "the results carry no gradient", "is there a detach() or no_grad() too many?")
        total.backward()
        parameters = {name: entry for name, entry in network.named_parameters() if entry.requires_grad}
        broken = [
            name for name, entry in parameters.items() if entry.grad is not None and not entry.grad.isfinite().all()
        ]
        if broken:
            raise BrokenPromise(
                promise, f"gradients that are not finite in {some(broken)}", "find the division or root"
            )
        missed = {name for name, entry in parameters.items() if entry.grad is None or not bool(entry.grad.any())}
        excepted = matching(list(parameters), self.parameters_without_gradient)
        if missed - excepted:
            raise BrokenPromise(
                promise,
                f"none reaches {some(sorted(missed - excepted))}",
                "use these parameters, remove them, or list them in `parameters_without_gradient`",
            )
        if excepted - missed:
            raise BrokenPromise(
                promise,
                f"a gradient reaches {some(sorted(excepted - missed))}, which the contract excepts",
                "shorten `parameters_without_gradient`",
            )

    def test_eval_is_deterministic(self) -> None:
        """In eval mode the same inputs give the same result, whatever the global random state is."""
        size = self.sizes[0]
        network, inputs = self._network(size), self.inputs(size, max(self.batches))
        first = self._run(network, inputs, "an eval pass works")
        second = self._run(network, inputs, "a second eval pass works", seed=self.seed + 1)
        if name := difference(first, second):
            raise BrokenPromise(
                "in eval mode the same inputs give the same result",
                f"{name} differs between two passes",
                "draw noise only while self.training, and update no state in eval mode",
            )

    def test_samples_are_independent(self) -> None:
        """In eval mode a sample's result does not depend on the other samples of its batch."""
        size, batch = self.sizes[0], max(2, *self.batches)
        network = self._network(size)
        inputs, others = self.inputs(size, batch), self.inputs(size, batch, seed=self.seed + 1)
        alone = self._run(network, inputs, "an eval pass works")
        mixed = self._run(network, inputs.replaced(slice(1, None), others), "an eval pass works")
        name = difference(
            {key: tuple(t[:1] for t in value) for key, value in alone.items()},
            {key: tuple(t[:1] for t in value) for key, value in mixed.items()},
        )
        if name and not self.spec.batch_dependent:
            raise BrokenPromise(
                "one sample's result does not depend on the others of its batch",
                f"{name} of the first sample changes when the other {batch - 1} are exchanged",
                "use norms over the sample (instance, group, layer), or declare batch_dependent=True in the spec",
            )
        if not name and self.spec.batch_dependent:
            raise BrokenPromise(
                "a component that declares batch_dependent is",
                "the first sample's result stays when the others are exchanged",
                "remove batch_dependent=True, which costs a joint pass",
            )

    def test_save_and_load(self) -> None:
        """A component built anew gives equal results after loading the saved weights."""
        size = self.sizes[0]
        promise = "what is saved is all that a result depends on"
        network, inputs = self._network(size), self.inputs(size, max(self.batches))
        fresh = cast("nn.Module", self.build(size, seed=self.seed + 1)).eval()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "weights.safetensors"
            save_file({name: value.contiguous().clone() for name, value in network.state_dict().items()}, file)
            try:
                fresh.load_state_dict(load_file(file))
            except RuntimeError as error:
                raise BrokenPromise(
                    promise, f"the weights do not fit: {error}", "names and shapes follow options alone"
                ) from error
        if name := difference(self._run(network, inputs, promise), self._run(fresh, inputs, promise)):
            raise BrokenPromise(
                promise,
                f"{name} differs after saving and loading",
                "register tensors that matter as parameters or persistent buffers",
            )

    def test_bf16_agrees(self) -> None:
        """Under bf16 autocast the result agrees with fp32 within ``bf16_tolerance``."""
        size = self.sizes[0]
        network, inputs = self._network(size), self.inputs(size, max(self.batches))
        full = self._run(network, inputs, "an fp32 pass works")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = self._run(network, inputs, "a pass under bf16 autocast works")
        self._agree(
            full, half, self.bf16_tolerance, "under bf16 autocast", "`bf16_tolerance`, or compute that part in fp32"
        )

    def test_channels_last_agrees(self) -> None:
        """In channels-last order, results and gradients agree with the usual order.

        Results may differ by ``channels_last_tolerance``. Gradients of parameters and of inputs may differ by
        ``channels_last_gradient_tolerance`` of their root mean square, or of a hundredth of that of the largest
        gradient where theirs is smaller. Right layers leave up to 1e-3, wrong ones are off by 0.1 to 2.

        Both passes run under the guard that training has (:func:`facekit.training.convolution_guard.right_gradients`):
        what torch computes wrong and training mends is no broken promise; what training would get wrong is one.
        """
        size = self.sizes[0]
        network, inputs = self._network(size), self.inputs(size, max(self.batches))
        with right_gradients(torch.device("cpu")):
            usual, gradients = self._results_and_gradients(network, inputs, "a pass works")
            network.to(memory_format=torch.channels_last)
            other, others = self._results_and_gradients(
                network, inputs.channels_last(), "a pass in channels-last order works"
            )
        self._agree(
            usual,
            other,
            self.channels_last_tolerance,
            "in channels-last order",
            "never read the memory order: no view(), no strides",
        )
        check_gradients_agree(gradients, others, self.channels_last_gradient_tolerance)

    def test_fake_tensors(self) -> None:
        """The component, or the probe it declares, builds and runs forward and backward on fake tensors."""
        size, batch = self.sizes[0], max(self.batches)
        promise = "a recipe's shapes can be checked without computing anything"
        settled, ports = self.settled(size, batch), self.ports(size)
        try:
            with seeded(self.seed), FakeTensorMode(allow_non_fake_inputs=True):
                network = self.spec.build_probe(self.validated(), self.build_context(size))
                given = self.given(network, self.inputs(size, batch))
                sum((tensor.float().mean() for tensor in tensors_in(given)), torch.zeros(())).backward()
        except Exception as error:
            raise BrokenPromise(
                promise,
                f"{type(error).__name__} on fake tensors: {error}",
                "do not look at numbers (item(), bool(), nonzero) in forward, or declare `probe=` in the spec",
            ) from error
        for port in ports.gives if self.spec.probe else ():
            for tensor in given.get(port.name, ()):
                expected = tuple(settled[d] if isinstance(d, str) else d for d in port.shape)
                if tuple(tensor.shape)[: len(expected)] != expected:
                    raise BrokenPromise(
                        promise, f"{port.name} has the shape {tuple(tensor.shape)} on fake tensors", "correct the probe"
                    )

    # For the kinds to override

    def given(self, network: Any, inputs: Inputs) -> Given:
        """Call the network; each kind overrides this."""
        raise NotImplementedError

    # Helpers

    def inputs(
        self,
        size: int,
        batch: int,
        *,
        seed: int | None = None,
        strength: float = 1.0,
        undeclared: bool = False,
        without: str | None = None,
    ) -> Inputs:
        """Return inputs as the ports need them.

        Args:
            size: image side.
            batch: how many.
            seed: the seed of the inputs.
            strength: what unbounded numbers are multiplied with.
            undeclared: give other values for all that is not declared; by default that is missing, or background.
            without: an optional need to leave out.
        """
        return make_inputs(
            {port.name: port for port in self.ports(size).needs if port.name != without},
            self.settled(size, batch),
            seed=self.seed if seed is None else seed,
            # What is not declared is the same whatever is drawn for what is.
            spare_seed=self.seed + 12_345,
            strength=strength,
            undeclared=undeclared,
        )

    def _network(self, size: int) -> nn.Module:
        with promised("the component can be built from its options"):
            network = self.build(size)
        if not isinstance(network, nn.Module):
            raise BrokenPromise(
                "a network is a torch.nn.Module",
                f"the factory returned a {type(network).__name__}",
                "return the module",
            )
        return network.eval()

    def _run(
        self, network: nn.Module, inputs: Inputs, promise: str, *, gradients: bool = False, seed: int | None = None
    ) -> Given:
        with seeded(self.seed if seed is None else seed), torch.set_grad_enabled(gradients), promised(promise):
            given = self.given(network, inputs)
        return given if gradients else {name: tuple(t.clone() for t in value) for name, value in given.items()}

    def _results_and_gradients(
        self, network: nn.Module, inputs: Inputs, promise: str
    ) -> tuple[Given, dict[str, Tensor]]:
        """Return what a network gives, and the gradients of parameters and inputs of a scalar that depends on it."""
        trainable = map_tensors(inputs, lambda tensor: tensor.detach().requires_grad_(tensor.is_floating_point()))
        # Copies, so that a network may work in place on what it is given.
        given = self._run(network, map_tensors(trainable, Tensor.clone), promise, gradients=True)
        wanted = {**dict(network.named_parameters()), **{f"input {k}": v for k, v in named_floats(trainable).items()}}
        gradients = gradients_of(self._total(given), wanted)
        return {name: tuple(tensor.detach() for tensor in value) for name, value in given.items()}, gradients

    def _total(self, given: Given) -> Tensor:
        """Return a scalar that depends on all that was given."""
        random = torch.Generator().manual_seed(self.seed)
        # Random weights, since the plain sum of a normalised map is a constant.
        return sum(
            ((tensor.float() * torch.randn(tensor.shape, generator=random)).mean() for tensor in tensors_in(given)),
            torch.zeros(()),
        )

    def _agree(self, first: Given, second: Given, tolerance: float, how: str, remedy: str) -> None:
        for name, tensors in first.items():
            for one, other in zip(tensors, second.get(name, ()), strict=True):
                spread = (one.double() - one.double().mean()).square().mean().sqrt().clamp(min=1e-6)
                off = float((one.double() - other.double()).square().mean().sqrt() / spread)
                if not off <= tolerance:
                    raise BrokenPromise(
                        f"{how} the result is the same within {tolerance:g}",
                        f"{name} is off by {off:.3g} of its deviation",
                        f"raise {remedy}" if remedy.startswith("`") else remedy,
                    )

    def _check_size(self, size: int) -> None:
        ports = self.ports(size)
        if size < ports.smallest_size or size % ports.size_multiple:
            raise BrokenPromise(
                "the contract tries sizes the component works with",
                f"{size} is below {ports.smallest_size}, or no multiple of {ports.size_multiple}",
                "set `sizes` in the contract",
            )


class StyleEncoderContract(NetworkContract):
    """What a style encoder promises.

    Subclass it in a test module, with the spec and the smallest options that show the component's behaviour::

        class TestMyStyle(StyleEncoderContract):
            spec = MY_STYLE
            options = {"filters": 4}
            dimensions = {"style": 16}
    """

    kind: ClassVar[Kind] = "style_encoder"

    def given(self, network: Any, inputs: Inputs) -> Given:
        """Encode the photos."""
        style = network(inputs.image, inputs.mask)
        expect(style, Style, "a style encoder")
        return outputs_by_port(style, NO_PORTS)


class GeneratorContract(NetworkContract):
    """What a generator promises.

    ::

        class TestMyGenerator(GeneratorContract):
            spec = MY_GENERATOR
            options = {"filters": 4, "blocks": 1}
    """

    kind: ClassVar[Kind] = "generator"

    def given(self, network: Any, inputs: Inputs) -> Given:
        """Generate from the condition."""
        image = network(inputs.condition, inputs.style)
        expect(image, Generated, "a generator")
        return outputs_by_port(image, NO_PORTS)


class DiscriminatorContract(NetworkContract):
    """What a discriminator promises.

    ::

        class TestMyDiscriminator(DiscriminatorContract):
            spec = MY_DISCRIMINATOR
            options = {"filters": 4, "scales": 2}
    """

    kind: ClassVar[Kind] = "discriminator"

    def given(self, network: Any, inputs: Inputs) -> Given:
        """Discriminate the images."""
        discriminator_output = network(Generated(inputs.image, inputs.pyramid), inputs.condition)
        expect(discriminator_output, DiscriminatorOutput, "a discriminator")
        if not discriminator_output.scales:
            raise BrokenPromise("a discriminator judges at one scale at least", "there is none", "return a ScaleOutput")
        return outputs_by_port(discriminator_output, NO_PORTS)
