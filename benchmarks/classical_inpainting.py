"""What classical inpainting makes of the photos whose edits are measured: Telea (2004), as OpenCV has it.

::

    python -m benchmarks.classical_inpainting RUN --data celebamask_hq --set root=DATA [--local RUN2] [--limit 60]

Prints the tables of ``facekit evaluate-edits`` with one column more: the same holes filled from their edges, by an
algorithm that knows no face. OpenCV is no dependency of facekit: `pip install opencv-python-headless`. Nothing is kept
in the run folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from facekit.cli.data import open_source
from facekit.cli.progress_bar import stage_progress
from facekit.inference import load
from facekit.interfaces import LabelMap
from facekit.registry import load_registry
from facekit_studio.commands.evaluate_edits import print_script
from facekit_studio.edit_quality import NAMED_EDITS, EditSettings, NamedEdit, evaluate_edits, named_edit
from facekit_studio.edit_quality.editors import MARGIN, Edited
from facekit_studio.edit_quality.faces import Face
from facekit_studio.editing import PhotoEditor
from facekit_studio.editing.script.masks import Ids, grown

TELEA = "telea"
RADIUS = 5
"""Pixels around a point that it is filled from."""

MISSING = "skipped: OpenCV is not installed (`pip install opencv-python-headless`)"


class Telea:
    """Fills what an edit changes from its edges (Telea, An image inpainting technique based on the fast marching
    method, Journal of Graphics Tools 9(1), 2004).

    The hole is that of ``paste_nearest``: what the mask changes, and a margin around it.

    Args:
        edit: the edit.
        label_map: of the masks.
    """

    def __init__(self, edit: NamedEdit, label_map: LabelMap) -> None:
        self._edit = edit
        self._label_map = label_map

    def __call__(self, face: Face, wanted: Ids) -> Edited:
        """Return the photo with its hole filled."""
        import cv2

        changed = self._edit.changed(face.mask, wanted, self._label_map)
        hole = grown(changed, MARGIN * wanted.shape[0])
        # The order of the channels does not matter to it.
        filled = cv2.inpaint(face.image, hole.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA)
        return Edited(np.asarray(filled, dtype=np.uint8), hole)


def telea(edit: NamedEdit, donors: Sequence[Face], label_map: LabelMap) -> Telea:
    """Return what fills the holes of an edit; donors are for baselines that learn from real photos."""
    return Telea(edit, label_map)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print; where OpenCV is missing, say so and measure nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run that stands beside it")
    parser.add_argument("--local", type=Path, help="a run that fills holes, for edits of a part")
    parser.add_argument("--data", required=True, help="a dataset's name, or a recipe")
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="an option of the data")
    parser.add_argument("--script", action="append", help="only this script; may be given again")
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, help="photos of a script at most")
    parser.add_argument("--most-real", type=int, default=200)
    parser.add_argument("--side", type=int, default=512)
    chosen = parser.parse_args(arguments)
    if find_spec("cv2") is None:
        print(MISSING)
        return
    registry = load_registry()
    opened = open_source(chosen.data, registry=registry, overrides=chosen.overrides)
    local = None if chosen.local is None else load(chosen.local, registry=registry)
    settings = EditSettings(split=chosen.split, limit=chosen.limit, most_real=chosen.most_real, side=chosen.side)
    with stage_progress() as progress:
        found = list(
            evaluate_edits(
                PhotoEditor(load(chosen.run, registry=registry), local=local),
                opened.dataset,
                [named_edit(name) for name in chosen.script or NAMED_EDITS],
                registry=registry,
                dataset_id=opened.component,
                settings=settings,
                further={TELEA: telea},
                progress=progress,
            )
        )
    for result in found:
        print_script(result, settings)


if __name__ == "__main__":
    main(sys.argv[1:])
