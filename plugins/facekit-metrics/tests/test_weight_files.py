"""Weight files of strangers for the metrics: damaged ones end in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from facekit.interfaces import FacekitError
from facekit_metrics.features.inception import Inception

NO_WEIGHTS = (
    b"",
    b"\n",
    b"hello\n",
    b"weights: 3\n",
    b"(lp0\n",
    b"<html></html>",
    b"0",
    b"\x80\x04K\x01.",
    b"\x80\x02}.",
)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", NO_WEIGHTS)
def test_damaged_weights_are_a_sentence(tmp_path: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"weights{suffix}"
    file.write_bytes(content)
    with pytest.raises(FacekitError) as failure:
        Inception(file)
    assert "\n" not in failure.value.message
    assert str(failure.value.where) == str(file)
