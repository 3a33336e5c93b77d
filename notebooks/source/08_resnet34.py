# %% [markdown]
# # 08 · ResNet-34: from an empty file to torchvision's logits
#
# Lesson 07 took one block apart. Sixteen of them, between a stem and a linear layer, make a ResNet-34. You'll write it
# from an empty class, load somebody else's weights, and compare its logits with theirs. Then you'll find out which
# mistakes such a comparison catches, and load weights whose names don't match yours.
#
# After this lesson you can
#
# * write a ResNet-34 from an empty file and say why each line is there;
# * name the side, channels, parameters and multiply-adds of every stage, and say what the 34 counts;
# * test whether two implementations are the same net, and know which tests find which faults;
# * change a trained net for grey images or several heads, and load weights from elsewhere without fooling yourself.
#
# **Minutes:** 30 reading, 50 more for the exercises · 1 running quick · 1 running full

# %% tags=["setup"]
from collections.abc import Callable
from fnmatch import fnmatch

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet34 as torchvision_resnet34

import resnet_edu as edu
from resnet_edu.models import BasicBlock

print(edu.setup(seed=0))

# %% [markdown]
# ## The plan on one page
#
# Here is the whole net, drawn from the model. Each box is a layer with weights or a pooling. The higher the box, the larger
# the side of its maps; one step down means half the side. A solid arc is a shortcut that passes $x$ on as it is, a dashed
# arc one that has to change its shape.

# %%
net = edu.models.build("resnet34")
edu.plots.architecture(net, (3, 224, 224), title="ResNet-34: a stem, four stages of 3, 4, 6 and 3 blocks, a head")

# %% [markdown]
# Follow one image of 224×224 pixels from left to right. Its side is halved five times, and the global average pooling at the
# end leaves one number per channel. The layers with weights have torchvision's names, and blocks count from 0 within a
# stage. The ReLUs differ: torchvision uses one module twice in a block, and here they are `relu1` and `relu2`. So
# `layer2.3.relu2` is the last ReLU in the fourth block of stage 2.

# %% tags=["nbval-check-output"]
summary = edu.probe.summary(net, (3, 224, 224))
shapes = {row.name: row.output_shape[1:] for row in summary.rows}
last = ["conv1", "maxpool", "layer1.2.relu2", "layer2.3.relu2", "layer3.5.relu2", "layer4.2.relu2", "avgpool", "fc"]
sides = [224, *(shapes[name][-1] for name in last[:-1])]
assert sides == [224, 112, 56, 56, 28, 14, 7, 1]
assert summary.parameters == edu.facts.PARAMETERS["resnet34"].value
assert abs(summary.macs / 1e9 - edu.facts.GMACS["resnet34"].value) < 0.005
print(f"{summary.parameters:,} parameters, {summary.macs / 1e9:.2f} · 10⁹ multiply-adds")
edu.table([[name, " × ".join(map(str, shapes[name]))] for name in last], ["after", "channels × side × side"])

# %% [markdown]
# ## The stem
#
# A photo has far more pixels than the stages can afford. The stem keeps one in sixteen, in two steps: a 7×7 convolution
# with stride 2 and 64 filters, then, after batch norm and ReLU, max pooling over 3×3 windows with stride 2. Each number that
# leaves the stem has seen a patch of the image:

# %% tags=["nbval-check-output"]
field = edu.probe.receptive_field(nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool), (3, 224, 224))[-1]
at_full_size = edu.probe.summary(net.layer1, (64, 224, 224)).macs
at_56_pixels = edu.probe.summary(net.layer1, (64, 56, 56)).macs
print(
    f"one number after the stem sees {field.size}×{field.size} pixels; its neighbour's patch lies {field.jump} pixels on"
)
print(
    f"stage 1, 10⁹ multiply-adds: {at_56_pixels / 1e9:.2f} on maps of 56×56, {at_full_size / 1e9:.1f} on maps of 224×224"
)
assert (field.size, field.jump) == (11, 4)
assert at_full_size == 16 * at_56_pixels

