"""The probe of a torch training loop: exact numbers, and no trace in the training."""

import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest

import rnnlab.torch
from rnnlab.analysis import draw_lag_curves, draw_time_heatmap
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
    ways = ("forward", "backward") if module.bidirectional else (None,)
    for index, steps in enumerate(found):
        layer, way = divmod(index, len(ways))
        for i, name in enumerate("hc"[: len(steps[0])]):
            expected = log10_gmean([steps[t][i] for t in range(T)]) + np.log10(B)
            actual = values(probe.gradients, name, layer + 1, ways[way])
            assert actual == pytest.approx(expected, abs=1e-10), (layer, way, name)


@pytest.mark.parametrize("kind", MODULES)
def test_packed_sequences_are_measured_over_their_own_length(kind):
    module, x, lengths = MODULES[kind](bidirectional=True), inputs(), torch.tensor([4, 9, 2, 7])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    with rnnlab.torch.watch(module, reduction="sum") as probe:
        output, last = module(packed)
        loss_of(nn.utils.rnn.pad_packed_sequence(output)[0], states_of(last)).backward()
        probe.step()
    output, finals, found = unrolled(module, x, None, lengths)
    loss_of(output, finals).backward()
    for way, steps in zip(("forward", "backward"), found, strict=True):
        norms = np.array([steps[t][0].grad.norm(dim=1).numpy() for t in range(T)])
        is_there = np.arange(T)[:, None] < lengths.numpy()
        with np.errstate(divide="ignore"):
            logs = np.where(is_there, np.log10(norms), 0)
        expected = logs.sum(axis=1) / is_there.sum(axis=1)
        assert values(probe.gradients, "h", 1, way) == pytest.approx(expected, abs=1e-10)


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


class Language(nn.Module):
    """Embedding → LSTM → Linear, with dropout."""

    def __init__(self):
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(11, 6), nn.Dropout(0.2)
        self.recurrent, self.head = nn.LSTM(6, 7, num_layers=2, dropout=0.4), nn.Linear(7, 11)

    def forward(self, symbols):
        return self.head(self.dropout(self.recurrent(self.dropout(self.embedding(symbols)))[0]))


def train(probed, folder=None, fail=False):
    torch.manual_seed(0)
    model = Language()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    losses, probe = [], rnnlab.torch.watch(model, every=2, folder=folder) if probed else None
    for _ in range(5):
        symbols = torch.randint(0, 11, (12, 3))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(symbols[:-1]).flatten(0, 1), symbols[1:].flatten())
        loss.backward()
        if probe:
            probe.step()
        optimizer.step()
        with torch.no_grad():
            model(symbols)
        losses.append(loss.item())
    found = [*losses, *(p.detach().numpy().tobytes() for p in model.parameters())]
    found += [p.grad.numpy().tobytes() for p in model.parameters()]
    if probe:
        probe.close()
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    return [*found, torch.get_rng_state().numpy().tobytes()], probe


def test_training_is_bit_identical_with_and_without_the_probe(tmp_path):
    plain, _ = train(probed=False)
    probed, probe = train(probed=True, folder=tmp_path)
    assert plain == probed
    assert probe.steps == [0, 2, 4] and set(probe.gradients["run"]) == {"recurrent"}
    assert repr(probe) == "Probe(recurrent: every 2 steps, 3 measured, closed)"
    stored = pd.read_parquet(tmp_path)
    assert len(stored) == len(probe.gradients) and set(stored["step"]) == {0, 2, 4}
    assert list(stored.columns) == list(probe.gradients.columns)


def test_figures_accept_the_measurements():
    matplotlib.use("agg")
    _, probe = train(probed=True)
    axes = probe.plot()
    assert "recurrent" in axes.get_title(loc="left") and "(step 4)" in axes.get_title(loc="left")
    assert draw_time_heatmap(probe.gradients[probe.gradients["layer"] == 2]) is not None
    assert draw_lag_curves(probe.gradients) is not None
    assert probe.lag_curve(step=2).summary.regime and probe.lag_curve().lags[-1] == 10
    with pytest.raises(ValueError, match=r"step=3: not measured; measured steps: 0, 2, 4"):
        probe.lag_curve(step=3)
    matplotlib.pyplot.close("all")


def test_hooks_are_removed_after_an_exception():
    module = MODULES["lstm"]()
    with pytest.raises(RuntimeError, match="own"), rnnlab.torch.watch(module):
        module(inputs())
        raise RuntimeError("own")
    assert not module._forward_hooks and not module._forward_pre_hooks


