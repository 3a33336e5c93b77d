# %% [markdown]
# # 04 · GoogLeNet: several scales, side by side
#
# In 2014 two nets showed that depth pays off. VGG-16 has 138 million parameters, most of them in its linear layers.
# GoogLeNet has 22 layers, a lower error, and about a twentieth of the parameters. Its building block looks at an image
# with kernels of several sizes at once, and a cheap trick makes that affordable. You'll build the block, work out what
# it costs, and then test whether several scales really beat one at the same cost.
#
# After this lesson you can
#
# * write the inception block so that published weights fit it;
# * say what a 1×1 convolution computes, and when it saves work;
# * choose the widths of a block under a budget of multiply-adds;
# * compare two designs at equal cost without fooling yourself;
# * explain what auxiliary heads and global average pooling are for.
#
# **Minutes:** 30 reading, 42 more for the exercises · 1 running quick · 2 running full

# %% tags=["setup"]
from collections.abc import Callable
from itertools import product
from statistics import median

import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import resnet_edu as edu
from resnet_edu.models.googlenet import ConvBlock

profile = edu.profile()
data = edu.data.load("mnist5k", size=16, limit=2000)
print(edu.setup(seed=0), f"data       {data.source}", sep="\n")

# %% [markdown]
# ## Which kernel size? All of them
#
# How large should a kernel be? AlexNet starts with 11×11, VGG uses 3×3 everywhere. The argument behind the inception
# block: small things need small kernels, large things large ones, and both occur in the same picture. So the block
# doesn't choose. It sends its input through a 1×1, a 3×3 and a 5×5 convolution and a max pooling, side by side, and
# concatenates the results along the channels. The next block can take whatever it needs from them.
#
# From here on, "convolution" means a convolution followed by batch norm and ReLU, as in lesson 03. The set-up cell
# imported that trio as `ConvBlock`. Its padding keeps the height and width of the maps:

# %%
ConvBlock(192, 64, 3)

# %% [markdown]
# And here's the whole idea in code: four branches, and one `torch.cat` that joins them:


# %%
class NaiveBlock(nn.Module):
    """Three kernel sizes and a max pooling, side by side."""

    def __init__(self, in_channels: int, one: int, three: int, five: int) -> None:
        super().__init__()
        self.branch1 = ConvBlock(in_channels, one, 1)
        self.branch2 = ConvBlock(in_channels, three, 3)
        self.branch3 = ConvBlock(in_channels, five, 5)
        self.branch4 = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


naive = NaiveBlock(192, one=64, three=128, five=32)
edu.plots.architecture(naive, (192, 28, 28), title="The naive inception block: four branches, one concat")

# %% [markdown]
# The widths are those of GoogLeNet's first block, called 3a. It gets 192 maps of 28×28. What does it cost, and how many
# maps does it produce?


# %%
def million_macs(module: nn.Module, channels: int, side: int) -> float:
    """Million multiply-adds for one image."""
    return edu.probe.summary(module, (channels, side, side)).macs / 1e6


names = ("1×1", "3×3", "5×5", "max pooling")
widths = (64, 128, 32, 192)
costs = [million_macs(branch, 192, 28) for branch in naive.children()]
rows = [(name, width, f"{cost:.1f}") for name, width, cost in zip(names, widths, costs, strict=True)]
assert naive(torch.zeros(1, 192, 28, 28)).shape == (1, sum(widths), 28, 28)
rows.append(("whole block", sum(widths), f"{sum(costs):.1f}"))
edu.table(rows, ["branch", "output channels", "million multiply-adds"])

# %% [markdown]
# Two things are wrong with this. The 5×5 branch produces only 32 of the channels but takes two fifths of the work. And
# the pooling branch passes on all 192 channels it gets, so the block outputs 416, the next one even more, and every
# block makes the next one more expensive. Both problems have the same solution: a convolution that reduces the number
# of channels without looking at any neighbours.
#
# ## A 1×1 convolution mixes channels
#
# A 1×1 kernel sees a single pixel, so what is there to convolve? It sees *all channels* of that pixel. Each output
# channel is a weighted sum of them, with the same weights everywhere. Here are three channels of a photo, mixed by hand
# in four ways:

