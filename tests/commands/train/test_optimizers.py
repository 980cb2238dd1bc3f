"""Runs with other optimizers, groups of parameters and frozen parameters, on the command line."""

import json
from pathlib import Path

import pytest
import torch
from conftest import TINY
from run_files import tensors

SHORT = [*TINY, "trainer.steps=4"]
TWO_POINTS = ["trust=[two_points]", "trainer.optimizer._target_=two_points.TwoPoints"]
MUON = [
    "trainer.optimizer._target_=ddpm_cli.optimizers.Muon",
    "trainer.parameter_groups=[{match: vectors, weight_decay: 0.1}]",
    "trainer.freeze=[head]",
]


@pytest.mark.parametrize("options", [TWO_POINTS, pytest.param(MUON, marks=pytest.mark.slow)])
def test_a_run_goes_on_bit_for_bit(command, options):
    recipe = [*SHORT, *options]
    outcomes = [
        command("train", *recipe, "hydra.run.dir=whole"),
        command("train", *recipe, "trainer.stop_at=2", "hydra.run.dir=parts"),
        command("train", *recipe, "hydra.run.dir=parts", "resume=auto"),
    ]
    assert [each.code for each in outcomes] == [0, 0, 0], outcomes[-1].err
    assert "changed" not in outcomes[-1].out
    whole, parts = (tensors(name) for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_the_summary_of_a_run_tells_groups_and_frozen_parameters(command):
    outcome = command("train", *SHORT, *MUON, "trainer.stop_at=0", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    facts = json.loads(Path("run/run.json").read_text())
    assert "58,273 parameters (1,209 of them frozen), predicts eps" in facts["model"]
    assert facts["optimizer"].startswith("Muon, 96.2% orthogonal at ")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["trainer.freeze=[hed]"], "trainer.freeze: 'hed' matches no parameter; did you mean head"),
        (["trainer.freeze=[*]"], "trainer.freeze=['*'] leaves no parameter to train"),
        (
            ["trainer.freeze=head"],
            "trainer.freeze must be a list of str, but is 'head'; did you mean "
            "'trainer.freeze=[head]'?",
        ),
        (
            ["trainer.parameter_groups=[{match: head, lrr: 1}]"],
            "trainer: parameter_groups[0].lrr is not an option of a group; did you mean lr?",
        ),
        (
            ["trainer.parameter_groups=[{match: hed}]"],
            "trainer.parameter_groups[0].match: 'hed' matches no parameter; did you mean head?",
        ),
        (
            ["trainer.parameter_groups=[head]"],
            "trainer.parameter_groups must be a list of {NAME: VALUE, ...}, but is ['head']",
        ),
        (
            [*TWO_POINTS, "trainer.optimizer.fused=true"],
            "trainer.optimizer.fused is not an option of two_points.TwoPoints; there are beta, lr,",
        ),
        (
            ["trainer.optimizer._target_=torch.optim.Muon"],
            "trainer.optimizer: Muon only supports 2D parameters",
        ),
        (
            ["trainer.optimizer._target_=other.Optimizer"],
            "trainer.optimizer._target_ must name a function or class of torch.optim or "
            "ddpm_cli.optimizers, but is 'other.Optimizer' (a module of your own is trusted by",
        ),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(command, overrides, told):
    outcome = command("train", *SHORT, *overrides, "hydra.run.dir=run")
    assert outcome.code == 1
    assert told in outcome.err
    assert outcome.err.count("\n") == 1
    assert not Path("run").exists()


def test_another_group_or_frozen_part_is_told_at_a_resume(command, trained):
    change = "trainer.freeze=[head]"
    outcome = command(
        "train", *SHORT, change, "trainer.steps=5", "resume=auto", "hydra.run.dir=trained"
    )
    assert outcome.code == 0, outcome.err
    assert "trainer.freeze: [] -> ['head']" in outcome.out
