# %% [markdown]
# # 07 · Residual blocks: H(x) = F(x) + x
#
# In lesson 06, one addition per block repaired a net of 56 layers. This lesson takes that addition apart: what it does
# to the signal and its gradient, how you build it where shapes differ, how many paths it opens, and what a trained net
# loses without one of its blocks.
#
# After this lesson you can
#
# * start a deep net as a shallow one, and say why it learns from there;
# * write the bottleneck with its projection, and the shortcut without parameters;
# * read a residual net as a collection of paths, count them, and test that reading by removing blocks;
# * measure how much of the sum each block adds, and tell the sum from the gates of a GRU and a highway net.
#
# **Minutes:** 30 reading, 50 more for the exercises · 1 running quick · 5 running full

# %% tags=["setup"]
from collections.abc import Callable
from functools import partial
from math import comb
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import resnet_edu as edu
from resnet_edu.models import BasicBlock, Bottleneck, PadShortcut, PlainBlock, PreActBlock, ResidualBlock, ResNet

profile = edu.profile()
size, width = profile.choose(quick=(16, 8), full=(32, 16))
data = edu.data.load("mnist5k", size=size, limit=profile.choose(quick=2000, full=None))
config = edu.TrainConfig(epochs=6, batch_size=64, lr=0.1, augment=())
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## The idea
#
# Suppose two layers should compute $H(x)$. A plain block learns $H$ as a whole. A residual block learns only what is missing
# from $x$, the *residual* $F(x) = H(x) - x$, and adds $x$ at the end. A last ReLU follows:
#
# $$F(x) = W_2\,\mathrm{ReLU}(W_1 x) \qquad H(x) = F(x) + x \qquad \text{out} = \mathrm{ReLU}(H(x))$$
#
# Both can express much the same functions, but they start from different places: with small weights the plain block
# outputs almost nothing, while the residual block outputs almost $x$. Shrink the weights step by step and watch.


# %%
def branch(x: Tensor, w1: Tensor, w2: Tensor) -> Tensor:
    """F(x) = W2 · ReLU(W1 · x) for one vector."""
    return w2 @ torch.relu(w1 @ x)


x, rows = torch.tensor([1.0, 2.0, 0.5, 3.0]), []
for scale in (1.0, 0.1, 0.0):
    w1, w2 = scale * torch.eye(4).roll(1, dims=0), scale * torch.eye(4).roll(2, dims=0)  # they only move the numbers
    plain, residual = torch.relu(branch(x, w1, w2)), torch.relu(branch(x, w1, w2) + x)
    rows.append([scale, *(", ".join(f"{v:.2f}" for v in out) for out in (plain, residual))])
assert torch.equal(residual, torch.relu(x)), "with a branch of zeros the block returns ReLU(x)"
edu.table(rows, ["weights times", "plain: ReLU(F(x))", "residual: ReLU(F(x) + x)"])

# %% [markdown]
# The last row is the point. When its branch is zero, the residual block returns ReLU(x). Inside a net, x comes out of
# a ReLU and isn't negative, so this is x itself, to the last bit. A net of such blocks can be as shallow as it needs
# to be.
#
# The same holds for the package's own block. Its branch ends in a batch norm, which multiplies each channel by a
# *weight* and adds a *bias*. They start at 1 and 0, so to switch the branch off, set that weight to zero.

# %%
block = BasicBlock(16, 16)
nn.init.zeros_(block.bn2.weight)
images = torch.randn(8, 16, 6, 6)  # with negative numbers too
difference = (block(images) - images.relu()).abs().max().item()
assert difference == 0, "a zeroed branch leaves ReLU(x), exactly"
print(f"{type(block).__name__} with a zeroed branch: largest difference to ReLU(x) is {difference}")

# %% [markdown]
# Goyal et al. (2017, section 5.1) start every ResNet like this. The deep net begins as a shallow one and grows its branches
# as it learns. In torchvision, the option is called `zero_init_residual=True`.
#
# ### Exercise 7.1 · Start as the identity
#
# **Difficulty** ●●○○○ · **6 minutes**
#
# `model` is a ResNet of the package. Its blocks belong to the class `BasicBlock`, whose branch ends in the batch norm `bn2`,
# or to the class `Bottleneck`, whose branch ends in `bn3`. Set the weight of that last batch norm to zero in every block,
# leave everything else as it is, and return the model.
#
# <details><summary>Hint 1</summary>
#
# `for block in model.modules()` goes through all modules, however deep inside. `isinstance(block, BasicBlock)` tells
# you whether a module is a `BasicBlock`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Some blocks have one more batch norm, on their shortcut: `block.downsample[1]`. Don't touch that one: it carries x.
#
# </details>


# %% tags=["exercise"]
def start_as_identity(model: nn.Module) -> nn.Module:
    """Switch off the branch of every residual block."""
    ### BEGIN SOLUTION
    for block in model.modules():
        if isinstance(block, BasicBlock):
            nn.init.zeros_(block.bn2.weight)
        elif isinstance(block, Bottleneck):
            nn.init.zeros_(block.bn3.weight)
    return model
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_identity_start(start_as_identity)

