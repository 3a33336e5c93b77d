"""Loss surfaces: equal to a model moved by hand, and filter-normalised."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu.errors import UnknownName
from resnet_edu.models import CifarNet
from resnet_edu.probe import Surface, loss_surface, random_direction


def batch(n: int = 6, side: int = 8) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 1, side, side, generator=torch.Generator().manual_seed(0)), torch.arange(n) % 3


def small_net() -> CifarNet:
    torch.manual_seed(0)
    return CifarNet(8, width=4, num_classes=3, in_channels=1)


def directions(model: nn.Module, seed: int) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [random_direction(model, generator=generator) for _ in range(2)]


def test_each_point_equals_a_model_moved_by_hand() -> None:
    model, (images, labels) = small_net(), batch()
    surface = loss_surface(model, images, labels, steps=3, span=0.5, seed=7, precision="float32")
    first, second = directions(model, 7)
    for i, alpha in enumerate((-0.5, 0.0, 0.5)):
        for j, beta in enumerate((-0.5, 0.0, 0.5)):
            moved = copy.deepcopy(model).train()
            with torch.no_grad():
                for name, value in moved.named_parameters():
                    value += alpha * first[name] + beta * second[name]
                loss = F.cross_entropy(moved(images), labels)
            assert surface.losses[i, j].item() == pytest.approx(loss.item(), rel=1e-4)
    assert surface.alphas.tolist() == surface.betas.tolist() == [-0.5, 0.0, 0.5]
    assert surface.centre == pytest.approx(F.cross_entropy(model(images), labels).item(), rel=1e-5)


def test_bfloat16_is_close_enough_to_draw() -> None:
    exact, rough = (
        loss_surface(small_net(), *batch(), steps=3, precision=precision) for precision in ("float32", "bfloat16")
    )
    assert torch.allclose(rough.losses, exact.losses, rtol=0.05)
    assert not torch.equal(rough.losses, exact.losses)


@settings(max_examples=20, deadline=None)
@given(channels=st.integers(1, 4), filters=st.integers(1, 5), kernel=st.integers(1, 3), seed=st.integers(0, 99))
def test_directions_are_filter_normalised(channels: int, filters: int, kernel: int, seed: int) -> None:
    model = nn.Sequential(nn.Conv2d(channels, filters, kernel), nn.BatchNorm2d(filters), nn.Linear(3, 2))
    direction = random_direction(model, generator=torch.Generator().manual_seed(seed))
    assert set(direction) == {name for name, _ in model.named_parameters()}
    for name, value in model.named_parameters():
        if value.ndim == 1:
            assert not direction[name].any()
        else:
            assert torch.allclose(direction[name].flatten(1).norm(dim=1), value.detach().flatten(1).norm(dim=1))


def test_plain_and_residual_nets_get_equal_noise() -> None:
    one, other = (CifarNet(8, residual=residual, width=4) for residual in (True, False))
    other.load_state_dict(one.state_dict())
    for a, b in zip(directions(one, 0), directions(other, 0), strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(directions(one, 0)[0]["conv1.weight"], directions(one, 0)[1]["conv1.weight"])
    assert not torch.equal(directions(one, 0)[0]["conv1.weight"], directions(one, 1)[0]["conv1.weight"])


def test_batch_statistics_make_the_loss_blind_to_a_filters_length_and_dropout_is_off() -> None:
    model, data = small_net(), batch()
    surface = loss_surface(model, *data, steps=3, precision="float32")
    with torch.no_grad():
        model.layer2[0].conv1.weight.mul_(1000)  # type: ignore[union-attr, operator]
    model.layer2.append(nn.Dropout(0.9))
    again = loss_surface(model.train(), *data, steps=3, precision="float32")
    assert torch.allclose(again.losses, surface.losses, rtol=1e-3)


def test_losses_that_are_not_finite_are_capped() -> None:
    axis = torch.tensor([-1.0, 0.0, 1.0])
    losses = torch.tensor([[math.inf, 1.0, 9.0], [2.0, 0.5, math.nan], [3.0, 4.0, -math.inf]])
    surface = Surface(axis, axis, losses)
    assert surface.centre == 0.5
    assert surface.capped(5.0).tolist() == [[5.0, 1.0, 5.0], [2.0, 0.5, 5.0], [3.0, 4.0, 5.0]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 4}, "odd and at least 3.*got 4"),
        ({"steps": 1}, "got 1"),
        ({"span": 0.0}, "positive number, got 0"),
        ({"span": math.inf}, "got inf"),
    ],
)
def test_options_that_are_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss_surface(small_net(), *batch(), **options)


def test_labels_and_precisions_that_do_not_fit() -> None:
    images, labels = batch()
    with pytest.raises(ValueError, match="for 6 images"):
        loss_surface(small_net(), images, labels[:5])
    with pytest.raises(ValueError, match="0 to 9, but the model has 3 classes"):
        loss_surface(small_net(), images, torch.tensor([0, 1, 2, 0, 1, 9]))
    with pytest.raises(UnknownName, match="precision 'float16'"):
        loss_surface(small_net(), images, labels, precision="float16")
