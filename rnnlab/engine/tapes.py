"""Results of a cell's forward and backward passes, over a sequence and for one time step.

Sequences have the shape (time, features, batch). In the equations, inputs are numbered from 1: x[t]
produces h[t], and h[0] is the initial state. In the arrays, inputs are numbered from 0: `x[t]` produces
`h[t + 1]`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.engine.exponents import multiply_columns

States = Mapping[str, Array]


@dataclass(frozen=True)
class StepTape:
    """Inputs and results of one time step of the forward pass.

    Attributes:
        x: Input x[t]: vectors, shape (X, B), or symbols, shape (B,).
        before: Previous states h[t-1] (and c[t-1] for an LSTM), each of shape (H, B).
        after: New states h[t] (and c[t] for an LSTM), each of shape (H, B).
        inner: Arrays specific to the type of cell, such as gate activations, each of shape (…, B).
    """

    x: Array
    before: States
    after: States
    inner: Mapping[str, Array]


@dataclass(frozen=True)
class StepDeltas:
    """Results of one time step of the backward pass.

    Attributes:
        total: Total gradient ∂L/∂s[t] with respect to each state s, shape (H, B); for c, the gradient
            includes the path c[t] → h[t].
        before: State adjoint λ[t-1], excluding the immediate gradient e[t-1], shape (H, B) for each state.
        dz: Gradient ∂L/∂z[t] with respect to the pre-activations, shape (G·H, B); None if the cell has none.
        recurrent: Gradient with respect to the product of the recurrent matrix, with the shape of `dz`; equal
            to `dz` if the product is a summand of z. None if the cell has no recurrent matrix.
        dx: Gradient ∂L/∂x[t], shape (X, B), for symbols with respect to their one-hot vectors; None if the
            gradient follows from `dz` and the input matrix.
        grads: Contributions of the time step to parameter gradients that do not follow from `dz`, `recurrent`
            and the matrices, by name. For a parameter with one column, the shape may be (rows, B).
        layers: Results of each layer of a stack, the bottom layer first; () for a single cell.
    """

    total: States
    before: States
    dz: Array | None = None
    recurrent: Array | None = None
    dx: Array | None = None
    grads: Params | None = None
    layers: tuple["StepDeltas", ...] = ()


@dataclass(frozen=True)
class StepGradients:
    """Result of `Cell.step_backward`.

    Attributes:
        grads: Contribution of the time step to the gradient with respect to each parameter, by parameter
            name.
        dx: Gradient ∂L/∂x[t], shape (X, B); None for symbol inputs.
        deltas: Gradients with respect to the states and the pre-activations.
    """

    grads: Params
    dx: Array | None
    deltas: StepDeltas


@dataclass(frozen=True)
class CellTape:
    """Inputs and results of a forward pass over a sequence.

    Attributes:
        x: Inputs: vectors, shape (T, X, B), or symbols, shape (T, B).
        states: Values of each state (`h`, and `c` for an LSTM), shape (T+1, H, B); index 0 is the initial
            state.
        inner: Arrays specific to the type of cell, such as gate activations, each of shape (T, …, B).
        output: Name of the state or inner array that the readout reads.
        joined: Right operands of the recurrent matrix product, shape (T+1, K, B), with all or some of the
            rows [h; x; 1]; None for a cell without this product.
        layers: Tape of each layer of a stack, the bottom layer first; () for a single cell.
    """

    x: Array
    states: Mapping[str, Array]
    inner: Mapping[str, Array]
    output: str
    joined: Array | None = None
    layers: tuple["CellTape", ...] = ()

    @property
    def time(self) -> int:
        """Number of time steps T."""
        return len(self.x)

    @property
    def outputs(self) -> Array:
        """Output of each time step, shape (T, H, B)."""
        return self.states[self.output][1:] if self.output in self.states else self.inner[self.output]

    def step(self, t: int) -> StepTape:
        """Return the tape of time step t = 1 … T; its arrays are views."""
        return StepTape(
            self.x[t - 1],
            {name: values[t - 1] for name, values in self.states.items()},
            {name: values[t] for name, values in self.states.items()},
            {name: values[t - 1] for name, values in self.inner.items()},
        )

    def example(self, b: int) -> "CellTape":
        """Return the tape of one example, b = 0 … B-1, as a batch of one; its arrays are views."""
        one = slice(b, b + 1)
        return replace(
            self,
            x=self.x[..., one],
            states={name: values[..., one] for name, values in self.states.items()},
            inner={name: values[..., one] for name, values in self.inner.items()},
            joined=None if self.joined is None else self.joined[..., one],
            layers=tuple(layer.example(b) for layer in self.layers),
        )

    def final_states(self) -> dict[str, Array]:
        """Return copies of the final states, to be used as the initial states of the next chunk."""
        return {name: values[-1].copy() for name, values in self.states.items()}


@dataclass(frozen=True)
class CellDeltas:
    """Results of a backward pass over a sequence.

    The gradients by time step may be scaled: example b of the arrays at time step t is to be multiplied by
    2^exponents[t,b]. Without scaling, a vanishing gradient would leave the range of its data type. `grads`,
    `dx` and `initial` are never scaled.

    Attributes:
        grads: Gradient with respect to each parameter, by parameter name.
        total: Total gradient ∂L/∂s[t] with respect to each state s for t = 1 … T, shape (T, H, B).
        adjoint: State adjoint λ[t] of each state for t = 1 … T, shape (T, H, B), including the immediate
            gradient.
        immediate: Immediate gradient with respect to each state, shape (T, H, B), never scaled: the gradient
            of the loss at the same time step only. For the output, the immediate gradient is the argument
            `e`, padded with zeros to T time steps. A stack has those of its top layer; `measure_norms`
            computes those of the layers below.
        dz: Gradient ∂L/∂z[t], shape (T, G·H, B); None if the cell has no pre-activations.
        recurrent_blocks: Blocks of rows of `recurrent`, each of shape (T, …, B).
        dx: Gradient ∂L/∂x[t], shape (T, X, B); None for symbol inputs or if `with_dx` is False.
        initial: Gradient ∂L/∂s[0] with respect to each initial state, shape (H, B).
        first_loss: Number of time steps before the first loss; the immediate gradients at these steps are 0.
        exponents: Binary exponents of the gradients by time step, integers of shape (T, B); None if all are
            0. The layers of a stack have exponents of their own.
        layers: Gradients of each layer of a stack, the bottom layer first; () for a single cell.
        above: Gradient that reaches the output of a layer from above within the time step, scaled like
            `adjoint`, which includes it; None for a single cell, and if the output of the network is a state
            of this layer.
        own_dx: Gradient with respect to the inputs, scaled like `adjoint`, if the cell gives it itself, for
            symbols with respect to their one-hot vectors; None if it follows from `dz` and the input matrix.
    """

    grads: Params
    total: Mapping[str, Array]
    adjoint: Mapping[str, Array]
    immediate: Mapping[str, Array]
    dz: Array | None
    recurrent_blocks: tuple[Array, ...]
    dx: Array | None
    initial: Mapping[str, Array]
    first_loss: int
    exponents: Array | None = None
    layers: tuple["CellDeltas", ...] = ()
    above: Array | None = None
    own_dx: Array | None = None

    def unscaled(self) -> "CellDeltas":
        """Return the same gradients with exponents 0, after scaling the arrays in place."""
        if self.layers:  # the arrays of a stack are those of its layers
            return replace(self, layers=tuple(layer.unscaled() for layer in self.layers))
        if self.exponents is None:
            return self
        arrays = [*self.total.values(), *self.adjoint.values(), self.dz, self.above]
        arrays += [self.own_dx, *self.recurrent_blocks]
        present = sorted((a for a in arrays if a is not None), key=lambda a: a.size)
        buffers = {a.__array_interface__["data"][0]: a for a in present}  # of views, the largest
        multiply_columns(buffers.values(), self.exponents)
        return replace(self, exponents=None)

    @property
    def recurrent(self) -> Array | None:
        """Gradient with respect to the product of the recurrent matrix, shape (T, G·H, B), or None."""
        if len(self.recurrent_blocks) > 1:
            return np.concatenate(self.recurrent_blocks, axis=1)
        return self.recurrent_blocks[0] if self.recurrent_blocks else None

    @property
    def log_scale(self) -> Array | float:
        """Natural logarithm of the scale of the gradients by time step, shape (T, B) or 0."""
        return 0.0 if self.exponents is None else self.exponents * np.log(2)
