"""The contracts of a family's networks and of samplers: sound ones keep them, and each broken promise is caught."""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from facekit.testing import BrokenPromise, ComponentContract, FamilyNetworkContract, SamplerContract

SUBJECTS = Path(__file__).parent / "subjects"

NETWORK_FAULTS = {
    "shape": "test_ports_match",
    "gradient": "test_gradients_reach_every_parameter",
    "determinism": "test_eval_is_deterministic",
    "independence": "test_samples_are_independent",
}
SAMPLER_FAULTS = {
    "shape": "test_ports_match",
    "determinism": "test_is_deterministic",
    "independence": "test_samples_are_independent",
}


@pytest.fixture(scope="module", autouse=True)
def subjects() -> Iterator[Any]:
    sys.path.insert(0, str(SUBJECTS))
    import subject_family

    yield subject_family
    sys.path.remove(str(SUBJECTS))
    del sys.modules["subject_family"]


def paint(mask: Tensor, noise: Tensor) -> Tensor:
    """Return images (N, 3, H, W) that follow from mask and noise."""
    return ((mask[:, None].float() - 9) / 9 * 0.5 + noise[:, :3, None, None].tanh() * 0.5).clamp(-1, 1)


def contract(base: type[ComponentContract], spec: Any, fault: str = "", **more: Any) -> type[ComponentContract]:
    """Return a contract as an author writes it."""
    members = {"spec": spec, "options": {"fault": fault}, "sizes": (16, 32), "dimensions": {"style": 5}, **more}
    return type("TestSubject", (base,), {**members, "__module__": __name__})


def of_sampler(spec: Any, fault: str = "") -> type[ComponentContract]:
    """Return the contract of a sampler, with the networks that it calls."""
    return contract(SamplerContract, spec, fault, networks=lambda self, size: {"paint": paint})


def broken(subject: type[ComponentContract]) -> dict[str, BrokenPromise]:
    """Run every test of a contract, as pytest would, and return what fails by its name."""
    failed = {}
    for name, test in inspect.getmembers(subject, inspect.isfunction):
        if not name.startswith("test_"):
            continue
        marks = [mark.args for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
        for chosen in itertools.product(*([(argument, value) for value in values] for argument, values in marks)):
            try:
                test(subject(), **dict(chosen))
            except BrokenPromise as error:
                failed[name] = error
    assert all(error.promise and error.seen and error.remedy for error in failed.values())
    return failed


@pytest.mark.parametrize("fault", ["", "two"])
def test_a_sound_network_of_a_family_keeps_all_promises(fault: str, subjects: Any) -> None:
    assert not broken(contract(FamilyNetworkContract, subjects.MAPPING, fault))


@pytest.mark.parametrize("fault", NETWORK_FAULTS)
def test_a_broken_promise_of_a_network_is_caught_by_its_test(fault: str, subjects: Any) -> None:
    assert set(broken(contract(FamilyNetworkContract, subjects.MAPPING, fault))) == {NETWORK_FAULTS[fault]}


def test_a_network_that_returns_something_else_is_told_what_to_do(subjects: Any) -> None:
    failed = broken(contract(FamilyNetworkContract, subjects.MAPPING, "type"))
    assert failed["test_save_and_load"].seen == "it returned a list, in which no port is found"
    assert "override `given`" in failed["test_save_and_load"].remedy


@pytest.mark.parametrize("fault", ["", "declared"])
def test_a_sound_sampler_keeps_all_promises(fault: str, subjects: Any) -> None:
    assert not broken(of_sampler(subjects.SAMPLER, fault))


@pytest.mark.parametrize("fault", SAMPLER_FAULTS)
def test_a_broken_promise_of_a_sampler_is_caught_by_its_test(fault: str, subjects: Any) -> None:
    assert set(broken(of_sampler(subjects.SAMPLER, fault))) == {SAMPLER_FAULTS[fault]}


def test_a_sampler_that_reads_what_it_does_not_declare_is_caught(subjects: Any) -> None:
    failed = broken(of_sampler(subjects.SAMPLER, "undeclared"))
    assert failed["test_ports_match"].promise == "a sampler works with what its ports need"


def test_a_sampler_that_returns_a_tensor_is_told_what_to_do(subjects: Any) -> None:
    failed = broken(of_sampler(subjects.SAMPLER, "type"))
    assert failed["test_ports_match"].remedy == "wrap it: Generated(...)"


def test_a_sampler_contract_without_networks_says_so(subjects: Any) -> None:
    subject: Any = contract(SamplerContract, subjects.SAMPLER)
    with pytest.raises(BrokenPromise, match="needs `networks`"):
        subject().test_is_deterministic()
