"""`fit` and `evaluate` against a loop written by hand, against definitions, and against themselves."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR

from resnet_edu import Epoch, TrainConfig, data, evaluate, fit, machine, models
from resnet_edu.data import Data, Split, training_batches
from resnet_edu.errors import LossNotFinite, UnknownName
from resnet_edu.models import CifarNet
from resnet_edu.train import Loss, check_fits, make_optimizer


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors on busy cores: threads that wait for each other cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def noise(count: int, *, classes: int = 10, channels: int = 1, side: int = 8, seed: int = 0) -> Split:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, channels, side, side), dtype=torch.uint8, generator=generator)
    labels = torch.randint(classes, (count,), generator=generator)
    return Split(images, labels, (0.5,) * channels, (0.25,) * channels)


def some_data(count: int = 40, *, classes: int = 10, channels: int = 1) -> Data:
    train, test = (
        noise(count, classes=classes, channels=channels),
        noise(20, classes=classes, channels=channels, seed=1),
    )
    return Data("noise", train, test, test, tuple(map(str, range(classes))), "made up")


def small_net(seed: int = 0, **options: object) -> CifarNet:
    torch.manual_seed(seed)
    heads = options.pop("heads", None)
    net = CifarNet(8, residual=True, width=4, **{"in_channels": 1, **options})  # pyright: ignore[reportArgumentType]
    if heads:
        models.replace_head(net, heads)  # type: ignore[arg-type]
    return net


CONFIG = TrainConfig(epochs=2, batch_size=8, lr=0.05, augment=(), precision="float32", channels_last=False)


def assert_same_weights(one: nn.Module, two: nn.Module, *, rtol: float, atol: float) -> None:
    for (name, mine), theirs in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=rtol, atol=atol, msg=lambda text, name=name: f"{name}: {text}")


# Oracle: the loop of the tutorials


def by_hand(model: nn.Module, data: Data, config: TrainConfig, optimizer: optim.Optimizer) -> list[float]:
    """Plain training in float32 without anything of `train.py`; the loss of every epoch."""
    generator = torch.Generator().manual_seed(config.seed)
    mean, std, steps = data.train.mean[0], data.train.std[0], len(data.train) // config.batch_size
    scheduler = OneCycleLR(optimizer, config.lr, total_steps=config.epochs * steps, cycle_momentum=False)
    losses = []
    for _ in range(config.epochs):
        model.train()
        order, total = torch.randperm(len(data.train), generator=generator), 0.0
        for step in range(steps):
            indices = order[step * config.batch_size : (step + 1) * config.batch_size]
            images = (data.train.images[indices] / 255 - mean) / std
            loss = F.cross_entropy(model(images), data.train.labels[indices], label_smoothing=config.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item()
        losses.append(total / steps)
    return losses


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_fit_is_the_loop_of_the_tutorials(name: str, channels_last: bool) -> None:
    lr = 0.05 if name == "sgd" else 0.002
    config = replace(
        CONFIG, lr=lr, optimizer=name, weight_decay=0.01, label_smoothing=0.1, channels_last=channels_last, seed=3
    )
    ours, theirs, noise = small_net(), small_net(), some_data()
    make = {
        "sgd": partial(optim.SGD, momentum=0.9),
        "adam": optim.Adam,
        "adamw": optim.AdamW,
    }[name]
    optimizer = make(theirs.parameters(), lr=lr, weight_decay=0.01, foreach=False)
    losses = by_hand(theirs, noise, config, optimizer)
    history = fit(ours, noise, config)
    assert [epoch.train_loss for epoch in history.epochs] == pytest.approx(losses, rel=1e-4)
    assert_same_weights(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_head_and_backbone_learn_at_rates_of_their_own(name: str) -> None:
    config = replace(CONFIG, lr=0.02, backbone_lr=0.005, optimizer=name, weight_decay=0.01, schedule="constant")
    ours, theirs, noise = small_net(), small_net(), some_data()
    head = list(theirs.linear.parameters())
    backbone = [weight for weight in theirs.parameters() if all(weight is not other for other in head)]
    make = {"sgd": partial(optim.SGD, momentum=0.9), "adamw": optim.AdamW}[name]
    groups = [{"params": head, "lr": 0.02}, {"params": backbone, "lr": 0.005}]
    generator = torch.Generator().manual_seed(config.seed)
    optimizer = make(groups, lr=1.0, weight_decay=0.01, foreach=False)
    theirs.train()
    for _ in range(config.epochs):
        for images, labels in training_batches(noise.train, config.batch_size, generator=generator):
            optimizer.zero_grad()
            F.cross_entropy(theirs(images), labels).backward()
            optimizer.step()
    fit(ours, noise, config)
    assert_same_weights(ours, theirs, rtol=1e-3, atol=1e-4)
    rates = [[group["lr"] for group in make_optimizer(ours, each).param_groups] for each in (config, CONFIG)]
    assert [len(rate) for rate in rates] == [2, 1]


def test_two_rates_need_a_head() -> None:
    with pytest.raises(ValueError, match="no linear layer"):
        make_optimizer(nn.Conv2d(1, 1, 1), replace(CONFIG, backbone_lr=0.01))


def test_train_error_and_rate_are_those_of_the_pass() -> None:
    noise, seen = some_data(16), []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

        def forward(self, x: Tensor) -> Tensor:
            logits = self.net(x)
            if self.training:
                seen.append(logits.detach().clone())
            return logits

    config = replace(CONFIG, epochs=1, schedule="steps", batch_size=4)
    record = fit(Spy(), noise, config).last
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    wrong = torch.cat(seen).argmax(dim=1) != noise.train.labels[order]
    assert record.train_error == 100 * int(wrong.sum()) / 16
    assert record.lr == pytest.approx(0.05 * 0.01)  # the rate of the last step
    assert record.seconds > 0
    assert record.images_per_second == 16 / record.seconds


def test_the_history_has_what_evaluate_says() -> None:
    net, noise = small_net(), some_data()
    history = fit(net, noise, CONFIG)
    metrics = evaluate(net, noise.val, precision="float32")
    assert (history.last.val_loss, history.last.val_error) == (metrics.loss, metrics.top1_error)
    assert [epoch.epoch for epoch in history.epochs] == [1, 2]
    assert not history.interrupted
    assert not net.training


# Same seed, same numbers


class WithDropout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.dropout, self.head = small_net(num_classes=16), nn.Dropout(0.5), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.net(x)))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_seed_gives_the_same_history_to_the_last_digit(precision: str) -> None:
    config = TrainConfig(
        epochs=2, batch_size=8, precision=precision, augment=("crop", "flip", "rotation", "colour"), seed=5
    )
    noise, runs = some_data(), []
    for _ in range(2):
        net = WithDropout()
        runs.append((net, fit(net, noise, config)))
        torch.rand(7)  # what else was drawn does not matter
    (first, history), (second, again) = runs
    assert history.epochs == again.epochs
    assert_same_weights(first, second, rtol=0, atol=0)
    other = fit(WithDropout(), noise, replace(config, seed=6))
    assert other.epochs != history.epochs


def test_bfloat16_stays_close_to_float32() -> None:
    noise = some_data()
    exact = fit(small_net(), noise, replace(CONFIG, epochs=1))
    rounded = fit(small_net(), noise, replace(CONFIG, epochs=1, precision="bfloat16", channels_last=True))
    assert rounded.last.train_loss == pytest.approx(exact.last.train_loss, rel=0.03)
    assert rounded.last.train_loss != exact.last.train_loss


# The switches of the fast path


class Recorder(nn.Module):
    """A network that keeps the type and layout of what its first convolution sees."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 10)
        self.seen: set[tuple[torch.dtype, bool]] = set()

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        if self.training:
            self.seen.add((out.dtype, out.is_contiguous(memory_format=torch.channels_last)))
        return self.head(out.mean(dim=(2, 3)))


