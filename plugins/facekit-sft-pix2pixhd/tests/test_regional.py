from __future__ import annotations

import math

import pytest
import torch

from facekit.interfaces import BuildContext, Condition, FacekitError, LabelClass, LabelMap, Style
from facekit_sft_pix2pixhd.aligned_features import (
    RegionRoles,
    aligned_features,
    borders_agree,
    skin_kept,
    some_left_out,
)
from facekit_sft_pix2pixhd.alignment import affine_maps, land_in_region, region_moments, sampling_grid, shown
from facekit_sft_pix2pixhd.plugin import RegionalGeneratorOptions, RegionalStyleOptions
from facekit_sft_pix2pixhd.regional import (
    DetailTransform,
    RegionalStyle,
    build_generator,
    build_style_encoder,
    region_statistics,
)

LABELS = LabelMap(name="four", classes=tuple(LabelClass(name, (i, i, i)) for i, name in enumerate("abcd")))
CONTEXT = BuildContext(label_map=LABELS, attribute_names=(), size=32)


def oval(centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0, size: int = 64):
    y, x = torch.meshgrid(*(torch.arange(size, dtype=torch.float32),) * 2, indexing="ij")
    y, x = y - centre[0], x - centre[1]
    angle = math.radians(degrees)
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    return ((along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1).long()


def planes(mask):
    return torch.nn.functional.one_hot(mask, 4).permute(0, 3, 1, 2).float()


def moved(image, mask, reference_mask):
    target, reference = region_moments(planes(mask)), region_moments(planes(reference_mask))
    maps = affine_maps(target, reference)
    grid = sampling_grid(mask, maps, target, reference)
    return torch.nn.functional.grid_sample(image, grid, padding_mode="border", align_corners=False), maps


def test_equal_masks_are_laid_over_each_other_pixel_by_pixel():
    mask = oval((30, 28), (12, 8), 20)[None]
    image = torch.randn(1, 3, 64, 64)
    found, _ = moved(image, mask, mask)
    assert torch.allclose(found, image, atol=1e-3)


@pytest.mark.parametrize("move", [(9, -6), (0, 14)])
def test_a_region_that_was_moved_is_found_again(move):
    reference = oval((30, 28), (12, 8), 20)
    target = torch.roll(reference, move, (0, 1))[None]
    image = torch.randn(1, 3, 64, 64)
    found, maps = moved(image, target, reference[None])
    wanted = torch.roll(image, move, (2, 3))
    inside = target[:, None].expand_as(image) == 1
    assert torch.allclose(found[inside], wanted[inside], atol=2e-3)
    assert torch.allclose(maps[0, 1, :, :2], torch.eye(2), atol=1e-4)


def test_a_region_of_another_form_is_stretched_over_the_new_one():
    reference, target = oval((30, 30), (10, 10))[None], oval((30, 30), (20, 5))[None]
    _, maps = moved(torch.randn(1, 3, 64, 64), target, reference)
    assert torch.allclose(maps[0, 1, :, :2], torch.diag(torch.tensor([0.5, 2.0])), atol=0.1)


def test_a_region_that_the_reference_lacks_keeps_its_place():
    target, reference = oval((30, 30), (10, 10))[None], torch.zeros(1, 64, 64, dtype=torch.long)
    moments = region_moments(planes(target)), region_moments(planes(reference))
    assert shown(*moments)[0].tolist() == [True, False, False, False]
    assert torch.equal(affine_maps(*moments)[0, 1], torch.eye(2, 3))


def face_with_brow(row: int):
    """A face of class 1 that stays where it is, and a brow of class 2."""
    face = oval((32, 32), (24, 28), 90)
    return torch.where(oval((row, 32), (10, 3)) == 1, 2, face)[None]


def test_skin_beside_a_brow_comes_from_beside_the_brow_of_the_reference():
    target, reference = face_with_brow(24), face_with_brow(30)
    moments = region_moments(planes(target)), region_moments(planes(reference))
    grid = sampling_grid(target, affine_maps(*moments), *moments)
    rows = (grid[0, ..., 1] + 1) * 32 - 0.5
    # Two pixels above and below the brow it follows the brow, six pixels down; at the chin it stays.
    assert target[0, 19, 32] == target[0, 29, 32] == 1
    assert (rows[19, 32] - 25).abs() < 1
    assert (rows[29, 32] - 35).abs() < 1.5
    assert reference[0, int(rows[19, 32] + 0.5), 32] == reference[0, int(rows[29, 32] + 0.5), 32] == 1
    assert (rows[52, 32] - 52).abs() < 1
    # By the map of the skin alone, these places of skin would lie on the brow of the reference.
    own = affine_maps(*moments)[0, 1]
    alone = (own @ torch.tensor([1 / 64, (29.5 / 32) - 1, 1.0]))[1]
    assert reference[0, int((alone + 1) * 32), 32] == 2


def test_large_neighbours_move_nothing():
    target, reference = oval((30, 32), (20, 20))[None], oval((34, 32), (20, 20))[None]
    moments = region_moments(planes(target)), region_moments(planes(reference))
    maps = affine_maps(*moments)
    grid = sampling_grid(target, maps, *moments)
    outside = target[0] == 0
    x, y = grid[0][outside].unbind(1)
    centres = torch.stack(torch.meshgrid(*((torch.arange(64) + 0.5) / 32 - 1,) * 2, indexing="ij"), 2).flip(2)[outside]
    wanted = centres @ maps[0, 0, :, :2].T + maps[0, 0, :, 2]
    assert torch.allclose(torch.stack([x, y], 1), wanted, atol=1e-4)


def test_hair_beside_the_hair_of_the_reference_comes_from_elsewhere_in_it():
    target, reference = oval((32, 32), (28, 10))[None], oval((32, 32), (10, 10))[None]
    moments = region_moments(planes(target)), region_moments(planes(reference))
    # As if the map were the identity, so that the ends of the long oval lie beside the short one.
    identity = torch.eye(2, 3).expand(1, 4, 2, 3)
    grid = sampling_grid(target, identity, *moments)
    inside = target == 1
    everywhere, nowhere = torch.ones_like(inside), torch.zeros_like(inside)
    still, landed = land_in_region(grid, target, reference, moments[1], nowhere)
    assert torch.equal(still, grid)
    assert torch.equal(landed, target == reference)
    moved_grid, found = land_in_region(grid, target, reference, moments[1], everywhere)
    assert found[inside].float().mean() > landed[inside].float().mean() + 0.3
    there = torch.nn.functional.grid_sample(reference[:, None].float(), moved_grid, mode="nearest", align_corners=False)
    assert bool((there[:, 0][found & inside] == 1).all())
    # Places that had landed stay where they were.
    assert torch.equal(moved_grid[landed], grid[landed])


def test_the_regions_of_one_texture_are_hair_unless_named():
    hair = LabelMap(name="two", classes=(LabelClass("background", (0, 0, 0)), LabelClass("hair", (1, 1, 1))))
    context = BuildContext(label_map=hair, attribute_names=(), size=32)
    options = {"code": 8, "filters": 8, "blocks": 1, "encoder_filters": 4}
    assert build_generator(RegionalGeneratorOptions(**options), context).roles.texture == (1,)
    assert build_generator(RegionalGeneratorOptions(**options), CONTEXT).roles.texture == ()
    named = RegionalGeneratorOptions(**options, texture_regions=["b", "d"])
    assert build_generator(named, CONTEXT).roles.texture == (1, 3)
    with pytest.raises(FacekitError, match="no class 'e'"):
        build_generator(RegionalGeneratorOptions(**options, texture_regions=["e"]), CONTEXT)


def face_with_mouth(width: float, opened: int, size: int = 64, face: float = 24):
    """A face (1) with lips (2) about an open mouth (3) at two thirds of its height."""
    mask = oval((32, 32), (face, 28), size=size)
    lips = oval((42, 32), (width, 4), size=size) == 1
    inside = oval((42, 32), (width - 2, opened), size=size) == 1 if opened else torch.zeros_like(lips)
    return torch.where(inside, 3, torch.where(lips, 2, mask))[None]


def kept(target, reference):
    moments = region_moments(planes(target)), region_moments(planes(reference))
    return skin_kept(target, *moments, RegionRoles(skin=1, mouth=(2, 3)))[0, 0]


@pytest.mark.parametrize(
    "reference",
    [face_with_mouth(11, 0), face_with_mouth(8, 2)],
    ids=["wider", "open"],
)
def test_around_a_mouth_of_another_expression_features_are_left_out(reference):
    target = face_with_mouth(8, 0)
    found = kept(target, reference)
    assert found[42, 32] == 0  # the lips
    assert found[46, 22] == 0  # a cheek
    assert found[14, 32] == 1  # the forehead
    assert found[42, 2] == 1  # beside the face, as near as the cheek's end
    assert bool(((found >= 0) & (found <= 1)).all())


def test_the_same_expression_keeps_the_features_wherever_the_mouth_is():
    mask = face_with_mouth(8, 2)
    for reference in (mask, torch.roll(mask, (6, -3), (1, 2)), face_with_mouth(9.5, 2, face=28)):
        assert bool((kept(mask, reference) == 1).all())


def test_without_a_mouth_to_compare_with_the_features_stay():
    mask, bare = face_with_mouth(8, 2), oval((32, 32), (24, 28))[None]
    assert bool((kept(mask, bare) == 1).all())
    assert bool((kept(bare, mask) == 1).all())


def test_features_around_another_expression_are_left_out():
    target, reference = face_with_mouth(8, 0), face_with_mouth(12, 0)
    features = 0.2 + torch.rand(1, 1, 3, 64, 64)
    share = torch.ones(1, 4, 1)

    def aligned(roles: RegionRoles):
        return aligned_features(target, planes(target), [features], reference[:, None], share, roles)[0][0]

    follows, keeps = aligned(RegionRoles(mouth=(2, 3), skin=1)), aligned(RegionRoles())
    assert not follows[:4, 46, 22].any()
    assert bool((keeps[:4, 46, 22] > 0.1).all())
    assert keeps[3, 46, 22] > 0.9
    assert torch.equal(follows[:, :14], keeps[:, :14])


def test_features_beside_a_border_stay_out_of_the_middle_of_a_region():
    small, large = oval((32, 32), (14, 14))[None], oval((32, 32), (26, 26))[None]
    y, x = torch.meshgrid(*((torch.arange(64) + 0.5) / 32 - 1,) * 2, indexing="ij")
    here = torch.stack([x, y], 2)[None]

    def agree(mask, reference):
        return borders_agree(here, mask, planes(mask), planes(reference))[0, 0]

    assert bool((agree(small, small) == 1).all())
    found = agree(large, small)
    assert found[32, 32] == 1  # deep inside both
    assert found[32, 46] < 0.5  # just inside the reference's border, deep inside the mask's region
    assert found[32, 52] == 0  # outside of the reference's region
    assert found[32, 62] == 1  # outside of both
    # No cliff within a region of the mask: from pixel to pixel it never falls by half.
    assert bool((found[32, 7:57].diff().abs() < 0.5).all())
    # Deep inside the reference's region, whatever the mask's border beside it.
    assert bool((agree(small, large)[small[0] == 1] == 1).all())


def test_patches_are_left_out_of_a_share_of_the_images():
    torch.manual_seed(0)
    kept = some_left_out(torch.ones(2000, 1, 16, 16), 0.5).flatten(1)
    assert bool(((kept >= 0) & (kept <= 1)).all())
    whole = (kept == 1).all(1).float().mean()
    assert 0.45 < whole < 0.6
    assert bool((kept.mean(1) < 0.1).any())
    assert bool((some_left_out(torch.ones(9, 1, 16, 16), 0.0) == 1).all())


def test_features_are_left_out_in_training_alone():
    options = {"code": 8, "filters": 8, "blocks": 1, "encoder_filters": 4}
    generator = build_generator(RegionalGeneratorOptions(**options, detail_dropout=1), CONTEXT)
    encoder = build_style_encoder(RegionalStyleOptions(code=8, filters=4), CONTEXT)
    mask = torch.randint(0, 4, (1, 32, 32))
    style = encoder(torch.rand(1, 3, 32, 32) * 2 - 1, mask)
    condition = Condition(mask=mask)

    def image(seed: int):
        torch.manual_seed(seed)
        return generator(condition, style).image

    assert torch.equal(image(0), image(0))
    assert not torch.equal(image(0), image(1))
    generator.eval()
    assert torch.equal(image(0), image(1))


def face_with_nose(place: int):
    """A face (1) with a nose (2) in a column of its own."""
    return torch.where(oval((32, place), (4, 8)) == 1, 2, oval((32, 32), (24, 28)))[None]


def test_skin_of_a_head_that_is_turned_otherwise_follows_the_mask():
    def kept_of(target, reference):
        moments = region_moments(planes(target)), region_moments(planes(reference))
        return skin_kept(target, *moments, RegionRoles(skin=1, nose=2))[0, 0]

    ahead, turned = face_with_nose(32), face_with_nose(48)
    found = kept_of(ahead, turned)
    assert bool((found[ahead[0] == 1] == 0).all())
    assert bool((found[ahead[0] != 1] == 1).all())
    assert bool((kept_of(turned, torch.roll(turned, 5, 2)) == 1).all())
    assert bool((kept_of(ahead, oval((32, 32), (24, 28))[None]) == 1).all())


def test_skin_follows_the_mask_where_the_label_map_has_one():
    names = ("background", "skin", "mouth", "u_lip", "l_lip", "nose")
    faces_map = LabelMap(name="faces", classes=tuple(LabelClass(name, (i, i, i)) for i, name in enumerate(names)))
    context = BuildContext(label_map=faces_map, attribute_names=(), size=32)
    options = {"code": 8, "filters": 8, "blocks": 1, "encoder_filters": 4}
    assert build_generator(RegionalGeneratorOptions(**options), context).roles == RegionRoles((), 1, 5, (2, 3, 4))
    kept_reference = RegionalGeneratorOptions(**options, skin_follows="reference")
    assert build_generator(kept_reference, context).roles == RegionRoles()
    assert build_generator(RegionalGeneratorOptions(**options), CONTEXT).roles == RegionRoles()


def test_moments_of_nonsense_stay_finite():
    wild = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0)) * 10
    assert bool(torch.isfinite(affine_maps(wild, wild.flip(0))).all())


