"""Frames of tracked runs are the same from folders, a database and a server, even for incomplete runs."""

import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.analysis import (
    IncompleteRuns,
    MLflowRuns,
    load_gradients,
    load_metrics,
    load_runs,
)
from rnnlab.analysis.frames.run_collection import DEFAULT_AXES
from rnnlab.analysis.report.page import write_report
from rnnlab.mlflow_mirror.links import run_link
from rnnlab.records import GRADIENT_COLUMNS, Curve, StepRecord
from rnnlab.runs.folder import RunFolder, run_folders
from tests.cluster.services import MLflowServer
from tests.processes import TINY, Done, metric_rows, run, run_info
from tests.runs.small_runs import config_of, finish, info_of, record, whole_run, write

LOADERS = (load_runs, load_metrics, load_gradients)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A sweep of five runs over several axes; one run diverges."""
    folder = tmp_path_factory.mktemp("mixed")
    axes = ("cell=rnn,lstm", "clip=null,0.1", "seed=0", "optimizer=sgd", "lr=0.1")
    done = run(folder, "-m", *axes, *TINY, "val_every=6", "figures=false")
    assert done.code == 0, done.err
    odd = run(folder, "cell=lstm", "cell.forget_bias=1", "lr=2", *TINY, "figures=false")
    assert odd.code == 0, odd.err
    return done


@pytest.fixture(scope="module")
def server(mixed: Done, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow server that stores the files of the same runs."""
    folder = tmp_path_factory.mktemp("server")
    server = MLflowServer(folder, f"sqlite:///{folder / 'server.db'}")
    try:
        sent = run(mixed.folder, "--uri", server.uri, "multirun", "outputs", module="rnnlab.sync")
        assert sent.code == 0, sent.err
        yield server.uri
    finally:
        server.stop()


@pytest.mark.parametrize("load", LOADERS)
def test_folders_a_database_and_a_server_give_the_same_frame(
    mixed: Done, server: str, tmp_path: Path, load: Any
) -> None:
    from_folder = load(mixed.folder)
    assert len(from_folder["run"].unique()) == 5
    several = load([mixed.folder / "outputs", str(mixed.folder / "multirun")])
    quiet = warnings.catch_warnings()
    with quiet:
        warnings.simplefilter("ignore")  # SQLAlchemy's, about MLflow
        database = load(MLflowRuns(uri=mixed.uri))
    served = load(MLflowRuns(uri=server, cache=tmp_path))
    again = load(MLflowRuns(uri=server, cache=tmp_path))
    for other in (several, database):
        pd.testing.assert_frame_equal(from_folder, other, check_exact=True)
    pd.testing.assert_frame_equal(served, again, check_exact=True)
    if load is load_runs:  # each server has its own ids
        for column in ("mlflow_run_id", "mlflow_link"):
            assert set(served[column]).isdisjoint(from_folder[column])
            served[column] = from_folder[column]
    pd.testing.assert_frame_equal(from_folder, served, check_exact=True)


