"""The folder of a model for another program: its files, a card, and samples."""

from pathlib import Path
from typing import Any

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.export.card import Contents, card_text, code
from ddpm_cli.commands.export.model_folder import CARD, save_samples
from ddpm_cli.commands.export.other_programs import NETWORK_FILE, diffusers_files, openai_files
from ddpm_cli.components import build_diffusion
from ddpm_cli.files import save_text, write_folder
from ddpm_cli.foreign.openai_flags import Flags
from ddpm_cli.run_folder.evaluations import run_of

SCRIPT_CLASSES = 1000  # NUM_CLASSES in script_util.py
DIFFUSERS_FILES = {
    "model_index.json": "the pipeline's parts; source, licence and class names in `_ddpm_cli`",
    "unet/config.json": "the network's options",
    "unet/diffusion_pytorch_model.safetensors": "the network's weights",
    "scheduler/scheduler_config.json": "the schedule, and what the network predicts",
}


def write_program_folder(
    folder: Path, checkpoint: Checkpoint, *, to: str, licence: str | None, trust: list[str]
) -> None:
    """Write a new folder for diffusers or OpenAI's codes, if these compute what we do.

    to: diffusers or openai. checkpoint: with its EMA alone. trust: the user's own modules in it.
    Raises ValueError with the reason if they do not, and writes nothing then.
    """
    run = run_of(checkpoint.path)
    if to == "diffusers":
        fill_files = diffusers_files(checkpoint, trust, licence)
        contents = Contents("diffusers", diffusers_use(checkpoint, folder.name), DIFFUSERS_FILES)
    else:
        fill_files, flags, rows = openai_files(checkpoint, trust)
        files = {NETWORK_FILE: f"the network's weights by the names of {flags.package}"}
        contents = Contents(flags.package, openai_use(flags, rows, checkpoint), files)

    def fill(partial: Path) -> None:
        fill_files(partial)
        samples = save_samples(partial, run, checkpoint.step)
        files = {**contents.files, **dict.fromkeys(samples, "samples of the run")}
        own = Contents(contents.library, contents.use, files)
        save_text(partial / CARD, card_text(folder.name, checkpoint, run, own, licence=licence))

    write_folder(folder, fill)


def diffusers_use(checkpoint: Checkpoint, folder: str) -> str:
    """How diffusers draws images with a model, in Markdown."""
    model: Any = checkpoint.config.model
    if model.get("conditional"):
        count = len(checkpoint.classes)
        lines = f"""from diffusers import UNet2DModel

unet = UNet2DModel.from_pretrained("{folder}", subfolder="unet")
output = unet(x_t, t, class_labels=labels).sample"""
        none = f", {count} for none" * model.network.get("null_label", True)
        rule = f"t is 0 to T - 1; labels are int64 [B], 0 to {count - 1}{none}. "
        rule += "The pipelines draw without labels, which this network does not."
        return f"{code(lines, 'python')}\n\n{rule}"
    lines = f"""from diffusers import DDPMPipeline

pipeline = DDPMPipeline.from_pretrained("{folder}")
image = pipeline(num_inference_steps={build_diffusion(checkpoint.config).steps}).images[0]"""
    if model.variance == "learned":
        rule = "DDIMPipeline does not know a learned variance."
        return f"{code(lines, 'python')}\n\n{rule}"
    lines = f"""from diffusers import DDIMPipeline

pipeline = DDIMPipeline.from_pretrained("{folder}")
image = pipeline(num_inference_steps=50, use_clipped_model_output=True).images[0]"""
    rule = "These are the steps of `ddpm-sample sampler=ddim sampler.spacing=trailing`. "
    rule += "DDPMPipeline draws the ancestral sampler's."
    return f"{code(lines, 'python')}\n\n{rule}"


def openai_use(flags: Flags, rows: int, checkpoint: Checkpoint) -> str:
    """How the scripts of OpenAI's codes draw images with a model, in Markdown."""
    place = "github.com/openai/" + flags.package.replace("_", "-")
    command = f"python image_sample.py --model_path {NETWORK_FILE} {flags.text}"
    notes = [f"In the folder of scripts of {place}:", code(command, "sh")]
    if rows not in (0, SCRIPT_CLASSES):
        notes.append(f"Set NUM_CLASSES = {rows} in {flags.package}/script_util.py first.")
    if rows > len(checkpoint.classes):
        notes.append(f"Label {rows - 1} is no label.")
    return "\n\n".join(notes)
