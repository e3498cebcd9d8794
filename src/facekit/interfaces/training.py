"""How weights are updated and learning rates change, and how images before discriminators are augmented."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from facekit.interfaces.containers import Condition, DiscriminatorOutput, Generated

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.optim import Optimizer


@dataclass(frozen=True)
class TrainingContext:
    """What the factory of an optimiser or a schedule is given beside its options.

    Args:
        player: the player whose weights are updated.
        steps: the steps of the run.
    """

    player: str
    steps: int


MakeOptimiser = Callable[[list[dict[str, Any]]], "Optimizer"]
"""What the factory of an optimiser returns: a function of groups of weights that returns an optimiser for them.

The groups are as ``torch.optim`` takes them: ``params``, a list of weights, and ``lr``, their learning rate, which
facekit sets before every update to what the schedule makes of it. The optimiser's ``step`` needs no closure. What it
knows of a weight, in ``state[weight]``, is tensors, numbers, true and false, None, or lists and maps of these:
checkpoints keep them, and a resumed run goes on bit for bit. The same goes for numbers in its groups that it changes.
What it keeps anywhere else is lost."""

Schedule = Callable[[int, int], float]
"""What the factory of a schedule returns: a pure function of a step, from 0, and the steps of the run.

It gives the factor on the learning rates in that step: a finite number of at least 0.
"""


class Augmentation(Protocol):
    """Changes what discriminators are shown at random: a ``torch.nn.Module`` or any object.

    The engine calls it before every call of a discriminator in training, real photos and fakes alike, and never where
    images are generated or measured. It draws once a turn and micro-batch, for the samples of the batch: sample i of
    the photos and sample i of the fakes are changed in the same way, so that they may be compared.
    """

    def draw(self, count: int, random: torch.Generator, *, certain: bool = False) -> Mapping[str, Tensor]:
        """Draw what happens to each of ``count`` samples: tensors (count, ...) on the CPU, by name.

        Args:
            count: the samples of the batch.
            random: CPU generator to draw from, and from nothing else.
            certain: let everything happen to every sample, whatever its chance: the shape check asks for it.

        Returns:
            tensors by name; none where nothing happens to any sample, which is then shown as it is.
        """
        ...

    def __call__(
        self, image: Generated, condition: Condition, drawn: Mapping[str, Tensor]
    ) -> tuple[Generated, Condition]:
        """Return images and conditions as the discriminator is shown them.

        What moves an image moves its pyramid, its maps, and of the condition ``mask`` and ``source_image`` with it. The
        reference stays as it is. The result can be differentiated twice with respect to the images.

        Args:
            image: M images, real or fake. Fields of a model family's subclass are kept.
            condition: theirs; ``extra`` holds what the discriminator's ports need alone.
            drawn: what :meth:`draw` gave, on the device, M rows.

        Raises:
            FacekitError: there is something that it cannot move with the image.
        """
        ...


@runtime_checkable
class AdaptiveAugmentation(Protocol):
    """An augmentation that changes with what discriminators give. What it keeps goes into every checkpoint."""

    interval: int
    """Steps from one adaptation to the next."""

    def read(self, output: DiscriminatorOutput, real: Tensor) -> Tensor:
        """Return K numbers, float32 (K,), of a discriminator's output in its own turn; facekit sums them up.

        Args:
            output: its logits for M samples, without a graph and without feature maps.
            real: (M,) float32, 1 for photos of the batch and 0 for anything else.
        """
        ...

    def adapt(self, sums: Sequence[float], images: int) -> None:
        """Change with what was read since the last adaptation.

        Args:
            sums: the sums of what :meth:`read` returned, over all calls, micro-batches and processes.
            images: how many photos the discriminators' turns had meanwhile, over all processes.
        """
        ...

    def diagnostics(self) -> Mapping[str, float]:
        """Return numbers for the log by name, such as the probability that it has come to."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return all that it keeps from step to step, as tensors by name."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`state` returned."""
        ...
