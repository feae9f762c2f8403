"""A run's own folder: written first, complete, and the truth about the run.

| file | what |
| --- | --- |
| `run.json` | name, sweep, overrides, versions; at the end outcome and summary |
| `config.yaml` | the resolved configuration |
| `metrics.jsonl` | one object a training step, metrics by name; appended while training |
| `gradients.parquet` | gradient norms by step × time step and by step × lag (`records.GRADIENT_COLUMNS`) |
| `weights.safetensors` | the final weights |
| `figures/`, `sample.txt` … | what a person looks at |
| `run.log` | what was said, with the time; appended to |
| `gradients.arrow`, `checkpoint.safetensors` | what a run that has not ended is continued from |

Rows are only ever appended. A run that is continued from a checkpoint makes the steps since then once
more, and they come out the same to the last bit; those rows stand already and are not written again. So
whoever has read a row, such as the mirror, has read it for good.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from filelock import FileLock, Timeout

from rnnlab.arrays import Array, Params
from rnnlab.records import (
    CONFIG_FILE,
    DIFF_FILE,
    ENDED,
    GRADIENTS_FILE,
    METRICS_FILE,
    OF_THE_CLOCK,
    RUN_FILE,
    STEPS_PER_SECOND,
    WEIGHTS_FILE,
    Outcome,
    StepRecord,
)
from rnnlab.tracking.checkpoint_file import read_checkpoint, write_checkpoint
from rnnlab.tracking.files import LineFile, refuse_links_in, replace_file, replace_text
from rnnlab.tracking.log_file import RUN_LOG
from rnnlab.tracking.metrics_file import standing_rows
from rnnlab.tracking.run_file import read_run_info
from rnnlab.wording import plain

if TYPE_CHECKING:
    from rnnlab.tracking.gradient_log import GradientLog

CHECKPOINT_FILE = "checkpoint.safetensors"
GRADIENT_LOG = "gradients.arrow"
ERROR_FILE = "error.txt"
RUN_LOCK = ".running"
"""Locked by the process that makes the run, for as long as it lives."""
FILES = (
    *(RUN_FILE, CONFIG_FILE, METRICS_FILE, GRADIENTS_FILE, WEIGHTS_FILE),
    *(CHECKPOINT_FILE, GRADIENT_LOG, ERROR_FILE, DIFF_FILE, RUN_LOG, RUN_LOCK),
)
"""What of a run's folder are files; most are written beside their place first, as `<name>.new`."""
MISPLACED = "a folder, where a run has a file"
ARTIFACTS = "artifacts"
"""The folder in which MLflow keeps the files of a run."""
LOCK_SECONDS = 10.0
"""How long a run waits for the process that made it before, which may be about to end."""


class RunInUse(Exception):
    """Another process is making this run."""


class RunEnded(Exception):
    """The run came to its end already."""


