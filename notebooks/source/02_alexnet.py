# %% [markdown]
# # 02 · AlexNet: the network that changed the field
#
# Until 2012 the best programs in the ImageNet contest used features (descriptions of an image) that people had designed
# by hand. That year one team entered convolutional networks instead: descendants of LeNet-5, about a thousand times as
# large. Seven of them together got an error of 15.3 %, and the runner-up got 26.2 %. (That's the top-5 error, which
# you'll compute in a moment.) A year later most entries were convolutional networks. In this lesson you'll take AlexNet
# apart and test which of its ideas do what people say they do.
#
# After this lesson you can
#
# * compute a top-k error, and say which of AlexNet's published numbers is which;
# * say where 61 million parameters sit, where the work is done, and how both change with the size of the image;
# * build AlexNet so that it loads torchvision's weights by name;
# * mirror and crop a whole batch without a loop, each image in its own way;
# * test whether ReLU, dropout and augmentation help on *your* data, and under which conditions.
#
# **Minutes:** 35 reading, 56 more for the exercises · 1 running quick · 2 running full

# %% tags=["setup"]
import math
from dataclasses import replace

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2 import functional as transforms

import resnet_edu as edu
from resnet_edu.errors import LossNotFinite

profile = edu.profile()
data = edu.data.load("mnist5k", size=16, limit=profile.choose(quick=2000, full=None))
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## What 2012 had and 1998 didn't
#
# Convolution, pooling and backpropagation were all there in 1998. What had changed most was how much data you could
# train on, and how fast. ImageNet is a collection of about 15 million photos from the web in 22,000 categories,
# labelled by people whom Fei-Fei Li's group hired through Amazon's Mechanical Turk. The contest, ILSVRC, uses 1,000 of
# these categories (120 of them breeds of dog) and about 1.2 million photos for training. And graphics cards, built for
# games, had turned out to be fast at what a neural network needs: many multiplications at the same time.
#
# ImageNet is far too large to come with this course, but these photos give you an idea of what's in it.


# %%
def square(name: str, side: int = 112) -> Tensor:
    """A photo, cropped to the square in its middle and resized: (3, side, side), uint8."""
    photo = decode_image(str(edu.data.photo(name)), ImageReadMode.RGB)
    return transforms.resize(transforms.center_crop(photo, [min(photo.shape[1:])]), [side, side], antialias=True)


names = [name for name in edu.data.photos() if name != "camera"]  # the only grey one
title = "The kind of picture a net has to classify: colour photos of anything"
photos = torch.stack([square(name) for name in names])
edu.plots.image_grid(photos, [name.replace("_", " ").title() for name in names], side=1.2, title=title)

# %% [markdown]
# Let's put the two networks side by side, in the course's versions. (The AlexNet of 2012 was a little different, as
# you'll see below.) A *multiply-add* is one multiplication and the addition that goes with it, the unit in which the
# work of a network is counted.

# %%
with torch.device("meta"):  # a tensor on this device has a shape but no numbers, so it takes no memory
    alexnet, lenet = edu.models.build("alexnet"), edu.models.build("lenet5", in_channels=1)
costs, small = edu.probe.summary(alexnet, (3, 224, 224)), edu.probe.summary(lenet, (1, 32, 32))
recipe = edu.facts.ALEXNET_RECIPE
comparison = {
    "parameters": (small.parameters, costs.parameters),
    "multiply-adds per image": (small.macs, costs.macs),
    "numbers per image": (32 * 32, 3 * 224 * 224),
    "training images": (60_000, recipe["training images"].value),
}
rows = [(what, before, after, f"{after / before:,.0f} ×") for what, (before, after) in comparison.items()]
edu.table(rows, ["", "LeNet-5", "AlexNet", "growth"])

# %% [markdown]
# How long does that take to train? The backward pass costs about twice as much as the forward pass, so one training
# image costs three times the multiply-adds in the table. The authors went through the training images about 90 times.

# %%
multiply_adds = 3 * costs.macs * recipe["training images"].value * recipe["epochs"].value
seconds = recipe["days"].value * 24 * 3600
print(f"{multiply_adds:.1e} multiply-adds; in {recipe['days']}, {multiply_adds / seconds / 1e9:.0f} billion a second")
print(f"a laptop that does 50 billion a second would need {multiply_adds / 50e9 / 24 / 3600:.0f} days")
assert 4e11 < multiply_adds / seconds < 5e11

# %% [markdown]
# Two GTX 580 graphics cards with 3 GB of memory each did it in five to six days. That was the limit of the whole
# project: "our results can be improved simply by waiting for faster GPUs and bigger datasets to become available", says
# the paper's introduction.
#
# ## The contest, and how it's scored
#
# Each photo has one label, even if it shows a cup *and* a table. To be fair to a program that names the table first,
# the contest lets it name five classes, and counts the answer as wrong only if the label isn't among them. The share of
# wrong images is the **top-5 error**. With k guesses it's the top-k error. In the lessons so far, "the error" was the
# top-1 error.

