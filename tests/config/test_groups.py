"""Every YAML file agrees with its target's signature, and every choice with its group."""

from contextlib import suppress
from itertools import product
from pkgutil import resolve_name

import pytest
import torch
from omegaconf import OmegaConf
from problems import Answer, constant_oracle

from ddpm_cli import config
from ddpm_cli.commands.compare.options import Options as CompareOptions
from ddpm_cli.commands.data.command import Options as DataOptions
from ddpm_cli.commands.ema import Options as EmaOptions
from ddpm_cli.commands.evaluate.options import Options as EvalOptions
from ddpm_cli.commands.export.command import Options as ExportOptions
from ddpm_cli.commands.importing.command import Options as ImportOptions
from ddpm_cli.commands.plot import Options as PlotOptions
from ddpm_cli.commands.report import Options as ReportOptions
from ddpm_cli.commands.sample.command import Options as SampleOptions
from ddpm_cli.commands.sweep.command import Options as SweepOptions
from ddpm_cli.commands.train.command import Options as TrainOptions
from ddpm_cli.commands.tune.options import Options as TuneOptions
from ddpm_cli.components import build_diffusion, build_loss, build_time_sampler
from ddpm_cli.config.build import target_of
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.generation.options import STEERING, GenerationOptions, shared_options
from ddpm_cli.guiders import beside_guide
from ddpm_cli.loading import Batch
from ddpm_cli.recipes.changes import LATER
from ddpm_cli.samplers import Grid
from ddpm_cli.schedules import cosine
from ddpm_cli.seeds import Purpose
from ddpm_cli.train_times import History
from ddpm_cli.training.noising import keyed_uniforms, noise_batch

GROUPS = ("model", "schedule", "data", "loss", "train_times", "trainer", "sampler", "guider")
ALWAYS = GROUPS[:-1]  # of which a run has a choice
CHOICES = [
    (group, path.stem)
    for group in GROUPS
    for path in sorted((config.CONFIG_DIR / group).glob("*.yaml"))
]
FEATURES = [
    ("features", path.stem) for path in sorted((config.CONFIG_DIR / "features").glob("*.yaml"))
]
SURFACE = {
    "seed resume init init_weights auto trust",
    "previews.label previews.guidance previews.guidance_interval previews.guide",
    "previews.threshold previews.quantile",
    "trainer.loggers logger.tensorboard.images logger.wandb.project",
    "logger.wandb.name logger.wandb.mode logger.wandb.images logger.mlflow.project",
    "logger.mlflow.name logger.mlflow.uri logger.mlflow.images logger.trackio.project",
    "logger.trackio.name logger.trackio.folder logger.trackio.images",
    "model.predicts model.variance model.conditional model.time_scale model.network.attention_at",
    "model.network.block model.network.dim model.network.dim_mults model.network.groups",
    "model.network.convnext_mult model.network.heads model.network.head_dim model.network.dropout",
    "data.size data.channels data.flip data.holdout data.crop data.margin data.cache data.on_error",
    "data.range",
    "trainer.device trainer.parallel trainer.steps trainer.epochs trainer.stop_at",
    "trainer.batch_size trainer.lr_schedule trainer.warmup trainer.grad_clip trainer.ema",
    "trainer.ema_lengths trainer.ema_every",
    "trainer.log_every trainer.sample_every trainer.checkpoint_every trainer.keep_last",
    "trainer.keep_every trainer.bad_steps trainer.microbatch trainer.processes trainer.workers",
    "trainer.precision trainer.compile trainer.activation_checkpointing trainer.minutes",
    "trainer.deterministic trainer.graphs trainer.parameter_groups trainer.freeze",
    "trainer.label_dropout trainer.offset_noise trainer.input_perturbation trainer.evaluate_every",
    "trainer.measures trainer.measure_every trainer.measure_images trainer.best",
    "trainer.optimizer.lr trainer.optimizer.betas",
    "trainer.optimizer.weight_decay trainer.optimizer.fused",
    "schedule.steps schedule.offset schedule.max_beta schedule.zero_snr",
    "sampler.steps sampler.spacing sampler.eta",
}


