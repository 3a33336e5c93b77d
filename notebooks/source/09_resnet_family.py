# %% [markdown]
# # 09 · The ResNet family: 18 to 200 layers
#
# In lesson 08 you built ResNet-34. Here you change one list of four numbers (and the block, from 50 layers on) and get
# nets of 18 to 200 layers. You find out what
# depth costs and what it buys, read parameter counts that seem to contradict each other, and see a deep net lose.
#
# After this lesson you can
#
# * say which layers a ResNet's name counts, and count them from its stage list;
# * compute the parameters of a bottleneck by hand, and explain a published count to the last parameter;
# * choose a net under a budget of multiply-adds and parameters;
# * tell two nets apart that have the same name and the same weights but compute different things;
# * predict when a deep net loses against a shallow one, and test it.
#
# **Minutes:** 30 reading, 35 more for the exercises · 1 running quick · 4 running full

# %% tags=["setup"]
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import pairwise
from statistics import mean

import torch
import torchvision
from torch import nn

import resnet_edu as edu
from resnet_edu.models import BasicBlock, Bottleneck, ResNet
from resnet_edu.models.resnet import DEPTHS

profile = edu.profile()
data = edu.data.load("mnist5k", size=16, limit=1000)
data = replace(data, val=data.test)  # this lesson chooses nothing, so it may look at the test images after every epoch
print(edu.setup(seed=0), f"data       {data.source}", sep="\n")

# %% [markdown]
# ## The end of a race
#
# From 2010 on, the ImageNet challenge asked each year for the objects in 100,000 photos or more, with 1,000 classes to
# choose from. An answer may name five classes and
# counts as an error if the right one is not among them: the *top-5 error*. In 2015 a ResNet won.

# %%
errors = {entry: fact.value for entry, fact in edu.facts.ILSVRC_TOP5.items()}
edu.plots.challenge_history(errors, human=edu.facts.HUMAN_TOP5.value)

# %% [markdown]
# AlexNet's bar is its result without further data; with another release of ImageNet for pre-training it won with 15.3 %. The
# dashed line is one person who had trained for the task. We come back to that line below. What won in 2015 was an average over six ResNets, the deepest
# with 152 layers, eight times as many as VGG-19.
#
# ## One class, six nets
#
# All of them are one class with two options: which block, and how many blocks in each of the four stages. A *GMAC* is a billion
# multiply-adds, for one image. Papers often call it a billion FLOPs.

# %% tags=["nbval-check-output"]
costs = {}
print("            block        blocks              layers    parameters   GMACs at 224×224")
for depth, (block, blocks) in DEPTHS.items():
    with torch.device("meta"):  # shapes without memory: counting needs no numbers
        model = edu.models.build(f"resnet{depth}")
    costs[f"ResNet-{depth}"] = summary = edu.probe.summary(model, (3, 224, 224))
    layers = 2 + {BasicBlock: 2, Bottleneck: 3}[block] * sum(blocks)
    print(
        f"ResNet-{depth:<4} {block.__name__:12} {blocks!s:16} {layers:7}   {summary.parameters:11,}   {summary.macs / 1e9:7.2f}"
    )
    assert layers == depth, "the name is the number of layers on the main path"
    assert summary.parameters == edu.facts.PARAMETERS[f"resnet{depth}"].value

# %% [markdown]
# The number in the name follows from the list. The first convolution and the linear layer at the end make 2. Each basic block adds
# two convolutions, each bottleneck three:
#
# $$\text{layers} = 2 + k\,(n_1 + n_2 + n_3 + n_4) \qquad k = 2 \text{ (basic)} \text{ or } 3 \text{ (bottleneck)}$$
#
# The CIFAR nets of lesson 06 obey it too: three stages of $n$ basic blocks give $6n + 2$. What has no weights, such as
# pooling and ReLU, is not counted. Neither is batch norm, nor the projections on the shortcuts.

# %%
with torch.device("meta"):
    resnet50 = edu.models.build("resnet50")
edu.plots.architecture(resnet50, (3, 224, 224), title="ResNet-50: 16 bottlenecks in stages of 3, 4, 6 and 3")

