"""Plugins of Hydra, which are extras of the package: launchers and sweepers."""

from collections.abc import Sequence
from functools import reduce
from importlib.util import find_spec

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

EXTRAS = {  # plugins of Hydra, which are extras of the package with configurations of our own
    "hydra/launcher=joblib": "joblib",
    "hydra/launcher=submitit_local": "submitit",
    "hydra/launcher=submitit_slurm": "submitit",
    "hydra/sweeper=optuna": "optuna",
    "hydra/sweeper/sampler=tpe": "optuna",
}


def plug_in(arguments: Sequence[str]) -> None:
    """Replace the plugins' own configurations by our files of the same names.

    Raises ValueError for an argument whose plugin is not installed.
    """
    Plugins.instance()  # imports all installed plugins
    for choice, extra in EXTRAS.items():
        *groups, name = choice.replace("=", "/").split("/")
        there = reduce(lambda node, group: node.get(group, {}), groups, ConfigStore.instance().repo)
        there.pop(f"{name}.yaml", None)  # Hydra would take it for the schema of our file
        kind = "sweeper" if extra == "optuna" else "launcher"
        plugin = f"hydra_plugins.hydra_{extra}_{kind}"
        if choice in arguments and not (find_spec("hydra_plugins") and find_spec(plugin)):
            raise ValueError(
                f"{choice} needs a plugin that is not installed: "
                f"in the clone, pip install '.[{extra}]'"
            )
