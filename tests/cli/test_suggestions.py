"""The names of papers and other programs, each with the option or value that is meant."""

import pytest

from ddpm_cli.api.sampling import sample_config
from ddpm_cli.cli.suggestions import meant_override, near_choice


@pytest.mark.parametrize(
    ("config", "key", "meant"),
    [
        ("train", "trainer.ema_decay", "trainer.ema"),
        ("train", "ema_decay", "trainer.ema"),
        ("train", "timesteps", "schedule.steps"),
        ("train", "num_timesteps", "schedule.steps"),
        ("train", "diffusion_steps", "schedule.steps"),
        ("sample", "timesteps", "sampler.steps"),
        ("sample", "num_samples", "n"),
        ("eval", "num_samples", "samples"),
        ("sample", "cfg", "guidance"),
        ("eval", "guidance_scale", "guidance"),
        ("compare", "cfg_scale", "guidance"),
    ],
)
def test_an_option_of_other_programs_is_known(config, key, meant):
    assert meant_override(config, key, "3") == f"{meant}=3"


@pytest.mark.parametrize(
    ("group", "choice", "known", "meant"),
    [
        ("sampler", "ddpm", ["ancestral", "ddim"], "ancestral"),
        ("sampler", "euler", ["ancestral", "ddim", "heun"], "ddim"),
        ("loss", "mse", ["l1", "l2", "p2"], "l2"),
        ("loss", "MAE", ["l1", "l2", "p2"], "l1"),
    ],
)
def test_a_choice_of_other_programs_is_known(group, choice, known, meant):
    assert near_choice(group, choice, known) == f"{group}={meant}"


@pytest.mark.parametrize(
    ("value", "meant"),
    [("epsilon", "eps"), ("x_0", "x0"), ("sample", "x0"), ("v_prediction", "v"), ("EPS", "eps")],
)
def test_a_parameterisation_of_other_programs_is_known(command, value, meant):
    told = command("train", f"model.predicts={value}").err
    assert told.endswith(f"; did you mean model.predicts={meant}?\n")


@pytest.mark.parametrize(("metric", "meant"), [("FID", "fid"), ("bpd", "nll"), ("recall", "prc")])
def test_a_metric_of_other_programs_is_known(command, trained, metric, meant):
    outcome = command("evaluate", f"ckpt={trained}", f"metrics=[{metric}]")
    assert outcome.err.endswith(f"but one is '{metric}'; did you mean {meant}?\n")


@pytest.mark.parametrize("name", ["cfg", "guidance_scale"])
def test_another_name_is_known_from_python(name):
    with pytest.raises(ValueError, match=f"{name} is not an option .* did you mean guidance?"):
        sample_config("ddim", None, {name: 2})
