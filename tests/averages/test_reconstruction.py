"""EMAs of any length from snapshots: the numbers on a known path, and files that are no help."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from ddpm_cli.averages import reconstruct
from ddpm_cli.averages.power_function import Profile
from ddpm_cli.averages.snapshots import remove_after, snapshot_paths, write_snapshot
from ddpm_cli.averages.tracking import PowerEmas, update_power_emas

SKIPPED = torch.tensor(False)
TRACKED = (0.05, 0.1)


class Walk(nn.Module):
    """One weight that follows a known path, and a buffer."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))


@pytest.fixture(scope="session")
def walked():
    """The EMAs of three lengths after every 50 steps of w(t) = sin(t/60) + t/500, to t = 1000."""
    walk = Walk()
    emas = PowerEmas.fresh(walk, [*TRACKED, 0.15])
    after = {}
    for step in range(1, 1001):
        with torch.no_grad():
            walk.weight.fill_(math.sin(step / 60) + step / 500)
            next(iter(emas.networks.values())).step.fill_(step)
        update_power_emas(emas, emas.parameters(), [walk.weight], SKIPPED)
        if step % 50 == 0:
            after[step] = {name: each.clone() for name, each in emas.state_dict().items()}
    return after


def write(run, walked, steps, identity="own", applied=lambda step: step):
    for step in steps:
        for length in TRACKED:
            own = {name: walked[step][f"{length!r}.{name}"] for name in ("weight", "step")}
            write_snapshot(run, Profile(length, applied(step)), step, identity, own, ["step"])


@pytest.mark.parametrize(("every", "count", "number"), [(250, 8, 1.753291), (50, 40, 1.744267)])
def test_a_length_that_was_not_tracked_is_nearly_the_true_one(
    tmp_path, walked, every, count, number
):
    assert walked[1000]["0.15.weight"].tolist() == pytest.approx([1.744094] * 2, abs=2e-6)
    write(tmp_path, walked, range(every, 1001, every))
    found = reconstruct(tmp_path, 0.15)
    assert found.weights["weight"].tolist() == pytest.approx([number] * 2, abs=2e-6)
    assert (found.step, found.run, len(found.parts)) == (1000, "own", count)
    assert found.text == f"{count} snapshots of 2 lengths, steps {every} to 1000"


@pytest.mark.parametrize(("length", "at"), [(0.05, None), (0.1, 1000), (0.1, 500), (0.05, 250)])
def test_a_tracked_length_at_a_snapshot_is_its_file_bit_for_bit(tmp_path, walked, length, at):
    write(tmp_path, walked, (250, 500, 750, 1000))
    found = reconstruct(tmp_path, length, at)
    assert torch.equal(found.weights["weight"], walked[at or 1000][f"{length!r}.weight"])
    assert [number for _, number in found.parts] == [1]
    assert found.text == "its own snapshot"


def test_buffers_are_those_of_the_last_snapshot(tmp_path, walked):
    write(tmp_path, walked, (250, 500, 750, 1000))
    assert reconstruct(tmp_path, 0.15).weights["step"] == 1000
    assert reconstruct(tmp_path, 0.15, at=750).weights["step"] == 750


@pytest.mark.parametrize(
    ("at", "number"), [(775, 0.993305), (780, 1.020817), (925, 1.810100), (990, 1.768729)]
)
def test_any_step_between_the_first_snapshot_and_the_last_will_do(tmp_path, walked, at, number):
    write(tmp_path, walked, range(50, 1001, 50))
    found = reconstruct(tmp_path, 0.15, at)
    assert found.weights["weight"].tolist() == pytest.approx([number] * 2, abs=2e-3)
    assert max(snapshot.step for snapshot, _ in found.parts) == 50 * math.ceil(at / 50)
    assert found.profile == Profile(0.15, at)


