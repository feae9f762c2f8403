"""Weights of nn.RNN, nn.LSTM and nn.GRU as layers of rnnlab; the layout of torch is in rnnlab.interop."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rnnlab.arrays import Array, Params
from rnnlab.cells import Cell, States
from rnnlab.interop.torch_layout import layer_of
from rnnlab.library.layer_weights import cell_with

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
    kind = KINDS[mode]
    φ = "relu" if mode == "RNN_RELU" else "tanh"
    options: dict[str, dict[str, Any]] = {"rnn": {"nonlinearity": φ}, "gru": {"reset_after": True}}
    biases = (weights["bias_ih"], weights["bias_hh"]) if "bias_ih" in weights else None
    layer = layer_of(kind, weights["weight_ih"], weights["weight_hh"], biases, options.get(kind, {}))
    return cell_with([layer]), dict(layer.params)
