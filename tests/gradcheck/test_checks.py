"""Tests of `check_gradients`, `check_cell` and `check_model` with correct and wrong gradients."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from rnnlab.cells import LSTM, CellDeltas, Vanilla
from rnnlab.gradcheck import TOLERANCE, check_cell, check_gradients, check_model
from rnnlab.initial_states import Learned, Normal, Zero
from rnnlab.initializers import Init, Initializer
from rnnlab.model import Batch
from tests.oracles.cases import GATED, INPUTS, RESET, TANH, build, cell_id, every_cell

VARIABLES = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([[0.5]])}
GRADIENTS = {"a": np.array([2.0, 4.0, 6.0]) * 0.5, "b": np.array([[14.0]])}


def squares(at):
    return (np.sum(at["a"] ** 2) * at["b"][0, 0]).item()


def check(gradients, function=squares, **options):
    found = check_gradients(function, VARIABLES, gradients, np.random.default_rng(0), **options)
    return {check.name: check for check in found}


def test_correct_gradients_pass():
    checks = check(GRADIENTS)
    assert list(checks) == ["a", "b"]
    for found in checks.values():
        assert found.passed and found.error < 1e-10 and found.method == "differences"
    assert checks["a"].norm == pytest.approx(np.sqrt(14))
    assert checks["a"].shape == (3,)


@pytest.mark.parametrize("change", [1.0005, -1.0, 0.0, 1 + 1e-6])
def test_wrong_gradients_fail(change):
    checks = check(GRADIENTS | {"a": GRADIENTS["a"] * change})
    assert not checks["a"].passed and checks["a"].error > TOLERANCE
    assert checks["b"].passed


@pytest.mark.parametrize("entry", range(3))
def test_one_wrong_entry_is_enough(entry):
    wrong = GRADIENTS["a"].copy()
    wrong[entry] += 1e-3
    assert not check(GRADIENTS | {"a": wrong})["a"].passed


def test_cancelling_terms_give_a_correct_zero():
    """The output of a cell with a stabiliser does not depend on the stabiliser, except by rounding errors."""

    def cancelling(at):
        return np.sum(np.exp(at["a"]) * np.exp(3 - at["a"])).item()

    noise = {"a": np.array([3e-16, -2e-16, 1e-16]), "b": np.zeros((1, 1))}
    found = check(noise, cancelling)["a"]
    assert not found.passed
    assert replace(found, terms=20.0).passed and replace(found, terms=20.0).error < 1e-12
    assert not replace(found, terms=1e-9).passed
    larger = check(noise | {"a": np.full(3, 1e-9)}, cancelling)["a"]
    assert not replace(larger, terms=20.0).passed
    real = check({"a": np.full(3, 1e-16), "b": GRADIENTS["b"]})["a"]
    assert not replace(real, terms=20.0).passed


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_non_finite_gradient_is_wrong(value):
    checks = check(GRADIENTS | {"b": np.array([[value]])})
    assert not checks["b"].passed


def test_a_gradient_that_must_be_zero_passes():
    gradients = {name: np.zeros_like(value) for name, value in VARIABLES.items()}
    checks = check(gradients, lambda at: 3.0 + np.sum(0 * at["a"]).item())
    assert all(found.passed and found.error == 0 for found in checks.values())


def test_derivatives_below_the_resolution_of_both_methods_do_not_pass():
    def small(at):
        return 1.0 + float(np.real(1e-20 * np.sum(at["a"])))

    found = check({"a": np.full(3, 1e-20), "b": np.zeros((1, 1))}, small)["a"]
    assert found.complex_step is None
    assert found.verdict == "undecided" and not found.passed and found.error == np.inf


def test_a_vanished_gradient_set_to_zero_fails():
    """Finite differences also yield 0; the complex step does not."""

    def small(at):
        return 1.0 + 1e-26 * np.sum(at["a"]).item()

    checks = check({"a": np.zeros(3), "b": np.zeros((1, 1))}, small)
    assert (checks["a"].verdict, checks["a"].difference) == ("wrong", 0.0)
    assert checks["b"].verdict == "right"


def test_near_a_kink_the_complex_step_decides():
    """Differences across a kink are inaccurate, and their error estimate may not show it."""

    def kinked(at):
        total = np.sum(np.maximum(at["a"] - VARIABLES["a"] + 1e-3, 0))  # kinks a thousandth away
        return (total + at["b"][0, 0]).item()

    checks = check({"a": np.ones(3), "b": np.ones((1, 1))}, kinked)
    assert all(found.verdict == "right" for found in checks.values())
    wrong = check({"a": np.full(3, 1.001), "b": np.ones((1, 1))}, kinked)
    assert wrong["a"].verdict == "wrong"


def test_a_non_analytic_function_is_checked_by_differences_only():
    def softsign(at):
        return (
            np.sum(at["a"] / (1 + np.abs(at["a"]))).item() + np.sum(1e-20 * at["b"] / np.abs(at["b"])).item()
        )

    slope = 1 / (1 + VARIABLES["a"]) ** 2
    checks = check({"a": slope, "b": np.full((1, 1), 1e-20)}, softsign)
    assert checks["a"].verdict == "right" and checks["a"].complex_step is None
    assert checks["b"].verdict == "undecided"


def test_a_part_of_a_variable_can_be_checked_separately():
    wrong = GRADIENTS["a"] * np.array([1.0, 1.0, 1.5])
    checks = check(GRADIENTS | {"a": wrong}, parts={"first": ("a", 0), "last": ("a", 2)})
    assert checks["first"].passed and not checks["last"].passed


@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        ({"a": GRADIENTS["a"]}, "b: the variable has shape (1, 1), but the gradient has shape None"),
        (GRADIENTS | {"c": np.zeros(2)}, "c: the variable has shape None, but the gradient has shape (2,)"),
        (GRADIENTS | {"a": np.zeros(2)}, "a: the variable has shape (3,), but the gradient has shape (2,)"),
    ],
)
def test_names_and_shapes_must_agree(gradients, message):
    with pytest.raises(ValueError) as refused:
        check(gradients)
    assert str(refused.value) == message


# A cell alone.


@dataclass(frozen=True)
class Forgetful(Vanilla):
    """A user-defined cell with one of the usual mistakes."""

    def _backward(self, params, tape, *arguments) -> CellDeltas:
        right = super()._backward(params, tape, *arguments)
        off_by_one = np.einsum("tgb,thb->gh", right.dz, tape.states["h"][1:])
        return replace(right, grads=right.grads | {"W_hh": off_by_one})


@pytest.mark.parametrize("cell", every_cell(), ids=cell_id)
@pytest.mark.parametrize("inputs", ["symbols", "vectors"])
def test_every_cell_passes_alone(cell, inputs):
    case = build(cell, inputs=inputs)
    params = {name: case.params[name].astype(np.float32) for name in cell.param_shapes()}
    checks = {found.name: found for found in check_cell(cell, params, case.batch.x)}
    of_inputs = {"x", "x[1]"} if inputs == "vectors" else set()
    of_states = {f"{name}[0]" for name in cell.states} | {f"one step {name}" for name in cell.states}
    time = len(case.batch.x)
    middle, inside = 1 + time // 2, [*(f"total {name}" for name in cell.states), "z", "(W_hh h)"]
    of_states |= {f"immediate {name}[{time - 1}]" for name in (*cell.states, "z")}
    of_states |= {f"{name}[{middle}]" for name in inside} | {f"one step {name}" for name in inside}
    assert set(checks) == {*params, *of_inputs, *of_states}
    assert all(found.passed for found in checks.values())


def test_a_faulty_user_defined_cell_does_not_pass():
    cell = Forgetful(INPUTS, 4, "tanh", bias=True)
    case = build(cell)
    params = {name: case.params[name] for name in cell.param_shapes()}
    wrong = [found.name for found in check_cell(cell, params, case.batch.x) if not found.passed]
    assert wrong == ["W_hh"]


def test_an_initial_state_may_be_given():
    case = build(TANH)
    params = {name: case.params[name] for name in TANH.param_shapes()}
    checks = check_cell(TANH, params, case.batch.x, case.initial)
    assert all(found.passed for found in checks)


# A whole network.


def failures(case, initial=None):
    return [c.name for c in check_model(case.model, case.params, case.batch, initial) if not c.passed]


@pytest.mark.parametrize("cell", [TANH, GATED, RESET], ids=cell_id)
@pytest.mark.parametrize("mask", ["every step", "middle steps", "only output"])
@pytest.mark.parametrize("initial_state", [Zero(), Normal(0.5), Learned(0.5)], ids=repr)
def test_all_parts_of_a_network_are_checked(cell, mask, initial_state):
    case = build(cell, mask=mask, start="learned" if initial_state.learned else "zero")
    model = replace(case.model, initial_state=initial_state)
    checks = check_model(model, case.params, case.batch)
    assert all(found.passed for found in checks)
    times = (1, 2, 4) if initial_state.learned else (0, 1, 2, 4)
    states = [f"{name}[{t}]" for name in cell.states for t in times]
    inside = [*(f"total {name}" for name in cell.states), "z", "(W_hh h)"]
    steps = [f"one step {name}" for name in (*cell.states, *inside)] + [f"{name}[3]" for name in inside]
    last = 5 if mask == "only output" else 4
    steps += [f"immediate {name}[{last}]" for name in (*cell.states, "z")]
    assert sorted(found.name for found in checks) == sorted([*case.params, "x", "x[1]", *states, *steps])
    nothing_later = {f"{name}[4]" for name in cell.states} if mask == "middle steps" else set()
    assert {found.name for found in checks if found.norm == 0} == nothing_later


def test_a_given_initial_state_is_checked_where_it_is_given():
    case = build(RESET)
    assert failures(case, case.initial) == []


def test_a_single_step_has_no_intermediate_state():
    case = build(TANH, time=1)
    assert "h[0]" in [found.name for found in check_model(case.model, case.params, case.batch)]


def test_a_wrong_backward_pass_is_detected_in_the_network():
    assert failures(build(Forgetful(INPUTS, 4, "tanh", bias=True))) == ["W_hh"]


def test_a_wrong_state_adjoint_is_detected_at_the_middle_step(monkeypatch):
    right = LSTM.backward

    def wrong(cell, *arguments, **keys):
        deltas = right(cell, *arguments, **keys)
        return replace(deltas, adjoint=deltas.total)

    monkeypatch.setattr(LSTM, "backward", wrong)
    assert failures(build(GATED)) == ["c[1]", "c[2]", "c[4]"]  # κ instead of f ∘ κ


@pytest.mark.parametrize("cell", [TANH, GATED, RESET], ids=cell_id)
@pytest.mark.parametrize("check_one", [lambda case: failures(case), lambda case: cell_failures(case)])
def test_a_wrong_backward_step_is_detected(cell, check_one, monkeypatch):
    """Only the lag curves use this step, not the backward pass over a sequence."""
    right = type(cell).adjoint_step

    def doubled(cell, *arguments):
        deltas = right(cell, *arguments)
        return replace(deltas, before={name: 2 * value for name, value in deltas.before.items()})

    monkeypatch.setattr(type(cell), "adjoint_step", doubled)
    assert check_one(build(cell)) == [f"one step {name}" for name in cell.states]


def cell_failures(case):
    return [c.name for c in check_cell(case.model.cell, case.params, case.batch.x) if not c.passed]


def test_buffers_with_stale_values_are_detected(monkeypatch):
    right = Vanilla._backward

    def adding_up(cell, params, tape, e, first_loss, with_dx, workspace):
        deltas = right(cell, params, tape, e, first_loss, with_dx, workspace)
        workspace.sum = getattr(workspace, "sum", 0) + deltas.grads["W_hh"]
        return replace(deltas, grads=deltas.grads | {"W_hh": workspace.sum})

    monkeypatch.setattr(Vanilla, "_backward", adding_up)
    assert failures(build(TANH)) == ["W_hh"]
    assert cell_failures(build(TANH)) == ["W_hh"]


def test_float32_inputs_and_additional_parameters_are_accepted():
    case = build(GATED, inputs="vectors", dtype=np.float32)
    assert all(found.passed for found in check_cell(GATED, case.params, case.batch.x, case.initial))
    assert failures(case, case.initial) == []


# Vanished gradients.


def vanished():
    """With σ_w = 0.5, 60 steps and a loss at the end, 2e-21 of the gradient remains at the first input."""
    normal, narrow = Initializer("normal", 1.0), Initializer("normal", 0.5)
    case = build(replace(TANH, hidden_size=16), mask="only output", time=60, inputs="vectors", start="zero")
    params = case.model.init_params(np.random.default_rng(0), Init(narrow, normal, normal), np.float64)
    return replace(case, params=params)


def test_a_vanished_gradient_passes_with_the_complex_step():
    case = vanished()
    checks = {found.name: found for found in check_model(case.model, case.params, case.batch)}
    for name in ("h[0]", "x[1]"):
        assert 1e-30 < checks[name].norm < 1e-15
        assert checks[name].error_by("differences") > 0.1
        assert checks[name].method == "complex step" and checks[name].error < 1e-12
    assert all(found.passed for found in checks.values())


class Blurred(Vanilla):
    """The gradient at the initial state is 0.05 % too large."""

    def _backward(self, *arguments) -> CellDeltas:
        right = super()._backward(*arguments)
        return replace(right, initial={"h": 1.0005 * right.initial["h"]})


class Truncated(Vanilla):
    """No gradient reaches back further than 35 steps."""

    def _backward(self, *arguments) -> CellDeltas:
        right = super()._backward(*arguments)
        dx = right.dx.copy()
        dx[: len(dx) - 35] = 0
        return replace(right, dx=dx, initial={"h": 0 * right.initial["h"]})


def test_a_truncated_vanished_gradient_is_detected():
    """The value 0 is within 1e-18 of the correct gradient."""
    case = vanished()
    cut = Truncated(case.model.cell.input_size, case.model.cell.hidden_size, "tanh", bias=True)
    assert failures(replace(case, model=replace(case.model, cell=cut))) == ["h[0]", "x[1]"]


def test_a_wrong_vanished_gradient_is_detected():
    case = vanished()
    cell = case.model.cell
    blurred = Blurred(cell.input_size, cell.hidden_size, "tanh", bias=True)
    assert failures(replace(case, model=replace(case.model, cell=blurred))) == ["h[0]"]


def test_the_check_changes_nothing():
    case = build(GATED, inputs="vectors")
    before = {name: value.copy() for name, value in case.variables().items()}
    batch = Batch(case.batch.x, case.batch.y)
    check_model(case.model, case.params, batch, case.initial)
    for name, value in case.variables().items():
        np.testing.assert_array_equal(value, before[name])
