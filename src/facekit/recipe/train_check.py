"""Checks ``train:``: its settings, and the components in it (optimiser and schedule, also per player, augmentation)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from facekit.interfaces import DISCRIMINATOR, did_you_mean
from facekit.recipe.component_check import RecipeCheck
from facekit.recipe.nodes import Entry, ListNode, MapNode, ScalarNode, entry_at, is_null, mark_at, plain
from facekit.recipe.problems import Path
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
    TrainSettings,
)
from facekit.recipe.settings_check import check_settings
from facekit.registry import join_use

UpdateCore = TypeVar("UpdateCore", OptimiserCore, ScheduleCore)


def check_train(
    check: RecipeCheck, model: ModelChoice | None
) -> tuple[TrainSettings | None, UpdateChoices | None, AugmentationChoice | None]:
    """Return what ``train:`` says, and the components it names; None for what is wrong, or is not there.

    The settings say the same as the components, as plain data with every default written out.
    """
    section = check.section("train")
    if section is None:
        return None, None, None
    node, mark = section
    problems, entries = check.problems, dict(node.entries)
    losses = check.root.get("losses")
    of_losses = losses.entries if isinstance(losses, MapNode) else {}
    players = [key for key, entry in of_losses.items() if isinstance(entry.node, ListNode) and entry.node.items]
    lengths = [key for key in entries if key in ("steps", "epochs") and not is_null(node.get(key))]
    if len(lengths) == 2:
        first, second = lengths
        message = f"train.{first} in line {entries[first].key_mark.line} already says how long to train"
        remedy = f"keep `{first}` or `{second}`, not both"
        problems.add(message, entries.pop(second).key_mark, ("train", second), remedy)
    parts = {key: entries.pop(key, None) for key in ("optimiser", "schedule", "augment")}
    train = check_settings(TrainSettings, entries, path=("train",), mark=mark, problems=problems)
    before = len(problems.found)
    optimiser = _check_update(check, "optimiser", OptimiserCore, "adam", parts["optimiser"], mark, players)
    if optimiser is not None:
        at = parts["optimiser"]
        scales = at.node.get("lr_scale") if at is not None and isinstance(at.node, MapNode) else None
        for name, scale in scales.entries.items() if isinstance(scales, MapNode) else ():
            _check_network(check, name, model, scale.key_mark, ("train", "optimiser", "lr_scale", name))
    schedule = _check_update(check, "schedule", ScheduleCore, "linear_decay", parts["schedule"], mark, players)
    updates: UpdateChoices | None = None
    settings: dict[str, Any] = {}
    if optimiser is not None and schedule is not None and len(problems.found) == before:
        choice, core, own, written = optimiser
        its_choice, its_core, its_own, its_written = schedule
        updates = UpdateChoices(
            OptimiserChoice(choice, core.lr),
            ScheduleChoice(its_choice, its_core.warmup_steps),
            {player: OptimiserChoice(each, lr.lr) for player, (each, lr) in own.items()},
            {player: ScheduleChoice(each, steps.warmup_steps) for player, (each, steps) in its_own.items()},
        )
        dumped = {"lr": core.lr, "lr_scale": core.lr_scale, "of": written}
        settings["optimiser"] = OptimiserSettings(**_written(choice), **dumped)
        dumped = {"warmup_steps": its_core.warmup_steps, "of": its_written}
        settings["schedule"] = ScheduleSettings(**_written(its_choice), **dumped)
    augmentation, settings["augment"] = _check_augmentation(check, parts["augment"], model)
    if train is None:
        return None, updates, augmentation
    train = train.model_copy(update=settings)
    named = [("initialise", i, one.part) for i, one in enumerate(train.initialise)]
    named += [("freeze", i, one.part) for i, one in enumerate(train.freeze)]
    for key, index, part in named:
        path = (key, index, "part")
        _check_network(check, part, model, mark_at(node, path, node.mark), ("train", *path))
    for player in train.turns if model is not None else ():
        if player not in players:
            turns = entry_at(node, ("turns", player))
            hint = did_you_mean(player, players) or f"players: {', '.join(players) or 'none'}"
            message = f"no player is called {player!r}, or it has no losses"
            problems.add(message, turns.key_mark if turns else mark, ("train", "turns", player), hint)
    if train.keep.best is not None and train.evaluate_every is None:
        message = "the best checkpoint is known only if metrics are measured during the run"
        place = mark_at(node, ("keep", "best"), mark)
        problems.add(message, place, ("train", "keep", "best"), "set train.evaluate_every")
    return train, updates, augmentation


def _check_network(check: RecipeCheck, part: str, model: ModelChoice | None, mark: Mark, path: Path) -> None:
    """Check that a network, or the one that a submodule such as ``generator.mapping`` lies in, is there."""
    network, networks = part.split(".")[0], list(model.networks if model is not None else ())
    if model is not None and network not in networks:
        hint = did_you_mean(network, networks) or f"networks: {', '.join(networks)}"
        check.problems.add(f"this recipe has no network {network!r}", mark, path, hint)


def _written(choice: ComponentChoice) -> dict[str, Any]:
    """Return a component as plain data, every default written out."""
    spec = choice.component.spec
    return {"use": join_use(spec.id, spec.version), **choice.options.model_dump(mode="json")}


def _check_update(
    check: RecipeCheck,
    kind: Literal["optimiser", "schedule"],
    core: type[UpdateCore],
    default: str,
    entry: Entry | None,
    mark: Mark,
    players: Sequence[str],
) -> (
    tuple[ComponentChoice, UpdateCore, dict[str, tuple[ComponentChoice, UpdateCore]], dict[str, Mapping[str, Any]]]
    | None
):
    """Check ``train.optimiser`` or ``train.schedule``; ``mark`` is where ``train`` is written.

    Returns:
        the component and its settings; those that players have of their own; and these as plain data. None where the
        component itself is wrong.
    """
    place: Path = ("train", kind)
    entry = entry or Entry(mark, MapNode({}, mark))
    node, problems = entry.node, check.problems
    if isinstance(node, MapNode) and not any(key == "use" or did_you_mean(key, ["use"]) for key in node.entries):
        use = Entry(entry.key_mark, ScalarNode(default, entry.key_mark))
        node = MapNode({"use": use, **node.entries}, node.mark)
    is_optimiser = kind == "optimiser"
    choice, settings = check.component(kind, node, place, entry.key_mark, core)
    if choice is None or settings is None or not isinstance(node, MapNode):
        return None
    common = {key: each for key, each in node.entries.items() if key not in ("of", "lr_scale")} if is_optimiser else {}
    of = node.get("of")
    found: dict[str, tuple[ComponentChoice, UpdateCore]] = {}
    written: dict[str, Mapping[str, Any]] = {}
    for player, at in of.entries.items() if isinstance(of, MapNode) else ():
        path: Path = (*place, "of", player)
        if player not in players:
            hint = did_you_mean(player, players) or (f"players: {', '.join(players)}" if players else None)
            problems.add(f"no player {player!r} has losses, so it updates nothing", at.key_mark, path, hint)
            continue
        assert isinstance(at.node, MapNode)  # the core's settings are sound
        misplaced = [key for key in (("use", "of", "lr_scale") if is_optimiser else ("of",)) if key in at.node.entries]
        for key in misplaced:
            message, remedy = f"{key!r} stands in train.{kind} only", f"move it to train.{kind}.{key}"
            if key == "use":
                message, remedy = "all players have one optimiser", "set options here"
            problems.add(message, at.node.entries[key].key_mark, (*path, key), remedy)
        if misplaced:
            continue
        merged = MapNode({**common, **at.node.entries}, at.node.mark)
        its, its_core = check.component(kind, merged, path, at.key_mark, core)
        if its is None or its_core is None:
            continue
        found[player] = its, its_core
        written[player] = {**_written(its), **its_core.model_dump(mode="json", exclude={"of", "lr_scale"})}
        if is_optimiser:  # only what was set: the rest follows from what all players have
            whole = written[player]
            written[player] = {key: whole.get(key, plain(each.node)) for key, each in at.node.entries.items()}
    return choice, settings, found, written


def _check_augmentation(
    check: RecipeCheck, entry: Entry | None, model: ModelChoice | None
) -> tuple[AugmentationChoice | None, AugmentSettings | None]:
    """Check ``train.augment``; None and None where there is none, the networks are not known, or anything is wrong."""
    if entry is None or is_null(entry.node):
        return None, None
    place: Path = ("train", "augment")
    choice, core = check.component("augmentation", entry.node, place, entry.key_mark, AugmentCore)
    if choice is None or core is None or model is None:
        return None, None
    own = [name for name, network in model.components() if network.component.spec.kind == DISCRIMINATOR]
    if not own:
        message = "an augmentation stands in front of a discriminator, and this recipe has none"
        remedy = "add model.discriminator, or take train.augment out"
        check.problems.add(message, entry.key_mark, place, remedy)
        return None, None
    for index, name in enumerate(core.of):
        if name in own:
            continue
        network = model.get(name)
        message = f"this recipe has no network {name!r}"
        if network is not None:
            kind = network.component.spec.kind.replace("_", " ")
            message = f"{name!r} is of the kind {kind}, and an augmentation stands in front of discriminators"
        mark = mark_at(entry.node, ("of", index), entry.key_mark)
        hint = did_you_mean(name, own) or f"discriminators: {', '.join(own)}"
        check.problems.add(message, mark, (*place, "of", index), hint)
    if set(core.of) - set(own):
        return None, None
    return AugmentationChoice(choice, core.of or tuple(own)), AugmentSettings(of=core.of, **_written(choice))
