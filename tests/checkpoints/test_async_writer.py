"""Checkpoints written by a thread: the same bits, and none lost if the disk is slow or full."""

import signal
import time
from pathlib import Path

import pytest
import torch
from checkpoint_files import ABOUT, CFG, GOLDEN, OTHER_NOISE, change, save, take_apart
from conftest import TINY
from training_problem import fresh, trained, trainer
from two_points import TwoPoints

from ddpm_cli.checkpoints import Checkpoint, StagingBuffers, checkpoint, newest_first
from ddpm_cli.checkpoints.async_writer import AsyncWriter
from ddpm_cli.checkpoints.safetensors_file import FORMAT, METADATA
from ddpm_cli.commands.train import finish
from ddpm_cli.training import snapshot

FORMAT_1 = GOLDEN / "format_1.pt"
RECIPE_OF_FORMAT_1 = (
    "trainer.batch_size=8 trainer.warmup=0 trainer.steps=6 trainer.device=cpu sampler.steps=3 "
    "model.network.dim=4 model.network.dim_mults=[1] model.network.heads=1 "
    "model.network.head_dim=4 model.network.groups=1 schedule.steps=100 data.holdout=0.0"
).split()


def taken(state):
    return snapshot.take_snapshot(state, CFG, **ABOUT)


def assert_equal(one, other):
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def saver(folder, state, **options):
    return AsyncWriter(folder, state.optimizer, last=9, every=None, **options)


class LateBuffers(StagingBuffers):
    """Buffers whose copy begins only when the next step is well under way."""

    def copy(self, tensors):
        copied, complete = super().copy(tensors)
        return copied, lambda: [time.sleep(0.2), complete()]


def two_points(state):
    """The state with an optimizer that exchanges the weights before and after each step."""
    state.optimizer = TwoPoints(state.parameters, lr=1e-2)
    return state


@pytest.mark.parametrize("kind", ["fused", "plain", "two points"])
def test_what_is_written_while_training_goes_on_is_what_was_there(tmp_path, kind):
    stopped, going_on = fresh(fused=kind == "fused"), fresh(fused=kind == "fused")
    if kind == "two points":
        stopped, going_on = two_points(stopped), two_points(going_on)
    trained(stopped, trainer(stop_at=4))
    save(tmp_path / "stopped.safetensors", stopped)
    writing = saver(tmp_path, going_on, buffers=LateBuffers())
    trained(going_on, trainer(stop_at=4))
    writing.begin(taken(going_on))
    trained(going_on, trainer(stop_at=7))
    one, other = map(Checkpoint.load, (tmp_path / "stopped.safetensors", writing.end()))
    assert (one.step, other.step, going_on.step) == (4, 4, 7)
    assert_equal(one, other)


def test_the_rest_from_a_checkpoint_of_the_thread_is_bit_for_bit_the_whole(tmp_path):
    going_on, resumed = fresh(), fresh()
    writing = saver(tmp_path, going_on)
    trained(going_on, trainer(stop_at=4))
    writing.begin(taken(going_on))
    trained(going_on, trainer())
    snapshot.restore_snapshot(resumed, Checkpoint.load(writing.end()))
    trained(resumed, trainer())
    assert_equal(taken(going_on), taken(resumed))


def test_a_disk_slower_than_the_checkpoints_come_gets_them_one_by_one(tmp_path, monkeypatch):
    original, writing, most = checkpoint.write_file, [], []

    def slow(path, fields, tensors):
        writing.append(fields["step"])
        most.append(len(writing))
        time.sleep(0.05)
        original(path, fields, tensors)
        writing.pop()

    monkeypatch.setattr(checkpoint, "write_file", slow)
    state = fresh()
    thread = saver(tmp_path, state)
    for step in (1, 2, 3):
        trained(state, trainer(stop_at=step))
        thread.begin(taken(state))
    thread.end()
    names = [path.name for path in newest_first(tmp_path)]
    assert names == [
        "step_00000003.safetensors",
        "step_00000002.safetensors",
        "step_00000001.safetensors",
    ]
    assert max(most) == 1


