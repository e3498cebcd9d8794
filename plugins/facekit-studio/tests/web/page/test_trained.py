"""The page with a run that was really trained, served by the command: painting, replaying, and working by keyboard."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).parents[5] / "recipes" / "sft_pix2pixhd.yaml"
SMALLER = ("model.generator.filters=16", "model.discriminator.filters=16", "train.batch=2", "train.device=cpu")


def facekit(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "facekit", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def trained(folder: Path, *, steps: int) -> Path:
    settings = [*SMALLER, f"train.steps={steps}", "data.train=200", "data.validation=12", "data.test=4"]
    facekit("run", RECIPE, "--out", folder, *(word for setting in settings for word in ("--set", setting)))
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> list[Path]:
    """A run of a few hundred steps at 128 pixels, and one that has hardly begun."""
    folder = tmp_path_factory.mktemp("runs")
    return [trained(folder / "faces", steps=200), trained(folder / "beginner", steps=4)]


class Process:
    """``facekit studio`` as a person starts it."""

    def __init__(self, address: str, token: str, client: Any) -> None:
        self.address, self.token, self._client = address, token, client

    def client(self) -> Any:
        import httpx

        return httpx.Client(base_url=self.address, headers={"X-Facekit-Token": self.token}, timeout=60, trust_env=False)


@contextmanager
def started(*runs: Path) -> Iterator[Process]:
    command = [sys.executable, "-m", "facekit", "studio", *map(str, runs), "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/\?token=([\w-]+)\n", process.stdout.readline())
        assert found
        yield Process(found[1], found[2], None)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors, errors


@pytest.fixture(scope="module")
def one_run(runs: list[Path]) -> Iterator[Process]:
    with started(runs[0]) as process:
        yield process


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB")).copy()


def replayed(page: Any, run: Path, script: bytes, folder: Path) -> np.ndarray:
    """Return what the command makes of a face's photo and mask, and a script."""
    folder.mkdir()
    face = page.face()
    for name, what in (("photo.png", "photo"), ("mask.png", "mask")):
        (folder / name).write_bytes(page.client.get(f"/api/faces/{face['id']}/{what}").content)
    for other in page.state["faces"]:  # the files that scripts name lie beside them
        for what, name in other["files"].items():
            (folder / name).write_bytes(page.client.get(f"/api/faces/{other['id']}/{what}").content)
    (folder / "script.yaml").write_bytes(script)
    arguments = ["--mask", folder / "mask.png", "--script", folder / "script.yaml", "-o", folder / "again.png"]
    facekit("edit", run, folder / "photo.png", *arguments, "--device", "cpu")
    return pixels((folder / "again.png").read_bytes())


def capsule(side: int, start: tuple[int, int], end: tuple[int, int], width: int) -> np.ndarray:
    """Return the pixels (side, side) within half an odd width of the line from one pixel (column, row) to another."""
    rows, columns = np.indices((side, side), dtype=np.float64)
    along = np.array(end, float) - start
    share = ((columns - start[0]) * along[0] + (rows - start[1]) * along[1]) / (along @ along)
    share = np.clip(share, 0, 1)
    return np.hypot(columns - start[0] - share * along[0], rows - start[1] - share * along[1]) <= width / 2


