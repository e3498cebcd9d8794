"""Observations as an evaluation makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from facekit.interfaces import BuildContext, Condition, Generated, LabelClass, LabelMap, Metric, Observation, Task

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
    """Show a metric results in batches; result i belongs to photo i, in the look of photo ``references[i]``."""
    chosen = torch.tensor(range(len(photos)) if references is None else references)
    for part in torch.arange(len(photos)).split(batch):
        look = chosen[part]
        metric.update(
            Observation(
                task=task,
                condition=Condition(masks[part], reference_image=photos[look], reference_mask=masks[look]),
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
