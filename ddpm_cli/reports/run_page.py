"""The page of a run: report.html in its folder."""

from pathlib import Path

import yaml
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddpm_cli.config.build import FAILURES
from ddpm_cli.rendering.html import save_page
from ddpm_cli.reports import run_numbers, run_pictures
from ddpm_cli.reports.reproduce import run_commands
from ddpm_cli.run_folder.curves import Curves
from ddpm_cli.run_folder.facts import read_facts
from ddpm_cli.run_folder.layout import REPORT
from ddpm_cli.run_folder.page_parts import PageParts, page_key, read_page_parts
from ddpm_cli.run_folder.rows import metric_rows

WRONG = (*FAILURES, HydraException, OmegaConfBaseException, yaml.YAMLError)


def write_run_page(folder: Path, device: str, trust: list[str]) -> Path:
    """Write the page of the run in a folder, from its newest checkpoint that can be read."""
    parts = page_parts(folder, device, trust)
    curves, facts = Curves(folder, {}, list(metric_rows(folder))), read_facts(folder)
    warnings = facts.get("warnings")
    save_page(
        folder / REPORT,
        "reports/run_page.html",
        name=folder.name,
        facts=run_numbers.run_facts(facts, parts, curves),
        samples=run_pictures.sample_pictures(folder),
        film=parts.film,
        pictures=run_pictures.data_pictures(folder),
        charts=run_numbers.charts(curves),
        commands=run_commands(folder, parts),
        recipe=OmegaConf.to_yaml(parts.recipe),
        warnings=warnings if isinstance(warnings, list) else [],
        environment=parts.environment,
        **run_numbers.number_table(curves),
        **run_numbers.evaluation_table(folder),
        **run_numbers.incident_table(folder),
    )
    return folder / REPORT


def page_parts(folder: Path, device: str, trust: list[str]) -> PageParts:
    """Read the parts that an earlier page of the same checkpoint kept, or draw them, with torch."""
    parts = read_page_parts(folder, page_key(folder, device, trust))
    if parts is None:
        from ddpm_cli.generation.page_parts import draw_page_parts

        return draw_page_parts(folder, device, trust)
    return parts
