"""Parts of a user's own: every command that is printed after such a run works as it stands."""

import html
import re
import shlex
from pathlib import Path

import pytest

PARTS = """
import torch
from torch import nn

def euler(denoise, diffusion, x, times, noise, *, damping=0.0):
    for t, s in zip(times, times[1:]):
        x0 = denoise(x, t).x0
        eps = diffusion.noise_in(x, x0, t)
        kept = diffusion.at(s)
        x = kept.sqrt().to(x.dtype) * x0 + (1 - kept).sqrt().to(x.dtype) * eps * (1 - damping)
        yield x

def cubic(*, steps=1000, first=1e-4, last=0.02):
    ends = torch.linspace(first ** (1 / 3), last ** (1 / 3), steps, dtype=torch.float64)
    return (ends**3 * 1000 / steps).clamp(max=0.999)

def charbonnier(denoiser, batch, *, eps=1e-3):
    output = denoiser(batch.x_t, batch.t, batch.label).output
    error = output - denoiser.target(batch.x0, batch.eps, batch.t)
    return (error.square() + eps**2).sqrt().flatten(1).mean(1)

class Small(nn.Module):
    def __init__(self, in_channels, out_channels, classes=0, *, width=8):
        super().__init__()
        self.time = nn.Linear(1, width)
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, x, t, label=None):
        return self.last(torch.relu(self.first(x) + self.time(t[:, None] / 1000)[..., None, None]))
"""
NODES = {
    "loss/charbonnier": "_target_: {module}.charbonnier\neps: 1e-3",
    "model/small": "_target_: ddpm_cli.denoiser.Denoiser\npredicts: eps\nvariance: small\n"
    "conditional: false\nnetwork:\n  _target_: {module}.Small\n  width: 8",
    "sampler/euler": "_target_: {module}.euler\nsteps: 3\nspacing: trailing\ndamping: 0.0",
    "schedule/cubic": "_target_: {module}.cubic\nsteps: 1000\nfirst: 1e-4\nlast: 0.02",
}
LENGTH = ["trainer.steps=2", "trainer.batch_size=16"]
CHOICES = ["model=small", "schedule=cubic", "loss=charbonnier", "sampler=euler", *LENGTH]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The arguments of a run with a module and YAML files of the user's own."""
    module = "parts_" + re.sub(r"\W", "_", tmp_path.name)
    (tmp_path / f"{module}.py").write_text(PARTS)
    for name, text in NODES.items():
        path = tmp_path / "own yaml" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(module=module) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    return ["--config-dir", "own yaml", *CHOICES, f"trust=[{module}]"]


def printed(text):
    """The commands in a text, each on a line of its own or after a label."""
    return re.findall(r"^(?:sample)? *(ddpm-(?:train|sample|sweep) .*)$", text, re.MULTILINE)


def reported(folder):
    """The commands in a report."""
    codes = re.findall(r"<code>(.*?)</code>", Path(folder, "report.html").read_text(), re.DOTALL)
    return [text for text in map(html.unescape, codes) if text.startswith("ddpm-")]


@pytest.fixture
def cards():
    """Runs end with their report."""


def test_every_printed_command_runs_as_it_stands(command, own):
    run = command("train", *own, "trainer.stop_at=1", "hydra.run.dir=a run")
    info = command("info", "ckpt='a run/checkpoints/last.safetensors'")
    commands = [*printed(run.out), *printed(info.out), *reported("a run")]
    assert [each.split()[0] for each in commands] == [
        *["ddpm-train", "ddpm-sample", "ddpm-train"],
        *["ddpm-train", "ddpm-train", "ddpm-sample"],
    ]
    for number, each in enumerate(dict.fromkeys(commands)):
        name, *arguments = shlex.split(each)
        elsewhere = [f"hydra.run.dir=out{number}"] * ("hydra.run.dir" not in each)
        brief = ["n=1", "sampler.steps=2"] * (name == "ddpm-sample")
        outcome = command(name.removeprefix("ddpm-"), *arguments, *elsewhere, *brief)
        assert outcome.code == 0, (each, outcome.err)


def test_a_report_written_anew_names_the_users_yaml_and_modules(command, own):
    command("train", *own, "hydra.run.dir=run")
    before = reported("run")
    outcome = command("report", "run=run", own[-1])
    assert outcome.code == 0, outcome.err
    again, resume, sample = reported("run")
    assert (resume, sample) == tuple(before[1:])
    assert command("train", *shlex.split(again)[1:], "hydra.run.dir=again").code == 0


@pytest.mark.slow
def test_a_sweep_of_own_parts_says_how_it_goes_on(command, own):
    outcome = command(
        "train", "-m", *own, "seed=0,1", "trainer.evaluate_every=0", "hydra.sweep.dir=sweep"
    )
    (resume,) = [each for each in printed(outcome.out) if each.startswith("ddpm-sweep")]
    assert (outcome.code, shlex.split(resume)[-1]) == (1, "trust=true")
    again = command("sweep", *shlex.split(resume)[1:])
    assert "trainer.evaluate_every" in again.err or "evaluate_every must be at least 1" in again.err
