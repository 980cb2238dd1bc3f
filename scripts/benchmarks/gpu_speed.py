"""The speed on one GPU: training and sampling steps, in one run with a tutorial's and others'."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from baseline import DIFFUSION, Task, project, state_of, tutorial
from gpu_commands import Check, run_command
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.hardware import count_flops, measure_peak, on_device, prepare_for_sampling
from ddpm_cli.hardware.graphs import replay_on_cuda
from ddpm_cli.samplers import ancestral
from ddpm_cli.seeds import Purpose, keyed_normal

DIGITS = Task(16, (1, 2, 4), 8, 64, 1)
SMALL, LARGE = Task(128, (1, 2, 2, 2), 32, 128), Task(128, (1, 2, 4), 64, 128)
WARM = 6  # steps before the timing, in which a step is captured
SECONDS, MOST = 2.0, 200  # limits of the timed steps
TARGETS = {"digits": "20,000 images/s", "32 px": "8,000 images/s", "64 px": "2.5 tutorial's"}
CUDA = torch.device("cuda")


def time_steps(task: Task, label: str, steps: Callable[[], Iterator[object]]) -> str:
    """Time the steps of one side, and compare them with a tutorial's of the same task."""
    tutorial_step, _ = tutorial_seconds(task)
    torch.cuda.reset_peak_memory_stats()
    step, host = step_seconds(steps())
    flops = task.batch * (count_flops(task.network(), (task.channels, task.size, task.size)) or 0)
    share = f"{flops / step / measure_peak(CUDA, torch.bfloat16):4.0%} of the peak in bf16"
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:5.2f} GiB"
    speed = f"{task.batch / step:9,.0f} images/s {1e3 * step:7.2f} ms, host {1e3 * host:6.2f} ms"
    ratio = f"{tutorial_step / step:5.2f} x tutorial"
    return f"{speed}, {ratio}, {memory}, {share} (target {TARGETS[label]})"


@cache
def tutorial_seconds(task: Task) -> tuple[float, float]:
    """The seconds of a tutorial's step, and those of the host; timed once."""
    return step_seconds(tutorial(task, CUDA))


def step_seconds(side: Iterator[object]) -> tuple[float, float]:
    """The mean seconds of a step, and those of the host, which may end before the device."""
    torch.cuda.empty_cache()
    take(side, WARM)
    once = seconds_of(side, 2) / 2
    count = int(min(MOST, max(3, SECONDS / once)))
    since = time.perf_counter()
    take(side, count, wait=False)
    host = (time.perf_counter() - since) / count
    torch.cuda.synchronize()
    return (time.perf_counter() - since) / count, host


def take(side: Iterator[object], count: int, *, wait: bool = True) -> None:
    """Take steps, and wait for the device."""
    for _ in islice(side, count):
        pass
    if wait:
        torch.cuda.synchronize()


def seconds_of(side: Iterator[object], count: int) -> float:
    """The seconds of some steps."""
    since = time.perf_counter()
    take(side, count)
    return time.perf_counter() - since


def project_steps(
    task: Task, precision: str, *, compiled: bool = False, **options: Any
) -> Iterator[object]:
    """The project's steps on the GPU."""
    state = state_of(task, precision, device=CUDA, compiled=compiled)
    return project(task, state, precision=precision, compile=compiled, **options)


def peer_steps(build: Callable[[], torch.nn.Module], task: Task) -> Iterator[object]:
    """Steps of another project's network as its own trainer takes them: autocast to bf16, Adam."""
    network = build().to(CUDA)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    x0 = torch.randn(task.batch, 3, task.size, task.size, device=CUDA)
    while True:
        optimizer.zero_grad()
        t, eps = torch.randint(0, 1000, (task.batch,), device=CUDA), torch.randn_like(x0)
        with torch.autocast("cuda", torch.bfloat16):
            output = network(0.6 * x0 + 0.8 * eps, t)
        F.mse_loss(getattr(output, "sample", output).float(), eps).backward()
        optimizer.step()
        yield


def lucidrains() -> torch.nn.Module:
    """The network of denoising-diffusion-pytorch."""
    from denoising_diffusion_pytorch import Unet

    return Unet(dim=SMALL.dim, dim_mults=SMALL.mults)


def diffusers() -> torch.nn.Module:
    """The network of diffusers for CIFAR-10."""
    from diffusers import UNet2DModel

    widths = {"block_out_channels": (128, 256, 256, 256), "layers_per_block": 2}
    down = ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D")
    up = ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D")
    return UNet2DModel(sample_size=32, down_block_types=down, up_block_types=up, **widths)


