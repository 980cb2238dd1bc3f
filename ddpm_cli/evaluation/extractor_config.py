"""The extractors of features that metrics take, from the configuration's group `features`."""

from collections.abc import Mapping, Sequence

import torch
from omegaconf import OmegaConf

from ddpm_cli.config.build import build
from ddpm_cli.config.composition import compose_present
from ddpm_cli.config.schema import check_groups
from ddpm_cli.evaluation.metric_registry import FEATURELESS
from ddpm_cli.metrics import Extractor


def feature_nodes(metrics: Sequence[str]) -> dict[str, object]:
    """The nodes in the configuration of the features that metrics take."""
    names = dict.fromkeys(name.partition("_")[2] for name in metrics if name not in FEATURELESS)
    nodes = {name: compose_present("compare", [f"features={name}"]).features for name in names}
    return {name: OmegaConf.to_container(node, resolve=True) for name, node in nodes.items()}


@torch.no_grad()
def build_extractors(
    nodes: Mapping[str, object], trust: Sequence[str], device: torch.device, shape: Sequence[int]
) -> dict[str, Extractor]:
    """Build the extractors of these nodes, and try each extractor on a black image of `shape`."""
    extractors: dict[str, Extractor] = {}
    for name, node in nodes.items():
        cfg = OmegaConf.create({"features": node, "trust": list(trust)})
        check_groups(cfg, "features")
        extractors[name] = build(cfg, "features", device)
        extractors[name].extract(torch.zeros(1, *shape, dtype=torch.uint8))
    return extractors
