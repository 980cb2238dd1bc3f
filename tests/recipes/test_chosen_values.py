"""The values in place of `auto`, beside the size that first weights give."""

import pytest

from ddpm_cli.config.auto import AUTO
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.recipes import chosen_values
from ddpm_cli.recipes.facts import Facts

CHOSEN = {"data.size": 32, "trainer.batch_size": 4}


@pytest.fixture
def choice(monkeypatch):
    """The options from which a recipe is chosen, when it is."""
    options = {}

    def record(_, given):
        options.update(given)
        return {key: each for key, each in CHOSEN.items() if given[key] == AUTO}

    monkeypatch.setattr(chosen_values, "choose", record)
    monkeypatch.setattr(chosen_values, "facts_of_run", lambda *_: Facts(100))
    return options


def sized(composed, tmp_path, size, swept=()):
    cfg = composed("train")
    cfg.data.size, cfg.trainer.batch_size = size, AUTO
    invocation = Invocation(tmp_path, swept=swept)
    chosen_values.choose_recipe(
        cfg, invocation, None, ProcessGroup(), lambda: None, {}, {"data.size": 16}
    )
    return cfg.data.size


def test_a_size_that_is_not_given_is_that_of_the_first_weights(choice, composed, tmp_path):
    assert sized(composed, tmp_path, AUTO) == choice["data.size"] == 16


def test_a_size_that_is_given_wins_over_the_first_weights(choice, composed, tmp_path):
    assert sized(composed, tmp_path, 64) == choice["data.size"] == 64


@pytest.mark.parametrize(("size", "expected"), [(64, 64), (AUTO, 16)])
def test_no_size_of_a_sweep_decides_for_all_jobs(choice, composed, tmp_path, size, expected):
    assert sized(composed, tmp_path, size, swept=["data.size"]) == expected
    assert choice["data.size"] == AUTO
