"""Gradients that only measurements read: a cell in which one of them is wrong does not pass."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from rnnlab.cells import GRU, LSTM, Cell, Stack, StepDeltas, input_product
from rnnlab.diagnostics.norms import immediate_deltas
from rnnlab.gradcheck import check_cell
from rnnlab.gradcheck.replay import Replay
from tests.cells.log_space import ExponentialLSTM, LogMinGRU
from tests.cells.own import B, Bottleneck, Doubled, H, Normalised, Projected, T, X, params_of


def wrong_names(cell: Cell, inputs: str = "vectors") -> set[str]:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((T, X, B)) if inputs == "vectors" else rng.integers(0, X, (T, B))
    return {check.name for check in check_cell(cell, params_of(cell), x) if not check.passed}


def of(kind: Any) -> Cell:
    options: dict[Any, dict[str, Any]] = {
        LSTM: {"candidate": "tanh", "forget_bias": 0.0},
        GRU: {"reset_after": True},
    }
    cell: Cell = kind(
        X, H, bias=True, **options.get(next(k for k in kind.__mro__ if k in options or k is Cell), {})
    )
    return cell


@dataclass(frozen=True)
class OnlyDirect(LSTM):
    """The total gradient of c[t] lacks the path c[t] → h[t]."""

    def adjoint_equations(self, δ, λ_c, o, i, f, g, c_before, tanh_c):
        _, *rest = super().adjoint_equations(δ, λ_c, o, i, f, g, c_before, tanh_c)
        return 1.0 * λ_c, *rest


@dataclass(frozen=True)
class OnlyDirectSlow(Projected):
    """The total gradient of m[t] lacks the path m[t] → h[t]."""

    def _adjoint_step(self, params, tape, adjoint):
        right = super()._adjoint_step(params, tape, adjoint)
        return replace(right, total=dict(adjoint))


@dataclass(frozen=True)
class ImmediateIsTotal(LSTM):
    """The immediate gradients include later losses."""

    def _backward(self, *arguments):
        right = super()._backward(*arguments)
        return replace(right, immediate=right.immediate | {"c": right.total["c"]})


@dataclass(frozen=True)
class BeforeTheSlope(LSTM):
    """A gradient with respect to gates is stored as that with respect to pre-activations."""

    def _backward(self, *arguments):
        right = super()._backward(*arguments)
        return replace(right, dz=right.dz * (1 + 1e-6), recurrent_blocks=(right.dz,))


@dataclass(frozen=True)
class OneStepOff(LSTM):
    """dz of a single step is slightly too large; the pass over a sequence has its own."""

    def _adjoint_step(self, params, tape, adjoint):
        right = super()._adjoint_step(params, tape, adjoint)
        return replace(right, dz=right.dz * (1 + 1e-6))


@dataclass(frozen=True)
class ProductIsSummand(GRU):
    """The reset gate is left out of the gradient with respect to W_hh h[t-1]."""

    def _adjoint_step(self, params, tape, adjoint):
        right = super()._adjoint_step(params, tape, adjoint)
        return replace(right, recurrent=right.dz)


@dataclass(frozen=True)
class OtherZ(Normalised):
    """The gradient with respect to the normalised z, which is not W_xh x + W_hh h."""

    def _adjoint_step(self, params, tape, adjoint):
        right = super()._adjoint_step(params, tape, adjoint)
        return replace(right, dz=right.dz * tape.inner["s"])

    def _step_gradients(self, params, tape, deltas):
        return super()._step_gradients(params, tape, replace(deltas, dz=deltas.dz / tape.inner["s"]))


@dataclass(frozen=True)
class OtherX(Doubled):
    """Only single steps give a wrong gradient of the inputs."""

    def _adjoint_step(self, params, tape, adjoint):
        right = super()._adjoint_step(params, tape, adjoint)
        return replace(right, dx=-right.dx)

    def _step_gradients(self, params, tape, deltas):
        grads, dx = super()._step_gradients(params, tape, deltas)
        return grads, None if dx is None else -dx


@dataclass(frozen=True)
class OutputLeftOut(Bottleneck):
    """The total gradient of h[t] lacks the output, which is not a state."""

    def adjoint_equations(self, λ_h, d_y, h, s, y):
        total = λ_h + d_y * s
        return 1.0 * λ_h, total, d_y * h


def around(*names: str, t: int = 4) -> set[str]:
    return {f"{name}[{t}]" for name in names} | {f"one step {name}" for name in names}


@pytest.mark.parametrize("inputs", ["vectors", "symbols"])
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (OnlyDirect, around("total c") | {"immediate c[6]"}),
        (OnlyDirectSlow, around("total m") | {"immediate m[6]"}),
        (ImmediateIsTotal, {"immediate c[6]"}),
        (BeforeTheSlope, {"z[4]"}),
        (OneStepOff, {"one step z", "immediate z[6]"}),
        (ProductIsSummand, {"one step (W_hh h)"}),
        (OtherZ, around("z") | {"immediate z[6]"}),
        (OtherX, {"one step x"}),
        (OutputLeftOut, around("total h") | {"immediate h[6]"}),
    ],
)
def test_the_wrong_quantity_is_named(kind: Any, names: set[str], inputs: str) -> None:
    assert wrong_names(of(kind), inputs) == names


def test_each_layer_of_a_stack_is_checked_like_a_cell() -> None:
    """The total gradient of a lower layer includes its paths through the layers above."""
    stack = Stack.of([of(OnlyDirect), GRU(H, H, bias=True, reset_after=True)], residual=True)
    assert wrong_names(stack) == around("total l1.c") | {"immediate l1.c[6]"}
    right = Stack.of([of(LSTM), GRU(H, H, bias=True, reset_after=True)], residual=True)
    assert wrong_names(right) == set()


@dataclass(frozen=True)
class ResidualLeftOut(Stack):
    """A single backward step leaves out the paths around the layers."""

    def _adjoint_step(self, params, tape, adjoint):
        top, plain = self.layers[-1], Stack.of(self.cells, residual=False)
        states = {name: value for name, value in adjoint.items() if name != self.output}
        states |= top.label(top.cell.with_immediate(top.take(states), adjoint[self.output]))
        return plain._adjoint_step(params, tape, states)


def test_a_path_around_a_layer_that_is_left_out_is_named_by_layer() -> None:
    cells = [of(LSTM), GRU(H, H, bias=True, reset_after=True), GRU(H, H, bias=True, reset_after=True)]
    right = Stack.of(cells, residual=True)
    wrong = ResidualLeftOut(right.input_size, right.hidden_size, right.cells, True, bias=True)
    lower = {f"l{layer}.{name}" for layer, name in ((1, "h"), (1, "c"), (1, "z"), (2, "h"), (2, "z"))}
    found = wrong_names(wrong)
    assert {name for name in found if name.startswith("immediate")} == {
        f"immediate {name}[6]" for name in lower
    }
    assert {name for name in found if name.startswith("one step total")} == {
        f"one step total {name}" for name in lower if not name.endswith("z")
    }
    assert not any("[4]" in name for name in found), "the pass over a sequence is right"
    assert wrong_names(right) == set()


@pytest.mark.parametrize(
    ("part", "name"), [("total", "immediate l1.c[6]"), ("dz", "immediate l2.z[6]"), ("steps", "")]
)
def test_recorded_immediate_gradients_are_checked_by_layer(
    part: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cells are right; only the gradients that a recording uses are wrong."""
    stack = Stack.of([of(LSTM), GRU(H, H, bias=True, reset_after=True)], residual=False)

    def wrong(cell: Cell, params: Any, tape: Any, e: Any, steps: slice) -> StepDeltas:
        if part == "steps":  # the columns of the time steps in reverse order
            found = [
                immediate_deltas(cell, params, tape, e, slice(t, t + 1))
                for t in (steps.stop - 1, steps.start)
            ]
            layers = zip(*(deltas.layers for deltas in found), strict=True)
            return replace(found[0], layers=tuple(_joined(*pair) for pair in layers))
        right = immediate_deltas(cell, params, tape, e, steps)
        bottom, top = right.layers
        if part == "total":
            bottom = replace(bottom, total={**bottom.total, "c": 1.001 * bottom.total["c"]})
        else:
            top = replace(top, dz=1.001 * top.dz)
        return replace(right, layers=(bottom, top))

    monkeypatch.setattr("rnnlab.gradcheck.inside.immediate_deltas", wrong)
    expected = {f"immediate {name}[6]" for name in ("l1.h", "l1.c", "l1.z", "l2.z")}
    assert wrong_names(stack) == ({name} if name else expected)