@pytest.mark.filterwarnings("ignore:The ``noload``")
def test_the_mlflow_id_belongs_to_the_mirrored_run(mixed: Done, server: str, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    sources = {
        mixed.uri: (mixed.folder, MLflowRuns(uri=mixed.uri)),
        server: (MLflowRuns(uri=server, cache=tmp_path),),
    }
    for uri, of_store in sources.items():
        client = MlflowClient(uri)
        for source in of_store:
            for row in load_runs(source).to_dict("records"):
                there = client.get_run(row["mlflow_run_id"])
                assert row["mlflow_link"] == run_link(uri, there.info.experiment_id, row["mlflow_run_id"])
                assert there.data.tags["rnnlab.id"] == row["run"] != row["mlflow_run_id"]


def test_an_unsent_run_has_no_mlflow_id(tmp_path: Path) -> None:
    ledgers: dict[str, Any] = {
        "0": {},
        "1": {"store": {"run_id": "f" * 32, "position": -1, "tail": ""}},
        "2": {"store": {"run_id": "../..", "position": 0, "tail": ""}},
        "3": {"gone": {}, "store": {"run_id": "a" * 32, "position": 0, "tail": ""}},
        "5": {"store": {"run_id": "b" * 32, "link": "javascript:alert(1)", "position": 0, "tail": ""}},
        "6": {"store": {"run_id": "c" * 32, "link": "http://lab/#/runs/c", "position": 0, "tail": ""}},
    }
    for name, ledger in ledgers.items():
        (whole_run(tmp_path / name, name) / "mlflow.json").write_text(json.dumps(ledger))
    whole_run(tmp_path / "4", "4")
    frame = load_runs(tmp_path)
    assert frame["mlflow_run_id"].dtype == frame["run"].dtype
    ids = frame.set_index("name")["mlflow_run_id"].dropna()
    assert ids.to_dict() == {"3": "a" * 32, "5": "b" * 32, "6": "c" * 32}
    assert frame.set_index("name")["mlflow_link"].dropna().to_dict() == {"6": "http://lab/#/runs/c"}


def test_responses_of_a_server_are_cached(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    fetched: list[str] = []
    download = MlflowClient.download_artifacts

    def counted(self: MlflowClient, run_id: str, path: str, dst: str) -> str:
        fetched.append(path)
        return str(download(self, run_id, path, dst))

    monkeypatch.setattr(MlflowClient, "download_artifacts", counted)
    load_runs(MLflowRuns(uri=server, cache=tmp_path))
    assert fetched.count("run.json") == 5 and "gradients.parquet" not in fetched
    fetched.clear()
    load_gradients(MLflowRuns(uri=server, cache=tmp_path), where="cell == 'rnn'")
    assert fetched == ["gradients.parquet"] * 2
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith("tmp")]


def test_the_row_of_each_run_agrees_with_its_folder(mixed: Done) -> None:
    frame = load_runs(mixed.folder)
    folders = {run_info(Path(folder))["id"]: Path(folder) for folder in frame["folder"]}
    for row in frame.to_dict("records"):
        info = run_info(folders[row["run"]])
        assert row["name"] == info["name"] and row["outcome"] == info["outcome"]
        assert row["sweep"] == info["tags"]["sweep"] and row["number"] == info["number"]
        assert row["started"].timestamp() == pytest.approx(info["started"], abs=1e-6)
        assert row["metric"] == "val/bpc" and row["baseline"] == info["goal"]["baseline"]
        for key, value in info["summary"].items():
            if isinstance(value, float):
                assert row[key] == value, key
    sweep_rows = frame[frame["sweep"] == frame["sweep"].iloc[-1]]
    assert frame["cell"].tolist().count("lstm") == 3
    assert (
        frame.groupby("sweep", observed=True)["number"]
        .apply(list)
        .map(sorted)
        .equals(frame.groupby("sweep", observed=True)["number"].apply(list))
    )
    assert len(sweep_rows)


def test_types_are_correct(mixed: Done) -> None:
    frame = load_runs(mixed.folder)
    for words in ("sweep", "outcome", "cell", "task", "optimizer", "metric", "regime", "git_commit", "host"):
        assert isinstance(frame[words].dtype, pd.CategoricalDtype), words
    for whole in (
        "number",
        "seq_len",
        "seed",
        "steps",
        "steps_to_solve",
        "unstable_since",
        "diverged_at.step",
    ):
        if whole in frame:
            assert frame[whole].dtype == pd.Int64Dtype(), whole
    for number in ("lr", "clip", "val/loss", "grad/horizon"):
        assert frame[number].dtype == np.float64, number
    assert frame["started"].dt.tz is not None
    assert np.isinf(frame["clip"]).sum() == 2 and (frame["clip"] == 0.1).sum() == 2  # null means off
    assert frame.groupby("clip").size().sum() == len(frame)


def test_a_key_that_one_run_overrode_has_a_value_in_the_others_too(mixed: Done) -> None:
    frame = load_runs(mixed.folder)
    lstm = frame["cell"] == "lstm"
    assert sorted(frame.loc[lstm, "cell.forget_bias"]) == [0, 0, 1]
    assert frame.loc[~lstm, "cell.forget_bias"].isna().all()  # this run has none


def test_metrics_are_those_of_the_files(mixed: Done) -> None:
    frame, runs = load_metrics(mixed.folder), load_runs(mixed.folder)
    assert isinstance(frame["metric"].dtype, pd.CategoricalDtype) and frame["value"].dtype == np.float64
    assert frame["step"].dtype == np.int64
    for run_id, folder in zip(runs["run"], runs["folder"], strict=True):
        mine = frame[frame["run"] == run_id]
        values = {(row.metric, row.step): row.value for row in mine.itertuples()}
        written = {
            (name, row["step"]): value
            for row in metric_rows(Path(folder))
            for name, value in row.items()
            if name != "step" and value is not None
        }
        assert values == written and len(mine) == len(values)


def test_gradients_are_those_of_the_files(mixed: Done) -> None:
    frame, runs = load_gradients(mixed.folder), load_runs(mixed.folder)
    assert tuple(frame.columns[-len(GRADIENT_COLUMNS) :]) == GRADIENT_COLUMNS
    for run_id, folder in zip(runs["run"], runs["folder"], strict=True):
        written = pd.read_parquet(Path(folder) / "gradients.parquet")
        mine = frame.loc[frame["run"] == run_id, list(GRADIENT_COLUMNS)]
        assert len(mine) == len(written)
        for name in GRADIENT_COLUMNS:
            ours, theirs = mine[name], written[name]
            same = (ours.to_numpy() == theirs.to_numpy()) | (
                ours.isna().to_numpy() & theirs.isna().to_numpy()
            )
            assert np.asarray(same, dtype=bool).all(), name


def test_long_frames_have_the_axes_that_differ_and_a_few_always(mixed: Done) -> None:
    for frame in (load_metrics(mixed.folder), load_gradients(mixed.folder)):
        axes = set(frame.columns[1 : frame.columns.get_loc("step")])
        assert axes == {"sweep", *DEFAULT_AXES, "clip", "lr", "optimizer", "val_every", "cell.forget_bias"}
    runs = load_runs(mixed.folder).set_index("run")
    frame = load_gradients(mixed.folder)
    assert (frame["cell"].astype(str) == runs.loc[frame["run"], "cell"].astype(str).to_numpy()).all()
    assert frame["lr"].equals(pd.Series(runs.loc[frame["run"], "lr"].to_numpy(), name="lr"))


def test_filters_choose_what_is_loaded(mixed: Done) -> None:
    whole = load_gradients(mixed.folder)
    curves = load_gradients(mixed.folder, "state", axis="lag", steps="last", where="cell == 'rnn'")
    kept = whole[(whole["step"] == 12) & (whole["quantity"] == "state") & whole["lag"].notna()]
    kept = kept[kept["cell"] == "rnn"]
    assert curves["log10_gmean"].tolist() == kept["log10_gmean"].tolist() and len(curves)
    ends = load_gradients(mixed.folder, ["h", "x"], "timestep", "ends")
    assert set(ends["step"]) == {0, 12} and set(ends["quantity"]) == {"h", "x"} and ends["lag"].isna().all()
    assert set(load_gradients(mixed.folder, steps=[1, 2])["step"]) == {1, 2}
    assert set(load_gradients(mixed.folder, steps="first")["step"]) == {0}
    assert set(load_gradients(mixed.folder, steps=0)["step"]) == {0}
    some = load_metrics(mixed.folder, ["val/loss", "grad/norm"], where="`val/loss` > 0 and seq_len == 9")
    assert set(some["metric"]) == {"val/loss", "grad/norm"}


def test_the_last_recording_is_each_measurements_own(tmp_path: Path) -> None:
    values = np.ones(2)
    with RunFolder(tmp_path / "0", info_of(), config_of()) as folder:
        for step in range(3):
            quantities = ("h", "x") if step < 2 else ("h",)
            curves = [Curve(q, "timestep", np.arange(1, 3), *[values] * 5) for q in quantities]
            if step == 0:
                curves.append(Curve("h", "lag", np.arange(2), *[values] * 5))
            folder.write(StepRecord(step, {}, curves))
        folder.close()
        folder.finish("finished", {})
    frame = load_gradients(tmp_path, steps="last")
    series = frame.groupby(["quantity", frame["lag"].notna()], observed=True)["step"].unique().map(list)
    assert series.to_dict() == {("h", False): [2], ("x", False): [1], ("h", True): [0]}
    assert len(load_gradients(tmp_path, steps="ends")) == 10


def test_lag_curves_of_other_targets_are_omitted_by_default(tmp_path: Path) -> None:
    done = run(
        tmp_path, *TINY, "probe.measurements.lag_curves.targets=[last,4]", "figures=false", "tracking=none"
    )
    assert done.code == 0, done.err
    assert load_gradients(tmp_path)["target"].isna().all()
    assert set(load_gradients(tmp_path, targets=True)["target"].dropna()) == {4}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda source: load_runs(source / "gone"), "gone: not found"),
        (lambda source: load_runs(source, where="cell == 'gru'"), "matches none of the 5 runs"),
        (
            lambda source: load_runs(source, where="cel == 'rnn'"),
            "'cel' is not defined; available columns: run, name",
        ),
        (lambda source: load_runs(source, where="cell =="), "where='cell =='"),
        (
            lambda source: load_runs(source, where="seed + 1"),
            "where='seed . 1': must be a condition on the columns; available columns: run",
        ),
        (
            lambda source: load_gradients(source, steps=[1, 99]),
            r"steps=\[99\]: not found in any run; available: 0, 1, ",
        ),
        (
            lambda source: load_metrics(source, "val/los"),
            r"metrics=\['val/los'\]: not found in any run; available: ",
        ),
        (
            lambda source: load_gradients(source, ["h", "y"]),
            r"quantities=\['y'\]: not found in any run; available: .*state",
        ),
        (
            lambda source: load_gradients(source, axis="time"),
            "axis='time': must be 'lag', 'timestep' or None",
        ),
        (lambda source: load_gradients(source, steps="all"), "steps='all': must be 'first'"),
    ],
)
def test_a_mistake_is_reported_with_the_available_choices(mixed: Done, call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(mixed.folder)


@pytest.mark.filterwarnings("ignore:The ``noload``")
def test_runs_missing_in_mlflow_are_named(mixed: Done, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no runs found"):
        load_runs(tmp_path)
    with pytest.raises(ValueError, match=r"source=\[\]: no runs found"):
        load_runs([])
    with pytest.raises(ValueError, match=r"gone\.db: not found"):
        load_runs(MLflowRuns(uri=f"sqlite:///{tmp_path}/gone.db"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="must be sqlite:///"):
        load_runs(MLflowRuns(uri="./mlruns"))
    with pytest.raises(ValueError, match=r"experiment='other': not found in .*; available: .*rnnlab"):
        load_runs(MLflowRuns(experiment="other", uri=mixed.uri))
    with pytest.raises(ValueError, match="has no runs with sweep='s'"):
        load_runs(MLflowRuns(sweep="s", uri=mixed.uri))
    with pytest.raises(ValueError, match="must not contain quotes or backslashes"):
        load_runs(MLflowRuns(sweep="s' or tags.sweep != '", uri=mixed.uri))


def test_an_unreachable_server_gives_a_connection_error(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match=r"MLflow at http://user:\*\*\*@127.0.0.1:9"):
        load_runs(MLflowRuns(uri="http://user:secret@127.0.0.1:9", cache=tmp_path))


@pytest.mark.filterwarnings("ignore:The ``noload``")
def test_one_sweep_of_an_experiment(mixed: Done) -> None:
    sweep = load_runs(mixed.folder / "multirun")["sweep"].iloc[0]
    frame = load_runs(MLflowRuns(sweep=sweep, uri=mixed.uri))
    assert len(frame) == 4 and set(frame["sweep"]) == {sweep}


def test_incomplete_runs_are_included_and_named(tmp_path: Path) -> None:
    whole_run(tmp_path / "0", "fine")
    killed = whole_run(tmp_path / "1", "ended early", outcome="killed")
    running = RunFolder(tmp_path / "2", info_of("going on"), config_of())
    for step in range(4):
        running.write(record(step))
    (whole_run(tmp_path / "3", "half a table") / "gradients.parquet").write_bytes(b"PAR1")
    (whole_run(tmp_path / "4", "no info") / "run.json").write_text('{"id": 3')
    with (whole_run(tmp_path / "5", "odd row") / "metrics.jsonl").open("r+") as file:
        rows = file.readlines()
        file.seek(0)
        file.writelines([*rows[:2], "{oops}\n", *rows[3:]])
    (killed / "metrics.jsonl").unlink()

    with pytest.warns(IncompleteRuns) as warned:
        frame = load_runs(tmp_path)
    message = str(warned[0].message)
    assert warned[0].filename == __file__
    assert message.startswith("3 of 6 runs are incomplete: ")
    assert (
        "ended early (killed)" in message
        and "going on (running)" in message
        and "4 (damaged: run.json: " in message
    )
    outcomes = dict(zip(frame["name"], frame["outcome"], strict=True))
    assert outcomes.pop("4") == "damaged" and outcomes.pop("going on") == "running"
    assert outcomes == {
        "fine": "finished",
        "ended early": "killed",
        "half a table": "finished",
        "odd row": "finished",
    }

    with pytest.warns(IncompleteRuns) as warned:
        gradients = load_gradients(tmp_path)
    assert "half a table (damaged: gradients.parquet" in str(warned[0].message)
    ids = dict(zip(frame["name"], frame["run"], strict=True))
    rows_of = gradients["run"].value_counts()
    assert rows_of[ids["fine"]] == rows_of[ids["going on"]] == rows_of[ids["4"]] == 6
    assert rows_of[ids["half a table"]] == 0

    with pytest.warns(IncompleteRuns) as warned:
        metrics = load_metrics(tmp_path, "train/loss")
    message = str(warned[0].message)
    assert "odd row (damaged: metrics.jsonl: line 3 is not a valid row)" in message
    assert "ended early (killed)" in message
    steps = metrics.groupby("run", observed=True)["step"].apply(list)
    assert steps[ids["odd row"]] == [0, 1] and steps[ids["going on"]] == [0, 1, 2, 3]
    running.close()


def test_a_run_still_listed_as_running_in_mlflow_is_loaded_with_its_data(tmp_path: Path) -> None:
    from rnnlab.mlflow_mirror.mirrored_run import MirroredRun
    from rnnlab.mlflow_mirror.store import open_experiment

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client, experiment_id = open_experiment(uri, "rnnlab")
        MirroredRun(whole_run(tmp_path / "0", "fine"), uri).update(client, experiment_id)
        with RunFolder(tmp_path / "1", info_of("going on"), config_of()) as folder:
            folder.write(record(0))
            MirroredRun(tmp_path / "1", uri).update(client, experiment_id)
    with pytest.warns(IncompleteRuns, match=r"1 of 2 runs are incomplete: going on \(running\)"):
        frame = load_runs(MLflowRuns(uri=uri)).set_index("name")
    assert frame["outcome"].to_dict() == {"going on": "running", "fine": "finished"}
    assert frame.loc["going on", ["cell", "lr"]].tolist() == ["rnn", 0.1]
    with pytest.warns(IncompleteRuns, match="going on"):
        assert set(load_metrics(MLflowRuns(uri=uri))["run"]) == {"id-fine"}


def test_a_copy_of_a_run_is_not_counted_as_a_second_run(mixed: Done, tmp_path: Path) -> None:
    copy = shutil.copytree(mixed.folder / "multirun", tmp_path / "copy")
    assert len(load_runs([copy, mixed.folder])) == 5


@pytest.mark.parametrize("place", ["a_backup", "z_backup"])  # sorted before or after the original
@pytest.mark.parametrize("outcome", ["finished", "killed", None])
def test_the_most_advanced_copy_is_loaded(tmp_path: Path, place: str, outcome: Any) -> None:
    from rnnlab.runs.closing import close_run

    path = tmp_path / "sweep" / "0"
    with RunFolder(path, info_of(), config_of()) as folder:
        write(folder, range(2))
        shutil.copytree(path.parent, tmp_path / place)
        write(folder, range(2, 6))
        if outcome is not None:
            finish(folder, outcome)
    if outcome == "killed":  # the copy ended later, but was killed
        close_run(tmp_path / place / "0", "killed", {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteRuns)
        runs, losses = load_runs(tmp_path), load_metrics(tmp_path, "train/loss")
        gradients = load_gradients(tmp_path)
    assert runs["folder"].tolist() == [str(path)]
    assert runs["outcome"].tolist() == [outcome or "running"]
    assert losses["step"].tolist() == [0, 1, 2, 3, 4] and set(gradients["step"]) == {0, 3}
    write_report([tmp_path], tmp_path / "page.html")
    assert "1 " + (outcome or "running") in (tmp_path / "page.html").read_text()


def test_a_finished_copy_takes_precedence_over_one_with_more_steps(tmp_path: Path) -> None:
    whole_run(tmp_path / "b", outcome="diverged")
    shutil.copytree(tmp_path / "b", tmp_path / "a")
    rows = (tmp_path / "a" / "metrics.jsonl").read_text()
    (tmp_path / "a" / "metrics.jsonl").write_text(rows + '{"step": 6, "train/loss": 1.0, "seconds": 1.0}\n')
    info = run_info(tmp_path / "a")
    (tmp_path / "a" / "run.json").write_text(json.dumps(info | {"outcome": "killed"}))
    assert load_runs(tmp_path)["outcome"].tolist() == ["diverged"]
    (tmp_path / "a" / "run.json").write_text(json.dumps(info))
    assert load_runs(tmp_path)["folder"].tolist() == [str(tmp_path / "a")], "more steps"
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    (tmp_path / "c" / "run.json").write_text(json.dumps(info | {"ended": info["ended"] + 1}))
    assert load_runs(tmp_path)["folder"].tolist() == [str(tmp_path / "c")], "newer"


def test_a_resumed_run_is_fetched_again(server: str, tmp_path: Path) -> None:
    from rnnlab.mlflow_mirror.mirrored_run import MirroredRun
    from rnnlab.mlflow_mirror.store import open_experiment

    client, experiment_id = open_experiment(server, "resumed")
    source = MLflowRuns("resumed", uri=server, cache=tmp_path / "cache")
    path = tmp_path / "run"
    with RunFolder(path, info_of(), config_of()) as folder:
        for step in range(2):
            folder.write(record(step))
        folder.close()
        folder.finish("killed", {})
    MirroredRun(path, server).update(client, experiment_id)
    with pytest.warns(IncompleteRuns, match=r"run \(killed\)"):
        assert len(load_metrics(source, "train/loss")) == 2
    with RunFolder(path, info_of(), config_of(), resume=True) as folder:
        for step in range(3):
            folder.write(record(step))
        MirroredRun(path, server).update(client, experiment_id)
        with pytest.warns(IncompleteRuns, match=r"run \(running\)"):
            assert load_runs(source)["outcome"].tolist() == ["running"]
        with pytest.warns(IncompleteRuns):
            assert load_metrics(source).empty  # MLflow's files date from before the resumption
        folder.close()
        folder.finish("finished", {})
    MirroredRun(path, server).update(client, experiment_id)
    assert load_runs(source)["outcome"].tolist() == ["finished"]
    assert len(load_metrics(source, "train/loss")) == 3


def test_files_are_in_mlflow_before_it_says_that_the_run_has_ended(tmp_path: Path) -> None:
    from rnnlab.mlflow_mirror.mirrored_run import MirroredRun

    calls: list[str] = []

    class Client:
        """Record the order in which a run is sent."""

        def __getattr__(self, name: str) -> Any:
            def call(*_: Any, **__: Any) -> Any:
                calls.append(name)
                return [] if name in ("search_runs", "list_artifacts") else _Made

            return call

    class _Made:
        class info:
            run_id = "0" * 32

        class data:
            tags: ClassVar[dict[str, str]] = {}

    with pytest.raises(AttributeError):  # during the check of the ledger's run, after all data were sent
        run = MirroredRun(whole_run(tmp_path / "0"), "http://127.0.0.1:9")
        run.update(Client(), "1")  # type: ignore[arg-type]
        raise AttributeError
    assert calls.index("log_artifact") < calls.index("set_terminated")


def test_runs_whose_files_are_missing_in_mlflow_do_not_count_as_running(mixed: Done, tmp_path: Path) -> None:
    folder = shutil.copytree(mixed.folder, tmp_path / "copy")
    hidden = mixed.folder / "mlartifacts"
    hidden.rename(mixed.folder / "hidden")
    try:
        with warnings.catch_warnings(record=True) as caught_warnings:
            warnings.simplefilter("always")
            frame = load_runs(MLflowRuns(uri=f"sqlite:///{folder / 'mlflow.db'}"))
    finally:
        (mixed.folder / "hidden").rename(hidden)
    assert set(frame["outcome"]) == {"damaged"}
    assert any(
        "files not found at the location recorded in MLflow" in str(warning.message)
        for warning in caught_warnings
    )


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-7]), "ends within a line"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_text('{"loss": 1.5}\n{"step": 1}\n'), "line 1 is not a valid row"),
        (lambda path: path.write_text('{"step": 0, "a": "x"}\n'), "line 1 is not a valid row"),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
        (lambda path: path.unlink(), "No such file"),
    ],
)
def test_a_finished_run_with_damaged_metrics_is_reported(tmp_path: Path, damage: Any, why: str) -> None:
    whole_run(tmp_path / "0", "fine")
    damage(whole_run(tmp_path / "1", "hurt") / "metrics.jsonl")
    with pytest.warns(IncompleteRuns, match=rf"1 of 2 runs are incomplete: hurt \(.*{why}"):
        frame = load_metrics(tmp_path)
    assert (frame.loc[frame["run"] == "id-fine", "metric"] == "train/loss").sum() == 5
    assert frame["step"].dtype == np.int64


