"""The values that a search tries: those of the options that the checkpoint can vary."""

from collections.abc import Sequence
from typing import Any

from ddpm_cli.commands.tune.options import Options
from ddpm_cli.commands.tune.variant import COORDINATES
from ddpm_cli.console import fact
from ddpm_cli.denoiser import Denoiser

WITHOUT_LABELS = "the checkpoint is unconditional, and there is no guide"
WITHOUT_SCALES = "guidance names no scale other than 1"


def ranges_of(
    options: Options, denoiser: Denoiser, without_lengths: str, typed: Sequence[str]
) -> dict[str, list[Any]]:
    """The values of each coordinate that the checkpoint can vary.

    without_lengths: the reason why the run has no lengths of the EMA; "" if it has. typed: the
    overrides of the user. Values that the user has typed and that cannot be are refused by
    ValueError; others are left out with a line.
    """
    values, names = options.values, {each.lstrip("+").partition("=")[0] for each in typed}
    steps = denoiser.diffusion.steps
    is_guided = options.guide is not None or (denoiser.conditional and not denoiser.needs_label)
    scales = [scale for scale in options.guidance if scale != 1]
    unguided = "" if is_guided else WITHOUT_LABELS
    unscaled = unguided or ("" if scales else WITHOUT_SCALES)
    reasons = {"lengths": without_lengths, "guidance": unguided}
    reasons |= {"guiders": unscaled, "intervals": unscaled}
    for name in [name for name in values if reasons.get(name)]:
        if name in names:
            raise ValueError(f"{name} cannot be varied: {reasons[name]}")
        fact("left out", f"{name}: {reasons[name]}")
        del values[name]
    if "steps" in values and "steps" not in names:
        values["steps"] = [each for each in values["steps"] if each == "all" or each <= steps]
    if not values:
        raise ValueError(f"nothing can be varied among {', '.join(COORDINATES)}")
    return values
