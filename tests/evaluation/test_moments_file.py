"""Mean and covariance in files: as other programs write them, and what is refused of them."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ddpm_cli.evaluation.moments_file import StoredMoments, array_names, read_moments, write_moments
from ddpm_cli.metrics import Extractor, frechet_distance, moments

MU, SIGMA = np.zeros(4), np.eye(4)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def rows(count, seed):
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


def written(**arrays):
    """A file with these arrays."""
    np.savez("x.npz", **arrays)
    return Path("x.npz")


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_the_distance_from_a_file_of_another_program_is_that_from_the_features(kind):
    one, other = rows(50, 0), rows(60, 1) * 1.1 + 0.2
    mu, sigma = other.double().mean(0).numpy(), np.cov(other.double().numpy(), rowvar=False)
    stored = read_moments(written(mu=mu.astype(kind), sigma=sigma.astype(kind)), "inception")
    expected = frechet_distance(moments(one), moments(other))
    assert frechet_distance(moments(one), stored.moments) == pytest.approx(expected, rel=1e-6)


def test_features_of_adm_have_names_of_their_own():
    path = written(mu=MU, sigma=SIGMA, mu_s=MU + 1, sigma_s=2 * SIGMA, arr_0=np.zeros((1, 8, 8, 3)))
    assert read_moments(path, "inception").moments.mean.tolist() == [0] * 4
    assert read_moments(path, "inception_spatial").moments.mean.tolist() == [1] * 4
    assert array_names(path) == ["mu", "sigma", "mu_s", "sigma_s", "arr_0"]
    assert read_moments(written(mu=MU, sigma=SIGMA), "inception_spatial") is None


def test_what_is_written_is_read_to_the_last_bit():
    own = {
        "pixels": StoredMoments(moments(rows(50, 0)), 50, "pixels-4", "2:00 50 training"),
        "inception_spatial": StoredMoments(moments(rows(50, 1)), 50, "inception-0", "2:00 50 all"),
    }
    write_moments(Path("x.npz"), own)
    for features, each in own.items():
        found = read_moments(Path("x.npz"), features)
        assert torch.equal(found.moments.covariance, each.moments.covariance)
        assert found.content_hash == each.content_hash
        assert (found.n, found.by, found.about) == (each.n, each.by, each.about)


def test_notes_of_other_programs_under_our_names_are_left_aside():
    stored = read_moments(written(mu=MU, sigma=SIGMA, n=np.zeros(3), by=5), "inception")
    assert (stored.n, stored.by) == (None, "")


def test_kinds_of_numbers_and_their_rounding_do_not_matter():
    sigma = SIGMA.copy()
    sigma[0, 0], sigma[1, 2] = -1e-9, 1e-9  # of a feature that is always 0, and of another order
    stored = read_moments(written(mu=MU.astype(">f4"), sigma=np.asfortranarray(sigma)), "pixels")
    assert torch.equal(stored.moments.covariance, stored.moments.covariance.T)
    whole = read_moments(written(mu=MU.astype(np.uint8), sigma=SIGMA.astype(np.uint8)), "pixels")
    assert whole.moments.covariance.tolist() == SIGMA.tolist()


def test_numbers_have_one_hash_however_they_are_packed():
    plain = read_moments(written(mu=MU, sigma=SIGMA), "inception").content_hash
    np.savez_compressed("x.npz", sigma=SIGMA.astype(np.float32), mu=MU)
    assert read_moments(Path("x.npz"), "inception").content_hash == plain
    assert read_moments(written(mu=MU + 1, sigma=SIGMA), "inception").content_hash != plain


def test_moments_fit_the_extractor_of_their_name_and_size_alone():
    extractor = Extractor("pixels-4", rows, None)
    stored = StoredMoments(moments(rows(50, 0)), 50, "pixels-4")
    assert stored.misfit(extractor, 4) == ""
    assert stored.misfit(extractor, 9) == "is of 4 features, but pixels-4 gives 9"
    other = StoredMoments(stored.moments, 50, "lite0-1").misfit(extractor, 4)
    assert other == "is of the features of lite0-1, not of pixels-4"
    assert StoredMoments(stored.moments).misfit(extractor, 4) == ""


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"mu": MU}, "reference must hold mu and sigma, but 'x.npz' lacks sigma: it holds mu"),
        (
            {"mu": MU, "sigma": np.eye(3)},
            "reference: mu and sigma in 'x.npz' must be [D] and [D, D], but are [4] and [3, 3]",
        ),
        (
            {"mu": MU[None], "sigma": SIGMA},
            "reference: mu and sigma in 'x.npz' must be [D] and [D, D], but are [1, 4] and [4, 4]",
        ),
        (
            {"mu": MU, "sigma": SIGMA * np.nan},
            "reference: mu and sigma in 'x.npz' must be finite numbers, but are not",
        ),
        (
            {"mu": MU, "sigma": SIGMA.astype(str)},
            "reference: mu and sigma in 'x.npz' must be finite numbers, but one is of <U32",
        ),
        (
            {"mu": MU, "sigma": np.triu(np.ones((4, 4)))},
            "reference: mu and sigma in 'x.npz' must be a mean and a covariance, but of the latter "
            "its lowest variance is 1, and its largest asymmetry 1",
        ),
        (
            {"mu": MU, "sigma": -SIGMA},
            "reference: mu and sigma in 'x.npz' must be a mean and a covariance, but of the latter "
            "its lowest variance is -1, and its largest asymmetry 0",
        ),
    ],
)
def test_arrays_that_are_no_mean_and_covariance_are_told(arrays, told):
    path = written(**arrays)
    with pytest.raises(ValueError, match="reference") as refusal:
        read_moments(path, "inception")
    assert str(refusal.value) == told


def test_a_pickle_is_never_opened():
    path = written(mu=np.array([{}] * 4), sigma=SIGMA)
    with pytest.raises(ValueError, match=r"'x\.npz' cannot be read: Object arrays cannot be load"):
        read_moments(path, "inception")


def test_an_archive_in_place_of_an_array_is_not_opened():
    with zipfile.ZipFile("y.npz", "w") as archive:
        archive.write(written(mu=MU), "mu.npy")
        archive.writestr("sigma.npy", b"")
    with pytest.raises(ValueError, match=r"'y\.npz' cannot be read: the magic string is not"):
        read_moments(Path("y.npz"), "inception")


def test_an_array_that_is_too_large_is_told_before_it_is_read(monkeypatch):
    path = written(mu=MU, sigma=SIGMA)
    monkeypatch.setattr("ddpm_cli.evaluation.moments_file.LARGEST", 200)
    told = r"'x\.npz' cannot be read: sigma must be of at most 200 bytes, but is 256"
    with pytest.raises(ValueError, match=told):
        read_moments(path, "inception")


def test_a_file_that_is_none_or_damaged_is_told():
    written(mu=MU, sigma=SIGMA)
    told = r"there is no file at 'y\.npz'; did you mean 'x\.npz'\?"
    with pytest.raises(ValueError, match=told):
        read_moments(Path("y.npz"), "inception")
    Path("half.npz").write_bytes(Path("x.npz").read_bytes()[:300])
    with pytest.raises(ValueError, match=r"'half\.npz' cannot be read as \.npz: "):
        read_moments(Path("half.npz"), "inception")
    content = bytearray(Path("x.npz").read_bytes())
    content[200] ^= 1
    Path("bad.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"'bad\.npz' cannot be read: Bad CRC-32"):
        read_moments(Path("bad.npz"), "inception")
