"""Conversion of the `run.json` files of many runs into one data frame with typed columns."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from math import inf
from typing import Any

import pandas as pd

from rnnlab.analysis.frames.sources import StoredRun
from rnnlab.mlflow_mirror.ledger import first_run_id
from rnnlab.records import CONFIG_FILE, ENDED, METRICS_FILE, RUN_FILE, STEPS_TO_SOLVE, UNLIMITED
from rnnlab.runs.advance import Advance, read_advance
from rnnlab.runs.run_json import Name, RunFile, Summary, Whole, flatten, parse_run_file, read_config

RUNNING, DAMAGED = "running", "damaged"
"""Outcomes assigned to runs that have not ended and to runs with an unreadable `run.json`."""
INTEGER_COLUMNS = {
    *("number", STEPS_TO_SOLVE, "unstable_since", "differs_since"),
    *("diverged_at.step", "diverged_at.timestep"),
}
"""Columns of dtype Int64, even if no run has a value."""
TEXT_COLUMNS = ("run", "name", "folder", "mlflow_run_id", "mlflow_link")
CATEGORY_COLUMNS = ("sweep", "outcome", "metric", "regime", "git_commit", "host")
"""Columns of categorical dtype, even if no run has a value."""
FLOAT_COLUMNS = ("lr", "clip")
"""Columns of dtype float64, even if all values are integers."""


class _CompleteRunFile(RunFile):
    """Schema of a `run.json` file that contains all keys required to compare runs."""

    id: Name
    name: str
    number: Whole
    params: dict[str, str]
    tags: dict[str, str]


class RunEntry:
    """A run and its metadata.

    Attributes:
        stored: Location of the run's files.
        problem: Reason why the run is incomplete (`killed`, `failed: …`, `running`, `damaged: …`), or None.
        row: Value of each column of the data frame, except the sweep axes.
        axes: Value of each sweep axis that the run overrides.
    """

    def __init__(self, stored: StoredRun) -> None:
        """Read the run's metadata.

        Raises:
            ConnectionError: If a tracking server does not respond.
        """
        self.stored = stored
        self.info, outcome, self.problem = _read(stored)
        goal, tags = self.info.get("goal") or {}, self.info.get("tags") or {}
        summary = self.info.get("summary") or {}
        run_id, link = stored.mlflow_run_id, stored.mlflow_link
        if run_id is None:
            run_id, link = first_run_id(stored.local_folder)
        self.axes = {key: _value(text) for key, text in (self.info.get("params") or {}).items()}
        self.row = {
            "run": self.info.get("id", stored.folder),
            "name": self.info["name"],
            "sweep": tags.get("sweep"),
            "number": self.info.get("number"),
            "outcome": outcome,
            "metric": goal.get("metric"),
            "baseline": goal.get("baseline"),
            **({STEPS_TO_SOLVE: None} if goal.get("criterion") else {}),
            **dict(_columns(summary)),
            "started": self.info.get("started"),
            "git_commit": tags.get("git_commit"),
            "host": (self.info.get("machine") or {}).get("host"),
            "folder": stored.folder,
            "mlflow_run_id": run_id,
            "mlflow_link": link,
        }

    @property
    def sort_key(self) -> tuple[str, int, float]:
        """Return the sort key of the run: sweep, number within the sweep, and start time."""
        return self.row["sweep"] or "", self.row["number"] or 0, self.row["started"] or 0.0

    @cached_property
    def advance(self) -> Advance:
        """Return the progress of the run, by which one of several copies of the run is chosen.

        Raises:
            ConnectionError: If a tracking server does not respond.
        """
        return read_advance(self.info | {"outcome": self.row["outcome"]}, self.stored.file(METRICS_FILE))

    @cached_property
    def config(self) -> dict[str, Any]:
        """Return the resolved configuration, or an empty dictionary if its file cannot be read."""
        return read_config(self.stored.file(CONFIG_FILE))

    def value(self, axis: str) -> Any:
        """Return the run's value of a sweep axis.

        If the run does not override the axis, the value is read from the configuration of the run.

        """
        if axis in self.axes:
            return _without_null(axis, self.axes[axis])
        value: Any = self.config
        for part in axis.split("."):
            if not isinstance(value, dict) or part not in value:
                return None
            value = value[part]
        return _without_null(axis, value) if isinstance(value, int | float | str | None) else None


def _without_null(axis: str, value: Any) -> Any:
    return inf if value is None and axis in UNLIMITED else value


def _columns(summary: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    values = {key: summary[key] for key in summary if "/" in key or key in Summary.__annotations__}
    for key, value in flatten(values):
        if not isinstance(value, list) and key != "diverged_at":  # null if the run did not diverge
            yield key, value


def drop_copies(runs: Sequence[RunEntry]) -> list[RunEntry]:
    """Return one run per run id: the most advanced copy, or the first of equally advanced copies.

    Raises:
        ConnectionError: If a tracking server does not respond.
    """
    by_id: dict[str, RunEntry] = {}
    for run in runs:
        other = by_id.setdefault(run.row["run"], run)
        if other is not run and run.advance > other.advance:
            by_id[run.row["run"]] = run
    return list(by_id.values())


def runs_frame(runs: Sequence[RunEntry]) -> tuple[pd.DataFrame, list[str]]:
    """Return a data frame with one row per run, and the names of the columns that are sweep axes."""
    axes = list(dict.fromkeys(key for run in runs for key in run.axes))
    columns = {key: [run.value(key) for run in runs] for key in axes}
    names = list(dict.fromkeys(key for run in runs for key in run.row))
    head, tail = names[: names.index("metric")], names[names.index("metric") :]
    columns |= {key: [run.row.get(key) for run in runs] for key in names if key not in axes}
    ordered = [*head, *(key for key in axes if key not in names), *(key for key in tail if key not in axes)]
    frame = pd.DataFrame({key: _to_series(key, columns[key]) for key in ordered})
    frame["started"] = pd.to_datetime(frame["started"], unit="s", utc=True)
    return frame, [key for key in axes if key not in names]


def _read(stored: StoredRun) -> tuple[dict[str, Any], str, str | None]:
    try:
        info = parse_run_file(_CompleteRunFile, stored.file(RUN_FILE).read_bytes()).model_dump(
            exclude_unset=True
        )
    except FileNotFoundError:  # MLflow receives the file when the run ends
        if stored.info.get("status", RUNNING).lower() == RUNNING:
            return stored.info, RUNNING, RUNNING
        return stored.info, DAMAGED, f"{DAMAGED}: files not found at the location recorded in MLflow"
    except ConnectionError:
        raise
    except OSError as error:
        return stored.info, DAMAGED, f"{DAMAGED}: {RUN_FILE}: {error.strerror}"
    except ValueError as error:
        return stored.info, DAMAGED, f"{DAMAGED}: {error}"
    outcome = info["outcome"] or RUNNING
    why = (info.get("summary") or {}).get("error")
    is_complete = outcome in ENDED
    return info, outcome, None if is_complete else f"{outcome}: {why}" if why else outcome


def _value(text: str) -> Any:
    """Convert a string to the number, Boolean or None that it represents; return other strings unchanged."""
    if text in ("True", "False"):
        return text == "True"
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | None) else text


def _to_series(name: str, values: list[Any]) -> pd.Series:
    kinds = {type(value) for value in values if value is not None}
    if name in INTEGER_COLUMNS:
        return pd.Series([None if value is None else int(value) for value in values], dtype="Int64")
    if name in TEXT_COLUMNS:
        return pd.Series(values, dtype=str)
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and name not in FLOAT_COLUMNS and all(abs(v) < 2**63 for v in values if v is not None):
        return pd.Series(values, dtype="Int64")
    if kinds <= {int, float, bool} and name not in CATEGORY_COLUMNS:
        return pd.Series(values, dtype="float64")
    words = [None if value is None else str(value) for value in values]
    return pd.Series(pd.Categorical(words, categories=list(dict.fromkeys(w for w in words if w is not None))))
