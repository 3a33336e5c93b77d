"""Attribution: captum's own answers, formulas by hand, torchvision's net, and targets of every kind."""

from collections.abc import Callable
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from oracle import images, randomised
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu import models, probe
from resnet_edu.errors import UnknownName


def net() -> nn.Module:
    """A small ResNet with random weights and statistics."""
    return randomised(models.build("resnet20", width=4, num_classes=5)).eval()


METHODS: dict[str, Callable[..., Tensor]] = {
    "grad_cam": lambda model, x, target: probe.grad_cam(model, x, target, layer="layer2"),
    "integrated_gradients": lambda model, x, target: probe.integrated_gradients(model, x, target, steps=4).attribution,
    "occlusion": lambda model, x, target: probe.occlusion(model, x, target, window=4, stride=2),
    "guided_backprop": probe.guided_backprop,
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


@pytest.mark.parametrize("layer", ["layer1", "layer2.0", "layer3"])
@pytest.mark.parametrize("relu", [True, False])
def test_grad_cam_is_captums_and_the_papers(layer: str, relu: bool) -> None:
    model, x, target = net(), images(3, 3, 16, 12), [1, 4, 0]
    of_captum = captum.attr.LayerGradCam(model, model.get_submodule(layer))
    small: Any = of_captum.attribute(x, torch.tensor(target), relu_attributions=relu)
    large = captum.attr.LayerAttribution.interpolate(small, (16, 12), "bilinear")[:, 0]
    maps: list[Any] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda module, args, out: maps.append(out))
    (gradient,) = torch.autograd.grad(model(x).gather(1, torch.tensor(target)[:, None]).sum(), maps)
    handle.remove()
    by_hand = (gradient.mean((2, 3), keepdim=True) * maps[0]).sum(1, keepdim=True)
    by_hand = F.interpolate(by_hand.relu() if relu else by_hand, (16, 12), mode="bilinear")[:, 0]
    found = probe.grad_cam(model, x, target, layer=layer, relu=relu)
    assert found.shape == (3, 16, 12)
    torch.testing.assert_close(found, large, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found, by_hand, rtol=1e-5, atol=1e-5)


def test_integrated_gradients_are_captums() -> None:
    model, x, baseline = net(), images(2, 3, 12, 12), images(1, 3, 1, 1, seed=5)
    found = probe.integrated_gradients(model, x, [3, 1], baseline=baseline, steps=20)
    attribution, delta = captum.attr.IntegratedGradients(model).attribute(
        x, baseline.expand(2, 3, 12, 12), torch.tensor([3, 1]), n_steps=20, method="riemann_middle",
        return_convergence_delta=True,
    )  # fmt: skip
    torch.testing.assert_close(found.attribution, attribution.float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.error, delta.float(), rtol=1e-3, atol=1e-4)


def test_more_steps_than_a_batch_make_the_error_vanish() -> None:
    model, x = net(), images(1, 3, 12, 12)
    few, many = (probe.integrated_gradients(model, x, 2, steps=steps) for steps in (2, 300))
    assert abs(many.error.item()) < abs(few.error.item()) / 5
    difference = model(x)[0, 2] - model(torch.zeros_like(x))[0, 2]
    torch.testing.assert_close(many.attribution.sum(), difference.detach() + many.error[0], rtol=1e-4, atol=1e-4)


def test_of_a_linear_net_all_is_known() -> None:
    weights, x = images(2, 3, 8, 8, seed=2), images(2, 3, 8, 8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(weights[0].numel(), 2))  # a plain sum of weighted pixels
    model.load_state_dict({"1.weight": weights.flatten(1), "1.bias": torch.zeros(2)})
    found = probe.integrated_gradients(model, x, 1, baseline=0.5, steps=2)
    torch.testing.assert_close(found.attribution, weights[1] * (x - 0.5))
    torch.testing.assert_close(found.error, torch.zeros(2), rtol=0, atol=1e-4)
    tiles = probe.occlusion(model, x, 1, window=4, stride=4, baseline=0.5)
    falls = F.avg_pool2d((weights[1] * (x - 0.5)).sum(1, keepdim=True), 4) * 16
    torch.testing.assert_close(tiles, F.interpolate(falls, scale_factor=4)[:, 0], rtol=1e-4, atol=1e-4)


