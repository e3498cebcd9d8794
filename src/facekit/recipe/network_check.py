"""Checks of a recipe's networks and players together: who calls whom, and who trains whom. Torch-free."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import SequenceMatcher

from facekit.interfaces import GENERATOR, SAMPLER, Player, did_you_mean, nearest
from facekit.recipe.merging import items_of
from facekit.recipe.network_kinds import NAMED_KINDS
from facekit.recipe.nodes import MapNode, is_null
from facekit.recipe.problems import Problems
from facekit.recipe.resolved import LossChoice, Mark, ModelChoice, NetworkChoice, networks_of, order_of_turns


def names_are_meant(
    networks: Mapping[str, NetworkChoice], players: Collection[str], node: MapNode, problems: Problems
) -> bool:
    """Return whether no network has a usual name with a slip of the pen, so that nothing would call it.

    A network that one of the players is named after is called what it is called. ``node`` is the recipe's ``model:``.
    """
    misspelt: list[str] = []
    for name, network in networks.items() if SAMPLER not in networks else ():
        kind = network.choice.component.spec.kind
        if kind in NAMED_KINDS and kind not in networks and name not in players and _is_near(name, kind):
            misspelt.append(name)
            problems.add(
                f"nothing calls a network of the name {name!r}, and there is no {kind!r}",
                node.entries[name].key_mark,
                ("model", name),
                f"did you mean {kind!r}?",
            )
    return not misspelt


def in_usual_order(networks: Mapping[str, NetworkChoice]) -> dict[str, NetworkChoice]:
    """Return the networks of the usual names first, then the others as the recipe has them."""
    usual = [str(kind) for kind in NAMED_KINDS if kind in networks]
    return {name: networks[name] for name in (*usual, *(name for name in networks if name not in usual))}


def check_calls(model: ModelChoice, node: MapNode, problems: Problems) -> None:
    """Check that networks of the usual names can be called as their names say, and that images can be generated.

    ``node`` is the recipe's ``model:``.
    """
    sampler = model.get(SAMPLER)
    for name, choice in model.components():
        kind = choice.component.spec.kind
        if kind == SAMPLER and name != SAMPLER:
            message = f"{choice.component.spec.id!r} is a sampler"
            problems.add(message, choice.mark, choice.path, "call it model.sampler")
        if kind == "network" and name in NAMED_KINDS and (sampler is None or name == SAMPLER):
            problems.add(
                f"{choice.component.spec.id!r} is of the kind network, and is not called as a {name} is",
                choice.mark,
                choice.path,
                "add the model.sampler that calls it, or give it another name",
            )
    if sampler is None and model.get(GENERATOR) is None:
        first = next(choice for _, choice in model.components())
        problems.add(
            "nothing says how an image is generated: there is neither `generator` nor `sampler`",
            # Where a recipe takes the generator out of one that it extends, that is the place.
            node.entries[GENERATOR].node.mark if GENERATOR in node.entries else first.mark,
            ("model",),
            did_you_mean(GENERATOR, model.networks) or "add model.generator or model.sampler",
        )


def check_players(
    losses: Sequence[LossChoice], model: ModelChoice, node: MapNode, mark: Mark, problems: Problems
) -> None:
    """Check that every player has networks to train, and every discriminator a player.

    ``node`` is the recipe's ``losses:``, and ``mark`` where that key was written.
    """
    players = order_of_turns((loss.player for loss in losses), model)

    def without_loss(name: str, hint: str | None) -> None:
        place = node.entries[name].key_mark if name in node.entries else mark
        problems.add(
            f"the {name.replace('_', ' ')} has no loss, so it would learn nothing", place, ("losses", name), hint
        )

    meant = _misspelt(players, model)
    for player, names in meant.items():
        place = node.entries[player].key_mark
        problems.add(f"no network is called {player!r}", place, ("losses", player), did_you_mean(player, names))
    for name in sorted((model.discriminators - model.frozen - set(players)).difference(*meant.values())):
        without_loss(name, f"give it one, or leave model.{name} out")
    reported = {problem.path.split(".")[0] for problem in problems.found}
    if not set(players) - model.discriminators and "losses" not in reported:
        lists = {player: [] if is_null(entry.node) else items_of(entry.node) for player, entry in node.entries.items()}
        empty = {player for player, items in lists.items() if not items} - model.discriminators
        without_loss(next(iter(sorted(empty)), GENERATOR), None)
    for player in players:
        if player in meant or networks_of(player, players, model):
            continue
        loss = next(loss for loss in losses if loss.player == player)
        if player in model.frozen:
            message, hint = f"the {player} is frozen, so this loss has nothing to train", f"set {player}.frozen: false"
        else:
            message = f"this recipe has no {player.replace('_', ' ')} for this loss to train"
            hint = f"add model.{player}, or remove the loss"
        problems.add(message, loss.choice.mark, loss.choice.path, hint)


def _misspelt(players: Sequence[Player], model: ModelChoice) -> dict[Player, tuple[str, ...]]:
    """Return the players whose names were meant to be those of networks, with the names of those networks."""
    unnamed = [name for name in model.networks if name not in players and name not in model.frozen]
    found: dict[Player, tuple[str, ...]] = {}
    for player in players:
        # The last one may be called anything: it trains all that nobody is named after.
        near = nearest(player, unnamed) if not networks_of(player, players, model) else ()
        names = near or tuple(name for name in unnamed if _is_near(player, name))
        if names and player not in model.networks:
            found[player] = names
    return found


def _is_near(name: str, other: str) -> bool:
    """Return whether two names differ by a slip of the pen."""
    return name != other and SequenceMatcher(None, name, other).ratio() >= 0.88
