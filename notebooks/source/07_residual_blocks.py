# %% [markdown]
# # 07 · Residual blocks: H(x) = F(x) + x
#
# Lesson 06 ended with one addition that repairs a net of 56 layers. This lesson takes the block with that addition apart:
# what the sum does to the signal and to its gradient, what happens where the shapes differ, how a block is made cheap, and
# what a trained net loses when you take a block out.
#
# After this lesson you can
#
# * write the identity block, the projection block, the bottleneck and the pre-activation block;
# * say what the addition does to the forward signal and to the gradient, and show it by a measurement;
# * choose between the shortcuts A, B and C, knowing what each costs;
# * tell how a residual block differs from the gates of a highway net and a GRU.
#
# **Minutes:** 35 reading, 50 more for the exercises · 1 running quick · 5 running full

# %% tags=["setup"]
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import resnet_edu as edu
from resnet_edu.models import BasicBlock, Bottleneck, PadShortcut, PlainBlock, PreActBlock

profile = edu.profile()
size, width = profile.choose(quick=(16, 8), full=(32, 16))
data = edu.data.load("mnist5k", size=size, limit=profile.choose(quick=2000, full=None))
config = edu.TrainConfig(epochs=6, batch_size=64, lr=0.1, augment=())
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## The idea
#
# Say that two layers should compute $H(x)$. A plain block learns $H$ as a whole. A residual block learns only what is missing
# from $x$, the *residual* $F(x) = H(x) - x$, and adds $x$ at the end. A last ReLU follows:
#
# $$F(x) = W_2\,\mathrm{ReLU}(W_1 x) \qquad H(x) = F(x) + x \qquad \text{out} = \mathrm{ReLU}(H(x))$$
#
# Both can express much the same functions. They differ in where they start. With small weights the plain block puts out almost
# nothing. The residual block puts out almost $x$.


# %%
def branch(x: Tensor, w1: Tensor, w2: Tensor) -> Tensor:
    """F(x) = W2 · ReLU(W1 · x) for one vector."""
    return w2 @ torch.relu(w1 @ x)


x = torch.tensor([1.0, 2.0, 0.5, 3.0])
print("weights times   plain: ReLU(F(x))           residual: ReLU(F(x) + x)")
for scale in (1.0, 0.1, 0.0):
    # matrices that only move the numbers to other places
    w1, w2 = scale * torch.eye(4).roll(1, dims=0), scale * torch.eye(4).roll(2, dims=0)
    plain, residual = torch.relu(branch(x, w1, w2)), torch.relu(branch(x, w1, w2) + x)
    print(f"{scale:13}   {[round(v, 2) for v in plain.tolist()]!s:24}    {[round(v, 2) for v in residual.tolist()]}")
assert torch.equal(residual, torch.relu(x)), "with a branch of zeros the block returns ReLU(x)"

# %% [markdown]
# The last row is the point. When its branch is zero, the residual block returns ReLU(x). In a net, x comes out of a
# ReLU and is not negative, so this is x itself, to the last bit. A net of such blocks can be as shallow as it needs to
# be.
#
# The same holds for the block of the package. Its branch ends in a batch norm. After it has made mean 0 and variance 1,
# a batch norm multiplies each channel by a *weight* and adds a *bias*. Both are learned and begin at 1 and 0. So it is
# enough to set this weight to zero:

# %%
block = BasicBlock(16, 16)
nn.init.zeros_(block.bn2.weight)
images = torch.randn(8, 16, 6, 6)  # with negative numbers too
assert torch.equal(block(images), torch.relu(images)), "a zeroed branch leaves ReLU(x), exactly"
print(
    f"{type(block).__name__} with a zeroed branch: largest difference to ReLU(x) is {(block(images) - images.relu()).abs().max():.0e}"
)

# %% [markdown]
# ### What the addition does to the gradient
#
# Differentiate the sum: $\partial (F(x) + x) / \partial x = \partial F / \partial x + I$. Whatever the branch does, the identity
# matrix $I$ is in it. Look at both matrices for a random branch of five numbers. Row i, column j says how output i answers to input j:

