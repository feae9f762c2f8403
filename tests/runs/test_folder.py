"""The run folder survives every kind of failure."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file

from rnnlab.analysis.frames.run_tables import read_gradients
from rnnlab.records import GRADIENT_COLUMNS, Curve, Outcome, StepRecord
from rnnlab.runs import folder as folder_module
from rnnlab.runs.checkpoint import CHECKPOINT_FILE, clear_resume_files, read_checkpoint
from rnnlab.runs.closing import close_run
from rnnlab.runs.files import DamagedFile
from rnnlab.runs.folder import (
    RunEnded,
    RunFolder,
    RunInUse,
    is_in_use,
    latest_machine,
    write_run_info,
)
from rnnlab.runs.metrics_jsonl import MetricsReader, parse_row
from rnnlab.runs.run_json import read_run_info
from tests.processes import wait_until
from tests.surroundings import environment

INFO = {"name": "größer", "steps": 3}
CONFIG = {"cell": {"_target_": "rnnlab.cells.LSTM"}, "clip": None}


def record(step: int, *curves: Curve, **metrics: float | None) -> StepRecord:
    return StepRecord(step, {f"train/{name}": value for name, value in metrics.items()}, curves)


def curve(axis: str, log10: list[float]) -> Curve:
    values = 10 ** np.array(log10)
    index = np.arange(len(log10)) + (axis == "timestep")
    return Curve("h", axis, index, values, values, values, np.array(log10), np.zeros(len(log10)))  # type: ignore[arg-type]


def rows(folder: Path) -> list[dict[str, float | None]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_facts_known_before_a_run_are_written_immediately(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "a" / "run", INFO, CONFIG):
        info = read_run_info(tmp_path / "a" / "run")
        assert info is not None and info["name"] == "größer" and info["outcome"] is None
        written = (tmp_path / "a" / "run" / "config.yaml").read_text(encoding="utf-8")
        assert yaml.safe_load(written) == CONFIG
        assert list(yaml.safe_load(written)) == list(CONFIG)


def test_the_end_is_recorded(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.finish("unstable", {"val/loss": 1.5})
    info = read_run_info(tmp_path / "run")
    assert info is not None
    assert (info["outcome"], info["summary"], info["steps"]) == ("unstable", {"val/loss": 1.5}, 3)
    assert info["ended"] >= info["started"]


def test_recordings_are_kept_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write(record(0, curve("lag", [0.0, -1.0]), loss=2.0))
        folder.write(record(1, loss=1.0))
        raise ZeroDivisionError
    assert [(row["step"], row["train/loss"]) for row in rows(tmp_path / "run")] == [(0, 2.0), (1, 1.0)]
    frame = pd.read_parquet(tmp_path / "run" / "gradients.parquet")
    assert frame["log10_gmean"].tolist() == [0.0, -1.0]


def test_a_folder_in_use_is_refused_and_not_changed(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write(record(0, loss=2.0))
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    with pytest.raises(FileExistsError):
        RunFolder(tmp_path / "run", {"name": "other"}, {})
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before


def test_both_kinds_of_curves_share_a_table(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write(record(4, curve("timestep", [0.0, 1.0]), curve("lag", [-1.0, np.nan]), loss=2.0))
    frame = pd.read_parquet(tmp_path / "run" / "gradients.parquet")
    assert tuple(frame.columns) == GRADIENT_COLUMNS
    assert frame["step"].tolist() == [4] * 4 and set(frame["quantity"]) == {"h"}
    assert frame["timestep"].dropna().tolist() == [1, 2] and frame["lag"].dropna().tolist() == [0, 1]
    assert (frame["timestep"].isna() ^ frame["lag"].isna()).all()
    assert frame["log10_gmean"].isna().tolist() == [False, False, False, True]


def test_a_non_finite_number_is_null(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write(record(0, loss=None))
        with pytest.raises(ValueError, match="JSON"):  # and is never read as NaN
            folder.write(record(1, loss=float("nan")))
    assert rows(tmp_path / "run")[0]["train/loss"] is None


def test_an_empty_run_has_its_files(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", INFO, CONFIG):
        pass
    assert rows(tmp_path / "run") == []
    frame = pd.read_parquet(tmp_path / "run" / "gradients.parquet")
    assert frame.empty and tuple(frame.columns) == GRADIENT_COLUMNS


def test_weights_are_restored_unchanged(tmp_path: Path) -> None:
    weights = {"W_hh": np.arange(6.0).reshape(2, 3).T, "b_h": np.ones((3, 1), np.float32)}
    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write_weights(weights)
    loaded = load_file(tmp_path / "run" / "weights.safetensors")
    assert loaded.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(loaded[name], value, strict=True)


def test_weights_have_the_permissions_of_the_run(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
            folder.write_weights({"b_h": np.ones(3)})
            folder.write_checkpoint({"b_h": np.ones(3)}, {})
    finally:
        os.umask(before)
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "run").glob("[!.]*")}
    assert len(modes) > 4 and modes == dict.fromkeys(modes, 0o640)


def test_texts_are_utf8(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write_text("sample.txt", "ärger\n")
    assert (tmp_path / "run" / "sample.txt").read_bytes() == "ärger\n".encode()


def test_run_json_is_replaced_atomically(tmp_path: Path) -> None:
    write_run_info(tmp_path, {"outcome": None})
    with (tmp_path / "run.json").open() as reader:  # a reader during the write gets the complete old file
        write_run_info(tmp_path, {"outcome": "finished"})
        assert json.load(reader) == {"outcome": None}
    assert json.loads((tmp_path / "run.json").read_text()) == {"outcome": "finished"}
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_run_json_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_run_info(tmp_path, {"outcome": None})
    with pytest.raises(TypeError):
        write_run_info(tmp_path, {"outcome": object()})
    assert json.loads((tmp_path / "run.json").read_text()) == {"outcome": None}


def test_a_run_that_does_not_exist_yet_is_unknown(tmp_path: Path) -> None:
    assert read_run_info(tmp_path / "nowhere") is None
    assert MetricsReader(tmp_path / "nowhere").new_rows() == []


def row(step: int) -> dict[str, int]:
    return {"step": step, "seconds": step + 1}


def test_the_reader_gives_each_complete_row_once(tmp_path: Path) -> None:
    file, reader = tmp_path / "metrics.jsonl", MetricsReader(tmp_path)
    assert reader.new_rows() == []
    with file.open("a") as writer:
        for written, read in (
            ('{"step": 0, "seconds": 1}\n{"step": 1, "seconds": 2}\n{"st', [row(0), row(1)]),
            ("", []),
            ('ep": 2', []),
            (', "seconds": 3}\n{"step": 3, "seconds": 4}\n', [row(2), row(3)]),
            ("", []),
        ):
            writer.write(written)
            writer.flush()
            assert reader.new_rows() == read
    assert not reader.restarted


@pytest.mark.parametrize("size", [1, 3, 300])  # numbers of rows below and above the reader's tail in bytes
def test_the_reader_restarts_where_rows_were_replaced(tmp_path: Path, size: int) -> None:
    def lines(seconds: float) -> str:
        return "".join(json.dumps({"step": step, "seconds": seconds + step}) + "\n" for step in range(size))

    file, reader = tmp_path / "metrics.jsonl", MetricsReader(tmp_path)
    file.write_text(lines(0.1))
    assert len(reader.new_rows()) == size
    file.write_text(lines(0.1) + '{"step": 9}\n')
    later = MetricsReader(tmp_path, reader.position, reader.tail)
    assert later.new_rows() == reader.new_rows() == [{"step": 9}]
    for replaced in (lines(0.2), lines(0.3) * 2, ""):
        file.write_text(replaced)
        before = later.position
        assert len(later.new_rows()) == replaced.count("\n")
        assert later.restarted and (later.position != before or replaced)
        later.restarted = False


def training(steps: int) -> list[StepRecord]:
    """The records of a run, the same at every call."""
    drawn = [
        record(step, curve("lag", [0.0, -step]), loss=1 / (step + 1), norm=None) for step in range(steps)
    ]
    return [*drawn, StepRecord(steps, {"val/loss": 0.5})]


CLOCK = ("seconds", "time/steps_per_second")


def without_clock(folder: Path) -> list[dict[str, float | None]]:
    return [{key: value for key, value in row.items() if key not in CLOCK} for row in rows(folder)]


@given(data=st.data())
@settings(max_examples=25)
def test_a_run_resumed_repeatedly_anywhere_has_each_row_once(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each process resumes from a checkpoint at or before the step at which the previous process was killed."""
    top = tmp_path_factory.mktemp("lives")
    made = training(6)
    with RunFolder(top / "whole", INFO, CONFIG) as folder:
        for step in made:
            folder.write(step)
    for _ in range(data.draw(st.integers(0, 3), "lives")):
        with RunFolder(top / "lives", INFO, CONFIG, resume=True) as folder:
            begin = goes_on(folder)
            end = data.draw(st.integers(begin, len(made)), "end")
            keep = data.draw(st.integers(begin, end), "checkpoint")
            for step in made[begin:end]:
                assert not folder.write(step)
                if step.step == keep:
                    folder.write_checkpoint({}, {"step": step.step + 1})
        if data.draw(st.booleans(), "cut") and (file := top / "lives" / "metrics.jsonl").stat().st_size:
            file.write_bytes(file.read_bytes()[: -data.draw(st.integers(1, 9), "bytes")])
    with RunFolder(top / "lives", INFO, CONFIG, resume=True) as folder:
        for step in made[goes_on(folder) :]:
            assert not folder.write(step)
        assert not folder.complete() and folder.differs_since is None
    assert without_clock(top / "lives") == without_clock(top / "whole")
    seconds = [row["seconds"] for row in rows(top / "lives")]
    assert seconds == sorted(seconds), "the clock goes on"  # type: ignore[type-var]
    pd.testing.assert_frame_equal(read_gradients(top / "lives"), read_gradients(top / "whole"))


