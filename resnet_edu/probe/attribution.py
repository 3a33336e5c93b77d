"""Where in the picture is the evidence? Four answers, each captum's behind a function that leaves the model alone.

Grad-CAM: Selvaraju et al. 2016, https://arxiv.org/abs/1610.02391. Integrated Gradients: Sundararajan et al. 2017,
https://arxiv.org/abs/1703.01365. Occlusion: Zeiler, Fergus 2013, https://arxiv.org/abs/1311.2901, section 4.2. Guided
Backpropagation: Springenberg et al. 2014, https://arxiv.org/abs/1412.6806.

The model returns logits `(N, classes)`; it runs in eval mode and is left as it was. Images are normalised,
`(N, C, H, W)`. The target is the class asked about, one number for all images or one each. All raise `ValueError` for
images that are no batch, and for targets that are no classes.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..models.modes import eval_mode
from .activations import activations, leaf_layers, one_tensor, preserved_rng

Target = int | Sequence[int] | Tensor

#: Images that go through the network at once; more only cost memory.
BATCH = 32


class Integrated(NamedTuple):
    """What `integrated_gradients` found.

    `attribution` is `(N, C, H, W)`, in units of the logit; `error`, `(N,)`, is how far its sum misses the difference
    between the logits of image and baseline. A perfect integral has the error 0.
    """

    attribution: Tensor
    error: Tensor


def grad_cam(model: nn.Module, images: Tensor, target: Target, *, layer: str = "layer4", relu: bool = True) -> Tensor:
    """Grad-CAM: a layer's maps, weighted by their mean gradient, summed, cut at zero, enlarged to the image's side.

    The enlarging is bilinear and adds nothing: the map is as fine as the layer's, for example 2×2 in the last stage of
    a ResNet-18 that sees 64 pixels. It and the ReLU are as in the paper; captum has neither unless told to.

    Args:
        layer: name as in `model.named_modules()`; puts out `(N, channels, h, w)`.
        relu: keep only what speaks for the class.

    Returns:
        `(N, H, W)`, in units of logit times activation.

    Raises:
        UnknownName: a layer the model does not have. A `ValueError`, as for one of another kind.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    with prepared(model, images, target, [layer]) as (x, classes, seen):
        maps = seen.get(layer)
        if maps is None or maps.ndim != 4:
            got = "does not run" if maps is None else f"puts out the shape {tuple(maps.shape)}"
            raise ValueError(f"Layer {layer!r} {got}; Grad-CAM needs maps (N, channels, h, w), as of layer4.")
        found = LayerGradCam(model, model.get_submodule(layer))
        small: Any = found.attribute(x, target=classes, relu_attributions=relu)
        large = LayerAttribution.interpolate(small, tuple(x.shape[2:]), interpolate_mode="bilinear")
    return large.detach()[:, 0]  # (N, H, W)


def integrated_gradients(
    model: nn.Module, images: Tensor, target: Target, *, baseline: Tensor | float = 0.0, steps: int = 50
) -> Integrated:
    """Integrated Gradients: the mean gradient on the way from a baseline to the image, times that way (midpoint rule).

    Args:
        baseline: where the way begins, a number or a tensor that can be spread to the shape of `images`. In normalised
            images 0 is the mean colour of the training set.
        steps: equal pieces of the way, at least 2; each costs a pass forward and back.
    """
    from captum.attr import IntegratedGradients

    if steps < 2:
        raise ValueError(f"steps must be 2 or more, got {steps}.")
    with prepared(model, images, target) as (x, classes, _):
        attribution, error = IntegratedGradients(model).attribute(
            x, torch.as_tensor(baseline).to(x).expand(x.shape), target=classes, n_steps=steps, method="riemann_middle",
            internal_batch_size=max(BATCH, len(x)), return_convergence_delta=True
        )  # fmt: skip
    return Integrated(attribution.detach(), error.detach().to(attribution.dtype))


