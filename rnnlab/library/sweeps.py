"""Sweeps started from Python, and their results."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rnnlab import analysis
from rnnlab.analysis.arguments import check_arguments
from rnnlab.analysis.frames.load import IncompleteRuns
from rnnlab.analysis.frames.run_collection import RunCollection
from rnnlab.analysis.frames.sources import Source
from rnnlab.app.config.override_text import override_text
from rnnlab.library.composing import check_command, check_options, overrides_of
from rnnlab.library.runs import Run, command_of, run_plan
from rnnlab.records import REPORT_FILE


def sweep(
    task: str | Sequence[str] | None = None,
    *,
    folder: str | Path | None = None,
    track: bool = True,
    quiet: bool = False,
    config_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
    **keys: Any,
) -> "Sweep":
    """Run a sweep over all combinations of the listed values, as `python -m rnnlab -m` does.

    The runs are computed in worker processes, recorded in a folder and sent to MLflow, and a report is
    written. Ctrl-C stops all runs after the current step; the result then contains what was done, and
    `resume=True` with the same keys continues the sweep.

    Args:
        task: Name of the task, or a list of names; None for the default of `conf/`.
        folder: New folder of the sweep; None for a folder in `multirun/`.
        track: False to send nothing to MLflow.
        quiet: True to print only warnings.
        config_dir: Folder with your own option files, as with `--config-dir`.
        overrides: Further settings as on the command line, such as `"cell.forget_bias=0,1"`.
        **keys: Configuration keys, such as `cell`, `seq_len`, `steps`, `clip`, `lr`, `seed` and `jobs`. A
            list of values makes the key an axis of the sweep.

    Raises:
        ValueError: If a key or a value is invalid; the message has one line per mistake.

    Warns:
        IncompleteRuns: If the sweep was interrupted.

    >>> short = {"seq_len": 10, "steps": 5, "hidden": 8, "jobs": 1, "report": False}
    >>> options = {"folder": "my_sweep", "track": False, "quiet": True}
    >>> found = rl.sweep("adding", cell=["rnn", "lstm"], **short, **options)
    >>> len(found), found.runs["outcome"].unique().tolist()
    (2, ['finished'])
    >>> found.command
    'python -m rnnlab -m task=adding cell=rnn,lstm seq_len=10 steps=5 hidden_size=8 jobs=1 report=false'
    """
    check_options(folder, config_dir, track=track, quiet=quiet)
    lines = overrides_of(None, {"task": task} | keys if task is not None else keys, overrides, is_sweep=True)
    command = command_of(lines, True, config_dir)
    added = [] if track else ["tracking=none"]
    if folder is not None:
        added.append(override_text("hydra.sweep.dir", str(folder)))
    checked = check_command([*lines, *added], True, config_dir)
    infos, interrupted = run_plan(checked, quiet, in_this_process=False, sweep=True)
    if all(info["outcome"] == "not started" for info in infos):
        raise KeyboardInterrupt
    if interrupted:
        ended = sum(info["outcome"] not in ("not started", "killed") for info in infos)
        warnings.warn(
            f"interrupted after {ended} of {len(infos)} runs; resume=True with the same keys continues",
            IncompleteRuns,
            stacklevel=2,
        )
    return Sweep(checked.plan.folder, command)


@check_arguments
def load_sweep(source: Source) -> "Sweep":
    """Return the runs of a sweep, given its folder.

    Args:
        source: Folder of a sweep, or another source of runs; see `load_runs`.

    Raises:
        ValueError: If the source contains no runs.

    >>> rl.load_sweep("multirun").runs["cell"].unique().tolist()
    ['rnn', 'lstm']
    """
    return Sweep(source)


def _figure(function: str, frame: str) -> Callable[..., Any]:
    """Return a method that draws a figure of one of the sweep's frames."""

    def draw(self: "Sweep", *args: Any, **keys: Any) -> Any:
        return getattr(analysis, function)(getattr(self, frame), *args, **keys)

    draw.__name__, draw.__qualname__ = function, f"Sweep.{function}"
    draw.__doc__ = f"Draw a figure of the sweep: `{function}` of its {frame}, with the same arguments."
    return draw


class Sweep:
    """The runs of a sweep: frames and figures of just these runs.

    >>> found = rl.load_sweep("multirun")
    >>> found.draw_lag_curves(hue="cell").get_xlabel()
    'lag k (time steps back)'
    >>> [run.outcome for run in found]
    ['finished', 'finished']
    """

    draw_lag_curves = _figure("draw_lag_curves", "gradients")
    draw_time_heatmap = _figure("draw_time_heatmap", "gradients")
    draw_losses = _figure("draw_losses", "metrics")
    draw_gain = _figure("draw_gain", "runs")
    draw_horizon = _figure("draw_horizon", "runs")
    draw_clipping = _figure("draw_clipping", "runs")
    draw_phase_diagram = _figure("draw_phase_diagram", "runs")
    draw_solved = _figure("draw_solved", "runs")

    def __init__(self, source: Source, command: str | None = None) -> None:
        """Find the runs of a source, raising the exceptions of `load_runs`."""
        self._source, self._command = source, command
        self._collection = RunCollection.find(source)

    @property
    def command(self) -> str | None:
        """Command line that repeats the sweep, or None if the runs do not come from one command."""
        recorded = {run.info.get("command") for run in self._collection.runs}
        return self._command or (recorded.pop() if len(recorded) == 1 else None)

    @property
    def folder(self) -> Path | None:
        """Folder of the sweep; None if the runs do not come from one folder."""
        return Path(self._source) if isinstance(self._source, str | Path) else None

    @property
    def report(self) -> Path | None:
        """Path of the report, or None if there is none."""
        page = None if self.folder is None else self.folder / REPORT_FILE
        return page if page is not None and page.is_file() else None

    @property
    def runs(self) -> pd.DataFrame:
        """Data frame with one row per run; see `load_runs`.

        >>> rl.load_sweep("multirun").runs["grad/horizon"].notna().all()
        np.True_
        """
        return self._collection.frame

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Metric values of all runs; see `load_metrics`.

        >>> rl.load_sweep("multirun").metrics.columns.tolist()[-3:]
        ['step', 'metric', 'value']
        """
        return self._collection.metrics()

    @cached_property
    def gradients(self) -> pd.DataFrame:
        """Gradient norms of all runs; see `load_gradients`.

        >>> sorted(rl.load_sweep("multirun").gradients["quantity"].unique())[:3]
        ['c', 'c_immediate', 'c_norm']
        """
        return self._collection.gradients()

    def __len__(self) -> int:
        return len(self._collection.runs)

    def __getitem__(self, number: int) -> Run:
        if not isinstance(number, int | np.integer) or isinstance(number, bool):
            raise TypeError(f"{number!r}: must be the number of a run, 0 to {len(self) - 1}")
        if not -len(self) <= number < len(self):
            raise IndexError(f"{number}: the sweep has {len(self)} runs; allowed: 0 to {len(self) - 1}")
        return Run(self._collection.select([number % len(self)]))

    def __iter__(self) -> Iterator[Run]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        outcomes = self.runs["outcome"].value_counts()
        counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items() if count)
        command = "" if self.command is None else f"\nCommand: {self.command}"
        return f"Sweep({len(self)} runs: {counts}; folder {self._source}){command}"