def test_colours_of_a_region_are_its_own():
    mask = oval((30, 30), (10, 10))[None]
    image = torch.where(mask[:, None] == 1, torch.tensor(0.6), torch.tensor(-0.4)).expand(1, 3, 64, 64)
    found = region_statistics(image, planes(mask))[0]
    assert torch.allclose(found[1], torch.tensor([0.6] * 3 + [0.01] * 3), atol=1e-3)
    assert torch.allclose(found[0, :3], torch.tensor(-0.4), atol=1e-4)
    assert torch.equal(found[2, :3], torch.zeros(3))


def networks(**options):
    torch.manual_seed(0)
    convolutions = options.get("convolutions", True)
    encoder = RegionalStyleOptions(code=8, filters=4, hidden=16, convolutions=convolutions, details=options["sft"])
    generator = RegionalGeneratorOptions(code=8, filters=8, blocks=1, sft=options["sft"], encoder_filters=4)
    return build_style_encoder(encoder, CONTEXT).eval(), build_generator(generator, CONTEXT).eval()


def faces(seed: int = 0, count: int = 2):
    random = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 3, 32, 32, generator=random) * 2 - 1
    mask = torch.stack([oval((14 + 3 * i, 16), (9, 6), size=32) for i in range(count)])
    return image, mask


