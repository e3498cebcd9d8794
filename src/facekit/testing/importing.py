"""What ``facekit import FAMILY`` promises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, cast

import click
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facekit.interfaces import BuildContext, FacekitError
from facekit.interfaces.importing import METADATA_NETWORKS, METADATA_SOURCE, NORM_BUFFERS
from facekit.registry import Kind, load_registry

_OMITTED = 6
"""Of how many weights a checkpoint is tried without one."""


def golden_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Return weights, inputs and outputs of an official network; the test is skipped where the file is not.

    Args:
        file: safetensors with names in ``weights.``, ``input.`` and ``output.``.
    """
    if not file.is_file():
        pytest.skip(f"{file} is not here: it holds golden tensors of the official network")
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "input": {}, "output": {}}
    for name, tensor in load_file(file).items():
        kind, _, rest = name.partition(".")
        parts[kind][rest] = tensor
    return parts["weights"], parts["input"], parts["output"]


def imported_weights(
    command: click.Command, state: Mapping[str, Tensor], folder: Path, *words: str, older: bool = False
) -> dict[str, Any]:
    """Return what a command prints as JSON of a state dict that it imports.

    Args:
        command: the command.
        state: the official state dict; it is written as ``official.pth``.
        folder: where the files go; the converted one is ``own.safetensors``.
        *words: more options of the command.
        older: write the file in torch's older form.
    """
    folder.mkdir(exist_ok=True)
    torch.save(dict(state), folder / "official.pth", _use_new_zipfile_serialization=not older)
    arguments = [str(folder / "official.pth"), "-o", str(folder / "own.safetensors"), "--json", *words]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.output)
    return document


def imported_network(document: Mapping[str, Any], name: str, context: BuildContext) -> nn.Module:
    """Return a component in evaluation mode with the weights that were imported.

    Args:
        document: from :func:`imported_weights`.
        name: the network's name in a recipe: ``generator``.
        context: what the component is built for.
    """
    one = document["networks"][name]
    spec = load_registry().components[cast("Kind", name), one["component"]].spec
    network: nn.Module = spec.build(spec.options(**one["options"]), context)
    state = load_file(document["file"])
    if len(document["networks"]) > 1:
        state = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
    network.load_state_dict(state, strict=True)
    assert sum(parameter.numel() for parameter in network.parameters()) == one["parameters"]
    return network.eval()


