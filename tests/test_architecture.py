"""The house in figures: imports run downward, rooms stay small, a file on disk has one owner."""

import ast
import re
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "ddpm_cli"
TREES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)

LEVELS = [  # of rooms, from the top down
    "__init__ __main__",
    "api",
    "cli",
    "commands",
    "preflight reports comparison",
    "recipes",
    "generation pace fine_tuning",
    "foreign",
    "evaluation training components guiders",
    "samplers losses sweeps loggers averages",
    "checkpoints run_folder loading metrics denoiser train_times",
    "image_sets",
    "data networks parallel rendering diffusion schedules images",
    "data_files hub optimizers",
    "config console checkpoint_paths hardware pixels seeds versions",
    "text files even_indices shapes process",
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms.split()}
SHARED_LEVELS = (10, 12)  # whose single files the other rooms of the level may import
DEEPER_COMMANDS = {("doctor", "train")}  # a doctor's checks are the first half of a training run

WORDS = {"between", "even", "speed"}  # end like a participle and are none
PARTICIPLE = re.compile(
    "told|said|kept|found|made|drawn|seen|known|given|taken|begun|gone|held|shown|[a-z]+(ed|en)"
)
COMMANDS = set(re.findall(r"ddpm_cli\.cli:(\w+)", (ROOT / "pyproject.toml").read_text()))
CONTRACTS = {"Options", *COMMANDS}  # what commands call their options; entry point and command

OWNERS = {  # where the name of a file may stand, by the name
    "metrics.jsonl": "run_folder",
    "samples.jsonl": "run_folder",
    "incidents.jsonl": "run_folder",
    "evaluations.jsonl": "run_folder",
    "train.log": "run_folder",
    "run.json": "run_folder",
    "report.html": "run_folder",
    "data.png": "run_folder commands/data",  # ddpm-data draws the images that it describes
    "forward.png": "run_folder",
    "held_out.png": "run_folder",
    "samples": "run_folder",
    "step_*.png": "run_folder",
    "tensorboard": "run_folder",
    "run_ids": "run_folder",
    ".hydra": "run_folder",
    "step_*.safetensors": "checkpoints",
    "last.safetensors": "checkpoint_paths",
    "best.safetensors": "checkpoint_paths",
    "model.safetensors": "checkpoints",
    "model.pt2": "commands/export",
    "averages": "averages",
    "samples.json": "generation",
    "index.csv": "generation",
    "tuned.json": "generation",
    "sweep.json": "sweeps",
    "manifest.json": "sweeps",
    "job.json": "sweeps",
    "job.lock": "sweeps",
    "recipe.json": "sweeps",
    "recipe.lock": "sweeps",
    ".{}.lock": "process",
    ".{}.owner": "process",
}


def inside(path):
    return path.relative_to(PACKAGE).with_suffix("").parts


def dotted(path):
    return ".".join(["ddpm_cli", *inside(path)]).removesuffix(".__init__")


MODULES = {dotted(path): path for path in TREES}


def imported(node):
    """The modules, of the package or not, that a node of a file imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    assert not node.level, "imports name the whole path"
    longer = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if name in MODULES else node.module for name in longer]


def own_imports(path):
    """The files of the package that a file imports."""
    names = [name for node in ast.walk(TREES[path]) for name in imported(node)]
    return [MODULES[name] for name in names if name in MODULES]


def functions(path):
    return [node for node in ast.walk(TREES[path]) if isinstance(node, FUNCTION)]


def is_allowed(path, target):
    """Whether a file may import another one."""
    (room, *rest), (other, *other_rest) = inside(path), inside(target)
    if room == other == "commands":
        pair = tuple((parts or [""])[0] for parts in (rest, other_rest))
        return pair[0] == pair[1] or pair in DEEPER_COMMANDS
    if room == other or LEVEL[room] < LEVEL[other]:
        return True
    return LEVEL[room] == LEVEL[other] and LEVEL[room] in SHARED_LEVELS and not other_rest


def room(path):
    """A room, of which each entry of commands/ is one."""
    parts = inside(path)
    return "/".join(parts[: 2 if parts[0] == "commands" else 1])


def lines(path):
    return len(path.read_text().splitlines())


def too_many(counts, limit):
    return {str(name): count for name, count in counts.items() if count > limit}


@cache
def text_of_code(path):
    """The strings of a file's code, but for docstrings and prose."""
    docstrings = {id(node.value) for node in ast.walk(TREES[path]) if isinstance(node, ast.Expr)}
    constants = [
        node.value
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.Constant) and id(node) not in docstrings
    ]
    return [text for text in constants if isinstance(text, str) and " " not in text]


