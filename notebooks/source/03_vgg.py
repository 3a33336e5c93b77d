# %% [markdown]
# # 03 · VGG: one small kernel, again and again
#
# AlexNet had kernels of 11×11, 5×5 and 3×3 pixels. Two years later Karen Simonyan and Andrew Zisserman asked a cleaner
# question: what does *depth* do, if you change nothing else? They fixed nearly everything else: each convolution is
# 3×3, each pooling halves the height and width, and the number of layers varies from 11 to 19. In the second half of
# this lesson you'll train such nets yourself, find that depth needs help, and meet the layer that provides it: batch
# norm.
#
# After this lesson you can
#
# * compute how many pixels a number deep in a network depends on, and check it with a gradient;
# * say what a stack of 3×3 kernels saves against one large kernel, and how the two differ;
# * write the VGG block, and the paper's four main networks from one list;
# * tell where a network's parameters, memory and multiply-adds go;
# * write batch norm by hand, and explain why a net with batch norm behaves differently in train and in eval mode.
#
# **Minutes:** 35 reading, 41 more for the exercises · 1 running quick · 3 running full

# %% tags=["setup"]
from dataclasses import replace

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.io import ImageReadMode, decode_image

import resnet_edu as edu

profile = edu.profile()
size, width = profile.choose(quick=(16, 8), full=(32, 16))
data = edu.data.load("mnist5k", size=size, limit=profile.choose(quick=2000, full=None))
config = edu.TrainConfig(epochs=3, batch_size=64, augment=())
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## Sixteen layers, one rule
#
# Here is VGG-16, named after Oxford's Visual Geometry Group and drawn from the model itself. Its 138 million
# parameters would fill half a gigabyte, so it's built on PyTorch's device `meta`, where a tensor has a shape but no
# numbers.

# %%
with torch.device("meta"):
    vgg16 = edu.models.build("vgg16")
edu.plots.architecture(vgg16, (3, 224, 224), title="VGG-16: 3×3 convolutions, poolings, three linear layers")

# %% [markdown]
# Read it from left to right. A *stage* is two or three convolutions that keep the height and width of the maps,
# followed by a 2×2 max pooling that halves both. Each new stage has twice as many channels, up to 512. After five
# stages, 224 × 224 pixels have become 7 × 7, and three linear layers follow. That's the whole rule.
#
# ## What two small kernels see together
#
# A single 3×3 kernel sees 9 pixels, while AlexNet's first kernel sees 121. How can small kernels be enough? Put a
# second 3×3 convolution after the first. Each of its nine inputs has already seen 3×3 pixels, in windows that are one
# pixel apart. Before you trust a formula, measure: send an image through the stack, take **one** number of the output,
# and ask autograd which pixels can change it. That set of pixels is its **receptive field**.


