"""Optimizers: tried before they are needed, and stepped without waiting for the device."""

from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer

from ddpm_cli.shapes import Flag


def step_unless(skipped: Flag, optimizer: Optimizer) -> None:
    """A step of the optimizer; fused ones with moments skip it on the device, the others wait for the flag."""
    # a first step that is skipped would leave moments unfilled: it is waited for
    if optimizer.state and getattr(optimizer, "_step_supports_amp_scaling", False):
        optimizer.found_inf = skipped.float()  # type: ignore[attr-defined]
        optimizer.step()
    elif not skipped:
        optimizer.step()


def try_optimizer(optimizer: Callable[..., Optimizer]) -> Callable[..., Optimizer]:
    """The optimizer, after a step with it; ValueError where its options or its kind do not go with this loop."""
    parameter = nn.Parameter(torch.zeros(2, 2))
    parameter.grad = torch.zeros_like(parameter)
    try:
        optimizer([parameter]).step()
    except (ValueError, RuntimeError, TypeError, NameError, AssertionError) as error:
        raise ValueError(f"trainer.optimizer: {error}") from error
    return optimizer
