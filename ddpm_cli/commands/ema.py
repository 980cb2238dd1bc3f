"""`ddpm-ema`: an EMA of any length, from the snapshots of a run, as a checkpoint."""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from ddpm_cli.averages import check_length, reconstruct
from ddpm_cli.averages.checkpoint import PART, averaged_checkpoint
from ddpm_cli.checkpoint_paths import SUFFIX, last_in
from ddpm_cli.checkpoints import Checkpoint, newest_first, newest_readable, write_checkpoint
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import at_least, parse_options
from ddpm_cli.console import fact, logging_to
from ddpm_cli.files import user_path


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-ema`.

    run: the folder of a run with snapshots. length: of the EMA, as a share of the steps. at: the
    step of the EMA; None: the last snapshot's. out: the new checkpoint.
    """

    _: KW_ONLY
    run: str
    length: float
    at: int | None
    out: str

    def __post_init__(self) -> None:
        check_length(self.length)
        at_least(self, at=1)
        if Path(self.out).suffix != SUFFIX:
            raise ValueError(f"out must end in {SUFFIX}, but is {self.out!r}")


def ema(cfg: DictConfig, invocation: Invocation) -> None:
    """Reconstruct the EMA and write it as a checkpoint; log what it is made of."""
    options = parse_options(cfg, Options)
    run, out = user_path(options.run).resolve(), user_path(options.out)
    if out.exists():
        raise ValueError(f"out must be a new file, but {str(out)!r} exists")
    with logging_to(None, aloud=True):
        reconstruction = reconstruct(run, options.length, options.at)
        checkpoint = averaged_checkpoint(newest_checkpoint(run), reconstruction)
        fact("average", checkpoint.average_text)
        write_checkpoint(out, checkpoint)
        fact("written", out)
        fact("sample", invocation.sample_command(out))


def newest_checkpoint(run: Path) -> Checkpoint:
    """The newest checkpoint of a run with its EMA. Raises ValueError if there is none."""
    paths = newest_first(run) or [last_in(run)]
    return newest_readable(paths, partial(Checkpoint.load, parts=(PART,)))
