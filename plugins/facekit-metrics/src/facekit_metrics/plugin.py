"""What this plugin offers. Importing this module does not import torch."""

from __future__ import annotations

from facekit.interfaces import GENERATED, IMAGE, MASK, NoOptions, Options, PortContext, Ports
from facekit.registry import CommandSpec, ComponentSpec, PluginInfo, hookimpl

from .evaluator_specs import evaluator_metrics
from .evaluators.options import SegmenterOptions
from .evaluators.specs import evaluator_components
from .identity_options import IdentityOptions
from .options import (
    PerceptualDistanceOptions,
    PsnrOutsideEditOptions,
    StyleConsistencyOptions,
    StyleFollowingOptions,
)
from .set_specs import set_metrics
from .texture_options import TextureOptions

SSIM_WINDOW = 11
SMALLEST_BACKBONE_INPUT = 32


def _picture_ports(options: Options, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, GENERATED))


def _ssim_ports(options: NoOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, GENERATED), smallest_size=SSIM_WINDOW)


def _perceptual_ports(options: PerceptualDistanceOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, GENERATED), smallest_size=SMALLEST_BACKBONE_INPUT)


def _region_ports(options: Options, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, MASK, GENERATED))


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what this plugin is."""
    return PluginInfo(summary="How well results follow mask and reference: fidelity, perceptual distance, style")


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the metrics."""
    return [
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/style_following",
            summary="How often a region's colour in the result is nearer to its own reference than to another photo.",
            options=StyleFollowingOptions,
            factory="facekit_metrics.style_following:build",
            ports=_region_ports,
            example={"regions": ["skin", "hair"]},
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/changes_with_reference",
            summary="How much a result changes when another photo gives the look.",
            options=NoOptions,
            factory="facekit_metrics.changes_with_reference:build",
            ports=_picture_ports,
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/psnr",
            summary="Peak signal-to-noise ratio of the reconstruction.",
            options=NoOptions,
            factory="facekit_metrics.psnr:build",
            ports=_picture_ports,
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/ssim",
            summary="Structural similarity of the reconstruction.",
            options=NoOptions,
            factory="facekit_metrics.ssim:build",
            ports=_ssim_ports,
            paper="Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, "
            "IEEE Transactions on Image Processing, 2004",
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/perceptual_distance",
            summary="Distance of the reconstruction in the features of a named network.",
            options=PerceptualDistanceOptions,
            factory="facekit_metrics.perceptual_distance:build",
            ports=_perceptual_ports,
            paper="Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018 "
            "(form of the distance); Tan and Le, EfficientNet, ICML 2019, Iandola et al., SqueezeNet, 2016, or "
            "Ghildyal and Liu, Shift-tolerant Perceptual Similarity Metric, ECCV 2022 (features)",
            weights_licence="Apache-2.0 (efficientnet_lite0), BSD-2-Clause (squeezenet, stlpips)",
            example={"backbone": "efficientnet_lite0"},
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/diversity",
            summary="How different the results of one mask are in different looks, or samples from noise alone.",
            options=PerceptualDistanceOptions,
            factory="facekit_metrics.diversity:build",
            ports=_perceptual_ports,
            paper="Zhu et al., Toward Multimodal Image-to-Image Translation, NeurIPS 2017 (the measure); Tan and Le, "
            "EfficientNet, ICML 2019, Iandola et al., SqueezeNet, 2016, or Ghildyal and Liu, ST-LPIPS, ECCV 2022 "
            "(features)",
            weights_licence="Apache-2.0 (efficientnet_lite0), BSD-2-Clause (squeezenet, stlpips)",
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/style_consistency",
            summary="How far the colours of a region are from those in the reference: their mean and distribution.",
            options=StyleConsistencyOptions,
            factory="facekit_metrics.style_consistency:build",
            ports=_region_ports,
            example={"regions": ["skin", "hair"]},
        ),
        ComponentSpec(
            interface_version=1,
            kind="metric",
            id="metrics/psnr_outside_edit",
            summary="Peak signal-to-noise ratio where an edit of the mask should have changed nothing.",
            options=PsnrOutsideEditOptions,
            factory="facekit_metrics.psnr_outside_edit:build",
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
            ports=_picture_ports,
            paper="He et al., Deep Residual Learning for Image Recognition, CVPR 2016 (form of the embedding); Kazemi "
            "and Sullivan, One Millisecond Face Alignment with an Ensemble of Regression Trees, CVPR 2014 (landmarks)",
            weights_licence="CC0-1.0 (both files, from dlib-models)",
            example={"tasks": ["reconstruction"]},
        ),
        *set_metrics(),
        *evaluator_metrics(),
        *evaluator_components(),
        ComponentSpec(
            interface_version=1,
            kind="segmenter",
            id="metrics/segmenter",
            summary="Says of each pixel of a photo which class it belongs to; a run made an evaluator.",
            options=SegmenterOptions,
            factory="facekit_metrics.evaluators.segmenter:build",
            paper="Ronneberger et al., U-Net, MICCAI 2015 (form of the decoder); Tan and Le, EfficientNet, ICML 2019",
            weights_licence="Apache-2.0 (the encoder's first weights); what it learned from sets the rest",
        ),
    ]


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
