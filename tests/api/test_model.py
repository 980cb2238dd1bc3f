"""A model of a checkpoint in one's own program."""

import logging
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from conftest import once
from PIL import Image

import ddpm_cli
from ddpm_cli.api.pictures import image_bytes
from ddpm_cli.generation.store import ImageStore

STEPS = {"steps": 3, "progress": False}


@pytest.fixture
def model(trained):
    return ddpm_cli.load(trained, device="cpu")


@pytest.fixture
def labelled(conditional):
    return ddpm_cli.load(conditional, device="cpu")


@pytest.fixture
def short(command, runs):
    """The last checkpoint of a tiny run whose process has ten steps."""
    return once(command, runs, "ten steps", "schedule.steps=10")


def drawn_by_command(command, ckpt, *options):
    """The images that `ddpm-sample` writes."""
    outcome = command("sample", f"ckpt={ckpt}", *options, "npz=true", "hydra.run.dir=out")
    assert outcome.code == 0, outcome.err
    store = ImageStore(Path("out"), png=False, npz=True)
    images = store.images(store.read_rows())
    return torch.stack([images[index] for index in sorted(images)])


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        (["n=5", "seed=3", "batch=2"], {"n": 5, "seed": 3, "batch": 2}),
        (["n=2", "sampler=ancestral"], {"n": 2, "sampler": "ancestral"}),
        (["indices=[2,7]", "sampler.eta=0.5"], {"indices": (2, 7), "eta": 0.5}),
        (["n=2", "precision=bf16", "weights=raw"], {"n": 2, "precision": "bf16"}),
        (["n=2", "start=a.png", "strength=0.7"], {"n": 2, "start": Path("a.png"), "strength": 0.7}),
    ],
)
def test_images_are_those_of_the_command(command, trained, typed, given):
    Image.linear_gradient("L").save("a.png")
    weights = "raw" if "weights=raw" in typed else "ema"
    model = ddpm_cli.load(trained, weights=weights, device="cpu")
    images = model.sample(**given, **STEPS)
    assert images.dtype == torch.uint8
    assert images.equal(drawn_by_command(command, trained, "sampler.steps=3", *typed))


def test_samples_in_the_current_folder_choose_no_batch(model):
    Path("samples.json").write_text("of another program")
    assert len(model.sample(1, batch="auto", **STEPS)) == 1


def test_images_come_in_the_order_of_their_indices(model):
    images = model.sample(indices=[3, 0, 3], **STEPS)
    assert images.flip(0).equal(images)
    assert images[1].equal(model.sample(1, **STEPS)[0])


def test_labels_and_guidance_are_those_of_the_command(command, conditional, labelled):
    typed = ["n=3", "label=all", "guidance=2", "sampler.steps=3"]
    images = labelled.sample(3, label="all", guidance=2, **STEPS)
    assert images.equal(drawn_by_command(command, conditional, *typed))


@pytest.mark.parametrize(
    ("guider", "typed"),
    [
        ("cfg_zero", ["guider=cfg_zero"]),
        ({"_target_": "ddpm_cli.guiders.apg", "eta": 0.5}, ["guider=apg", "guider.eta=0.5"]),
    ],
)
def test_a_guider_is_a_name_or_a_node(command, conditional, labelled, guider, typed):
    options = ["n=3", "label=all", "guidance=2", "sampler.steps=3", *typed]
    images = labelled.sample(3, label="all", guidance=2, guider=guider, **STEPS)
    assert images.equal(drawn_by_command(command, conditional, *options))


