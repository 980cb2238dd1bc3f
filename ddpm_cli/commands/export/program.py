"""The EMA's network as a program of `torch.export`, which runs without this package."""

import warnings
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.components import load_denoiser
from ddpm_cli.config.build import FAILURES
from ddpm_cli.files import write_atomically

SOURCES = ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node")  # paths of files


def write_program(path: Path, checkpoint: Checkpoint, trust: list[str]) -> None:
    """Write the network of the EMA as a program for batches of any size, in fp32 on the CPU.

    program(x_t [B, C, H, W], t [B]) -> output; with classes also label int64 [B], -1 for none. The
    network's t is the paper's less 1. Raises ValueError if torch cannot export the network.
    """
    denoiser = load_denoiser(checkpoint, weights="ema", device="cpu", trust=trust)
    network = denoiser.network.requires_grad_(False).to(memory_format=torch.contiguous_format)
    labels = [torch.tensor([0, 0 if denoiser.needs_label else -1])] * denoiser.conditional
    inputs = (torch.zeros(2, *checkpoint.shape), torch.tensor([0.0, 1.0]), *labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's advice to its own developers
        program = exported_program(network, inputs)
        write_atomically(path, lambda partial: save_program(program, partial))


def exported_program(
    network: nn.Module, inputs: tuple[torch.Tensor, ...]
) -> torch.export.ExportedProgram:
    """The program of a network, without the names of files and lines that it was made from."""
    batch = Dim("batch")
    try:
        program = torch.export.export(
            network, inputs, dynamic_shapes=tuple({0: batch} for _ in inputs)
        )
    except FAILURES as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"to=torch_export: torch cannot export this network: {first}") from error
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            for name in SOURCES:
                node.meta.pop(name, None)
    return program


def save_program(program: torch.export.ExportedProgram, partial: Path) -> None:
    """Save a program; torch names the folder in the archive after a file, so write to a stream."""
    with partial.open("wb") as file:
        torch.export.save(program, file)
