"""``facekit evaluator``: make runs evaluators, and list those that are there."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def add(run: Path) -> None:
    """Make the network of RUN an evaluator, which metrics and edits then find.

    RUN is the folder of a run of `evaluators/segmenter`, `evaluators/attributes`, or a recipe of your own with one of
    their networks. What is kept are the averaged weights, their accuracy on the test photos of the run, and thumbnails
    of the photos that it learned from, on which nothing is measured with it.

    \b
    Example:
      facekit run evaluators/segmenter --set 'data.of=[{use: celebamask_hq, root: data/CelebAMask-HQ}]'
      facekit evaluator add runs/segmenter-1
    """
    from .adding import add_run

    kept, added = add_run(run)
    click.echo(f"{'added' if added else 'was there'}: {kept.kind} {kept.id} in {kept.folder}")
    click.echo(kept.own_accuracy)
    for name in kept.attributes:
        shares = kept.accuracy[f"accuracy/{name}"], kept.accuracy[f"balanced_accuracy/{name}"]
        click.echo(f"  {name}: {shares[0]:.1%}, balanced {shares[1]:.1%}")


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
            f"there are no evaluators in {folder_of_evaluators()}; `facekit evaluator add --help` says how to make one"
        )
