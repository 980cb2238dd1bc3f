"""Processes, devices, precision: only this folder knows where and how a network computes."""

from ddpm_cli.parallel.devices import (
    AsyncScalar,
    device_text,
    find_device,
    is_out_of_memory,
    memory_fault,
    without_sync,
)
from ddpm_cli.parallel.flops import FlopCount, count_flops, measure_peak
from ddpm_cli.parallel.group import ALONE, AnyRankFlag, EchoError, ProcessGroup, join_group
from ddpm_cli.parallel.precision import (
    TYPES,
    Precision,
    has_overflowed,
    on_device,
    prepare_for_sampling,
    prepare_for_training,
)
from ddpm_cli.parallel.state_dicts import (
    load_network,
    load_optimizer,
    network_state,
    optimizer_state,
    unwrap,
)
