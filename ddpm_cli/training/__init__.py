"""Training: a recipe, the state it changes, and a loop that yields after every step."""

from ddpm_cli.losses.batch import Loss
from ddpm_cli.training.held_out import fixed_losses
from ddpm_cli.training.noising import noise_batch
from ddpm_cli.training.options import Trainer, try_optimizer
from ddpm_cli.training.state import TrainState, update_ema
from ddpm_cli.training.trainer import Progress, fit
