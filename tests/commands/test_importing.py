"""`ddpm-import` and `ddpm-export` to other programs: both ways without a difference."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ddpm_cli.checkpoints import Checkpoint, write_checkpoint
from ddpm_cli.commands.export import other_programs
from ddpm_cli.commands.importing import command as importing
from ddpm_cli.components import load_denoiser
from ddpm_cli.foreign import difference
from ddpm_cli.foreign.diffusers_folder import read_folder
from ddpm_cli.samplers import clip_x0, ddim, final_state
from ddpm_cli.samplers.grids import Grid

os.environ["HF_HUB_OFFLINE"] = "1"
diffusers = pytest.importorskip("diffusers")

UNET = {
    "sample_size": 16,
    "block_out_channels": (32, 64),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": 16,
}
LIKE = """# @package _global_
# Small
defaults:
  - iddpm_lsun_added
  - _self_

size: 16
schedule:
  steps: 50
model:
  variance: large
  network:
    dim: 32
    dim_mults: [1, 2]
    blocks: 1
    attention_at: [8]
    heads: 1
    head_dim: 16
    qkv: parts
"""


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory):
    """A pipeline of diffusers, and its network with a scheduler beside it and five classes."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("pipelines")
    scheduler = diffusers.DDPMScheduler(50, 0.002, 0.4, variance_type="fixed_large")
    diffusers.DDPMPipeline(diffusers.UNet2DModel(**UNET), scheduler).save_pretrained(folder / "one")
    (folder / "one/README.md").write_text("---\nlicense: apache-2.0\n---\n# One\n")
    scheduler = diffusers.DDPMScheduler(50, beta_schedule="squaredcos_cap_v2")
    network = diffusers.UNet2DModel(**UNET, num_class_embeds=5, freq_shift=1, downsample_padding=0)
    for each in (network, scheduler):
        each.save_pretrained(folder / "two")
    return folder


@pytest.fixture
def folder(pipelines, command):
    """The pipeline in the test's folder."""
    shutil.copytree(pipelines / "one", "theirs")
    return Path("theirs")


def imported(command, *arguments, out="ours.safetensors"):
    outcome = command("import_model", *arguments, f"out={out}")
    assert outcome.code == 0, outcome.err
    return Checkpoint.load(Path(out), ["ema"]), outcome.out


def assert_equal(one, other):
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    assert (one.config, one.shape, one.classes) == (other.config, other.shape, other.classes)


def assert_refused(outcome, told):
    assert (outcome.code, len(outcome.err.splitlines())) == (1, 1)
    assert told in outcome.err
    assert not Path("ours.safetensors").exists()


@pytest.mark.parametrize("name", ["one", pytest.param("two", marks=pytest.mark.slow)])
def test_a_model_of_diffusers_comes_in_goes_out_and_comes_in_again(command, pipelines, name):
    first, out = imported(command, f"from={pipelines / name}")
    assert "proof      largest differences to diffusers" in out
    assert " at t = 0, 25, 49: output " in out and ", mean " in out and ", deviation " in out
    outcome = command("export", "ours.safetensors", "to=diffusers", "out=again")
    assert outcome.code == 0, outcome.err
    assert "proof      largest differences to diffusers" in outcome.out
    second, _ = imported(command, "again", out="again.safetensors")
    assert_equal(first, second)
    assert first.classes == ([] if name == "one" else [*"01234"])


def test_ten_steps_of_ddim_in_diffusers_are_ours(command, folder):
    checkpoint, _ = imported(command, f"from={folder}")
    assert command("export", "ours.safetensors", "to=diffusers", "out=again").code == 0
    pipeline = diffusers.DDIMPipeline.from_pretrained("again")
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        2,
        torch.Generator().manual_seed(0),
        num_inference_steps=10,
        use_clipped_model_output=True,
        output_type="pt",
    ).images
    denoiser = load_denoiser(checkpoint, weights="ema", device="cpu", trust=[])
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    times = Grid(steps=10, spacing="trailing").times(denoiser.diffusion)
    with torch.no_grad():
        ours = final_state(ddim(clip_x0(denoiser), denoiser.diffusion, x, times, torch.randn_like))
    torch.testing.assert_close((ours / 2 + 0.5).clamp(0, 1), theirs, rtol=0, atol=1e-4)


