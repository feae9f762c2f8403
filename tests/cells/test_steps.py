"""Comparison of single time steps with a whole sequence, forward and backward."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab.cells import CellDeltas, CellTape
from tests.oracles.cases import (
    BATCH,
    HIDDEN,
    INPUT_KINDS,
    INPUTS,
    build,
    cell_id,
    every_cell,
    recurrent_shares,
)

cells = pytest.mark.parametrize("cell", every_cell(), ids=cell_id)
inputs = pytest.mark.parametrize("inputs", INPUT_KINDS)


def forward_by_steps(cell, params, x, initial) -> CellTape:
    """Return the tape of the sequence, computed by one step for each x[t]."""
    steps, states = [], initial
    for x_t in x:
        steps.append(cell.step(params, x_t, states))
        states = steps[-1].after
    all_states = [initial, *(step.after for step in steps)]
    return CellTape(
        x,
        {name: np.stack([states[name] for states in all_states]) for name in cell.states},
        {name: np.stack([step.inner[name] for step in steps]) for name in steps[0].inner},
        cell.output,
    )


def backward_by_steps(cell, params, tape, e) -> CellDeltas:
    """Run textbook BPTT: propagate the state adjoint step by step and sum the parameters' gradients."""
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    back = {name: np.zeros_like(values[0]) for name, values in tape.states.items()}
    steps, gradients = [], []
    for t in range(tape.time, 0, -1):
        adjoint = cell.with_immediate(back, e[t - 1])
        steps.insert(0, cell.step_backward(params, tape.step(t), adjoint))
        back = steps[0].deltas.before
        gradients.insert(0, (steps[0].deltas.total, adjoint))
        for name, grad in steps[0].grads.items():
            grads[name] += grad
    total, adjoints = (
        {name: np.stack([step[name] for step in each]) for name in cell.states}
        for each in zip(*gradients, strict=True)
    )
    dx = None if steps[0].dx is None else np.stack([step.dx for step in steps])
    dz, recurrent = (np.stack([getattr(step.deltas, name) for step in steps]) for name in ("dz", "recurrent"))
    return CellDeltas(grads, total, adjoints, {}, dz, (recurrent,), dx, back, 0)


def arrays_of(tape: CellTape, deltas: CellDeltas) -> dict[str, np.ndarray]:
    found = {
        f"{group} {name}": value
        for group in ("states", "inner")
        for name, value in getattr(tape, group).items()
    }
    found |= {
        f"{group} {name}": value
        for group in ("grads", "total", "initial")
        for name, value in getattr(deltas, group).items()
    }
    return found | {"dz": deltas.dz} | ({} if deltas.dx is None else {"dx": deltas.dx})


def assert_steps_equal_the_sequence(cell, params, x, initial, e, rtol):
    tape = cell.forward(params, x, initial)
    expected = arrays_of(tape, cell.backward(params, tape, e))
    by_steps = forward_by_steps(cell, params, x, initial)
    actual = arrays_of(by_steps, backward_by_steps(cell, params, by_steps, e))
    assert set(actual) == set(expected)
    for name, value in expected.items():
        assert actual[name].dtype == value.dtype == params["W_hh"].dtype
        np.testing.assert_allclose(actual[name], value, rtol=rtol, atol=rtol / 100, err_msg=name)


@cells
@inputs
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-4)])
def test_steps_equal_the_sequence(cell, inputs, dtype, rtol):
    case = build(cell, inputs=inputs, dtype=dtype)
    e = np.random.default_rng(1).standard_normal((len(case.batch.x), HIDDEN, BATCH)).astype(dtype)
    cell_params = {name: case.params[name] for name in cell.param_shapes()}
    assert_steps_equal_the_sequence(cell, cell_params, case.batch.x, case.initial, e, rtol)


@settings(max_examples=50)
@given(data=st.data())
def test_steps_equal_the_sequence_at_any_size(data):
    cell = data.draw(st.sampled_from(every_cell()))
    time, batch = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    case = build(cell, inputs=data.draw(st.sampled_from(INPUT_KINDS)), time=time, batch=batch)
    e = np.random.default_rng(1).standard_normal((time, HIDDEN, batch))
    cell_params = {name: case.params[name] for name in cell.param_shapes()}
    assert_steps_equal_the_sequence(cell, cell_params, case.batch.x, case.initial, e, 1e-12)


@cells
def test_a_step_without_initial_state_starts_at_zero(cell):
    case = build(cell, inputs="vectors")
    zeros = {name: np.zeros((HIDDEN, BATCH)) for name in cell.states}
    step = cell.step(case.params, case.batch.x[0])
    for name, value in cell.step(case.params, case.batch.x[0], zeros).after.items():
        np.testing.assert_array_equal(step.after[name], value)


