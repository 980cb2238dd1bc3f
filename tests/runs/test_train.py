"""Training runs: what they write, how they go on, what they refuse."""

import itertools
import json
import math
import shutil
import signal
from pathlib import Path

import pytest
import torch
from conftest import TINY

from ddpm_cli import checkpoints, training
from ddpm_cli.runs import loop, previews
from ddpm_cli.runs.journal import Journal

RECIPE = [*TINY, "model.network.dropout=0.1", "data.flip=true", "trainer.log_every=5"]


def flattened(content, prefix=""):
    return {
        name: tensor
        for key, value in content.items()
        for name, tensor in (flattened(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}).items()
        if isinstance(tensor, torch.Tensor)
    }


def rows(folder):
    return [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]


OUTCOMES = []


@pytest.fixture
def stopped_and_whole(command, runs):
    if OUTCOMES:
        [shutil.copytree(runs / name, name) for name in ("whole", "parts")]
        return OUTCOMES
    whole = command("train", *RECIPE, "trainer.steps=40", "hydra.run.dir=whole")
    stopped = command("train", *RECIPE, "trainer.steps=40", "trainer.stop_at=25", "hydra.run.dir=parts")
    resumed = command("train", *RECIPE, "trainer.steps=40", "hydra.run.dir=parts", "resume=auto")
    assert (whole.code, stopped.code, resumed.code) == (0, 0, 0), resumed.err
    [shutil.copytree(name, runs / name) for name in ("whole", "parts")]
    OUTCOMES.extend([stopped, resumed])
    return OUTCOMES


def test_forty_steps_equal_twenty_five_and_the_rest(stopped_and_whole):
    whole, parts = (flattened(checkpoints.load(Path(name, "checkpoints/last.pt"))) for name in ("whole", "parts"))
    assert len(whole) > 200
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_resumed_run_says_what_it_restored_and_logs_each_step_once(stopped_and_whole):
    stopped, resumed = stopped_and_whole
    assert "ended     at step 25 of 40" in stopped.out
    assert "trainer.steps=40 hydra.run.dir=" in stopped.out
    assert stopped.out.count("resume=auto") == 1
    assert "resumed   step 25 of" in resumed.out
    assert [row["step"] for row in rows("parts")] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert rows("parts")[-1]["loss"] == rows("whole")[-1]["loss"]


def test_a_run_writes_its_data_its_noising_its_samples_and_its_numbers(command):
    outcome = command("train", *TINY, "trainer.steps=4", "trainer.log_every=2", "trainer.sample_every=2", "hydra.run.dir=run")
    written = {str(path.relative_to("run")) for path in Path("run").rglob("*") if path.is_file()}
    pictures = {"data.png", "forward.png", "held_out.png", "samples/step_00000002.png", "samples/step_00000004.png"}
    assert outcome.code == 0
    assert pictures | {"train.log", "metrics.jsonl", ".hydra/config.yaml", "checkpoints/last.pt", "checkpoints/step_00000004.pt"} <= written
    assert any(path.startswith("tensorboard/") for path in written)
    measured = {"step", "loss", "grad_norm", "lr", "images_per_second", "tflops", "peak_share", "skipped"}
    quarters = {f"{name}_q{place}" for name in ("loss", "held_out", "training") for place in range(1, 5)}
    assert rows("run")[-1].keys() == {*measured, *quarters, "held_out", "held_out_raw", "training", "training_raw"}


def test_the_screen_says_device_images_parameters_and_length(command):
    out = command("train", *TINY, "trainer.steps=2", "trainer.device=cpu").out
    assert "device    cpu (1 threads)" in out
    assert "data      1,725 images, 8 x 8, 1 channels, 10 classes; 72 more are held out" in out
    assert "model     58,273 parameters, predicts eps" in out
    assert "length    2 steps of 16 images, 0.0 epochs" in out


def test_the_bar_shows_loss_speed_and_time_left(command):
    err = command("train", *TINY, "trainer.steps=4", "trainer.log_every=1").err
    assert "images/s" in err
    assert "s/epoch" in err
    assert "loss" in err
    assert "00:00<00:00" in err


