"""The group of processes that work on one thing: this one's share, and what all of them agree on."""

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

Found = TypeVar("Found")
LOST = 1.0  # seconds in which torch's agent, which looks ten times in one, sees a process that was killed
FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class EchoError(ValueError):
    """The failure of a process after another one's, which is told in its place."""

    told = True


@dataclass(frozen=True)
class ProcessGroup:
    """This process among `count` that work together, `here` of them on this machine; alone, nothing is exchanged."""

    rank: int = 0
    count: int = 1
    here: int = 1
    store: Store | None = None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.rank == 0

    def part(self, total: int) -> slice:
        """Which of `total` things are this process's: contiguous, and as many as the others' or one more."""
        return slice(total * self.rank // self.count, total * (self.rank + 1) // self.count)

    def dealt(self, total: int) -> Iterator[int]:
        """The numbers below `total`, each to the process that asks for one first: nobody waits longer than for a last one."""
        return (
            iter(range(total))
            if self.store is None
            else takewhile(lambda each: each < total, map(self.ticket, repeat(self.store)))
        )

    def ticket(self, store: Store) -> int:
        """The next number that no process has had."""
        return store.add("ticket", 1) - 1

    def total(self, number: Tensor) -> Tensor:
        """The sum of all processes' numbers."""
        if self.count > 1:
            dist.all_reduce(number := number.clone())
        return number

    def gathered(self, thing: Found) -> list[Found]:
        """What every process has, in the order of their ranks."""
        if self.count == 1:
            return [thing]
        things: list[Any] = [None] * self.count
        dist.all_gather_object(things, thing)
        return things

    def collected(self, thing: Found) -> list[Found]:
        """What every process has, in the order of their ranks, for the first one; for the others their own."""
        things: list[Any] = [None] * self.count if self.first and self.count > 1 else [thing]
        if self.count > 1:
            dist.gather_object(thing, things if self.first else None)
        return things

    def in_order(self, found: Mapping[int, Found]) -> list[Found]:
        """What all processes have found by number, in the order of the numbers, for the first one; for the others their own."""
        every = {number: each for part in self.collected(found) for number, each in part.items()}
        return [every[number] for number in sorted(every)]

    def in_turn(self, make: Callable[[], Found]) -> Found:
        """What every process makes for itself, the others once the first one has: of what is kept on a disk they find it made."""
        made = [make()] if self.first else []
        self.shared(None)
        return made[0] if made else make()

    def shared(self, thing: Found) -> Found:
        """What the first process has."""
        things = [thing]
        if self.count > 1:
            dist.broadcast_object_list(things)
        return things[0]


ALONE = ProcessGroup()


@dataclass
class AnyRankFlag:
    """A question put to all processes at every step; the answer is that of the step before, so that nobody waits for it."""

    ranks: ProcessGroup
    asked: tuple[Tensor, Any] | None = None

    def __call__(self, mine: bool) -> bool:
        """Whether any process said yes by the call before; alone, by this one."""
        if self.ranks.count == 1:
            return mine
        before, votes = self.asked, torch.tensor([int(mine)])
        self.asked = votes, dist.all_reduce(votes, dist.ReduceOp.MAX, async_op=True)
        if before is None:
            return False
        before[1].wait()
        return bool(before[0])


@contextmanager
def join_group(device: torch.device) -> Iterator[ProcessGroup]:
    """The group that torch's elastic launch has started this process in, or this process alone; NCCL on GPUs, gloo on the CPU."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if launched_rank()[1] == 1:
        yield ProcessGroup()
        return
    agents, rank, count = next(rendezvous("env://"))
    store = PrefixStore(
        f"attempt {restart_count()}", agents
    )  # which outlives a restart, with the addresses of processes that are gone
    backend, own = ("cpu:gloo,cuda:nccl", device) if device.type == "cuda" else ("gloo", None)
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, device_id=own)
    try:
        yield ProcessGroup(rank, count, int(os.environ["LOCAL_WORLD_SIZE"]), store)
    except FAILURES as error:
        if isinstance(
            error, RuntimeError
        ):  # perhaps of a process that was lost, which is to be seen first
            time.sleep(LOST)
        if device.type == "cpu":  # NCCL would wait for processes that wait for this one
            dist.destroy_process_group()
        if store.add("failures", 1) > 1:
            raise EchoError(store.get("failure").decode()) from error
        store.set(
            "failure",
            f"{'ValueError' if isinstance(error, OSError) else type(error).__name__}: {error}",
        )
        raise
    dist.destroy_process_group()


def restart_count() -> int:
    """How often torchrun has started the processes anew after one was lost."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))


def launched_rank() -> tuple[int, int, int]:
    """(rank, number of processes, place on this machine) that torch's elastic launch gave this process; (0, 1, 0) without it."""
    if not dist.is_torchelastic_launched():
        return 0, 1, 0
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
