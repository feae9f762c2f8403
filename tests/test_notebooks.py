"""The notebooks for users: their form, both paths of the slider, the figure for print, and the numbers in their text.

The code cells are executed in this process with matplotlib's backend agg. Each sentence in `SENTENCES` is computed from
the variables of the notebook and must occur in a text cell that follows their computation.
"""

import re
import runpy
import shutil
import sys
import types
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest

from rnnlab.analysis.figures.backend import without_windows
from tests.surroundings import ROOT

FOLDER = ROOT / "experiments" / "notebooks"
STUDENT, LECTURER = "vanish_keep_explode", "turn_the_gain"
ENGINEER, AUTHOR = "my_rnn_does_not_train", "figure_for_a_paper"
NAMES = (STUDENT, LECTURER, ENGINEER, AUTHOR)
SMALLER = {
    ENGINEER: {"seeds = [0, 1, 2]": "seeds = [0]", '    "default": {"cell": "rnn"},\n': ""},
}
"""Replacements in the code of a notebook that save time: two of three seeds, and a run that an earlier cell computes.

The committed outputs of the omitted runs are checked instead.
"""
ALLOWED_IMPORTS = {"rnnlab", "numpy", "pandas", "matplotlib", "seaborn", "ipywidgets"}
SENTENCES = {
    STUDENT: (
        "multiplied by {default.gain:.2f} per time step. The horizon, the largest lag at which at least 1 % remains, is {default.horizon}:",
        "10^{curves['identity', 1.25].log10_g[59] - curves['identity', 1.25].log10_g[1]:.1f} over 58 time steps at gain 1.25",
        "by {100 - 125 * curves['tanh', 0.8].gain:.0f} % at gain 0.8, and by {100 - 80 * curves['tanh', 1.25].gain:.0f} % at gain 1.25",
        "comes close to keeping the gradient: {curves['tanh', 1.25].gain:.2f} per time step",
        "agrees with the theory to {'three digits' if (table.iloc[:, 0] - table.iloc[:, 1]).abs().max() < 5e-4 else 0}",
        "gradient norm {'exceeds 10^30' if runs[1.1, None].summary['grad/norm_max'] > 1e30 else 0} and the run diverges",
        "{'diverges at step 2' if 'diverged at step 2,' in repr(runs[1.1, None]) else 0}. With threshold 1 the run takes all 100 steps",
        "outcome is `{runs[1.1, 1].outcome}`",
        "{'every one of them' if runs[1.1, 1].summary['grad/clip_rate'] == 1 else 0} is clipped",
        "its error is {runs[1.1, 1].summary['val/mse']:.1f}, that of the baseline {runs[1.1, 1].summary['val/baseline']:.3f}",
        "still {runs[1.1, 1].lag_curve().gain:.2f} per time step",
        "error of {runs[0.8, None].summary['val/mse']:.3f}, with gains of {runs[0.8, None].lag_curve().gain:.3f} and {runs[0.8, 1].lag_curve().gain:.3f}",
        "horizons of the LSTM ({curves['lstm'].horizon}) and the GRU ({curves['gru'].horizon})",
        "the vanilla RNN ({curves['rnn'].horizon})",
        "keeps a gain of {curves['lstm, forget bias 2'].gain:.2f} and the curve stays above 1 % up to the largest lag, {curves['lstm, forget bias 2'].horizon}",
    ),
    LECTURER: (
        "linear network is {curves['linear', 0.8].horizon} at gain 0.8 and {curves['linear', 0.9].horizon} at gain 0.9",
        "grows by {curves['linear', 1.2].log10_g[49] - curves['linear', 1.2].log10_g[1]:.1f} decades in 48 steps",
        "falls by {curves['tanh', 1.0].log10_g[1] - curves['tanh', 1.0].log10_g[49]:.1f} decades in 48 steps",
        "({curves['tanh', 0.6].gain:.3f} at gain 0.6)",
        "It is {curves['tanh', 1.2].gain:.2f} at gain 1.2, and only {curves['tanh', 1.4].gain:.2f} at gain 1.4",
        "At lag {curves['linear', 0.9].horizon}, 1 % of the gradient is left",
    ),
    ENGINEER: (
        "{run.summary['val/mse']:.3f} after 1000 steps, and {run.summary['val/baseline']:.3f} for the mean",
        "clips {100 * run.summary['grad/clip_rate']:.1f} % of the steps",
        "The median norm is {run.summary['grad/norm_p50']:.1f}",
        "the horizon is {curve.horizon}: at lag 20, the gradient is smaller than at lag 1 by {-shown[20]:.1f} decades",
        "{'less than 1 in 1000' if share.iloc[-1] < 1e-3 else 0} states of the probe batch is outside",
        "brings the error below {0.03} with every seed",  # in the saved output, which a test reads
        "spectral radius is {abs(np.linalg.eigvals(W_hh)).max():.2f}, and the network's gain per time step is {curve.gain:.2f}",
    ),
    AUTHOR: (
        "levels off at {initial.query('`cell.nonlinearity` == \"tanh\"')['mean'].max():.2f} for W_hh gains up to {initial['init.W_hh.gain'].max()}",
        "is {-lag_20['mean'][0]:.1f} decades smaller than at lag 1 in the vanilla RNN [{-lag_20['high'][0]:.1f}, {-lag_20['low'][0]:.1f}]",
        "{'as large as at lag 1' if abs(lag_20['mean'][2]) < 0.05 else 0} in the GRU",
        "its gradient falls by {-trained.query('lag == 20 and cell == \"lstm\"')['decades'].min():.1f} decades",
    ),
}


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_of(name: str) -> list[str]:
    return [cell.source for cell in read(name).cells if cell.cell_type == "code"]


