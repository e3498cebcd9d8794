"""How a run computes: device, number format, memory layout, and which activations are computed again.

With activation checkpointing parts of the forward pass are computed again in the backward pass, and not kept until
then. Networks say which of their parts may be (``facekit.interfaces.Recomputable``); here is how.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from facekit.interfaces import FaceBatch, FacekitError, Recomputable, Recompute, Reference
from facekit.recipe.settings import TrainSettings

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Precision:
    """How the components of a model compute.

    Weights, gradients, moments and averages are fp32 always. With ``bf16`` the forward passes of style encoder,
    generator and discriminator run under autocast, and what losses see of it is float32 again; losses compute in fp32.

    Args:
        name: ``fp32`` or ``bf16``.
        channels_last: keep 4-D weights and pictures in that memory layout.
    """

    device: torch.device
    name: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = False

    def autocast(self, *, full: bool = False) -> AbstractContextManager[object]:
        """Return the context of a component's forward pass; ``full`` switches autocast off whatever is around it."""
        # The cache of cast weights pays within one context only, and each pass has its own: it would hold the copies
        # of one pass for nothing.
        enabled = self.name == "bf16" and not full
        if not torch.amp.is_autocast_available(self.device.type):
            return nullcontext()  # a device that knows no autocast is never inside one
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    def place(self, module: Module) -> Module:
        """Return a module on the device, in the memory layout of the run."""
        module = module.to(self.device)
        return module.to(memory_format=torch.channels_last) if self.channels_last else module

    def place_batch(self, batch: FaceBatch) -> FaceBatch:
        """Return a batch on the device, its photos in the memory layout of the run."""
        if self.device.type != "cpu":
            batch = _on_device(batch, self.device)
        if not self.channels_last:
            return batch

        image = batch.image.contiguous(memory_format=torch.channels_last)
        reference = batch.reference
        if reference is not None:
            same = reference.image is batch.image
            placed = image if same else reference.image.contiguous(memory_format=torch.channels_last)
            reference = replace(reference, image=placed)
        return replace(batch, image=image, reference=reference)


def _on_device(batch: FaceBatch, device: torch.device) -> FaceBatch:
    """Return a batch on a device; a reference that is the photo itself is copied there once."""
    reference = batch.reference
    if reference is None or reference.image is not batch.image:
        return batch.to(device)
    alone = replace(batch, reference=None).to(device)
    mask = alone.mask if reference.mask is batch.mask else None if reference.mask is None else reference.mask.to(device)
    attributes = None if reference.attributes is None else reference.attributes.to(device)
    return replace(alone, reference=Reference(alone.image, mask, attributes))


def choose_device(setting: Literal["auto", "cpu", "cuda"], *, index: int = 0) -> torch.device:
    """Return the device a setting means; ``auto`` is CUDA where there is one. ``index`` picks one of several.

    Raises:
        FacekitError: ``cuda`` was asked for and there is none.
    """
    available = torch.cuda.is_available()
    if setting == "cuda" and not available:
        raise FacekitError(
            "train.device is cuda, but torch finds no CUDA device", remedy="use train.device=auto or train.device=cpu"
        )
    return torch.device("cuda", index) if available and setting != "cpu" else torch.device("cpu")


def choose_precision(settings: TrainSettings, *, index: int = 0) -> Precision:
    """Return the precision of a run.

    Raises:
        FacekitError: the device of the settings does not exist, or lacks bf16 or CUDA graphs that they ask for.
    """
    device = choose_device(settings.device, index=index)
    name = choose_number_format(settings.precision, device)
    if name == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise FacekitError(
            f"{torch.cuda.get_device_name(device)} does not compute in bf16", remedy="use train.precision=fp32"
        )
    if settings.cuda_graphs and device.type != "cuda":
        raise FacekitError(
            "train.cuda_graphs is on, and this run computes on the CPU", remedy="use train.cuda_graphs=false"
        )
    return Precision(device, name, settings.channels_last)


def choose_number_format(setting: Literal["auto", "fp32", "bf16"], device: torch.device) -> Literal["fp32", "bf16"]:
    """Return the number format a setting means on a device; ``auto`` is bf16 where that is faster."""
    if setting != "auto":
        return setting
    return "bf16" if multiplies_faster_in_bf16(device) else "fp32"


def multiplies_faster_in_bf16(device: torch.device) -> bool:
    """Return whether convolutions are faster in bf16 than in fp32 on a device.

    On x86 that takes AMX. The older AVX512 instructions for bf16 do not suffice: they multiply no faster, and every
    tensor is converted before and after.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    # ``bf16`` is what ARM processors call theirs.
    return bool(capabilities.get("amx_bf16") or capabilities.get("bf16"))


def checkpointed(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function and keep its arguments for the backward pass, in place of what it computes on the way.

    The numbers are the same, bit for bit, and can be differentiated again.
    """
    if not torch.is_grad_enabled():
        return function(*arguments)
    # Parts that may be computed again draw nothing at random, so there is no random state to put back.
    return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)


def recompute_activations(model: nn.Module, how: Recompute = checkpointed) -> list[str]:
    """Let the networks of a model, and the modules in them, call the parts that may be computed again by ``how``.

    Returns:
        a warning of each network that has no such parts, and keeps all its activations.
    """
    warnings = []
    for name, network in model.named_children():
        parts = [module for module in network.modules() if isinstance(module, Recomputable)]
        for part in parts:
            part.recompute = how
        if not parts:
            warnings.append(
                f"train.activation_checkpointing: the {name.replace('_', ' ')} keeps all its activations; it does not "
                "say what may be computed again"
            )
    return warnings
