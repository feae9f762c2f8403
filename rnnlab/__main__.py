"""Entry point of `python -m rnnlab` and of the console script `rnnlab`."""

from collections.abc import Sequence
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    # Late imports keep Ctrl-C responsive during start-up.
    from rnnlab.terminal.command import run_command

    run_command(_command_line)


def _command_line(argv: Sequence[str]) -> int:
    """Run a subcommand, or start the runs that the overrides specify."""
    from rnnlab.commands import MODULES, load_command

    if argv and argv[0] in MODULES:
        return load_command(argv[0])(argv[1:])
    from rnnlab.app.cli import main as run_keys

    return run_keys(argv)


if __name__ == "__main__":
    main()
