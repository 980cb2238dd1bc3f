"""Going on with a run: where its checkpoint lies, and whether it is the same run."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf

from ddpm_cli import checkpoints
from ddpm_cli.config import differences
from ddpm_cli.parallel import Ranks
from ddpm_cli.training.trainer import CADENCES

SAME = ("model.", "schedule.", "seed", "trainer.batch_size", "data.holdout")
OF_SOURCE = ("_target_", "path", "name", "split", "image_column", "label", "cache", "on_error")  # the fingerprint tells what matters
FREE = ("sampler.", "resume", "trust", *(f"data.{name}" for name in OF_SOURCE))
OF_STREAM = ("data.name", "data.split")  # are told where only the first images have a fingerprint
HOW = ("device", "parallel", "processes", "workers", "microbatch", "precision", "compile", "activation_checkpointing")
FREE_OF_TRAINER = (*HOW, *CADENCES, "measures", "measure_images", "best", "stop_at", "keep_last", "bad_steps")
LATER: dict[str, Any] = {  # what options that older checkpoints lack were in their runs
    "model.conditional": False,
    "data.holdout": 0.0,
    "data.streaming": False,
    "data.crop": "center",
    "data.margin": 0.125,
    "loss.distance": "l2",
    "schedule.zero_snr": False,
    "train_times": {"_target_": "ddpm_cli.train_times.uniform"},
    "trainer.best": "held_out",
    "trainer.offset_noise": 0.0,
    "trainer.input_perturbation": 0.0,
}
Found = TypeVar("Found", bound=tuple[Path, dict[str, Any]] | None)
log = logging.getLogger(__name__)


def agreed(ranks: Ranks, find: Callable[[], Found]) -> Found:
    """The checkpoint that the first process finds, read by every one."""
    found: Any = find() if ranks.first else None
    path = ranks.shared(found and found[0])
    both: Any = found or (path and (path, checkpoints.load(path)))
    return both


def wanted(resume: str | None, folder: Path, named: bool) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint to go on from and what is in it, if any; ValueError where a run would be lost or cannot be found."""
    there = checkpoints.newest_first(folder)
    if resume == "auto":
        if not named:
            raise ValueError("resume=auto goes on in the folder that hydra.run.dir=FOLDER names, but none is named")
        return newest_good(there) if there else None
    found = Path(resume).expanduser() if resume else None
    if there and found is None:
        held = f"hydra.run.dir={str(folder)!r} holds a run already ({there[0].name})"
        raise ValueError(f"{held}; go on with resume=auto, or name another folder")
    newest = found is not None and (found.name == "last.pt" or (found.is_file() and bool(there) and found.samefile(there[0])))
    if there and found and found.resolve().parent == there[0].resolve().parent and not newest:
        held = f"{str(folder)!r} holds newer checkpoints ({there[0].name})"
        raise ValueError(f"{held}, which going on from {found.name} would lose; name another folder")
    return (found, checkpoints.load(found)) if found else None


def newest_good(paths: Sequence[Path]) -> tuple[Path, dict[str, Any]]:
    """The first checkpoint that can be read; says which were skipped and why. ValueError where none can."""
    for path in paths:
        try:
            return path, checkpoints.load(path)
        except ValueError as error:
            log.info("skipped   %s", error)
    raise ValueError(f"none of the {len(paths)} checkpoints in {str(paths[0].parent)!r} can be read; to start again, name another folder")


def changes(content: Mapping[str, Any], cfg: DictConfig, data: str, steps: int) -> list[str]:
    """What differs from the run in the checkpoint and makes the rest another one; ValueError for what must not differ."""
    unused = ["trainer.label_dropout"] * (not OmegaConf.select(cfg, "model.conditional", default=False))
    unused += ["data.margin"] * (OmegaConf.select(cfg, "data.crop", default="center") != "random")
    told = OF_STREAM if OmegaConf.select(cfg, "data.streaming", default=False) else ()
    free = (*(name for name in FREE if name not in told), *(f"trainer.{name}" for name in FREE_OF_TRAINER), *unused)
    found = [(key, before, after) for key, before, after in apart(content["config"], cfg) if not key.startswith(free)]
    broken = [f"{key} was {short(before)} and is {short(after)}" for key, before, after in found if key.startswith(SAME)]
    broken += ["the images are others (their fingerprint differs)"] * (content["data"] != data)
    if broken:
        raise ValueError(f"cannot resume: {'; '.join(broken)}")
    length = [("steps in all", content["facts"]["steps"], steps)] * (content["facts"]["steps"] != steps)
    return [f"{key}: {short(before)} -> {short(after)}" for key, before, after in [*found, *length]]


def changes_of_best(old: DictConfig, cfg: DictConfig) -> list[str]:
    """What differs so that numbers of before are none to be the best among."""
    of_samples = () if cfg.trainer.best == "held_out" else ("trainer.measure_images", "sampler.")
    wanted = ("trainer.best", *of_samples)
    return [f"{key}: {short(before)} -> {short(after)}" for key, before, after in apart(old, cfg) if key.startswith(wanted)]


def apart(old: DictConfig, new: DictConfig) -> Iterator[tuple[str, Any, Any]]:
    """The options that differ, those that an older checkpoint lacks as they were in its run."""
    before, after = (OmegaConf.to_container(each, resolve=True) for each in (old, new))
    known = ((key, LATER.get(key) if one is None else one, other) for key, one, other in differences(before, after))
    return ((key, one, other) for key, one, other in known if one != other)


def short(value: Any) -> str:
    """A value for the screen: of a long list the ends."""
    long = isinstance(value, list) and len(value) > 8
    return f"[{value[0]}, ..., {value[-1]}]" if long else repr(value)
