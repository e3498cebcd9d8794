"""A whole plugin in one file: a loss. Use it with ``facekit run RECIPE --plugin-file squared_error.py``."""

from facekit.interfaces import GENERATED, IMAGE, Options, Ports
from facekit.registry import ComponentSpec, hookimpl


class SquaredErrorOptions(Options):
    """What a recipe can set; unknown keys are mistakes."""

    border: int = 0
    """Pixels at the border that are left out."""


@hookimpl
def facekit_components():
    """Say what the plugin offers. Called without torch being imported."""
    return [
        ComponentSpec(
            interface_version=1,
            kind="loss",
            id="example/squared_error",
            summary="Mean squared difference between the pixels of result and photo.",
            options=SquaredErrorOptions,
            factory="squared_error:build",
            ports=lambda options, context: Ports(needs=(IMAGE, GENERATED)),
        )
    ]


def build(options, context):
    """Build the loss; only now is torch needed."""

    def squared_error(step):
        difference = step.fake.image - step.real.image
        border = options.border
        if border:
            difference = difference[..., border:-border, border:-border]
        return difference.square().mean()

    return squared_error
