"""Checks the components under ``train:``: optimiser and schedule, with settings per player, and augmentation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from facekit.interfaces import DISCRIMINATOR, did_you_mean
from facekit.recipe.nodes import Entry, ListNode, MapNode, Node, ScalarNode, is_null, mark_at, plain
from facekit.recipe.problems import Path, Problems
from facekit.recipe.resolved import (
    AugmentationChoice,
    ComponentChoice,
    Mark,
    ModelChoice,
    OptimiserChoice,
    ScheduleChoice,
    UpdateChoices,
)
from facekit.recipe.settings import (
    AugmentCore,
    AugmentSettings,
    OptimiserCore,
    OptimiserSettings,
    ScheduleCore,
    ScheduleSettings,
)
from facekit.registry import join_use

CheckComponent = Callable[..., tuple[ComponentChoice | None, Any]]
"""Checks a map with ``use:``: kind, map, path, mark, and the class of the core's settings beside the options."""

_OPTIMISER: Path = ("train", "optimiser")
_SCHEDULE: Path = ("train", "schedule")
_AUGMENT: Path = ("train", "augment")


def players_in(losses: Node | None) -> list[str]:
    """Return the players that have losses in a ``losses:`` section, whether these are sound or not."""
    entries = losses.entries if isinstance(losses, MapNode) else {}
    return [key for key, entry in entries.items() if isinstance(entry.node, ListNode) and entry.node.items]


def check_updates(
    chosen: Mapping[str, Entry],
    mark: Mark,
    *,
    component: CheckComponent,
    players: Collection[str],
    networks: Collection[str] | None,
    problems: Problems,
) -> tuple[UpdateChoices | None, dict[str, Any]]:
    """Check ``train.optimiser`` and ``train.schedule``.

    Args:
        chosen: the two entries, where they are written.
        mark: where ``train`` is written.
        component: checks a component.
        players: the players that have losses.
        networks: the names of the networks; None where they are not known.
        problems: collects the mistakes.

    Returns:
        the components; and the settings that say the same as plain data, every default written out, by their keys in
        ``train``. None and no settings where anything is wrong.
    """
    check = _UpdateCheck(component, players, networks, problems)
    before = len(problems.found)
    optimiser = check.optimiser(_with_use(chosen.get("optimiser"), "adam", mark))
    schedule = check.schedule(_with_use(chosen.get("schedule"), "linear_decay", mark))
    if optimiser is None or schedule is None or len(problems.found) > before:
        return None, {}
    base, optimisers, optimiser_settings = optimiser
    common, schedules, schedule_settings = schedule
    return (
        UpdateChoices(base, common, optimisers, schedules),
        {"optimiser": optimiser_settings, "schedule": schedule_settings},
    )


def check_augmentation(
    entry: Entry | None, *, component: CheckComponent, model: ModelChoice | None, problems: Problems
) -> tuple[AugmentationChoice | None, AugmentSettings | None]:
    """Check ``train.augment``.

    Returns:
        the component, and the settings that say the same with every default written out; None and None where there is
        no augmentation, the networks are not known, or anything is wrong.
    """
    if entry is None or is_null(entry.node):
        return None, None
    choice, core = component("augmentation", entry.node, _AUGMENT, entry.key_mark, AugmentCore)
    if choice is None or core is None or model is None:
        return None, None
    own = [name for name, network in model.components() if network.component.spec.kind == DISCRIMINATOR]
    if not own:
        problems.add(
            "an augmentation stands in front of a discriminator, and this recipe has none",
            entry.key_mark,
            _AUGMENT,
            "add model.discriminator, or take train.augment out",
        )
        return None, None
    sound = True
    for index, name in enumerate(core.of):
        if name in own:
            continue
        sound = False
        network = model.get(name)
        message = f"this recipe has no network {name!r}"
        if network is not None:
            kind = network.component.spec.kind.replace("_", " ")
            message = f"{name!r} is of the kind {kind}, and an augmentation stands in front of discriminators"
        problems.add(
            message,
            mark_at(entry.node, ("of", index), entry.key_mark),
            (*_AUGMENT, "of", index),
            did_you_mean(name, own) or f"discriminators: {', '.join(own)}",
        )
    if not sound:
        return None, None
    spec = choice.component.spec
    settings = AugmentSettings(
        use=join_use(spec.id, spec.version), of=core.of, **choice.options.model_dump(mode="json")
    )
    return AugmentationChoice(choice, core.of or tuple(own)), settings


