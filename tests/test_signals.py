"""Counting of stop requests; `tests/app/test_signals.py` sends signals to real commands."""

import signal
from signal import SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, Signals

import pytest

from rnnlab.signals import Interrupts, install_handler, temporary_handler

ENDING = (SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU)


@pytest.mark.parametrize(
    ("received", "count"),
    [
        ([], 0),
        ([SIGTERM], 1),
        ([SIGTERM, SIGTERM, SIGHUP], 1),
        ([SIGINT, SIGTERM], 1),
        ([SIGINT, SIGINT], 2),
        ([SIGHUP, SIGINT, SIGTERM, SIGINT], 3),
    ],
)
def test_the_first_signal_and_each_later_ctrl_c_are_handled(received: list[Signals], count: int) -> None:
    interrupts = Interrupts()
    for number in received:
        interrupts(number, None)
    assert interrupts.count == count


@pytest.mark.parametrize("number", ENDING)
def test_every_stop_signal_is_handled_and_its_handler_restored(number: Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with temporary_handler(interrupts := Interrupts()):
            signal.raise_signal(number)
        assert interrupts.count == 1
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", ENDING)
def test_ignored_signals_stay_ignored(number: Signals) -> None:
    before = {each: signal.signal(each, signal.SIG_IGN) for each in ENDING}
    try:
        install_handler(interrupts := Interrupts())
        signal.raise_signal(number)
        assert interrupts.count == 0
    finally:
        for each, earlier in before.items():
            signal.signal(each, earlier)
