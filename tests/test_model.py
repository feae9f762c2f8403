from dataclasses import replace

import numpy as np
import pytest

from rnnlab.arrays import copy_params
from rnnlab.model import Batch
from rnnlab.workspace import Workspace
from tests.oracles.cases import (
    BATCH,
    GATED,
    INPUT_KINDS,
    MASKS,
    OUTPUTS,
    REDUCTIONS,
    TANH,
    TIME,
    build,
    cell_id,
    every_cell,
    example,
    with_mask,
)

cells = pytest.mark.parametrize("cell", every_cell(), ids=cell_id)


def everything(case, workspace=None):
    """Return copies of all results of a forward and a backward pass, by name."""
    tape = case.model.forward(case.params, case.batch, case.initial, workspace)
    grads, deltas = case.model.backward(case.params, tape, workspace)
    found = {"loss": np.array(tape.loss), "losses": tape.losses, "weights": tape.weights, "dz": deltas.dz}
    found |= {"d_outputs": tape.d_outputs, "outputs": tape.outputs, "features": tape.features} | grads
    for group in (tape.cell.states, tape.cell.inner):
        found |= {f"tape {name}": value for name, value in group.items()}
    for kind in ("total", "immediate", "initial"):
        found |= {f"{kind} {name}": value for name, value in getattr(deltas, kind).items()}
    if deltas.dx is not None:
        found["dx"] = deltas.dx
    return {name: value.copy() for name, value in found.items()}


def assert_same(actual, expected):
    assert set(actual) == set(expected)
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)


@cells
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_loss_is_the_mean_over_examples_of_each_examples_own(cell, reduction, mask):
    case = build(cell, reduction, mask)
    alone = [example(case, b).forward().loss for b in range(BATCH)]
    assert case.forward().loss == pytest.approx(np.mean(alone), rel=1e-13)


@cells
@pytest.mark.parametrize("inputs", INPUT_KINDS)
def test_a_batch_of_one_equals_its_column_in_a_batch_of_many(cell, inputs):
    case = build(cell, mask="middle steps", inputs=inputs)
    together = everything(case)
    for b in range(BATCH):
        alone = everything(example(case, b))
        for name in together:
            if name.startswith(("total", "immediate", "dz", "dx", "initial")):
                _close(alone[name][..., 0], BATCH * together[name][..., b], name)
            if name.startswith("tape"):
                _close(alone[name][..., 0], together[name][..., b], name)


@cells
def test_symbols_are_one_hot_vectors(cell):
    case = build(cell)
    vectors = np.ascontiguousarray(np.eye(cell.input_size)[case.batch.x].transpose(0, 2, 1))
    symbols = everything(case)
    onehot = everything(replace(case, batch=replace(case.batch, x=vectors)))
    del onehot["dx"]
    assert set(symbols) == set(onehot)
    for name in symbols:
        _close(symbols[name], onehot[name], name)


@cells
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32])
def test_symbols_may_be_any_integers(cell, dtype):
    case = build(cell)
    batch = Batch(case.batch.x.astype(dtype), case.batch.y.astype(dtype))
    assert_same(everything(replace(case, batch=batch)), everything(case))


@cells
def test_without_an_initial_state_it_is_zero(cell):
    case = build(cell)
    zeros = {name: np.zeros_like(state) for name, state in case.initial.items()}
    assert_same(everything(replace(case, initial=None)), everything(replace(case, initial=zeros)))


@cells
def test_chunks_with_carried_state_equal_one_sequence(cell):
    case = build(cell)
    x, y = case.batch.x, case.batch.y
    whole = case.forward()
    first = case.model.forward(case.params, Batch(x[:2], y[:2]), case.initial)
    second = case.model.forward(case.params, Batch(x[2:], y[2:]), first.cell.final_states())
    _close(np.concatenate([first.losses, second.losses]), whole.losses, "losses")


@cells
@pytest.mark.parametrize("inputs", INPUT_KINDS)
def test_float32_stays_float32_and_agrees_with_float64(cell, inputs):
    single = everything(build(cell, inputs=inputs, dtype=np.float32))
    double = everything(build(cell, inputs=inputs, dtype=np.float64))
    for name, value in single.items():
        assert value.dtype == (np.float64 if name in ("loss", "weights") else np.float32), name
        np.testing.assert_allclose(value, double[name], rtol=1e-3, atol=1e-5, err_msg=name)


@cells
def test_backward_twice_gives_the_same(cell):
    case, workspace = build(cell, inputs="vectors"), Workspace()
    tape = case.model.forward(case.params, case.batch, case.initial, workspace)
    first, second = (
        {name: grad.copy() for name, grad in case.model.backward(case.params, tape, workspace)[0].items()}
        for _ in range(2)
    )
    assert_same(second, first)


