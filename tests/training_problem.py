"""A tiny training problem: recipe, state and batches."""

from functools import partial

import torch

from ddpm_cli import losses, schedules
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.hardware import prepare_for_training
from ddpm_cli.image_sets import ImageSet
from ddpm_cli.loading import BatchDataset, batches
from ddpm_cli.networks.unet import UNet
from ddpm_cli.parallel import distribute, load_optimizer, network_state, optimizer_state
from ddpm_cli.training import Trainer, TrainState, fit
from ddpm_cli.training.snapshot import optimized_parameters

DIFFUSION = GaussianDiffusion.from_betas(schedules.cosine())

IMAGES = torch.randint(
    0, 256, (20, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)

DATA = ImageSet(IMAGES, None, [])

LABELLED = ImageSet(IMAGES, torch.arange(20) % 4, list("abcd"))

RECIPE = {
    **{
        "device": "cpu",
        "parallel": "none",
        "steps": 10,
        "epochs": None,
        "stop_at": None,
        "batch_size": 6,
        "lr_schedule": "cosine",
    },
    **{
        "warmup": 2,
        "grad_clip": 1.0,
        "parameter_groups": [],
        "freeze": [],
        "label_dropout": 0.1,
        "ema": 0.9,
        "ema_lengths": None,
        "ema_every": "auto",
        "log_every": 1,
        "loggers": [],
        "evaluate_every": 1,
        "measures": [],
        "measure_every": 1,
        "measure_images": 2,
        "best": "held_out",
        "sample_every": 1,
        "checkpoint_every": 1,
        "keep_last": 1,
        "bad_steps": 3,
        "microbatch": None,
        "processes": 1,
        "workers": 0,
        "precision": "fp32",
        "compile": False,
        "graphs": "auto",
        "activation_checkpointing": False,
        "deterministic": False,
        "minutes": None,
        "keep_every": None,
        "offset_noise": 0.0,
        "input_perturbation": 0.0,
    },
}


def trainer(**changes):
    return Trainer(partial(torch.optim.AdamW, lr=1e-2), **{**RECIPE, **changes})


def fresh(parallel="none", fused=True, dropout=0.1, lr=1e-2, dim=8, classes=0):
    torch.manual_seed(0)
    network = UNet(1, 1, classes, dim=dim, dim_mults=(1, 2), dropout=dropout)
    network = prepare_for_training(network, "fp32", compiled=False, recomputed=False)
    network = distribute(network, parallel)
    denoiser = Denoiser(DIFFUSION, network, conditional=classes > 0)
    return TrainState.fresh(denoiser, partial(torch.optim.AdamW, lr=lr, fused=fused))


def trained(state, recipe, steps=10, data=DATA):
    stream = batches(BatchDataset(data, 6, 0, True), start=state.step)
    return list(fit(recipe, state, stream, losses.l2, steps=steps, seed=0))


def named(state):
    return optimized_parameters(state.denoiser.network, state.loss_module)


def moments(state):
    """The state of a run's optimizer, by the name of the parameter."""
    return optimizer_state(state.optimizer, named(state))


def load_moments(state, moments):
    load_optimizer(state.optimizer, moments, named(state))


def weights(network):
    return torch.cat([tensor.flatten() for tensor in network_state(network).values()])
