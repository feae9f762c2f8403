"""Tests that a resumed run gives the same result as an uninterrupted run, even with damaged files."""

import hashlib
import json
import re
import shutil
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnnlab.app.check import check
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.jobs.run_job import WorkOrder, execute
from rnnlab.paths import conf_dir
from rnnlab.runs.checkpoint import CHECKPOINT_FILE, GRADIENT_LOG
from tests.fuzz.amount import TIMES
from tests.processes import run_info
from tests.resigned import Edit, parts_of, resign, write
from tests.thorough import covering

STEPS, STOPPED = 7, 4
SMALL = (
    *(f"steps={STEPS}", "hidden_size=4", "batch_size=2", "seq_len=5", "val_every=2", "probe=light"),
    *("clip=0.3", "optimizer=adam", "cell=lstm", "task.sample_length=0", "figures=false", "tracking=none"),
    *("checkpoint_every=0", "probe.examples=2", "task.held_out=0.01"),
)
CLOCK = re.compile(rb'"seconds": [^,]+, |, "time/steps_per_second": [^}]+')
STARTS_OVER = "WARNING checkpoint or its records are damaged ("


class PowerFailure(BaseException):
    """Exception that simulates the death of a process."""


def order_of(folder: Path, *overrides: str) -> WorkOrder:
    arguments = [*SMALL, *overrides, f"hydra.run.dir={folder}"]
    return check(compose_plan(conf_dir(), arguments, multirun=False)).orders[0]


def stopped(after: int, dies: bool = False) -> Callable[[], bool]:
    """Stops a run after a number of steps, or simulates the death of its process without a last checkpoint."""
    asked = -2

    def stopping() -> bool:
        nonlocal asked
        if sys._getframe(1).f_code.co_name == "validate":
            return False
        asked += 1
        if asked >= after - 1 and dies:
            raise PowerFailure
        return asked >= after - 1

    return stopping


def never() -> bool:
    return False


def contents(run: Path) -> tuple[bytes, bytes, pa.Table]:
    """Return the results of a run: weights, rows without times, and the gradient table."""
    rows = CLOCK.sub(b"", (run / "metrics.jsonl").read_bytes())
    return (run / "weights.safetensors").read_bytes(), rows, pq.read_table(run / "gradients.parquet")


def log_of(run: Path) -> str:
    return (run / "run.log").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, WorkOrder]:
    """A complete run, a stopped run, and a run that died one step after its last checkpoint."""
    top = tmp_path_factory.mktemp("runs")
    made = {name: order_of(top / name) for name in ("whole", "stopped", "dead")}
    assert execute(made["whole"], never) == "finished"
    assert execute(made["stopped"], stopped(STOPPED)) == "killed"
    with pytest.raises(PowerFailure):
        execute(made["dead"], stopped(STOPPED, dies=True))
    assert parts_of(made["dead"].folder)[1]["state"]["step"] == STOPPED - 1
    return made


@pytest.fixture
def whole(orders: dict[str, WorkOrder]) -> tuple[bytes, bytes, pa.Table]:
    return contents(orders["whole"].folder)


def copy(order: WorkOrder, folder: Path) -> WorkOrder:
    shutil.copytree(order.folder, folder)
    return replace(order, folder=folder, resume=True)


@pytest.mark.parametrize(
    ("probe", "val_every"), covering(["none", "light", "standard", "full"], ["null", "1", "3"])
)
def test_a_resumed_run_has_byte_identical_files(probe: str, val_every: str, tmp_path: Path) -> None:
    """Interrupt the run after one step, and after every step."""
    choices = (f"probe={probe}", f"val_every={val_every}", "cell=gru", "optimizer=sgd")
    choices = (*choices, *(() if probe == "none" else ("probe.examples=2",)))
    if probe == "full":
        choices = (*choices, "probe.measurements.lyapunov.steps=20", "probe.measurements.lyapunov.warm_up=5")
    order = order_of(tmp_path / "whole", *choices)
    assert execute(order, never) == "finished"
    expected = contents(order.folder)
    often = replace(order, folder=tmp_path / "often", resume=True)
    for _ in range(STEPS - 1):
        assert execute(often, stopped(1)) == "killed"
    assert execute(often, stopped(1)) == "finished"  # the last record follows the last step at once
    assert contents(often.folder) == expected
    for after in range(1, STEPS, 2):
        once = replace(order, folder=tmp_path / str(after), resume=True)
        with pytest.raises(PowerFailure):
            execute(once, stopped(after, dies=True))
        assert execute(once, never) == "finished"
        assert contents(once.folder) == expected


