"""Networks from Python, compared with calculations from the equations that use no code of the package."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import rnnlab as rl
from rnnlab.app.config.build import build, generators
from rnnlab.app.config.compose import compose_plan
from rnnlab.library.network_measurements import MAX_EXPONENTS, MAX_WARM_UP
from rnnlab.paths import conf_dir

T, X, H, B = 12, 3, 5, 4
RNG = np.random.default_rng(1)
INPUTS = RNG.standard_normal((T, X, B))
TARGETS = RNG.standard_normal((1, 2, B))


@cache
def vanilla(**keys: Any) -> rl.Network:
    return rl.network("rnn", inputs=X, hidden=H, outputs=2, seed=3, dtype="float64", **keys)


def states_of(params: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Return h[0] … h[T] of a tanh network, (T+1, H, B)."""
    h = [np.zeros((H, x.shape[-1]))]
    for t in range(len(x)):
        h.append(np.tanh(params["W_xh"] @ x[t] + params["W_hh"] @ h[-1] + params["b_h"]))
    return np.stack(h)


def jacobian(params: dict[str, np.ndarray], h: np.ndarray) -> np.ndarray:
    """Return ∂h[t]/∂h[t-1] of one sequence, given h[t]."""
    return np.diag(1 - h**2) @ params["W_hh"]


