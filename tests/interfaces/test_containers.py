"""The typed containers, with real tensors."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from facekit.interfaces import (
    Condition,
    DiscriminatorOutput,
    FaceBatch,
    FacekitError,
    Generated,
    Reference,
    ScaleOutput,
    Style,
    concatenate,
    map_tensors,
)
from facekit.training.network_call import to_float32


def _batch(count: int = 3, *, attributes: bool = True) -> FaceBatch:
    generator = torch.Generator().manual_seed(0)
    return FaceBatch(
        image=torch.rand(count, 3, 4, 4, generator=generator),
        mask=torch.randint(0, 19, (count, 4, 4), generator=generator),
        reference=Reference(
            torch.rand(count, 3, 4, 4, generator=generator), torch.randint(0, 19, (count, 4, 4), generator=generator)
        ),
        attributes=torch.ones(count, 5) if attributes else None,
        keys=tuple(f"face_{index}" for index in range(count)),
    )


def test_the_condition_of_a_batch() -> None:
    batch = _batch()
    condition = batch.condition
    assert len(batch) == 3
    assert condition.mask is batch.mask
    assert condition.source_image is batch.image
    assert condition.reference is batch.reference
    assert condition.attributes is batch.attributes
    assert condition.extra is batch.extra
    assert len(condition) == 3


def test_references_roll_with_their_masks() -> None:
    condition = _batch().condition
    assert condition.reference is not None
    rolled = condition.rolled_reference()
    assert rolled.reference is not None
    for index in range(3):
        assert torch.equal(rolled.reference.image[index], condition.reference.image[index - 1])
        assert torch.equal(rolled.reference.require_mask()[index], condition.reference.require_mask()[index - 1])
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
    assert moved.image.device.type == moved.condition.to("meta").require_mask().device.type == "meta"
    assert (moved.attributes is None) == (not attributes)
    assert moved.keys == batch.keys
    assert Condition(mask=batch.mask).to("cpu").reference is None


def test_generated_detaches_its_pyramid() -> None:
    image = torch.zeros(1, 3, 4, 4, requires_grad=True)
    detached = Generated(image, (image * 2,)).detach()
    assert not detached.image.requires_grad
    assert not detached.pyramid[0].requires_grad


def test_discriminator_outputs_split_and_detach() -> None:
    logits = torch.arange(4.0, requires_grad=True).reshape(4, 1)
    discriminator_output = DiscriminatorOutput((ScaleOutput(logits, (logits * 2,)),), class_logits=logits * 3)
    real, fake = discriminator_output.split(3)
    assert (len(real.scales[0].logits), len(fake.scales[0].logits)) == (3, 1)
    assert torch.equal(fake.scales[0].features[0], logits[3:] * 2)
    assert real.class_logits is not None
    assert torch.equal(real.class_logits, logits[:3] * 3)
    detached = discriminator_output.detach()
    assert detached.class_logits is not None
    assert not detached.scales[0].logits.requires_grad
    assert not detached.scales[0].features[0].requires_grad
    assert not detached.class_logits.requires_grad
    assert DiscriminatorOutput((ScaleOutput(logits),)).split(2)[0].class_logits is None


# What a model family adds.


@dataclass(frozen=True, slots=True)
class Gaussian(Style):
    """A VAE's style, with its variance and a note."""

    variance: torch.Tensor | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Painted(Generated):
    latent: torch.Tensor | None = None
    steps: tuple[torch.Tensor, ...] = ()
    counted: int = field(init=False, default=7)


Pair = namedtuple("Pair", ["one", "other"])


def _rows(value: Any) -> list[int]:
    """The first number of each row, which says which sample it was."""
    return [int(row.flatten()[0]) for row in value]


def _of(rows: list[int], *shape: int) -> torch.Tensor:
    return torch.stack([torch.full(shape, float(row)) for row in rows])


