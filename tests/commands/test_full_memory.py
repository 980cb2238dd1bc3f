"""A memory that is full, wherever a command is: one line with a remedy, and nothing is lost."""

import json
from pathlib import Path

import pytest
import torch
from conftest import TINY

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.networks.unet import UNet

MESSAGE = (
    "CUDA out of memory. Tried to allocate 1.95 GiB. GPU 0 has a total capacity of 14.57 GiB of "
    "which 1.58 GiB is free.\nOf the allocated memory"
)
FULL = (
    "error: the memory of cuda:0 is full: 1.95 GiB more were asked for, 1.58 GiB of 14.57 GiB are "
    "free; "
)
IN_TRAINING = (
    "choose a smaller trainer.microbatch, trainer.activation_checkpointing=true or a smaller "
    "network; what the run has saved stays\n"
)
RUN = [*TINY, "trainer.steps=4", "trainer.checkpoint_every=1", "hydra.run.dir=run"]


def full(*_, **__):
    raise torch.OutOfMemoryError(MESSAGE)


def in_call(number, function):
    """A function that finds the memory full at one of its calls."""
    calls = []

    def counting(*args, **options):
        calls.append(None)
        return full() if len(calls) == number else function(*args, **options)

    return counting


def errors(outcome):
    return [line + "\n" for line in outcome.err.splitlines() if "rror" in line]


def test_a_step_after_the_trial_leaves_the_last_checkpoint_and_an_incident(command, monkeypatch):
    whole = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", in_call(5, whole))  # the first two are trials'
    outcome = command("train", *RUN)
    assert (outcome.code, errors(outcome)) == (1, [FULL + IN_TRAINING])
    assert Checkpoint.load(Path("run/checkpoints/last.safetensors")).step == 2
    (incident,) = map(json.loads, Path("run/incidents.jsonl").read_text().splitlines())
    assert incident["step"] == 2
    assert "1.95 GiB more were asked for" in incident["error"]
    monkeypatch.setattr(torch.optim.AdamW, "step", whole)
    again = command("train", *RUN, "resume=auto", "trainer.microbatch=4")
    assert again.code == 0, again.err
    assert Checkpoint.load(Path("run/checkpoints/last.safetensors")).step == 4


@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        ("ddpm_cli.commands.train.loop.validate", IN_TRAINING),
        ("ddpm_cli.commands.train.loop.write_due_preview", IN_TRAINING),
        ("ddpm_cli.commands.train.sample_metrics.score_samples", IN_TRAINING),
        ("ddpm_cli.commands.train.setup.TrainState.fresh", "choose a smaller network, as by a "),
    ],
)
def test_every_part_of_training_tells_it_in_one_line(command, monkeypatch, place, remedy):
    monkeypatch.setattr(place, full)
    often = ["trainer.evaluate_every=2", "trainer.sample_every=2", "trainer.measure_every=2"]
    outcome = command("train", *RUN, *often, "trainer.measures=[fd_pixels]")
    (line,) = errors(outcome)
    assert (outcome.code, line.startswith(FULL + remedy)) == (1, True)
    assert outcome.err.count("Traceback") == 0


SMALL = ["n=2", "sampler.steps=2"]


@pytest.mark.parametrize(
    ("name", "options", "place", "remedy"),
    [
        ("sample", SMALL, "generation.generator.Generator.trajectory", "a smaller batch"),
        ("sample", [*SMALL, "batch=auto"], "commands.sample.batch_size.estimate_seconds", "batch"),
        ("sample", [*SMALL, "film=true"], "commands.sample.film.collect_states", "batch"),
        (
            "evaluate",
            ["metrics=[fd_pixels]", "samples=8", "sampler.steps=2"],
            "evaluation.feature_cache.select_images",
            "fewer samples",
        ),
        ("evaluate", ["metrics=[nll]", "n=2"], "commands.evaluate.likelihood.bound_terms", "batch"),
        (
            "compare",
            ["n=4", "steps=[2]", "samplers=[ddim]"],
            "comparison.drawing.to_bytes",
            "batch",
        ),
        ("info", [], "commands.info.Checkpoint.load", ""),
    ],
)
def test_every_command_on_a_checkpoint_tells_it_in_one_line(
    command, trained, monkeypatch, name, options, place, remedy
):
    monkeypatch.setattr(f"ddpm_cli.{place}", full)
    outcome = command(name, f"ckpt={trained}", *options, "hydra.run.dir=out")
    (line,) = errors(outcome)
    assert (outcome.code, line.startswith(FULL.rstrip("; "))) == (1, True)
    assert remedy in line


def test_a_weaker_model_without_room_is_told_too(command, trained, monkeypatch):
    monkeypatch.setattr(UNet, "to", in_call(2, UNet.to))
    options = [f"guide={trained}", "guidance=2", *SMALL, "hydra.run.dir=out"]
    outcome = command("sample", f"ckpt={trained}", *options)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "parameters take" in outcome.err


def test_a_page_whose_film_has_no_room_is_told_in_one_line(command, trained, monkeypatch):
    monkeypatch.setattr("ddpm_cli.reports.run_pictures.collect_states", full)
    outcome = command("report", f"run='{trained.parent.parent}'")
    remedy = "ddpm-report with device=cpu draws the film without a GPU\n"
    assert (outcome.code, outcome.err) == (1, FULL + remedy)
