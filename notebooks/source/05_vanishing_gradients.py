# %% [markdown]
# # 05 · Vanishing and exploding gradients
#
# VGG stopped at 19 layers, and its authors started the deep versions from trained layers of a shallow one. GoogLeNet
# got two side exits, so that its lower layers would hear more from the loss. Something went wrong with depth, and
# both teams worked around it. In this lesson you measure what it is.
#
# After this lesson you can
#
# * say by which factor a gradient changes in one layer, and where that factor comes from;
# * write backpropagation by hand, and get what autograd gets;
# * choose initial weights that keep a signal alive through fifty layers;
# * tell vanishing, exploding and shattered gradients apart by a measurement, and say what helps against each.
#
# **Minutes:** 30 reading, 40 more for the exercises · 1 running quick · 3 running full

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
# weights, and hands on $x_l = W_l\,\varphi(x_{l-1})$. To learn, the first layer has to hear from the loss at the
# other end of the chain. The message is the gradient, and it comes back through the same layers in reverse order.
# Each of them multiplies it by two things, its weights and the slope of its activation:
#
# $$\frac{\partial L}{\partial x_{l-1}} = \varphi'(x_{l-1}) \odot \left(W_l^{\top} \frac{\partial L}{\partial x_l}\right)$$
#
# (⊙ multiplies number by number.) Fifty layers are fifty such multiplications. If each makes the gradient a little smaller, what arrives is tiny. If
# each makes it a little larger, what arrives is huge. So look at the factor of a single layer, and at the slope
# first.

# %%
edu.plots.activation_slopes()

# %% [markdown]
# The sigmoid and its relative tanh were the usual activations for decades. The sigmoid's slope is ¼ in the middle and
# less everywhere else. On its own account, then, a sigmoid layer passes back at most a quarter of what it gets.

# %%
x = torch.linspace(-8, 8, 1601, requires_grad=True)
(slope,) = torch.autograd.grad(torch.sigmoid(x).sum(), x)
print(f"largest slope of the sigmoid: {slope.max():.4f}, at x = {abs(x[slope.argmax()]):.2f}")
for depth in (5, 10, 20, 50):
    print(f"¼ to the power of {depth:2}:   {0.25**depth:.0e}")
assert abs(slope.max() - 0.25) < 1e-6, "the sigmoid's slope is at most a quarter"

# %% [markdown]
# ### Exercise 5.1 · Backpropagation by hand
#
# **Difficulty** ●●●○○ · **12 minutes**
#
# Here is a net of three layers with its forward pass: two sigmoids, no biases, and the loss
# $\tfrac{1}{2N} \sum (y - \text{target})^2$. As always in PyTorch samples are rows, so the weights stand on the
# right. `error` is the gradient of the loss at the output $y$. Go back from there and return the gradients of `w1`,
# `w2` and `w3`. Matrix products and slopes are all you need; autograd is not allowed.
#
# <details><summary>Hint 1</summary>
#
# For any layer $y = h\,w$ with the gradient $\delta$ at its output: the gradient of the weights is $h^\top \delta$,
# and what goes on to the layer below is $\delta\,w^\top$. The shapes leave you no other choice.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The slope of a sigmoid can be had from its output: where $h = \sigma(z)$, the slope is $h\,(1 - h)$. It multiplies
# number by number.
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
# Now a net that is deep and nothing else, so that you can turn one knob at a time. Each layer is the one from above,
# with two options for later: batch norm in front of the activation, and a *skip*, which adds the layer's input to its
# output.


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
# `deep_mlp` stacks them. The spread of the initial weights is one more knob, with four settings. The section after
# this one explains them; until then, read the names as "very narrow" to "too wide".


# %%
def draw_weights(net: nn.Module, init: str) -> None:
    """Normal weights with mean 0 and the standard deviation named by `init`; biases 0."""
    for linear in [module for module in net.modules() if isinstance(module, nn.Linear)]:
        fan_out, fan_in = linear.weight.shape
        he = (2 / fan_in) ** 0.5
        std = {"small": 0.01, "xavier": (2 / (fan_in + fan_out)) ** 0.5, "he": he, "large": 2 * he}
        nn.init.normal_(linear.weight, std=std[init])
        nn.init.zeros_(linear.bias)


