"""``facekit evaluate-edits``: measure what edits of a run show, beside real photos and a baseline without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from facekit.cli.output import note, plural, print_json, print_table
from facekit.cli.state import FilePath, State, plugin_file_option, set_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facekit.cli.data import DataSource
    from facekit.evaluation import EvaluationResult
    from facekit.registry import Registry
    from facekit_studio.edit_quality import EditSettings, NamedEdit, ScriptResult
    from facekit_studio.editing import PhotoEditor

ARROWS = {"higher": "↑", "lower": "↓"}


@click.command(short_help="Measure what edits of a run show.")
@click.argument("run", type=FilePath())
@click.option("--data", "source", required=True, help="A dataset's name, whose options --set gives; or a recipe.")
@set_option
@click.option("-o", "--output", type=FilePath(), required=True, help="A folder for the numbers and the sheets.")
@click.option(
    "--local", type=FilePath(), help="A run that fills holes (recipe local_edit), for edits of a part of the face."
)
@click.option("--script", "names", multiple=True, metavar="NAME", help="Only this script; may be given several times.")
@click.option("--split", default="test", show_default=True, help="Whose photos are edited.")
@click.option("--real", default="train", show_default=True, help="The split of the real photos they stand beside.")
@click.option("--limit", type=click.IntRange(min=1), help="Photos of a script at most.")
@click.option("--most-real", type=click.IntRange(min=2), default=200, show_default=True, help="Real photos of a kind.")
@click.option("--side", type=click.IntRange(min=64), default=512, show_default=True, help="Pixels of a photo's side.")
@click.option("--extractor", default="efficientnet_lite0", show_default=True, help="Whose features KID compares.")
@click.option("--allow-learned", is_flag=True, help="Measure photos that a run has learned from too, and say so.")
@click.option("--weights", type=click.Choice(["ema", "live"]), default="ema", show_default=True, help="Which weights.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--overwrite", is_flag=True, help="Replace results that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_file_option
@click.pass_obj
def evaluate_edits(
    state: State,
    run: Path,
    source: str,
    overrides: tuple[str, ...],
    output: Path,
    local: Path | None,
    names: tuple[str, ...],
    split: str,
    real: str,
    limit: int | None,
    most_real: int,
    side: int,
    extractor: str,
    allow_learned: bool,
    weights: Literal["ema", "live"],
    device: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Edit photos by named scripts with RUN, and measure what the edited region shows and what lies outside it.

    The scripts are open_mouth, close_mouth, remove_glasses, longer_hair, raise_brows and move_glasses. Each is made
    of the photos it makes sense for, and stands beside real photos that show the same, beside the same region
    pasted from the real photo whose mask is nearest, and beside the photos as they were. Photos that a run has learned
    from are refused. The folder gets
    edits.json, with the values of every photo, and a sheet of pictures a script. RUN keeps the numbers and small
    sheets as well, for its report and `facekit compare`. Ctrl-C leaves the scripts that are finished.

    \b
    Example:
      facekit evaluate-edits runs/first --data celebamask_hq --set root=data/CelebAMask-HQ -o edits/
    """
    from facekit.cli.data import open_source
    from facekit.inference import load
    from facekit.interfaces import FacekitError
    from facekit_studio.edit_quality import NAMED_EDITS, NUMBERS, EditSettings, named_edit
    from facekit_studio.editing import PhotoEditor

    edits = [named_edit(name) for name in dict.fromkeys(names)] or list(NAMED_EDITS.values())
    if (output / NUMBERS).exists() and not overwrite:
        raise FacekitError("there are results in this folder", where=str(output), remedy="--overwrite replaces them")
    registry = state.registry()
    opened = open_source(source, registry=registry, overrides=overrides)
    pipeline = load(run, weights=weights, device=device, registry=registry)
    helper = None if local is None else load(local, weights=weights, device=device, registry=registry)
    settings = EditSettings(
        split=split,
        real=real,
        limit=limit,
        most_real=most_real,
        side=side,
        extractor=extractor,
        allow_learned=allow_learned,
    )
    done, kept = _measure(
        PhotoEditor(pipeline, local=helper), opened, edits, registry=registry, settings=settings, output=output
    )
    if as_json:
        print_json(_read(output / NUMBERS))
        return
    for result in done:
        print_script(result, settings)
    click.echo(f"\nnumbers and pictures are in {output}")
    click.echo(f"the run keeps them in {kept}; its report shows them")


