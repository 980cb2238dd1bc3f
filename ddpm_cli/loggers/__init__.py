"""Loggers: functions of (run, *, options) that open a service or files for the events of a run."""

from ddpm_cli.loggers.mlflow import mlflow
from ddpm_cli.loggers.tensorboard import tensorboard
from ddpm_cli.loggers.trackio import trackio
from ddpm_cli.loggers.wandb import wandb
