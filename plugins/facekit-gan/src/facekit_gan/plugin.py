"""What this library offers to recipes. Importing this module does not import torch."""

from __future__ import annotations

from dataclasses import replace

from facekit.interfaces import IMAGE, MASK, Options, PortContext, Ports
from facekit.registry import ComponentSpec, PluginInfo, hookimpl

from .options import AdaOptions, DiffAugmentOptions


def _ports(options: Options, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, replace(MASK, optional=True)))


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what this plugin is."""
    return PluginInfo(summary="Augmentation in front of discriminators: DiffAugment and adaptive augmentation.")


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the augmentations."""
    return [
        ComponentSpec(
            interface_version=1,
            kind="augmentation",
            id="gan/diffaugment",
            summary="Colour, translation and cutout of everything that discriminators are shown.",
            options=DiffAugmentOptions,
            factory="facekit_gan.diffaugment:build",
            ports=_ports,
            paper="Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020",
            example={"policy": ["color", "translation", "cutout"]},
        ),
        ComponentSpec(
            interface_version=1,
            kind="augmentation",
            id="gan/ada",
            summary="Augmentation whose probability follows how well the discriminator knows the photos (ADA).",
            options=AdaOptions,
            factory="facekit_gan.ada:build",
            ports=_ports,
            paper="Karras et al., Training Generative Adversarial Networks with Limited Data, NeurIPS 2020",
            example={"target": 0.6},
        ),
    ]
