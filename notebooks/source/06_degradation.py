# %% [markdown]
# # 06 · Degradation: deeper, yet worse
#
# From LeNet-5 to GoogLeNet, nets grew from 5 layers with weights to 22, and from AlexNet on, each of them lowered the
# error on ImageNet. So take a net that works, make it nearly three times as deep, and train it in the same way. In
# this lesson you do exactly that, and the deeper net fails *on the images it was trained on*. The ResNet paper opens
# with this experiment.
#
# After this lesson you can
#
# * run the degradation experiment of He et al. and read its four curves;
# * tell degradation from overfitting, from vanishing gradients and from a lack of parameters, each by a measurement;
# * construct a deep net that is as good as a shallow one, and say what its existence proves;
# * repair a 56-layer net with one line.
#
# **Minutes:** 40 reading, 40 more for the exercises · 1 running quick · 70 running full

# %% tags=["setup"]
from copy import deepcopy
from dataclasses import replace
from statistics import fmean

import torch
from torch import Tensor, nn

import resnet_edu as edu

profile = edu.profile()  # quick: 2,000 digits · full: the paper's recipe on CIFAR-10, for a GPU
data = edu.data.load(**profile.choose(quick={"name": "mnist5k", "size": 16, "limit": 2000}, full={"name": "cifar10"}))
config = profile.choose(
    quick=edu.TrainConfig(epochs=6, batch_size=64, lr=0.1, augment=()),  # a mirrored 7 is no 7: no flips
    full=edu.TrainConfig(epochs=182, batch_size=128, lr=0.1, schedule="steps", augment=("crop", "flip")),
)
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## The experiment
#
# The two nets differ in one number only, the blocks per stage. Both begin with a 3×3 convolution, go through three
# stages, and end in global average pooling and one linear layer. A block is two 3×3 convolutions, each followed by
# batch norm (which shifts and scales every channel to mean 0 and variance 1 over the batch) and ReLU. The first block
# of the second and third stage halves the side and doubles the filters. Depth counts convolutions and linear layers:
# three stages of n blocks with two convolutions each are 6n layers, and the first convolution and the linear layer add
# two. So n = 3 gives **20** layers and n = 9 gives **56**.
#
# Both nets are trained in the same way, down to the order of the images: stochastic gradient descent with momentum,
# where each step goes downhill on one batch of 64 images and keeps part of the step before. The learning rate rises to
# 0.1 in the first third of the training and then falls to nearly nothing (a *one-cycle* schedule). Training lasts six
# *epochs*, that is, six passes over the training images. The paper (section 4.2) takes 64,000 steps on CIFAR-10, with
# a rate that falls in two jumps; you take fewer than 200 on digits, so that a laptop finishes in a minute. (After
# `resnet-edu fetch cifar10` the profile `full` runs the paper's recipe: an estimated 70 minutes on one GPU.)


# %%
def train(
    name: str, shape: dict[str, int], data: edu.data.Data, config: edu.TrainConfig
) -> tuple[nn.Module, edu.History]:
    """Build one of the CIFAR nets and train it; the seed decides the initial weights too."""
    torch.manual_seed(config.seed)
    model = edu.models.build(name, **shape)
    return model, edu.fit(model, data, config)


shape = profile.choose(quick={"width": 8, "in_channels": 1}, full={"width": 16, "in_channels": 3})
nets = {name: edu.models.build(name, **shape) for name in ("plain20", "plain56")}
rows = [(name, sum(parameter.numel() for parameter in net.parameters())) for name, net in nets.items()]
edu.table(rows, ["net", "parameters"])

# %% [markdown]
# > **Before you go on, commit yourself.** The deeper net has nearly three times the layers and three times the
# > parameters. Which of the two will have the lower error on its training images after six epochs? And on images it
# > hasn't trained on? Say it aloud, then run the cell.

# %%
models, histories = {}, {}
for name in ("plain20", "plain56"):
    models[name], histories[name] = train(name, shape, data, config)
edu.plots.degradation(histories, title="56 layers are worse than 20, and on the training images too")

# %% [markdown]
# Look at the solid lines first, the error on the *training* images. The thick line lies far above the thin one: the
# 56-layer net does not fit the images that it sees six times. The dotted lines, the error on images it never saw, tell
# the same story, but they are not what is surprising here. (A dotted line can lie below its solid one, because the
# training error is an average over the epoch and the validation error is measured at its end.)

# %%
gap = profile.choose(quick=10, full=1)  # points of error that settle a comparison; the paper's are smaller
shallow, deep = histories["plain20"].last, histories["plain56"].last
assert deep.train_error > shallow.train_error + gap, "plain-56 fits the training images worse than plain-20"
assert deep.val_error > shallow.val_error + gap, "plain-56 is worse on the validation images as well"
rows = [(name, f"{run.last.train_error:.1f} %", f"{run.last.val_error:.1f} %") for name, run in histories.items()]
edu.table(rows, ["net", "training error", "validation error"])

# %% [markdown]
# **This is not overfitting.** A net that overfits is good on the training images and bad on others. Here the deeper
# net is bad on the training images themselves, so remedies against overfitting, such as dropout or augmentation, aim
# at the wrong thing. He et al. named the effect *degradation*. As the authors say, others had seen it before, but He
# et al. made it the central question of their paper.

