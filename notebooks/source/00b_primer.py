# %% [markdown]
# # 00b · Primer: tensors, neurons, gradients
#
# Lesson 00 used words like *gradient* and *batch* in passing. This page explains them, and the handful of PyTorch
# tools that the rest of the course takes for granted. You only need to know Python and what a derivative is. If you've
# trained networks before, try the three exercises. If they're easy, go straight to lesson 01.
#
# After this lesson you can
#
# * read the shape of a tensor, and predict the shape that comes out of an operation;
# * say what a neuron, a layer and an activation compute, and write two layers in one line;
# * let PyTorch compute a derivative, and walk down a loss with it;
# * tell training mode from evaluation mode, and training images from validation and test images.
#
# **Minutes:** 20 reading, 18 for the exercises · 1 running quick · 1 running full

# %% tags=["setup"]
import torch
from torch import Tensor, nn

import resnet_edu as edu

data = edu.data.load("mnist5k", size=32)
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## Tensors and their shapes
#
# Everything in this course is a **tensor**: a block of numbers arranged along some number of *axes*. A single number
# has no axis, a row of numbers has one, a table has two. The **shape** is the length of each axis: the first thing to
# print when something goes wrong.

# %%
edu.plots.tensor_shapes(
    [(), (4,), (3, 4), (2, 3, 4), (3, 2, 3, 4)],
    title="The shape is the length of each axis: from a number to a batch of images",
)

# %% [markdown]
# A grey image is a table of brightness values, `(height, width)`. A colour image is three such tables, for red, green
# and blue, called **channels**. PyTorch puts the channels first, so one image is `(C, H, W)`, and a **batch** of
# images, which a network processes together, is `(N, C, H, W)`. You'll see these four letters everywhere.
#
# Most of the work on tensors is getting the shape right. These are the moves you'll need. (Many functions take the
# number of an axis, counted from 0, and call it `dim`: `x.sum(dim=1)` adds up along axis 1, which then disappears from
# the shape.)

# %%
x = data.train.images[:24]  # 24 digits
moves = {
    "x": x,
    "x[0]  (the first image: one axis fewer)": x[0],
    "x[:, 0]  (all images, their channel 0)": x[:, 0],
    "x[:, :, 4:9, 4:9]  (a patch of each image)": x[:, :, 4:9, 4:9],
    "x.flatten(1)  (all axes from number 1 on become one)": x.flatten(1),
    "x[0, 0, 0][:, None]  (None inserts an axis of length 1)": x[0, 0, 0][:, None],
}
edu.table([(move, str(tuple(result.shape))) for move, result in moves.items()], ["expression", "shape"])

# %% [markdown]
# ## Broadcasting
#
# What happens when you add two tensors of different shapes? PyTorch writes the shapes one below the other, *aligned at
# the right*. Two axes fit if they have the same length, or if one has length 1 or is missing. That one is then
# repeated until it fits. This is called **broadcasting**. The copies take no memory, and your code needs no loop.
# (Below, `torch.tensor` makes a tensor from a list, and `expand` repeats it as broadcasting would, so that you can see
# the copies.)

# %%
table, row = torch.tensor([[1.0, 2, 3], [4, 5, 6]]), torch.tensor([10.0, 20, 30])
edu.plots.numbers(
    {"table (2, 3)": table, "row (3,), repeated": row.expand(2, 3), "table + row (2, 3)": table + row},
    signs="+=", title="A row is repeated for each row of the table",
)  # fmt: skip

# %% [markdown]
# To repeat a *column* instead, you have to say where its axis belongs. `column[:, None]` turns the shape `(2,)` into
# `(2, 1)`, and the axis of length 1 is the one that gets repeated:

# %%
column = torch.tensor([100.0, 200])
edu.plots.numbers(
    {"table (2, 3)": table, "column[:, None], repeated": column[:, None].expand(2, 3),
     "table + column[:, None]": table + column[:, None]},
    signs="+=", title="With [:, None] a column is repeated for each column of the table",
)  # fmt: skip