def names_file(text, pattern):
    """Whether a path in the code ends in a name, or has a folder of the name."""
    return any(fnmatchcase(part, pattern) for part in text.split("/"))


def test_every_file_has_a_room():
    assert {inside(path)[0] for path in TREES} <= set(LEVEL)


@pytest.mark.parametrize("path", TREES, ids=dotted)
def test_imports_run_downward_and_no_command_imports_a_command(path):
    assert [dotted(each) for each in own_imports(path) if not is_allowed(path, each)] == []


def test_no_imports_go_in_circles():
    graph = {dotted(path): {dotted(each) for each in own_imports(path)} for path in TREES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_functions_import_only_commands_matplotlib_what_a_page_draws_with_and_a_kernel():
    allowed = {
        "__init__": "importlib",  # of `ddpm_cli.api`, when one of its names is first used
        "cli": "ddpm_cli.commands",
        "reports": "ddpm_cli.generation",
        "seeds": "ddpm_cli.seeds.kernel",  # Triton is there with CUDA alone
    }
    late = [
        (dotted(path), name)
        for path in TREES
        for function in functions(path)
        for node in ast.walk(function)
        for name in imported(node)
        if not name.startswith(("matplotlib", allowed.get(inside(path)[0], "matplotlib")))
    ]
    assert late == []


def test_a_room_has_at_most_1500_lines():
    counts = Counter()
    for path in TREES:
        counts[room(path)] += lines(path)
    assert too_many(counts, 1500) == {}


def test_a_folder_has_at_most_15_files():
    assert too_many(Counter(path.parent.relative_to(ROOT) for path in TREES), 15) == {}


def test_a_file_has_at_most_250_lines():
    assert too_many({dotted(path): lines(path) for path in TREES}, 250) == {}


def test_a_function_has_at_most_40_lines():
    lengths = {
        f"{dotted(path)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in TREES
        for node in functions(path)
    }
    assert too_many(lengths, 40) == {}
    assert statistics.median(lengths.values()) <= 8


def test_no_function_is_named_by_a_bare_participle():
    texts = [path.read_text() for path in (ROOT / "configs").rglob("*.yaml")]
    targets = {name for text in texts for name in re.findall(r"_target_: \S+\.(\w+)", text)}
    names = [
        f"{dotted(path)}.{node.name}"
        for path, tree in TREES.items()
        for node in tree.body
        if isinstance(node, FUNCTION) and PARTICIPLE.fullmatch(node.name)
        if node.name not in targets | WORDS
    ]
    assert names == []


def test_no_two_files_define_the_same_name():
    owners = defaultdict(list)
    for path, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, (*FUNCTION, ast.ClassDef)) and node.name not in CONTRACTS:
                owners[node.name].append(dotted(path))
    assert {name: files for name, files in owners.items() if len(files) > 1} == {}


@pytest.mark.parametrize("name", OWNERS)
def test_a_name_on_disk_stands_in_one_room(name):
    strangers = {
        dotted(path): text
        for path in TREES
        if room(path) not in OWNERS[name].split()
        for text in text_of_code(path)
        if names_file(text, name)
    }
    assert strangers == {}


def test_every_script_that_a_page_or_the_package_names_is_there():
    pages = [
        path
        for folder in ("ddpm_cli", "configs", "scripts")
        for path in (ROOT / folder).rglob("*.md")
    ]
    texts = [path.read_text() for path in (ROOT / "README.md", *pages, *TREES)]
    named = {name for text in texts for name in re.findall(r"\bscripts/[a-z_/]+(?:\.py)?", text)}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_page_of_options_lists_every_option():
    outcome = subprocess.run(
        [sys.executable, ROOT / "scripts/options", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
