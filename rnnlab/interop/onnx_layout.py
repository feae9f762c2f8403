"""Layout of the ONNX operators RNN, LSTM and GRU.

| tensor | shape | rows |
|---|---|---|
| `W` | (directions, G·H, X) | LSTM: i, o, f, c; GRU: z, r, h |
| `R` | (directions, G·H, H) | the same |
| `B` | (directions, 2·G·H) | biases beside the inputs, then beside the state |

A readout is a Gemm operator with the matrix `B`, shape (H, Y), and the bias `C`, shape (Y,); or a MatMul
operator with `B` and an Add operator with `C`.

`linear_before_reset=1` is a GRU with `reset_after=True`. Peephole weights `P` are not supported.
"""

import re
from collections.abc import Sequence

import numpy as np

from rnnlab.arrays import Array
from rnnlab.interop.source import Source, children, short
from rnnlab.interop.weights import Choices, LayerWeights, assemble, cell_of, choose, options_of

HAS_LAYERS = False
ORDERS = {"rnn": ("h",), "lstm": ("i", "o", "f", "g"), "gru": ("u", "r", "n")}
EXAMPLE = "lstm/R"
NAME = re.compile(r"(?s)(?:(?P<prefix>.*)/)?(?P<part>[WRBP])")


def find(source: Source) -> list[str]:
    """Return the prefixes of the recurrent operators, without the final slash."""
    matches = (NAME.fullmatch(name) for name in source.tensors)
    return sorted({match["prefix"] or "" for match in matches if match and match["part"] == "R"})


def read(source: Source, prefix: str, choices: Choices) -> list[LayerWeights]:
    """Return the weights of one direction of an operator.

    Raises:
        ValueError: If the tensors do not fit an operator.
    """
    start = f"{prefix}/" if choose(find(source), prefix, EXAMPLE) else ""
    W, R, B, P = (f"{start}{part}" for part in "WRBP")
    if P in source.tensors:
        raise ValueError(f"{short(P)}: an LSTM with peepholes is not supported")
    source.refuse_others([start + name for name in children(source.tensors, prefix, "/")], [W, R, B])
    directions, rows, H = source.shape(R, 3)
    cell = cell_of(R, rows, H)
    X = source.shape(W, 3)[2]
    if directions > 2:
        raise ValueError(f"{short(R)}: has {directions} directions; must have 1 or 2")
    if directions == 2 and choices.direction is None:
        raise ValueError(
            "direction: the operator is bidirectional; pass direction='forward' or direction='reverse'"
        )
    if (
        directions == 1
        and choices.direction == "reverse"
        and source.facts.get(prefix, {}).get("direction") != "reverse"
    ):
        raise ValueError("direction='reverse': the operator has one direction, forward")
    if source.facts.get(prefix, {}).get("direction") == "reverse" and choices.direction != "reverse":
        raise ValueError(
            "direction: the operator runs in reverse; pass direction='reverse', in Python with x[::-1]"
        )
    index = 1 if directions == 2 and choices.direction == "reverse" else 0
    W_xh = source.array(W, (directions, rows, X))[index]
    W_hh = source.array(R, (directions, rows, H))[index]
    biases = None
    if B in source.tensors:
        first, second = np.split(source.array(B, (directions, 2 * rows))[index], 2)
        biases = (first, second)
    options = options_of(cell, source, prefix, choices)
    return [assemble(ORDERS, cell, W_xh, W_hh, biases, options, W)]


def read_readout(source: Source, prefix: str) -> tuple[Array, Array | None]:
    """Return the weights of a Gemm operator, or of a MatMul operator and the Add operator that follows it.

    Raises:
        ValueError: If the tensors are missing, or if their shapes do not fit.
    """
    B, C = (f"{prefix}/{part}" if prefix else part for part in "BC")
    H, outputs = source.shape(B, 2)
    bias = source.array(C, (outputs,))[:, None] if C in source.tensors else None
    return np.ascontiguousarray(source.array(B, (H, outputs)).T), bias


def write_readout(W_hy: Array, b_y: Array | None) -> dict[str, Array]:
    """Return the inputs B and C of a Gemm operator."""
    return {"B": W_hy.T.copy()} | ({} if b_y is None else {"C": b_y[:, 0].copy()})


def write(layers: Sequence[LayerWeights]) -> list[dict[str, Array]]:
    """Return the tensors W, R and, with biases, B of one operator for each layer."""
    found = []
    for layer in layers:
        order = ORDERS[layer.cell]
        tensors = {"W": layer.blocks("W_xh", order)[None], "R": layer.blocks("W_hh", order)[None]}
        if layer.has_bias:
            tensors["B"] = np.concatenate(layer.two_biases(order))[None]
        found.append(tensors)
    return found
