"""The page on a phone, by fingers, in light and dark, and for people who cannot see it or use a mouse."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow

PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}
PANELS = ("faces", "paint", "shape", "look", "checks")


class Fingers:
    """Fingers on the screen of a phone, as the browser gets them."""

    def __init__(self, page: Any) -> None:
        self._session = page.window.context.new_cdp_session(page.window)

    def __call__(self, kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})


def test_a_finger_paints_and_two_zoom(served: Any, open_page: Any) -> None:
    with open_page(served, **PHONE) as page:
        window, touch = page.window, Fingers(page)
        assert window.evaluate("document.documentElement.scrollWidth") <= 390
        assert window.evaluate("scrollY") == 0
        before = page.ids(page.face()["id"])
        page.window.locator("#classes label[data-class=hat]").click()
        size = window.get_by_label("Size", exact=True)
        size.fill("1")
        window.evaluate("scrollTo(0, 0)")
        touch("touchStart", page.at(5, 6))
        touch("touchMove", page.at(12, 6))
        touch("touchEnd")
        page.wait_for_history(2)
        expected = before.copy()
        expected[6, 5:13] = page.class_id("hat")
        assert np.array_equal(page.mask(), expected)

        # A second finger takes the stroke of the first one back, and both zoom.
        window.evaluate("scrollTo(0, 0)")
        touch("touchStart", page.at(12, 16))
        touch("touchMove", page.at(13, 16))
        touch("touchStart", page.at(13, 16), page.at(20, 16))
        for step in range(1, 6):
            touch("touchMove", page.at(13 - step, 16), page.at(20 + step, 16))
        touch("touchEnd")
        assert len(page.history()) == 2
        zoom = int(window.locator("#zoom").inner_text().split()[0])
        assert 200 <= zoom <= 300
        window.locator("#zoom").click()
        assert window.locator("#zoom").inner_text() == "100 %"
        assert np.array_equal(page.mask(), expected)


def test_zoomed_strokes_are_where_the_mouse_is(served: Any, open_page: Any) -> None:
    with open_page(served) as page:
        window = page.window
        before = page.ids(page.face()["id"])
        page.choose_class("hat")
        page.brush(1)
        x, y = page.at(8, 8)
        window.mouse.move(x, y)
        for _ in range(6):
            window.mouse.wheel(0, -300)
        assert int(window.locator("#zoom").inner_text().split()[0]) > 300
        window.mouse.click(x, y)  # the point under the mouse has stayed there
        page.wait_for_history(2)
        expected = before.copy()
        expected[8, 8] = page.class_id("hat")
        assert np.array_equal(page.mask(), expected)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(served: Any, open_page: Any, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python", reason="axe is not installed: pip install axe-playwright-python")
    source = Path(str(resources.files(axe) / "axe.min.js")).read_text(encoding="utf-8")
    shape = PHONE if width == 390 else {"width": width}
    with open_page(served, color_scheme=scheme, **shape) as page:
        window = page.window
        found = []

        def look(where: str) -> None:
            window.evaluate(source)
            answer = window.evaluate("axe.run(document, { resultTypes: ['violations'] })")
            assert answer["passes"] or answer["violations"]
            found.extend(
                (where, each["impact"], each["id"], [node["target"] for node in each["nodes"]][:3])
                for each in answer["violations"]
                if each["impact"] in ("serious", "critical")
            )

        for name in PANELS:
            page.panel(name)
            look(name)
        window.keyboard.press("c")
        window.keyboard.press("m")
        window.get_by_label("Part", exact=True).select_option(label="Nose")
        look("a part")
        for menu in ("open", "save"):
            window.locator(f"#{menu}-button").click()
            look(f"{menu} menu")
            window.keyboard.press("Escape")
        window.locator("#open-help").click()
        look("help")
        assert found == []


def test_nothing_is_only_for_the_mouse(served: Any, open_page: Any) -> None:
    """Tab reaches every control that is shown, in an order without traps, and each shows where it is."""
    with open_page(served) as page:
        window = page.window
        reached = []
        for _ in range(120):
            window.keyboard.press("Tab")
            told = window.evaluate(
                """() => { const at = document.activeElement;
                const shown = at.matches(".unseen, .divider") ? at.closest("label, .frame") : at;
                const { outlineStyle, outlineWidth } = getComputedStyle(shown);
                return [at.id || at.dataset.tool || at.name || at.textContent, outlineStyle, outlineWidth,
                  at === document.body]; }"""
            )
            if told[3]:
                break
            reached.append(told)
        names = [each[0] for each in reached]
        for wanted in ("open-button", "save-button", "open-help", "brush", "hand", "canvas", "tab-paint", "class"):
            assert wanted in names, wanted
        assert [each for each in reached if each[1] == "none" or each[2] == "0px"] == []


def test_undo_in_the_middle_of_a_stroke(served: Any, open_page: Any) -> None:
    """The stroke ends there; what is painted after it is what its operations say."""
    with open_page(served) as page:
        before = page.ids(page.face()["id"])
        page.choose_class("hat")
        page.brush(1)
        page.drag((4, 6), (20, 6))
        page.wait_for_history(2)
        page.drag((4, 10), (12, 10), release=False)
        page.window.keyboard.press("Control+z")
        page.window.mouse.move(*page.at(20, 12))
        page.window.mouse.up()
        assert np.array_equal(page.mask(), before)
        page.drag((4, 20), (20, 20))
        expected = before.copy()
        expected[20, 4:21] = page.class_id("hat")
        assert np.array_equal(page.mask(), expected)
        page.save("picture")  # the server checks that the operations lead to the mask


def test_single_keys_can_be_turned_off(served: Any, open_page: Any) -> None:
    with open_page(served) as page:
        window = page.window
        window.keyboard.press("f")
        assert window.locator("#tools [data-tool=fill]").get_attribute("aria-pressed") == "true"
        window.keyboard.press("?")
        window.get_by_label("Turn single-key shortcuts off").check()
        window.keyboard.press("Escape")
        window.keyboard.press("b")
        assert window.locator("#tools [data-tool=fill]").get_attribute("aria-pressed") == "true"