def log10_curve(params: dict[str, np.ndarray], h: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return log10 g(k) of one sequence for the gradient `start` with respect to h[T]."""
    adjoint, norms = start, []
    for t in range(len(h) - 1, 0, -1):
        norms.append(np.linalg.norm(adjoint))
        adjoint = jacobian(params, h[t]).T @ adjoint
    return np.log10(norms)


def test_a_lag_curve_without_targets_is_the_geometric_mean_over_unit_vectors() -> None:
    net = vanilla()
    h = states_of(net.params, INPUTS)
    rng, curves = np.random.default_rng(0), []
    for _ in range(32):
        w = rng.standard_normal(H)
        curves += [log10_curve(net.params, h[..., b], w / np.linalg.norm(w)) for b in range(B)]
    curve = net.lag_curve(INPUTS)
    np.testing.assert_allclose(curve.log10_g, np.mean(curves, axis=0), rtol=1e-10, atol=1e-14)
    assert curve.loss == "random unit vector" and set(curve.frame["loss"]) == {"random unit vector"}
    title = " ".join(curve.plot().get_title(loc="left").split())
    assert "mean over 32 draws" in repr(curve) and "random unit vector" in title
    np.testing.assert_allclose(10 ** curve.log10_g[0], 1, rtol=1e-12)


def test_a_lag_curve_with_targets_is_that_of_the_readouts_loss() -> None:
    net = vanilla()
    h, params = states_of(net.params, INPUTS), net.params
    outputs = params["W_hy"] @ h[-1] + params["b_y"]
    start = params["W_hy"].T @ (2 * (outputs - TARGETS[0]) / 2)
    curve = net.lag_curve(INPUTS, TARGETS)
    own = np.mean([log10_curve(params, h[..., b], start[:, b]) for b in range(B)], axis=0)
    np.testing.assert_allclose(curve.log10_g - curve.log10_g[0], own - own[0], rtol=1e-10, atol=1e-12)
    assert curve.loss == "squared_error"
    norms = net.gradient_norms(INPUTS, TARGETS)
    by_time = norms[norms["quantity"] == "h"].sort_values("timestep")["log10_gmean"].to_numpy()
    np.testing.assert_allclose(by_time[::-1], curve.log10_g, rtol=1e-10)


def test_classes_select_the_cross_entropy() -> None:
    classes = np.array([[0, 1, 1, 0]])
    net = vanilla()
    params, h = net.params, states_of(net.params, INPUTS)
    logits = params["W_hy"] @ h[-1] + params["b_y"]
    share = np.exp(logits) / np.exp(logits).sum(axis=0)
    start = params["W_hy"].T @ (share - np.eye(2)[:, classes[0]])
    own = np.mean([log10_curve(params, h[..., b], start[:, b]) for b in range(B)], axis=0)
    curve = net.lag_curve(INPUTS, classes)
    np.testing.assert_allclose(curve.log10_g, own, rtol=1e-10)
    assert curve.loss == "cross_entropy"
    assert vanilla(loss="squared_error").lag_curve(INPUTS, classes).loss == "squared_error"


def test_a_target_at_an_earlier_step_ends_the_curve_there() -> None:
    net = vanilla()
    np.testing.assert_allclose(
        net.lag_curve(INPUTS, target=7).log10_g, net.lag_curve(INPUTS[:7]).log10_g, rtol=1e-12
    )
    every = np.zeros((T, 2, B))
    assert len(net.lag_curve(INPUTS, every, target=7).lags) == 7
    with pytest.raises(
        ValueError, match=r"^target=2: no target at this time step; y has targets at 12 to 12"
    ):
        net.lag_curve(INPUTS, TARGETS, target=2)


def test_norms_by_time_step_without_targets_are_the_reversed_lag_curve() -> None:
    net = rl.network("lstm", inputs=X, hidden=H, dtype="float64")
    norms, curve = net.gradient_norms(INPUTS), net.lag_curve(INPUTS)
    by_time = norms[norms["quantity"] == "state"].sort_values("timestep")
    assert by_time["timestep"].tolist() == list(range(1, T + 1)) and by_time["lag"].isna().all()
    np.testing.assert_allclose(by_time["log10_gmean"].to_numpy()[::-1], curve.log10_g, rtol=1e-12)


def test_jacobians_singular_values_and_outputs() -> None:
    net = vanilla()
    h = states_of(net.params, INPUTS)
    np.testing.assert_allclose(net.states(INPUTS)["h"], h, rtol=1e-12, atol=1e-14)
    expected = np.einsum("yh,thb->tyb", net.params["W_hy"], h[1:]) + net.params["b_y"]
    np.testing.assert_allclose(net.predict(INPUTS), expected, rtol=1e-12, atol=1e-14)
    own = np.stack([jacobian(net.params, h[8, :, b]) for b in range(B)])
    np.testing.assert_allclose(net.state_jacobian(INPUTS, t=8), own, rtol=1e-11, atol=1e-14)
    found = net.singular_values(INPUTS, lags=[1, 4]).set_index(["lag", "example"])
    for b in range(B):
        product = np.linalg.multi_dot([jacobian(net.params, h[t, :, b]) for t in range(T, T - 4, -1)])
        values = np.linalg.svd(product, compute_uv=False)
        assert found.loc[(4, b), "log10_sv_max"] == pytest.approx(np.log10(values[0]), rel=1e-9)
        assert found.loc[(4, b), "log10_sv_min"] == pytest.approx(np.log10(values[-1]), rel=1e-6)
    assert len(net.singular_values(INPUTS)) == T * B


def test_the_state_of_an_lstm_is_h_followed_by_c() -> None:
    """The columns of h reach the state through the gates alone; ∂c[t]/∂c[t-1] is the forget gate."""
    net = rl.network("lstm", inputs=X, hidden=H, dtype="float64", overrides=["cell.forget_bias=2"])
    x, t = INPUTS[..., :1], 6
    states = net.states(x)
    h, c = (states[name][t - 1 : t + 1, :, 0] for name in ("h", "c"))
    J = net.state_jacobian(x, t)[0]
    assert J.shape == (2 * H, 2 * H) == (net.state_size,) * 2
    forget = np.diagonal(J[H:, H:])
    z = net.params["W_xh"] @ x[t - 1] + net.params["W_hh"] @ h[:1].T + net.params["b_h"]
    gates = 1 / (1 + np.exp(-z.reshape(4, H)))
    assert min(np.abs(gates - forget).max(axis=1)) < 1e-12
    assert np.count_nonzero(J[H:, H:] - np.diag(forget)) == 0
    output = h[1] / np.tanh(c[1])
    np.testing.assert_allclose(np.diagonal(J[:H, H:]), output * (1 - np.tanh(c[1]) ** 2) * forget, rtol=1e-10)


@pytest.mark.parametrize("rho", [0.8, 1.0, 1.25])
def test_exponents_of_an_orthogonal_network_are_known(rho: float) -> None:
    scaled = [f"init.W_hh.gain={rho}", "cell.nonlinearity=identity"]
    net = rl.network("rnn", inputs=X, hidden=H, dtype="float64", init="orthogonal", overrides=scaled)
    found = net.lyapunov(INPUTS, exponents=3, warm_up=1)
    assert found["exponent"].tolist() == [1, 2, 3] * B and found["example"].nunique() == B
    np.testing.assert_allclose(found["lyapunov_nats"], np.log(rho), atol=1e-12)
    assert net.lag_curve(INPUTS).gain == pytest.approx(rho, rel=1e-10)


def test_each_sequence_has_its_own_exponents() -> None:
    net = vanilla()
    together = net.lyapunov(INPUTS, warm_up=1)
    for b in range(B):
        alone = net.lyapunov(INPUTS[..., b], warm_up=1)["lyapunov_nats"]
        np.testing.assert_allclose(together.loc[together["example"] == b, "lyapunov_nats"], alone, rtol=1e-12)


@pytest.mark.parametrize("axes", ["btf", "tbf", "ftb"])
def test_other_orders_of_the_axes_give_the_same(axes: str) -> None:
    net = vanilla()
    x, y = (a.transpose(["tfb".index(axis) for axis in axes]) for a in (INPUTS, np.zeros((T, 2, B))))
    same = net.lag_curve(INPUTS, np.zeros((T, 2, B))).log10_g
    np.testing.assert_array_equal(net.lag_curve(x, y, axes=axes).log10_g, same)
    np.testing.assert_array_equal(net.states(x, axes=axes)["h"], net.states(INPUTS)["h"])
    symbols, classes = RNG.integers(0, X, (T, B)), RNG.integers(0, 2, (T, B))
    other = [a.T if axes.replace("f", "") == "bt" else a for a in (symbols, classes)]
    np.testing.assert_array_equal(
        net.lag_curve(*other, axes=axes).log10_g, net.lag_curve(symbols, classes).log10_g
    )


def test_a_single_sequence_is_a_batch_of_one() -> None:
    net = vanilla()
    np.testing.assert_array_equal(
        net.lag_curve(INPUTS[..., 0]).log10_g, net.lag_curve(INPUTS[..., :1]).log10_g
    )
    assert net.predict(INPUTS[..., 0].T, axes="bft").shape == (T, 2, 1)
    assert net.predict([0, 1, 2]).shape == (3, 2, 1)


def test_a_mask_chooses_the_last_target() -> None:
    mask = np.ones((T, B), bool)
    mask[8:] = False
    curve = vanilla().lag_curve(INPUTS, np.zeros((T, 2, B)), mask=mask)
    assert len(curve.lags) == 8
    with pytest.raises(ValueError, match=r"^mask: has no effect without targets"):
        vanilla().lag_curve(INPUTS, mask=mask)


def test_a_stack_has_curves_by_layer() -> None:
    net = rl.network("gru", inputs=X, hidden=H, layers=2, dtype="float64")
    frame = net.lag_curve(INPUTS).frame
    assert sorted(frame.loc[frame["quantity"] == "state", "layer"].unique()) == [0, 1, 2]
    assert (net.layers, net.hidden, net.state_size) == (2, H, 2 * H)
    by_time = net.gradient_norms(INPUTS)
    assert sorted(by_time.loc[by_time["quantity"] == "state", "layer"].unique()) == [0, 1, 2]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2])
def test_defaults_and_weights_are_those_of_a_run(cell: str, layers: int) -> None:
    """The network has the weights with which a run of the same seed starts, and the defaults of conf/."""
    lines = [f"cell={cell}", f"layers={layers}", "task=adding", "seed=7"]
    [job] = compose_plan(conf_dir(), lines, multirun=False).jobs
    experiment = build(job.config)
    own = experiment.trainer.model.init_params(
        generators(7)[0], experiment.settings.init, experiment.settings.dtype
    )
    net = rl.network(cell, inputs=2, outputs=1, seed=7, layers=layers)
    assert {name: array.dtype for name, array in net.params.items()} == {n: a.dtype for n, a in own.items()}
    assert all((net.params[name] == array).all() for name, array in own.items())
    assert net.model.cell == experiment.trainer.model.cell


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "cell": ({"cell": "lsmt"}, r"^cell=lsmt: unknown option; did you mean lstm\? allowed: gru, lstm, rnn$"),
    "sizes": ({"inputs": 0, "outputs": 1.5}, r"^inputs=0: must be an integer.*\noutputs=1.5: must be"),
    "hidden": ({"hidden": -1}, "^hidden_size=-1: must be greater than or equal to 1$"),
    "another name": ({"hidden_size": 4}, r"^hidden_size: no such argument of a network; did you mean hidden\?$"),
    "not of a network": ({"lr": 1}, "^lr: does not affect a network; allowed: cell, inputs, hidden, outputs"),
    "in overrides": ({"overrides": ["lr=1"]}, "^overrides='lr=1': lr: does not affect a network"),
    "size in overrides": ({"overrides": ["hidden_size=4"]}, "^overrides='hidden_size=4': hidden_size: no such"),
    "a string": ({"overrides": "seed=1"}, "^overrides='seed=1': must be a list of strings of the form key=value"),
    "memory": ({"hidden": 10**7}, "^hidden_size=10000000.*: needs about .* of memory, mostly for the weights; this machine has"),
    "key of the cell": ({"forget_bias": 1}, r"^forget_bias: a key of the cell; use overrides=\['cell.forget_bias=VALUE'\]$"),
    "contradiction": ({"layers": 2, "overrides": ["layers=1"]}, "^layers: given more than once; give it once$"),
    "cell twice": ({"overrides": ["cell=rnn"]}, "^overrides='cell=rnn': pass the cell as an argument$"),
    "cells": ({"cell": ["lstm"]}, r"^cell=\['lstm'\]: must be the name of a cell$"),
    "no list": ({"overrides": 5}, "^overrides=5: must be a list of strings"),
    "cell by number": ({"cell": 5}, "^cell=5: must be the name of a cell$"),
    "a seed": ({"seed": "a"}, "^seed=a: must be an integer"),
    "unknown key": ({"overrides": ["cell.bais=1"]}, r"^cell.bais=1: unknown key of cell=rnn; did you mean cell.bias\?"),
    "a value": ({"dtype": "float16"}, "^dtype=float16: must be 'float32' or 'float64'"),
    "an object": ({"layers": object()}, "^layers=<object.*>: has the type object; must be a number"),
    "two": ({"cell": "lsmt", "dtype": "float16"}, r"^cell=lsmt: .*\ndtype=float16: "),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_network_is_reported(mistake: str) -> None:
    arguments, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message) as raised:
        rl.network(**({"inputs": 3} | arguments))
    assert type(raised.value) is ValueError and raised.value.__cause__ is None


def test_the_order_of_torch_is_recognised() -> None:
    net = rl.network("rnn", inputs=3)
    x = np.random.default_rng(2).standard_normal((4, 50, 3))
    with pytest.raises(
        ValueError, match=r"for \(batch, time, features\), did you mean x.transpose\(1, 2, 0\)"
    ) as raised:
        net.lag_curve(x)
    assert "for (time, batch, features), did you mean x.transpose(0, 2, 1) or axes='tbf'?" in str(
        raised.value
    )
    same = net.lag_curve(x, axes="btf").log10_g
    np.testing.assert_array_equal(net.lag_curve(x.transpose(1, 2, 0)).log10_g, same)
    np.testing.assert_array_equal(net.lag_curve(x.swapaxes(0, 1), axes="tbf").log10_g, same)


BAD_INPUTS: dict[str, tuple[Any, Any, str]] = {
    "text": ("abc", None, r"^x: must have the shape \(time, 3, batch\), or \(time, batch\) for integer symbols"),
    "complex": (np.zeros((5, 3, 1), complex), None, "^x: must have .* got complex128"),
    "nan": (np.full((5, 3, 1), np.nan), None, "^x: contains NaN or infinity, first at time step 1; must be finite"),
    "too large": (np.full((5, 3, 1), 1e300), None, "^x: contains NaN or infinity in float32"),
    "empty": (np.zeros((0, 3, 1)), None, "^x: must have .* empty shape"),
    "symbols": (np.full((5, 2), 3), None, "^x: has symbols from 3 to 3; must be 0 to 2"),
    "ragged": ([[1.0], [1.0, 2.0]], None, "^x: cannot be converted to a NumPy array"),
    "other outputs": (np.zeros((5, 3, 1)), np.zeros((5, 2, 1)), "^y: has 2 features .* the network has 1 outputs"),
    "other batch": (np.zeros((5, 3, 1)), np.zeros((5, 1, 2)), "^y: expected .* got float32 of shape"),
    "classes": (np.zeros((5, 3, 1)), np.full((5, 1), 4), "^y: has classes from 4 to 4; must be 0 to 0"),
    "flat": (np.zeros((5, 3, 1)), np.zeros(5), r"^y: must be integer classes of shape \(time, batch\)"),
    "targets nan": (np.zeros((5, 3, 1)), np.full((5, 1, 1), np.inf), "^y: contains NaN or infinity"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_arrays_are_reported(case: str) -> None:
    x, y, message = BAD_INPUTS[case]
    with pytest.raises(ValueError, match=message):
        rl.network("rnn", inputs=3).lag_curve(x, y)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda net: net.state_jacobian(INPUTS, t=0),
            "^t=0: allowed are the time steps 1 to 12$",
        ),
        (lambda net: net.state_jacobian(INPUTS, t=1.5), "^t=1.5: allowed are"),
        (
            lambda net: net.singular_values(INPUTS, [13]),
            "^lags=13: allowed are the lags 1 to 12$",
        ),
        (
            lambda net: net.lyapunov(INPUTS[:11]),
            "^x: has 11 time steps; must have at least 12 with warm_up=1",
        ),
        (lambda net: net.lyapunov(INPUTS, exponents=0), "^exponents=0: allowed are the integers 1 or more$"),
        (lambda net: net.lag_curve(INPUTS, target=13), "^target=13: allowed are"),
        (lambda net: net.lag_curve(INPUTS, TARGETS, target="last"), "^target='last': allowed are"),
        (lambda net: net.lag_curve(INPUTS, seed="a"), "^seed='a': allowed are the integers 0 or more$"),
        (lambda net: net.lag_curve(INPUTS, TARGETS, mask="yes"), "^mask: must be booleans of shape"),
        (lambda net: net.singular_values(INPUTS, []), r"^lags=\[\]: must contain at least one lag$"),
        (lambda net: net.states(INPUTS, axes="bxf"), "^axes='bxf': must contain each of the letters"),
    ],
)
def test_bad_arguments_are_reported(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(vanilla())


ANY_ARRAY = arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_, np.complex128, "U1", object]),
    st.lists(st.integers(0, 4), max_size=4).map(tuple),
)


@given(x=ANY_ARRAY, y=st.none() | ANY_ARRAY, axes=st.sampled_from(["tfb", "btf", "tb", ""]))
def test_any_arrays_are_measured_or_refused_in_one_line(x: Any, y: Any, axes: str) -> None:
    try:
        curve = NET.lag_curve(x, y, axes=axes)
    except ValueError as error:
        assert str(error).startswith(("x: ", "y: ", "axes=")) and "\n" not in str(error), error
    else:
        assert len(curve.lags) and not np.isnan(curve.log10_g).all()


NET = rl.network("rnn", inputs=2, hidden=3)


def test_a_curve_measured_elsewhere_has_the_same_summary() -> None:
    curve = vanilla().lag_curve(INPUTS)
    own = rl.LagCurve.from_values(curve.log10_g)
    assert (own.gain, own.horizon) == (curve.gain, curve.horizon)
    dead = rl.LagCurve.from_values([0.0, -1.0, -np.inf])
    assert dead.gain == 0 and dead.log10_g[-1] == -np.inf
    for values, message in (
        (1.0, r"^log10_g: must have the shape \(lags,\)"),
        ("a", "^log10_g: must be an array"),
    ):
        with pytest.raises(ValueError, match=message):
            rl.LagCurve.from_values(values)


def test_one_network_among_several_in_a_figure() -> None:
    import pandas as pd

    frames = [rl.network(cell, inputs=X, hidden=H).lag_curve(INPUTS).frame for cell in ("rnn", "lstm")]
    ax = rl.draw_lag_curves(pd.concat(frames, ignore_index=True), hue="cell")
    assert len(ax.lines) == 2


def test_defaults_of_lyapunov_are_those_of_the_measurement() -> None:
    options = yaml.safe_load((conf_dir() / "measurement" / "lyapunov.yaml").read_text(encoding="utf-8"))
    assert (options["exponents"], options["warm_up"]) == (MAX_EXPONENTS, MAX_WARM_UP)


def test_dotted_keys_and_numpy_sizes_are_accepted() -> None:
    net = rl.network("lstm", inputs=np.int64(3), hidden=np.int64(4), **{"cell.forget_bias": 2})  # type: ignore[arg-type]
    assert (
        net.model.cell == rl.network("lstm", inputs=3, hidden=4, overrides=["cell.forget_bias=2"]).model.cell
    )


def test_two_curves_in_one_figure_are_distinguishable() -> None:
    ax = vanilla().lag_curve(INPUTS).plot()
    rl.network("lstm", inputs=X, hidden=H).lag_curve(INPUTS).plot(ax)
    assert len({line.get_color() for line in ax.lines}) == 2
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(words) == 2 and words[0].startswith("rnn") and "horizon" in words[1]