def test_a_stroke_by_mouse(one_run: Process, open_page: Any, runs: list[Path], tmp_path: Path) -> None:
    """The picture follows a stroke; undo is exact; mask, script and picture are what was generated."""
    with open_page(one_run) as page:
        before = page.ids(page.face()["id"])
        untouched = page.picture()
        assert np.array_equal(untouched, pixels(page.client.get(f"/api/faces/{page.face()['id']}/photo").content))
        page.choose_class("hat")
        page.brush(9)
        count = page.generated()
        page.drag((40, 20), (60, 14), (90, 24), release=False)
        page.wait_until_painted()  # while the stroke goes on
        assert (page.picture() != untouched).any()
        page.window.mouse.up()
        page.wait_until_painted()
        count = page.generated()

        start = time.perf_counter()
        page.drag((64, 70), (64, 96))
        page.window.wait_for_function(
            """([count]) => { const pane = document.querySelector("#results .pane");
            return Number(pane.dataset.generated) > count && !pane.classList.contains("painting"); }""",
            arg=[count],
            timeout=60_000,
        )
        took = time.perf_counter() - start
        said = page.window.locator("#results .time").inner_text()
        print(f"a stroke of the mouse, from its first pixel to the new picture: {1000 * took:.0f} ms; painting: {said}")
        page.wait_until_painted()

        expected = before.copy()
        for line in (((40, 20), (60, 14)), ((60, 14), (90, 24)), ((64, 70), (64, 96))):
            expected[capsule(page.side, *line, 9)] = page.class_id("hat")
        assert np.array_equal(page.mask(), expected)

        picture = pixels(page.save("picture"))
        assert np.array_equal(page.picture(), picture)
        assert (picture != untouched).any()
        again = replayed(page, runs[0], page.save("script"), tmp_path / "replay")
        assert np.array_equal(again, picture)

        for _ in range(2):
            page.window.keyboard.press("Control+z")
        assert np.array_equal(page.mask(), before)
        page.wait_until_painted()
        assert np.array_equal(page.picture(), untouched)
        page.window.keyboard.press("Control+Shift+Z")
        page.window.keyboard.press("Control+y")
        assert np.array_equal(page.mask(), expected)


