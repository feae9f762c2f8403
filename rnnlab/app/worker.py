"""One run, from its configuration to its finished folder, in a process of its own.

Workers print nothing and know no MLflow: they fill the run's folder, and the process that started
them draws the progress and mirrors the folder.
"""

import os
import signal
import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from rnnlab.app.schema import Experiment, build, generators
from rnnlab.diagnostics import regime
from rnnlab.records import GRAD_NORM, LOSS, NORM_QUANTILES, ZERO_LAG, Outcome, StepRecord
from rnnlab.tracking.folder import RunFolder

STEPS_BEFORE = 20
"""Steps before a divergence whose loss and gradient norm stand in the run's summary."""

_stop: Event | None = None
_launcher: int | None = None


@dataclass(frozen=True)
class WorkOrder:
    """What a worker needs to make one run."""

    folder: Path
    config: dict[str, Any]
    info: dict[str, Any]


@dataclass
class Course:
    """What a run has shown so far."""

    unstable_since: int | None = None
    non_finite: dict[str, Any] | None = None
    latest: dict[str, float | None] = field(default_factory=dict)
    norms: list[float] = field(default_factory=list)
    before: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=STEPS_BEFORE))

    def see(self, record: StepRecord) -> None:
        """Take in one record."""
        self.unstable_since = record.unstable_since
        if record.non_finite is not None:
            self.non_finite = {"step": record.step, **vars(record.non_finite), "before": list(self.before)}
        elif (norm := record.metrics.get(GRAD_NORM)) is not None:
            self.norms.append(norm)
            self.before.append({"step": record.step, LOSS: record.metrics[LOSS], GRAD_NORM: norm})
        self.latest |= record.metrics  # what has no value any more keeps none from before

    @property
    def outcome(self) -> Outcome:
        """The verdict, were the run to end here of itself."""
        if self.non_finite is not None:
            return "diverged"
        return "finished" if self.unstable_since is None else "unstable"


def start_worker(stop: Event) -> None:
    """Prepare a worker process: one BLAS thread, and interrupts left to the process that started it."""
    global _stop, _launcher
    _stop, _launcher = stop, os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threadpool_limits(1)


def execute(order: WorkOrder) -> Outcome | None:
    """Make one run and return how it ended; an exception becomes the outcome `failed`.

    Returns None, and makes nothing, when all runs have been asked to stop.
    """
    if _stopping():
        return None
    with RunFolder(order.folder, order.info, order.config) as folder:
        began = time.perf_counter()
        course = Course()
        try:
            experiment = build(order.config)
            outcome = _train(experiment, folder, course)
        except Exception as error:
            outcome = "failed"
            folder.write_text("error.txt", traceback.format_exc())
            summary: dict[str, Any] = {"error": f"{type(error).__name__}: {error}"}
        else:
            summary = _summary(course)
        summary["seconds"] = round(time.perf_counter() - began, 3)
    if order.config["figures"] and outcome != "killed":  # who pressed Ctrl-C is waiting
        _draw(order.folder)
    folder.finish(outcome, summary)
    if _orphaned():
        os._exit(1)  # its queue would be waited on for ever
    return outcome


def _stopping() -> bool:
    return _stop is not None and (_stop.is_set() or _orphaned())


def _orphaned() -> bool:
    """Whether the process that started this worker is gone: nobody would ever stop it."""
    return _launcher is not None and os.getppid() != _launcher


def _train(experiment: Experiment, folder: RunFolder, course: Course) -> Outcome:
    trainer, settings = experiment.trainer, experiment.settings
    weights_rng, batches_rng, samples_rng = generators(settings.seed)
    params = trainer.model.init_params(weights_rng, settings.init, np.dtype(settings.dtype))
    for record in trainer.train(params, batches_rng):
        folder.write(record)
        course.see(record)
        if _stopping():
            folder.write_weights(params)
            return "killed"
    folder.write_weights(params)
    if course.non_finite is None:
        for name, text in trainer.task.samples(trainer.model, params, samples_rng).items():
            folder.write_text(name, text)
    return course.outcome


def _summary(course: Course) -> dict[str, Any]:
    """A run in a few numbers: its last values, and where it became unstable or diverged."""
    keep = ("val/", "steps_to_solve", "grad/", "train/loss", "theory/", "lyapunov/")
    summary: dict[str, Any] = {key: value for key, value in course.latest.items() if key.startswith(keep)}
    if course.norms:
        quantiles = np.quantile(course.norms, list(NORM_QUANTILES.values())).tolist()
        summary |= dict(zip(NORM_QUANTILES, quantiles, strict=True))
    zero = course.latest.get(ZERO_LAG) is not None
    summary["regime"] = "vanishing" if zero else regime(course.latest.get("grad/log10_gain_tail"))
    summary["unstable_since"] = course.unstable_since
    summary["diverged_at"] = course.non_finite
    return summary


def _draw(folder: Path) -> None:
    from rnnlab.analysis.run_figures import draw_run

    draw_run(folder)