for init in ("small", "xavier", "he", "large"):
    draw_weights(layer := nn.Linear(128, 128), init)
    print(f"{init:>6}: standard deviation {layer.weight.std():.3f}")


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
# Send one batch of 128 digits through untrained nets of 5 to 50 layers with sigmoids, forward and back, and note the
# length (the norm) of the gradient at each layer. The probe computes in float64. In float32 everything below
# $10^{-45}$ is zero, and you would not see the law behind the numbers.


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
    title="Sigmoids: the deeper the net, the less reaches its first layer",
)

# %% [markdown]
# Every line begins at the loss, on its right end, and goes back to layer 1. On a logarithmic axis the lines are
# straight and parallel. So each layer multiplies the gradient by the same factor, whatever the depth. Fit a line
# through the logarithms to get it, leaving out the classifier, whose shape differs.

# %%
print("depth    gradient at layer 1    factor a layer")
for depth, signals in sigmoids.items():
    print(f"{depth:5}    {signals.gradient[0]:19.1e}    {signals.gradient_factor:14.3f}")
    assert signals.gradient_factor < 0.25, "with Xavier's weights a sigmoid layer passes on less than a quarter"
for init in ("small", "he"):
    factor = measure(50, images, labels, activation=nn.Sigmoid, init=init).gradient_factor
    print(f"with weights '{init}', 50 layers: {factor:14.3f}")
    assert factor < 0.5, "with these weights too the gradient shrinks geometrically"

# %% [markdown]
# This is the *vanishing gradient*. Sepp Hochreiter described it in his diploma thesis of 1991, for nets that read
# sequences, and so did Bengio, Simard and Frasconi in 1994. Of the two factors of a layer the slope is to blame here: the
# setting `xavier` is made so that the weights on their own leave a gradient's length as it is. So take another
# activation. ReLU's slope is 1 wherever it lets anything through. Is that enough?
#
# ## Weights of the right size
#
# Before you look at the gradient, follow the signal in the other direction. One unit adds up $n$ products of weights
# and inputs. If the weights are independent with mean 0, the variances add up too:
#
# $$\operatorname{Var}(y) = n \cdot \operatorname{Var}(w) \cdot \operatorname{E}(x^2)$$
#
# The inputs $x$ come out of a ReLU. Where its own input is spread evenly on both sides of 0, it throws away half of the
# squares: $\operatorname{E}(x^2) = \tfrac{1}{2} \operatorname{Var}(y_{\text{before}})$. From one layer to the next
# the variance is therefore multiplied by $\tfrac{1}{2} n \operatorname{Var}(w)$. Four choices:
#
# | name here | standard deviation of the weights | factor of the variance |
# |---|---|---|
# | small | 0.01, as in AlexNet | depends on $n$; 0.006 for 128 units |
# | Xavier (Glorot and Bengio 2010) | $\sqrt{2 / (n_{\text{in}} + n_{\text{out}})}$, made for activations that are nearly linear around 0 | ½ |
# | He (He et al. 2015) | $\sqrt{2 / n_{\text{in}}}$ | 1 |
# | large | twice He's | 4 |
#
# The gradient meets the same weights and the same zeros on its way back. In a net of equal widths it changes by the
# same factors. The figure and the numbers below show standard deviations and norms, whose factor is the root: 0.71 for
# Xavier, 1 for He, 2 for large.

# %%
choices = {name: measure(50, images, labels, init=name.lower()) for name in ("small", "Xavier", "He", "large")}
edu.plots.signals_by_layer(
    choices,
    quantities=["signal", "gradient", "weight"],
    title="ReLU, 50 layers: only He's weights keep the signal, and with it the gradient",
)

# %%
laws = {"Xavier": math.sqrt(1 / 2), "He": 1.0, "large": 2.0}
laws["small"] = edu.facts.ALEXNET_INIT_STD.value * math.sqrt(128 / 2)
print("weights    by the formula    signal, a layer    gradient, a layer    signal, layer 49 : layer 1")
for name, law in laws.items():
    signal, back = choices[name].signal[:-1], choices[name].gradient_factor
    forward = edu.probe.factor_per_layer(signal)
    print(f"{name:>7} {law:17.3f} {forward:18.3f} {back:20.3f} {signal[-1] / signal[0]:30.1e}")
    assert abs(forward / law - 1) < 0.05, "the signal changes as the formula says"
    assert abs(back / law - 1) < 0.05, "and the gradient by the same factor"