def goes_on(folder: RunFolder) -> int:
    """Return the step at which a run resumes."""
    try:
        kept = read_checkpoint(folder.folder)
    except DamagedFile:
        folder.restart()
        return 0
    folder.resume_from(kept)
    if kept is None:
        return 0
    assert [record.step for record in folder.records(kept)] == list(range(kept.state["step"]))
    return int(kept.state["step"])


def test_the_clock_excludes_the_time_between_attempts(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write(record(0, loss=1.0))
    row = rows(tmp_path / "run")[0] | {"seconds": 1000.0}
    (tmp_path / "run" / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    with RunFolder(tmp_path / "run", INFO, CONFIG, resume=True) as folder:
        folder.write(record(0, loss=1.0))
        folder.write(record(1, loss=1.0))
        assert folder.seconds > 1000
    assert rows(tmp_path / "run")[0]["seconds"] == 1000
    assert 1000 <= rows(tmp_path / "run")[1]["seconds"] < 2000  # type: ignore[operator]


def half_made(folder: Path) -> list[dict[str, float | None]]:
    """Write a run killed after four steps, with a checkpoint after two; return its rows."""
    with RunFolder(folder, INFO, CONFIG) as run:
        for step in training(4)[:4]:
            run.write(step)
            if step.step == 1:
                run.write_checkpoint({}, {"step": 2})
    return rows(folder)


def test_rows_are_replaced_from_the_first_differing_step_with_a_note(tmp_path: Path) -> None:
    run = tmp_path / "run"
    before = half_made(run)
    with RunFolder(run, INFO, CONFIG, resume=True) as folder:
        assert goes_on(folder) == 2
        assert not folder.write(training(4)[2]) and folder.differs_since is None
        assert folder.write(record(3, loss=float(np.nextafter(1 / 4, 1)), norm=None))
        assert rows(run)[:3] == before[:3] and rows(run)[3]["train/loss"] != before[3]["train/loss"]
        assert not folder.write(record(4, loss=7.0))
        assert folder.differs_since == 3
    with RunFolder(run, INFO, CONFIG, resume=True) as folder:  # a resumption without a difference
        goes_on(folder)
        assert folder.differs_since == 3
        folder.restart()
    with RunFolder(run, INFO, CONFIG, resume=True) as folder:
        assert rows(run) == [] and goes_on(folder) == 0
        assert folder.differs_since is None, "now all is of one life"


def test_without_a_checkpoint_the_run_is_repeated_with_identical_results(tmp_path: Path) -> None:
    run = tmp_path / "run"
    before = half_made(run)
    (run / CHECKPOINT_FILE).unlink()
    text = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text(text.replace('"train/loss": 0.5', '"train/loss": 0.7'))
    with RunFolder(run, INFO, CONFIG, resume=True) as folder:
        assert goes_on(folder) == 0
        assert [folder.write(step) for step in training(4)] == [False, True, False, False, False]
        assert not folder.complete() and folder.differs_since is None
    assert rows(run)[0] == before[0], "with its time"
    assert without_clock(run)[:4] == [{k: v for k, v in row.items() if k not in CLOCK} for row in before]
    assert len(read_gradients(run)) == 8


@pytest.mark.parametrize("name", ["metrics.jsonl", "gradients.arrow", CHECKPOINT_FILE])
def test_a_checkpoint_detects_every_changed_bit_of_its_files(name: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    half_made(run)
    kept = read_checkpoint(run)
    assert kept is not None
    whole = (run / name).read_bytes()
    size = {"metrics.jsonl": kept.rows.size, "gradients.arrow": kept.recordings.size}.get(name, len(whole))
    assert 0 < size <= len(whole)
    for at in range(0, size, 7):
        content = bytearray(whole)
        content[at] ^= 1 << at % 8
        (run / name).write_bytes(content)
        with pytest.raises(Exception, match=r".+"):
            read_checkpoint(run)


def test_rows_after_the_last_step_are_removed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    half_made(run)
    with RunFolder(run, INFO, CONFIG, resume=True) as folder:
        goes_on(folder)
        folder.write(training(4)[2])
        assert folder.complete() and folder.differs_since == 3
    assert [row["step"] for row in rows(run)] == [0, 1, 2]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", '"x"', "true", "9" * 30, "[1]"])
def test_a_row_with_a_non_number_counts_as_damaged(value: str) -> None:
    assert parse_row(b'{"step": 1, "grad/norm": 0.5, "train/loss": null}') is not None
    assert parse_row(f'{{"step": 1, "grad/norm": {value}}}'.encode()) is None


@pytest.mark.parametrize("seconds", [-1, 0, 1e300, True])
def test_a_row_with_an_impossible_time_counts_as_damaged(tmp_path: Path, seconds: float) -> None:
    run = tmp_path / "run"
    before = half_made(run)
    damaged = [*before[:2], before[2] | {"seconds": seconds}, before[3]]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in damaged))
    RunFolder(run, INFO, CONFIG, resume=True).__exit__()
    assert rows(run) == before[:2]


def test_a_run_in_use_by_another_process_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "LOCK_SECONDS", 0.1)
    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write(record(0, loss=1.0))
        before = rows(tmp_path / "run"), read_run_info(tmp_path / "run")
        with pytest.raises(RunInUse, match="belongs to a run that is still in progress"):
            RunFolder(tmp_path / "run", {"name": "other"}, {}, resume=True)
        with pytest.raises(RunInUse):
            close_run(tmp_path / "run", "killed", {})
        assert is_in_use(tmp_path / "run")
        assert (rows(tmp_path / "run"), read_run_info(tmp_path / "run")) == before
        folder.write(record(1, loss=1.0))
    assert not is_in_use(tmp_path / "run")
    RunFolder(tmp_path / "run", INFO, CONFIG, resume=True).__exit__()