def _measure(
    editor: PhotoEditor,
    opened: DataSource,
    edits: Sequence[NamedEdit],
    *,
    registry: Registry,
    settings: EditSettings,
    output: Path,
) -> tuple[list[ScriptResult], Path]:
    """Measure edits and write what is found after each; return it, and the file that the run keeps."""
    from facekit.cli.progress_bar import stage_progress
    from facekit.report import write_report
    from facekit_studio.edit_quality import EditRecord, evaluate_edits, keep_in_run, write_results, write_sheet

    names = [edit.name for edit in edits]
    record = EditRecord(editor, settings, opened.component, opened.dataset.fingerprint(), names)
    done: list[ScriptResult] = []
    with stage_progress() as progress:
        found = evaluate_edits(
            editor,
            opened.dataset,
            edits,
            registry=registry,
            dataset_id=opened.component,
            settings=settings,
            progress=progress,
        )
        for result in found:
            done.append(result)
            write_results(output, done, record)
            if not result.skipped:
                write_sheet(output, result, editor=editor)
            kept = keep_in_run(done, record)
            # After each script, so that Ctrl-C leaves a report of those that are finished.
            write_report(editor.pipeline.run, registry=registry)
    return done, kept


def print_script(result: ScriptResult, settings: EditSettings) -> None:
    """Print a table of a script: a row a measurement, a column a system; what is not measured is said under it."""
    click.echo()
    if result.skipped:
        click.echo(f"{result.edit.name}: not measured: {result.skipped}")
        return
    first = result.systems[0].result
    numbers = [system.result for system in result.systems]
    rows = []
    for name in dict.fromkeys(entry.name for each in numbers for entry in each.measurements):
        entry = next(entry for each in numbers for entry in each.measurements if entry.name == name)
        unit = f" ({entry.unit})" if entry.unit not in ("", "share", "pixels") else ""
        label = name.replace(f"-{settings.extractor}", "")
        rows.append((f"{label}{unit} {ARROWS[entry.better]}", *(_cell(each, name) for each in numbers)))
    photos = plural(int(first.fields["photos"]), "photo")
    click.echo(f"{result.edit.name}: {photos} of {first.split} at {first.fields['side']} px")
    columns = [each.system.replace("_", " ") for each in numbers]
    print_table(("MEASUREMENT", *columns), rows, right=columns, figures=True)
    click.echo(f"± is half of the 95% interval over the photos; protocol {first.protocol}")
    click.echo(f"KID of crops in the features of {settings.extractor}")
    if result.edit.attribute is not None and "attribute" not in result.systems[0].figures.absent:
        name, wanted = result.edit.attribute
        click.echo(f"attribute: how often a classifier sees {name if wanted else f'no {name}'}")
    click.echo(f"edited: {result.edited_by}")
    for said in result.notes:
        note(said)
    for name, why in result.systems[0].figures.absent.items():
        click.echo(f"not measured: {name}: {why}")


def _cell(result: EvaluationResult, name: str) -> str:
    value = next((entry.value for entry in result.measurements if entry.name == name), None)
    if value is None or value != value:
        return "-"
    interval = result.intervals.get(name)
    spread = f"±{(interval[1] - interval[0]) / 2:.2g}" if interval else ""
    return f"{value:.2g}{spread}" if abs(value) < 100 else f"{value:.0f}{spread}"


def _read(file: Path) -> Any:
    import json

    return json.loads(file.read_text(encoding="utf-8"))
