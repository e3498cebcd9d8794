"""What this plugin offers. Importing this module does not import torch."""

from __future__ import annotations

from facekit.interfaces import (
    ANY_STYLE,
    ATTRIBUTES,
    DISCRIMINATOR_CLASS_LOGITS,
    DISCRIMINATOR_FEATURES,
    DISCRIMINATOR_OUTPUT,
    GENERATED,
    IMAGE,
    MASK,
    FacekitError,
    NoOptions,
    Port,
    PortContext,
    Ports,
    did_you_mean,
)
from facekit.registry import ComponentSpec, LeastShare, PluginInfo, hookimpl

from .options import (
    AdversarialOptions,
    DomainClassificationOptions,
    GradientPenaltyOptions,
    KlOptions,
    LowResolutionColourOptions,
    PerceptualOptions,
    R1PenaltyOptions,
    RegionColourOptions,
)

_STARGAN = (
    "Choi et al., StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation, "
    "CVPR 2018"
)

SMALLEST_BACKBONE_INPUT = 32
"""Both perceptual backbones halve the picture five times."""


def _adversarial_ports(options: AdversarialOptions, context: PortContext) -> Ports:
    if options.shuffled_style or options.results == "shuffled_style":
        return Ports(needs=(IMAGE, GENERATED, DISCRIMINATOR_OUTPUT, ANY_STYLE), smallest_batch=2)
    if options.results == "shuffled_attributes":
        return Ports(needs=(IMAGE, ATTRIBUTES, GENERATED, DISCRIMINATOR_OUTPUT), smallest_batch=2)
    return Ports(needs=(IMAGE, GENERATED, DISCRIMINATOR_OUTPUT))


def _feature_matching_ports(options: NoOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, GENERATED, DISCRIMINATOR_FEATURES))


def _perceptual_ports(options: PerceptualOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, GENERATED), smallest_size=SMALLEST_BACKBONE_INPUT)


def _l1_ports(options: NoOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, GENERATED))


def _low_resolution_colour_ports(options: LowResolutionColourOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, GENERATED), smallest_size=options.grid, size_multiple=options.grid)


def _region_colour_ports(options: RegionColourOptions, context: PortContext) -> Ports:
    # Which label map the data has is not known yet; a name that none has is a mistake all the same.
    known = sorted({name for label_map in context.label_maps.values() for name in label_map.names})
    for name in options.regions:
        if known and name not in known:
            raise FacekitError(
                f"no label map has a class {name!r}",
                where=f"regions.{name}",
                remedy=did_you_mean(name, known) or f"classes: {', '.join(known)}",
            )
    if options.shuffled_style:
        return Ports(needs=(IMAGE, MASK, GENERATED, ANY_STYLE), smallest_batch=2)
    return Ports(needs=(IMAGE, MASK, GENERATED))


def _cycle_reconstruction_ports(options: NoOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, ATTRIBUTES, GENERATED), smallest_batch=2)


def _domain_classification_ports(options: DomainClassificationOptions, context: PortContext) -> Ports:
    judged = (IMAGE, ATTRIBUTES, DISCRIMINATOR_CLASS_LOGITS)
    if context.player == "discriminator":
        return Ports(needs=judged)
    if options.results == "shuffled_style":
        return Ports(needs=(*judged, GENERATED, ANY_STYLE), smallest_batch=2)
    return Ports(needs=(*judged, GENERATED), smallest_batch=2 if options.results == "shuffled_attributes" else 1)


def _gradient_penalty_ports(options: GradientPenaltyOptions, context: PortContext) -> Ports:
    if options.results == "shuffled_attributes":
        return Ports(needs=(IMAGE, ATTRIBUTES, GENERATED, DISCRIMINATOR_OUTPUT), smallest_batch=2)
    return Ports(needs=(IMAGE, GENERATED, DISCRIMINATOR_OUTPUT))


def _r1_penalty_ports(options: R1PenaltyOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, DISCRIMINATOR_OUTPUT))


