"""``facekit generate``: images from what a run reads; ``facekit provenance``: what made an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from facekit.cli.output import note, plural, print_json, tell_item
from facekit.cli.progress_bar import picture_progress
from facekit.cli.state import FilePath, plugin_file_option

if TYPE_CHECKING:
    from facekit.inference import FolderItem


@click.command(short_help="Generate images with a trained run.")
@click.argument("run", type=FilePath())
@click.option("--mask", type=FilePath(), help="A mask of class ids, or a folder of them.")
@click.option("--reference", type=FilePath(), help="The photo with the wanted style, or a folder.")
@click.option("--reference-mask", type=FilePath(), help="The reference's own mask, or a folder.")
@click.option(
    "--region-reference",
    "region_photos",
    multiple=True,
    metavar="REGION=PHOTO",
    help="Another photo whose style a region has: hair=other.jpg, or u_lip,l_lip=other.jpg.",
)
@click.option(
    "--region-reference-mask", "region_masks", multiple=True, metavar="REGION=MASK", help="That photo's own mask."
)
@click.option("--source", type=FilePath(), help="The photo to change, or a folder.")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=1", help="One that is wanted; NAME=0 for not.")
@click.option("--count", type=click.IntRange(min=1), help="Images from each input, for runs that start from noise.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the noise; by default 0.")
@click.option("-o", "--output", type=FilePath(), required=True, help="A PNG file, or a folder.")
@click.option("--weights", type=click.Choice(["ema", "live"]), default="ema", show_default=True, help="Which weights.")
@click.option("--step", type=click.IntRange(min=0), help="A certain checkpoint; by default the newest.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--label-map", help="That of the masks, where it is a finer one than the run's: they are merged.")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Images at once.")
@click.option(
    "--set", "settings", multiple=True, metavar="NETWORK.OPTION=VALUE", help="A runtime option: sampler.steps=50."
)
@click.option("--overwrite", is_flag=True, help="Replace results that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_file_option
@click.pass_context
def generate(
    context: click.Context,
    run: Path,
    region_photos: tuple[str, ...],
    region_masks: tuple[str, ...],
    attributes: tuple[str, ...],
    output: Path,
    weights: Literal["ema", "live"],
    step: int | None,
    device: str,
    label_map: str | None,
    settings: tuple[str, ...],
    as_json: bool,
    **inputs: Any,
) -> None:
    """Generate images with a trained run, one or whole folders of them.

    RUN is a run folder. What is given follows from what the networks of the run read, and the command says what is
    missing: a mask, a reference photo with its own mask, a source photo and attributes, or nothing but noise. Masks are
    pictures of class ids (indexed or greyscale PNG). Folders are paired by the names of their files; one file goes with
    every file of a folder. Called again, it goes on where it stopped. Exits with 2 when a result could not be
    generated; the others are.

    Where the style of the run has a code for every region, --region-reference gives a region the style of another photo
    than the rest, in every result.

    Attributes that are not named stay as the run reads them off the source photo. For runs that start from noise,
    --count gives that many images of each input, SEED-0000.png and so on, which --seed draws anew. Options that no
    weight depends on, such as the steps of a sampler, may be --set.

    \b
    Example:
      facekit generate runs/first --mask mask.png --reference photo.jpg --reference-mask photo_mask.png -o result.png
      facekit generate runs/first --mask masks/ --reference photo.jpg --reference-mask photo_mask.png -o results/
      facekit generate runs/first --mask mask.png --reference photo.jpg --reference-mask photo_mask.png \\
        --region-reference hair=other.jpg --region-reference-mask hair=other_mask.png -o result.png
      facekit generate runs/stargan --source photo.jpg --attribute Smiling=1 -o smiling.png
      facekit generate runs/noise --count 16 --seed 7 -o faces/
    """
    from facekit.inference import generate_folder, load, parse_attributes, parse_region_references

    wanted, regions = parse_attributes(attributes), parse_region_references(region_photos, region_masks)
    registry = context.obj.registry()
    chosen: dict[str, Any] = {"weights": weights, "step": step, "device": device, "settings": settings}
    pipeline = load(run, registry=registry, label_map=label_map, **chosen)
    for migrated in pipeline.notes:
        note(migrated)
    note(f"generating with the {pipeline.weights} weights of step {pipeline.step:,} on {pipeline.device}")

    with picture_progress("generating") as show:

        def progress(item: FolderItem, number: int, total: int) -> None:
            tell_item(item, total)
            show(number, total)

        result = generate_folder(
            pipeline, attributes=wanted, region_references=regions, output=output, progress=progress, **inputs
        )
    if as_json:
        items = [{"output": str(one.output), "outcome": one.outcome, "message": one.message} for one in result.items]
        print_json({"weights": pipeline.weights, "step": pipeline.step, "items": items})
    else:
        written, skipped, failed = (len(result.of(outcome)) for outcome in ("written", "skipped", "failed"))
        parts = [f"{plural(written, 'picture')} written to {output}"]
        parts += [f"{skipped:,} were there"] if skipped else []
        parts += [f"{failed:,} failed"] if failed else []
        click.echo(", ".join(parts))
    context.exit(result.exit_code)


@click.command(short_help="Say what made a picture.")
@click.argument("file", type=FilePath())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--script", "only_script", is_flag=True, help="Print the edit script alone, ready to be used again.")
@click.pass_context
def provenance(context: click.Context, file: Path, as_json: bool, only_script: bool) -> None:
    """Say what made a picture: that it is synthetic, the run, its weights, the script.

    Exits with 1 for a picture that facekit did not make, or that lost its record on the way.

    \b
    Example:
      facekit provenance result.png
      facekit provenance result.png --script > again.yaml
    """
    from facekit.inference import read_provenance
    from facekit.interfaces import FacekitError

    if not file.is_file():
        raise FacekitError("there is no such file", where=str(file))
    record = read_provenance(file)
    if record is None:
        click.echo(f"{file} has no record of facekit's: it was not made by it, or the record was lost on the way")
        context.exit(1)
    if only_script:
        if "script" not in record:
            raise FacekitError("no edit script made this picture", where=str(file))
        click.echo(record["script"], nl=False)
    elif as_json:
        print_json(record)
    else:
        for key, value in record.items():
            lines = str(value).splitlines() or [""]
            click.echo(f"{key}: {lines[0]}" if len(lines) == 1 else "\n  ".join([f"{key}:", *lines]))
