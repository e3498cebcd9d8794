"""The command ``facekit import FAMILY``: read a checkpoint, check its weights, write them under facekit's names."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from facekit.interfaces.errors import FacekitError
from facekit.interfaces.files import read_weight_file, sha256_of

if TYPE_CHECKING:
    from torch import Tensor, nn

NORM_BUFFERS = (".running_mean", ".running_var", ".num_batches_tracked")
"""What the names of a norm's statistics end in, which are no parameters."""

METADATA_NETWORKS, METADATA_SOURCE = "facekit.networks", "facekit.source"

OptionValue = bool | int | float | str


@dataclass(frozen=True)
class ImportedNetwork:
    """The weights of one component, as the component names them.

    Args:
        network: the usual name of the network in a recipe's ``model:``.
        component: the component's id, ``stargan/stargan``.
        options: the options it must have, as a recipe gives them.
        dimensions: sizes that a recipe's data gives rather than its options: ``input_channels``, ``attributes``,
            ``size``.
        tensors: float32 weights by the component's own names.
        buffers: the names of those that are not trained, such as running statistics.
    """

    network: str
    component: str
    options: Mapping[str, OptionValue]
    tensors: Mapping[str, Tensor]
    dimensions: Mapping[str, int] = field(default_factory=dict)
    buffers: frozenset[str] = frozenset()

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(tensor.numel() for name, tensor in self.tensors.items() if name not in self.buffers)

    def document(self) -> dict[str, object]:
        """Return what ``--json`` prints of the network."""
        return {
            "component": self.component,
            "options": dict(self.options),
            **self.dimensions,
            "parameters": self.parameters,
        }


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict without the ``module.`` that parallel training puts before names, wherever it stands."""
    return {".".join(part for part in name.split(".") if part != "module"): tensor for name, tensor in state.items()}


def renamed(
    state: Mapping[str, Tensor], names: Mapping[str, str], *, of: str, left_out: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint under facekit's names, all of them and no others.

    Args:
        state: the checkpoint.
        names: the component's own name of each name that the checkpoint must have.
        of: whose checkpoint it should be, for messages: ``StarGAN's generator``.
        left_out: what names of tensors end in that nothing here needs.

    Raises:
        FacekitError: the checkpoint lacks a tensor, or has one that the network does not.
    """
    missing = [name for name in names if name not in state]
    strangers = sorted(name for name in state.keys() - names.keys() if not name.endswith(tuple(left_out)))
    if missing:
        first = ", ".join(sorted(state)[:3])
        raise FacekitError(
            f"this is no checkpoint of {of}: it has no {missing[0]!r}",
            remedy=f"it lacks {len(missing)} of {len(names)} tensors; its names begin with {first}",
        )
    if strangers:
        raise FacekitError(
            f"this is no checkpoint of {of}: it has {strangers[0]!r}, which that network does not have",
            remedy="the checkpoint is of a network that is like the published one, and not the same",
        )
    return {own: state[name] for name, own in names.items()}


def shape_of(state: Mapping[str, Tensor], name: str, *, dimensions: int, of: str) -> tuple[int, ...]:
    """Return the shape of a tensor from which options are deduced.

    Args:
        state: the checkpoint.
        name: the tensor's name in it.
        dimensions: how many the shape must have.
        of: whose checkpoint it should be, for messages.

    Raises:
        FacekitError: there is no such tensor, or its shape has other dimensions or an empty one.
    """
    if name not in state:
        raise _unlike(of, f"it has no {name!r}", state)
    shape = tuple(state[name].shape)
    if len(shape) != dimensions or not all(shape):
        raise FacekitError(f"this is no checkpoint of {of}: {name!r} has the shape {shape}")
    return shape


def unknown_checkpoint(family: str, state: Mapping[str, Tensor], expected: str) -> FacekitError:
    """Return the error for a checkpoint of no network of a family, whose names begin with what ``expected`` says."""
    return _unlike(family, f"no name in it begins with {expected}", state)


