"""The components that recipes of evaluators are made of. Importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from facekit.interfaces import ATTRIBUTES, GENERATED, IMAGE, MASK, NoOptions, Port, PortContext, Ports
from facekit.registry import ComponentSpec

from .losses import mask_cross_entropy, mask_dice
from .options import (
    ATTRIBUTE_MAP,
    CLASSIFIER_LOGITS,
    KNOWN,
    MASK_MAP,
    SEGMENTER_LOGITS,
    EvaluatorPhotosOptions,
)
from .photos import ports as photo_ports

_EFFICIENTNET = "Tan and Le, EfficientNet, ICML 2019 (the encoder)"
_SEGMENTER_PAPER = f"Ronneberger et al., U-Net, MICCAI 2015 (form of the decoder); {_EFFICIENTNET}"
_KNOWN = Port(KNOWN, ("batch", "attributes"), dtype="binary", value_range=(0.0, 1.0), optional=True)


def _segmenter_ports(options: NoOptions, context: PortContext) -> Ports:
    half = context.size // 2
    logits = replace(SEGMENTER_LOGITS, shape=("batch", "classes", half, half))
    return Ports(needs=(IMAGE,), gives=(logits,), smallest_size=64, size_multiple=32)


def _always(ports: Ports) -> Callable[[NoOptions, PortContext], Ports]:
    return lambda options, context: ports


COMPONENTS = (
    ComponentSpec(
        interface_version=1,
        kind="dataset",
        id="metrics/evaluator_photos",
        summary="Other datasets as evaluators learn from them: several together, never photos that are measured.",
        options=EvaluatorPhotosOptions,
        factory="facekit_metrics.evaluators.photos:build",
        ports=photo_ports,
        example={"of": [{"use": "celebamask_hq", "root": "data/CelebAMask-HQ"}], "splits": ["train", "extra"]},
    ),
    ComponentSpec(
        interface_version=1,
        kind="network",
        id="metrics/face_segmenter",
        summary="Reads from a photo which class each pixel belongs to: EfficientNet-Lite0 and a decoder.",
        options=NoOptions,
        factory="facekit_metrics.evaluators.networks:build_segmenter",
        ports=_segmenter_ports,
        paper=_SEGMENTER_PAPER,
        weights_licence="Apache-2.0 (the encoder's first weights)",
    ),
    ComponentSpec(
        interface_version=1,
        kind="network",
        id="metrics/attribute_classifier",
        summary="Reads from a photo which attributes it shows: EfficientNet-Lite0 and one layer.",
        options=NoOptions,
        factory="facekit_metrics.evaluators.networks:build_classifier",
        ports=_always(Ports((IMAGE,), (CLASSIFIER_LOGITS,), smallest_size=64, size_multiple=32)),
        paper=_EFFICIENTNET,
        weights_licence="Apache-2.0 (the encoder's first weights)",
    ),
    mask_cross_entropy.spec,
    mask_dice.spec,
    ComponentSpec(
        interface_version=1,
        kind="loss",
        id="metrics/attribute_cross_entropy",
        summary="Binary cross-entropy of what the classifier says of varied photos, balanced between yes and no.",
        options=NoOptions,
        factory="facekit_metrics.evaluators.attribute_loss:build",
        ports=_always(Ports(needs=(IMAGE, ATTRIBUTES, _KNOWN, CLASSIFIER_LOGITS))),
    ),
    ComponentSpec(
        interface_version=1,
        kind="sampler",
        id="metrics/mask_reader",
        summary="Shows the mask that the segmenter reads from a photo, in the colours of its classes.",
        options=NoOptions,
        factory="facekit_metrics.evaluators.samplers:build_mask_reader",
        ports=_always(Ports(needs=(IMAGE,), gives=(GENERATED, MASK_MAP))),
    ),
    ComponentSpec(
        interface_version=1,
        kind="sampler",
        id="metrics/attribute_reader",
        summary="Shows a photo over a row of fields, one an attribute, bright where the classifier sees it.",
        options=NoOptions,
        factory="facekit_metrics.evaluators.samplers:build_attribute_reader",
        ports=_always(Ports(needs=(IMAGE,), gives=(GENERATED, ATTRIBUTE_MAP))),
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/mean_iou",
        summary="How well a recipe's own segmenter reads masks: pixel accuracy and intersection over union.",
        options=NoOptions,
        factory="facekit_metrics.evaluators.accuracy:build_mean_iou",
        ports=_always(Ports(needs=(IMAGE, MASK, GENERATED, MASK_MAP))),
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/classification_accuracy",
        summary="How often a recipe's own classifier is right, of each attribute and in the mean.",
        options=NoOptions,
        factory="facekit_metrics.evaluators.accuracy:build_classification_accuracy",
        ports=_always(Ports(needs=(IMAGE, ATTRIBUTES, GENERATED, ATTRIBUTE_MAP))),
    ),
)
"""Every component of this plugin."""


def evaluator_components() -> list[ComponentSpec]:
    """Return the specs of datasets, networks, losses, samplers and metrics of evaluators."""
    return [*COMPONENTS]
