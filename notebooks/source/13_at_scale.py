# %% [markdown]
# # 13 · At scale: several processes, long runs, fast steps
#
# The small nets of this course train within seconds or minutes. ResNet-50 on ImageNet doesn't. This lesson shows what
# changes when training gets large: several processes share the work, a run has to survive a crash, and every step is
# worth measuring. Everything here runs at small scale.
#
# After this lesson you can
#
# * write a training script for several processes in plain PyTorch, with `DistributedDataParallel` and
#   `DistributedSampler`, and say when the result is the same as with one process;
# * choose a learning rate for a large batch, and get a large batch out of little memory;
# * stop and resume a run without changing its result;
# * measure what precision and memory format change, find where the time goes, and estimate what a training run will
#   cost.
#
# **Minutes:** 35 reading, 25 more for the exercises · 1 running quick · 3 running full

# %% tags=["setup"]
import os
import time
from collections.abc import Iterator, Sequence
from statistics import median

os.environ["KINETO_LOG_LEVEL"] = "99"  # the profiler reports its own doings to the terminal otherwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import resnet_edu as edu
from resnet_edu import facts
from resnet_edu.checkpoint import Checkpoint

profile = edu.profile()
data = edu.data.load("mnist5k", size=32, limit=2000)
print(edu.setup(seed=0))
print(f"data       {data.source}")

# %% [markdown]
# ## One batch, several processes
#
# In *data parallel* training, every process holds the whole network and takes its share of every batch. It computes
# the gradient of the mean loss over that share. Then the processes average their gradients and all take the same step.
# So the weights stay equal, and only gradients have to travel (and batch norm's running averages, if there are any).
#
# Why is the average right? A mean over 64 images is the mean of the means over 32 and 32, and the gradient of a mean
# is the mean of the gradients. Let's do it by hand, with LeNet-5 and without a second process:


# %%
def gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Gradient of the mean loss with respect to all weights, in one row."""
    loss = F.cross_entropy(model(images), labels)
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(model.parameters()))])


torch.manual_seed(0)
lenet = edu.models.build("lenet5", in_channels=1)
images, labels = data.train.inputs(slice(64)), data.train.labels[:64]
whole = gradient(lenet, images, labels)
halves = [gradient(lenet, images[i::2], labels[i::2]) for i in range(2)]
error = (sum(halves) / 2 - whole).norm() / whole.norm()
print(f"two halves averaged, against the whole batch: they differ by {error:.0e} of the gradient's length")
assert error < 1e-5, "equal but for rounding"

# %% [markdown]
# This needs equal shares. With 48 and 16 images, the plain mean counts an image of the small share three times as much
# as one of the large share. If you weight by the number of images, it's right again:

# %%
uneven = [gradient(lenet, images[:48], labels[:48]), gradient(lenet, images[48:], labels[48:])]
plain_mean, weighted = sum(uneven) / 2, 0.75 * uneven[0] + 0.25 * uneven[1]
errors = [((each - whole).norm() / whole.norm()).item() for each in (plain_mean, weighted)]
print(f"48 + 16 images: plain mean off by {errors[0]:.2f}, weighted by images off by {errors[1]:.0e}")
assert errors[0] > 0.01 > 1e-5 > errors[1]

# %% [markdown]
# `DistributedDataParallel` takes the plain mean. So give every process the same number of images. (If a data set can't
# be dealt out evenly, the sampler below repeats a few images.)
#
# ### Exercise 13.1 · Average the gradients
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# `gradients[process][parameter]` is a tensor: the gradient of the mean loss over the `sizes[process]` images of that
# process. Return a list with one tensor for each parameter: the gradient of the mean loss over all images. The shares
# need not be equal. Don't change the tensors you're given.
#
# <details><summary>Hint 1</summary>
#
# The weight of a process is `size / sum(sizes)`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `zip(*gradients)` goes through the parameters and gives, for each, its gradients in all processes.
#
# </details>


# %% tags=["exercise"]
def average_gradients(gradients: Sequence[Sequence[Tensor]], sizes: Sequence[int]) -> list[Tensor]:
    """The gradient of the whole batch, parameter by parameter."""
    ### BEGIN SOLUTION
    weights = [size / sum(sizes) for size in sizes]
    return [
        torch.stack([w * g for w, g in zip(weights, same, strict=True)]).sum(dim=0)
        for same in zip(*gradients, strict=True)
    ]
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_average_gradients(average_gradients)

# %% [markdown]
# ### The same sum, one after the other: gradient accumulation
#
# What several processes do at once, a single one can do in turns, because `backward()` *adds* to `.grad`. So if a
# batch doesn't fit into memory, send it through in parts, divide each part's loss by the number of parts, and step
# only after the last one:

# %%
parts = 4
lenet.zero_grad()
for part in range(parts):
    loss = F.cross_entropy(lenet(images[part::parts]), labels[part::parts])
    (loss / parts).backward()  # adds to .grad; no zero_grad in between
accumulated = torch.cat([parameter.grad.flatten() for parameter in lenet.parameters()])
lenet.zero_grad()
error = ((accumulated - whole).norm() / whole.norm()).item()
print(f"4 parts of 16 images, accumulated: {error:.0e} of the gradient's length away from the whole batch")
assert error < 1e-5, "one large batch, with the memory of a small one"

# %% [markdown]
# You pay with time. And a larger batch means fewer steps per epoch, which the learning rate has to make up for, as
# you'll see below.
#
# ### Batch norm breaks the sum
#
# All this needs a loss that is a mean over images, with each image computed by itself. Batch norm mixes the images: it
# subtracts the mean of the batch and divides by its standard deviation. A process sees only the statistics of its own
# share. Here is what arrives at the first batch norm of an untrained ResNet-20 in two halves of one batch. Then we
# compare the gradients. As a control, the same net also runs in evaluation mode, where batch norm uses its stored
# averages instead of the batch's own.

# %%
torch.manual_seed(0)
resnet = edu.models.build("resnet20", in_channels=1, width=8)
small = F.avg_pool2d(images, 2)  # (64, 1, 16, 16), to be quick
with torch.no_grad():
    before = resnet.conv1(small)  # (64, 8, 16, 16)
shares = {"all 64": before, "first 32": before[:32], "last 32": before[32:]}
rows = [[name, *part.mean(dim=(0, 2, 3))[:5].tolist()] for name, part in shares.items()]
assert abs(rows[1][1] - rows[2][1]) > 1e-3, "each half has a mean of its own"
edu.table(rows, ["images", *(f"mean of channel {n}" for n in range(1, 6))])


# %%
def error_when_split(model: nn.Module, images: Tensor, labels: Tensor, processes: int) -> float:
    """How far the mean of the shares' gradients is from the whole batch's, relative to its length."""
    whole = gradient(model, images, labels)
    shares = zip(images.chunk(processes), labels.chunk(processes), strict=True)
    mean = torch.stack([gradient(model, *share) for share in shares]).mean(dim=0)
    return ((mean - whole).norm() / whole.norm()).item()


# %%
counts = (2, 4, 8, 16, 32)
errors = {
    "LeNet-5, no batch norm": [error_when_split(lenet, images, labels, n) for n in counts],
    "ResNet-20": [error_when_split(resnet.train(), small, labels, n) for n in counts],
    "ResNet-20, fixed statistics": [error_when_split(resnet.eval(), small, labels, n) for n in counts],
}
edu.plots.lines(
    errors,
    title="With batch norm, the split changes the gradient",
    x="images per process",
    y="error of the gradient (1 = its length)",
    ticks=[str(64 // n) for n in counts],
    log=True,
)

# %%
assert max(errors["LeNet-5, no batch norm"]) < 1e-5
assert max(errors["ResNet-20, fixed statistics"]) < 1e-4, "it is the statistics, and nothing else"
assert min(errors["ResNet-20"]) > 0.05, "not a matter of rounding"
assert errors["ResNet-20"][-1] > errors["ResNet-20"][0], "two images say less about a batch than 32"
edu.table([[name, *(f"{value:.1e}" for value in values)] for name, values in errors.items()],
          ["error of the gradient, images per process", *(str(64 // n) for n in counts)])  # fmt: skip

# %% [markdown]
# This isn't a bug, and it holds for accumulated gradients too. A ResNet on several processes has a different loss, in
# which each image is normalised together with those of its own process. (Dropout differs as well: every process draws
# its own masks.) Evaluation uses the running averages of rank 0, the first process, which `DistributedDataParallel`
# copies to the others.
#
# The figure shows just one batch and an untrained net. A net can train well all the same, as long as each process has
# enough images: Goyal et al. 2017 gave 32 to each of their 256 GPUs and kept the accuracy of small batches. Where
# memory has room for only a few, in detection for example, `nn.SyncBatchNorm` computes the statistics over all
# processes, at the price of messages in every such layer (on GPUs and other accelerators only).
#
# ## The same training with two real processes
#
# Let's write a training script for several processes, in plain PyTorch. `torchrun` (or
# `python -m torch.distributed.run`, which is the same) starts the processes and tells each of them its number, its
# *rank*, through the environment. It starts scripts and not notebook cells, so ours goes into a file. First comes the
# net, a small relative of LeNet-5 without batch norm and dropout, so two processes should give what one gives.

# %%
import subprocess
import sys
import tempfile
from pathlib import Path

folder = tempfile.TemporaryDirectory()
print("The scripts of this lesson go into a temporary folder.")

# %%
NETWORK = """
import sys
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

