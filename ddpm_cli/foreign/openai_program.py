"""A model as improved-diffusion or guided-diffusion run it, if the package is installed."""

from typing import Any

import torch

from ddpm_cli.foreign.difference import OtherModel, import_package
from ddpm_cli.foreign.entries import NamedTensors
from ddpm_cli.foreign.openai_flags import Flags
from ddpm_cli.shapes import Images, Labels


def openai_program(flags: Flags, state: NamedTensors, rows: int) -> OtherModel | str:
    """The model that the scripts build by their flags, or why they cannot be imported, in words.

    rows: of the table of labels.
    """
    scripts: Any = import_package(flags.package, "script_util")
    if isinstance(scripts, str):
        return scripts
    before, scripts.NUM_CLASSES = scripts.NUM_CLASSES, rows
    try:
        options = {**scripts.model_and_diffusion_defaults(), **flags.values}
        network, process = scripts.create_model_and_diffusion(**options)
    finally:
        scripts.NUM_CLASSES = before
    network.load_state_dict(dict(state))
    network.eval()

    def output(x: Images, t: int, label: Labels | None) -> Images:
        named = {} if label is None else {"y": label}
        images: Images = process._wrap_model(network)(x, torch.full((len(x),), t), **named)
        return images

    def step(output: Images, t: int, x: Images) -> tuple[Images, Images]:
        times = torch.full((len(x),), t)
        moments = process.p_mean_variance(lambda *_: output, x, times, clip_denoised=True)
        deviation = (0.5 * moments["log_variance"]).exp() * (t > 0)  # the last step adds no noise
        return moments["mean"], deviation

    return OtherModel(flags.package, output, step)
