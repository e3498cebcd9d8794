"""Importing checkpoints: what every family's command shares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from facekit.interfaces import FacekitError
from facekit.interfaces.importing import (
    ImportedNetwork,
    fitted_network,
    import_checkpoint,
    renamed,
    shape_of,
    unwrapped,
)


def convert(state: Mapping[str, Tensor]) -> tuple[ImportedNetwork, ...]:
    moved = renamed(unwrapped(state), {"w": "weight", "b": "bias"}, of="a layer", left_out=(".seen",))
    options = {"width": len(moved["bias"]), "linear": True, "form": "plain"}
    return (fitted_network("generator", "mine/layer", options, moved, lambda: nn.Linear(3, 2), dimensions={"size": 8}),)


def both(state: Mapping[str, Tensor]) -> tuple[ImportedNetwork, ...]:
    (one,), (other,) = convert(state), convert(state)
    return (one, ImportedNetwork("style_encoder", "mine/other", {}, other.tensors))


STATE = {"w": torch.ones(2, 3), "b": torch.zeros(2)}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.save({**STATE, "norm.seen": torch.zeros(())}, tmp_path / "net.pth")
    return tmp_path / "net.pth"


def test_one_network_is_written_by_its_own_names(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "own.safetensors"
    found = import_checkpoint(checkpoint, output, family="Mine", convert=convert)
    written = load_file(output)
    assert written.keys() == {"weight", "bias"}
    assert torch.equal(written["weight"], STATE["w"])
    assert list(output.parent.iterdir()) == [output]
    document = json.loads(found.as_json())
    assert document["component"] == "mine/layer"
    assert document["options"] == {"width": 2, "linear": True, "form": "plain"}
    assert (document["size"], document["parameters"], document["file"]) == (8, 8, str(output))
    assert f"generator: {{use: layer, width: 2, linear: true, form: plain, weights: {output}}}" in found.as_text()
    with safe_open(output, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["facekit.source"] == "net.pth"
    assert len(metadata["facekit.source_sha256"]) == 64
    assert json.loads(metadata["facekit.networks"]).keys() == {"generator"}


def test_several_networks_are_written_with_their_names_before_the_weights(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "own.safetensors"
    found = import_checkpoint(checkpoint, output, family="Mine", convert=both)
    names = {f"{network}.{each}" for network in ("generator", "style_encoder") for each in ("weight", "bias")}
    assert load_file(output).keys() == names
    assert f"style_encoder: {{use: other, weights: {output}, source: style_encoder}}" in found.as_text()
    assert json.loads(found.as_json())["networks"].keys() == {"generator", "style_encoder"}


def test_a_file_that_is_there_stays_unless_it_may_go(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "own.safetensors"
    output.write_text("mine")
    with pytest.raises(FacekitError, match="is there already"):
        import_checkpoint(checkpoint, output, family="Mine", convert=convert)
    assert output.read_text() == "mine"
    import_checkpoint(checkpoint, output, family="Mine", convert=convert, overwrite=True)
    assert load_file(output)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"w": STATE["w"]}, "no checkpoint of a layer: it has no 'b'"),
        (STATE | {"c": STATE["b"]}, "it has 'c', which that network does not have"),
        (STATE | {"w": torch.ones(2, 4)}, r"'weight' has the shape \(2, 4\), but mine/layer with width 2"),
        (STATE | {"b": torch.tensor([0.0, float("inf")])}, "not finite"),
    ],
)
def test_other_checkpoints_are_refused_with_their_path(state: dict[str, Tensor], message: str, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(FacekitError, match=message) as caught:
        import_checkpoint(tmp_path / "net.pth", tmp_path / "own.safetensors", family="Mine", convert=convert)
    assert "net.pth" in str(caught.value)
    assert not (tmp_path / "own.safetensors").exists()


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("harmed"),))


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": Harmful()}, "harmful.pth")
    Path("text.pth").write_text("not a checkpoint")
    torch.save({"epoch": 3}, "wrapped.pth")
    for name in ("harmful.pth", "text.pth", "wrapped.pth", "missing.pth"):
        with pytest.raises(FacekitError, match=name):
            import_checkpoint(Path(name), Path("own.safetensors"), family="Mine", convert=convert)
    assert not Path("harmed").exists()
    assert not Path("own.safetensors").exists()


def test_what_cannot_be_written_leaves_nothing_behind(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FacekitError, match="cannot be written"):
        import_checkpoint(checkpoint, tmp_path / "file" / "own.safetensors", family="Mine", convert=convert)


def test_wrappers_are_taken_off_wherever_they_stand() -> None:
    names = unwrapped({"module.a.module.w": STATE["w"], "b.modules": STATE["b"]})
    assert names.keys() == {"a.w", "b.modules"}


def test_shapes_from_which_options_are_read_have_the_right_dimensions() -> None:
    assert shape_of(STATE, "w", dimensions=2, of="a layer") == (2, 3)
    for state, message in (
        ({}, "it has no 'w'"),
        ({"w": torch.zeros(0, 3)}, r"\(0, 3\)"),
        ({"w": torch.zeros(3)}, "3"),
    ):
        with pytest.raises(FacekitError, match=message):
            shape_of(state, "w", dimensions=2, of="a layer")


def test_statistics_of_norms_are_no_parameters_and_their_counters_may_be_missing() -> None:
    state = nn.BatchNorm2d(4).state_dict()
    del state["num_batches_tracked"]
    found = fitted_network("generator", "mine/norm", {}, state, lambda: nn.BatchNorm2d(4))
    assert found.buffers == {"running_mean", "running_var", "num_batches_tracked"}
    assert found.parameters == 8
    nn.BatchNorm2d(4).load_state_dict(dict(found.tensors))