def text_of(cell: Any) -> str:
    return " ".join(cell.source.split())


def plain_output(name: str, start: str) -> str:
    """Return the committed text output of the cell whose code starts with a string."""
    [cell] = [cell for cell in read(name).cells if cell.source.startswith(start)]
    return str(cell.outputs[0].data["text/plain"])


def execute(name: str, names: dict[str, Any]) -> list[str]:
    """Execute the code cells of a notebook, and return the sentences that its text cells do not contain."""
    missing = {sentence: "not computed" for sentence in SENTENCES[name]}
    changes = SMALLER.get(name, {})
    assert all("\n".join(code_of(name)).count(old) == 1 for old in changes)
    for cell in read(name).cells:
        if cell.cell_type == "code":
            code = cell.source
            for old, new in changes.items():
                code = code.replace(old, new)
            exec(code, names)
            continue
        for sentence in list(missing):
            with suppress(NameError, KeyError, IndexError, AttributeError):
                missing[sentence] = eval(f'f"""{sentence}"""', names)
                if missing[sentence] in text_of(cell):
                    del missing[sentence]
    return list(missing.values())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Change to a folder with the data of the notebooks, and restore matplotlib's settings afterwards."""
    shutil.copytree(FOLDER / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # its import fails
    with matplotlib.rc_context(), without_windows():
        yield tmp_path
        plt.close("all")


def test_the_notebooks_are_listed_for_readers() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)
    table = (ROOT / "experiments" / "README.md").read_text(encoding="utf-8")
    assert all(f"(notebooks/{name}.ipynb)" in table for name in NAMES)
    assert f"experiments/notebooks/{STUDENT}.ipynb" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_form(name: str) -> None:
    for code in code_of(name):
        assert len(code.splitlines()) <= 15 and not re.search(r"^\s*(def|class) |^%|^!", code, re.MULTILINE)
        imported = re.findall(r"^\s*(?:import|from) (\w+)", code, re.MULTILINE)
        assert set(imported) <= ALLOWED_IMPORTS and "from rnnlab" not in code and "._" not in code
    for target in re.findall(r"\]\((?!https:)([^)]+)\)", "".join(cell.source for cell in read(name).cells)):
        assert (FOLDER / target).is_file()


@pytest.mark.parametrize("name", NAMES)
def test_committed_outputs(name: str) -> None:
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 400_000
    cells = [cell for cell in read(name).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"display_data", "execute_result"}
    assert any("image/png" in output.data for output in outputs)
    assert not any("widget" in kind for output in outputs for kind in output.data)
    texts = "\n".join(output.data["text/plain"] for output in outputs)
    assert not re.search(r"/(home|root|tmp|work|Users)/|HTML object|Warning", texts)


@pytest.mark.parametrize("name", NAMES)
def test_each_decimal_number_of_the_text_is_computed_or_set(name: str) -> None:
    code = "\n".join(code_of(name))
    patterns = [re.sub(r"\\\{.*?\\\}", r"[^ ]+", re.escape(sentence)) for sentence in SENTENCES[name]]
    for cell in read(name).cells:
        if cell.cell_type == "markdown":
            text = text_of(cell)
            for pattern in patterns:
                text = re.sub(pattern, "", text)
            assert all(number in code for number in re.findall(r"\d+\.\d+", text)), text


