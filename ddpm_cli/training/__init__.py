"""Training: its options, the state it changes, and a loop that yields after every step."""

from ddpm_cli.losses.batch import Loss
from ddpm_cli.training.fit import Progress, fit
from ddpm_cli.training.fixed_noise_losses import fixed_losses
from ddpm_cli.training.noising import noise_batch
from ddpm_cli.training.state import TrainState, copy_buffers, update_ema
from ddpm_cli.training.trainer import Trainer, try_optimizer
