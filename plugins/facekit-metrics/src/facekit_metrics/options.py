"""The options of every metric in this plugin, and which results it looks at. Importing this module imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from facekit.interfaces import EVALUATED, BuildContext, FacekitError, LabelMap, Options, Task, did_you_mean


def _no_name_twice(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError(f"a name occurs twice: {', '.join(names)}")
    return names


MEAN = "mean"
"""The part of a measurement's name that says that it is the mean over regions."""

Names = Annotated[tuple[str, ...], AfterValidator(_no_name_twice)]
FaceTasks = Annotated[
    tuple[Literal["reconstruction", "style_copy"], ...], Field(min_length=1), AfterValidator(_no_name_twice)
]


@dataclass(frozen=True)
class TaskChoice:
    """The results of one task.

    Args:
        task: which.
        transfers: for ``attribute_transfer``: the attributes whose transfer is looked at, all together.
    """

    task: Task
    transfers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The task's part in a measurement's name: ``style_copy``, ``attribute_transfer/Smiling+Male``."""
        return f"{self.task}/{'+'.join(self.transfers)}" if self.transfers else self.task

    def results(self, faces: int) -> int:
        """Return how many results there will be of so many evaluated faces."""
        return faces * max(1, len(self.transfers))


class TaskOptions(Options):
    """Options of metrics that look at one task of the user's choice."""

    usual: ClassVar[tuple[Task, ...]] = ("style_copy", "generation")
    """The first of these that the model can do is measured where the recipe names no task."""

    task: Task | None = None
    """The task whose results are measured. By default `style_copy`, and `generation` of a model from noise alone."""
    transfer: tuple[str, ...] = ()
    """With `attribute_transfer`: the attributes whose transfer is measured, all together."""

    @model_validator(mode="after")
    def _transfers_fit(self) -> TaskOptions:
        if (self.task == "attribute_transfer") != bool(self.transfer):
            raise ValueError("transfer names attributes if task is attribute_transfer, and only then")
        if len(set(self.transfer)) != len(self.transfer):
            raise ValueError("transfer names no attribute twice")
        return self

    def choice(self, context: BuildContext) -> TaskChoice:
        """Return the choice, which follows the model where no task is named.

        Raises:
            FacekitError: the data does not have an attribute.
        """
        known = context.attribute_names
        for attribute in self.transfer:
            if attribute not in known:
                raise FacekitError(
                    f"the data has no attribute {attribute!r} to transfer",
                    where="metrics",
                    remedy=did_you_mean(attribute, known) or f"it has {', '.join(known) or 'none'}",
                )
        return TaskChoice(self.task or context.first_task(*self.usual), self.transfer)


class FaceTaskOptions(TaskOptions):
    """Options of metrics that look at one task of the user's choice in which results belong to test faces."""

    usual: ClassVar[tuple[Task, ...]] = ("style_copy",)

    @model_validator(mode="after")
    def _about_faces(self) -> FaceTaskOptions:
        if self.task == "generation":
            raise ValueError("task cannot be generation: this metric compares results with the faces they belong to")
        return self


class RegionOptions(Options):
    """Options of metrics that look at regions."""

    regions: Literal["all"] | tuple[str, ...] = "all"
    """Classes of the label map, each measured on its own, and their mean. With `all` every class that result and
    reference both show; reports fold all but the mean, skin and hair."""
    smallest_share: float = Field(1 / 512, gt=0, lt=1)
    """Smallest share of the picture that a region must cover to have a colour."""

    @field_validator("regions")
    @classmethod
    def _at_least_one(cls, regions: Literal["all"] | tuple[str, ...]) -> Literal["all"] | tuple[str, ...]:
        if not regions or (regions != "all" and len(set(regions)) != len(regions)):
            raise ValueError("regions must name at least one class, and none twice, or be `all`")
        if MEAN in regions:
            raise ValueError(f"a region cannot be {MEAN!r}: that is the mean over the regions")
        return regions


class StyleFollowingOptions(RegionOptions):
    """Options of ``style_following``."""


class StyleConsistencyOptions(RegionOptions, FaceTaskOptions):
    """Options of ``style_consistency``."""


class PsnrOutsideEditOptions(FaceTaskOptions):
    """Options of ``psnr_outside_edit``."""

    reach: float = Field(1 / 32, ge=0, lt=1)
    """How far the edit is widened, as a share of the picture's side."""


class PerceptualDistanceOptions(Options):
    """Options of ``perceptual_distance`` and ``diversity``."""

    backbone: Literal["efficientnet_lite0", "squeezenet", "stlpips"] = "efficientnet_lite0"
    """Network whose features are compared; it is part of the measurement's name. `squeezenet` is in no loss, and needs
    the extra `squeezenet`. `stlpips` is ST-LPIPS, a distance learned from people's outputs that a shift by a pixel
    hardly moves; it needs the extra `stlpips`."""
    weights: str | None = None
    """Weight file of the backbone, in place of the one in its package."""


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