def generated(encoder, generator, style=None):
    image, mask = faces()
    with torch.no_grad():
        return generator(Condition(mask=mask), encoder(image, mask) if style is None else style).image


def test_with_sft_a_place_of_the_reference_reaches_its_place_in_the_result():
    encoder, generator = networks(sft=True)
    image, mask = faces()
    changed = image.clone()
    # Two pixels change places: colours of regions stay, and with them all that codes of colours know.
    changed[:, :, 14, 14], changed[:, :, 14, 18] = image[:, :, 14, 18], image[:, :, 14, 14]
    with torch.no_grad():
        difference = generated(encoder, generator, encoder(changed, mask)) - generated(encoder, generator)
    near, far = difference[..., 11:18, 11:22].abs().mean(), difference[..., 26:, :].abs().mean()
    assert near > 5 * far


def test_without_sft_and_convolutions_only_colours_count():
    encoder, _ = networks(sft=False, convolutions=False)
    image, mask = faces()
    changed = image.clone()
    changed[:, :, 14, 14], changed[:, :, 14, 18] = image[:, :, 14, 18], image[:, :, 14, 14]
    with torch.no_grad():
        assert torch.allclose(encoder(changed, mask).code, encoder(image, mask).code, atol=1e-6)
        assert not torch.allclose(encoder(image.flip(0), mask).code, encoder(image, mask).code, atol=1e-3)


