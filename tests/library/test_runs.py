"""Runs started from Python: the same results as the command line, and nothing left behind."""

import os
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import rnnlab as rl
from rnnlab.analysis.frames.identity import find_differences
from rnnlab.records import GRAD_NORM
from rnnlab.training import Trainer
from tests.processes import run, run_info

SMALL: dict[str, Any] = {"cell": "lstm", "hidden": 6, "seq_len": 8, "batch_size": 3, "steps": 12}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working folder; temporary folders of Python are created beside it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder, scratch = tmp_path / "here", tmp_path / "scratch"
    folder.mkdir(), scratch.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    return folder


def test_a_run_and_its_printed_command_give_the_same_results(here: Path, tmp_path: Path) -> None:
    made = rl.train("adding", folder="made", quiet=True, **SMALL)
    command = made.command.removeprefix("python -m rnnlab ").split()
    done = run(tmp_path, *command, "tracking=none", "figures=false")
    [folder] = done.runs.values()
    assert done.code == 0 and find_differences(folder, here / "made") == []
    assert run_info(folder)["identity"] == run_info(here / "made")["identity"]
    assert (here / "made" / "figures").is_dir()
    again = rl.train(overrides=rl.load_run(folder).command.split()[3:], quiet=True)
    assert again.network.params.keys() == made.network.params.keys()
    for name, array in again.network.params.items():
        assert array.tobytes() == made.network.params[name].tobytes()


def test_nothing_is_written_by_default(here: Path, tmp_path: Path) -> None:
    found = rl.train("adding", quiet=True, **SMALL)
    assert list(here.iterdir()) == [] and list((tmp_path / "scratch").iterdir()) == []
    assert found.folder is None and found.outcome == "finished"
    assert found.summary["outcome"] == "finished" and found.config["hidden_size"] == 6
    losses = found.metrics[found.metrics["metric"] == "train/loss"]
    assert losses["step"].tolist() == list(range(12))
    assert found.network.predict([[0.1, 0.2]]).shape == (1, 1, 1)


def test_a_tracked_run_has_a_folder_and_an_mlflow_run(here: Path, database: None) -> None:
    (here.parent / "mlflow.db").rename(here / "mlflow.db")
    found = rl.train("adding", track=True, quiet=True, overrides=["figures=false"], **SMALL)
    assert found.folder is not None and found.folder.is_relative_to(here / "outputs")
    [run_id] = rl.load_runs(rl.MLflowRuns())["mlflow_run_id"]
    loaded = rl.load_run(run_id)
    assert (
        loaded.metrics.equals(found.metrics) and loaded.network.params.keys() == found.network.params.keys()
    )


