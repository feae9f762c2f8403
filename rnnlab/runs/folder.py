"""The run folder: the complete and authoritative record of one run.

| file | content |
| --- | --- |
| `run.json` | name, sweep, overrides, versions; outcome and summary once the run has ended |
| `config.yaml` | the resolved configuration |
| `metrics.jsonl` | one JSON object per training step with metrics by name; extended during training |
| `gradients.parquet` | gradient norms by step × time step and by step × lag (`records.GRADIENT_COLUMNS`) |
| `weights.safetensors` | the final weights |
| `figures/`, `sample.txt` … | figures and human-readable text |
| `run.log` | log messages with timestamps; extended during the run |
| `gradients.arrow`, `checkpoint.safetensors` | files needed to resume an unfinished run |

A checkpoint (see the key `checkpoint_every`) contains checksums of the metric rows and gradient recordings
written before the checkpoint. A resumed run repeats the training steps after the last checkpoint and writes
the gradient recordings of these steps again. If a repeated step yields bit-identical metrics, the existing
metric row is kept. The first row with different metrics and all later rows are replaced. A reader such as the
MLflow mirror therefore reads each row only once, unless `MetricsReader` detects replaced rows. If the
checkpoint, or a file whose checksum it contains, is damaged, the run restarts from the beginning.
"""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from filelock import FileLock, Timeout

from rnnlab.arrays import Array, Params
from rnnlab.records import (
    ARTIFACTS,
    CONFIG_FILE,
    DIFF_FILE,
    ENDED,
    GRADIENTS_FILE,
    METRICS_FILE,
    RUN_FILE,
    WEIGHTS_FILE,
    Outcome,
    StepRecord,
)
from rnnlab.runs.checkpoint import CHECKPOINT_FILE, GRADIENT_LOG, Checkpoint, Prefix, write_checkpoint
from rnnlab.runs.files import LineFile, refuse_links_in, replace_file, replace_text, scratch_of
from rnnlab.runs.log import RUN_LOG
from rnnlab.runs.metrics_jsonl import MetricsWriter
from rnnlab.runs.run_json import FORMAT, MAX_TIME, read_run_info
from rnnlab.text import sanitize

if TYPE_CHECKING:
    from rnnlab.runs.gradient_table import GradientLog

ERROR_FILE = "error.txt"
RUN_LOCK = ".running"
"""Lock file that the process of a run keeps locked until the process exits."""
FILES = (
    *(RUN_FILE, CONFIG_FILE, METRICS_FILE, GRADIENTS_FILE, WEIGHTS_FILE),
    *(CHECKPOINT_FILE, GRADIENT_LOG, ERROR_FILE, DIFF_FILE, RUN_LOG, RUN_LOCK),
)
"""Names of the files in a run folder; most files are first written as `<name>.new` and then renamed."""
MISPLACED_FOLDER = "is a directory"
CONFIGURATION_KEYS = ("identity", "steps", "seed", "goal", "dataset")
"""Keys of `run.json` whose values depend on the configuration or data and are recomputed on resumption."""
LOCK_SECONDS = 10.0
"""Maximum number of seconds that a run waits for an earlier process of the same run to exit."""


class RunInUse(Exception):
    """Exception raised if a run is still in progress in another process."""


class RunEnded(Exception):
    """Exception raised if a run has already ended and therefore cannot be resumed."""