@pytest.mark.parametrize("name", (STUDENT, AUTHOR))
def test_numbers(name: str, place: Path) -> None:
    assert execute(name, {}) == []
    if name == AUTHOR:
        svg = (place / f"{AUTHOR}.svg").read_text(encoding="utf-8")
        assert float(re.findall(r'<svg [^>]*width="([\d.]+)pt"', svg, re.DOTALL)[0]) == pytest.approx(
            3.35 * 72
        )
        sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)]
        assert len(sizes) > 20 and min(sizes) >= 7
        pdf = (place / f"{AUTHOR}.pdf").read_bytes()
        assert float(re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ", pdf)[0]) == pytest.approx(3.35 * 72)


def test_the_data_are_those_of_the_script() -> None:
    script = runpy.run_path(str(FOLDER / "make_data.py"))
    for file, columns, runs in (
        ("trained_curves", "CURVE_COLUMNS", 15),
        ("initial_gains", "RUN_COLUMNS", 70),
    ):
        frame = pd.read_parquet(FOLDER / "data" / f"{file}.parquet")
        assert list(frame) == list(script[columns]) and frame["run"].nunique() == runs
        assert set(frame["seed"]) == set(script["COMMON"]["seed"])
    assert sum(path.stat().st_size for path in (FOLDER / "data").iterdir()) < 60_000


def test_numbers_of_the_lecturers_notebook_and_both_paths_of_the_slider(place: Path) -> None:
    names: dict[str, Any] = {}
    assert execute(LECTURER, names) == []
    assert "clipping" not in names and len(plt.get_fignums()) == 2
    calls: list[dict[str, Any]] = []
    fake = types.SimpleNamespace(
        SelectionSlider=lambda options, value, **_: (options, value),
        ToggleButtons=lambda options, **_: (options, options[0]),
        interact=lambda function, **widgets: calls.append({"function": function} | widgets),
    )
    [cell] = [code for code in code_of(LECTURER) if "interact" in code]
    exec(cell, names | {"ipywidgets": fake})
    [call] = calls
    assert len(plt.get_fignums()) == 2
    shown = {
        call["function"](gain=gain, activation=phi)
        for gain in call["gain"][0]
        for phi in call["activation"][0]
    }
    assert len(shown) == 2 * 17 and call["gain"][1] in call["gain"][0]
    flat = call["function"](gain=1.0, activation="linear").axes[0]
    assert flat.get_title(loc="left") == "W_hh gain 1: factor 1.000 per step, horizon at least 49"
    assert abs(flat.lines[0].get_ydata()).max() < 1e-3


def test_numbers_of_the_engineers_notebook(place: Path) -> None:
    names: dict[str, Any] = {}
    assert execute(ENGINEER, names) == []
    rows = [line.split() for line in plain_output(ENGINEER, "table = pd.DataFrame").splitlines()[2:]]
    starts = [row for row in rows if len(row) == 7]
    committed = {
        (start[0], seed): [float("nan" if value == "<NA>" else value) for value in row[-5:]]
        for number, start in enumerate(starts)
        for seed, row in enumerate(rows[3 * number : 3 * number + 3])
    }
    assert len(committed) == 12
    for (remedy, seed), row in names["table"].iterrows():
        was = dict(zip(names["table"].columns, committed[remedy, seed], strict=True))
        assert row["horizon before"] == pytest.approx(was["horizon before"], abs=1)
        assert (row["error"] < 0.1) == (was["error"] < 0.1)
    assert names["run"].summary["val/mse"] == pytest.approx(committed["default", 0][0], rel=0.1)
    errors = {key: row[0] for key, row in committed.items()}
    assert (
        all(errors["fan_in", seed] < 0.03 for seed in range(3))
        and max(errors["fan_in", s] for s in range(3)) < 0.1667 / 6
    )
    assert all(committed["fan_in", seed][2] == 39 for seed in range(3))
    assert all(committed["lstm", seed][4] <= 700 for seed in range(3))
    assert all(
        committed["orthogonal", seed][1] == 39 and errors["orthogonal", seed] > 0.15 for seed in range(3)
    )
    assert sum(committed["orthogonal", seed][2] < 39 for seed in range(3)) == 2
    rates = {key: row[3] for key, row in committed.items()}
    learned = [round(rate, 2) for (remedy, _), rate in rates.items() if remedy in ("fan_in", "lstm")]
    assert (min(learned), max(learned)) == (0.10, 0.42)
    assert max(rates["default", seed] for seed in range(3)) <= 0.02
