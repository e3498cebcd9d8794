"""Optimisers of torch and of plugins, schedules, losses that come rarely or fade, averages by half-life."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.kills import Killed, kill_after, tensors_of
from torch import nn

from facekit.interfaces import FacekitError, NoOptions, RunEvent, StepLogged
from facekit.recipe import ResolvedRecipe, dump_recipe, read_recipe
from facekit.recipe.resolved import ComponentChoice, Mark, ScheduleChoice
from facekit.recipe.settings import EmaSettings, WeightRamp
from facekit.registry import PluginSet, Registry
from facekit.training.check.shape_check import probe_shapes
from facekit.training.checkpoint import checkpoints
from facekit.training.loop import train
from facekit.training.nested import CannotFlatten, flatten, nest
from facekit.training.optimiser import Optimiser, TorchOptimiser, make_optimiser, scaled_rate
from facekit.training.run.event_log import read_lines
from facekit.training.run.folder import RunFolder
from facekit.training.schedule import RateFactor, decay_at, weight_at

ReadRecipe = Callable[..., ResolvedRecipe]
NOWHERE = Mark("", 0, 0, "")


def assert_same(first: Path, second: Path, step: int) -> None:
    left, right = tensors_of(first, step), tensors_of(second, step)
    assert left.keys() == right.keys()
    assert not [name for name in left if not torch.equal(left[name], right[name])]
    assert {checkpoints.LIVE, checkpoints.EMA, checkpoints.OPTIMISER} <= {name.split(":")[0] for name in left}


@pytest.fixture
def registry() -> Registry:
    """A registry with the tiny plugin and the one that updates."""
    plugins = PluginSet({})
    for name in ("tiny_plugin", "updating_plugin"):
        plugins.load_file(Path(__file__).parent / "plugin" / f"{name}.py")
    return Registry(plugins)


def _component(registry: Registry, kind: Any, name: str, **options: Any) -> ComponentChoice:
    component = registry.find(kind, name)
    return ComponentChoice(component, component.spec.options(**options), f"train.{kind}", NOWHERE)


def _factors(registry: Registry, name: str, steps: int, *, warmup_steps: int = 0, **options: Any) -> list[float]:
    choice = ScheduleChoice(_component(registry, "schedule", name, **options), warmup_steps)
    factor = RateFactor(choice, player="generator", steps=steps)
    return [factor(step) for step in range(steps)]


class TestSchedules:
    def test_each_by_its_formula(self, registry: Registry) -> None:
        decay = _factors(registry, "linear_decay", 10, warmup_steps=2)
        assert decay == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
        assert _factors(registry, "linear_decay", 10, decay_from=1) == [1.0] * 10
        assert _factors(registry, "constant", 3) == [1.0] * 3
        assert _factors(registry, "linear", 4) == pytest.approx([1, 0.75, 0.5, 0.25])
        assert _factors(registry, "linear", 2, final=3) == pytest.approx([1, 2])
        cosine = [0.1 + 0.9 * (1 + math.cos(math.pi * step / 5)) / 2 for step in range(5)]
        assert _factors(registry, "cosine", 5, final=0.1) == pytest.approx(cosine)
        assert _factors(registry, "step", 5, every=2, gamma=0.5) == pytest.approx([1, 1, 0.5, 0.5, 0.25])
        assert _factors(registry, "polynomial", 4, power=2) == pytest.approx([1, 0.5625, 0.25, 0.0625])

    def test_a_plugin_brings_one(self, registry: Registry) -> None:
        assert _factors(registry, "waves", 4, warmup_steps=2) == pytest.approx([0.5, 0.5, 1, 0.5])

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"bad": -0.5}, "'updating/waves' gives -0.5 at step 9 of 10; factors are finite numbers of at least 0"),
            ({"fails": True}, "'updating/waves' fails at step 0 of 10: ZeroDivisionError"),
        ],
    )
    def test_a_bad_one_is_told_before_the_run(self, registry: Registry, options: dict[str, Any], said: str) -> None:
        with pytest.raises(FacekitError, match=said) as caught:
            _factors(registry, "waves", 10, **options)
        assert caught.value.where == "train.schedule"
        assert "updating_plugin.py" in str(caught.value.remedy)


def test_players_have_rates_and_schedules_of_their_own(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    recipe = read(
        "train.log_every=1",
        "train.steps=4",
        "train.optimiser.lr=0.01",
        "train.optimiser.of.discriminator={lr: 0.04, betas: [0, 0.9]}",
        "train.optimiser.lr_scale={generator: 2, generator.stem: 0.5}",
        "train.schedule={use: linear, of: {discriminator: {use: waves, warmup_steps: 1}}}",
    )
    assert recipe.updates.optimiser_of("discriminator").choice.options.betas == (0, 0.9)  # type: ignore[attr-defined]
    assert recipe.updates.optimiser_of("generator").choice.options.betas == (0.5, 0.999)  # type: ignore[attr-defined]
    logged: list[StepLogged] = []

    def observe(event: RunEvent) -> None:
        if isinstance(event, StepLogged):
            logged.append(event)

    train(recipe, out=tmp_path / "run", registry=registry, observer=observe)
    for index, event in enumerate(logged):
        factor = 1 - index / 4
        assert event.learning_rates == pytest.approx(
            {
                "style_encoder": 0.01 * factor,
                "generator": 0.02 * factor,
                "generator.stem": 0.005 * factor,
                "discriminator": 0.04 * (0.5 if index % 2 else 1),
            }
        )
    assert len(logged) == 4


def test_the_longest_name_scales_a_rate() -> None:
    scales = {"generator": 2.0, "generator.stem": 3.0, "gen": 5.0}
    assert [scaled_rate(name, 1.0, scales) for name in ("generator", "generator.stem.weight", "generator.stems")] == [
        2.0,
        3.0,
        2.0,
    ]
    assert scaled_rate("critic.weight", 1.0, scales) == 1.0


SGD = ("train.optimiser={use: sgd, lr: 0.01, momentum: 0.9, of: {discriminator: {nesterov: true}}}",)
OPTIMISERS = {
    "adam": ("train.optimiser.of.discriminator.betas=[0, 0.9]",),
    "sgd": SGD,
    "rmsprop": ("train.optimiser={use: RMSprop, lr: 1.0e-3, momentum: 0.5, centered: true}",),
    "nadam": ("train.optimiser={use: torch/nadam, lr: 1.0e-3}",),
    "adagrad": ("train.optimiser={use: adagrad, lr: 1.0e-2, initial_accumulator_value: 0.1}",),
    "asgd": ("train.optimiser={use: asgd, lr: 1.0e-2, lambd: 0.01}",),
    "adafactor": ("train.optimiser={use: adafactor, lr: 1.0e-2}",),
    "plugin": ("train.optimiser={use: updating/odd, lr: 1.0e-3, lr_scale: {style_encoder: 2}}",),
}


@pytest.mark.parametrize("overrides", OPTIMISERS.values(), ids=OPTIMISERS)
def test_every_optimiser_resumes_exactly(
    tmp_path: Path,
    registry: Registry,
    read: ReadRecipe,
    overrides: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lazy = ("losses.discriminator[1].every=2", "losses.generator[2].weight={from: 5, to: 0, until: 0.9}")
    recipe = read("train.log_every=1", "train.schedule.use=cosine", "train.ema.half_life=50", *lazy, *overrides)
    train(recipe, out=tmp_path / "whole", registry=registry)
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_after(5))
    train(recipe, out=tmp_path / "killed", registry=registry, resume=True)
    assert_same(tmp_path / "whole", tmp_path / "killed", 8)
    for kind in (Optimiser, TorchOptimiser):  # were the state lost, the weights would be others
        monkeypatch.setattr(kind, "load_state", lambda self, state: None)
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "lost", registry=registry, observer=kill_after(5))
    train(recipe, out=tmp_path / "lost", registry=registry, resume=True)
    whole, lost = tensors_of(tmp_path / "whole", 8), tensors_of(tmp_path / "lost", 8)
    weights = [name for name in whole if name.startswith(checkpoints.LIVE)]
    assert not all(torch.equal(whole[name], lost[name]) for name in weights)


@pytest.mark.parametrize("use", ["sgd", "rmsprop", "adagrad", "nadam"])
def test_torchs_optimisers_are_torchs(registry: Registry, use: str) -> None:
    torch.manual_seed(0)
    network, plain = nn.Linear(4, 3), nn.Linear(4, 3)
    plain.load_state_dict(network.state_dict())
    spec = registry.find("optimiser", use).spec
    family = getattr(torch.optim, spec.options.__name__)
    updates = make_optimiser(
        _component(registry, "optimiser", use),
        player="generator",
        steps=9,
        parameters=dict(network.named_parameters()),
        rates={"weight": 0.1, "bias": 0.2},
    )
    reference = family([{"params": [plain.weight], "lr": 0.1}, {"params": [plain.bias], "lr": 0.2}])
    for index in range(4):
        picture = torch.randn(2, 4)
        for own in (network, plain):
            own(picture).square().mean().backward()
        for group, rate in zip(reference.param_groups, (0.1, 0.2), strict=True):
            group["lr"] = rate * (1 - index / 10)
        updates.update(1 - index / 10)
        reference.step()
        reference.zero_grad()
        assert network.weight.grad is None
    assert torch.equal(network.weight, plain.weight)
    assert torch.equal(network.bias, plain.bias)


def test_every_optimiser_of_torch_is_known_and_every_option_is_its_own(registry: Registry) -> None:
    """What is read from torch's source is what torch is."""
    from inspect import signature

    known = {entry.spec.options.__name__: entry.spec for entry in registry.of_kind("optimiser")}
    there = {name for name, value in vars(torch.optim).items() if isinstance(value, type) and name != "Optimizer"}
    assert there - set(known) == {"Adam", "AdamW", "LBFGS", "SparseAdam"}
    for name in there & set(known):
        arguments = signature(getattr(torch.optim, name)).parameters
        options = known[name].options.model_fields
        assert set(arguments) - set(options) - {"params", "lr", "capturable", "differentiable"} == set()
        for option, field in options.items():
            assert field.default == arguments[option].default, (name, option)


