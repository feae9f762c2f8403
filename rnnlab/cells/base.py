"""What a recurrent cell is to the rest of the lab.

A cell is a frozen record of sizes and choices; it holds neither parameters nor state. Parameters
are a dict of arrays (`W_xh`, `W_hh` and, with a bias, `b_h`), gradients have the same keys.
Sequences are (time, features, batch); `h[0]` is the initial state, so `h[t]` follows `x[t]` in the
equations and `h[t + 1]` follows `x[t]` in the arrays, which count inputs from 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params, Workspace
from rnnlab.cells.inputs import check_inputs, is_symbols
from rnnlab.initializers import Init

States = Mapping[str, Array]


@dataclass(frozen=True)
class CellTape:
    """Everything a forward pass computed.

    Attributes:
        x: The inputs, (T, X, B) vectors or (T, B) symbols.
        states: For each state of the cell (`h`, and `c` for LSTM) its (T+1, H, B) values, the initial first.
        inner: The cell's own arrays (activations, gates), (T, …, B).
    """

    x: Array
    states: Mapping[str, Array]
    inner: Mapping[str, Array]

    @property
    def time(self) -> int:
        """T, the number of time steps."""
        return len(self.x)

    def final_states(self) -> dict[str, Array]:
        """A copy of the states after the last step, to start the next chunk with."""
        return {name: values[-1].copy() for name, values in self.states.items()}


@dataclass(frozen=True)
class CellDeltas:
    """Everything a backward pass computed on the way.

    Attributes:
        grads: Gradients of the parameters, under the same keys.
        total: For each state, its total gradient ∂L/∂s[t] for t = 1 … T, (T, H, B).
        immediate: For each state, the part that the loss at t itself sends into s[t], (T, H, B).
        dz: ∂L/∂z[t], (T, G·H, B).
        dx: ∂L/∂x[t], (T, X, B); None for symbols.
        initial: ∂L/∂s[0] for each state, (H, B).
    """

    grads: Params
    total: Mapping[str, Array]
    immediate: Mapping[str, Array]
    dz: Array
    dx: Array | None
    initial: Mapping[str, Array]


class Cell(Protocol):
    """A recurrent cell with a hand-derived backward pass."""

    gates: ClassVar[tuple[str, ...]]
    """The names of the G blocks of H rows in `W_xh`, `W_hh` and `b_h`, from the top."""
    states: ClassVar[tuple[str, ...]]
    """The names of what the cell carries from step to step; `h` is the first."""

    @property
    def input_size(self) -> int:
        """X."""

    @property
    def hidden_size(self) -> int:
        """H."""

    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw the parameters."""

    def forward(
        self, params: Params, x: Array, initial: States | None = None, workspace: Workspace | None = None
    ) -> CellTape:
        """Run the cell over a sequence from the given initial state, or from zero."""

    def backward(
        self, params: Params, tape: CellTape, e: Array, workspace: Workspace | None = None
    ) -> CellDeltas:
        """Send the immediate gradients e[t] = ∂ℓ[t]/∂h[t], (T, H, B), back through time."""

    def adjoint_step(
        self, params: Params, tape: CellTape, t: int, adjoint: States
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Take the state adjoint λ[t] one step back.

        The state adjoint is the gradient with respect to the states after step t as independent
        inputs of what follows. It is linear in `adjoint`, so that a caller may rescale it on the way.

        Args:
            params: The parameters.
            tape: Of the forward pass.
            t: The time step, 1 … T.
            adjoint: λ[t], (H, B) for each state.

        Returns:
            The total gradients ∂L/∂s[t] and the state adjoint λ[t-1], (H, B) for each state.
        """

    def state_adjoints(self, tape: CellTape, deltas: CellDeltas) -> dict[str, Array]:
        """λ[t] for every step of a backward pass, (T, H, B) for each state."""


def draw_params(cell: Cell, rng: np.random.Generator, init: Init, dtype: DTypeLike, bias: bool) -> Params:
    """Draw `W_xh`, `W_hh` and, with `bias`, `b_h`, each gate's block on its own."""
    gates, H, X = len(cell.gates), cell.hidden_size, cell.input_size
    params = {
        "W_xh": init.W_xh.draw_gates(rng, gates, H, X, H),
        "W_hh": init.W_hh.draw_gates(rng, gates, H, H, H),
    }
    if bias:
        params["b_h"] = init.b_h.draw_gates(rng, gates, H, 1, H)
    return {name: value.astype(dtype) for name, value in params.items()}


def start_states(
    cell: Cell, params: Params, x: Array, initial: States | None, workspace: Workspace
) -> dict[str, Array]:
    """Check the inputs and return the states' arrays (T+1, H, B) with the initial state at index 0.

    Raises:
        ValueError: For a wrong shape or dtype of `x` or `initial`, with what was expected.
    """
    dtype = params["W_hh"].dtype
    check_inputs(x, cell.input_size, dtype)
    batch = x.shape[1] if is_symbols(x) else x.shape[2]
    expected = (cell.hidden_size, batch)
    if initial is not None and set(initial) != set(cell.states):
        raise ValueError(f"initial: expected the states {list(cell.states)}, got {sorted(initial)}")
    states = {}
    for name in cell.states:
        states[name] = workspace.array(f"state_{name}", (len(x) + 1, *expected), dtype)
        if initial is None:
            states[name][0] = 0
        elif initial[name].shape != expected or initial[name].dtype != dtype:
            raise ValueError(
                f"initial[{name!r}]: expected {dtype} of shape {expected}, got {initial[name].dtype} of "
                f"shape {initial[name].shape}"
            )
        else:
            states[name][0] = initial[name]
    return states


def check_immediate(e: Array, cell: Cell, tape: CellTape) -> None:
    """Raise a ValueError unless `e` fits the tape."""
    h = tape.states["h"][1:]
    if e.shape != h.shape or e.dtype != h.dtype:
        raise ValueError(f"e: expected {h.dtype} of shape {h.shape}, got {e.dtype} of shape {e.shape}")
