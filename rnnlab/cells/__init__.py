"""Recurrent cells: forward and hand-derived backward passes side by side."""

from rnnlab.cells.base import Cell, CellDeltas, CellTape
from rnnlab.cells.lstm import LSTM
from rnnlab.cells.vanilla import Vanilla

__all__ = ["LSTM", "Cell", "CellDeltas", "CellTape", "Vanilla"]
