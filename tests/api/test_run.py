"""Training runs from one's own program."""

import logging
import runpy
import signal
from pathlib import Path
from threading import Event, Thread

import pytest
import torch
from conftest import TINY
from hydra import initialize
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton

import ddpm_cli
from ddpm_cli.api.run import ONE_TRAINS, texts
from ddpm_cli.checkpoints import Checkpoint

SCHEDULE = """
import torch

def short(*, steps=20):
    return torch.linspace(0.01, 0.5, steps).double()
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, cards, brief):
    monkeypatch.chdir(tmp_path)


def have_equal_weights(one, other):
    tensors, others = Checkpoint.load(one).tensors, Checkpoint.load(other).tensors
    assert tensors.keys() == others.keys()
    return all(tensors[name].equal(others[name]) for name in tensors)


def in_thread(call):
    """The result of a call in a thread of its own."""
    results = []
    thread = Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


def test_twenty_lines_run(capfd):
    runpy.run_path(str(Path(__file__).with_name("twenty_lines.py")))
    assert "bits per dimension" in capfd.readouterr().out
    assert Path("samples.png").exists()
    assert Path("my run/checkpoints/last.safetensors").exists()


def test_a_run_is_that_of_the_command_and_a_program_keeps_its_own_state(trained):
    with initialize(version_base="1.2"):
        before = Singleton._instances, GlobalHydra.instance().hydra, torch.get_rng_state()
        handlers = logging.getLogger().handlers[:], signal.getsignal(signal.SIGINT)
        run = ddpm_cli.train([f"recipe={trained}"])
        after = Singleton._instances, GlobalHydra.instance().hydra, torch.get_rng_state()
        assert before[0] is after[0]
        assert before[1] is after[1]
        assert before[2].equal(after[2])
        assert handlers == (logging.getLogger().handlers[:], signal.getsignal(signal.SIGINT))
    assert have_equal_weights(run.checkpoint, trained)
    assert run.folder.parts[-3] == "outputs"
    assert (run.stopped, run.step, run.numbers["step"]) == (False, 4, 4)
    assert run.lowest["held_out"] <= run.numbers["held_out"]


def test_an_event_stops_a_run_in_a_thread_and_the_run_resumes_exactly(trained):
    options, stop = [*TINY, "trainer.steps=4"], Event()
    stop.set()
    run = in_thread(lambda: ddpm_cli.train(options, folder="run", stop=stop))
    assert (run.stopped, run.step) == (True, 1)
    run = in_thread(lambda: ddpm_cli.train(" ".join([*options, "resume=auto"]), folder="run"))
    assert (run.stopped, run.step) == (False, 4)
    assert have_equal_weights(run.checkpoint, trained)


def test_an_event_during_the_report_stops_nothing(monkeypatch):
    stop = Event()
    monkeypatch.setattr("ddpm_cli.commands.train.finish.write_report", lambda run: stop.set())
    run = ddpm_cli.train([*TINY, "trainer.steps=1"], stop=stop)
    assert (run.stopped, run.step) == (False, 1)


def test_parts_of_ones_own_train_and_draw(tmp_path, monkeypatch):
    (tmp_path / "parts_of_run.py").write_text(SCHEDULE)
    monkeypatch.syspath_prepend(tmp_path)
    Path("own/schedule").mkdir(parents=True)
    Path("own/schedule/short.yaml").write_text("_target_: parts_of_run.short\nsteps: 20\n")
    own = ["schedule=short", "trust=[parts_of_run]"]
    run = ddpm_cli.train([*TINY, "trainer.steps=1", *own], folder="run", config_dir="own")
    assert run.model(device="cpu").diffusion.steps == 20
    with pytest.raises(ValueError, match=r"schedule\._target_ must name a function"):
        ddpm_cli.load(run.checkpoint)


@pytest.mark.parametrize(
    "wrong", [["trainer.batchsize=3"], ["loss=nothing"], ["data=folder", "data.path=no photos"]]
)
def test_errors_are_the_lines_of_the_command_and_leave_no_folder(command, wrong):
    typed = command("train", *wrong)
    GlobalHydra.instance().clear()
    with pytest.raises(ValueError, match=r".") as refusal:
        ddpm_cli.train(wrong)
    assert f"error: {refusal.value}\n" == typed.err
    assert not Path("outputs").exists()
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config_dir": "no"}, "config_dir must be a folder of YAML files, but is 'no'"),
        ({"stop": Event()}, "stop is for a run in one process, but trainer.processes is 2"),
    ],
)
def test_what_a_call_alone_can_get_wrong_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ddpm_cli.train(["trainer=ddp", "trainer.processes=2"], **options)


def test_values_of_a_mapping_need_no_quotes():
    values = {"data.path": Path("my photos"), "model.network.dim_mults": (1, 2), "resume": None}
    expected = ["data.path=my photos", "model.network.dim_mults=[1,2]", "resume=null"]
    assert texts({**values, "seed": 3}) == [*expected, "seed=3"]
    assert texts("seed=3 'model.network.dim_mults=[1, 2]'")[1] == "model.network.dim_mults=[1, 2]"


def test_a_second_run_beside_the_first_is_refused():
    with (
        ONE_TRAINS,
        pytest.raises(ValueError, match="one run at a time trains in a process; start"),
    ):
        ddpm_cli.train()


def test_a_notebook_shows_numbers_and_samples(trained):
    folder = trained.parents[1]
    run = ddpm_cli.TrainingRun(folder, trained, 4, False, {"held_out": 0.5}, {})
    page = run._repr_html_()
    assert '<img alt="samples" src="data:image/png;base64,' in page
    assert "<td>held_out</td><td>0.5</td>" in page
