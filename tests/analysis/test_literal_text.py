"""Every drawing function shows arbitrary names literally; warnings are errors in these tests."""

import io
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from rnnlab.analysis.figures import single_run as figures
from rnnlab.analysis.figures.examples import Example, draw_examples
from rnnlab.analysis.figures.literal_text import allow_odd_names
from rnnlab.analysis.figures.phase_diagram import draw_phase_diagram
from rnnlab.analysis.figures.sweep_curves import draw_lag_curves, draw_losses
from rnnlab.analysis.figures.sweep_scalars import draw_clipping, draw_gain, draw_horizon, draw_solved
from tests.analysis.many_runs import gradients_frame, metrics_frame, runs_frame
from tests.thorough import thorough

NASTY = (
    *("$x_$", "$", "a$b$c", "\\frac{", "\\$y\\$", "_cell", "_nolegend_", "a_b^c", "%s {}", ""),
    *("温度", "x" * 400, "a\nb", "a\tb\x07\x1b[31m", "\u2028", "\ud800"),
)
PLAIN = ("$x_$", "a$b$c", "_cell", "\\frac{", "\\$y\\$", "a_b^c")
"""Names whose characters can all be drawn."""
RUNS = runs_frame()
GRADIENTS, METRICS = gradients_frame(RUNS), metrics_frame(RUNS)


def texts_of(drawn: Any) -> list[str]:
    """Draw a figure, which must not fail, and return its texts."""
    first = drawn.flat[0] if isinstance(drawn, np.ndarray) else drawn
    figure: Figure = first if isinstance(first, Figure) else first.figure
    with allow_odd_names():
        for form in ("svg", "png"):
            figure.savefig(io.BytesIO(), format=form, dpi=40)
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    # Tick labels still parse formulas, so their dollar signs are escaped.
    texts = [
        text.get_text().replace("\\$", "$") if text.get_parse_math() else text.get_text() for text in found
    ]
    plt.close(figure)
    return texts


def named(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Rename the LSTM, and add an axis of the same name with the cells."""
    cells = frame["cell"].astype(str).replace("lstm", name)
    return frame.assign(**{name: pd.Categorical(cells)})


SWEEP: dict[str, Callable[[str], Any]] = {
    "gain": lambda name: draw_gain(named(RUNS, name), hue=name),
    "gain by a name": lambda name: draw_gain(named(RUNS, name), x=name, hue=None),
    "horizon": lambda name: draw_horizon(named(RUNS, name), hue=name),
    "solved": lambda name: draw_solved(named(RUNS, name), hue=name),
    "clipping": lambda name: draw_clipping(named(RUNS, name), hue=name),
    "lag curves": lambda name: draw_lag_curves(named(GRADIENTS, name), hue=name),
    "losses": lambda name: draw_losses(named(METRICS, name), hue=name),
    "phase diagram": lambda name: draw_phase_diagram(named(RUNS, name), x=name, y="clip"),
    "gains in a grid": lambda name: draw_gain(named(RUNS, name), hue=name, col=name),
    "lag curves in a grid": lambda name: draw_lag_curves(named(GRADIENTS, name), hue=name, col=name),
    "a phase diagram's grid": lambda name: draw_phase_diagram(named(RUNS, name), x="seq_len", y="clip", row=name),
    "a heat map": lambda name: figures.draw_time_heatmap(
        GRADIENTS[GRADIENTS["run"] == "r0"].assign(quantity=name), quantity=name
    ),
}  # fmt: skip


@pytest.mark.parametrize("drawing", SWEEP)
@pytest.mark.parametrize("name", ["$x_$", thorough("_cell")])
def test_a_name_in_a_figure_of_many_runs(drawing: str, name: str) -> None:
    texts = texts_of(SWEEP[drawing](name))
    assert any(name in text for text in texts), texts


@pytest.mark.parametrize("name", NASTY[:-1], ids=ascii)  # pandas rejects lone surrogates
def test_any_name_in_a_figure_of_many_runs(name: str) -> None:
    texts = texts_of(draw_gain(named(RUNS, name), hue=name, x="seq_len"))
    assert name not in PLAIN or any(name in text for text in texts)
    assert not any(character in text for text in texts for character in "\x07\x1b")


@pytest.mark.parametrize("many", [thorough(2), 5, len(NASTY)])
@pytest.mark.parametrize("targets", [9, 1])
@pytest.mark.parametrize("numbers", [True, False])
def test_names_of_columns_and_symbols(many: int, targets: int, numbers: bool) -> None:
    rng = np.random.default_rng(0)
    for start in range(0, len(NASTY) - many + 1, many):
        names = NASTY[start : start + many]
        x = rng.normal(size=(9, many)) if numbers else np.arange(9) % many
        figure = draw_examples([Example(x, x[-targets:], np.ones(targets, bool), names, names)], "title")
        texts = texts_of(figure)
        if many <= 3 or (many <= 12 and not (numbers and targets == 1)):
            assert all(any(name in text for text in texts) for name in set(names) & set(PLAIN)), texts


def test_names_in_the_figures_of_a_run(ax: Axes) -> None:
    metrics = pd.DataFrame({"step": [0, 1, 2], "$x_$": [3.0, 2.0, 1.0]})
    assert "$x_$" in texts_of(figures.draw_verdict(metrics, ax, "$x_$", 2.0))


def test_tick_labels_on_a_logarithmic_axis_are_plain_numbers(ax: Axes) -> None:
    metrics = pd.DataFrame({"step": range(9), "grad/norm": np.logspace(-3, 3, 9)})
    figures.draw_clip_histogram(metrics, ax)
    texts_of(ax)
    labels = [text for label in ax.get_xticklabels() if (text := label.get_text())]
    assert {"0.001", "1", "1000"} <= set(labels) and all(text == f"{float(text):g}" for text in labels)
