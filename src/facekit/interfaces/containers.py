"""The typed containers that components speak in. Importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from facekit.interfaces.errors import FacekitError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")

StyleAxis = Literal["image", "regions", "layers"]
"""What the vectors of a style stand for: one an image, one a region, or one a layer of the generator."""


def map_tensors(container: T, function: Callable[[Tensor], Tensor]) -> T:
    """Return a container with a function applied to every tensor in it: a tensor, tuple, mapping or dataclass.

    Subclasses keep their type, and the fields that a model family adds are mapped too. Anything else stays as it is. A
    tensor that stands in several places (a photo that is its own reference) is mapped once, and stands in all of them.
    """
    results: dict[int, tuple[Tensor, Tensor]] = {}  # with what was mapped, lest another tensor gets its id

    def once(tensors: list[Tensor]) -> Tensor:
        tensor = tensors[0]
        if id(tensor) not in results:
            results[id(tensor)] = tensor, function(tensor)
        return results[id(tensor)][1]

    return _joined((container,), once)


def concatenate(containers: Sequence[T]) -> T:
    """Return containers of one type joined along the samples, the fields of a model family included.

    Raises:
        ValueError: a field is a tensor in some and None in others, or tuples or mappings differ in what they hold.
    """
    import torch

    return containers[0] if len(containers) == 1 else _joined(containers, torch.cat)


def _joined(containers: Sequence[Any], join: Callable[[list[Tensor]], Tensor]) -> Any:
    """Return a container of the type of all, with ``join`` of the tensors that they have in each place."""
    import torch

    first = containers[0]
    if isinstance(first, torch.Tensor):
        return join(list(containers))
    if isinstance(first, tuple):
        entries = [_joined(each, join) for each in zip(*containers, strict=True)]
        return type(first)(*entries) if hasattr(first, "_fields") else tuple(entries)
    if isinstance(first, Mapping):
        if any(each.keys() != first.keys() for each in containers):
            raise ValueError(f"cannot join {[sorted(each) for each in containers]} along the samples")
        return {name: _joined([each[name] for each in containers], join) for name in first}
    if is_dataclass(first) and not isinstance(first, type):
        names = [each.name for each in fields(first) if each.init]
        return replace(first, **{name: _joined([getattr(each, name) for each in containers], join) for name in names})
    if any(container != first for container in containers[1:]):
        raise ValueError(f"cannot join {containers!r} along the samples")
    return first


class _Batched:
    """What containers of N samples have in common: every tensor's first dimension is the sample."""

    __slots__ = ()

    def first(self: T, count: int) -> T:
        """Return the first ``count`` samples."""
        return map_tensors(self, lambda tensor: tensor[:count])

    def roll(self: T, shift: int = 1) -> T:
        """Return the samples in another order: sample i of the result is sample i - ``shift`` of this."""
        return map_tensors(self, lambda tensor: tensor.roll(shift, 0))

    def repeat(self: T, count: int) -> T:
        """Return one sample ``count`` times (views, no copies). Containers of several samples must have ``count``."""
        return map_tensors(self, lambda tensor: tensor.expand(count, *tensor.shape[1:]))

    def detach(self: T) -> T:
        """Return the same cut from the graph that made it."""
        return map_tensors(self, lambda tensor: tensor.detach())

    def to(self: T, device: torch.device | str) -> T:
        """Return the same on a device; copies from pinned memory do not block."""
        return map_tensors(self, lambda tensor: tensor.to(device, non_blocking=True))


class _Masked(_Batched):
    """What containers have in common that may have a mask."""

    __slots__ = ()

    mask: Tensor | None

    def require_mask(self) -> Tensor:
        """Return the class ids (N, H, W).

        Raises:
            FacekitError: there are none; a network that declares the port ``mask`` never meets this.
        """
        if self.mask is None:
            raise FacekitError(
                "a component reads a mask, and there is none",
                remedy="let it declare that it needs one: the port `mask`, or `reference.mask`",
            )
        return self.mask


@dataclass(frozen=True, slots=True)
class Reference(_Masked):
    """The image that gives the style. It always travels with its own mask.

    Args:
        image: (N, 3, H, W) in [-1, 1].
        mask: class ids (N, H, W) of this photo, int64; None where the data has no masks.
        attributes: (N, A) of this photo, float in {0, 1}; None where the data has none.
    """

    image: Tensor
    mask: Tensor | None = None
    attributes: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Condition(_Masked):
    """The inputs of a network. The ports of a recipe's networks decide which of them it fills.

    Args:
        mask: class ids (N, H, W), int64: the geometry of the fake.
        reference: the image that gives the style.
        attributes: wanted attributes (N, A), float in {0, 1}.
        source_image: photo (N, 3, H, W) in [-1, 1] that is to be changed (image-to-image models such as StarGAN).
        extra: any other tensor by the name of its port: noise that the engine draws, a family's own inputs.
    """

    mask: Tensor | None = None
    reference: Reference | None = None
    attributes: Tensor | None = None
    source_image: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of samples. Raises ValueError for a condition without tensors."""
        image = None if self.reference is None else self.reference.image
        for tensor in (self.mask, image, self.source_image, self.attributes, *self.extra.values()):
            if tensor is not None:
                return len(tensor)
        raise ValueError("an empty condition has no number of samples")

    def with_(self, **tensors: Any) -> Condition:
        """Return the same with other values, by field (``mask=...``), or by a port's name, which go to ``extra``."""
        own = {name: value for name, value in tensors.items() if name in _CONDITION_FIELDS}
        other = {name: value for name, value in tensors.items() if name not in _CONDITION_FIELDS}
        return replace(self, **own, extra={**self.extra, **other}) if other else replace(self, **own)

    def rolled_reference(self, shift: int = 1) -> Condition:
        """Return each sample with the reference of another sample of the batch (rolled by ``shift``)."""
        if self.reference is None:
            raise ValueError("this condition has no reference to roll")
        return replace(self, reference=self.reference.roll(shift))


