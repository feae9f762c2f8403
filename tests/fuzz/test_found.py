"""Minimal examples of the errors found by fuzzing."""

import io
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnnlab.analysis.frames.run_tables import DamagedTable, metrics_table
from rnnlab.app.cli import main
from rnnlab.commands import compare, repeat, sync
from rnnlab.runs.folder import CHECKPOINT_FILE, GRADIENT_LOG
from rnnlab.runs.gradient_table import write_gradients
from rnnlab.runs.run_json import read_config, read_run_info
from tests.fuzz.inprocess import empty_folder, say
from tests.fuzz.mlflow import Store
from tests.fuzz.run_folders import FINISHED, KILLED, SWEEP, Damage
from tests.fuzz.test_run_folders import copied, digest, weights

COMPOSED = {
    "initial_state=[-1]": "initial_state=[-1]: cannot be composed",
    "tracking=[null]": "tracking=[null]: cannot be composed",
    "probe=[['a']]": "probe=[['a']]: cannot be composed",
    "+experiment=[{b:0}]": "+experiment=[{b:0}]: cannot be composed",
    "+=''": "+='': cannot be composed",
    "x=\r": r"x=\r: ",
}


@pytest.mark.parametrize("override", COMPOSED)
def test_input_that_crashes_hydra_is_reported_in_one_line(override: str) -> None:
    with empty_folder():
        result = say(main, [override])
    assert (
        result.code == 2
        and len(result.err) == 1
        and result.err[0].startswith(f"rnnlab: {COMPOSED[override]}")
    ), result


def test_a_message_has_bounds() -> None:
    with empty_folder():
        result = say(main, [f"+{'x' * 5000}=1", "lr=" + "9" * 5000])
    assert result.code == 2 and all(len(line) < 700 for line in result.err)


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


