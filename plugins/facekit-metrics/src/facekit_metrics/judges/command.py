"""``facekit judge``: train judges, and list those that are there."""

from __future__ import annotations

from typing import Any

import click

from facekit.interfaces import DatasetContext, FaceDataset, FacekitError, Options
from facekit.registry import load_registry


@click.command()
@click.argument("kind", type=click.Choice(["segmenter"]))
@click.argument("dataset")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="An option of the dataset. May be repeated."
)
@click.option(
    "--with", "choices", multiple=True, metavar="NAME=VALUE", help="A setting of the training. May be repeated."
)
@click.option("--again", is_flag=True, help="Train even if the same judge is there.")
def train(kind: str, dataset: str, settings: tuple[str, ...], choices: tuple[str, ...], again: bool) -> None:
    """Train a judge on the real photos of a DATASET component, and keep it.

    Settings are `splits`, `size`, `epochs`, `batch`, `lr`, `weight_decay`, `ema`, `held_out` and `seed`; several values
    are separated by commas. A judge that was made of the same photos and settings before is not trained again; one that
    was stopped goes on.

    \b
    Example:
      facekit judge train segmenter celebamask_hq --set root=data/CelebAMask-HQ --with splits=train
    """
    from rich.console import Console

    from .options import SegmenterSettings
    from .training import Report, train_segmenter

    del kind  # there is one so far; the argument keeps its place
    console = Console(stderr=True)
    opened, name = _open(dataset, settings)

    def report(entry: Report) -> None:
        epochs_left = entry.epochs - entry.epoch
        console.print(
            f"epoch {entry.epoch}/{entry.epochs}: loss {entry.loss:.4f}; {entry.seconds:.0f} s, "
            f"{entry.seconds * epochs_left / 60:.0f} min left",
            highlight=False,
        )

    kept, trained = train_segmenter(
        opened,
        _options(SegmenterSettings, choices, "--with"),
        dataset_name=name,
        say=lambda text: console.print(text, highlight=False),
        report=report,
        again=again,
    )
    click.echo(f"{'trained' if trained else 'was there'}: {kept.kind} {kept.id} in {kept.folder}")
    click.echo(_accuracy(kept.accuracy, kept.data["tested_on"]))


@click.command(name="ls")
def list_judges() -> None:
    """List the judges that are there, with their own accuracy on photos they did not learn from."""
    from .store import folder_of_judges, kept_judges

    judges = kept_judges()
    for judge in judges:
        click.echo(
            f"{judge.kind} {judge.id}  {judge.label_map.name}, "
            f"{judge.data['learned_from']} photos of {judge.data['dataset']}"
        )
        click.echo(f"  {_accuracy(judge.accuracy, judge.data['tested_on'])}")
    if not judges:
        click.echo(f"there are no judges in {folder_of_judges()}; `facekit judge train --help` says how to make one")


def _accuracy(figures: Any, count: int) -> str:
    return (
        f"on {count} photos it did not learn from: pixel accuracy {figures['pixel_accuracy']:.2%}, "
        f"mean IoU {figures['mean_iou']:.3f}"
    )


def _open(name: str, settings: tuple[str, ...]) -> tuple[FaceDataset, str]:
    registry = load_registry()
    spec = registry.find("dataset", name).spec
    options = _options(spec.options, settings, "--set")
    dataset: FaceDataset = spec.build(options, DatasetContext(registry.label_maps))
    return dataset, spec.id


def _options(model: type[Options], texts: tuple[str, ...], flag: str) -> Any:
    from pydantic import ValidationError

    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise FacekitError(f"{text!r} is not NAME=VALUE", where=flag)
        field = model.model_fields.get(name)
        several = field is not None and "tuple" in str(field.annotation).lower()
        values[name] = tuple(value.split(",")) if several else value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or model.__name__
        known = ", ".join(model.model_fields)
        raise FacekitError(first["msg"], where=f"{flag} {place}", remedy=f"there are {known}") from error
