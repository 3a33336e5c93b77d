# %% [markdown]
# # 04 · GoogLeNet: wider, deeper, cheaper
#
# In 2014 two nets showed that depth pays. VGG bought it with 138 million parameters. GoogLeNet has 22 layers, a lower error, and about a
# twentieth of the parameters. This lesson takes apart the three ideas behind it: 1×1 convolutions that make large kernels
# affordable, branches that look at several scales at once, and a head without big linear layers.
#
# After this lesson you can
#
# * say what a 1×1 convolution computes, and write it as a matrix product;
# * count the weights and multiply-adds of a branch, with and without a reduction in front;
# * write the inception block so that published weights fit it;
# * explain what the auxiliary heads were for, and show by a measurement when they matter;
# * read a head with global average pooling as a vote of the pixels.
#
# **Minutes:** 35 reading, 45 more for the exercises · 1 running quick · 4 running full

# %% tags=["setup"]
from functools import partial
from statistics import median

import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import resnet_edu as edu
from resnet_edu.models import GoogLeNet, GoogLeNetOutputs, Inception
from resnet_edu.models.googlenet import INCEPTIONS, ConvBlock

profile = edu.profile()
data = edu.data.load("mnist5k", size=16, limit=profile.choose(quick=2000, full=None))
seeds = range(profile.choose(quick=1, full=5))
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## The net
#
# Here it is, drawn from the model. A box is a layer. In the nine *inception blocks* each row of boxes is a branch: the
# rows work side by side on the same input, and within a row the left box comes first. Nothing in this net is as big as
# AlexNet's linear layers, and the last layer is the only linear one.

# %%
net = edu.models.build("googlenet")
edu.plots.architecture(net, (3, 224, 224), title="GoogLeNet: a stem, nine inception blocks, one linear layer")


# %% tags=["nbval-check-output"]
def count(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


macs = edu.probe.summary(net, (3, 224, 224)).macs / 1e9
print(f"parameters    {count(net):,}   (VGG-16: {edu.facts.PARAMETERS['vgg16'].value:,})")
print(f"multiply-adds {macs:.2f} billion a picture   (the authors' budget: {edu.facts.GOOGLENET_BUDGET})")
print(f"top-5 error   {edu.facts.ILSVRC_TOP5['2014 GoogLeNet']}   (VGG: {edu.facts.ILSVRC_TOP5['2014 VGG']})")
depth = 3 + 2 * len(INCEPTIONS) + 1  # three convolutions, two in a row in each block, one linear layer
print(f"depth         {depth} layers with parameters, one after the other")
assert depth == edu.facts.GOOGLENET_LAYERS.value
assert count(net) < edu.facts.PARAMETERS["vgg16"].value / 20
assert abs(macs - edu.facts.GOOGLENET_BUDGET.value) < 0.05

# %% [markdown]
# The two errors are those of whole submissions, several nets and many crops of each picture. Remember the budget: the authors
# fixed the multiply-adds first and asked how much net they could get for them.
#
# ## A 1×1 convolution mixes channels
#
# A kernel of 1×1 sees one pixel, so what is there to convolve? It sees *all channels* of this pixel. Each output channel is a weighted
# sum of them, with the same weights at every place. Three channels of a photo, mixed in four ways by hand:

# %%
photo = Image.open(edu.data.photo("coffee")).convert("RGB").resize((180, 120)).crop((30, 0, 150, 120))
x = torchvision.transforms.functional.to_tensor(photo)[None]  # (1, 3, 120, 120)
mixes = {
    "grey": [0.3, 0.6, 0.1],
    "red − green": [1.0, -1.0, 0.0],
    "blue − yellow": [-0.5, -0.5, 1.0],
    "negative": [-0.3, -0.6, -0.1],
}
matrix = torch.tensor(list(mixes.values()))  # (4, 3)
mixed = F.conv2d(x, matrix[:, :, None, None])  # (1, 4, 120, 120)
channels = torch.cat([x, mixed], dim=1)[0]  # (7, 120, 120)
low, high = channels.amin((1, 2), keepdim=True), channels.amax((1, 2), keepdim=True)
pictures = (channels - low) / (high - low)  # black to white, each for itself
names = ["red", "green", "blue", *(f"mix: {name}" for name in mixes)]
edu.plots.image_grid(pictures, names, columns=7, side=1.4, title="Three channels, and four mixes of them")

# %%
for name, row, column in (("red saucer", 75, 106), ("white rim", 32, 88)):
    red, green, blue, _, difference, *_ = channels[:, row, column].tolist()
    print(
        f"{name}: red {red:.2f}, green {green:.2f}, blue {blue:.2f}   1 · {red:.2f} − 1 · {green:.2f} = {difference:.2f}"
    )

# %% [markdown]
# In the red channel the saucer and the rim of the cup are both bright. In red − green the saucer is, and the rim is dark: its red and green
# cancel. The mix answers to what is *red*, the channel to all that is bright.
#
# Now the same as a matrix product. Put the three numbers of each pixel into a row. Then *one* matrix turns all rows into rows of four:

# %%
pixels = x[0].flatten(1).T  # (14400, 3): a row for each pixel
rows = pixels @ matrix.T  # (14400, 4)
print(f"{tuple(pixels.shape)} @ {tuple(matrix.T.shape)} = {tuple(rows.shape)}")
torch.testing.assert_close(rows.T.reshape(1, 4, 120, 120), mixed)
shuffled = torch.randperm(14_400, generator=torch.Generator().manual_seed(0))
of_shuffled = F.conv2d(x.flatten(2)[:, :, shuffled, None], matrix[:, :, None, None])[..., 0]
torch.testing.assert_close(of_shuffled, mixed.flatten(2)[:, :, shuffled])
print("shuffle the pixels before or after it: the same. A 1×1 convolution knows no neighbours.")

# %% [markdown]
# So it is a linear layer, applied at each pixel. With fewer outputs than inputs it *reduces* the channels: it keeps the mixes that
# are worth keeping. Lin, Chen and Yan introduced it a year earlier in "Network in network". In GoogLeNet a ReLU follows each one, so it also
# adds a layer to the depth. In exercise 4.1 you write it yourself.
#
# ## The inception block
#
# How large should a kernel be? Small things need small kernels and large things large ones, and both occur in one picture. The inception block does
# not choose. It sends its input through a 1×1, a 3×3 and a 5×5 convolution and a max pooling, side by side, and stacks what comes
# out along the channels. The next block can take from the stack what it needs.
#
# Done naively this is expensive, as the left half of the picture shows for the first block, called 3a. The numbers in the boxes are
# kernel and channels, and below them million multiply-adds. The right half is the block that GoogLeNet uses.


# %%
def naive_block(in_channels: int, one: int, three: int, five: int) -> nn.Module:
    """Three convolutions and a pooling, side by side."""
    block = nn.Module()
    block.branch1 = nn.Conv2d(in_channels, one, 1, bias=False)
    block.branch2 = nn.Conv2d(in_channels, three, 3, padding=1, bias=False)
    block.branch3 = nn.Conv2d(in_channels, five, 5, padding=2, bias=False)
    block.branch4 = nn.MaxPool2d(3, stride=1, padding=1)
    return block


reduced = Inception(*INCEPTIONS["3a"])
reduced.branch3[1].conv = nn.Conv2d(16, 32, 5, padding=2, bias=False)  # as in the paper; why it is set here, see below
naive = naive_block(192, 64, 128, 32)
edu.plots.inception_diagrams(
    {"naive": naive, "with reductions": reduced}, in_channels=192, side=28, title="Inception 3a, naive and as built"
)

# %% [markdown]
# The idea is to reduce before you look around. The 5×5 convolution costs $5 \cdot 5 \cdot \text{in} \cdot \text{out}$ weights, and each
# of them is used once at each of the 28 · 28 pixels. Let a 1×1 convolution bring 192 channels down to 16 first, and there is little left to pay:


# %% tags=["nbval-check-output"]
def weights(module: nn.Module) -> int:
    """Weights of all convolutions."""
    return sum(layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Conv2d))


