"""GoogLeNet: auxiliary heads, input conversion and the small variant, torchvision as the oracle."""

import pytest
import torch
from oracle import images, on_meta, parameters, randomised, theirs_on_meta, walk
from torch import nn

from resnet_edu.models import GoogLeNet, GoogLeNetOutputs, Inception, replace_head
from resnet_edu.models.googlenet import INCEPTIONS


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, nn.Module]:
    """Ours and torchvision's with auxiliary heads, the same random weights, dropout off."""
    theirs = randomised(theirs_on_meta("googlenet", aux_logits=True, num_classes=10))
    ours = on_meta("googlenet", aux_heads=True, num_classes=10)
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    theirs_on_meta("googlenet", aux_logits=True, num_classes=10).load_state_dict(ours.state_dict(), assign=True)
    for model in (ours, theirs):
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    return ours, theirs


def test_both_forms_have_the_published_number_of_parameters() -> None:
    assert parameters(on_meta("googlenet")) == 6_624_904
    assert parameters(on_meta("googlenet", aux_heads=True)) == 13_004_888


def test_training_gives_torchvisions_three_outputs(pair: tuple[nn.Module, nn.Module]) -> None:
    x = images(3, 3, 64, 64)
    ours, theirs = (model.train()(x) for model in pair)
    assert isinstance(ours, GoogLeNetOutputs)
    for field in ("logits", "aux_logits2", "aux_logits1"):
        torch.testing.assert_close(getattr(ours, field), getattr(theirs, field), rtol=1e-5, atol=1e-5)
    assert ours._fields == theirs._fields


def test_evaluation_gives_logits_alone(pair: tuple[nn.Module, nn.Module]) -> None:
    x = images(2, 3, 64, 64)
    ours, theirs = (model.eval()(x) for model in pair)
    assert isinstance(ours, torch.Tensor)
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


def test_one_block_feeds_the_next() -> None:
    """Table 1 holds together: a block's four branches add up to what the next one takes."""
    outputs = [one + three + five + pool for _, one, _, three, _, five, pool in INCEPTIONS.values()]
    assert outputs == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    assert [block[0] for block in INCEPTIONS.values()] == [192, *outputs[:-1]]


def test_inception_stacks_four_branches() -> None:
    block = Inception(5, 1, 2, 3, 2, 4, 6).eval()
    x = images(2, 5, 7, 9)
    branches = (block.branch1, block.branch2, block.branch3, block.branch4)
    assert [branch(x).shape[1] for branch in branches] == [1, 3, 4, 6]
    assert block(x).equal(torch.cat([branch(x) for branch in branches], 1))
    assert [module.kernel_size for module in block.modules() if isinstance(module, nn.Conv2d)] == [
        (1, 1), (1, 1), (3, 3), (1, 1), (3, 3), (1, 1),
    ]  # fmt: skip


def test_the_small_stem_brings_28_pixels_where_224_come_out() -> None:
    small = walk(on_meta("googlenet", stem="small"), torch.empty(1, 3, 28, 28, device="meta")).shapes
    big = walk(on_meta("googlenet"), torch.empty(1, 3, 224, 224, device="meta")).shapes
    for name in (name for name in big if name.startswith("inception")):
        assert small[name] == big[name]
    assert small["inception3a"][2:] == (28, 28)
    assert small["inception5b"][2:] == (7, 7)


def test_width_scales_every_layer() -> None:
    wide, narrow = (on_meta("googlenet", width=width, aux_heads=True).state_dict() for width in (64, 8))
    for key in wide:
        if "fc2" not in key and key != "fc.bias" and wide[key].ndim > 0:
            assert narrow[key].shape[0] * (1 if key == "fc.weight" else 8) == wide[key].shape[0], key


def test_auxiliary_heads_follow_heads() -> None:
    model = GoogLeNet(stem="small", width=8, in_channels=1, aux_heads=True)
    replace_head(model, {"digit": 10, "parity": 2})
    out = model.train()(images(2, 1, 28, 28))
    assert isinstance(out, GoogLeNetOutputs)
    for logits in out:
        assert isinstance(logits, dict)
        assert {name: value.shape for name, value in logits.items()} == {"digit": (2, 10), "parity": (2, 2)}


def test_auxiliary_heads_shorten_the_way_of_the_gradient() -> None:
    torch.manual_seed(0)
    model = GoogLeNet(stem="small", width=8, in_channels=1, num_classes=10, aux_heads=True).train()
    out = model(images(4, 1, 28, 28))
    assert isinstance(out, GoogLeNetOutputs)
    assert isinstance(out.aux_logits1, torch.Tensor)
    out.aux_logits1.sum().backward()
    touched = {key.split(".")[0] for key, value in model.named_parameters() if value.grad is not None}
    assert touched == {"conv1", "conv2", "conv3", "inception3a", "inception3b", "inception4a", "aux1"}
