"""A real browser that drives the studio's page as a person would."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Point = tuple[float, float]


class StudioPage:
    """The page of a studio in a browser window."""

    def __init__(self, served: Any, window: Any) -> None:
        self.served = served
        self.window = window
        self.requests: list[str] = []
        self.faults: list[str] = []
        window.context.on("request", lambda request: self.requests.append(request.url))
        window.on("pageerror", lambda error: self.faults.append(str(error)))
        window.on("console", self._listen)
        self.client = served.client()
        window.goto(f"{served.address}/?token={served.token}")
        window.wait_for_selector("body[data-ready]", timeout=60_000)
        self.state = self.client.get("/api/state").json()
        self.side = self.state["side"]
        self.wait_until_painted()

    def _listen(self, message: Any) -> None:
        # What the browser says of refused requests is seen in the page as well; tests that ask for them look there.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(message.text)

    def check(self) -> None:
        """Nothing was asked of anybody else, and nothing failed in the page."""
        assert self.requests
        allowed = (f"{self.served.address}/", f"blob:{self.served.address}/")
        assert [url for url in self.requests if not url.startswith(allowed)] == []
        assert self.faults == []

    def face(self, number: int = 0) -> dict[str, Any]:
        return self.state["faces"][number]

    def ids(self, face: str) -> np.ndarray:
        mask = self.client.get(f"/api/faces/{face}/ids").json()
        return np.frombuffer(base64.b64decode(mask["ids"]), np.uint8).reshape(mask["size"])

    def class_id(self, name: str) -> int:
        classes = self.state["label_maps"][self.face()["label_map"]]["classes"]
        return next(entry["id"] for entry in classes if entry["name"] == name)

    def at(self, column: float, row: float) -> Point:
        """Return where the middle of a pixel of the mask is in the window, when the picture just fits."""
        box = self.window.locator("#canvas").bounding_box()
        scale = min(box["width"], box["height"]) / self.side
        left = box["x"] + (box["width"] - self.side * scale) / 2
        top = box["y"] + (box["height"] - self.side * scale) / 2
        return left + (column + 0.5) * scale, top + (row + 0.5) * scale

    def drag(self, *pixels: Point, release: bool = True) -> None:
        """Drag the mouse from pixel to pixel of the mask."""
        mouse = self.window.mouse
        mouse.move(*self.at(*pixels[0]))
        mouse.down()
        for pixel in pixels[1:]:
            mouse.move(*self.at(*pixel))
        if release:
            mouse.up()

    def panel(self, name: str) -> None:
        self.window.locator(f"#tab-{name}").click()

    def choose_class(self, name: str) -> None:
        self.panel("paint")
        self.window.locator(f"#classes label[data-class={name}]").click()

    def brush(self, size: int) -> None:
        """Set the size of the brush by keyboard."""
        self.window.locator("#tools [data-tool=brush]").click()
        slider = self.window.get_by_label("Size", exact=True)
        slider.focus()
        slider.press("Home")
        for _ in range(size - 1):
            slider.press("ArrowRight")
        assert slider.input_value() == str(size)

    def generated(self, run: str | None = None) -> int:
        run = run or self.state["runs"][0]["id"]
        return int(self.window.locator(f"[data-run='{run}']").get_attribute("data-generated") or 0)

    def wait_until_painted(self) -> None:
        """Wait until all runs that are shown have generated what is shown."""
        self.window.wait_for_timeout(300)  # longer than the page waits for more changes
        self.window.wait_for_function(
            """() => { const panes = [...document.querySelectorAll("#results .pane")];
            return panes.every((pane) => pane.dataset.generated && !pane.classList.contains("painting")
              && pane.querySelector(".after").complete); }""",
            timeout=60_000,
        )

    def picture(self, run: str | None = None) -> np.ndarray:
        """Return the pixels of the picture that is shown of a run, at its own size."""
        run = run or self.state["runs"][0]["id"]
        numbers = self.window.evaluate(
            """async (run) => {
              const image = document.querySelector(`[data-run="${run}"] .after`);
              await image.decode();
              const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
              const context = canvas.getContext("2d");
              context.drawImage(image, 0, 0);
              const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
              return { width, height, data: [...data] };
            }""",
            run,
        )
        pixels = np.array(numbers["data"], np.uint8).reshape(numbers["height"], numbers["width"], 4)
        return pixels[..., :3]

    def save(self, what: str, *, by_keyboard: bool = False) -> bytes:
        """Save the picture, mask, script or bundle and return the file."""
        with self.window.expect_download(timeout=60_000) as download:
            button = self.window.locator(f"#save-{what}")
            if by_keyboard:
                self.window.locator("#save-button").focus()
                self.window.keyboard.press("Enter")
                while self.window.evaluate("document.activeElement.id") != f"save-{what}":
                    self.window.keyboard.press("Tab")
                self.window.keyboard.press("Enter")
            else:
                self.window.locator("#save-button").click()
                button.click()
        return Path(download.value.path()).read_bytes()

    def mask(self) -> np.ndarray:
        """Return the ids of the mask that the page saves."""
        with Image.open(io.BytesIO(self.save("mask"))) as picture:
            assert picture.mode == "P"
            return np.asarray(picture).copy()

    def open_file(self, what: str, name: str, content: bytes) -> None:
        """Open a photo, mask or script."""
        self.window.locator("#open-button").click()
        with self.window.expect_file_chooser() as chooser:
            self.window.locator(f"#open-{what}").click()
        kind = {"png": "image/png", "jpg": "image/jpeg"}.get(name.rpartition(".")[2], "application/yaml")
        chooser.value.set_files({"name": name, "mimeType": kind, "buffer": content})

    def history(self) -> list[str]:
        return self.window.locator("#history .moment span").all_inner_texts()

    def wait_for_history(self, length: int) -> None:
        self.window.wait_for_function("(n) => document.querySelectorAll('#history li').length === n", arg=length)


OpenPage = Callable[..., AbstractContextManager[StudioPage]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
    found = next((path for path in map(shutil.which, _NAMES) if path), None)
    if found is None:
        pytest.skip("no chromium is installed: apt-get install chromium")
    # For one module only: Playwright keeps an event loop running in this thread, which other tests must not meet.
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=_ARGUMENTS, headless=True)
        yield started
        started.close()


@pytest.fixture(scope="module")
def open_page(browser: Any) -> OpenPage:
    """Open the page of a studio; what it asked for and what failed in it is looked at in the end."""

    @contextmanager
    def opened(served: Any, *, width: int = 1280, height: int = 800, **more: Any) -> Iterator[StudioPage]:
        context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True, **more)
        window = context.new_page()
        # Leaving the page asks whether the edit may be lost; nobody is there to answer.
        window.on("dialog", lambda dialog: dialog.accept())
        page = StudioPage(served, window)
        try:
            yield page
            page.check()
        finally:
            page.client.close()
            context.close()

    return opened
