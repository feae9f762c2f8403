"""The file `mlflow.json` in a run folder: MLflow run id, link and amount of data sent, per tracking store."""

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
LINK = re.compile(r"https?://[!-~]+")
"""Regular expression that matches links to the page of a run."""


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


def first_run_id(folder: Path) -> tuple[str | None, str | None]:
    """Return the MLflow run id from the first store that received the run, and the link to the run's page.

    The run id is None if no store received the run; the link is also None if an earlier version of rnnlab
    wrote the file.
    """
    for entry in _entries(folder).values():
        if RUN_ID.fullmatch(entry["run_id"]):
            link = entry.get("link")
            return entry["run_id"], link if isinstance(link, str) and LINK.fullmatch(link) else None
    return None, None


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