def one_step(module, *calls, **keys):
    """Train one step with the sum of the outputs as the loss, and return the probe."""
    with rnnlab.torch.watch(module, **keys) as probe:
        for x in calls:
            module(x)[0].sum().backward()
        probe.step()
    return probe


def test_a_sequence_without_a_batch_axis_is_a_batch_of_one():
    module, x = MODULES["gru"](), inputs()
    single, batch = (one_step(module, part) for part in (x[:, 0], x[:, :1]))
    pd.testing.assert_frame_equal(single.gradients, batch.gradients)


def test_the_last_of_several_calls_is_measured():
    module, x = MODULES["gru"](), inputs()
    with pytest.warns(RuntimeWarning, match="called several times in one step; the last call is measured"):
        probe = one_step(module, inputs(5), x)
    pd.testing.assert_frame_equal(probe.gradients, one_step(module, x).gradients)


def test_a_loss_scale_is_divided_out():
    module, x = MODULES["gru"](), inputs()
    with rnnlab.torch.watch(module) as probe:
        (module(x)[0].sum() * 1024).backward()
        probe.step(loss_scale=1024)
    assert values(probe.gradients, "h") == pytest.approx(values(one_step(module, x).gradients, "h"))


def test_half_precision_is_converted_and_said_once():
    module = nn.LSTM(X, H)
    with rnnlab.torch.watch(module, every=1) as probe, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                output = module(inputs().float())[0]
            output.float().sum().backward()
            probe.step()
    assert [str(one.message) for one in caught if "rnnlab" in str(one.message)] == [
        "rnnlab.torch: lstm: tensors of half precision are converted to float32"
    ]
    assert probe.steps == [0, 1]


@pytest.mark.parametrize(
    ("x", "prepare", "message"),
    [
        (inputs()[:1], None, r"one time step per call; measure such a loop with rnnlab.torch.lag_curve"),
        (inputs(), lambda module: module.requires_grad_(False), "no backward pass reached"),
        (inputs(), lambda module: module.register_forward_hook(lambda *a: (a[2][0] + 1, a[2][1])), "differ"),
        (
            nn.utils.rnn.pack_padded_sequence(inputs(), torch.tensor([9, 8, 7, 6])),
            lambda module: setattr(module, "dropout", 0.5),
            "packed sequences and dropout between the layers",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(x, prepare, message):
    module = MODULES["gru"](num_layers=2)
    if prepare is not None:
        prepare(module)
    with pytest.warns(RuntimeWarning, match=message), rnnlab.torch.watch(module) as probe:
        output = module(x)[0]
        total = (output.data if isinstance(output, nn.utils.rnn.PackedSequence) else output).sum()
        if total.requires_grad:
            total.backward()
        probe.step()
    with pytest.raises(ValueError, match=message):
        probe.gradients  # noqa: B018


@pytest.mark.parametrize(
    ("model", "keys", "message"),
    [
        (lambda: nn.LSTM(3, 5, proj_size=2), {}, "lstm: proj_size=2 is not supported; must be 0"),
        (lambda: nn.LSTMCell(3, 5), {}, r"measure them with rnnlab.torch.lag_curve\(step, state, x\)"),
        (lambda: nn.Linear(3, 5), {}, "contains no nn.RNN, nn.LSTM or nn.GRU"),
        (lambda: 3, {}, "must be a torch.nn.Module, got int"),
        (lambda: nn.GRU(3, 5), {"every": 0}, "every=0: must be an integer of at least 1"),
        (lambda: nn.GRU(3, 5), {"reduction": "max"}, "must be 'mean' or 'sum'"),
        (lambda: nn.GRU(3, 5), {"sequences": 0}, "sequences=0: must be an integer of at least 1"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(model, keys, message):
    with pytest.raises(ValueError, match=message):
        rnnlab.torch.watch(model(), **keys)


def test_evaluation_and_steps_that_are_not_due_leave_no_copy():
    module = MODULES["gru"]()
    with rnnlab.torch.watch(module, every=2) as probe:
        module(inputs())[0].sum().backward()
        with torch.no_grad():
            module(inputs(7))
        probe.step()
        module(inputs())
        assert not probe._calls
        probe.step()
    assert probe.steps == [0]
    pd.testing.assert_frame_equal(probe.gradients, one_step(module, inputs()).gradients)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_of_a_gpu_are_copied():
    module = nn.GRU(X, H).cuda()
    assert one_step(module, inputs().float().cuda()).steps == [0]
