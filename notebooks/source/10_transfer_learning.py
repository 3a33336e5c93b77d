# %% [markdown]
# # 10 · Transfer learning: begin with what another net has learned
#
# You rarely have a million labelled pictures. You have a few hundred, or fifty. This lesson takes a ResNet-18 that has
# learned to tell photos apart, gives it five to a hundred labelled *digits* of each class, and measures what the photos were
# good for.
#
# After this lesson you can
#
# * take a pretrained net with its transforms and categories, and put a new head on it;
# * freeze a backbone so that it really stays as it is, and train a head on it in a second;
# * fine-tune a whole net, with one learning rate or two, and choose between the ways by a measurement;
# * say which layers transfer, and when pretraining hurts.
#
# **Minutes:** 30 reading, 30 more for the exercises · 1 running quick · 3 running full

# %% tags=["setup"]
from dataclasses import replace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import torch
from PIL import Image
from torch import nn
from torchvision.models import ResNet18_Weights

import resnet_edu as edu

profile, device = edu.profile(), edu.machine.device()
weights = edu.models.pretrained("resnet18")
weights.model.to(device)
print(edu.setup(seed=0))
print(f"data       {edu.data.load('mnist5k', size=32, channels=3).source}")
print(f"weights    {weights.source}")

# %% [markdown]
# ## What comes with trained weights
#
# The line `weights` above says whose weights you have. If ImageNet's are in torchvision's cache, they are taken. Otherwise it
# is the net of this package, which has learned the ten classes of CIFAR-10. Every cell below runs with either.
#
# A file of weights alone is of little use. Two things belong to it: the **categories**, which say what each logit means, and
# the **transforms**, which bring a picture into the form that the net was trained on. Torchvision keeps both in one object,
# and you can read them offline:

# %%
entry = ResNet18_Weights.IMAGENET1K_V1
print(f"torchvision: {len(entry.meta['categories'])} categories, from {entry.meta['categories'][0]!r} on; transforms {entry.transforms()}")  # fmt: skip
print(
    f"\nyours: {len(weights.categories)} categories, from {weights.categories[0]!r} on; transforms {weights.transforms}"
)

# %% [markdown]
# The net expects each channel shifted and scaled as in its own training. `edu.models.normalisation` reads these numbers off
# the transforms: it looks at what becomes of a black and of a white picture. Use *their* mean and spread for *your* images.
#
# The digits come in three parts, and this lesson needs all of them. A net learns from the **training** images. The
# **validation** images are there for choosing, between layers or learning rates for instance. The **test** images measure,
# once and at the end, what was chosen.


# %%
def digits_for(weights: edu.models.Pretrained, *, labels: int, seed: int) -> edu.data.Data:
    """mnist5k in three channels of 32×32 with `labels` training images a class, normalised as the weights expect."""
    mean, std = edu.models.normalisation(weights.transforms)
    data = edu.data.load("mnist5k", size=32, channels=3, limit=10 * labels, seed=seed)
    train, val, test = (replace(split, mean=mean, std=std) for split in (data.train, data.val, data.test))
    return replace(data, train=train, val=val, test=test)


data = digits_for(weights, labels=10, seed=0)
with torch.inference_mode():
    logits = weights.model(data.train.inputs(slice(16)).to(device))
names = [weights.categories[index].split(",")[0] for index in logits.argmax(dim=1).tolist()]
edu.plots.image_grid(data.train.images[:16], names, title="A net can only answer in its own categories")

# %% [markdown]
# This net has never seen a digit, and it has no way to say so. Its last layer, the **head**, is of no use to us. But the
# layers before it, the **backbone**, turn an image into 512 numbers, and some of these may tell a 3 from an 8 just as they
# tell a cat from a ship.

# %%
edu.plots.architecture(weights.model, (3, 32, 32), title="The backbone makes 512 features; the last box is the head")

# %% [markdown]
# There are three ways to go on, and they differ in where you start and in what may change:
#
# | | start | what learns |
# |---|---|---|
# | from scratch | random weights | everything |
# | frozen | trained backbone, new head | the head |
# | fine-tuned | trained backbone, new head | everything |
#
# ## A new head
#
# The head is one linear layer. `replace_head` puts an untrained one with ten outputs in its place; you write it in exercise 10.1.

