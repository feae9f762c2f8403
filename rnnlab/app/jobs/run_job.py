"""Execution of one run, from its configuration to the completed run folder.

Worker processes neither print nor contact MLflow; each worker writes only to its run folder. The launching
process shows progress and mirrors the run folders to MLflow.
"""

import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from rnnlab.app.config.build import Experiment, build, generators
from rnnlab.app.jobs.provenance import machine
from rnnlab.app.jobs.restore_run import restore_run
from rnnlab.app.jobs.run_monitor import RunMonitor
from rnnlab.imports import fast_imports, start_no_threads
from rnnlab.records import (
    DIFF_FILE,
    ENDED,
    GRAD_NORM,
    HORIZON,
    LOSS,
    VAL_LOSS,
    ZERO_AT_HORIZON,
    Outcome,
    StepRecord,
)
from rnnlab.runs.checkpoint import clear_resume_files
from rnnlab.runs.folder import ERROR_FILE, RunFolder, latest_machine
from rnnlab.runs.log import LOG, RUN_LOG, capture_log
from rnnlab.signals import install_handler
from rnnlab.text import describe_error, describe_machine, describe_outcome, format_number
from rnnlab.training import Engine, loops_of, obstacle

LOGGED_METRICS = (LOSS, GRAD_NORM, HORIZON)


@dataclass(frozen=True)
class WorkOrder:
    """All data that a worker process needs to execute one run.

    Attributes:
        folder: Absolute path of the run folder.
        config: Resolved configuration.
        info: Entries of `run.json` that are available before the run starts.
        resume: True if the folder may contain an unfinished run to resume.
        diff: Diff of the uncommitted changes in the source code.
    """

    folder: Path
    config: dict[str, Any]
    info: dict[str, Any]
    resume: bool = False
    diff: str = ""


def execute(order: WorkOrder, stopping: Callable[[], bool]) -> Outcome | None:
    """Execute or resume one run and return its outcome; an exception leads to the outcome `failed`.

    Args:
        order: Work order of the run.
        stopping: Function called after every training step and every batch of a validation; if the function
            returns True, the run ends with the outcome `killed`.

    Returns:
        The outcome, or None if the run was not started because `stopping` already returned True.

    Raises:
        RunInUse: If another process is executing the run.
        OSError: If writing to the folder fails, for example on a full disk.
    """
    if stopping():
        return None
    info = order.info | {"machine": machine()}
    with RunFolder(order.folder, info, order.config, order.resume) as folder, capture_log() as log:
        log.open(order.folder / RUN_LOG)
        _log_start(folder.info)
        _write_diff(folder, order.diff)
        try:
            outcome, monitor = _train(build(order.config), folder, stopping)
            summary = monitor.summary(folder.differs_since)
        except Exception as error:
            outcome, summary = _record_failure(folder, error)
        summary["seconds"] = round(folder.seconds, 3)
        try:
            folder.close()
            if order.config["figures"] and outcome != "killed":  # after Ctrl-C, exit quickly
                draw_figures(order.folder)
        except Exception as error:
            outcome, summary = _record_failure(folder, error)
        LOG.info("%s after %.3f s", describe_outcome(outcome, summary), folder.seconds)
        folder.finish(outcome, summary)
        if outcome in ENDED:
            clear_resume_files(order.folder)
    return outcome


def _log_start(info: Mapping[str, Any]) -> None:
    resumptions, machine_info = info.get("resumed", []), latest_machine(info)
    LOG.info(
        "%s: %s",
        f"resumed (attempt {len(resumptions) + 1})" if resumptions else "started",
        " ".join(["python -m rnnlab", *info.get("overrides", [])]),
    )
    blas = " ".join(str(value) for value in machine_info.get("blas", {}).values())
    LOG.info("host %s: %s, %s", machine_info.get("host"), describe_machine(machine_info), blas)


def _write_diff(folder: RunFolder, diff: str) -> None:
    """Save the uncommitted code changes, unless the first attempt of a resumed run saved the same changes."""
    first, resumptions = folder.folder / DIFF_FILE, len(folder.info.get("resumed", []))
    if resumptions and first.is_file() and first.read_bytes() == diff.encode():
        return
    if diff:
        folder.write_diff(f"code{resumptions + 1}.diff" if resumptions else DIFF_FILE, diff)


