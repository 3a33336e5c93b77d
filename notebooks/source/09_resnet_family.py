# %% [markdown]
# # 09 · The ResNet family: 18 to 200 layers
#
# In lesson 08 you built ResNet-34. Here you change one list of four numbers (and the block, from 50 layers on) and get
# nets of 18 to 200 layers. You'll see what depth costs and what it buys, how a training recipe can buy more, when a
# deep net loses, and what came after 2015.
#
# After this lesson you can
#
# * say which layers a ResNet's name counts, and count them from its stage list;
# * compute the parameters of a bottleneck by hand, and predict what a change of the block will cost;
# * choose a net under a budget of multiply-adds and parameters;
# * tell apart two nets that have the same name and the same weights but compute different things;
# * find out whether a deep net that loses is short of images or short of steps, by crossing the two.
#
# **Minutes:** 30 reading, 35 more for the exercises · 1 running quick · 4 running full

# %% tags=["setup"]
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import pairwise
from statistics import median

import torch
import torchvision
from torch import nn

import resnet_edu as edu
from resnet_edu.models import BasicBlock, Bottleneck, ResNet
from resnet_edu.models.resnet import DEPTHS, RESNET_PARTS

profile = edu.profile()
dataset, size = profile.choose(quick=("mnist5k", 16), full=("fashion_mnist", 32))
data = edu.data.load(dataset, size=size, channels=1, limit=2000)
print(edu.setup(seed=0), f"data       {data.source}", sep="\n")

# %% [markdown]
# ## The end of a race
#
# From 2010 on, the ImageNet challenge asked each year for the objects in 100,000 photos or more, with 1,000 classes to
# choose from. An answer may name five classes and counts as an error if the right one is not among them: the *top-5
# error*. In 2015 ResNets won.

# %%
errors = {entry: fact.value for entry, fact in edu.facts.ILSVRC_TOP5.items()}
edu.plots.challenge_history(errors, human=edu.facts.HUMAN_TOP5.value)

# %% [markdown]
# What won in 2015 was an average over six ResNets. The deepest had 152 layers, eight times as many as VGG-19. The
# dashed line is one person who had trained for the task; more about that below. (AlexNet's bar is its result without
# further data. With another release of ImageNet for pre-training it won with 15.3 %.)
#
# ## One class, six nets
#
# The six ResNets are one Python class with two options: the kind of block, and how many blocks each of the four stages
# has. A *GMAC* is a billion multiply-adds, for one image. Papers often call it a billion FLOPs.

# %% tags=["nbval-check-output"]
costs, rows = {}, []
for depth, (block, blocks) in DEPTHS.items():
    with torch.device("meta"):  # shapes without memory: counting needs no numbers
        model = edu.models.build(f"resnet{depth}")
    costs[f"ResNet-{depth}"] = summary = edu.probe.summary(model, (3, 224, 224))
    layers = 2 + {BasicBlock: 2, Bottleneck: 3}[block] * sum(blocks)
    stages = ", ".join(map(str, blocks))
    rows.append([f"ResNet-{depth}", block.__name__, stages, layers, summary.parameters, f"{summary.macs / 1e9:.2f}"])
    assert layers == depth, "the name is the number of layers on the main path"
    assert summary.parameters == edu.facts.PARAMETERS[f"resnet{depth}"].value
edu.table(rows, ["", "block", "blocks", "layers", "parameters", "GMACs at 224×224"])

# %% [markdown]
# The number in the name follows from the list. The first convolution and the linear layer at the end make 2. Each
# basic block adds two convolutions, each bottleneck three:
#
# $$\text{layers} = 2 + k\,(n_1 + n_2 + n_3 + n_4) \qquad k = 2 \text{ (basic)} \text{ or } 3 \text{ (bottleneck)}$$
#
# The CIFAR nets of lesson 06 obey it too: three stages of $n$ basic blocks give $6n + 2$. Layers without weights, such
# as pooling and ReLU, don't count. Neither do batch norms, nor the projections on the shortcuts.

# %%
with torch.device("meta"):
    resnet50 = edu.models.build("resnet50")
edu.plots.architecture(resnet50, (3, 224, 224), title="ResNet-50: 16 bottlenecks in stages of 3, 4, 6 and 3")

