"""CUDA graphs: the kernels of functions, captured once and replayed without Python."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ddpm_cli.shapes import Images, Labels, Maps, NetworkTimes

PADDED = 20  # padded calls of a smaller size, before the size has a graph of its own
log = logging.getLogger(__name__)
Inputs: TypeAlias = tuple[Images, NetworkTimes, Labels | None]
Replay: TypeAlias = Callable[[], Tensor]


def capture_graphs(functions: Sequence[Replay]) -> list[Replay]:
    """Capture functions that are always called in this order; each replay runs the same kernels.

    Each function runs once, without its kernels. It must read and write tensors that stay in place.
    Raises RuntimeError if a function asks the device for a number.
    """
    pool = new_pool()
    return [capture_graph(function, pool) for function in functions]


def new_pool() -> Any:
    """A memory pool for graphs that never run at the same time."""
    return torch.cuda.graph_pool_handle()


def capture_graph(function: Replay, pool: Any) -> Replay:
    """Capture one function, with its memory in a pool."""
    graph = torch.cuda.CUDAGraph()
    # other threads still pin memory and copy during the capture
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        result = function()
    return partial(replay, graph, result)


def replay(graph: torch.cuda.CUDAGraph, result: Tensor) -> Tensor:
    """Run the kernels of a graph; return the tensor that they write."""
    graph.replay()
    return result


def addresses(tensors: Sequence[Tensor]) -> list[int]:
    """Where tensors lie in memory; a graph reads and writes nowhere else."""
    return [tensor.data_ptr() for tensor in tensors]


class ReplayedNetwork(nn.Module):
    """A network without gradients, replayed from a CUDA graph for each size of batch.

    The first batch of a size runs plainly, and the next is captured. A smaller last batch is padded
    to a captured size. All run plainly if gradients are enabled or a capture has failed.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.calls = Counter[tuple[Any, int]]()
        self.graphs: dict[tuple[Any, int], tuple[Inputs, Replay]] = {}
        self.pool: Any = None
        self.captures = True

    def forward(self, x: Images, t: NetworkTimes, label: Labels | None = None) -> Maps:
        if torch.is_grad_enabled() or not self.captures:
            return self.module(x, t, label)
        kind, size = (x.shape[1:], x.dtype, label is None, self.module.training), len(x)
        self.calls[kind, size] += 1
        sizes = [each for other, each in self.graphs if other == kind and each >= size]
        if size not in sizes and self.calls[kind, size] > (PADDED if sizes else 1):
            sizes += self.capture(kind, (x, t, label))
        if not sizes:
            return self.module(x, t, label)
        inputs, replayed = self.graphs[kind, min(sizes)]
        for mine, new in zip(inputs, (x, t, label), strict=True):
            if mine is not None and new is not None:
                mine[:size].copy_(new)
        return replayed()[:size].clone()

    def capture(self, kind: Any, inputs: Inputs) -> list[int]:
        """Capture the network for these inputs; return their size, or nothing if that fails."""
        x, t, label = inputs
        static = x.clone(), t.clone(), None if label is None else label.clone()
        self.pool = self.pool or new_pool()
        try:
            graph = capture_graph(partial(self.module, *static), self.pool)
        except RuntimeError as error:
            why = " ".join(str(error).split())[:200]
            log.warning("warning: no CUDA graphs of the network, which waits for Python: %s", why)
            self.captures = False
            return []
        self.graphs[kind, len(x)] = static, graph
        return [len(x)]


def replay_on_cuda(network: nn.Module) -> nn.Module:
    """The network, replayed from CUDA graphs if it is on CUDA."""
    is_on_cuda = next(network.parameters()).device.type == "cuda"
    return ReplayedNetwork(network) if is_on_cuda else network
