"""Measuring named edits of a run: photos are edited, measured beside real photos and baselines, and shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from facekit.evaluation import EvaluationResult
from facekit.evaluation.results import REAL_PHOTOS
from facekit.inference.files import content_of
from facekit.inference.provenance import SCRIPT_SHA256
from facekit.interfaces import FaceDataset, FacekitError, LabelMap, did_you_mean
from facekit.registry import Registry
from facekit_studio.edit_quality.editors import (
    PASTE_NEAREST,
    UNEDITED,
    Editor,
    PasteNearest,
    RunEditor,
    leave_unedited,
)
from facekit_studio.edit_quality.faces import SIDE, Face, fingerprint_of, read_face
from facekit_studio.edit_quality.kinds import NamedEdit
from facekit_studio.edit_quality.learned import TRAIN, Learned, learned_photos, refuse_learned
from facekit_studio.edit_quality.measure import Figures, RealKind, Result, measure_results
from facekit_studio.edit_quality.plugin_metrics import Evaluators
from facekit_studio.editing import PhotoEditor
from facekit_studio.editing.edit_folder import script_record
from facekit_studio.editing.script import EditContext, EditScript, apply_script
from facekit_studio.kept_edits import RUN, EditedBy

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
    """What one system made of the photos of a script."""

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
    tell: EditProgress = progress or (lambda what, done, total: None)
    measuring = _Measuring(editor, dataset, evaluators, settings, tell, further or {}, label_map)
    scripts = {edit.name: edit.script(label_map) for edit in edits}

    def is_edited(edit: NamedEdit, face: Face) -> bool:
        """Tell whether the edit is made for a photo, changes its mask, and leaves something to show."""
        if not edit.is_made_for(face.mask, label_map) or not edit.suits(face.image, face.mask, label_map):
            return False
        wanted = apply_script(scripts[edit.name], face.mask, EditContext(label_map))
        return bool((wanted != face.mask).any() and edit.shown(wanted, label_map).any())

    def is_kind(edit: NamedEdit, face: Face) -> bool:
        """Tell whether a real photo shows what results should show."""
        shown = edit.is_shown_by(face.mask, label_map) and bool(edit.shown(face.mask, label_map).any())
        return shown and edit.suits(face.image, face.mask, label_map)

    photos = measuring.read(edits, settings.split, "reading photos to edit", is_edited, settings.limit)
    every = list({face.key: face for faces in photos.values() for face in faces}.values())
    learned: tuple[Learned, ...] = ()
    if every:
        tell("looking for them among the runs' training photos", 0, len(every))
        learned = learned_photos(editor, every, registry=registry)
        tell("looking for them among the runs' training photos", len(every), len(every))
        if not settings.allow_learned:
            refuse_learned(learned, len(every))
    held_out: Mapping[str, Sequence[Face]] = {}
    if settings.split != settings.real:
        held_out = measuring.read(edits, settings.split, "reading real photos", is_kind, settings.limit)
    what = f"reading real photos of {settings.real}"
    real = measuring.read(edits, settings.real, what, is_kind, settings.most_real)
    for edit in edits:
        own, name = photos[edit.name], edit.name
        if not own:
            yield ScriptResult(edit, skipped=f"no photo of {settings.split} is one that it is made for")
        elif not real[name]:
            yield ScriptResult(edit, skipped=f"no photo of {settings.real} shows what it should show")
        else:
            among = tuple(each.among(own) for each in learned)
            yield measuring.script(edit, scripts[name], own, real[name], held_out.get(name, ()), among)


@dataclass(frozen=True, eq=False)
class _Measuring:
    """What the measuring of all scripts shares."""

    editor: PhotoEditor
    dataset: FaceDataset
    evaluators: Evaluators
    settings: EditSettings
    tell: EditProgress
    further: Mapping[str, MakePainter]
    label_map: LabelMap

    @cached_property
    def fingerprint(self) -> str:
        return self.dataset.fingerprint()

    def read(
        self,
        edits: Sequence[NamedEdit],
        split: str,
        what: str,
        wanted: Callable[[NamedEdit, Face], bool],
        most: int | None,
    ) -> dict[str, list[Face]]:
        """Return, for each edit, the first photos of a split that are wanted for it. Each photo is read once."""
        splits = {name: indices for name, indices in self.dataset.splits().items() if len(indices)}
        if split not in splits:
            raise FacekitError(
                f"the data has no photos in a split {split!r}",
                remedy=did_you_mean(split, splits) or f"it has {', '.join(splits) or 'none'}",
            )
        found: dict[str, list[Face]] = {edit.name: [] for edit in edits}
        for number, index in enumerate(splits[split], start=1):
            missing = [edit for edit in edits if most is None or len(found[edit.name]) < most]
            if not missing:
                break
            face = read_face(self.dataset, int(index), side=self.settings.side)
            for edit in missing:
                if wanted(edit, face):
                    found[edit.name].append(face)
            self.tell(what, number, len(splits[split]))
        return found

    def script(
        self,
        edit: NamedEdit,
        script: EditScript,
        photos: Sequence[Face],
        real: Sequence[Face],
        held_out: Sequence[Face],
        learned: tuple[Learned, ...],
    ) -> ScriptResult:
        """Edit photos by a script with the run and the baselines, and measure what each made."""
        settings, pipeline = self.settings, self.editor.pipeline
        kind = RealKind(edit, real, split=settings.real, label_map=self.label_map)
        fields = self._fields(edit, script, photos, real)
        wanted = [apply_script(script, face.mask, EditContext(self.label_map)) for face in photos]

        def measured(name: str, results: Sequence[Result], seconds: float = 0.0) -> SystemEdits:
            figures = measure_results(
                edit, results, kind, self.evaluators, label_map=self.label_map, extractor=settings.extractor
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
                data_fingerprint=self.fingerprint,
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
                self.tell(f"{edit.name}: {name}", number, len(photos))
            return measured(name, results, (time.perf_counter() - began) / len(photos))

        systems = [
            made(RUN, RunEditor(self.editor, script, edit.again)),
            made(PASTE_NEAREST, PasteNearest(edit, real, self.label_map)),
            *(made(name, make(edit, real, self.label_map)) for name, make in self.further.items()),
            made(UNEDITED, leave_unedited),
        ]
        notes = [said for each in learned if (said := each.note(len(photos)))]
        if held_out:
            systems.append(measured(REAL_PHOTOS, [Result.real(face) for face in held_out]))
        elif settings.split == settings.real:
            notes.append(f"real photos of {settings.real} are not measured beside themselves")
        else:
            notes.append(f"no photo of {settings.split} is of the kind, so real photos have no column")
        beside, keys = self.editor.beside, [face.key for face in photos]
        edited_by = EditedBy(
            pipeline.run.resolve().name,
            "" if beside is None else beside.run.resolve().name,
            tuple(key for key in keys if key in filled),
            tuple(key for key in keys if key not in filled),
        )
        return ScriptResult(
            edit, tuple(systems), tuple(real[:SHOWN]), notes=tuple(notes), edited_by=edited_by, learned=learned
        )

    def _fields(
        self, edit: NamedEdit, script: EditScript, photos: Sequence[Face], real: Sequence[Face]
    ) -> dict[str, str]:
        """Return what numbers must share to be compared; the run is no part of it."""
        told = script_record(script, content_of([Path(file) for file in script.files]))
        return {
            "protocol": PROTOCOL,
            "data": fingerprint_of(photos),
            "split": self.settings.split,
            "photos": str(len(photos)),
            "side": str(self.settings.side),
            "script": edit.name,
            "script_sha256": str(told[SCRIPT_SHA256]),
            "real": f"{len(real)} photos of {self.settings.real}, sha256 {fingerprint_of(real)}",
            **edit.told(),
        }
