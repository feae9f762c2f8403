"""The study of a word language model: its README and figure follow from the committed table, and it trains."""

import re
import runpy
import sys
from pathlib import Path

import matplotlib
import pandas as pd
import pytest

from tests.surroundings import ROOT

pytest.importorskip("torch")
FOLDER = ROOT / "experiments" / "word_language_model"
README = (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict:
    matplotlib.use("agg")
    monkeypatch.setattr(sys, "argv", ["train.py"])
    return runpy.run_path(str(FOLDER / "train.py"))


def test_the_tables_are_those_of_the_measurements(script: dict, tmp_path: Path) -> None:
    curves = pd.read_parquet(FOLDER / "lag_curves.parquet")
    horizons, steps = script["horizons"](curves), (0, 50, 100, 200, 300, 400, 600)
    for layer in (1, 2):
        cells = (", ".join(str(int(lag)) for lag in horizons.loc[step, layer]) for step in steps)
        assert f"| {layer} | {' | '.join(cells)} |" in README
        for lag in (10, 34):
            found = script["decades"](curves, lag)
            ends = found[found["layer"] == layer].groupby("step")["decades"].agg(["min", "max"])
            cells = (f"{ends['min'][step]:.1f}, {ends['max'][step]:.1f}" for step in (0, 50, 200, 600))
            assert f"| {layer} | {lag} | {' | '.join(cells)} |" in README
    script["draw"](curves, tmp_path / "figure.svg")
    assert len(re.findall("<path", (tmp_path / "figure.svg").read_text(encoding="utf-8"))) > 20


def test_the_model_trains_and_is_measured(script: dict) -> None:
    train = script["train"]
    train.__globals__.update(STEPS=4, EVERY=4, SIZE=8)
    frame, losses = train(0)
    assert set(frame["step"]) == {0, 4} and set(frame["layer"]) == {0, 1, 2}
    assert losses[1][1] < losses[0][1]
