# %% [markdown]
# # 06 · Degradation: deeper, yet worse
#
# You have seen nets grow from 5 layers to 8, 16 and 22, and each was better than the last. So take a net that works,
# triple its depth, and train it in the same way. In this lesson you do exactly that, and the deeper net fails *on the
# images it was trained on*. This one experiment is the reason why ResNet exists.
#
# After this lesson you can
#
# * run the degradation experiment of He et al. and read its four curves;
# * tell degradation from overfitting, from vanishing gradients and from a lack of parameters, each by a measurement;
# * construct a deep net that is as good as a shallow one, and say what its existence proves;
# * repair a 56-layer net with one line.
#
# **Minutes:** 30 reading · 1 running quick · 5 running full

# %% tags=["setup"]
import torch
from torch import Tensor, nn

import resnet_edu as edu
from resnet_edu.models import CifarNet, PlainBlock

profile = edu.profile()
size, width = profile.choose(quick=(16, 8), full=(32, 16))
data = edu.data.load("mnist5k", size=size, limit=profile.choose(quick=2000, full=None))
config = edu.TrainConfig(epochs=6, batch_size=64, lr=0.1, augment=())  # a mirrored 7 is no 7: no flips
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## The experiment
#
# The two nets differ in one number only. Both begin with a 3×3 convolution, go through three stages of equal blocks, and
# end in global average pooling and one linear layer. A block is two 3×3 convolutions, each followed by batch norm and
# ReLU. With 3 blocks a stage the net has 6 · 3 + 2 = **20** layers with weights, with 9 blocks it has 6 · 9 + 2 = **56**.
#
# The recipe is the same for both, down to the order of the images: SGD with momentum, one learning rate schedule, six
# passes over 2,000 handwritten digits. This is the experiment of section 4.2 of the paper at a size that a laptop
# finishes in seconds.


# %%
def train(name: str, width: int, data: edu.data.Data, config: edu.TrainConfig) -> tuple[nn.Module, edu.History]:
    """Build one of the CIFAR nets for grey images and train it; the seed decides the initial weights too."""
    torch.manual_seed(config.seed)
    model = edu.models.build(name, width=width, in_channels=1)
    return model, edu.fit(model, data, config)


for name in ("plain20", "plain56"):
    model = edu.models.build(name, width=width, in_channels=1)
    weights = sum(parameter.numel() for parameter in model.parameters())
    print(f"{name}: {weights:9,} parameters")

# %% [markdown]
# > **Before you go on, commit yourself.** The deeper net has three times the layers and three times the parameters.
# > Which of the two will have the lower error on the 2,000 training images after six passes? And on the test images?
# > Say it aloud, then run the cell.

# %%
models, histories = {}, {}
for name in ("plain20", "plain56"):
    models[name], histories[name] = train(name, width, data, config)
edu.plots.degradation(histories, title="56 layers are worse than 20, and on the training images too")

# %% [markdown]
# Look at the solid lines first: they are the error on the *training* images. The thick line lies far above the thin one.
# The 56-layer net does not fit the images that it sees six times. The dotted lines, the error on images it never saw,
# tell the same story, but they are not what is surprising here.

# %%
shallow, deep = histories["plain20"].last, histories["plain56"].last
print(f"training error   plain-20 {shallow.train_error:5.1f} %   plain-56 {deep.train_error:5.1f} %")
print(f"test error       plain-20 {shallow.test_error:5.1f} %   plain-56 {deep.test_error:5.1f} %")
assert deep.train_error > shallow.train_error + 10, "plain-56 fits the training images worse than plain-20"
assert deep.test_error > shallow.test_error + 10, "plain-56 is worse on the test images as well"

# %% [markdown]
# **This is not overfitting.** A net that overfits is good on the training images and bad on others. Here the deeper net is
# bad on the training images themselves, so no amount of further data, dropout or augmentation would help it. He et al.
# gave the effect its own name: *degradation*.
#
# ## One addition per block
#
# Now change a single thing. Around every block, add the block's input to its output, just before the last ReLU:
#
# $$\text{plain: } \mathrm{ReLU}(F(x)) \qquad\qquad \text{residual: } \mathrm{ReLU}(F(x) + x)$$
#
# Nothing else changes: same layers, same initial values, same images in the same order. Where a block halves the side and
# doubles the channels, $x$ is thinned out and padded with zeros to fit (option A of the paper), which needs no parameters.

