"""Each network by itself: structure, stems, widths, and its forward pass written a second time."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from oracle import images, on_meta, parameters, randomised, theirs_on_meta, walk
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu.models import (
    BasicBlock,
    Bottleneck,
    CifarNet,
    DeepLayer,
    GoogLeNet,
    GoogLeNetOutputs,
    LeNet5,
    PadShortcut,
    PlainBlock,
    PreActBlock,
    ResidualBlock,
    ResNet,
    deep_net,
    replace_head,
)
from resnet_edu.models.googlenet import INCEPTIONS
from resnet_edu.models.resnet import conv3x3


def shapes(name: str, side: int, **options: object) -> dict[str, tuple[int, ...]]:
    """The shape each module puts out for images of that side, without memory."""
    return walk(on_meta(name, **options), torch.empty(1, 3, side, side, device="meta")).shapes


@pytest.mark.parametrize(
    ("name", "options", "counts"),
    [
        ("alexnet", {}, (5, 0, 7)),
        ("alexnet", {"activation": "tanh"}, (5, 0, 0)),
        ("vgg11", {}, (8, 0, 10)),
        ("vgg19_bn", {}, (16, 16, 18)),
        ("googlenet", {}, (57, 57, 57)),
        *((f"resnet{depth}", {}, (depth + 2, depth + 2, depth - 1)) for depth in (18, 34)),
        *((f"resnet{depth}", {}, (depth + 3, depth + 3, depth - 1)) for depth in (50, 101, 152, 200)),
        ("plain20", {}, (19, 19, 19)),
        ("resnet20", {"shortcut": "A"}, (19, 19, 19)),
        ("resnet20", {"shortcut": "B"}, (21, 21, 19)),
        ("resnet20", {"shortcut": "C"}, (28, 28, 19)),
    ],
)
def test_convolutions_batch_norms_and_relus(name: str, options: dict[str, Any], counts: tuple[int, ...]) -> None:
    modules = list(on_meta(name, **options).modules())
    assert tuple(sum(isinstance(m, kind) for m in modules) for kind in (nn.Conv2d, nn.BatchNorm2d, nn.ReLU)) == counts


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("alexnet", "features.0.weight"),
        ("vgg13_bn", "classifier.0.weight"),
        ("googlenet", "conv1.conv.weight"),
        ("resnet18", "conv1.weight"),
    ],
)
def test_the_small_stem_differs_in_one_weight(name: str, other: str) -> None:
    big, small = on_meta(name).state_dict(), on_meta(name, stem="small").state_dict()
    assert [*big] == [*small]
    assert [key for key in big if big[key].shape != small[key].shape] == [other]


@pytest.mark.parametrize(
    ("name", "stem", "side", "layers"),
    [
        ("alexnet", "small", 28, {"features": (256, 6, 6)}),
        ("vgg11", "small", 28, {"features": (512, 1, 1), "avgpool": (512, 1, 1)}),
        ("vgg11", "small", 64, {"features": (512, 4, 4), "avgpool": (512, 1, 1)}),
        ("googlenet", "small", 28, {"inception3a": (256, 28, 28), "inception5b": (1024, 7, 7)}),
        ("resnet34", "small", 28, {"conv1": (64, 28, 28), "layer1": (64, 28, 28), "layer4": (512, 4, 4)}),
        ("resnet50", "small", 32, {"layer1": (256, 32, 32), "layer2": (512, 16, 16), "layer4": (2048, 4, 4)}),
        ("resnet56", None, 32, {"layer1": (16, 32, 32), "layer2": (32, 16, 16), "layer3": (64, 8, 8)}),
    ],
)
def test_shapes_on_the_way(name: str, stem: str | None, side: int, layers: dict[str, tuple[int, ...]]) -> None:
    seen = shapes(name, side, **({"stem": stem} if stem else {}))
    assert {layer: seen[layer][1:] for layer in layers} == layers


@pytest.mark.parametrize("name", ["alexnet", "vgg11_bn", "googlenet", "resnet50", "plain20"])
def test_width_scales_every_layer_but_input_and_logits(name: str) -> None:
    half = 8 if name == "plain20" else 32
    full, narrow = on_meta(name).state_dict(), on_meta(name, width=half).state_dict()
    last = [*full][-1].rpartition(".")[0]
    for key, value in full.items():
        grid = value[0, 0].numel() if value.ndim == 4 else 1
        scaled = value.numel() // grid
        if value.ndim > 1:
            scaled //= 1 if key.startswith(last) or value.shape[1] == 3 else 2
        assert narrow[key].numel() // grid == (scaled if key == f"{last}.bias" or value.ndim == 0 else scaled // 2), key


# LeNet-5


@pytest.mark.parametrize("version", ["1998", "modern"])
def test_lenets_logits_equal_the_expression(version: str) -> None:
    act, pool = (torch.tanh, F.avg_pool2d) if version == "1998" else (torch.relu, F.max_pool2d)
    model = LeNet5(version=version)  # type: ignore[arg-type]
    w = model.state_dict()
    x = images(4, 1, 32, 32)
    expected = pool(act(F.conv2d(x, w["conv1.weight"], w["conv1.bias"])), 2)
    expected = pool(act(F.conv2d(expected, w["conv2.weight"], w["conv2.bias"])), 2)
    expected = act(expected.reshape(4, 400) @ w["conv3.weight"].reshape(120, 400).T + w["conv3.bias"])
    expected = act(expected @ w["fc1.weight"].T + w["fc1.bias"])
    expected = expected @ w["fc2.weight"].T + w["fc2.bias"]
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-6)
    assert parameters(model) == 61_706


@pytest.mark.parametrize(("height", "width"), [(28, 28), (32, 31), (64, 64), (1, 32)])
def test_lenet_takes_32_pixels_and_no_others(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=rf"shape \(1, 1, {height}, {width}\), but takes 32×32.*size=32"):
        on_meta("lenet5", in_channels=1)(torch.empty(1, 1, height, width, device="meta"))


# GoogLeNet


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, nn.Module]:
    """Ours and torchvision's with auxiliary heads, the same random weights, dropout off."""
    theirs = randomised(theirs_on_meta("googlenet", aux_logits=True, num_classes=10))
    ours = on_meta("googlenet", aux_heads=True, num_classes=10)
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    for model in (ours, theirs):
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    return ours, theirs


