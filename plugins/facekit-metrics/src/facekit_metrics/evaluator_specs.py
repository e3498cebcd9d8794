"""The metrics that ask evaluators. Importing this module does not import torch."""

from __future__ import annotations

from facekit.interfaces import ATTRIBUTES, GENERATED, IMAGE, MASK, PortContext, Ports
from facekit.registry import ComponentSpec

from .options import AttributeAccuracyOptions, SegmentationAccuracyOptions


def _attribute_ports(options: AttributeAccuracyOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, ATTRIBUTES, GENERATED))


def _segmentation_ports(options: SegmentationAccuracyOptions, context: PortContext) -> Ports:
    attributes = (ATTRIBUTES,) if "attribute_transfer" in options.tasks else ()
    return Ports(needs=(IMAGE, MASK, *attributes, GENERATED))


def evaluator_metrics() -> list[ComponentSpec]:
    """Return the specs of the metrics that ask evaluators."""
    return [
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/attribute_accuracy",
            summary="How often a classifier of its own sees the attributes that results should have.",
            options=AttributeAccuracyOptions,
            factory="facekit_metrics.attribute_accuracy:build",
            ports=_attribute_ports,
            paper="Tan and Le, EfficientNet, ICML 2019 (the classifier's encoder)",
            weights_licence="Apache-2.0 (the encoder's first weights); what the evaluator learned from sets the rest",
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/segmentation_accuracy",
            summary="How much of the mask a segmenter of its own reads from results.",
            options=SegmentationAccuracyOptions,
            factory="facekit_metrics.segmentation_accuracy:build",
            ports=_segmentation_ports,
            paper="Ronneberger et al., U-Net, MICCAI 2015 (form of the segmenter); Tan and Le, EfficientNet, ICML 2019",
            weights_licence="Apache-2.0 (the encoder's first weights); what the evaluator learned from sets the rest",
        ),
    ]