class TextureOptions(Options):
    """Options of ``texture``."""

    tasks: FaceTasks = ("reconstruction", "style_copy")
    """The tasks whose results are measured, each apart."""
    regions: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Regions by a name of yours, each of one or several classes that count as one: `{teeth: [mouth]}`. By default
    skin, nose, eyes, brows, mouth (between the lips), lips, hair, cloth and background, as far as the label map has
    them."""
    smallest_share: float = Field(1 / 2048, gt=0, lt=1)
    """Smallest share of the picture that a region, without its outline, must cover to be measured."""

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
            label_map.check_names(classes, where=f"metrics: region {region!r} of texture")
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


class IdentityOptions(Options):
    """Options of ``identity``."""

    tasks: FaceTasks = ("reconstruction", "style_copy")
    """The tasks whose results are measured, each apart."""
    models: str | None = None
    """Folder with dlib's `dlib_face_recognition_resnet_model_v1.dat` and `shape_predictor_5_face_landmarks.dat`, in
    place of the package `face-recognition-models`."""


class AttributeAccuracyOptions(Options):
    """Options of ``attribute_accuracy``."""

    evaluator: str = "auto"
    """The classifier: its id as `facekit evaluator ls` shows it, its folder, or ``auto``: the newest for this data."""
    attributes: Names = ()
    """The attributes that are measured; all that the data has and the classifier tells when empty."""
    transfer: Names = ("Smiling", "Mouth_Slightly_Open")
    """The attributes whose transfer is measured; empty for none."""


class SegmentationAccuracyOptions(Options):
    """Options of ``segmentation_accuracy``."""

    evaluator: str = "auto"
    """The segmenter: its id as `facekit evaluator ls` shows it, its folder, or ``auto``: the newest for this data."""
    tasks: Annotated[
        tuple[Literal["reconstruction", "style_copy", "attribute_transfer"], ...],
        Field(min_length=1),
        AfterValidator(_no_name_twice),
    ] = ("reconstruction",)
    """The tasks whose results are measured, each apart."""
    transfer: Names = ("Smiling", "Mouth_Slightly_Open")
    """The attributes whose transfer ``attribute_transfer`` is about."""

    @field_validator("transfer")
    @classmethod
    def _at_least_one_attribute(cls, transfer: tuple[str, ...]) -> tuple[str, ...]:
        if not transfer:
            raise ValueError("transfer must name at least one attribute; to measure none, take the task out of tasks")
        return transfer


class _ExtractorOptions(Options):
    extractor: Literal["efficientnet_lite0", "inception", "squeezenet"] = "efficientnet_lite0"
    """Network whose features are compared; it is part of the measurement's name."""


class SetOptions(TaskOptions):
    """Options of metrics that compare results with real photos as sets."""

    real: str = EVALUATED
    """Split of the real photos; `evaluated` for those of the evaluated faces."""
    weights: str | None = None
    """Weight file of the extractor, in place of the one in its package or the usual caches."""


class FidOptions(SetOptions):
    """Options of ``fid``."""

    allow_few_pictures: bool = False
    """Measure although there are fewer pictures than the 2,048 features, which makes the value too large."""


class FrechetDistanceOptions(_ExtractorOptions, SetOptions):
    """Options of ``frechet_distance``."""

    allow_few_pictures: bool = False
    """Measure although there are fewer pictures than features, which makes the value too large."""


class KidOptions(_ExtractorOptions, SetOptions):
    """Options of ``kid``."""

    subsets: int = Field(100, ge=2)
    """How many random subsets are compared."""
    subset_size: int | None = Field(None, ge=2)
    """Pictures in a subset; by default 1,000, or half of the smaller set where that is less."""


class PrecisionRecallOptions(_ExtractorOptions, SetOptions):
    """Options of ``precision_recall``."""

    k: int = Field(3, ge=1)
    """Which neighbour bounds the ball around a picture."""


class DensityCoverageOptions(_ExtractorOptions, SetOptions):
    """Options of ``density_coverage``."""

    k: int = Field(5, ge=1)
    """Which neighbour bounds the ball around a real photo."""


class NearestTrainingNeighbourOptions(_ExtractorOptions, TaskOptions):
    """Options of ``nearest_training_neighbour``."""

    training: str = "train"
    """Split of the photos that may have been memorised."""
    weights: str | None = None
    """Weight file of the extractor, in place of the one in its package or the usual caches."""
