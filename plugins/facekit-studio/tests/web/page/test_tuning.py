"""The page tunes a run to the photo: a button, progress, cancelling, and paints and exports that use it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from facekit.inference import read_provenance

RUN = "tiny-run"


def test_tuned_cancelled_and_taken_back(served: Any, open_page: Any, tmp_path: Path) -> None:
    tunings = served.studio.runs[RUN].tunings
    options = tunings.options
    with open_page(served) as page:
        page.panel("look")
        row = page.window.locator(f"[data-tuning={RUN}]")
        button = row.get_by_role("button")
        assert button.inner_text() == "Tune to this photo"
        assert page.window.locator("[data-tuning]").count() == 1  # the other run cannot be tuned
        before = page.picture(RUN)

        tunings.options = options.model_copy(update={"steps": 2000})
        button.click()
        page.window.wait_for_function("() => /step [1-9]/.test(document.querySelector('.tuning .hint').textContent)")
        assert row.get_by_role("progressbar").is_visible()
        if "FACEKIT_SCREENSHOTS" in os.environ:
            page.window.screenshot(path=f"{os.environ['FACEKIT_SCREENSHOTS']}/tuning.png")
        button.click()
        page.window.wait_for_selector(f"[data-tuning={RUN}][data-state=none]")
        tunings.options = options

        generated = page.generated(RUN)
        button.click()
        page.window.wait_for_selector(f"[data-tuning={RUN}][data-state=tuned]", timeout=120_000)
        page.window.wait_for_function(
            "([run, count]) => Number(document.querySelector(`[data-run='${run}']`).dataset.generated) > count",
            arg=[RUN, generated],
        )
        page.wait_until_painted()
        assert "tuned" in page.window.locator(f"[data-run={RUN}] .time").inner_text()
        assert "60 steps" in row.inner_text()
        if "FACEKIT_SCREENSHOTS" in os.environ:
            page.window.screenshot(path=f"{os.environ['FACEKIT_SCREENSHOTS']}/tuned.png")
        page.window.get_by_label("In the photo").uncheck()
        page.wait_until_painted()
        tuned = page.picture(RUN)
        assert not np.array_equal(tuned, before)
        (tmp_path / "saved.png").write_bytes(page.save("picture"))
        record = read_provenance(tmp_path / "saved.png")
        assert record is not None
        assert record["tuning"]["steps"] == 60

        assert button.inner_text() == "Take it back"
        button.click()
        page.window.wait_for_selector(f"[data-tuning={RUN}][data-state=none]")
        page.wait_until_painted()
        assert "tuned" not in page.window.locator(f"[data-run={RUN}] .time").inner_text()
        assert not np.array_equal(page.picture(RUN), tuned)
