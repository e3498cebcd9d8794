"""The networks of a recipe as modules: built, kept frozen, and loaded from a run folder. As a step calls them, they are
in :mod:`facekit.training.network_call`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from facekit.interfaces import (
    SAMPLER,
    BuildContext,
    Condition,
    DiscriminatorOutput,
    FacekitError,
    Generated,
    LabelMap,
    Reference,
    Style,
    did_you_mean,
    discriminate,
    encode,
    sample,
)
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import Registry
from facekit.sampling.inputs import ATTRIBUTES, inputs_of, noise_shapes
from facekit.sampling.noise import derive_seed
from facekit.training import failures
from facekit.training.checkpoint import checkpoints
from facekit.training.checkpoint.reader import CheckpointReader
from facekit.training.failures import Culprit
from facekit.training.lockfile import read_run_lock, recipe_change
from facekit.training.nan_guard import check_finite
from facekit.training.run.folder import RECIPE, RunFolder, full_disk_stops
from facekit.training.run.reading import read_run_recipe


class FaceModel(nn.Module):
    """The networks of a recipe by name. The names of the submodules are those of the recipe, so that the keys of the
    state are ``generator.stem.weight`` and the like.

    Args:
        sampler: makes images with them, where it is no module; a module stands among ``networks``.
        noise: the shape of one sample's noise, by the name of its port.

    Raises:
        FacekitError: a name that torch modules use themselves.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        *,
        sampler: Callable[..., Generated] | None = None,
        frozen: frozenset[str] = frozenset(),
        noise: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        super().__init__()
        self._sampler = sampler
        self.frozen = frozen
        """The names of the networks that keep their weights."""
        self.noise = dict(noise or {})
        for name, network in networks.items():
            if hasattr(self, name):
                raise FacekitError(
                    f"a network cannot be called {name!r}, which means something else to torch",
                    where=f"model.{name}",
                    remedy="give it another name",
                )
            self.add_module(name, network)
            if name in frozen:
                network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> FaceModel:
        """Set the mode of all networks; those that are frozen stay in evaluation mode."""
        super().train(mode)
        for name in self.frozen & self._modules.keys():
            self.get_submodule(name).eval()
        return self

    @property
    def callables(self) -> dict[str, Callable[..., Any]]:
        """Everything that can be called, by name: the networks, and the sampler where there is one."""
        found: dict[str, Callable[..., Any]] = dict(self.named_children())
        return found if self._sampler is None else {**found, SAMPLER: self._sampler}

    def get(self, name: str) -> nn.Module | None:
        """Return the network of a name, None where there is none."""
        return self._modules.get(name)

    def only(self, names: Sequence[str]) -> FaceModel:
        """Return a model of some of the networks, with the same sampler."""
        networks = {name: network for name, network in self.named_children() if name in names}
        return FaceModel(networks, sampler=self._sampler, frozen=self.frozen & networks.keys(), noise=self.noise)

    def with_network(self, name: str, network: nn.Module) -> FaceModel:
        """Return a model of the same networks with another one in place of ``name``."""
        networks = {**dict(self.named_children()), name: network}
        return FaceModel(networks, sampler=self._sampler, frozen=self.frozen, noise=self.noise)

    def encode(self, reference: Reference) -> Style:
        """Return the style of reference photos; see :func:`facekit.interfaces.encode`."""
        return encode(self.callables, reference)

    def generate(self, condition: Condition, style: Style | None = None) -> Generated:
        """Return images for a condition; see :func:`facekit.interfaces.sample`."""
        return sample(self.callables, condition, style)

    def discriminate(self, image: Generated, condition: Condition) -> DiscriminatorOutput:
        """Return the discriminator's output for images; see :func:`facekit.interfaces.discriminate`."""
        return discriminate(self.callables, image, condition)