def test_a_sampler_of_ones_own_is_a_node(trained, tmp_path, monkeypatch):
    text = (
        "from ddpm_cli.samplers import ddim\ndef mine(*args):\n    yield from ddim(*args, eta=0.0)"
    )
    (tmp_path / "parts_of_api.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    model = ddpm_cli.load(trained, device="cpu", trust=["parts_of_api"])
    node = {"_target_": "parts_of_api.mine", "steps": 3, "spacing": "trailing"}
    assert model.sample(2, sampler=node, progress=False).equal(model.sample(2, **STEPS))


@pytest.mark.parametrize("method", ["bound", "ode"])
def test_the_likelihood_is_that_of_ddpm_eval(command, short, method):
    images = Image.linear_gradient("L").resize((8, 8))
    folder = Path("two")
    folder.mkdir()
    images.save(folder / "a.png")
    images.rotate(90).save(folder / "b.png")
    data = ["data=folder", "data.path=two", "data.size=8", "data.channels=1", "images=all"]
    outcome = command(
        *["evaluate", f"ckpt={short}", "metrics=[nll]", f"nll={method}", *data, "hydra.run.dir=e"],
        *["nll_steps=2"] * (method == "ode"),
    )
    assert outcome.code == 0, outcome.err
    model = ddpm_cli.load(short, device="cpu")
    pixels = torch.stack([torch.from_numpy(np.array(each)) for each in (images, images.rotate(90))])
    bits = model.nll(pixels[:, None], method=method, steps=2, progress=False)
    assert f"{bits.mean():.3f} +-" in outcome.out
    alone = model.nll(pixels[1:, None], method=method, steps=2, indices=[1], progress=False)
    assert torch.allclose(alone, bits[1:], rtol=1e-6)


def test_an_estimate_has_gradients_where_the_user_asks(model):
    x_t = torch.zeros(2, *model.shape)
    assert not model.denoise(x_t, 5).x0.requires_grad
    assert model.denoise(x_t.requires_grad_(), torch.tensor([5, 7])).x0.requires_grad
    with torch.no_grad():
        assert not model.denoise(x_t, 5).x0.requires_grad
    model.network.requires_grad_()
    model.sample(1, **STEPS)
    assert model.denoise(x_t.detach(), 5.5).output.requires_grad


def test_labels_are_names_numbers_or_a_tensor(labelled):
    x_t, zero = torch.zeros(2, *labelled.shape), torch.zeros(2, dtype=torch.int64)
    named = labelled.denoise(x_t, 5, labelled.classes[0]).x0
    assert named.equal(labelled.denoise(x_t, 5, zero).x0)
    assert not named.equal(labelled.denoise(x_t, 5, zero - 1).x0)


def test_threads_share_a_model(model):
    images, expected = {}, {seed: model.sample(2, seed=seed, **STEPS) for seed in (1, 2)}

    def draw(seed):
        images[seed] = model.sample(2, seed=seed, **STEPS)

    threads = [Thread(target=draw, args=(seed,)) for seed in expected]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert all(images[seed].equal(expected[seed]) for seed in expected)


def test_a_program_keeps_its_random_numbers_its_gradients_and_its_log(trained, capfd):
    before, handlers = torch.get_rng_state(), logging.getLogger().handlers[:]
    model = ddpm_cli.load(trained, device="cpu")
    model.nll(model.sample(1, **STEPS), method="ode", steps=1, progress=False)
    assert torch.get_rng_state().equal(before)
    assert logging.getLogger().handlers == handlers
    assert torch.is_grad_enabled()
    assert capfd.readouterr() == ("", "")


def test_progress_is_a_bar(model, capfd):
    model.sample(2, steps=2)
    assert "2/2 images" in capfd.readouterr().err


def test_a_model_says_what_it_is(model):
    assert repr(model).startswith("<Model: images of 1 x 8 x 8, unconditional, ")
    assert repr(model).endswith(" parameters, ema weights of step 4, on cpu>")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 0}, "n must be at least 1, but is 0"),
        ({"sampler": "dim"}, "sampler=dim is not a choice; there are ancestral, ddim"),
        ({"etaa": 1}, "sampler.etaa is not an option of ddpm_cli.samplers.ddim; did you mean eta?"),
        ({"png": True}, "png is not an option of Model.sample (load takes weights, device and"),
        ({"label": 3}, "label=3 needs a class-conditional checkpoint"),
        ({"start": Path("no.png")}, "cannot read the image 'no.png'"),
        ({"precision": "fp8"}, "precision must be one of fp32, bf16, fp16, but is 'fp8'"),
    ],
)
def test_options_are_refused_as_the_command_refuses_them(model, wrong, message):
    with pytest.raises(ValueError, match=r".") as refusal:
        model.sample(**wrong)
    assert str(refusal.value).startswith(message)


ZEROS = torch.zeros(2, 1, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda each: each.nll(ZEROS), "images must be uint8 [N, C, H, W], at least one, but are"),
        (
            lambda each: image_bytes([ZEROS]),
            "images must be a tensor or array of uint8 [N, C, H, W]",
        ),
        (lambda each: each.nll(ZEROS.numpy()), "images must be a tensor or array of uint8"),
        (lambda each: each.nll(ZEROS.byte(), batch=0), "batch must be at least 1, but is 0"),
        (lambda each: each.nll(ZEROS[..., 1:].byte()), "images must be [1, 8, 8], but are [1, 8"),
        (lambda each: each.denoise(ZEROS.byte(), 1), "x_t must be floats [B, C, H, W], at least"),
        (lambda each: each.denoise(ZEROS, 0), "t must be from 1 to 1000, but is 0"),
        (
            lambda each: each.denoise(ZEROS, torch.tensor([1, 2000])),
            "t must be from 1 to 1000, but",
        ),
        (lambda each: each.denoise(ZEROS, torch.ones(3)), "t must be one time or 2, but has"),
        (lambda each: each.denoise(ZEROS, 1, torch.tensor([0, 10])), "label must be from -1 to 9"),
        (lambda each: each.denoise(ZEROS, 1, torch.zeros(2)), "label must be 2 integers, but is"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_in_a_line(labelled, call, message):
    with pytest.raises(ValueError, match=r".") as refusal:
        call(labelled)
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ckpt": "no.safetensors"}, "there is no checkpoint at 'no.safetensors'"),
        ({"device": "tpu"}, "device must be auto, cpu, cuda, cuda:N or mps, but"),
    ],
)
def test_what_cannot_be_loaded_is_refused(trained, options, message):
    with pytest.raises(ValueError, match=r".") as refusal:
        ddpm_cli.load(**{"ckpt": trained, **options})
    assert str(refusal.value).startswith(message)


def test_pictures_are_those_of_the_files(command, trained, model):
    images = model.sample(3, **STEPS)
    drawn_by_command(command, trained, "n=3", "sampler.steps=3", "png=true")
    grid = np.asarray(ddpm_cli.image_grid(images))
    assert np.array_equal(grid, np.asarray(Image.open("out/grid.png")))
    first, *_ = ddpm_cli.pil_images(images)
    assert np.array_equal(np.asarray(first), np.asarray(Image.open("out/png/00000000.png")))
    with pytest.raises(ValueError, match="columns must be at least 1, but is 0"):
        ddpm_cli.image_grid(images, columns=0)
    with pytest.raises(ValueError, match="images must have 1 to 4 channels, but have 5"):
        ddpm_cli.pil_images(images.expand(3, 5, 8, 8))
