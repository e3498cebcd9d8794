"""Recipes, edit scripts and images in which bytes were changed, left out and put in: each is read or refused."""

from __future__ import annotations

import io
import random
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.robustness.counting import Count

JUNK = [
    *" :-#'\"[]{},&*!|>%@`~\n\t\\01.e_<",
    *("\n  ", ": ", "- ", "\u0085", "é", "\x07", "<<: ", "null", "[", "{", "&a ", "*a", "? ", "9" * 30, "\\ud800"),
]

SCRIPT = """\
facekit_edit: 1
name: all sorts
operations:
  - {do: set, region: hair, stroke: {points: [[0.1, 0.2], [0.5, 0.3]], width: 0.1}}
  - {do: set, region: skin, ellipse: {centre: [0.5, 0.5], radii: [0.2, 0.3], degrees: 20}, only: [hair, background]}
  - {do: set, region: nose, polygon: {points: [[0.4, 0.4], [0.6, 0.4], [0.5, 0.6]]}}
  - {do: set, region: skin, runs: {size: [8, 8], runs: 1+3 20+5}}
  - {do: grow, region: nose, by: 0.05}
  - {do: replace, region: hair, by: hat}
  - {do: mirror}
"""


def _mutated(text: str, chance: random.Random) -> str:
    """Return a text with one digit changed, which often can still be read, or with one to three places damaged."""
    digits = [place for place, character in enumerate(text) if character.isdigit()]
    if chance.random() < 0.4:
        place = chance.choice(digits)
        return text[:place] + chance.choice(["-", "9", "0", "e9", "999999999", ".5"]) + text[place + 1 :]
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        length = chance.choice([0, 0, 1, 2, 10, 40])
        text = text[:at] + chance.choice(["", *JUNK]) + text[at + length :]
    return text


def _texts(name: str, good: list[str], read: Callable[[str], None], *, count: int, seed: int) -> Count:
    """Give mutated texts to a reader: a FacekitError is noticed, anything else that is raised falls."""
    from facekit.interfaces import FacekitError

    chance, found = random.Random(seed), Count(name)
    for number in range(count):
        text = _mutated(good[number % len(good)], chance)
        try:
            read(text)
            found.harmless += 1
        except FacekitError as error:
            str(error)
            found.noticed += 1
        except Exception as error:  # a traceback is what this looks for
            found.fell.append(f"{type(error).__name__}: {error}: {text[:300]!r}")
    found.notes.append("harmless: read as another recipe or script")
    return found


def recipes(*, count: int, seed: int) -> Count:
    """Read mutations of the shipped recipes."""
    from facekit.recipe import read_recipe
    from facekit.registry import load_registry

    registry = load_registry()
    good = [file.read_text("utf-8") for file in sorted(Path("recipes").glob("*.yaml"))]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mutated.yaml"

        def read(text: str) -> None:
            file.write_text(text, encoding="utf-8", newline="", errors="surrogatepass")
            read_recipe(file, registry=registry)

        return _texts("mutated recipes", good, read, count=count, seed=seed)


def scripts(*, count: int, seed: int) -> Count:
    """Read mutations of an edit script, and apply those that can be read."""
    from facekit.registry import load_registry
    from facekit_studio.editing.script import EditContext, apply_script, parse_script

    label_map = load_registry().label_maps["celebamask_hq"]
    mask = np.random.default_rng(0).integers(0, len(label_map), (4, 4), np.uint8).repeat(8, 0).repeat(8, 1)

    def read(text: str) -> None:
        apply_script(parse_script(text, label_map=label_map), mask, EditContext(label_map))

    return _texts("mutated edit scripts", [SCRIPT], read, count=count, seed=seed)


def images(*, count: int, seed: int) -> Count:
    """Give mutated images to every reader of them: files of the command line and datasets, uploads, provenance."""
    from facekit.inference import read_provenance
    from facekit.interfaces import FacekitError
    from facekit.interfaces.image_files import read_image, rgb_pixels, upright
    from facekit_datasets.pictures import read_id_mask, read_photo
    from facekit_studio.web.requests import decoded

    good = _good_images()
    chance, found = random.Random(seed), Count("mutated images, 5 readers each")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow tells of damaged entries that it passes over
        file = Path(folder) / "face.png"
        readers: dict[str, Callable[[], object]] = {
            "photos": lambda: rgb_pixels(upright(read_image(file)), name="face.png"),
            "uploads": lambda: rgb_pixels(decoded(file.read_bytes(), what="photo"), name="face.png"),
            "provenance": lambda: read_provenance(file),
            "dataset photos": lambda: read_photo(file, size=32),
            "dataset masks": lambda: read_id_mask(file),
        }
        for number in range(count):
            form = list(good)[number % len(good)]
            file.write_bytes(_mutated_bytes(good[form], chance))
            for name, read in readers.items():
                try:
                    read()
                    found.harmless += 1
                except FacekitError as error:
                    str(error)
                    found.noticed += 1
                except Exception as error:  # a traceback is what this looks for
                    found.fell.append(f"{form} by {name}: {type(error).__name__}: {error}")
    found.notes.append("harmless: read as an image")
    return found


def _good_images() -> dict[str, bytes]:
    """Return small images of every format that Pillow writes here, those that facekit does not read included."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    found = {}
    for form in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "DDS", "EPS", "PPM", "TGA", "JPEG2000", "ICO"):
        buffer = io.BytesIO()
        try:
            Image.fromarray(pixels).save(buffer, form)
        except (OSError, KeyError, ValueError):
            continue  # this Pillow was built without it
        found[form] = buffer.getvalue()
    return found


def _mutated_bytes(content: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 8])):
        # Headers lead decoders furthest astray.
        at = chance.randrange(min(len(damaged), chance.choice([64, 512, len(damaged)]))) if damaged else 0
        kind = chance.randrange(4)
        if kind == 0:
            damaged[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            del damaged[at : at + chance.choice([1, 4, 100])]
        elif kind == 2:
            damaged[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice([1, 4, 64])))
        else:
            damaged[at : at + 4] = chance.choice([b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff"])
    return bytes(damaged)