def _kl_ports(options: KlOptions, context: PortContext) -> Ports:
    named = [Port(f"style.{name}", ("batch",), leading=True) for name in ("mean", "log_variance")]
    return Ports(needs=tuple(named))


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what this plugin is."""
    return PluginInfo(
        summary="Adversarial, feature matching, perceptual, colour and attribute losses, and gradient penalties"
    )


COMPONENTS = (
    ComponentSpec(
        interface_version=1,
        kind="loss",
        id="losses/adversarial",
        summary="Adversarial loss: least squares, cross-entropy, hinge, Wasserstein or relativistic average hinge.",
        options=AdversarialOptions,
        factory="facekit_losses.adversarial:build",
        ports=_adversarial_ports,
        example={"objective": "hinge"},
        paper="Goodfellow et al., NeurIPS 2014; Mao et al., ICCV 2017; Lim and Ye, 2017; "
        "Arjovsky et al., ICML 2017; Jolicoeur-Martineau, ICLR 2019",
        players=("generator", "discriminator"),
        least_share=LeastShare(0.05, "the other losses decide what is learnt, and the recipe is a regression"),
    ),
    ComponentSpec(
        interface_version=1,
        kind="loss",
        id="losses/feature_matching",
        summary="Mean absolute difference between the discriminator's feature maps of result and photo.",
        options=NoOptions,
        factory="facekit_losses.feature_matching:build",
        ports=_feature_matching_ports,
        paper="Wang et al., High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs, CVPR 2018",
    ),
    ComponentSpec(
        interface_version=1,
        kind="loss",
        id="losses/perceptual",
        summary="Difference between result and photo in the features of a frozen ImageNet network.",
        options=PerceptualOptions,
        factory="facekit_losses.perceptual:build",
        ports=_perceptual_ports,
        example={
            "backbone": "efficientnet_lite0",
            "layers": ["stem", "block4", "block10"],
            "layer_weights": [0.2, 0.3, 0.5],
        },
        paper="Johnson et al., Perceptual Losses for Real-Time Style Transfer and Super-Resolution, ECCV 2016",
        weights_licence="Apache-2.0 (EfficientNet-Lite0); BSD-3-Clause (torchvision's VGG19)",
    ),
    ComponentSpec(
        interface_version=1,
        kind="loss",
        id="losses/l1",
        summary="Mean absolute difference between the pixels of result and photo.",
        options=NoOptions,
        factory="facekit_losses.l1:build",
        ports=_l1_ports,
        paper="Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017",
    ),
    ComponentSpec(
        interface_version=1,
        kind="loss",
        id="losses/low_resolution_colour",
        summary="Mean absolute difference between result and photo, both averaged to a coarse grid.",
        options=LowResolutionColourOptions,
        factory="facekit_losses.low_resolution_colour:build",
        ports=_low_resolution_colour_ports,
        example={"grid": 16},
    ),
    ComponentSpec(
        interface_version=1,
        kind="loss",
        id="losses/region_colour",
        summary="Difference between the colours of a region in the result and in the photo whose look is wanted.",
        options=RegionColourOptions,
        factory="facekit_losses.region_colour:build",
        ports=_region_colour_ports,
        example={"shuffled_style": 1, "own": 1, "area": 0.5, "regions": {"hair": 4, "skin": 2}},
    ),
    ComponentSpec(
        interface_version=1,
        kind="loss",
        id="losses/cycle_reconstruction",
        summary="Difference between a photo and the same with its attributes changed and changed back.",
        options=NoOptions,
        factory="facekit_losses.cycle_reconstruction:build",
        ports=_cycle_reconstruction_ports,
        paper=_STARGAN,
    ),
    ComponentSpec(
        interface_version=1,
        kind="loss",
        id="losses/domain_classification",
        summary="The discriminator reads attributes off photos; results are to show the wanted ones.",
        options=DomainClassificationOptions,
        factory="facekit_losses.domain_classification:build",
        ports=_domain_classification_ports,
        example={"results": "shuffled_style"},
        paper=_STARGAN,
        players=("generator", "discriminator"),
    ),
    ComponentSpec(
        interface_version=1,
        kind="loss",
        id="losses/gradient_penalty",
        summary="Keeps the slope of the discriminator between photos and results near 1 (WGAN-GP), in fp32.",
        options=GradientPenaltyOptions,
        factory="facekit_losses.gradient_penalty:build",
        ports=_gradient_penalty_ports,
        paper="Gulrajani et al., Improved Training of Wasserstein GANs, NeurIPS 2017",
        players=("discriminator",),
    ),
    ComponentSpec(
        interface_version=1,
        kind="loss",
        id="losses/r1_penalty",
        summary="Keeps the slope of the discriminator at photos small (R1), in fp32.",
        options=R1PenaltyOptions,
        factory="facekit_losses.r1_penalty:build",
        ports=_r1_penalty_ports,
        paper="Mescheder et al., Which Training Methods for GANs do actually Converge?, ICML 2018",
        players=("discriminator",),
    ),
    ComponentSpec(
        interface_version=1,
        kind="loss",
        id="losses/kl",
        summary="Divergence of the style encoder's distribution from the standard normal.",
        options=KlOptions,
        factory="facekit_losses.kl:build",
        ports=_kl_ports,
        paper="Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014",
    ),
)
"""Every component of this plugin."""


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the losses."""
    return [*COMPONENTS]
