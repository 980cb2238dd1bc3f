"""A folder of diffusers: a UNet2DModel and its scheduler, in a pipeline or side by side."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import Tensor

from ddpm_cli.checkpoints.faults import NAME, are_texts
from ddpm_cli.config.plain_text import bounded_text, plain_yaml
from ddpm_cli.foreign.entries import NamedTensors, diffusers_entries
from ddpm_cli.foreign.json_fields import JsonFields
from ddpm_cli.foreign.model import UNKNOWN, ForeignModel, numbered_classes, outline, plain_config
from ddpm_cli.foreign.schedulers import limits_of, meaning_of, schedule_of
from ddpm_cli.foreign.unet_config import MOST_CLASSES, network_options, sides_of
from ddpm_cli.foreign.weights_file import read_weights

UNET, SCHEDULER, PIPELINE = "config.json", "scheduler_config.json", "model_index.json"
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
PIPELINE_PARTS = ("unet", "scheduler")  # of a pipeline that draws images
DENOISER = "ddpm_cli.denoiser.Denoiser"
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
OLD_NAME = re.compile(rf"(attentions\.\d+)\.({'|'.join(OLD_NAMES)})\.")
FRONT_MATTER = re.compile(r"---\r?\n(.*?)\r?\n---\r?\n", re.DOTALL)
ORIGIN = ("source", "licence")
LONGEST = 100  # characters of a licence, or of a name
OURS = "_ddpm_cli"  # the field of a pipeline in which an export keeps what diffusers does not


def is_diffusers(folder: Path) -> bool:
    """Whether a folder holds a network of diffusers."""
    return (folder / UNET).is_file() or (folder / "unet" / UNET).is_file()


def read_folder(folder: Path) -> tuple[ForeignModel, JsonFields, JsonFields]:
    """The model in a folder, and the configurations of its network and its scheduler.

    Raises ValueError with the field or the tensor that cannot be expressed here.
    """
    pipeline = pipeline_of(folder)
    unet = folder / "unet" if (folder / "unet" / UNET).is_file() else folder
    places = [folder, folder / "scheduler", folder.parent / "scheduler"]
    scheduler = next((each / SCHEDULER for each in places if (each / SCHEDULER).is_file()), None)
    if scheduler is None:
        raise ValueError(f"{str(folder)!r} has no {SCHEDULER}: its schedule is not known")
    network, process = JsonFields.read(unet / UNET), JsonFields.read(scheduler)
    options, meaning = network_options(network), meaning_of(process)
    channels = network.get("in_channels", int, 3)
    outputs = channels * (2 if meaning["variance"] == "learned" else 1)
    if network.get("out_channels", int, 3) != outputs:
        allowed = f"{outputs}, as in_channels and variance_type have it"
        raise ValueError(f"{network.file}: {network.rule('out_channels', allowed)}")
    weights = next((unet / each for each in WEIGHTS if (unet / each).is_file()), None)
    if weights is None:
        raise ValueError(f"{str(unet)!r} has none of {' and '.join(WEIGHTS)}")
    extra = facts_of(folder, pipeline)
    has_classes = network.get("num_class_embeds", int | None, None) is not None
    rows = network.count("num_class_embeds", 0, MOST_CLASSES) if has_classes else 0
    classes, options["null_label"] = classes_of(extra, rows)
    model = {"_target_": DENOISER, **meaning, "conditional": rows > 0, "network": options}
    config, shape = plain_config(model, schedule_of(process)), [channels, *sides_of(network)]
    own = outline(config, shape, classes)
    origin = {"source": UNKNOWN, "licence": UNKNOWN, **known_origin(extra)}
    foreign = ForeignModel(
        config=config,
        shape=shape,
        classes=classes,
        entries=diffusers_entries(own, options),
        state=with_new_names(read_weights(weights)),
        origin={**origin, "file": f"{folder.resolve().name[:LONGEST]}, a folder of diffusers"},
        limits=limits_of(process),
    )
    foreign.check()
    return foreign, network, process


def pipeline_of(folder: Path) -> JsonFields:
    """The pipeline in a folder, or in the folder above its network; no fields if there is none.

    Raises ValueError if the pipeline has more parts than a network and a scheduler.
    """
    places = [folder, *[folder.resolve().parent] * (folder.resolve().name == "unet")]
    path = next((each / PIPELINE for each in places if (each / PIPELINE).is_file()), None)
    if path is None:
        return JsonFields(PIPELINE, {})
    pipeline = JsonFields.read(path)
    for name, value in pipeline.values.items():
        is_part = not name.startswith("_") and isinstance(value, list) and any(value)
        if is_part and name not in PIPELINE_PARTS:
            more = f"the part {name[:LONGEST]!r} beside {' and '.join(PIPELINE_PARTS)}"
            raise ValueError(
                f"{PIPELINE} names {more}: it is a latent diffusion model, of no images"
            )
    return pipeline


def facts_of(folder: Path, pipeline: JsonFields) -> dict[str, Any]:
    """What diffusers does not keep: {classes, null_label, origin} of our exports, or a licence."""
    own: dict[str, Any] = pipeline.get(OURS, dict, {})
    if own:
        return own
    try:
        match = FRONT_MATTER.match(bounded_text(folder / "README.md"))
        front = plain_yaml(match[1]) if match else {}
    except ValueError:
        front = {}
    licence = front.get("license") if isinstance(front, Mapping | DictConfig) else None
    is_name = isinstance(licence, str) and 0 < len(licence) <= LONGEST and licence.isprintable()
    return {"origin": {"licence": licence}} if is_name else {}


def known_origin(facts: Mapping[str, Any]) -> dict[str, str]:
    """The texts of source and licence in a folder's facts. Raises ValueError for other values."""
    origin = facts.get("origin")
    texts = origin if isinstance(origin, dict) else {}
    known = {name: texts[name] for name in ORIGIN if name in texts}
    for name, text in known.items():
        if not are_texts([text], NAME):
            rule = f"{OURS}.origin.{name} must be a text of at most {NAME} characters"
            raise ValueError(f"{PIPELINE}: {rule}")
    return known


def classes_of(facts: Mapping[str, Any], rows: int) -> tuple[list[str], bool]:
    """The names of classes, and whether the last row of their table is for no label.

    Raises ValueError for names that are not those of the rows.
    """
    if "classes" not in facts:
        return numbered_classes(rows), False
    classes, null_label = facts["classes"], facts.get("null_label") is True
    count = rows - null_label
    if not (isinstance(classes, list) and len(classes) == count and are_texts(classes, NAME)):
        rule = f"{OURS}.classes must be {count:,} names of at most {NAME} characters"
        raise ValueError(f"{PIPELINE}: {rule}, as num_class_embeds has it")
    return classes, null_label


def with_new_names(state: NamedTensors) -> dict[str, Tensor]:
    """The tensors by the names that diffusers gives them today."""
    return {
        OLD_NAME.sub(lambda each: f"{each[1]}.{OLD_NAMES[each[2]]}.", name): tensor
        for name, tensor in state.items()
    }