def digits_run(device: str) -> str:
    """The default run of the command, from step 500 to step 2,500 of 20,000, without cadences."""
    cadences = [f"trainer.{name}_every=20000" for name in ("evaluate", "sample", "checkpoint")]
    length = ("trainer.steps=20000", "trainer.stop_at=2500", "trainer.log_every=500")
    run_command("train", *length, *cadences, "hydra.run.dir=digits")
    rows = [json.loads(line) for line in Path("digits/metrics.jsonl").read_text().splitlines()]
    speeds = [row["images_per_second"] for row in rows if row["step"] > 500]
    return f"{sum(speeds) / len(speeds):9,.0f} images/s (target {TARGETS['digits']})"


def sampling_step(device: str) -> str:
    """A step of 256 images of 32 px, over the time of the network's own kernels."""
    network = prepare_for_sampling(on_device(SMALL.network(), CUDA), "bf16")
    denoiser = Denoiser(DIFFUSION, replay_on_cuda(network))
    images = torch.arange(256, device=CUDA)

    @torch.no_grad()
    def steps() -> Iterator[object]:
        x = torch.zeros(256, 3, 32, 32, device=CUDA)
        noise = partial(keyed_normal, seed=0, purpose=Purpose.SAMPLE_STEPS, step=0, images=images)
        yield from ancestral(denoiser, DIFFUSION, x, range(1000, -1, -1), noise)

    side = steps()
    take(side, 3)
    step = seconds_of(side, 20) / 20
    x, t = torch.zeros(256, 3, 32, 32, device=CUDA), torch.zeros(256, device=CUDA)
    with torch.no_grad(), profile(activities=[ProfilerActivity.CUDA]) as trace:
        network(x, t)
        torch.cuda.synchronize()
    own = sum(kernel_times(trace).values())
    speed = f"{256 / step:9,.0f} images/s a step {1e3 * step:7.2f} ms"
    return f"{speed}, {step / own:5.2f} x the network's kernels (target 1.05)"


def largest_kernels(device: str) -> str:
    """The ten largest kernels of a captured step at 64 px, and the launches of the host."""
    side = project_steps(LARGE, "bf16")
    take(side, WARM)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as trace:
        take(side, 2)
    times, host = kernel_times(trace), Counter(event.name for event in trace.events())
    launches = {name: host[name] // 2 for name in ("cudaLaunchKernel", "cudaGraphLaunch")}
    for name, seconds in times.most_common(10):
        print(f"      {500 * seconds:8.3f} ms  {name[:100]}")
    total = f"{500 * sum(times.values()):.2f} ms of kernels a step at 64 px"
    return f"{total}; launches of the host: {launches}"


def kernel_times(trace: profile) -> Counter[str]:
    """The seconds of each kernel."""
    times = Counter[str]()
    for event in trace.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            times[event.name] += event.device_time / 1e6
    return times


def training(task: Task, label: str, precisions: dict[str, dict[str, Any]]) -> dict[str, Check]:
    """The checks of a task: the tutorial's step, then the project's."""
    sides: dict[str, Callable[[], Iterator[object]]] = {"tutorial": partial(tutorial, task, CUDA)}
    sides |= {name: partial(project_steps, task, **options) for name, options in precisions.items()}
    return {
        f"{label} {name}": lambda device, side=side: time_steps(task, label, side)
        for name, side in sides.items()
    }


PLAIN = {"precision": "bf16", "graphs": False}
FULL = {"precision": "fp32"}
BOTH = {"fp32": FULL, "bf16 plain": PLAIN, "bf16": {"precision": "bf16"}}
COMPILED = {"precision": "bf16", "compiled": True}
PEERS = {"denoising_diffusion_pytorch": lucidrains, "diffusers": diffusers}

SPEED: dict[str, Check] = {
    "digits, ddpm-train": digits_run,
    **training(DIGITS, "digits", {"fp32 plain": {**PLAIN, "precision": "fp32"}, "fp32": FULL}),
    **training(SMALL, "32 px", BOTH),
    **{
        f"32 px {name}": lambda device, build=build: time_steps(
            SMALL, "32 px", partial(peer_steps, build, SMALL)
        )
        for name, build in PEERS.items()
        if find_spec(name)
    },
    **training(LARGE, "64 px", BOTH),
    "sampling 256 of 32 px": sampling_step,
    "64 px bf16 compiled": lambda device: time_steps(
        LARGE, "64 px", partial(project_steps, LARGE, **COMPILED)
    ),
    "32 px bf16 compiled": lambda device: time_steps(
        SMALL, "32 px", partial(project_steps, SMALL, **COMPILED)
    ),
}
