"""The commands that facekit prints for a run, each of which works as it is printed. Torch-free.

Whatever prints one asks here: what a run generates from follows from its recipe, and the plugin files that it was made
with are named in each.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facekit.interfaces import DISCRIMINATOR_CLASS_LOGITS, FacekitError, PortContext
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import Registry
from facekit.sampling.inputs import ATTRIBUTES, MASK, REFERENCE, REFERENCE_MASK, SOURCE
from facekit.sampling.inputs import inputs_of as inputs_of_sampler
from facekit.training.run.folder import RECIPE, RunFolder

INPUTS = "inputs"
PLUGIN_FILES = "plugin_files"
"""Entries of ``lock.json``: what the run generates from, and the one-file plugins that it was made with."""

_STAND_INS = {
    SOURCE: ("--source", "photo.jpg"),
    MASK: ("--mask", "mask.png"),
    REFERENCE: ("--reference", "photo.jpg"),
    REFERENCE_MASK: ("--reference-mask", "photo_mask.png"),
}
"""By input, in the order of arguments: the option of ``facekit generate``, and a file that stands for the reader's."""

_SOME, _ALL, _NOISE = "attribute", ATTRIBUTES, "noise"
"""Inputs that are no files: one attribute (the others are read off the photo), each of them, or nothing at all."""


def inputs_of(recipe: ResolvedRecipe, *, registry: Registry) -> list[str]:
    """Return what an image of a recipe's run is made from, by the names that ``lock.json`` keeps.

    They are what its sampler asks for (:func:`facekit.sampling.inputs.inputs_of`); in place of ``attributes``,
    ``attribute`` where a network reads the others off the photo; and ``noise`` alone where an image is made from
    nothing. Nothing where the family asks for what no option gives.
    """
    asked = inputs_of_sampler(recipe, registry.label_maps)
    if asked.own:
        return []
    if asked.from_nothing:
        return [_NOISE]
    context = PortContext(recipe.data.size, registry.label_maps)
    gives = {port.name for _, choice in recipe.model.components() for port in choice.ports(context).gives}
    attributes = _SOME if DISCRIMINATOR_CLASS_LOGITS.name in gives else _ALL
    return [name for name in _STAND_INS if name in asked.needed] + [attributes] * (ATTRIBUTES in asked.needed)


def run_again_command(run: Path, lock: Mapping[str, Any]) -> str:
    """Return the command that trains the same run again, from its locked recipe, beside it."""
    return _command("run", run / RECIPE, "--out", run.with_name(f"{run.name}-again"), lock=lock)


def resume_command(run: Path, lock: Mapping[str, Any]) -> str:
    """Return the command that goes on with a run; what its lock lacks or garbles is passed over, here and below."""
    return _command("resume", run, lock=lock)


def how_to_resume(run: RunFolder) -> str:
    """Return :func:`resume_command` of a run, with what its record says, where that can be read."""
    return resume_command(run.path, lock_of(run))


def plugin_file_arguments(run: RunFolder) -> list[str]:
    """Return the arguments that load the plugin files that a run was made with, where its record can be read."""
    return _plugin_files(lock_of(run))


def generate_command(run: Path, lock: Mapping[str, Any]) -> str | None:
    """Return an example of ``facekit generate``; None where the lock does not say what the run generates from."""
    inputs = _list(lock, INPUTS)
    if not inputs:
        return None
    if _NOISE in inputs:
        return _command("generate", run, "--count", "16", "--seed", "0", "-o", "results", lock=lock)
    words = [word for name in inputs for word in _STAND_INS.get(name, ())]
    words += [word for name in _attributes(lock) for word in ("--attribute", f"{name}=1")]
    return _command("generate", run, *words, "-o", "result.png", lock=lock)


def generate_in_python(run: Path, lock: Mapping[str, Any]) -> str | None:
    """Return the same as :func:`generate_command`, as a program; None where that gives None."""
    inputs, files = _list(lock, INPUTS), _list(lock, PLUGIN_FILES)
    if not inputs:
        return None
    arguments = [f'{name}=Image.open("{_STAND_INS[name][1]}")' for name in _STAND_INS if name in inputs]
    if wanted := dict.fromkeys(_attributes(lock), True):
        arguments.append(f"{ATTRIBUTES}={wanted!r}")
    call = "sample(16, seed=0)" if _NOISE in inputs else f"generate({', '.join(arguments)})"
    imports = "import facekit\n" if _NOISE in inputs else "import facekit\nfrom PIL import Image\n"
    plugins = f", plugin_files={files!r}" if files else ""
    return f"{imports}\npipeline = facekit.load({str(run)!r}{plugins})\nresult = pipeline.{call}"


def _command(name: str, *words: str | Path, lock: Any) -> str:
    return shlex.join(["facekit", name, *map(str, words), *_plugin_files(lock)])


def _plugin_files(lock: Any) -> list[str]:
    return [word for file in _list(lock, PLUGIN_FILES) for word in ("--plugin-file", file)]


def lock_of(run: RunFolder) -> Any:
    """Return the record of a run for its commands; nothing where it cannot be read, which is for others to tell."""
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
