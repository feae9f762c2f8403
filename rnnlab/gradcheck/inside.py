"""Checks of the gradients inside a time step, which only measurements read.

These are the total and immediate gradients of the states and of the pre-activations z in every layer, the
gradients with respect to the product of the recurrent matrix, and the gradient with respect to the inputs of
a single step.

The pre-activations of example b change by v if the input matrix changes by v xᵀ/‖x‖² for this example alone,
and the recurrent product changes likewise with the state that the matrix multiplies.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf, nan

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells import Cell, CellDeltas, CellTape, Layer, Stack, States, StepDeltas, StepTape, layers_of
from rnnlab.diagnostics.norms import immediate_deltas
from rnnlab.engine.weights import is_symbols
from rnnlab.gradcheck.checks import GradientCheck, check_gradients
from rnnlab.gradcheck.replay import Replay
from rnnlab.norms import norm

MAX_EXAMPLES = 3
"""Number of examples for which gradients with respect to products are checked, one example at a time."""

Later = Callable[[States], "float | complex"]
"""Function that returns the loss at all later time steps, given the states."""


def middle_step(time: int) -> int:
    """Return a time step, 1 … T, in the middle of a sequence."""
    return 1 + time // 2 if time > 1 else 1


def check_sequence_inside(
    cell: Cell, params: Params, tape: CellTape, deltas: CellDeltas, e: Array, rng: np.random.Generator
) -> list[GradientCheck]:
    """Check the gradients inside one time step of a sequence, whose loss is Σ_t ⟨e[t], output[t]⟩.

    Total gradients and products are checked at a time step in the middle of the sequence, immediate gradients
    at the last time step before T that has a loss. The immediate gradients are those that `measure_norms`
    records: of the states, those of the backward pass in the top layer, and those of `immediate_deltas` in
    the layers below; of z, those of `immediate_deltas` in all layers.
    """
    t = middle_step(tape.time)

    def later(states: States) -> float | complex:
        if t == tape.time:
            return 0.0
        examples = next(iter(states.values())).shape[1]  # all examples or the first ones
        x = tape.x[t:, ..., :examples]
        x = x if is_symbols(x) else x.astype(_dtype(states))
        value: float | complex = np.sum(
            e[t:, :, :examples] * cell.forward(_cast(params, states), x, states).outputs
        ).item()
        return value

    step = _Step(cell, params, tape.step(t), e[t - 1], {}, later)
    layers = deltas.layers or (deltas,)
    totals = {f"total {name}[{t}]": (name, values[t - 1]) for name, values in deltas.total.items()}
    checks = step.check_states(totals, rng)
    losses = [i for i in range(1, tape.time + 1) if e[i - 1].any()] or [tape.time]
    at = max((i for i in losses if i < tape.time), default=losses[-1])
    of_loss = _Step(cell, params, tape.step(at), e[at - 1], {}, lambda states: 0.0)
    # Of two time steps, so that their arrangement as columns is checked, too; the last columns are of `at`.
    recorded = immediate_deltas(cell, params, tape, e, slice(max(at - 2, deltas.first_loss), at))
    last = slice(-tape.x.shape[-1], None)
    immediate: dict[str, tuple[str, Array]] = {}
    of_z: list[tuple[Layer, Array | None, Array | None]] = []
    for layer, part, own in zip(layers_of(cell), layers, recorded.layers or (recorded,), strict=True):
        for name in layer.cell.states:
            of_state = part.immediate[name][at - 1] if name in part.immediate else own.total[name][:, last]
            immediate[f"immediate {layer.prefix}{name}[{at}]"] = f"{layer.prefix}{name}", of_state
        of_z.append((layer, None if own.dz is None else own.dz[:, last], None))
    checks += of_loss.check_states(immediate, rng)
    checks += of_loss.check_products("immediate ", f"[{at}]", of_z, rng)
    products = [
        (
            layer,
            None if part.dz is None else part.dz[t - 1],
            None if part.recurrent is None else part.recurrent[t - 1],
        )
        for layer, part in zip(layers_of(cell), layers, strict=True)
    ]
    return checks + step.check_products("", f"[{t}]", products, rng)


def check_step_inside(
    cell: Cell, params: Params, step: StepTape, λ: States, deltas: StepDeltas, rng: np.random.Generator
) -> list[GradientCheck]:
    """Check what `adjoint_step` returns beside the gradient with respect to the previous states."""
    e = λ.get(cell.output) if cell.output not in cell.states else None
    one = _Step(cell, params, step, e, {name: λ[name] for name in cell.states}, lambda states: 0.0)
    totals = {f"one step total {name}": (name, value) for name, value in deltas.total.items()}
    checks = one.check_states(totals, rng)
    products = [
        (layer, part.dz, part.recurrent)
        for layer, part in zip(layers_of(cell), deltas.layers or (deltas,), strict=True)
    ]
    checks += one.check_products("one step ", "", products, rng)
    return checks + ([] if deltas.dx is None else one.check_inputs(deltas.dx, rng))


@dataclass(frozen=True)
class _Step:
    """One time step with the loss ⟨e, output⟩ + Σ_s ⟨λ_s, s⟩ + later(states)."""

    cell: Cell
    params: Params
    step: StepTape
    e: Array | None
    λ: States
    later: Later

    def check_states(
        self, gradients: Mapping[str, tuple[str, Array]], rng: np.random.Generator
    ) -> list[GradientCheck]:
        """Check gradients with respect to states, changed where the step computes them."""
        replay = Replay(self.cell, self.params, self.step)
        unknown = [name for name, (state, _) in gradients.items() if state in replay.not_found]
        undecided = [_undecided(name, gradients[name][1]) for name in unknown]
        gradients = {name: pair for name, pair in gradients.items() if name not in unknown}

        def function(at: dict[str, Array]) -> float | complex:
            changes = {gradients[name][0]: value for name, value in at.items()}
            return self._loss(*replay.run(*self._cast(at), changes))

        variables = {name: np.zeros_like(value) for name, (_, value) in gradients.items()}
        analytic = {name: value for name, (_, value) in gradients.items()}
        checks = check_gradients(function, variables, analytic, rng)
        # In a cell with a stabiliser, for example, the output may not depend on a state: all terms cancel.
        terms = max((check.norm for check in checks), default=0.0)
        return [replace(check, terms=terms) for check in checks] + undecided

    def check_inputs(self, dx: Array, rng: np.random.Generator) -> list[GradientCheck]:
        """Check the gradient with respect to the inputs; symbols are checked as one-hot vectors."""

        def function(at: dict[str, Array]) -> float | complex:
            params, _, before = self._cast(at)
            tape = self.cell.step(params, at["one step x"], before)
            return self._loss(tape.after, self.cell.output_of(tape))

        x = self.step.x
        vectors = np.eye(self.cell.input_size)[x].T if is_symbols(x) else x
        return check_gradients(function, {"one step x": vectors}, {"one step x": dx}, rng)

    def check_products(
        self,
        prefix: str,
        suffix: str,
        products: list[tuple[Layer, Array | None, Array | None]],
        rng: np.random.Generator,
    ) -> list[GradientCheck]:
        """Check the gradients with respect to z and to the product of the recurrent matrix of each layer."""
        examples = min(self.step.x.shape[-1], MAX_EXAMPLES)
        operands: dict[str, tuple[str, list[tuple[slice, Array]]]] = {}
        gradients: dict[str, Array] = {}
        inputs = _layer_inputs(self.cell, self.step)
        for layer, dz, recurrent in products:
            cell, states = layer.cell, layer.take(self.step.before)
            if dz is not None and cell.input_matrix is not None:
                name = f"{prefix}{layer.prefix}z{suffix}"
                operands[name] = layer.prefix + cell.input_matrix, [(slice(None), inputs[layer.number - 1])]
                gradients[name] = dz
            if recurrent is not None and cell.recurrent_matrix is not None:
                name = f"{prefix}{layer.prefix}({cell.recurrent_matrix} {cell.recurrent_state}){suffix}"
                others = cell.other_operands(
                    {name: np.stack([value, value]) for name, value in states.items()},
                    {name: value[None] for name, value in layer.take(self.step.inner).items()},
                )
                h = states[cell.recurrent_state]
                of_rows = [
                    (cell.rows(gate), others[gate][0] if gate in others else h) for gate in cell.gate_names
                ]
                of_rows = of_rows or [(slice(None), h)]
                operands[name] = layer.prefix + cell.recurrent_matrix, of_rows
                gradients[name] = recurrent
        kept: dict[str, Array] = {}
        for name, gradient in gradients.items():  # a product with zeros does not change with the matrix
            kept[name] = gradient[:, :examples].copy()
            for rows, operand in operands[name][1]:
                kept[name][rows] *= operand[:, :examples].any(axis=0)

        def function(at: dict[str, Array]) -> float | complex:
            params, x, before = self._cast(at)
            parts = []
            for b in range(examples):
                one, own = slice(b, b + 1), dict(params)
                for name, v in at.items():
                    matrix, of_rows = operands[name]
                    own[matrix] = own[matrix].copy()
                    for rows, operand in of_rows:
                        part = operand[:, one]
                        own[matrix][rows] += v[rows, one] @ part.T / max(np.sum(part * part), 1e-300)
                tape = self.cell.step(own, x[..., one], {name: a[:, one] for name, a in before.items()})
                parts.append((tape.after, self.cell.output_of(tape)))
            after = {name: np.concatenate([part[name] for part, _ in parts], axis=1) for name in before}
            return self._loss(after, np.concatenate([output for _, output in parts], axis=1))

        return check_gradients(function, {name: np.zeros_like(g) for name, g in kept.items()}, kept, rng)

    def _cast(self, at: Mapping[str, Array]) -> tuple[Params, Array, dict[str, Array]]:
        """Return the arguments of the step in the data type of the variables."""
        dtype = _dtype(at)
        x = self.step.x if is_symbols(self.step.x) else self.step.x.astype(dtype)
        return _cast(self.params, at), x, {name: a.astype(dtype) for name, a in self.step.before.items()}

    def _loss(self, after: States, output: Array) -> float | complex:
        """Return the loss of all examples, or of the first ones."""
        examples = output.shape[1]
        value = self.later(after)
        pairs = [(λ, after[name]) for name, λ in self.λ.items()]
        pairs += [] if self.e is None else [(self.e, output)]
        for weights, part in pairs:
            value += np.sum(weights[:, :examples] * part).item()
        return value


def _undecided(name: str, gradient: Array) -> GradientCheck:
    """Return the check of a gradient without a numerical derivative."""
    return GradientCheck(name, gradient.shape, float(norm(gradient)), nan, nan, inf, None)


def _layer_inputs(cell: Cell, step: StepTape) -> list[Array]:
    """Return the inputs of each layer as vectors."""
    x = np.eye(cell.input_size)[step.x].T if is_symbols(step.x) else step.x
    above = list(cell.layer_tapes(step))[1:] if isinstance(cell, Stack) else []
    return [x, *(tape.x for _, tape in above)]


def _dtype(arrays: Mapping[str, Array]) -> np.dtype:
    return next(iter(arrays.values())).dtype


def _cast(params: Params, arrays: Mapping[str, Array]) -> Params:
    return {name: a.astype(_dtype(arrays)) for name, a in params.items()}
