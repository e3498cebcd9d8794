"""What networks promise: style encoders, generators, discriminators, and those of a family's own."""

from __future__ import annotations

import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from facekit.interfaces import DiscriminatorOutput, Generated, Ports, map_tensors
from facekit.registry import Kind
from facekit.testing.contract import BrokenPromise, ComponentContract, every_form, promise, promised, seeded
from facekit.testing.inputs import Inputs, make_inputs
from facekit.testing.outputs import (
    Given,
    among_others,
    check_given,
    check_gradients_agree,
    difference,
    expect,
    gradients_of,
    named_floats,
    root_mean_square,
    some,
    tensors_in,
)
from facekit.training.convolution_guard import right_gradients
from facekit.training.network_call import RESULTS, mismatch, outputs_by_port

STRONG = 100.0
"""What unbounded inputs are multiplied with to see whether a declared range holds."""

_SPARE = 12_345
"""Added to the seed for inputs that are not declared: they are the same whatever is drawn for those that are."""


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

    @every_form
    @promise
    def test_ports_match(self, size_index: int, batch_index: int) -> None:
        """A component works with what its ports need, and only with that.

        What comes out has the shapes, kinds of numbers and ranges of the ports.
        """
        ports = self.ports(self.sizes[size_index % len(self.sizes)])
        size, batch = self.form(size_index, batch_index, ports)
        network, settled, where = self._network(size), self.settled(size, batch), f"for {batch} of {size}x{size}"
        given = self._run(network, self.inputs(size, batch))
        strong = self._run(network, self.inputs(size, batch, strength=STRONG))
        for port in ports.gives:
            check_given(port, given.get(port.name, ()), settled, where=where)
            if port.value_range is not None:
                check_given(port, strong.get(port.name, ()), settled, where=f"{where} from large inputs")
        if name := difference(given, self._run(network, self.inputs(size, batch, undeclared=True))):
            needs = ", ".join(port.name for port in ports.needs) or "nothing"
            raise BrokenPromise(
                f"{name} changes with inputs that are not declared; declared is {needs}",
                "declare what the component reads (mask, image, attributes, style) in its ports",
            )
        for port in ports.needs:
            if port.optional:
                with promised(f"the optional {port.name!r} can be left out"):
                    self._run(network, self.inputs(size, batch, without=port.name))

    @promise
    def test_gradients_reach_every_parameter(self) -> None:
        """Gradients are finite and reach every parameter.

        The exceptions are those that the contract lists.
        """
        size = max(self.sizes)
        network = self._network(size).train()
        total = self._total(self._run(network, self.inputs(size, max(self.batches)), gradients=True))
        if not total.requires_grad:
            raise BrokenPromise("the results carry no gradient", "is there a detach() or no_grad() too many?")
        total.backward()
        gradients = {name: entry.grad for name, entry in network.named_parameters() if entry.requires_grad}
        if broken := [name for name, each in gradients.items() if each is not None and not each.isfinite().all()]:
            raise BrokenPromise(f"gradients that are not finite in {some(broken)}", "find the division or root")
        missed = {name for name, each in gradients.items() if each is None or not bool(each.any())}
        patterns = self.parameters_without_gradient
        excepted = {name for name in gradients if any(fnmatchcase(name, pattern) for pattern in patterns)}
        if missed - excepted:
            raise BrokenPromise(
                f"none reaches {some(sorted(missed - excepted))}",
                "use these parameters, remove them, or list them in `parameters_without_gradient`",
            )
        if excepted - missed:
            raise BrokenPromise(
                f"a gradient reaches {some(sorted(excepted - missed))}, which the contract excepts",
                "shorten `parameters_without_gradient`",
            )

    @promise
    def test_eval_is_deterministic(self) -> None:
        """In eval mode the same inputs give the same result, whatever the global random state is."""
        network, inputs = self._small()
        if name := difference(self._run(network, inputs), self._run(network, inputs, seed=self.seed + 1)):
            raise BrokenPromise(
                f"{name} differs between two passes",
                "draw noise only while self.training, and update no state in eval mode",
            )

    @promise
    def test_samples_are_independent(self) -> None:
        """In eval mode one sample's result does not depend on the others of its batch."""
        size, batch = self.sizes[0], max(2, *self.batches)
        network, inputs = self._network(size), self.inputs(size, batch)
        others = self.inputs(size, batch, seed=self.seed + 1)
        alone, among = (
            {name: tuple(tensor[:1] for tensor in tensors) for name, tensors in self._run(network, each).items()}
            for each in (inputs, among_others(inputs, others))
        )
        name = difference(alone, among)
        if name and not self.spec.batch_dependent:
            raise BrokenPromise(
                f"{name} of the first sample changes when the other {batch - 1} are exchanged",
                "use norms over the sample (instance, group, layer), or declare batch_dependent=True in the spec",
            )
        if not name and self.spec.batch_dependent:
            raise BrokenPromise(
                "the first sample's result stays when the others are exchanged",
                "remove batch_dependent=True, which costs a joint pass",
                "a component that declares batch_dependent is",
            )

    @promise
    def test_save_and_load(self) -> None:
        """What is saved is all that a result depends on."""
        network, inputs = self._small()
        fresh = cast("nn.Module", self.build(self.sizes[0], seed=self.seed + 1)).eval()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "weights.safetensors"
            save_file({name: value.contiguous().clone() for name, value in network.state_dict().items()}, file)
            try:
                fresh.load_state_dict(load_file(file))
            except RuntimeError as error:
                seen = f"the weights do not fit: {error}"
                raise BrokenPromise(seen, "names and shapes follow options alone") from error
        if name := difference(self._run(network, inputs), self._run(fresh, inputs)):
            raise BrokenPromise(
                f"{name} differs after saving and loading",
                "register tensors that matter as parameters or persistent buffers",
            )

    @promise
    def test_bf16_agrees(self) -> None:
        """Under bf16 autocast the result agrees with fp32 within ``bf16_tolerance``."""
        network, inputs = self._small()
        full = self._run(network, inputs)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = self._run(network, inputs)
        self._agree(full, half, self.bf16_tolerance, "raise `bf16_tolerance`, or compute that part in fp32")

    @promise
    def test_channels_last_agrees(self) -> None:
        """In channels-last order results and gradients agree with the usual order.

        Results may differ by ``channels_last_tolerance``. Gradients of parameters and of inputs may differ by
        ``channels_last_gradient_tolerance`` of their root mean square, or of a hundredth of that of the largest
        gradient where theirs is smaller. Right layers leave up to 1e-3, wrong ones are off by 0.1 to 2.

        Both passes run under the guard that training has (:func:`facekit.training.convolution_guard.right_gradients`):
        what torch computes wrong and training mends is no broken promise; what training would get wrong is one.
        """
        network, inputs = self._small()
        order = torch.channels_last
        with right_gradients(torch.device("cpu")):
            usual, gradients = self._results_and_gradients(network, inputs)
            network.to(memory_format=order)
            arranged = map_tensors(
                inputs, lambda each: each.contiguous(memory_format=order) if each.dim() == 4 else each
            )
            other, others = self._results_and_gradients(network, arranged)
        remedy = "never read the memory order: no view(), no strides"
        self._agree(usual, other, self.channels_last_tolerance, remedy)
        check_gradients_agree(gradients, others, self.channels_last_gradient_tolerance)

    @promise
    def test_fake_tensors(self) -> None:
        """A recipe's shapes can be checked without computing anything.

        The component, or the probe it declares, builds and runs forward and backward on fake tensors.
        """
        size, batch = self.sizes[0], max(self.batches)
        settled, ports = self.settled(size, batch), self.ports(size)
        try:
            with seeded(self.seed), FakeTensorMode(allow_non_fake_inputs=True):
                network = self.spec.build_probe(self.validated(), self.build_context(size))
                given = self.given(network, self.inputs(size, batch))
                sum((tensor.float().mean() for tensor in tensors_in(given)), torch.zeros(())).backward()
        except Exception as error:
            raise BrokenPromise(
                f"{type(error).__name__} on fake tensors: {error}",
                "do not look at numbers (item(), bool(), nonzero) in forward, or declare `probe=` in the spec",
            ) from error
        for port in ports.gives if self.spec.probe else ():
            if wrong := mismatch(port, given.get(port.name, ()), settled):
                raise BrokenPromise(f"{wrong}, on fake tensors", "correct the probe")

    def given(self, network: Any, inputs: Inputs) -> Given:
        """Call a style encoder, a generator or a discriminator as facekit does."""
        arguments: dict[str, tuple[Any, ...]] = {
            "style_encoder": (inputs.image, inputs.mask),
            "generator": (inputs.condition, inputs.style),
            "discriminator": (Generated(inputs.image, inputs.pyramid), inputs.condition),
        }
        result = network(*arguments[self.kind])
        expect(result, RESULTS[self.kind], f"a {self.kind.replace('_', ' ')}")
        if isinstance(result, DiscriminatorOutput) and not result.scales:
            raise BrokenPromise("there is none", "return a ScaleOutput", "a discriminator gives one scale at least")
        return outputs_by_port(result, Ports())

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
            [port for port in self.ports(size).needs if port.name != without],
            self.settled(size, batch),
            seed=self.seed if seed is None else seed,
            spare_seed=self.seed + _SPARE,
            strength=strength,
            undeclared=undeclared,
        )

    def _network(self, size: int) -> nn.Module:
        network = self.build(size)
        if not isinstance(network, nn.Module):
            seen = f"the factory returned a {type(network).__name__}"
            raise BrokenPromise(seen, "return the module", "a network is a torch.nn.Module")
        return network.eval()

    def _small(self) -> tuple[nn.Module, Inputs]:
        """Return a network for the smallest size, and inputs."""
        return self._network(self.sizes[0]), self.inputs(self.sizes[0], max(self.batches))

    def _run(self, network: nn.Module, inputs: Inputs, *, gradients: bool = False, seed: int | None = None) -> Given:
        with seeded(self.seed if seed is None else seed), torch.set_grad_enabled(gradients):
            given = self.given(network, inputs)
        return given if gradients else {name: tuple(t.clone() for t in value) for name, value in given.items()}

    def _results_and_gradients(self, network: nn.Module, inputs: Inputs) -> tuple[Given, dict[str, Tensor]]:
        """Return what a network gives, and the gradients of parameters and inputs of a scalar that depends on it."""
        trainable = map_tensors(inputs, lambda tensor: tensor.detach().requires_grad_(tensor.is_floating_point()))
        # Copies, so that a network may work in place on what it is given.
        given = self._run(network, map_tensors(trainable, Tensor.clone), gradients=True)
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

    def _agree(self, first: Given, second: Given, tolerance: float, remedy: str) -> None:
        for name, tensors in first.items():
            for one, other in zip(tensors, second.get(name, ()), strict=True):
                spread = max(root_mean_square(one.double() - one.double().mean()), 1e-6)
                off = root_mean_square(one.double() - other.double()) / spread
                if not off <= tolerance:
                    raise BrokenPromise(f"{name} is off by {off:.3g} of its deviation, over {tolerance:g}", remedy)


class StyleEncoderContract(NetworkContract):
    """What a style encoder promises.

    Subclass it in a test module, with the spec and the smallest options that show the component's behaviour::

        class TestMyStyle(StyleEncoderContract):
            spec = MY_STYLE
            options = {"filters": 4}
            dimensions = {"style": 16}
    """

    kind: ClassVar[Kind] = "style_encoder"


class GeneratorContract(NetworkContract):
    """What a generator promises. Subclass it as :class:`StyleEncoderContract`."""

    kind: ClassVar[Kind] = "generator"


class DiscriminatorContract(NetworkContract):
    """What a discriminator promises. Subclass it as :class:`StyleEncoderContract`."""

    kind: ClassVar[Kind] = "discriminator"


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

    def given(self, network: Any, inputs: Inputs) -> Given:
        """Call the network with what its ports need."""
        result = network(*inputs.tensors.values())
        given = outputs_by_port(result, self.ports(self.sizes[0]))
        if not given:
            raise BrokenPromise(
                f"it returned a {type(result).__name__}, in which no port is found",
                "return a tensor for one port, a mapping for several, or override `given`",
                "a network gives what its ports say",
            )
        return given
