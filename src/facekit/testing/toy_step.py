"""The bench losses are tried on: tiny networks that offer what a loss declares, and nothing else, in a real step."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import (
    DISCRIMINATOR,
    GENERATED,
    GENERATED_PYRAMID,
    GENERATOR,
    STYLE_ENCODER,
    Condition,
    DiscriminatorOutput,
    FaceBatch,
    Generated,
    LabelMap,
    Player,
    Port,
    Ports,
    Reference,
    ScaleOutput,
    Style,
    StyleAxis,
)
from facekit.testing.contract import UNSETTLED_DIMENSION
from facekit.testing.port_inputs import OwnFields, Settled, blobs, make_extra, own_ports, with_own_fields
from facekit.training.network_call import RunNetworks
from facekit.training.networks import FaceModel
from facekit.training.precision import Precision
from facekit.training.step import BatchMemory, TrainingStep

_WIDTH = 6


class BenchStyleEncoder(nn.Module):
    """Image to style: one of ``length`` numbers, or one for each region; ``own`` are the ports of a family's fields."""

    def __init__(
        self, classes: int, *, by_region: bool, length: int, own: Mapping[str, Port], settled: Settled
    ) -> None:
        super().__init__()
        self.classes = classes
        self.by_region = by_region
        self.read = nn.Conv2d(3, length, 3, padding=1)
        self.own = OwnFields(own, features=length, outputs=length, settled=settled) if own else None

    def forward(self, image: Tensor, mask: Tensor) -> Style:
        """Return the style of photos; where there are own fields, its code depends on them."""
        hidden = F.softplus(self.read(image))
        pooled = hidden.mean((2, 3))
        axis: StyleAxis = "regions" if self.by_region else "image"
        code = pooled
        if self.by_region:
            planes = one_hot(mask, self.classes, hidden.dtype)
            sums = torch.einsum("nchw,nrhw->nrc", hidden, planes)
            code = sums / planes.sum((2, 3)).clamp(min=1)[..., None]
        if self.own is None:
            return Style(code, axis=axis)
        fields, more = self.own(pooled)
        return with_own_fields(Style(code + (more[:, None] if self.by_region else more), axis=axis), fields)


class BenchGenerator(nn.Module):
    """Mask to image, with a style of ``style`` numbers, and ``attributes`` for the source image; 0 to read none.

    It gives two coarser sizes where a ``pyramid`` is asked for, and the fields of a family's ports ``own``.
    """

    def __init__(
        self,
        classes: int,
        *,
        style: int,
        pyramid: bool,
        attributes: int,
        own: Mapping[str, Port],
        settled: Settled,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.pyramid = pyramid
        self.lay = nn.Conv2d(classes, _WIDTH, 3, padding=1)
        self.dress = nn.Linear(style, _WIDTH) if style else None
        self.look = nn.Conv2d(3, _WIDTH, 3, padding=1) if attributes else None
        self.change = nn.Linear(attributes, _WIDTH) if attributes else None
        self.own = OwnFields(own, features=_WIDTH, outputs=_WIDTH, settled=settled) if own else None
        self.paint = nn.Conv2d(_WIDTH, 3, 3, padding=1)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        """Return images of a condition; where there are own fields, the image depends on them."""
        hidden = self.lay(one_hot(condition.require_mask(), self.classes, self.lay.weight.dtype))
        if self.dress is not None and style is not None:
            code = style.code if style.code.dim() == 2 else style.code.mean(1)
            hidden = hidden + self.dress(code)[:, :, None, None]
        if self.look is not None and self.change is not None:
            assert condition.source_image is not None
            assert condition.attributes is not None
            hidden = hidden + self.look(condition.source_image) + self.change(condition.attributes)[:, :, None, None]
        fields: dict[str, Tensor] = {}
        if self.own is not None:
            fields, more = self.own(hidden.mean((2, 3)))
            hidden = hidden + more[:, :, None, None]
        image = self.paint(F.softplus(hidden)).tanh()
        levels = tuple(F.avg_pool2d(image, factor) for factor in (2, 4)) if self.pyramid else ()
        return with_own_fields(Generated(image, levels), fields)


class BenchDiscriminator(nn.Module):
    """Image and mask to logits at two scales, with feature maps and ``attributes`` attribute logits if asked for."""

    def __init__(self, classes: int, *, features: bool, attributes: int) -> None:
        super().__init__()
        self.classes = classes
        self.features = features
        self.first = nn.ModuleList(nn.Conv2d(classes + 3, _WIDTH, 4, stride=2, padding=1) for _ in range(2))
        self.second = nn.ModuleList(nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1) for _ in range(2))
        self.last = nn.ModuleList(nn.Conv2d(_WIDTH, 1, 3, padding=1) for _ in range(2))
        self.classify = nn.Linear(_WIDTH, attributes) if attributes else None

    def forward(self, picture: Generated, condition: Condition) -> DiscriminatorOutput:
        """Return the output of images."""
        pair = torch.cat([one_hot(condition.require_mask(), self.classes, picture.image.dtype), picture.image], dim=1)
        scales = []
        hidden = pair
        for first, second, last in zip(self.first, self.second, self.last, strict=True):
            # Smooth, so that penalties on gradients have gradients.
            one = F.softplus(first(pair))
            hidden = F.softplus(second(one))
            scales.append(ScaleOutput(last(hidden), (one, hidden) if self.features else ()))
            pair = F.avg_pool2d(pair, 2)
        logits = None if self.classify is None else self.classify(hidden.mean((2, 3)))
        return DiscriminatorOutput(tuple(scales), logits)


