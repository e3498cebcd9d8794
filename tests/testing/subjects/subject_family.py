"""Networks and samplers of a family's own for the contract tests: sound ones, and ones that break a promise each."""

from __future__ import annotations

from typing import Any

from facekit.interfaces import GENERATED, MASK, STYLE, BuildContext, Options, Port, PortContext, Ports
from facekit.registry import ComponentSpec

NOISE = Port("noise", ("batch", 6), dtype="noise")


class FaultOptions(Options):
    """Options of the subjects."""

    fault: str = ""
    """Which promise is broken; none where it is empty."""


def _spec(kind: Any, name: str, ports: Any) -> ComponentSpec:
    return ComponentSpec(
        interface_version=1,
        kind=kind,
        id=f"subject/{name}",
        summary="A subject of tests.",
        options=FaultOptions,
        factory=f"subject_family:build_{name}",
        ports=ports,
    )


def mapping_ports(options: FaultOptions, context: PortContext) -> Ports:
    """One network that gives one tensor, or two under the names of their ports."""
    return Ports(needs=(NOISE,), gives=(STYLE, Port("w", ("batch", 3))) if options.fault == "two" else (STYLE,))


def sampler_ports(options: FaultOptions, context: PortContext) -> Ports:
    """Reads a mask and noise; gives an image, which is declared or not."""
    return Ports(needs=(MASK, NOISE), gives=(GENERATED,) if options.fault == "declared" else ())


MAPPING = _spec("network", "mapping", mapping_ports)
SAMPLER = _spec("sampler", "sampler", sampler_ports)


def build_mapping(options: FaultOptions, context: BuildContext) -> Any:
    """Build the network."""
    import torch
    from torch import Tensor, nn

    class Mapping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.code = nn.Linear(6, context.dimension("style"))
            self.more = nn.Linear(6, 3)
            self.more.requires_grad_(options.fault in ("two", "gradient"))

        def forward(self, noise: Tensor) -> Any:
            if options.fault == "type":
                return [self.code(noise)]
            code = self.code(noise)
            if options.fault == "shape":
                code = code[:, 1:]
            if options.fault == "determinism":
                code = code + torch.randn_like(code)
            if options.fault == "independence":
                code = code + code.mean(0)
            return {"style": code, "w": self.more(noise)} if options.fault == "two" else code

    return Mapping()


def build_sampler(options: FaultOptions, context: BuildContext) -> Any:
    """Build the sampler."""
    import torch

    from facekit.interfaces import Condition, Generated

    def sample(networks: Any, condition: Condition) -> Any:
        noise = condition.extra["noise"]
        if options.fault == "undeclared":
            assert condition.source_image is not None
            return Generated(condition.source_image)
        image = networks["paint"](condition.require_mask(), noise)
        if options.fault == "type":
            return image
        if options.fault == "shape":
            image = image[..., 1:]
        if options.fault == "determinism":
            image = image * torch.rand_like(image)
        if options.fault == "independence":
            image = (image - image.mean(0)) / 2
        return Generated(image)

    return sample