held = choices["He"].signal[:-1]
assert held[0] / 20 < min(held) < max(held) < 20 * held[0], "He's weights hold the signal within a factor of 20"

# %% [markdown]
# The formula is met to a few per cent. 0.71 a layer does not sound like much, but from layer 1 to layer 49 it makes
# $\sqrt{1/2}^{\,48} = 6 \cdot 10^{-8}$ of the signal. He et al. report that in a net of 30 layers learning stalled completely with Xavier's weights,
# and that with theirs it converged. You will see the same below. He's line is not perfectly flat, since the formula
# holds on average over all drawings of the weights; one drawing strays, less so in wider nets.
#
# Look at the third panel as well. The gradient of a weight is the product of what comes *in* from the left and what
# comes *back* from the right. With small weights the one dies out to the right, the other to the left, and their
# product is equally tiny in every layer. So it is not always the first layers that starve. Here all of them do.

# %%
for name in ("small", "Xavier", "He"):
    weight = choices[name].weight
    print(f"{name:>7}: gradient norm of the weights from {min(weight):.0e} to {max(weight):.0e} over the 50 layers")
starved, fed = choices["Xavier"].weight, choices["He"].weight
assert max(starved) < 1e-4 * min(fed), "with Xavier's weights every layer gets next to nothing"
assert max(starved) < 100 * min(starved), "and they all get about the same"

# %% [markdown]
# ### Exercise 5.2 · He's variance
#
# **Difficulty** ●●●○○ · **10 minutes**
#
# Return the standard deviation of the initial weights after He et al., from the shape of the weight tensor. A linear
# layer's is (out, in), a convolution's (out, in, k, k). In front of the layer stands a *leaky* ReLU, which multiplies
# negative values by `negative_slope` instead of throwing them away; 0 is the ordinary ReLU.
#
# <details><summary>Hint 1</summary>
#
# $n$ is the number of products that *one* output adds up. One pixel of a convolution's output adds up in · k · k of
# them.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Which share of $\operatorname{E}(x^2)$ does a leaky ReLU keep? Half of the values keep their square. The squares of
# the other half are multiplied by $a^2$. Together: $\tfrac{1}{2}(1 + a^2)$.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Solve $\tfrac{1}{2}(1 + a^2) \cdot n \cdot \operatorname{Var}(w) = 1$, and do not forget the root.
# `math.prod(shape[1:])` is $n$ for both kinds of layers.
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
# ## A layer that stands still
#
# What does a gradient of $10^{-18}$ mean in practice? Training runs in float32, whose numbers have 24 significant
# bits. Add to a weight less than about a 30-millionth of it, and nothing happens: the sum is rounded back to the same
# weight. Take one step of SGD with the sigmoid net of 30 layers and count the weights that move.


# %%
def share_moved(net: nn.Module, images: Tensor, labels: Tensor, *, lr: float) -> list[float]:
    """For each layer, the percentage of weights that one step of SGD changes."""
    weights = [module.weight for module in net.modules() if isinstance(module, nn.Linear)]
    gradients = torch.autograd.grad(F.cross_entropy(net(images), labels), weights)
    return [100 * (w - lr * g != w).float().mean().item() for w, g in zip(weights, gradients, strict=True)]


torch.manual_seed(0)
moved = share_moved(deep_mlp(30, activation=nn.Sigmoid, init="xavier"), images, labels, lr=0.1)
for layer in (1, 5, 10, 15, 20, 25, 30):
    print(f"layer {layer:2}: {moved[layer - 1]:6.2f} % of the weights move")
gradient = sigmoids[30].weight
print(f"gradient norm of the weights: layer 1 {gradient[0]:.0e}, layer 30 {gradient[-1]:.0e}")
assert 1e17 < gradient[-1] / gradient[0] < 1e18, "hundreds of quadrillions"
assert moved[0] == 0, "not one weight of the first layer moves"
assert moved[-1] > 99, "in the last layer nearly all of them do"

