"""Where a picture comes from, written into the picture itself: that it is synthetic, and what made it."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from facekit import __version__
from facekit.interfaces import FacekitError, RunFailure
from facekit.interfaces.image_files import read_image

RECORD_KEY = "facekit"
"""PNG text entry that holds the record, as JSON."""

SYNTHETIC, RUN, RECIPE, STEP, WEIGHTS, WEIGHTS_SHA256, INPUTS_SHA256, MASK, REFERENCE = (
    "synthetic",
    "run",
    "recipe",
    "step",
    "weights",
    "weights_sha256",
    "inputs_sha256",
    "mask",
    "reference",
)
PHOTO, SCRIPT, SCRIPT_SHA256, CHANGED, SQUARE = ("photo", "script", "script_sha256", "changed_share", "square")
WISHES, ATTRIBUTES = ("wanted_attributes", "attributes")
REGION_REFERENCES, REGION_REFERENCES_SHA256 = ("region_references", "region_references_sha256")
SEED, SAMPLE, SAMPLE_KEY, RUNTIME = ("seed", "sample", "sample_key", "runtime")
EDITED_LOCALLY = "edited_locally"
TUNING, TUNED_SHA256 = ("tuning", "tuned_sha256")
"""Keys of the record."""

LOCAL = "local_"
"""What the keys of a second run begin with, one for local edits: ``local_run``, ``local_weights_sha256``."""


def save_png(image: Image.Image, path: Path, record: Mapping[str, Any], *, compression: int = 6) -> None:
    """Save a generated picture with its record; the file is written beside and renamed, so it is never half there.

    Args:
        image: the picture.
        path: a file that ends in ``.png``; its folder is made.
        record: what made it, from :meth:`FacePipeline.record`.
        compression: 0 to 9; lower is faster and larger. The pixels are the same.

    Raises:
        FacekitError: the file does not end in ``.png``, the form whose text entries everybody keeps.
        RunFailure: the file cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise FacekitError("results are saved as PNG", where=str(path), remedy="give a file that ends in .png")
    content = png_bytes(image, record, compression=compression)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise RunFailure(f"the picture cannot be written: {error}", where=str(path)) from error
    finally:
        with suppress(OSError):  # gone when it was renamed, and never there when its folder is not
            beside.unlink()


def png_bytes(image: Image.Image, record: Mapping[str, Any], *, compression: int = 6) -> bytes:
    """Return a generated picture as a PNG file with its record; see :func:`save_png`."""
    entries = PngImagePlugin.PngInfo()
    entries.add_text("Software", f"facekit {__version__}")
    entries.add_text("Description", "Synthetic picture of a face, made by a generative model")
    entries.add_itxt(RECORD_KEY, json.dumps(dict(record)))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=entries, compress_level=compression)
    return buffer.getvalue()


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over the names, shapes and values of tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}\n".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_provenance(path: Path) -> dict[str, Any] | None:
    """Return the record of a picture that facekit made; None for any other file, damaged ones included."""
    try:
        # Decoded whole: a truncated file is not a finished one, and entries may stand behind the pixels.
        text = read_image(path, formats=("PNG",)).info.get(RECORD_KEY)
        record = json.loads(text) if isinstance(text, str) else None
    except (FacekitError, ValueError, RecursionError):  # RecursionError: brackets without end
        return None
    return record if isinstance(record, dict) else None


def is_there(path: Path, made_of: Mapping[str, Any], *, made_with: str) -> bool:
    """Tell whether a result is there already, made of the same, so that an interrupted call goes on where it stopped.

    Args:
        path: the result's file.
        made_of: entries that its record is to have.
        made_with: what else it may have been made with, or from, for the error: ``with other weights``.

    Raises:
        FacekitError: another file stands there.
    """
    if not path.exists():
        return False
    record = read_provenance(path) or {}
    if all(record.get(key) == value for key, value in made_of.items()):
        return True
    raise FacekitError(
        f"there is another file of this name: damaged, or made {made_with}",
        where=str(path),
        remedy="--overwrite replaces it",
    )
