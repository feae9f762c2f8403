"""Files and lines stay complete after any interruption."""

import os
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnnlab.runs.files import LineFile, replace_file

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
LINES = st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8")), max_size=4)


def lines_of(path: Path) -> list[str]:
    return path.read_bytes().decode().split("\n")[:-1]


@pytest.mark.parametrize("before", [None, "old"])
def test_a_file_is_replaced_and_no_temporary_file_remains(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / "größe.json"
    if before is not None:
        path.write_text(before)
    replace_file(path, lambda scratch: scratch.write(b"new"))
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def _breaks_half_way(scratch: BinaryIO) -> None:
    scratch.write(b"ne")
    raise OSError(28, "No space left on device")


def _breaks_at_once(_: BinaryIO) -> None:
    raise ValueError("nothing to write")


@pytest.mark.parametrize("write", [_breaks_half_way, _breaks_at_once])
@pytest.mark.parametrize("before", [None, "old"])
def test_a_failed_write_leaves_the_old_file_and_no_temporary_file(
    tmp_path: Path, before: str | None, write
) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "run.json"
    if before is not None:
        path.write_text(before)
    with pytest.raises((OSError, ValueError)):
        replace_file(path, write)
    assert [file.read_text() for file in tmp_path.iterdir()] == ([] if before is None else [before])


def test_a_path_occupied_by_a_folder_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(OSError):
        replace_file(tmp_path / "run.json", lambda scratch: scratch.write(b"new"))
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_temporary_file_of_a_dead_process_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "run.json.new").write_text("half of something lon")
    replace_file(tmp_path / "run.json", lambda scratch: scratch.write(b"new"))
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"run.json": "new"}


@given(before=LINES, after=LINES, data=st.data())
@same_folder
def test_an_incomplete_line_is_truncated(
    tmp_path: Path, before: list[str], after: list[str], data: st.DataObject
) -> None:
    """The process may die at any byte, even within a character."""
    path = tmp_path / "lines"
    path.unlink(missing_ok=True)
    file = LineFile(path)
    for line in before:
        file.append(line)
    file.close()
    assert lines_of(path) == before
    cut = data.draw(st.integers(0, path.stat().st_size))
    os.truncate(path, cut)
    whole = path.read_bytes().count(b"\n")
    file = LineFile(path)
    assert lines_of(path) == before[:whole]
    for line in after:
        file.append(line)
        assert path.read_bytes().endswith(b"\n"), "a line is there at once"
    file.sync()
    file.close()
    assert lines_of(path) == before[:whole] + after


def test_a_log_of_one_incomplete_line_is_empty(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b'{"step": 0')
    LineFile(tmp_path / "lines").close()
    assert (tmp_path / "lines").read_bytes() == b""


def test_a_line_is_written_completely_despite_partial_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    file = LineFile(tmp_path / "lines")
    monkeypatch.setattr(os, "write", lambda number, data: write(number, data[:3]))
    file.append("größer als drei")
    file.close()
    assert lines_of(tmp_path / "lines") == ["größer als drei"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_reported() -> None:
    file = LineFile.__new__(LineFile)
    file._file = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space left"):
        file.append("line")
    file.close()
