"""The page of a run: written at its end and anew, after any end and from any files."""

import json
import re
import shlex
import shutil
from html import unescape
from io import BytesIO
from pathlib import Path

import pytest
import torch
from checkpoint_files import change
from conftest import TINY
from PIL import Image

from ddpm_cli.files import save_text
from ddpm_cli.reports import run_numbers

LIMIT = 8 * 2**20
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def cards():
    """Runs end with their pages here."""


def shown(folder):
    """The page's text, as it is read."""
    return unescape(Path(folder, "report.html").read_text())


def written_anew(command, folder="trained"):
    outcome = command("report", f"run='{folder}'")
    assert outcome.code == 0, outcome.err
    return shown(folder)


def evaluation(metric, value, protocol):
    row = {"step": 4, "metric": metric, "value": value, "low": value - 0.1, "high": value + 0.1}
    return json.dumps({**row, "protocol": f"{metric} | {protocol}", "protocol_id": protocol}) + "\n"


def test_a_run_ends_with_its_page(command):
    outcome = command(
        "train",
        *TINY,
        "trainer.steps=4",
        "trainer.log_every=2",
        "trainer.sample_every=2",
        "hydra.run.dir=run",
    )
    text = shown("run")
    assert outcome.out.splitlines()[-1] == f"report     {Path('run/report.html').resolve()}"
    assert all(
        each in text
        for each in (
            "<h1>Run run</h1>",
            "58,273 parameters",
            "4 of 4 steps",
            "too few evaluations to tell: held-out loss",
        )
    )
    cadences = "trainer.log_every=2", "trainer.sample_every=2"
    typed = shlex.join(["ddpm-train", *TINY, *cadences, "trainer.steps=8"])  # twice the steps
    assert typed in text
    assert all(
        f'data-stands="{each}"' in text
        for each in ("step 2", "step 4", "step 0 of 3", "step 3 of 3")
    )
    assert "resume=auto" in text
    assert text.count("<svg") == 1
    assert torch.__version__ in text
    assert "There was no warning." in text
    newest, outcome = text.index('alt="Samples at step 4"'), text.index("trained all 4 steps (")
    assert newest < outcome < text.index("Training step <input")
    assert "The training image nearest to each of the newest samples" in text
    kept = written_anew(command, "run")  # without the data
    assert "The training image nearest to each of the newest samples" in kept
    Path("run/data.png").unlink()  # as by someone who shows no training image
    assert "The training image nearest" not in written_anew(command, "run")


