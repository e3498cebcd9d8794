"""A model from a recipe and a file of weights, without a run."""

from __future__ import annotations

from pathlib import Path

from facekit.interfaces import FacekitError, did_you_mean
from facekit.recipe.resolved import ResolvedRecipe
from facekit.recipe.settings import InitialiseSettings
from facekit.registry import Registry
from facekit.sampling.inputs import ATTRIBUTES, inputs_of
from facekit.training.checkpoint import checkpoints
from facekit.training.initialise import read_initial, read_safetensors
from facekit.training.model import LoadedModel
from facekit.training.networks import FaceModel, build_model
from facekit.training.open_data import labels_of
from facekit.training.tensors import check_finite


def load_weights(file: Path, recipe: ResolvedRecipe, *, registry: Registry, network: str | None = None) -> LoadedModel:
    """Build the networks of a recipe with the weights of a safetensors file; nothing is trained.

    Label map and attribute names are those of the recipe's dataset where it can be opened, else those that its
    dimensions lead to. Networks that the file does not hold start from the ``weights`` that the recipe names for them.
    Discriminators are built where the file holds them and they tell which attributes a photo has.

    Args:
        file: weights named ``generator.stem.weight`` and the like; with ``network``, those of that one network, with or
            without its name before them.
        recipe: the recipe.
        registry: the plugins.
        network: the network whose weights the file holds; by default all of the model.

    Raises:
        FacekitError: the file is no safetensors file, its weights do not fit or are not finite, the recipe has no such
            network, or a network that generates has no weights.
    """
    state = read_safetensors(file)
    if network is not None:
        _check_network(network, recipe)
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
    notes += _start_others(model, recipe, [name for name in names if name not in held], file, registry)
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


def _start_others(
    model: FaceModel, recipe: ResolvedRecipe, names: list[str], file: Path, registry: Registry
) -> list[str]:
    """Give networks that the file does not hold the weights that the recipe names for them."""
    notes = []
    for name in names:
        if not model.get_submodule(name).state_dict():
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
    return notes


def _check_network(name: str, recipe: ResolvedRecipe) -> None:
    if name not in recipe.model.networks:
        raise FacekitError(
            f"the recipe has no network called {name!r}",
            where="network",
            remedy=did_you_mean(name, recipe.model.networks) or f"it has {', '.join(recipe.model.networks)}",
        )
    if name in recipe.model.discriminators:
        raise FacekitError(f"no image is generated with {name}, a discriminator", where="network")
