"""The schedulers of diffusers, and the schedule, parameterisation and variance that they mean."""

from typing import Any, Literal

from omegaconf import DictConfig

from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.foreign.json_fields import JsonFields
from ddpm_cli.schedules import MOST, linear, quadratic, sigmoid
from ddpm_cli.shapes import Betas

SCHEDULER_CLASSES = (  # with equal defaults, whose times are 0 to T - 1
    *("DDPMScheduler", "DDIMScheduler", "PNDMScheduler", "UniPCMultistepScheduler"),
    *("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "DEISMultistepScheduler"),
)
BY_ENDS = {"linear": linear, "scaled_linear": quadratic, "sigmoid": sigmoid}
COSINE = "squaredcos_cap_v2"
PREDICTIONS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}
VARIANCES = {
    "fixed_small": "small",
    "fixed_small_log": "small",
    "fixed_large": "large",
    "learned_range": "learned",
}
OF_SCHEDULES = "ddpm_cli.schedules."
SIGMOID_WIDTH = 6.0


def schedule_of(config: JsonFields) -> dict[str, Any]:
    """The schedule of a scheduler as a node of a configuration. Raises ValueError."""
    config.get("_class_name", Literal[SCHEDULER_CLASSES], None)
    zero_snr = config.get("rescale_betas_zero_snr", bool, False)
    betas = config.get("trained_betas", list[float] | None, None)
    if betas is not None and not 2 <= len(betas) <= MOST:
        rule = f"trained_betas must be 2 to {MOST:,} numbers, but are {len(betas):,}"
        raise ValueError(f"{config.file}: {rule}")
    if betas is not None:
        return {"_target_": f"{OF_SCHEDULES}numbers", "betas": betas, "zero_snr": zero_snr}
    steps = config.get("num_train_timesteps", int, 1000)
    name = config.get("beta_schedule", Literal[(*BY_ENDS, COSINE)], "linear")
    if name == COSINE:
        options: dict[str, Any] = {"offset": 0.008, "max_beta": 0.999}
        return {
            "_target_": f"{OF_SCHEDULES}cosine",
            "steps": steps,
            **options,
            "zero_snr": zero_snr,
        }
    ends = {
        "first": config.get("beta_start", float, 0.0001) * steps / 1000,
        "last": config.get("beta_end", float, 0.02) * steps / 1000,
    }
    width = {"width": SIGMOID_WIDTH} if name == "sigmoid" else {}
    target = f"{OF_SCHEDULES}{BY_ENDS[name].__name__}"
    return {"_target_": target, "steps": steps, **ends, **width, "zero_snr": zero_snr}


def meaning_of(config: JsonFields) -> dict[str, str]:
    """What a network of a scheduler predicts, and the variance of its steps. Raises ValueError."""
    prediction = config.get("prediction_type", Literal[tuple(PREDICTIONS)], "epsilon")
    variance = config.get("variance_type", Literal[(None, *VARIANCES)], "fixed_small")
    return {"predicts": PREDICTIONS[prediction], "variance": VARIANCES[variance or "fixed_small"]}


def limits_of(config: JsonFields) -> str:
    """How a scheduler limits x_0 if not as `ddpm-sample` does by default, in words; else "".

    Its dynamic threshold is at most sample_max_value; with 1, its default, x_0 is clipped as ours.
    """
    as_ours = "its scheduler limits x_0 as ddpm-sample"
    if config.get("thresholding", bool, False):
        quantile = config.get("dynamic_thresholding_ratio", float, 0.995)
        most = config.get("sample_max_value", float, 1.0)
        dynamic = f"{as_ours} threshold=dynamic quantile={quantile} does"
        unlike = f"but at {most:g} at the most (sample_max_value), which has no option here"
        return "" if most == 1 else f"{dynamic}, {unlike}"
    if not config.get("clip_sample", bool, True):
        return f"{as_ours} threshold=none does"
    most = config.get("clip_sample_range", float, 1.0)
    clip = f"its scheduler clips x_0 to {most:g} (clip_sample_range), which has no option here"
    return "" if most == 1 else clip


def scheduler_config(model: DictConfig, diffusion: GaussianDiffusion) -> dict[str, Any]:
    """The configuration of a DDPMScheduler for a model's configuration and its process."""
    predictions = {ours: theirs for theirs, ours in PREDICTIONS.items()}
    variances = {ours: theirs for theirs, ours in [*VARIANCES.items()][::-1]}
    return {
        "_class_name": "DDPMScheduler",
        "num_train_timesteps": diffusion.steps,
        **betas_config(model, diffusion),
        "prediction_type": predictions[model.model.predicts],
        "variance_type": variances[model.model.variance],
        "clip_sample": True,
        "timestep_spacing": "trailing",
    }


def betas_config(model: DictConfig, diffusion: GaussianDiffusion) -> dict[str, Any]:
    """The betas of a process by a name that diffusers knows, or else as numbers."""
    options = dict(model.schedule)
    zero_snr = bool(options.pop("zero_snr", False))
    name = str(options.pop("_target_")).removeprefix(OF_SCHEDULES)
    names = {function.__name__: theirs for theirs, function in BY_ENDS.items()}
    if name in names and options.pop("width", SIGMOID_WIDTH) == SIGMOID_WIDTH:
        ends = {
            theirs: options[ours] * 1000 / diffusion.steps
            for theirs, ours in (("beta_start", "first"), ("beta_end", "last"))
        }
        return {"beta_schedule": names[name], **ends, "rescale_betas_zero_snr": zero_snr}
    if (name, options.get("offset"), options.get("max_beta")) == ("cosine", 0.008, 0.999):
        return {"beta_schedule": COSINE, "rescale_betas_zero_snr": zero_snr}
    if name == "numbers":
        return {"trained_betas": list(options["betas"]), "rescale_betas_zero_snr": zero_snr}
    return {"trained_betas": betas_of_process(diffusion).tolist()}


def betas_of_process(diffusion: GaussianDiffusion) -> Betas:
    """beta_1..beta_T of a process."""
    return 1 - diffusion.alpha_bar[1:] / diffusion.alpha_bar[:-1]
