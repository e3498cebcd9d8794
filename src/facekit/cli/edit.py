"""``facekit edit``: edit the faces of photos by a script."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from facekit.cli.output import note, plural, print_json, tell_item
from facekit.cli.paths import FilePath
from facekit.cli.progress_bar import picture_progress
from facekit.cli.state import State, plugin_file_option

if TYPE_CHECKING:
    from facekit.editing import FolderItem
    from facekit.registry import Registry


@click.command(short_help="Edit the faces of photos by a script.")
@click.argument("run", type=FilePath())
@click.argument("photo", type=FilePath())
@click.option("--script", "script_file", type=FilePath(), required=True, help="The edit script, YAML.")
@click.option("-o", "--output", type=FilePath(), required=True, help="A PNG file, or a folder.")
@click.option("--mask", type=FilePath(), help="The photo's mask of class ids, or a folder of masks.")
@click.option("--aligned", is_flag=True, help="The photos are squares around faces already; none is looked for.")
@click.option(
    "--local", type=FilePath(), help="A run that fills holes (recipe local_edit), for edits of a part of the face."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the noise, where a run has any.")
@click.option("--segmenter", default="segmenter", show_default=True, help="The component that reads masks of photos.")
@click.option("--detector", default="mtcnn", show_default=True, help="The component that finds faces.")
@click.option("--weights", type=click.Choice(["ema", "live"]), default="ema", show_default=True, help="Which weights.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--overwrite", is_flag=True, help="Replace results that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_file_option
@click.pass_context
def edit(
    context: click.Context,
    run: Path,
    photo: Path,
    script_file: Path,
    output: Path,
    mask: Path | None,
    aligned: bool,
    local: Path | None,
    seed: int,
    segmenter: str,
    detector: str,
    weights: Literal["ema", "live"],
    device: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Edit the face of a PHOTO, or of every photo in a folder, as a script says, with the trained RUN.

    Photos with masks are taken as they are. For others the face is found and read first, which needs a face detector
    (`pip install facekit-mtcnn`) and a trained segmenter (`facekit judge train segmenter`). Only pixels where the mask
    changed, and a narrow margin around them, differ from the photo. Called again, it goes on where it stopped. Exits
    with 2 when a photo could not be edited; the others are.

    A run of the recipe `local_edit` fills in what changed at the photo's own resolution, and sees the photo around it.
    Give it as RUN, or beside a RUN that generates whole faces as --local: then edits of a part are filled in, and those
    of the whole face or its style generated. It starts from noise: another --seed gives other teeth.

    \b
    Example:
      facekit edit runs/first photo.jpg --script surprised.yaml -o surprised.png
      facekit edit runs/first photos/ --mask masks/ --script surprised.yaml -o edited/
    """
    from facekit.editing import PhotoEditor, edit_folder, load
    from facekit.editing.script import read_script
    from facekit.editing.suitable import check_edits_masks

    state: State = context.obj
    registry = state.registry()
    pipeline = load(run, weights=weights, device=device, registry=registry)
    check_edits_masks(pipeline)
    script = read_script(script_file, label_map=pipeline.label_map)
    reads = mask is None or any(getattr(look, "mask", None) is None for look in script.looks)
    editor = PhotoEditor(
        pipeline,
        local=None if local is None else load(local, weights=weights, device=device, registry=registry),
        segmenter=_component(registry, "segmenter", segmenter) if reads else None,
        detector=_component(registry, "face_detector", detector) if reads and not aligned else None,
        seed=seed,
    )
    note(f"painting with the {pipeline.weights} weights of step {pipeline.step:,} on {pipeline.device}")
    if local is not None and editor.local is not None:
        note(f"edits of a part: {local}, step {editor.local.pipeline.step:,}")

    with picture_progress("editing") as show:

        def progress(item: FolderItem, number: int, total: int) -> None:
            tell_item(item, total)
            show(number, total)

        result = edit_folder(
            editor,
            script,
            photo=photo,
            output=output,
            mask=mask,
            aligned=aligned or None,
            script_folder=script_file.parent,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        print_json([{**asdict(item), "output": str(item.output)} for item in result.items])
    else:
        written, skipped, failed = (len(result.of(outcome)) for outcome in ("written", "skipped", "failed"))
        locally = sum(item.locally for item in result.items)
        parts = [f"{plural(written, 'picture')} written to {output}"]
        parts += [f"{locally:,} of them edited locally"] if written and local is not None else []
        parts += [f"{skipped:,} were there"] if skipped else []
        parts += [f"{failed:,} failed"] if failed else []
        click.echo(", ".join(parts))
    context.exit(result.exit_code)


def _component(registry: Registry, kind: Literal["segmenter", "face_detector"], name: str) -> Any:
    """Build a component that recipes have no place for, with its default options."""
    from facekit.editing.components import build_by_name

    return build_by_name(registry, kind, name)
