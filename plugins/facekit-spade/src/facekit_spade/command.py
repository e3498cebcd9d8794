"""``facekit import spade`` and ``facekit import sean``."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facekit.interfaces import FacekitError
from facekit.interfaces.weight_files import read_weight_file

if TYPE_CHECKING:
    from .official import Converted

_NETWORKS = {"spade": "generator", "sean": "generator", "multiscale_patch": "discriminator"}
"""The network of a recipe that each component is, where it is no style encoder."""


def _options(command: Any) -> Any:
    """Give a command the argument and the options of both imports."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        click.option(
            "--upsamplings",
            type=click.Choice(["5", "6", "7"]),
            help="Of a generator trained with num_upsampling_layers `more`: 6. Nothing in the file tells it from 5.",
        ),
        click.option("--overwrite", is_flag=True, help="Replace files that are there."),
        click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write."),
        click.argument("checkpoint", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


@click.command("spade")
@_options
def import_spade(checkpoint: Path, **settings: Any) -> None:
    """Convert an official SPADE checkpoint into weights that recipes can start from.

    CHECKPOINT is the state dict of a generator, an image encoder or a discriminator: a torch file with tensors only, or
    safetensors. Its options are deduced from its shapes.

    \b
    Example:
      facekit import spade latest_net_G.pth -o generator.safetensors
    """
    _convert(checkpoint, "spade", **settings)


@click.command("sean")
@_options
def import_sean(checkpoint: Path, **settings: Any) -> None:
    """Convert an official SEAN checkpoint into weights that recipes can start from.

    CHECKPOINT is the state dict of a generator or a discriminator: a torch file with tensors only, or safetensors. A
    generator has its style encoder in it, which is written beside it: to generator_style_encoder.safetensors for
    generator.safetensors.

    \b
    Example:
      facekit import sean latest_net_G.pth -o generator.safetensors
    """
    _convert(checkpoint, "sean", **settings)


def _convert(
    checkpoint: Path, family: str, *, output: Path, upsamplings: str | None, overwrite: bool, as_json: bool
) -> None:
    from .official import convert

    state = read_weight_file(
        checkpoint,
        what=f"an official {family.upper()} network",
        missing="there is no such checkpoint",
        again="it must be a state dict of tensors only: torch.save(network.state_dict(), file)",
    )
    try:
        converted = convert(state, family=family, upsamplings=int(upsamplings) if upsamplings else None)
    except FacekitError as error:
        raise FacekitError(error.message, where=str(checkpoint), remedy=error.remedy) from error
    files = [output, output.with_name(f"{output.stem}_style_encoder{output.suffix}")][: len(converted)]
    for file in files:
        if file.exists() and not overwrite:
            raise FacekitError("this file is there already", where=str(file), remedy="--overwrite replaces it")
    documents = [_written(each, file, source=checkpoint) for each, file in zip(converted, files, strict=True)]
    if as_json:
        first, *others = documents
        click.echo(json.dumps(first | {other["network"]: other for other in others}))
        return
    for one in documents:
        options = "".join(f", {key}: {value}" for key, value in one["options"].items())
        network, name = one["network"], one["component"].split("/")[1]
        click.echo(f"{one['file']}: {one['parameters']:,} parameters of {one['component']}")
        click.echo("In a recipe:")
        click.echo(f"  model: {{{network}: {{use: {name}{options}, weights: {one['file']}}}}}")


def _written(weights: Converted, path: Path, *, source: Path) -> dict[str, Any]:
    """Write weights as safetensors with what they are in the metadata, whole or not at all; return what to print."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    options = dict(weights.options)
    metadata = {"format": "pt", "facekit.component": weights.component, "facekit.options": json.dumps(options)}
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(dict(weights.tensors), beside, metadata=metadata | {"facekit.source": source.name})
        beside.replace(path)
    except (OSError, SafetensorError) as error:
        raise FacekitError(f"the weights cannot be written: {error}", where=str(path)) from error
    finally:
        with suppress(OSError):  # gone when it was renamed
            beside.unlink()
    return {
        "network": _NETWORKS.get(weights.component.split("/")[1], "style_encoder"),
        "component": weights.component,
        "options": options,
        "input_channels": weights.input_channels,
        "parameters": weights.parameters,
        "file": str(path),
    }
