# %% [markdown]
# # 13 · At scale: several processes, long runs, fast steps
#
# The small nets of this course train within seconds. ResNet-50 on ImageNet does not. This lesson shows what changes when a
# training becomes large: several processes share the work, a run must survive a crash, and each step is worth measuring.
# Everything is run here at small scale. Where it takes a script, the lesson writes one into a temporary folder.
#
# After this lesson you can
#
# * say what `DistributedDataParallel` computes, and when it gives what one process would;
# * start a script under `torchrun`, and choose batch size and learning rate for it;
# * stop and resume a run without changing its result;
# * measure precision and memory format, find where the time goes, and estimate what a training will cost.
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
# *Data parallel* training works like this. Each process holds the whole network and takes its share of every batch. It computes the gradient
# of the mean loss over its share. Then the processes average their gradients, and each takes the same step. The weights stay equal, so only
# gradients travel.
#
# Why is the average right? The loss of a batch is a mean over its images. A mean over 64 images is the mean of the means over
# 32 and 32, and the gradient of a mean is the mean of the gradients. Do it by hand, with LeNet-5 and no second process at
# all:


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
# The shares have to be equal for that. With 48 and 16 images the plain mean counts an image of the small share three times as
# much as one of the large. Weighted by the number of images it is right again:

# %%
uneven = [gradient(lenet, images[:48], labels[:48]), gradient(lenet, images[48:], labels[48:])]
plain_mean, weighted = sum(uneven) / 2, 0.75 * uneven[0] + 0.25 * uneven[1]
errors = [((each - whole).norm() / whole.norm()).item() for each in (plain_mean, weighted)]
print(f"48 + 16 images: plain mean off by {errors[0]:.2f}, weighted by images off by {errors[1]:.0e}")
assert errors[0] > 0.01 > 1e-5 > errors[1]

# %% [markdown]
# `DistributedDataParallel` takes the plain mean. So give every process the same number of images. `edu.fit` refuses a batch
# that cannot be divided evenly.
#
# ### Exercise 13.1 · Average the gradients
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# `gradients[process][parameter]` is a tensor: the gradient of the mean loss over the `sizes[process]` images of that process.
# Return a list with one tensor for each parameter: the gradient of the mean loss over all images. The shares need not be
# equal. Leave the tensors you are given as they are.
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
# ### Batch norm breaks the sum
#
# The argument needs a loss that is a mean over images, each computed by itself. Batch norm mixes the images: it subtracts the
# mean of the batch and divides by its standard deviation. A process sees only the statistics of its own share. Look at what
# arrives at the first batch norm of a ResNet-20 in two halves of one batch:

# %%
torch.manual_seed(0)
resnet = edu.models.build("resnet20", in_channels=1, width=8)
small = F.avg_pool2d(images, 2)  # (64, 1, 16, 16), to be quick
with torch.no_grad():
    before = resnet.conv1(small)  # (64, 8, 16, 16)
for name, part in (("all 64", before), ("first 32", before[:32]), ("last 32", before[32:])):
    means = ", ".join(f"{value:+.3f}" for value in part.mean(dim=(0, 2, 3))[:5].tolist())
    print(f"{name:>9}: means of the first five channels {means}")