def test_all_that_buttons_do_replays(one_run: Process, open_page: Any, runs: list[Path], tmp_path: Path) -> None:
    """Operations, a moved part, fill, lasso and looks; the bundle's own command makes the picture again."""
    with open_page(one_run) as page:
        window = page.window
        other = page.face(2)
        page.panel("shape")
        card = window.locator("[data-operation=open_mouth]")
        card.get_by_role("button").click()
        page.wait_for_history(2)
        card.get_by_role("slider").press("ArrowRight")  # adjusts what was done
        window.locator("[data-operation=raise_brows] button").click()
        page.wait_for_history(3)
        window.locator("[data-operation=add_glasses] button").click()
        page.wait_for_history(4)
        copy = window.locator("[data-operation=copy_part]")
        copy.get_by_label("Copy part: face").select_option(label=other["name"])
        copy.get_by_label("Copy part: part").select_option(label="Nose")
        copy.get_by_role("button").click()
        page.wait_for_history(5)
        assert page.history() == ["Opened", "Open mouth", "Raise brows", "Add glasses", "Copy part"]

        window.keyboard.press("m")
        window.get_by_label("Part", exact=True).select_option(label="Eyes")
        canvas = window.locator("#canvas")
        canvas.focus()
        for key in ("ArrowDown", "ArrowDown", "Shift+ArrowRight", "]", "}"):
            canvas.press(key)
        page.wait_for_history(6)

        page.choose_class("cloth")
        window.keyboard.press("f")
        window.mouse.click(*page.at(3, 3))
        page.wait_for_history(7)
        page.choose_class("hat")
        window.keyboard.press("l")
        page.drag((30, 20), (90, 20), (90, 34), (30, 34))
        page.wait_for_history(8)

        page.panel("look")
        window.locator("#panel-look fieldset").nth(0).locator("label").nth(3).click()
        window.locator("#panel-look fieldset").nth(1).locator("label").nth(5).click()
        window.locator("#panel-look").get_by_label("How far").press("ArrowRight")
        page.wait_until_painted()
        shown = page.picture()

        bundle = page.save("bundle")
        folder = tmp_path / "bundle"
        zipfile.ZipFile(io.BytesIO(bundle)).extractall(folder)
        assert np.array_equal(pixels((folder / "result.png").read_bytes()), shown)
        line = next(line for line in (folder / "README.txt").read_text().splitlines() if "facekit edit" in line)
        words = [str(runs[0]) if word == "RUN" else word for word in shlex.split(line)[1:]]
        ended = subprocess.run(
            [sys.executable, "-m", "facekit", *words, "--device", "cpu"], cwd=folder, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr
        assert np.array_equal(pixels((folder / "again.png").read_bytes()), shown)

        # The script, opened on the face again, leads to the same mask and picture.
        mask, script = page.mask(), page.save("script")
        for _ in page.history():
            window.keyboard.press("Control+z")
        page.open_file("script", "script.yaml", script)
        window.locator(".note").filter(has_text="operations").wait_for()
        page.wait_until_painted()
        assert np.array_equal(page.mask(), mask)
        assert np.array_equal(page.picture(), shown)
        assert page.save("script") == script


def test_editing_by_keyboard_alone(one_run: Process, open_page: Any, runs: list[Path], tmp_path: Path) -> None:
    """Tab and keys choose a class, paint, fill, undo, and save."""
    with open_page(one_run) as page:
        window, keys = page.window, page.window.keyboard
        before = page.ids(page.face()["id"])
        classes = page.state["label_maps"][page.face()["label_map"]]["classes"]
        for _ in range(80):
            keys.press("Tab")
            if window.evaluate("document.activeElement.name") == "class":
                break
        else:
            pytest.fail("Tab does not reach the classes")
        while window.evaluate("document.activeElement.closest('label').dataset.class") != "skin":
            keys.press("ArrowUp")
        skin = next(entry["id"] for entry in classes if entry["name"] == "skin")

        size = 8  # the page's own for 128 pixels
        for _ in range(7):
            keys.press("[")
        size = 1
        keys.press("g")
        assert window.evaluate("document.activeElement.id") == "canvas"
        assert "column 64, row 64" in press_and_hear(page, "ArrowRight", "ArrowLeft")
        for _ in range(6):
            keys.press("Shift+ArrowUp")  # to row 16
        keys.down(" ")
        for _ in range(10):
            keys.press("ArrowRight")
        keys.up(" ")
        page.wait_for_history(2)
        expected = before.copy()
        expected[16, 64 : 64 + 10 + size] = skin
        keys.press("Enter")
        for _ in range(3):
            keys.press("ArrowDown")
        keys.press("Enter")
        page.wait_for_history(3)
        expected[16:20, 74] = skin
        assert np.array_equal(mask_by_keyboard(page), expected)

        keys.press("g")
        keys.press("Enter")
        keys.press("ArrowRight")
        keys.press("Escape")  # given up
        keys.press("i")
        keys.press(" ")
        assert window.locator("#classes input:checked").get_attribute("value") == str(expected[19, 75])
        keys.press("Control+z")
        keys.press("Control+z")
        assert np.array_equal(mask_by_keyboard(page), before)
        keys.press("Control+y")
        script = page.save("script", by_keyboard=True)
        picture = pixels(page.save("picture", by_keyboard=True))
        assert np.array_equal(replayed(page, runs[0], script, tmp_path / "replay"), picture)


def press_and_hear(page: Any, *keys: str) -> str:
    for key in keys:
        page.window.keyboard.press(key)
    return page.window.locator("#live").inner_text()


def mask_by_keyboard(page: Any) -> np.ndarray:
    with Image.open(io.BytesIO(page.save("mask", by_keyboard=True))) as picture:
        return np.asarray(picture).copy()


def test_two_runs_side_by_side(open_page: Any, runs: list[Path], tmp_path: Path) -> None:
    with started(*runs) as both, open_page(both) as page:
        window = page.window
        assert window.locator("#results .pane").count() == 2
        page.choose_class("hair")
        page.drag((20, 100), (60, 110), (100, 100))
        page.wait_until_painted()
        first, second = page.picture("faces"), page.picture("beginner")
        assert first.shape == second.shape
        assert (first != second).any()
        boxes = [window.locator(f"[data-run={name}]").bounding_box() for name in ("faces", "beginner")]
        assert boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"] or boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]

        window.locator("#save-button").click()
        window.get_by_label("Generated by").select_option("beginner")
        window.keyboard.press("Escape")
        assert np.array_equal(pixels(page.save("picture")), second)
        assert np.array_equal(replayed(page, runs[1], page.save("script"), tmp_path / "replay"), second)

        window.locator("#showing").get_by_label("beginner").uncheck()
        assert window.locator("#results .pane").count() == 1


def test_the_divider_shows_the_photo(one_run: Process, open_page: Any) -> None:
    with open_page(one_run) as page:
        window = page.window
        window.keyboard.press("c")
        divider = window.get_by_role("slider", name="Before and after, faces")
        divider.focus()
        divider.press("Home")
        shown = window.locator("#results .after").evaluate("(each) => getComputedStyle(each).clipPath")
        assert shown == "inset(0px 0px 0px 0%)"
        box = window.locator("#results .frame").bounding_box()
        window.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 2)
        assert 70 <= int(divider.input_value()) <= 80