# %% tags=["nbval-check-output"]
numbers = {
    "one net, validation images": edu.facts.ALEXNET_TOP5_SINGLE.value,
    "five nets, averaged": edu.facts.ALEXNET_TOP5_FIVE.value,
    "seven nets: the winning entry": edu.facts.ALEXNET_TOP5_ENSEMBLE.value,
    "the runner-up of 2012": edu.facts.ALEXNET_RUNNER_UP_TOP5.value,
    "one net, images of the contest of 2010": edu.facts.ALEXNET_2010_TOP5.value,
    "torchvision's version, one net": 100 - edu.facts.TORCHVISION_ACCURACY["alexnet"][1].value,
}
edu.table([(what, f"{error:.1f} %") for what, error in numbers.items()], ["", "top-5 error"])

# %% [markdown]
# Apart from the runner-up's, every one of these numbers is called "AlexNet's error" somewhere. They weren't measured
# alike: the paper averages the answers for ten crops of each image, while torchvision's version, which you'll build
# below, looks at one. And two of the seven nets were first trained on all of ImageNet as it was in autumn 2011.
#
# ### Exercise 2.1 · Top-k error
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Write `top_k_error(logits, labels, k)`: the share of images, in percent, whose label is not among the k classes with
# the highest logits. `logits` has the shape `(N, classes)`, `labels` the shape `(N,)`.
#
# <details><summary>Hint 1</summary>
#
# `logits.topk(k, dim=1).indices` has the shape `(N, k)`: the k guesses for each image.
# </details>
# <details><summary>Hint 2</summary>
#
# Give the labels a second dimension, `labels[:, None]`, so that each label is compared with the guesses for its own
# image.
# </details>
# <details><summary>Hint 3</summary>
#
# An image is right if `any` of its guesses equals the label: `.any(dim=1)`.
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
# There's another way to say the same thing, without sorting: *an image is wrong if k or more classes have a higher
# logit than its label*. Train LeNet-5 for a single epoch, so that it still makes plenty of mistakes, and compare it
# with pure guessing. (`gather` picks the label's own logit out of each row.)

# %%
digits = edu.data.load("mnist5k", size=32, limit=2000)
torch.manual_seed(0)
lenet = edu.models.build("lenet5", in_channels=1)
edu.fit(lenet, digits, edu.TrainConfig(epochs=1, batch_size=64, lr=0.03, augment=()))
lenet.cpu()
with torch.inference_mode():
    logits, labels = lenet(digits.test.inputs()), digits.test.labels
higher = (logits > logits.gather(1, labels[:, None])).sum(dim=1)  # (N,): classes with a higher logit than the label
errors = {k: 100 * (higher >= k).float().mean().item() for k in (1, 2, 3, 5, 9)}
assert errors[1] > errors[2] > errors[5] > errors[9], "each further guess can only help"
rows = [(k, f"{100 - 10 * k} %", f"{error:.1f} %") for k, error in errors.items()]
edu.table(rows, ["k", "top-k error of guessing", "of LeNet-5"])

# %% [markdown]
# With ten classes a top-5 error says little, because even guessing gets half of them right. It was made for a thousand
# classes, where five random guesses miss 99.5 % of the time.
#
# ## The network
#
# AlexNet has five convolutions, three max poolings and three linear layers. Its kernels shrink from 11×11 to 5×5 to
# 3×3, and the maps shrink from 55×55 to 6×6, while their number grows from 64 to 384 and then falls to 256.

# %%
edu.plots.architecture(alexnet, (3, 224, 224), title=f"AlexNet: eight layers, {costs.parameters:,} parameters")

# %% tags=["nbval-check-output"]
names = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
layers = dict(zip(names, [row for row in costs.rows if row.parameters], strict=True))
rows = [
    (name, "×".join(map(str, row.output_shape[1:])), row.parameters, f"{row.macs / 1e6:.1f}")
    for name, row in layers.items()
]
edu.table(rows, ["layer", "output", "parameters", "million multiply-adds"])

# %%
linear = [layers[name] for name in ("fc6", "fc7", "fc8")]
parameters, work = sum(row.parameters for row in linear), sum(row.macs for row in linear)
print(f"the three linear layers hold {parameters:,} parameters, {100 * parameters / costs.parameters:.0f} % of all,")
print(f"and do {100 * work / costs.macs:.0f} % of the work")
assert costs.parameters == edu.facts.PARAMETERS["alexnet"].value == 61_100_840
assert parameters == 58_631_144
assert parameters / costs.parameters > 0.95
assert work / costs.macs < 0.1

# %% [markdown]
# Read the last two columns together. The *parameters* sit in the linear layers, but the *work* is done in the
# convolutions, because a convolution uses each of its weights again at every position of the map. Keep both numbers in
# mind: VGG, in the next lesson, has more of each, and GoogLeNet gets by with far fewer parameters.
#
# ### Exercise 2.2 · Predict, then measure: a larger image
#
# **Difficulty** ●●●○○ · **15 minutes**
#
# What happens if you double the image's width and height, from 224 to 448 pixels, and let the first linear layer grow
# to fit? Four quantities may change: the parameters and the multiply-adds, in the convolutions and in the linear
# layers. **First write down your guess for each: stays the same, doubles, about four times, more?**
#
# Then write `costs_at(side)`, which returns four whole numbers: parameters of the convolutions, parameters of the
# linear layers, multiply-adds of the convolutions, multiply-adds of the linear layers. There's no average pooling here:
# the last 256 maps are flattened as they are. Three linear layers follow, with 4,096, 4,096 and 1,000 outputs. Every
# layer has biases, which count as parameters but not as multiply-adds. You can use a formula or build real layers.
#
# <details><summary>Hint 1</summary>
#
# Walk through the layers and keep track of the side: `(side + 2 * padding - kernel) // stride + 1` after a convolution,
# `(side - 3) // 2 + 1` after a pooling layer.
# </details>
# <details><summary>Hint 2</summary>
#
# A convolution has `outputs * inputs * kernel * kernel` weights and uses each once at every position of its
# *output*.
# </details>
# <details><summary>Hint 3</summary>
#
# A linear layer with a inputs and b outputs has `a * b` weights, uses each once, and has b biases.
# </details>