# %% [markdown]
# For small images such a stem leaves little: a digit of 28×28 would enter the first stage with 7×7. The nets of lesson 06
# begin with one 3×3 convolution instead, and `edu.models.build("resnet34", stem="small")` does the same here.
#
# ## The stages
#
# The stages follow one rule: where the side is halved, the filters are doubled. Let's count what a 3×3 convolution costs in
# each:

# %% tags=["nbval-check-output"]
costs, rows = [], []
for stage, (channels, side) in enumerate(((64, 56), (128, 28), (256, 14), (512, 7)), start=1):
    conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    cost = edu.probe.summary(conv, (channels, side, side))
    costs.append(cost)
    rows.append([stage, channels, side, cost.parameters, cost.macs])
assert len({cost.macs for cost in costs}) == 1, "the same work in every stage"
assert [cost.parameters for cost in costs] == [9 * 64 * 64 * 4**n for n in range(4)], "four times the parameters"
edu.table(rows, ["stage", "channels", "side", "parameters of a 3×3", "multiply-adds"])

# %% [markdown]
# Half the side is a quarter of the pixels, and twice the filters on twice the channels is four times the work for each
# of them. The two cancel, so a block that keeps its shape costs the same in every stage. As far as the work goes, you
# can put blocks wherever you like. The parameters don't cancel: they grow fourfold from stage to stage.
#
# ### Explore: the table of stages
#
# Change the depth and see which rows move. The width is the number of filters of the stem, 64 in the paper, and all stages
# grow with it. Halve it: what happens to both totals? Then change the side, which leaves one of them as it is.
#
# <details><summary>Answers</summary>
#
# Half the width: about a quarter of both. Half the side: the parameters stay, and the multiply-adds fall to about a quarter.
#
# </details>

# %% tags=["explorer"]
explorer = edu.widgets.stage_explorer()
explorer

# %% [markdown]
# If widgets don't run for you, here are three nets. Each title gives the net's parameters and its multiply-adds.

# %%
explorer.twin({"the paper's ResNet-34": {}, "bottlenecks instead": {"depth": 50}, "half the width": {"width": 32}})

# %% [markdown]
# ### Exercise 8.1 · A stage
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Write the function that makes one stage out of the `BasicBlock` of lesson 07: `BasicBlock(in_channels, channels, stride)`.
# The first block leads from `in_channels` to `channels` and has the stride. All others keep the shape. Return an
# `nn.Sequential`.
#
# <details><summary>Hint 1</summary>
#
# Make a list that begins with the first block, and append `blocks - 1` others.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `nn.Sequential(*layers)`, with the asterisk, takes the modules out of the list.
#
# </details>


# %% tags=["exercise"]
def my_stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    """`blocks` basic blocks, (N, in_channels, H, W) to (N, channels, H / stride, W / stride)."""
    ### BEGIN SOLUTION
    layers = [BasicBlock(in_channels, channels, stride)]
    for _ in range(blocks - 1):
        layers.append(BasicBlock(channels, channels))
    return nn.Sequential(*layers)
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_stage(my_stage)

# %% [markdown]
# ## What the 34 counts
#
# The number in a ResNet's name counts the layers with weights along the main path. Batch norms, pooling and the projections
# on the shortcuts don't count:

# %% tags=["nbval-check-output"]
convolutions = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]
projections = [name for name in convolutions if "downsample" in name]
linear = [name for name, module in net.named_modules() if isinstance(module, nn.Linear)]
on_the_path = len(convolutions) - len(projections)
print(f"{len(convolutions)} convolutions, {len(projections)} of them projections: {', '.join(projections)}")
print(f"1 stem + 2 × (3 + 4 + 6 + 3) in the blocks = {on_the_path}, + {len(linear)} linear layer = {on_the_path + 1}")
assert on_the_path == 1 + 2 * (3 + 4 + 6 + 3) == 33
assert on_the_path + len(linear) == 34
assert len(projections) == 3

