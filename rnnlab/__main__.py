"""`python -m rnnlab`, and the console script `rnnlab`."""

import os
import sys


def main() -> int:
    """Run the command line; return the exit code."""
    # Worker processes import this module too and need none of what the command line needs.
    from rnnlab.app.cli import main as run
    from rnnlab.terminal import complain

    show_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        return run(sys.argv[1:])
    except MemoryError:  # while data is read or checked; in a run it is the run's failure
        if show_traceback:
            raise
        complain("rnnlab", ["not enough memory for this data and these keys"])
        return 2


if __name__ == "__main__":
    sys.exit(main())
