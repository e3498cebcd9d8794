"""``write_preview``: a contact sheet of photos, with their masks laid over them and the classes named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facekit.data.geometry import resize_mask, resize_photo
from facekit.data.sampling import stream
from facekit.interfaces import FaceDataset, FacekitError, LabelMap, RunFailure

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAPER, _INK, _FAINT = (250, 250, 248), (32, 34, 38), (120, 124, 130)
_GAP = 10
_OVERLAY = 0.6


def write_preview(
    dataset: FaceDataset,
    file: Path,
    *,
    split: str | None = None,
    count: int = 24,
    size: int = 160,
    columns: int = 6,
    seed: int = 0,
) -> Path:
    """Write a contact sheet as a PNG: each photo beside itself under its mask, keys below, the classes in a legend.

    Photos without masks stand alone, and there is no legend.

    Args:
        dataset: the images.
        file: the PNG to write, which is returned; its folder is made.
        split: the split to show images of; all splits when None.
        count: how many images; fewer where there are fewer.
        size: side of each image.
        columns: images in a row.
        seed: which images: the first ``count`` of a random order.

    Raises:
        FacekitError: the dataset has no such split, or an image cannot be read.
        RunFailure: the file cannot be written.
    """
    splits = dataset.splits()
    if split is not None and split not in splits:
        raise FacekitError(f"the dataset has no {split!r} split; it has {', '.join(splits)}")
    members = [int(index) for name, indices in splits.items() if split in (None, name) for index in indices]
    if not members:
        raise FacekitError("there are no pictures to show")
    count = min(count, len(members))
    chosen = [members[position] for position in stream(seed, len(members), 0, count)]
    columns = min(columns, count)
    sheet = _draw_sheet(dataset, chosen, size, columns, split)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(file, format="PNG")
    except OSError as error:
        raise RunFailure(f"cannot write the contact sheet: {error.strerror or error}", where=str(file)) from error
    return file


def overlay(image: NDArray[np.uint8], mask: NDArray[np.uint8], label_map: LabelMap) -> NDArray[np.uint8]:
    """Return a photo (S, S, 3) under the colours of its mask (S, S), with a line between classes."""
    grey = image.astype(np.float32).mean(axis=2, keepdims=True)
    blend = (1 - _OVERLAY) * grey + _OVERLAY * label_map.colourise(mask)
    edge = np.zeros(mask.shape, bool)
    edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edge[1:] |= mask[1:] != mask[:-1]
    blend[edge] *= 0.45
    return blend.round().astype(np.uint8)


def _draw_sheet(dataset: FaceDataset, chosen: list[int], size: int, columns: int, split: str | None) -> Image.Image:
    label_map = dataset.label_map
    text = max(11, size // 13)
    font, title_font = ImageFont.load_default(text), ImageFont.load_default(round(text * 1.3))
    line = round(text * 1.5)
    pair = 2 * size if label_map.classes else size
    cell_width, cell_height = pair + _GAP, size + line + _GAP
    width = columns * cell_width + _GAP
    rows = -(-len(chosen) // columns)
    top = round(text * 1.3) + 2 * _GAP
    present: set[int] = set()
    sheet = Image.new("RGB", (width, top + rows * cell_height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    shown = f"{len(chosen)} pictures of {'all splits' if split is None else f'the {split} split'}"
    title = f"{type(dataset).__name__}: {shown}" + (", photo and mask" if label_map.classes else "")
    draw.text((_GAP, _GAP), title, _INK, title_font)
    for place, index in enumerate(chosen):
        sample = dataset.read(index, size=size)
        image = resize_photo(sample.image, size)
        left, above = _GAP + place % columns * cell_width, top + place // columns * cell_height
        sheet.paste(Image.fromarray(np.ascontiguousarray(image)), (left, above))
        if label_map.classes:
            mask = resize_mask(sample.require_mask(), size)
            present.update(np.unique(mask).tolist())
            sheet.paste(Image.fromarray(overlay(image, mask, label_map)), (left + size, above))
        caption = [dataset.keys[index]]
        if sample.attributes is not None:
            caption += [name for name, held in zip(dataset.attribute_names, sample.attributes, strict=True) if held]
        draw.text((left, above + size + 2), _fit(caption, pair, font), _FAINT, font)
    if not label_map.classes:
        return sheet
    legend = _draw_legend(label_map, present, width, font, line)
    whole = Image.new("RGB", (width, sheet.height + legend.height), _PAPER)
    whole.paste(sheet, (0, 0))
    whole.paste(legend, (0, sheet.height))
    return whole


def _fit(words: list[str], width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Join as many words as a line holds; an ellipsis stands for the rest."""
    text = words[0]
    for position, word in enumerate(words[1:], start=1):
        longer = f"{text} · {word}" if position == 1 else f"{text}, {word}"
        rest = ", …" if position < len(words) - 1 else ""
        if font.getlength(longer + rest) > width:
            return text + " …"
        text = longer
    return text


def _draw_legend(
    label_map: LabelMap,
    present: set[int],
    width: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    line: int,
) -> Image.Image:
    """Draw a swatch and a name for each class; names of classes that no shown mask holds are faint."""
    entries = [(f"{identity} {entry.name}", entry.colour) for identity, entry in enumerate(label_map.classes)]
    strangers = sorted(identity for identity in present if identity >= len(label_map))
    entries += [(f"{identity} is outside the label map", (255, 0, 255)) for identity in strangers]
    swatch = line - 4
    step = round(max(font.getlength(name) for name, _ in entries)) + swatch + 3 * _GAP
    across = max(1, (width - _GAP) // step)
    legend = Image.new("RGB", (width, -(-len(entries) // across) * line + 2 * _GAP), _PAPER)
    draw = ImageDraw.Draw(legend)
    for place, (name, colour) in enumerate(entries):
        left, above = _GAP + place % across * step, _GAP + place // across * line
        shown = place >= len(label_map) or place in present
        draw.rectangle((left, above, left + swatch, above + swatch), colour, outline=_FAINT)
        draw.text((left + swatch + _GAP // 2, above), name, _INK if shown else _FAINT, font)
    return legend