print("weights (and million multiply-adds)          naive              reduced")
for name, branch in (("3×3 branch", "branch2"), ("5×5 branch", "branch3"), ("whole block", "")):
    a, b = (weights(block.get_submodule(branch)) for block in (naive, reduced))
    line = f"{a:9,} ({a * 28**2 / 1e6:5.1f})   {b:9,} ({b * 28**2 / 1e6:5.1f})   {a / b:4.1f} times less"
    print(f"{name:>34}: {line}")
assert weights(naive.branch3) / weights(reduced.branch3) > 9
assert 2 < weights(naive) / weights(reduced) < 3
assert weights(reduced) == sum((192 * 64, 192 * 96, 9 * 96 * 128, 192 * 16, 25 * 16 * 32, 192 * 32))

# %% [markdown]
# The 5×5 branch gets almost ten times cheaper, the whole block more than two times. But the saving in this one block is not the
# main point. Look at the channels that leave the naive block. Its pooling branch passes on all it gets, so each block is wider
# than the one before, and wide inputs make the next one dearer. Stack the nine blocks and compare:

# %%
channels, naive_macs, real_macs = 192, 0, 0
for name, (in_channels, one, r3, three, r5, five, pool) in INCEPTIONS.items():
    side = {"3": 28, "4": 14, "5": 7}[name[0]]
    naive_macs += side**2 * channels * (one + 9 * three + 25 * five)
    real_macs += side**2 * (in_channels * (one + r3 + r5 + pool) + 9 * r3 * three + 25 * r5 * five)
    channels += one + three + five  # and all that came in, by the pooling
    print(f"after {name}: naive {channels:5,} channels, as built {one + three + five + pool:5,}")
ratio = naive_macs / real_macs
print(
    f"nine blocks, billion multiply-adds: naive {naive_macs / 1e9:.1f}, as built {real_macs / 1e9:.2f}, {ratio:.0f} times less"
)
assert 10 < ratio < 12

