"""What commands say: wherever the words come from, no terminal obeys them and no password is among them."""

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from rnnlab.tracking.store import redacted
from rnnlab.wording import in_a_line

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # the last two: direction


def plain(text: str) -> str:
    """A text with pictures in place of control characters, so that it cannot steer a terminal."""
    return _CONTROL.sub(lambda found: _picture(ord(found[0])), text)


def _picture(code: int) -> str:
    return "␡" if code == 0x7F else chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"


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
