"""The log files run.log and sweep.log: messages with timestamps."""

import errno
import logging
import os
import re
import warnings
from pathlib import Path

import pytest

from rnnlab.runs.log import LOG, RUN_LOG, SWEEP_LOG, capture_log, drop_log_files
from tests.processes import Done

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (?P<level>INFO|WARNING|ERROR) (?P<text>.*)")


def lines(path: Path) -> list[tuple[str, str]]:
    found = [LINE.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(line["level"], line["text"]) for line in found if line] if all(found) else []


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_a_run_prints_its_progress(sweep: Done, cell: str) -> None:
    messages = lines(sweep.runs[cell] / RUN_LOG)
    assert {level for level, _ in messages} == {"INFO"}
    started, host, *steps, outcome = (text for _, text in messages)
    assert started.startswith("started: python -m rnnlab ") and f"cell={cell}" in started
    assert re.match(r"host \S+: .*, Python 3\.\d+\.\d+, NumPy \d", host)
    assert [text.split(":")[0] for text in steps] == ["step 0", "step 6", "step 12"]
    assert all(re.search(r"val/loss=\d\.\d+ val/bpc=\d\.\d+", text) for text in steps)
    assert re.fullmatch(r"finished after \d+\.\d+ s", outcome)


def test_mlflow_has_it_too(sweep: Done) -> None:
    kept = sorted(path.read_bytes() for path in sweep.folder.rglob(f"mlartifacts/**/{RUN_LOG}"))
    assert kept == sorted((folder / RUN_LOG).read_bytes() for folder in sweep.runs.values())


def test_a_sweep_keeps_earlier_terminal_content(sweep: Done) -> None:
    (folder,) = {path.parent for path in sweep.runs.values()}
    messages = [text for _, text in lines(folder / SWEEP_LOG)]
    assert messages[0].startswith("2 runs: python -m rnnlab -m cell=rnn,lstm ")
    shown = [line.strip() for line in sweep.out.splitlines() if line.strip()]
    assert messages[1:] == shown and any("http://127.0.0.1" in line for line in shown)


def test_warnings_of_libraries_are_stored_and_shown(tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning) as shown:
        with capture_log() as log:
            LOG.info("before there is a file")
            log.open(tmp_path / RUN_LOG)
            warnings.warn("overflow\nin exp", RuntimeWarning, stacklevel=1)
            logging.getLogger("matplotlib").warning("no such \x1b[31m font")
            LOG.info("after")
        warnings.warn("later", RuntimeWarning, stacklevel=1)
        LOG.info("later")
    assert [str(warning.message) for warning in shown] == ["overflow\nin exp", "later"]
    assert lines(tmp_path / RUN_LOG) == [
        ("INFO", "before there is a file"),
        ("WARNING", "RuntimeWarning: overflow in exp"),
        ("WARNING", "no such \N{REPLACEMENT CHARACTER}[31m font"),
        ("INFO", "after"),
    ]


def test_it_continues_where_the_previous_attempt_ended(tmp_path: Path) -> None:
    (tmp_path / RUN_LOG).write_text("2026-01-01T00:00:00Z INFO first\n2026-01-01T00:0")
    with capture_log() as log:
        log.open(tmp_path / RUN_LOG)
        LOG.info("second")
    assert [text for _, text in lines(tmp_path / RUN_LOG)] == ["first", "second"]


def test_a_forked_process_does_not_change_the_log_of_the_launcher(tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match="from a run"), capture_log() as launcher:
        launcher.open(tmp_path / SWEEP_LOG)
        drop_log_files()  # as in the forked process
        with capture_log() as log:
            log.open(tmp_path / RUN_LOG)
            LOG.info("of a run")
            warnings.warn("from a run", RuntimeWarning, stacklevel=1)
    assert lines(tmp_path / SWEEP_LOG) == []
    assert lines(tmp_path / RUN_LOG) == [("INFO", "of a run"), ("WARNING", "RuntimeWarning: from a run")]


def test_errors_of_the_log_have_no_effect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with capture_log() as log:
        log.open(tmp_path / "nowhere" / RUN_LOG)
        LOG.info("before")
        log.open(tmp_path / RUN_LOG)
        monkeypatch.setattr(os, "write", full)
        LOG.info("lost")
        monkeypatch.undo()
        LOG.info("kept")
    assert [text for _, text in lines(tmp_path / RUN_LOG)] == ["before", "kept"]
    assert capsys.readouterr() == ("", "")