# %% [markdown]
# Each block is a 1×1, a 3×3 and a 1×1 convolution. Two things differ from ResNet-34. Stage 1 opens with a projection as well, since 64
# channels come in and 256 go out. And the first box of stages 2, 3 and 4 is taller: that 1×1 still works on the larger maps. We come back to it.
#
# ### Exercise 9.1 · Count the layers
#
# **Difficulty** ●○○○○ · **5 minutes**
#
# Return the number in a ResNet's name from its stage list. The list may have any length.
#
# <details><summary>Hint 1</summary>
#
# How many layers are left if every stage has 0 blocks?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `sum(blocks)` is the number of blocks, whatever the number of stages.
#
# </details>


# %% tags=["exercise"]
def count_layers(blocks: tuple[int, ...], bottleneck: bool = False) -> int:
    """Layers with weights on the main path of a ResNet with `blocks` blocks in its stages."""
    ### BEGIN SOLUTION
    convolutions = 3 if bottleneck else 2
    return 1 + convolutions * sum(blocks) + 1
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_count_layers(count_layers)

# %% [markdown]
# ## The same name, the same weights?
#
# Weights trained elsewhere load only if every tensor has the same name and the same shape. `strict=True` demands just that. Check it for
# all five nets that torchvision has, and compare the logits of two of them on random images:

# %%
for depth in (18, 34, 50, 101, 152):
    with torch.device("meta"):
        mine, theirs = edu.models.build(f"resnet{depth}"), torchvision.models.get_model(f"resnet{depth}", weights=None)
    mine.load_state_dict(theirs.state_dict(), strict=True)  # raises if a name or a shape differs
    print(f"ResNet-{depth:<3}: all {len(mine.state_dict())} tensors fit")


# %%
def with_their_weights(name: str, images: torch.Tensor) -> tuple[nn.Module, nn.Module]:
    """Our net and torchvision's with the same random weights, in evaluation mode."""
    mine, theirs = edu.models.build(name), torchvision.models.get_model(name, weights=None)
    theirs(images)  # in train mode: moves the running statistics of its batch norms
    mine.load_state_dict(theirs.state_dict(), strict=True)
    return mine.eval(), theirs.eval()


images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
for name in ("resnet18", "resnet50"):
    mine, theirs = with_their_weights(name, images)
    with torch.inference_mode():
        torch.testing.assert_close(mine(images), theirs(images), rtol=1e-4, atol=1e-4)
        difference = (mine(images) - theirs(images)).abs().max().item()
    print(f"{name}: largest difference of a logit {difference:.1e}")

# %% [markdown]
# ### Where the stride stands
#
# Names and shapes are not everything. In the paper's nets, a bottleneck that halves the side does so in its *first* 1×1 convolution.
# Torchvision, and this course with it, does so in the 3×3, which is often called **ResNet v1.5**. A stride is no
# weight, so nothing in the state dict tells the two
# apart. Build the paper's version by moving the stride, and count:


# %%
def as_in_the_paper(model: nn.Module) -> nn.Module:
    """A copy whose bottlenecks have their stride in the first 1×1 convolution."""
    older = deepcopy(model)
    for block in older.modules():
        if isinstance(block, Bottleneck) and block.conv2.stride != (1, 1):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    return older


print("GMACs        stride in the 3×3   in the first 1×1   printed in the paper")
for depth in (50, 101, 152):
    with torch.device("meta"):
        older = as_in_the_paper(edu.models.build(f"resnet{depth}"))
    counted, printed = edu.probe.summary(older, (3, 224, 224)), edu.facts.HE_GMACS[f"resnet{depth}"].value
    print(f"ResNet-{depth:<4} {costs[f'ResNet-{depth}'].macs / 1e9:18.2f} {counted.macs / 1e9:18.2f} {printed:18.1f}")
    assert abs(counted.macs / 1e9 - printed) < 0.1 < costs[f"ResNet-{depth}"].macs / 1e9 - printed

# %% [markdown]
# The paper's own numbers come out, to within a tenth. The 0.23 GMACs in between are three 1×1 convolutions, which with the stride in the 3×3
# still work on the large map. Now give both versions the same weights:

# %%
older = as_in_the_paper(mine)  # mine is the ResNet-50 with torchvision's weights
assert older.state_dict().keys() == mine.state_dict().keys(), "no name tells them apart"
with torch.inference_mode():
    here, there = mine(images), older(images)
