"""Each promise of the contract classes is kept by a sound component, and a broken one is caught by its test alone."""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facekit.testing import (
    BrokenPromise,
    ComponentContract,
    DatasetContract,
    DiscriminatorContract,
    GeneratorContract,
    LossContract,
    MetricContract,
    StyleEncoderContract,
)
from facekit.testing.inputs import blobs
from facekit.training.convolution_guard import torch_is_wrong

SUBJECTS = Path(__file__).parent / "subjects"
MODULES = ("subject_specs", "subject_parts", "subject_files", "subject_with_torch")

NETWORK_FAULTS = {
    "shape": "test_ports_match",
    "gradient": "test_gradients_reach_every_parameter",
    "not_finite_gradient": "test_gradients_reach_every_parameter",
    "determinism": "test_eval_is_deterministic",
    "independence": "test_samples_are_independent",
    "save": "test_save_and_load",
    "bf16": "test_bf16_agrees",
    "channels_last": "test_channels_last_agrees",
    "channels_last_gradient": "test_channels_last_agrees",
    "fake": "test_fake_tensors",
}
LOSS_FAULTS = {
    "undeclared": None,  # nothing works without the style it asks for; see below
    "vector": None,
    "double": "test_ports_match",
    "gradient": "test_gradients_reach_the_player",
    "own_parameter": "test_gradients_reach_the_player",
    "determinism": "test_is_deterministic",
    "independence": "test_samples_are_independent",
    "save": "test_save_and_load",
    "bf16": "test_bf16_agrees",
    "channels_last": "test_channels_last_agrees",
    "channels_last_gradient": "test_channels_last_agrees",
    "fake": "test_fake_tensors",
    "in_place": "test_leaves_the_step_alone",
}
METRIC_FAULTS = {
    "batches": "test_does_not_depend_on_batches",
    "determinism": "test_is_deterministic",
    "per_sample": "test_measurements_are_sound",
    "nothing": "test_nothing_observed_is_an_error",
    "in_place": "test_leaves_observations_alone",
    "better": "test_better_is_better",
}
DATASET_FAULTS = {
    "ports": "test_ports_match",
    "ids": "test_ports_match",
    "no_labels": "test_ports_match",
    "no_mask_port": "test_ports_match",
    "no_masks": "test_ports_match",
    "masks_without_labels": "test_ports_match",
    "keys": "test_keys_and_splits",
    "splits": "test_keys_and_splits",
    "determinism": "test_is_deterministic",
    "hint": "test_size_is_a_hint",
    "fingerprint": "test_fingerprint_follows_the_data",
    "process": "test_works_in_another_process",
    "check": "test_damage_is_reported",
    "blind": "test_damage_is_reported",
    "read": "test_damage_is_reported",
    "mirror_order": "test_extra_is_mirrored",
    "mirror_name": "test_extra_is_mirrored",
    "mirror_range": "test_extra_is_mirrored",
}
EXTRA_FAULTS = {
    "extra_shape": r"`visible` has the shape \(5,\), and its port says \(4,\)",
    "extra_size": r"`regions` has the shape \(7, 7\), and its port says \(\d+, \d+\)",
    "extra_kind": "`landmarks` is int64, and arrays of a port of float are float32",
    "extra_float64": "'landmarks' is of float64; arrays are of float32, int64, int32, uint8, bool",
    "extra_range": r"`landmarks` is in \[3, 3\], and its port says \[-1, 1\]",
    "extra_ids": r"`regions` is in \[3, 3\], and its port says \[0, 2\]",
    "extra_undeclared": "`extra` holds `depth`, and the ports do not give it",
    "extra_missing": "the ports give `visible`, and `extra` holds no such array",
    "extra_not_finite": "'landmarks' holds numbers that are not finite",
    "extra_binary": "`visible` holds other numbers than 0 and 1",
    "extra_one_sample": r"sample 2: `visible` has the shape \(5,\), and its port says \(4,\)",
}


@pytest.fixture(scope="module", autouse=True)
def subjects() -> Iterator[Any]:
    sys.path.insert(0, str(SUBJECTS))
    import subject_specs

    yield subject_specs
    sys.path.remove(str(SUBJECTS))
    for name in MODULES:
        sys.modules.pop(name, None)


def contract(base: type[ComponentContract], spec: Any, fault: str = "", **more: Any) -> type[ComponentContract]:
    """Return a contract as an author writes it."""
    return type(
        "TestSubject",
        (base,),
        {"spec": spec, "options": {"fault": fault}, "sizes": (16, 32), "__module__": __name__, **more},
    )


