"""Results of a cell's forward and backward passes, over a sequence and for one time step.

Sequences have the shape (time, features, batch). The equations number the inputs from 1: input x[t] leads to
h[t], and h[0] is the initial state. The arrays number the inputs from 0: `x[t]` leads to `h[t + 1]`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rnnlab.arrays import Array, Params

States = Mapping[str, Array]


@dataclass(frozen=True)
class StepTape:
    """Inputs and results of the forward pass of one time step.

    Attributes:
        x: Input x[t], vectors (X, B) or symbols (B,).
        before: Previous states h[t-1] (and c[t-1] for an LSTM), (H, B) each.
        after: New states h[t] (and c[t] for an LSTM), (H, B) each.
        inner: Arrays specific to the cell, such as gate activations, (…, B).
    """

    x: Array
    before: States
    after: States
    inner: Mapping[str, Array]


@dataclass(frozen=True)
class StepDeltas:
    """Results of one time step of the backward pass.

    Attributes:
        total: Total gradient ∂L/∂s[t] for each state, (H, B); for c, the path c[t] → h[t] is included.
        before: State adjoint λ[t-1] without the immediate gradient e[t-1], (H, B) for each state.
        dz: Gradient ∂L/∂z[t], (G·H, B).
    """

    total: States
    before: States
    dz: Array


@dataclass(frozen=True)
class StepGradients:
    """Result of `Cell.step_backward`.

    Attributes:
        grads: Contribution of the time step to the gradient of each parameter, by parameter name.
        dx: Gradient ∂L/∂x[t], (X, B); None for symbols.
        deltas: Gradients with respect to the states and the pre-activations.
    """

    grads: Params
    dx: Array | None
    deltas: StepDeltas


@dataclass(frozen=True)
class CellTape:
    """Inputs and results of a forward pass over a sequence.

    Attributes:
        x: Inputs, vectors (T, X, B) or symbols (T, B).
        states: Values of each state (`h`, and `c` for an LSTM), initial state first, (T+1, H, B).
        inner: Arrays specific to the cell, such as gate activations, (T, …, B).
        joined: Operands of the recurrent matrix product: the rows [h; x; 1] or a subset, (T+1, K, B).
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
        """Return a copy of the states after the last time step, from which the next chunk can start."""
        return {name: values[-1].copy() for name, values in self.states.items()}


@dataclass(frozen=True)
class CellDeltas:
    """Results of a backward pass over a sequence.

    Attributes:
        grads: Gradient of each parameter, by parameter name.
        total: Total gradient ∂L/∂s[t] of each state for t = 1 … T, (T, H, B).
        immediate: Immediate gradient of each state, from the loss at the same time step only, (T, H, B). For
            h, the immediate gradient is the argument `e`, padded with zeros to T time steps.
        dz: Gradient ∂L/∂z[t], (T, G·H, B).
        dx: Gradient ∂L/∂x[t], (T, X, B); None for symbols or without `with_dx`.
        initial: Gradient ∂L/∂s[0] of each state, (H, B).
        first_loss: Number of leading time steps without a loss, at which immediate gradients are 0.
    """

    grads: Params
    total: Mapping[str, Array]
    immediate: Mapping[str, Array]
    dz: Array
    dx: Array | None
    initial: Mapping[str, Array]
    first_loss: int
