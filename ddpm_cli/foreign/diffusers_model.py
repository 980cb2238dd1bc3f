"""A network and a scheduler of diffusers as that package runs them, if it is installed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ddpm_cli.foreign.difference import OtherModel, import_package
from ddpm_cli.foreign.entries import NamedTensors
from ddpm_cli.shapes import Images, Labels
from ddpm_cli.versions import package_version

NAME = "diffusers"
DRAWS = 8  # of a step, by which its mean and its deviation are known


def import_diffusers() -> Any:
    """The package, which warns of errors alone; or why there is none, in words."""
    package = import_package(NAME)
    logging: Any = package if isinstance(package, str) else import_package(NAME, "utils.logging")
    if isinstance(logging, str):
        return logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return package


def diffusers_model(
    package: Any, network: Mapping[str, Any], state: NamedTensors, scheduler: Mapping[str, Any]
) -> OtherModel:
    """The model of two configurations and a state, built and run by diffusers."""
    unet = package.UNet2DModel.from_config(dict(network))
    unet.load_state_dict(state)
    return running_model(package, unet, package.DDPMScheduler.from_config(dict(scheduler)))


def exported_model(package: Any, folder: Path) -> OtherModel:
    """The model that diffusers itself loads from a folder."""
    pipeline = package.DDPMPipeline.from_pretrained(str(folder), local_files_only=True)
    return running_model(package, pipeline.unet, pipeline.scheduler)


def running_model(package: Any, unet: Any, scheduler: Any) -> OtherModel:
    """A model of diffusers, to be compared. Its scheduler clips x_0, as ours does.

    The scheduler returns x_s alone, which is linear in the noise: mean + deviation * noise.
    """
    unet.eval()
    clipping = {"clip_sample": True, "clip_sample_range": 1.0, "thresholding": False}
    scheduler = package.DDPMScheduler.from_config(scheduler.config, **clipping)

    def output(x: Images, t: int, label: Labels | None) -> Images:
        images: Images = unet(x, t, class_labels=label).sample
        return images

    def step(output: Images, t: int, x: Images) -> tuple[Images, Images]:
        draws = [draw(output, t, x, seed) for seed in range(DRAWS)]
        noises, images = map(torch.stack, zip(*draws, strict=True))
        centred = noises - noises.mean(dim=0)
        deviation = (images * centred).sum(dim=0) / centred.square().sum(dim=0)
        return images.mean(dim=0) - deviation * noises.mean(dim=0), deviation

    def draw(output: Images, t: int, x: Images, seed: int) -> tuple[Images, Images]:
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
        own = torch.Generator().manual_seed(seed)  # of which the scheduler draws the same noise
        return noise, scheduler.step(output, t, x, generator=own).prev_sample

    return OtherModel(f"{NAME} {package_version(NAME)}", output, step)
