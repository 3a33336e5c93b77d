"""What a lesson lets the learner build equals what the package has: the same values from the same parameters."""

from typing import Any

import pytest
import torch
from torch import nn

from notebooks import build
from resnet_edu import models


def built_in(lesson: str, *names: str) -> list[Any]:
    """The worked answers called `names`, as the exercises of a lesson define them."""
    notebook = build.read_source(next((build.HERE / "source").glob(f"{lesson}_*.py")))
    known: dict[str, Any] = {"torch": torch, "nn": nn, "F": nn.functional, "Tensor": torch.Tensor}
    for cell in build.code_cells(notebook):
        if any(f"class {name}(" in cell.source or f"def {name}(" in cell.source for name in names):
            exec(compile(cell.source, lesson, "exec"), known)
    return [known[name] for name in names]


def same_values(mine: nn.Module, packages: nn.Module, *, in_channels: int) -> None:
    """With equal parameters both put out the same, in train mode and, with its statistics, in eval mode."""
    for parameter in packages.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    mine.load_state_dict(packages.state_dict(), strict=True)
    for _ in ("train", "eval"):
        x = torch.randn(3, in_channels, 8, 6)
        torch.testing.assert_close(mine(x), packages(x))
        mine.eval()
        packages.eval()


@pytest.mark.parametrize(
    ("name", "sizes", "block", "packages_sizes"),
    [
        ("MyBasicBlock", (4,), models.BasicBlock, (4, 4)),
        ("MyProjectionBlock", (4, 8, 2), models.BasicBlock, (4, 8, 2)),
        ("MyProjectionBlock", (4, 8, 1), models.BasicBlock, (4, 8, 1)),
        ("MyBottleneck", (16, 4), models.Bottleneck, (16, 4)),
        ("MyBottleneck", (16, 8, 2), models.Bottleneck, (16, 8, 2)),
        ("MyPreActBlock", (4,), models.PreActBlock, (4, 4)),
    ],
)
def test_blocks_of_lesson_07(name: str, sizes: tuple[int, ...], block: Any, packages_sizes: tuple[int, ...]) -> None:
    (mine,) = built_in("07", name)
    same_values(mine(*sizes), block(*packages_sizes), in_channels=packages_sizes[0])


@pytest.mark.parametrize(("channels", "side"), [(8, 8), (7, 5)])
def test_option_a_of_lesson_07(channels: int, side: int) -> None:
    (option_a,) = built_in("07", "my_option_a")
    x = torch.randn(2, 4, side, side)
    assert torch.equal(option_a(x, channels), models.PadShortcut(4, channels)(x))


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_deep_net_of_lesson_05(batch_norm: bool, skip: bool) -> None:
    _, _, deep_mlp = built_in("05", "Layer", "draw_weights", "deep_mlp")
    mine = deep_mlp(4, activation=nn.Tanh, batch_norm=batch_norm, skip=skip, width=7)
    packages = models.deep_net(4, activation="tanh", batch_norm=batch_norm, skip=skip, width=7)
    mine.load_state_dict(packages.state_dict(), strict=True)
    x = torch.randn(3, 1, 16, 16)
    torch.testing.assert_close(mine(x), packages(x))


@pytest.mark.parametrize("init", ["small", "xavier", "he", "large"])
def test_the_initial_weights_of_lesson_05(init: str) -> None:
    _, _, deep_mlp = built_in("05", "Layer", "draw_weights", "deep_mlp")
    spreads = []
    for build_net in (deep_mlp, models.deep_net):
        torch.manual_seed(0)
        net = build_net(3, init=init)  # type: ignore[arg-type]
        layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
        assert not any(layer.bias.any() for layer in layers)
        spreads.append([layer.weight.std().item() for layer in layers])
    assert spreads[0] == pytest.approx(spreads[1], rel=0.1)
