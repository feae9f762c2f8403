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

Rows are appended. A checkpoint vouches for the rows and recordings that led to it (`tracking.checkpoint`).
A run that is continued from it makes the steps since then once more. Their recordings are written again.
Their rows come out the same to the last bit, and stand; from the first one on that does not, they are
replaced. Where the checkpoint, or what it vouches for, is damaged, rows and recordings are made again from
the beginning. So whoever has read a row, such as the mirror, has read it for good, unless the rows are
replaced, which `MetricsReader` notices.
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
from rnnlab.runs.files import LineFile, refuse_links_in, replace_file, replace_text
from rnnlab.runs.log import RUN_LOG
from rnnlab.runs.metrics_jsonl import MetricsWriter
from rnnlab.runs.run_json import FORMAT, MAX_TIME, read_run_info
from rnnlab.text import sanitize

if TYPE_CHECKING:
    from rnnlab.runs.gradient_table import GradientLog

ERROR_FILE = "error.txt"
RUN_LOCK = ".running"
"""Locked by the process that makes the run, for as long as it lives."""
FILES = (
    *(RUN_FILE, CONFIG_FILE, METRICS_FILE, GRADIENTS_FILE, WEIGHTS_FILE),
    *(CHECKPOINT_FILE, GRADIENT_LOG, ERROR_FILE, DIFF_FILE, RUN_LOG, RUN_LOCK),
)
"""What of a run's folder are files; most are written beside their place first, as `<name>.new`."""
MISPLACED_FOLDER = "a folder, where a run has a file"
CONFIGURATION_KEYS = ("identity", "steps", "seed", "goal", "dataset")
"""What of `run.json` follows from configuration and data: taken from them again when a run is resumed."""
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
        self.info = {"format": FORMAT, **info, "started": now, **(earlier or {})}
        if earlier is not None:
            self.info |= {key: info[key] for key in CONFIGURATION_KEYS if key in info}
            life = {"at": now} | {key: info[key] for key in ("machine", "tags") if key in info}
            self.info["resumed"] = [*earlier.get("resumed", []), life]
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
        """No more records: make the table of the gradients.

        Raises:
            OSError: It could not be written.
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
        """How long the run has taken, without the time between its processes."""
        return self._rows.seconds

    @property
    def differs_since(self) -> int | None:
        """The first step after a checkpoint that came out otherwise than it stood, of all lives."""
        lives = self.info.get("resumed", [])
        return min((life["differs_since"] for life in lives if "differs_since" in life), default=None)

    def records(self, checkpoint: Checkpoint) -> list[StepRecord]:
        """The steps that led to a checkpoint.

        Raises:
            ValueError: It does not lie between two rows.
        """
        return self._rows.records(checkpoint.rows)

    def covers_recordings(self, checkpoint: Checkpoint, step: int) -> bool:
        """Whether a checkpoint of a step covers all recordings of earlier steps."""
        if not (self.folder / GRADIENT_LOG).is_file():
            return True
        from rnnlab.runs.gradient_table import recorded_steps

        earlier = [recorded for recorded in recorded_steps(self.folder) if recorded < step]
        return recorded_steps(self.folder, checkpoint.recordings.size) == earlier

    def resume_from(self, checkpoint: Checkpoint | None) -> None:
        """Go on from a checkpoint, or from the beginning where there is none.

        Rows after it stand until they come out otherwise; recordings after it are cut off.

        Raises:
            OSError: The folder cannot be written.
        """
        if checkpoint is None:
            self._clear_differences()
        else:
            self._rows.resume_from(checkpoint.rows)
            self._recordings, self._is_continuation = checkpoint.recordings, True
        self._cut_recordings()

    def restart(self) -> None:
        """Begin again with nothing: what the folder holds is damaged.

        Raises:
            OSError: The folder cannot be written.
        """
        self._recordings, self._is_continuation = Prefix(), False
        self._clear_differences()
        self._rows.restart()
        self._cut_recordings()
        (self.folder / CHECKPOINT_FILE).unlink(missing_ok=True)  # last: it says that the others are damaged

    def _clear_differences(self) -> None:
        """All is made in this life, and ends as if it were the only one."""
        for life in self.info.get("resumed", []):
            life.pop("differs_since", None)

    def _cut_recordings(self) -> None:
        if (log := self.folder / GRADIENT_LOG).is_file():
            LineFile(log, self._recordings.size).close()

    def write(self, record: StepRecord) -> bool:
        """Append a step's curves and metrics, at once; a row that stands already stays if it is the same.

        Returns:
            Whether another row stood in its place.

        Raises:
            OSError: They could not be written.
        """
        if record.gradients:
            self._gradient_log().append(record.step, record.gradients)
        differs = self._rows.differs_from_existing(record) and self._rows.drop_unverified()
        if differs:
            self._note_difference()
        self._rows.write(record)
        return differs

    def complete(self) -> bool:
        """There are no more steps; return whether rows stood after the last, which are cut off.

        Raises:
            OSError: The folder cannot be written.
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
            from rnnlab.runs.gradient_table import GradientLog  # with pyarrow, which takes a while

            self._gradients = GradientLog(self.folder, self._recordings)
        return self._gradients

    def finish(self, outcome: Outcome, summary: Mapping[str, Any]) -> None:
        """Note how the run ended; called last, when everything else is in place.

        Raises:
            OSError: It could not be written.
        """
        began = self.info.get("started", 0.0)
        ended = max(time.time(), began + self.seconds)  # a clock may be set back meanwhile
        ended = min(ended, MAX_TIME)
        self.info |= {"outcome": outcome, "ended": ended, "summary": dict(summary)}
        write_run_info(self.folder, self.info)

    def write_weights(self, params: Params) -> None:
        """Keep the weights under their names."""
        from safetensors.numpy import save

        arrays = {name: np.ascontiguousarray(value) for name, value in params.items()}
        replace_file(self.folder / WEIGHTS_FILE, lambda file: file.write(save(arrays)))

    def write_checkpoint(self, arrays: Mapping[str, Array], plain: Mapping[str, Any]) -> None:
        """Keep what the run can be continued from, in place of an earlier one.

        It covers the rows and recordings that led to it.
        """
        self._rows.sync()  # no checkpoint without the records that lead to it
        if self._gradients is not None:
            self._gradients.sync()
        write_checkpoint(self.folder, arrays, plain, self._rows.verified, self._recordings)

    def write_text(self, name: str, text: str) -> None:
        """Keep a text for people to look at, which may be printed: it holds no control characters."""
        replace_text(self.folder / name, sanitize(text))

    def write_diff(self, name: str, diff: str) -> None:
        """Keep what the code has changed, to the letter."""
        replace_text(self.folder / name, diff)


def latest_machine(info: Mapping[str, Any]) -> dict[str, Any]:
    """The machine that makes a run, or made it last."""
    lives = [info, *info.get("resumed", [])]
    return dict(lives[-1].get("machine") or {})


def is_in_use(folder: Path) -> bool:
    """Whether a process is making this run."""
    try:
        FileLock(folder / RUN_LOCK).acquire(timeout=0).lock.release()
    except Timeout:
        return True
    return False


def find_misplaced_folder(folder: Path) -> Path | None:
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
