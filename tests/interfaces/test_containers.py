"""The typed containers, with real tensors."""

from __future__ import annotations

import pytest
import torch

from facekit.interfaces import Condition, FaceBatch, Generated, Judgement, ScaleJudgement, Style


def _batch(count: int = 3, *, attributes: bool = True) -> FaceBatch:
    generator = torch.Generator().manual_seed(0)
    return FaceBatch(
        image=torch.rand(count, 3, 4, 4, generator=generator),
        mask=torch.randint(0, 19, (count, 4, 4), generator=generator),
        reference_image=torch.rand(count, 3, 4, 4, generator=generator),
        reference_mask=torch.randint(0, 19, (count, 4, 4), generator=generator),
        attributes=torch.ones(count, 5) if attributes else None,
        keys=tuple(f"face_{index}" for index in range(count)),
    )


def test_the_condition_of_a_batch() -> None:
    batch = _batch()
    condition = batch.condition
    assert len(batch) == 3
    assert condition.mask is batch.mask
    assert condition.source_image is batch.image
    assert condition.reference_image is batch.reference_image
    assert condition.reference_mask is batch.reference_mask


def test_references_roll_with_their_masks() -> None:
    condition = _batch().condition
    assert condition.reference_image is not None
    assert condition.reference_mask is not None
    rolled = condition.rolled_reference()
    assert rolled.reference_image is not None
    assert rolled.reference_mask is not None
    for index in range(3):
        assert torch.equal(rolled.reference_image[index], condition.reference_image[index - 1])
        assert torch.equal(rolled.reference_mask[index], condition.reference_mask[index - 1])
    assert rolled.mask is condition.mask
    with pytest.raises(ValueError, match="no reference to roll"):
        Condition(mask=condition.mask).rolled_reference()


def test_styles_roll_like_references() -> None:
    code = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(Style(code).roll().code, code[[2, 0, 1]])


@pytest.mark.parametrize("attributes", [True, False])
def test_to_a_device(attributes: bool) -> None:
    batch = _batch(attributes=attributes)
    moved = batch.to("meta")
    assert moved.image.device.type == moved.condition.to("meta").mask.device.type == "meta"
    assert (moved.attributes is None) == (not attributes)
    assert moved.keys == batch.keys
    assert Condition(mask=batch.mask).to("cpu").reference_image is None


def test_generated_detaches_its_pyramid() -> None:
    image = torch.zeros(1, 3, 4, 4, requires_grad=True)
    detached = Generated(image, (image * 2,)).detach()
    assert not detached.image.requires_grad
    assert not detached.pyramid[0].requires_grad


def test_judgements_split_and_detach() -> None:
    logits = torch.arange(4.0, requires_grad=True).reshape(4, 1)
    judgement = Judgement((ScaleJudgement(logits, (logits * 2,)),), class_logits=logits * 3)
    real, fake = judgement.split(3)
    assert (len(real.scales[0].logits), len(fake.scales[0].logits)) == (3, 1)
    assert torch.equal(fake.scales[0].features[0], logits[3:] * 2)
    assert real.class_logits is not None
    assert torch.equal(real.class_logits, logits[:3] * 3)
    detached = judgement.detach()
    assert detached.class_logits is not None
    assert not detached.scales[0].logits.requires_grad
    assert not detached.scales[0].features[0].requires_grad
    assert not detached.class_logits.requires_grad
    assert Judgement((ScaleJudgement(logits),)).split(2)[0].class_logits is None
