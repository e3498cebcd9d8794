from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from facekit.interfaces import BuildContext, PortContext
from facekit.registry import PluginSet, Registry
from facekit_losses import plugin
from facekit_losses.options import AdversarialOptions, PerceptualOptions, RegionColourOptions


def specs():  # type: ignore[no-untyped-def]
    return {spec.name: spec for spec in plugin.facekit_components()}


def needs(name: str, options, player: str = "generator") -> set[str]:  # type: ignore[no-untyped-def]
    ports = specs()[name].ports(options, PortContext(size=64, player=player))
    return {port.name for port in ports.needs}


def test_specs_are_declared_without_torch() -> None:
    code = "import sys, facekit_losses.plugin as p; list(p.facekit_components()); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_loss_builds_from_its_defaults(context: BuildContext) -> None:
    plugins = PluginSet({})
    plugins.register(plugin, name="losses")
    registry = Registry(plugins)
    assert not plugins.failures
    names = registry.names("loss")
    assert len(names) == 11
    for name in names:
        spec = registry.find("loss", name).spec
        assert callable(spec.build(spec.options(), context))


def test_ports() -> None:
    assert needs("feature_matching", specs()["feature_matching"].options()) >= {
        "discriminated.features",
        "generated",
    }
    assert "discriminated" in needs("adversarial", AdversarialOptions())
    assert "style" not in needs("adversarial", AdversarialOptions())
    assert "style" in needs("adversarial", AdversarialOptions(shuffled_style=True))
    assert "discriminated" not in needs("perceptual", PerceptualOptions())
    for name, options in (
        ("adversarial", AdversarialOptions(shuffled_style=True)),
        ("region_colour", RegionColourOptions()),
    ):
        assert specs()[name].ports(options, PortContext(size=64)).smallest_batch == 2
    own = RegionColourOptions(own=1, shuffled_style=0)
    assert specs()["region_colour"].ports(own, PortContext(size=64)).smallest_batch == 1


def test_players() -> None:
    assert specs()["adversarial"].players == ("generator", "discriminator")
    assert specs()["gradient_penalty"].players == ("discriminator",)
    assert specs()["perceptual"].players == ("generator",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ["relu1_1"]}, "efficientnet_lite0 has no layer 'relu1_1'"),
        ({"layers": []}, "at least one layer"),
        ({"layers": ["stem", "stem"]}, "none twice"),
        ({"layer_weights": [1.0, 2.0]}, "2 numbers for 5 layers"),
        ({"backbone": "vgg19", "layers": ["relu1_1"], "layer_weights": [-1.0]}, "negative"),
        ({"backbone": "vgg16"}, "efficientnet_lite0"),
        ({"wieghts": "x"}, "wieghts"),
    ],
)
def test_exception_perceptual_options(options, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValidationError, match=message):
        PerceptualOptions(**options)


def test_published_vgg_weights() -> None:
    chosen = PerceptualOptions(backbone="vgg19").chosen_layers()
    assert chosen == {"relu1_1": 1 / 32, "relu2_1": 1 / 16, "relu3_1": 1 / 8, "relu4_1": 1 / 4, "relu5_1": 1.0}
    assert PerceptualOptions(backbone="vgg19").chosen_distance() == "l1"
    assert sum(PerceptualOptions().chosen_layers().values()) == pytest.approx(1)
    assert PerceptualOptions(layers=("stem", "block4")).chosen_layers() == {"stem": 0.5, "block4": 0.5}