def use_one_thread() -> None:
    """Limit all BLAS libraries in this process, including those loaded later, to one thread."""
    start_no_threads()
    threadpool_limits(1)


def watch_stop_signals(also: Callable[[], bool]) -> Callable[[], bool]:
    """Return a function that returns True after a stop signal or when `also` returns True."""
    signal_received = False

    def note_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal signal_received
        signal_received = True

    install_handler(note_signal)
    return lambda: signal_received or also()


def _record_failure(folder: RunFolder, error: Exception) -> tuple[Outcome, dict[str, Any]]:
    with suppress(OSError):
        folder.write_text(ERROR_FILE, "".join(traceback.format_exception(error)))
    return "failed", {"error": describe_error(error)}


def _train(
    experiment: Experiment, folder: RunFolder, stopping: Callable[[], bool]
) -> tuple[Outcome, RunMonitor]:
    settings, engine = experiment.settings, _engine(experiment, folder)
    trainer = replace(experiment.trainer, loops=loops_of(engine))
    weights_rng, batches_rng, samples_rng = generators(settings.seed)
    params = trainer.model.init_params(weights_rng, settings.init, np.dtype(settings.dtype))
    state, monitor = restore_run(folder, trainer, trainer.begin(params, batches_rng))
    if state.step:
        LOG.info("resuming from the checkpoint at step %s", state.step)
    last_checkpoint = time.monotonic()
    for record in trainer.continue_from(state, stopping):
        if folder.write(record):
            LOG.warning(
                "step %s: result differs from the recorded row; replacing the rows from this step onwards",
                record.step,
            )
        monitor.update(record)
        if VAL_LOSS in record.metrics or record.non_finite is not None:
            _log_step(record)
        if state.ended or state.is_closing:  # the final record follows at once
            continue
        if stopping():
            break
        if (
            settings.checkpoint_every is not None
            and time.monotonic() - last_checkpoint > settings.checkpoint_every
        ):
            folder.write_checkpoint(*state.to_parts())
            LOG.info("step %s: checkpoint", state.step)
            last_checkpoint = time.monotonic()
    if not state.ended:
        if state.step:  # before the first step, there is nothing to resume
            folder.write_checkpoint(*state.to_parts())
        folder.write_weights(state.params)
        return "killed", monitor
    if folder.complete():
        LOG.warning("removed the rows recorded after step %s, the last step", record.step)
    folder.write_weights(state.params)
    if monitor.non_finite is None:
        for name, text in trainer.task.samples(trainer.model, state.params, samples_rng).items():
            folder.write_text(name, text)
    return monitor.outcome, monitor


def _engine(experiment: Experiment, folder: RunFolder) -> Engine:
    """Return the engine of the run: that of its checkpoint, unless another engine is requested or needed."""
    requested, cell = experiment.settings.engine, experiment.trainer.model.cell
    engine: Engine = folder.info.get("engine", "numpy")
    if requested != "auto" and requested != engine:
        engine = requested
    elif engine == "compiled" and (reason := obstacle(cell)):
        LOG.warning("cannot continue with the compiled engine: %s", reason)
        engine = "numpy"
    folder.info["engine"] = engine
    return engine


def _log_step(record: StepRecord) -> None:
    """Log the main metrics of a training step and the position of the first non-finite value, if any."""
    metrics = record.metrics.items()
    metrics_to_log = {key: value for key, value in metrics if key in LOGGED_METRICS or key.startswith("val/")}
    if zeros := record.metrics.get(ZERO_AT_HORIZON):
        metrics_to_log[ZERO_AT_HORIZON] = zeros
    values = " ".join(f"{key}={format_number(value, '.5g')}" for key, value in metrics_to_log.items())
    if record.unstable_since is not None:
        values += f" (unstable since step {record.unstable_since})"
    if record.non_finite is not None:
        at = record.non_finite
        position = "" if at.timestep is None else f" at time step {at.timestep}"
        values += f" (not finite: {at.quantity}{position})"
    LOG.info("step %s: %s", record.step, values.strip())


def draw_figures(folder: Path) -> None:
    """Draw the figures of a run into its folder."""
    with fast_imports():
        from rnnlab.analysis.figures.run_folder import draw_run

    draw_run(folder)