# %% tags=["exercise"]
def costs_at(side: int) -> tuple[int, int, int, int]:
    """Parameters of convolutions and linear layers, then multiply-adds of both, for images of side × side pixels."""
    # inputs, outputs, kernel, stride, padding; a 3×3 max pooling with stride 2 follows the first, second and fifth
    convolutions = [
        (3, 64, 11, 4, 2),
        (64, 192, 5, 1, 2),
        (192, 384, 3, 1, 1),
        (384, 256, 3, 1, 1),
        (256, 256, 3, 1, 1),
    ]
    ### BEGIN SOLUTION
    parameters = work = 0
    for place, (inputs, outputs, kernel, stride, padding) in enumerate(convolutions):
        side = (side + 2 * padding - kernel) // stride + 1
        weights = outputs * inputs * kernel * kernel
        parameters += weights + outputs
        work += weights * side * side
        if place in (0, 1, 4):
            side = (side - 3) // 2 + 1
    linear = 256 * side * side * 4096 + 4096 * 4096 + 4096 * 1000
    return parameters, linear + 4096 + 4096 + 1000, work, linear
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_costs_at(costs_at)

# %% [markdown]
# Here are the factors, measured on real layers by `edu.probe.summary`. How good was your guess?


# %%
def measured(features: nn.Module, side: int) -> tuple[int, int, int, int]:
    """The four costs of a net whose first linear layer takes the maps of `features` as they are."""
    maps = features(torch.empty(1, 3, side, side, device="meta"))
    layers = [nn.Linear(maps.numel(), 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)]
    head = edu.probe.summary(nn.Sequential(*layers).to("meta"), (maps.numel(),))
    convolutions = edu.probe.summary(features, (3, side, side))
    return convolutions.parameters, head.parameters, convolutions.macs, head.macs


with torch.device("meta"):
    usual, doubled = measured(alexnet.features, 224), measured(alexnet.features, 448)
titles = ("parameters, convolutions", "parameters, linear", "multiply-adds, convolutions", "multiply-adds, linear")
rows = [(what, a, b, f"{b / a:.2f} ×") for what, a, b in zip(titles, usual, doubled, strict=True)]
edu.table(rows, ["", "224 pixels", "448 pixels", "factor"])

# %%
factors = [b / a for a, b in zip(usual, doubled, strict=True)]
assert factors[0] == 1, "a kernel doesn't care how large the image is"
assert 3.5 < factors[2] < 4.5, "but it has four times as many positions to visit"
assert factors[1] > 3, "the first linear layer needs a weight for every pixel of the last maps"
for size in (224, 448):
    pixels = alexnet.features(torch.empty(1, 3, size, size, device="meta")).shape[-1]
    print(f"with images of {size}×{size} pixels, fc6 sees {pixels}×{pixels} pixels of each map")

# %% [markdown]
# The convolutions don't get a single new parameter. This is what weight sharing buys you, and it's one reason why later
# networks replaced the large linear layers.
#
# ### Exercise 2.3 · AlexNet
#
# **Difficulty** ●●●○○ · **18 minutes**
#
# Write the net, with torchvision's sizes and names. All sizes are multiples of `width`, so that you can also build a
# small one. The five convolutions have 1, 3, 6, 4 and 4 times `width` kernels, and each of the first two linear layers
# has `64 * width` outputs. `width=64` is AlexNet.
#
# | | |
# |---|---|
# | `self.features` | conv 11×11, stride 4, padding 2 · ReLU · pool · conv 5×5, padding 2 · ReLU · pool · three times (conv 3×3, padding 1 · ReLU) · pool |
# | `self.avgpool` | `nn.AdaptiveAvgPool2d(6)`: 6×6 pixels, whatever the size of the image |
# | `self.classifier` | dropout · linear · ReLU · dropout · linear · ReLU · linear |
#
# The three pooling layers are `nn.MaxPool2d(3, stride=2)`: their windows overlap, which was unusual then.
# `nn.Dropout()` is explained further down. Here you only have to put it in its place. Leave the option `inplace` of
# `nn.ReLU` off: it overwrites the numbers it gets, and later lessons want to look at them.
#
# <details><summary>Hint 1</summary>
#
# In an `nn.Sequential` the position is the name: the second convolution is `features.3`, because a convolution, a ReLU
# and a pooling layer come first.
# </details>
# <details><summary>Hint 2</summary>
#
# The first linear layer has `4 * width * 6 * 6` inputs. Between `avgpool` and `classifier` you need `x.flatten(1)`.
# </details>
# <details><summary>Hint 3</summary>
#
# `state_dict()` holds all weights by name. Compare `list(AlexNet().state_dict())` with
# `list(torchvision.models.alexnet().state_dict())`.
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
# Using torchvision's names pays off now. Here is torchvision's own network, with random weights. Its state dict, which
# holds all weights by name, is loaded into the course's AlexNet with `strict=True`, which refuses any name or size
# that differs. Then both networks compute the same logits. (`assert_close` raises an error if they differ by more than
# rounding.)

