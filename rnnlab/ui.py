"""Entry point of `python -m rnnlab.ui`, which is implemented in `rnnlab.commands.ui`."""

from rnnlab.commands.ui import main
from rnnlab.terminal.command import run_command

if __name__ == "__main__":
    run_command(main)
