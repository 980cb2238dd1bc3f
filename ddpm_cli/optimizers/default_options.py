"""The options of the default optimizer, which another optimizer need not have."""

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf, open_dict

from ddpm_cli.config.build import CONFIG_DIR, options_of, target_of

KEY = "trainer.optimizer"


def drop_defaults(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Drop default options of the optimizer that the chosen one lacks, unless the user names them.

    So `trainer.optimizer._target_=NAME` alone chooses an optimizer without `fused` or `betas`.
    """
    node = OmegaConf.select(cfg, KEY, default=None)
    defaults = OmegaConf.load(CONFIG_DIR / "trainer" / "single.yaml").optimizer
    if not isinstance(node, DictConfig) or node.get("_target_") == defaults["_target_"]:
        return
    own, names = options_of(target_of(cfg, KEY)), {each.partition("=")[0] for each in overrides}
    with open_dict(node):
        for name in defaults:
            option = f"{KEY}.{name}"
            is_default = name in node and node[name] == defaults[name]
            if name not in own and name != "_target_" and is_default and option not in names:
                del node[name]