def test_occlusion_is_captums() -> None:
    model, x = net(), images(2, 3, 12, 16)
    wanted = captum.attr.Occlusion(model).attribute(x, (3, 5, 5), (3, 3, 3), 0.25, target=torch.tensor([0, 4]))
    found = probe.occlusion(model, x, [0, 4], window=5, stride=3, baseline=0.25)
    torch.testing.assert_close(found, wanted[:, 0].float(), rtol=1e-4, atol=1e-5)


def test_guided_backprop_by_hand_and_not_without_its_modules() -> None:
    first, second = nn.Linear(6, 5), nn.Linear(5, 3)
    model, x = nn.Sequential(nn.Flatten(), first, nn.ReLU(), second), images(1, 1, 2, 3)
    hidden = first(x.flatten(1))
    passed = second.weight[1] * (hidden > 0) * (second.weight[1] > 0)
    torch.testing.assert_close(probe.guided_backprop(model, x, 1).flatten(1), (passed @ first.weight).detach())

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.idle = first, second, nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.second(F.relu(self.first(x.flatten(1))))

    with pytest.raises(ValueError, match=r"No nn\.ReLU runs in this Functional.*use nn\.ReLU\(\) modules"):
        probe.guided_backprop(Functional(), x, 1)


@every_method
def test_targets_of_every_kind_and_no_obstacles(method: Callable[..., Tensor]) -> None:
    model, x = net(), images(2, 3, 12, 12)
    wanted = method(model, x, 1)
    assert not wanted.requires_grad
    for target in (torch.tensor(1), np.int64(1), [1, 1], (np.int64(1), 1), torch.tensor([1, 1]), np.array([1, 1])):
        torch.testing.assert_close(method(model, x, target), wanted)
    torch.testing.assert_close(
        method(model, x, model(x).argmax(dim=1)), method(model, x, model(x).argmax(dim=1).tolist())
    )
    model.requires_grad_(False)
    with torch.no_grad():
        torch.testing.assert_close(method(model, x, 1), wanted)
    with torch.inference_mode():
        torch.testing.assert_close(method(model, images(2, 3, 12, 12), 1), wanted)


@every_method
def test_bad_images_and_targets(method: Callable[..., Tensor]) -> None:
    model, x = net(), images(2, 3, 12, 12)
    for bad in (x[0], x[:0], x.to(torch.uint8)):
        with pytest.raises(ValueError, match=r"expected a batch of normalised images \(N, C, H, W\)"):
            method(model, bad, 1)
    for target in (5, -1, [0, 5], True, [True, False], 1.0, None, "cat", [[1], [2]], torch.tensor([0.0, 1.0])):
        with pytest.raises(ValueError, match=r"Got target=[\s\S]*expected class numbers below 5.*the shape \(2, 5\)"):
            method(model, x, target)
    with pytest.raises(ValueError, match="Got 3 targets for 2 images"):
        method(model, x, [1, 2, 3])


def test_layers_steps_windows_and_baselines_that_do_not_fit() -> None:
    model, x = net(), images(1, 3, 12, 12)
    model.add_module("spare", nn.Conv2d(1, 1, 1))
    with pytest.raises(UnknownName, match="layer9"):
        probe.grad_cam(model, x, 1, layer="layer9")
    for layer, words in (("linear", r"linear' puts out the shape \(1, 5\)"), ("spare", "'spare' does not run")):
        with pytest.raises(ValueError, match=words):
            probe.grad_cam(model, x, 1, layer=layer)
    with pytest.raises(ValueError, match="steps must be 2 or more, got 1"):
        probe.integrated_gradients(model, x, 1, steps=1)
    for window, stride in ((13, 1), (4, 5), (4, 0)):
        with pytest.raises(ValueError, match="1 ≤ stride ≤ window ≤ 12"):
            probe.occlusion(model, x, 1, window=window, stride=stride)
    with pytest.raises(RuntimeError, match="expanded size of the tensor"):
        probe.integrated_gradients(model, x, 1, baseline=torch.zeros(2, 3), steps=2)
    with pytest.raises(ValueError, match="puts out a dict"):
        probe.occlusion(models.build("resnet18", heads={"a": 2, "b": 3}), images(1, 3, 32, 32), 1)
