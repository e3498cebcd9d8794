"""(b) Painting one face: the pipeline beside the plain fp32 network, with the style of a reference kept and not."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import in_process, in_turns, peak_memory, ratio
from benchmarks.plain import PlainTraining, copy_weights
from benchmarks.subjects import Case, Facekit
from facekit.inference import FacePipeline, load


def measure(*, small: bool, rounds: int) -> dict[str, Any]:
    """Return a row for each size."""
    cases = (Case(64, 1, filters=4),) if small else (Case(128, 1), Case(256, 1), Case(512, 1))
    return {"rows": [measure_case(case, rounds=rounds, here=small) for case in cases]}


def measure_case(case: Case, *, rounds: int, here: bool) -> dict[str, Any]:
    """Return the times of one picture, and how far facekit's is from the plain network's."""
    with tempfile.TemporaryDirectory() as name:
        pipeline, plain, beside = build(case, Path(name))
        # Seven references in turn, so that none is the one before.
        faces = [beside.pictures(index) for index in range(7)]
        photos = [photo[0].to(case.device) for photo, _ in faces]
        masks = [mask[0].to(case.device) for _, mask in faces]
        calls = {"plain": 0, "new reference": 0, "kept reference": 0}

        def next_of(subject: str) -> int:
            calls[subject] += 1
            return calls[subject] % len(photos)

        def paint_plainly() -> torch.Tensor:
            index = next_of("plain")
            with torch.no_grad():
                return plain.paint(photos[index][None], masks[index][None])

        def paint_anew() -> object:
            index = next_of("new reference")
            return pipeline.generate(masks[index], photos[index], masks[index])

        def paint_another_mask() -> object:
            return pipeline.generate(masks[next_of("kept reference")], photos[0], masks[0])

        times = in_turns(
            {"plain": paint_plainly, "new reference": paint_anew, "kept reference": paint_another_mask},
            rounds=rounds,
            warm_up=2,
            device=case.device,
            calls=10 if case.device == "cuda" else 1,
        )
        with torch.no_grad():
            wanted = plain.paint(photos[1][None], masks[1][None])[0]
        found = pipeline.generate(masks[1], photos[1], masks[1])
        difference = float((wanted - found).abs().max())
        memory = (
            in_process("benchmarks.inference", str(case.size), str(case.filters), here=here)
            if case.device == "cpu"
            else {"peak": None}
        )
    return {
        "size": case.size,
        "filters": case.filters,
        "precision": pipeline.precision,
        "plain_seconds": times["plain"].document(),
        "new_reference_seconds": times["new reference"].document(),
        "kept_reference_seconds": times["kept reference"].document(),
        "times_as_fast": ratio(times["plain"], times["new reference"]),
        "times_as_fast_kept": ratio(times["plain"], times["kept reference"]),
        "largest_difference": difference,
        "peak_bytes": memory["peak"],
    }


def build(case: Case, folder: Path) -> tuple[FacePipeline, PlainTraining, Facekit]:
    """Return the pipeline of an untrained run, the plain networks with its weights, and the run."""
    ours = Facekit.of(case, folder)
    training = ours.training
    training.state.copy(training.copies)(training.run.checkpoints)
    pipeline = load(folder / "run", device=case.device, weights="live", registry=None)
    plain = PlainTraining(case.filters, device=case.device)
    copy_weights(training.model.get_submodule("style_encoder"), plain.encoder)
    copy_weights(training.model.get_submodule("generator"), plain.generator)
    return pipeline, plain, ours


def main(arguments: Sequence[str] | None = None) -> None:
    """Paint three faces with the pipeline in this process and print the peak of its memory."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("size", type=int)
    parser.add_argument("filters", type=int)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        pipeline = build(Case(chosen.size, 1, chosen.filters), Path(name))[0]
        mask = torch.zeros(chosen.size, chosen.size, dtype=torch.int64)
        for _ in range(3):
            pipeline.generate(mask, torch.zeros(3, chosen.size, chosen.size), mask)
    print(json.dumps({"peak": peak_memory()}))


if __name__ == "__main__":
    main()
