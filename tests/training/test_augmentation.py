"""Augmentation in front of discriminators, as the engine applies it: to what, when, and the same after a resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.kills import Killed, kill_after, tensors_of
from torch import Tensor

from facekit.interfaces import Condition, FacekitError, Generated
from facekit.interfaces import discriminate as discriminate_images
from facekit.recipe import ResolvedRecipe
from facekit.registry import Registry
from facekit.training.augmentation import RunAugmentation
from facekit.training.check.shape_check import probe_shapes
from facekit.training.loop import train
from facekit.training.networks import load_model
from facekit.training.run.event_log import read_lines
from facekit_gan import discriminate, fake, plugin, real

ReadRecipe = Callable[..., ResolvedRecipe]
ADA = ("train.augment.use=ada", "train.augment.speed=60", "train.augment.interval=2", "train.augment.p=0.5")
DIFFAUGMENT = ("train.augment.use=diffaugment",)


@pytest.fixture
def registry(registry: Registry) -> Registry:
    """The tiny plugin, and what facekit-gan offers."""
    plugins = registry.plugins
    plugins.register(plugin, name="gan")
    return Registry(plugins)


@contextmanager
def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """Give a list of all that passes through augmentations: the turn, the arguments before, the arguments after."""
    seen: list[tuple[Any, ...]] = []
    shown = RunAugmentation.shown

    def noted(self: RunAugmentation, ports: Any, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        result = shown(self, ports, arguments, named)
        assert self._turn is not None
        # By name or by position, the image is the first that the network is called with.
        before, after = ((*given, *by_name.values()) for given, by_name in ((arguments, named), result))
        seen.append((self._turn, before, after))
        return result

    with monkeypatch.context() as patched:
        patched.setattr(RunAugmentation, "shown", noted)
        yield seen


def weights(run: Path, step: int = 8) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors_of(run, step).items() if name.startswith("live")}


def differ(first: Path, second: Path) -> bool:
    left, right = weights(first), weights(second)
    assert left.keys() == right.keys()
    return any(not torch.equal(left[name], right[name]) for name in left)


def test_it_changes_the_run_and_equal_runs_are_equal(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    for name, overrides in {"plain": (), "one": DIFFAUGMENT, "two": DIFFAUGMENT, "ada": ADA}.items():
        train(read(*overrides), out=tmp_path / name, registry=registry)
    assert not differ(tmp_path / "one", tmp_path / "two")
    assert differ(tmp_path / "plain", tmp_path / "one")
    assert differ(tmp_path / "one", tmp_path / "ada")


def test_at_probability_0_a_run_is_the_run_without(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    train(read(), out=tmp_path / "plain", registry=registry)
    train(read("train.augment={use: ada, target: null}"), out=tmp_path / "zero", registry=registry)
    assert not differ(tmp_path / "plain", tmp_path / "zero")


@pytest.mark.parametrize(
    "overrides",
    [
        (*ADA, "train.checkpoint_every=3"),  # between two adaptations
        (*ADA, "train.accumulate=2", "train.batch=2", "train.precision=bf16"),
        (*ADA, "train.turns.discriminator=2", "losses.discriminator[0].replay_pool=6"),
        DIFFAUGMENT,
    ],
    ids=["ada", "accumulate", "turns+pool", "diffaugment"],
)
def test_resume_is_exact(tmp_path: Path, registry: Registry, read: ReadRecipe, overrides: tuple[str, ...]) -> None:
    recipe = read("train.log_every=1", *overrides)
    train(recipe, out=tmp_path / "whole", registry=registry)
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_after(2))
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_after(5), resume=True)
    train(recipe, out=tmp_path / "killed", registry=registry, resume=True)
    left, right = tensors_of(tmp_path / "whole", 8), tensors_of(tmp_path / "killed", 8)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
    assert ("augmentation.safetensors:train.augment.p" in left) == (overrides != DIFFAUGMENT)

    def numbers(run: Path) -> list[Any]:
        lines = [line for line in read_lines(run / "metrics.jsonl") if line["event"] == "train"]
        return [(line["losses"], line["diagnostics"]) for line in lines]

    assert numbers(tmp_path / "whole") == numbers(tmp_path / "killed")


def test_the_probability_moves_and_is_logged(tmp_path: Path, registry: Registry, read: ReadRecipe) -> None:
    train(read("train.log_every=1", *ADA), out=tmp_path / "run", registry=registry)
    lines = [line for line in read_lines(tmp_path / "run" / "metrics.jsonl") if line["event"] == "train"]
    chances = [line["diagnostics"]["augmentation/p"] for line in lines]
    assert chances[:3] == [0.5] * 3  # the first interval finds the middle of the logits
    # 8 photos in two steps, of 60.
    assert abs(chances[3] - chances[2]) == pytest.approx(8 / 60)


def test_samples_and_loading_see_nothing_of_it(
    tmp_path: Path, registry: Registry, read: ReadRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watching(monkeypatch) as seen:
        train(read(*DIFFAUGMENT), out=tmp_path / "run", registry=registry)
        assert seen
        seen.clear()
        model = load_model(tmp_path / "run", registry=registry, with_discriminator=True).model
        image, mask = torch.zeros(2, 3, 16, 16), torch.zeros(2, 16, 16, dtype=torch.long)
        model.discriminate(Generated(image), Condition(mask))
        assert not seen


def test_photos_and_fakes_of_a_turn_are_changed_alike(
    tmp_path: Path, registry: Registry, read: ReadRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row r of every call is changed as sample r modulo the batch, in one pass or in two; turns draw anew."""
    overrides = ("losses.generator[0].shuffled_style=true", "losses.discriminator[0].shuffled_style=true")
    recipe = read("train.steps=2", "train.augment={use: diffaugment, policy: [translation]}", *overrides)
    with watching(monkeypatch) as seen:
        train(recipe, out=tmp_path / "run", registry=registry)
    assert {len(before[0].image) for _, before, _ in seen} == {4, 8, 12}
    turns = {}
    for turn, before, after in seen:
        shift = turn.drawn["translation"].int()
        turns[id(turn)] = shift
        for row in range(len(before[0].image)):
            x, y = shift[row % 4].tolist()
            moved = before[1].mask[row].roll((y, x), (0, 1))
            inside = torch.zeros(16, 16, dtype=torch.bool)
            inside[max(0, y) : 16 + min(0, y), max(0, x) : 16 + min(0, x)] = True
            assert torch.equal(after[1].mask[row], torch.where(inside, moved, 0))
            assert torch.equal(after[0].image[row], before[0].image[row].roll((y, x), (1, 2)) * inside)
        assert after[1].reference is before[1].reference
    assert len(turns) == 4  # two players, two steps
    assert len({tuple(shift.flatten().tolist()) for shift in turns.values()}) == 4


