"""Measuring named edits of a run: photos are edited, measured beside real photos and baselines, and shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facekit.evaluation import EvaluationResult
from facekit.evaluation.baseline_names import REAL_PHOTOS
from facekit.evaluation.edits import RUN, EditedBy
from facekit.inference.files import content_of
from facekit.inference.provenance import SCRIPT_SHA256
from facekit.interfaces import FaceDataset, FacekitError, LabelMap
from facekit.registry import Registry
from facekit_studio.edit_quality.editors import PASTE_NEAREST, Editor, PasteNearest, RunEditor
from facekit_studio.edit_quality.faces import SIDE, Face, faces_by_edit, fingerprint_of
from facekit_studio.edit_quality.kinds import NamedEdit
from facekit_studio.edit_quality.learned import TRAIN, Learned, learned_photos, refuse_learned
from facekit_studio.edit_quality.measure import Figures, RealKind, Result, measure_results
from facekit_studio.edit_quality.plugin_metrics import Evaluators
from facekit_studio.editing import PhotoEditor
from facekit_studio.editing.edit_folder import script_record
from facekit_studio.editing.script import EditContext, EditScript, apply_script

PROTOCOL = "edit quality 2"
"""Goes up when the same edits would be given other numbers."""

EXTRACTOR = "efficientnet_lite0"
"""Whose features crops are compared in, where nothing else is asked for."""

MOST_REAL = 200
"""Real photos of a kind, where nothing else is asked for."""

SHOWN = 6
"""Photos of a script that its sheet shows."""

MakePainter = Callable[[NamedEdit, Sequence[Face], LabelMap], Editor]
"""Makes what edits photos beside the run: of an edit, real photos of its kind, and the label map."""

EditProgress = Callable[[str, int, int], None]
"""Told what is done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class EditSettings:
    """How edits are measured.

    Args:
        split: whose photos are edited.
        real: the split of the real photos that they stand beside.
        limit: photos of a script at most; None for all.
        most_real: real photos of a kind at most.
        side: pixels of the photos' side.
        extractor: whose features crops are compared in.
        allow_learned: measure photos that a run has learned from, and say so, in place of refusing them.
    """

    split: str = "test"
    real: str = TRAIN
    limit: int | None = None
    most_real: int = MOST_REAL
    side: int = SIDE
    extractor: str = EXTRACTOR
    allow_learned: bool = False


@dataclass(frozen=True, eq=False)
class SystemEdits:
    """What one system made of the photos of a script.

    Args:
        result: the numbers, as evaluations have them.
        figures: with the values of every photo, and what was not measured.
        shown: the results that the sheet shows.
    """

    result: EvaluationResult
    figures: Figures
    shown: tuple[Result, ...]


@dataclass(frozen=True, eq=False)
class ScriptResult:
    """What was measured of a script.

    Args:
        edit: the edit.
        systems: the run first, then the baselines and real photos.
        real: some real photos of the kind, for the sheet.
        skipped: why nothing was measured; empty where something was.
        notes: what people should know.
        edited_by: which run made the edits; None where nothing was measured.
        learned: what is known of each run and of these photos: whether it has learned from them.
    """

    edit: NamedEdit
    systems: tuple[SystemEdits, ...] = ()
    real: tuple[Face, ...] = ()
    skipped: str = ""
    notes: tuple[str, ...] = ()
    edited_by: EditedBy | None = None
    learned: tuple[Learned, ...] = ()


