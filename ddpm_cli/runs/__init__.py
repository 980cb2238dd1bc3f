"""Runs: the parts put together. Each command is one function of a configuration and a folder."""

from ddpm_cli.runs.card import report
from ddpm_cli.runs.compare import compare
from ddpm_cli.runs.data import data
from ddpm_cli.runs.doctor import doctor
from ddpm_cli.runs.evaluate import evaluate
from ddpm_cli.runs.info import info
from ddpm_cli.runs.plot import plot
from ddpm_cli.runs.sample import sample
from ddpm_cli.runs.sweep import shown, sweep
from ddpm_cli.runs.train import train