def test_a_copy_that_fails_is_no_matter_of_the_disk(tmp_path):
    class FailingBuffers(StagingBuffers):
        def copy(self, tensors):
            def fails():
                raise RuntimeError("CUDA error: an illegal memory access was encountered")

            return tensors, fails

    state = fresh()
    thread = saver(tmp_path, state, buffers=FailingBuffers())
    thread.begin(taken(state))
    trained(state, trainer(stop_at=1))
    with pytest.raises(RuntimeError, match="CUDA error"):
        thread.end()


def test_the_threads_of_training_are_not_fewer_for_the_one_that_writes(tmp_path, request):
    request.addfinalizer(lambda: torch.set_num_threads(1))
    torch.set_num_threads(2)
    state = fresh()
    thread = saver(tmp_path, state)
    thread.begin(taken(state))
    assert thread.end()
    assert torch.get_num_threads() == 2


def test_weights_that_are_not_finite_are_not_written_and_the_last_good_checkpoint_stays(
    tmp_path, caplog
):
    state = fresh()
    thread = saver(tmp_path, state)
    trained(state, trainer(stop_at=1))
    thread.begin(taken(state))
    trained(state, trainer(stop_at=2))
    next(state.ema.parameters()).fill_(torch.nan)
    thread.begin(taken(state))
    assert thread.end() is None
    assert "no checkpoint at step 2: the numbers in 'ema' are not finite" in caplog.text
    assert "the last good one is step_00000001.safetensors" in caplog.text


def often(command, *options):
    return command(
        "train",
        *TINY,
        "trainer.steps=6",
        "trainer.checkpoint_every=2",
        "hydra.run.dir=run",
        *options,
    )


def test_a_stop_during_a_save_waits_for_it_and_saves_the_step_it_stopped_at(command, monkeypatch):
    write_file = checkpoint.write_file

    def stopped(*content):
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.2)
        write_file(*content)

    monkeypatch.setattr(checkpoint, "write_file", stopped)
    outcome = often(command)
    steps = sorted(
        int(path.stem.removeprefix("step_"))
        for path in Path("run/checkpoints").glob("step_*.safetensors")
    )
    assert outcome.code == 0, outcome.err
    assert "stopped    at step" in outcome.out
    assert steps[0] == 2
    assert Checkpoint.load(Path("run/checkpoints/last.safetensors")).step == steps[-1] < 6


def test_a_stop_whose_checkpoint_finds_no_room_ends_a_sweep(command, monkeypatch):
    def full(*_):
        signal.raise_signal(signal.SIGTERM)
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, "write_file", full)
    monkeypatch.setattr(finish, "RETRY_SECONDS", 0)
    outcome = command(
        "train",
        "-m",
        *TINY,
        "trainer.steps=4",
        "trainer.checkpoint_every=2",
        "seed=1,2",
        "hydra.sweep.dir=sweep",
    )
    assert outcome.code == 130
    assert "could not be saved" in outcome.out
    assert not Path("sweep/1").exists()


def test_the_count_of_skipped_steps_goes_on(command):
    often(command, "trainer.stop_at=4")
    path = Path("run/checkpoints/step_00000004.safetensors")
    change(path, skipped=3)
    often(command, "trainer.log_every=1", "resume=auto")
    assert '"skipped": 3' in Path("run/metrics.jsonl").read_text().splitlines()[-1]
    assert Checkpoint.load(Path("run/checkpoints/last.safetensors")).skipped == 3


def test_a_checkpoint_of_format_1_samples_and_goes_on(command):
    sampled = command("sample", f"ckpt={FORMAT_1}", "n=2", "sampler.steps=2", "hydra.run.dir=out")
    resumed = command("train", *RECIPE_OF_FORMAT_1, f"resume={FORMAT_1}", "hydra.run.dir=run")
    assert (sampled.code, resumed.code) == (0, 0), sampled.err + resumed.err
    assert "resumed    step 4 of" in resumed.out
    changed = [line for line in resumed.out.splitlines() if line.startswith("changed")]
    assert changed == [OTHER_NOISE]
    header, _ = take_apart(Path("run/checkpoints/last.safetensors").read_bytes())
    assert (header[METADATA]["format"], header[METADATA]["step"]) == (str(FORMAT), "6")
