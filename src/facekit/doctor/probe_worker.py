"""The process in which one plugin is examined: it loads that plugin as facekit does, calls its hooks, and reports.

It is started by :mod:`facekit.doctor.probe`, a fresh one for each plugin. Its report is a file of JSON lines:
what it is about to do, line by line, so that the last line tells what the plugin was doing when the process ended; and
in the end, what it found.
"""

from __future__ import annotations

import faulthandler
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from facekit.interfaces import FacekitError
from facekit.registry.discovery import ENTRY_POINT_GROUP, PluginOrigin
from facekit.registry.plugins import IMPORTING, REGISTERING, PluginSet, describe_error
from facekit.registry.registry import READING_COMPONENTS, Registry
from facekit.registry.source import SourceNotFound, find_source

_LARGEST_FILE = 64 * 2**20
"""Bytes that any file may grow to here, so that a plugin that prints for ever does not fill the disk."""


class _ReportingPlugins(PluginSet):
    """Plugins that report what they do before they do it, and note when they have imported torch."""

    def __init__(self, report: Callable[..., None]) -> None:
        super().__init__({})
        self._report = report
        self.torch_at: str | None = None

    def load(self, origin: PluginOrigin, load: Callable[[], object]) -> None:
        """Load a plugin."""
        self._doing(IMPORTING, lambda: super(_ReportingPlugins, self).load(origin, load))

    def call(self, hook: str, **arguments: object) -> list[tuple[PluginOrigin, Any]]:
        """Call a hook."""
        return self._doing(f"calling {hook}", lambda: super(_ReportingPlugins, self).call(hook, **arguments))

    def _doing(self, stage: str, do: Callable[[], Any]) -> Any:
        self._report(stage=stage)
        result = do()
        if self.torch_at is None and "torch" in sys.modules:
            self.torch_at = stage
        return result


def main() -> None:
    """Examine the plugin that the first argument describes."""
    job = json.loads(sys.argv[1])
    sys.argv[:] = ["facekit"]
    report = Path(job["report"]).open("a", encoding="utf-8")  # noqa: SIM115 - it outlives this function, as does `trace`
    trace = Path(job["trace"]).open("w", encoding="utf-8")  # noqa: SIM115

    def write(**event: Any) -> None:
        report.write(json.dumps(event) + "\n")
        report.flush()

    # Where the plugin is, should it crash or not come back.
    faulthandler.enable(trace)
    faulthandler.dump_traceback_later(job["time_limit"], file=trace)
    try:
        import resource
    except ImportError:  # not on this system
        pass
    else:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        limit = _LARGEST_FILE if hard == resource.RLIM_INFINITY else min(_LARGEST_FILE, hard)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    write(stage=IMPORTING)
    write(found=_examine(job, _ReportingPlugins(write)))


def _examine(job: dict[str, Any], plugins: _ReportingPlugins) -> dict[str, Any]:
    began = time.perf_counter()
    problem = None
    if job["file"] is not None:
        try:
            plugins.load_file(Path(job["file"]))
        except FacekitError as error:  # it is among the failures as well, unless the file could not even be tried
            problem = None if plugins.failures else error.message
    else:
        origin = PluginOrigin(*job["origin"])
        plugins.load(origin, EntryPoint(origin.name, origin.target, ENTRY_POINT_GROUP).load)
    registry = Registry(plugins)
    commands = [spec for _, spec in registry.commands()]
    recipes = [str(path.absolute()) for _, path in registry.recipe_paths()]
    plugins.call("facekit_plugin_info")
    seconds = time.perf_counter() - began
    refused = {f"{one.message}; {one.remedy}" for one in registry.refused}  # they stand beside the failures
    failures = [one for one in plugins.failures if one.error not in refused]
    asked_in_vain = any(one.stage in (IMPORTING, REGISTERING, "calling facekit_components") for one in failures)
    problems = [(one.stage, one.error, one.traceback, "") for one in failures]
    problems += [(IMPORTING, problem, "", "")] if problem is not None else []
    twice = "its components hold two {} {!r}, and neither is used"
    problems += [(READING_COMPONENTS, twice.format(clash.kind, clash.id), "", "") for clash in registry.clashes]
    problems += [(READING_COMPONENTS, one.message, "", one.remedy) for one in registry.refused]
    components, usable = [], []
    for entry in registry.components.values():
        spec = entry.spec
        migrations = {f"migration to version {one.to}": one.weights for one in spec.migrations}
        missing = _missing({"factory": spec.factory, "probe": spec.probe, **migrations})
        components.append((spec.kind, spec.id))
        if missing is None:
            usable.append((spec.kind, spec.id))
        else:
            problems.append(("", f"{spec.kind} {spec.id}: {missing}", "", ""))
    missing_commands = {spec.name: _missing({"target": spec.target}) for spec in commands}
    problems += [("", f"command `{name}`: {missing}", "", "") for name, missing in missing_commands.items() if missing]
    if plugins.torch_at is not None:
        stage = plugins.torch_at
        when = "when it is imported" if stage == IMPORTING else f"in {stage.removeprefix('calling ')}"
        what = f"it imports torch {when}, for which every command waits, even those that only look around"
        problems.append(("", what, "", "it should import torch in the modules of its factories only"))
    return {
        "seconds": seconds,
        "problems": problems,
        "from_source": asked_in_vain or problem is not None,
        "components": components,
        "usable": usable,
        "refused": [(one.kind, one.id) for one in registry.refused],
        "label_maps": list(registry.label_maps),
        "commands": [spec.name for spec in commands],
        "recipes": recipes,
        "printed": "".join(plugins.printed.values()),
    }


def _missing(targets: dict[str, str | None]) -> str | None:
    """Return which of the things that are imported later is not there; they are looked for, not imported."""
    for what, target in targets.items():
        try:
            if target is not None:
                find_source(target)
        except Exception as error:  # a name that is no module's and a finder that fails are others than the expected
            why = str(error) if isinstance(error, SourceNotFound) else describe_error(error)
            return f"its {what} {target!r} cannot be found: {why}"
    return None
