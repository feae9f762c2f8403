"""Handling of stop signals, which request that a process terminate.

Stop signals are sent by Ctrl-C, by `kill`, by the terminal when its connection is lost, and by cluster
schedulers shortly before a time limit. Signals that are ignored when the process starts remain ignored, as
`nohup` and shells require.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit code of a command that was terminated by a signal."""
Handler = Callable[[int, FrameType | None], None]


def _available_signals(*names: str) -> frozenset[signal.Signals]:
    """Return the named signals that exist on this operating system."""
    return frozenset(signal.Signals[name] for name in names if name in signal.Signals.__members__)


STOP_SIGNALS = _available_signals("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
KEYBOARD_SIGNALS = _available_signals("SIGINT", "SIGQUIT")
"""Keyboard signals, which a terminal sends to all processes of a command."""


@contextmanager
def temporary_handler(handler: Handler) -> Iterator[None]:
    """Install a handler for stop signals within a `with` block, and then restore the previous handlers.

    In a thread other than the main one, where Python installs no handlers, the block runs without it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _active_signals()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier or signal.SIG_DFL)


def install_handler(handler: Handler) -> None:
    """Install a handler for all stop signals that are not ignored."""
    for number in _active_signals():
        signal.signal(number, handler)


class Interrupts:
    """Counter of stop requests; the first stop signal and each later Ctrl-C count as one request each.

    One request may cause several signals: `timeout` sends a signal to the process and to the process group,
    and both the terminal and the shell send SIGHUP. Counting signals is safer than raising an exception,
    which a library could suppress.
    """

    def __init__(self, raises: bool = False) -> None:
        """Create a counter.

        Args:
            raises: True to raise KeyboardInterrupt at the second request, because a run in this process may
                be in the middle of a long step.
        """
        self._raises = raises
        self.count = 0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Count a signal."""
        if not self.count or number == signal.SIGINT:
            self.count += 1
            if self._raises and self.count > 1:
                raise KeyboardInterrupt


@contextmanager
def raise_at_first_signal() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first stop signal, and ignore later stop signals except Ctrl-C.

    After the `with` block, only Ctrl-C has an effect, because the process is about to exit.
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
    """Block stop and keyboard signals in this thread and in child processes started by this thread.

    A child process can unblock the signals with `unblock_signals`.
    """
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
    """Ignore keyboard signals in a worker; the main process handles these signals."""
    for number in KEYBOARD_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _active_signals() -> frozenset[signal.Signals]:
    """Return the stop signals that are not ignored."""
    return frozenset(number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN)