# %%
model = edu.models.pretrained("resnet18").model
head = edu.models.replace_head(model, len(data.classes))
total, new = (sum(parameter.numel() for parameter in part.parameters()) for part in (model, head))
print(f"{head}: {new:,} of {total:,} parameters are new, {100 * new / total:.2f} %")
assert new == 512 * 10 + 10
assert edu.models.head_of(model) == ("fc", head)

# %% [markdown]
# ## Frozen, and what it takes
#
# To freeze is to keep the backbone exactly as it is. Most recipes set `requires_grad = False`, so that no weight gets a
# gradient. Do that, let ten batches of digits pass in training mode, and show the net a photo of a cat again.


# %%
def says(weights: edu.models.Pretrained) -> str:
    """The best two labels of the cat's photo."""
    (prediction,) = edu.predict(weights, [edu.data.photo("cat")], top=2)
    return ", ".join(f"{label.split(',')[0]} {percent:.0f} %" for label, percent in prediction.top)


trap = edu.models.pretrained("resnet18")
print(f"before: {says(trap)}")
trap.model.requires_grad_(False).train()
for start in range(0, 100, 10):
    trap.model(data.train.inputs(slice(start, start + 10)).to(device))
print(f"after:  {says(trap)}")

# %%
name = "layer1.0.bn1.running_var"
same = all(map(torch.equal, weights.model.parameters(), trap.model.parameters()))
moved = trap.model.get_buffer(name) / weights.model.get_buffer(name)
print(f"all weights as they were: {same}; running variances of the first batch norm: × {moved.min():.2f} to × {moved.max():.2f}")  # fmt: skip
assert same, "no weight has changed"
assert (moved - 1).abs().max() > 0.1, "and the net is another one all the same"

# %% [markdown]
# The weights are all the same and yet the net is another one. A batch norm in training mode normalises by the batch at hand
# and moves its running mean and variance towards it, whether its parameters have a gradient or not. So a frozen part needs
# both: no gradients *and* evaluation mode. `edu.models.freeze` does both, and `edu.fit` leaves what is frozen in evaluation
# mode.

# %%
frozen = edu.models.freeze(edu.models.pretrained("resnet18").model)
edu.models.replace_head(frozen, len(data.classes))
small = replace(data, val=data.val.subset(torch.arange(100)))
history = edu.fit(frozen, small, edu.TrainConfig(epochs=1, batch_size=20, lr=0.01, augment=()))
original = weights.model.state_dict()
changed = [name for name, value in frozen.state_dict().items() if not torch.equal(value, original[name])]
print(
    f"after {history.last.epoch} epoch of fit, {len(changed)} of {len(original)} tensors are not what they were: {changed}"
)
assert changed == ["fc.weight", "fc.bias"], "the frozen backbone keeps its weights and its statistics"

# %% [markdown]
# ### Features once
#
# If the backbone never changes, an image has the same 512 features in every epoch. So compute them once. What remains is a
# linear classifier on a small table of numbers. With a small penalty on large weights it has one best answer, and a solver for such problems finds it at once.

# %%
features = edu.probe.layer_features(frozen, data.train, ["layer4"])["layer4"]
best = edu.probe.linear_head(features, data.train.labels, len(data.classes))
print(f"a table of {tuple(features.shape)} numbers in place of {len(data.train)} images")
frozen.fc = best.to(device)  # the head that was found, put on the net
error = edu.evaluate(frozen, data.val).top1_error
print(f"frozen net, best head, 10 labels a class: {error:.1f} % error on the {len(data.val)} validation images")

# %% [markdown]
# That took about as long as one pass over the images. It is also a poor result: remember it for later.
#
# ## Which layers transfer
#
# The head need not sit on the last layer. Any layer's output is a set of features. Average its map over 2×2 parts, so that a
# little of *where* survives, put the best linear head on it, and measure on the validation images. This is a *linear probe*
# (Alain and Bengio 2016). The same with an untrained net shows what the architecture alone is worth. To be fair, that net too
# gets the running statistics of its batch norms from the training images. In the code, `relu` is the last layer of the stem
# before its pooling.
#
# > **Before you run it:** which serves digits best: the stem, or stage 1, 2, 3 or 4?


