"""A recipe once it is read, merged and validated: what the rest of facekit works with. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from facekit.interfaces import (
    DISCRIMINATOR,
    GENERATOR,
    BuildContext,
    FacekitError,
    Options,
    Player,
    PortContext,
    Ports,
    TrainingContext,
)
from facekit.recipe.settings import DataSettings, NetworkSettings, TrainSettings, WeightRamp
from facekit.registry import RegisteredComponent

OVERRIDE = "--set "
"""What the marks of overrides have in place of a file starts with."""


@dataclass(frozen=True)
class Mark:
    """A place in a recipe file or in an override.

    Args:
        file: the file as the user named it, or ``--set path=value`` for an override.
        line: 1-based; 0 for the file as a whole (it is missing, say).
        column: 1-based, counted in characters.
        text: the text of the line.
    """

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    @property
    def is_override(self) -> bool:
        """Whether it lies in an override rather than in a file."""
        return self.file.startswith(OVERRIDE)

    @property
    def short(self) -> str:
        """The file and the line, for sentences that point at a second place."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True)
class Notice:
    """Something a person should know of a recipe that is no mistake: an option that was read as an older version's.

    ``path`` is the place in the recipe's tree, e.g. ``model.generator.blocks``.
    """

    message: str
    mark: Mark
    path: str

    def __str__(self) -> str:
        return f"{self.mark}: {self.path}: note: {self.message}"


@dataclass(frozen=True)
class ComponentChoice:
    """A component a recipe names, with its validated options.

    ``path`` is where in the recipe it stands, e.g. ``losses.generator[1]``; ``mark`` where its ``use:`` was written.
    Recipes that differ in marks alone are equal.
    """

    component: RegisteredComponent
    options: Options
    path: str
    mark: Mark = field(compare=False)

    def ports(self, context: PortContext) -> Ports:
        """Return what it needs and gives with these options."""
        return self.component.spec.ports(self.options, context)

    def build(self, context: BuildContext | TrainingContext) -> Any:
        """Build the component.

        Raises:
            FacekitError: with the component's place in the recipe, where the component names no other.
        """
        try:
            return self.component.spec.build(self.options, context)
        except FacekitError as error:
            if error.where or type(error) is not FacekitError:
                raise
            raise FacekitError(error.message, where=self.path, remedy=error.remedy) from error


@dataclass(frozen=True)
class LossChoice:
    """A loss of a player.

    Args:
        label: its name in logs, unique for the player (``feature_matching``, ``adversarial``, or the recipe's
            ``label:``).
        weight: factor on its value.
        every: it is computed at every n-th step, counted n times there.
    """

    player: Player
    label: str
    weight: float | WeightRamp
    choice: ComponentChoice
    every: int = 1


@dataclass(frozen=True)
class OptimiserChoice:
    """The optimiser of a player, with its learning rate."""

    choice: ComponentChoice
    lr: float


@dataclass(frozen=True)
class ScheduleChoice:
    """The schedule of a player, with its steps of warm-up."""

    choice: ComponentChoice
    warmup_steps: int


@dataclass(frozen=True)
class UpdateChoices:
    """How the weights of players are updated: what ``train.optimiser`` and ``train.schedule`` mean.

    ``optimisers`` and ``schedules`` are those that players have of their own, by their names; ``optimiser`` and
    ``schedule`` are for all others.
    """

    optimiser: OptimiserChoice
    schedule: ScheduleChoice
    optimisers: Mapping[str, OptimiserChoice] = field(default_factory=dict)
    schedules: Mapping[str, ScheduleChoice] = field(default_factory=dict)

    def optimiser_of(self, player: str) -> OptimiserChoice:
        """Return the optimiser of a player."""
        return self.optimisers.get(player, self.optimiser)

    def schedule_of(self, player: str) -> ScheduleChoice:
        """Return the schedule of a player."""
        return self.schedules.get(player, self.schedule)

    def components(self) -> Iterator[ComponentChoice]:
        """Yield every component among them."""
        yield from (each.choice for each in (self.optimiser, *self.optimisers.values()))
        yield from (each.choice for each in (self.schedule, *self.schedules.values()))