# %% [markdown]
# ### Exercise 0b.1 · Normalise a batch
#
# **Difficulty** ●○○○○ · **5 minutes**
#
# Networks learn faster when their inputs are centred on 0 and have a spread of about 1. So you subtract each channel's
# mean and divide by its *standard deviation*, `std`. It says how far the values typically lie from their mean: square
# each distance, take the mean of the squares, and then the square root of that. Both are measured once, over all
# training images, and handed to you: `mean` and `std` have the shape `(C,)`, one number for each channel, and `images`
# has the shape `(N, C, H, W)`. Do it without a loop.
#
# <details><summary>Hint 1</summary>
#
# Write the shapes one below the other, aligned at the right: `(N, C, H, W)` and `(C,)`. Under which letter does the
# `C` end up, and where should it be?
# </details>
# <details><summary>Hint 2</summary>
#
# Two axes of length 1 are missing after the `C`: `mean[:, None, None]` has the shape `(C, 1, 1)`.
# </details>


# %% tags=["exercise"]
def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Subtract each channel's mean and divide by its spread: (N, C, H, W) to (N, C, H, W)."""
    ### BEGIN SOLUTION
    return (images - mean[:, None, None]) / std[:, None, None]
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_normalise(normalise)

# %% [markdown]
# ## A neuron, and a layer of neurons
#
# A **neuron** takes some numbers, multiplies each by a number of its own, its **weight**, adds up the products, and
# adds one more number, its **bias**:
#
# $$ y = w_1 x_1 + w_2 x_2 + \dots + w_n x_n + b $$
#
# That's all. A **linear layer** is several neurons that look at the same inputs. Every input is connected to every
# output, so it's also called *fully connected*, or *dense*. Weights and biases are the **parameters** of the network:
# the numbers that training is going to change. Here they're random: `torch.randn` draws numbers around 0, with a spread
# of 1, in the shape you ask for.

# %%
torch.manual_seed(1)
weights = torch.randn(2, 3)  # two neurons, each with three weights
edu.plots.connections(
    {"a neuron: 3 weights": [weights[:1]], "a linear layer: 2 × 3 weights": [weights],
     "two layers": [weights, torch.randn(4, 2)]},
    title="Blue circles are inputs. Each line is a weight: red if positive, blue if negative", height=2.6,
)  # fmt: skip

# %% [markdown]
# Put each neuron's weights into one row, and the layer is a table of shape `(outputs, inputs)`. Its output is then a
# **matrix product**, written `@`: each number of the result is one row of the left matrix times one column of the right
# one, multiplied number by number and added up. For a whole batch `x` of shape `(N, inputs)` the layer is
# `x @ W.T + b`, where `W` is the table of weights, `b` holds the biases, and `.T` swaps rows and columns. PyTorch has
# it as `nn.Linear` (`nn` is its collection of parts for neural networks):

# %%
layer = nn.Linear(3, 2)  # 3 inputs, 2 outputs; its weights begin as small random numbers
x = torch.randn(5, 3)  # a batch of five
by_hand = x @ layer.weight.T + layer.bias  # (5, 3) @ (3, 2) + (2,) → (5, 2)
assert torch.allclose(by_hand, layer(x))  # equal, but for the rounding of the last digit
by_hand.detach()  # detach: the bare numbers, without the notes PyTorch keeps for the derivatives

# %% [markdown]
# ## Activations: why a layer alone isn't enough
#
# Put one linear layer after another, and you get nothing new: a weighted sum of weighted sums is a weighted sum again
# (the first claim below shows it). So something that isn't linear has to stand between them: an **activation**,
# applied to each number on its own. (The numbers that come out are called activations too.) You'll meet three:
#
# * **sigmoid**, 1 / (1 + e⁻ˣ), squashes any number into the range from 0 to 1;
# * **tanh**, which is 2 · sigmoid(2x) − 1, does the same for the range from −1 to 1, so its outputs are centred on 0;
# * **ReLU** (*rectified linear unit*) is the simplest: negative numbers become 0, all others stay as they are.

