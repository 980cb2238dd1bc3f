"""The command that writes the page of a run anew."""

import logging
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from omegaconf import DictConfig

from ddpm_cli.config.build import bind_options
from ddpm_cli.config.schema import check_config
from ddpm_cli.console import logging_to
from ddpm_cli.reports.run_page import WRONG, write_run_page
from ddpm_cli.text import printable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-report` takes.

    run: the folder. device: where the film is drawn. trust: your own modules with targets.
    """

    _: KW_ONLY
    run: str
    device: str
    trust: list[str]


def report(cfg: DictConfig) -> None:
    """Writes the card of a run anew, and says where it is."""
    check_config(cfg, (), Options)
    options = bind_options(Options, cfg)()
    with logging_to(None, aloud=True):
        try:
            path = write_run_page(
                Path(options.run).expanduser().resolve(), options.device, options.trust
            )
        except WRONG as error:
            raise (
                error
                if isinstance(error, ValueError | OSError)
                else ValueError(f"no card can be made of this run: {error}")
            ) from error
        log.info("written    %s", printable(str(path)))
