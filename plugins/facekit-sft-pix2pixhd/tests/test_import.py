"""MaskGAN's released generator becomes the published form of this plugin, or is refused in words."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Condition, FacekitError, LabelClass, LabelMap, PortContext, Style
from facekit.testing import ImportContract, assert_equals, golden_tensors, imported_network, imported_weights
from facekit_sft_pix2pixhd.command import import_maskgan
from facekit_sft_pix2pixhd.official_layout import convert
from facekit_sft_pix2pixhd.plugin import facekit_components

PARITY = Path(__file__).resolve().parents[4] / "shared" / "parity"
CLASSES = 19
LABELS = LabelMap("faces", tuple(LabelClass(f"class_{index}", (index, 0, 0)) for index in range(CLASSES)))
SPECS = {spec.id: spec for spec in facekit_components()}


# --- the published network, with the names of the official checkpoint -----------------------------


class Wrapped(nn.Module):
    """A convolution called ``conv``, reflection-padded."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.pad = (kernel - 1) // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(F.pad(features, (self.pad,) * 4, mode="reflect"))


class Adaptive(Wrapped):
    """A convolution with adaptive instance norm, whose running statistics nothing uses."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3)
        self.norm = nn.Module()
        self.norm.register_buffer("running_mean", torch.zeros(channels))
        self.norm.register_buffer("running_var", torch.ones(channels))

    def adapt(self, features: Tensor, style: Tensor) -> Tensor:
        shift, scale = style[:, :, None, None].chunk(2, dim=1)
        return F.instance_norm(self.forward(features)) * scale + shift


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.ModuleList([Adaptive(channels), Adaptive(channels)])

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        first, second = style.chunk(2, dim=1)
        hidden = F.relu(self.conv_block[0].adapt(features, first))
        return features + self.conv_block[1].adapt(hidden, second)


class Sft(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name in ("scale_conv1", "scale_conv2", "shift_conv1", "shift_conv2"):
            setattr(self, f"SFT_{name}", nn.Conv2d(64, 64, 1))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        scale = self.SFT_scale_conv2(F.leaky_relu(self.SFT_scale_conv1(labels), 0.1))
        shift = self.SFT_shift_conv2(F.leaky_relu(self.SFT_shift_conv1(labels), 0.1))
        return features * scale + shift


class Encoder(nn.Module):
    """``enc_style`` with a head and transforms, ``enc_label`` without."""

    def __init__(self, inputs: int, outputs: int | None = None) -> None:
        super().__init__()
        self.model = nn.ModuleList([Wrapped(inputs, 16, 7), Wrapped(16, 32, 4, 2), Wrapped(32, 64, 4, 2)])
        further = [Wrapped(64, 64, 4, 2) for _ in range(3)]
        if outputs is None:
            self.model_last = nn.ModuleList([nn.ReLU(), *further])
        else:
            self.model_middle = nn.ModuleList(further)
            self.model_last = nn.ModuleList([nn.AdaptiveAvgPool2d(1), nn.Conv2d(64, outputs, 1)])
            self.sft1, self.sft2 = Sft(), Sft()

    def labels(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.model[2](F.relu(self.model[1](F.relu(self.model[0](planes)))))
        coarse = fine
        for convolution in self.model_last[1:]:
            coarse = convolution(F.relu(coarse))
        return fine, coarse

    def style(self, photo: Tensor, fine: Tensor, coarse: Tensor) -> Tensor:
        features = photo
        for convolution in self.model:
            features = F.relu(convolution(features))
        features = self.sft1(features, fine)
        for convolution in self.model_middle:
            features = F.relu(convolution(features))
        pool, head = self.model_last
        return head(pool(self.sft2(features, coarse))).flatten(1)


class Official(nn.Module):
    def __init__(self, *, filters: int = 4, downsamplings: int = 2, blocks: int = 2, classes: int = CLASSES) -> None:
        super().__init__()
        plan: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(classes, filters, 7)]
        plan += [nn.InstanceNorm2d(filters), nn.ReLU()]
        widths = [filters * 2**level for level in range(downsamplings + 1)]
        for wide, wider in pairwise(widths):
            plan += [nn.Conv2d(wide, wider, 3, 2, 1), nn.InstanceNorm2d(wider), nn.ReLU()]
        plan += [Block(widths[-1]) for _ in range(blocks)]
        for narrow in reversed(widths[:-1]):
            plan += [nn.ConvTranspose2d(2 * narrow, narrow, 3, 2, 1, 1), nn.InstanceNorm2d(narrow), nn.ReLU()]
        plan += [nn.ReflectionPad2d(3), nn.Conv2d(filters, 3, 7), nn.Tanh()]
        self.model = nn.ModuleList(plan)
        self.enc_style = Encoder(3, blocks * 4 * widths[-1])
        self.enc_label = Encoder(classes)

    def forward(self, mask: Tensor, photo: Tensor, photo_mask: Tensor) -> Tensor:
        style = self.enc_style.style(photo, *self.enc_label.labels(planes(photo_mask)))
        blocks = [layer for layer in self.model if isinstance(layer, Block)]
        styles = iter(style.chunk(len(blocks), dim=1))
        features = planes(mask)
        for layer in self.model:
            features = layer(features, next(styles)) if isinstance(layer, Block) else layer(features)
        return features


def planes(mask: Tensor) -> Tensor:
    return F.one_hot(mask, CLASSES).permute(0, 3, 1, 2).float()


def randomised(**options: int) -> Official:
    """Weights large enough that every layer matters to the result."""
    torch.manual_seed(0)
    network = Official(**options)
    with torch.no_grad():
        for parameter in network.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 16
            parameter.copy_(torch.randn(parameter.shape) * (2 / fan_in) ** 0.5)
    return network


def build(found: dict[str, dict[str, object]], size: int = 64) -> tuple[nn.Module, nn.Module]:
    """Style encoder and generator, built as a recipe would."""
    made = []
    for name in ("style_encoder", "generator"):
        spec = SPECS[str(found[name]["component"])]
        options = spec.options(**found[name]["options"])  # type: ignore[arg-type]
        assert spec.ports(options, PortContext(size=size))
        made.append(spec.build(options, BuildContext(LABELS, (), size)))
    return made[0], made[1]


def networks(official: Official, size: int = 64) -> tuple[nn.Module, nn.Module]:
    converted = convert(official.state_dict())
    encoder, generator = build({each.network: each.document() for each in converted}, size)
    generator.load_state_dict(dict(converted[0].tensors))
    encoder.load_state_dict(dict(converted[1].tensors))
    return encoder.eval(), generator.eval()


def masks(seed: int, size: int = 64) -> Tensor:
    coarse = torch.randint(0, CLASSES, (2, 1, 8, 8), generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse.float(), size=(size, size)).long()[:, 0]


# --- the same results -----------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"downsamplings": 3, "blocks": 1, "filters": 2}])
def test_it_generates_the_same_images_with_the_same_gradients(options: dict[str, int]) -> None:
    official = randomised(**options)
    encoder, generator = networks(official)
    inputs = [(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3)) * 2 - 1) for _ in "ab"]
    ours, theirs = (each.requires_grad_() for each in inputs)
    style: Style = encoder(ours, masks(2))
    results = [generator(Condition(masks(1)), style).image, official(masks(1), theirs, masks(2))]
    assert float(results[1].detach().std()) > 0.1
    assert_equals(results[0].detach(), results[1].detach())
    projection = torch.randn(results[0].shape, generator=torch.Generator().manual_seed(1))
    weights = [
        [ours, encoder.labels.stem.weight, encoder.fine_sft.gamma_hidden.weight, generator.blocks[0].second.weight],
        [
            theirs,
            official.enc_label.model[0].conv.weight,
            official.enc_style.sft1.SFT_scale_conv1.weight,
            next(layer for layer in official.model if isinstance(layer, Block)).conv_block[1].conv.weight,
        ],
    ]
    gradients = [torch.autograd.grad((each * projection).sum(), of) for each, of in zip(results, weights, strict=True)]
    for found, expected in zip(*gradients, strict=True):
        assert_equals(found, expected, 1e-3)


@torch.no_grad()
def test_golden_tensors_of_the_official_network_pass_through_the_command(tmp_path: Path) -> None:
    weights, inputs, outputs = golden_tensors(PARITY / "maskgan_generator.safetensors")
    document = imported_weights(import_maskgan, weights, tmp_path)
    encoder, generator = (
        imported_network(document, name, BuildContext(LABELS, (), 64)) for name in ("style_encoder", "generator")
    )
    style = encoder(inputs["reference_image"], inputs["reference_mask"])
    assert_equals(generator(Condition(inputs["mask"]), style).image, outputs["image"])


def test_the_released_network_has_89_702_595_parameters() -> None:
    with torch.device("meta"):
        state = Official(filters=64, downsamplings=4, blocks=4).state_dict()
    # Tensors without storage pass through the conversion but for the look at their numbers.
    zeros = {name: torch.zeros((), dtype=each.dtype).expand(each.shape) for name, each in state.items()}
    found = convert(zeros)
    assert [each.parameters for each in found] == [88_111_363, 1_338_464 + 252_768]
    assert sum(each.parameters for each in found) == 89_702_595


# --- files of other networks ----------------------------------------------------------------------


def changed(name: str, tensor: Tensor | None) -> dict[str, Tensor]:
    rest = {key: value for key, value in Official().state_dict().items() if key != name}
    return rest if tensor is None else rest | {name: tensor}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "no name in it begins with"),
        ({"model.1.weight": torch.zeros(4, 19, 7, 7)}, "no name in it begins with"),
        ({key: each for key, each in Official().state_dict().items() if "conv_block" not in key}, "0 residual blocks"),
        (changed("model.1.bias", None), "has no 'model.1.bias'"),
        (changed("model.4.weight", torch.zeros(9, 4, 3, 3)), r"\(9, 4, 3, 3\)"),
        (changed("enc_style.sft1.SFT_scale_conv1.bias", None), "has no 'enc_style.sft1.SFT_scale_conv1.bias'"),
        (changed("enc_label.model.3.conv.weight", torch.zeros(1)), "has 'enc_label.model.3.conv.weight'"),
        (changed("enc_style.model_last.1.bias", torch.zeros(7)), r"\(7,\)"),
        (changed("model.1.weight", torch.zeros(4)), r"has the shape \(4,\)"),
    ],
)
def test_other_layouts_are_refused_in_words(state: dict[str, Tensor], message: str) -> None:
    with pytest.raises(FacekitError, match=message):
        convert(state)


class TestImport(ImportContract):
    command = import_maskgan
    line = "{use: sft_style, sft: published, init: published, planes: one_hot, style_dim: 128, "

    def state(self) -> dict[str, Tensor]:
        return dict(Official().state_dict())
