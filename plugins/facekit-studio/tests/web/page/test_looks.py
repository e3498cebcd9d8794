"""The page with a run that has a style for every region: a reference for the hair, another one for the lips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytestmark = pytest.mark.slow


def choose(page: Any, region: str, face: int) -> None:
    """Choose a face as the reference of a region; an empty name is all of them."""
    panel = page.window.locator("#panel-look")
    panel.get_by_label("Region", exact=True).select_option(value=region)
    page.window.get_by_role("group", name="Towards").get_by_title(page.face(face)["name"]).click()
    page.wait_until_painted()


@pytest.mark.parametrize("width", [1280, 390])
def test_each_region_has_a_reference_of_its_own(
    regions_run: Path, serve: Callable[..., Any], open_page: Any, width: int
) -> None:
    with serve(regions_run) as served, open_page(served, width=width) as page:
        window = page.window
        ids = page.ids(page.face()["id"])
        start = page.picture()
        page.panel("look")
        panel = window.locator("#panel-look")
        assert "that of a region the region alone" in panel.inner_text()

        choose(page, "hair", 1)
        hair = page.picture()
        changed = (hair != start).any(2)
        assert changed.any()
        inside = ids == page.class_id("hair")
        # The edge of what is repainted fades over a few pixels.
        assert changed[inside].sum() > 10 * changed[~grown(inside, 3)].sum()

        choose(page, "l_lip", 2)
        lips = page.picture()
        assert (lips != hair)[ids == page.class_id("l_lip")].any()
        assert page.history()[-2:] == [f"Hair of {page.face(1)['name']}", f"Lower lip of {page.face(2)['name']}"]
        assert f"Also: hair of {page.face(1)['name']}." in panel.inner_text()

        # What is chosen for a region is shown when one comes back to it, and can be taken away by itself.
        panel.get_by_label("Region", exact=True).select_option(value="hair")
        chosen = window.get_by_role("group", name="Towards").locator("input:checked")
        assert chosen.get_attribute("value") == page.face(1)["id"]
        window.get_by_role("group", name="Towards").locator("label").first.click()
        page.wait_until_painted()
        alone, apart = page.picture(), inside & ~grown(ids == page.class_id("l_lip"), 3)
        assert np.array_equal(alone[apart], start[apart])
        assert page.history()[-1] == "Own hair"
        choose(page, "hair", 1)

        script = yaml.safe_load(page.save("script"))
        operations = [(each["do"], each["regions"], each["photo"]) for each in script["operations"]]
        files = [page.face(number)["files"]["photo"] for number in (2, 1)]
        assert operations == [("reference", ["l_lip"], files[0]), ("reference", ["hair"], files[1])]
        assert window.evaluate("document.documentElement.scrollWidth") <= width


def test_a_run_with_one_style_for_the_whole_face_offers_no_regions(
    run: Path, serve: Callable[..., Any], open_page: Any
) -> None:
    with serve(run) as served, open_page(served) as page:
        page.panel("look")
        panel = page.window.locator("#panel-look")
        assert "repaints the whole square." in panel.inner_text()
        assert not panel.get_by_label("Region", exact=True).is_visible()
        page.window.get_by_role("group", name="Towards").get_by_title(page.face(1)["name"]).click()
        page.wait_until_painted()
        assert page.history()[-1] == f"Towards {page.face(1)['name']}"


def grown(pixels: np.ndarray, by: int) -> np.ndarray:
    """Pixels, and those within a distance of them along rows and columns."""
    padded = np.pad(pixels, by)
    sides = range(2 * by + 1)
    height, width = pixels.shape
    return np.any([padded[row : row + height, column : column + width] for row in sides for column in sides], axis=0)
