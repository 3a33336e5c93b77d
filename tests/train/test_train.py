"""`fit` against loops written by hand, and against itself."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial, partialmethod
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR
from training import noise, small_net, tiny_data

from resnet_edu import Epoch, TrainConfig, data, evaluate, fit, machine, models
from resnet_edu.data import Data, Split
from resnet_edu.errors import LossNotFinite, StopTraining
from resnet_edu.train import Loss, check_fits, make_optimizer

OWN: dict[str, Any] = {"momentum": 0.8, "augment": (), "precision": "float32", "channels_last": False}
CONFIG = TrainConfig(epochs=2, batch_size=8, lr=0.05, **OWN)
MAKE = {"sgd": partial(optim.SGD, momentum=0.8), "adam": optim.Adam, "adamw": optim.AdamW}


def assert_same_weights(one: nn.Module, two: nn.Module, *, rtol: float, atol: float) -> None:
    for (name, mine), theirs in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=rtol, atol=atol, msg=lambda text, name=name: f"{name}: {text}")


def own(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(10))


# Oracle: the loop of the tutorials


def by_hand(model: nn.Module, data: Data, config: TrainConfig, optimizer: optim.Optimizer, loss: Loss) -> list[float]:
    """Plain training in float32 without anything of `train.py`; the loss of every epoch."""
    generator = torch.Generator().manual_seed(config.seed)
    mean, std, steps = data.train.mean[0], data.train.std[0], len(data.train) // config.batch_size
    total_steps, scheduler = config.epochs * steps, None
    if config.schedule == "one_cycle":
        scheduler = OneCycleLR(optimizer, config.lr, total_steps=total_steps, cycle_momentum=False)
    losses = []
    for _ in range(config.epochs):
        model.train()
        order, total = torch.randperm(len(data.train), generator=generator), 0.0
        for indices in order.split(config.batch_size):
            value = loss(model((data.train.images[indices] / 255 - mean) / std), data.train.labels[indices])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            if scheduler:
                scheduler.step()
            total += value.item()
        losses.append(total / steps)
    return losses


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", MAKE)
def test_fit_is_the_loop_of_the_tutorials(name: str, channels_last: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnet_edu.train.FEW_STEPS", 0)
    lr = 0.05 if name == "sgd" else 0.002
    config = replace(CONFIG, lr=lr, optimizer=name, weight_decay=0.01, label_smoothing=0.1, seed=3)
    ours, theirs, images = small_net(), small_net(), tiny_data()
    optimizer = MAKE[name](theirs.parameters(), lr=lr, weight_decay=0.01, foreach=False)
    losses = by_hand(theirs, images, config, optimizer, partial(F.cross_entropy, label_smoothing=0.1))
    history = fit(ours, images, replace(config, channels_last=channels_last))
    assert [epoch.train_loss for epoch in history.epochs] == pytest.approx(losses, rel=1e-4)
    assert_same_weights(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("heads", [None, {"digit": 10, "parity": 2}])
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_heads_and_backbone_learn_at_rates_of_their_own(
    name: str, heads: dict[str, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_edu.train.FEW_STEPS", 0)
    config = replace(CONFIG, lr=0.02, backbone_lr=0.005, optimizer=name, weight_decay=0.01, schedule="constant")
    ours, theirs, images = small_net(heads=heads), small_net(heads=heads), tiny_data()
    loss = digit_and_parity if heads else F.cross_entropy
    head = list(theirs.linear.parameters())  # of all heads
    backbone = [weight for weight in theirs.parameters() if all(weight is not other for other in head)]
    optimizer = MAKE[name](
        [{"params": head, "lr": 0.02}, {"params": backbone, "lr": 0.005}], lr=1.0, weight_decay=0.01, foreach=False
    )
    by_hand(theirs, images, config, optimizer, loss)
    fit(ours, images, config, loss=loss)
    assert_same_weights(ours, theirs, rtol=1e-3, atol=1e-4)


def test_auxiliary_heads_learn_at_the_rate_of_the_head() -> None:
    net = models.build("googlenet", num_classes=10, in_channels=1, stem="small", width=8, aux_heads=True)
    head, backbone = make_optimizer(net, replace(CONFIG, backbone_lr=0.005)).param_groups
    assert [tuple(weight.shape) for weight in head["params"]].count((10,)) == 3
    assert (head["lr_scale"], backbone["lr_scale"]) == (1, pytest.approx(0.1))
    with pytest.raises(ValueError, match="no linear layer"):
        make_optimizer(nn.Conv2d(1, 1, 1), replace(CONFIG, backbone_lr=0.01))


def test_the_history_has_what_evaluate_says_of_the_validation_images() -> None:
    net, images = small_net(), replace(tiny_data(), test=noise(20, seed=2))
    history = fit(net, images, CONFIG)
    metrics = evaluate(net, images.val, precision="float32")
    assert (history.last.val_loss, history.last.val_error) == (metrics.loss, metrics.top1_error)
    assert [epoch.epoch for epoch in history.epochs] == [1, 2]


def test_the_device_is_waited_for_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []

    def counted(tensor: Tensor, before: Callable[[Tensor], float]) -> float:
        waits.append(before)
        return before(tensor)

    for name in ("item", "tolist", "__bool__", "__int__", "__float__"):
        monkeypatch.setattr(Tensor, name, partialmethod(counted, getattr(Tensor, name)))
    counts = []
    for images in (40, 80):
        waits.clear()
        fit(small_net(), tiny_data(images), replace(CONFIG, epochs=1))
        counts.append(len(waits))
    assert counts[1] - counts[0] == 5  # steps more


# Same seed, same numbers


def with_dropout() -> nn.Module:
    return nn.Sequential(small_net(num_classes=16), nn.Dropout(0.5), nn.Linear(16, 10))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_seed_gives_the_same_history_to_the_last_digit(precision: str) -> None:
    config = TrainConfig(epochs=2, batch_size=8, precision=precision, augment=data.AUGMENTATIONS, seed=5)
    images, runs = tiny_data(), []
    for _ in range(2):
        net = with_dropout()
        runs.append((net, fit(net, images, config)))
        torch.rand(7)  # what else was drawn does not matter
    (first, history), (second, again) = runs
    assert history.epochs == again.epochs
    assert_same_weights(first, second, rtol=0, atol=0)
    assert fit(with_dropout(), images, replace(config, seed=6)).epochs != history.epochs


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_precision_and_layout_are_those_asked_for(precision: str, channels_last: bool) -> None:
    seen, conv = set(), nn.Conv2d(3, 4, 3)
    net = nn.Sequential(conv, nn.Flatten(), nn.Linear(144, 10))
    net.to(memory_format=torch.channels_last)  # as an earlier run may have left it
    conv.register_forward_hook(
        lambda _, __, out: seen.add((out.dtype, out.is_contiguous(memory_format=torch.channels_last)))
    )
    fit(net, tiny_data(channels=3), replace(CONFIG, precision=precision, channels_last=channels_last))
    assert (machine.PRECISIONS[precision], channels_last) in seen
    assert conv.weight.is_contiguous() is not channels_last
    assert conv.weight.dtype == torch.float32


# A loss of one's own


def digit_and_parity(outputs: dict[str, Tensor], labels: Tensor) -> Tensor:
    return F.cross_entropy(outputs["digit"], labels) + F.cross_entropy(outputs["parity"], labels % 2)


def test_the_loss_is_what_is_brought_down_and_the_record_is_that_of_the_pass() -> None:
    images, seen = tiny_data(16), []

    def tripled(outputs: Tensor, labels: Tensor) -> Tensor:
        seen.append((outputs.detach().clone(), labels))
        return 3 * F.cross_entropy(outputs, labels)

    config = replace(CONFIG, epochs=1, schedule="steps", weight_decay=0.0, momentum=0.0, batch_size=4)
    record = fit(small_net(), images, config, loss=tripled).last
    same = fit(small_net(), images, replace(config, lr=0.15)).last
    outputs, labels = (torch.cat(parts) for parts in zip(*seen, strict=True))
    assert torch.equal(labels, images.train.labels[torch.randperm(16, generator=torch.Generator().manual_seed(0))])
    assert record.train_error == 100 * int((outputs.argmax(dim=1) != labels).sum()) / 16
    assert record.train_loss == pytest.approx(3 * same.train_loss, rel=1e-5)
    assert record.val_loss == pytest.approx(same.val_loss, rel=1e-5)  # the cross-entropy, not the tripled one
    assert record.lr == pytest.approx(0.05 * 0.01)  # the rate of the last step
    assert record.seconds > 0
    assert record.images_per_second == 16 / record.seconds


def test_several_heads_are_trained_together_and_errors_are_those_of_the_first() -> None:
    digits = data.load("mnist5k", size=16, limit=500)
    net = small_net(heads={"digit": 10, "parity": 2})
    history = fit(net, digits, TrainConfig(epochs=5, batch_size=32, lr=0.2, augment=()), loss=digit_and_parity)
    assert history.last.val_error == evaluate(net, digits.val).top1_error < 45  # 90 by chance
    with torch.no_grad():
        parity = net(digits.val.inputs())["parity"].argmax(dim=1)
    assert (parity != digits.val.labels % 2).float().mean() < 0.3  # 0.5 by chance
    assert history.last.train_loss > history.last.val_loss  # two losses against one


@pytest.mark.parametrize("heads", [None, {"digit": 10, "parity": 2}])
def test_googlenet_trains_with_its_auxiliary_heads(heads: dict[str, int] | None) -> None:
    options = {"heads": heads} if heads else {"num_classes": 10}
    net = models.build("googlenet", in_channels=1, stem="small", width=8, aux_heads=True, **options)  # type: ignore[arg-type]
    images, wrong = tiny_data(16), []

    def loss(outputs: models.GoogLeNetOutputs, labels: Tensor) -> Tensor:
        main, *others = (output["digit"] if isinstance(output, dict) else output for output in outputs)
        wrong.append(int((main.argmax(dim=1) != labels).sum()))
        auxiliary = sum(F.cross_entropy(logits, labels) for logits in others)
        return F.cross_entropy(main, labels) + models.AUXILIARY_WEIGHT * auxiliary

    weight = net.get_parameter("aux1.conv.conv.weight")
    before = weight.clone()
    history = fit(net, images, replace(CONFIG, epochs=1), loss=loss)
    assert history.last.train_error == 100 * sum(wrong) / 16
    assert not torch.equal(before, weight)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda outputs, labels: F.cross_entropy(outputs, labels, reduction="none"), r"a tensor of shape \(8,\), expe"),
        (lambda outputs, labels: F.cross_entropy(outputs, labels).item(), "a float, expected a scalar tensor"),
        (lambda outputs, labels: None, "a NoneType, expected a scalar tensor: end it in .mean"),
        (lambda outputs, labels: (outputs.argmax(dim=1) != labels).float().mean(), "without gradient.*argmax"),
    ],
)
def test_a_loss_that_cannot_be_brought_down_is_refused(loss: Loss, message: str) -> None:
    net = small_net()
    before = [parameter.clone() for parameter in net.parameters()]
    with pytest.raises(ValueError, match=r"loss\(outputs, labels\) returned.*" + message):
        fit(net, tiny_data(), CONFIG, loss=loss)
    assert all(torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True))
    assert not net.training


# It learns


def stripes(count: int, seed: int) -> Split:
    """Dark images of noise; those of class 1 are lighter on the left."""
    split = noise(count, classes=2, seed=seed)
    images = split.images // 4
    images[split.labels == 1, :, :, :4] += 90
    return replace(split, images=images)


def test_a_short_run_ends_with_statistics_that_fit_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it would know its training images by heart, and give every image one name in evaluation."""
    train, other = stripes(20, 0), stripes(40, 1)  # fewer than a batch: eight steps
    images, config = Data("stripes", train, other, other, ("a", "b"), ""), TrainConfig(epochs=8, batch_size=64)
    net = small_net(num_classes=2)
    history = fit(net, images, config)
    assert history.last.val_error == evaluate(net, other).top1_error < 20
    monkeypatch.setattr("resnet_edu.train.FEW_STEPS", 0)
    stale = fit(small_net(num_classes=2), images, config)
    assert [epoch.train_loss for epoch in stale.epochs] == [epoch.train_loss for epoch in history.epochs]
    assert stale.last.val_error > 40


