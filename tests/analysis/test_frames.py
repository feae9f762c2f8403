from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rnnlab.analysis.frames import read_gradients, read_metrics
from rnnlab.records import GRADIENT_COLUMNS
from tests.commands import Done, metric_rows


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_metrics_are_a_row_a_step(sweep: Done, cell: str) -> None:
    frame, rows = read_metrics(sweep.runs[cell]), metric_rows(sweep.runs[cell])
    assert frame["step"].dtype == np.int64 and frame["train/loss"].dtype == np.float64
    assert frame["step"].tolist() == [row["step"] for row in rows]
    assert frame["val/loss"].dropna().tolist() == [row["val/loss"] for row in rows if "val/loss" in row]
    assert frame["train/loss"].tolist()[:-1] == [row["train/loss"] for row in rows[:-1]]
    assert np.isnan(frame["train/loss"].iloc[-1])


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_gradients_are_long_with_whole_numbers_that_may_be_missing(sweep: Done, cell: str) -> None:
    frame = read_gradients(sweep.runs[cell])
    assert tuple(frame.columns) == GRADIENT_COLUMNS
    assert frame["step"].dtype == np.int64
    assert frame["timestep"].dtype == frame["lag"].dtype == pd.Int64Dtype()
    assert isinstance(frame["quantity"].dtype, pd.CategoricalDtype)
    assert frame[["mean", "median", "max", "log10_gmean", "zero_fraction"]].dtypes.eq(np.float64).all()
    assert (frame["timestep"].isna() ^ frame["lag"].isna()).all()


def test_a_value_that_never_was_finite_is_nan(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 0, "train/loss": null}\n{"step": 1, "val/loss": 2.5}\n')
    frame = read_metrics(tmp_path)
    assert frame["train/loss"].isna().all() and frame["val/loss"].tolist()[1] == 2.5


def test_half_a_row_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 0, "train/loss": 2.5}\n{"step": 1, "train/')
    assert read_metrics(tmp_path).to_dict("list") == {"step": [0], "train/loss": [2.5]}


def test_a_run_that_failed_before_its_first_step_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("")
    assert len(read_metrics(tmp_path)) == 0
