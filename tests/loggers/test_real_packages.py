"""The packages of loggers themselves, on this machine alone: scripts/test --loggers runs these."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import TINY
from run_files import rows

from ddpm_cli.run_folder.run_ids import read_run_id

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("wandb", "mlflow", "trackio")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(find_spec, SERVICES)), reason="scripts/test --loggers installs the packages"
    ),
]
STEPS = ["trainer.steps=4", "trainer.log_every=1", "trainer.checkpoint_every=2", *TINY]
KEY = "0123456789" * 4
READ_MLFLOW = """
import json, sys
import mlflow
client = mlflow.MlflowClient(tracking_uri=sys.argv[1])
experiment = client.get_experiment_by_name("ddpm-cli")
(run,) = client.search_runs([experiment.experiment_id])
history = client.get_metric_history(run.info.run_id, "loss")
losses = [[each.step, each.value] for each in history]
pictures = [each.path for each in client.list_artifacts(run.info.run_id, "images")]
info, data = run.info, run.data
print(json.dumps([info.run_name, info.status, data.tags, losses, data.params, pictures]))
"""
READ_TRACKIO = """
import json, sys
from trackio.sqlite_storage import SQLiteStorage
print(json.dumps(SQLiteStorage.get_logs("ddpm-cli", "cats")))
print(json.dumps(SQLiteStorage.get_run_config("ddpm-cli", "cats")))
"""


@pytest.fixture
def home(tmp_path):
    """A home without keys, whose programs reach other machines only by a proxy that takes notes."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def note():
            while True:
                try:
                    with proxy.accept()[0] as guest:
                        asked.append(guest.recv(1000))
                except OSError:
                    return

        threading.Thread(target=note, daemon=True).start()
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        variables = {
            **{"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            **{"HTTP_PROXY": address, "HTTPS_PROXY": address, "NO_PROXY": "127.0.0.1"},
            **{"TRACKIO_DIR": str(tmp_path / "kept"), "OMP_NUM_THREADS": "1"},
        }
        yield SimpleNamespace(folder=tmp_path, variables=variables, asked=asked)
        proxy.close()


def python(home, *arguments, **variables):
    """Run Python in the home; return its outcome."""
    return subprocess.run(
        [sys.executable, *arguments],
        **{"cwd": home.folder, "env": home.variables | variables, "stdin": subprocess.DEVNULL},
        **{"capture_output": True, "text": True, "check": False, "timeout": 500},
    )


def train(home, *options, **variables):
    named = ["hydra.run.dir=outputs/cats", "trainer.measures=[]"]
    outcome = python(home, "-m", "ddpm_cli", "train", *STEPS, *named, *options, **variables)
    assert outcome.returncode == 0, outcome.stderr
    return outcome


def twice(home, name, *options, **variables):
    """Train two steps, then two more; return what the run's folder holds."""
    both = [f"trainer.loggers=[{name}]", f"logger.{name}.images=true", *options]
    first = train(home, *both, "trainer.stop_at=2", **variables)
    before = read_run_id(home.folder / "outputs/cats", name)
    again = train(home, *both, "resume=auto", **variables)
    assert "warning" not in first.stdout + again.stdout
    assert read_run_id(home.folder / "outputs/cats", name) == before
    return rows(home.folder / "outputs/cats")


def wandb_records(folder):
    """The records of a run's offline files, which are logs of LevelDB with a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    for path in sorted(Path(folder).glob("wandb/offline-run-*/*.wandb")):
        data, at, part = path.read_bytes(), 7, b""
        while at + 7 <= len(data):
            if (left := 2**15 - at % 2**15) < 7:
                at += left
                continue
            size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
            part += data[at + 7 : at + 7 + size]
            at += 7 + size
            if kind in (1, 4):  # the whole or the end of a record
                yield Record.FromString(part)
                part = b""


def test_wandb_keeps_an_offline_run_without_a_key(home):
    written = twice(home, "wandb", "logger.wandb.project=felines")
    records = list(wandb_records(home.folder / "outputs/cats"))
    begun = [each.run for each in records if each.WhichOneof("record_type") == "run"]
    kept = [
        {
            (item.key or item.nested_key[0]): json.loads(item.value_json)
            for item in each.history.item
        }
        for each in records
        if each.WhichOneof("record_type") == "history"
    ]
    assert {(each.display_name, each.project, each.host) for each in begun} == {
        ("cats", "felines", "")
    }
    assert {each.key for each in begun[0].config.update} >= {"model", "data", "seed", "trainer"}
    losses = [(each["step"], each["loss"]) for each in kept if "loss" in each]
    assert losses == [(row["step"], row["loss"]) for row in written]
    assert [each["step"] for each in kept if "samples" in each] == [4]
    folders = sorted((home.folder / "outputs/cats/wandb").glob("offline-run-*"))
    sent = [path for each in folders for path in each.glob("*.wandb")]
    assert not any(str(home.folder).encode() in path.read_bytes() for path in sent)
    assert home.asked == []


def check_mlflow(home, uri, written):
    outcome = python(home, "-c", READ_MLFLOW, uri, MLFLOW_DISABLE_TELEMETRY="true")
    assert outcome.returncode == 0, outcome.stderr
    name, status, tags, losses, params, pictures = json.loads(outcome.stdout.splitlines()[-1])
    assert (name, status) == ("cats", "FINISHED")
    assert losses == [[row["step"], row["loss"]] for row in written]
    assert params["model.network.dim"] == "8"
    assert set(tags) == {"mlflow.runName", "mlflow.loggedImages"}
    assert not any(str(home.folder) in value for value in params.values())
    assert any("samples" in each for each in pictures)
    assert home.asked == []


def test_mlflow_keeps_a_run_in_a_database(home):
    written = twice(home, "mlflow")
    check_mlflow(home, f"sqlite:///{home.folder}/mlflow.db", written)


@contextmanager
def mlflow_server(home):
    """A tracking server on this machine; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = ["--host=127.0.0.1", f"--port={port}", "--workers=1"]
    store = f"--backend-store-uri=sqlite:///{home.folder}/server.db"
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *where, store],
        **{"cwd": home.folder, "env": home.variables | {"MLFLOW_DISABLE_TELEMETRY": "true"}},
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
    )
    try:
        for _ in range(600):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


def test_mlflow_sends_a_run_to_a_server(home):
    with mlflow_server(home) as uri:
        check_mlflow(home, uri, twice(home, "mlflow", f"logger.mlflow.uri={uri}"))


def test_trackio_keeps_a_run_in_a_folder(home):
    written = twice(home, "trackio", HF_TOKEN="hf_none")
    outcome = python(home, "-c", READ_TRACKIO)
    logs, kept = map(json.loads, outcome.stdout.splitlines()[-2:])
    losses = [(each["step"], each["loss"]) for each in logs if "loss" in each]
    assert losses == [(row["step"], row["loss"]) for row in written]
    assert [each["step"] for each in logs if "samples" in each] == [4]
    assert kept["model"]["network"]["dim"] == 8
    assert str(home.folder) not in json.dumps(kept)
    assert home.asked == []


def test_services_that_do_not_answer_are_told_once_and_end_nothing(home):
    dead = "http://127.0.0.1:9"
    variables = {"WANDB_BASE_URL": dead, "WANDB_API_KEY": KEY, "MLFLOW_TRACKING_URI": dead}
    outcome = train(home, "trainer.loggers=[wandb,mlflow]", **variables)
    for name in ("wandb", "mlflow"):
        assert outcome.stdout.count(f"warning: the logger {name} ") == 1
    assert len(rows(home.folder / "outputs/cats")) == 4
    assert home.asked == []
