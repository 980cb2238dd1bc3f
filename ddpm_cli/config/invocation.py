"""The command that started a run, and the commands that follow from the run."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ddpm_cli.config.typed_length import LENGTHS
from ddpm_cli.config.values import path_override

OF_INIT = ("init=", "init_weights=")  # overrides that name the first weights
ONE_COMMAND = ("resume=", *OF_INIT, "trainer.stop_at=")  # that concern one command alone


@dataclass(frozen=True)
class Invocation:
    """The source of every printed command; each command runs as it is printed.

    folder: the folder that the run writes. folder_is_named: whether the user named it.
    overrides: the overrides of the configuration, as typed. config_dir: the user's own YAML files.
    trust: the user's own modules that targets name. sweep: the folder of the sweep that the run is
    a job of. swept: the options that the sweep varies.
    """

    folder: Path
    folder_is_named: bool = False
    overrides: Sequence[str] = ()
    config_dir: str | None = None
    trust: Sequence[str] = ()
    sweep: Path | None = None
    swept: Sequence[str] = ()

    def without_init(self) -> list[str]:
        """The overrides without the first weights, whose path stays on this machine."""
        return [each for each in self.overrides if not each.startswith(OF_INIT)]

    def train_command(self, overrides: Sequence[str]) -> str:
        """The command that trains with these overrides."""
        own = [] if self.config_dir is None else [f"--config-dir={self.config_dir}"]
        return shlex.join(["ddpm-train", *own, *overrides])

    def resume_command(self) -> str:
        """The command that resumes the training run."""
        again = [each for each in self.overrides if not each.startswith(ONE_COMMAND)]
        return self.train_command(
            [*again, path_override("hydra.run.dir", self.folder), "resume=auto"]
        )

    def longer_command(self, steps: int) -> str:
        """The command that trains a complete run on, to so many steps in all."""
        return self.with_length(f"trainer.steps={steps}").resume_command()

    def with_length(self, length: str) -> "Invocation":
        """The invocation with another length, in place of the one that is typed."""
        typed = [each for each in self.overrides if each.partition("=")[0] not in LENGTHS]
        return replace(self, overrides=[*typed, length])

    def sweep_command(self, hydra: Sequence[str]) -> str:
        """The command that begins a sweep anew. hydra: the overrides of Hydra's configuration."""
        return self.train_command(["-m", *self.overrides, *hydra])

    def resume_sweep_command(self, *, trusted: bool) -> str:
        """The command that resumes a sweep. trusted: whether the sweep needs trust."""
        resume = path_override("resume", self.folder)
        return shlex.join(["ddpm-sweep", resume, *["trust=true"] * trusted])

    def sample_command(self, checkpoint: Path) -> str:
        """The command that samples from a checkpoint."""
        return shlex.join(["ddpm-sample", path_override("ckpt", checkpoint), *self.trusted])

    @property
    def trusted(self) -> list[str]:
        """The override that trusts the user's own modules, if there are any."""
        return [f"trust=[{','.join(self.trust)}]"] if self.trust else []
