"""Stop signals: signals that request the end of a process.

Stop signals come from Ctrl-C, from `kill`, from a lost connection, and from clusters before a time limit.
Signals that were ignored at the start of the process remain ignored, as `nohup` and shells require.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit code of a command that was ended by a signal."""
Handler = Callable[[int, FrameType | None], None]


def _available_signals(*names: str) -> frozenset[signal.Signals]:
    """Return the signals that exist on this system."""
    return frozenset(signal.Signals[name] for name in names if name in signal.Signals.__members__)


STOP_SIGNALS = _available_signals("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
KEYBOARD_SIGNALS = _available_signals("SIGINT", "SIGQUIT")
"""Signals that a terminal sends to all processes of a command."""


@contextmanager
def temporary_handler(handler: Handler) -> Iterator[None]:
    """Handle stop signals inside the block and restore the earlier handlers afterwards."""
    before = {number: signal.signal(number, handler) for number in _active_signals()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier or signal.SIG_DFL)


def install_handler(handler: Handler) -> None:
    """Install the handlers of the stop signals."""
    for number in _active_signals():
        signal.signal(number, handler)


class Interrupts:
    """Counter of stop requests, which are the first stop signal and every later Ctrl-C.

    One request may cause several signals: `timeout` signals the process and its group, and both the terminal
    and the shell send a hang-up. Counting is safer than an exception, which a library could swallow.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Count a signal."""
        if not self.count or number == signal.SIGINT:
            self.count += 1


@contextmanager
def raise_at_first_signal() -> Iterator[None]:
    """Turn the first stop signal into KeyboardInterrupt and ignore later signals except Ctrl-C.

    After the block, only Ctrl-C has an effect, because the process is about to end.
    """
    interrupted = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            raise KeyboardInterrupt

    for number in _active_signals() - {signal.SIGINT}:  # Python handles SIGINT itself
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        interrupted = True
        if signal.SIGINT in _active_signals():
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # end without a traceback


@contextmanager
def block_signals() -> Iterator[None]:
    """Block signals in this thread and in its child processes, which can call `unblock_signals`."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS | KEYBOARD_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_signals() -> None:
    """Unblock the signals that `block_signals` blocked in the parent process."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS | KEYBOARD_SIGNALS)


def ignore_keyboard() -> None:
    """Ignore keyboard signals, because the main process handles them."""
    for number in KEYBOARD_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _active_signals() -> frozenset[signal.Signals]:
    """Return the stop signals that are not ignored."""
    return frozenset(number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN)
