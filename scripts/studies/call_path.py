#!/usr/bin/env python
"""Count the functions of the package that a command enters, and the modules that a command loads.

A profile hook sees every call of a command's main thread, from the import of `ddpm_cli.cli` on.
It records a call of a named function or method whose code lies in the package's folder. It passes
over lambdas, comprehensions, class bodies, modules, and what `dataclass` writes. A generator that
goes on counts as a call again; a return does not count.

functions: distinct functions. moves: calls from whose file the next call's file differs.
files: distinct files.

ddpm-train counts up to the first step of the training loop: the first call of `step` of an
optimizer of torch with more than ten parameters, once the run's folder holds `.hydra/config.yaml`.
The checks of a run come before that file, the step that tries an optimizer out has one parameter.
ddpm-sample and ddpm-eval count to their end. The prepared images are in the cache beforehand.

The last table counts `sys.modules` after commands that read files of runs alone.

The package is the one that Python imports, which PYTHONPATH can choose:
    PYTHONPATH=CHECKOUT .venv/bin/python scripts/studies/call_path.py [--list]
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from inspect import CO_OPTIMIZED
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FrameType
from typing import Any

NETWORK = ("model.network.dim=8", "model.network.dim_mults=[1,2]")
TINY = (*NETWORK, "trainer.batch_size=16", "trainer.warmup=0", "sampler.steps=3")
TRAIN = ("trainer.steps=4", *TINY, "trainer.device=cpu")
CKPT = "ckpt=first/checkpoints/last.safetensors"
JUDGED = ("metrics=[fd_pixels]", "samples=16", "sampler.steps=3", "device=cpu")

Command = tuple[str, ...]  # the command's function in ddpm_cli.cli, and its arguments
FIRST: Command = ("train", *TRAIN, "hydra.run.dir=first")
SWEEP: Command = ("train", "-m", "seed=0,1", *TRAIN, "hydra.sweep.dir=jobs")
COUNTED: dict[str, Command] = {
    "ddpm-train": ("train", *TRAIN, "hydra.run.dir=run"),
    "ddpm-sample": ("sample", CKPT, "n=4", "png=true", "sampler.steps=3", "device=cpu"),
    "ddpm-eval": ("evaluate", CKPT, *JUDGED),
}
READERS: dict[str, Command] = {
    "ddpm-info": ("info", CKPT),
    "ddpm-plot": ("plot", "runs=[first]"),
    "ddpm-report": ("report", "run=first", "device=cpu"),  # its parts are in the run's folder
    "ddpm-sweep": ("sweep", "show=jobs"),
}
LIBRARIES = ("torch", "datasets", "torchvision", "tensorboard")
MANY = 10  # an optimizer of a network has more parameters


@dataclass
class CallPath:
    """A profile hook that records calls of the package's functions until `ends` sees a frame."""

    package: str
    ends: Callable[[FrameType], bool]
    functions: dict[tuple[str, int, str], None] = field(default_factory=dict)
    moves: int = 0
    file: str | None = None
    at_end: bool = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        if self.ends(frame):
            sys.setprofile(None)
            self.at_end = True
        elif is_named_function(frame) and frame.f_code.co_filename.startswith(self.package):
            self.record(frame.f_code)

    def record(self, code: CodeType) -> None:
        """Add a call, and a move where the call before was in another file."""
        self.functions[code.co_filename, code.co_firstlineno, code.co_qualname] = None
        self.moves += self.file not in (None, code.co_filename)
        self.file = code.co_filename

    def report(self) -> dict[str, Any]:
        """Return the figures, and each function's file, line and name in order of first calls."""
        functions = [(file[len(self.package) :], *rest) for file, *rest in self.functions]
        files = len({file for file, *_ in functions})
        return {"functions": functions, "moves": self.moves, "files": files}


def is_named_function(frame: FrameType) -> bool:
    """Return whether a frame is of a function or method with a name of its own."""
    return bool(frame.f_code.co_flags & CO_OPTIMIZED) and not frame.f_code.co_name.startswith("<")