def test_a_whole_id_is_needed_for_a_plugins_optimiser_of_a_known_name(registry: Registry) -> None:
    assert registry.find("optimiser", "sgd").spec.id == "torch/sgd"
    assert registry.find("optimiser", "updating/sgd").spec.id == "updating/sgd"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{use: sgd, momentum: -1}", "'torch/sgd' cannot be made: ValueError: Invalid momentum value: -1"),
        ("{use: sgd, nesterov: true}", "'torch/sgd' cannot be made: ValueError: Nesterov momentum requires"),
        ("{use: odd, breaks: true}", "'updating/odd' cannot be made: ValueError: momentum is out of order"),
        ("{use: odd, gives: nonsense}", "'updating/odd' gave str, not a torch.optim.Optimizer"),
        ("{use: adam, lr_scale: {generator.stam: 2}}", "the model has no part 'generator.stam'"),
    ],
)
def test_what_only_torch_knows_is_told_before_the_run(
    registry: Registry, read: ReadRecipe, options: str, said: str
) -> None:
    with pytest.raises(FacekitError, match=said) as caught:
        probe_shapes(read(f"train.optimiser={options}"), registry=registry)
    assert str(caught.value.where).startswith("train.optimiser")
    assert caught.value.remedy


@pytest.mark.parametrize(("keeps", "said"), [("text", "kept is of type str"), ("key", "kept is a map with the key 1")])
def test_state_that_cannot_be_kept_is_told(
    tmp_path: Path, registry: Registry, read: ReadRecipe, keeps: str, said: str
) -> None:
    recipe = read(f"train.optimiser={{use: odd, keeps: {keeps}}}")
    with pytest.raises(FacekitError, match=f"the state of the optimiser 'updating/odd' cannot be kept.*{said}"):
        train(recipe, out=tmp_path / "run", registry=registry)


