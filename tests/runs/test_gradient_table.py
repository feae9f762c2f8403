"""The gradient log, truncated at any byte, and the gradient table written from it."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab.records import GRADIENT_COLUMNS, GRADIENTS_FILE, Curve
from rnnlab.runs.checkpoint import GRADIENT_LOG, Prefix
from rnnlab.runs.gradient_table import GradientLog, write_gradients

Recording = tuple[int, list[Curve]]
VALUES = st.floats() | st.sampled_from([np.nan, np.inf, -np.inf, 5e-324])


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    length = draw(st.integers(1, 3))
    axis = draw(st.sampled_from(["timestep", "lag"]))
    statistics = [np.array(draw(st.lists(VALUES, min_size=length, max_size=length))) for _ in range(5)]
    target = draw(st.none() | st.integers(1, 9)) if axis == "lag" else None
    index = np.arange(length) + (axis == "timestep")
    place = draw(st.integers(0, 3)), draw(st.none() | st.integers(1, 9))
    return Curve(draw(st.sampled_from(["h", "c", "größe"])), axis, index, *statistics, target, *place)  # type: ignore[arg-type]


@st.composite
def recordings(draw: st.DrawFn) -> list[Recording]:
    steps = sorted(draw(st.sets(st.integers(0, 2**40), max_size=4)))
    return [(step, draw(st.lists(curves(), min_size=1, max_size=3))) for step in steps]


def write(folder: Path, made: Sequence[Recording], stands: Prefix | None = None) -> None:
    log = GradientLog(folder, stands)
    for step, drawn in made:
        log.append(step, drawn)
    log.close()


def table(folder: Path) -> pd.DataFrame:
    write_gradients(folder)
    frame = pd.read_parquet(folder / GRADIENTS_FILE)
    assert tuple(frame.columns) == GRADIENT_COLUMNS
    return frame


def expected(made: Sequence[Recording]) -> list[tuple[object, ...]]:
    """Return the expected rows, with None for non-finite and inapplicable values."""
    return [
        (
            step,
            curve.quantity,
            curve.layer,
            curve.unit,
            int(curve.index[i]) if curve.axis == "timestep" else None,
            int(curve.index[i]) if curve.axis == "lag" else None,
            curve.target,
            *(
                float(values[i]) if np.isfinite(values[i]) else None
                for values in (curve.mean, curve.median, curve.max, curve.log10_gmean, curve.zero_fraction)
            ),
        )
        for step, drawn in made
        for curve in drawn
        for i in range(len(curve.index))
    ]


def rows(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    columns = [[None if pd.isna(v) else v for v in frame[name].tolist()] for name in frame]
    return list(zip(*columns, strict=True))


@given(recordings())
@settings(max_examples=40)
def test_the_table_has_every_value_and_null_for_non_finite_values(made: list[Recording]) -> None:
    with TemporaryDirectory() as name:
        write(Path(name), made)
        assert rows(table(Path(name))) == expected(made)


@given(made=recordings(), data=st.data())
@settings(max_examples=60)
def test_a_log_truncated_anywhere_keeps_complete_recordings_and_can_be_continued(
    made: list[Recording], data: st.DataObject
) -> None:
    with TemporaryDirectory() as name:
        whole, cut = Path(name) / "whole", Path(name) / "cut"
        whole.mkdir()
        cut.mkdir()
        written = Prefix()
        log, ends = GradientLog(whole, written), []
        prefixes = [written.to_plain()]
        for step, drawn in made:
            log.append(step, drawn)
            ends.append((whole / GRADIENT_LOG).stat().st_size)
            prefixes.append(written.to_plain())
        log.close()
        size = (whole / GRADIENT_LOG).stat().st_size
        shutil.copy(whole / GRADIENT_LOG, cut)
        at = data.draw(st.integers(0, size))
        os.truncate(cut / GRADIENT_LOG, at)
        kept = sum(end <= at for end in ends)
        assert rows(table(cut)) == expected(made[:kept]), "who reads it as it was left"
        known = data.draw(st.integers(0, kept)) if at else 0  # the part verified by a checkpoint
        stands = Prefix.read(cut / GRADIENT_LOG, prefixes[known]) if at >= prefixes[known]["bytes"] else None
        write(cut, made[known:] if stands else made, stands)
        assert (cut / GRADIENT_LOG).read_bytes() == (whole / GRADIENT_LOG).read_bytes()
        pd.testing.assert_frame_equal(table(cut), table(whole), check_exact=True)
        assert {file.name for file in cut.iterdir()} == {GRADIENT_LOG, GRADIENTS_FILE}


@given(made=recordings(), data=st.data())
@settings(max_examples=60)
def test_an_unwritten_tail_of_zeros_is_truncated(made: list[Recording], data: st.DataObject) -> None:
    """After a power loss, some file systems keep the size of a file but lose its content."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        log, ends = GradientLog(folder), []
        for step, drawn in made:
            log.append(step, drawn)
            ends.append((folder / GRADIENT_LOG).stat().st_size)
        log.close()
        path = folder / GRADIENT_LOG
        at = data.draw(st.sampled_from([0, *ends]))
        path.write_bytes(path.read_bytes()[:at].ljust(path.stat().st_size, b"\0"))
        kept = sum(end <= at for end in ends)
        assert rows(table(folder)) == expected(made[:kept])
        write(folder, made)
        assert rows(table(folder)) == expected(made)


def test_a_log_without_recordings_gives_an_empty_table(tmp_path: Path) -> None:
    write_gradients(tmp_path)  # no log exists
    assert rows(table(tmp_path)) == []
    write(tmp_path, [(3, [])])
    frame = table(tmp_path)
    assert rows(frame) == [] and tuple(frame.columns) == GRADIENT_COLUMNS


def test_a_file_that_is_not_a_log_is_ignored(tmp_path: Path) -> None:
    (tmp_path / GRADIENT_LOG).write_text("something else entirely")
    write(tmp_path, [(0, [Curve("h", "lag", np.arange(2), *[np.arange(2.0)] * 5)])])
    assert len(table(tmp_path)) == 2


def test_a_recording_is_written_immediately(tmp_path: Path) -> None:
    """The log is still open, as in a killed process."""
    log = GradientLog(tmp_path)
    log.append(7, [Curve("h", "lag", np.arange(2), *[np.arange(2.0)] * 5)])
    assert table(tmp_path)["step"].tolist() == [7, 7]
    log.sync()
    log.close()


def test_a_table_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, [])
    write_gradients(tmp_path)
    before = (tmp_path / GRADIENTS_FILE).read_bytes()

    def full(_: pa.Table, file: BinaryIO, **__: object) -> None:
        file.write(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rnnlab.runs.gradient_table.pq.write_table", full)
    with pytest.raises(OSError):
        write_gradients(tmp_path)
    assert (tmp_path / GRADIENTS_FILE).read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {GRADIENT_LOG, GRADIENTS_FILE}
