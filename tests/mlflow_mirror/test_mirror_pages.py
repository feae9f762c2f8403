"""Traces of a sweep on the pages of MLflow: view, colours, descriptions, order of metrics, and links."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rnnlab.commands import sync
from rnnlab.metric_table import MAIN_METRICS
from rnnlab.mlflow_mirror.charts import CELL_COLORS, shared_view
from rnnlab.mlflow_mirror.description import NOTE_TAG
from rnnlab.mlflow_mirror.ledger import LEDGER_FILE
from rnnlab.mlflow_mirror.links import run_link
from rnnlab.mlflow_mirror.mirror import Mirror, close_abandoned
from rnnlab.mlflow_mirror.mirrored_run import MirroredRun
from rnnlab.mlflow_mirror.store import open_experiment
from rnnlab.mlflow_mirror.summary_run import RUN_NAME, find_summary, log_report
from rnnlab.runs.folder import RunFolder
from rnnlab.runs.host_identity import host
from tests.processes import Done
from tests.runs.small_runs import STEPS, config_of, finish, info_of, whole_run, write

SWEEP = "sweep-1"
NAMES = ("rnn", "lstm", "gru")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    address = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    open_experiment(address, "rnnlab")
    return address


@pytest.fixture
def opened(uri: str, request: pytest.FixtureRequest) -> tuple[Any, str, str]:
    """Return a client and an experiment that holds no runs yet: its id and its name."""
    client, experiment = open_experiment(uri, request.node.name)
    return client, experiment, request.node.name


def folders_of(path: Path, experiment: str, seeds: int = 3) -> tuple[list[Path], list[dict[str, str]]]:
    """Write the folders of a sweep over cells and seeds; return the folders and the parameters of the runs."""
    folders, params = [], []
    for cell in NAMES:
        for seed in range(seeds):
            name = f"{cell}-{seed}"
            folder = whole_run(path / name, name, experiment=experiment)
            info = json.loads((folder / "run.json").read_text())
            info["params"] = {"cell": cell, "seed": str(seed)}
            (folder / "run.json").write_text(json.dumps(info))
            folders.append(folder)
            params.append(info["params"])
    return folders, params


def test_a_sweep_has_a_view_colours_and_a_summary(
    opened: tuple[Any, str, str], uri: str, tmp_path: Path
) -> None:
    client, experiment, name = opened
    folders, params = folders_of(tmp_path, name)
    report = Mirror(uri, name, SWEEP, folders, params, has_report=True).finish(lambda: False)
    assert (report.error, report.unsent_runs) == (None, 0)
    key, value = shared_view(SWEEP, params)
    assert client.get_experiment(experiment).tags[key] == value and '"param.cell.rnn": false' in value
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    summary = runs.pop(RUN_NAME)
    assert len(runs) == len(folders) and summary.info.status == "FINISHED"
    route = f"#/experiments/{experiment}/runs/{summary.info.run_id}/artifacts/report.html"
    for run in runs.values():
        assert run.data.tags["mlflow.runColor"] == CELL_COLORS[run.data.params["cell"]]
        assert f"[report of the sweep]({route}?" in run.data.tags[NOTE_TAG].splitlines()[0]
    page = tmp_path / "report.html"
    page.write_text("<p>the report")
    log_report(uri, name, SWEEP, page)
    assert find_summary(client, experiment, SWEEP) == summary.info.run_id
    assert len(client.search_runs([experiment])) == len(folders) + 1
    note = client.get_run(summary.info.run_id).data.tags[NOTE_TAG]
    assert route in note and f"&viewStateShareKey={SWEEP}" in note and "docs/metrics.md" in note


def test_without_a_report_there_is_no_summary(opened: tuple[Any, str, str], uri: str, tmp_path: Path) -> None:
    client, experiment, name = opened
    folders, params = folders_of(tmp_path, name, seeds=1)
    Mirror(uri, name, SWEEP, folders, params).finish(lambda: False)
    runs = client.search_runs([experiment])
    assert len(runs) == len(folders)
    assert not any("report of the sweep" in run.data.tags[NOTE_TAG] for run in runs)


def test_the_description_follows_the_run(opened: tuple[Any, str, str], uri: str, tmp_path: Path) -> None:
    client, experiment, _ = opened
    path = tmp_path / "run"

    def send() -> str:
        run = MirroredRun(path, uri)
        run.update(client, experiment)
        return str(client.get_run(run.run_id()).data.tags[NOTE_TAG].splitlines()[2])

    with RunFolder(path, info_of(), config_of()) as folder:
        write(folder, [0, 1])
        assert send().startswith("**Running**")
        finish(folder, "killed")
    assert "**Outcome**: `killed`" in send()
    with RunFolder(path, info_of(), config_of(), resume=True) as folder:
        write(folder, range(STEPS))
        assert send().startswith("**Running**")
        write(folder, [STEPS])
        finish(folder)
    assert "**Outcome**: `finished`" in send()


def test_text_written_by_the_user_is_kept(opened: tuple[Any, str, str], uri: str, tmp_path: Path) -> None:
    client, experiment, _ = opened
    path = tmp_path / "run"
    with RunFolder(path, info_of(), config_of()) as folder:
        write(folder, [0, 1])
        run = MirroredRun(path, uri)
        run.update(client, experiment)
        note = client.get_run(run.run_id()).data.tags[NOTE_TAG] + "\nmy own words"
        client.set_tag(run.run_id(), NOTE_TAG, note)
        write(folder, range(STEPS + 1))
        finish(folder)
    assert run.update(client, experiment) and run.complete
    assert client.get_run(run.run_id()).data.tags[NOTE_TAG] == note


def test_an_abandoned_run_keeps_its_link_to_the_report(
    opened: tuple[Any, str, str], uri: str, tmp_path: Path
) -> None:
    client, experiment, name = opened
    path = tmp_path / "run"
    with RunFolder(path, info_of(host=host()), config_of()) as folder:
        write(folder, [0, 1])
        Mirror(uri, name, SWEEP, [path], [{"cell": "rnn"}], has_report=True).finish(lambda: False)
    assert close_abandoned(client, experiment, uri, set()) == 1
    note = client.get_run(MirroredRun(path, uri).run_id()).data.tags[NOTE_TAG]
    assert "report of the sweep" in note and "**Outcome**: `killed" in note


def test_a_run_sent_late_keeps_the_view_valid(opened: tuple[Any, str, str], uri: str, tmp_path: Path) -> None:
    client, experiment, name = opened
    folders, params = folders_of(tmp_path, name)
    Mirror(uri, name, SWEEP, folders[:-1], params[:-1], has_report=True).finish(lambda: False)
    assert sync.main([str(folders[-1]), "--uri", uri]) == 0
    key, value = shared_view(SWEEP, params)
    assert client.get_experiment(experiment).tags[key] == value
    (late,) = (run for run in client.search_runs([experiment]) if run.info.run_name == "gru-2")
    assert late.data.tags["mlflow.runColor"] == CELL_COLORS["gru"]
    assert "report of the sweep" in late.data.tags[NOTE_TAG]


def test_the_colours_of_synchronised_runs(opened: tuple[Any, str, str], uri: str, tmp_path: Path) -> None:
    client, experiment, name = opened
    folders, _ = folders_of(tmp_path, name)
    for folder in folders:  # one cell, three seeds of three rates
        info = json.loads((folder / "run.json").read_text())
        info["params"] = {"cell": "rnn", "lr": info["params"]["cell"], "seed": info["params"]["seed"]}
        (folder / "run.json").write_text(json.dumps(info))
    assert sync.main([str(tmp_path), "--uri", uri]) == 0
    runs = client.search_runs([experiment])
    colors = {(run.data.params["lr"], run.data.tags["mlflow.runColor"]) for run in runs}
    assert len(colors) == len({color for _, color in colors}) == 3


def test_the_file_of_the_run_contains_its_link(
    opened: tuple[Any, str, str], uri: str, tmp_path: Path
) -> None:
    client, experiment, _ = opened
    run = MirroredRun(whole_run(tmp_path / "run"), uri)
    run.update(client, experiment)
    (entry,) = json.loads((run.folder / LEDGER_FILE).read_text()).values()
    assert entry["link"] == run_link(uri, experiment, entry["run_id"])


def test_the_metrics_that_matter_are_stored_first(
    sweep: Done, uri: str, opened: tuple[Any, str, str], tmp_path: Path
) -> None:
    """MLflow lists the metrics of a run in the order in which it received them."""
    client, experiment, _ = opened
    ignored = shutil.ignore_patterns(LEDGER_FILE, ".*")
    folder = shutil.copytree(sweep.runs["lstm"], tmp_path / "run", ignore=ignored)
    run = MirroredRun(folder, uri)
    run.update(client, experiment)
    stored = list(client.get_run(run.run_id()).data.metrics)
    first = [name for name in MAIN_METRICS if name in stored]
    assert stored[: len(first)] == first and len(first) >= 10