# %%
for name in ("resnet20", "resnet56"):
    models[name], histories[name] = train(name, width, data, config)
edu.plots.degradation(histories, title="One addition per block, and depth does no more harm")

# %%
print("error after the last pass     training       test      parameters")
for name, history in histories.items():
    weights = sum(parameter.numel() for parameter in models[name].parameters())
    print(f"{name:>26}     {history.last.train_error:6.1f} %   {history.last.test_error:6.1f} %   {weights:11,}")
repaired = histories["resnet56"].last
assert repaired.train_error < deep.train_error - 10, "the additions repair the 56-layer net"
assert repaired.train_error < histories["resnet20"].last.train_error + 2, "with them, 56 layers fit as well as 20"

# %% [markdown]
# **Nor is it a lack of parameters.** The plain and the residual net of one depth have exactly the same number of them, as
# the table shows, and the additions have none of their own. For the nets of the paper, with 16 filters in the first stage
# and colour images, you can check the published counts:

# %% tags=["nbval-check-output"]
for depth in (20, 56):
    for kind in ("plain", "resnet"):
        count = sum(parameter.numel() for parameter in edu.models.build(f"{kind}{depth}").parameters())
        assert count == edu.facts.PARAMETERS[f"resnet{depth}"].value
        print(f"{kind}{depth}: {count:,} parameters")

# %% [markdown]
# ## Do the gradients vanish?
#
# Many texts say that plain deep nets fail because their gradients vanish on the way back to the first layers. That was
# true of the nets before 2015, and lesson 05 measures it. Is it true of this one? Take the untrained nets, send one batch
# forward and back, and look at the size of the gradient in each layer. For comparison, here is what vanishing looks like:
# 55 convolutions with a sigmoid behind each and no batch norm.


# %%
def sigmoid_net(layers: int, width: int) -> nn.Sequential:
    """As many 3×3 convolutions, each followed by a sigmoid, then pooling and a linear layer: a net of the nineties."""
    net = nn.Sequential()
    for channels in [1] + [width] * (layers - 2):
        net.extend([nn.Conv2d(channels, width, 3, padding=1), nn.Sigmoid()])
    return net.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)])


batch, labels = data.train.inputs(slice(128)), data.train.labels[:128]
torch.manual_seed(0)
nets = {name: edu.models.build(name, width=width, in_channels=1) for name in ("plain56", "resnet56", "plain20")}
nets["56 sigmoids, no batch norm"] = sigmoid_net(56, width)
gradients = {name: edu.probe.gradient_norms(net, batch, labels) for name, net in nets.items()}
edu.plots.gradients_by_layer(gradients, title="Plain-56's gradients grow towards the first layer")

# %%
norms = {name: [layer.weight for layer in layers] for name, layers in gradients.items()}
for name, values in norms.items():
    print(f"{name:>26}:  first layer {values[0]:9.2e}   last layer {values[-1]:9.2e}   smallest {min(values):9.2e}")
assert min(norms["plain56"]) > min(norms["plain20"]) / 2, "no layer of plain-56 gets less gradient than plain-20's do"
assert norms["plain56"][0] > 10 * norms["plain56"][-1], "towards the first layer they grow instead of vanishing"
assert norms["56 sigmoids, no batch norm"][0] < 1e-20, "this is what vanishing looks like"

# %% [markdown]
# The sigmoid net's gradient falls off the bottom of the picture and goes on falling, until the computer rounds it to zero. Its
# first layers will never move. The 56-layer plain net
# shows nothing of the kind. Batch norm keeps the forward signal at unit variance, so no layer starves. If anything the
# gradient *grows* on its way to the first layer, by a factor of hundreds: batch norm and ReLU together multiply it by
# about 1.2 a layer in expectation (Yang et al. 2019). The residual net is flat, because each addition passes the gradient on
# unchanged.
#
# So the careful statement is the one in the paper: the authors found healthy norms in their plain nets and wrote that this
# difficulty is "unlikely to be caused by vanishing gradients". Size is not the whole story either: lesson 05 shows that the
# gradients of a deep plain net lose their *direction*. They look more and more like noise the deeper the net.
#
# ## A solution exists, and SGD does not find it
#
# Could it be that a plain 56-layer net simply cannot express what a 20-layer net can? No, and the paper's argument needs no
# training at all. Take the trained plain-20. Append blocks that return their input. The result has 56 layers and makes
# the same predictions, image by image.