@pytest.mark.parametrize("augment", [(), ("crop",)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_precision_and_layout_are_those_asked_for(
    precision: str, channels_last: bool, augment: tuple[str, ...]
) -> None:
    net = Recorder().to(memory_format=torch.channels_last)  # as an earlier run may have left it
    config = replace(CONFIG, epochs=1, precision=precision, channels_last=channels_last, augment=augment)
    fit(net, some_data(channels=3), config)
    assert net.seen == {(machine.PRECISIONS[precision], channels_last)}
    assert net.conv.weight.is_contiguous() is not channels_last
    assert net.conv.weight.dtype == torch.float32


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_optimizer_has_the_options_of_the_config(name: str, fused: bool) -> None:
    config = replace(CONFIG, optimizer=name, fused=fused, weight_decay=0.02, momentum=0.7)
    optimizer = make_optimizer(small_net(), config)
    assert type(optimizer).__name__.lower() == name
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.05, 0.02)
    assert bool(group["fused"]) is fused
    assert group.get("momentum", 0.7) == 0.7


def test_frozen_weights_stay() -> None:
    net = small_net()
    net.conv1.requires_grad_(False)
    before = {name: parameter.clone() for name, parameter in net.named_parameters()}
    fit(net, some_data(), CONFIG)
    changed = {name for name, parameter in net.named_parameters() if not torch.equal(before[name], parameter)}
    assert changed == before.keys() - {"conv1.weight"}


# A loss of one's own


def digit_and_parity(outputs: dict[str, Tensor], labels: Tensor) -> Tensor:
    return F.cross_entropy(outputs["digit"], labels) + F.cross_entropy(outputs["parity"], labels % 2)


def test_the_default_loss_handed_in_gives_the_same_history_to_the_last_digit() -> None:
    ours, theirs = small_net(), small_net()
    assert fit(ours, some_data(), CONFIG).epochs == fit(theirs, some_data(), CONFIG, loss=F.cross_entropy).epochs
    assert_same_weights(ours, theirs, rtol=0, atol=0)


def test_the_loss_gets_outputs_and_labels_and_is_what_is_brought_down() -> None:
    noise, seen = some_data(16), []

    def tripled(outputs: Tensor, labels: Tensor) -> Tensor:
        seen.append((outputs.shape, labels.dtype, labels))
        return 3 * F.cross_entropy(outputs, labels)

    config = replace(CONFIG, epochs=1, schedule="constant")
    record = fit(small_net(), noise, replace(config, weight_decay=0.0, momentum=0.0), loss=tripled).last
    same = fit(small_net(), noise, replace(config, weight_decay=0.0, momentum=0.0, lr=0.15)).last
    assert [(shape, dtype) for shape, dtype, _ in seen] == [((8, 10), torch.int64)] * 2
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat([labels for *_, labels in seen]), noise.train.labels[order])
    assert record.train_loss == pytest.approx(3 * same.train_loss, rel=1e-5)
    assert record.val_loss == pytest.approx(same.val_loss, rel=1e-5)  # the cross-entropy, not the tripled one


