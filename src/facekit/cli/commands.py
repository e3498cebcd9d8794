"""The table of facekit's own commands, each of which is imported when it is called.

Help comes without torch, pydantic or plugins.
"""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

import click


class LazyCommand(NamedTuple):
    """A command that is not imported yet: ``"module:attribute"``, and the line and the heading of help."""

    target: str
    summary: str
    section: str = "Commands"


TRAINING, USING, LOOKING = "Train", "Use a run", "Look around"

COMMANDS = {
    "run": LazyCommand("facekit.cli.run:run", "Train what a recipe describes, measure it, write a report.", TRAINING),
    "resume": LazyCommand("facekit.cli.run:resume", "Go on with a run that was stopped.", TRAINING),
    "ablate": LazyCommand("facekit.cli.ablate:ablate", "Train and measure a grid of runs, and compare them.", TRAINING),
    "validate": LazyCommand("facekit.cli.validate:validate", "Check a recipe, up to a few real steps.", TRAINING),
    "data": LazyCommand("facekit.cli.data:data", "Prepare, check, preview and make data.", TRAINING),
    "generate": LazyCommand("facekit.cli.generate:generate", "Generate images with a trained run.", USING),
    "provenance": LazyCommand("facekit.cli.generate:provenance", "Say what made a picture.", USING),
    "evaluate": LazyCommand("facekit.cli.evaluate:evaluate", "Measure a run on one of its splits.", USING),
    "compare": LazyCommand("facekit.cli.compare:compare", "Put runs that exist beside each other.", USING),
    "report": LazyCommand("facekit.cli.run:report", "Write a run's report.html again.", USING),
    "import": LazyCommand("facekit.cli.plugin_commands:import_group", "Read other projects' checkpoints.", USING),
    "recipes": LazyCommand("facekit.cli.recipes:recipes", "List, show and copy recipes.", LOOKING),
    "components": LazyCommand("facekit.cli.components:components", "List and show what recipes can use.", LOOKING),
    "plugins": LazyCommand("facekit.cli.plugins:plugins", "List plugins and find what is wrong with them.", LOOKING),
}

OPEN_GROUPS = ("import",)
"""Those of them that plugins may add commands to, by names such as ``"import mine"``."""


def load_command(target: str) -> click.Command:
    """Import the click command behind ``"module:attribute"``.

    Raises:
        TypeError: the attribute is no click command.
    """
    module, attribute = target.split(":")
    command = getattr(import_module(module), attribute)
    if not isinstance(command, click.Command):
        raise TypeError(f"{target} is a {type(command).__name__}, not a click command")
    return command