# %%
photo = Image.open(edu.data.photo("coffee")).convert("RGB").resize((180, 120)).crop((30, 0, 150, 120))
x = torchvision.transforms.functional.to_tensor(photo)[None]  # (1, 3, 120, 120)
mixes = {
    "grey": [0.3, 0.6, 0.1],
    "red − green": [1.0, -1.0, 0.0],
    "blue − yellow": [-0.5, -0.5, 1.0],
    "negative": [-0.3, -0.6, -0.1],
}
matrix = torch.tensor(list(mixes.values()))  # (4, 3)
mixed = F.conv2d(x, matrix[:, :, None, None])  # (1, 4, 120, 120)
channels = torch.cat([x, mixed], dim=1)[0]  # (7, 120, 120)
low, high = channels.amin((1, 2), keepdim=True), channels.amax((1, 2), keepdim=True)
titles = ["red", "green", "blue", *(f"mix: {name}" for name in mixes)]
edu.plots.image_grid((channels - low) / (high - low), titles, columns=7, side=1.4, title="Three channels, four mixes")

# %% [markdown]
# In the red channel both the saucer and the rim of the cup are bright. In "red − green" only what is red stays bright,
# the saucer and the outside of the cup: at the white rim, red and green cancel. So a mix can answer a question that no
# single channel answers, such as "is this red?" rather than "is this bright?"
#
# You can also write this as a matrix product. Put the three numbers of each pixel into a row, and *one* matrix turns
# every row into a row of four. It's a linear layer, applied to each pixel.

# %%
pixels = x[0].flatten(1).T  # (14400, 3): one row per pixel
rows = pixels @ matrix.T  # (14400, 4)
print(f"{tuple(pixels.shape)} @ {tuple(matrix.T.shape)} = {tuple(rows.shape)}")
torch.testing.assert_close(rows.T.reshape(1, 4, 120, 120), mixed)

# %% [markdown]
# With fewer outputs than inputs, a 1×1 convolution *reduces*: from 192 channels it keeps 16 mixes, and training decides
# which ones. Lin, Chen and Yan introduced it a year earlier, in "Network in network".
#
# ## Reduce before you look around
#
# Now put one before the expensive kernel. A 5×5 convolution from 192 to 32 channels has
# $5 \cdot 5 \cdot 192 \cdot 32$ weights, and each is used once at every pixel. Bring the 192 channels down to 16 first,
# and there's little left for the big kernel to do:

# %%
alone = 5 * 5 * 192 * 32
reducing, large = 192 * 16, 5 * 5 * 16 * 32
rows = [("5×5, 192 → 32", alone, alone * 28**2 / 1e6),
        ("1×1, 192 → 16, then 5×5, 16 → 32", reducing + large, (reducing + large) * 28**2 / 1e6)]  # fmt: skip
print(f"{alone / (reducing + large):.1f} times cheaper")
assert 9 < alone / (reducing + large) < 10
edu.table(rows, ["branch", "weights", "million multiply-adds"])

# %% [markdown]
# ### Exercise 4.1 · When does a reduction pay off?
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# A reduction isn't free: the extra 1×1 convolution costs something too. For a branch that maps `in_channels` to
# `channels` with one `kernel` × `kernel` convolution, find the largest number of reduced channels at which "1×1, then
# k×k" is still *cheaper* than the k×k convolution alone. Return 0 if it never is. Before you run the check, guess for
# the 5×5 branch above: reducing to 16 channels pays off; does reducing to 100?
#
# <details><summary>Hint 1</summary>
#
# All convolutions keep the height and width, so it's enough to compare weights. Leave out biases.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# With $r$ reduced channels: $r \cdot \text{in} + k^2 \cdot r \cdot \text{out} < k^2 \cdot \text{in} \cdot \text{out}$.
# Solve for $r$, and think about what happens when both sides are equal.
#
# </details>


# %% tags=["exercise"]
def my_break_even(in_channels: int, channels: int, kernel: int) -> int:
    """The largest number of reduced channels that still saves multiply-adds."""
    ### BEGIN SOLUTION
    alone = kernel**2 * in_channels * channels
    per_channel = in_channels + kernel**2 * channels
    return (alone - 1) // per_channel
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_break_even(my_break_even)

