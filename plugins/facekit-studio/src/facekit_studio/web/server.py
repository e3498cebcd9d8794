"""Serving the studio: the socket, the protocol that waits for nobody forever, and the start of a session."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from facekit.inference import FacePipeline, load
from facekit.interfaces import FacekitError
from facekit.registry import Registry
from facekit_studio.editing.components import build_by_name
from facekit_studio.editing.local import fills_holes
from facekit_studio.editing.suitable import check_beside, check_edits_masks
from facekit_studio.web.application import Studio
from facekit_studio.web.faces import slug, start_faces
from facekit_studio.web.guard import Guard
from facekit_studio.web.ingest import Reader
from facekit_studio.web.runs import StudioRun

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765

HEADER_SECONDS = 10.0
"""How long the head of a request may take to arrive."""

MOST_CONNECTIONS = 400
"""Connections at a time; more are answered with 503."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that closes connections on which no request arrives whole in time.

    uvicorn closes connections that are idle between requests; those that send half a head and then nothing it keeps.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request."""
        if self._deadline is None and self._between_requests():
            self._wait()
        super().data_received(data)
        if not self._between_requests():
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._between_requests():
            self.transport.close()


def open_socket(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens at an address.

    Args:
        host: a name or an address of this computer.
        port: the port; None for the default one, or any other where that is taken.

    Raises:
        FacekitError: it is taken, or the address is not this computer's.
    """
    try:
        return _listening(host, DEFAULT_PORT if port is None else port)
    except OSError as error:
        if port is None:
            with suppress(OSError):
                return _listening(host, 0)
        raise FacekitError(
            f"the studio cannot listen there: {error.strerror or error}",
            where=f"{host}:{DEFAULT_PORT if port is None else port}",
            remedy="choose another --port, or --port 0 for any that is free",
        ) from error


def _listening(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


def address_of(host: str, listening: socket.socket, token: str) -> str:
    """Return the address of the page, as it is typed into a browser on this computer."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{listening.getsockname()[1]}/?token={token}"


def build_studio(
    runs: Sequence[Path],
    *,
    registry: Registry,
    weights: Literal["ema", "live"] = "ema",
    device: str = "auto",
    local: Path | None = None,
    segmenter: str = "segmenter",
    detector: str = "mtcnn",
    drawn: str | None = "synthetic_faces",
    report: Callable[[str], None],
) -> Studio:
    """Load runs and faces.

    Args:
        runs: run folders; at least one.
        registry: the plugins.
        local: the folder of a run that fills holes, for the edits of a part with each run that it goes with.
        weights: which weights paint.
        device: where.
        segmenter: the component that reads masks of uploads.
        detector: the component that finds faces in them.
        drawn: the dataset that draws the first faces where a run's own data cannot be opened.
        report: told, in sentences, what a person should know.

    Raises:
        FacekitError: a folder is no run, or it cannot be loaded; none of the runs edits masks, or none goes with
            ``local``. One of several that does not is reported; one that edits no masks is left out.
    """
    if not runs:
        raise ValueError("a studio has at least one run")

    def opened(folder: Path) -> FacePipeline:
        pipeline = load(folder, weights=weights, device=device, registry=registry)
        report(f"{folder.name}: {pipeline.weights} weights of step {pipeline.step:,} on {pipeline.device}")
        return pipeline

    loaded = _opened_runs(runs, local, opened, report)
    opened_runs = list(loaded.values())
    largest = max(opened_runs, key=lambda run: run.mask_side)
    side, label_map = largest.mask_side, opened_runs[0].pipeline.label_map
    # Uploads are read for the first of the largest runs with the first run's label map, or else the largest.
    reading = next(
        (run for run in opened_runs if run.mask_side == side and run.pipeline.label_map == label_map), largest
    )
    # The data of runs that fill holes are no whole faces.
    pipelines = sorted((run.pipeline for run in opened_runs), key=lambda pipeline: fills_holes(pipeline.inputs))
    faces = start_faces(pipelines, side=side, registry=registry, drawn=drawn, report=report)
    if not faces:
        report("there are no faces to begin with: upload a photo and its mask in the page")
    reader = _reader(reading, registry, segmenter=segmenter, detector=detector, report=report)
    return Studio(loaded, faces=faces, reader=reader, registry=registry, side=side)


def _reader(
    run: StudioRun, registry: Registry, *, segmenter: str, detector: str, report: Callable[[str], None]
) -> Reader:
    """Return what opens uploads, with what is installed; what is not, is reported in a sentence."""

    def told(error: FacekitError) -> str:
        return error.message + (f" ({error.remedy})" if error.remedy else "")

    try:
        reads, finds = build_by_name(registry, "segmenter", segmenter), None
        try:
            finds = build_by_name(registry, "face_detector", detector)
        except FacekitError as error:
            report(f"uploads are not aligned: {told(error)}")
        return Reader(run.pipeline, local=run.local, segmenter=reads, detector=finds)
    except FacekitError as error:
        report(f"uploads need masks: {told(error)}")
        return Reader(run.pipeline, local=run.local, segmenter=None, detector=None)


def _opened_runs(
    runs: Sequence[Path], local: Path | None, opened: Callable[[Path], FacePipeline], report: Callable[[str], None]
) -> dict[str, StudioRun]:
    """Return the runs that edit masks, by id. Raises FacekitError as :func:`build_studio`."""
    loaded: dict[str, StudioRun] = {}
    refused: list[FacekitError] = []
    apart: list[FacekitError] = []
    for folder in dict.fromkeys(path.resolve() for path in runs):
        pipeline = opened(folder)
        try:
            check_edits_masks(pipeline)
        except FacekitError as error:
            refused.append(error)
            report(f"{folder.name} is left out: {error.message}")
            continue
        # Each run has one of its own beside it, since each works in a thread of its own.
        beside = None if local is None else opened(local.resolve())
        if beside is not None:
            try:
                check_beside(beside, pipeline)
            except FacekitError as error:
                apart.append(error)
                report(f"{folder.name} edits without the run for local edits: {error.message}")
                beside = None
        wanted = slug(folder.name) or "run"
        identity, number = wanted, 2
        while identity in loaded:
            identity, number = f"{wanted}-{number}", number + 1
        loaded[identity] = StudioRun(identity, pipeline, local=beside)
    if not loaded:
        raise refused[0]
    if len(apart) == len(loaded):
        raise apart[0]
    return loaded


class StudioServer(uvicorn.Server):
    """A server that answers those who wait before it closes, in place of waiting for them."""

    def __init__(self, config: uvicorn.Config, studio: Studio) -> None:
        super().__init__(config)
        self._studio = studio

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections."""
        self._studio.stop()
        # What it says of connections that it has to cut off is no news to whoever pressed Ctrl-C.
        logging.getLogger("uvicorn.error").disabled = True
        try:
            await super().shutdown(sockets)
        finally:
            logging.getLogger("uvicorn.error").disabled = False


def build_server(studio: Studio, *, token: str, host: str) -> uvicorn.Server:
    """Return the server of a studio, ready to :meth:`run` with a socket."""
    config = uvicorn.Config(
        Guard(studio.application(), token=token, host=host),
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        access_log=False,  # addresses hold the token
        log_config=None,
        log_level="error",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=1,
    )
    return StudioServer(config, studio)


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(24)


def serve(studio: Studio, *, token: str, host: str, listening: socket.socket) -> None:
    """Answer requests until Ctrl-C."""
    with suppress(KeyboardInterrupt):  # uvicorn raises it again after it has closed everything
        build_server(studio, token=token, host=host).run(sockets=[listening])
