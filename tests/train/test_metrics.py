"""`evaluate` against definitions and scikit-learn, and batch norm measured anew against the formula."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch import nn
from torch.nn import functional as F
from training import noise, small_net, tiny_data

from resnet_edu import evaluate, models
from resnet_edu.errors import LossNotFinite
from resnet_edu.metrics import recompute_batch_norm, right_by_class

# evaluate: definitions


@pytest.mark.parametrize("classes", [2, 5, 7, 12])
def test_evaluate_follows_the_definitions(classes: int) -> None:
    split = noise(1203, classes=classes)  # three batches, the last one incomplete
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, classes))
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


def test_evaluate_measures_the_first_of_several_heads() -> None:
    split, net = noise(30), small_net(heads={"digit": 10, "parity": 2})
    with torch.no_grad():
        logits = net.eval()(split.inputs())["digit"]
    metrics = evaluate(net, split, precision="float32")
    assert metrics.loss == pytest.approx(F.cross_entropy(logits, split.labels).item(), rel=1e-5)
    assert metrics.top1_error == 100 * int((logits.argmax(dim=1) != split.labels).sum()) / 30


def test_evaluate_leaves_the_model_as_it_was() -> None:
    net = small_net().train()
    net.bn1.eval()  # frozen by hand
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = {name: module.training for name, module in net.named_modules()}
    first, again = evaluate(net, noise(20)), evaluate(net, noise(20))
    assert first.loss == again.loss
    assert {name: module.training for name, module in net.named_modules()} == modes
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    net(noise(20).inputs()).sum().backward()  # no trace of inference mode


def test_the_share_of_a_class_is_of_its_own_images() -> None:
    confusion = torch.tensor([[8, 2, 0], [1, 3, 0], [0, 0, 0]])
    assert right_by_class(confusion, ("a", "b", "none")) == {"a": 80, "b": 75}


# evaluate: bad input


def test_a_network_that_returns_no_finite_logits_is_said_to() -> None:
    net = small_net()
    net.conv1.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(LossNotFinite, match=r"For 20 of 20 images .*\(conv1.weight has numbers that are not finite\)"):
        evaluate(net, noise(20))
    inside = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Threshold(0.0, float("inf")))
    with pytest.raises(LossNotFinite, match="all weights are finite"):
        evaluate(inside, noise(20))


def test_what_is_no_split_is_refused() -> None:
    data: Any = tiny_data()
    tensor: Any = torch.rand(2, 1, 8, 8)
    with pytest.raises(ValueError, match=r"evaluate takes one part of .* got a Data\. Choose .*\(model, data\.test\)"):
        evaluate(small_net(), data)
    with pytest.raises(ValueError, match=r"evaluate takes one part .* a Split, got a Tensor\. See edu\.data\.load"):
        evaluate(small_net(), tensor)


def test_labels_beyond_the_classes_are_refused() -> None:
    split = replace(noise(20), labels=torch.full((20,), 7))
    with pytest.raises(ValueError, match=r"labels go up to 7, but the model tells 3 classes apart.*num_classes=8"):
        evaluate(small_net(num_classes=3), split)
    assert evaluate(small_net(num_classes=12), split).confusion.shape == (12, 12)


# Batch norm measured anew


@pytest.mark.parametrize("count", [20, 501, 700])  # one batch; two
def test_statistics_are_those_of_all_images_in_whatever_order(count: int) -> None:
    dropout, norm, split = nn.Dropout(0.5), nn.BatchNorm2d(1), noise(count)
    split = replace(split, images=split.images.sort(dim=0).values)  # like a folder, where a class stands together
    net = nn.Sequential(dropout, norm, nn.Flatten(), nn.Linear(64, 10))
    recompute_batch_norm(net.train(), split, precision="float32")
    assert norm.running_mean is not None
    assert norm.running_var is not None
    values = split.inputs()
    torch.testing.assert_close(norm.running_mean[0], values.mean(), rtol=0, atol=1e-6 if count == 20 else 0.002)
    torch.testing.assert_close(norm.running_var[0], values.var(), rtol=1e-5 if count == 20 else 0.01, atol=0)
    assert (norm.momentum, norm.training, dropout.training) == (0.1, True, True)


def test_statistics_are_the_old_ones_where_the_measuring_is_stopped() -> None:
    net, calls = small_net(), iter((None, None, KeyboardInterrupt))  # two batches each time

    def stop(*_: object) -> None:
        if error := next(calls):
            raise error

    net.layer3.register_forward_pre_hook(stop)
    recompute_batch_norm(net, noise(501))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(KeyboardInterrupt):
        recompute_batch_norm(net, noise(501))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_what_is_frozen_keeps_its_statistics() -> None:
    net = small_net()
    models.freeze(net.bn1)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    recompute_batch_norm(net, noise(20))
    changed = {name for name, value in net.state_dict().items() if not torch.equal(before[name], value)}
    assert "layer1.0.bn1.running_var" in changed
    assert not any(name.startswith("bn1.") or name.endswith(("weight", "bias")) for name in changed)
