"""Starting parts of a model from weights that exist already (``train.initialise``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from facekit.engine import checkpoints
from facekit.engine.checkpoint_reader import COMPONENTS, CheckpointReader, components_of
from facekit.engine.networks import FaceModel
from facekit.engine.players import part_of
from facekit.engine.run_folder import RunFolder
from facekit.engine.run_recipe import read_run_recipe
from facekit.interfaces import FacekitError
from facekit.recipe.resolved import ResolvedRecipe
from facekit.recipe.schema_check import NETWORK_KINDS
from facekit.recipe.settings import InitialiseSettings
from facekit.registry import Kind, Registry, split_use


def initialise_model(model: FaceModel, recipe: ResolvedRecipe, *, registry: Registry) -> list[str]:
    """Give networks the weights that a recipe says they start from, or keep.

    Returns:
        one sentence a part, for the record of the run.

    Raises:
        FacekitError: as :func:`initialise_part`.
    """
    notes = []
    for name, network in recipe.model.networks.items():
        if network.settings.weights is not None:
            setting = InitialiseSettings(part=name, weights=network.settings.weights, source=network.settings.source)
            notes.append(initialise_part(model, setting, registry=registry, where=f"model.{name}.weights"))
    return notes + [initialise_part(model, part, registry=registry) for part in recipe.train.initialise]


def initialise_part(
    model: FaceModel, setting: InitialiseSettings, *, registry: Registry, where: str = "train.initialise"
) -> str:
    """Copy weights into a part of the model.

    A run gives its averaged weights where it has them, else the live ones; what an older version of its component wrote
    is migrated. Files state no version: their weights are taken as they are. Every weight of the part must be there;
    weights that the part has no place for are left (the last layer of a network that becomes a part of a larger one).

    Args:
        model: the model.
        setting: the part, and where its weights come from.
        registry: the plugins.
        where: the setting, for messages.

    Returns:
        one sentence on what was taken, for the record of the run.

    Raises:
        FacekitError: the part or the file does not exist, a weight is missing or of another shape, or a newer version
            of the component wrote them.
    """
    part = part_of(model, setting.part, where=where)
    path = Path(setting.weights).expanduser()
    source = setting.source
    if path.is_dir():
        source = setting.part if source is None else source
        state, origin = _read_run(RunFolder(path), source.split(".")[0], registry)
    else:
        state, origin = _read_file(path, where), str(path)
    if source is not None:
        state = {key.removeprefix(f"{source}."): value for key, value in state.items() if key.startswith(f"{source}.")}
        if not state:
            raise FacekitError(f"no weight begins with {source!r}", where=origin, remedy=f"see `source` of {where}")
    own = part.state_dict()
    checkpoints.load_state(part, {key: value for key, value in state.items() if key in own}, where=origin)
    left = sorted(state.keys() - own.keys())
    unused = f"; {len(left)} weights have no place there ({', '.join(left[:3])}{', ...' if len(left) > 3 else ''})"
    return f"{setting.part} starts from {origin}{unused if left else ''}"


def _read_run(run: RunFolder, slot: str, registry: Registry) -> tuple[Mapping[str, Tensor], str]:
    """Return the weights of a run, those of one place as its installed component has them, and a name for them."""
    found = checkpoints.find(run.checkpoints)
    origin = f"{found.folder} ({'ema' if found.has_ema else 'live'} weights"
    written = found.state().get(COMPONENTS, {})
    kept = run.frozen(slot)
    if kept.is_file():
        return {f"{slot}.{key}": tensor for key, tensor in load_file(kept).items()}, f"{kept} (frozen)"
    if slot in written:
        name, version = split_use(written[slot])
        kinds = [kind for kind in NETWORK_KINDS if _offers(registry, kind, name)]
        # Where its plugin is gone, whether the weights fit is for their names and shapes to tell.
        if kinds and version != registry.find(kinds[0], name).spec.version:
            component = components_of(read_run_recipe(run.recipe, registry=registry))[slot]
            reader = CheckpointReader(found, {slot: component})
            return {**reader.live(), **reader.ema()}, f"{origin} of version {version} of {name}, migrated)"
    return {**found.live(), **found.ema()}, f"{origin})"


def _offers(registry: Registry, kind: Kind, id: str) -> bool:
    return any(entry.spec.id == id for entry in registry.of_kind(kind))


def _read_file(path: Path, where: str) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise FacekitError(
            "there is no such run folder or file", where=str(path), remedy=f"{where} names the weights"
        ) from None
    except (SafetensorError, OSError) as error:
        raise FacekitError(
            f"this is not a safetensors file ({error})",
            where=str(path),
            remedy="`facekit import` turns checkpoints of other programs into safetensors",
        ) from error