def test_source_and_licence_are_carried_on(command, folder):
    checkpoint, out = imported(command, f"from={folder}", "source=hf://google/one")
    expected = {"source": "hf://google/one", "licence": "apache-2.0"}
    assert checkpoint.origin == {**expected, "file": "theirs, a folder of diffusers"}
    assert "licence    apache-2.0" in out
    out = command("info", "ours.safetensors").out
    assert "source      hf://google/one\nlicence     apache-2.0\nfile        theirs, a fo" in out
    for to in ("diffusers", "safetensors"):
        assert command("export", "ours.safetensors", f"to={to}", f"out={to}").code == 0
        card = Path(to, "README.md").read_text()
        assert "license: apache-2.0\n" in card
        assert "Source: hf://google/one. Licence: apache-2.0." in card
    assert Checkpoint.load(Path("safetensors/model.safetensors")).origin == checkpoint.origin
    again, _ = imported(command, "diffusers", out="again.safetensors")
    assert {name: again.origin[name] for name in expected} == expected


def test_a_licence_that_is_named_at_the_export_comes_in_again(command, folder):
    imported(command, f"from={folder}")
    typed = ["ours.safetensors", "to=diffusers", "out=named", "licence=mit"]
    assert command("export", *typed).code == 0
    again, _ = imported(command, "named", out="again.safetensors")
    assert again.origin["licence"] == "mit"


@pytest.mark.slow
def test_without_a_name_source_and_licence_are_unknown(command, folder):
    Path(folder, "README.md").unlink()
    checkpoint, _ = imported(command, f"from={folder}")
    assert (checkpoint.origin["source"], checkpoint.origin["licence"]) == ("unknown", "unknown")
    assert command("export", "ours.safetensors", "out=mine").code == 0
    assert "No licence is named" in Path("mine/README.md").read_text()


@pytest.mark.slow
def test_names_of_parts_from_before_are_read(command, folder):
    path = Path(folder, "unet/diffusion_pytorch_model.safetensors")
    expected, _ = imported(command, f"from={folder}", out="first.safetensors")
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = load_file(path)
    for new, name in old.items():
        state = {each.replace(f".{new}.", f".{name}."): tensor for each, tensor in state.items()}
    path.unlink()
    torch.save(state, path.with_suffix(".bin"))
    assert_equal(expected, imported(command, f"from={folder}")[0])


@pytest.fixture
def openai(command, folder):
    """A model in OpenAI's names, and a folder with the like that describes it."""
    foreign, *_ = read_folder(folder)
    write_checkpoint(Path("first.safetensors"), foreign.checkpoint())
    outcome = command("export", "first.safetensors", "to=openai", "out=theirs2")
    assert outcome.code == 0, outcome.err
    Path("mine/like").mkdir(parents=True)
    Path("mine/like/small.yaml").write_text(LIKE)
    return Path("theirs2/model.pt")