def test_run_json_lists_every_attempt(tmp_path: Path) -> None:
    def machine(host: str) -> dict[str, object]:
        return {"machine": {"host": host}, "tags": {"git_commit": host}}

    with RunFolder(tmp_path / "run", INFO | {"id": "first"} | machine("a"), CONFIG) as folder:
        folder.finish("failed", {"error": "broke"})
    (tmp_path / "run" / "error.txt").write_text("Traceback …")
    for host in "bc":
        with RunFolder(tmp_path / "run", {"id": "new"} | machine(host), CONFIG, resume=True) as folder:
            info = read_run_info(tmp_path / "run")
            assert info == folder.info
            assert info is not None and info["outcome"] is None
            assert not {"ended", "summary"} & set(info), "of the life before"
            assert not (tmp_path / "run" / "error.txt").exists()
            assert latest_machine(info) == {"host": host}
            folder.finish("killed", {})
    assert info["id"] == "first" and info["machine"] == {"host": "a"}
    assert [life["tags"]["git_commit"] for life in info["resumed"]] == ["b", "c"]
    assert info["started"] <= info["resumed"][0]["at"] <= info["resumed"][1]["at"]


@pytest.mark.parametrize("outcome", ["finished", "unstable", "diverged"])
def test_a_finished_run_is_not_changed(tmp_path: Path, outcome: Outcome) -> None:
    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write(record(0, loss=1.0))
        folder.finish(outcome, {})
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    with pytest.raises(RunEnded):
        RunFolder(tmp_path / "run", {"name": "other"}, {}, resume=True)
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before
    assert not is_in_use(tmp_path / "run")