# %% [markdown]
# <details><summary>And the guess?</summary>
#
# For the 5×5 branch the break-even is 154 channels, so reducing to 100 still pays off.
#
# </details>
#
# ### Exercise 4.2 · The inception block
#
# **Difficulty** ●●●○○ · **12 minutes**
#
# Turn the naive block into the one GoogLeNet uses. In the second and third branch, a 1×1 convolution reduces the
# channels *before* the large kernel. In the fourth, another one comes *after* the pooling, so that the block controls
# its own width. Use torchvision's names, so that its weights fit: `branch1` (1×1), `branch2` (1×1, then 3×3), `branch3`
# (1×1, then **3×3** where the paper has 5×5; the reason comes below), `branch4` (3×3 max pooling, then 1×1). Build them
# from `ConvBlock(in_channels, channels, kernel)`.
#
# <details><summary>Hint 1</summary>
#
# `branch1` is a `ConvBlock`. Each of the others is an `nn.Sequential` of two modules.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The pooling must keep the height and width: `nn.MaxPool2d(3, stride=1, padding=1)`.
#
# </details>


# %% tags=["exercise"]
class MyInception(nn.Module):
    """Maps (N, in_channels, H, W) to (N, one + three + five + pool, H, W)."""

    def __init__(
        self, in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int
    ) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.branch1 = ConvBlock(in_channels, one, 1)
        self.branch2 = nn.Sequential(ConvBlock(in_channels, three_reduced, 1), ConvBlock(three_reduced, three, 3))
        self.branch3 = nn.Sequential(ConvBlock(in_channels, five_reduced, 1), ConvBlock(five_reduced, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), ConvBlock(in_channels, pool, 1))
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)
        ### END SOLUTION


# %% tags=["check"]
edu.checks.check_inception(MyInception)

# %% [markdown]
# The package has the same block, `Inception`. For a fair comparison with the naive block, put the paper's 5×5 kernel
# into the third branch:

# %%
from resnet_edu.models.googlenet import INCEPTIONS, Inception


def paper_block(*sizes: int) -> Inception:
    """An inception block with the paper's 5×5 kernel in its third branch."""
    block = Inception(*sizes)
    reduced, five = sizes[4:6]
    block.branch3[1].conv = nn.Conv2d(reduced, five, 5, padding=2, bias=False)
    return block


reduced = paper_block(*INCEPTIONS["3a"])
edu.plots.architecture(reduced, (192, 28, 28), title="Inception 3a: reduce first, and after the pooling")

# %%
rows = []
parts = [*zip(names, naive.children(), reduced.children(), strict=True), ("whole block", naive, reduced)]
for name, old, new in parts:
    before, after = million_macs(old, 192, 28), million_macs(new, 192, 28)
    times = f"{before / after:.1f} times" if before else None  # a pooling has no multiply-adds
    rows.append((name, f"{before:.1f}", f"{after:.1f}", times))
saved = million_macs(naive, 192, 28) / million_macs(reduced, 192, 28)
assert 2 < saved < 3, "the block as a whole gets less than three times cheaper"
edu.table(rows, ["million multiply-adds", "naive", "reduced", "cheaper by"])

# %% [markdown]
# The 5×5 branch gets almost ten times cheaper, the block as a whole only 2.4 times. But stack nine of them: without
# the 1×1 after the pooling, each is wider than the one before. Here are all four combinations, with and without
# reductions and with and without that convolution.


# %%
def weights_of(channels: int, sizes: tuple[int, ...], *, reduce: bool, project: bool) -> int:
    """Weights of a block, without batch norm: `reduce` before the kernels, `project` after the pooling."""
    one, three_reduced, three, five_reduced, five, pool = sizes[1:]
    small = channels * one + (channels * pool if project else 0)
    if reduce:
        return small + channels * (three_reduced + five_reduced) + 9 * three_reduced * three + 25 * five_reduced * five
    return small + channels * (9 * three + 25 * five)


# %%
totals, widths = {}, {False: [], True: []}
for reduce, project in product((False, True), repeat=2):
    channels, totals[reduce, project], widths[project] = 192, 0, []
    for name, sizes in INCEPTIONS.items():
        side = {"3": 28, "4": 14, "5": 7}[name[0]]
        totals[reduce, project] += side**2 * weights_of(channels, sizes, reduce=reduce, project=project)
        channels = sizes[1] + sizes[3] + sizes[5] + (sizes[6] if project else channels)
        widths[project].append(channels)

# %%
by_hand = weights_of(192, INCEPTIONS["3a"], reduce=True, project=True)
assert edu.probe.summary(reduced, (192, 28, 28)).macs == 28**2 * by_hand
assert 10 < totals[False, False] / totals[True, True] < 12, "all nine together: eleven times cheaper"
assert totals[True, False] < totals[False, True] / 2, "the reductions save more"
names = {(False, False): "neither", (False, True): "a convolution after the pooling", (True, False): "reductions",
         (True, True): "both, as built"}  # fmt: skip
