"""Recurrent cells with hand-derived backward passes."""

from rnnlab.cells.base import Cell
from rnnlab.cells.gated import GatedCell
from rnnlab.cells.gru import GRU
from rnnlab.cells.gru_reset_before import GRUResetBefore
from rnnlab.cells.lstm import LSTM
from rnnlab.cells.stack import Layer, Stack, layers_of, split_layer
from rnnlab.cells.vanilla import Vanilla
from rnnlab.engine.activations import (
    IDENTITY,
    RELU,
    SIGMOID,
    SPLIT,
    TANH,
    Activation,
    absolute,
    cos,
    exp,
    log,
    log1p,
    maximum,
    positive,
    relu,
    sigmoid,
    sin,
    softplus,
    sqrt,
    tanh,
)
from rnnlab.engine.declarations import CellDeclarationError
from rnnlab.engine.tapes import CellDeltas, CellTape, States, StepDeltas, StepGradients, StepTape
from rnnlab.engine.weights import input_product
from rnnlab.initializers import Parameter

__all__ = [
    "GRU",
    "IDENTITY",
    "LSTM",
    "RELU",
    "SIGMOID",
    "SPLIT",
    "TANH",
    "Activation",
    "Cell",
    "CellDeclarationError",
    "CellDeltas",
    "CellTape",
    "GRUResetBefore",
    "GatedCell",
    "Layer",
    "Parameter",
    "Stack",
    "States",
    "StepDeltas",
    "StepGradients",
    "StepTape",
    "Vanilla",
    "absolute",
    "cos",
    "exp",
    "input_product",
    "layers_of",
    "log",
    "log1p",
    "maximum",
    "positive",
    "relu",
    "sigmoid",
    "sin",
    "softplus",
    "split_layer",
    "sqrt",
    "tanh",
]
