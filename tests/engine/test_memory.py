"""Freed memory stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
from facekit.engine.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(16 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults()
assert keep_freed_memory()
faults()
print(given_back, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is what is set up")
def test_freed_memory_is_used_again_without_asking_the_system() -> None:
    # In a process of its own: the setting stays.
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    given_back, kept = map(int, done.stdout.split())
    assert given_back > 1000  # at least a fault for each 64 kB of 640 MB, whatever the page size up to that
    assert kept < given_back / 4


GIVEN_BACK = PROGRAM.replace("import keep_freed_memory", "import give_freed_memory_back, keep_freed_memory").replace(
    "print(given_back, faults())", "kept = faults()\nassert give_freed_memory_back()\nprint(kept, faults())"
)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is what is set up")
def test_a_later_run_in_the_same_process_can_give_it_back() -> None:
    done = subprocess.run([sys.executable, "-c", GIVEN_BACK], check=True, capture_output=True, text=True)
    kept, given_back = map(int, done.stdout.split())
    assert given_back > 1000
    assert kept < given_back / 4