# %% [markdown]
# > **Before you run the next cell:** a branch that is multiplied by zero passes no gradient to its convolutions. So can the
# > net ever learn to use them?

# %%
torch.manual_seed(0)
gentle = ResNet(BasicBlock, (2, 2, 2, 2), width=width, num_classes=10, in_channels=1, stem="small")
for block in edu.probe.removable_blocks(gentle).values():
    nn.init.zeros_(block.bn2.weight)
batch, labels = data.train.inputs(slice(64)), data.train.labels[:64]
optimizer, first, rows = torch.optim.SGD(gentle.parameters(), lr=0.1), gentle.get_submodule("layer1.0"), []
for step in (1, 2):
    optimizer.zero_grad()
    F.cross_entropy(gentle.train()(batch), labels).backward()
    norms = {name: first.get_parameter(f"{name}.weight").grad.norm().item() for name in ("conv1", "conv2", "bn2")}
    rows.append({"step": step} | {f"gradient of {name}": norm for name, norm in norms.items()})
    optimizer.step()
assert rows[0]["gradient of conv1"] == 0 < rows[0]["gradient of bn2"], "only the batch norm's weight learns at first"
assert rows[1]["gradient of conv1"] > 0, "and one step later the convolutions learn too"
edu.table(rows)

# %% [markdown]
# It can. The weight of the last batch norm does get a gradient, so after one step the convolutions learn too. That's
# why you zero only the *last* layer of a branch. If you zeroed all its batch norms, the last one would see nothing but
# zeros, its weight would get no gradient either, and the branch would never do anything with x.
#
# ## What the addition does to the gradient
#
# Differentiate the sum: $\partial (F(x) + x) / \partial x = \partial F / \partial x + I$. Whatever the branch does,
# the identity matrix $I$ is in there. Here are both matrices for a random branch of five numbers (row i, column j says
# how output i responds to input j):

# %%
torch.manual_seed(0)
w1, w2 = 0.3 * torch.randn(2, 5, 5, dtype=torch.float64)
point = torch.rand(5, dtype=torch.float64)
of_branch = torch.func.jacrev(partial(branch, w1=w1, w2=w2))(point)
of_sum = torch.func.jacrev(lambda x, w1, w2: branch(x, w1, w2) + x)(point, w1, w2)
torch.testing.assert_close(of_sum - of_branch, torch.eye(5, dtype=torch.float64))
print("∂F/∂x =", of_branch.numpy().round(2), "∂(F + x)/∂x =", of_sum.numpy().round(2), sep="\n")

# %% [markdown]
# One block doesn't show whether this helps. So the explorer sends random numbers through 20 untrained blocks, forward
# and back. Each is $F$ with two 64×64 matrices and He's initial values. The *gain* is a factor in front of $F(x)$; in
# a real block, it's the weight of the last batch norm.
#
# ### Explore: the addition on and off
#
# Start with gain 0.5 and switch between plain and residual. Then set the gain to 0. Then make the residual signal
# explode, and see what batch norm does about it.

# %% tags=["explorer"]
explorer = edu.widgets.residual_explorer()
explorer

# %% [markdown]
# If widgets don't run for you, here are three settings. *rms* is the root of the mean square. Values beyond the border
# of a panel are drawn on it, and a cross marks where nothing at all is left.

# %%
explorer.twin({
    "plain: each block shrinks the gradient": {"residual": False, "gain": 0.5},
    "residual and switched off: everything passes": {"gain": 0.0},
    "residual at gain 1: the signal explodes": {},
})  # fmt: skip

# %%
flows = {
    (kind, gain, norm): edu.probe.residual_flow(20, residual=kind == "residual", gain=gain, batch_norm=norm)
    for kind, gain, norm in (("plain", 0.5, False), ("residual", 0.0, True), ("residual", 1.0, False),
                             ("residual", 0.2, False), ("residual", 1.0, True), ("plain", 1.0, True))
}  # fmt: skip
rows = [[*key, flow.signal[-1] / flow.signal[0], flow.gradient[0]] for key, flow in flows.items()]
assert flows["plain", 0.5, False].gradient[0] < 1e-4, "a branch that shrinks the gradient, 20 times over"
assert len(set(flows["residual", 0.0, True].signal)) == 1, "residual and switched off: the signal passes unchanged"
assert flows["residual", 1.0, False].signal[-1] > 1e3 * flows["residual", 1.0, False].signal[0], "the bare sum explodes"
assert flows["residual", 0.2, False].signal[-1] < 3 * flows["residual", 0.2, False].signal[0], "small branches do not"
assert flows["residual", 1.0, True].signal[-1] < 10 * flows["residual", 1.0, True].signal[0], "nor do normalised ones"
assert flows["residual", 1.0, True].gradient[0] < flows["plain", 1.0, True].gradient[0] / 5
edu.table(rows, ["block", "gain", "batch norm", "signal, times", "gradient, times"])

