"""A bidirectional nn.LSTM in `watch`, `from_torch` and the command: measured, or refused in one line."""

import numpy as np
import pytest

import rnnlab as rl
import rnnlab.torch
from rnnlab.commands.measure import main

torch = pytest.importorskip("torch")
T, B, X, H = 9, 4, 3, 5
SIGN = {"forward": 1, "reverse": -1}


def bidirectional(layers):
    torch.manual_seed(layers)
    recurrent = torch.nn.LSTM(X, H, layers, bidirectional=True, dtype=torch.float64)
    return torch.nn.ModuleDict({"rnn": recurrent, "fc": torch.nn.Linear(2 * H, 2, dtype=torch.float64)})


@pytest.mark.parametrize("layers", [1, 2])
def test_each_direction_of_the_bottom_layer_is_the_same_in_all_three(layers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rnnlab.library.measuring.draw_figures", lambda place: None)
    model, x = bidirectional(layers), np.random.default_rng(0).standard_normal((T, X, B))
    with rnnlab.torch.watch(model, every=1) as probe:
        outputs, _ = model["rnn"](torch.from_numpy(x.transpose(0, 2, 1).copy()))
        model["fc"](outputs[-1]).sum().backward()
        probe.step()
    found = probe.gradients[probe.gradients["lag"].notna() & (probe.gradients["quantity"] == "state")]
    np.savez("w.npz", **{name: value.numpy() for name, value in model.state_dict().items()})
    np.save("x.npy", x)
    for direction, sign in SIGN.items():
        rows = found[(found["layer"] == 1) & (found["direction"] == direction)].sort_values("lag")
        net = rl.from_torch(model, direction=direction, layers=1)
        expected = net.lag_curve(x[::sign]).log10_g
        np.testing.assert_allclose(rows["log10_gmean"], expected, rtol=0, atol=1e-10)
    options = ["--direction", "reverse", "--layers", "1", "--folder", "run", "--no-tracking"]
    assert main(["w.npz", "--inputs", "x.npy", *options]) == 0
    np.testing.assert_allclose(rl.load_run("run").lag_curve().log10_g, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("layers", "options", "problem"),
    [
        (1, [], "direction: the module is bidirectional; pass --direction forward or --direction reverse"),
        (
            2,
            ["--direction", "reverse"],
            "pass --layers 1, or measure all layers during training with rnnlab.torch",
        ),
        (
            1,
            ["--direction", "forward", "--readout", "fc"],
            "it reads both directions, so measure one without",
        ),
    ],
)
def test_unsupported_modules_are_refused_in_one_line(layers, options, problem, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    state = {name: value.numpy() for name, value in bidirectional(layers).state_dict().items()}
    np.savez("w.npz", **state)
    np.save("x.npy", np.zeros((T, X, B)))
    assert main(["w.npz", "--inputs", "x.npy", *options, "--folder", "run", "--no-tracking"]) == 2
    error = capsys.readouterr().err
    assert problem in error and error.count("\n") == 1 and not (tmp_path / "run").exists()
