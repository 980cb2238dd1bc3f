"""Options by the source of a target are those by its signature."""

from pkgutil import resolve_name

import pytest
from omegaconf import OmegaConf

from ddpm_cli.cli.declared_options import declared_options
from ddpm_cli.cli.main import COMMANDS
from ddpm_cli.config.build import CONFIG_DIR, GROUP_OPTIONS, options_of

MODULES = {text.partition(":")[0] for text in COMMANDS.values()} - {"ddpm_cli.commands.doctor"}
YAML = [OmegaConf.load(path) for path in sorted(CONFIG_DIR.glob("*/*.yaml"))]
TARGETS = {
    str(node["_target_"])
    for cfg in YAML
    for node in (cfg, cfg.get("network"), cfg.get("of"))
    if node and "_target_" in node
}
OURS = sorted(
    target.replace(":", ".")
    for target in (
        *TARGETS,
        *GROUP_OPTIONS.values(),
        *(f"{module}.Options" for module in MODULES),
        "ddpm_cli.generation.options.GenerationOptions",
    )
    if target.startswith("ddpm_cli.")
)


@pytest.mark.parametrize("target", OURS)
def test_the_source_declares_the_options_of_the_signature(target):
    module, _, name = target.rpartition(".")
    declared, signature = declared_options(target), options_of(resolve_name(f"{module}:{name}"))
    kinds = {name: each.annotation for name, each in declared.items()}
    assert kinds == {name: each.annotation for name, each in signature.items()}
    assert [each.default is each.empty for each in declared.values()] == [
        each.default is each.empty for each in signature.values()
    ]


@pytest.mark.parametrize("place", ["ddpm_cli.{}", "{}", "ddpm_cli.losses./../..{}"])
def test_the_source_of_others_is_not_read(tmp_path, place):
    text = "def part(*, x: exec('raise SystemExit')): ..."
    (tmp_path / "evil.py").write_text(text)
    target = place.format(tmp_path / "evil") + ".part"
    assert declared_options(target) == declared_options("torch.optim.AdamW") == {}