# %% [markdown]
# The first layers stand still to the last bit. The net trains its last layers, on features that remain random. A
# higher learning rate is no way out: to move layer 1 as far as layer 30 it would have to be hundreds of quadrillions of
# times larger (divide the two norms), and the last layers would be thrown about by it.
#
# ### Exercise 5.3 · Where the first layer stops
#
# **Difficulty** ●●●○○ · **12 minutes**
#
# `build(depth)` returns a fresh net. Find the smallest of the given depths at which one step of plain SGD,
# $w - \text{lr} \cdot \text{gradient}$, leaves *all* weights of the first layer as they were, to the last bit. Return
# `None` if there is none. The loss is the cross-entropy. The weights of the first layer are `next(net.parameters())`.
#
# <details><summary>Hint 1</summary>
#
# Keep a copy of the weights before the step: `.detach().clone()`. Without the clone you would hold the same tensor,
# which the step changes.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.equal(a, b)` says whether two tensors agree in every bit. `torch.allclose` is too lenient here. The depths
# may come in any order.
#
# </details>


# %% tags=["exercise"]
def my_standstill_depth(build, images: Tensor, labels: Tensor, depths: list[int], lr: float = 0.1) -> int | None:
    """The smallest depth at which a step of SGD leaves the first layer's weights as they are; None if it never does."""
    ### BEGIN SOLUTION
    for depth in sorted(depths):
        net = build(depth)
        weight = next(net.parameters())
        before = weight.detach().clone()
        F.cross_entropy(net(images), labels).backward()
        torch.optim.SGD(net.parameters(), lr=lr).step()
        if torch.equal(weight, before):
            return depth
    return None
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_standstill(my_standstill_depth)

# %% [markdown]
# ## First repair: batch norm
#
# Good initial weights hold the signal at the start, and nobody promises that it stays so in training. Batch norm
# (Ioffe and Szegedy 2015) does it by force: in front of every activation, each unit is shifted and scaled so that over
# the batch it has mean 0 and variance 1. (A learned weight and bias for each unit follow. They begin at 1 and 0, so at
# the start they change nothing.) Take the two nets that starved, and add it.

# %%
recipes = {"sigmoid, Xavier": {"activation": nn.Sigmoid, "init": "xavier"}, "ReLU, small": {"init": "small"}}
normed = {}
for name, recipe in recipes.items():
    normed[name] = measure(50, images, labels, **recipe)
    normed[f"{name}, batch norm"] = measure(50, images, labels, batch_norm=True, **recipe)
edu.plots.signals_by_layer(normed, title="Batch norm alone brings vanished gradients back")

# %%
growth = edu.facts.BATCH_NORM_RELU_GROWTH
for name, signals in normed.items():
    share = signals.gradient[0] / signals.gradient[-2]
    print(f"{name:>27}: factor {signals.gradient_factor:5.3f} a layer, layer 1 : layer 49 = {share:.0e}")
print(f"expected of wide ReLU nets with batch norm: {growth}; {growth.source}")
relu_factors = {}
for init in ("small", "xavier", "he", "large"):
    relu_factors[init] = measure(50, images, labels, init=init, batch_norm=True).gradient_factor
    assert abs(relu_factors[init] / growth.value - 1) < 0.05, "about 1.2 a layer, whatever the initial weights"
assert 1 < normed["sigmoid, Xavier, batch norm"].gradient_factor < 1.06, "with sigmoids the growth is slight"

