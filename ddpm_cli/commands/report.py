"""`ddpm-report`: write the page of a run, or of a sweep, anew."""

from dataclasses import KW_ONLY, dataclass

from omegaconf import DictConfig

from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import parse_options
from ddpm_cli.console import fact, logging_to
from ddpm_cli.files import user_path
from ddpm_cli.reports.run_page import WRONG, write_run_page
from ddpm_cli.reports.sweep_files import ranking_metric, write_sweep_files
from ddpm_cli.sweeps import is_sweep, read_sweep


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-report`.

    run: the folder of a run or of a sweep. device: the device that samples images. trust: the
    user's own modules that targets may name.
    """

    _: KW_ONLY
    run: str
    device: str
    trust: list[str]


def report(cfg: DictConfig, _: Invocation) -> None:
    """Write the page of a run or of a sweep anew, and log where it is."""
    options = parse_options(cfg, Options)
    folder = user_path(options.run).resolve()
    with logging_to(None, aloud=True):
        if is_sweep(folder):
            sweep = read_sweep(folder)
            write_sweep_files(sweep, ranking_metric(sweep.jobs))
            return
        try:
            fact("written", write_run_page(folder, options.device, options.trust))
        except WRONG as error:
            if isinstance(error, ValueError | OSError):
                raise
            raise ValueError(f"this run cannot have a page: {error}") from error
