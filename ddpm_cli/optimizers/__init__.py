"""Optimizers: groups of parameters by patterns, Muon, and optimizers with two sets of weights."""

from ddpm_cli.optimizers.muon import Muon
