"""Tests of `python -m rnnlab -m cell=rnn,lstm` from an empty folder to the run folders."""

import json
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file

from rnnlab import __version__
from rnnlab.diagnostics import Schedule
from rnnlab.mlflow_mirror.links import charts_link
from rnnlab.records import GRADIENT_COLUMNS
from rnnlab.tasks import CharLM
from tests.processes import TINY, Done, metric_rows, run, run_info
from tests.surroundings import ROOT, environment

FILES = {
    ".mirroring",
    ".running",
    "config.yaml",
    *(
        f"figures/{name}.{kind}"
        for name in ("lag_curves", "time_heatmap", "contributions", "gates", "clipping", "loss", "verdict")
        for kind in ("png", "svg")
    ),
    "gradients.parquet",
    "run.log",
    "metrics.jsonl",
    "mlflow.json",
    "run.json",
    "sample.txt",
    "weights.safetensors",
}
SYMBOLS = CharLM(9, 4, None, True, "every", 0.1, 0, 1.0).symbols
LAG_CURVES_AT = [*range(5), *sorted(Schedule(5, 8, every=None, on_spike=True).points(12) - set(range(5))), 12]
CELLS = pytest.mark.parametrize("cell", ["rnn", "lstm"])


def test_it_ends_with_exit_code_0_and_no_output(sweep: Done) -> None:
    assert (sweep.code, sweep.err) == (0, "")
    assert list(sweep.runs) == ["rnn", "lstm"]
    assert {path.name for path in sweep.folder.iterdir()} - {"mlflow.db.lock"} == {
        "mlflow.db",
        "mlartifacts",
        "multirun",
    }


def test_the_table_has_one_line_per_run(sweep: Done) -> None:
    lines = [re.split(r"  +", line.strip()) for line in sweep.out.splitlines()]
    start = lines.index(["cell", "val/bpc", "baseline", "gain", "horizon", "clip rate", "outcome", "seconds"])
    for name, line in zip(["rnn", "lstm"], lines[start + 1 :], strict=False):
        summary = run_info(sweep.runs[name])["summary"]
        assert line[:3] == [name, f"{summary['val/bpc']:.3f}", f"{summary['val/baseline']:.3f}"]
        assert line[3] == f"{10 ** summary['grad/log10_gain']:.3f}"
        assert line[4] == f"≥ {summary['grad/horizon']:.0f}" and summary["grad/censored"]
        assert line[5:7] == [f"{summary['grad/clip_rate']:.1%}", "finished"]


def test_paths_of_further_results_are_printed(sweep: Done) -> None:
    folder = sweep.runs["rnn"].parent
    name = f"{folder.parent.name}_{folder.name}"
    assert f"Files: {folder.relative_to(sweep.folder)}\n" in sweep.out
    assert re.search(r"python\S* -m rnnlab\.ui", sweep.out)
    link = sweep.out.splitlines()[-1]
    assert link == charts_link(sweep.uri, "1", name)


def test_the_sweep_lists_its_runs(sweep: Done) -> None:
    folder = sweep.runs["rnn"].parent
    listed = json.loads((folder / "sweep.json").read_text())
    assert listed["sweep"] == f"{folder.parent.name}_{folder.name}"
    assert list(listed["runs"]) == [path.name for path in sweep.runs.values()] == ["0_rnn", "1_lstm"]
    assert listed["runs"] == {path.name: run_info(path)["identity"] for path in sweep.runs.values()}
    assert len(set(listed["runs"].values())) == 2


@CELLS
def test_a_run_folder_is_complete(sweep: Done, cell: str) -> None:
    folder = sweep.runs[cell]
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    dirty = run_info(folder)["tags"].get("git_commit", "").endswith("-dirty")
    assert {file for file in files if "timeline" not in file} == FILES | ({"code.diff"} if dirty else set())
    steps = [int(path.stem) for path in sorted((folder / "figures" / "timeline").iterdir())]
    assert len(steps) == 5 and (steps[0], steps[-1]) == (0, 12)


@CELLS
def test_the_configuration_is_kept_resolved(sweep: Done, cell: str) -> None:
    config = yaml.safe_load((sweep.runs[cell] / "config.yaml").read_text())
    assert config["cell"]["_target_"].endswith({"rnn": "Vanilla", "lstm": "LSTM"}[cell])
    assert (config["hidden_size"], config["clip"], config["lr"]) == (8, 1.0, 0.002)
    assert "hydra" not in config


