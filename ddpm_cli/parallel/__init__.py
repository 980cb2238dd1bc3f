"""Processes, devices, precision: nothing outside this folder knows on how many, on what, or how exactly a network is computed."""

from ddpm_cli.parallel.devices import WRAPPERS, described, device_named
from ddpm_cli.parallel.state import load_network, load_optimizer, network_state, optimizer_state, unwrapped

__all__ = ["WRAPPERS", "described", "device_named", "load_network", "load_optimizer", "network_state", "optimizer_state", "unwrapped"]