def one_hot(mask: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Return planes (N, classes, H, W) of zeros and ones of class ids (N, H, W)."""
    return (mask[:, None] == torch.arange(classes, device=mask.device)[:, None, None]).to(dtype)


def bench_model(needs: Collection[Port], *, classes: int, attributes: int, settled: Settled | None = None) -> FaceModel:
    """Return tiny networks that offer what ports need, and nothing else: a loss that asks for more finds nothing.

    Args:
        needs: the ports of a loss. ``style.NAME`` and ``generated.NAME`` are fields of a family's own: the style
            encoder and the generator give them in the shape of the port.
        classes: how many classes.
        attributes: how many attributes.
        settled: the numbers behind named dimensions; any other has the number ``UNSETTLED_DIMENSION``.
    """
    named = {port.name: port for port in needs}
    style = named.get("style")
    by_region = style is not None and len(style.shape) == 3
    last = UNSETTLED_DIMENSION if style is None or style.leading else style.shape[-1]
    length = last if isinstance(last, int) else UNSETTLED_DIMENSION
    judged = any(name.startswith("discriminated") for name in named)
    own = {prefix: own_ports(needs, prefix) for prefix in ("style", "generated")}
    numbers = {
        dimension: UNSETTLED_DIMENSION
        for ports in own.values()
        for port in ports.values()
        for dimension in (*port.shape, port.classes)
        if isinstance(dimension, str)
    } | dict(settled or {})
    encodes = style is not None or bool(own["style"])
    networks: dict[str, nn.Module] = {}
    if encodes:
        networks[STYLE_ENCODER] = BenchStyleEncoder(
            classes, by_region=by_region, length=length, own=own["style"], settled=numbers
        )
    networks[GENERATOR] = BenchGenerator(
        classes,
        style=length if encodes else 0,
        pyramid="generated.pyramid" in named,
        attributes=attributes if "attributes" in named else 0,
        own=own["generated"],
        settled=numbers,
    )
    if judged:
        networks[DISCRIMINATOR] = BenchDiscriminator(
            classes,
            features="discriminated.features" in named,
            attributes=attributes if "discriminated.class_logits" in named else 0,
        )
    return FaceModel(networks)


def bench_batch(
    needs: Collection[Port], *, size: int, batch: int, label_map: LabelMap, attributes: int, seed: int
) -> FaceBatch:
    """Return faces: smooth photos with masks of blocks, each with another face as its reference.

    Tensors of ports with names of their own, noise among them, are in ``extra``.
    """
    random = torch.Generator().manual_seed(seed)
    classes = len(label_map)
    image = F.interpolate(torch.rand(batch, 3, 8, 8, generator=random) * 2 - 1, size=(size, size), mode="bilinear")
    reference = F.interpolate(torch.rand(batch, 3, 8, 8, generator=random) * 2 - 1, size=(size, size), mode="bilinear")
    mask, reference_mask = (blobs((batch, size, size), classes, random) for _ in range(2))
    wanted = (torch.rand(batch, attributes, generator=random) < 0.5).float()
    return FaceBatch(
        image=image,
        keys=tuple(f"face{index}" for index in range(batch)),
        mask=mask,
        reference=Reference(reference, reference_mask),
        attributes=wanted if any(port.name == "attributes" for port in needs) else None,
        extra=make_extra(needs, {"batch": batch, "size": size, "classes": classes, "attributes": attributes}, random),
    )


def bench_step(model: FaceModel, batch: FaceBatch, *, player: Player, precision: Precision, seed: int) -> TrainingStep:
    """Return a real step of the engine over tiny networks."""
    generator = model.get(GENERATOR)  # families without one bring networks of their own
    pyramid = (GENERATED_PYRAMID,) if getattr(generator, "pyramid", False) else ()
    networks = RunNetworks(model, precision, ports={GENERATOR: Ports(gives=(GENERATED, *pyramid))})
    trained = {DISCRIMINATOR} if player == DISCRIMINATOR else {name for name in networks if name != DISCRIMINATOR}
    return TrainingStep(
        index=0,
        player=player,
        trained=frozenset(trained),
        networks=networks,
        memory=BatchMemory(batch),
        seed=(seed, player),
    )
