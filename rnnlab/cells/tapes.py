"""What a cell's forward and backward passes hand over, for a sequence and for one time step.

Sequences are (time, features, batch). `h[0]` is the initial state, so `h[t]` follows `x[t]` in the
equations and `h[t + 1]` follows `x[t]` in the arrays, which count inputs from 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rnnlab.arrays import Array, Params

States = Mapping[str, Array]


@dataclass(frozen=True)
class StepTape:
    """Everything the forward pass of one time step computed.

    Attributes:
        x: The input, (X, B) vectors or (B,) symbols.
        before: h[t-1] (and c[t-1] for LSTM), (H, B).
        after: h[t] (and c[t]), (H, B).
        inner: The cell's own arrays (activations, gates), (…, B).
    """

    x: Array
    before: States
    after: States
    inner: Mapping[str, Array]


@dataclass(frozen=True)
class StepDeltas:
    """One time step of the backward pass.

    Attributes:
        total: ∂L/∂s[t] for each state, (H, B): for c this holds what flows c[t] → h[t] as well.
        before: The state adjoint λ[t-1], what this step sends into the states before it, (H, B).
        dz: ∂L/∂z[t], (G·H, B).
    """

    total: States
    before: States
    dz: Array


@dataclass(frozen=True)
class StepGradients:
    """What `Cell.step_backward` returns.

    Attributes:
        grads: The step's share of the parameters' gradients, under the same keys.
        dx: ∂L/∂x[t], (X, B); None for symbols.
        deltas: The gradients on the way.
    """

    grads: Params
    dx: Array | None
    deltas: StepDeltas


@dataclass(frozen=True)
class CellTape:
    """Everything a forward pass over a sequence computed.

    Attributes:
        x: The inputs, (T, X, B) vectors or (T, B) symbols.
        states: For each state of the cell (`h`, and `c` for LSTM) its (T+1, H, B) values, the initial first.
        inner: The cell's own arrays (activations, gates), (T, …, B).
        joined: h[t-1] with what enters the same product, rows [h; x; 1] or fewer, (T+1, K, B).
    """

    x: Array
    states: Mapping[str, Array]
    inner: Mapping[str, Array]
    joined: Array

    @property
    def time(self) -> int:
        """T, the number of time steps."""
        return len(self.x)

    def step(self, t: int) -> StepTape:
        """Time step t = 1 … T, as views."""
        return StepTape(
            self.x[t - 1],
            {name: values[t - 1] for name, values in self.states.items()},
            {name: values[t] for name, values in self.states.items()},
            {name: values[t - 1] for name, values in self.inner.items()},
        )

    def final_states(self) -> dict[str, Array]:
        """A copy of the states after the last step, to start the next chunk with."""
        return {name: values[-1].copy() for name, values in self.states.items()}


@dataclass(frozen=True)
class CellDeltas:
    """Everything a backward pass over a sequence computed on the way.

    Attributes:
        grads: Gradients of the parameters, under the same keys.
        total: For each state, its total gradient ∂L/∂s[t] for t = 1 … T, (T, H, B).
        immediate: For each state, the part that the loss at t itself sends into s[t], (T, H, B); for h it is
            the `e` that came in, if that had all steps.
        dz: ∂L/∂z[t], (T, G·H, B).
        dx: ∂L/∂x[t], (T, X, B); None for symbols and where it was not asked for.
        initial: ∂L/∂s[0] for each state, (H, B).
        first_loss: How many of the first time steps have no loss, and immediate gradients of 0.
    """

    grads: Params
    total: Mapping[str, Array]
    immediate: Mapping[str, Array]
    dz: Array
    dx: Array | None
    initial: Mapping[str, Array]
    first_loss: int
