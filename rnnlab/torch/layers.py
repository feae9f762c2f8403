"""Weights of nn.RNN, nn.LSTM and nn.GRU as layers of rnnlab.

torch orders the gates of an LSTM as i, f, g, o and adds two biases; rnnlab orders them as o, i, f, g and has
one bias. The gates of a GRU have the same order in both (r, u, n), and b_hn is the candidate's part of the
recurrent bias.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells import GRU, LSTM, Cell, States, Vanilla

KINDS = {"RNN_TANH": "rnn", "RNN_RELU": "rnn", "LSTM": "lstm", "GRU": "gru"}
"""Name of the cell by `mode` of the torch module."""


@dataclass(frozen=True)
class Direction:
    """One layer of a module in one direction.

    Attributes:
        cell: Equations of the layer.
        params: Parameters of the layer.
        start: Initial states, each of shape (H, B).
        is_reverse: True if the layer reads the sequence from its end.
    """

    cell: Cell
    params: Params
    start: States
    is_reverse: bool


def cell_and_params(mode: str, weights: Mapping[str, Array]) -> tuple[Cell, Params]:
    """Return the cell and the parameters of one layer in one direction.

    Args:
        mode: `mode` of the torch module.
        weights: Arrays `weight_ih`, `weight_hh` and, in a layer with biases, `bias_ih` and `bias_hh`.
    """
    W_xh, W_hh = weights["weight_ih"], weights["weight_hh"]
    X, H = W_xh.shape[1], W_hh.shape[1]
    bias = "bias_ih" in weights
    params = {"W_xh": W_xh, "W_hh": W_hh}
    cell: Cell
    if mode == "GRU":
        cell = GRU(X, H, bias=bias, reset_after=True)
        if bias:
            b_h, b_hh = weights["bias_ih"].copy(), weights["bias_hh"]
            b_h[: 2 * H] += b_hh[: 2 * H]
            params |= {"b_h": b_h[:, None], "b_hn": b_hh[2 * H :, None]}
        return cell, _contiguous(params)
    if bias:
        params["b_h"] = (weights["bias_ih"] + weights["bias_hh"])[:, None]
    if mode == "LSTM":
        cell = LSTM(X, H, "tanh", bias=bias, forget_bias=0.0)
        params = {name: np.concatenate([a[3 * H :], a[: 3 * H]]) for name, a in params.items()}
    else:
        cell = Vanilla(X, H, "relu" if mode == "RNN_RELU" else "tanh", bias=bias)
    return cell, _contiguous(params)


def _contiguous(params: Params) -> Params:
    return {name: np.ascontiguousarray(values) for name, values in params.items()}