@dataclass(frozen=True)
class _UpdateCheck:
    component: CheckComponent
    players: Collection[str]
    networks: Collection[str] | None
    problems: Problems

    def optimiser(self, entry: Entry) -> tuple[OptimiserChoice, dict[str, OptimiserChoice], OptimiserSettings] | None:
        choice, core = self.component("optimiser", entry.node, _OPTIMISER, entry.key_mark, OptimiserCore)
        if choice is None or core is None:
            return None
        assert isinstance(entry.node, MapNode)  # else there were no choice
        base = {key: own for key, own in entry.node.entries.items() if key not in ("of", "lr_scale")}
        # Learning rates are scaled of networks, or parts of networks, that the recipe has.
        scales = entry.node.get("lr_scale")
        for key, scale in scales.entries.items() if isinstance(scales, MapNode) and self.networks is not None else ():
            network = key.split(".")[0]
            if network not in (self.networks or ()):
                self.problems.add(
                    f"this recipe has no network {network!r}",
                    scale.key_mark,
                    (*_OPTIMISER, "lr_scale", key),
                    did_you_mean(network, self.networks or ()) or f"networks: {', '.join(self.networks or ())}",
                )
        found: dict[str, OptimiserChoice] = {}
        settings: dict[str, dict[str, Any]] = {}
        for player, own, node in self._own(entry.node, _OPTIMISER):
            path = (*_OPTIMISER, "of", player)
            misplaced = [key for key in ("use", "of", "lr_scale") if key in node.entries]
            for key in misplaced:
                message = "all players have one optimiser" if key == "use" else f"{key!r} stands beside `use:` only"
                remedy = "set options here" if key == "use" else f"move it to train.optimiser.{key}"
                self.problems.add(message, node.entries[key].key_mark, (*path, key), remedy)
            if misplaced:
                continue
            merged = replace(node, entries={**base, **node.entries})
            its, its_core = self.component("optimiser", merged, path, own.key_mark, OptimiserCore)
            if its is None or its_core is None:
                continue
            found[player] = OptimiserChoice(its, its_core.lr)
            dumped = {"lr": its_core.lr, **its.options.model_dump(mode="json")}
            settings[player] = {key: dumped.get(key, plain(one.node)) for key, one in node.entries.items()}
        whole = OptimiserSettings(use=_use(choice), lr=core.lr, of=settings, lr_scale=core.lr_scale, **_options(choice))
        return OptimiserChoice(choice, core.lr), found, whole

    def schedule(self, entry: Entry) -> tuple[ScheduleChoice, dict[str, ScheduleChoice], ScheduleSettings] | None:
        choice, core = self.component("schedule", entry.node, _SCHEDULE, entry.key_mark, ScheduleCore)
        if choice is None or core is None:
            return None
        assert isinstance(entry.node, MapNode)  # else there were no choice
        found: dict[str, ScheduleChoice] = {}
        settings: dict[str, dict[str, Any]] = {}
        for player, own, node in self._own(entry.node, _SCHEDULE):
            path = (*_SCHEDULE, "of", player)
            its, its_core = self.component("schedule", node, path, own.key_mark, ScheduleCore)
            if "of" in node.entries:
                self.problems.add("'of' stands in train.schedule only", node.entries["of"].key_mark, (*path, "of"))
            if its is None or its_core is None:
                continue
            found[player] = ScheduleChoice(its, its_core.warmup_steps)
            settings[player] = {"use": _use(its), "warmup_steps": its_core.warmup_steps, **_options(its)}
        whole = ScheduleSettings(use=_use(choice), warmup_steps=core.warmup_steps, of=settings, **_options(choice))
        return ScheduleChoice(choice, core.warmup_steps), found, whole

    def _own(self, node: MapNode, path: Path) -> Iterator[tuple[str, Entry, MapNode]]:
        """Yield what players have of their own: of those that have losses."""
        of = node.get("of")
        assert of is None or isinstance(of, MapNode)  # the core's settings are sound
        for player, entry in of.entries.items() if of is not None else ():
            if player in self.players:
                assert isinstance(entry.node, MapNode)
                yield player, entry, entry.node
                continue
            known = f"players: {', '.join(self.players)}" if self.players else None
            self.problems.add(
                f"no player {player!r} has losses, so it updates nothing",
                entry.key_mark,
                (*path, "of", player),
                did_you_mean(player, self.players) or known,
            )


def _use(choice: ComponentChoice) -> str:
    return join_use(choice.component.spec.id, choice.component.spec.version)


def _options(choice: ComponentChoice) -> dict[str, Any]:
    return choice.options.model_dump(mode="json")


def _with_use(entry: Entry | None, name: str, mark: Mark) -> Entry:
    """Return a section that says ``use:``: the default where none is written."""
    if entry is None:
        entry = Entry(mark, MapNode({}, mark))
    node = entry.node
    if (
        not isinstance(node, MapNode)
        or "use" in node.entries
        or any(did_you_mean(key, ["use"]) for key in node.entries)
    ):
        return entry
    use = Entry(entry.key_mark, ScalarNode(name, entry.key_mark))
    return replace(entry, node=replace(node, entries={"use": use, **node.entries}))