def test_several_heads_are_trained_together_and_errors_are_those_of_the_first() -> None:
    digits = data.load("mnist5k", size=16, limit=500)
    digits = replace(digits, val=digits.test.subset(torch.arange(300)))
    net = small_net(heads={"digit": 10, "parity": 2})
    history = fit(net, digits, TrainConfig(epochs=5, batch_size=32, lr=0.2, augment=()), loss=digit_and_parity)
    odd = replace(digits.val, labels=digits.val.labels % 2)
    assert history.last.val_error == evaluate(net, digits.val, head="digit").top1_error < 45  # 90 by chance
    parity = evaluate(net, odd, head="parity")
    assert parity.top1_error < 30  # 50 by chance
    assert parity.confusion.shape == (2, 2)
    assert history.last.train_loss > history.last.val_loss  # two losses against one


def test_a_head_without_a_part_in_the_loss_stays() -> None:
    net = small_net(heads={"digit": 10, "parity": 2})
    before = {name: value.clone() for name, value in net.state_dict().items()}
    config = replace(CONFIG, weight_decay=0.1)
    fit(net, some_data(), config, loss=lambda outputs, labels: F.cross_entropy(outputs["digit"], labels))
    changed = {name for name, value in net.state_dict().items() if not torch.equal(before[name], value)}
    assert changed == {name for name in before if "parity" not in name}