def flipped_everywhere(path: Path) -> list[bytes]:
    """Yield versions of a file with one flipped bit, at 16 positions, or 40 with `make fuzz`."""
    whole = path.read_bytes()
    changed = []
    for at in np.linspace(0, len(whole) - 1, 40 if TIMES else 16).astype(int):
        content = bytearray(whole)
        content[at] ^= 1 << int(at) % 8
        changed.append(bytes(content))
    return changed


@pytest.mark.parametrize("what", ["stopped", "dead"])
@pytest.mark.parametrize("name", ["metrics.jsonl", "gradients.arrow", CHECKPOINT_FILE])
def test_every_flipped_bit_is_detected(
    orders: dict[str, WorkOrder], whole: tuple[bytes, bytes, pa.Table], what: str, name: str, tmp_path: Path
) -> None:
    for number, content in enumerate(flipped_everywhere(orders[what].folder / name)):
        order = copy(orders[what], tmp_path / str(number))
        (order.folder / name).write_bytes(content)
        assert execute(order, never) == "finished", run_info(order.folder)["summary"]
        assert contents(order.folder) == whole, number
        if STARTS_OVER in log_of(order.folder):
            assert "differs_since" not in run_info(order.folder)["summary"]


@pytest.mark.parametrize("key", ["train/loss", "seconds", "grad/clipped"])
@pytest.mark.parametrize("at", range(STOPPED))
@pytest.mark.parametrize("what", ["stopped", "dead"])
def test_every_changed_digit_is_detected(
    orders: dict[str, WorkOrder],
    whole: tuple[bytes, bytes, pa.Table],
    what: str,
    at: int,
    key: str,
    tmp_path: Path,
) -> None:
    order = copy(orders[what], tmp_path / "run")
    file = order.folder / "metrics.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[at][key] += 0.25
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert execute(order, never) == "finished"
    assert contents(order.folder) == whole
    after_the_checkpoint = what == "dead" and at == STOPPED - 1
    assert (STARTS_OVER in log_of(order.folder)) != after_the_checkpoint
    differs = run_info(order.folder)["summary"].get("differs_since")
    assert differs == (at if after_the_checkpoint and key != "seconds" else None)


