"""One training step as losses see it: :class:`TrainingStep` is the engine's ``facekit.interfaces.Step``.

What is computed when, for one batch:

- The generator's side (style, result, swapped and transferred result) is computed when first asked for, in a
  :class:`GeneratorPass`.
- With one micro-batch an update, the pass of the last discriminator turn is used again in the generator's turn: the
  generator has not changed in between, so the pass keeps its graph, the discriminator's turn sees it cut, and one
  forward pass is saved each step.
- In the discriminator's turn the real photos and the results that were already made (fake, swapped, transferred) are
  judged in one joint pass, unless the discriminator says that samples of a batch influence each other. In the
  generator's turn the real photos are judged without a graph.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Literal, TypeVar, cast

import torch
from torch.nn import functional as F

from facekit.engine.networks import Networks, with_float32_features
from facekit.engine.replay import ReplayPool
from facekit.engine.seeds import generator as random_generator
from facekit.engine.tensors import concatenate, detach
from facekit.interfaces import (
    Condition,
    FaceBatch,
    FacekitError,
    Generated,
    Judgement,
    Player,
    Style,
)

T = TypeVar("T")
PictureName = Literal["real", "fake", "swapped", "transferred"]

_OTHER_RESULTS: tuple[PictureName, ...] = ("swapped", "transferred")
"""The results beside the one for the batch's own condition."""

Recording = Callable[[], AbstractContextManager[object]]
"""Gives the context that results are made in: with a graph, or ``torch.no_grad``."""


class GeneratorPass:
    """What the generator's side makes of one batch, each thing at most once.

    Args:
        networks: the networks.
        batch: the real faces.
        recording: gives the context that results are made in: with a graph, or ``torch.no_grad``.
        swapped: how many faces of the batch are also painted in the look of another; None for all.
        shift: how far away in the batch that other one is.
        seed: parts of the seed of the order in which faces get each other's attributes.
    """

    def __init__(
        self,
        networks: Networks,
        batch: FaceBatch,
        recording: Recording,
        *,
        swapped: int | None = None,
        shift: int = 1,
        seed: tuple[int | str, ...] = (0,),
    ) -> None:
        self.batch = batch
        self._seed = seed
        self._swapped_count = len(batch) if swapped is None else min(swapped, len(batch))
        self._shift = shift
        self.condition = batch.condition
        self._networks = networks
        self._recording = recording

    def again(self, recording: Recording) -> GeneratorPass:
        """Return an empty pass over the same faces with the same exchanges, made in another context."""
        return GeneratorPass(
            self._networks, self.batch, recording, swapped=self._swapped_count, shift=self._shift, seed=self._seed
        )

    @cached_property
    def style(self) -> Style:
        """The styles of the references."""
        if self.condition.reference_image is None or self.condition.reference_mask is None:
            raise FacekitError("a loss asks for a style, and the batch has no reference photos")
        with self._recording():
            return self._networks.encode(self.condition.reference_image, self.condition.reference_mask)

    @cached_property
    def fake(self) -> Generated:
        """The generator's result for the batch."""
        style = self.style if self._networks.has_style_encoder else None
        with self._recording():
            return self._networks.generate(self.condition, style)

    @cached_property
    def swapped_condition(self) -> Condition:
        """Each geometry, or the first ones, in the look of another face of the batch."""
        return self.condition.rolled_reference(self._shift).first(self._swapped_count)

    @cached_property
    def swapped(self) -> Generated:
        """The generator's result for it; the references are not encoded again."""
        style = self.style if self._networks.has_style_encoder else None
        with self._recording():
            looks = None if style is None else style.roll(self._shift).first(self._swapped_count)
            return self._networks.generate(self.swapped_condition, looks)

    @cached_property
    def transferred_condition(self) -> Condition:
        """Each face with the attributes of the batch in another, random order."""
        attributes = self.condition.attributes
        if attributes is None:
            raise FacekitError("a loss asks for results with other attributes, and the data has none")
        order = torch.randperm(len(attributes), generator=random_generator(*self._seed, "attributes"))
        return self.condition.with_attributes(attributes[order.to(attributes.device, non_blocking=True)])

    @cached_property
    def transferred(self) -> Generated:
        """The generator's result for it, each in its own look."""
        style = self.style if self._networks.has_style_encoder else None
        with self._recording():
            return self._networks.generate(self.transferred_condition, style)


