"""`python -m rnnlab`, and the console script `rnnlab`."""

from collections.abc import Sequence
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line to the end of the process."""
    # Worker processes import this module too and need none of what the command line needs.
    from rnnlab.process import run_command

    run_command(_command_line)


def _command_line(argv: Sequence[str]) -> int:
    from rnnlab.app.cli import main as command_line  # late: Ctrl-C is answered while it is loaded

    return command_line(argv)


if __name__ == "__main__":
    main()
