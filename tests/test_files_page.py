"""Tests that docs/files.md lists every file, key and column that a run or a sweep writes."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from rnnlab.app.check import check
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.jobs.run_job import execute
from rnnlab.paths import conf_dir
from tests.processes import TINY, Done, metric_rows, run_info
from tests.surroundings import ROOT
from tests.tracked import tracked_runs

PAGE = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")


def listed(heading: str) -> dict[str, str]:
    """Return the names in the first table under a heading, each with the other cells of its row."""
    table = PAGE.split(f"\n{heading}\n")[1].split("\n| --- ")[1].split("\n\n")[0]
    rows = [row.strip("| ").split(" | ", 1) for row in table.splitlines()[1:]]
    assert len({row[0] for row in rows}) == len(rows)
    return {name: cells for names, cells in rows for name in re.findall(r"`(.+?)`", names)}


FILES, SWEEP = listed("## A run's folder"), listed("## A sweep's folder")
FIGURES = set(re.findall(r"`(\w+)`", FILES["figures/"]))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that stopped before its last step."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    arguments = [*TINY, "tracking=none", "cell=lstm", "initial_state=learned", f"hydra.run.dir={folder}"]
    (order,) = check(compose_plan(conf_dir(), arguments, multirun=False)).orders
    answers = iter([False] * 14)  # one before the run, ten in the first validation, three after steps
    assert execute(order, lambda: next(answers, True)) == "killed"
    return folder


def top(folder: Path) -> set[str]:
    return {f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir()}


def test_every_file_of_a_run_is_listed(sweep: Done, killed: Path) -> None:
    found = [top(folder) for folder in (*sweep.runs.values(), killed)]
    whole = set.union(*found)
    assert whole - FILES.keys() == set()
    not_here = {"error.txt", "figures/timeline/", "code.diff", "code2.diff"}
    assert FILES.keys() - whole - not_here == set()
    for folder in sweep.runs.values():
        drawn = {path.stem for path in (folder / "figures").iterdir() if path.is_file()}
        assert drawn <= FIGURES and (folder / "figures" / "timeline").is_dir()


def test_every_key_of_run_json_is_listed(sweep: Done, killed: Path) -> None:
    keys = listed("### `run.json`")
    infos = [run_info(folder) for folder in (*sweep.runs.values(), killed)]
    assert {key for info in infos for key in info} == keys.keys() - {"resumed"}
    for info in infos:
        for key in ("goal", "loss_unit", "dataset", "tracking", "machine"):
            assert list(info[key]) == re.findall(r"`(\w+)`", keys[key].split(" | ")[0])
        tags = re.findall(r"`([\w.]+)`", keys["tags"])
        assert set(info["tags"]) <= set(tags)


def test_every_column_and_its_type_is_listed(sweep: Done) -> None:
    columns = listed("### `gradients.parquet`")
    for folder in sweep.runs.values():
        schema = pq.read_schema(folder / "gradients.parquet")
        assert schema.names == list(columns)
        for name, cells in columns.items():
            kind = schema.field(name).type
            dictionary = " (dictionary)" if pa.types.is_dictionary(kind) else ""
            type_name = f"{kind.value_type if dictionary else kind}{dictionary}"
            assert cells.split(" | ")[0] in (type_name, f"{type_name} or null")


def test_metrics_begin_with_the_listed_ones(sweep: Done) -> None:
    for folder in sweep.runs.values():
        rows = metric_rows(folder)
        assert list(rows[0])[:2] == list(listed("### `metrics.jsonl`"))
        assert [row["step"] for row in rows] == list(range(13))


def test_every_array_is_listed_with_its_shape(sweep: Done, killed: Path) -> None:
    arrays = listed("### `weights.safetensors`")
    X = Y = len(set((ROOT / "rnnlab" / "tasks" / "data" / "sonnets.txt").read_text(encoding="utf-8")))
    of_run = {folder: run_info(folder)["params"]["cell"] for folder in (*sweep.runs.values(), killed)}
    for folder, cell in of_run.items():
        sizes = {"G·H": {"rnn": 8, "lstm": 32}[cell], "H": 8, "X": X, "Y": Y, "1": 1}
        for name, array in load_file(folder / "weights.safetensors").items():
            dimensions = re.match(r"\((.+), (.+)\)", arrays[name])
            assert dimensions is not None and array.shape == (sizes[dimensions[1]], sizes[dimensions[2]])
            assert array.dtype == np.float32


def test_every_file_of_a_sweep_is_listed(sweep: Done) -> None:
    folder = next(iter(sweep.runs.values())).parent
    runs = {f"{path.name}/" for path in sweep.runs.values()}
    assert top(folder) - runs - SWEEP.keys() == set()
    assert {"sweep.json", ".running"} <= top(folder)


def test_runs_in_mlflow_are_listed(sweep: Done) -> None:
    table = PAGE.split("\n## In MLflow\n")[1]
    rows = dict(re.findall(r"^\| ([^`|]+?) \| (.+) \|$", table, re.MULTILINE))
    for name, run in tracked_runs(sweep.uri).items():
        info = run_info(sweep.runs[name])
        assert run.params == info["params"]
        own = {tag for tag in run.tags if not tag.startswith("mlflow.")}
        assert own - info["tags"].keys() - set(re.findall(r"`([\w.]+)`", rows["tags"])) == set()
        tops = {path.partition("/")[0] for path in run.artifacts}
        assert tops - {name.rstrip("/") for name in FILES} == {"images"}
        assert not tops & {"mlflow.json", "checkpoint.safetensors", "gradients.arrow"}
