"""Weight files of strangers for the metrics: damaged ones end in a sentence; the package's own is pinned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from facekit.interfaces import FacekitError
from facekit_metrics import efficientnet_lite0
from facekit_metrics.efficientnet_lite0 import SHA256, EfficientNetLite0, packaged_weights
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
    for network in (lambda: Inception(file), lambda: EfficientNetLite0(layers=["stem"], weights=file)):
        with pytest.raises(FacekitError) as failure:
            network()
        assert "\n" not in failure.value.message
        assert str(failure.value.where) == str(file)


def test_the_weights_of_the_package_are_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert EfficientNetLite0(layers=["stem"]).weights_sha256 == SHA256
    assert EfficientNetLite0(layers=["stem"], weights=packaged_weights()).weights_sha256 == SHA256
    state = torch.load(packaged_weights(), weights_only=True)
    state["_conv_stem.weight"][0, 0, 0, 0] += 1e-3
    torch.save(state, tmp_path / "other.pth")
    assert EfficientNetLite0(layers=["stem"], weights=tmp_path / "other.pth").weights_sha256 != SHA256
    monkeypatch.setattr(efficientnet_lite0, "packaged_weights", lambda: tmp_path / "other.pth")
    with pytest.raises(FacekitError, match="not those that this version was made for"):
        EfficientNetLite0(layers=["stem"])
