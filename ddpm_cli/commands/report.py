"""`ddpm-report`: write the page of a run anew."""

from dataclasses import KW_ONLY, dataclass

from omegaconf import DictConfig

from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import parse_options
from ddpm_cli.console import fact, logging_to
from ddpm_cli.files import user_path
from ddpm_cli.reports.run_page import WRONG, write_run_page


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-report`.

    run: the run's folder. device: the device that samples images. trust: the user's own modules
    that targets may name.
    """

    _: KW_ONLY
    run: str
    device: str
    trust: list[str]


def report(cfg: DictConfig, _: Invocation) -> None:
    """Write the page of a run anew, and log where it is."""
    options = parse_options(cfg, Options)
    folder = user_path(options.run).resolve()
    with logging_to(None, aloud=True):
        try:
            fact("written", write_run_page(folder, options.device, options.trust))
        except WRONG as error:
            if isinstance(error, ValueError | OSError):
                raise
            raise ValueError(f"this run cannot have a page: {error}") from error
