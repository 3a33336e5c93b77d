"""The copy without batch norms puts out what the network does, or there is no copy."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resnet_edu import models
from resnet_edu.models.inference import for_inference


def with_statistics(model: nn.Module, images: Tensor) -> nn.Module:
    """The network in evaluation mode, its batch norms with values of their own."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    with torch.no_grad():
        for _ in range(20):
            model.train()(images)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "options", "side"),
    [
        ("resnet20", {"width": 4}, 16),
        ("plain20", {"width": 4}, 16),
        ("resnet18", {}, 32),
        ("googlenet", {}, 64),
    ],
)
def test_the_copy_computes_the_same_without_batch_norms(name: str, options: dict[str, Any], side: int) -> None:
    torch.manual_seed(0)
    images = torch.randn(4, 3, side, side)
    model = with_statistics(models.build(name, num_classes=5, **options), images)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.inference_mode():
        copy = for_inference(model, images[:2])
        assert copy is not model
        assert not any(isinstance(module, nn.BatchNorm2d) for module in copy.modules())
        torch.testing.assert_close(copy(images), model(images), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class NormFirst(nn.Module):
    """Lists a convolution and a batch norm one after the other, and uses them the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.linear = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.conv(self.bn(x)).relu().mean(dim=(2, 3)))


class UsedTwice(nn.Module):
    """The convolution's output goes to the batch norm and around it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.linear = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.linear((self.bn(x).relu() + x).mean(dim=(2, 3)))


@pytest.mark.parametrize("kind", [NormFirst, UsedTwice])
def test_where_it_would_compute_something_else_the_network_itself_is_used(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    images = torch.randn(4, 3, 8, 8)
    model = with_statistics(kind(), images)
    with torch.inference_mode():
        assert for_inference(model, images) is model


def test_a_batch_norm_without_statistics_stays() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten()).eval()
    with torch.inference_mode():
        copy = for_inference(model, torch.randn(2, 3, 8, 8))
    assert isinstance(copy.get_submodule("1"), nn.BatchNorm2d)


def test_the_surroundings_precision_does_not_matter() -> None:
    torch.manual_seed(0)
    images = torch.randn(4, 3, 16, 16)
    model = with_statistics(models.build("resnet20", num_classes=5, width=4), images)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert for_inference(model, images) is not model


def test_a_gpus_shortened_products_are_left_out_of_the_comparison() -> None:
    allowed: list[bool] = []
    images = torch.randn(2, 3, 8, 8)
    model = with_statistics(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()), images)
    model.register_forward_hook(lambda *_: allowed.append(torch.backends.cudnn.allow_tf32))
    before = torch.backends.cudnn.allow_tf32
    with torch.inference_mode():
        for_inference(model, images)
    assert allowed == [False] * 3  # the copy, which has the hook as well, once more to find its small convolutions
    assert torch.backends.cudnn.allow_tf32 == before