# %%
torch.manual_seed(0)
theirs = torchvision.models.alexnet(weights=None).eval()
alexnet.load_state_dict(theirs.state_dict(), strict=True, assign=True)
images = torch.randn(2, 3, 224, 224)
with torch.inference_mode():
    ours, expected = alexnet.eval()(images), theirs(images)
print(f"largest difference among 2,000 logits: {(ours - expected).abs().max():.1e}, their spread {expected.std():.3f}")
torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
del theirs, alexnet, ours, expected

# %% [markdown]
# ### Two curiosities of 2012
#
# The paper's AlexNet has two things that torchvision's doesn't. One is the *two towers*: the net didn't fit on one
# card, so each card held half of the kernels, and the second, fourth and fifth convolutions only looked at the maps on
# their own card. (In PyTorch that's `groups=2`, with half as many weights in such a layer.) Torchvision's net has the
# layer sizes of the one-tower version that Krizhevsky published in 2014.
#
# The other is *local response normalisation*, which divides each activation by a number that grows with the squares of
# its neighbours in five channels: $b_i = a_i / (2 + \alpha \sum_j a_j^2)^{3/4}$. The paper prints $\alpha = 10^{-4}$,
# but the authors' code first divides it by 5, the number of channels, and so does PyTorch's `nn.LocalResponseNorm`.
# The paper reports a gain of 1.2 points of top-5 error. VGG's authors found no gain two years later, and the layer
# went out of use.

