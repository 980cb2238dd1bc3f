"""A state dict of OpenAI's codes, of which a `like` says what its shapes do not."""

from collections.abc import Mapping

from omegaconf import DictConfig

from ddpm_cli.foreign.entries import NamedTensors, openai_entries
from ddpm_cli.foreign.model import ForeignModel, outline, reference_options
from ddpm_cli.foreign.openai_flags import IMAGE_CHANNELS

FIRST, LAST = "input_blocks.0.0.weight", "out.2.weight"
SHOWN = 3  # names in a message
KINDS = {  # the begin of a name, and what a file with such names is
    "network.": "it is a checkpoint of ddpm-train already",
    "ema.": "it is a checkpoint of ddpm-train already",
    "conv_in.": "it is a network of diffusers: name its folder, which holds config.json",
    "model.diffusion_model.": "it is a latent diffusion model, of no images",
}


def refuse_others(state: NamedTensors) -> None:
    """Refuse weights of anything but a network that draws whole images, by what they are."""
    for begin, kind in KINDS.items():
        if any(name.startswith(begin) for name in state):
            raise ValueError(kind)
    has_input, has_output = (
        any(name.startswith(f"{way}_blocks.") for name in state) for way in ("input", "output")
    )
    if has_input and not has_output:
        raise ValueError("it is a classifier, which draws no images (it has no output_blocks)")
    if not has_input or FIRST not in state or LAST not in state or state[FIRST].ndim != 4:
        names = ", ".join(sorted(state)[:SHOWN])
        raise ValueError(f"its tensors ({names}, ...) are of no network that is known here")
    inputs, outputs = state[FIRST].shape[1], state[LAST].shape[0]
    if inputs == 2 * IMAGE_CHANNELS and outputs in (IMAGE_CHANNELS, 2 * IMAGE_CHANNELS):
        raise ValueError(
            f"it is an upsampler, which draws from a small image "
            f"(it has {inputs} channels in, {outputs} out)"
        )


def openai_model(
    config: DictConfig,
    state: NamedTensors,
    *,
    sides: list[int],
    classes: list[str],
    origin: Mapping[str, str],
) -> ForeignModel:
    """The model of a state dict that `refuse_others` lets pass, by a configuration.

    sides: H and W of the images. Raises ValueError if the configuration builds no reference UNet.
    """
    reference_options(config, "like")
    shape = [state[FIRST].shape[1], *sides]
    own = outline(config, shape, classes)
    return ForeignModel(config, shape, classes, openai_entries(own), state, dict(origin))
