"""Printing of command output without control characters and of error messages without passwords."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from rnnlab.terminal.streams import output_problem
from rnnlab.text import one_line, redact, sanitize
from rnnlab.user_files import is_address

SEE_HELP = "see --help"


class CommandParser(argparse.ArgumentParser):
    """Argument parser that reports each error in one line, for use with `python -m <command>`."""

    def __init__(self, command: str, **keys: Any) -> None:
        super().__init__(prog=f"python -m {command}", **keys)
        self._command = command

    def error(self, message: str) -> NoReturn:
        """Report invalid arguments and exit with code 2."""
        print_problems(self._command, [f"{message}; {SEE_HELP}"])
        sys.exit(2)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Exit the process, for example after `--help`."""
        super().exit(status or output_exit_code(), message)


def nonempty_name(text: str) -> str:
    """Return a command-line argument; raise ArgumentTypeError if it is empty, a URL or a network path."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    if is_address(text):
        raise argparse.ArgumentTypeError(f"{text}: is a URL or network path; must be a local file or folder")
    return text


def nonempty_path(text: str) -> Path:
    """Return a command-line argument as the path of a local file or folder."""
    return Path(nonempty_name(text))


class Terminal(Console):
    """Console without control characters; colours are used only on a terminal and if NO_COLOR is unset."""

    def __init__(self, **keys: Any) -> None:
        super().__init__(highlight=False, force_jupyter=False, **keys)  # plain text in notebooks too

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the rendered text segments without control characters."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(sanitize(segment.text), segment.style)


def print_line(line: str) -> None:
    """Print a line after removing control characters."""
    print(sanitize(line))


def print_problems(command: str, problems: Sequence[str]) -> None:
    """Print problems to standard error, one line per problem."""
    for problem in problems:
        print(f"{command}: {one_line(redact(problem))}", file=sys.stderr)


def output_exit_code() -> int:
    """Return exit code 1 if writing to standard output failed, otherwise 0."""
    return int(output_problem() is not None)
