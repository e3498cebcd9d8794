"""A torch-free catalogue of components, so that the core is tested without any real plugin."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest
from pydantic import Field, model_validator

from facekit.interfaces import (
    ATTRIBUTES,
    DISCRIMINATOR_CLASS_LOGITS,
    DISCRIMINATOR_FEATURES,
    DISCRIMINATOR_OUTPUT,
    GENERATED,
    IMAGE,
    MASK,
    LabelClass,
    LabelMap,
    NoOptions,
    Options,
    Port,
    PortContext,
    Ports,
)
from facekit.registry import ComponentSpec, PluginSet, Registry, forget_registries, hookimpl

FACTORY = "nowhere:build"
"""The catalogue's components are described, never built."""

LABELS = LabelMap("nineteen", tuple(LabelClass(f"class_{index}", (index, index, index)) for index in range(19)))


class FolderOptions(Options):
    root: str
    """Folder of the photos."""
    split: Literal["official", "index"] = "official"
    """Which split."""
    limit: int | None = Field(None, ge=1)
    """Read this many photos only."""


class DrawnOptions(Options):
    count: int = Field(400, ge=1)
    """How many faces."""
    classes: int = 19
    """How many classes the masks have."""


class EncoderOptions(Options):
    numbers: int = Field(16384, ge=1)
    """Length of the style vector."""
    sft_skip: bool = False
    """Add the features before the first SFT."""


class GeneratorOptions(Options):
    filters: int = Field(64, ge=1)
    """Filters of the first layer."""
    blocks: int = Field(4, ge=0)
    """Residual blocks."""
    downsamplings: int = Field(4, ge=0)
    """Halvings of the picture."""
    padding: Literal["reflect", "zero"] = "reflect"
    """Padding of convolutions."""
    dropout: float | Literal["auto"] = 0.0
    """Share of features dropped."""


class DiscriminatorOptions(Options):
    scales: int = Field(2, ge=1, le=4)
    """Scales it looks at."""
    classify: bool = False
    """Give attribute logits as well."""


class AdversarialOptions(Options):
    objective: Literal["lsgan", "bce", "hinge"] = "lsgan"
    """The objective."""
    target: float = 1.0
    """Label of real photos."""
    low: float = 0.0
    """Label of results."""

    @model_validator(mode="after")
    def _ordered(self) -> AdversarialOptions:
        if self.low >= self.target:
            raise ValueError("low must be less than target")
        return self


class PerceptualOptions(Options):
    backbone: str = "vgg19"
    """Network."""
    layers: tuple[str, ...] = ("relu1", "relu2")
    """Layers."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Weights of layers."""


def _dataset(options: FolderOptions, context: PortContext) -> Ports:
    labels = context.label_maps["nineteen"]
    mask = Port("mask", MASK.shape, dtype="class_ids", classes=len(labels))
    return Ports(gives=(IMAGE, mask, Port("attributes", ("batch", 40), dtype="binary", value_range=(0.0, 1.0))))


def _drawn(options: DrawnOptions, context: PortContext) -> Ports:
    return Ports(gives=(IMAGE, Port("mask", MASK.shape, dtype="class_ids", classes=options.classes)))


def _encoder(options: EncoderOptions, context: PortContext) -> Ports:
    return Ports(needs=(IMAGE, MASK), gives=(Port("style", ("batch", options.numbers)),))


def _generator(options: GeneratorOptions, context: PortContext) -> Ports:
    numbers = 4 * options.blocks * options.filters * 2**options.downsamplings
    style = (Port("style", ("batch", numbers)),) if options.blocks else ()
    return Ports(needs=(MASK, *style), gives=(GENERATED,), size_multiple=2**options.downsamplings, smallest_size=32)


def _discriminator(options: DiscriminatorOptions, context: PortContext) -> Ports:
    logits = (DISCRIMINATOR_CLASS_LOGITS,) if options.classify else ()
    return Ports(
        needs=(MASK, GENERATED),
        gives=(DISCRIMINATOR_OUTPUT, DISCRIMINATOR_FEATURES, *logits),
        smallest_size=16 * 2**options.scales,
    )


