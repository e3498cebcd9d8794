"""What this plugin offers. Importing this module does not import torch."""

from __future__ import annotations

from facekit.interfaces import ATTRIBUTES, GENERATED, IMAGE, MASK, NoOptions, Options, PortContext, Ports
from facekit.registry import CommandSpec, ComponentSpec, PluginInfo, hookimpl

from .evaluators.options import SegmenterOptions
from .evaluators.specs import evaluator_components
from .fidelity import psnr, ssim
from .options import (
    AttributeAccuracyOptions,
    DensityCoverageOptions,
    FidOptions,
    FrechetDistanceOptions,
    IdentityOptions,
    KidOptions,
    NearestTrainingNeighbourOptions,
    PerceptualDistanceOptions,
    PrecisionRecallOptions,
    PsnrOutsideEditOptions,
    SegmentationAccuracyOptions,
    StyleConsistencyOptions,
    StyleFollowingOptions,
    TextureOptions,
)

SMALLEST_BACKBONE_INPUT = 32

_EXTRACTOR_WEIGHTS = "Apache-2.0 (efficientnet_lite0, inception), BSD-2-Clause (squeezenet)"
_BACKBONE_WEIGHTS = "Apache-2.0 (efficientnet_lite0), BSD-2-Clause (squeezenet, stlpips)"
_EVALUATOR_WEIGHTS = "Apache-2.0 (the encoder's first weights); what the evaluator learned from sets the rest"


def _image_ports(options: Options, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, GENERATED))


def _perceptual_ports(options: PerceptualDistanceOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, GENERATED), smallest_size=SMALLEST_BACKBONE_INPUT)


def _region_ports(options: Options, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, MASK, GENERATED))


def _attribute_ports(options: AttributeAccuracyOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, ATTRIBUTES, GENERATED))