def _joined(one: StepDeltas, two: StepDeltas) -> StepDeltas:
    total = {name: np.concatenate([one.total[name], two.total[name]], axis=1) for name in one.total}
    return replace(one, total=total, dz=np.concatenate([one.dz, two.dz], axis=1))


@dataclass(frozen=True)
class Written(Projected):
    """Projected, with both states written into parts of one array."""

    is_counted: bool = field(default=True, kw_only=True)

    def _step(self, params, x, before):
        both = np.concatenate([before["h"], before["m"]])
        both = both if self.is_counted else np.array(both, subok=False)
        m = both[self.SMALL :]
        m[:] = input_product(params["W_xh"], x) + params["W_hh"] @ before["h"] + 0.3 * before["m"]
        np.tanh(m, out=m)
        both[: self.SMALL] = params["P"] @ m
        return {"h": both[: self.SMALL], "m": both[self.SMALL :]}, {}


def test_products_of_many_examples_are_checked_for_the_first_of_them() -> None:
    x = np.random.default_rng(1).standard_normal((T, X, 7))
    checks = {check.name: check for check in check_cell(of(LSTM), params_of(of(LSTM)), x)}
    assert all(check.passed for check in checks.values())
    assert checks["z[4]"].shape == (4 * H, 3) and checks["total c[4]"].shape == (H, 7)


