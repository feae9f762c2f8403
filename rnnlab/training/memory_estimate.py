"""Estimate of the memory that a run requires, computed before the arrays are allocated."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.diagnostics import Sizes
from rnnlab.model import Batch
from rnnlab.training.trainer import Trainer

TRAINING_COPIES = 8
"""Number of arrays of the same shape as the weights during training, excluding the optimiser state.

The arrays are the weights, the gradients and the buffer of their product, two temporary arrays of the
update, the joined matrices of the forward pass in training and in validation, and the transposed matrix of
the backward pass.
"""
MEASUREMENT_COPIES = 3
"""Number of additional weight-sized arrays at recorded steps: unclipped gradients, old weights, updates."""
SYMBOL_BYTES = 8
"""Size in bytes of one input symbol, and of one numeric input or target before casting."""


@dataclass(frozen=True)
class _Sequences:
    """Part of the memory per example that is proportional to the sequence length, in bytes.

    Attributes:
        steps: Bytes per time step.
        outputs: Additional bytes per time step with an output.
    """

    steps: int
    outputs: int

    def of(self, examples: int, time: int, outputs: int) -> int:
        return examples * (time * self.steps + outputs * self.outputs)


def memory_needed(trainer: Trainer, dtype: DTypeLike, example: Batch | None = None) -> dict[str, int]:
    """Return the sizes in bytes, by purpose, of the arrays that a run needs simultaneously.

    The cell states how many arrays of H units per time step both passes need (17 for an LSTM, of which 7 for
    the forward pass). Each output adds H numbers for the input of the readout and 3 Y numbers for the output,
    its gradient and its weighted gradient.

    Args:
        trainer: Trainer with the model, task, optimiser and probe of the run.
        dtype: Data type of the parameters.
        example: One sequence of the task, or None to compute a lower bound. The sequence determines the
            number of outputs and whether the inputs are symbols or vectors.

    Returns:
        Bytes for `weights`, `training step`, `validation` and `probe`.
    """
    model, task, probe = trainer.model, trainer.task, trainer.probe
    cell, size = model.cell, np.dtype(dtype).itemsize
    H, X, Y = cell.hidden_size, task.input_size, task.output_size
    before, both = cell.arrays_per_step()
    of_input = X * (size + SYMBOL_BYTES) if example is not None and example.x.ndim == 3 else SYMBOL_BYTES
    of_output = size * (H + 3 * Y)
    both_ways = _Sequences(size * both * H + of_input, of_output)
    forward = _Sequences(size * before * H + of_input, of_output)

    def outputs(time: int) -> int:
        return max(1, time * len(example.y) // example.time) if example is not None else 1

    shapes = (cell.param_shapes() | model.readout.param_shapes()).values()
    of_optimizer = sum(a.size for a in trainer.optimizer.init({"w": np.zeros(2)}).values()) // 2
    copies = TRAINING_COPIES + of_optimizer + (MEASUREMENT_COPIES if probe.measurements else 0)
    copies += probe.needs_previous
    validation = task.validation_size
    stored = validation.kept * validation.time * (of_input if of_input > SYMBOL_BYTES else 1)
    measured = 0
    if probe.measurements:
        length = probe.length or task.time
        measured = both_ways.of(probe.examples, length, outputs(length))
    sizes = Sizes(cell, probe.examples, lambda examples, time: forward.of(examples, time, outputs(time)))
    measured += sum(measurement.memory(sizes) for measurement in probe.measurements.values())
    return {
        "weights": size * copies * sum(rows * columns for rows, columns in shapes),
        "training step": both_ways.of(task.batch_size, task.longest, outputs(task.longest)),
        "validation": stored + forward.of(validation.batch, validation.time, outputs(validation.time)),
        "probe": measured,
    }
