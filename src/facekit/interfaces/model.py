"""The interfaces of networks, losses and the step they meet in. Importing this module does not import torch.

Style encoders, generators and discriminators are ``torch.nn.Module`` objects whose ``forward`` has the signature given
here. Networks of the kind ``network`` have any signature: the losses and the sampler of their family call them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from facekit.interfaces.containers import Condition, DiscriminatorOutput, FaceBatch, Generated, Reference, Style
from facekit.interfaces.errors import FacekitError
from facekit.interfaces.ports import Ports

T = TypeVar("T")

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Player = str
"""The name of a player. It trains the network of that name; the last player also those that nobody is named after."""

STYLE_ENCODER, GENERATOR, DISCRIMINATOR, SAMPLER = "style_encoder", "generator", "discriminator", "sampler"
"""The names of networks that :func:`encode`, :func:`sample` and :func:`discriminate` look for."""


class StyleEncoder(Protocol):
    """Reads the style of a photo."""

    def __call__(self, image: Tensor, mask: Tensor | None) -> Style:
        """Return the style of photos (N, 3, H, W) in [-1, 1] with their own masks of class ids (N, H, W)."""
        ...


class Generator(Protocol):
    """Generates a face."""

    def __call__(self, condition: Condition, style: Style | None) -> Generated:
        """Return N images (N, 3, H, W) in [-1, 1]. ``style`` is None in recipes without a style encoder."""
        ...


class Discriminator(Protocol):
    """Tells real from generated images."""

    def __call__(self, image: Generated, condition: Condition, /) -> DiscriminatorOutput:
        """Return its output for N images in [-1, 1], real or fake. Conditional ones read ``condition.mask``."""
        ...


class Sampler(Protocol):
    """Makes images with the networks of a recipe where the default, :func:`sample`, does not know how.

    A sampler may be a ``torch.nn.Module`` or any callable. Its ports declare what it needs of the condition.
    """

    def __call__(self, networks: Mapping[str, Callable[..., Any]], condition: Condition) -> Generated:
        """Return images (N, 3, H, W) in [-1, 1]; ``networks`` are those of the recipe by name."""
        ...


class Network(Protocol):
    """A network of a recipe as losses call it: in the precision of the run, with results in float32.

    Methods of the network are called in the same way: ``step.networks["generator"].denoise(...)``.
    """

    ports: Ports
    """What the component declares that it needs and gives."""
    batch_dependent: bool
    """Whether its result for a sample depends on the other samples of the batch."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Return what the network returns."""
        ...

    def __getattr__(self, name: str) -> Any:
        """Return a method of the network, or another attribute."""
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
class SaysLastLayer(Protocol):
    """A network that names the last weight before its output.

    The shares of losses in the gradient are read there (``train.loss_shares``). Without the attribute it is the last
    matrix in the order in which the network registered its weights.
    """

    last_layer: str
    """The weight's name within the network: ``to_image.weight``."""


class Step(Protocol):
    """One turn of one player on one batch, as a loss sees it. Nothing here is about faces or about GANs.

    The networks that the player trains take gradients; all others are frozen, and gradients pass through them.
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
    def trained(self) -> frozenset[str]:
        """The names of the networks that the player trains."""
        ...

    @property
    def batch(self) -> FaceBatch:
        """The real faces of this step."""
        ...

    @property
    def condition(self) -> Condition:
        """The condition of ``batch``; the same object each time."""
        ...

    @property
    def random(self) -> torch.Generator:
        """A CPU random generator seeded by the run's seed, the step and the turn. Losses draw from this one only."""
        ...

    @property
    def networks(self) -> Mapping[str, Network]:
        """Every network of the recipe by name; the sampler too, where there is one.

        Raises FacekitError for a name that the recipe does not have.
        """
        ...

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` returns, computed at most once for this batch and shared by all losses.

        A result of networks that the player does not train is cut from their graph. The player that trains them and
        takes its turn on the same batch later in the step gets the same result with its graph, without a second forward
        pass. A result of networks that the player trains keeps its graph, and is made anew after their update. What is
        computed outside ``once`` is never shared.
        """
        ...

    def mean(self, numbers: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes that train together, cut from its graph; alone, its numbers.

        Gradients and logged losses are means over processes. That is right of a loss that is a mean over the samples of
        a batch. A weighted mean divides by ``step.mean(weights.sum())``, so that it is the one of all their samples.
        Every process has to call it alike.
        """
        ...

    def full_precision(self) -> AbstractContextManager[None]:
        """Return a context in which networks compute in float32, whatever the precision of the run, and uncompiled.

        For penalties, whose gradients are differentiated again.
        """
        ...


class Loss(Protocol):
    """A loss: a ``torch.nn.Module`` or any callable."""

    def __call__(self, step: Step) -> Tensor:
        """Return the unweighted loss, a scalar float32 tensor. The recipe's weight is applied by the engine."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """A loss that keeps more from step to step than the buffers of a module: for instance a pool of past fakes.

    It goes into every checkpoint. Such losses work in runs of one process.
    """

    def state(self) -> dict[str, Tensor]:
        """Return all that it keeps, as tensors by name."""
        ...

    def load_state(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Put back what :meth:`state` returned."""
        ...


Networks = Mapping[str, Callable[..., Any]]
"""Networks by name: plain modules, or those of a step."""


def encode(networks: Networks, reference: Reference | None) -> Style:
    """Return the style of reference photos.

    Raises:
        FacekitError: there is no style encoder, or no reference.
    """
    if STYLE_ENCODER not in networks:
        raise FacekitError(
            "this recipe has no style encoder, but something asks for a style",
            remedy="add model.style_encoder, or take out the loss that needs a style",
        )
    if reference is None:
        raise FacekitError(
            "this model generates in the style of a reference photo, and there is none",
            remedy="give a reference photo and its own mask",
        )
    style: Style = networks[STYLE_ENCODER](reference.image, reference.mask)
    return style


def sample(networks: Networks, condition: Condition, style: Style | None = None) -> Generated:
    """Return the images of a recipe for a condition: those of its sampler, or else of its generator.

    Args:
        networks: the networks of the recipe by name, and its sampler where it has one.
        condition: the conditions, N of them.
        style: saves encoding the reference of ``condition`` again; only for recipes without a sampler of their own.

    Raises:
        FacekitError: there is neither sampler nor generator, or the reference is missing that a style is read from.
    """
    if SAMPLER in networks:
        if style is not None:
            raise FacekitError("this recipe has a sampler, which encodes references by itself; it takes no style")
        made: Generated = networks[SAMPLER](networks, condition)
        return made
    if GENERATOR not in networks:
        raise FacekitError(
            f"nothing says how the networks of this recipe ({', '.join(networks)}) generate an image",
            remedy="call one `generator`, or add a model.sampler",
        )
    if STYLE_ENCODER not in networks:
        style = None
    elif style is None:
        style = encode(networks, condition.reference)
    generated: Generated = networks[GENERATOR](condition, style)
    return generated


def discriminate(networks: Networks, image: Generated, condition: Condition) -> DiscriminatorOutput:
    """Return the discriminator's output for images.

    Raises:
        FacekitError: there is no discriminator.
    """
    if DISCRIMINATOR not in networks:
        raise FacekitError(
            "this recipe has no discriminator, but something asks for its output",
            remedy="add model.discriminator, or take out the losses that need it",
        )
    output: DiscriminatorOutput = networks[DISCRIMINATOR](image, condition)
    return output
