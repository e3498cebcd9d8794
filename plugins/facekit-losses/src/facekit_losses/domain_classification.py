"""Domain classification: a discriminator that reads attributes, and results that show those that were asked for."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import DISCRIMINATOR, BuildContext, DiscriminatorOutput, FacekitError, Step
from facekit_gan import condition_of, discriminate, real

from .fakes import fakes_of
from .numeric import at_least_float32
from .options import AnyResults, DomainClassificationOptions


def domain_classification_loss(discriminator_output: DiscriminatorOutput, attributes: Tensor | None) -> Tensor:
    """Return the cross-entropy between the attributes that a discriminator reads and those that there should be.

    Choi et al., CVPR 2018, equations 2 and 3: summed over attributes, which may occur together, and averaged over
    pictures.

    Args:
        discriminator_output: discriminator_output of N pictures, with class logits (N, A).
        attributes: (N, A) in {0, 1}.

    Returns:
        a scalar.

    Raises:
        FacekitError: the discriminator does not classify, there are no attributes, or not as many as it classifies.
    """
    if discriminator_output.class_logits is None:
        raise FacekitError(
            "this loss reads the attributes that the discriminator sees, and the discriminator gives none",
            remedy="take one that classifies, such as multiscale_patch with `classify: true`",
        )
    if attributes is None:
        raise FacekitError("this loss compares attributes, and the data has none")
    logits = at_least_float32(discriminator_output.class_logits)
    if logits.shape != attributes.shape:
        raise FacekitError(
            f"the discriminator classifies {logits.shape[1]} attributes, and there are {attributes.shape[1]}",
            remedy="`data.attributes` chooses those of the data",
        )
    return F.binary_cross_entropy_with_logits(logits, attributes.to(logits), reduction="sum") / len(logits)


@dataclass(frozen=True, kw_only=True)
class DomainClassificationLoss:
    """The classification of either player: the discriminator's in turns that train it, else the generator's.

    The discriminator learns from photos and their attributes. The generator's results are to show the attributes of
    their conditions.

    Args:
        results: which fakes; see :class:`facekit_losses.options.DomainClassificationOptions`.
        faces: how many faces of the batch are made in the style of another; None for all.
    """

    results: AnyResults = "shuffled_attributes"
    faces: int | None = None

    def __call__(self, step: Step) -> Tensor:
        """Return the loss of the player whose turn it is, a scalar."""
        if DISCRIMINATOR in step.trained:
            return domain_classification_loss(discriminate(step, real(step)), step.batch.attributes)
        made = fakes_of(step, self.results, self.faces)
        return domain_classification_loss(discriminate(step, made), condition_of(step, made).attributes)


def build(options: DomainClassificationOptions, context: BuildContext) -> DomainClassificationLoss:
    """Build the loss from a recipe's options."""
    return DomainClassificationLoss(results=options.results, faces=options.shuffled_faces)