class TrainingStep:
    """One turn of one player on one micro-batch. Fulfils ``facekit.interfaces.Step``.

    Args:
        index: number of the step, from 0.
        player: whose turn it is.
        networks: the networks.
        made: what the generator's side makes of the batch; may already be filled by the turn before.
        seed: parts of the seed of :attr:`random`.
        pool: past results shown to the discriminator; None for none.
    """

    def __init__(
        self,
        *,
        index: int,
        player: Player,
        networks: Networks,
        made: GeneratorPass,
        seed: tuple[int | str, ...],
        pool: ReplayPool | None = None,
    ) -> None:
        self._index = index
        self._player: Player = player
        self._networks = networks
        self._made = made
        self._seed = seed
        self._pool = pool if player == "discriminator" else None
        self._judgements: dict[tuple[PictureName, bool], Judgement] = {}
        self._asked: list[tuple[Generated, Condition]] = []

    @property
    def index(self) -> int:
        """The number of this step, from 0."""
        return self._index

    @property
    def player(self) -> Player:
        """Whose turn it is."""
        return self._player

    @property
    def batch(self) -> FaceBatch:
        """The real faces of this micro-batch."""
        return self._made.batch

    @property
    def condition(self) -> Condition:
        """The condition of :attr:`batch`; the same object each time."""
        return self._made.condition

    @cached_property
    def random(self) -> torch.Generator:
        """A CPU generator seeded by run, step, player, turn and micro-batch."""
        return random_generator(*self._seed, "losses")

    @cached_property
    def real(self) -> Generated:
        """The real photos; where the generator paints a pyramid, with the same sizes by area averages."""
        image = self.batch.image
        if not self._networks.gives_pyramid:
            return Generated(image)
        levels = self._made.fake.pyramid
        return Generated(
            image, tuple(F.adaptive_avg_pool2d(image, (level.shape[-2], level.shape[-1])) for level in levels)
        )

    @cached_property
    def style(self) -> Style:
        """The styles of the references of :attr:`condition`."""
        return self._cut(self._made.style)

    @property
    def fake(self) -> Generated:
        """The generator's result; in the discriminator's turn the pool may have put past results in places."""
        return self._fake_and_condition[0]

    @cached_property
    def _fake_and_condition(self) -> tuple[Generated, Condition]:
        fake = self._cut(self._made.fake)
        if self._pool is None:
            return fake, self.condition
        return self._pool.exchange(fake, self.condition, random=random_generator(*self._seed, "replay"))

    @property
    def swapped_condition(self) -> Condition:
        """:attr:`condition`, or its first samples (``train.swapped``), each in the look of another face."""
        return self._made.swapped_condition

    @cached_property
    def swapped(self) -> Generated:
        """The generator's result for :attr:`swapped_condition`."""
        return self._cut(self._made.swapped)

    @property
    def transferred_condition(self) -> Condition:
        """:attr:`condition` with the attributes of faces of the batch in a random order."""
        return self._made.transferred_condition

    @cached_property
    def transferred(self) -> Generated:
        """The generator's result for :attr:`transferred_condition`."""
        return self._cut(self._made.transferred)

    def encode(self, image: torch.Tensor, mask: torch.Tensor) -> Style:
        """Return the style of other pictures (N, 3, H, W) with their masks (N, H, W)."""
        with torch.set_grad_enabled(self._player == "generator" and torch.is_grad_enabled()):
            return self._networks.encode(image, mask)

    def generate(self, condition: Condition, style: Style | None = None) -> Generated:
        """Return the generator's result for any condition."""
        if condition is self.condition and style is None:
            return self._cut(self._made.fake) if self._pool is not None else self.fake
        if style is None and "swapped_condition" in self._made.__dict__ and condition is self.swapped_condition:
            return self.swapped
        if style is None and "transferred_condition" in self._made.__dict__ and condition is self.transferred_condition:
            return self.transferred
        with torch.set_grad_enabled(self._player == "generator" and torch.is_grad_enabled()):
            result = self._networks.generate(condition, style)
        self._asked.append((result, condition))
        return result

    def judge(
        self, picture: Generated, condition: Condition | None = None, *, full_precision: bool = False
    ) -> Judgement:
        """Return the discriminator's judgement of pictures.

        Args:
            picture: :attr:`real`, :attr:`fake`, :attr:`swapped`, :attr:`transferred` (judged once a turn), or any other
                (judged each time).
            condition: by default what the picture was made for; :attr:`condition` for pictures the step does not know.
            full_precision: judge in fp32.
        """
        name = self._name_of(picture)
        # With a pool, `judge(fake, condition)` means the fakes with what they were made for: a past result judged with
        # the mask of another face would be recognised by that alone.
        if name is not None and not (
            condition is None
            or condition is self._condition_of(name)
            or (name == "fake" and condition is self.condition)
        ):
            name = None
        if name is None:
            asked = next((entry for made, entry in self._asked if made is picture), self.condition)
            judged = self._networks.judge(picture, condition or asked, full=full_precision, plain=True)
            return with_float32_features(judged)
        if (name, full_precision) not in self._judgements:
            self._judge(name, full=full_precision)
        return self._judgements[name, full_precision]

    def _judge(self, name: PictureName, *, full: bool) -> None:
        """Judge a picture, and with it those that share its pass."""
        alone = self._networks.batch_dependent or full or (self._player == "generator" and name == "real")
        together = [name] if alone else self._sharing_a_pass(name)
        pictures = [self._picture(each) for each in together]
        if len(pictures) > 1:
            # In the basic type: a model family's own fields say how a result came about, not what is judged.
            pictures = [Generated(picture.image, picture.pyramid) for picture in pictures]
        with torch.no_grad() if self._player == "generator" and name == "real" else nullcontext():
            judgement = self._networks.judge(
                concatenate(pictures), concatenate([self._condition_of(each) for each in together]), full=full
            )
        for each, picture in zip(together[:-1], pictures):
            own, judgement = judgement.split(len(picture.image))
            self._judgements[each, full] = with_float32_features(own)
        self._judgements[together[-1], full] = with_float32_features(judgement)

    def _sharing_a_pass(self, name: PictureName) -> list[PictureName]:
        """Return the pictures that are judged together with one, itself among them."""
        # Results only that were made already: nobody may want the others.
        sharing: list[PictureName] = ["real"] if self._player == "discriminator" else []
        if "_fake_and_condition" in self.__dict__:
            sharing.append("fake")
        sharing += [each for each in _OTHER_RESULTS if each in self.__dict__]
        return [each for each in sharing if (each, False) not in self._judgements]

    def _name_of(self, picture: Generated) -> PictureName | None:
        for name in ("real", *_OTHER_RESULTS):
            if self.__dict__.get(name) is picture:
                return name
        made = self.__dict__.get("_fake_and_condition")
        return "fake" if made is not None and made[0] is picture else None

    def _picture(self, name: PictureName) -> Generated:
        return cast("Generated", getattr(self, name))

    def _condition_of(self, name: PictureName) -> Condition:
        if name == "fake":
            return self._fake_and_condition[1]
        if name == "swapped":
            return self.swapped_condition
        return self.transferred_condition if name == "transferred" else self.condition

    def _cut(self, made: T) -> T:
        return detach(made) if self._player == "discriminator" else made