@pytest.mark.parametrize("heads", [None, {"digit": 10, "parity": 2}])
def test_googlenet_trains_with_its_auxiliary_heads(heads: dict[str, int] | None) -> None:
    torch.manual_seed(0)
    net = models.build(
        "googlenet",
        num_classes=None if heads else 10,
        in_channels=1,
        stem="small",
        width=8,
        aux_heads=True,
        heads=heads,
    )
    noise, wrong = some_data(16), []

    def loss(outputs: models.GoogLeNetOutputs, labels: Tensor) -> Tensor:
        main, *others = (output["digit"] if isinstance(output, dict) else output for output in outputs)
        wrong.append(int((main.argmax(dim=1) != labels).sum()))
        auxiliary = sum(F.cross_entropy(logits, labels) for logits in others)
        return F.cross_entropy(main, labels) + models.AUXILIARY_WEIGHT * auxiliary

    before = net.aux1.conv.conv.weight.clone()  # pyright: ignore
    history = fit(net, noise, replace(CONFIG, epochs=1), loss=loss)
    assert history.last.train_error == 100 * sum(wrong) / 16
    assert not torch.equal(before, net.aux1.conv.conv.weight)  # pyright: ignore


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            lambda outputs, labels: F.cross_entropy(outputs, labels, reduction="none"),
            r"a tensor of shape \(8,\), expec",
        ),
        (lambda outputs, labels: F.cross_entropy(outputs, labels).item(), "a float, expected a scalar tensor"),
        (lambda outputs, labels: None, "a NoneType, expected a scalar tensor: end it in .mean"),
        (lambda outputs, labels: (outputs.argmax(dim=1) != labels).float().mean(), "without gradient.*argmax"),
    ],
)
def test_a_loss_that_cannot_be_brought_down_is_refused(loss: Loss, message: str) -> None:
    net = small_net()
    before = [parameter.clone() for parameter in net.parameters()]
    with pytest.raises(ValueError, match=r"loss\(outputs, labels\) returned.*" + message):
        fit(net, some_data(), CONFIG, loss=loss)
    assert all(torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True))
    assert not net.training


def test_a_loss_of_ones_own_that_is_not_finite_stops_the_run() -> None:
    with pytest.raises(LossNotFinite, match=r"The loss became inf in epoch 1, step 1, at learning rate"):
        fit(small_net(), some_data(), CONFIG, loss=lambda outputs, labels: F.cross_entropy(outputs, labels) / 0)


def test_label_smoothing_and_a_loss_of_ones_own_exclude_each_other() -> None:
    with pytest.raises(ValueError, match=r"label_smoothing=0.1 belongs to the default loss.*Smooth inside your own"):
        fit(small_net(), some_data(), replace(CONFIG, label_smoothing=0.1), loss=F.cross_entropy)


def test_too_few_outputs_of_the_first_head_are_refused() -> None:
    with pytest.raises(ValueError, match=r"tells 2 classes apart, but noise has 10"):
        fit(small_net(heads={"parity": 2, "digit": 10}), some_data(), CONFIG, loss=digit_and_parity)


def test_evaluate_measures_the_head_asked_for() -> None:
    split, net = noise(30), small_net(heads={"digit": 10, "parity": 2})
    odd = replace(split, labels=split.labels % 2)
    with torch.no_grad():
        outputs = net.eval()(split.inputs())
    for head, labelled in (("digit", split), ("parity", odd)):
        metrics = evaluate(net, labelled, head=head, precision="float32")
        assert metrics.loss == pytest.approx(F.cross_entropy(outputs[head], labelled.labels).item(), rel=1e-5)
        assert metrics.top1_error == 100 * int((outputs[head].argmax(dim=1) != labelled.labels).sum()) / 30
    assert evaluate(net, split).loss == evaluate(net, split, head="digit").loss
    with pytest.raises(UnknownName, match=r"Unknown head 'parties'. Did you mean 'parity'\?"):
        evaluate(net, split, head="parties")
    with pytest.raises(ValueError, match=r"has no heads, so none named 'digit'"):
        evaluate(small_net(), split, head="digit")


