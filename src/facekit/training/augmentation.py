"""What discriminators are shown in training is changed at random: the engine's side of ``train.augment``.

An augmentation stands in front of every call of a discriminator in a training step, whoever makes it: a loss that asks
``facekit_gan`` or one that calls ``step.networks["discriminator"]``. Nothing else calls networks this way, so images
that are generated, drawn in grids or measured never pass through it.

It draws once for each turn and micro-batch, a function of the run's seed, the step and the turn. Row r of a call is
changed as sample r modulo the batch, so that sample i of the photos and sample i of the fakes are changed alike,
whether they come in one pass or in two. Losses may compare them feature by feature.

Adaptive augmentations are told what discriminators give in the turns that train them. A row counts as real where its
image is that of the batch, number for number, so that nobody has to say so. Passes in full precision (penalties) do not
count: they discriminate real images a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from facekit.interfaces import (
    AdaptiveAugmentation,
    Augmentation,
    BuildContext,
    Condition,
    DiscriminatorOutput,
    FaceBatch,
    Generated,
    LabelMap,
    Ports,
    ScaleOutput,
)
from facekit.recipe.resolved import ResolvedRecipe
from facekit.sampling.noise import random_generator
from facekit.training import failures
from facekit.training.distributed import Team
from facekit.training.failures import Culprit, failures_in
from facekit.training.precision import Precision

PLACE = "train.augment"
"""What the names of its tensors begin with in checkpoints. No network and no loss can be called so."""

DIAGNOSTICS = "augmentation/"
"""Begins the names of its numbers among the diagnostics."""

_SUMS, _IMAGES = "sums", "images"


@dataclass
class _Turn:
    """A turn on a micro-batch: its faces, the networks it trains, and what was drawn for it, on the device."""

    batch: FaceBatch
    trained: frozenset[str]
    drawn: Mapping[str, Tensor]


class RunAugmentation:
    """An augmentation in front of discriminators.

    Args:
        of: the names of the networks that it stands in front of.
    """

    def __init__(
        self,
        augmentation: Augmentation,
        *,
        of: frozenset[str],
        culprit: Culprit,
        team: Team | None = None,
    ) -> None:
        self.of = of
        self._augmentation = augmentation
        self._adaptive = augmentation if isinstance(augmentation, AdaptiveAugmentation) else None
        self._culprit = culprit
        self._team = team or Team()
        self._turn: _Turn | None = None
        self._sums: Tensor | None = None
        self._of_step: Tensor | None = None
        self._images = 0

    def stands_before(self, name: str) -> bool:
        """Return whether a call of a network passes through it now."""
        return self._turn is not None and name in self.of

    @contextmanager
    def turn(
        self, batch: FaceBatch, *, trained: frozenset[str], seed: tuple[int | str, ...], certain: bool
    ) -> Iterator[None]:
        """Stand in front of the discriminators while a turn on a micro-batch lasts.

        Args:
            certain: let everything happen to every sample, for the shape check.
        """
        with failures_in(self._culprit, "fails to draw"):
            random = random_generator(*seed, "augmentation")
            drawn = self._augmentation.draw(len(batch), random, certain=certain)
        device = batch.image.device
        placed = {name: tensor.to(device, non_blocking=True) for name, tensor in drawn.items()}
        self._turn = _Turn(batch, trained, placed)
        if trained & self.of:
            self._images += len(batch) * self._team.size
        try:
            yield
        finally:
            self._turn = None

    def shown(
        self, ports: Ports, arguments: tuple[Any, ...], named: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """Return the arguments of a call with the image and the condition among them as the network is shown them.

        Args:
            ports: what the network declares: of the condition's further tensors, those that it reads are moved.
        """
        assert self._turn is not None  # it stands before the network
        image, condition = _image_and_condition(arguments, named)
        if image is None or not self._turn.drawn:
            return arguments, named
        condition = Condition() if condition is None else condition
        read = {port.name for port in ports.needs if port.dtype != "noise"}
        extra = {name: tensor for name, tensor in condition.extra.items() if name in read}
        rows = _rows(self._turn.drawn, len(image.image), len(self._turn.batch))
        with failures_in(self._culprit, "fails"):
            new_image, moved = self._augmentation(image, replace(condition, extra=extra), rows)
        moved = replace(moved, extra={**condition.extra, **moved.extra})
        new = {id(image): new_image, id(condition): moved}
        return (
            tuple(new.get(id(each), each) for each in arguments),
            {name: new.get(id(each), each) for name, each in named.items()},
        )

    @torch.no_grad()
    def see(self, name: str, arguments: tuple[Any, ...], named: Mapping[str, Any], output: DiscriminatorOutput) -> None:
        """Take in what a discriminator gave for images, which are those before the augmentation."""
        turn, adaptive = self._turn, self._adaptive
        if adaptive is None or turn is None or name not in self.of & turn.trained:
            return
        image, _ = _image_and_condition(arguments, named)
        if image is None:
            return
        photos = _rows({"image": turn.batch.image}, len(image.image), len(turn.batch))["image"]
        if photos.shape == image.image.shape:
            real = (photos == image.image).flatten(1).all(1).float()
        else:
            real = torch.zeros(len(image.image), device=image.image.device)
        with failures_in(self._culprit, "fails to read a discriminator's output"):
            # Without feature maps: looking at them would cast them all.
            logits = tuple(ScaleOutput(scale.logits.detach()) for scale in output.scales)
            numbers = adaptive.read(DiscriminatorOutput(logits), real)
        self._of_step = numbers if self._of_step is None else self._of_step + numbers

    def end_step(self, index: int) -> None:
        """Say that a step has ended, after which an adaptive augmentation may change."""
        adaptive = self._adaptive
        if adaptive is None:
            return
        if self._of_step is not None:
            # Added up at once, so that a checkpoint of one process holds what all have seen.
            seen = self._team.total(self._of_step)
            self._sums, self._of_step = seen if self._sums is None else self._sums + seen, None
        if (index + 1) % adaptive.interval == 0 and self._sums is not None:
            with failures_in(self._culprit, "fails to adapt"):
                adaptive.adapt(self._sums.tolist(), self._images)
            self._sums, self._images = None, 0

    def diagnostics(self) -> dict[str, float]:
        """Return numbers for the log."""
        found = {} if self._adaptive is None else self._adaptive.diagnostics()
        return {f"{DIAGNOSTICS}{name}": value for name, value in found.items()}

    def state(self) -> dict[str, Tensor]:
        """Return what the component keeps, by ``train.augment.name``."""
        kept = {} if self._adaptive is None else self._adaptive.state()
        return {f"{PLACE}.{name}": tensor for name, tensor in kept.items()}

    def counts(self) -> dict[str, Any]:
        """Return what was read since the last adaptation, as JSON data."""
        return {_SUMS: None if self._sums is None else self._sums.tolist(), _IMAGES: self._images}

    def load_state(self, state: Mapping[str, Tensor], counts: Mapping[str, Any], device: torch.device) -> None:
        """Put back what :meth:`state` and :meth:`counts` returned."""
        if self._adaptive is not None:
            self._adaptive.load_state({name.removeprefix(f"{PLACE}."): tensor for name, tensor in state.items()})
        sums = counts[_SUMS]
        self._sums = None if sums is None else torch.tensor(sums, dtype=torch.float32, device=device)
        self._images = int(counts[_IMAGES])


def build_augmentation(
    recipe: ResolvedRecipe,
    *,
    precision: Precision,
    label_map: LabelMap,
    attribute_names: tuple[str, ...],
    team: Team | None = None,
) -> RunAugmentation | None:
    """Build what stands in front of a recipe's discriminators, None where nothing does.

    Args:
        precision: where one that is a module is placed.

    Raises:
        FacekitError: it cannot be built.
    """
    chosen = recipe.augmentation
    if chosen is None:
        return None
    context = BuildContext(
        label_map=label_map,
        attribute_names=attribute_names,
        size=recipe.data.size,
        dimensions=recipe.dimensions,
    )
    built = failures.build("augmentation", chosen.choice, context)
    if isinstance(built, nn.Module):
        built = precision.place(built).requires_grad_(False)
    culprit = Culprit.of("augmentation", chosen.choice)
    return RunAugmentation(built, of=frozenset(chosen.of), culprit=culprit, team=team)


def _image_and_condition(
    arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[Generated | None, Condition | None]:
    """Return the image and the condition among the arguments of a call."""
    given = (*arguments, *named.values())
    image = next((each for each in given if isinstance(each, Generated)), None)
    return image, next((each for each in given if isinstance(each, Condition)), None)


def _rows(tensors: Mapping[str, Tensor], count: int, batch: int) -> dict[str, Tensor]:
    """Return the rows of a batch again and again, until there are ``count``."""
    if count == batch:
        return dict(tensors)
    times = -(-count // batch)
    return {name: torch.cat([tensor] * times)[:count] for name, tensor in tensors.items()}
