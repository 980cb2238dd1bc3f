"""What a data set is: told, written and drawn, before anything is trained on it."""

import logging
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.data.pictures import write_data_report
from ddpm_cli.commands.data.subject import inspect_source
from ddpm_cli.commands.data.summary import summary_lines
from ddpm_cli.config.build import build, group_options
from ddpm_cli.config.schema import check_config
from ddpm_cli.console import logging_to
from ddpm_cli.files import save_text
from ddpm_cli.text import printable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-data` takes beside its data."""

    _: KW_ONLY
    trust: list[str]


def data(cfg: DictConfig, folder: Path) -> None:
    """Reports on the data of `cfg` and writes it into `folder`; ValueError, after all of that, where a training run would stop."""
    check_config(cfg, ["data"], Options)
    preparation, source = group_options(cfg, "data"), build(cfg, "data")
    with logging_to(None, aloud=True):
        subject = inspect_source(source, preparation)
        for line in summary_lines(subject):
            log.info("%s", printable(line))
        save_text(folder / "data.yaml", OmegaConf.to_yaml(cfg))
        for path in write_data_report(subject, folder):
            log.info("written    %s", path)
    bad = len(subject.found.unreadable)
    if bad and (preparation.on_error == "stop" or bad == source.count):
        remedy = "data.on_error=skip goes without" if bad < source.count else "none is left"
        raise ValueError(
            f"ddpm-train would stop here: {bad:,} of {source.count:,} images cannot be read ({remedy})"
        )
