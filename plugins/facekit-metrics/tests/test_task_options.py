from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from facekit.interfaces import Condition, FacekitError, Generated, Observation, Reference
from facekit_metrics.measurements import Regions
from facekit_metrics.options import KidOptions, TaskChoice, TaskOptions
from facekit_metrics.sets import build_kid as build
from facekit_metrics.style import StyleConsistency, mean_difference, region_colours


def test_names() -> None:
    assert TaskChoice("style_copy").name == "style_copy"
    assert TaskChoice("attribute_transfer", ("Smiling", "Male")).name == "attribute_transfer/Smiling+Male"
    assert TaskChoice("attribute_transfer", ("Smiling", "Male")).results(50) == 100
    assert TaskChoice("reconstruction").results(50) == 50


def test_transferred_results_may_share_a_mask(pictures, with_photos) -> None:  # type: ignore[no-untyped-def]
    photos, results = pictures
    context = replace(with_photos({"test": photos}), attribute_names=("Smiling", "Male"))
    metric = build(KidOptions(task="attribute_transfer", transfer=("Smiling", "Male"), subsets=3), context)
    assert metric.tasks == ("attribute_transfer",)
    assert metric.transfers == ("Smiling", "Male")
    masks = torch.zeros(6, 32, 32, dtype=torch.long)
    keys = tuple(f"face{index}" for index in range(6))
    for attribute in metric.transfers:
        shown, same = Generated(results.clone()), ("face0",) * 6
        condition = Condition(masks)
        observation = Observation("attribute_transfer", condition, shown, photos, same, keys, attribute=attribute)
        metric.update(observation)
    mean, _ = metric.compute()
    assert mean.name == "KID-efficientnet_lite0/attribute_transfer/Smiling+Male"
    assert mean.count == 12
    assert mean.protocol["subsets"].startswith("3 of 3 pictures")
    with pytest.raises(FacekitError, match="mask of 'face0' in the style of 'face0' came twice"):
        metric.update(observation)


def test_regions_of_results_that_kept_their_geometry_are_read_by_the_mask_of_the_source(pictures) -> None:  # type: ignore[no-untyped-def]
    photos, results = pictures
    target, source = torch.zeros(1, 32, 32, dtype=torch.long), torch.zeros(1, 32, 32, dtype=torch.long)
    target[:, :10], source[:, 20:] = 1, 1
    condition = Condition(target, Reference(photos[:1], source))
    for reads, mask in ((frozenset({"mask", "reference"}), target), (frozenset({"source"}), source)):
        metric = StyleConsistency(choice=TaskChoice("style_copy"), regions=Regions({"skin": 1}))
        shown = Generated(results[:1])
        metric.update(Observation("style_copy", condition, shown, photos[:1], ("a",), ("b",), reads=reads))
        (mine,) = region_colours(results[0], mask[0], classes=[1], smallest_share=0.01)
        (other,) = region_colours(photos[0], source[0], classes=[1], smallest_share=0.01)
        assert mine is not None
        assert other is not None
        assert metric.compute()[0].value == pytest.approx(mean_difference(mine, other))


def test_exception(context) -> None:  # type: ignore[no-untyped-def]
    for wrong in ({"task": "attribute_transfer"}, {"transfer": ("Smiling",)}):
        with pytest.raises(ValidationError, match="if task is attribute_transfer, and only then"):
            TaskOptions(**wrong)
    with pytest.raises(ValidationError, match="twice"):
        TaskOptions(task="attribute_transfer", transfer=("Smiling", "Smiling"))
    options = TaskOptions(task="attribute_transfer", transfer=("Smilng",))
    with pytest.raises(FacekitError, match=r"no attribute 'Smilng'(?s:.)*did you mean 'Smiling'"):
        options.choice(replace(context, attribute_names=("Smiling",)))