def _containers(rows: list[int]) -> list[Any]:
    reference = Reference(_of(rows, 3, 2, 2), _of(rows, 2, 2).long(), _of(rows, 1))
    return [
        Gaussian(_of(rows, 4), variance=_of(rows, 4), note="mine"),
        Painted(_of(rows, 3, 2, 2), (_of(rows, 3, 1, 1),), {"depth": _of(rows, 2)}, _of(rows, 5), (_of(rows, 2),)),
        Condition(_of(rows, 2, 2).long(), reference, _of(rows, 1), _of(rows, 3, 2, 2), {"latent": _of(rows, 6)}),
        reference,
        DiscriminatorOutput((ScaleOutput(_of(rows, 1), (_of(rows, 2),)),), _of(rows, 3)),
    ]


def _tensors(container: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    map_tensors(container, lambda tensor: found.append(tensor) or tensor)  # type: ignore[func-returns-value]
    return found


@pytest.mark.parametrize("index", range(5), ids=lambda index: type(_containers([0])[index]).__name__)
def test_whatever_is_done_to_a_container_is_done_to_all_of_it(index: int) -> None:
    container = _containers([0, 1, 2])[index]
    for changed, rows in (
        (container.first(2), [0, 1]),
        (container.roll(), [2, 0, 1]),
        (container.roll(-1), [1, 2, 0]),
        (_containers([4])[index].repeat(3), [4, 4, 4]),
        (container.detach(), [0, 1, 2]),
        (container.to("cpu"), [0, 1, 2]),
        (concatenate([container, _containers([7, 8])[index]]), [0, 1, 2, 7, 8]),
        (to_float32(container), [0, 1, 2]),
        (to_float32(container, copy=True), [0, 1, 2]),
        (map_tensors(container, lambda tensor: tensor + 3), [3, 4, 5]),
    ):
        assert type(changed) is type(container)
        assert len(_tensors(changed)) == len(_tensors(container)) >= 2
        assert all(_rows(tensor) == rows for tensor in _tensors(changed)), rows
    assert [tensor.device.type for tensor in _tensors(container.to("meta"))] == ["meta"] * len(_tensors(container))
    if isinstance(container, Gaussian):
        assert container.roll().note == concatenate([container, container]).note == "mine"


def test_detaching_cuts_the_fields_of_a_family_too() -> None:
    base = torch.ones(2, 4, requires_grad=True)
    style = Gaussian(base * 2, variance=base * 3)
    for cut in (style.detach(), map_tensors(style, torch.Tensor.detach)):
        assert cut.variance is not None
        assert not cut.code.requires_grad
        assert not cut.variance.requires_grad


def test_own_fields_stay_in_the_graph_and_the_format_that_they_were_computed_in() -> None:
    latent = torch.ones(2, 3, dtype=torch.bfloat16, requires_grad=True)
    own = latent * 2
    image = own.sum(1)[:, None, None, None].expand(2, 3, 2, 2)
    result = to_float32(Painted(image, (image[..., :1, :1],), {"depth": image[:, 0]}, own))
    assert isinstance(result, Painted)
    assert {tensor.dtype for tensor in (result.image, *result.pyramid, *result.maps.values())} == {torch.float32}
    assert result.latent is own
    (gradient,) = torch.autograd.grad(result.image.sum(), result.latent)
    assert gradient.shape == own.shape
    copied = to_float32(Painted(image, latent=own), copy=True)
    assert copied.latent is own
    # Of a family's own kind of result nothing is known, so it is left as it is.
    pair = Pair(own, own)
    assert to_float32((own,))[0].dtype == torch.float32
    assert isinstance(map_tensors(pair, torch.Tensor.float), Pair)
    assert isinstance(concatenate([pair, pair]), Pair)


def test_styles_take_vectors_of_others() -> None:
    one, other = (
        Gaussian(_of(rows, 4, 2), "regions", torch.ones(2, 4, dtype=torch.bool), note="one")
        for rows in ([0, 1], [5, 6])
    )
    absent = Style(other.code, "regions", torch.zeros(2, 4, dtype=torch.bool))
    taken = one.take(absent, [1, 3])
    assert isinstance(taken, Gaussian)
    assert taken.note == "one"
    assert taken.code[:, :, 0].tolist() == [[0, 5, 0, 5], [1, 6, 1, 6]]
    assert taken.present is not None
    assert taken.present.tolist() == [[True, False, True, False]] * 2
    assert one.code[:, :, 0].tolist() == [[0] * 4, [1] * 4]  # left as it was
    assert one.present is not None
    assert one.present.all()
    layers = Style(_of([0, 1], 4, 2), "layers").take(Style(_of([9], 4, 2), "layers"), range(2))
    assert layers.code[:, :, 0].tolist() == [[9, 9, 0, 0], [9, 9, 1, 1]]
    with pytest.raises(ValueError, match="no parts to take; use `towards`"):
        Style(_of([0], 4)).take(Style(_of([1], 4)), [0])
    with pytest.raises(ValueError, match=r"\(4, 2\) numbers by regions does not go with one of \(4, 2\) by layers"):
        one.take(Style(other.code, "layers"), [0])
    with pytest.raises(ValueError, match=r"\(4, 2\) numbers by regions does not go with one of \(3, 2\) by regions"):
        one.take(Style(other.code[:, :3], "regions"), [0])


def test_styles_go_towards_others() -> None:
    one, other = Gaussian(_of([0, 2], 3), note="one"), Style(_of([4], 3).bfloat16())
    for share, expected in ((0.0, [0, 2]), (0.25, [1, 2.5]), (1.0, [4, 4]), (1.5, [6, 5]), (-0.5, [-2, 1])):
        moved = one.towards(other, share)
        assert isinstance(moved, Gaussian)
        assert moved.note == "one"
        assert moved.code.dtype == torch.float32
        assert moved.code[:, 0].tolist() == expected
    with pytest.raises(ValueError, match="does not go with"):
        one.towards(Style(_of([4], 2)), 0.5)


def test_conditions_with_other_values() -> None:
    condition = _batch().condition
    other = condition.with_(attributes=None, latent=torch.ones(3, 2))
    assert other.attributes is None
    assert other.mask is condition.mask
    assert other.extra.keys() == {"latent"}
    assert other.with_(depth=torch.ones(3)).extra.keys() == {"latent", "depth"}
    assert not condition.extra
    assert condition.with_(mask=None).reference is condition.reference
    styled = condition.with_(reference=Reference(condition.require_mask()[:, None].float()))
    assert styled.reference is not None
    assert styled.reference.mask is None


def test_the_number_of_samples_is_read_from_whatever_is_there() -> None:
    assert len(Condition(extra={"latent": torch.ones(4, 2)})) == 4
    assert len(Condition(reference=Reference(torch.ones(2, 3, 4, 4)))) == 2
    assert len(Condition(attributes=torch.ones(5, 1))) == 5
    with pytest.raises(ValueError, match="an empty condition"):
        len(Condition())


def test_masks_that_are_missing_are_said() -> None:
    for container in (Condition(), Reference(torch.ones(1, 3, 2, 2)), FaceBatch(torch.ones(1, 3, 2, 2), ("a",))):
        with pytest.raises(FacekitError, match=r"reads a mask, and there is none\n.*the port `mask`"):
            container.require_mask()


def test_what_does_not_go_together_is_not_joined() -> None:
    condition = Condition(extra={"latent": torch.ones(1, 2)})
    with pytest.raises(ValueError, match="cannot join"):
        concatenate([condition, Condition()])
    with pytest.raises((ValueError, TypeError)):
        concatenate([condition, Condition(attributes=torch.ones(1, 1), extra=condition.extra)])
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        concatenate([Generated(torch.ones(1, 3, 2, 2), (torch.ones(1),)), Generated(torch.ones(1, 3, 2, 2))])
