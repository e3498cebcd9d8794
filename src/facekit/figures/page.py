"""Pages in one file, from templates in which every value is escaped; a page's policy forbids every request."""

from __future__ import annotations

import base64
import io
import math
import os
import re
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from facekit.figures.charts import line_geometry
from facekit.interfaces import FacekitError, RunFailure
from facekit.interfaces.image_files import read_image

if TYPE_CHECKING:
    from PIL import Image

QUALITY = 90

_TEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    **{"\\": r"\textbackslash ", "~": r"\textasciitilde ", "^": r"\textasciicircum "},
    **{"↑": r"$\uparrow$", "↓": r"$\downarrow$"},
}

_YAML_LINE = re.compile(r"(\s*(?:- )*)((?:[\w./-]+|\"[^\"]*\"|'[^']*')(?=:(?:\s|$)))?(:?)(.*)", re.DOTALL)
_YAML_PLAIN = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)(e[-+]?\d+)?|true|false|null|~", re.IGNORECASE)


def render(template: str, **values: object) -> str:
    """Return a template of facekit, filled in: ``report/report.html`` is a file of ``facekit.report``."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    templates = Environment(
        loader=PackageLoader("facekit", ""),
        autoescape=select_autoescape(["html"]),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    templates.filters.update(spoken=spoken, duration=duration, yaml=yaml, figure=_figure, tex=_tex)
    templates.globals.update(asset=_asset, line_geometry=line_geometry)
    return templates


def _asset(name: str) -> Markup:
    return Markup(files("facekit.figures").joinpath("assets", name).read_text(encoding="utf-8"))


def _figure(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:g}"


def _tex(text: str) -> str:
    """Return a text as LaTeX: no character of it is a command."""
    return "".join(_TEX.get(character, character) for character in text)


def write_page(target: Path, content: str, *, what: str) -> None:
    """Write a page beside its place and rename it there.

    Args:
        target: the file.
        content: the page.
        what: what to call it in messages.

    Raises:
        RunFailure: the file cannot be written.
    """
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        # A page shows what it is given: a lone surrogate, of a name that somebody edited, must not cost the page.
        beside.write_text(content, encoding="utf-8", errors="replace")
        beside.replace(target)
    except OSError as error:
        with suppress(OSError):  # of a folder that is read-only, in which nothing was written
            beside.unlink(missing_ok=True)
        raise RunFailure(f"the {what} cannot be written: {error.strerror or error}", where=str(target)) from error


def data_uri(image: Image.Image, *, widest: int) -> str:
    """Return an image as the address of itself, as WebP: pages of PNGs would weigh tens of megabytes.

    Args:
        image: the image.
        widest: wider ones are shrunk to this many pixels.

    Raises:
        ValueError: of a side that WebP has no room for.
    """
    from PIL import Image

    image = image.convert("RGB")
    if image.width > widest:
        image = image.resize((widest, round(image.height * widest / image.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def png_uri(file: Path, problems: list[str], *, widest: int, most_pixels: int) -> str | None:
    """Return the address of a PNG; one that cannot be shown is added to ``problems``, by its last two names."""
    name = f"{file.parent.name}/{file.name}"
    try:
        return data_uri(read_image(file, formats=("PNG",), most_pixels=most_pixels), widest=widest)
    except FacekitError as error:
        problems.append(f"{name} cannot be read: {error.message}")
    except ValueError as error:
        problems.append(f"{name} cannot be shown: {error}")
    return None


def spoken(name: str) -> str:
    """Return a measurement's name for people: ``style_following/skin`` as ``Style following · skin``."""
    family, slash, part = name.replace("_", " ").partition("/")
    family = family.upper() if len(family) <= 4 else family[:1].upper() + family[1:]
    return f"{family} · {part}" if slash else family


def duration(seconds: float) -> str:
    """Return a time in words: ``9 min 12 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def yaml(document: str) -> Markup:
    """Return YAML with keys, numbers, strings and comments in colours."""
    lines = []
    for line in document.splitlines(keepends=True):
        match = _YAML_LINE.fullmatch(line)
        assert match is not None  # every part may be empty
        lead, key, colon, value = match.groups()
        comment = line.lstrip().startswith("#")
        kind = "x" if comment else "n" if _YAML_PLAIN.fullmatch(value.strip()) else "s"
        shown = Markup('{}<span class="k">{}</span>{}') if key else Markup("{}{}{}")
        lines.append(shown.format(lead, key or "", colon) + Markup('<span class="{}">{}</span>').format(kind, value))
    return Markup("").join(lines)