# %%
torch.manual_seed(0)
w1, w2 = 0.3 * torch.randn(2, 5, 5, dtype=torch.float64)
point = torch.rand(5, dtype=torch.float64)
of_branch = torch.func.jacrev(partial(branch, w1=w1, w2=w2))(point)
of_sum = torch.func.jacrev(lambda x, w1, w2: branch(x, w1, w2) + x)(point, w1, w2)
print("∂F/∂x =", of_branch.numpy().round(2), "∂(F + x)/∂x =", of_sum.numpy().round(2), sep="\n")
torch.testing.assert_close(of_sum - of_branch, torch.eye(5, dtype=torch.float64))

# %% [markdown]
# One block is no proof that it helps, so stack them. The next figure sends random numbers through 20 untrained blocks,
# forward and back. A block here is $F$ with two matrices of 64×64 and He's initial values. The *gain* is a factor
# before $F(x)$. In a real block this factor is the weight of the last batch norm.
#
# ### Explore: the addition on and off
#
# Start with gain 0.5 and switch between plain and residual. Then set the gain to 0. Then find out which setting makes the residual
# signal explode, and what batch norm does about it.

# %% tags=["explorer"]
edu.widgets.residual_explorer()

# %% [markdown]
# Where widgets do not run, here are twelve settings at a glance. The signal is above, the gradient below; *rms* is the
# root of the mean square. Values beyond the border of a panel are drawn on it.

# %%
edu.plots.signal_and_gradient_grid()

# %%
flows = {
    (kind, gain, norm): edu.probe.residual_flow(20, residual=kind == "residual", gain=gain, batch_norm=norm)
    for kind in ("plain", "residual")
    for gain in (0.0, 0.5, 1.0)
    for norm in (False, True)
}
for (kind, gain, norm), flow in flows.items():
    print(
        f"{kind:>8}  gain {gain}  batch norm {norm!s:5}  signal × {flow.signal[-1] / flow.signal[0]:8.2g}  gradient × {flow.gradient[0]:8.2g}"
    )

# %%
exploding = flows["residual", 1.0, False].signal
print(f"residual, gain 1, no batch norm: the signal grows by {(exploding[-1] / exploding[0]) ** (1 / 20):.2f} a block")
assert flows["plain", 0.5, False].gradient[0] < 1e-4, "a branch that halves the gradient, 20 times over"
assert flows["plain", 0.0, True].signal[-1] == 0, "plain and switched off: nothing passes"
assert len(set(flows["residual", 0.0, True].signal)) == 1, "residual and switched off: the signal passes unchanged"
assert flows["residual", 1.0, False].signal[-1] > 100 * flows["residual", 1.0, True].signal[-1], (
    "batch norm tames the sum"
)
assert flows["residual", 1.0, True].gradient[0] < flows["plain", 1.0, True].gradient[0] / 5, (
    "and its gradient grows less"
)

# %% [markdown]
# Read three things from it. Without addition and batch norm, each block multiplies what passes through, so any gain but the right one
# lets it vanish or explode with depth. With the addition, a block that is switched off passes everything. And the addition alone is no cure for
# everything: with gain 1 and no normalisation the residual sum *explodes*, since each block adds twice as much, in
# squares, as has arrived. (He's weights double the squares at both matrices, and the one ReLU between them takes half:
# 2 · ½ · 2 = 2. So the growth is faster than the √2 of lesson 05.)
# Batch norm fixes the size of what is added, so the sum grows slowly. Without the addition it holds the signal, but lets the gradient grow, as
# in lesson 06. ResNet needs both. (The gradient of 0.7 in a residual stack that is switched off is the ReLU's doing: half of the numbers are
# zero, and a zero passes no gradient.)
#
# ## The blocks
#
# These are the blocks of this lesson, drawn by running them. A number such as `3×3, 64` is a convolution and its filters,
# and `/2` its stride. In the exercises at the end you write each of the four residual ones.

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
# The ReLU stands *after* the addition in the blocks of 2015. If it stood before, the branch could only add and never take
# away. The **identity block** keeps the shape, so $x$ can be added as it is. At the beginning of a stage the side
# is halved and the filters are doubled. Then $x$ no longer fits, and the **projection block** sends it through a
# 1×1 convolution with stride 2 and a batch norm. Many texts call this one the *convolutional block*.

