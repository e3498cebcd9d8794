"""The contracts of the three kinds of networks."""

from __future__ import annotations

from typing import Any, ClassVar

from facekit.interfaces import DiscriminatorOutput, Generated, Style
from facekit.registry import Kind
from facekit.testing.contract import BrokenPromise
from facekit.testing.network import NetworkContract
from facekit.testing.network_inputs import Inputs
from facekit.testing.outputs import Given, expect
from facekit.training.network_call import NO_PORTS, outputs_by_port


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
        """Paint the condition."""
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
        """Judge the pictures."""
        discriminator_output = network(Generated(inputs.image, inputs.pyramid), inputs.condition)
        expect(discriminator_output, DiscriminatorOutput, "a discriminator")
        if not discriminator_output.scales:
            raise BrokenPromise("a discriminator judges at one scale at least", "there is none", "return a ScaleOutput")
        return outputs_by_port(discriminator_output, NO_PORTS)
