"""`python -m rnnlab`, and the console script `rnnlab`: keys, or a command and its arguments."""

from collections.abc import Sequence
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line to the end of the process."""
    # Worker processes import this module too and need none of what the command line needs.
    from rnnlab.terminal.command import run_command

    run_command(_command_line)


def _command_line(argv: Sequence[str]) -> int:
    """Run a command by its name, else what the keys ask for; imports are late, so that Ctrl-C is answered."""
    from rnnlab.commands import MODULES, load_command

    if argv and argv[0] in MODULES:
        return load_command(argv[0])(argv[1:])
    from rnnlab.app.cli import main as run_keys

    return run_keys(argv)


if __name__ == "__main__":
    main()
