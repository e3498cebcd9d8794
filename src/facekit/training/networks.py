"""The networks of a recipe: as modules (:class:`FaceModel`), and as a step calls them (:class:`RunNetworks`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from facekit.interfaces import (
    DISCRIMINATOR,
    SAMPLER,
    STYLE_ENCODER,
    BuildContext,
    Condition,
    DiscriminatorOutput,
    FacekitError,
    Generated,
    LabelMap,
    Network,
    PortContext,
    Ports,
    Reference,
    Style,
    did_you_mean,
    discriminate,
    encode,
    sample,
)
from facekit.recipe.resolved import ComponentChoice, ResolvedRecipe
from facekit.sampling.inputs import noise_shapes
from facekit.training import failures
from facekit.training.augmentation import RunAugmentation
from facekit.training.failures import Culprit
from facekit.training.network_call import NO_PORTS, Calls, NetworkCall
from facekit.training.precision import Precision
from facekit.training.seeds import derive_seed


class FaceModel(nn.Module):
    """The networks of a recipe by name. The names of the submodules are those of the recipe, so that the keys of the
    state are ``generator.stem.weight`` and the like.

    Args:
        networks: the networks by name.
        sampler: makes images with them, where it is no module; a module stands among ``networks``.
        frozen: the names of those that keep their weights.
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
        self._frozen = frozen
        self._noise = dict(noise or {})
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
        for name in self._frozen:
            if name in self._modules:
                self.get_submodule(name).eval()
        return self

    @property
    def callables(self) -> dict[str, Callable[..., Any]]:
        """Everything that can be called, by name: the networks, and the sampler where there is one."""
        found: dict[str, Callable[..., Any]] = dict(self.named_children())
        return found if self._sampler is None else {**found, SAMPLER: self._sampler}

    @property
    def frozen(self) -> frozenset[str]:
        """The names of the networks that keep their weights."""
        return self._frozen

    @property
    def noise(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of one sample's noise, by the name of its port."""
        return self._noise

    def get(self, name: str) -> nn.Module | None:
        """Return the network of a name, None where there is none."""
        return self._modules.get(name)

    def only(self, names: Sequence[str]) -> FaceModel:
        """Return a model of some of the networks, with the same sampler."""
        networks = {name: network for name, network in self.named_children() if name in names}
        return FaceModel(networks, sampler=self._sampler, frozen=self._frozen & networks.keys(), noise=self._noise)

    def with_network(self, name: str, network: nn.Module) -> FaceModel:
        """Return a model of the same networks with another one in place of ``name``."""
        networks = {**dict(self.named_children()), name: network}
        return FaceModel(networks, sampler=self._sampler, frozen=self._frozen, noise=self._noise)

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
        recipe: the recipe.
        label_map: the label map of the data.
        attribute_names: the attributes of the data, in order.
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


def count_parameters(model: FaceModel) -> dict[str, int]:
    """Return the number of parameters of each network."""
    return {
        name: sum(parameter.numel() for parameter in network.parameters()) for name, network in model.named_children()
    }


class RunNetworks(Mapping[str, Network]):
    """The networks of a model as a step calls them: in the precision of the run, with results in float32.

    Feature maps of a discriminator stay as they were computed; see :func:`facekit.training.tensors.logits_in_float32`.

    Args:
        model: the networks.
        precision: how they compute.
        recipe: says what each network declares; None for networks without a recipe (contract tests).
        label_maps: every label map that the plugins offer, by name.
        compile: compile the networks.
        cuda_graphs: record the kernels of each network once and replay them, compiled or not. :meth:`begin_step` then
            says that their results of the step before are no longer needed.
        ports: in place of ``recipe``: what networks declare, by name.
        augmentation: what stands in front of discriminators in training; None for nothing.
    """

    def __init__(
        self,
        model: FaceModel,
        precision: Precision,
        *,
        recipe: ResolvedRecipe | None = None,
        label_maps: Mapping[str, LabelMap] | None = None,
        compile: bool = False,
        cuda_graphs: bool = False,
        ports: Mapping[str, Ports] | None = None,
        augmentation: RunAugmentation | None = None,
    ) -> None:
        self.model = model
        settled = {} if recipe is None else {"size": recipe.data.size, **recipe.dimensions}
        self._calls = Calls(precision, copies=cuda_graphs, settled=settled, augmentation=augmentation)
        self._cuda_graphs = cuda_graphs
        self._networks: dict[str, NetworkCall] = {}
        for name, network in model.callables.items():
            compiled = _compiled(network, compile=compile, cuda_graphs=cuda_graphs) if name != SAMPLER else network
            choice = None if recipe is None else recipe.model.get(name)
            if choice is None or recipe is None:
                declared = (ports or {}).get(name, NO_PORTS)
                self._networks[name] = NetworkCall(name, network, compiled, self._calls, ports=declared, kind=name)
            else:
                context = PortContext(recipe.data.size, label_maps or {})
                self._networks[name] = self._of_recipe(name, network, compiled, choice, context)

    def _of_recipe(
        self,
        name: str,
        network: Callable[..., Any],
        compiled: Callable[..., Any],
        choice: ComponentChoice,
        context: PortContext,
    ) -> NetworkCall:
        spec = choice.component.spec
        return NetworkCall(
            name,
            network,
            compiled,
            self._calls,
            ports=choice.ports(context),
            batch_dependent=spec.batch_dependent,
            kind=spec.kind,
            culprit=Culprit.of(name, choice),
        )

    @property
    def precision(self) -> Precision:
        """How the networks compute."""
        return self._calls.precision

    @property
    def augmentation(self) -> RunAugmentation | None:
        """What stands in front of discriminators in training."""
        return self._calls.augmentation

    def __getitem__(self, name: str) -> NetworkCall:
        """Return a network by its name.

        Raises:
            FacekitError: there is none of that name.
        """
        try:
            return self._networks[name]
        except KeyError:
            hint = did_you_mean(name, self._networks) or f"it has {', '.join(self._networks)}"
            usual = {STYLE_ENCODER, DISCRIMINATOR}
            raise FacekitError(
                f"this recipe has no {name.replace('_', ' ')}, but something asks for it",
                remedy=f"add model.{name}, or take out the loss that asks" if name in usual else hint,
            ) from None

    def __contains__(self, name: object) -> bool:
        """Return whether the recipe has a network of that name."""
        return name in self._networks

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._networks)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._networks)

    def begin_step(self) -> None:
        """Say that a step begins: CUDA graphs may write over what they gave in the step before."""
        if self._cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()

    @contextmanager
    def checking(self) -> Iterator[None]:
        """Hold every result within the context against the ports of its network."""
        self._calls.checking, before = True, self._calls.checking
        try:
            yield
        finally:
            self._calls.checking = before

    @contextmanager
    def full_precision(self) -> Iterator[None]:
        """Let networks compute in float32 and uncompiled within the context."""
        self._calls.full, before = True, self._calls.full
        try:
            with self._calls.precision.autocast(full=True):
                yield
        finally:
            self._calls.full = before

    def note(self, names: frozenset[str]) -> None:
        """Count networks as called, whose result is used again."""
        for called in self._calls.called:
            called |= names

    @contextmanager
    def tracing(self) -> Iterator[set[str]]:
        """Give a set that collects the names of all networks that are called within the context."""
        called, names = self._calls.called, set[str]()
        self._calls.called = (*called, names)
        try:
            yield names
        finally:
            self._calls.called = called


def _compiled(network: Callable[..., Any], *, compile: bool, cuda_graphs: bool) -> Callable[..., Any]:
    if not (compile or cuda_graphs):
        return network
    # A step meets few sizes and meets them every time: code for each is faster than code for all.
    if not compile:
        return torch.compile(network, dynamic=False, backend="cudagraphs")
    return torch.compile(network, dynamic=False, mode="reduce-overhead" if cuda_graphs else None)
