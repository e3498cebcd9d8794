from __future__ import annotations

import pytest
import torch

from facekit.interfaces import HOLE, BuildContext, Condition, FacekitError, Generated, LabelClass, LabelMap
from facekit_local_edit.first_fill import fill_by_region, fill_smoothly
from facekit_local_edit.losses import hole_l1_loss
from facekit_local_edit.networks import build_discriminator, build_generator, within
from facekit_local_edit.plugin import DiscriminatorOptions, GeneratorOptions, noise_name

LABELS = LabelMap(name="four", classes=tuple(LabelClass(name, (i, i, i)) for i, name in enumerate("abcd")))
CONTEXT = BuildContext(label_map=LABELS, attribute_names=(), size=32)


def condition(count: int = 2) -> Condition:
    random = torch.Generator().manual_seed(0)
    hole = torch.zeros(count, 1, 32, 32)
    hole[:, :, 10:20, 8:22] = 1
    noise = {noise_name(level): torch.randn(count, 1, 32 >> level, 32 >> level, generator=random) for level in range(3)}
    mask = torch.randint(0, 4, (count, 4, 4), generator=random).repeat_interleave(8, 1).repeat_interleave(8, 2)
    photo = torch.rand(count, 3, 32, 32, generator=random) * 2 - 1
    return Condition(mask=mask, source_image=photo, extra={HOLE.name: hole, **noise})


def generator():
    torch.manual_seed(0)
    network = build_generator(GeneratorOptions(filters=4), CONTEXT)
    with torch.no_grad():  # as after training, when noise and changes count
        network.core.leave.weight.mul_(10)
        for gain in network.core.noise_gains:
            gain.fill_(0.5)
    return network


def made(network, given):
    with torch.no_grad():
        return network(given, None).image


def test_a_folded_generator_computes_at_half_the_size():
    given = condition()
    halves = {noise_name(level): torch.randn(2, 1, 16 >> level, 16 >> level) for level in range(3)}
    folded = given.with_(**halves)
    torch.manual_seed(0)
    network = build_generator(GeneratorOptions(filters=4, fold=2), CONTEXT)
    torch.nn.init.normal_(network.fold_out.weight)
    sizes = []
    network.core.enter.register_forward_hook(lambda module, read, made: sizes.append(made.shape[-2:]))
    with torch.no_grad():
        image = network(folded, None).image
    hole = given.extra[HOLE.name].expand(-1, 3, -1, -1) > 0
    assert sizes == [(16, 16)]
    assert torch.equal(image[~hole], given.source_image[~hole])
    # The four pixels of a square are made apart.
    assert (image[..., ::2, :] - image[..., 1::2, :])[hole[..., ::2, :] & hole[..., 1::2, :]].abs().min() > 0


def test_a_folded_generator_begins_as_the_one_of_half_the_size():
    plain = build_generator(GeneratorOptions(filters=4, first_fill="smooth"), CONTEXT)
    folded = build_generator(GeneratorOptions(filters=4, fold=2, first_fill="smooth"), CONTEXT)
    folded.core.load_state_dict(plain.core.state_dict())
    given = condition()
    large = {
        "mask": given.mask.repeat_interleave(2, 1).repeat_interleave(2, 2),
        "source_image": torch.nn.functional.interpolate(given.source_image, scale_factor=2, mode="nearest"),
        HOLE.name: torch.nn.functional.interpolate(given.extra[HOLE.name], scale_factor=2, mode="nearest"),
    }
    wide = made(folded, given.with_(**large))
    assert (torch.nn.functional.avg_pool2d(wide, 2) - made(plain, given)).abs().mean() < 0.02


def test_all_but_the_hole_is_the_photo():
    given = condition()
    image, hole = made(generator(), given), given.extra[HOLE.name].expand(-1, 3, -1, -1) > 0
    assert torch.equal(image[~hole], given.source_image[~hole])
    assert not torch.allclose(image[hole], given.source_image[hole], atol=0.1)


def test_what_the_photo_shows_in_the_hole_is_not_seen():
    given = condition()
    hole = given.extra[HOLE.name]
    other = given.with_(source_image=torch.where(hole > 0, -given.source_image, given.source_image))
    inside = hole.expand(-1, 3, -1, -1) > 0
    network = generator()
    assert torch.equal(made(network, given)[inside], made(network, other)[inside])


@pytest.mark.parametrize(("halvings", "side"), [(2, 8), (3, 4), (4, 2)])
def test_the_discriminator_halves_as_often_as_asked(halvings, side):
    network = build_discriminator(DiscriminatorOptions(filters=4, halvings=halvings, patches=8), CONTEXT)
    given = condition()
    scales = network(Generated(given.source_image), given).scales
    assert [feature.shape[-1] for feature in scales[1].features][-1] == side


@pytest.mark.parametrize("what", ["mask", "source_image", "noise_0", "noise_2"])
def test_mask_surroundings_and_noise_change_what_is_made(what):
    given, network = condition(), generator()
    changes = {
        "mask": (given.mask + 1) % 4,
        "source_image": given.source_image.roll(3, 3),
        "noise_0": given.extra["noise_0"].flip(2),
        "noise_2": given.extra["noise_2"].flip(2),
    }
    inside = given.extra[HOLE.name].expand(-1, 3, -1, -1) > 0
    other = made(network, given.with_(**{what: changes[what]}))
    assert (other[inside] - made(network, given)[inside]).abs().max() > 1e-3


