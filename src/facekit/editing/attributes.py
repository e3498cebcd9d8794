"""Changing the attributes of photos with a run that does so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from facekit.editing.pictures import Batch
from facekit.engine.networks import FaceModel
from facekit.engine.precision import Precision
from facekit.interfaces import Condition, FacekitError, Generated, did_you_mean


class AttributeTransfer:
    """Gives photos other attributes.

    Args:
        model: the networks; the discriminator, where there is one that classifies, tells which attributes a photo has.
        precision: how they compute.
        names: the attributes that the run changes, in order.
        run: the run folder, for messages.
    """

    def __init__(self, model: FaceModel, precision: Precision, *, names: tuple[str, ...], run: Path) -> None:
        self.names = names
        self._model = model
        self._precision = precision
        self._run = run

    def check(self, names: Iterable[str]) -> None:
        """Raise FacekitError where one of some attributes is not one that the run changes."""
        for name in names:
            if name not in self.names:
                raise FacekitError(
                    f"this run does not change {name!r}",
                    where=str(self._run),
                    remedy=did_you_mean(name, self.names) or f"it changes {', '.join(self.names)}",
                )

    def wanted(self, photos: Batch, attributes: Mapping[str, bool], *, batch: int) -> Tensor:
        """Return all attributes (N, A) in {0, 1} that photos are to have: those given, and their own for the others.

        Args:
            photos: the photos.
            attributes: the wanted ones by name.
            batch: most pictures to look at at once.

        Raises:
            FacekitError: an attribute is not one of the run's, or one is not given and cannot be read off a photo.
        """
        self.check(attributes)
        missing = [name for name in self.names if name not in attributes]
        wanted = self._read(photos, batch=batch) if missing else torch.zeros(len(photos), len(self.names))
        if wanted is None:
            raise FacekitError(
                "this run cannot tell which attributes a photo has, so all must be given; missing: "
                f"{', '.join(missing)}",
                where=str(self._run),
                remedy=f"add {' '.join(f'--attribute {name}=0' for name in missing)}, or =1",
            )
        for name, value in attributes.items():
            wanted[:, self.names.index(name)] = float(value)
        return wanted

    @torch.no_grad()
    def change(self, photos: Batch, wanted: Tensor, *, batch: int) -> Tensor:
        """Give photos other attributes (N, A) in {0, 1}.

        Returns:
            (N, 3, size, size), float32 in [-1, 1], on the CPU.
        """
        results = []
        for part, attributes in zip(photos.tensor.split(batch), wanted.split(batch), strict=True):
            condition = self._condition(part, attributes)
            with self._precision.autocast():
                results.append(self._model.generate(condition).image.float().cpu())
        return torch.cat(results)

    @torch.no_grad()
    def _read(self, photos: Batch, *, batch: int) -> Tensor | None:
        """Return the attributes (N, A) in {0, 1} that the discriminator sees; None where it classifies none."""
        if self._model.get("discriminator") is None:
            return None
        found = []
        for part in photos.tensor.split(batch):
            condition = self._condition(part, None)
            assert condition.source_image is not None
            with self._precision.autocast():
                logits = self._model.judge(Generated(condition.source_image), condition).class_logits
            if logits is None:
                return None
            found.append((logits > 0).float().cpu())
        return torch.cat(found)

    def _condition(self, photos: Tensor, attributes: Tensor | None) -> Condition:
        device = self._precision.device
        # Every condition has a mask; these models do not look at it.
        mask = torch.zeros((len(photos), *photos.shape[-2:]), dtype=torch.int64, device=device)
        return Condition(
            mask,
            attributes=None if attributes is None else attributes.to(device),
            source_image=photos.to(device).contiguous(memory_format=torch.channels_last),
        )
