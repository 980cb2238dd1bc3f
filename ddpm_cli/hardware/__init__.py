"""The device, its precision and its speed: what a single process knows of the machine."""

from ddpm_cli.hardware.compilation import check_compiler, compile_for_sampling
from ddpm_cli.hardware.devices import (
    AsyncScalar,
    copies_asynchronously,
    device_text,
    find_device,
    is_out_of_memory,
    memory_fault,
    to_device,
)
from ddpm_cli.hardware.flops import FlopCount, count_flops, measure_peak
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