@pytest.mark.parametrize("what", ["stopped", "dead"])
def test_a_run_without_its_checkpoint_is_repeated(
    orders: dict[str, WorkOrder], whole: tuple[bytes, bytes, pa.Table], what: str, tmp_path: Path
) -> None:
    order = copy(orders[what], tmp_path / "run")
    (order.folder / CHECKPOINT_FILE).unlink()
    for name in ("metrics.jsonl", "gradients.arrow"):
        content = bytearray((order.folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (order.folder / name).write_bytes(content)
    assert execute(order, never) == "finished"
    assert contents(order.folder) == whole
    assert "differs_since" not in run_info(order.folder)["summary"]


def of_state(*path: str | int, value: Any) -> Edit:
    """Set a value in the state."""

    def edit(_: Any, state: Any) -> None:
        for key in path[:-1]:
            state = state[key]
        state[path[-1]] = value

    return edit


def of_array(name: str, change: Callable[[Any], Any]) -> Edit:
    """Replace an array."""

    def edit(arrays: Any, _: Any) -> None:
        arrays[name] = np.ascontiguousarray(change(arrays[name]))

    return edit


def renamed(arrays: Any, state: Any) -> None:
    arrays["carried/x"] = arrays.pop("carried/h")


IMPOSSIBLE: dict[str, Edit] = {
    "step beyond the end": of_state("step", value=STEPS + 1),
    "step beyond the rows": of_state("step", value=STOPPED + 1),
    "step before the rows": of_state("step", value=STOPPED - 1),
    "negative step": of_state("step", value=-2),
    "no step": of_state("step", value=0),
    "step of text": of_state("step", value="4"),
    "step of a fraction": of_state("step", value=4.0),
    "step true": of_state("step", value=True),
    "huge step": of_state("step", value=10**400),
    "ended": of_state("ended", value=True),
    "nothing clipped": lambda _, state: state.pop("clipped"),
    "clipped more than it made steps": of_state("clipped", value=STOPPED + 1),
    "clipped text": of_state("clipped", value="x"),
    "clipped one more or less than the rows": lambda _, state: state.update(clipped=state["clipped"] ^ 1),
    "solved without a criterion": of_state("solved", value=True),
    "solved a number": of_state("solved", value=0),
    "generator of another kind": of_state("batches", value=np.random.MT19937(0).state["bit_generator"]),
    "generator of Philox": of_state("batches", "bit_generator", value="Philox"),
    "generator of nothing": of_state("starts", value={}),
    "generator of text": of_state("batches", "state", "state", value="x"),
    "generator of a negative state": of_state("batches", "state", "state", value=-1),
    "generator of too many bits": of_state("batches", "state", "state", value=2**200),
    "generator of a fraction": of_state("batches", "state", "state", value=0.5),
    "generator of another stream": of_state("batches", "state", "inc", value=3),
    "generator that has more than it can": of_state("batches", "has_uint32", value=7),
    "spikes of nothing": of_state("spikes", value=None),
    "spikes of a list": of_state("spikes", value=[]),
    "spikes with another factor": of_state("spikes", "factor", value=2.0),
    "spikes of more than all steps": of_state("spikes", "seen", value=STOPPED + 1),
    "spikes whose mean is text": of_state("spikes", "mean_log", value="x"),
    "spikes whose mean is NaN": of_state("spikes", "mean_log", value=float("nan")),
    "spikes whose mean overflows": of_state("spikes", "mean_log", value=1e6),
    "spikes that rest for ever": of_state("spikes", "rest", value=10**9),
    "losses of text": of_state("stability", "recent", value=["x"] * STOPPED),
    "losses of NaN": of_state("stability", "recent", 1, value=float("nan")),
    "losses of nothing": of_state("stability", "recent", value=None),
    "too many losses": of_state("stability", "recent", value=[1.0] * 1000),
    "too few losses": of_state("stability", "recent", value=[]),
    "window of losses": of_state("stability", "window", value=0),
    "unstable before its time": of_state("stability", "since", value=0),
    "unstable since text": of_state("stability", "since", value="x"),
    "weights of another shape": of_array("params/W_hh", lambda W: W[:, :-1]),
    "weights as a column": of_array("params/b_h", lambda b: b[:, 0]),
    "weights of another type": of_array("params/W_hh", lambda W: W.astype(np.float64)),
    "weights of numbers that are whole": of_array("params/W_hh", lambda W: W.astype(np.int64)),
    "no weights": lambda arrays, _: arrays.pop("params/W_hh"),
    "more weights": lambda arrays, _: arrays.update({"params/x": np.zeros(3)}),
    "arrays of no part": lambda arrays, _: arrays.update(x=np.zeros(3)),
    "no arrays": lambda arrays, _: arrays.clear(),
    "optimiser of another shape": of_array("optimizer/m", lambda m: m[:-1]),
    "optimiser of another": lambda arrays, _: arrays.pop("optimizer/v"),
    "optimiser that counted otherwise": of_array("optimizer/k", lambda k: k + 1),
    "optimiser of negative squares": of_array("optimizer/v", lambda v: v - 1),
    "carried of another batch": of_array("carried/h", lambda h: np.hstack([h, h])),
    "carried of another name": renamed,
    "carried NaN": of_array("carried/h", lambda h: h * np.float32("nan")),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_an_impossible_state_restarts_the_run(
    orders: dict[str, WorkOrder], whole: tuple[bytes, bytes, pa.Table], what: str, tmp_path: Path
) -> None:
    order = copy(orders["stopped"], tmp_path / "run")
    resign(order.folder, IMPOSSIBLE[what])
    starts_over(order, whole)


def starts_over(order: WorkOrder, whole: tuple[bytes, bytes, pa.Table]) -> None:
    assert execute(order, never) == "finished", run_info(order.folder)["summary"]
    assert contents(order.folder) == whole
    assert log_of(order.folder).count(STARTS_OVER) == 1 and "resuming from" not in log_of(order.folder)
    assert not (order.folder / "error.txt").exists()
    assert "differs_since" not in run_info(order.folder)["summary"]


@pytest.mark.parametrize(
    "kept", [None, [], {}, {"state": {}}, {"rows": {"bytes": -1, "sha256": ""}}, {"rows": {"bytes": "x"}}]
)
def test_a_checkpoint_of_another_format_restarts_the_run(
    orders: dict[str, WorkOrder], whole: tuple[bytes, bytes, pa.Table], kept: Any, tmp_path: Path
) -> None:
    order = copy(orders["stopped"], tmp_path / "run")
    arrays, before = parts_of(order.folder)
    write(order.folder, arrays, before | kept if kept and isinstance(kept, dict) else kept)
    starts_over(order, whole)


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_checkpoint_that_covers_too_few_recordings_restarts_the_run(
    orders: dict[str, WorkOrder], whole: tuple[bytes, bytes, pa.Table], share: float, tmp_path: Path
) -> None:
    order = copy(orders["stopped"], tmp_path / "run")
    arrays, kept = parts_of(order.folder)
    covered = (order.folder / GRADIENT_LOG).read_bytes()[: int(share * kept["recordings"]["bytes"])]
    kept["recordings"] = {"bytes": len(covered), "sha256": hashlib.sha256(covered).hexdigest()}
    write(order.folder, arrays, kept)
    starts_over(order, whole)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "C64", "F128"])
def test_arrays_of_unknown_types_restart_the_run(
    orders: dict[str, WorkOrder], whole: tuple[bytes, bytes, pa.Table], dtype: str, tmp_path: Path
) -> None:
    order = copy(orders["stopped"], tmp_path / "run")
    file = order.folder / CHECKPOINT_FILE
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    start, end = header["params/W_hh"]["data_offsets"]
    size = {"BF16": 2, "F16": 2, "C64": 8, "F128": 16}.get(dtype, 1)
    header["params/W_hh"] |= {"dtype": dtype, "shape": [(end - start) // size]}
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    starts_over(order, whole)


def test_training_continues_from_a_possible_state(
    orders: dict[str, WorkOrder], whole: tuple[bytes, bytes, pa.Table], tmp_path: Path
) -> None:
    for what, step in (("stopped", STOPPED), ("dead", STOPPED - 1)):
        order = copy(orders[what], tmp_path / what)
        resign(order.folder, lambda arrays, state: None)
        assert execute(order, never) == "finished"
        assert contents(order.folder) == whole
        assert f"resuming from the checkpoint at step {step}" in log_of(order.folder)
        assert "WARNING" not in log_of(order.folder)


def test_a_full_disk_does_not_count_as_damage(
    orders: dict[str, WorkOrder], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A system error ends the run and keeps all files needed to resume it."""
    order = copy(orders["stopped"], tmp_path / "run")
    before = {name: (order.folder / name).read_bytes() for name in ("metrics.jsonl", CHECKPOINT_FILE)}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr("rnnlab.runs.folder.RunFolder._cut_recordings", full)
        assert execute(order, never) == "failed"
    assert run_info(order.folder)["summary"]["error"] == "no space left on the disk"
    assert {name: (order.folder / name).read_bytes() for name in before} == before


def test_the_configuration_takes_precedence_over_run_json(
    orders: dict[str, WorkOrder], tmp_path: Path
) -> None:
    order = copy(orders["stopped"], tmp_path / "run")
    file = order.folder / "run.json"
    before = json.loads(file.read_text())
    file.write_text(json.dumps(before | {"steps": 70, "seed": 5, "goal": None, "started": 9.19e9}))
    assert execute(order, never) == "finished"
    after = run_info(order.folder)
    assert {key: after[key] for key in ("steps", "seed", "goal", "id")} == {
        key: before[key] for key in ("steps", "seed", "goal", "id")
    }


def test_a_temporarily_unreadable_file_does_not_count_as_damaged(
    orders: dict[str, WorkOrder], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The folder may be intact, for example on a network file system."""
    order = copy(orders["stopped"], tmp_path / "run")
    before = {name: (order.folder / name).read_bytes() for name in ("metrics.jsonl", CHECKPOINT_FILE)}

    def unreadable(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as context:
        context.setattr("rnnlab.app.jobs.restore_run.read_checkpoint", unreadable)
        assert execute(order, never) == "failed"
    assert {name: (order.folder / name).read_bytes() for name in before} == before
