"""Each promise of optimisers and schedules is kept by a sound one, and a broken one is caught by its test alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch

from facekit.interfaces import NoOptions, TrainingContext
from facekit.registry import ComponentSpec
from facekit.testing import BrokenPromise, OptimiserContract, ScheduleContract

Make = Callable[[NoOptions, TrainingContext], Any]


class _Spec(ComponentSpec):
    """A spec whose factory stands here."""

    make: ClassVar[Make]

    def build(self, options: Any, context: Any) -> Any:
        return type(self).make(options, context)


def _contract(base: type[Any], make: Make) -> Any:
    spec = type("_Made", (_Spec,), {"make": staticmethod(make)})(
        interface_version=1,
        kind=base.kind,
        id="subjects/one",
        summary="One.",
        options=NoOptions,
        factory="nowhere:make",
    )
    return type("TestOne", (base,), {"spec": spec, "__module__": __name__})()


def _broken(subject: Any) -> set[str]:
    own = ("test_updates_weights", "test_follows_the_learning_rate", "test_resumes_exactly")
    names = (
        own if isinstance(subject, OptimiserContract) else ("test_factors_are_sound", "test_depends_on_the_step_alone")
    )
    found = set()
    for name in names:
        try:
            getattr(subject, name)()
        except BrokenPromise as error:
            found.add(name if error.seen and error.remedy else "it does not say what to do")
    return found


class Momentum(torch.optim.Optimizer):
    """Gradient descent with a mean, which has a fault where one is named."""

    def __init__(self, groups: list[dict[str, Any]], fault: str) -> None:
        super().__init__(groups, {})
        self.fault = fault
        self.means: dict[Any, torch.Tensor] = {}
        self.first = [group["lr"] for group in self.param_groups]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group, first in zip(self.param_groups, self.first, strict=True):
            rate = first if self.fault == "rate" else group["lr"]
            for weight in group["params"]:
                gradient = weight.grad
                if gradient is None and self.fault == "without gradient":
                    gradient = torch.ones_like(weight)
                if gradient is None or (self.fault == "idle" and weight.dim() == 4):
                    continue
                where = self.means if self.fault == "attribute" else self.state[weight]
                key = weight if self.fault == "attribute" else "mean"
                mean = where.setdefault(key, torch.zeros_like(weight))
                if self.fault == "text":
                    self.state[weight]["name"] = "a weight"
                mean.lerp_(gradient, 0.3)
                weight.sub_(mean, alpha=rate * (float("inf") if self.fault == "infinite" and rate else 1.0))


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        ("", set()),
        ("rate", {"test_follows_the_learning_rate"}),
        ("without gradient", {"test_updates_weights"}),
        ("idle", {"test_updates_weights"}),
        ("attribute", {"test_resumes_exactly"}),
        ("text", {"test_resumes_exactly"}),
    ],
)
def test_of_optimisers(fault: str, broken: set[str]) -> None:
    subject = _contract(OptimiserContract, lambda options, context: lambda groups: Momentum(groups, fault))
    assert _broken(subject) == broken


def test_an_optimiser_that_is_none_keeps_no_promise() -> None:
    subject = _contract(OptimiserContract, lambda options, context: lambda groups: "nothing")
    assert len(_broken(subject)) == 3
    infinite = _contract(OptimiserContract, lambda options, context: lambda groups: Momentum(groups, "infinite"))
    assert "test_updates_weights" in _broken(infinite)


def _counting(options: NoOptions, context: TrainingContext) -> Any:
    calls: list[int] = []

    def factor(step: int, steps: int) -> float:
        calls.append(step)
        return 1 / len(calls)

    return factor


@pytest.mark.parametrize(
    ("make", "broken"),
    [
        (lambda options, context: lambda step, steps: 1 - step / steps, set()),
        (lambda options, context: lambda step, steps: 0.5 - step / steps, {"test_factors_are_sound"}),
        (lambda options, context: lambda step, steps: True, {"test_factors_are_sound"}),
        (lambda options, context: lambda step, steps: torch.tensor(1.0), {"test_factors_are_sound"}),
        (_counting, {"test_depends_on_the_step_alone"}),
    ],
)
def test_of_schedules(make: Make, broken: set[str]) -> None:
    assert _broken(_contract(ScheduleContract, make)) == broken


def test_what_fails_breaks_both() -> None:
    assert len(_broken(_contract(ScheduleContract, lambda options, context: 1 / 0))) == 2
