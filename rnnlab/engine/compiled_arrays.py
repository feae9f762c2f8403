"""Compiled backward loop of a cell, bound to the buffers of the forward and the backward pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.blas import rows_per_block
from rnnlab.engine.declarations import Declarations
from rnnlab.engine.tapes import CellTape
from rnnlab.engine.trace import AdjointPlan
from rnnlab.workspace import Workspace


@dataclass(frozen=True)
class CompiledBackward:
    """A compiled loop with its arguments.

    Attributes:
        function: Loop; see `rnnlab.engine.compiled.source.backward_source`.
        mark: Function that marks where an example has a loss.
        has_loss: Marks, shape (T, B).
        sizes: First arguments of the loop.
        arrays: Last arguments of the loop.
        wide: Arrays of the vectors, by name.
    """

    function: Callable[..., object]
    mark: Callable[[Array, Array], bool]
    has_loss: Array
    sizes: tuple[int, ...]
    arrays: Sequence[Array]
    wide: Mapping[str, Array]

    @staticmethod
    def of(
        loop: Any,
        cell: Declarations,
        plan: AdjointPlan,
        tape: CellTape,
        e: Array,
        buffers: Mapping[str, Array],
        workspace: Workspace,
    ) -> "CompiledBackward | None":
        """Bind a loop to its arrays; None if the tape is a copy, whose gates are not in one buffer."""
        H, (time, _, batch) = cell.hidden_size, e.shape
        arrays = dict(buffers) | {f"state {name}": tape.states[name] for name in cell.carried}
        if tape.joined is not None:
            arrays["joined"] = tape.joined
        wide = {name: workspace.array(f"wide {name}", (H * batch,), e.dtype) for name in cell.vectors}
        arrays |= {f"wide {name}": array for name, array in wide.items()}
        for name in cell.saved:
            arrays[f"saved {name}"] = tape.inner[name]
            if tape.inner[name].base is not None:  # in the place of the input of a split gate
                arrays["inputs"] = _base_of(tape.inner[name])
        for name in ("gates", *(f"a_{gate}" for gate in cell.split)):
            if name in tape.inner:
                arrays["products"] = _base_of(tape.inner[name])
                if arrays["products"].shape != (time, (len(cell.summed) + len(cell.split)) * H, batch):
                    return None
        (function, names), (rows, inner) = loop, buffers["transposed"].shape
        first = arrays["inputs"].shape[1] // H - len(cell.split) if "inputs" in arrays else 0
        sizes = (time, H * batch, batch, rows_per_block(rows, inner, batch), first)
        mark = workspace.reductions(e.dtype).mark_losses
        marks = np.empty((time, batch), bool)
        return CompiledBackward(function, mark, marks, sizes, [arrays[name] for name in names], wide)

    def run(self, params: Params, e: Array, e_exponents: Array | None) -> Array | None:
        """Run the loop and return the exponents of the adjoints, shape (T, B); None if nothing is scaled.

        Args:
            params: Parameters of the cell.
            e: Immediate gradients, shape (T, H, B).
            e_exponents: Binary exponents of `e`, shape (T, B); None if all are 0.
        """
        for name, wide in self.wide.items():
            widen(params[name], wide)
        time, batch = self.has_loss.shape
        joins = e_exponents is not None
        scaled = not self.mark(e, self.has_loss) or joins
        exponents = np.zeros((time, batch), np.int32)
        of_e = np.zeros((1, batch), np.int32) if e_exponents is None else e_exponents.astype(np.int32)
        self.function(*self.sizes, scaled, joins, self.has_loss, exponents, of_e, e, *self.arrays)
        return exponents if scaled else None


def widen(vector: Array, wide: Array) -> None:
    """Write a parameter of shape (H, 1) to an array of H·B elements, repeated for each example."""
    wide.reshape(len(vector), -1)[:] = vector


def _base_of(array: Array) -> Array:
    """Return the buffer to which a view belongs."""
    return array if not isinstance(array.base, np.ndarray) else array.base
