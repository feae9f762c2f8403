"""How much memory a run takes, reckoned before any of it is taken."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.diagnostics import measure_jacobians, measure_lyapunov
from rnnlab.model import Batch
from rnnlab.training.trainer import Trainer

TRAINING_COPIES = 4
"""Arrays like the weights, beside the optimiser's: themselves, gradients, a copy for each loop over time."""
MEASUREMENT_COPIES = 3
"""Further ones at a step that is measured: unclipped gradients, weights before the update, the update."""
JACOBIAN_COPIES = 6
"""float64 arrays of n × n for each example: Jacobian, product and inverse, and copies."""
SYMBOL_BYTES = 8
"""Bytes of an input that is a symbol; an input or a target that is a number is drawn in as many."""


@dataclass(frozen=True)
class _Sequences:
    """What of one example's arrays grows with time, in bytes.

    Attributes:
        steps: For each time step.
        outputs: For each of those with an output.
    """

    steps: int
    outputs: int

    def of(self, examples: int, time: int, outputs: int) -> int:
        return examples * (time * self.steps + outputs * self.outputs)


def memory_needed(trainer: Trainer, dtype: DTypeLike, example: Batch | None = None) -> dict[str, int]:
    """Bytes of the arrays that a run holds at once, by what they are for.

    A forward pass keeps G gates and S states of H units a time step; a backward pass has twice as much of the
    gates and once of the states beside them, about: 3 G + 2 S in all, which is 16 for an LSTM. An output adds
    H for the readout's input and 3 Y: the outputs, and their gradient alone and weighted.

    Args:
        trainer: What is to be trained.
        dtype: Of its parameters.
        example: One sequence of the task's length, by which it is known how many outputs there are and
            whether inputs are vectors; without it the least there can be is reckoned.

    Returns:
        `weights`, `training step`, `validation` and `probe`.
    """
    model, task, probe = trainer.model, trainer.task, trainer.probe
    cell, size = model.cell, np.dtype(dtype).itemsize
    G, S, H, X, Y = len(cell.gates), len(cell.states), cell.hidden_size, task.input_size, task.output_size
    of_input = X * (size + SYMBOL_BYTES) if example is not None and example.x.ndim == 3 else SYMBOL_BYTES
    of_output = size * (H + 3 * Y)
    both_ways = _Sequences(size * (3 * G + 2 * S) * H + of_input, of_output)
    forward = _Sequences(size * (G + 2 * S) * H + of_input, of_output)

    def outputs(time: int) -> int:
        return max(1, time * len(example.y) // example.time) if example is not None else 1

    shapes = (cell.param_shapes() | model.readout.param_shapes()).values()
    of_optimizer = sum(a.size for a in trainer.optimizer.init({"w": np.zeros(2)}).values()) // 2
    copies = TRAINING_COPIES + of_optimizer + (MEASUREMENT_COPIES if probe.measurements else 0)
    validation = task.validation_size
    kept = validation.kept * validation.time * (of_input if of_input > SYMBOL_BYTES else 1)
    measured = 0
    if probe.measurements:
        length = probe.length or task.time
        measured = both_ways.of(probe.examples, length, outputs(length))
    for measurement in probe.measurements.values():
        measure: Any = getattr(measurement.measure, "func", None)
        options: dict[str, Any] = getattr(measurement.measure, "keywords", {})
        if measure is measure_lyapunov:
            run = options["steps"] + 2 * options["warm_up"]
            measured += forward.of(1, run, outputs(run))
            measured += 2 * 8 * options["steps"] * min(options["exponents"], S * H)
        if measure is measure_jacobians:
            examples = min(options["examples"], probe.examples)
            n = S * H
            measured += examples * SYMBOL_BYTES * n * (JACOBIAN_COPIES * n + (2 * G + S) * H)
    return {
        "weights": size * copies * sum(rows * columns for rows, columns in shapes),
        "training step": both_ways.of(task.batch_size, task.longest, outputs(task.longest)),
        "validation": kept + forward.of(validation.batch, validation.time, outputs(validation.time)),
        "probe": measured,
    }