# %%
def probe_layers(model: nn.Module, data: edu.data.Data, layers: tuple[str, ...]) -> dict[str, float]:
    """Validation error in percent of the best linear head on each layer."""
    train, val = (edu.probe.layer_features(model, split, layers, places=2) for split in (data.train, data.val))
    errors = {}
    for layer in layers:
        head = edu.probe.linear_head(train[layer], data.train.labels, len(data.classes))
        with torch.inference_mode():
            wrong = head(val[layer]).argmax(dim=1) != data.val.labels
        errors[layer] = 100 * wrong.float().mean().item()
    return errors


# %%
def untrained(data: edu.data.Data, seed: int) -> nn.Module:
    """A ResNet-18 with random weights, whose batch norms know the training images."""
    torch.manual_seed(seed)
    model = edu.models.build("resnet18", num_classes=10).to(edu.machine.device()).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # take the statistics of the next batch as they are
    with torch.no_grad():
        model(data.train.inputs().to(edu.machine.device()))
    return model.eval()


# %%
layers = ("relu", "layer1", "layer2", "layer3", "layer4")
draws = [digits_for(weights, labels=10, seed=seed) for seed in range(profile.choose(quick=3, full=5))]
runs = {
    "trained on photos": [probe_layers(weights.model, draw, layers) for draw in draws],
    "random weights": [probe_layers(untrained(draw, seed), draw, layers) for seed, draw in enumerate(draws)],
}
by_layer = {kind: {layer: [run[layer] for run in each] for layer in layers} for kind, each in runs.items()}
edu.plots.errors_by_layer(by_layer, title="Early features of photos serve digits, late ones do not")

# %%
for kind, errors in by_layer.items():
    print(f"{kind:>18}: " + "   ".join(f"{layer} {mean(values):4.1f} %" for layer, values in errors.items()))
photos, random = by_layer["trained on photos"], by_layer["random weights"]
first_draw = {layer: values[0] for layer, values in photos.items()}
chosen = min(first_draw, key=first_draw.__getitem__)
print(f"chosen on the validation images of the first draw: {chosen}, {first_draw[chosen]:.1f} % error")
assert mean(photos["layer1"]) < mean(photos["layer4"]) - 15, "early features transfer, late ones do not"
assert mean(photos["layer1"]) < mean(random["layer1"]) - 5, "and they have been learned: random ones are worse"
assert mean(random["layer4"]) > mean(random["layer1"]) + 10, "the error of random weights grows with height as well"

# %% [markdown]
# The first layers see little more than edges and spots (lesson 11 shows the filters of the stem), and strokes of a pen have
# edges too. Above stage 1 the error grows, and two reasons are likely. The higher a layer, the more it serves the classes it
# was trained for: stage 4 has learned to tell cats from ships. Yosinski et al. 2014 found this order, from general to
# specific, on ImageNet. And the maps shrink. At 32 pixels stage 4 has a single pixel left, so it cannot say *where* anything
# is. Look at the random net to weigh the two. It has specialised in nothing, and yet its error grows with height as well. So
# the first reason is not the whole story.
#
# The validation images have chosen the layer, so their error is no longer an honest estimate: of five numbers you took the
# lowest. The choice was made on the first draw alone, because draws overlap: a test image of this one may be a
# validation image of the next. So the test images of the first draw have had no part in it. They are used once, now:

# %%
names = [chosen, "layer4"]
on = {split: edu.probe.layer_features(weights.model, getattr(data, split), names, places=2) for split in ("train", "test")}  # fmt: skip
once = {}
for name in names:
    head = edu.probe.linear_head(on["train"][name], data.train.labels, len(data.classes))
    with torch.inference_mode():
        once[name] = 100 * (head(on["test"][name]).argmax(dim=1) != data.test.labels).float().mean().item()
print(" · ".join(f"{name} {error:.1f} % test error" for name, error in once.items()))
assert once[chosen] < once["layer4"] - 10