def is_first_step(frame: FrameType) -> bool:
    """Return whether a frame is the first step of the training loop of `hydra.run.dir=run`."""
    code = frame.f_code
    if code.co_name != "step" or "/torch/optim/" not in code.co_filename:
        return False
    groups = getattr(frame.f_locals["self"], "param_groups", ())
    parameters = sum(len(group["params"]) for group in groups)
    return parameters > MANY and Path("run/.hydra/config.yaml").exists()


def package_folder() -> str:
    """Return the folder of the package that Python imports, with a slash at its end."""
    spec = find_spec("ddpm_cli")
    assert spec is not None and spec.origin is not None
    return str(Path(spec.origin).resolve().parent) + os.sep


def run_command(name: str) -> None:
    """Call a command's function of `ddpm_cli.cli`; raise what is not a good end."""
    try:
        getattr(import_module("ddpm_cli.cli"), name)()
    except SystemExit as end:
        if end.code:
            raise


def call_path(name: str) -> dict[str, Any]:
    """Run a command under the profile hook and return the report."""
    path = CallPath(package_folder(), is_first_step if name == "train" else lambda _: False)
    sys.setprofile(path)
    try:
        run_command(name)
    finally:
        sys.setprofile(None)
    assert path.at_end == (name == "train"), "the run took no step of the training loop"
    return path.report()


def modules(name: str) -> dict[str, Any]:
    """Run a command and return how many modules are loaded then, and which of the libraries are."""
    run_command(name)
    return {"modules": len(sys.modules), **{each: each in sys.modules for each in LIBRARIES}}


SUBJECTS: dict[str, Callable[[str], dict[str, Any]]] = {"call_path": call_path, "modules": modules}


def write_answer(subject: str, name: str, *arguments: str) -> None:
    """Study a command in this process and write the answer into `answer.json`."""
    sys.argv = [f"ddpm-{name}", *arguments]
    Path("answer.json").write_text(json.dumps(SUBJECTS[subject](name)))


def study(folder: Path, subject: str, command: Command) -> Any:
    """Study a command in a process of its own, in a folder, and return the answer."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(package_folder()).parent),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    line = [sys.executable, str(Path(__file__).resolve()), subject, *command]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return json.loads((folder / "answer.json").read_text())


def show_paths(reports: Mapping[str, Any], in_full: bool) -> None:
    """Print the figures of the commands, and in full the functions too."""
    print(f"{'command':12} {'functions':>9} {'moves':>7} {'files':>6}")
    for command, report in reports.items():
        count = len(report["functions"])
        print(f"{command:12} {count:9} {report['moves']:7} {report['files']:6}")
    for command, report in reports.items() if in_full else ():
        print(f"\n{command}: functions in order of their first call")
        for file, line, name in report["functions"]:
            print(f"  {f'{file}:{line}':32} {name}")


def show_modules(answers: Mapping[str, Mapping[str, Any]]) -> None:
    """Print how many modules each command loads, and whether the libraries are among these."""
    print(f"\n{'command':12} {'modules':>9} " + " ".join(f"{name:>11}" for name in LIBRARIES))
    for command, found in answers.items():
        loaded = " ".join(f"{'yes' if found[name] else 'no':>11}" for name in LIBRARIES)
        print(f"{command:12} {found['modules']:9} {loaded}")


def main(arguments: Sequence[str]) -> None:
    """Study all commands in a temporary folder and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="print the functions too")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for command in (FIRST, SWEEP):
            study(folder, "modules", command)
        paths = {name: study(folder, "call_path", each) for name, each in COUNTED.items()}
        loaded = {name: study(folder, "modules", each) for name, each in READERS.items()}
    print(f"package {package_folder()}\n")
    show_paths(paths, options.list)
    show_modules(loaded)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in SUBJECTS:
        write_answer(*sys.argv[1:])
    else:
        main(sys.argv[1:])
