"""Snapshots written beside training: whole, in order, and never an end to a run."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from torch import nn

from ddpm_cli.averages import writer as averages_writer
from ddpm_cli.averages.snapshots import read_snapshot, snapshot_paths, snapshot_weights
from ddpm_cli.averages.tracking import PowerEmas
from ddpm_cli.averages.writer import SnapshotWriter


@pytest.fixture
def thread():
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def emas():
    found = PowerEmas.fresh(nn.BatchNorm1d(3), [0.05, 0.1])
    found.applied += 7
    return found


def test_what_is_written_is_what_was_there(tmp_path, emas, thread):
    writer = SnapshotWriter(tmp_path, emas, thread, True)
    writer.begin(8, "own")
    for network in emas.networks.values():
        network.weight.data.fill_(9)
    writer.end()
    snapshots = [read_snapshot(path) for path in snapshot_paths(tmp_path)]
    assert [(each.profile.length, each.profile.applied) for each in snapshots] == [
        (0.05, 7),
        (0.1, 7),
    ]
    assert {(each.step, each.run) for each in snapshots} == {(8, "own")}
    assert snapshots[0].buffers == ["running_mean", "running_var", "num_batches_tracked"]
    assert snapshot_weights(snapshots[1])["weight"].tolist() == [1, 1, 1]


def test_a_full_disk_costs_a_snapshot_and_is_told(tmp_path, emas, thread, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(averages_writer, "write_snapshot", full)
    writer = SnapshotWriter(tmp_path, emas, thread, True)
    writer.begin(8, "own")
    writer.end()
    assert "no snapshot of averages at step 8: No space left on device; training" in caplog.text


def test_averages_that_are_not_finite_are_not_written(tmp_path, emas, thread, caplog):
    emas.networks[0.1].weight.data[1] = torch.nan
    writer = SnapshotWriter(tmp_path, emas, thread, True)
    writer.begin(1000, "own")
    writer.end()
    assert "no snapshot of averages at step 1,000: its numbers are not finite" in caplog.text
    assert snapshot_paths(tmp_path) == []


@pytest.mark.parametrize(
    ("lengths", "applied", "writes"), [([], 3, True), ([0.1], 0, True), ([0.1], 3, False)]
)
def test_nothing_is_written_without_a_length_or_a_step_or_by_other_processes(
    tmp_path, thread, lengths, applied, writes
):
    emas = PowerEmas.fresh(nn.Linear(2, 2), lengths)
    emas.applied += applied
    writer = SnapshotWriter(tmp_path, emas, thread, writes)
    for act in (partial(writer.begin, 3, ""), writer.end, partial(writer.rewind, 0)):
        act()
    assert list(tmp_path.iterdir()) == []
