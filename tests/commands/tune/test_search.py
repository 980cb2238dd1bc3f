"""The coordinate search over a metric in closed form."""

import zlib

import pytest
import torch

from ddpm_cli.commands.tune.search import (
    best_scale,
    confirm,
    coordinate_search,
    search_path,
    settings_tried,
)
from ddpm_cli.commands.tune.variant import Variant
from ddpm_cli.metrics import Score

START = Variant("ddim", 50)
VALUES = {
    "lengths": [0.1, 0.2],
    "guidance": [1.5, 3.0],
    "intervals": [(0.2, 2.0)],
    "samplers": ["ddim", "unipc"],
    "steps": [20, 100],
}
NOISE = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def score(value, setting, n=400):
    """A score whose images differ from other settings' by a little noise of their own."""
    seed = zlib.crc32(repr(setting).encode())
    own = torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    influences = NOISE[:n] + 0.1 * own
    return Score(value + float(influences.mean()), influences, torch.empty(0, dtype=torch.float64))


def quality(setting):
    """A metric that is best at length 0.1, guidance 1.5 in an interval, and 100 steps."""
    guided = {1.0: 1.0, 1.5: 0.9, 3.0: 1.3}[setting.guidance]
    return (
        guided
        + 2.0 * abs((setting.length or 0.3) - 0.1)
        - 0.2 * (setting.interval is not None)
        + 3 / (10 if setting.steps == "all" else setting.steps)
    )


def measure(setting, plan):
    assert plan[0] == setting
    return score(quality(setting), setting)


def test_it_ends_at_the_best_setting_and_takes_only_what_differs():
    visits = list(coordinate_search(START, VALUES, measure))
    assert search_path(START, visits)[-1] == Variant("ddim", 100, 0.1, 1.5, None, (0.2, 2.0))
    samplers = [visit for visit in visits if visit.coordinate == "samplers"]
    assert all(visit.after == visit.before for visit in samplers)


def test_where_nothing_helps_every_coordinate_is_tried_once():
    def flat(setting, plan):
        return score(1.0, setting)

    visits = list(coordinate_search(START, VALUES, flat))
    assert [visit.coordinate for visit in visits] == [*VALUES]
    assert search_path(START, visits) == [START]
    assert len(settings_tried(visits, START)) == 2 + 2 + 1 + 1 + 2


def test_an_interval_is_tried_at_the_best_scale_where_guidance_alone_does_not_help():
    def better_in_an_interval(setting, plan):
        return score(
            1 + (setting.guidance - 1) * (0.1 if setting.interval is None else -1), setting
        )

    visits = list(coordinate_search(START, VALUES, better_in_an_interval))
    assert search_path(START, visits)[-1] == Variant("ddim", 50, None, 3.0, None, (0.2, 2.0))
    assert best_scale({}, [1.0, 2.0]) == 2.0


def test_it_goes_the_same_way_over_measurements_that_are_kept():
    kept = {}

    def remembering(setting, plan):
        kept.setdefault(setting, measure(setting, plan))
        return kept[setting]

    first = list(coordinate_search(START, VALUES, remembering))
    count = len(kept)
    assert list(coordinate_search(START, VALUES, remembering)) == first
    assert len(kept) == count


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_a_search_without_time_ends_where_it_is(count):
    left = iter(range(count))

    def in_time(setting, plan):
        return None if next(left, None) is None else measure(setting, plan)

    visits = list(coordinate_search(START, VALUES, in_time))
    assert len(settings_tried(visits, START)) == max(0, count - 1)
    assert not visits or visits[-1].is_cut == (count != 3)


def test_the_plan_holds_the_settings_of_the_rest_of_the_pass():
    plans = []

    def flat(setting, plan):
        plans.append(len(plan))
        return score(1.0, setting)

    list(coordinate_search(START, VALUES, flat))
    assert plans == [9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_the_end_of_the_path_is_confirmed_before_its_parts():
    path = [START, Variant("ddim", 100), Variant("unipc", 100)]
    values = {START: 1.0, path[1]: 0.8, path[2]: 1.0}
    found = list(confirm(path, 8, lambda setting, plan: score(values[setting], setting)))
    assert [each.setting for each in found] == [path[2], path[1]]
    assert [each.is_better for each in found] == [False, True]
    values[path[2]] = 0.7
    (only,) = confirm(path, 8, lambda setting, plan: score(values[setting], setting))
    assert only.setting == path[2] and only.is_better


def test_a_start_that_nothing_beat_needs_no_fresh_images():
    assert list(confirm([START], 8, lambda setting, plan: pytest.fail("measured"))) == []


def test_settings_of_one_distribution_are_seldom_confirmed():
    ends = []
    for trial in range(8):
        draw, drawn = torch.Generator().manual_seed(trial), {}

        def same(setting, plan, draw=draw, drawn=drawn):
            own = torch.randn(60, generator=draw, dtype=torch.float64)
            fresh = Score(float(own.mean()), own, torch.empty(0, dtype=torch.float64))
            return drawn.setdefault(setting, fresh)

        visits = list(coordinate_search(START, VALUES, same))
        drawn.clear()
        tried = len(settings_tried(visits, START))
        found = confirm([START, *settings_tried(visits, START)], tried, same)
        ends.append(any(each.is_better for each in found))
    assert sum(ends) <= 2  # of all 8 settings in each of 8 searches, at a level of 1 search in 20