# %% [markdown]
# So the 1×1 convolution behind the pooling earns its place too: it keeps the width in hand. Exercise 4.2 asks for the price of any branch. All six
# numbers of a block are free choices of its designers.
#
# ### Explore: the channel budget
#
# The sliders are the six numbers of block 3a. Solid bars are what you pay, dashed frames what the same branch costs without reduction. First
# find which slider costs most. Then make the block cheaper by a third and keep 256 channels. Then raise "3×3 reduce" until the
# reduction no longer pays.

# %% tags=["explorer"]
edu.widgets.channel_budget()

# %% [markdown]
# Where widgets do not run: the nine blocks as the paper has them.

# %%
edu.plots.channel_budget_grid()

# %%
for name, (in_channels, one, r3, three, r5, five, pool) in INCEPTIONS.items():
    of_three = in_channels * r3 + 9 * r3 * three
    others = in_channels * one, in_channels * r5 + 25 * r5 * five, in_channels * pool
    share = of_three / (of_three + sum(others))
    print(
        f"{name}: the 3×3 branch has {share:.0%} of the weights and makes {three} of {one + three + five + pool} channels"
    )
    assert of_three > max(others), "it is the dearest branch of each block"

# %% [markdown]
# ## Paper and library
#
# Published weights come from torchvision, and its net is not quite the paper's. Two deviations change the numbers:
#
# * The third branch has a **3×3** kernel and not a 5×5. The weights were ported from a TensorFlow model that had it so
#   ([issue 906](https://github.com/pytorch/vision/issues/906)), and it has stayed, since new weights would have to be trained.
# * **Batch norm** follows each convolution. It was published some months after GoogLeNet. The paper's convolutions have biases in its place.
#
# Besides, the local response normalisations are gone, the last max pooling is 2×2 and not 3×3, and the dropout before the last layer
# is 20 % and not 40 %. None of these has parameters. The package follows torchvision, so that its weights fit. What would the paper's
# net have?


# %% tags=["nbval-check-output"]
def five_by_five(model: nn.Module) -> nn.Module:
    """Give the third branch of each block the paper's kernel."""
    for block in model.modules():
        if isinstance(block, Inception):
            conv = block.branch3[1].conv
            block.branch3[1].conv = nn.Conv2d(conv.in_channels, conv.out_channels, 5, padding=2, bias=False)
    return model


def with_biases(model: nn.Module) -> nn.Module:
    """A bias in each convolution, no batch norm."""
    for layer in model.modules():
        if isinstance(layer, ConvBlock):
            layer.conv.bias, layer.bn = nn.Parameter(torch.zeros(layer.conv.out_channels)), nn.Identity()
    return model


print("as in the paper:", with_biases(five_by_five(edu.models.build("googlenet"))).inception3a.branch3[1].conv)

# %% tags=["nbval-check-output"]
changes = {
    "torchvision's": lambda model: model,
    "with 5×5": five_by_five,
    "with 5×5 and biases, as in the paper": lambda model: with_biases(five_by_five(model)),
}
counts = {
    name: [count(change(edu.models.build("googlenet", aux_heads=heads))) for heads in (False, True)]
    for name, change in changes.items()
}
for name, (without, total) in counts.items():
    print(f"{name:>37}: {without:,} parameters, {total:,} with the auxiliary heads")
assert 0.05 < counts["with 5×5"][0] / counts["torchvision's"][0] - 1 < 0.065
assert counts["torchvision's"] == [edu.facts.PARAMETERS["googlenet"].value, edu.facts.GOOGLENET_WITH_AUXILIARY.value]

# %% [markdown]
# The true 5×5 kernels would add about 6 percent. Does the smaller kernel hurt? One centre crop, one net: the paper reports a top-5
# error of 10.07 %, torchvision's weights have 10.47 %. Training differed too, so take from it only that the two are close.
#
# Now the proof that the package's net is torchvision's. The published weights are a download, so both nets get the same
# random ones. One pass in train mode first gives the batch norms statistics of their own. In exercise 4.3 your own
# block has to pass the same test.

# %%
torch.manual_seed(0)
theirs = torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=True)
for layer in theirs.modules():
    if isinstance(layer, nn.BatchNorm2d):
        layer.momentum = 1.0  # take over this batch's statistics
images = torch.randn(4, 3, 96, 96)
with torch.no_grad():
    theirs.train()(images)
    ours = edu.models.build("googlenet", aux_heads=True)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    a, b = ours.eval()(images), theirs.eval()(images)
print(f"logits from {b.min():.2f} to {b.max():.2f}; largest difference {(a - b).abs().max():.1e}")
torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
paper_error, (_, top5) = edu.facts.GOOGLENET_TOP5_SINGLE, edu.facts.TORCHVISION_ACCURACY["googlenet"]
print(f"top-5 error, one net, one crop: paper {paper_error.value} %, torchvision {100 - top5.value:.2f} %")

# %% [markdown]
# ## Auxiliary heads
#
# The authors worried whether a gradient finds its way down through 22 layers. So they put two more classifiers half way up, behind blocks
# 4a and 4d. While training, their losses are added to the main one with weight 0.3. Afterwards they are thrown away. In the package,
# the net returns three logits in train mode and one in eval mode:


