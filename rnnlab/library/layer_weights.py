"""Cells of imported weights, and weights of a network as layers."""

from collections.abc import Sequence
from itertools import pairwise

from rnnlab.arrays import Params
from rnnlab.cells import GRU, LSTM, Cell, GRUResetBefore, Stack, Vanilla, layers_of
from rnnlab.interop import LayerWeights


def cell_with(weights: Sequence[LayerWeights]) -> Cell:
    """Return the cell, or the stack of cells, that has the weights.

    Raises:
        ValueError: If the layers do not fit.
    """
    for below, above in pairwise(weights):
        if above.cell != below.cell:
            raise ValueError(
                f"{above.name}: belongs to the cell {above.cell}, but {below.name} to {below.cell}; all "
                "layers must have the same cell"
            )
        if above.sizes[0] != below.sizes[1]:
            raise ValueError(
                f"{above.name}: has {above.sizes[0]} inputs, but the layer below, {below.name}, has "
                f"{below.sizes[1]} units"
            )
    cells: list[Cell] = []
    for layer in weights:
        (X, H), bias = layer.sizes, layer.has_bias
        if layer.cell == "lstm":
            cells.append(LSTM(X, H, "tanh", bias=bias, forget_bias=0.0))
        elif layer.cell == "gru":
            cells.append(GRU(X, H, bias=bias, reset_after=layer.options["reset_after"]))
        else:
            cells.append(Vanilla(X, H, layer.options["nonlinearity"], bias=bias))
    return cells[0] if len(cells) == 1 else Stack.of(cells, residual=False)


def layer_weights(cell: Cell, params: Params) -> list[LayerWeights]:
    """Return the weights of each layer of a network.

    Raises:
        ValueError: If another framework has no such network.
    """
    if isinstance(cell, Stack) and cell.residual:
        raise ValueError("residual connections: other frameworks have no such layer")
    found = []
    for layer in layers_of(cell):
        own = {name: params[layer.prefix + name].copy() for name in layer.cell.parameters()}
        match layer.cell:
            case Vanilla(nonlinearity=φ):
                found.append(LayerWeights("rnn", own, {"nonlinearity": φ}))
            case LSTM(candidate="tanh"):
                found.append(LayerWeights("lstm", own))
            case GRU() | GRUResetBefore():
                found.append(LayerWeights("gru", own, {"reset_after": isinstance(layer.cell, GRU)}))
            case other:
                raise ValueError(f"{type(other).__name__}: other frameworks have no such cell")
    return found
