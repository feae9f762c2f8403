"""The commands of rnnlab run inside this process, each in an empty folder, with their output."""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
from safetensors.numpy import load_file

from rnnlab.app.jobs.run_job import WorkOrder, execute
from rnnlab.records import ENDED, WEIGHTS_FILE
from rnnlab.text import describe_error

NO_TRACEBACKS = {"HYDRA_FULL_ERROR": "0"}


@dataclass(frozen=True)
class Said:
    """Result of a command.

    Attributes:
        code: The exit code.
        out: The standard output.
        err: The lines of the standard error.
    """

    code: int
    out: str
    err: list[str]


@contextmanager
def empty_folder() -> Iterator[Path]:
    """Yield an empty current folder inside an otherwise empty folder."""
    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer, "here")
        folder.mkdir()
        with chdir(folder):
            yield folder


def say(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> Said:
    """Run a command; all exceptions propagate except argparse's SystemExit."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", how) for how in ("strict", "backslashreplace")]
    without = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_TRACKING")}
    with (
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
        mock.patch.dict(os.environ, without | NO_TRACEBACKS, clear=True),
    ):
        try:
            code = main(list(arguments))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
    out, err = (_written(stream) for stream in streams)
    return Said(code, out, err.splitlines())


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


def train(order: WorkOrder, steps: int = 2) -> None:
    """Execute a few steps of a run in this process, and check that it ends on its own."""
    short = order.config | {"steps": min(steps, order.config["steps"])}
    outcome = execute(replace(order, config=short), lambda: False)
    error = order.folder / "error.txt"
    if outcome == "finished":
        weights = load_file(order.folder / WEIGHTS_FILE)
        assert all(np.isfinite(w).all() for w in weights.values()), order.info["overrides"]
    assert outcome in ENDED, error.read_text(encoding="utf-8") if error.is_file() else outcome


class Here:
    """A launcher that executes the runs in this process instead of worker processes."""

    def __init__(self, orders: Sequence[WorkOrder], _jobs: int) -> None:
        self._waiting = list(orders)

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def ended(self, _timeout: float) -> list[tuple[WorkOrder, str | None]]:
        order = self._waiting.pop(0)
        try:
            execute(order, lambda: False)
        except Exception as raised:
            return [(order, describe_error(raised))]
        return [(order, None)]

    def stop(self) -> None:
        self._waiting.clear()

    def close(self) -> None:
        pass
