"""The page with a run that fills in edits of a part: what it says of each picture, and what it asks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def status(page: Any, run: str) -> str:
    page.wait_until_painted()
    return re.sub(r"[\d,]+", "N", page.window.locator(f"[data-run='{run}'] .time").inner_text())


@pytest.mark.parametrize("width", [1280, 390])
def test_the_status_line_says_by_which_run(
    run: Path, merged_run: Path, local_run: Path, serve: Callable[..., Any], open_page: Any, width: int
) -> None:
    with serve(run, merged_run, local=local_run) as served, open_page(served, width=width) as page:
        window = page.window
        assert page.side == 512
        before = page.picture("tiny-run")
        page.choose_class("hat")
        window.evaluate("scrollTo(0, 0)")  # on a phone the classes are below the picture
        page.drag((200, 200), (280, 200))
        page.wait_for_history(2)
        assert status(page, "tiny-run") == "local · N ms"
        assert status(page, "merged") == "N ms"  # nothing beside it, so nothing to say
        changed = (page.picture("tiny-run") != before).any(2)
        assert changed.any()
        assert not changed[:120].any()
        assert not changed[280:].any()
        assert window.evaluate("document.documentElement.scrollWidth") <= width
        for name in ("tiny-run", "merged"):
            head = window.locator(f"[data-run='{name}'] .pane-head").bounding_box()
            time = window.locator(f"[data-run='{name}'] .time").bounding_box()
            assert time["x"] + time["width"] <= head["x"] + head["width"] + 0.5
        page.window.get_by_label("In the photo").uncheck()
        assert status(page, "tiny-run") == "whole face · N ms"
        assert page.picture("tiny-run").shape == (32, 32, 3)


def test_a_run_that_fills_holes_alone(local_run: Path, serve: Callable[..., Any], open_page: Any) -> None:
    with serve(local_run) as served, open_page(served) as page:
        before = page.picture()
        page.choose_class("hat")
        page.drag((200, 200), (280, 200))
        page.wait_for_history(2)
        assert status(page, "tiny-local") == "N ms"
        after = page.picture()
        assert (after != before).any()
        assert page.mask()[200, 240] == page.class_id("hat")
        page.save("picture")
        # There is nothing to see of it but what it puts back.
        page.window.get_by_label("In the photo").uncheck()
        page.wait_until_painted()
        assert np.array_equal(page.picture(), after)
