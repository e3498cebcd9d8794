"""The first stage of validation: the recipe against the core's settings and each component's options."""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import SequenceMatcher

from facekit.interfaces import GENERATOR, SAMPLER, NoOptions, did_you_mean, nearest
from facekit.recipe.component_check import RecipeCheck
from facekit.recipe.dump import document_of
from facekit.recipe.layers import RECIPE_FORMAT, check_format
from facekit.recipe.network_kinds import NAMED_KINDS, USUAL_PLAYERS, kind_of_network
from facekit.recipe.nodes import ListNode, MapNode, describe, is_null, items_of, text_of, use_of
from facekit.recipe.problems import Path, Problems
from facekit.recipe.resolved import (
    ComponentChoice,
    LossChoice,
    Mark,
    ModelChoice,
    NetworkChoice,
    ResolvedRecipe,
    networks_of,
    order_of_turns,
)
from facekit.recipe.settings import NETWORK_NAME, DataSettings, LossSettings, NetworkSettings
from facekit.recipe.settings_check import unknown_key_hint
from facekit.recipe.train_check import check_train
from facekit.registry import PluginRecord, Registry

TOP_LEVEL = ("facekit", "extends", "name", "description", "data", "model", "losses", "metrics", "train")
"""The keys a recipe may have at its top."""


def check_schema(
    root: MapNode, *, registry: Registry, name: str, problems: Problems, record: PluginRecord | None = None
) -> ResolvedRecipe:
    """Check the merged recipe, and return what it says but for the dimensions of ports.

    ``name`` is the recipe's name where it states none; ``problems`` has the mistakes so far.

    Raises:
        RecipeError: with every mistake that was found.
    """
    check = RecipeCheck(root, registry, problems, record)
    for key, entry in root.entries.items():
        if key not in TOP_LEVEL:
            problems.add(f"unknown key {key!r}", entry.key_mark, (key,), unknown_key_hint(key, TOP_LEVEL))
    if root.get("facekit") is None:
        remedy = f"write `facekit: {RECIPE_FORMAT}`"
        problems.add("needs the version of the recipe format", root.mark, ("facekit",), remedy)
    check_format(root, problems=problems)
    texts: dict[str, str | None] = {}
    for key in ("name", "description"):
        node = root.get(key)
        texts[key] = text_of(node)
        if node is not None and texts[key] is None:
            problems.add(f"expected text, found {describe(node)}", node.mark, (key,), "put it in quotes")
    section = check.section("data")
    dataset, data = (
        (None, None) if section is None else check.component("dataset", section[0], ("data",), section[1], DataSettings)
    )
    model = _check_model(check)
    losses = _check_losses(check, model)
    metrics: list[ComponentChoice] = []
    for index, item in enumerate(check.items(root.entries.get("metrics"), ("metrics",))):
        metric, _ = check.component("metric", item, ("metrics", index), item.mark, NoOptions)
        metrics += [] if metric is None else [metric]
    train, updates, augmentation = check_train(check, model)
    problems.raise_if_any()
    assert dataset is not None  # a section that is None has left a problem
    assert data is not None
    assert model is not None
    assert train is not None
    assert updates is not None
    recipe = ResolvedRecipe(
        name=texts["name"] or name,
        description=texts["description"] or "",
        dataset=dataset,
        data=data,
        model=model,
        losses=losses,
        metrics=tuple(metrics),
        train=train,
        updates=updates,
        augmentation=augmentation,
        notices=problems.notices_in_order(),
    )
    return replace(recipe, document=document_of(recipe))


def _check_model(check: RecipeCheck) -> ModelChoice | None:
    section = check.section("model")
    if section is None:
        return None
    node, mark = section
    problems, networks, sound = check.problems, dict[str, NetworkChoice](), True
    for name, entry in node.entries.items():
        path: Path = ("model", name)
        if is_null(entry.node):
            continue  # a recipe takes out what one that it extends has
        if not re.fullmatch(NETWORK_NAME, name):
            remedy = "use lower-case letters, digits and underscores, a letter first"
            problems.add(f"a network cannot be called {name!r}", entry.key_mark, path, remedy)
            sound = False
            continue
        hint = did_you_mean(name, {*NAMED_KINDS, *node.entries} - {name})
        if hint is not None and not isinstance(entry.node, MapNode | ListNode):
            problems.add(f"unknown name {name!r}", entry.key_mark, path, hint)
            sound = False
            continue
        kind = kind_of_network(name, use_of(entry.node) or "", check.registry)
        choice, settings = check.component(kind, entry.node, path, entry.key_mark, NetworkSettings)
        if choice is None or settings is None:
            sound = False
        else:
            networks[name] = NetworkChoice(choice, settings)
    players = check.root.get("losses")
    players = players if isinstance(players, MapNode) else MapNode({}, mark)
    for name, network in networks.items() if SAMPLER not in networks else ():
        # A slip of the pen in a usual name, so that nothing would call it; a player's network is called what it is.
        kind = network.choice.component.spec.kind
        missing = kind in NAMED_KINDS and kind not in networks and name not in players.entries
        if missing and _is_near(name, kind):
            message = f"nothing calls a network of the name {name!r}, and there is no {kind!r}"
            problems.add(message, node.entries[name].key_mark, ("model", name), f"did you mean {kind!r}?")
            sound = False
    if not sound:
        return None
    if not networks:
        problems.add("needs a network", mark, ("model",), "add model.generator")
        return None
    usual = [str(kind) for kind in NAMED_KINDS if kind in networks]
    model = ModelChoice({name: networks[name] for name in dict.fromkeys([*usual, *networks])})
    _check_calls(model, node, problems)
    return model


