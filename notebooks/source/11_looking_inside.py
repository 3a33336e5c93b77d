# %% [markdown]
# # 11 · Looking inside: what the layers see, and where the evidence is
#
# A trained net names a photo. What did it look at? This lesson opens the ResNet-18 of the course: its filters, its feature maps,
# and three ways to ask where in the picture the evidence for an answer is. Then it does what most pages leave out: it puts the
# answers themselves to the test.
#
# After this lesson you can
#
# * look at filters and feature maps at any depth of a net;
# * write Grad-CAM and Integrated Gradients by hand, and say what occlusion measures;
# * choose the layer, the baseline and the number of steps, knowing what each changes;
# * test a method with random weights and with rearranged pictures before you believe its maps;
# * discuss a wrong answer without claiming more than the map shows.
#
# **Minutes:** 35 reading, 50 more for the exercises · 1 running quick · 3 running full

# %% tags=["setup"]
import warnings
from copy import deepcopy
from functools import partial
from itertools import permutations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import resnet_edu as edu
from resnet_edu.data.pictures import read_photo

profile = edu.profile()
network = edu.models.pretrained("resnet18", source="bundled")  # what is said below is said of these weights
print(edu.setup(seed=0))
print(f"data       {network.source}; photos that come with scikit-image")

# %% [markdown]
# ## Four photos, one of them known
#
# The net was trained on CIFAR-10, small pictures of ten kinds of things. One of our photos shows such a thing.


