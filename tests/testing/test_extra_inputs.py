"""The contracts of losses, metrics and datasets work for a family whose tensors the core knows nothing of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from facekit.registry import PluginSet, Registry
from facekit.testing import BrokenPromise, DatasetContract, LossContract, MetricContract

PLUGIN = Path(__file__).parents[1] / "training" / "plugin" / "landmark_plugin.py"


@pytest.fixture(scope="module")
def registry() -> Registry:
    plugins = PluginSet({})
    plugins.load_file(PLUGIN)
    return Registry(plugins)


def contract(base: type[Any], spec: Any, **members: Any) -> Any:
    return type("TestSubject", (base,), {"spec": spec, "__module__": __name__, **members})()


def test_a_loss_is_given_what_its_ports_need(registry: Registry) -> None:
    subject = contract(LossContract, registry.find("loss", "marks/by_landmarks").spec)
    subject.test_ports_match(1, 1)
    for promise in (
        subject.test_gradients_reach_the_player,
        subject.test_is_deterministic,
        subject.test_leaves_the_step_alone,
        subject.test_bf16_agrees,
    ):
        promise()


def test_a_loss_is_not_given_what_its_ports_leave_out(registry: Registry) -> None:
    with pytest.raises(BrokenPromise, match="landmarks"):
        contract(LossContract, registry.find("loss", "marks/undeclared").spec).test_ports_match(0, 0)


def test_class_ids_and_sides_follow_the_ports(registry: Registry) -> None:
    subject = contract(LossContract, registry.find("loss", "marks/same_depth").spec)
    batch = subject.batch(subject.sizes[0], 2, "generator")
    assert batch.extra.keys() == {"depth"}
    assert tuple(batch.extra["depth"].shape) == (2, subject.sizes[0], subject.sizes[0])
    assert 0 <= float(batch.extra["depth"].min()) < float(batch.extra["depth"].max()) <= 1


def test_a_metric_is_given_what_its_ports_need(registry: Registry) -> None:
    subject = contract(MetricContract, registry.find("metric", "marks/spot_error").spec)
    size = subject.sizes[0]
    seen: list[dict[str, Any]] = []
    for at_once in (1, 3):
        shown = subject.observations(size, subject.build(size), at_once=at_once)
        pairs = ((each.keys, each.condition.extra["landmarks"]) for each in shown)
        seen.append({key: row.tolist() for keys, rows in pairs for key, row in zip(keys, rows, strict=True)})
    assert len({str(row) for row in seen[0].values()}) == subject.count
    assert seen[0] == seen[1], "a face has the same landmarks in every batch"


def test_a_dataset_with_mirrored_landmarks_keeps_its_promises(registry: Registry, tmp_path: Path) -> None:
    spec = registry.find("dataset", "marks/spots").spec
    subject = contract(DatasetContract, spec, sizes=(16, 32), label_maps=())
    for promise in (
        subject.test_ports_match,
        subject.test_extra_matches_ports,
        subject.test_extra_is_mirrored,
        subject.test_is_deterministic,
    ):
        promise(tmp_path)
