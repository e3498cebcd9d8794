"""Weight files of strangers for the perceptual loss: damaged ones end in a sentence."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from facekit.interfaces import FacekitError
from facekit.interfaces.files import read_weight_file
from facekit_losses.vgg19 import VGG19

TENSORS = {"_conv_stem.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "_bn0.weight": torch.ones(3)}


def contents(suffix: str) -> bytes:
    if suffix == ".safetensors":
        return save(TENSORS)
    buffer = io.BytesIO()
    torch.save(TENSORS, buffer)
    return buffer.getvalue()


def damaged(content: bytes) -> Iterator[bytes]:
    yield from (b"", b"\n", b"hello\n", b"weights: 3\n", b"(lp0\n", b"<html></html>", b"0", b"\x80\x04K\x01.")
    yield from (content[: len(content) * part // 8] for part in range(1, 8))
    chance = random.Random(0)
    for _ in range(60):
        changed = bytearray(content)
        for _ in range(chance.choice((1, 4, 20))):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        yield bytes(changed)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_damaged_weights_are_a_sentence(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"weights{suffix}"
    for content in damaged(contents(suffix)):
        file.write_bytes(content)
        # Those that are read in spite of their damage belong to another network.
        with pytest.raises(FacekitError) as failure:
            VGG19(layers=["relu1_1"], weights=file)
        assert "\n" not in failure.value.message
        assert str(failure.value.where) == str(file)


def test_sound_weights_are_read(tmp_path: Path) -> None:
    for suffix in (".safetensors", ".pth"):
        file = tmp_path / f"weights{suffix}"
        file.write_bytes(contents(suffix))
        read = read_weight_file(file, what="a network", missing="")
        assert all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)


def test_sparse_tensors_are_refused(tmp_path: Path) -> None:
    torch.save({"_conv_stem.weight": torch.eye(4).to_sparse()}, tmp_path / "sparse.pth")
    with pytest.raises(FacekitError, match=r"_conv_stem\.weight of a network is not a plain one"):
        read_weight_file(tmp_path / "sparse.pth", what="a network", missing="")
