"""The same work on each sample of a dataset, in several processes where that pays, and how far it is."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from typing import Any, Literal, TypeVar

from facekit.interfaces import FaceDataset, FacekitError, RunFailure

Result = TypeVar("Result")
Argument = TypeVar("Argument")
Task = Callable[[FaceDataset, int, Argument], Result]
"""Work on one sample: the dataset, the sample's index, and something more. A function of a module, so that another
process finds it."""

_TRIAL_SECONDS = 1.0
_WORTH_SECONDS = 5.0
_CHUNK_SECONDS = 0.25
_MOST_DEFAULT_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is.

    Args:
        stage: ``waiting`` for another process that builds the same cache, ``pictures`` (reading, drawing, writing
            them), or ``checksums`` (bytes of the packed files).
        done: how much of ``total`` is done; images, or bytes for ``checksums``; 0 while waiting.
        total: how much there is in all.
        resumed: how many of the done images an earlier, interrupted call left behind.
    """

    stage: Literal["waiting", "pictures", "checksums"]
    done: int
    total: int
    resumed: int = 0


ProgressCallback = Callable[[Progress], None]
"""Called often, from the calling thread; displays throttle it themselves."""


def ignore_progress(progress: Progress) -> None:
    """Take no notice: the callback of those who give none."""


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def over_samples(
    task: Task[Argument, Result],
    dataset: FaceDataset,
    indices: Sequence[int],
    argument: Argument,
    *,
    workers: int | None = None,
) -> Iterator[tuple[int, Result]]:
    """Yield ``(index, task(dataset, index, argument))`` for each index, in no particular order.

    Work begins in this process. When what is left would take it more than about five seconds, a pool of
    processes takes over; they are spawned, so they inherit neither threads nor locks, and they end when this
    process does, however it ends.

    Args:
        task: a function of a module.
        dataset: the samples; pickled once a worker.
        indices: which of them.
        argument: given to every call.
        workers: processes; 1 or 0 stays in this one. None takes a process a core, 8 at most, and stays in this
            process with a dataset that cannot be pickled.

    Raises:
        FacekitError: what the task raises; or ``workers`` are asked for and the dataset cannot be pickled.
        RunFailure: a worker died.
    """
    if workers is not None and workers < 0:
        raise ValueError(f"workers is {workers}; it cannot be negative")
    wanted = min(available_cores(), _MOST_DEFAULT_WORKERS) if workers is None else workers
    began = time.perf_counter()
    for position, index in enumerate(indices):
        yield index, task(dataset, index, argument)
        spent = time.perf_counter() - began
        if wanted < 2 or spent < _TRIAL_SECONDS:
            continue
        seconds_each, rest = spent / (position + 1), indices[position + 1 :]
        if seconds_each * len(rest) >= _WORTH_SECONDS and _can_travel(dataset, required=workers is not None):
            yield from _in_pool(task, dataset, rest, argument, wanted, max(1, int(_CHUNK_SECONDS / seconds_each)))
            return
        wanted = 1


def _can_travel(dataset: FaceDataset, *, required: bool) -> bool:
    try:
        pickle.dumps(dataset)
    except Exception as error:  # pickle lets through whatever the object's own hooks raise
        if required:
            raise FacekitError(
                f"the dataset {type(dataset).__name__} cannot be sent to other processes: {error}",
                remedy="use workers=1, or make it picklable",
            ) from error
        return False
    return True


def _in_pool(
    task: Task[Argument, Result],
    dataset: FaceDataset,
    indices: Sequence[int],
    argument: Argument,
    workers: int,
    chunk: int,
) -> Iterator[tuple[int, Result]]:
    chunks = [indices[start : start + chunk] for start in range(0, len(indices), chunk)]
    pool = ProcessPoolExecutor(
        max_workers=min(workers, len(chunks)),
        mp_context=get_context("spawn"),
        initializer=_start_worker,
        initargs=(task, dataset, argument),
    )
    try:
        # Few chunks are under way at a time: results that nobody has taken yet would fill the memory.
        running: set[Future[list[tuple[int, Result]]]] = set()
        waiting = iter(chunks)
        for part in waiting:
            running.add(pool.submit(_run_chunk, part))
            if len(running) >= 2 * workers:
                break
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                for part in waiting:
                    running.add(pool.submit(_run_chunk, part))
                    break
                yield from future.result()
    except BrokenProcessPool as error:
        raise RunFailure(
            "a worker process died (out of memory, or stopped from outside)",
            remedy="try workers=1; in a script of your own, call this under `if __name__ == '__main__':`",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_work: Callable[[int], Any]


def _start_worker(task: Task[Argument, Result], dataset: FaceDataset, argument: Argument) -> None:
    # Ctrl-C reaches the whole process group; the parent decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    global _work

    def die_with_parent() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    def work(index: int) -> Result:
        return task(dataset, index, argument)

    threading.Thread(target=die_with_parent, daemon=True).start()
    _work = work


def _run_chunk(indices: Sequence[int]) -> list[tuple[int, Any]]:
    return [(index, _work(index)) for index in indices]