# %%
def answers(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The logits and the percentages, (N, classes) each."""
    with torch.inference_mode():
        logits = model.eval()(images)
    return logits, 100 * logits.softmax(dim=1)


model = network.model.to(edu.machine.device())
names = ["cat", "coffee", "rocket", "astronaut"]
pictures = {name: read_photo(edu.data.photo(name)) for name in names}
photos = torch.stack([network.transforms(picture) for picture in pictures.values()]).to(edu.machine.device())
logits, percents = answers(model, photos)
print(f"{len(photos)} photos of {photos.shape[2]}×{photos.shape[3]} pixels, {logits.shape[1]} logits each")

# %%
classes = logits.argmax(dim=1).tolist()
said = [f"{network.categories[c]} {percents[i, c]:.0f} %" for i, c in enumerate(classes)]
print("what it knows:", ", ".join(network.categories))
for name, answer in zip(names, said, strict=True):
    print(f"{name:>10}: {answer}")
assert network.categories[classes[0]] == "cat"
assert percents[1, classes[1]] > 60, "a cup of coffee is an automobile, with confidence"

# %% [markdown]
# The cat is a cat. For the other three no answer is right, and the net gives one all the same. Remember the cup of coffee: why an
# automobile? By the end you will be able to say something about it.
#
# ## The first layer: 64 filters
#
# The weights of the first layer can be looked at directly, since they have three channels like a picture: 64 filters of 7×7 pixels in colour.

# %%
filters = model.conv1.weight.detach().cpu()  # (64, 3, 7, 7)
grey = filters.mean(dim=1, keepdim=True).expand_as(filters)
share = grey.flatten(1).square().sum(1) / filters.flatten(1).square().sum(1)  # of each filter's squared weights
order = share.argsort()
edu.plots.image_grid(filters[order], columns=16, side=0.55, title="The first layer looks for colours and for edges")


# %%
def neighbours(weights: Tensor) -> float:
    """Correlation of each weight with the one to its right."""
    return float(torch.corrcoef(torch.stack([weights[..., :-1].flatten(), weights[..., 1:].flatten()]))[0, 1])


untrained = edu.models.build("resnet18", num_classes=10).conv1.weight.detach()
size = filters.flatten(1).norm(dim=1)
faint = int((size < size.max() / 5).sum())
print(f"{(share > 0.9).sum()} of 64 filters are nearly grey, {(share < 0.5).sum()} compare colours, {faint} are faint")
print(f"neighbouring weights correlate: trained {neighbours(filters):.2f}, untrained {neighbours(untrained):.2f}")
assert (share > 0.9).sum() > 20 > (share < 0.5).sum() > 5
assert neighbours(filters) > 0.5 > abs(neighbours(untrained)) + 0.4, "training makes filters smooth"

# %% [markdown]
# They are sorted by colour. The first dozen compare colours, such as orange against blue. Most of the rest are grey edges and bars in several directions.
# A quarter of them are faint. That alone does not make them useless, since the batch norm behind them can make a small map large again.
# No one put any of this there. Before training, neighbouring weights had nothing to do with each other.
#
# ## Five depths
#
# The deeper layers have no colours, so look at what they put out: their feature maps for the cat. We stop at five places, behind the first
# convolution and behind each of the four stages.

# %%
edu.plots.architecture(model, (3, 64, 64), title="ResNet-18 on a photo of 64×64 pixels")

# %% [markdown]
# Here are eight maps from each place, those that vary most.

# %%
depths = ["relu", "layer1", "layer2", "layer3", "layer4"]
with edu.probe.activations(model, depths) as seen, torch.inference_mode():
    model(photos[:1])
liveliest = {name: seen[name][0][seen[name][0].flatten(1).std(dim=1).topk(8).indices] for name in depths}
edu.plots.feature_maps(liveliest, title="From edges to a few coarse cells")

# %% tags=["nbval-check-output"]
for name in depths:
    _, channels, height, width = seen[name].shape
    print(
        f"{name:>6}: {channels:3} maps of {height:2}×{width:2}: one cell for {64 // height:2}×{64 // width:2} pixels of the photo"
    )
assert [seen[name].shape[2] for name in depths] == [32, 16, 8, 4, 2]

# %% [markdown]
# Remember the last line. For a photo of 64×64 pixels the last stage has 2×2 cells. Whatever is read from it can say "lower left", and no more.
# At 224 pixels, the usual size for ImageNet, it would be 7×7.
#
# ## Question 1: cover a part
#
# The simplest way to find the evidence: cover a square of the photo and see how far the logit falls. Do it by hand once, for a square
# in the middle of the cat's face. The cover is 0, which in a normalised photo is the mean colour of the training set.

# %%
covered = photos[:1].clone()
covered[..., 16:32, 32:48] = 0
fall = float(logits[0, classes[0]] - answers(model, covered)[0][0, classes[0]])
tiles = edu.probe.occlusion(model, photos[:1], classes[0], window=16, stride=16)[0]  # (64, 64), squares side by side
print(
    f"covering this square takes {fall:.3f} from the logit of {network.categories[classes[0]]}; the map says {tiles[20, 40]:.3f}"
)
torch.testing.assert_close(torch.tensor(fall), tiles[20, 40].cpu(), rtol=1e-3, atol=1e-3)

# %% [markdown]
# `edu.probe.occlusion` moves the square over the photo. Where squares overlap it takes the mean. It needs no gradient and
# no knowledge of the net, only many passes (Zeiler and Fergus 2013). This library function and the next ones stand on
# [captum](https://captum.ai), PyTorch's library for such questions.
#
# ## Question 2: which cells of the last stage?
#
# The head of a ResNet is an average over the cells and one linear layer. So the logit is itself an average over cells. With $A_k$ the
# $k$-th map of the last stage and $w_k$ the weight from it to the class,
#
# $$\text{logit} = b + \sum_k w_k \, \frac{1}{hw}\sum_{ij} A_k(i,j) = b + \frac{1}{hw}\sum_{ij} \underbrace{\sum_k w_k A_k(i,j)}_{\text{CAM}(i,j)}$$
#
# The sum under the brace says how much each cell adds. It is the *class activation map* (Zhou et al. 2016). No gradient is
# needed, and nothing is left over:

# %%
maps = seen["layer4"][0]  # (512, 2, 2)
cam = torch.einsum("k,khw->hw", model.fc.weight[classes[0]].detach(), maps)
total = float((cam.mean() + model.fc.bias[classes[0]]).detach())
print(
    "what the four cells add:",
    cam.cpu().numpy().round(2),
    f"mean + bias = {total:.4f}, logit = {logits[0, classes[0]]:.4f}",
    sep="\n",
)
assert abs(total - float(logits[0, classes[0]])) < 1e-4

# %% [markdown]
# **Grad-CAM** (Selvaraju et al. 2016) carries this to any convolutional layer of any net. In place of the weight $w_k$ it takes the gradient of the logit
# with respect to map $k$, averaged over its cells. It adds up the weighted maps, cuts off what is negative, and enlarges the result to the
# photo's size, bilinearly:
#
# $$\alpha_k = \frac{1}{hw}\sum_{ij}\frac{\partial\,\text{logit}}{\partial A_k(i,j)} \qquad \text{Grad-CAM} = \mathrm{ReLU}\Big(\sum_k \alpha_k A_k\Big)$$
#
# For the last stage the gradient of an average is $w_k / hw$. So the two must agree up to that factor:

# %%
by_hand = F.relu(cam / cam.numel())  # (2, 2)
by_hand = F.interpolate(by_hand[None, None], size=(64, 64), mode="bilinear")[0, 0]
of_captum = edu.probe.grad_cam(model, photos[:1], classes[0], layer="layer4")[0]
print(f"largest difference between the map by hand and captum's: {(by_hand - of_captum).abs().max():.1e}")
torch.testing.assert_close(by_hand, of_captum, rtol=1e-5, atol=1e-5)

# %% [markdown]
# (captum's own `LayerGradCam` leaves out the ReLU unless told otherwise, and its `interpolate` enlarges in blocks. The
# course's function sets both as in the paper.)
#
# ### Which layer?
#
# Here is the same question asked at all four stages, drawn from dark (nothing) to yellow (the largest value of the map). Under each photo
# stands the answer asked about.

# %%
stages = ["layer1", "layer2", "layer3", "layer4"]
by_stage = {name: edu.probe.grad_cam(model, photos, classes, layer=name) for name in stages}
rocket = {name: float(found[2][:32].mean() - found[2][32:].mean()) for name, found in by_stage.items()}
assert rocket["layer3"] > 0 > rocket["layer4"], "one points to the upper half, the other to the lower"
headings = {f"{name}: {seen[name].shape[2]}×{seen[name].shape[3]} cells": stack for name, stack in by_stage.items()}
edu.plots.maps_over_photos(
    photos, headings, titles=said, title="Early layers: fine and scattered. Late layers: compact and coarse"
)

# %% [markdown]
# Nothing is gained by enlarging: `layer4` really has four cells, and the receptive field of each (lesson 03) is the whole photo. So
# the place of a cell is a coarse hint. For the rocket `layer3` points to the upper half and `layer4` to the lower.
# The early layers have more cells, but each knows little beyond edges. `layer2` and `layer3` are a compromise at this
# size. The rule of thumb "take the last layer" comes from photos of 224 pixels.
#
# ### Exercise 11.1 · Grad-CAM
#
# **Difficulty** ●●●○○ · **15 minutes**
#
# The net comes in two parts: `features(image)` returns the maps `(1, channels, h, w)`, and `head(maps)` returns the logits `(1, classes)`.
# Return the Grad-CAM map of `target` in the size of the image, `(H, W)`. The check compares it with captum's.
#
# <details><summary>Hint 1</summary>
#
# `(gradient,) = torch.autograd.grad(logit, maps)` is the gradient of a number with respect to the maps. It has their shape.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# One weight a channel: `gradient.mean(dim=(2, 3), keepdim=True)`. Then multiply, add over the channels, ReLU, and only then enlarge.
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
# ### Exercise 11.2 · Pick the layer
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# `layers` are names of layers, from shallow to deep. Return the deepest one whose map for this image has at least `cells` cells on its shorter side.
# There always is one.
#
# <details><summary>Hint 1</summary>
#
# `with edu.probe.activations(model, layers) as seen: model(image)` fills `seen[name]` with tensors `(1, channels, h, w)`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Collect the names that are fine enough, in order, and return the last.
#
# </details>


# %% tags=["exercise"]
def pick_layer(model: nn.Module, layers: list[str], image: Tensor, cells: int) -> str:
    """The deepest of the layers with so many cells a side, or more."""
    ### BEGIN SOLUTION
    with edu.probe.activations(model, layers) as seen:
        model(image)
    return [name for name in layers if min(seen[name].shape[2:]) >= cells][-1]
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_pick_layer(pick_layer)

# %% [markdown]
# ## Question 3: which pixels?
#
# The gradient of the logit with respect to the pixels says what a *small* change would do here. For an answer the net is sure of, small changes may
# do little, though the pixels matter much. So walk from a picture without content, the *baseline* $x'$, to the photo $x$, and
# average the gradient along the way. Write $F(x)$ for the logit of the answer. Our baseline is 0 everywhere, the mean colour that covered the cat's face above.
#
# $$\text{IG}_i = (x_i - x'_i) \int_0^1 \frac{\partial F}{\partial x_i}\big(x' + t\,(x - x')\big)\,dt \qquad \sum_i \text{IG}_i = F(x) - F(x')$$
#
# This is *Integrated Gradients* (Sundararajan et al. 2017). The equation on the right is its *completeness*: the parts add up to
# what there is to explain. A computer takes a sum over steps instead of the integral, so completeness holds up to an error, and the error can be measured.

# %%
errors = {name: {} for name in names}
for steps in profile.choose(quick=(4, 8, 16, 32, 64), full=(4, 8, 16, 32, 64, 128, 256)):
    found = edu.probe.integrated_gradients(model, photos, classes, steps=steps)
    for name, error in zip(names, found.error.tolist(), strict=True):
        errors[name][steps] = error
pixels = found.attribution.sum(dim=1)  # (N, 64, 64), over the three colours
edu.plots.lines(
    {name: [abs(error) for error in by_steps.values()] for name, by_steps in errors.items()},
    title="More steps, smaller error, though not at every step",
    x="steps",
    y="size of the error (logit)",
    ticks=[str(steps) for steps in errors[names[0]]],
    log=True,
)

# %%
nothing = answers(model, torch.zeros_like(photos[:1]))[0][0]
for name, c, i in zip(names, classes, range(4), strict=True):
    print(
        f"{name:>10}: to explain {logits[i, c] - nothing[c]:5.2f}   found {pixels[i].sum():5.2f}   error {errors[name][steps]:+.3f}"
    )
mean_error = {steps: sum(abs(errors[name][steps]) for name in names) / 4 for steps in errors["cat"]}
print("mean size of the error by steps:", {steps: round(error, 3) for steps, error in mean_error.items()})
assert mean_error[64] < 0.1 < mean_error[4], "64 steps explain all but a tenth of a logit"

# %% [markdown]
# The error does not fall with every step, since a net of ReLUs has kinks along the way. So print it beside every map you show. captum
# calls it the *convergence delta*.
#
# ### Exercise 11.3 · Integrated Gradients
#
# **Difficulty** ●●●●○ · **15 minutes**
#
# `f` maps a batch to one number for each of its items. Divide the way from `baseline` to `x` into `steps` equal pieces,
# take the gradient of `f` in the *middle* of each,
# and return the attribution, of the shape of `x`, and the error of completeness: the sum of the attribution, minus the
# difference `f(x) - f(baseline)`. `x` and `baseline` are batches of one.
#
# <details><summary>Hint 1</summary>
#
# The middle of piece `k` is at `baseline + (k + 0.5) / steps * (x - baseline)`. Call `requires_grad_()` on that point.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.autograd.grad(f(point).sum(), point)` returns a tuple with one gradient. Add the gradients up, divide by `steps`, multiply by the way.
#
# </details>


# %% tags=["exercise"]
def my_integrated_gradients(f, x: Tensor, baseline: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Attribution and error of completeness, by the midpoint rule."""
    ### BEGIN SOLUTION
    total = torch.zeros_like(x)
    for k in range(steps):
        point = (baseline + (k + 0.5) / steps * (x - baseline)).requires_grad_()
        (gradient,) = torch.autograd.grad(f(point).sum(), point)
        total += gradient
    attribution = (x - baseline) * total / steps
    error = attribution.sum() - (f(x) - f(baseline)).sum()
    return attribution, error
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_integrated_gradients(my_integrated_gradients)

# %% [markdown]
# ## The three side by side
#
# Red speaks for the answer, blue against it. Grad-CAM, cut at zero, shows only what speaks for it, in yellow.

# %%
covering = edu.probe.occlusion(model, photos, classes, window=16, stride=8)
found = {"Occlusion": covering, "Grad-CAM, layer2": by_stage["layer2"], "Integrated Gradients": pixels}
edu.plots.maps_over_photos(photos, found, titles=said, title="Three questions, three answers")

# %% [markdown]
# They do not show the same, because they do not ask the same. Occlusion asks what would be missed. Grad-CAM asks which cells of a layer push the logit
# up. Integrated Gradients share out the difference to a grey picture over single pixels, and look like noise to the eye. Where all three agree, as
# on the lower half of the coffee, you may begin to believe something.
#
# ### The same for torchvision's ResNet
#
# The parameters of the course's ResNet have torchvision's names. So its weights fit into torchvision's net, and the maps must be the same.

# %%
from torchvision.models import resnet18

theirs = resnet18(num_classes=10).to(photos.device)
theirs.load_state_dict(model.state_dict())
cat, coffee = photos[:1], photos[1:2]
pairs = {
    "Grad-CAM": [edu.probe.grad_cam(net, cat, classes[0], layer="layer3") for net in (model, theirs)],
    "Integrated Gradients": [
        edu.probe.integrated_gradients(net, cat, classes[0], steps=8).attribution for net in (model, theirs)
    ],
    "Occlusion": [edu.probe.occlusion(net, cat, classes[0]) for net in (model, theirs)],
}
for name, (ours, other) in pairs.items():
    print(f"{name:>20}: largest difference {(ours - other).abs().max():.1e}")
    torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-5)