# %% [markdown]
# ### Exercise 6.1 · A plain block
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Write the block of the plain nets: 3×3 convolution, batch norm, ReLU, and the same again. The first convolution takes
# the given `stride`; apart from that, the side stays the same. Convolutions that are followed by batch norm need no
# bias.
#
# <details><summary>Hint 1</summary>
#
# A 3×3 convolution keeps the side when it has `padding=1`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Six modules: `conv1`, `bn1`, `relu1`, `conv2`, `bn2`, `relu2`. Only `conv1` sees `in_channels` and `stride`.
#
# </details>


# %% tags=["exercise"]
class MyPlainBlock(nn.Module):
    """Maps (N, in_channels, H, W) to (N, channels, H / stride, W / stride)."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        x = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(x)))
        ### END SOLUTION


# %% tags=["check"]
edu.checks.check_plain_block(MyPlainBlock)

# %% [markdown]
# ## One addition per block
#
# Now change a single thing. Around every block, add the block's input to its output, just before the last ReLU:
#
# $$\text{plain: } \mathrm{ReLU}(F(x)) \qquad\qquad \text{residual: } \mathrm{ReLU}(F(x) + x)$$
#
# Nothing else changes: same layers, same initial values, same images in the same order. Where a block halves the side
# and doubles the channels, only every second row and column of $x$ is kept, and channels of zeros are added (option A
# of the paper). That needs no parameters.

# %%
initial = []
for name in ("plain56", "resnet56"):
    torch.manual_seed(config.seed)
    initial.append(edu.models.build(name, **shape).state_dict())
assert initial[0].keys() == initial[1].keys()
assert all(torch.equal(initial[0][key], initial[1][key]) for key in initial[0])
print(f"plain-56 and ResNet-56 begin with the same values in all {len(initial[0])} tensors")

# %%
for name in ("resnet20", "resnet56"):
    models[name], histories[name] = train(name, shape, data, config)
edu.plots.degradation(histories, title="One addition per block, and 56 layers fit as well as 20")

# %%
rows = []
for name, history in histories.items():
    weights = sum(parameter.numel() for parameter in models[name].parameters())
    rows.append((name, f"{history.last.train_error:.1f} %", f"{history.last.val_error:.1f} %", weights))
repaired = histories["resnet56"].last
assert repaired.train_error < deep.train_error - gap, "the additions repair the 56-layer net"
assert repaired.train_error < histories["resnet20"].last.train_error + 2, (
    "with them, 56 layers fit as well as 20, within two points"
)
edu.table(rows, ["error, last epoch", "training", "validation", "parameters"])

# %% [markdown]
# **Nor is it a lack of parameters.** The plain and the residual net of the same depth have exactly the same number, as
# the table shows, because the additions have none. The same is true of the paper's nets, which have 16 filters in the
# first stage and take colour images. The paper gives 0.27 and 0.85 million parameters (table 6):

# %% tags=["nbval-check-output"]
for depth in (20, 56):
    for kind in ("plain", "resnet"):
        count = sum(parameter.numel() for parameter in edu.models.build(f"{kind}{depth}").parameters())
        assert round(count / 1e6, 2) == edu.facts.HE_MILLION_PARAMETERS[f"resnet{depth}"].value
        print(f"{kind}{depth}: {count:,} parameters")

# %% [markdown]
# ### Exercise 6.2 · The line that repairs plain-56
#
# **Difficulty** ●●○○○ · **5 minutes**
#
# Here is the forward pass of a plain block. The one line that turns it into a residual block is missing.
# `self.shortcut(x)` returns `x`, thinned out and padded as described above where the shape changes.
#
# <details><summary>Hint 1</summary>
#
# The addition comes after the second batch norm and before the last ReLU.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Write `out = out + …`. The short form `out += …` computes the same, but overwrites the output of `bn2`, which the
# instruments of later lessons want to read.
#
# </details>


# %% tags=["exercise"]
class RepairedBlock(edu.models.ResidualBlock):
    """A plain block with the one line that is missing. Layers and shortcut come from the parent class."""

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        ### BEGIN SOLUTION
        out = out + self.shortcut(x)
        ### END SOLUTION
        return self.relu2(out)


# %% tags=["check"]
edu.checks.check_repair(RepairedBlock)

# %% [markdown]
# ## Do the gradients vanish?
#
# Many texts say that plain deep nets fail because their gradients vanish on the way back to the first layers. That is
# true of deep nets with sigmoids and careless initial weights, and lesson 05 measures it. Is it true of this one? Take
# the untrained nets, send one batch forward and back, and look at the size of the gradient in each layer. For
# comparison, here is what vanishing looks like: 55 convolutions with a sigmoid behind each and no batch norm.


# %%
def sigmoid_net(layers: int, width: int, in_channels: int) -> nn.Sequential:
    """3×3 convolutions with PyTorch's default weights, each followed by a sigmoid, then pooling and a linear layer."""
    net = nn.Sequential()
    for channels in [in_channels] + [width] * (layers - 2):
        net.extend([nn.Conv2d(channels, width, 3, padding=1), nn.Sigmoid()])
    return net.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)])


