"""Freed memory stays with the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from facekit.training.memory import available_memory

PROGRAM = """
import resource
import torch
from facekit.training.memory import keep_freed_memory

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


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say it in a file")
def test_what_is_free_is_less_than_what_there_is() -> None:
    free = available_memory()
    assert free is not None
    assert 0 < free < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
