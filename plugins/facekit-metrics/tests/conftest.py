"""Observations as an evaluation makes them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor

from facekit.cli.main import cli
from facekit.interfaces import (
    EVALUATED,
    BuildContext,
    Condition,
    DatasetContext,
    FaceDataset,
    FacekitError,
    Generated,
    LabelClass,
    LabelMap,
    Metric,
    Observation,
    Reference,
    Task,
)
from facekit.registry import load_registry

NAMES = ("background", "skin", "hair")
LABEL_MAP = LabelMap(name="tiny", classes=tuple(LabelClass(name, (0, 0, 0)) for name in NAMES))


def observe(
    metric: Metric,
    results: Tensor,
    photos: Tensor,
    masks: Tensor,
    *,
    task: Task = "reconstruction",
    references: Sequence[int] | None = None,
    batch: int = 100,
) -> None:
    """Show a metric results in batches; result i belongs to photo i, in the style of photo ``references[i]``."""
    chosen = torch.tensor(range(len(photos)) if references is None else references)
    for part in torch.arange(len(photos)).split(batch):
        look = chosen[part]
        metric.update(
            Observation(
                task=task,
                condition=Condition(masks[part], Reference(photos[look], masks[look])),
                generated=Generated(results[part]),
                target=photos[part],
                keys=tuple(f"face{index}" for index in part.tolist()),
                reference_keys=tuple(f"face{index}" for index in look.tolist()),
            )
        )


@pytest.fixture
def show() -> Callable[..., None]:
    return observe


@pytest.fixture
def context() -> BuildContext:
    return BuildContext(label_map=LABEL_MAP, attribute_names=(), size=32)


@pytest.fixture
def pictures() -> tuple[Tensor, Tensor]:
    """Six smooth photos and results near them, (6, 3, 32, 32) in [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(6, 3, 5, 5, generator=generator) * 2 - 1
    photos = torch.nn.functional.interpolate(coarse, size=32, mode="bilinear")
    noise = torch.randn(photos.shape, generator=generator) * torch.linspace(0.02, 0.4, 6).view(-1, 1, 1, 1)
    return photos, (photos + noise).clamp(-1, 1)


class Photos:
    """Real photos as an evaluation gives them."""

    def __init__(self, split: str, photos: Tensor, prefix: str) -> None:
        self.split = split
        self.keys = tuple(f"{prefix}{index}" for index in range(len(photos)))
        self.photos = photos
        self.read_parts: list[tuple[int, int | None]] = []

    def __len__(self) -> int:
        return len(self.photos)

    def fingerprint(self, start: int = 0, stop: int | None = None) -> str:
        return hashlib.sha256(self.photos[start:stop].numpy().tobytes()).hexdigest()

    def read(self, start: int = 0, stop: int | None = None) -> Tensor:
        self.read_parts.append((start, stop))
        return self.photos[start:stop]


def photo_context(splits: Mapping[str, Tensor], *, evaluated: str = "test") -> BuildContext:
    """Return a context with real photos; those of the evaluated split have the keys that :func:`observe` uses."""
    made = {split: Photos(split, photos, "face" if split == evaluated else split) for split, photos in splits.items()}

    def photos(split: str) -> Photos:
        name = evaluated if split == EVALUATED else split
        if name not in made:
            raise FacekitError(f"the data has no photos in a split {name!r}")
        return made[name]

    return BuildContext(label_map=LABEL_MAP, attribute_names=(), size=32, photos=photos)


@pytest.fixture
def with_photos() -> Callable[..., BuildContext]:
    return photo_context


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of Inception in the layout of torch-fidelity's file, which cannot be fetched in tests.

    torchvision's network gives names and shapes: those of the file, for as many classes.
    """
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, aux_logits=False, num_classes=1008, init_weights=False)
    random = torch.Generator().manual_seed(0)
    state = network.state_dict()
    for name, tensor in state.items():
        if name.endswith("conv.weight"):
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=random)
        elif name.endswith(("bn.weight", "running_var")):
            tensor.uniform_(0.5, 1.5, generator=random)
        elif name.endswith(("bn.bias", "running_mean")):
            tensor.normal_(0, 0.1, generator=random)
    file = tmp_path_factory.mktemp("weights") / "weights-inception-2015-12-05-6726825d.pth"
    torch.save(state, file)
    return file


@pytest.fixture(scope="session")
def real_photos() -> Tensor:
    """Real photos (64, 3, 128, 128) in [-1, 1]; tests that need them are skipped where there are none."""
    places = [os.environ.get("FACEKIT_TEST_DATA"), str(Path(__file__).parents[4] / "shared" / "data")]
    for place in places:
        folder = Path(place or "") / "celebamask_hq_mini" / "CelebA-HQ-img"
        if place and folder.is_dir():
            files = [folder / f"{index}.jpg" for index in range(64)]
            opened = (Image.open(file).convert("RGB").resize((128, 128), Image.Resampling.LANCZOS) for file in files)
            pixels = np.stack([np.asarray(photo) for photo in opened])
            return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    pytest.skip("there are no real photos: set FACEKIT_TEST_DATA to a folder with celebamask_hq_mini")


DRAWN = "{use: synthetic_faces, train: 48, validation: 16, test: 8}"
SMALL = ["data.size=64", "train.epochs=2", "train.schedule.warmup_steps=2", "train.log_every=1000"]


def call(*arguments: str) -> Result:
    """Run facekit."""
    return CliRunner().invoke(cli, list(arguments), prog_name="facekit")


def train_evaluator(kind: str, run: Path, *settings: str, of: str = DRAWN) -> Result:
    """Run the recipe of an evaluator on drawn faces."""
    chosen = [f"data.of=[{of}]", *SMALL, *settings]
    return call("run", f"evaluators/{kind}", "--out", str(run), *(part for each in chosen for part in ("--set", each)))


def open_drawn_faces() -> FaceDataset:
    """Return the faces that :func:`train_evaluator` learns from."""
    registry = load_registry()
    spec = registry.find("dataset", "synthetic_faces").spec
    options = spec.options.model_validate({"train": 48, "validation": 16, "test": 8})
    faces: FaceDataset = spec.build(options, DatasetContext(registry.label_maps))
    return faces


def train_both(cache: Path) -> str:
    """Train both kinds into a cache that FACEKIT_CACHE names; returns what adding the classifier printed."""
    for kind, settings in (("segmenter", []), ("attributes", ["data.attributes=[Eyeglasses, Smiling]"])):
        trained = train_evaluator(kind, cache / "runs" / kind, *settings)
        assert trained.exit_code == 0, trained.output
        added = call("evaluator", "add", str(cache / "runs" / kind))
        assert added.exit_code == 0, added.output
    return added.stdout


@pytest.fixture(scope="session")
def evaluator_cache(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A cache with a small segmenter and a small attribute classifier of drawn faces, the runs behind them (``runs/``),
    and what adding one printed."""
    cache = tmp_path_factory.mktemp("evaluators")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEKIT_CACHE", str(cache))
        return cache, train_both(cache)


@pytest.fixture
def evaluators(evaluator_cache: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of these evaluators, where they are looked for."""
    monkeypatch.setenv("FACEKIT_CACHE", str(evaluator_cache[0]))
    return evaluator_cache[0] / "evaluators"


@pytest.fixture(scope="session")
def drawn_faces() -> FaceDataset:
    """The faces that these evaluators learned from (train), were tested on (validation), and have not seen (test)."""
    return open_drawn_faces()


@pytest.fixture
def train() -> Callable[..., Result]:
    """Runs the recipe of an evaluator: the kind, the run folder, settings; ``of``, the datasets."""
    return train_evaluator


@pytest.fixture(scope="session")
def read_faces() -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """Reads drawn faces by dataset, rows and side: photos (N, 3, S, S) in [-1, 1], masks, and all attributes (N, A)."""

    def read(dataset: FaceDataset, rows: Sequence[int], size: int) -> tuple[Tensor, Tensor, Tensor]:
        found = [dataset.read(row, size=size) for row in rows]
        photos = torch.from_numpy(np.stack([each.image for each in found])).permute(0, 3, 1, 2).float() / 127.5 - 1
        masks = torch.from_numpy(np.stack([each.require_mask() for each in found])).long()
        return photos, masks, torch.from_numpy(np.stack([each.attributes for each in found])).float()

    return read
