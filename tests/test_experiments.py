"""Tests that run the commands and notebooks of the studies on small sweeps.

The committed outputs come from the full sweeps.
"""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from rnnlab.app.config.compose import compose_plan
from rnnlab.paths import conf_dir
from tests.processes import run
from tests.surroundings import ROOT

STUDIES = ROOT / "experiments"
FADING = (
    *("seq_len=5,9", "steps=8,4", "probe.measurements.lag_curves.when.every=4,2"),
    *("probe.length=30", "seed=0,1", "batch_size=3"),
)
MEMORY = (
    *("task=latch,random_permutation", "seq_len=10,12", "steps=30", "seed=0"),
    *("hidden_size=6", "batch_size=4", "task.validation_examples=8"),
)
TINY = ("steps=6", "val_every=3", "seed=0,1", "hidden_size=8", "batch_size=4")
THRESHOLDS = ("cell=rnn,rnn,rnn", "clip_mode=norm,norm,value", "clip=null,0.3,0.05")
SMALL: dict[str, dict[str, tuple[str, ...]]] = {
    "clipping": {
        "clipping": (*TINY, *THRESHOLDS, "lr=1,30"),
        "clipping_value": (*TINY, "clip=0.02,0.05"),
        "clipping_adam": (*TINY, *THRESHOLDS, "lr=0.01,0.1"),
    },
    "edge_of_chaos": {
        "edge_of_chaos": (
            *(*TINY, "seq_len=10", "task.validation_examples=8", "lr=0.01,0.1"),
            *("cell.nonlinearity=tanh,relu", "init.W_hh.gain=0.5,2"),
        ),
    },
    "fading": {
        "fading": (*FADING, "hidden_size=4"),
        "fading_forget_bias": (*FADING, "hidden_size=4"),
        "fading_parameters": (*FADING, "hidden_size=6"),
    },
    "memory": {
        "memory": (*MEMORY, "probe.length=40,48"),
        "memory_forget_bias": (*MEMORY, "probe.length=40,48"),
        "memory_short_probe": (*MEMORY, "probe.length=10,12"),
    },
}
"""Overrides that reduce a sweep to seconds, by study and sweep."""
NOTEBOOKS = sorted(path.parent.name for path in STUDIES.glob("*/analysis.ipynb"))


def readme(study: str) -> str:
    return (STUDIES / study / "README.md").read_text(encoding="utf-8")


def notebook_of(folder: Path) -> Any:
    return nbformat.read(folder / "analysis.ipynb", as_version=4)


def source_of(notebook: Any) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


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


def test_every_study_is_here() -> None:
    assert set(NOTEBOOKS) == set(SMALL)
    table = (STUDIES / "README.md").read_text(encoding="utf-8")
    assert all(f"({study}/README.md)" in table for study in NOTEBOOKS)


@pytest.mark.parametrize("study", NOTEBOOKS)
def test_readme_and_configuration_agree_on_the_commands(study: str) -> None:
    assert commands_of(study)[study] == [f"experiment={study}"]
    assert set(commands_of(study)) == set(SMALL[study])
    for sweep, arguments in commands_of(study).items():
        plan = compose_plan(conf_dir(), [*arguments, *SMALL[study][sweep]], multirun=True)
        assert plan.problems == [] and plan.folder == Path.cwd() / "multirun" / sweep
        assert f'"{sweep}"' in source_of(notebook_of(STUDIES / study))


@pytest.mark.parametrize("study", NOTEBOOKS)
def test_what_is_committed_was_executed_in_order_and_without_a_warning(study: str) -> None:
    notebook = notebook_of(STUDIES / study)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(output.output_type in ("display_data", "execute_result") for output in outputs)
    texts = "\n".join(str(output.data.get("text/plain", "")) for output in outputs) + source_of(notebook)
    assert not re.search(r"/(home|root|tmp|work|Users)/", texts)
    assert f"experiment={study}" in texts and "git_commit" in texts
    for figure in figures_of(study):
        assert (STUDIES / study / figure).stat().st_size < 400_000


@pytest.mark.parametrize("study", NOTEBOOKS)
def test_a_small_version_runs_to_its_end(study: str, tmp_path: Path) -> None:
    for sweep, arguments in commands_of(study).items():
        small = (*SMALL[study][sweep], "tracking=none", "figures=false", "report=false", "jobs=1")
        done = run(tmp_path, "-m", *arguments, *small)
        assert done.code == 0, done.err
        assert len(list((tmp_path / "multirun" / sweep).glob("*/run.json"))) > 1
    folder = tmp_path / "experiments" / study
    folder.mkdir(parents=True)
    shutil.copy(STUDIES / study / "analysis.ipynb", folder)
    notebook = notebook_of(folder)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    assert figures_of(study) and all((folder / figure).is_file() for figure in figures_of(study))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.output_type == "stream"] == []