# %%
batch, labels = data.train.inputs(slice(128)), data.train.labels[:128]
torch.manual_seed(0)
nets = {name: edu.models.build(name, **shape) for name in ("plain56", "resnet56", "plain20")}
nets["55 sigmoids, no batch norm"] = sigmoid_net(56, **shape)
gradients = {name: edu.probe.gradient_norms(net, batch, labels) for name, net in nets.items()}
norms = {name: [layer.weight for layer in gradients[name]] for name in sorted(gradients)}
title, axes = "Plain-56's gradients grow towards the first layer", {"x": "layer", "y": "gradient norm of the weights"}
edu.plots.lines(norms, title=title, first=1, log=True, limits=(1e-10, 1000), **axes)

# %%
assert min(norms["plain56"]) > min(norms["plain20"]) / 2, (
    "no layer of plain-56 gets less than half of plain-20's smallest gradient"
)
assert norms["plain56"][0] > 10 * norms["plain56"][-1], "towards the first layer they grow instead of vanishing"
assert norms["55 sigmoids, no batch norm"][0] < 1e-20, "this is what vanishing looks like"
edu.table(
    [(name, f"{values[0]:.2g}", f"{values[-1]:.2g}", f"{min(values):.2g}") for name, values in norms.items()],
    ["gradient norm of the weights", "first layer", "last layer", "smallest"],
)

# %% [markdown]
# The sigmoid net's gradient falls off the bottom of the picture and goes on falling, until the computer rounds it to
# zero. Its first layers will never move. Plain-56 shows nothing of the kind. Batch norm keeps each layer's signal from
# dying on the way forward, and on the way back the gradient doesn't die either: it *grows*.
#
# Yang et al. (2019) derive such a growth for very wide, fully connected nets with batch norm and ReLU at the start of
# training: a factor of $\sqrt{\pi/(\pi-1)} \approx 1.21$ per layer. The next cell measures ours, on the gradients with
# respect to the convolutions' *outputs*: the 17th root of a stage's first norm over its last is the average growth per
# layer. In five seeds it lay between 1.14 and 1.21 in every stage, so our narrow net comes close. The residual net's
# gradient stays within two powers of ten in all layers. A likely reason: the addition hands it past each block as well
# as through it.

# %%
flowing = [layer.activation for layer in gradients["plain56"]]
stages = [flowing[start : start + 18] for start in (1, 19, 37)]
growth = [(stage[0] / stage[-1]) ** (1 / 17) for stage in stages]
limit = edu.facts.BATCH_NORM_RELU_GROWTH
print("plain-56: growth of the gradient per layer, stage by stage:", [round(factor, 2) for factor in growth])
print(f"wide nets: {limit}; {limit.source.text}")
print(f'{edu.facts.HE_2015.text}, section 4.1: "{edu.facts.HE_ON_GRADIENTS}"')
assert all(1.1 < factor < limit.value + 0.05 for factor in growth)
assert max(norms["resnet56"]) < 100 * min(norms["resnet56"])

# %% [markdown]
# So "vanishing" is the wrong word here. The paper checked its 34-layer ImageNet net, found healthy norms, and wrote
# that the difficulty is unlikely to be caused by vanishing gradients. Our 56 narrow layers show the opposite, growth,
# which Yang et al. name as an obstacle in its own right. And size is not all: the deeper a plain net is, the less its
# gradients with respect to two nearly equal *inputs* have in common (Balduzzi et al. 2017; lesson 05, without batch
# norm). How much each effect contributes is still argued about.
#
# ## A solution exists, and SGD doesn't find it in this budget
#
# Could it be that a plain 56-layer net simply can't express what a 20-layer net can? No, and the paper's argument
# needs no further training. Take the trained plain-20 and insert six blocks at the end of each stage that return their
# input. The result has 56 layers and gives the same predictions, image by image.

# %%
edu.plots.identity_extension()

# %% [markdown]
# How does a block of convolutions, batch norms and ReLUs return its input? Each filter is zero except for a 1 in the
# centre of its own channel, so a convolution passes its input on. Batch norm subtracts a mean μ and divides by a
# standard deviation σ, so you set its bias to μ and its weight to σ, which undoes both. And the input of a block comes
# out of a ReLU, so it isn't negative, and another ReLU doesn't change it. Now write that block.
#
# ### Exercise 6.3 · A block that does nothing
#
# **Difficulty** ●●●○○ · **15 minutes**
#
# You get a plain block as in exercise 6.1, with the same number of channels in and out and stride 1, and the features
# `x` of a batch of images, which come out of a ReLU. Set the weights and the running statistics of the block so that
# it returns `x` in evaluation mode, and in training mode too, where batch norm takes mean and variance from the batch.
# Return the block.
#
# <details><summary>Hint 1</summary>
#
# `nn.init.dirac_(conv.weight)` makes a convolution that returns its input.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A batch norm computes `(x - mean) / sqrt(var + eps) * weight + bias`, channel by channel. The mean runs over images, height
# and width: `x.mean(dim=(0, 2, 3))`. In training mode the variance divides by N: `x.var(dim=(0, 2, 3), correction=0)`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# In evaluation mode the same formula uses `running_mean` and `running_var`. Tensors are changed in place with `copy_`, and
# weights only inside `torch.no_grad()`.
#
# </details>


