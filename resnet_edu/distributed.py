"""Several processes at one run, started by torchrun: who am I, what do I say to the others.

    torchrun --nproc-per-node=2 -m resnet_edu train --data ./pets --out runs/pets

Every process holds the whole network and takes its share of every batch; their gradients are averaged before each
step (DistributedDataParallel, https://arxiv.org/abs/2006.15704). Alone, all functions here cost nothing.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from . import machine

Result = TypeVar("Result")


def size() -> int:
    """How many processes work together, 1 if this one is alone."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def first() -> bool:
    """Whether this is the process that writes files and talks to people."""
    return rank() == 0


@contextmanager
def joined() -> Iterator[None]:
    """Inside the `with`, work with the other processes that torchrun started; without torchrun, nothing happens."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        yield
        return
    cuda = machine.device().type == "cuda"
    if cuda:
        place, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if place >= gpus:
            raise ValueError(f"Too few GPUs: give torchrun --nproc-per-node={gpus}, or set RESNET_EDU_DEVICE=cpu.")
        torch.cuda.set_device(place)
    elif not distributed.is_gloo_available():
        raise ValueError("This torch has no gloo, through which processes on CPUs talk: start a single one.")
    distributed.init_process_group("nccl" if cuda else "gloo")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # torchrun's when another has died: stop as by Ctrl-C
    try:
        yield
    finally:
        distributed.destroy_process_group()


def share(batch: Tensor) -> Tensor:
    """This process's part of a batch `(N, …)`: every `size()`-th row, as many for each process.

    What cannot be shared out evenly is left out: the mean of the processes' means would not be the batch's.
    """
    if len(batch) < size():
        raise ValueError(f"A batch of {len(batch)} images is too small for {size()} processes: choose a larger one.")
    return batch[: len(batch) // size() * size()][rank() :: size()]


def together(model: nn.Module) -> nn.Module:
    """The network, with gradients that are averaged over all processes."""
    if size() == 1:
        return model
    device = next(model.parameters()).device
    return DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)


def total(*numbers: float) -> list[float]:
    """Sum of each number over all processes."""
    if size() == 1:
        return list(numbers)
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    sums = torch.tensor(numbers, dtype=torch.float64, device=device)
    distributed.all_reduce(sums)
    return sums.tolist()


def from_first(function: Callable[[], Result]) -> Result:
    """What the first process gets from the call; the others wait for it, and do not call."""
    if size() == 1:
        return function()
    answer: list[Any] = [function() if first() else None]
    distributed.broadcast_object_list(answer, src=0)
    return answer[0]