# %% tags=["nbval-check-output"]
for name, stride, channels in (("identity block", 1, 64), ("projection block", 2, 128)):
    block = BasicBlock(64, channels, stride=stride)
    weights = sum(parameter.numel() for parameter in block.parameters())
    around = 0 if block.downsample is None else sum(p.numel() for p in block.downsample.parameters())
    print(f"{name:>17}: (64, 56, 56) → {tuple(block(torch.zeros(1, 64, 56, 56)).shape[1:])}", end="   ")
    print(f"{weights:,} parameters, {around:,} of them on the shortcut")

# %% [markdown]
# ## Three shortcuts: A, B, C
#
# The paper compares three ways around a block. Where the shape changes, **A** takes every second row and column of $x$
# and fills the new channels with zeros; this needs no parameters. **B** projects there. Elsewhere both add $x$ as it
# is. **C** projects at every block. Here is
# option A on one channel of 4×4:

# %%
one = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)
fitted = PadShortcut(1, 3)(one)
print("before:", one[0, 0].int().numpy(), "after, three channels:", *fitted[0].int().numpy(), sep="\n")
assert torch.equal(fitted[:, 1:2], one[:, :, ::2, ::2]), "every second row and column, as it was"
assert fitted[:, [0, 2]].abs().sum() == 0, "nothing else"


