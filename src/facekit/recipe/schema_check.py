"""The first stage of validation: the recipe against the core's settings and each component's options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from facekit.interfaces import NoOptions, Player, did_you_mean
from facekit.recipe.layers import RECIPE_FORMAT, check_format
from facekit.recipe.network_check import check_calls, check_players, in_usual_order, names_are_meant
from facekit.recipe.network_kinds import NAMED_KINDS, USUAL_PLAYERS, kind_of_network
from facekit.recipe.nodes import Entry, ListNode, MapNode, Node, ScalarNode, describe, is_null, mark_at
from facekit.recipe.problems import Path, Problems, show_path
from facekit.recipe.resolved import (
    AugmentationChoice,
    ComponentChoice,
    LossChoice,
    Mark,
    ModelChoice,
    NetworkChoice,
    UpdateChoices,
)
from facekit.recipe.settings import (
    NETWORK_NAME,
    AugmentCore,
    DataSettings,
    LossSettings,
    NetworkSettings,
    OptimiserCore,
    ScheduleCore,
    TrainSettings,
)
from facekit.recipe.settings_check import check_settings, unknown_key_hint
from facekit.recipe.update_check import check_augmentation, check_updates, players_in
from facekit.registry import Kind, PluginRecord, Registry, UnknownComponent

TOP_LEVEL = ("facekit", "extends", "name", "description", "data", "model", "losses", "metrics", "train")
"""The keys a recipe may have at its top."""

CoreSettings = TypeVar(
    "CoreSettings", DataSettings, LossSettings, NetworkSettings, OptimiserCore, ScheduleCore, AugmentCore, NoOptions
)


@dataclass(frozen=True)
class CheckedRecipe:
    """What the schema stage found; None where it found a mistake."""

    name: str
    description: str
    dataset: ComponentChoice | None
    data: DataSettings | None
    model: ModelChoice | None
    losses: tuple[LossChoice, ...]
    metrics: tuple[ComponentChoice, ...]
    train: TrainSettings | None
    updates: UpdateChoices | None
    augmentation: AugmentationChoice | None


def check_schema(
    root: MapNode, *, registry: Registry, name: str, problems: Problems, record: PluginRecord | None = None
) -> CheckedRecipe:
    """Check the merged recipe.

    Args:
        root: the recipe.
        registry: the components.
        name: the recipe's name where it states none.
        problems: collects the mistakes.
        record: of a run's recipe, the plugins that the run was made with.
    """
    return _SchemaCheck(root, registry, problems, record).check(name)


class _SchemaCheck:
    def __init__(self, root: MapNode, registry: Registry, problems: Problems, record: PluginRecord | None) -> None:
        self._root = root
        self._registry = registry
        self._problems = problems
        self._record = record

    def check(self, name: str) -> CheckedRecipe:
        for key, entry in self._root.entries.items():
            if key not in TOP_LEVEL:
                hint = unknown_key_hint(key, TOP_LEVEL)
                self._problems.add(f"unknown key {key!r}", entry.key_mark, (key,), hint)
        if self._root.get("facekit") is None:
            remedy = f"write `facekit: {RECIPE_FORMAT}`"
            self._problems.add("needs the version of the recipe format", self._root.mark, ("facekit",), remedy)
        check_format(self._root, problems=self._problems)
        section = self._section("data")
        dataset: ComponentChoice | None = None
        data: DataSettings | None = None
        if section is not None:
            dataset, data = self._component("dataset", section[0], ("data",), section[1], DataSettings)
        model = self._model()
        losses = self._losses(model)
        metrics = self._metrics()
        train, updates, augmentation = self._train(model)
        return CheckedRecipe(
            name=self._text("name") or name,
            description=self._text("description") or "",
            dataset=dataset,
            data=data,
            model=model,
            losses=losses,
            metrics=metrics,
            train=train,
            updates=updates,
            augmentation=augmentation,
        )

    def _model(self) -> ModelChoice | None:
        section = self._section("model")
        if section is None:
            return None
        node, mark = section
        networks: dict[str, NetworkChoice] = {}
        sound = True
        for name, entry in node.entries.items():
            path: Path = ("model", name)
            if is_null(entry.node):
                continue  # a recipe takes out what one that it extends has
            if not re.fullmatch(NETWORK_NAME, name):
                self._problems.add(
                    f"a network cannot be called {name!r}",
                    entry.key_mark,
                    path,
                    "use lower-case letters, digits and underscores, a letter first",
                )
                sound = False
                continue
            use = entry.node.get("use") if isinstance(entry.node, MapNode) else None
            written = use.value if isinstance(use, ScalarNode) and isinstance(use.value, str) else ""
            if not isinstance(entry.node, MapNode) and self._unknown(
                name, entry, path, {*NAMED_KINDS, *node.entries} - {name}
            ):
                sound = False
                continue
            kind = kind_of_network(name, written, self._registry)
            choice, settings = self._component(kind, entry.node, path, entry.key_mark, NetworkSettings)
            if choice is None or settings is None:
                sound = False
            else:
                networks[name] = NetworkChoice(choice, settings)
        players = self._root.get("losses")
        named = players.entries if isinstance(players, MapNode) else {}
        if not sound or not names_are_meant(networks, named, node, self._problems):
            return None
        if not networks:
            self._problems.add("needs a network", mark, ("model",), "add model.generator")
            return None
        model = ModelChoice(in_usual_order(networks))
        check_calls(model, node, self._problems)
        return model

    def _losses(self, model: ModelChoice | None) -> tuple[LossChoice, ...]:
        section = self._section("losses")
        if section is None:
            return ()
        node, mark = section
        found: list[LossChoice] = []
        for player, entry in node.entries.items():
            if self._unknown(player, entry, ("losses", player), (*USUAL_PLAYERS, *(model.networks if model else ()))):
                continue
            labels: dict[str, Mark] = {}
            for index, item in enumerate(self._list(entry, ("losses", player))):
                loss = self._loss(player, index, item, labels)
                found += [] if loss is None else [loss]
        if model is not None:
            check_players(found, model, node, mark, self._problems)
        return tuple(found)

    def _loss(self, player: Player, index: int, item: Node, labels: dict[str, Mark]) -> LossChoice | None:
        """Check one loss; ``labels`` are those of the player so far, where each was written."""
        path: Path = ("losses", player, index)
        choice, settings = self._component("loss", item, path, item.mark, LossSettings)
        if choice is not None and player in USUAL_PLAYERS and player not in choice.component.spec.players:
            spec = choice.component.spec
            message = f"the loss {spec.name!r} is for the {' and the '.join(spec.players)}, not for the {player}"
            self._problems.add(message, choice.mark, (*path, "use"), f"move it to losses.{spec.players[0]}")
            return None
        if choice is None or settings is None:
            return None
        label = settings.label or choice.component.spec.name
        mark = item.entries["label"].node.mark if isinstance(item, MapNode) and settings.label else choice.mark
        if label in labels:
            message = f"two losses of the {player} are called {label!r}; the first is in line {labels[label].line}"
            self._problems.add(message, mark, path, "give one of them a `label:` of its own")
            return None
        labels[label] = mark
        return LossChoice(player, label, settings.weight, choice, settings.every)

    def _metrics(self) -> tuple[ComponentChoice, ...]:
        items = enumerate(self._list(self._root.entries.get("metrics"), ("metrics",)))
        found = [self._component("metric", item, ("metrics", index), item.mark, NoOptions)[0] for index, item in items]
        return tuple(choice for choice in found if choice is not None)

    def _train(
        self, model: ModelChoice | None
    ) -> tuple[TrainSettings | None, UpdateChoices | None, AugmentationChoice | None]:
        section = self._section("train")
        if section is None:
            return None, None, None
        node, mark = section
        entries = dict(node.entries)
        if not is_null(node.get("steps")) and not is_null(node.get("epochs")):
            reported = {"train.steps", "train.epochs"} & {problem.path for problem in self._problems.found}
            if not reported:
                self._problems.add(
                    "train.steps already says how long to train", entries["epochs"].key_mark, ("train", "epochs")
                )
            del entries["epochs"]
        augment = entries.pop("augment", None)
        chosen = {str(key): entries.pop(key) for key in ("optimiser", "schedule") if key in entries}
        train = check_settings(TrainSettings, entries, path=("train",), mark=mark, problems=self._problems)
        updates, settings = check_updates(
            chosen,
            mark,
            component=self._component,
            players=players_in(self._root.get("losses")),
            networks=None if model is None else list(model.networks),
            problems=self._problems,
        )
        augmentation, augment_settings = check_augmentation(
            augment, component=self._component, model=model, problems=self._problems
        )
        if train is not None:
            train = train.model_copy(update={**settings, "augment": augment_settings})
            self._check_parts(train, node, model)
            if train.keep.best is not None and train.evaluate_every is None:
                self._problems.add(
                    "the best checkpoint is known only if metrics are measured during the run",
                    mark_at(node, ("keep", "best"), mark),
                    ("train", "keep", "best"),
                    "set train.evaluate_every",
                )
        return train, updates, augmentation

    def _check_parts(self, train: TrainSettings, node: MapNode, model: ModelChoice | None) -> None:
        """Check that what ``train`` says of parts of the model is about parts that the model has."""
        if model is None:
            return
        slots = list(model.networks)
        parts = {"initialise": [one.part for one in train.initialise], "freeze": [one.part for one in train.freeze]}
        for key, names in parts.items():
            for index, part in enumerate(names):
                slot, path = part.split(".")[0], (key, index, "part")
                if slot not in slots:
                    hint = did_you_mean(slot, slots) or f"networks: {', '.join(slots)}"
                    mark = mark_at(node, path, node.mark)
                    self._problems.add(f"this recipe has no network {slot!r}", mark, ("train", *path), hint)
        players = players_in(self._root.get("losses"))
        turns = node.get("turns")
        for player in train.turns:
            if player not in players:
                mark = turns.entries[player].key_mark if isinstance(turns, MapNode) else node.mark
                hint = did_you_mean(player, players) or f"players: {', '.join(players) or 'none'}"
                message = f"no player is called {player!r}, or it has no losses"
                self._problems.add(message, mark, ("train", "turns", player), hint)

    def _component(
        self, kind: Kind, node: Node, path: Path, mark: Mark, core: type[CoreSettings]
    ) -> tuple[ComponentChoice | None, CoreSettings | None]:
        """Check a map with ``use:``; ``core`` are the core's settings that stand beside the component's options."""
        if not isinstance(node, MapNode):
            name = node.value if isinstance(node, ScalarNode) and isinstance(node.value, str) else "..."
            self._problems.add(
                f"expected a map with `use:`, found {describe(node)}", node.mark, path, f"write {{use: {name}}}"
            )
            return None, None
        core_keys = set(core.model_fields)
        own = {key: entry for key, entry in node.entries.items() if key in core_keys}
        settings = check_settings(core, own, path=path, mark=mark, problems=self._problems)
        registered = None
        use = node.entries.get("use")
        if use is None:
            hints = {key: did_you_mean(key, ["use"]) for key in node.entries if key not in core_keys}
            for key in (misspelt := [key for key, hint in hints.items() if hint]):
                self._problems.add(f"unknown key {key!r}", node.entries[key].key_mark, (*path, key), hints[key])
            if not misspelt:
                self._problems.add("needs `use`, the name of a component", mark, path, self._candidates(kind))
        elif not isinstance(use.node, ScalarNode) or not isinstance(use.node.value, str):
            message = f"expected the name of a component, found {describe(use.node)}"
            self._problems.add(message, use.node.mark, (*path, "use"), self._candidates(kind))
        else:
            try:
                registered, _ = self._registry.find_use(kind, use.node.value, record=self._record)
            except UnknownComponent as error:
                self._problems.add(error.message, use.node.mark, (*path, "use"), error.remedy)
        if registered is None or use is None:
            return None, settings
        clash = sorted(core_keys & set(registered.spec.options.model_fields))
        if clash:
            message = f"the plugin {registered.origin} has options that belong to the core here: {', '.join(clash)}"
            self._problems.add(message, use.node.mark, (*path, "use"))
            return None, settings
        entries = {key: entry for key, entry in node.entries.items() if key != "use" and key not in core_keys}
        options = check_settings(
            registered.spec.options,
            entries,
            path=path,
            mark=mark if mark.file == use.key_mark.file else use.key_mark,
            problems=self._problems,
            also_known=core.model_fields,
        )
        if options is None:
            return None, settings
        return ComponentChoice(registered, options, show_path(path), use.node.mark), settings

    def _candidates(self, kind: Kind) -> str | None:
        names = self._registry.names(kind)
        return f"one of {', '.join(names)}" if names else f"no plugin offers a {kind}"

    def _section(self, key: str) -> tuple[MapNode, Mark] | None:
        entry = self._root.entries.get(key)
        if entry is None:
            self._problems.add(f"the recipe needs `{key}:`", self._root.mark, (key,))
            return None
        if not isinstance(entry.node, MapNode):
            self._problems.add(f"expected a map of settings, found {describe(entry.node)}", entry.node.mark, (key,))
            return None
        return entry.node, entry.key_mark

    def _list(self, entry: Entry | None, path: Path) -> Sequence[Node]:
        if entry is None or is_null(entry.node):
            return ()
        if not isinstance(entry.node, ListNode):
            hint = "start the item with `- `" if isinstance(entry.node, MapNode) else None
            self._problems.add(f"expected a list, found {describe(entry.node)}", entry.node.mark, path, hint)
            return ()
        return entry.node.items

    def _text(self, key: str) -> str | None:
        node = self._root.get(key)
        if node is None:
            return None
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            return node.value
        self._problems.add(f"expected text, found {describe(node)}", node.mark, (key,), "put it in quotes")
        return None

    def _unknown(self, name: str, entry: Entry, path: Path, known: Iterable[str]) -> bool:
        """Report a name that holds no settings and is near a known one, in place of what it does not hold."""
        hint = did_you_mean(name, known)
        if name in known or hint is None or is_null(entry.node) or isinstance(entry.node, MapNode | ListNode):
            return False
        self._problems.add(f"unknown name {name!r}", entry.key_mark, path, hint)
        return True