@pytest.mark.parametrize(
    ("overrides", "count"),
    [
        (["model=resnet", "model.network.dim=128", "model.network.dim_mults=[1,2,4]"], "32,009,619"),
        (["model=convnext", "model.network.dim=32", "model.network.dim_mults=[1,2,4,8]"], "14,733,783"),
    ],
)
def test_no_steps_print_the_parameters_of_the_tutorials_networks(command, overrides, count):
    outcome = command("train", *overrides, "data.channels=3", "trainer.steps=0")
    assert outcome.code == 0
    assert f"{count} parameters" in outcome.out


def test_epochs_take_the_place_of_steps_and_say_so(command):
    out = command("train", *TINY, "data.holdout=0.9", "trainer.batch_size=90", "trainer.epochs=1").out
    assert "length    2 steps of 90 images, 1.0 epochs (trainer.epochs=1 takes the place of trainer.steps)" in out


def test_ctrl_c_saves_a_checkpoint_and_says_how_to_resume(command, monkeypatch):
    monkeypatch.setattr(Journal, "numbers", lambda *_: signal.raise_signal(signal.SIGINT))
    outcome = command("train", *TINY, "trainer.steps=9", "trainer.log_every=3", "hydra.run.dir=run")
    assert outcome.code == 0
    assert "stopped   at step 3 of 9; go on with:" in outcome.out
    assert "resume=auto" in outcome.out
    assert checkpoints.load(Path("run/checkpoints/last.pt"))["step"] == 3


def test_no_process_at_all_is_refused(command):
    outcome = command("train", *TINY, "trainer=ddp", "trainer.processes=0", "hydra.run.dir=run")
    assert (outcome.code, outcome.err) == (1, "error: trainer: processes must be at least 1, but is 0\n")
    assert not Path("run").exists()


def test_a_sweep_makes_one_folder_per_job(command):
    outcome = command("train", "-m", *TINY, "model=resnet,convnext", "trainer.steps=0", "hydra.sweep.dir=sweep")
    assert outcome.code == 0
    assert len(list(Path("sweep").glob("*/checkpoints/last.pt"))) == 2


def test_sweeps_land_under_outputs_multirun(command):
    command("train", "-m", *TINY, "trainer.steps=0", "seed=1")
    assert len(list(Path("outputs/multirun").glob("*/*/0/checkpoints/last.pt"))) == 1


def test_runs_that_start_together_get_folders_of_their_own(command):
    command("train", *TINY, "trainer.steps=0")
    command("train", *TINY, "trainer.steps=0")
    assert len(list(Path("outputs").glob("*/*/checkpoints/last.pt"))) == 2


def test_a_run_is_never_written_over(command, trained):
    outcome = command("train", *TINY, "trainer.steps=4", "hydra.run.dir=trained")
    assert outcome.code == 1
    assert "holds a run already (step_00000004.pt); go on with resume=auto, or name another folder" in outcome.err


def test_resume_auto_starts_at_step_zero_where_there_is_nothing_and_says_so(command):
    outcome = command("train", *TINY, "trainer.steps=2", "hydra.run.dir=new", "resume=auto")
    assert outcome.code == 0
    assert "resumed   nothing: " in outcome.out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("model.network.dim=16", "model.network.dim was 8 and is 16"),
        ("schedule.offset=0.01", "schedule.offset was 0.008 and is 0.01"),
        ("seed=1", "seed was 0 and is 1"),
        ("trainer.batch_size=8", "trainer.batch_size was 16 and is 8"),
        ("data.channels=3", "the images are others"),
    ],
)
def test_a_resume_refuses_what_makes_it_another_run(command, trained, change, told):
    before = trained.read_bytes()
    outcome = command("train", *TINY, "trainer.steps=8", "hydra.run.dir=trained", "resume=auto", change)
    assert outcome.code == 1
    assert "error: cannot resume: " in outcome.err
    assert told in outcome.err
    assert trained.read_bytes() == before


def test_a_resume_tells_what_is_no_longer_exact(command, trained):
    out = command("train", *TINY, "trainer.steps=6", "trainer.optimizer.lr=1e-4", f"resume={trained}").out
    assert "trainer.steps: 4 -> 6" in out
    assert "trainer.optimizer.lr: 0.003 -> 0.0001" in out
    assert "steps in all: 4 -> 6" in out


