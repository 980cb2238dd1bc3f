"""Training runs: what they train, for how long, and what they refuse."""

from pathlib import Path

import pytest
import torch
from conftest import TINY
from run_files import rows

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.hardware import determinism


def test_the_screen_says_device_images_parameters_and_length(command):
    out = command("train", *TINY, "trainer.steps=2", "trainer.device=cpu").out
    assert "device     cpu (1 thread)" in out
    assert "data       1,725 images, 8 x 8, 1 channel, 10 classes; 72 more are held out" in out
    assert "model      58,273 parameters, predicts eps" in out
    assert "length     2 steps of 16 images, 0.0 epochs" in out


def test_the_bar_shows_loss_speed_and_time_left(command):
    err = command("train", *TINY, "trainer.steps=4", "trainer.log_every=1").err
    assert "images/s" in err
    assert "s/epoch" in err
    assert "loss" in err
    assert "00:00<00:00" in err


@pytest.mark.parametrize(
    ("overrides", "count"),
    [
        (
            ["model=resnet", "model.network.dim=128", "model.network.dim_mults=[1,2,4]"],
            "32,009,619",
        ),
        (
            ["model=convnext", "model.network.dim=32", "model.network.dim_mults=[1,2,4,8]"],
            "14,733,783",
        ),
    ],
)
def test_no_steps_print_the_parameters_of_the_tutorials_networks(command, overrides, count):
    outcome = command("train", *overrides, "data.channels=3", "trainer.steps=0")
    assert outcome.code == 0
    assert f"{count} parameters" in outcome.out


def test_epochs_take_the_place_of_steps_and_say_so(command):
    out = command(
        "train", *TINY, "data.holdout=0.9", "trainer.batch_size=90", "trainer.epochs=1"
    ).out
    assert (
        "length     2 steps of 90 images, 1.0 epochs "
        "(trainer.epochs=1 takes the place of trainer.steps)" in out
    )


def test_no_process_at_all_is_refused(command):
    outcome = command("train", *TINY, "trainer=ddp", "trainer.processes=0", "hydra.run.dir=run")
    assert (outcome.code, outcome.err) == (
        1,
        "error: trainer: processes must be at least 1, but is 0\n",
    )
    assert not Path("run").exists()


def test_data_parallel_without_gpus_trains_the_same_and_says_what_it_does(command, trained):
    outcome = command("train", *TINY, "trainer=dp", "trainer.steps=4", "hydra.run.dir=dp")
    plain, wrapped = (
        Checkpoint.load(path).tensors for path in (trained, Path("dp/checkpoints/last.safetensors"))
    )
    assert "DataParallel of one: 0 GPUs are visible, batches stay whole" in outcome.out
    assert plain.keys() == wrapped.keys()
    assert all(torch.equal(plain[name], wrapped[name]) for name in plain)


def test_deterministic_kernels_change_no_weight_on_the_cpu_and_end_with_the_run(command, trained):
    before = determinism.settings()
    asked = ["trainer.deterministic=true", "trainer.steps=4", "hydra.run.dir=run"]
    stopped = command("train", *TINY, *asked, "trainer.stop_at=2")
    outcome = command("train", *TINY, *asked, "resume=auto")
    assert (stopped.code, outcome.code) == (0, 0), outcome.err
    plain, strict = (
        Checkpoint.load(path).tensors
        for path in (trained, Path("run/checkpoints/last.safetensors"))
    )
    assert all(torch.equal(plain[name], strict[name]) for name in plain)
    assert determinism.settings() == before


OWN_PART = """
import torch

def jumping(denoiser, batch):
    error = denoiser(batch.x_t, batch.t).output - batch.eps
    zero = torch.zeros(1).put_(torch.tensor([0]), torch.ones(1))
    return error.square().mean((1, 2, 3)) + 0 * zero
"""


def test_an_operation_without_a_deterministic_form_is_told_before_the_first_step(command):
    Path("my_part.py").write_text(OWN_PART)
    own = ["trust=[my_part]", "loss._target_=my_part.jumping", "hydra.run.dir=run"]
    outcome = command("train", *TINY, *own, "trainer.deterministic=true", "trainer.steps=1")
    assert outcome.code == 1
    assert "trainer.deterministic=true: put_ has no deterministic form on cpu" in outcome.err
    assert (outcome.err.count("\n"), Path("run").exists()) == (1, False)
    assert command("train", *TINY, *own, "trainer.steps=1").code == 0


@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
def test_learned_variance_trains_under_the_hybrid_loss(command, predicts):
    outcome = command(
        "train",
        *TINY,
        "model.variance=learned",
        f"model.predicts={predicts}",
        "loss=hybrid",
        "trainer.steps=2",
    )
    assert outcome.code == 0, outcome.err


def test_an_unscaled_linear_schedule_warns_of_its_end_with_the_remedy(command):
    out = command("train", *TINY, "schedule=linear", "schedule.last=0.002", "trainer.steps=0").out
    assert "warning: sampling starts from pure noise" in out
    assert "use schedule=cosine or a larger schedule.last" in out