# Runs that end early


def from_step(number: int, spoil: Callable[[Tensor], Tensor]) -> Loss:
    """The cross-entropy, spoiled from its n-th batch on."""
    steps = count(1)
    return lambda outputs, labels: (spoil if next(steps) >= number else torch.clone)(F.cross_entropy(outputs, labels))


def test_an_interrupt_in_a_batch_returns_the_epochs_so_far() -> None:
    def interrupt(_: Tensor) -> Tensor:
        raise KeyboardInterrupt

    net = small_net()
    history = fit(net, tiny_data(), replace(CONFIG, epochs=4), loss=from_step(13, interrupt))
    assert (len(history), history.interrupted, net.training) == (2, True, False)  # five batches an epoch


@pytest.mark.parametrize(("error", "interrupted"), [(KeyboardInterrupt, True), (StopTraining, False)])
def test_a_callback_can_stop_a_run_which_goes_as_a_whole_one_as_far_as_it_goes(
    error: type[BaseException], interrupted: bool
) -> None:
    def stop(epoch: Epoch, _: nn.Module) -> None:
        raise error

    whole, net = fit(small_net(), tiny_data(), CONFIG), small_net()
    part = fit(net, tiny_data(), CONFIG, callbacks=[stop])
    assert (part.epochs, part.interrupted, net.training) == (whole.epochs[:1], interrupted, False)


