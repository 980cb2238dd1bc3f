"""What a run writes: pictures, numbers, checkpoints, also where the disk is full."""

import json
from pathlib import Path

from conftest import TINY
from run_files import often, rows
from safetensors import SafetensorError

from ddpm_cli.checkpoints import safetensors_file
from ddpm_cli.commands.train import finish, previews
from ddpm_cli.run_folder.logger import RunLogger


def test_a_run_writes_its_data_its_noising_its_samples_and_its_numbers(command):
    outcome = command(
        "train",
        *TINY,
        "trainer.steps=4",
        "trainer.log_every=2",
        "trainer.sample_every=2",
        "hydra.run.dir=run",
    )
    written = {str(path.relative_to("run")) for path in Path("run").rglob("*") if path.is_file()}
    pictures = {"data.png", "forward.png", "samples/step_00000002.png", "samples/step_00000004.png"}
    assert outcome.code == 0
    assert (
        pictures
        | {
            "train.log",
            "metrics.jsonl",
            ".hydra/config.yaml",
            "checkpoints/last.safetensors",
            "checkpoints/step_00000004.safetensors",
        }
        <= written
    )
    assert any(path.startswith("tensorboard/") for path in written)
    measured = {
        "step",
        "loss",
        "grad_norm",
        "lr",
        "images_per_second",
        "tflops",
        "peak_share",
        "skipped",
    }
    quarters = {
        f"{name}_q{place}" for name in ("loss", "held_out", "training") for place in range(1, 5)
    }
    assert rows("run")[-1].keys() == {
        *measured,
        *quarters,
        "held_out",
        "held_out_raw",
        "training",
        "training_raw",
    }


def test_the_last_step_has_a_loss_also_off_the_cadence_and_after_a_resume(command):
    for name, stops in (("whole", [[]]), ("parts", [["trainer.stop_at=2"], ["resume=auto"]])):
        for stop in stops:
            length = ["trainer.steps=3", "trainer.sample_every=50"]
            outcome = command("train", *TINY, *length, *stop, f"hydra.run.dir={name}")
            assert outcome.code == 0, outcome.err
    one, other = (
        [{**row, "images_per_second": 0, "tflops": 0, "peak_share": 0} for row in rows(name)]
        for name in ("whole", "parts")
    )
    assert one == other
    assert (one[-1]["step"], one[-1]["loss"] > 0) == (3, True)


def test_held_out_losses_are_drawn_from_the_third_validation_on(command):
    for steps in (2, 3):
        command(
            "train",
            *TINY,
            f"trainer.steps={steps}",
            "trainer.evaluate_every=1",
            "resume=auto",
            "hydra.run.dir=run",
        )
        assert Path("run/held_out.png").exists() == (steps == 3)


def test_a_sweep_makes_one_folder_per_job(command):
    outcome = command(
        "train", "-m", *TINY, "model=resnet,convnext", "trainer.steps=0", "hydra.sweep.dir=sweep"
    )
    assert outcome.code == 0
    assert len(list(Path("sweep").glob("*/checkpoints/last.safetensors"))) == 2


def test_sweeps_land_under_outputs_multirun(command):
    command("train", "-m", *TINY, "trainer.steps=0", "seed=1")
    assert len(list(Path("outputs/multirun").glob("*/*/0/checkpoints/last.safetensors"))) == 1


def test_runs_that_start_together_get_folders_of_their_own(command):
    command("train", *TINY, "trainer.steps=0")
    command("train", *TINY, "trainer.steps=0")
    assert len(list(Path("outputs").glob("*/*/checkpoints/last.safetensors"))) == 2


def test_only_the_newest_checkpoints_are_kept(command):
    command(
        "train",
        *TINY,
        "trainer.steps=6",
        "trainer.checkpoint_every=1",
        "trainer.keep_last=2",
        "hydra.run.dir=run",
    )
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == [
        "best.safetensors",
        "last.safetensors",
        "step_00000005.safetensors",
        "step_00000006.safetensors",
    ]


def test_every_so_many_steps_a_checkpoint_is_kept_for_good(command):
    command(
        "train",
        *TINY,
        "trainer.steps=6",
        "trainer.checkpoint_every=1",
        "trainer.keep_last=1",
        "trainer.keep_every=4",
        "hydra.run.dir=run",
    )
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == [
        "best.safetensors",
        "last.safetensors",
        "step_00000004.safetensors",
        "step_00000006.safetensors",
    ]


