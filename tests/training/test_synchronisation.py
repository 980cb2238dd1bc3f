"""A step asks the device for no number, and takes few operations."""

from dataclasses import replace

import pytest
import torch
from operations import CountOperations, NoSynchronisation
from small_networks import small_network
from torch.amp import GradScaler
from torch.utils._python_dispatch import _disable_current_modes

from ddpm_cli.components import build_denoiser, build_diffusion, build_loss, build_time_sampler
from ddpm_cli.config import CONFIG_DIR
from ddpm_cli.config.build import bind, build
from ddpm_cli.hardware import on_device, prepare_for_training
from ddpm_cli.loading import Batch
from ddpm_cli.training import TrainState, noising
from ddpm_cli.training import step as training_step
from ddpm_cli.training.fit import step_inputs
from ddpm_cli.training.step import TrainStep

CPU, META = torch.device("cpu"), torch.device("meta")
BATCH = Batch(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4) % 2, torch.arange(4))
SMALL = (
    *("model.network.dim=8", "model.network.dim_mults=[1,2]", "trainer.batch_size=4"),
    "trainer.ema_lengths=[0.05,0.10]",
)
CHOICES = {
    group: [path.stem for path in sorted((CONFIG_DIR / group).glob("*.yaml"))]
    for group in ("loss", "train_times", "model")
}


def first_step(cfg, device, batch=BATCH, precision="fp32"):
    """The step function of a configuration, its inputs and its state."""
    diffusion = build_diffusion(cfg)
    trainer = build(cfg, "trainer", bind(cfg, "trainer.optimizer"))
    denoiser = build_denoiser(cfg, diffusion, batch.images.shape[1:], 2)
    denoiser = replace(denoiser, network=on_device(denoiser.network, device))
    loss = build_loss(cfg)
    module = loss.to(device) if isinstance(loss, torch.nn.Module) else None
    times = build_time_sampler(cfg, diffusion)
    options = {"loss_module": module, "time_sampler": times, "ema_lengths": trainer.ema_lengths}
    state = TrainState.fresh(denoiser, trainer.optimizer, **options)
    network = prepare_for_training(denoiser.network, precision, compiled=False, recomputed=False)
    state.denoiser = replace(denoiser, network=network)
    state.scaler = GradScaler(device.type, init_scale=1.0, enabled=precision == "fp16")
    inputs, _ = step_inputs(trainer, state, batch, 0, 100)
    return TrainStep(trainer, state, loss, inputs, 0), inputs, state


def options(loss, *more):
    variance = "learned" if loss in ("hybrid", "vlb") else "small"
    return (*SMALL, f"loss={loss}", f"model.variance={variance}", "model.conditional=true", *more)


@pytest.mark.parametrize("times", CHOICES["train_times"])
@pytest.mark.parametrize("loss", CHOICES["loss"])
def test_a_step_runs_on_tensors_without_values(composed, monkeypatch, loss, times):
    monkeypatch.setattr(training_step, "step_optimizer", lambda *_: None)  # fused: not on meta
    noise = ("trainer.offset_noise=0.1", f"train_times={times}")
    step, inputs, state = first_step(composed("train", *options(loss, *noise)), META)
    step.compute_gradients(inputs)
    assert step.update().device == META
    assert all(each.grad is not None for each in state.parameters)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("loss", CHOICES["loss"])
def test_a_step_reads_no_number_and_copies_nothing_between_devices(composed, loss, precision):
    cfg = composed("train", *options(loss, f"trainer.precision={precision}"))
    step, inputs, state = first_step(cfg, CPU, precision=precision)
    step(inputs)  # fills the state of the optimizer
    step.fill(inputs)
    assert state.optimizer.state
    with NoSynchronisation():
        for function in step.functions:
            function()


@pytest.mark.parametrize("choice", CHOICES["model"])
def test_a_step_of_every_network_reads_no_number_in_bf16(composed, choice):
    given = "model.conditional=true", "trainer.batch_size=4", "trainer.precision=bf16"
    cfg = composed("train", *small_network(choice), *given, "loss=hybrid", "model.variance=learned")
    step, inputs, _ = first_step(cfg, CPU, precision="bf16")
    step(inputs)
    step.fill(inputs)
    with NoSynchronisation():
        for function in step.functions:
            function()


@pytest.mark.parametrize("size", [8, 16])
def test_a_step_in_half_precision_takes_few_operations(composed, monkeypatch, size):
    """Keyed noise, one kernel on CUDA, counts as one; its operations here are printed."""
    noise, draw = CountOperations(), noising.keyed_normal

    def drawn_aside(*args, **options):
        with _disable_current_modes(), noise:
            return draw(*args, **options).clone()

    cfg = composed("train", "model.network.dim=32", f"trainer.batch_size={size}")
    images = torch.zeros(size, 3, 16, 16, dtype=torch.uint8)
    batch = Batch(images, None, torch.arange(size))
    step, inputs, _ = first_step(cfg, CPU, batch, "bf16")
    step(inputs)
    step.fill(inputs)
    monkeypatch.setattr(noising, "keyed_normal", drawn_aside)
    with CountOperations() as operations:
        for function in step.functions:
            function()
    total = 1 + operations.counts.total()
    print(f"{total} operations, {noise.counts.total()} more for keyed noise")
    assert total <= 650, operations.counts.most_common(30)
    assert noise.counts.total() <= 150