class Catalogue:
    """A plugin with one or two components of each kind."""

    @hookimpl
    def facekit_label_maps(self) -> list[LabelMap]:
        return [LABELS]

    @hookimpl
    def facekit_components(self) -> list[ComponentSpec]:
        def spec(
            kind: Any, name: str, options: type[Options], ports: Callable[[Any, PortContext], Ports], **more: Any
        ) -> ComponentSpec:
            return ComponentSpec(
                interface_version=1,
                kind=kind,
                id=f"fake/{name}",
                summary=name,
                options=options,
                factory=FACTORY,
                ports=ports,
                **more,
            )

        def needs(*ports: Port, smallest_batch: int = 1) -> Callable[[Any, PortContext], Ports]:
            return lambda options, context: Ports(needs=ports, smallest_batch=smallest_batch)

        both: Any = {"players": ("generator", "discriminator")}
        critic: Any = {"players": ("discriminator",)}
        return [
            spec("dataset", "photo_folder", FolderOptions, _dataset),
            spec("dataset", "drawn_faces", DrawnOptions, _drawn),
            spec("style_encoder", "sft_style", EncoderOptions, _encoder),
            spec("generator", "adain_global", GeneratorOptions, _generator),
            spec("discriminator", "multiscale_patch", DiscriminatorOptions, _discriminator),
            spec("loss", "adversarial", AdversarialOptions, needs(DISCRIMINATOR_OUTPUT), **both),
            spec("loss", "feature_matching", NoOptions, needs(DISCRIMINATOR_FEATURES)),
            spec("loss", "perceptual", PerceptualOptions, needs(GENERATED, IMAGE)),
            spec("loss", "l1", NoOptions, needs(GENERATED, IMAGE)),
            spec("loss", "style_swap", NoOptions, needs(GENERATED, smallest_batch=2)),
            spec("loss", "gradient_penalty", NoOptions, needs(DISCRIMINATOR_OUTPUT), **critic),
            spec("loss", "attribute_class", NoOptions, needs(DISCRIMINATOR_CLASS_LOGITS, ATTRIBUTES), **both),
            spec("metric", "psnr", NoOptions, needs(GENERATED, IMAGE)),
            spec("metric", "style_following", NoOptions, needs(GENERATED, MASK)),
        ]


GOOD_RECIPE = """\
# A recipe of the fake catalogue.
facekit: 1
name: good
description: A good recipe
data:
  use: photo_folder
  root: data/faces
  split: index
  size: 128
  mirror: true
  reference:
    crop: 0.8
model:
  style_encoder: {use: sft_style, numbers: 4096}
  generator:
    use: adain_global
    filters: 32
    blocks: 4
    downsamplings: 3
    padding: reflect
  discriminator: {use: multiscale_patch, scales: 2}
losses:
  generator:
    - {use: adversarial, objective: lsgan}
    - {use: feature_matching, weight: 10}
    - use: perceptual
      weight: 10
      backbone: vgg19
      layers: [relu1, relu2]
  discriminator:
    - {use: adversarial, objective: lsgan}
    - {use: gradient_penalty, weight: 10.0}
metrics:
  - use: psnr
  - use: style_following
train:
  epochs: 28
  batch: 4
  seed: 7
  precision: fp32
  optimiser:
    use: adam
    lr: 2e-4
    betas: [0.5, 0.999]
    lr_scale: {style_encoder: 5}
  ema: {decay: 0.998}
"""


@pytest.fixture
def catalogue() -> Registry:
    """A registry with the fake catalogue only."""
    plugins = PluginSet({})
    plugins.register(Catalogue(), name="fake")
    return Registry(plugins)


@pytest.fixture
def good_recipe(tmp_path: Path) -> Path:
    """A sound recipe of the fake catalogue, in a folder of its own."""
    path = tmp_path / "good.yaml"
    path.write_text(GOOD_RECIPE, encoding="utf-8")
    return path


COMPONENT = """\
from facekit.interfaces import NoOptions
from facekit.registry import ComponentSpec, hookimpl

@hookimpl
def facekit_components():
    return [
        ComponentSpec(
            interface_version={interface_version},
            kind="{kind}",
            id="{id}",
            summary="s",
            options=NoOptions,
            factory="{module}:build",
        )
    ]

def build(options, context):
    return None
"""


