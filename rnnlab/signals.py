"""Signals that ask a process to end.

Ctrl-C; `kill`; the hang-up of a connection that is gone; and those by which clusters announce that the time
is up. What was ignored when the process started stays ignored, as `nohup` and shells rely on.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit code of a command that a signal ended."""
Handler = Callable[[int, FrameType | None], None]


def _available_signals(*names: str) -> frozenset[signal.Signals]:
    """The signals that this system has."""
    return frozenset(signal.Signals[name] for name in names if name in signal.Signals.__members__)


STOP_SIGNALS = _available_signals("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
KEYBOARD_SIGNALS = _available_signals("SIGINT", "SIGQUIT")
"""A terminal sends them to all processes of a command."""


@contextmanager
def temporary_handler(handler: Handler) -> Iterator[None]:
    """Handle the signals that ask to end until the block is left."""
    before = {number: signal.signal(number, handler) for number in _active_signals()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier or signal.SIG_DFL)


def install_handler(handler: Handler) -> None:
    """Handle the signals that ask to end from now on."""
    for number in _active_signals():
        signal.signal(number, handler)


class Interrupts:
    """Counts requests to end: the first signal of any kind, then each Ctrl-C.

    One request may arrive several times: `timeout` signals the process and its group, and both the terminal
    and the shell hang up. An exception out of nowhere could get lost inside a library.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        if not self.count or number == signal.SIGINT:
            self.count += 1


@contextmanager
def raise_at_first_signal() -> Iterator[None]:
    """Turn the first signal that asks to end into KeyboardInterrupt; later ones except Ctrl-C are ignored.

    After the block only Ctrl-C has an effect: the process is about to end.
    """
    asked = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise KeyboardInterrupt

    for number in _active_signals() - {signal.SIGINT}:  # for which Python has its own handler
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        asked = True
        if signal.SIGINT in _active_signals():
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends it without a traceback


@contextmanager
def block_signals() -> Iterator[None]:
    """Hold signals back from this thread, and from processes started inside until they let them through."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS | KEYBOARD_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_signals() -> None:
    """Receive the signals that `block_signals` kept from this process."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS | KEYBOARD_SIGNALS)


def ignore_keyboard() -> None:
    """Ignore what a terminal sends to all processes of a command; the one that was started answers it."""
    for number in KEYBOARD_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _active_signals() -> frozenset[signal.Signals]:
    """The signals that ask to end and are not ignored."""
    return frozenset(number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN)