# It learns


def test_a_small_net_learns_digits() -> None:
    digits = data.load("mnist5k", size=16, limit=500)
    digits = replace(digits, val=digits.test.subset(torch.arange(300)))
    torch.manual_seed(0)
    net = CifarNet(8, residual=True, width=4, in_channels=1)
    history = fit(net, digits, TrainConfig(epochs=5, batch_size=32, lr=0.2, augment=()))
    assert history.last.val_error < 45  # 90 by chance
    assert history.last.train_loss < history.epochs[0].train_loss


# Runs that end early


class Wrapped(nn.Module):
    """A net that does something before its n-th training batch."""

    def __init__(self, batch: int, action: Exception | KeyboardInterrupt) -> None:
        super().__init__()
        self.net, self.batch, self.action, self.count = small_net(), batch, action, 0

    def forward(self, x: Tensor) -> Tensor:
        self.count += self.training
        if self.count == self.batch:
            raise self.action
        return self.net(x)


def test_an_interrupt_in_a_batch_returns_the_epochs_so_far() -> None:
    net = Wrapped(13, KeyboardInterrupt())  # five batches an epoch: in the third
    history = fit(net, some_data(), replace(CONFIG, epochs=4))
    assert (len(history), history.interrupted, net.training) == (2, True, False)


def test_an_interrupt_in_a_callback_returns_the_epochs_so_far() -> None:
    def stop(epoch: Epoch, _: nn.Module) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    net = small_net()
    history = fit(net, some_data(), replace(CONFIG, epochs=4), callbacks=[stop])
    assert ([epoch.epoch for epoch in history.epochs], history.interrupted) == ([1, 2], True)
    assert not net.training


def test_an_interrupted_run_goes_as_a_whole_one_as_far_as_it_goes() -> None:
    def stop(epoch: Epoch, _: nn.Module) -> None:
        raise KeyboardInterrupt

    whole = fit(small_net(), some_data(), CONFIG)
    part = fit(small_net(), some_data(), CONFIG, callbacks=[stop])
    assert part.epochs == whole.epochs[:1]


def test_callbacks_are_called_after_each_epoch_in_order() -> None:
    calls: list[tuple[str, Epoch, nn.Module]] = []
    net = small_net()
    history = fit(
        net,
        some_data(),
        CONFIG,
        callbacks=[lambda epoch, model: calls.append(("a", epoch, model)), lambda e, m: calls.append(("b", e, m))],
    )
    first, second = history.epochs
    assert calls == [("a", first, net), ("b", first, net), ("a", second, net), ("b", second, net)]


def test_another_error_is_not_swallowed() -> None:
    net = Wrapped(2, RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        fit(net, some_data(), CONFIG)
    assert not net.training


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    class Explodes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.count = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), 0

        def forward(self, x: Tensor) -> Tensor:
            self.count += self.training
            return self.net(x) * (float("inf") if self.count == 8 else 1)  # five batches an epoch

    net = Explodes()
    message = r"The loss became nan in epoch 2, step 3, at learning rate 0.05\. Try a learning rate ten times lower"
    with pytest.raises(LossNotFinite, match=message):
        fit(net, some_data(), replace(CONFIG, schedule="constant"))
    assert all(parameter.isfinite().all() for parameter in net.parameters())
    assert not net.training


def test_a_rate_far_too_high_is_reported_as_such() -> None:
    with pytest.raises(LossNotFinite, match=r"loss became (nan|inf) in epoch 1, step \d, at learning rate 1e\+30"):
        fit(small_net(), some_data(), replace(CONFIG, lr=1e30, schedule="constant"))


