"""The run folder, which is written first and kept whatever happens."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file

from rnnlab.records import GRADIENT_COLUMNS, Curve, StepRecord
from rnnlab.tracking.folder import MetricsReader, RunFolder, read_run_info, write_run_info

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


def test_what_is_known_before_a_run_is_there_at_once(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "a" / "run", INFO, CONFIG):
        info = read_run_info(tmp_path / "a" / "run")
        assert info is not None and info["name"] == "größer" and info["outcome"] is None
        written = (tmp_path / "a" / "run" / "config.yaml").read_text(encoding="utf-8")
        assert yaml.safe_load(written) == CONFIG
        assert list(yaml.safe_load(written)) == list(CONFIG)


def test_the_end_is_noted(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.finish("unstable", {"val/loss": 1.5})
    info = read_run_info(tmp_path / "run")
    assert info is not None
    assert (info["outcome"], info["summary"], info["steps"]) == ("unstable", {"val/loss": 1.5}, 3)
    assert info["ended"] >= info["started"]


def test_what_was_recorded_is_kept_when_something_breaks(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write(record(0, curve("lag", [0.0, -1.0]), loss=2.0))
        folder.write(record(1, loss=1.0))
        raise ZeroDivisionError
    assert [(row["step"], row["train/loss"]) for row in rows(tmp_path / "run")] == [(0, 2.0), (1, 1.0)]
    frame = pd.read_parquet(tmp_path / "run" / "gradients.parquet")
    assert frame["log10_gmean"].tolist() == [0.0, -1.0]


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
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


def test_a_number_that_is_not_finite_is_null(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write(record(0, loss=None))
        with pytest.raises(ValueError, match="JSON"):  # and never slips through as NaN
            folder.write(record(1, loss=float("nan")))
    assert rows(tmp_path / "run")[0]["train/loss"] is None


def test_an_empty_run_has_its_files(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", INFO, CONFIG):
        pass
    assert rows(tmp_path / "run") == []
    frame = pd.read_parquet(tmp_path / "run" / "gradients.parquet")
    assert frame.empty and tuple(frame.columns) == GRADIENT_COLUMNS


def test_weights_come_back_as_they_were(tmp_path: Path) -> None:
    weights = {"W_hh": np.arange(6.0).reshape(2, 3).T, "b_h": np.ones((3, 1), np.float32)}
    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write_weights(weights)
    loaded = load_file(tmp_path / "run" / "weights.safetensors")
    assert loaded.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(loaded[name], value, strict=True)


def test_texts_are_utf8(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", INFO, CONFIG) as folder:
        folder.write_text("sample.txt", "ärger\n")
    assert (tmp_path / "run" / "sample.txt").read_bytes() == "ärger\n".encode()


def test_run_json_is_replaced_in_one_move(tmp_path: Path) -> None:
    write_run_info(tmp_path, {"outcome": None})
    with (tmp_path / "run.json").open() as reader:  # who reads while it is written has the old one, whole
        write_run_info(tmp_path, {"outcome": "finished"})
        assert json.load(reader) == {"outcome": None}
    assert read_run_info(tmp_path) == {"outcome": "finished"}
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_run_json_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_run_info(tmp_path, {"outcome": None})
    with pytest.raises(TypeError):
        write_run_info(tmp_path, {"outcome": object()})
    assert read_run_info(tmp_path) == {"outcome": None}


def test_a_run_that_does_not_exist_yet_is_not_known(tmp_path: Path) -> None:
    assert read_run_info(tmp_path / "nowhere") is None
    assert MetricsReader(tmp_path / "nowhere").new_rows() == []


def test_the_reader_gives_each_complete_row_once(tmp_path: Path) -> None:
    file, reader = tmp_path / "metrics.jsonl", MetricsReader(tmp_path)
    assert reader.new_rows() == []
    with file.open("a") as writer:
        for written, read in (
            ('{"step": 0}\n{"step": 1}\n{"st', [{"step": 0}, {"step": 1}]),
            ("", []),
            ('ep": 2', []),
            ('}\n{"step": 3}\n', [{"step": 2}, {"step": 3}]),
            ("", []),
        ):
            writer.write(written)
            writer.flush()
            assert reader.new_rows() == read