# %%
def main_loss(outputs: GoogLeNetOutputs | Tensor, labels: Tensor) -> Tensor:
    """The last head's cross-entropy alone."""
    return F.cross_entropy(outputs if isinstance(outputs, Tensor) else outputs.logits, labels)


def all_losses(outputs: GoogLeNetOutputs, labels: Tensor, weight: float) -> Tensor:
    """The main loss, and `weight` times that of each auxiliary head."""
    auxiliary = F.cross_entropy(outputs.aux_logits1, labels) + F.cross_entropy(outputs.aux_logits2, labels)
    return main_loss(outputs, labels) + weight * auxiliary


loss_with_heads = partial(all_losses, weight=edu.facts.GOOGLENET_AUXILIARY_WEIGHT.value)
small = edu.models.build("googlenet", stem="small", width=8, in_channels=1, num_classes=10, aux_heads=True)
batch, labels = data.train.inputs(slice(64)), data.train.labels[:64]
outputs = small.train()(batch)
print(f"train mode: {', '.join(f'{name} {tuple(value.shape)}' for name, value in outputs._asdict().items())}")
print(f"eval mode:  logits {tuple(small.eval()(batch).shape)}")
print(f"main loss {main_loss(outputs, labels):.3f}, with heads {loss_with_heads(outputs, labels):.3f}")

# %% [markdown]
# Do the heads bring the first layer more gradient? Measure it before training, in a GoogLeNet of an eighth of the width on 64 digits. It depends on how
# the weights begin, which is the subject of the next lesson, so try four beginnings:
#
# * **σ = 0.01**: normal numbers with this standard deviation, as in AlexNet;
# * **Xavier**: larger weights, chosen for the number of inputs and outputs of a layer (Glorot and Bengio 2010);
# * **He**: larger still, made for ReLU (2015, some months too late for GoogLeNet);
# * **batch norm**: a batch norm behind each convolution, as in torchvision's net. The weights are the package's own,
#   He's by the number of *outputs*; behind a batch norm their size hardly matters.
#
# > **Before you run it:** in which of the four do you expect the heads to matter?


# %%
def begin(model: nn.Module, how: str) -> nn.Module:
    """Set a net to one of the four beginnings; the package's nets begin with the last one."""
    for layer in model.modules():
        if isinstance(layer, ConvBlock) and how != "batch norm":
            layer.bn = nn.Identity()
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if how == "Xavier":
                nn.init.xavier_uniform_(layer.weight)
            if how == "He" and isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # 2 / n with n inputs, as in lesson 03
            if how == "σ = 0.01":
                nn.init.normal_(layer.weight, std=edu.facts.ALEXNET_INIT_STD.value)
    return model


# %%
typical = []
for how in ("σ = 0.01", "Xavier", "He"):
    fresh = begin(edu.models.build("googlenet", stem="small", width=8, in_channels=1), how)
    typical.append(median(layer.weight.std().item() for layer in fresh.modules() if isinstance(layer, nn.Conv2d)))
    print(f"{how:>8}: the weights of a typical layer have standard deviation {typical[-1]:.3f}")
assert 3 * typical[0] < typical[1] < typical[2]


# %%
def gradients(
    how: str, seed: int, batch: Tensor, labels: Tensor, loss: edu.train.Loss
) -> list[edu.probe.LayerGradient]:
    """Gradient norms of a fresh net with auxiliary heads, under a loss that counts them or not."""
    torch.manual_seed(seed)
    model = edu.models.build("googlenet", stem="small", width=8, in_channels=1, num_classes=10, aux_heads=True)
    return edu.probe.gradient_norms(begin(model, how).train(), batch, labels, loss=loss)


norms = {}
for how in ("σ = 0.01", "Xavier", "He", "batch norm"):
    norms[how] = [
        [gradients(how, seed, batch, labels, loss)[0].weight for seed in range(5)]
        for loss in (main_loss, loss_with_heads)
    ]
edu.plots.gradient_with_and_without(norms, title="The heads help where the gradient shrinks on its way back")

# %%
factors = {}
for how, (without, with_them) in norms.items():
    factors[how] = [b / a for a, b in zip(without, with_them, strict=True)]
    print(f"{how:>10}: the heads multiply it by {min(factors[how]):.3g} to {max(factors[how]):.3g}")
assert min(factors["σ = 0.01"]) > 1000
assert min(factors["Xavier"]) > 1.3
assert 2 < median(factors["Xavier"]) < 5
assert all(2 / 3 < factor < 3 / 2 for how in ("He", "batch norm") for factor in factors[how]), "by less than half"

# %% [markdown]
# A weight's gradient is the product of two things: the signal that arrives from below and the gradient that arrives
# from above. With small weights both shrink from layer to layer. At the first layer the signal is the image itself, so
# there only the way back counts, and from an auxiliary head it is much shorter: with σ = 0.01 the heads bring more by
# many orders of magnitude, though what arrives is still nothing to learn from, and with Xavier's weights about
# threefold. With He's weights and with batch norm little is lost on the way, and two losses of weight 0.3 change what
# is there by less than half. Is the narrow net to blame? Set `width=64`, the real one, in `gradients` and run the last
# cells again: it takes minutes, and the verdict on each beginning stays.
# The same along the net:

