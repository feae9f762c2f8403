"""A command as a process: its standard streams, the signals that end it, and its exit code."""

import atexit
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from rnnlab.signals import INTERRUPTED, raise_at_first_signal
from rnnlab.terminal.streams import make_streams_lossy, output_problem


def run_command(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Make a process of a command's `main`; what it returns is the exit code, whether anybody reads or not.

    A file that the system refuses, or memory that does not suffice for what it reads, is told in a line; in a
    run it is the run's failure. Warnings are plain text.
    """
    make_streams_lossy()
    _plain_warnings()
    show_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"  # before Hydra is asked to raise its own
    with raise_at_first_signal():
        try:
            code = main(sys.argv[1:])
        except SystemExit as end:  # argparse's, or a library's with a text
            if isinstance(end.code, str):
                _print_problem(end.code)
            code = 1 if isinstance(end.code, str) else end.code or int(output_problem() is not None)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except MemoryError:
            if show_traceback:
                raise
            _print_problem("not enough memory for this data and these keys")
            code = 2
        except OSError as error:
            if show_traceback or error.filename is None:
                raise
            _print_problem(f"{error.filename}: {error.strerror}")
            code = 2
    if (lost := output_problem()) is not None:
        _print_problem(f"standard output cannot be written ({lost.strerror}), and what was printed is lost")
    _exit(code)


def _exit(code: int) -> NoReturn:
    """End the process without taking the interpreter apart.

    A thread that is inside a library then, as for a store that was left alone, would abort the process
    ("terminate called without an active exception"), and with it the exit code.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _plain_warnings() -> None:
    """Let no warning hold control characters."""
    format_warning = warnings.formatwarning

    def formatted(*args: Any, **keys: Any) -> str:
        from rnnlab.text import sanitize  # late, too

        return sanitize(format_warning(*args, **keys))

    warnings.formatwarning = formatted


def _print_problem(problem: str) -> None:
    from rnnlab.terminal.console import (
        print_problems,  # late: Ctrl-C shall be answered while that is loaded, too
    )

    print_problems("rnnlab", [problem])
