"""Training runs started from Python, and their results."""

import shlex
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from safetensors.numpy import load_file

from rnnlab.analysis.arguments import check_arguments
from rnnlab.analysis.frames.load import IncompleteRuns
from rnnlab.analysis.frames.run_collection import RunCollection
from rnnlab.analysis.frames.sources import Source
from rnnlab.app.config.build import build, build_network
from rnnlab.app.config.former_keys import with_former_keys
from rnnlab.app.config.override_text import override_text
from rnnlab.app.config.plan import format_command
from rnnlab.arrays import Params, copy_params
from rnnlab.library.composing import check_command, check_options, overrides_of
from rnnlab.library.curves import LagCurve
from rnnlab.library.networks import Network
from rnnlab.model import Model
from rnnlab.records import WEIGHTS_FILE
from rnnlab.text import describe_outcome, format_metric


def train(
    task: str | None = None,
    *,
    folder: str | Path | None = None,
    track: bool = False,
    quiet: bool = False,
    config_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
    **keys: Any,
) -> "Run":
    """Train a network, with the keys and defaults of `python -m rnnlab`, and return the run.

    The run is computed in this process. Without `folder` and `track`, nothing is kept on disk: the run is
    recorded in a temporary folder, which is deleted when its results have been read. Ctrl-C ends the run
    after the current step; the result then contains the steps so far.

    Args:
        task: Name of the task, such as `adding`; None for the default of `conf/`.
        folder: New folder in which the run is recorded as by the command line; None for no folder.
        track: True to send the run to MLflow as well; the folder is then by default in `outputs/`.
        quiet: True for no progress bar and no messages.
        config_dir: Folder with your own option files, as with `--config-dir`.
        overrides: Further settings as on the command line, such as `"cell.forget_bias=1"`.
        **keys: Configuration keys, such as `cell`, `seq_len`, `steps`, `clip`, `lr` and `seed`; `hidden` is
            short for `hidden_size`.

    Raises:
        ValueError: If a key or a value is invalid; the message has one line per mistake.
        RuntimeError: If training fails.

    Warns:
        IncompleteRuns: If the run was interrupted.

    >>> run = rl.train("adding", cell="lstm", hidden=8, seq_len=10, steps=20, quiet=True)
    >>> run.outcome, run.command
    ('finished', 'python -m rnnlab task=adding cell=lstm hidden_size=8 seq_len=10 steps=20')
    """
    check_options(folder, config_dir, track=track, quiet=quiet)
    lines = overrides_of(task, keys, overrides, is_sweep=False)
    command = command_of(lines, False, config_dir)
    with _folder_of_run(folder, track) as (added, is_temporary):
        checked = check_command([*lines, *added], False, config_dir)
        infos, interrupted = run_plan(checked, quiet, in_this_process=True)
        outcome = infos[0]["outcome"]
        if interrupted and outcome == "not started":
            raise KeyboardInterrupt
        if outcome == "failed":
            raise RuntimeError(f"the run failed: {infos[0]['summary'].get('error')}")
        run = Run(_collection(checked.plan.folder), command)
        if is_temporary:
            run.read_all()
    if interrupted:
        warnings.warn(
            f"interrupted; the run ends after step {run.last_step} of {run.config['steps']}",
            IncompleteRuns,
            stacklevel=2,
        )
    return run


@check_arguments
def load_run(source: Source) -> "Run":
    """Return a run, given its folder or its MLflow run id.

    Args:
        source: Run folder, MLflow run id, or another source of a single run; see `load_runs`.

    Raises:
        ValueError: If the source does not contain exactly one run.

    >>> rl.train("adding", seq_len=10, steps=5, hidden=8, quiet=True, folder="my_run").outcome
    'finished'
    >>> rl.load_run("my_run").network.hidden
    8
    """
    return Run(_collection(source))


def run_in_folder(folder: Path, command: str | None = None) -> "Run":
    """Return the run in a folder, with the command that repeats it."""
    return Run(_collection(folder), command)


