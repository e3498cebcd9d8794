"""Convolutions of class ids give what the same convolutions of one-hot planes give."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from facekit_layers import MaskConvolution, ReflectedConvolution, mask_convolution

CLASSES = 5


def some_mask(count: int = 2, height: int = 8, width: int = 8) -> Tensor:
    return torch.randint(CLASSES, (count, height, width), generator=torch.Generator().manual_seed(1))


def planes_of(mask: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    return F.one_hot(mask, CLASSES).permute(0, 3, 1, 2).to(dtype)


def layer(*, kernel: int = 7, bias: bool = True, dtype: torch.dtype = torch.float64) -> MaskConvolution:
    torch.manual_seed(0)
    made = MaskConvolution(CLASSES, 6, kernel=kernel).to(dtype=dtype, memory_format=torch.channels_last)
    if not bias:
        made.bias = None
    return made


def plainly(layer: MaskConvolution, planes: Tensor) -> Tensor:
    width = layer.kernel_size[0] // 2
    return F.conv2d(F.pad(planes, (width,) * 4, mode="reflect"), layer.weight, layer.bias)


@pytest.fixture(params=["pairs", "single"])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "single":
        monkeypatch.setattr(mask_convolution, "TABLE_NUMBERS", 0)


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("places", [1, 20, 1 << 15])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_ids_give_what_planes_give(kernel: int, bias: bool, places: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_convolution, "PLACES_AT_ONCE", places)
    made, mask = layer(kernel=kernel, bias=bias), some_mask(height=10, width=7)
    found, wanted = made(mask), plainly(made, planes_of(mask))
    torch.testing.assert_close(found, wanted)
    slopes = torch.linspace(-1, 1, found.numel(), dtype=torch.float64).view_as(found)
    for one, other in zip(
        torch.autograd.grad((found * slopes).sum(), list(made.parameters())),
        torch.autograd.grad((wanted * slopes).sum(), list(made.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_gradients_can_be_differentiated_again() -> None:
    made, mask = layer(), some_mask()

    def penalty(found: Tensor) -> Tensor:
        (first,) = torch.autograd.grad(found.square().sum(), made.weight, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), made.weight)
        return second

    torch.testing.assert_close(penalty(made(mask)), penalty(plainly(made, planes_of(mask))))


@pytest.mark.usefixtures("table")
def test_bf16_rounds_once() -> None:
    made, mask = layer(dtype=torch.float32), some_mask()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = made(mask)
    assert found.dtype == torch.bfloat16
    exact = plainly(copy.deepcopy(made).double(), planes_of(mask))
    assert ((found.double() - exact).abs() <= exact.abs() * 2**-8 + 1e-6).all()
    (of_weight,) = torch.autograd.grad(found.float().square().sum(), made.weight)
    (wanted,) = torch.autograd.grad(plainly(made, planes_of(mask, torch.float32)).square().sum(), made.weight)
    assert of_weight.dtype == torch.float32
    assert float((of_weight - wanted).norm() / wanted.norm()) < 0.01


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_the_result_lies_as_the_weights_do(memory_format: torch.memory_format) -> None:
    made = layer(dtype=torch.float32).to(memory_format=memory_format)
    assert made(some_mask()).is_contiguous(memory_format=memory_format)


def test_planes_and_weights_of_a_reflected_convolution_are_taken() -> None:
    made, mask = layer(), some_mask()
    plain = ReflectedConvolution(CLASSES, 6, kernel=7).double()
    plain.load_state_dict(made.state_dict())
    assert torch.equal(made(planes_of(mask)), plain(planes_of(mask)))


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="odd kernel, not 4"):
        MaskConvolution(CLASSES, 6, kernel=4)


@pytest.mark.parametrize("wrong", [-1, CLASSES, 255])
def test_an_id_out_of_range_is_not_read_as_something_else(wrong: int) -> None:
    mask = some_mask()
    mask[1, 3, 4] = wrong
    with pytest.raises(IndexError, match="out of range"):
        layer()(mask)


@pytest.mark.usefixtures("table")
def test_shapes_are_known_without_numbers() -> None:
    with FakeTensorMode():
        made = MaskConvolution(CLASSES, 6, kernel=7)
        found = made(torch.zeros(2, 8, 8, dtype=torch.int64))
        found.sum().backward()
    assert found.shape == (2, 6, 8, 8)
    assert made.weight.grad is not None


def test_compiled_code_gives_the_same() -> None:
    made, mask = layer(dtype=torch.float32), some_mask()
    compiled = torch.compile(made, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(mask), made(mask))
