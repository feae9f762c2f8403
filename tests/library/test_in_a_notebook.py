"""Behaviour in the kernel of a notebook: figures appear, and `quiet=True` leaves no output."""

from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import rnnlab as rl
from rnnlab.app import progress
from rnnlab.terminal.console import Terminal
from rnnlab.terminal.notebook import NotebookBar

CURVE = rl.LagCurve.from_values(np.log10(0.5) * np.arange(20))


@pytest.mark.parametrize("columns", [{"hue": None}, {"hue": None, "col": "cell"}])
def test_the_figures_after_the_first_one_appear_too(
    monkeypatch: pytest.MonkeyPatch, columns: dict[str, Any]
) -> None:
    """The inline backend is loaded by the first figure and then turns the interactive mode on."""
    create = plt.figure

    def load_backend(*args: Any, **keys: Any) -> Any:
        matplotlib.interactive(True)
        return create(*args, **keys)

    before = matplotlib.is_interactive()
    size = matplotlib.rcParams["font.size"]
    monkeypatch.setattr(plt, "figure", load_backend)
    try:
        matplotlib.interactive(False)
        rl.draw_lag_curves(CURVE.frame, **columns)
        assert matplotlib.is_interactive() and matplotlib.rcParams["font.size"] == size
    finally:
        matplotlib.interactive(before)
        plt.close("all")


def test_quiet_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    for quiet in (True, False):
        console = Terminal(quiet=quiet)
        bars = (progress.counting_bar(console, "runs", progress.Elapsed()), progress.waiting_line(console))
        assert [isinstance(bar, NotebookBar) for bar in bars] == 2 * [not quiet]


def test_a_quiet_sweep_shows_nothing_and_logs_its_table(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    shown: list[Any] = []
    monkeypatch.setattr("rich.jupyter.display", lambda *found: shown.append(found))
    small = {
        "seq_len": 5,
        "steps": 2,
        "hidden": 4,
        "jobs": 1,
        "report": False,
        "figures": False,
        "probe": "none",
    }
    found = rl.sweep("adding", seed=[0, 1], folder=tmp_path / "sweep", track=False, quiet=True, **small)
    assert len(found) == 2 and shown == [] and capfd.readouterr() == ("", "")
    log = (tmp_path / "sweep" / "sweep.log").read_text(encoding="utf-8")
    assert "baseline" in log and log.count("finished") >= 2


def test_the_legend_shows_the_dashes_of_a_column_shown_by_colour_and_style() -> None:
    frames = [CURVE.frame.assign(run=cell, cell=cell) for cell in ("rnn", "lstm")]
    ax = rl.draw_lag_curves(pd.concat(frames, ignore_index=True), hue="cell", style="cell")
    legend = ax.get_legend()
    assert legend is not None
    shown = {
        text.get_text(): line.get_linestyle()
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }
    drawn = {line.get_color(): line.get_linestyle() for line in ax.lines}
    assert {rl.CELL_COLORS[cell]: dash for cell, dash in shown.items()} == drawn and len(
        set(shown.values())
    ) == 2
    plt.close("all")
