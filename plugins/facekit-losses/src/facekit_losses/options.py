"""The options of every loss in this plugin. Importing this module does not import torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from facekit.interfaces import Options

Objective = Literal["lsgan", "bce", "hinge", "wasserstein", "relativistic"]
Backbone = Literal["efficientnet_lite0", "vgg19"]
Distance = Literal["l1", "relative_l1", "unit_squared"]
Precision = Literal["auto", "bf16", "fp32"]
PatchReduction = Literal["sum", "mean"]
Results = Literal["own", "shuffled_attributes"]
"""Fakes with the attributes of their own photo, or with those of another face of the batch."""
AnyResults = Literal["own", "shuffled_style", "shuffled_attributes"]
"""The same, or masks in the style of another face of the batch."""

BACKBONE_LAYERS: dict[str, tuple[str, ...]] = {
    "efficientnet_lite0": ("stem", *(f"block{index}" for index in range(16))),
    "vgg19": tuple(
        f"relu{stage}_{index}" for stage, count in enumerate((2, 2, 4, 4, 4), start=1) for index in range(1, count + 1)
    ),
}
"""The layers that can be compared, by backbone, finest first."""

DEFAULT_LAYERS: dict[str, tuple[str, ...]] = {
    "efficientnet_lite0": ("stem", "block2", "block4", "block7", "block10"),
    "vgg19": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
}
"""The layers that are compared when the recipe names none: one for each resolution."""

DEFAULT_LAYER_WEIGHTS: dict[str, tuple[float, ...]] = {
    "efficientnet_lite0": (1 / 5,) * 5,
    "vgg19": (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0),
}
"""The weights of :data:`DEFAULT_LAYERS`."""

DEFAULT_DISTANCE: dict[str, Distance] = {"efficientnet_lite0": "relative_l1", "vgg19": "l1"}
"""The distance of each backbone. The maps of EfficientNet are linear bottlenecks whose scales differ by a factor of
ten from layer to layer, so they are compared relative to their own size."""


class AdversarialOptions(Options):
    """Options of ``adversarial``."""

    objective: Objective = "lsgan"
    """``lsgan`` (least squares), ``bce`` (the original cross-entropy, non-saturating), ``hinge``, ``wasserstein``
    (needs a gradient penalty) or ``relativistic`` (relativistic average hinge). Use the same one for both players."""
    shuffled_style: bool = False
    """Also discriminate fakes in the style of another face of the batch."""
    shuffled_faces: int | None = Field(None, ge=1)
    """Faces of the batch that are made in the style of another one; by default all. Which other one changes from step
    to step."""
    results: AnyResults = "own"
    """``own``: what the generator makes of a face's own mask, style and attributes. ``shuffled_style``: each mask in
    the style of another face alone, where nothing but the discriminator says what is wanted. ``shuffled_attributes``:
    what the generator makes of a face with the attributes of another one of the batch (StarGAN)."""
    replay_pool: int = Field(0, ge=0)
    """Past fakes kept to be shown to the discriminator in place of half of the new ones; 0 keeps none."""

    @model_validator(mode="after")
    def _one_exchange(self) -> AdversarialOptions:
        if self.shuffled_style and self.results != "own":
            raise ValueError(
                f"shuffled_style adds to fakes in their own style; it does not go with results: {self.results}"
            )
        if self.shuffled_faces is not None and not self.shuffled_style and self.results != "shuffled_style":
            raise ValueError("shuffled_faces says of how many faces, and shuffled_style is off")
        return self


class PerceptualOptions(Options):
    """Options of ``perceptual``."""

    backbone: Backbone = "efficientnet_lite0"
    """The frozen ImageNet network whose features are compared. The weights of ``efficientnet_lite0`` come in a Python
    package; those of ``vgg19`` are torchvision's file, which must be on disk."""
    weights: str | None = None
    """Weight file of the backbone, in place of the usual place."""
    layers: tuple[str, ...] | None = None
    """Layers that are compared; by default stem, block2, block4, block7 and block10 of ``efficientnet_lite0``, relu1_1
    to relu5_1 of ``vgg19``."""
    layer_weights: tuple[float, ...] | None = None
    """One weight a layer; by default equal ones that sum to 1, and 1/32, 1/16, 1/8, 1/4, 1 for the five of
    ``vgg19``."""
    distance: Distance | None = None
    """``l1``: mean absolute difference (the default of ``vgg19``). ``relative_l1``: the same, divided by the mean
    absolute value of the photo's features (the default of ``efficientnet_lite0``). ``unit_squared``: squared distance
    between feature vectors of length 1, as in LPIPS without learned weights."""
    normalise: bool = True
    """Give the backbone pictures normalised as in its own training; off, pictures in [-1, 1] as the published
    pix2pixHD code does."""
    precision: Precision = "auto"
    """Precision of the backbone's convolutions; ``auto`` is bf16 on CUDA and fp32 on a CPU, where bf16 gains nothing.
    Differences are taken in fp32 always."""

    @model_validator(mode="after")
    def _layers_exist(self) -> PerceptualOptions:
        known = BACKBONE_LAYERS[self.backbone]
        for layer in self.layers or ():
            if layer not in known:
                raise ValueError(f"{self.backbone} has no layer {layer!r}; it has {', '.join(known)}")
        if self.layers is not None and (not self.layers or len(set(self.layers)) != len(self.layers)):
            raise ValueError("layers must name at least one layer, and none twice")
        count = len(self.layers or DEFAULT_LAYERS[self.backbone])
        if self.layer_weights is not None and len(self.layer_weights) != count:
            raise ValueError(f"layer_weights has {len(self.layer_weights)} numbers for {count} layers")
        if self.layer_weights is not None and min(self.layer_weights) < 0:
            raise ValueError("layer_weights must not be negative")
        return self

    def chosen_layers(self) -> dict[str, float]:
        """Return the compared layers and their weights."""
        layers = self.layers or DEFAULT_LAYERS[self.backbone]
        if self.layer_weights is not None:
            weights = self.layer_weights
        elif layers == DEFAULT_LAYERS[self.backbone]:
            weights = DEFAULT_LAYER_WEIGHTS[self.backbone]
        else:
            weights = (1 / len(layers),) * len(layers)
        return dict(zip(layers, weights, strict=True))

    def chosen_distance(self) -> Distance:
        """Return the distance, the backbone's own where the recipe names none."""
        return self.distance or DEFAULT_DISTANCE[self.backbone]