def test_a_state_returned_as_a_copy_is_found() -> None:
    @dataclass(frozen=True)
    class Copied(Projected):
        def _step(self, params, x, before):
            after, inner = super()._step(params, x, before)
            return {name: value.copy() for name, value in after.items()}, inner

    assert wrong_names(of(Copied)) == set()


def test_a_state_equal_to_another_value_is_distinguished() -> None:
    """Where the maximum is the same operand for all units, only the array itself names the operation."""
    cell = LogMinGRU(X, H, bias=True)
    step = cell.step(params_of(cell), np.ones((X, B)), {"ln_y": np.full((H, B), 50.0)})
    assert (step.inner["share"] == 1).all()
    operation = Replay(cell, params_of(cell), step).operation_of["ln_y"]
    stabilised = ExponentialLSTM(X, H, bias=True)
    start = {name: np.full((H, B), 50.0) for name in stabilised.states}
    step = stabilised.step(params_of(stabilised), np.ones((X, B)), start)
    operation_of = Replay(stabilised, params_of(stabilised), step).operation_of
    assert operation > 0 and len(set(operation_of.values())) == 4
    changes = {"m": np.ones((H, B))}
    after, _ = Replay(stabilised, params_of(stabilised), step).run(
        params_of(stabilised), step.x, step.before, changes
    )
    np.testing.assert_allclose(after["n"], step.after["n"] / np.e, rtol=1e-12)  # i and f are e times smaller


def test_states_that_are_written_in_place_are_found() -> None:
    assert wrong_names(of(Written)) == set()


def test_totals_are_undecided_if_the_operation_that_computes_a_state_is_unknown() -> None:
    cell = replace(of(Written), is_counted=False)
    x = np.random.default_rng(1).standard_normal((T, X, B))
    verdicts = {check.name: check.verdict for check in check_cell(cell, params_of(cell), x)}
    undecided = {name for name, verdict in verdicts.items() if verdict == "undecided"}
    assert undecided == around("total m") | {"immediate m[6]"}
    assert set(verdicts.values()) == {"right", "undecided"}


def test_a_state_passed_through_is_changed_after_the_step() -> None:
    """No operation computes it, so nothing in the step depends on the new value."""

    @dataclass(frozen=True)
    class Delayed(Projected):
        def _step(self, params, x, before):
            after, inner = super()._step(params, x, before)
            return {"h": after["h"], "m": before["m"]}, inner

    cell = of(Delayed)
    params = params_of(cell)
    step = cell.step(params, np.ones((X, B)), {"h": np.ones((2, B)), "m": np.ones((H, B))})
    replay = Replay(cell, params, step)
    assert set(replay.operation_of) == {"h"}
    changes = {"h": np.full((2, B), 0.5), "m": np.full((H, B), 0.25)}
    after, output = replay.run(params, step.x, step.before, changes)
    np.testing.assert_array_equal(after["h"], step.after["h"] + 0.5)
    np.testing.assert_array_equal(after["m"], np.full((H, B), 1.25))
    np.testing.assert_array_equal(output, after["h"])
    np.testing.assert_array_equal(step.before["m"], np.ones((H, B)))
