from __future__ import annotations

import subprocess
import sys

import pytest

from facekit.interfaces import PortContext
from facekit.registry import KINDS, PluginSet, Registry
from facekit_datasets import plugin
from facekit_datasets.label_maps import CELEBAMASK_HQ, PARTS


@pytest.fixture
def registry():
    plugins = PluginSet({"FACEKIT_NO_PLUGINS": "1"})
    plugins.register(plugin, name="facekit-datasets")
    return Registry(plugins)


def test_it_offers_three_datasets_and_a_label_map(registry):
    assert not registry.plugins.failures
    assert registry.names("dataset") == ["celebamask_hq", "image_mask_folder", "synthetic_faces"]
    assert all(not registry.of_kind(kind) for kind in KINDS if kind != "dataset")
    assert registry.label_maps == {"celebamask_hq": CELEBAMASK_HQ}


def test_every_option_is_described(registry):
    for component in registry.of_kind("dataset"):
        for name, field in component.spec.options.model_fields.items():
            assert field.description, f"{component.spec.id}: {name}"


def test_every_dataset_gives_photos_and_masks(registry):
    options = {"celebamask_hq": {"root": "x"}, "image_mask_folder": {"root": "x"}, "synthetic_faces": {}}
    for name, given in options.items():
        spec = registry.find("dataset", name).spec
        ports = spec.ports(spec.options(**given), PortContext(64, registry.label_maps))
        gives = {port.name: port for port in ports.gives}
        assert gives["image"].shape == ("batch", 3, "size", "size")
        assert gives["mask"].classes == 19
        assert not ports.needs


def test_attributes_are_counted_where_the_options_tell(registry):
    spec = registry.find("dataset", "celebamask_hq").spec

    def gives(**options):
        ports = spec.ports(spec.options(root="x", **options), PortContext(64, registry.label_maps))
        return {port.name: port.shape for port in ports.gives}

    assert gives()["attributes"] == ("batch", "attributes")
    assert gives(attributes=["Male"])["attributes"] == ("batch", 1)
    assert "attributes" not in gives(attributes=[])


def test_the_label_map_is_celebamask_hq():
    assert len(CELEBAMASK_HQ) == 19
    assert " ".join(PARTS) == (
        "skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip hair hat ear_r neck_l neck cloth"
    )
    table = CELEBAMASK_HQ.mirror_table()
    assert [(i, int(table[i])) for i in range(19) if table[i] != i] == [(4, 5), (5, 4), (6, 7), (7, 6), (8, 9), (9, 8)]
    colours = [entry.colour for entry in CELEBAMASK_HQ.classes]
    distances = [
        sum((a - b) ** 2 for a, b in zip(first, second)) ** 0.5
        for place, first in enumerate(colours)
        for second in colours[:place]
    ]
    assert min(distances) > 35  # people tell the classes apart


def test_describing_the_plugin_imports_neither_torch_nor_numpy():
    script = (
        "import sys\nfrom facekit_datasets import plugin\n"
        "plugin.facekit_components(), plugin.facekit_label_maps(), plugin.facekit_plugin_info()\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules), set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
