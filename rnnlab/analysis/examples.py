"""Pictures of a task's sequences: what the network sees and what it is to tell."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnlab.analysis.figures import PALETTE, SEQUENTIAL
from rnnlab.analysis.run_figures import figure_style
from rnnlab.arrays import Array

MOST_LINES = 3
MOST_TICKS = 12


@dataclass(frozen=True, eq=False)
class Example:
    """One sequence.

    Attributes:
        inputs: Symbols (T,) or vectors (T, X).
        targets: Classes (S,) or values (S, Y) of the last S time steps.
        present: Which of them count, (S,).
        input_names: Of the symbols or features.
        output_names: Of the classes or values.
    """

    inputs: Array
    targets: Array
    present: Array
    input_names: Sequence[str]
    output_names: Sequence[str]


def draw_examples(examples: Sequence[Example]) -> Figure:
    """A figure with the examples below one another, time steps 1 … T to the right."""
    with matplotlib.rc_context(figure_style()):
        figure = Figure(figsize=(8, 0.8 + 1.7 * len(examples)), layout="constrained")
        rows = figure.subplots(len(examples), 1, sharex=True, squeeze=False)[:, 0]
        for ax, example in zip(rows, examples, strict=True):
            draw_example(example, ax)
        rows[-1].set_xlabel("time step t")
    return figure


def draw_example(example: Example, ax: Axes) -> Axes:
    """Symbols as points on their rows, few numbers as lines, many as a heat map; the target in red."""
    time = np.arange(1, len(example.inputs) + 1)
    told = time[-len(example.targets) :][example.present]
    targets = example.targets[example.present]
    if example.inputs.ndim == 1:
        _draw_symbols(example, ax, time)
    elif example.inputs.shape[1] <= MOST_LINES:
        for feature, name in enumerate(example.input_names):
            values, color = example.inputs[:, feature], PALETTE[feature]
            ax.plot(time, values, ".-", color=color, label=name, linewidth=1, drawstyle="steps-mid")
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
    else:
        ax.pcolormesh(
            time, np.arange(example.inputs.shape[1]), example.inputs.T, cmap=SEQUENTIAL, shading="nearest"
        )
        ax.set_ylabel("feature")
    if len(targets) == 1:
        shown = example.output_names[targets[0]] if targets.ndim == 1 else f"{targets[0, 0]:.2f}"
        ax.set_title(f"target after time step {told[0]}: {shown}", color=PALETTE[3], fontsize="medium")
    elif targets.ndim == 2:
        for value in targets.T:
            ax.plot(told, value, "o", color=PALETTE[3], markersize=3, fillstyle="none")
    elif example.inputs.ndim == 1 and set(example.output_names) <= set(example.input_names):
        rows = [example.input_names.index(example.output_names[label]) for label in targets]
        ax.plot(told, rows, "o", color=PALETTE[3], markersize=8, fillstyle="none", label="target")
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
    return ax


def _draw_symbols(example: Example, ax: Axes, time: Array) -> None:
    ax.plot(time, example.inputs, "o", color=PALETTE[0], markersize=4, label="input")
    shown = np.arange(len(example.input_names))
    if len(shown) > MOST_TICKS:
        shown = np.unique(example.inputs)[:: max(len(np.unique(example.inputs)) // MOST_TICKS, 1)]
    ax.set_yticks(shown, [example.input_names[int(symbol)] for symbol in shown])
