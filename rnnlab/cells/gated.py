"""Cells that state their equations once, as functions of the elements of gates, states and adjoints.

    z_k[t] = W_xk x[t] + Σ_s W_sk s[t-1] + b_k        y_k = φ_k(z_k)        for each gate k
    states, saved = step_equations(y_1 …, x_k and a_k of each split gate, previous states, vectors)

A *split* gate has no activation of its own: the equations get x_k = W_xk x[t] + b_k and a_k = Σ_s W_sk
s[t-1] + b_sk. The adjoint equations are the derivative of the step equations alone. The slopes φ', the
matrix products, the sums over time and the loop belong to `rnnlab.engine`.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from rnnlab.arrays import Array, Params
from rnnlab.cells.base import Cell
from rnnlab.engine.activations import SIGMOID, SPLIT, Activation
from rnnlab.engine.backward_loop import BackwardLoop
from rnnlab.engine.declarations import check_declarations
from rnnlab.engine.forward_loop import ForwardLoop
from rnnlab.engine.gated_steps import gated_adjoint_step, gated_step
from rnnlab.engine.tapes import CellDeltas, CellTape, States, StepDeltas, StepTape
from rnnlab.engine.trace import trace_adjoint, trace_step
from rnnlab.initializers import Parameter
from rnnlab.workspace import Workspace


@dataclass(frozen=True)
class GatedCell(Cell):
    """A cell whose equations act element by element on gates and states.

    A subclass declares `states`, `gates`, `step_equations` and `adjoint_equations`, and whatever else
    applies:

    - `step_equations` takes the gates, x_k and a_k of each split gate, the previous values of the `carried`
      states, and the `vectors`. It returns the new states and the `saved` values.
    - `adjoint_equations` takes the adjoints of the states, the gates, a_k of each split gate, the previous
      values of the `carried` states, the `vectors`, and the `saved` values. It returns the total gradients of
      the states in `totals`, and the gradients with respect to the gates, to x_k and a_k of each split gate,
      to the previous values of the `carried` states, and to the `vectors`. It is linear in the adjoints.

    Both are called with arrays of shape (H, B), or (H, 1) for vectors, and with symbols, so they may only use
    arithmetic and the functions of `rnnlab.cells`: `tanh`, `sigmoid`, `relu`, `positive`, `exp`, `log`,
    `log1p`, `sqrt`, `sin`, `cos`, `absolute`, `maximum` and `softplus`.

    A gate to whose pre-activation the equations add a term, such as a peephole, has the activation IDENTITY:
    the equations get z_k and activate the sum. A split gate is for equations that treat x_k and a_k
    differently, such as those of a GRU.
    """

    carried: ClassVar[tuple[str, ...]] = ()
    """States whose previous values enter the equations themselves, not only through a matrix."""
    saved: ClassVar[tuple[str, ...]] = ()
    """Values of the step equations that the adjoint equations need, and that measurements may read."""
    saved_gates: ClassVar[tuple[str, ...]] = ()
    """Saved values that are gates with values in (0, 1), activated by the equations."""
    totals: ClassVar[tuple[str, ...]] = ()
    """States that act on another state, or on an output that is not a state, within the time step.

    Their total gradient is not their adjoint, so the adjoint equations return it.
    """
    recurrent: ClassVar[Mapping[str, str]] = {"W_hh": "h"}
    """State that each recurrent matrix multiplies, by the name of the matrix."""
    vectors: ClassVar[tuple[str, ...]] = ()
    """Parameters with one element per unit, drawn with `init.b_h` or as `initializers` declares."""

    @property
    @abstractmethod
    def gates(self) -> Mapping[str, Activation]:
        """Activation of each gate, in the order of the rows of the matrices; split gates come last."""

    @abstractmethod
    def step_equations(self, *values: Any, **keys: Any) -> tuple[Any, ...]:
        """Return the new states and the saved values."""

    @abstractmethod
    def adjoint_equations(self, *values: Any, **keys: Any) -> tuple[Any, ...]:
        """Return the gradients with respect to the arguments of the step equations; see the class."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_declarations(self)
        trace_step(self)
        trace_adjoint(self)

    # ── declarations in other forms ──

    @cached_property
    def summed(self) -> tuple[str, ...]:
        """Names of the gates with an activation."""
        return tuple(name for name, activation in self.gates.items() if activation is not SPLIT)

    @cached_property
    def split(self) -> tuple[str, ...]:
        """Names of the split gates."""
        return tuple(name for name, activation in self.gates.items() if activation is SPLIT)

    @cached_property
    def split_biases(self) -> tuple[str, ...]:
        """Names of the biases added to the products of the split gates; () as a declaration for none."""
        return tuple(f"b_h{gate}" for gate in self.split) if self.bias and self.recurrent else ()

    def parameters(self) -> dict[str, Parameter]:
        """Return the declarations of the matrices, biases and vectors."""
        names = tuple(self.gates) if len(self.gates) > 1 else ()
        found = self._matrices_and_bias(names, self.recurrent)
        alone = (*self.split_biases, *self.vectors)
        return found | {name: Parameter(self.hidden_size, 1, "b_h") for name in alone}

    def sigmoid_gates(self, tape: CellTape) -> dict[str, Array]:
        """Return the activations of the sigmoid gates, each of shape (T, H, B), by name."""
        names = [name for name in self.summed if self.gates[name] is SIGMOID]
        found = {name: tape.inner["gates"][:, self.rows(name)] for name in names}
        return found | {name: tape.inner[name] for name in self.saved_gates}

    @cached_property
    def gate_names(self) -> tuple[str, ...]:
        """Names of the gates, in the order of the rows."""
        return tuple(self.gates)

    def arrays_per_step(self) -> tuple[int, int]:
        """Return the number of arrays of shape (H, B) per time step after the forward pass and at most."""
        forward = self._forward_loop.arrays_per_step()
        return forward, forward + self._backward_loop.arrays_per_step()

    # ── one time step ──

    def _step(self, params: Params, x: Array, before: States) -> tuple[States, dict[str, Array]]:
        return gated_step(self, self._forward_loop.plan, params, x, before)

    def _adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        return gated_adjoint_step(self, self._backward_loop.plan, params, tape, adjoint)

    # ── a sequence ──

    def _forward(self, params: Params, x: Array, initial: States, workspace: Workspace) -> CellTape:
        return self._forward_loop.run(params, x, initial, workspace)

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
        return self._backward_loop.run(params, tape, e, first_loss, with_dx, workspace, exponents)

    @cached_property
    def _forward_loop(self) -> ForwardLoop:
        return ForwardLoop(self)

    @cached_property
    def _backward_loop(self) -> BackwardLoop:
        return BackwardLoop(self)
