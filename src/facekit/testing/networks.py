"""The contracts of the three kinds of networks."""

from __future__ import annotations

from typing import Any, ClassVar

from facekit.interfaces import Generated, Judgement, Style
from facekit.registry import Kind
from facekit.testing.contract import BrokenPromise
from facekit.testing.network import NetworkContract
from facekit.testing.network_inputs import Inputs
from facekit.testing.outputs import Given, expect, generated_tensors
from facekit.testing.own_fields import own_tensors


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
        return {"style": (style.code,), **own_tensors(style, Style, "style")}


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
        return generated_tensors(network(inputs.condition, inputs.style))


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
        judgement = network(Generated(inputs.image), inputs.condition)
        expect(judgement, Judgement, "a discriminator")
        if not judgement.scales:
            raise BrokenPromise(
                "a discriminator judges at one scale at least", "there is none", "return a ScaleJudgement"
            )
        found: dict[str, Any] = {"judgement": tuple(scale.logits for scale in judgement.scales)}
        features = tuple(feature for scale in judgement.scales for feature in scale.features)
        if features:
            found["judgement.features"] = features
        if judgement.class_logits is not None:
            found["judgement.class_logits"] = (judgement.class_logits,)
        return found | own_tensors(judgement, Judgement, "judgement")
