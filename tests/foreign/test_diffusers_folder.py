"""A folder of diffusers: its parts, and the facts that a stranger may have written beside them."""

import json

import pytest

from ddpm_cli.foreign.diffusers_folder import (
    classes_of,
    facts_of,
    is_diffusers,
    known_origin,
    pipeline_of,
    read_folder,
)
from ddpm_cli.foreign.json_fields import JsonFields

PIPELINE = {
    "_class_name": "DDPMPipeline",
    "scheduler": ["diffusers", "DDPMScheduler"],
    "unet": ["diffusers", "UNet2DModel"],
}


@pytest.fixture
def folder(tmp_path):
    """A function that writes a pipeline's file with more fields, and returns the folder."""

    def write(**fields):
        (tmp_path / "unet").mkdir()
        (tmp_path / "unet/config.json").write_text("{}")
        (tmp_path / "scheduler_config.json").write_text("{}")
        (tmp_path / "model_index.json").write_text(json.dumps({**PIPELINE, **fields}))
        return tmp_path

    return write


@pytest.mark.parametrize("place", ["", "unet"])
def test_a_pipeline_with_more_parts_is_refused(folder, place):
    latent = folder(_class_name="LDMPipeline", vqvae=["diffusers", "VQModel"]) / place
    assert is_diffusers(latent)
    told = "model_index.json names the part 'vqvae' beside unet and scheduler: it is a latent"
    with pytest.raises(ValueError, match=told):
        read_folder(latent)


def test_a_pipeline_of_a_network_and_a_scheduler_passes(folder):
    own = {"classes": ["a"], "null_label": True, "origin": {"licence": "mit"}}
    path = folder(safety_checker=[None, None], requires_safety_checker=False, _ddpm_cli=own)
    assert facts_of(path, pipeline_of(path)) == own
    assert known_origin(own) == {"licence": "mit"}
    assert classes_of(own, 2) == (["a"], True)
    assert classes_of({}, 2) == (["0", "1"], False)


@pytest.mark.parametrize("value", ["x" * 201, 3, None, "\ud800"])
def test_an_origin_that_no_checkpoint_holds_is_refused_with_its_file(value):
    with pytest.raises(ValueError, match=r"model_index\.json: _ddpm_cli\.origin\.source must be a"):
        known_origin({"origin": {"source": value}})


@pytest.mark.parametrize("classes", [["a"], ["a", "x" * 201], ["a", 2], "ab", None])
def test_classes_that_are_not_those_of_the_table_are_refused_with_their_file(classes):
    with pytest.raises(ValueError, match=r"model_index\.json: _ddpm_cli\.classes must be 2 names"):
        classes_of({"classes": classes}, 2)


@pytest.mark.parametrize(
    ("card", "facts"),
    [
        (b"---\r\nlicense: mit\r\n---\r\n# One\r\n", {"origin": {"licence": "mit"}}),
        (b"---\nlicense: mit\n---\n# One\n", {"origin": {"licence": "mit"}}),
        (b"---\nlicense: [mit]\n---\n", {}),
        (b"# One\n", {}),
        (b"---\nlicense: mit\n---\n" + bytes(2**22), {}),
    ],
    ids=["CRLF", "LF", "no text", "no front matter", "too long"],
)
def test_the_licence_of_a_card_is_read_if_it_can_be(tmp_path, card, facts):
    (tmp_path / "README.md").write_bytes(card)
    assert facts_of(tmp_path, JsonFields("", {})) == facts
