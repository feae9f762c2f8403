"""Each kind of difference between two runs is found, and identical runs show none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from rnnlab.analysis.frames.identity import find_differences
from rnnlab.analysis.frames.run_tables import read_gradients
from rnnlab.records import Curve, StepRecord
from rnnlab.runs.folder import RunFolder

Weights = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("one") / "run"
    with RunFolder(path, {"steps": 3}, {}) as folder:
        for step in range(3):
            values = np.array([1.0, np.nan])
            curve = Curve("h", "lag", np.arange(2), values, values, values, values, values)
            metrics = {"train/loss": 1 / (step + 3), "grad/norm": None if step == 2 else 1.0}
            folder.write(StepRecord(step, metrics, (curve,)))
        folder.write(StepRecord(3, {"val/loss": 0.1}))
        folder.write_weights({"W_hh": np.array([[1.0, 0.0], [np.nan, np.inf]]), "b_h": np.ones(2)})
    return path


@pytest.fixture
def other(run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(run, tmp_path / "other")


def change_rows(folder: Path, change: Callable[[list[dict[str, float]]], object]) -> None:
    path = folder / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    change(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def change_weights(folder: Path, change: Callable[[Weights], object]) -> None:
    weights = load_file(folder / "weights.safetensors")
    change(weights)
    save_file(weights, folder / "weights.safetensors")


def test_a_run_equals_its_repetition_except_for_the_clock(run: Path, other: Path) -> None:
    assert find_differences(run, run) == []

    def slower(rows: list[dict[str, float]]) -> None:
        for row in rows:
            row |= {"seconds": row["seconds"] + 5, "time/steps_per_second": 0.1}

    change_rows(other, slower)
    (other / "run.json").write_text("{}")  # describes the run's origin
    assert find_differences(run, other) == find_differences(other, run) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.update(more=np.ones(1)), "weights: names, shapes or types differ"),
        (lambda w: w.pop("b_h"), "weights: names, shapes or types differ"),
        (lambda w: w.update(b_h=np.ones((2, 1))), "weights: names, shapes or types differ"),
        (lambda w: w.update(b_h=np.ones(2, np.float32)), "weights: names, shapes or types differ"),
        (lambda w: w.update(b_h=np.array([1.0, 1.25])), "weights: b_h differ by at most 0.25"),
        (lambda w: w.update(W_hh=np.array([[1, -0.0], [np.nan, np.inf]])), "weights: W_hh differ"),
    ],
)
def test_differing_weights_are_found(
    run: Path, other: Path, change: Callable[[Weights], object], message: str
) -> None:
    change_weights(other, change)
    for found in (find_differences(run, other), find_differences(other, run)):
        assert len(found) == 1 and found[0].startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1].update({"train/loss": 7.0}), "metrics: train/loss first differs at step 1: "),
        (lambda rows: rows[1].update({"train/loss": None}), "metrics: train/loss first differs at step 1: "),
        (lambda rows: rows[2].update({"grad/norm": 1.0}), "metrics: grad/norm first differs at step 2: "),
        (lambda rows: rows[3].update({"val/more": 1.0}), "metrics: present in only one run: val/more"),
        (lambda rows: rows.append({"step": 4, "val/loss": 1.0}), "metrics: "),
    ],
)
def test_differing_metrics_are_found(
    run: Path, other: Path, change: Callable[..., object], message: str
) -> None:
    change_rows(other, change)
    for found in (find_differences(run, other), find_differences(other, run)):
        assert len(found) == 1 and found[0].startswith(message)


def test_all_differing_metrics_are_reported(run: Path, other: Path) -> None:
    change_rows(other, lambda rows: [row.update({"train/loss": 9.0, "val/loss": 9.0}) for row in rows])
    change_weights(other, lambda weights: weights.update(b_h=np.zeros(2)))
    assert len(find_differences(run, other)) == 3


def test_equally_many_but_different_steps_count_as_a_difference(run: Path, other: Path) -> None:
    change_rows(other, lambda rows: rows[-1].update(step=4))
    assert find_differences(run, other) and find_differences(other, run)


@given(step=st.integers(0, 2), ulps=st.sampled_from([-1, 1]))
@settings(max_examples=6)
def test_the_last_bit_counts(
    run: Path, tmp_path_factory: pytest.TempPathFactory, step: int, ulps: int
) -> None:
    other = shutil.copytree(run, tmp_path_factory.mktemp("bit") / "other")
    loss = float(np.nextafter(1 / (step + 3), ulps * np.inf))
    change_rows(other, lambda rows: rows[step].update({"train/loss": loss}))
    (found,) = find_differences(run, other)
    assert f"at step {step}: " in found and repr(loss) in found


@pytest.mark.parametrize("column", ["step", "quantity", "lag", "target", "mean", "log10_gmean"])
def test_another_table_of_gradients_is_found(run: Path, other: Path, column: str) -> None:
    table = read_gradients(run).astype({"quantity": str})
    table.loc[0, column] = "c" if column == "quantity" else 5
    table.to_parquet(other / "gradients.parquet")
    assert find_differences(run, other) == ["gradients: the tables differ (6 and 6 rows)"]
    table.iloc[:4].to_parquet(other / "gradients.parquet")
    assert find_differences(run, other) == ["gradients: the tables differ (6 and 4 rows)"]


def test_runs_that_failed_at_the_start_can_be_compared(run: Path, tmp_path: Path) -> None:
    """The files exist but contain no rows."""
    for name in "ab":
        with RunFolder(tmp_path / name, {"steps": 3}, {}) as folder:
            folder.write_weights({"b_h": np.ones(2)})
    assert find_differences(tmp_path / "a", tmp_path / "b") == []
    assert find_differences(run, tmp_path / "a")