def occlusion(
    model: nn.Module,
    images: Tensor,
    target: Target,
    *,
    window: int = 16,
    stride: int = 8,
    baseline: Tensor | float = 0.0,
) -> Tensor:
    """Occlusion: how much the logit falls when a square is covered; where squares overlap, the mean.

    Needs no gradients, so it works on anything that answers. (H / stride) · (W / stride) passes forward.

    Args:
        window: side of the square, in pixels; at most that of the image.
        stride: from one square to the next, in pixels; at most `window`, or pixels are left out.
        baseline: what covers, as for `integrated_gradients`.

    Returns:
        `(N, H, W)`, in units of the logit. Positive: covering this place costs the class evidence.
    """
    from captum.attr import Occlusion

    with prepared(model, images, target) as (x, classes, _), torch.no_grad():
        channels, side = x.shape[1], min(x.shape[2:])
        if not 1 <= stride <= window <= side:
            raise ValueError(f"Got window={window} and stride={stride}; expected 1 ≤ stride ≤ window ≤ {side}.")
        found = Occlusion(model).attribute(
            x, (channels, window, window), (channels, stride, stride),
            torch.as_tensor(baseline).to(x).expand(x.shape), target=classes,
            perturbations_per_eval=max(1, BATCH // len(x))
        )  # fmt: skip
    return found.detach()[:, 0]  # equal in all channels, which are covered together


def guided_backprop(model: nn.Module, images: Tensor, target: Target) -> Tensor:
    """Guided Backpropagation: the gradient, with every ReLU letting only positive gradients pass back.

    Sharp, and hardly dependent on what the network has learned (Adebayo et al. 2018): it is here to be found out, in
    lesson 11. The network's ReLUs must be modules. The result is `(N, C, H, W)`.
    """
    from captum.attr import GuidedBackprop

    relus = [name for name, each in leaf_layers(model).items() if isinstance(each, nn.ReLU)]
    with prepared(model, images, target, relus) as (x, classes, seen):
        if not seen:
            raise ValueError(
                f"No nn.ReLU runs in this {type(model).__name__}, so this would be the plain gradient. In place of the "
                "function F.relu, whose way back cannot be changed, use nn.ReLU() modules."
            )
        return GuidedBackprop(model).attribute(x, target=classes).detach()


@contextmanager
def prepared(
    model: nn.Module, images: Tensor, target: Target, layers: Sequence[str] = ()
) -> Iterator[tuple[Tensor, Tensor, dict[str, Tensor]]]:
    """A copy of the images that takes gradients, a target for each, and what those of the `layers` that run put out.

    The model is in eval mode, and afterwards as before. Weights keep their `.grad`, since captum asks for the gradients
    of inputs and layers only.
    """
    if images.ndim != 4 or len(images) == 0 or not images.is_floating_point():
        raise ValueError(
            f"Got images of shape {tuple(images.shape)} and type {images.dtype}; expected a batch of normalised images "
            "(N, C, H, W). Write image[None] for a single one."
        )
    with torch.inference_mode(False), torch.enable_grad(), eval_mode(model), preserved_rng(images.device):
        x = images.detach().clone().requires_grad_()
        with torch.no_grad(), activations(model, layers) as seen:
            classes = class_numbers(target, one_tensor("the model", model, model(x)))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*(did not already require gradients|backward hooks on ReLU)")
            yield x, classes, seen


def class_numbers(target: Target, logits: Tensor) -> Tensor:
    """The targets as captum takes them: int64 `(N,)`, one for each image's logits."""
    try:
        wanted = torch.as_tensor(target, device=logits.device)
    except (TypeError, ValueError, RuntimeError):
        wanted = torch.tensor(float("nan"))
    whole = wanted.ndim <= 1 and not wanted.is_floating_point() and wanted.dtype != torch.bool
    if logits.ndim != 2 or not whole or not ((wanted >= 0) & (wanted < logits.shape[1])).all():
        raise ValueError(
            f"Got target={target!r}; expected class numbers below {logits.shape[-1]}. The logits have the shape "
            f"{tuple(logits.shape)}, (N, classes)."
        )
    if wanted.ndim == 1 and len(wanted) != len(logits):
        raise ValueError(f"Got {len(wanted)} targets for {len(logits)} images; expected one for all or one each.")
    return wanted.long().expand(len(logits))
