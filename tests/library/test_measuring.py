"""Networks measured as runs: the record is an ordinary run folder, and its values are those of the network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import rnnlab as rl
import rnnlab.library.measuring
import rnnlab.library.networks
from rnnlab.app.config.compose import compose_plan
from rnnlab.library.measuring import LAGS
from rnnlab.paths import conf_dir

T, X, H, B = 24, 3, 5, 2
INPUTS = np.random.default_rng(1).standard_normal((T, X, B))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def network(cell: str = "lstm", **keys: Any) -> rl.Network:
    return rl.network(cell, inputs=X, hidden=H, outputs=2, dtype="float64", **keys)


@pytest.mark.parametrize(("cell", "layers"), [("rnn", 1), ("lstm", 2), ("gru", 1)])
def test_the_record_has_the_values_of_the_network(cell: str, layers: int) -> None:
    net = network(cell, layers=layers)
    run, curve = rl.measure_networks(net, INPUTS), net.lag_curve(INPUTS)
    np.testing.assert_array_equal(run.lag_curve().log10_g, curve.log10_g)
    if layers == 1:
        assert run.summary["grad/horizon"] == curve.horizon and run.summary["grad/gain"] == curve.gain
    exponents = net.lyapunov(INPUTS[..., 0])["lyapunov_nats"]
    assert run.summary["lyapunov/top"] == pytest.approx(exponents[0], rel=1e-12)
    norms = net.gradient_norms(INPUTS)
    found = run.gradients[run.gradients["timestep"].notna() & (run.gradients["quantity"] == "state")]
    expected = norms[norms["quantity"] == "state"]
    keys = ["layer", "timestep"]
    np.testing.assert_array_equal(
        found.sort_values(keys)["log10_gmean"], expected.sort_values(keys)["log10_gmean"]
    )
    singular = run.gradients[run.gradients["quantity"] == "sv_max"].set_index("lag")["log10_gmean"]
    own = net.singular_values(INPUTS).groupby("lag")["log10_sv_max"].mean()
    np.testing.assert_allclose(singular, own.loc[singular.index], rtol=1e-9)


def test_with_targets_the_loss_is_that_of_the_readout() -> None:
    net, y = network(), np.ones((1, 2, B))
    run = rl.measure_networks(net, INPUTS, y)
    np.testing.assert_array_equal(run.lag_curve().log10_g, net.lag_curve(INPUTS, y).log10_g)
    outputs = net.predict(INPUTS)[-1:]
    loss = 0.5 * ((outputs - y) ** 2).sum(axis=1).mean()
    assert run.metrics.loc[run.metrics["metric"] == "train/loss", "value"].item() == pytest.approx(loss)
    assert run.summary["loss"] == "squared_error"


def test_a_record_without_targets_is_marked() -> None:
    run = rl.measure_networks(network(), INPUTS)
    assert run.summary["loss"] == "random unit vector" and run.summary["task"] == "own"
    assert "train/loss" not in set(run.metrics["metric"])


def test_checkpoints_are_steps_of_one_run(here: Path) -> None:
    nets = {50: network(seed=1), 0: network(seed=0), 200: network(seed=2)}
    run = rl.measure_networks(nets, INPUTS, folder="made")
    assert sorted(run.metrics["step"].unique()) == [0, 50, 200]
    for step, net in nets.items():
        np.testing.assert_array_equal(run.lag_curve(step=step).log10_g, net.lag_curve(INPUTS).log10_g)
    last = run.network.params
    assert all((last[name] == array).all() for name, array in nets[200].params.items())
    loaded = rl.load_run("made")
    assert loaded.gradients.equals(run.gradients) and loaded.network.outputs == 2
    assert {path.name for path in (here / "made").iterdir()} >= {"run.json", "gradients.parquet", "figures"}
    assert not (here / "made" / "gradients.arrow").exists()
    assert rl.draw_lag_curves(loaded.gradients, hue="step").has_data()


def test_nothing_is_written_by_default(here: Path) -> None:
    assert rl.measure_networks(network(), INPUTS).folder is None and list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("networks", "x", "message"),
    [
        ({}, INPUTS, "^networks: must contain at least one network"),
        ({-1: network()}, INPUTS, "^networks: has the key -1; must be training steps"),
        ({0: network(), 1: network("rnn")}, INPUTS, "^networks: must all have the same cell"),
        (
            {0: network(), 1: replace(network(), embedding=np.ones((2, X)))},
            INPUTS,
            "^networks: must all have an embedding, or none of them$",
        ),
        (network(), INPUTS[:, :2], "^x: must have the shape"),
    ],
)
def test_mistakes_are_reported(networks: Any, x: Any, message: str, here: Path) -> None:
    with pytest.raises(ValueError, match=message):
        rl.measure_networks(networks, x, folder="made")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("taken", "folder=taken: already in use; each run needs its own folder"),
        ("file", "folder=file: already in use; each run needs its own folder"),
        ("file/below", "folder=file/below: cannot be written (Not a directory)"),
        ("x" * 300, f"folder={'x' * 300}: contains a name that is too long (300 bytes; at most 255)"),
        ("", "folder='': must be the path of a folder or None"),
        (3, "folder=3: must be the path of a folder or None"),
    ],
)
def test_an_unusable_folder_is_reported_in_one_line(folder: Any, message: str, here: Path) -> None:
    (here / "taken").mkdir()
    (here / "file").write_text("own", encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        rl.measure_networks(network("rnn"), INPUTS[:3], folder=folder)
    assert str(caught.value) == message
    assert {path.name: path.is_dir() for path in here.iterdir()} == {"taken": True, "file": False}


def orthogonal(*gains: float) -> rl.Network:
    """Return a linear network whose layers multiply the gradient by known factors per time step."""
    net = network("rnn", layers=len(gains), init="orthogonal", overrides=["cell.nonlinearity=identity"])
    for layer, gain in enumerate(gains, start=1):
        net.params["W_hh" if len(gains) == 1 else f"l{layer}.W_hh"] *= gain
    return net


@pytest.mark.parametrize(
    ("gain", "time", "words"),
    [
        (0.5, T, "vanishes: 1 % is left at lag 7 of 23 (factor 0.5 per time step at long lags)"),
        (1.0, T, "neither vanishes nor explodes: 100 % is left at lag 23 (factor 1 per"),
        (1.5, T, "explodes: it grows by 3.9 decades over 23 lags (factor 1.5 per"),
        (0.9, 10, "neither vanishes nor explodes: 43 % is left at lag 9 (factor 0.9 per"),
        (0.95, 500, "vanishes: 1 % is left at lag 90 of 499 (factor 0.95 per"),
        (1.02, 500, "explodes: it grows by 4.3 decades over 499 lags (factor 1.02 per"),
    ],
)
def test_the_verdict_lists_open_points_and_a_working_command(gain: float, time: int, words: str) -> None:
    line = rl.verdict(rl.measure_networks(orthogonal(gain), np.zeros((time, X, 1))))
    assert line.startswith(f"the gradient {words}"), line
    command = line.partition("try next: ")[2].removeprefix("python -m rnnlab -m ")
    plan = compose_plan(conf_dir(), command.split(), multirun=True)
    assert len(plan.jobs) > 1 and plan.problems == []


def test_the_verdict_names_the_layer_with_the_shortest_reach_and_every_layer_that_explodes() -> None:
    line = rl.verdict(rl.measure_networks(orthogonal(1.0, 0.5), INPUTS))
    assert line.startswith("the gradient of layer 2 vanishes") and "layer 1" not in line, line
    line = rl.verdict(rl.measure_networks(orthogonal(0.8, 0.5), np.zeros((60, X, 1))))
    assert line.startswith("the gradient of layer 2 vanishes"), "both vanish, the second layer sooner"
    line = rl.verdict(rl.measure_networks(orthogonal(0.5, 1.5), INPUTS))
    assert "layer 2 explodes" in line, line


def test_without_a_decay_there_is_no_verdict() -> None:
    run = rl.measure_networks(orthogonal(1.0), INPUTS[:2])
    with pytest.raises(
        ValueError, match=r"recorded no lag curve with a measurable decay; use longer inputs$"
    ):
        rl.verdict(run)


def test_the_lags_are_those_of_the_measurement() -> None:
    import yaml

    options = yaml.safe_load((conf_dir() / "measurement" / "jacobians.yaml").read_text(encoding="utf-8"))
    assert options["lags"] == LAGS


def test_values_that_overflow_are_recorded_as_missing(here: Path) -> None:
    net = network("rnn", overrides=["cell.nonlinearity=identity"])
    net.params["W_hh"] *= 1e200
    run = rl.measure_networks(net, INPUTS, folder="made")
    assert run.outcome == "diverged" and rl.load_run("made").outcome == "diverged"
    silent = rl.measure_networks(network("lstm"), np.zeros_like(INPUTS))
    assert silent.outcome == "finished"


def test_loops_over_time_steps_use_one_blas_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def threads() -> int:
        return max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")

    def spied(module: Any, name: str) -> None:
        own = getattr(module, name)

        def function(*values: Any, **keys: Any) -> Any:
            seen.append(threads())
            return own(*values, **keys)

        monkeypatch.setattr(module, name, function)

    spied(rnnlab.library.measuring, "measure_jacobians")
    for name in ("ln_unit_lag_curves", "norms_by_timestep_of", "log_singular_values", "local_exponents"):
        spied(rnnlab.library.network_measurements, name)
    net = network("rnn")
    with threadpool_limits(2, user_api="blas"):
        if threads() == 1:
            pytest.skip("this BLAS has one thread")
        rl.measure_networks(net, INPUTS)
        net.lag_curve(INPUTS)
        net.gradient_norms(INPUTS)
        net.singular_values(INPUTS)
        net.lyapunov(INPUTS[..., 0])
        assert threads() == 2
    assert len(seen) >= 5 and set(seen) == {1}
