"""Processes, devices, precision: nothing outside this folder knows on how many, on what, or how exactly a network is computed."""

from ddpm_cli.parallel.devices import Late, described, device_named, unsynchronised, wrapped
from ddpm_cli.parallel.flops import Arithmetic, flops, peak
from ddpm_cli.parallel.group import ALONE, EchoError, Ranks, Vote, joined, places
from ddpm_cli.parallel.precision import TYPES, Precision, computed, on_device, overflowed, sampled, scaler_for
from ddpm_cli.parallel.state_dicts import load_network, load_optimizer, network_state, optimizer_state, unwrapped
