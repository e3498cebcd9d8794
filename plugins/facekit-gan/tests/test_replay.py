"""The replay pool: past fakes with the conditions they were made for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from facekit.interfaces import Condition, Generated, Reference, Step
from facekit_gan import ReplayPool, condition_of, discriminate, fake


def test_the_pool_shows_past_fakes_with_the_conditions_they_were_made_for(bench: Any, make_faces: Any) -> None:
    pool = ReplayPool(6)
    seen: list[tuple[Tensor, ...]] = []
    past = 0
    with torch.no_grad():
        for index in range(12):
            bench.batch = make_faces(seed=index)
            step = bench.step("discriminator", index=index)
            made = fake(step)
            new = list(zip(made.image, step.condition.mask, step.condition.reference.image, strict=True))  # type: ignore[union-attr,arg-type]
            seen += new
            shown, condition = pool.exchange(made, condition_of(step, made), random=step.random)
            assert condition.mask is not None
            assert condition.reference is not None
            assert condition.mask.dtype == torch.int64
            for row in zip(shown.image, condition.mask, condition.reference.image, strict=True):
                assert any(all(map(torch.equal, row, other)) for other in seen)
                past += not any(all(map(torch.equal, row, other)) for other in new)
            output = discriminate(step, shown, condition)
            torch.testing.assert_close(
                output.scales[0].logits, bench.model.discriminate(shown, condition).scales[0].logits
            )
    assert len(pool) == 6
    assert 8 <= past <= 36  # of 42 after the pool was full, half were past ones
    copy = ReplayPool(6)
    copy.load_state(pool.state(), torch.device("cpu"))
    left, right = pool.state(), copy.state()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)
    assert {key.split(".")[0] for key in left} == {f"{index:05d}" for index in range(6)}


def made_of(count: int, value: float) -> tuple[Generated, Condition]:
    image = torch.full((count, 3, 4, 4), value)
    reference = Reference(image + 1, torch.full((count, 4, 4), 2), torch.full((count, 1), value))
    condition = Condition(
        mask=torch.full((count, 4, 4), int(value)),
        reference=reference,
        attributes=torch.full((count, 2), value),
        source_image=image + 2,
        extra={"latent": torch.full((count, 5), value)},
    )
    return Generated(image, (image[..., ::2, ::2],), {"depth": image.mean(1)}), condition


def test_everything_of_a_row_is_of_the_same_past_fake() -> None:
    pool, random = ReplayPool(2), torch.Generator().manual_seed(0)
    shown = [pool.exchange(*made_of(2, float(value)), random=random) for value in range(8)]
    values = []
    for image, condition in shown:
        for row in range(2):
            value = float(image.image[row].mean())
            values.append(value)
            assert condition.mask is not None
            assert condition.reference is not None
            assert condition.reference.mask is not None
            assert condition.attributes is not None
            assert condition.source_image is not None
            assert condition.reference.attributes is not None
            found = {
                float(image.pyramid[0][row].mean()),
                float(image.maps["depth"][row].mean()),
                float(condition.mask[row].float().mean()),
                float(condition.reference.image[row].mean()) - 1,
                float(condition.reference.mask[row].float().mean()) - 2 + value,
                float(condition.reference.attributes[row].mean()),
                float(condition.attributes[row].mean()),
                float(condition.source_image[row].mean()) - 2,
                float(condition.extra["latent"][row].mean()),
            }
            assert found == {value}
    assert values[:2] == [0.0, 0.0]  # until the pool is full, fakes are shown as they are
    assert values != [float(value) for value in range(8) for _ in range(2)]


def test_masks_and_references_may_be_missing() -> None:
    pool, random = ReplayPool(1), torch.Generator().manual_seed(1)
    for value in range(12):
        image = Generated(torch.full((1, 3, 4, 4), float(value)))
        condition = Condition(extra={"latent": torch.full((1, 2), float(value))})
        shown, seen = pool.exchange(image, condition, random=random)
        assert seen.mask is None
        assert seen.reference is None
        assert float(seen.extra["latent"].mean()) == float(shown.image.mean())


def test_rows_keep_no_batch_alive_and_no_past_fake_changes() -> None:
    pool, random = ReplayPool(3), torch.Generator().manual_seed(0)
    image, condition = made_of(3, 1.0)
    pool.exchange(image, condition, random=random)
    image.image.fill_(9.0)
    assert {float(value.mean()) for key, value in pool.state().items() if key.endswith("0.image")} == {1.0}
    assert all(value.untyped_storage().nbytes() == value.nbytes for value in pool.state().values())


@dataclass(frozen=True, slots=True)
class GeneratedWithLatent(Generated):
    latent: Tensor | None = None


def test_the_class_of_a_family_stays() -> None:
    pool, random = ReplayPool(1), torch.Generator().manual_seed(0)
    for value in range(6):
        image, condition = made_of(1, float(value))
        own = GeneratedWithLatent(image.image, image.pyramid, image.maps, torch.ones(1, 2))
        shown, _ = pool.exchange(own, condition, random=random)
        assert isinstance(shown, GeneratedWithLatent)


def test_a_pool_in_a_step_of_the_engine_is_deterministic(make_bench: Any) -> None:
    def trained() -> dict[str, Tensor]:
        pool = ReplayPool(3)

        def critic(step: Step) -> Tensor:
            image = fake(step)
            shown = pool.exchange(image, condition_of(step, image), random=step.random)
            return discriminate(step, *shown).scales[0].logits.square().mean()

        def generator(step: Step) -> Tensor:
            return (discriminate(step, fake(step)).scales[0].logits - 1).square().mean()

        bench = make_bench()
        bench.run({"discriminator": [critic], "generator": [generator]}, steps=4)
        state = {name: weight.detach().clone() for name, weight in bench.model.named_parameters()}
        return {**state, **pool.state()}

    first, second = trained(), trained()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_state_of_another_order_is_put_back_in_its_own() -> None:
    pool, random = ReplayPool(12), torch.Generator().manual_seed(0)
    for value in range(12):
        pool.exchange(*made_of(1, float(value)), random=random)
    state = dict(reversed(pool.state().items()))
    copy = ReplayPool(12)
    copy.load_state(state, torch.device("cpu"))
    assert list(copy.state()) == sorted(copy.state(), key=lambda key: key.split(".")[0])
    images = [float(value.mean()) for key, value in copy.state().items() if key.split(".", 1)[1] == "image"]
    assert images == [float(value) for value in range(12)]


@pytest.mark.parametrize("count", [1, 3])
def test_no_gradient_leads_out_of_the_pool(count: int) -> None:
    pool, random = ReplayPool(1), torch.Generator().manual_seed(0)
    for value in range(6):
        image, condition = made_of(count, float(value))
        shown, _ = pool.exchange(replace(image, image=image.image.requires_grad_()).detach(), condition, random=random)
        assert not shown.image.requires_grad
