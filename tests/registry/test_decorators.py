"""``@loss`` and ``@metric``: what a function says is what the spec says, and the component keeps its promises."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import Field, ValidationError

from facekit.components.describe import describe_component
from facekit.interfaces import GENERATED, IMAGE, FacekitError, NoOptions, PortContext, Ports
from facekit.interfaces import Port as NamedPort
from facekit.registry import (
    ComponentSpec,
    FunctionComponent,
    PluginSet,
    Registry,
    components,
    load_registry,
    loss,
    metric,
)
from facekit.testing import LossContract, MetricContract

if TYPE_CHECKING:
    from torch import Tensor

SUBJECTS = Path(__file__).with_name("decorated_subjects.py")


def _subjects() -> ModuleType:
    """Import the plugin as ``--plugin-file`` does."""
    spec = spec_from_file_location(SUBJECTS.stem, SUBJECTS)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


subjects = _subjects()
charbonnier, absolute_error, change = subjects.charbonnier, subjects.absolute_error, subjects.change


class TestCharbonnier(LossContract):
    spec = charbonnier.spec


class TestCharbonnierWithOptions(LossContract):
    spec = charbonnier.spec
    options = {"epsilon": 0.1, "norm": "root"}


class TestAbsoluteError(MetricContract):
    spec = absolute_error.spec


class TestChange(MetricContract):
    spec = change.spec
    not_about_likeness = "it compares nothing"


def test_the_spec_says_what_the_function_says() -> None:
    spec = charbonnier.spec
    assert (spec.kind, spec.id, spec.name) == ("loss", "tested/charbonnier", "charbonnier")
    assert spec.summary == "Smooth absolute difference between the pixels of fake and real image."
    assert spec.paper == ("Charbonnier et al., Two Deterministic Half-Quadratic Regularization Algorithms, ICIP 1994")
    assert spec.ports(spec.options(), PortContext(size=64)) == Ports(needs=(IMAGE, GENERATED))
    assert spec.factory == "decorated_subjects:charbonnier"
    fields = spec.options.model_fields
    assert list(fields) == ["epsilon", "norm"]
    assert fields["epsilon"].description == "Below this difference the loss is round, above it is straight."
    assert fields["norm"].description == "How the values are joined."
    assert spec.options.__name__ == "CharbonnierOptions"
    assert spec.options.__module__ == "decorated_subjects"


def test_options_are_checked_as_those_of_a_class_are() -> None:
    assert charbonnier.spec.options().model_dump() == {"epsilon": 1e-3, "norm": "mean"}
    for wrong in ({"epsilon": 0}, {"norm": "sum"}, {"eps": 1}, {"epsilon": "small"}):
        with pytest.raises(ValidationError):
            charbonnier.spec.options.model_validate_json(json.dumps(wrong), strict=True)


def test_limits_may_stand_in_the_default() -> None:
    @loss("tested/limited", needs=())
    def limited(step: Any, *, power: int = Field(2, ge=1)) -> Any:
        """Limited.

        Args:
            power: what it is raised to.
        """
        return step**power

    options = limited.spec.options
    assert options().model_dump() == {"power": 2}
    assert options.model_fields["power"].description == "What it is raised to."
    with pytest.raises(ValidationError):
        options(power=0)
    assert limited(limited.spec.options(power=3), None)(2) == 8


def test_an_option_without_a_default_is_required() -> None:
    @loss("tested/required", needs=())
    def required(step: Any, *, part: str) -> Any:
        """Required."""

    with pytest.raises(ValidationError, match="part"):
        required.spec.options()


def test_a_decorated_function_is_called_as_it_is_written() -> None:
    @loss("tested/plain", needs=())
    def plain(step: Any, *, factor: int = 2) -> Any:
        """Multiply."""
        return step * factor

    assert plain(3) == 6
    assert plain(3, factor=3) == 9
    assert plain.__name__ == "plain"
    assert plain.__doc__ == "Multiply."


def test_ports_of_a_family_may_be_given() -> None:
    mean = NamedPort("style.mean", ("batch", 8))

    @loss("tested/own", needs=(mean, "style"), smallest_batch=2, players=("generator", "discriminator"))
    def own(step: Any) -> Any:
        """Compare means."""

    ports = own.spec.ports(own.spec.options(), PortContext(size=64))
    assert ports.needs[0] is mean
    assert ports.smallest_batch == 2
    assert own.spec.players == ("generator", "discriminator")


def test_every_standard_port_can_be_named() -> None:
    from facekit.registry.decorators import PORTS

    @loss("tested/all", needs=tuple(PORTS))
    def every(step: Any) -> Any:
        """Need everything."""

    assert {"image", "mask", "reference.image", "generated.pyramid", "discriminated.features"} <= set(PORTS)
    assert len(every.spec.ports(every.spec.options(), PortContext(size=64)).needs) == len(PORTS)


def _untyped(step: Any, *, epsilon=1e-3) -> Any:  # type: ignore[no-untyped-def]
    """Without a type."""


def _misnamed(step: Any, *, epsilon: float = 1e-3) -> Any:
    """Describe another.

    Args:
        epsilom: how round it is.
    """


def _silent(step: Any) -> Any:
    pass


def _positional(step: Any, epsilon: float = 1e-3) -> Any:
    """Take an option by position."""


def _without_step(*, epsilon: float = 1e-3) -> Any:
    """Take no step."""


def _unknown(step: Any, *, like: Tensor) -> Any:
    """Have a type that only type checkers import."""


@pytest.mark.parametrize(
    ("function", "message", "remedy"),
    [
        (_untyped, "the option 'epsilon' of _untyped has no type", "write one: epsilon: float = 0.001"),
        (_misnamed, "describes 'epsilom', which is none of its parameters", "did you mean 'epsilon'?"),
        (_silent, "_silent has no docstring", "its first paragraph is the summary"),
        (_positional, "not one argument", "options are keyword-only: def _positional(step, *, option: float = 1.0)"),
        (_without_step, r"takes \(\) beside its options", "options are keyword-only"),
        (_unknown, "the type 'Tensor' of the option 'like' of _unknown cannot be read", "outside `if TYPE_CHECKING:`"),
    ],
)
def test_a_function_that_is_no_loss_is_told_with_its_line(function: Any, message: str, remedy: str) -> None:
    with pytest.raises(FacekitError, match=message) as caught:
        loss("tested/wrong", needs=("image",))(function)
    assert caught.value.where == f"{__file__}:{function.__code__.co_firstlineno}"
    assert remedy in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("needs", "message", "remedy"),
    [
        (("imgae",), "needs 'imgae', and no standard port is called so", "did you mean 'image'?"),
        (("generated.latents",), "no standard port is called so", "give a Port"),
        ("image", "the text 'image', not a list", 'write needs=("image",)'),
    ],
)
def test_a_need_that_is_no_port_is_told(needs: Any, message: str, remedy: str) -> None:
    def wrong(step: Any) -> Any:
        """Need it."""

    with pytest.raises(FacekitError, match=message) as caught:
        loss("tested/wrong", needs=needs)(wrong)
    assert str(caught.value.where).startswith(f"{__file__}:")
    assert remedy in (caught.value.remedy or "")


def test_a_metric_of_attribute_transfer_is_a_class() -> None:
    with pytest.raises(FacekitError, match="names no attributes to transfer"):
        metric("tested/wrong", needs=(), better="lower", tasks=("attribute_transfer",))(_silent)


def test_a_metric_that_returns_one_value_a_batch_is_told() -> None:
    import torch

    @metric("tested/wrong", needs=("generated",), better="lower")
    def mean_of_all(observation: Any) -> Any:
        """Mean over everything."""
        return torch.zeros(())

    class Seen:
        task = "reconstruction"
        keys = ("a", "b")

    built = mean_of_all(mean_of_all.spec.options(), None)
    with pytest.raises(FacekitError, match=r"shape \(\) for 2 samples") as caught:
        built.update(Seen())
    assert "of shape (2,)" in (caught.value.remedy or "")


def test_measurements_say_the_options_and_the_tasks() -> None:
    built = absolute_error(absolute_error.spec.options(scale=1.0), None)
    contract: Any = TestAbsoluteError()
    for observation in contract.observations(32, built, at_once=2):
        built.update(observation)
    (measured,) = built.compute()
    assert (measured.name, measured.unit, measured.better) == ("absolute_error", "levels", "lower")
    assert measured.protocol == {"scale": "1.0"}
    assert measured.count == len(measured.per_sample) == 6
    of_two = change(change.spec.options(), None)
    for observation in contract.observations(32, of_two, at_once=3):
        of_two.update(observation)
    assert [entry.name for entry in of_two.compute()] == ["change/reconstruction", "change/style_copy"]


@pytest.fixture
def plugin() -> Iterator[ModuleType]:
    module = ModuleType("decorated_for_tests")
    plain = ComponentSpec(
        interface_version=1, kind="loss", id="tested/plain", summary="Plain.", options=NoOptions, factory="nowhere:no"
    )
    module.facekit_components = components(charbonnier, absolute_error, plain)  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


def test_a_plugin_offers_decorated_functions_and_specs(plugin: ModuleType) -> None:
    plugins = PluginSet({"FACEKIT_NO_PLUGINS": "1", "FACEKIT_STRICT_PLUGINS": "1"})
    plugins.register(plugin, name="decorated")
    registry = Registry(plugins)
    assert registry.find("loss", "charbonnier").spec is charbonnier.spec
    assert registry.find("metric", "absolute_error").spec is absolute_error.spec
    assert registry.find("loss", "plain").spec.options is NoOptions
    described = describe_component(registry, registry.find("loss", "charbonnier"))
    assert str(described.source).startswith(f"{SUBJECTS}:")


def test_a_plugin_that_does_not_offer_its_functions_is_told_how(tmp_path: Path) -> None:
    source = SUBJECTS.read_text("utf-8")
    file = tmp_path / "offers_nothing.py"
    file.write_text(source[: source.index("facekit_components =")], encoding="utf-8")
    with pytest.raises(FacekitError, match="are decorated and not offered") as caught:
        PluginSet({"FACEKIT_NO_PLUGINS": "1"}).load_file(file)
    assert "write facekit_components = components(absolute_error, change, charbonnier)" in str(caught.value)


def test_a_mistake_in_a_decorated_function_is_told_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "misspelt_need.py"
    file.write_text(SUBJECTS.read_text("utf-8").replace('needs=("image", ', 'needs=("imgae", '), encoding="utf-8")
    with pytest.raises(FacekitError, match="charbonnier needs 'imgae'") as caught:
        PluginSet({"FACEKIT_NO_PLUGINS": "1"}).load_file(file)
    assert f"{file}:" in str(caught.value)
    assert "did you mean 'image'?" in str(caught.value)


def test_something_else_is_no_component() -> None:
    with pytest.raises(FacekitError, match="which is no component"):
        components(_silent)  # type: ignore[arg-type]


def test_the_plugin_of_the_documentation_is_short() -> None:
    """The promise of the guide: a loss of one formula is a file of about eleven lines of code."""
    file = Path(__file__).parents[2] / "docs" / "examples" / "squared_error.py"
    spec = load_registry(file).find("loss", "squared_error").spec
    assert isinstance(sys.modules["squared_error"].squared_error, FunctionComponent)
    assert spec.options().model_dump() == {"border": 0}
    code = [line for line in file.read_text("utf-8").splitlines() if line.strip()]
    assert len(code) <= 15
