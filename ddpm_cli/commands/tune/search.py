"""A coordinate search: one option at a time, by paired differences with intervals."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ddpm_cli.commands.tune.variant import COORDINATES, Variant
from ddpm_cli.metrics import Number, Score, paired_difference

# a setting, and all settings that are planned from it on -> its score, or None without the time
Measure: TypeAlias = Callable[[Variant, Sequence[Variant]], Score | None]


@dataclass(frozen=True)
class Candidate:
    """A setting beside the setting in use: its metric, and its paired difference (less: better)."""

    setting: Variant
    value: float
    difference: Number


@dataclass(frozen=True)
class Visit:
    """A coordinate tried from a setting on: the trials, and the setting to go on with.

    value: the metric of the setting before. is_cut: whether the time was over before its end.
    """

    coordinate: str
    before: Variant
    value: float
    trials: Sequence[Candidate]
    after: Variant
    is_cut: bool


def coordinate_search(
    start: Variant, values: Mapping[str, Sequence[Any]], measure: Measure
) -> Iterator[Visit]:
    """Yield visits of one coordinate after another, until none of them changes the setting.

    values: the values of each coordinate. A change is taken if the interval of its difference,
    corrected for the number of settings tried in the visit, lies below 0; of several such changes
    the one of the lowest metric. It is a function of what `measure` returns, so that a search
    over stored measurements goes the same way.
    """
    current, visited, scores = start, set[tuple[str, Variant]](), dict[Variant, Score]()
    while True:
        before = current
        for place, name in enumerate(values):
            scale = best_scale(scores, values.get("guidance", ()))
            rest = {each: values[each] for each in [*values][place:]}
            plan = planned_settings(current, rest, scale, visited)
            if (name, current) in visited:
                continue
            visited.add((name, current))
            visit = try_coordinate(name, current, values[name], scale, plan, measure, scores)
            if visit.trials:
                yield visit
            if visit.is_cut:
                return
            current = visit.after
        if current == before:
            return


def try_coordinate(
    name: str,
    current: Variant,
    values: Sequence[Any],
    scale: float,
    plan: Sequence[Variant],
    measure: Measure,
    scores: dict[Variant, Score],
) -> Visit:
    """Measure the neighbours of a setting along a coordinate; `scores` grows by the new ones."""
    candidates, waiting = [*current.neighbours(COORDINATES[name], values, scale)], [*plan]
    for setting in (current, *candidates):
        waiting = [each for each in waiting if each != setting]
        if setting in scores or not candidates:
            continue
        if (score := measure(setting, [setting, *waiting])) is None:
            break
        scores[setting] = score
    tried = [each for each in candidates if each in scores]
    if current not in scores or not tried:
        missing = bool(candidates)
        return Visit(name, current, float("nan"), [], current, is_cut=missing)
    base = scores[current]
    trials = [
        Candidate(each, scores[each].value, paired_difference(scores[each], base, tried=len(tried)))
        for each in tried
    ]
    better = [trial for trial in trials if trial.difference.high < 0]
    best = min(better, key=lambda trial: trial.value, default=None)
    after = current if best is None else best.setting
    return Visit(name, current, base.value, trials, after, is_cut=len(tried) < len(candidates))


def planned_settings(
    current: Variant,
    values: Mapping[str, Sequence[Any]],
    scale: float,
    visited: set[tuple[str, Variant]],
) -> list[Variant]:
    """The settings that the rest of a pass takes if it changes nothing."""
    names = [name for name in values if (name, current) not in visited]
    return [
        setting
        for name in names
        for setting in current.neighbours(COORDINATES[name], values[name], scale)
    ]


def best_scale(scores: Mapping[Variant, Score], scales: Sequence[float]) -> float:
    """The scale of guidance, other than 1, of the lowest metric so far; else the first given."""
    guided = {each: score.value for each, score in scores.items() if each.guidance != 1}
    if guided:
        return min(guided, key=guided.__getitem__).guidance
    return next((float(scale) for scale in scales if scale != 1), 1.0)


def search_path(start: Variant, visits: Sequence[Visit]) -> list[Variant]:
    """The settings that a search has gone through, the start first."""
    return [start, *(visit.after for visit in visits if visit.after != visit.before)]


def settings_tried(visits: Sequence[Visit], start: Variant) -> set[Variant]:
    """The settings that a search has measured beside its start."""
    return {trial.setting for visit in visits for trial in visit.trials} - {start}


@dataclass(frozen=True)
class Confirmation:
    """A setting of the path beside the start on images that the search has not seen."""

    setting: Variant
    value: float
    start: float
    difference: Number

    @property
    def is_better(self) -> bool:
        """Whether the setting is better than the start."""
        return self.difference.high < 0


def confirm(path: Sequence[Variant], tried: int, measure: Measure) -> Iterator[Confirmation]:
    """Yield comparisons with the start on fresh images, from the end of the path back.

    The last one that is yielded is better, unless none is or the time is over. Whichever settings
    of those tried are compared, all intervals hold with 95% (Bonferroni).
    """
    start, *others = path
    if not others or (base := measure(start, [start, others[-1]])) is None:
        return
    for setting in reversed(others):
        if (score := measure(setting, [setting])) is None:
            return
        difference = paired_difference(score, base, tried=tried)
        yield (last := Confirmation(setting, score.value, base.value, difference))
        if last.is_better:
            return
