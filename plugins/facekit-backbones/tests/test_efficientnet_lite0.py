"""EfficientNet-Lite0 gives what its modules one by one give; its weight file is read with suspicion."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import FacekitError
from facekit_backbones import EfficientNetLite0, efficientnet_lite0
from facekit_backbones.efficientnet_lite0 import BLOCKS, SHA256, packaged_weights

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


class PlainLite0(nn.Module):
    """EfficientNet-Lite0 written out anew with ordinary modules under the package's own key names."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, stride=2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        blocks, inputs = [], 32
        for kernel, stride, expansion, outputs in (
            [(3, 1, 1, 16)]
            + [(3, 2, 6, 24), (3, 1, 6, 24)]
            + [(5, 2, 6, 40), (5, 1, 6, 40)]
            + [(3, 2, 6, 80), (3, 1, 6, 80), (3, 1, 6, 80)]
            + [(5, 1, 6, 112)] * 3
            + [(5, 2, 6, 192)]
            + [(5, 1, 6, 192)] * 3
            + [(3, 1, 6, 320)]
        ):
            block = nn.Module()
            wide = inputs * expansion
            if expansion != 1:
                block._expand_conv = nn.Conv2d(inputs, wide, 1, bias=False)
                block._bn0 = nn.BatchNorm2d(wide, eps=1e-3)
            block._depthwise_conv = nn.Conv2d(wide, wide, kernel, stride=stride, groups=wide, bias=False)
            block._bn1 = nn.BatchNorm2d(wide, eps=1e-3)
            block._project_conv = nn.Conv2d(wide, outputs, 1, bias=False)
            block._bn2 = nn.BatchNorm2d(outputs, eps=1e-3)
            blocks.append(block)
            inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(320, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=1e-3)
        self._fc = nn.Linear(1280, 1000)

    @staticmethod
    def same(hidden: Tensor, conv: nn.Conv2d) -> Tensor:
        (kernel, _), (stride, _) = conv.kernel_size, conv.stride
        lacking = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in hidden.shape[-2:]]
        below, right = lacking
        return conv(F.pad(hidden, (right // 2, right - right // 2, below // 2, below - below // 2)))  # type: ignore[no-any-return]

    def forward(self, hidden: Tensor) -> dict[str, Tensor]:
        features = {}
        hidden = F.relu6(self._bn0(self.same(hidden, self._conv_stem)))
        features["stem"] = hidden
        for index, block in enumerate(self._blocks):
            before = hidden
            if hasattr(block, "_expand_conv"):
                hidden = F.relu6(block._bn0(block._expand_conv(hidden)))
            hidden = F.relu6(block._bn1(self.same(hidden, block._depthwise_conv)))
            hidden = block._bn2(block._project_conv(hidden))
            if hidden.shape == before.shape:
                hidden = hidden + before
            features[f"block{index}"] = hidden
        return features


class TestEfficientNetLite0:
    @pytest.mark.parametrize("size", [64, 75])
    def test_features_agree_with_plain_modules_that_load_the_packages_weights(self, size: int) -> None:
        plain = PlainLite0().eval()
        plain.load_state_dict(torch.load(packaged_weights(), weights_only=True))
        plain.double()  # the batch norms are not folded, so what folding rounds away shows
        names = ["stem", *(f"block{index}" for index in range(16))]
        ours = EfficientNetLite0(layers=names)
        image = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        with torch.no_grad():
            expected, features = plain(image.double()), ours(image)
        assert list(features) == names
        for name in names:
            scale = expected[name].abs().max()
            torch.testing.assert_close(features[name].double() / scale, expected[name] / scale, rtol=0, atol=1e-5)

    def test_pictures_are_normalised_as_in_training(self) -> None:
        levels = torch.tensor([0.0, 127.0, 255.0])
        torch.testing.assert_close(EfficientNetLite0.normalise(levels / 127.5 - 1), (levels - 127) / 128)

    def test_it_stops_at_the_deepest_layer(self) -> None:
        network = EfficientNetLite0(layers=["block2"])
        assert network.depth == 3
        assert list(network(torch.zeros(1, 3, 32, 32))) == ["block2"]

    def test_there_are_sixteen_blocks(self) -> None:
        assert len(BLOCKS) == 16
        assert BLOCKS[-1].outputs == 320

    def test_trainable_weights_are_parameters_and_frozen_ones_in_no_checkpoint(self) -> None:
        frozen, trainable = (EfficientNetLite0(layers=["block1"], trainable=each) for each in (False, True))
        assert not list(frozen.parameters())
        assert not frozen.state_dict()
        assert {name for name, _ in trainable.named_parameters()} == {name for name, _ in frozen.named_buffers()}

    def test_the_weights_of_the_package_are_pinned(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert EfficientNetLite0(layers=["stem"]).weights_sha256 == SHA256
        assert EfficientNetLite0(layers=["stem"], weights=packaged_weights()).weights_sha256 == SHA256
        state = torch.load(packaged_weights(), weights_only=True)
        state["_conv_stem.weight"][0, 0, 0, 0] += 1e-3
        torch.save(state, tmp_path / "other.pth")
        # Named by the user, who may.
        assert EfficientNetLite0(layers=["stem"], weights=tmp_path / "other.pth").weights_sha256 != SHA256
        monkeypatch.setattr(efficientnet_lite0, "packaged_weights", lambda: tmp_path / "other.pth")
        with pytest.raises(FacekitError, match="not those that this version was made for") as failure:
            EfficientNetLite0(layers=["stem"])
        assert "reinstall" in str(failure.value.remedy)

    def test_exception(self, tmp_path: Path) -> None:
        with pytest.raises(FacekitError, match="are not there"):
            EfficientNetLite0(layers=["stem"], weights=tmp_path / "absent.pth")
        torch.save({"_conv_stem.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "other.pth")
        with pytest.raises(FacekitError, match="belongs to another network"):
            EfficientNetLite0(layers=["stem"], weights=tmp_path / "other.pth")
        (tmp_path / "broken.pth").write_bytes(b"no weights")
        with pytest.raises(FacekitError, match="cannot be read"):
            EfficientNetLite0(layers=["stem"], weights=tmp_path / "broken.pth")
        torch.save([torch.zeros(1)], tmp_path / "list.pth")
        with pytest.raises(FacekitError, match="tensors by name"):
            EfficientNetLite0(layers=["stem"], weights=tmp_path / "list.pth")
        with pytest.raises(ValueError, match="no layers"):
            EfficientNetLite0(layers=["relu1_1"])


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_damaged_weights_are_a_sentence(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"weights{suffix}"
    for content in damaged(contents(suffix)):
        file.write_bytes(content)
        # Those that are read in spite of their damage belong to another network.
        with pytest.raises(FacekitError) as failure:
            EfficientNetLite0(layers=["stem"], weights=file)
        assert "\n" not in failure.value.message
        assert str(failure.value.where) == str(file)
