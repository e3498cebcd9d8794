"""Weight files are read with their numbers, wherever that is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch._subclasses.fake_tensor import FakeTensorMode

from facekit.interfaces.files import read_weight_file


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_networks_that_start_from_a_file_have_their_shapes_checked(tmp_path: Path, name: str) -> None:
    file, state = tmp_path / name, {"weight": torch.arange(4.0)}
    if name.endswith(".pt"):
        torch.save(state, file)
    else:
        save_file(state, file)
    with FakeTensorMode(allow_non_fake_inputs=True):
        read = read_weight_file(file, what="something", missing="fetch it")
        assert (read["weight"] * torch.ones(4)).shape == (4,)
    assert type(read["weight"]) is torch.Tensor
    assert read["weight"].tolist() == [0, 1, 2, 3]