# %%
extended = edu.models.extend_with_identity(models["plain20"], 56)
test_images = data.test.inputs().to(edu.runtime.device())
with torch.inference_mode():
    difference = (extended(test_images) - models["plain20"](test_images)).abs().max().item()
layers = sum(isinstance(module, nn.Conv2d | nn.Linear) for module in extended.modules())
print(f"layers with weights: {layers};  largest difference of a logit: {difference:.1e}")
assert layers == 56
assert difference < 1e-5, "the extended net is the shallow net, written with 56 layers"

# %% [markdown]
# An identity block is easy to write down: each filter is zero but for a 1 in the centre of its own channel, and the batch norms
# do nothing. ReLU does not disturb it, since its input has come out of a ReLU and is not negative. You build it yourself in
# exercise 6.2.
#
# Now compare two plain 56-layer nets on the training images, the constructed one and the trained one:

# %%
found = edu.evaluate(models["plain56"], data.train).top1_error
exists = edu.evaluate(extended, data.train).top1_error
print(f"plain-56 as SGD found it:       {found:5.1f} % training error")
print(f"plain-56 as we wrote it down:   {exists:5.1f} % training error")
assert exists < found - 10, "a better 56-layer net exists than the one that SGD found"

# %% [markdown]
# Both are points in the same space of weights. One of them is good, and SGD, starting from random weights, ends at the other.
# **Degradation is a failure of optimisation**, not of capacity. That turns the question around: if a deep net
# only has to leave its input alone to be as good as a shallow one, why not make leaving it alone the default? That
# is what $F(x) + x$ does. A block that has nothing to add pushes $F$ to zero, which is far easier than to build an
# identity out of two layers of convolutions and ReLUs.
#
# ## Five seeds, four depths
#
# One run is an anecdote. The course carries a recorded study of the same experiment: plain and residual nets of 20, 32, 44 and 56
# layers, five seeds each, with the settings of this page. You can make it again with `resnet-edu study
# mnist5k-degradation --out FOLDER`.

# %%
study = edu.study.load_study("mnist5k-degradation")
edu.plots.depth_sweep(study)

# %%
finals = {name: [run.last for run in study.of(name)] for name in study.settings}
train_errors = {name: torch.tensor([last.train_error for last in runs]) for name, runs in finals.items()}
test_errors = {name: torch.tensor([last.test_error for last in runs]) for name, runs in finals.items()}
spread = {name: f"{errors.mean():5.1f} ± {errors.std():4.1f}" for name, errors in test_errors.items()}
print(f"error in percent after the last pass, mean ± standard deviation over {len(study.seeds)} seeds")
for name, errors in train_errors.items():
    print(f"{name:>9}   training {errors.mean():5.1f} ± {errors.std():4.1f}   test {spread[name]}")

# %%
plain20, plain56, resnet20, resnet56 = (train_errors[n] for n in ("plain20", "plain56", "resnet20", "resnet56"))
assert (plain56 > plain20 + 10).all(), "plain-56 is worse with every seed"
assert (resnet56 < plain56 - 10).all(), "the additions repair it with every seed"
assert (resnet56 < resnet20 + 2).all(), "ResNet-56 fits about as well as ResNet-20, or better"
print(f"plain-56 is worse than plain-20 by {(plain56 - plain20).min():.0f} to {(plain56 - plain20).max():.0f} points")

# %% [markdown]
# How do these numbers compare with the paper's? They are from another data set, fewer images, narrower nets and 6 passes instead
# of about 180, so only their order means something. The paper's nets were trained long enough for the plain net's gap to shrink to a few
# points; it never closed.

