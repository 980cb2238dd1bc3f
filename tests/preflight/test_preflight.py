"""Preflight: what each check finds, and that it changes nothing."""

import math
import re
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from problems import Answer
from torch import nn
from training_problem import LABELLED, RECIPE, fresh

from ddpm_cli import losses, preflight, schedules
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.image_sets import ImageSet
from ddpm_cli.loading import BatchDataset
from ddpm_cli.pace.cadences import Cadences
from ddpm_cli.pace.costs import Costs
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.preflight import resources as room
from ddpm_cli.text import duration_text, size_text
from ddpm_cli.training import Trainer, TrainState

DIFFUSION = GaussianDiffusion.from_betas(schedules.cosine())
IMAGES = torch.randint(
    0, 256, (20, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
BATCH = BatchDataset(ImageSet(IMAGES, None, []), 6, 0, False)[0]
GREY = torch.full((4, 3, 8, 8), 7, dtype=torch.uint8)


class Small(nn.Module):
    """A network with a norm that counts, and a layer that is not used."""

    def __init__(self, unused=True, weight=1.0):
        super().__init__()
        self.used = nn.Conv2d(1, 1, 1)
        self.norm = nn.BatchNorm2d(1)
        self.unused = nn.Linear(2, 2) if unused else None
        nn.init.constant_(self.used.weight, weight)

    def forward(self, x, t, label=None):
        return self.norm(self.used(x))


def said(found):
    return [(each.level, each.text) for each in found]


def trained(network, **options):
    optimizer = partial(torch.optim.AdamW, lr=1e-2)
    return TrainState.fresh(Denoiser(DIFFUSION, network), optimizer, **options)


def recipe(**changes):
    return Trainer(partial(torch.optim.AdamW, lr=1e-2), **{**RECIPE, **changes})


def tried(network, loss=losses.l2, group=ProcessGroup()):
    return preflight.run_trial(recipe(), trained(network), loss, BATCH, 0, group)


def test_a_schedule_that_keeps_the_image_is_a_warning_with_the_remedy():
    kept = GaussianDiffusion.from_betas(schedules.linear(last=0.002))
    ((level, text),) = said(preflight.check_schedule(kept))
    assert level == "warning"
    assert "above 1e-03: use schedule=cosine or a larger schedule.last" in text
    assert said(preflight.check_schedule(DIFFUSION))[0][0] == "ok"


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (IMAGES, [("ok", "a batch has 20 different images, none of one colour, bytes 0 to 255")]),
        (
            IMAGES // 16,
            [
                (
                    "warning",
                    "a batch has bytes 0 to 15 of 0 to 255: little contrast, or images on "
                    "another scale",
                )
            ],
        ),
        (IMAGES[[0, 1, 1]], [("warning", "1 of 3 images in a batch are copies of others")]),
        (
            IMAGES.expand(-1, 3, -1, -1),
            [("warning", "all images in a batch are grey: data.channels=1 is enough")],
        ),
        (
            torch.cat([IMAGES, GREY[:1, :1]]),
            [("warning", "1 of 21 images in a batch are of one colour")],
        ),
    ],
)
def test_images_that_are_hard_to_learn_from_are_told(images, told):
    assert said(preflight.check_batch_images(images)) == told


@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
@pytest.mark.parametrize(
    ("loss", "variance"),
    [(losses.l1, "small"), (losses.huber, "large"), (losses.hybrid, "learned")],
)
def test_a_network_that_knows_the_noise_has_no_loss(loss, variance, predicts):
    denoiser = Denoiser(DIFFUSION, Answer(None), predicts=predicts, variance=variance)
    assert said(preflight.check_oracle(denoiser, loss, BATCH, 0)) == [
        ("ok", "a network that knows the noise has no loss")
    ]


@pytest.mark.parametrize(("worth", "level"), [(0.5, "warning"), (math.nan, "error")])
def test_a_loss_that_is_another_s_is_told(worth, level):
    denoiser = Denoiser(DIFFUSION, Answer(None))
    ((found, text),) = said(
        preflight.check_oracle(
            denoiser, lambda denoiser, batch: losses.l2(denoiser, batch) + worth, BATCH, 0
        )
    )
    assert found == level
    assert f"has a loss of {worth:.2g}, not 0" in text


def test_parameters_without_a_gradient_are_a_warning_and_among_several_processes_an_error():
    assert said(tried(Small()).findings) == [
        ("warning", "unused.weight, unused.bias get no gradient and stay as they are")
    ]
    (found,) = tried(Small(), group=ProcessGroup(0, 2)).findings
    assert (found.level, found.text.endswith("with trainer=ddp every parameter needs one")) == (
        "error",
        True,
    )


def test_the_embedding_of_labels_gets_a_gradient_though_all_labels_are_dropped():
    state, batch = fresh(classes=4), BatchDataset(LABELLED, 6, 0, False)[0]
    (found,) = preflight.run_trial(
        recipe(label_dropout=1.0), state, losses.l2, batch, 0, ProcessGroup(0, 2)
    ).findings
    assert found.level == "ok"
    assert said(preflight.check_oracle(state.denoiser, losses.l2, batch, 0)) == [
        ("ok", "a network that knows the noise has no loss")
    ]


