"""The options of a training run: what is refused, and what follows from them."""

import pytest
from training_problem import fresh, trained, trainer


def test_the_learning_rate_rises_and_falls_as_a_function_of_step_and_steps():
    rates = [progress.lr / 1e-2 for progress in trained(fresh(), trainer(warmup=3))]
    assert rates[:3] == pytest.approx([trainer(warmup=3).lr_factor(step, 10) for step in range(3)])
    assert rates[0] == pytest.approx(0.25)
    assert trainer(warmup=0).lr_factor(5, 10) == pytest.approx(0.5)
    assert trainer(warmup=0, lr_schedule="linear").lr_factor(8, 10) == pytest.approx(0.2)
    assert trainer(warmup=0, lr_schedule="constant").lr_factor(8, 10) == 1


def test_epochs_are_counted_in_images():
    assert trainer(epochs=3).length(20) == 10
    assert trainer(steps=7).length(20) == 7


@pytest.mark.parametrize(("lengths", "steps"), [(1, 10), (2, 800), (3, 811), (40, 7), (2, 0)])
def test_snapshots_are_at_most_forty_files_with_the_last_step_by_auto(lengths, steps):
    every = trainer(ema_lengths=[0.1 / place for place in range(1, lengths + 1)]).snapshot_every(
        steps
    )
    assert lengths * len({*range(every, steps, every), steps}) <= 40
    assert trainer(ema_lengths=[0.1], ema_every=7).snapshot_every(steps) == 7


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, but is 0"),
        ({"steps": -1}, "steps must be at least 0, but is -1"),
        ({"keep_last": 0}, "keep_last must be at least 1, but is 0"),
        ({"workers": -1}, "workers must be at least 0, but is -1"),
        ({"processes": 0}, "processes must be at least 1, but is 0"),
        ({"processes": 2}, "processes=2 needs trainer=ddp, but parallel is 'none'"),
        ({"ema": 1.0}, "ema must be at least 0 and less than 1, but is 1.0"),
        ({"ema_lengths": [0.05, 0.3]}, "each of ema_lengths must be above 0 and at most 0.28, but"),
        (
            {"ema_lengths": [0.0]},
            "each of ema_lengths must be above 0 and at most 0.28, but is 0.0",
        ),
        (
            {"ema_lengths": []},
            r"ema_lengths must be null or 1 to 40 different numbers, but is \[\]",
        ),
        ({"ema_lengths": [0.1, 0.1]}, "1 to 40 different numbers, but is .0.1, 0.1."),
        ({"ema_every": 5}, "ema_every=5 has no effect without ema_lengths"),
        ({"ema_every": 0, "ema_lengths": [0.1]}, "ema_every must be at least 1, but is 0"),
        ({"label_dropout": 1.1}, "label_dropout must be between 0 and 1, but is 1.1"),
        ({"label_dropout": -0.1}, "label_dropout must be between 0 and 1, but is -0.1"),
        ({"grad_clip": 0.0}, "grad_clip must be positive or null, but is 0.0"),
        (
            {"minutes": 0.0},
            "minutes must be positive and without epochs, but they are 0.0 and None",
        ),
        (
            {"minutes": 5.0, "epochs": 2},
            "minutes must be positive and without epochs, but they are 5.0 and 2",
        ),
    ],
)
def test_recipes_that_mean_nothing_are_refused(change, told):
    with pytest.raises(ValueError, match=told):
        trainer(**change)
