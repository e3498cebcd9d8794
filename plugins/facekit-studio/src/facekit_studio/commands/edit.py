"""``facekit edit``: edit the faces of photos by a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from facekit.cli.output import note, plural, print_json, tell_item
from facekit.cli.progress_bar import picture_progress, stage_progress
from facekit.cli.state import FilePath, State, plugin_file_option

if TYPE_CHECKING:
    from facekit.inference import FacePipeline, FolderItem, FolderResult
    from facekit.registry import Registry
    from facekit_studio.editing import FaceTuner
    from facekit_studio.editing.edit_folder import EditedItem
    from facekit_studio.editing.tuning import TuningProgress

TUNING_STEPS, MOST_TUNING_STEPS = 60, 2000
"""Those of :mod:`facekit_studio.editing.tuning`, which imports torch."""


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
@click.option(
    "--tune",
    type=click.IntRange(1, MOST_TUNING_STEPS),
    is_flag=False,
    flag_value=TUNING_STEPS,
    metavar="[STEPS]",
    help=f"Tune RUN to each photo first, in so many steps; {TUNING_STEPS} where none are given.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the noise, where a run has any; of --tune."
)
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
    tune: int | None,
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
    (`pip install facekit-mtcnn`) and a trained segmenter (`facekit evaluator add --help`). Only pixels where the mask
    changed, and a narrow margin around them, differ from the photo. Called again, it goes on where it stopped.
    Exits with 2 when a photo could not be edited; the others are.

    A run of the recipe `local_edit` fills in what changed at the photo's own resolution, and sees the photo around it.
    Give it as RUN, or beside a RUN that generates whole faces as --local: then edits of a part are filled in, and those
    of the whole face or its style generated. It starts from noise: another --seed gives other teeth.

    --tune adapts a copy of RUN to each photo that it generates anew, so that the person and their detail stay: the
    photo's style, and the generator's weights by a change of low rank. 60 steps take about 20 s a photo on one core at
    128 pixels; what was tuned is kept in the cache. RUN itself never changes.

    \b
    Example:
      facekit edit runs/first photo.jpg --script surprised.yaml -o surprised.png
      facekit edit runs/first photos/ --mask masks/ --script surprised.yaml -o edited/
      facekit edit runs/first photo.jpg --script other_look.yaml --tune 60 -o other_look.png
    """
    from facekit.inference import load
    from facekit_studio.editing import PhotoEditor, edit_folder
    from facekit_studio.editing.script import read_script
    from facekit_studio.editing.suitable import check_edits_masks

    state: State = context.obj
    registry = state.registry()
    pipeline = load(run, weights=weights, device=device, registry=registry)
    check_edits_masks(pipeline)
    script = read_script(script_file, label_map=pipeline.label_map)
    reads = mask is None or any(getattr(look, "mask", None) is None for look in script.looks)
    beside = None if local is None else load(local, weights=weights, device=device, registry=registry)
    with _progress(tuning=tune is not None) as (progress, show_steps):
        editor = PhotoEditor(
            pipeline,
            local=beside,
            segmenter=_component(registry, "segmenter", segmenter) if reads else None,
            detector=_component(registry, "face_detector", detector) if reads and not aligned else None,
            seed=seed,
            tuner=None if tune is None else _tuner(pipeline, tune, seed, show_steps),
        )
        note(f"generating with the {pipeline.weights} weights of step {pipeline.step:,} on {pipeline.device}")
        if beside is not None:
            note(f"edits of a part: {local}, step {beside.step:,}")
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
        click.echo(_summary(result, output, with_local=local is not None))
    context.exit(result.exit_code)


@contextmanager
def _progress(*, tuning: bool) -> Iterator[tuple[Callable[[FolderItem, int, int], None], TuningProgress]]:
    """Give functions that tell, on stderr, what became of each photo, and how many steps of tuning to one are done."""

    def tell(show: Callable[[int, int], None], item: FolderItem, number: int, total: int) -> None:
        tell_item(item, total)
        show(number, total)

    if not tuning:
        with picture_progress("editing") as show:
            yield partial(tell, show), show
        return
    with stage_progress() as show_stage:
        yield partial(tell, partial(show_stage, "editing")), partial(show_stage, "tuning to the photo")


def _tuner(pipeline: FacePipeline, steps: int, seed: int, progress: TuningProgress) -> FaceTuner:
    from facekit_studio.editing import FaceTuner, TuningOptions

    return FaceTuner(pipeline, TuningOptions(steps=steps), seed=seed, progress=progress)


def _summary(result: FolderResult[EditedItem], output: Path, *, with_local: bool) -> str:
    """Return what became of all photos, in one line."""
    written, skipped, failed = (len(result.of(outcome)) for outcome in ("written", "skipped", "failed"))
    locally = sum(item.locally for item in result.items)
    parts = [f"{plural(written, 'picture')} written to {output}"]
    parts += [f"{locally:,} of them edited locally"] if written and with_local else []
    parts += [f"{skipped:,} were there"] if skipped else []
    parts += [f"{failed:,} failed"] if failed else []
    return ", ".join(parts)


def _component(registry: Registry, kind: Literal["segmenter", "face_detector"], name: str) -> Any:
    """Build a component that recipes have no place for, with its default options."""
    from facekit_studio.editing.components import build_by_name

    return build_by_name(registry, kind, name)
