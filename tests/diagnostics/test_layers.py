"""Measurements of stacked layers against adjoints computed one time step after another."""

import numpy as np
import pytest

from rnnlab.cells import GRU, LSTM, Stack, Vanilla
from rnnlab.diagnostics import (
    ln_lag_curves,
    measure_contributions,
    measure_gates,
    measure_lag_curves,
    measure_norms,
    measure_parameters,
    measure_spectrum,
    measure_theory,
    measure_units,
)
from rnnlab.norms import norm
from tests.oracles.cases import HIDDEN, INPUTS, build
from tests.oracles.snapshots import snapshot_of

STACKS = [
    Stack.of(
        [LSTM(INPUTS, HIDDEN, "tanh", 1.0, bias=True), LSTM(HIDDEN, HIDDEN, "tanh", 1.0, bias=True)], False
    ),
    Stack.of(
        [GRU(INPUTS, HIDDEN, bias=True, reset_after=True), GRU(HIDDEN, HIDDEN, bias=True, reset_after=True)],
        True,
    ),
    Stack.of(
        [Vanilla(INPUTS, HIDDEN, "tanh", bias=True), *[Vanilla(HIDDEN, HIDDEN, "tanh", bias=True)] * 2], True
    ),
]
stacks = pytest.mark.parametrize("stack", STACKS, ids=("lstm", "gru residual", "rnn residual"))


def by_key(readings):
    return {(curve.quantity, curve.layer): curve for curve in readings.curves}


def adjoints(case, tape, e):
    """Return the total gradients and the state adjoints, one array (T, H, B) per state, by single steps."""
    cell = case.model.cell
    λ = {name: np.zeros((size, e.shape[2])) for name, size in cell.state_sizes.items()}
    totals, own = [], []
    for t in range(tape.time, 0, -1):
        adjoint = cell.with_immediate(λ, e[t - 1])
        deltas = cell.adjoint_step(case.params, tape.step(t), adjoint)
        totals.insert(0, deltas.total)
        own.insert(0, adjoint)
        λ = deltas.before
    return (
        {name: np.stack([step[name] for step in steps]) for name in cell.states} for steps in (totals, own)
    )


