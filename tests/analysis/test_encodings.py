"""Assignment of the axes of a sweep to colours, the x axis and the columns of grids."""

import numpy as np
import pandas as pd
import pytest

from rnnlab.analysis.report.encodings import Encodings, choose_encodings


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
def test_what_figures_show_the_axes_as(axes: dict[str, list[object]], expected: Encodings) -> None:
    assert choose_encodings(frame(**axes), list(axes)) == expected
