"""What `auto` becomes: numbers of steps that cost at most their share of the time."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_problem import trainer

from ddpm_cli.pace.cadences import (
    NAMES,
    Cadences,
    chosen_cadences,
    needs_costs,
    saved_cadences,
    settled_cadences,
)
from ddpm_cli.pace.costs import SHARE, Costs

AUTO = partial(trainer, **dict.fromkeys(NAMES, "auto"), steps=800)
SECONDS = st.floats(1e-4, 100)


def numbers(costs, recipe, steps=800):
    return vars(chosen_cadences(costs, recipe, steps))


@given(
    step=st.floats(1e-4, 10),
    each=st.tuples(SECONDS, SECONDS, SECONDS, SECONDS),
    steps=st.integers(1, 10**7),
    best=st.sampled_from(["held_out", "fd_pixels"]),
)
def test_all_together_take_at_most_their_share_and_checkpoints_can_be_the_best(
    step, each, steps, best
):
    costs, recipe = Costs(step, *each), AUTO(measures=["fd_pixels"], best=best)
    chosen = chosen_cadences(costs, recipe, steps)
    assert chosen.share(costs, steps) <= SHARE * (1 + 1e-9)
    assert {str(every).rstrip("0") for every in vars(chosen).values()} <= {"1", "2", "5"}
    judged = chosen.evaluate_every if best == "held_out" else chosen.measure_every
    often, seldom = sorted([judged, chosen.checkpoint_every])
    assert seldom % often == 0 or seldom >= steps


def test_where_all_of_it_costs_little_nothing_is_more_often_than_the_least():
    cheap = Costs(step=0.1, validation=0.1, grid=0.1, save=0.1)
    assert chosen_cadences(cheap, AUTO(), 800) == Cadences(100, 500, 200, 200)


def test_a_run_on_two_cores_has_the_rhythm_of_before():
    digits = Costs(step=0.081, validation=0.19, grid=0.59, save=0.063)
    chosen = chosen_cadences(digits, AUTO(), 800)
    assert (chosen.evaluate_every, chosen.sample_every, chosen.checkpoint_every) == (100, 200, 200)
    assert chosen.text(800, measures=False) == (
        "evaluation every 100 steps, samples every 200, checkpoints every 200"
    )


@pytest.mark.parametrize(
    ("step", "steps", "expected"),
    [
        (0.015, 800, (100, 1000, 200)),
        (0.015, 20_000, (100, 1000, 500)),
        (0.003, 800, (500, 500, 1000)),
        (0.003, 20_000, (500, 2000, 2000)),
        (0.003, 2_000_000, (10_000, 10_000, 10_000)),  # 100 minutes
    ],
)
def test_a_fast_device_does_rarely_what_costs_many_of_its_steps(step, steps, expected):
    costs = Costs(step, validation=0.03, grid=0.02 + 50 * step / 3, save=0.08)
    chosen = chosen_cadences(costs, AUTO(), steps)
    assert (chosen.evaluate_every, chosen.sample_every, chosen.checkpoint_every) == expected
    assert chosen.share(costs, steps) <= SHARE


@pytest.mark.parametrize("step", [0.003, 0.1, 2.0, 20.0])
def test_a_long_run_loses_at_most_a_quarter_of_an_hour(step):
    costs = Costs(step, validation=2 * step, grid=10 * step, save=1.0)
    every = chosen_cadences(costs, AUTO(), round(1e6 / step)).checkpoint_every
    assert 60 < every * step <= 15 * 60


def test_a_number_that_is_said_wins_and_leaves_the_others_their_part():
    costs = Costs(step=0.1, validation=1.0, grid=10.0, save=0.1)
    auto, said = numbers(costs, AUTO()), numbers(costs, AUTO(sample_every=3))
    assert said["sample_every"] == 3
    assert said["evaluate_every"] >= auto["evaluate_every"]
    explicit = dict(zip(NAMES, (7, 11, 13, 17), strict=True))
    assert numbers(costs, trainer(**explicit)) == explicit


@pytest.mark.parametrize(("judged", "saved"), [(150, 300), (250, 250), (400, 200), (30, 210)])
def test_checkpoints_meet_an_evaluation_whose_number_is_said(judged, saved):
    cheap = Costs(step=0.1, validation=0.1, grid=0.1, save=0.1)
    assert numbers(cheap, AUTO(evaluate_every=judged))["checkpoint_every"] == saved


@pytest.mark.parametrize(("keep", "saved"), [(100, 100), (300, 300), (1000, 200), (700, 700)])
def test_checkpoints_that_are_kept_for_good_are_written(keep, saved):
    cheap = Costs(step=0.1, validation=0.1, grid=0.1, save=0.1)
    assert numbers(cheap, AUTO(keep_every=keep))["checkpoint_every"] == saved


@pytest.mark.parametrize(
    ("judged", "keep", "saved"), [(40, 333, 333), (250, 1000, 250), (30, 7, 7)]
)
def test_an_evaluation_whose_number_is_said_costs_no_permanent_checkpoint(judged, keep, saved):
    cheap = Costs(step=0.1, validation=0.1, grid=0.1, save=0.1)
    chosen = numbers(cheap, AUTO(evaluate_every=judged, keep_every=keep))
    assert chosen["checkpoint_every"] == saved


def test_an_evaluation_that_is_auto_meets_the_permanent_checkpoints():
    cheap = Costs(step=0.1, validation=0.1, grid=0.1, save=0.1)
    chosen = numbers(cheap, AUTO(keep_every=70))
    assert (chosen["checkpoint_every"], chosen["evaluate_every"]) == (70, 140)


@pytest.mark.parametrize("saved", [{}, {"checkpoint_every": 200, "evaluate_every": 100}])
def test_permanent_checkpoints_are_written_without_costs_too(saved):
    settled = settled_cadences(AUTO(keep_every=30), 90, saved)
    assert settled.checkpoint_every == 30
    assert settled_cadences(AUTO(keep_every=30), 90, vars(settled)) == settled


def test_a_run_that_minutes_have_shortened_has_as_many_where_they_cost_little():
    cheap = Costs(step=1.0, validation=0.1, grid=0.1, save=0.1)
    short = AUTO(minutes=5.0)
    assert numbers(cheap, short, 160) == dict(zip(NAMES, (50, 100, 50, 50), strict=True))


def test_the_steps_that_fit_leave_time_for_what_auto_brings():
    costs = Costs(step=0.1, validation=0.5, grid=2.0, save=1.0)
    recipe = AUTO(minutes=1.0)
    steps = costs.steps(60, recipe)
    chosen = chosen_cadences(costs, recipe, steps)
    last = sum(costs.by_cadence().values())
    assert 50 < steps * costs.step / (1 - chosen.share(costs, steps)) + last <= 60


@pytest.mark.parametrize(
    ("changes", "steps", "needed"),
    [
        ({}, 100, False),
        ({}, 101, True),
        ({"evaluate_every": 10}, 200, False),
        ({"evaluate_every": 10, "sample_every": 10, "checkpoint_every": 10}, 10**6, False),
        ({"measures": ["fd_pixels"], **dict.fromkeys(NAMES[:1] + NAMES[2:], 9)}, 501, True),
        (dict.fromkeys(NAMES, 9), 10**6, False),
    ],
)
def test_costs_are_measured_only_where_they_matter(changes, steps, needed):
    assert needs_costs(AUTO(**changes), steps) == needed


def test_a_file_of_before_holds_numbers_in_its_options():
    options = {**vars(AUTO()), **dict(zip(NAMES, (40, 80, 80, 80), strict=True)), "log_every": 8}
    assert saved_cadences({}, options, 400)["sample_every"] == 80
    assert saved_cadences({}, {**options, "minutes": 1.0}, 400)["sample_every"] == 40
    assert saved_cadences({"sample_every": 3}, options, 400) == {"sample_every": 3}
    assert saved_cadences({}, {"sample_every": 0, "evaluate_every": "auto"}, 400) == {}
    assert saved_cadences({}, None, 400) == {}
