"""The results of a search: tables, and the setting to take."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ddpm_cli.commands.tune.search import (
    Candidate,
    Confirmation,
    Visit,
    search_path,
    settings_tried,
)
from ddpm_cli.commands.tune.variant import COORDINATES, Variant
from ddpm_cli.console import fact
from ddpm_cli.files import csv_text
from ddpm_cli.metrics import Number
from ddpm_cli.text import align

COLUMNS = ("value", "evaluations", "seconds", "metric", "difference", "interval", "")
RIGHT = range(1, 6)
TAKEN, START = "taken", "start"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cost:
    """Network evaluations for an image of a setting, and the seconds of all its images."""

    evaluations: int
    seconds: float


@dataclass(frozen=True)
class Search:
    """A whole search: visits of coordinates, comparisons on fresh images, and costs by setting.

    is_cut: whether the time was over before the end.
    """

    start: Variant
    visits: Sequence[Visit]
    confirmations: Sequence[Confirmation]
    costs: Mapping[Variant, Cost]
    fresh_costs: Mapping[Variant, Cost]
    is_cut: bool

    @property
    def tried(self) -> int:
        """The number of settings beside the start that the search has measured."""
        return len(settings_tried(self.visits, self.start))

    @property
    def winner(self) -> Variant | None:
        """The setting that is better on fresh images; None if no change helps."""
        better = [each.setting for each in self.confirmations if each.is_better]
        return better[-1] if better else None

    @property
    def path(self) -> list[Variant]:
        """The settings that the search has gone through."""
        return search_path(self.start, self.visits)


def visit_lines(visit: Visit, costs: Mapping[Variant, Cost], start: Variant) -> Iterator[str]:
    """The table of a visit."""
    field = COORDINATES[visit.coordinate]
    before = visit.before.changes_from(start) or START
    yield f"{visit.coordinate} from {before}, {visit.value:.4g}"
    rows = [COLUMNS]
    for trial in visit.trials:
        cost, setting = costs[trial.setting], trial.setting
        text = setting.field_text(field)
        if setting.guidance != visit.before.guidance and field != "guidance":
            text += f" at guidance {setting.guidance:g}"
        figures = f"{trial.value:.4g}", f"{trial.difference.value:+.4g}"
        taken = TAKEN * (setting == visit.after)
        ends = interval_text(trial.difference)
        rows.append((text, str(cost.evaluations), f"{cost.seconds:.1f}", *figures, ends, taken))
    yield from (f"  {line}" for line in align(rows, right=RIGHT))


def interval_text(number: Number) -> str:
    """The ends of an interval."""
    return f"[{number.low:+.3g}, {number.high:+.3g}]"


def log_confirmation(confirmation: Confirmation, start: Variant, tried: int) -> None:
    """Log a comparison on fresh images."""
    values = f"{confirmation.value:.4g} in place of {confirmation.start:.4g}"
    difference = f"{confirmation.difference.value:+.4g} {interval_text(confirmation.difference)}"
    level = f"95% for all {tried} settings tried"
    changes = confirmation.setting.changes_from(start)
    fact("fresh", f"{changes}: {values}, {difference} ({level})")


def log_winner(search: Search) -> None:
    """Log the setting to take, or that no change helps."""
    if search.is_cut:
        fact("time", "the budget is spent: not all settings were measured")
    if search.winner is not None:
        fact("winner", search.winner.changes_from(search.start))
        return
    why = f"none of {search.tried} settings was better"
    if len(search.path) > 1:
        why = "what was better in the search could not be told from the start on fresh images"
        if not search.confirmations:
            why = "the time did not suffice to confirm one on fresh images"
    fact("winner", f"no change helps: {why}")


def search_csv(search: Search) -> str:
    """The search as CSV: a row for each setting of each visit, then the fresh images'."""
    names = [*COORDINATES.values()]
    head = ["images", "coordinate", *names, "evaluations", "seconds", "metric"]
    rows: list[list[Any]] = [[*head, "difference", "low", "high", "taken"]]
    for visit in search.visits:
        first = Candidate(visit.before, visit.value, Number(0.0, 0.0, 0.0))
        for trial in (first, *visit.trials):
            taken = trial.setting == visit.after
            cells = setting_cells(trial.setting, search.costs[trial.setting])
            ends = [trial.value, *difference_cells(trial.difference), taken]
            rows.append(["search", visit.coordinate, *cells, *ends])
    for each in search.confirmations:
        pairs = (
            (search.start, each.start, Number(0.0, 0.0, 0.0)),
            (each.setting, each.value, each.difference),
        )
        for setting, value, difference in pairs:
            cells = setting_cells(setting, search.fresh_costs[setting])
            taken = setting == (search.winner or search.start)
            rows.append(["fresh", "", *cells, value, *difference_cells(difference), taken])
    return csv_text(rows)


def setting_cells(setting: Variant, cost: Cost) -> list[Any]:
    """The cells of a setting and its cost."""
    plain = setting.plain()
    return [*(plain[name] for name in COORDINATES.values()), cost.evaluations, cost.seconds]


def difference_cells(number: Number) -> list[float]:
    """The cells of a difference."""
    return [number.value, number.low, number.high]