def test_a_full_disk_is_told_loses_nothing_and_is_tried_again(command, monkeypatch):
    save, failures = (
        safetensors_file.save_file,
        [
            OSError("No space left on device"),
            SafetensorError("file write failed"),
            OSError("No space left on device"),
        ],
    )

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        if failures:
            raise failures.pop()
        save(tensors, path, metadata)

    monkeypatch.setattr(safetensors_file, "save_file", full)
    monkeypatch.setattr(finish, "RETRY_SECONDS", 0)
    outcome = often(command)
    assert outcome.code == 0
    assert outcome.out.count("warning: no checkpoint at step") == 3
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == [
        "best.safetensors",
        "last.safetensors",
        "step_00000006.safetensors",
    ]


def test_rows_wait_until_the_disk_takes_them(tmp_path, monkeypatch):
    logger = RunLogger(tmp_path).open(0)
    with monkeypatch.context() as full:
        full.setattr("ddpm_cli.run_folder.logger.append_text", fails)
        logger.write_numbers(1, {"loss": 2.0})
    logger.write_numbers(2, {"loss": float("nan")})
    assert rows(tmp_path) == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": None}]


def fails(*_, **__):
    raise OSError("No space left on device")


def test_a_damaged_checkpoint_of_later_steps_never_pushes_out_a_good_one(command):
    often(command, "trainer.stop_at=4", "trainer.keep_last=1")
    Path("run/checkpoints/step_00000004.safetensors").replace(
        "run/checkpoints/step_00000005.safetensors"
    )
    Path("run/checkpoints/step_00000008.safetensors").write_bytes(b"damaged")
    outcome = often(command, "trainer.keep_last=1", "resume=auto")
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == [
        "best.safetensors",
        "last.safetensors",
        "step_00000006.safetensors",
    ]


def test_a_disk_that_is_full_from_the_start_is_told_in_one_line(command, monkeypatch):
    monkeypatch.setattr("ddpm_cli.run_folder.logger.save_png", fails)
    monkeypatch.setattr("ddpm_cli.commands.train.command.save_text", fails)
    outcome = command("train", *TINY, "trainer.steps=0", "hydra.run.dir=run", "resume=auto")
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1


def test_rows_that_wait_are_cut_and_written_as_well(tmp_path, monkeypatch):
    logger = RunLogger(tmp_path).open(0)
    with monkeypatch.context() as full:
        full.setattr("ddpm_cli.run_folder.logger.append_text", fails)
        logger.write_numbers(1, {"loss": 2.0})
        logger.write_numbers(2, {"loss": 3.0})
    logger.rewind(1)
    logger.close()
    assert rows(tmp_path) == [{"step": 1, "loss": 2.0}]


def test_a_schedule_of_a_file_is_in_the_checkpoint_as_numbers(command):
    listed = [
        *TINY,
        "schedule=listed",
        "schedule.path=numbers.txt",
        "trainer.steps=2",
        "hydra.run.dir=run",
    ]
    Path("numbers.txt").write_text(" ".join(str(1 - each / 51) for each in range(51)))
    assert command("train", *listed).code == 0
    assert command("train", *listed, "resume=auto").code == 0
    Path("numbers.txt").unlink()
    assert (
        command(
            "sample",
            "ckpt=run/checkpoints/last.safetensors",
            "n=1",
            "sampler.steps=2",
            "hydra.run.dir=out",
        ).code
        == 0
    )
    other = command("train", *TINY, "trainer.steps=2", "hydra.run.dir=run", "resume=auto")
    assert "schedule.betas was [0.0196" in other.err
    missing = "error: schedule.path must be a file, but there is none at 'numbers.txt'\n"
    assert command("train", *listed).err == missing


def test_tinted_samples_are_told(command, monkeypatch):
    monkeypatch.setattr(previews, "EARLY", 0)
    outcome = command("train", *TINY, "trainer.steps=1", "hydra.run.dir=run")
    assert "warning: the samples at step 1 are tinted: " in outcome.out
    (row,) = map(json.loads, Path("run/samples.jsonl").read_text().splitlines())
    assert row.keys() == {"step", "mean_1", "contrast_1", "data"}