def test_a_stopped_run_has_a_page_that_says_how_to_go_on(command):
    outcome = command("train", *TINY, "trainer.steps=4", "trainer.stop_at=2", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    assert "2 of 4 steps" in shown("run")
    assert (
        f"sampler.steps=3 trainer.steps=4 hydra.run.dir={Path('run').resolve()} resume=auto<"
        in shown("run")
    )


@pytest.mark.slow
def test_commands_name_a_folder_as_hydra_reads_it(command):
    run = command(
        "train", *TINY, "trainer.steps=2", "trainer.stop_at=1", "hydra.run.dir='été, a=1/it\\'s'"
    )
    assert run.code == 0, run.err
    commands = [
        shlex.split(line) for line in re.findall(r"<code>(ddpm-.*?)</code>", shown("été, a=1/it's"))
    ]
    commands += [
        shlex.split(line.removeprefix("sample").strip())
        for line in run.out.splitlines()
        if " ddpm-" in line
    ]
    assert [words[0] for words in commands] == [
        "ddpm-train",
        "ddpm-train",
        "ddpm-sample",
        "ddpm-train",
        "ddpm-sample",
    ]
    for name, *options in commands[1:]:
        outcome = command(name.removeprefix("ddpm-"), *options, *["n=1"] * (name == "ddpm-sample"))
        assert outcome.code == 0, outcome.err


def test_a_page_that_cannot_be_written_ends_no_run_badly(command, monkeypatch):
    def full(path, write):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ddpm_cli.rendering.html.page.write_atomically", full)
    outcome = command("train", *TINY, "trainer.steps=2", "hydra.run.dir=run")
    assert outcome.code == 0
    assert (
        outcome.out.splitlines()[-1]
        == "warning: no report.html: [Errno 28] No space left on device"
    )
    assert not list(Path("run").glob("*report*"))


def test_a_run_that_fails_has_a_page_of_its_last_good_checkpoint(command):
    failing = [
        "trainer.steps=20",
        "trainer.checkpoint_every=2",
        "trainer.bad_steps=2",
        "trainer.lr_schedule=constant",
    ]
    command("train", *TINY, *failing, "trainer.stop_at=2", "hydra.run.dir=run")
    outcome = command(
        "train", *TINY, *failing, "trainer.optimizer.lr=1e30", "hydra.run.dir=run", "resume=auto"
    )
    assert outcome.code == 1
    assert "steps that were skipped, for their numbers were not finite" in shown("run")
    assert "of 20 steps" in shown("run")


def test_a_run_that_was_killed_gets_its_page_by_a_command(command, trained):
    Path("trained/report.html").unlink(missing_ok=True)
    with Path("trained/metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    assert "4 of 4 steps" in written_anew(command)


def test_a_damaged_checkpoint_is_passed_over(command, trained):
    shutil.copy(
        "trained/checkpoints/step_00000004.safetensors",
        "trained/checkpoints/step_00000006.safetensors",
    )
    Path("trained/checkpoints/step_00000006.safetensors").write_bytes(b"damaged")
    assert "4 of 4 steps" in written_anew(command)


def test_a_recipe_of_odd_types_is_told_in_one_line(command, trained, monkeypatch):
    def odd(*_):
        raise TypeError("can't multiply sequence by non-int of type 'float'")

    monkeypatch.setattr(run_numbers, "speed_text", odd)
    outcome = command("report", "run=trained")
    assert (outcome.code, outcome.err) == (
        1,
        "error: this run cannot have a page: can't multiply sequence by non-int of type 'float'\n",
    )


def test_the_page_does_not_change_by_being_written_anew(command, trained):
    before = written_anew(command)
    assert written_anew(command) == before


def test_a_conditional_run_has_a_film_too(command, conditional):
    text = written_anew(command, "classes")
    assert "Sampling step" in text
    assert "conditional on 10 classes" in text


def test_metrics_stand_with_their_intervals_and_protocols(command, trained):
    save_text(
        Path("trained/evaluations.jsonl"),
        evaluation("fd_pixels", 1.25, "one") * 2 + evaluation("kid_pixels", 2.5, "other"),
    )
    text = written_anew(command)
    assert text.count(">1.25<") == 1
    assert all(
        each in text for each in (">1.15<", ">1.35<", "fd_pixels | one", "kid_pixels | other")
    )
    assert "cannot be compared" not in text


def test_two_lines_of_python_read_the_numbers(command, trained):
    lines = re.search("<code>(import pandas.*?)</code>", written_anew(command), re.DOTALL)[1]
    names = {}
    exec(lines, names)
    assert names["numbers"]["step"].tolist()[-1] == 4


def test_what_pictures_to_expect_stands_below_the_verdict(command, trained):
    facts = json.loads(Path("trained/run.json").read_text())
    save_text(Path("trained/run.json"), json.dumps({**facts, "pictures": "6 passes: noise"}))
    assert '<p class="quiet">6 passes: noise.</p>' in written_anew(command)


def test_numbers_of_different_protocols_are_said_not_to_be_compared(command, trained):
    save_text(
        Path("trained/evaluations.jsonl"),
        evaluation("fd_pixels", 1.0, "one") + evaluation("fd_pixels", 2.0, "other"),
    )
    assert "fd_pixels is by 2 protocols and cannot be compared across them" in written_anew(command)


def test_what_was_measured_in_training_is_drawn(command, trained):
    save_text(
        Path("trained/metrics.jsonl"),
        "".join(json.dumps({"step": step, "fd_pixels": 10 / step}) + "\n" for step in (1, 2, 4)),
    )
    assert "fd_pixels from 10 at step 1 to 2.5 at step 4" in written_anew(command)


def test_hostile_files_are_words_and_no_markup(command, trained):
    folder = Path(f"trained {HOSTILE.replace('/', '')}")
    Path("trained").rename(folder)
    save_text(
        folder / "evaluations.jsonl",
        evaluation(HOSTILE, 1.0, HOSTILE) + evaluation(HOSTILE, 1.0, "</script>"),
    )
    save_text(
        folder / "incidents.jsonl",
        json.dumps({"step": HOSTILE, "loss": [HOSTILE], "lr": {HOSTILE: 1}}) + "\nno json\n[1]\n",
    )
    save_text(
        folder / "metrics.jsonl",
        "".join(json.dumps({"step": step, f"fd_{HOSTILE}": step}) + "\n" for step in (1, 2)),
    )
    save_text(
        folder / ".hydra/overrides.yaml",
        json.dumps([f"data.path={HOSTILE}", "data.path=${oc.env:HOME}"]),
    )
    told = {"model": HOSTILE, "data": [HOSTILE], "warnings": [HOSTILE, {HOSTILE: 1}]}
    save_text(folder / "run.json", json.dumps(told))
    sly = {"classes": [HOSTILE] * 10, "environment": {HOSTILE: HOSTILE}}
    change(folder / "checkpoints/step_00000004.safetensors", **sly)
    outcome = command("report", f"run='{folder}'")
    assert outcome.code == 0, outcome.err
    text = (folder / "report.html").read_text()
    assert "<img src=x" not in text
    assert text.count("</script>") == 1
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 12
    assert "${oc.env:HOME}" in text


def test_pictures_that_cannot_be_seen_are_left_out(command, trained):
    Path("trained/data.png").write_bytes(Path("trained/data.png").read_bytes()[:200])
    Path("trained/forward.png").write_bytes(b"no picture")
    Path("trained/samples/step_00000004.png").unlink()
    text = written_anew(command)
    assert "A batch of training images" not in text
    assert '<h2 id="samples">' not in text
    assert '<h2 id="outcome">' in text


def test_a_picture_of_another_format_is_left_out(command, trained):
    Image.open("trained/data.png").convert("RGB").save(
        "trained/data.png", "EPS"
    )  # which Pillow has a program of PostScript draw
    assert "A batch of training images" not in written_anew(command)


@pytest.mark.parametrize(
    "text",
    [b"", b"5", b"a: b", b"- \xff", b"- '", b"[" * 3000, b"- !!python/name:os.system"],
    ids=str,
)
def test_in_place_of_overrides_that_cannot_be_read_stand_those_of_the_checkpoint(
    command, trained, text
):
    Path("trained/.hydra/overrides.yaml").write_bytes(text)
    resumed = f"trainer.steps=8 hydra.run.dir={Path('trained').resolve()} resume=auto<"
    assert resumed in written_anew(command)  # the run is complete: twice its steps


def test_overrides_that_would_not_fit_the_memory_are_left_out(command, trained):
    lists = [f"a{place}: &a{place} [{','.join([f'*a{place - 1}'] * 9)}]" for place in range(1, 30)]
    save_text(Path("trained/.hydra/overrides.yaml"), "{a0: &a0 text, " + ", ".join(lists) + "}")
    written_anew(command)
    save_text(
        Path("trained/.hydra/overrides.yaml"),
        f"[&a {'seed=1' * 10_000}, {','.join(['*a'] * 1000)}, [*a]]",
    )
    assert "seed=1seed=1" not in written_anew(command)


def test_rows_without_time_have_no_speed(command, trained):
    save_text(
        Path("trained/metrics.jsonl"),
        json.dumps({"step": 0, "loss": 1, "images_per_second": 5}) + "\n",
    )
    assert "images/s" not in written_anew(command)


def test_the_verdict_says_by_what_the_best_checkpoint_is(command):
    measured = [
        "trainer.measures=[fd_pixels]",
        "trainer.best=fd_pixels",
        "trainer.measure_every=4",
        "trainer.measure_images=8",
    ]
    outcome = command("train", *TINY, *measured, "trainer.steps=4", "hydra.run.dir=run")
    told = next(line for line in outcome.out.splitlines() if line.startswith("learning"))
    assert "by fd_pixels" in told
    assert told.removeprefix("learning").strip() in shown("run")


@pytest.mark.slow
def test_fifty_grids_of_large_images_make_a_page_below_8_mb(command, trained):
    file = BytesIO()
    Image.effect_noise((522, 522), 80).convert("RGB").save(file, "PNG")
    for step in range(5, 120):
        Path(f"trained/samples/step_{step:08d}.png").write_bytes(file.getvalue())
    for name in ("data.png", "forward.png"):
        Image.effect_noise((1100, 1300), 80).convert("RGB").save(f"trained/{name}")
    text = written_anew(command)
    assert Path("trained/report.html").stat().st_size < LIMIT
    assert 10 < text.count('alt="Samples at step') <= 50
    assert 'alt="Samples at step 119"' in text


def test_an_option_that_is_not_there_is_refused(command, trained):
    outcome = command("report", "run=trained", "+out=a")
    told = "error: out is not an option; there are device, run, trust\n"
    assert (outcome.code, outcome.out, outcome.err) == (1, "", told)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "run must be given: folder of a training run, or of a sweep"),
        (["run=."], "there is no checkpoint in the folder '.'"),
    ],
)
def test_mistakes_are_told_in_one_line_and_nothing_is_written(command, options, told):
    outcome = command("report", *options)
    assert (outcome.code, outcome.out, outcome.err) == (1, "", f"error: {told}\n")
    assert not list(Path().iterdir())
