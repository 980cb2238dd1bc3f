"""The guider of a generator: named by a configuration, or implied by its options."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.build import bind, bind_options, options_of
from ddpm_cli.config.schema import check_values
from ddpm_cli.generation.options import STEERING, GenerationOptions, options_text, shared_options
from ddpm_cli.guiders import Guider, interval, limited_to

ROOM = "ddpm_cli.guiders."
CFG, AUTOGUIDANCE, INTERVAL = (f"{ROOM}{name}" for name in ("cfg", "autoguidance", "interval"))
Node = Mapping[str, Any]


def implied_guider(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """The node of the guider that plain options imply; None without guidance.

    A guide implies autoguidance, an interval alone implies guidance in it. options: by name;
    `samples.json` names a guide by its hash too.
    """
    ends = options.get("guidance_interval")
    if options.get("guidance", 1) == 1:
        return None
    if any(options.get(name) is not None for name in ("guide", "guide (sha256)")):
        return {"_target_": AUTOGUIDANCE}
    return {"_target_": CFG} if ends is None else interval_node(ends)


def interval_node(ends: list[float]) -> dict[str, Any]:
    """The node of guidance between two noise levels."""
    return {"_target_": INTERVAL, "low": float(ends[0]), "high": float(ends[1])}


def guider_node(cfg: DictConfig, options: GenerationOptions) -> dict[str, Any] | None:
    """The node `guider` of a configuration, checked against the options; else the implied one.

    Raises ValueError if the guider has no effect, or lacks what it needs.
    """
    given: Any = OmegaConf.to_container(cfg.guider, resolve=True) if cfg.get("guider") else None
    if given is None:
        return implied_guider(vars(options))
    target, ends = given["_target_"], options.guidance_interval
    name = f"guider={target.removeprefix(ROOM)}"
    if options.guidance == 1:
        raise ValueError(f"{name} has no effect at guidance=1; try guidance=2")
    if target == CFG and options.guide is not None:
        others = "guider=autoguidance, interval, apg and cfg_zero lead away from guide"
        raise ValueError(f"{name} leads away from the model without a label; {others}")
    if target == AUTOGUIDANCE and options.guide is None:
        raise ValueError(f"{name} needs guide=CKPT, a weaker checkpoint")
    if target != INTERVAL or ends is None:
        return dict(given)
    own = {each: option.default for each, option in options_of(interval).items()}
    if any(given.get(each) not in (own[each], end) for each, end in zip(own, ends, strict=True)):
        both = "guidance_interval, and guider.low and guider.high, name the noise levels"
        raise ValueError(f"{both} of {name}; give one of the two")
    return interval_node(ends)


def preview_options(cfg: DictConfig, conditional: bool | None = None) -> GenerationOptions:
    """The options of the samples that a training run shows and measures: its node `previews`.

    conditional: whether the model has classes, if that is known; label=auto is then resolved.
    Raises ValueError if one of them, or the guider beside them, cannot be followed.
    """
    check_values(cfg.previews, "previews.", shared_options(*STEERING), ())
    try:
        options = bind_options(GenerationOptions, cfg.previews)(seed=cfg.seed)
        guider_node(cfg, options)
        return options if conditional is None else options.of_model(conditional)
    except ValueError as error:
        raise ValueError(f"previews: {error}") from error


def build_guider(node: Node | None, options: GenerationOptions, trust: list[str]) -> Guider | None:
    """The guider of a node, limited to the noise levels of the options; None without guidance."""
    if node is None:
        return None
    guider: Guider = bind(OmegaConf.create({"guider": dict(node), "trust": trust}), "guider")
    ends = options.guidance_interval
    return guider if ends is None or node["_target_"] == INTERVAL else limited_to(guider, ends)


def guider_text(node: Node | None, options: Mapping[str, Any]) -> str:
    """A guider and its options in words; "" for the guider that the other options imply."""
    if node is None or dict(node) == implied_guider(options):
        return ""
    own = options_text({name: value for name, value in node.items() if name != "_target_"})
    return node["_target_"].removeprefix(ROOM) + f" ({own})" * bool(own)