def build_model(
    recipe: ResolvedRecipe,
    *,
    label_map: LabelMap,
    attribute_names: tuple[str, ...],
    without: frozenset[str] = frozenset(),
) -> FaceModel:
    """Build the networks of a recipe on the CPU, with their initial weights.

    The initial weights of a network depend on the run's seed and its name alone; torch's global generator is left as it
    was.

    Args:
        without: the names of networks that are not wanted.

    Raises:
        FacekitError: a component cannot be built from its options; the message names its place in the recipe.
    """
    context = BuildContext(
        label_map=label_map,
        attribute_names=attribute_names,
        size=recipe.data.size,
        dimensions=recipe.dimensions,
    )
    networks: dict[str, nn.Module] = {}
    sampler: Callable[..., Generated] | None = None
    for name, choice in recipe.model.components():
        if name in without:
            continue
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(recipe.train.seed, "initialise", name))
            built = failures.build(name, choice, context)
        if isinstance(built, nn.Module):
            networks[name] = built
        elif name == SAMPLER and callable(built):
            sampler = built
        else:
            raise Culprit.of(name, choice).error(
                f"{choice.component.spec.id} gave {type(built).__name__} in place of a torch module"
            )
    frozen = recipe.model.frozen & networks.keys()
    return FaceModel(networks, sampler=sampler, frozen=frozen, noise=noise_shapes(recipe))


def changing_networks(model: FaceModel) -> FaceModel:
    """Return a model of the networks that are not frozen: those of which checkpoints hold the weights."""
    return model.only([name for name, _ in model.named_children() if name not in model.frozen])


def count_parameters(model: FaceModel) -> dict[str, int]:
    """Return the number of parameters of each network."""
    return {
        name: sum(parameter.numel() for parameter in network.parameters()) for name, network in model.named_children()
    }


FROZEN = "frozen"
"""Key of ``lock.json``: the SHA-256 of each frozen network's file, by the network's name."""