# %%
he, others = edu.facts.HE_CIFAR10, edu.facts.RERUNS_CIFAR10["nabla0001"]
print("test error (%)    He et al. 2015, CIFAR-10    rerun by nabla0001, 5 runs    here, mnist5k, 6 passes")
for name in ("plain20", "plain56", "resnet20", "resnet56"):
    print(f"{name:>14}    {he.get(name, 'figure only')!s:>24}    {others[name]!s:>26}    {spread[name]:>21} %")

# %% [markdown]
# ### Explore: depth and skip
#
# Choose a depth and switch the additions on and off. The grey curve is always the plain 20-layer net, the one to beat.

# %% tags=["explorer"]
edu.widgets.depth_and_skip(study)

# %% [markdown]
# Where widgets do not run, here is all of it at a glance. Follow the upper row from left to right, then the lower one.

# %%
edu.plots.depth_and_skip_grid(study)

# %% [markdown]
# ## The ground under the optimiser
#
# Why does SGD get lost? The loss is a surface over as many dimensions as the net has weights. We can look at a slice of it.
# Start at the trained weights, choose two random directions, scale each filter of a direction to the length of the filter
# it moves, and compute the loss on a grid of steps along both (Li et al. 2018).

# %%
images, targets = data.train.inputs(slice(256)), data.train.labels[:256]
steps = profile.choose(quick=11, full=31)
surfaces = {
    name: edu.probe.loss_surface(models[name], images, targets, span=1.0, steps=steps)
    for name in ("plain56", "resnet56")
}
edu.plots.loss_surfaces(surfaces, title="A residual net ends in a wide valley, a plain one on a high plateau")

# %% [markdown]
# The star marks where training ended. Read the two panels together with the number above each: the residual net stands at
# the bottom of a wide basin, and the plain net on high ground that is nearly as high in every direction. A slice shows two
# directions out of hundreds of thousands, so take it as an illustration and not as a proof.

# %%
for name, surface in surfaces.items():
    print(
        f"{name:>9}: loss {surface.centre:.3f} at the trained weights, {surface.losses.median():.2f} in the median of the slice"
    )
assert surfaces["resnet56"].centre < surfaces["plain56"].centre / 2, "the residual net stands lower"

# %% [markdown]
# ## Exercises
#
# Each exercise needs nothing but the set-up cell at the top.
#
# ### Exercise 6.1 · A plain block
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Write the block of the plain nets: 3×3 convolution, batch norm, ReLU, and the same again. The first convolution has
# the given `stride`, and both keep the side otherwise. Convolutions that are followed by batch norm need no bias.
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
# ### Exercise 6.2 · The identity extension
#
# **Difficulty** ●●●●○ · **20 minutes**
#
# You get a trained plain net and a greater depth. Return a plain net of that depth that makes the same predictions in evaluation
# mode, to 1e-5. Put the blocks of the shallow net first in each stage and identity blocks behind them.
# Leave the shallow net as it is.
#
# <details><summary>Hint 1</summary>
#
# The names of the shallow net's parameters are all names of the deep net's too, so `load_state_dict(…, strict=False)` copies
# every one of them to its place.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `nn.init.dirac_(conv.weight)` makes a convolution that returns its input. The new blocks are those of each stage from number
# `len(shallow.layer1)` on.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# A fresh batch norm divides by the square root of `running_var + eps`, with `running_var` 1. That is not quite 1. Over 36 layers
# it is enough to miss 1e-5: set `running_var` to `1 - eps`.
#
# </details>


# %% tags=["exercise"]
def my_extension(shallow: CifarNet, depth: int) -> CifarNet:
    """A plain net of `depth` layers that computes what `shallow` computes, in evaluation mode."""
    weight = shallow.conv1.weight
    deep = CifarNet(depth, residual=False, width=weight.shape[0], in_channels=weight.shape[1])
    ### BEGIN SOLUTION
    deep.load_state_dict(shallow.state_dict(), strict=False)
    for stage in (deep.layer1, deep.layer2, deep.layer3):
        for block in stage[len(shallow.layer1) :]:
            for conv, bn in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
                nn.init.dirac_(conv.weight)
                bn.running_var.fill_(1 - bn.eps)
    return deep.eval()
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_identity_extension(my_extension)