def network():
    torch.manual_seed(0)  # the same first weights in every process
    convolutions = [nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(400, 84), nn.ReLU(), nn.Linear(84, 10))
"""
print(NETWORK)

# %% [markdown]
# Next comes the set-up. `init_process_group` makes the processes find each other. Messages travel through a library:
# NCCL between GPUs, gloo between CPUs. The `DistributedSampler` deals out the images: it shuffles them with a random
# seed that all processes share, and rank 0 takes the first, rank 1 the second, rank 0 the third, and so on.

# %%
SETUP = """
def main(data_file, losses_file, epochs=6, batch=50):
    dist.init_process_group("gloo")  # "nccl" on GPUs
    rank, processes = dist.get_rank(), dist.get_world_size()
    dataset = TensorDataset(*torch.load(data_file))
    sampler = DistributedSampler(dataset, seed=0)
    loader = DataLoader(dataset, batch // processes, sampler=sampler)
    model = DistributedDataParallel(network())  # averages the gradients during backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-4)
    losses = []
"""
print(SETUP)

# %% [markdown]
# The loop is that of lesson 01 with two new lines: `sampler.set_epoch` changes the shuffling seed, and `all_reduce`
# adds up the losses, since each process has seen only its own.

# %%
LOOP = """
    for epoch in range(epochs):
        sampler.set_epoch(epoch)  # without this line every epoch has the same order
        total = torch.zeros(1)
        for images, labels in loader:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()  # here the processes wait for each other
            optimizer.step()
            total += loss.detach() * len(labels)
        dist.all_reduce(total)
        losses.append(total.item() / len(dataset))
    if rank == 0:  # one process writes
        torch.save(losses, losses_file)
"""

# %%
START = """
if __name__ == "__main__":
    main(*sys.argv[1:])
    dist.destroy_process_group()
"""
script = NETWORK + SETUP + LOOP + START
Path(folder.name, "plain.py").write_text(script, encoding="utf-8")
print(LOOP + START)

# %% [markdown]
# > **Before you run it:** two processes, each with 25 images of every batch of 50. In which digit will their losses
# > differ from those of one process?

# %%
subset = edu.data.load("mnist5k", size=32, limit=1000)
torch.save((subset.train.inputs(), subset.train.labels), f"{folder.name}/digits.pt")
gloo = torch.distributed.is_available() and torch.distributed.is_gloo_available()
if gloo:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    line = [*start, f"{folder.name}/plain.py", f"{folder.name}/digits.pt", f"{folder.name}/losses.pt"]
    done = subprocess.run(line, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
print(" ".join(Path(word).name for word in line) if gloo else "This torch has no gloo: two processes are left out.")

# %% [markdown]
# Now the same training with `edu.fit`, in this notebook. The sampler shuffles epoch $e$ with the seed `0 + e`. So hand
# `edu.fit` one epoch at a time, with that seed. (There's no momentum, because `edu.fit` would forget it in between.)

# %%
os.environ["RESNET_EDU_DEVICE"] = "cpu"  # two processes cannot share one GPU, and this has to run everywhere
sys.path.insert(0, folder.name)
from plain import network as plain_network  # the net of the script

model, ours = plain_network(), []
for epoch in range(6):
    options = {"batch_size": 50, "lr": 0.1, "momentum": 0.0, "schedule": "constant", "augment": ()}
    config = edu.TrainConfig(epochs=1, seed=epoch, precision="float32", channels_last=False, **options)
    ours.append(edu.fit(model, subset, config).last.train_loss)
losses = {"one process, edu.fit": ours}
if gloo:
    losses["two processes, plain PyTorch"] = torch.load(f"{folder.name}/losses.pt")
edu.plots.lines(losses, title="Two processes get the same losses as one", x="epoch", y="training loss", first=1)

# %%
apart = max(abs(a - b) for values in losses.values() for a, b in zip(values, ours, strict=True))
assert apart < 1e-3, "the same losses, by edu.fit in one process and by the script in two"
assert ours[-1] < ours[0] / 2, "and it has learned something"
edu.table([[name, *(f"{loss:.6f}" for loss in values)] for name, values in losses.items()],
          ["training loss after epoch", *"123456"])  # fmt: skip

# %% [markdown]
# The curves lie on top of each other. What's left is rounding, the same sum in another order. In our run it's in the
# seventh digit after the first epoch, and it can grow as training goes on.
#
# Two classic mistakes wouldn't raise an error. If you leave out the sampler, every process trains on *all* images. And
# if you leave out `set_epoch`, the order never changes. Look at what the sampler deals out:

# %%
from torch.utils.data import DistributedSampler

rows = []
for rank in (0, 1):
    sampler = DistributedSampler(range(12), num_replicas=2, rank=rank, seed=0)
    first, again = list(sampler), list(sampler)
    sampler.set_epoch(1)
    rows.append([rank, *(", ".join(map(str, order)) for order in (first, again, sampler))])
    assert first == again != list(sampler), "only set_epoch changes the order"
edu.table(rows, ["rank", "first epoch", "second, without set_epoch", "second, with set_epoch(1)"])

# %% [markdown]
# And the time? Starting the processes takes seconds, and at every step they wait for the slowest, so a net as small as
# this one is the wrong place to look for a gain. At the end you'll see what Goyal et al. report for a large net.
#
# `edu.fit` does the same inside, so the command of lesson 12 can train in several processes too. On GPUs,
# `--nproc-per-node` is the number of GPUs. The batch size in the config is that of all processes together:
#
# `torchrun --nproc-per-node=2 -m resnet_edu train --data DIR --out RUN`
#
# ## A larger batch, a larger learning rate
#
# More processes only help if each has enough to do, so the batch grows with them. A batch $k$ times as large means $k$
# times fewer steps per epoch. The *linear scaling rule* of Goyal et al. 2017 makes up for that: multiply the learning
# rate by $k$. Here's the reasoning. Let $w_0$ be the weights now, $\eta$ the learning rate, and $g_j(w)$ the gradient
# on the $j$-th small batch at the weights $w$. Then $k$ steps with small batches lead to
#
# $$w_k = w_0 - \eta\,(g_0(w_0) + g_1(w_1) + \dots + g_{k-1}(w_{k-1})).$$
#
# Now take the $k$ small batches as a single large one. Its gradient is the mean of theirs, all taken at $w_0$. So the
# $k$ cancels, and one step with the rate $k\eta$ leads to
#
# $$w_0 - \eta\,(g_0(w_0) + g_1(w_0) + \dots + g_{k-1}(w_0)).$$
#
# The two results differ only in the weights at which the gradients are taken. They are close if the gradients hardly
# change on the way from $w_0$ to $w_k$. At the beginning of training they change fast, so the paper starts with the
# small rate and raises it linearly over the first epochs: the *warm-up*.

# %%
k = facts.GOYAL_BATCH.value / facts.HE_IMAGENET_BATCH.value
rows = [
    ["He et al. 2015", facts.HE_IMAGENET_BATCH.value, facts.HE_IMAGENET_RATE.value, None],
    ["Goyal et al. 2017", facts.GOYAL_BATCH.value, k * facts.HE_IMAGENET_RATE.value, str(facts.GOYAL_WARMUP)],
]
edu.table(rows, ["ImageNet", "images per batch", "learning rate", "warm-up"])

# %% [markdown]
# Let's test the rule with LeNet-5 on 2,000 digits, with batches of 32 and of 256, so $k = 8$. Six epochs are 378 steps
# with the small batch and 48 with the large one. Both get the same five rates, and we compare each at its best. (The
# loss is the mean over the sixth epoch, so a net that is still improving looks a little worse than it is.)
#
# > **Before you run it:** suppose 0.01 is a good rate for batches of 32. Which is best for batches of 256: 0.01, or
# > √8, 4, 8 or 16 times as much? And will the large batch then do as well as the small one?


# %%
def final_loss(data: edu.data.Data, batch: int, rate: float, warmup: float = 0) -> float:
    """Training loss of LeNet-5 after six epochs at a constant rate."""
    options = {"schedule": "constant", "augment": (), "precision": "float32", "warmup_epochs": warmup}
    torch.manual_seed(0)
    model = edu.models.build("lenet5", in_channels=1)
    return edu.fit(model, data, edu.TrainConfig(batch_size=batch, lr=rate, **options)).last.train_loss


# %%
factors = {"×1": 1, "×√8": 8**0.5, "×4": 4, "×8": 8, "×16": 16}
finals = {}
for batch in (32, 256):
    finals[f"batches of {batch}"] = [final_loss(data, batch, 0.01 * factor) for factor in factors.values()]
edu.plots.lines(
    finals,
    title="The larger batch wants a larger rate",
    x="learning rate, in multiples of 0.01",
    y="training loss after 6 epochs",
    ticks=list(factors),
    limits=(0, 2.4),
)

# %%
best = {name: list(factors)[values.index(min(values))] for name, values in finals.items()}
small, large = finals.values()
assert large[0] > 3 * large[3], "with the rate left alone, the large batch does not get far"
assert factors[best["batches of 256"]] > factors[best["batches of 32"]], "its best rate is the higher one"
assert min(large) > min(small), "each at the best rate tried, the large batch stays behind"
warmed = final_loss(data, 256, 0.08, warmup=2)
rows = [[name, best[name], f"{min(values):.3f}"] for name, values in finals.items()]
rows.append(["batches of 256, two epochs of warm-up", "×8", f"{warmed:.3f}"])
edu.table(rows, ["", "best rate", "training loss"])

# %% [markdown]
# With the rate left at 0.01, the large batch hardly gets going: it takes 48 steps instead of 378, and its steps are no
# larger. At ×8, which is what the rule says, it's far better, so the rule is a good first guess. But ×16, the highest
# rate here, is better still. And 0.01 wasn't the best rate of the small batch either: that's ×8. A rule that says how a
# good rate changes can't tell you whether you start from one.
#
# Then does it hold from best to best? We doubled the rate up to ×128, with five seeds. The small batch did best at ×8,
# in one of the five at ×4; the large one at ×64, in that one at ×32. **Eight times as much each time**, as the rule
# says.
#
# Each at its best rate, the large batch stays behind. Up to ×64 the gap narrows, to losses of 0.09 to 0.11 against
# 0.05 to 0.08, but with each of the five seeds it remains. The warm-up brings nothing here, where nothing goes wrong
# without it; with each of those seeds, at ×8, ×16 and ×32, the loss was higher with it. It's insurance for large $k$.
# On ImageNet the rule held up to 8,192 images (Goyal et al. 2017).
#
# ### Exercise 13.2 · Scale the learning rate
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# The base rate is 0.1 for a batch of 256 images. Return the rate of one step; steps are counted from 0. It starts at
# the base rate, rises by the same amount at each step, reaches the final rate of the linear rule at step
# `warmup_steps`, and stays there. (For a batch smaller than 256 it falls in the same way.) With `warmup_steps=0` it's
# the final rate from the first step on.
#
# <details><summary>Hint 1</summary>
#
# The final rate is `0.1 * batch_size / 256`. Return it right away if the warm-up is over.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Before that: base + (final − base) · share, and the share is `step / warmup_steps`.
#
# </details>


# %% tags=["exercise"]
def scaled_rate(step: int, batch_size: int, warmup_steps: int) -> float:
    """The learning rate of a step: linear scaling rule with gradual warm-up."""
    base = 0.1  # for 256 images
    ### BEGIN SOLUTION
    final = base * batch_size / 256
    if step >= warmup_steps:
        return final
    return base + (final - base) * step / warmup_steps
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_scaled_rate(scaled_rate)

# %% [markdown]
# ## A run that is killed
#
# Long runs end early: a machine restarts, your time on a shared machine is up, a process runs out of memory. So
# `edu.fit` can write a *checkpoint* after each epoch, the whole state of the run, into a new file that then replaces
# the old one. Whenever the process dies, the last finished epoch is there, complete. Here is a script that trains this
# way.

# %%
import json

SCRIPT = """
import json, pathlib, sys, time
import resnet_edu as edu
from resnet_edu.checkpoint import Checkpoint

config = edu.TrainConfig.from_dict(json.loads(sys.argv[2]))
edu.machine.seed_everything(config.seed)
model, data = edu.models.build("lenet5", in_channels=1), edu.data.load("mnist5k", size=32, limit=1000)
checkpoint = Checkpoint(pathlib.Path(sys.argv[1]), config)
edu.fit(model, data, config, checkpoint=checkpoint, callbacks=[lambda *_: time.sleep(0.3)])  # time to kill it
"""
print(f"{Path(folder.name, 'train.py').write_text(SCRIPT, encoding='utf-8')} characters written")


# %%
def train_here(file: Path, config: edu.TrainConfig) -> edu.History:
    """What the script does, in this process; goes on from the file if there is one."""
    edu.machine.seed_everything(config.seed)
    model = edu.models.build("lenet5", in_channels=1)
    data = edu.data.load("mnist5k", size=32, limit=1000)
    return edu.fit(model, data, config, checkpoint=Checkpoint(file, config))


config = edu.TrainConfig(epochs=8, batch_size=50, lr=0.02, augment=(), precision="float32")
alone = train_here(Path(folder.name, "alone.safetensors"), config)
print(f"never stopped: training loss {alone.last.train_loss:.8f} after {len(alone)} epochs")

# %% [markdown]
# Start the script, wait for its fourth epoch, let it run on for a random moment, and kill it. On Linux and macOS
# `kill()` sends signal 9, which a process can't catch.

# %%
import random

killed = Checkpoint(Path(folder.name, "killed.safetensors"), config)
line = [sys.executable, f"{folder.name}/train.py", str(killed.path), json.dumps(config.to_dict())]
surroundings = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads()), "RESNET_EDU_QUIET": "1"}
process = subprocess.Popen(line, env=surroundings)
while process.poll() is None and len(killed.history()) < 4:
    time.sleep(0.02)
time.sleep(0.5 * random.random())
process.kill()
print(f"ended with code {process.wait()} after {len(killed.history())} of {config.epochs} epochs")
assert 4 <= len(killed.history()) < config.epochs

# %% [markdown]
# What is in the file? Besides the weights there's the momentum, a sum of past gradients in which older ones count
# less, and the state of the random generator, which decides the order of the images in all epochs to come.

# %%
from safetensors.torch import load_file, safe_open, save_file

with safe_open(killed.path, "pt") as file:
    header = file.metadata()
saved = load_file(killed.path)
rows = []
for kind in ("model", "optimizer", "random"):
    tensors = [value for name, value in saved.items() if name.startswith(f"{kind}.")]
    rows.append([kind, len(tensors), sum(value.nbytes for value in tensors)])
rows.append(["header: config and history", None, len(header["resnet_edu"])])
forgetful = Path(folder.name, "forgetful.safetensors")  # the same file without the optimizer's memory
save_file({name: value for name, value in saved.items() if not name.startswith("optimizer.")}, forgetful, header)
edu.table(rows, ["in the file", "tensors", "bytes"])

# %% [markdown]
# Resume both files here, in a different process from the one that died, and compare with the run that was never
# stopped.

# %%
before = len(killed.history())
resumed, without_momentum = train_here(killed.path, config), train_here(forgetful, config)
rows = []
for a, b, c in zip(alone.epochs, resumed.epochs, without_momentum.epochs, strict=True):
    epoch = f"{a.epoch}, killed after it" if a.epoch == before else a.epoch
    rows.append([epoch, *(f"{each.train_loss:.8f}" for each in (a, b, c))])
edu.table(rows, ["epoch", "never stopped", "resumed", "resumed without momentum"])

# %%
end, same = load_file(Path(folder.name, "alone.safetensors")), load_file(killed.path)
assert resumed.epochs == alone.epochs, "the same history to the last digit"
assert all(torch.equal(end[name], same[name]) for name in end), (
    "the same weights, momentum and random state, bit for bit"
)
other = load_file(forgetful)
changed = max((end[name] - other[name]).abs().max().item() for name in end if name.startswith("model."))
print(f"resumed: all {len(end)} tensors equal. Without momentum: weights differ by up to {changed:.1e}")
assert changed > 1e-5, "without its momentum a run does not go on: it becomes another one"

# %% [markdown]
# You can also resume with a different number of processes, which this page doesn't run. The images and their order
# stay the same; the result differs as above, by rounding, or with batch norm by more.
#
# ## Faster steps: precision and memory format
#
# Before you buy machines, make the step fast. Two switches cost one line each. *Mixed precision* computes matrix
# products and convolutions in bfloat16 and keeps the weights in float32. *channels_last* stores the channels of a
# pixel side by side, the order in which many routines for convolutions read them.

# %%
infos = [torch.finfo(dtype) for dtype in (torch.float32, torch.bfloat16, torch.float16)]
assert torch.finfo(torch.bfloat16).max > 1e38, "the range of float32, with fewer digits"
assert torch.finfo(torch.float16).tiny > 1e-5, "float16 has no room for very small gradients"
edu.table([[info.dtype, info.bits, *(f"{v:.1e}" for v in (info.eps, info.tiny, info.max))] for info in infos],
          ["format", "bits", "step at 1", "smallest normal", "largest"])  # fmt: skip

# %% [markdown]
# bfloat16 keeps the range of float32 and gives up digits. float16 keeps more digits, but its range is narrow at both
# ends: small gradients become 0. So training in float16 multiplies the loss by a large number before the backward pass
# and divides the gradients by it afterwards (Micikevicius et al. 2017). In PyTorch, `torch.amp.GradScaler` does this.
#
# Now measure. Machines slow down and speed up while you measure, so take turns between the settings and compare
# medians. Here each is a median of four steps.

# %%
os.environ.pop("RESNET_EDU_DEVICE", None)  # from here on, on the fastest device
device = edu.machine.device()


def training_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, precision: str
) -> float:
    """Forward, backward, update; the loss. Reading it waits until a GPU is done."""
    with edu.machine.autocast(images.device, precision):
        loss = F.cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


# %%
def network(name: str, device: torch.device, *, channels_last: bool = True) -> tuple[nn.Module, torch.optim.Optimizer]:
    """An untrained ImageNet network in training mode, and an optimizer for it."""
    memory = torch.channels_last if channels_last else torch.contiguous_format
    model = edu.models.build(name).to(device).to(memory_format=memory).train()
    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


# %%
torch.manual_seed(0)
batch = profile.choose(quick=16, full=64)
images, labels = torch.randn(batch, 3, 64, 64, device=device), torch.randint(1000, (batch,), device=device)
variants = {(precision, last): [] for precision in ("float32", "bfloat16") for last in (False, True)}
nets = {variant: network("resnet18", device, channels_last=variant[1]) for variant in variants}
for round_number in range(5):
    for variant, times in variants.items():
        started = time.perf_counter()
        training_step(*nets[variant], images, labels, variant[0])
        seconds = time.perf_counter() - started
        if round_number > 0:  # the first round warms up
            times.append(seconds)

# %%
slowest, rows = median(variants["float32", False]), []
for (precision, last), times in variants.items():
    layout = "channels_last" if last else "contiguous"
    rows.append([precision, layout, f"{1000 * median(times):.0f}", f"{slowest / median(times):.2f}"])
nets.clear()  # four networks with gradients and momentum: make room
print(
    f"ResNet-18, {batch} images of 64×64 on {device}; precision='auto' is {str(edu.machine.precision(device))[6:]} here"
)
edu.table(rows, ["precision", "layout", "ms per step", "times as fast as the first"])

# %% [markdown]
# These ratios hold only for your machine and this net. On a processor without units for bfloat16 the first switch can
# make a step many times slower. So `precision="auto"` asks the processor, and takes bfloat16 only where it has such
# units.
#
# A third switch is `torch.compile(model)`, which fuses operations into larger *kernels*: here, pieces of code that a
# device runs in one go. It pays where a step consists of many small operations, above all on GPUs. On our two CPU
# cores it took up to a minute to warm up, and then a step of ResNet-20 took 81 ms, against 75 ms without it. So
# `edu.fit` doesn't use it.
#
# And what if the *net* gets too large? `DistributedDataParallel` keeps everything in every process: weights,
# gradients, and what the optimizer remembers. *Fully sharded* data parallel (FSDP, `torch.distributed.fsdp`) gives
# each of $n$ processes a piece of all three, and collects a layer's weights only while that layer computes. In float32
# that's 12 bytes per parameter with SGD and momentum, and 16 with Adam, which remembers two numbers.

# %%
rows = []
for name, parameters, each in (
    ("ResNet-50, SGD", facts.PARAMETERS["resnet50"].value, 12),
    ("7 billion, Adam", 7e9, 16),
):
    rows.append([name, *(f"{parameters * each / processes / 1e9:.2f} GB" for processes in (1, 8))])
edu.table(rows, ["per process", "DDP, any number of processes", "FSDP, 8 processes"])

# %% [markdown]
# A ResNet-50 doesn't need it: 0.3 GB fits almost anywhere. A language model of 7 billion parameters doesn't fit into a
# GPU of 80 GB, but it fits when eight GPUs share it. (Activations come on top.)
#
# ## Where the time goes
#
# PyTorch's profiler records every operation. Sort by *self* time: the time spent in an operation without those it
# calls.

# %%
from operator import attrgetter

activities = [torch.profiler.ProfilerActivity.CPU]
activities += [torch.profiler.ProfilerActivity.CUDA] if device.type == "cuda" else []
net, optimizer = network("resnet18", device)
training_step(net, optimizer, images, labels, "auto")
with torch.profiler.profile(activities=activities) as record:
    training_step(net, optimizer, images, labels, "auto")
column = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
rows = sorted(record.key_averages(), key=attrgetter(column), reverse=True)
whole_time = sum(getattr(row, column) for row in rows)
share = sum(getattr(row, column) for row in rows if "conv" in row.key or row.key.endswith("mm")) / whole_time
assert device.type != "cpu" or share > 0.3, "convolutions take the largest part on a CPU"
print(f"convolutions and matrix products: {100 * share:.0f} % of the step")
edu.table([[row.key, row.count, f"{100 * getattr(row, column) / whole_time:.0f} %"] for row in rows[:8]],
          ["operation", "calls", "share of the step"])  # fmt: skip

# %% [markdown]
# On a CPU, convolutions take the largest part, forward and backward. (Some appear as `aten::mm`: where maps have few
# pixels and many channels, the package computes a convolution as one matrix product.) That's good news: it's the work
# you want done. But the table doesn't show what happens before the step: images on a disk are often JPEG files, and
# something has to decode them. So measure the stages of a step with a few photos, stored 500 pixels wide:


# %%
import io

from PIL import Image


def decode(files: Sequence[bytes]) -> Tensor:
    """Decode, shrink to 64×64, scale to ±1: `(N, 3, 64, 64)`."""
    pictures = [Image.open(io.BytesIO(file)).convert("RGB").resize((64, 64)) for file in files]
    pixels = [torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8) for picture in pictures]
    return torch.stack(pixels).view(-1, 64, 64, 3).permute(0, 3, 1, 2) / 127.5 - 1


# %%
files = []
for photo in edu.data.photos().values():
    buffer, picture = io.BytesIO(), Image.open(photo).convert("RGB")
    picture.resize((500, 500 * picture.height // picture.width)).save(buffer, format="JPEG", quality=90)
    files.append(buffer.getvalue())
    Path(folder.name, f"{len(files)}.jpg").write_bytes(files[-1])
print(
    f"{len(files)} photos, {sum(map(len, files)) / len(files) / 1000:.0f} kB each; decoded {tuple(decode(files).shape)}"
)


# %%
def step_in_stages(
    files: Sequence[bytes], net: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> Iterator[str]:
    """One training step that says when each of its stages is done."""
    images, labels = decode(files).to(device), torch.zeros(len(files), dtype=torch.long, device=device)
    yield "decode JPEG"
    with edu.machine.autocast(device, "auto"):
        loss = F.cross_entropy(net(images), labels)
    loss.item()  # waits for a GPU
    yield "forward"
    optimizer.zero_grad()
    loss.backward()
    yield "backward"
    optimizer.step()
    yield "update"


# %%
def stage_times(step: Iterator[str], images: int) -> dict[str, float]:
    """Milliseconds per image of each stage of a step."""
    times, last = {}, time.perf_counter()
    for stage in step:
        times[stage], last = 1000 * (time.perf_counter() - last) / images, time.perf_counter()
    return times


rounds = [stage_times(step_in_stages(files, net, optimizer, device), len(files)) for _ in range(6)][1:]
measured = {stage: median(each[stage] for each in rounds) for stage in rounds[0]}
in_memory = {stage: value for stage, value in measured.items() if stage != "decode JPEG"}
bars = {"images in memory": in_memory, "JPEG files": measured}
edu.plots.stacked_bars({"milliseconds per image": bars}, title="Decoding comes on top of every step")

# %% [markdown]
# In the first bar the images are in memory as pixels already, as in this course. Training scripts for large sets can't
# do that, so they decode in *workers*: other processes that prepare the next batches while this one trains
# (`num_workers` of a `DataLoader`). If every stage had hardware of its own, a step would only take as long as the
# slowest stage. But on a CPU the workers use the same cores as the training.
#
# > **Before you run it:** what number of workers will be best on your machine, and how much faster will it be than
# > none?

# %%
WORKERS = """
import sys, time
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.models import resnet18
from torchvision.transforms.functional import pil_to_tensor

class Photos(Dataset):
    def __init__(self, files): self.files = files
    def __len__(self): return 64
    def __getitem__(self, index):
        picture = Image.open(self.files[index % len(self.files)]).resize((64, 64))
        return pil_to_tensor(picture) / 127.5 - 1
"""
print(WORKERS)

# %%
MEASURE = """
if __name__ == "__main__":
    model = resnet18(num_classes=10)
    for workers in (0, 1, 2, 2, 1, 0, 0, 1, 2):  # three rounds, in turns
        for number, images in enumerate(DataLoader(Photos(sys.argv[1:]), batch_size=8, num_workers=workers)):
            if number == 3:  # by then all workers have started
                started = time.perf_counter()
            model(images).sum().backward()
        print(workers, 8 * (number - 2) / (time.perf_counter() - started))
"""
print(MEASURE)

# %%
Path(folder.name, "workers.py").write_text(WORKERS + MEASURE, encoding="utf-8")
line = [sys.executable, f"{folder.name}/workers.py", *map(str, Path(folder.name).glob("*.jpg"))]
done = subprocess.run(line, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True)
speeds = {}
for workers, speed in map(str.split, done.stdout.splitlines()):
    speeds.setdefault(int(workers), []).append(float(speed))
print(f"{os.cpu_count()} cores, one of them for the training")
rows = [(workers, f"{median(each):.0f} ({min(each):.0f} to {max(each):.0f})") for workers, each in speeds.items()]
edu.table(rows, ["workers", "images per second: median of three (lowest to highest)"])

# %% [markdown]
# Check your table against the bars above. At best, decoding disappears from the step, and no number of workers can do
# more than that. In the run printed here the bars allow a gain of about a fifth, but the table shows none that stands
# out from its own spread: other programs kept the second core busy, so the workers had none to decode on. (That's why
# the settings took turns, and why you see the spread too.) Once there are as many busy processes as cores, one more
# takes time from the others.
#
# ### Exercise 13.3 · Find the bottleneck
#
# **Difficulty** ●●●○○ · **8 minutes**
#
# A pipeline has stages that work at the same time, each on a batch of its own **and each on hardware of its own**.
# `seconds[stage]` is the time that one worker of the stage needs for a batch, and `workers[stage]` is how many workers
# it has. Each worker takes the next free batch. Return the stage that limits the whole pipeline, and the images per
# second that come out at the end.
#
# <details><summary>Hint 1</summary>
#
# A stage with w workers finishes a batch every `seconds / w`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `max(dictionary, key=dictionary.get)` is the key of the largest value.
#
# </details>


# %% tags=["exercise"]
def find_bottleneck(seconds: dict[str, float], workers: dict[str, int], batch_size: int) -> tuple[str, float]:
    """The slowest stage, and the images per second of the whole pipeline."""
    ### BEGIN SOLUTION
    between = {stage: seconds[stage] / workers[stage] for stage in seconds}
    slowest = max(between, key=lambda stage: between[stage])
    return slowest, batch_size / between[slowest]
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_bottleneck_stage(find_bottleneck)

# %% [markdown]
# ## What does ImageNet cost?
#
# How long would it take to train ResNet-50 on your machine? First, count. A network on the `meta` device has shapes
# but no numbers, so counting costs nothing. Lesson 09 counted multiply-adds. Data sheets of processors, and PyTorch's
# counter, count each as two operations, called FLOPs:

# %%
from torch.utils.flop_counter import FlopCounterMode

with torch.device("meta"):
    model, image = edu.models.build("resnet50"), torch.empty(1, 3, 224, 224)
with FlopCounterMode(display=False) as forward:
    model(image)
with FlopCounterMode(display=False) as step:
    model(image).sum().backward()
ratio = step.get_total_flops() / forward.get_total_flops()
gflops = forward.get_total_flops() / 1e9
print(f"forward {gflops:.1f} GFLOPs per image (2 for each multiply-add), with backward {ratio:.2f} × that")
assert abs(forward.get_total_flops() / 2e9 - facts.GMACS["resnet50"].value) < 0.01
assert 2.9 < ratio < 3, "backward costs two products for each one of forward, but for the first layer's input"

# %% [markdown]
# Each layer's backward pass computes two products, the gradient of its weights and that of its input; only the image
# needs none. Goyal et al. 2017, like many since, trained for 90 epochs. One TFLOP/s is 10¹² operations per second:


# %%
def two_digits(value: float) -> str:
    """Rounded to two digits, written out: 284 becomes 280."""
    return f"{float(f'{value:.2g}'):,.12g}"


epochs = 90
images_seen = epochs * facts.IMAGENET_IMAGES.value
flops = images_seen * step.get_total_flops()
print(
    f"{epochs} epochs × {facts.IMAGENET_IMAGES.value:,} images × {step.get_total_flops() / 1e9:.0f} GFLOPs = {flops:.1e}"
)
speeds = (0.1, 1, 10, 100)
edu.table([[speed, two_digits(flops / (speed * 1e12) / 86_400)] for speed in speeds],
          ["TFLOP/s, kept up the whole time", "days"])  # fmt: skip

# %% [markdown]
# Hardly any machine keeps up the speed on its data sheet, so measure. A few steps of the real net, at the real image
# size, are enough for an estimate.

# %%
batch = profile.choose(quick=4, full=64)
net = optimizer = None  # make room
net, optimizer = network("resnet50", device)
images, labels = torch.randn(batch, 3, 224, 224, device=device), torch.randint(1000, (batch,), device=device)
times = []
for _ in range(3):
    started = time.perf_counter()
    training_step(net, optimizer, images, labels, "auto")
    times.append(time.perf_counter() - started)
speed = batch / min(times[1:])  # the first step warms up
days = images_seen / speed / 86_400
duration = f"{two_digits(days)} days" if days < 730 else f"{two_digits(days / 365)} years"
print(f"{device}: {two_digits(speed)} images/s, {two_digits(speed * step.get_total_flops() / 1e12)} TFLOP/s")
print(f"ResNet-50 on ImageNet would take about {duration} here")

# %%
theirs = images_seen / (facts.GOYAL_HOURS.value * 3600)
each = theirs / facts.GOYAL_GPUS.value
print(f"Goyal et al. 2017: {theirs:,.0f} images/s in all, about {each:.0f} on each of {facts.GOYAL_GPUS.value} GPUs, "
      f"{each * step.get_total_flops() / 1e12:.1f} TFLOP/s each")  # fmt: skip
print(f"from 8 to {facts.GOYAL_GPUS.value} GPUs about {facts.GOYAL_EFFICIENCY.value} % of the speed of each was left")
print(f"your machine: about {two_digits(theirs / speed)} times slower than all of them together")

# %% [markdown]
# Take the result as a rough figure; it leaves out the decoding. Two things follow. First, this course trains on small
# images for a reason. Second, the training that took an hour needed 256 GPUs *and* a batch of 8,192 *and* a rate to
# match. From 8 to 256 GPUs, the paper says, each kept about 90 % of its speed; messages and waiting cost the rest.
#
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "Data parallel training gives the same result as one process." | LeNet-5 and ResNet-20 with a split batch; a small net without batch norm in two processes | **Half right.** Without batch norm, up to rounding. With it, no: the statistics are those of each process. |
# | "With k times the batch, take k times the learning rate." | LeNet-5, k = 8, five rates for each batch size | **Half right.** Far better than leaving the rate alone. A higher rate was better still, and at every rate we tried the large batch stays behind the small one at its best. |
# | "Save the weights, then you can resume." | The killed run with and without the optimizer's memory | **Wrong.** Even if only the momentum is missing, the run ends elsewhere. You need the random state too, or the images come in another order. |
# | "bfloat16 halves the time." | ResNet-18, four settings in turns | **Measure.** It depends on the device. Your ratio is above. |
# | "More loader workers make training faster." | 0, 1 and 2 workers on this machine | **Measure.** At best they hide the decoding, as long as there are idle cores. |

# %%
assert max(errors["LeNet-5, no batch norm"]) < 1e-5 < 0.05 < min(errors["ResNet-20"]), "first row"
assert apart < 1e-3, "first row, with two processes"
assert large[0] > 3 * large[3] > 3 * min(small), "second row"
assert resumed.epochs == alone.epochs != without_momentum.epochs, "third row"

# %%
sys.path.remove(folder.name)
folder.cleanup()
print(f"the temporary folder is gone: {not Path(folder.name).exists()}")

# %% [markdown]
# ## Summary
#
# * Processes that average their gradients get the same result as a single process, if their shares are equal and no
#   layer mixes images. Batch norm does mix them. Accumulating gradients is the same sum, one part after the other.
# * A script for several processes needs five things: `init_process_group`, a `DistributedSampler`, `set_epoch`,
#   `DistributedDataParallel`, and one process that writes.
# * A larger batch wants a larger rate. The linear rule is a good first guess; try the rates around it too.
# * A checkpoint holds the weights, the optimizer, the random state and how far the run got. Then a killed run ends bit
#   for bit like one that was never stopped.
# * Alternate between the settings you're measuring, and compare medians. Find the slowest stage before you speed up
#   any other.
# * A training run costs about 3 × the forward pass × images × epochs. Divide by a measured speed.
#
# ## Sources
#
# * P. Goyal et al.: Accurate, large minibatch SGD: training ImageNet in 1 hour, 2017, [arXiv
#   1706.02677](https://arxiv.org/abs/1706.02677)
# * S. Li et al.: PyTorch distributed: experiences on accelerating data parallel training, 2020, [arXiv
#   2006.15704](https://arxiv.org/abs/2006.15704)
# * P. Micikevicius et al.: Mixed precision training, 2017, [arXiv 1710.03740](https://arxiv.org/abs/1710.03740)
# * K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition, 2015, section 3.4, [arXiv
#   1512.03385](https://arxiv.org/abs/1512.03385)
#
# ## Next
#
# This was the last lesson. Now take [lesson 12](12_train_and_predict.ipynb) to your own photos, and `torchrun` to your
# own machines.
