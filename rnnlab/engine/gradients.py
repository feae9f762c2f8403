"""Gradients of a gated cell with respect to its parameters, from those of its pre-activations."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.engine.tapes import CellTape
from rnnlab.engine.weights import add_by_symbol, add_product, chunk_by_feature, chunks_of_time, is_symbols
from rnnlab.workspace import Workspace


@dataclass(frozen=True)
class GateRows:
    """Rows of the gradients of a gated cell.

    Attributes:
        summed: Number of rows of the gates with an activation.
        split: Number of rows of the split gates.
        matrices: Names of the recurrent matrices, in the order of the states in the joined array.
        hidden_size: Number of units H.
        split_biases: Names of the biases of the split gates' products.
        bias: True if the cell has biases.
    """

    summed: int
    split: int
    matrices: Sequence[str]
    hidden_size: int
    split_biases: Sequence[str]
    bias: bool


def gate_gradients(
    rows: GateRows,
    params: Params,
    tape: CellTape,
    blocks: Array,
    exponents: Array | None,
    workspace: Workspace,
) -> Params:
    """Return the gradients with respect to the matrices and biases.

        dW_hh = Σ_t [da; dz][t] h[t-1]ᵀ        dW_xh = Σ_t dz[t] x[t]ᵀ        db_h = Σ_t dz[t] 1

    Args:
        rows: Rows of `blocks`.
        params: Parameters of the cell.
        tape: Tape of the forward pass.
        blocks: Gradients with the rows [da of split gates; dz of other gates; dz of split gates], of shape
            (T, R, B).
        exponents: Binary exponents of `blocks`, shape (T, B), or None.
        workspace: Buffers to reuse.
    """
    assert tape.joined is not None
    time, _, batch = blocks.shape
    joined = tape.joined[:-1]
    of_joined = workspace.array("d_joined", (rows.split + rows.summed, joined.shape[1]), blocks.dtype)
    symbols, width = is_symbols(tape.x), len(rows.matrices) * rows.hidden_size
    by_symbol = np.zeros_like(params["W_xh"], order="C") if symbols else None
    of_inputs = workspace.array("d_split", (rows.split, joined.shape[1] - width), blocks.dtype)
    is_first = True
    for chunk in chunks_of_time(time, batch):
        of_chunk = None if exponents is None else exponents[chunk]
        if of_chunk is not None and chunk.stop < time and (of_chunk < _vanished(blocks.dtype)).all():
            continue  # the product would be 0
        columns = chunk_by_feature(blocks[chunk], workspace, "dz", of_chunk, is_read_only=by_symbol is None)
        joined_columns = chunk_by_feature(joined[chunk], workspace, "joined", is_read_only=True)
        add_product(columns[: len(of_joined)], joined_columns, of_joined, is_first, workspace)
        dz = columns[rows.split :]
        if by_symbol is not None:
            add_by_symbol(dz, tape.x[chunk].reshape(-1), by_symbol, workspace)
        elif rows.split:
            add_product(
                dz[rows.summed :], joined_columns[width:], of_inputs, is_first, workspace, "split_product"
            )
        is_first = False
    return _split(rows, params, of_joined, of_inputs, by_symbol)


@cache
def _vanished(dtype: np.dtype) -> int:
    """Return an exponent below which a scaled gradient is certainly 0."""
    return int(np.finfo(dtype).minexp) - np.finfo(dtype).nmant - 130


def _split(
    rows: GateRows, params: Params, of_joined: Array, of_inputs: Array, by_symbol: Array | None
) -> Params:
    """Split the gradient with respect to the joined weights into the gradients of the parameters."""
    split, H = rows.split, rows.hidden_size
    width = len(rows.matrices) * H
    grads = {}
    for i, name in enumerate(rows.matrices):
        part = of_joined[:, i * H : (i + 1) * H]
        grads[name] = np.concatenate([part[split:], part[:split]])
    if by_symbol is not None:
        grads["W_xh"] = by_symbol
        if rows.bias:
            grads["b_h"] = np.add.reduce(by_symbol, axis=1, keepdims=True)
    else:
        of_x = np.concatenate([of_joined[split:, width:], of_inputs]) if split else of_joined[:, width:]
        grads["W_xh"] = of_x[:, : params["W_xh"].shape[1]].copy()
        if rows.bias:
            grads["b_h"] = of_x[:, -1:].copy()
    for i, name in enumerate(rows.split_biases):
        grads[name] = of_joined[i * H : (i + 1) * H, -1:].copy()
    return grads