class RunFolder:
    """Context manager that writes a run folder, and saves the recorded data even after an exception.

    Attributes:
        info: Content of `run.json`.
    """

    def __init__(
        self,
        folder: Path,
        info: Mapping[str, Any],
        config: Mapping[str, Any],
        resume: bool = False,
        patience: float = LOCK_SECONDS,
    ) -> None:
        """Create the folder and record the run's initial information, or resume an existing run.

        Args:
            folder: Path of the run folder, which must not exist unless `resume` is true.
            info: Initial content of `run.json`. In a resumed run, existing entries take precedence, except
                the entries whose keys are in CONFIGURATION_KEYS.
            config: Resolved configuration.
            resume: True to resume the run if the folder already exists.
            patience: Maximum number of seconds to wait for another process of the same run to exit.

        Raises:
            FileExistsError: If the folder exists and `resume` is false.
            RunInUse: If the run is still in progress in another process.
            RunEnded: If the run has already ended.
            ValueError: If the folder contains a symbolic link.
        """
        folder.mkdir(parents=True, exist_ok=resume)
        refuse_links_in(folder)
        self.folder = folder
        self._lock = FileLock(folder / RUN_LOCK)
        try:
            self._lock.acquire(timeout=patience)
        except Timeout:
            raise RunInUse(f"{folder} belongs to a run that is still in progress") from None
        try:
            self._open(info, config)
        except BaseException:
            self._lock.release()
            raise

    def _open(self, info: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        now, earlier = time.time(), read_run_info(self.folder)
        if earlier is not None and earlier["outcome"] in ENDED:
            raise RunEnded
        for name in FILES:  # a killed process may leave temporary files
            if (scratch := scratch_of(self.folder / name)).is_file():
                scratch.unlink()
        self.info = {"format": FORMAT, **info, "started": now, **(earlier or {})}
        if earlier is not None:
            self.info |= {key: info[key] for key in CONFIGURATION_KEYS if key in info}
            resumption = {"at": now} | {key: info[key] for key in ("machine", "tags") if key in info}
            self.info["resumed"] = [*earlier.get("resumed", []), resumption]
        self.info["outcome"] = None
        for stale in ("ended", "summary"):
            self.info.pop(stale, None)
        (self.folder / ERROR_FILE).unlink(missing_ok=True)
        text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
        replace_text(self.folder / CONFIG_FILE, text)
        self._rows = MetricsWriter(self.folder)
        self._recordings = Prefix()
        self._gradients: GradientLog | None = None
        self._closed = self._is_continuation = False
        write_run_info(self.folder, self.info)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.close()
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the metric and gradient logs, and write `gradients.parquet`.

        Raises:
            OSError: If `gradients.parquet` cannot be written.
        """
        from rnnlab.runs.gradient_table import write_gradients

        if not self._closed:
            self._closed = True
            self._rows.close()
            if self._gradients is not None:
                self._gradients.close()
            write_gradients(self.folder)

    @property
    def seconds(self) -> float:
        """Return the run's duration in seconds, excluding the time between interruption and resumption."""
        return self._rows.seconds

    @property
    def differs_since(self) -> int | None:
        """Return the first step whose metrics differed when a resumed run repeated the step, or None."""
        resumptions = self.info.get("resumed", [])
        return min((r["differs_since"] for r in resumptions if "differs_since" in r), default=None)

    def records(self, checkpoint: Checkpoint) -> list[StepRecord]:
        """Return the records of the steps that precede a checkpoint.

        Raises:
            ValueError: If the part of `metrics.jsonl` covered by the checkpoint does not end at the end of a
                row.
        """
        return self._rows.records(checkpoint.rows)

    def covers_recordings(self, checkpoint: Checkpoint, step: int) -> bool:
        """Return True if a checkpoint covers all gradient recordings of the steps before `step`."""
        if not (self.folder / GRADIENT_LOG).is_file():
            return True
        from rnnlab.runs.gradient_table import recorded_steps

        earlier = [recorded for recorded in recorded_steps(self.folder) if recorded < step]
        return recorded_steps(self.folder, checkpoint.recordings.size) == earlier

    def resume_from(self, checkpoint: Checkpoint | None) -> None:
        """Resume the run from a checkpoint, or from the beginning if `checkpoint` is None.

        Metric rows after the checkpoint are kept until a repeated row differs. Gradient recordings after the
        checkpoint are removed.

        Raises:
            OSError: If the folder cannot be written.
        """
        if checkpoint is None:
            self._clear_differences()
        else:
            self._rows.resume_from(checkpoint.rows)
            self._recordings, self._is_continuation = checkpoint.recordings, True
        self._cut_recordings()

    def restart(self) -> None:
        """Discard the damaged metrics and recordings, and restart the run from the beginning.

        Raises:
            OSError: If the folder cannot be written.
        """
        self._recordings, self._is_continuation = Prefix(), False
        self._clear_differences()
        self._rows.restart()
        self._cut_recordings()
        (self.folder / CHECKPOINT_FILE).unlink(missing_ok=True)  # last: it marks the other files as damaged

    def _clear_differences(self) -> None:
        """Delete the recorded `differs_since` values, because the current process repeats the entire run."""
        for resumption in self.info.get("resumed", []):
            resumption.pop("differs_since", None)

    def _cut_recordings(self) -> None:
        if (log := self.folder / GRADIENT_LOG).is_file():
            LineFile(log, self._recordings.size).close()

    def write(self, record: StepRecord) -> bool:
        """Append the curves and the metrics of a step to the files immediately.

        If a row with identical metrics already exists for the step, the existing row is kept.

        Returns:
            True if `metrics.jsonl` already contained a row with different metrics for this step.

        Raises:
            OSError: If the curves or metrics cannot be written.
        """
        if record.gradients:
            self._gradient_log().append(record.step, record.gradients)
        differs = self._rows.differs_from_existing(record) and self._rows.drop_unverified()
        if differs:
            self._note_difference()
        self._rows.write(record)
        return differs

    def complete(self) -> bool:
        """Remove metric rows after the last step of the run, and return True if any were removed.

        Raises:
            OSError: If the folder cannot be written.
        """
        differs = self._rows.drop_unverified()
        if differs:
            self._note_difference()
        return differs

    def _note_difference(self) -> None:
        if self._is_continuation:
            self.info["resumed"][-1].setdefault("differs_since", self._rows.count)
            write_run_info(self.folder, self.info)

    def _gradient_log(self) -> "GradientLog":
        if self._gradients is None:
            from rnnlab.runs.gradient_table import GradientLog  # deferred: importing pyarrow is slow

            self._gradients = GradientLog(self.folder, self._recordings)
        return self._gradients

    def finish(self, outcome: Outcome, summary: Mapping[str, Any]) -> None:
        """Record the outcome of the run in `run.json`; all other files must already have been written.

        Raises:
            OSError: If the outcome cannot be written.
        """
        began = self.info.get("started", 0.0)
        ended = max(time.time(), began + self.seconds)  # the clock may have been set back during the run
        ended = min(ended, MAX_TIME)
        self.info |= {"outcome": outcome, "ended": ended, "summary": dict(summary)}
        write_run_info(self.folder, self.info)

    def write_weights(self, params: Params) -> None:
        """Save the weights by name in `weights.safetensors`."""
        from safetensors.numpy import save

        arrays = {name: np.ascontiguousarray(value) for name, value in params.items()}
        replace_file(self.folder / WEIGHTS_FILE, lambda file: file.write(save(arrays)))

    def write_checkpoint(self, arrays: Mapping[str, Array], plain: Mapping[str, Any]) -> None:
        """Write a checkpoint, replacing any earlier checkpoint.

        The checkpoint covers the metric rows and gradient recordings written so far.
        """
        self._rows.sync()  # the records must reach the disk before the checkpoint that covers them
        if self._gradients is not None:
            self._gradients.sync()
        write_checkpoint(self.folder, arrays, plain, self._rows.verified, self._recordings)

    def write_text(self, name: str, text: str) -> None:
        """Save human-readable text, replacing control characters so that the text is safe to print."""
        replace_text(self.folder / name, sanitize(text))

    def write_diff(self, name: str, diff: str) -> None:
        """Save a diff of uncommitted source-code changes; unlike `write_text`, keep control characters."""
        replace_text(self.folder / name, diff)


def latest_machine(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return information about the machine on which the run last started or resumed."""
    latest = [info, *info.get("resumed", [])][-1]
    return dict(latest.get("machine") or {})


def is_in_use(folder: Path) -> bool:
    """Return True if any process is executing the run."""
    try:
        FileLock(folder / RUN_LOCK).acquire(timeout=0).lock.release()
    except Timeout:
        return True
    return False


def find_misplaced_folder(folder: Path) -> Path | None:
    """Return a folder that has the name of one of the run's files, or None."""
    files = [folder / name for name in FILES]
    paths = (path for file in files for path in (file, scratch_of(file)))
    return next((path for path in paths if path.is_dir() and not path.is_symlink()), None)


def write_run_info(folder: Path, info: Mapping[str, Any]) -> None:
    """Replace `run.json` atomically, so that readers never read a partial file."""
    text = json.dumps(info, indent=1, ensure_ascii=False, allow_nan=False)
    replace_text(folder / RUN_FILE, text)


def run_folders(folder: Path) -> Iterator[Path]:
    """Yield the absolute paths of all run folders in a directory tree, except copies stored by MLflow."""
    for file in sorted(folder.rglob(RUN_FILE)):
        if file.parent.name != ARTIFACTS:
            yield file.parent.absolute()
