"""How much each loss is of its player's gradient: right numbers, nothing changed by reading them, a warning in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.kills import Killed, kill_after, tensors_of
from torch import Tensor

from facekit.recipe import ResolvedRecipe
from facekit.registry import LeastShare, Registry
from facekit.report.write import write_report
from facekit.training.failures import Culprit
from facekit.training.loop import train
from facekit.training.loss_shares import PATIENCE, LossShares, interval, leaves
from facekit.training.players import WeightedLoss
from facekit.training.run.event_log import read_lines

ReadRecipe = Callable[..., ResolvedRecipe]
_LOSS = WeightedLoss("any", 1.0, lambda step: torch.zeros(()), Culprit("the loss"))
EVERY_STEP = ("train.loss_shares=1", "train.log_every=1")


def shares(run: Path) -> dict[int, dict[str, float]]:
    lines = [line for line in read_lines(run / "metrics.jsonl") if line["event"] == "train"]
    found = {}
    for line in lines:
        own = {name: value for name, value in line["diagnostics"].items() if name.startswith("gradient_share/")}
        if own:
            found[line["step"]] = own
    return found


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("train.accumulate=2", "train.batch=2", "train.precision=bf16"),
        ("train.turns.discriminator=2", "train.gradient_clip=0.5"),
        ("train.activation_checkpointing=true", "model.generator.dropout=0.3"),
    ],
    ids=["plain", "accumulate", "turns", "checkpointing+dropout"],
)
def test_reading_changes_nothing(
    tmp_path: Path, registry: Registry, read: ReadRecipe, overrides: tuple[str, ...]
) -> None:
    train(read("train.loss_shares=null", *overrides), out=tmp_path / "without", registry=registry)
    train(read(*EVERY_STEP, *overrides), out=tmp_path / "with", registry=registry)
    left, right = tensors_of(tmp_path / "without", 8), tensors_of(tmp_path / "with", 8)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
    assert not shares(tmp_path / "without")
    found = shares(tmp_path / "with")
    assert sorted(found) == list(range(2, 9))  # none at the first step
    names = {
        "gradient_share/generator/adversarial",
        "gradient_share/generator/feature_matching",
        "gradient_share/generator/l1",
        "gradient_share/discriminator/adversarial",
        "gradient_share/discriminator/penalty",
    }
    for own in found.values():
        assert own.keys() == names
        for player in ("generator", "discriminator"):
            together = [value for name, value in own.items() if f"/{player}/" in name]
            assert sum(together) == pytest.approx(1, abs=1e-6)
            assert min(together) > 0


def test_they_are_the_norms_at_the_last_layer(
    tmp_path: Path, registry: Registry, read: ReadRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held against the gradients of single losses; a weight doubles what its loss counts."""
    seen: list[tuple[str, list[float]]] = []
    before = LossShares.read

    def noted(self: LossShares, player: Any, values: list[Tensor]) -> None:
        if player.name == "generator":
            layer = self._last_layer(player, values)
            name = next(key for key, weight in player.parameters.items() if weight is layer)
            norms = []
            for value in values:
                gradients = torch.autograd.grad(
                    value, [layer, *player.parameters.values()], retain_graph=True, allow_unused=True
                )
                norms.append(float(gradients[0].norm()))
            seen.append((name, norms))
        before(self, player, values)

    monkeypatch.setattr(LossShares, "read", noted)
    train(read(*EVERY_STEP, "train.steps=2"), out=tmp_path / "one", registry=registry)
    (name, norms), *_ = seen
    assert name == "generator.head.weight"
    own = shares(tmp_path / "one")[2]
    labels = ("adversarial", "feature_matching", "l1")
    for label, norm in zip(labels, norms, strict=True):
        assert own[f"gradient_share/generator/{label}"] == pytest.approx(norm / sum(norms), rel=1e-5)


