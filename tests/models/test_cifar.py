"""The small plain and residual nets against the paper's counts and a second, functional writing of them."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from oracle import images, on_meta, parameters, randomised, walk
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu.models import CifarNet, PadShortcut, PlainBlock, ResidualBlock


def reference(w: dict[str, Tensor], x: Tensor, *, depth: int, residual: bool) -> Tensor:
    """The net in evaluation mode, from its weights alone; option A or B by what the weights hold."""

    def conv_norm(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        x = F.conv2d(x, w[f"{conv}.weight"], stride=stride, padding=w[f"{conv}.weight"].shape[-1] // 2)
        mean, var, scale, shift = (w[f"{norm}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, var, scale, shift)

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
def test_logits_equal_the_functional_writing(residual: bool, shortcut: str, side: int) -> None:
    model = randomised(CifarNet(14, residual=residual, shortcut=shortcut)).eval()  # type: ignore[arg-type]
    x = images(3, 3, side, side)
    expected = reference(model.state_dict(), x, depth=14, residual=residual)
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(expected, reference(model.state_dict(), x, depth=14, residual=not residual), rtol=0.01)


@pytest.mark.parametrize("depth", [20, 56, 110])
def test_names_are_those_of_public_checkpoints(depth: int) -> None:
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = ["conv1.weight", *(f"bn1.{key}" for key in norm)]
    for stage in (1, 2, 3):
        for block in range((depth - 2) // 6):
            for part in (1, 2):
                names.append(f"layer{stage}.{block}.conv{part}.weight")
                names += [f"layer{stage}.{block}.bn{part}.{key}" for key in norm]
    names += ["linear.weight", "linear.bias"]
    assert [*on_meta(f"resnet{depth}").state_dict()] == names
    assert [*on_meta(f"plain{depth}").state_dict()] == names


@pytest.mark.parametrize(
    ("name", "shortcut", "count"),
    [
        ("resnet20", "A", 269_722),
        ("resnet20", "B", 272_474),
        ("resnet56", "A", 853_018),
        ("resnet56", "B", 855_770),
        # C, for n = 3: two more 1×1 convolutions and batch norms a stage, and that of the first block of stage 1.
        ("resnet20", "C", 272_474 + 3 * (16**2 + 32) + 2 * (32**2 + 64) + 2 * (64**2 + 128)),
    ],
)
def test_parameters_by_shortcut(name: str, shortcut: str, count: int) -> None:
    assert parameters(on_meta(name, shortcut=shortcut)) == count


@pytest.mark.parametrize(("shortcut", "projections"), [("A", 0), ("B", 2), ("C", 9)])
def test_structure(shortcut: str, projections: int) -> None:
    modules = [type(module) for module in on_meta("resnet20", shortcut=shortcut).modules()]
    assert modules.count(nn.Conv2d) == modules.count(nn.BatchNorm2d) == 19 + projections
    assert modules.count(nn.ReLU) == 19
    assert modules.count(PadShortcut) == (2 if shortcut == "A" else 0)


def test_stages_are_those_of_section_4_2() -> None:
    shapes = walk(on_meta("resnet56"), torch.empty(1, 3, 32, 32, device="meta")).shapes
    assert [shapes[f"layer{stage}"] for stage in (1, 2, 3)] == [(1, 16, 32, 32), (1, 32, 16, 16), (1, 64, 8, 8)]


def test_a_zeroed_branch_leaves_the_identity_and_a_plain_block_nothing() -> None:
    x = images(2, 4, 6, 6)
    residual, plain = ResidualBlock(4, 4), PlainBlock(4, 4)
    for block in (residual, plain):
        nn.init.zeros_(block.bn2.weight)
    assert residual(x).equal(x.relu())
    assert plain(x).equal(torch.zeros_like(x))


@given(st.integers(1, 6), st.integers(0, 7), st.integers(1, 9))
@settings(deadline=None, max_examples=30)
def test_pad_shortcut_keeps_every_second_pixel_and_adds_zeros(channels: int, extra: int, side: int) -> None:
    x = images(2, channels, side, side)
    y = PadShortcut(channels, channels + extra)(x)
    assert y.shape == (2, channels + extra, (side + 1) // 2, (side + 1) // 2)
    assert y[:, extra // 2 : extra // 2 + channels].equal(x[:, :, ::2, ::2])
    assert y.count_nonzero() == x[:, :, ::2, ::2].count_nonzero()


@given(n=st.integers(1, 3), width=st.integers(1, 5), side=st.integers(4, 33), shortcut=st.sampled_from("ABC"))
@settings(deadline=None, max_examples=10)
def test_any_depth_width_and_side(n: int, width: int, side: int, shortcut: str) -> None:
    with torch.device("meta"):
        model = CifarNet(6 * n + 2, width=width, shortcut=shortcut)  # type: ignore[arg-type]
        seen = walk(model, torch.empty(2, 3, side, side))
    assert seen.layers == 6 * n + 2
    assert seen.shapes[""] == (2, 10)


@pytest.mark.parametrize("depth", [-4, 2, 18, 21, 20.0, "20"])
def test_other_depths_are_refused(depth: object) -> None:
    with pytest.raises(ValueError, match=r"depth must be 6n \+ 2 \(8, 14, 20, 26, 32, …\), got"):
        CifarNet(depth)  # type: ignore[arg-type]


def test_residual_is_a_flag() -> None:
    with pytest.raises(ValueError, match="residual must be True or False, got 'plain'"):
        CifarNet(20, residual="plain")  # type: ignore[arg-type]
