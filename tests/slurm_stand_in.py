"""A stand-in for SLURM on one machine, called as sbatch, srun, scontrol or ddpm-NAME.

sbatch runs the script until it ends without having asked for a new start. STAND_IN_PLAN names what
happens to each start once it has written a checkpoint: a signal for the tasks, as preemption or
the time limit send, or `lost`, the death of all processes of the job, as of its node.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

JOB, HOST = "700", "localhost"
STATE = Path(os.environ["STAND_IN_STATE"])
REQUEUE, TASKS, LOG = STATE / "requeue", STATE / "tasks", STATE / "log"


def log(*words):
    with LOG.open("a") as file:
        print(*words, file=file)


def sbatch(script, *arguments):
    given = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", Path(script).read_text(), re.M))
    assert "requeue" in given and re.fullmatch(r"USR1@\d+", given["signal"])
    plan, restarts = os.environ["STAND_IN_PLAN"].split(), 0
    while True:
        code = start(script, arguments, restarts, plan.pop(0) if plan else None)
        log("end", code)
        if not REQUEUE.exists():
            sys.exit(code)
        REQUEUE.unlink()
        restarts += 1


def start(script, arguments, restarts, event):
    count = os.environ["STAND_IN_TASKS"]
    known = {"JOB_ID": JOB, "JOB_NODELIST": HOST, "JOB_NUM_NODES": "1", "NTASKS": count}
    known |= {"CPUS_PER_TASK": "1"} | ({"RESTART_COUNT": str(restarts)} if restarts else {})
    job = {f"SLURM_{name}": value for name, value in known.items()}
    before = checkpoints(arguments[0])
    process = subprocess.Popen(
        ["bash", script, *arguments], env={**os.environ, **job}, start_new_session=True
    )
    while event and process.poll() is None:
        if checkpoints(arguments[0]) - before:
            log("event", event)
            strike(event, process.pid)
            break
        time.sleep(0.02)
    return process.wait()


def strike(event, group):
    if event == "lost":
        os.killpg(group, signal.SIGKILL)
        REQUEUE.touch()  # as SLURM does with a job that has --requeue
        return
    for pid in map(int, TASKS.read_text().split()):
        os.kill(pid, getattr(signal, f"SIG{event}"))


def checkpoints(folder):
    return set(Path(folder).glob("checkpoints/step_*.safetensors"))


def srun(*words):
    command = words[next(place for place, word in enumerate(words) if word[:2] != "--") :]
    count = int(os.environ["SLURM_NTASKS"])
    tasks = [
        subprocess.Popen(
            command, env={**os.environ, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
        )
        for rank in range(count)
    ]
    TASKS.write_text(" ".join(str(task.pid) for task in tasks))
    sys.exit(max(task.wait() for task in tasks))


def scontrol(what, *words):
    if what == "show":
        print(HOST)
    else:
        assert (what, words) == ("requeue", (JOB,))
        REQUEUE.touch()


if __name__ == "__main__":
    name, *arguments = Path(sys.argv[0]).name, *sys.argv[1:]
    if name.startswith("ddpm-"):
        command = [sys.executable, "-m", "ddpm_cli", name.removeprefix("ddpm-"), *arguments]
        os.execv(sys.executable, command)
    {"sbatch": sbatch, "srun": srun, "scontrol": scontrol}[name](*arguments)
