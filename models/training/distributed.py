"""Several processes on one training, as ``torchrun`` starts them: each learns from its share of every batch.

A batch is what it is in one process: with two of them, each takes half of the same samples, gradients are
averaged (``DistributedDataParallel``), and the schedule, the log and the checkpoints stay what they were.
Only batch norms differ, whose statistics each process takes from its own share.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ...errors import OptionError

_ALONE: ContextVar[bool] = ContextVar("alone", default=False)


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is; ``local`` counts those of this machine."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes what only one of them should."""
        return self.rank == 0

    def agreed(self, value: float) -> float:
        """The first process's value, in all of them: what follows from a clock must not differ."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(shared, 0)
        return shared.item()

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Each value's mean over the processes, which all give the same names."""
        if self.world == 1 or not values:
            return values
        shared = torch.tensor(list(values.values()), dtype=torch.float64)
        distributed.all_reduce(shared)
        return dict(zip(values, (shared / self.world).tolist(), strict=True))

    def wait(self) -> None:
        """Goes on when all processes are here."""
        if self.world > 1:
            distributed.barrier()


def current() -> Ranks:
    """This process's place; alone unless `joined` says otherwise."""
    if _ALONE.get() or not (distributed.is_available() and distributed.is_initialized()):
        return Ranks()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    return Ranks(distributed.get_rank(), distributed.get_world_size(), local)


@contextmanager
def joined() -> Iterator[Ranks]:
    """Joins the processes that ``torchrun`` started, if it did; within another `joined`, nothing is done.

    NCCL carries what is on GPUs, Gloo the rest.

    Raises:
        OptionError: there are several processes, and this PyTorch cannot join them.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world < 2 or (distributed.is_available() and distributed.is_initialized()):
        yield current()
        return
    if not distributed.is_available():
        raise OptionError(
            f"{world} processes were started", "this PyTorch has no torch.distributed: start one"
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        distributed.init_process_group("cpu:gloo,cuda:nccl")
    else:
        distributed.init_process_group("gloo")
    try:
        yield current()
    finally:
        distributed.destroy_process_group()


@contextmanager
def alone() -> Iterator[None]:
    """Within it, this process counts as the only one: for what the main process does by itself."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


@contextmanager
def main_first() -> Iterator[None]:
    """The main process goes through first, the others after it: it makes files that they then find."""
    ranks = current()
    if not ranks.is_main:
        ranks.wait()
    with alone():
        yield
    if ranks.is_main:
        ranks.wait()


def pick_device(wish: str) -> torch.device:
    """The device to train on: ``auto`` is a GPU where there is one, of this process's number.

    Raises OptionError where ``cuda`` is wished for and there is none.
    """
    if wish == "cpu" or (wish == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise OptionError(f"device is {wish!r}, and PyTorch finds no CUDA device", "train on auto or cpu")
    return torch.device("cuda", current().local % torch.cuda.device_count())


class Learner(nn.Module):
    """A task's loss as a module's forward pass, which is what ``DistributedDataParallel`` can wrap."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.model: nn.Module = task.model
        self._task = [task]  # in a list, so that a task that is a module is not taken for a part of this one

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch and its terms; see ``Task.loss``."""
        result: tuple[Tensor, dict[str, float]] = self._task[0].loss(batch)
        return result


def shared_out(learner: Learner, device: torch.device, ranks: Ranks) -> nn.Module:
    """The learner, with its gradients averaged over all processes where there are several."""
    if ranks.world == 1:
        return learner
    where = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(learner, device_ids=where, find_unused_parameters=True)