def test_another_optimizer_starts_with_nothing_remembered_and_says_so(command, trained):
    other = ["trainer.optimizer._target_=torch.optim.RMSprop", "~trainer.optimizer.betas", "~trainer.optimizer.fused"]
    outcome = command("train", *TINY, "trainer.steps=6", "hydra.run.dir=trained", "resume=auto", *other)
    assert outcome.code == 0, outcome.err
    assert "the optimizer starts with nothing remembered" in outcome.out


def test_going_on_from_an_older_checkpoint_never_loses_a_newer_one(command):
    often = [*TINY, "trainer.steps=4", "trainer.checkpoint_every=2", "hydra.run.dir=run"]
    command("train", *often)
    outcome = command("train", *often, "resume=run/checkpoints/step_00000002.pt")
    assert outcome.code == 1
    assert "holds newer checkpoints (step_00000004.pt), which going on from step_00000002.pt would lose; name another folder" in outcome.err


def test_the_command_that_goes_on_finds_the_users_own_yaml(command):
    Path("mine/model").mkdir(parents=True)
    Path("mine/model/small.yaml").write_text("defaults: [resnet, _self_]\n")
    out = command("train", "--config-dir", "mine", *TINY, "model=small", "trainer.steps=2", "trainer.stop_at=1").out
    assert f"ddpm-train --config-dir={Path('mine').resolve()} " in out


def test_data_parallel_without_gpus_trains_the_same_and_says_what_it_does(command, trained):
    outcome = command("train", *TINY, "trainer=dp", "trainer.steps=4", "hydra.run.dir=dp")
    plain, wrapped = (flattened(checkpoints.load(path)) for path in (trained, Path("dp/checkpoints/last.pt")))
    assert "DataParallel of one: 0 GPUs are visible, batches stay whole" in outcome.out
    assert plain.keys() == wrapped.keys()
    assert all(torch.equal(plain[name], wrapped[name]) for name in plain)


@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
def test_learned_variance_trains_under_the_hybrid_loss(command, predicts):
    outcome = command("train", *TINY, "model.variance=learned", f"model.predicts={predicts}", "loss=hybrid", "trainer.steps=2")
    assert outcome.code == 0, outcome.err


def test_an_unscaled_linear_schedule_warns_of_its_end_with_the_remedy(command):
    out = command("train", *TINY, "schedule=linear", "schedule.last=0.002", "trainer.steps=0").out
    assert "warning: sampling starts from pure noise" in out
    assert "use schedule=cosine or a larger schedule.last" in out


def test_only_the_newest_checkpoints_are_kept(command):
    command("train", *TINY, "trainer.steps=6", "trainer.checkpoint_every=1", "trainer.keep_last=2", "hydra.run.dir=run")
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == ["best.pt", "last.pt", "step_00000005.pt", "step_00000006.pt"]


def often(command, *options, folder="run"):
    return command("train", *TINY, "trainer.steps=6", "trainer.checkpoint_every=2", f"hydra.run.dir={folder}", *options)


def cut_off(file):
    return file[:5000]


def flipped(file):
    return file[:5000] + bytes([file[5000] ^ 1]) + file[5001:]


def emptied(file):
    return b""


@pytest.mark.parametrize("damage", [pytest.param(cut_off, marks=pytest.mark.long), flipped, pytest.param(emptied, marks=pytest.mark.long)])
def test_a_damaged_newest_checkpoint_is_skipped_and_the_rest_is_the_same(command, damage):
    often(command, folder="whole")
    often(command, "trainer.stop_at=4")
    newest = Path("run/checkpoints/step_00000004.pt")
    newest.write_bytes(damage(newest.read_bytes()))
    outcome = often(command, "resume=auto")
    whole, parts = (flattened(checkpoints.load(Path(name, "checkpoints/last.pt"))) for name in ("whole", "run"))
    assert outcome.code == 0, outcome.err
    assert "skipped   cannot read the checkpoint" in outcome.out
    assert "resumed   step 2 of" in outcome.out
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_where_no_checkpoint_can_be_read_nothing_starts_afresh(command):
    often(command, "trainer.stop_at=2")
    Path("run/checkpoints/step_00000002.pt").write_bytes(b"")
    outcome = often(command, "resume=auto")
    assert outcome.code == 1
    assert "none of the 1 checkpoints in 'run/checkpoints' can be read; to start again, name another folder" in outcome.err.replace(
        str(Path.cwd()) + "/", ""
    )