def test_recorded_lag_curves_and_the_final_network_belong_together(here: Path) -> None:
    found = rl.train("adding", quiet=True, dtype="float64", **SMALL)
    last, first = found.lag_curve(), found.lag_curve(step=0)
    assert last.name.endswith("step 12") and first.name.endswith("step 0")
    assert found.lag_curve(-1).gain == pytest.approx(found.summary["grad/gain"], rel=1e-12)
    assert last.horizon == found.summary["grad/horizon"]
    assert last.log10_g.tolist() != first.log10_g.tolist()
    steps = sorted(found.gradients["step"].unique())
    assert found.lag_curve(-2).name.endswith(f"step {steps[-2]}")
    assert found.lag_curve("last").name == last.name and found.lag_curve("first").name == first.name
    for step in (5000, -99, "end", 1.5):
        with pytest.raises(ValueError, match=rf"^step={step!r}: no lag curve was recorded.* available: 0, 1"):
            found.lag_curve(step)  # type: ignore[arg-type]
    bare = rl.train("adding", quiet=True, probe="none", **SMALL)
    with pytest.raises(ValueError, match=r"recorded no lag curve; see the key probe$"):
        bare.lag_curve()


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """Let the process hear SIGINT, which the processes of pytest-xdist ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_when(ready: Callable[[], bool], signals: int = 1) -> threading.Thread:
    """Send SIGINT to this process as soon as `ready` returns True, and again after 0.3 s."""

    def send() -> None:
        deadline = time.monotonic() + 20
        while not ready() and time.monotonic() < deadline:
            time.sleep(0.02)
        for _ in range(signals):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_keeps_finished_work(here: Path, tmp_path: Path) -> None:
    def has_rows() -> bool:
        files = (tmp_path / "scratch").glob("*/run/metrics.jsonl")
        return any(file.stat().st_size > 2000 for file in files)

    before = signal.getsignal(signal.SIGINT)
    thread = interrupt_when(has_rows)
    with pytest.warns(rl.IncompleteRuns, match=r"^interrupted; the run ends after step \d+ of 1000000$"):
        found = rl.train("adding", quiet=True, **(SMALL | {"steps": 10**6}))
    thread.join()
    assert found.outcome == "killed" and found.last_step > 5
    assert (found.metrics["metric"] == GRAD_NORM).sum() == found.last_step + 1
    assert found.lag_curve(step=0).lags[-1] == 7 and found.network.hidden == 6
    assert signal.getsignal(signal.SIGINT) is before
    assert list((tmp_path / "scratch").iterdir()) == [] and list(here.iterdir()) == []


@pytest.mark.usefixtures("hears_ctrl_c")
def test_a_second_ctrl_c_ends_even_a_long_step(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = threading.Event()

    def endless(*_: object) -> Any:
        started.set()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            time.sleep(0.01)
        raise AssertionError("not interrupted")

    thread = interrupt_when(started.is_set, signals=2)
    monkeypatch.setattr(Trainer, "validate", endless)
    with pytest.raises(KeyboardInterrupt):
        rl.train("adding", quiet=True, **SMALL)
    thread.join()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_run_in_another_thread_needs_no_signals(here: Path) -> None:
    found: list[rl.Run] = []
    thread = threading.Thread(target=lambda: found.append(rl.train("adding", quiet=True, **SMALL)))
    thread.start()
    thread.join()
    assert found[0].outcome == "finished"


def test_a_failure_raises_an_error_that_names_the_cause(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise MemoryError("Unable to allocate 1. TiB")

    monkeypatch.setattr(Trainer, "continue_from", fail)
    with pytest.raises(RuntimeError, match=r"^the run failed: MemoryError: Unable to allocate 1. TiB$"):
        rl.train("adding", quiet=True, **SMALL)


def test_a_diverged_run_is_a_result(here: Path) -> None:
    found = rl.train("adding", quiet=True, lr=1e30, clip=None, optimizer="sgd", **SMALL)
    assert found.outcome == "diverged" and "diverged" in repr(found)


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "several": (
        {"task": "addin", "cel": "lstm", "steps": 0},
        r"^task=addin: unknown option; did you mean adding\?.*\ncel=lstm: unknown key; did you mean cell\?\nsteps=0: must",
    ),
    "sizes": ({"hidden": 4, "hidden_size": 4}, "^hidden, hidden_size: are the same"),
    "of the task": ({"inputs": 4}, "^inputs=4: follows from the task; must not be given$"),
    "a sweep": ({"cell": ["rnn", "lstm"]}, r"^cell=\['rnn', 'lstm'\]: must be one value; rnnlab.sweep takes lists$"),
    "a type": ({"lr": "fast"}, "^lr=fast: "),
    "an object": ({"lr": object()}, "^lr=<object.*>: has the type object"),
    "a word": ({"track": "no"}, "^track='no': must be True or False$"),
    "a folder": ({"folder": 3}, "^folder=3: must be the path of a folder or None$"),
    "no folder": ({"folder": ""}, "^folder='': must be the path of a folder or None$"),
    "no options": ({"config_dir": "nowhere"}, "^--config-dir=nowhere: no such folder$"),
    "contradiction": ({"steps": 4, "overrides": ["steps=3"]}, "^steps: given more than once; give it once$"),
    "a string": ({"overrides": "lr=1"}, "^overrides='lr=1': must be a list"),
    "in use": ({"folder": "."}, "already in use; each run needs its own folder$"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_as_on_the_command_line(mistake: str, here: Path) -> None:
    arguments, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message) as raised:
        rl.train(quiet=True, **arguments)
    assert type(raised.value) is ValueError and list(here.iterdir()) == []


def test_a_source_of_several_runs_is_not_a_single_run(here: Path) -> None:
    for name in ("a/1", "a/2"):
        rl.train("adding", folder=name, quiet=True, overrides=["figures=false"], **SMALL)
    with pytest.raises(ValueError, match=r"^a: contains 2 runs; load_sweep loads several runs$"):
        rl.load_run("a")
    assert [found.outcome for found in rl.load_sweep("a")] == ["finished"] * 2
    for load in (rl.load_run, rl.load_sweep):
        with pytest.raises(TypeError, match=r"^source=5: must be a string, a path"):
            load(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^missing: not found$"):
        rl.load_run("missing")


def test_a_run_keeps_the_settings_of_the_process(here: Path) -> None:
    environment, filters = dict(os.environ), list(warnings.filters)
    rl.train("adding", quiet=True, **SMALL)
    assert dict(os.environ) == environment and list(warnings.filters) == filters


def test_own_options_are_found_in_their_folder(here: Path) -> None:
    (here / "mine" / "cell").mkdir(parents=True)
    (here / "mine" / "cell" / "big.yaml").write_text(
        "_target_: rnnlab.cells.LSTM\nbias: true\nforget_bias: 3.0\ncandidate: tanh\n", encoding="utf-8"
    )
    found = rl.train("adding", config_dir="mine", quiet=True, **(SMALL | {"cell": "big"}))
    assert found.config["cell"]["forget_bias"] == 3 and found.command.endswith("--config-dir mine")


def test_changing_the_network_does_not_change_the_run(here: Path) -> None:
    found = rl.train("adding", quiet=True, **SMALL)
    found.network.params["W_hh"][:] = 0
    assert rl.Run.network.func(found).params["W_hh"].any()  # type: ignore[attr-defined]
