"""The commands that facekit prints for a run, each of which works as it is printed. Torch-free.

Whatever prints one asks here: what a run is painted with follows from its recipe, and the plugin files that it was made
with are named in each.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facekit.engine.run_folder import RECIPE, RunFolder
from facekit.interfaces import JUDGEMENT_CLASS_LOGITS, FacekitError, PortContext
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import Registry

INPUTS = "inputs"
PLUGIN_FILES = "plugin_files"
"""Entries of ``lock.json``: what the run is painted with, and the one-file plugins that it was made with."""

_STAND_INS = {
    "mask": ("--mask", "mask.png"),
    "reference": ("--reference", "photo.jpg"),
    "reference_mask": ("--reference-mask", "photo_mask.png"),
    "source": ("--source", "photo.jpg"),
}
"""By input: the option of ``facekit generate``, and a file that stands for the reader's own."""

_SOME, _ALL = "attribute", "attributes"
"""Inputs that are no files: one attribute that is wanted (the others are read off the photo), or each of them."""


def inputs_of(recipe: ResolvedRecipe, *, registry: Registry) -> list[str]:
    """Return what a run of a recipe is painted with, by the names that ``lock.json`` keeps.

    They are ``mask``, ``reference`` and ``reference_mask``; or ``source``, and ``attribute`` where the discriminator
    reads the others off the photo, else ``attributes``.
    """
    from facekit.engine.model import changes_attributes

    if changes_attributes(recipe):
        critic, context = recipe.model.discriminator, PortContext(recipe.data.size, registry.label_maps)
        gives = () if critic is None else critic.ports(context).gives
        return ["source", _SOME if JUDGEMENT_CLASS_LOGITS.name in {port.name for port in gives} else _ALL]
    return ["mask"] if recipe.model.style_encoder is None else ["mask", "reference", "reference_mask"]


def run_again_command(run: Path, lock: Mapping[str, Any]) -> str:
    """Return the command that trains the same run again, from its locked recipe, beside it."""
    return _command("run", run / RECIPE, "--out", run.with_name(f"{run.name}-again"), lock=lock)


def resume_command(run: Path, lock: Mapping[str, Any]) -> str:
    """Return the command that goes on with a run.

    Args:
        run: the run folder.
        lock: its ``lock.json``; what is not there, or not of the right form, is passed over, here and below.
    """
    return _command("resume", run, lock=lock)


def how_to_resume(run: RunFolder) -> str:
    """Return :func:`resume_command` of a run, with what its record says, where that can be read."""
    return resume_command(run.path, _lock_of(run))


def plugin_file_arguments(run: RunFolder) -> list[str]:
    """Return the arguments that load the plugin files that a run was made with, where its record can be read."""
    return _plugin_files(_lock_of(run))


def generate_command(run: Path, lock: Mapping[str, Any]) -> str | None:
    """Return an example of ``facekit generate`` with a run; None where its record does not say what it is painted with.

    The files in it stand for the reader's own.
    """
    inputs = _list(lock, INPUTS)
    if not inputs:
        return None
    words = [word for name in inputs for word in _STAND_INS.get(name, ())]
    words += [word for name in _attributes(lock) for word in ("--attribute", f"{name}=1")]
    return _command("generate", run, *words, "-o", "result.png", lock=lock)


def generate_in_python(run: Path, lock: Mapping[str, Any]) -> str | None:
    """Return the same as :func:`generate_command`, as a program; None where that gives None."""
    inputs, files = _list(lock, INPUTS), _list(lock, PLUGIN_FILES)
    if not inputs:
        return None
    pictures = ", ".join(f'Image.open("{_STAND_INS[name][1]}")' for name in inputs if name in _STAND_INS)
    call = f"generate({pictures})"
    if wanted := dict.fromkeys(_attributes(lock), True):
        call = f"transfer({pictures}, {wanted!r})"
    plugins = f", plugin_files={files!r}" if files else ""
    return (
        "import facekit\nfrom PIL import Image\n\n"
        f"pipeline = facekit.load({str(run)!r}{plugins})\nresult = pipeline.{call}"
    )


def _command(name: str, *words: str | Path, lock: Any) -> str:
    return shlex.join(["facekit", name, *map(str, words), *_plugin_files(lock)])


def _plugin_files(lock: Any) -> list[str]:
    return [word for file in _list(lock, PLUGIN_FILES) for word in ("--plugin-file", file)]


def _lock_of(run: RunFolder) -> Any:
    """Return the record of a run; nothing where it cannot be read, which is for others to tell."""
    try:
        return run.read_lock()
    except (FacekitError, OSError):
        return {}


def _attributes(lock: Any) -> list[str]:
    """Return the attributes of an example."""
    inputs, names = _list(lock, INPUTS), _list(lock, "attribute_names")
    return names[:1] if _SOME in inputs else names if _ALL in inputs else []


def _list(lock: Any, key: str) -> list[str]:
    found = lock.get(key) if isinstance(lock, Mapping) else None
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