rows = [
    (text, *(widths[which[1]][place] for place in (0, 4, 8)), f"{totals[which] / 1e9:.1f}")
    for which, text in names.items()
]
edu.table(rows, ["nine blocks with", "channels after 3a", "after 4c", "after 5b", "billion multiply-adds"])

# %% [markdown]
# The convolution after the pooling stops the growth, the reductions make the large kernels affordable and bring most
# of the saving, and only both together get to one eleventh. The widths are up to the designer. Now choose your own.
#
# ### Explore: the channel budget
#
# The sliders are the six widths of block 3a. Solid bars show what you pay, dashed frames what the same branch would
# cost without a reduction. First find the slider that costs the most. Next, make the block a third cheaper while
# keeping 256 channels. Then raise "3×3 reduce" until the reduction no longer pays off (exercise 4.1 tells you where
# that is).
#
# <details><summary>Answer to the last one</summary>
#
# "3×3 reduce" pays off up to 164 channels.
#
# </details>

# %% tags=["explorer"]
explorer = edu.widgets.channel_budget()
explorer

# %% [markdown]
# In case widgets don't run for you, here are two settings. In the second one the layer before the 3×3 outputs as many
# channels as it gets, so it reduces nothing and only adds to the cost.

# %%
explorer.twin({"3a as in the paper": {}, "192 channels before the 3×3": {"3×3 reduce": 192}})

# %% [markdown]
# ### Exercise 4.3 · Meet a budget
#
# **Difficulty** ●●●○○ · **12 minutes**
#
# GoogLeNet's authors first fixed the number of multiply-adds, then asked how much net it buys. Do the same for one
# block. Keep the proportions of 3a: with a unit $u$, the widths are `one` = 4u, `three_reduced` = 6u, `three` = 8u,
# `five_reduced` = u, `five` = 2u, `pool` = 2u (3a has u = 16). Find the largest whole $u$ for which the block costs at
# most `budget` multiply-adds on maps of `side` × `side`, and return its six widths. The third branch has the paper's
# 5×5 kernel, and u = 1 always fits.
#
# <details><summary>Hint 1</summary>
#
# Write a function for the multiply-adds of a given $u$ first. There are six convolutions: four 1×1 that see
# `in_channels`, one 3×3 and one 5×5 that see reduced channels.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# No formula needed: raise $u$ while the *next* one still fits.
#
# </details>


# %% tags=["exercise"]
def my_widest_block(in_channels: int, side: int, budget: int) -> tuple[int, ...]:
    """Widths (one, three_reduced, three, five_reduced, five, pool) of the widest block within the budget."""
    ### BEGIN SOLUTION

    def macs(u: int) -> int:
        ones = in_channels * (4 * u + 6 * u + u + 2 * u)
        return side**2 * (ones + 9 * (6 * u) * (8 * u) + 25 * u * (2 * u))

    unit = 1
    while macs(unit + 1) <= budget:
        unit += 1
    return 4 * unit, 6 * unit, 8 * unit, unit, 2 * unit, 2 * unit
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_widest_block(my_widest_block)

# %% [markdown]
# ## The whole net
#
# Now stack them. Three ordinary convolutions and two poolings bring the image down to 28×28. Then come nine inception
# blocks, an average over each map, and a single linear layer.

# %%
net = edu.models.build("googlenet")
edu.plots.architecture(net, (3, 224, 224), title="GoogLeNet: a stem, nine inception blocks, one linear layer")


