# %% [markdown]
# # 03 · VGG: one small kernel, again and again
#
# AlexNet had kernels of 11×11, of 5×5 and of 3×3. Two years later Karen Simonyan and Andrew Zisserman
# asked a cleaner question: what does *depth* do, and nothing else? They fixed every other choice. Each convolution is
# 3×3, each pooling halves the side, and only the number of layers changes: 11, 13, 16, 19.
#
# After this lesson you can
#
# * compute how many pixels a number deep in a network depends on, and check it with a gradient;
# * say what a stack of 3×3 kernels saves against one large kernel, and in what the two differ;
# * write the VGG block, and all four networks of the paper from one list;
# * tell where parameters, memory and multiply-adds of a network go, and save nine tenths of the parameters with another head;
# * show that a deep network needs a good start, and what batch norm changes about that.
#
# **Minutes:** 35 reading, 30 more for the exercises · 1 running quick · 3 running full

# %% tags=["setup"]
import torch
import torchvision
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torchvision.io import ImageReadMode, decode_image

import resnet_edu as edu

profile = edu.profile()
size, width = profile.choose(quick=(16, 8), full=(32, 16))
data = edu.data.load("mnist5k", size=size, limit=profile.choose(quick=2000, full=None))
config = edu.TrainConfig(epochs=5, batch_size=64, lr=0.01, augment=())
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## Sixteen layers, one rule
#
# Here is the net that is called VGG-16, after the Visual Geometry Group in Oxford. It is drawn from the model itself. The
# 138 million parameters would fill half a gigabyte, so it is built on PyTorch's device `meta`, where a tensor has a shape and no numbers.

# %%
with torch.device("meta"):
    vgg16 = edu.models.build("vgg16")
edu.plots.architecture(vgg16, (3, 224, 224), title="VGG-16: 3×3 convolutions, poolings, three linear layers")

# %% [markdown]
# Read it from left to right. A *stage* is two or three convolutions that keep the side, followed by a 2×2 max pooling that halves it. Where the side is
# halved, the channels are doubled, up to 512. After five stages 224 pixels have become 7, and three linear layers follow. That is the whole rule. (A pooling
# is drawn beside the maps that it puts out, so it opens the next group. The second `pool` at 7×7 is an average pooling
# to 7×7. At this image size it does nothing. It lets other sizes through.)
#
# ## What two small kernels see together
#
# A single 3×3 kernel sees 9 pixels, AlexNet's first kernel 121. How can small kernels be enough? Put a second 3×3 convolution behind the
# first. Each of its nine inputs has seen 3×3 pixels, and each of these windows lies one pixel further than the one
# before. Do not trust a formula, measure: send an image through the stack, take
# **one** number of the output, and ask autograd which pixels can change it. That set of pixels is its **receptive field**.


