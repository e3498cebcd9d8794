"""``facekit generate``: paint masks in the look of reference photos, or give photos other attributes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from facekit.cli.output import note, plural, print_json, tell_item
from facekit.cli.progress_bar import picture_progress
from facekit.cli.state import State, plugin_file_option
from facekit.interfaces import FacekitError

if TYPE_CHECKING:
    from facekit.editing import FolderItem


@click.command(short_help="Paint masks in the look of photos, or change attributes.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--mask", type=click.Path(path_type=Path), help="A mask of class ids, or a folder of them.")
@click.option("--reference", type=click.Path(path_type=Path), help="The photo with the wanted look, or a folder.")
@click.option("--reference-mask", type=click.Path(path_type=Path), help="The reference's own mask, or a folder.")
@click.option("--source", type=click.Path(path_type=Path), help="The photo whose attributes change, or a folder.")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=1", help="One that is wanted; NAME=0 for not.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A PNG file, or a folder.")
@click.option("--weights", type=click.Choice(["ema", "live"]), default="ema", show_default=True, help="Which weights.")
@click.option("--step", type=click.IntRange(min=0), help="A certain checkpoint; by default the newest.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--label-map", help="That of the masks, where it is a finer one than the run's: they are merged.")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Pictures painted at once.")
@click.option("--overwrite", is_flag=True, help="Replace results that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_file_option
@click.pass_context
def generate(
    context: click.Context,
    run: Path,
    mask: Path | None,
    reference: Path | None,
    reference_mask: Path | None,
    source: Path | None,
    attributes: tuple[str, ...],
    output: Path,
    weights: Literal["ema", "live"],
    step: int | None,
    device: str,
    label_map: str | None,
    batch: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Paint a mask in the look of a reference photo, or whole folders of them.

    RUN is a run folder. Masks are pictures of class ids (indexed or greyscale PNG). Two folders are paired by the names
    of their files; one file goes with every file of a folder. Called again, it goes on where it stopped. Exits with 2
    when a result could not be painted; the others are.

    Runs that change the attributes of a photo (StarGAN) take a source in place of a mask. Attributes that are not named
    stay as the run reads them off the photo.

    \b
    Example:
      facekit generate runs/first --mask mask.png --reference photo.jpg --reference-mask photo_mask.png -o result.png
      facekit generate runs/first --mask masks/ --reference photo.jpg --reference-mask photo_mask.png -o results/
      facekit generate runs/stargan --source photo.jpg --attribute Smiling=1 -o smiling.png
    """
    from facekit.editing import generate_folder, load, read_wishes, transfer_folder

    wishes = read_wishes(attributes)
    state: State = context.obj
    pipeline = load(run, weights=weights, device=device, step=step, registry=state.registry(), label_map=label_map)
    for migrated in pipeline.notes:
        note(migrated)
    note(f"painting with the {pipeline.weights} weights of step {pipeline.step:,} on {pipeline.device}")

    with picture_progress("painting") as show:

        def progress(item: FolderItem, number: int, total: int) -> None:
            tell_item(item, total)
            show(number, total)

        if pipeline.attributes is not None or source is not None or wishes:
            pipeline.check_changes_attributes()
            _refuse_others({"--mask": mask, "--reference": reference, "--reference-mask": reference_mask}, run)
            if source is None:
                raise FacekitError(
                    "this run changes the attributes of a photo, and there is none",
                    where=str(run),
                    remedy="give --source, and --attribute NAME=1 for each attribute that is wanted",
                )
            result = transfer_folder(
                pipeline, wishes, source=source, output=output, overwrite=overwrite, progress=progress
            )
        else:
            if mask is None:
                raise FacekitError("this run paints masks, and there is none", where=str(run), remedy="give --mask")
            result = generate_folder(
                pipeline,
                mask=mask,
                reference=reference,
                reference_mask=reference_mask,
                output=output,
                overwrite=overwrite,
                batch=batch,
                progress=progress,
            )
    if as_json:
        print_json(
            {
                "weights": pipeline.weights,
                "step": pipeline.step,
                "items": [
                    {"output": str(item.output), "outcome": item.outcome, "message": item.message}
                    for item in result.items
                ],
            }
        )
    else:
        written, skipped, failed = (len(result.of(outcome)) for outcome in ("written", "skipped", "failed"))
        parts = [f"{plural(written, 'picture')} written to {output}"]
        parts += [f"{skipped:,} were there"] if skipped else []
        parts += [f"{failed:,} failed"] if failed else []
        click.echo(", ".join(parts))
    context.exit(result.exit_code)


def _refuse_others(given: Mapping[str, Path | None], run: Path) -> None:
    """Raise FacekitError for options that belong to runs that paint masks."""
    wrong = [name for name, value in given.items() if value is not None]
    if wrong:
        raise FacekitError(
            f"this run changes the attributes of a photo; it takes no {' and no '.join(wrong)}",
            where=str(run),
            remedy="give --source and --attribute",
        )
