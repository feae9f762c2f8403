"""Cells that state their equations once, as functions of the elements of gates, states and adjoints.

    z_k[t] = W_xk x[t] + Σ_s W_sk s[t-1] + b_k        y_k = φ_k(z_k)        for each gate k
    states, saved = step_equations(y_1 …, x_k and a_k of each split gate, previous states, vectors)

A *split* gate has no activation of its own: the equations get x_k = W_xk x[t] + b_k and a_k = Σ_s W_sk
s[t-1] + b_sk. The adjoint equations are the derivative of the step equations alone. The slopes φ', the
matrix products, the sums over time and the loop belong to this package.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells.base import Cell
from rnnlab.cells.parameter import Parameter
from rnnlab.engine.activations import SIGMOID, SPLIT, Activation
from rnnlab.engine.backward_loop import BackwardLoop
from rnnlab.engine.declarations import check_declarations
from rnnlab.engine.forward_loop import ForwardLoop
from rnnlab.engine.tapes import CellDeltas, CellTape, States, StepDeltas, StepTape
from rnnlab.engine.trace import as_tuple, trace_adjoint, trace_step
from rnnlab.engine.weights import input_product, step_input_gradients
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
        H, gates = self.hidden_size, tuple(self.gates)
        names = gates if len(gates) > 1 else ()
        rows = len(gates) * H
        found = {"W_xh": Parameter(rows, self.input_size, "W_xh", names)}
        found |= {name: Parameter(rows, H, "W_hh", names) for name in self.recurrent}
        if self.bias:
            found["b_h"] = Parameter(rows, 1, "b_h", names)
            found |= {name: Parameter(H, 1, "b_h") for name in self.split_biases}
        return found | {name: Parameter(H, 1, "b_h") for name in self.vectors}

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
        """Return the number of arrays of shape (H, B) per time step after the forward pass and at most.

        The backward pass adds the adjoints, the blocks of dz, the totals and their immediate gradients, the
        coefficients that do not share the arrays of their results, and a mask of the losses.
        """
        split, plan = len(self.split), self._forward_loop.plan
        gates = 0 if plan.gate_is_state else len(self.gates) + split
        saved = len(self.saved) - len(plan.shared)
        forward = gates + len(self.states) + saved
        blocks = {f"d {part}" for gate in self.split for part in (f"a {gate}", f"x {gate}")}
        blocks |= {f"d {gate}" for gate in self.summed}
        coefficients = [name for name in self._backward_loop.plan.coefficients.outputs if name not in blocks]
        backward = (
            len(self.states) + len(blocks) + 2 * len(self.totals) + len(coefficients) + len(self.vectors)
        )
        return forward, forward + backward + 1

    def joined_states(self) -> dict[str, slice]:
        """Return the rows, in the joined array, of the states that the recurrent matrices multiply."""
        H = self.hidden_size
        return {state: slice(i * H, (i + 1) * H) for i, state in enumerate(self.recurrent.values())}

    def gates_of(self, inner: Mapping[str, Array], state: Array) -> Array:
        """Return the activated gates; if the only gate is the state, the tape contains no separate array."""
        return state if self._forward_loop.plan.gate_is_state else inner.get("gates", state[..., :0, :])

    # ── one time step ──

    def _step(self, params: Params, x: Array, before: States) -> tuple[States, dict[str, Array]]:
        inputs = input_product(params["W_xh"], x)
        if self.bias:
            inputs = inputs + params["b_h"]
        products = np.zeros_like(inputs)
        for matrix, state in self.recurrent.items():
            products = products + params[matrix] @ before[state]
        gates = {
            name: activation.apply(inputs[self.rows(name)] + products[self.rows(name)])
            for name, activation in self.gates.items()
            if activation is not SPLIT
        }
        pairs = {}
        for name in self.split:
            a = products[self.rows(name)]
            pairs[name] = inputs[self.rows(name)], a + (params[f"b_h{name}"] if self.split_biases else 0)
        results = self.step_equations(
            *gates.values(),
            *(part for pair in pairs.values() for part in pair),
            *(before[name] for name in self.carried),
            *(params[name] for name in self.vectors),
        )
        named = dict(zip((*self.states, *self.saved), as_tuple(results), strict=True))
        inner = {name: named[name] for name in self.saved}
        if gates and not self._forward_loop.plan.gate_is_state:
            inner["gates"] = np.concatenate(list(gates.values()))
        inner |= {f"a_{name}": pair[1] for name, pair in pairs.items()}
        return {name: named[name] for name in self.states}, inner

    def _adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        H, inner = self.hidden_size, tape.inner
        active = self.gates_of(inner, tape.after[self.states[0]])
        gates = {name: active[i * H : (i + 1) * H] for i, name in enumerate(self.summed)}
        outputs = [] if self.output in self.states else [adjoint[self.output]]
        results = as_tuple(
            self.adjoint_equations(
                *(adjoint[name] for name in self.states),
                *outputs,
                *gates.values(),
                *(inner[f"a_{name}"] for name in self.split),
                *(tape.before[name] for name in self.carried),
                *(params[name] for name in self.vectors),
                *(inner[name] for name in self.saved),
            )
        )
        take = iter(results)
        totals = {name: next(take) for name in self.totals}
        blocks = {}
        for name, y in gates.items():
            slope = self.gates[name].slope
            blocks[name] = next(take) if slope is None else next(take) * slope(y)
        pairs = {name: (next(take), next(take)) for name in self.split}
        dz = np.concatenate([*blocks.values(), *(pair[0] for pair in pairs.values())])
        recurrent = np.concatenate([*blocks.values(), *(pair[1] for pair in pairs.values())]) if pairs else dz
        before = {name: params[matrix].T @ recurrent for matrix, name in self.recurrent.items()}
        for name in self.carried:
            direct = next(take)
            before[name] = before[name] + direct if name in before else direct
        per_unit = {name: next(take) for name in self.vectors}
        total = {name: totals.get(name, adjoint[name]) for name in self.states}
        before |= {name: np.zeros_like(adjoint[name]) for name in self.states if name not in before}
        return StepDeltas(total, {name: before[name] for name in self.states}, dz, recurrent, grads=per_unit)

    def _step_gradients(
        self, params: Params, tape: StepTape, deltas: StepDeltas
    ) -> tuple[Params, Array | None]:
        dz, recurrent = deltas.dz, deltas.recurrent
        assert dz is not None and recurrent is not None and deltas.grads is not None
        grads, dx = step_input_gradients(params, tape.x, dz)
        grads |= {matrix: recurrent @ tape.before[name].T for matrix, name in self.recurrent.items()}
        for bias, name in zip(self.split_biases, self.split, strict=False):
            grads[bias] = recurrent[self.rows(name)].sum(axis=1, keepdims=True)
        return grads | {name: a.sum(axis=1, keepdims=True) for name, a in deltas.grads.items()}, dx

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
