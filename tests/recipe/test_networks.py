"""Networks and players of any name: their kinds, who trains whom, in which order; and what is said of mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from facekit.interfaces import DISCRIMINATOR_OUTPUT, GENERATED, IMAGE, MASK, STYLE, NoOptions, Options, Port, Ports
from facekit.recipe import RecipeError, ResolvedRecipe, read_recipe
from facekit.recipe.network_kinds import NETWORK_KINDS, kind_of_network
from facekit.recipe.resolved import networks_of, order_of_turns
from facekit.recipe.schema import recipe_schema
from facekit.registry import ComponentSpec, PluginSet, Registry, hookimpl
from facekit.sampling.inputs import inputs_of

TEXT = """\
facekit: 1
data: {use: faces, size: 64}
model:
  discriminator: {use: critic}
  mapping: {use: mapping}
  generator: {use: painter}
losses:
  generator: [{use: adversarial}, {use: l1}]
  discriminator: [{use: adversarial}]
train: {steps: 1, batch: 4}
"""


class Width(Options):
    width: int = 8
    """Numbers of noise."""
    shape: tuple[int, ...] = ()
    """Shape of the noise, in place of the width."""


def _noise(options: Any) -> Port:
    return Port("latent", ("batch", *(options.shape or (options.width,))), dtype="noise")


class Plugin:
    @hookimpl
    def facekit_components(self) -> list[ComponentSpec]:
        def spec(kind: Any, name: str, ports: Callable[[Any], Ports], options: Any = NoOptions, **more: Any) -> Any:
            return ComponentSpec(
                interface_version=1,
                kind=kind,
                id=f"test/{name}",
                summary="",
                options=options,
                factory="a:b",
                ports=lambda chosen, context: ports(chosen),
                **more,
            )

        both: Any = {"players": ("generator", "discriminator")}
        mask = Port("mask", MASK.shape, dtype="class_ids", classes=19)
        code = Port("code", ("batch", "width"))
        return [
            spec("dataset", "faces", lambda o: Ports(gives=(IMAGE, mask))),
            spec("network", "mapping", lambda o: Ports(needs=(_noise(o),), gives=(code,)), Width),
            spec("network", "regressor", lambda o: Ports(needs=(IMAGE,))),
            spec("style_encoder", "encoder", lambda o: Ports(needs=(IMAGE, MASK), gives=(STYLE,))),
            spec("generator", "painter", lambda o: Ports(needs=(code,), gives=(GENERATED,))),
            spec("generator", "noisy", lambda o: Ports(needs=(_noise(o), code), gives=(GENERATED,)), Width),
            spec("discriminator", "critic", lambda o: Ports(needs=(GENERATED,), gives=(DISCRIMINATOR_OUTPUT,))),
            spec("discriminator", "map_critic", lambda o: Ports(needs=(GENERATED,))),
            spec("sampler", "diffusion", lambda o: Ports(needs=(MASK, _noise(o))), Width),
            spec("loss", "adversarial", lambda o: Ports(needs=(DISCRIMINATOR_OUTPUT,)), **both),
            spec("loss", "l1", lambda o: Ports(needs=(GENERATED, IMAGE))),
        ]


@pytest.fixture
def registry() -> Registry:
    plugins = PluginSet({})
    plugins.register(Plugin(), name="test")
    return Registry(plugins)


Read = Callable[..., ResolvedRecipe]


@pytest.fixture
def read(tmp_path: Path, registry: Registry) -> Read:
    def run(*overrides: str, text: str = TEXT) -> ResolvedRecipe:
        path = tmp_path / "r.yaml"
        path.write_text(text, encoding="utf-8")
        return read_recipe(path, registry=registry, overrides=overrides)

    return run


@pytest.fixture
def said(read: Read, tmp_path: Path) -> Callable[..., list[str]]:
    """Return what is said of a recipe with replacements: ``said("old", "new")``."""

    def run(*changes: str) -> list[str]:
        text = TEXT
        for old, new in zip(changes[::2], changes[1::2], strict=True):
            assert old in text
            text = text.replace(old, new, 1)
        with pytest.raises(RecipeError) as caught:
            read(text=text)
        return [str(problem).splitlines()[0].replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return run


def test_kinds_of_networks(registry: Registry) -> None:
    assert NETWORK_KINDS == ("style_encoder", "generator", "discriminator", "sampler", "network")
    for name, use, kind in (
        ("mapping", "mapping", "network"),
        ("mapping", "test/mapping@1", "network"),
        ("generator", "painter", "generator"),
        ("generator", "mapping", "network"),
        ("generator", "nothing", "generator"),
        ("face_critic", "critic", "discriminator"),
        ("other", "encoder", "style_encoder"),
        ("other", "nothing", "network"),
        ("sampler", "diffusion", "sampler"),
    ):
        assert kind_of_network(name, use, registry) == kind, (name, use)
    assert kind_of_network("mapping", "", None) == "network"
    assert kind_of_network("discriminator", "", None) == "discriminator"


def test_networks_stand_in_the_usual_order_and_then_as_written(read: Read) -> None:
    recipe = read("model.regressor={use: regressor, frozen: true, weights: run, source: encoder}")
    assert list(recipe.model.networks) == ["generator", "discriminator", "mapping", "regressor"]
    assert [name for name, _ in recipe.model.components()] == list(recipe.model.networks)
    assert recipe.model.frozen == {"regressor"}
    assert recipe.model.discriminators == {"discriminator"}
    settings = recipe.model.networks["regressor"].settings
    assert (settings.frozen, settings.weights, settings.source) == (True, "run", "encoder")
    assert not recipe.model.networks["mapping"].settings.frozen
    assert recipe.model.get("mapping").component.spec.id == "test/mapping"  # type: ignore[union-attr]
    assert recipe.model.get("none") is None


def test_the_document_keeps_frozen_networks_and_players(read: Read, registry: Registry, tmp_path: Path) -> None:
    recipe = read("model.regressor={use: regressor, frozen: true, weights: run}", "losses.mapping=[{use: l1}]")
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(recipe.document), encoding="utf-8")
    other = read_recipe(again, registry=registry)
    assert other.model == recipe.model
    assert {loss.choice.path: loss for loss in other.losses} == {loss.choice.path: loss for loss in recipe.losses}
    assert other.players == recipe.players == ("discriminator", "mapping", "generator")


def test_order_of_turns_and_who_trains_whom(read: Read) -> None:
    recipe = read(
        "model.face_critic={use: map_critic}",
        "model.regressor={use: regressor}",
        "model.judge={use: map_critic, frozen: true}",
        "losses.mapping=[{use: l1}]",
        "losses.face_critic=[{use: l1}]",
    )
    players = recipe.players
    assert players == ("discriminator", "face_critic", "mapping", "generator")
    assert {player: networks_of(player, players, recipe.model) for player in players} == {
        "discriminator": ("discriminator",),
        "face_critic": ("face_critic",),
        "mapping": ("mapping",),
        "generator": ("generator", "regressor"),  # and what nobody is named after, but no frozen one
    }
    assert order_of_turns(["b", "generator", "a", "discriminator", "b"], recipe.model) == (
        "discriminator",
        "b",
        "a",
        "generator",
    )
    assert [loss.label for loss in recipe.losses_of("generator")] == ["adversarial", "l1"]


def test_a_player_of_any_name_may_be_the_last(read: Read) -> None:
    text = TEXT.replace("  generator: [{use: adversarial}", "  artist: [{use: adversarial}")
    recipe = read(text=text)
    assert recipe.players == ("discriminator", "artist")
    assert networks_of("artist", recipe.players, recipe.model) == ("generator", "mapping")


def test_a_player_whose_losses_weigh_nothing_takes_no_turn(read: Read) -> None:
    recipe = read("losses.mapping=[{use: l1, weight: 0}]")
    assert recipe.players == ("discriminator", "generator")
    assert networks_of("generator", recipe.players, recipe.model) == ("generator", "mapping")


def test_what_an_image_is_made_from_follows_from_ports(read: Read) -> None:
    inputs = inputs_of(read())
    assert inputs.from_nothing
    assert (inputs.needed, inputs.optional, dict(inputs.noise)) == (frozenset(), frozenset(), {"latent": (8,)})
    own = inputs_of(read("model.sampler={use: diffusion}"))
    assert own.needed == {"mask"}
    assert dict(own.noise) == {"latent": (8,)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ("{use: mapping}", "{use: maping}"),
            "r.yaml:5:18: model.mapping.use: no network is called 'maping'; did you mean 'mapping'?",
        ),
        (
            ("  mapping:", "  mapping: {use: mapping, frozen: maybe}\n  other:"),
            "r.yaml:5:35: model.mapping.frozen: expected true or false, found the text 'maybe'",
        ),
        (
            ("  mapping: {use: mapping}", "  mapping: {use: mapping, frozn: true}"),
            "r.yaml:5:27: model.mapping.frozn: unknown key 'frozn'; did you mean 'frozen'?",
        ),
        (
            ("  mapping: {use: mapping}", "  mapping: {use: mapping, source: x}"),
            "r.yaml:5:3: model.mapping: source names a part of the weights, and there are no weights",
        ),
        (
            ("  mapping:", "  2nd:"),
            "r.yaml:5:3: model.2nd: a network cannot be called '2nd'; use lower-case letters",
        ),
        (
            ("  mapping:", "  one: {use: diffusion}\n  mapping:"),
            "r.yaml:5:14: model.one: 'test/diffusion' is a sampler; call it model.sampler",
        ),
        (
            ("generator: {use: painter}", "artist: {use: painter}"),
            "nothing says how an image is generated: there is neither `generator` nor `sampler`; add model.generator",
        ),
        (
            ("generator: {use: painter}", "generator: {use: mapping}"),
            "model.generator: 'test/mapping' is of the kind network, and is not called as a generator is; add the mo",
        ),
        (
            ("{use: critic}", "{use: critic, frozen: true}"),
            "r.yaml:9:25: losses.discriminator[0]: the discriminator is frozen, so this loss has nothing to train; s",
        ),
        (
            ("  discriminator: [{use: adversarial}]", "  discriminator: []"),
            "r.yaml:9:3: losses.discriminator: the discriminator has no loss, so it would learn nothing; give it one",
        ),
        (
            ("  mapping: {use: mapping}", "  mapping: {use: mapping}\n  face_critic: {use: map_critic}"),
            "r.yaml:8:1: losses.face_critic: the face critic has no loss, so it would learn nothing; give it one",
        ),
        (
            ("  discriminator: [{use", "  mappin: [{use: l1}]\n  discriminator: [{use"),
            "r.yaml:9:3: losses.mappin: no network is called 'mappin'; did you mean 'mapping'?",
        ),
        (
            ("  discriminator: [{use", "  regressor: [{use: l1}]\n  discriminator: [{use"),
            "r.yaml:9:21: losses.regressor[0]: this recipe has no regressor for this loss to train; add model.regres",
        ),
        (
            ("  generator: [{use: adversarial}, {use: l1}]\n", ""),
            "r.yaml:7:1: losses.generator: the generator has no loss, so it would learn nothing",
        ),
        (
            ("train: {", "train: {turns: {critic: 5}, "),
            "r.yaml:10:17: train.turns.critic: no player is called 'critic', or it has no losses; players: generator",
        ),
        (
            ("train: {", "train: {optimiser: {lr_scale: {maping: 0.1}}, "),
            "r.yaml:10:32: train.optimiser.lr_scale.maping: this recipe has no network 'maping'; did you mean 'mapp",
        ),
        (
            ("train: {", "train: {freeze: [{part: maping.stem}], "),
            "r.yaml:10:25: train.freeze[0].part: this recipe has no network 'maping'; did you mean 'mapp",
        ),
        (
            ("{use: painter}", "{use: noisy, width: 9}"),
            "the generator 'noisy' needs `latent` with 9 as dimension 2 of (batch, 9) (r.yaml:6)",
        ),
        (
            ("{use: painter}", "{use: noisy, shape: [4, 4]}"),
            "needs `latent` of shape (batch, 8) (r.yaml:5), the generator 'noisy' needs one of shape (batch, 4, 4) (r",
        ),
    ],
)
def test_mistakes(said: Callable[..., list[str]], changes: tuple[str, ...], message: str) -> None:
    (found,) = said(*changes)
    assert message in found


def test_two_needs_of_one_noise_share_it(read: Read) -> None:
    recipe = read("model.generator={use: noisy}")
    assert dict(inputs_of(recipe).noise) == {"latent": (8,)}


def test_editors_know_networks_and_players_of_any_name(registry: Registry, read: Read) -> None:
    schema = recipe_schema(registry)
    validator = jsonschema.Draft202012Validator(schema)
    good = yaml.safe_load(TEXT)
    good["model"]["face_critic"] = {"use": "map_critic", "frozen": True, "weights": "run"}
    good["model"]["regressor"] = {"use": "test/regressor"}
    good["losses"]["mapping"] = [{"use": "l1", "weight": 2}]
    good["train"]["turns"] = {"mapping": 2}
    assert list(validator.iter_errors(good)) == []
    for change in (
        {"model": {**good["model"], "2nd": {"use": "mapping"}}},
        {"model": {**good["model"], "other": {"use": "nothing"}}},
        {"model": {**good["model"], "other": {"use": "mapping", "widht": 3}}},
        {"model": {**good["model"], "other": {"use": "diffusion"}}},
        {"model": {**good["model"], "other": {"use": "mapping", "frozen": "yes"}}},
        {"losses": {**good["losses"], "Mapping": [{"use": "l1"}]}},
        {"losses": {**good["losses"], "mapping": {"use": "l1"}}},
        {"train": {**good["train"], "turns": {"mapping": 0}}},
    ):
        assert list(validator.iter_errors({**good, **change})), change
