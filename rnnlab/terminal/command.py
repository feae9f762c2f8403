"""Execution of a command as a process: standard streams, stop signals and exit code."""

import atexit
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from rnnlab.imports import own_process, start_no_threads
from rnnlab.signals import INTERRUPTED, raise_at_first_signal
from rnnlab.terminal.streams import make_streams_lossy, output_problem


def run_command(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run a command's `main` function and exit with its return code, even if standard output is closed.

    File errors and memory errors outside a training run are reported in one line. A file or memory error
    within a training run causes only the affected run to fail. Warnings are printed without control
    characters.
    """
    own_process()
    start_no_threads()  # so that the command can fork its workers
    make_streams_lossy()
    _plain_warnings()
    show_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"  # before cli.main sets it for Hydra
    with raise_at_first_signal():
        try:
            code = main(sys.argv[1:])
        except SystemExit as end:  # raised by argparse, or by a library with a message
            if isinstance(end.code, str):
                _print_problem(end.code)
            code = 1 if isinstance(end.code, str) else end.code or int(output_problem() is not None)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except MemoryError:
            if show_traceback:
                raise
            _print_problem("not enough memory for this data and configuration")
            code = 2
        except OSError as error:
            if show_traceback or error.filename is None:
                raise
            _print_problem(f"{error.filename}: {error.strerror}")
            code = 2
    if (lost := output_problem()) is not None:
        _print_problem(f"standard output cannot be written ({lost.strerror}); the printed output is lost")
    _exit(code)


def _exit(code: int) -> NoReturn:
    """End the process without finalising the Python interpreter.

    If a library thread were still waiting, for example for a tracking store, finalisation would abort the
    process with the C++ message "terminate called without an active exception" and change the exit code.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _plain_warnings() -> None:
    """Remove control characters from all warnings before they are printed."""
    format_warning = warnings.formatwarning

    def format_plain(*args: Any, **keys: Any) -> str:
        from rnnlab.text import sanitize  # late import, as in _print_problem

        return sanitize(format_warning(*args, **keys))

    warnings.formatwarning = format_plain


def _print_problem(problem: str) -> None:
    # Late import: Ctrl-C must work while the module loads.
    from rnnlab.terminal.console import print_problems

    print_problems("rnnlab", [problem])