def _unlike(of: str, problem: str, state: Mapping[str, Tensor]) -> FacekitError:
    names = ", ".join(sorted(state)[:3]) or "none"
    return FacekitError(
        f"this is no checkpoint of {of}: {problem}", remedy=f"its {len(state)} names begin with: {names}"
    )


def fitted_network(
    network: str,
    component: str,
    options: Mapping[str, OptionValue],
    tensors: Mapping[str, Tensor],
    build: Callable[[], nn.Module],
    *,
    dimensions: Mapping[str, int] | None = None,
) -> ImportedNetwork:
    """Return a network with copies of weights, contiguous and float32, once each has the name and shape it asks for.

    Args:
        tensors: weights by the component's own names. How many batches norms have seen may be missing.
        build: builds the network; called on the meta device, so that it allocates nothing.

    The others are those of :class:`ImportedNetwork`.

    Raises:
        FacekitError: a weight is missing, is one too many, has another shape, or holds numbers that are not finite.
    """
    import torch

    with torch.device("meta"):
        built = build()
    wanted = built.state_dict()
    tensors = {**{name: torch.zeros(()) for name in wanted if name.endswith("num_batches_tracked")}, **tensors}
    for name in sorted(wanted.keys() | tensors.keys()):
        found = tuple(tensors[name].shape) if name in tensors else None
        expected = tuple(wanted[name].shape) if name in wanted else None
        if found != expected:
            plan = ", ".join(f"{key} {value}" for key, value in options.items())
            raise FacekitError(
                f"the weight {name!r} has the shape {found}, but {component} with {plan} has {expected}",
                remedy="the checkpoint is of a network that is like the published one, and not the same",
            )
        if not bool(torch.isfinite(tensors[name]).all()):
            raise FacekitError(f"the weight {name!r} holds numbers that are not finite")
    # Copies, since a checkpoint may hold one tensor under two names, and safetensors does not.
    copies = {name: tensors[name].detach().float().clone(memory_format=torch.contiguous_format) for name in wanted}
    buffers = wanted.keys() - dict(built.named_parameters()).keys()
    return ImportedNetwork(network, component, options, copies, dimensions or {}, frozenset(buffers))


@dataclass(frozen=True)
class Imported:
    """A file of converted weights, and what it holds.

    Args:
        networks: the networks in it; the first is the one shown where there is room for one.
        file: the file.
    """

    networks: Sequence[ImportedNetwork]
    file: Path

    def as_json(self) -> str:
        """Return one JSON object: component, options and sizes of the first network, all networks, and the file."""
        found = {each.network: each.document() for each in self.networks}
        return json.dumps({**self.networks[0].document(), "networks": found, "file": str(self.file)})

    def as_text(self) -> str:
        """Return the lines for a person: what was found, and how a recipe names it."""
        lines = []
        for each in self.networks:
            sizes = "".join(f", {name.replace('_', ' ')} {value}" for name, value in each.dimensions.items())
            lines.append(f"{self.file}: {each.parameters:,} parameters of {each.component}{sizes}")
        lines += ["In a recipe:", "  model:"]
        for each in self.networks:
            written = {key: v if isinstance(v, str) else json.dumps(v) for key, v in each.options.items()}
            options = "".join(f", {key}: {value}" for key, value in written.items())
            source = f", source: {each.network}" if len(self.networks) > 1 else ""
            use = each.component.split("/")[1]
            lines.append(f"    {each.network}: {{use: {use}{options}, weights: {self.file}{source}}}")
        return "\n".join(lines)


