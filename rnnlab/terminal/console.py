"""What commands say: wherever the words come from, no terminal obeys them and no password is among them."""

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

SEE_HELP = "--help shows what there is"


class CommandParser(argparse.ArgumentParser):
    """The arguments of `python -m <command>`; a mistake among them is told in a line."""

    def __init__(self, command: str, **keys: Any) -> None:
        super().__init__(prog=f"python -m {command}", **keys)
        self._command = command

    def error(self, message: str) -> NoReturn:
        """End the process over a mistake."""
        print_problems(self._command, [f"{message}; {SEE_HELP}"])
        sys.exit(2)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End the process, as after `--help`."""
        super().exit(status or output_exit_code(), message)


def nonempty_name(text: str) -> str:
    """An argument that names something; an empty one would name the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    if is_address(text):
        raise argparse.ArgumentTypeError(f"{text}: an address, and only what is on this machine is opened")
    return text


def nonempty_path(text: str) -> Path:
    """An argument that names a file or folder."""
    return Path(nonempty_name(text))


class Terminal(Console):
    """A console on which texts are plain; rich has colours on terminals only, and never with NO_COLOR."""

    def __init__(self, **keys: Any) -> None:
        super().__init__(highlight=False, **keys)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What rich shows."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(sanitize(segment.text), segment.style)


def print_line(line: str) -> None:
    """Print a line."""
    print(sanitize(line))


def print_problems(command: str, problems: Sequence[str]) -> None:
    """Print what is wrong, a line each."""
    for problem in problems:
        print(f"{command}: {one_line(redact(problem))}", file=sys.stderr)


def output_exit_code() -> int:
    """The exit code of a command that only prints: 1 if what it printed could not be written."""
    return int(output_problem() is not None)