# %%
ways = {"Xavier, no heads": ("Xavier", main_loss), "Xavier, heads": ("Xavier", loss_with_heads),
        "batch norm, no heads": ("batch norm", main_loss), "batch norm, heads": ("batch norm", loss_with_heads)}  # fmt: skip
profiles = {}
for name, (how, loss) in ways.items():
    rows = gradients(how, 0, batch, labels, loss)
    profiles[name] = [row for row in rows if row.name[:4] == "conv" or "branch2.1" in row.name]
print(" → ".join(row.name.split(".")[0].removeprefix("inception") for row in profiles["Xavier, heads"]))
edu.plots.gradients_by_layer(profiles, title="Xavier: the heads lift all up to 4d. Batch norm: nothing to lift")

# %%
ratio = [b.weight / a.weight for a, b in zip(profiles["Xavier, no heads"], profiles["Xavier, heads"], strict=True)]
print("factor by layer:", [round(value, 1) for value in ratio])
assert min(ratio[:6]) > 1.5, "up to 4a both heads add to the gradient"
assert all(abs(value - 1) < 1e-3 for value in ratio[-3:]), "4e, 5a and 5b lie above both heads"

# %% [markdown]
# The authors came back to this a year later (Szegedy et al. 2015, section 4). Their nets had batch norm by then. They
# saw no faster convergence early in training,
# only a slightly better end, and they could leave out the lower head without harm. They argued that the heads act as *regularisers*. What do they do
# in our small net, with batch norm?


# %%
def train(data: edu.data.Data, seed: int, loss: edu.train.Loss) -> tuple[nn.Module, edu.Epoch]:
    """A small GoogLeNet and its last epoch; the seed decides the initial weights too."""
    torch.manual_seed(seed)
    model = edu.models.build("googlenet", stem="small", width=8, in_channels=1, num_classes=10, aux_heads=True)
    config = edu.TrainConfig(epochs=3, batch_size=64, lr=0.1, augment=(), seed=seed)
    return model, edu.fit(model, data, config, loss=loss).epochs[-1]


trained, results = {}, {"without heads": [], "with heads": []}
for seed in seeds:
    for name, loss in (("without heads", main_loss), ("with heads", loss_with_heads)):
        trained[name], last = train(data, seed, loss)
        results[name].append(last)
        print(f"seed {seed}, {name:>13}: train error {last.train_error:.1f} %, validation error {last.val_error:.1f} %")

# %%
differences = [b.val_error - a.val_error for a, b in zip(*results.values(), strict=True)]
print(f"heads change the validation error by {[round(value, 1) for value in differences]} points")
assert all(epoch.val_error < 15 for last in results.values() for epoch in last)
assert all(abs(value) < 6 for value in differences)

# %% [markdown]
# Both learn, and the difference is small. (The full profile trains five seeds, so that you see how much a seed alone
# changes.) A short training on small digits can neither show nor refute a slight gain at the end of a long one on
# ImageNet. It does show that this net needs no help to get started.
#
# ## The head: an average
#
# AlexNet and VGG flatten the last maps into one long vector and send it through large linear layers. GoogLeNet takes the **mean of each map**
# (global average pooling) and has one linear layer behind it. Count what that saves:

# %% tags=["nbval-check-output"]
flat, averaged = 1024 * 7 * 7 * 1000 + 1000, 1024 * 1000 + 1000
alexnet = edu.models.build("alexnet")
of_alexnet = sum(count(layer) for layer in alexnet.modules() if isinstance(layer, nn.Linear))
print(f"1,024 maps of 7×7 → 1,000 classes: flattened {flat:,} parameters, averaged {averaged:,}")
print(f"AlexNet's three linear layers: {of_alexnet:,}")
print(f"the paper on the change from linear layers to the average: {edu.facts.GOOGLENET_AVERAGE_POOLING_GAIN}")
assert count(net.fc) == averaged
assert 48 < flat / averaged < 50
assert flat > 7 * count(net), "the head would have dwarfed the net"

# %% [markdown]
# And it changes what a head *is*. The mean and the linear layer are both linear, so they may change places:
#
# $$W \cdot \tfrac{1}{HW}\textstyle\sum_{ij} x_{ij} + b \;=\; \tfrac{1}{HW}\sum_{ij} \left( W x_{ij} + b \right)$$
#
# On the right every pixel of the last maps gives a *vote* for each class, by a 1×1 convolution with the same $W$ and $b$, and the logit is the
# mean of the votes (exercise 4.4). The net does not care how many pixels vote. So give the net, which was trained on single digits of 16×16, a picture of
# 40×40 with four of them:


# %%
def votes_of(model: GoogLeNet, images: Tensor) -> tuple[Tensor, Tensor]:
    """Votes of each pixel of the last maps, `(N, classes, h, w)`, and the logits."""
    with torch.no_grad(), edu.probe.activations(model.eval(), ["inception5b"]) as seen:
        logits = model(images)
        maps = seen["inception5b"].float()
        return F.conv2d(maps, model.fc.weight[:, :, None, None], model.fc.bias), logits


