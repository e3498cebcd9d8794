"""Files of a checkpoint whose checksums are right and whose contents are not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from facekit.interfaces import FacekitError

_UNREADABLE = (
    SafetensorError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RuntimeError,  # torch's, for shapes and types that do not fit; and of JSON that is nested without end
)
"""What reading a file of the wrong contents raises."""


@contextmanager
def reading(where: Path) -> Iterator[None]:
    """Say in a sentence what is wrong with what a checkpoint holds, though its checksums are right.

    Somebody wrote it so: a stranger, or another program. Errors of facekit itself pass.

    Raises:
        FacekitError: what is read inside is not of the form that a run writes.
    """
    try:
        yield
    except FacekitError:
        raise
    except OSError as error:
        raise FacekitError(f"the file cannot be read: {error}", where=str(where)) from error
    except _UNREADABLE as error:
        said = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise FacekitError(
            "its checksum is right, but it is not what a run writes: "
            + (f"{said} is missing" if isinstance(error, KeyError) else said),
            where=str(where),
            remedy="take another checkpoint (--step), or the run from where you have it once more",
        ) from error
