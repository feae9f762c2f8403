"""Means of the conditions of a sweep, computed again from run folders and for constructed frames."""

import itertools
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.analysis.frames.run_collection import RunCollection
from rnnlab.analysis.report.conditions import (
    COMMON_DECAY,
    COMMON_LAG,
    LAG,
    LAST_STEP,
    TRAINED,
    UNTRAINED,
    Condition,
    Estimate,
    choose_metric,
    find_conditions,
    summarize_ends,
)
from rnnlab.analysis.report.page import _lag_curves, report_html
from rnnlab.analysis.report.tables import conditions_table
from tests.analysis.constructed import METRIC, sweep
from tests.analysis.many_runs import NAN
from tests.analysis.test_report import Page
from tests.processes import TINY, run, run_info


@given(values=st.lists(st.floats(-1e6, 1e6) | st.sampled_from([NAN, np.inf, -np.inf]), max_size=6))
def test_three_or_more_values_give_a_mean_with_a_t_interval(values: list[float]) -> None:
    finite = [value for value in values if np.isfinite(value)]
    found = Estimate.of(pd.Series(values, dtype="float64"))
    assert found.values == finite
    if not finite:
        assert (found.mean, found.low, found.high) == (None, None, None)
        return
    assert found.mean == pytest.approx(sum(finite) / len(finite), abs=1e-9)
    if len(finite) < 3:
        assert found.low is found.high is None
    else:
        half = scipy.stats.t.ppf(0.975, len(finite) - 1) * np.std(finite, ddof=1) / np.sqrt(len(finite))
        assert (found.low, found.high) == pytest.approx(
            (found.mean - half, found.mean + half), rel=1e-6, abs=1e-6
        )


def test_an_interval_ends_at_the_bounds_of_the_quantity() -> None:
    runs = pd.DataFrame(
        {"outcome": "finished", "grad/horizon": [0.0, 1.0, 20.0], "grad/clip_rate": [0.9, 1, 0.2]}
    )
    runs = runs.assign(
        **{"val/accuracy": [0.99, 0.9, 0.6], "val/loss": [0.1, 5.0, 0.2], TRAINED: [-1.0, 0.5, -2.0]}
    )
    condition = Condition({}, runs)
    for column, low, high in (
        ("grad/horizon", 0.0, None),
        ("grad/clip_rate", 0.0, 1.0),
        ("val/accuracy", None, 1.0),
        ("val/loss", 0.0, None),
        (TRAINED, None, None),
    ):
        limits = scipy.stats.ttest_1samp(runs[column], 0).confidence_interval(0.95)
        found = condition.estimate(column)
        assert found.low == pytest.approx(limits.low if low is None else low), column
        assert found.high == pytest.approx(limits.high if high is None else high), column


def test_a_metric_excludes_diverged_runs_and_a_gradient_does_not() -> None:
    runs = pd.DataFrame(
        {"outcome": ["finished", "diverged"], "val/loss": [1.0, 1e9], "grad/horizon": [3.0, 5.0]}
    )
    condition = Condition({}, runs)
    assert condition.estimate("val/loss").values == [1.0]
    assert condition.estimate("grad/horizon").values == [3.0, 5.0]
    assert condition.estimate("no such column").mean is None
    assert (condition.count("diverged"), condition.count("unstable")) == (1, 0)


def test_conditions_are_the_combinations_of_all_axes_but_the_seed() -> None:
    rows = [
        {"cell": cell, "clip": clip, "seed": seed, "outcome": "finished", "name": f"{cell} {clip} {seed}"}
        for seed, cell, clip in itertools.product((0, 1), ("rnn", "lstm"), (NAN, 1.0))
    ]
    runs = pd.DataFrame(
        [*rows, {"cell": "rnn", "clip": 1.0, "seed": 2, "outcome": "damaged", "name": "lost"}]
    )
    runs["cell"] = pd.Categorical(runs["cell"], categories=["rnn", "lstm"])
    found = find_conditions(runs, ["cell", "clip"])
    assert [(c.values["cell"], str(c.values["clip"])) for c in found] == [
        *(("rnn", "1.0"), ("rnn", "nan"), ("lstm", "1.0"), ("lstm", "nan")),
    ]
    assert [list(condition.runs["name"]) for condition in found] == [
        ["rnn 1.0 0", "rnn 1.0 1"],
        ["rnn nan 0", "rnn nan 1"],
        ["lstm 1.0 0", "lstm 1.0 1"],
        ["lstm nan 0", "lstm nan 1"],
    ]
    (alone,) = find_conditions(runs, [])
    assert alone.values == {} and len(alone.runs) == 8
    assert find_conditions(runs[runs["outcome"] == "damaged"], []) == []