print(
    f"logits spread over {here.std():.2f}; between the two versions they differ by up to {(here - there).abs().max():.2f}"
)
assert (here - there).abs().max() > 0.2 * here.std(), "the same weights, another function"

# %%
for name, net in (("in the 3×3", mine), ("in the first 1×1", older)):
    block = net.get_submodule("layer2.0")
    x = torch.randn(1, 256, 16, 16, requires_grad=True)
    block.conv3(block.relu2(block.bn2(block.conv2(block.relu1(block.bn1(block.conv1(x))))))).square().sum().backward()
    reached = (x.grad.abs().sum(dim=1) > 0).float().mean().item()
    print(f"stride {name:>16}: the branch reads {100 * reached:.0f} % of the pixels")
    assert reached == (1.0 if name == "in the 3×3" else 0.25)

# %% [markdown]
# So weights trained in one version load into the other without a word and give other logits. In the paper's version
# three pixels in four are never read by the branch (nor by the projection on the shortcut, in either version). When a ported net is a few points worse than
# promised, look at the stride.
#
# ## Where the cost sits
#
# Cut each net into its stages:

# %%
edu.plots.stage_costs(costs, title="From 50 to 152 layers stage 3 grows most, from there to 200 stage 2")

# %% [markdown]
# Most parameters of ResNet-18 to 50 are in stage 4, with three blocks or fewer. The multiply-adds are spread more evenly. There is a rule
# behind it. From stage to stage the side is halved and the filters are doubled:

# %% tags=["nbval-check-output"]
basic, narrow = [], []
print("million       basic block                  bottleneck")
for channels, side in ((64, 56), (128, 28), (256, 14), (512, 7)):
    basic.append(edu.probe.summary(BasicBlock(channels, channels), (channels, side, side)))
    narrow.append(edu.probe.summary(Bottleneck(4 * channels, channels), (4 * channels, side, side)))
    cells = [f"{s.parameters / 1e6:5.2f} parameters {s.macs / 1e6:4.0f} MACs" for s in (basic[-1], narrow[-1])]
    print(f"{side:2}×{side:<2}     {cells[0]}    {cells[1]}")
assert len({s.macs for s in basic}) == len({s.macs for s in narrow}) == 1, "a block costs the same in every stage"
assert all(n.macs < b.macs and n.parameters < b.parameters for b, n in zip(basic, narrow, strict=True))
assert all(3.9 < b.parameters / a.parameters < 4 for a, b in [*pairwise(basic), *pairwise(narrow)])

# %% [markdown]
# A quarter of the pixels times four times the weights: **a block that keeps its shape needs the same number of
# multiply-adds in each stage**. Its parameters grow fourfold from stage to stage. And the bottleneck, four times as
# wide at its ends, costs less than the basic block on every map.
#
# Why then does ResNet-50, with the stage list of ResNet-34, cost more at all? Because of the blocks that change the shape:

# %% tags=["nbval-check-output"]
starts = {}
for name in ("ResNet-34", "ResNet-50"):
    rows = costs[name].rows
    starts[name] = [sum(row.macs for row in rows if row.name.startswith(f"layer{s}.0.")) / 1e6 for s in (1, 2, 3, 4)]
    print(f"{name}, first block of each stage: " + ", ".join(f"{macs:.0f}" for macs in starts[name]) + " million MACs")
dearer = (sum(starts["ResNet-50"]) - sum(starts["ResNet-34"])) / 1e3
print(
    f"together {dearer:.2f} GMACs more; the whole nets: {(costs['ResNet-50'].macs - costs['ResNet-34'].macs) / 1e9:.2f}"
)
assert dearer > (costs["ResNet-50"].macs - costs["ResNet-34"].macs) / 1e9, "all the other blocks are cheaper"

# %% [markdown]
# ### Exercise 9.2 · The parameters of a bottleneck
#
# **Difficulty** ●●●○○ · **10 minutes**
#
# Compute the parameters of a bottleneck by a formula, without building it: 1×1 from `in_channels` to `channels`, 3×3,
# 1×1 to `4 * channels`. The convolutions have no bias.
# A batch norm follows each. Where the stride is not 1 or `in_channels` is not `4 * channels`, a 1×1 convolution with a
# batch norm of its own lies on the shortcut.
#
# <details><summary>Hint 1</summary>
#
# A convolution has in · out · k · k weights. A batch norm has a weight and a bias for each channel.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The three batch norms have `channels`, `channels` and `4 * channels` channels.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# The stride changes no layer's number of weights. Together with `in_channels` it decides whether there is a projection.
#
# </details>


