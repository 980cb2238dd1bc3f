"""Going on with a run: where its checkpoint lies, and whether it is the same run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli import checkpoints
from ddpm_cli.config import differences

SAME = ("model.", "schedule.", "seed", "trainer.batch_size")
FREE = ("sampler.", "resume", "trust", "data._target_", "data.path", "data.name", "data.split", "data.image_column", "data.label_column")
FREE_OF_TRAINER = ("device", "parallel", "stop_at", "log_every", "sample_every", "checkpoint_every", "keep_last")


def wanted(resume: str | None, folder: Path, named: bool) -> Path | None:
    """The checkpoint to go on from, if any; ValueError where a run would be written over or cannot be found."""
    newest = checkpoints.newest(folder)
    if resume is None and newest is not None:
        held = f"hydra.run.dir={str(folder)!r} holds a run already ({newest.name})"
        raise ValueError(f"{held}; go on with resume=auto, or name another folder")
    if resume == "auto" and not named:
        raise ValueError("resume=auto goes on in the folder that hydra.run.dir=FOLDER names, but none is named")
    found = newest if resume in (None, "auto") else Path(resume).expanduser()
    if found and newest and found.resolve().parent == newest.resolve().parent and found.resolve().name not in (newest.name, "last.pt"):
        raise ValueError(
            f"{str(folder)!r} holds newer checkpoints ({newest.name}), which going on from {found.name} would lose; name another folder"
        )
    return found


def changes(content: Mapping[str, Any], cfg: DictConfig, data: str, steps: int) -> list[str]:
    """What differs from the run in the checkpoint and makes the rest another one; ValueError for what must not differ."""
    old, new = (OmegaConf.to_container(each, resolve=True) for each in (content["config"], cfg))
    free = (*FREE, *(f"trainer.{name}" for name in FREE_OF_TRAINER))
    found = [(key, before, after) for key, before, after in differences(old, new) if not key.startswith(free)]
    broken = [f"{key} was {before!r} and is {after!r}" for key, before, after in found if key.startswith(SAME)]
    broken += ["the images are others (their fingerprint differs)"] * (content["data"] != data)
    if broken:
        raise ValueError(f"cannot resume: {'; '.join(broken)}")
    length = [("steps in all", content["facts"]["steps"], steps)] * (content["facts"]["steps"] != steps)
    return [f"{key}: {before!r} -> {after!r}" for key, before, after in [*found, *length]]
