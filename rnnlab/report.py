"""Entry point of `python -m rnnlab.report`; the command is in `rnnlab.commands.report`."""

from rnnlab.commands.report import main
from rnnlab.terminal.command import run_command

if __name__ == "__main__":
    run_command(main)