# %% tags=["exercise"]
def bottleneck_parameters(in_channels: int, channels: int, stride: int = 1) -> int:
    """Number of parameters of a bottleneck, with the projection on its shortcut where there is one."""
    ### BEGIN SOLUTION
    out_channels = 4 * channels
    weights = in_channels * channels + 9 * channels * channels + channels * out_channels
    norms = 2 * (channels + channels + out_channels)
    if stride == 1 and in_channels == out_channels:
        return weights + norms
    return weights + norms + in_channels * out_channels + 2 * out_channels
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_bottleneck_parameters(bottleneck_parameters)

# %% [markdown]
# ## What depth buys
#
# Torchvision publishes the accuracy of each net on the 50,000 validation images of ImageNet. Here is the error of its
# first weights (`IMAGENET1K_V1`) against both kinds of cost.
# The VGGs in the figure are those of 2014, without batch norm. (There are later weights for some of the same nets,
# trained longer and with more tricks, that err less. A recipe counts as well as a net.)

# %%
nets = edu.plots.published_nets()
edu.plots.error_against_cost(
    nets, title="ResNet-34 beats the four VGGs of 2014 with less than half of their multiply-adds"
)

# %%
for small, large in pairwise(["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]):
    gain, more = nets[small].error - nets[large].error, nets[large].gmacs - nets[small].gmacs
    print(f"{small:>9} → {large:9}: {gain:.2f} points for {more:.2f} GMACs more, {gain / more:.1f} points a GMAC")
steps = [(nets[a].error - nets[b].error) / (nets[b].gmacs - nets[a].gmacs)
         for a, b in pairwise(["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])]  # fmt: skip
assert max(steps) == steps[1], "the bottleneck is the best bargain"
assert steps[2] > steps[3], "after that the gain gets smaller"
for name in ("vgg11", "vgg13", "vgg16", "vgg19"):
    assert nets["resnet34"].error < nets[name].error
    assert nets["resnet34"].gmacs < nets[name].gmacs / 2
    assert nets["resnet34"].million < nets[name].million / 6
for name in ("vgg16_bn", "vgg19_bn"):
    with_norm = 100 - edu.facts.TORCHVISION_ACCURACY[name][0].value
    print(f"{name}: {with_norm:.2f} %, resnet34: {nets['resnet34'].error:.2f} %")
    assert nets["resnet50"].error < with_norm < nets["resnet34"].error

# %% [markdown]
# With batch norm, VGG-16 comes level with ResNet-34 and VGG-19 passes it, at four and five times the multiply-adds. So
# a part of the gap between the families is batch norm. ResNet-50 beats them all.
#
# The step from 34 to 50 layers is by far the best bargain: the same stage list with bottlenecks. After that each GMAC buys less.
#
# Where does it end? He et al. (2016) trained a ResNet-200. With the block of 2015 it was *worse* than ResNet-152. With the pre-activation block of lesson 07 it
# was better:

# %%
at_200 = edu.facts.HE_2016_IMAGENET
for block in ("2015", "2016"):
    print(f"block of {block}: ResNet-152 {at_200[f'resnet152 {block}']}   ResNet-200 {at_200[f'resnet200 {block}']}")
print(f"single-crop top-1 error at 320 pixels · {at_200['resnet200 2016'].source}")
assert at_200["resnet200 2015"].value > at_200["resnet152 2015"].value
assert at_200["resnet200 2016"].value < at_200["resnet152 2016"].value

# %% [markdown]
# ### Explore: the best net for a budget
#
# Set how many multiply-adds and parameters you can afford. What does not fit is pale, the best of the rest has a ring. Then look for a budget
# at which AlexNet is the best choice, and for one at which the number of parameters decides.

# %% tags=["explorer"]
edu.widgets.model_picker()

# %% [markdown]
# Where widgets do not run, here are six budgets at a glance.

# %%
edu.plots.model_picker_grid(nets)

# %% [markdown]
# No budget makes a VGG the best choice. And look at 2 GMACs: GoogLeNet comes out ahead of ResNet-18, with fewer
# multiply-adds and about half of the parameters. How sure
# is that? GoogLeNet's weights were trained elsewhere and taken over, so its recipe is another. And the error is a share
# of 50,000 images, so it has a standard error of its own:

# %%
share = nets["resnet18"].error / 100
standard_error = 100 * (share * (1 - share) / 50_000) ** 0.5
gap = nets["resnet18"].error - nets["googlenet"].error
print(f"GoogLeNet is ahead by {gap:.2f} points; the standard error of each number is {standard_error:.2f} points: "
      "too little to tell the two apart")  # fmt: skip
assert gap < standard_error / 5, "no difference in accuracy can be seen"

# %% [markdown]
# ### Exercise 9.3 · Choose a net
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# `nets` maps a name to three numbers: the top-1 error in percent, the GMACs, the parameters in millions. Return the
# name with the lowest error among those that cost
# at most `gmacs` and at most `million`, or `None` if there is none. No two errors are equal.
#
# <details><summary>Hint 1</summary>
#
# First make a list of the names that fit. Both budgets must hold.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `min(names, key=lambda name: nets[name][0], default=None)` returns `None` for an empty list.
#
# </details>


# %% tags=["exercise"]
def choose_net(nets: dict[str, tuple[float, float, float]], gmacs: float, million: float) -> str | None:
    """The most accurate net within both budgets."""
    ### BEGIN SOLUTION
    fitting = [name for name, (_, macs, parameters) in nets.items() if macs <= gmacs and parameters <= million]
    return min(fitting, key=lambda name: nets[name][0], default=None)
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_choose_net(choose_net)

# %% [markdown]
# ## How many parameters has a ResNet-50?
#
# Look it up and you find 25.6 million here, 23.5 there and 23.6 in a third place. A well-known exercise builds
# ResNet-50 in Keras for 64×64 images and six classes. Keras
# prints a total that this course's net does not have:

# %%
with torch.device("meta"):
    six = edu.models.build("resnet50", num_classes=6)
rows = {row.name: row for row in edu.probe.summary(six, (3, 64, 64)).rows}
names = [
    "conv1",
    "maxpool",
    *(f"layer{stage}.{len(six.get_submodule(f'layer{stage}')) - 1}.relu3" for stage in (1, 2, 3, 4)),
]
print("64 → " + " → ".join(str(rows[name].output_shape[-1]) for name in [*names, "avgpool"]))
here = sum(parameter.numel() for parameter in six.parameters())
keras = {name: int(fact.value) for name, fact in edu.facts.KERAS_RESNET50.items()}
print(f"PyTorch counts {here:,}   Keras prints {keras['total']:,}   difference {keras['total'] - here:,}")

# %% [markdown]
# The image size is not the reason: the weights of a convolution do not depend on it, and global average pooling hands
# 2,048 numbers to the linear layer whatever the side.
# The difference has two parts. Both libraries give a convolution a **bias** unless told otherwise. This course's net
# tells it otherwise (`bias=False`), the Keras listing does not. And Keras's total includes the **moving mean and
# variance** of each batch norm, as
# *non-trainable parameters*. PyTorch keeps these as *buffers* and does not count them.

# %% tags=["nbval-check-output"]
convolutions = [module for module in six.modules() if isinstance(module, nn.Conv2d)]
norms = [module for module in six.modules() if isinstance(module, nn.BatchNorm2d)]
biases = sum(convolution.out_channels for convolution in convolutions)
moving = sum(norm.running_mean.numel() + norm.running_var.numel() for norm in norms)
print(f"parameters here                          {here:12,}")
print(f"biases of {len(convolutions)} convolutions                {biases:12,}")
print(f"Keras: trainable parameters              {here + biases:12,}")
print(f"mean and variance of {len(norms)} batch norms     {moving:12,}")
print(f"Keras: total                             {here + biases + moving:12,}")
assert here + biases == keras["trainable"]
assert moving == keras["non-trainable"] == 2 * biases, "one batch norm behind each convolution"
assert here + biases + moving == keras["total"], "explained to the last parameter"

# %% [markdown]
# Those biases do nothing. A batch norm behind the convolution subtracts the mean of each channel, and with it any constant that was added:

# %%
convolution, norm = nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16)  # this convolution has a bias
x = torch.randn(32, 8, 10, 10)
with torch.no_grad():
    before = norm(convolution(x))
    convolution.bias += 3 * torch.randn(16)
    after = norm(convolution(x))
print(f"another bias in front of a batch norm in training: the output changes by {(after - before).abs().max():.0e}")
torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)

# %% [markdown]
# ### Exercise 9.4 · Keras's count
#
# **Difficulty** ●●●○○ · **10 minutes**
#
# Return the two numbers that Keras would print for a net built here: trainable and non-trainable parameters. Give every
# convolution a bias that has none. Count mean and variance
# of each batch norm as non-trainable.
#
# <details><summary>Hint 1</summary>
#
# `model.modules()` goes through all layers, also those inside blocks. `isinstance(module, nn.Conv2d)` finds the convolutions.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Some convolutions have a bias already: `convolution.bias is None` tells.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# A batch norm has a third buffer, a counter of batches. Keras has none, so count `2 * norm.num_features`.
#
# </details>


# %% tags=["exercise"]
def keras_count(model: nn.Module) -> tuple[int, int]:
    """Trainable and non-trainable parameters as Keras counts them."""
    ### BEGIN SOLUTION
    trainable = sum(parameter.numel() for parameter in model.parameters())
    non_trainable = 0
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            trainable += module.out_channels
        if isinstance(module, nn.BatchNorm2d):
            non_trainable += 2 * module.num_features
    return trainable, non_trainable
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_keras_count(keras_count)

# %% [markdown]
# ## A deep net that loses
#
# People often take ResNet-50 because it is known to be good, train it on a small set of small images, with
# augmentation, and find that a small VGG beats it. One explanation
# that you can read is that it has too few blocks. Let us run that race. All nets are an eighth as wide as usual.
# VGG-11, here with batch norm, and ResNet-50 then have about the same number of parameters. They get the same 1,000
# digits, randomly shifted, and the same recipe. The third net, ResNet-14,
# has one bottleneck in each stage.

# %%
small = {"num_classes": 10, "in_channels": 1, "stem": "small", "width": 8}
racers = {
    "VGG-11": partial(edu.models.build, "vgg11_bn", **small),
    "ResNet-50": partial(edu.models.build, "resnet50", **small),
    "ResNet-14": partial(ResNet, Bottleneck, (1, 1, 1, 1), **small),
}
for name, build in racers.items():
    cost = edu.probe.summary(build(), (1, 16, 16))
    print(f"{name:>9}: {cost.parameters:7,} parameters, {cost.macs / 1e6:4.1f} million multiply-adds")

# %% [markdown]
# > **Before you run it:** which one will have the lowest error after six passes over 1,000 images, and which one the highest?


# %%
def race(build: partial, data: edu.data.Data, *, epochs: int, seeds: range, callbacks: tuple = ()) -> list[edu.History]:
    """Train a net from scratch, once for each seed."""
    runs = []
    for seed in seeds:
        torch.manual_seed(seed)
        model = build()
        config = edu.TrainConfig(epochs=epochs, batch_size=64, augment=("crop",), seed=seed)
        runs.append(edu.fit(model, data, config, callbacks=callbacks))
    return runs


seeds = range(profile.choose(quick=1, full=5))
short = {name: race(build, data, epochs=6, seeds=seeds) for name, build in racers.items()}
edu.plots.learning_curves(
    {name: runs[0] for name, runs in short.items()}, title="In six epochs, ResNet-50 hardly starts", measured="test"
)

# %%
error = {name: mean(run.last.val_error for run in runs) for name, runs in short.items()}
steps_taken = 6 * edu.data.steps_per_epoch(len(data.train), 64)
for name, value in error.items():
    print(f"{name:>9}: {value:4.1f} % test error after {steps_taken} steps")
assert error["ResNet-50"] > error["VGG-11"] + 30, "the small VGG wins by a wide margin"
assert error["ResNet-50"] > error["ResNet-14"] + 30, "and so does the ResNet with a quarter of the blocks"
assert short["ResNet-50"][0].last.train_error > 50, "ResNet-50 fails on its training images too"

# %% [markdown]
# ResNet-50 loses, and its *training* error is just as high, so it does not overfit. (A training error is counted while
# the net still learns, on shifted images, and for VGG with dropout. So it can lie above the test error, which is
# measured at the end of the epoch.)
# ResNet-50 has 16 blocks, and the net with 4 of the same blocks is far better, so it does not
# lack blocks either. What it lacks above all is steps: 90 of them do not set 50 layers in motion. Give it and VGG-11 three times as many:


# %%
def with_batch_statistics(epoch: edu.Epoch, net: nn.Module, split: edu.data.Split, errors: list[float]) -> None:
    """Append the error on a split, in percent, with batch norm's mean and variance from each batch of 100."""
    device, copy = edu.machine.device(), deepcopy(net).train()  # the net's own running averages stay as they are
    wrong = 0
    with torch.no_grad():
        for start in range(0, len(split), 100):
            outputs = copy(split.inputs(slice(start, start + 100)).to(device))
            wrong += int((outputs.argmax(dim=1).cpu() != split.labels[start : start + 100]).sum())
    errors.append(100 * wrong / len(split))


of_batches: list[float] = []
measure = partial(with_batch_statistics, split=data.test, errors=of_batches)
long = {"ResNet-50": race(racers["ResNet-50"], data, epochs=18, seeds=seeds, callbacks=(measure,))}
print(f"ResNet-50 after 18 epochs: {mean(run.last.val_error for run in long['ResNet-50']):.1f} % test error")

# %%
long["VGG-11"] = race(racers["VGG-11"], data, epochs=18, seeds=seeds)
edu.plots.learning_curves(
    {name: long[name][0] for name in ("VGG-11", "ResNet-50")},
    title="With three times the steps, most of the gap is gone",
    measured="test",
)

# %%
later = {name: mean(run.last.val_error for run in runs) for name, runs in long.items()}
for name, value in later.items():
    print(f"{name:>9}: {error[name]:4.1f} % after {steps_taken} steps, {value:4.1f} % after {3 * steps_taken}")
print(f"the paper on ImageNet: {edu.facts.IMAGENET_IMAGES}, {edu.facts.HE_IMAGENET_STEPS}")
assert later["ResNet-50"] < error["ResNet-50"] - 40, "more steps, no more blocks"
gap_before, gap_after = error["ResNet-50"] - error["VGG-11"], later["ResNet-50"] - later["VGG-11"]
assert gap_after < gap_before / 3, "most of the gap is gone"

# %%
usual = [epoch.val_error for epoch in long["ResNet-50"][0].epochs]  # with the running averages
print("test error of ResNet-50 (%)     ", " ".join(f"{error:3.0f}" for error in usual))
print("with the statistics of the batch", " ".join(f"{error:3.0f}" for error in of_batches[: len(usual)]))
apart = [a - b for a, b in zip(usual, of_batches, strict=False)]
assert max(apart[:9]) > 10, "while the rate is high, the running averages spoil the test"
assert max(map(abs, apart[-4:])) < 5, "at the end they do not"

# %% [markdown]
# Why does the test error jump in the first half, while the training error falls? In training, batch norm uses the mean
# and variance of the batch; in a test it uses their running averages. While the learning rate is high the weights
# change faster than the averages follow. Take the statistics of the test batch in their place, as in the second row
# above, and nearly all of the jumps are gone. They end as the rate falls.
#
# (The longer run also raises its learning rate more slowly, and deep nets like a gentle start: He et al. began with a lower rate for their 110
# layers.)
#
# A residual net *can* be trained at any of these depths. That does not make depth free. A deep net is worth its cost where there are
# many images and many steps, as on ImageNet. On a small problem a shallow net comes to the same point sooner. If you
# must use the deep one, train longer, start gently (lesson 07), or start from weights that others have trained (lesson 10).
#
# The comparison is often made on Fashion-MNIST. To run it there, fetch that set once with `resnet-edu fetch
# fashion_mnist` and change the name in the set-up cell.
# Asserts that hold for the digits may fail there.
#
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "ResNet-50 is 48 convolutions, one max pooling and one average pooling." | Count the modules | **Wrong.** 49 convolutions on the main path and one linear layer. Poolings have no weights. With the four projections there are 53 convolutions. |
# | "ResNet-50 has 23.6 million parameters." | Both ways of counting | **Half right.** With six classes and in Keras's counting. With 1,000 classes it has 25.6 million in both. |
# | "ResNet-152 is lighter than VGG-16." | Multiply-adds, parameters, activations | **Half right.** Fewer multiply-adds and less than half of the parameters, but more than twice the activations in memory. |
# | "ResNet-50 loses on small data because it has too few blocks." | The same bottleneck, 4 blocks against 16; three times the steps | **Wrong.** Fewer blocks are better there, and more steps close most of the gap. |
# | "In 2015 the machine overtook humans." | What the two numbers were measured on | **Half right.** Six nets together on 100,000 photos against one trained person on 1,500 of them. Already one ResNet-152 had a lower error than that person, on the validation photos. It is one person and one measure, not vision as a whole. |
# | "The deeper the ResNet, the better." | The published errors | **Half right.** Up to 152 layers. With the block of 2015, 200 layers were worse. |

# %%
on_shortcuts = [
    name for name, module in resnet50.named_modules() if isinstance(module, nn.Conv2d) and "downsample" in name
]
thousand = edu.facts.PARAMETERS["resnet50"].value
print(f"ResNet-50: {len(convolutions)} convolutions, {len(on_shortcuts)} of them on shortcuts")
print(f"with 1,000 classes: {thousand:,} parameters here, {thousand + biases + moving:,} in Keras's counting")
assert len(convolutions) - len(on_shortcuts) == 49, "and the linear layer makes 50"
assert round(thousand / 1e6, 1) == round((thousand + biases + moving) / 1e6, 1) == 25.6, "in both ways of counting"
assert error["ResNet-14"] < error["ResNet-50"], "not a lack of blocks"
assert at_200["resnet200 2015"].value > at_200["resnet152 2015"].value, "deeper is not always better"

# %%
with torch.device("meta"):
    vgg16 = edu.probe.summary(edu.models.build("vgg16"), (3, 224, 224))
deep = costs["ResNet-152"]
print("             GMACs   million parameters   MiB of activations an image")
for name, cost in (("ResNet-152", deep), ("VGG-16", vgg16)):
    print(
        f"{name:>10}   {cost.macs / 1e9:5.1f}   {cost.parameters / 1e6:18.1f}   {cost.activation_bytes / 2**20:27.0f}"
    )
assert deep.macs < vgg16.macs
assert deep.parameters < vgg16.parameters / 2
assert deep.activation_bytes > 2 * vgg16.activation_bytes
six_nets, one_net, person = edu.facts.ILSVRC_TOP5["2015 ResNet"], edu.facts.RESNET152_TOP5_SINGLE, edu.facts.HUMAN_TOP5
print(f"top-5 error   {six_nets} · {one_net} · {person}: {edu.facts.HUMAN_IMAGES}")
assert six_nets.value < one_net.value < person.value

# %% [markdown]
# ## Summary
#
# * A ResNet is a block and a stage list. Its name counts the convolutions of the main path and the linear layer: $2 + k \sum n_i$.
# * A block that keeps its shape needs the same multiply-adds in every stage, and four times the parameters in the next.
#   The bottleneck makes 50 layers nearly as cheap as 34.
# * The step to bottlenecks is the best bargain. After it, each further GMAC buys less.
# * Nets of one name can differ in where the stride stands, and their weights load all the same.
# * Counts differ by classes, by convolution biases and by batch norm's statistics. Say which one you mean.
# * Depth pays with many images and many steps. With few of either, a shallow net can win.
#
# ## Sources
#
# * K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition, 2015, section 4.1, tables 1 to 5,
#   [arXiv 1512.03385](https://arxiv.org/abs/1512.03385)
# * K. He, X. Zhang, S. Ren, J. Sun: Identity mappings in deep residual networks, 2016, table 5, [arXiv 1603.05027](https://arxiv.org/abs/1603.05027)
# * O. Russakovsky et al.: ImageNet large scale visual recognition challenge, 2015, section 6.4 on human accuracy,
#   [arXiv 1409.0575](https://arxiv.org/abs/1409.0575)
# * torchvision: [accuracy, parameters and multiply-adds of its models](https://docs.pytorch.org/vision/stable/models.html)
# * The Keras listing: DeepLearning.AI, [Convolutional Neural Networks](https://www.coursera.org/learn/convolutional-neural-networks), assignment on
#   residual networks
#
# ## Next lesson
#
# 10 · Transfer learning: a ResNet-18 that others have trained, on your data.