# %% tags=["exercise"]
@torch.no_grad()
def pass_through(block: nn.Module, x: Tensor) -> nn.Module:
    """The block with weights and running statistics for which it returns `x` (N, C, H, W)."""
    ### BEGIN SOLUTION
    for conv, bn in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
        nn.init.dirac_(conv.weight)
        var, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
        bn.running_mean.copy_(mean)
        bn.running_var.copy_(var)
        bn.bias.copy_(mean)
        bn.weight.copy_((var + bn.eps).sqrt())
    return block
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_pass_through(pass_through)

# %% [markdown]
# `extend_with_identity` does this to all 18 new blocks. The next cell compares the two nets in both modes, in float64,
# because in float32 the rounding of 36 more batch norms adds up. In training mode the copy is exact only for the batch
# whose μ and σ were built in.

# %%
shallow, images = deepcopy(models["plain20"]).cpu().double(), data.train.inputs(slice(128)).double()
extended = edu.models.extend_with_identity(shallow, 56, images=images)
layers = sum(isinstance(module, nn.Conv2d | nn.Linear) for module in extended.modules())
differences = {}
for mode in ("evaluation", "training"):
    pair = [deepcopy(net).train(mode == "training") for net in (shallow, extended)]
    with torch.inference_mode():
        shallow_logits, deep_logits = (net(images) for net in pair)
    differences[mode] = (deep_logits - shallow_logits).abs().max().item()
print(f"{layers} layers with weights; largest difference of a logit: {differences}")
assert layers == 56
assert max(differences.values()) < 1e-5, "on these images the extended net is the shallow net, in both modes"

# %%
extended = extended.float().to(edu.machine.device())
errors = {
    "plain-20 as SGD found it": edu.evaluate(models["plain20"], data.train).top1_error,
    "plain-56 as SGD found it": edu.evaluate(models["plain56"], data.train).top1_error,
    "plain-56 as we wrote it down": edu.evaluate(extended, data.train).top1_error,
}
steps = config.epochs * edu.data.steps_per_epoch(len(data.train), config.batch_size)
print(f"trained for {steps} steps; He et al. on CIFAR-10: {edu.facts.HE_CIFAR10_STEPS}")
assert errors["plain-56 as we wrote it down"] < errors["plain-56 as SGD found it"] - gap, "a better net exists"
edu.table([(name, f"{error:.1f} %") for name, error in errors.items()], ["net, with fixed weights", "training error"])

# %% [markdown]
# The two plain-56 are points in the same space of weights. One is good, and SGD, which starts from random weights,
# ends at the other. So the net's *capacity* is not what's missing.
#
# Does SGD at least stay at the good point, once it's there? Continue training from it for two more epochs, once with a
# highest rate of 0.1, as for all nets on this page, and once with a twentieth of that. Plain-20, which computes the
# same function from fewer layers, goes on in the same two ways as the control.
#
# > **Before you run it:** what will the training error of each be?

# %%
goes_on = {"plain-20 as SGD found it": models["plain20"], "plain-56 as we wrote it down": extended}
after = {}
for name, start in goes_on.items():
    for rate in (0.1, 0.005):
        net = deepcopy(start)
        edu.fit(net, data, replace(config, lr=rate, epochs=2))
        after[name, rate] = edu.evaluate(net, data.train).top1_error
shallow_before, deep_before = (errors[name] for name in goes_on)
assert after["plain-20 as SGD found it", 0.1] < shallow_before + 2, "the shallow net copes with the usual steps"
assert after["plain-56 as we wrote it down", 0.1] > deep_before + 1.5 * gap, "the deep net is thrown out by them"
assert after["plain-56 as we wrote it down", 0.005] < deep_before + 1, "with small steps it stays"
rows = [(name, f"{errors[name]:.1f} %", *(f"{after[name, rate]:.1f} %" for rate in (0.1, 0.005))) for name in goes_on]
edu.table(rows, ["training error of", "before", "two epochs at 0.1", "two epochs at 0.005"])

# %% [markdown]
# In all six seeds we tried, the written-down net stays at 0.005 and even improves a little. At 0.1 it gets thrown out,
# to between 31 and 76 %, while plain-20's error moves by less than one point. So a good region exists, and SGD can
# live in it, but not with steps of the usual size. This experiment can't tell what pushes the net out.
#
# Whatever it is, this is **a problem of optimisation**: from where nets start, and in the number of steps that other
# nets need, SGD doesn't reach the good region. Would smaller steps or another recipe get it there? That's what a
# sceptic asks further down.
#
# That turns the question around. If a block that does nothing would already be good enough, make "do nothing" easy to
# learn. This is the paper's hypothesis about $F(x) + x$: it's easier to push $F$ towards zero than to fit an identity
# with two convolutions and ReLUs. This page shows that the addition works. Why it works has more than one answer:
# short paths through the net (Veit et al. 2016, lesson 07), gradients that stay alike (Balduzzi et al. 2017), a
# smoother loss (Li et al. 2018).

# %% [markdown]
# ## Five seeds, four depths
#
# One run is an anecdote. The course comes with a recorded study of the same experiment: plain and residual nets of 20,
# 32, 44 and 56 layers, five seeds each, with the quick settings of this page. (`resnet-edu study mnist5k-degradation
# --out FOLDER` reproduces it.)