HOOK = """\
from facekit.registry import hookimpl

@hookimpl
def facekit_recipes():
    return []
"""


FEW_PLUGINS = ",".join(
    f"-{entry.dist.name}"
    for entry in metadata.entry_points(group="facekit.plugins")
    if entry.dist is not None and entry.dist.name != "facekit-losses"
)
"""The value of ``FACEKIT_PLUGINS`` that leaves out what is installed but one: the doctor starts a process for each."""


class Installer:
    """Puts distributions on the path as an installer would: a dist-info folder, and modules.

    Args:
        site: the folder on the path.
    """

    hook = HOOK
    """The text of a module that is a sound plugin and offers nothing."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.modules: list[str] = []

    def __call__(
        self,
        distribution: str,
        source: str | None,
        *,
        entry_points: str | None = None,
        version: str = "1.2",
        module: str = "",
        metadata: str = "",
        files: Mapping[str, str] | None = None,
    ) -> Path:
        """Install one, and return its dist-info folder.

        Args:
            distribution: its name.
            source: the text of its module; None for none.
            entry_points: the lines of its entry points; one for its module where not given.
            version: its version.
            module: what the module is called; as the distribution where not given.
            metadata: more lines of its METADATA.
            files: text of other files, by path.
        """
        module = module or distribution.replace("-", "_")
        if source is not None:
            self.write(f"{module}.py", source)
        for path, text in (files or {}).items():
            self.write(path, text)
        info = self.site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{metadata}"
        (info / "METADATA").write_text(lines, encoding="utf-8")
        lines = entry_points if entry_points is not None else f"{distribution} = {module}"
        (info / "entry_points.txt").write_text(f"[facekit.plugins]\n{lines}\n", encoding="utf-8")
        return info

    def component(
        self, distribution: str, id: str, *, kind: str = "loss", interface_version: int = 1, **more: str
    ) -> Path:
        """Install one that offers a component; what else is given is as for installing."""
        source = self.source(distribution, id, kind=kind, interface_version=interface_version)
        return self(distribution, source, **more)  # type: ignore[arg-type]

    def source(self, distribution: str, id: str, *, kind: str = "loss", interface_version: int = 1) -> str:
        """Return the text of a module that offers a component."""
        module = distribution.replace("-", "_")
        return COMPONENT.format(module=module, id=id, kind=kind, interface_version=interface_version)

    def write(self, path: str, text: str) -> Path:
        """Write a file into the folder on the path."""
        file = self.site / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        self.modules.append(path.partition("/")[0].removesuffix(".py"))
        return file


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installer]:
    """Install throw-away distributions, seen by this process and by those that are given this path."""
    installer = Installer(tmp_path / "site")
    installer.site.mkdir()
    monkeypatch.syspath_prepend(str(installer.site))
    yield installer
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in installer.modules and _lies_in(installer.site, module):
            del sys.modules[name]


def _lies_in(site: Path, module: ModuleType) -> bool:
    """Whether a module was imported from a folder; the real torch stays, beside which a false one was installed."""
    own = vars(module)  # some modules make up any attribute that they are asked for
    places = [*own.get("__path__", ()), own.get("__file__")]
    return any(Path(place).is_relative_to(site) for place in places if place)


@pytest.fixture(autouse=True)
def _fresh_registry() -> Iterator[None]:
    """Plugins that one test loads are not seen by the next."""
    forget_registries()
    yield
    forget_registries()


@pytest.fixture(scope="session")
def real_faces() -> Path:
    """The folder of real CelebAMask-HQ photos, or skip."""
    places = [os.environ.get("FACEKIT_TEST_DATA"), str(Path(__file__).parents[2] / "shared" / "data")]
    for place in filter(None, places):
        folder = Path(place) / "celebamask_hq_mini"
        if folder.is_dir():
            return folder
    pytest.skip("needs real CelebAMask-HQ photos: set FACEKIT_TEST_DATA to the folder that holds celebamask_hq_mini")
