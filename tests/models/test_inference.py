"""The faster copy puts out what the network does, or there is no copy."""

import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resnet_edu import models
from resnet_edu.models.inference import AsMatrix, for_inference


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


class Watched(nn.Module):
    """Notes whether a GPU may shorten its products."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.allowed.append(torch.backends.cudnn.allow_tf32)
        return x.flatten(1)


def test_a_gpus_shortened_products_are_left_out_of_the_comparison() -> None:
    images = torch.randn(2, 3, 8, 8)
    model = with_statistics(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Watched()), images)
    before, watched = torch.backends.cudnn.allow_tf32, model.get_submodule("2")
    assert isinstance(watched, Watched)
    watched.allowed.clear()
    with torch.inference_mode():
        copied = for_inference(model, images).get_submodule("2")
    assert isinstance(copied, Watched)
    assert copied is not watched
    assert [*watched.allowed, *copied.allowed] == [False] * 3
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize(
    ("options", "side", "pays"),
    [
        ({"kernel_size": 3, "padding": 1}, (2, 2), True),
        ({"kernel_size": 3, "padding": 1, "bias": False}, (1, 2), True),
        ({"kernel_size": 3, "padding": 1, "stride": 2}, (2, 2), True),
        ({"kernel_size": 5, "padding": "same", "dilation": 2}, (1, 3), True),
        ({"kernel_size": (3, 7), "padding": (1, 3)}, (2, 2), True),
        ({"kernel_size": 5, "padding": 2, "groups": 2}, (2, 2), True),
        ({"kernel_size": 3, "padding": 1, "groups": 4}, (2, 2), False),  # its matrix would be mostly zeros
        ({"kernel_size": 3, "padding": 1, "padding_mode": "reflect"}, (2, 2), False),
        ({"kernel_size": 3, "padding": 1}, (4, 4), False),
        ({"kernel_size": 7, "padding": 3}, (6, 6), False),  # and this one 26 times as large as the weights
        ({"kernel_size": 1}, (1, 1), False),
    ],
)
def test_a_convolution_on_few_pixels_becomes_its_matrix(
    options: dict[str, Any], side: tuple[int, int], pays: bool
) -> None:
    torch.manual_seed(0)
    model, images = nn.Sequential(nn.Conv2d(4, 8, **options)).eval(), torch.randn(5, 4, *side)
    with torch.inference_mode():
        copy = for_inference(model, images)
        torch.testing.assert_close(copy(images), model(images), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(copy(images[:1]), model(images[:1]), rtol=1e-4, atol=1e-5)
    assert isinstance(copy.get_submodule("0"), AsMatrix) == pays


def test_images_of_another_size_go_through_the_convolution() -> None:
    model = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1)).eval()
    with torch.inference_mode():
        copy = for_inference(model, torch.randn(2, 4, 1, 4))
        assert isinstance(copy.get_submodule("0"), AsMatrix)
        for size in ((4, 1), (2, 2), (9, 9)):  # the first two have as many pixels
            images = torch.randn(3, 4, *size)
            torch.testing.assert_close(copy(images), model(images))


def test_the_last_stage_of_a_resnet_becomes_matrices() -> None:
    model = models.build("resnet18", num_classes=5).eval()
    with torch.inference_mode():
        copy = for_inference(model, torch.randn(2, 3, 64, 64))
    found = [name for name, module in copy.named_modules() if isinstance(module, AsMatrix)]
    assert found == ["layer4.0.conv2", "layer4.1.conv1", "layer4.1.conv2"]
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in copy.parameters() if each.dim() == 4)


class AtTwoSizes(nn.Module):
    """One convolution for an image and for its quarter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean(dim=(2, 3)) + self.conv(x[:, :, :1, :1]).mean(dim=(2, 3))


def test_a_convolution_that_sees_several_sizes_stays() -> None:
    with torch.inference_mode():
        copy = for_inference(AtTwoSizes().eval(), torch.randn(2, 3, 2, 2))
    assert type(copy.get_submodule("conv")) is nn.Conv2d


class Overwrites(nn.Module):
    """Changes its input, and looks at it again."""

    def forward(self, x: Tensor) -> Tensor:
        return (x.relu_() + x).mean(dim=(2, 3))


def test_the_images_stay_as_they_are() -> None:
    images = torch.randn(2, 3, 4, 4)
    before = images.clone()
    with torch.inference_mode():
        for_inference(Overwrites().eval(), images)
    assert torch.equal(images, before)


def awkward() -> dict[str, nn.Module]:
    """Networks that cannot be copied, or want to see all of themselves."""
    hooked, parametrized, locked, two = [nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)) for _ in range(4)]
    hooked[1].register_forward_hook(lambda *_: None)
    nn.utils.parametrizations.weight_norm(parametrized[0])
    locked.lock = threading.Lock()  # type: ignore[assignment]
    two.forward = lambda x: {"logits": x}  # type: ignore[method-assign]
    return {"hooked": hooked, "parametrized": parametrized, "cannot be copied": locked, "puts out a dict": two}


@pytest.mark.parametrize("name", awkward())
def test_a_network_that_refuses_is_used_as_it_is(name: str) -> None:
    model, images = awkward()[name].eval(), torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        copy = for_inference(model, images)
        assert isinstance(copy.get_submodule("1"), nn.BatchNorm2d)
        assert copy is model or name == "parametrized"
