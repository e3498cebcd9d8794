"""Components that are sound, and break exactly one promise each when their option ``fault`` says so. No torch here."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, field_validator

from facekit.interfaces import (
    ATTRIBUTES,
    DISCRIMINATOR_FEATURES,
    DISCRIMINATOR_OUTPUT,
    GENERATED,
    IMAGE,
    MASK,
    STYLE,
    Options,
    Port,
    PortContext,
    Ports,
)
from facekit.registry import ComponentSpec


class SubjectOptions(Options):
    """Options of a subject."""

    fault: str = ""
    """The promise it breaks."""
    width: int = 4
    """Channels."""


class FilesOptions(SubjectOptions):
    """Options of the dataset."""

    root: str
    """The folder."""


def _style_encoder_ports(options: SubjectOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, MASK), gives=(STYLE,))


def _generator_ports(options: SubjectOptions, context: PortContext) -> Ports:
    return Ports(needs=(MASK, STYLE), gives=(GENERATED,))


def _discriminator_ports(options: SubjectOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, MASK), gives=(DISCRIMINATOR_OUTPUT, DISCRIMINATOR_FEATURES))


def _picture_ports(options: SubjectOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, GENERATED))


LANDMARKS = Port("landmarks", ("batch", "points", 2), value_range=(-1.0, 1.0))
VISIBLE = Port("visible", ("batch", "points"), dtype="binary")
REGIONS = Port("regions", ("batch", "size", "size"), dtype="class_ids", classes=3)


def _dataset_ports(options: FilesOptions, context: PortContext) -> Ports:
    if options.fault in ("no_mask_port", "masks_without_labels", "sound_without_masks"):
        return Ports(gives=(IMAGE,))
    if options.fault.startswith(("extra", "mirror", "sound_with_extra")):
        return Ports(gives=(IMAGE, MASK, LANDMARKS, VISIBLE, REGIONS))
    return Ports(gives=(IMAGE, MASK, ATTRIBUTES) if options.fault == "ports" else (IMAGE, MASK))


MEAN = Port("style.mean", ("batch", "style"))
VARIANCE = Port("style.variance", ("batch", "style"), value_range=(0.0, 1.0))
LATENTS = Port("generated.latents", ("batch", 5))


def _vae_encoder_ports(options: SubjectOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE,), gives=(STYLE, MEAN, VARIANCE))


def _vae_generator_ports(options: SubjectOptions, context: PortContext) -> Ports:
    return Ports(needs=(MEAN, VARIANCE), gives=(GENERATED, LATENTS))


def _divergence_ports(options: SubjectOptions, context: PortContext) -> Ports:
    return Ports(needs=(MEAN, VARIANCE))


def _path_length_ports(options: SubjectOptions, context: PortContext) -> Ports:
    return Ports(needs=(GENERATED, Port("generated.latents", ("batch", 7, "latent"))))


def _spec(kind: Any, ports: Any, options: type[Options] = SubjectOptions, **more: Any) -> ComponentSpec:
    settings: dict[str, Any] = {
        "interface_version": 1,
        "kind": kind,
        "id": f"subjects/{kind}",
        "summary": "A subject.",
        "options": options,
        "factory": f"subject_parts:{kind}",
        "ports": ports,
    }
    return ComponentSpec(**{**settings, **more})


STYLE_ENCODER = _spec("style_encoder", _style_encoder_ports)
GENERATOR = _spec("generator", _generator_ports)
DISCRIMINATOR = _spec("discriminator", _discriminator_ports)
LOSS = _spec("loss", _picture_ports)
METRIC = _spec("metric", _picture_ports)
DATASET = _spec("dataset", _dataset_ports, FilesOptions, factory="subject_files:dataset")
DATASET_WITH_TORCH = _spec("dataset", _dataset_ports, FilesOptions, factory="subject_parts:dataset")

NO_PROBE = _spec("generator", _generator_ports, factory="subject_parts:looks_at_numbers")
WITH_PROBE = _spec(
    "generator", _generator_ports, factory="subject_parts:looks_at_numbers", probe="subject_parts:generator"
)
WRONG_PROBE = _spec("generator", _generator_ports, probe="subject_parts:half_the_size")
MODULATED = _spec("generator", _generator_ports, factory="subject_parts:modulated")
BY_CLASS = _spec("generator", _generator_ports, factory="subject_parts:by_class")
VAE_ENCODER = _spec("style_encoder", _vae_encoder_ports, factory="subject_parts:vae_encoder")
VAE_GENERATOR = _spec("generator", _vae_generator_ports, factory="subject_parts:vae_generator")
DIVERGENCE = _spec("loss", _divergence_ports, factory="subject_parts:divergence")
PATH_LENGTH = _spec("loss", _path_length_ports, factory="subject_parts:path_length")
BATCH_DEPENDENT = _spec("discriminator", _discriminator_ports, batch_dependent=True)


class UnexplainedOptions(SubjectOptions):
    """Has an option without a description."""

    silent: int = 0


class OpenOptions(SubjectOptions):
    """Accepts anything."""

    model_config = ConfigDict(extra="allow")


class ThawedOptions(SubjectOptions):
    """Can be changed."""

    model_config = ConfigDict(frozen=False)


class DriftingOptions(SubjectOptions):
    """Changes each time it is read."""

    strength: int = 1
    """Doubled by its validator."""

    @field_validator("strength")
    @classmethod
    def _double(cls, value: int) -> int:
        return 2 * value


UNEXPLAINED = _spec("generator", _generator_ports, UnexplainedOptions)
OPEN = _spec("generator", _generator_ports, OpenOptions)
THAWED = _spec("generator", _generator_ports, ThawedOptions)
DRIFTING = _spec("generator", _generator_ports, DriftingOptions)
WRONG_EXAMPLE = _spec("generator", _generator_ports, example={"widht": 3})