WHOLE = npz(h=np.zeros(128))
DAMAGED = {
    "of another zip version": WHOLE.replace(b"PK\x01\x02\x2d\x03\x2d\x00", b"PK\x01\x02\x2d\x03\x87\x00"),
    "of a sum that is not right": WHOLE[:60] + b"\xff\xff" + WHOLE[62:],
    "of complex numbers": npz(h=np.zeros(128, complex)),
    "of words": npz(h=np.array(["1"] * 128)),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_an_invalid_initial_state(what: str) -> None:
    with empty_folder():
        Path("state").write_bytes(DAMAGED[what])
        result = say(main, ["initial_state=given", "initial_state.path=state"])
    (line,) = result.err
    assert line.startswith("rnnlab: initial_state.path=state: cannot be read (")
    assert line.endswith("); must be an .npz file that contains numbers")


@pytest.mark.parametrize("keys", [("",), ("task=series",), ("initial_state=given",)])
def test_a_named_pipe_does_not_block(keys: tuple[str]) -> None:
    name = "initial_state.path" if keys[0].startswith("initial") else "task.path"
    with empty_folder():
        os.mkfifo("pipe")
        result = say(main, [*filter(None, keys), f"{name}=pipe"])
    assert result.err == [f"rnnlab: {name}=pipe: cannot be read (not a regular file)"]


def test_a_metric_name_that_is_not_utf8_counts_as_damage(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b'{"step": 0, "a": 1}\n{"step": 1, "\xaa": 1}\n')
    with pytest.raises(DamagedTable, match="line 2 is not a valid row") as raised:
        metrics_table(file)
    assert raised.value.rows["step"].to_pylist() == [0]


@pytest.mark.parametrize(
    "content",
    [
        '{"a":' * 50_000,
        "- " * 50_000,
        "a: &a {b: *a}",
        "=",
        "!!int ''",
        "a: \ud800".encode("utf-8", "surrogatepass"),
        "lr: 2020-01-01",
        "a: {b: !!binary aGVq}",
        "a: !!set {b}",
        "a: [2020-01-01 10:00:00]",
        "a: {1: x}",
    ],
)
def test_a_configuration_that_would_crash_the_parser_is_rejected(
    tmp_path: Path, content: str | bytes
) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert read_config(file) == {}


@pytest.mark.parametrize("twice", ["{{l: *a{0}, r: *a{0}}}", "[*a{0}, *a{0}]"])
def test_a_configuration_with_exponential_aliases_is_rejected(tmp_path: Path, twice: str) -> None:
    lines = ["a0: &a0 {}", *(f"a{n}: &a{n} {twice.format(n - 1)}" for n in range(1, 40))]
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    assert read_config(tmp_path / "config.yaml") == {}


@pytest.mark.parametrize(
    "content",
    ['"x"', "{}", "ARROW1", "[" * 100_000, '{"outcome": "finished", "summary": {"a/b": "x"}}', "\xff"],
)
def test_a_run_json_of_another_form_is_damaged(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=r"^run\.json: ") as raised:
        read_run_info(tmp_path)
    assert len(str(raised.value).splitlines()) == 1


def test_every_command_reports_a_damaged_run_json() -> None:
    with copied(Damage(FINISHED / "run.json", "content", b'{"outcome": "finished"')):
        for name, command in (("repeat", repeat.main), ("compare", compare.main)):
            result = say(command, [str(FINISHED)] + [str(KILLED)] * (name == "compare"))
            assert result.code == 2 and result.err[0].startswith(f"rnnlab.{name}: {FINISHED}: "), result
            assert "run.json: " in result.err[0] and len(result.err) == 1
        result = say(sync.main, ["sweep"])
        assert result.code == 1 and "0_rnn: run.json: " in result.err[0], result
        result = say(main, [*SWEEP, "resume=sweep"])
        assert result.code == 2 and "0_rnn: cannot be read (run.json: " in result.err[0], result


@pytest.mark.parametrize("file", ["weights.safetensors", "gradients.parquet", "metrics.jsonl", "config.yaml"])
def test_the_reference_of_a_repetition_is_read_first(file: str) -> None:
    with copied(Damage(FINISHED / file, "content", b"{")):
        result = say(repeat.main, [str(FINISHED)])
        assert result.code == 2 and len(result.err) == 1 and file in result.err[0], result
        assert not Path("outputs").exists()


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_weights_of_a_type_that_numpy_does_not_have_are_named(dtype: str) -> None:
    size = 2 if dtype == "BF16" else 1
    header = json.dumps({"W_hh": {"dtype": dtype, "shape": [4], "data_offsets": [0, 4 * size]}}).encode()
    content = struct.pack("<Q", len(header)) + header + bytes(4 * size)
    with copied(Damage(FINISHED / "weights.safetensors", "content", content)):
        result = say(repeat.main, [str(FINISHED)])
        assert result.code == 2 and len(result.err) == 1 and "weights.safetensors: " in result.err[0], result


def one_bit(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("file", "how"),
    [
        (CHECKPOINT_FILE, one_bit),
        ("metrics.jsonl", one_bit),
        ("metrics.jsonl", half),
        (GRADIENT_LOG, half),
        ("code.diff", lambda _: b"\xff"),
    ],
)
def test_a_run_resumed_after_damage_ends_like_an_undamaged_run(
    file: str, how: Callable[[bytes], bytes]
) -> None:
    with copied():
        whole = (KILLED / file).read_bytes() if (KILLED / file).is_file() else b""
        (KILLED / file).write_bytes(how(whole))
        result = say(main, [*SWEEP, "resume=sweep"])
        assert result.code == 0, result
        assert digest(KILLED) == weights()[KILLED]
        assert [row.as_py() for row in metrics_table(KILLED / "metrics.jsonl")["step"]] == [0, 1, 2, 3, 4]


def test_a_gradient_log_of_another_format_is_ignored(tmp_path: Path) -> None:
    batch = pa.record_batch([pa.array([1])], ["step"])
    with pa.OSFile(str(tmp_path / GRADIENT_LOG), "wb") as file, pa.ipc.new_stream(file, batch.schema) as log:
        log.write_batch(batch)
    write_gradients(tmp_path)
    assert (tmp_path / "gradients.parquet").is_file()


@pytest.mark.parametrize("runs", ['{"../../elsewhere": "x"}', '{"": "x"}', '{"a": [1]}', "[]"])
def test_a_damaged_list_of_the_runs_of_a_sweep_is_ignored(runs: str) -> None:
    with copied(Damage(Path("sweep", "sweep.json"), "content", f'{{"sweep": "s", "runs": {runs}}}'.encode())):
        result = say(main, [*SWEEP, "resume=sweep"])
        assert (
            result.code == 2 and "resume=sweep: neither the name nor the folder of a sweep" in result.err[0]
        ), result


def test_a_damaged_ledger_is_rebuilt_and_a_damaged_table_is_reported() -> None:
    store = Store()
    with copied(Damage(FINISHED / "gradients.parquet", "content", b"PAR1")):
        (KILLED / "mlflow.json").write_text("[" * 100_000)
        with mock.patch("rnnlab.commands.sync.open_experiment", store.open):
            result = say(sync.main, ["sweep", "--uri", "sqlite:///mlflow.db"])
        assert result.code == 1 and len(result.err) == 1, result
        assert "0_rnn: gradients.parquet: " in result.err[0] and "MLflow at" not in result.err[0]


def test_a_parquet_text_column_that_is_not_utf8_is_refused() -> None:
    numbers = pa.array([b"1.5", b"\xff.5"] * 20)
    texts = pa.Array.from_buffers(pa.string(), len(numbers), numbers.buffers())
    with empty_folder():
        pq.write_table(pa.table({"a": texts, "b": pa.array(range(40))}), "table.pq")
        few = ["steps=2", "seq_len=3", "batch_size=2", "tracking=none", "figures=false", "val_every=null"]
        refused = say(main, ["task=series", "task.path=table.pq", *few])
        assert refused.code == 2 and len(refused.err) == 1
        assert refused.err[0].startswith("rnnlab: task.path=table.pq: cannot be read ("), refused


@pytest.mark.parametrize(
    "line", ["null", "5", '"x"', "[1]", '{"step": 1, "a": ' + "[" * 100_000 + "]" * 100_000 + "}"]
)
def test_a_metrics_line_that_crashed_arrow_is_reported(line: str, tmp_path: Path) -> None:
    row = '{"step": 0, "{a}": 1.5}\n'
    file = tmp_path / "metrics.jsonl"
    file.write_text(f"{row}{line}\n{row}")
    with pytest.raises(DamagedTable, match="line 2 is not a valid row") as raised:
        metrics_table(file)
    assert raised.value.rows.to_pylist() == [{"step": 0, "{a}": 1.5}]
    file.write_text(f"{line}\n{row}")
    with pytest.raises(DamagedTable, match="line 1 is not a valid row"):
        metrics_table(file)
