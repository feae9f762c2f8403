"""The style of the figures: that of seaborn, which the figures of a run do not import."""

import subprocess
import sys

import seaborn as sns

from rnnlab.analysis.figures.style import PALETTE, STYLE, figure_style
from tests.surroundings import ROOT, environment

CHANGED = {"axes.spines.top", "axes.spines.right", "image.cmap"}
"""Settings in which the style differs from seaborn's; every figure chooses its colour map itself."""


def test_the_style_is_that_of_seaborn() -> None:
    theirs = sns.axes_style("ticks") | sns.plotting_context("notebook")
    ours = figure_style()
    assert {key for key, value in theirs.items() if key not in ours or ours[key] != value} == CHANGED
    assert ours.items() >= STYLE.items()
    assert list(sns.color_palette("colorblind")) == PALETTE


def test_the_figures_of_a_run_are_drawn_without_slow_libraries() -> None:
    code = (
        "import sys, rnnlab.analysis.figures.run_folder;"
        "print([name for name in ('scipy', 'seaborn', 'matplotlib.pyplot') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
