"""Small runs on disk with random weights, and what holds for all tests of the repository."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import _fresh_registry, real_faces
from tests.inference.conftest import (
    face,
    maskless_run,
    pipeline,
    plain_run,
    styled_run,
    write_run,
)
from tests.integration.conftest import environment, facekit, workplace

from facekit.registry import load_registry

__all__ = [
    "_fresh_registry",
    "environment",
    "face",
    "facekit",
    "filling_run",
    "maskless_run",
    "merged_filling_run",
    "pipeline",
    "plain_run",
    "real_faces",
    "styled_run",
    "workplace",
]

FILLING = """
  generator: {use: holes/fill}
"""
HOLES = Path(__file__).parent / "editing" / "plugin" / "holes_plugin.py"


@pytest.fixture(scope="session")
def filling_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that fills holes, of a plugin in one file."""
    folder = tmp_path_factory.mktemp("runs") / "filling"
    return write_run(folder, FILLING, registry=load_registry(HOLES), data=", windows: {}")


@pytest.fixture(scope="session")
def merged_filling_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that knows no left and right."""
    folder = tmp_path_factory.mktemp("runs") / "merged-filling"
    labels = "celebamask_hq_merged"
    return write_run(folder, FILLING, registry=load_registry(HOLES), data=", windows: {}", labels=labels)
