"""The probe leaves no trace in the training, and refuses what it cannot measure."""

import copy
import pickle
import warnings

import matplotlib
import pandas as pd
import pytest

import rnnlab.torch
from rnnlab.analysis import draw_lag_curves, draw_time_heatmap

torch = pytest.importorskip("torch")
from tests.torch.test_torch_probe import MODULES, H, X, inputs, values  # noqa: E402

nn = torch.nn


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


def test_copies_of_a_watched_model_have_no_working_hooks():
    module = MODULES["gru"]()
    with rnnlab.torch.watch(module, every=1) as probe:
        for copied in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            copied(inputs())[0].sum().backward()
            assert not probe._calls


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_chaotic_and_exploding_networks_are_measured(nonlinearity):
    torch.manual_seed(0)
    module = nn.RNN(X, 32, nonlinearity=nonlinearity)
    with torch.no_grad():
        module.weight_hh_l0.normal_(0, 3 / 32**0.5)
    probe = one_step(module, torch.randn(150, 2, X))
    assert probe.lag_curve().gain > 1.2


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("name", ["weight_hh_l0", "bias_hh_l0"])
def test_non_finite_weights_do_not_stop_the_training(kind, name):
    module = MODULES[kind]().float()
    with torch.no_grad():
        getattr(module, name)[-1] = float("nan")
    assert one_step(module, inputs().float()).gradients["log10_gmean"].isna().any()


def test_modules_of_one_and_two_directions_are_measured_together(tmp_path):
    model = nn.ModuleDict({"one": nn.GRU(X, H), "two": nn.LSTM(X, H, bidirectional=True)})
    with rnnlab.torch.watch(model, folder=tmp_path) as probe:
        (model["one"](inputs().float())[0].sum() + model["two"](inputs().float())[0].sum()).backward()
        probe.step()
    stored = pd.read_parquet(tmp_path)
    assert set(zip(stored["run"], stored["direction"], strict=True)) == {
        ("one", "forward"),
        ("two", "forward"),
        ("two", "reverse"),
    }
    assert probe.lag_curve(module="two", direction="reverse").name == "two reverse, step 0"
    with pytest.raises(ValueError, match="module=None: must be one of 'one', 'two'"):
        probe.lag_curve()
    with pytest.raises(ValueError, match="direction='reverse': must be None"):
        probe.lag_curve(module="one", direction="reverse")


def test_measurements_in_a_folder_are_replaced_only_on_request(tmp_path):
    def stored(runs=1, **keys):
        with rnnlab.torch.watch(MODULES["rnn"](), every=1, folder=tmp_path / "made", **keys) as probe:
            for _ in range(runs):
                probe._modules["rnn"](inputs()[:3])[0].sum().backward()
                probe.step()
        return sorted(path.name[-11:-8] for path in (tmp_path / "made").iterdir())

    assert stored(3) == ["000", "001", "002"]
    with pytest.raises(ValueError) as caught:
        rnnlab.torch.watch(MODULES["rnn"](), folder=tmp_path / "made", start=1)
    assert str(caught.value) == (
        f"folder={tmp_path / 'made'}: has measurements of the training steps 1 to 2; pass another folder, "
        "replace=True to delete them, or start=3 to continue"
    )
    assert stored(start=3) == ["000", "001", "002", "003"]
    assert stored(start=2, replace=True) == ["000", "001", "002"]
    assert stored(replace=True) == ["000"]


def test_two_probes_in_one_folder_keep_the_first_measurement(tmp_path):
    probes = [rnnlab.torch.watch(MODULES["rnn"](), every=1, folder=tmp_path) for _ in range(2)]
    for seed, probe in enumerate(probes):
        probe._modules["rnn"](inputs(seed)[:3])[0].sum().backward()
    probes[0].step()
    [file] = tmp_path.iterdir()
    content = file.read_bytes()
    with pytest.warns(RuntimeWarning, match="another probe uses the same folder"):
        probes[1].step()
    assert file.read_bytes() == content and probes[1].steps == [0]
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^folder=.+file/below: cannot be written \(Not a directory\)$"):
        rnnlab.torch.watch(MODULES["rnn"](), folder=tmp_path / "file" / "below")
    with pytest.raises(ValueError, match=r"^replace=1: must be True or False$"):
        rnnlab.torch.watch(MODULES["rnn"](), folder=tmp_path, replace=1)


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


def test_half_precision_is_converted_and_reported_once():
    module = nn.LSTM(X, H)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            module(inputs().float())
    except RuntimeError:
        pytest.skip("torch has no LSTM in bfloat16 for this processor")
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
def test_unmeasurable_networks_are_refused_in_one_line(x, prepare, message):
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
        (lambda: nn.GRU(3, 5), {"start": -1}, "start=-1: must be an integer of at least 0"),
        (lambda: nn.GRU(3, 5), {"reduction": "max"}, "must be 'mean' or 'sum'"),
        (lambda: nn.GRU(3, 5), {"sequences": 0}, "sequences=0: must be an integer of at least 1"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(model, keys, message):
    with pytest.raises(ValueError, match=message):
        rnnlab.torch.watch(model(), **keys)


def test_evaluation_and_unscheduled_steps_are_not_copied():
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