@stacks
@pytest.mark.parametrize("mask", ["every step", "last step"])
def test_norms_of_each_layer(stack, mask):
    case = build(stack, mask=mask)
    snapshot = snapshot_of(case)
    found = by_key(measure_norms(snapshot))
    tape, batch = snapshot.tape.cell, case.batch.size
    _, deltas = case.model.backward(case.params, case.forward())
    e = deltas.immediate[stack.output]
    totals, own = adjoints(case, tape, e)

    def mean_of(arrays):
        squares = sum(np.square(batch * norm(array, axis=1)) for array in arrays)
        return np.sqrt(squares).mean(axis=1)

    for layer in stack.layers:
        for name in layer.cell.states:
            right = mean_of([totals[layer.prefix + name]])
            np.testing.assert_allclose(found[name, layer.number].mean, right, rtol=1e-9, atol=1e-13)
        right = mean_of([own[layer.prefix + name] for name in layer.cell.states])
        np.testing.assert_allclose(found["state", layer.number].mean, right, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(found["state", 0].mean, mean_of(own.values()), rtol=1e-9, atol=1e-13)


@stacks
@pytest.mark.parametrize("inputs", ["symbols", "vectors"])
def test_immediate_gradients_of_each_layer_are_those_of_a_loss_at_one_time_step(stack, inputs):
    case = build(stack, mask="middle steps", inputs=inputs)
    snapshot = snapshot_of(case)
    found = by_key(measure_norms(snapshot))
    tape, e = snapshot.tape.cell, snapshot.deltas.immediate[stack.output].copy()
    quantities = (*stack.cells[0].states, "z", "x")
    right = {
        (name, layer.number): np.zeros((len(e), case.batch.size))
        for name in quantities
        for layer in stack.layers
    }
    for t in range(len(e)):
        alone = np.zeros_like(e)
        alone[t] = e[t]
        deltas = stack.backward(case.params, tape, alone)
        for layer, own in zip(stack.layers, deltas.layers, strict=True):
            own = own.unscaled()
            arrays = {**own.total, "z": own.dz, "x": case.params[f"{layer.prefix}W_xh"].T @ own.dz}
            for name, a in arrays.items():
                right[name, layer.number][t] = case.batch.size * norm(a[t], axis=0)
    for (name, layer), norms in right.items():
        curve = found[f"{name}_immediate", layer]
        np.testing.assert_allclose(
            curve.mean, norms.mean(axis=1), rtol=1e-9, atol=1e-15, err_msg=f"{name} {layer}"
        )
        np.testing.assert_array_equal(curve.zero_fraction, (norms == 0).mean(axis=1))


@stacks
def test_contributions_add_up_to_the_gradient_of_each_layer(stack):
    case = build(stack, batch=1)
    snapshot = snapshot_of(case)
    found = by_key(measure_contributions(snapshot))
    _, deltas = case.model.backward(case.params, case.forward())
    for layer, own in zip(stack.layers, deltas.layers, strict=True):
        h = snapshot.tape.cell.layers[layer.number - 1].states["h"][:-1]
        parts = np.stack([a @ b.T for a, b in zip(own.recurrent, h, strict=True)])
        np.testing.assert_allclose(
            parts.sum(axis=0), deltas.grads[layer.prefix + "W_hh"], rtol=1e-12, atol=1e-15
        )
        right = np.sqrt(np.square(parts).sum(axis=(1, 2)))
        np.testing.assert_allclose(found["dW_hh", layer.number].mean, right, rtol=1e-9, atol=1e-13)


@stacks
def test_weights_and_gates_of_each_layer(stack):
    case = build(stack)
    snapshot = snapshot_of(case)
    norms, spectrum = measure_parameters(snapshot).metrics, measure_spectrum(snapshot).metrics
    gates = by_key(measure_gates(snapshot))
    for layer in stack.layers:
        W = case.params[f"{layer.prefix}W_hh"]
        assert norms[f"weight_norm/{layer.prefix}W_hh"] == pytest.approx(np.linalg.norm(W))
        first = layer.cell.gate_names[0] if len(layer.cell.gate_names) > 1 else None
        suffix = f".{first}" if first else ""
        block = W[:HIDDEN]
        key = f"weights/{layer.prefix}spectral_norm{suffix}"
        assert spectrum[key] == pytest.approx(np.linalg.norm(block, 2)), spectrum
        if first:
            assert norms[f"weight_norm/{layer.prefix}W_hh.{first}"] == pytest.approx(np.linalg.norm(block))
        for gate, values in layer.cell.sigmoid_gates(snapshot.tape.cell.layers[layer.number - 1]).items():
            right = values.mean(axis=(1, 2))
            np.testing.assert_allclose(gates[f"gate_{gate}", layer.number].mean, right, rtol=1e-12)


def test_the_theory_of_an_upper_layer_reads_the_outputs_of_the_layer_below():
    stack = STACKS[2]
    case = build(stack)
    metrics = measure_theory(snapshot_of(case)).metrics
    tape = case.model.forward(case.params, snapshot_of(case).inputs.batch).cell
    for layer, own in zip(stack.layers[1:], tape.layers[1:], strict=True):
        z = case.params[f"{layer.prefix}W_xh"] @ own.x + case.params[f"{layer.prefix}b_h"]
        assert metrics[f"theory/{layer.prefix}sigma_x"] == pytest.approx(np.sqrt(np.mean(z * z)))


def test_lag_curves_of_all_layers_together_have_layer_0():
    case = build(STACKS[0])
    found = by_key(measure_lag_curves(snapshot_of(case), targets=("last",)))
    one = ln_lag_curves(case.model, case.params, snapshot_of(case).inputs.batch, rng=None)
    whole = np.exp(one["state"]).mean(axis=1)
    np.testing.assert_allclose(found["state", 0].mean, whole, rtol=1e-9)
    assert ("x", 1) in found and ("x", 2) not in found and ("dW_hh", 2) in found


def test_gradients_by_unit_have_the_norm_of_the_layer():
    snapshot = snapshot_of(build(STACKS[0], batch=1))
    norms, units = by_key(measure_norms(snapshot)), measure_units(snapshot).curves
    assert len(units) == 2 * HIDDEN and {curve.quantity for curve in units} == {"h_by_unit"}
    for layer in (1, 2):
        own = [curve for curve in units if curve.layer == layer]
        assert [curve.unit for curve in own] == list(range(1, HIDDEN + 1))
        whole = np.sqrt(sum(curve.mean**2 for curve in own))
        np.testing.assert_allclose(whole, norms["h", layer].mean, rtol=1e-9)