# %% [markdown]
# ## Are the maps right?
#
# A map that looks reasonable proves little: you would have found a reason for another one too. Two tests follow.
#
# ### Test 1: rearrange the picture
#
# Put the four photos into one picture of 128×128 pixels, and ask about each photo's own answer. If the map shows where the evidence is,
# it must point into the right quarter, wherever that photo stands.


# %%
def mosaic(images: Tensor, order: tuple[int, ...]) -> Tensor:
    """Four images (3, H, W) in the order given: upper left, upper right, lower left, lower right. (3, 2H, 2W)."""
    a, b, c, d = images[list(order)]
    return torch.cat([torch.cat([a, b], dim=2), torch.cat([c, d], dim=2)], dim=1)


def quarter_with_most(cam: Tensor) -> int:
    """The quarter, 0 to 3, that holds most of a map (H, W)."""
    return int(F.avg_pool2d(cam[None, None], cam.shape[0] // 2).argmax())


first = mosaic(photos, (0, 1, 2, 3))
asked = edu.probe.grad_cam(model, first.expand(4, -1, -1, -1), classes, layer="layer4")
edu.plots.maps_over_photos(
    first[None],
    {f"{network.categories[c]}?": cam[None] for c, cam in zip(classes, asked, strict=True)},
    title="One picture, four questions",
)

# %%
# quick: the four rotations, which lead each photo through each quarter; full: all 24 orders
rotations = [(0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1), (3, 0, 1, 2)]
orders = profile.choose(quick=rotations, full=list(permutations(range(4))))
hits = 0
for order in orders:
    maps = edu.probe.grad_cam(model, mosaic(photos, order).expand(4, -1, -1, -1), classes, layer="layer4")
    hits += sum(quarter_with_most(cam) == order.index(photo) for photo, cam in enumerate(maps))
print(f"{len(orders)} arrangements, {4 * len(orders)} questions, {hits} maps point to the right quarter")
assert hits == 4 * len(orders)

# %% [markdown]
# The map has followed each photo into every quarter. (By guessing, one in four would be right.) Note that here `layer4`
# is fine enough: at 128 pixels it has 4×4 cells.
#
# ### Test 2: random weights
#
# A map is meant to explain what the net has *learned*. So replace what it has learned by random numbers, from the
# classifier down, and look at the map again. It has to change. Adebayo et al. (2018) put
# many methods to this test, and some failed. One of those is *Guided Backpropagation* (Springenberg et al. 2014): a
# gradient that each ReLU passes back only where its input was positive, as usual, and where the gradient is positive
# too.
# Look at it beside Grad-CAM, first with the trained net, then with the classifier, `layer4` and `layer3` replaced.


# %%
def randomised(model: nn.Module, parts: list[str], seed: int) -> nn.Module:
    """A copy of a ResNet-18 with 10 classes whose named parts have the random weights of a new net."""
    torch.manual_seed(seed)
    fresh, changed = edu.models.build("resnet18", num_classes=10), deepcopy(model)
    for part in parts:
        changed.get_submodule(part).load_state_dict(fresh.get_submodule(part).state_dict())
    return changed.eval()


torn = ["fc", "layer4", "layer3"]
replaced = randomised(model, torn, seed=0)
gone = sum(p.numel() for part in torn for p in model.get_submodule(part).parameters())
random_share = gone / sum(p.numel() for p in model.parameters())
print(f"{100 * random_share:.0f} % of the weights are random now")

# %%
cams = [edu.probe.grad_cam(net, cat, classes[0], layer="layer2") for net in (model, replaced)]
guided = [edu.probe.guided_backprop(net, cat, classes[0]).sum(dim=1) for net in (model, replaced)]
pair = {"Grad-CAM": cams[0], "the same, random": cams[1], "Guided Backprop": guided[0], "the same, random ": guided[1]}
edu.plots.maps_over_photos(
    cat, pair, title=f"The sharper map hardly notices that {100 * random_share:.0f} % of the weights are random"
)

# %% [markdown]
# Guided Backpropagation draws the cat's face whether the last two stages and the classifier are trained or random. To
# measure it, compare the order of the pixels in two maps: the *rank correlation* is 1 where both order all pixels
# alike, about 0
# where they have nothing to do with each other, and −1 where one reverses the other. Ranks make maps of different units comparable.
#
# ### Exercise 11.4 · Rank correlation
#
# **Difficulty** ●●●○○ · **12 minutes**
#
# Replace each value of a map by its rank, and return the ordinary correlation of the two sets of ranks. Equal values
# share the mean of their ranks: in `[5, 2, 5, 9]` the ranks are 2.5, 1, 2.5, 4. Both maps have one shape; neither is
# constant.
#
# <details><summary>Hint 1</summary>
#
# A value's mean rank is the number of smaller values, plus half the number of equal ones (itself included), plus one half.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `(v[:, None] > v).sum(dim=1)` counts for each entry of a flat tensor the smaller ones.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `torch.corrcoef(torch.stack([ranks_a, ranks_b]))[0, 1]` is the ordinary correlation.
#
# </details>


# %% tags=["exercise"]
def my_rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's rank correlation of two maps of one shape."""
    ### BEGIN SOLUTION
    ranks = []
    for values in (a.flatten(), b.flatten()):
        smaller = (values[:, None] > values).sum(dim=1)
        equal = (values[:, None] == values).sum(dim=1)
        ranks.append(smaller + (equal + 1) / 2)
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_rank_correlation(my_rank_correlation)

# %% [markdown]
# Now for all stages, from the classifier down, over several seeds and all four photos. As a yardstick we first add so
# little noise to the photos that the eye would not see it: a good map should hardly change.
# Grad-CAM is compared before its cut at zero, which would make most pixels equal.
# The threshold is our choice: below 0.5, the map is no longer the same. In the figure below, the line is the mean over
# the seeds, and the band goes from the smallest to the largest.


# %%
def compared(maps: Tensor, others: Tensor) -> float:
    """Mean rank correlation over the photos."""
    pairs = list(zip(maps, others, strict=True))
    return sum(edu.probe.rank_correlation(a, b) for a, b in pairs) / len(pairs)


print(f"a map with itself: {compared(pixels, pixels):.0f}, with its negative: {compared(pixels, -pixels):.0f}")

# %%
methods = {
    "Guided Backprop": lambda net, x, c: edu.probe.guided_backprop(net, x, c).sum(1),
    "Grad-CAM, layer2": partial(edu.probe.grad_cam, layer="layer2", relu=False),
    "Integrated Gradients": lambda net, x, c: edu.probe.integrated_gradients(net, x, c, steps=8).attribution.sum(1),
}
trained = {name: method(model, photos, classes) for name, method in methods.items()}
torch.manual_seed(0)
noisy = photos + 0.05 * torch.randn_like(photos)
for name, method in methods.items():
    print(
        f"{name:>20}: rank correlation with a little noise {compared(trained[name], method(model, noisy, classes)):.2f}"
    )

# %%
parts = {
    "classifier": ["fc"],
    "+ layer4": ["layer4"],
    "+ layer3": ["layer3"],
    "+ layer2": ["layer2"],
    "all": ["layer1", "conv1", "bn1"],
}
total = sum(p.numel() for p in model.parameters())
so_far = 0
for stage, more in parts.items():
    so_far += sum(p.numel() for part in more for p in model.get_submodule(part).parameters())
    print(f"{stage:>10}: {100 * so_far / total:5.1f} % of the weights are random by then")

# %%
left = {name: {stage: [] for stage in parts} for name in methods}
for seed in range(profile.choose(quick=3, full=10)):
    gone = []
    for stage, more in parts.items():
        gone = gone + more
        net = randomised(model, gone, seed)
        for name, method in methods.items():
            left[name][stage].append(compared(trained[name], method(net, photos, classes)))
edu.plots.rank_correlations(left, threshold=0.5, title="A method must notice that the net is gone")

# %%
for name, found in left.items():
    print(
        f"{name:>20}: "
        + "   ".join(f"{stage} {min(values):5.2f} to {max(values):.2f}" for stage, values in found.items())
    )
assert min(left["Guided Backprop"]["+ layer3"]) > 0.9, (
    f"{100 * random_share:.0f} % of the weights are random, and the map is the same"
)
for name in ("Grad-CAM, layer2", "Integrated Gradients"):
    assert max(abs(value) for stage in ("+ layer3", "+ layer2", "all") for value in left[name][stage]) < 0.5, name
assert max(left["Guided Backprop"]["all"]) < 0.5 < min(left["Guided Backprop"]["+ layer2"]), (
    "only the first layers count"
)
assert random_share > 0.9

# %% [markdown]
# Guided Backpropagation fails: it finds edges of the photo, much as an edge filter would, and hardly asks the net
# beyond its first layers. Grad-CAM and Integrated Gradients pass. Look at the left end too: with a new classifier
# alone their correlations scatter widely. The layers below still find what they found, and a random classifier asks them for a random mixture of it.
#
# Integrated Gradients pass *with their sign*. Without it, more of the map is left:

# %%
random_map = methods["Integrated Gradients"](replaced, photos, classes)
signed = compared(trained["Integrated Gradients"], random_map)
sizes = compared(trained["Integrated Gradients"].abs(), random_map.abs())
print(f"{100 * random_share:.0f} % of the weights random: {signed:.2f} with the sign, {sizes:.2f} without it")
assert sizes > 0.2 > signed, "the size of an attribution remembers the photo, whatever the net"

# %% [markdown]
# One reason stands in the formula: the gradient is multiplied by $x_i - x'_i$. Where the photo is close to the
# baseline, the map is close to zero for every net.
#
# Passing the test is necessary, not sufficient: it says that a map depends on the net, not that it tells you all that matters.
#
# ## A wrong answer, discussed
#
# Back to the cup of coffee. All three methods pointed to the lower half: the dark gap under the cup, the spoon, the
# saucer's edge. That is no explanation yet, but it
# is a guess that can be tested, by changing the photo.
#
# > **Before you run it:** what will the net say if the upper half is covered, and most of the cup with it?


# %%
def edited(x: Tensor) -> dict[str, Tensor]:
    """Versions of one photo (3, 64, 64), by what was done to it."""
    versions = {"as it is": x, "grey": x.mean(dim=0, keepdim=True).expand(3, -1, -1), "upside down": x.flip(1)}
    regions = {
        "upper half covered": (slice(32), slice(64)),
        "lower half covered": (slice(32, 64), slice(64)),
        "spot covered": (slice(36, 60), slice(22, 46)),
        "lower left covered": (slice(40, 64), slice(24)),
        "lower right covered": (slice(40, 64), slice(40, 64)),
    }
    for name, (rows, columns) in regions.items():
        versions[name] = x.clone()
        versions[name][:, rows, columns] = 0
    return versions


print("; ".join(edited(coffee[0])))

# %%
versions = edited(coffee[0])
_, chances = answers(model, torch.stack(list(versions.values())))
automobile = dict(zip(versions, chances[:, classes[1]].tolist(), strict=True))
best = [network.categories[c] for c in chances.argmax(dim=1).tolist()]
for (name, percent), answer in zip(automobile.items(), best, strict=True):
    print(f"{name:>20}: automobile {percent:3.0f} %   (best answer: {answer})")

# %%
edu.plots.image_grid(
    torch.stack([(x - x.min()) / (x.max() - x.min()) for x in versions.values()]),
    [f"{name}\n{percent:.0f} %" for name, percent in automobile.items()],
    columns=8,
    side=1.3,
    title="How much automobile is left?",
)

# %%
assert automobile["upper half covered"] > automobile["as it is"] - 15, "it is not in the upper half"
assert automobile["lower half covered"] < 20, "it is in the lower half"
corners = min(automobile["lower left covered"], automobile["lower right covered"])
assert automobile["spot covered"] < corners - 20, "more of it under the cup than in the corners"
assert min(automobile["grey"], automobile["upside down"]) > 40, "neither the red alone nor the position alone"

# %% [markdown]
# What can be said honestly: the upper half, with most of the cup, is not needed. The answer survives, weakened, without
# colour and upside down, and it falls furthest with what lies under the cup. The maps had the
# right place. (A grey square is itself something the net has never seen. This is why both lower corners are covered
# too, with squares of the same size. They take something as well: the evidence is not in one spot alone.) What cannot
# be said: *what* the net takes the spoon and the gap for. A bumper, a headlight,
# a wheel? A map shows where, not why. And there is a simpler truth behind it:
# the net knows ten kinds of things, a cup is none of them, and it has to answer.
#
# ### Explore: your own photo
#
# Choose a photo or upload one of yours, then the method and the answer to ask about. Try the second and third answers: how different are their maps? Then try
# a picture of your own with two things in it that the net knows, such as a dog in front of a car.

# %% tags=["explorer"]
edu.widgets.attribution_explorer(network, edu.data.photos())

# %% [markdown]
# Where widgets do not run, here is every method on two photos.

# %%
edu.plots.attribution_grid(network, {name: pictures[name] for name in ("coffee", "rocket")})

# %% [markdown]
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "The heat map shows why the net decided." | The coffee, covered piece by piece | **Half right.** It shows *where*. What the net takes the place for, it does not show. |
# | "The sharper the map, the better the explanation." | Guided Backpropagation with random weights | **Wrong.** The sharpest map hardly depends on anything behind the first layers. |
# | "Grad-CAM finds the object." | Ask for the class that the net thinks *least* likely | **Half right.** It finds what speaks for the class you ask about, and finds something for almost any class. On the coffee the map for deer, at half a percent, even has the higher values. |
# | "Integrated Gradients need no choices." | Black as the baseline in place of the mean colour | **Wrong.** With another baseline the pixels come in another order. |
# | "captum works with any net." | DeepLift, another of its methods, on torchvision's ResNet | **Half right.** DeepLift needs one ReLU module for each use. torchvision's blocks use one twice. |

# %%
least = logits.argmin(dim=1).tolist()
unlikely = edu.probe.grad_cam(model, photos, least, layer="layer2")
for i, name in enumerate(names):
    print(
        f"{name:>10}: asked for {network.categories[least[i]]} ({percents[i, least[i]]:.1f} %), largest value of the map {unlikely[i].max():.3f}, of the answer's {by_stage['layer2'][i].max():.3f}"
    )
assert all(float(cam.max()) > 0 for cam in unlikely), "there is a map for every class"
assert unlikely[1].max() > by_stage["layer2"][1].max(), "on the coffee a stronger one for deer than for automobile"

# %%
black = network.transforms(pictures["cat"].point(lambda value: 0)).to(photos.device)
from_black = edu.probe.integrated_gradients(model, photos, classes, baseline=black, steps=32).attribution.sum(1)
other_order = [edu.probe.rank_correlation(a, b) for a, b in zip(pixels, from_black, strict=True)]
print("rank correlation between the maps from two baselines:", [round(value, 2) for value in other_order])
assert max(other_order) < 0.5, "below the threshold of the test with random weights"

# %%
from captum.attr import DeepLift

with warnings.catch_warnings(action="ignore"):  # captum says that it puts hooks on every ReLU
    found = DeepLift(model).attribute(cat.clone().requires_grad_(), target=classes[0]).sum().item()
    try:
        DeepLift(theirs.eval()).attribute(cat.clone().requires_grad_(), target=classes[0])
    except RuntimeError as error:
        refused = str(error).split(". ")[0]
to_explain = float(logits[0, classes[0]] - nothing[classes[0]])
print(f"the course's ResNet: to explain {to_explain:.4f}, found {found:.4f}")
print(f"torchvision's ResNet: {refused}.")
assert abs(to_explain - found) < 1e-3
assert automobile["upper half covered"] > 50 > automobile["lower half covered"], "where, at least"

# %% [markdown]
# ## Summary
#
# * The first layer holds edges and colours. With depth the maps get coarser: 2×2 cells in the last stage for a photo of 64 pixels.
# * Occlusion covers, Grad-CAM weighs the maps of a layer by their gradient, Integrated Gradients add up the gradient along a way. Each asks another question.
# * At the last stage Grad-CAM is the class activation map, and its mean plus the bias is the logit. Integrated
#   Gradients are complete up to an error that you can print.
# * Test before you believe: the map must follow a photo that moves, and must change when the weights are random. Guided Backpropagation's hardly does.
# * A map says where. A guess about why is tested by changing the picture.
#
# ## Sources
#
# * R. Selvaraju et al.: Grad-CAM: visual explanations from deep networks via gradient-based localization, 2016, [arXiv
#   1610.02391](https://arxiv.org/abs/1610.02391)
# * B. Zhou et al.: Learning deep features for discriminative localization, 2016, [arXiv 1512.04150](https://arxiv.org/abs/1512.04150)
# * M. Sundararajan, A. Taly, Q. Yan: Axiomatic attribution for deep networks, 2017, [arXiv 1703.01365](https://arxiv.org/abs/1703.01365)
# * M. Zeiler, R. Fergus: Visualizing and understanding convolutional networks, 2013, [arXiv 1311.2901](https://arxiv.org/abs/1311.2901)
# * J. Springenberg et al.: Striving for simplicity: the all convolutional net, 2014, [arXiv 1412.6806](https://arxiv.org/abs/1412.6806)
# * J. Adebayo et al.: Sanity checks for saliency maps, 2018, [arXiv 1810.03292](https://arxiv.org/abs/1810.03292)
# * N. Kokhlikyan et al.: Captum: a unified and generic model interpretability library for PyTorch, 2020, [arXiv 2009.07896](https://arxiv.org/abs/2009.07896)
# * The photos come with [scikit-image](https://scikit-image.org).
#
# ## Next lesson
#
# 12 · Train and predict: the whole workflow on a folder of your own photos.