@dataclass(frozen=True, eq=False)
class _Asked:
    """What all scripts share."""

    editor: PhotoEditor
    dataset: FaceDataset
    evaluators: Evaluators
    settings: EditSettings
    fingerprint: str
    progress: EditProgress | None
    further: Mapping[str, MakePainter] = field(default_factory=dict)
    scripts: Mapping[str, EditScript] = field(default_factory=dict)

    def tell(self, what: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(what, done, total)


def evaluate_edits(
    editor: PhotoEditor,
    dataset: FaceDataset,
    edits: Sequence[NamedEdit],
    *,
    registry: Registry,
    dataset_id: str = "",
    settings: EditSettings | None = None,
    further: Mapping[str, MakePainter] | None = None,
    progress: EditProgress | None = None,
) -> Iterator[ScriptResult]:
    """Measure edits, and give the result of each as it is done.

    Args:
        editor: the run, or two of them.
        dataset: photos with masks.
        edits: what is measured.
        registry: the plugins, whose metrics are asked where they are there.
        dataset_id: the id of the dataset component.
        settings: how it is measured.
        further: what else makes edits, by a name for its column, made of an edit, real photos of its kind, and the
            label map.
        progress: told how far it is.

    Raises:
        FacekitError: data and run have other classes, the data lacks a split or has smaller photos, ``kid`` does not
            know the extractor, an edit is about a class that there is not, or a run has learned from the photos and
            that is not allowed.
    """
    settings = settings or EditSettings()
    label_map = editor.pipeline.label_map
    if dataset.label_map != label_map:
        raise FacekitError(
            f"the run knows the classes of {label_map.name}, and the data has masks of {dataset.label_map.name}",
            where=str(editor.pipeline.run),
            remedy="take data with the label map of the run",
        )
    evaluators = Evaluators(
        registry, label_map=label_map, dataset=dataset_id, side=settings.side, device=editor.pipeline.device
    )
    evaluators.check_extractor(settings.extractor)
    scripts = {edit.name: edit.script(label_map) for edit in edits}
    asked = _Asked(editor, dataset, evaluators, settings, dataset.fingerprint(), progress, further or {}, scripts)

    photos = _read(asked, edits, settings.split, "reading photos to edit", _is_edited, settings.limit)
    learned = _learned(asked, photos, registry)
    held_out = (
        {edit.name: [] for edit in edits}
        if settings.split == settings.real
        else _read(asked, edits, settings.split, "reading real photos", _is_kind, settings.limit)
    )
    what = f"reading real photos of {settings.real}"
    real = _read(asked, edits, settings.real, what, _is_kind, settings.most_real)
    for edit in edits:
        own = tuple(each.among(photos[edit.name]) for each in learned)
        yield _measured(asked, edit, photos[edit.name], real[edit.name], held_out[edit.name], learned=own)


def _read(
    asked: _Asked,
    edits: Sequence[NamedEdit],
    split: str,
    what: str,
    wanted: Callable[[_Asked, NamedEdit, Face], bool],
    most: int | None,
) -> dict[str, list[Face]]:
    """Return the first photos of a split that are wanted for each edit."""
    return faces_by_edit(
        asked.dataset,
        split,
        edits,
        lambda edit, face: wanted(asked, edit, face),
        most=most,
        side=asked.settings.side,
        progress=lambda done, total: asked.tell(what, done, total),
    )


def _is_kind(asked: _Asked, edit: NamedEdit, face: Face) -> bool:
    """Return whether a real photo shows what results should show."""
    label_map = asked.editor.pipeline.label_map
    shown = edit.is_shown_by(face.mask, label_map) and bool(edit.shown(face.mask, label_map).any())
    return shown and edit.suits(face.image, face.mask, label_map)


def _is_edited(asked: _Asked, edit: NamedEdit, face: Face) -> bool:
    """Return whether a photo is one that an edit is made for, and that it changes."""
    label_map = asked.editor.pipeline.label_map
    made_for = edit.is_made_for(face.mask, label_map) and edit.suits(face.image, face.mask, label_map)
    return made_for and _changes(asked, edit, face)


def _learned(asked: _Asked, photos: Mapping[str, Sequence[Face]], registry: Registry) -> tuple[Learned, ...]:
    """Return which of the photos the runs have learned from. Raises FacekitError where that is not allowed."""
    every = list({face.key: face for faces in photos.values() for face in faces}.values())
    if not every:
        return ()
    asked.tell("looking for them among the runs' training photos", 0, len(every))
    found = learned_photos(asked.editor, every, registry=registry)
    asked.tell("looking for them among the runs' training photos", len(every), len(every))
    if not asked.settings.allow_learned:
        refuse_learned(found, len(every))
    return found


def _wanted(asked: _Asked, edit: NamedEdit, face: Face) -> np.ndarray:
    return apply_script(asked.scripts[edit.name], face.mask, EditContext(asked.editor.pipeline.label_map))


def _changes(asked: _Asked, edit: NamedEdit, face: Face) -> bool:
    """Return whether the script changes a photo's mask, and leaves something to show."""
    wanted = _wanted(asked, edit, face)
    shown = edit.shown(wanted, asked.editor.pipeline.label_map)
    return bool((wanted != face.mask).any() and shown.any())


def _measured(
    asked: _Asked,
    edit: NamedEdit,
    photos: Sequence[Face],
    real: Sequence[Face],
    held_out: Sequence[Face],
    *,
    learned: tuple[Learned, ...],
) -> ScriptResult:
    settings, label_map = asked.settings, asked.editor.pipeline.label_map
    if not photos:
        return ScriptResult(edit, skipped=f"no photo of {settings.split} is one that it is made for")
    if not real:
        return ScriptResult(edit, skipped=f"no photo of {settings.real} shows what it should show")
    kind = RealKind(edit, real, split=settings.real, label_map=label_map)
    fields = _fields(asked, edit, photos, real)
    wanted = [_wanted(asked, edit, face) for face in photos]
    pipeline = asked.editor.pipeline

    def painted(name: str, results: Sequence[Result], seconds: float = 0.0) -> SystemEdits:
        figures = measure_results(
            edit, results, kind, asked.evaluators, label_map=label_map, extractor=settings.extractor
        )
        own = name == RUN
        result = EvaluationResult(
            system=name,
            split=settings.split,
            weights=pipeline.weights if own else f"baseline/{name}",
            step=pipeline.step if own else 0,
            fields=fields,
            measurements=figures.measurements,
            intervals=figures.intervals,
            seconds_per_picture=seconds,
            data_fingerprint=asked.fingerprint,
        )
        return SystemEdits(result, figures, tuple(results[:SHOWN]))

    filled: set[str] = set()

    def made(name: str, system: Editor) -> SystemEdits:
        began = time.perf_counter()
        results = []
        for number, (face, mask) in enumerate(zip(photos, wanted, strict=True), start=1):
            edited = system(face, mask)
            results.append(Result(face, mask, edited.image, edited.touched))
            if edited.local:
                filled.add(face.key)
            asked.tell(f"{edit.name}: {name}", number, len(photos))
        return painted(name, results, (time.perf_counter() - began) / len(photos))

    systems = [
        made(RUN, RunEditor(asked.editor, asked.scripts[edit.name], edit.again)),
        made(PASTE_NEAREST, PasteNearest(edit, real, label_map)),
        *(made(name, make(edit, real, label_map)) for name, make in asked.further.items()),
    ]
    notes = [said for each in learned if (said := each.note(len(photos)))]
    if held_out:
        systems.append(painted(REAL_PHOTOS, [Result.real(face) for face in held_out]))
    elif settings.split == settings.real:
        notes.append(f"real photos of {settings.real} are not measured beside themselves")
    else:
        notes.append(f"no photo of {settings.split} is of the kind, so real photos have no column")
    edited_by = _edited_by(asked.editor, photos, filled)
    return ScriptResult(
        edit, tuple(systems), tuple(real[:SHOWN]), notes=tuple(notes), edited_by=edited_by, learned=learned
    )


def _edited_by(editor: PhotoEditor, photos: Sequence[Face], filled: Collection[str]) -> EditedBy:
    keys = [face.key for face in photos]
    return EditedBy(
        editor.pipeline.run.resolve().name,
        "" if editor.beside is None else editor.beside.run.resolve().name,
        tuple(key for key in keys if key in filled),
        tuple(key for key in keys if key not in filled),
    )


def _fields(asked: _Asked, edit: NamedEdit, photos: Sequence[Face], real: Sequence[Face]) -> dict[str, str]:
    """Return what numbers must share to be compared; the run is no part of it."""
    settings, script = asked.settings, asked.scripts[edit.name]
    told = script_record(script, content_of([Path(file) for file in script.files]))
    return {
        "protocol": PROTOCOL,
        "data": fingerprint_of(photos),
        "split": settings.split,
        "photos": str(len(photos)),
        "side": str(settings.side),
        "script": edit.name,
        "script_sha256": str(told[SCRIPT_SHA256]),
        "real": f"{len(real)} photos of {settings.real}, sha256 {fingerprint_of(real)}",
        **edit.told(),
    }
