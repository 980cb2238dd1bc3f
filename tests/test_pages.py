"""The manual: its links lead somewhere, its commands compose, its code runs."""

import re
import shlex
from itertools import groupby
from pathlib import Path

import pytest
from conftest import TINY
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from ddpm_cli.cli.plugins import plug_in
from ddpm_cli.config.build import GROUPS
from ddpm_cli.config.schema import check_groups
from ddpm_cli.optimizers.default_options import drop_defaults

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted(
        path
        for folder in ("ddpm_cli", "configs", "scripts")
        for path in (ROOT / folder).rglob("*.md")
    ),
]
PACKAGE_PAGE = ROOT / "ddpm_cli/README.md"
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
MISTAKE = re.compile(r"^\| `([^`]*)` \| (.*) \| [\d.]+ \|$", re.MULTILINE)  # typed, error
INLINE = re.compile(r"`(ddpm-[a-z]+ [^`]*=[^`]*)`")
OTHERS = {
    "hf",
    *("git", "python3", "find", "cp"),
    "tensorboard",
    "mlflow",
    "trackio",
    "tail",
    "pip",
    "npm",
    "tar",
    "sbatch",
    "torchrun",
    "python",
    "source",
}
CALLS = set(re.findall(r"^ddpm-(\w+) =", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))


def page_name(path):
    return str(path.relative_to(ROOT))


def blocks(path, language):
    return [body for _, kind, body in BLOCK.findall(path.read_text()) if kind == language]