@cells
@inputs
def test_the_recurrent_deltas_give_the_recurrent_gradient(cell, inputs):
    case = build(cell, inputs=inputs)
    tape = case.forward()
    grads, deltas = case.model.backward(case.params, tape)
    recurrent = deltas.recurrent
    expected = recurrent_shares(cell, tape.cell, recurrent).sum(axis=(0, 3))
    np.testing.assert_allclose(expected, grads["W_hh"], rtol=1e-12)


# Array layouts: Fortran order, not contiguous, read-only.


def by_columns(a):
    return np.asfortranarray(a)


def not_contiguous(a):
    return np.repeat(a, 2, axis=-1)[..., ::2]


def read_only(a):
    copy = a.copy()
    copy.flags.writeable = False
    return copy


@cells
@inputs
@pytest.mark.parametrize("layout", [by_columns, not_contiguous, read_only])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_of_any_memory_layout_are_accepted(cell, inputs, layout, dtype):
    case = build(cell, inputs=inputs, dtype=dtype)
    e = np.random.default_rng(1).standard_normal((len(case.batch.x), HIDDEN, BATCH)).astype(dtype)
    params = {name: case.params[name] for name in cell.param_shapes()}

    def everything(change):
        changed = {name: change(value) for name, value in params.items()}
        initial = {name: change(value) for name, value in case.initial.items()}
        tape = cell.forward(changed, change(case.batch.x), initial)
        found = arrays_of(tape, cell.backward(changed, tape, change(e)))
        step = cell.step(changed, change(case.batch.x)[0], initial)
        back = cell.step_backward(changed, step, initial)
        return found | {f"step {name}": grad for name, grad in back.grads.items()} | dict(back.deltas.before)

    expected, actual = everything(lambda a: a), everything(layout)
    assert set(actual) == set(expected)
    for name, value in expected.items():
        tolerance = 1e-5 if dtype == np.float32 else 1e-13
        np.testing.assert_allclose(actual[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


@cells
def test_a_backward_pass_does_not_change_its_arguments(cell):
    case = build(cell, inputs="vectors")
    e = np.random.default_rng(1).standard_normal((len(case.batch.x), HIDDEN, BATCH))
    before = e.copy()
    cell.backward(case.params, cell.forward(case.params, case.batch.x, case.initial), e)
    np.testing.assert_array_equal(e, before)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((INPUTS + 1, BATCH)), "(7, 3)"),
        (np.zeros((1, INPUTS, BATCH)), "(1, 6, 3)"),
        (np.zeros(BATCH), "(3,)"),
    ],
)
@cells
def test_a_step_reports_errors_in_its_input(cell, x, message):
    with pytest.raises(ValueError) as refused:
        cell.step(build(cell).params, x)
    assert str(refused.value) == (
        "x: expected integer symbols of shape (batch,) or float64 vectors of shape (6, batch), "
        f"got float64 of shape {message}"
    )


@cells
def test_a_step_reports_errors_in_its_states(cell):
    case = build(cell, inputs="vectors")
    x, wrong = case.batch.x[0], {name: np.zeros((HIDDEN, 1)) for name in cell.states}
    with pytest.raises(ValueError, match=r"before\['h'\]: expected float64 of shape \(4, 3\), got float64"):
        cell.step(case.params, x, wrong)
    with pytest.raises(ValueError, match=r"adjoint\['h'\]: expected float64 of shape \(4, 3\), got float64"):
        cell.step_backward(case.params, cell.step(case.params, x), wrong)


@cells
def test_symbols_out_of_range_are_refused(cell):
    with pytest.raises(ValueError, match=r"x: symbols must be in \[0, 6\), got values from 0 to 6"):
        cell.step(build(cell).params, np.array([0, 6]))


@cells
def test_wrong_parameters_are_refused(cell):
    case = build(cell, inputs="vectors")
    x = case.batch.x
    names = list(cell.param_shapes())
    for name in names:
        rest = {other: case.params[other] for other in names if other != name}
        for call in (cell.forward, lambda params, x: cell.step(params, x[0])):
            with pytest.raises(
                ValueError, match=f"params: expected {', '.join(names)}, got {', '.join(rest)}"
            ):
                call(rest, x)
            with pytest.raises(ValueError, match=r"params\['\w+'\]: expected float64 of shape "):
                call(case.params | {name: case.params[name][:-1]}, x)
    whole = {name: np.zeros(shape, int) for name, shape in cell.param_shapes().items()}
    with pytest.raises(ValueError, match=r"params\['W_xh'\]: expected float32 or float64, got int64"):
        cell.forward(whole, x)
    mixed = case.params | {"W_xh": case.params["W_xh"].astype(np.float32)}
    with pytest.raises(ValueError, match=r"params\['W_xh'\]: expected float64 of shape .*, got float32"):
        cell.forward(mixed, x)