def test_a_region_taken_from_another_face_brings_its_features():
    encoder, generator = networks(sft=True)
    image, mask = faces()
    other_image, _ = faces(seed=5)
    with torch.no_grad():
        own, other = encoder(image, mask), encoder(other_image, mask)
    taken = own.take(other, [1])
    assert isinstance(taken, RegionalStyle)
    assert torch.equal(taken.share.sum(2), torch.ones(2, 4))
    result, plain, theirs = (generated(encoder, generator, style) for style in (taken, own, other))
    # In the middle of the region it is the other face, far from it the own one.
    inside, outside = (slice(None), slice(None), slice(12, 16), slice(13, 19)), (..., slice(28, 32), slice(0, 4))
    assert (result[inside] - theirs[inside]).abs().mean() < 0.7 * (plain[inside] - theirs[inside]).abs().mean()
    assert (result[outside] - plain[outside]).abs().mean() < 0.7 * (theirs[outside] - plain[outside]).abs().mean()
    assert torch.allclose(generated(encoder, generator, own.take(other, range(4))), theirs, atol=1e-4)


@torch.no_grad()
def test_features_of_a_region_follow_its_reference_and_those_of_others_do_not():
    encoder, _ = networks(sft=True)
    image, mask = faces()
    other_image, _ = faces(seed=5)
    # The other face has the region elsewhere.
    own, other = encoder(image, mask), encoder(other_image.roll(4, 3), mask.roll(4, 2))

    def aligned(style):
        levels = (style.full, style.half, style.quarter)
        return aligned_features(mask, planes(mask), levels, style.mask, style.share, RegionRoles())

    for mixed, mine, theirs in zip(*map(aligned, (own.take(other, [1]), own, other)), strict=True):
        step = 32 // mine.shape[-1]
        taken = (mask[:, ::step, ::step] == 1)[:, None].expand_as(mine)
        assert torch.equal(mixed[taken], theirs[taken])
        assert torch.equal(mixed[~taken], mine[~taken])
        assert not torch.allclose(theirs[taken], mine[taken], atol=0.1)