def test_nested_data_and_back() -> None:
    value = {
        "step": 3,
        "scale": 0.1 + 0.2,
        "on": True,
        "none": None,
        "moment": torch.randn(2, 3, dtype=torch.float64),
        "count": torch.tensor(7),
        "factors": [torch.randn(2), [1, (2.5, False)], {"left": torch.ones(1, dtype=torch.uint8)}],
        "many": list(range(12)),
        "empty": [[], (), {}],
    }
    named: dict[str, torch.Tensor] = {}
    for key, each in value.items():
        named |= flatten(key, each)
    back = nest(dict(reversed(named.items())), torch.device("cpu"))
    assert back["moment"].dtype == torch.float64
    assert torch.equal(back.pop("moment"), value.pop("moment"))  # type: ignore[arg-type]
    assert torch.equal(back["factors"].pop(0), value["factors"].pop(0))  # type: ignore[attr-defined]
    assert repr(back.pop("factors")) == repr(value.pop("factors"))
    assert back == value
    assert repr({key: back[key] for key in value}) == repr(value)  # true is no 1, and no tuple a list
    with pytest.raises(CannotFlatten, match=r"a\[1\] is of type str"):
        dict(flatten("a", [1, "text"]))


class TestLazyLosses:
    def test_it_comes_every_nth_step_n_times_as_strong(
        self, tmp_path: Path, registry: Registry, read: ReadRecipe
    ) -> None:
        values: dict[int, list[float]] = {}
        for every in (1, 3):
            recipe = read(
                "train.log_every=1",
                "train.steps=7",
                "train.optimiser={use: sgd, lr: 1.0e-12}",
                f"losses.generator[2].every={every}",
            )
            out = tmp_path / str(every)
            train(recipe, out=out, registry=registry)
            lines = read_lines(RunFolder(out).metrics)
            values[every] = [line["losses"]["generator/l1"] for line in lines if "losses" in line]
        assert values[3] == pytest.approx([3 * v if i % 3 == 0 else 0 for i, v in enumerate(values[1])], rel=1e-4)
        assert values[3].count(0) == 4

    def test_a_player_with_rare_losses_only_waits(self, tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
        recipe = read("train.log_every=1", "losses.discriminator=[{use: tiny/penalty, every: 4}]")
        train(recipe, out=tmp_path / "run", registry=registry)
        state = tensors_of(tmp_path / "run", 8)
        counts = {name: int(t) for name, t in state.items() if "discriminator" in name and name.endswith("/step")}
        assert counts
        assert set(counts.values()) == {2}


class TestFadingLosses:
    def test_the_weight_is_a_function_of_the_step(self) -> None:
        ramp = WeightRamp.model_validate({"from": 1, "to": 0.2, "until": 0.5})
        assert [weight_at(ramp, step=step, steps=8) for step in (0, 1, 2, 4, 7)] == pytest.approx(
            [1, 0.8, 0.6, 0.2, 0.2]
        )
        assert weight_at(ramp, step=5, steps=None) == 1
        assert weight_at(2.0, step=5, steps=8) == 2.0
        assert bool(ramp)
        assert not WeightRamp.model_validate({"from": 0, "to": 0})

    def test_it_is_not_computed_where_it_weighs_nothing(
        self, tmp_path: Path, registry: Registry, read: ReadRecipe
    ) -> None:
        recipe = read(
            "train.log_every=1", "losses.generator[2]={use: tiny/breaks, weight: {from: 1, to: 0, until: 0.25}, at: 2}"
        )
        result = train(recipe, out=tmp_path / "run", registry=registry)  # it breaks at step 2, where it weighs 0
        assert result.outcome == "finished"


class TestHalfLife:
    def test_as_in_stylegan2(self) -> None:
        settings = EmaSettings(half_life=10_000, ramp_up=0.05)
        for step in (0, 1, 10, 1000, 100_000):
            seen = step * 32
            expected = 0.5 ** (32 / max(min(10_000, seen * 0.05), 1e-8))
            assert decay_at(settings, step, images=32) == pytest.approx(expected)
        unlimited = EmaSettings(half_life=640, ramp_up=None)
        assert decay_at(unlimited, 0, images=64) ** 10 == pytest.approx(0.5)

    def test_images_are_counted_over_micro_batches(self, tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
        seen: list[float] = []
        original = torch._foreach_lerp_

        def watch(averages: Any, weights: Any, share: float) -> None:
            seen.append(share)
            original(averages, weights, share)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "_foreach_lerp_", watch)
            recipe = read("train.ema={half_life: 30, ramp_up: null}", "train.accumulate=3", "train.steps=2")
            train(recipe, out=tmp_path / "run", registry=registry)
        assert seen == pytest.approx([1 - 0.5 ** (12 / 30)] * 2)


def test_a_locked_recipe_reads_back(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    recipe = read(
        *SGD,
        "train.schedule={use: waves, of: {generator: {use: step, every: 3}}}",
        "train.ema={half_life: 100, ramp_up: null}",
        "losses.generator[1].weight={from: 1, to: 2}",
        "losses.generator[2].every=4",
    )
    file = tmp_path / "locked.yaml"
    file.write_text(dump_recipe(recipe), encoding="utf-8")
    again = read_recipe(file, registry=registry)
    assert again == recipe
    assert again.document == recipe.document
    assert recipe.document["train"]["optimiser"]["use"] == "torch/sgd@1"
    assert recipe.document["train"]["optimiser"]["of"] == {"discriminator": {"nesterov": True}}
    assert isinstance(recipe.updates.schedule.choice.options, NoOptions) is False