@CELLS
def test_the_facts_about_a_run(sweep: Done, cell: str) -> None:
    info = run_info(sweep.runs[cell])
    assert (info["name"], info["outcome"], info["steps"]) == (cell, "finished", 12)
    assert info["overrides"][0] == f"cell={cell}" and "steps=12" in info["overrides"]
    assert info["started"] < info["ended"]
    assert info["tags"]["rnnlab_version"] == __version__
    assert info["dataset"]["name"] == "shakespeare-sonnets" and len(info["dataset"]["digest"]) == 16
    last = metric_rows(sweep.runs[cell])[-1]
    assert {key: info["summary"][key] for key in ("val/loss", "val/bpc")} == {
        key: last[key] for key in ("val/loss", "val/bpc")
    }


def test_the_commit_is_recorded_if_available(sweep: Done) -> None:
    tags = run_info(sweep.runs["rnn"])["tags"]
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    if git.returncode:
        assert "git_commit" not in tags
    else:
        assert tags["git_commit"].removesuffix("-dirty") == git.stdout.strip()
        dirty, diff = tags["git_commit"].endswith("-dirty"), sweep.runs["rnn"] / "code.diff"
        assert diff.read_text().startswith("diff --git ") if dirty else not diff.exists()


@CELLS
def test_every_step_has_its_metrics(sweep: Done, cell: str) -> None:
    rows = metric_rows(sweep.runs[cell])
    assert [row["step"] for row in rows] == list(range(13))
    every_step = ["train/loss", "grad/norm", "grad/norm_clipped", "grad/clip_coefficient", "grad/clipped"]
    for row in rows[:-1]:
        assert all(np.isfinite(row[key]) for key in [*every_step, "grad/clip_rate", "time/steps_per_second"])
    assert [row["step"] for row in rows if "val/loss" in row] == [0, 6, 12]
    assert [row["step"] for row in rows if "grad/log10_gain" in row] == LAG_CURVES_AT


@CELLS
def test_the_summary_has_quantiles_of_the_norms(sweep: Done, cell: str) -> None:
    norms = [row["grad/norm"] for row in metric_rows(sweep.runs[cell]) if "grad/norm" in row]
    summary = run_info(sweep.runs[cell])["summary"]
    for name, share in {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}.items():
        assert summary[f"grad/norm_{name}"] == pytest.approx(np.quantile(norms, share), rel=1e-12)


@CELLS
def test_the_table_of_gradients(sweep: Done, cell: str) -> None:
    frame = pd.read_parquet(sweep.runs[cell] / "gradients.parquet")
    states = {"rnn": {"h"}, "lstm": {"h", "c"}}[cell]
    assert tuple(frame.columns) == GRADIENT_COLUMNS
    assert (frame["timestep"].isna() ^ frame["lag"].isna()).all()
    by_time, by_lag = frame[frame["timestep"].notna()], frame[frame["lag"].notna()]
    assert set(by_lag["quantity"]) == states | {"state", "x", "dW_hh"} | (
        {"forget_product"} if "c" in states else set()
    )
    assert by_lag["target"].isna().all()
    assert set(by_time["quantity"]) >= states | {f"{state}_immediate" for state in states}
    by_lag = by_lag[by_lag["quantity"].isin(states)]
    for rows, axis, index in ((by_time, "timestep", range(1, 10)), (by_lag, "lag", range(9))):
        for _, curve in rows.groupby(["step", "quantity"], observed=True):
            assert curve[axis].tolist() == list(index)
        assert sorted(set(rows["step"])) == LAG_CURVES_AT
    statistics = by_lag[["mean", "median", "max"]].to_numpy()
    assert np.isfinite(statistics).all() and (statistics > 0).all()
    assert (by_lag["max"] >= by_lag["mean"]).all()
    gmean = 10 ** by_lag["log10_gmean"]
    assert (gmean <= by_lag["mean"] * (1 + 1e-9)).all() and (by_lag["zero_fraction"] == 0).all()


@CELLS
def test_figures_are_pictures(sweep: Done, cell: str) -> None:
    for file in (sweep.runs[cell] / "figures").rglob("*.png"):
        picture = matplotlib.image.imread(file)
        assert picture.shape[0] > 300 and picture.shape[1] > 400
        assert len(np.unique(picture[..., :3].reshape(-1, 3), axis=0)) > 20, f"{file.name} is blank"


@CELLS
def test_the_weights_load_under_their_names(sweep: Done, cell: str) -> None:
    weights = load_file(sweep.runs[cell] / "weights.safetensors")
    rows = {"rnn": 8, "lstm": 32}[cell]
    assert {name: value.shape for name, value in weights.items()} == {
        "W_xh": (rows, len(SYMBOLS)),
        "W_hh": (rows, 8),
        "b_h": (rows, 1),
        "W_hy": (len(SYMBOLS), 8),
        "b_y": (len(SYMBOLS), 1),
    }
    assert all(value.dtype == np.float32 and np.isfinite(value).all() for value in weights.values())


