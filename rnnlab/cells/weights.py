"""Affine maps and weight gradients shared by all cells.

Inputs are vectors (T, X, B) of the parameters' dtype or symbols (T, B), integers in [0, X).
A symbol s represents a one-hot vector with a 1 at s; the product W_xh x is then column s of W_xh.

The *joined* array has the rows [h[t-1]; x[t]; 1] for vector inputs and a bias. A single matrix product then
computes the pre-activations:

    W_hh h[t-1] + W_xh x[t] + b_h = [W_hh W_xh b_h] [h[t-1]; x[t]; 1]

A second matrix product computes the gradients of W_hh, W_xh and b_h. For symbols, the joined array omits
x[t], and the forward pass gathers columns of W_xh instead.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params
from rnnlab.cells.tapes import CellTape
from rnnlab.workspace import Workspace, by_feature

CHUNK = 512
"""Maximum number of columns (time × batch) in a product for a weight gradient; limits the size of copies.

With 2048 columns, a training step is no faster, but its peak memory is up to 1.58 times the required memory
instead of 1.25 times.
"""

MAX_ONE_HOT = 256
"""Maximum number of symbols for which a product with one-hot vectors sums the gradients by symbol.

The cost of the one-hot product grows with the number of symbols.
"""


def is_symbols(x: Array) -> bool:
    """Return True for integer symbols (T, B) or (B,), False for vectors (T, X, B) or (X, B)."""
    return x.dtype.kind in "iu"


def join(x: Array, hidden_size: int, ones: bool, dtype: DTypeLike, workspace: Workspace) -> Array:
    """Return the joined array (T+1, K, B); the forward pass fills its first H rows with the states.

    K is H + X for vectors and H for symbols, plus 1 if `ones`.
    """
    vectors = 0 if is_symbols(x) else x.shape[1]
    shape = (len(x) + 1, hidden_size + vectors + ones, x.shape[-1])
    joined = workspace.array("joined", shape, dtype)
    if vectors:
        joined[:-1, hidden_size : hidden_size + vectors] = x
    if ones:
        joined[:, -1] = 1
    return joined


def joined_weights(params: Params, x: Array) -> Array:
    """Return the blocks of [W_hh W_xh b_h] that multiply the joined array; for symbols, return W_hh."""
    if is_symbols(x):
        return params["W_hh"]
    return np.concatenate([params[name] for name in ("W_hh", "W_xh", "b_h") if name in params], axis=1)


def gather_inputs(params: Params, x: Array, out: Array) -> None:
    """Write W_xh x[t] + b_h for symbols x into `out` (T, G·H, B).

    Gathering takes 8 µs per time step; a product with one-hot vectors takes 23 µs (G·H = 512, 62 symbols, B =
    32). Mode "wrap" skips NumPy's bounds check and buffer; the symbols have already been checked. The method
    `take` with positional arguments is 0.8 µs per time step faster than np.take, which is 6 % of a training
    step at H = 32, B = 16.
    """
    columns = params["W_xh"] + params["b_h"] if "b_h" in params else params["W_xh"]
    for symbols, out_t in zip(x, out, strict=True):
        columns.take(symbols, 1, out_t, "wrap")


def chunks_of_time(time: int, batch: int) -> Iterator[slice]:
    """Return slices along time for products over time × batch; the slices keep copies small for any T."""
    chunks = -(-time // max(CHUNK // batch, 1))
    steps = -(-time // chunks)  # equal lengths except for the last chunk
    return (slice(start, start + steps) for start in range(0, time, steps))


def chunk_by_feature(chunk: Array, workspace: Workspace, name: str) -> Array:
    """Apply `by_feature` to a chunk of time steps; a shorter last chunk gets its own buffer."""
    return by_feature(chunk, workspace, f"{name}_by_feature_{len(chunk)}")


def add_product(left: Array, right: Array, out: Array, is_first: bool, workspace: Workspace) -> None:
    """Add the product left rightᵀ of matrices (F, N) and (K, N) to `out`; overwrite `out` if `is_first`."""
    if is_first:
        np.matmul(left, right.T, out=out)
    else:
        out += np.matmul(left, right.T, out=workspace.array("product", out.shape, out.dtype))


def add_by_symbol(columns: Array, symbols: Array, out: Array, workspace: Workspace) -> None:
    """Add each of the columns (F, N) to the column of `out` (F, X) that belongs to its symbol.

    For few symbols, a product with one-hot vectors is faster: 290 µs instead of 400 µs with 62 symbols (F =
    400, N = 500). For many symbols, sorting the columns by symbol is faster: 3 ms instead of 51 ms with
    10,000 symbols.
    """
    if out.shape[1] <= MAX_ONE_HOT:
        one_hot = workspace.array("one_hot", (symbols.size, out.shape[1]), columns.dtype)
        one_hot[...] = 0
        one_hot[np.arange(symbols.size), symbols] = 1
        out += columns @ one_hot
        return
    order = np.argsort(symbols, kind="stable")
    present, starts = np.unique(symbols[order], return_index=True)
    out[:, present] += np.add.reduceat(columns.take(order, 1), starts, axis=1)


def cell_gradients(
    params: Params, tape: CellTape, dz: Array, with_dx: bool, workspace: Workspace
) -> tuple[Params, Array | None]:
    """Return parameter and input gradients for z = W_xh x + W_hh h + b_h, given dz (T, G·H, B).

    dW_hh = Σ_t dz[t] h[t-1]ᵀ    dW_xh = Σ_t dz[t] x[t]ᵀ    db_h = Σ_t dz[t] 1    dx[t] = W_xhᵀ dz[t]
    """
    (time, rows, batch), joined = dz.shape, tape.joined
    d_joined = workspace.array("d_joined", (rows, joined.shape[1]), dz.dtype)
    by_symbol = np.zeros_like(params["W_xh"]) if is_symbols(tape.x) else None
    for chunk in chunks_of_time(time, batch):
        columns = chunk_by_feature(dz[chunk], workspace, "dz")
        joined_columns = chunk_by_feature(joined[:-1][chunk], workspace, "joined")
        add_product(columns, joined_columns, d_joined, chunk.start == 0, workspace)
        if by_symbol is not None:
            add_by_symbol(columns, tape.x[chunk].reshape(-1), by_symbol, workspace)
    if by_symbol is not None:
        return {"W_hh": d_joined} | symbol_gradients(params, by_symbol), None
    dx = input_gradient(params, tape.x, dz, workspace) if with_dx else None
    return split_joined(params, d_joined), dx


def symbol_gradients(params: Params, by_symbol: Array) -> Params:
    """Return dW_xh and db_h from the sums of dz by symbol; db_h is the sum over all symbols."""
    grads = {"W_xh": by_symbol}
    if "b_h" in params:
        grads["b_h"] = by_symbol.sum(axis=1, keepdims=True)
    return grads


def split_joined(params: Params, d_joined: Array) -> Params:
    """Split the gradient of [W_hh W_xh b_h] into the gradients of W_hh, W_xh and b_h."""
    H, X = params["W_hh"].shape[1], params["W_xh"].shape[1]
    grads = {"W_hh": d_joined[:, :H].copy(), "W_xh": d_joined[:, H : H + X].copy()}
    if "b_h" in params:
        grads["b_h"] = d_joined[:, -1:].copy()
    return grads


def input_gradient(params: Params, x: Array, dz: Array, workspace: Workspace) -> Array:
    """Return dx[t] = W_xhᵀ dz[t] for vector inputs, (T, X, B)."""
    W_xhT = np.ascontiguousarray(params["W_xh"].T)
    return np.asarray(np.matmul(W_xhT, dz, out=workspace.array("dx", x.shape, dz.dtype)))


def step_input_gradients(params: Params, x: Array, dz: Array) -> tuple[Params, Array | None]:
    """Return dW_xh, db_h and dx of one time step, given x (X, B) or (B,) and dz (G·H, B)."""
    if is_symbols(x):
        dW_xh, dx = np.zeros_like(params["W_xh"]), None
        np.add.at(dW_xh.T, x, dz.T)
    else:
        dW_xh, dx = dz @ x.T, params["W_xh"].T @ dz
    grads = {"W_xh": dW_xh}
    if "b_h" in params:
        grads["b_h"] = dz.sum(axis=1, keepdims=True)
    return grads, dx
