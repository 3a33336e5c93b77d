# %% [markdown]
# # 05 · Vanishing and exploding gradients
#
# VGG stopped at 19 layers, and at first its authors started the deep versions from trained layers of a shallow one.
# GoogLeNet got two side exits, so that its lower layers would hear more from the loss. Both took precautions, because
# deep nets were hard to train. In this lesson you measure what goes wrong, and find out that it's more than one thing.
#
# After this lesson you can
#
# * say by what factor a gradient changes in one layer, and where that factor comes from;
# * write backpropagation by hand, and get what autograd gets;
# * choose initial weights that keep the size of a signal through fifty layers;
# * tell vanishing, exploding and shattered gradients apart, and see when a net can no longer tell its inputs apart;
# * say what helps a deep net to train, and use counterexamples to show what it can do without.
#
# **Minutes:** 30 reading, 40 more for the exercises · 1 running quick · 4 running full

# %% tags=["setup"]
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import resnet_edu as edu

profile = edu.profile()
data = edu.data.load("mnist5k", size=16, limit=profile.choose(quick=2000, full=None))
images, labels = data.train.inputs(slice(128)), data.train.labels[:128]
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## A gradient is a product
#
# A deep net is a chain. Layer $l$ takes $x_{l-1}$, bends it with an activation $\varphi$, multiplies it by its
# weights, and passes on $x_l = W_l\,\varphi(x_{l-1})$. To learn, the first layer has to hear from the loss at the
# other end. The message is the gradient. On its way back, each layer multiplies it by two things, its weights and the
# slope of its activation:
#
# $$\frac{\partial L}{\partial x_{l-1}} = \varphi'(x_{l-1}) \odot \left(W_l^{\top} \frac{\partial L}{\partial x_l}\right)$$
#
# (⊙ multiplies element by element.) Here are five layers that each multiply the gradient by a quarter:

# %%
steps = [("$x_0$", "image", 0.25**5)]
steps += [(f"$x_{n}$", rf"$W_{n}\,\varphi(x_{n - 1})$", 0.25 ** (5 - n)) for n in range(1, 6)]
edu.plots.chain(steps, ["¼"] * 5, title="Each layer multiplies the gradient: after five, a thousandth is left")

# %% [markdown]
# Fifty layers are fifty such multiplications. If each makes the gradient a little smaller, what arrives is tiny. If
# each makes it a little larger, what arrives is huge. So it all depends on how close a layer's factor is to 1. Let's
# look at the slope first.

# %%
edu.plots.activation_slopes()

# %% [markdown]
# The sigmoid and its relative tanh were the usual activations for decades. The sigmoid's slope is ¼ in the middle and
# less everywhere else. So in every layer the slope alone cuts a gradient to a quarter or less, and only large weights
# can make up for that.

# %%
x = torch.linspace(-8, 8, 1601, requires_grad=True)
(slope,) = torch.autograd.grad(torch.sigmoid(x).sum(), x)
print(f"largest slope of the sigmoid: {slope.max():.4f}, at x = {abs(x[slope.argmax()]):.2f}")
assert abs(slope.max() - 0.25) < 1e-6, "the sigmoid's slope is at most a quarter"
print(f"¼ to the power of 50: {0.25**50:.0e}")

# %% [markdown]
# ### Exercise 5.1 · Backpropagation by hand
#
# **Difficulty** ●●●○○ · **12 minutes**
#
# Here is a net of three layers with its forward pass: two sigmoids, no biases, and the loss
# $\tfrac{1}{2N} \sum (y - \text{target})^2$. Samples are rows, as always in PyTorch, so the weights are on the right.
# `error` is the gradient of the loss at the output $y$. Go back from there and return the gradients of `w1`, `w2` and `w3`.
# All you need is matrix products and slopes; autograd is not allowed.
#
# <details><summary>Hint 1</summary>
#
# For any layer $y = h\,w$ with the gradient $\delta$ at its output, the gradient of the weights is $h^\top \delta$, and what
# goes on to the layer below is $\delta\,w^\top$. The shapes leave you no other choice.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# You can get the slope of a sigmoid from its output: where $h = \sigma(z)$, the slope is $h\,(1 - h)$. Multiply by it
# element by element.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `delta2 = (error @ w3.T) * h2 * (1 - h2)` is the gradient in front of the second sigmoid. `g2` is `h1.T @ delta2`.
#
# </details>


