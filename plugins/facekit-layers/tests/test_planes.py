"""One-hot planes: of the weight's type and order, and an id out of range is an error."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from facekit_layers import one_hot

CLASSES = 5


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_planes_lie_as_the_weight_does(memory_format: torch.memory_format) -> None:
    mask = torch.randint(CLASSES, (2, 8, 7), generator=torch.Generator().manual_seed(1))
    weight = torch.zeros(6, CLASSES, 3, 3, dtype=torch.float64).to(memory_format=memory_format)
    planes = one_hot(mask, classes=CLASSES, weight=weight)
    assert torch.equal(planes, F.one_hot(mask, CLASSES).permute(0, 3, 1, 2).double())
    assert planes.is_contiguous(memory_format=memory_format)


def test_autocast_has_the_last_word_on_the_type() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        planes = one_hot(torch.zeros(1, 4, 4, dtype=torch.uint8), classes=CLASSES, weight=torch.zeros(1, CLASSES, 3, 3))
    assert planes.dtype == torch.bfloat16


@pytest.mark.parametrize("wrong", [-1, CLASSES, 255])
def test_an_id_out_of_range_is_not_read_as_something_else(wrong: int) -> None:
    mask = torch.zeros(2, 8, 8, dtype=torch.int64)
    mask[1, 3, 4] = wrong
    with pytest.raises(IndexError, match="out of range"):
        one_hot(mask, classes=CLASSES, weight=torch.zeros(1, CLASSES, 3, 3))
