"""Results of a cell's forward and backward passes, over a sequence and for one time step.

Sequences have the shape (time, features, batch). In the equations, inputs are numbered from 1: x[t]
produces h[t], and h[0] is the initial state. In the arrays, inputs are numbered from 0: `x[t]` produces
`h[t + 1]`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rnnlab.arrays import Array, Params

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
        dz: Gradient ∂L/∂z[t], shape (G·H, B).
    """

    total: States
    before: States
    dz: Array


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
        joined: Right operands of the recurrent matrix product, shape (T+1, K, B), with all or some of the
            rows [h; x; 1].
    """

    x: Array
    states: Mapping[str, Array]
    inner: Mapping[str, Array]
    joined: Array

    @property
    def time(self) -> int:
        """Number of time steps T."""
        return len(self.x)

    def step(self, t: int) -> StepTape:
        """Return the tape of time step t = 1 … T; its arrays are views."""
        return StepTape(
            self.x[t - 1],
            {name: values[t - 1] for name, values in self.states.items()},
            {name: values[t] for name, values in self.states.items()},
            {name: values[t - 1] for name, values in self.inner.items()},
        )

    def final_states(self) -> dict[str, Array]:
        """Return copies of the final states, to be used as the initial states of the next chunk."""
        return {name: values[-1].copy() for name, values in self.states.items()}


@dataclass(frozen=True)
class CellDeltas:
    """Results of a backward pass over a sequence.

    Attributes:
        grads: Gradient with respect to each parameter, by parameter name.
        total: Total gradient ∂L/∂s[t] with respect to each state s for t = 1 … T, shape (T, H, B).
        immediate: Immediate gradient with respect to each state, shape (T, H, B): the gradient of the loss at
            the same time step only. For h, the immediate gradient is the argument `e`, padded with zeros to T
            time steps.
        dz: Gradient ∂L/∂z[t], shape (T, G·H, B).
        dx: Gradient ∂L/∂x[t], shape (T, X, B); None for symbol inputs or if `with_dx` is False.
        initial: Gradient ∂L/∂s[0] with respect to each initial state, shape (H, B).
        first_loss: Number of time steps before the first loss; the immediate gradients at these steps are 0.
    """

    grads: Params
    total: Mapping[str, Array]
    immediate: Mapping[str, Array]
    dz: Array
    dx: Array | None
    initial: Mapping[str, Array]
    first_loss: int