# %% [markdown]
# ## Fine-tuned against from scratch, live
#
# Now let everything learn. Both nets see the same 100 labelled digits, again and again, until 1,500 images have passed. Both
# are trained with AdamW, an optimizer that gives every weight a step size of its own. Each net has its own learning rate, and
# from scratch it is three times higher. Both rates were picked among five beforehand, in a trial with two seeds that looked
# at test errors. A stricter study would have looked at validation images. The gap you will see is too wide to come from that
# choice.


# %%
def train(model: nn.Module, data: edu.data.Data, lr: float, seed: int) -> float:
    """Test error in percent after 60 steps of 25 images, measured once, at the end."""
    again = data.train.subset(torch.arange(1500) % len(data.train))
    config = edu.TrainConfig(
        epochs=1, batch_size=25, lr=lr, optimizer="adamw", weight_decay=0.01, augment=(), seed=seed
    )
    edu.fit(model, replace(data, train=again), config)
    return edu.evaluate(model, data.test).top1_error


# %%
live = {"from scratch": [], "fine-tuned": []}
for seed in range(profile.choose(quick=1, full=3)):
    digits = digits_for(weights, labels=10, seed=seed)
    torch.manual_seed(seed)
    live["from scratch"].append(train(edu.models.build("resnet18", num_classes=10), digits, 0.003, seed))
    model = edu.models.pretrained("resnet18").model
    edu.models.replace_head(model, 10)
    live["fine-tuned"].append(train(model, digits, 0.001, seed))
print(" · ".join(f"{method} {mean(errors):.1f} % test error" for method, errors in live.items()))
assert mean(live["fine-tuned"]) < mean(live["from scratch"]), "the trained start wins, here with one draw"

# %% [markdown]
# ## From 5 to 100 labels a class, recorded
#
# The live run was one draw of digits. Here are four methods at five numbers of labels, with five draws each. A draw has its
# own labelled digits, test digits and initial weights. They were recorded with the bundled weights
# (`resnet-edu study mnist5k-transfer`). "Frozen" is the best head on the last stage, "frozen, stage 1" the best head on the
# first, as in the probe above. From 50 labels on, the nets that train saw more images, 3,000 at 50 labels and 4,000 at 100,
# so that none is short of steps.

# %%
study = edu.study.load_study("mnist5k-transfer")
edu.plots.transfer_curves(study, title="Fine-tuning halves the error of training from scratch")

# %%
methods, labels = ("from scratch", "frozen", "frozen, stage 1", "fine-tuned"), (5, 10, 20, 50, 100)
errors = {
    method: {count: study.found(f"{method}, {count} labels", "test_error") for count in labels} for method in methods
}
curves = {method: {count: mean(runs) for count, runs in by_count.items()} for method, by_count in errors.items()}
print("labels a class   " + "".join(f"{count:>8}" for count in labels))
for method, curve in curves.items():
    print(f"{method:>15}  " + "".join(f"{error:6.1f} %" for error in curve.values()))
assert len(study.seeds) == 5

# %%
for low, high in zip(errors["fine-tuned"][10], errors["from scratch"][10], strict=True):
    assert low < high - 5, "at 10 labels the fine-tuned net wins by a wide margin, in each of five draws"
assert all(curves["frozen"][count] > curves["from scratch"][count] + 5 for count in labels), "frozen is the worst"
assert all(curves["fine-tuned"][count] < 0.7 * curves["from scratch"][count] for count in labels), "about half"
for method in methods:
    print(f"10 labels, draw by draw: {method:>15} {[round(error, 1) for error in errors[method][10]]}")

# %% [markdown]
# Three things to read from it.
#
# **Fine-tuning wins.** It makes about half the errors of the net from scratch, at every number of labels. In points of error
# the gap is wide with few labels and narrow with many, since a net with enough of them finds useful features by itself.
#
# **Frozen photo features are worse than no pretraining.** The net from scratch beats the whole frozen backbone at every
# number of labels. Three causes are likely, and nothing here tells them apart. One is the *domain gap*: what tells a cat from
# a ship need not tell a 3 from an 8. The second is the single pixel of stage 4. The third is the recipe. The bundled weights
# were trained with *label smoothing*: the net is asked to give the right class a little less than 100 % and to spread the
# rest over all classes. Kornblith et al. 2018 found that regularisation of this kind makes the last features worse for other
# tasks.
#
# **Frozen is not hopeless.** Cut off above stage 1, the same frozen weights do as well as the fine-tuned net up to 50 labels
# a class. (In the figure its line lies under the blue one.) With 100, fine-tuning pulls ahead.
#
# ### Explore: labels × method

