"""Windows of photos with holes, for models that fill in a part of a photo: options and ports. Imports no numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from facekit.interfaces import HOLE, Options, Ports

if TYPE_CHECKING:
    from facekit.interfaces import FaceDataset

HoleKind = Literal["mouth", "eyes", "glasses", "nose", "hair", "patch"]
"""What a hole hides. ``mouth``: mouth and lips. ``eyes``: one eye or both, with brows or without. ``glasses``: what a
pair of glasses would cover, or its frame alone. ``nose``. ``hair``: a piece at the edge of the hair. ``patch``: any
place of the face."""


def _all_kinds() -> dict[HoleKind, float]:
    # What has to be invented comes most often: teeth, and eyes behind dark glasses.
    return {"mouth": 3.0, "eyes": 3.0, "glasses": 3.0, "nose": 0.3, "hair": 2.0, "patch": 1.0}


class WindowOptions(Options):
    """How windows are cut out of photos, and holes into windows."""

    per_photo: int = Field(12, ge=1, le=1000)
    """Windows of each photo of the splits ``train`` and ``extra``."""
    held_out: int = Field(3, ge=1, le=1000)
    """Windows of each photo of the splits ``validation`` and ``test``."""
    holes: dict[HoleKind, float] = Field(default_factory=_all_kinds)
    """How often each kind of hole comes, in any unit. A photo that lacks the region gets a ``patch`` instead."""
    smallest_side: int = Field(96, ge=16)
    """Smallest side of a window in pixels of the photo."""
    context: tuple[float, float] = (1.4, 2.2)
    """Smallest and largest side of a window, in extents of its hole."""
    seed: int = Field(0, ge=0)
    """Seed of windows and holes."""

    @model_validator(mode="after")
    def _sound(self) -> WindowOptions:
        if min(self.holes.values(), default=0) < 0 or not sum(self.holes.values()):
            raise ValueError("holes gives each kind a number of at least 0, and one of them a positive one")
        if not 1.3 <= self.context[0] <= self.context[1]:
            raise ValueError("context is a smallest and a largest side, in extents of the hole; at least 1.3")
        return self


def window_ports(ports: Ports, windows: WindowOptions | None) -> Ports:
    """Return the ports of a dataset, with a hole where it gives windows."""
    return ports if windows is None else replace(ports, gives=(*ports.gives, HOLE))


def cut_windows(dataset: FaceDataset, windows: WindowOptions | None) -> FaceDataset:
    """Return a dataset of the windows of a dataset's photos; the dataset itself where there are none to cut.

    Raises:
        FacekitError: the dataset's masks have none of the classes that a kind of hole hides.
    """
    if windows is None:
        return dataset
    from facekit_datasets.windows.dataset import WindowDataset

    return WindowDataset(dataset, windows)
