"""Files that are opened in the page: photos, masks and scripts, and what it says where they are wrong."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def noted(page: Any, text: str) -> None:
    page.window.locator(".note").filter(has_text=text).first.wait_for(timeout=30_000)


def test_a_photo_then_its_mask(served: Any, open_page: Any) -> None:
    """An upload without a mask asks for it; with it, it is edited, saved, and taken out again."""
    with open_page(served) as page:
        window = page.window
        photo = np.random.default_rng(3).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        page.open_file("photo", "somebody.png", png(photo))
        noted(page, "somebody.png is opened")
        assert window.get_by_text("This photo has no mask yet").is_visible()
        mask = np.zeros((32, 32), np.uint8)
        mask[8:24, 8:24] = page.class_id("skin")
        with window.expect_file_chooser() as chooser:
            window.get_by_role("button", name="Open its mask").click()
        chooser.value.set_files({"name": "its.png", "mimeType": "image/png", "buffer": png(mask)})
        noted(page, "the mask of somebody.png is read")
        assert np.array_equal(page.mask(), mask)
        page.choose_class("hair")
        page.brush(3)
        page.drag((10, 4), (20, 4))
        page.wait_for_history(2)
        with Image.open(io.BytesIO(page.save("picture"))) as picture:
            assert picture.size == (64, 64)
            saved = np.asarray(picture.convert("RGB"))
        assert np.array_equal(saved[40:], photo[40:])
        assert (saved[:16] != photo[:16]).any()
        page.panel("faces")
        window.get_by_role("button", name="Take somebody.png out").click()
        window.get_by_role("button", name="Take somebody.png out").wait_for(state="detached")
        assert [face["name"] for face in page.client.get("/api/state").json()["faces"]] == [
            face["name"] for face in page.state["faces"]
        ]


def test_a_mask_that_was_painted_elsewhere_becomes_operations(served: Any, open_page: Any) -> None:
    with open_page(served) as page:
        wanted = page.ids(page.face()["id"]).copy()
        wanted[:5] = page.class_id("hat")
        wanted[20:24, 3:9] = page.class_id("cloth")
        page.open_file("mask", "painted.png", png(wanted))
        page.wait_for_history(2)
        assert np.array_equal(page.mask(), wanted)
        script = page.save("script").decode()
        assert script.count("do: set") == 2
        page.save("picture")  # the server checks that the operations lead to the mask


def test_a_script_is_replayed_and_a_wrong_one_told(served: Any, open_page: Any) -> None:
    with open_page(served) as page:
        wrong = b"facekit_edit: 1\noperations:\n  - {do: grow, region: hare, by: 0.1}\n"
        page.open_file("script", "wrong.yaml", wrong)
        alert = page.window.get_by_role("alert")
        alert.wait_for()
        assert "line 3" in alert.inner_text()
        assert "hair" in alert.inner_text()
        script = (
            b"facekit_edit: 1\nname: larger\noperations:\n  - {do: grow, region: hair, by: 0.1}\n  - {do: mirror}\n"
        )
        page.open_file("script", "right.yaml", script)
        noted(page, "right.yaml: 2 operations")
        assert page.history() == ["Opened", "grow hair", "mirror"]
        applied = page.client.post(
            "/api/apply",
            json={
                "mask": page.client.get(f"/api/faces/{page.face()['id']}/ids").json(),
                "label_map": page.face()["label_map"],
                "operations": [{"do": "grow", "region": "hair", "by": 0.1}, {"do": "mirror"}],
            },
        ).json()["mask"]
        ids = np.frombuffer(base64.b64decode(applied["ids"]), np.uint8).reshape(applied["size"])
        assert np.array_equal(page.mask(), ids)


def test_what_is_no_picture_is_told(served: Any, open_page: Any) -> None:
    with open_page(served) as page:
        page.open_file("photo", "song.png", b"RIFF....WAVE")
        assert "not a picture" in page.window.get_by_role("alert").inner_text()
        page.open_file("mask", "photo.png", png(np.full((32, 32, 3), 200, np.uint8)))
        page.window.get_by_role("alert").nth(1).wait_for()
        assert page.history() == ["Opened"]


def test_checks_are_shown(served: Any, open_page: Any) -> None:
    with open_page(served) as page:
        page.open_file("mask", "other.png", png(page.ids(page.face()["id"])[:, ::-1].copy()))
        page.wait_for_history(2)
        finding = page.window.locator(".findings li").first
        page.panel("checks")
        finding.wait_for()
        assert "left and right are the person's own" in finding.inner_text()
        finding.get_by_role("button").click()
        assert page.window.locator("#classes input:checked").count() == 1