# %%
study = edu.study.load_study("mnist5k-degradation")
errors = {
    kind: {depth: [run.last.train_error for run in study.of(f"{net}{depth}")] for depth in (20, 32, 44, 56)}
    for kind, net in {"plain": "plain", "residual": "resnet"}.items()
}
title, y = "Depth hurts plain nets only (five seeds each)", "training error in the last epoch (%)"
edu.plots.runs_over(errors, title=title, x="depth (layers with weights)", y=y, limits=(0, None))

# %%
train_errors = {name: torch.tensor([run.last.train_error for run in study.of(name)]) for name in study.settings}
test_errors = {name: torch.tensor(study.found(name, "test_error")) for name in study.settings}
rows = [
    (name, *(f"{errors[name].mean():.1f} ± {errors[name].std():.1f}" for errors in (train_errors, test_errors)))
    for name in study.settings
]
edu.table(rows, ["error, last epoch: mean ± standard deviation of five seeds", "training (%)", "test (%)"])

# %%
plain20, plain56, resnet20, resnet56 = (train_errors[n] for n in ("plain20", "plain56", "resnet20", "resnet56"))
assert (plain56 > plain20 + 10).all(), "plain-56 is worse with every seed"
assert (resnet56 < plain56 - 10).all(), "the additions repair it with every seed"
assert (resnet56 < resnet20 + 2).all(), "ResNet-56 fits about as well as ResNet-20, or better"
print(f"plain-56 is worse than plain-20 by {(plain56 - plain20).min():.0f} to {(plain56 - plain20).max():.0f} points")
print(f"plain-56, seed by seed: {', '.join(f'{error:.0f} %' for error in plain56)}")

# %% [markdown]
# Look at the last line. Nothing but the seed is different, and yet plain-56 ends anywhere between half and three
# quarters wrong. So one run of it tells you little; that all five are far above plain-20 tells you a lot. (The first
# number has the seed and settings of your run at the top of this page, but yours may differ: machines can round sums
# differently, and in a net like this one such a difference grows with every step.)
#
# ## What a sceptic would ask
#
# So far you've seen one recipe: a rate of 0.1, one schedule, six epochs. Perhaps it's the recipe that fails and not
# the net. A second record, `mnist5k-sceptic`, trains plain and residual nets of 20 and 56 layers on the same digits at
# six learning rates, with three seeds, and some runs are ten times as long.
#
# ### Is it the learning rate?
#
# If so, plain-56 should do well at some other rate.

