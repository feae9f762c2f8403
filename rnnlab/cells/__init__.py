"""Recurrent cells with hand-derived backward passes."""

from rnnlab.cells.base import Cell
from rnnlab.cells.gru import GRU
from rnnlab.cells.lstm import LSTM
from rnnlab.cells.tapes import CellDeltas, CellTape, States, StepDeltas, StepGradients, StepTape
from rnnlab.cells.vanilla import Vanilla

__all__ = [
    "GRU",
    "LSTM",
    "Cell",
    "CellDeltas",
    "CellTape",
    "States",
    "StepDeltas",
    "StepGradients",
    "StepTape",
    "Vanilla",
]
