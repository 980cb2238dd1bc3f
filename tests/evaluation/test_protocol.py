"""Protocols: what a number came about by, and which numbers cannot stand side by side."""

import json
from dataclasses import replace

from ddpm_cli.evaluation.protocol import MetricResult, Protocol, results_table
from ddpm_cli.metrics import Number
from ddpm_cli.run_folder.evaluations import protocol_warning

ONE = Protocol(
    metric="fd_pixels",
    by="pixels-8",
    images="ref 2:ab12cd34 1,618 training",
    n=1024,
    sampler="ddim 50 steps",
    steering="",
    seed=0,
    weights="ema",
    precision="fp32",
)
FEWER = replace(ONE, n=64, seed=1)


def measured(protocol, metric="fd_pixels"):
    return MetricResult(metric, Number(1.23456789, 1.0, 2.0), protocol)


def rows(*found):
    return [each.row(step=800) for each in found]


def test_a_protocol_is_a_line_without_what_does_not_matter():
    assert (
        ONE.text
        == "fd_pixels | pixels-8 | ref 2:ab12cd34 1,618 training | n 1024 | ddim 50 steps | seed "
        "0 | randomness 2 | ema | fp32 | measures 2"
    )
    assert replace(ONE, sampler="folder 2:00", seed=None, weights="", precision="").text.endswith(
        "n 1024 | folder 2:00 | measures 2"
    )


def test_its_name_changes_with_any_part_of_it():
    changed = [
        FEWER,
        *(replace(ONE, **{name: "x"}) for name in vars(ONE) if type(vars(ONE)[name]) is str),
        replace(ONE, randomness=1),
        replace(ONE, measures=1),
    ]
    assert len({each.id for each in [ONE, *changed]}) == 1 + len(changed)
    assert replace(ONE).id == ONE.id


def test_a_row_has_six_digits_and_fits_a_file_of_rows():
    row = json.loads(json.dumps(measured(ONE).row(step=800)))
    assert row == {
        "step": 800,
        "metric": "fd_pixels",
        "value": 1.23457,
        "low": 1.0,
        "high": 2.0,
        "protocol": ONE.text,
        "protocol_id": ONE.id,
    }


def test_a_table_spells_each_protocol_out_once():
    head, one, infinity, *protocols = results_table(
        [measured(ONE), measured(ONE, "fd_pixels_infinity")]
    )
    assert head.split() == ["metric", "value", "95%", "interval", "protocol"]
    assert one.split() == ["fd_pixels", "1.235", "[1,", "2]", ONE.id]
    assert infinity.split()[0] == "fd_pixels_infinity"
    assert protocols == [f"{ONE.id}  {ONE.text}"]


def test_numbers_of_several_protocols_are_told_apart_by_what_differs():
    told = (
        "fd_pixels is by 2 protocols and cannot be compared across them: n 1024, seed 0 against "
        "n 64, seed 1"
    )
    assert protocol_warning(rows(measured(ONE), measured(FEWER), measured(ONE))) == told


def test_numbers_of_one_protocol_and_of_several_metrics_need_no_word():
    assert (
        protocol_warning(
            rows(measured(ONE), measured(replace(ONE, metric="kid_pixels"), "kid_pixels"))
        )
        == ""
    )


def test_what_is_not_finite_is_null():
    assert (
        MetricResult("fd_pixels", Number(float("nan"), 0.0, float("inf")), ONE).row(step=1)["value"]
        is None
    )
