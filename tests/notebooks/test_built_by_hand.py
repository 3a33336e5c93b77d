"""What a lesson lets the learner build equals what the package has: the same values from the same parameters."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torchvision
from torch import nn
from training import tiny_data

import resnet_edu
from notebooks import build
from resnet_edu import TrainConfig, fit, models, probe
from resnet_edu.models.googlenet import INCEPTIONS, ConvBlock
from resnet_edu.models.resnet import make_stage


def built_in(lesson: str, *names: str) -> list[Any]:
    """The worked answers called `names`, as the exercises of a lesson define them."""
    notebook = build.read_source(next((build.HERE / "source").glob(f"{lesson}_*.py")))
    known: dict[str, Any] = {"torch": torch, "nn": nn, "F": nn.functional, "Tensor": torch.Tensor, "Sequence": Sequence}
    known |= {"BasicBlock": models.BasicBlock, "ConvBlock": ConvBlock, "edu": resnet_edu}
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


@pytest.mark.parametrize("batch_size", [10, 20])
def test_the_loop_of_lesson_01_is_fits(batch_size: int) -> None:
    [train] = built_in("01", "train")
    data, bare = tiny_data(40), {"schedule": "constant", "weight_decay": 0, "channels_last": False, "fused": False}
    config = TrainConfig(epochs=3, batch_size=batch_size, lr=0.05, augment=(), precision="float32", **bare)
    mine, packages = (nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10)) for _ in "12")
    mine.load_state_dict(packages.state_dict())
    generator = torch.Generator().manual_seed(config.seed)
    orders = [torch.randperm(40, generator=generator) for _ in range(3)]
    optimizer = torch.optim.SGD(mine.parameters(), lr=0.05, momentum=0.9)
    train_set, val_set = ((part.inputs(), part.labels) for part in (data.train, data.val))
    found = train(mine, optimizer, train_set, val_set, orders, batch_size)
    wanted = fit(packages, data, config)
    assert [loss for loss, _ in found] == [epoch.train_loss for epoch in wanted.epochs]
    assert [error for _, error in found] == pytest.approx([epoch.val_error for epoch in wanted.epochs])


@pytest.mark.parametrize("sizes", [(16, 4), (16, 8, 2), (6, 4)])
def test_the_bottleneck_of_lesson_07(sizes: tuple[int, ...]) -> None:
    (bottleneck,) = built_in("07", "MyBottleneck")
    same_values(bottleneck(*sizes), models.Bottleneck(*sizes), in_channels=sizes[0])


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


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_blocks_of_lesson_03_make_the_features_of_every_vgg(depth: int) -> None:
    (vgg_block,) = built_in("03", "vgg_block")
    channels, blocks = [3, 2, 4, 8, 16, 16], []
    for before, after, convolutions in zip(channels, channels[1:], models.vgg.CONFIGURATIONS[depth], strict=False):
        blocks.append(vgg_block(before, after, convolutions))
    packages = models.VGG(depth, width=2).features
    mine = nn.Sequential(*[layer for block in blocks for layer in block])
    for parameter in packages.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    mine.load_state_dict(packages.state_dict(), strict=True)
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(nn.Sequential(*blocks)(x), packages(x))
    assert [type(layer) for layer in mine] == [type(layer) for layer in packages]


@pytest.mark.parametrize("sizes", [(6, 2, 3, 4, 2, 5, 3), INCEPTIONS["3a"]], ids=str)
def test_the_inception_block_of_lesson_04(sizes: tuple[int, ...]) -> None:
    (inception,) = built_in("04", "MyInception")
    same_values(inception(*sizes), models.Inception(*sizes), in_channels=sizes[0])


@pytest.mark.parametrize("sizes", [(4, 8, 3, 2), (6, 6, 2, 1)])
def test_the_stage_of_lesson_08(sizes: tuple[int, int, int, int]) -> None:
    (stage,) = built_in("08", "my_stage")
    same_values(stage(*sizes), make_stage(models.BasicBlock, *sizes[:3], stride=sizes[3]), in_channels=sizes[0])


@pytest.mark.parametrize(("classes", "channels"), [(10, 1), (1000, 3)])
def test_resnet34_of_lesson_08(classes: int, channels: int) -> None:
    (resnet34,) = built_in("08", "MyResNet34")
    mine, packages = resnet34(classes, channels), models.build("resnet34", num_classes=classes, in_channels=channels)
    mine.load_state_dict(packages.state_dict(), strict=True)
    for _ in ("train", "eval"):
        x = torch.randn(2, channels, 64, 48)
        torch.testing.assert_close(mine(x), packages(x))
        mine.eval()
        packages.eval()


def test_grad_cam_of_lesson_11() -> None:
    (grad_cam,) = built_in("11", "my_grad_cam")
    torch.manual_seed(0)  # a map may be zero everywhere
    model, x = models.build("resnet20", width=4, num_classes=3).eval(), torch.randn(1, 3, 16, 16)
    names = [name for name, _ in model.named_children()]
    cut = names.index("layer2") + 1
    features = nn.Sequential(*[model.get_submodule(name) for name in names[:cut]])
    after = [model.get_submodule(name) for name in names[cut:]]
    head = nn.Sequential(*after[:-1], nn.Flatten(), after[-1])
    torch.testing.assert_close(head(features(x)), model(x))
    found = grad_cam(features, head, x, 2).detach()
    torch.testing.assert_close(found, probe.grad_cam(model, x, 2, layer="layer2")[0], rtol=1e-5, atol=1e-5)


def test_head_and_frozen_backbone_of_lesson_10() -> None:
    new_head, freeze_backbone = built_in("10", "new_head", "freeze_backbone")
    mine, packages = (models.build("resnet18", num_classes=10) for _ in range(2))
    new_head(mine, 4)
    models.replace_head(packages, 4)
    same_values(mine, packages, in_channels=3)
    freeze_backbone(mine)
    models.freeze(packages).get_submodule("fc").requires_grad_(True)
    models.training_mode(packages)
    for theirs, own in zip(packages.named_parameters(), mine.named_parameters(), strict=True):
        assert (theirs[0], theirs[1].requires_grad) == (own[0], own[1].requires_grad)
    norms = [[m.training for m in net.modules() if isinstance(m, nn.BatchNorm2d)] for net in (mine, packages)]
    assert norms[0] == norms[1] == [False] * 20


def test_alexnet_of_lesson_02() -> None:
    (mine,) = built_in("02", "AlexNet")
    small = mine(num_classes=5, width=2)
    packages = models.build("alexnet", num_classes=5, width=2)
    with torch.device("meta"):
        assert list(small.state_dict()) == list(torchvision.models.alexnet().state_dict())
        assert [p.shape for p in mine().parameters()] == [p.shape for p in models.build("alexnet").parameters()]
    small.load_state_dict(packages.state_dict(), strict=True)
    for side in (224, 100):
        x = torch.randn(2, 3, side, side)
        torch.testing.assert_close(small.eval()(x), packages.eval()(x))
    torch.manual_seed(1)
    logits = small.train()(x)
    torch.manual_seed(1)
    torch.testing.assert_close(logits, packages.train()(x))