def assert_equals(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    """Assert that tensors are equal up to a share of the deviation of the second one."""
    difference = float((found - expected).abs().max())
    assert difference < tolerance * float(expected.std()), f"{difference} apart, of {float(expected.std())}"


class ImportContract:
    """What a command that imports checkpoints promises; subclass it in a test::

    class TestImport(ImportContract):
        command = import_mine
        line = "generator: {use: mine, width: 4"

        def state(self):
            return OfficialGenerator(4).state_dict()
    """

    command: ClassVar[click.Command]
    """The command."""
    line: ClassVar[str]
    """A part of the lines of a recipe that it prints."""
    words: ClassVar[tuple[str, ...]] = ()
    """More options that it is called with."""

    def state(self) -> dict[str, Tensor]:
        """Return a small official state dict."""
        raise NotImplementedError

    def imported(self, state: Mapping[str, Tensor], folder: Path, *words: str, older: bool = False) -> dict[str, Any]:
        """Return what the command prints as JSON of a state dict."""
        return imported_weights(self.command, state, folder, *self.words, *words, older=older)

    def test_the_command_is_offered(self) -> None:
        """``facekit import`` lists it."""
        targets = [spec.target for _, spec in load_registry().commands() if spec.name == f"import {self.command.name}"]
        assert len(targets) == 1, f"{len(targets)} commands are called `import {self.command.name}`"
        module, _, name = targets[0].partition(":")
        assert getattr(import_module(module), name) is self.command

    def test_it_prints_the_lines_of_a_recipe(self, tmp_path: Path) -> None:
        """They name the component, its options and the file."""
        save_file({name: each.contiguous() for name, each in self.state().items()}, tmp_path / "net.safetensors")
        output = tmp_path / "own.safetensors"
        arguments = [str(tmp_path / "net.safetensors"), "-o", str(output), *self.words]
        result = CliRunner().invoke(self.command, arguments, catch_exceptions=False)
        assert self.line in result.output
        assert f"weights: {output}" in result.output

    def test_the_file_says_what_is_in_it(self, tmp_path: Path) -> None:
        """It holds float32 weights whose number the command tells, and in its metadata what they are."""
        document = self.imported(self.state(), tmp_path)
        with safe_open(document["file"], "pt") as file:
            metadata = file.metadata()
        networks = json.loads(metadata[METADATA_NETWORKS])
        assert networks == document["networks"]
        assert metadata[METADATA_SOURCE] == "official.pth"
        tensors = load_file(document["file"])
        assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
        told = sum(network["parameters"] for network in networks.values())
        assert 0 < told <= sum(tensor.numel() for tensor in tensors.values())

    def test_parallel_training_older_files_and_half_precision_are_read(self, tmp_path: Path) -> None:
        """The same weights come of names in ``module.``, and of files in torch's older form."""
        state = self.state()
        expected = load_file(self.imported(state, tmp_path / "plain")["file"])
        parallel = self.imported({f"module.{name}": each for name, each in state.items()}, tmp_path / "parallel")
        older = self.imported(state, tmp_path / "older", older=True)
        for document in (parallel, older):
            tensors = load_file(document["file"])
            assert tensors.keys() == expected.keys()
            assert all(torch.equal(tensors[name], expected[name]) for name in expected)
        halved = {name: each.half() if each.is_floating_point() else each for name, each in state.items()}
        document = self.imported(halved, tmp_path / "half")
        assert {each.dtype for each in load_file(document["file"]).values()} == {torch.float32}

    def test_a_file_that_is_there_stays_unless_it_may_go(self, tmp_path: Path) -> None:
        """Nothing is replaced without --overwrite."""
        (tmp_path / "own.safetensors").write_text("mine")
        with pytest.raises(FacekitError, match="is there already"):
            self.imported(self.state(), tmp_path)
        assert (tmp_path / "own.safetensors").read_text() == "mine"
        self.imported(self.state(), tmp_path, "--overwrite")

    def test_a_missing_weight_is_refused(self, tmp_path: Path) -> None:
        """Without any one of its weights, a checkpoint is of no network that is known."""
        state = self.state()
        names = [name for name in state if not name.endswith(NORM_BUFFERS)]
        for name in names[:: max(len(names) // _OMITTED, 1)]:
            self._refused({key: each for key, each in state.items() if key != name}, tmp_path, f"without {name}")

    def test_other_weights_are_refused(self, tmp_path: Path) -> None:
        """A weight too many, one of another shape, and one that is not finite."""
        state = self.state()
        name = next(key for key, each in state.items() if each.dim() == 4 and not key.endswith(NORM_BUFFERS))
        wider = torch.cat([state[name], state[name][:1]])
        not_finite = torch.full_like(state[name], float("nan"))
        for change in ({"stranger.weight": torch.zeros(3)}, {name: wider}, {name: not_finite}):
            self._refused({**state, **change}, tmp_path, f"with another {next(iter(change))}")
        self._refused({"stranger.weight": torch.zeros(3)}, tmp_path, "of another network")

    def _refused(self, state: Mapping[str, Tensor], folder: Path, what: str) -> None:
        try:
            self.imported(state, folder)
        except FacekitError as error:
            place = str(error.where)
        else:
            raise AssertionError(f"a checkpoint {what} was imported")
        assert "official.pth" in place, f"the message on a file {what} does not name the file"
        assert not (folder / "own.safetensors").exists(), f"a checkpoint {what} left a file"