# %% [markdown]
# Without the addition, each block multiplies what passes through, so any gain but the right one lets it vanish or
# explode with depth. With the addition, a block that is switched off lets everything pass. (Its gradient is 0.7 and
# not 1: the last ReLU stops it wherever its output is 0, in about half of the places, and $\sqrt{1/2} \approx 0.7$.
# The other blocks have their zeros in the same places.)
#
# But the addition alone isn't enough. With gain 1, what a block adds has twice the mean square of what came in (He's
# weights double it at both matrices, and the ReLU between them takes half: 2 · ½ · 2 = 2). So the sum explodes. Two
# things tame it: **small branches, or normalisation.** ResNet normalises. Nets without batch norm keep the branches
# small instead, by zeroing their last layer (Fixup, Zhang et al. 2019) or with a learned gain that starts at zero
# (SkipInit, De and Smith 2020). Lesson 05 trained a net of the first kind.
#
# ## The blocks
#
# Here are the blocks of this lesson. A label such as `3×3, 64` is a convolution with its number of filters, and `/2`
# is its stride.

# %%
blocks = {
    "plain block": PlainBlock(64, 64),
    "identity block": BasicBlock(64, 64),
    "projection block": BasicBlock(64, 128, stride=2),
    "bottleneck": Bottleneck(256, 64),
    "pre-activation": PreActBlock(64, 64),
}
edu.plots.block_diagrams(blocks, title="One addition, and four ways to fill the branch")

# %% [markdown]
# In the blocks of 2015 the ReLU comes *after* the addition. If it came before, the branch could only add and never
# take away. The **identity block** keeps the shape, so $x$ can be added as it is. At the beginning of a stage the side
# is halved and the filters are doubled, so the **projection block** sends $x$ through a 1×1 convolution with stride 2
# and a batch norm. Many texts call it the *convolutional block*.
#
# The **bottleneck** is the block of ResNet-50 and deeper. Two 3×3 convolutions on 256 channels are expensive, so it
# mixes them down to 64 with a 1×1 convolution, looks at the neighbourhood there, and mixes up to 256 again. Count what
# that saves on a map of 56×56, and what a projection would add:

# %% tags=["nbval-check-output"]
neck = Bottleneck(256, 64)
candidates = {
    "basic, 256 channels": BasicBlock(256, 256),
    "basic, 64 channels": BasicBlock(64, 64),
    "bottleneck, 256 channels": neck,
    "bottleneck and a projection": nn.Sequential(neck, nn.Conv2d(256, 256, 1, bias=False), nn.BatchNorm2d(256)),
}  # the last one is for counting only
costs = {name: edu.probe.summary(net, (64 if "64" in name else 256, 56, 56)) for name, net in candidates.items()}
basic, thin, slim, projected = (cost.macs for cost in costs.values())
assert basic > 15 * slim, "more than 15 times cheaper at the same width"
assert 0.9 < slim / thin < 1, "about as cheap as 64 channels"
assert 1.9 < projected / slim < 2, "a projection doubles it"
edu.table([[name, cost.parameters, round(cost.macs / 1e6)] for name, cost in costs.items()],
          ["block", "parameters", "million multiply-adds"])  # fmt: skip

# %% [markdown]
# The bottleneck makes 256 channels about as cheap as 64 in a basic block. The last row says why deep ResNets project only
# where they must: the shortcut connects the two *wide* ends, so a projection costs nearly as much as the whole branch.
#
# One detail has changed since the paper. There, the first 1×1 convolution has the stride, so it skips three pixels in
# four. Torchvision and this course put the stride into the 3×3 convolution, which is often called "ResNet v1.5".
#
# ### Exercise 7.2 · The bottleneck, with a projection where it's needed
#
# **Difficulty** ●●●●○ · **15 minutes**
#
# The branch is a 1×1 convolution from `in_channels` to `channels`, a 3×3 with the stride, and a 1×1 to `4 * channels`,
# each without a bias and followed by a batch norm. Put a ReLU after the first two and one after the addition, each a
# module of its own, so that tools that watch a module can tell them apart. Where the stride is not 1 or `in_channels` is
# not `4 * channels`, send $x$ through a 1×1 convolution with that stride and a batch norm. Elsewhere add $x$ as it is.
#
# <details><summary>Hint 1</summary>
#
# Only the 3×3 convolution needs padding. No ReLU on the shortcut.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# An empty `nn.Sequential()` returns its input. Begin with it and replace it where a projection is needed.
#
# </details>