def test_a_hole_over_everything_stays_finite():
    given = condition()
    given = given.with_(**{HOLE.name: torch.ones_like(given.extra[HOLE.name])})
    assert bool(torch.isfinite(made(generator(), given)).all())


def test_a_photo_and_a_hole_are_needed():
    given = condition()
    with pytest.raises(FacekitError, match="windows"):
        generator()(Condition(mask=given.mask, source_image=given.source_image), None)
    discriminator = build_discriminator(DiscriminatorOptions(filters=4), CONTEXT)
    with pytest.raises(FacekitError, match="holes"):
        discriminator(Generated(given.source_image), Condition(mask=given.mask))


def test_a_hole_begins_with_what_lies_around_it():
    photo = torch.full((1, 3, 32, 32), 0.3)
    photo[..., 16:] = -0.5
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., 4:12, 4:10] = 1
    hole[..., 20:26, 20:28] = 1
    hidden = torch.where(hole > 0, torch.tensor(0.9), photo)
    filled = fill_smoothly(hidden, hole)
    assert torch.equal(filled[hole.expand_as(filled) == 0], photo[hole.expand_as(filled) == 0])
    assert torch.allclose(filled, photo, atol=0.15)
    assert torch.equal(fill_smoothly(hidden, torch.ones_like(hole)), torch.zeros_like(photo))


def test_places_are_spread_over_the_hole_and_nowhere_else():
    logits = torch.arange(64.0).view(1, 1, 8, 8)
    hole = torch.zeros(1, 1, 32, 32)
    hole[:, :, 8:16, 4:12] = 1  # rows 2 and 3, columns 1 and 2
    found = within(logits, hole, 8)[0, 0]
    assert sorted(set(found.tolist())) == [17, 18, 25, 26]
    assert all((found == place).sum() == 2 for place in (17, 18, 25, 26))


def test_an_empty_hole_counts_everywhere():
    logits = torch.arange(16.0).view(1, 1, 4, 4)
    assert sorted(within(logits, torch.zeros(1, 1, 16, 16), 16)[0, 0].tolist()) == list(range(16))


def test_the_difference_is_that_of_the_hole_alone():
    hole = condition().extra[HOLE.name]
    real = torch.zeros(2, 3, 32, 32)
    assert hole_l1_loss(real + 0.5, real, hole) == pytest.approx(0.5)
    assert hole_l1_loss(torch.where(hole > 0, real, real + 1), real, hole) == 0
    # A small hole counts as much as a large one.
    hole = hole.clone()
    hole[0] = 0
    hole[0, :, 5, 5] = 1
    fake = real.clone()
    fake[0] = 1
    assert hole_l1_loss(fake, real, hole) == pytest.approx(0.5)


def stripes(side: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """An image whose left half, class 1, has stripes across and whose right half, class 2, is flat and dark."""
    photo = torch.full((1, 3, side, side), -0.6)
    photo[..., ::4, : side // 2] = 0.2
    photo[..., 1::4, : side // 2] = 0.2
    ids = torch.ones(1, side, side, dtype=torch.long)
    ids[..., side // 2 :] = 2
    hole = torch.zeros(1, 1, side, side)
    hole[..., 16:48, 24:44] = 1
    planes = torch.nn.functional.one_hot(ids, 4).permute(0, 3, 1, 2).float()
    return photo, hole, ids, planes


def test_a_region_goes_on_with_its_own_texture():
    photo, hole, ids, planes = stripes()
    hidden = torch.where(hole > 0, torch.full_like(photo, 0.9), photo)
    filled, detailed = fill_by_region(hidden, hole, ids, planes, torch.ones(4))
    assert torch.equal(torch.where(hole > 0, photo, filled), photo)
    assert float(detailed[..., 20:44, 25:31].min()) > 0.5
    assert float(detailed[hole == 0].abs().max()) == 0
    striped, flat = filled[..., 20:44, 25:31], filled[..., 20:44, 33:43]
    # Each half as it is beside the hole, stripes with their contrast; a smooth fill has neither.
    assert abs(float(striped.std()) - 0.4) < 0.1
    assert float((flat + 0.6).abs().max()) < 0.05
    smooth = fill_smoothly(hidden, hole)
    assert float(smooth[..., 20:44, 25:31].std()) < 0.15


def test_a_region_that_the_photo_does_not_show_is_filled_smoothly():
    photo, hole, ids, planes = stripes()
    ids = torch.where(hole[:, 0] > 0, torch.full_like(ids, 3), ids)
    planes = torch.nn.functional.one_hot(ids, 4).permute(0, 3, 1, 2).float()
    filled, detailed = fill_by_region(photo, hole, ids, planes, torch.ones(4))
    assert not detailed.any()
    # But for what the rim around the hole tells of the fill.
    assert float((filled - fill_smoothly(photo, hole)).abs().mean()) < 0.1


def test_skin_begins_smoothly():
    """What is not textured is filled as without regions, but for the rim."""
    photo, hole, ids, planes = stripes()
    filled, detailed = fill_by_region(photo, hole, ids, planes, torch.tensor([1.0, 0, 1, 1]))
    assert not detailed[..., : photo.shape[-1] // 2].any()
    assert detailed.any()
    assert float(filled[..., 20:44, 25:31].std()) < 0.15


def test_a_textured_region_has_to_be_in_the_label_map():
    with pytest.raises(FacekitError, match="no class 'beard'"):
        build_generator(GeneratorOptions(filters=4, textured=["beard"]), CONTEXT)