def test_a_validation_loss_that_is_not_finite_stops_the_run() -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x) if self.training else self.net(x) * float("nan")

    with pytest.raises(LossNotFinite, match=r"The validation loss became nan in epoch 1, step 5"):
        fit(Fails(), some_data(), CONFIG)


# evaluate: definitions


def table_net(split: Split, classes: int) -> nn.Module:
    side = split.images[0].numel()
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(side, classes))


@pytest.mark.parametrize("classes", [2, 5, 7, 12])
def test_evaluate_follows_the_definitions(classes: int) -> None:
    split = noise(1203, classes=classes)  # three batches, the last one incomplete
    net = table_net(split, classes)
    metrics = evaluate(net, split, precision="float32")
    with torch.no_grad():
        logits = net(split.inputs())  # (N, classes)
    own = logits.gather(1, split.labels[:, None])  # the label's logit
    rank = (logits > own).sum(dim=1)  # how many classes are ahead of the label
    assert metrics.top1_error == 100 * int((rank >= 1).sum()) / 1203
    assert metrics.top5_error == 100 * int((rank >= 5).sum()) / 1203
    assert metrics.loss == pytest.approx(F.cross_entropy(logits.double(), split.labels).item(), rel=1e-5)
    theirs = confusion_matrix(split.labels, logits.argmax(dim=1), labels=range(classes))
    assert metrics.confusion.tolist() == theirs.tolist()
    assert metrics.confusion.dtype == torch.int64


def test_an_error_is_a_whole_number_of_images() -> None:
    class Says(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.one_hot((x[:, 0, 0, 0] > 0).long(), 2).float()

    images = torch.zeros(1000, 1, 1, 1, dtype=torch.uint8)
    labels = torch.zeros(1000, dtype=torch.int64)
    labels[17] = 1
    metrics = evaluate(Says(), Split(images, labels, (0.0,), (1.0,)))
    assert (metrics.top1_error, metrics.top5_error) == (0.1, 0.0)
    assert metrics.confusion.tolist() == [[999, 0], [1, 0]]


def test_evaluate_leaves_the_model_as_it_was() -> None:
    net = small_net()
    net.train()
    net.bn1.eval()  # frozen by hand
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = {name: module.training for name, module in net.named_modules()}
    first, again = evaluate(net, noise(20)), evaluate(net, noise(20))
    assert first.loss == again.loss
    assert {name: module.training for name, module in net.named_modules()} == modes
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    net(noise(20).inputs()).sum().backward()  # no trace of inference mode


def test_modes_are_restored_when_the_model_fails() -> None:
    net = Wrapped(0, RuntimeError("broken"))  # fails in evaluation mode, before any training batch
    net.net.bn1.eval()
    with pytest.raises(RuntimeError, match="broken"):
        evaluate(net, noise(20))
    assert net.training
    assert net.net.training
    assert not net.net.bn1.training


def test_a_callback_sees_the_model_in_training_mode() -> None:
    net, seen = small_net(), []

    def look(_: Epoch, model: nn.Module) -> None:
        seen.append(model.training)

    fit(net, some_data(), CONFIG, callbacks=[look])
    assert seen == [True, True]  # evaluate gave the mode back


def test_the_batch_size_of_an_evaluation_does_not_matter() -> None:
    split, net = noise(30), small_net()
    parts = [evaluate(net, split.subset(torch.arange(start, start + 10)), precision="float32") for start in (0, 10, 20)]
    whole = evaluate(net, split, precision="float32")
    assert whole.loss == pytest.approx(sum(part.loss for part in parts) / 3, rel=1e-5)
    assert torch.equal(whole.confusion, sum((part.confusion for part in parts), torch.zeros_like(whole.confusion)))


# Bad input


class Returns(nn.Module):
    """A net that returns something else than logits, perhaps only in training mode."""

    def __init__(self, kind: str, only_training: bool = False) -> None:
        super().__init__()
        self.linear, self.kind, self.only_training = nn.Linear(64, 10), kind, only_training

    def forward(self, x: Tensor) -> object:
        logits = self.linear(x.flatten(1))
        if self.only_training and not self.training:
            return logits
        return {
            "dict": {"digit": logits},
            "tuple": (logits, logits),
            "map": logits[:, :, None, None],
            "one image": logits[:1],
        }[self.kind]


@pytest.mark.parametrize(
    ("kind", "got"),
    [("dict", "a dict"), ("tuple", "a tuple"), ("map", r"shape \(\d+, 10, 1, 1\)"), ("one image", r"shape \(1, 10\)")],
)
def test_a_model_that_returns_no_logits_is_refused(kind: str, got: str) -> None:
    message = rf"The model returned {got} for \d+ images, expected one tensor of logits \(\d+, classes\)"
    with pytest.raises(ValueError, match=message):
        fit(Returns(kind), some_data(), CONFIG)
    with pytest.raises(ValueError, match=message):
        fit(Returns(kind, only_training=True), some_data(), CONFIG)  # as GoogLeNet with auxiliary heads
    if kind != "dict":
        with pytest.raises(ValueError, match=message):
            evaluate(Returns(kind), noise(20))
        with pytest.raises(ValueError, match=message):
            fit(Returns(kind), some_data(), CONFIG, loss=lambda outputs, labels: outputs[0].mean())


def test_several_heads_need_a_loss_of_their_own() -> None:
    with pytest.raises(ValueError, match=r"returned a dict .* build it without heads .*, or give fit a loss for them"):
        fit(small_net(heads={"digit": 10, "parity": 2}), some_data(), CONFIG)


def test_too_few_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"tells 3 classes apart, but noise has 10: build it with num_classes=10"):
        fit(small_net(num_classes=3), some_data(), CONFIG)
    split = replace(noise(20), labels=torch.full((20,), 7))
    with pytest.raises(ValueError, match=r"labels go up to 7, but the model tells 3 classes apart.*num_classes=8"):
        evaluate(small_net(num_classes=3), split)