def test_a_folder_in_place_of_a_file_affects_only_its_run(tmp_path: Path) -> None:
    whole_run(tmp_path / "0", "fine")
    (tmp_path / "1" / "run.json").mkdir(parents=True)
    with pytest.warns(IncompleteRuns, match="1 .damaged: run.json: Is a directory"):
        assert load_runs(tmp_path)["name"].tolist().count("fine") == 1


def test_a_damaged_run_makes_no_axis_differ(tmp_path: Path) -> None:
    for number in range(2):
        whole_run(tmp_path / str(number), f"seed={number}")
    (whole_run(tmp_path / "2", "hurt") / "run.json").write_text("{")
    with pytest.warns(IncompleteRuns):
        assert "lr" not in load_metrics(tmp_path)


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"summary": {"unstable_since": "\x1b[31m"}}, "summary.unstable_since: "),
        ({"summary": {"steps_to_solve": 1e300}}, "summary.steps_to_solve: "),
        ({"outcome": "diverged", "summary": {"diverged_at": {"step": 1}}}, "summary.diverged_at.timestep: "),
        ({"goal": {"metric": "val/loss", "baseline": "x", "criterion": None}}, "goal.baseline: "),
        ({"started": 1e10}, "started: "),
        ({"outcome": "unstable", "summary": {}}, None),
        ({"summary": {"number": "x", "started": "x", "sweep": "x"}}, None),
    ],
)
def test_an_invalid_run_json_affects_only_its_run(
    tmp_path: Path, odd: dict[str, Any], why: str | None
) -> None:
    whole_run(tmp_path / "0", "fine")
    file = whole_run(tmp_path / "1", "odd") / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | odd))
    with warnings.catch_warnings(record=True) as caught_warnings:
        warnings.simplefilter("always")
        for load in LOADERS:
            assert "id-fine" in set(load(tmp_path)["run"])
    assert [f"1 (damaged: run.json: {why}" in str(warning.message) for warning in caught_warnings] == [
        True
    ] * 3 * bool(why)
    write_report(tmp_path, tmp_path / "report.html")


