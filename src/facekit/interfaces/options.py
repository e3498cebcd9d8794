"""The base class of every component's options, and what a factory gets beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata

from pydantic import BaseModel, ConfigDict, create_model

from facekit.interfaces.errors import FacekitError
from facekit.interfaces.labels import LabelMap
from facekit.interfaces.metric import TASKS, PhotoSource, RealPhotos, Task


def _tolerate_damaged_distributions() -> None:
    """Keep pydantic and torch usable where the entry points of one distribution cannot be read.

    Both ask for the entry points of all distributions, for extensions of their own, and fail when one of them is
    damaged: then not even ``facekit plugins doctor``, which names it, could be called. Extensions of pydantic and torch
    are not loaded in such a process.
    """
    try:
        create_model("FirstModel")  # pydantic looks for its extensions when the first class is made
    except Exception:
        try:
            metadata.entry_points()
        except Exception:  # whatever the files make of it; they are read again, one by one, where plugins are loaded
            os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
            os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")
        else:
            raise


_tolerate_damaged_distributions()


class Options(BaseModel):
    """Options of a component: frozen, typed, unknown keys forbidden, numbers finite.

    A docstring under a field is its description: it is what ``facekit components show`` prints.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=False, use_attribute_docstrings=True, allow_inf_nan=False
    )


class NoOptions(Options):
    """For components that have nothing to set."""


@dataclass(frozen=True)
class BuildContext:
    """What the recipe around a component settled before it is built.

    Args:
        label_map: the label map of the dataset.
        attribute_names: the attributes of the dataset, in order; empty where it has none.
        size: image side in pixels.
        dimensions: the numbers behind the named dimensions of all ports, e.g. ``{"style": 16384, "classes": 19}``.
        player: for losses: the player whose loss it is; else None.
        dataset: the id of the dataset component, ``facekit/celebamask_hq``; empty where it is not known.
        photos: for metrics: gives the real photos of a split; else None. See :meth:`real_photos`.
        tasks: for metrics: the tasks that the model can do. A model from noise alone does ``generation`` only, and one
            that draws no noise all but that. See :meth:`first_task`.
    """

    label_map: LabelMap
    attribute_names: tuple[str, ...]
    size: int
    dimensions: Mapping[str, int] = field(default_factory=dict)
    player: str | None = None
    dataset: str = ""
    photos: PhotoSource | None = None
    tasks: tuple[Task, ...] = TASKS

    def first_task(self, *choices: Task) -> Task:
        """Return the first of a metric's tasks that the model can do: what it measures where the recipe names none.

        It is the first of all where the model can do none of them. The core then reports what the metric asks for and
        what the model reads, so factories need no check of their own.
        """
        return next((task for task in choices if task in self.tasks), choices[0])

    def real_photos(self, split: str) -> RealPhotos:
        """Return the real photos of a split, or those of the evaluated faces (``EVALUATED``).

        Raises:
            FacekitError: there is no such split, it is empty, or nothing is evaluated here.
        """
        if self.photos is None:
            raise FacekitError(
                f"the photos of the split {split!r} are wanted where there are none",
                remedy="build metrics that compare with real photos for an evaluation",
            )
        return self.photos(split)

    def dimension(self, name: str) -> int:
        """Return a named dimension. Raises KeyError with the known names when no port settles it."""
        try:
            return self.dimensions[name]
        except KeyError:
            known = ", ".join(sorted(self.dimensions)) or "none"
            raise KeyError(f"no port of this recipe settles the dimension {name!r} (known: {known})") from None


@dataclass(frozen=True)
class DatasetContext:
    """What a dataset gets beside its options: every label map that the loaded plugins offer, by name."""

    label_maps: Mapping[str, LabelMap] = field(default_factory=dict)
