"""ResNet for ImageNet-sized images: structure and stems; torchvision's answer is in test_models.py."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from oracle import images, on_meta, parameters, randomised, walk
from torch import nn

from resnet_edu.models import BasicBlock, Bottleneck, ResNet
from resnet_edu.models.resnet import DEPTHS


@pytest.mark.parametrize("block", [BasicBlock(4, 4), Bottleneck(16, 4)])
def test_a_zeroed_branch_leaves_the_identity(block: BasicBlock | Bottleneck) -> None:
    last = block.bn2 if isinstance(block, BasicBlock) else block.bn3
    nn.init.zeros_(last.weight)
    x = images(2, 16 if isinstance(block, Bottleneck) else 4, 6, 6)
    assert block(x).equal(x.relu())
    assert block.downsample is None


@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck])
@given(channels=st.integers(1, 5), stride=st.integers(1, 2), side=st.integers(1, 9))
@settings(deadline=None, max_examples=20)
def test_blocks_keep_or_halve_the_side(
    kind: type[BasicBlock] | type[Bottleneck], channels: int, stride: int, side: int
) -> None:
    block = kind(3, channels, stride).eval()
    assert block(torch.zeros(1, 3, side, side)).shape == (1, channels * kind.expansion, *[-(-side // stride)] * 2)
    assert (block.downsample is None) == (stride == 1 and channels * kind.expansion == 3)


@pytest.mark.parametrize("depth", DEPTHS)
def test_structure(depth: int) -> None:
    kind, blocks = DEPTHS[depth]
    modules = [*on_meta(f"resnet{depth}").modules()]
    convolutions = 2 if kind is BasicBlock else 3
    projections = 3 if kind is BasicBlock else 4
    assert 2 + convolutions * sum(blocks) == depth
    assert sum(isinstance(module, nn.Conv2d) for module in modules) == depth - 1 + projections
    assert sum(isinstance(module, nn.BatchNorm2d) for module in modules) == depth - 1 + projections
    assert sum(isinstance(module, nn.ReLU) for module in modules) == depth - 1
    assert all(module.bias is None for module in modules if isinstance(module, nn.Conv2d))


@pytest.mark.parametrize(("stem", "side", "sides"), [
    ("imagenet", 224, [112, 56, 56, 28, 14, 7, 1]),
    ("imagenet", 64, [32, 16, 16, 8, 4, 2, 1]),
    ("small", 32, [32, 32, 32, 16, 8, 4, 1]),
    ("small", 28, [28, 28, 28, 14, 7, 4, 1]),
])  # fmt: skip
def test_sides_on_the_way(stem: str, side: int, sides: list[int]) -> None:
    shapes = walk(on_meta("resnet34", stem=stem), torch.empty(1, 3, side, side, device="meta")).shapes
    names = ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool")
    assert [shapes[name][-1] for name in names] == sides


def test_the_small_stem_differs_in_its_kernel_alone() -> None:
    big, small = on_meta("resnet18").state_dict(), on_meta("resnet18", stem="small").state_dict()
    assert [*big] == [*small]
    assert [key for key in big if big[key].shape != small[key].shape] == ["conv1.weight"]
    assert parameters(on_meta("resnet18")) - parameters(on_meta("resnet18", stem="small")) == 64 * 3 * (49 - 9)


def test_width_scales_every_layer_but_input_and_logits() -> None:
    full, narrow = on_meta("resnet50").state_dict(), on_meta("resnet50", width=16).state_dict()
    assert [*full] == [*narrow]
    fixed = {"conv1.weight": (1,), "fc.weight": (0,), "fc.bias": (0,)}  # dimensions that stay
    for key, value in full.items():
        scaled = [size if at in fixed.get(key, ()) or at > 1 else size // 4 for at, size in enumerate(value.shape)]
        assert list(narrow[key].shape) == scaled, key
    with pytest.raises(ValueError, match="width must be a whole number of at least 1, got 0"):
        on_meta("resnet18", width=0)


def test_parameters_of_resnet50_with_six_classes() -> None:
    """23,520,326; Keras counts 26,560 convolution biases and 53,120 moving statistics more."""
    model = on_meta("resnet50", num_classes=6)
    assert parameters(model) == 23_520_326
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert sum(module.out_channels for module in convolutions) == 26_560
    assert sum(2 * module.num_features for module in norms) == 53_120


def test_he_initialisation_keeps_the_variance() -> None:
    torch.manual_seed(0)
    model = ResNet(BasicBlock, (1, 1, 1, 1))
    for key, weight in model.named_parameters():
        if weight.ndim == 4:
            fan_out = weight.shape[0] * weight[0, 0].numel()
            assert weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1), key
    assert model.bn1.weight.eq(1).all()
    assert model.bn1.bias.eq(0).all()


def test_logits_do_not_depend_on_the_other_images_in_evaluation() -> None:
    model = randomised(on_meta("resnet18", num_classes=10, stem="small")).eval()
    x = images(3, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=1e-4, atol=1e-5)
