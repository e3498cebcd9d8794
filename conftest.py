"""What holds for all tests, those of the plugins included."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Trackers that happen to be installed stay out of the runs of tests, which a test of the tracker undoes for itself.
os.environ["FACEKIT_TENSORBOARD"] = "off"

# Tests are small: a second thread gains nothing, and where the machine is busy each waits for the other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A script that starts the tests in the background switches Ctrl-C off for all that they start; some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent

UNIT = (
    "tests/experiments/test_grid.py",
    "tests/experiments/test_statistics.py",
    "tests/cli/test_display.py",
    "tests/cli/test_progress_bar.py",
    "tests/data/test_geometry.py",
    "tests/data/test_hiding.py",
    "tests/data/test_mask_labels.py",
    "tests/data/test_sampling.py",
    "tests/data/test_warping.py",
    "plugins/facekit-studio/tests/editing/script/",
    "plugins/facekit-studio/tests/editing/test_compositing.py",
    "plugins/facekit-studio/tests/editing/test_lint.py",
    "tests/evaluation/test_protocol.py",
    "tests/faces/",
    "tests/figures/",
    "tests/interfaces/",
    "tests/recipe/",
    "tests/registry/",
    "tests/test_dependencies.py",
    "tests/test_unit_tier.py",
)
"""Folders and files of unit tests: fast, without training, a browser or another process."""

NO_UNIT = (
    "plugins/facekit-studio/tests/editing/script/test_fuzz.py",
    "tests/recipe/test_fuzz.py",
    "tests/recipe/test_mistakes.py",
    "tests/recipe/test_torch_free.py",
    "tests/registry/test_clashes.py",
    "tests/registry/test_damaged.py",
    "tests/registry/test_diagnosis.py",
    "tests/registry/test_examination.py",
    "tests/registry/test_switches.py",
)
"""Files among them that are none."""


LONG = ("tests/integration/", "tests/benchmarks/", "tests/scaffold/", "plugins/facekit-studio/tests/")
"""Folders with the longest files, which come first: at the end no process is left alone with one of them."""

WORKERS_AT_MOST = 8
"""How many processes share the tests; each takes about 1.6 GB of memory."""


def name_of(path: Path) -> str:
    """Return a path as the lists above have it; empty for one outside this repository."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""


def is_unit(path: Path) -> bool:
    """Tell whether a file holds unit tests."""
    name = name_of(path)
    return name.startswith(UNIT) and name not in NO_UNIT


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """All tests are shared by a process a core. One runs a part or another tier: starting more takes as long."""
    chosen = config.option.file_or_dir or config.option.keyword or config.option.markexpr != "not slow"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if chosen or cores == 1 else min(cores, WORKERS_AT_MOST)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m unit`` import no other files: importing all of them takes as long as running these."""
    others = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    return True if config.option.markexpr == "unit" and others and not is_unit(collection_path) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark unit tests, before pytest chooses by marks; not those that are ``slow`` or start a process."""
    items.sort(key=lambda item: not name_of(item.path).startswith(LONG))
    for item in items:
        code = getattr(getattr(item, "function", None), "__code__", None)
        starts_a_process = code is not None and "subprocess" in code.co_names
        if is_unit(item.path) and item.get_closest_marker("slow") is None and not starts_a_process:
            item.add_marker(pytest.mark.unit)
