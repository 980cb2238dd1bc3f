"""The values that a search tries: those of the options that the checkpoint can vary."""

from collections.abc import Sequence
from typing import Any

from ddpm_cli.commands.tune.options import Options
from ddpm_cli.commands.tune.variant import COORDINATES
from ddpm_cli.console import fact
from ddpm_cli.denoiser import NEEDS_LABEL, Denoiser

WITHOUT_CLASSES = "the checkpoint is unconditional, and there is no guide"
WITHOUT_LABEL = "label is null, and there is no guide"
WITHOUT_SCALES = "guidance names no scale other than 1"


def ranges_of(
    options: Options,
    denoiser: Denoiser,
    without_lengths: str,
    typed: Sequence[str],
    has_label: bool,
) -> dict[str, list[Any]]:
    """The values of each coordinate that the checkpoint can vary.

    without_lengths: the reason why the run has no lengths of the EMA; "" if it has. typed: the
    overrides of the user. has_label: whether images have a class. Values that the user has typed
    and that cannot be are refused by ValueError; others are left out with a line.
    """
    values, names = options.values, {each.lstrip("+").partition("=")[0] for each in typed}
    steps = denoiser.diffusion.steps
    scales = [scale for scale in options.guidance if scale != 1]
    unguided = "" if options.guide is not None else reason_unguided(denoiser, has_label)
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


def reason_unguided(denoiser: Denoiser, has_label: bool) -> str:
    """The reason why nothing can be guided without a guide; "" if it can."""
    if not denoiser.conditional:
        return WITHOUT_CLASSES
    if not has_label:
        return WITHOUT_LABEL
    return NEEDS_LABEL if denoiser.needs_label else ""
