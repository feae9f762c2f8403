"""Tests that run the commands, scripts and notebooks of the studies on small sweeps, and on the committed tables.

The notebooks run in the process of the tests, which is faster than a kernel for each.
"""

import ast
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pyarrow.parquet
import pytest
from matplotlib.figure import Figure

from tests.processes import run
from tests.surroundings import ROOT

STUDIES = ROOT / "experiments"
FADING = (
    *("seq_len=5,9", "steps=8,4", "probe.measurements.lag_curves.when.every=4,2"),
    *("probe.length=30", "batch_size=3"),
)
MEMORY = (
    *("task=latch,random_permutation", "seq_len=10,12", "steps=30", "seed=0"),
    *("hidden_size=6", "batch_size=4", "task.validation_examples=8"),
)
TASKS = (
    *("task=adding,latch", "seq_len=10", "steps=4", "val_every=2"),
    *("hidden_size=6", "batch_size=4"),
)
TINY = ("steps=6", "val_every=3", "hidden_size=8", "batch_size=4")
THRESHOLDS = ("cell=rnn,rnn,rnn", "clip_mode=norm,norm,value", "clip=null,0.3,0.05")
DEPTH = (
    *("layers=1,3,3", "residual=false,false,true", "steps=4", "val_every=2", "seed=0", "batch_size=3"),
    *("task.validation_examples=8", "probe.measurements.parameters.when.every=2"),
)
SMALL: dict[str, dict[str, tuple[str, ...]]] = {
    "clipping": {
        "clipping": (*TINY, *THRESHOLDS, "lr=1,30", "seed=0,1"),
        "clipping_value": (*TINY, "clip=0.02,0.05", "seed=0"),
        "clipping_adam": (*TINY, *THRESHOLDS, "lr=0.01,0.1", "seed=0"),
    },
    "depth": {"depth": (*DEPTH, "hidden_size=6,4,4"), "depth_width": (*DEPTH, "hidden_size=4")},
    "edge_of_chaos": {
        "edge_of_chaos": (
            *(*TINY, "seq_len=10", "task.validation_examples=8", "lr=0.01,0.1", "seed=0,1"),
            *(
                "pair=[cell.nonlinearity,init.W_hh.gain]",
                "cell.nonlinearity=tanh,relu",
                "init.W_hh.gain=0.5,2",
            ),
        ),
    },
    "fading": {
        "fading": (*FADING, "hidden_size=4", "seed=0,1"),
        "fading_forget_bias": (*FADING, "hidden_size=4", "seed=0"),
        "fading_parameters": (*FADING, "hidden_size=6", "seed=0"),
    },
    "mean_field": {
        "mean_field": (
            *("pair=[init.W_hh.gain,task.std]", "init.W_hh.gain=0.5,2", "task.std=0.1,0.5"),
            *("seed=0,1", "hidden_size=8,12"),
        ),
    },
    "memory": {
        "memory": (*MEMORY, "probe.length=40,48"),
        "memory_forget_bias": (*MEMORY, "probe.length=40,48"),
        "memory_short_probe": (*MEMORY, "probe.length=10,12"),
    },
    "tasks": {
        "tasks": (*TASKS, "seed=0,1"),
        "tasks_lstm": (*TASKS, "seed=0"),
    },
}
"""Overrides that reduce a sweep to seconds, by study and sweep."""
LONGEST_CELL = 25
MAX_DATA = 2_000_000
MACHINE_PATH = re.compile(r"/(home|root|tmp|work|Users)/")
NOTEBOOKS = sorted(path.parent.name for path in STUDIES.glob("*/analysis.ipynb"))


def readme(study: str) -> str:
    return (STUDIES / study / "README.md").read_text(encoding="utf-8")


def notebook_of(folder: Path) -> Any:
    return nbformat.read(folder / "analysis.ipynb", as_version=4)


def code_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(notebook: Any) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


def tables_of(study: str) -> list[Path]:
    return sorted((STUDIES / study / "data").iterdir())


def copy_study(study: str, tmp_path: Path, *names: str) -> Path:
    folder = tmp_path / "experiments" / study
    folder.mkdir(parents=True)
    for name in ("analysis.ipynb", *names):
        source = STUDIES / study / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder)
    return folder


def execute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """Execute the notebook in a folder, and yield each code cell with the value that it displays."""
    monkeypatch.chdir(folder)
    namespace: dict[str, Any] = {}
    shown = pd.option_context("display.max_columns", 20, "display.width", 80)  # as in a kernel
    with matplotlib.rc_context({"backend": "agg"}), shown:
        for cell in code_of(notebook_of(folder)):
            *body, last = ast.parse(cell.source).body
            displayed = isinstance(last, ast.Expr) and not cell.source.endswith(";")
            body += [] if displayed else [last]
            exec(compile(ast.Module(body, []), folder.name, "exec"), namespace)
            value = (
                eval(compile(ast.Expression(last.value), folder.name, "eval"), namespace)
                if displayed
                else None
            )
            yield cell, value
            plt.close("all")


def figures_of(study: str) -> list[str]:
    return re.findall(r"\]\((\w+\.(?:png|svg))\)", readme(study))


