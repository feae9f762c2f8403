"""`python -m rnnlab`, and the console script `rnnlab`."""

from typing import NoReturn


def main() -> NoReturn:
    """Run the command line to the end of the process."""
    # Worker processes import this module too and need none of what the command line needs.
    from rnnlab.app.cli import main as command_line
    from rnnlab.terminal import run_command

    run_command(command_line)


if __name__ == "__main__":
    main()