class LowResolutionColourOptions(Options):
    """Options of ``low_resolution_colour``."""

    grid: int = Field(8, ge=1)
    """Cells a side that result and photo are averaged to."""


class RegionColourOptions(Options):
    """Options of ``region_colour``."""

    shuffled_style: float = Field(1.0, ge=0)
    """Share of the term that compares fakes in the style of another face with that face."""
    shuffled_faces: int | None = Field(None, ge=1)
    """Faces of the batch that are made in the style of another one; by default all."""
    own: float = Field(0.0, ge=0)
    """Share of the term that compares fakes in their own style with the photo."""
    deviation: float = Field(0.0, ge=0)
    """Share of the regions' standard deviations beside their means: texture and contrast of hair, say."""
    smallest_share: float = Field(1 / 512, gt=0, lt=1)
    """Smallest share of the picture that a region must cover in both pictures to be compared."""
    area: float = Field(0.0, ge=0, le=1)
    """Power of a region's share of the picture in its weight: 0 lets every region count alike, an earring as much as
    the hair; 1 lets every pixel count alike."""
    regions: dict[str, float] = Field(default_factory=dict)
    """Weights by class name; classes that are not named have weight 1, and weight 0 leaves one out."""

    @model_validator(mode="after")
    def _something_to_compare(self) -> RegionColourOptions:
        if self.shuffled_style == 0 and self.own == 0:
            raise ValueError("shuffled_style and own are both 0: there is nothing to compare")
        for name, weight in self.regions.items():
            if weight < 0:
                raise ValueError(f"the weight of region {name!r} is negative")
        return self


class GradientPenaltyOptions(Options):
    """Options of ``gradient_penalty``."""

    patches: PatchReduction = "sum"
    """What a scale's logits are reduced to before they are differentiated: their ``sum``, as published
    implementations for patch discriminators do, or their ``mean``, the critic that the Wasserstein loss averages."""
    results: Results = "own"
    """The results at the other end of the line from the photos, as in ``adversarial``."""


class DomainClassificationOptions(Options):
    """Options of ``domain_classification``."""

    results: AnyResults = "shuffled_attributes"
    """The fakes that are to show the attributes of their conditions; the discriminator learns from photos whatever this
    says. ``shuffled_attributes``: photos with the attributes of another face of the batch (StarGAN). For models that
    read masks, ``own``: each mask in its own style, or ``shuffled_style``: in the style of another face; both should
    show the attributes of the face whose mask it is."""
    shuffled_faces: int | None = Field(None, ge=1)
    """Faces of the batch that are made in the style of another one; by default all."""


class R1PenaltyOptions(Options):
    """Options of ``r1_penalty``."""

    patches: PatchReduction = "sum"
    """What a scale's logits are reduced to before they are differentiated."""


class KlOptions(Options):
    """Options of ``kl``."""

    reduction: Literal["sum", "mean"] = "sum"
    """``sum`` over the batch, as SPADE has it, which grows with it; ``mean`` of the samples does not."""
