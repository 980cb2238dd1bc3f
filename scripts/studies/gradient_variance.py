#!/usr/bin/env python
"""Print how much the gradient of a run varies from batch to batch, by its sampler of times.

It takes the weights and the history of a checkpoint of train_times=loss_aware on the digits.
Each row has the mean of the gradient's norm, its variance, and the mean squared distance of
gradients from their mean, the last two as ratios to uniform times; images, noise and batches are
the same.

  ddpm-train loss=vlb model.variance=learned train_times=loss_aware train_times.kept=3 \\
      trainer.steps=2000 hydra.run.dir=aware
  scripts/studies/gradient_variance.py aware/checkpoints/last.safetensors
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import Tensor

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.components import build_time_sampler, load_denoiser
from ddpm_cli.config.build import bind_options, build
from ddpm_cli.data import Preparation
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.loading import BatchDataset
from ddpm_cli.losses import vlb
from ddpm_cli.seeds import Purpose
from ddpm_cli.train_times import History, TimeSampler, stratified, uniform
from ddpm_cli.training.noising import keyed_uniforms, noise_batch

CPU = torch.device("cpu")


def gradients(draw: TimeSampler, history: History, args: argparse.Namespace) -> Iterator[Tensor]:
    """Yield the gradient of each batch, as one vector."""
    checkpoint = Checkpoint.load(args.ckpt)
    denoiser, cfg = (
        load_denoiser(checkpoint, weights="raw", device="cpu", trust=[]),
        checkpoint.config,
    )
    preparation = bind_options(Preparation, cfg.data)()
    data, _ = load_image_set(build(cfg, "data"), preparation).split(preparation.holdout)
    parameters = list(denoiser.network.parameters())
    for step in range(args.batches):
        times = draw(keyed_uniforms(1, Purpose.TIMES, step, args.batch), history)
        batch = noise_batch(
            denoiser, BatchDataset(data, args.batch, 1, False)[step], 1, step, CPU, times=times
        )
        loss = (batch.weight * vlb(denoiser, batch)).mean()
        yield torch.cat([each.flatten() for each in torch.autograd.grad(loss, parameters)])


def spread(found: Iterator[Tensor]) -> tuple[float, float, float]:
    """Mean and variance of the norms, and the mean squared distance from the mean gradient."""
    every = torch.stack(list(found))
    norms = every.norm(dim=1)
    return (
        norms.mean().item(),
        norms.var().item(),
        (every - every.mean(0)).square().sum(1).mean().item(),
    )


def load_times(path: Path) -> tuple[TimeSampler, History]:
    """Load the run's sampler of times and its history."""
    checkpoint = Checkpoint.load(path)
    denoiser = load_denoiser(checkpoint, weights="raw", device="cpu", trust=[])
    losses = checkpoint.part("history.train_times")
    if not losses or (losses["counts"] < checkpoint.config.train_times.kept).any():
        raise SystemExit(
            "error: the checkpoint must be of train_times=loss_aware, "
            "after every time has had its losses"
        )
    history = History(denoiser.diffusion, losses["losses"].shape[1])
    history.losses.copy_(losses["losses"])
    history.counts.copy_(losses["counts"])
    return build_time_sampler(OmegaConf.create(checkpoint.config), denoiser.diffusion), history


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "ckpt", type=Path, help="a checkpoint of ddpm-train on the digits with loss=vlb"
    )
    parser.add_argument("--batches", type=int, default=200, help="batches (default: 200)")
    parser.add_argument("--batch", type=int, default=64, help="images in each (default: 64)")
    args = parser.parse_args()
    aware, history = load_times(args.ckpt)
    draws: Mapping[str, TimeSampler] = {
        "uniform": uniform,
        "stratified": stratified,
        "loss_aware": aware,
    }
    even: tuple[float, float, float] | None = None
    for name, draw in draws.items():
        mean, variance, distance = spread(gradients(draw, history, args))
        even = even or (mean, variance, distance)
        print(
            f"{name:<10}  norm {mean:8.4g}  "
            f"variance of it {variance:8.3g} ({variance / even[1]:.3f})  "
            f"squared distance from the mean gradient {distance:8.3g} ({distance / even[2]:.3f})"
        )