# %% tags=["exercise"]
class MyBottleneck(nn.Module):
    """Maps (N, in_channels, H, W) to (N, 4 · channels, H / stride, W / stride)."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = 4 * channels
        ### BEGIN SOLUTION
        self.conv1, self.bn1 = nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3, self.bn3 = nn.Conv2d(channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.downsample = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            projection = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(out_channels))
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu3(out + self.downsample(x))
        ### END SOLUTION


# %% tags=["check"]
edu.checks.check_bottleneck(MyBottleneck)

# %% [markdown]
# ## Three shortcuts: A, B, C
#
# The paper compares three ways around a block. Where the shape changes, **A** takes every second row and column of $x$ and
# fills the new channels with zeros, which needs no parameters. **B** projects there. Elsewhere both add $x$ as it is. **C**
# projects at every block. Here is option A on one channel of 4×4:

# %%
one = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)
fitted = PadShortcut(1, 3)(one)
assert torch.equal(fitted[:, 1:2], one[:, :, ::2, ::2]), "every second row and column, as it was"
print("before:", one[0, 0].int().numpy(), "after, three channels:", *fitted[0].int().numpy(), sep="\n")


# %% tags=["nbval-check-output"]
def count(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


paper = edu.facts.HE_IMAGENET_10CROP
rows = [["none", count(edu.models.build("plain20")), paper["plain34"].value]]
for kind in "ABC":
    rows.append([kind, count(edu.models.build("resnet20", shortcut=kind)), paper[f"resnet34 {kind}"].value])
assert rows[0][1] == rows[1][1] == edu.facts.PARAMETERS["resnet20"].value, "option A needs no parameters"
gain, choice = rows[0][2] - rows[1][2], rows[1][2] - rows[3][2]
assert gain > 4 * choice, "that x is added matters, how it is fitted matters little"
edu.table(rows, ["shortcut", "parameters at 20 layers", "paper: top-1 error, 34 layers, ImageNet (%)"])

# %% [markdown]
# In the paper, all three repair the plain net by 3.5 points and more, and the choice among them is worth less than a
# point. The paper concludes that projections aren't essential, and from then on uses B for its ImageNet nets, as
# torchvision does, and A for CIFAR.
#
# ### Exercise 7.3 · Option A
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Fit $x$ to a block that halves the side and leads to `out_channels`, without parameters: take every second row and column,
# beginning with the first, and fill the new channels with zeros. Put half of the zeros before the old channels and half
# behind; if their number is odd, the extra one goes behind.
#
# <details><summary>Hint 1</summary>
#
# `x[:, :, ::2, ::2]` thins out rows and columns.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `F.pad` takes pairs from the last dimension backwards: width, height, channels. So the channels are the third pair.
#
# </details>


# %% tags=["exercise"]
def my_option_a(x: Tensor, out_channels: int) -> Tensor:
    """Maps (N, C, H, W) to (N, out_channels, H / 2, W / 2), rounded up."""
    ### BEGIN SOLUTION
    extra = out_channels - x.shape[1]
    return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, extra // 2, extra - extra // 2))
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_option_a(my_option_a)

# %% [markdown]
# ## Pre-activation: nothing on the shortcut
#
# In the block of 2015 a ReLU follows each addition, so the way from the first block to the last isn't quite free. He et al.
# (2016) moved batch norm and ReLU in front of the convolutions. Now nothing stands between one addition and the next, and as
# long as the shape stays the same, the blocks unroll into a plain sum: $x_L = x_0 + F_1(x_0) + F_2(x_1) + \dots$ Let's check
# that on eight blocks:

# %%
x = torch.randn(4, 8, 6, 6)
state, added = x, torch.zeros_like(x)
for block in [PreActBlock(8, 8) for _ in range(8)]:
    added = added + block.conv2(block.relu2(block.bn2(block.conv1(block.relu1(block.bn1(state))))))
    state = block(state)
torch.testing.assert_close(state, x + added, rtol=1e-4, atol=1e-4)
print(f"x plus eight branches: largest difference to the output {(x + added - state).abs().max():.0e}")

# %% tags=["nbval-check-output"]
before, after = edu.facts.HE_2016_ORIGINAL, edu.facts.HE_2016_PREACTIVATION
assert all(after[name].value < before[name].value for name in before)
edu.table([[name, before[name].value, after[name].value] for name in before],
          ["CIFAR-10 test error (%), He et al. 2016", "block of 2015", "pre-activation"])  # fmt: skip

# %% [markdown]
# The gain is small at 110 layers and large at 1,001, where the block of 2015 does worse than at 164. Torchvision's
# ResNets have 152 layers at most and keep the block of 2015. Most of today's transformers use the order of 2016: they
# normalise first and add last.
#
# ## A net as its paths
#
# Write out two blocks: $x_2 = x + F_1(x) + F_2(x + F_1(x))$. Every block offers two routes: through its branch or past
# it. So a net of $n$ blocks is $2^n$ paths side by side, from the one that bypasses everything to the one that goes
# through all the blocks. Veit et al. (2016) call this the *unravelled* net. The length of a path is the number of
# blocks it goes through.

# %%
edu.plots.paths_and_lengths(blocks=27)

# %% [markdown]
# It's only a way of reading the net: $F_2$ isn't linear, so you can't split $F_2(x + F_1(x))$ into a sum of two terms.
# But it makes predictions that you can test.
#
# ### Exercise 7.4 · How long are the paths?
#
# **Difficulty** ●●○○○ · **6 minutes**
#
# A ResNet-56 has 27 blocks. **First guess:** of its 134 million paths, what share goes through 20 blocks or more? Then write
# the function that counts the paths through 0, 1, 2, … and all blocks.
#
# <details><summary>Hint 1</summary>
#
# Take three blocks and the left figure. How many paths go through exactly one block? Through two?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A path of length $k$ chooses $k$ of the $n$ blocks, in their fixed order. `comb` from the module `math` counts the choices.
#
# </details>


# %% tags=["exercise"]
def path_lengths(blocks: int) -> list[int]:
    """Number of paths of length 0, 1, …, blocks."""
    ### BEGIN SOLUTION
    return [comb(blocks, length) for length in range(blocks + 1)]
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_path_lengths(path_lengths)

# %%
long = sum(comb(27, length) for length in range(20, 28))
middle = sum(comb(27, length) for length in range(10, 18))
print(f"20 blocks or more: {100 * long / 2**27:.1f} % of the paths; 10 to 17 blocks: {100 * middle / 2**27:.0f} %")
assert long / 2**27 < 0.02, "hardly any path is long"

# %% [markdown]
# Hardly any path is long, and few are very short. In the net that Veit et al. measured, the long ones matter even less
# than their number suggests, because each block on a path shrinks its gradient: most of the gradient of their
# ResNet-110 comes by paths of only 10 to 34 layers.
#
# ## Take a block out
#
# Now for the test. If paths work side by side, then taking out one block cuts half of them and leaves the other half. In a
# plain net it cuts the only path there is.
#
# ### Exercise 7.5 · Take a block out
#
# **Difficulty** ●●●○○ · **12 minutes**
#
# `model` has blocks of the class `ResidualBlock`. Their way around is `block.shortcut`, and a ReLU follows the addition. For
# each block in turn, leave only the shortcut and the last ReLU in its place, call `measure(model)`, and put the block back.
# Return a dictionary from the block's name, such as `"layer2.0"`, to what was measured. At the end the model is whole again.
#
# <details><summary>Hint 1</summary>
#
# `model.named_modules()` gives names and modules. Make a list of it first, because you change the model while you go through
# it.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `model.set_submodule(name, nn.Sequential(block.shortcut, nn.ReLU()))` replaces a block, and
# `model.set_submodule(name, block)` puts it back.
#
# </details>


# %% tags=["exercise"]
def block_removal(model: nn.Module, measure: Callable[[nn.Module], float]) -> dict[str, float]:
    """What `measure` says of the model without each of its blocks."""
    ### BEGIN SOLUTION
    measured = {}
    for name, block in list(model.named_modules()):
        if isinstance(block, ResidualBlock):
            model.set_submodule(name, nn.Sequential(block.shortcut, nn.ReLU()))
            measured[name] = measure(model)
            model.set_submodule(name, block)
    return measured
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_block_removal(block_removal)

# %% [markdown]
# The package has the same function, `edu.probe.block_removal`. It takes plain blocks too, whose input then goes
# straight on, thinned out and padded where the shape changes. Train a plain and a residual net of 20 layers, and a
# ResNet-56 for later, each with one seed for six epochs (192 steps in quick) at rate 0.1. Then remove each block in
# turn, without further training.
#
# > **Before you run it:** what happens to a net that loses two of its 20 layers? And does it matter which two?


# %%
def train(name: str, width: int, data: edu.data.Data, config: edu.TrainConfig) -> nn.Module:
    """One of the CIFAR nets for grey images, trained."""
    torch.manual_seed(config.seed)
    model = edu.models.build(name, width=width, in_channels=1)
    edu.fit(model, data, config)
    return model


def test_error(model: nn.Module, data: edu.data.Data) -> float:
    """In percent."""
    return edu.evaluate(model, data.test).top1_error


nets = {name: train(name, width, data, config) for name in ("plain20", "resnet20", "resnet56")}
whole = {name: test_error(net, data) for name, net in nets.items()}
removed = {name: edu.probe.block_removal(net, partial(test_error, data=data)) for name, net in nets.items()}

# %%
small = {name: removed[name] for name in ("plain20", "resnet20")}
edu.plots.errors_without(small, whole, title="Losing one block costs plain-20 far more than ResNet-20")

# %% [markdown]
# The grey line at 90 % is guessing. Take a block out of a plain net, and the next layer gets something it has never
# seen. In a residual net a block adds to a sum, and the other terms are still there. But the blue dots aren't all near
# the dashed line: the very first block and the one that opens stage 3 are among those that this net misses most. (Veit
# et al. also saw somewhat more damage where the side is halved.) Nine blocks are few, though (they worked with 54), so
# here are the 27 of a ResNet-56:

# %%
edu.plots.errors_without({"resnet56": removed["resnet56"]}, whole, title="Of 27 blocks, most are hardly missed")

# %%
middle = {name: median(errors.values()) for name, errors in removed.items()}
assert middle["plain20"] > 55, "almost any block costs the plain net almost everything"
assert middle["resnet20"] < 30, "with a typical block gone, the residual net still reads most digits"
assert middle["resnet56"] < whole["resnet56"] + 3, "half of the 27 blocks cost next to nothing"
worst = max(removed["resnet56"], key=removed["resnet56"].__getitem__)
assert worst.startswith("layer1"), "the block that is missed most is one of the first"
edu.table([[name, whole[name], min(removed[name].values()), middle[name], max(removed[name].values())] for name in nets],
          ["test error (%)", "whole", "one block less: best", "median", "worst"])  # fmt: skip

# %% [markdown]
# With 27 terms in the sum instead of 9, a typical one counts for less (in two nets, one seed each). But losing one of
# the first few blocks still hurts ResNet-56. Why those?
#
# ## How much of the stream is x?
#
# Think of the sum as a *stream* that runs through the net, and of each block as adding to it. Measure both terms where
# they meet: the mean square of $x$ as it comes around the block, and that of $F(x)$. The share of $x$ is its part of
# the two.


# %%
def shares_of_x(net: nn.Module, images: Tensor) -> list[float]:
    """For each block the mean square of x, in percent of that of x plus that of F(x)."""
    names = list(edu.probe.removable_blocks(net))
    parts = [f"{name}.{part}" for name in names for part in ("shortcut", "bn2")]
    with edu.probe.activations(net, parts) as seen, torch.inference_mode():
        net(images)
    x, added = (torch.tensor([seen[f"{n}.{part}"].square().mean() for n in names]) for part in ("shortcut", "bn2"))
    return (100 * x / (x + added)).tolist()


# %%
images = data.test.inputs(slice(256)).to(edu.machine.device())
torch.manual_seed(0)
untrained = edu.models.build("resnet56", width=width, in_channels=1).to(images.device).train()
shares = {"untrained": shares_of_x(untrained, images), "trained": shares_of_x(nets["resnet56"].eval(), images)}
edu.plots.lines(
    shares,
    title="Block 1 adds two thirds of the sum, later ones about a tenth",
    x="block of ResNet-56 (stages end at 9, 18 and 27)",
    y="share of x in F(x) + x (%)",
    first=1,
    limits=(0, 100),
)

# %%
trained = shares["trained"]
order = sorted(removed["resnet20"], key=removed["resnet20"].__getitem__, reverse=True)
small_shares = dict(zip(removed["resnet20"], shares_of_x(nets["resnet20"], images), strict=True))
missed, spared = (sum(small_shares[name] for name in part) / 3 for part in (order[:3], order[-3:]))
assert trained[0] < 65, "the first block adds more than a third of what flows on"
assert median(trained[3:]) > 85, "most later blocks add a tenth"
assert missed < spared, "what is missed most has added more than what is missed least"
rows = [["ResNet-56, block 1", trained[0]], ["ResNet-56, median from block 4 on", median(trained[3:])]]
rows += [["ResNet-20, the three blocks missed most", missed], ["ResNet-20, the three missed least", spared]]
edu.table(rows, ["trained", "share of x (%)"])

# %% [markdown]
# In the first block, $F(x)$ has about twice the mean square of $x$. (No surprise: both come out of a batch norm, but
# $x$ has also been through a ReLU, which throws away about half.) From the fourth block on, a block typically adds a
# tenth. (That's in mean square. In length, it's still about a third of $x$.) The blocks of the ResNet-20 that are
# missed most had also added more than those that are missed least. So **the blocks that are missed tend to be the ones
# that add a large part of the stream**. That may be part of the answer, but it's neither a rule nor a proof: in the
# ResNet-56 they also come first, and this measurement can't separate the two.
#
# The curve of the untrained net has a simple reason. Batch norm gives every $F(x)$ the same size at the start, so
# after $n$ blocks the new term is one of about $n + 1$ (the ReLUs and the new stages bend this). Training raises the
# share of $x$ in the first two stages and hardly changes it in the third.
#
# ## Stochastic depth: leave blocks out while training
#
# If a net can do without a block, why not train it that way? Huang et al. (2016) do: in each step, block $l$ of $L$
# takes part with a probability that falls from 1 to ½ with depth. At test time all blocks take part, each scaled by
# its probability, as the original dropout does with single numbers. PyTorch lets you attach a *forward hook* to a
# module, a function that runs after the module and may replace its output. All it takes is one on each block's last
# batch norm:


# %%
def sometimes(norm: nn.Module, inputs: tuple[Tensor], output: Tensor, keep: float) -> Tensor:
    """What a branch adds: now and then nothing while training, its expected size afterwards."""
    return output * (torch.rand(()) < keep).to(output) if norm.training else keep * output


def with_stochastic_depth(model: nn.Module, last: float = 0.5) -> nn.Module:
    """Let every block take part with a probability that falls to `last` with depth."""
    blocks = list(edu.probe.removable_blocks(model).values())
    for number, block in enumerate(blocks, start=1):
        block.bn2.register_forward_hook(partial(sometimes, keep=1 - (1 - last) * number / len(blocks)))
    return model


torch.manual_seed(config.seed)
hardened = with_stochastic_depth(edu.models.build("resnet56", width=width, in_channels=1))
edu.fit(hardened, data, config)
with_gaps = test_error(hardened, data)
assert with_gaps > whole["resnet56"], "in six epochs, at this rate and with this seed, it does not pay"
print(f"test error of ResNet-56: {with_gaps:.1f} % with stochastic depth, {whole['resnet56']:.1f} % without")

# %% [markdown]
# In such a short run it doesn't pay off, at least at this rate and with this seed. About a quarter of the branches are
# missing in each step, and six epochs may be too few to make up for that. Huang et al. trained a ResNet-110 for 500
# epochs on CIFAR-10, where a net has time to overfit, and there it does pay:

# %% tags=["nbval-check-output"]
edu.table(
    [[name, str(fact)] for name, fact in edu.facts.STOCHASTIC_DEPTH.items()], ["ResNet-110", "CIFAR-10 test error"]
)

# %% [markdown]
# So you can see it as a regulariser, like dropout: it can help a net that would otherwise memorise its training
# images. Huang et al. give a second reason: during training the net is shorter, so gradients reach its early layers
# better. With stochastic depth even 1,202 layers still improved the result. Newer nets for images use it, such as
# ConvNeXt (lesson 09) and vision transformers, and so do newer recipes for ResNets. (Our hook multiplies by zero, so
# it saves no time. `torchvision.ops.StochasticDepth` can also choose anew for each image.)
#
# ## Gates: the older relatives
#
# The idea of carrying the old state along is older than ResNet. LSTM and GRU, two nets that read sequences, keep a
# state over many time steps and let *gates*, numbers between 0 and 1, decide how much of it to keep. A highway net
# (Srivastava et al. 2015) does the same from layer to layer. Here $\tilde h$ is the candidate for the new state, and
# $H(x)$, in the highway paper's notation, is the layer's own result (and not the $H(x) = F(x) + x$ of this lesson).
#
# | | new state | factor of the old |
# |---|---|---|
# | GRU | $(1 - z)\,h + z\,\tilde{h}$ | $1 - z$, learned, depends on the input |
# | highway layer | $(1 - T(x))\,x + T(x)\,H(x)$ | $1 - T(x)$, learned, depends on the input |
# | residual block | $x + F(x)$ | 1, always |
#
# (The first line is written as in Chung et al. 2014. PyTorch uses $z$ for the share that is *kept*.) How much of $x$
# is left in the state? The factor alone doesn't say, because $H(x)$ and $F(x)$ carry something of $x$ too. So measure
# the cosine between the state and $x$ in untrained stacks of 30 layers. It's 1 as long as the state points along $x$,
# and 0 when nothing of it is left.


# %%
@torch.no_grad()
def along_x(gate_bias: float | None, layers: int = 30, width: int = 64) -> list[float]:
    """Mean cosine between state and input, layer by layer; without a gate bias for a residual stack."""
    x = torch.randn(128, width)
    state, found = x, [1.0]
    for _ in range(layers):
        new = torch.relu(nn.Linear(width, width)(state))
        if gate_bias is None:
            state = state + F.batch_norm(new, None, None, training=True)
        else:
            t = torch.sigmoid(nn.Linear(width, width)(state) + gate_bias)
            state = (1 - t) * state + t * new
        found.append(F.cosine_similarity(state, x).mean().item())
    return found


# %%
torch.manual_seed(0)
likeness = {f"highway, gate bias {bias}": along_x(bias) for bias in (0.0, -1.0, -3.0)} | {"residual": along_x(None)}
assert likeness["highway, gate bias 0.0"][15] < 0.1 < likeness["residual"][30] < likeness["highway, gate bias -3.0"][30]
edu.plots.lines(
    likeness,
    title="Gates choose how much of x stays; the sum loses less and less",
    x="layer",
    y="cosine between state and x",
    limits=(-0.1, 1.05),
)

# %% [markdown]
# In these untrained stacks, a gate that starts half open has replaced everything within 15 layers, and a gate with
# bias −1 has hardly anything left after 25. The sum loses more of $x$ than any of the gates in the first few layers,
# but then less and less. Only the gate that starts nearly shut (bias −3) keeps more of $x$ all the way, and that's why
# highway nets start with a negative bias. The sum needs no such choice. It passes $x$ on with the factor 1, so $x$ is
# only diluted by what is added, to about $1/\sqrt{n + 1}$ after $n$ equal and unrelated terms. (So the comparison
# depends on the size of the branches: with smaller ones the sum would keep more. And a *trained* branch may also
# cancel a part of $x$.)
#
# He et al. (2016) found that each kind of gate they tried on the shortcut of their 110-layer net made it worse. An
# author of highway nets has since disputed how that comparison was set up (see the sources). What's certain is that an
# identity shortcut carries $x$ on without parameters and without training.
#
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "The skip shows the image again at every layer." | All branches of the trained ResNet-20 switched off: what reaches the end? | **Half right.** The features of the *first layer* arrive, one pixel in sixteen, and the trained classifier can make nothing of them. |
# | "A shortcut needs a 1×1 convolution." | Parameters and published errors of option A | **Wrong.** Option A has none and is within a point of option C. |
# | "Skip connections alone cure exploding and vanishing signals." | 20 blocks with gain 1, with gain 0.2, with batch norm | **Wrong.** With He's weights the bare sum explodes. It takes small branches or normalisation too. |
# | "You can remove any block from a ResNet." | Removal of each of 9 and of each of 27 blocks | **Half right.** Of 27 blocks most are hardly missed. Some are, above all the first ones, which also add the most. |
# | "A ResNet is a highway net." | The state's likeness to $x$ over 30 layers | **Half right.** Same idea. But without a gate there's nothing to learn or to choose on the way around. |

# %%
net, images = nets["resnet20"], data.test.inputs().to(edu.machine.device())
with edu.probe.without_blocks(net, *removed["resnet20"]), edu.probe.activations(net, ["relu", "layer3"]) as seen:
    with torch.inference_mode():
        net(images)
    nothing_left = test_error(net, data)
start = width // 2 + width  # option A has put so many zeros in front, in two steps
arrived = seen["layer3"][:, start : start + width]
assert torch.equal(arrived, seen["relu"][:, :, ::4, ::4]), "the first layer's features, thinned out"
assert nothing_left > 70, "and they are of no use to the classifier"
assert max(removed["resnet20"].values()) > whole["resnet20"] + 5, "some blocks are missed"
print(f"all branches off: {arrived.shape[-1]}×{arrived.shape[-1]} of {size}×{size} pixels arrive, "
      f"test error {nothing_left:.0f} %")  # fmt: skip

# %% [markdown]
# ## Summary
#
# * A residual block learns the difference from its input. With a branch of zeros it returns ReLU(x), exactly, and it
#   can still learn.
# * The derivative of the sum contains the identity, so the gradient has a way around every branch. Small branches or
#   normalisation keep the sum from exploding.
# * Where the shape changes, x is thinned out and padded (A) or projected (B). The bottleneck makes 256 channels about as
#   cheap as 64.
# * A net of n blocks can be read as 2ⁿ paths, most of them of medium length. Take out a single block, and our ResNet-56
#   mostly works as before, the ResNet-20 loses more, and the plain net loses almost everything.
# * In the trained ResNet-56 the first block adds about two thirds of the stream, and a typical later one a tenth (in
#   mean square). Stochastic depth leaves blocks out at random while training, which paid in the paper's 500 epochs and
#   not in our six.
#
# ## Sources
#
# * K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition, 2015, sections 3 and 4.1, [arXiv
#   1512.03385](https://arxiv.org/abs/1512.03385)
# * K. He, X. Zhang, S. Ren, J. Sun: Identity mappings in deep residual networks, 2016, [arXiv
#   1603.05027](https://arxiv.org/abs/1603.05027)
# * A. Veit, M. Wilber, S. Belongie: Residual networks behave like ensembles of relatively shallow networks, 2016, [arXiv
#   1605.06431](https://arxiv.org/abs/1605.06431)
# * G. Huang, Y. Sun, Z. Liu, D. Sedra, K. Weinberger: Deep networks with stochastic depth, 2016, [arXiv
#   1603.09382](https://arxiv.org/abs/1603.09382)
# * P. Goyal et al.: Accurate, large minibatch SGD, 2017, section 5.1, [arXiv 1706.02677](https://arxiv.org/abs/1706.02677)
# * H. Zhang, Y. Dauphin, T. Ma: Fixup initialization, 2019, [arXiv 1901.09321](https://arxiv.org/abs/1901.09321), and S. De,
#   S. Smith: Batch normalization biases residual blocks towards the identity function (SkipInit), 2020, [arXiv
#   2002.10444](https://arxiv.org/abs/2002.10444)
# * R. Srivastava, K. Greff, J. Schmidhuber: Highway networks, 2015, [arXiv 1505.00387](https://arxiv.org/abs/1505.00387),
#   and Srivastava's [comparison with ResNet](https://github.com/flukeskywalker/highway-resnet-comparison)
# * J. Chung, C. Gulcehre, K. Cho, Y. Bengio: Empirical evaluation of gated recurrent neural networks, 2014, [arXiv
#   1412.3555](https://arxiv.org/abs/1412.3555)
#
# ## Next lesson
#
# 08 · ResNet-34: from an empty file to torchvision's logits, with the blocks of this lesson.