# %% [markdown]
# Stages 2, 3 and 4 open with a projection (option B of lesson 07), like that of exercise 7.2. Stage 1 needs none: max
# pooling has halved the side already, and 64 channels come in.
#
# ### Exercise 8.2 · ResNet-34
#
# **Difficulty** ●●●●○ · **20 minutes**
#
# Now write the whole net, with torchvision's names: `conv1`, `bn1`, `relu`, `maxpool`, `layer1` to `layer4`, `avgpool`,
# `fc`. Names matter, since weights are stored under them. You can use `BasicBlock`. The check copies your net's weights into
# a net of the package and compares the logits, so the initial values are up to you.
#
# <details><summary>Hint 1</summary>
#
# The stem: `nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)` and `nn.MaxPool2d(3, 2, 1)`. Both pad, so that 224 becomes 112
# and 112 becomes 56.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A loop over `(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)`, that is, channels, blocks and stride, can make the stages.
# `add_module("layer1", …)` gives a module a name.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `nn.AdaptiveAvgPool2d(1)` leaves `(N, 512, 1, 1)`; `.flatten(1)` turns it into `(N, 512)`. Return logits, without softmax.
#
# </details>


# %% tags=["exercise"]
class MyResNet34(nn.Module):
    """Maps (N, in_channels, H, W) to logits (N, num_classes)."""

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.conv1 = nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)
        self.bn1, self.relu, self.maxpool = nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        before = 64
        for n, (channels, blocks, stride) in enumerate(((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)), start=1):
            first, others = BasicBlock(before, channels, stride), range(blocks - 1)
            self.add_module(f"layer{n}", nn.Sequential(first, *(BasicBlock(channels, channels) for _ in others)))
            before = channels
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(512, num_classes)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))
        ### END SOLUTION


# %% tags=["check"]
edu.checks.check_resnet34(MyResNet34)

# %% [markdown]
# ## The test: somebody else's weights
#
# How do you know that a net written by hand is a ResNet-34? Take an implementation that thousands of people use, copy
# its weights, and compare. First the weights: `strict=True` refuses them if a single name or shape differs. Then the
# logits. Any numbers will do for this, so the weights are torchvision's random initial ones. `ours` is the package's
# net. If you've solved exercise 8.2, put `MyResNet34()` in its place.

# %%
theirs, ours = torchvision_resnet34(weights=None), edu.models.build("resnet34")
net = ours  # frees the one drawn above: each takes 87 MB
ours.load_state_dict(theirs.state_dict(), strict=True)
assert list(ours.state_dict()) == list(theirs.state_dict()), "the same names in the same order"
generator = torch.Generator().manual_seed(0)
images = torch.randn(4, 3, 64, 64, generator=generator)  # small images: the net takes any side
with torch.inference_mode():
    difference = (ours.eval()(images) - theirs.eval()(images)).abs().max()
print(f"{len(theirs.state_dict())} entries loaded; largest difference between the logits: {difference:.1g}")
assert difference < 1e-5


# %% [markdown]
# Equal logits say that the forward pass is the same, on these images and in evaluation mode. But a net also has
# gradients, and batch norms whose statistics change while it trains. So let both take one training step on the same
# batch, and compare what has changed:


# %%
def one_step(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, list[Tensor]]:
    """The gradients of one SGD step, and the weights and batch norm's statistics after it."""
    F.cross_entropy(model.train()(images), labels).backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    weights = list(model.parameters())
    statistics = [value for name, value in model.named_buffers() if "running" in name]
    return {"gradients": [w.grad for w in weights], "weights": weights, "statistics": statistics}


both, rows = [one_step(model, images, torch.tensor([1, 10, 100, 999])) for model in (ours, theirs)], []
for part in ("gradients", "weights", "statistics"):
    pairs = [(mine.detach(), value.detach()) for mine, value in zip(both[0][part], both[1][part], strict=True)]
    apart = max(((a - b).abs().max() / b.abs().max().clamp(min=1e-3)).item() for a, b in pairs)
    rows.append([part, len(pairs), f"{apart:.0e}"])
    assert apart < 1e-4
edu.table(rows, ["after one step", "tensors", "largest relative difference"])

