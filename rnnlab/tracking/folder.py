"""A run's own folder: written first, complete, and the truth about the run.

| file | what |
| --- | --- |
| `run.json` | name, sweep, overrides, versions; at the end outcome and summary |
| `config.yaml` | the resolved configuration |
| `metrics.jsonl` | one object a training step, metrics by name; appended while training |
| `gradients.parquet` | gradient norms by step × time step and by step × lag (`records.GRADIENT_COLUMNS`) |
| `weights.safetensors` | the final weights |
| `figures/`, `sample.txt` … | what a person looks at |
"""

import json
import os
import time
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rnnlab.arrays import Params
from rnnlab.records import (
    CONFIG_FILE,
    GRADIENT_COLUMNS,
    GRADIENTS_FILE,
    METRICS_FILE,
    RUN_FILE,
    STEPS_PER_SECOND,
    WEIGHTS_FILE,
    Curve,
    Outcome,
    StepRecord,
)

FLUSH_SECONDS = 0.2


class RunFolder:
    """Writes one run. Use it as a context: whatever happens inside, what was recorded is kept."""

    def __init__(self, folder: Path, info: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Make the folder, which must not exist yet, and note what is known before the run."""
        folder.mkdir(parents=True, exist_ok=False)
        self.folder = folder
        self._info = {**info, "outcome": None, "started": time.time()}
        (folder / CONFIG_FILE).write_text(
            yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        self._metrics = (folder / METRICS_FILE).open("a", encoding="utf-8")
        self._curves: list[tuple[int, Curve]] = []
        self._began = self._clock = self._flushed = time.perf_counter()
        write_run_info(folder, self._info)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self._metrics.close()
        self._write_gradients()

    def write(self, record: StepRecord) -> None:
        """Append a step's metrics; a reader sees them within a fraction of a second."""
        now = time.perf_counter()
        row = {
            "step": record.step,
            "seconds": round(now - self._began, 4),
            **record.metrics,
            STEPS_PER_SECOND: round(1 / max(now - self._clock, 1e-9), 1),
        }
        self._metrics.write(json.dumps(row, allow_nan=False) + "\n")
        self._clock = now
        if now - self._flushed > FLUSH_SECONDS:
            self._metrics.flush()
            self._flushed = now
        self._curves += [(record.step, curve) for curve in record.gradients]

    def finish(self, outcome: Outcome, summary: Mapping[str, Any]) -> None:
        """Note how the run ended; called last, when everything else is in place."""
        self._info |= {"outcome": outcome, "ended": time.time(), "summary": dict(summary)}
        write_run_info(self.folder, self._info)

    def write_weights(self, params: Params) -> None:
        """Keep the weights under their names."""
        from safetensors.numpy import save_file

        save_file(
            {name: np.ascontiguousarray(value) for name, value in params.items()}, self.folder / WEIGHTS_FILE
        )

    def write_text(self, name: str, text: str) -> None:
        """Keep a text that a task made."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def _write_gradients(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, list[Any]] = {name: [] for name in GRADIENT_COLUMNS}
        for step, curve in self._curves:
            size = len(curve.index)
            nothing = [None] * size
            columns["step"] += [step] * size
            columns["quantity"] += [curve.quantity] * size
            columns["timestep"] += curve.index.tolist() if curve.axis == "timestep" else nothing
            columns["lag"] += curve.index.tolist() if curve.axis == "lag" else nothing
            columns["target"] += [curve.target] * size
            for name in GRADIENT_COLUMNS[5:]:
                columns[name] += [value if isfinite(value) else None for value in getattr(curve, name)]
        types = [pa.int64(), pa.dictionary(pa.int32(), pa.string()), pa.int64(), pa.int64(), pa.int64()]
        types += [pa.float64()] * len(GRADIENT_COLUMNS[5:])
        schema = pa.schema(list(zip(GRADIENT_COLUMNS, types, strict=True)))
        pq.write_table(pa.table(columns, schema), self.folder / GRADIENTS_FILE)


def write_run_info(folder: Path, info: Mapping[str, Any]) -> None:
    """Replace `run.json` in one move, so that a reader never sees half of it."""
    scratch = folder / f"{RUN_FILE}.new"
    scratch.write_text(json.dumps(info, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    os.replace(scratch, folder / RUN_FILE)


def read_run_info(folder: Path) -> dict[str, Any] | None:
    """What is known of a run, or None where its folder does not exist yet."""
    try:
        info: dict[str, Any] = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return info


class MetricsReader:
    """Reads a growing `metrics.jsonl`, each row once."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / METRICS_FILE
        self._position = 0

    def new_rows(self) -> list[dict[str, Any]]:
        """The complete rows written since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                written = file.read()
        except FileNotFoundError:
            return []
        complete = written[: written.rfind(b"\n") + 1]
        self._position += len(complete)
        return [json.loads(line) for line in complete.splitlines()]
