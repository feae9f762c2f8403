"""Entry point of `python -m rnnlab.compare`; the command is in `rnnlab.commands.compare`."""

from rnnlab.commands.compare import main
from rnnlab.terminal.command import run_command

if __name__ == "__main__":
    run_command(main)