# %% [markdown]
# Each block is a 1×1, a 3×3 and a 1×1 convolution. Two things differ from ResNet-34. Stage 1 opens with a projection
# as well, since 64 channels come in and 256 go out. And the first box of stages 2, 3 and 4 is taller, because that 1×1
# still works on the larger maps.
#
# ### Exercise 9.1 · Count the layers
#
# **Difficulty** ●○○○○ · **5 minutes**
#
# Return the number in a ResNet's name from its stage list and its kind of block: basic, or a bottleneck if `bottleneck` is
# true. The list may have any length.
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
# Weights trained elsewhere load only if every tensor has the same name and the same shape. That's what `strict=True`
# demands. Check it for all five nets that torchvision has, and compare the logits of two on random images:

# %%
rows = []
for depth in (18, 34, 50, 101, 152):
    with torch.device("meta"):
        mine, theirs = edu.models.build(f"resnet{depth}"), torchvision.models.get_model(f"resnet{depth}", weights=None)
    mine.load_state_dict(theirs.state_dict(), strict=True)  # raises if a name or a shape differs
    rows.append([f"ResNet-{depth}", len(mine.state_dict())])
edu.table(rows, ["", "tensors, all of them fit"])


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
# ### Where the stride goes
#
# Names and shapes are not everything. In the paper's nets, a bottleneck that halves the side does so in its *first*
# 1×1 convolution. Torchvision, like this course, does so in the 3×3, which is often called **ResNet v1.5**. A stride
# is no weight, so nothing in the state dict tells the two apart. Build the paper's version by moving the stride, and
# count:


# %%
def as_in_the_paper(model: nn.Module) -> nn.Module:
    """A copy whose bottlenecks have their stride in the first 1×1 convolution."""
    older = deepcopy(model)
    for block in older.modules():
        if isinstance(block, Bottleneck) and block.conv2.stride != (1, 1):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    return older


# %%
rows = []
for depth in (50, 101, 152):
    with torch.device("meta"):
        older = as_in_the_paper(edu.models.build(f"resnet{depth}"))
    here, there = costs[f"ResNet-{depth}"].macs / 1e9, edu.probe.summary(older, (3, 224, 224)).macs / 1e9
    printed = edu.facts.HE_GMACS[f"resnet{depth}"].value
    rows.append([f"ResNet-{depth}", f"{here:.2f}", f"{there:.2f}", printed])
    assert abs(there - printed) < 0.1 < here - printed, "the paper's number is that of the paper's stride"
edu.table(rows, ["GMACs, stride", "in the 3×3", "in the first 1×1", "printed in the paper"])

# %% [markdown]
# The paper's own numbers come out, to within a tenth. The 0.23 GMACs in between are three 1×1 convolutions, which
# still work on the large map if the stride is in the 3×3. Now give both versions the same weights:

# %%
older = as_in_the_paper(mine)  # mine is the ResNet-50 with torchvision's weights
assert older.state_dict().keys() == mine.state_dict().keys(), "no name tells them apart"
with torch.inference_mode():
    here, there = mine(images), older(images)
apart = (here - there).abs().max()
print(f"logits spread over {here.std():.2f}; between the two versions they differ by up to {apart:.2f}")
assert (here - there).abs().max() > 0.2 * here.std(), "the same weights, another function"

# %%
rows = []
for name, net in (("in the 3×3", mine), ("in the first 1×1", older)):
    block = net.get_submodule("layer2.0")
    x = torch.randn(1, 256, 16, 16, requires_grad=True)
    block.conv3(block.relu2(block.bn2(block.conv2(block.relu1(block.bn1(block.conv1(x))))))).square().sum().backward()
    reached = (x.grad.abs().sum(dim=1) > 0).float().mean().item()
    rows.append((name, f"{100 * reached:.0f} %"))
    assert reached == (1.0 if name == "in the 3×3" else 0.25)
edu.table(rows, ["stride", "pixels that the branch reads"])

# %% [markdown]
# So weights trained in one version load into the other without a complaint and give other logits. In the paper's
# version, the branch never reads three pixels in four (nor does the projection on the shortcut, in either version).
# When a ported net is worse than promised, the stride is one of the first things to look at.
#
# ## Where the cost sits
#
# Let's cut each net into its stages:


# %%
def by_stage(cost: edu.probe.Summary, quantity: str, unit: float) -> dict[str, float]:
    """The parameters or the multiply-adds of the stem, each stage and the head."""
    parts = dict.fromkeys(RESNET_PARTS.values(), 0.0)
    for row in cost.rows:
        parts[RESNET_PARTS[row.name.partition(".")[0]]] += getattr(row, quantity) / unit
    return parts


panels = {"million parameters": {name: by_stage(cost, "parameters", 1e6) for name, cost in costs.items()}}
panels["GMACs for one image"] = {name: by_stage(cost, "macs", 1e9) for name, cost in costs.items()}
edu.plots.stacked_bars(panels, title="From 50 to 152 layers stage 3 grows most, from there to 200 stage 2")

