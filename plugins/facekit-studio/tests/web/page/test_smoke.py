"""The page in a browser, quickly: it opens, a stroke is painted, undone and saved, and no request leaves."""

from __future__ import annotations

from typing import Any

import numpy as np


def test_a_stroke_is_painted_undone_and_saved(served: Any, open_page: Any) -> None:
    with open_page(served) as page:
        before = page.ids(page.face()["id"])
        page.choose_class("hat")
        page.brush(1)
        page.drag((4, 6), (20, 6))
        page.wait_for_history(2)
        expected = before.copy()
        expected[6, 4:21] = page.class_id("hat")
        assert np.array_equal(page.mask(), expected)
        page.window.locator("#undo").click()
        assert np.array_equal(page.mask(), before)
        page.wait_until_painted()
        assert page.generated() >= 2


def test_a_wrong_token_is_told(served: Any, browser: Any) -> None:
    window = browser.new_page()
    window.goto(f"{served.address}/?token=wrong")
    text = window.get_by_role("alert").inner_text()
    assert "token is missing or wrong" in text
    assert "open the address" in text
    window.close()