@pytest.mark.parametrize("column", ["step", "lag"])
def test_a_table_of_negative_steps_is_damaged(tmp_path: Path, column: str) -> None:
    whole_run(tmp_path / "0", "fine")
    file = whole_run(tmp_path / "1", "hurt") / "gradients.parquet"
    table = pd.read_parquet(file)
    table.assign(**{column: -1}).to_parquet(file)
    with pytest.warns(IncompleteRuns, match=rf"hurt \(damaged: gradients.parquet: {column} is negative"):
        assert set(load_gradients(tmp_path)["run"]) == {"id-fine"}


def test_a_failure_of_many_lines_gives_a_warning_of_one_line(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "0", info_of("hurt"), config_of()) as folder:
        folder.close()
        folder.finish("failed", {"error": "line\n" * 500})
    with pytest.warns(IncompleteRuns, match=r"hurt \(failed: line") as warned:
        load_runs(tmp_path)
    message = str(warned[0].message)
    assert len(message.splitlines()) == 1 and len(message) < 1000


def test_out_of_range_numbers_and_words_among_numbers(tmp_path: Path) -> None:
    for number, (seed, loss) in enumerate(((2**64, 0.5), (3, 0.5), (4, "oops"))):
        info = info_of(str(number)) | {"params": {"seed": str(seed), "lr": "1", "clip": "null"}}
        with RunFolder(tmp_path / str(number), info, config_of()) as folder:
            folder.close()
            folder.finish("finished", {"val/loss": loss})
    with pytest.warns(IncompleteRuns, match="val/loss: must be a number"):
        frame = load_runs(tmp_path)
    assert frame["val/loss"].dtype == np.float64 and sorted(frame["val/loss"].dropna()) == [0.5, 0.5]
    assert {float(seed) for seed in frame["seed"].dropna()} == {float(2**64), 3.0}
    assert frame["lr"].dtype == frame["clip"].dtype == np.float64


def test_runs_below_a_folder_are_found_once_and_artifacts_are_skipped(tmp_path: Path) -> None:
    whole_run(tmp_path / "b" / "0")
    whole_run(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "mlartifacts" / "1" / "artifacts")
    assert list(run_folders(tmp_path)) == [tmp_path / "a", tmp_path / "b" / "0"]


@given(
    content=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["id", "name", "number", "params", "tags", "summary", "outcome", "started"]
                    ),
                    inner,
                )
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_no_invalid_run_json_prevents_reading_the_others(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    whole_run(folder / "0", "fine")
    (folder / "1").mkdir()
    (folder / "1" / "run.json").write_bytes(content)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        frame = load_runs(folder)
    assert frame["name"].tolist().count("fine") == 1 and len(frame) == 2
