"""Starting parts of a model from weights that exist already (``train.initialise``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from facekit.interfaces import FacekitError, did_you_mean
from facekit.recipe.network_kinds import NETWORK_KINDS
from facekit.recipe.resolved import ResolvedRecipe
from facekit.recipe.settings import InitialiseSettings
from facekit.registry import Registry, split_use
from facekit.sampling.inputs import ATTRIBUTES, inputs_of
from facekit.training.checkpoint import checkpoints
from facekit.training.checkpoint.reader import COMPONENTS, CheckpointReader, components_of
from facekit.training.nan_guard import check_finite
from facekit.training.networks import FaceModel, LoadedModel, build_model
from facekit.training.open_data import labels_of
from facekit.training.players import part_of
from facekit.training.run.folder import RunFolder
from facekit.training.run.reading import read_run_recipe


@dataclass(frozen=True)
class InitialWeights:
    """Weights that a part of a model starts from, read.

    Args:
        where: the setting, for messages.
        state: the weights, by the names that they have in the part.
    """

    part: str
    where: str
    origin: str
    state: Mapping[str, Tensor]

    def check(self, model: FaceModel) -> None:
        """Check that the weights are those of the part: every one of it is there, in its shape.

        Weights that the part has no place for are left (the last layer of a network that becomes a part of a larger
        one).

        Raises:
            FacekitError: the model has no such part, or a weight is missing or of another shape.
        """
        own = part_of(model, self.part, where=self.where).state_dict()
        checkpoints.check_fit(own, {key: self.state[key] for key in self.state if key in own}, where=self.origin)

    def load(self, model: FaceModel) -> str:
        """Copy the weights into the part; return one sentence on what was taken. Raises as :meth:`check`."""
        self.check(model)
        part = part_of(model, self.part, where=self.where)
        own = part.state_dict()
        part.load_state_dict({key: value for key, value in self.state.items() if key in own})
        left = sorted(self.state.keys() - own.keys())
        unused = f"; {len(left)} weights have no place there ({', '.join(left[:3])}{', ...' if len(left) > 3 else ''})"
        return f"{self.part} starts from {self.origin}{unused if left else ''}"


def initial_weights(
    recipe: ResolvedRecipe, *, registry: Registry, without: frozenset[str] = frozenset()
) -> list[InitialWeights]:
    """Read the weights that parts of a recipe's model start from, or keep.

    A run gives its averaged weights where it has them, else the live ones; what an older version of its component wrote
    is migrated. Files state no version: their weights are taken as they are.

    Args:
        without: networks of which nothing is read.

    Raises:
        FacekitError: a run or a file does not exist or cannot be read, has nothing of what is named, or a newer version
            of the component wrote it.
    """
    asked = [
        (InitialiseSettings(part=name, weights=each.settings.weights, source=each.settings.source), f"model.{name}")
        for name, each in recipe.model.networks.items()
        if each.settings.weights is not None
    ]
    asked += [(setting, f"train.initialise[{index}]") for index, setting in enumerate(recipe.train.initialise)]
    asked = [(setting, where) for setting, where in asked if setting.part.split(".")[0] not in without]
    return [read_initial(setting, where, registry) for setting, where in asked]


def read_initial(setting: InitialiseSettings, where: str, registry: Registry) -> InitialWeights:
    """Read the weights of one setting. Raises as :func:`initial_weights`.

    Args:
        setting: the part, and where its weights come from.
        where: the setting's place, for messages.
    """
    path = Path(setting.weights).expanduser()
    source = setting.source
    if path.is_dir():
        source = setting.part if source is None else source
        state, origin = _read_run(RunFolder(path), source.split(".")[0], registry)
    else:
        state, origin = read_safetensors(path, remedy=f"{where} names the weights"), str(path)
    if source is not None:
        state = {key.removeprefix(f"{source}."): value for key, value in state.items() if key.startswith(f"{source}.")}
        if not state:
            raise FacekitError(f"no weight begins with {source!r}", where=origin, remedy=f"see `source` of {where}")
    return InitialWeights(setting.part, where, origin, state)


def _read_run(run: RunFolder, slot: str, registry: Registry) -> tuple[Mapping[str, Tensor], str]:
    """Return the weights of a run, those of one place as its installed component has them, and a name for them."""
    found = checkpoints.find(run.checkpoints)
    origin = f"{found.folder} ({'ema' if checkpoints.EMA in found.files else 'live'} weights"
    written = found.state().get(COMPONENTS, {})
    kept = run.frozen(slot)
    if kept.is_file():
        return {f"{slot}.{key}": tensor for key, tensor in read_safetensors(kept).items()}, f"{kept} (frozen)"
    if slot in written:
        name, version = split_use(written[slot])
        kinds = [kind for kind in NETWORK_KINDS if any(name == entry.spec.id for entry in registry.of_kind(kind))]
        # Where its plugin is gone, whether the weights fit is for their names and shapes to tell.
        if kinds and version != registry.find(kinds[0], name).spec.version:
            component = components_of(read_run_recipe(run.recipe, registry=registry))[slot]
            reader = CheckpointReader(found, {slot: component})
            migrated = {**reader.tensors(checkpoints.LIVE), **reader.tensors(checkpoints.EMA)}
            return migrated, f"{origin} of version {version} of {name}, migrated)"
    return {**found.tensors(checkpoints.LIVE), **found.tensors(checkpoints.EMA)}, f"{origin})"


def read_safetensors(path: Path, *, remedy: str | None = None) -> dict[str, Tensor]:
    """Return the tensors of a file. Raises FacekitError, with a remedy, where there is none or one of another kind."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise FacekitError("there is no such run folder or file", where=str(path), remedy=remedy) from None
    except (SafetensorError, OSError) as error:
        raise FacekitError(
            f"this is not a safetensors file ({error})",
            where=str(path),
            remedy="`facekit import` turns checkpoints of other programs into safetensors",
        ) from error


