from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from facekit.interfaces import FacekitError, PortContext
from facekit.registry import PluginSet, Registry
from facekit_datasets import plugin
from facekit_datasets.label_maps import CELEBAMASK_HQ, CELEBAMASK_HQ_MERGED, PARTS


@pytest.fixture
def registry():
    plugins = PluginSet({"FACEKIT_NO_PLUGINS": "1"})
    plugins.register(plugin, name="facekit-datasets")
    return Registry(plugins)


def test_it_offers_five_datasets_and_two_label_maps(registry):
    assert not registry.plugins.failures
    assert registry.names("dataset") == [
        "celeba_attributes",
        "celebamask_hq",
        "image_folder",
        "image_mask_folder",
        "synthetic_faces",
    ]
    assert {kind for kind, _ in registry.components} == {"dataset"}
    assert registry.label_maps == {"celebamask_hq": CELEBAMASK_HQ, "celebamask_hq_merged": CELEBAMASK_HQ_MERGED}


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


def test_photos_without_masks_give_none(registry):
    spec = registry.find("dataset", "celeba_attributes").spec
    ports = spec.ports(spec.options(root="x", attributes=["Smiling"]), PortContext(64, registry.label_maps))
    assert {port.name: port.shape for port in ports.gives} == {
        "image": ("batch", 3, "size", "size"),
        "attributes": ("batch", 1),
    }
    spec = registry.find("dataset", "image_folder").spec

    def gives(**options):
        return {port.name: port.shape for port in spec.ports(spec.options(root="x", **options), PortContext(64)).gives}

    assert set(gives()) == {"image"}
    assert gives(attribute_file="a.csv")["attributes"] == ("batch", "attributes")
    assert gives(attribute_file="a.csv", attributes=["A", "B"])["attributes"] == ("batch", 2)


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


def test_the_merged_label_map():
    assert CELEBAMASK_HQ_MERGED.names == (
        *("background", "skin", "nose", "eye_g", "eye", "brow", "ear", "mouth"),
        *("u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
    )
    table = CELEBAMASK_HQ_MERGED.merge_table(CELEBAMASK_HQ)
    assert table[:20].tolist() == [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 19]
    assert (CELEBAMASK_HQ_MERGED.mirror_table() == np.arange(256)).all()


@pytest.mark.parametrize("label_map", [CELEBAMASK_HQ, CELEBAMASK_HQ_MERGED], ids=lambda each: each.name)
def test_people_tell_the_classes_apart(label_map):
    colours = [entry.colour for entry in label_map.classes]
    distances = [
        sum((a - b) ** 2 for a, b in zip(first, second)) ** 0.5
        for place, first in enumerate(colours)
        for second in colours[:place]
    ]
    assert min(distances) > 35


@pytest.mark.parametrize(("name", "given"), [("celebamask_hq", {"root": "x"}), ("synthetic_faces", {})])
def test_ports_follow_the_label_map(registry, name, given):
    spec = registry.find("dataset", name).spec
    context = PortContext(64, registry.label_maps)

    def classes(label_map):
        ports = spec.ports(spec.options(**given, label_map=label_map), context)
        return next(port.classes for port in ports.gives if port.name == "mask")

    assert (classes("celebamask_hq"), classes("celebamask_hq_merged")) == (19, 16)
    with pytest.raises(FacekitError, match="no plugin offers the label map 'celebamask_merged'") as caught:
        classes("celebamask_merged")
    assert (caught.value.where, caught.value.remedy) == (
        "label_map",
        "did you mean 'celebamask_hq_merged' or 'celebamask_hq'?",
    )


def test_describing_the_plugin_imports_neither_torch_nor_numpy():
    script = (
        "import sys\nfrom facekit_datasets import plugin\n"
        "plugin.facekit_components(), plugin.facekit_label_maps(), plugin.facekit_plugin_info()\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules), set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