# %% tags=["explorer"]
edu.widgets.transfer_explorer(study)

# %% [markdown]
# Where widgets do not run, here are all 100 runs.

# %%
edu.plots.transfer_grid(study)

# %% [markdown]
# ## When does freezing win?
#
# Compare what each method costs: the seconds of training at ten labels a class, as recorded. (The machine was busy. Look at
# the ratios and not at the seconds.) For a frozen method that is one pass over the labelled images, and the solver.

# %%
seconds = {method: mean(study.found(f"{method}, 10 labels", "seconds")) for method in methods}
for method, value in seconds.items():
    print(f"{method:>15}: {value:6.2f} s for {curves[method][10]:4.1f} % error")
assert max(seconds["frozen"], seconds["frozen, stage 1"]) < seconds["fine-tuned"] / 5
for count in labels:
    assert curves["frozen, stage 1"][count] < 0.8 * curves["from scratch"][count], "frozen early features beat none"
assert all(abs(curves["frozen, stage 1"][count] - curves["fine-tuned"][count]) < 1 for count in (5, 10, 20, 50))
assert curves["frozen, stage 1"][100] > curves["fine-tuned"][100] + 0.3, "with 100 labels fine-tuning pulls ahead"

# %% [markdown]
# Freezing wins on time by far. On error it can keep up where the features fit the task, as those of stage 1 do here: up to 50
# labels they are as good as fine-tuning, for a fraction of the time. For the *whole* backbone to win, your images would have
# to be near those it was trained on: photos of objects, for instance. No labelled set of such photos comes with this course,
# so that case is not shown here.
#
# You can test it on photos of your own. A folder of pictures is one line away:
# `edu.data.load("~/photos", size=64, channels=3)`. Here is such a folder, made of small crops of seven photos. A class is a
# photo. Its left half is for training, its right half for testing. The features are those of stage 2. Nothing has
# chosen it: it lies between the early layers and the late ones. Try another.