# %%
edu.plots.activation_slopes(title="Sigmoid and tanh go flat at both ends. ReLU has the slope 0 or 1")

# %% [markdown]
# The slopes in the right panel will matter more than the curves. Learning works with derivatives, and where a slope is
# near 0 there's nothing to learn from. Lesson 05 is about what that does to deep networks.
#
# ### Exercise 0b.2 · Two layers
#
# **Difficulty** ●○○○○ · **5 minutes**
#
# Write a network with two linear layers and a ReLU between them: `x` has the shape `(N, inputs)`, `w1` is
# `(hidden, inputs)`, `w2` is `(outputs, hidden)`, and `b1` and `b2` hold one bias for each output of their layer.
# (`hidden` is the number of neurons in the first layer.) Return the `(N, outputs)` numbers of the second layer.
#
# <details><summary>Hint 1</summary>
#
# The first layer is `x @ w1.T + b1`. What shape does it have?
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.relu(h)` is the ReLU of each number in `h`. `h.clamp(min=0)` is the same.
# </details>


# %% tags=["exercise"]
def two_layers(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Linear layer, ReLU, linear layer: (N, inputs) to (N, outputs)."""
    ### BEGIN SOLUTION
    hidden = torch.relu(x @ w1.T + b1)  # (N, hidden)
    return hidden @ w2.T + b2  # (N, outputs)
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_two_layers(two_layers)

# %% [markdown]
# ## Gradient descent: walking downhill
#
# How does a network find good weights? It starts with random ones. A **loss** says in a single number how wrong the
# answers are, and smaller is better. Take just one weight $w$. The derivative $dL/dw$ tells you how the loss $L$
# changes when you nudge $w$ up a little. If it's positive, the loss grows that way, so go the other way:
#
# $$ w \leftarrow w - \eta \, \frac{dL}{dw} $$
#
# The **learning rate** $\eta$ (the Greek letter eta) sets how big each step is. With many weights there's one
# derivative for each, and together they're called the **gradient**. This walk downhill is **gradient descent**, and
# it's how every network in this course learns.


# %%
def loss_of(w: Tensor) -> Tensor:
    """A loss with its lowest point at w = 3."""
    return (w - 3) ** 2


def descent(start: float, rate: float, steps: int) -> list[float]:
    """The weight before the first step and after each; the derivative of (w − 3)² is 2 · (w − 3)."""
    path = [start]
    for _ in range(steps):
        path.append(path[-1] - rate * 2 * (path[-1] - 3))
    return path


paths = {f"learning rate {rate}": descent(-1.0, rate, steps=12) for rate in (0.02, 0.2, 1.03)}
edu.plots.descents(loss_of, paths, title="Too small a rate crawls, too large a rate overshoots further and further")

# %% [markdown]
# Before you read on: at what learning rate does the walk stop getting anywhere, and just jump from one side to the
# other? Work it out from the formula, then change the 1.03 in the cell above and check.
#
# <details><summary>Answer</summary>
#
# A step turns the distance $w - 3$ into $(w - 3)(1 - 2\eta)$. At $\eta = 1$ the factor is −1: the weight jumps to the
# mirror image and back, forever. Above 1 it gets further away with each step, and below 1 it gets closer. At
# $\eta = 0.5$ a single step lands exactly on 3.
# </details>
#
# ## Autograd: PyTorch takes the derivatives
#
# With a million weights you don't want to work out derivatives by hand. PyTorch knows the derivative of each
# operation, and the **chain rule** says that along a chain of operations the derivatives are multiplied. The part of
# PyTorch that does this is called **autograd**. Here it works on a neuron with the single input x = 2 and no bias,
# whose output should be 5. (`.item()` takes the bare number out of a tensor.)

# %%
x, target = torch.tensor(2.0), torch.tensor(5.0)
w = torch.tensor(3.0, requires_grad=True)  # "keep notes: I'll want the derivative with respect to this"
y = w * x
loss = (y - target) ** 2
loss.backward()  # walk the chain from the loss back to w
edu.plots.chain(
    [("w", w.item(), w.grad.item()), ("y = w · x", y.item(), 2 * (y - target).item()), ("y − 5", 1, 2), ("L", 1, 1)],
    ["x", "1", "2 (y − 5)"], title="Forward, the values (blue). Backward, a product of slopes (red)",
)  # fmt: skip

# %% [markdown]
# On the way forward PyTorch computes the values and notes which operations were done. `backward()` starts at the loss,
# where the derivative is 1, and multiplies by one slope after the other on its way back: by 2 (y − 5) = 2 for the
# square, by 1 for the subtraction, by x = 2 for the product. The result ends up in `w.grad`, and people call it the
# gradient *of* `w`, too. (The two directions are the *forward pass* and the *backward pass*, or *backpropagation*.)
# Nudge `w` a little and see whether it's true:

# %%
nudge = 0.001
nudged = (((w + nudge) * x - target) ** 2 - loss) / nudge
print(f"w.grad is {w.grad.item()}; nudging w by {nudge} gives {nudged.item():.3f}")
assert w.grad.item() == 4
assert abs(nudged.item() - 4) < 0.02

# %% [markdown]
# Three details that trip up everyone once:
#
# * **`backward()` adds.** The new derivative is added to whatever is in `w.grad` already. So empty it before the next
#   `backward()`, with `w.grad = None`. If you forget, each step follows the sum of all gradients so far.
# * **The step itself needs no notes.** Change a weight inside `with torch.no_grad():`, where PyTorch keeps none, and
#   write `w -= …`, which changes the weight itself. `w = w - …` would make a new tensor that PyTorch takes no notes
#   for, and the next `backward()` would fail.
# * **`.item()`** turns a tensor with one number into a bare Python number. Keep *that* if you collect losses, because a
#   tensor drags along all the notes on how it was computed.
#
# ### Exercise 0b.3 · Gradient descent
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# Write `descend(loss, start, rate, steps)`. It starts with a weight of `start`, takes `steps` steps of gradient
# descent with the learning rate `rate`, and returns the weight. You don't know the formula of `loss`: it's a function
# that takes the weight and returns a tensor, so let autograd do the derivative.
#
# <details><summary>Hint 1</summary>
#
# Begin with `w = torch.tensor(start, requires_grad=True)`. In the loop: compute the loss, call `backward()` on it,
# take the step, empty the gradient.
# </details>
# <details><summary>Hint 2</summary>
#
# The step is `w -= rate * w.grad`, inside `with torch.no_grad():`.
# </details>


# %% tags=["exercise"]
def descend(loss, start: float, rate: float, steps: int) -> float:
    """The weight after so many steps of gradient descent from `start`."""
    ### BEGIN SOLUTION
    w = torch.tensor(start, requires_grad=True)
    for _ in range(steps):
        loss(w).backward()
        with torch.no_grad():
            w -= rate * w.grad
        w.grad = None
    return w.item()
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_descend(descend)

# %% [markdown]
# You won't have to write out this step for every weight. An **optimizer** holds them all: `optimizer.step()` takes the
# step for every weight, and `optimizer.zero_grad()` empties the gradients. `SGD` stands for *stochastic gradient
# descent*. "Stochastic" means random: each step looks at a random batch, not at all images, so its gradient is a rough
# estimate, but a cheap one. (The next cell has no batches. The step is the same.)

# %%
w = torch.tensor(-1.0, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.2)
for _ in range(12):
    optimizer.zero_grad()
    loss_of(w).backward()
    optimizer.step()
print(f"the optimizer ends at w = {w.item():.4f}, the walk by hand at {paths['learning rate 0.2'][-1]:.4f}")
assert abs(w.item() - paths["learning rate 0.2"][-1]) < 1e-4

# %% [markdown]
# ## `nn.Module`: layers in a box
#
# PyTorch keeps a network in a class derived from `nn.Module`. It has two parts: `__init__` makes the layers, and
# `forward` says how the input runs through them. Call the finished object like a function, and it runs `forward`. (In
# the names, `fc` stands for *fully connected* and `act` for *activation*.)


# %%
class TinyNet(nn.Module):
    """Three numbers in, two out, with four neurons in between."""

    def __init__(self) -> None:
        super().__init__()  # always first: it makes the box that the layers go into
        self.fc1 = nn.Linear(3, 4)
        self.act1 = nn.ReLU()
        self.fc2 = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act1(self.fc1(x)))  # (N, 3) → (N, 4) → (N, 2)


tiny = TinyNet()
edu.plots.connections({"TinyNet": [tiny.fc1.weight, tiny.fc2.weight]}, title="A net with one hidden layer", height=2.8)

# %% [markdown]
# The layer in the middle is called a **hidden layer**, because from outside you only see what goes into the net and
# what comes out. Because the layers are attributes of the module (`self.fc1 = …`), it knows all their parameters, and
# `tiny.parameters()` hands them to an optimizer in one go. `named_parameters()` also gives their names, and `numel()`
# says how many numbers a tensor holds:

# %%
rows = [(name, str(tuple(parameter.shape)), parameter.numel()) for name, parameter in tiny.named_parameters()]
assert sum(count for *_, count in rows) == (3 * 4 + 4) + (4 * 2 + 2) == 26
edu.table([*rows, ("together", "", 26)], ["parameter", "shape", "numbers"])

# %% [markdown]
# For a plain chain of layers there's a shortcut without a class:
# `nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))` runs one after the other.
#
# ## Training mode and evaluation mode
#
# Some layers behave differently while a network learns. One example is **dropout**, which you'll study in lesson 02.
# During training it tosses a coin for each number: heads sets it to 0, tails doubles it. So no neuron can rely on one
# other neuron alone. When the network is used, dropout does nothing. A module keeps track of which mode it's in:
# `model.train()` switches it and everything inside it to training mode, and `model.eval()` to evaluation mode.

# %%
torch.manual_seed(0)
dropout, ones = nn.Dropout(0.5), torch.ones(2, 4)
seen = {
    "input": ones,
    "train(), once": dropout(ones),
    "train(), again": dropout(ones),
}  # a new module starts in training mode
seen["eval()"] = dropout.eval()(ones)
assert torch.equal(seen["eval()"], ones)
edu.plots.numbers(seen, title="Dropout acts in training mode only")

# %% [markdown]
# Nothing fails if you forget to switch. The numbers are just wrong, and sometimes only a little, which makes this one
# of the most common bugs in this field. The habit that avoids it: `model.train()` at the start of each pass over the
# training images, `model.eval()` before you measure anything.
#
# ## Training, validation, test
#
# A network can learn its training images by heart and still be useless for others. This is called **overfitting**, and
# you don't need a network to see it. Here are twelve points of a curve, each moved up or down a little at random. A
# polynomial is *fitted* to them: its coefficients are chosen to bring it as close to the points as possible. First
# it's a straight line, then it gets more and more bends. Each time its error, here the typical distance between curve
# and points, is measured on the twelve points and on points it hasn't seen. (You can skip the code. `lstsq`, for
# *least squares*, does the fitting. In the figure, 10⁰ is 1, and each labelled line is ten times the one below it.)


# %%
def points(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noisy points of sin(3x) between −1 and 1."""
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(count, generator=generator, dtype=torch.float64) - 1
    return x, torch.sin(3 * x) + 0.2 * torch.randn(count, generator=generator, dtype=torch.float64)


(x, y), (x_val, y_val), (x_test, y_test) = points(12, seed=0), points(100, seed=1), points(100, seed=2)
errors, fits = {"training (12 points)": [], "validation (100 others)": []}, {}
for degree in range(1, 11):
    powers = torch.arange(degree + 1)
    fits[degree] = fitted = torch.linalg.lstsq(x[:, None] ** powers, y[:, None]).solution  # the best of this degree
    for name, (at, wanted) in zip(errors, ((x, y), (x_val, y_val)), strict=True):
        errors[name].append((at[:, None] ** powers @ fitted - wanted[:, None]).pow(2).mean().sqrt().item())
edu.plots.lines(errors, first=1, log=True, title="More bends always fit better, but predict worse in the end",
                x="degree of the polynomial", y="error")  # fmt: skip

# %% [markdown]
# The error on the training points keeps falling, because a polynomial with eleven coefficients can run through nearly
# all of twelve points. On the other points it's lowest in the middle, and then it shoots up. So you split your images
# into three parts, once, before you do anything else:
#
# * **Training images**: the network learns from these.
# * **Validation images**: it never learns from them, but *you* do. You use them to choose the degree of a polynomial,
#   or a learning rate.
# * **Test images**: looked at once, at the very end. Because you chose what does best on the validation images, your
#   choice suits them a little too well. Only images that had no say in anything give an honest number.

# %%
best = 1 + errors["validation (100 others)"].index(min(errors["validation (100 others)"]))
parts = {"training": data.train, "validation": data.val, "test": data.test}
assert errors["training (12 points)"] == sorted(errors["training (12 points)"], reverse=True), "training never rises"
assert errors["validation (100 others)"][-1] > 3 * min(errors["validation (100 others)"]), "the validation error does"
residual = (x_test[:, None] ** torch.arange(best + 1) @ fits[best])[:, 0] - y_test
print(f"chosen by validation: degree {best}; its error on the test points: {residual.square().mean().sqrt():.2f}")
edu.table([(name, len(split)) for name, split in parts.items()], ["digits of this course", "images"])

# %% [markdown]
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "More layers make a network more powerful." | Two linear layers without an activation, beside the one layer that multiplies them out | **Only with something non-linear in between.** Without it, the two are one layer. |
# | "`backward()` computes the gradient." | Call it twice | **It adds it to what is already there.** |
# | "A smaller learning rate is safer." | Twelve steps at each rate on the loss above | **Safer, yes, but not better.** At 0.02 the walk is still far from the bottom; at 0.2 it's there. |

# %%
first, second, x = nn.Linear(3, 50), nn.Linear(50, 2), torch.randn(5, 3)
weight, bias = second.weight @ first.weight, second.weight @ first.bias + second.bias
# atol: by how much two numbers may differ and still count as equal
assert torch.allclose(second(first(x)), x @ weight.T + bias, atol=1e-5), "two layers are one"
w = torch.tensor(-1.0, requires_grad=True)
gradients = []
for _ in range(2):
    loss_of(w).backward()
    gradients.append(w.grad.item())
assert gradients[1] == 2 * gradients[0], "the second call has added the same once more"
distances = {name: abs(path[-1] - 3) for name, path in paths.items()}
assert distances["learning rate 0.02"] > 2 > 0.1 > distances["learning rate 0.2"]
edu.table(list(distances.items()), ["after twelve steps", "distance from the best weight"])

# %% [markdown]
# ## Summary
#
# * A **tensor** has a shape; a batch of images is `(N, C, H, W)`. Shapes are aligned at the right, and an axis of
#   length 1 is repeated. `[:, None]` puts one in.
# * A **neuron** is a weighted sum plus a bias; a **linear layer** is `x @ W.T + b`; an **activation** stands between
#   two layers.
# * **Gradient descent**: $w \leftarrow w - \eta \, dL/dw$. `backward()` computes the derivatives and *adds* them to
#   `.grad`.
# * An **`nn.Module`** holds layers and knows their parameters. `train()` and `eval()` switch its mode.
# * **Train** to learn, **validate** to choose, **test** once.
#
# ## Sources
#
# * M. Nielsen: [Neural networks and deep learning](http://neuralnetworksanddeeplearning.com), chapters 1 and 2, for a
#   longer way to the same place.
# * A. Karpathy: [micrograd](https://github.com/karpathy/micrograd), autograd in about a hundred lines.
# * The PyTorch documentation on [broadcasting](https://docs.pytorch.org/docs/stable/notes/broadcasting.html) and
#   [autograd](https://docs.pytorch.org/docs/stable/notes/autograd.html).
#
# ## Next lesson
#
# 01 · LeNet-5: the layer that made networks see, and a training loop of your own.
