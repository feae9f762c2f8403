"""Assignment of the axes of a sweep to colours, the x axis and the columns of grids."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from rnnlab.analysis.report.encodings import Encodings, choose_encodings
from rnnlab.analysis.report.figures import MAX_CURVES, _select_curves


def frame(**axes: list[object]) -> pd.DataFrame:
    columns = {name: pd.Series(v) for name, v in axes.items()}
    words = {
        name: values.astype("category") for name, values in columns.items() if isinstance(axes[name][0], str)
    }
    return pd.DataFrame(columns | words)


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ({"cell": ["rnn", "rnn"], "seed": [0, 1]}, Encodings([])),
        ({"cell": ["rnn", "lstm"]}, Encodings(["cell"], "cell")),
        (
            {"seq_len": [1, 2, 1, 2], "cell": ["rnn", "rnn", "lstm", "lstm"], "steps": [4, 2, 4, 2]},
            Encodings(["cell", "seq_len", "steps"], "cell", "seq_len"),  # steps are determined by seq_len
        ),
        (
            {"cell": ["r", "r", "l", "l"], "hidden_size": [9, 7, 9, 7], "layers": [1, 2, 1, 2]},
            Encodings(["cell", "layers", "hidden_size"], "cell", "layers"),  # sizes of equal parameter counts
        ),
        ({"lr": [1.0, 2.0, 3.0]}, Encodings(["lr"], "lr")),
        (  # a random search: a never repeated value determines no other axis
            {"lr": [0.1, 0.2, 0.3], "g": [1.5, 1.6, 1.7], "cell": ["r", "l", "r"]},
            Encodings(["cell", "lr", "g"], "cell", "lr", "g", "g"),
        ),
        (  # a key that only some runs have is not used in figures
            {"cell": ["r", "r", "l", "l"], "cell.bias": [1.0, 2.0, None, None], "lr": [1.0, 1.0, 1.0, 2.0]},
            Encodings(["cell", "lr", "cell.bias"], "cell", "lr"),
        ),
        (
            {"lr": [1.0, 1.0, 2.0, 2.0], "clip": [np.nan, 1.0, np.nan, 1.0]},
            Encodings(["clip", "lr"], "lr", "clip"),
        ),
        (
            {"a": ["x", "y"] * 4, "cell": ["r", "r", "l", "l"] * 2, "lr": [1] * 4 + [2] * 4},
            Encodings(["cell", "lr", "a"], "cell", "lr", None, "a"),
        ),
    ],
)
def test_the_encodings_of_axes_in_figures(axes: dict[str, list[object]], expected: Encodings) -> None:
    assert choose_encodings(frame(**axes), list(axes)) == expected


@pytest.mark.parametrize(
    ("conditions", "seeds", "shown", "note"),
    [
        (1, 500, 1, ""),
        (60, 1, 60, ""),
        (60, 5, 60, ""),  # one mean per condition
        (30, 2, 30, ""),  # two curves per condition
        (1000, 1, 60, "60 of 1000 runs"),
        (500, 2, 30, "30 of 500 conditions"),
        (334, 3, 60, "60 of 334 conditions"),
    ],
)
def test_figures_show_at_most_sixty_curves_of_whole_conditions(
    conditions: int, seeds: int, shown: int, note: str
) -> None:
    rows = [
        (number % 7, None if number == 3 else number, seed)
        for number, seed in product(range(conditions), range(seeds))
    ]
    runs = pd.DataFrame(rows, columns=["cell", "lr", "seed"]).sample(frac=1, random_state=0)
    selected, text = _select_curves(runs, ["cell", "lr"] if conditions > 1 else [])
    assert (note in text) if note else text == ""
    sizes = runs.iloc[selected].groupby(["cell", "lr"], dropna=False).size()
    assert len(sizes) == shown and set(sizes) == {seeds}, "every run of a condition, or none"
    assert sum(1 if seeds >= 3 else seeds for _ in sizes) <= MAX_CURVES
    assert list(selected) == sorted(selected)
