"""CUDA graphs: the kernels of functions, captured once and replayed without Python."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

Replay: TypeAlias = Callable[[], Tensor]


def capture_graphs(functions: Sequence[Replay]) -> list[Replay]:
    """Capture functions that are always called in this order; each replay runs the same kernels.

    A function runs once, its kernels not at all. It reads and writes tensors that stay where they
    are, and asks the device for no number. Raises RuntimeError where one does.
    """
    pool = torch.cuda.graph_pool_handle()
    return [capture_graph(function, pool) for function in functions]


def capture_graph(function: Replay, pool: Any) -> Replay:
    """Capture one function; graphs that are replayed in turns share the memory of a pool."""
    graph = torch.cuda.CUDAGraph()
    # other threads go on to pin memory and to copy
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
