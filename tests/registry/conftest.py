"""Diagnosing throw-away distributions, each of which is examined in a real process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from facekit.doctor.diagnosis import Diagnosis, RecipeNeeds, diagnose
from facekit.doctor.probe import Examination, examine
from facekit.registry import PluginOrigin
from facekit.registry.discovery import Installed, Switches, find_installed

OWN_COMMANDS = {"run": False, "import": True, "plugins": False}

Examine = Callable[..., Examination]
Diagnose = Callable[..., Diagnosis]


def _of(names: Sequence[str], environment: dict[str, str]) -> tuple[Installed, list[PluginOrigin]]:
    """Return these distributions alone, and the plugins of theirs that the switches let pass."""
    found = find_installed()
    found.plugins = [one for one in found.plugins if one.origin.distribution in names]
    found.unusable = [one for one in found.unusable if one.origin.distribution in names]
    switches = Switches.read(environment)
    return found, [one.origin for one in found.plugins if switches.load(one.origin)]


@pytest.fixture
def examined() -> Examine:
    """Examine the one plugin of an installed distribution."""

    def run(distribution: str, *, time_limit: float = 30.0) -> Examination:
        (origin,) = _of([distribution], {})[1]
        (examination,) = examine([origin], time_limit=time_limit)
        return examination

    return run


@pytest.fixture
def diagnosed() -> Diagnose:
    """Diagnose some installed distributions, as if no others were there."""

    def run(
        *names: str, recipes: Sequence[RecipeNeeds] = (), environment: dict[str, str] | None = None, **more: float
    ) -> Diagnosis:
        environment = environment or {}
        installed, origins = _of(names, environment)
        return diagnose(
            installed,
            examine(origins, **more),
            recipes=recipes,
            own_commands=OWN_COMMANDS,
            environment=environment,
        )

    return run