# %% [markdown]
# No gradient vanishes any more, and the initial size of the weights has lost its say. But read the numbers to the
# end: the gradients are not held, they *grow* towards the first layer. With sigmoids hardly, with ReLU by about 1.2 a
# layer, which makes thousands over fifty layers.
#
# Where do the 1.2 come from? A ReLU takes away some of the spread: what reaches the next batch norm, with He's
# weights, has a variance over the batch of $(\pi - 1)/\pi \approx 0.68$. Batch norm divides by its root, 0.83, to
# make it 1 again, and on the way back the gradient is divided by the same 0.83 in every layer. Yang et al. (2019)
# derived the factor $\sqrt{\pi / (\pi - 1)}$ for wide nets, and showed that no choice of initial weights or
# activation takes the growth away: with batch norm, deep plain nets *explode*, if mildly. You will meet this again in
# lesson 06, in a convolutional net of 56 layers.
#
# ## Second repair: a skip
#
# The other idea is to give the gradient a way around. With a skip, a layer computes $x + W \varphi(x)$, and the
# factor on the way back is *1 plus something* in place of *something*. Whatever the layer does, the 1 stays. Compare
# all four nets, with ReLU and He's weights.

# %%
skips = {
    "plain": measure(50, images, labels),
    "skip": measure(50, images, labels, skip=True),
    "batch norm": measure(50, images, labels, batch_norm=True),
    "batch norm and skip": measure(50, images, labels, batch_norm=True, skip=True),
}
edu.plots.signals_by_layer(skips, title="One repair alone explodes, both together hold (ReLU, He)")

# %%
for name, signals in skips.items():
    grown = signals.signal[-2] / signals.signal[0], signals.gradient[0] / signals.gradient[-2]
    print(
        f"{name:>20}: factor {signals.gradient_factor:.3f} a layer; signal × {grown[0]:.1e}, gradient × {grown[1]:.1e}"
    )
alone, both = skips["skip"], skips["batch norm and skip"]
assert abs(alone.gradient_factor / math.sqrt(2) - 1) < 0.05, "a skip alone: the variance doubles in every layer"
assert 1 < both.gradient_factor < 1.08, "with both, the factor is nearly 1"
assert 6 < both.signal[-2] < 8, "a variance of about 1 from each of 49 layers"
assert both.gradient[0] / both.gradient[-2] < 40, "over 48 layers, where either alone makes thousands or millions of it"

# %% [markdown]
# A skip on its own is no cure. He's branch $W \varphi(x)$ has the same variance as $x$, so each addition doubles the
# variance, and signal and gradient are multiplied by $\sqrt{2}$ a layer: they explode. With batch norm in the branch
# every layer adds the *same* variance to the sum, about 1. After $l$ layers the sum has a variance of about $l$ (the
# figure shows its root, 7 at layer 49), and layer $l + 1$ changes it by the small share $1/l$ only. Over 48 layers the
# gradient grows by little more than ten. (The
# jump at the right end of the line is the classifier, which has no skip.) ResNet is built of this pair.
#
# The plain net is flat as well, but only at the start and only with He's weights.
#
# ### Explore: gradient flow
#
# Choose a net, and see what becomes of signal and gradient. The grey line is always ReLU with He's weights. Find a
# net with sigmoids whose gradient arrives, and one without batch norm whose gradient explodes.

# %% tags=["explorer"]
edu.widgets.gradient_flow(images, labels)

# %% [markdown]
# Where widgets do not run, here is all of it at a glance: three activations down, four initial weights across, and in
# each panel the four combinations of batch norm and skip. Gradients are divided by that of the last hidden layer.

# %%
edu.plots.gradient_flow_grid(images[:64], labels[:64])

# %% [markdown]
# The same holds for convolutions. A 3×3 convolution with $C$ channels adds up $n = 9C$ products, and the border,
# where zeros are added up, takes a little off. `edu.models.deep_net` is `deep_mlp` with that option.

# %%
kinds = {
    "sigmoid, Xavier": {"activation": "sigmoid", "init": "xavier"},
    "ReLU, Xavier": {"init": "xavier"},
    "ReLU, He": {},
    "ReLU, batch norm": {"batch_norm": True},
    "ReLU, batch norm, skip": {"batch_norm": True, "skip": True},
}
for name, options in kinds.items():
    torch.manual_seed(0)
    linear = edu.models.deep_net(30, **options)
    conv = edu.models.deep_net(30, convolutional=True, inputs=1, width=16, **options)
    factors = [edu.probe.layer_signals(net, images[:32], labels[:32]).gradient_factor for net in (linear, conv)]
    print(f"{name:>22}: factor {factors[0]:.2f} a layer with linear layers, {factors[1]:.2f} with convolutions")
    assert abs(factors[0] - factors[1]) < 0.1, "convolutions have about the same factor"

