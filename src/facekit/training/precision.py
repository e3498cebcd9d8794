"""How a run computes: device, number format, memory layout, what is compiled or recorded, whether sums have a fixed
order, and which activations are computed again.

With activation checkpointing parts of the forward pass are computed again in the backward pass, and not kept until
then. Networks say which of their parts may be (``facekit.interfaces.Recomputable``); here is how.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from facekit.data.loader import unpack
from facekit.interfaces import FaceBatch, FacekitError, Recomputable, Recompute, map_tensors
from facekit.recipe.settings import TrainSettings

Module = TypeVar("Module", bound=nn.Module)

ENOUGH_STEPS, MANY_STEPS, MANY_PIXELS = 200, 2000, 2 * 1024**2
"""``auto`` records CUDA graphs in runs of so many steps or more; it compiles in those of many steps whose batches have
many pixels, which keep the device busy."""


@dataclass(frozen=True)
class Precision:
    """How the components of a model compute.

    Weights, gradients, moments and averages are fp32 always. With ``bf16`` the forward passes of networks run under
    autocast, and what losses see of it is float32 again; losses compute in fp32.

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

    @property
    def halves_weights(self) -> bool:
        """Whether networks compute with copies in bf16 of their weights. On a processor each pass casts them."""
        return self.name == "bf16" and self.device.type != "cpu"

    def place(self, module: Module) -> Module:
        """Return a module on the device, in the memory layout of the run."""
        module = module.to(self.device)
        return module.to(memory_format=torch.channels_last) if self.channels_last else module

    def place_batch(self, batch: FaceBatch) -> FaceBatch:
        """Return a batch, of pixels too, on the device, its photos in the memory layout of the run."""
        if self.device.type != "cpu":
            batch = batch.to(self.device)
        if batch.image.dtype == torch.uint8:
            batch = unpack(batch)
        if not self.channels_last:
            return batch
        placed = map_tensors(replace(batch, extra={}), _channels_last)
        return replace(placed, extra=batch.extra)


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


class HalfWeights(Generic[Module]):
    """Networks that compute with copies of their weights in bf16, cast once an update in place of once a pass.

    The weights of convolutions and dense layers, which autocast casts, have copies; all else is shared with the model:
    other weights, buffers and modes are one. The numbers of a pass are those of autocast. A weight that is used several
    times has the sum of its gradients in bf16, as in other trainings of mixed precision, and in fp32 from then on.

    Args:
        model: the model, placed; copies have its weights of now.
    """

    def __init__(self, model: Module) -> None:
        self.copies: dict[nn.Parameter, nn.Parameter] = {}
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
                own = [module._parameters.get(name) for name in ("weight", "bias")]
                for weight in own:
                    if weight is not None and weight.dtype == torch.float32:
                        self.copies[weight] = nn.Parameter(weight.detach().bfloat16(), requires_grad=False)
        shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
        copied = {id(weight): half for weight, half in self.copies.items()}
        self.model: Module = copy.deepcopy(model, {**shared, **copied})

    @torch.no_grad()
    def renew(self) -> None:
        """Write all weights into their copies, after others were loaded."""
        if self.copies:
            torch._foreach_copy_(list(self.copies.values()), list(self.copies))


@dataclass(frozen=True)
class Acceleration:
    """What is done to networks so that a step takes less time.

    Args:
        compile: they are compiled by ``torch.compile``.
        cuda_graphs: their kernels are recorded once and replayed.
        chosen: ``auto`` chose it, so a network that cannot be treated so is called as it is.
        why: what was chosen and why, in words; empty where there was nothing to choose.
    """

    compile: bool = False
    cuda_graphs: bool = False
    chosen: bool = False
    why: str = ""


def accelerate(settings: TrainSettings, device: torch.device, *, size: int, steps: int) -> Acceleration:
    """Return what the settings of a run, or ``auto`` in their place, do to its networks.

    Args:
        size: side of the images.
        steps: steps of the run.
    """
    compile, graphs = settings.compile is True, settings.cuda_graphs is True
    if compile or graphs:
        asked = [name for name, on in (("compiled", compile), ("CUDA graphs", graphs)) if on]
        return Acceleration(compile, graphs, why=f"{' and '.join(asked)}, as the recipe says")
    may_compile, may_record = settings.compile == "auto", settings.cuda_graphs == "auto"
    if device.type != "cuda" or not (may_compile or may_record):
        return Acceleration()
    if settings.activation_checkpointing:
        return Acceleration(why="no CUDA graphs, since train.activation_checkpointing is on")
    batch = f"{settings.batch} images of {size} pixels"
    if may_compile and settings.batch * size**2 >= MANY_PIXELS and steps >= MANY_STEPS:
        return Acceleration(compile=True, chosen=True, why=f"compiled, since {batch} a step keep the device busy")
    if may_record and steps >= ENOUGH_STEPS:
        why = f"CUDA graphs, since {batch} a step leave the device waiting for the processor"
        return Acceleration(cuda_graphs=True, chosen=True, why=why)
    return Acceleration(why=f"neither CUDA graphs nor compiled, since {steps} steps are too few to make up for it")


@contextmanager
def reproducible(device: torch.device, wanted: bool) -> Iterator[None]:
    """Compute with kernels that give the same numbers each time, while the context lasts; on CUDA only.

    Where torch has no such kernel for what a component does, it warns of it once and names it. What is not wanted to be
    reproducible is fast instead: cuDNN then times its convolutions and takes the fastest.

    Args:
        device: where the run computes. On the CPU, with the same number of threads, all kernels are repeatable.
        wanted: whether the numbers must be the same each time.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    memory: Any = torch.utils.deterministic  # the type stubs do not know its setting
    before = (cudnn.deterministic, cudnn.benchmark, memory.fill_uninitialized_memory)
    algorithms = (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled())
    if wanted:  # a workspace of fixed size, without which cuBLAS' products are not repeatable
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn.deterministic, cudnn.benchmark = wanted, not wanted
    # Filling every new tensor finds mistakes in kernels; it takes a pass over memory each.
    memory.fill_uninitialized_memory = False
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark, memory.fill_uninitialized_memory = before
        torch.use_deterministic_algorithms(algorithms[0], warn_only=algorithms[1])


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
    if settings.cuda_graphs is True and device.type != "cuda":
        raise FacekitError(
            "train.cuda_graphs is on, and this run computes on the CPU", remedy="use train.cuda_graphs=false"
        )
    return Precision(device, name, lies_channels_last(settings.channels_last, device))


def lies_channels_last(setting: Literal["auto", True, False], device: torch.device) -> bool:
    """Return whether images and weights lie channels-last on a device; ``auto`` is where layers are fast so."""
    return device.type == "cpu" if setting == "auto" else setting


def choose_number_format(setting: Literal["auto", "fp32", "bf16"], device: torch.device) -> Literal["fp32", "bf16"]:
    """Return the number format a setting means on a device; ``auto`` is bf16 where that is faster.

    On x86 convolutions are faster so with AMX. The older AVX512 instructions for bf16 do not suffice: they multiply no
    faster, and every tensor is converted before and after.
    """
    if setting != "auto":
        return setting
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    # ``bf16`` is what ARM processors call theirs.
    return "bf16" if capabilities.get("amx_bf16") or capabilities.get("bf16") else "fp32"


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
