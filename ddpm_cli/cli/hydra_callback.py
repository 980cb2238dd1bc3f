"""A callback of Hydra that expands ~ and refuses launchers that cannot launch."""

import shutil
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config import path_override
from ddpm_cli.config.process_limit import check_processes
from ddpm_cli.files import user_path


class BeforeLaunch(Callback):
    """The callback of all commands, before Hydra makes a folder or launches a job.

    A refusal is a SystemExit, because Hydra only warns of other errors.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Expand ~ in the folder of the run."""
        expand_home(config, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Expand ~ in the folder of the sweep, and refuse a launcher that cannot launch."""
        expand_home(config, "hydra.sweep.dir")
        check_launcher(config.hydra.launcher)


def register_callback() -> None:
    """Add the callback to the configuration of Hydra that all commands share."""
    node = ConfigStore.instance().repo["hydra"]["config.yaml"].node
    OmegaConf.update(node, "callbacks.before_launch._target_", f"{__name__}.BeforeLaunch")


def expand_home(config: DictConfig, key: str) -> None:
    """Expand ~ in a folder of Hydra, also for the jobs of a sweep, which compose anew."""
    text = str(OmegaConf.select(config, key, throw_on_resolution_failure=False))
    if not text.startswith("~"):
        return
    folder = user_path(text)
    if str(folder).startswith("~"):
        raise SystemExit(f"error: {key} must name a home folder that is there, but is {text!r}")
    OmegaConf.update(config, key, str(folder))
    config.hydra.overrides.hydra.append(path_override(key, folder))


def check_launcher(launcher: DictConfig) -> None:
    """Refuse SLURM where it is not installed, and more processes than the machine can hold."""
    if launcher._target_.endswith(".SlurmLauncher") and shutil.which("sbatch") is None:
        raise SystemExit(
            "error: hydra/launcher=submitit_slurm needs SLURM, but there is no sbatch here: start "
            "it where sbatch is, or use hydra/launcher=submitit_local or hydra/launcher=joblib"
        )
    counts = {name: launcher.get(name) for name in ("n_jobs", "tasks_per_node")}
    try:
        for name, count in counts.items():
            check_processes(f"hydra.launcher.{name}", count if isinstance(count, int) else 1)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
