"""What commands say: wherever the words come from, no terminal obeys them and no password is among them."""

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from rnnlab.tracking.store import redacted
from rnnlab.wording import in_a_line, plain

SEE_HELP = "--help shows what there is"


class Arguments(argparse.ArgumentParser):
    """The arguments of `python -m <command>`; a mistake among them is told in a line."""

    def __init__(self, command: str, **keys: Any) -> None:
        super().__init__(prog=f"python -m {command}", **keys)
        self._command = command

    def error(self, message: str) -> NoReturn:
        """End the process over a mistake."""
        complain(self._command, [f"{message}; {SEE_HELP}"])
        sys.exit(2)


def named(text: str) -> str:
    """An argument that names something; an empty one would name the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


class Terminal(Console):
    """A console on which texts are plain; rich has colours on terminals only, and never with NO_COLOR."""

    def __init__(self, **keys: Any) -> None:
        super().__init__(highlight=False, **keys)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What rich shows."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)


def say(line: str) -> None:
    """Print a line."""
    print(plain(line))


def complain(command: str, problems: Sequence[str]) -> None:
    """Print what is wrong, a line each."""
    for problem in problems:
        print(f"{command}: {in_a_line(redacted(problem))}", file=sys.stderr)


def run_command(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Make a process of a command's `main`.

    It ends in silence where nobody reads any more what it prints, and in a line where memory does not suffice
    for what it reads, or the system refuses a file; in a run that is the run's failure. Warnings are plain.
    """
    format_warning = warnings.formatwarning
    warnings.formatwarning = lambda *args, **keys: plain(format_warning(*args, **keys))
    show_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"  # before Hydra is asked to raise its own
    try:
        try:
            code = main(sys.argv[1:])
        finally:
            sys.stdout.flush()
    except MemoryError:
        if show_traceback:
            raise
        complain("rnnlab", ["not enough memory for this data and these keys"])
        code = 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        code = 1
    except OSError as error:
        if show_traceback or error.filename is None:
            raise
        complain("rnnlab", [f"{error.filename}: {error.strerror}"])
        code = 2
    sys.exit(code)