@pytest.fixture
def own_losses(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], Tensor]], None]:
    """Puts a function in the place of the adversarial loss of the tiny plugin, for both players."""

    def put(function: Callable[[Any], Tensor]) -> None:
        import tiny_plugin  # type: ignore[import-not-found]

        monkeypatch.setattr(tiny_plugin.Adversarial, "__call__", lambda self, step: function(step))

    return put


CRITIC_ONLY = (
    "losses.generator=[{use: tiny/adversarial}, {use: tiny/l1}]",
    "losses.discriminator=[{use: tiny/adversarial}]",
)


def test_losses_that_call_the_network_themselves_pass_through_it(
    tmp_path: Path, registry: Registry, read: ReadRecipe, own_losses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By position or by name, by the library or without it; and gradients reach the generator."""

    def loss(step: Any) -> Tensor:
        image, photo, condition = fake(step), real(step), step.condition
        step.networks["discriminator"](image, condition)
        step.networks["discriminator"](picture=image, condition=condition)
        discriminate_images(step.networks, image, condition)
        first, photos = discriminate(step, image).scales[0].logits, discriminate(step, photo)
        if "generator" in step.trained:
            assert image.image.requires_grad
            (gradient,) = torch.autograd.grad(first.sum(), image.image, retain_graph=True)
            assert gradient.abs().sum() > 0
        return (first - photos.scales[0].logits).square().mean()

    recipe = read("train.steps=2", *DIFFAUGMENT, *CRITIC_ONLY)
    own_losses(loss)
    with watching(monkeypatch) as seen:
        train(recipe, out=tmp_path / "run", registry=registry)
    shown: dict[int, list[Tensor]] = {}
    for turn, _, after in seen:
        shown.setdefault(id(turn), []).append(after[0].image)
    # In the discriminator's turn photos and fakes are one pass, photos first; in the generator's they are two.
    for images in shown.values():
        fakes = [image[-4:] for image in images[:4]]
        assert all(torch.equal(image, fakes[0]) for image in fakes)
    assert [len(images) for images in shown.values()] == [4, 5, 4, 5]


def test_what_a_discriminator_gave_is_not_shared_between_turns(
    tmp_path: Path, registry: Registry, read: ReadRecipe, own_losses: Any
) -> None:
    """``once`` shares fakes between turns, and not what a discriminator gave for them under another draw."""
    calls: list[str] = []

    def loss(step: Any) -> Tensor:
        def make() -> Any:
            calls.append(step.player)
            return step.networks["discriminator"](fake(step), step.condition)

        return step.once("judged", make).scales[0].logits.square().mean()

    recipe = read("train.steps=1", *DIFFAUGMENT, *CRITIC_ONLY)
    own_losses(loss)
    train(recipe, out=tmp_path / "run", registry=registry)
    assert calls == ["discriminator", "generator"]


def test_without_photos_an_adaptive_one_ends_the_run(
    tmp_path: Path, registry: Registry, read: ReadRecipe, own_losses: Any
) -> None:
    recipe = read(*ADA, *CRITIC_ONLY)
    own_losses(lambda step: discriminate(step, fake(step)).scales[0].logits.square().mean())
    with pytest.raises(FacekitError, match="no loss has shown it those of the batch"):
        train(recipe, out=tmp_path / "run", registry=registry)


def test_photos_are_known_wherever_they_stand(
    tmp_path: Path, registry: Registry, read: ReadRecipe, own_losses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one pass after fakes, or apart; passes in full precision, of penalties, do not count."""
    from facekit_gan.ada import Ada

    rows: list[list[float]] = []
    read_output = Ada.read

    def noted(self: Ada, output: Any, photos: Tensor) -> Tensor:
        rows.append(photos.tolist())
        return read_output(self, output, photos)

    def loss(step: Any) -> Tensor:
        made, photos = fake(step), real(step)
        both = Generated(torch.cat([made.image, photos.image]))
        condition = Condition(torch.cat([step.condition.mask, step.condition.mask]))
        with step.full_precision():
            step.networks["discriminator"](photos, step.condition)
        step.networks["discriminator"](photos, step.condition)
        return step.networks["discriminator"](both, condition).scales[0].logits.square().mean()

    monkeypatch.setattr(Ada, "read", noted)
    recipe = read("train.steps=1", *ADA, *CRITIC_ONLY)
    own_losses(loss)
    train(recipe, out=tmp_path / "run", registry=registry)
    assert rows == [[1.0] * 4, [0.0] * 4 + [1.0] * 4]  # the generator's turn does not count


def test_the_shape_check_passes_through_all_of_it(
    registry: Registry, read: ReadRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At probability 0 too, at which nothing would happen in a run."""
    recipe = read("train.augment.use=ada")
    assert probe_shapes(recipe, registry=registry).on_fake_tensors
    with watching(monkeypatch) as seen:
        probe_shapes(recipe, registry=registry)
    assert seen
    assert all(set(turn.drawn) == {"motion", "color"} for turn, _, _ in seen)


def test_what_fails_names_the_augmentation(
    tmp_path: Path, registry: Registry, read: ReadRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facekit_gan.diffaugment import DiffAugment

    recipe = read(*DIFFAUGMENT)
    monkeypatch.setattr(DiffAugment, "__call__", lambda self, *given: 1 / 0)
    with pytest.raises(FacekitError, match="the augmentation 'gan/diffaugment' fails: ZeroDivisionError") as caught:
        train(recipe, out=tmp_path / "run", registry=registry)
    assert caught.value.where is not None
    assert "train.augment" in caught.value.where
