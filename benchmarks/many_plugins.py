"""How much longer ``facekit plugins ls`` and ``components ls`` take with 50 more plugins than with one more.

    python benchmarks/many_plugins.py [rounds] [plugins]

The plugins are distributions in a folder of their own that is put on the path: each offers four components with
options, a label map and a command, as our own do. Real processes, with one and with many in turns; printed are the
medians and their difference, which is to stay below half a second. Exits with 1 where it does not.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FACEKIT = Path(sys.executable).with_name("facekit")

LIMIT = 0.5
"""Seconds that the many may take more than the one."""

PLUGIN = """
from facekit.interfaces import GENERATED, IMAGE, LabelClass, LabelMap, Options, Ports
from facekit.registry import CommandSpec, ComponentSpec, PluginInfo, hookimpl


class {name}_options(Options):
    strength: float = 1.0
    \"\"\"How strong it is.\"\"\"
    layers: tuple[str, ...] = ("relu1", "relu2")
    \"\"\"Which layers it looks at.\"\"\"


@hookimpl
def facekit_plugin_info():
    return PluginInfo(summary="One of many.")


@hookimpl
def facekit_components():
    return [
        ComponentSpec(
            interface_version=1,
            kind=kind,
            id=f"{name}/{{kind}}_{{number}}",
            summary="One of many.",
            options={name}_options,
            factory="{name}.parts:build",
            ports=lambda options, context: Ports(needs=(GENERATED, IMAGE)),
        )
        for kind in ("loss", "metric")
        for number in range(2)
    ]


@hookimpl
def facekit_label_maps():
    return [LabelMap("{name}", tuple(LabelClass(f"class_{{index}}", (index, index, index)) for index in range(19)))]


@hookimpl
def facekit_commands():
    return [CommandSpec(name="{name}", summary="One of many.", target="{name}.parts:command")]
"""


def install(count: int, site: Path) -> None:
    """Write distributions as an installer leaves them."""
    for number in range(count):
        name = f"face_many_{number}"
        package, info = site / name, site / f"{name}-1.0.dist-info"
        package.mkdir(parents=True)
        info.mkdir()
        (package / "__init__.py").write_text("", encoding="utf-8")
        (package / "plugin.py").write_text(PLUGIN.format(name=name), encoding="utf-8")
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n"
            + "Classifier: Topic :: Scientific/Engineering\n" * 10
            + "\n"
            + "A description of some length.\n" * 200,
            encoding="utf-8",
        )
        (info / "entry_points.txt").write_text(f"[facekit.plugins]\n{name} = {name}.plugin\n", encoding="utf-8")


def seconds(command: str, site: Path, expected: int) -> float:
    """Return the wall time of ``facekit COMMAND ls``, which must list that many of the plugins."""
    start = time.perf_counter()
    done = subprocess.run(
        [str(FACEKIT), command, "ls"],
        env={**os.environ, "PYTHONPATH": str(site)},
        check=True,
        capture_output=True,
        text=True,
    )
    took = time.perf_counter() - start
    listed = set(re.findall(r"face[-_]many[-_](\d+)", done.stdout))
    if len(listed) != expected or done.stderr:
        raise RuntimeError(f"{expected} plugins were expected:\n{done.stdout}{done.stderr}")
    return took


def main() -> None:
    """Time both numbers of plugins in turns, after a round that compiles them and fills the file cache."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    many = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    within = True
    with tempfile.TemporaryDirectory() as name:
        sites = {count: Path(name) / str(count) for count in (1, many)}
        for count, site in sites.items():
            install(count, site)
        for command in ("plugins", "components"):
            for count, site in sites.items():
                seconds(command, site, count)
            times: dict[int, list[float]] = {count: [] for count in sites}
            for _ in range(rounds):
                for count, site in sites.items():
                    times[count].append(seconds(command, site, count))
            medians = {count: statistics.median(found) for count, found in times.items()}
            more = medians[many] - medians[1]
            within = within and more < LIMIT
            print(f"facekit {command} ls, medians of {rounds} processes")
            for count, median in medians.items():
                spread = f"{min(times[count]):.3f} to {max(times[count]):.3f}"
                print(f"  {count:>3} more plugin{'s' if count > 1 else ' '}  {median:.3f} s  ({spread})")
            print(f"  difference      {more:.3f} s  (limit {LIMIT} s)")
    if not within:
        sys.exit(1)


if __name__ == "__main__":
    main()