# %% [markdown]
# Most parameters of ResNet-18, 34 and 50 are in stage 4, which has three blocks or fewer. The multiply-adds are spread
# more evenly, and there is a rule behind it. From stage to stage the side is halved and the filters are doubled:

# %% tags=["nbval-check-output"]
basic, narrow, rows = [], [], []
for channels, side in ((64, 56), (128, 28), (256, 14), (512, 7)):
    basic.append(edu.probe.summary(BasicBlock(channels, channels), (channels, side, side)))
    narrow.append(edu.probe.summary(Bottleneck(4 * channels, channels), (4 * channels, side, side)))
    rows.append(
        [f"{side}×{side}", *(f"{v / 1e6:.3g}" for s in (basic[-1], narrow[-1]) for v in (s.parameters, s.macs))]
    )
assert len({s.macs for s in basic}) == len({s.macs for s in narrow}) == 1, "a block costs the same in every stage"
assert all(n.macs < b.macs and n.parameters < b.parameters for b, n in zip(basic, narrow, strict=True))
assert all(3.9 < b.parameters / a.parameters < 4 for a, b in [*pairwise(basic), *pairwise(narrow)])
edu.table(rows, ["millions, map", "basic: parameters", "MACs", "bottleneck: parameters", "bottleneck: MACs"])

# %% [markdown]
# A quarter of the pixels times four times the weights: **a block that keeps its shape needs the same number of
# multiply-adds in each stage**. Its parameters grow fourfold from stage to stage. And the bottleneck, four times as
# wide at its ends, costs less than the basic block on every map.
#
# Then why does ResNet-50 cost more at all, with the stage list of ResNet-34? Because of the blocks that change the
# shape:

# %% tags=["nbval-check-output"]
starts, rows = {}, []
for name in ("ResNet-34", "ResNet-50"):
    inside = costs[name].rows
    starts[name] = [sum(row.macs for row in inside if row.name.startswith(f"layer{s}.0.")) / 1e6 for s in (1, 2, 3, 4)]
    rows.append([name, *(f"{macs:.0f}" for macs in starts[name]), f"{costs[name].macs / 1e6:,.0f}"])
more = sum(starts["ResNet-50"]) - sum(starts["ResNet-34"])
assert more > (costs["ResNet-50"].macs - costs["ResNet-34"].macs) / 1e6, "all the other blocks are cheaper"
edu.table(rows, ["million MACs of the first block", "stage 1", "stage 2", "stage 3", "stage 4", "the whole net"])

# %% [markdown]
# ### Exercise 9.2 · The parameters of a bottleneck
#
# **Difficulty** ●●●○○ · **10 minutes**
#
# Compute the parameters of a bottleneck by a formula, without building it: 1×1 from `in_channels` to `channels`, 3×3, 1×1 to
# `4 * channels`. The convolutions have no bias, and a batch norm follows each. Where the stride is not 1 or `in_channels` is
# not `4 * channels`, the shortcut has a 1×1 convolution with a batch norm of its own.
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
# first weights (`IMAGENET1K_V1`) against both kinds of cost. The VGGs are those of 2014, without batch norm.

# %%
nets = edu.plots.published_nets()
edu.plots.error_against_cost(nets, title="ResNet-34 beats the VGGs without batch norm, at less than half the work")

