"""The group of processes of one command: the share of each process, and their exchanges."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat, takewhile
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from ddpm_cli.config.build import FAILURES

Shared = TypeVar("Shared")
LOST = 1.0  # seconds; torch's agent checks ten times a second whether a process was killed


class EchoError(ValueError):
    """A failure that follows another process's failure, with the first failure's text."""

    is_echo = True


@dataclass(frozen=True)
class ProcessGroup:
    """Process `rank` of `count`, of which `here` run on this machine.

    Process 0, the first, writes files and messages. A single process exchanges nothing.
    restarts: how often torchrun has started the processes anew after the loss of a process.
    """

    rank: int = 0
    count: int = 1
    here: int = 1
    store: Store | None = None
    restarts: int = 0

    def slice_of(self, total: int) -> slice:
        """This process's contiguous share of `total` items; shares differ by at most one item."""
        return slice(total * self.rank // self.count, total * (self.rank + 1) // self.count)

    def work_queue(self, total: int) -> Iterator[int]:
        """Yield numbers below `total`; each number goes to the next process that asks."""
        if self.store is None:
            return iter(range(total))
        tickets = (store.add("ticket", 1) - 1 for store in repeat(self.store))
        return takewhile(lambda ticket: ticket < total, tickets)

    def sum(self, number: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        if self.count > 1:
            dist.all_reduce(number := number.clone())
        return number

    def all_gather(self, thing: Shared) -> list[Shared]:
        """The objects of all processes by rank, on every process."""
        if self.count == 1:
            return [thing]
        things: list[Any] = [None] * self.count
        dist.all_gather_object(things, thing)
        return things

    def gather(self, thing: Shared) -> list[Shared]:
        """The objects of all processes by rank on the first process; on others, only their own."""
        things: list[Any] = [None] * self.count if self.rank == 0 and self.count > 1 else [thing]
        if self.count > 1:
            dist.gather_object(thing, things if self.rank == 0 else None)
        return things

    def gather_sorted(self, numbered: Mapping[int, Shared]) -> list[Shared]:
        """All processes' values in the order of their keys on the first process; else their own."""
        merged = {key: each for part in self.gather(numbered) for key, each in part.items()}
        return [merged[key] for key in sorted(merged)]

    def first_then_others(self, make: Callable[[], Shared]) -> Shared:
        """Call `make` in the first process, then in the others, which find the files on disk."""
        own = [make()] if self.rank == 0 else []
        self.broadcast(None)
        return own[0] if own else make()

    def broadcast(self, thing: Shared) -> Shared:
        """The object of the first process."""
        things = [thing]
        if self.count > 1:
            dist.broadcast_object_list(things)
        return things[0]


ALONE = ProcessGroup()


@dataclass
class AnyRankFlag:
    """A question to all processes at every step; its answer comes a step late, to avoid waiting."""

    group: ProcessGroup
    asked: tuple[Tensor, Any] | None = None

    def __call__(self, mine: bool) -> bool:
        """Whether any process said yes in the previous call; a single process answers at once."""
        if self.group.count == 1:
            return mine
        before, votes = self.asked, torch.tensor([int(mine)])
        self.asked = votes, dist.all_reduce(votes, dist.ReduceOp.MAX, async_op=True)
        if before is None:
            return False
        before[1].wait()
        return bool(before[0])


@contextmanager
def join_group(device: torch.device) -> Iterator[ProcessGroup]:
    """Join the processes that torch's elastic launch started, by NCCL on GPUs and gloo on CPUs.

    A process without such a launch is a group of its own. Raises EchoError if a process fails
    after another process.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    launched = dist.is_torchelastic_launched()
    restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) if launched else 0
    if not launched or int(os.environ["WORLD_SIZE"]) == 1:
        yield ProcessGroup(restarts=restarts)
        return
    agents, rank, count = next(rendezvous("env://"))
    # The agents' store outlives a restart and holds addresses of processes that are gone.
    store = PrefixStore(f"attempt {restarts}", agents)
    backend, own = ("cpu:gloo,cuda:nccl", device) if device.type == "cuda" else ("gloo", None)
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, device_id=own)
    try:
        yield ProcessGroup(rank, count, int(os.environ["LOCAL_WORLD_SIZE"]), store, restarts)
    except FAILURES as error:
        if isinstance(error, RuntimeError):
            time.sleep(LOST)  # the agent must first see the lost process that may be the cause
        if device.type == "cpu":  # NCCL would wait for processes that wait for this one
            dist.destroy_process_group()
        if store.add("failures", 1) > 1:
            raise EchoError(store.get("failure").decode()) from error
        kind = "ValueError" if isinstance(error, OSError) else type(error).__name__
        store.set("failure", f"{kind}: {error}")
        raise
    dist.destroy_process_group()
