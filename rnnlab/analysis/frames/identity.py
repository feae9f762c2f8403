"""Bitwise comparison of two run folders."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from rnnlab.analysis.frames.run_tables import (
    gradients_table,
    metrics_table,
    read_gradients,
    read_metrics,
)
from rnnlab.records import GRADIENTS_FILE, METRICS_FILE, TIMING_COLUMNS, WEIGHTS_FILE
from rnnlab.user_files import error_reason


def find_differences(first: Path, second: Path) -> list[str]:
    """Return one message per difference between two run folders, ignoring recorded times.

    An empty list means that the two runs are bit-identical.
    """
    return [*_weights(first, second), *_metrics(first, second), *_gradients(first, second)]


def find_unreadable_files(folder: Path) -> list[str]:
    """Return one message per unreadable file in a run folder, with the reason."""
    readers: dict[str, Callable[[Path], object]] = {
        WEIGHTS_FILE: load_file,
        METRICS_FILE: metrics_table,
        GRADIENTS_FILE: gradients_table,
    }
    problems = []
    for file, read in readers.items():
        try:
            read(folder / file)
        except Exception as error:  # parsing a damaged file may raise anything
            message = error_reason(error)
            problems.append(message if file in message else f"{file}: {message}")
    return problems


def _weights(first: Path, second: Path) -> Iterator[str]:
    one, other = load_file(first / WEIGHTS_FILE), load_file(second / WEIGHTS_FILE)
    if {name: (w.shape, w.dtype) for name, w in one.items()} != {
        name: (w.shape, w.dtype) for name, w in other.items()
    }:
        yield "weights: names, shapes or types differ"
        return
    differing = [name for name, w in one.items() if w.tobytes() != other[name].tobytes()]
    if differing:
        with np.errstate(all="ignore"):
            largest = max(float(np.abs(one[name] - other[name]).max()) for name in differing)
        yield f"weights: {', '.join(differing)} differ by at most {largest:.2g}"


def _metrics(first: Path, second: Path) -> Iterator[str]:
    one, other = _by_step(first), _by_step(second)
    if list(one.index) != list(other.index):
        yield f"metrics: the steps differ ({len(one)} and {len(other)} rows)"
    common = one.index.intersection(other.index)
    if set(one) != set(other):
        yield f"metrics: present in only one run: {', '.join(sorted(map(str, set(one) ^ set(other))))}"
    for name in (name for name in one if name in other):
        a, b = one[name].loc[common].to_numpy(), other[name].loc[common].to_numpy()
        differs = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        if differs.any():
            at = int(differs.argmax())
            yield f"metrics: {name} first differs at step {common[at]}: {float(a[at])!r} and {float(b[at])!r}"


def _by_step(folder: Path) -> pd.DataFrame:
    metrics = read_metrics(folder)
    if metrics.empty:
        return metrics
    return metrics.drop(columns=list(TIMING_COLUMNS), errors="ignore").set_index("step")


def _gradients(first: Path, second: Path) -> Iterator[str]:
    one, other = read_gradients(first), read_gradients(second)
    if not one.astype({"quantity": str}).equals(other.astype({"quantity": str})):
        yield f"gradients: the tables differ ({len(one)} and {len(other)} rows)"