def test_a_run_without_a_folder_is_restarted(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "a" / "run", INFO, CONFIG, resume=True) as folder:
        assert read_checkpoint(folder.folder) is None
        assert "resumed" not in folder.info


def test_the_run_of_a_dead_process_is_closed_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", INFO, CONFIG)
    folder.write(record(0, curve("lag", [0.0, -1.0]), loss=1.0))
    folder._gradient_log()._file.close()
    folder._lock.release()  # as the operating system does for a process that dies
    info = close_run(tmp_path / "run", "killed", {"error": "died"})
    assert info == read_run_info(tmp_path / "run")
    assert (info["outcome"], info["summary"]) == ("killed", {"error": "died"})
    assert len(read_gradients(tmp_path / "run")) == 2
    assert close_run(tmp_path / "run", "failed", {}) == info, "what stands is not changed"


ARRAYS = st.dictionaries(
    st.from_regex(r"[a-zA-Z_]+/[\w.]+", fullmatch=True),
    hnp.arrays(st.sampled_from([np.float32, np.float64, np.int64]), hnp.array_shapes(min_dims=0, min_side=0)),
    max_size=4,
)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 2**128)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    with RunFolder(tmp_path_factory.mktemp("shelf") / "run", INFO, CONFIG) as folder:
        yield folder


