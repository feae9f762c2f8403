"""Figures of example sequences from a task, with inputs and targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnlab.analysis.figures.literal_text import with_literal_text
from rnnlab.analysis.figures.style import PALETTE, SEQUENTIAL, figure_style
from rnnlab.arrays import Array
from rnnlab.text import format_sample

MAX_LINES = 3
MAX_SYMBOLS = 12
TARGET_COLOR = PALETTE[3]


@dataclass(frozen=True, eq=False)
class Example:
    """One sequence of inputs with its targets.

    Attributes:
        inputs: Input symbols as integers, shape (T,), or input vectors, shape (T, X).
        targets: Integer classes, shape (S,), or real-valued targets, shape (S, Y), at the last S time steps.
        present: Boolean mask, shape (S,), of the targets that contribute to the loss.
        input_names: Names of the input symbols or features.
        output_names: Names of the target classes, or of the components of a real-valued target.
    """

    inputs: Array
    targets: Array
    present: Array
    input_names: Sequence[str]
    output_names: Sequence[str]


@with_literal_text
def draw_examples(examples: Sequence[Example], title: str) -> Figure:
    """Return a figure with one row per example and the time steps 1 … T from left to right."""
    with matplotlib.rc_context(figure_style()):
        figure = Figure(figsize=(8, 0.8 + 1.7 * len(examples)), layout="constrained")
        rows = figure.subplots(len(examples), 1, sharex=True, squeeze=False)[:, 0]
        for ax, example in zip(rows, examples, strict=True):
            draw_example(example, ax)
        rows[-1].set_xlabel("time step t")
        figure.suptitle(title, fontsize="medium")
    return figure


@with_literal_text
def draw_example(example: Example, ax: Axes) -> Axes:
    """Draw the inputs and targets of one example.

    Symbol inputs are drawn as points if the alphabet has at most 12 symbols, and as text otherwise. Vector
    inputs are drawn as lines if they have at most 3 features, and as a heat map otherwise.
    """
    time = np.arange(1, len(example.inputs) + 1)
    first_target = len(time) - len(example.targets)
    target_steps = time[first_target:][example.present]
    targets = example.targets[example.present]
    if example.inputs.ndim == 1 and len(example.input_names) > MAX_SYMBOLS:
        _write_symbols(example, ax, time, target_steps, targets)
    elif example.inputs.ndim == 1:
        _draw_symbols(example, ax, time, target_steps, targets)
    elif example.inputs.shape[1] <= MAX_LINES:
        _draw_lines(example, ax, time, target_steps, targets)
    else:
        features = np.arange(example.inputs.shape[1])
        ax.pcolormesh(time, features, example.inputs.T, cmap=SEQUENTIAL, shading="nearest")
        ax.invert_yaxis()
        if len(features) <= MAX_SYMBOLS:
            ax.set_yticks(features, example.input_names)
    if len(targets) == 1:
        target = example.output_names[targets[0]] if targets.ndim == 1 else format_sample(targets[0, 0])
        ax.set_title(
            f"target after time step {target_steps[0]}: {target}", color=TARGET_COLOR, fontsize="medium"
        )
    if ax.lines:  # explicit labels, because legends skip names that begin with an underscore
        labels = [str(line.get_label()) for line in ax.lines]
        placement: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
        ax.legend(list(ax.lines), labels, frameon=False, fontsize="small", **placement)
    return ax


def _draw_symbols(example: Example, ax: Axes, time: Array, target_steps: Array, targets: Array) -> None:
    ax.plot(time, example.inputs, "o", color=PALETTE[0], markersize=4, label="input")
    ax.set_yticks(range(len(example.input_names)), list(example.input_names))
    if len(targets) > 1:
        rows = [example.input_names.index(example.output_names[label]) for label in targets]
        ax.plot(target_steps, rows, "o", color=TARGET_COLOR, markersize=8, fillstyle="none", label="target")


def _write_symbols(example: Example, ax: Axes, time: Array, target_steps: Array, targets: Array) -> None:
    """Draw the symbols as text, with one row for inputs and one row for targets."""
    size = min(11.0, 450 / len(time))
    for t, symbol in zip(time, example.inputs, strict=True):
        ax.text(t, 1, example.input_names[symbol], ha="center", va="center", fontsize=size, color=PALETTE[0])
    if len(targets) > 1:
        for t, label in zip(target_steps, targets, strict=True):
            ax.text(
                t, 0, example.output_names[label], ha="center", va="center", fontsize=size, color=TARGET_COLOR
            )
    ax.set(xlim=(0, len(time) + 1), ylim=(-0.7, 1.7))
    ax.set_yticks([0, 1] if len(targets) > 1 else [1], ["target", "input"] if len(targets) > 1 else ["input"])


def _draw_lines(example: Example, ax: Axes, time: Array, target_steps: Array, targets: Array) -> None:
    for feature, name in enumerate(example.input_names):
        values, color = example.inputs[:, feature], PALETTE[feature]
        ax.plot(time, values, ".-", color=color, label=name, linewidth=1, drawstyle="steps-mid")
    if len(targets) > 1 and targets.ndim == 2:
        for value, name in zip(targets.T, example.output_names, strict=True):
            index = example.input_names.index(name) if name in example.input_names else None
            color = TARGET_COLOR if index is None or len(example.input_names) == 1 else PALETTE[index]
            ax.plot(
                target_steps, value, "o", color=color, markersize=5, fillstyle="none", label=f"target {name}"
            )
