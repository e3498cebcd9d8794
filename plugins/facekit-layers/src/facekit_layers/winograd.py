"""3x3 convolutions by Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, CVPR 2016).

Four neighbouring places take 16 multiplications for each input and output channel in place of 36. Tiles of 4x4 pixels,
two apart, and weights are each brought into 16 numbers; these are multiplied, as 16 products of matrices, and brought
back. The backward pass is the transpose of each step. In fp32 the results are as exact as those of the plain sum; in
bf16 the sums on the way would be rounded once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor

_TILES = torch.tensor([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], dtype=torch.float32)
_WEIGHTS = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=torch.float32)
_PLACES = torch.tensor([[1, 1, 1, 0], [0, 1, -1, -1]], dtype=torch.float32)

# Of pixels to the 16 numbers of a tile, of weights to theirs, and of products to the four places; both ways at once.
TILES, WEIGHTS, PLACES = (torch.kron(each, each) for each in (_TILES, _WEIGHTS, _PLACES))

MANY_CHANNELS, MANY_PLACES = 256, 256
"""With fewer channels, going in or out, or fewer places of a batch there is less to multiply than to transform."""

OUTPUTS_AT_ONCE = 128
"""Number of output channels whose weights are transformed per chunk."""


def fits(features: Tensor, weight: Tensor) -> bool:
    """Return whether a convolution with stride 1, and without padding, is faster so: 3x3 in fp32, channels-last, with
    many channels and places, and even sides."""
    layout = torch.channels_last
    height, width = (side - 2 for side in features.shape[2:])
    return (
        weight.shape[-1] == 3
        and min(weight.shape[:2]) >= MANY_CHANNELS
        and len(features) * height * width >= MANY_PLACES
        and features.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled(features.device.type)
        and height % 2 == width % 2 == 0
        and features.is_contiguous(memory_format=layout)
        and weight.is_contiguous(memory_format=layout)
    )


def convolve(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve N,inputs,H,W with outputs,inputs,3,3 to N,outputs,H-2,W-2."""
    return cast("Tensor", _Convolution.apply(features, weight, bias))


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, weight)
        tiles, (count, down, across) = _tiles(features)
        result = features.new_empty(count, down, 2, across, 2, len(weight))
        for part in _parts(weight):
            multiplied = torch.bmm(_transformed(weight[part]), tiles.transpose(1, 2))
            # 2, 2, outputs, N, h, w: the four places of each tile.
            places = _mixed(PLACES, multiplied).view(2, 2, -1, count, down, across)
            result[..., part] = places.permute(3, 4, 0, 5, 1, 2)
        result = result.view(count, 2 * down, 2 * across, -1)
        if bias is not None:
            result += bias
        return result.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        features, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled():  # the gradient is to be differentiated again, which torch's own can be
            how = [len(weight)], (1, 1), (0, 0), (1, 1), False, (0, 0), 1, wanted
            of_features, of_weight, of_bias = torch.ops.aten.convolution_backward(gradient, features, weight, *how)
            return of_features, of_weight, of_bias
        places = gradient.permute(0, 2, 3, 1)
        four = torch.stack([places[:, row::2, column::2] for row in range(2) for column in range(2)])
        multiplied = _mixed(PLACES.t(), four.flatten(1, 3))
        return (
            _features_gradient(features, multiplied, weight) if wanted[0] else None,
            _weight_gradient(features, multiplied, weight) if wanted[1] else None,
            gradient.sum((0, 2, 3)) if wanted[2] else None,
        )


def _features_gradient(features: Tensor, multiplied: Tensor, weight: Tensor) -> Tensor:
    count, inputs, height, width = features.shape
    tiles = features.new_zeros(16, multiplied.shape[1], inputs)
    for part in _parts(weight):
        tiles.baddbmm_(multiplied[..., part], _transformed(weight[part]))
    pixels = _mixed(TILES.t(), tiles).view(4, 4, count, height // 2 - 1, width // 2 - 1, inputs)
    total = features.new_zeros(count, height, width, inputs)
    for row in range(4):
        for column in range(4):
            total[:, row : row + height - 3 : 2, column : column + width - 3 : 2] += pixels[row, column]
    return total.permute(0, 3, 1, 2)


def _weight_gradient(features: Tensor, multiplied: Tensor, weight: Tensor) -> Tensor:
    tiles, _ = _tiles(features)
    outputs, inputs = weight.shape[:2]
    result = weight.new_empty(outputs, 9, inputs)
    for part in _parts(weight):
        sixteen = torch.bmm(multiplied[..., part].transpose(1, 2), tiles)
        result[part] = _mixed(WEIGHTS.t(), sixteen).transpose(0, 1)
    return result.view(outputs, 3, 3, inputs).permute(0, 3, 1, 2)


def _parts(weight: Tensor) -> Iterator[slice]:
    """Yield the outputs in parts: transformed weights, which are 16 ninths of all, never lie in memory as a whole."""
    for start in range(0, len(weight), OUTPUTS_AT_ONCE):
        yield slice(start, start + OUTPUTS_AT_ONCE)


def _tiles(features: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
    """Return the transformed tiles (16, N*h*w, inputs), and N, h, w."""
    pixels = features.permute(0, 2, 3, 1)
    height, width = (side - 3 for side in pixels.shape[1:3])
    cut = [pixels[:, row : row + height : 2, column : column + width : 2] for row in range(4) for column in range(4)]
    count, down, across, _ = cut[0].shape
    return _mixed(TILES, torch.stack(cut).flatten(1, 3)), (count, down, across)


def _transformed(weight: Tensor) -> Tensor:
    """outputs, inputs, 3, 3 to 16, outputs, inputs."""
    return (WEIGHTS @ weight.permute(0, 2, 3, 1).flatten(1, 2)).transpose(0, 1)


def _mixed(matrix: Tensor, tiles: Tensor) -> Tensor:
    """Multiply the first dimension of tiles by a small matrix."""
    return (matrix @ tiles.flatten(1)).unflatten(1, tiles.shape[1:])
