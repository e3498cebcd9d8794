"""The studio's answers to requests; :mod:`facekit_studio.web` describes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from functools import partial
from threading import Event
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facekit.components.options import options_schema
from facekit.interfaces import LabelMap
from facekit.interfaces.image_files import MOST_PIXELS
from facekit.recipe.dump import dump_document
from facekit.registry import Registry
from facekit.version import __version__
from facekit_studio.editing.script import OPERATIONS, EditContext, EditScript, apply_script, parse_script, write_script
from facekit_studio.editing.script.masks import Ids
from facekit_studio.web import requests
from facekit_studio.web.faces import MOST_UPLOADS, Face, FaceShelf, indexed_png
from facekit_studio.web.ingest import Reader, plain_name
from facekit_studio.web.looks import wanted_look
from facekit_studio.web.requests import UPLOAD_BYTES
from facekit_studio.web.responses import (
    TELLS,
    Busy,
    RequestError,
    as_file,
    described_label_map,
    json_answer,
    page_answer,
    png_answer,
)
from facekit_studio.web.runs import StudioRun
from facekit_studio.web.script_files import SessionFiles
from facekit_studio.web.tunings import Tunings
from facekit_studio.web.workers import Worker, unless_gone

PATIENCE = 0.3
"""Seconds that threads have to end when the studio closes; then they are left: nothing of theirs is on disk."""


class Studio:
    """A session: its runs (at least one), its faces of ``side`` pixels, and the answers to requests."""

    def __init__(
        self, runs: Mapping[str, StudioRun], *, faces: list[Face], reader: Reader, registry: Registry, side: int
    ) -> None:
        self.runs = dict(runs)
        self.shelf = FaceShelf(faces)
        self.side = side
        self._reader = reader
        self._registry = registry
        self._in_flight = requests.InFlight()
        self._eyes = Worker("studio-reading")  # one at a time: a photo unpacked takes a hundred MB
        self._hands = Worker("studio-masks", threads=2)
        self._scripts = Worker("studio-scripts")  # apart: reading a long one takes seconds
        self._closing = Event()
        first = next(iter(runs.values())).pipeline.label_map
        self._label_maps = {first.name: first}
        for run in runs.values():
            own = run.pipeline.label_map
            self._label_maps.setdefault(own.name, own)
            if own.of in registry.label_maps:
                self._label_maps.setdefault(own.of, registry.label_maps[own.of])
        self._first_label_map = first.name
        self._operations = {name: options_schema(kind) for name, kind in OPERATIONS.items()}

    def application(self) -> Starlette:
        """Return the application, without the guard before it."""
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/page/{name:path}", self._page),
                Route("/api/state", self._state),
                Route("/api/faces", self._add_face, methods=["POST"]),
                Route("/api/faces/{face}", self._remove_face, methods=["DELETE"]),
                Route("/api/faces/{face}/photo", self._photo),
                Route("/api/faces/{face}/mask", self._mask),
                Route("/api/faces/{face}/mask", self._set_mask, methods=["PUT"]),
                Route("/api/faces/{face}/ids", self._ids),
                Route("/api/apply", self._apply, methods=["POST"]),
                Route("/api/lint", self._lint, methods=["POST"]),
                Route("/api/preview", self._preview, methods=["POST"]),
                Route("/api/tuning", self._tuning),
                Route("/api/tuning", self._tune, methods=["POST"]),
                Route("/api/tuning", self._forget_tuning, methods=["DELETE"]),
                Route("/api/export/picture", self._export_picture, methods=["POST"]),
                Route("/api/export/bundle", self._export_bundle, methods=["POST"]),
                Route("/api/export/mask", self._export_mask, methods=["POST"]),
                Route("/api/mask/read", self._read_mask, methods=["POST"]),
                Route("/api/script/write", self._write_script, methods=["POST"]),
                Route("/api/script/read", self._read_script, methods=["POST"]),
            ],
            exception_handlers=TELLS,
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        for run in self.runs.values():
            _in_background(run.worker.do(run.prepare))
            _in_background(self._hands.do(run.look_at_training_masks, self._registry))
        try:
            yield
        finally:
            self.stop()
            end = time.monotonic() + PATIENCE
            for worker in self._workers:
                worker.close(patience=max(0.0, end - time.monotonic()))

    @property
    def _workers(self) -> list[Worker]:
        return [self._eyes, self._hands, self._scripts, *(each for run in self.runs.values() for each in run.workers)]

    @property
    def busy(self) -> bool:
        """Whether a thread still works on something that nobody waits for any more, after the studio has closed."""
        return any(worker.busy for worker in self._workers)

    def stop(self) -> None:
        """Answer all requests that wait with 503, and ask the threads to stop. Called from the event loop."""
        self._closing.set()
        for run in self.runs.values():
            run.stop()
        for worker in (self._eyes, self._hands, self._scripts):
            worker.stop()

    async def _page(self, request: Request) -> Response:
        return page_answer(request.path_params.get("name", "index.html"))

    async def _state(self, request: Request) -> Response:
        return json_answer(
            {
                "facekit": __version__,
                "side": self.side,
                "runs": [run.described() for run in self.runs.values()],
                "label_maps": {name: described_label_map(label_map) for name, label_map in self._label_maps.items()},
                "faces": [face.described() for face in self.shelf],
                "operations": self._operations,
                "can_parse": self._reader.can_parse,
                "can_align": self._reader.can_align,
                "limits": {
                    "upload_bytes": UPLOAD_BYTES,
                    "pixels": MOST_PIXELS,
                    "json_bytes": requests.JSON_BYTES,
                    "mask_side": requests.MASK_SIDE,
                    "faces": MOST_UPLOADS,
                },
            }
        )

    async def _add_face(self, request: Request) -> Response:
        name = plain_name(request.query_params.get("name", ""))
        aligned = request.query_params.get("aligned", "0")
        if aligned not in ("0", "1"):
            raise RequestError("aligned is 0 or 1", where="aligned")
        self.shelf.check_room(0)
        async with self._in_flight.body(request, limit=UPLOAD_BYTES) as content:
            identity = self.shelf.new_identity(name)
            face = await self._eyes.do(
                lambda: self._reader.face(content, name=name, identity=identity, aligned=aligned == "1")
            )
        self.shelf.add(face)
        return json_answer(face.described(), 201)

    async def _remove_face(self, request: Request) -> Response:
        self.shelf.remove(request.path_params["face"])
        return Response(status_code=204)

    async def _photo(self, request: Request) -> Response:
        face = self.shelf.get(request.path_params["face"])
        return png_answer(await self._hands.do(lambda: face.square_png))

    async def _mask(self, request: Request) -> Response:
        face = self.shelf.get(request.path_params["face"])
        return png_answer(await self._hands.do(lambda: face.mask_png))

    async def _ids(self, request: Request) -> Response:
        return json_answer(requests.mask_document(self.shelf.get(request.path_params["face"]).ids))

    async def _set_mask(self, request: Request) -> Response:
        identity = request.path_params["face"]
        face = self.shelf.get(identity)
        label_map = self._label_map(request.query_params.get("label_map", self._first_label_map))
        name = plain_name(request.query_params.get("name", ""))
        async with self._in_flight.body(request, limit=UPLOAD_BYTES) as content:
            mask = await self._eyes.do(self._reader.mask, content, face, label_map)
        return json_answer(self.shelf.set_mask(identity, mask, label_map, name=name).described())

    async def _apply(self, request: Request) -> Response:
        body = await self._json(request, requests.ApplyBody)
        label_map = self._label_map(body.label_map)
        files = SessionFiles(self.shelf.snapshot())

        def applied(go_on: Callable[[], None]) -> Response:
            script = _script(body.operations, label_map=label_map, go_on=go_on)
            context = EditContext(label_map, read_mask=lambda file: files.mask(file, label_map).ids, go_on=go_on)
            mask = apply_script(script, body.mask.array(label_map), context)
            return json_answer({"mask": requests.mask_document(mask), "notes": context.notes})

        return await unless_gone(request, self._hands, applied, closing=self._closing)

    async def _lint(self, request: Request) -> Response:
        body = await self._json(request, requests.LintBody)
        label_map, run = self._label_map(body.label_map), self._run(body.run)
        findings = await self._hands.do(lambda: run.lint(body.mask.array(label_map), label_map))
        return json_answer({"findings": [asdict(finding) for finding in findings]})

    async def _preview(self, request: Request) -> Response:
        body = await self._json(request, requests.PreviewBody)
        run, label_map = self._run(body.run), self._label_map(body.label_map)
        look = None if body.look is None else wanted_look(body.look, self.shelf.get)
        into = None if body.into is None else self.shelf.get(body.into)
        tuned_to = None if body.tuned is None else self.shelf.get(body.tuned)
        mask = body.mask.array(label_map)
        preview = await run.worker.do_newest(
            body.client, body.sequence, run.preview, mask, label_map, look, into, tuned_to
        )
        return png_answer(
            preview.png,
            headers={
                "X-Facekit-Milliseconds": f"{preview.milliseconds:.1f}",
                "X-Facekit-Sequence": str(body.sequence),
                "X-Facekit-Local": str(int(preview.local)),
            },
        )

    async def _tuning(self, request: Request) -> Response:
        tunings, face = self._asked_tuning(request)
        return json_answer(tunings.described(face))

    async def _tune(self, request: Request) -> Response:
        body = await self._json(request, requests.TuneBody)
        run, face = self._run(body.run), self.shelf.get(body.face)
        tunings = run.require_tunings()
        run.check_takes(face.label_map)
        _ = face.ids  # a face without a mask is refused here, and not in a thread that nobody listens to
        tuning = tunings.begin(face)
        if tuning is not None:
            _in_background(tunings.carry_out(tuning, face))
        return json_answer(tunings.described(face), 202)

    async def _forget_tuning(self, request: Request) -> Response:
        tunings, face = self._asked_tuning(request)
        tunings.forget(face)
        return Response(status_code=204)

    def _asked_tuning(self, request: Request) -> tuple[Tunings, Face]:
        run = self._run(request.query_params.get("run", ""))
        return run.require_tunings(), self.shelf.get(request.query_params.get("face", ""))

    async def _export_picture(self, request: Request) -> Response:
        run, face, script, files, tuned = await self._export(request)
        content = await run.worker.do(partial(run.export, face, script, files, tuned=tuned))
        return png_answer(content, headers=as_file("result.png"))

    async def _export_bundle(self, request: Request) -> Response:
        run, face, script, files, tuned = await self._export(request)
        content = await run.worker.do(partial(run.bundle, face, script, files, tuned=tuned))
        return Response(content, media_type="application/zip", headers=as_file("edit.zip"))

    async def _export(self, request: Request) -> tuple[StudioRun, Face, EditScript, SessionFiles, bool]:
        body = await self._json(request, requests.ExportBody)
        run, face = self._run(body.run), self.shelf.get(body.face)
        files = SessionFiles(self.shelf.snapshot())

        def checked() -> EditScript:
            script = _script(body.operations, label_map=face.label_map, name=body.name, description=body.description)
            if body.mask is not None:
                context = EditContext(face.label_map, read_mask=lambda file: files.mask(file, face.label_map).ids)
                _check_same(apply_script(script, face.ids, context), body.mask.array(face.label_map))
            return script

        return run, face, await self._hands.do(checked), files, body.tuned

    async def _export_mask(self, request: Request) -> Response:
        body = await self._json(request, requests.MaskExportBody)
        label_map = self._label_map(body.label_map)
        content = await self._hands.do(lambda: indexed_png(body.mask.array(label_map), label_map))
        return png_answer(content, headers=as_file("mask.png"))

    async def _read_mask(self, request: Request) -> Response:
        label_map = self._label_map(request.query_params.get("label_map", self._first_label_map))
        async with self._in_flight.body(request, limit=UPLOAD_BYTES) as content:
            mask = await self._eyes.do(self._reader.square_mask, content, label_map)
        return json_answer({"mask": requests.mask_document(mask)})

    async def _write_script(self, request: Request) -> Response:
        body = await self._json(request, requests.ScriptBody)
        label_map = self._label_map(body.label_map) if body.label_map else None

        def written() -> str:
            return write_script(
                _script(body.operations, label_map=label_map, name=body.name, description=body.description)
            )

        text = await self._hands.do(written)
        return Response(text, media_type="application/yaml", headers=as_file("script.yaml"))

    async def _read_script(self, request: Request) -> Response:
        body = await self._json(request, requests.TextBody)
        label_map = None if body.label_map is None else self._label_map(body.label_map)

        def read(go_on: Callable[[], None]) -> Response:
            script = parse_script(body.text, file="script.yaml", label_map=label_map, go_on=go_on)
            return json_answer(
                {
                    "name": script.name,
                    "description": script.description,
                    "label_map": script.label_map,
                    "operations": [
                        {"do": entry.do, **entry.model_dump(mode="json", exclude_defaults=True, exclude={"do"})}
                        for entry in script.operations
                    ],
                }
            )

        return await unless_gone(request, self._scripts, read, closing=self._closing)

    async def _json(self, request: Request, kind: type[requests.Body]) -> requests.Body:
        declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if declared != "application/json":
            raise RequestError("the body is to be application/json", status=415, where="Content-Type")
        async with self._in_flight.body(request, limit=requests.JSON_BYTES) as content:
            return await self._hands.do(requests.parsed, kind, content)

    def _run(self, identity: str) -> StudioRun:
        try:
            return self.runs[identity]
        except KeyError:
            raise RequestError("there is no such run", status=404, where="run") from None

    def _label_map(self, name: str) -> LabelMap:
        try:
            return self._label_maps[name]
        except KeyError:
            known = ", ".join(self._label_maps)
            raise RequestError(
                "no run here takes masks of this label map", where="label_map", remedy=f"those of {known} are taken"
            ) from None


def _script(
    operations: Any,
    *,
    label_map: LabelMap | None,
    name: str = "",
    description: str = "",
    go_on: Callable[[], None] = lambda: None,
) -> EditScript:
    """Return operations that came as JSON as a script, checked as one that is read from a file."""
    document: dict[str, Any] = {"facekit_edit": 1, "name": name, "description": description}
    if label_map is not None:
        document["label_map"] = label_map.name
    document["operations"] = operations
    return parse_script(dump_document(document), file="request", label_map=label_map, go_on=go_on)


def _check_same(mask: Ids, shown: Ids) -> None:
    if mask.shape != shown.shape or (mask != shown).any():
        raise RequestError(
            "the operations lead to another mask than the one that is shown",
            status=409,
            where="mask",
            remedy="this is a defect of the page; please report it",
        )


_background: set[Any] = set()


def _in_background(work: Awaitable[None]) -> None:
    async def done() -> None:
        with suppress(Busy):  # the studio closes before it came to this
            await work

    task = asyncio.get_running_loop().create_task(done())
    _background.add(task)
    task.add_done_callback(_background.discard)