def test_every_so_many_steps_a_checkpoint_is_kept_for_good(command):
    command(
        "train", *TINY, "trainer.steps=6", "trainer.checkpoint_every=1", "trainer.keep_last=1", "trainer.keep_every=4", "hydra.run.dir=run"
    )
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == ["best.pt", "last.pt", "step_00000004.pt", "step_00000006.pt"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_the_signals_of_schedulers_stop_a_run_with_a_checkpoint(command, monkeypatch, number):
    monkeypatch.setattr(Journal, "numbers", lambda *_: [signal.raise_signal(number), signal.raise_signal(number)])
    outcome = command("train", *TINY, "trainer.steps=9", "trainer.log_every=3", "hydra.run.dir=run")
    assert outcome.code == 0
    assert f"stopping after this step ({number.name})" in outcome.out
    assert checkpoints.load(Path("run/checkpoints/last.pt"))["step"] == 3


def test_a_full_disk_is_told_loses_nothing_and_is_tried_again(command, monkeypatch):
    save, failures = torch.save, [OSError("No space left on device"), RuntimeError("file write failed"), OSError("No space left on device")]

    def full(content, file):
        file.write(b"half")
        if failures:
            raise failures.pop()
        save(content, file)

    monkeypatch.setattr(torch, "save", full)
    monkeypatch.setattr(loop, "RETRY_SECONDS", 0)
    outcome = often(command)
    assert outcome.code == 0
    assert outcome.out.count("warning: no checkpoint at step") == 3
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == ["best.pt", "last.pt", "step_00000006.pt"]


def test_rows_wait_until_the_disk_takes_them(tmp_path, monkeypatch):
    journal = Journal.opened(tmp_path, 0)
    with monkeypatch.context() as full:
        full.setattr("ddpm_cli.runs.journal.append", fails)
        journal.numbers(1, {"loss": 2.0})
    journal.numbers(2, {"loss": float("nan")})
    assert rows(tmp_path) == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": None}]


def fails(*_):
    raise OSError("No space left on device")


POISON = [*TINY, "trainer.steps=20", "trainer.checkpoint_every=4", "trainer.bad_steps=3", "trainer.log_every=1", "hydra.run.dir=run"]


def poisoned_batches(monkeypatch, *steps):
    clean = training.noised

    def poisoned(denoiser, batch, seed, step, device, **options):
        found = clean(denoiser, batch, seed, step, device, **options)
        found.x_t[2] += float("nan") if step in steps else 0.0
        return found

    monkeypatch.setattr(training.trainer, "noised", poisoned)


def poisoned_weights(monkeypatch, *times):
    """Spoils a weight before so many batches, of which the first is the preflight's; a checkpoint's copy must not be under way."""
    steps, clean = itertools.count(1), training.noised

    def poison(denoiser, batch, seed, step, device, **options):
        if next(steps) in times:
            next(denoiser.network.parameters()).data[0] = float("inf")
        return clean(denoiser, batch, seed, step, device, **options)

    monkeypatch.setattr(training.trainer, "noised", poison)


def incidents():
    return [json.loads(line) for line in Path("run/incidents.jsonl").read_text().splitlines()]


def test_a_poisoned_image_costs_one_step_and_is_named(command, monkeypatch):
    poisoned_batches(monkeypatch, 6)
    outcome = command("train", *POISON)
    assert outcome.code == 0, outcome.err
    assert "warning: step 7 was skipped: its numbers are not finite; see incidents.jsonl" in outcome.out
    (incident,) = incidents()
    assert (incident["step"], incident["loss"], incident["grad_norm"], incident["weights"]) == (7, "nan", "nan", [])
    assert [index for index, loss in enumerate(incident["losses"]) if loss == "nan"] == [2]
    assert len(incident["indices"]) == len(incident["times"]) == 16
    assert [row["loss"] is None for row in rows("run")].index(True) == 6
    assert rows("run")[-1]["skipped"] == 1


def test_a_poisoned_weight_sends_the_run_back_once_with_half_the_learning_rate(command, monkeypatch):
    poisoned_weights(monkeypatch, 11)
    outcome = command("train", *POISON)
    assert outcome.code == 0, outcome.err
    assert "3 steps in a row without finite numbers" in outcome.out
    assert "back to step_00000008.pt with half the learning rate" in outcome.out
    assert incidents()[0]["weights"] == ["stem.weight"]
    assert [row["step"] for row in rows("run")] == list(range(1, 21))
    assert rows("run")[8]["lr"] == pytest.approx(0.5 * 0.003 * 0.5 * (1 + math.cos(math.pi * 8 / 20)))
    assert checkpoints.load(Path("run/checkpoints/last.pt"))["facts"]["lr_scale"] == 0.5


def test_numbers_that_stay_bad_end_the_run_with_the_evidence_and_the_last_good_checkpoint(command, monkeypatch):
    poisoned_weights(monkeypatch, 11, 15)
    outcome = command("train", *POISON)
    assert outcome.code == 1
    assert "though the learning rate was halved; the last good checkpoint stays; the evidence is in" in outcome.err
    assert outcome.err.count("error: ") == 1
    assert checkpoints.load(Path("run/checkpoints/last.pt"))["step"] == 8


def test_a_learning_rate_that_explodes_before_the_first_checkpoint_is_told(command):
    outcome = command("train", *POISON, "trainer.optimizer.lr=1e30", "trainer.grad_clip=null", "trainer.checkpoint_every=20")
    assert outcome.code == 1
    assert "no checkpoint to go back to; try a smaller trainer.optimizer.lr" in outcome.err


def test_a_damaged_checkpoint_of_later_steps_never_pushes_out_a_good_one(command):
    often(command, "trainer.stop_at=4", "trainer.keep_last=1")
    Path("run/checkpoints/step_00000004.pt").replace("run/checkpoints/step_00000005.pt")
    Path("run/checkpoints/step_00000008.pt").write_bytes(b"damaged")
    outcome = often(command, "trainer.keep_last=1", "resume=auto")
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == ["best.pt", "last.pt", "step_00000006.pt"]


def test_a_disk_that_is_full_from_the_start_is_told_in_one_line(command, monkeypatch):
    monkeypatch.setattr("ddpm_cli.runs.journal.save_png", fails)
    monkeypatch.setattr("ddpm_cli.runs.journal.board", fails)
    outcome = command("train", *TINY, "trainer.steps=0", "hydra.run.dir=run", "resume=auto")
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1


def test_rows_that_wait_are_cut_and_written_as_well(tmp_path, monkeypatch):
    journal = Journal.opened(tmp_path, 0)
    with monkeypatch.context() as full:
        full.setattr("ddpm_cli.runs.journal.append", fails)
        journal.numbers(1, {"loss": 2.0})
        journal.numbers(2, {"loss": 3.0})
    journal.cut(1)
    journal.close()
    assert rows(tmp_path) == [{"step": 1, "loss": 2.0}]


def test_an_overflow_of_fp16_is_no_incident_and_its_scale_falling_below_one_is(command, monkeypatch):
    monkeypatch.setattr(training.trainer, "noised", overflowing(training.noised))
    often = [*TINY, "trainer.precision=fp16", "trainer.batch_size=2", "trainer.steps=17", "trainer.log_every=1", "hydra.run.dir=run"]
    outcome = command("train", *often)
    assert outcome.code == 0, outcome.err
    assert not Path("run/incidents.jsonl").exists()
    assert {row["skipped"] for row in rows("run")} == {0}
    command("train", *often, "trainer.steps=19", "trainer.stop_at=19", "hydra.run.dir=more")
    assert [row["step"] for row in map(json.loads, Path("more/incidents.jsonl").read_text().splitlines())] == [18, 19]


def overflowing(clean):
    def noised(denoiser, *others, **options):
        next(denoiser.network.parameters()).register_hook(lambda gradient: gradient + math.inf)
        return clean(denoiser, *others, **options)

    return noised


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_run_goes_on_in_another_precision(command, trained, precision):
    outcome = command("train", *TINY, "trainer.steps=4", f"trainer.precision={precision}", "hydra.run.dir=half")
    assert outcome.code == 0, outcome.err
    assert command("train", *TINY, "trainer.steps=6", "hydra.run.dir=half", "resume=auto").code == 0
    again = command("train", *TINY, "trainer.steps=6", "hydra.run.dir=trained", "resume=auto", f"trainer.precision={precision}")
    assert again.code == 0
    assert "trainer.precision" not in again.out


def test_activations_computed_again_change_no_weight(command, trained):
    command("train", *TINY, "trainer.steps=4", "trainer.activation_checkpointing=true", "hydra.run.dir=again")
    kept, again = (flattened(checkpoints.load(path)) for path in (trained, Path("again/checkpoints/last.pt")))
    assert all(torch.equal(kept[name], again[name]) for name in kept)


def test_a_schedule_of_a_file_is_in_the_checkpoint_as_numbers(command):
    listed = [*TINY, "schedule=listed", "schedule.path=numbers.txt", "trainer.steps=2", "hydra.run.dir=run"]
    Path("numbers.txt").write_text(" ".join(str(1 - each / 51) for each in range(51)))
    assert command("train", *listed).code == 0
    assert command("train", *listed, "resume=auto").code == 0
    Path("numbers.txt").unlink()
    assert command("sample", "ckpt=run/checkpoints/last.pt", "n=1", "sampler.steps=2", "hydra.run.dir=out").code == 0
    other = command("train", *TINY, "trainer.steps=2", "hydra.run.dir=run", "resume=auto")
    assert "schedule.betas was [0.0196" in other.err
    assert command("train", *listed).err.startswith("error: schedule: path must be a file of numbers, but 'numbers.txt' is none: ")


REMEMBERING = [
    *["model.variance=learned", "schedule.steps=10", "train_times=loss_aware", "train_times.kept=2", "loss=uncertain", "loss@loss.of=vlb"],
    *["trainer.offset_noise=0.1", "trainer.log_every=2", "trainer.evaluate_every=4"],
]


def test_what_loss_times_and_verdict_remember_goes_on_exactly(command):
    for name, options in (("whole", []), ("parts", ["trainer.stop_at=10"]), ("parts", ["resume=auto"])):
        outcome = command("train", *RECIPE, *REMEMBERING, "trainer.steps=16", f"hydra.run.dir={name}", *options)
        assert outcome.code == 0, outcome.err
    whole, parts = (flattened(checkpoints.load(Path(name, "checkpoints/last.pt"))) for name in ("whole", "parts"))
    assert (whole["loss.u"] != 0).all()
    assert whole["history.counts"].min() >= 2
    assert len(whole["verdict.by_time"]) == 4
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert [row.get("held_out") for row in rows("whole")] == [row.get("held_out") for row in rows("parts")]


def test_another_loss_starts_with_nothing_remembered(command):
    command("train", *RECIPE, *REMEMBERING, "trainer.steps=4", "hydra.run.dir=run")
    other = [*RECIPE, *REMEMBERING[:2], "loss=vlb", "trainer.steps=6"]
    outcome = command("train", *other, "hydra.run.dir=run", "resume=auto")
    assert outcome.code == 0, outcome.err
    assert "loss._target_: 'ddpm_cli.losses.Uncertain' -> 'ddpm_cli.losses.vlb'" in outcome.out
    assert "changed, so the rest is not what it would have been: the optimizer starts with nothing remembered" in outcome.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["loss=vlb", "trainer.input_perturbation=0.1"], "it does not go with trainer.input_perturbation, which must be 0"),
        (["loss=hybrid"], "hybrid trains a learned variance: it needs model.variance=learned, but that is 'small'"),
        (["loss=min_snr", "model.variance=learned"], "this loss leaves a learned variance untrained"),
        (["schedule.zero_snr=true"], "predicts=eps says nothing of x_0 where the SNR is 0"),
        (["trainer.offset_noise=-1"], "offset_noise and input_perturbation must be at least 0"),
        (["loss.distance=l3", "loss=p2"], "loss.distance must be one of l1, l2, huber, but is 'l3'"),
        (["loss=uncertain", "loss.waves=0"], "loss.waves must be 1 to 1,000, but is 0"),
        (["loss=uncertain", "loss@loss.of=uncertain"], "loss.of"),
        (["train_times=lognormal", "train_times.std=-1"], "train_times.std must be positive, but is -1"),
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
    assert not Path("run/checkpoints/best.pt").exists()


