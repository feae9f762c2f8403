"""Tests that one configuration gives bit-identical results, regardless of parallel runs."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.processes import TINY, Done, metric_rows, run

TIMING = {"seconds", "time/steps_per_second"}
CELLS = pytest.mark.parametrize("cell", ["rnn", "lstm"])


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Repeat the session's sweep with one worker instead of two, without MLflow, with and without a probe."""
    axes = ("cell=rnn,lstm", "probe=standard,none", "jobs=1", "tracking=none", "val_every=6", "figures=false")
    done = run(tmp_path_factory.mktemp("again"), "-m", *axes, *TINY)
    assert (done.code, done.err) == (0, "")
    assert {path.name for path in done.folder.iterdir()} == {"multirun"}  # no database
    return done


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def without_timing(folder: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in TIMING} for row in metric_rows(folder)]


@CELLS
def test_repeated_runs_are_identical(sweep: Done, again: Done, cell: str) -> None:
    first, second = sweep.runs[cell], again.runs[f"{cell} standard"]
    assert weights(first) == weights(second)
    assert without_timing(first) == without_timing(second)
    frames = [pd.read_parquet(folder / "gradients.parquet") for folder in (first, second)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    assert (first / "sample.txt").read_text() == (second / "sample.txt").read_text()


@CELLS
def test_recording_changes_nothing(again: Done, cell: str) -> None:
    recorded, bare = again.runs[f"{cell} standard"], again.runs[f"{cell} none"]
    assert weights(recorded) == weights(bare)
    rows = without_timing(bare)
    assert [
        {key: row[key] for key in own} for own, row in zip(rows, without_timing(recorded), strict=True)
    ] == rows


def test_the_comparison_can_fail(sweep: Done, again: Done) -> None:
    assert weights(sweep.runs["rnn"]) != weights(again.runs["lstm standard"])
    assert len({row["train/loss"] for row in without_timing(sweep.runs["rnn"])[:-1]}) == 12