def _segmentation_ports(options: SegmentationAccuracyOptions, context: PortContext) -> Ports:
    attributes = (ATTRIBUTES,) if "attribute_transfer" in options.tasks else ()
    return Ports(needs=(IMAGE, MASK, *attributes, GENERATED))


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what this plugin is."""
    return PluginInfo(summary="How well results follow mask and reference: fidelity, perceptual distance, style")


COMPONENTS = (
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/style_following",
        summary="How often a region's colour in the result is nearer to its own reference than to another photo.",
        options=StyleFollowingOptions,
        factory="facekit_metrics.style:build_following",
        ports=_region_ports,
        example={"regions": ["skin", "hair"]},
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/changes_with_reference",
        summary="How much a result changes when another photo gives the style.",
        options=NoOptions,
        factory="facekit_metrics.perceptual:build_changes",
        ports=_image_ports,
    ),
    psnr.spec,
    ssim.spec,
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/perceptual_distance",
        summary="Distance of the reconstruction in the features of a named network.",
        options=PerceptualDistanceOptions,
        factory="facekit_metrics.perceptual:build",
        ports=_perceptual_ports,
        paper="Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018 "
        "(form of the distance); Tan and Le, EfficientNet, ICML 2019, Iandola et al., SqueezeNet, 2016, or "
        "Ghildyal and Liu, Shift-tolerant Perceptual Similarity Metric, ECCV 2022 (features)",
        weights_licence=_BACKBONE_WEIGHTS,
        example={"backbone": "efficientnet_lite0"},
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/diversity",
        summary="How different the results of one mask are in different styles, or samples from noise alone.",
        options=PerceptualDistanceOptions,
        factory="facekit_metrics.perceptual:build_diversity",
        ports=_perceptual_ports,
        paper="Zhu et al., Toward Multimodal Image-to-Image Translation, NeurIPS 2017 (the measure); Tan and Le, "
        "EfficientNet, ICML 2019, Iandola et al., SqueezeNet, 2016, or Ghildyal and Liu, ST-LPIPS, ECCV 2022 "
        "(features)",
        weights_licence=_BACKBONE_WEIGHTS,
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/style_consistency",
        summary="How far the colours of a region are from those in the reference: their mean and distribution.",
        options=StyleConsistencyOptions,
        factory="facekit_metrics.style:build_consistency",
        ports=_region_ports,
        example={"regions": ["skin", "hair"]},
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/psnr_outside_edit",
        summary="Peak signal-to-noise ratio where an edit of the mask should have changed nothing.",
        options=PsnrOutsideEditOptions,
        factory="facekit_metrics.fidelity:build_outside_edit",
        ports=_region_ports,
        example={"task": "style_copy"},
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/texture",
        summary="How much fine detail each region has, as a multiple of real photos': 1 is a photo, 0 is flat.",
        options=TextureOptions,
        factory="facekit_metrics.texture:build",
        ports=_region_ports,
        example={"tasks": ["reconstruction"], "regions": {"eyes": ["l_eye", "r_eye"], "hair": ["hair"]}},
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/identity",
        summary="Whether results show the right person, by dlib's face embedding; needs the extra `identity`.",
        options=IdentityOptions,
        factory="facekit_metrics.identity:build",
        ports=_image_ports,
        paper="He et al., Deep Residual Learning for Image Recognition, CVPR 2016 (form of the embedding); Kazemi "
        "and Sullivan, One Millisecond Face Alignment with an Ensemble of Regression Trees, CVPR 2014 (landmarks)",
        weights_licence="CC0-1.0 (both files, from dlib-models)",
        example={"tasks": ["reconstruction"]},
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/fid",
        summary="Fréchet Inception distance between results and real photos; needs the weights of 2015 in a file.",
        options=FidOptions,
        factory="facekit_metrics.sets:build_fid",
        ports=_image_ports,
        paper="Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium, "
        "NeurIPS 2017; Parmar et al., On Aliased Resizing and Surprising Subtleties in GAN Evaluation, CVPR 2022 "
        "(resize)",
        weights_licence="Apache-2.0",
        example={"task": "style_copy", "real": "evaluated"},
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/frechet_distance",
        summary="Fréchet distance between results and real photos in the features of a named network: FD, not FID.",
        options=FrechetDistanceOptions,
        factory="facekit_metrics.sets:build_frechet_distance",
        ports=_image_ports,
        paper="Dowson and Landau, The Fréchet Distance Between Multivariate Normal Distributions, Journal of "
        "Multivariate Analysis, 1982; Tan and Le, EfficientNet, ICML 2019 (features)",
        weights_licence=_EXTRACTOR_WEIGHTS,
        example={"extractor": "efficientnet_lite0"},
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/kid",
        summary="Kernel distance between results and real photos, unbiased for small sets.",
        options=KidOptions,
        factory="facekit_metrics.sets:build_kid",
        ports=_image_ports,
        paper="Bińkowski et al., Demystifying MMD GANs, ICLR 2018",
        weights_licence=_EXTRACTOR_WEIGHTS,
        example={"extractor": "efficientnet_lite0", "subsets": 100},
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/precision_recall",
        summary="The share of results that lie among real photos, and of real photos that lie among results.",
        options=PrecisionRecallOptions,
        factory="facekit_metrics.sets:build_precision_recall",
        ports=_image_ports,
        paper="Kynkäänniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, NeurIPS 2019",
        weights_licence=_EXTRACTOR_WEIGHTS,
        example={"k": 3},
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/density_coverage",
        summary="How thickly real photos surround the results, and the share of real photos with a result nearby.",
        options=DensityCoverageOptions,
        factory="facekit_metrics.sets:build_density_coverage",
        ports=_image_ports,
        paper="Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, ICML 2020",
        weights_licence=_EXTRACTOR_WEIGHTS,
        example={"k": 5},
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/nearest_training_neighbour",
        summary="Are results copies? Their distance to the nearest training photo, beside that of unseen photos.",
        options=NearestTrainingNeighbourOptions,
        factory="facekit_metrics.sets:build_nearest",
        ports=_image_ports,
        paper="Meehan et al., A Non-Parametric Test to Detect Data-Copying in Generative Models, AISTATS 2020 "
        "(the share of pairs)",
        weights_licence=_EXTRACTOR_WEIGHTS,
        example={"training": "train"},
    ),
    ComponentSpec(
        interface_version=1,
        kind="metric",
        id="metrics/attribute_accuracy",
        summary="How often a classifier of its own sees the attributes that results should have.",
        options=AttributeAccuracyOptions,
        factory="facekit_metrics.attribute_accuracy:build",
        ports=_attribute_ports,
        paper="Tan and Le, EfficientNet, ICML 2019 (the classifier's encoder)",
        weights_licence=_EVALUATOR_WEIGHTS,
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
        weights_licence=_EVALUATOR_WEIGHTS,
    ),
    *evaluator_components(),
    ComponentSpec(
        interface_version=1,
        kind="segmenter",
        id="metrics/segmenter",
        summary="Says of each pixel of a photo which class it belongs to; a run made an evaluator.",
        options=SegmenterOptions,
        factory="facekit_metrics.evaluators.trained:build",
        paper="Ronneberger et al., U-Net, MICCAI 2015 (form of the decoder); Tan and Le, EfficientNet, ICML 2019",
        weights_licence="Apache-2.0 (the encoder's first weights); what it learned from sets the rest",
    ),
)
"""Every component of this plugin."""


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the metrics, and what recipes of evaluators are made of."""
    return [*COMPONENTS]


@hookimpl
def facekit_commands() -> list[CommandSpec]:
    """Offer the commands for evaluators."""
    return [
        CommandSpec(
            name="evaluator add",
            summary="Make the network of a run an evaluator.",
            target="facekit_metrics.evaluators.command:add",
        ),
        CommandSpec(
            name="evaluator ls",
            summary="List the evaluators.",
            target="facekit_metrics.evaluators.command:list_evaluators",
        ),
    ]