# %%
# the paper's convolutions: inputs, outputs, kernel, towers; its linear layers are the ones you counted above
towers = [(3, 96, 11, 1), (96, 256, 5, 2), (256, 384, 3, 1), (384, 384, 3, 2), (384, 256, 3, 2)]
two_towers = parameters
for inputs, outputs, kernel, groups in towers:
    two_towers += outputs * (kernel * kernel * inputs // groups + 1)
more = round(100 * (costs.parameters / two_towers - 1), 1)
assert more == edu.facts.ALEXNET_ONE_TOWER_MORE.value, "'0.2 % more parameters', says the paper of 2014"
rows = [("two towers, 2012", two_towers), ("one tower, torchvision", costs.parameters)]
edu.table(rows, ["version", "parameters"])

# %%
a = 100 * torch.rand(1, 14, 1)  # one pixel of 14 channels; the paper's pixels went up to 255, so activations were large
squares = F.pad(a**2, (0, 0, 2, 2))  # two more channels of zeros on each side
neighbours = sum(squares[:, first : first + 14] for first in range(5))
# as the authors' code has it; then, with alpha five times as large, as the paper prints it
torch.testing.assert_close(nn.LocalResponseNorm(5, alpha=1e-4, k=2)(a), a / (2 + 1e-4 / 5 * neighbours) ** 0.75)
torch.testing.assert_close(nn.LocalResponseNorm(5, alpha=5e-4, k=2)(a), a / (2 + 1e-4 * neighbours) ** 0.75)

# %% [markdown]
# ## The paper's recipe, beside ours
#
# A network is only half of a result. The other half is the *recipe*: how it was trained. Here is the paper's (from its
# sections 4 and 5) beside the one you'll use in a moment.

# %%
plain = edu.TrainConfig(epochs=6, batch_size=64, weight_decay=0, schedule="constant", augment=())
rows = [
    ("training images", f"{recipe['training images'].value:,}", f"{len(data.train):,}"),
    ("optimizer", f"SGD, momentum {recipe['momentum'].value}", f"SGD, momentum {plain.momentum}"),
    ("batch", recipe["batch"].value, plain.batch_size),
    ("learning rate", f"{recipe['rate'].value}, divided by 10 three times", "constant, the best of seven"),
    ("weight decay", recipe["weight decay"].value, plain.weight_decay),
    ("initial weights", f"bell curve, spread {edu.facts.ALEXNET_INIT_STD.value}", "drawn to suit the activation"),
    ("augmentation", "crops, mirror images, shifted colours", "none"),
    ("dropout", "half of the outputs of fc6 and fc7", "none"),
    ("epochs", f"about {recipe['epochs'].value}", plain.epochs),
]
edu.table(rows, ["", "AlexNet, 2012", "our first experiment"])

# %% [markdown]
# You met some of these ideas in lesson 01. **Momentum** adds nine tenths of the previous step to the current one, so
# steps in the same direction add up. **Weight decay** shrinks every weight a little at each step. A **schedule**
# changes the learning rate during the run: the authors divided it by 10, by hand, whenever the validation error
# stopped falling. Unless you say otherwise, `edu.fit` uses momentum 0.9, weight decay 10⁻⁴ and the *one-cycle*
# schedule, which raises the rate to `lr` during the first 30 % of the steps and then lowers it to almost zero. The
# first experiment switches decay and schedule off, so that as little as possible gets in the way.
#
# ## ReLU, put to the test
#
# Figure 1 of the paper makes one of the most repeated claims in the field: a four-layer convolutional net with ReLU
# reaches a training error of 25 % on CIFAR-10 (small colour photos in ten classes) six times faster than the same net
# with tanh. Two conditions in its caption usually get lost in the retelling. Each net had its **own best learning
# rate**, and nothing kept the nets from learning their training images by heart.
#
# Let's repeat it on a small scale: four layers, digits, nothing to prevent memorising, and initial weights drawn by a
# rule that suits the activation (He's for ReLU, Xavier's for the other two; lesson 05 explains both). Each of three
# activations gets seven learning rates that span a factor of a thousand.
#
# > **Before you run it:** which activation do you expect to win, and at a high or at a low rate?


# %%
def four_layers(activation: type[nn.Module], width: int = 16) -> nn.Sequential:
    """Three convolutions with pooling, one linear layer; weights drawn to suit the activation."""
    layers, channels = [], 1
    for filters, kernel in ((width, 5), (width, 5), (2 * width, 3)):
        layers += [nn.Conv2d(channels, filters, kernel, padding=kernel // 2), activation(), nn.MaxPool2d(2)]
        channels = filters
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 2 * 2, 10))
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif activation is nn.ReLU:
            nn.init.kaiming_normal_(parameter)
        else:
            nn.init.xavier_normal_(parameter)
    return net


# %%
def training_error(activation: type[nn.Module], data: edu.data.Data, config: edu.TrainConfig) -> float:
    """Percent of wrong answers in the last epoch, counted as it trains; a loss that overflows counts as guessing."""
    torch.manual_seed(0)
    try:
        return edu.fit(four_layers(activation), data, config).last.train_error
    except LossNotFinite:
        return 90.0


rates = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
race = {
    activation.__name__: [training_error(activation, data, replace(plain, lr=rate)) for rate in rates]
    for activation in (nn.Sigmoid, nn.Tanh, nn.ReLU)
}

# %%
edu.plots.lines(
    race,
    title="Tanh learns best at a higher rate than ReLU",
    x="learning rate",
    y="training error in the 6th epoch (%)",
    ticks=[f"{rate:g}" for rate in rates],
    limits=(0, 100),
)

# %%
assert min(race["Sigmoid"]) > 75, "at every rate, the sigmoid is still close to guessing"
best = {name: min(race[name]) for name in ("Tanh", "ReLU")}
rate_of = {name: rates[race[name].index(error)] for name, error in best.items()}
assert race["ReLU"][0] < race["Tanh"][0] < race["Sigmoid"][0], "at the smallest rate ReLU is ahead"
assert best["Tanh"] < best["ReLU"] < 15, "at its own best rate tanh is ahead, on these digits"
assert rate_of["Tanh"] > rate_of["ReLU"], "and that rate is higher"
rows = [("Sigmoid", "–", "–", f"{race['Sigmoid'][0]:.1f} %")]
rows += [(name, rate_of[name], f"{best[name]:.1f} %", f"{race[name][0]:.1f} %") for name in best]
edu.table(rows, ["activation", "best rate", "error at its best rate", f"error at rate {rates[0]}"])

# %%
torch.manual_seed(0)
net = four_layers(nn.ReLU)
dead = replace(plain, lr=0.1)
history = edu.fit(net, data, dead)
images = data.test.inputs(slice(200)).to(edu.machine.device())
outputs = edu.probe.forward_statistics(net, images, layers=["1", "4", "7"])  # the three ReLUs
assert history.last.train_error > 80, "ReLU does not survive the rate that suits tanh"
assert outputs[-1].zeros == 1, "the last ReLU's output is nothing but zeros, for every image"
rows = [(f"ReLU {number}", f"{100 * row.zeros:.0f} %") for number, row in enumerate(outputs, start=1)]
edu.table(rows, [f"after 6 epochs at rate {dead.lr}", "zeros in its output"])

# %% [markdown]
# So the claim is neither simply true nor simply false.
#
# * **At the same small rate, ReLU wins against tanh.** There are two likely reasons. Its slope is 1 wherever it isn't
#   0, so more of the gradient gets through. And He's rule gives it larger initial weights than Xavier's gives tanh.
# * **At its own best rate, tanh wins here.** Its output stays between −1 and 1, so it tolerates a learning rate at
#   which the ReLU net dies: the units of its last ReLU end up below zero for every image, as the last table shows.
#   There the slope is 0, and no gradient brings them back.
# * **The sigmoid is still close to guessing after six epochs, at all seven rates.** That's why the table gives it no
#   best rate. Before you call it dead, give it more time, at rate 0.1.

# %%
torch.manual_seed(0)
longer = edu.fit(four_layers(nn.Sigmoid), data, replace(plain, lr=0.1, epochs=25))
errors = [epoch.train_error for epoch in longer.epochs]
edu.plots.lines(
    {"sigmoid, rate 0.1": errors},
    title="The sigmoid guesses for many epochs, then it learns",
    x="epoch",
    y="training error (%)",
    levels={"tanh after 6": best["Tanh"]},
    first=1,
    limits=(0, 100),
)

# %%
started = [number for number, error in enumerate(errors, start=1) if error < 80]
print(f"below 80 % from epoch {started[0]} on; after 25 epochs {errors[-1]:.1f} %")
assert started[0] > 6, "after six epochs it is still guessing"
assert errors[-1] < 60, "but it does learn in the end"

# %% [markdown]
# So "the sigmoid doesn't learn" would have been wrong. It has two handicaps: a slope of at most 1/4, which shrinks the
# gradient in every layer, and an output that's never centred on zero. At rate 0.1 it takes several times as long, and
# in 2012, with five to six days for a single run, that came to the same thing.
#
# This was one seed; with five others, tanh and ReLU came in the same order. None of this refutes the paper, which used
# a different data set, a different net and fifty thousand images. It does refute the short version, "ReLU is six times
# faster". Lesson 05 shows what depth does to the three functions, and what ReLU needs to live up to its promise.

# %% [markdown]
# ## More images from one
#
# Sixty million parameters could learn 1.2 million images by heart. To prevent that, the paper hardly ever shows an
# image the same way twice: it cuts out a random part, mirrors it half of the time, and shifts the colours a little. The
# label stays the same. This is called **augmentation**.
#
# ### Explore: what the net is shown
#
# Choose an image and change padding, flip and seed. Which setting would harm a net that reads digits?

# %%
pictures = {"cat": square("cat"), "coffee": square("coffee")}
digits = edu.data.load("mnist5k", size=28).test
for digit in (2, 7):
    pictures[f"digit {digit}"] = digits.images[digits.labels == digit][0]
print({name: tuple(image.shape) for name, image in pictures.items()})

# %% tags=["explorer"]
explorer = edu.widgets.augmentation_explorer(pictures)
explorer

# %% [markdown]
# Here are two settings in print: the image (framed), and what the net is shown in its place in seven epochs.

# %%
explorer.twin({"a photo, cropped and flipped": {}, "a digit, only flipped": {"name": "digit 2", "padding": 0}})

# %% [markdown]
# A mirrored cat is still a cat, but a mirrored 2 isn't a digit at all. Augmentation may only make changes that keep the
# label true, and which ones those are depends on your data.
#
# ### Exercise 2.4 · Flip and crop
#
# **Difficulty** ●●●●○ · **15 minutes**
#
# Write `augment(images, flip, top, left, padding)` for a batch `(N, C, H, W)`, without a loop over the images:
#
# 1. mirror image n from left to right if `flip[n]` is True;
# 2. put `padding` zeros on all four sides of every image;
# 3. cut a piece of the original size out of image n, with its corner at row `top[n]` and column `left[n]`.
#
# `flip` holds N booleans; `top` and `left` hold N whole numbers from 0 to 2 · padding. Return a new batch and leave
# `images` as it is.
#
# <details><summary>Hint 1</summary>
#
# `images.flip(3)` mirrors all of them, and `torch.where(condition, a, b)` takes from `a` where the condition is True.
# Give `flip` three more dimensions, `flip[:, None, None, None]`, so that it broadcasts.
# </details>
# <details><summary>Hint 2</summary>
#
# The rows of image n are `top[n]`, `top[n] + 1`, … You get all of them at once: `top[:, None] + torch.arange(H)` has
# the shape `(N, H)`.
# </details>
# <details><summary>Hint 3</summary>
#
# Index with three tensors that broadcast to `(N, H, W)`: the number of the image `(N, 1, 1)`, the rows `(N, H, 1)` and
# the columns `(N, 1, W)`. It's easiest with the channels last, and `permute` puts the axes in that order:
# `padded.permute(0, 2, 3, 1)[image, rows, columns]` is `(N, H, W, C)`. Then permute back.
# </details>


# %% tags=["exercise"]
def augment(images: Tensor, flip: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    """Mirror the chosen images (N, C, H, W), pad all with zeros, and cut each out at its own corner."""
    ### BEGIN SOLUTION
    N, _, H, W = images.shape
    images = torch.where(flip[:, None, None, None], images.flip(3), images)
    padded = F.pad(images, (padding, padding, padding, padding)).permute(0, 2, 3, 1)  # (N, H + 2p, W + 2p, C)
    image = torch.arange(N)[:, None, None]  # (N, 1, 1)
    rows = (top[:, None] + torch.arange(H))[:, :, None]  # (N, H, 1)
    columns = (left[:, None] + torch.arange(W))[:, None, :]  # (N, 1, W)
    return padded[image, rows, columns].permute(0, 3, 1, 2)
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_augment(augment)

# %% [markdown]
# `edu.fit` does this for you when you write `augment=("crop", "flip")`. Done for a whole batch at once, it costs next
# to nothing.
#
# ## Dropout
#
# AlexNet's other remedy against memorising is **dropout**: in each training step, a random half of a layer's numbers
# is set to zero, so no *unit* (another word for neuron) can rely on another one being there. The paper drops half of
# the *outputs* of the first two linear layers, and at test time, when nothing is dropped, it multiplies these outputs
# by one half to make up for it. PyTorch's `nn.Dropout` does it the other way round: it *doubles* what is left during
# training and does nothing in evaluation mode. Torchvision's AlexNet also moves one of the two dropouts, from after
# fc7 to before fc6.

# %%
torch.manual_seed(0)
x = square("cat", 28).float().mean(dim=0) / 255  # a picture that stands for 784 activations
steps = torch.stack([F.dropout(x, 0.5) for _ in range(1000)])  # dropout in training mode, a thousand times
pictured = torch.stack([x, steps[0], steps[1], steps[2], steps.mean(dim=0)])
edu.plots.image_grid(
    pictured.clamp(0, 1),
    ["activations", "step 1", "step 2", "step 3", "mean, 1,000 steps"],
    side=1.6,
    title="Dropout: each step drops a different half, and on average nothing is lost",
)

# %%
remaining = steps[0][steps[0] > 0]
assert torch.allclose(remaining, 2 * x[steps[0] > 0]), "PyTorch doubles what is left"
assert (steps.mean(dim=0) - x).abs().mean() < 0.02, "so the mean over many steps is the input"
assert torch.equal(nn.Dropout().eval()(x), x), "in evaluation mode nothing happens"
fc = nn.Linear(784, 10, bias=False)
halved = fc(x.flatten()) / 2  # the paper: drop without doubling in training, halve at test time
mean_of_paper = torch.stack([fc(step.flatten() / 2) for step in steps]).mean(dim=0)
difference = (mean_of_paper - halved).abs().max()
print(f"the paper's dropout, mean of 1,000 training steps against test time: {difference:.3f} apart at most")
assert difference < 0.05, "both ways keep the mean; they only put the factor in different places"

# %% [markdown]
# ## Too few images: what dropout and augmentation do
#
# Give a small AlexNet only 300 digits, 30 of each, and it will learn them by heart. Train it again with dropout, and
# again with crops and rotations of up to 10 degrees. (All three use the optimizer Adam, which gives every weight a
# step size of its own.) Then measure the loss on the training images and on the test images. The difference is the
# **gap**: how much better the net does on what it has already seen.


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
nets["dropout"] = trained(few, dropout=0.5)
nets["augmentation"] = trained(few, augment=("crop", "rotation"))
on_train = {name: edu.evaluate(net, few.train) for name, net in nets.items()}
on_test = {name: edu.evaluate(net, few.test) for name, net in nets.items()}
losses = {name: ([on_train[name].loss], [on_test[name].loss]) for name in nets}
title, sides = "Dropout and augmentation narrow the gap (grey)", ("training images", "test images")
edu.plots.paired_seeds(losses, sides, title=title, x="added in training", y="loss after the last epoch")

# %%
gaps = {name: on_test[name].loss - on_train[name].loss for name in nets}
rows = [
    (name, f"{gaps[name]:.2f}", f"{on_train[name].top1_error:.1f} %", f"{on_test[name].top1_error:.1f} %")
    for name in nets
]
assert on_train["neither"].top1_error < 1, "without them, the net knows its 300 images by heart"
assert gaps["augmentation"] < 0.9 * gaps["neither"], "augmentation narrows the gap between train and test"
assert gaps["dropout"] < gaps["neither"], "so does dropout"
edu.table(rows, ["", "gap in the loss", "training error", "test error"])

# %% [markdown]
# The net with neither gets all its training images right, and its high test loss says that it's sure of itself even
# where it's wrong. The other two are wrong less often, and their test loss is lower. (The training loss is measured
# without crops, rotations and dropout, so the comparison is fair.)
#
# That's one run of each. With four other seeds that we tried, dropout and augmentation narrowed the gap as well, by a
# sixth to a half. Change the seed in `trained` and see for yourself.
#
# ## From edges to parts
#
# Each layer looks at the maps of the one before it, so the deeper a layer is, the more of the image each of its
# numbers has seen. (Lesson 03 shows how to compute this.) In AlexNet, one number of conv1 has seen 11×11 pixels,
# enough for an edge or a spot of colour. One of conv5 has seen 163×163, enough for most of an animal.

# %% tags=["nbval-check-output"]
with torch.device("meta"):
    features = edu.models.build("alexnet").features
fields = {row.name: row.size for row in edu.probe.receptive_field(features, (3, 224, 224))}
places = {"conv1": "0", "conv2": "3", "conv3": "6", "conv4": "8", "conv5": "10"}
sees = {layer: fields[name] for layer, name in places.items()}
assert (sees["conv1"], sees["conv5"]) == (11, 163)
edu.table([(layer, f"{side}×{side}") for layer, side in sees.items()], ["one number of", "has seen pixels"])

# %% [markdown]
# What the layers do with all those pixels only shows once they've been trained on photos. AlexNet's trained weights
# don't come with this course, so look at a relative: the ResNet-18 in the package, trained on small photos. First,
# here are 16 of the 64 kernels of its first layer, those whose weights vary most. Kernels are also called *filters*,
# and the paper's figure 3 shows AlexNet's. Grey means zero.

# %%
net = edu.models.pretrained("resnet18", source="bundled")
print(net.source)
filters = net.model.conv1.weight.detach()  # (64, 3, 7, 7)
strongest = filters.flatten(1).std(dim=1).argsort(descending=True)[:16]
shown = 0.5 + 0.5 * filters[strongest] / filters[strongest].abs().amax(dim=(1, 2, 3), keepdim=True)
edu.plots.image_grid(shown, columns=8, title="Many first-layer filters look for edges or for colours")

# %%
layers = {"relu": "after 1 convolution", "layer1": "after 5", "layer2": "after 9", "layer3": "after 13"}
photos = {"cat": square("cat"), "coffee": square("coffee")}
maps = {text: [] for text in layers.values()}
for name in photos:
    image = net.transforms(net.read(edu.data.photo(name)))[None]
    with edu.probe.activations(net.model, layers) as seen, torch.inference_mode():
        net.model(image)
    for layer, text in layers.items():
        maps[text].append(seen[layer][0])
edu.plots.photos_and_maps(photos, maps, title="From outlines to a few bright areas")

# %% [markdown]
# For each layer, the figure shows the map that varies most. The first maps are line drawings, bright where light meets
# dark. Deeper in the net, the picture dissolves into a few bright areas, where a map says "something of my kind is
# here". A picture of maps can't tell you what that something is. Lesson 11 asks again, with better tools.
#
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "AlexNet's top-5 error was 84.7 %." | 100 − 84.7 | **Swapped.** 15.3 % is the error and 84.7 % the accuracy. And both belong to seven nets together. |
# | "AlexNet has 60 million parameters." | Both versions counted | **Rounded.** 61.0 million with two towers, 61.1 million in torchvision. |
# | "ReLU trains six times faster than tanh." | Three activations, seven rates each | **Not in general.** The paper reports it for its net and data. On these digits tanh, at its own best rate, has the lower error after six epochs. |
# | "The 224 in the paper is a mistake, it should be 227." | Both ways of rounding | **Not quite.** Rounded down, 224 pixels give 54×54 maps, or 55×55 with padding. The authors' code rounds *up*, which gives the 55×55 of the paper's figure 2 without padding. |
# | "A crop of 224 from 256 pixels, mirrored, turns one image into 2,048." | Counting the corners | **Nearly.** That is 2 · 32². A window of 224 in 256 pixels has 33 positions along a side, so 2 · 33² = 2,178. |
# | "The parameters are in the convolutions." | The table of layers above | **Wrong.** 96 % sit in three linear layers; the convolutions do 92 % of the work. |

# %%
error = edu.facts.ALEXNET_TOP5_ENSEMBLE
print(f"top-5 error {error}, accuracy {100 - error.value:.1f} %")
assert round(100 - error.value, 1) == 84.7
assert edu.facts.ALEXNET_TOP5_ENSEMBLE.value < edu.facts.ALEXNET_TOP5_FIVE.value < edu.facts.ALEXNET_TOP5_SINGLE.value
assert (round(two_towers / 1e6, 1), round(costs.parameters / 1e6, 1)) == (61.0, 61.1)
places = 256 - 224 + 1
print(f"{places} positions along a side: {2 * places**2:,} images; the paper says {edu.facts.ALEXNET_CROPS.value:,}")
assert 2 * (places - 1) ** 2 == edu.facts.ALEXNET_CROPS.value == 2**11

# %%
rows = [
    (side, padding, 1 + (side + 2 * padding - 11) // 4, 1 + math.ceil((side + 2 * padding - 11) / 4))
    for side, padding in ((224, 0), (227, 0), (224, 2))
]
assert [row[2:] for row in rows] == [(54, 55), (55, 55), (55, 56)]
edu.table(rows, ["image side", "padding", "map side, rounded down", "map side, rounded up"])

# %% [markdown]
# ## Summary
#
# * AlexNet's convolutions, pooling and training were old; ReLU and dropout were recent. What made a network of this size
#   possible was a million labelled photos and two fast graphics cards.
# * The **top-k error** counts an image as wrong if its label isn't among the k best guesses. AlexNet: 18.2 % alone,
#   15.3 % as seven nets.
# * 61,100,840 parameters, 96 % of them in three linear layers. The five convolutions do 92 % of the work. A larger
#   image costs the convolutions work but no parameters. It costs the linear layers both, unless an average pooling
#   comes before them.
# * At the same small rate ReLU beats tanh. At its own best rate tanh can win, and here it does. The sigmoid was still
#   close to guessing after six epochs; given more time at rate 0.1, it learned.
# * **Dropout** and **augmentation** narrow the gap between training and test loss. The paper drops outputs and halves
#   at test time, PyTorch doubles in training. Augmentation may only make changes that keep the label true.
# * Torchvision's AlexNet has the layer sizes of the one-tower version of 2014, without response normalisation. That
#   layer and the two towers went out of use.
#
# ## Sources
#
# * A. Krizhevsky, I. Sutskever, G. Hinton: ImageNet classification with deep convolutional neural networks, 2012, [the
#   paper](https://papers.nips.cc/paper_files/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html). Sections
#   2 to 5; figure 1 is ReLU against tanh, table 2 the errors of 2012.
# * A. Krizhevsky: One weird trick for parallelizing convolutional neural networks, 2014, [arXiv
#   1404.5997](https://arxiv.org/abs/1404.5997), and the code to both papers,
#   [cuda-convnet2](https://github.com/akrizhevsky/cuda-convnet2): `layer.py` divides `scale` by `size` and rounds the
#   side of a map up, `layers/layers-223-1gpu.cfg` has dropout after both linear layers.
# * O. Russakovsky et al.: ImageNet large scale visual recognition challenge, 2015, [arXiv
#   1409.0575](https://arxiv.org/abs/1409.0575)
# * N. Srivastava et al.: Dropout, a simple way to prevent neural networks from overfitting, 2014, [JMLR
#   15](https://jmlr.org/papers/v15/srivastava14a.html)
# * K. Simonyan, A. Zisserman: Very deep convolutional networks, 2014, on local response normalisation: [arXiv
#   1409.1556](https://arxiv.org/abs/1409.1556), sections 2 and 4.1
# * The photos: astronaut, cat, coffee and rocket from
#   [scikit-image](https://scikit-image.org/docs/stable/api/skimage.data.html), temple and flower from scikit-learn,
#   Grace Hopper from Matplotlib.
#
# ## Next lesson
#
# 03 · VGG: only 3×3 kernels, stacked deeper, and what that does to the counts from this lesson.