# %% tags=["nbval-check-output"]
def count(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


facts, macs = edu.facts, edu.probe.summary(net, (3, 224, 224)).macs / 1e9
depth = 3 + 2 * len(INCEPTIONS) + 1  # three convolutions, two in a row per block, one linear layer
assert depth == facts.GOOGLENET_LAYERS.value
assert abs(macs - facts.GOOGLENET_BUDGET.value) < 0.05
edu.table([
    ("parameters", f"{count(net):,}", f"{facts.PARAMETERS['vgg16'].value:,}"),
    ("billion multiply-adds", f"{macs:.2f}", f"{facts.GMACS['vgg16'].value:.2f}"),
    ("layers with parameters, in a row", depth, 16),
    ("top-5 error of the submission, %", facts.ILSVRC_TOP5["2014 GoogLeNet"].value, facts.ILSVRC_TOP5["2014 VGG"].value),
], ["", "GoogLeNet", "VGG-16"])  # fmt: skip

# %% [markdown]
# (Both errors are those of whole submissions: seven nets each, on several sizes or crops of each picture.)
#
# The package follows **torchvision's** GoogLeNet, because that's where published weights come from. It deviates from
# the paper in two ways that change the counts. The third branch has a 3×3 kernel instead of 5×5, because the weights
# were ported from a TensorFlow model that did it that way ([issue 906](https://github.com/pytorch/vision/issues/906));
# with 5×5 the net would have about 6 % more parameters. And batch norm, published some months after GoogLeNet, takes
# the place of the biases in the paper's convolutions. (Response normalisation, the last pooling and dropout differ
# too, but change no count.)
#
# Is it really torchvision's net? Give both the same random weights and the same images:

# %%
torch.manual_seed(0)
theirs = torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=True).train()
images = torch.randn(4, 3, 96, 96)
with torch.no_grad():
    theirs(images)  # a pass in train mode moves the batch norms' running statistics
    ours = edu.models.build("googlenet", aux_heads=True)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    a, b = ours.eval()(images), theirs.eval()(images)
print(f"{count(ours):,} parameters with the two auxiliary heads; largest difference {(a - b).abs().max():.0e}")
assert count(net) == facts.PARAMETERS["googlenet"].value
assert count(ours) == facts.GOOGLENET_WITH_AUXILIARY.value
torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)

# %% [markdown]
# ## Do several scales beat one?
#
# The block is clever, but is it better? Test it, and make the test fair: compare two small nets with the *same* number
# of multiply-adds. One is built from inception blocks with 32 channels. In the other, every block is a single 3×3
# convolution, with as many channels as the same budget buys. The data, the training and everything around the blocks
# are the same: the *stem* before them, the poolings between them, and the *head* after them.


# %%
def inception_block(channels: int) -> nn.Module:
    """The proportions of 3a; as many channels out as in."""
    u = channels // 16
    return paper_block(channels, 4 * u, 6 * u, 8 * u, u, 2 * u, 2 * u)


def plain_block(channels: int) -> nn.Module:
    """A single 3×3 convolution."""
    return ConvBlock(channels, channels, 3)


