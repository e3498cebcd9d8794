"""The port stage: what fits together, and what is said where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from facekit.interfaces import (
    GENERATED,
    IMAGE,
    MASK,
    STYLE,
    FacekitError,
    NoOptions,
    Port,
    PortContext,
    Ports,
)
from facekit.recipe import RecipeError, ResolvedRecipe, read_recipe
from facekit.registry import ComponentSpec, PluginSet, Registry, hookimpl

TEXT = """\
facekit: 1
data: {use: faces, size: 64}
model:
  style_encoder: {use: encoder}
  generator: {use: painter}
losses: {generator: [{use: loss}]}
train: {steps: 1, batch: 4}
"""

FACES = Ports(gives=(IMAGE, Port("mask", MASK.shape, dtype="class_ids", classes=19)))
ENCODER = Ports(needs=(IMAGE, MASK), gives=(Port("style", ("batch", 8)),))
PAINTER = Ports(needs=(MASK, STYLE), gives=(GENERATED,))
LOSS = Ports(needs=(GENERATED, IMAGE))

Read = Callable[..., ResolvedRecipe]


def _constant(ports: Ports) -> Callable[[Any, PortContext], Ports]:
    return lambda options, context: ports


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a small recipe of components with the given ports (or functions that compute them)."""

    def run(
        *,
        faces: Any = FACES,
        encoder: Any = ENCODER,
        painter: Any = PAINTER,
        loss: Any = LOSS,
        overrides: Iterable[str] = (),
    ) -> ResolvedRecipe:
        class Plugin:
            @hookimpl
            def facekit_components(self) -> list[ComponentSpec]:
                return [
                    ComponentSpec(
                        interface_version=1,
                        kind=kind,  # type: ignore[arg-type]
                        id=f"test/{name}",
                        summary="",
                        options=NoOptions,
                        factory="a:b",
                        ports=ports if callable(ports) else _constant(ports),
                    )
                    for kind, name, ports in (
                        ("dataset", "faces", faces),
                        ("style_encoder", "encoder", encoder),
                        ("generator", "painter", painter),
                        ("loss", "loss", loss),
                    )
                ]

        plugins = PluginSet({})
        plugins.register(Plugin(), name="test")
        path = tmp_path / "r.yaml"
        path.write_text(TEXT)
        return read_recipe(path, registry=Registry(plugins), overrides=list(overrides))

    return run