def test_callbacks_are_called_after_each_epoch_in_order_with_the_model_in_training_mode() -> None:
    calls: list[tuple[str, Epoch, nn.Module, bool]] = []
    net = small_net()
    callbacks = [lambda epoch, model, name=name: calls.append((name, epoch, model, model.training)) for name in "ab"]
    first, second = fit(net, tiny_data(), CONFIG, callbacks=callbacks).epochs
    assert calls == [(name, epoch, net, True) for epoch in (first, second) for name in "ab"]


def test_a_loss_that_is_not_finite_stops_the_run_before_it_spoils_the_weights() -> None:
    net = small_net()
    message = r"The loss became inf in epoch 2, step 3, at learning rate 0.05\. Try a learning rate ten times lower"
    with pytest.raises(LossNotFinite, match=message):
        fit(net, tiny_data(), replace(CONFIG, schedule="constant"), loss=from_step(8, lambda loss: loss / 0))
    assert all(parameter.isfinite().all() for parameter in net.parameters())
    assert not net.training
    with pytest.raises(LossNotFinite, match=r"loss became (nan|inf) in epoch 1, step \d, at learning rate 1e\+30"):
        fit(small_net(), tiny_data(), replace(CONFIG, lr=1e30, schedule="constant"))


# Bad input


def returning(make: Callable[[Tensor], object], *, in_evaluation: bool = True) -> nn.Module:
    """A net that makes something else of its logits."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    net.register_forward_hook(lambda net, _, logits: make(logits) if net.training or in_evaluation else logits)  # pyright: ignore
    return net


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda logits: {"digit": logits}, "a dict"),
        (lambda logits: (logits, logits), "a tuple"),
        (lambda logits: logits[:, :, None, None], r"shape \(\d+, 10, 1, 1\)"),
        (lambda logits: logits[:1], r"shape \(1, 10\)"),
    ],
)
def test_a_model_that_returns_no_logits_is_refused(make: Callable[[Tensor], object], got: str) -> None:
    message = rf"The model returned {got} for \d+ images, expected one .* build it without heads .*, or give fit a loss"
    for net in (returning(make), returning(make, in_evaluation=False)):  # GoogLeNet's auxiliary heads are like that
        with pytest.raises(ValueError, match=message):
            fit(net, tiny_data(), CONFIG)
    if got != "a dict":
        with pytest.raises(ValueError, match=message):
            evaluate(returning(make), noise(20))
        with pytest.raises(ValueError, match=message):
            fit(returning(make), tiny_data(), CONFIG, loss=lambda outputs, labels: outputs[0].mean())


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (lambda: small_net(num_classes=3), r"tells 3 classes apart, but noise has 10: build it with num_classes=10"),
        (lambda: small_net(in_channels=3), r"built for 3 channel\(s\).*in_channels=1"),
        (lambda: own(nn.Conv2d(3, 4, 3)), r"does not take the images of noise, \(1, 8, 8\) each: .*3 channels"),
        (lambda: own(nn.Conv2d(1, 4, 9)), r"does not take the images of noise, \(1, 8, 8\) each: .*[Kk]ernel size"),
        (lambda: models.build("alexnet", in_channels=1, width=2), r"AlexNet got .*\(2, 1, 8, 8\), but needs sides of"),
        (lambda: small_net().requires_grad_(False), "no trainable parameters"),
    ],
)
def test_a_network_that_does_not_fit_the_images_is_refused(net: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(net(), tiny_data(), CONFIG)


def test_options_that_exclude_a_loss_of_ones_own_are_refused() -> None:
    with pytest.raises(ValueError, match=r"tells 2 classes apart, but noise has 10"):  # by its first head
        fit(small_net(heads={"parity": 2, "digit": 10}), tiny_data(), CONFIG, loss=digit_and_parity)
    with pytest.raises(ValueError, match=r"label_smoothing=0.1 belongs to the default loss.*Smooth inside your own"):
        fit(small_net(), tiny_data(), replace(CONFIG, label_smoothing=0.1), loss=F.cross_entropy)


def test_what_is_no_network_data_set_or_config_is_refused() -> None:
    other: Any = [1, 2]
    for given, told in (
        ((small_net(), other, CONFIG), "a data set, such as"),
        ((other, tiny_data(), CONFIG), "a network, a torch.nn.Module"),
        ((small_net(), tiny_data(), other), "its settings as an edu.TrainConfig"),
    ):
        with pytest.raises(ValueError, match=rf"fit takes {told}.* got a list"):
            fit(*given)
    images = tiny_data()
    one = replace(images, train=replace(images.train, labels=torch.full((40,), 3)))
    with pytest.raises(ValueError, match="All training images of noise are of one class"):
        fit(small_net(), one, CONFIG)


def test_one_number_per_channel_is_no_batch_for_batch_norm() -> None:
    net = own(nn.Conv2d(1, 4, 8), nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        fit(net, tiny_data(), replace(CONFIG, batch_size=1))
    models.freeze(net[1])
    assert len(fit(net, tiny_data(6), replace(CONFIG, batch_size=1))) == 2


def test_a_dry_run_changes_nothing() -> None:
    net = small_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    check_fits(net, tiny_data())
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