def commands_of(study: str) -> dict[str, list[str]]:
    """Return the arguments of the README's sweeps, by the name of the sweep folder."""
    text = readme(study).replace("\\\n", " ")
    lines = re.findall(r"^    python -m rnnlab -m (experiment=.*)$", text, re.MULTILINE)
    commands = {}
    for line in lines:
        arguments = shlex.split(line)
        folders = [argument for argument in arguments if argument.startswith("hydra.sweep.dir=")]
        commands[Path(folders[0].partition("=")[2]).name if folders else study] = arguments
    return commands


def test_every_study_is_listed() -> None:
    assert set(NOTEBOOKS) == set(SMALL)
    table = (STUDIES / "README.md").read_text(encoding="utf-8")
    assert all(f"({study}/README.md)" in table for study in NOTEBOOKS)


@pytest.mark.parametrize("study", NOTEBOOKS)
def test_readme_and_configuration_agree_on_the_commands(study: str) -> None:
    assert commands_of(study)[study] == [f"experiment={study}"]
    assert set(commands_of(study)) == set(SMALL[study])
    for sweep in SMALL[study]:
        assert f'"{sweep}"' in (STUDIES / study / "collect.py").read_text(encoding="utf-8")
    assert f"    python experiments/{study}/collect.py\n" in readme(study)
    assert f"    jupyter execute --inplace experiments/{study}/analysis.ipynb\n" in readme(study)


@pytest.mark.parametrize("study", NOTEBOOKS)
def test_committed_cells_were_executed_in_order_without_warnings(study: str) -> None:
    notebook = notebook_of(STUDIES / study)
    cells = code_of(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(output.output_type in ("display_data", "execute_result") for output in outputs)
    texts = "\n".join(str(output.data.get("text/plain", "")) for output in outputs) + text_of(notebook)
    assert not MACHINE_PATH.search(texts)
    assert f"experiment={study}" in texts and "git_commit" in texts
    for figure in figures_of(study):
        assert (STUDIES / study / figure).stat().st_size < 400_000


@pytest.mark.parametrize("study", NOTEBOOKS)
def test_a_notebook_has_short_cells_and_no_helpers(study: str) -> None:
    for cell in code_of(notebook_of(STUDIES / study)):
        assert len(cell.source.splitlines()) <= LONGEST_CELL, cell.source
        assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.FunctionDef)]
        assert "multirun" not in cell.source and "load_" not in cell.source


@pytest.mark.parametrize("study", NOTEBOOKS)
def test_the_tables_are_small_and_contain_no_machine_names(study: str) -> None:
    tables = tables_of(study)
    assert {table.suffix for table in tables} == {".parquet"}
    assert sum(table.stat().st_size for table in tables) <= MAX_DATA
    for table in tables:
        frame = pd.read_parquet(table)
        assert len(frame) and not {"folder", "host", "mlflow_run_id", "mlflow_link"} & set(frame)
        words = [word for name in frame.select_dtypes(exclude="number") for word in frame[name].unique()]
        assert not MACHINE_PATH.search(
            "\n".join(map(str, [*words, pyarrow.parquet.read_schema(table).metadata]))
        )


@pytest.mark.parametrize("study", NOTEBOOKS)
def test_the_committed_tables_suffice_for_the_committed_notebook(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_study(study, tmp_path, "data")
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)
    compared = 0
    for cell, value in execute(folder, monkeypatch):
        if isinstance(value, pd.DataFrame | pd.Series):
            committed = [output.data["text/plain"] for output in cell.outputs if "execution_count" in output]
            assert committed == [repr(value)]
            compared += 1
    assert compared > 5


def test_a_missing_sweep_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_study("memory", tmp_path, "collect.py")
    monkeypatch.setattr(sys, "argv", ["collect.py", "nowhere"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit):
        runpy.run_path(str(folder / "collect.py"), run_name="__main__")
    assert re.search(r"error: nowhere.memory, .*: not found", capsys.readouterr().err)
    assert not (folder / "data").exists()


@pytest.mark.parametrize("study", NOTEBOOKS)
def test_a_small_version_runs_completely(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for sweep, arguments in commands_of(study).items():
        small = (
            *SMALL[study][sweep],
            "engine=numpy",
            "tracking=none",
            "figures=false",
            "report=false",
            "jobs=1",
        )
        done = run(tmp_path, "-m", *arguments, *small)
        assert done.code == 0, done.err
        assert len(list((tmp_path / "multirun" / sweep).glob("*/run.json"))) > 1
    folder = copy_study(study, tmp_path, "collect.py")
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **keys: save(self, path, **keys | {"dpi": 20}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["collect.py"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    runpy.run_path(str(folder / "collect.py"), run_name="__main__")
    written = sorted(path.name for path in (folder / "data").iterdir())
    assert written == [path.name for path in tables_of(study)]
    assert capsys.readouterr().out.count(" rows, ") == len(written)
    assert [value for _, value in execute(folder, monkeypatch) if value is not None]
    assert figures_of(study) and all((folder / figure).is_file() for figure in figures_of(study))