def test_a_model_of_openais_codes_comes_in_goes_out_and_comes_in_again(command, openai):
    state = torch.load(openai, weights_only=True)
    assert state["output_blocks.1.2.conv.weight"].shape == (64, 64, 3, 3)
    assert state["middle_block.1.qkv.weight"].shape == (192, 64, 1)
    card = Path("theirs2/README.md").read_text()
    assert "--image_size 16 --num_channels 32 --num_res_blocks 1" in card
    assert "--channel_mult 1,2 --num_head_channels 16" in card
    first, out = imported(command, "--config-dir=mine", f"from={openai}", "like=small")
    assert "tensors equal the file's bit for bit; no outputs were compared" in out
    assert "because guided_diffusion is not installed\n" in out
    assert first.origin["file"] == "model.pt, like small"
    assert command("export", "ours.safetensors", "to=openai", "out=again").code == 0
    arguments = ["--config-dir=mine", "from=again/model.pt", "like=small"]
    assert_equal(first, imported(command, *arguments, out="again.safetensors")[0])
    before = Checkpoint.load(Path("first.safetensors"), ["ema"])
    assert all(torch.equal(first.tensors[name], before.tensors[name]) for name in first.tensors)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "like must be given: the shapes fit small"),
        (["like=adm_64"], "like=adm_64 does not fit: time_embed.0.weight must be [768, 192], but"),
        (["like=adm"], "like=adm is not a choice"),
    ],
)
def test_a_like_that_is_missing_or_does_not_fit_is_refused(command, openai, arguments, told):
    typed = ["--config-dir=mine", f"from={openai}", *arguments]
    assert_refused(command("import_model", *typed, "out=ours.safetensors"), told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["from=hf://google/one"],
            "from must be a folder or a file: fetch the model by `hf download",
        ),
        (["like=adm_64"], "like has no effect on a folder of diffusers"),
        (["size=8"], "size has no effect on a folder of diffusers"),
        (["classes=3"], "classes must be 0, as in the folder, but are 3"),
        (["licence=''"], "licence must be a text of 1 to 100 characters"),
    ],
)
def test_options_that_do_not_fit_are_refused(command, folder, arguments, told):
    outcome = command("import_model", f"from={folder}", *arguments, "out=ours.safetensors")
    assert_refused(outcome, told)


def test_a_folder_without_a_schedule_or_weights_is_refused(command, folder):
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.unlink()
    outcome = command("import_model", f"from={folder}", "out=ours.safetensors")
    assert_refused(outcome, "'theirs/unet' has none of diffusion_pytorch_model.safetensors and")
    shutil.rmtree(folder / "scheduler")
    outcome = command("import_model", f"from={folder}", "out=ours.safetensors")
    assert_refused(outcome, "'theirs' has no scheduler_config.json: its schedule is not known")
    outcome = command("import_model", "from=mine", "out=ours.safetensors")
    assert_refused(outcome, "from must be a folder or a file, but there is none at 'mine'")


def test_nothing_is_written_over_or_above_the_limit(command, folder, monkeypatch):
    imported(command, f"from={folder}", out="first.safetensors")
    outcome = command("import_model", f"from={folder}", "out=first.safetensors")
    assert "out must be a new file, but 'first.safetensors' exists" in outcome.err
    monkeypatch.setattr(difference, "LIMIT", 0.0)
    outcome = command("import_model", f"from={folder}", "out=ours.safetensors")
    assert_refused(outcome, "the network must compute what diffusers")
    outcome = command("export", "first.safetensors", "to=diffusers", "out=again")
    assert_refused(outcome, "the network must compute what diffusers")
    assert {path.name for path in Path().iterdir()} == {"first.safetensors", "theirs"}


@pytest.mark.slow
def test_without_diffusers_no_outputs_are_said_to_be_compared(command, folder, monkeypatch):
    for module in (importing, other_programs):
        monkeypatch.setattr(module, "import_diffusers", lambda: "there is none")
    _, out = imported(command, f"from={folder}")
    assert "no outputs were compared,\n           because there is none\n" in out
    outcome = command("export", "ours.safetensors", "to=diffusers", "out=again")
    assert "no outputs were compared" in outcome.out and outcome.code == 0


@pytest.mark.slow
@pytest.mark.parametrize("to", ["diffusers", "openai"])
def test_the_tutorials_unet_goes_to_no_other_program(command, trained, to):
    outcome = command("export", f"ckpt={trained}", f"to={to}", "out=other")
    told = f"to={to} needs the network of model=ho, iddpm or adm, but model.network is ddpm_cli"
    assert_refused(outcome, told)
    assert not Path("other").exists()


@pytest.mark.slow
def test_raw_weights_are_exported_if_asked(command, trained):
    assert command("export", f"ckpt={trained}", "weights=raw", "out=mine").code == 0
    checkpoint, raw = Checkpoint.load(Path("mine/model.safetensors")), Checkpoint.load(trained)
    assert checkpoint.part("ema").keys() == raw.part("network").keys()
    assert all(torch.equal(each, raw.part("network")[name])
               for name, each in checkpoint.part("ema").items())  # fmt: skip
