"""Files that people name: opened so that nobody waits for ever, and weights read so that nothing in them is run."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, BinaryIO

from facekit.interfaces.errors import FacekitError

if TYPE_CHECKING:
    from torch import Tensor

_KINDS = {stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}


def cache_folder() -> Path:
    """Return the folder of caches: ``FACEKIT_CACHE``, or ``facekit`` in the user's caches; it may not exist yet."""
    if chosen := os.environ.get("FACEKIT_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "facekit" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "facekit"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facekit"


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading in bytes, whose length is known and which never makes the reader wait.

    Raises:
        OSError: it cannot be opened, or is a folder, a FIFO, a device or a socket.
        ValueError: the path holds a null character, or one that no file name can have.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116 - as `open`, it takes any path
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"this is {kind}, not a regular file", os.fspath(path))
    return Path(path).open("rb")


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """Return the contents of a file. Raises as :func:`open_regular`."""
    with open_regular(path) as stream:
        return stream.read()


def read_weight_file(
    path: Path,
    *,
    what: str,
    missing: str,
    again: str = "fetch the file again",
    sha256: str | None = None,
) -> dict[str, Tensor]:
    """Return the tensors of a weight file: safetensors, or a state dict that torch reads without running code.

    Args:
        path: the file; safetensors where it ends in ``.safetensors``.
        what: whose weights they are, for messages.
        missing: what to do when the file is not there.
        again: what to do when it is damaged.
        sha256: the SHA-256 of the one file that is right, in hex; None where any file will do.

    Raises:
        FacekitError: the file is missing, damaged, not the right one, or no file of tensors by name.
    """
    import torch
    from safetensors.torch import load_file
    from torch._subclasses.fake_tensor import unset_fake_temporarily

    if not path.is_file():
        raise FacekitError(f"the weights of {what} are not there", where=str(path), remedy=missing)
    if sha256 is not None:
        require_sha256(path, sha256, what=what, again=again)
    try:
        # With their numbers even where a recipe's shapes are checked without any: networks are built there, too.
        with unset_fake_temporarily():
            if path.suffix == ".safetensors":
                return load_file(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # readers raise whatever damaged bytes lead them to; the file is at fault
        said = next(iter(str(error).splitlines()), "") or type(error).__name__
        if isinstance(error, UnpicklingError):
            # torch's own message advises people to read the file without the check, which runs whatever is in it.
            said = "it is damaged, or holds more than tensors"
        raise FacekitError(f"the weights of {what} cannot be read: {said}", where=str(path), remedy=again) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise FacekitError(f"the weights of {what} are not tensors by name", where=str(path), remedy=again)
    tensors = {str(name): tensor for name, tensor in state.items()}
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            # A sparse tensor's indices are not checked when it is read, and lead computations out of its memory.
            raise FacekitError(f"the tensor {name} of {what} is not a plain one", where=str(path), remedy=again)
    return tensors


def sha256_of(stream: BinaryIO) -> str:
    """Return the SHA-256, in hex, of what a stream still holds."""
    digest = hashlib.sha256()
    while block := stream.read(1 << 22):
        digest.update(block)
    return digest.hexdigest()


def require_sha256(path: Path, expected: str, *, what: str, again: str = "fetch the file again") -> None:
    """Check that a weight file is the one that is meant, before anything reads it.

    Args:
        path: the file.
        expected: its SHA-256 in hex.
        what: whose weights they are, for messages.
        again: what to do when it is another.

    Raises:
        FacekitError: the file cannot be read, or is another.
    """
    try:
        with open_regular(path) as stream:
            found = sha256_of(stream)
    except OSError as error:
        raise FacekitError(f"the weights of {what} cannot be read: {error}", where=str(path), remedy=again) from error
    if found != expected:
        raise FacekitError(
            f"the weights of {what} are not those that this version was made for (their SHA-256 differs)",
            where=str(path),
            remedy=again,
        )
