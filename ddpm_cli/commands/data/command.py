"""A report on a data set, in words and pictures, before anything is trained on it."""

from dataclasses import KW_ONLY, dataclass

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.data.pictures import write_data_report
from ddpm_cli.commands.data.subject import inspect_source
from ddpm_cli.commands.data.summary import summary
from ddpm_cli.config.auto import AUTO, auto_options, set_options
from ddpm_cli.config.build import bind_options, build
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import parse_options
from ddpm_cli.console import fact, logging_to
from ddpm_cli.data import Preparation, Source
from ddpm_cli.files import save_text
from ddpm_cli.recipes.choice import choose
from ddpm_cli.recipes.facts import facts_of_images


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-data`, apart from the options of the data."""

    _: KW_ONLY
    trust: list[str]


def data(cfg: DictConfig, invocation: Invocation) -> None:
    """Report on a data set, and write the report's files.

    Raises ValueError at the end if a training run would stop at unreadable images.
    """
    parse_options(cfg, Options, groups=["data"])
    folder, source = invocation.folder, build(cfg, "data")
    choose_preparation(cfg, source)
    preparation = bind_options(Preparation, cfg.data)()
    with logging_to(None, aloud=True):
        report = inspect_source(source, preparation)
        for label, text in summary(report):
            fact(label, text)
        save_text(folder / "data.yaml", OmegaConf.to_yaml(cfg))
        for path in write_data_report(report, folder):
            fact("written", path)
    bad = len(report.decoded.unreadable)
    if bad and (preparation.on_error == "stop" or bad == source.count):
        remedy = "data.on_error=skip goes without" if bad < source.count else "none is left"
        raise ValueError(
            f"ddpm-train would stop here: {bad:,} of {source.count:,} images cannot be read "
            f"({remedy})"
        )


def choose_preparation(cfg: DictConfig, source: Source) -> None:
    """Give the options of the data that hold `auto` the values that ddpm-train would choose."""
    if names := auto_options(cfg):
        facts = facts_of_images(cfg.data, source)
        set_options(cfg, choose(facts, dict.fromkeys(names, AUTO)))
