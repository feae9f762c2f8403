"""Cells that give a step and its adjoint alone: their gradients, their inputs and their mistakes."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from rnnlab.cells import GRU, Cell, CellDeclarationError, Parameter, Stack, StepDeltas, Vanilla
from rnnlab.diagnostics.lag_curves import ln_unit_lag_curves
from rnnlab.diagnostics.norms import measure_norms
from rnnlab.gradcheck import check_cell
from rnnlab.initial_states import Zero
from rnnlab.model import Batch, Model
from rnnlab.readout import Readout
from tests.cells.own import B, Doubled, H, Normalised, Projected, T, X, params_of
from tests.oracles.cases import Case
from tests.oracles.snapshots import by_name, snapshot_of


@dataclass(frozen=True)
class Right(Cell):
    """h[t] = tanh(W_xh x[t] + W_hh h[t-1] + b_h), of which each test changes one part."""

    states: ClassVar = ("h",)
    after: ClassVar[dict[str, Any]] = {}
    inner: ClassVar[dict[str, Any]] = {}
    deltas: ClassVar[dict[str, Any]] = {}

    def _step(self, params, x, before):
        inputs = params["W_xh"] @ x if x.ndim == 2 else params["W_xh"] @ np.eye(X)[x].T
        z = inputs + params["W_hh"] @ before["h"] + params["b_h"]
        return {"h": np.tanh(z)} | self.after, dict(self.inner)

    def _adjoint_step(self, params, tape, adjoint):
        dz = (1 - tape.after["h"] ** 2) * adjoint["h"]
        right = StepDeltas(adjoint, {"h": params["W_hh"].T @ dz}, dz, dz)
        return replace(right, **self.deltas)


def small(*shape: int, dtype: str = "f4") -> np.ndarray:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"after": {"c": small(H, 2)}}, r"_step: expected the states \['h'\], got \['h', 'c'\]"),
        (
            {"after": {"h": small(H, 2, dtype="f8")}},
            r"_step: h: expected float32 of shape \(4, 2\), got float64 of shape \(4, 2\)",
        ),
        (
            {"after": {"h": small(3, 2)}},
            r"_step: h: expected float32 of shape \(4, 2\), got float32 of shape \(3",
        ),
        ({"after": {"h": 1.0}}, r"_step: h: expected float32 of shape \(4, 2\), got a float"),
        (
            {"inner": {"s": small(2, 3)}},
            r"_step: s: expected an array of shape \(…, 2\), got float32 of shape \(2, 3",
        ),
        ({"output": "y"}, r"_step: the output y is not one of the states or inner values"),
        ({"output": "y", "inner": {"y": small(1, 2)}}, r"_step: y: expected float32 of shape \(4, 2\)"),
        (
            {"_step": lambda *_: small(H, 2)},
            r"_step: must return two dicts, the new states and the inner values",
        ),
        (
            {"parameters": lambda self: {"W_hh": Parameter(H, H, "W_hh")}, "input_matrix": None},
            r"_step: KeyError",
        ),
        ({"_adjoint_step": lambda *_: None}, r"_adjoint_step: must return StepDeltas, got a NoneType"),
        ({"deltas": {"before": {}}}, r"_adjoint_step: before: expected the states \['h'\], got \[\]"),
        (
            {"deltas": {"before": {"h": small(H, 2, dtype="f8")}}},
            r"_adjoint_step: before\['h'\]: expected float32 of shape \(4, 2\), got float64",
        ),
        (
            {"deltas": {"total": {"h": small(2, H)}}},
            r"_adjoint_step: total\['h'\]: expected float32 of shape \(4, 2",
        ),
        (
            {"deltas": {"dz": small(1, 2)}},
            r"_adjoint_step: dz: expected float32 of shape \(4, 2\), got .*\(1, 2\)",
        ),
        (
            {"deltas": {"recurrent": small(1, 2)}},
            r"_adjoint_step: recurrent: expected float32 of shape \(4, 2\)",
        ),
        ({"deltas": {"dx": small(1, 2)}}, r"_adjoint_step: dx: expected float32 of shape \(3, 2\)"),
        (
            {"deltas": {"dz": None}},
            r"_adjoint_step: dx is required from a cell without dz or an input matrix",
        ),
        (
            {"deltas": {"recurrent": None}},
            r"_adjoint_step: no gradient of W_hh; StepDeltas.grads must contain it",
        ),
        ({"deltas": {"grads": {"V": small(H, 2)}}}, r"_adjoint_step: grads: V is not one of the parameters"),
        (
            {"deltas": {"grads": {"b_h": small(1, 2)}}},
            r"grads\['b_h'\]: expected float32 of shape \(4, 1\), got .*1, 2",
        ),
        (
            {"_step_gradients": lambda *_: ({"W_hh": small(H, H)}, None)},
            r"_step_gradients: expected the gradients \['W_xh', 'W_hh', 'b_h'\], got \['W_hh'\]",
        ),
    ],
)
def test_a_wrong_result_of_a_step_is_named_when_the_cell_is_made(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CellDeclarationError, match=f"^Wrong.*{message}"):
        type("Wrong", (Right,), changes)(X, H, bias=True)


def test_a_cell_may_have_a_field_without_a_hash() -> None:
    @dataclass(frozen=True)
    class Listed(Right):
        sizes: list[int]

        def _step(self, params, x, before):
            after, _ = super()._step(params, x, before)
            return after, {"s": np.zeros(self.sizes, "f4")}

    Listed(X, H, [3, 2], bias=True)
    with pytest.raises(CellDeclarationError, match=r"^Listed._step: s: expected an array of shape \(…, 2\)"):
        Listed(X, H, [3, 1], bias=True)


def test_the_first_step_of_each_pass_is_checked() -> None:
    """Symbols, for example, may give other types than vectors."""
    cell = Right(X, H, bias=True)
    params = {name: value.astype(np.float32) for name, value in params_of(cell).items()}
    tape = cell.forward(params, np.ones((T, X, B), np.float32))
    with pytest.raises(CellDeclarationError, match=r"^Right._step: h: expected float32 .*, got float64"):
        cell.forward(params, np.ones((T, B), int))
    object.__setattr__(cell, "deltas", {"dz": small(H, B, dtype="f8")})
    with pytest.raises(CellDeclarationError, match=r"^Right._adjoint_step: dz: expected float32"):
        cell.backward(params, tape, np.ones((T, H, B), np.float32))


def test_the_given_gradient_of_the_inputs_is_measured() -> None:
    """It differs from W_xhᵀ dz if the inputs act in another way, too; vanishing rows stay right."""
    cell, rng, time = Doubled(X, H, bias=True), np.random.default_rng(0), 60
    model = Model(cell, Readout(H, 2, True), Zero(), "squared_error", "mean")
    params = params_of(cell) | model.readout.init_params(rng, np.float64)
    params["W_hh"] *= 0.05
    x, y = rng.standard_normal((time, X, B)), rng.standard_normal((1, 2, B))
    rows = {}
    for dtype in (np.float32, np.float64):
        own = {name: value.astype(dtype) for name, value in params.items()}
        batch = Batch(x.astype(dtype), y.astype(dtype))
        snapshot = snapshot_of(Case(model, own, batch, None))
        snapshot = replace(snapshot, deltas=model.backward(own, snapshot.tape, scaled=True)[1])
        found = by_name(measure_norms(snapshot).curves)
        rows[dtype] = {name: found[name].log10_gmean for name in ("x", "x_immediate")}
        lags = ln_unit_lag_curves(cell, own, snapshot.tape.cell)
        rows[dtype]["lag"] = lags["x"].mean(axis=1)
    _, deltas = model.backward(params, model.forward(params, Batch(x, y)))
    dx = np.log10(np.linalg.norm(deltas.dx, axis=1) * B).mean(axis=1)
    assert dx[0] < -60
    np.testing.assert_allclose(rows[np.float64]["x"], dx, atol=1e-9)
    np.testing.assert_allclose(rows[np.float64]["x_immediate"][-1], dx[-1], atol=1e-9)
    for name, row in rows[np.float64].items():
        np.testing.assert_allclose(rows[np.float32][name], row, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("inputs", ["vectors", "symbols"])
def test_a_layer_below_receives_the_given_gradient(residual: bool, inputs: str) -> None:
    above = (Doubled(X, X, bias=True), Vanilla(X, H, "tanh", bias=True))
    cells = [Doubled(X, X, bias=True), *above] if not residual else [Doubled(X, X, bias=False), above[0]]
    stack, rng = Stack.of(cells, residual), np.random.default_rng(1)
    x = rng.standard_normal((T, X, B)) if inputs == "vectors" else rng.integers(0, X, (T, B))
    checks = check_cell(stack, params_of(stack), x)
    assert all(check.passed for check in checks), [check for check in checks if not check.passed]


def test_the_row_gates_of_a_cell_name_the_rows_of_its_default_parameters() -> None:
    cell = GRU(X, H, bias=True, reset_after=False)
    assert cell.param_shapes() == {"W_xh": (3 * H, X), "W_hh": (3 * H, H), "b_h": (3 * H, 1)}
    assert cell.gate_names == ("r", "u", "n") and cell.rows("u") == slice(H, 2 * H)
    assert (
        Normalised(X, H, bias=True).gate_names == ()
        and "b_h" not in Projected(X, H, bias=True).param_shapes()
    )
