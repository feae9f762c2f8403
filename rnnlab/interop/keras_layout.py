"""Layout of the Keras 3 layers SimpleRNN, LSTM and GRU.

| tensor | shape | columns |
|---|---|---|
| `kernel` | (X, G·H) | LSTM: i, f, c, o; GRU: z, r, h |
| `recurrent_kernel` | (H, G·H) | the same |
| `bias` | (G·H,) | the same; GRU with `reset_after=True`: (2, 3H), beside the inputs and beside the state |
"""

from collections.abc import Sequence

import numpy as np

from rnnlab.arrays import Array
from rnnlab.interop.source import Source, children, short
from rnnlab.interop.weights import Choices, LayerWeights, assemble, cell_of, choose, options_of

HAS_LAYERS = False
ORDERS = {"rnn": ("h",), "lstm": ("i", "f", "g", "o"), "gru": ("u", "r", "n")}
PARTS = ("kernel", "recurrent_kernel", "bias")
EXAMPLE = "lstm/lstm_cell/recurrent_kernel"


def find(source: Source) -> list[str]:
    """Return the prefixes of the recurrent layers, without the final slash."""
    end = PARTS[1]
    matches = (name for name in source.tensors if name == end or name.endswith(f"/{end}"))
    return sorted(name.removesuffix(end).removesuffix("/") for name in matches)


def read(source: Source, prefix: str, choices: Choices) -> list[LayerWeights]:
    """Return the weights of one layer.

    Raises:
        ValueError: If the tensors do not fit a layer.
    """
    start = f"{prefix}/" if choose(find(source), prefix, EXAMPLE) else ""
    kernel, recurrent, bias = (start + part for part in PARTS)
    source.refuse_others(
        [start + name for name in children(source.tensors, prefix, "/")], [kernel, recurrent, bias]
    )
    H, columns = source.shape(recurrent, 2)
    cell = cell_of(recurrent, columns, H)
    X, _ = source.shape(kernel, 2)
    W_xh, W_hh = source.array(kernel, (X, columns)).T, source.array(recurrent, (H, columns)).T
    facts = dict(source.facts.get(prefix, {}))
    biases: tuple[Array, Array | None] | None = None
    if bias in source.tensors:
        shape = source.tensors[bias].shape
        if cell == "gru" and shape not in ((2, columns), (columns,)):
            raise ValueError(
                f"{short(bias)}: has the shape {shape}; must be (2, {columns}) for a GRU with "
                f"reset_after=True, or ({columns},) for one with reset_after=False"
            )
        is_pair = cell == "gru" and len(shape) == 2
        both = source.array(bias, (2, columns) if is_pair else (columns,))
        biases = (both[0], both[1]) if is_pair else (both, None)
        facts["reset_after"] = is_pair
    options = options_of(cell, Source(source.tensors, {prefix: facts}), prefix, choices)
    return [assemble(ORDERS, cell, W_xh, W_hh, biases, options, kernel)]


def read_readout(source: Source, prefix: str) -> tuple[Array, Array | None]:
    """Return the weights of a Dense layer of Keras or flax.

    Raises:
        ValueError: If the tensors are missing, or if their shapes do not fit.
    """
    start = f"{prefix}/" if prefix else ""
    H, outputs = source.shape(f"{start}kernel", 2)
    bias = source.array(f"{start}bias", (outputs,))[:, None] if f"{start}bias" in source.tensors else None
    return np.ascontiguousarray(source.array(f"{start}kernel", (H, outputs)).T), bias


def write_readout(W_hy: Array, b_y: Array | None) -> dict[str, Array]:
    """Return the tensors of a Dense layer of Keras or flax."""
    return {"kernel": W_hy.T.copy()} | ({} if b_y is None else {"bias": b_y[:, 0].copy()})


def write(layers: Sequence[LayerWeights]) -> list[list[Array]]:
    """Return the weights of each layer, in the order of `layer.set_weights`."""
    found = []
    for layer in layers:
        order = ORDERS[layer.cell]
        weights = [np.ascontiguousarray(layer.blocks(name, order).T) for name in ("W_xh", "W_hh")]
        if layer.has_bias:
            is_pair = layer.options.get("reset_after") is True
            weights.append(np.stack(layer.two_biases(order)) if is_pair else layer.blocks("b_h", order))
        found.append(weights)
    return found
