"""Processes, devices, precision: nothing outside this folder knows on how many, on what, or how exactly a network is computed."""

from ddpm_cli.parallel.devices import described, device_named, unsynchronised, wrapped
from ddpm_cli.parallel.ranks import EchoError, Ranks, Vote, joined, places
from ddpm_cli.parallel.state import load_network, load_optimizer, network_state, optimizer_state, unwrapped

__all__ = [
    "EchoError",
    "Ranks",
    "Vote",
    "described",
    "device_named",
    "joined",
    "load_network",
    "load_optimizer",
    "network_state",
    "optimizer_state",
    "places",
    "unsynchronised",
    "unwrapped",
    "wrapped",
]
