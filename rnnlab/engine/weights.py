"""Affine maps and weight gradients used by all cells.

Inputs are either vectors in the parameters' dtype, shape (T, X, B), or symbols, which are integers in [0, X),
shape (T, B). A symbol s represents the one-hot vector x whose element s is 1, so W_xh x is column s of W_xh.

For vector inputs and a cell with a bias, the *joined* array has the rows [h[t-1]; x[t]; 1]. A single matrix
product of the joined weights and the joined array gives the pre-activations:

    W_hh h[t-1] + W_xh x[t] + b_h = [W_hh W_xh b_h] [h[t-1]; x[t]; 1]

In the backward pass, a single matrix product gives the gradients with respect to W_hh, W_xh and b_h. For
symbol inputs, the joined array omits x[t], and the forward pass gathers columns of W_xh instead.
"""

from collections.abc import Iterator

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.engine.exponents import multiply_columns
from rnnlab.workspace import Workspace, by_feature

CHUNK = 512
"""Maximum number of columns (time steps × batch size) in each matrix product for a weight gradient.

The limit keeps temporary copies small. With a limit of 2048 columns, a training step would be no faster, and
its peak memory would be up to 1.58 times the required memory; with 512 columns, the factor is at most 1.25.
"""

MAX_ONE_HOT = 256
"""Maximum alphabet size at which gradients are summed by symbol through a product with one-hot vectors.

The cost of the one-hot product grows with the number of symbols.
"""


def is_symbols(x: Array) -> bool:
    """Return True if the inputs are integer symbols and False if the inputs are vectors."""
    return x.dtype.kind in "iu"


def join(x: Array, state_rows: int, ones: bool, joined: Array) -> None:
    """Write the inputs and the ones to the joined array, shape (T+1, K, B), below the rows of the states.

    The number of rows K is `state_rows` + X for vector inputs and `state_rows` for symbols, plus 1 if `ones`
    is True.
    """
    if not is_symbols(x):
        joined[:-1, state_rows : state_rows + x.shape[1]] = x
        joined[-1, state_rows : state_rows + x.shape[1]] = 0  # no input follows the final state
    if ones:
        joined[:, -1] = 1


def gather_inputs(columns: Array, x: Array, out: Array, workspace: Workspace) -> None:
    """Write column x[t, b] of W_xh + b_h for symbol inputs x to out[t, :, b], shape (T, G·H, B).

    Gathering columns of W_xh takes 8 µs per time step; a product with one-hot vectors takes 23 µs (G·H = 512,
    62 symbols, B = 32). With `mode="wrap"`, `take` skips NumPy's bounds check and buffer; the bounds of the
    symbols have already been checked. Compared with the function `np.take`, the method `take` with
    positional arguments saves 0.8 µs per time step, or 6 % of the time of a training step at H = 32, B = 16.
    """
    if (compiled := workspace.reductions(out.dtype)) and out.flags.c_contiguous:
        compiled.gather(columns, x.astype(np.int64, copy=False), out)
        return
    for symbols, out_t in zip(x, out, strict=True):
        columns.take(symbols, 1, out_t, "wrap")


def chunks_of_time(time: int, batch: int) -> Iterator[slice]:
    """Return slices of the time axis that limit each product to CHUNK columns (time steps × batch size)."""
    chunks = -(-time // max(CHUNK // batch, 1))
    steps = -(-time // chunks)  # equal lengths except for the last chunk
    return (slice(start, start + steps) for start in range(0, time, steps))


def chunk_by_feature(
    chunk: Array, workspace: Workspace, name: str, exponents: Array | None = None, is_read_only: bool = False
) -> Array:
    """Apply `by_feature` to a chunk of time steps, multiplied by 2^exponents, an array of shape (T, B).

    A shorter last chunk uses a separate buffer.
    """
    name = f"{name}_by_feature_{len(chunk)}"
    if exponents is None:
        return by_feature(chunk, workspace, name, is_read_only)
    if compiled := workspace.reductions(chunk.dtype):
        time, features, batch = chunk.shape
        matrix = workspace.array(name, (features, time, batch), chunk.dtype)
        compiled.by_feature_scaled(chunk, exponents, np.finfo(chunk.dtype).tiny, matrix)
        return matrix.reshape(features, time * batch)
    columns = by_feature(chunk, workspace, name)
    multiply_columns([columns], exponents.reshape(-1))
    return columns


def add_product(
    left: Array, right: Array, out: Array, is_first: bool, workspace: Workspace, name: str = "product"
) -> None:
    """Add the matrix product left rightᵀ to `out`, or overwrite `out` if `is_first` is True."""
    if is_first:
        np.matmul(left, right.T, out=out)
    else:
        out += np.matmul(left, right.T, out=workspace.array(name, out.shape, out.dtype))


def add_by_symbol(columns: Array, symbols: Array, out: Array, workspace: Workspace) -> None:
    """Add column j of `columns` to the column of `out` with the index `symbols[j]`, for every j.

    With few symbols, multiplication by one-hot vectors is faster than sorting the columns by symbol: 290 µs
    instead of 400 µs for 62 symbols (500 columns of length 400). With many symbols, sorting is faster than
    multiplication by one-hot vectors: 3 ms instead of 51 ms for 10,000 symbols. The compiled form takes a
    third of the time of the product: 77 µs instead of 266 µs (1600 columns of length 128).
    """
    if compiled := workspace.reductions(columns.dtype):
        compiled.add_by_symbol(columns, symbols.astype(np.int64, copy=False), out)
        return
    if out.shape[1] <= MAX_ONE_HOT:
        one_hot = workspace.array("one_hot", (symbols.size, out.shape[1]), columns.dtype)
        one_hot[...] = 0
        one_hot[np.arange(symbols.size), symbols] = 1
        out += columns @ one_hot
        return
    order = np.argsort(symbols, kind="stable")
    present, starts = np.unique(symbols[order], return_index=True)
    out[:, present] += np.add.reduceat(columns.take(order, 1), starts, axis=1)


def input_gradient(params: Params, x: Array, dz: Array, workspace: Workspace) -> Array:
    """Return dx[t] = W_xhᵀ dz[t] of all time steps for vector inputs."""
    W_xhT = np.ascontiguousarray(params["W_xh"].T)
    return np.asarray(np.matmul(W_xhT, dz, out=workspace.array("dx", x.shape, dz.dtype)))


def input_product(W: Array, x: Array) -> Array:
    """Return W x[t] for the inputs of one time step: vectors, shape (X, B), or symbols, shape (B,)."""
    return np.asarray(W[:, x] if is_symbols(x) else W @ x)


def step_input_gradients(
    params: Params, x: Array, dz: Array, matrix: str = "W_xh"
) -> tuple[Params, Array | None]:
    """Return the gradients dW_xh, db_h and dx of one time step, given the inputs x and the gradient dz."""
    W_xh = params[matrix]
    if is_symbols(x):
        dW_xh, dx = np.zeros_like(W_xh), None
        np.add.at(dW_xh.T, x, dz.T)
    else:
        dW_xh, dx = dz @ x.T, W_xh.T @ dz
    grads = {matrix: dW_xh}
    if "b_h" in params:
        grads["b_h"] = dz.sum(axis=1, keepdims=True)
    return grads, dx
