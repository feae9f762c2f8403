"""Restoration of a run from its checkpoint; if the checkpoint is unusable, the run starts from the beginning.

`rnnlab.app.jobs.resume` chooses the run folder; this module reads the checkpoint in that folder.
"""

from rnnlab.app.jobs.run_monitor import RunMonitor
from rnnlab.records import CLIPPED
from rnnlab.runs.checkpoint import CHECKPOINT_FILE, read_checkpoint
from rnnlab.runs.files import DamagedFile
from rnnlab.runs.folder import RunFolder
from rnnlab.runs.log import LOG
from rnnlab.text import describe_error
from rnnlab.training import ENGINES, Trainer, TrainingState


def restore_run(
    folder: RunFolder, trainer: Trainer, initial: TrainingState
) -> tuple[TrainingState, RunMonitor]:
    """Return the state from which to resume, or the initial state if the checkpoint is missing or damaged."""
    state, monitor = initial, RunMonitor()
    try:
        checkpoint = read_checkpoint(folder.folder)
        engine = None if checkpoint is None else checkpoint.state.get("engine")
        if engine in ENGINES and engine != initial.engine:
            LOG.warning("checkpoint of engine=%s; restarting with engine=%s", engine, initial.engine)
            folder.restart()
            return initial, RunMonitor()
        if checkpoint is not None:
            state = trainer.restore(initial, checkpoint.arrays, checkpoint.state)
            records = folder.records(checkpoint)
            if len(records) != state.step:
                raise DamagedFile(
                    f"{CHECKPOINT_FILE}: written at step {state.step}, but {len(records)} rows are recorded"
                )
            if state.clipped != sum(record.metrics.get(CLIPPED) or 0 for record in records):
                raise DamagedFile(
                    f"{CHECKPOINT_FILE}: number of clipped steps does not match the recorded rows"
                )
            if not folder.covers_recordings(checkpoint, state.step):
                raise DamagedFile(
                    f"{CHECKPOINT_FILE}: does not include all recordings before step {state.step}"
                )
            for record in records:
                monitor.update(record)
    except Exception as error:  # a damaged file may raise any exception; a restart gives the same result
        if _is_system_error(error):
            raise
        LOG.warning(
            "checkpoint or its records are damaged (%s); restarting from the beginning", describe_error(error)
        )
        folder.restart()
        return initial, RunMonitor()
    folder.resume_from(checkpoint)
    return state, monitor


def _is_system_error(error: Exception) -> bool:
    """Return True if an error was caused by the operating system rather than by the contents of a file."""
    missing = isinstance(error, FileNotFoundError | IsADirectoryError)
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and not missing)
