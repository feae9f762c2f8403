"""Sweeps started from Python, in scripts as a user writes them."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import rnnlab as rl
from tests.processes import Done
from tests.surroundings import environment, hear_signals

SMALL: dict[str, Any] = {"hidden": 4, "seq_len": 6, "batch_size": 2, "steps": 4, "jobs": 1}
SCRIPT = """
import rnnlab as rl

print("started")
sweep = rl.sweep("adding", cell=["rnn", "lstm"], clip=[None, 1], track=False, **{keys})
print(sweep)
print(sweep.runs.groupby(["cell", "clip"], observed=True).size().to_dict())
print(len(sweep.gradients["run"].unique()), sweep.report, [run.outcome for run in sweep])
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def script(folder: Path, text: str) -> list[str]:
    (folder / "script.py").write_text(text, encoding="utf-8")
    return [sys.executable, "script.py"]


def test_a_script_without_a_guard_runs_once(here: Path) -> None:
    """The worker processes do not import the script, which would start the sweep again."""
    keys = SMALL | {"jobs": 2, "overrides": ["figures=false", "report=false"]}
    command = script(here, SCRIPT.format(keys=keys))
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.count("started") == 1
    [folder] = (here / "multirun").glob("*/*")
    assert f"Files: {folder.relative_to(here)}" in done.stdout
    assert "Sweep(4 runs: 4 finished; folder" in done.stdout
    assert "Command: python -m rnnlab -m task=adding cell=rnn,lstm clip=null,1 hidden_size=4" in done.stdout
    sizes = {(cell, clip): 1 for cell in ("rnn", "lstm") for clip in (1.0, float("inf"))}
    assert str(sizes) in done.stdout
    assert done.stdout.rstrip().endswith(f"4 None {['finished'] * 4}")


def test_ctrl_c_keeps_the_finished_runs(here: Path) -> None:
    text = f"""
import rnnlab as rl

small = {SMALL!r} | {{"overrides": ["figures=false", "report=false"]}}
sweep = rl.sweep("adding", steps=[4, 10**6], track=False, **{{k: v for k, v in small.items() if k != "steps"}})
print("outcomes", sweep.runs["outcome"].tolist())
"""
    process = subprocess.Popen(
        script(here, text),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_signals,
    )
    try:
        while process.poll() is None and not any((here / "multirun").glob("*/*/1_*/metrics.jsonl")):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "outcomes ['finished', 'killed']" in out
    assert "interrupted after 1 of 2 runs; resume=True with the same keys continues" in err


def test_frames_are_of_just_this_sweep(sweep: Done) -> None:
    found = rl.load_sweep(sweep.folder / "multirun")
    assert len(found) == 2 and [run.summary["cell"] for run in found] == ["rnn", "lstm"]
    assert found.gradients.equals(rl.load_gradients(sweep.folder))
    assert found.metrics.equals(rl.load_metrics(sweep.folder))
    assert found[-1].network.cell == "lstm" and found[0].folder is not None
    assert len(found[1].gradients) == (found.gradients["cell"] == "lstm").sum()
    for number in (2, -3):
        with pytest.raises(IndexError, match=f"^{number}: the sweep has 2 runs; allowed: 0 to 1$"):
            found[number]
    for number in ("a", 1.0, True):
        with pytest.raises(TypeError, match=f"^{number!r}: must be the number of a run, 0 to 1$"):
            found[number]  # type: ignore[index]
    assert found.command is not None and found.command.startswith("python -m rnnlab -m cell=rnn,lstm")


@pytest.mark.parametrize("figure", [name for name in dir(rl.Sweep) if name.startswith("draw_")])
def test_figures_are_those_of_the_frames(figure: str, sweep: Done) -> None:
    found = rl.load_sweep(sweep.folder)
    keys: dict[str, Any] = {
        "draw_phase_diagram": {"x": "cell", "y": "seed"},
        "draw_clipping": {"x": "cell"},
    }.get(figure, {})
    if figure == "draw_time_heatmap":
        keys = {"run": found.runs["run"][0]}
    if figure == "draw_solved":
        with pytest.raises(ValueError, match=r"val/solved|criterion"):
            found.draw_solved()
        return
    drawn = getattr(found, figure)(**keys)
    axes = drawn if hasattr(drawn, "lines") else drawn.flat[0]
    assert axes.has_data() and axes.get_title(loc="left")


def test_mistakes_are_reported_before_anything_is_written(here: Path) -> None:
    for arguments, message in (
        ({"task": "adding", "cell": ["rnn", "lsmt"]}, r"^cell=lsmt: unknown option; did you mean lstm\?"),
        ({"seed": []}, r"^seed=\[\]: must contain at least one value$"),
        ({"jobs": 0}, "^jobs=0: "),
        ({"overrides": ["hydra/sweeper=optuna"]}, "^hydra/sweeper=optuna: "),
    ):
        with pytest.raises(ValueError, match=message):
            rl.sweep(quiet=True, **arguments)  # type: ignore[arg-type]
    assert list(here.iterdir()) == []
