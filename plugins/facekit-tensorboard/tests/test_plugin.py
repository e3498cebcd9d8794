from __future__ import annotations

import subprocess
import sys

from facekit.registry import PluginSet, Registry
from facekit_tensorboard import plugin


def test_it_offers_a_command_and_watches() -> None:
    plugins = PluginSet({"FACEKIT_NO_PLUGINS": "1"})
    plugins.register(plugin, name="facekit-tensorboard")
    registry = Registry(plugins)
    assert [spec.name for _, spec in registry.commands()] == ["tensorboard"]
    assert not registry.components
    assert not plugins.failures


def test_neither_torch_nor_tensorboard_is_imported_before_a_run_starts() -> None:
    script = (
        "import sys\nfrom facekit_tensorboard import plugin, command\n"
        "plugin.facekit_plugin_info(), plugin.facekit_commands()\n"
        "heavy = {'torch', 'tensorboard', 'numpy', 'PIL', 'google.protobuf'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_run_that_is_not_logged_does_not_import_tensorboard() -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\n"
        "os.environ['FACEKIT_TENSORBOARD'] = 'off'\n"
        "from facekit.interfaces import RunStarted, RunFinished\n"
        "from facekit_tensorboard import plugin\n"
        "plugin.facekit_run_event(RunStarted(Path('run'), {}, 0, 1, {}))\n"
        "plugin.facekit_run_event(RunFinished(Path('run'), 1, 'finished'))\n"
        "assert 'tensorboard' not in sys.modules and not Path('run').exists()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
