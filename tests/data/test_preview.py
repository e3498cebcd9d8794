from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from facekit.data.preview import overlay, write_preview
from facekit.interfaces import FacekitError, RunFailure


def test_a_contact_sheet_shows_photos_masks_and_a_legend(make_dataset, labels, tmp_path):
    file = write_preview(make_dataset(), tmp_path / "new" / "sheet.png", count=6, size=64, columns=3)
    sheet = np.asarray(Image.open(file).convert("RGB"))
    assert sheet.shape[1] == 3 * (2 * 64 + 10) + 10
    assert sheet.shape[0] > 2 * 64
    legend = sheet[-60:].reshape(-1, 3)
    for entry in labels.classes:  # a swatch of each class
        assert (legend == entry.colour).all(axis=1).sum() > 30


def test_an_overlay_tells_classes_apart_and_lets_the_photo_through(make_mask, make_photo, labels):
    mask = make_mask(64, 64)
    flat = np.full((64, 64, 3), 128, np.uint8)
    shown = overlay(flat, mask, labels)
    for identity, entry in enumerate(labels.classes):
        inside = shown[mask == identity]
        expected = 0.4 * 128 + 0.6 * np.array(entry.colour)
        assert np.abs(np.median(inside, axis=0) - expected).max() <= 1
    bright = overlay(np.full((64, 64, 3), 255, np.uint8), mask, labels)
    assert bright.mean() > shown.mean() + 30


def test_ids_outside_the_label_map_are_named_in_the_legend(make_dataset, tmp_path):
    dataset = make_dataset(1)
    dataset._splits = {"train": [0]}
    dataset.samples[0].mask[:] = 9
    sheet = np.asarray(Image.open(write_preview(dataset, tmp_path / "sheet.png", size=64)).convert("RGB"))
    assert (sheet.reshape(-1, 3) == (255, 0, 255)).all(axis=1).sum() > 30


def test_the_same_seed_shows_the_same_pictures(make_dataset, tmp_path):
    def sheet(seed):
        file = write_preview(make_dataset(), tmp_path / f"{seed}.png", split="train", count=3, size=32, seed=seed)
        return file.read_bytes()

    assert sheet(1) == sheet(1)
    assert sheet(1) != sheet(2)


def test_what_cannot_be_shown_is_said(make_dataset, tmp_path):
    with pytest.raises(FacekitError, match="no 'extra' split; it has train, test"):
        write_preview(make_dataset(), tmp_path / "sheet.png", split="extra")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFailure, match="cannot write the contact sheet"):
        write_preview(make_dataset(), tmp_path / "file" / "sheet.png", count=1)