assert not torch.allclose(before[:32].mean(dim=(0, 2, 3)), before[32:].mean(dim=(0, 2, 3)), atol=1e-3)


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
    x="images a process",
    y="error of the gradient (1 = its length)",
    ticks=[str(64 // n) for n in counts],
    log=True,
)

# %%
for name, values in errors.items():
    print(f"{name:>28}: " + "  ".join(f"{value:7.1e}" for value in values))
assert max(errors["LeNet-5, no batch norm"]) < 1e-5
assert max(errors["ResNet-20, fixed statistics"]) < 1e-4, "it is the statistics, and nothing else"
assert min(errors["ResNet-20"]) > 0.05, "not a matter of rounding"
assert errors["ResNet-20"][-1] > errors["ResNet-20"][0], "two images say less about a batch than 32"

# %% [markdown]
# This is no bug. A ResNet on several processes has another loss, in which each image is normalised together with those of its
# own process. That trains well as long as a process has enough images: Goyal et al. 2017 gave 32 to each of their 256 GPUs
# and kept the accuracy of small batches. Where memory leaves room for a few only, in detection for example,
# `nn.SyncBatchNorm` computes the statistics over all processes, at the price of messages in every such layer. It runs on GPUs
# and other accelerators only.
#
# ## The same training with two real processes
#
# Processes are started by `torchrun`, which tells each its number. It starts scripts, and not cells of a notebook, so write a
# script. Here is a whole one. Only the line with `joined` knows that there may be other processes, and `edu.fit` does the
# rest. The gradients travel through a library for messages: NCCL between GPUs, gloo between CPUs.

# %%
import tempfile
from pathlib import Path

SCRIPT = """
import json, pathlib, sys, time
import resnet_edu as edu
from resnet_edu.checkpoint import Checkpoint

config, pause = edu.TrainConfig.from_dict(json.loads(sys.argv[2])), float(sys.argv[3])
with edu.distributed.joined():  # finds the others, if torchrun has started several
    edu.machine.seed_everything(config.seed)  # the same first weights everywhere
    model, data = edu.models.build("lenet5", in_channels=1), edu.data.load("mnist5k", size=32, limit=1000)
    checkpoint = Checkpoint(pathlib.Path(sys.argv[1]), config)
    edu.fit(model, data, config, checkpoint=checkpoint, callbacks=[lambda *_: time.sleep(pause)])
"""
folder = tempfile.TemporaryDirectory()
print(f"{Path(folder.name, 'train.py').write_text(SCRIPT)} characters written")


# %%
import json
import sys


def command(folder: str, config: edu.TrainConfig, name: str, *, processes: int = 1, pause: float = 0.0) -> list[str]:
    """How the script is started; its run is kept in `folder/name.safetensors`."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    arguments = [f"{folder}/{name}.safetensors", json.dumps(config.to_dict()), str(pause)]
    return [sys.executable, *(torchrun if processes > 1 else []), f"{folder}/train.py", *arguments]


os.environ["RESNET_EDU_DEVICE"] = "cpu"  # two processes cannot share one GPU, and this has to run everywhere
surroundings = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads()), "RESNET_EDU_QUIET": "1"}
config = edu.TrainConfig(epochs=8, batch_size=50, lr=0.02, augment=(), precision="float32")
print(" ".join(Path(word).name for word in command(folder.name, config, "both", processes=2)[:6]), "…")

# %%
import subprocess

gloo = torch.distributed.is_available() and torch.distributed.is_gloo_available()
if gloo:
    line = command(folder.name, config, "both", processes=2)
    done = subprocess.run(line, env=surroundings | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
print("two processes have trained" if gloo else "This torch has no gloo: the run with two processes is left out.")

# %% [markdown]
# Now the same training in one process, here in the kernel. The order of the images and the first weights come from the same
# seed. One process takes all 50 images of a batch, two take 25 each.


# %%
def train_here(file: Path, config: edu.TrainConfig) -> edu.History:
    """What the script does, in this process; goes on from the file if there is one."""
    edu.machine.seed_everything(config.seed)
    model = edu.models.build("lenet5", in_channels=1)
    data = edu.data.load("mnist5k", size=32, limit=1000)
    return edu.fit(model, data, config, checkpoint=Checkpoint(file, config))


alone = train_here(Path(folder.name, "alone.safetensors"), config)
runs = {"one process": alone}
if gloo:
    runs["two processes"] = Checkpoint(Path(folder.name, "both.safetensors"), config).history()
losses = {name: [epoch.train_loss for epoch in run.epochs] for name, run in runs.items()}
edu.plots.losses_together(losses, title="Two processes train what one does")

# %%
for name, values in losses.items():
    print(f"{name:>13}: " + "  ".join(f"{value:.6f}" for value in values))
apart = max(abs(a - b) for values in losses.values() for a, b in zip(values, losses["one process"], strict=True))
print(f"largest difference {apart:.0e} nats")
assert apart < 1e-3
assert alone.last.train_loss < alone.epochs[0].train_loss / 2, "and it has learned something"

# %% [markdown]
# The curves lie on top of each other. What is left is rounding: the same sum in another order. The command of lesson 12
# trains in several processes too, as
#
# `torchrun --nproc-per-node=2 -m resnet_edu train --data DIR --out RUN`
#
# On GPUs, `--nproc-per-node` is their number. The batch size in the config is that of all processes together. So, batch norm
# aside, the result does not depend on how many there are.
#
# ## A larger batch, a larger learning rate
#
# More processes are of use only if each has enough to do, so the batch grows with them. A batch $k$ times as large means $k$
# times fewer steps in an epoch. The *linear scaling rule* of Goyal et al. 2017 makes up for it: multiply the learning rate by
# $k$. The reasoning is short. Let $w_0$ be the weights now, $\eta$ the learning rate, and $g_j(w)$ the gradient on the $j$-th
# small batch at the weights $w$. Then $k$ steps with small batches lead to
#
# $$w_k = w_0 - \eta\,(g_0(w_0) + g_1(w_1) + \dots + g_{k-1}(w_{k-1})).$$
#
# Now take the $k$ small batches as a single large one. Its gradient is the mean of theirs, all taken at $w_0$. So the $k$
# cancels, and one step with the rate $k\eta$ leads to
#
# $$w_0 - \eta\,(g_0(w_0) + g_1(w_0) + \dots + g_{k-1}(w_0)).$$
#
# The two results differ only in the weights at which the gradients are taken. They are close if the gradients hardly change
# on the way from $w_0$ to $w_k$. At the beginning of a training they change fast, so the paper begins with the small rate and
# raises it linearly over the first epochs: the *warm-up*.

# %%
k = facts.GOYAL_BATCH.value / facts.HE_IMAGENET_BATCH.value
print(f"He et al. 2015: rate {facts.HE_IMAGENET_RATE.value} for {facts.HE_IMAGENET_BATCH.value} images a batch")
print(f"Goyal et al. 2017: {facts.GOYAL_BATCH.value:,} images on {facts.GOYAL_GPUS.value} GPUs, in {facts.GOYAL_HOURS}")
print(f"so k = {k:.0f}, the rate is {k * facts.HE_IMAGENET_RATE.value:.1f} after {facts.GOYAL_WARMUP} of warm-up,")
print(f"and each GPU has {facts.GOYAL_BATCH.value / facts.GOYAL_GPUS.value:.0f} images of a batch")

# %% [markdown]
# Try it with LeNet-5 on 2,000 digits: batches of 32 and of 256, the same number of epochs. The warm-up of `edu.fit` begins at
# a tenth of the full rate, that of the paper at the small batch's rate.

# %%
BASE, K = 0.01, 8
settings = {
    "batch 32, rate 0.01": (32, BASE, 0),
    "batch 256, rate 0.01": (32 * K, BASE, 0),
    "batch 256, rate 0.08": (32 * K, BASE * K, 0),
    "batch 256, rate 0.08, warm-up": (32 * K, BASE * K, 2),
}
for name, (batch, _, _) in settings.items():
    print(f"{name:>30}: {edu.data.steps_per_epoch(len(data.train), batch):3} steps an epoch")

# %%
losses, rates = {}, {}
for name, (batch, rate, warmup) in settings.items():
    options = {"schedule": "constant", "augment": (), "precision": "float32"}
    config_k = edu.TrainConfig(batch_size=batch, lr=rate, warmup_epochs=warmup, **options)
    torch.manual_seed(0)
    history = edu.fit(edu.models.build("lenet5", in_channels=1), data, config_k)
    losses[name] = [epoch.train_loss for epoch in history.epochs]
    steps = edu.data.steps_per_epoch(len(data.train), batch)
    rates[name] = [edu.config.schedule(config_k, steps)(step) for step in range(6 * steps)]

# %%
edu.plots.rates_and_losses(rates, losses, title="Eight times the batch wants eight times the rate")

# %%
small_batch, unscaled, scaled, warmed = (values[-1] for values in losses.values())
for name, values in losses.items():
    print(f"{name:>30}: training loss {values[-1]:.2f} after {len(values)} epochs")
assert unscaled > 3 * scaled, "without scaling, so few steps do not get far"
assert unscaled > 3 * warmed
assert scaled < warmed, "two of six epochs went by below the full rate"
assert small_batch < scaled < unscaled, "scaling makes up for most of it, not for all"

# %% [markdown]
# With the rate left alone the large batch is far behind: it takes 7 steps an epoch instead of 62, at the same rate.
# With the rule it comes close, but not quite. Presumably the gradients do change within eight steps. It also sees a
# tenth fewer images, because a last batch that is not full is left out. The warm-up brings nothing in
# this small run. Nothing goes wrong without it, and two of six epochs pass below the full rate. It is an insurance for large
# $k$. And the rule has an end: it keeps the length of the way, not the number of corrections on it. With a batch of 1,024 our
# digits would give one step an epoch. On ImageNet the rule held up to 8,192 images (Goyal et al. 2017).
#
# ### Exercise 13.2 · Scale the learning rate
#
# **Difficulty** ●●○○○ · **8 minutes**
#
# The base rate is 0.1 for a batch of 256 images. Return the rate of a step, counted from 0: it begins at the base rate, rises
# by the same amount at each step, and has the final rate of the linear rule at step `warmup_steps` and ever after. (For a
# batch of less than 256 it falls in the same way.) With `warmup_steps=0` it is the final rate from the first step on.
#
# <details><summary>Hint 1</summary>
#
# The final rate is `0.1 * batch_size / 256`. Return it first, if the warm-up is over.
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
# Long runs end early: a machine restarts, a queue's time is over, a process runs out of memory. So `edu.fit` can write a
# *checkpoint* after each epoch, the whole state of the run, into a new file that then replaces the old one. Whenever the
# process dies, the file of the last finished epoch is there, and it is whole. Start the script, wait for its fourth epoch,
# let it run on for a random moment, and kill it. On Linux and macOS `kill()` sends signal 9, against which a process can do
# nothing.

# %%
import random

killed = Checkpoint(Path(folder.name, "killed.safetensors"), config)
process = subprocess.Popen(command(folder.name, config, "killed", pause=0.3), env=surroundings)
while process.poll() is None and len(killed.history()) < 4:
    time.sleep(0.02)
time.sleep(0.5 * random.random())
process.kill()
print(f"ended with code {process.wait()} after {len(killed.history())} of {config.epochs} epochs")
assert 4 <= len(killed.history()) < config.epochs

# %% [markdown]
# What is in the file? More than the weights. Momentum is a sum of past gradients, in which older ones count less. And the
# random generator decides the order of the images in all epochs to come.

# %%
from safetensors.torch import load_file, safe_open, save_file

with safe_open(killed.path, "pt") as file:
    header, names = file.metadata(), list(file.keys())
saved = load_file(killed.path)
for kind in ("model", "optimizer", "random"):
    tensors = [value for name, value in saved.items() if name.startswith(f"{kind}.")]
    print(f"{kind:>9}: {len(tensors):2} tensors, {sum(value.nbytes for value in tensors):7,} bytes")
print(f"   header: {len(header['resnet_edu']):,} characters: the config and the history so far")
forgetful = Path(folder.name, "forgetful.safetensors")  # the same file without the optimizer's memory
save_file({name: value for name, value in saved.items() if not name.startswith("optimizer.")}, forgetful, header)

# %% [markdown]
# Resume both files here, in another process than the one that died, and compare with the run that was never stopped.

# %%
before = len(killed.history())
resumed, without_momentum = train_here(killed.path, config), train_here(forgetful, config)
print("epoch   never stopped   resumed    resumed without momentum")
for a, b, c in zip(alone.epochs, resumed.epochs, without_momentum.epochs, strict=True):
    mark = "  ← killed" if a.epoch == before else ""
    print(f"{a.epoch:5}   {a.train_loss:.8f}   {b.train_loss:.8f}   {c.train_loss:.8f}{mark}")

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
# A run that is resumed with another number of processes goes on as well, with the same images in the same order. Its result
# then differs as above: by rounding, or with batch norm by more.
#
# ## Faster steps: precision and memory format
#
# Before you buy machines, make the step fast. Two switches cost one line each. *Mixed precision* computes matrix products and
# convolutions in bfloat16 and keeps the weights in float32. *channels_last* stores the channels of a pixel side by side,
# which is the order in which many convolution kernels read.

# %%
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    info = torch.finfo(dtype)
    print(
        f"{str(dtype)[6:]:>8}: {info.bits} bits, steps of {info.eps:.1e} at 1, from {info.tiny:.1e} to {info.max:.1e}"
    )
assert torch.finfo(torch.bfloat16).max > 1e38, "the range of float32, with fewer digits"
assert torch.finfo(torch.float16).tiny > 1e-5, "float16 has no room for very small gradients"

# %% [markdown]
# bfloat16 keeps the range of float32 and gives up digits. float16 keeps more digits, and its range is narrow at both ends:
# small gradients become 0. So a training in float16 multiplies the loss by a large number before the backward pass and
# divides the gradients by it afterwards (Micikevicius et al. 2017). In PyTorch `torch.amp.GradScaler` does this.
#
# Now measure. Machines slow down and speed up while you measure, so take turns between the settings and compare medians.

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
slowest = median(variants["float32", False])
print(f"ResNet-18, {batch} images of 64×64 on {device}")
for (precision, last), times in variants.items():
    layout = "channels_last" if last else "contiguous"
    print(
        f"{precision:>9} {layout:13} {1000 * median(times):6.0f} ms a step, {slowest / median(times):4.1f} × as fast as the first"
    )
print(f"precision='auto' takes {str(edu.machine.precision(device))[6:]} here.")
nets.clear()  # four networks with gradients and momentum: make room

# %% [markdown]
# These ratios hold for your machine and for this net, and for nothing else. Without units for bfloat16 the first switch can
# make a step slower. `edu.fit` asks the device: `precision="auto"` takes bfloat16 only where there are units for it, and
# where they pay in a short trial.
#
# ## Where the time goes
#
# The profiler of PyTorch records every operation. Sort by *self* time: the time inside an operation without those it calls.

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
print("share   calls   operation")
for row in rows[:8]:
    print(f"{100 * getattr(row, column) / whole_time:4.0f} %   {row.count:5}   {row.key}")

# %%
convolutions = sum(getattr(row, column) for row in rows if "conv" in row.key) / whole_time
print(f"operations with conv in their name: {100 * convolutions:.0f} % of the step")
assert device.type != "cpu" or convolutions > 0.3

# %% [markdown]
# On a CPU convolutions, forward and backward, take the largest part. That is good news: it is the work you want done. The
# table does not show what happens before the step. Images on a disk are often JPEG files, and somebody has to decode them.
# Measure the stages of a step with a few photos, encoded 500 pixels wide:


# %%
import io

from PIL import Image


def decode(files: Sequence[bytes]) -> Tensor:
    """Decode, shrink to 64×64, scale to ±1: `(N, 3, 64, 64)`."""
    pictures = [Image.open(io.BytesIO(file)).convert("RGB").resize((64, 64)) for file in files]
    pixels = [torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8) for picture in pictures]
    return torch.stack(pixels).view(-1, 64, 64, 3).permute(0, 3, 1, 2) / 127.5 - 1


files = []
for photo in edu.data.photos().values():
    buffer, picture = io.BytesIO(), Image.open(photo).convert("RGB")
    picture.resize((500, 500 * picture.height // picture.width)).save(buffer, format="JPEG", quality=90)
    files.append(buffer.getvalue())
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
    """Milliseconds an image of each stage of a step."""
    times, last = {}, time.perf_counter()
    for stage in step:
        times[stage], last = 1000 * (time.perf_counter() - last) / images, time.perf_counter()
    return times


rounds = [stage_times(step_in_stages(files, net, optimizer, device), len(files)) for _ in range(6)][1:]
measured = {stage: median(each[stage] for each in rounds) for stage in rounds[0]}
for stage, milliseconds in measured.items():
    print(f"{stage:>11}: {milliseconds:5.1f} ms an image")

# %%
in_memory = {stage: value for stage, value in measured.items() if stage != "decode JPEG"}
faster = {stage: value if stage == "decode JPEG" else value / 10 for stage, value in measured.items()}
bars = {
    "images in memory": in_memory,
    "JPEG files": measured,
    "JPEG files, computing\n10 times faster*": faster,
}
edu.plots.step_times(bars, title="The faster you compute, the more the decoding counts")

# %% [markdown]
# \* The third bar is computed from the second: the decoding stays, the rest is divided by ten, as a GPU might do it. This is
# why training scripts decode in several worker processes (`num_workers` of a `DataLoader`), or, as this course does, decode
# once and keep the pixels. Workers run beside the training. A step then takes as long as the slowest stage, and not the sum
# of all. In the first bar the images are in memory as pixels already.

# %%
for name, times in bars.items():
    share = 100 * times.get("decode JPEG", 0) / sum(times.values())
    print(
        f"{name.replace(chr(10), ' '):>42}: {1000 / sum(times.values()):6.0f} images/s one after the other, decoding {share:3.0f} %"
    )
assert faster["decode JPEG"] / sum(faster.values()) > measured["decode JPEG"] / sum(measured.values())

# %% [markdown]
# ### Exercise 13.3 · Find the bottleneck
#
# **Difficulty** ●●●○○ · **8 minutes**
#
# A pipeline has stages that work at the same time, each on a batch of its own. `seconds[stage]` is the time that one worker
# of the stage needs for a batch, and `workers[stage]` is how many workers it has. Each of them takes the next free batch.
# Return the stage that limits the whole, and the images a second that come out at the end.
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
    """The slowest stage, and the images a second of the whole pipeline."""
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
# How long would ResNet-50 train on your machine? First count. A network on the `meta` device has shapes and no numbers, so
# counting is free. Lesson 09 counted multiply-adds. Data sheets of processors count a multiplication and an addition as two
# operations, called FLOPs, and so does PyTorch's counter:

# %%
from torch.utils.flop_counter import FlopCounterMode

with torch.device("meta"):
    model, image = edu.models.build("resnet50"), torch.empty(1, 3, 224, 224)
with FlopCounterMode(display=False) as forward:
    model(image)
with FlopCounterMode(display=False) as step:
    model(image).sum().backward()
ratio = step.get_total_flops() / forward.get_total_flops()
print(
    f"forward {forward.get_total_flops() / 1e9:.1f} GFLOPs an image (2 for each multiply-add), with backward {ratio:.2f} × that"
)
assert abs(forward.get_total_flops() / 2e9 - facts.GMACS["resnet50"].value) < 0.01
assert 2.9 < ratio < 3, "backward costs two products for each one of forward, but for the first layer's input"

# %% [markdown]
# Each layer's backward pass computes two products: the gradient of its weights and that of its input. Only the image needs no
# gradient. Goyal et al. 2017, like many since, trained for 90 epochs. One TFLOP/s is 10¹² operations a second:


# %%
def two_digits(value: float) -> str:
    """Rounded to two digits, written out: 284 becomes 280."""
    return f"{float(f'{value:.2g}'):,.12g}"


epochs = 90
images_seen = epochs * facts.IMAGENET_IMAGES.value
flops = images_seen * step.get_total_flops()
print(
    f"{epochs} epochs × {facts.IMAGENET_IMAGES.value:,} images × {step.get_total_flops() / 1e9:.0f} GFLOPs = {flops:.1e} FLOPs"
)
for teraflops in (0.1, 1, 10, 100):
    days = flops / (teraflops * 1e12) / 86_400
    print(f"at {teraflops:5} TFLOP/s, kept up the whole time: {two_digits(days):>5} days")

# %% [markdown]
# Hardly any machine keeps up what its data sheet says, so measure. A few steps of the real net on images of the real size are
# enough for an estimate.

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
# Take the result as a rough figure. It leaves out the decoding, and with another batch size or on a warmer processor it comes
# out differently. Two things follow. First, the course trains on small images for a reason. Second, the training that took an
# hour needed 256 GPUs *and* a batch of 8,192 *and* a rate to match. From 8 to 256 GPUs, the paper says, about 90 % of the
# speed of each survived. The rest goes to messages and waiting.
#
# ## Claims you will read elsewhere, tested
#
# | The statement | The test | Verdict |
# |---|---|---|
# | "Data parallel training gives the same result as one process." | LeNet-5 and ResNet-20 with a split batch; LeNet-5 with two processes | **Half right.** Without batch norm, up to rounding. With it, no: the statistics are those of each process. |
# | "With k times the batch, take k times the learning rate." | LeNet-5, k = 8, with and without | **Half right.** Far better than leaving the rate alone, not as good as small batches. |
# | "Save the weights, then you can resume." | The killed run with and without the optimizer's memory | **Wrong.** Without momentum alone the run already ends elsewhere. The random state belongs to it too, or the order of the images would be another. |
# | "bfloat16 halves the time." | ResNet-18, four settings in turns | **Measure.** It depends on the device; your ratio stands above. |
# | "More loader workers make training faster." | The measured stages, and from them the speed with 1 to 16 workers, computed below | **Half right.** Only while loading is the slowest stage. |

# %%
assert max(errors["LeNet-5, no batch norm"]) < 1e-5 < 0.05 < min(errors["ResNet-20"]), "first row"
assert apart < 1e-3, "first row, with two processes"
assert small_batch < scaled < unscaled / 3, "second row"
assert resumed.epochs == alone.epochs != without_momentum.epochs, "third row"
print("images/s with one worker for decoding, and with more")
for name in ("JPEG files", "JPEG files, computing\n10 times faster*"):
    decoding, computing = bars[name]["decode JPEG"], sum(bars[name].values()) - bars[name]["decode JPEG"]
    speeds = {count: 1000 / max(decoding / count, computing) for count in (1, 2, 4, 8, 16)}
    print(f"{name.replace(chr(10), ' '):>39}: " + "  ".join(f"{n} → {value:.0f}" for n, value in speeds.items()))

# %%
folder.cleanup()
print(f"the temporary folder is gone: {not Path(folder.name).exists()}")

# %% [markdown]
# ## Summary
#
# * Processes that average their gradients train what one would, if their shares are equal and no layer mixes images. Batch
#   norm mixes them.
# * A larger batch wants a larger rate: in proportion, as long as the gradients change little within the $k$ steps, and with a
#   warm-up where they change fast.
# * A checkpoint holds weights, optimizer, random state and place. Then a killed run ends bit for bit like one that was never
#   stopped.
# * Measure in turns and compare medians; find the slowest stage before you make another one faster.
# * A training costs about 3 × the forward pass × images × epochs. Divide by a measured speed.
#
# ## Sources
#
# * P. Goyal et al.: Accurate, large minibatch SGD: training ImageNet in 1 hour, 2017, [arXiv 1706.02677](https://arxiv.org/abs/1706.02677)
# * S. Li et al.: PyTorch distributed: experiences on accelerating data parallel training, 2020, [arXiv 2006.15704](https://arxiv.org/abs/2006.15704)
# * P. Micikevicius et al.: Mixed precision training, 2017, [arXiv 1710.03740](https://arxiv.org/abs/1710.03740)
# * K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition, 2015, section 3.4, [arXiv 1512.03385](https://arxiv.org/abs/1512.03385)
#
# ## Next lesson
#
# This was the last one. Take lesson 12 to your own photos, and `torchrun` to your own machines.
