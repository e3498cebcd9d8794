"""A page in one file: its style, script and images are inside, and its policy forbids every request."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.figures.html import text
from facekit.interfaces import RunFailure

if TYPE_CHECKING:
    from PIL import Image

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
QUALITY = 90


def page(
    *,
    title: str,
    kind: str,
    lead: str,
    badges: Sequence[str],
    messages: str,
    sections: Mapping[str, tuple[str, str]],
    footer: str,
    wide: bool = False,
) -> str:
    """Return a whole page.

    Args:
        title: its heading; escaped here, as are ``kind``, ``lead`` and ``footer``.
        kind: what sort of page it is, above the heading.
        lead: a sentence under the heading; may be empty.
        badges: HTML of the badges under it.
        messages: HTML of what the reader must know first.
        sections: heading and HTML of the cards, by anchor; those without HTML are left out.
        footer: the last line.
        wide: use more of a wide window, for broad tables.
    """
    links = "".join(f'<a href="#{anchor}">{text(name)}</a>' for anchor, (name, body) in sections.items() if body)
    introduction = f'<p class="lead">{text(lead)}</p>' if lead else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{text(title)} · facekit</title><style>{_asset('page.css')}</style></head>"
        f'<body{" class=wide" if wide else ""}><header class="top"><div><p class="kind">{text(kind)}</p>'
        f'<h1>{text(title)}</h1>{introduction}<div class="badges">{"".join(badges)}</div></div></header>'
        f"<nav><div>{links}</div></nav><main>{messages}{''.join(body for _, body in sections.values())}</main>"
        f"<footer>{text(footer)}</footer><script>{_asset('page.js')}</script></body></html>\n"
    )


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


def data_uri(picture: Image.Image, *, widest: int) -> str:
    """Return an image as the address of itself, as WebP: pages of PNGs would weigh tens of megabytes.

    Args:
        image: the image.
        widest: wider ones are shrunk to this many pixels.
    """
    from PIL import Image

    picture = picture.convert("RGB")
    if picture.width > widest:
        height = round(picture.height * widest / picture.width)
        picture = picture.resize((widest, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _asset(name: str) -> str:
    return files("facekit.figures").joinpath("assets", name).read_text(encoding="utf-8")
