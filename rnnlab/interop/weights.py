"""Weights of one layer in the names and the gate order of rnnlab, from blocks in another order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.interop.source import Source, listed, short

GATES = {"rnn": ("h",), "lstm": ("o", "i", "f", "g"), "gru": ("r", "u", "n")}
"""Gates of each cell, in the order of the rows in rnnlab."""
NONLINEARITIES = ("tanh", "relu", "identity")
DIRECTIONS = ("forward", "reverse")


@dataclass(frozen=True)
class Choices:
    """Arguments that names and shapes do not determine.

    Attributes:
        nonlinearity: Activation φ of a vanilla cell; None if unknown.
        reset_after: Form of a GRU; None if unknown.
        direction: Direction of a bidirectional module; None if unknown.
        layers: Number of layers to read, from the bottom; None for all.
    """

    nonlinearity: str | None = None
    reset_after: bool | None = None
    direction: str | None = None
    layers: int | None = None

    def __post_init__(self) -> None:
        _check("nonlinearity", self.nonlinearity, NONLINEARITIES)
        _check("reset_after", self.reset_after, (True, False))
        _check("direction", self.direction, DIRECTIONS)
        if self.layers is not None and (type(self.layers) is not int or self.layers < 1):
            raise ValueError(
                f"layers={short(repr(self.layers))}: must be a positive integer, or None for all layers"
            )


@dataclass(frozen=True)
class LayerWeights:
    """Weights of one layer.

    Attributes:
        cell: `rnn`, `lstm` or `gru`.
        params: Parameters by the names of rnnlab.
        options: `nonlinearity` of a vanilla cell, or `reset_after` of a GRU.
        name: Name of the input weights in their source, for messages.
    """

    cell: str
    params: Mapping[str, Array]
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def has_bias(self) -> bool:
        """True if the layer has biases."""
        return "b_h" in self.params

    @property
    def sizes(self) -> tuple[int, int]:
        """Input size X and hidden size H."""
        return self.params["W_xh"].shape[1], self.params["W_hh"].shape[1]

    def blocks(self, name: str, order: Sequence[str]) -> Array:
        """Return a parameter with its rows in another order of the gates; a bias has the shape (G·H,)."""
        a = self.params[name]
        by_gate = dict(zip(GATES[self.cell], np.split(a, len(GATES[self.cell])), strict=True))
        ordered = np.concatenate([by_gate[gate] for gate in order])
        return ordered if name.startswith("W") else ordered[:, 0]

    def two_biases(self, order: Sequence[str]) -> tuple[Array, Array]:
        """Return the biases beside the inputs and beside the state; the second is 0, but for b_hn."""
        inputs = self.blocks("b_h", order)
        hidden = np.zeros_like(inputs)
        if "b_hn" in self.params:
            H = len(self.params["b_hn"])
            start = list(order).index("n") * H
            hidden[start : start + H] = self.params["b_hn"][:, 0]
        return inputs, hidden


def cell_of(name: str, rows: int, hidden: int) -> str:
    """Return the cell whose recurrent matrix, named `name`, has G·H rows.

    Raises:
        ValueError: If no cell has this number of gates.
    """
    cells = {len(gates): cell for cell, gates in GATES.items()}
    if rows % hidden or rows // hidden not in cells:
        allowed = "1 (rnn), 3 (gru) or 4 (lstm)"
        raise ValueError(
            f"{short(name)}: has {rows / hidden:g} gates ({rows} × {hidden} weights); must have {allowed}"
        )
    return cells[rows // hidden]


def assemble(
    orders: Mapping[str, Sequence[str]],
    cell: str,
    W_xh: Array,
    W_hh: Array,
    biases: tuple[Array, Array | None] | None,
    options: Mapping[str, Any],
    name: str,
) -> LayerWeights:
    """Return the weights of a layer from blocks of rows in the order `orders[cell]`.

    Args:
        orders: Order of the gates of each cell.
        cell: The cell.
        W_xh: Input weights, shape (G·H, X).
        W_hh: Recurrent weights, shape (G·H, H).
        biases: Biases beside the inputs and beside the state, each of shape (G·H,); None without biases.
        options: Result of `options_of`.
        name: Name of the input weights.
    """
    order = orders[cell]

    def ours(a: Array) -> Array:
        by_gate = dict(zip(order, np.split(a, len(order)), strict=True))
        return np.ascontiguousarray(np.concatenate([by_gate[gate] for gate in GATES[cell]]))

    params = {"W_xh": ours(W_xh), "W_hh": ours(W_hh)}
    if biases is not None:
        first, second = (None if part is None else ours(part)[:, None] for part in biases)
        assert first is not None
        is_split = options.get("reset_after") is True
        last = slice(len(first) - W_hh.shape[1], None)
        if second is None:
            second = np.zeros_like(first)
        own = second.copy()
        if is_split:
            own[last] = 0
        # A sum with 0 would turn -0 into 0.
        params["b_h"] = np.where(own == 0, first, first + own)
        if is_split:
            params["b_hn"] = second[last].copy()
    _check_types(params)
    return LayerWeights(cell, params, dict(options), short(name))


def options_of(cell: str, source: Source, prefix: str, choices: Choices) -> dict[str, Any]:
    """Return the options of a cell, from the arguments or from what the file states.

    Raises:
        ValueError: If an option is unknown, or if the argument contradicts the file.
    """
    name, allowed = {
        "rnn": ("nonlinearity", "tanh, relu or identity"),
        "gru": (
            "reset_after",
            "True (torch, flax, Keras by default, ONNX with linear_before_reset=1) or False",
        ),
        "lstm": (None, ""),
    }[cell]
    if name is None:
        return {}
    given, stated = getattr(choices, name), source.facts.get(prefix, {}).get(name)
    if given is not None and stated is not None and given != stated:
        raise ValueError(f"{name}={given!r}: the weights have {name}={stated!r}")
    if (value := stated if given is None else given) is None:
        what = "vanilla cell" if cell == "rnn" else "GRU"
        raise ValueError(f"{name}: does not follow from the weights of a {what}; pass {name}={allowed}")
    return {name: value}


def choose(found: Sequence[str], prefix: str, example: str) -> str:
    """Return a prefix if a recurrent module has it.

    Raises:
        ValueError: If no recurrent module has the prefix.
    """
    if prefix not in found:
        known = f"available: {listed(found)}" if found else f"no recurrent module found, such as {example}"
        raise ValueError(f"prefix={short(repr(prefix))}: no recurrent module has this prefix; {known}")
    return prefix


def take_layers(available: int, choices: Choices) -> int:
    """Return the number of layers to read.

    Raises:
        ValueError: If there are fewer layers than requested.
    """
    if choices.layers is not None and choices.layers > available:
        raise ValueError(f"layers={choices.layers}: the module has {available}")
    return choices.layers or available


def refuse_cells(
    layers: Sequence[LayerWeights], framework: str, nonlinearities: Sequence[str], before: bool
) -> None:
    """Raise ValueError if a framework has no such cell."""
    for layer in layers:
        φ = layer.options.get("nonlinearity")
        if φ is not None and φ not in nonlinearities:
            raise ValueError(
                f"{framework} has no vanilla cell with nonlinearity={φ}; allowed: {', '.join(nonlinearities)}"
            )
        if layer.options.get("reset_after") is False and not before:
            raise ValueError(f"{framework} has no GRU with reset_after=False")


def _check(name: str, value: Any, allowed: Sequence[Any]) -> None:
    if value is not None and not any(type(value) is type(one) and value == one for one in allowed):
        options = " or ".join(map(repr, allowed))
        raise ValueError(f"{name}={short(repr(value))}: must be {options}")


def _check_types(params: Mapping[str, Array]) -> None:
    if len(types := sorted({str(a.dtype) for a in params.values()})) > 1:
        raise ValueError(f"weights: have the data types {' and '.join(types)}; must have a single one")
