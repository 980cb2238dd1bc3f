#!/usr/bin/env python
"""Print how the errors of the solvers fall with their steps, on a flow known in closed form.

Data N(.3, .25), linear schedule, optimal denoiser. The flow goes from x = 1.7 at the last time to
1.1491722764276774 at the first noise level; steps are even in log SNR. The order is the logarithm
to base 2 of the error over that of twice the steps.
"""

import argparse
import math
from collections.abc import Callable, Iterator

import torch

from ddpm_cli import schedules
from ddpm_cli.denoiser import Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.samplers import ddim, dpmpp_2m, heun, unipc
from ddpm_cli.shapes import Images

END = 1.1491722764276774
DIFFUSION = GaussianDiffusion.from_betas(schedules.linear())
SOLVERS: dict[str, Callable[..., Iterator[Images]]] = {
    "DDIM": ddim,
    "DPM-Solver++(2M)": lambda *args: dpmpp_2m(*args, lower_order_final=False),
    "DPM-Solver++(2M), last step of first order": dpmpp_2m,
    "UniPC-2": unipc,
    "UniPC-3": lambda *args: unipc(*args, order=3),
    "Heun": heun,
}


def oracle(x: Images, t: float) -> Estimate:
    """The optimal denoiser of data N(.3, .25)."""
    alpha_bar = DIFFUSION.alpha_bar_at(t)
    eps = (1 - alpha_bar).sqrt() * (x - alpha_bar.sqrt() * 0.3) / (alpha_bar * 0.25 + 1 - alpha_bar)
    return Estimate(eps, (x - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt(), 0.0)


def error(solver: Callable[..., Iterator[Images]], steps: int) -> float:
    """The distance of a solver's end from the end of the flow."""
    ends = DIFFUSION.log_snr(torch.tensor([DIFFUSION.steps, 1])).tolist()
    times = DIFFUSION.time_of(torch.linspace(*ends, steps + 1, dtype=torch.float64)).tolist()
    *_, x = solver(
        oracle,
        DIFFUSION,
        torch.full((1, 1, 1, 1), 1.7, dtype=torch.float64),
        times,
        torch.zeros_like,
    )
    return abs(x.item() - END)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 20, 40, 80, 160, 320])
    steps = parser.parse_args().steps
    print(f"{'error at steps':44}" + "".join(f"{count:>11}" for count in steps) + "  order")
    for name, solver in SOLVERS.items():
        errors = [error(solver, count) for count in steps]
        order = math.log(errors[-2] / errors[-1]) / math.log(steps[-1] / steps[-2])
        print(f"{name:44}" + "".join(f"{each:11.3e}" for each in errors) + f"{order:7.2f}")
