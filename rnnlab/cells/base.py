"""Common interface of the recurrent cells.

A cell object is immutable and contains sizes and options, but no parameters or states. Parameters, and their
gradients, are dicts of arrays with the keys of `Cell.parameters`.

Most cells are a `rnnlab.cells.gated.GatedCell`, which states its equations once. Any other cell is a
subclass of `Cell` that gives one time step forward and one backward; such a cell is slower, but all
measurements work for it. `forward`, `backward`, `step` and `step_backward` are final and check their
arguments.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from inspect import isabstract
from typing import Annotated, Any, ClassVar, final

import numpy as np
from annotated_types import Ge
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params
from rnnlab.engine.activations import Activation
from rnnlab.engine.arguments import (
    check_fields,
    check_inputs,
    check_losses,
    check_params,
    check_same_dtype,
    check_states,
    check_step_input,
)
from rnnlab.engine.declarations import CellDeclarationError, check_names
from rnnlab.engine.single_steps import step_gradients, try_step
from rnnlab.engine.step_loop import backward_by_steps, forward_by_steps
from rnnlab.engine.tapes import CellDeltas, CellTape, States, StepDeltas, StepGradients, StepTape
from rnnlab.initializers import Draw, Init, Parameter, draw_parameters
from rnnlab.workspace import Workspace


@dataclass(frozen=True)
class Cell(ABC):
    """A recurrent cell with a hand-derived backward pass.

    Attributes:
        input_size: Input size X.
        hidden_size: Hidden size H.
        bias: True if the cell has biases.
    """

    states: ClassVar[tuple[str, ...]]
    """Names of the states that one time step passes to the next; `state_sizes` gives their sizes."""
    output: ClassVar[str] = "h"
    """Name of the state, or of the entry of `inner`, that the readout reads."""
    recurrent_matrix: ClassVar[str | None] = "W_hh"
    """Name of the matrix whose spectrum and contributions are measured; None if the cell has none."""
    recurrent_state: ClassVar[str] = "h"
    """State that the recurrent matrix multiplies."""
    input_matrix: ClassVar[str | None] = "W_xh"
    """Name of the matrix that multiplies the inputs; None if the cell has no such matrix."""
    row_gates: ClassVar[tuple[str, ...]] = ()
    """Names of the blocks of H rows of the default parameters; () for a single block."""
    forget_gate: ClassVar[str | None] = None
    """Sigmoid gate that scales the direct path of the gradient through a state; None if the cell has none."""

    initializers: ClassVar[Mapping[str, Draw]] = {}
    """Initialiser of each parameter that is not drawn as `init` specifies, by name; may be a property."""

    input_size: Annotated[int, Ge(1)]
    hidden_size: Annotated[int, Ge(1)]
    bias: bool = field(kw_only=True)

    def __init_subclass__(cls, **keys: Any) -> None:
        super().__init_subclass__(**keys)
        if not isabstract(cls) and not hasattr(cls, "states"):
            raise CellDeclarationError(f"{cls.__name__}.states: missing; names the states of the cell")

    def __post_init__(self) -> None:
        check_fields(self)
        check_names(self)
        if type(self)._forward is Cell._forward:
            try_step(self)

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
        workspace = workspace or Workspace()
        dtype = check_params(params, self._param_shapes)
        x = np.asarray(x)
        check_inputs(x, self.input_size, dtype, workspace)
        sizes, batch = self.state_sizes, x.shape[-1]
        if initial is not None:
            check_states("initial", initial, sizes, batch, dtype)
        else:
            zero = np.zeros((1, 1), dtype)
            initial = {name: np.broadcast_to(zero, (size, batch)) for name, size in sizes.items()}
        return self._forward(params, x, initial, workspace)

    @final
    def backward(
        self,
        params: Params,
        tape: CellTape,
        e: Array,
        workspace: Workspace | None = None,
        with_dx: bool = True,
        scaled: bool = False,
    ) -> CellDeltas:
        """Backpropagate the immediate gradients e[t] = ∂ℓ[t]/∂h[t] of the output h through time.

        Args:
            params: Parameters used in the forward pass.
            tape: Tape returned by `forward`.
            e: Immediate gradients at the last S time steps, shape (S, H, B); earlier time steps have no loss.
            workspace: Buffers to reuse; each call overwrites the results of the previous call.
            with_dx: If True, also compute the gradients with respect to the inputs.
            scaled: If True, keep the scale of vanishing gradients; see `CellDeltas`. If False, gradients
                below the range of the data type are 0.

        Raises:
            ValueError: If the shape or dtype of `params` or `e` does not match the tape.
        """
        h = tape.outputs
        check_same_dtype(params, self._param_shapes, h)
        workspace = workspace or Workspace()
        first_loss = tape.time - check_losses(e, h)
        if first_loss:
            e_of_outputs, e = e, workspace.array("e_of_all_steps", h.shape, h.dtype)
            e[:first_loss] = 0
            e[first_loss:] = e_of_outputs
        deltas = self._backward(params, tape, e, first_loss, with_dx, workspace)
        return deltas if scaled else deltas.unscaled()

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
        dtype = check_params(params, self._param_shapes)
        x = np.asarray(x)
        check_step_input(x, self.input_size, dtype)
        sizes, batch = self.state_sizes, x.shape[-1]
        if before is None:
            before = {name: np.zeros((size, batch), dtype) for name, size in sizes.items()}
        check_states("before", before, sizes, batch, dtype)
        after, inner = self._step(params, x, before)
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
        state = tape.before[self.states[0]]
        check_same_dtype(params, self._param_shapes, state)
        of_states = {
            name: value for name, value in adjoint.items() if name != self.output or name in self.states
        }
        check_states("adjoint", of_states, self.state_sizes, state.shape[1], state.dtype)
        deltas = self.adjoint_step(params, tape, adjoint)
        grads, dx = self._step_gradients(params, tape, deltas)
        return StepGradients(grads, dx, deltas)

    # ── parameters ──

    def parameters(self) -> Mapping[str, Parameter]:
        """Return the declarations of the parameters by name, in the order in which they are drawn.

        By default, these are W_xh, W_hh and, with biases, b_h, each with the rows of all `row_gates`.
        """
        return self._matrices_and_bias(self.row_gates, ["W_hh"])

    @final
    def _matrices_and_bias(self, gates: tuple[str, ...], recurrent: Iterable[str]) -> dict[str, Parameter]:
        """Return W_xh, the recurrent matrices and, with biases, b_h; each gate has a block of H rows."""
        X, H, rows = self.input_size, self.hidden_size, max(len(gates), 1) * self.hidden_size
        found = {"W_xh": Parameter(rows, X, "W_xh", gates)}
        found |= {name: Parameter(rows, H, "W_hh", gates) for name in recurrent}
        return found | ({"b_h": Parameter(rows, 1, "b_h", gates)} if self.bias else {})

    @final
    def param_shapes(self) -> dict[str, tuple[int, int]]:
        """Return the shape of each parameter."""
        return dict(self._param_shapes)

    @cached_property
    def _param_shapes(self) -> dict[str, tuple[int, int]]:
        return {name: (p.rows, p.columns) for name, p in self.parameters().items()}

    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw the parameters gate by gate."""
        return draw_parameters(self.parameters(), self.initializers, init, self.hidden_size, rng, dtype)

    # ── properties for measurements ──

    @property
    def gate_names(self) -> tuple[str, ...]:
        """Names of the blocks of rows of the recurrent matrix; a cell without gates has at most one."""
        name = self.recurrent_matrix or self.input_matrix
        return self.parameters()[name].gates if name is not None else ()

    @final
    def rows(self, gate: str) -> slice:
        """Return the slice that selects the rows of a gate in an array with G·H rows."""
        index = self.gate_names.index(gate)
        return slice(index * self.hidden_size, (index + 1) * self.hidden_size)

    @property
    def state_sizes(self) -> dict[str, int]:
        """Number of elements of each state per example; by default, each state has H elements."""
        return dict.fromkeys(self.states, self.hidden_size)

    @property
    def output_size(self) -> int:
        """Number of elements of the output per example."""
        return self.state_sizes.get(self.output, self.hidden_size)

    @final
    def output_of(self, tape: StepTape) -> Array:
        """Return the output of one time step, which the readout reads."""
        return tape.after[self.output] if self.output in self.states else tape.inner[self.output]

    @property
    def activation(self) -> Activation | None:
        """Activation φ if h[t] = φ(W_xh x[t] + W_hh h[t-1] + b_h), otherwise None."""
        return None

    def arrays_per_step(self) -> tuple[int, int]:
        """Return the number of arrays of shape (H, B) per time step after the forward pass and at most."""
        widths = -(-sum(self.state_sizes.values()) // self.hidden_size)
        return 8 * widths, 16 * widths

    @final
    def input_weights(self, params: Params) -> tuple[Array, Array]:
        """Return the matrix that multiplies the inputs, and the bias that is added to the product."""
        assert self.input_matrix is not None
        W = params[self.input_matrix]
        return W, params.get("b_h", np.zeros((len(W), 1), W.dtype))

    @final
    def with_immediate(self, adjoint: States, e: Array) -> dict[str, Array]:
        """Return the state adjoint after addition of the immediate gradient of the output."""
        return {**adjoint, self.output: adjoint[self.output] + e if self.output in adjoint else e}

    def other_operands(self, states: States, inner: Mapping[str, Array]) -> dict[str, Array]:
        """Return, by gate, what its rows of the recurrent matrix multiply instead of the state, (T, H, B)."""
        return {}

    def sigmoid_gates(self, tape: CellTape) -> dict[str, Array]:
        """Return the activations of the gates with values in (0, 1), each of shape (T, H, B), by name."""
        return {}

    def saturated_units(self, tape: CellTape) -> dict[str, Array]:
        """Return Boolean arrays of shape (T, H, B) that mark the saturated units, by the name of a value."""
        return {}

    # ── the equations of one time step ──

    @abstractmethod
    def _step(self, params: Params, x: Array, before: States) -> tuple[States, dict[str, Array]]:
        """Return the new states and the values that the backward pass needs, each of shape (…, B)."""

    @final
    def adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        """Backpropagate λ[t] through one time step as in `step_backward`, but omit the parameter gradients.

        The result is linear in `adjoint`, so a caller may rescale the adjoint between time steps. The adjoint
        of an output that is not a state may be missing and is then 0.
        """
        if self.output not in adjoint:
            adjoint = {**adjoint, self.output: np.zeros_like(self.output_of(tape))}
        return self._adjoint_step(params, tape, adjoint)

    @abstractmethod
    def _adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        """Return the result of `adjoint_step`; `adjoint` contains each state and the output.

        `grads` contains the gradients of the parameters that `step_gradients` cannot derive from `dz` and
        `recurrent`.
        """

    def _step_gradients(
        self, params: Params, tape: StepTape, deltas: StepDeltas
    ) -> tuple[Params, Array | None]:
        """Return the parameter gradients of one time step, and dx (None for symbols)."""
        has_other_operands = type(self).other_operands is not Cell.other_operands
        return step_gradients(self, params, tape, deltas, has_other_operands)

    # ── a sequence, by default one step after another ──

    def _forward(self, params: Params, x: Array, initial: States, workspace: Workspace) -> CellTape:
        return forward_by_steps(self, params, x, initial)

    def _backward(
        self,
        params: Params,
        tape: CellTape,
        e: Array,
        first_loss: int,
        with_dx: bool,
        workspace: Workspace,
        exponents: Array | None = None,
    ) -> CellDeltas:
        """Backpropagate through time; `e` is 0 in the first `first_loss` of the T time steps.

        The binary `exponents` of `e`, shape (T, B), are at most 0; None if all are 0. `e` may be overwritten
        if they are given.
        """
        return backward_by_steps(self, params, tape, e, first_loss, exponents)
