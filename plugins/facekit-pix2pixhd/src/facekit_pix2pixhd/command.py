"""``facekit import pix2pixhd``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from facekit.interfaces import FacekitError

SLOTS = {
    "pix2pixhd/pix2pixhd_global": "generator",
    "pix2pixhd/pix2pixhd_local_enhancer": "generator",
    "pix2pixhd/multiscale_patch": "discriminator",
    "pix2pixhd/region_features": "style_encoder",
}
"""The place of a model that each component fills."""


@click.command("pix2pixhd")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The safetensors file to write.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def import_pix2pixhd(checkpoint: Path, output: Path, overwrite: bool, as_json: bool) -> None:
    """Convert an official pix2pixHD checkpoint into weights that recipes can start from.

    CHECKPOINT is the state dict of a generator (G1 or G2), a discriminator or a feature encoder: a torch file with
    tensors only, or safetensors. Its options are deduced from its shapes.

    \b
    Example:
      facekit import pix2pixhd latest_net_G.pth -o generator.safetensors
    """
    from .checkpoint_file import read_state, write_weights
    from .official_layout import convert

    if output.exists() and not overwrite:
        raise FacekitError("this file is there already", where=str(output), remedy="--overwrite replaces it")
    state = read_state(checkpoint)
    try:
        weights = convert(state)
    except FacekitError as error:
        raise FacekitError(error.message, where=str(checkpoint), remedy=error.remedy) from error
    write_weights(weights, output, source=checkpoint)

    slot, name = SLOTS[weights.component], weights.component.split("/")[1]
    parameters = sum(tensor.numel() for tensor in weights.tensors.values())
    if as_json:
        click.echo(
            json.dumps(
                {
                    "component": weights.component,
                    "options": dict(weights.options),
                    "input_channels": weights.input_channels,
                    "parameters": parameters,
                    "file": str(output),
                }
            )
        )
        return
    options = "".join(f", {key}: {value}" for key, value in weights.options.items())
    click.echo(f"{output}: {parameters:,} parameters of {weights.component}, {weights.input_channels} input channels")
    click.echo("In a recipe:")
    click.echo(f"  model: {{{slot}: {{use: {name}{options}}}}}")
    click.echo(f"  train: {{initialise: [{{part: {slot}, weights: {output}}}]}}")