# %%
def gradient_of_one(kernels: list[int], *, side: int = 11, nets: int = 200) -> Tensor:
    """How strongly each pixel affects the middle output, as a mean over nets with random weights: (side, side)."""
    total = torch.zeros(side, side)
    for _ in range(nets):
        net = nn.Sequential(*[nn.Conv2d(1, 1, kernel, padding=kernel // 2) for kernel in kernels])
        image = torch.rand(1, 1, side, side, requires_grad=True)
        net(image)[0, 0, side // 2, side // 2].backward()
        total += image.grad[0, 0].abs()
    return total / nets


# %%
stacks = {"one 5×5": [5], "two 3×3": [3, 3], "one 7×7": [7], "three 3×3": [3, 3, 3]}
maps = {name: gradient_of_one(kernels) for name, kernels in stacks.items()}
shown, titles = torch.stack([map_ / map_.max() for map_ in maps.values()]), list(maps)
title = "The same window (palest: not seen), but not every pixel counts the same"
edu.plots.image_grid(shown, titles, diverging=True, side=2.0, title=title)

# %%
seen = {name: map_ > 0 for name, map_ in maps.items()}
assert torch.equal(seen["two 3×3"], seen["one 5×5"]), "two 3×3 reach the pixels that one 5×5 reaches"
assert torch.equal(seen["three 3×3"], seen["one 7×7"]), "three 3×3 reach those of one 7×7"
rows = []
for name, map_ in maps.items():
    middle, corner = map_[5, 5].item(), map_[seen[name]][0].item()
    rows.append((name, seen[name].sum(), f"{middle / corner:.1f}"))
assert maps["three 3×3"][5, 5] > 3 * maps["three 3×3"][2, 2], "1 path from the corner, 49 from the middle"
edu.table(rows, ["stack", "pixels seen", "gradient, middle / corner"])

# %% [markdown]
# The windows agree to the pixel: two 3×3 kernels see 5×5 pixels, and three see 7×7. The shades don't. In a single
# large kernel each pixel has its own weight, and on average all count the same. In a stack, a pixel counts through
# every path from it to the output. Three 3×3 layers have one path from a corner pixel, and 7 · 7 = 49 from the middle
# one. (Random weights differ in sign and partly cancel, so the middle doesn't count 49 times as much.) So such a net
# looks hardest at the middle of its window. The *receptive field* is everything it can see, and the part that matters
# in practice is smaller (Luo et al. 2016).
#
# ## What small kernels save
#
# With $C$ channels in and out, and no biases, a k×k convolution has $k^2 C^2$ weights. Count them on real layers:

# %% tags=["nbval-check-output"]
channels, rows, counts = 256, [], {}
for name, kernels in stacks.items():
    net = nn.Sequential(*[nn.Conv2d(channels, channels, k, padding=k // 2, bias=False) for k in kernels])
    cost = edu.probe.summary(net, (channels, 56, 56))
    counts[name] = cost.parameters
    rows.append((name, f"{cost.parameters // channels**2} C²", cost.parameters, f"{cost.macs / 1e9:.2f}"))
assert counts["two 3×3"] == 18 * channels**2
assert counts["one 5×5"] == 25 * channels**2
assert counts["three 3×3"] == 27 * channels**2
assert counts["one 7×7"] == 49 * channels**2
edu.table(rows, ["stack", "weights", "for C = 256", "billion multiply-adds at 56×56"])

# %% [markdown]
# One 7×7 kernel takes 81 % more weights than three 3×3 kernels, and 81 % more work. So is the stack the same thing for
# less? Not quite. Without padding, and with nothing in between, two 3×3 convolutions in a row *are* a 5×5 convolution.
# The next cell computes its kernel: each of the 25 weights is a sum over all paths through the two layers. But 18
# numbers can't make *every* 5×5 kernel. And with a ReLU in between, the stack isn't a convolution at all: its output
# for the sum of two images isn't the sum of its outputs.

# %%
first, second = (nn.Conv2d(8, 8, 3, bias=False) for _ in range(2))
with torch.inference_mode():
    kernel = F.conv2d(first.weight.transpose(0, 1), second.weight.flip(2, 3), padding=2).transpose(0, 1)  # (8, 8, 5, 5)
    a, b = torch.randn(2, 4, 8, 12, 12)
    torch.testing.assert_close(second(first(a)), F.conv2d(a, kernel), rtol=1e-4, atol=1e-5)
    stack = nn.Sequential(first, nn.ReLU(), second)
    linear_error = (second(first(a + b)) - second(first(a)) - second(first(b))).abs().max()
    with_relu = (stack(a + b) - stack(a) - stack(b)).abs().max()
assert linear_error < 1e-5
assert with_relu > 0.1
print(f"two 3×3 equal one kernel of {tuple(kernel.shape)}")
rows = [("without ReLU", f"{linear_error:.0e}"), ("with ReLU in between", f"{with_relu:.2f}")]
edu.table(rows, ["two layers", "f(a + b) − f(a) − f(b), largest"])

# %% [markdown]
# The paper gives these two reasons, fewer weights and more ReLUs, and tests them. A copy of the 13-layer net with a
# single 5×5 in place of each pair of 3×3 convolutions had a top-1 error about 7 % higher (section 4.1).
#
# ## Any stack: size and jump
#
# With strides and poolings you need one more quantity. The **jump** is how far apart, in pixels of the image, the
# windows of two neighbouring numbers are. In the image itself it's 1. A layer with stride 2 keeps only every second
# window, so from there on neighbours are twice as far apart. And the farther apart its inputs are, the more pixels a
# kernel can see. Watch it happen first; then exercise 3.1 asks you for the rule.
#
# ### Explore: the window grows
#
# On the left, follow one number at the top down to the pixels it needs. Before you move a control, guess: how many 3×3
# layers see as much as one 11×11? What changes if a pooling follows each layer? Which two controls, used together, let
# five 3×3 layers see the whole photo?
#
# <details><summary>Answers</summary>
#
# * Five: each adds 2 pixels, and 1 + 5 · 2 = 11.
# * Each pooling doubles the jump, so every convolution adds twice as much as the one before.
# * A first stride of 4, and a pooling after every layer.
# </details>

# %% tags=["explorer"]
photo = decode_image(str(edu.data.photo("cat")), ImageReadMode.RGB)[:, 30:254, 90:314]  # (3, 224, 224)
explorer = edu.widgets.receptive_explorer(photo)
explorer

# %% [markdown]
# In case widgets don't run for you, here are three stacks. Without the poolings, the four layers of the last one would
# see only 9 pixels.

# %%
explorer.twin({
    "one 7×7": {"kernel": 7, "layers": 1},
    "three 3×3": {},
    "four 3×3, with a pooling after every two": {"layers": 4, "pool_every": 2},
})  # fmt: skip

# %% [markdown]
# ### Exercise 3.1 · Receptive field
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Write `receptive_field(layers)`. `layers` is a list of pairs (kernel, stride), first layer first. Return the
# width, in pixels, of the window that one number in the last layer's output depends on. There's no formula to look up:
# go through the layers and ask what each one does to the size of the window, and what it does to the jump.
#
# <details><summary>Hint 1</summary>
#
# Start with `size = 1` and `jump = 1`: a pixel depends only on itself, and its neighbour is one pixel away.
# </details>
# <details><summary>Hint 2</summary>
#
# A kernel takes in `kernel` neighbours. From the first to the last there are `kernel - 1` steps. How many pixels is a
# step?
# </details>
# <details><summary>Hint 3</summary>
#
# A layer's stride only affects the layers *after* it. So widen the window first, then change the jump.
# </details>


# %% tags=["exercise"]
def receptive_field(layers: list[tuple[int, int]]) -> int:
    """Width in pixels of the window that one number in the last layer's output depends on."""
    ### BEGIN SOLUTION
    size, jump = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * jump
        jump *= stride
    return size
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_receptive_field(receptive_field)

# %% [markdown]
# And VGG-16? The package's probe applies the rule you just wrote, and shows what one number at the end of each stage
# sees:

# %% tags=["nbval-check-output"]
fields = [row for row in edu.probe.receptive_field(vgg16.features, (3, 224, 224)) if row.kind == "MaxPool2d"]
assert [row.size for row in fields] == [6, 16, 44, 100, 212]
rows = [(stage, f"{row.side}×{row.side}", row.size, row.jump) for stage, row in enumerate(fields, start=1)]
edu.table(rows, ["after stage", "maps", "receptive field (pixels)", "jump (pixels)"])

# %% [markdown]
# Without a single large kernel, a number at the end sees a window 212 pixels wide, in an image of 224. Most of that
# growth comes from the poolings: after four of them, one more 3×3 kernel adds 2 · 16 = 32 pixels.
#
# ## Four nets from one list
#
# Four of the six nets in the paper's table 1 boil down to a list of numbers: how many convolutions each stage has.
# (The other two try response normalisation and 1×1 kernels.) The next cell builds the four from that list and compares
# them with torchvision's. With `strict=True`, loading fails unless every name and every shape matches.

# %% tags=["nbval-check-output"]
rows = []
for depth, stages in edu.models.vgg.CONFIGURATIONS.items():
    name = f"vgg{depth}"
    with torch.device("meta"):
        net, theirs = edu.models.build(name), torchvision.models.get_model(name, weights=None)
    net.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    cost = edu.probe.summary(net, (3, 224, 224))
    assert cost.parameters == edu.facts.PARAMETERS[name].value
    assert round(cost.parameters / 1e6) == edu.facts.VGG_MILLION_PARAMETERS[name].value, "table 2 of the paper"
    rows.append((f"VGG-{depth}", ", ".join(map(str, stages)), cost.parameters, f"{cost.macs / 1e9:.2f}"))
edu.table(rows, ["net", "convolutions per stage", "parameters", "billion multiply-adds"])

# %% [markdown]
# Do they also compute the same thing? `meta` has no numbers, so take torchvision's VGG-11 with random weights (about
# half a gigabyte), load them into ours, and compare the logits.

# %%
torch.manual_seed(0)
theirs = torchvision.models.vgg11(weights=None, init_weights=False).eval()
with torch.device("meta"):
    ours = edu.models.build("vgg11").eval()
ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)  # the same memory, not a copy
image = torch.randn(1, 3, 224, 224)
with torch.inference_mode():
    got, expected = ours(image), theirs(image)
print(f"largest difference of 1,000 logits: {(got - expected).abs().max():.1e}, their spread {expected.std():.2f}")
torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
del ours, theirs, net

# %% [markdown]
# ### Exercise 3.2 · The VGG block
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Write `vgg_block(in_channels, channels, convolutions)`: an `nn.Sequential` of `convolutions` 3×3 convolutions, each
# followed by a ReLU of its own, with a 2×2 max pooling at the end. The first convolution leads from `in_channels` to
# `channels`, and the others keep that number. The convolutions keep the height and width, and they have a bias. Leave
# `inplace` off.
#
# <details><summary>Hint 1</summary>
#
# Collect the layers in a list, in a loop over `range(convolutions)`, and unpack the list at the end:
# `nn.Sequential(*layers)`.
# </details>
# <details><summary>Hint 2</summary>
#
# After the first pass through the loop, set `in_channels = channels`.
# </details>


# %% tags=["exercise"]
def vgg_block(in_channels: int, channels: int, convolutions: int) -> nn.Sequential:
    """Maps (N, in_channels, H, W) to (N, channels, H / 2, W / 2)."""
    ### BEGIN SOLUTION
    layers: list[nn.Module] = []
    for _ in range(convolutions):
        layers += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.ReLU()]
        in_channels = channels
    return nn.Sequential(*layers, nn.MaxPool2d(2))
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_vgg_block(vgg_block)

# %% [markdown]
# Five such blocks in a row, with the numbers from the list, make up the convolutional part of VGG.
#
# ## Where the cost sits
#
# A net costs you three things: parameters to store, activations to keep while it trains, and multiply-adds to compute.
# They don't sit in the same layers.

# %%
costs = edu.probe.summary(vgg16, (3, 224, 224))
edu.plots.layer_costs(costs, title="Parameters sit at the end, activations at the start, work in between")

# %%
layers = edu.plots.named_layers(costs)
linear = [row for row in layers.values() if row.kind == "Linear"]
print(f"fc6 alone: {layers['fc6'].parameters:,} parameters = 7 · 7 · 512 · 4,096 + 4,096")
print(f"linear layers: {sum(row.parameters for row in linear):,} of {costs.parameters:,} parameters, "
      f"{sum(row.macs for row in linear) / 1e6:.0f} of {costs.macs / 1e6:,.0f} million multiply-adds")  # fmt: skip
assert layers["fc6"].parameters == 7 * 7 * 512 * 4096 + 4096
assert layers["fc6"].parameters > 0.7 * costs.parameters
assert sum(row.macs for row in linear) < 0.01 * costs.macs
assert layers["conv1_2"].macs == layers["conv2_2"].macs == layers["conv3_2"].macs == layers["conv4_2"].macs

# %% [markdown]
# Here's how to read the three panels.
#
# * **Parameters.** One layer, fc6, holds three quarters of them, because it gives each of the 7 · 7 · 512 numbers 4,096
#   weights. The 13 convolutions together hold a tenth.
# * **Activations.** The first two layers produce 64 maps at full size. Halving the height and width leaves a quarter of
#   each map, and there are twice as many maps, so a layer produces half as much as one in the stage before. (In stage 5
#   it's a quarter, because the channels stay at 512.)
# * **Multiply-adds.** Halving the height and width while doubling the channels leaves the work of a convolution as it
#   was: a quarter of the positions, four times the weights. That's the point of the rule. Only the first layer of each
#   stage, which has fewer channels coming in, and stage 5 are cheaper.
#
# Nine tenths of the parameters sit in the three linear layers, most of them in fc6. **Global average pooling** (Lin et
# al. 2013) does without them: it takes the mean of each of the 512 maps. GoogLeNet and ResNet, the next nets in this
# course, send these means through one linear layer.

# %% tags=["nbval-check-output"]
before = costs.parameters
after = sum(p.numel() for p in vgg16.features.parameters()) + 512 * 1000 + 1000
assert after < before / 9
rows = [("three linear layers", before), ("global average pooling, one linear layer", after)]
edu.table(rows, ["head", "parameters of VGG-16"])

# %% [markdown]
# ### Exercise 3.3 · Predict, then measure: memory
#
# **Difficulty** ●●○○○ · **10 minutes**
#
# To compute gradients, each layer needs its input again on the way back, so during training PyTorch keeps the maps. How
# many bytes is that for VGG-16? **First write down two guesses:** what share of it is stage 1's, and how many images of
# 224×224 fit on a graphics card with 3 GB, like the ones that trained AlexNet, next to the weights, their gradients and
# SGD's momentum?
#
# Then write `activation_bytes(stages, side, batch_size)`. `stages` is a list of pairs (convolutions, channels), for
# VGG-16 `[(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]`. Count the output of each convolution once (after its ReLU)
# and the output of each pooling, in float32. Leave out the image and the linear layers. `side` can be odd.
#
# <details><summary>Hint 1</summary>
#
# The output of a layer with `channels` channels has `channels * side * side` numbers of four bytes, for each image in
# the batch.
# </details>
# <details><summary>Hint 2</summary>
#
# In each stage: add the maps of its convolutions, halve the side with `//`, add the pooled map.
# </details>


# %% tags=["exercise"]
def activation_bytes(stages: list[tuple[int, int]], side: int, batch_size: int = 1) -> int:
    """Bytes that the outputs of a VGG's convolutions and poolings take."""
    ### BEGIN SOLUTION
    numbers = 0
    for convolutions, channels in stages:
        numbers += convolutions * channels * side * side
        side = side // 2
        numbers += channels * side * side
    return 4 * batch_size * numbers
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_activation_bytes(activation_bytes)

# %% [markdown]
# Now measure. The next cell adds up what the real layers produce, stage by stage.

# %% tags=["nbval-check-output"]
stage, bytes_of = 1, dict.fromkeys(range(1, 6), 0)
for row in costs.rows:
    if row.kind in ("Conv2d", "MaxPool2d"):
        bytes_of[stage] += row.activation_bytes
    if row.kind == "MaxPool2d":
        stage += 1
image_bytes = sum(bytes_of.values())
fixed = 3 * 4 * costs.parameters  # weights, gradients, momentum
print(f"{fixed / 1e9:.2f} GB for weights, gradients and momentum, {image_bytes / 1e6:.1f} MB per image: "
      f"{int((3e9 - fixed) / image_bytes)} images fit into 3 GB")  # fmt: skip
assert bytes_of[1] > 0.45 * image_bytes, "stage 1 takes nearly half"
assert 64 * image_bytes > 2 * fixed, "a batch of 64 takes more than twice as much as all parameters"
edu.table([(stage, f"{count / 1e6:.1f}") for stage, count in bytes_of.items()], ["stage", "MB per image"])

# %% [markdown]
# ## Depth needs a good start
#
# "Bad initialisation can stall learning due to the instability of gradient in deep nets", says the paper in section
# 3.1. So the authors trained the 11-layer net first, then started the deeper ones from its first four convolutions and
# its linear layers. (Later they found that Glorot and Bengio's rule of 2010 makes this detour unnecessary.) To see
# what they were up against, the next cells send one random image through the 16 convolutions of VGG-19 at full width,
# with four rules for the variance of the initial weights. Here $n$ is how many inputs each output adds up: 9 times the
# number of input channels.


# %%
def signal(depth: int, variance: float, *, times_inputs: bool) -> list[float]:
    """Standard deviation of the signal after each ReLU of a VGG at full width, for one rule of the initial weights."""
    torch.manual_seed(0)
    with torch.device("meta"):
        features = edu.models.build(f"vgg{depth}").features
    features.to_empty(device="cpu")
    for parameter in features.parameters():
        n = parameter[0].numel() if times_inputs else 1
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=(variance / n) ** 0.5)
        else:
            nn.init.zeros_(parameter)
    rows = edu.probe.forward_statistics(features, torch.randn(1, 3, 32, 32))
    return [row.std for row in rows if row.kind == "ReLU"]


# %%
rules = {"the paper's: 0.01": (0.01, False), "AlexNet's: 0.0001": (0.0001, False), "PyTorch's: 1 / 3n": (1 / 3, True),
         "He's: 2 / n": (2.0, True)}  # fmt: skip
signals = {name: signal(19, variance, times_inputs=by_n) for name, (variance, by_n) in rules.items()}
lines = {name: edu.probe.LayerSignals(signal=values, gradient=[], weight=[]) for name, values in signals.items()}
edu.plots.signals_by_layer(lines, quantities=("signal",), title="VGG-19 at the start: one rule keeps the signal")

# %%
shallow = {name: signal(11, variance, times_inputs=by_n) for name, (variance, by_n) in rules.items()}
assert signals["the paper's: 0.01"][-1] > 1e6, "explodes"
assert max(signals["AlexNet's: 0.0001"][-1], signals["PyTorch's: 1 / 3n"][-1]) < 1e-4, "vanish"
assert all(0.1 < value < 10 for value in signals["He's: 2 / n"]), "holds"
assert edu.facts.VGG_INIT_VARIANCE.value == 0.01
rows = [(name, f"{shallow[name][-1]:.0e}", f"{values[-1]:.0e}") for name, values in signals.items()]
edu.table(rows, ["variance", "after VGG-11's 8 convolutions", "after VGG-19's 16"])

# %% [markdown]
# The paper states a variance of 0.01, a standard deviation of 0.1, and with it the signal grows more than a
# millionfold. Many programs use AlexNet's *standard deviation* of 0.01 instead, and then the signal dies. With only 8
# convolutions, both go half as far from 1, in powers of ten. (Whether such a net could still be trained is another
# question.) He's rule (He et al. 2015) chooses the variance layer by layer so that a ReLU layer passes on as much as
# it receives; lesson 05 derives it. PyTorch's own layers use a sixth of that variance. (He's line sags at the end
# because the maps are only 2×2 there, so five of the nine positions in a window lie in the padding.)
#
# ## Batch norm
#
# A good start sets the size of the signal once. Then every step changes the weights, and the sizes drift. **Batch
# norm** (Ioffe and Szegedy 2015, five months after VGG) is more radical: it *measures* the signal in every forward
# pass and corrects it. It's a layer of its own, usually between a convolution and its ReLU. For each channel $c$, it
# computes the mean $\mu_c$ and variance $\sigma_c^2$ of all its numbers, in all images of the batch and at all pixels.
# Then
#
# $$\hat x = \frac{x - \mu_c}{\sqrt{\sigma_c^2 + \varepsilon}} \qquad\qquad y = \gamma_c\, \hat x + \beta_c$$
#
# The first step gives every channel mean 0 and variance 1, whatever the convolution did. ($\varepsilon = 10^{-5}$ only
# prevents a division by zero.) The second step gives the channel a scale $\gamma_c$ and a shift $\beta_c$ that are
# *learned*, like any weight, and start at 1 and 0. So the net can have any mean and variance it likes. But now it sets
# them directly, with two numbers per channel.

# %%
torch.manual_seed(0)
scales, shifts = torch.tensor([0.2, 1.0, 3.0, 0.5]), torch.tensor([4.0, -2.0, 1.0, 0.0])
x = torch.randn(64, 4, 8, 8) * scales[:, None, None] + shifts[:, None, None]  # (N, C, H, W)
mean, var = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), keepdim=True, correction=0)  # (1, C, 1, 1)
normalised = (x - mean) / (var + 1e-5).sqrt()
gamma, beta = torch.tensor([1.0, 0.5, 1.5, 1.0]), torch.tensor([0.0, 2.0, 0.0, -1.0])
y = gamma[:, None, None] * normalised + beta[:, None, None]
panels = {"before": x, "mean 0, variance 1": normalised, "times γ, plus β": y}
edu.plots.channel_values(panels, title="Batch norm: measure each channel, normalise it, then scale and shift it")

# %%
norm = nn.BatchNorm2d(4)
torch.testing.assert_close(norm(x), normalised, rtol=1e-4, atol=1e-4)  # in a new layer γ = 1 and β = 0
bias = torch.tensor([5.0, -3.0, 0.0, 100.0])[:, None, None]
torch.testing.assert_close(norm(x + bias), norm(x), rtol=1e-4, atol=1e-4)
print("a bias before batch norm has no effect: it is part of the mean, which is subtracted")

# %% [markdown]
# ### Train mode and eval mode
#
# There's a catch. The mean and variance come from the batch, so the output for one image depends on the *other* images
# in the batch. In training that's acceptable. But when you use the net, the same photo should get the same answer
# whatever else is in the batch. So batch norm keeps a second set of numbers, the **running mean** and the **running
# variance**. They are *buffers*: part of the layer's state and saved with it, but not parameters, since no gradient
# changes them. In train mode each batch moves them a tenth of the way (`momentum=0.1`, which has nothing to do with
# SGD's momentum) towards its own mean and variance:
#
# $$\mu_\text{running} \leftarrow 0.9\,\mu_\text{running} + 0.1\,\mu_c$$
#
# In eval mode, after `net.eval()`, the layer uses the running numbers and leaves them as they are.

# %%
torch.manual_seed(0)
norm, of_batch, running = nn.BatchNorm2d(1), [], []
for _ in range(60):
    batch = 2 + 3 * torch.randn(16, 1, 2, 2)  # mean 2, standard deviation 3
    norm(batch)
    of_batch.append(batch.mean().item())
    running.append(norm.running_mean.item())
means = {"mean of the batch": of_batch, "running mean": running}
edu.plots.lines(means, title="The running mean takes about 20 steps to get near the true mean", x="training step",
                y="mean of the channel", levels={"true mean": 2.0}, first=1)  # fmt: skip

# %%
photo, some, others = torch.randn(1, 1, 4, 4), torch.randn(7, 1, 4, 4), 5 + torch.randn(7, 1, 4, 4)
norm.train()
difference = (norm(torch.cat([photo, some]))[0] - norm(torch.cat([photo, others]))[0]).abs().max().item()
norm.eval()
same = (norm(torch.cat([photo, some]))[0] - norm(torch.cat([photo, others]))[0]).abs().max().item()
print(f"the same photo in two batches: its output differs by {difference:.2f} in train mode, {same} in eval mode")
assert difference > 0.5, "in train mode it depends on the rest of the batch"
assert same == 0, "in eval mode it does not"

# %% [markdown]
# This is where many batch-norm bugs come from: `net.eval()` forgotten before measuring, so that a result depends on
# the batch; `net.train()` forgotten afterwards; or too few training steps, so that the running numbers haven't caught
# up yet. (After 20 steps $0.9^{20} = 12$ % of the starting value is left, so `edu.fit` measures them again at the end
# of runs with fewer than 100 steps.) One more detail: the variance for normalising is a sum divided by $n$, the count
# of numbers in the channel. The running variance is an estimate for data to come, so its sum is divided by $n - 1$.
#
# ### Exercise 3.4 · Batch norm by hand
#
# **Difficulty** ●●●○○ · **15 minutes**
#
# Write batch norm for a batch of maps `x` of shape `(N, C, H, W)`. All other tensors have the shape `(C,)`. Return
# three tensors: the output, the new running mean and the new running variance. In train mode, normalise with the
# batch's own mean and variance (divide by n), and move the running statistics towards them by a fraction `momentum` of
# the way (here divide by n − 1 for the variance). In eval mode, normalise with the running statistics and return them
# unchanged. Don't change the tensors you're given, and don't call PyTorch's batch norm.
#
# <details><summary>Hint 1</summary>
#
# `x.mean(dim=(0, 2, 3))` has the shape `(C,)`: one mean per channel, over the batch and all pixels.
# `x.var(dim=(0, 2, 3), correction=0)` divides by n, `correction=1` by n − 1.
# </details>
# <details><summary>Hint 2</summary>
#
# To subtract a tensor `(C,)` from one of shape `(N, C, H, W)`, give it two more dimensions: `mean[:, None, None]`.
# </details>
# <details><summary>Hint 3</summary>
#
# The new running mean is `(1 - momentum) * running_mean + momentum * mean`. `eps` goes under the root, together with
# the variance.
# </details>


# %% tags=["exercise"]
def batch_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each channel of (N, C, H, W). Return the output and the new running statistics."""
    ### BEGIN SOLUTION
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0)  # (C,)
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * x.var(dim=(0, 2, 3), correction=1)
    normalised = (x - mean[:, None, None]) / (var[:, None, None] + eps).sqrt()
    return weight[:, None, None] * normalised + bias[:, None, None], running_mean, running_var
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_batch_norm(batch_norm)

# %% [markdown]
# Batch norm has relatives that average over something else: layer norm over one image, group norm over groups of
# channels of one image. In this course you'll only need `nn.BatchNorm2d`, after a convolution. Batch norm subtracts
# the mean, and any bias with it, so such a convolution usually has none.
#
# ## Small VGGs, with and without batch norm
#
# Now train some: small VGGs of 11 and 19 layers, with an eighth of the channels (a quarter in `full`), on digits. All
# of them start from He's weights, so batch norm is the only difference. A single learning rate could suit one side
# better, so each net gets three, from 0.003 to 0.03, and we compare each at the best of its three.
#
# > **Before you run it:** which of the four nets will depend most on the rate?


# %%
def small_vgg(name: str, width: int) -> nn.Module:
    """A narrow VGG for small grey images with He's initial weights; dropout is off."""
    torch.manual_seed(0)
    model = edu.models.build(name, stem="small", width=width, in_channels=1, num_classes=10, dropout=0.0)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return model


# %%
rates, errors = (0.003, 0.01, 0.03), {}
for suffix, norm in (("", "no batch norm"), ("_bn", "batch norm")):
    for depth in (11, 19):
        each = errors[f"{norm}, {depth} layers"] = []
        for rate in rates:
            net = small_vgg(f"vgg{depth}{suffix}", width)
            each.append(edu.fit(net, data, replace(config, lr=rate)).last.train_error)
edu.plots.lines(
    errors,
    title="With batch norm the depth and the rate matter less",
    x="highest learning rate",
    y="training error in the 3rd epoch (%)",
    ticks=[f"{rate:g}" for rate in rates],
    limits=(0, 100),
)

# %%
best = {name: min(each) for name, each in errors.items()}
for depth in (11, 19):
    assert best[f"batch norm, {depth} layers"] < best[f"no batch norm, {depth} layers"], "each at its best rate"
gap_without = best["no batch norm, 19 layers"] - best["no batch norm, 11 layers"]
gap_with = best["batch norm, 19 layers"] - best["batch norm, 11 layers"]
assert abs(gap_with) < gap_without, "the depth matters less"
deep, deep_norm = errors["no batch norm, 19 layers"], errors["batch norm, 19 layers"]
assert max(deep_norm) - min(deep_norm) < max(deep) - min(deep), "the rate matters less"
assert deep[-1] > deep_norm[-1] + 20, "at the highest rate by far"
print(f"11 to 19 layers, each at its best rate: {gap_without:+.1f} points without batch norm, {gap_with:+.1f} with it")
rows = [(name, *(f"{error:.1f} %" for error in each), f"{best[name]:.1f} %") for name, each in errors.items()]
edu.table(rows, ["training error", *(f"rate {rate:g}" for rate in rates), "at its best rate"])

# %% [markdown]
# At the best rates, batch norm is ahead at both depths after the same number of steps, and the eight extra layers cost
# it fewer points. At the highest rate, the 19-layer net without batch norm falls far behind, while the one with it
# still learns. One explanation is that a high rate makes the signal jump from step to step, and batch norm measures it
# again each time.
#
# We ran this small experiment (in `quick`, three passes over 2,000 digits) with five seeds, and each time batch norm
# was ahead at both depths, and by far at the highest rate with 19 layers. So here it makes training faster and less
# sensitive to the rate. With more steps or another rate, a net without it might still get there. Why it helps is still
# debated. Lesson 05 measures what it does to the gradients, and where it does harm.
#
# ## Is deeper better?
#
# In the paper, yes, up to a point. Table 3 gives the errors on ImageNet at a single scale:

# %% tags=["nbval-check-output"]
top1, top5 = edu.facts.VGG_TOP1, edu.facts.VGG_TOP5
assert top1["vgg11"].value > top1["vgg13"].value > top1["vgg16"].value, "deeper is better"
assert top1["vgg19"].value > top1["vgg16"].value, "and then it isn't"
rows = [(name, f"{top1[name].value:.1f} %", f"{top5[name].value:.1f} %") for name in top1]
edu.table(rows, ["net", "top-1 error", "top-5 error"])

# %% [markdown]
# From 11 to 16 layers the error falls. With 19 it's no lower here, and the authors write that it saturates. (With
# training images of varying scale, 19 layers are 0.1 points ahead of 16.) They guess that deeper nets might pay off
# with more data. Depth turned out to need something else, so keep that last row of the table in mind until lesson 06.
#
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "VGG-16 has 148 million parameters." | Count, and table 2 of the paper | **Wrong.** 138,357,544; the paper rounds to 138 million. Not even VGG-19 has 148. |
# | "VGG is so large because it is so deep." | Parameters by layer, and by depth | **Wrong.** Three linear layers hold nine tenths; 8 more convolutions add 8 %. |
# | "VGG is slow because it has so many parameters." | Multiply-adds by layer | **Mostly wrong.** The layers with nine tenths of the parameters do less than 1 % of the work. (Reading half a gigabyte of weights takes time too.) |
# | "Two 3×3 convolutions are the same as one 5×5." | Gradients, the composed kernel, a sum of two images | **Half right.** They see the same pixels. Without a ReLU they make *some* of the 5×5 kernels; with one they aren't a convolution. |
# | "VGG won ILSVRC 2014." | Published top-5 errors of the classification task | **Half right.** Second in classification, behind GoogLeNet; first in localisation. |

# %%
count = edu.facts.PARAMETERS["vgg16"].value
assert costs.parameters == count == 138_357_544
assert edu.facts.PARAMETERS["vgg19"].value < 148e6
assert round(count / 1e6) == edu.facts.VGG_MILLION_PARAMETERS["vgg16"].value
assert sum(row.parameters for row in linear) > 0.89 * count
assert edu.facts.PARAMETERS["vgg19"].value / edu.facts.PARAMETERS["vgg11"].value < 1.09
assert sum(row.macs for row in linear) < 0.01 * costs.macs
entries = edu.facts.ILSVRC_TOP5
print(f"VGG-16: {count:,} parameters, {4 * count / 1e9:.2f} GB of weights")
print(f"ILSVRC 2014: GoogLeNet {entries['2014 GoogLeNet']}, VGG {entries['2014 VGG']}")
assert entries["2014 GoogLeNet"].value < entries["2014 VGG"].value

# %% [markdown]
# ## Summary
#
# * The **receptive field** grows by (k − 1) · jump per layer, and each stride multiplies the jump. Two 3×3 see 5×5,
#   three see 7×7, VGG-16's convolutions and poolings see 212 pixels.
# * Three 3×3 have 27C² weights, one 7×7 has 49C². The stack has ReLUs in between, and looks hardest at the middle.
# * **VGG** is a list of five numbers. Each time height and width are halved, the channels double, so from stage
#   1 to 4 the later convolutions of each stage cost the same.
# * Parameters sit in the linear layers, activations in the first stages, multiply-adds in the convolutions. Global
#   average pooling saves nine tenths of the parameters.
# * **Batch norm** gives each channel mean 0 and variance 1 over the batch, then a learned scale and shift. In eval mode
#   it uses running statistics, so that the output for an image depends on that image alone.
# * With the wrong initial weights the signal explodes or dies on its way through 16 convolutions; He's rule keeps its
#   size. With batch norm the depth and the learning rate matter less. Beyond 16 layers the paper gained next to
#   nothing from depth.
#
# ## Sources
#
# * K. Simonyan, A. Zisserman: Very deep convolutional networks for large-scale image recognition, 2014, sections 2, 3.1
#   and 4.1, tables 1 to 3, [arXiv 1409.1556](https://arxiv.org/abs/1409.1556)
# * S. Ioffe, C. Szegedy: Batch normalization, 2015, [arXiv 1502.03167](https://arxiv.org/abs/1502.03167)
# * A. Araujo, W. Norris, J. Sim: Computing receptive fields of convolutional neural networks, 2019,
#   [Distill](https://distill.pub/2019/computing-receptive-fields)
# * W. Luo, Y. Li, R. Urtasun, R. Zemel: Understanding the effective receptive field in deep convolutional neural
#   networks, 2016, [arXiv 1701.04128](https://arxiv.org/abs/1701.04128)
# * M. Lin, Q. Chen, S. Yan: Network in network, 2013, [arXiv 1312.4400](https://arxiv.org/abs/1312.4400)
# * X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural networks, 2010, [PMLR
#   9](https://proceedings.mlr.press/v9/glorot10a.html)
# * K. He, X. Zhang, S. Ren, J. Sun: Delving deep into rectifiers, 2015, [arXiv
#   1502.01852](https://arxiv.org/abs/1502.01852)
# * The four nets with weights: [torchvision](https://docs.pytorch.org/vision/stable/models/vgg.html). The photo: the
#   cat of [scikit-image](https://scikit-image.org/docs/stable/api/skimage.data.html).
#
# ## Next lesson
#
# 04 · GoogLeNet: the same year, more layers than VGG, and a twentieth of its parameters.
