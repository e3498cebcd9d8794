"""The interfaces of networks, losses and the step they meet in. Importing this module does not import torch.

Style encoders, generators and discriminators are ``torch.nn.Module`` objects whose ``forward`` has the signature
given here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from facekit.interfaces.containers import Condition, FaceBatch, Generated, Judgement, Style

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Player = Literal["generator", "discriminator"]


class StyleEncoder(Protocol):
    """Reads the look of a photo."""

    def __call__(self, image: Tensor, mask: Tensor) -> Style:
        """Return the style of photos (N, 3, H, W) in [-1, 1] with their own masks of class ids (N, H, W)."""
        ...


class Generator(Protocol):
    """Paints a face."""

    def __call__(self, condition: Condition, style: Style | None) -> Generated:
        """Return pictures (N, 3, H, W) in [-1, 1]. ``style`` is None in recipes without a style encoder."""
        ...


class Discriminator(Protocol):
    """Judges pictures against what they were asked to show."""

    def __call__(self, picture: Generated, condition: Condition) -> Judgement:
        """Return the judgement of pictures, real or generated. Conditional discriminators read ``condition.mask``."""
        ...


Recompute = Callable[..., Any]
"""Calls a function, its first argument, on the others; it may be called a second time in the backward pass."""


@runtime_checkable
class Recomputable(Protocol):
    """A network of which parts may be computed again in the backward pass (``train.activation_checkpointing``).

    Such a network calls those parts by its attribute ``recompute``: ``features = self.recompute(block, features)``. At
    first that calls them and does no more; the engine puts what it wants in its place. A part returns the same each
    time, draws no random numbers and changes no buffers. Networks without the attribute keep all their activations.
    """

    recompute: Recompute


@runtime_checkable
class UpdatedEarly(Protocol):
    """A network whose weights may change while its backward pass goes on.

    On the CPU the engine then updates each large weight as soon as its gradient is complete, and the gradients of all
    never lie in memory at once. Networks of torch's own layers may say so, by an attribute ``updated_early = True``. A
    network may not where the backward pass reads a weight on a way that does not lead to its gradient: where it
    computes with ``weight.detach()``, or keeps a weight for an autograd function outside ``save_for_backward``.
    Networks without the attribute are updated when the backward pass is over.
    """

    updated_early: bool


class Step(Protocol):
    """One training step as a loss sees it. Each thing is computed when first asked for, and at most once a turn.

    In the discriminator's turn everything the generator made is cut from its graph. In the generator's turn the
    discriminator is frozen, and its judgement of real photos carries no gradient.
    """

    @property
    def index(self) -> int:
        """The number of this step, from 0."""
        ...

    @property
    def player(self) -> Player:
        """Whose turn it is."""
        ...

    @property
    def batch(self) -> FaceBatch:
        """The real faces of this step."""
        ...

    @property
    def condition(self) -> Condition:
        """The condition of ``batch``."""
        ...

    @property
    def random(self) -> torch.Generator:
        """A CPU random generator seeded by the run's seed, the step and the turn. Losses draw from this one only."""
        ...

    @property
    def real(self) -> Generated:
        """The real photos, in the form of a generator's result."""
        ...

    @property
    def style(self) -> Style:
        """The style of the references of ``condition``. Raises FacekitError in a recipe without a style encoder."""
        ...

    @property
    def fake(self) -> Generated:
        """The generator's result for ``condition``."""
        ...

    @property
    def swapped_condition(self) -> Condition:
        """``condition``, or its first samples (``train.swapped``), each in the look of another face."""
        ...

    @property
    def swapped(self) -> Generated:
        """The generator's result for ``swapped_condition``; no reference is encoded again."""
        ...

    @property
    def transferred_condition(self) -> Condition:
        """``condition`` with the attributes of faces of the batch in a random order: what each photo is to get.

        Some faces may keep their own. Raises FacekitError where the data has no attributes.
        """
        ...

    @property
    def transferred(self) -> Generated:
        """The generator's result for ``transferred_condition``."""
        ...

    def encode(self, image: Tensor, mask: Tensor) -> Style:
        """Return the style of other pictures (for instance of a result, for style cycle losses)."""
        ...

    def generate(self, condition: Condition, style: Style | None = None) -> Generated:
        """Return the generator's result for any condition; ``style`` saves encoding the reference again."""
        ...

    def judge(
        self, picture: Generated, condition: Condition | None = None, *, full_precision: bool = False
    ) -> Judgement:
        """Return the discriminator's judgement of pictures: those of this step, or any others.

        ``condition`` defaults to the one the picture was made for. Photos and the results that were made before they
        are asked about are judged in one joint pass.
        ``full_precision`` judges in fp32 without autocast, whatever the precision of the run: for penalties, whose
        gradients are differentiated again.
        """
        ...


class Loss(Protocol):
    """A loss: a ``torch.nn.Module`` or any callable."""

    def __call__(self, step: Step) -> Tensor:
        """Return the unweighted loss, a scalar float32 tensor. The recipe's weight is applied by the engine."""
        ...
