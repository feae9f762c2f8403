"""Arrangements of a cell's parameters in which the loops use them, made for every pass.

The rows of sigmoid gates are halved, because σ(z) = ½ tanh(z/2) + ½.
"""

from functools import cached_property
from typing import Any

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.engine.activations import SIGMOID
from rnnlab.engine.declarations import Declarations
from rnnlab.workspace import Workspace


def joined_states(cell: Declarations) -> dict[str, slice]:
    """Return the rows, in the joined array, of the states that the recurrent matrices multiply."""
    H = cell.hidden_size
    return {state: slice(i * H, (i + 1) * H) for i, state in enumerate(cell.recurrent.values())}


class WeightLayouts:
    """Arrangements of the parameters of a gated cell."""

    def __init__(self, cell: Declarations) -> None:
        """Count the rows of the gates with an activation and of the split gates."""
        self.cell = cell
        self.summed, self.split = len(cell.summed) * cell.hidden_size, len(cell.split) * cell.hidden_size
        self._scales: dict[np.dtype[Any], Array] = {}

    @cached_property
    def sigmoid_rows(self) -> list[slice]:
        """Rows of the matrices that belong to sigmoid gates."""
        gates = self.cell.gates
        return [self.cell.rows(gate) for gate in self.cell.summed if gates[gate] is SIGMOID]

    def _scale(self, dtype: np.dtype[Any]) -> Array:
        """Return the factor of each row of the matrices, ½ or 1."""
        if dtype not in self._scales:
            scale = self._scales[dtype] = np.ones(self.summed + self.split, dtype)
            for rows in self.sigmoid_rows:
                scale[rows] = 0.5
        return self._scales[dtype]

    def has_ones(self, symbols: bool) -> bool:
        """Return True if the joined array has a row of ones."""
        return bool(self.cell.split_biases) or (self.cell.bias and not symbols)

    def width(self, symbols: bool) -> int:
        """Return the number of columns of the joined weights, K."""
        cell = self.cell
        inputs = 0 if symbols else cell.input_size
        return len(cell.recurrent) * cell.hidden_size + inputs + self.has_ones(symbols)

    def joined(self, params: Params, symbols: bool, workspace: Workspace) -> Array:
        """Return the weights that map the joined array to [a of split gates; z of the other gates]."""
        dtype, width = params["W_xh"].dtype, self.width(symbols)
        if not width:
            return workspace.array("joined_weights", (0, 0), dtype)
        out = workspace.array("joined_weights", (self.split + self.summed, width), dtype)
        if compiled := workspace.reductions(dtype):
            self._join_compiled(compiled, params, symbols, out)
        else:
            self._join(params, symbols, out)
        return out

    def _join(self, params: Params, symbols: bool, out: Array) -> None:
        cell, summed, split, column = self.cell, self.summed, self.split, 0
        for name in cell.recurrent:
            stop = column + cell.hidden_size
            out[:split, column:stop], out[split:, column:stop] = params[name][summed:], params[name][:summed]
            column = stop
        if not symbols:
            stop = column + cell.input_size
            out[:split, column:stop], out[split:, column:stop] = 0, params["W_xh"][:summed]
        if self.has_ones(symbols):
            self._join_biases(params, symbols, out)
            if not symbols:
                out[split:, -1:] = params["b_h"][:summed]
        for rows in self.sigmoid_rows:
            out[split:][rows] *= 0.5

    def _join_biases(self, params: Params, symbols: bool, out: Array) -> None:
        """Write the biases of the split gates, and zeros for the other gates."""
        H = self.cell.hidden_size
        out[:, -1] = 0
        for i, name in enumerate(self.cell.split_biases):
            out[i * H : (i + 1) * H, -1:] = params[name]

    def _join_compiled(self, compiled: Any, params: Params, symbols: bool, out: Array) -> None:
        cell, summed, split, column = self.cell, self.summed, self.split, 0
        scale = self._scale(out.dtype)
        for name in cell.recurrent:
            W = np.ascontiguousarray(params[name])
            compiled.scale_rows(W, 0, scale[:summed], out, split, column)
            if split:
                compiled.scale_rows(W, summed, scale[summed:], out, 0, column)
            column += cell.hidden_size
        if not symbols:
            compiled.scale_rows(np.ascontiguousarray(params["W_xh"]), 0, scale[:summed], out, split, column)
            if split:
                out[:split, column : column + cell.input_size] = 0
        if self.has_ones(symbols):
            if split or symbols:
                self._join_biases(params, symbols, out)
            if not symbols:
                b = np.ascontiguousarray(params["b_h"])
                compiled.scale_rows(b, 0, scale[:summed], out, split, out.shape[1] - 1)

    def transposed(self, params: Params, workspace: Workspace) -> Array:
        """Return the transposed recurrent weights, with the columns of the split gates first."""
        names, summed, split = tuple(self.cell.recurrent), self.summed, self.split
        if not names:
            return workspace.array("transposed_weights", (0, 0), params["W_xh"].dtype)
        H, dtype = self.cell.hidden_size, params[names[0]].dtype
        out = workspace.array("transposed_weights", (len(names) * H, summed + split), dtype)
        compiled = workspace.reductions(dtype)
        for i, name in enumerate(names):
            if compiled:
                W = np.ascontiguousarray(params[name])
                compiled.transpose_rows(W, 0, summed, out, i * H, split)
                if split:
                    compiled.transpose_rows(W, summed, split, out, i * H, 0)
            else:
                out[i * H : (i + 1) * H, :split] = params[name][summed:].T
                out[i * H : (i + 1) * H, split:] = params[name][:summed].T
        return out

    def input_columns(self, params: Params, workspace: Workspace) -> Array:
        """Return W_xh + b_h of all gates, whose columns are gathered for symbols."""
        W, b = params["W_xh"], params.get("b_h")
        if compiled := workspace.reductions(W.dtype):
            columns = workspace.array("input_columns", W.shape, W.dtype)
            compiled.scale_rows(np.ascontiguousarray(W), 0, self._scale(W.dtype), columns, 0, 0)
            if b is not None:
                compiled.add_to_rows(np.ascontiguousarray(b), self._scale(W.dtype), columns)
            return columns
        halved = [array.copy() for array in (W, b) if array is not None]
        for array in halved:
            for rows in self.sigmoid_rows:
                array[rows] *= 0.5
        return halved[0] if b is None else halved[0] + halved[1]
