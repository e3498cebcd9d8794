"""Component specs: what a plugin says of a component before anybody builds it. Specs never import torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, get_args

from facekit.interfaces import (
    BuildContext,
    DatasetContext,
    ExecutorContext,
    FacekitError,
    Options,
    PortContext,
    Ports,
    TrainingContext,
)

Kind = Literal[
    "dataset",
    "style_encoder",
    "generator",
    "discriminator",
    "network",
    "sampler",
    "loss",
    "metric",
    "optimiser",
    "schedule",
    "augmentation",
    "segmenter",
    "face_detector",
    "executor",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_ID = re.compile(r"[a-z0-9_]+/[a-z0-9_]+")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_TARGET = re.compile(r"[^:]+:[^:]+")
_COMMAND = re.compile(r"[a-z0-9][a-z0-9_-]*( [a-z0-9][a-z0-9_-]*)?")


@dataclass(frozen=True)
class LeastShare:
    """The share of a player's gradient below which a loss no longer does what it is for.

    Args:
        share: of the norms of the gradients of all its losses at the last layer, 0 to 1.
        meaning: what it means to stay below, in words that go on a sentence: ``the recipe is a regression``.

    Raises:
        ValueError: the share is not between 0 and 1.
    """

    share: float
    meaning: str

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"a least share lies between 0 and 1, found {self.share!r}")


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One change of a component's options or weights, and how what was written before it is read.

    A component of version 3 has two migrations, ``to=2`` and ``to=3``. A recipe says the version it was written for in
    ``use: name@2``, as the recipe that a run keeps always does. Options are those beside ``use:``; what lies inside one
    that is a map of settings is not looked at.

    Args:
        to: the version of the component that made the change; 2 is the first.
        summary: what changed, in one sentence that people are shown.
        renamed: options that have another name now, old name to new name.
        removed: options that are gone, each with a sentence on what to do instead.
        harmless: by removed option, the values that change nothing now: they are dropped with a note, any other value
            is refused with the sentence of ``removed``.
        weights: ``"module:function"`` that turns a state dict ``{name: tensor}`` of the version before into one of this
            version, given ``(state, options)``; None where the weights did not change.
    """

    to: int
    summary: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)
    harmless: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    weights: str | None = None

    def mistake(self, options: Collection[str]) -> str | None:
        """Return what is wrong with it; ``options`` are today's, and the names that later migrations read."""
        unheard = sorted(set(self.harmless) - set(self.removed))
        lost = sorted(set(self.renamed.values()) - set(options))
        if not self.summary.strip():
            return "has no summary, and people are shown it"
        if self.weights is not None and not _TARGET.fullmatch(self.weights):
            return f"names its weights {self.weights!r}, not in the form 'module:function'"
        if unheard:
            return f"has harmless values of {unheard[0]!r}, which it does not remove"
        return f"renames an option to {lost[0]!r}, which none has today, and no later migration reads" if lost else None


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    """Everything facekit knows of a component without importing the code that builds it.

    Args:
        kind: which interface it fulfils.
        id: ``namespace/name``; recipes use the name alone while no other namespace has it.
        summary: one sentence.
        options: the options class; a frozen pydantic model that forbids unknown keys.
        factory: ``"module:function"``, imported when the component is built. The function takes ``(options,
            context)``: the validated options and a :class:`BuildContext` (a :class:`DatasetContext` for datasets, a
            :class:`TrainingContext` for optimisers and schedules, an :class:`ExecutorContext` for executors).
        ports: computes from ``(options, context)`` what the component needs and gives. Imports no torch.
        paper: the paper the method comes from.
        licence: licence of the method's code as it is here.
        weights_licence: licence of pretrained weights that the component loads, if any.
        players: for losses: whether it is for ``generator``, ``discriminator`` or both; players of other names may have
            any loss.
        least_share: for losses: the run warns where it stays below this share of its player's gradient; None never.
        batch_dependent: for networks: one sample's result depends on the others in its batch (minibatch
            standard deviation), so that real and fake must not share a pass.
        interface_version: the version of the interfaces it was written for, as a number: the one facekit had then, not
            the one it has today.
        version: the component's own version, raised when old options or weights need help to be read.
        migrations: one for each version after the first, in order: how to read what is older.
        runtime: names of options that no weight depends on (sampling steps, guidance, truncation): they may be set when
            a run is used, ``facekit generate RUN --set sampler.steps=50``.
        probe: ``"module:function"`` with the signature of ``factory``: builds a stand-in with the same ports for the
            shape check on fake tensors, for a component that cannot run on them. None where it can.
        example: options that make a good example of it; ``facekit components show`` prints a recipe fragment with them.

    Raises:
        ValueError: a field is not of the form above.
    """

    interface_version: int
    kind: Kind
    id: str
    summary: str
    options: type[Options]
    factory: str
    ports: Callable[[Any, PortContext], Ports] = lambda options, context: Ports()
    paper: str | None = None
    licence: str = "Apache-2.0"
    weights_licence: str | None = None
    players: tuple[str, ...] = ("generator",)
    least_share: LeastShare | None = None
    batch_dependent: bool = False
    version: int = 1
    migrations: tuple[Migration, ...] = ()
    runtime: tuple[str, ...] = ()
    probe: str | None = None
    example: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"component {self.id!r} is of kind {self.kind!r}; kinds are {', '.join(KINDS)}")
        if not _ID.fullmatch(self.id):
            raise ValueError(
                f"component id {self.id!r} is not of the form namespace/name (lower case, digits, underscores)"
            )
        for name, target in (("factory", self.factory), ("probe", self.probe)):
            if target is not None and not _TARGET.fullmatch(target):
                raise ValueError(f"the {name} of {self.id!r} is {target!r}, not of the form 'module:function'")
        if [migration.to for migration in self.migrations] != list(range(2, self.version + 1)):
            raise ValueError(
                f"{self.id!r} is of version {self.version} and has migrations to "
                f"{[migration.to for migration in self.migrations]}; each version after 1 needs one, in order"
            )
        if not (isinstance(self.options, type) and issubclass(self.options, Options)):
            raise ValueError(f"the options of {self.id!r} are {self.options!r}, not a class derived from Options")
        names = {name for key, info in self.options.model_fields.items() for name in (key, info.alias) if name}
        unknown = sorted(set(self.runtime) - names)
        if unknown:
            raise ValueError(f"{self.id!r} may be set at run time in {unknown[0]!r}, which is none of its options")
        for migration in reversed(self.migrations):
            mistake = migration.mistake(names)
            if mistake:
                raise ValueError(f"{self.id!r}: the migration to version {migration.to} {mistake}")
            names |= {*migration.renamed, *migration.removed}
        if not self.players or set(self.players) - {"generator", "discriminator"}:
            raise ValueError(f"the players of {self.id!r} are {self.players!r}; there are generator and discriminator")

    @property
    def name(self) -> str:
        """The part of the id after the namespace."""
        return self.id.split("/", 1)[1]

    def build(
        self, options: Options, context: BuildContext | DatasetContext | TrainingContext | ExecutorContext
    ) -> Any:
        """Import the factory and build the component. Whatever the factory raises comes through."""
        module, function = self.factory.split(":")
        return getattr(import_module(module), function)(options, context)

    def build_probe(self, options: Options, context: BuildContext) -> Any:
        """Build what stands in for the component on fake tensors: its probe, or itself where it declares none."""
        module, function = (self.probe or self.factory).split(":")
        return getattr(import_module(module), function)(options, context)

    def migrate_weights(self, state: Mapping[str, Any], options: Options, *, version: int) -> dict[str, Any]:
        """Return the tensors that an older version of the component wrote as this version has them.

        Args:
            state: its state dict, names without the place in the model. Not changed, unless a migration does.
            options: its options as they are today.
            version: the version that wrote it.

        Raises:
            FacekitError: a migration fails, or gives something else than tensors by name.
        """
        migrated = dict(state)
        for migration in self.migrations:
            if migration.to <= version or migration.weights is None:
                continue
            what = f"the migration of {self.id!r} to version {migration.to} ({migration.weights})"
            module, function = migration.weights.split(":")
            try:
                given = getattr(import_module(module), function)(dict(migrated), options)
                if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
                    raise TypeError(f"it gave {type(given).__name__}, not tensors by name")
            except FacekitError:
                raise
            except Exception as error:
                raise FacekitError(
                    f"{what} failed on the weights of version {migration.to - 1}: {type(error).__name__}: {error}",
                    remedy="this is a mistake in the plugin",
                ) from error
            migrated = dict(given)
        return migrated


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """A command a plugin adds: ``facekit NAME``.

    Args:
        name: what it is called by: one word, or two of which the first is a group (``"import mine"``).
        summary: the line that help shows for it.
        target: ``"module:attribute"`` of the click command, imported when it is called.

    Raises:
        ValueError: the name or the target is not of this form.
    """

    name: str
    summary: str
    target: str

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and _COMMAND.fullmatch(self.name)):
            raise ValueError(
                f"a command is called {self.name!r}, not one word or two (lower case, digits, dashes, underscores)"
            )
        if not (isinstance(self.target, str) and _TARGET.fullmatch(self.target)):
            raise ValueError(
                f"the target of the command {self.name!r} is {self.target!r}, not of the form 'module:attribute'"
            )


@dataclass(frozen=True, kw_only=True)
class PluginInfo:
    """What a plugin says of itself."""

    summary: str
    homepage: str | None = None


def split_use(use: str) -> tuple[str, int | None]:
    """Return the name of a ``use:`` and the version of the component it is written for; None where it says none.

    Raises:
        FacekitError: what follows the ``@`` is no version.
    """
    name, at, version = use.partition("@")
    if not at:
        return use, None
    if not _VERSION.fullmatch(version):
        raise FacekitError(
            f"{version!r} is no version of a component",
            remedy=f"after the @ stands a whole number: {name}@1" if name else "write the component's name",
        )
    return name, int(version)


def join_use(name: str, version: int) -> str:
    """Return a name and a version as a ``use:``."""
    return f"{name}@{version}"


def name_of_use(use: str) -> str:
    """Return the name of a ``use:`` alone, whatever follows its ``@``: for people, and to compare two of them."""
    return use.partition("@")[0]
