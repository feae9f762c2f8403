"""Entry point of `python -m rnnlab.show`; the command is in `rnnlab.commands.show`."""

from rnnlab.commands.show import main
from rnnlab.terminal.command import run_command

if __name__ == "__main__":
    run_command(main)
