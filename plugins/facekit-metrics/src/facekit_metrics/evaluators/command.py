"""``facekit evaluator``: train evaluators, and list those that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from facekit.interfaces import DatasetContext, FaceDataset, FacekitError, Options
from facekit.registry import load_registry

if TYPE_CHECKING:
    from .store import KeptEvaluator


@click.command()
@click.argument("kind", type=click.Choice(["segmenter", "attributes"]))
@click.argument("datasets", metavar="DATASET...", nargs=-1, required=True)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the dataset; of several, DATASET.NAME=VALUE. May be repeated.",
)
@click.option(
    "--with", "choices", multiple=True, metavar="NAME=VALUE", help="A setting of the training. May be repeated."
)
@click.option("--again", is_flag=True, help="Train even if the same evaluator is there.")
def train(
    kind: str, datasets: tuple[str, ...], settings: tuple[str, ...], choices: tuple[str, ...], again: bool
) -> None:
    """Train an evaluator on the real photos of DATASET components, and keep it.

    A segmenter learns from one dataset with masks. A classifier of attributes learns from one with attributes, or from
    several; then the held-out photos of the first give its accuracy, each may lack some of the
    attributes, and a photo that one has for validation or tests is not learned from in another.

    Settings are `splits`, `size`, `epochs`, `batch`, `lr`, `weight_decay`, `ema`, `held_out` and `seed`, and of a
    classifier `attributes`; several values are separated by commas. An evaluator that was made of the same photos and
    settings before is not trained again; one that was stopped goes on.

    \b
    Example:
      facekit evaluator train segmenter celebamask_hq --set root=data/CelebAMask-HQ --with splits=train
      facekit evaluator train attributes celeba_attributes --set root=data/CelebA
    """
    from rich.console import Console

    from .classifier_training import train_classifier
    from .learning import Report
    from .options import ClassifierSettings, SegmenterSettings
    from .training import train_segmenter

    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(text, highlight=False)

    def report(entry: Report) -> None:
        epochs_left = entry.epochs - entry.epoch
        say(
            f"epoch {entry.epoch}/{entry.epochs}: loss {entry.loss:.4f}; {entry.seconds:.0f} s, "
            f"{entry.seconds * epochs_left / 60:.0f} min left"
        )

    opened = _open(datasets, settings)
    if kind == "segmenter":
        if len(opened) > 1:
            raise FacekitError("a segmenter learns from one dataset", where="DATASET", remedy="name one")
        ((name, dataset),) = opened.items()
        chosen = _options(SegmenterSettings, choices, "--with")
        kept, trained = train_segmenter(dataset, chosen, dataset_name=name, say=say, report=report, again=again)
    else:
        chosen = _options(ClassifierSettings, choices, "--with")
        kept, trained = train_classifier(opened, chosen, say=say, report=report, again=again)
    click.echo(f"{'trained' if trained else 'was there'}: {kept.kind} {kept.id} in {kept.folder}")
    click.echo(kept.own_accuracy)
    for line in _each_attribute(kept):
        click.echo(f"  {line}")


@click.command(name="ls")
def list_evaluators() -> None:
    """List the evaluators that are there, with their own accuracy on photos they did not learn from."""
    from .store import folder_of_evaluators, kept_evaluators

    evaluators = kept_evaluators()
    for evaluator in evaluators:
        tells = evaluator.label_map.name if evaluator.kind == "segmenter" else f"{len(evaluator.attributes)} attributes"
        click.echo(
            f"{evaluator.kind} {evaluator.id}  {tells}, "
            f"{evaluator.data['learned_from']} photos of {evaluator.data['dataset']}"
        )
        click.echo(f"  {evaluator.own_accuracy}")
    if not evaluators:
        click.echo(
            f"there are no evaluators in {folder_of_evaluators()}; "
            "`facekit evaluator train --help` says how to make one"
        )


def _each_attribute(evaluator: KeptEvaluator) -> list[str]:
    return [
        f"{name}: {evaluator.accuracy[f'accuracy/{name}']:.1%}, "
        f"balanced {evaluator.accuracy[f'balanced_accuracy/{name}']:.1%}"
        for name in evaluator.attributes
    ]


def _open(names: tuple[str, ...], settings: tuple[str, ...]) -> dict[str, FaceDataset]:
    """Open datasets by name; returns them by id, in their order."""
    registry = load_registry()
    specs = {name: registry.find("dataset", name).spec for name in names}
    own: dict[str, list[str]] = {name: [] for name in specs}
    for text in settings:
        path, equals, value = text.partition("=")
        name, dot, option = path.partition(".")
        if len(specs) == 1:
            own[names[0]].append(text)
        elif dot and name in own:
            own[name].append(f"{option}{equals}{value}")
        else:
            raise FacekitError(
                f"{path!r} does not say whose option it is",
                where="--set",
                remedy=f"write DATASET.NAME=VALUE, with {' or '.join(own)}",
            )
    opened: dict[str, FaceDataset] = {}
    for name, spec in specs.items():
        options = _options(spec.options, tuple(own[name]), "--set")
        opened[spec.id] = spec.build(options, DatasetContext(registry.label_maps))
    return opened


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
