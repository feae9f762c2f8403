"""The estimated memory of a run matches its actual memory."""

import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from rnnlab.app.cli import main
from rnnlab.app.config import memory_limit as resources
from rnnlab.app.config.build import build, generators
from rnnlab.app.config.compose import compose_plan
from rnnlab.paths import conf_dir
from tests.app.test_options import experiment_of
from tests.surroundings import environment

SHAPES = {
    "wide": "task=copy hidden_size=500 batch_size=2 seq_len=20 task.validation_examples=4",
    "long": "task=adding task.validation_examples=10 hidden_size=16 batch_size=40 seq_len=500",
    "many symbols": "task=temporal_order task.validation_examples=10 hidden_size=8 batch_size=6000 seq_len=20",
    "an output each step": "task=series hidden_size=16 batch_size=1000 seq_len=100 task.held_out=0.1",
    "validated": "task=adding task.validation_examples=20000 hidden_size=16 batch_size=1 seq_len=100",
    "probed": "task=latch hidden_size=32 batch_size=1 seq_len=100 probe.examples=200 task.validation_examples=4",
    "Jacobians": "task=latch hidden_size=80 batch_size=1 seq_len=10 task.validation_examples=4 probe=full "
    "probe.measurements.lyapunov=null",
}


def train(experiment):
    weights, batches, _ = generators(0)
    params = experiment.trainer.model.init_params(weights, experiment.settings.init, np.float32)
    list(experiment.trainer.train(params, batches))


@pytest.mark.parametrize(
    ("shape", "cell"),
    [*((shape, "lstm") for shape in SHAPES), ("long", "rnn"), ("long", "gru"), ("Jacobians", "gru")],
)
def test_two_steps_use_the_estimated_memory(shape, cell):
    """A small run before compiles the loops, which is slow while memory is traced."""
    overrides = SHAPES[shape].split()
    probe = [] if any(o.startswith("probe") for o in overrides) else ["probe=none"]
    small = [o for o in overrides if not o.startswith(("hidden_size", "probe", "task.validation_examples"))]
    train(experiment_of(f"cell={cell}", *small, "hidden_size=2", "probe=none", "steps=1"))
    experiment = experiment_of(f"cell={cell}", *overrides, *probe, "steps=2", "val_every=null")
    tracemalloc.start()
    train(experiment)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.55 < peak / sum(experiment.memory.values()) < 1.5


def messages(capsys, *overrides):
    assert main([*overrides, "steps=1"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


HUGE = {
    "hidden_size=1000000": "hidden_size=1000000: … of memory, mostly for the weights",
    "hidden_size=99999999999999999999": "hidden_size=99999999999999999999: … for the weights",
    "task=adding batch_size=1000000000": "hidden_size=128 batch_size=1000000000 seq_len=50: … for the training step",
    "task=adding seq_len=1000000000": "hidden_size=128 batch_size=32 seq_len=1000000000: … for the training step",
    "task=random_permutation seq_len=1000000000000": "hidden_size=128 batch_size=32 seq_len=1000000000000: … for the training step",
    "task=copy task.length_range=[1,1000000000]": "hidden_size=128 batch_size=32 seq_len=50 task.length_range=[1, 1000000000]: … for the training step",
    "task=adding task.validation_examples=10000000000": "hidden_size=128 seq_len=50 task.validation_examples=10000000000: … for the validation",
    "probe.examples=1000000000": "hidden_size=128 seq_len=50 probe.examples=1000000000: … for the probe",
    "task=latch probe.length=10000000000": "hidden_size=128 seq_len=50 probe.examples=16 probe.length=10000000000: … for the probe",
    "probe=full probe.measurements.lyapunov.steps=100000000000000": "hidden_size=128 seq_len=50 probe.examples=16 probe.measurements.lyapunov.steps=100000000000000: … for the probe",
    "task=noise hidden_size=1000000 task.classes=50000": "hidden_size=1000000 task.features=16 task.classes=50000: … for the weights",
    "probe=full cell=lstm hidden_size=20000 task.sample_length=0": "hidden_size=20000 seq_len=50 probe.examples=16 probe.measurements.lyapunov.steps=1000: … for the probe",
}


@pytest.mark.parametrize("command_line", HUGE)
def test_requests_beyond_any_machine_are_refused(command_line, here, capsys):
    (line,) = messages(capsys, *command_line.split())
    expected = re.escape(f"rnnlab: {HUGE[command_line]}; this machine has ")
    assert re.fullmatch(expected.replace("…", r"needs about [\d,.e+]+ GiB.*") + r"[\d.]+ GiB", line), line
    assert list(here.iterdir()) == []


def test_a_small_machine_reports_how_many_runs_fit_at_once(here, capsys, monkeypatch):
    needed = sum(experiment_of().memory.values())
    monkeypatch.setattr(resources, "memory", lambda: 3 * needed - 1)
    (line,) = messages(capsys, "-m", "seed=range(5)", "jobs=4")
    assert line.startswith("rnnlab: jobs=4: 4 of these runs in parallel need about 0.") and line.endswith(
        "reduce to jobs=2"
    )
    monkeypatch.setattr(resources, "memory", lambda: needed - 1)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    lines = messages(capsys, "-m", "seed=0,1", "hidden_size=1,128")
    assert len(lines) == 1 and "mostly for" in lines[0]


def test_the_estimate_includes_the_moments_of_the_optimiser():
    weights = {
        name: experiment_of(f"optimizer={name}", "probe=none").memory["weights"]
        for name in ("sgd", "rmsprop", "adam")
    }
    assert [weights[name] / weights["sgd"] for name in weights] == [1, 9 / 8, 10 / 8]


def test_the_memory_of_other_machines_is_unknown(here):
    config = compose_plan(conf_dir(), ["hidden_size=1000000"], False).jobs[0].config
    assert build(config, is_local=False).memory["weights"] > 2**44


def test_the_memory_limit_of_a_container_applies(tmp_path, monkeypatch):
    (tmp_path / "max").write_text("max")
    (tmp_path / "limit").write_text(str(2**20))
    monkeypatch.setattr(resources, "LIMITS", [str(tmp_path / name) for name in ("max", "limit", "absent")])
    resources.memory.cache_clear()
    try:
        assert resources.memory() == 2**20
    finally:
        resources.memory.cache_clear()


def test_data_beyond_the_memory_is_reported_in_one_line(tmp_path) -> None:
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate(4 << 30)  # a sparse file, which uses no disk space
    limited = "import resource as r, sys; r.setrlimit(r.RLIMIT_AS, (3 << 30, 3 << 30)); "
    code = (
        limited + "from rnnlab.__main__ import main; sys.argv = ['', 'task.path=large.txt']; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rnnlab: task.path=large.txt: cannot be read (not enough memory)\n"
    assert [file.name for file in tmp_path.iterdir()] == ["large.txt"]
