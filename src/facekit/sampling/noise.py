"""Noise as a function of seed and step in training, of seed and sample elsewhere: repeatable, whatever the batch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

# Torch is imported where it is used: what a recipe asks for is read without.

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]
"""The shape of one sample's noise by the name of its port."""


def derive_seed(*parts: int | str) -> int:
    """Return a seed in [0, 2**63) that depends on every part; different parts give unrelated seeds."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def random_generator(*parts: int | str) -> torch.Generator:
    """Return a CPU generator seeded with :func:`derive_seed` of the parts."""
    import torch

    return torch.Generator().manual_seed(derive_seed(*parts))


def noise_for_batch(shapes: Shapes, count: int, *seed: int | str) -> dict[str, Tensor]:
    """Return standard normal noise (count, ...) by port, one draw for a whole training batch."""
    import torch

    return {
        name: torch.randn((count, *shape), generator=random_generator(*seed, name)) for name, shape in shapes.items()
    }


def noise_for_keys(shapes: Shapes, keys: Sequence[str], seed: int | str) -> dict[str, Tensor]:
    """Return standard normal noise (N, ...) by port: each sample's depends on the seed and its own key alone."""
    import torch

    def drawn(name: str, shape: tuple[int, ...]) -> Tensor:
        return torch.stack([torch.randn(shape, generator=random_generator(seed, key, name)) for key in keys])

    return {name: drawn(name, shape) for name, shape in shapes.items()}
