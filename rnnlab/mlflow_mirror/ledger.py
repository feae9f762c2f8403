"""The file `mlflow.json` in a run folder: MLflow run id and amount of data sent, per tracking store."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from rnnlab.mlflow_mirror.store import sqlite_file
from rnnlab.runs.files import replace_text

LEDGER_FILE = "mlflow.json"
NOTHING_SENT = {"position": 0, "tail": ""}
RUN_ID = re.compile("[0-9a-f]{32}")
"""Regular expression that matches MLflow run ids."""


class Ledger:
    """The ledger entry of one tracking store.

    Attributes:
        store: Digest of the URI of the tracking store.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        self._folder = folder
        address = str(sqlite_file(uri) or uri)
        self.store = hashlib.sha256(address.encode()).hexdigest()[:12]  # a URI may contain a password

    def entry(self) -> dict[str, Any]:
        """Return the entry of the tracking store; empty if the store has no MLflow run for this folder."""
        return _entries(self._folder).get(self.store, {})

    def write(self, entry: dict[str, Any]) -> None:
        """Replace the entry.

        Raises:
            OSError: If the file cannot be written.
        """
        text = json.dumps(_entries(self._folder) | {self.store: entry}, indent=1)
        replace_text(self._folder / LEDGER_FILE, text)


def first_run_id(folder: Path) -> str | None:
    """Return the MLflow run id from the first store that received the run; None if no store received it."""
    ids = (entry["run_id"] for entry in _entries(folder).values())
    return next((run_id for run_id in ids if RUN_ID.fullmatch(run_id)), None)


def _entries(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the entries, keyed by store; a damaged file counts as empty, so all data are sent again."""
    try:
        ledger = json.loads((folder / LEDGER_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    entries = ledger.items() if isinstance(ledger, dict) else ()
    return {store: entry for store, entry in entries if _is_entry(entry)}


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("run_id"), str)
        and type(entry.get("position")) is int
        and entry["position"] >= 0
        and isinstance(entry.get("tail"), str)
        and isinstance(entry.get("sent"), list | None)
    )
