"""Tests that no command ends in a traceback if a `run.json` lacks a key.

Such a `run.json` may come from another version or another program. Each key in turn is removed, and then set
to null. A command that requires the key reports this in one line.
"""

import copy
import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnlab.analysis import IncompleteRuns, load_runs
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.jobs.run_job import _log_start
from rnnlab.commands import compare, repeat, report, sync
from rnnlab.runs.folder import RunFolder
from rnnlab.runs.run_json import read_run_info
from tests.processes import TINY, run
from tests.thorough import thorough

Place = tuple[str | int, ...]
WHOLE = ("machine", "tags", "goal", "dataset", "tracking", "resumed")
"""Parts of `run.json` whose keys are removed one by one."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that was resumed once, so that its `run.json` has every key."""
    folder = tmp_path_factory.mktemp("made")
    done = run(folder, *TINY, "tracking=none", "figures=false", "probe=light")
    assert done.code == 0, done.err
    (path,) = done.runs.values()
    info = json.loads((path / "run.json").read_text())
    info["resumed"] = [{"at": info["started"], "machine": info["machine"], "tags": info["tags"]}]
    (path / "run.json").write_text(json.dumps(info))
    return path


def places(tree: Any, depth: int = 0) -> Iterator[Place]:
    """Return the path of every key, including the keys within the parts in WHOLE."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(key, str):
            yield (key,)
        if isinstance(value, dict | list) and (depth or key in WHOLE):
            yield from ((key, *rest) for rest in places(value, depth + 1))


def without(info: dict[str, Any], place: Place, null: bool) -> dict[str, Any]:
    changed = copy.deepcopy(info)
    inner: Any = changed
    for key in place[:-1]:
        inner = inner[key]
    if null:
        inner[place[-1]] = None
    else:
        del inner[place[-1]]
    return changed


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the run to the current folder; skip the training of repetitions and the figures of reports."""

    def stop(*_: Any) -> None:
        raise ConfigProblems(["stopped before training"])

    monkeypatch.setattr("rnnlab.commands.repeat.launch", stop)
    monkeypatch.setattr("rnnlab.analysis.report.page.ReportFigures.main", lambda *_: None)
    monkeypatch.setattr("rnnlab.analysis.report.page.ReportFigures.details", lambda *_: [])
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(made, tmp_path / "runs" / "run"))


@pytest.mark.parametrize("null", [False, thorough(True)])
def test_no_command_silently_requires_a_key_of_a_run(
    made: Path, folder: Path, null: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = json.loads((made / "run.json").read_text())
    for place in places(whole):
        info = without(whole, place, null)
        (folder / "run.json").write_text(json.dumps(info))
        for main, arguments in (
            (report.main, ["runs"]),
            (compare.main, ["runs/run", str(made)]),
            (compare.main, [str(made), "runs/run"]),
            (repeat.main, ["runs/run"]),
        ):
            code = main(arguments)
            err = capsys.readouterr().err
            assert code in (0, 2) and (code == 0) == (err == ""), (place, err)
            assert err.count("\n") <= 1, (place, err)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IncompleteRuns)
            assert len(load_runs("runs")) == 1
        try:
            readable = read_run_info(folder)
        except ValueError:
            continue
        assert readable is not None
        _log_start(readable)
        for one, other in ((readable, whole), (whole, readable)):
            repeat._differing_origins(one, other)


@pytest.mark.parametrize("null", [False, True])
def test_a_run_that_lacks_a_key_is_resumed_or_refused(made: Path, folder: Path, null: bool) -> None:
    whole = json.loads((made / "run.json").read_text())
    for place in places(whole | {"outcome": "killed"}):
        info = without(whole | {"outcome": "killed"}, place, null)
        (folder / "run.json").write_text(json.dumps(info))
        try:
            with RunFolder(folder, whole, {}, resume=True) as resumed:
                _log_start(resumed.info)
                resumed.finish("killed", {})
        except ValueError as error:
            assert str(error).startswith("run.json: "), place


def test_sync_reports_missing_keys(
    made: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnnlab.commands.sync._Sender._send_run", lambda *_: "sent")
    whole = json.loads((made / "run.json").read_text())
    for place in places(whole):
        for null in (False, True):
            (folder / "run.json").write_text(json.dumps(without(whole, place, null)))
            code = sync.main(["runs"])
            err = capsys.readouterr().err
            assert code in (0, 1) and (code == 1) == ("run.json: " in err), (place, err)


def test_the_report_states_known_facts_about_the_machine(made: Path, folder: Path) -> None:
    info = json.loads((made / "run.json").read_text())
    del info["machine"]["packages"]["numpy"]
    (folder / "run.json").write_text(json.dumps(info))
    assert report.main(["runs"]) == 0
    machine = info["machine"]
    page = Path("runs", "report.html").read_text()
    assert f"Python {machine['python']}</dd>" in page and "NumPy" not in page
