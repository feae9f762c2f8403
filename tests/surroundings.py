"""The environment and the signal handlers of commands started by the tests."""

import os
import signal
from pathlib import Path

ROOT = Path(__file__).parent.parent


def environment(**settings: str) -> dict[str, str]:
    """Return the environment of a command: this checkout, without MLflow or Hydra settings of the user."""
    outside = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "HYDRA_"))}
    return outside | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | settings


def hear_signals() -> None:
    """Restore the default handlers of the stop signals; a background process may ignore some signals."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
