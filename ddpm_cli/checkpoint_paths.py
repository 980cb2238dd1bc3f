"""The paths of checkpoints: what a run's folder holds, and what a path of the user names."""

from itertools import chain
from pathlib import Path

from ddpm_cli.files import near_path_advice

SUFFIX, OLD = ".safetensors", ".pt"  # of format 5, and of formats 1 to 4
LAST, BEST = "last", "best"  # links to checkpoints, or copies where links are impossible
CHECKPOINTS = "checkpoints"  # the folder in a run's folder
STEPS = "step_" + "[0-9]" * 8
RUNS = tuple(f"{depth * '*/'}{CHECKPOINTS}" for depth in (1, 2, 3))  # as in outputs/DATE/TIME


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints in a run's folder, the checkpoint of the most steps first."""
    paths = (folder / CHECKPOINTS).glob(f"{STEPS}.*")
    return sorted((path for path in paths if path.suffix in (SUFFIX, OLD)), reverse=True)


def run_there_text(folder: Path, newest: Path) -> str:
    """The reason why no new run may be written into a folder with checkpoints."""
    holds = f"hydra.run.dir={str(folder)!r} holds a run already ({newest.name})"
    return f"{holds}; go on with resume=auto, or name another folder"


def best_checkpoint(folder: Path) -> Path | None:
    """The best checkpoint in a run's folder, if there is one."""
    return next((folder / CHECKPOINTS).glob(f"{BEST}.*"), None)


def run_of(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint lies in, or else the checkpoint's own folder."""
    parent = checkpoint.parent
    return parent.parent if parent.name == CHECKPOINTS else parent


def existing_file(path: Path) -> Path:
    """The file to read: the last checkpoint of a folder; X.safetensors for an X.pt not there.

    Raises ValueError if there is none, or nothing in it.
    """
    if path.suffix == OLD and not path.exists():
        newer = path.with_suffix(SUFFIX)
        path = newer if newer.is_file() else path
    if path.is_dir():
        path = last_in(path)
    if not path.is_file():
        raise ValueError(f"there is no checkpoint at {str(path)!r}{near_path_advice(path)}")
    if not path.stat().st_size:
        raise ValueError(f"the checkpoint {str(path)!r} is empty: the file has 0 bytes")
    return path


def last_in(folder: Path) -> Path:
    """The last checkpoint of a run, by the run's folder or the folder of its checkpoints.

    In another folder, the only safetensors file. Raises ValueError if the folder leaves a choice.
    """
    run = folder.parent if folder.resolve().name == CHECKPOINTS else folder
    places = dict.fromkeys((run / CHECKPOINTS, folder))
    named = [place / f"{LAST}{suffix}" for place in places for suffix in (SUFFIX, OLD)]
    paths = [*filter(Path.is_file, named), *newest_first(run)]
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if paths or len(files) == 1:
        return (paths or files)[0]
    if files:
        names = ", ".join(path.name for path in files)
        raise ValueError(f"{str(folder)!r} holds {len(files)} checkpoints: name one of {names}")
    runs = [path.parent for path in chain.from_iterable(map(folder.glob, RUNS))]
    if not runs:
        raise ValueError(f"there is no checkpoint in the folder {str(folder)!r}")
    newest = max(runs, key=lambda run: (run / CHECKPOINTS).stat().st_mtime)
    text = f"{len(runs)} run{'s' * (len(runs) > 1)}"
    raise ValueError(f"{str(folder)!r} is a folder of {text}: name one, as {str(newest)!r}")