DIFFUSION = GaussianDiffusion.from_betas(cosine())
ALL_LOGGERS = "trainer.loggers=[tensorboard,wandb,mlflow,trackio]"


def named(group):
    return [choice for name, choice in CHOICES if name == group]


def options(node, prefix=""):
    nested = {
        key: options(value, f"{prefix}{key}.")
        for key, value in node.items()
        if isinstance(value, dict)
    }
    flat = {
        f"{prefix}{key}"
        for key, value in node.items()
        if not isinstance(value, dict) and key != "_target_"
    }
    return flat.union(*nested.values())


@pytest.mark.parametrize(("group", "choice"), [*CHOICES, *FEATURES])
def test_a_yaml_file_names_every_option_of_its_target_and_no_other(composed, group, choice):
    cfg = composed("compare" if group == "features" else "train", f"{group}={choice}")
    node = OmegaConf.to_container(cfg[group])
    target = set(config.options_of(target_of(cfg, group)))
    shared = (
        set(config.options_of(resolve_name(config.GROUP_OPTIONS[group])))
        if group in config.GROUP_OPTIONS
        else set()
    )
    nested = {key for key in node if isinstance(node[key], dict)}
    assert set(node) - nested - {"_target_"} == target | shared


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_passes_its_check(composed, group, choice):
    cfg = composed("train", f"{group}={choice}")
    for node in (cfg.data, cfg.schedule):
        node.update(
            {
                key: {"betas": [0.1], "paths": ["there"]}.get(key, "there")
                for key in node
                if OmegaConf.is_missing(node, key)
            }
        )
    config.parse_options(cfg, TrainOptions, groups=[*dict.fromkeys([*ALWAYS, group])])


@pytest.mark.parametrize(
    "experiment", [path.stem for path in (config.CONFIG_DIR / "experiment").glob("*.yaml")]
)
def test_every_experiment_composes(composed, experiment):
    cfg = composed("train", f"+experiment={experiment}")
    cfg.data.update({key: "there" for key in cfg.data if OmegaConf.is_missing(cfg.data, key)})
    config.parse_options(cfg, TrainOptions, groups=ALWAYS)


def test_the_surface_of_ddpm_train_is_frozen(composed):
    expected = {name for line in SURFACE for name in line.split()}
    assert options(OmegaConf.to_container(composed("train", ALL_LOGGERS))) == expected


def test_the_surface_of_ddpm_sample_is_frozen(composed):
    own = {*config.options_of(SampleOptions), *config.options_of(GenerationOptions)}
    expected = {
        *"ckpt n indices batch seed weights device processes grid png npz film trust".split(),
        *"precision compile label guidance guidance_interval guide".split(),
        *"threshold quantile start strength inpaint mask resample interpolate tuned".split(),
    }
    assert own == expected
    assert options(OmegaConf.to_container(composed("sample"))) == expected | {
        "sampler.steps",
        "sampler.spacing",
        "sampler.eta",
    }


def test_the_surface_of_ddpm_compare_is_frozen(composed):
    own = {*config.options_of(CompareOptions), *STEERING}
    assert own == {
        *"ckpt samplers steps n batch seed weights device columns trust".split(),
        *"label guidance guidance_interval guide threshold quantile".split(),
    }
    assert options(OmegaConf.to_container(composed("compare"))) == own | {"features.side"}


def test_the_surface_of_ddpm_tune_is_frozen(composed):
    own = {*config.options_of(TuneOptions), "label", "threshold", "quantile"}
    assert own == {
        *"run lengths guidance guiders intervals samplers steps measure n budget".split(),
        *"batch seed label guide threshold quantile device columns trust".split(),
    }
    assert options(OmegaConf.to_container(composed("tune"))) == own


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("sample", [SampleOptions, GenerationOptions]),
        ("eval", [EvalOptions, GenerationOptions]),
        ("compare", [GenerationOptions]),
    ],
)
def test_defaults_in_python_are_those_of_the_files(composed, name, kinds):
    cfg = OmegaConf.to_container(composed(name))
    parameters = {each: one for kind in kinds for each, one in config.options_of(kind).items()}
    defaults = {each: one.default for each, one in parameters.items() if one.default != one.empty}
    shared = defaults.keys() & cfg.keys() - {"label"}
    assert {each: cfg[each] for each in shared} == {each: defaults[each] for each in shared}


