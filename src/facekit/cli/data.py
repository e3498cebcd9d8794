"""``facekit data``: prepare, check, preview and make data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.output import note, plural, print_json, print_table
from facekit.cli.progress_bar import data_progress
from facekit.cli.state import FilePath, State, plugin_file_option, set_option

if TYPE_CHECKING:
    from facekit.data.checks import CheckReport
    from facekit.interfaces import FaceDataset
    from facekit.recipe import ComponentChoice, DataSettings
    from facekit.registry import Registry

DRAWN_FACES = "synthetic_faces"
"""The dataset that is written when none is named; it needs no files."""

workers_option = click.option(
    "--workers", type=click.IntRange(min=0), help="Processes; by default one a core, 8 at most. The result is the same."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(short_help="Prepare, check, preview and make data.")
def data() -> None:
    """Prepare, check, preview and make data.

    SOURCE is a recipe (a file, or a shipped recipe's name), or the name of a dataset, whose options are then given with
    --set.

    \b
    Example:
      facekit data check celebamask_hq --set root=data/CelebAMask-HQ
      facekit data preview sft_pix2pixhd -o sheet.png
    """


@data.command()
@click.argument("source")
@set_option
@workers_option
@json_option
@plugin_file_option
@click.pass_obj
def prepare(state: State, source: str, overrides: tuple[str, ...], workers: int | None, as_json: bool) -> None:
    """Pack a dataset's pictures at the size a recipe trains at.

    Training does the same when it finds no packed pictures; an interrupted call goes on where it was.

    \b
    Example:
      facekit data prepare sft_pix2pixhd
      facekit data prepare celebamask_hq --set root=data/CelebAMask-HQ --set size=256
    """
    from facekit.data.cache import prepare as pack

    opened = open_source(source, registry=state.registry(), overrides=overrides)
    size, cache = opened.settings.size, opened.settings.cache
    with data_progress("preparing") as progress:
        packed = pack(opened.dataset, size=size, cache=cache, name=opened.name, workers=workers, progress=progress)
    splits = {split: len(rows) for split, rows in packed.splits.items()}
    if as_json:
        print_json(
            {
                "folder": str(packed.folder),
                "size": size,
                "splits": splits,
                "classes": len(packed.label_map),
                "attributes": list(packed.attribute_names),
                "fingerprint": packed.fingerprint,
                "repairs": dict(packed.repairs),
            }
        )
        return
    counts = ", ".join(f"{count:,} {split}" for split, count in splits.items())
    click.echo(f"{plural(sum(splits.values()), 'face')} at {size} px ({counts})")
    for name, count in packed.repairs.items():
        click.echo(f"repaired on reading: {name} in {plural(count, 'face')}")
    click.echo(f"packed in {packed.folder}")


@data.command()
@click.argument("source")
@set_option
@workers_option
@json_option
@plugin_file_option
@click.pass_context
def check(context: click.Context, source: str, overrides: tuple[str, ...], workers: int | None, as_json: bool) -> None:
    """Read every picture and mask and name each file that is wrong; exits with 2 when any is.

    Finds unreadable, truncated and oversized pictures, wrong sizes, class ids outside the label map, missing parts and
    masks, exchanged left and right, and prints how often each class occurs. Photos without masks are checked as photos.

    \b
    Example:
      facekit data check celebamask_hq --set root=data/CelebAMask-HQ
      facekit data check image_folder --set root=photos --set size=128
    """
    from facekit.data.checks import check_dataset

    opened = open_source(source, registry=context.obj.registry(), overrides=overrides)
    with data_progress("checking") as progress:
        found = check_dataset(opened.dataset, size=opened.settings.size, workers=workers, progress=progress)
    if as_json:
        print_json(_check_document(found))
    else:
        _print_check(found)
    if found.errors:
        context.exit(2)


@data.command()
@click.argument("source")
@set_option
@click.option("-o", "--output", type=FilePath(), required=True, help="The PNG to write.")
@click.option("--split", help="Show pictures of this split only.")
@click.option("--count", type=click.IntRange(min=1), default=24, show_default=True, help="How many pictures.")
@click.option("--side", type=click.IntRange(min=16), default=160, show_default=True, help="Side of each, in pixels.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which pictures.")
@plugin_file_option
@click.pass_obj
def preview(state: State, source: str, overrides: tuple[str, ...], output: Path, side: int, **chosen: Any) -> None:
    """Write a contact sheet of photos, with their masks laid over them and the classes named.

    \b
    Example:
      facekit data preview sft_pix2pixhd -o sheet.png --split test
    """
    from facekit.data.preview import write_preview

    opened = open_source(source, registry=state.registry(), overrides=overrides)
    note(f"wrote {write_preview(opened.dataset, output, size=side, **chosen)}")


@data.command()
@click.argument("source", default=DRAWN_FACES)
@set_option
@click.option("-o", "--output", type=FilePath(), required=True, help="The folder to write.")
@click.option("--side", type=click.IntRange(min=16), help="Side in pixels; by default as the dataset has them.")
@click.option("--jpeg", is_flag=True, help="Write photos as JPEG, which is smaller; masks stay PNG.")
@click.option("--colour", is_flag=True, help="Write the masks in colours as well.")
@workers_option
@json_option
@plugin_file_option
@click.pass_obj
def synthesise(
    state: State,
    source: str,
    overrides: tuple[str, ...],
    output: Path,
    side: int | None,
    jpeg: bool,
    colour: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """Write a dataset as plain folders of photos and masks; by default faces that are drawn.

    What is written can be trained on with the dataset image_mask_folder, photos without masks with image_folder.

    \b
    Example:
      facekit data synthesise -o faces --set train=1000 --set seed=7 --side 256
    """
    from facekit.data.export import export_folder
    from facekit.recipe.dump import dump_value

    opened = open_source(source, registry=state.registry(), overrides=overrides)
    chosen: dict[str, Any] = {"size": side, "photo_format": "jpeg" if jpeg else "png", "colour": colour}
    with data_progress("writing") as progress:
        export = export_folder(opened.dataset, output, workers=workers, progress=progress, **chosen)
    written, options = export.written, export.dataset_options
    if as_json:
        print_json({"folder": str(export.folder), "samples": export.samples, "written": written, "data": options})
        return
    there = f", {export.samples - written:,} were there" if export.samples > written else ""
    click.echo(f"{plural(written, 'face')} written to {export.folder}{there}")
    click.echo("to train on them, in a recipe:\ndata:")
    for name, value in options.items():
        click.echo(f"  {name}: {dump_value(value)}")


def _check_document(found: CheckReport) -> dict[str, object]:
    return {
        "samples": found.samples,
        "readable": found.readable,
        "errors": len(found.errors),
        "warnings": len(found.warnings),
        "findings": [asdict(entry) for entry in found.findings],
        "splits": dict(found.splits),
        "classes": [asdict(entry) for entry in found.classes],
        "attributes": [asdict(entry) for entry in found.attributes],
        "photo_sizes": [{"size": list(size), "count": count} for size, count in found.photo_sizes.items()],
        "mask_sizes": [{"size": list(size), "count": count} for size, count in found.mask_sizes.items()],
        "repairs": [{"name": name, "samples": list(keys)} for name, keys in found.repairs.items()],
    }


def _print_check(found: CheckReport) -> None:
    for entry in found.findings:
        colour = "red" if entry.level == "error" else "yellow"
        click.echo(f"{entry.where}: {click.style(entry.level, fg=colour, bold=True)}: {entry.message}")
        if entry.remedy:
            click.echo(f"  {entry.remedy}")
    if found.findings:
        click.echo()
    classes = [(entry.name, f"{entry.pixels:.2%}", f"{entry.images:,}") for entry in found.classes]
    attributes = [(entry.name, f"{entry.images:,}") for entry in found.attributes]
    for columns, rows in ((("CLASS", "PIXELS", "PICTURES"), classes), (("ATTRIBUTE", "PICTURES"), attributes)):
        if rows:
            print_table(columns, rows, right=columns[1:])
            click.echo()
    for what, sizes in (("photos", found.photo_sizes), *([("masks", found.mask_sizes)] if classes else [])):
        shown = ", ".join(f"{count:,} of {width} x {height}" for (width, height), count in list(sizes.items())[:5])
        click.echo(f"{what}: {shown}" + (f" and {len(sizes) - 5} other sizes" if len(sizes) > 5 else ""))
    for name, keys in found.repairs.items():
        shown = ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
        click.echo(f"repaired on reading: {name} in {plural(len(keys), 'face')}" + (f" ({shown})" if keys else ""))
    counts = ", ".join(f"{count:,} {split}" for split, count in found.splits.items())
    findings = f"{plural(len(found.errors), 'error')}, {plural(len(found.warnings), 'warning')}"
    click.echo(f"{plural(found.samples, 'face')} ({counts}): {findings}")


@dataclass(frozen=True)
class DataSource:
    """A dataset that is opened, the id of its component, and what the core is to do with it."""

    name: str
    component: str
    dataset: FaceDataset
    settings: DataSettings


def open_source(argument: str, *, registry: Registry, overrides: Sequence[str]) -> DataSource:
    """Open the dataset that a command line means.

    Args:
        argument: a recipe file, a dataset component's name, or a shipped recipe's name; the first that fits.
        registry: the components.
        overrides: of the recipe (``data.size=256``); with a dataset's name also without the ``data.`` in front.

    Raises:
        RecipeError: the recipe or the overrides have mistakes.
        FacekitError: there is nothing of that name, or the dataset cannot be opened.
    """
    from facekit.interfaces import DatasetContext, FacekitError
    from facekit.recipe.library import find_recipe
    from facekit.registry import name_of_use
    from facekit.training.run.reading import read_run_recipe

    names = {name for entry in registry.of_kind("dataset") for name in (entry.spec.name, entry.spec.id)}
    if name_of_use(argument) in names and not Path(argument).is_file():
        choice, settings = _read_dataset(argument, registry, overrides)
    else:
        try:
            path = find_recipe(argument, registry=registry)
        except FacekitError as error:
            known = ", ".join(registry.names("dataset"))
            raise FacekitError(
                f"{argument!r} is no recipe file, no shipped recipe and no dataset",
                remedy=f"datasets: {known}; `facekit recipes ls` lists recipes",
            ) from error
        recipe = read_run_recipe(path, registry=registry, overrides=overrides)
        choice, settings = recipe.dataset, recipe.data
    spec = choice.component.spec
    dataset = spec.build(choice.options, DatasetContext(registry.label_maps))
    return DataSource(spec.name, spec.id, dataset, settings)


def _read_dataset(name: str, registry: Registry, overrides: Sequence[str]) -> tuple[ComponentChoice, DataSettings]:
    """Check a dataset's options as a recipe's ``data:`` section would be, without the rest of a recipe."""
    from facekit.recipe.component_check import RecipeCheck
    from facekit.recipe.merging import read_overrides
    from facekit.recipe.problems import Problems
    from facekit.recipe.settings import DataSettings

    problems = Problems()
    prefixed = [text if text.startswith("data.") else f"data.{text}" for text in overrides]
    root = read_overrides([f"data.use={name}", *prefixed], problems=problems)
    problems.raise_if_any()
    assert root is not None
    data = root.entries["data"]
    choice, settings = RecipeCheck(root, registry, problems).component(
        "dataset", data.node, ("data",), data.key_mark, DataSettings
    )
    problems.raise_if_any()
    assert choice is not None  # what is None has left a problem
    assert settings is not None
    return choice, settings