def small_net(block: Callable[[int], nn.Module], channels: int) -> nn.Sequential:
    """Stem, four blocks, the average of each map, a linear layer. Maps (N, 1, 16, 16) to logits (N, 10)."""
    stem = [ConvBlock(1, channels, 3), nn.MaxPool2d(2)]
    blocks = [block(channels), block(channels), nn.MaxPool2d(2), block(channels), block(channels)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


# %%
designs = {"plain 3×3": (plain_block, 18), "inception": (inception_block, 32)}
rows = []
for name, (block, channels) in designs.items():
    net = small_net(block, channels)
    rows.append((name, channels, count(net), million_macs(net, 1, 16)))
assert abs(rows[0][3] / rows[1][3] - 1) < 0.03, "equal to three percent"
edu.table(rows, ["blocks", "channels", "parameters", "million multiply-adds"])

# %% [markdown]
# A comparison like this is easy to get wrong. If you try one learning rate, you compare how well the rate suits each
# net. If you train once, you compare two rolls of the dice. So we first let each side choose its rate. Here is the
# *validation* error in percent (the median of three seeds) after three epochs on 2,000 digits:
#
# | learning rate | 0.03 | 0.1 | 0.3 |
# |---|---:|---:|---:|
# | plain 3×3 | 11.6 | **4.6** | 5.6 |
# | inception | 5.6 | **4.6** | 5.0 |
#
# Both do best at 0.1. So the next cell trains both at 0.1, with five other seeds each (ten in `full`), and only now
# do the *test* images come in.
#
# > **Before you run it, commit yourself.** Which of the two wins, and by how many points of error?


# %%
def trained(block: Callable[[int], nn.Module], channels: int, data: edu.data.Data, *, seed: int) -> tuple:
    """A trained small net, its test error in percent, and how many seconds its last epoch took."""
    torch.manual_seed(seed)
    net = small_net(block, channels)
    config = edu.TrainConfig(epochs=3, batch_size=64, lr=0.1, augment=(), seed=seed)
    seconds = edu.fit(net, data, config).last.seconds
    return net, edu.evaluate(net, data.test).top1_error, seconds


runs = {name: [] for name in designs}
for seed in range(profile.choose(quick=5, full=20)):
    for name, (block, channels) in designs.items():
        runs[name].append(trained(block, channels, data, seed=seed))

# %%
errors = {name: [error for _, error, _ in each] for name, each in runs.items()}
title = "Several scales or one, at equal work, by seed"
edu.plots.paired_seeds({"one pair per seed": tuple(errors.values())}, tuple(designs), title=title, y="test error (%)")

# %%
plain, inception = errors.values()
assert max(*plain, *inception) < 15, "all runs learn the digits"
difference = abs(median(plain) - median(inception))
scatter = max(max(each) - min(each) for each in errors.values())
assert difference < 5, "no large advantage on either side"
wins = sum(b < a for a, b in zip(plain, inception, strict=True))
print(f"medians: {difference:.1f} points apart; seeds of one net: up to {scatter:.1f} points apart")
print(f"inception has the lower error in {wins} of {len(plain)} pairs")
rows = [(name, *(f"{f(each):.1f} %" for f in (median, min, max))) for name, each in errors.items()]
edu.table(rows, ["blocks", "test error, median", "lowest", "highest"])

# %% [markdown]
# **Verdict: a small advantage.** Five pairs are too few to tell, even where one side wins them all: runs of one net
# differ by up to two points, and by up to four in bfloat16. We ran twenty (`full` does, too). Inception's test error
# was lower by 0.6 ± 0.2 points in float32 (mean ± standard error) and by 0.9 ± 0.3 in bfloat16, with 13 and 14 of the
# 20 pairs on its side. So several scales help a little here, on digits of one size, the last place where they should
# matter. Be careful with a comparison of whole nets, too: GoogLeNet differs from VGG in depth, head, training and
# number of crops as well, so its lower error doesn't prove that the branches are what helps.
#
# Equal multiply-adds don't mean equal time, though. An inception block does eight small operations where the plain
# block does a single larger one, and small operations keep a processor waiting. Here's how long the last epoch took on
# this machine:

# %%
edu.table(
    [(name, f"{median(seconds for _, _, seconds in each):.2f} s") for name, each in runs.items()],
    ["blocks", "an epoch"],
)

# %% [markdown]
# ## Auxiliary heads
#
# The authors worried that too little gradient would find its way back through 22 layers. So they attached two small
# extra classifiers, one after block 4a and one after 4d. During training their losses are added to the main one with
# weight 0.3, and afterwards these heads are thrown away. Do they bring the first layer more gradient? The next cells
# measure it in a narrow, untrained GoogLeNet with two starts: AlexNet's tiny initial weights (standard deviation 0.01),
# and batch norm after each convolution. (`torch.autograd.grad(loss, weights)` returns the gradient instead of adding it
# to `.grad`, and `retain_graph=True` keeps what a second pass back needs. `nn.Identity()` passes on what it gets.)
#
# > **Before you run it:** by what factor do the heads change the first layer's gradient, in each of the two?


# %%
def factor_of_heads(net: nn.Module, images: Tensor, labels: Tensor, *, weight: float) -> float:
    """By how much the auxiliary losses multiply the norm of the first layer's gradient."""
    main, *auxiliary = (F.cross_entropy(logits, labels) for logits in net(images))  # in train mode three heads
    first = next(net.parameters())
    (without,) = torch.autograd.grad(main, first, retain_graph=True)
    (with_heads,) = torch.autograd.grad(main + weight * sum(auxiliary), first)
    return (with_heads.norm() / without.norm()).item()


# %%
images, labels = data.train.inputs(slice(64)), data.train.labels[:64]
factors, weight = {"σ = 0.01": [], "batch norm": []}, edu.facts.GOOGLENET_AUXILIARY_WEIGHT.value
for start, seed in product(factors, range(5)):
    torch.manual_seed(seed)
    net = edu.models.build("googlenet", stem="small", width=8, in_channels=1, num_classes=10, aux_heads=True)
    if start == "σ = 0.01":
        for layer in net.modules():
            if isinstance(layer, ConvBlock):
                layer.bn = nn.Identity()
            elif isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
    factors[start].append(factor_of_heads(net, images, labels, weight=weight))
assert min(factors["σ = 0.01"]) > 1000
assert max(abs(factor - 1) for factor in factors["batch norm"]) < 0.5, "by less than half"
edu.table([(start, min(each), max(each)) for start, each in factors.items()], ["start", "factor, at least", "at most"])

# %% [markdown]
# With tiny weights, next to nothing of the main loss's gradient arrives at the first layer, and the heads multiply
# that layer's gradient many thousandfold. With batch norm it does arrive, and they change it by less than half.
#
# That's an untrained net. Szegedy et al. (2015, section 4) reported on trained ones: the heads didn't speed up early
# training, the lower one could be removed without harm, and there was a slight gain at the end, which they put down to
# *regularisation*: anything that keeps a net from memorising. The later nets in this course do without auxiliary
# heads. Lesson 05 explains where gradients get lost.
#
# ## An average instead of big linear layers
#
# AlexNet and VGG flatten the last maps and send the long vector through large linear layers. GoogLeNet takes the **mean
# of each map** (*global average pooling*), followed by a single linear layer. With its 1,024 maps of 7×7 flattened,
# that layer would have 50 million parameters for 1,000 classes. With the averages it has one million. It also changes
# what the head *is*. The mean and the linear layer can be swapped:
#
# $$W \cdot \tfrac{1}{HW}\textstyle\sum_{ij} x_{ij} + b \;=\; \tfrac{1}{HW}\sum_{ij} \left( W x_{ij} + b \right)$$
#
# On the right, every position in the last maps casts a *vote* for each class, through a 1×1 convolution with the same
# $W$ and $b$, and the logit is the mean vote. Any number of positions can vote, so the net takes images of any size.
# Here is a test digit, and then the votes of a small inception net that you just trained:

# %%
label = int(data.test.labels[0])
edu.plots.image_grid(data.test.images[:1], [f"a {label}"], side=2.0)

# %%
net, image = runs["inception"][0][0].eval(), data.test.inputs(slice(1)).to(edu.machine.device())
with torch.no_grad():
    maps = net[:-3](image)  # (1, 32, 4, 4): all but the average, flatten and linear layer
    votes = F.conv2d(maps, net[-1].weight[:, :, None, None], net[-1].bias)  # (1, 10, 4, 4)
    logits = net(image)
torch.testing.assert_close(votes.mean((2, 3)), logits, rtol=1e-3, atol=1e-3)
strongest = logits[0].topk(3).indices.tolist()
flat, averaged = 1024 * 7 * 7 * 1000 + 1000, 1024 * 1000 + 1000
assert flat > 50e6
assert averaged < 1.1e6
print(f"a {label}; logits {', '.join(f'{digit}: {logits[0, digit]:.1f}' for digit in strongest)}")
names = [f"votes for {digit}" for digit in strongest]
title = "Each position votes (red: for, blue: against)"
edu.plots.image_grid(votes[0, strongest], names, diverging=True, side=2.0, title=title)

# %% [markdown]
# You see the three classes with the highest logits, on one scale. Each logit is the mean of its 16 votes. These maps
# are known as *class activation maps* (Zhou et al. 2016), and lesson 11 makes them for nets with any head. What the
# average gives up is position: the head doesn't know *where* a feature was, only how much of it there was.
#
# ### Exercise 4.4 · Find the silent branch
#
# **Difficulty** ●●●○○ · **10 minutes**
#
# A block with four branches can fail in its own way: one branch dies, and the net goes on training with the other
# three. You get such a block, in eval mode, and a batch of images. One of its branches outputs the *same numbers for
# every image*. They may be zeros (a dead ReLU), but they don't have to be. Return the name of that branch, "branch1" to
# "branch4", and don't change the block.
#
# <details><summary>Hint 1</summary>
#
# `block.named_children()` gives you names and branches. Send the images through each one.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Compare different images at the same channel and pixel: `out.std(0)` is zero everywhere only for the silent branch.
#
# </details>


# %% tags=["exercise"]
def my_silent_branch(block: nn.Module, images: Tensor) -> str:
    """Name of the branch whose output doesn't depend on the image."""
    ### BEGIN SOLUTION
    spread = {}
    with torch.no_grad():
        for name, branch in block.named_children():
            spread[name] = branch(images).std(0).max().item()
    return min(spread, key=spread.get)
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_silent_branch(my_silent_branch)

# %% [markdown]
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "GoogLeNet has 15 million parameters." | Count them, with and without auxiliary heads | **Wrong.** 6.6 million, and 13.0 million with the heads, which are thrown away after training. |
# | "It has 12 times fewer parameters than AlexNet." | Divide the two counts | **Not by this count.** 9.2 times. The 12 comes from the GoogLeNet paper itself; the follow-up of 2015 gives the numbers behind it, 5 million against 60. With the 5×5 kernels of the paper's table it has 7 million, a little under 9 times fewer. |
# | "Torchvision's GoogLeNet has 5×5 convolutions." | List the kernels | **Wrong.** 1×1, 3×3 and one 7×7. |
# | "1×1 convolutions make the block ten times cheaper." | Multiply-adds of 3a and of all nine blocks | **It depends on what you count.** The 5×5 branch of 3a, 9.7 times. Block 3a as a whole, 2.4 times. All nine together 11 times, because naive blocks also grow. |
# | "Auxiliary heads keep the gradient from vanishing." | First layer's gradient, two starts, five seeds | **Only where it vanishes.** More than a thousandfold with tiny weights; with batch norm, by less than half either way. |
# | "Several scales side by side beat a single one at the same cost." | Two small nets, equal multiply-adds, each at its best rate, five seeds (twenty in `full`) | **By a little, here.** Over twenty seeds, several scales are ahead by 0.6 ± 0.2 points in float32 and 0.9 ± 0.3 in bfloat16; five can miss it. |

# %%
alexnets = edu.facts.PARAMETERS["alexnet"].value
own = edu.facts.PARAMETERS["googlenet"].value
kernels = {layer.kernel_size[0] for layer in theirs.modules() if isinstance(layer, nn.Conv2d)}
printed = edu.facts.ALEXNET_MILLION_PARAMETERS.value / edu.facts.GOOGLENET_MILLION_PARAMETERS.value
print(f"AlexNet has {alexnets / own:.1f} times as many parameters; kernels in torchvision's net: {sorted(kernels)}")
assert round(alexnets / own, 1) == 9.2
table = 3 * 49 * 64 + 64 * 64 + 9 * 64 * 192 + 1024 * 1000  # what stands before and after the nine blocks
table += sum(weights_of(sizes[0], sizes, reduce=True, project=True) for sizes in INCEPTIONS.values())
print(f"GoogLeNet's weights by the paper's table: {table:,}, {alexnets / table:.1f} times fewer than AlexNet's")
assert 8.5 < alexnets / table < 9
assert [(k * k * 192 * n - 1) // (192 + k * k * n) for k, n in ((5, 32), (3, 128))] == [154, 164], "exercise 4.1"
assert printed == edu.facts.GOOGLENET_FEWER_THAN_ALEXNET.value
assert kernels == {1, 3, 7}
assert max(count(ours), own) < 15e6

# %% [markdown]
# ## Summary
#
# * The **inception block** looks at several scales side by side and concatenates the results along the channels.
# * A **1×1 convolution** is a matrix applied to the channels of each pixel. Before a large kernel it reduces the
#   channels and makes the block affordable; after the pooling it keeps the block from growing.
# * It pays off as long as $r\,(\text{in} + k^2 \cdot \text{out}) < k^2 \cdot \text{in} \cdot \text{out}$.
# * A **fair comparison** holds one cost equal (here the multiply-adds; the times still differed), gives each side its
#   own best rate, and takes several seeds. On small digits, several scales beat a single one by less than a point,
#   which five seeds can miss.
# * In an untrained net, **auxiliary heads** bring the first layer far more gradient where it shrinks on its way back.
#   With batch norm they change little.
# * **Global average pooling** replaces tens of millions of parameters with a mean: each position votes, and the logit
#   is the mean vote.
# * Torchvision's net has 6.6 million parameters, 3×3 kernels in place of the paper's 5×5, and batch norm.
#
# ## Sources
#
# * C. Szegedy et al.: Going deeper with convolutions, 2014, sections 4 to 7, [arXiv
#   1409.4842](https://arxiv.org/abs/1409.4842)
# * C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna: Rethinking the Inception architecture for computer vision,
#   2015, sections 1 and 4, [arXiv 1512.00567](https://arxiv.org/abs/1512.00567)
# * M. Lin, Q. Chen, S. Yan: Network in network, 2013, [arXiv 1312.4400](https://arxiv.org/abs/1312.4400)
# * S. Ioffe, C. Szegedy: Batch normalization, 2015, [arXiv 1502.03167](https://arxiv.org/abs/1502.03167)
# * B. Zhou, A. Khosla, A. Lapedriza, A. Oliva, A. Torralba: Learning deep features for discriminative localization,
#   2016, [arXiv 1512.04150](https://arxiv.org/abs/1512.04150)
# * torchvision's [GoogLeNet](https://docs.pytorch.org/vision/stable/models/googlenet.html) and its [issue
#   906](https://github.com/pytorch/vision/issues/906) on the third branch
#
# ## Next lesson
#
# 05 · Vanishing and exploding gradients: why the gradient gets lost with one start and not with the other.
