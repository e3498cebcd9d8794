"""Convolutions of class ids, without the one-hot planes.

Of one-hot planes a convolution adds up, for each place of its kernel, the weights of the class that lies there. On CPUs
looking these rows up takes a fifth of the time of the convolution in fp32, in which all but one class in 19 is a
multiplication by zero.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from .convolution import ReflectedConvolution, autocast_type
from .functions import on_cpu
from .planes import one_hot, planes_of
from .reflection import reflect
from .torch_gradients import torch_gradients

TABLE_NUMBERS = 1 << 20
"""Up to so many numbers, which stay in the processor's cache, a table has a row for every pair of neighbours."""

PLACES_AT_ONCE = 1 << 15
"""So many places of a picture are looked up at a time: what is looked for takes as much memory as the result."""


class MaskConvolution(ReflectedConvolution):
    """A convolution with reflection padding that reads a mask: the first layer of a network that paints one.

    Args:
        inputs: classes of the mask, or channels of planes.
        outputs: channels of the result.
        kernel: side of the kernel, odd.

    Raises:
        ValueError: the kernel is even.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int) -> None:
        if kernel % 2 == 0:
            raise ValueError(f"a convolution that keeps height and width has an odd kernel, not {kernel}")
        super().__init__(inputs, outputs, kernel=kernel)

    def forward(self, mask: Tensor) -> Tensor:
        """N,H,W class ids in [0, inputs), or planes N,inputs,H,W, to N,outputs,H,W.

        Raises:
            IndexError: an id is out of range, on the CPU.
        """
        if mask.dim() == 4:
            return super().forward(mask)
        if not on_cpu(mask):
            return super().forward(one_hot(mask, classes=self.in_channels, weight=self.weight))
        dtype = autocast_type(mask.device) or self.weight.dtype
        found = cast("Tensor", _ConvolutionOfIds.apply(mask, self.weight, self.bias, dtype))
        return found if self.weight.is_contiguous(memory_format=torch.channels_last) else found.contiguous()


class _ConvolutionOfIds(torch.autograd.Function):
    """The reflected convolution of one-hot planes; its gradients are torch's own, of planes made on the way back."""

    @staticmethod
    def forward(ctx: Any, mask: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(mask, weight)
        return look_up(mask, weight, bias, dtype=dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor | None, Tensor | None, None]:
        mask, weight = ctx.saved_tensors
        _, inputs, _, kernel = weight.shape
        planes = reflect(planes_of(mask, classes=inputs, dtype=gradient.dtype), (kernel - 1) // 2)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        wanted = (False, *ctx.needs_input_grad[1:3])
        _, of_weight, of_bias = torch_gradients(gradient, planes, weight, stride=1, padding=0, wanted=wanted)
        return None, of_weight, of_bias, None


def look_up(mask: Tensor, weight: Tensor, bias: Tensor | None, *, dtype: torch.dtype) -> Tensor:
    """Convolve the one-hot planes of a mask, reflected at its borders, with a square kernel of odd size.

    Args:
        mask: class ids N,H,W in [0, inputs).
        weight: outputs, inputs, k, k.
        bias: outputs; None for none.
        dtype: of the result; sums are in the type of ``weight``, or fp32 if that is narrower.

    Returns:
        N,outputs,H,W in channels-last order.
    """
    outputs, classes, _, kernel = weight.shape
    together = 2 if kernel * (kernel + 1) // 2 * classes**2 * outputs <= TABLE_NUMBERS else 1
    table = _table(weight, bias, together=together)
    groups, choices = table.shape[1:3]
    # Rows of the identity are the ids, but of one out of range there is none. Only floating point is reflected.
    ids = torch.arange(classes, dtype=torch.float32, device=mask.device).index_select(0, mask.long().flatten())
    around = reflect(ids.view(len(mask), 1, *mask.shape[1:]), (kernel - 1) // 2)
    codes = F.pad(around, (0, groups * together - kernel)).to(torch.int32)[:, 0]
    if together == 2:
        codes = codes[..., :-1] * classes + codes[..., 1:]
    seen = codes.unfold(1, kernel, 1).unfold(2, together * (groups - 1) + 1, 1)[..., ::together]
    rows_of_table = table.flatten(0, 2)
    first_rows = torch.arange(0, len(rows_of_table), choices, dtype=torch.int32, device=mask.device)
    first_rows = first_rows.view(kernel, groups)
    count, height, width = mask.shape
    found = torch.empty(count, height, width, outputs, dtype=dtype, device=mask.device)
    rows = max(1, PLACES_AT_ONCE // width)
    for picture, windows in zip(found, seen, strict=True):
        for band, part in zip(picture.split(rows), windows.split(rows), strict=True):
            wanted = (part + first_rows).reshape(-1, kernel * groups)
            band.copy_(F.embedding_bag(wanted, rows_of_table, mode="sum").view_as(band))
    return found.permute(0, 3, 1, 2)


def _table(weight: Tensor, bias: Tensor | None, *, together: int) -> Tensor:
    """Return what to add for whatever may lie in each group of ``together`` neighbours of a kernel's row.

    The kernel's width is filled up with zeros. The bias is in the first group, which every place meets once.

    Returns:
        rows of the kernel, groups of a row, classes or pairs of classes, outputs.
    """
    weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
    kernel = weight.shape[-1]
    taps = F.pad(weight.permute(2, 3, 1, 0), (0, 0, 0, 0, 0, -kernel % together))
    taps = taps.unflatten(1, (-1, together))
    table = (taps[:, :, 0, :, None] + taps[:, :, 1, None]).flatten(2, 3) if together == 2 else taps[:, :, 0]
    table = table.clone(memory_format=torch.contiguous_format)  # never the weight itself, which the bias would change
    if bias is not None:
        table[0, 0] += bias
    return table