def import_checkpoint(
    checkpoint: Path,
    output: Path,
    *,
    family: str,
    convert: Callable[[Mapping[str, Tensor]], Sequence[ImportedNetwork]],
    overwrite: bool = False,
) -> Imported:
    """Read a checkpoint of another project and write its weights as safetensors; nothing in it is run.

    The file holds a single network's weights by its own names, as ``network=`` of :func:`facekit.load` and ``weights:``
    of a recipe take them; those of several networks with the network's name before each, ``generator.stem.weight``,
    as :func:`facekit.load` takes a whole model. It is written beside and renamed, so that a file of that name is always
    whole.

    Args:
        checkpoint: a torch file with tensors only, or safetensors.
        output: the file to write.
        family: whose checkpoint it is, for messages: ``StarGAN``.
        convert: turns the state dict into networks, or raises FacekitError.
        overwrite: replace the file if it is there.

    Raises:
        FacekitError: the file is there already or cannot be written, the checkpoint is missing, damaged or holds
            anything but tensors by name, or it is of no network of the family.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    if output.exists() and not overwrite:
        raise FacekitError("this file is there already", where=str(output), remedy="--overwrite replaces it")
    state = read_weight_file(
        checkpoint,
        what=f"{family}'s checkpoint",
        missing="give the path of the file",
        again="it must be safetensors, or a state dict of tensors only (torch.save(network.state_dict(), file)); "
        "anything else is code, and is not run",
    )
    try:
        networks = tuple(convert(state))
    except FacekitError as error:
        raise FacekitError(error.message, where=str(checkpoint), remedy=error.remedy) from error
    except ValidationError as error:  # of the component's options
        wrong = ", ".join(f"{each['loc'][0]} {each['input']}" for each in error.errors())
        raise FacekitError(f"this is no checkpoint of {family}: it has {wrong}", where=str(checkpoint)) from error
    tensors = {
        f"{each.network}.{name}" if len(networks) > 1 else name: tensor
        for each in networks
        for name, tensor in each.tensors.items()
    }
    with checkpoint.open("rb") as file:
        digest = sha256_of(file)
    metadata = {
        "format": "pt",
        METADATA_NETWORKS: json.dumps({each.network: each.document() for each in networks}),
        METADATA_SOURCE: checkpoint.name,
        f"{METADATA_SOURCE}_sha256": digest,
    }
    beside = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, beside, metadata=metadata)
        beside.replace(output)
    except (OSError, SafetensorError) as error:
        raise FacekitError(f"the weights cannot be written: {error}", where=str(output)) from error
    finally:
        with suppress(OSError):  # gone when it was renamed, and never there when its folder is not
            beside.unlink()
    return Imported(networks, output)


@dataclass(frozen=True)
class ImportRequest:
    """What a command is asked to import.

    Args:
        checkpoint: the file to read.
        output: the safetensors file to write.
        overwrite: replace it if it is there.
        as_json: print the result as JSON.
    """

    checkpoint: Path
    output: Path
    overwrite: bool
    as_json: bool

    def carry_out(self, *, family: str, convert: Callable[[Mapping[str, Tensor]], Sequence[ImportedNetwork]]) -> None:
        """Import the checkpoint and print what it is; see :func:`import_checkpoint`."""
        imported = import_checkpoint(
            self.checkpoint, self.output, family=family, convert=convert, overwrite=self.overwrite
        )
        click.echo(imported.as_json() if self.as_json else imported.as_text())


def import_command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function of an :class:`ImportRequest` and of the options that ``click.option`` gives it.

    Its docstring is the command's help.

    Args:
        name: the family, as in ``facekit import NAME``.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @wraps(function)
        def command(checkpoint: Path, output: Path, overwrite: bool, as_json: bool, **own: Any) -> None:
            function(ImportRequest(checkpoint, output, overwrite, as_json), **own)

        path = click.Path(path_type=Path)
        for parameter in (
            click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
            click.option("--overwrite", is_flag=True, help="Replace the file if it is there."),
            click.option("-o", "--output", type=path, required=True, help="The safetensors file to write."),
            click.argument("checkpoint", type=path),
        ):
            command = parameter(command)
        return click.command(name)(command)

    return decorate
