"""The networks of a run with plain tensors: for research and for the commands of plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from facekit.interfaces import (
    GENERATOR,
    SAMPLER,
    STYLE_ENCODER,
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
    map_tensors,
    sample,
)
from facekit.sampling.noise import noise_for_keys
from facekit.training.network_call import NetworkCall, RunNetworks
from facekit.training.networks import FaceModel


class PlacedNetwork:
    """A network, and its methods, that is called with tensors and containers on any device, without gradients."""

    def __init__(self, network: NetworkCall, place: Callable[[Any], Any]) -> None:
        self._network, self._place = network, place

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Return what the network returns."""
        return self._call(self._network, *arguments, **named)

    def __getattr__(self, name: str) -> Any:
        """Return a method of the network, which is called like it, or another attribute as it is."""
        found = getattr(self._network, name)
        return partial(self._call, found) if callable(found) and not isinstance(found, nn.Module) else found

    @torch.no_grad()
    def _call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return function(*map(self._place, arguments), **{key: self._place(value) for key, value in named.items()})


class InferenceNetworks(Mapping[str, PlacedNetwork]):
    """The networks of a trained model, called with tensors: in evaluation mode, without gradients, on the device and in
    the number format of the pipeline, with results in float32.

    Inputs are moved to the device; results stay there. ``networks[name](...)`` calls any network of the recipe, also
    those of the kind ``network``. A style that a model family subclasses keeps its class and its fields.

    Args:
        model: the networks, in evaluation mode.
        call: gives a model's networks as a run calls them.
        label_map: the label map of the masks.
    """

    def __init__(self, model: FaceModel, call: Callable[[FaceModel], RunNetworks], *, label_map: LabelMap) -> None:
        self._networks, self._call, self._label_map = call(model), call, label_map
        self._precision = self._networks.precision

    def __getitem__(self, name: str) -> PlacedNetwork:
        """Return a network, as a function of tensors and containers on any device.

        Raises:
            FacekitError: the recipe has none of that name, or its discriminators were not loaded.
        """
        return PlacedNetwork(self._networks[name], self.place)

    def __contains__(self, name: object) -> bool:
        return name in self._networks

    def __iter__(self) -> Iterator[str]:
        return iter(self._networks)

    def __len__(self) -> int:
        return len(self._networks)

    @property
    def device(self) -> torch.device:
        """Where they compute."""
        return self._precision.device

    @property
    def callables(self) -> dict[str, Callable[..., Any]]:
        """The networks themselves by name, and the sampler where there is one: for tracing. Not to be changed."""
        return self._networks.model.callables

    @property
    def gives_styles(self) -> bool:
        """Whether images are generated from styles that :meth:`encode` gives and that can be mixed: there is a style
        encoder, no sampler, and the generator does not read the reference by itself."""
        if SAMPLER in self or STYLE_ENCODER not in self:
            return False
        needs = self._networks[GENERATOR].ports.needs if GENERATOR in self else ()
        return not any(port.name.startswith("reference.") for port in needs)

    def module(self, name: str) -> nn.Module:
        """Return a network itself, as it lies on the device: for gradients through it. It is not to be changed.

        Raises:
            FacekitError: there is no module of that name.
        """
        module = self._networks.model.get(name)
        if module is None:
            raise FacekitError(f"this recipe has no network {name!r}", remedy=f"it has {', '.join(self)}")
        return module

    def with_network(self, name: str, module: nn.Module) -> InferenceNetworks:
        """Return the networks with another one, on the device and in evaluation mode, in place of the network ``name``;
        these stay as they are."""
        model = self._networks.model.with_network(name, module)
        return InferenceNetworks(model, self._call, label_map=self._label_map)

    def encode(self, image: Tensor, mask: Tensor | None = None) -> Style:
        """Return the style of photos.

        Args:
            image: (N, 3, S, S) at the size of the run, float in [-1, 1].
            mask: their own class ids (N, S, S), int64; None for encoders that read none.

        Raises:
            FacekitError: the recipe has no style encoder.
        """
        with torch.no_grad():
            return encode(self._networks, self.place(Reference(image, mask)))

    def generate(self, mask: Tensor | None, style: Style | None = None, **tensors: Any) -> Generated:
        """Return images of masks in styles: (N, 3, S, S), float32 in [-1, 1].

        Args:
            mask: class ids (N, S, S), int64; None for generators that read none.
            style: N styles, or one for all; None for recipes without a style encoder.
            **tensors: more of the condition by the names of its fields and ports: ``attributes=...``, ``source_image=
                ...``, or noise from :meth:`noise`.

        Raises:
            FacekitError: the recipe has a sampler, which takes no style, or a network fails.
        """
        condition = Condition(mask=mask).with_(**tensors)
        if style is not None and len(style.code) == 1:
            style = style.repeat(len(condition))
        return self.sample(condition, style)

    def sample(self, condition: Condition, style: Style | None = None) -> Generated:
        """Return the images of a condition: those of the recipe's sampler, or else of its generator.

        Args:
            condition: what is wanted, N of it; noise belongs into it (``condition.with_(**networks.noise(keys))``).
            style: saves encoding the reference of ``condition``.

        Raises:
            FacekitError: something is missing that a network reads, or a network fails.
        """
        with torch.no_grad():
            return sample(self._networks, self.place(condition), self.place(style))

    def discriminate(self, image: Generated, condition: Condition) -> DiscriminatorOutput:
        """Return the discriminator's output for images. Discriminators are loaded for runs that read attributes.

        Raises:
            FacekitError: there is no discriminator.
        """
        with torch.no_grad():
            return discriminate(self._networks, self.place(image), self.place(condition))

    def noise(self, keys: Sequence[str], *, seed: int = 0) -> dict[str, Tensor]:
        """Return the noise (N, ...) of samples by the names of its ports: it depends on the seed and each sample's own
        key, not on the others. Empty for recipes without noise.

        Args:
            keys: what to call the samples, N of them. :meth:`FacePipeline.sample` calls them ``0``, ``1``, ...
            seed: the seed.
        """
        return {
            name: tensor.to(self.device)
            for name, tensor in noise_for_keys(self._networks.model.noise, keys, seed).items()
        }

    def regions(self, names: Sequence[str]) -> list[int]:
        """Return the class ids of regions by their names.

        Raises:
            FacekitError: the label map has no region of a name.
        """
        known = list(self._label_map.names)
        for name in names:
            if name not in known:
                raise FacekitError(
                    f"the label map {self._label_map.name} has no region {name!r}",
                    remedy=did_you_mean(name, known) or f"it has {', '.join(known)}",
                )
        return [known.index(name) for name in names]

    def mix(self, style: Style, other: Style, regions: Sequence[str]) -> Style:
        """Return a style with some regions of another one: ``mix(mine, theirs, ["hair"])``.

        Args:
            style: the style of everything else, N of them.
            other: the style of the regions, N of them or one for all.
            regions: the names of the regions.

        Raises:
            FacekitError: the label map has no such region, or the style has no vectors of regions.
        """
        if style.axis != "regions":
            a_part = "an image" if style.axis == "image" else "a layer"
            raise FacekitError(
                f"this model's style has one vector {a_part}, so regions cannot be mixed",
                remedy="`style.towards(other, share)` goes part of the way to another style",
            )
        return style.take(other, self.regions(regions))

    def place(self, value: Any) -> Any:
        """Return a tensor or a container on the device, images in the memory order that the networks compute in."""
        return map_tensors(value, self._placed)

    def _placed(self, tensor: Tensor) -> Tensor:
        tensor = tensor.to(self.device)
        if self._precision.channels_last and tensor.dim() == 4 and tensor.is_floating_point():
            return tensor.contiguous(memory_format=torch.channels_last)
        return tensor
