"""Settings of torch that belong to the process, kept while code of others runs in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


@contextmanager
def torch_settings_kept() -> Iterator[None]:
    """Put the settings back that weights depend on, whatever is done within: a watcher must not change a run."""
    # Imported here: the module that tells watchers is read without torch as well.
    import torch

    def deterministic(mode: tuple[bool, bool]) -> None:
        torch.use_deterministic_algorithms(mode[0], warn_only=mode[1])

    def determinism() -> tuple[bool, bool]:
        return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()

    def default_device(device: torch.device) -> None:
        # None, not the CPU: a default that is set intercepts every call that makes a tensor.
        torch.set_default_device(None if device.type == "cpu" else device)

    def attribute(owner: Any, name: str) -> tuple[Any, Any]:
        return partial(getattr, owner, name), partial(setattr, owner, name)

    cudnn = torch.backends.cudnn
    settings: list[tuple[Any, Any]] = [
        (torch.get_num_threads, torch.set_num_threads),
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.get_default_device, default_device),
        (torch.is_grad_enabled, torch.set_grad_enabled),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        (determinism, deterministic),
        *(attribute(cudnn, name) for name in ("enabled", "benchmark", "deterministic")),
    ]
    before = [get() for get, _ in settings]
    try:
        yield
    finally:
        for (get, put), value in zip(settings, before, strict=True):
            if get() != value:
                put(value)
