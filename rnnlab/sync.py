"""Entry point of `python -m rnnlab.sync`; the command is in `rnnlab.commands.sync`."""

from rnnlab.commands.sync import main
from rnnlab.terminal.command import run_command

if __name__ == "__main__":
    run_command(main)
