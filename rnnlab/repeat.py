"""Entry point of `python -m rnnlab.repeat`; the command is in `rnnlab.commands.repeat`."""

from rnnlab.commands.repeat import main
from rnnlab.terminal.command import run_command

if __name__ == "__main__":
    run_command(main)