class Run:
    """A training run and its recorded results.

    >>> run = rl.train("adding", cell="rnn", seq_len=10, steps=20, hidden=8, quiet=True)
    >>> run.metrics.columns.tolist()[-3:]
    ['step', 'metric', 'value']
    """

    def __init__(self, collection: RunCollection, command: str | None = None) -> None:
        """Create a run from a collection of one run; `command` is by default the recorded command."""
        self._collection, self._command = collection, command
        self._entry = collection.runs[0]
        self._is_kept = True

    def read_all(self) -> None:
        """Read all files of the run, so that its folder can be deleted."""
        for name in ("metrics", "gradients", "config", "_weights"):
            getattr(self, name)
        self._is_kept = False

    @property
    def name(self) -> str:
        """Name of the run, such as `lstm task=adding seq_len=50`."""
        return str(self._entry.row["name"])

    @property
    def outcome(self) -> str:
        """Outcome `finished`, `unstable`, `diverged` or `killed`; a run in progress is `running`."""
        return str(self._entry.row["outcome"])

    @property
    def command(self) -> str:
        """Command line that repeats the run."""
        if self._command is not None:
            return self._command
        if self._is_measured:
            return str(self._entry.info.get("command") or "")
        return format_command(self._entry.info.get("overrides", []), multirun=False)

    @property
    def folder(self) -> Path | None:
        """Folder of the run, or None if it was not kept."""
        return Path(self._entry.stored.folder) if self._is_kept else None

    @property
    def summary(self) -> pd.Series:
        """Row of the run in `load_runs`, with its axes, its outcome and the last value of every metric.

        >>> run = rl.train("adding", seq_len=10, steps=5, hidden=8, quiet=True)
        >>> run.summary["grad/horizon"] > 0
        np.True_
        """
        return self._collection.frame.iloc[0].rename(self.name)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Resolved configuration, with every key."""
        return self._entry.config

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Metrics, with one row per metric and training step; see `load_metrics`.

        >>> run = rl.train("adding", seq_len=10, steps=5, hidden=8, quiet=True)
        >>> int((run.metrics["metric"] == "train/loss").sum())
        5
        """
        return self._collection.metrics()

    @cached_property
    def gradients(self) -> pd.DataFrame:
        """Gradient norms, with one row per training step, quantity, and time step or lag.

        >>> run = rl.train("adding", seq_len=10, steps=5, hidden=8, quiet=True)
        >>> sorted(run.gradients["step"].unique().tolist())
        [0, 1, 5]
        """
        return self._collection.gradients()

    @property
    def last_step(self) -> int:
        """Last training step with recorded metrics."""
        return int(self.metrics["step"].max()) if len(self.metrics) else 0

    @cached_property
    def _weights(self) -> Params | None:
        path = self._entry.stored.file(WEIGHTS_FILE)
        return load_file(path) if path.is_file() else None

    @cached_property
    def network(self) -> Network:
        """Network with the weights at the end of the run.

        Raises:
            ValueError: If the run has no weights, because it failed or is still in progress.

        >>> rl.train("adding", cell="lstm", seq_len=10, steps=5, hidden=8, quiet=True).network
        Network(lstm, inputs=2, hidden=8, outputs=1, layers=1, dtype=float32, parameters=393)
        """
        if self._weights is None:
            raise ValueError(f"{self.name}: has no weights; its outcome is {self.outcome}")
        cell, seed = str(self._entry.info["params"]["cell"]), int(self._entry.info["seed"])
        weights = copy_params(self._weights)  # which the user may change
        return Network(self.name, cell, self._model(), weights, seed, has_own_loss=True)

    @property
    def _is_measured(self) -> bool:
        """True if the run is a measurement of a network with inputs of the user instead of a task."""
        return "name" in self.config.get("task", {})

    def _model(self) -> Model:
        if not self._is_measured:
            return build(with_former_keys(self.config), is_local=False).trainer.model
        task = self.config["task"]
        return build_network(self.config, task["inputs"], task["outputs"], "squared_error")[1]

    def lag_curve(self, step: int | Literal["first", "last"] = -1) -> LagCurve:
        """Return the lag curve that was recorded at a training step.

        Args:
            step: Training step; -1 (or "last") selects the last recording, -2 the one before it, and so on.

        Raises:
            ValueError: If the run has no lag curve at this step.

        >>> run = rl.train("adding", seq_len=10, steps=5, hidden=8, quiet=True)
        >>> run.lag_curve(step=0).lags.max()
        np.int64(9)
        """
        curves = self.gradients[self.gradients["lag"].notna()]
        steps = sorted(curves.loc[curves["quantity"] == "state", "step"].unique().tolist())
        if not steps:
            raise ValueError(f"{self.name}: recorded no lag curve; see the key probe")
        step = {"first": 0, "last": -1}.get(step, step) if isinstance(step, str) else step
        position = step if isinstance(step, int) and -len(steps) <= step < 0 else None
        if position is None and step not in steps:
            listed = ", ".join(map(str, steps))
            raise ValueError(f"step={step!r}: no lag curve was recorded at this step; available: {listed}")
        chosen = step if position is None else steps[position]
        name = f"{self.name}, step {chosen}"
        loss = str(self.config.get("loss") or "last target")
        return LagCurve(curves[curves["step"] == chosen].reset_index(drop=True), name, loss)

    def __repr__(self) -> str:
        row = self._entry.row
        metric = row.get("metric")
        value = None if metric is None else row.get(metric)
        result = "" if value is None else f", {metric}={format_metric(value)}"
        outcome = describe_outcome(self.outcome, self._entry.info.get("summary", {}))
        return f"Run({self.name}: {outcome}{result})\nCommand: {self.command}"


