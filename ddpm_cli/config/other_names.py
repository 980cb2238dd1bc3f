"""The names that papers and other programs have for options and their values."""

from collections.abc import Collection, Mapping

OPTIONS: Mapping[str, str] = {  # of several, the first that a command has is meant
    **{"learning_rate": "lr", "dataset": "data", "width": "dim"},
    **dict.fromkeys(("image_size", "resolution"), "size"),
    **dict.fromkeys(("iterations", "num_steps", "train_steps", "max_steps"), "steps"),
    **dict.fromkeys(
        ("timesteps", "num_timesteps", "diffusion_steps", "num_train_timesteps"),
        "schedule.steps sampler.steps",
    ),
    **dict.fromkeys(("num_inference_steps", "sampling_timesteps"), "sampler.steps steps"),
    **dict.fromkeys(("num_epochs", "max_epochs"), "epochs"),
    **dict.fromkeys(("checkpoint", "model_path", "weights_path"), "ckpt"),
    **dict.fromkeys(("num_samples", "num_images", "n_samples"), "samples n"),
    **dict.fromkeys(("out", "outdir", "output", "out_dir", "output_dir"), "hydra.run.dir"),
    **dict.fromkeys(("data_dir", "dataset_path", "data_path"), "path"),
    **dict.fromkeys(("ema_decay", "ema_rate"), "trainer.ema"),
    **dict.fromkeys(("cfg", "guidance_scale", "cfg_scale"), "guidance"),
}
PRECISIONS = {"float16": "fp16", "half": "fp16", "bfloat16": "bf16", "float32": "fp32"}
VALUES: Mapping[str, Mapping[str, str]] = {
    "sampler": {
        **{"ddpm": "ancestral", "euler_ancestral": "ancestral", "euler": "ddim"},
        **dict.fromkeys(("dpm++", "dpm_solver", "dpmsolver"), "dpmpp_2m"),
    },
    "loss": {"mse": "l2", "mae": "l1"},
    "model.predicts": {
        **dict.fromkeys(("epsilon", "noise"), "eps"),
        **dict.fromkeys(("x_0", "sample", "x_start"), "x0"),
        **dict.fromkeys(("v_prediction", "velocity"), "v"),
    },
    "metrics": {
        **{"bpd": "nll", "likelihood": "nll", "inception_score": "is"},
        **dict.fromkeys(("precision", "recall", "precision_recall"), "prc"),
        **dict.fromkeys(("density", "coverage", "density_coverage", "prdc"), "dc"),
        **dict.fromkeys(("spatial_fid", "s_fid", "fid_spatial"), "sfid"),
        **dict.fromkeys(("clip_mmd", "mmd", "cmmd_clip"), "cmmd"),
        **dict.fromkeys(("fdd", "dino", "dinov2", "fd_dino", "fid_dinov2"), "fd_dinov2"),
    },
    "precision": PRECISIONS,
    "trainer.precision": PRECISIONS,
}


def meant_option(name: str, known: Collection[str]) -> str:
    """The option that another program's name stands for, among those that are known; else ''."""
    return next((each for each in OPTIONS.get(name, "").split() if each in known), "")


def meant_value(option: str, value: object, known: Collection[object]) -> str:
    """The value that another name or other capitals stand for, if it is known; else ''."""
    text = str(value).lower()
    meant = VALUES.get(option, {}).get(text, text)
    return meant if meant in known else ""