# %%
sceptic = edu.study.load_study("mnist5k-sceptic")
names, rates = ("plain20", "plain56", "resnet20", "resnet56"), (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
by_rate = {
    net: {rate: [run.last.train_error for run in sceptic.of(f"{net} at {rate:g}")] for rate in rates} for net in names
}
title, x = "Training error in the 6th epoch, by learning rate", "highest learning rate of the schedule"
edu.plots.runs_over(by_rate, title=title, x=x, y="training error (%)", limits=(0, None))

# %%
at_best = {net: min(errors.items(), key=lambda item: fmean(item[1])) for net, errors in by_rate.items()}
rows = [(net, f"{rate:g}", *(f"{error:.1f} %" for error in errors)) for net, (rate, errors) in at_best.items()]
assert min(at_best["plain56"][1]) > max(at_best["plain20"][1]) + 20, "each at its own best rate, with every seed"
edu.table(rows, ["net", "best rate", "training error, seed 0", "seed 1", "seed 2"])

# %% [markdown]
# It isn't the rate. With each net at the best of the six rates, plain-56 stays more than 20 points behind plain-20.
# Its best is 0.1, and it ends worse at 0.3 and at all four lower rates.
#
# ### Are the first steps too large?
#
# In plain-56 the gradient grows towards the input, so the first layers take the largest steps. How large a step is
# depends on what it's added to, so divide it by the size of the weights: $\eta\,\lVert g\rVert / \lVert w\rVert$ with
# the learning rate $\eta$. At 1 a step is as long as the weights that it changes. The record holds this number for
# every layer at the first step, where the schedule is still at a twenty-fifth of its highest rate, 0.004.

# %%
first_steps = {net: sceptic.found(f"{net} at 0.1", "first_step")[0] for net in names}
assert first_steps["plain56"][0] > 0.3, "the first step changes plain-56's first layer by a large part of itself"
assert max(max(first_steps[net]) for net in ("plain20", "resnet20", "resnet56")) < 0.02
edu.plots.lines(
    first_steps, log=True, first=1, x="layer", y="step / weights, first step",
    title="Plain-56 rewrites its first layer in one step",
)  # fmt: skip

# %% [markdown]
# That's a serious suspect: the first step replaces plain-56's first layer, while no other net changes any of its
# layers by more than about a hundredth. (This is seed 0; the other two say the same.) Two remedies are aimed at it.
# The rate can rise more slowly, over three of the six epochs, and the gradient can be *clipped*, that is, shortened
# whenever its norm is above 1 (lesson 05). For contrast, the record also holds runs that start at the full rate. Each
# net is shown at whichever of the rates 0.01, 0.03 and 0.1 suits it best.

# %%
arms = {"as above": "", "full rate at once": ", no warm-up", "slow rise": ", long warm-up", "clipped": ", clipped"}
pairs = {}
for arm, suffix in arms.items():
    runs = {
        net: [[run.last.train_error for run in sceptic.of(f"{net} at {rate:g}{suffix}")] for rate in (0.01, 0.03, 0.1)]
        for net in ("plain20", "plain56")
    }
    pairs[arm] = tuple(min(errors, key=fmean) for errors in runs.values())
for arm, (shallow_errors, deep_errors) in pairs.items():
    assert min(deep_errors) > max(shallow_errors) + 20, arm
edu.plots.paired_seeds(
    pairs, ("plain-20", "plain-56"), y="training error (%)", title="Neither a slow rise nor clipping saves plain-56"
)

# %% [markdown]
# Neither remedy closes the gap. With a slow rise plain-56 ends about where it did before, and clipped it hardly
# learns. A likely reason: the first layers' gradients are by far the largest, so they decide the norm, and the clip
# shortens the steps of all other layers with theirs, though those were small already. (We tried one limit and no rate
# above 0.1, where clipping did best, so this arm isn't the last word.) With the full rate at once plain-56 ends worse
# (75 % on average instead of 56 %), so the start does matter, but gentler first steps aren't enough. None of this
# clears the gradients of all blame.
#
# ### Does it lack steps?
#
# Ten times as many, then: 60 epochs, at each of the three rates that were best after six, with three seeds. That makes
# nine runs of each net.

# %%
longer = {}
for net in ("plain20", "plain56"):
    labels = [label for label in sceptic.settings if label.startswith(net) and label.endswith("60 epochs")]
    runs = [run for label in labels for run in sceptic.of(label)]
    errors = torch.tensor([[epoch.train_error for epoch in run.epochs] for run in runs])  # (9 runs, 60 epochs)
    longer[net] = errors[errors[:, -1].argsort()]  # the best run first
fast, slow = longer["plain20"], longer["plain56"]
by_epoch = {
    "plain20, mean of nine": fast.mean(0),
    "plain56, mean of eight": slow[:8].mean(0),
    "one run of plain56, the ninth": slow[8],
}
title, axes = "With ten times the steps plain-56 comes down, too", {"x": "epoch", "y": "training error (%)"}
edu.plots.lines({name: mean.tolist() for name, mean in by_epoch.items()}, title=title, first=1, limits=(0, 100), **axes)

# %%
assert slow[:8, -1].max() < 5, "with ten times the steps eight of nine runs of plain-56 nearly fit the digits"
at_a_tenth = [run.last.train_error for run in sceptic.of("plain56 at 0.1, 60 epochs")]
assert 20 < at_a_tenth[2] < 25, "the third seed at the highest rate does not"
assert slow[:, -1].min() > fast[:, -1].max(), "every run of plain-20 fits them better"
assert fast[:, -1].max() < 0.05, "0.0 % in each of its nine"
assert slow[:, 9].min() > fast[:, 9].max() + 20, "after ten of the 60 epochs plain-56 is far behind"
steps = {net: [int((run < 5).nonzero()[0]) + 1 for run in runs if run.min() < 5] for net, runs in longer.items()}
assert 2 < fmean(steps["plain56"]) / fmean(steps["plain20"]) < 4, "about three times as many epochs"
ends = {net: f"{runs[:8, -1].min():.1f} to {runs[:8, -1].max():.1f} %" for net, runs in longer.items()}
rows = [(net, f"{min(n)} to {max(n)}", f"{len(n)} of 9", ends[net]) for net, n in steps.items()]
edu.table(rows, ["net", "epochs to below 5 %", "runs that get there", "the best eight end at"])

# %%
labels = [label for label in sceptic.settings if label.startswith("resnet") and label.endswith("60 epochs")]
residual = [run.last.train_error for label in labels for run in sceptic.of(label)]
assert len(residual) == 18
assert max(residual) < 0.05
print(f"the two residual nets, 60 epochs: {len(residual)} runs, training error at most {max(residual):.1f} %")

# %% [markdown]
# So plain-56 isn't stuck. It comes down far more slowly than plain-20: to get below 5 % it needs about three times as
# many epochs. After 60, eight of its nine runs have nearly fitted the digits, at 0.3 to 2.5 %; plain-20 ends at 0.0 %
# in each of its nine. The ninth run of plain-56, at the highest of the three rates, 0.1, comes down as well but ends
# at 23 %. With the additions, 56 layers end at 0.0 % in every run, just as 20 do.
#
# Let's keep two words apart in this course. A deep net is **slow** if a larger budget for both nets brings its
# training error closer to the shallower net's. It's **degraded** if a gap remains however large the budget. A net can
# be both. (The paper calls the symptom itself degradation, a deeper net with a higher training error, and so does
# exercise 6.4.) On these digits plain-56 is *slow*: with ten times the steps it has nearly caught up in eight runs of
# nine.
#
# And the paper's nets? He et al. trained for 64,000 steps on CIFAR-10 and saw a gap; on ImageNet they tried three
# times as many steps and the problem remained. They conjecture that deep plain nets converge exponentially slowly,
# which would be slow by our criterion, with a budget that nobody has. No run of finite length can prove degradation,
# so this question stays open. What isn't open is the cure: with the additions the same layers fit within six epochs.
#
# ## The paper's pictures
#
# The third record is CIFAR-10: the paper's four nets at full width, with its crops and flips and its 45,000 training
# images, but 10 passes over them instead of about 180. (Our copy was saved as JPEG files, which blurs the pictures a
# little.) Plain-56 takes more than ten minutes on two cores, so each net has only three runs, by the same recipe.

# %%
cifar = edu.study.load_study("cifar10-jpeg")
on_cifar = {name: cifar.of(name) for name in ("plain20", "plain56", "resnet20", "resnet56")}
first = {name: runs[0] for name, runs in on_cifar.items()}
edu.plots.degradation(first, title="CIFAR-10, seed 0: plain-56 falls behind, ResNet-56 leads", held_out="test")

# %%
he, others = edu.facts.HE_CIFAR10, edu.facts.RERUNS_CIFAR10["nabla0001"]
rows = []
for name, runs in on_cifar.items():
    training = [run.last.train_error for run in runs]
    here = (", ".join(f"{error:.1f}" for error in errors) for errors in (training, cifar.found(name, "test_error")))
    rows.append((name, he.get(name, "figure only"), others[name], *here))
epochs = len(first["plain20"])
edu.table(
    rows,
    ["error (%)", "He et al., test", "nabla0001, test, 5 runs", f"here, {epochs} epochs, training", "here, test"],
)

# %%
best_first = ["resnet56", "resnet20", "plain20", "plain56"]
for seed in range(len(on_cifar["plain56"])):
    training = {name: runs[seed].last.train_error for name, runs in on_cifar.items()}
    test = {name: cifar.found(name, "test_error")[seed] for name in on_cifar}
    for errors in (training, test):
        assert sorted(errors, key=errors.get) == best_first, "the same order with every seed"
passes = edu.facts.HE_CIFAR10_STEPS.value * 128 / 45_000  # images a step, training images
minutes = min(run.seconds for run in on_cifar["plain56"]) / 60
print(f"passes over the training images: {passes:.0f} in the paper, {len(first['plain56'])} here")
print(f"training plain-56 took {minutes:.0f} minutes at best, on {cifar.runs[-1]['machine']['cores']} cores")
assert others["plain56"].value > others["plain20"].value, "with twenty times the epochs plain-56 is still behind"

# %% [markdown]
# The order is the paper's, in training and in test, with all three seeds: ResNet-56, ResNet-20, plain-20, plain-56.
# ResNet-56 also *beats* ResNet-20, by one to two and a half points, which it didn't on the digits. Plain-56 is much
# further behind than in the rerun, which trained about twenty times as long.
#
# Do more steps bring it closer? Each net also has one run of 40 epochs, with the same rise and fall of the learning
# rate stretched over them:

# %%
rows, gaps = [], {}
for kind in ("plain", "resnet"):
    for label in ("", ", 40 epochs"):
        runs = [cifar.of(f"{kind}{layers}{label}")[0] for layers in (20, 56)]
        epochs, (shallow, deep) = len(runs[0]), (run.last.train_error for run in runs)
        gaps[kind, epochs] = deep - shallow
        rows.append(
            (kind, epochs, f"{shallow:.1f} %", f"{deep:.1f} %", f"{deep - shallow:+.1f}", f"{deep / shallow:.1f}")
        )
        assert deep > 2 * shallow if kind == "plain" else deep < shallow
assert gaps["plain", 40] < gaps["plain", 10] / 2, "four times the epochs more than halve the plain nets' gap"
columns = ["nets, seed 0", "epochs", "20 layers, training error", "56 layers", "points apart", "times as many"]
edu.table(rows, columns)

# %%
longer = {name: cifar.found(f"{name}, 40 epochs", "test_error")[0] for name in best_first}
assert sorted(longer, key=longer.get) == best_first, "the same order as after 10 epochs"
print(f"test error after 40 epochs: {', '.join(f'{name} {error:.1f} %' for name, error in longer.items())}")

# %% [markdown]
# Yes, in points: four times the epochs cut the plain nets' gap from 30 to 9, so plain-56 is *slow* on these pictures,
# too. In proportion it hardly comes closer: it makes more than twice as many errors as plain-20 both times. With the
# additions it's the other way round. Longer training puts the deep net further ahead: after 40 epochs ResNet-56 makes
# less than half as many training errors as ResNet-20, and it leads in the test, too.
#
# Whether anything of the plain nets' gap would remain in the end, no run of ours can say, and one seed gives the
# direction rather than the digits. After about 180 epochs, the rerun's plain-56 was still three points behind, in test
# error.

# %% [markdown]
# ### Explore: depth and skip
#
# Choose a depth and switch the additions on and off. The grey curve is the plain 20-layer net, the one to beat. Before
# you switch them on: at which depth does the plain net first miss a third of its own training images?

# %% tags=["explorer"]
explorer = edu.widgets.depth_and_skip(study)
explorer

# %% [markdown]
# It's at 44 layers (50 % on average; at 32 it's still 20 %). If widgets don't run where you read this, here are three
# of the nets. With more layers the plain nets' curves flatten and spread. With the additions, 56 layers end below the
# grey curve.

# %%
explorer.twin({"plain, 44 layers": {"depth": 44}, "plain, 56 layers": {}, "56 layers with additions": {"skip": True}})

# %% [markdown]
# ### Exercise 6.4 · Read six curves
#
# **Difficulty** ●●●○○ · **10 minutes**
#
# Six training runs, six stories: one is healthy, the others are not. Name each panel. The choices are `"healthy"`,
# `"overfitting"`, `"degradation"`, `"learning rate too high"`, `"learning rate too low"` and `"labels shuffled"` (the
# training images were given each other's labels). Each is the right answer once. Where a panel shows two nets, the
# thick lines belong to the deeper one. The faint line is the error of guessing.
#
# <details><summary>Hint 1</summary>
#
# Look at the training error first. Does it get near zero (then compare the validation error), fall slowly, or never
# leave guessing?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Labels that mean nothing can only be learned by heart: slowly on the training images, and not at all on the others.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# A rate that is too high jumps about or never leaves guessing. A rate that is too low creeps in the right direction, training
# and validation together, without a jump.
#
# </details>


# %% tags=["exercise"]
def my_reading() -> dict[str, str]:
    """The diagnosis of each panel, A to F."""
    ### BEGIN SOLUTION
    return {
        "A": "overfitting",
        "B": "learning rate too low",
        "C": "degradation",
        "D": "labels shuffled",
        "E": "healthy",
        "F": "learning rate too high",
    }
    ### END SOLUTION


edu.plots.six_curves(edu.checks.six_curves())

# %% tags=["check"]
edu.checks.check_read_curves(my_reading)

# %% [markdown]
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "Deep plain nets overfit." | Training error of plain-56 against plain-20 | **Wrong.** It is the *training* error that rises. |
# | "Degradation is caused by vanishing gradients." | Gradient norm of every layer at the start | **Not supported here.** Plain-56's smallest gradient isn't much smaller than plain-20's; the gradients grow towards the input. |
# | "A better learning rate or a gentler start would fix it." | Six rates; a slower rise; clipping; three seeds each | **Not here.** At its own best rate plain-56 stays more than 20 points behind plain-20. |
# | "ResNet wins because its shortcuts add capacity." | Parameters of plain-56 and ResNet-56 | **Wrong** for option A: the shortcuts have no parameters. |
# | "Copying the shallow net and adding identity layers does at least as well." | The construction above, and two more epochs from it | **Right** in evaluation mode, and in training mode on the batch it was built for, to 1e-5. SGD stays there if its steps are small enough. |
# | "With residual connections, the deeper the better." | The records of digits and of CIFAR-10, and the paper's net of 1,202 layers | **Half right.** On the digits depth up to 56 layers does neither harm nor good; on CIFAR-10 ResNet-56 beats ResNet-20. The paper's 1,202 layers fit their training images and are worse on the test images than 110, which the authors put down to overfitting. |

# %%
counts = [sum(p.numel() for p in edu.models.build(name).parameters()) for name in ("plain56", "resnet56")]
assert (plain56 > plain20).all(), "not overfitting: the training error itself is higher"
assert min(norms["plain56"]) > min(norms["plain20"]) / 2, "not vanishing gradients"
assert counts[0] == counts[1], "not a lack of parameters"
assert max(differences.values()) < 1e-5, "the construction holds"
assert he["resnet1202"].value > he["resnet110"].value, "deeper is not better without end"
print(f"CIFAR-10 test error: ResNet-110 {he['resnet110']}, ResNet-1202 {he['resnet1202']}")
print(f"training error of ResNet-1202: {edu.facts.HE_RESNET1202_TRAINING_ERROR} · {he['resnet1202'].source}")

# %% [markdown]
# ## Summary
#
# * After six epochs a plain net of 56 layers fits its own training images worse than one of 20 layers: what the paper
#   calls degradation.
# * It is not overfitting: the training error rises. The gradients do not vanish at the start; they grow. Nor is it a
#   lack of parameters: the residual net has the same number.
# * A good plain net of 56 layers exists, since you can write it down. SGD, from random weights and with this budget,
#   does not find it; started there, it stays if its steps are small. This is a problem of optimisation.
# * It isn't the learning rate, and neither a slower rise nor clipping at norm 1 repaired it. On these digits the deep
#   plain net is *slow*: ten times the steps bring it close, in eight runs of nine. On CIFAR-10, four times the epochs
#   cut the gap to a third, in points; there and on ImageNet, in the longest runs quoted here, it stayed behind.
# * Adding a block's input to its output repairs the net: up to 56 layers, depth no longer hurts. The paper's
#   explanation is that this makes "do nothing" easy to learn.
#
# ## Sources
#
# * K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition, 2015, sections 1, 3, 4.1 and 4.2, [arXiv
#   1512.03385](https://arxiv.org/abs/1512.03385)
# * G. Yang, J. Pennington, V. Rao, J. Sohl-Dickstein, S. Schoenholz: A mean field theory of batch normalization, 2019, [arXiv
#   1902.08129](https://arxiv.org/abs/1902.08129)
# * D. Balduzzi et al.: The shattered gradients problem, 2017, [arXiv 1702.08591](https://arxiv.org/abs/1702.08591)
# * A. Veit, M. Wilber, S. Belongie: Residual networks behave like ensembles of relatively shallow networks, 2016, [arXiv
#   1605.06431](https://arxiv.org/abs/1605.06431)
# * H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein: Visualizing the loss landscape of neural nets, 2018, [arXiv
#   1712.09913](https://arxiv.org/abs/1712.09913)
# * Reruns of the CIFAR-10 experiment: [nabla0001/resnet](https://github.com/nabla0001/resnet)
#
# ## Next lesson
#
# 07 · Residual blocks: the block itself, its three shortcuts, its bottleneck, and what happens when you take one out.