# %%
def gradient_of_one(kernels: list[int], *, side: int = 11, nets: int = 200) -> Tensor:
    """Mean size of the gradient of the middle output at each pixel (side, side), over nets with random weights."""
    total = torch.zeros(side, side)
    for _ in range(nets):
        net = nn.Sequential(*[nn.Conv2d(1, 1, kernel, padding=kernel // 2) for kernel in kernels])
        image = torch.rand(1, 1, side, side, requires_grad=True)
        net(image)[0, 0, side // 2, side // 2].backward()
        total += image.grad[0, 0].abs()
    return total / nets


stacks = {"one 5×5": [5], "two 3×3": [3, 3], "one 7×7": [7], "three 3×3": [3, 3, 3]}
maps = {name: gradient_of_one(kernels) for name, kernels in stacks.items()}
edu.plots.seen_pixels(maps, title="The same window, but not every pixel counts the same")

# %%
seen = {name: map_ > 0 for name, map_ in maps.items()}
assert torch.equal(seen["two 3×3"], seen["one 5×5"]), "two 3×3 reach the pixels that one 5×5 reaches"
assert torch.equal(seen["three 3×3"], seen["one 7×7"]), "three 3×3 reach those of one 7×7"
for name, map_ in maps.items():
    middle, corner = map_[5, 5].item(), map_[seen[name]][0].item()
    print(
        f"{name:>9}: {seen[name].sum():2} pixels; the middle one counts {middle / corner:5.1f} times as much as the corner"
    )
assert maps["three 3×3"][5, 5] > 3 * maps["three 3×3"][2, 2], "one path leads from the corner, 49 from the middle"

# %% [markdown]
# The frames agree to the pixel: two 3×3 see 5×5, and three see 7×7. The shades do not agree. In a single large kernel each pixel has a weight of its own,
# and on average none counts more than another. In a stack, a pixel counts through every path that leads from it to the output. Through three 3×3 one path leads
# from a corner, and 7 · 7 = 49 lead from the middle. (The middle does not count 49 times as much: paths with random
# weights differ in sign and partly cancel.) So
# such a net looks hardest at the middle of its window, and what counts in practice is smaller than the window (Luo et
# al. 2016). Keep the two apart: the *receptive field* is what can be seen at all.
#
# ## What it saves
#
# With $C$ channels in and out, and without biases, a k×k convolution has $k^2 C^2$ weights. Count them on real layers:

# %% tags=["nbval-check-output"]
for channels in (64, 256):
    counts = {}
    for name, kernels in stacks.items():
        net = nn.Sequential(*[nn.Conv2d(channels, channels, k, padding=k // 2, bias=False) for k in kernels])
        counts[name] = edu.probe.summary(net, (channels, 56, 56))
        weights, gmacs = counts[name].parameters, counts[name].macs / 1e9
        print(
            f"C = {channels:3}  {name:>9}: {weights // channels**2} C² = {weights:9,} weights, {gmacs:5.2f} billion multiply-adds"
        )
    assert counts["two 3×3"].parameters == 18 * channels**2 < counts["one 5×5"].parameters == 25 * channels**2
    assert counts["three 3×3"].parameters == 27 * channels**2 < counts["one 7×7"].parameters == 49 * channels**2
    assert counts["three 3×3"].macs / counts["one 7×7"].macs == 27 / 49, (
        "multiply-adds are saved in the same proportion"
    )
print(f"one 7×7 takes {100 * (49 / 27 - 1):.0f} % more weights than three 3×3")

# %% [markdown]
# ### Are they the same thing, then?
#
# Nearly, if nothing stands between them. Without padding, two 3×3 convolutions in a row *are* a 5×5 convolution. The
# next cell computes its kernel: each of its 25 weights
# is a sum over all paths through the two layers, and this sum is again a convolution, of the first kernel with the
# second one flipped. But with 18 numbers for each pair of
# channels instead of 25, they cannot be *every* 5×5 convolution. With a ReLU between them, the stack is no convolution
# at all: its answer to the sum of two images is not the sum of its answers.

# %%
first, second = (nn.Conv2d(8, 8, 3, bias=False) for _ in range(2))
with torch.inference_mode():
    kernel = F.conv2d(first.weight.transpose(0, 1), second.weight.flip(2, 3), padding=2).transpose(0, 1)  # (8, 8, 5, 5)
    a, b = torch.randn(2, 4, 8, 12, 12)
    torch.testing.assert_close(second(first(a)), F.conv2d(a, kernel), rtol=1e-4, atol=1e-5)
    stack = nn.Sequential(first, nn.ReLU(), second)
    linear_error = (second(first(a + b)) - second(first(a)) - second(first(b))).abs().max()
    with_relu = (stack(a + b) - stack(a) - stack(b)).abs().max()
print(f"two 3×3 as one kernel of {tuple(kernel.shape)}: equal. answer to a sum minus sum of the answers:")
print(f"    without ReLU {linear_error:.0e}    with ReLU between {with_relu:.2f}")
assert linear_error < 1e-5 < 0.1 < with_relu

# %% [markdown]
# The paper names these two gains: fewer weights, and more ReLUs. It also made the comparison in earnest. A net made
# from the 13-layer one, with a single 5×5 in place of each
# pair of 3×3 convolutions, had a higher top-1 error (section 4.1), by as much as the next cell says.

# %%
print(f"five 5×5 in place of ten 3×3 convolutions: top-1 error {edu.facts.VGG_5X5} ({edu.facts.VGG_5X5.source})")

# %% [markdown]
# ## Any stack: size, jump
#
# With strides and poolings one more quantity is needed. The **jump** is how many pixels the windows of two neighbouring
# numbers are apart. At the image it is 1.
# A layer with stride 2 doubles it for all layers behind it. For each layer with kernel $k$ and stride $s$, in this order:
#
# $$\text{size} \leftarrow \text{size} + (k - 1) \cdot \text{jump} \qquad\qquad \text{jump} \leftarrow \text{jump} \cdot s$$
#
# ### Explore: the window grows
#
# On the left, follow one number at the top down to the pixels it needs. Before you move a control, guess: how many 3×3
# layers see as much as one 11×11? What does a
# pooling after each of them change? With kernels of 3×3, which two controls together reach the whole photo in five layers?
#
# <details><summary>Answers</summary>
#
# * Five: each adds 2 pixels, and 1 + 5 · 2 = 11.
# * It doubles the jump, so each further layer adds twice as much as the one before it.
# * A first stride of 4, and a pooling after every layer.
# </details>

# %% tags=["explorer"]
photo = decode_image(str(edu.data.photo("cat")), ImageReadMode.RGB)[:, 30:254, 90:314]  # (3, 224, 224)
edu.widgets.receptive_explorer(photo)

# %% [markdown]
# Where widgets do not run, here are six stacks. The last two have four 3×3 layers each. Without pooling and stride these would see 9 pixels.

# %%
edu.plots.receptive_growth_grid()

# %% [markdown]
# ### Exercise 3.1 · Receptive field
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Write `receptive_field(layers)`. `layers` is a list of pairs (kernel, stride), first layer first. Return how wide the window
# of a number behind the last layer is: pixels along one side, from the first that it depends on to the last. The check measures with gradients.
#
# <details><summary>Hint 1</summary>
#
# Begin with `size = 1` and `jump = 1`: a number of the image depends on itself, and its neighbour lies one pixel away.
# </details>
# <details><summary>Hint 2</summary>
#
# From the first of `kernel` neighbours to the last there are `kernel - 1` steps, each `jump` pixels long.
# </details>
# <details><summary>Hint 3</summary>
#
# A layer's stride sets the layers *behind* it apart. So widen the window first, then multiply the jump.
# </details>


# %% tags=["exercise"]
def receptive_field(layers: list[tuple[int, int]]) -> int:
    """Pixels along one side that a number behind the last layer depends on."""
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
# And VGG-16? Here is what a number at the end of each stage sees. The package's probe follows the same rule through any net:

# %% tags=["nbval-check-output"]
fields = {row.name: row for row in edu.probe.receptive_field(vgg16.features, (3, 224, 224))}
ends = [name for name, row in fields.items() if row.kind == "MaxPool2d"]
for stage, name in enumerate(ends, start=1):
    row = fields[name]
    print(
        f"stage {stage}: {row.side:3}×{row.side:<3} numbers, each sees {row.size:3} pixels, neighbours {row.jump:2} apart"
    )
assert [fields[name].size for name in ends] == [6, 16, 44, 100, 212]

# %% [markdown]
# Without a single large kernel, a number at the end sees 212 of the 224 pixels. Most of that growth comes from the poolings: behind four of them,
# one 3×3 kernel adds 2 · 16 = 32 pixels.
#
# ## Four nets from one list
#
# The paper's table 1 is a list of numbers: how many convolutions stand in each stage. The letters are the paper's
# columns. (Its column C has 1×1 convolutions in three places. Hardly
# anybody uses it.)

# %% tags=["nbval-check-output"]
nets = {}
for depth, stages in edu.models.vgg.CONFIGURATIONS.items():
    name = f"vgg{depth}"
    with torch.device("meta"):
        nets[name], theirs = edu.models.build(name), torchvision.models.get_model(name, weights=None)
    nets[name].load_state_dict(theirs.state_dict(), strict=True, assign=True)  # every name and shape must fit
    cost = edu.probe.summary(nets[name], (3, 224, 224))
    assert cost.parameters == edu.facts.PARAMETERS[name].value
    assert round(cost.parameters / 1e6) == edu.facts.VGG_MILLION_PARAMETERS[name].value, "table 2 of the paper"
    print(f"{stages}  VGG-{depth}: {cost.parameters:,} parameters, {cost.macs / 1e9:5.2f} billion multiply-adds")

# %% [markdown]
# The names and shapes of all four are torchvision's, so weights trained by others load with `strict=True`. Do they also
# compute the same? For that, numbers are needed. Fill
# torchvision's VGG-16 with random weights, let the course's net use the same memory (`assign=True`), and compare the
# logits. To spare memory the numbers are bfloat16, two bytes each.


# %%
with torch.device("meta"):
    theirs = torchvision.models.vgg16(weights=None).bfloat16()
theirs.to_empty(device="cpu").eval()
with torch.no_grad():
    for parameter in theirs.parameters():  # numbers whose size keeps the signal alive
        parameter.normal_(std=(2 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1)
nets["vgg16"].eval().load_state_dict(theirs.state_dict(), strict=True, assign=True)
with torch.inference_mode():
    image = torch.randn(1, 3, 224, 224, dtype=torch.bfloat16)
    difference = (nets["vgg16"](image) - theirs(image)).abs().max().item()
print(f"logits of VGG-16, ours and torchvision's: largest difference {difference}")
assert difference == 0
del theirs, parameter, nets["vgg16"]  # 0.3 gigabytes

# %% [markdown]
# ### Exercise 3.2 · The VGG block
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Write `vgg_block(in_channels, channels, convolutions)`: an `nn.Sequential` of `convolutions` 3×3 convolutions, each followed by a ReLU of its own, and a
# 2×2 max pooling at the end. The first convolution leads from `in_channels` to `channels`, the others keep them. The
# convolutions keep the side and have a bias. Leave `inplace` off.
#
# <details><summary>Hint 1</summary>
#
# Collect the layers in a list, in a loop over `range(convolutions)`, and hand the list over at the end: `nn.Sequential(*layers)`.
# </details>
# <details><summary>Hint 2</summary>
#
# After the first pass of the loop set `in_channels = channels`.
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
# Five such blocks in a row, with the numbers of the list, are the convolutional part of VGG.
#
# ## Where the cost sits
#
# A net costs three things: parameters to store, activations to keep while it trains, and multiply-adds to compute. They do not sit in the same place.

# %%
costs = edu.probe.summary(vgg16, (3, 224, 224))
edu.plots.layer_costs(costs, title="Parameters sit at the end, activations at the start, work in between")

# %%
layers = edu.plots.named_layers(costs)
linear = [row for row in layers.values() if row.kind == "Linear"]
print(f"fc6 alone: {layers['fc6'].parameters:,} parameters = 7 · 7 · 512 · 4,096 + 4,096")
print(f"linear layers: {sum(row.parameters for row in linear):,} of {costs.parameters:,} parameters, "
      f"{sum(row.macs for row in linear) / 1e6:.0f} of {costs.macs / 1e6:,.0f} million multiply-adds")  # fmt: skip
assert layers["fc6"].parameters == 7 * 7 * 512 * 4096 + 4096 > 0.7 * costs.parameters
assert sum(row.macs for row in linear) < 0.01 * costs.macs
assert layers["conv1_2"].macs == layers["conv2_2"].macs == layers["conv3_2"].macs == layers["conv4_2"].macs

# %% [markdown]
# Three readings, one for each panel.
#
# * **Parameters.** One layer, fc6, holds three quarters of them, because it gives each of the 7 · 7 · 512 numbers 4,096 weights of its own.
#   The 13 convolutions together hold a tenth.
# * **Activations.** The first two layers put out 64 maps at full side. Halving the side leaves a quarter of a map, and
#   there are twice as many maps, so a layer puts out
#   half as much as one of the stage before. (In stage 5 it is a quarter, since the channels stay at 512.)
# * **Multiply-adds.** Halving the side and doubling the channels leaves the work of a convolution as it was: a quarter
#   of the places, four times the weights. That
#   is what the rule is good for. Only the first layer of each stage, with fewer channels coming in, and stage 5 are cheaper.
#
# ### What training keeps
#
# To compute gradients, each layer needs its input again on the way back, so PyTorch keeps it. You can watch it do so: a hook sees every tensor that is kept.


# %%
def kept_bytes(net: nn.Module, images: Tensor) -> int:
    """Bytes that PyTorch keeps for the backward pass, without the parameters; shared memory counts once."""
    parameters = {parameter.data_ptr() for parameter in net.parameters()}
    kept = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in parameters:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        net(images)
    return sum(kept.values())


images = torch.randn(2, 3, 64, 64)
small = edu.models.build("vgg11", width=8).features
print(f"VGG-11 with an eighth of the channels, two images of 64×64: {kept_bytes(small, images):,} bytes are kept")

# %%
rows = edu.probe.summary(small, images.shape).rows
convs = sum(row.activation_bytes for row in rows if row.kind == "Conv2d")
pools = [row.activation_bytes for row in rows if row.kind == "MaxPool2d"]
image_bytes = images.numel() * images.element_size()
places = 2 * sum(pools)  # for each pooled number, 8 bytes that say which of the four was the largest
print(f"convolutions {convs:,} + poolings but the last {sum(pools[:-1]):,} + image {image_bytes:,} + places {places:,}")
assert kept_bytes(small, images) == convs + sum(pools[:-1]) + image_bytes + places

# %% [markdown]
# The books balance to the byte. Behind a convolution and its ReLU *one* map is kept, the one that has passed the ReLU.
# Behind a pooling it is the pooled map, as the
# next layer's input, and the place of each maximum. Now write the main part of that sum yourself.
#
# ### Exercise 3.3 · Memory of activations
#
# **Difficulty** ●●○○○ · **10 minutes**
#
# Write `activation_bytes(stages, side, batch_size)`. `stages` is a list of pairs (convolutions, channels), for VGG-16
# `[(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]`.
# Count one map for each convolution (with its ReLU) and one for each pooling, in float32. Leave out the image, the
# places of the maxima and the linear layers. `side` need not be even.
#
# <details><summary>Hint 1</summary>
#
# A map of `channels` channels has `channels * side * side` numbers of four bytes, for each image of the batch.
# </details>
# <details><summary>Hint 2</summary>
#
# In each stage: add the maps of its convolutions, halve the side with `//`, add the pooled map.
# </details>


# %% tags=["exercise"]
def activation_bytes(stages: list[tuple[int, int]], side: int, batch_size: int = 1) -> int:
    """Bytes of the maps that the convolutions and poolings of a VGG put out."""
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

# %% tags=["nbval-check-output"]
an_image = sum(row.activation_bytes for row in costs.rows if row.kind in ("Conv2d", "MaxPool2d"))
weights = 4 * costs.parameters
print(f"VGG-16, parameters: {weights / 2**20:.0f} MiB; with gradients and momentum {3 * weights / 2**20:,.0f} MiB")
print(f"activations: {an_image / 2**20:.1f} MiB an image; with a batch of 64 {64 * an_image / 2**20:,.0f} MiB")
print(f"from {3 * weights // an_image + 1} images in a batch on, the activations take more than everything else")
assert 64 * an_image > 2 * 3 * weights, "what fills the memory in training is the batch, not the 138 million parameters"

# %% [markdown]
# ## Global average pooling
#
# Nine tenths of VGG-16's parameters sit in three layers that know each of the 49 places by weights of its own. **Global
# average pooling** (Lin et al. 2013) drops the places: take the mean
# of each of the 512 maps, and send these 512 numbers through one linear layer. GoogLeNet and ResNet, the next nets of this course, end in this way.
#
# ### Exercise 3.4 · A cheaper head
#
# **Difficulty** ●○○○○ · **5 minutes**
#
# Write `cheap_head(channels, num_classes)`: a module that maps `(N, channels, H, W)`, with any height and width, to
# logits `(N, num_classes)`. Mean of each map, then one linear layer.
#
# <details><summary>Hint 1</summary>
#
# `nn.AdaptiveAvgPool2d(1)` makes `(N, channels, 1, 1)` of any map.
# </details>
# <details><summary>Hint 2</summary>
#
# `nn.Flatten()` takes the two ones away before the linear layer.
# </details>


# %% tags=["exercise"]
def cheap_head(channels: int, num_classes: int) -> nn.Module:
    """Maps (N, channels, H, W) to logits (N, num_classes)."""
    ### BEGIN SOLUTION
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_cheap_head(cheap_head)

# %% tags=["nbval-check-output"]
before = costs.parameters
after = sum(p.numel() for p in vgg16.features.parameters()) + 512 * 1000 + 1000
print(f"VGG-16 with its head: {before:,} parameters; with the cheap one: {after:,}, {before / after:.1f} times fewer")
assert after < before / 9

# %% [markdown]
# What does it cost in accuracy? On ImageNet, GoogLeNet and ResNet have shown that one can do without. On our digits you
# will measure it in a moment, with the nets of the next section.
#
# ## Depth needs a start
#
# Bad initial weights "can stall learning due to the instability of gradient in deep nets", says the paper in section 3.1. So the authors trained the
# 11-layer net first, and put its first four convolutions and its linear layers into the deeper ones as a start. (After
# they had submitted the paper they found that Glorot and Bengio's
# rule of 2010 makes this detour unnecessary.) Let us see what they were up against. Take the 16 convolutions of VGG-19
# at full width and send one random image through, with four rules for the variance of the
# initial weights: the paper's, AlexNet's, PyTorch's own, and the one of He et al. (2015). $n$ is the number of inputs
# of a unit, 9 times the channels that come in.


# %%
def signal(depth: int, variance: float, *, times_inputs: bool) -> list[float]:
    """Spread of the signal behind each ReLU of a VGG at full width, for one rule of the initial weights."""
    torch.manual_seed(0)
    with torch.device("meta"):
        features = edu.models.build(f"vgg{depth}").features
    features.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in features.parameters():
            n = parameter[0].numel() if times_inputs else 1
            parameter.normal_(std=(variance / n) ** 0.5) if parameter.ndim > 1 else parameter.zero_()
    rows = edu.probe.forward_statistics(features, torch.randn(1, 3, 32, 32))
    return [row.std for row in rows if row.kind == "ReLU"]


vgg11 = signal(11, 1 / 3, times_inputs=True)
print(f"VGG-11, PyTorch's variance 1 / 3n: {vgg11[0]:.2f} behind the first ReLU, {vgg11[-1]:.4f} behind the last")

# %%
rules = {
    "the paper's: 0.01": (0.01, False),
    "AlexNet's: 0.0001": (0.0001, False),
    "PyTorch's: 1 / 3n": (1 / 3, True),
    "He's: 2 / n": (2.0, True),
}
signals = {name: signal(19, variance, times_inputs=by_n) for name, (variance, by_n) in rules.items()}
lines = {name: edu.probe.LayerSignals(signal=values, gradient=[], weight=[]) for name, values in signals.items()}
edu.plots.signals_by_layer(
    lines, quantities=("signal",), title="VGG-19 at the start: one rule of four keeps the signal"
)

# %%
shallow = {name: signal(11, variance, times_inputs=by_n) for name, (variance, by_n) in rules.items()}
for name, values in signals.items():
    print(f"{name:>18}: {shallow[name][-1]:7.0e} behind VGG-11's 8 convolutions, {values[-1]:7.0e} behind VGG-19's 16")
assert signals["the paper's: 0.01"][-1] > 1e6, "explodes"
assert max(signals["AlexNet's: 0.0001"][-1], signals["PyTorch's: 1 / 3n"][-1]) < 1e-4, "vanish"
assert all(0.1 < value < 10 for value in signals["He's: 2 / n"]), "holds"
assert edu.facts.VGG_INIT_VARIANCE.value == 0.01

# %% [markdown]
# The paper states a variance of 0.01, that is, a standard deviation of 0.1, and with it the signal grows more than a
# millionfold. Many texts and programs take a *standard deviation* of 0.01, which is AlexNet's,
# and then it dies. With 8 convolutions both go half as far, in powers of ten. That fits the authors' report that 11
# layers could be trained from random weights. He's rule chooses the variance for each layer
# such that a ReLU layer hands on as much as it gets. Lesson 05 derives it. PyTorch's own layers use a sixth of that
# variance. (He's line sags at the end, because stage 5 has maps of 2×2 here: of the
# nine places of a window, five lie in the padding.)
#
# ### So train some
#
# Small VGGs of 11 and 19 layers, with an eighth of the channels, on digits. Three starts: PyTorch's initial weights,
# He's, and PyTorch's with **batch norm** behind each convolution. Batch norm was
# published in 2015, after the paper. It sets the signal of each channel to mean 0 and variance 1 over the batch,
# whatever the weights of the convolution are. Then it multiplies the channel by a *weight* and adds a *bias* of its
# own; both are learned and begin at 1 and 0.
#
# > **Before you run it:** which of the six nets will learn?


# %%
def small_vgg(name: str, start: str, *, width: int, seed: int = 0) -> nn.Module:
    """A narrow VGG for small grey images, with PyTorch's initial weights or He's; dropout is off."""
    torch.manual_seed(seed)
    model = edu.models.build(name, stem="small", width=width, in_channels=1, num_classes=10, dropout=0.0)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.reset_parameters()
            if start == "He":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
    return model


for depth in (11, 19):
    count = sum(p.numel() for p in small_vgg(f"vgg{depth}", "PyTorch", width=width).parameters())
    print(f"small VGG-{depth}: {count:,} parameters")


# %%
def train(name: str, start: str, width: int, data: edu.data.Data, config: edu.TrainConfig) -> tuple[float, edu.History]:
    """Spread of an untrained net's logits over 64 images, and its training."""
    model = small_vgg(name, start, width=width)
    with torch.no_grad():
        spread = model(data.train.inputs(slice(64))).std(dim=0).mean().item()
    return spread, edu.fit(model, data, config)


spreads, runs = {}, {}
for start in ("PyTorch", "He"):
    for depth in (11, 19):
        title = f"{depth} layers, {start}"
        spreads[title], runs[title] = train(f"vgg{depth}", start, width, data, config)
        print(f"{title:>18}: logits of different images differ by {spreads[title]:.0e}, "
              f"training error {runs[title].last.train_error:.1f} %")  # fmt: skip

# %%
for depth in (11, 19):
    title = f"{depth} layers, PyTorch + batch norm"
    spreads[title], runs[title] = train(f"vgg{depth}_bn", "PyTorch", width, data, config)
edu.plots.errors_by_epoch(runs, title="Without a good start neither depth learns; batch norm repairs it")

# %%
final = {title: run.last.train_error for title, run in runs.items()}
for title, error in final.items():
    print(
        f"{title:>30}: logits differ by {spreads[title]:.0e}, training error {error:4.1f} %, validation error {runs[title].last.val_error:4.1f} %"
    )
for depth in (11, 19):
    plain, repaired = f"{depth} layers, PyTorch", f"{depth} layers, PyTorch + batch norm"
    assert spreads[plain] < spreads[repaired] / 100, "of the image, next to nothing reaches the last layer"
    assert final[plain] > 80, "never leaves guessing"
    assert final[repaired] < 15, "learns, at either depth"
assert final["11 layers, He"] < 40, "learns"
assert final["11 layers, He"] > final["11 layers, PyTorch + batch norm"] + 1, "behind its twin with batch norm"
assert final["19 layers, He"] > final["19 layers, PyTorch + batch norm"] + 5, (
    "at 19 layers He's rule alone falls behind"
)

# %% [markdown]
# With PyTorch's initial weights neither net leaves the 90 % of guessing: at the start, their logits hardly depend on
# the image. With He's rule both depths learn, but they do not keep up with their twins with batch norm. How far the
# 19-layer net falls behind depends on the seed: try `seed=1` and `seed=2` in `small_vgg`. With batch norm both depths
# learn, from weights of the very rule that had kept them at a standstill. Lesson 05
# looks for the reason, layer by layer.
#
# Now the cheap head. The small net's usual head has three linear layers, the cheap one has one.

# %%
cheap = small_vgg("vgg11_bn", "PyTorch", width=width)
head_before = sum(p.numel() for p in cheap.classifier.parameters())
cheap.classifier = nn.Linear(8 * width, 10)  # in the small variant the average pooling stands before it already
head_after = sum(p.numel() for p in cheap.classifier.parameters())
history = edu.fit(cheap, data, config)
usual = runs["11 layers, PyTorch + batch norm"].last
print(f"usual head {head_before:7,} parameters, validation error {usual.val_error:.1f} %")
print(f"cheap head {head_after:7,} parameters, validation error {history.last.val_error:.1f} %")
assert history.last.val_error < usual.val_error + 5, "next to nothing is lost"

# %% [markdown]
# ## Is deeper better?
#
# In the paper, up to a point. Table 3 gives the errors on ImageNet at a single scale:

# %% tags=["nbval-check-output"]
top1, top5 = edu.facts.VGG_TOP1, edu.facts.VGG_TOP5
for name in top1:
    print(f"{name}: top-1 error {top1[name]}, top-5 error {top5[name]}")
assert top1["vgg11"].value > top1["vgg13"].value > top1["vgg16"].value, "deeper is better"
assert top1["vgg19"].value > top1["vgg16"].value, "and then it is not"

# %% [markdown]
# From 11 to 16 layers the error falls. With 19 it is not lower here, and the authors write that it saturates (with
# training images of varying scale, 19 layers are ahead of 16 by 0.1 points). They guess that more
# data would call for more depth. It needed something else: keep that last line in mind until lesson 06.
#
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "VGG-16 has 148 million parameters." | Count, and table 2 of the paper | **Wrong.** 138,357,544; the paper rounds to 138 million. Not even VGG-19 has 148. |
# | "VGG is so large because it is so deep." | Parameters by layer, and by depth | **Wrong.** Three linear layers hold nine tenths; 8 more convolutions add 8 %. |
# | "VGG is slow because it has so many parameters." | Multiply-adds by layer | **Wrong.** The layers with nine tenths of the parameters do less than 1 % of the work. |
# | "Two 3×3 convolutions are the same as one 5×5." | Gradients, the composed kernel, a sum of two images | **Half right.** They see the same pixels. Without a ReLU they are *some* 5×5; with it they are none. |
# | "VGG won ILSVRC 2014." | Published top-5 errors of the classification task | **Half right.** Second in classification, behind GoogLeNet; first in localisation. |

# %%
count = edu.facts.PARAMETERS["vgg16"].value
assert costs.parameters == count == 138_357_544 < edu.facts.PARAMETERS["vgg19"].value < 148e6
assert round(count / 1e6) == edu.facts.VGG_MILLION_PARAMETERS["vgg16"].value == 138
assert sum(row.parameters for row in linear) > 0.89 * count
assert edu.facts.PARAMETERS["vgg19"].value / edu.facts.PARAMETERS["vgg11"].value < 1.09
assert sum(row.macs for row in linear) < 0.01 * costs.macs
assert linear_error < 1e-5 < with_relu
entries = edu.facts.ILSVRC_TOP5
print(f"VGG-16: {count:,} parameters.  ILSVRC 2014: GoogLeNet {entries['2014 GoogLeNet']}, VGG {entries['2014 VGG']}")
assert entries["2014 GoogLeNet"].value < entries["2014 VGG"].value

# %% [markdown]
# ## Summary
#
# * The **receptive field** grows by (k − 1) · jump a layer, and each stride multiplies the jump. Two 3×3 see 5×5, three
#   see 7×7, VGG-16's convolutions and poolings see 212 pixels.
# * Three 3×3 have 27C² weights, one 7×7 has 49C². The stack has ReLUs in between, and looks hardest at the middle.
# * **VGG** is a list of five numbers. Where the side is halved, the channels are doubled, so each convolution costs about the same.
# * Parameters sit in the linear layers, activations in the first stages, multiply-adds in the convolutions. Global
#   average pooling saves nine tenths of the parameters.
# * Deep nets need a good start. Batch norm makes the start matter less. Beyond 16 layers the paper gained next to nothing from depth.
#
# ## Sources
#
# * K. Simonyan, A. Zisserman: Very deep convolutional networks for large-scale image recognition, 2014, sections 2, 3.1 and 4.1, tables 1 to 3,
#   [arXiv 1409.1556](https://arxiv.org/abs/1409.1556)
# * A. Araujo, W. Norris, J. Sim: Computing receptive fields of convolutional neural networks, 2019,
#   [Distill](https://distill.pub/2019/computing-receptive-fields)
# * W. Luo, Y. Li, R. Urtasun, R. Zemel: Understanding the effective receptive field in deep convolutional neural networks, 2016,
#   [arXiv 1701.04128](https://arxiv.org/abs/1701.04128)
# * M. Lin, Q. Chen, S. Yan: Network in network, 2013, [arXiv 1312.4400](https://arxiv.org/abs/1312.4400)
# * X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural networks, 2010, [PMLR
#   9](https://proceedings.mlr.press/v9/glorot10a.html)
# * K. He, X. Zhang, S. Ren, J. Sun: Delving deep into rectifiers, 2015, [arXiv 1502.01852](https://arxiv.org/abs/1502.01852)
# * S. Ioffe, C. Szegedy: Batch normalization, 2015, [arXiv 1502.03167](https://arxiv.org/abs/1502.03167)
# * The four nets with weights: [torchvision](https://docs.pytorch.org/vision/stable/models/vgg.html). The photo: the cat of
#   [scikit-image](https://scikit-image.org/docs/stable/api/skimage.data.html).
#
# ## Next lesson
#
# 04 · GoogLeNet: the same year, more layers than VGG, and a twentieth of its parameters.
