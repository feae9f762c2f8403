"""The command `rnnlab.measure` on weights as other frameworks store them."""

import re
import shlex
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import rnnlab as rl
from rnnlab.commands.measure import main, steps_of
from rnnlab.library import measuring

T, X, B = 30, 3, 4
INPUTS = np.random.default_rng(1).standard_normal((T, X, B)).astype(np.float32)


@cache
def weights(seed: int) -> dict[str, np.ndarray]:
    net = rl.network("lstm", inputs=X, hidden=5, layers=2, seed=seed)
    return net.to_torch_state_dict(prefix="encoder.rnn")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with weights in torch's layout and inputs."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        save_file(weights(seed), tmp_path / f"step{100 * seed}.safetensors")
    np.save("x.npy", INPUTS)
    np.save("btf.npy", INPUTS.transpose(2, 0, 1))
    return tmp_path


def measure(*arguments: str) -> int:
    return main([*arguments, "--no-tracking"])


def test_a_run_folder_and_a_verdict(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert measure("step0.safetensors", "step100.safetensors", "--inputs", "btf.npy", "--axes", "btf") == 0
    out = capsys.readouterr().out
    folder = re.findall(r"^Files: (.+)$", out, re.MULTILINE)[0]
    run = rl.load_run(folder)
    assert sorted(run.metrics["step"].unique()) == [0, 100]
    for step in (0, 100):
        net = rl.load(f"step{step}.safetensors", layout="torch")
        np.testing.assert_array_equal(run.lag_curve(step=step).log10_g, net.lag_curve(INPUTS).log10_g)
    assert (
        "Verdict: the gradient of layer" in out
        and "try next: python -m rnnlab -m task=adding cell=lstm" in out
    )
    assert shlex.split(run.command)[:3] == ["python", "-m", "rnnlab.measure"]


def test_the_recorded_command_repeats_the_measurement(here: Path) -> None:
    assert measure("step0.safetensors", "--inputs", "x.npy", "--folder", "one") == 0
    command = shlex.split(rl.load_run("one").command)[3:]
    place = command.index("--folder") + 1
    assert main([*command[:place], "two", *command[place + 1 :]]) == 0
    one, two = rl.load_run("one"), rl.load_run("two")
    assert one.gradients.drop(columns="run").equals(two.gradients.drop(columns="run"))
    assert rl.load_runs(["one", "two"])["outcome"].tolist() == ["finished"] * 2


def test_symbols_are_looked_up_in_the_embedding_of_each_file(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "draw_figures", lambda _: None)
    rng, symbols = np.random.default_rng(2), np.arange(T * B).reshape(T, B) % 3
    np.save("symbols.npy", symbols)
    rows = [rng.standard_normal((9, X)).astype(np.float32) for _ in range(2)]
    for k, matrix in enumerate(rows):
        net = rl.network("rnn", inputs=X, hidden=4, seed=k)
        save_file(net.to_torch_state_dict("rnn") | {"encoder.weight": matrix}, f"words{k}.safetensors")
    files = ["words0.safetensors", "words1.safetensors", "--nonlinearity", "tanh"]
    arguments = [*files, "--inputs", "symbols.npy", "--folder"]
    assert measure(*arguments, "made", "--embedding", "encoder") == 0
    run = rl.load_run("made")
    for k, matrix in enumerate(rows):
        net = rl.load(f"words{k}.safetensors", nonlinearity="tanh")
        vectors = matrix[symbols].transpose(0, 2, 1)
        np.testing.assert_array_equal(run.lag_curve(step=k).log10_g, net.lag_curve(vectors).log10_g)
    assert "Note" not in capsys.readouterr().out
    assert measure(*arguments, "one-hot") == 0
    assert capsys.readouterr().out.startswith(
        "Note: x: integers are read as one-hot vectors; encoder.weight is a matrix with 3 columns: pass "
        "--embedding encoder.weight to look symbols up in it\nFiles: one-hot\n"
    )
    np.save("symbols.npy", symbols + 5)
    assert measure(*arguments, "none") == 2
    assert (
        "x: has symbols from 5 to 7; must be 0 to 2, because the network has 3 inputs; encoder.weight is a"
        in (capsys.readouterr().err)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["step0.safetensors", "--inputs", "btf.npy"], "x: must have the shape (time, 3, batch)"),
        (["none.safetensors", "--inputs", "x.npy"], "none.safetensors: cannot be read (no such file)"),
        (["step0.safetensors", "--inputs", "none.npy"], "--inputs none.npy: not found"),
        (
            ["step0.safetensors", "--inputs", "step0.safetensors"],
            "--inputs step0.safetensors: must be a .npy file",
        ),
        (["step0.safetensors", "--inputs", "x.npz"], "--inputs x.npz: contains several arrays"),
        (["step0.safetensors", "--inputs", "x.npy", "--prefix", "enc"], "--prefix enc: no recurrent module"),
        (["step0.safetensors", "--inputs", "x.npy", "--readout", "fc"], "--readout fc: fc.weight: missing"),
        (["step0.safetensors", "--inputs", "x.npy", "--embedding", "e"], "--embedding e: no such tensor"),
        (
            ["step0.safetensors", "--inputs", "x.npy", "--axes", "abc"],
            "--axes abc: must contain each of the letters",
        ),
        (
            ["step0.safetensors", "--inputs", "x.npy", "--folder", "."],
            "--folder .: already in use; each run needs its own folder",
        ),
        (
            ["step0.safetensors", "--inputs", "x.npy", "--folder", "x.npz/run"],
            "--folder x.npz/run: cannot be written (Not a directory)",
        ),
        (["model.pt", "--inputs", "x.npy"], "model.pt: may be a pickle, which rnnlab does not read"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    arguments: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(here / "x.npz", INPUTS)
    (here / "model.pt").write_bytes(b"PK\x03\x04")
    before = sorted(here.iterdir())
    assert measure(*arguments) == 2
    found = capsys.readouterr()
    assert f"rnnlab.measure: {message}" in found.err and "Traceback" not in found.err and found.out == ""
    assert sorted(here.iterdir()) == before


def test_the_last_number_of_a_name_is_the_training_step() -> None:
    files = [Path(f"run2_step{step}.safetensors") for step in (10, 5)]
    assert steps_of(files) == [10, 5]
    assert steps_of([Path("run2_a.npz"), Path("run2_b.npz")]) == [0, 1], "twice the same number"
    assert steps_of([Path("step3.npz"), Path("last.npz")]) == [0, 1], "a name without a number"
    assert steps_of(files[:1]) == [0]
