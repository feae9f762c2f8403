"""What counts as a request to end; `tests/app/test_signals.py` sends signals to real commands."""

from signal import SIGHUP, SIGINT, SIGTERM, Signals

import pytest

from rnnlab.signals import Interrupts


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
def test_the_first_signal_counts_and_then_each_ctrl_c(received: list[Signals], count: int) -> None:
    interrupts = Interrupts()
    for number in received:
        interrupts(number, None)
    assert interrupts.count == count