def test_properties_of_a_condition() -> None:
    def condition(**columns: Any) -> Condition:
        return Condition({}, pd.DataFrame({"outcome": "finished", **columns}, index=range(3)))

    assert condition(**{LAG: [9.0, 9.0, NAN]}).lag == 9
    assert condition(**{LAG: [9.0, 19.0, 9.0]}).lag is None and condition().lag is None
    assert condition(**{"grad/censored": [0.0, 1.0, NAN]}).is_censored
    assert not condition(**{"grad/censored": [0.0, 0.0, NAN]}).is_censored and not condition().is_censored
    assert condition(**{LAST_STEP: [0.0, 0.0, NAN]}).is_untrained
    assert not condition(**{LAST_STEP: [0.0, 5.0, 0.0]}).is_untrained and not condition().is_untrained
    assert condition(**{"grad/gain": [0.0, 0.0, NAN]}).is_zero
    assert not condition(**{"grad/gain": [0.0, 0.1, 0.0]}).is_zero and not condition().is_zero


def test_diverged_runs_count_as_unsolved() -> None:
    runs = pd.DataFrame(
        {
            "task": ["adding"] * 4 + ["char_lm"],
            "outcome": ["finished", "finished", "diverged", "failed", "diverged"],
            "val/solved": [1.0, 0.0, NAN, NAN, NAN],
        }
    )
    found = find_conditions(runs, ["task"])
    assert [condition.solved for condition in found] == [(1, 3), None]
    assert [condition.solved for condition in find_conditions(runs.drop(columns="val/solved"), ["task"])] == [
        None,
        None,
    ]


def test_the_metric_of_several_tasks_is_the_loss() -> None:
    assert choose_metric(pd.DataFrame({"metric": ["val/mse", None, "val/mse"]})) == "val/mse"
    assert choose_metric(pd.DataFrame({"metric": ["val/mse", "val/bpc"]})) == "val/loss"
    assert choose_metric(pd.DataFrame({"metric": [None]}, dtype="object")) == "val/loss"


def curves_of(*curves: tuple[str, int, list[float]]) -> pd.DataFrame:
    """Return lag curves from lag 0, each given by run, training step and values."""
    rows = [
        {"run": run, "step": step, "lag": lag, "log10_gmean": value, "target": pd.NA}
        for run, step, values in curves
        for lag, value in enumerate(values)
    ]
    return pd.DataFrame(rows).astype({"run": "category", "lag": "Int64", "target": "Int64"})


def summary_of(runs: list[str], curves: pd.DataFrame | None) -> pd.DataFrame:
    collection = cast("RunCollection", SimpleNamespace(frame=pd.DataFrame({"run": runs})))
    return summarize_ends(collection, curves).set_index("run")


def test_decay_before_and_after_training() -> None:
    curves = curves_of(
        ("a", 0, [9.0, 1.0, 0.0, -4.0]),
        ("a", 50, [9.0, 2.0, 1.0, 0.5]),
        ("b", 0, [9.0, 0.0, -1.0, -2.0, NAN]),  # the gradient is 0 at the longest lag
        ("c", 7, [9.0, -1.0, 3.0]),
    )
    found = summary_of(["a", "b", "c", "d"], curves)
    np.testing.assert_allclose(found[UNTRAINED], [-5.0, NAN, 4.0, NAN])
    np.testing.assert_allclose(found[TRAINED], [-1.5, NAN, 4.0, NAN])
    np.testing.assert_allclose(found[LAG], [3, 4, 2, NAN])
    np.testing.assert_allclose(found[LAST_STEP], [50, 0, 7, NAN])
    np.testing.assert_allclose(found[COMMON_LAG], 2)
    np.testing.assert_allclose(found[COMMON_DECAY], [-1.0, -1.0, 4.0, NAN], err_msg="all at lag 2")


def test_a_recording_without_finite_gradients_has_no_curve() -> None:
    curves = curves_of(("a", 0, [0.0, 0.0, 2.0]), ("a", 7, [NAN, NAN, NAN]), ("b", 0, [NAN, NAN, NAN]))
    curves = curves.assign(quantity="state", layer=1)
    curves["zero_fraction"] = np.where(curves["run"] == "b", 1.0, NAN)  # all gradients of run b are exactly 0
    collection = cast("RunCollection", SimpleNamespace(gradients=lambda *_: curves))
    found = _lag_curves(collection)
    assert found is not None
    assert found[["run", "step"]].drop_duplicates().to_numpy().tolist() == [["a", 0], ["b", 0]]
    assert summary_of(["a", "b"], found)[LAST_STEP].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("curves", [None, curves_of(("a", 0, [1.0]))[:0], curves_of(("a", 0, [1.0]))])