def test_what_measures_draws_the_classes_in_turn_and_ddpm_sample_what_it_is_told(composed):
    labels = {name: composed(name).label for name in ("sample", "eval", "compare")}
    assert labels == {"sample": None, "eval": "auto", "compare": "auto"}
    assert composed("train").previews.label == "auto"


def test_previews_have_the_options_of_images_of_every_command(composed):
    previews = OmegaConf.to_container(composed("train").previews)
    assert set(previews) == set(STEERING)
    assert previews == {
        "label": "auto",
        **{each: composed("sample")[each] for each in STEERING[1:]},
    }
    assert previews == LATER["previews"]


def test_the_surface_of_ddpm_plot_is_frozen(composed):
    own = set(config.options_of(PlotOptions))
    assert own == set("runs metrics out smooth x".split())
    assert options(OmegaConf.to_container(composed("plot"))) == own


def test_the_surface_of_ddpm_eval_is_frozen(composed):
    own = {*config.options_of(EvalOptions), *STEERING, "precision"}
    assert own == {
        *"samples generated png label guidance guidance_interval guide threshold quantile".split(),
        *"precision reference ckpt metrics nll nll_cdf nll_steps images n batch seed".split(),
        *"weights device processes trust".split(),
    }
    assert options(OmegaConf.to_container(composed("eval"))) == own | {
        "sampler.steps",
        "sampler.spacing",
        "sampler.eta",
    }


def test_the_surfaces_of_ddpm_import_and_ddpm_export_are_frozen(composed):
    own = set("out size classes source licence".split())
    assert set(config.options_of(ImportOptions)) == own
    assert options(OmegaConf.to_container(composed("import"))) == own | {"from"}
    own = set("ckpt out to weights push private licence trust".split())
    assert set(config.options_of(ExportOptions)) == own
    assert options(OmegaConf.to_container(composed("export"))) == own


def test_the_surface_of_ddpm_sweep_is_frozen(composed):
    own = set(config.options_of(SweepOptions))
    assert own == set("resume show metric trust".split())
    assert options(OmegaConf.to_container(composed("sweep"))) == own


def test_the_surface_of_ddpm_data_is_frozen(composed):
    shared = {name for line in SURFACE for name in line.split() if name.startswith("data.")}
    assert set(config.options_of(DataOptions)) == {"trust"}
    assert options(OmegaConf.to_container(composed("data"))) == {"trust"} | shared


def test_the_surface_of_ddpm_report_is_frozen(composed):
    own = set(config.options_of(ReportOptions))
    assert own == set("run device trust".split())
    assert options(OmegaConf.to_container(composed("report"))) == own


def test_the_surface_of_ddpm_ema_is_frozen(composed):
    own = set(config.options_of(EmaOptions))
    assert own == set("run length at out".split())
    assert options(OmegaConf.to_container(composed("ema"))) == own


ABSENT = {
    "inception": [ValueError],
    "dinov2": [ValueError],
    "clip": [ValueError],
}  # where their weights are not on disk


@pytest.mark.parametrize(("group", "choice"), FEATURES)
def test_all_features_are_rows_of_numbers(composed, group, choice):
    cfg = composed("compare", f"{group}={choice}", "ckpt=there")
    config.parse_options(cfg, CompareOptions, groups=[group], beside=shared_options(*STEERING))
    with suppress(*ABSENT.get(choice, [])):
        found = config.build(cfg, group, torch.device("cpu")).extract(
            torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
        )
        assert found.shape[0] == 3
        assert found.ndim == 2


GIVEN = {"listed": {"quantity": "betas"}, "numbers": {"betas": [0.01] * 1000}}


@pytest.fixture
def file_of_numbers(tmp_path):
    """A file for the schedule that reads one."""
    path = tmp_path / "betas.txt"
    path.write_text("\n".join(["0.01"] * 1000))
    return path