def test_more_outputs_than_classes_are_fine() -> None:
    net = small_net(num_classes=12)
    assert len(fit(net, some_data(), replace(CONFIG, epochs=1))) == 1
    assert evaluate(net, noise(20)).confusion.shape == (12, 12)


def test_wrong_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"built for 3 channel\(s\).*in_channels=1"):
        fit(small_net(in_channels=3), some_data(), CONFIG)
    own = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 10))  # says nothing itself
    with pytest.raises(ValueError, match=r"does not take the images of noise, \(1, 8, 8\) each: .*3 channels"):
        fit(own, some_data(), CONFIG)


def test_too_small_an_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"AlexNet got images of shape \(2, 1, 8, 8\), but needs sides of at least"):
        fit(models.build("alexnet", num_classes=10, in_channels=1, width=2), some_data(), CONFIG)
    own = nn.Sequential(nn.Conv2d(1, 4, 9), nn.Flatten(), nn.Linear(4, 10))
    with pytest.raises(ValueError, match=r"does not take the images of noise, \(1, 8, 8\) each: .*[Kk]ernel size"):
        fit(own, some_data(), CONFIG)


def test_a_model_without_trainable_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="no trainable parameters"):
        fit(small_net().requires_grad_(False), some_data(), CONFIG)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"precision 'bf16'.*bfloat16"):
        evaluate(small_net(), noise(20), precision="bf16")


def test_a_dry_run_changes_nothing() -> None:
    net = small_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    check_fits(net, some_data())
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_lazy_layers_can_be_trained() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    assert len(fit(net, some_data(), CONFIG)) == 2


# Progress


@pytest.mark.parametrize("variable", ["CI", "RESNET_EDU_QUIET"])
def test_fit_is_silent_where_nobody_looks(
    variable: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fit(small_net(), some_data(), CONFIG)
    assert capfd.readouterr() == ("", "")


def test_fit_shows_a_bar_where_somebody_looks(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("RESNET_EDU_QUIET", raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fit(small_net(), some_data(), CONFIG)
    out, err = capfd.readouterr()
    assert out == ""
    assert "train on noise" in err
    assert "epoch" in err
