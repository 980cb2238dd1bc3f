"""The device, its precision and its speed: what a single process knows of the machine."""

from ddpm_cli.hardware.compilation import check_compiler, compile_for_sampling
from ddpm_cli.hardware.determinism import deterministic_kernels, set_workspace
from ddpm_cli.hardware.devices import (
    AsyncScalar,
    copies_asynchronously,
    data_parallel_gpus,
    device_text,
    find_device,
    refill,
    seed_generators,
    to_device,
)
from ddpm_cli.hardware.flops import FlopCount, count_flops, measure_peak, peak_text
from ddpm_cli.hardware.full_memory import (
    SMALLER_NETWORK,
    full_memory_text,
    is_out_of_memory,
    memory_fault,
    words_for_full_memory,
)
from ddpm_cli.hardware.layout import Layout, choose_layout, layout_of
from ddpm_cli.hardware.memory import free_memory, peak_memory, total_memory
from ddpm_cli.hardware.precision import (
    TYPES,
    Precision,
    has_overflowed,
    on_device,
    prepare_for_sampling,
    prepare_for_training,
)
