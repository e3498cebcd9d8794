"""The networks behind facekit's interfaces. Each is a subclass of its network, so that parameters keep their names."""

from __future__ import annotations

from collections.abc import Sequence

from facekit.interfaces import BuildContext, Condition, DiscriminatorOutput, FacekitError, Generated, ScaleOutput, Style

from .networks import AttributeDiscriminator, AttributeGenerator
from .plugin import DiscriminatorOptions, GeneratorOptions


class StarGanGenerator(AttributeGenerator):
    """The generator as facekit calls it.

    Args:
        options: its options.
        attribute_names: the attributes of the data, in order.
    """

    def __init__(self, options: GeneratorOptions, *, attribute_names: Sequence[str]) -> None:
        super().__init__(
            attributes=len(attribute_names),
            filters=options.filters,
            blocks=options.blocks,
            running=options.statistics == "running",
        )
        self.attribute_names = tuple(attribute_names)

    def forward(self, condition: Condition, style: Style | None) -> Generated:  # type: ignore[override]
        """Return the photos of ``condition.source_image`` with ``condition.attributes``, float32 in [-1, 1].

        Raises:
            FacekitError: there is no photo, there are no attributes, or not as many as the generator was built for.
        """
        photo, attributes = condition.source_image, condition.attributes
        if photo is None:
            raise FacekitError(
                "this generator changes a photo, and there is none", remedy="give source_image to the condition"
            )
        if attributes is None:
            raise FacekitError(
                "this generator gives a photo wanted attributes, and there are none",
                remedy=f"give attributes to the condition: {', '.join(self.attribute_names)}",
            )
        # One by one: `len` of a tensor, and tuples of numbers, would tie traced code to one size of batches.
        if attributes.shape[0] != photo.shape[0] or attributes.shape[1] != self.attributes:
            raise FacekitError(
                f"{attributes.shape[-1]} attributes are wanted of {len(attributes)} photos; this generator changes "
                f"{self.attributes}, and there are {len(photo)} photos",
                remedy=f"give a row for each photo, in this order: {', '.join(self.attribute_names)}",
            )
        return Generated(super().forward(photo, attributes).float())


class StarGanDiscriminator(AttributeDiscriminator):
    """The discriminator as facekit calls it.

    Args:
        options: its options.
        attributes: how many attributes.
        size: picture side in pixels.
    """

    def __init__(self, options: DiscriminatorOptions, *, attributes: int, size: int) -> None:
        super().__init__(attributes=attributes, size=size, filters=options.filters, layers=options.layers)

    def forward(self, picture: Generated, condition: Condition) -> DiscriminatorOutput:  # type: ignore[override]
        """Discriminate images (N, 3, H, W) in [-1, 1]; the condition is not looked at."""
        source, classes = super().forward(picture.image)
        return DiscriminatorOutput((ScaleOutput(source),), classes)


def build_generator(options: GeneratorOptions, context: BuildContext) -> StarGanGenerator:
    """Build the generator for the attributes of ``context``."""
    _check_attributes(context)
    return StarGanGenerator(options, attribute_names=context.attribute_names)


def build_discriminator(options: DiscriminatorOptions, context: BuildContext) -> StarGanDiscriminator:
    """Build the discriminator for the attributes and the picture size of ``context``."""
    _check_attributes(context)
    return StarGanDiscriminator(options, attributes=len(context.attribute_names), size=context.size)


def _check_attributes(context: BuildContext) -> None:
    # Folders tell what they hold only when they are opened, after the ports were joined.
    if not context.attribute_names:
        raise FacekitError(
            "StarGAN changes attributes, and the data has none",
            where="data",
            remedy="take a dataset with attributes, and name those to change in data.attributes",
        )
