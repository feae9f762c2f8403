"""Commands report a damaged run file in one line or work without it; other runs are unaffected."""

import hashlib
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from functools import cache
from itertools import cycle, product
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from rnnlab.analysis import load_gradients, load_metrics, load_runs
from rnnlab.analysis.frames.load import IncompleteRuns
from rnnlab.app.cli import main
from rnnlab.commands import compare, repeat, report, sync
from rnnlab.records import ENDED, GRADIENTS_FILE, METRICS_FILE, WEIGHTS_FILE
from rnnlab.runs.run_json import read_run_info
from tests import resigned
from tests.fuzz.amount import examples, tried
from tests.fuzz.inprocess import Here, Said, say
from tests.fuzz.mlflow import Store
from tests.fuzz.run_folders import (
    DEAD,
    FINISHED,
    KILLED,
    LINKED,
    RESUMED_FROM,
    SECRET,
    SWEEP,
    Damage,
    damages,
    forgeries,
    harms,
    template,
)

CLOCK = re.compile(rb'"seconds": [^,]+, |, "time/steps_per_second": [^}]+')
STARTS_OVER = "checkpoint or its records are damaged ("


@contextmanager
def copied(*all_damages: Damage) -> Iterator[None]:
    """Make a damaged copy of the sweep the current folder, and check that files outside are unchanged."""
    with tempfile.TemporaryDirectory() as outer:
        shutil.copytree(template(), outer, dirs_exist_ok=True)
        with chdir(Path(outer, "here")), mock.patch("rnnlab.app.launch.LocalPool", Here):
            for damage in all_damages:
                damage.happen()
            before = outside()
            yield
            assert SECRET.read_text() == "secret\n" and outside() == before


def outside() -> dict[Path, bytes]:
    """Return all files outside the folder, the possible targets of links."""
    return {file: file.read_bytes() for file in SECRET.parent.rglob("*") if file.is_file()}


def judge(result: Said) -> str:
    """Return the outcome of a command, and check that its errors are single lines."""
    assert result.code in (0, 1, 2), result
    assert not any("Traceback" in line for line in result.err), result
    if result.code == 2:
        assert result.err and all(line.startswith("rnnlab") and len(line) < 1000 for line in result.err), (
            result
        )
    return f"exit code {result.code}"


@cache
def weights() -> dict[Path, str]:
    """Return the digests of the runs' final weights."""
    with copied():
        assert say(main, [*SWEEP, "resume=true"]).code == 0
        return {run: digest(run) for run in (FINISHED, KILLED, DEAD)}


@cache
def whole() -> dict[Path, list[object]]:
    """Return the contents of the undamaged, completed runs."""
    with copied():
        assert say(main, [*SWEEP, "resume=true"]).code == 0
        return {run: contents(run) for run in (FINISHED, KILLED, DEAD)}


def contents(run: Path) -> list[object]:
    """Return the digest of the weights, the metric rows without times, and the table of gradients."""
    table = pq.read_table(run / GRADIENTS_FILE).to_pydict()
    rows = CLOCK.sub(b"", (run / METRICS_FILE).read_bytes())
    return [digest(run), rows, repr(table)]


def digest(run: Path) -> str:
    arrays = load_file(run / WEIGHTS_FILE)
    return hashlib.sha256(
        b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays))
    ).hexdigest()


def links() -> list[Any]:
    """Return pairs of a file and what it names; all but one file for each kind are thorough tests."""
    files = ["sweep/sweep.json", *(str(run / "run.json") for run in (FINISHED, KILLED, DEAD))]
    selected = set(zip(cycle(files), LINKED, strict=False))
    return [
        pytest.param(Path(file), kind, marks=() if (file, kind) in selected else pytest.mark.thorough)
        for file, kind in product(files, LINKED)
    ]


@pytest.mark.parametrize(("file", "kind"), links())
def test_nothing_is_written_through_links(kind: str, file: Path) -> None:
    """Each kind of link appears once; `copied` checks the files outside."""
    with copied(Damage(file, kind)), warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteRuns)
        for main_, arguments in (
            (main, [*SWEEP, "resume=sweep"]),
            (report.main, ["sweep"]),
            (repeat.main, [str(FINISHED)]),
        ):
            judge(say(main_, arguments))
        store = Store()
        with mock.patch("rnnlab.commands.sync.open_experiment", store.open):
            judge(say(sync.main, ["sweep", "--uri", "sqlite:///mlflow.db"]))


