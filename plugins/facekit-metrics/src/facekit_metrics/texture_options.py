"""The options of ``texture``. Importing this module does not import torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from facekit.interfaces import FacekitError, LabelMap, Options, did_you_mean

from .options import MEAN

REGIONS: dict[str, tuple[str, ...]] = {
    "skin": ("skin",),
    "nose": ("nose",),
    "eyes": ("l_eye", "r_eye", "eye"),
    "brows": ("l_brow", "r_brow", "brow"),
    "mouth": ("mouth",),
    "lips": ("u_lip", "l_lip", "lip"),
    "hair": ("hair",),
    "cloth": ("cloth",),
    "background": ("background",),
}
"""The parts of a face that people name, and the classes they are made of. ``mouth`` lies between the lips: teeth."""

TextureTask = Literal["reconstruction", "style_copy"]


class TextureOptions(Options):
    """Options of ``texture``."""

    tasks: Annotated[tuple[TextureTask, ...], Field(min_length=1)] = ("reconstruction", "style_copy")
    """The tasks whose results are measured, each apart."""
    regions: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Regions by a name of yours, each of one or several classes that count as one: `{teeth: [mouth]}`. By default
    skin, nose, eyes, brows, mouth (between the lips), lips, hair, cloth and background, as far as the label map has
    them."""
    smallest_share: float = Field(1 / 2048, gt=0, lt=1)
    """Smallest share of the picture that a region, without its outline, must cover to be measured."""

    @field_validator("tasks")
    @classmethod
    def _no_task_twice(cls, tasks: tuple[TextureTask, ...]) -> tuple[TextureTask, ...]:
        if len(set(tasks)) != len(tasks):
            raise ValueError("tasks names a task twice")
        return tasks

    @field_validator("regions")
    @classmethod
    def _regions_have_classes(cls, regions: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, classes in regions.items():
            if not classes or len(set(classes)) != len(classes):
                raise ValueError(f"region {name!r} must name at least one class, and none twice")
        if MEAN in regions:
            raise ValueError(f"a region cannot be called {MEAN!r}: that is the mean over the regions")
        return regions

    def classes_by_region(self, label_map: LabelMap) -> dict[str, tuple[int, ...]]:
        """Return the class ids of each region.

        Raises:
            FacekitError: the label map does not have a class that the options name, or none that the defaults name.
        """
        for region, classes in self.regions.items():
            for name in classes:
                if name not in label_map.names:
                    raise FacekitError(
                        f"the region {region!r} of texture is made of {name!r}, which the label map does not have",
                        where="metrics",
                        remedy=did_you_mean(name, label_map.names) or f"classes: {', '.join(label_map.names)}",
                    )
        if self.regions:
            return {region: label_map.ids_of(classes) for region, classes in self.regions.items()}
        known = {region: [name for name in classes if name in label_map.names] for region, classes in REGIONS.items()}
        found = {region: label_map.ids_of(classes) for region, classes in known.items() if classes}
        if not found:
            raise FacekitError(
                f"texture knows none of the classes of the label map {label_map.name!r} by name",
                where="metrics",
                remedy=f"say what its regions are: regions: {{face: [{label_map.names[-1]}]}}"
                if label_map.names
                else "it needs data with masks",
            )
        return found