@given(arrays=ARRAYS, plain=st.dictionaries(st.text(), PLAIN, max_size=3))
@settings(max_examples=60)
def test_a_checkpoint_is_restored_unchanged(
    shelf: RunFolder, arrays: dict[str, np.ndarray], plain: dict[str, object]
) -> None:
    shelf.write_checkpoint({name: value.T for name, value in arrays.items()}, plain)
    found = read_checkpoint(shelf.folder)
    assert found is not None and found.state == plain
    assert {name: (w.dtype, w.shape, w.tobytes()) for name, w in found.arrays.items()} == {
        name: (w.dtype, w.T.shape, w.T.tobytes()) for name, w in arrays.items()
    }
    assert all(w.flags.writeable for w in found.arrays.values()), "training changes them in place"


def test_a_failed_checkpoint_write_keeps_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write_checkpoint({"params/w": np.ones(2)}, {"step": 1})
        monkeypatch.setattr("safetensors.numpy.save", full)
        with pytest.raises(OSError, match="No space"):
            folder.write_checkpoint({"params/w": np.zeros(2)}, {"step": 2})
        found = read_checkpoint(folder.folder)
        assert found is not None and found.state == {"step": 1}
        assert found.arrays["params/w"].tolist() == [1, 1]
    clear_resume_files(tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.new")) and read_checkpoint(folder.folder) is None


WRITER = """
import sys
from itertools import count
from pathlib import Path
from rnnlab.runs.folder import RunFolder
from tests.runs.test_folder import CONFIG, INFO, curve, record

with RunFolder(Path(sys.argv[1]), INFO, CONFIG) as folder:
    for step in count():
        folder.write(record(step, curve("lag", [0.0, -1.0]), loss=1 / (step + 1)))
        if step % 50 == 0:
            folder.write_checkpoint({"params/w": __import__("numpy").full(3, step)}, {"step": step + 1})
        print(step, flush=True)
"""


def test_a_resumed_run_removes_files_that_were_not_renamed(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", INFO, CONFIG):
        pass
    (tmp_path / "run" / "checkpoint.safetensors.new").write_bytes(b"half")
    with RunFolder(tmp_path / "run", INFO, CONFIG, resume=True):
        assert not list((tmp_path / "run").glob("*.new"))


def test_a_process_killed_while_it_writes_loses_no_row_that_was_written(tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = [sys.executable, "-c", WRITER, str(run)]
    process = subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    numbers = [int(process.stdout.readline()) for _ in range(300)]
    assert is_in_use(run)
    process.send_signal(signal.SIGKILL)
    numbers += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    wait_until(lambda: not is_in_use(run), "the lock is free")
    with RunFolder(run, INFO, CONFIG, resume=True) as folder:
        standing = [row["step"] for row in rows(run)]
        assert standing == list(range(len(standing))) and len(standing) > numbers[-1]
        kept = read_checkpoint(run)
        assert kept is not None and 250 < kept.state["step"] <= len(standing)
        assert (kept.arrays["params/w"] == kept.state["step"] - 1).all()
        folder.resume_from(kept)
        for step in range(kept.state["step"], len(standing) + 2):
            folder.write(record(step, curve("lag", [0.0, -1.0]), loss=1 / (step + 1)))
        assert folder.differs_since is None
    assert [row["step"] for row in rows(run)] == list(range(len(standing) + 2))
    assert read_gradients(run)["step"].tolist() == [n for n in range(len(standing) + 2) for _ in range(2)]
    assert not list(run.glob("*.new"))
