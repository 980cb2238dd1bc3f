"""Runs whose options hold `auto`: chosen once, written down, kept by what follows."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import change_config
from omegaconf import OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.train import length
from ddpm_cli.commands.train.setup import set_up_run
from ddpm_cli.config.auto import FIXED, auto_options
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.pace.costs import Costs
from ddpm_cli.parallel import ProcessGroup

LAST = "run/checkpoints/last.safetensors"
COSTS = Costs(step=1e-3, validation=1e-4, grid=1e-3, save=1e-4)
DATA = ["data=arrays", "data.path=images.npy", "data.cache=ram"]
SMALL = ["model.network.dim=8", "model.network.dim_mults=[1]", "sampler.steps=2"]
RUN = [*DATA, *SMALL, "trainer.stop_at=1", "hydra.run.dir=run"]


@pytest.fixture(autouse=True)
def images(tmp_path, monkeypatch):
    """Forty colour images of 8 x 8, and a machine on which a step takes a millisecond."""
    values = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", values)
    monkeypatch.setattr("ddpm_cli.commands.train.time_budget.measure_costs", lambda *_, **__: COSTS)


def config(path=LAST):
    return Checkpoint.load(Path(path)).config


def is_same(one, other):
    """Whether two configurations are one, but for the cadences and what is of one command."""
    for cfg in (one, other):
        cfg.auto, cfg.trainer.stop_at = True, None
        cfg.trainer.update({name: "auto" for name in cfg.trainer if name.endswith("_every")})
    return one == other


def told(outcome, label):
    lines = [line.split(maxsplit=1) for line in outcome.out.splitlines() if " " in line]
    return [text for name, text in lines if name == label]


def test_a_run_says_what_it_chose_in_three_lines_and_writes_it_down(command):
    outcome = command("train", *RUN)
    assert outcome.code == 0, outcome.err
    images, network, training = told(outcome, "chosen")
    assert images.startswith(
        "images of 8 x 8, mirrored at random: about 38 images with sides of about 8"
    )
    assert network.startswith("predicts v with loss min_snr, fp32, not compiled: ")
    assert training.startswith("3,125 steps, batches of 16, learning rate 0.001, EMA 0.985")
    frozen = OmegaConf.load("run/.hydra/config.yaml")
    assert frozen == config()
    assert auto_options(frozen) == []
    assert set(frozen.auto) == FIXED.keys() - {"model.network.dim", "model.network.dim_mults"}


def test_the_printed_command_holds_no_auto_and_is_the_one_that_info_prints(command, composed):
    outcome = command("train", *RUN)
    (printed,) = told(outcome, "command")
    assert json.loads(Path("run/run.json").read_text())["command"] == printed
    assert command("info", f"ckpt={LAST}").out.splitlines()[-1].strip() == printed
    assert is_same(composed("train", *shlex.split(printed)[1:]), config())


def test_a_batch_of_a_checkpoint_that_is_too_small_for_the_processes_is_refused(
    trained, composed, monkeypatch, tmp_path
):
    monkeypatch.setattr(ProcessGroup, "all_gather", lambda _, thing: [thing])
    monkeypatch.setattr(ProcessGroup, "broadcast", lambda _, thing: thing)
    cfg = composed("train", *DATA, "trainer=ddp", f"resume={trained}")
    cfg.trainer.batch_size = "auto"
    with pytest.raises(ValueError, match="must be at least 32, the processes there are, but is 16"):
        set_up_run(cfg, Invocation(tmp_path / "new"), ProcessGroup(count=32, here=32), {})


def test_a_given_value_wins(command):
    outcome = command("train", *RUN, "trainer.steps=7", "loss=l1", "data.flip=false")
    assert outcome.code == 0, outcome.err
    frozen = config()
    assert (frozen.trainer.steps, frozen.data.flip) == (7, False)
    assert frozen.loss._target_ == "ddpm_cli.losses.l1"
    assert not {"trainer.steps", "loss", "data.flip"} & set(frozen.auto)


def test_auto_false_gives_the_values_of_the_digits(command):
    outcome = command("train", *RUN, "auto=false", "trainer.batch_size=8", "data.size=8")
    assert outcome.code == 0, outcome.err
    frozen = config()
    assert (frozen.trainer.optimizer.lr, frozen.trainer.steps) == (3e-3, 800)
    assert frozen.loss._target_ == "ddpm_cli.losses.l2"
    assert told(outcome, "chosen") == told(outcome, "command") == []


def test_nothing_is_chosen_for_the_digits(command):
    outcome = command("train", *SMALL, "trainer.stop_at=1", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    frozen = config()
    assert auto_options(frozen) == []
    assert (frozen.trainer.steps, frozen.trainer.ema, frozen.auto) == (800, 0.999, True)
    assert told(outcome, "chosen") == []


def test_a_resumed_run_takes_the_values_of_its_checkpoint(command, monkeypatch):
    assert command("train", *RUN, "trainer.batch_size=8", "trainer.steps=9").code == 0
    monkeypatch.setattr(length, "steps_that_fit", None)
    monkeypatch.setattr("ddpm_cli.recipes.chosen_values.choose", None)
    resumed = command("train", *RUN[:-2], "trainer.stop_at=2", RUN[-1], "resume=auto")
    assert resumed.code == 0, resumed.err
    assert "changed" not in resumed.out
    assert (config().trainer.batch_size, config().trainer.steps) == (8, 9)
    assert Checkpoint.load(Path(LAST)).step == 2
    facts = json.loads(Path("run/run.json").read_text())
    assert (facts["state"], facts["step"], facts["steps"]) == ("stopped", 2, 9)
    assert "trainer.batch_size=8" in facts["command"]


def test_a_complete_run_of_few_passes_prints_the_command_that_trains_it_on(command, composed):
    outcome = command("train", *RUN[:-2], "trainer.epochs=1", RUN[-1])
    assert json.loads(Path("run/run.json").read_text())["state"] == "complete"
    (expected,) = [text for text in told(outcome, "pictures") if text.endswith("train on with:")]
    longer = outcome.out.split("train on with:\n")[1].splitlines()[0]
    overrides = shlex.split(longer)[1:]
    trainer = composed("train", *overrides).trainer
    assert (trainer.epochs, trainer.steps) == (None, 3125)
    assert "expect noise" in expected and overrides[-1] == "resume=auto"
    again = command("train", *overrides[:-1], "trainer.stop_at=4", "resume=auto")
    assert again.code == 0, again.err
    assert Checkpoint.load(Path(LAST)).step == 4


@pytest.mark.slow
def test_a_run_from_before_options_were_chosen_goes_on_and_is_a_recipe(command):
    assert command("train", *RUN, "auto=false", "data.size=8", "trainer.batch_size=8").code == 0
    change_config(Path(LAST), lambda cfg: cfg.pop("auto"))
    resumed = command("train", *RUN[:-2], "trainer.stop_at=2", RUN[-1], f"resume={LAST}")
    assert resumed.code == 0, resumed.err
    assert "changed" not in resumed.out
    assert config().trainer.optimizer.lr == 3e-3


def test_a_recipe_keeps_its_values(command, monkeypatch):
    assert command("train", *RUN, "trainer.optimizer.lr=2e-3").code == 0
    monkeypatch.setattr("ddpm_cli.recipes.chosen_values.choose", None)
    again = command("train", f"recipe={LAST}", "trainer.stop_at=1", "hydra.run.dir=again")
    assert again.code == 0, again.err
    assert is_same(config(), config("again/checkpoints/last.safetensors"))


def test_steps_alone_follow_from_the_speed(command, monkeypatch):
    assert command("train", *RUN).code == 0
    fast = config()
    slow = Costs(step=60.0, validation=0.0, grid=0.0, save=0.0)
    monkeypatch.setattr("ddpm_cli.commands.train.time_budget.measure_costs", lambda *_, **__: slow)
    outcome = command("train", *RUN[:-1], "hydra.run.dir=slow")
    assert outcome.code == 0, outcome.err
    night = config("slow/checkpoints/last.safetensors")
    assert 400 < night.trainer.steps < 480  # minutes of a night
    assert night.trainer.ema < fast.trainer.ema
    for cfg in (fast, night):
        cfg.trainer.update({"steps": 0, "ema": 0.0, "warmup": 0})
    assert fast == night
    assert "estimate   " in outcome.out
    assert "expect noise; about" in outcome.out


def test_a_long_run_on_a_cpu_names_the_command_that_ends_in_time(command, monkeypatch):
    slow = Costs(step=10.0, validation=0.0, grid=0.0, save=0.0)
    monkeypatch.setattr("ddpm_cli.commands.train.time_budget.measure_costs", lambda *_, **__: slow)
    said = [*DATA, *SMALL, "trainer.batch_size=8", "data.size=8"]
    rest = ["trainer.stop_at=4000", "hydra.run.dir=run"]
    monkeypatch.setattr("ddpm_cli.commands.train.loop.run_steps", lambda *_: True)
    outcome = command("train", *said, "trainer.epochs=900", *rest)
    typed = shlex.join(["ddpm-train", *said, "trainer.minutes=480"])
    assert f"warning: the run takes about 11.1 h on this CPU; this one ends tonight: {typed}" in (
        outcome.out
    )
    outcome = command("train", *said, "trainer.steps=400", "hydra.run.dir=other")
    assert "this one ends in an hour: ddpm-train data=arrays" in outcome.out


def test_the_jobs_of_a_sweep_share_the_values_of_the_first(command, monkeypatch):
    sweep = [*DATA, *SMALL, "trainer.stop_at=1", "hydra.sweep.dir=sweep"]
    calls = list[int]()
    real = length.steps_that_fit
    monkeypatch.setattr(length, "steps_that_fit", lambda *args: calls.append(1) or real(*args))
    outcome = command("train", "-m", "trainer.optimizer.lr=1e-4,2e-4", *sweep)
    assert outcome.code == 0, outcome.err
    first, second = (config(f"sweep/{job}/checkpoints/last.safetensors") for job in (0, 1))
    assert (first.trainer.optimizer.lr, second.trainer.optimizer.lr) == (1e-4, 2e-4)
    first.trainer.optimizer.lr = second.trainer.optimizer.lr
    assert first == second
    assert len(calls) == 1


@pytest.mark.slow
def test_what_a_sweep_varies_does_not_change_the_other_values(command):
    sweep = ["-m", "model.network.dim=8,16", *DATA, *SMALL[1:], "trainer.stop_at=1"]
    assert command("train", *sweep, "hydra.sweep.dir=sweep").code == 0
    rates = [
        config(f"sweep/{job}/checkpoints/last.safetensors").trainer.optimizer.lr for job in (0, 1)
    ]
    assert rates == [0.001, 0.001]


@pytest.mark.parametrize("command_name", ["data", "doctor"])
def test_other_commands_choose_as_a_run_would(command, command_name):
    options = DATA if command_name == "data" else [*DATA, *SMALL]
    outcome = command(command_name, *options)
    assert outcome.code == 0, outcome.err
    assert "8 x 8" in outcome.out


def test_an_evaluation_takes_the_size_of_the_checkpoint(command):
    assert command("train", *RUN).code == 0
    outcome = command(
        "evaluate", f"ckpt={LAST}", *DATA[:2], "metrics=[fd_pixels]", "samples=8", "sampler.steps=2"
    )
    assert outcome.code == 0, outcome.err


def test_minutes_that_fit_nothing_name_what_would_fit(command, monkeypatch):
    slow = Costs(step=2.0, validation=1.0, grid=8.0, save=1.0)
    monkeypatch.setattr("ddpm_cli.commands.train.time_budget.measure_costs", lambda *_, **__: slow)
    said = [*DATA, "model.network.dim=64", "model.network.dim_mults=[1]", "data.size=8"]
    outcome = command("train", *said, "trainer.minutes=0.2", "hydra.run.dir=run")
    assert outcome.code == 1
    assert "is too short" in outcome.err
    assert outcome.err.endswith("model.network.dim=16 would fit\n")


def test_auto_takes_no_options_of_a_loss(command):
    outcome = command("train", *DATA, "+loss.gamma=3")
    assert outcome.err == "error: loss.gamma is not an option of loss=auto; there are none\n"


def test_no_experiment_holds_auto(composed_as_is):
    for path in Path(length.__file__).parents[3].glob("configs/experiment/*.yaml"):
        assert auto_options(composed_as_is(f"+experiment={path.stem}")) == []


@pytest.fixture
def composed_as_is():
    """Composes the configuration of ddpm-train with every `auto` in it."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from ddpm_cli.config.build import CONFIG_DIR

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        yield lambda *overrides: compose("train", list(overrides))


def test_every_default_of_a_fixed_value_is_auto(composed_as_is):
    assert set(auto_options(composed_as_is("data=folder"))) == FIXED.keys()
