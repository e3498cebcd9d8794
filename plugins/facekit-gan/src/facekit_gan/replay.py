"""The replay pool: past fakes that the discriminator is shown again (Shrivastava et al., CVPR 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from facekit.interfaces import Condition, Generated, Reference

Entry = dict[str, Tensor]


class ReplayPool:
    """Keeps up to ``capacity`` past fakes, each with the condition it was made for.

    Until the pool is full, fakes go in and are shown as they are. Then each new one is, with even chances, shown as it
    is, or put into the pool in exchange for a past one that is shown in its place.

    Args:
        capacity: how many fakes are kept.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    @torch.no_grad()
    def exchange(
        self, fake: Generated, condition: Condition, *, random: torch.Generator
    ) -> tuple[Generated, Condition]:
        """Return fakes, some of them past ones, and the conditions they were made for.

        Args:
            fake: new fakes (N, 3, H, W), cut from their graph.
            condition: their conditions.
            random: CPU generator that decides.
        """
        rows = [_row(fake, condition, index) for index in range(len(fake.image))]
        shown: list[Entry] = []
        for row in rows:
            if len(self._entries) < self.capacity:
                # Kept apart from the batch, whose memory the row would otherwise hold on to.
                self._entries.append({name: tensor.clone() for name, tensor in row.items()})
                shown.append(row)
            elif torch.rand((), generator=random) < 0.5:
                place = int(torch.randint(self.capacity, (), generator=random))
                shown.append(self._entries[place])
                self._entries[place] = {name: tensor.clone() for name, tensor in row.items()}
            else:
                shown.append(row)
        if all(old is new for old, new in zip(shown, rows, strict=True)):
            return fake, condition
        return _joined(fake, condition, shown)

    def state(self) -> dict[str, Tensor]:
        """Return the pool as tensors, ``00012.image`` and so on."""
        return {
            f"{index:05d}.{name}": tensor for index, row in enumerate(self._entries) for name, tensor in row.items()
        }

    def load_state(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Put back what :meth:`state` returned."""
        rows: dict[str, Entry] = {}
        for key, tensor in state.items():
            index, name = key.split(".", 1)
            rows.setdefault(index, {})[name] = tensor.to(device)
        self._entries = [rows[index] for index in sorted(rows)]


def _tensors(condition: Condition) -> dict[str, Tensor]:
    """Return the tensors of a condition by name."""
    found: dict[str, Tensor | None] = {
        "mask": condition.mask,
        "attributes": condition.attributes,
        "source_image": condition.source_image,
        **{f"extra.{name}": tensor for name, tensor in condition.extra.items()},
    }
    if condition.reference is not None:
        found |= {
            "reference.image": condition.reference.image,
            "reference.mask": condition.reference.mask,
            "reference.attributes": condition.reference.attributes,
        }
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def _row(fake: Generated, condition: Condition, index: int) -> Entry:
    row = {"image": fake.image[index]}
    row |= {f"pyramid.{level}": image[index] for level, image in enumerate(fake.pyramid)}
    row |= {f"maps.{name}": tensor[index] for name, tensor in fake.maps.items()}
    for name, tensor in _tensors(condition).items():
        # Class ids fit 8 bits; the masks would otherwise be the largest part of the pool.
        row[f"condition.{name}"] = tensor[index] if tensor.is_floating_point() else tensor[index].to(torch.uint8)
    return row


def _joined(fake: Generated, condition: Condition, rows: list[Entry]) -> tuple[Generated, Condition]:
    def column(name: str, like: Tensor) -> Tensor:
        joined = torch.stack([row[name].to(like.dtype) for row in rows])
        # Strides of the new fakes: the layout of a batch is not to depend on which rows are past ones.
        return torch.empty_like(like).copy_(joined)

    image = replace(
        fake,
        image=column("image", fake.image),
        pyramid=tuple(column(f"pyramid.{level}", image) for level, image in enumerate(fake.pyramid)),
        maps={name: column(f"maps.{name}", tensor) for name, tensor in fake.maps.items()},
    )
    past = {name: column(f"condition.{name}", tensor) for name, tensor in _tensors(condition).items()}
    reference = None
    if condition.reference is not None:
        reference = Reference(past["reference.image"], past.get("reference.mask"), past.get("reference.attributes"))
    return image.detach(), Condition(
        mask=past.get("mask"),
        reference=reference,
        attributes=past.get("attributes"),
        source_image=past.get("source_image"),
        extra={name: past[f"extra.{name}"] for name in condition.extra},
    )
