"""The schema stage: what is said of each kind of mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import field_validator

from facekit.interfaces import NoOptions, Options
from facekit.recipe import RecipeError, read_recipe
from facekit.registry import ComponentSpec, PluginSet, Registry, hookimpl

Broken = Callable[[str, str], str]


@pytest.fixture
def broken(good_recipe: Path, catalogue: Registry) -> Broken:
    """Replace something in the good recipe, and return what is said, without the folder and the excerpts."""

    def read(old: str, new: str) -> str:
        text = good_recipe.read_text("utf-8")
        assert old in text
        good_recipe.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(RecipeError) as caught:
            read_recipe(good_recipe, registry=catalogue)
        return "\n".join(str(p).splitlines()[0] for p in caught.value.problems).replace(f"{good_recipe.parent}/", "")

    return read


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "batch: 4",
            'batch: "4"',
            "38:10: train.batch: expected a whole number, found the text '4'; remove the quotes",
        ),
        ("batch: 4", "batch: true", "38:10: train.batch: expected a whole number, found true"),
        ("batch: 4", "batch: 2.5", "38:10: train.batch: expected a whole number, found the number 2.5"),
        ("batch: 4", "batch: 4.0", "38:10: train.batch: expected a whole number, found the number 4.0; write 4"),
        ("batch: 4", "batch: 1_0", "found the text '1_0'; write the number without underscores"),
        ("batch: 4", "batch: 0", "38:10: train.batch: must be at least 1, found 0"),
        ("lr: 2e-4", "lr: .nan", "train.optimiser.lr: expected a finite number, found the number nan"),
        ("lr: 2e-4", "lr: 0", "train.optimiser.lr: must be more than 0, found 0"),
        ("mirror: true", "mirror: yes", "data.mirror: expected true or false, found the text 'yes'; write true"),
        ("mirror: true", "mirror: 1", "data.mirror: expected true or false, found the number 1"),
        ("root: data/faces", "root: 17", "data.root: expected text, found the number 17; put it in quotes"),
        ("  root: data/faces\n", "", "5:1: data: needs `root`"),
        ("split: index", "split: offical", "expected 'official' or 'index', found the text 'offical'; did you mean"),
        ("layers: [relu1, relu2]", "layers: relu1", "layers: expected a list, found the text 'relu1'"),
        ("layers: [relu1, relu2]", "layers: [relu1, 2]", "29:23: losses.generator[2].layers[1]: expected text"),
        ("layers: [relu1, relu2]", "weights: {a: b}", "losses.generator[2].weights.a: expected a number, found"),
        ("betas: [0.5, 0.999]", "betas: [1, 2, 3]", "betas: expected at most 2 items, found 3"),
        (
            "style_encoder: 5}",
            "styl: 5}",
            "45:16: train.optimiser.lr_scale.styl: this recipe has no network 'styl'; networks: style_encoder, gen",
        ),
        ("reference:\n    crop: 0.8", "reference: 0.8", "data.reference: expected a map of settings, found the number"),
        ("crop: 0.8", "crops: 0.8", "12:5: data.reference.crops: unknown key 'crops'; did you mean 'crop'?"),
        ("name: good", "batch: 3", "3:1: batch: unknown key 'batch'; 'batch' belongs under `train:`"),
        ("name: good", "decay: 3", "'decay' belongs under `train.ema:`"),
        ("blocks: 4", "dropout: x", "dropout: expected a number or 'auto', found the text 'x'"),
        ("blocks: 4", "zzz: 4", "unknown key 'zzz'; known keys: filters, blocks, downsamplings, padding, dropout"),
        ("objective: lsgan", "target: -1", "24:7: losses.generator[0]: low must be less than target"),
        ("use: photo_folder", "use: photos", "data.use: no dataset is called 'photos'; did you mean 'photo_folder'?"),
        ("use: adain_global", "use: sft_style", "'sft_style' is a style_encoder, not a generator"),
        ("use: adain_global", "use: 3", "16:10: model.generator.use: expected the name of a component"),
        ("    use: adain_global\n", "", "15:3: model.generator: needs `use`, the name of a component; one of adain_g"),
        (
            "use: adain_global",
            "usee: adain_global",
            "16:5: model.generator.usee: unknown key 'usee'; did you mean 'use'",
        ),
        (
            "- use: psnr",
            "- psnr",
            "34:5: metrics[0]: expected a map with `use:`, found the text 'psnr'; write {use: psnr}",
        ),
        (
            "{use: adversarial, objective: lsgan}",
            "",
            "24:6: losses.generator[0]: expected a map with `use:`, found noth",
        ),
        ("metrics:\n  - use: psnr\n  - use: style_following", "metrics: {use: psnr}", "expected a list, found a map"),
        ("losses:", "loses:", "22:1: loses: unknown key 'loses'; did you mean 'losses'?"),
        ("losses:", "loses:", "2:1: losses: the recipe needs `losses:`"),
        ("facekit: 1\n", "", "2:1: facekit: needs the version of the recipe format; write `facekit: 1`"),
        ("facekit: 1", "facekit: 2", "2:10: facekit: this facekit reads recipe format 1, found the number 2"),
        ("name: good", "name: 3", "3:7: name: expected text, found the number 3; put it in quotes"),
        (
            "use: feature_matching",
            "use: adversarial",
            "two losses of the generator are called 'adversarial'; the first",
        ),
        ("use: feature_matching", "use: gradient_penalty", "the loss 'gradient_penalty' is for the discriminator, not"),
        ("use: gradient_penalty", "use: l1", "the loss 'l1' is for the generator, not for the discriminator; move it"),
        (
            "weight: 10}",
            "weight: ten}",
            "losses.generator[1].weight: expected a number, found the text 'ten'",
        ),
        ("weight: 10}", "wight: 10}", "losses.generator[1].wight: unknown key 'wight'; did you mean 'weight'?"),
        ("  discriminator: {use: multi", "  # discriminator: {use: multi", "no discriminator for this loss to train"),
        ("seed: 7", "keep: {best: psnr}", "39:16: train.keep.best: the best checkpoint is known only if metrics are"),
        (
            "seed: 7",
            "freeze: [{part: decoder}]",
            "39:19: train.freeze[0].part: this recipe has no network 'decoder'; did you mean 'style_encoder'?",
        ),
        (
            "  style_encoder: {use: sft",
            "  # {use: sft",
            "lr_scale.style_encoder: this recipe has no network 'style_encoder'; networks: generator, disc",
        ),
        (
            "seed: 7",
            "turns: {discriminater: 5}",
            "39:11: train.turns.discriminater: no player is called 'discriminater', or it has no losses; did you ",
        ),
        (
            "seed: 7",
            "turns: {encoder: 5}",
            "no player is called 'encoder', or it has no losses; players: gener",
        ),
        ("seed: 7", "turns: {generator: 0}", "39:22: train.turns.generator: must be at least 1, found 0"),
        (
            "  style_encoder: {use: sft",
            "  styl_encoder: {use: sft",
            "14:3: model.styl_encoder: nothing calls a network of the name 'styl_encoder', and there is no 'style_enc",
        ),
        (
            "  discriminator:\n    - ",
            "  discriminater:\n    - ",
            "30:3: losses.discriminater: no network is called 'discriminater'; did you mean 'discriminator'?",
        ),
        (
            "  generator:\n    - ",
            "  generater:\n    - ",
            "23:3: losses.generater: no network is called 'generater'; did you mean 'generator'?",
        ),
        (
            "  style_encoder: {use: sft",
            "  Encoder: {use: sft",
            "14:3: model.Encoder: a network cannot be called 'Encoder'; use lower-case letters, digits and unders",
        ),
        (
            "  style_encoder: {use: sft_style",
            "  style_encoder: {use: sft_style, frozen: 1",
            "14:43: model.style_encoder.frozen: expected true or false, found the number 1",
        ),
        (
            "  style_encoder: {use: sft_style",
            "  style_encoder: {use: sft_style, source: generator",
            "model.style_encoder: source names a part of the weights, and there are no weights",
        ),
        ("epochs: 28", "epochs: null", "36:1: train: give train.steps or train.epochs, one of the two"),
    ],
)
def test_what_is_said(broken: Broken, old: str, new: str, said: str) -> None:
    message = broken(old, new)
    assert (f"good.yaml:{said}" if said[0].isdigit() else said) in message


class _RaisingOptions(Options):
    value: int = 0

    @field_validator("value")
    @classmethod
    def _raise(cls, value: int) -> int:
        raise RuntimeError("a defect of the plugin")


class _SizeOptions(Options):
    size: int = 3


class _Plugin:
    @hookimpl
    def facekit_components(self) -> list[ComponentSpec]:
        def spec(kind: str, name: str, options: type[Options]) -> ComponentSpec:
            return ComponentSpec(
                interface_version=1,
                kind=kind,  # type: ignore[arg-type]
                id=f"odd/{name}",
                summary="",
                options=options,
                factory="a:b",
            )

        return [
            spec("metric", "raising", _RaisingOptions),
            spec("dataset", "sized", _SizeOptions),
            spec("metric", "psnr", NoOptions),
        ]


def test_defects_of_plugins_are_told_at_the_recipe(good_recipe: Path, catalogue: Registry) -> None:
    catalogue.plugins.register(_Plugin(), name="odd")
    catalogue.refresh()
    with pytest.raises(RecipeError, match="its options could not be checked: RuntimeError: a defect of the plugin"):
        read_recipe(good_recipe, registry=catalogue, overrides=["metrics=[{use: raising, value: 3}]"])
    with pytest.raises(RecipeError, match=r"data\.use: the plugin odd has options that belong to the core here: size"):
        read_recipe(good_recipe, registry=catalogue, overrides=["data.use=sized"])
    with pytest.raises(RecipeError, match="several components are called 'psnr': fake/psnr, odd/psnr; write the whole"):
        read_recipe(good_recipe, registry=catalogue)
    recipe = read_recipe(good_recipe, registry=catalogue, overrides=["metrics=[{use: odd/psnr}, {use: fake/psnr}]"])
    assert [metric.component.spec.id for metric in recipe.metrics] == ["odd/psnr", "fake/psnr"]


def test_no_plugins_at_all(good_recipe: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(good_recipe, registry=Registry(PluginSet({})))
    assert "no generator is called 'adain_global'" in str(caught.value)
    assert "facekit-sft-pix2pixhd offers it: `pip install facekit-sft-pix2pixhd`" in str(caught.value)
    with pytest.raises(RecipeError, match="no network is called 'unheard_of'; known: none: is the plugin installed"):
        read_recipe(good_recipe, registry=Registry(PluginSet({})), overrides=["model.other.use=unheard_of"])


def test_every_message_is_one_line_with_an_excerpt(good_recipe: Path, catalogue: Registry) -> None:
    good_recipe.write_text(good_recipe.read_text("utf-8").replace("blocks: 4", f"blocks: {'x' * 500}"))
    with pytest.raises(RecipeError) as caught:
        read_recipe(good_recipe, registry=catalogue)
    head, excerpt, caret = str(caught.value).splitlines()
    assert head.count("x" * 20) == head.count("'x") * 2  # shortened
    assert len(excerpt) <= 122
    assert excerpt[caret.index("^")] == "x"
