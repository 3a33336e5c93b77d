"""What a lesson lets the learner build equals what the package has: the same values from the same parameters."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from notebooks import build
from resnet_edu import TrainConfig, facts, models, probe
from resnet_edu.data import load
from resnet_edu.data.batches import random_crop, random_flip
from resnet_edu.models.googlenet import INCEPTIONS, ConvBlock
from resnet_edu.models.resnet import DEPTHS, make_stage
from resnet_edu.plots import lesson_09
from resnet_edu.train import evaluate, parameter_groups as package_groups


def built_in(lesson: str, *names: str) -> list[Any]:
    """The worked answers called `names`, as the exercises of a lesson define them."""
    notebook = build.read_source(next((build.HERE / "source").glob(f"{lesson}_*.py")))
    known: dict[str, Any] = {"torch": torch, "nn": nn, "F": nn.functional, "Tensor": torch.Tensor, "Sequence": Sequence}
    known |= {"BasicBlock": models.BasicBlock, "ConvBlock": ConvBlock, "GoogLeNetOutputs": models.GoogLeNetOutputs}
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


@pytest.mark.parametrize("depth", [11, 16])
def test_receptive_field_of_lesson_03_is_that_of_the_probe(depth: int) -> None:
    (receptive_field,) = built_in("03", "receptive_field")
    features = models.VGG(depth, width=1).features
    layers = [(3, 1) if isinstance(m, nn.Conv2d) else (2, 2) for m in features if not isinstance(m, nn.ReLU)]
    assert receptive_field(layers) == probe.receptive_field(features, (3, 224, 224))[-1].size


def test_activation_bytes_of_lesson_03_are_those_of_the_probe() -> None:
    (activation_bytes,) = built_in("03", "activation_bytes")
    stages = list(zip(models.vgg.CONFIGURATIONS[16], (2, 4, 8, 16, 16), strict=True))
    rows = probe.summary(models.VGG(16, width=2), (5, 3, 96, 96)).rows
    counted = sum(row.activation_bytes for row in rows if row.kind in ("Conv2d", "MaxPool2d"))
    assert activation_bytes(stages, 96, 5) == counted


def test_cheap_head_of_lesson_03_ends_a_resnet() -> None:
    (cheap_head,) = built_in("03", "cheap_head")
    net, head = models.build("resnet18", num_classes=7), cheap_head(512, 7)
    assert isinstance(net, models.ResNet)
    assert isinstance(net.fc, nn.Linear)
    head.load_state_dict({f"2.{name}": value for name, value in net.fc.state_dict().items()}, strict=True)
    maps = torch.randn(2, 512, 3, 2)
    torch.testing.assert_close(head(maps), net.fc(net.avgpool(maps).flatten(1)))


@pytest.mark.parametrize("sizes", [(6, 2, 3, 4, 2, 5, 3), INCEPTIONS["3a"]], ids=str)
def test_the_inception_block_of_lesson_04(sizes: tuple[int, ...]) -> None:
    (inception,) = built_in("04", "MyInception")
    same_values(inception(*sizes), models.Inception(*sizes), in_channels=sizes[0])


def test_the_inception_block_of_lesson_04_takes_the_weights_of_torchvisions() -> None:
    (inception,) = built_in("04", "MyInception")
    theirs = torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=False).inception4a
    mine = inception(*INCEPTIONS["4a"])
    mine.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 480, 5, 4)
    torch.testing.assert_close(mine(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_mixing_the_pixels_in_lesson_04_is_a_convolution() -> None:
    (mix_pixels,) = built_in("04", "mix_pixels")
    conv = nn.Conv2d(5, 7, 1)
    assert conv.bias is not None
    x = torch.randn(2, 5, 4, 3)
    torch.testing.assert_close(mix_pixels(x, conv.weight[:, :, 0, 0], conv.bias), conv(x))


@pytest.mark.parametrize("name", ["3a", "5b"])
def test_the_costs_of_lesson_04_add_up_to_the_packages_block(name: str) -> None:
    (cost,) = built_in("04", "branch_cost")
    in_channels, one, three_reduced, three, five_reduced, five, pool = INCEPTIONS[name]
    branches = [
        cost(9, in_channels, one, 1),
        cost(9, in_channels, three, 3, reduced=three_reduced),
        cost(9, in_channels, five, 3, reduced=five_reduced),
        cost(9, in_channels, pool, 1),
    ]
    counted = probe.summary(models.Inception(*INCEPTIONS[name]), (in_channels, 9, 9))
    assert sum(macs for _, macs in branches) == counted.macs
    assert sum(weights for weights, _ in branches) == sum(
        row.parameters for row in counted.rows if row.kind == "Conv2d"
    )


def test_the_head_of_lesson_04_is_that_of_the_packages_net() -> None:
    (average_head,) = built_in("04", "MyAverageHead")
    net = models.build("googlenet", stem="small", width=8, in_channels=1, num_classes=10).eval()
    head = average_head(128, 10)
    head.fc.load_state_dict(net.get_submodule("fc").state_dict())
    x = torch.randn(2, 1, 20, 12)
    with probe.activations(net, ["inception5b"]) as seen:
        logits = net(x)
    torch.testing.assert_close(head(seen["inception5b"]), logits)
    torch.testing.assert_close(head.votes(seen["inception5b"]).mean((2, 3)), logits)


def test_the_loss_of_lesson_04_adds_the_heads_with_the_papers_weight() -> None:
    (total_loss,) = built_in("04", "total_loss")
    logits = [torch.randn(4, 3) for _ in range(3)]
    outputs, labels = models.GoogLeNetOutputs(*logits), torch.tensor([0, 1, 2, 1])
    losses = [nn.functional.cross_entropy(head, labels) for head in logits]
    assert facts.GOOGLENET_AUXILIARY_WEIGHT.value == models.AUXILIARY_WEIGHT
    torch.testing.assert_close(
        total_loss(outputs, labels), losses[0] + models.AUXILIARY_WEIGHT * (losses[1] + losses[2])
    )
    assert total_loss(logits[0], labels) == losses[0]


def test_counts_of_lesson_09() -> None:
    count_layers, bottleneck_parameters = built_in("09", "count_layers", "bottleneck_parameters")
    for depth, (block, blocks) in DEPTHS.items():
        assert count_layers(blocks, bottleneck=block is models.Bottleneck) == depth
    for sizes in ((64, 64), (256, 64), (256, 128, 2), (512, 128, 2), (16, 4, 2)):
        weights = models.Bottleneck(*sizes).parameters()
        assert bottleneck_parameters(*sizes) == sum(weight.numel() for weight in weights)


@pytest.mark.parametrize("gmacs", [0.5, 1.5, 4.0, 8.0, 20.0])
@pytest.mark.parametrize("million", [5.0, 30.0, 150.0])
def test_choice_of_lesson_09(gmacs: float, million: float) -> None:
    (choose_net,) = built_in("09", "choose_net")
    nets = lesson_09.published_nets()
    fitting = lesson_09.within_budget(nets, gmacs=gmacs, million=million)
    assert choose_net(nets, gmacs, million) == (fitting[0] if fitting else None)


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


def test_the_loss_and_the_loading_of_lesson_08_work_with_the_packages_net() -> None:
    loss, load_trunk = built_in("08", "my_multi_head_loss", "my_load_trunk")
    net = models.build("resnet18", width=8, heads={"digit": 10, "parity": 2})
    labels = torch.tensor([3, 4, 5])
    outputs = net(torch.randn(3, 3, 64, 64))
    loss(outputs, {"parity": labels % 2, "digit": labels}, {"parity": 0.5}).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    one = models.build("resnet18", width=8, num_classes=5)
    names = load_trunk(one, {f"module.{name}": value for name, value in net.state_dict().items()})
    assert names == sorted(key for key in (*net.state_dict(), *one.state_dict()) if key.startswith("fc."))
    statistics = "layer4.1.bn2.running_mean"
    assert torch.equal(one.state_dict()[statistics], net.state_dict()[statistics])


def test_grad_cam_and_rank_correlation_of_lesson_11() -> None:
    grad_cam, rank_correlation = built_in("11", "my_grad_cam", "my_rank_correlation")
    torch.manual_seed(0)  # a map may be zero everywhere, and has no rank correlation then
    model, x = models.build("resnet20", width=4, num_classes=3).eval(), torch.randn(1, 3, 16, 16)
    names = [name for name, _ in model.named_children()]
    cut = names.index("layer2") + 1
    features = nn.Sequential(*[model.get_submodule(name) for name in names[:cut]])
    after = [model.get_submodule(name) for name in names[cut:]]
    head = nn.Sequential(*after[:-1], nn.Flatten(), after[-1])
    torch.testing.assert_close(head(features(x)), model(x))
    found = grad_cam(features, head, x, 2).detach()
    torch.testing.assert_close(found, probe.grad_cam(model, x, 2, layer="layer2")[0], rtol=1e-5, atol=1e-5)
    other = probe.grad_cam(model, x, 1, layer="layer2")[0]
    assert rank_correlation(found, other) == pytest.approx(probe.rank_correlation(found, other), abs=1e-5)


def test_integrated_gradients_of_lesson_11() -> None:
    (integrated_gradients,) = built_in("11", "my_integrated_gradients")
    model, x = models.build("resnet20", width=4, num_classes=3).eval(), torch.randn(1, 3, 12, 12)
    attribution, error = integrated_gradients(lambda x: model(x)[:, 1], x, torch.full_like(x, 0.5), 6)
    wanted = probe.integrated_gradients(model, x, 1, baseline=0.5, steps=6)
    torch.testing.assert_close(attribution, wanted.attribution, rtol=1e-4, atol=1e-5)
    assert float(error.detach()) == pytest.approx(wanted.error.item(), abs=1e-4)


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


def test_parameter_groups_of_lesson_10() -> None:
    (parameter_groups,) = built_in("10", "parameter_groups")
    with torch.device("meta"):
        model = models.build("resnet18", num_classes=10)
    config = TrainConfig(lr=0.01, backbone_lr=0.001)
    groups = package_groups(model, config)
    theirs = {id(p): config.lr * group["share"] for group in groups for p in group["params"]}
    mine = {id(p): group["lr"] for group in parameter_groups(model, 0.01, 0.001) for p in group["params"]}
    assert mine == pytest.approx(theirs)


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


def test_flip_and_crop_of_lesson_02() -> None:
    flip_chosen, crop_each = built_in("02", "flip_chosen", "crop_each")
    images = torch.randint(1, 256, (12, 3, 9, 9), dtype=torch.uint8)
    chosen = torch.rand(12, generator=torch.Generator().manual_seed(3)) < 0.5
    assert torch.equal(flip_chosen(images, chosen), random_flip(images, torch.Generator().manual_seed(3)))
    top, left = torch.randint(5, (2, 12, 1), generator=torch.Generator().manual_seed(4))[:, :, 0]
    assert torch.equal(crop_each(images, top, left, 2), random_crop(images, 2, torch.Generator().manual_seed(4)))


def test_top_k_error_of_lesson_02() -> None:
    (top_k_error,) = built_in("02", "top_k_error")
    data = load("mnist5k", size=16, limit=20)
    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    metrics = evaluate(net, data.test, precision="float32")
    with torch.no_grad():
        logits = net(data.test.inputs())
    assert top_k_error(logits, data.test.labels, 1) == pytest.approx(metrics.top1_error, abs=0.01)
    assert top_k_error(logits, data.test.labels, 5) == pytest.approx(metrics.top5_error, abs=0.01)


@pytest.mark.parametrize("sizes", [(8, 8), (2, 6, 4)])
def test_gradients_averaged_in_lesson_13_are_those_of_the_whole_batch(sizes: tuple[int, ...]) -> None:
    (average,) = built_in("13", "average_gradients")
    model = models.build("lenet5", in_channels=1)
    images, labels = torch.randn(sum(sizes), 1, 32, 32), torch.randint(10, (sum(sizes),))

    def gradients(images: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
        loss = nn.functional.cross_entropy(model(images), labels)
        return list(torch.autograd.grad(loss, list(model.parameters())))

    shares = zip(images.split(sizes), labels.split(sizes), strict=True)
    found = average([gradients(*share) for share in shares], sizes)
    torch.testing.assert_close(found, gradients(images, labels))


@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_the_rates_of_lesson_13_are_those_of_torchs_scheduler(warmup: int) -> None:
    (rate,) = built_in("13", "scaled_rate")
    final = facts.HE_IMAGENET_RATE.value * facts.GOYAL_BATCH.value / facts.HE_IMAGENET_BATCH.value
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=final)
    start = facts.HE_IMAGENET_RATE.value / final if warmup else 1.0
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=start, total_iters=warmup)
    for step in range(12):
        assert rate(step, int(facts.GOYAL_BATCH.value), warmup) == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


def test_the_bottleneck_of_lesson_13_is_that_of_a_simulated_pipeline() -> None:
    (find,) = built_in("13", "find_bottleneck")
    seconds, workers, batch = {"read": 0.01, "decode": 0.3, "train": 0.08}, {"read": 1, "decode": 3, "train": 1}, 16
    free = {stage: [0.0] * count for stage, count in workers.items()}
    ends = []
    for _ in range(1000):  # each batch goes through the stages in turn, and takes the worker that is free first
        moment = 0.0
        for stage, cost in seconds.items():
            worker = min(range(workers[stage]), key=free[stage].__getitem__)
            moment = max(moment, free[stage][worker]) + cost
            free[stage][worker] = moment
        ends.append(moment)
    stage, rate = find(seconds, workers, batch)
    assert stage == "decode"
    assert rate == pytest.approx(900 * batch / (ends[-1] - ends[99]), rel=0.01)