_CONDITION_FIELDS = frozenset(each.name for each in fields(Condition))


@dataclass(frozen=True, slots=True)
class FaceBatch(_Masked):
    """A batch of real faces.

    Args:
        image: photos (N, 3, H, W), float in [-1, 1].
        keys: the sample keys, N of them.
        mask: class ids (N, H, W), int64; None where the data has no masks.
        reference: the images that give the style; in training the real image itself or an augmentation of it.
        attributes: (N, A) float in {0, 1}, in the order of the dataset's ``attribute_names``; None where it has none.
        extra: any other tensor of the samples by the name of its port; noise that the engine draws among them.
    """

    image: Tensor
    keys: tuple[str, ...]
    mask: Tensor | None = None
    reference: Reference | None = None
    attributes: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many faces there are."""
        return len(self.keys)

    @property
    def condition(self) -> Condition:
        """What networks may see of this batch: own mask, reference, own attributes, and the photo as the source."""
        return Condition(
            mask=self.mask,
            reference=self.reference,
            attributes=self.attributes,
            source_image=self.image,
            extra=self.extra,
        )


@dataclass(frozen=True, slots=True)
class Style(_Batched):
    """The style of photos, as a style encoder gives it. A model family with further fields (a VAE's mean and variance)
    subclasses it; its own fields are kept in everything that is done with styles.

    Args:
        code: (N, D) for one vector an image, (N, R, D) for one a region, (N, L, D) for one a layer.
        axis: what the vectors stand for: ``image``, ``regions`` or ``layers``.
        present: (N, R) bool: the regions that the reference shows; None where all do or nobody knows.
    """

    code: Tensor
    axis: StyleAxis = "image"
    present: Tensor | None = None

    def take(self, other: Style, where: Sequence[int]) -> Style:
        """Return this style with some vectors of another one.

        Args:
            other: styles of the same form, N of them or one for all.
            where: class ids (``axis="regions"``) or layers (``axis="layers"``) whose vectors are those of ``other``.

        Raises:
            ValueError: the styles have one vector an image, or their forms differ.
        """
        self._check_like(other)
        if self.axis == "image":
            raise ValueError("a style of one vector an image has no parts to take; use `towards`")
        chosen = list(where)
        code = self.code.clone()
        code[:, chosen] = other.code[:, chosen].to(code.dtype)
        present = self.present
        if present is not None and other.present is not None:
            present = present.clone()
            present[:, chosen] = other.present[:, chosen]
        return replace(self, code=code, present=present)

    def towards(self, other: Style, share: float) -> Style:
        """Return the style ``share`` of the way from this one (0) to another (1); below 0 and above 1 it goes on.

        Raises:
            ValueError: the forms of the styles differ.
        """
        self._check_like(other)
        return replace(self, code=self.code + (other.code.to(self.code.dtype) - self.code) * share)

    def _check_like(self, other: Style) -> None:
        if self.axis != other.axis or self.code.shape[1:] != other.code.shape[1:]:
            raise ValueError(
                f"a style of {tuple(self.code.shape[1:])} numbers by {self.axis} does not go with one of "
                f"{tuple(other.code.shape[1:])} by {other.axis}"
            )


@dataclass(frozen=True, slots=True)
class Generated(_Batched):
    """An image that a discriminator sees: a generator's, or a real photo put into the same form.

    Args:
        image: (N, 3, H, W) in [-1, 1].
        pyramid: the same image at coarser sizes, finest first, from generators of several scales (MSG-GAN).
        maps: named tensors (N, ...) that discriminators see beside the image: a generated mask, a depth.

    A model family with further fields (latents, a rendered mesh) subclasses it; its own fields are kept as they are, in
    the graph and the number format that they were computed in.
    """

    image: Tensor
    pyramid: tuple[Tensor, ...] = ()
    maps: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScaleOutput:
    """A discriminator's output at one scale: logits (N, 1, h, w) or (N, 1), and the feature maps that led to them."""

    logits: Tensor
    features: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class DiscriminatorOutput(_Batched):
    """A discriminator's output for an image, scale by scale (finest first).

    Args:
        scales: one entry a scale.
        class_logits: (N, A) attribute logits from discriminators that also classify (StarGAN); else None.
    """

    scales: tuple[ScaleOutput, ...]
    class_logits: Tensor | None = None

    def split(self, count: int) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
        """Return the output of the first ``count`` samples and that of the rest (after one joint pass)."""
        return self.first(count), map_tensors(self, lambda tensor: tensor[count:])
