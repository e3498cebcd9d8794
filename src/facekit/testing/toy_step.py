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
)
from facekit.testing.contract import UNSETTLED_DIMENSION
from facekit.testing.inputs import Settled, blobs, make_extra, number, own_ports, with_own_fields
from facekit.training.network_call import RunNetworks
from facekit.training.networks import FaceModel
from facekit.training.precision import Precision
from facekit.training.step import BatchMemory, TrainingStep

_WIDTH = 6


class OwnFields(nn.Module):
    """The fields of a family's own ports, computed from ``features`` numbers a sample.

    As many numbers depend on the fields, so that a loss can differentiate a result by them; 0 where there are no
    fields. Class ids carry no gradient.
    """

    def __init__(self, ports: Mapping[str, Port], *, features: int, settled: Settled) -> None:
        super().__init__()
        self.ports = dict(ports)
        self.settled = dict(settled)
        self.shapes = {
            name: torch.Size(number(side, settled) for side in port.shape[1:]) for name, port in ports.items()
        }
        self.give = nn.ModuleList(nn.Linear(features, shape.numel()) for shape in self.shapes.values())
        self.read = nn.ModuleList(nn.Linear(shape.numel(), features) for shape in self.shapes.values())

    def forward(self, features: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the fields of features (N, F), by name, and numbers (N, F) that depend on them."""
        given: dict[str, Tensor] = {}
        total = torch.zeros_like(features)
        for (name, port), give, read in zip(self.ports.items(), self.give, self.read, strict=True):
            values = give(features)
            if port.dtype == "class_ids":
                classes = number(port.classes or 2, self.settled)
                values = (values.sigmoid() * classes).long().clamp(max=classes - 1)
            elif port.value_range is not None or port.dtype == "binary":
                low, high = port.value_range or (0.0, 1.0)
                values = values.sigmoid() * (high - low) + low
            given[name] = values.reshape(len(features), *self.shapes[name])
            total = total + read(given[name].reshape(len(features), -1).to(features.dtype))
        return given, total


class BenchStyleEncoder(nn.Module):
    """Image to style: one code, or one for each region where the port ``style`` has three dimensions."""

    def __init__(self, needs: Collection[Port], *, classes: int, length: int, settled: Settled) -> None:
        super().__init__()
        self.classes = classes
        self.by_region = any(port.name == "style" and len(port.shape) == 3 for port in needs)
        self.read = nn.Conv2d(3, length, 3, padding=1)
        self.own = OwnFields(own_ports(needs, "style"), features=length, settled=settled)

    def forward(self, image: Tensor, mask: Tensor) -> Style:
        """Return the style of photos; where there are own fields, its code depends on them."""
        hidden = F.softplus(self.read(image))
        fields, more = self.own(hidden.mean((2, 3)))
        if not self.by_region:
            return with_own_fields(Style(hidden.mean((2, 3)) + more), fields)
        planes = one_hot(mask, self.classes, hidden.dtype)
        sums = torch.einsum("nchw,nrhw->nrc", hidden, planes)
        code = sums / planes.sum((2, 3)).clamp(min=1)[..., None]
        return with_own_fields(Style(code + more[:, None], axis="regions"), fields)


class BenchGenerator(nn.Module):
    """Mask to image, with a style of ``style`` numbers, and ``attributes`` for the source image; 0 to read none.

    It gives two coarser sizes where a port asks for them, and the fields of a family.
    """

    def __init__(self, needs: Collection[Port], *, classes: int, style: int, attributes: int, settled: Settled) -> None:
        super().__init__()
        self.classes = classes
        self.pyramid = any(port.name == "generated.pyramid" for port in needs)
        self.from_mask = nn.Conv2d(classes, _WIDTH, 3, padding=1)
        self.from_style = nn.Linear(style, _WIDTH) if style else None
        self.from_source = nn.Conv2d(3, _WIDTH, 3, padding=1) if attributes else None
        self.from_attributes = nn.Linear(attributes, _WIDTH) if attributes else None
        self.own = OwnFields(own_ports(needs, "generated"), features=_WIDTH, settled=settled)
        self.to_image = nn.Conv2d(_WIDTH, 3, 3, padding=1)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        """Return images of a condition; where there are own fields, the image depends on them."""
        hidden = self.from_mask(one_hot(condition.require_mask(), self.classes, self.from_mask.weight.dtype))
        if self.from_style is not None and style is not None:
            code = style.code if style.code.dim() == 2 else style.code.mean(1)
            hidden = hidden + self.from_style(code)[:, :, None, None]
        if self.from_source is not None and self.from_attributes is not None:
            assert condition.source_image is not None
            assert condition.attributes is not None
            change = self.from_attributes(condition.attributes)[:, :, None, None]
            hidden = hidden + self.from_source(condition.source_image) + change
        fields, more = self.own(hidden.mean((2, 3)))
        image = self.to_image(F.softplus(hidden + more[:, :, None, None])).tanh()
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

    def forward(self, image: Generated, condition: Condition) -> DiscriminatorOutput:
        """Return the output for images."""
        pair = torch.cat([one_hot(condition.require_mask(), self.classes, image.image.dtype), image.image], dim=1)
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


def bench_model(needs: Collection[Port], *, classes: int, attributes: int, settled: Settled) -> FaceModel:
    """Return tiny networks that offer what ports need, and nothing else: a loss that asks for more finds nothing.

    Args:
        needs: the ports of a loss. ``style.NAME`` and ``generated.NAME`` are fields of a family's own: the style
            encoder and the generator give them in the shape of the port.
        classes: how many classes.
        attributes: how many attributes.
        settled: the numbers behind named dimensions.
    """
    named = {port.name: port for port in needs}
    roots = {name.split(".")[0] for name in named}
    networks: dict[str, nn.Module] = {}
    length = 0
    if "style" in roots:
        style = named.get("style")
        length = UNSETTLED_DIMENSION if style is None or style.leading else number(style.shape[-1], settled)
        networks[STYLE_ENCODER] = BenchStyleEncoder(needs, classes=classes, length=length, settled=settled)
    read = attributes if "attributes" in named else 0
    networks[GENERATOR] = BenchGenerator(needs, classes=classes, style=length, attributes=read, settled=settled)
    if "discriminated" in roots:
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
    image, reference = (
        F.interpolate(torch.rand(batch, 3, 8, 8, generator=random) * 2 - 1, size=(size, size), mode="bilinear")
        for _ in range(2)
    )
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