@pytest.mark.long
def test_a_run_over_few_images_is_said_to_overfit_and_keeps_its_best_checkpoint(command):
    few = ["data.holdout=0.985", "model.network.dim=32", "trainer.batch_size=16", "trainer.optimizer.lr=3e-3", "trainer.ema=0.98"]
    often = ["trainer.evaluate_every=50", "trainer.checkpoint_every=50", "trainer.sample_every=1000"]
    outcome = command("train", *TINY, *few, *often, "trainer.steps=600", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    assert "learning  overfitting since step" in outcome.out
    losses = {row["step"]: row["held_out"] for row in rows("run") if "held_out" in row}
    assert checkpoints.load(Path("run/checkpoints/best.pt"))["step"] == min(losses, key=losses.get)


def test_tinted_samples_are_told(command, monkeypatch):
    monkeypatch.setattr(previews, "EARLY", 0)
    outcome = command("train", *TINY, "trainer.steps=1", "hydra.run.dir=run")
    assert "warning: the samples at step 1 are tinted: " in outcome.out
    (row,) = map(json.loads, Path("run/samples.jsonl").read_text().splitlines())
    assert row.keys() == {"step", "mean_1", "contrast_1", "data"}


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
    own = ["--config-dir", "mine", *TINY, "loss=own", "train_times=own", "trainer.steps=2", "hydra.run.dir=run"]
    assert "loss._target_ must name a function or class of ddpm_cli.losses" in command("train", *own).err
    outcome = command("train", *own, "trust=[my_objective]")
    assert outcome.code == 0, outcome.err


def test_a_checkpoint_of_a_stop_is_never_the_best(command):
    wild = [*TINY, "trainer.optimizer.lr=0.3", "trainer.lr_schedule=constant", "trainer.ema=0.0"]
    often = [*wild, "trainer.evaluate_every=2", "trainer.checkpoint_every=4", "trainer.log_every=2", "trainer.steps=10"]
    assert command("train", *often, "hydra.run.dir=whole").code == 0
    for options in (["trainer.stop_at=2"], ["trainer.stop_at=6", "resume=auto"], ["resume=auto"]):
        assert command("train", *often, "hydra.run.dir=parts", *options).code == 0
    best = [checkpoints.load(Path(name, "checkpoints/best.pt"))["step"] for name in ("whole", "parts")]
    assert best[0] == best[1]


def test_a_run_that_goes_on_elsewhere_has_no_best_checkpoint_yet(command):
    command("train", *TINY, "trainer.steps=2", "hydra.run.dir=one")
    further = ["resume=one/checkpoints/last.pt", "trainer.steps=4", "trainer.stop_at=3", "hydra.run.dir=other"]
    outcome = command("train", *TINY, *further)
    assert outcome.code == 0, outcome.err
    assert "best.pt" not in outcome.out
    assert not Path("other/checkpoints/best.pt").exists()


def test_a_row_without_a_step_is_told(command):
    command("train", *TINY, "trainer.steps=2", "hydra.run.dir=run")
    Path("run/metrics.jsonl").write_text('{"loss": 1}\n')
    outcome = command("train", *TINY, "trainer.steps=2", "hydra.run.dir=run", "resume=auto")
    assert outcome.code == 1
    assert "metrics.jsonl' has a row without a step: '{\"loss\": 1}" in outcome.err


def test_lost_parameters_of_a_loss_are_told(command):
    run = [*TINY, "loss=uncertain", "trainer.steps=2", "hydra.run.dir=run"]
    command("train", *run)
    path = Path("run/checkpoints/step_00000002.pt")
    torch.save({**torch.load(path, weights_only=True), "loss": {}}, path)
    outcome = command("train", *run, "resume=auto")
    assert (outcome.code, outcome.err) == (1, "error: cannot resume: the checkpoint's parameters of the loss are not this loss's\n")


def test_too_few_held_out_images_are_told(command):
    outcome = command("train", *TINY, "data.holdout=1e-6", "trainer.steps=1", "hydra.run.dir=run")
    assert "warning: 0 of 1,797 images are held out: overfitting cannot be told of so few; choose a larger data.holdout" in outcome.out