def _said(read: Read, tmp_path: Path, **ports: Any) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        read(**ports)
    return [str(problem).splitlines()[0].replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_dimensions_are_solved(read: Read) -> None:
    assert read().dimensions == {"classes": 19, "size": 64, "style": 8}


def test_a_name_settles_through_other_names(read: Read) -> None:
    encoder = Ports(needs=(MASK,), gives=(Port("style", ("batch", "code")),))
    painter = Ports(needs=(Port("style", ("batch", "width")), MASK), gives=(GENERATED, Port("codes", ("width", 3))))
    loss = Ports(needs=(Port("codes", (12, "three")),))
    assert read(encoder=encoder, painter=painter, loss=loss).dimensions == {
        "classes": 19,
        "code": 12,
        "size": 64,
        "style": 12,
        "three": 3,
        "width": 12,
    }


def test_what_nothing_settles_is_left_out(read: Read) -> None:
    encoder = Ports(gives=(Port("style", ("batch", "style")),))
    assert "style" not in read(encoder=encoder).dimensions


def test_two_numbers_name_both_lines(read: Read, tmp_path: Path) -> None:
    painter = Ports(needs=(MASK, Port("style", ("batch", 16))), gives=(GENERATED,))
    assert _said(read, tmp_path, painter=painter) == [
        "r.yaml:5:20: model.generator: the generator 'painter' needs a style of 16 numbers (r.yaml:5), "
        "the style encoder 'encoder' gives a style of 8 numbers (r.yaml:4)"
    ]


def test_two_numbers_for_one_name(read: Read, tmp_path: Path) -> None:
    painter = Ports(needs=(Port("mask", MASK.shape, dtype="class_ids", classes=11), STYLE), gives=(GENERATED,))
    assert _said(read, tmp_path, painter=painter) == [
        "r.yaml:5:20: model.generator: the generator 'painter' needs `mask` with 11 classes (r.yaml:5), "
        "the dataset 'faces' gives `mask` with 19 classes (r.yaml:2)"
    ]


def test_a_number_against_the_size(read: Read, tmp_path: Path) -> None:
    loss = Ports(needs=(Port("generated", ("batch", 3, 32, 32)),))
    said = _said(read, tmp_path, loss=loss)
    assert said[0].startswith(
        "r.yaml:6:28: losses.generator[0]: the generator's loss 'loss' needs `generated` with 32 as"
    )
    assert said[0].endswith("data.size is 64 (r.yaml:2)")


def test_a_port_that_nothing_gives(read: Read, tmp_path: Path) -> None:
    loss = Ports(needs=(Port("discriminated.class_logits", ("batch", "attributes")),))
    assert _said(read, tmp_path, loss=loss) == [
        "r.yaml:6:28: losses.generator[0]: the generator's loss 'loss' needs `discriminated.class_logits`, and "
        "nothing in this recipe gives it; add a model.discriminator that also classifies attributes"
    ]
    optional = Ports(needs=(Port("discriminated.class_logits", ("batch", "attributes"), optional=True),))
    assert read(loss=optional).dimensions["size"] == 64


def test_what_a_missing_port_consists_of_is_not_told_beside_it(read: Read, tmp_path: Path) -> None:
    loss = Ports(needs=(Port("discriminated", ("batch",)), Port("discriminated.class_logits", ("batch", "attributes"))))
    (said,) = _said(read, tmp_path, loss=loss)
    assert "needs `discriminated`," in said


def test_a_port_misspelt_by_a_plugin(read: Read, tmp_path: Path) -> None:
    (said,) = _said(read, tmp_path, loss=Ports(needs=(Port("genrated", ("batch",)),)))
    assert said.endswith("did you mean 'generated'?")


def test_a_port_that_two_give(read: Read, tmp_path: Path) -> None:
    said = _said(read, tmp_path, painter=Ports(needs=(STYLE,), gives=(GENERATED, IMAGE)))
    assert "the generator 'painter' gives `image`, and so does the dataset 'faces' (r.yaml:2)" in said[0]


@pytest.mark.parametrize(
    ("need", "said"),
    [
        (Port("image", ("batch", 3)), "`image` of shape (batch, 3) (r.yaml:6), the dataset 'faces' gives one of shape"),
        (Port("image", IMAGE.shape, value_range=(0.0, 1.0)), "needs `image` in [0, 1] (r.yaml:6), the dataset 'faces'"),
        (Port("image", IMAGE.shape, dtype="class_ids"), "needs `image` of class ids (r.yaml:6), the dataset 'faces'"),
        (Port("mask", MASK.shape), "needs `mask` of real numbers (r.yaml:6), the dataset 'faces' gives class ids"),
        (Port("image", ("batch", 1, "size", "size")), "needs `image` with 1 as dimension 2 of (batch, 1, size, size)"),
    ],
)
def test_kinds_that_do_not_fit(read: Read, tmp_path: Path, need: Port, said: str) -> None:
    assert said in _said(read, tmp_path, loss=Ports(needs=(need,)))[0]


def test_zeros_and_ones_are_numbers(read: Read) -> None:
    faces = Ports(gives=(*FACES.gives, Port("attributes", ("batch", 40), dtype="binary", value_range=(0.0, 1.0))))
    assert read(faces=faces, loss=Ports(needs=(Port("attributes", ("batch", "a")),))).dimensions["a"] == 40


def test_sizes_and_batches(read: Read, tmp_path: Path) -> None:
    painter = Ports(needs=(STYLE,), gives=(GENERATED,), size_multiple=16, smallest_size=64, smallest_batch=2)
    assert read(painter=painter).data.size == 64
    assert _said(read, tmp_path, painter=painter, overrides=["data.size=50", "train.batch=1"]) == [
        "--set data.size=50:1:11: data.size: the generator 'painter' (r.yaml:5) needs at least 64, found 50",
        "--set data.size=50:1:11: data.size: the generator 'painter' (r.yaml:5) needs a multiple of 16, found 50; "
        "try 64",
        "--set train.batch=1:1:13: train.batch: the generator 'painter' (r.yaml:5) needs at least 2 photos a step, "
        "found 1",
    ]


def test_defects_of_plugins(read: Read, tmp_path: Path) -> None:
    def raises(options: Any, context: PortContext) -> Ports:
        raise ZeroDivisionError("by zero")

    def complains(options: Any, context: PortContext) -> Ports:
        raise FacekitError("there is no such label map", remedy="install one")

    (said,) = _said(read, tmp_path, painter=raises)
    assert (
        "r.yaml:5:20: model.generator: the generator 'painter' cannot work out what it needs and gives: ZeroD" in said
    )
    (said,) = _said(read, tmp_path, painter=lambda options, context: None)
    assert "describes what it needs and gives as NoneType, not as Ports" in said
    (said,) = _said(read, tmp_path, faces=complains)
    assert said == "r.yaml:2:13: data: there is no such label map; install one"


def test_losses_are_told_whose_they_are(read: Read) -> None:
    seen: list[tuple[str | None, int]] = []

    def watch(options: Any, context: PortContext) -> Ports:
        seen.append((context.player, context.size))
        return LOSS

    read(loss=watch)
    assert seen == [("generator", 64)]


def test_the_catalogue_agrees(good_recipe: Path, catalogue: Registry) -> None:
    recipe = read_recipe(good_recipe, registry=catalogue)
    assert recipe.dimensions == {"attributes": 40, "classes": 19, "size": 128, "style": 4096}


def test_an_option_that_ports_refuse_is_shown_at_its_place(read: Read) -> None:
    def refuse(options: Any, context: PortContext) -> Ports:
        raise FacekitError("there is no such size", where="label", remedy="take another")

    with pytest.raises(RecipeError) as caught:
        read(loss=refuse, overrides=["losses.generator[0].label=mine"])
    (problem,) = caught.value.problems
    assert problem.path == "losses.generator[0].label"
    assert str(problem.mark) == "--set losses.generator[0].label=mine:1:21"
    assert problem.remedy == "take another"

    with pytest.raises(RecipeError) as caught:
        read(loss=refuse)
    (problem,) = caught.value.problems
    assert problem.mark.line == 6  # not written: the component's own line
