"""Measurements of a recorded call of a torch module, without torch."""

from dataclasses import replace

import numpy as np
import pytest

import rnnlab as rl
from rnnlab.torch.calls import Call
from rnnlab.torch.measuring import Measured, NotReproduced, measure

T, B, X, H = 8, 3, 2, 4
ROWS = {"lstm": [1, 2, 3, 0], "gru": [0, 1, 2], "rnn": [0]}
"""Blocks of rnnlab's rows in the order of torch."""
MODES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN_TANH"}
TARGETS = np.random.default_rng(1).standard_normal((T, 1, B))


def recorded(cell: str, y: np.ndarray) -> tuple[rl.Network, np.ndarray, Call]:
    """Return a network, its inputs, and a call of the torch module with the same weights and gradients."""
    net = rl.network(cell, inputs=X, hidden=H, seed=2, dtype="float64")
    x = np.random.default_rng(0).standard_normal((T, X, B))
    parts = {
        "weight_ih": net.params["W_xh"],
        "weight_hh": net.params["W_hh"],
        "bias_ih": net.params["b_h"][:, 0],
    }
    weights = {
        name: np.concatenate([np.split(values, len(ROWS[cell]))[row] for row in ROWS[cell]])
        for name, values in parts.items()
    }
    weights["bias_hh"] = np.zeros(len(weights["bias_ih"]))
    if cell == "gru":
        weights["bias_hh"][2 * H :] = net.params["b_hn"][:, 0]
    e = np.zeros((T, H, B))
    e[T - len(y) :] = np.einsum("yh,tyb->thb", net.params["W_hy"], net.predict(x)[T - len(y) :] - y) / len(y)
    output = net.states(x)["h"][1:]
    lengths = np.full(B, T)
    call = Call(
        MODES[cell], x, lengths, {}, [[weights]], output, 0.0, None, "float64", lambda values: values, False
    )
    call.grads["output"] = 2 * e / B
    return net, x, call


def column(found: Measured, quantity: str) -> np.ndarray:
    (curve,) = (curve for curve in found.norms if curve.quantity == quantity)
    return curve.log10_gmean


@pytest.mark.parametrize("cell", MODES)
def test_norms_by_time_step_are_those_of_a_network(cell: str) -> None:
    net, x, call = recorded(cell, TARGETS)
    found = measure(call, 32, 4, B, 0)[""]
    frame = net.gradient_norms(x, TARGETS)
    scale = column(found, "h_immediate") - frame[frame["quantity"] == "h_immediate"]["log10_gmean"].to_numpy()
    assert scale == pytest.approx(np.full(T, scale[0]), abs=1e-10)  # the factor of the squared error
    assert 10 ** scale[0] == pytest.approx(round(10 ** scale[0]), rel=1e-10)
    for quantity, rows in frame.groupby("quantity", observed=True):
        own = 0.0 if str(quantity).endswith("_norm") else scale[0]
        assert column(found, str(quantity)) - own == pytest.approx(rows["log10_gmean"].to_numpy(), abs=1e-10)


def test_lag_curves_of_a_loss_exist_for_a_single_time_step() -> None:
    _, _, call = recorded("lstm", TARGETS)
    assert not measure(call, 32, 4, B, 0)[""].own
    _, _, call = recorded("lstm", TARGETS[-1:])
    found = measure(call, 32, 4, B, 0)[""]
    assert np.mean(found.own["c"], axis=1) / np.log(10) == pytest.approx(column(found, "c")[::-1], abs=1e-10)


def test_a_subset_of_the_sequences_is_measured() -> None:
    _, _, call = recorded("gru", TARGETS)
    two = replace(
        call,
        x=call.x[..., :2],
        lengths=call.lengths[:2],
        output=call.output[..., :2],
        grads={"output": call.grads["output"][..., :2]},
    )
    assert column(measure(call, 2, 1, B, 0)[""], "h") == pytest.approx(
        column(measure(two, 9, 9, B, 0)[""], "h")
    )


def test_layers_with_differing_outputs_are_not_measured() -> None:
    _, _, call = recorded("lstm", TARGETS)
    with pytest.raises(NotReproduced, match=r"the outputs differ from those of rnnlab by 0\.01"):
        measure(replace(call, output=call.output + 0.01), 32, 4, B, 0)