# %% [markdown]
# Names, logits, gradients and statistics agree, to rounding. That's no proof: a difference that shows only for other
# inputs would slip through. But random weights and images exercise every layer, so it's a strong test. If it passes,
# you can expect what's published for torchvision's ResNet-34 to hold for this one, with the same weights and
# preprocessing.
#
# ## Where listings go wrong
#
# It's easy to get a line of ResNet-34 wrong, and such a listing often runs without an error. Here are eight such
# faults. Each entry says which layers it spoils and what takes their place: `layer[234].0` is the block that opens
# stage 2, 3 or 4, `?` stands for any one character, `*` for any number of characters.


# %%
def conv(old: nn.Conv2d, kernel: int, stride: int) -> nn.Conv2d:
    """The same convolution with another kernel and stride, padded to match."""
    return nn.Conv2d(old.in_channels, old.out_channels, kernel, stride, kernel // 2, bias=False)


both = ours.zero_grad(), theirs.zero_grad()  # their gradients are no longer needed, and take 174 MB
faults = {
    "stem with 3×3": ("conv1", lambda old: conv(old, 3, 2)),
    "a block of stage 3 missing": ("layer3", lambda stage: stage[:-1]),
    "second convolutions 1×1": ("layer*.conv2", lambda old: conv(old, 1, 1)),
    "no batch norm on shortcuts": ("layer[234].0.downsample", lambda shortcut: shortcut[:1]),
    "stem without padding": ("conv1", lambda _: nn.Conv2d(3, 64, 7, 2, bias=False)),
    "pooling without padding": ("maxpool", lambda _: nn.MaxPool2d(3, 2)),
    "stride in the second conv": ("layer[234].0.conv?", lambda old: conv(old, 3, 3 - old.stride[0])),
    "no ReLU after the addition": ("layer*.relu2", lambda _: nn.Identity()),
}
print(f"{len(faults)} faults")

# %% [markdown]
# You have four instruments: the sides of the maps, the number of parameters, the strict load, which lists everything that
# doesn't fit, and the logits with equal weights.


# %%
def spoil(net: nn.Module, pattern: str, make: Callable[..., nn.Module]) -> None:
    """Put something else in the place of every layer whose name matches."""
    for name in [name for name, _ in net.named_modules() if fnmatch(name, pattern)]:
        parent, _, last = name.rpartition(".")
        setattr(net.get_submodule(parent), last, make(net.get_submodule(name)))


def sides(net: nn.Module) -> str:
    """All sides that the maps of an image of 224×224 have."""
    shapes = [row.output_shape for row in edu.probe.summary(net, (3, 224, 224)).rows]
    return " ".join(map(str, sorted({shape[-1] for shape in shapes if len(shape) == 4}, reverse=True)))


# %%
def complaints(net: nn.Module, state: dict[str, Tensor]) -> int:
    """How many names a strict load refuses: missing, unexpected (both in quotes) or of another shape."""
    try:
        net.load_state_dict(state, strict=True)
    except RuntimeError as error:
        return str(error).count('"') // 2 + str(error).count("size mismatch")
    return 0


# %% [markdown]
# Try them on one fault at a time. The last column gives the largest difference of a logit, in percent of the largest
# logit, or a dash where the weights were refused.
#
# > **Before you run it:** which of the eight faults will pass the strict load?

# %%
right, found = ours.eval(), {}  # after its step, the running statistics are no longer all 0 and 1
wanted = right(images).detach()
for name, (pattern, make) in faults.items():
    spoiled = edu.models.build("resnet34")
    spoil(spoiled, pattern, make)
    count = edu.probe.summary(spoiled, (3, 224, 224)).parameters - summary.parameters
    refused = complaints(spoiled, right.state_dict())
    apart = 100 * ((spoiled.eval()(images) - wanted).abs().max() / wanted.abs().max()).item()
    found[name] = {
        "sides": "" if sides(spoiled) == sides(right) else sides(spoiled),
        "parameters": f"{count:+,}".replace("-", "−") if count else "",
        "strict load": f"refused, names: {refused}" if refused else "",
        "logits": None if refused else f"{apart:.0f} % off" if apart > 0.01 else "",
    }
print(f"{len(found)} faults, looked at with four instruments")

# %%
said = {None: "–", "": "sees nothing"}
edu.table(
    [[fault, *(said.get(text, text) for text in seen.values())] for fault, seen in found.items()],
    ["fault", "sides", "parameters", "strict load", "logits"],
)

# %%
assert complaints(right, theirs.state_dict()) == 0, "no complaint about the right net"
passed = [name for name, seen in found.items() if seen["strict load"] == ""]
unseen = [name for name in passed if not found[name]["sides"] and not found[name]["parameters"]]
print(f"{len(passed)} of {len(faults)} faults pass the strict load: {', '.join(passed)}")
print(f"only the logits show: {', '.join(unseen)}")
assert len(passed) == 4
assert unseen == ["stride in the second conv", "no ReLU after the addition"]
assert all(found[name]["logits"] for name in passed), "the logits find every one of them"
spoiled = None  # frees the last one

# %% [markdown]
# Parameters, running statistics and shapes describe what a net *has*. What it *does* between them has no name in the state
# dict: strides, padding, activations and the order of things. So compare logits as well, always.
#
# ## One channel, three heads
#
# Digits and many other images are grey. For them you change one layer, and you can keep weights that were trained on
# colour. A convolution adds over its input channels. So instead of giving it the same grey image three times, you can
# add up the three kernels of each filter and give it the image once. Here's how, with torchvision alone:

# %%
grey = torchvision_resnet34(weights=None)
grey.load_state_dict(theirs.state_dict())
kernels = grey.conv1.weight.detach().sum(dim=1, keepdim=True)  # (64, 3, 7, 7) to (64, 1, 7, 7)
grey.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
grey.conv1.weight = nn.Parameter(kernels)
one = torch.randn(2, 1, 64, 64, generator=generator)
with torch.inference_mode():
    wanted = theirs.eval()(one.expand(-1, 3, -1, -1))  # the grey image as red, green and blue
    difference = ((grey.eval()(one) - wanted).abs().max() / wanted.abs().max()).item()
assert difference < 1e-4, "the same net, for grey images"
print(f"largest difference between the logits, relative to the largest logit: {difference:.0e}")

# %% [markdown]
# (This holds if all three channels are normalised by the same mean and standard deviation.)
#
# The other end can change as well. A Bengali grapheme is written as a root with up to two diacritics, one for the vowel and
# one for a consonant, and a data set of handwritten graphemes (Alam et al. 2021) asks for all three. So put three linear
# layers, three *heads*, on the same 512 features. Each has its own cross-entropy, and the simplest loss is their sum. A head
# that knows nothing gives each of its $K$ classes the same probability, so its loss starts near $\ln K$:

# %% tags=["nbval-check-output"]
classes = {head: int(fact.value) for head, fact in edu.facts.BENGALI_CLASSES.items()}
with torch.device("meta"):  # shapes are enough to count parameters
    bengali = edu.models.build("resnet34", in_channels=1, heads=classes)
start = {head: F.cross_entropy(torch.zeros(1, number), torch.tensor([0])).item() for head, number in classes.items()}
sizes = {head: sum(p.numel() for p in bengali.fc.get_submodule(head).parameters()) for head in classes}
assert start["root"] > start["vowel"] + start["consonant"], "the head with the most classes has the largest part"
assert sum(sizes.values()) < 0.005 * sum(p.numel() for p in bengali.parameters()), "the heads are nearly free"
edu.table([[head, classes[head], sizes[head], f"{start[head]:.2f}", f"{100 * start[head] / sum(start.values()):.0f} %"]
           for head in classes], ["head", "classes", "parameters", "loss at the start", "share of the sum"])  # fmt: skip

# %% [markdown]
# Everything before the heads is called the *trunk* (or *backbone*, in lesson 10). It's computed once for all three,
# and the heads are nearly free. But at the start, the head with the most classes has the largest share of the loss,
# which may not be what you want. The usual fix is to put weights into the sum.
#
# ### Exercise 8.3 · A loss for several heads
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Write the weighted sum: for each head the mean cross-entropy over the batch, times the head's weight. Outputs, labels and
# weights are dictionaries with the heads' names as keys, and their order may differ. Without weights, or for a head that
# isn't among them, the weight is 1.
#
# <details><summary>Hint 1</summary>
#
# `for head, logits in outputs.items():` and then `labels[head]`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `weights.get(head, 1.0)` gives 1 where the name is missing. `weights or {}` makes a dictionary of `None`.
#
# </details>


# %% tags=["exercise"]
def my_multi_head_loss(
    outputs: dict[str, Tensor], labels: dict[str, Tensor], weights: dict[str, float] | None = None
) -> Tensor:
    """Logits (N, K) and labels (N,) by head to one scalar."""
    ### BEGIN SOLUTION
    weights = weights or {}
    losses = [weights.get(head, 1.0) * F.cross_entropy(logits, labels[head]) for head, logits in outputs.items()]
    return torch.stack(losses).sum()
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_multi_head_loss(my_multi_head_loss)

# %% [markdown]
# ## Weights trained elsewhere
#
# The last step is to load weights from a file that another program wrote. Two things usually get in the way. Training
# on several GPUs wraps the net, and then every name is saved with `module.` in front. And the head has different
# classes from yours. Only names and shapes matter here, so a net with random weights can stand in for such a file:

# %%
stored = edu.models.build("resnet34", num_classes=120, width=8).state_dict()
elsewhere = {f"module.{name}": value for name, value in stored.items()}
mine = edu.models.build("resnet34", num_classes=10, width=8)
before = {name: value.clone() for name, value in mine.state_dict().items()}
try:
    mine.load_state_dict(elsewhere)
except RuntimeError as error:
    print(f"strict: refused with {len(str(error))} characters of complaints")
left = mine.load_state_dict(elsewhere, strict=False)
unchanged = all(torch.equal(before[name], value) for name, value in mine.state_dict().items())
print(f"strict=False: no complaint, {len(left.missing_keys)} names missing, nothing loaded: {unchanged}")
assert unchanged, "strict=False has loaded nothing"
assert len(left.missing_keys) == sum("num_batches" not in name for name in before), "all but the step counters"

# %% [markdown]
# `strict=False` skips every name that doesn't match, and here none does. (182 of 218 are reported: PyTorch doesn't
# insist on the 36 step counters of batch norm.) So you'd go on with a random net. And where the name matches but the
# shape doesn't, it raises an error all the same. So be strict about the trunk, and lenient only about the head.
#
# ### Exercise 8.4 · Load a trunk
#
# **Difficulty** ●●●●○ · **15 minutes**
#
# Write `my_load_trunk(model, state, head="fc")`.
#
# 1. If all names of `state` begin with `module.`, cut that off, once.
# 2. A name *fits* if both sides have it, with the same shape. Collect the names of both sides that don't fit.
# 3. If one of them doesn't begin with the head's name and a dot, raise a `ValueError` that names it, and leave the model as
#    it was.
# 4. Otherwise load all that fits, and return two things: the model, and the names that don't fit, as a sorted list.
#
# <details><summary>Hint 1</summary>
#
# `key.removeprefix("module.")` cuts it off once and only in front. `key.lstrip("module.")` removes any of these *letters*,
# as many as there are.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `own = model.state_dict()`. The names of both sides are `own.keys() | state.keys()`; subtract those that fit.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Look at all names first and load at the end: `model.load_state_dict(fitting, strict=False)`.
#
# </details>


# %% tags=["exercise"]
def my_load_trunk(model: nn.Module, state: dict[str, Tensor], head: str = "fc") -> tuple[nn.Module, list[str]]:
    """Load what fits; the model, and the names that do not fit, all of them the head's."""
    ### BEGIN SOLUTION
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    own = model.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    others = sorted((own.keys() | state.keys()) - fitting.keys())
    if of_the_trunk := [name for name in others if not name.startswith(f"{head}.")]:
        raise ValueError(f"The trunk does not fit: {of_the_trunk}")
    model.load_state_dict(fitting, strict=False)
    return model, others
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_load_trunk(my_load_trunk)

# %% [markdown]
# ### What trained weights can do
#
# A net with random weights has nothing to say about a photo. The package comes with a trained ResNet-18, built from
# the same class, so you can see one at work: read the photo, send it through the net's own transforms, and look at the
# largest probabilities. Look at how sure it is, too.

# %%
from PIL import Image
from skimage import data as photos

trained = edu.models.pretrained("resnet18", source="bundled")
photo = photos.chelsea()[:, 80:380]  # (300, 300, 3), uint8: the middle
with torch.inference_mode():
    probabilities = trained.model(trained.transforms(Image.fromarray(photo))[None]).softmax(dim=1)[0]
percent, places = (100 * probabilities).topk(3)
print(trained.source)
edu.plots.image_grid(
    torch.from_numpy(photo).permute(2, 0, 1)[None],
    ["\n".join(f"{trained.categories[k]} {p:.0f} %" for k, p in zip(places, percent, strict=True))],
    columns=1,
    side=3.0,
    title=f"One of {len(trained.categories)} kinds of things",
)

# %% [markdown]
# It picks a cat, but with only 19 %, and two dogs come next. (In lesson 00 the same cat got 27 %. Only the crop is
# different, which tells you how much to trust such a number.) Lesson 12 deals with what to do when a net is unsure.
#
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "ResNet-34 has 34 convolutions." | Count them | **Wrong.** 36, of which 33 are on the main path; the linear layer is the 34th. |
# | "The weights load strictly, so the net is right." | Eight faults of our choice | **Wrong.** Four of them load without a word and give other logits. |
# | "More parameters, more work." | Share of stage 4 in both | **Wrong.** It has more than half of the net's parameters and less than a fifth of its multiply-adds. |
# | "A ResNet takes only images of 224×224." | An image of 65×97 | **Wrong.** The global average pooling takes any side. (How well trained weights do at another side is a different question.) |
# | "If names don't match, `strict=False` solves it." | Names with `module.` in front | **Wrong.** It loads nothing and raises no error. Only its return value tells you, if you look. |
# | "Several heads are nearly free." | Parameters of three heads | **Right** for the net: below half a percent of its parameters. |

# %%
assert len(convolutions) == 36
assert len(passed) == 4
stage_4 = [row for row in summary.rows if row.name.startswith("layer4")]
of_parameters = sum(row.parameters for row in stage_4) / summary.parameters
of_work = sum(row.macs for row in stage_4) / summary.macs
print(f"stage 4: {100 * of_parameters:.0f} % of the parameters, {100 * of_work:.0f} % of the multiply-adds")
assert of_parameters > 1 / 2
assert of_work < 1 / 5
assert 17 < percent[0] < 21, "the cat; in lesson 00 it is 27"
with torch.inference_mode():
    print("logits of an image of 65×97:", tuple(right(torch.randn(1, 3, 65, 97)).shape))

# %% [markdown]
# ## Summary
#
# * Stem, four stages, global average pooling, one linear layer. Where the side is halved, the filters are doubled, so a
#   block costs about the same in every stage.
# * The 34 counts 33 convolutions on the main path and the linear layer; the 3 projections come on top.
# * Compare logits, gradients and statistics with equal weights: a strong test. A strict load alone let half of our eight
#   faults pass. With shapes and parameter counts beside it, two still slipped through.
# * Weights for colour work for grey images if you add up the kernels. Several heads share one trunk, and you add up their
#   losses.
# * Be strict with weights from elsewhere: cut the prefix, let only the head differ, and read the names that didn't fit.
#
# ## Sources
#
# * K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition, 2015, section 3.3, table 1 and figure 3,
#   [arXiv 1512.03385](https://arxiv.org/abs/1512.03385)
# * torchvision's [`resnet.py`](https://github.com/pytorch/vision/blob/main/torchvision/models/resnet.py) and its [table of
#   weights](https://docs.pytorch.org/vision/stable/models.html)
# * S. Alam et al.: A large multi-target dataset of common Bengali handwritten graphemes, 2021, [arXiv
#   2010.00170](https://arxiv.org/abs/2010.00170); the [competition](https://www.kaggle.com/c/bengaliai-cv19) counted the
#   root twice
# * PyTorch on [saving and loading](https://docs.pytorch.org/tutorials/beginner/saving_loading_models.html)
#
# ## Next lesson
#
# 09 · The ResNet family: from 18 layers to 200 with one class, and what each of them costs.