def four_digits(images: Tensor) -> Tensor:
    """A canvas of 40×40 with one digit in each quarter."""
    canvas = images.min() * torch.ones(1, 1, 40, 40, device=images.device)
    for image, (row, column) in zip(images, ((2, 2), (2, 22), (22, 2), (22, 22)), strict=True):
        canvas[0, :, row : row + 16, column : column + 16] = image
    return canvas


# %%
digits = [int((data.test.labels == digit).nonzero()[3]) for digit in (3, 7, 0, 4)]
canvas = four_digits(data.test.inputs(torch.tensor(digits))).to(edu.machine.device())
votes, logits = votes_of(trained["without heads"], canvas)
torch.testing.assert_close(votes.mean((2, 3)), logits.float(), rtol=1e-3, atol=1e-3)
largest = (votes.mean((2, 3)) - logits).abs().max()
print(f"{votes.shape[2]}×{votes.shape[3]} pixels vote; their mean is the logit, to {largest:.0e}")
maps = {str(digit): votes[0, digit] for digit in (3, 7, 0, 4)}
edu.plots.votes(canvas[0, 0], maps, title="Each class is voted for where it stands")


# %%
def windows(votes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean votes `(N, classes, 4)` for each quarter: of all pixels, of the quarter's 5×5, of the 3×3 under its digit."""
    cells = votes.unfold(2, 5, 5).unfold(3, 5, 5)  # (N, classes, 2, 2, 5, 5)
    everywhere = votes.mean((2, 3))[:, :, None].expand(-1, -1, 4)
    return everywhere, cells.mean((4, 5)).flatten(2), cells[..., 1:4, 1:4].mean((4, 5)).flatten(2)


def one_left(canvas: Tensor) -> Tensor:
    """Four canvases, each with one of the four digits left and black elsewhere."""
    # canvas i keeps quarter i
    keep = F.interpolate(torch.eye(4, device=canvas.device).reshape(4, 1, 2, 2), size=40)
    return torch.where(keep > 0, canvas, canvas.min())  # (4, 1, 40, 40)


# %%
readings = ("four digits, 5×5 pixels each", "one digit, all 10×10", "one digit, its 5×5", "one digit, its 3×3")
right = dict.fromkeys(readings, 0)
for start in range(0, 200, 4):
    of_four = data.test.labels[start : start + 4]
    canvas = four_digits(data.test.inputs(slice(start, start + 4))).to(edu.machine.device())
    together, alone = (votes_of(trained["without heads"], image)[0].cpu() for image in (canvas, one_left(canvas)))
    # together: one canvas with four quarters. alone: four canvases; of canvas i only quarter i counts (the diagonal)
    found = [windows(together)[1][0].argmax(0), *(means.argmax(1).diagonal() for means in windows(alone))]
    for name, digits in zip(right, found, strict=True):
        right[name] += int((digits == of_four).sum())
with torch.no_grad():
    usual = trained["without heads"](data.test.inputs(slice(200)).to(edu.machine.device())).argmax(1).cpu()
right["as in training, 16×16"] = int((usual == data.test.labels[:200]).sum())
for name, number in right.items():
    print(f"{name:>28}: most votes are for the digit in {number:3} of 200; guessing gives about 20")

# %%
four, everywhere, quarter, under, trained_size = right.values()
print(f"one digit: {everywhere} → {quarter} → {under} as the pixels around it lose their vote")
assert four > 40, "far above guessing"
assert quarter < four + 10, "the neighbours are not what is wrong"
assert everywhere + 15 < quarter < under + 10, "the black around the digit is"
assert everywhere + 40 < under < trained_size

# %% [markdown]
# Nobody told the net where the digits are, and it was never shown a picture of this size. Still, a quarter is often read wrong. The neighbours,
# which the net has not met in training either, are not to blame: one digit alone on the canvas fares no better. It is
# mostly the black *around* the digit. Those pixels vote too, the net has never seen so much black, and the mean counts
# them in full. With all 10×10 votes, which is the net's own
# answer to that canvas, it does little better than guessing. The fewer of them count, the more it gets right. It is not
# all: on their own 16×16 more of these digits are read right. One more change may matter. Padding adds zeros, which are
# grey here, so in training every digit stood in a grey frame.
#
# The maps are known as *class activation maps* (Zhou et al. 2016). Lesson 11 makes them for nets with any head. Note what the average gives up,
# too: it does not know *where* a feature was, only how much of it there was.
#
# ## Exercises
#
# Each exercise needs nothing but the set-up cell at the top.
#
# ### Exercise 4.1 · A 1×1 convolution as a matrix product
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Write the 1×1 convolution without PyTorch's convolutions: mix the channels of each pixel with the matrix `weight`, row k for output channel
# k, and add the biases.
#
# <details><summary>Hint 1</summary>
#
# `x.permute(0, 2, 3, 1)` brings the channels to the end. Then `@` works on the last dimension.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `weight` is (K, C), so the product needs its transpose. Bring the channels back with another `permute`.
#
# </details>


# %% tags=["exercise"]
def mix_pixels(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Maps x (N, C, H, W) to (N, K, H, W), with weight (K, C) and bias (K,)."""
    ### BEGIN SOLUTION
    rows = x.permute(0, 2, 3, 1) @ weight.T + bias  # (N, H, W, K)
    return rows.permute(0, 3, 1, 2)
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_mix_pixels(mix_pixels)

# %% [markdown]
# ### Exercise 4.2 · What a branch costs
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Count the weights and multiply-adds of one branch on maps of `side` × `side`. Without `reduced` the branch is one k×k convolution. With it, a 1×1
# convolution to `reduced` channels stands in front. The convolutions are padded, so that the side stays, and have no biases.
#
# <details><summary>Hint 1</summary>
#
# A k×k convolution from a to b channels has k · k · a · b weights.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Each weight is used once for each pixel that comes out.
#
# </details>


# %% tags=["exercise"]
def branch_cost(side: int, in_channels: int, channels: int, kernel: int, reduced: int | None = None) -> tuple[int, int]:
    """Number of weights, and of multiply-adds for one image."""
    ### BEGIN SOLUTION
    if reduced is None:
        parameters = kernel**2 * in_channels * channels
    else:
        parameters = in_channels * reduced + kernel**2 * reduced * channels
    return parameters, side**2 * parameters
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_branch_cost(branch_cost)

# %% [markdown]
# ### Exercise 4.3 · The inception block
#
# **Difficulty** ●●●○○ · **12 minutes**
#
# Write the block with torchvision's names, so that its weights fit: `branch1` (1×1), `branch2` (1×1, then 3×3), `branch3` (1×1, then 3×3 in the place of
# the paper's 5×5), `branch4` (3×3 max pooling, then 1×1). `ConvBlock(in_channels, channels, kernel)` is a padded convolution with batch norm and ReLU.
#
# <details><summary>Hint 1</summary>
#
# `branch1` is a `ConvBlock`. The others are `nn.Sequential` of two modules each.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The pooling must keep the side: `nn.MaxPool2d(3, stride=1, padding=1)`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `torch.cat` stacks along the dimension you give it. Channels are dimension 1.
#
# </details>


# %% tags=["exercise"]
class MyInception(nn.Module):
    """Maps (N, in_channels, H, W) to (N, one + three + five + pool, H, W)."""

    def __init__(
        self, in_channels: int, one: int, three_reduced: int, three: int, five_reduced: int, five: int, pool: int
    ) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.branch1 = ConvBlock(in_channels, one, 1)
        self.branch2 = nn.Sequential(ConvBlock(in_channels, three_reduced, 1), ConvBlock(three_reduced, three, 3))
        self.branch3 = nn.Sequential(ConvBlock(in_channels, five_reduced, 1), ConvBlock(five_reduced, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), ConvBlock(in_channels, pool, 1))
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)
        ### END SOLUTION


# %% tags=["check"]
edu.checks.check_inception(MyInception)

# %% [markdown]
# ### Exercise 4.4 · The average head
#
# **Difficulty** ●●●○○ · **10 minutes**
#
# Write the head of GoogLeNet, without its dropout. `forward` averages each map and applies `fc`. `votes` applies `fc` to each pixel, so that the
# mean of the votes over the pixels gives the logits.
#
# <details><summary>Hint 1</summary>
#
# `x.mean((2, 3))` leaves one number for each image and channel.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A linear layer works on the last dimension. Bring the channels there with `permute`, and the classes back to the second place.
#
# </details>


# %% tags=["exercise"]
class MyAverageHead(nn.Module):
    """Logits from maps of any side."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, channels, H, W) to logits (N, classes)."""
        ### BEGIN SOLUTION
        return self.fc(x.mean((2, 3)))
        ### END SOLUTION

    def votes(self, x: Tensor) -> Tensor:
        """Maps (N, channels, H, W) to votes (N, classes, H, W)."""
        ### BEGIN SOLUTION
        return self.fc(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        ### END SOLUTION


# %% tags=["check"]
edu.checks.check_average_head(MyAverageHead)

# %% [markdown]
# ### Exercise 4.5 · The loss with auxiliary heads
#
# **Difficulty** ●●○○○ · **6 minutes**
#
# The loss of the page works in train mode only. Write one for both modes, without looking back. In train mode the net returns `GoogLeNetOutputs`
# with the fields `logits`, `aux_logits2` and `aux_logits1`: return the cross-entropy of the logits plus `weight` times that of each auxiliary head.
# In eval mode it returns the logits alone: return their cross-entropy.
#
# <details><summary>Hint 1</summary>
#
# `isinstance(outputs, Tensor)` tells the two modes apart.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The main loss counts in full, whatever the weight.
#
# </details>


# %% tags=["exercise"]
def total_loss(outputs: GoogLeNetOutputs | Tensor, labels: Tensor, weight: float = 0.3) -> Tensor:
    """One number: the loss that is brought down while training."""
    ### BEGIN SOLUTION
    if isinstance(outputs, Tensor):
        return F.cross_entropy(outputs, labels)
    auxiliary = F.cross_entropy(outputs.aux_logits2, labels) + F.cross_entropy(outputs.aux_logits1, labels)
    return F.cross_entropy(outputs.logits, labels) + weight * auxiliary
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_total_loss(total_loss)

# %% [markdown]
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "GoogLeNet has 15 million parameters." | Six ways to count | **Wrong.** 6.6 to 7.0 million, and 13.0 to 13.4 million with the auxiliary heads, which are thrown away after training. |
# | "It has 12 times fewer parameters than AlexNet." | AlexNet's count divided by GoogLeNet's | **Not by this count.** 9.2 times, and 8.7 times with the paper's kernels. The authors' paper of 2015 prints 5 against 60 million, which would be 12; the net of their table has more than 5. |
# | "Torchvision's GoogLeNet has 5×5 convolutions." | List the kernels | **Wrong.** 1×1, 3×3 and one 7×7. |
# | "Auxiliary heads keep the gradient from vanishing." | First layer's gradient, four beginnings, five seeds | **Half right.** By orders of magnitude with small weights, about threefold with Xavier's; hardly with He's weights or batch norm. |
# | "1×1 convolutions make the block ten times cheaper." | Weights of 3a and multiply-adds of all nine, naive and reduced | **It depends on what you count.** The 5×5 branch of 3a, 9.7 times. Block 3a as a whole, 2.4 times. All nine together 11 times, since naive blocks also grow wider and wider. |

# %%
alexnets = edu.facts.PARAMETERS["alexnet"].value
for name, (without, total) in counts.items():
    print(
        f"{name:>37}: {without / 1e6:.2f} or {total / 1e6:.2f} million; AlexNet has {alexnets / without:.1f} times as many"
    )
    assert 6.6e6 < without < 7.1e6
    assert 13e6 < total < 13.5e6, "not 15 million"
ratios = [round(alexnets / without, 1) for without, _ in counts.values()]
assert ratios == [9.2, 8.7, 8.7], "not 12"
printed = edu.facts.ALEXNET_MILLION_PARAMETERS.value / edu.facts.GOOGLENET_MILLION_PARAMETERS.value
assert printed == edu.facts.GOOGLENET_FEWER_THAN_ALEXNET.value

# %%
kernels = {layer.kernel_size[0] for layer in theirs.modules() if isinstance(layer, nn.Conv2d)}
cheaper = [weights(naive.get_submodule(part)) / weights(reduced.get_submodule(part)) for part in ("branch3", "")]
print(f"kernels in torchvision's net: {sorted(kernels)}; ratio that the paper prints: {printed:.0f}")
print(f"reductions in 3a: the 5×5 branch {cheaper[0]:.1f} times cheaper, the block {cheaper[1]:.1f} times")
assert kernels == {1, 3, 7}
assert min(factors["σ = 0.01"]) > 1000 > 10 > median(factors["Xavier"]) > 2 > max(factors["He"] + factors["batch norm"])
assert 9 < cheaper[0] < 10, "the branch, yes"
assert 2 < cheaper[1] < 3, "the block, no"
assert 10 < naive_macs / real_macs < 12, "all nine together, yes"

# %% [markdown]
# ## Summary
#
# * A 1×1 convolution is a matrix applied to the channels of each pixel. It knows no neighbours, and it makes wide maps narrow.
# * The inception block looks at several scales side by side and stacks the results. Reductions before the large
#   kernels, and behind the pooling, keep it affordable.
# * Torchvision's net has 3×3 in the place of 5×5, and batch norm. It has 6.6 million parameters, 9.2 times fewer than AlexNet.
# * Auxiliary heads help where signal and gradient shrink on their way through the net. With good initial weights or batch norm they do not.
# * Global average pooling replaces tens of millions of parameters by a mean. Each pixel votes, and the logit is the mean of the votes.
#
# ## Sources
#
# * C. Szegedy et al.: Going deeper with convolutions, 2014, sections 4 to 7, [arXiv 1409.4842](https://arxiv.org/abs/1409.4842)
# * C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna: Rethinking the Inception architecture for computer vision, 2015, sections 1 and 4,
#   [arXiv 1512.00567](https://arxiv.org/abs/1512.00567)
# * M. Lin, Q. Chen, S. Yan: Network in network, 2013, [arXiv 1312.4400](https://arxiv.org/abs/1312.4400)
# * S. Ioffe, C. Szegedy: Batch normalization, 2015, [arXiv 1502.03167](https://arxiv.org/abs/1502.03167)
# * B. Zhou, A. Khosla, A. Lapedriza, A. Oliva, A. Torralba: Learning deep features for discriminative localization, 2016,
#   [arXiv 1512.04150](https://arxiv.org/abs/1512.04150)
# * torchvision's [GoogLeNet](https://docs.pytorch.org/vision/stable/models/googlenet.html) and its
#   [issue 906](https://github.com/pytorch/vision/issues/906) on the third branch
#
# ## Next lesson
#
# 05 · Vanishing and exploding gradients: why four beginnings gave four different gradients.
