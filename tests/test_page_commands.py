"""The commands of the manual run, page by page, on images and runs of the names in the pages."""

import gzip
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, once
from idx_files import write_splits
from PIL import Image
from test_pages import MISTAKE, ROOT, blocks, called, command_lines, words_of

pytestmark = pytest.mark.slow
PAGES = {
    name: ROOT / path / "README.md"
    for name, path in {
        "first page": "",
        "commands": "ddpm_cli/commands",
        **{
            name: f"ddpm_cli/commands/{name}"
            for name in ("sample", "evaluate", "compare", "tune", "data", "sweep")
        },
    }.items()
}
ELSEWHERE = (  # other machines, the network, large networks, and sweeps in processes of their own
    *("OWNER/NAME", "celeba", "/shared", "cifar10", "emoji", "--config-dir"),
    *("lite0", "fid", "submitit", "optuna", "joblib", "processes=2", "trainer=d", "compile=true"),
    *("nll=ode", "samples=50000", "images.npz", "last.pt", "DIR", "to=diffusers", "to=openai"),
)
FEW = "schedule.steps=20"  # a likelihood evaluates the network at each
PHOTOS = ["data=folder", "data.path=photos", "data.size=64", "model.conditional=true", FEW]
FLAGS = {"--help", "--version", "--cfg", "-sc"}  # of commands that only print
BRIEF = {
    "train": [
        *["trainer.steps=2", "trainer.minutes=null", "trainer.epochs=null"],
        *[*TINY, "trainer.batch_size=8", "trainer.measure_images=16"],  # of 13 shards of one image
    ],
    "doctor": TINY[:3],
    "sample": ["sampler.steps=2", "batch=4"],
    "eval": ["samples=16", "batch=16", "sampler.steps=2"],
    "compare": ["n=16", "samplers=[ddim]", "steps=[2]"],
    "tune": ["n=40", "samplers=[]", "steps=[1]", "guidance=[]", "guiders=[]", "intervals=[]"],
}


@pytest.fixture
def named_things(command, runs, trained, conditional):
    """Files and runs of the names that the pages use, in the test's folder; trained once."""
    if not (runs / "of pages").exists():
        fill_folder(command, runs, trained, conditional)
        shutil.copytree(".", runs / "of pages")
    else:
        shutil.copytree(runs / "of pages", ".", dirs_exist_ok=True)


def fill_folder(command, runs, trained, conditional):
    draw = np.random.default_rng(0)
    for number in range(24):
        path = Path("photos", ("rose", "tulip")[number % 2], f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    files = sorted(Path("photos").rglob("*.png"))
    names = [str(path.relative_to("photos")) for path in files]
    Path("labels.csv").write_text("file_name,label\n" + "".join(f"{each},a\n" for each in names))
    for archive in ("photos.zip", "more.zip"):
        with zipfile.ZipFile(archive, "w") as file:
            [file.write(path) for path in files]
    Path("shards").mkdir()
    for number in range(13):
        with tarfile.open(f"shards/{number:03}.tar", "w") as file:
            file.add(files[number], f"{number}.png")
    digits = draw.integers(0, 256, (24, 28, 28), dtype=np.uint8)
    header = b"\0\0\x08\x03" + np.array(digits.shape, ">u4").tobytes()
    Path("train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + digits.tobytes()))
    write_splits(Path("mnist"), side=28)
    Path("alpha_bar.txt").write_text("\n".join(map(str, np.linspace(0.999, 1e-4, 50))))
    shutil.copytree(ROOT / ".readme", ".readme")
    Image.new("RGB", (64, 64), "red").save("photo.png")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 16, 48, 48))
    mask.save("mask.png")
    folder = "hydra.run.dir=outputs/photos"
    assert command("train", *PHOTOS, *BRIEF["train"], folder).code == 0
    shutil.copytree(trained.parent.parent, "outputs/mine")
    shutil.copytree(once(command, runs, "few", FEW).parent.parent, "outputs/few")
    lengths = "trainer.ema_lengths=[0.05,0.10]"
    shutil.copytree(once(command, runs, "averaged", lengths).parent.parent, "outputs/averaged")
    sweep = ["-m", "trainer.steps=4", "seed=0,1", "hydra.sweep.dir=outputs/multirun/DAY/TIME"]
    assert command("train", *TINY, *sweep).code == 0
    for name in ("a", "b"):
        path = Path("outputs", name, "metrics.jsonl")
        path.parent.mkdir(parents=True)
        path.write_text('{"step": 1, "loss": 1.0, "grad_norm": 1.0, "lr": 0.1}\n')
    shutil.copytree(conditional.parent.parent, "outputs/classes")
    few = ["n=24", "label=all", "sampler.steps=2", "npz=true", "hydra.run.dir=others"]
    assert command("sample", "outputs/classes", *few).code == 0
    shutil.copytree("photos", "pets")


def checkpoint_of(words):
    """The checkpoint that a line needs: of photographs, few steps, digits with classes, digits."""
    line = " ".join(words)
    if any(each in line for each in ("photo", "label=rose")):
        return "outputs/photos/checkpoints/last.safetensors"
    if "nll" in line:
        return "outputs/few/checkpoints/last.safetensors"
    labels = any(each in line for each in ("label=", "guidance=", "[cas]"))
    return f"outputs/{'classes' if labels else 'mine'}/checkpoints/last.safetensors"


def brief_options(name, arguments):
    """The options with which a command takes a second or two."""
    if name == "eval" and {"generated=others", "metrics=[nll]"} & {*arguments}:  # draw no images
        return ["n=2"] * ("metrics=[nll]" in arguments)
    fewer = name == "sample" and not {"indices=[3,47]", "label=all"} & {*arguments}
    return [*BRIEF.get(name, []), *["n=4"] * fewer]


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(command, named_things, page):
    ran, faults = 0, {}
    for number, line in enumerate(command_lines(PAGES[page])):
        name, arguments = called(words_of(line)) or ("", [])
        if not name or any(each in line for each in ELSEWHERE):
            continue
        ckpt = checkpoint_of(arguments)
        arguments = [each.replace("WEAKER_CKPT", ckpt).replace("CKPT", ckpt) for each in arguments]
        plain = bool(arguments) and not FLAGS & {*arguments}
        brief = brief_options(name, arguments) if plain else []
        is_new = name == "train" or "hydra.run.dir" not in line  # a folder holds one run
        place = [f"hydra.run.dir=out{number}"] * (plain and is_new)
        outcome = command({"eval": "evaluate"}.get(name, name), *arguments, *brief, *place)
        ran += 1
        if outcome.code:
            faults[line] = outcome.err
    assert faults == {}
    assert ran


def test_first_mistakes_are_told_as_the_page_says(command, trained):
    for name in ("other", "mine"):
        shutil.copytree(trained.parent.parent, f"outputs/{name}")
    Path("photos").mkdir()
    told = {}
    for typed, error in MISTAKE.findall(PAGES["commands"].read_text()):
        words = words_of(typed)
        if words[0] != "python":
            name = words[0].removeprefix("ddpm-")
            outcome = command({"eval": "evaluate"}.get(name, name), *words[1:])
            told[typed] = (outcome.code, outcome.err) != (1, f"error: {error}\n") and outcome
    assert {typed: outcome for typed, outcome in told.items() if outcome} == {}
    assert told


def test_the_python_of_the_first_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (program,) = blocks(ROOT / "README.md", "python")
    brief = program.replace('{"trainer.steps": 200}', repr([*TINY, "trainer.steps=2"]))
    assert brief != program
    exec(compile(brief, "README.md", "exec"), {})
    assert Path("samples.png").exists()
