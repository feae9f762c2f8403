"""The probe of a torch training loop: exact numbers, and no trace in the training."""

import numpy as np
import pandas as pd
import pytest

import rnnlab as rl
import rnnlab.torch
from rnnlab.library.curves import UNIT_LOSS, LagCurve
from rnnlab.torch.layers import cell_and_params

torch = pytest.importorskip("torch")
from tests.torch.reference import log10_gmean, unrolled  # noqa: E402

nn = torch.nn
T, B, X, H = 9, 4, 3, 5
MODULES = {
    "rnn": lambda **keys: nn.RNN(X, H, dtype=torch.float64, **keys),
    "relu": lambda **keys: nn.RNN(X, H, nonlinearity="relu", dtype=torch.float64, **keys),
    "lstm": lambda **keys: nn.LSTM(X, H, dtype=torch.float64, **keys),
    "gru": lambda **keys: nn.GRU(X, H, dtype=torch.float64, **keys),
}
SHAPES = {
    "plain": {},
    "without bias": {"bias": False},
    "batch first": {"batch_first": True},
    "three layers": {"num_layers": 3},
    "dropout": {"num_layers": 3, "dropout": 0.3},
    "bidirectional": {"bidirectional": True},
    "bidirectional layers": {"num_layers": 2, "bidirectional": True, "dropout": 0.3},
}


def inputs(seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((T, B, X)))


def start_of(module):
    rng, size = np.random.default_rng(1), module.num_layers * (2 if module.bidirectional else 1)
    drawn = [
        torch.from_numpy(rng.standard_normal((size, B, H))) for _ in range(2 if module.mode == "LSTM" else 1)
    ]
    return tuple(drawn)


def loss_of(output, finals):
    """A mean over the sequences that uses all outputs and all final states."""
    rng = np.random.default_rng(2)
    total = sum(
        (part * torch.from_numpy(rng.standard_normal(part.shape))).sum() for part in (output, *finals)
    )
    return total / B


def states_of(last):
    return last if isinstance(last, tuple) else (last,)


def values(frame, quantity, layer=1, direction=None):
    rows = frame[(frame["quantity"] == quantity) & (frame["layer"] == layer) & frame["timestep"].notna()]
    rows = rows[rows["direction"] == direction] if direction else rows
    return rows.sort_values("timestep")["log10_gmean"].to_numpy(float)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", MODULES)
def test_gradients_are_those_of_autograd(kind, shape):
    module, x = MODULES[kind](**SHAPES[shape]), inputs()
    start = start_of(module)
    given = x.transpose(0, 1) if module.batch_first else x
    torch.manual_seed(3)
    with rnnlab.torch.watch(module) as probe:
        output, last = module(given, start if kind == "lstm" else start[0])
        loss_of(output.transpose(0, 1) if module.batch_first else output, states_of(last)).backward()
        probe.step()
    torch.manual_seed(3)
    output, finals, found = unrolled(module, x, start)
    loss_of(output, finals).backward()
    ways = ("forward", "reverse") if module.bidirectional else (None,)
    for index, steps in enumerate(found):
        layer, way = divmod(index, len(ways))
        for i, name in enumerate("hc"[: len(steps[0])]):
            expected = log10_gmean([steps[t][i] for t in range(T)]) + np.log10(B)
            actual = values(probe.gradients, name, layer + 1, ways[way])
            assert actual == pytest.approx(expected, abs=1e-10), (layer, way, name)


@pytest.mark.parametrize("kind", MODULES)
def test_packed_sequences_are_measured_over_their_own_length(kind):
    module, x, lengths = MODULES[kind](bidirectional=True), inputs(), torch.tensor([4, 9, 2, 7])
    start = start_of(module)
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    with rnnlab.torch.watch(module, reduction="sum") as probe:
        output, last = module(packed, start if kind == "lstm" else start[0])
        loss_of(nn.utils.rnn.pad_packed_sequence(output)[0], states_of(last)).backward()
        probe.step()
    output, finals, found = unrolled(module, x, start, lengths)
    loss_of(output, finals).backward()
    for way, steps in zip(("forward", "reverse"), found, strict=True):
        norms = np.array([steps[t][0].grad.norm(dim=1).numpy() for t in range(T)])
        is_there = np.arange(T)[:, None] < lengths.numpy()
        with np.errstate(divide="ignore"):
            logs = np.where(is_there, np.log10(norms), 0)
        expected = logs.sum(axis=1) / is_there.sum(axis=1)
        assert values(probe.gradients, "h", 1, way) == pytest.approx(expected, abs=1e-10)


def test_the_lag_curve_of_a_packed_sequence_starts_at_its_own_end():
    module, x = MODULES["gru"](), inputs()[:, :2]
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([9, 4]))
    with rnnlab.torch.watch(module, every=1) as probe:
        for given in (packed, x[:, :1], x[:4, 1:]):
            output = module(given)[0]
            (output.data if given is packed else output).sum().backward()
            probe.step()
    both, long, short = (probe.lag_curve(step).log10_g for step in range(3))
    assert both[:4] == pytest.approx((long[:4] + short) / 2, abs=1e-10)
    assert both[4:] == pytest.approx(long[4:], abs=1e-10)