@cells
def test_no_argument_is_changed(cell):
    case = build(cell, inputs="vectors")
    before = {name: value.copy() for name, value in case.variables().items()}
    everything(case)
    assert_same(case.variables(), before)


def test_a_shared_workspace_changes_no_result():
    """Different cells, kinds of input, sizes and dtypes use one workspace in turn, each more than once."""
    workspace = Workspace()
    cases = [
        build(cell, inputs=inputs, time=time, batch=batch, dtype=dtype)
        for cell in every_cell()
        for inputs in INPUT_KINDS
        for time, batch, dtype in (
            (5, 3, np.float64),
            (5, 3, np.float32),
            (3, 5, np.float64),
            (5, 3, np.float64),
        )
    ]
    for case in cases:
        fresh = everything(case)
        assert_same(everything(case, workspace), fresh)
        assert_same(everything(case, workspace), fresh)


def test_final_states_survive_the_next_call_with_the_workspace():
    case, workspace = build(GATED), Workspace()
    tape = case.model.forward(case.params, case.batch, case.initial, workspace)
    kept = tape.cell.final_states()
    expected = {name: state.copy() for name, state in kept.items()}
    case.model.forward(case.params, case.batch, None, workspace)
    assert_same(kept, expected)


def test_an_infinite_loss_at_a_step_without_target_is_left_out():
    case = build(TANH, mask="middle steps")
    case.params["b_y"][:2, 0] = 1e308, -1e308
    case.batch.y[...] = np.where(case.batch.mask, 0, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        tape = case.forward()
    assert (tape.losses[~case.batch.mask] == np.inf).all()
    assert tape.loss == 0.0


def _close(actual, expected, name):
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-14, err_msg=name)


# Wrong batches: (change to a correct batch, error message)

Y_KIND = f"y: expected integers of shape ({TIME}, {BATCH}) to match x, got int64 of shape"
Y_TIME = f"y: expected targets for 1 to {TIME} time steps (x has {TIME}), got shape"
MASK_KIND = f"mask: expected booleans of shape ({TIME}, {BATCH}) to match y, got bool of shape"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.zeros((TIME, BATCH + 1), int)}, f"{Y_KIND} (5, 4)"),
        ({"y": np.zeros(TIME, int)}, f"{Y_KIND} (5,)"),
        ({"y": np.zeros((0, BATCH), int)}, f"{Y_TIME} (0, 3)"),
        ({"y": np.zeros((TIME + 1, BATCH), int)}, f"{Y_TIME} (6, 3)"),
        ({"y": np.zeros((), int)}, f"{Y_TIME} ()"),
        ({"y": np.full((TIME, BATCH), OUTPUTS)}, "y: targets must be in [0, 7), got values from 7 to 7"),
        ({"y": np.full((TIME, BATCH), -1)}, "y: targets must be in [0, 7), got values from -1 to -1"),
        ({"mask": np.ones((TIME, 1), bool)}, f"{MASK_KIND} (5, 1)"),
    ],
)
@pytest.mark.parametrize("inputs", INPUT_KINDS)
def test_refuses_wrong_targets_and_masks(inputs, change, message):
    case = build(TANH, inputs=inputs)
    with pytest.raises(ValueError) as refused:
        replace(case, batch=replace(case.batch, **change)).forward()
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("y", np.zeros((TIME, BATCH))),
        ("y", np.zeros((TIME, BATCH), bool)),
        ("mask", np.full((TIME, BATCH), 0.5)),
        ("mask", np.full((TIME, BATCH), 2)),
        ("x", np.zeros(TIME, int)),
    ],
)
def test_refuses_wrong_kinds_of_numbers(name, values):
    case = build(TANH)
    with pytest.raises(ValueError) as refused:
        replace(case, batch=replace(case.batch, **{name: values})).forward()
    assert str(refused.value).startswith(f"{name}: expected")


def test_non_finite_outputs_without_a_target_have_no_effect():
    mask = np.ones((5, 3), dtype=bool)
    mask[:, 1] = False
    case = with_mask(build(TANH), mask)
    tape = case.forward()
    expected, _ = case.model.backward(case.params, tape)
    expected = copy_params(expected)
    tape.d_outputs.reshape(-1, 5, 3)[:, :, 1] = np.inf
    with np.errstate(invalid="ignore"):
        grads, _ = case.model.backward(case.params, tape)
    for name, grad in expected.items():
        np.testing.assert_array_equal(grads[name], grad, err_msg=name)