def command_of(lines: Sequence[str], is_sweep: bool, config_dir: str | Path | None) -> str:
    """Return the command line of a run or sweep."""
    command = format_command(lines, is_sweep)
    return command if config_dir is None else f"{command} --config-dir {shlex.quote(str(config_dir))}"


def run_plan(checked: Any, quiet: bool, in_this_process: bool, sweep: bool = False) -> tuple[list[Any], bool]:
    """Execute a checked plan as the command line does; return the final infos and whether it was stopped.

    Args:
        checked: Checked plan.
        quiet: True to print only warnings.
        in_this_process: True to execute the runs in this process instead of worker processes.
        sweep: True to print the results and to write the report.
    """
    from rnnlab.app.display import Display
    from rnnlab.app.launch import launch
    from rnnlab.app.reporting import write_sweep_report
    from rnnlab.runs.log import capture_log

    with capture_log() as log:
        display = Display(log=log, quiet=quiet)
        result = launch(checked, display, in_this_process)
        if sweep:
            display.show_results(checked.plan, result.infos, checked.settings.tracking, result.mirror_report)
            if not result.interrupted:
                write_sweep_report(checked.plan, checked.settings, result.mirror_report, display)
    return result.infos, result.interrupted


@contextmanager
def _folder_of_run(folder: str | Path | None, track: bool) -> Iterator[tuple[list[str], bool]]:
    """Yield the overrides for the folder and the tracking, and whether the folder is temporary."""
    tracking = [] if track else ["tracking=none"]
    if folder is not None:
        yield [override_text("hydra.run.dir", str(folder)), *tracking], False
    elif track:
        yield tracking, False
    else:
        with temporary_folder() as scratch:
            yield [override_text("hydra.run.dir", str(scratch)), *tracking, "figures=false"], True


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield the path of a run folder that is deleted after the `with` block."""
    with tempfile.TemporaryDirectory(prefix="rnnlab-", ignore_cleanup_errors=True) as scratch:
        yield Path(scratch, "run")


def _collection(source: Source) -> RunCollection:
    collection = RunCollection.find(source)
    if len(collection.runs) != 1:
        raise ValueError(f"{source}: contains {len(collection.runs)} runs; load_sweep loads several runs")
    return collection
