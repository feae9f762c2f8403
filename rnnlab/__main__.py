"""`python -m rnnlab`, and the console script `rnnlab`."""

import sys


def main() -> int:
    """Run the command line; return the exit code."""
    # Worker processes import this module too and need none of what the command line needs.
    from rnnlab.app.cli import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
