"""Guidance on the command line: the images of before, every guider in every command, refusals."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.components import load_denoiser
from ddpm_cli.denoiser import Estimate
from ddpm_cli.generation.generator import Noises
from ddpm_cli.images import to_bytes
from ddpm_cli.samplers import Grid, clip_x0, ddim

ONE = ["n=3", "sampler.steps=3", "grid=false", "npz=true", "hydra.run.dir=out"]
FEW = ["samplers=[ddim]", "steps=[2]", "n=8", "columns=2", "hydra.run.dir=out"]
JUDGED = ["metrics=[fd_pixels]", "samples=8", "sampler.steps=2", "hydra.run.dir=out"]
LABELS = torch.tensor([0, 1, 2])
INTERVAL = "guidance_interval=[0.1,2]"
OPTIONS = {
    "cfg": [],
    "interval": [],
    "autoguidance": ["guide={guide}"],
    "apg": ["guider.eta=0.5"],
    "cfg_zero": ["guider.zero_init=0.1"],
}


def denoiser_of(path):
    return load_denoiser(Checkpoint.load(path), weights="ema", device="cpu", trust=[])


def lerp_labels(denoise, guide, scale, x_t, t):
    """Guidance as ddpm-sample had it before it had guiders."""
    both = denoise(torch.cat([x_t, x_t]), t, torch.cat([LABELS, torch.full_like(LABELS, -1)]))
    x0, without = both.x0.chunk(2)
    return torch.lerp(without, x0, scale)


def lerp_guide(denoise, guide, scale, x_t, t):
    return torch.lerp(guide(x_t, t).x0, denoise(x_t, t, LABELS).x0, scale)


def no_label(denoise, guide, scale, x_t, t):
    return denoise(x_t, t).x0


def in_interval(inner, denoise, guide, scale, x_t, t):
    inside = 0.1 <= denoise.diffusion.level(t) <= 2
    return inner(denoise, guide, scale, x_t, t) if inside else denoise(x_t, t, LABELS).x0


def drawn_as_before(formula, denoise, guide, scale):
    """The images by DDIM in three steps, with the estimates of a formula."""

    def unclipped(x_t, t):
        return Estimate(x_t, formula(denoise, guide, scale, x_t, t), 0.0)

    start = Noises.keyed([1, 8, 8], 0, range(3), torch.device("cpu")).start
    times = Grid(steps=3, spacing="trailing").times(denoise.diffusion)
    with torch.no_grad():
        *_, images = ddim(clip_x0(unclipped), denoise.diffusion, start, times, torch.zeros_like)
    return to_bytes(images)


def drawn():
    with np.load("out/npz/00000000.npz") as arrays:
        return torch.from_numpy(arrays["arr_0"]).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("typed", "formula", "scale"),
    [
        (["guidance=2.5"], lerp_labels, 2.5),
        (["guidance=0.5"], lerp_labels, 0.5),
        (["guidance=0"], no_label, 0.0),
        (["guidance=2", INTERVAL], partial(in_interval, lerp_labels), 2.0),
        (["guidance=0", INTERVAL], partial(in_interval, no_label), 0.0),
        (["guidance=2", "guide={guide}"], lerp_guide, 2.0),
        (["guidance=3", "guide={guide}", INTERVAL], partial(in_interval, lerp_guide), 3.0),
    ],
    ids=["2.5", "0.5", "0", "interval", "0 interval", "guide", "guide interval"],
)
def test_command_lines_without_a_guider_draw_the_images_of_before_it(
    command, conditional, trained, typed, formula, scale
):
    options = [each.format(guide=trained) for each in typed]
    outcome = command("sample", f"ckpt={conditional}", "label=all", *options, *ONE)
    assert outcome.code == 0, outcome.err
    expected = drawn_as_before(formula, denoiser_of(conditional), denoiser_of(trained), scale)
    assert torch.equal(drawn(), expected)


@pytest.mark.parametrize(
    ("implied", "named"),
    [
        ([], ["guider=cfg"]),
        ([INTERVAL], ["guider=interval", "guider.low=0.1", "guider.high=2"]),
        ([INTERVAL], ["guider=interval", INTERVAL]),
        (["guide={guide}"], ["guider=autoguidance", "guide={guide}"]),
    ],
)
def test_options_imply_a_guider_that_a_folder_goes_on_with(
    command, conditional, trained, implied, named
):
    of = [f"ckpt={conditional}", "label=3", "guidance=2", "png=true", *ONE]
    first, again = ([each.format(guide=trained) for each in typed] for typed in (implied, named))
    assert command("sample", *of, *first).code == 0
    told = Path("out/samples.json").read_text()
    outcome = command("sample", *of, *first, *again)
    assert outcome.code == 0, outcome.err
    assert "3 of 3 images are there" in outcome.out
    assert json.loads(told)["recipe"] == json.loads(Path("out/samples.json").read_text())["recipe"]


@pytest.mark.parametrize("typed", [["label=3"], ["label=3", "guidance=2", INTERVAL]])
def test_a_folder_of_an_earlier_version_goes_on(command, conditional, typed):
    of = [f"ckpt={conditional}", *typed, *ONE]
    assert command("sample", *of).code == 0
    path = Path("out/samples.json")
    content = json.loads(path.read_text())
    del content["recipe"]["guider"]  # which earlier versions did not write
    path.write_text(json.dumps(content))
    outcome = command("sample", *of)
    assert outcome.code == 0, outcome.err
    assert "3 of 3 images are there" in outcome.out


def test_a_folder_goes_on_with_its_own_guider_alone(command, conditional):
    of = [f"ckpt={conditional}", "label=3", "guidance=2", *ONE]
    assert command("sample", *of, "guider=apg").code == 0
    recipe = json.loads(Path("out/samples.json").read_text())["recipe"]
    assert recipe["guider"] == {
        "_target_": "ddpm_cli.guiders.apg",
        "eta": 0.0,
        "momentum": -0.5,
        "limit": 0.06,
    }
    outcome = command("sample", *of, "guider=cfg_zero")
    assert "holds images of another kind (guider._target_ was " in outcome.err


@pytest.mark.parametrize("guider", OPTIONS)
def test_every_guider_in_compare_and_eval_and_its_name_in_the_protocol(
    command, conditional, trained, guider
):
    options = [each.format(guide=trained) for each in OPTIONS[guider]]
    of = [f"ckpt={conditional}", f"guider={guider}", "guidance=2", *options]
    outcome = command("compare", *of, *FEW)
    assert outcome.code == 0, outcome.err
    assert "label      all, guidance 2" in outcome.out
    assert (", guider " in outcome.out) == (guider in ("apg", "cfg_zero", "interval"))
    outcome = command("evaluate", *of, *JUDGED)
    assert outcome.code == 0, outcome.err
    assert "| label all, guidance 2" in outcome.out


def test_without_a_label_what_measures_draws_the_classes_in_turn(command, conditional):
    assert "label      all, " in command("compare", f"ckpt={conditional}", *FEW).out
    assert "| label all | " in command("evaluate", f"ckpt={conditional}", *JUDGED).out
    without = command("compare", f"ckpt={conditional}", "label=null", *FEW).out
    assert "label      none, " in without
    assert "label all" not in without


def test_an_evaluation_of_before_goes_on_without_a_label(command, conditional):
    assert command("evaluate", f"ckpt={conditional}", "label=null", *JUDGED).code == 0
    outcome = command("evaluate", f"ckpt={conditional}", *JUDGED)
    assert outcome.code == 0, outcome.err
    assert "8 of 8 images are there" in outcome.out


def test_an_unconditional_model_is_measured_as_before(command, trained):
    for name, options in {"compare": FEW, "evaluate": JUDGED}.items():
        outcome = command(name, f"ckpt={trained}", *options)
        assert outcome.code == 0, outcome.err
        assert "label" not in outcome.out
        refused = command(name, f"ckpt={trained}", "guidance=2", *options)
        assert "guidance=2 needs label=CLASS or guide=CKPT" in refused.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["guider=apg"], "guider=apg has no effect at guidance=1; try guidance=2"),
        (["guider=autoguidance", "guidance=2"], "guider=autoguidance needs guide=CKPT, a weaker "),
        (["guider=cfg", "guidance=2", "guide={guide}"], "guider=cfg leads away from the model "),
        (["guider=best", "guidance=2"], "guider=best is not a choice; there are apg, "),
        (["guider=apg", "guidance=2", "guider.etta=1"], "guider.etta is not an option"),
        (["guider=apg", "guidance=2", "guider.limit=-1"], "guider.limit must be above 0, or null"),
        (["guidance=2", "guider.eta=1"], "guider is not an option; a command that draws takes it "),
        (
            ["guider=interval", "guider.low=0.3", "guidance=2", INTERVAL],
            "guidance_interval, and guider.low and guider.high, name the noise levels of guider=",
        ),
    ],
)
def test_guidance_without_effect_is_refused_in_one_line(
    command, conditional, trained, options, message
):
    typed = [each.format(guide=trained) for each in options]
    outcome = command("sample", f"ckpt={conditional}", "label=3", *typed)
    assert outcome.code == 1
    assert outcome.err.startswith("error: ")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("name", ["compare", "evaluate"])
def test_what_measures_refuses_the_same(command, conditional, name):
    outcome = command(name, f"ckpt={conditional}", "guider=apg", "hydra.run.dir=out")
    assert outcome.err == "error: guider=apg has no effect at guidance=1; try guidance=2\n"
    outcome = command(name, f"ckpt={conditional}", "guider=autoguidance", "guidance=2")
    assert outcome.err == "error: guider=autoguidance needs guide=CKPT, a weaker checkpoint\n"


def test_previews_and_metrics_of_samples_have_guidance(command, conditional):
    of = [*TINY, "model.conditional=true", "trainer.steps=2", "trainer.measures=[fd_pixels]"]
    outcome = command("train", *of, "previews.guidance=2", "guider=apg", "hydra.run.dir=guided")
    assert outcome.code == 0, outcome.err
    assert command("train", *of, "hydra.run.dir=plain").code == 0
    one, other = (Path(name, "samples/step_00000002.png") for name in ("guided", "plain"))
    assert one.read_bytes() != other.read_bytes()
    rows = [
        json.loads(Path(name, "metrics.jsonl").read_text().splitlines()[-1])
        for name in ("guided", "plain")
    ]
    assert rows[0]["loss"] == rows[1]["loss"]
    assert rows[0]["fd_pixels"] != rows[1]["fd_pixels"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["guider=apg"], "previews: guider=apg has no effect at guidance=1; try guidance=2"),
        (["previews.guidance=2"], "previews: guidance=2 needs label=CLASS or guide=CKPT"),
        (["previews.guidence=2"], "previews.guidence is not an option; "),
        (["previews.guide=none.pt", "previews.guidance=2"], "there is no checkpoint at 'none.pt'"),
    ],
)
def test_previews_refuse_what_images_refuse(command, options, message):
    outcome = command("train", *TINY, *options, "hydra.run.dir=refused")
    assert outcome.code == 1
    assert message in outcome.err


def test_a_run_with_guided_previews_is_trained_again_by_its_recipe(command):
    of = ["model.conditional=true", "previews.guidance=2", "guider=apg", "guider.eta=0.5"]
    assert command("train", *TINY, "trainer.steps=1", *of, "hydra.run.dir=first").code == 0
    again = command("train", "recipe=first", "hydra.run.dir=second")
    assert again.code == 0, again.err
    configs = [Path(name, ".hydra/config.yaml").read_text() for name in ("first", "second")]
    assert configs[0] == configs[1]
    assert (
        command(
            "train",
            *TINY,
            *of,
            "guider.eta=0",
            "trainer.steps=2",
            "resume=auto",
            "hydra.run.dir=first",
        ).code
        == 0
    )
