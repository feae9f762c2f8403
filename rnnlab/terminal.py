"""What commands say: wherever the words come from, no terminal obeys them and no password is among them."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from rnnlab.tracking.store import redacted
from rnnlab.wording import in_a_line, plain


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
