# %% [markdown]
# # 02 · AlexNet: the network that changed the field
#
# In 2012 the best programs of the ImageNet contest were made of features that people had designed. One team entered
# convolutional networks, descendants of LeNet-5 about a thousand times as large. One of them took five to six days to
# train on two graphics cards. Seven of them together had an error of 15.3 %, the second-best entry 26.2 %. (It is the
# top-5 error, which you compute in a moment.) This lesson takes the network apart, and tests which of its ideas do what
# is said of them.
#
# After this lesson you can
#
# * compute a top-k error, and tell which of AlexNet's published numbers is which;
# * say where 61 million parameters sit, and count them without running anything;
# * build AlexNet so that it loads torchvision's weights by name;
# * flip and crop a whole batch, each image by itself, without a loop;
# * test whether ReLU, dropout and augmentation help on *your* data, and on what conditions.
#
# **Minutes:** 35 reading, 50 more for the exercises · 1 running quick · 2 running full

# %% tags=["setup"]
from dataclasses import replace

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2 import functional as transforms

import resnet_edu as edu

profile = edu.profile()
data = edu.data.load("mnist5k", size=16, limit=profile.choose(quick=2000, full=None))
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## The contest, and how it counts
#
# ILSVRC, the ImageNet contest, has 1,000 classes, among them 120 breeds of dog. Each photo has one label, even where it shows a cup *and* a table.
# To be fair to a program that names the table first, the contest lets it name five classes. It is wrong if the label is not among them.
# That share of wrong images is the **top-5 error**. With k guesses it is the top-k error.

# %% tags=["nbval-check-output"]
numbers = {
    "one net, validation images": edu.facts.ALEXNET_TOP5_SINGLE,
    "five nets, averaged": edu.facts.ALEXNET_TOP5_FIVE,
    "seven nets: the winning entry": edu.facts.ALEXNET_TOP5_ENSEMBLE,
    "second-best entry of 2012": edu.facts.ALEXNET_RUNNER_UP_TOP5,
    "one net, images of 2010": edu.facts.ALEXNET_2010_TOP5,
}
for what, fact in numbers.items():
    print(f"{what:30} top-5 error {fact.value:4} %")
one_tower = 100 - edu.facts.TORCHVISION_ACCURACY["alexnet"][1].value
print(f"{'torchvision, one net':30} top-5 error {one_tower:.1f} %")

# %% [markdown]
# Six numbers, and all are called "AlexNet's error" somewhere. The paper's network, alone, is the first line.
# Torchvision's version of it, which you build below, is the last.
#
# ### Exercise 2.1 · Top-k error
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Write `top_k_error(logits, labels, k)`: the share of images, in percent, whose label is not among the k classes with the highest logits. `logits`
# has the shape `(N, classes)`, `labels` the shape `(N,)`.
#
# <details><summary>Hint 1</summary>
#
# `logits.topk(k, dim=1).indices` has the shape `(N, k)`: the k guesses for each image.
# </details>
# <details><summary>Hint 2</summary>
#
# Give the labels a second dimension, `labels[:, None]`, so that each is compared with the guesses for its own image.
# </details>
# <details><summary>Hint 3</summary>
#
# An image has a hit if `any` of its guesses equals the label: `.any(dim=1)`.
# </details>


# %% tags=["exercise"]
def top_k_error(logits: Tensor, labels: Tensor, k: int) -> float:
    """Share of images whose label is not among the k highest logits, in percent."""
    ### BEGIN SOLUTION
    guesses = logits.topk(k, dim=1).indices  # (N, k)
    hits = (guesses == labels[:, None]).any(dim=1)  # (N,)
    return 100 * (1 - hits.float().mean().item())
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_top_k_error(top_k_error)

# %% [markdown]
# There is a definition that sorts nothing: *an image is wrong if k or more classes are rated higher than its label*. The check holds yours against
# it. Here the same definition gives the error of pure guessing, for each k:

# %%
torch.manual_seed(0)
logits, labels = torch.randn(20_000, 10), torch.randint(10, (20_000,))
higher = (logits > logits.gather(1, labels[:, None])).sum(dim=1)  # (N,): classes rated higher than the label
guessing = {k: 100 * (higher >= k).float().mean().item() for k in range(1, 11)}
print("  ".join(f"k={k}: {error:.0f} %" for k, error in guessing.items()))
assert all(abs(error - (100 - 10 * k)) < 2 for k, error in guessing.items()), "k guesses in 10 classes"

# %% [markdown]
# A top-5 error says little when there are ten classes: guessing gets 50 %. It was made for a thousand, where guessing is wrong 99.5 % of the time.
#
# ## The network
#
# Five convolutions, three max poolings, three linear layers. The kernels shrink from 11×11 to 5×5 to 3×3, the side from 224 to 6. (A pooling
# is drawn beside the maps that it puts out, so it opens the next group. The second `pool` at 6×6 is an average pooling
# that lets other image sizes through. At this size it does nothing.)