@dataclass(frozen=True)
class AugmentationChoice:
    """What stands in front of discriminators in training, and the names of those."""

    choice: ComponentChoice
    of: tuple[str, ...]


@dataclass(frozen=True)
class NetworkChoice:
    """A network of a model; its settings say whether it is frozen, and where its weights come from."""

    choice: ComponentChoice
    settings: NetworkSettings


@dataclass(frozen=True)
class ModelChoice:
    """The networks of a model by the names that the recipe gives them, its sampler among them where it has one."""

    networks: Mapping[str, NetworkChoice]

    def get(self, name: str) -> ComponentChoice | None:
        """Return the component of a name, None where there is none."""
        found = self.networks.get(name)
        return None if found is None else found.choice

    def components(self) -> Iterator[tuple[str, ComponentChoice]]:
        """Yield name and component of each network, in the order of :attr:`networks`."""
        return ((name, network.choice) for name, network in self.networks.items())

    @property
    def frozen(self) -> frozenset[str]:
        """The names of the networks that keep their weights."""
        return frozenset(name for name, network in self.networks.items() if network.settings.frozen)

    @property
    def discriminators(self) -> frozenset[str]:
        """The names of the networks of the kind ``discriminator``: no image is generated with them."""
        return frozenset(name for name, choice in self.components() if choice.component.spec.kind == DISCRIMINATOR)


def order_of_turns(players: Iterable[Player], model: ModelChoice) -> tuple[Player, ...]:
    """Return players in the order in which they take their turns in a step.

    Those named after a discriminator come first and ``generator`` comes last; others keep the order of the recipe.
    """

    named = list(dict.fromkeys(players))
    first = [player for player in named if player in model.discriminators and player != GENERATOR]
    between = [player for player in named if player not in first and player != GENERATOR]
    return (*first, *between, *(player for player in named if player == GENERATOR))


def networks_of(player: Player, players: Sequence[Player], model: ModelChoice) -> tuple[str, ...]:
    """Return the names of the networks that a player trains.

    That is the network of its own name; and for the last player also every network that nobody is named after and that
    is neither frozen nor a discriminator.

    Args:
        player: one of ``players``.
        players: all of them, in the order of their turns.
        model: the networks.
    """

    rest = set(model.networks) - set(players) - model.discriminators if player == players[-1] else set()
    return tuple(name for name in model.networks if name in rest | {player} and name not in model.frozen)


@dataclass(frozen=True)
class ResolvedRecipe:
    """Everything a run needs, checked.

    Args:
        name: the recipe's ``name:``, or its file's stem.
        data: what the core does with the data.
        losses: the losses of all players, in recipe order.
        updates: the optimisers and schedules that ``train`` names.
        augmentation: what stands in front of discriminators; None for nothing.
        document: the merged recipe as plain YAML data, every default written out: it is locked into the run folder and
            reads back to an equal recipe.
        dimensions: the named dimensions that the ports settled.
        notices: what was read as an older version of a component has it; recipes that differ in this alone are equal.
    """

    name: str
    description: str
    dataset: ComponentChoice
    data: DataSettings
    model: ModelChoice
    losses: tuple[LossChoice, ...]
    metrics: tuple[ComponentChoice, ...]
    train: TrainSettings
    updates: UpdateChoices
    augmentation: AugmentationChoice | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    dimensions: Mapping[str, int] = field(default_factory=dict)
    notices: tuple[Notice, ...] = field(default=(), compare=False)

    def losses_of(self, player: Player) -> tuple[LossChoice, ...]:
        """Return the losses of a player."""
        return tuple(loss for loss in self.losses if loss.player == player)

    @property
    def players(self) -> tuple[Player, ...]:
        """The players that have losses, in the order of their turns; losses of weight 0 do not count."""
        return order_of_turns((loss.player for loss in self.losses if loss.weight), self.model)
