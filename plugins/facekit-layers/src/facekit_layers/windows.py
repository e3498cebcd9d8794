"""Windows of a picture: those that the kernel of a convolution looks through, one after the other."""

from __future__ import annotations

import torch
from torch import Tensor


def add_windows(windows: Tensor, *, sides: tuple[int, int], stride: int, padding: int) -> Tensor:
    """Add up windows where they lie in a picture, in fp32.

    Args:
        windows: k,k,N,h,w,C, for every place of a kernel what lies there in each of the h times w windows.
        sides: height and width of the picture.
        stride: from one window to the next.
        padding: how far the first windows begin outside the picture.

    Returns:
        N,C,*sides in channels-last order, float32; what lies outside is gone.
    """
    height, width = sides
    kernel, _, count, *places, channels = windows.shape
    down, across = (stride * (places_of_side - 1) + 1 for places_of_side in places)
    total = windows.new_zeros(count, height + 2 * padding, width + 2 * padding, channels, dtype=torch.float32)
    for row in range(kernel):
        for column in range(kernel):
            total[:, row : row + down : stride, column : column + across : stride] += windows[row, column]
    return total[:, padding : padding + height, padding : padding + width].permute(0, 3, 1, 2)
