"""facekit's own commands: the function behind each, one line of help, and its section. Imports nothing heavy."""

from __future__ import annotations

from facekit.cli.lazy import LazyCommand

TRAINING, USING, LOOKING = "Train", "Use a run", "Look around"

COMMANDS = {
    "run": LazyCommand("facekit.cli.run:run", "Train what a recipe describes, measure it, write a report.", TRAINING),
    "resume": LazyCommand("facekit.cli.resume:resume", "Go on with a run that was stopped.", TRAINING),
    "ablate": LazyCommand("facekit.cli.ablate:ablate", "Train and measure a grid of runs, and compare them.", TRAINING),
    "validate": LazyCommand("facekit.cli.validate:validate", "Check a recipe, up to a few real steps.", TRAINING),
    "data": LazyCommand("facekit.cli.data:data", "Prepare, check, preview and make data.", TRAINING),
    "generate": LazyCommand("facekit.cli.generate:generate", "Generate images with a trained run.", USING),
    "provenance": LazyCommand("facekit.cli.provenance:provenance", "Say what made a picture.", USING),
    "evaluate": LazyCommand("facekit.cli.evaluate:evaluate", "Measure a run on one of its splits.", USING),
    "compare": LazyCommand("facekit.cli.compare:compare", "Put runs that exist beside each other.", USING),
    "report": LazyCommand("facekit.cli.report:report", "Write a run's report.html again.", USING),
    "import": LazyCommand("facekit.cli.importing:import_group", "Read other projects' checkpoints.", USING),
    "recipes": LazyCommand("facekit.cli.recipes:recipes", "List, show and copy recipes.", LOOKING),
    "components": LazyCommand("facekit.cli.components:components", "List and show what recipes can use.", LOOKING),
    "plugins": LazyCommand("facekit.cli.plugins:plugins", "List plugins and find what is wrong with them.", LOOKING),
}

OPEN_GROUPS = ("import",)
"""Those of them that plugins may add commands to, by names such as ``"import mine"``."""
