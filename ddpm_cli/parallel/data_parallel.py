"""A network shared by several GPUs or processes, which add up their gradients."""

from contextlib import AbstractContextManager, nullcontext

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ddpm_cli.hardware import data_parallel_gpus
from ddpm_cli.parallel.group import ALONE, ProcessGroup


def distribute(network: nn.Module, parallel: str, group: ProcessGroup = ALONE) -> nn.Module:
    """Share a network with the other processes by DistributedDataParallel.

    parallel: `dp` is DataParallel over the GPUs of one process; with less than two it is the
    network itself.
    """
    device = next(network.parameters()).device
    if parallel == "dp":
        gpus = data_parallel_gpus(device)
        return nn.DataParallel(network, gpus) if len(gpus) > 1 else network
    if group.count == 1:
        return network
    ids = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(network, ids, gradient_as_bucket_view=True)


def without_sync(network: nn.Module) -> AbstractContextManager[None]:
    """A context in which gradients add up in this process without an exchange."""
    return network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext()
