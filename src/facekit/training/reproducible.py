"""The same run twice on CUDA: kernels whose sums have a fixed order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""Environment variable that gives cuBLAS a workspace of fixed size, without which its products are not repeatable."""


@contextmanager
def reproducible(device: torch.device, wanted: bool) -> Iterator[None]:
    """Compute with kernels that give the same numbers each time, while the context lasts; on CUDA only.

    Where torch has no such kernel for what a component does, it warns of it once and names it. What is not wanted to be
    reproducible is fast instead: cuDNN then times its convolutions and takes the fastest.

    Args:
        device: where the run computes. On the CPU, with the same number of threads, all kernels are repeatable.
        wanted: whether the numbers must be the same each time.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    memory: Any = torch.utils.deterministic  # the type stubs do not know its setting
    before = (cudnn.deterministic, cudnn.benchmark, memory.fill_uninitialized_memory)
    algorithms = (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled())
    if wanted:
        os.environ.setdefault(_WORKSPACE, ":4096:8")
    cudnn.deterministic, cudnn.benchmark = wanted, not wanted
    # Filling every new tensor finds mistakes in kernels; it takes a pass over memory each.
    memory.fill_uninitialized_memory = False
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark, memory.fill_uninitialized_memory = before
        torch.use_deterministic_algorithms(algorithms[0], warn_only=algorithms[1])
