"""What an optimiser promises, and what a schedule."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from facekit.interfaces import Schedule, TrainingContext
from facekit.recipe.resolved import ComponentChoice, Mark
from facekit.registry import Kind, PluginOrigin, RegisteredComponent
from facekit.testing.contract import BrokenPromise, ComponentContract, promise, promised, seeded
from facekit.training.optimiser import TorchOptimiser

_NOWHERE = Mark("", 0, 0, "")
_STEPS = 6


class OptimiserContract(ComponentContract):
    """The promises of an optimiser. Subclass it with ``spec``, and ``options`` where the defaults are not wanted."""

    kind: ClassVar[Kind] = "optimiser"

    rate: ClassVar[float] = 1e-2
    """The learning rate it is tried with."""

    @promise
    def test_updates_weights(self) -> None:
        """An optimiser changes the weights that have gradients, and no others."""
        parameters = self.parameters()
        before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        updates = self.updates(parameters)
        for index in range(_STEPS):
            self.step(updates, parameters, index, without="bias")
        for name, parameter in parameters.items():
            if not parameter.isfinite().all():
                raise BrokenPromise(f"{name} is not finite after {_STEPS} updates", "look for divisions by zero")
            if torch.equal(parameter, before[name]) != (name == "bias"):
                seen = f"{name}, which has no gradient, changed" if name == "bias" else f"{name} did not change"
                raise BrokenPromise(seen, "update each weight of `param_groups` whose `grad` is not None")

    @promise
    def test_follows_the_learning_rate(self) -> None:
        """Schedules set the learning rate of every update: at 0 nothing changes."""
        parameters = self.parameters()
        updates = self.updates(parameters)
        self.step(updates, parameters, 0)
        before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        self.step(updates, parameters, 1, factor=0.0)
        for name, parameter in parameters.items():
            if not torch.equal(parameter, before[name]):
                raise BrokenPromise(
                    f"{name} changed in an update whose learning rate is 0",
                    'read group["lr"] in `step`, and scale all that changes weights by it',
                )

    @promise
    def test_resumes_exactly(self) -> None:
        """A run that goes on from a checkpoint is the same run, bit for bit."""
        whole, again = (self._run(resumed=resumed) for resumed in (False, True))
        for name, tensor in whole.items():
            if not torch.equal(tensor, again[name]):
                off = float((tensor - again[name]).abs().max())
                raise BrokenPromise(
                    f"{name} is another after going on at half of {_STEPS} updates, off by {off:.3g}",
                    "keep what matters in `state[weight]`, or as numbers in `param_groups`; nothing else is kept",
                )

    def updates(self, parameters: dict[str, nn.Parameter]) -> TorchOptimiser:
        """Return the optimiser as facekit calls it."""
        origin = PluginOrigin(self.spec.id, "the plugin under test", "", self.spec.factory)
        choice = ComponentChoice(RegisteredComponent(self.spec, origin), self.validated(), "train.optimiser", _NOWHERE)
        made = choice.build(TrainingContext(player="generator", steps=_STEPS))
        rates = dict.fromkeys(parameters, self.rate)
        return TorchOptimiser(choice, made, player="generator", parameters=parameters, rates=rates)

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return weights as networks have them: matrices, kernels, biases."""
        with seeded(self.seed):
            return {
                "matrix": nn.Parameter(torch.randn(5, 4)),
                "kernel": nn.Parameter(torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last)),
                "bias": nn.Parameter(torch.randn(5)),
            }

    def step(
        self,
        updates: TorchOptimiser,
        parameters: dict[str, nn.Parameter],
        index: int,
        *,
        without: str = "",
        factor: float = 1.0,
    ) -> None:
        """Do one update, with gradients that depend on the step alone; the weight ``without`` has none."""
        random = torch.Generator().manual_seed(self.seed + index)
        for name, parameter in parameters.items():
            gradient = torch.randn(parameter.shape, generator=random)
            parameter.grad = None if name == without else gradient.to(memory_format=torch.preserve_format)
        updates.update(factor)

    def _run(self, *, resumed: bool) -> dict[str, Tensor]:
        parameters = self.parameters()
        updates = self.updates(parameters)
        for index in range(_STEPS):
            if resumed and index == _STEPS // 2:
                with promised("checkpoints can keep the state of an optimiser"):
                    kept = load(save({name: each.contiguous().clone() for name, each in updates.state().items()}))
                parameters = {name: nn.Parameter(parameter.detach().clone()) for name, parameter in parameters.items()}
                updates = self.updates(parameters)
                updates.load_state(kept)
            self.step(updates, parameters, index)
        return {name: parameter.detach() for name, parameter in parameters.items()}


class ScheduleContract(ComponentContract):
    """The promises of a schedule. Subclass it with ``spec``, and ``options`` where the defaults are not wanted."""

    kind: ClassVar[Kind] = "schedule"

    lengths: ClassVar[tuple[int, ...]] = (1, 7, 200)
    """Steps of the runs it is tried in."""

    def schedule(self, steps: int) -> Schedule:
        """Return the schedule."""
        made: Schedule = self.spec.build(self.validated(), TrainingContext(player="generator", steps=steps))
        return made

    @promise
    def test_factors_are_sound(self) -> None:
        """A schedule gives a finite number of at least 0, at every step of runs of several lengths."""
        for steps in self.lengths:
            schedule = self.schedule(steps)
            for step in range(steps):
                factor: Any = schedule(step, steps)
                is_number = isinstance(factor, int | float) and not isinstance(factor, bool)
                if not is_number or not math.isfinite(factor) or factor < 0:
                    seen = f"{factor!r} at step {step} of {steps}"
                    raise BrokenPromise(seen, "steps count from 0, and the last is steps - 1")

    @promise
    def test_depends_on_the_step_alone(self) -> None:
        """A schedule is a function of the step, so that a run can go on anywhere."""
        for steps in self.lengths:
            first = self.schedule(steps)
            factors = [first(step, steps) for step in range(steps)]
            for how, schedule in (("asked backwards", first), ("built anew and asked backwards", self.schedule(steps))):
                again = [schedule(step, steps) for step in reversed(range(steps))][::-1]
                if again != factors:
                    step = next(index for index in range(steps) if again[index] != factors[index])
                    raise BrokenPromise(
                        f"{how}, it gives {again[step]!r} in place of {factors[step]!r} at step {step} of {steps}",
                        "keep no state between calls, and draw no random numbers",
                    )