def broken(subject: type[ComponentContract], folder: Path) -> set[str]:
    """Run every test of a contract, as pytest would, and return the names of those that fail."""
    failed = set()
    for name, test in inspect.getmembers(subject, inspect.isfunction):
        if not name.startswith("test_"):
            continue
        marks = [mark.args for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
        choices = [[(argument, value) for value in values] for argument, values in marks]
        for number, chosen in enumerate(itertools.product(*choices)):
            arguments: dict[str, Any] = dict(chosen)
            if "tmp_path" in inspect.signature(test).parameters:
                arguments["tmp_path"] = folder / f"{name}-{number}"
                arguments["tmp_path"].mkdir()
            try:
                test(subject(), **arguments)
            except BrokenPromise as error:
                told = (error.promise, error.seen, error.remedy)
                if not all(told):
                    raise RuntimeError(f"{name} does not say what is wrong and what to do: {told}") from error
                failed.add(name)
    return failed


NETWORKS = {
    "STYLE_ENCODER": StyleEncoderContract,
    "GENERATOR": GeneratorContract,
    "DISCRIMINATOR": DiscriminatorContract,
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_sound_network_keeps_all_promises(kind: str, subjects: Any, tmp_path: Path) -> None:
    assert broken(contract(NETWORKS[kind], getattr(subjects, kind)), tmp_path) == set()


@pytest.mark.parametrize("fault", NETWORK_FAULTS)
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_broken_promise_of_a_network_is_caught_by_its_test(
    kind: str, fault: str, subjects: Any, tmp_path: Path
) -> None:
    subject = contract(NETWORKS[kind], getattr(subjects, kind), fault)
    assert broken(subject, tmp_path) == {NETWORK_FAULTS[fault]}


@pytest.mark.parametrize("fault", ["range", "undeclared"])
def test_ranges_and_inputs_that_are_not_declared_are_caught(fault: str, subjects: Any, tmp_path: Path) -> None:
    assert broken(contract(GeneratorContract, subjects.GENERATOR, fault), tmp_path) == {"test_ports_match"}


def test_a_wrong_gradient_is_named(subjects: Any) -> None:
    subject: Any = contract(GeneratorContract, subjects.GENERATOR, "channels_last_gradient")()
    with pytest.raises(BrokenPromise, match=r"lay\.weight \(1\)") as caught:
        subject.test_channels_last_agrees()
    assert "paint.weight" not in caught.value.seen
    tolerant: Any = contract(
        GeneratorContract, subjects.GENERATOR, "channels_last_gradient", channels_last_gradient_tolerance=1.1
    )()
    tolerant.test_channels_last_agrees()


def test_what_training_mends_is_no_broken_promise(
    subjects: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = contract(GeneratorContract, subjects.MODULATED)
    assert broken(subject, tmp_path / "a") == set()
    if not torch_is_wrong():
        return
    monkeypatch.setattr("facekit.testing.network.right_gradients", lambda device: nullcontext())
    with pytest.raises(BrokenPromise, match=r"last\.weight"):
        subject().test_channels_last_agrees()  # type: ignore[attr-defined]


def test_masks_show_every_class(subjects: Any, tmp_path: Path) -> None:
    assert broken(contract(GeneratorContract, subjects.BY_CLASS), tmp_path) == set()


@pytest.mark.parametrize(
    ("shape", "classes", "shown"),
    [((3, 32, 32), 19, 19), ((1, 32, 32), 19, 19), ((20, 20), 19, 19), ((2, 4, 4), 19, 19), ((1, 4, 4), 19, 16)],
)
def test_blobs_show_every_class_that_has_room(shape: tuple[int, ...], classes: int, shown: int) -> None:
    for seed in range(20):
        ids = blobs(shape, classes, torch.Generator().manual_seed(seed))
        assert tuple(ids.shape) == shape
        assert 0 <= int(ids.min()) <= int(ids.max()) < classes
        assert len(ids.unique()) == shown


@pytest.mark.parametrize("name", ["VAE_ENCODER", "VAE_GENERATOR", "DIVERGENCE"])
def test_fields_of_a_family_need_no_override(name: str, subjects: Any, tmp_path: Path) -> None:
    kinds = {"VAE_ENCODER": StyleEncoderContract, "VAE_GENERATOR": GeneratorContract}
    subject = contract(kinds.get(name, LossContract), getattr(subjects, name), dimensions={"style": 6})
    assert broken(subject, tmp_path) == set()


def test_a_loss_may_differentiate_the_picture_by_a_field(subjects: Any, tmp_path: Path) -> None:
    subject = contract(LossContract, subjects.PATH_LENGTH, dimensions={"latent": 5})
    # In bf16 the engine gives losses a copy of the latents in float32, which does not lead to the picture.
    assert broken(subject, tmp_path) <= {"test_bf16_agrees"}


@pytest.mark.parametrize("fault", ["no_fields", "shape"])
def test_fields_of_a_family_are_held_to_their_ports(fault: str, subjects: Any) -> None:
    subject: Any = contract(StyleEncoderContract, subjects.VAE_ENCODER, fault)()
    with pytest.raises(BrokenPromise, match=r"style\.mean"):
        subject.test_ports_match(0, 1)


def test_a_result_of_another_type_is_named(subjects: Any) -> None:
    with pytest.raises(BrokenPromise, match="a style encoder returns a Style"):
        contract(StyleEncoderContract, subjects.STYLE_ENCODER, "type")().test_save_and_load()  # type: ignore[attr-defined]


def test_probes_stand_in_on_fake_tensors(subjects: Any, tmp_path: Path) -> None:
    assert broken(contract(GeneratorContract, subjects.NO_PROBE), tmp_path / "a") == {"test_fake_tensors"}
    assert broken(contract(GeneratorContract, subjects.WITH_PROBE), tmp_path / "b") == set()
    assert broken(contract(GeneratorContract, subjects.WRONG_PROBE), tmp_path / "c") == {"test_fake_tensors"}


def test_batch_dependence_is_declared_both_ways(subjects: Any, tmp_path: Path) -> None:
    declared = contract(DiscriminatorContract, subjects.BATCH_DEPENDENT, "independence")
    assert broken(declared, tmp_path / "a") == set()
    in_vain = contract(DiscriminatorContract, subjects.BATCH_DEPENDENT)
    assert broken(in_vain, tmp_path / "b") == {"test_samples_are_independent"}


def test_exceptions_from_gradients_are_needed(subjects: Any, tmp_path: Path) -> None:
    excepted = {"parameters_without_gradient": ("*.unused",)}
    assert broken(contract(GeneratorContract, subjects.GENERATOR, "gradient", **excepted), tmp_path / "a") == set()
    in_vain = contract(GeneratorContract, subjects.GENERATOR, parameters_without_gradient=("lay.*",))
    assert broken(in_vain, tmp_path / "b") == {"test_gradients_reach_every_parameter"}


def test_a_module_that_imports_torch_is_caught(tmp_path: Path) -> None:
    import subject_with_torch

    assert broken(contract(GeneratorContract, subject_with_torch.GENERATOR), tmp_path) == {"test_spec_imports_no_torch"}


@pytest.mark.parametrize(
    "name",
    ["UNEXPLAINED", "OPEN", "THAWED", "DRIFTING", "WRONG_EXAMPLE"],
)
def test_options_that_do_not_hold_are_caught(name: str, subjects: Any, tmp_path: Path) -> None:
    assert broken(contract(GeneratorContract, getattr(subjects, name)), tmp_path) == {"test_options_round_trip"}


def test_a_sound_loss_keeps_all_promises(subjects: Any, tmp_path: Path) -> None:
    assert broken(contract(LossContract, subjects.LOSS), tmp_path) == set()


@pytest.mark.parametrize("fault", [fault for fault, caught in LOSS_FAULTS.items() if caught])
def test_a_broken_promise_of_a_loss_is_caught_by_its_test(fault: str, subjects: Any, tmp_path: Path) -> None:
    assert broken(contract(LossContract, subjects.LOSS, fault), tmp_path) == {LOSS_FAULTS[fault]}


@pytest.mark.parametrize("fault", ["undeclared", "vector"])
def test_a_loss_that_does_not_fit_its_ports_is_caught(fault: str, subjects: Any) -> None:
    with pytest.raises(BrokenPromise, match="style" if fault == "undeclared" else r"float32 \(3,\)"):
        contract(LossContract, subjects.LOSS, fault)().test_ports_match(0, 1)  # type: ignore[attr-defined]


def test_a_sound_metric_keeps_all_promises(subjects: Any, tmp_path: Path) -> None:
    assert broken(contract(MetricContract, subjects.METRIC), tmp_path) == set()


@pytest.mark.parametrize("fault", METRIC_FAULTS)
def test_a_broken_promise_of_a_metric_is_caught_by_its_test(fault: str, subjects: Any, tmp_path: Path) -> None:
    assert broken(contract(MetricContract, subjects.METRIC, fault), tmp_path) == {METRIC_FAULTS[fault]}


@pytest.mark.parametrize("fault", ["ports", "direction"])
def test_a_metric_with_a_task_or_direction_that_does_not_exist(fault: str, subjects: Any) -> None:
    subject: Any = contract(MetricContract, subjects.METRIC, fault)()
    with pytest.raises(BrokenPromise, match="repainting" if fault == "ports" else "better='up'"):
        subject.test_ports_match() if fault == "ports" else subject.test_measurements_are_sound()


class FilesWriter:
    """Writes the files of the subject, as the author of a dataset's contract does."""

    fault = ""

    def make_options(self, folder: Path) -> dict[str, Any]:
        folder.mkdir(exist_ok=True)
        for number in range(4):
            if not (folder / f"{number}.npy").exists():
                np.save(folder / f"{number}.npy", np.full((24, 24, 3), 10 * number, np.uint8))
        return {"root": str(folder), "fault": self.fault}

    def change_data(self, folder: Path) -> None:
        np.save(folder / "1.npy", np.full((32, 32, 3), 200, np.uint8))

    def damage(self, folder: Path) -> int:
        (folder / "2.npy").write_bytes(b"no array")
        return 2


def files_contract(spec: Any, fault: str = "") -> type[ComponentContract]:
    members = {"spec": spec, "fault": fault, "__module__": __name__}
    return type("TestFiles", (FilesWriter, DatasetContract), members)


def test_a_sound_dataset_keeps_all_promises(subjects: Any, tmp_path: Path) -> None:
    assert broken(files_contract(subjects.DATASET), tmp_path) == set()


def test_a_sound_dataset_without_masks_keeps_all_promises(subjects: Any, tmp_path: Path) -> None:
    assert broken(files_contract(subjects.DATASET, "sound_without_masks"), tmp_path) == set()


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("no_labels", "the ports give masks, and the label map 'none' has 0 classes"),
        ("no_mask_port", "the ports do not give masks, and the label map 'two' has 2 classes"),
        ("no_masks", "it has no mask, and the ports give one"),
        ("masks_without_labels", "it has a mask, and the ports give none"),
    ],
)
def test_masks_ports_and_label_map_go_together(fault: str, seen: str, subjects: Any, tmp_path: Path) -> None:
    with pytest.raises(BrokenPromise, match=seen):
        files_contract(subjects.DATASET, fault)().test_ports_match(tmp_path)  # type: ignore[attr-defined]


def test_a_sound_dataset_with_further_arrays_keeps_all_promises(subjects: Any, tmp_path: Path) -> None:
    assert broken(files_contract(subjects.DATASET, "sound_with_extra"), tmp_path) == set()


@pytest.mark.parametrize("fault", EXTRA_FAULTS)
def test_further_arrays_that_are_not_what_the_ports_say(fault: str, subjects: Any, tmp_path: Path) -> None:
    with pytest.raises(BrokenPromise, match=EXTRA_FAULTS[fault]):
        files_contract(subjects.DATASET, fault)().test_extra_matches_ports(tmp_path)  # type: ignore[attr-defined]


@pytest.mark.parametrize("fault", DATASET_FAULTS)
def test_a_broken_promise_of_a_dataset_is_caught_by_its_test(fault: str, subjects: Any, tmp_path: Path) -> None:
    assert broken(files_contract(subjects.DATASET, fault), tmp_path) == {DATASET_FAULTS[fault]}


def test_a_dataset_that_needs_torch_is_caught(subjects: Any, tmp_path: Path) -> None:
    assert broken(files_contract(subjects.DATASET_WITH_TORCH), tmp_path) == {"test_opens_without_torch"}


def test_a_contract_says_what_it_lacks(subjects: Any) -> None:
    with pytest.raises(TypeError, match="needs `spec`"):
        type("TestNothing", (GeneratorContract,), {"__module__": __name__})
    with pytest.raises(TypeError, match="contract for a generator, and subjects/loss is a loss"):
        contract(GeneratorContract, subjects.LOSS)


def test_the_contract_classes_are_not_collected_themselves() -> None:
    for base in (GeneratorContract, LossContract, MetricContract, DatasetContract, ComponentContract):
        assert base.__test__ is False
