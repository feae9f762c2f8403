"""Common interface of the recurrent cells.

A cell object is immutable and contains sizes and options, but no parameters or states. The parameters are
stored in a dict of arrays with the keys `W_xh`, `W_hh` and, if the cell has biases, `b_h`. The parameter
gradients are stored in a dict with the same keys.

Every cell implements its equations twice: `forward` and `backward` process an entire sequence and are
optimised for speed, whereas `step` and `step_backward` process one time step and follow the textbook
equations. `forward`, `backward`, `step` and `step_backward` are final and check their arguments. Subclasses
implement the equations in the abstract methods.
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
        input_size: Input size X.
        hidden_size: Hidden size H.
        bias: True if the cell has biases.
    """

    gates: ClassVar[tuple[str, ...]]
    """Names of the G gates; each gate has a block of H rows in `W_xh`, `W_hh` and `b_h`, in this order."""
    states: ClassVar[tuple[str, ...]]
    """Names of the states that one time step passes to the next, starting with `h`."""
    recurrent_biases: ClassVar[Mapping[str, str]] = {}
    """Map from each recurrent bias to its gate; the bias is added to this gate's rows of W_hh h[t-1]."""
    sigmoid_gates: ClassVar[tuple[str, ...]] = ()
    """Names of the gates with sigmoid activation; the tape stores their activations in `inner["gates"]`."""

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
        """Run the forward pass over a sequence.

        Args:
            params: Parameters, as float32 or float64 arrays with the shapes given by `param_shapes`.
            x: Inputs: vectors in the parameters' dtype, shape (T, X, B), or integer symbols, shape (T, B).
            initial: Initial states, each of shape (H, B); None for zero states.
            workspace: Buffers to reuse; each call overwrites the results of the previous call.

        Raises:
            ValueError: If an argument has the wrong shape, dtype or range.
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
        """Backpropagate the immediate gradients e[t] = ∂ℓ[t]/∂h[t] through time.

        Args:
            params: Parameters used in the forward pass.
            tape: Tape returned by `forward`.
            e: Immediate gradients at the last S time steps, shape (S, H, B); earlier time steps have no loss.
            workspace: Buffers to reuse; each call overwrites the results of the previous call.
            with_dx: If True, also compute the gradients with respect to the inputs.

        Raises:
            ValueError: If the shape or dtype of `params` or `e` does not match the tape.
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
        """Run one time step of the forward pass.

        Args:
            params: Parameters, as float32 or float64 arrays with the shapes given by `param_shapes`.
            x: Input x[t]: vectors in the parameters' dtype, shape (X, B), or integer symbols, shape (B,).
            before: Previous states h[t-1] (and c[t-1] for an LSTM), each of shape (H, B); None for zero
                states.

        Returns:
            The tape of the time step, with the new states in `after`.

        Raises:
            ValueError: If an argument has the wrong shape, dtype or range.
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
        """Backpropagate the state adjoint λ[t] through one time step.

        For backpropagation through time, call this method for each time step in reverse order and sum
        `grads`. The adjoint for time step t is λ_h[t] = e[t] + before_h and λ_c[t] = before_c, where e[t] =
        ∂ℓ[t]/∂h[t], and before_h and before_c are the entries of `deltas.before` returned for time step t+1.

        Args:
            params: Parameters used in the forward pass.
            tape: Tape returned by `step`.
            adjoint: State adjoint λ[t], the gradient with respect to the new states, treated as independent
                variables; one array of shape (H, B) per state.

        Raises:
            ValueError: If the shape or dtype of `params` or `adjoint` does not match the tape.
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
        """Return the shape of each parameter."""
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
        """Return the slice that selects the gates from `first` to `last` in an array with G·H rows."""
        start, stop = self.gates.index(first), self.gates.index(last or first) + 1
        return slice(start * self.hidden_size, stop * self.hidden_size)

    # ── the equations ──

    @abstractmethod
    def adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        """Backpropagate λ[t] through one time step as in `step_backward`, but omit the parameter gradients.

        The result is linear in `adjoint`, so a caller may rescale the adjoint between time steps.
        """

    @abstractmethod
    def state_adjoints(self, tape: CellTape, deltas: CellDeltas) -> dict[str, Array]:
        """Return the state adjoints λ[t] of all time steps, one array of shape (T, H, B) per state."""

    @abstractmethod
    def recurrent_deltas(self, inner: Mapping[str, Array], dz: Array) -> Array:
        """Return the gradient with respect to a = W_hh h[t-1]; dW_hh is da h[t-1]ᵀ.

        Args:
            inner: The `inner` arrays of a tape, for one time step or a sequence.
            dz: Gradient ∂L/∂z, shape (G·H, B) or (T, G·H, B).

        Returns:
            The gradient, with the shape of `dz`; the gradient equals `dz` if W_hh h[t-1] is a summand of z.
        """

    @abstractmethod
    def _step(self, params: Params, inputs: Array, before: States) -> tuple[States, dict[str, Array]]:
        """Return the new states and the tape's inner arrays, given `inputs` = W_xh x + b_h."""

    @abstractmethod
    def _forward(
        self, params: Params, x: Array, joined: Array, initial: States | None, workspace: Workspace
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return the states and the inner arrays; write h[1] … h[T] into the first H rows of `joined`."""

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
        """Backpropagate through time; `e` is 0 in the first `first_loss` of the T time steps."""


def draw_params(cell: Cell, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
    """Draw each parameter gate by gate; all biases are drawn with `init.b_h`."""
    initializers = {"W_xh": init.W_xh, "W_hh": init.W_hh}
    params = {}
    for name, (rows, columns) in cell.param_shapes().items():
        initializer = initializers.get(name, init.b_h)
        H = cell.hidden_size
        with np.errstate(over="ignore"):  # the first training step reports infinite weights
            params[name] = initializer.draw_gates(rng, rows // H, H, columns, H).astype(dtype)
    return params