class RunFolder:
    """Writes one run. Use it as a context: whatever happens inside, what was recorded is kept.

    Attributes:
        info: What `run.json` says.
        differs_at: Of a resumed run, the first step that came out otherwise than it had before, or None.
    """

    def __init__(
        self,
        folder: Path,
        info: Mapping[str, Any],
        config: Mapping[str, Any],
        resume: bool = False,
        patience: float = LOCK_SECONDS,
    ) -> None:
        """Make the folder and note what is known before the run, or take it up again.

        Args:
            folder: Must not exist yet, unless the run is to be resumed.
            info: What is known of the run; of one that is resumed, its own `run.json` stands.
            config: The resolved configuration.
            resume: Whether to go on with what the folder holds, if anything.
            patience: Seconds to wait for another process that is making the run.

        Raises:
            FileExistsError: The folder exists.
            RunInUse: Another process is making the run.
            RunEnded: There is nothing left to do.
            ValueError: There is a link in the folder.
        """
        folder.mkdir(parents=True, exist_ok=resume)
        refuse_links_in(folder)
        self.folder = folder
        self._lock = FileLock(folder / RUN_LOCK)
        try:
            self._lock.acquire(timeout=patience)
        except Timeout:
            raise RunInUse(f"another process is making the run in {folder}") from None
        try:
            self._open(info, config)
        except BaseException:
            self._lock.release()
            raise

    def _open(self, info: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        now, earlier = time.time(), read_run_info(self.folder)
        if earlier is not None and earlier["outcome"] in ENDED:
            raise RunEnded
        self.info = {**info, "started": now} if earlier is None else earlier
        if earlier is not None:
            life = {"at": now} | {key: info[key] for key in ("machine", "tags") if key in info}
            self.info["resumed"] = [*earlier.get("resumed", []), life]
        self.info["outcome"] = None
        for stale in ("ended", "summary"):
            self.info.pop(stale, None)
        (self.folder / ERROR_FILE).unlink(missing_ok=True)
        text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
        replace_text(self.folder / CONFIG_FILE, text)
        metrics = self.folder / METRICS_FILE
        standing = list(standing_rows(metrics.read_bytes())) if metrics.is_file() else []
        self._metrics = LineFile(metrics, standing[-1][0] if standing else 0)
        self._standing = {row["step"]: row for _, row in standing}
        self._rows = len(self._standing)
        self._gradients: GradientLog | None = None
        self._closed = False
        before = max((row["seconds"] for row in self._standing.values()), default=0.0)
        self._clock = time.perf_counter()
        self._began = self._clock - before
        self.differs_at: int | None = None
        write_run_info(self.folder, self.info)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.close()
        finally:
            self._lock.release()

    def close(self) -> None:
        """No more records: make the table of the gradients.

        Raises:
            OSError: It could not be written.
        """
        from rnnlab.tracking.gradient_log import write_gradients

        if not self._closed:
            self._closed = True
            self._metrics.close()
            if self._gradients is not None:
                self._gradients.close()
            write_gradients(self.folder)

    @property
    def seconds(self) -> float:
        """How long the run has taken, without the time between its processes."""
        return time.perf_counter() - self._began

    def records(self, before: int) -> Iterator[StepRecord]:
        """What the folder holds of the steps before a step."""
        for step, row in self._standing.items():
            if step < before:
                yield StepRecord(step, _metrics(row))

    def write(self, record: StepRecord) -> None:
        """Append a step's curves and metrics, at once; of a step that stands already nothing is written.

        Raises:
            OSError: They could not be written.
        """
        if record.gradients:
            self._gradient_log().append(record.step, record.gradients)
        if (stands := self._standing.get(record.step)) is not None:
            if self.differs_at is None and _metrics(stands) != dict(record.metrics):
                self.differs_at = record.step  # another machine, another rounding
            return
        now = time.perf_counter()
        row = {
            "step": record.step,
            "seconds": round(now - self._began, 4),
            **record.metrics,
            STEPS_PER_SECOND: round(1 / max(now - self._clock, 1e-9), 1),
        }
        self._metrics.append(json.dumps(row, allow_nan=False))
        self._rows += 1
        self._clock = now

    def _gradient_log(self) -> "GradientLog":
        if self._gradients is None:
            from rnnlab.tracking.gradient_log import GradientLog  # with pyarrow, which takes a while

            self._gradients = GradientLog(self.folder)
        return self._gradients

    def finish(self, outcome: Outcome, summary: Mapping[str, Any]) -> None:
        """Note how the run ended; called last, when everything else is in place.

        Raises:
            OSError: It could not be written.
        """
        ended = max(time.time(), self.info["started"] + self.seconds)  # a clock may be set back meanwhile
        self.info |= {"outcome": outcome, "ended": ended, "summary": dict(summary)}
        write_run_info(self.folder, self.info)

    def write_weights(self, params: Params) -> None:
        """Keep the weights under their names."""
        from safetensors.numpy import save

        arrays = {name: np.ascontiguousarray(value) for name, value in params.items()}
        replace_file(self.folder / WEIGHTS_FILE, lambda file: file.write(save(arrays)))

    def write_checkpoint(self, arrays: Mapping[str, Array], plain: Mapping[str, Any]) -> None:
        """Keep what the run can be continued from, in place of an earlier one.

        With it go the rows and the last recording that must stand for it, and a digest of all.
        """
        self._metrics.sync()  # no checkpoint without the records that lead to it
        if self._gradients is not None:
            self._gradients.sync()
        recorded = -1 if self._gradients is None else self._gradients.last_step
        state = {"state": plain, "rows": self._rows, "recorded": recorded}
        write_checkpoint(self.folder / CHECKPOINT_FILE, arrays, state)

    def read_checkpoint(self) -> tuple[dict[str, Array], dict[str, Any]] | None:
        """What `write_checkpoint` kept last, if it and what leads to it is whole.

        None: then the run starts from its beginning, which leads to the same end.
        """
        if (found := read_checkpoint(self.folder / CHECKPOINT_FILE)) is None:
            return None
        arrays, kept = found
        with suppress(KeyError, TypeError):  # of other code
            if kept["rows"] <= self._rows and kept["recorded"] <= self._gradient_log().last_step:
                return arrays, kept["state"]
        return None

    def write_text(self, name: str, text: str) -> None:
        """Keep a text for people to look at, which may be printed: it holds no control characters."""
        replace_text(self.folder / name, plain(text))

    def write_diff(self, name: str, diff: str) -> None:
        """Keep what the code has changed, to the letter."""
        replace_text(self.folder / name, diff)


def clear_resume_files(folder: Path) -> None:
    """Remove what only a run that has not ended needs."""
    for name in (GRADIENT_LOG, CHECKPOINT_FILE):
        (folder / name).unlink(missing_ok=True)


def machine_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """The machine that makes a run, or made it last."""
    lives = [info, *info.get("resumed", [])]
    return dict(lives[-1].get("machine") or {})


def record_failure(
    folder: Path, info: Mapping[str, Any], config: Mapping[str, Any], summary: Mapping[str, Any]
) -> dict[str, Any]:
    """Note that a run failed whose process did not come to note anything; return its info.

    Raises:
        RunInUse: Its process is still there.
        RunEnded: It came to its end.
        OSError: It could not be written.
    """
    with RunFolder(folder, info, config, resume=True, patience=0) as run:
        run.finish("failed", summary)
        return run.info


def close_run(folder: Path, outcome: Outcome, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Note the end of a run whose process could not; return its info.

    Raises:
        RunInUse: Its process is still there.
        OSError: It could not be written.
        ValueError: A link would lead out of the folder.
    """
    from rnnlab.tracking.gradient_log import write_gradients

    try:
        refuse_links_in(folder)
        with FileLock(folder / RUN_LOCK).acquire(timeout=0):
            info = read_run_info(folder)
            assert info is not None
            if info["outcome"] is None:
                write_gradients(folder)
                ended = max(time.time(), info["started"])
                info |= {"outcome": outcome, "ended": ended, "summary": dict(summary)}
                write_run_info(folder, info)
            return info
    except Timeout:
        raise RunInUse(f"another process is making the run in {folder}") from None


def in_use(folder: Path) -> bool:
    """Whether a process is making this run."""
    try:
        FileLock(folder / RUN_LOCK).acquire(timeout=0).lock.release()
    except Timeout:
        return True
    return False


def misplaced(folder: Path) -> Path | None:
    """A folder in the place of one of a run's files, which can be neither read nor written."""
    places = (folder / f"{name}{suffix}" for name in FILES for suffix in ("", ".new"))
    return next((path for path in places if path.is_dir() and not path.is_symlink()), None)


def write_run_info(folder: Path, info: Mapping[str, Any]) -> None:
    """Replace `run.json` in one move, so that a reader never sees half of it."""
    text = json.dumps(info, indent=1, ensure_ascii=False, allow_nan=False)
    replace_text(folder / RUN_FILE, text)


def run_folders(folder: Path) -> Iterator[Path]:
    """The runs' folders below a folder, absolute; what MLflow keeps there are copies."""
    for file in sorted(folder.rglob(RUN_FILE)):
        if file.parent.name != ARTIFACTS:
            yield file.parent.absolute()


def _metrics(row: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: value for name, value in row.items() if name not in ("step", *OF_THE_CLOCK)}