# %%
def write_crops(folder: Path, *, count: int, side: int = 64) -> None:
    """`train/PHOTO/*.png` from the left halves of the photos, `test/PHOTO/*.png` from the right halves."""
    generator = torch.Generator().manual_seed(0)
    for name in ("astronaut", "cat", "coffee", "rocket", "temple", "flower", "grace_hopper"):
        photo = Image.open(edu.data.photo(name)).convert("RGB")
        for part, first in (("train", 0), ("test", photo.width // 2)):
            (folder / part / name).mkdir(parents=True)
            for index in range(count):
                x = first + int(torch.randint(photo.width // 2 - side, (), generator=generator))
                y = int(torch.randint(photo.height - side, (), generator=generator))
                photo.crop((x, y, x + side, y + side)).save(folder / part / name / f"{index}.png")


# %%
with TemporaryDirectory() as folder:
    write_crops(Path(folder), count=20)
    crops = edu.data.load(folder, size=64, channels=3)
print(crops.source.replace(folder, "…"))
shift, spread = edu.models.normalisation(weights.transforms)
known = {part: replace(getattr(crops, part), mean=shift, std=spread) for part in ("train", "test")}
parts = {part: edu.probe.layer_features(weights.model, split, ["layer2"]) for part, split in known.items()}
head = edu.probe.linear_head(parts["train"]["layer2"], crops.train.labels, len(crops.classes))
with torch.inference_mode():
    right = head(parts["test"]["layer2"]).argmax(dim=1) == crops.test.labels
print(f"{len(crops.train)} crops to learn from: {100 * right.float().mean():.0f} % right; guessing: {100 / 7:.0f} %")
assert right.float().mean() > 2 / 7

# %% [markdown]
# ## Two learning rates
#
# The head is new and knows nothing. The backbone is good already. So a common recipe gives the backbone a lower rate. Howard
# and Ruder 2018, who give each layer a rate of its own, call this *discriminative fine-tuning*. In PyTorch each **parameter
# group** of an optimizer has its own options (exercise 10.3). In `edu.TrainConfig` it is `backbone_lr`. Does it help here?

# %%
recorded = {
    "0.001 for all": errors["fine-tuned"][10],
    "head 0.01, backbone 0.001": study.found("fine-tuned at 0.01 and 0.001, 10 labels", "test_error"),
    "head 0.001, backbone 0.0001": study.found("fine-tuned at 0.001 and 0.0001, 10 labels", "test_error"),
}
for rates, runs in recorded.items():
    print(f"{rates:>28}: {mean(runs):4.1f} %   {[round(error, 1) for error in runs]}")
assert all(mean(recorded["0.001 for all"]) < mean(runs) - 2 for runs in list(recorded.values())[1:])

# %% [markdown]
# Not here. Of the three settings, one rate for everything gives the lowest error. (It has a small advantage: it was picked
# among five at this very number of labels.) In the last row the backbone is ten times slower. Digits are far from photos, so
# it probably has a long way to go, and 60 steps are too few for a slow one. In the second row the backbone has the good rate,
# and only the head is faster. That did not help either. Where the new task is near the old one, the backbone has less far to
# go, and a low rate may pay. Treat the ratio of the two rates as one more number to choose on validation images.
#
# ## Exercises
#
# Each exercise needs nothing but the set-up cell at the top.
#
# ### Exercise 10.1 · A new head
#
# **Difficulty** ●○○○○ · **5 minutes**
#
# Give a trained net a head for `num_classes` other classes and return the net. Its last layer is called `fc`. Nothing else
# changes, and nothing is frozen. Beware: the nets of the check have other numbers of features than 512.
#
# <details><summary>Hint 1</summary>
#
# A module is replaced by assigning another one to its name.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The old layer knows how many features it takes: `model.fc.in_features`.
#
# </details>


# %% tags=["exercise"]
def new_head(model: nn.Module, num_classes: int) -> nn.Module:
    """The net with an untrained linear layer for `num_classes` classes as `fc`."""
    ### BEGIN SOLUTION
    model.fc = nn.Linear(model.fc.in_features, num_classes)
    return model
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_new_head(new_head)

# %% [markdown]
# ### Exercise 10.2 · Freeze properly
#
# **Difficulty** ●●●○○ · **8 minutes**
#
# Freeze all of a net but its head `fc`, and return the net. The check then trains it for five steps, in the mode in which you
# leave it, with weight decay, which pulls every weight it may change a little towards 0. Then it looks at every weight and
# every buffer, such as a running mean. Only `fc` may have moved.
#
# <details><summary>Hint 1</summary>
#
# First stop all gradients, then allow those of `model.fc` again.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# What else moved when the ten batches of digits had passed?
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `fc` itself does the same in training and in evaluation mode, so the whole net may be in evaluation mode.
#
# </details>


# %% tags=["exercise"]
def freeze_backbone(model: nn.Module) -> nn.Module:
    """The net, of which training can change nothing but `fc`."""
    ### BEGIN SOLUTION
    model.requires_grad_(False)
    model.fc.requires_grad_(True)
    return model.eval()
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_freeze_backbone(freeze_backbone)

# %% [markdown]
# ### Exercise 10.3 · Parameter groups
#
# **Difficulty** ●●●○○ · **10 minutes**
#
# Return a list of parameter groups for an optimizer, that is, dicts with `"params"` and `"lr"`, so that `fc` learns at
# `head_lr` and all else at `backbone_lr`. Leave frozen parameters out. Beware: in one of the nets another layer has `fc` in
# its name.
#
# <details><summary>Hint 1</summary>
#
# `model.named_parameters()` gives names such as `layer1.0.conv1.weight` and `fc.bias`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The names of the head's parameters *start* with `fc.`
#
# </details>


# %% tags=["exercise"]
def parameter_groups(model: nn.Module, head_lr: float, backbone_lr: float) -> list[dict]:
    """Groups for `torch.optim`: the head at one rate, the backbone at another."""
    ### BEGIN SOLUTION
    head, backbone = [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (head if name.startswith("fc.") else backbone).append(parameter)
    return [{"params": head, "lr": head_lr}, {"params": backbone, "lr": backbone_lr}]
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_parameter_groups(parameter_groups)

# %% [markdown]
# ### Exercise 10.4 · Read the learning curve
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# A learning curve is a dict from the number of labels a class to the error in percent, in any order. Return the smallest
# number of labels whose error is at most `error`, or `float("inf")` if no point is that low.
#
# <details><summary>Hint 1</summary>
#
# Collect the numbers of labels that are enough, then take the smallest.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `min(numbers, default=…)` has an answer for an empty list too.
#
# </details>


# %% tags=["exercise"]
def labels_needed(curve: dict[int, float], error: float) -> float:
    """The smallest number of labels a class at which the error is at most `error` percent."""
    ### BEGIN SOLUTION
    return min((labels for labels, measured in curve.items() if measured <= error), default=float("inf"))
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_labels_needed(labels_needed)

# %% [markdown]
# That is the way to price a label. How many labels does each method need to be as good as the fine-tuned net with ten?

# %%
goal, never = curves["fine-tuned"][10], float("inf")
needed = {}
for method, curve in curves.items():
    needed[method] = min((count for count, error in curve.items() if error <= goal), default=never)
    words = f"{needed[method]} labels a class" if needed[method] < never else "more than 100 labels a class"
    print(f"{method:>15}: {words} for an error of {goal:.1f} % or less")
assert needed["from scratch"] >= 2 * needed["fine-tuned"]
assert needed["frozen"] == never

# %% [markdown]
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "Freezing means `requires_grad = False`." | Ten batches in training mode, then the running statistics | **Wrong.** The statistics move; the backbone must be in evaluation mode as well. |
# | "With few labels, start from pretrained weights." | Fine-tuned against from scratch at ten labels, five draws | **Right**, even from photos to digits: about half the errors. |
# | "Pretrained features are never worse than none." | The frozen backbone against training from scratch | **Wrong.** Across this domain gap it loses at every number of labels. |
# | "The last layer has the best features." | A linear head on each of five layers | **Wrong** for a task this far away: stage 1 makes less than half the errors of stage 4. |
# | "The backbone needs a ten times lower rate than the head." | Three pairs of rates, five draws each | **Not here.** One rate for all gave the lowest error; the ratio is a number to choose, not a law. |

# %%
assert same
assert (moved - 1).abs().max() > 0.1
assert all(low < high for low, high in zip(errors["fine-tuned"][10], errors["from scratch"][10], strict=True))
assert all(curves["frozen"][count] > curves["from scratch"][count] for count in labels)
assert mean(photos["layer1"]) < mean(photos["layer4"]) / 2
assert all(mean(recorded["0.001 for all"]) < mean(runs) for name, runs in recorded.items() if name != "0.001 for all")
print("All five verdicts hold.")

# %% [markdown]
# ## Summary
#
# * Weights come with transforms and categories. Use their normalisation, and put a head of your own on the backbone.
# * Frozen means no gradients and evaluation mode. Then the features are computed once, and the head is found in a second.
# * With few labels a fine-tuned net makes about half the errors of one from scratch, even from photos to digits.
# * Early layers transfer far, late layers only near. Across a domain gap a frozen backbone can be worse than none: cut it
#   earlier, or fine-tune.
# * Choose layers and rates on validation images, and use the test images once.
#
# ## Sources
#
# * J. Yosinski, J. Clune, Y. Bengio, H. Lipson: How transferable are features in deep neural networks?, 2014,
#   [arXiv 1411.1792](https://arxiv.org/abs/1411.1792)
# * S. Kornblith, J. Shlens, Q. V. Le: Do better ImageNet models transfer better?, 2018, [arXiv 1805.08974](https://arxiv.org/abs/1805.08974)
# * G. Alain, Y. Bengio: Understanding intermediate layers using linear classifier probes, 2016,
#   [arXiv 1610.01644](https://arxiv.org/abs/1610.01644)
# * J. Howard, S. Ruder: Universal language model fine-tuning for text classification, 2018, [arXiv 1801.06146](https://arxiv.org/abs/1801.06146)
# * Torchvision's [models and pretrained weights](https://docs.pytorch.org/vision/stable/models.html)
#
# ## Next lesson
#
# 11 · Looking inside: what a trained net looks at, and how far such pictures can be trusted.