def test_without_a_curve_there_is_no_decay(curves: pd.DataFrame | None) -> None:
    assert list(summary_of(["a"], curves)) == []


def test_curves_from_other_targets_are_ignored() -> None:
    other = curves_of(("a", 0, [0.0, 5.0, 5.0])).assign(target=3).astype({"target": "Int64"})
    both = pd.concat([curves_of(("a", 0, [0.0, 1.0, -1.0])), other])
    assert summary_of(["a"], both)[TRAINED].tolist() == [-2.0]


def test_the_outcome_of_a_single_run_stands_alone() -> None:
    rows = [{"cell": "rnn", "outcome": "diverged"}, {"cell": "lstm"}, {"cell": "gru", "outcome": "unstable"}]
    rows += [{"cell": "gru"}]
    table = conditions_table(find_conditions(sweep(*rows), ["cell"]), ["cell"], METRIC)
    assert table is not None
    counts = {row[0].text: row[1].text for row in table.rows}
    assert counts == {"rnn": "1 diverged", "lstm": "1", "gru": "2, 1 unstable"}


def test_the_results_of_a_sweep_are_those_of_its_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Read the gradient tables and summaries without the loaders, and compute the table and the answer again."""
    folder = tmp_path_factory.mktemp("sweep")
    axes = ("cell=rnn,lstm", "seq_len=9,17", "seed=0,1,2")
    words = [word for word in TINY if not word.startswith("seq_len")]
    done = run(folder, "-m", *axes, *words, "lr=0.05", "val_every=6", "figures=false", "tracking=none")
    assert done.code == 0, done.err
    trained: dict[tuple[str, str], dict[str, float]] = {}
    common: dict[tuple[str, str], dict[str, float]] = {}
    horizons: dict[tuple[str, str], list[float]] = {}
    metric: dict[tuple[str, str], list[float]] = {}
    for path in done.runs.values():
        info, table = run_info(path), pd.read_parquet(path / "gradients.parquet")
        key = info["params"]["cell"], info["params"]["seq_len"]
        curve = table[(table["quantity"] == "state") & table["lag"].notna() & table["target"].isna()]
        curve = curve[curve["step"] == curve["step"].max()].set_index("lag")["log10_gmean"]
        trained.setdefault(key, {})[info["params"]["seed"]] = curve[int(key[1]) - 1] - curve[1]
        common.setdefault(key, {})[info["params"]["seed"]] = curve[8] - curve[1]
        horizons.setdefault(key, []).append(info["summary"]["grad/horizon"])
        metric.setdefault(key, []).append(info["summary"]["val/bpc"])
    page = Page(report_html(folder))
    head, *rows = page.tables["results"]
    assert len(rows) == 4
    for row in rows:
        cells = dict(zip(head, row, strict=True))
        key = cells["cell"], cells["seq_len"]
        limits = scipy.stats.ttest_1samp(list(trained[key].values()), 0).confidence_interval(0.95)
        expected = [np.mean(list(trained[key].values())), limits.low, limits.high]
        shown = [float(word.replace("−", "-")) for word in cells["trained decay"].strip(")").replace("(", "").split() if word != "to"]  # fmt: skip
        np.testing.assert_allclose(shown, expected, atol=0.0501)
        assert cells["horizon"].removeprefix("≥ ").split()[0] == f"{np.mean(horizons[key]):.0f}"
        assert cells["val/bpc"].split()[0] == f"{np.mean(metric[key]):.3f}"
        assert cells["lag K"] == str(int(key[1]) - 1) and cells["runs"] == "3"
    means = {key: np.mean(list(values.values())) for key, values in common.items()}
    totals = {cell: sum(means[cell, length] for length in ("9", "17")) for cell in ("rnn", "lstm")}
    best, worst = sorted(totals, key=totals.__getitem__, reverse=True)
    differences = [
        np.mean([common[best, length][seed] - common[worst, length][seed] for seed in ("0", "1", "2")])
        for length in ("9", "17")
    ]
    low, high = (f"{value:.1f}" for value in sorted(differences))
    first = page.pictures[0]
    amount = low if low == high else f"{low} to {high}"
    assert first.startswith(f"After training, {best} keeps {amount} decades (")
    assert f") more of the gradient than {worst} at lag 8" in first