# %% tags=["exercise"]
def my_backward(x: Tensor, target: Tensor, w1: Tensor, w2: Tensor, w3: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the loss by w1 (D, H1), w2 (H1, H2) and w3 (H2, K); x is (N, D), target (N, K)."""
    h1 = torch.sigmoid(x @ w1)  # (N, H1)
    h2 = torch.sigmoid(h1 @ w2)  # (N, H2)
    error = (h2 @ w3 - target) / len(x)  # (N, K)
    ### BEGIN SOLUTION
    g3 = h2.T @ error
    delta2 = (error @ w3.T) * h2 * (1 - h2)
    g2 = h1.T @ delta2
    delta1 = (delta2 @ w2.T) * h1 * (1 - h1)
    g1 = x.T @ delta1
    return g1, g2, g3
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_backprop(my_backward)

# %% [markdown]
# ## Fifty layers, measured
#
# Now build a net that is deep and nothing else, so that you can turn one knob at a time. Each layer is the one from
# above, with two options for later: batch norm in front of the activation, and a *skip*, which adds the layer's input
# to its output.


# %%
class Layer(nn.Module):
    """W φ(x), or x + W φ(x) with a skip."""

    def __init__(self, norm: nn.Module, activation: nn.Module, linear: nn.Linear, *, skip: bool) -> None:
        super().__init__()
        self.norm, self.activation, self.linear, self.skip = norm, activation, linear, skip

    def forward(self, x: Tensor) -> Tensor:
        out = self.linear(self.activation(self.norm(x)))
        return x + out if self.skip else out


print(Layer(nn.Identity(), nn.Sigmoid(), nn.Linear(128, 128), skip=False))


# %% [markdown]
# `deep_mlp` stacks these layers. The spread of the initial weights is one more knob. A section below explains its four
# settings; until then, think of them as running from "very narrow" to "too wide".


# %%
def draw_weights(net: nn.Module, init: str) -> None:
    """Normal weights with mean 0 and the standard deviation named by `init`; biases 0."""
    for linear in [module for module in net.modules() if isinstance(module, nn.Linear)]:
        fan_out, fan_in = linear.weight.shape
        he = (2 / fan_in) ** 0.5
        std = {"small": 0.01, "xavier": (2 / (fan_in + fan_out)) ** 0.5, "he": he, "large": 2 * he}
        nn.init.normal_(linear.weight, std=std[init])
        nn.init.zeros_(linear.bias)


rows = []
for init in ("small", "xavier", "he", "large"):
    layer = nn.Linear(128, 128)
    draw_weights(layer, init)
    rows.append((init, f"{layer.weight.std():.3f}"))
edu.table(rows, ["initial weights", "standard deviation"])


# %%
def deep_mlp(
    depth: int, *, activation: type[nn.Module] = nn.ReLU, init: str = "he",
    batch_norm: bool = False, skip: bool = False, width: int = 128,
) -> nn.Sequential:  # fmt: skip
    """Layers with weights: 256 → width, depth − 2 equal ones, width → 10. Images (N, 1, 16, 16) to logits (N, 10)."""
    norms = [nn.BatchNorm1d(width) if batch_norm else nn.Identity() for _ in range(depth - 1)]
    layers = [Layer(norm, activation(), nn.Linear(width, width), skip=skip) for norm in norms[:-1]]
    head = [norms[-1], activation(), nn.Linear(width, 10)]
    net = nn.Sequential(nn.Flatten(), nn.Linear(256, width), *layers, *head)
    draw_weights(net, init)
    return net


print("parameters with 50 layers:", f"{sum(p.numel() for p in deep_mlp(50).parameters()):,}")

# %% [markdown]
# Send one batch of 128 digits through untrained sigmoid nets of 5 to 50 layers, forward and back, and note the norm
# (the length) of the gradient at each layer. The probe computes in float64, because in float32 everything below
# $10^{-45}$ is zero.


# %%
def measure(depth: int, images: Tensor, labels: Tensor, *, seed: int = 0, **options) -> edu.probe.LayerSignals:
    """Signal and gradient at every layer of a freshly drawn net."""
    torch.manual_seed(seed)
    return edu.probe.layer_signals(deep_mlp(depth, **options), images, labels)


sigmoids = {
    depth: measure(depth, images, labels, activation=nn.Sigmoid, init="xavier") for depth in (5, 10, 20, 30, 50)
}
edu.plots.signals_by_layer(
    {f"{depth} layers": signals for depth, signals in sigmoids.items()},
    quantities=["gradient"],
    title="Sigmoids, Xavier: the deeper the net, the less reaches layer 1",
)

# %% [markdown]
# Read each line from right to left: it starts at the loss and goes back to layer 1. On a logarithmic axis the lines
# are nearly straight and parallel, so each layer multiplies the gradient by about the same factor, whatever the depth.
# A line fitted through the logarithms gives you that factor.

# %%
rows = [
    (f"{depth} layers, Xavier", f"{s.gradient[0]:.0e}", f"{s.gradient_factor:.3f}") for depth, s in sigmoids.items()
]
assert all(signals.gradient_factor < 0.25 for signals in sigmoids.values()), "less than a quarter per layer"
for init in ("small", "he"):
    signals = measure(50, images, labels, activation=nn.Sigmoid, init=init)
    rows.append((f"50 layers, {init}", f"{signals.gradient[0]:.0e}", f"{signals.gradient_factor:.3f}"))
    assert signals.gradient_factor < 0.5, "with these weights too the gradient shrinks geometrically"
edu.table(rows, ["sigmoid net", "gradient at layer 1", "factor per layer"])

# %% [markdown]
# This is the *vanishing gradient*. Sepp Hochreiter described it in his diploma thesis of 1991, for nets that read
# sequences, and so did Bengio, Simard and Frasconi in 1994. In the Xavier nets, the slope is to blame: their weights
# are chosen so that on their own they'd keep a gradient's length. With the wider weights of He et al. the factor is
# 0.32 per layer, still far below 1. So let's try another activation. ReLU's slope is 1 wherever it lets anything
# through. Is that enough?
#
# ## Weights of the right size
#
# First follow the signal in the other direction. One unit adds up $n$ products of weights and inputs. The *variance*,
# Var, is the square of the standard deviation, and E stands for the mean. A product of a weight with mean 0 and an
# input $x$ has the variance $\operatorname{Var}(w) \cdot \operatorname{E}(x^2)$. If the weights are independent, the
# variances of the $n$ products add up:
#
# $$\operatorname{Var}(y) = n \cdot \operatorname{Var}(w) \cdot \operatorname{E}(x^2)$$
#
# The inputs $x$ come out of a ReLU, which throws away half of the mean square if its own input is symmetric around 0. So
# from one layer to the next the variance is multiplied by $\tfrac{1}{2} n \operatorname{Var}(w)$. Here are four choices:
#
# | name here | standard deviation of the weights | factor of the variance |
# |---|---|---|
# | small | 0.01, as in AlexNet | depends on $n$; 0.006 for 128 units |
# | Xavier (Glorot and Bengio 2010) | $\sqrt{2 / (n_{\text{in}} + n_{\text{out}})}$, made for activations that are nearly linear around 0 | ½ |
# | He (He et al. 2015) | $\sqrt{2 / n_{\text{in}}}$ | 1 |
# | large | twice He's | 4 |
#
# The gradient meets the same weights and zeros on its way back, so in a net of equal widths it changes by the same
# factors. The figure and the table show standard deviations and norms, whose factors are the roots of these: 0.71 for
# Xavier, 1 for He, 2 for large. ("Small" shrinks too fast for the figure, so it's in the table only.)

# %%
choices = {name: measure(50, images, labels, init=name.lower()) for name in ("Xavier", "He", "large", "small")}
shown = {name: choices[name] for name in ("Xavier", "He", "large")}
title = "ReLU, 50 layers: He's weights keep the size of signal and gradient"
edu.plots.signals_by_layer(shown, quantities=["signal", "gradient", "weight"], title=title)

# %%
laws = {"Xavier": math.sqrt(1 / 2), "He": 1.0, "large": 2.0, "small": edu.facts.ALEXNET_INIT_STD.value * math.sqrt(64)}
rows = []
for name, law in laws.items():
    signal, back = choices[name].signal[:-1], choices[name].gradient_factor
    forward = edu.probe.factor_per_layer(signal)
    rows.append((name, f"{law:.2f}", f"{forward:.2f}", f"{back:.2f}", f"{signal[-1] / signal[0]:.0e}"))
    assert abs(forward / law - 1) < 0.05, "the signal changes as the formula says"
    assert abs(back / law - 1) < 0.05, "and the gradient by the same factor"
columns = ["weights", "by the formula", "signal, per layer", "gradient, per layer", "signal, layer 49 to 1"]
edu.table(rows, columns)

# %% [markdown]
# The measured factors agree with the formula to within 5 %. A factor of 0.71 may look harmless, but from layer 1 to
# layer 49 it leaves $\sqrt{1/2}^{\,48} = 6 \cdot 10^{-8}$ of the signal. He et al. report that a net of 30 layers
# stalled completely with Xavier's weights and converged with theirs. (He's line isn't perfectly flat: the formula
# holds on average over all random draws of the weights, and a single draw strays from it.)
#
# Look at the third panel as well. The gradient of a weight is the product of what comes *in* from the left and what
# comes *back* from the right. With Xavier's weights the signal dies out towards the right and the gradient towards the
# left, so the product is about equally small in every layer. It isn't always the first layers that starve: here, all
# of them do.

# %%
starved, fed = choices["Xavier"].weight, choices["He"].weight
assert max(starved) < 1e-4 * min(fed), "with Xavier's weights every layer gets next to nothing"
assert max(starved) < 100 * min(starved), "and they all get about the same"
rows = [(name, *(f"{pick(choices[name].weight):.0e}" for pick in (min, max))) for name in ("Xavier", "He")]
edu.table(rows, ["initial weights", "smallest gradient norm of a layer's weights", "largest"])

# %% [markdown]
# ### Exercise 5.2 · He's variance
#
# **Difficulty** ●●●○○ · **10 minutes**
#
# Return the standard deviation of the initial weights according to He et al., given the shape of the weight tensor: (out,
# in) for a linear layer, (out, in, k, k) for a convolution. The activation in front of the layer is a *leaky* ReLU, which
# multiplies negative values by `negative_slope` instead of throwing them away; 0 makes it the ordinary ReLU.
#
# <details><summary>Hint 1</summary>
#
# $n$ is the number of products that *one* output adds up. For one pixel of a convolution's output, that's in · k · k.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# What share of $\operatorname{E}(x^2)$ does a leaky ReLU keep? Half of the values keep their square, and the squares of the
# other half are multiplied by $a^2$. Together that's $\tfrac{1}{2}(1 + a^2)$.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Solve $\tfrac{1}{2}(1 + a^2) \cdot n \cdot \operatorname{Var}(w) = 1$, and do not forget the root. `math.prod(shape[1:])`
# is $n$ for both kinds of layers.
#
# </details>


# %% tags=["exercise"]
def my_he_std(shape: tuple[int, ...], negative_slope: float = 0.0) -> float:
    """Standard deviation of the initial weights of a layer behind a leaky ReLU."""
    ### BEGIN SOLUTION
    inputs = math.prod(shape[1:])
    return math.sqrt(2 / ((1 + negative_slope**2) * inputs))
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_he_std(my_he_std)

# %% [markdown]
# ## Size is not everything: do the images stay apart?
#
# He's weights keep the *size* of the signal. But a signal of the right size can still be useless if it's the same for
# every image. So measure that too: take two different digits, look at what layer $l$ makes of each, and compute the
# cosine of the angle between the two vectors. A cosine of 1 means that they point in the same direction. Averaged over
# all pairs of digits in the batch, that's the **likeness** of inputs at this layer (Poole et al. 2016 and Schoenholz
# et al. 2017 worked out the theory).

# %%
nets = {"ReLU, He": {}, "sigmoid, Xavier": {"activation": nn.Sigmoid, "init": "xavier"},
        "tanh, Xavier": {"activation": nn.Tanh, "init": "xavier"}, "ReLU, batch norm": {"batch_norm": True}}  # fmt: skip
likeness = {name: list(measure(50, images, labels, **options).likeness[:-1]) for name, options in nets.items()}
for seed in range(3):
    he = measure(50, images, labels, seed=seed).likeness
    assert he[0] < 0.6 < 0.95 < he[39], "He's net ends up with nearly the same for every image"
title = "ReLU and sigmoid make all images alike; batch norm doesn't"
edu.plots.lines(likeness, title=title, x="layer", y="mean cosine of two images", first=1, limits=(0, 1.05))

# %% [markdown]
# In the He net, two different digits have a mean cosine below 0.6 at layer 1 and above 0.95 at layer 40, with each of
# three seeds. The last layers see almost the same direction whatever you show them. The sigmoid net gets there within
# a few layers; the tanh net keeps its images apart. So does the ReLU net with batch norm, which centres and scales
# each unit over the batch: its cosine stays at about a third.
#
# So when a deep net doesn't train, there are at least three suspects: a gradient that vanishes, one that explodes, and
# inputs that can't be told apart. They're only suspects, because nothing has been trained yet.

# %% [markdown]
# ## A layer that stands still
#
# What does a gradient of $10^{-18}$ mean in practice? Training runs in float32, whose numbers have 24 significant
# bits. Change a weight by less than about a 30-millionth of itself, and the result is rounded back to the same weight.
# Take one step of SGD with the sigmoid net of 30 layers and count the weights that move.


# %%
def share_moved(net: nn.Module, images: Tensor, labels: Tensor, *, lr: float) -> list[float]:
    """For each layer, the percentage of weights that one step of SGD changes."""
    weights = [module.weight for module in net.modules() if isinstance(module, nn.Linear)]
    gradients = torch.autograd.grad(F.cross_entropy(net(images), labels), weights)
    return [100 * (w - lr * g != w).float().mean().item() for w, g in zip(weights, gradients, strict=True)]


torch.manual_seed(0)
moved = share_moved(deep_mlp(30, activation=nn.Sigmoid, init="xavier"), images, labels, lr=0.1)
assert moved[0] == 0, "not one weight of the first layer moves"
assert moved[-1] > 99, "in the last layer nearly all of them do"
rows = [
    (layer, f"{moved[layer - 1]:.0f} %", f"{sigmoids[30].weight[layer - 1]:.0e}") for layer in (1, 10, 15, 20, 25, 30)
]
edu.table(rows, ["layer", "weights that move", "gradient norm of the weights"])

# %% [markdown]
# The first layers stand still to the last bit, so the last layers have to learn from features that stay random. A
# higher learning rate is no way out. To move layer 1 as far as layer 30, it would have to be more than 17 orders of
# magnitude larger, and that would throw the last layers all over the place. What about *Adam*, which divides each
# weight's step by the size of its own recent gradients? You'll try it below.
#
# ### Exercise 5.3 · Which layers stand still?
#
# **Difficulty** ●●●○○ · **12 minutes**
#
# Write the tool that diagnoses this. Take one step of plain SGD on the given net, $w - \text{lr} \cdot \text{gradient}$,
# with the cross-entropy as the loss. Return the names of all parameters that are the same as before, to the last bit, in the
# order of `net.named_parameters()`.
#
# <details><summary>Hint 1</summary>
#
# Keep a copy of each parameter before the step: `.detach().clone()`. Without the clone you'd hold the same tensor, which the
# step changes.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.equal(a, b)` says whether two tensors agree in every bit. `torch.allclose` is too lenient here.
#
# </details>


# %% tags=["exercise"]
def my_still_layers(net: nn.Module, images: Tensor, labels: Tensor, lr: float = 0.1) -> list[str]:
    """Names of the parameters that a step of SGD leaves as they are."""
    ### BEGIN SOLUTION
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    F.cross_entropy(net(images), labels).backward()
    torch.optim.SGD(net.parameters(), lr=lr).step()
    return [name for name, parameter in net.named_parameters() if torch.equal(parameter, before[name])]
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_standstill(my_still_layers)

# %% [markdown]
# ## First repair: batch norm
#
# Good initial weights give the signal the right size at the start, but nothing keeps it that way during training.
# Batch norm (lesson 03) takes care of it all the time: in front of every activation, it shifts and scales each unit so
# that over the batch it has mean 0 and variance 1. Add it to the two nets that starved.

# %%
starving = {"sigmoid, Xavier": {"activation": nn.Sigmoid, "init": "xavier"}, "ReLU, Xavier": {"init": "xavier"}}
normed = {}
for name, options in starving.items():
    normed[name] = measure(50, images, labels, **options)
    normed[f"{name}, batch norm"] = measure(50, images, labels, batch_norm=True, **options)
edu.plots.signals_by_layer(normed, quantities=["gradient"], title="With batch norm neither gradient vanishes (Xavier)")

# %%
growth = edu.facts.BATCH_NORM_RELU_GROWTH.value
relu_factors = {}
for init in ("small", "xavier", "he", "large"):
    relu_factors[init] = measure(50, images, labels, init=init, batch_norm=True).gradient_factor
    assert abs(relu_factors[init] / growth - 1) < 0.05, "about 1.2 per layer, whatever the initial weights"
assert 1 < normed["sigmoid, Xavier, batch norm"].gradient_factor < 1.06, "with sigmoids the growth is slight"
rows = [(f"ReLU, {init}", f"{factor:.2f}", f"{factor**48:,.0f}") for init, factor in relu_factors.items()]
edu.table(rows, ["with batch norm", "gradient, per layer", "over 48 layers"])

# %% [markdown]
# Neither gradient vanishes any more, and with ReLU the factor is about the same for all four initial weights. But now
# they *grow* towards the first layer. With sigmoids they hardly do, but with ReLU they grow by about 1.2 per layer,
# which makes a factor of thousands over fifty layers.
#
# Where does the 1.2 come from? A part of what leaves a ReLU is the same for all images. With He's weights, the rest
# arrives at the next batch norm with a variance over the batch of $(\pi - 1)/\pi \approx 0.68$. Batch norm divides by
# the root of that to make it 1 again, and so divides the gradient on its way back. He's weights and the ReLU alone
# would keep the gradient's size, so what remains is the factor $1/\sqrt{0.68} \approx 1.21$. Yang et al. 2019 derived
# this for very wide, fully connected nets at the start of training, and showed that without skips their gradients
# explode whatever the activation. The start doesn't tell you everything, though: after a single step, they found, the
# gradients span a much smaller range. You'll meet this growth again in lesson 06.
#
# ## Second repair: a skip
#
# The other idea is to give the gradient a way around. With a skip, a layer computes $x + W \varphi(x)$, and the factor
# on the way back is *1 plus something* instead of *something*. Whatever the layer does, the 1 stays. But with He's
# weights the branch $W \varphi(x)$ has the same variance as $x$, so each addition doubles the variance, and signal and
# gradient grow by $\sqrt{2}$ per layer. Here are two ways to tame that. With batch norm in the branch every layer adds
# the *same* variance, about 1. After $l$ layers the sum has a variance of about $l$, and the next layer changes it by
# a share of only $1/l$. Or you make the branch *small* by setting its weights to zero at the start. Then every layer
# with a skip begins as the identity, and training decides what it adds.


# %%
def zero_branches(net: nn.Sequential) -> nn.Sequential:
    """Let every layer with a skip begin as the identity: the last weights of its branch are 0."""
    for layer in net:
        if isinstance(layer, Layer):
            nn.init.zeros_(layer.linear.weight)
    return net


# %%
skips = {
    "plain": measure(50, images, labels),
    "batch norm": measure(50, images, labels, batch_norm=True),
    "skip": measure(50, images, labels, skip=True),
    "skip, batch norm": measure(50, images, labels, batch_norm=True, skip=True),
}
torch.manual_seed(0)
zeroed = zero_branches(deep_mlp(50, skip=True))
skips["skip, zeroed"] = edu.probe.layer_signals(zeroed, images, labels)
title = "ReLU, He: a bare skip explodes, a tame branch does not"
edu.plots.signals_by_layer(skips, title=title)

# %%
rows = []
for name, signals in skips.items():
    grown = signals.signal[-2] / signals.signal[0], signals.gradient[0] / signals.gradient[-2]
    factor, alike = f"{signals.gradient_factor:.2f}", f"{signals.likeness[-2]:.2f}"
    rows.append((name, factor, f"{grown[0]:.1e}", f"{grown[1]:.1e}", alike))
assert abs(skips["skip"].gradient_factor / math.sqrt(2) - 1) < 0.05, "the variance doubles in every layer"
assert 1 < skips["skip, batch norm"].gradient_factor < 1.08, "with both, the factor is nearly 1"
assert abs(skips["skip, zeroed"].gradient_factor - 1) < 1e-6, "with zeroed branches it is 1"
assert skips["skip, zeroed"].likeness[-2] < 0.6 < 0.95 < skips["skip"].likeness[-2]
edu.table(
    rows, ["50 layers, ReLU", "gradient, per layer", "signal grows by", "gradient grows by", "likeness at layer 49"]
)

# %% [markdown]
# Go through the table suspect by suspect. The plain net with He's weights has signals of the right size, but all
# images look alike. With batch norm they stay apart, but the gradients grow. With a skip alone signal and gradient
# explode, and the images look alike as well. The last two rows come off best. With a skip and batch norm the gradient
# grows by a factor of 13 over the whole net, and with zeroed branches it doesn't grow at all, without any
# normalisation. (No wonder: at the start, that net does next to nothing. You'll soon test whether it *learns*.) ResNet
# took the first of these two ways; lesson 07 comes back to the second.
#
# ### Explore: gradient flow
#
# Choose a net, and see what happens to signal, gradient and images. The grey line is always ReLU with He's weights. Find a
# net with sigmoids whose gradient arrives, one without batch norm whose gradient explodes, and one without batch norm that
# keeps the images apart.
#
# <details><summary>Answers</summary>
#
# Sigmoids with batch norm, or with a skip. ReLU with large weights, or with He's weights and a skip. Tanh with Xavier's or
# He's weights.
#
# </details>

# %% tags=["explorer"]
edu.widgets.gradient_flow(images, labels)

# %% [markdown]
# If widgets don't run for you, here are the gradients at a glance: three activations down, four initial weights
# across, and the four combinations of batch norm and skip in each panel. Gradients are divided by that of the last
# hidden layer.

# %%
edu.plots.gradient_flow_grid(images[:64], labels[:64])

# %% [markdown]
# ## Does it matter? Train them
#
# So far you've measured untrained nets, and the measurements suggest how they'll train. Put that to the test with
# seven nets of 30 layers and 64 units. Each trains for six epochs (192 steps in quick) with one seed, at three
# learning rates, of which you keep the best.
#
# > **Before you go on, commit yourself.** Which of the seven will learn nothing at all, at any rate? Which will be best?

# %%
sigmoid = {"activation": nn.Sigmoid, "init": "xavier"}
recipes = {
    "sigmoid": sigmoid,
    "ReLU, Xavier": {"init": "xavier"},
    "ReLU, He": {},
    "ReLU, batch norm": {"batch_norm": True},
    "sigmoid, batch norm": sigmoid | {"batch_norm": True},
    "ReLU, skip, batch norm": {"batch_norm": True, "skip": True},
    "ReLU, skip, zeroed branch": {"skip": True},
}


# %%
def trained(name: str, options: dict, data: edu.data.Data, *, lr: float, optimizer: str = "sgd") -> edu.History:
    """Six epochs of a net of 30 layers, none if it diverges; its branches begin at zero where the name says so."""
    torch.manual_seed(0)
    net = deep_mlp(30, width=64, **options)
    if "zeroed" in name:
        zero_branches(net)
    config = edu.TrainConfig(epochs=6, batch_size=64, lr=lr, optimizer=optimizer, augment=(), precision="float32")
    try:
        return edu.fit(net, data, config)
    except edu.errors.LossNotFinite:  # this rate is too high for this net
        return edu.History()


# %%
rates = (0.01, 0.03, 0.1)
runs = {(name, lr): trained(name, options, data, lr=lr) for name, options in recipes.items() for lr in rates}
ends = {key: run.last.train_error if run.epochs else math.inf for key, run in runs.items()}
best = {name: min((ends[name, lr], lr) for lr in rates)[1] for name in recipes}
by_epoch = {name: [epoch.train_error for epoch in runs[name, lr].epochs] for name, lr in best.items()}
title, axes = "30 layers, each net at the best of three rates", {"x": "epoch", "y": "training error (%)"}
edu.plots.lines(by_epoch, title=title, first=1, limits=(0, 100), **axes)

# %%
rows = [
    (name, *("diverged" if ends[name, lr] == math.inf else f"{ends[name, lr]:.0f} %" for lr in rates))
    for name in recipes
]
errors = {name: ends[name, lr] for name, lr in best.items()}
assert min(errors["sigmoid"], errors["ReLU, Xavier"]) > 80, "vanishing gradients: these two guess at all three rates"
assert min(errors["ReLU, He"], errors["ReLU, batch norm"]) > 15, "these two learn something, but not well"
assert errors["sigmoid, batch norm"] < 20, "batch norm alone makes the sigmoid net learn"
assert max(errors["ReLU, skip, batch norm"], errors["ReLU, skip, zeroed branch"]) < 8, "with a skip and a tame branch"
edu.table(rows, ["training error", *(f"rate {lr}" for lr in rates)])

# %% [markdown]
# The two nets whose gradient vanishes guess at all three rates, as predicted. The two plain ReLU nets, with He's
# weights and with batch norm, learn something but not well, although their gradients don't vanish. That fits the
# measurements: one can hardly tell its images apart, and the other's gradients grow by 1.2 per layer. It doesn't prove
# that these are the reasons. Sigmoids with batch norm do better. A likely reason is that around 0 a sigmoid is nearly a
# straight line, and Yang et al. find that with batch norm, gradients grow less the closer the net is to a linear one.
#
# Are three rates too few? We tried seven, from 0.001 to 1, with five seeds each. The first two nets never got below
# 87 %. Each at its best rate, plain ReLU with He's weights ended between 29 and 49 %, with batch norm between 50 and
# 55 %.
#
# Best of all are the two nets with a skip and a tame branch. At their best rates, **small branches and normalised
# branches** end at about the same training error. They want different rates, though: in the same trial the normalised
# net stayed below 5 % from 0.03 up to 1, while the zeroed one failed from 0.3 on. So here batch norm buys you higher
# rates, but a deep net can do without it.
#
# Branches that begin at zero are the idea behind Fixup (Zhang et al. 2019), which also scales down the other layers of
# a branch, and whose authors report stable training even with 10,000 layers. They're also behind SkipInit (De and
# Smith 2020), where a single number that begins at zero multiplies each branch. A deep net can even do without skips:
# Xiao et al. (2018) trained plain tanh nets of 10,000 layers, without batch norm, from carefully chosen orthogonal
# weights. Keep the scale in mind: ours are single runs on easy digits, and to do well in image classification, Fixup
# also needed extra regularisation.
#
# And what about **Adam**? It divides each step by the size of recent gradients, so a gradient that is merely small shouldn't
# trouble it. Give the two nets that guess, and the He net, three rates of Adam:

# %%
adam_rates = (0.0003, 0.001, 0.003)
rows, adam = [], {}
for name in ("sigmoid", "ReLU, Xavier", "ReLU, He"):
    found = [trained(name, recipes[name], data, lr=lr, optimizer="adam").last.train_error for lr in adam_rates]
    adam[name] = min(found)
    rows.append((name, f"{errors[name]:.0f} %", *(f"{error:.0f} %" for error in found)))
assert min(adam["sigmoid"], adam["ReLU, Xavier"]) > 70, "at these rates Adam doesn't rescue the two that guess"
assert adam["ReLU, He"] > 2 * errors["ReLU, skip, zeroed branch"], "nor does it replace the skip"
edu.table(rows, ["training error", "SGD, best rate", *(f"Adam, {lr}" for lr in adam_rates)])

# %% [markdown]
# Adam rescues neither. (We tried seven rates from 0.00003 to 0.03 with five seeds: the best that either reached was 77
# %.) In the sigmoid net, the gradients of the first layers are smaller than the $10^{-8}$ that Adam adds to its
# denominator to avoid dividing by zero, so its steps there are tiny as well. In the Xavier net, the gradient is small
# but not gone, so Adam's steps have nearly their full length, and still the net learns next to nothing. Is that because
# its images look alike? They do, but exactly as much as in the He net that starts from the same seed, because He's
# weights are Xavier's times a constant in each layer, which only rescales the signal. And the He net does learn
# something, so likeness alone can't be the reason. What differs is the size of the signal, which Xavier's weights
# shrink to less than a ten-thousandth. Why Adam can't make up for that is left open here.
#
# ## When gradients explode
#
# Take a net of ten layers whose initial weights are twice as large as they should be. Signal and gradient double in
# each layer. Instead of fixing the weights, you can limit the step: if the gradient of all weights together is longer
# than a given norm, scale it down to that norm and keep its direction. This is *gradient clipping* (Pascanu et al.
# 2013), a standard remedy in nets that read sequences. Compare three runs of 200 steps at learning rate 0.1.


# %%
def losses_of(net: nn.Module, data: edu.data.Data, *, lr: float, max_norm: float, steps: int = 200) -> list[float]:
    """Plain SGD on random batches of 64, with clipping; ends early when the loss is no longer a number."""
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=lr), []
    while len(losses) < steps and (not losses or math.isfinite(losses[-1])):
        chosen = torch.randint(len(data.train), (64,))
        loss = F.cross_entropy(net(data.train.inputs(chosen)), data.train.labels[chosen])
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), max_norm)
        optimizer.step()
    return losses


# %%
runs = {}
for name, init, max_norm in (("large", "large", math.inf), ("large, clipped", "large", 1.0), ("He", "he", math.inf)):
    torch.manual_seed(0)
    runs[name] = losses_of(deep_mlp(10, init=init), data, lr=0.1, max_norm=max_norm)
guessing = math.log(10)
end = {name: sum(losses[-20:]) / 20 for name, losses in runs.items()}
assert not math.isfinite(runs["large"][-1]), "without clipping the loss soon stops being a number"
assert all(map(math.isfinite, runs["large, clipped"])), "with clipping it stays one"
assert end["large, clipped"] > guessing, "but after 200 steps it's still above that of guessing"
assert end["He"] < guessing, "the right initial weights learn"
title = "Rate 0.1: clipping keeps the loss finite, He's weights learn"
edu.plots.lines(runs, title=title, x="step", y="training loss", first=1, log=True, levels={"guessing: ln 10": guessing})

# %% [markdown]
# Without clipping, the steps are so long that the loss soon isn't a number any more (the cross marks the last one that
# was). With clipping, the loss stays finite and falls a long way. But guessing costs $\ln 10 \approx 2.3$ (the dotted
# line), and after 200 steps the clipped net is still above it. With more steps, or at another rate or limit, it may
# get further. The net with He's weights needs no clipping and learns. So clipping is a safety net here. And it can
# only shorten a gradient, so it does nothing for one that vanishes.
#
# ### Exercise 5.4 · Clip by norm
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# You get a list of gradients, one tensor per layer. Together they are one long vector. If its norm is larger than
# `max_norm`, multiply all of them by the same factor, so that the norm becomes `max_norm`. If it isn't, return them as they
# are. Leave the tensors you're given unchanged.
#
# <details><summary>Hint 1</summary>
#
# The norm of all of them together is the root of the sum of *all* squares, over all tensors.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The factor is `max_norm / norm`, and at most 1. Make sure that you don't divide by 0 when all gradients are zero.
#
# </details>


# %% tags=["exercise"]
def my_clip(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    """The gradients, scaled by one factor so that their common norm is at most max_norm."""
    ### BEGIN SOLUTION
    norm = sum(gradient.square().sum() for gradient in gradients).sqrt()
    if norm <= max_norm:
        return gradients
    return [gradient * max_norm / norm for gradient in gradients]
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_clip(my_clip)

# %% [markdown]
# ## Shattered gradients
#
# A gradient is a promise: if you move a little, the loss will change like this. It's only worth something if it still
# holds after the move. Balduzzi et al. (2017) asked how far it holds, with a very simple net: one number in, 200 units
# per layer, one number out, ReLU, He's weights. Compute its gradient $dy/dx$ at 256 inputs between −2 and 2, and see
# how much the gradient at one input tells you about the next. Nothing is trained: you draw forty random nets of each
# kind (a hundred in full).
#
# Plain and residual nets consist of the same blocks of two layers. The residual net multiplies each block by
# $\sqrt{1/2}$, which slows the growth of the signal, and adds it to its input. Random biases in the first layer spread
# the kinks of its ReLUs over the axis.


# %%
def random_gradients(depth: int, points: Tensor, *, residual: bool, seeds: int, width: int = 200) -> Tensor:
    """dy/dx at each point for random nets with `depth` layers of weights, (N, seeds)."""

    def linear(h: Tensor, units: int) -> Tensor:  # (seeds, N, inputs) → (seeds, N, units)
        return h @ (torch.randn(seeds, h.shape[-1], units) * (2 / h.shape[-1]) ** 0.5)

    def net(x: Tensor) -> Tensor:  # (seeds · N,) → (seeds · N,)
        h = linear(x.view(seeds, -1, 1), width) + torch.randn(seeds, 1, width)
        for _ in range((depth - 2) // 2):
            branch = linear(linear(h.relu(), width).relu(), width)
            h = h + 0.5**0.5 * branch if residual else branch
        return linear(h.relu(), 1).flatten()

    x = points.repeat(seeds).requires_grad_()  # each output depends on its own x alone: the sum's gradient holds all
    return torch.autograd.grad(net(x).sum(), x)[0].view(seeds, -1).T


# %%
points, parts = torch.linspace(-2, 2, 256), profile.choose(quick=8, full=20)
depths = {"one hidden layer": 2, "plain, 24 layers": 24, "residual, 24 layers": 24}
depths |= {"plain, 50 layers": 50, "residual, 50 layers": 50}
torch.manual_seed(0)
drawn = {"white noise": torch.randn(256, 5 * parts)}  # (256, seeds)
for name, depth in depths.items():
    residual = name.startswith("residual")
    series = [random_gradients(depth, points, residual=residual, seeds=5) for _ in range(parts)]
    drawn[name] = torch.cat(series, dim=1)  # five seeds at a time, to spare memory
one_each = {name: gradients[:, 0] for name, gradients in drawn.items()}
edu.plots.gradient_series(points, one_each, title="The gradient as a function of the input, one net each")

# %% [markdown]
# The gradient of the shallow net wanders in small steps, one for each ReLU that switches on or off. The deep nets are
# rougher, but by how much? The *autocorrelation* at lag $k$ is the correlation between the gradient at one input and
# the gradient $k$ grid steps away: 1 if they are the same, 0 for white noise.

# %%
lags = list(range(16))
curves = {name: edu.probe.autocorrelation(gradients, lags) for name, gradients in drawn.items()}
title = "Depth shatters the gradient; additions slow that down"
axes = {"x": "distance of the two inputs (grid steps)", "y": "autocorrelation of the gradient"}
by_lag = {name: dict(zip(lags, curve.tolist(), strict=True)) for name, curve in curves.items()}
edu.plots.runs_over(by_lag, title=title, limits=(-0.1, 1.05), **axes)

# %%
mean = {name: curve.mean(dim=1) for name, curve in curves.items()}
assert abs(mean["white noise"][1]) < 0.05, "noise is noise"
for lag in (1, 4):
    plain24, plain50 = (mean[f"plain, {depth} layers"][lag] for depth in (24, 50))
    residual24, residual50 = (mean[f"residual, {depth} layers"][lag] for depth in (24, 50))
    assert plain50 + 0.02 < plain24 < mean["one hidden layer"][lag] - 0.04, "depth shatters"
    assert residual24 > plain24 + 0.02, "with additions they keep more of their autocorrelation"
    assert residual50 > plain50 + 0.04, "with 50 layers too"
rows = [(name, f"{curve[1]:.2f}", f"{curve[4]:.2f}", f"{curve[12]:.2f}") for name, curve in mean.items()]
edu.table(rows, ["autocorrelation, mean over the nets", "lag 1", "lag 4", "lag 12"])

# %% [markdown]
# The paper says that gradients in plain nets "resemble white noise", and that nets with skips are "far more resistant
# to shattering". Our nets don't go that far: even with 50 plain layers, neighbours on the grid still resemble each
# other, and with 50 layers, skips hardly make a difference a dozen steps away. (The paper's residual nets have batch
# norm in their branches. Ours don't.) But the trend is the paper's. The deeper the plain net, the shorter the step
# after which its gradient is a different one, and the additions slow that down: for the first few steps, 50 layers
# with them hold about as long as 24 without. Scaling the gradient wouldn't change that.
#
# These are gradients with respect to the *input*, in *untrained* nets. It's plausible that shattering is another
# reason why deep plain nets train badly, but it isn't proven.
#
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "The sigmoid's slope is at most ¼, so gradients in sigmoid nets always vanish." | 30 layers, Xavier's weights times 1 to 40 | **Half right.** With Xavier's weights they do. With weights 20 times as large they *explode*: what counts is slope times weights. |
# | "ReLU solved the vanishing gradient." | ReLU with Xavier's weights, 50 layers | **Half right.** The factor is 0.71 per layer until the weights are He's. |
# | "Vanishing gradients starve the first layers." | The weights' gradient in every layer | **Depends.** With sigmoids, yes. With ReLU and Xavier's weights all layers starve alike. |
# | "He's weights are all a deep ReLU net needs." | Cosine between different images, 50 layers; 30 layers trained | **Not here.** They keep the size of the signal, but by layer 40 all images look alike, and the net we trained learned badly. |
# | "Batch norm cures vanishing gradients." | The factor per layer with batch norm | **Right** at the start of training, in our nets. But they grow towards the input, with ReLU by 1.2 per layer. |
# | "A skip connection is all you need." | ReLU, He's weights and skips, without batch norm | **Not with He's weights.** Signal and gradient grow by √2 per layer at the start. (We didn't train this net.) |
# | "Very deep nets need batch norm." | Skips, no normalisation, branches that begin at zero: measured and trained | **Wrong.** A net of 30 layers with skips and zeroed branches fits the digits about as well as with batch norm, each at the best of three rates (one seed). |
# | "A gradient of healthy size is a healthy gradient." | Autocorrelation of the gradients | **Not necessarily.** In our plain nets of 50 layers, a few grid steps away only half of its autocorrelation is left. |

# %%
rows = []
for times in (1, 5, 10, 20, 40):
    torch.manual_seed(0)
    net = deep_mlp(30, activation=nn.Sigmoid, init="xavier")
    for weight in [parameter for parameter in net.parameters() if parameter.ndim == 2]:
        weight.data *= times
    rows.append((times, edu.probe.layer_signals(net, images, labels).gradient_factor))
by_size = dict(rows)
assert by_size[1] < 0.25 < 1.2 < by_size[20], "sigmoid gradients vanish with small weights, explode with large ones"
edu.table(rows, ["Xavier's weights times", "gradient, factor per layer"])

# %%
zero = skips["skip, zeroed"]
claims = [
    ("ReLU, Xavier: gradient, factor per layer", choices["Xavier"].gradient_factor),
    ("ReLU, batch norm: the same, lowest of four initial weights", min(relu_factors.values())),
    ("ReLU, skip: likewise", skips["skip"].gradient_factor),
    ("ReLU, skip, zeroed branch: likewise", zero.gradient_factor),
    ("ReLU, He: likeness at layer 40", likeness["ReLU, He"][39]),
    ("plain, 50 layers: autocorrelation at lag 4", float(mean["plain, 50 layers"][4])),
]
values = [value for _, value in claims]
assert values[0] < 0.75 < 1.1 < values[1] < values[2]
assert values[4] > 0.95
assert mean["plain, 50 layers"][4] < mean["one hidden layer"][4] - 0.2, "whatever its size, it soon no longer holds"
edu.table(claims, ["measured above", "value"])

# %% [markdown]
# ## Summary
#
# * A gradient that comes back through a layer is multiplied by the layer's weights and by the slope of its activation. Over
#   fifty layers only a factor very close to 1 will do.
# * **Sigmoids** with Xavier's weights: less than ¼ per layer, and in a net of 30 layers the first ones stand still to the
#   last bit. **ReLU** with Xavier's weights: 0.71. ReLU with He's weights, variance $2/n$: 1.
# * Size isn't everything. In deep plain ReLU nets with He's weights **all images end up alike**; batch norm keeps them
#   apart.
# * **Batch norm** keeps gradients from vanishing at the start, whatever the initial weights. With ReLU it lets them grow by
#   about 1.2 per layer.
# * **A skip alone**, with He's weights, makes signal and gradient grow by $\sqrt{2}$ per layer. It needs a tame
# branch: *normalised*, as in ResNet, or *small* at the start, as in Fixup and SkipInit. In our runs either will do, at
# the right rate.
# * **Adam** changes the length of the steps. At three rates it rescued neither the sigmoid net nor the ReLU net with
#   Xavier's weights.
# * **Clipping** keeps an exploding run alive. In ours that wasn't enough to learn in 200 steps, and for a vanishing gradient
#   it does nothing.
# * In deep plain nets the gradient also **shatters**: the deeper they are, the sooner it changes from one input to the
#   next. Additions slow that down.
#
# ## Sources
#
# * S. Hochreiter: Untersuchungen zu dynamischen neuronalen Netzen, diploma thesis, TU München, 1991
# * Y. Bengio, P. Simard, P. Frasconi: Learning long-term dependencies with gradient descent is difficult, IEEE Transactions
#   on Neural Networks, 1994
# * X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural networks, 2010, [PMLR
#   9](https://proceedings.mlr.press/v9/glorot10a.html)
# * R. Pascanu, T. Mikolov, Y. Bengio: On the difficulty of training recurrent neural networks, 2013, [arXiv
#   1211.5063](https://arxiv.org/abs/1211.5063)
# * D. Kingma, J. Ba: Adam: a method for stochastic optimization, 2014, [arXiv 1412.6980](https://arxiv.org/abs/1412.6980)
# * K. He, X. Zhang, S. Ren, J. Sun: Delving deep into rectifiers, 2015, section 2.2 and figure 3, [arXiv
#   1502.01852](https://arxiv.org/abs/1502.01852)
# * S. Ioffe, C. Szegedy: Batch normalization, 2015, [arXiv 1502.03167](https://arxiv.org/abs/1502.03167)
# * B. Poole et al.: Exponential expressivity in deep neural networks through transient chaos, 2016, [arXiv
#   1606.05340](https://arxiv.org/abs/1606.05340)
# * S. Schoenholz et al.: Deep information propagation, 2017, [arXiv 1611.01232](https://arxiv.org/abs/1611.01232)
# * D. Balduzzi et al.: The shattered gradients problem, 2017, [arXiv 1702.08591](https://arxiv.org/abs/1702.08591)
# * L. Xiao et al.: Dynamical isometry and a mean field theory of CNNs: how to train 10,000-layer vanilla convolutional
#   neural networks, 2018, [arXiv 1806.05393](https://arxiv.org/abs/1806.05393)
# * G. Yang et al.: A mean field theory of batch normalization, 2019, [arXiv 1902.08129](https://arxiv.org/abs/1902.08129)
# * H. Zhang, Y. Dauphin, T. Ma: Fixup initialization: residual learning without normalization, 2019, [arXiv
#   1901.09321](https://arxiv.org/abs/1901.09321)
# * S. De, S. Smith: Batch normalization biases residual blocks towards the identity function in deep networks (SkipInit),
#   2020, [arXiv 2002.10444](https://arxiv.org/abs/2002.10444)
#
# ## Next lesson
#
# 06 · Degradation: with batch norm no gradient vanishes at the start, and yet a net of 56 layers is worse than one of 20, on
# the very images it was trained on.
