"""Deterministic kernels, by which equal steps give equal bits on one GPU too."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import deterministic

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # environment variable that cuBLAS reads as it starts
COMPILER = "TORCHINDUCTOR_DETERMINISTIC"  # Inductor then chooses no kernel by timing
WITHOUT_FORM = re.compile(r"(\S+) does not have a deterministic implementation")
ATTENTIONS = {  # of attention: only the math kernel sums its gradients in one order
    "math_sdp": True,
    "flash_sdp": False,
    "mem_efficient_sdp": False,
    "cudnn_sdp": False,
}


def set_workspace() -> None:
    """Give cuBLAS workspaces of a fixed size; call it in every process before CUDA starts.

    Without `trainer.deterministic`, too: cuBLAS and torch read the setting once, and a later job of
    the same process may need it. On recent GPUs it is the size that torch takes anyway.
    """
    os.environ.setdefault(WORKSPACE, ":4096:8")


@contextmanager
def deterministic_kernels(asked: bool, device: torch.device) -> Iterator[None]:
    """Use deterministic kernels in this context, if `asked`; restore the settings at its end.

    Raises ValueError for an operation that has no deterministic form.
    """
    if not asked:
        yield
        return
    before, compiler = settings(), os.environ.get(COMPILER)
    apply_settings(strict_settings(device))
    os.environ[COMPILER] = "1"
    try:
        yield
    except (RuntimeError, ValueError) as error:  # ValueError if a check has reworded the error
        if (fault := determinism_fault(str(error), device)) is None:
            raise
        raise ValueError(fault) from error
    finally:
        apply_settings(before)
        os.environ.pop(COMPILER)
        if compiler is not None:
            os.environ[COMPILER] = compiler


def settings() -> dict[str, Any]:
    """The settings of torch on which the choice of kernels depends."""
    return {
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "warn": torch.is_deterministic_algorithms_warn_only_enabled(),
        "fill": deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        "convolutions": torch.backends.cudnn.deterministic,
        "benchmark": torch.backends.cudnn.benchmark,
        **{name: getattr(torch.backends.cuda, f"{name}_enabled")() for name in ATTENTIONS},
    }


def strict_settings(device: torch.device) -> dict[str, Any]:
    """The settings for equal bits; the CPU keeps its attention, whose sums have an order."""
    strict = {
        "algorithms": True,
        "convolutions": True,
        "warn": False,
        "fill": False,
        "benchmark": False,
    }
    attention = ATTENTIONS if device.type == "cuda" else {}
    return settings() | strict | attention


def apply_settings(chosen: dict[str, Any]) -> None:
    """Apply settings as `settings` returns them."""
    torch.use_deterministic_algorithms(chosen["algorithms"], warn_only=chosen["warn"])
    deterministic.fill_uninitialized_memory = chosen["fill"]  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = chosen["convolutions"]
    torch.backends.cudnn.benchmark = chosen["benchmark"]
    for name in ATTENTIONS:
        getattr(torch.backends.cuda, f"enable_{name}")(chosen[name])


def determinism_fault(message: str, device: torch.device) -> str | None:
    """Why torch refuses an operation as not deterministic, with the remedy; None if it does not."""
    if name := WITHOUT_FORM.search(message):
        remedy = "choose another part, or trainer.deterministic=false"
        fault = f"{name[1]} has no deterministic form on {device.type}"
        return f"trainer.deterministic=true: {fault}; {remedy}"
    if WORKSPACE in message:
        value = f"must be :4096:8 or :16:8, but is {os.environ.get(WORKSPACE)!r}"
        return f"trainer.deterministic=true: {WORKSPACE} {value} in the environment"
    return None