# %%
with torch.device("meta"):  # shapes without memory
    alexnet = edu.models.build("alexnet")
costs = edu.probe.summary(alexnet, (3, 224, 224))
edu.plots.architecture(alexnet, (3, 224, 224), title=f"AlexNet: eight layers, {costs.parameters:,} parameters")

# %% tags=["nbval-check-output"]
names = iter(("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"))
rows = [row for row in costs.rows if row.parameters]
for row in rows:
    shape = "×".join(str(size) for size in row.output_shape[1:])
    share = f"{100 * row.parameters / costs.parameters:4.1f} %   {row.macs / 1e6:6.1f} million multiply-adds"
    print(f"{next(names)}  {shape:>9}   {row.parameters:10,} parameters {share}")
linear = [row for row in rows if row.kind == "Linear"]
parameters, work = sum(row.parameters for row in linear), sum(row.macs for row in linear)
print(f"three linear layers: {parameters:,} parameters, {100 * parameters / costs.parameters:.0f} % of all, "
      f"and {100 * work / costs.macs:.0f} % of the work")  # fmt: skip
assert costs.parameters == edu.facts.PARAMETERS["alexnet"].value == 61_100_840
assert parameters == 58_631_144
assert parameters / costs.parameters > 0.95
assert work / costs.macs < 0.1

# %% [markdown]
# Read the two columns together. The parameters sit in the linear layers, the work is done in the convolutions, because
# a convolution uses each of its weights at
# every place of the map. Keep both numbers in mind: VGG, in the next lesson, has more of each, and GoogLeNet after it
# shows how to do with far fewer parameters.
#
# ### Exercise 2.2 · Parameters of the linear layers
#
# **Difficulty** ●○○○○ · **5 minutes**
#
# The last feature maps have `channels` channels of `side × side` pixels. They are flattened, and three linear layers follow: to `hidden`, to `hidden`, to
# `num_classes`. Write the number of their parameters as a formula.
#
# <details><summary>Hint 1</summary>
#
# A linear layer from a to b numbers has $b\,(a + 1)$ parameters: for each output a weight for every input, and one bias.
# </details>
# <details><summary>Hint 2</summary>
#
# Flattening keeps every pixel of every map: the first layer has `channels * side * side` inputs.
# </details>


# %% tags=["exercise"]
def linear_parameters(channels: int, side: int, hidden: int, num_classes: int) -> int:
    """Number of weights and biases of three linear layers on maps of (channels, side, side)."""
    ### BEGIN SOLUTION
    inputs = channels * side * side
    return hidden * (inputs + 1) + hidden * (hidden + 1) + num_classes * (hidden + 1)
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_linear_parameters(linear_parameters)

# %% [markdown]
# ### Exercise 2.3 · AlexNet
#
# **Difficulty** ●●●○○ · **20 minutes**
#
# Write the net, with torchvision's sizes and names. All sizes are multiples of `width`, so that you can also build a
# small one: filters `width`, 3, 6, 4 and 4 times
# `width`, and `64 * width` hidden units. `width=64` is AlexNet.
#
# | | |
# |---|---|
# | `self.features` | conv 11×11, stride 4, padding 2 · ReLU · pool · conv 5×5, padding 2 · ReLU · pool · three times conv 3×3, padding 1 · ReLU · pool at the end |
# | `self.avgpool` | `nn.AdaptiveAvgPool2d(6)`: 6×6 pixels, whatever the side of the image |
# | `self.classifier` | dropout · linear · ReLU · dropout · linear · ReLU · linear |
#
# The three poolings are `nn.MaxPool2d(3, stride=2)`. They overlap, which was new. Leave `inplace` off.
#
# <details><summary>Hint 1</summary>
#
# In an `nn.Sequential` the position is the name: the second convolution is `features.3`, after a convolution, a ReLU and a pooling.
# </details>
# <details><summary>Hint 2</summary>
#
# The first linear layer takes `4 * width * 6 * 6` numbers. Between `avgpool` and `classifier` stands `x.flatten(1)`.
# </details>
# <details><summary>Hint 3</summary>
#
# Compare `list(AlexNet().state_dict())` with `list(torchvision.models.alexnet().state_dict())`.
# </details>