def test_numbers_that_are_not_finite_are_an_error():
    assert said(tried(Small(unused=False, weight=math.nan)).findings) == [
        ("error", "the loss of 6 of 6 images is not finite")
    ]
    endless = partial(rooted, losses.l2)
    assert said(tried(Small(unused=False), endless).findings) == [
        ("error", "the gradient of used.weight, used.bias, norm.weight and 1 more is not finite")
    ]


def rooted(loss, denoiser, batch):
    """A loss whose value is finite and whose gradient is not."""
    found = loss(denoiser, batch)
    return found + (found - found).sqrt()


def test_memory_that_is_full_is_an_error_with_the_remedy():
    def greedy(denoiser, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    (found,) = tried(Small(), greedy).findings
    assert found.level == "error"
    assert (
        found.text
        == "6 images at once do not fit into the memory of cpu (the memory of the GPU is full: "
        "2 GiB more were asked for): choose a smaller trainer.microbatch"
    )


def test_an_image_for_which_memory_has_no_room_is_refused_with_the_remedy():
    def greedy(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 2")

    told = "one image of (1, 8, 8) does not fit into the memory of cpu: choose a smaller network, "
    with pytest.raises(ValueError, match="^" + re.escape(told) + "or smaller images$"):
        preflight.try_parts(Denoiser(DIFFUSION, Answer(None)), greedy, losses.l2, (1, 8, 8))


def test_a_trial_leaves_weights_buffers_gradients_and_moments_as_they_were():
    state = trained(network := Small())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trial = preflight.run_trial(recipe(), state, losses.l2, BATCH, 0, ProcessGroup())
    assert trial.seconds > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert (state.step, state.optimizer.state_dict()["state"]) == (0, {})


@pytest.mark.parametrize(("there", "level"), [(10**9, "ok"), (10, "warning"), (None, None)])
def test_memory_is_compared_with_what_is_free(there, level):
    findings = preflight.check_memory(trained(Small()), 1000, there)
    assert [each.level for each in findings] == [level] * (level is not None)


@pytest.mark.parametrize(("there", "level"), [(10**9, "ok"), (300, "warning"), (100, "error")])
def test_the_disk_is_compared_with_the_checkpoints_that_will_lie_there(
    monkeypatch, tmp_path, there, level
):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: SimpleNamespace(free=there))
    (found,) = preflight.check_disk(
        tmp_path / "not/there/yet", trained(Small()), recipe(keep_last=2), 10, 1
    )
    assert found.level == level
    assert "4 checkpoints of" in found.text


@pytest.mark.parametrize(("step", "count"), [(0, 3 + 10 + 2), (98, 1 + 10 + 2)])
def test_checkpoints_are_counted_as_they_will_lie_there(tmp_path, step, count):
    often, state = recipe(keep_last=3, keep_every=10), trained(Small())
    state.step = step
    (found,) = preflight.check_disk(tmp_path, state, often, 100, 2)
    assert f"disk: {count} checkpoints of" in found.text


def test_the_snapshots_of_averages_are_told_with_their_size_beside_the_checkpoints(tmp_path):
    state = trained(Small(), ema_lengths=[0.05, 0.1])
    (found,) = preflight.check_disk(tmp_path, state, recipe(), 100, 2, ema_every=30)
    assert ", 8 snapshots of averages " in found.text


def test_an_estimate_says_step_total_and_checkpoint():
    costs, cadences = Costs(step=0.5, validation=4.0, grid=2.0, save=0.0), Cadences(100, 1, 500, 1)
    ((level, text),) = said(preflight.estimate_time(trained(Small()), 1000, costs, cadences))
    assert level == "estimate"
    length = "about 0.5 s a step, 9 min in all with previews and evaluations"
    assert text == f"{length}; a checkpoint has 192 bytes"


@pytest.mark.parametrize(
    ("count", "words"), [(12, "12 bytes"), (2048, "2.0 KiB"), (3 * 2**30, "3.0 GiB")]
)
def test_sizes_are_said_in_words(count, words):
    assert size_text(count) == words


@pytest.mark.parametrize(("seconds", "words"), [(90, "90 s"), (600, "10 min"), (36_000, "10.0 h")])
def test_times_are_said_in_words(seconds, words):
    assert duration_text(seconds) == words


@pytest.mark.parametrize(
    ("choice", "shape", "texts"),
    [
        ("ho", (3, 32, 32), []),
        ("ho", (1, 8, 8), ["attention_at: no maps have 16; the sides are 8, 4, 2, 1"]),
        ("adm", (3, 48, 64), []),
        ("resnet", (1, 8, 8), []),
    ],
)
def test_sides_without_maps_are_named(composed, choice, shape, texts):
    findings = preflight.check_attention(composed("train", f"model={choice}"), shape)
    assert [each.text.removeprefix("model.network.") for each in findings] == texts