def test_a_blend_goes_from_one_face_to_the_other():
    encoder, generator = networks(sft=True)
    image, mask = faces()
    with torch.no_grad():
        own, other = encoder(image, mask), encoder(faces(seed=5)[0], mask)
    assert torch.allclose(
        generated(encoder, generator, own.towards(other, 0.0)), generated(encoder, generator, own), atol=1e-4
    )
    assert torch.allclose(
        generated(encoder, generator, own.towards(other, 1.0)), generated(encoder, generator, other), atol=1e-4
    )
    half = generated(encoder, generator, own.towards(other, 0.5))
    assert not torch.allclose(half, generated(encoder, generator, own), atol=1e-3)


def test_styles_of_different_encoders_do_not_mix():
    encoder, _ = networks(sft=True)
    image, mask = faces()
    with torch.no_grad():
        style = encoder(image, mask)
    with pytest.raises(ValueError, match="different style encoders"):
        style.take(Style(style.code, "regions", style.present), [1])


def test_a_style_without_features_is_refused_where_they_are_read():
    _, generator = networks(sft=True)
    _, mask = faces()
    with pytest.raises(FacekitError, match="regional_style"):
        generator(Condition(mask=mask), Style(torch.zeros(2, 4, 8), "regions"))


def test_an_absent_region_gets_the_mean_code_of_training():
    encoder, _ = networks(sft=True)
    image, mask = faces()
    with torch.no_grad():
        seen = encoder.train()(image, torch.where(mask == 1, 2, mask))
        style = encoder.eval()(image, mask)
    assert style.present.tolist() == [[True, True, False, False]] * 2
    torch.testing.assert_close(style.code[:, 2], seen.code[:, 2].mean(0).expand(2, -1))
    assert not style.code[:, 3].any()  # no photo has shown it


def test_where_a_reference_shows_nothing_its_features_change_nothing():
    transform = DetailTransform(8, 4)
    features, details = torch.randn(2, 8, 16, 16), torch.randn(2, 6, 16, 16)
    here = torch.zeros(2, 1, 16, 16)
    here[:, :, :, 8:] = 1
    details[:, 4:5] = here
    with torch.no_grad():
        found = transform(features, details)
    assert torch.equal(found[..., :8], features[..., :8])
    assert not torch.allclose(found[..., 8:], features[..., 8:], atol=1e-2)


def test_an_image_begins_with_the_mean_colours_of_the_references_regions():
    encoder, generator = networks(sft=True)
    image, mask = faces()
    torch.nn.init.zeros_(generator.head.weight)
    torch.nn.init.zeros_(generator.head.bias)
    with torch.no_grad():
        begun = generator(Condition(mask=mask), encoder(image, mask).roll(1)).image
    colours = region_statistics(image, planes(mask))[..., :3].roll(1, 0)
    flat = colours.gather(1, mask.flatten(1)[..., None].expand(-1, -1, 3)).transpose(1, 2).view_as(image)
    # Two pixels from a border there is one region alone; across it, values lie between those of its two sides.
    around = torch.nn.functional.max_pool2d(planes(mask), 5, stride=1, padding=2).sum(1, keepdim=True).expand_as(flat)
    torch.testing.assert_close(begun[around == 1], flat[around == 1], atol=1e-5, rtol=0)
    assert not torch.allclose(begun[around > 1], flat[around > 1], atol=1e-3)
    low, high = flat.amin((2, 3), keepdim=True), flat.amax((2, 3), keepdim=True)
    assert bool(((begun >= low - 1e-5) & (begun <= high + 1e-5)).all())


def test_details_need_convolutions():
    with pytest.raises(ValueError, match="details are features"):
        RegionalStyleOptions(convolutions=False)