def test_a_networks_own_word_goes_first(
    tmp_path: Path, registry: Registry, read: ReadRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tiny_plugin  # type: ignore[import-not-found]

    chosen: list[str] = []
    before = LossShares._last_layer

    def noted(self: LossShares, player: Any, values: list[Tensor]) -> Any:
        layer = before(self, player, values)
        chosen.extend(key for key, weight in player.parameters.items() if weight is layer)
        return layer

    recipe = read(*EVERY_STEP, "train.steps=2")
    monkeypatch.setattr(LossShares, "_last_layer", noted)
    monkeypatch.setattr(tiny_plugin.Painter, "last_layer", "stem.weight", raising=False)
    train(recipe, out=tmp_path / "run", registry=registry)
    assert "generator.stem.weight" in chosen


def test_resumes_exactly(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    recipe = read("train.loss_shares=1", "train.log_every=4", "train.checkpoint_every=3")
    train(recipe, out=tmp_path / "whole", registry=registry)
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_after(8))
    # The checkpoint of step 6 holds the readings since the line of step 4.
    assert not (tmp_path / "killed" / "checkpoints" / "step-00000008").exists()
    train(recipe, out=tmp_path / "killed", registry=registry, resume=True)
    assert shares(tmp_path / "whole") == shares(tmp_path / "killed")
    assert sorted(shares(tmp_path / "whole")) == [4, 8]


def test_lazy_losses_are_computed_at_every_reading(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    recipe = read("train.loss_shares=2", "train.log_every=1", "losses.discriminator[1].every=3")
    train(recipe, out=tmp_path / "run", registry=registry)
    found = shares(tmp_path / "run")
    with_penalty = [step for step, own in found.items() if "gradient_share/discriminator/penalty" in own]
    assert with_penalty == [4, 7]  # steps 3 and 6 counted from 0
    assert [step for step, own in found.items() if "gradient_share/generator/l1" in own] == [3, 5, 7]


@pytest.mark.parametrize(("every", "lazy", "expected"), [(20, (1, 1), 20), (20, (1, 16), 32), (5, (2, 3), 6)])
def test_intervals(every: int, lazy: tuple[int, ...], expected: int) -> None:
    assert interval([replace(_LOSS, every=each) for each in lazy], every=every) == expected


def test_losses_that_meet_in_an_earlier_layer_are_read_there() -> None:
    first, second, third = (torch.nn.Parameter(torch.randn(2, 2)) for _ in range(3))
    hidden = torch.ones(1, 2) @ first
    one, other = (hidden @ second).sum(), (hidden @ second @ third).sum()
    assert leaves(one) == {id(first), id(second)}
    assert leaves(one) & leaves(other) == {id(first), id(second)}
    assert leaves(hidden.detach().sum()) == set()


def with_least_share(recipe: ResolvedRecipe, label: str, least: LeastShare) -> ResolvedRecipe:
    """The recipe, in which a loss of the generator declares a least share."""

    def changed(loss: Any) -> Any:
        if (loss.player, loss.label) != ("generator", label):
            return loss
        component = replace(loss.choice.component, spec=replace(loss.choice.component.spec, least_share=least))
        return replace(loss, choice=replace(loss.choice, component=component))

    return replace(recipe, losses=tuple(changed(loss) for loss in recipe.losses))


def test_it_warns_once_and_in_the_report(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    recipe = read(*EVERY_STEP, "train.steps=16", "losses.generator[1].weight=1e-6")
    recipe = with_least_share(recipe, "feature_matching", LeastShare(0.05, "nothing is matched"))
    result = train(recipe, out=tmp_path / "run", registry=registry)
    (warning,) = [each for each in result.warnings if "gradient" in each]
    assert warning.startswith("generator/feature_matching is ")
    assert f"over the last {PATIENCE} readings: nothing is matched. Raise its weight" in warning
    lines = [line for line in read_lines(tmp_path / "run" / "metrics.jsonl") if line.get("message") == warning]
    assert [line["step"] for line in lines] == [PATIENCE + 1]
    page = write_report(tmp_path / "run").read_text("utf-8")
    assert "nothing is matched" in page
    assert "Generator losses in the gradient" in page
    assert "Discriminator losses in the gradient" in page


@pytest.mark.parametrize("steps", [PATIENCE, 16])
def test_it_does_not_warn_too_early_or_without_reason(
    tmp_path: Path, registry: Registry, read: ReadRecipe, steps: int
) -> None:
    weight = "1e-6" if steps == PATIENCE else "10"
    recipe = read(*EVERY_STEP, f"train.steps={steps}", f"losses.generator[1].weight={weight}")
    recipe = with_least_share(recipe, "feature_matching", LeastShare(0.05, "nothing is matched"))
    assert not [each for each in train(recipe, out=tmp_path / "run", registry=registry).warnings if "matched" in each]


def test_of_frozen_parts_and_single_losses(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    """A last layer that is not trained yet is passed over; a player of one loss is not read."""
    overrides = (
        "losses.discriminator=[{use: tiny/adversarial}]",
        "train.freeze=[{part: generator.head, until: 0.5}]",
    )
    train(read(*EVERY_STEP, *overrides), out=tmp_path / "run", registry=registry)
    found = shares(tmp_path / "run")
    assert sorted(found) == list(range(2, 9))
    assert not any("discriminator" in name for own in found.values() for name in own)


def test_a_least_share_is_a_share() -> None:
    with pytest.raises(ValueError, match="between 0 and 1, found 5"):
        LeastShare(5, "percent")