def write_frozen(run: RunFolder, model: FaceModel) -> dict[str, str]:
    """Write the weights of the frozen networks of a model into a run folder; return the SHA-256 of each file.

    Raises:
        RunFailure: the disk is full.
    """
    hashes: dict[str, str] = {}
    for name in sorted(model.frozen):
        file = run.frozen(name)
        with full_disk_stops(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            state = checkpoints.model_state(model.get_submodule(name))
            copies = {key: tensor.cpu().clone(memory_format=torch.contiguous_format) for key, tensor in state.items()}
            checkpoints.write_tensors(file, copies)
        hashes[name] = checkpoints.sha256(file)
    return hashes


def load_frozen(run: RunFolder, model: FaceModel, lock: Mapping[str, Any]) -> None:
    """Give the frozen networks of a model the weights that a run keeps.

    Raises:
        FacekitError: a file is missing or not the one that the run wrote, or does not fit the network.
    """
    hashes: Mapping[str, str] = lock.get(FROZEN, {})
    remedy = "put the file back as the run wrote it, or start the run again in another folder"
    for name in sorted(model.frozen):
        file = run.frozen(name)
        what = f"the weights of the frozen network {name!r} are"
        if not file.is_file():
            raise FacekitError(f"{what} missing", where=str(file), remedy=remedy)
        if hashes.get(name) != checkpoints.sha256(file):
            raise FacekitError(f"{what} not those that the run was made with", where=str(file), remedy=remedy)
        try:
            state = load_file(file)
        except (SafetensorError, OSError) as error:
            raise FacekitError(f"the weights of {name} cannot be read: {error}", where=str(file)) from error
        checkpoints.load_state(model.get_submodule(name), state, where=str(file))


Weights = Literal["ema", "live"]


@dataclass(frozen=True)
class LoadedModel:
    """A trained model and what it takes to use it.

    Args:
        step: the step of the checkpoint; 0 for weights of a file.
        weights: which weights these are: ``ema``, or ``live`` when they were asked for or the run keeps no average;
            ``file`` for those of a file without a run.
        warnings: damaged checkpoints that were passed over, a damaged ``lock.json``, a recipe that was changed.
        notes: which weights older versions of the components wrote, so that they were migrated.
    """

    model: FaceModel
    recipe: ResolvedRecipe
    label_map: LabelMap
    attribute_names: tuple[str, ...]
    step: int
    weights: Literal["ema", "live", "file"]
    checkpoint: Path
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load_model(
    run: Path,
    *,
    registry: Registry,
    weights: Weights = "ema",
    step: int | None = None,
    with_discriminator: bool | None = False,
    settings: Sequence[str] = (),
) -> LoadedModel:
    """Load a trained model from its run folder; the data it was trained on is not needed.

    Args:
        weights: ``ema`` for the averaged weights, ``live`` for those of the last update.
        step: a certain checkpoint; by default the newest sound one.
        with_discriminator: load discriminators too; they have live weights only. None loads them where the sampler asks
            for attributes, since one may tell those that a photo has.
        settings: runtime options of networks in place of those that the run was made with: ``sampler.steps=50``.

    Raises:
        FacekitError: the folder is no run, has no sound checkpoint, a plugin is missing, or newer than the installed
            versions of the components wrote it; its weights are not finite; or a setting is no runtime option.
    """
    folder = RunFolder(run)
    if not folder.holds_a_run:
        raise FacekitError("this is not a run folder: it has no recipe.yaml", where=str(run))
    recipe = read_run_recipe(folder.recipe, registry=registry)
    if settings:
        overrides = [_runtime_override(recipe, setting) for setting in settings]
        recipe = read_run_recipe(folder.recipe, registry=registry, overrides=overrides)
    found = checkpoints.find(folder.checkpoints, step=step)
    record = read_run_lock(folder, found)
    change = recipe_change(folder, found, registry=registry)
    changed = [] if change is None else [f"{run / RECIPE} was changed since step {found.step}: {change}"]
    label_map, attribute_names = record.label_map, record.attribute_names
    if with_discriminator is None:
        with_discriminator = inputs_of(recipe, registry.label_maps).reads(ATTRIBUTES)
    without = frozenset() if with_discriminator else recipe.model.discriminators
    model = build_model(recipe, label_map=label_map, attribute_names=attribute_names, without=without)
    changing = changing_networks(model)
    built = {name: each for name, each in recipe.model.components() if changing.get(name) is not None}
    reader = CheckpointReader(found, built)
    averaged = weights == "ema" and checkpoints.EMA in found.files
    state: Mapping[str, torch.Tensor] = {
        **reader.tensors(checkpoints.LIVE),
        **(reader.tensors(checkpoints.EMA) if averaged else {}),
    }
    checkpoints.load_state(changing, state, where=str(found.folder))
    load_frozen(folder, model, record.lock)
    check_finite(model, where=str(found.folder))
    return LoadedModel(
        model=model.eval().requires_grad_(False),
        recipe=recipe,
        label_map=label_map,
        attribute_names=attribute_names,
        step=found.step,
        weights="ema" if averaged else "live",
        checkpoint=found.folder,
        warnings=(*found.damaged, *record.warnings, *changed),
        notes=tuple(reader.notes),
    )


def runtime_options(recipe: ResolvedRecipe) -> dict[str, Any]:
    """Return the values of the options of networks that may be set when a run is used: ``{"sampler.steps": 50}``."""
    return {
        f"{name}.{option}": choice.options.model_dump(mode="json")[option]
        for name, choice in recipe.model.components()
        for option in choice.component.spec.runtime
    }


def _runtime_override(recipe: ResolvedRecipe, setting: str) -> str:
    """Return the override of a recipe for a setting such as ``sampler.steps=50``."""
    path, equals, _ = setting.partition("=")
    name, dot, option = path.strip().partition(".")
    offered = runtime_options(recipe)
    if not equals or not dot or f"{name}.{option}" not in offered:
        known = f"this run's are {', '.join(offered)}" if offered else "this run has none"
        raise FacekitError(
            f"{path.strip()!r} is no option that may be set when a run is used",
            where=f"--set {setting}",
            remedy=did_you_mean(path.strip(), offered) or f"write NETWORK.OPTION=VALUE; {known}",
        )
    return f"model.{setting.strip()}"