# %% [markdown]
# ## Does it matter? Train them
#
# So far no net has learned anything. You have measured untrained nets, and the measurements are predictions. Train
# six nets of 30 layers in the same way, and see whether they come true. Those with batch norm have He's weights, or
# Xavier's with sigmoids.
#
# > **Before you go on, commit yourself.** Which of the six will learn nothing at all? Which will be best?

# %%
config = edu.TrainConfig(epochs=6, batch_size=64, lr=0.01, augment=(), precision="float32")
recipes = {
    "sigmoid": {"activation": nn.Sigmoid, "init": "xavier"},
    "sigmoid, batch norm": {"activation": nn.Sigmoid, "init": "xavier", "batch_norm": True},
    "ReLU, Xavier": {"init": "xavier"},
    "ReLU, He": {},
    "ReLU, batch norm": {"batch_norm": True},
    "ReLU, batch norm, skip": {"batch_norm": True, "skip": True},
}
histories = {}
for name, recipe in recipes.items():
    torch.manual_seed(config.seed)
    histories[name] = edu.fit(deep_mlp(30, **recipe), data, config)
edu.plots.errors_by_epoch(histories, title="30 layers: without a gradient, nothing is learned")

# %%
print("30 layers                 factor a layer    gradient of layer 1's weights    training error")
for name, recipe in recipes.items():
    signals, error = measure(30, images, labels, **recipe), histories[name].last.train_error
    print(f"{name:>22} {signals.gradient_factor:17.2f} {signals.weight[0]:32.0e} {error:15.1f} %")
errors = {name: history.last.train_error for name, history in histories.items()}
assert min(errors["sigmoid"], errors["ReLU, Xavier"]) > 85, "no gradient, no learning: these two guess"
assert 10 < errors["ReLU, He"] < 80, "with the right initial weights a 30-layer ReLU net learns, though not well"
assert errors["sigmoid, batch norm"] < 20, "batch norm alone makes the sigmoid net learn"
assert 20 < errors["ReLU, batch norm"] < 80, "with batch norm likewise"
assert errors["ReLU, batch norm, skip"] < min(10, errors["ReLU, He"]), "and with skips it learns well"

# %% [markdown]
# The two nets without a gradient guess, as predicted. Batch norm takes the sigmoid net from guessing to learning. The two
# plain ReLU nets, with He's weights and with batch norm, learn something, but neither learns well, and which of them does
# better depends on the seed. The same net with skips leaves both behind, although the plain ones have large enough
# gradients everywhere. So what is wrong with these? The rest of the lesson looks at two suspects: with batch norm they
# are *too* large, and in deep plain ReLU nets they change from one input to the next, so that what they promise soon no longer holds. First the size.
#
# One plain net is spared: sigmoids with batch norm. Around 0 a sigmoid is nearly a straight line, and Yang et
# al. find that with batch norm gradients grow less, and deep nets train better, the closer the net is to a linear one.
#
# ## When gradients explode
#
# Take a net of only ten layers whose initial weights are twice as large as they should be. The signal doubles in each layer, and so
# does the gradient. Instead of mending the weights, limit the step: if the gradient of all weights taken together is
# longer than a given norm, scale it down to that norm and keep its direction. This is *gradient clipping* (Pascanu et
# al. 2013), the everyday remedy in nets that read sequences.


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
    print(f"{name:>14}: {len(runs[name]):3} steps, loss {runs[name][0]:8.1f} → {runs[name][-1]:.3g}")
assert not math.isfinite(runs["large"][-1]), "without clipping the loss soon stops being a number"
assert all(map(math.isfinite, runs["large, clipped"])), "with clipping the run survives"
assert runs["large, clipped"][-1] < runs["large, clipped"][0] / 10, "and its loss falls"
assert sum(runs["He"][-20:]) < sum(runs["large, clipped"][-20:]) / 2, "the right initial weights are better still"
title = "Clipping saves the run; the right weights make it unnecessary"
edu.plots.lines(runs, title=title, x="step", y="training loss", first=1, log=True)