# %% tags=["nbval-check-output"]
def count(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


counts = {f"shortcut {kind}": count(edu.models.build("resnet20", shortcut=kind)) for kind in ("A", "B", "C")}
counts["no shortcut"] = count(edu.models.build("plain20"))
for kind, number in counts.items():
    print(f"20 layers, {kind:>11}: {number:,} parameters")
assert counts["shortcut A"] == counts["no shortcut"] == edu.facts.PARAMETERS["resnet20"].value
assert counts["shortcut A"] < counts["shortcut B"] < counts["shortcut C"]

# %% tags=["nbval-check-output"]
paper = edu.facts.HE_IMAGENET_10CROP
for name in ("plain34", "resnet34 A", "resnet34 B", "resnet34 C"):
    print(f"{name:>10}: {paper[name]} top-1 error on ImageNet, ten crops")
gain = paper["plain34"].value - paper["resnet34 A"].value
choice = paper["resnet34 A"].value - paper["resnet34 C"].value
print(f"adding x with option A: {gain:.2f} points better; choosing C over A: another {choice:.2f}")
assert choice < 1
assert gain > 4 * choice, "that x is added matters, how it is fitted matters little"

# %% [markdown]
# All three repair the plain net. The paper concludes that projections are not essential, and uses B for its ImageNet nets from then on and
# A for CIFAR. The nets of torchvision are built with B.
#
# ## The bottleneck
#
# Two 3×3 convolutions on 256 channels are expensive. The bottleneck first mixes the 256 channels down to 64 by a 1×1 convolution,
# looks at the neighbourhood there, and mixes up to 256 again. Count what that saves on a map of 56×56:

# %% tags=["nbval-check-output"]
wide, narrow, neck = BasicBlock(256, 256), BasicBlock(64, 64), Bottleneck(256, 64)
projected = nn.Sequential(neck, nn.Conv2d(256, 256, 1, bias=False), nn.BatchNorm2d(256))  # for counting only
costs = {
    "basic, 256 channels": edu.probe.summary(wide, (256, 56, 56)),
    "basic, 64 channels": edu.probe.summary(narrow, (64, 56, 56)),
    "bottleneck, 256 channels": edu.probe.summary(neck, (256, 56, 56)),
    "bottleneck with projection": edu.probe.summary(projected, (256, 56, 56)),
}
for name, cost in costs.items():
    print(f"{name:>27}: {cost.parameters:9,} parameters   {cost.macs / 1e6:8,.1f} million multiply-adds")
ratio = costs["basic, 256 channels"].macs / costs["bottleneck, 256 channels"].macs
print(f"the bottleneck is {ratio:.1f} times cheaper at the same width")

# %%
by_formula = 256 * 64 + 9 * 64 * 64 + 64 * 256 + 2 * (64 + 64 + 256)  # three convolutions, three batch norms
assert costs["bottleneck, 256 channels"].parameters == by_formula
assert 0.9 < costs["bottleneck, 256 channels"].macs / costs["basic, 64 channels"].macs < 1, (
    "about as cheap as 64 channels"
)
doubled = costs["bottleneck with projection"].macs / costs["bottleneck, 256 channels"].macs
print(f"a projection on its shortcut makes the bottleneck {doubled:.2f} times as expensive")
assert 1.9 < doubled < 2

# %% [markdown]
# That last line is why shortcuts without parameters matter more in deep ResNets: the shortcut connects the two *wide* ends, so a
# projection there costs nearly as much as the whole branch. ResNet-50 and deeper use bottlenecks and project only where they must.
#
# One detail differs between the paper and today's libraries. In the paper the first 1×1 convolution has the stride. Then it skips
# three pixels in four. Torchvision and this course put it into the 3×3 convolution, often called "ResNet v1.5".
#
# ## Pre-activation: a path with nothing on it
#
# In the block of 2015 a ReLU follows each addition, so the way from the first block to the last is not quite free. He et al. 2016 moved
# batch norm and ReLU in front of the convolutions. Now nothing stands between one addition and the next, and the blocks
# unroll into a sum, as long as the shape stays: $x_L = x_0 + F_1(x_0) + F_2(x_1) + \dots$ Switch off all branches of eight blocks to see the bare path:


# %%
def bare_path(blocks: list[nn.Module], x: Tensor) -> Tensor:
    """Send x through blocks whose second convolution is set to zero."""
    for block in blocks:
        nn.init.zeros_(block.get_submodule("conv2").weight)
        x = block(x)
    return x


x = torch.randn(4, 8, 6, 6)
of_2015 = bare_path([BasicBlock(8, 8) for _ in range(8)], x)
of_2016 = bare_path([PreActBlock(8, 8) for _ in range(8)], x)
print(f"lowest value that went in: {x.min():.2f}   out, 2015: {of_2015.min():.2f}   out, 2016: {of_2016.min():.2f}")
assert torch.equal(of_2015, x.relu()), "the ReLUs of 2015 cut off what is negative"
assert torch.equal(of_2016, x), "the path of 2016 is the identity"

# %%
deep = [PreActBlock(8, 8) for _ in range(8)]
added, state = torch.zeros_like(x), x
for block in deep:
    out = block(state)
    branch_output = block.conv2(block.relu2(block.bn2(block.conv1(block.relu1(block.bn1(state))))))
    added, state = added + branch_output, out
torch.testing.assert_close(state, x + added, rtol=1e-4, atol=1e-4)
print(f"x plus eight branches: largest difference to the output {(x + added - state).abs().max():.0e}")

# %%
before, after = edu.facts.HE_2016_ORIGINAL, edu.facts.HE_2016_PREACTIVATION
for name in before:
    print(f"{name:>10} on CIFAR-10: block of 2015 {before[name]}   pre-activation {after[name]}")
assert all(after[name].value < before[name].value for name in before)

# %% [markdown]
# The gain is small at 110 layers and large at 1,001, where the block of 2015 does worse than it does at 164. Most nets in use
# have 152 layers or fewer and keep the block of 2015. Most of today's transformers use the order of 2016: they normalise first and
# add last.
#
# ## A gentle start: the last batch norm at zero
#
# You have seen that a zeroed branch makes a block the identity. So initialise every block that way, and the deep net starts as a
# shallow one and grows its branches as it learns (Goyal et al. 2017, section 5.1). It takes one line a block.

# %%
torch.manual_seed(0)
usual = edu.models.build("resnet56", width=width, in_channels=1)
gentle = edu.models.build("resnet56", width=width, in_channels=1)
names = list(edu.probe.removable_blocks(gentle))
for name in names:
    nn.init.zeros_(gentle.get_submodule(name).bn2.weight)
batch, labels = data.train.inputs(slice(64)), data.train.labels[:64]
spread = {
    "usual": [row.std for row in edu.probe.forward_statistics(usual, batch, layers=names)],
    "zeroed": [row.std for row in edu.probe.forward_statistics(gentle, batch, layers=names)],
}
for name, values in spread.items():
    print(f"{name:>7}: spread of the signal after block 1, 9 of the first stage: {values[0]:.2f}, {values[8]:.2f}")
assert spread["zeroed"][8] == spread["zeroed"][0] < spread["usual"][8], "zeroed blocks pass the signal on unchanged"

# %%
with edu.probe.without_blocks(gentle.eval(), *names), torch.inference_mode():
    shallow_logits = gentle(batch)
with torch.inference_mode():
    assert torch.equal(gentle(batch), shallow_logits), (
        "at the start the 56 layers compute what the net without blocks does"
    )
F.cross_entropy(gentle.train()(batch), labels).backward()
first = gentle.get_submodule(names[0])
print(f"gradient in {names[0]} at the first step: conv1 {first.conv1.weight.grad.norm():.0f}, conv2 {first.conv2.weight.grad.norm():.0f}, "
      f"weight of bn2 {first.bn2.weight.grad.norm():.1g}")  # fmt: skip
assert first.conv1.weight.grad.norm() == first.conv2.weight.grad.norm() == 0 < first.bn2.weight.grad.norm()

# %% [markdown]
# At the very first step the convolutions of a branch get no gradient; of its layers only the last batch norm learns. From the second step on its
# weight is no longer zero, and the convolutions learn too. That is why it is safe to zero the last layer of a branch, and would not be to zero all.
#
# ## Take a block out
#
# Here is an experiment that a plain net does not survive. Train both kinds of 20-layer net, take out one of the nine blocks, and measure the test
# error without any further training (Veit et al. 2016). What remains of a residual block is its shortcut. What remains of a
# plain block is nothing: its input goes straight on, thinned out and padded where the shape changes.
#
# > **Before you run it:** what will a net do that has lost two of its 20 layers?


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


nets = {name: train(name, width, data, config) for name in ("plain20", "resnet20")}
whole = {name: test_error(net, data) for name, net in nets.items()}
print("test error: " + ", ".join(f"{name} {error:.1f} %" for name, error in whole.items()))

# %%
removed = {name: edu.probe.block_removal(net, partial(test_error, data=data)) for name, net in nets.items()}
edu.plots.errors_without(removed, whole, title="A residual net survives the loss of a block, a plain net does not")

# %%
for name, errors in removed.items():
    values = list(errors.values())
    print(
        f"{name:>9}: whole {whole[name]:4.1f} %, one block less: {min(values):4.1f} to {max(values):4.1f} %, median {median(values):4.1f} %"
    )
assert median(removed["resnet20"].values()) < 35, "with a typical block gone, the residual net still reads most digits"
assert median(removed["plain20"].values()) > 65, "almost any block costs the plain net almost everything"
assert removed["resnet20"]["layer3.2"] < whole["resnet20"] + 6, "the last block is hardly missed"

# %% [markdown]
# The grey line at 90 % is guessing. In a plain net, each layer works on what the one before has made and on nothing else. Take
# one out and the next gets something it has never seen. In a residual net, a block adds to a sum, and the other terms of the sum are
# still there. Veit et al. read a net of $n$ blocks as a collection of $2^n$ paths, since each block is either passed through or passed by. Taking out one
# block cuts half of them. In this reading the net behaves like an ensemble of many shorter nets.
#
# Read the blue line honestly, though. It is not flat. Some blocks, mostly in the first stage and at the beginning of
# the third, cost ten points and more, and much more with other seeds. Nine blocks are few. Veit et al. worked with 54 blocks and more. So do
# the same with a ResNet-56, which has 27:

# %%
nets["resnet56"] = train("resnet56", width, data, config)
whole["resnet56"] = test_error(nets["resnet56"], data)
removed["resnet56"] = edu.probe.block_removal(nets["resnet56"], partial(test_error, data=data))
edu.plots.errors_without({"resnet56": removed["resnet56"]}, whole, title="Of 27 blocks, most are hardly missed")

# %%
values = list(removed["resnet56"].values())
print(
    f"whole {whole['resnet56']:.1f} %, one block less: {min(values):.1f} to {max(values):.1f} %, median {median(values):.1f} %"
)
assert median(values) < whole["resnet56"] + 3, "half of the 27 blocks cost next to nothing"
assert median(values) < median(removed["resnet20"].values()), "the more blocks there are, the less each one counts"
assert values.index(max(values)) < 9, "the blocks that are missed most stand in the first stage"

# %% [markdown]
# The more terms the sum has, the less each one counts. Only the first blocks, on which all others build, are still missed.
#
# ## Gates: the older relatives
#
# Adding what was there before is older than ResNet. LSTM and GRU keep a state over many time steps and let gates decide how much of it to
# keep. In a GRU one gate $z$ between 0 and 1 says how much of the state $h$ is replaced. A highway net (Srivastava et
# al. 2015) does the same from layer to layer. Side by side, with $\tilde h$ the candidate for the new state, $H(x)$ the
# layer's own result, and $T(x)$ the highway's gate, a sigmoid between 0 and 1:
#
# | | new state | share of the old |
# |---|---|---|
# | GRU | $(1 - z)\,h + z\,\tilde{h}$ | $1 - z$, learned, depends on the input |
# | highway layer | $(1 - T(x))\,x + T(x)\,H(x)$ | $1 - T(x)$, learned, depends on the input |
# | residual block | $x + F(x)$ | 1, always |
#
# The first line is written as Chung et al. (2014) have it; the first paper on the GRU and PyTorch call $z$ what is *kept*. So turn PyTorch's gate
# around, and its cell is the first line:


# %%
def gru_step(cell: nn.GRUCell, x: Tensor, h: Tensor) -> Tensor:
    """One step of `nn.GRUCell`, written as (1 − z) h + z h̃."""
    xr, xz, xn = (x @ cell.weight_ih.T + cell.bias_ih).chunk(3, dim=1)
    hr, hz, hn = (h @ cell.weight_hh.T + cell.bias_hh).chunk(3, dim=1)
    z = 1 - torch.sigmoid(xz + hz)  # PyTorch's gate is the share that is kept
    candidate = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
    return (1 - z) * h + z * candidate


cell, x, h = nn.GRUCell(6, 5), torch.randn(3, 6), torch.randn(3, 5)
torch.testing.assert_close(gru_step(cell, x, h), cell(x, h))
print(f"largest difference to nn.GRUCell: {(gru_step(cell, x, h) - cell(x, h)).abs().max():.1e}")


# %%
def carried(bias: float, layers: int = 30, width: int = 64) -> list[float]:
    """Share of x that an untrained highway net carries on, layer by layer: the product of 1 − T."""
    x, shares = torch.randn(128, width), [1.0]
    for _ in range(layers):
        transform, gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(gate.bias, bias)
        t = torch.sigmoid(gate(x))
        x = (1 - t) * x + t * torch.relu(transform(x))
        shares.append(shares[-1] * (1 - t).mean().item())
    return shares


# %%
with torch.no_grad():
    shares = {f"highway, bias {bias}": carried(bias) for bias in (0.0, -1.0, -3.0)} | {"residual": [1.0] * 31}
edu.plots.lines(
    shares,
    title="A half-open gate forgets x within a few layers; the sum keeps it",
    x="layer",
    y="share of x carried on",
    log=True,
)

# %%
for name, values in shares.items():
    print(f"{name:>18}: {values[-1]:.1e} of x is carried through 30 layers")
assert shares["highway, bias 0.0"][-1] < 1e-6, "a gate at one half keeps 2⁻³⁰"
assert 0.1 < shares["highway, bias -3.0"][-1] < 0.5, "a gate that starts nearly shut keeps a good part"

# %% [markdown]
# Highway nets therefore start with a negative bias, which keeps the gates nearly shut for what is new. The residual block drops the gate: the
# carry is fully open at every layer, and nothing has to be learned to keep it so. (Share means the factor in front of
# $x$. For the residual block it is 1 by definition. Its part of the *whole* shrinks there too, since the other terms
# add up, but nothing is ever taken from it.) He et al. 2016 found that any gate on the shortcut of their 110-layer net
# made it worse. An author of highway nets has since disputed how that comparison was set up (see the
# sources), so take from it what is certain: the sum needs no parameters to carry $x$ on, and no training.
#
# ## Exercises
#
# Each exercise needs nothing but the set-up cell at the top.
#
# ### Exercise 7.1 · The basic block
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Write the identity block of ResNet-18 and ResNet-34: 3×3 convolution, batch norm, ReLU, 3×3 convolution, batch norm, then add
# $x$, then ReLU. It keeps channels and side. The convolutions have no bias. As in lesson 06, every ReLU of these exercises is a module of its
# own, `nn.ReLU()`, so that hooks can tell them apart.
#
# <details><summary>Hint 1</summary>
#
# Six modules: `conv1`, `bn1`, `relu1`, `conv2`, `bn2`, `relu2`. The addition is no module.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Write `out = out + x` after `bn2` and before `relu2`.
#
# </details>


# %% tags=["exercise"]
class MyBasicBlock(nn.Module):
    """Maps (N, channels, H, W) to the same shape: ReLU(F(x) + x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu2(out + x)
        ### END SOLUTION


# %% tags=["check"]
edu.checks.check_basic_block(MyBasicBlock)

# %% [markdown]
# ### Exercise 7.2 · The projection block
#
# **Difficulty** ●●●○○ · **10 minutes**
#
# Write the block that opens a stage. No convolution has a bias, and each ReLU is a module of its own. The first
# convolution leads from `in_channels` to `channels` with the given stride. A 1×1 convolution
# with the same stride and a batch norm of its own fit $x$ to the result. No ReLU on the shortcut.
#
# <details><summary>Hint 1</summary>
#
# `self.downsample = nn.Sequential(nn.Conv2d(…, 1, stride, bias=False), nn.BatchNorm2d(channels))`
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The shortcut begins at the block's input, so keep `x`: give the results of the branch another name.
#
# </details>


# %% tags=["exercise"]
class MyProjectionBlock(nn.Module):
    """Maps (N, in_channels, H, W) to (N, channels, H / stride, W / stride)."""

    def __init__(self, in_channels: int, channels: int, stride: int = 2) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        projection = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
        self.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels))
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu2(out + self.downsample(x))
        ### END SOLUTION


# %% tags=["check"]
edu.checks.check_projection_block(MyProjectionBlock)

# %% [markdown]
# ### Exercise 7.3 · The bottleneck
#
# **Difficulty** ●●●●○ · **15 minutes**
#
# 1×1 from `in_channels` to `channels`, 3×3 with the stride, 1×1 to `4 * channels`, none with a bias, each followed by a
# batch norm; ReLU after the first two and after the addition. Where the stride is not 1 or `in_channels` is not `4 *
# channels`, project the shortcut. Elsewhere add $x$ as it is.
#
# <details><summary>Hint 1</summary>
#
# Only the 3×3 convolution needs padding.
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
# ### Exercise 7.4 · Option A
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Fit $x$ to a block that halves the side and leads to `out_channels`, without parameters: take every second row and column, beginning with the
# first, and fill the new channels with zeros. Put half of the zeros before the old channels and half behind; if their number is odd, the
# one left over goes behind.
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
# ### Exercise 7.5 · Pre-activation
#
# **Difficulty** ●●●○○ · **8 minutes**
#
# Write the block of 2016 for an unchanged shape: batch norm, ReLU, 3×3 convolution, the same again, then add $x$ as it
# came in. Nothing follows. No convolution has a bias, and each ReLU is a module of its own.
#
# <details><summary>Hint 1</summary>
#
# The modules are those of exercise 7.1. Only `forward` differs.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# What you add is `x` itself, not `bn1(x)` and not `relu1(bn1(x))`.
#
# </details>


# %% tags=["exercise"]
class MyPreActBlock(nn.Module):
    """Maps (N, channels, H, W) to the same shape: F(x) + x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        out = self.conv1(self.relu1(self.bn1(x)))
        out = self.conv2(self.relu2(self.bn2(out)))
        return out + x
        ### END SOLUTION


# %% tags=["check"]
edu.checks.check_preactivation(MyPreActBlock)

# %% [markdown]
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "The skip shows the image again at every layer." | All branches of the trained ResNet-20 switched off: what reaches the end? | **Half right.** The features of the *first layer* arrive, one pixel in sixteen; the net can make nothing of them. |
# | "A shortcut needs a 1×1 convolution." | Parameters and published errors of option A | **Wrong.** Option A has none and is within a point of option C. |
# | "Skip connections alone cure exploding and vanishing signals." | 20 blocks with gain 1, without batch norm | **Wrong.** The sum explodes; normalisation is needed too. |
# | "You can remove any block from a ResNet." | Removal of each of 9 and of each of 27 blocks | **Half right.** Of 27 blocks most are hardly missed. Of nine, the typical one multiplies the error, and some cost far more. |
# | "A ResNet is a highway net." | The carried share over 30 layers | **Half right.** Same idea, but no gate: the share is 1 without learning it. |

# %%
net, images = nets["resnet20"], data.test.inputs().to(edu.machine.device())
with edu.probe.without_blocks(net, *removed["resnet20"]), edu.probe.activations(net, ["relu", "layer3"]) as seen:
    with torch.inference_mode():
        net(images)
    nothing_left = test_error(net, data)
start = width // 2 + width  # option A has put so many zeros in front, in two steps
arrived = seen["layer3"][:, start : start + width]
print(
    f"all branches off: {arrived.shape[-1]}×{arrived.shape[-1]} of {size}×{size} pixels arrive, test error {nothing_left:.0f} %"
)
assert torch.equal(arrived, seen["relu"][:, :, ::4, ::4]), "the first layer's features, thinned out"
assert nothing_left > 70, "and they are of no use to the classifier"
assert counts["shortcut A"] == counts["no shortcut"], "option A has no parameters"
assert flows["residual", 1.0, False].signal[-1] > 100 * flows["residual", 1.0, False].signal[0], "the bare sum explodes"
assert max(removed["resnet20"].values()) > whole["resnet20"] + 5, "some blocks are missed"

# %% [markdown]
# ## Summary
#
# * A residual block learns the difference to its input. With a branch of zeros it returns ReLU(x), exactly.
# * The derivative of the sum contains the identity, so the gradient has a way around every branch. Batch norm keeps the sum from exploding.
# * Where the shape changes, x is thinned out and padded (A) or projected (B). Projecting everywhere (C) hardly helps.
# * The bottleneck makes 256 channels as cheap as 64. Pre-activation clears the path for very deep nets.
# * A trained residual net still works without almost any one block, and the more blocks it has, the less each is missed. A plain net does not.
#
# ## Sources
#
# * K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition, 2015, sections 3 and 4.1,
#   [arXiv 1512.03385](https://arxiv.org/abs/1512.03385)
# * K. He, X. Zhang, S. Ren, J. Sun: Identity mappings in deep residual networks, 2016, [arXiv 1603.05027](https://arxiv.org/abs/1603.05027)
# * A. Veit, M. Wilber, S. Belongie: Residual networks behave like ensembles of relatively shallow networks, 2016,
#   [arXiv 1605.06431](https://arxiv.org/abs/1605.06431)
# * P. Goyal et al.: Accurate, large minibatch SGD, 2017, section 5.1, [arXiv 1706.02677](https://arxiv.org/abs/1706.02677)
# * R. Srivastava, K. Greff, J. Schmidhuber: Highway networks, 2015, [arXiv 1505.00387](https://arxiv.org/abs/1505.00387), and Srivastava's
#   [comparison with ResNet](https://github.com/flukeskywalker/highway-resnet-comparison)
# * J. Chung, C. Gulcehre, K. Cho, Y. Bengio: Empirical evaluation of gated recurrent neural networks, 2014,
#   [arXiv 1412.3555](https://arxiv.org/abs/1412.3555)
#
# ## Next lesson
#
# 08 · ResNet-34: from an empty file to torchvision's logits, with the blocks of this lesson.