def test_skipped_steps_between_snapshots_are_spread_evenly(tmp_path, walked):
    write(tmp_path, walked, (500, 1000), applied=lambda step: step // 2 + 100)
    assert reconstruct(tmp_path, 0.15, at=800).profile.applied == 500


def test_snapshots_without_a_step_between_them_count_once(tmp_path, walked):
    write(tmp_path, walked, (250, 500, 750, 1000), applied=lambda step: min(step, 500))
    found = reconstruct(tmp_path, 0.15)
    assert [snapshot.step for snapshot, _ in found.parts] == [250, 250, 1000, 1000]
    assert found.weights["weight"].isfinite().all()


@pytest.mark.parametrize("length", [0.0, -1.0, 0.29, float("nan")])
def test_lengths_out_of_range_are_refused(tmp_path, length):
    with pytest.raises(ValueError, match=r"length must be above 0 and at most 0.28, but is "):
        reconstruct(tmp_path, length)


def test_a_run_without_snapshots_is_told_how_to_get_some(tmp_path):
    with pytest.raises(
        ValueError, match=r"holds no snapshots of averages; a run with trainer.ema_l"
    ):
        reconstruct(tmp_path, 0.1)


def test_one_snapshot_is_too_few(tmp_path, walked):
    write(tmp_path, walked, (500,))
    snapshot_paths(tmp_path)[0].unlink()
    with pytest.raises(
        ValueError, match=r"a reconstruction needs 2 snapshots, but .* holds 1 up to"
    ):
        reconstruct(tmp_path, 0.15)
    assert torch.equal(reconstruct(tmp_path, 0.1).weights["weight"], walked[500]["0.1.weight"])


def test_snapshots_of_two_runs_are_refused(tmp_path, walked):
    write(tmp_path, walked, (250, 500))
    write(tmp_path, walked, (750,), identity="other")
    names = "length_0.05_step_00000250.safetensors and length_0.05_step_00000750.safetensors"
    with pytest.raises(ValueError, match=f"holds snapshots of 2 runs, as {names}"):
        reconstruct(tmp_path, 0.15)


@pytest.mark.parametrize("at", [249, 1001])
def test_a_step_beyond_the_snapshots_is_refused(tmp_path, walked, at):
    write(tmp_path, walked, (250, 1000))
    with pytest.raises(ValueError, match=f"at must be a step from 250 to 1,000, .* but is {at:,}"):
        reconstruct(tmp_path, 0.15, at)


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def spoil(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, spoil, empty])
def test_a_damaged_snapshot_is_named_and_left_out(tmp_path, walked, caplog, damage):
    write(tmp_path, walked, (250, 500, 750, 1000))
    damaged = snapshot_paths(tmp_path)[1]
    damage(damaged)
    found = reconstruct(tmp_path, 0.15)
    damaged.unlink()
    without = reconstruct(tmp_path, 0.15)
    assert f"the snapshot {damaged} is left out" in caplog.text
    assert len(found.parts) == 7
    assert torch.equal(found.weights["weight"], without.weights["weight"])


@pytest.mark.parametrize(
    ("weight", "fault"),
    [
        (torch.full((2,), float("nan")), "its numbers are not finite"),
        (torch.zeros(1, 1), "its tensors are not those of the other snapshots"),
    ],
)
def test_a_snapshot_of_other_tensors_is_named_and_left_out(tmp_path, walked, caplog, weight, fault):
    write(tmp_path, walked, (250, 500))
    path = snapshot_paths(tmp_path)[1]
    write_snapshot(tmp_path, Profile(0.05, 500), 500, "own", {"weight": weight}, [])
    assert reconstruct(tmp_path, 0.15).weights["weight"].isfinite().all()
    assert f"{path} is left out: {fault}" in caplog.text


def test_a_message_names_two_of_many_damaged_snapshots(tmp_path, walked):
    write(tmp_path, walked, (250, 500))
    for path in snapshot_paths(tmp_path):
        empty(path)
    with pytest.raises(ValueError, match=r"cannot be read.*cannot be read.*; nor can 2 others$"):
        reconstruct(tmp_path, 0.15)


@pytest.mark.parametrize("damage", [cut, spoil])
def test_where_too_few_remain_the_damaged_snapshot_is_named(tmp_path, walked, damage):
    write(tmp_path, walked, (250,))
    damage(snapshot_paths(tmp_path)[1])
    with pytest.raises(
        ValueError, match=r"needs 2 snap.*; length_0.1_step_00000250.saf.* cannot be"
    ):
        reconstruct(tmp_path, 0.15)


def test_other_files_are_no_snapshots(tmp_path, walked, caplog):
    write(tmp_path, walked, (250, 500))
    Path(tmp_path, "averages/a.safetensors").write_text("{}")
    assert len(reconstruct(tmp_path, 0.15).parts) == 4
    assert "a.safetensors is left out" in caplog.text


def test_going_back_removes_later_snapshots_and_what_a_killed_process_has_left(tmp_path, walked):
    write(tmp_path, walked, (250, 500, 750))
    Path(tmp_path, "averages/.partial-0-x.safetensors").touch()
    remove_after(tmp_path, 500)
    assert {path.name[-16:-12] for path in Path(tmp_path, "averages").iterdir()} == {"0250", "0500"}
