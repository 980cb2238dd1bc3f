"""When a request to stop takes effect."""

import signal
from threading import Event, Timer

import pytest
import torch
from torch import nn

from ddpm_cli.parallel import ALONE, ProcessGroup
from ddpm_cli.parallel.stop_request import CALLER, interrupt, stop_on_signals
from ddpm_cli.process.stop_signals import NothingToSaveError, stop_signals


@pytest.fixture(autouse=True)
def handlers():
    """Put the handlers of all signals back."""
    before = {number: signal.getsignal(number) for number in (*stop_signals(), signal.SIGALRM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_stop_before_the_begin_ends_the_run_and_a_later_one_waits_for_the_step():
    with pytest.raises(NothingToSaveError), stop_on_signals(ALONE):
        signal.raise_signal(signal.SIGTERM)
    with stop_on_signals(ALONE) as stop:
        stop.begin()
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()


def test_a_second_ctrl_c_after_the_begin_interrupts():
    with stop_on_signals(ALONE) as stop:
        stop.begin()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_process_of_our_own_launch_dies_of_a_signal_until_it_begins(monkeypatch):
    monkeypatch.setattr("ddpm_cli.parallel.stop_request.parent_process", lambda: object())
    with stop_on_signals(ProcessGroup(rank=1, count=2)) as stop:
        assert {signal.getsignal(number) for number in stop_signals()} == {signal.SIG_DFL}
        stop.begin()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()


def test_a_process_of_torchrun_is_interrupted_until_it_begins():
    with stop_on_signals(ProcessGroup(rank=1, count=2)):
        assert {signal.getsignal(number) for number in stop_signals()} == {interrupt}


def test_a_stop_does_not_wait_for_the_end_of_a_backward_pass():
    network = nn.Sequential(*[nn.Linear(256, 256) for _ in range(40)])
    loss = network(torch.ones(1024, 256)).sum()
    with stop_on_signals(ALONE) as stop:
        stop.watch(network)
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        with pytest.raises(NothingToSaveError):
            loss.backward()
    assert network[0].weight.grad is None


def test_no_hook_stays_in_a_network_after_the_begin():
    network = nn.Linear(2, 2)
    with stop_on_signals(ALONE) as stop:
        stop.watch(network)
        assert network.weight._post_accumulate_grad_hooks
        stop.begin()
    assert not network.weight._post_accumulate_grad_hooks


def test_the_event_of_a_caller_ends_a_wait():
    event = Event()
    token = CALLER.set(event)
    with stop_on_signals(ALONE) as stop:
        CALLER.reset(token)
        assert not stop.wait(0)
        Timer(0.02, event.set).start()
        assert stop.wait(9)