# %% [markdown]
# Without clipping the steps are so long that the third loss is no longer a number (the cross marks the last one that was). With clipping the run
# lives. It is a safety belt and not a cure: the net with He's weights needs none, and learns far faster. And clipping
# can only shorten. Against a gradient that vanishes it does nothing.
#
# ### Exercise 5.4 · Clip by norm
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# You get a list of gradients, one tensor for each layer. Together they are one long vector. If its norm is larger
# than `max_norm`, multiply all of them by the same factor, so that the norm becomes `max_norm`. If it is not, return
# them as they are. Leave the tensors you are given unchanged.
#
# <details><summary>Hint 1</summary>
#
# The norm of all together is the root of the sum of *all* squares, over all tensors.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The factor is `max_norm / norm`, and at most 1. Take care that gradients which are all zero do not make you divide
# by 0.
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
# A gradient is a promise: if you move a little, the loss will change like this. The promise is worth something only
# if it still holds after the move. Balduzzi et al. (2017) asked how long it holds, with the simplest net that can
# tell: one number in, 200 units a layer, one number out, ReLU, He's weights. Compute its gradient $dy/dx$ at 256
# inputs between −2 and 2, and see how much the gradient at one input tells you about the gradient at the next.
#
# The nets are drawn side by side, one matrix for each seed. Plain and residual nets consist of the same blocks of two
# layers; the residual one adds each block, multiplied by $\sqrt{1/2}$ to slow the growth of the signal, to its input.
# The first layer has random biases, so that the kinks of its ReLUs are spread over the axis.


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

    return edu.probe.input_output_gradients(net, points.repeat(seeds)).view(seeds, -1).T


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
# The gradient of the shallow net wanders in small steps, one for each ReLU that switches on or off. Those of the deep
# nets are rougher, and the eye cannot say by how much, so measure it. The *autocorrelation* at lag $k$ is the
# correlation between the gradient at one input and the gradient $k$ grid steps away: 1 if they are the same, 0 for
# white noise.

# %%
lags = list(range(16))
curves = {name: edu.probe.autocorrelation(gradients, lags) for name, gradients in drawn.items()}
edu.plots.autocorrelations(curves, lags, title="Depth shatters gradients, and additions hold them together")

# %%
print("autocorrelation, mean over the nets       lag 1    lag 4")
mean = {name: curve.mean(dim=1) for name, curve in curves.items()}
for name, curve in mean.items():
    print(f"{name:>37} {curve[1]:9.2f} {curve[4]:8.2f}")
assert abs(mean["white noise"][1]) < 0.05, "noise is noise"
for lag in (1, 4):
    plain24, plain50 = (mean[f"plain, {depth} layers"][lag] for depth in (24, 50))
    residual24, residual50 = (mean[f"residual, {depth} layers"][lag] for depth in (24, 50))
    assert plain50 + 0.02 < plain24 < mean["one hidden layer"][lag] - 0.04, "depth shatters"
    assert residual24 > plain24 + 0.02, "with additions they keep more of their autocorrelation"
    assert residual50 > plain50 + 0.04, "with 50 layers too"

# %% [markdown]
# In the paper's words, plain nets have gradients that "resemble white noise", and nets with skips are "far more
# resistant to shattering". Ours with 50 layers is on the way there and not there, as the picture shows: neighbours on the
# grid still resemble each other, and from a dozen steps on skips no longer make a difference. But the deeper the plain
# net, the shorter the step after which its gradient is a different one. Scaling a gradient up or down does not mend this.
# The additions help: 50 layers with them hold about as long as 24 without.
#
# Keep in mind what has been measured: gradients by the *input*, of *untrained* nets. That this is also the reason why
# deep plain nets train badly is a plausible explanation and not a proof.
#
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "The sigmoid's slope is at most ¼, so gradients in sigmoid nets always vanish." | 30 layers, Xavier's weights times 1 to 40 | **Half right.** With usual weights they do. With weights 20 times larger they *explode*: what counts is slope times weights. |
# | "ReLU solved the vanishing gradient." | ReLU with Xavier's weights, 50 layers | **Half right.** The factor is 0.71 a layer until the weights are He's. |
# | "Vanishing gradients starve the first layers." | The weights' gradient in every layer | **Depends.** With sigmoids, yes. With ReLU and Xavier's weights all layers starve alike. |
# | "Batch norm cures vanishing gradients." | The factor a layer with batch norm | **Right**, none vanishes. But they grow towards the input, with ReLU by 1.2 a layer. |
# | "A skip connection is all you need." | ReLU, He's weights and skips, without batch norm | **Wrong.** Signal and gradient grow by √2 a layer. |
# | "A gradient of healthy size is a healthy gradient." | Autocorrelation of the gradients | **Wrong.** It may hold for a very short step only. |

