"""Components that recipes have no place for: what finds faces, and what reads them."""

from __future__ import annotations

from typing import Any, Literal

from facekit.interfaces import NO_LABELS, BuildContext, FacekitError
from facekit.registry import Registry, UnknownComponent

_INSTALL = {
    "segmenter": "pip install facekit-metrics, and train one: `facekit run evaluators/segmenter`, then "
    "`facekit evaluator add RUN`",
    "face_detector": "pip install facekit-mtcnn; or use --aligned for photos that are squares around faces",
}


def build_by_name(registry: Registry, kind: Literal["segmenter", "face_detector"], name: str) -> Any:
    """Build a segmenter or a face detector with its default options.

    Raises:
        FacekitError: nobody offers it, or it cannot be built (no weights, say), with what to do.
    """
    try:
        spec = registry.find(kind, name).spec
    except UnknownComponent as error:
        raise FacekitError(error.message, remedy=_INSTALL[kind]) from error
    context = BuildContext(label_map=NO_LABELS, attribute_names=(), size=0)
    return spec.build(spec.options(), context)