def anchors(path):
    """The anchors of a page's headings, as GitHub derives them."""
    text = BLOCK.sub("", path.read_text())
    titles = re.findall(r"^#+ (.*)", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def command_lines(path):
    """The lines of a page's shell blocks, and the commands within its sentences."""
    lines = [
        line
        for body in blocks(path, "bash")
        for line in body.replace("\\\n", " ").splitlines()
        if line.strip() and not line.strip().startswith("#")
    ]
    prose = MISTAKE.sub("", BLOCK.sub("", path.read_text()))
    return [*lines, *(" ".join(each.split()) for each in INLINE.findall(prose))]


def words_of(line):
    """The words of a line of a shell, without its comment and the variables before it."""
    words = shlex.split(line, comments=True)
    return words[next(place for place, word in enumerate(words) if not re.match(r"\w+=", word)) :]


def called(words):
    """The command of the package that a line calls, with its arguments; None if there is none."""
    if words[0].startswith("ddpm-"):
        return words[0].removeprefix("ddpm-"), words[1:]
    if "ddpm_cli" in words:
        name, *arguments = words[words.index("ddpm_cli") + 1 :] or [""]
        return name, arguments
    if words[0] == "sbatch":
        script = next(place for place, word in enumerate(words) if word.endswith(".sbatch"))
        return "train", words[script + 2 :]
    return None


COMMANDS = list(
    dict.fromkeys(
        (name, *arguments)
        for path in PAGES
        for line in command_lines(path)
        for name, arguments in [called(words_of(line)) or ("", [])]
        if name
    )
)


def first_of_a_sweep(override):
    """An override with the first of its values, or with the end of its interval."""
    if not override.is_sweep_override():
        return override.input_line
    value = override.value()
    if override.is_interval_sweep():
        return f"{override.get_key_element()}={value.start}"
    return f"{override.get_key_element()}={next(override.sweep_string_iterator())}"


def overrides_of(arguments):
    """The overrides of a command line, as the first job of a sweep has them."""
    plain = [each for each in arguments if "=" in each and not each.startswith("recipe=")]
    plain = [each for each in plain if not each.startswith(("-", "install=", "query="))]
    return list(map(first_of_a_sweep, OverridesParser.create().parse_overrides(plain)))


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_every_link_leads_to_a_file_and_to_a_heading(path):
    lost = []
    for target in LINK.findall(BLOCK.sub("", path.read_text())):
        name, _, anchor = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        is_lost = not other.exists() or (anchor and anchor not in anchors(other))
        lost += [target] * bool(is_lost and "://" not in target)
    assert lost == []


def test_the_first_page_has_at_most_200_lines_and_leads_to_all_others():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
    there = {ROOT / "README.md"}
    for page in [ROOT / "README.md", *PAGES, *PAGES]:
        if page in there:
            links = (each.partition("#")[0] for each in LINK.findall(page.read_text()))
            there |= {(page.parent / each).resolve() for each in links}
    assert [page_name(page) for page in PAGES if page not in there] == []


def test_every_line_of_a_shell_calls_a_command_or_a_script_that_is_there():
    unknown = [
        line
        for path in PAGES
        for line in command_lines(path)
        for words in [words_of(line)]
        if words[0] not in OTHERS
        and words[0].removeprefix("ddpm-") not in CALLS
        and not (words[0].startswith("scripts/") and (ROOT / words[0]).exists())
    ]
    assert unknown == []


def root(override):
    """What an override may change: a group with its options, or one option of the trainer."""
    key = override.partition("=")[0].lstrip("+~")
    return key if key.startswith("trainer.") else re.split(r"[.@]", key)[0]


def together(lines):
    """Join lists of overrides that change different things, to compose them at once."""
    joined = []
    for line in lines:
        roots = set(map(root, line))
        fit = next((each for each in joined if not roots & set(map(root, each))), None)
        fit.extend(line) if fit else joined.append(list(line))
    return joined


def fault_of(composed, name, overrides):
    """Why a command line cannot be composed; the empty text if it can."""
    try:
        plug_in(overrides)
        cfg = composed({"doctor": "train"}.get(name, name), *overrides)
        drop_defaults(cfg, overrides)
        check_groups(cfg, *(each for each in GROUPS if isinstance(cfg.get(each), DictConfig)))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize("name", sorted({name for name, *_ in COMMANDS}))
def test_every_command_line_composes(composed, name):
    lines = [
        each
        for known, *each in COMMANDS
        if known == name and "--config-dir" not in each and "trust=[" not in " ".join(each)
    ]
    overrides = [line for line in map(overrides_of, lines) if line]
    if any(fault_of(composed, name, each) for each in together(overrides)):
        faults = {" ".join(each): fault_of(composed, name, each) for each in overrides}
        assert {line: fault for line, fault in faults.items() if fault} == {}
        pytest.fail(f"lines of {name} compose alone, and not together")


def test_the_packages_page_has_a_row_for_every_room():
    rows = re.findall(r"^\| (\[?`.*?) \|", PACKAGE_PAGE.read_text(), re.MULTILINE)
    rooms = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    there = {path.stem for path in (ROOT / "ddpm_cli").iterdir() if path.name[0] not in "_."}
    assert there - {"README", "py"} - rooms == set()


def sections(path):
    """The parts of a page under its headings of the third level, by heading."""
    title = None
    lines = []
    for line in path.read_text().splitlines():
        title = line[4:] if line.startswith("### ") else None if line[:3] == "## " else title
        lines.append((title, line))
    return {
        title: "\n".join(line for _, line in part)
        for title, part in groupby(lines, key=lambda each: each[0])
        if title
    }


PARTS = sections(PACKAGE_PAGE)


def write_files(text):
    """Write the code blocks of a section that begin with the name of a file."""
    for _, language, body in BLOCK.findall(text):
        first, _, rest = body.partition("\n")
        if language in ("python", "yaml"):
            path = Path(first.removeprefix("# "))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rest)


@pytest.mark.slow
@pytest.mark.parametrize("title", PARTS)
def test_every_part_of_the_packages_page_runs(command, trained, monkeypatch, title):
    monkeypatch.syspath_prepend(Path.cwd())
    write_files(PARTS[title])
    shell = "".join(body for _, kind, body in BLOCK.findall(PARTS[title]) if kind == "bash")
    lines = list(map(words_of, shell.splitlines()))
    assert lines
    for number, (name, *arguments) in enumerate(lines):
        name = name.removeprefix("ddpm-")
        own = 2 if "model=small" in arguments else 0  # which has no such options
        brief = {
            "train": [*TINY[own:], "trainer.steps=2", "trainer.measure_images=16"],
            "sample": ["n=1", "sampler.steps=2"],
            "eval": ["samples=16", "batch=16"],
            "compare": ["n=16", "samplers=[ddim]", "steps=[2]"],
            "data": [],
        }[name]
        arguments = [each.replace("CKPT", str(trained)) for each in arguments]
        outcome = command(
            {"eval": "evaluate"}.get(name, name), *arguments, *brief, f"hydra.run.dir=out{number}"
        )
        assert outcome.code == 0, (arguments, outcome.err)