def load_weights(file: Path, recipe: ResolvedRecipe, *, registry: Registry, network: str | None = None) -> LoadedModel:
    """Build the networks of a recipe with the weights of a safetensors file; nothing is trained.

    Label map and attribute names are those of the recipe's dataset where it can be opened, else those that its
    dimensions lead to. Networks that the file does not hold start from the ``weights`` that the recipe names for them.
    Discriminators are built where the file holds them and they tell which attributes a photo has.

    Args:
        file: weights named ``generator.stem.weight`` and the like; with ``network``, those of that one network, with or
            without its name before them.
        network: the network whose weights the file holds; by default all of the model.

    Raises:
        FacekitError: the file is no safetensors file, its weights do not fit or are not finite, the recipe has no such
            network, or a network that generates has no weights.
    """
    state = read_safetensors(file)
    if network is not None:
        networks = recipe.model.networks
        if network not in networks:
            hint = did_you_mean(network, networks) or f"it has {', '.join(networks)}"
            raise FacekitError(f"the recipe has no network called {network!r}", where="network", remedy=hint)
        if network in recipe.model.discriminators:
            raise FacekitError(f"no image is generated with {network}, a discriminator", where="network")
        state = {f"{network}.{key.removeprefix(f'{network}.')}": tensor for key, tensor in state.items()}
    held = {key.split(".")[0] for key in state}
    judging = inputs_of(recipe, registry.label_maps).reads(ATTRIBUTES)
    without = frozenset(name for name in recipe.model.discriminators if not (judging and name in held))
    label_map, attribute_names = labels_of(recipe, registry)
    model = build_model(recipe, label_map=label_map, attribute_names=attribute_names, without=without)
    names = [name for name, _ in model.named_children()]
    strangers = held - recipe.model.networks.keys()
    if not held & set(names):
        raise FacekitError(
            f"the file holds weights of {', '.join(sorted(held)[:5])}, and the recipe's networks are "
            f"{', '.join(names)}",
            where=str(file),
            remedy='network="generator" loads a file that holds one network alone',
        )
    notes = [f"passed over weights of {', '.join(sorted(strangers))}"] if strangers else []
    for name in names:
        if name in held or not model.get_submodule(name).state_dict():
            continue
        settings = recipe.model.networks[name].settings
        if settings.weights is None:
            raise FacekitError(
                f"the file holds no weights of {name}, and the recipe names none",
                where=str(file),
                remedy=f"name them in the recipe, as `weights:` of model.{name}, or give a file of the whole model",
            )
        setting = InitialiseSettings(part=name, weights=settings.weights, source=settings.source)
        notes.append(read_initial(setting, f"model.{name}", registry).load(model))
    ours = model.only([name for name in names if name in held])
    checkpoints.load_state(
        ours, {key: tensor for key, tensor in state.items() if key.split(".")[0] in names}, where=str(file)
    )
    check_finite(model, where=str(file))
    return LoadedModel(
        model=model.eval().requires_grad_(False),
        recipe=recipe,
        label_map=label_map,
        attribute_names=attribute_names,
        step=0,
        weights="file",
        checkpoint=file,
        notes=tuple(notes),
    )
