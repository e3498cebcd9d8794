"""What is said of mistakes in how weights are updated: optimisers, schedules, averages, the timing of losses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from facekit.recipe import RecipeError, dump_recipe, read_recipe, recipe_from_document, recipe_schema
from facekit.registry import Registry

OPTIMISER = "    use: adam\n    lr: 2e-4\n    betas: [0.5, 0.999]\n    lr_scale: {style_encoder: 5}\n"
EMA = "  ema: {decay: 0.998}"
WEIGHT = "weight: 10}"


def _read(good_recipe: Path, catalogue: Registry, old: str, new: str):  # type: ignore[no-untyped-def]
    text = good_recipe.read_text("utf-8")
    assert old in text
    good_recipe.write_text(text.replace(old, new, 1), encoding="utf-8")
    return read_recipe(good_recipe, registry=catalogue)


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("use: adm", "42:10: train.optimiser.use: no optimiser is called 'adm'; did you mean 'adam'"),
        ("use: LBFGS", "42:10: train.optimiser.use: torch.optim.LBFGS computes the losses several times in an update"),
        ("use: sparse_adam", "42:10: train.optimiser.use: torch.optim.SparseAdam takes sparse gradients only"),
        ("use: 17", "42:10: train.optimiser.use: expected the name of a component, found the number 17; one of ada"),
        ("use: sgd\n    momentun: 1", "43:5: train.optimiser.momentun: unknown key 'momentun'; did you mean"),
        ("use: SGD\n    momentum: x", "43:15: train.optimiser.momentum: expected a number, found the text 'x'"),
        ("use: sgd\n    betas: [0, 1]", "43:5: train.optimiser.betas: unknown key 'betas'; known keys: momentum, damp"),
        ("use: rmsprop\n    centered: 1", "43:15: train.optimiser.centered: expected true or false, found the num"),
        ("lr: 1e-3\n    bets: [0, 1]", "43:5: train.optimiser.bets: unknown key 'bets'; did you mean 'betas'"),
        ("ues: sgd", "42:5: train.optimiser.ues: unknown key 'ues'; did you mean 'use'?"),
        ("of: {critic: {lr: 1}}", "42:10: train.optimiser.of.critic: no player 'critic' has losses, so it upd"),
        ("of: {generatr: {lr: 1}}", "train.optimiser.of.generatr: no player 'generatr' has losses, so it updates "
         "nothing; did you mean 'generator'?"),
        ("of: {generator: {lr: 0}}", "42:26: train.optimiser.of.generator.lr: must be more than 0, found 0"),
        ("of: {generator: {bets: 0}}", "42:22: train.optimiser.of.generator.bets: unknown key 'bets'; did you mean"),
        ("of: {generator: {use: sgd}}", "42:22: train.optimiser.of.generator.use: all players have one optimiser"),
        ("of: {generator: {lr_scale: {}}}", "of.generator.lr_scale: 'lr_scale' stands in train.optimiser only; "
         "move it to train.optimiser.lr_scale"),
        ("of: {generator: 1e-3}", "42:21: train.optimiser.of.generator: expected a map, found the number 0.001"),
        ("lr_scale: {genrator.stem: 2}", "42:16: train.optimiser.lr_scale.genrator.stem: this recipe has no network "
         "'genrator'; did you mean 'generator'?"),
        ("lr_scale: {generator: -1}", "42:27: train.optimiser.lr_scale.generator: must be at least 0, found -1"),
    ],
)  # fmt: skip
def test_of_optimisers(good_recipe: Path, catalogue: Registry, new: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        _read(good_recipe, catalogue, OPTIMISER, f"    {new}\n")
    (problem,) = caught.value.problems
    assert said in str(problem)


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("schedule: {use: cosin}", "46:19: train.schedule.use: no schedule is called 'cosin'; did you mean 'cosine'?"),
        ("schedule: {use: cosine, decay_from: 0}", "46:27: train.schedule.decay_from: unknown key 'decay_from'; known "
         "keys: final, warmup_steps, of"),
        ("schedule: {use: step}", "46:3: train.schedule: needs `every`"),
        ("schedule: {decay_from: 2}", "46:26: train.schedule.decay_from: must be at most 1, found 2"),
        ("schedule: {use: adam}", "46:19: train.schedule.use: no schedule is called 'adam'; known: constant, cosine"),
        ("schedule: constant", "46:13: train.schedule: expected a map with `use:`, found the text 'constant'; write "
         "{use: constant}"),
        ("schedule: null", "46:13: train.schedule: expected a map with `use:`, found nothing (null)"),
        ("schedule: {of: {generator: {power: 2}}}", "46:19: train.schedule.of.generator: needs `use`"),
        ("schedule: {of: {generator: {use: polynomial, powers: 2}}}", "schedule.of.generator.powers: unknown key"),
        ("schedule: {of: {generator: {use: linear, of: {}}}}", "46:44: train.schedule.of.generator.of: 'of' stands in"),
        ("schedule: {of: {judge: {use: linear}}}", "46:19: train.schedule.of.judge: no player 'judge' has losses"),
        ("ema: {decay: 0.9, half_life: 9}", "46:16: train.ema.decay: with half_life, decay means nothing"),
        ("ema: {half_life: 9, warmup: false}", "46:31: train.ema.warmup: with half_life, warmup means nothing"),
        ("ema: {ramp_up: 0.1}", "46:18: train.ema.ramp_up: ramp_up limits a half_life, and there is none"),
        ("ema: {half_life: 0}", "46:20: train.ema.half_life: must be more than 0, found 0"),
        ("ema: {halflife: 5}", "46:9: train.ema.halflife: unknown key 'halflife'; did you mean 'half_life'?"),
    ],
)  # fmt: skip
def test_of_schedules_and_averages(good_recipe: Path, catalogue: Registry, new: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        _read(good_recipe, catalogue, EMA, f"  {new}")
    (problem,) = caught.value.problems
    assert said in str(problem)


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("weight: {from: 1, till: 2}}", "25:31: losses.generator[1].weight: needs `to`"),
        ("weight: {from: 1, to: 2, till: 2}}", "weight.till: unknown key 'till'; did you mean 'until'?"),
        ("weight: {from: -1, to: 2}}", "25:46: losses.generator[1].weight.from: must be at least 0, found -1"),
        ("weight: {from: 1, to: 2, until: 1.5}}", "losses.generator[1].weight.until: must be at most 1, found 1.5"),
        ("weight: ten}", "25:39: losses.generator[1].weight: expected a number, found the text 'ten'"),
        ("weight: -1}", "25:39: losses.generator[1].weight: must be at least 0, found -1"),
        ("weight: [1, 2]}", "25:39: losses.generator[1].weight: expected a number, found a list"),
        ("every: 0}", "25:38: losses.generator[1].every: must be at least 1, found 0"),
    ],
)
def test_of_losses(good_recipe: Path, catalogue: Registry, new: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        _read(good_recipe, catalogue, WEIGHT, new)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ("train.optimiser.of.critic.lr=1", "1:20: train.optimiser.of.critic: no player 'critic' has losses"),
        ("train.optimiser.use=nope", "1:21: train.optimiser.use: no optimiser is called 'nope'; known: adadelta"),
        ("train.ema.ramp_up=0.1", "1:19: train.ema.ramp_up: ramp_up limits a half_life"),
        ("train.schedule.use=step", "1:7: train.schedule: needs `every`"),
    ],
)
def test_of_overrides(good_recipe: Path, catalogue: Registry, over: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(good_recipe, registry=catalogue, overrides=[over])
    assert f"--set {over}:{said}" in str(caught.value)


def test_upper_layers_change_one_thing_at_a_time(good_recipe: Path, catalogue: Registry) -> None:
    def read(*overrides: str):  # type: ignore[no-untyped-def]
        return read_recipe(good_recipe, registry=catalogue, overrides=overrides)

    assert read("train.ema.half_life=500").train.ema.decay is None
    assert read("train.ema.half_life=500", "train.ema.ramp_up=null").train.ema.ramp_up is None
    other = read("train.optimiser.use=sgd", "train.optimiser.momentum=0.9")
    assert (other.train.optimiser.lr, other.train.optimiser.lr_scale) == (2e-4, {"style_encoder": 5})  # as it was
    assert other.updates.optimiser.choice.options.model_dump()["momentum"] == 0.9
    own = read("train.optimiser.of.discriminator={lr: 1.0e-3}", "train.schedule.of.generator.use=cosine")
    assert own.updates.optimiser_of("discriminator").lr == 1e-3
    assert own.updates.optimiser_of("generator").lr == 2e-4
    assert own.updates.schedule_of("generator").choice.component.spec.name == "cosine"
    assert own.updates.schedule_of("discriminator").choice.component.spec.name == "linear_decay"
    child = good_recipe.with_name("child.yaml")
    child.write_text(f"extends: {good_recipe.name}\ntrain: {{optimiser: {{of: {{discriminator: {{lr: 1.0e-3}}}}}}}}\n")
    taken = read_recipe(child, registry=catalogue, overrides=["train.optimiser.of.discriminator=null"])
    assert not taken.updates.optimisers


def test_the_defaults(good_recipe: Path, catalogue: Registry) -> None:
    recipe = _read(good_recipe, catalogue, "  optimiser:\n" + OPTIMISER, "")
    assert recipe.document["train"]["optimiser"] == {
        "use": "facekit/adam@1",
        "lr": 2e-4,
        "of": {},
        "lr_scale": {},
        "betas": [0.5, 0.999],
        "eps": 1e-8,
        "weight_decay": 0.0,
    }
    assert recipe_from_document(recipe.document, registry=catalogue, name="locked.yaml") == recipe
    assert dump_recipe(recipe).index("use: facekit/adam@1") < dump_recipe(recipe).index("lr: 0.0002")


@pytest.mark.parametrize("use", ["RMSprop", "rmsprop", "torch/rmsprop", "rms_prop"])
def test_torchs_optimisers_by_any_of_their_names(good_recipe: Path, catalogue: Registry, use: str) -> None:
    recipe = _read(good_recipe, catalogue, OPTIMISER, f"    use: {use}\n    alpha: 0.5\n")
    assert recipe.train.optimiser.use == "torch/rmsprop@1"
    assert recipe.updates.optimiser.choice.options.model_dump()["alpha"] == 0.5


def test_reading_an_optimiser_of_torch_imports_no_torch() -> None:
    code = (
        "import sys; from facekit.registry import PluginSet, Registry\n"
        "found = Registry(PluginSet({})).find('optimiser', 'SGD')\n"
        "print(found.spec.id, found.spec.options(momentum=0.5).momentum, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "torch/sgd 0.5 False\n"


def test_editors_know_the_options_of_each(catalogue: Registry) -> None:
    schema = recipe_schema(catalogue)
    part = {"$defs": schema["$defs"], "properties": {"train": schema["properties"]["train"]}}

    def fits(section: object) -> bool:
        return Draft202012Validator(part).is_valid({"train": section})

    assert fits({"optimiser": {"use": "SGD", "momentum": 0.9, "of": {"discriminator": {"lr": 1.0}}}})
    assert not fits({"optimiser": {"use": "SGD", "momentun": 0.9}})
    assert not fits({"optimiser": {"use": "sgd", "momentum": "fast"}})
    assert fits({"schedule": {"use": "cosine", "final": 0.1, "of": {"generator": {"use": "step", "every": 5}}}})
    assert not fits({"schedule": {"use": "cosine", "decay_from": 0.1}})
    assert not fits({"schedule": {"use": "cosine", "of": {"generator": {"use": "step", "evry": 5}}}})
    assert fits({"ema": {"half_life": 1000, "ramp_up": None}})
