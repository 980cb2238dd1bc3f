"""The values that a recipe chooses from, in one table for each kind of device.

Costs follow from the FLOPs of the UNet, forward and backward, which `image_flops` estimates.
"""

from dataclasses import dataclass
from typing import Any

HOURS = 8.0  # the longest run without minutes: overnight
TIMED = 0.85  # the share of the time that is left for steps
SMALL_SET = 1000  # images; a larger set gets fewer passes, by the square root of its size
STAGES = {8: [1, 2, 2, 2], 4: [1, 2, 2], 2: [1, 2], 1: [1]}  # by what the image's sides divide by
FLOPS_PER_WEIGHT = 450  # of an image, by dim^2 pixels of each stage; within 15 % from dim 32 on
LR_TIMES_DIM, LOWEST_LR, HIGHEST_LR = 0.032, 2e-4, 1e-3
HALF_LIFE = 0.015  # of the EMA, as a share of the steps
LOWEST_EMA, HIGHEST_EMA = 0.9, 0.9999
WARMUP, LONGEST_WARMUP = 0.05, 1000  # as a share of the steps, and in steps
COMPILED = 1800.0  # the seconds of a run on a GPU from which compiling pays
FEWEST_UPDATES = 1500  # below, the batch is halved
LEAST_BATCH = 16
SMALLEST = 8  # the smallest size of images that is chosen
BATCH_BYTES = 100  # of an image's backward pass, for each pixel and each unit of dim
OBJECTIVE: dict[str, Any] = {
    "model.predicts": "v",
    "loss": {"_target_": "ddpm_cli.losses.min_snr", "gamma": 5.0, "distance": "l2"},
}


@dataclass(frozen=True)
class Rung:
    """A size of images and a width of the network, and the images that it has to see to be good."""

    size: int
    dim: int
    images: int


@dataclass(frozen=True)
class Machine:
    """The choices for a kind of device.

    flops: its FLOP/s, of a CPU those of a core. rungs: the best first; the last is always allowed.
    batch: the usual batch. small: the size of images of a small set. passes: over a small set.
    seen: the fewest images that a run sees in all.
    """

    flops: float
    rungs: tuple[Rung, ...]
    batch: int
    small: int
    passes: int
    seen: int


CPU = Machine(
    flops=5e10,
    rungs=(
        Rung(64, 64, 150_000),
        Rung(64, 48, 150_000),
        Rung(64, 32, 150_000),
        Rung(32, 64, 150_000),
        Rung(32, 48, 100_000),
        Rung(32, 32, 40_000),
        Rung(16, 32, 0),
    ),
    batch=32,
    small=32,
    passes=300,
    seen=50_000,
)
GPU = Machine(
    flops=3e13,
    rungs=(Rung(64, 128, 1_000_000), Rung(64, 64, 300_000), Rung(32, 64, 0)),
    batch=128,
    small=64,
    passes=3000,
    seen=1_000_000,
)
MPS = Machine(
    flops=2e12,
    rungs=(Rung(64, 64, 300_000), *CPU.rungs[3:]),
    batch=64,
    small=64,
    passes=600,
    seen=300_000,
)
MACHINES = {"cpu": CPU, "cuda": GPU, "mps": MPS}