def _check_calls(model: ModelChoice, node: MapNode, problems: Problems) -> None:
    """Check that networks of the usual names can be called as their names say, and that images can be generated."""
    sampler = model.get(SAMPLER)
    for name, choice in model.components():
        spec = choice.component.spec
        if spec.kind == SAMPLER and name != SAMPLER:
            problems.add(f"{spec.id!r} is a sampler", choice.mark, choice.path, "call it model.sampler")
        if spec.kind == "network" and name in NAMED_KINDS and (sampler is None or name == SAMPLER):
            message = f"{spec.id!r} is of the kind network, and is not called as a {name} is"
            remedy = "add the model.sampler that calls it, or give it another name"
            problems.add(message, choice.mark, choice.path, remedy)
    if sampler is None and model.get(GENERATOR) is None:
        first = next(choice for _, choice in model.components())
        problems.add(
            "nothing says how an image is generated: there is neither `generator` nor `sampler`",
            # Where a recipe takes the generator out of one that it extends, that is the place.
            node.entries[GENERATOR].node.mark if GENERATOR in node.entries else first.mark,
            ("model",),
            did_you_mean(GENERATOR, model.networks) or "add model.generator or model.sampler",
        )


def _check_losses(check: RecipeCheck, model: ModelChoice | None) -> tuple[LossChoice, ...]:
    section = check.section("losses")
    if section is None:
        return ()
    node, mark = section
    problems, found = check.problems, list[LossChoice]()
    known = (*USUAL_PLAYERS, *(model.networks if model else ()))
    for player, entry in node.entries.items():
        hint = did_you_mean(player, known)
        if not (player in known or hint is None or is_null(entry.node) or isinstance(entry.node, MapNode | ListNode)):
            problems.add(f"unknown name {player!r}", entry.key_mark, ("losses", player), hint)
            continue
        labels: dict[str, Mark] = {}
        for index, item in enumerate(check.items(entry, ("losses", player))):
            path: Path = ("losses", player, index)
            choice, settings = check.component("loss", item, path, item.mark, LossSettings)
            if choice is None:
                continue
            spec = choice.component.spec
            if player in USUAL_PLAYERS and player not in spec.players:
                message = f"the loss {spec.name!r} is for the {' and the '.join(spec.players)}, not for the {player}"
                problems.add(message, choice.mark, (*path, "use"), f"move it to losses.{spec.players[0]}")
                continue
            if settings is None:
                continue
            label, place = settings.label or spec.name, choice.mark
            if settings.label and isinstance(item, MapNode):
                place = item.entries["label"].node.mark
            if label in labels:
                message = f"two losses of the {player} are called {label!r}; the first is in line {labels[label].line}"
                problems.add(message, place, path, "give one of them a `label:` of its own")
                continue
            labels[label] = place
            found.append(LossChoice(player, label, settings.weight, choice, settings.every))
    if model is not None:
        _check_players(found, model, node, mark, problems)
    return tuple(found)


def _check_players(losses: list[LossChoice], model: ModelChoice, node: MapNode, mark: Mark, problems: Problems) -> None:
    """Check that every player has networks to train, and every discriminator a player.

    ``node`` is the recipe's ``losses:``, and ``mark`` where that key was written.
    """
    players = order_of_turns((loss.player for loss in losses), model)

    def without_loss(name: str, hint: str | None) -> None:
        place = node.entries[name].key_mark if name in node.entries else mark
        said = f"the {name.replace('_', ' ')} has no loss, so it would learn nothing"
        problems.add(said, place, ("losses", name), hint)

    unnamed = [name for name in model.networks if name not in players and name not in model.frozen]
    meant: dict[str, tuple[str, ...]] = {}
    """Players whose names are slips of the pen, and the networks that are meant."""
    for player in players:
        # The last one may be called anything: it trains all that nobody is named after.
        near = nearest(player, unnamed) if not networks_of(player, players, model) else ()
        names = tuple(near) or tuple(name for name in unnamed if _is_near(player, name))
        if names and player not in model.networks:
            meant[player] = names
            place = node.entries[player].key_mark
            problems.add(f"no network is called {player!r}", place, ("losses", player), did_you_mean(player, names))
    for name in sorted((model.discriminators - model.frozen - set(players)).difference(*meant.values())):
        without_loss(name, f"give it one, or leave model.{name} out")
    reported = {problem.path.split(".")[0] for problem in problems.found}
    if not set(players) - model.discriminators and "losses" not in reported:
        lists = {player: [] if is_null(entry.node) else items_of(entry.node) for player, entry in node.entries.items()}
        empty = {player for player, items in lists.items() if not items} - model.discriminators
        without_loss(min(empty, default=GENERATOR), None)
    for player in players:
        if player in meant or networks_of(player, players, model):
            continue
        loss = next(loss for loss in losses if loss.player == player)
        message = f"this recipe has no {player.replace('_', ' ')} for this loss to train"
        hint = f"add model.{player}, or remove the loss"
        if player in model.frozen:
            message, hint = f"the {player} is frozen, so this loss has nothing to train", f"set {player}.frozen: false"
        problems.add(message, loss.choice.mark, loss.choice.path, hint)


def _is_near(name: str, other: str) -> bool:
    """Return whether two names differ by a slip of the pen."""
    return name != other and SequenceMatcher(None, name, other).ratio() >= 0.88