def test_googlenets_three_outputs_in_training_are_torchvisions(pair: tuple[nn.Module, nn.Module]) -> None:
    x = images(3, 3, 64, 64)
    ours, theirs = (model.train()(x) for model in pair)
    assert isinstance(ours, GoogLeNetOutputs)
    assert ours._fields == theirs._fields
    for got, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    ours, theirs = (model.eval()(x) for model in pair)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_transform_input_equals_torchvisions() -> None:
    theirs = randomised(theirs_on_meta("googlenet", transform_input=True, num_classes=10)).eval()
    x = images(2, 3, 64, 64)
    logits = []
    for transform_input in (True, False):
        ours = on_meta("googlenet", transform_input=transform_input, num_classes=10).eval()
        ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
        logits.append(ours(x))
    torch.testing.assert_close(logits[0], theirs(x), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(logits[0], logits[1], rtol=1e-3)


def test_one_inception_feeds_the_next() -> None:
    outputs = [one + three + five + pool for _, one, _, three, _, five, pool in INCEPTIONS.values()]
    assert outputs == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    assert [block[0] for block in INCEPTIONS.values()] == [192, *outputs[:-1]]


def test_auxiliary_heads_are_replaced_too_and_shorten_the_way_of_the_gradient() -> None:
    model = GoogLeNet(stem="small", width=8, in_channels=1, aux_heads=True).train()
    replace_head(model, {"digit": 10, "parity": 2})
    out = model(images(4, 1, 28, 28))
    for logits in out:
        assert {name: value.shape for name, value in logits.items()} == {"digit": (4, 10), "parity": (4, 2)}
    out.aux_logits1["digit"].sum().backward()
    touched = {key.split(".")[0] for key, value in model.named_parameters() if value.grad is not None}
    assert touched == {"conv1", "conv2", "conv3", "inception3a", "inception3b", "inception4a", "aux1"}


# Blocks and nets with shortcuts


@pytest.mark.parametrize("block", [BasicBlock(4, 4), Bottleneck(16, 4), ResidualBlock(4, 4)])
def test_a_zeroed_branch_leaves_the_identity_and_a_plain_block_nothing(block: Any) -> None:
    nn.init.zeros_((block.bn3 if isinstance(block, Bottleneck) else block.bn2).weight)
    x = images(2, block.conv1.in_channels, 6, 6)
    assert block(x).equal(x.relu())
    plain = PlainBlock(4, 4)
    nn.init.zeros_(plain.bn2.weight)
    assert not plain(images(2, 4, 6, 6)).any()


@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck])
@given(channels=st.integers(1, 5), stride=st.integers(1, 2), side=st.integers(1, 9))
@settings(deadline=None, max_examples=20)
def test_blocks_keep_or_halve_the_side(kind: Any, channels: int, stride: int, side: int) -> None:
    block = kind(3, channels, stride).eval()
    assert block(torch.zeros(1, 3, side, side)).shape == (1, channels * kind.expansion, *[-(-side // stride)] * 2)
    assert (block.downsample is None) == (stride == 1 and channels * kind.expansion == 3)


def test_he_initialisation_keeps_the_variance() -> None:
    torch.manual_seed(0)
    model = ResNet(BasicBlock, (1, 1, 1, 1))
    for key, weight in model.named_parameters():
        if weight.ndim == 4:
            fan_out = weight.shape[0] * weight[0, 0].numel()
            assert weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1), key


def batch_norm(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    mean, var, scale, shift = (w[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, scale, shift)


def functional_cifar_net(w: dict[str, Tensor], x: Tensor, *, depth: int, residual: bool) -> Tensor:
    """The net in evaluation mode, from its weights alone; option A or B by what the weights hold."""

    def conv_norm(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        x = F.conv2d(x, w[f"{conv}.weight"], stride=stride, padding=w[f"{conv}.weight"].shape[-1] // 2)
        return batch_norm(w, norm, x)

    x = conv_norm(x, "conv1", "bn1").relu()
    for stage in (1, 2, 3):
        for block in range((depth - 2) // 6):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = conv_norm(x, f"{name}.conv1", f"{name}.bn1", stride).relu()
            y = conv_norm(y, f"{name}.conv2", f"{name}.bn2")
            if residual and f"{name}.shortcut.0.weight" in w:
                y = y + conv_norm(x, f"{name}.shortcut.0", f"{name}.shortcut.1", stride)
            elif residual and stride == 2:
                quarter = y.shape[1] // 4  # the lambda that public implementations of option A write
                y = y + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, quarter, quarter), "constant", 0)
            elif residual:
                y = y + x
            x = y.relu()
    return x.mean((2, 3)) @ w["linear.weight"].T + w["linear.bias"]


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
@pytest.mark.parametrize("side", [32, 15])
def test_cifar_nets_equal_the_functional_writing(residual: bool, shortcut: str, side: int) -> None:
    model = randomised(CifarNet(14, residual=residual, shortcut=shortcut)).eval()  # type: ignore[arg-type]
    x = images(3, 3, side, side)
    expected = functional_cifar_net(model.state_dict(), x, depth=14, residual=residual)
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)
    other = functional_cifar_net(model.state_dict(), x, depth=14, residual=not residual)
    assert not torch.allclose(expected, other, rtol=0.01)


@pytest.mark.parametrize("depth", [20, 56, 110])
def test_names_are_those_of_public_checkpoints(depth: int) -> None:
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = ["conv1.weight", *(f"bn1.{key}" for key in norm)]
    for block in (f"layer{stage}.{number}" for stage in (1, 2, 3) for number in range((depth - 2) // 6)):
        for part in (1, 2):
            names += [f"{block}.conv{part}.weight", *(f"{block}.bn{part}.{key}" for key in norm)]
    names += ["linear.weight", "linear.bias"]
    assert [*on_meta(f"resnet{depth}").state_dict()] == [*on_meta(f"plain{depth}").state_dict()] == names


@given(st.integers(1, 6), st.integers(0, 7), st.integers(1, 9))
@settings(deadline=None, max_examples=30)
def test_pad_shortcut_keeps_every_second_pixel_and_adds_zeros(channels: int, extra: int, side: int) -> None:
    x = images(2, channels, side, side)
    y = PadShortcut(channels, channels + extra)(x)
    assert y.shape == (2, channels + extra, (side + 1) // 2, (side + 1) // 2)
    assert y[:, extra // 2 : extra // 2 + channels].equal(x[:, :, ::2, ::2])
    assert y.count_nonzero() == x[:, :, ::2, ::2].count_nonzero()


@pytest.mark.parametrize("depth", [-4, 2, 18, 21, 20.0, "20"])
def test_other_depths_are_refused(depth: object) -> None:
    with pytest.raises(ValueError, match=r"depth must be 6n \+ 2 \(8, 14, 20, 26, 32, …\), got"):
        CifarNet(depth)  # type: ignore[arg-type]


@pytest.mark.parametrize(("in_channels", "channels", "stride"), [(4, 4, 1), (4, 8, 2), (3, 5, 1), (4, 4, 2)])
def test_preactivation_equals_the_functional_writing(in_channels: int, channels: int, stride: int) -> None:
    block = randomised(PreActBlock(in_channels, channels, stride)).eval()
    w, x = block.state_dict(), torch.randn(2, in_channels, 7, 6)
    first = batch_norm(w, "bn1", x).relu()
    out = batch_norm(w, "bn2", F.conv2d(first, w["conv1.weight"], stride=stride, padding=1)).relu()
    out = F.conv2d(out, w["conv2.weight"], padding=1)
    out = out + (F.conv2d(first, w["downsample.weight"], stride=stride) if "downsample.weight" in w else x)
    torch.testing.assert_close(block(x), out, rtol=1e-4, atol=1e-5)
    assert (block.downsample is None) == (stride == 1 and in_channels == channels)


@pytest.mark.parametrize(("side", "stride"), [((1, 1), 1), ((3, 5), 1), ((3, 5), 2), ((8, 7), 2)])
def test_few_pixels_of_many_channels_are_trained_as_by_torchs_convolution(side: tuple[int, int], stride: int) -> None:
    conv = conv3x3(6, 512, stride).double()
    inputs = torch.randn(2, 6, *side, dtype=torch.float64, requires_grad=True), conv.weight
    conv.bias = nn.Parameter(torch.rand(512).double())  # as folding a batch norm gives it one
    theirs, ours = F.conv2d(*inputs, conv.bias, stride, 1), conv(inputs[0])
    assert "Convolution" not in str(ours.grad_fn), "one matrix product"
    assert "Convolution" in str(conv3x3(6, 512)(torch.randn(1, 6, 7, 7)).grad_fn), "there are too many pixels"
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(each.square().sum(), inputs) for each in (ours, theirs)))
    conv.padding = conv.dilation = (2, 2)  # made over by hand
    torch.testing.assert_close(conv(inputs[0]), F.conv2d(*inputs, conv.bias, stride, 2, 2))


# Deep nets


def weighted(net: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    return [module for module in net.modules() if isinstance(module, nn.Linear | nn.Conv2d)]


@pytest.mark.parametrize("skip", [True, False])
def test_a_deep_net_is_its_formula(skip: bool) -> None:
    layer = DeepLayer(nn.Identity(), nn.Tanh(), linear := nn.Linear(5, 5), skip=skip)
    x = torch.randn(3, 5)
    torch.testing.assert_close(layer(x), torch.tanh(x) @ linear.weight.T + linear.bias + (x if skip else 0))
    net = deep_net(3, activation="sigmoid", skip=skip, width=4, inputs=6, num_classes=2)
    first, second, last = weighted(net)
    x = torch.randn(5, 1, 2, 3)
    h = x.flatten(1) @ first.weight.T
    h = (h if skip else 0) + torch.sigmoid(h) @ second.weight.T
    torch.testing.assert_close(net(x), torch.sigmoid(h) @ last.weight.T)


@pytest.mark.parametrize("batch_norm", [True, False])
@given(depth=st.integers(2, 8), width=st.integers(1, 9), side=st.integers(1, 6), batch=st.integers(2, 4))
@settings(max_examples=8, deadline=None)
def test_layers_and_norms_of_a_deep_net_of_any_size(
    batch_norm: bool, depth: int, width: int, side: int, batch: int
) -> None:
    net = deep_net(depth, batch_norm=batch_norm, width=width, inputs=2 * side**2, num_classes=3).eval()
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm1d)]
    assert (len(weighted(net)), len(norms)) == (depth, (depth - 1) * batch_norm)
    assert sum(isinstance(module, nn.ReLU) for module in net.modules()) == depth - 1
    assert net(torch.randn(batch, 2, side, side)).shape == (batch, 3)


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ("small", lambda inputs, outputs: 0.01),
        ("xavier", lambda inputs, outputs: math.sqrt(2 / (inputs + outputs))),
        ("he", lambda inputs, outputs: math.sqrt(2 / inputs)),
        ("large", lambda inputs, outputs: 2 * math.sqrt(2 / inputs)),
    ],
)
def test_weights_have_the_spread_of_their_init(init: Any, std: Callable[[int, int], float]) -> None:
    torch.manual_seed(0)
    for layer in weighted(deep_net(3, init=init, width=200))[:2]:
        outputs, inputs = layer.weight.shape
        assert layer.weight.std().item() == pytest.approx(std(inputs, outputs), rel=0.03)
        assert not layer.bias.any()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"depth": 1}, "at least 2"),
        ({"depth": 2.0}, "whole number"),
        ({"depth": 3, "activation": "swish"}, "'sigmoid', 'tanh' or 'relu'"),
        ({"depth": 3, "skip": "yes"}, "skip must be True or False"),
    ],
)
def test_bad_options_of_deep_nets_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        deep_net(**options)