# %% [markdown]
# ### Exercise 6.3 · Read six curves
#
# **Difficulty** ●●●○○ · **10 minutes**
#
# Six trainings, six stories: one is healthy, the others are not. Read each panel and name it. The choices are `"healthy"`,
# `"overfitting"`, `"degradation"`, `"learning rate too high"`, `"learning rate too low"` and `"labels shuffled"` (the training
# images were given each other's labels). Each is the right answer once. The faint line is the error of guessing.
#
# <details><summary>Hint 1</summary>
#
# Look at the training error first. Three panels are decided by it alone: is it low, high, or still falling when training ends?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Labels that mean nothing can only be learned by heart: slowly on the training images, and not at all on the others. A rate
# that is too low moves both curves together, slowly, in the right direction.
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
# ### Exercise 6.4 · The line that repairs plain-56
#
# **Difficulty** ●●○○○ · **5 minutes**
#
# Here is the forward pass of a plain block. One line is missing that turns it into a residual block. `self.shortcut(x)` returns
# `x`, thinned out and padded where the shape changes.
#
# <details><summary>Hint 1</summary>
#
# The addition comes after the second batch norm and before the last ReLU.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Write `out = out + …`, not `out += …`: an addition in place would overwrite a tensor that the backward pass still needs to
# show you in later lessons.
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
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "Deep plain nets overfit." | Training error of plain-56 against plain-20 | **Wrong.** It is the *training* error that rises. |
# | "Degradation is caused by vanishing gradients." | Gradient norm of every layer at the start | **Wrong for nets with batch norm.** No layer's gradient vanishes; they grow towards the input. |
# | "The deeper net needs more parameters to work." | Parameters of plain-56 and ResNet-56 | **Wrong.** They have equally many; one works. |
# | "Copying the shallow net and adding identity layers does at least as well." | The construction above | **Right**, in evaluation mode and to 1e-5. |
# | "ResNet lets you train nets of any depth, the deeper the better." | The recorded sweep, and the paper's 1,202 layers | **Half right.** Depth does no harm to 56 layers here; the paper's 1,202 layers did worse than its 110. |

# %%
counts = [sum(p.numel() for p in edu.models.build(name).parameters()) for name in ("plain56", "resnet56")]
assert (plain56 > plain20).all(), "not overfitting: the training error itself is higher"
assert min(norms["plain56"]) > min(norms["plain20"]) / 2, "not vanishing gradients"
assert counts[0] == counts[1], "not a lack of parameters"
assert difference < 1e-5, "the construction holds"
assert he["resnet1202"].value > he["resnet110"].value, "deeper is not better without end"
print(
    f"ResNet-110: {he['resnet110']}, ResNet-1202: {he['resnet1202']} test error on CIFAR-10 ({he['resnet110'].source})"
)

# %% [markdown]
# ## Summary
#
# * A plain net of 56 layers fits its own training images worse than one of 20 layers. This is degradation.
# * It is not overfitting: the training error rises. It is not vanishing gradients: with batch norm, none vanishes. It is not a lack of
#   parameters: the residual net has equally many.
# * A good 56-layer net exists, since you can write it down. SGD does not find it. Degradation is a failure of optimisation.
# * Adding a block's input to its output makes "do nothing" the easy default, and depth stops hurting.
#
# ## Sources
#
# * K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition, 2015, sections 1, 3 and 4.2,
#   [arXiv 1512.03385](https://arxiv.org/abs/1512.03385)
# * H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein: Visualizing the loss landscape of neural nets, 2018,
#   [arXiv 1712.09913](https://arxiv.org/abs/1712.09913)
# * G. Yang, J. Pennington, V. Rao, J. Sohl-Dickstein, S. Schoenholz: A mean field theory of batch normalization, 2019,
#   [arXiv 1902.08129](https://arxiv.org/abs/1902.08129)
# * D. Balduzzi et al.: The shattered gradients problem, 2017, [arXiv 1702.08591](https://arxiv.org/abs/1702.08591)
# * Reruns of the CIFAR-10 experiment: [nabla0001/resnet](https://github.com/nabla0001/resnet)
#
# ## Next lesson
#
# 07 · Residual blocks: the block itself, its three shortcuts, its bottleneck, and what happens when you take one out.
