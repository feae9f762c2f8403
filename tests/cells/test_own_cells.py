"""Cells of users work like those of the package, and their mistakes are named."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from rnnlab.app.config.build import build
from rnnlab.app.config.compose import compose_plan
from rnnlab.cells import GRU, TANH, CellDeclarationError, GatedCell, tanh
from rnnlab.diagnostics import Previous, ProbeInputs, Snapshot, state_jacobians
from rnnlab.gradcheck import check_cell
from rnnlab.initial_states import Zero
from rnnlab.initializers import Constant, Init, Initializer
from rnnlab.model import Batch, Model
from rnnlab.paths import conf_dir
from rnnlab.readout import Readout
from rnnlab.workspace import Workspace
from tests.cells.own import CELLS, B, Diagonal, H, Normalised, Skipping, T, X, params_of
from tests.cells.peephole import Peephole


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("inputs", ["vectors", "symbols"])
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_right(kind: Any, inputs: str, bias: bool) -> None:
    if kind is Normalised and not bias:
        pytest.skip("always has a bias")
    cell, rng = kind(X, H, bias=bias), np.random.default_rng(1)
    x = rng.standard_normal((T, X, B)) if inputs == "vectors" else rng.integers(0, X, (T, B))
    checks = check_cell(cell, params_of(cell), x)
    assert len(checks) > 3 and all(check.passed for check in checks), [c for c in checks if not c.passed]


@pytest.mark.parametrize("kind", CELLS)
def test_a_late_loss_gives_the_same_gradients_scaled_and_unscaled(kind: Any) -> None:
    cell, rng = kind(X, H, bias=True), np.random.default_rng(2)
    x, params = rng.standard_normal((60, X, B)), params_of(cell)
    tape = cell.forward(params, x)
    e = np.zeros((60, cell.output_size, B))
    e[-1:] = rng.standard_normal((1, cell.output_size, B))
    deltas = cell.backward(params, tape, e[-1:])
    adjoint = {name: np.zeros((size, B)) for name, size in cell.state_sizes.items()}
    total: dict[str, Any] = {}
    for t in range(60, 0, -1):
        step = cell.step_backward(params, tape.step(t), cell.with_immediate(adjoint, e[t - 1]))
        adjoint = dict(step.deltas.before)
        total = {name: total.get(name, 0) + grad for name, grad in step.grads.items()}
    for name, grad in total.items():
        np.testing.assert_allclose(deltas.grads[name], grad, rtol=1e-10, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("kind", CELLS)
def test_passes_with_the_same_buffers_and_immediate_gradients_are_right(kind: Any) -> None:
    """The immediate gradients of a time step are the total gradients of its loss alone."""
    cell, rng, workspace = kind(X, H, bias=True), np.random.default_rng(2), Workspace()
    x, params, e = (
        rng.standard_normal((T, X, B)),
        params_of(cell),
        rng.standard_normal((T, cell.output_size, B)),
    )
    tape = cell.forward(params, x, workspace=workspace)
    first = {name: grad.copy() for name, grad in cell.backward(params, tape, e, workspace).grads.items()}
    for _ in range(2):
        tape = cell.forward(params, x, workspace=workspace)
        deltas = cell.backward(params, tape, e, workspace)
        for name, grad in first.items():
            np.testing.assert_array_equal(deltas.grads[name], grad, err_msg=name)
    alone = cell.backward(params, tape, np.where(np.arange(T)[:, None, None] == 3, e, 0))
    for name in cell.states:
        immediate, total = deltas.immediate[name][3], alone.total[name][3]
        np.testing.assert_allclose(immediate, total, rtol=1e-12, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("kind", [kind for kind in CELLS if issubclass(kind, GatedCell)])
def test_a_pass_reads_nothing_that_earlier_passes_left_in_the_buffers(kind: Any) -> None:
    cell, rng, workspace = kind(X, H, bias=True), np.random.default_rng(3), Workspace()
    x, e, params = rng.standard_normal((T, X, B)), rng.standard_normal((T, H, B)), params_of(cell)
    e[:-1] = 0
    fresh = cell.forward(params, x)
    right = cell.backward(params, fresh, e, scaled=True)
    for _ in range(2):
        tape = cell.forward(params, x, workspace=workspace)
        assert tape.joined is not None and np.isfinite(tape.joined).all()
        found = cell.backward(params, tape, e, workspace, scaled=True)
        for name, grad in right.grads.items():
            np.testing.assert_array_equal(found.grads[name], grad, err_msg=name)
        for buffer in workspace._buffers.values():
            buffer[...] = np.nan if buffer.dtype.kind == "f" else 1


def declared(**changes: Any) -> type:
    body = {
        "__annotations__": {},
        "states": ("h",),
        "gates": {"a": TANH},
        "step_equations": lambda self, a: a,
        "adjoint_equations": lambda self, δ, a: δ,
    }
    return dataclass(frozen=True)(type("Wrong", (GatedCell,), body | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gates": {}}, r"Wrong.gates: at least one gate is required"),
        ({"gates": {"a": tanh}}, r"Wrong.gates: a is not an activation such as rnnlab.cells.TANH"),
        ({"output": "y"}, r"Wrong.output: y is not one of the states or saved values"),
        ({"carried": ("c",)}, r"Wrong.carried: c is not one of the states \['h'\]"),
        ({"totals": ("c",)}, r"Wrong.totals: c is not one of the states"),
        (
            {"recurrent": {"W": "c"}, "recurrent_matrix": "W"},
            r"Wrong.recurrent: W multiplies c, which is not one of the states",
        ),
        (
            {"carried": ("h",)},
            r"Wrong.step_equations: takes 1 arguments \(a\), but .* require 2 \(a, h\[t-1\]\)",
        ),
        ({"saved": ("n",)}, r"Wrong.adjoint_equations: takes 2 arguments"),
        (
            {"step_equations": lambda self, a: (a, a)},
            r"Wrong.step_equations: returns 2 values, but .* require 1",
        ),
        ({"adjoint_equations": lambda self, δ, a: a}, r"Wrong.adjoint_equations: d a does not depend"),
        ({"adjoint_equations": lambda self, δ, a: δ * δ}, r"adjoint_equations: .* linear in the adjoints"),
        ({"step_equations": lambda self, a: np.exp(a)}, r"Wrong.step_equations: may only use arithmetic and"),
        ({"recurrent_matrix": "R"}, r"Wrong.recurrent_matrix: R is not one of the parameters \['W_xh'"),
        (
            {"initializers": {"w": Constant(1.0)}},
            r"Wrong.initializers: w is not one of the parameters \['W_xh'",
        ),
        (
            {"initializers": {"b_h": "W"}},
            r"Wrong.initializers: b_h: expected W_hh, W_xh, b_h or an .*, got 'W'",
        ),
        ({"recurrent_state": "c"}, r"Wrong.recurrent_state: c is not one of the states \['h'\]"),
        ({"forget_gate": "f"}, r"Wrong.forget_gate: f is not a sigmoid gate; these are \[\]"),
        ({"saved_gates": ("i",)}, r"Wrong.saved_gates: i is not one of the saved values"),
        ({"vectors": ("a",)}, r"Wrong.vectors: a is also the name of a gate or state"),
        ({"recurrent": {"W_hh": "h", "R": "h"}}, r"Wrong.recurrent: at most one matrix per state"),
        (
            {"saved": ("y",), "output": "y"},
            r"Wrong.totals: must contain \['h'\], because the output y is none",
        ),
        (
            {"states": ("h", "c"), "recurrent": {"R": "c"}, "recurrent_matrix": "R"},
            r"Wrong.recurrent_state: h, but R multiplies c",
        ),
        ({"input_matrix": "U"}, r"Wrong.input_matrix: U is not one of the parameters .*None means"),
    ],
)
def test_a_declaration_that_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CellDeclarationError, match=message):
        declared(**changes)(X, H, bias=True)


def test_a_gate_has_one_bias_unless_its_products_are_separate() -> None:
    biases = {
        kind: [name for name in kind(X, H, bias=True).param_shapes() if name.startswith("b_")]
        for kind in (Peephole, Skipping)
    }
    assert biases == {Peephole: ["b_h"], Skipping: ["b_h"]}
    assert "b_hn" in GRU(X, H, bias=True, reset_after=True).param_shapes()


def test_gates_that_the_equations_activate_are_measured() -> None:
    cell, rng = Peephole(X, H, bias=True), np.random.default_rng(0)
    tape = cell.forward(params_of(cell), rng.standard_normal((T, X, B)))
    gates = cell.sigmoid_gates(tape)
    assert list(gates) == ["i", "f", "o"] and cell.forget_gate in gates
    np.testing.assert_allclose(tape.states["h"][1:], gates["o"] * np.tanh(tape.states["c"][1:]), rtol=1e-12)


def test_a_parameter_starts_as_the_cell_declares() -> None:
    """A diagonal recurrence that started at 0 like a bias would pass nothing on from step to step."""
    zero = Init(*(Initializer("zero", 1.0) for _ in range(3)))
    params = Diagonal(X, 50, bias=True).init_params(np.random.default_rng(0), zero, np.float32)
    w = params["w"]
    assert w.shape == (50, 1) and w.dtype == np.float32 and 0.8 <= w.min() < 0.82 and 0.93 < w.max() <= 0.95
    assert not params["W_xh"].any() and not params["b_h"].any()

    @dataclass(frozen=True)
    class Configured(Diagonal):
        """The initial value is a key of the configuration."""

        decay: float

        @property
        def initializers(self):
            return {"w": Constant(self.decay), "W_xh": Initializer("identity", 2.0)}

    params = Configured(X, H, 0.9, bias=True).init_params(np.random.default_rng(0), zero, np.float64)
    np.testing.assert_array_equal(params["w"], np.full((H, 1), 0.9))
    np.testing.assert_array_equal(params["W_xh"], 2 * np.eye(H, X))


def test_missing_states_are_reported_when_the_class_is_defined() -> None:
    with pytest.raises(
        CellDeclarationError, match=r"Forgetful.states: missing; names the states of the cell"
    ):
        type("Forgetful", (GatedCell,), {"gates": {"a": TANH}, "step_equations": 0, "adjoint_equations": 0})


def test_a_wrong_adjoint_is_named_by_the_check() -> None:
    wrong = declared(adjoint_equations=lambda self, δ, a: 2.0 * δ)(X, H, bias=True)
    checks = check_cell(wrong, params_of(wrong), np.random.default_rng(0).standard_normal((T, X, B)))
    assert {check.name for check in checks if not check.passed} >= {"W_hh", "h[0]"}


@pytest.mark.parametrize("kind", CELLS)
def test_every_measurement_accepts_the_cell(kind: Any) -> None:
    cell, rng = kind(X, H, bias=True), np.random.default_rng(3)
    model = Model(cell, Readout(cell.output_size, 2, True), Zero(), "squared_error", "mean")
    params = params_of(cell) | model.readout.init_params(rng, np.float64)
    batch = Batch(rng.standard_normal((T, X, B)), rng.standard_normal((T, 2, B)))
    tape = model.forward(params, batch)
    grads, deltas = model.backward(params, tape, scaled=True)
    inputs = ProbeInputs(
        batch, lambda length: Batch(rng.standard_normal((length, X, 1)), batch.y[-1:, :, :1]), 0
    )
    previous = Previous(grads, tape.cell.final_states())
    snapshot = Snapshot(0, model, params, tape, deltas, grads, {}, inputs, None, Workspace(), previous)
    (job,) = compose_plan(conf_dir(), ["probe=full"], multirun=False).jobs
    probe = build(job.config).trainer.probe
    readings = probe.measure(snapshot, list(probe.measurements))
    assert {*cell.states, "state", *(f"{name}_norm" for name in cell.states)} <= {
        c.quantity for c in readings.curves
    }
    assert readings.metrics["grad/cosine_to_previous"] == pytest.approx(1)
    assert np.isfinite([readings.metrics[name] for name in ("grad/log10_gain", "lyapunov/top")]).all()
    jacobian = state_jacobians(cell, params, tape.cell.step(3), 1)[0]
    assert jacobian.shape == (sum(cell.state_sizes.values()),) * 2