def test_immediate_gradients_are_those_of_the_loss_at_the_same_time_step():
    module, x = MODULES["lstm"](), inputs()
    with rnnlab.torch.watch(module) as probe:
        output, _ = module(x)
        output.retain_grad()
        output.pow(2).sum().div(B).backward()
        probe.step()
    norms = np.log10((output.grad.norm(dim=2) * B).numpy()).mean(axis=1)
    assert values(probe.gradients, "h_immediate") == pytest.approx(norms, abs=1e-10)
    norms = np.log10(output.detach().norm(dim=2).numpy()).mean(axis=1)
    assert values(probe.gradients, "h_norm") == pytest.approx(norms, abs=1e-10)


def test_immediate_gradients_of_a_lower_layer_pass_through_the_layers_above():
    module, x = MODULES["gru"](num_layers=2, bidirectional=True), inputs()
    lower, upper = nn.GRU(X, H, bidirectional=True), nn.GRU(2 * H, H, bidirectional=True)
    lower.double().load_state_dict({k: v for k, v in module.state_dict().items() if "_l0" in k})
    upper.double().load_state_dict(
        {k.replace("_l1", "_l0"): v for k, v in module.state_dict().items() if "_l1" in k}
    )
    with rnnlab.torch.watch(module) as probe:
        output, _ = module(x)
        output.retain_grad()
        output.pow(2).sum().div(B).backward()
        probe.step()
    below = lower(x)[0].detach()
    states = upper(below)[0].detach()
    norms = []
    for t in range(len(x)):
        given, zero = below[t : t + 1].clone().requires_grad_(), torch.zeros(B, H, dtype=torch.float64)
        before = states[t - 1, :, :H] if t else zero, states[t + 1, :, H:] if t + 1 < len(x) else zero
        upper(given, torch.stack(before))[0].backward(output.grad[t : t + 1])
        norms.append(np.log10(B * given.grad[0, :, :H].norm(dim=1).numpy()).mean())
    assert values(probe.gradients, "h_immediate", 1, "forward") == pytest.approx(norms, abs=1e-10)


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("layers", [1, 2])
def test_lag_curves_are_those_of_rnnlab(kind, layers):
    from rnnlab.cells import Stack
    from rnnlab.diagnostics import ln_unit_lag_curves

    module, x = MODULES[kind](num_layers=layers), inputs()
    with rnnlab.torch.watch(module, every=1) as probe:
        module(x)[0].sum().backward()
        probe.step()
    cells, params = [], {}
    for layer in range(layers):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = {name: getattr(module, f"{name}_l{layer}").detach().numpy() for name in names}
        cell, own = cell_and_params(module.mode, weights)
        cells.append(cell)
        params |= own if layers == 1 else {f"l{layer + 1}.{name}": values for name, values in own.items()}
    cell = cells[0] if layers == 1 else Stack.of(cells, residual=False)
    tape = cell.forward(params, np.ascontiguousarray(x.numpy().transpose(0, 2, 1)))
    logs = ln_unit_lag_curves(cell, params, tape)
    keys = ["layer", "quantity", "lag"]
    columns = [*keys, "mean", "median", "max", "log10_gmean", "zero_fraction"]
    frames = [
        curve.frame.astype({"quantity": str})[columns].sort_values(keys).reset_index(drop=True)
        for curve in (probe.lag_curve(), LagCurve.from_logs(logs, "expected", UNIT_LOSS, "own"))
    ]
    pd.testing.assert_frame_equal(*frames, rtol=1e-9)


def test_the_curve_of_a_loss_at_one_time_step_is_that_of_autograd():
    module, x = MODULES["gru"](num_layers=2), inputs()
    with rnnlab.torch.watch(module, every=1) as probe:
        _, last = module(x)
        loss_of(last[-1:], ()).backward()
        probe.step()
        module(x)[0].sum().backward()
        probe.step()
    _, finals, found = unrolled(module, x)
    loss_of(finals[0][-1:], ()).backward()
    curve = probe.lag_curve(step=0, own_loss=True)
    rows = curve.frame[(curve.frame["quantity"] == "h") & (curve.frame["layer"] == 1)].sort_values("lag")
    expected = log10_gmean([found[0][t][0] for t in reversed(range(T))]) + np.log10(B)
    assert rows["log10_gmean"].to_numpy() == pytest.approx(expected, abs=1e-10)
    with pytest.raises(ValueError, match="at several time steps"):
        probe.lag_curve(own_loss=True)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", MODULES)
def test_the_probe_and_a_copied_network_have_the_same_weights(kind, bias):
    module = MODULES[kind](bias=bias)
    net = rl.from_torch(module)
    names = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if bias else ()))
    weights = {name: getattr(module, f"{name}_l0").detach().numpy() for name in names}
    cell, params = cell_and_params(module.mode, weights)
    assert cell == net.model.cell
    assert {name: a.tobytes() for name, a in params.items()} == {
        name: net.params[name].tobytes() for name in params
    }


def test_gradients_that_vanish_do_not_underflow():
    module = nn.RNN(X, H)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.weight_hh_l0.copy_(0.5 * torch.eye(H))
    with rnnlab.torch.watch(module) as probe:
        module(torch.zeros(600, 2, X))[0][-1].sum().backward()
        probe.step()
    assert probe.lag_curve().log10_g == pytest.approx(np.log10(0.5) * np.arange(600), abs=1e-3)
    rows = values(probe.gradients, "h")
    assert rows[0] - rows[-1] == pytest.approx(599 * np.log10(0.5), abs=1e-3)