def test_activations_computed_again_change_no_weight(command, trained):
    command(
        "train",
        *TINY,
        "trainer.steps=4",
        "trainer.activation_checkpointing=true",
        "hydra.run.dir=again",
    )
    kept, again = (
        Checkpoint.load(path).tensors
        for path in (trained, Path("again/checkpoints/last.safetensors"))
    )
    assert all(torch.equal(kept[name], again[name]) for name in kept)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["loss=vlb", "trainer.input_perturbation=0.1"],
            "it does not go with trainer.input_perturbation, which must be 0",
        ),
        (
            ["loss=hybrid"],
            "hybrid trains a learned variance: it needs model.variance=learned, "
            "but that is 'small'",
        ),
        (
            ["loss=min_snr", "model.variance=learned"],
            "this loss leaves a learned variance untrained",
        ),
        (["schedule.zero_snr=true"], "predicts=eps says nothing of x_0 where the SNR is 0"),
        (["trainer.offset_noise=-1"], "offset_noise and input_perturbation must be at least 0"),
        (
            ["loss.distance=l3", "loss=p2"],
            "loss.distance must be one of l1, l2, huber, but is 'l3'",
        ),
        (["loss=uncertain", "loss.waves=0"], "loss.waves must be 1 to 1,000, but is 0"),
        (["loss=uncertain", "loss@loss.of=uncertain"], "loss.of"),
        (
            ["train_times=lognormal", "train_times.std=-1"],
            "train_times.std must be positive, but is -1",
        ),
        (["trainer.evaluate_every=0"], "evaluate_every must be at least 1, but is 0"),
    ],
)
def test_objectives_that_mean_nothing_are_refused_with_the_reason(command, options, said):
    outcome = command("train", *TINY, *options, "hydra.run.dir=run")
    assert outcome.code == 1
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert said in outcome.err
    assert not Path("run").exists()


def test_a_run_without_held_out_images_evaluates_training_and_gives_no_verdict(command):
    outcome = command("train", *TINY, "data.holdout=0.0", "trainer.steps=2", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    assert "learning" not in outcome.out
    assert {"training", "training_raw", "training_q4"} <= rows("run")[-1].keys()
    assert not Path("run/checkpoints/best.safetensors").exists()


@pytest.mark.long
def test_a_run_over_few_images_is_said_to_overfit_and_keeps_its_best_checkpoint(
    command, monkeypatch
):
    monkeypatch.setattr("ddpm_cli.training.fixed_noise_losses.IMAGES", 32)  # as outside of tests
    few = [
        "data.holdout=0.985",
        "model.network.dim=32",
        "trainer.batch_size=16",
        "trainer.optimizer.lr=3e-3",
        "trainer.ema=0.98",
    ]
    often = [
        "trainer.evaluate_every=50",
        "trainer.checkpoint_every=50",
        "trainer.sample_every=1000",
    ]
    outcome = command("train", *TINY, *few, *often, "trainer.steps=600", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    assert "learning   overfitting since step" in outcome.out
    assert (
        f"sample     ddpm-sample ckpt={Path.cwd()}/run/checkpoints/best.safetensors" in outcome.out
    )
    losses = {row["step"]: row["held_out"] for row in rows("run") if "held_out" in row}
    assert Checkpoint.load(Path("run/checkpoints/best.safetensors")).step == min(
        losses, key=losses.get
    )


OWN_LOSS = """
def relative(denoiser, batch, *, power: float = 1.0):
    error = denoiser(batch.x_t, batch.t).output - denoiser.target(batch.x0, batch.eps, batch.t)
    return error.square().mean((1, 2, 3)) * (1 - batch.t / denoiser.diffusion.steps) ** power

def late(u, history, *, share: float = 0.5):
    steps = history.diffusion.steps
    return 1 + ((1 - share * u) * steps).long().clamp(max=steps - 1), 1.0
"""


def test_a_weighting_and_a_time_sampler_of_ones_own_are_two_files_each(command):
    Path("my_objective.py").write_text(OWN_LOSS)
    for group, text in (("loss", "relative\npower: 2.0\n"), ("train_times", "late\nshare: 0.3\n")):
        Path("mine", group).mkdir(parents=True)
        Path("mine", group, "own.yaml").write_text(f"_target_: my_objective.{text}")
    own = [
        "--config-dir",
        "mine",
        *TINY,
        "loss=own",
        "train_times=own",
        "trainer.steps=2",
        "hydra.run.dir=run",
    ]
    assert (
        "loss._target_ must name a function or class of ddpm_cli.losses"
        in command("train", *own).err
    )
    outcome = command("train", *own, "trust=[my_objective]")
    assert outcome.code == 0, outcome.err


def test_too_few_held_out_images_are_told(command):
    outcome = command("train", *TINY, "data.holdout=1e-6", "trainer.steps=1", "hydra.run.dir=run")
    assert (
        "warning: 0 of 1,797 images are held out: overfitting cannot be told of so few; "
        "choose a larger data.holdout" in outcome.out
    )
