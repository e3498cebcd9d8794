"""What changes over a run as a function of the step: learning rates, weights of losses, the decay of the average."""

from __future__ import annotations

import math

from facekit.interfaces import FacekitError, NoOptions, Schedule, TrainingContext
from facekit.recipe.resolved import ScheduleChoice
from facekit.recipe.settings import EmaSettings, WeightRamp
from facekit.registry.built_in import FinalOptions, LinearDecayOptions, PolynomialOptions, StepOptions


class RateFactor:
    """The factor on a player's learning rates: warm-up times schedule. A pure function of the step.

    Raises:
        FacekitError: the schedule cannot be built, or gives no sound factor for the first or the last step.
    """

    def __init__(self, choice: ScheduleChoice, *, player: str, steps: int) -> None:
        self._choice = choice
        self._steps = steps
        self._schedule: Schedule = choice.choice.build(TrainingContext(player=player, steps=steps))
        for step in (0, steps - 1):  # a mistake is better told before the run than at its end
            self(step)

    def __call__(self, step: int) -> float:
        """Return the factor at a step, from 0.

        Raises:
            FacekitError: the schedule fails, or gives no finite number of at least 0.
        """
        warmup = self._choice.warmup_steps
        factor = (step + 1) / warmup if step < warmup else 1.0
        component = self._choice.choice.component
        try:
            given = float(self._schedule(step, self._steps))
        except Exception as error:  # a plugin's code
            raise FacekitError(
                f"the schedule {component.spec.id!r} fails at step {step} of {self._steps}: "
                f"{type(error).__name__}: {error}",
                where=self._choice.choice.path,
                remedy=f"it comes from {component.origin}",
            ) from error
        if not math.isfinite(given) or given < 0:
            raise FacekitError(
                f"the schedule {component.spec.id!r} gives {given} at step {step} of {self._steps}; factors are finite "
                "numbers of at least 0",
                where=self._choice.choice.path,
                remedy=f"it comes from {component.origin}",
            )
        return factor * given


def linear_decay(options: LinearDecayOptions, context: TrainingContext) -> Schedule:
    """Build the schedule that holds 1, then falls to 0 at step ``steps``, one after the last."""

    def factor(step: int, steps: int) -> float:
        start = options.decay_from * steps
        return (steps - step) / (steps - start) if step > start else 1.0

    return factor


def linear(options: FinalOptions, context: TrainingContext) -> Schedule:
    """Build the schedule that goes evenly from 1 to ``final``."""
    return lambda step, steps: 1 + (options.final - 1) * step / steps


def constant(options: NoOptions, context: TrainingContext) -> Schedule:
    """Build the schedule that holds 1."""
    return lambda step, steps: 1.0


def cosine(options: FinalOptions, context: TrainingContext) -> Schedule:
    """Build the schedule that goes from 1 to ``final`` along half a cosine."""
    return lambda step, steps: options.final + (1 - options.final) * (1 + math.cos(math.pi * step / steps)) / 2


def step(options: StepOptions, context: TrainingContext) -> Schedule:
    """Build the schedule that is multiplied by ``gamma`` at every ``every``-th step."""
    return lambda step, steps: options.gamma ** (step // options.every)


def polynomial(options: PolynomialOptions, context: TrainingContext) -> Schedule:
    """Build the schedule that goes from 1 to ``final`` with a power of the share of the run that is left."""
    return lambda step, steps: options.final + (1 - options.final) * (1 - step / steps) ** options.power


def weight_at(weight: float | WeightRamp, *, step: int, steps: int | None) -> float:
    """Return the weight of a loss at a step (from 0).

    Args:
        weight: a number, or from where to where it changes.
        steps: steps of the run; None gives the largest weight of the run.
    """
    if not isinstance(weight, WeightRamp):
        return weight
    if steps is None:
        return max(weight.start, weight.to)
    share = min(1.0, step / (weight.until * steps))
    return weight.start + (weight.to - weight.start) * share


def decay_at(settings: EmaSettings, step: int, *, images: int) -> float:
    """Return the share of the average that the update after a step (from 0) keeps.

    By half-life as in StyleGAN2 (Karras et al., CVPR 2020): weights of ``half_life`` images ago count half as much as
    those of today, and at most ``ramp_up`` of the images seen before this step are counted.

    Args:
        settings: the average; it is on.
        images: images a step, over all processes and micro-batches.
    """
    if settings.half_life is None:
        assert settings.decay is not None  # one of the two has a value
        return min(settings.decay, (1 + step) / (10 + step)) if settings.warmup else settings.decay
    half_life = settings.half_life
    if settings.ramp_up is not None:
        half_life = min(half_life, settings.ramp_up * step * images)
    return 0.5 ** (images / half_life) if half_life > 0 else 0.0
