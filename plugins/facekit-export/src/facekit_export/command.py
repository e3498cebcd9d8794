"""``facekit export``: a run's networks as files for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import click


@click.command(short_help="Write a run's networks as an ONNX file or an exported program of torch.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["onnx", "torch"]),
    required=True,
    help="onnx for ONNX Runtime, also in browsers; torch for torch.export.load.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The file; by default RUN/export/RUN.onnx or .pt2.")
@click.option("--size", type=click.IntRange(min=1), help="Side of the images in pixels; by default the run's.")
@click.option("--split", is_flag=True, help="Two files: the style encoder, and the generator that reads its style.")
@click.option("--weights", type=click.Choice(["ema", "live"]), default="ema", show_default=True, help="Which weights.")
@click.option("--step", type=click.IntRange(min=0), help="A certain checkpoint; by default the newest.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def export(
    context: click.Context,
    run: Path,
    form: Literal["onnx", "torch"],
    out: Path | None,
    size: int | None,
    split: bool,
    weights: Literal["ema", "live"],
    step: int | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write what a trained RUN computes as a file that other programs compute with, without facekit.

    The file takes any number of samples at once, in fp32: masks are class ids (N, S, S), int64; photos (N, 3, S, S)
    from -1 to 1; noise, where the run starts from it, standard normal numbers. It gives `image`, from -1 to 1. In its
    metadata are the label map, the values of every input, licences, and what made it.

    At the end its results are compared with the run's own, on faces of the run's data where that is here. A file that
    differs by more than 0.0001 is not kept, unless all but 1 % of the values are within 0.001.

    \b
    Example:
      facekit export runs/first --format onnx
      facekit export runs/first --format onnx --split --out face.onnx
      facekit export runs/first --format torch --out first.pt2
    """
    import facekit
    from facekit_export.exporting import export_run
    from facekit_export.formats import ENDINGS, check_installed

    def tell(message: str) -> None:
        click.echo(message, err=True)

    check_installed(form)
    files: Any = getattr(context.obj, "plugin_files", ())
    pipeline = facekit.load(run, weights=weights, step=step, device="cpu", precision="fp32", plugin_files=files)
    name = run.resolve().name
    done = export_run(
        pipeline,
        out or run / "export" / f"{name}{ENDINGS[form]}",
        form=form,
        size=size,
        split=split,
        overwrite=overwrite,
        tell=tell,
    )
    if as_json:
        document = {
            "files": [
                {
                    "file": str(file),
                    "inputs": [each.document() for each in graph.inputs],
                    "outputs": list(graph.outputs),
                }
                for file, graph in zip(done.files, done.graphs, strict=True)
            ],
            "weights": pipeline.weights,
            "step": pipeline.step,
            "largest_difference": done.difference.largest,
            "share_beyond_0.001": done.difference.far,
            "compared_on": done.compared_on,
        }
        click.echo(json.dumps(document, indent=2))
        return
    for file, graph in zip(done.files, done.graphs, strict=True):
        reads, gives = ", ".join(each.name for each in graph.inputs), ", ".join(graph.outputs)
        click.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB, reads {reads}, gives {gives}")
    click.echo(f"largest difference from the run: {done.difference}, on {done.compared_on}")