@examples(3)
@given(damages())
def test_a_sweep_is_resumed(damage: Damage) -> None:
    weights()
    with copied(damage):
        result = say(main, [*SWEEP, "resume=sweep"])
        tried[f"damaged runs, resumed: {judge(result)}"] += 1
        if result.code == 0:
            untouched = [run for run in weights() if run / WEIGHTS_FILE != damage.file]
            assert {run: digest(run) for run in untouched} == {run: weights()[run] for run in untouched}
            if damage.file.name in RESUMED_FROM and damage.file.parent != FINISHED:
                assert {run: contents(run) for run in whole()} == whole()


@examples(3)
@given(harms())
def test_no_damage_survives_a_resume(damage: Damage) -> None:
    expected = whole()
    with copied(damage):
        result = say(main, [*SWEEP, "resume=sweep"])
        assert result.code == 0, result
        assert {run: contents(run) for run in expected} == expected
        over = STARTS_OVER in (damage.file.parent / "run.log").read_text(encoding="utf-8")
        tried[f"harmed runs, resumed: {'started over' if over else 'went on'}"] += 1


@examples(3)
@given(forgeries())
def test_a_forged_checkpoint_is_either_reachable_by_training_or_rejected(
    forgery: tuple[Path, dict[str, Any], Any],
) -> None:
    run, arrays, kept = forgery
    expected = whole()
    with copied():
        resigned.write(run, arrays, kept)
        result = say(main, [*SWEEP, "resume=sweep"])
        assert result.code == 0, result
        over = STARTS_OVER in (run / "run.log").read_text(encoding="utf-8")
        tried[f"forged checkpoints, resumed: {'started over' if over else 'went on'}"] += 1
        others = [other for other in expected if over or other != run]
        assert {other: contents(other) for other in others} == {other: expected[other] for other in others}
        info = read_run_info(run)
        assert info is not None and info["outcome"] in ENDED


@examples(4)
@given(damages())
def test_runs_are_loaded(damage: Damage) -> None:
    with copied(damage), warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteRuns)
        names = set(load_runs("sweep")["name"])
        assert len(names) + damage.hides_run >= 3
        for load in (load_metrics, load_gradients):
            assert len(load("sweep"))
    tried["damaged runs, loaded"] += 1


@examples(4)
@given(damages(), st.permutations([FINISHED, KILLED, DEAD]))
def test_runs_are_compared(damage: Damage, runs: Sequence[Path]) -> None:
    with copied(damage):
        tried[f"damaged runs, compared: {judge(say(compare.main, list(map(str, runs[:2]))))}"] += 1


@examples(3)
@given(damages())
def test_a_run_is_repeated(damage: Damage) -> None:
    with copied(damage):
        result = say(repeat.main, [str(FINISHED)])
        tried[f"damaged runs, repeated: {judge(result)}"] += 1


@examples(4)
@given(damages())
def test_runs_are_sent(damage: Damage) -> None:
    store = Store()
    with copied(damage), mock.patch("rnnlab.commands.sync.open_experiment", store.open):
        result = say(sync.main, ["sweep", "--uri", "sqlite:///mlflow.db"])
        tried[f"damaged runs, sent: {judge(result)}"] += 1
        others = {run.name for run in (FINISHED, KILLED, DEAD)} - {damage.run.name}
        assert others <= {Path(run.data.tags["rnnlab.folder"]).name for run in store.runs.values()}, result


@examples(1)
@given(damages())
@pytest.mark.filterwarnings("ignore::rnnlab.analysis.frames.load.IncompleteRuns")
def test_a_report_is_written(damage: Damage) -> None:
    with copied(damage):
        result = say(report.main, ["sweep"])
        tried[f"damaged runs, reported: {judge(result)}"] += 1
        assert result.code == 0 and Path("sweep", "report.html").is_file(), result
