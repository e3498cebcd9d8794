"""Random numbers as functions of seed, step and turn, so that a resumed run draws what it would have drawn."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from facekit.sampling.noise import derive_seed
from facekit.sampling.noise import random_generator as generator

PYTHON, NUMPY, TORCH, CUDA = "python", "numpy", "torch", "cuda"
"""Keys of the document of random states."""

__all__ = [
    "derive_seed",
    "generator",
    "global_states_kept",
    "random_states",
    "restore_random_states",
    "seed_everything",
]


def seed_everything(*parts: int | str) -> None:
    """Seed the global generators of Python, NumPy and torch (all devices), for components that use them (dropout)."""
    seed = derive_seed(*parts)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def random_states() -> dict[str, Any]:
    """Return the states of all global generators as plain JSON data."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    states: dict[str, Any] = {
        PYTHON: [version, list(numbers), gauss],
        NUMPY: [name, np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)],
        TORCH: _encode(torch.get_rng_state()),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states[CUDA] = [_encode(state) for state in torch.cuda.get_rng_state_all()]
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Put back what :func:`random_states` returned. States of devices that this machine lacks are left out."""
    version, numbers, gauss = states[PYTHON]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = states[NUMPY]
    np.random.set_state((name, np.asarray(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(_decode(states[TORCH]))
    if CUDA in states and torch.cuda.is_available():
        for index, state in enumerate(states[CUDA][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(_decode(state), index)


@contextmanager
def global_states_kept() -> Iterator[None]:
    """Leave the global generators as they were found: seeding a run is not to change the program around it."""
    states = random_states()
    try:
        yield
    finally:
        restore_random_states(states)


def _encode(state: torch.Tensor) -> str:
    return base64.b64encode(state.numpy().tobytes()).decode()


def _decode(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
