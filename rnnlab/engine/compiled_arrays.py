"""Arrays of a compiled backward loop, which are the buffers of the forward and the backward pass."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.blas import rows_per_block
from rnnlab.engine.declarations import Declarations
from rnnlab.engine.plan import Name
from rnnlab.engine.tapes import CellTape
from rnnlab.engine.trace import AdjointPlan
from rnnlab.workspace import Workspace


def compiled_arrays(
    cell: Declarations,
    plan: AdjointPlan,
    params: Params,
    tape: CellTape,
    e: Array,
    buffers: Mapping[str, Array],
    workspace: Workspace,
) -> dict[Name, Array] | None:
    """Return the arrays by name; None if the tape is a copy, whose gates are not in one buffer."""
    H, (time, _, batch) = cell.hidden_size, e.shape
    arrays = dict(buffers) | {f"state {name}": tape.states[name] for name in cell.carried}
    if tape.joined is not None:
        arrays["joined"] = tape.joined
    for name in cell.vectors:
        arrays[f"wide {name}"] = widened(params[name], name, batch, workspace)
    for name in plan.immediate:
        arrays[f"immediate {name}"] = workspace.array(f"immediate {name}", e.shape, e.dtype)
    for name in cell.saved:
        arrays[f"saved {name}"] = tape.inner[name]
        if tape.inner[name].base is not None:  # in the place of the input of a split gate
            arrays["inputs"] = base_of(tape.inner[name])
    for name in ("gates", *(f"a_{gate}" for gate in cell.split)):
        if name in tape.inner:
            arrays["products"] = base_of(tape.inner[name])
            if arrays["products"].shape != (time, (len(cell.summed) + len(cell.split)) * H, batch):
                return None
    return arrays


def run_compiled(
    loop: Any,
    split: int,
    arrays: Mapping[Name, Array],
    has_loss: Array,
    e: Array,
    e_exponents: Array | None = None,
) -> Array | None:
    """Run a compiled backward loop and return the exponents of all adjoints; None if nothing is scaled.

    Args:
        loop: Compiled loop and the names of its arrays.
        split: Number of split gates, whose inputs are the last blocks of the array `inputs`.
        arrays: Arrays by name.
        has_loss: True where an example has a loss, shape (T, B).
        e: Immediate gradients, shape (T, H, B).
        e_exponents: Binary exponents of `e`, shape (T, B); None if all are 0.
    """
    function, names = loop
    time, H, batch = e.shape
    joins, scaled = e_exponents is not None, e_exponents is not None or not has_loss.all()
    exponents = np.zeros((time + 1, batch), np.int32)
    of_e = np.zeros((1, batch), np.int32) if e_exponents is None else e_exponents.astype(np.int32)
    first = arrays["inputs"].shape[1] // H - split if "inputs" in arrays else 0
    rest = (arrays[name] for name in names)
    rows, inner = arrays["transposed"].shape
    block = rows_per_block(rows, inner, batch)
    function(time, H * batch, batch, block, first, scaled, joins, has_loss, exponents, of_e, e, *rest)
    return exponents if scaled else None


def widened(vector: Array, name: str, batch: int, workspace: Workspace) -> Array:
    """Return a parameter of shape (H, 1), repeated for each example, as an array of H·B elements."""
    wide = workspace.array(f"wide {name}", (len(vector) * batch,), vector.dtype)
    wide.reshape(len(vector), batch)[:] = vector
    return wide


def base_of(array: Array) -> Array:
    """Return the buffer to which a view belongs."""
    return array if not isinstance(array.base, np.ndarray) else array.base