@CELLS
def test_a_text_sample_is_drawn(sweep: Done, cell: str) -> None:
    text = (sweep.runs[cell] / "sample.txt").read_bytes().decode()
    assert len(text) == 500 and set(text) <= set(SYMBOLS) and len(set(text)) > 10


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """One run, without tracking."""
    folder = tmp_path_factory.mktemp("single")
    return run(folder, *TINY, "seed=3", "probe=none", "tracking=none")


def test_a_single_run_goes_to_outputs(single: Done) -> None:
    assert (single.code, single.err) == (0, "")
    assert [path.name for path in single.folder.iterdir()] == ["outputs"]
    (folder,) = single.runs.values()
    assert folder.parent.parent == single.folder / "outputs"
    assert run_info(folder)["outcome"] == "finished"


def test_a_terminal_without_unicode_shows_the_table(tmp_path: Path) -> None:
    done = run(tmp_path, *TINY, "tracking=none", PYTHONIOENCODING="ascii")
    assert (done.code, done.err) == (0, "")
    assert "? 8" in done.out  # for ≥ 8


def test_a_run_without_recordings_omits_the_curves(single: Done) -> None:
    (folder,) = single.runs.values()
    assert {path.stem for path in (folder / "figures").iterdir()} == {"loss", "clipping", "verdict"}
    frame = pd.read_parquet(folder / "gradients.parquet")
    assert tuple(frame.columns) == GRADIENT_COLUMNS and frame.empty
    assert not any("log10" in key for row in metric_rows(folder) for key in row)


ONE_ORDER = f"""
import multiprocessing, os, threadpoolctl
from rnnlab.app import check as orders
from rnnlab.app.launchers import pool
from rnnlab.app.config.compose import compose_plan
from rnnlab.paths import conf_dir

def threads():
    return {{library["filepath"]: library["num_threads"] for library in threadpoolctl.threadpool_info()}}

here, there = multiprocessing.Pipe()
here.send(orders.check(compose_plan(conf_dir(), {[*TINY, "tracking=none"]}, multirun=False)).orders[0])
here.close()  # there are no more
before = threads()
pool._work(there, os.getppid())
after = threads()
print(set(before.values()), {{after[library] for library in before}})
"""


def test_a_worker_uses_one_thread(tmp_path: Path) -> None:
    """Check the thread count at the start and after a run; plotting may load another BLAS library."""
    settings = environment(OPENBLAS_NUM_THREADS="2", OMP_NUM_THREADS="2", MKL_NUM_THREADS="2")
    command = [sys.executable, "-c", ONE_ORDER]
    done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("{2} {1}", "{1} {1}")  # a machine may have one core
    (folder,) = (file.parent for file in tmp_path.glob("outputs/*/*/run.json"))
    assert run_info(folder)["outcome"] == "finished" and (folder / "figures" / "loss.png").is_file()


def test_a_sweep_over_tasks_reports_each_metric_and_the_solved_step(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "task=latch,series", "seq_len=5", "steps=300", "val_every=50", "lr=0.01",
               "hidden_size=16", "probe=none", "tracking=none", "figures=false")  # fmt: skip
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("task "))
    header, latch, series = (re.split(r"  +", line.strip()) for line in lines[start : start + 3])
    assert header[:3] == ["task", "validation", "baseline"] and header[-3:-1] == ["outcome", "solved at"]
    info = run_info(done.runs["latch"])
    assert info["summary"]["val/solved"] == 1 and 0 < info["summary"]["steps_to_solve"] <= 300
    assert latch[:3] == ["latch", "val/error_rate 0.000", "0.500"]
    assert latch[-2] == f"{info['summary']['steps_to_solve']:.0f}"
    assert series[1].startswith("val/mse ") and series[-2] == "–"


def test_a_run_that_stops_when_solved_is_complete(tmp_path: Path) -> None:
    done = run(tmp_path, "task=latch", "seq_len=5", "steps=1000", "val_every=20", "lr=0.01", "hidden_size=16",
               "stop_when_solved=true", "tracking=none")  # fmt: skip
    assert (done.code, done.err) == (0, "")
    (folder,) = done.runs.values()
    info = run_info(folder)
    last = metric_rows(folder)[-1]
    assert info["outcome"] == "finished"
    assert last["step"] == info["summary"]["steps_to_solve"] < 1000
    assert (folder / "figures" / "verdict.png").is_file() and (folder / "weights.safetensors").is_file()