@pytest.mark.parametrize(("zero_snr", "last"), [("false", 1e-3), ("true", 0.0)])
@pytest.mark.parametrize("choice", named("schedule"))
def test_every_schedule_is_a_process_that_ends_in_noise(
    composed, file_of_numbers, choice, zero_snr, last
):
    cfg = composed("train", f"schedule={choice}", f"schedule.zero_snr={zero_snr}")
    cfg.schedule.update(
        GIVEN.get(choice, {}) | ({"path": str(file_of_numbers)} if choice == "listed" else {})
    )
    diffusion = build_diffusion(cfg)
    assert diffusion.steps == 1000
    assert (diffusion.alpha_bar.diff() < 0).all()
    assert diffusion.alpha_bar[-1] <= last


TRANSFORMS = [{}, {"offset_noise": 0.1}, {"input_perturbation": 0.1}]
IMAGES = Batch(
    torch.randint(
        0, 256, (32, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    ),
    None,
    torch.arange(32),
)


def oracles(diffusion, predicts, batch):
    """Denoisers that know the batch's noise, with a fixed variance and with the posterior's."""
    target = Denoiser(diffusion, Answer(None), predicts=predicts).target(
        batch.x0, batch.eps, batch.t
    )
    both = torch.cat([target, -torch.ones_like(target)], dim=1)
    yield Denoiser(diffusion, Answer(target), predicts=predicts)
    yield Denoiser(diffusion, Answer(both), predicts=predicts, variance="learned")


def losses_of(loss, denoisers, batch):
    """The losses of those denoisers that a loss accepts."""
    found = []
    for denoiser in denoisers:
        with suppress(ValueError):
            found.append(loss(denoiser, batch))
    return found


@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
@pytest.mark.parametrize("choice", named("loss"))
def test_an_oracle_that_knows_the_noise_has_no_loss(composed, choice, predicts):
    cfg = composed("train", f"loss={choice}")
    diffusion = build_diffusion(cfg)
    u, history = keyed_uniforms(0, Purpose.TIMES, 0, len(IMAGES.images)), History(diffusion, 1)
    draws = [
        build_time_sampler(composed("train", f"train_times={name}"), diffusion)(u, history)
        for name in named("train_times")
    ]
    for drawn, transform in product(draws, TRANSFORMS):
        batch = noise_batch(
            Denoiser(diffusion, Answer(None)),
            IMAGES,
            0,
            0,
            torch.device("cpu"),
            times=drawn,
            **transform,
        )
        values = losses_of(build_loss(cfg), oracles(diffusion, predicts, batch), batch)
        assert values or (choice in ("vlb", "hybrid") and batch.perturbed)
        assert all((value[batch.t > 1].abs() < 1e-6).all() for value in values)


@pytest.mark.parametrize("zero_snr", ["false", "true"])
@pytest.mark.parametrize("steps", [1, 7, 50])
@pytest.mark.parametrize("choice", named("sampler"))
def test_every_sampler_returns_what_an_oracle_is_sure_of(composed, choice, steps, zero_snr):
    cfg = composed(
        "train", f"sampler={choice}", f"sampler.steps={steps}", f"schedule.zero_snr={zero_snr}"
    )
    diffusion = build_diffusion(cfg)
    x0 = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    times, still = config.bind_options(Grid, cfg.sampler)().times(diffusion), torch.zeros_like(x0)
    *_, images = config.bind(cfg, "sampler")(
        constant_oracle(x0), diffusion, still, times, lambda like: 3 * torch.ones_like(like)
    )
    torch.testing.assert_close(images, x0)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("choice", named("guider"))
def test_every_guider_agrees_with_two_models_that_agree(composed, choice, scale):
    guider = config.bind(composed("train", f"guider={choice}"), "guider")
    x0, x_t = torch.randn(2, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    same = beside_guide(constant_oracle(x0), constant_oracle(x0))
    guided = guider(same, scale, DIFFUSION)(x_t, 500)
    torch.testing.assert_close(guided.x0, x0, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("choice", named("guider"))
def test_every_guider_is_the_stronger_model_at_scale_one(composed, choice):
    guider = config.bind(composed("train", f"guider={choice}"), "guider")
    x0, other, x_t = torch.randn(3, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    models = beside_guide(constant_oracle(x0), constant_oracle(other))
    guided = guider(models, 1.0, DIFFUSION)(x_t, 500)
    torch.testing.assert_close(guided.x0, x0, rtol=1e-4, atol=1e-5)