# %%
rows = []
for small, large in pairwise(["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]):
    gain, more = nets[small].error - nets[large].error, nets[large].gmacs - nets[small].gmacs
    rows.append([f"{small} → {large}", f"{gain:.2f}", f"{more:.2f}", f"{gain / more:.1f}"])
per_gmac = [float(row[-1]) for row in rows]
assert max(per_gmac) == per_gmac[1], "per GMAC, the step from 34 to 50 layers is the best bargain"
assert all(nets["resnet34"].error < nets[f"vgg{depth}"].error for depth in (11, 13, 16, 19))
assert all(nets["resnet34"].gmacs < nets[f"vgg{depth}"].gmacs / 2 for depth in (11, 13, 16, 19))
edu.table(rows, ["from → to", "points gained", "GMACs more", "points per GMAC"])

# %% [markdown]
# Counted in points per GMAC, the step from 34 to 50 layers is by far the best bargain. But it isn't depth alone: the
# block changes too, and the classifier sees 2,048 features instead of 512. After that, each GMAC buys less. (Part of
# the gap to the VGGs is batch norm. With it, VGG-16 comes level with ResNet-34 and VGG-19 passes it, at four and five
# times the multiply-adds.)
#
# ### For ResNet-50, the recipe is worth more than the depth
#
# In 2021 torchvision trained ResNet-50, 101 and 152 again with a modern recipe: 600 epochs instead of 90, label
# smoothing (the right class is to get a little less than 100 %), stronger augmentation, weights averaged over many
# steps, training images of 176 pixels, and test images that lose less of their border. Not one layer changed. The
# numbers come with the weights' metadata, so there's nothing to download:

# %%
recipes = {"IMAGENET1K_V1": [], "IMAGENET1K_V2": []}
for depth in (50, 101, 152):
    weights = torchvision.models.get_model_weights(f"resnet{depth}")
    for recipe, found in recipes.items():
        found.append(100 - weights[recipe].meta["_metrics"]["ImageNet-1K"]["acc@1"])
        assert abs(weights[recipe].meta["_ops"] - nets[f"resnet{depth}"].gmacs) < 0.01, "the same multiply-adds"
edu.plots.lines(
    recipes,
    title="A better recipe gains more than 102 more layers",
    x="layers",
    y="top-1 error on ImageNet (%)",
    ticks=["50", "101", "152"],
    limits=(15, 26),
)

# %%
first, second = recipes.values()
by_recipe, by_depth = first[0] - second[0], first[0] - first[2]
more = nets["resnet152"].gmacs - nets["resnet50"].gmacs
assert by_recipe > 2 * by_depth, "the recipe is worth more than twice as much as 102 more layers"
print(f"ResNet-50, old recipe to new: {by_recipe:.2f} points, without a single extra multiply-add")
print(f"ResNet-50 to ResNet-152, old recipe: {by_depth:.2f} points for {more:.1f} GMACs more")

# %% [markdown]
# The recipe isn't free either: it takes nearly seven times as many epochs, though of smaller images, once. Depth costs
# multiply-adds for every image, forever. So be careful when a paper compares its new net with a ResNet-50 at 76 %.
# Wightman et al. (2021, "ResNet strikes back") brought the plain ResNet-50 to 80.4 % by training alone, and Bello et
# al. (2021) found that training and scaling may matter more than changes of the architecture.
#
# ### Where does it end?
#
# He et al. (2016) trained a ResNet-200. With the block of 2015 it was *worse* than ResNet-152; with the pre-activation
# block of lesson 07 it was better:

# %%
at_200, rows = edu.facts.HE_2016_IMAGENET, []
for block in ("2015", "2016"):
    rows.append([block, *(at_200[f"resnet{depth} {block}"].value for depth in (152, 200))])
assert rows[0][1] < rows[0][2], "with the block of 2015, more layers are worse"
assert rows[1][1] > rows[1][2], "with the block of 2016, they are better"
edu.table(rows, ["top-1 error (%), one crop of 320 pixels, block of", "ResNet-152", "ResNet-200"])

# %% [markdown]
# Is that degradation again? The authors looked at the training error, as you did in lesson 06: "we find that the
# original ResNet-200 has lower training error than ResNet-152, suggesting that it suffers from overfitting" (He et al.
# 2016, section 5). So no: it fits the training images better and the others worse.
#
# ### Explore: the best net for a budget
#
# Set how many multiply-adds and parameters you can afford. What doesn't fit turns pale, and the best of the rest gets
# a ring. Then look for a budget at which AlexNet is the best choice, and for one at which the number of parameters
# decides.

# %% tags=["explorer"]
explorer = edu.widgets.model_picker()
explorer

# %% [markdown]
# If widgets don't run for you, here are two budgets.

# %%
explorer.twin({
    "a tight budget of work": {"gmacs": 2.0},
    "a tight budget of parameters": {"gmacs": 20.0, "million": 30.0},
})  # fmt: skip

# %% [markdown]
# AlexNet wins only where fewer than 1.5 GMACs and more than 61 million parameters are allowed, and no budget makes a
# VGG the best of these nets.
#
# Now look at 2 GMACs: GoogLeNet comes out ahead of ResNet-18, with fewer multiply-adds and about half of the
# parameters. How sure is that? Its weights were trained elsewhere, by a different recipe. And an error measured on
# 50,000 images would come out a little different on another 50,000. The *standard error* says how much, typically:
# $\sqrt{p(1-p)/n}$ for a share of errors $p$ among $n$ images.

# %%
share = nets["resnet18"].error / 100
standard_error = 100 * (share * (1 - share) / 50_000) ** 0.5
gap = nets["resnet18"].error - nets["googlenet"].error
print(f"GoogLeNet is ahead by {gap:.2f} points; the standard error of each number is {standard_error:.2f} points")
assert gap < standard_error / 5, "no difference in accuracy can be seen"

# %% [markdown]
# ### Exercise 9.3 · Choose a net
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# `nets` maps a name to three numbers: the top-1 error in percent, the GMACs, the parameters in millions. Return the name
# with the lowest error among those that cost at most `gmacs` and at most `million`, or `None` if there is none. No two
# errors are equal.
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
# ### A count that doesn't match
#
# Look up ResNet-50 and you'll find 25.6 million parameters here, 23.5 there and 23.6 in a third place. The step from
# 25.6 to 23.5 is the head: 1,000 classes need two million more weights than a handful. A well-known Keras exercise
# builds it for six classes and prints 23,600,006. PyTorch counts fewer, for two reasons: Keras's convolutions keep a
# **bias** unless told otherwise, and its total includes the **moving mean and variance** of each batch norm, which
# PyTorch keeps as *buffers*.

# %% tags=["nbval-check-output"]
with torch.device("meta"):
    six = edu.models.build("resnet50", num_classes=6)
here = sum(parameter.numel() for parameter in six.parameters())
biases = sum(module.out_channels for module in six.modules() if isinstance(module, nn.Conv2d))
moving = sum(2 * module.num_features for module in six.modules() if isinstance(module, nn.BatchNorm2d))
assert here + biases + moving == edu.facts.KERAS_RESNET50["total"].value, "explained to the last parameter"
edu.table(
    [[here, biases, moving, here + biases + moving]], ["PyTorch", "+ biases", "+ mean and variance", "= Keras's total"]
)

# %% [markdown]
# (Those biases do nothing: a batch norm subtracts the mean of each channel, and with it any constant that was added.)
#
# ## A deep net that loses
#
# People often take ResNet-50 because it's known to be good, train it on a small set of small images, and find that a
# small VGG beats it. "Too few blocks" is one explanation you can read, "too few images" another, "too few steps" a
# third. They predict different things, so let's run the race and find out. All nets are an eighth as wide as usual,
# which brings VGG-11 (with batch norm) and ResNet-50 to similar numbers of parameters. ResNet-14 has one bottleneck
# per stage.

# %%
small = {"num_classes": 10, "in_channels": 1, "stem": "small", "width": 8}
racers = {
    "VGG-11": partial(edu.models.build, "vgg11_bn", **small),
    "ResNet-14": partial(ResNet, Bottleneck, (1, 1, 1, 1), **small),
    "ResNet-50": partial(edu.models.build, "resnet50", **small),
}
summaries = {name: edu.probe.summary(build(), (1, size, size)) for name, build in racers.items()}
edu.table([[name, cost.parameters, f"{cost.macs / 1e6:.1f}"] for name, cost in summaries.items()],
          ["", "parameters", "million multiply-adds"])  # fmt: skip

# %% [markdown]
# You change two things, one at a time: the **images** (500 or 2,000) and the **steps** (64 or 256, of batches of 64).
# Everything else stays the same: shifted images, one seed, and a rate that rises to 0.1 over the first 24 steps (a
# *warm-up*) and then falls to zero along a cosine.
#
# > **Before you run it:** where will ResNet-50 win? What helps it more, four times the images or four times the steps?


# %%
def race(build: partial, data: edu.data.Data, *, steps: int, seed: int = 0) -> tuple[float, float]:
    """Test and training error of a net, in percent, after so many steps from scratch."""
    per_epoch = edu.data.steps_per_epoch(len(data.train), 64)
    options = {"schedule": "cosine", "warmup_epochs": 24 / per_epoch, "augment": ("crop",), "seed": seed}
    torch.manual_seed(seed)
    model = build()
    history = edu.fit(model, data, edu.TrainConfig(epochs=steps // per_epoch, batch_size=64, **options))
    return edu.evaluate(model, data.test).top1_error, history.last.train_error


# %%
few = replace(edu.data.load(dataset, size=size, channels=1, limit=500), val=data.val.subset(torch.arange(64)))
many = replace(data, val=few.val)  # 64 images: nothing is chosen by them here
cells = {(images, steps): part for images, part in ((500, few), (2000, many)) for steps in (64, 256)}
test, train = {}, {}
for net in ("VGG-11", "ResNet-14"):
    for (images, steps), part in cells.items():
        test[net, images, steps], train[net, images, steps] = race(racers[net], part, steps=steps)
print(f"{len(test)} nets trained")

# %%
for steps in (64, 256):
    test["ResNet-50", 500, steps], train["ResNet-50", 500, steps] = race(racers["ResNet-50"], few, steps=steps)
print(f"{len(test)} nets trained")

# %%
for steps in (64, 256):
    test["ResNet-50", 2000, steps], train["ResNet-50", 2000, steps] = race(racers["ResNet-50"], many, steps=steps)
rows = [[net, *(test[net, *cell] for cell in cells)] for net in racers]
edu.table(rows, ["test error (%)", *(f"{images:,} images, {steps} steps" for images, steps in cells)])


# %%
by_steps = test["ResNet-50", 500, 64] - test["ResNet-50", 500, 256]
by_images = test["ResNet-50", 500, 64] - test["ResNet-50", 2000, 64]
assert train["ResNet-50", 500, 64] > 40, "after 64 steps ResNet-50 fails on its training images too"
assert test["ResNet-50", 500, 64] > test["ResNet-14", 500, 64] + 10, "and with a quarter of the blocks it does not"
assert by_steps > 2 * max(0, by_images), "four times the steps help it far more than four times the images"
rows = [[net, *(train[net, *cell] for cell in cells)] for net in racers]
edu.table(rows, ["training error (%)", *(f"{images:,} images, {steps} steps" for images, steps in cells)])

# %% [markdown]
# After 64 steps ResNet-50 is bad on its *training* images as well, so it doesn't overfit. ResNet-14, with a quarter
# of the same blocks, is far better, so blocks aren't what's missing. Four times the images don't help it at an equal
# number of steps, where each image is seen a quarter as often. Four times the steps help it by fifty points and more.
# In the words of lesson 06, it is **slow** here: with a larger budget it comes much closer to the shallow nets,
# though it hasn't caught up after 256 steps.
#
# How far can you trust single runs? With four other seeds, ResNet-50 was 26 to 69 points behind ResNet-14 after 64
# steps with 500 images. Four times the steps brought it 38 to 65 points, four times the images at most 7, and with
# two of the seeds they cost it about 30. After 256 steps it was still behind each time, by 2.5 to 22 points. All of
# this is at one rate.
#
# A residual net *can* be trained at any of these depths, but depth isn't free. On this small problem the shallow nets
# get to the same point sooner; a deep net can earn its cost where there are many steps, and many images to make them
# worthwhile, as on ImageNet. If you must use the deep one on a small problem, you can train longer, start gently
# (lesson 07), or start from trained weights (lesson 10).
#
# This comparison is often made on Fashion-MNIST. After `resnet-edu fetch fashion_mnist`, the profile `full` runs it on
# those photos of clothing. (Asserts that hold for the digits may fail there.)
#
# ## What came after 2015
#
# In nearly all of these nets the residual sum has stayed. What changed is what's inside the branch and how the net is
# trained:
#
# | Year | Net | What's different in the block | In one sentence |
# |---|---|---|---|
# | 2016 | [Pre-activation](https://arxiv.org/abs/1603.05027) | batch norm and ReLU before the convolutions | Nothing is left on the shortcut, and 1,001 layers train well. |
# | 2016 | [Wide ResNet](https://arxiv.org/abs/1605.07146) | more channels (in the bottleneck version only inside), fewer blocks | 16 wide layers did as well as 1,000 thin ones, and faster. |
# | 2016 | [DenseNet](https://arxiv.org/abs/1608.06993) | joins x and F(x) side by side instead of adding | Within a stage, every layer sees the output of all before it, so each can be thin. |
# | 2016 | [ResNeXt](https://arxiv.org/abs/1611.05431) | the 3×3 works in 32 groups, and is twice as wide | At the same cost, more paths did better; and more paths gained more than more depth or width. |
# | 2017 | [SE](https://arxiv.org/abs/1709.01507) | a gate multiplies each channel of F(x) by a number from 0 to 1 | The net chooses its channels by looking at the whole image. |
# | 2018 | [ResNet-D](https://arxiv.org/abs/1812.01187) | the shortcut averages before its 1×1; the stem is three 3×3 | Small repairs, and no pixel is skipped any more. |
# | 2021 | [NFNet](https://arxiv.org/abs/2102.06171) | no batch norm: scaled weights, branches that start at zero, clipped gradients | Normalisation can be replaced, if branches and steps are kept small. |
# | 2021 | [Strikes back](https://arxiv.org/abs/2110.00476) | nothing | The old ResNet-50 with a new recipe: 80.4 %. |
# | 2022 | [ConvNeXt](https://arxiv.org/abs/2201.03545) | 7×7 with one filter per channel, then 1×1 up and down, LayerNorm (a norm over the channels of each pixel instead of over the batch), one GELU (a smooth ReLU) | A ResNet that took over the recipe and the proportions of vision transformers, and kept up with them. |
#
# Transformers are residual nets too: every block is $x + F(x)$, with attention or two linear layers in $F$.
#
# ### Exercise 9.4 · Predict, then measure, what a change costs
#
# **Difficulty** ●●●○○ · **10 minutes**
#
# Take a bottleneck with `wide` channels at its ends and `width` inside: 1×1, 3×3, 1×1. Now its middle convolution gets
# another `kernel` size and a number of `groups` (each filter sees only 1 / groups of the channels), and the inside
# gets `widen` times as wide. Return the factor by which the number of multiply-adds changes. Only the convolutions
# count, and the shape stays the same.
#
# **First guess** for `wide=256, width=64`: a Wide block (`widen=2`), ResNeXt's (`widen=2, groups=32`), a 7×7 with one group
# per channel.
#
# <details><summary>Hint 1</summary>
#
# The map's side is the same before and after, so it cancels. Count the products per pixel.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A convolution takes in · out · k² / groups products per pixel. The two 1×1 convolutions have `wide` on one side only.
#
# </details>


# %% tags=["exercise"]
def cost_factor(wide: int, width: int, kernel: int = 3, groups: int = 1, widen: float = 1) -> float:
    """Multiply-adds of the changed bottleneck, divided by those of the usual one."""
    ### BEGIN SOLUTION
    inside = round(widen * width)
    changed = 2 * wide * inside + kernel**2 * inside**2 / groups
    return changed / (2 * wide * width + 9 * width**2)
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_cost_factor(cost_factor)

# %% [markdown]
# Now measure both: the multiply-adds by counting, and the time on your machine.


# %%
import time


def convolutions(wide: int, width: int, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    """The three convolutions of a bottleneck."""
    middle = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(nn.Conv2d(wide, width, 1, bias=False), middle, nn.Conv2d(width, wide, 1, bias=False))


def milliseconds(net: nn.Module, x: torch.Tensor, tries: int = 5) -> float:
    """Median time of a forward pass."""
    times = []
    with torch.inference_mode():
        for _ in range(tries):
            started = time.perf_counter()
            net(x)
            times.append(1000 * (time.perf_counter() - started))
    return median(times)


# %%
changes = {"usual": (64, 3, 1), "Wide": (128, 3, 1), "ResNeXt": (128, 3, 32), "7×7, a filter per channel": (64, 7, 64)}
x, macs, times = torch.randn(4, 256, 28, 28), {}, {}
for change, (width, kernel, groups) in changes.items():
    net = convolutions(256, width, kernel, groups)
    macs[change] = edu.probe.summary(net, (256, 28, 28)).macs
    times[change] = milliseconds(net, x)
assert macs["ResNeXt"] < 1.02 * macs["usual"], "twice as wide at the same cost"
assert macs["7×7, a filter per channel"] < macs["usual"] / 1.5, "a large kernel is cheap, one filter per channel"
edu.table([[c, f"{macs[c] / macs['usual']:.2f}", f"{times[c] / times['usual']:.2f}"] for c in changes],
          ["block", "multiply-adds, times", "time here, times"])  # fmt: skip

# %% [markdown]
# The counts come out as predicted. The times don't have to follow, and they change with what else the machine does: in
# two of our runs, three times the multiply-adds (Wide) took 1.4 and 4.5 times as long. How well a layer keeps the
# processor busy, and how much memory it moves, matter as well. So measure the time, more than once, before you trust
# multiply-adds to predict it.
#
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "ResNet-50 is 48 convolutions, one max pooling and one average pooling." | Count the modules | **Wrong.** 49 convolutions on the main path (53 with the four projections) and one linear layer. Poolings have no weights. |
# | "ResNet-50 has 23.6 million parameters." | Both ways of counting | **Half right.** With six classes and in Keras's counting. With 1,000 classes it has 25.6 million. |
# | "ResNet-152 is lighter than VGG-16." | Multiply-adds, parameters, activations | **Half right.** Fewer multiply-adds and less than half of the parameters, but more than twice the activations in memory. |
# | "ResNet-50 loses on small data because it has too few blocks." | 4 bottlenecks against 16; images and steps crossed | **Not here.** A net with a quarter of the blocks does better. More images don't help at equal steps, more steps do: it is slow. |
# | "In 2015 the machine overtook humans." | What the two numbers were measured on | **Half right.** Six nets together on 100,000 photos against one trained person on 1,500 of them. Even a single ResNet-152 had a lower error than that person, on the validation photos. It is one person and one measure, not vision as a whole. |
# | "The deeper the ResNet, the better." | The published errors | **Half right.** Up to 152 layers. With the block of 2015, 200 layers were worse, by overfitting as the authors suggest. |

# %%
kinds = [module for _, module in resnet50.named_modules() if isinstance(module, nn.Conv2d)]
on_shortcuts = [name for name, _ in resnet50.named_modules() if name.endswith("downsample.0")]
assert len(kinds) - len(on_shortcuts) == 49, "and the linear layer makes 50"
assert round(edu.facts.PARAMETERS["resnet50"].value / 1e6, 1) == 25.6
assert test["ResNet-14", 500, 64] < test["ResNet-50", 500, 64], "with a quarter of the blocks it is better, not worse"
print(f"ResNet-50: {len(kinds)} convolutions, {len(on_shortcuts)} of them on shortcuts")

# %%
with torch.device("meta"):
    vgg16 = edu.probe.summary(edu.models.build("vgg16"), (3, 224, 224))
deep = costs["ResNet-152"]
assert deep.macs < vgg16.macs
assert deep.parameters < vgg16.parameters / 2
assert deep.activation_bytes > 2 * vgg16.activation_bytes
rows = [[name, f"{cost.macs / 1e9:.1f}", f"{cost.parameters / 1e6:.1f}", round(cost.activation_bytes / 2**20)]
        for name, cost in (("ResNet-152", deep), ("VGG-16", vgg16))]  # fmt: skip
edu.table(rows, ["", "GMACs", "million parameters", "MiB of activations per image"])

# %%
entries = {"six nets": edu.facts.ILSVRC_TOP5["2015 ResNet"], "one ResNet-152": edu.facts.RESNET152_TOP5_SINGLE,
           "one person": edu.facts.HUMAN_TOP5}  # fmt: skip
values = [fact.value for fact in entries.values()]
assert values == sorted(values), "the person errs most"
edu.table([[name, str(fact)] for name, fact in entries.items()], ["ImageNet", "top-5 error"])

# %% [markdown]
# ## Summary
#
# * A ResNet is a block and a stage list. Its name counts the convolutions of the main path and the linear layer:
#   $2 + k \sum n_i$.
# * A block that keeps its shape needs the same multiply-adds in every stage, and four times the parameters in the
#   next. The bottleneck makes 50 layers nearly as cheap as 34.
# * In torchvision's ResNets, the step to bottlenecks gains the most per GMAC. After it, each GMAC buys less, and for
#   ResNet-50 a better recipe bought more than 102 more layers.
# * Nets with the same name can differ in where the stride is, and their weights load all the same.
# * A deep net that loses on a small problem may just be slow. Cross images and steps before you blame either, and look
#   at the training error.
# * What came after changes the inside of the branch and the recipe, and nearly always keeps the sum. Multiply-adds are
#   a poor guide to time.
#
# ## Sources
#
# * K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition, 2015, section 4.1, tables 1 to 5, [arXiv
#   1512.03385](https://arxiv.org/abs/1512.03385)
# * K. He, X. Zhang, S. Ren, J. Sun: Identity mappings in deep residual networks, 2016, table 5, [arXiv
#   1603.05027](https://arxiv.org/abs/1603.05027)
# * O. Russakovsky et al.: ImageNet large scale visual recognition challenge, 2015, section 6.4 on human accuracy, [arXiv
#   1409.0575](https://arxiv.org/abs/1409.0575)
# * torchvision: [accuracy, parameters and multiply-adds of its models](https://docs.pytorch.org/vision/stable/models.html),
#   and V. Vryniotis: [How to train state-of-the-art models using TorchVision's latest
#   primitives](https://pytorch.org/blog/how-to-train-state-of-the-art-models-using-torchvision-latest-primitives/), 2021
# * R. Wightman, H. Touvron, H. Jégou: ResNet strikes back, 2021, [arXiv 2110.00476](https://arxiv.org/abs/2110.00476)
# * I. Bello et al.: Revisiting ResNets: improved training and scaling strategies, 2021, [arXiv
#   2103.07579](https://arxiv.org/abs/2103.07579)
# * The Keras listing: DeepLearning.AI, [Convolutional Neural
#   Networks](https://www.coursera.org/learn/convolutional-neural-networks), assignment on residual networks
#
# ## Next lesson
#
# 10 · Transfer learning: a ResNet-18 that others have trained, on your data.
