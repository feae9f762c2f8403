"""Tests of the pages: links resolve, commands compose, Python examples run, formulas convert to MathML."""

import doctest
import importlib
import re
import shlex
import shutil
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from latex2mathml.converter import convert

import rnnlab
from rnnlab.app import reporting
from rnnlab.app.cli import main
from rnnlab.app.config.build import build
from rnnlab.app.config.compose import AdaptiveSweep, compose
from rnnlab.paths import conf_dir
from tests.processes import TINY, Done, run, run_info
from tests.surroundings import ROOT

PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith((".", "_")) for part in path.relative_to(ROOT).parts)
)
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
SHOWN = {name: text for name, text in TEXTS.items() if not name.startswith("experiments")}
LINK = re.compile(r"(?:\]\(|(?:href|src)=\")([^)\s\":]*)(?:\)|\")")
PYTHON = re.compile(r"```python\n(.+?)```", re.DOTALL)
ELSEWHERE = ("docs/derivations.md", "docs/torch.md", "CONTRIBUTING.md")
"""Pages whose Python blocks are run or compared with the code in other tests."""
NOT_HERE = ("<", "…", "hydra/sweeper=optuna", "--help", "--cfg", "lsmt")
"""Marks of commands that are not tested: placeholders, additional packages, and deliberate mistakes."""


def anchors(text: str) -> set[str]:
    """Return the heading anchors of a page, as GitHub and MyST generate them."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.+?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_has_a_target(name: str) -> None:
    prose = re.sub(r"```.+?```", "", TEXTS[name], flags=re.DOTALL)
    for link in LINK.findall(prose):
        path, _, anchor = link.partition("#")
        target = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert target.exists() and target.is_relative_to(ROOT), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", TEXTS)
def test_no_line_of_text_is_a_comment(name: str) -> None:
    """MyST omits lines that begin with a percent sign."""
    assert not re.search(r"^%", re.sub(r"```.+?```", "", TEXTS[name], flags=re.DOTALL), re.MULTILINE)


def test_every_page_is_in_the_navigation() -> None:
    trees = re.findall(r"```{toctree}\n(?::[^\n]*\n)*\n(.+?)```", TEXTS["docs/index.md"], re.DOTALL)
    pages = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in (ROOT / "docs").rglob("*.md")}
    built = {page for page in pages if not page.startswith(("_build", "figures", "index"))}
    assert sorted("".join(trees).split()) == sorted(built)


def test_figures_are_small() -> None:
    for figure in (ROOT / "docs" / "figures").glob("*.[ps][nv]g"):
        assert figure.stat().st_size < 150_000 and figure.name in TEXTS["docs/figures/README.md"]


def commands() -> list[str]:
    """Return each rnnlab command line of the pages once, with long ranges shortened."""
    found = []
    for text in SHOWN.values():
        whole = re.sub(r"range\(\d+\)", "range(2)", text.replace("\\\n", ""))
        lines = re.findall(r"^ {4}(?:\$ |\.venv/bin/)?(python -m rnnlab.*)$", whole, re.MULTILINE)
        found += [shlex.join(shlex.split(line, comments=True)) for line in lines]
    return [line for line in dict.fromkeys(found) if not any(sign in line for sign in NOT_HERE)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the files that the pages mention."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # a command sets it to 1; monkeypatch restores it
    (tmp_path / "my.txt").write_text("to be, or not to be: that is the question. " * 500, encoding="utf-8")
    shutil.copy(ROOT / "CONTRIBUTING.md", tmp_path)
    rows = "\n".join(f"{np.sin(t / 5):.4f},{np.cos(t / 7):.4f}" for t in range(600))
    (tmp_path / "my.csv").write_text(f"a,b\n{rows}\n", encoding="utf-8")
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    own = re.findall(r"```yaml\n(.+?)```", TEXTS["docs/recipes.md"], re.DOTALL)[0]
    (tmp_path / "mine" / "experiment" / "slow.yaml").write_text(own, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("command", commands())
def test_a_command_is_understood(command: str, here: Path) -> None:
    _, _, module, *arguments = shlex.split(command)
    assert importlib.util.find_spec(module) is not None
    if module not in ("rnnlab", "rnnlab.show", "rnnlab.gradcheck"):
        return
    config_dir = None
    if "--config-dir" in arguments:
        place = arguments.index("--config-dir")
        _, config_dir = arguments[place : place + 2]
        del arguments[place : place + 2]
    overrides = [argument for argument in arguments if argument != "-m"]
    plan = compose(conf_dir(), overrides, "-m" in arguments, config_dir)
    assert not isinstance(plan, AdaptiveSweep) and plan.jobs and plan.problems == []
    for job in (plan.jobs[0], plan.jobs[-1]):
        build(job.config)


MISTAKES = [
    found
    for text in SHOWN.values()
    for found in re.findall(r"^ {4}\$ python -m rnnlab (.+)\n((?: {4}rnnlab: .+\n)+)", text, re.MULTILINE)
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_reported_as_documented(
    arguments: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(arguments)) == 2
    assert capsys.readouterr().err == dedent(message)


def test_the_page_contains_commands() -> None:
    assert len(commands()) > 35 and MISTAKES


def test_the_recipes_for_own_data_run(here: Path) -> None:
    recipes = re.findall(r"\n## (.+)\n", TEXTS["docs/recipes.md"])[:3]
    assert recipes == ["Your own text", "Your own table", "Your own named set-up"]
    section = TEXTS["docs/recipes.md"].split("## Your own cell")[0]
    for line in re.findall(r"^ {4}python -m rnnlab (.+)$", section, re.MULTILINE):
        small = (*TINY, "tracking=none", "figures=false", "task.held_out=0.3", "jobs=1")
        done = run(here, *shlex.split(line), *small)
        assert (done.code, done.err) == (0, "")
    made = [run_info(folder)["params"] for folder in done.runs.values()]
    assert [(params["task"], params["cell"], params["lr"]) for params in made] == [
        ("series", "rnn", "0.002"),
        ("char_lm", "lstm", "0.0005"),
        ("char_lm", "rnn", "0.002"),
        ("char_lm", "lstm", "0.002"),
    ]


@pytest.mark.parametrize(
    "name", [name for name in SHOWN if name not in ELSEWHERE and PYTHON.search(SHOWN[name])]
)
def test_python_runs(
    name: str, sweep: Done, tmp_path: Path, database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the Python blocks of a page in order, in a folder with a sweep."""
    monkeypatch.chdir(tmp_path)
    plt.close("all")
    if name in ("docs/notebook.md", "docs/own_network.md"):  # these pages start their own runs
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        monkeypatch.setattr(reporting, "write_sweep_report", lambda *_: None)  # tested by other tests
        monkeypatch.setattr(rnnlab, "sweep", partial(rnnlab.sweep, track=False), raising=False)
    elif name != "docs/first_ten_minutes.md":
        (tmp_path / "mlflow.db").unlink()
        for made in sweep.folder.iterdir():
            (tmp_path / made.name).symlink_to(made)
    else:
        shutil.copytree(sweep.folder / "multirun", tmp_path / "multirun")
        small = ("hidden_size=8", "batch_size=4", "engine=numpy", "tracking=none", "report=false", "jobs=1")
        assert run(tmp_path, "-m", "experiment=classroom", *small).code == 0
    matplotlib.use("agg")
    names: dict[str, Any] = {"__name__": name}
    for code in PYTHON.findall(SHOWN[name]):
        if ">>>" not in code:
            exec(code, names)
    if name == "docs/notebook.md":
        assert names["run"].outcome == "finished" and len(names["sweep"]) == 4
        assert names["curve"].horizon > 10 and not (tmp_path / "outputs").exists()
    if name == "docs/own_network.md":
        assert names["curve"].gain == pytest.approx(0.8, rel=0.02)
    if name == "docs/recipes.md":
        assert names["tape"].states["h"].shape == (51, 8, 4)
        assert names["deltas"].total["c"].any() and names["step"].after["h"].any()
    if name == "docs/first_ten_minutes.md":
        gains = [0.8, 0.9, 1.0, 1.1, 1.25]
        linear, tanh = (
            [10 ** ((line.get_ydata()[-1] - line.get_ydata()[0]) / 48) for line in ax.lines]
            for ax in names["grid"].axes.flat
        )
        assert linear == pytest.approx(gains, rel=1e-4)
        assert all(found < gain for found, gain in zip(tanh, gains, strict=True))


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if ">>>" in text])
def test_examples_in_a_page_give_the_printed_results(name: str) -> None:
    failed, tried = doctest.testfile(str(ROOT / name), module_relative=False)
    assert tried > 0 and failed == 0


MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "rnnlab").rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_give_the_printed_results(
    module: str, sweep: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the examples in a folder with a sweep."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "multirun").symlink_to(sweep.folder / "multirun")
    matplotlib.use("agg")
    plt.close("all")  # matplotlib warns when many figures are open
    failed, tried = doctest.testmod(
        importlib.import_module(module), extraglobs={"np": np, "pd": pd, "rl": rnnlab}
    )
    assert tried > 0 and failed == 0


def formulas() -> set[str]:
    pages = "".join(text for name, text in SHOWN.items() if name.startswith("docs"))
    found = re.findall(
        r"\$\$(.+?)\$\$|\$([^$\n`]+?)\$", re.sub(r"```.+?```", "", pages, flags=re.DOTALL), re.DOTALL
    )
    return {block or inline for block, inline in found}


@pytest.mark.parametrize("formula", sorted(formulas()))
def test_a_formula_can_be_drawn(formula: str) -> None:
    drawn = convert(formula)
    assert drawn.startswith("<math") and "\\" not in drawn  # a LaTeX command that was not converted


def test_commands_for_clusters_are_those_that_are_tested() -> None:
    recipes, sweeps = TEXTS["docs/recipes.md"], TEXTS["docs/sweeps.md"]
    for heading in ("## Your own sweep on Slurm", "## A server on PostgreSQL"):
        block = re.findall(r"\n((?: {4}.+\n)+)", recipes.split(heading)[1])[0]
        assert block in sweeps
    services = (ROOT / "tests" / "cluster" / "services.py").read_text(encoding="utf-8")
    for words in (
        *('"initdb", "-D"', '"-A", "trust", "-U", "mlflow", "-E", "UTF8"', "create database mlflow"),
        *(
            "-c listen_addresses=127.0.0.1 -c unix_socket_directories=",
            "postgresql+psycopg://mlflow@127.0.0.1:",
        ),
        *("--backend-store-uri", "--artifacts-destination"),
    ):
        assert words in services
        assert words.replace('"', "").replace(",", "") in sweeps
