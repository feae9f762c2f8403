"""Entry point of `python -m rnnlab.measure`; the command is in `rnnlab.commands.measure`."""

from rnnlab.commands.measure import main
from rnnlab.terminal.command import run_command

if __name__ == "__main__":
    run_command(main)
