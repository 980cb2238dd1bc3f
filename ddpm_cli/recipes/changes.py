"""The differences between a checkpoint's recipe and the recipe that a resumed run would follow."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.rules import data_rules
from ddpm_cli.config.schema import option_differences
from ddpm_cli.config.values import yaml_text
from ddpm_cli.seeds import RANDOMNESS
from ddpm_cli.training.trainer import CADENCES

SAME = (
    *("model.", "schedule.", "seed", "trainer.batch_size"),
    *("data.holdout", "data.held_out_split"),
)
SOURCE = (  # by fingerprint alone
    "_target_ path name split image_column label cache on_error pages rules range"
)
FREE = (
    "sampler.",
    "guider",
    "previews",
    "logger",
    "resume",
    "init",
    "trust",
    "auto",
    *(f"data.{name}" for name in SOURCE.split()),
)
STREAM = ("data.name", "data.split")  # not free in a stream: its fingerprint is of a few images
HOW = "device parallel processes workers microbatch precision compile activation_checkpointing"
BESIDE = "loggers measures measure_images best stop_at keep_last bad_steps deterministic graphs"
FREE_OF_TRAINER = (*HOW.split(), *CADENCES, *BESIDE.split())
LATER: dict[str, Any] = {  # the value that an option had before checkpoints held it
    "model.conditional": False,
    "model.time_scale": 1.0,
    "model.network.attention_at": [],
    "data.holdout": 0.0,
    "data.held_out_split": None,
    "data.streaming": False,
    "data.crop": "center",
    "data.margin": 0.125,
    "loss.distance": "l2",
    "schedule.zero_snr": False,
    "previews": {
        **{"label": "auto", "guidance": 1.0, "guidance_interval": None, "guide": None},
        **{"threshold": "static", "quantile": 0.995},
    },
    "train_times": {"_target_": "ddpm_cli.train_times.uniform"},
    "trainer.best": "held_out",
    "trainer.parameter_groups": [],
    "trainer.freeze": [],
    "trainer.offset_noise": 0.0,
    "trainer.input_perturbation": 0.0,
}


def run_identity(cfg: DictConfig, data: str, init: Mapping[str, str]) -> str:
    """The identity of a new run: a digest of all that decides its weights.

    data: the fingerprint of the images. init: the facts of the first weights.
    """
    beside = (*FREE, *(f"trainer.{name}" for name in FREE_OF_TRAINER))
    options = single_options(OmegaConf.to_container(cfg, resolve=True))
    deciding = sorted((key, value) for key, value in options if not key.startswith(beside))
    return sha256(repr((deciding, data, sorted(init.items()))).encode()).hexdigest()[:32]


def single_options(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the options of a plain configuration, with the text of each value."""
    for name, value in node.items():
        if isinstance(value, dict):
            yield from single_options(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", repr(value)


def recipe_changes(checkpoint: Checkpoint, cfg: DictConfig, data: str, steps: int) -> list[str]:
    """The changes since the checkpoint that make the rest of the run differ.

    Raises ValueError for options that must not differ, and for other images.
    """
    unused = ["trainer.label_dropout"] * (not option(cfg, "model.conditional", False))
    unused += ["data.margin"] * (option(cfg, "data.crop", "center") != "random")
    fixed = STREAM if option(cfg, "data.streaming", False) else ()
    free = [name for name in FREE if name not in fixed]
    free += [*(f"trainer.{name}" for name in FREE_OF_TRAINER), *unused]
    changes = [
        (key, brief_value(before), brief_value(after))
        for key, before, after in changed_options(checkpoint.config, cfg)
        if not key.startswith(tuple(free))
    ]
    broken = [f"{key} was {old} and is {new}" for key, old, new in changes if key.startswith(SAME)]
    if checkpoint.fingerprint != data:
        broken.append(
            f"the images are others (their fingerprint differs{rules_remedy(checkpoint, cfg)})"
        )
    if broken:
        raise ValueError(f"cannot resume: {'; '.join(broken)}")
    if checkpoint.randomness != RANDOMNESS:
        new = f"{RANDOMNESS}, so that best metric and held-out history start anew"
        changes.append(("randomness", str(checkpoint.randomness), new))
    if checkpoint.steps != steps:
        changes.append(("steps in all", str(checkpoint.steps), str(steps)))
    return [f"{key}: {old} -> {new}" for key, old, new in changes]


def rules_remedy(checkpoint: Checkpoint, cfg: DictConfig) -> str:
    """The option that reads the images as the run did, if the rules have changed since."""
    before, now = data_rules(checkpoint.config), data_rules(cfg)
    if None in (before, now) or before == now:
        return ""
    remedy = f"data.rules={before} reads images, classes and labels as before"
    return f": data.rules was {before} and is {now}; {remedy}"


def best_metric_changes(old: DictConfig, cfg: DictConfig) -> list[str]:
    """The changes after which no earlier checkpoint can count as the best."""
    sampled = ("trainer.measure_images", "sampler.", "guider", "previews")
    of_samples = () if cfg.trainer.best == "held_out" else sampled
    return [
        f"{key}: {brief_value(before)} -> {brief_value(after)}"
        for key, before, after in changed_options(old, cfg)
        if key.startswith(("trainer.best", *of_samples))
    ]


def changed_options(old: DictConfig, new: DictConfig) -> Iterator[tuple[str, Any, Any]]:
    """Yield the options that differ. An option that an older checkpoint lacks has its old value."""
    before, after = (OmegaConf.to_container(each, resolve=True) for each in (old, new))
    for key, one, other in option_differences(before, after):
        one = LATER.get(key) if one is None else one
        if one != other:
            yield key, one, other


def option(cfg: DictConfig, key: str, default: Any) -> Any:
    """The value of an option that a configuration may lack."""
    return OmegaConf.select(cfg, key, default=default)


def brief_value(value: Any) -> str:
    """A value for the screen; a long list is shown by its first and last element."""
    long = isinstance(value, list) and len(value) > 8
    return f"[{value[0]}, ..., {value[-1]}]" if long else yaml_text(value)