# %%
by_size = {}
for times in (1, 5, 10, 20, 40):
    torch.manual_seed(0)
    net = deep_mlp(30, activation=nn.Sigmoid, init="xavier")
    for weight in [parameter for parameter in net.parameters() if parameter.ndim == 2]:
        weight.data *= times
    by_size[times] = edu.probe.layer_signals(net, images, labels).gradient_factor
    print(f"sigmoid, Xavier's weights times {times:2}: factor {by_size[times]:.2f} a layer")
assert by_size[1] < 0.25 < 1.2 < by_size[20], "sigmoid gradients vanish with small weights and explode with large ones"
assert choices["Xavier"].gradient_factor < 0.75, "ReLU alone does not hold the gradient"
assert sigmoids[50].weight[0] < 1e-20 * sigmoids[50].weight[-1], "with sigmoids the first layers starve"
assert max(starved) < 100 * min(starved), "with ReLU and small weights all layers do"
assert min(relu_factors.values()) > 1.1, "with batch norm no gradient vanishes, and all of them grow"
assert alone.gradient_factor > 1.3, "a skip alone makes gradients explode"
assert mean["plain, 50 layers"][4] < mean["one hidden layer"][4] - 0.2, "whatever its size, it soon no longer holds"

# %% [markdown]
# ## Summary
#
# * A gradient that comes back through a layer is multiplied by the layer's weights and by the slope of its
#   activation. Over fifty layers only a factor very close to 1 will do.
# * Sigmoids with usual weights: less than ¼ a layer, and the first layers stand still to the last bit. ReLU with
#   Xavier's weights: 0.71. ReLU with He's weights, variance $2/n$: 1.
# * Batch norm keeps gradients from vanishing, whatever the initial weights. With ReLU it lets them grow by about 1.2
#   a layer.
# * A skip alone makes signal and gradient grow by $\sqrt{2}$ a layer. Batch norm and skip together keep both in
#   bounds.
# * Clipping limits an exploding step. It keeps the direction and cures nothing else.
# * In deep plain nets the gradient also shatters: at inputs close by it is a different one. Additions hold it together
#   for longer.
#
# ## Sources
#
# * S. Hochreiter: Untersuchungen zu dynamischen neuronalen Netzen, diploma thesis, TU München, 1991
# * Y. Bengio, P. Simard, P. Frasconi: Learning long-term dependencies with gradient descent is difficult, IEEE
#   Transactions on Neural Networks, 1994
# * X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural networks, 2010, [PMLR
#   9](https://proceedings.mlr.press/v9/glorot10a.html)
# * R. Pascanu, T. Mikolov, Y. Bengio: On the difficulty of training recurrent neural networks, 2013, [arXiv
#   1211.5063](https://arxiv.org/abs/1211.5063)
# * K. He, X. Zhang, S. Ren, J. Sun: Delving deep into rectifiers, 2015, section 2.2 and figure 3, [arXiv
#   1502.01852](https://arxiv.org/abs/1502.01852)
# * S. Ioffe, C. Szegedy: Batch normalization, 2015, [arXiv 1502.03167](https://arxiv.org/abs/1502.03167)
# * D. Balduzzi et al.: The shattered gradients problem, 2017, [arXiv 1702.08591](https://arxiv.org/abs/1702.08591)
# * G. Yang et al.: A mean field theory of batch normalization, 2019, [arXiv
#   1902.08129](https://arxiv.org/abs/1902.08129)
#
# ## Next lesson
#
# 06 · Degradation: with batch norm no gradient vanishes, and yet a net of 56 layers is worse than one of 20, on the
# very images it was trained on.
