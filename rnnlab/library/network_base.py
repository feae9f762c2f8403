"""Sizes, states and outputs of a network, which all its methods share."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells import CellTape, layers_of
from rnnlab.library.inputs import AXES, InputLayer, read_batch, read_inputs
from rnnlab.model import Batch, Model
from rnnlab.workspace import Workspace


@dataclass(frozen=True, eq=False, repr=False)
class NetworkBase:
    """Sizes, states and outputs of a network; `Network` lists the attributes."""

    name: str
    cell: str
    model: Model
    params: Params
    seed: int
    has_own_loss: bool = False
    embedding: Array | None = None
    possible_embeddings: tuple[str, ...] = ()

    @property
    def inputs(self) -> int:
        """Number X of input features or symbols."""
        return self.model.cell.input_size

    @property
    def hidden(self) -> int:
        """Number H of hidden units in each layer."""
        return self.model.cell.hidden_size

    @property
    def outputs(self) -> int:
        """Number Y of outputs."""
        return self.model.readout.output_size

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(layers_of(self.model.cell))

    @property
    def dtype(self) -> str:
        """Data type of the parameters."""
        return str(next(iter(self.params.values())).dtype)

    @property
    def input_layer(self) -> InputLayer:
        """Sizes and embedding that inputs must fit."""
        return InputLayer(self.inputs, self.dtype, self.embedding, self.possible_embeddings)

    @property
    def state_size(self) -> int:
        """Size n of the full state, which is H for each state of each layer.

        >>> rl.network("lstm", inputs=3, hidden=16).state_size
        32
        """
        return sum(self.model.cell.state_sizes.values())

    def states(self, x: Any, axes: str = AXES) -> dict[str, Array]:
        """Return the values of each state over time, as arrays of shape (T+1, H, B); index 0 is s[0].

        Args:
            x: Inputs.
            axes: Order of the axes of `x`.

        Raises:
            ValueError: If `x` does not fit the network.

        >>> net = rl.network("lstm", inputs=3, hidden=16)
        >>> {name: h.shape for name, h in net.states(np.zeros((50, 3, 4))).items()}
        {'h': (51, 16, 4), 'c': (51, 16, 4)}
        """
        tape = self._forward(x, axes)
        return {name: values.copy() for name, values in tape.states.items()}

    def predict(self, x: Any, axes: str = AXES) -> Array:
        """Return the outputs o[t] = W_hy h[t] + b_y at every time step, shape (T, Y, B).

        Args:
            x: Inputs.
            axes: Order of the axes of `x`.

        Raises:
            ValueError: If `x` does not fit the network.

        >>> rl.network("rnn", inputs=3, hidden=16, outputs=2).predict(np.zeros((50, 3, 4))).shape
        (50, 2, 4)
        """
        tape = self._forward(x, axes)
        with np.errstate(all="ignore"):
            outputs, _ = self.model.readout.forward(self.params, tape.outputs, Workspace())
        return outputs.reshape(self.outputs, tape.time, -1).transpose(1, 0, 2)

    def _forward(self, x: Any, axes: str, until: int | None = None) -> CellTape:
        """Return the tape of a forward pass over the inputs, or over their first `until` time steps."""
        inputs = read_inputs(x, axes, self.input_layer)
        if until is not None:
            check_range("target", until, 1, len(inputs), "time steps")
            inputs = inputs[:until]
        start = self.model.start(self.params, inputs.shape[-1], self._start_rng())
        with np.errstate(all="ignore"):
            return self.model.cell.forward(self.params, inputs, start)

    def _with_targets(self, x: Any, y: Any, mask: Any, axes: str) -> tuple[Model, Batch]:
        """Return the model, with the loss that suits the targets, and the batch."""
        batch, loss = read_batch(x, y, mask, axes, self.input_layer, self.outputs)
        return self.model if self.has_own_loss else replace(self.model, loss=loss), batch

    def _start_rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def __repr__(self) -> str:
        sizes = ("inputs", "hidden", "outputs", "layers", "dtype")
        values = ", ".join(f"{name}={getattr(self, name)}" for name in sizes)
        return f"Network({self.cell}, {values}, parameters={count_parameters(self.params)})"


def count_parameters(params: Mapping[str, Array]) -> int:
    """Return the total number of parameters."""
    return sum(array.size for array in params.values())


def check_range(argument: str, value: Any, low: int, high: int | None, what: str) -> None:
    """Raise ValueError unless a value is an integer from `low` to `high`."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < low or (high is not None and value > high):
        allowed = f"{low} or more" if high is None else f"{low} to {high}"
        raise ValueError(f"{argument}={value!r}: allowed are the {what} {allowed}")