# %% tags=["exercise"]
class AlexNet(nn.Module):
    """Images (N, 3, H, W) to logits (N, num_classes)."""

    def __init__(self, num_classes: int = 1000, width: int = 64) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(width, 3 * width, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(3 * width, 6 * width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(6 * width, 4 * width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(4 * width, 4 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        hidden = 64 * width
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(4 * width * 6 * 6, hidden), nn.ReLU(),
            nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, num_classes),
        )  # fmt: skip
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        ### BEGIN SOLUTION
        x = self.avgpool(self.features(x)).flatten(1)  # (N, 4 · width · 6 · 6)
        return self.classifier(x)
        ### END SOLUTION


# %% tags=["check"]
edu.checks.check_alexnet(AlexNet)

# %% [markdown]
# Equal names pay off now. Here is torchvision's own network, with random weights, since nothing is downloaded in this course by itself. Its state dict goes
# into the package's AlexNet with `strict=True`, which refuses any name or size that differs, and both compute the same logits.

# %%
torch.manual_seed(0)
theirs = torchvision.models.alexnet(weights=None).eval()
alexnet.load_state_dict(theirs.state_dict(), strict=True, assign=True)
images = torch.randn(2, 3, 224, 224)
with torch.inference_mode():
    ours, expected = alexnet.eval()(images), theirs(images)
print(f"largest difference of 2,000 logits: {(ours - expected).abs().max():.1e}, their spread {expected.std():.3f}")
torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
del theirs, alexnet, ours, expected

# %% [markdown]
# ## One tower, two towers
#
# Whoever compares torchvision's AlexNet with the paper finds other numbers: 64 filters in the first layer in place of
# 96, and no sign of the two graphics cards. Here is why.
#
# A GTX 580 had 3 GB of memory, too little for the net. So the authors put half of each layer's kernels on each card, and let the two halves
# see each other's maps only in the third convolution and in the linear layers. In today's words, the second, fourth and
# fifth convolution have two **groups**: a kernel of a
# group looks only at the maps of its group. Measure which input map (column) reaches which output map (row); black means not at all:


# %%
def connections(layer: nn.Conv2d) -> Tensor:
    """Answer of each output map (rows) to one input map alone (columns)."""
    one_map_each = torch.eye(layer.in_channels)[:, :, None, None].expand(-1, -1, 3, 3)
    with torch.no_grad():
        answers = layer(one_map_each)[:, :, 1, 1] - layer.bias  # (input maps, output maps)
    return answers.T.abs()


torch.manual_seed(0)
matrices = torch.stack([connections(nn.Conv2d(12, 12, 3, padding=1, groups=groups)) for groups in (1, 2)])
assert matrices[1, :6, 6:].sum() == matrices[1, 6:, :6].sum() == 0 < matrices[0].min(), "groups do not see each other"
edu.plots.image_grid(
    matrices, ["one tower", "two towers: groups=2"], side=2.2, title="Two groups: half of the weights are gone"
)


# %% tags=["nbval-check-output"]
def count(filters: tuple[int, ...], groups: tuple[int, ...]) -> int:
    """Parameters of an AlexNet with these convolutions, and the three linear layers of 4,096, 4,096 and 1,000."""
    inputs, total = (3, *filters), sum(b * (a + 1) for a, b in ((filters[-1] * 36, 4096), (4096, 4096), (4096, 1000)))
    for i, kernel in enumerate((11, 5, 3, 3, 3)):
        total += filters[i] * (kernel**2 * inputs[i] // groups[i] + 1)
    return total


one, two = (1, 1, 1, 1, 1), (1, 2, 1, 2, 2)
paper = count((96, 256, 384, 384, 256), two)
for what, number in {
    "2012, two towers": paper,
    "the same filters, one tower": count((96, 256, 384, 384, 256), one),
    "torchvision": count((64, 192, 384, 256, 256), one),
    "footnote of 2014": count((64, 192, 384, 384, 256), one),
}.items():
    print(f"{what:28} {number:11,} parameters   {100 * (number / paper - 1):+.2f} %")

# %%
more = 100 * (costs.parameters / paper - 1)
print(f"the paper of 2012: {edu.facts.ALEXNET_MILLION_PARAMETERS.value} million parameters; counted {paper:,}")
print(
    f"the paper of 2014: {edu.facts.ALEXNET_ONE_TOWER_MORE.value} % more parameters than that; torchvision's net has {more:.2f} % more"
)
assert count((64, 192, 384, 256, 256), one) == costs.parameters
assert round(more, 1) == edu.facts.ALEXNET_ONE_TOWER_MORE.value
assert round(paper, -6) == 61_000_000, "the '60 million' of the paper is rounded generously"

# %% [markdown]
# Torchvision's net is the **one-tower version**, which Krizhevsky published in 2014 in "One weird trick for
# parallelizing convolutional neural networks": fewer filters, no groups, nearly the
# same size. Look at the last line of the table as well. A footnote of that paper names 384 filters for the fourth
# convolution. The code that came with it has 256, as torchvision has, and
# only with 256 the paper's own "0.2 % more parameters" comes out.
#
# ## ReLU, put to the test
#
# The paper's figure 1 is one of the most repeated claims of the field: a four-layer convolutional net with ReLU reaches
# a training error of 25 % on CIFAR-10 six times
# faster than with tanh. Two conditions are in its caption, and mostly left out when it is retold: each net had its
# **own best learning rate**, and there was no regularisation: nothing, such as dropout, that keeps a net from learning
# its training images by heart.
#
# Repeat it in small: four layers, the digits, no regularisation, and initial weights drawn by a rule that
# suits the function (He's for ReLU, Xavier's for the other two; lesson 05 has more on both). Three activations, three learning rates.
#
# > **Before you run it:** which of the nine runs will be the fastest?


# %%
def four_layers(activation: type[nn.Module], width: int = 16) -> nn.Sequential:
    """Three convolutions with pooling, one linear layer; weights drawn to suit the activation."""
    layers, channels = [], 1
    for filters, kernel in ((width, 5), (width, 5), (2 * width, 3)):
        layers += [nn.Conv2d(channels, filters, kernel, padding=kernel // 2), activation(), nn.MaxPool2d(2)]
        channels = filters
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 2 * 2, 10))
    draw = nn.init.kaiming_normal_ if activation is nn.ReLU else nn.init.xavier_normal_
    for name, parameter in net.named_parameters():
        nn.init.zeros_(parameter) if name.endswith("bias") else draw(parameter)
    return net


# %%
plain = edu.TrainConfig(epochs=6, batch_size=64, weight_decay=0, schedule="constant", augment=())
runs = {}
for activation in (nn.Sigmoid, nn.Tanh, nn.ReLU):
    for rate in (0.003, 0.01, 0.1):
        torch.manual_seed(0)
        net = four_layers(activation)  # the last one, ReLU at rate 0.1, is looked at below
        runs[activation.__name__, rate] = edu.fit(net, data, replace(plain, lr=rate))
print("training error (%) after each epoch")
for (name, rate), history in runs.items():
    print(f"{name:>8} {rate:6}", "  ".join(f"{epoch.train_error:5.1f}" for epoch in history.epochs))

# %%
finals = {(history.last.train_error, name, rate) for (name, rate), history in runs.items()}
best = {name: min(final for final in finals if final[1] == name)[2] for name in ("Tanh", "ReLU")}
shown = {f"{name}, best rate {rate}": runs[name, rate] for name, rate in best.items()}
shown |= {f"{name}, rate 0.003": runs[name, 0.003] for name in ("Tanh", "ReLU", "Sigmoid")}
edu.plots.errors_by_epoch(shown, title="At the same small rate ReLU wins, at its own best rate tanh")

# %%
small = {name: runs[name, 0.003].last.train_error for name in ("Tanh", "ReLU")}
own = {name: runs[name, rate].last.train_error for name, rate in best.items()}
print(f"both at rate 0.003:    ReLU {small['ReLU']:.1f} %, tanh {small['Tanh']:.1f} %")
print(f"each at its best rate: ReLU {own['ReLU']:.1f} % at {best['ReLU']}, tanh {own['Tanh']:.1f} % at {best['Tanh']}")
assert small["ReLU"] < 0.7 * small["Tanh"], "at the same small rate ReLU is far ahead"
assert own["Tanh"] < own["ReLU"], "at its own best rate tanh is ahead, on these digits"
assert min(runs["Sigmoid", rate].last.train_error for rate in (0.003, 0.01, 0.1)) > 80, "the sigmoid hardly learns"

# %%
images = data.test.inputs(slice(200)).to(edu.machine.device())
outputs = edu.probe.forward_statistics(net, images, layers=["1", "4", "7"])  # the three ReLUs, at rate 0.1
print("share of zeros after each ReLU:", "  ".join(f"{100 * row.zeros:.0f} %" for row in outputs))
assert runs["ReLU", 0.1].last.train_error > 80, "ReLU does not survive the rate that suits tanh"
assert outputs[-1].zeros == 1, "its last ReLU puts out nothing but zeros, for every image"

# %% [markdown]
# So the claim is not simply true, and not simply false.
#
# * **Against the sigmoid, ReLU wins outright.** At none of the three rates does the sigmoid net leave the start in six
#   epochs. It has two handicaps: a slope of at most 1/4, and an output that is never centred on zero.
# * **At the same small rate, ReLU wins against tanh.** Its slope is 1 wherever it is not 0, so more of the gradient arrives, and each step achieves more.
# * **At its own best rate, tanh wins here.** Its output stays between −1 and 1, so it bears a learning rate ten times
#   as high, at which the ReLU net dies. A step too far has pushed its units below zero for every image, as the last
#   line shows. There the slope is 0, so no gradient brings them back.
#
# This was the outcome for each of six seeds. Nor does a finer grid change it: at 0.02, 0.03 and 0.05, with three seeds,
# ReLU never got below its error at 0.01. All this does not refute the paper: another data set, another net, two
# thousand images and not fifty thousand, and initial weights drawn for each
# function, where in 2012 all weights began with a spread of 0.01. What it refutes is the short version, "ReLU is six
# times faster". What depth does to the three functions, and what ReLU needs to keep its promise, you see in lesson 05.
#
# ## Local response normalisation: tried and dropped
#
# The paper has one more layer, after the first two ReLUs. It divides each activation by a number that grows with the
# activations of five channels at the same pixel, its own and two on either side:
#
# $$b_i = a_i \,\Big/\, \Big(2 + 10^{-4} \sum_{j=i-2}^{i+2} a_j^2\Big)^{3/4}$$


# %%
def divisors(a: Tensor) -> Tensor:
    """By what the paper divides each of the activations `(channels,)` of one pixel."""
    squares = F.pad(a**2, (2, 2))
    return (2 + 1e-4 * sum(squares[i : i + len(a)] for i in range(5))) ** 0.75


a = torch.tensor([0.1, 0.2, 0.1, 0.3, 0.2, 0.3, 1.0, 0.4, 0.2, 0.1, 0.3, 0.1, 0.2, 0.1])
edu.plots.response_normalisation(
    a.tolist(),
    {f"strongest activation {scale}": divisors(scale * a).tolist() for scale in (1, 300)},
    title="A strong channel makes itself and its neighbours smaller, if it is strong enough",
)

# %%
layer = nn.LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2)  # PyTorch divides alpha by size
pixel = (300 * a)[None, :, None, None]
by_hand = 300 * a / divisors(300 * a)
torch.testing.assert_close(layer(pixel)[0, :, 0, 0], by_hand)
with_papers_alpha = nn.LocalResponseNorm(size=5, alpha=1e-4, beta=0.75, k=2)(pixel)[0, :, 0, 0]
print(
    f"the strongest, 300, becomes {by_hand.max():.0f}; with alpha=1e-4 as printed in the paper {with_papers_alpha.max():.0f}"
)
print(f"activations of about 1 are divided by {divisors(a).min():.4f} to {divisors(a).max():.4f}: all alike")
assert divisors(a).max() / divisors(a).min() < 1.0001, "no competition at the size that today's inputs give"
assert not torch.allclose(with_papers_alpha, by_hand, rtol=0.1), "the paper's alpha is another one than PyTorch's"

# %% [markdown]
# Two things are worth knowing. PyTorch's `alpha` is divided by the window of 5, so whoever copies the paper's 10⁻⁴ gets
# a layer in which the neighbours weigh a fifth. And the layer was made for a net that saw raw pixels, from which only
# the mean was subtracted: its
# inputs go up to a hundred and more. With normalised inputs the activations are about 1, and it divides all of them by
# nearly the same number. The paper reports a gain of 1.2 points of top-5 error. VGG's authors found none two years
# later, and the layer
# went out of use. Torchvision's AlexNet does not have it, nor has ours.
#
# ## More images out of one
#
# The paper trains 60 million parameters on 1.2 million images. To keep the net from learning them by heart, it hardly
# ever shows an image the same way twice: it cuts out a random part, mirrors half of them, and shifts the colours a
# little. The label stays what it was. That is **augmentation**.
#
# ### Explore: what the net is shown
#
# Choose an image and change padding, flip and seed. Which setting would harm a net that reads digits?


# %%
def square(name: str, side: int = 112) -> Tensor:
    """A photo, cut to a square in the middle and scaled: (3, side, side), uint8."""
    photo = decode_image(str(edu.data.photo(name)), ImageReadMode.RGB)
    return transforms.resize(transforms.center_crop(photo, [min(photo.shape[1:])]), [side, side], antialias=True)


pictures = {"cat": square("cat"), "coffee": square("coffee")}
digits = edu.data.load("mnist5k", size=28).test
pictures |= {f"digit {digit}": digits.images[int((digits.labels == digit).nonzero()[0])] for digit in (2, 7)}
print({name: tuple(image.shape) for name, image in pictures.items()})

# %% tags=["explorer"]
edu.widgets.augmentation_explorer(pictures)

# %% [markdown]
# The same in print, in each row the image (framed) and what five epochs show in its place.

# %%
edu.plots.augmentation_grid({name: pictures[name] for name in ("cat", "digit 2")})

# %% [markdown]
# A mirrored cat is a cat. A mirrored 2 is no digit at all. Augmentation may only do what leaves the label true, and
# which transformations those are depends on the data.
#
# ### Exercise 2.4 · Flip
#
# **Difficulty** ●●○○○ · **6 minutes**
#
# Write `flip_chosen(images, chosen)`: mirror those images of the batch for which `chosen` is True, leave the others as
# they are. Return a new batch and leave `images` unchanged: it has the shape `(N, C, H, W)`. `chosen` is a tensor of
# `N` truth values. No loop over
# the images.
#
# <details><summary>Hint 1</summary>
#
# `images.flip(3)` mirrors all of them.
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.where(condition, a, b)` takes from `a` where the condition is True. Give `chosen` three more dimensions: `chosen[:, None, None, None]`.
# </details>


# %% tags=["exercise"]
def flip_chosen(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the images (N, C, H, W) for which chosen (N,) is True."""
    ### BEGIN SOLUTION
    return torch.where(chosen[:, None, None, None], images.flip(3), images)
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_flip(flip_chosen)

# %% [markdown]
# ### Exercise 2.5 · Crop
#
# **Difficulty** ●●●●○ · **12 minutes**
#
# Write `crop_each(images, top, left, padding)`: put `padding` zeros on all four sides of each image, then cut image n
# out at row `top[n]` and column `left[n]`, as large as it was. `top` and `left` are tensors of `N` whole numbers from 0
# to
# 2 · padding. No loop over the images.
#
# <details><summary>Hint 1</summary>
#
# The rows of image n are `top[n]`, `top[n] + 1`, … Get all of them at once: `top[:, None] + torch.arange(H)` has the shape `(N, H)`.
# </details>
# <details><summary>Hint 2</summary>
#
# Index with three tensors that broadcast to `(N, H, W)`: the number of the image `(N, 1, 1)`, the rows `(N, H, 1)`, the columns `(N, 1, W)`.
# </details>
# <details><summary>Hint 3</summary>
#
# It is easiest with the channels last: `padded.permute(0, 2, 3, 1)[image, rows, columns]` is `(N, H, W, C)`. Then permute back.
# </details>


# %% tags=["exercise"]
def crop_each(images: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    """Pad (N, C, H, W) with zeros and cut each image out at its own corner: (N, C, H, W)."""
    ### BEGIN SOLUTION
    N, _, H, W = images.shape
    padded = F.pad(images, (padding, padding, padding, padding)).permute(0, 2, 3, 1)  # (N, H + 2p, W + 2p, C)
    image = torch.arange(N)[:, None, None]  # (N, 1, 1)
    rows = (top[:, None] + torch.arange(H))[:, :, None]  # (N, H, 1)
    columns = (left[:, None] + torch.arange(W))[:, None, :]  # (N, 1, W)
    return padded[image, rows, columns].permute(0, 3, 1, 2)
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_crop(crop_each)

# %% [markdown]
# This is how `edu.fit` augments when you write `augment=("crop", "flip")`. On a batch of tensors it costs next to nothing.
#
# ## Too few images: dropout and augmentation
#
# AlexNet's other remedy is **dropout**: in each training step, a random half of the numbers that enter the first two
# linear layers is set to zero. What remains is doubled, so that the sums stay the same on average. No unit can rely on
# another one being there. In evaluation all of them are used.
#
# Give a small AlexNet only 300 digits, 30 of each. It can learn them by heart. Then train it with dropout, or with
# crops and small turns of up to 10 degrees. All three use the optimizer Adam, which gives every weight a step size of
# its own. Measure the loss on the training images and on the test images. Their
# difference is the **gap**: how much better the net does on what it has seen.


# %%
def trained(data: edu.data.Data, *, dropout: float = 0.0, augment: tuple[str, ...] = ()) -> nn.Module:
    """A small AlexNet for grey images, trained with Adam for 30 epochs."""
    torch.manual_seed(0)
    net = edu.models.build("alexnet", stem="small", width=4, in_channels=1, num_classes=10, dropout=dropout)
    adam = edu.TrainConfig(epochs=30, batch_size=50, optimizer="adam", lr=0.002, weight_decay=0, augment=augment)
    edu.fit(net, data, adam)
    return net


few = edu.data.load("mnist5k", size=28, limit=300)
nets = {"neither": trained(few)}
print(f"{sum(p.numel() for p in nets['neither'].parameters()):,} parameters for {len(few.train)} images")

# %%
nets |= {"dropout": trained(few, dropout=0.5), "augmentation": trained(few, augment=("crop", "rotation"))}
measured = {name: (edu.evaluate(net, few.train), edu.evaluate(net, few.test)) for name, net in nets.items()}
losses = {name: (train.loss, test.loss) for name, (train, test) in measured.items()}
edu.plots.train_and_test(
    losses, title="Dropout and augmentation lower the gap", quantity="loss after the last epoch (nats)"
)

# %%
gaps = {name: test - train for name, (train, test) in losses.items()}
for name, (train, test) in measured.items():
    print(f"{name:>12}: gap of the loss {gaps[name]:.2f}   "
          f"errors {train.top1_error:.1f} % on training images, {test.top1_error:.1f} % on test images")  # fmt: skip
assert measured["neither"][0].top1_error < 1, "without them, the net knows its 300 images by heart"
assert gaps["augmentation"] < 0.9 * gaps["neither"], "augmentation lowers the gap between train and test"
assert gaps["dropout"] < gaps["neither"], "so does dropout"

# %% [markdown]
# The net with neither knows all its images, and it is sure of itself even where it is wrong: that is what its high test
# loss says. The other two are made to doubt. The measurement on the training images is
# done without crops, turns and dropout, so it is fair to all three.
#
# How sure can you be of one run? With seven seeds, augmentation lowered the gap each time, by 23 to 57 %. Dropout did
# too, but once by only 6 %. The test error of the augmented net was lower
# in six of the seven runs, and the same within the noise in one. A single pair of runs, without spread, is how most such claims are made.
#
# ## From edges to parts
#
# Each layer looks at the maps of the one before, so the deeper it is, the more of the image one of its numbers has
# seen. This can be computed from kernels and strides alone; lesson 03 shows how. For AlexNet:

# %% tags=["nbval-check-output"]
with torch.device("meta"):
    features = edu.models.build("alexnet").features
fields = {row.name: row for row in edu.probe.receptive_field(features, (3, 224, 224))}
for name, layer in (
    ("0", "conv1"),
    ("3", "conv2"),
    ("6", "conv3"),
    ("8", "conv4"),
    ("10", "conv5"),
    ("12", "last pooling"),
):
    print(f"{layer:>12}: one number has seen {fields[name].size:3} × {fields[name].size} pixels of 224 × 224")
assert (fields["0"].size, fields["12"].size) == (11, 195)

# %% [markdown]
# In 11 pixels there is room for an edge or a spot of colour, in 99 for an eye, in 195 for most of the animal. What the
# layers make of this room takes training on photos. AlexNet's trained weights do not come with this course, so look at
# a relative: the ResNet-18 that the package brings along, which has learned ten classes from small photos. Its maps
# take the same path, from outlines to a few bright places.

# %%
net = edu.models.pretrained("resnet18", source="bundled")
print(net.source)
image = net.transforms(net.read(edu.data.photo("cat")))[None]
layers = {
    "relu": "first convolution and ReLU",
    "layer1": "after 5 convolutions",
    "layer2": "after 9",
    "layer3": "after 13",
}
with edu.probe.activations(net.model, layers) as seen, torch.inference_mode():
    net.model(image)
maps = {text: seen[name][0, :8] for name, text in layers.items()}
edu.plots.feature_maps({"input": image[0], **maps}, title="A cat on its way through a net, eight maps of each layer")

# %% [markdown]
# The first maps are line drawings of the cat: outlines, light against dark, one direction each. (A map that stays black
# found nothing to answer to.) Deeper down the cat dissolves into a few bright places: a map there answers "something of
# this kind is here". What this something is, a picture of maps cannot tell, and
# "the deeper layers see ears" is more than anyone can read off them. Lesson 11 asks with better tools.
#
# One thing can be measured. If the layers gather what tells the classes apart, a very simple reader should get better
# from layer to layer. Take the reader that compares an image with the mean of each class, and let it
# read the layers of the small AlexNet that has learned from 300 digits.


# %%
def nearest_mean_error(train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Percent of test rows (N, ...) that lie nearest to the mean of a wrong class."""
    means = torch.stack([train[labels == label].flatten(1).mean(dim=0) for label in labels.unique()])  # (10, D)
    return 100 * (torch.cdist(test.flatten(1), means).argmin(dim=1) != test_labels).float().mean().item()


convolutions = {"features.1": "conv1", "features.4": "conv2", "features.7": "conv3", "features.9": "conv4",
                "features.11": "conv5"}  # fmt: skip
reader = nets["augmentation"].cpu()
with torch.inference_mode(), edu.probe.activations(reader, convolutions) as of_train:
    reader(few.train.inputs())
with torch.inference_mode(), edu.probe.activations(reader, convolutions) as of_test:
    reader(few.test.inputs())
print({text: tuple(of_train[name].shape[1:]) for name, text in convolutions.items()})

# %%
readers = {"pixels": (few.train.inputs(), few.test.inputs())}
readers |= {text: (of_train[name], of_test[name]) for name, text in convolutions.items()}
readable = {
    layer: nearest_mean_error(train, few.train.labels, test, few.test.labels)
    for layer, (train, test) in readers.items()
}
print("   ".join(f"{layer} {error:.1f} %" for layer, error in readable.items()))
assert readable["conv5"] < readable["pixels"] - 5, "the classes lie further apart in the last maps than in the image"

# %% [markdown]
# The first two layers do not help this reader, the later ones do. No layer was told to draw the classes apart; only the answer of the whole net was trained.
#
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "AlexNet's top-5 error was 84.7 %." | 100 − 84.7 | **Swapped.** 15.3 % is the error, 84.7 % the accuracy. And it is that of seven nets together. |
# | "AlexNet has 60 million parameters." | Both versions counted | **Rounded.** 61.0 million with two towers, 61.1 million in torchvision. |
# | "ReLU trains six times faster than tanh." | Nine runs, each net at its best rate | **Not in general.** The paper reports it for its net and data; on these digits tanh is faster at its own best rate. |
# | "The input is 224×224." | The formula of lesson 01 | **Only with padding.** The maps of the paper's figure 2 have 55×55 pixels. Without padding, 224 pixels give 54×54. |
# | "A crop of 224 from 256 pixels, mirrored, makes 2,048 images of one." | Counting the corners | **Nearly.** That is 2 · 32². A window of 224 in 256 pixels has 33 places along a side, so 2 · 33² = 2,178. |
# | "The parameters are in the convolutions." | The table above | **Wrong.** 96 % sit in three linear layers; the convolutions do 92 % of the work. |

# %%
error = edu.facts.ALEXNET_TOP5_ENSEMBLE
print(f"top-5 error {error}, accuracy {100 - error.value:.1f} %")
assert round(100 - error.value, 1) == 84.7
assert edu.facts.ALEXNET_TOP5_ENSEMBLE.value < edu.facts.ALEXNET_TOP5_FIVE.value < edu.facts.ALEXNET_TOP5_SINGLE.value
maps = {(side, pad): (side + 2 * pad - 11) // 4 + 1 for side, pad in ((224, 0), (227, 0), (224, 2))}
for (side, padding), places in maps.items():
    print(f"side {side}, padding {padding}: maps of {places}×{places}")
assert maps == {(224, 0): 54, (227, 0): 55, (224, 2): 55}
places = 256 - 224 + 1
print(f"{places} places a side: {2 * places**2:,} images, the paper says {edu.facts.ALEXNET_CROPS.value:,}")
assert 2 * (places - 1) ** 2 == edu.facts.ALEXNET_CROPS.value == 2**11
assert own["Tanh"] < own["ReLU"]

# %% [markdown]
# ## Summary
#
# * The **top-k error** counts an image as wrong if its label is not among the k best guesses. AlexNet: 18.2 % alone, 15.3 % as seven nets.
# * 61,100,840 parameters, 96 % of them in three linear layers. 92 % of the work is done by the five convolutions.
# * Torchvision's AlexNet is the one-tower version of 2014. The paper's net has two towers: groups of two in three of its convolutions.
# * ReLU beats the sigmoid clearly, and tanh at the same small rate. At its own best rate tanh can win, and here it does.
# * Dropout and augmentation lower the gap between training and test loss. Augmentation may only do what leaves the label true.
# * Local response normalisation divides nearly all activations alike once the inputs are normalised. It went out of use.
#
# ## Sources
#
# * A. Krizhevsky, I. Sutskever, G. Hinton: ImageNet classification with deep convolutional neural networks, 2012,
#   [the paper](https://papers.nips.cc/paper_files/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html).
#   Figure 1 is ReLU against tanh, table 2 the errors of 2012.
# * A. Krizhevsky: One weird trick for parallelizing convolutional neural networks, 2014, [arXiv
#   1404.5997](https://arxiv.org/abs/1404.5997), and the discussion of its
#   filters in [torchvision's pull request 463](https://github.com/pytorch/vision/pull/463).
# * O. Russakovsky et al.: ImageNet large scale visual recognition challenge, 2015, [arXiv 1409.0575](https://arxiv.org/abs/1409.0575)
# * N. Srivastava et al.: Dropout, a simple way to prevent neural networks from overfitting, 2014, [JMLR 15](https://jmlr.org/papers/v15/srivastava14a.html)
# * K. Simonyan, A. Zisserman: Very deep convolutional networks, 2014, on local response normalisation: [arXiv
#   1409.1556](https://arxiv.org/abs/1409.1556), section 2
# * The photos: cat and coffee of [scikit-image](https://scikit-image.org/docs/stable/api/skimage.data.html).
#
# ## Next lesson
#
# 03 · VGG: only 3×3 kernels, more of them on top of each other, and what that does to the counts of this lesson.
