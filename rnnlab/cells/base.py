"""What a recurrent cell is to the rest of the lab.

A cell is a frozen record of sizes and choices; it holds neither parameters nor state. Parameters
are a dict of arrays (`W_xh`, `W_hh` and, with a bias, `b_h`), gradients have the same keys.

It runs at two levels with the same parameters. `forward` and `backward` take a whole sequence, fast.
`step` and `step_backward` take one time step, written as the equations stand in the books. The public
methods check what they are given and are final; a cell writes the equations, the methods without a
body here.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, final

import numpy as np
from annotated_types import Ge
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params
from rnnlab.cells.boundary import (
    check_array,
    check_fields,
    check_inputs,
    check_params,
    check_states,
    check_step_input,
)
from rnnlab.cells.tapes import CellDeltas, CellTape, States, StepDeltas, StepGradients, StepTape
from rnnlab.cells.weights import is_symbols, join, step_input_gradients
from rnnlab.initializers import Init
from rnnlab.workspace import Workspace


@dataclass(frozen=True)
class Cell(ABC):
    """A recurrent cell with a hand-derived backward pass.

    Attributes:
        input_size: X.
        hidden_size: H.
        bias: Whether there are biases.
    """

    gates: ClassVar[tuple[str, ...]]
    """The names of the G blocks of H rows in `W_xh`, `W_hh` and `b_h`, from the top."""
    states: ClassVar[tuple[str, ...]]
    """The names of what the cell carries from step to step; `h` is the first."""
    recurrent_biases: ClassVar[Mapping[str, str]] = {}
    """Biases (H, 1) beside `b_h` that join W_hh h[t-1] before anything else does, with their gate."""
    sigmoid_gates: ClassVar[tuple[str, ...]] = ()
    """Which of `gates` open and close, σ's; their activations stand in the tape's `inner["gates"]`."""

    input_size: Annotated[int, Ge(1)]
    hidden_size: Annotated[int, Ge(1)]
    bias: bool = field(kw_only=True)

    def __post_init__(self) -> None:
        check_fields(self)

    # ── a whole sequence ──

    @final
    def forward(
        self, params: Params, x: Array, initial: States | None = None, workspace: Workspace | None = None
    ) -> CellTape:
        """Run over a sequence.

        Args:
            params: float32 or float64 arrays of the shapes in `param_shapes`.
            x: (T, X, B) vectors of the parameters' dtype, or (T, B) integer symbols.
            initial: (H, B) for each state; None is zero.
            workspace: Buffers to reuse; what was returned from them before is overwritten.

        Raises:
            ValueError: An argument has a wrong shape, dtype or range; it says which and what was expected.
        """
        dtype = check_params(params, self.param_shapes())
        x = np.asarray(x)
        check_inputs(x, self.input_size, dtype)
        shape = (self.hidden_size, x.shape[-1])
        workspace = workspace or Workspace()
        if initial is not None:
            check_states("initial", initial, self.states, shape, dtype)
        ones = self.bias and bool(self.recurrent_biases or not is_symbols(x))
        joined = join(x, self.hidden_size, ones, dtype, workspace)
        joined[0, : self.hidden_size] = 0 if initial is None else initial["h"]
        states, inner = self._forward(params, x, joined, initial, workspace)
        return CellTape(x, states, inner, joined)

    @final
    def backward(
        self,
        params: Params,
        tape: CellTape,
        e: Array,
        workspace: Workspace | None = None,
        with_dx: bool = True,
    ) -> CellDeltas:
        """Send the immediate gradients e[t] = ∂ℓ[t]/∂h[t] back through time.

        Args:
            params: Those of the forward pass.
            tape: Of the forward pass.
            e: (S, H, B), of the last S of the T time steps; the steps before have no loss of their own.
            workspace: Buffers to reuse; what was returned from them before is overwritten.
            with_dx: Whether the gradients of the inputs are wanted.

        Raises:
            ValueError: `params` or `e` do not fit the tape.
        """
        h = tape.states["h"]
        self._check_fits(params, h)
        outputs = (
            len(e) if isinstance(e, np.ndarray) and e.ndim == 3 and 1 <= len(e) <= tape.time else tape.time
        )
        check_array("e", e, (outputs, *h.shape[1:]), h.dtype)
        workspace = workspace or Workspace()
        first_loss = tape.time - outputs
        if first_loss:
            e_of_outputs, e = e, workspace.array("e_of_all_steps", h[1:].shape, h.dtype)
            e[:first_loss] = 0
            e[first_loss:] = e_of_outputs
        return self._backward(params, tape, e, first_loss, with_dx, workspace)

    # ── one time step ──

    @final
    def step(self, params: Params, x: Array, before: States | None = None) -> StepTape:
        """Run one time step.

        Args:
            params: float32 or float64 arrays of the shapes in `param_shapes`.
            x: x[t], (X, B) of the parameters' dtype, or (B,) integer symbols.
            before: h[t-1] (and c[t-1]), (H, B) each; None is zero.

        Returns:
            The step's tape; the new states are its `after`.

        Raises:
            ValueError: An argument has a wrong shape, dtype or range; it says which and what was expected.
        """
        dtype = check_params(params, self.param_shapes())
        x = np.asarray(x)
        check_step_input(x, self.input_size, dtype)
        shape = (self.hidden_size, x.shape[-1])
        if before is None:
            before = {name: np.zeros(shape, dtype) for name in self.states}
        check_states("before", before, self.states, shape, dtype)
        inputs = params["W_xh"][:, x] if is_symbols(x) else params["W_xh"] @ x
        if self.bias:
            inputs = inputs + params["b_h"]
        after, inner = self._step(params, inputs, before)
        return StepTape(x, before, after, inner)

    @final
    def step_backward(self, params: Params, tape: StepTape, adjoint: States) -> StepGradients:
        """Take the state adjoint λ[t] back through one time step.

        With the loss's own e[t] = ∂ℓ[t]/∂h[t] and the `before` of the step after, it is λ_h[t] = e[t] +
        before_h and λ_c[t] = before_c; going through the steps from the last to the first and adding up
        `grads` is backpropagation through time.

        Args:
            params: Those of the forward step.
            tape: Of the forward step.
            adjoint: λ[t], the gradient by the states after the step as independent inputs of all that
                follows, (H, B) for each state.

        Raises:
            ValueError: `params` or `adjoint` do not fit the tape.
        """
        h = tape.before["h"]
        self._check_fits(params, h)
        check_states("adjoint", adjoint, self.states, h.shape, h.dtype)
        deltas = self.adjoint_step(params, tape, adjoint)
        recurrent = self.recurrent_deltas(tape.inner, deltas.dz)
        grads, dx = step_input_gradients(params, tape.x, deltas.dz)
        grads["W_hh"] = recurrent @ h.T
        for name, gate in self.recurrent_biases.items():
            if self.bias:
                grads[name] = recurrent[self.rows(gate)].sum(axis=1, keepdims=True)
        return StepGradients(grads, dx, deltas)

    def _check_fits(self, params: Params, h: Array) -> None:
        dtype = check_params(params, self.param_shapes())
        if dtype != h.dtype:
            raise ValueError(f"params: expected {h.dtype}, as in the forward pass, got {dtype}")

    # ── parameters ──

    @final
    def param_shapes(self) -> dict[str, tuple[int, int]]:
        """The shape of every parameter."""
        rows = len(self.gates) * self.hidden_size
        shapes = {"W_xh": (rows, self.input_size), "W_hh": (rows, self.hidden_size)}
        if self.bias:
            shapes["b_h"] = (rows, 1)
            shapes |= dict.fromkeys(self.recurrent_biases, (self.hidden_size, 1))
        return shapes

    @abstractmethod
    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw the parameters."""

    @final
    def rows(self, first: str, last: str | None = None) -> slice:
        """The rows of the gates from `first` to `last` in anything of G·H rows."""
        start, stop = self.gates.index(first), self.gates.index(last or first) + 1
        return slice(start * self.hidden_size, stop * self.hidden_size)

    # ── the equations ──

    @abstractmethod
    def adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        """Take λ[t] one step back, without the parameters' gradients; see `step_backward`.

        Linear in `adjoint`, so that a caller may rescale it on the way.
        """

    @abstractmethod
    def state_adjoints(self, tape: CellTape, deltas: CellDeltas) -> dict[str, Array]:
        """λ[t] for every step of a backward pass, (T, H, B) for each state."""

    @abstractmethod
    def recurrent_deltas(self, inner: Mapping[str, Array], dz: Array) -> Array:
        """The gradient by the recurrent inputs W_hh h[t-1], whose product with h[t-1]ᵀ is dW_hh.

        Args:
            inner: Of a step's or a sequence's tape.
            dz: ∂L/∂z, (G·H, B) or (T, G·H, B).

        Returns:
            The shape of `dz`, which it is unless something stands between W_hh h[t-1] and z.
        """

    @abstractmethod
    def _step(self, params: Params, inputs: Array, before: States) -> tuple[States, dict[str, Array]]:
        """The states after a step and the tape's inner arrays, from W_xh x + b_h (G·H, B)."""

    @abstractmethod
    def _forward(
        self, params: Params, x: Array, joined: Array, initial: States | None, workspace: Workspace
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Fill the first H rows of `joined` from index 1 on with h; return the states and inner arrays."""

    @abstractmethod
    def _backward(
        self,
        params: Params,
        tape: CellTape,
        e: Array,
        first_loss: int,
        with_dx: bool,
        workspace: Workspace,
    ) -> CellDeltas:
        """Backpropagate through time; e (T, H, B) is 0 in the first `first_loss` steps."""


def draw_params(cell: Cell, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
    """Draw every parameter, each gate's block on its own; biases all by the initialiser of `b_h`."""
    initializers = {"W_xh": init.W_xh, "W_hh": init.W_hh}
    params = {}
    for name, (rows, columns) in cell.param_shapes().items():
        initializer = initializers.get(name, init.b_h)
        H = cell.hidden_size
        with np.errstate(over="ignore"):  # weights that are infinite show at the first step
            params[name] = initializer.draw_gates(rng, rows // H, H, columns, H).astype(dtype)
    return params
