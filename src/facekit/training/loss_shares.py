"""How much of a player's gradient each of its losses is: measured now and then at the last layer of what it trains.

A weighted loss says little by its size. Its gradient at the last layer, relative to those of the player's other losses,
says who decides what the network learns; all losses of a player meet there, and the way to it is short. Losses may
declare a share below which their player no longer trains what they are for (``ComponentSpec.least_share``).

A reading differentiates each loss once more, up to that layer, and changes nothing: gradients, random states and
weights are what they would be without it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from facekit.interfaces import Player, SaysLastLayer
from facekit.interfaces.events import GRADIENT_SHARE
from facekit.training.networks import FaceModel
from facekit.training.players import PlayerInTraining, WeightedLoss

PATIENCE = 10
"""Readings over which a share is averaged before anybody is warned of it."""

_PENDING, _RECENT, _WARNED = "pending", "recent", "warned"


class LossShares:
    """Reads the shares of losses in the gradients of players that have several, every so many steps."""

    def __init__(self, model: FaceModel, players: Mapping[Player, PlayerInTraining], *, every: int | None) -> None:
        self._model = model
        self._players = players
        self._intervals = {
            name: interval(player.losses, every=every)
            for name, player in players.items()
            if every is not None and len(player.losses) > 1
        }
        self._under_way: list[tuple[Player, list[str], Tensor]] = []
        self._pending: list[dict[str, float]] = []
        self._recent: dict[str, deque[float]] = {}
        self._warned: list[str] = []

    def due(self, player: Player, index: int) -> bool:
        """Return whether a player's losses are read at a step, from 0: never at the first."""
        steps = self._intervals.get(player)
        return steps is not None and index > 0 and index % steps == 0

    def read(self, player: PlayerInTraining, values: Sequence[Tensor]) -> None:
        """Read the shares of a player's losses, before its backward pass.

        Args:
            values: its weighted losses in their order; those that are left out take no gradient.
        """
        found = [(loss, value) for loss, value in zip(player.losses, values, strict=True) if value.requires_grad]
        layer = self._last_layer(player, [value for _, value in found]) if len(found) > 1 else None
        if layer is None:
            return
        norms = []
        for loss, value in found:
            (gradient,) = torch.autograd.grad(value, layer, retain_graph=True)
            # A lazy loss counts several times where it is computed; over the run it weighs less.
            norms.append(gradient.float().norm() / loss.every)
        # On a GPU they stay there until somebody asks: looking at once would make the processor wait.
        self._under_way.append((player.name, [loss.label for loss, _ in found], torch.stack(norms)))

    def settle(self) -> None:
        """Wait for what was read."""
        for player, labels, norms in self._under_way:
            total = float(norms.sum())
            if not math.isfinite(total) or total == 0:
                continue
            shares = {f"{player}/{label}": norm / total for label, norm in zip(labels, norms.tolist(), strict=True)}
            self._pending.append(shares)
            for name, share in shares.items():
                self._recent.setdefault(name, deque(maxlen=PATIENCE)).append(share)
        self._under_way.clear()

    def taken(self) -> dict[str, float]:
        """Return the mean of each share over the readings since the last time this was asked, for the log."""
        self.settle()
        by_name: dict[str, list[float]] = {}
        for shares in self._pending:
            for name, share in shares.items():
                by_name.setdefault(f"{GRADIENT_SHARE}{name}", []).append(share)
        self._pending.clear()
        return {name: sum(shares) / len(shares) for name, shares in by_name.items()}

    def warnings(self) -> list[str]:
        """Return what is to be said of losses whose share has been too small for long, of each loss once."""
        self.settle()
        found = []
        for player in self._players.values():
            means = {
                loss.label: sum(recent) / len(recent)
                for loss in player.losses
                if len(recent := self._recent.get(f"{player.name}/{loss.label}", ())) == PATIENCE
            }
            for loss in player.losses:
                name = f"{player.name}/{loss.label}"
                choice = loss.culprit.choice
                least = None if choice is None else choice.component.spec.least_share
                if least is None or name in self._warned or means.get(loss.label, 1.0) >= least.share:
                    continue
                self._warned.append(name)
                others = sorted((each for each in means if each != loss.label), key=lambda each: -means[each])
                beside = ", ".join(f"{each} {_percent(means[each])}" for each in others)
                found.append(
                    f"{name} is {_percent(means[loss.label])} of the gradient at the last layer ({beside}), over the "
                    f"last {PATIENCE} readings: {least.meaning}. Raise its weight, or lower those of the others"
                )
        return found

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as JSON data."""
        self.settle()
        recent = {name: list(shares) for name, shares in self._recent.items()}
        return {_PENDING: [dict(shares) for shares in self._pending], _RECENT: recent, _WARNED: list(self._warned)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`state` returned."""
        self._pending = [{str(name): float(share) for name, share in shares.items()} for shares in state[_PENDING]]
        self._recent = {
            str(name): deque(map(float, shares), maxlen=PATIENCE) for name, shares in state[_RECENT].items()
        }
        self._warned = [str(name) for name in state[_WARNED]]

    def _last_layer(self, player: PlayerInTraining, values: Sequence[Tensor]) -> nn.Parameter | None:
        """Return the last matrix of what a player trains that all of its losses reach; None where there is none.

        The network of the player's name counts where it has such a matrix, else all that the player trains. What a
        network says of itself goes first.
        """
        reached = frozenset.intersection(*(leaves(value) for value in values))
        matrices = {
            key: weight
            for key, weight in player.computing.items()
            if weight.dim() > 1 and weight.requires_grad and id(weight) in reached
        }
        own = {key: weight for key, weight in matrices.items() if key.startswith(f"{player.name}.")}
        network = self._model.get(player.name)
        if isinstance(network, SaysLastLayer):
            said = own.get(f"{player.name}.{network.last_layer}")
            if said is not None:
                return said
        return next(reversed((own or matrices).values()), None)


def interval(losses: Sequence[WeightedLoss], *, every: int) -> int:
    """Return the steps between readings: at least ``every``, and such that lazy losses are computed at each."""
    together = math.lcm(*(loss.every for loss in losses))
    return together * -(-every // together)


def leaves(value: Tensor) -> frozenset[int]:
    """Return the ids of the weights that a value leads back to."""
    found: set[int] = set()
    seen: set[Any] = set()
    waiting: list[Any] = [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        waiting += [following for following, _ in node.next_functions]
    return frozenset(found)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
