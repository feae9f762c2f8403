"""Execution of runs on a Slurm cluster as one job array, submitted through submitit.

One call to `squeue` returns the state of all jobs. The state query provided by submitit is not used, because
it calls `sacct` and, if Slurm accounting is disabled, waits forever for a killed job. Each run writes its
results to its run folder.
"""

import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt

from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.run_paths import SLURM_FOLDER
from rnnlab.app.jobs.run_job import WorkOrder
from rnnlab.app.launchers.cluster_job import make_run, stop_file
from rnnlab.runs.files import LINK, link_between, touch
from rnnlab.runs.run_json import read_run_info

KILL_SECONDS = 10.0
"""Time limit in seconds for jobs to stop, including the delay until all nodes can read the stop file."""
GRACE_SECONDS = 10.0
"""Time limit in seconds for the files of a finished job to appear on a shared file system."""


@dataclass(frozen=True)
class Slurm:
    """Slurm launcher and resources per run; conf/hydra/launcher/submitit_slurm.yaml describes the keys."""

    partition: str | None
    timeout_min: Annotated[int, Ge(1)]
    cpus_per_task: Annotated[int, Ge(1)]
    mem_gb: Annotated[float, Gt(0)] | None
    array_parallelism: Annotated[int, Ge(1)]
    setup: list[str]
    additional_parameters: dict[str, str | int | float | bool]
    poll_seconds: Annotated[float, Gt(0)]

    needs: ClassVar[dict[str, str]] = {"submitit": "slurm"}

    def engine(self, orders: Sequence[WorkOrder], jobs: int | None, folder: Path) -> "SlurmEngine":
        """Submit the runs as one job array.

        Raises:
            ConfigProblems: If Slurm is not installed or rejects the jobs.
        """
        import submitit

        if link := link_between(folder, folder / SLURM_FOLDER):
            raise ConfigProblems([LINK.format(link)])
        stop = stop_file(orders, folder)
        parameters = {
            "name": "rnnlab",
            "timeout_min": self.timeout_min,
            "cpus_per_task": self.cpus_per_task,
            "mem_gb": self.mem_gb,
            "slurm_partition": self.partition,
            "slurm_array_parallelism": jobs or self.array_parallelism,
            "slurm_setup": self.setup or None,
            "slurm_additional_parameters": self.additional_parameters or None,
            "slurm_stderr_to_stdout": True,
        }
        # Slurm requeues a job after a node failure; the job then resumes from its folder.
        orders = [replace(order, resume=True) for order in orders]
        try:
            executor = submitit.AutoExecutor(
                folder=new_submission_folder(folder / SLURM_FOLDER), cluster="slurm"
            )
            executor.update_parameters(
                **{key: value for key, value in parameters.items() if value is not None}
            )
            with redirect_stderr(StringIO()), executor.batch():  # the error quotes sbatch's output
                submitted = [executor.submit(make_run, order, stop) for order in orders]
        except (RuntimeError, submitit.core.utils.FailedJobError) as error:
            problem = " ".join(str(error).split())
            raise ConfigProblems([f"hydra/launcher=submitit_slurm: {problem}"]) from None
        pairs = zip(submitted, orders, strict=True)
        by_id = {job.job_id: _Job(order, job.paths.stdout, _ended(order)) for job, order in pairs}
        return SlurmEngine(by_id, stop, self.poll_seconds)


@dataclass
class _Job:
    order: WorkOrder
    log: Path
    ended_before: float | None
    missing_since: float | None = None


@dataclass
class SlurmEngine:
    """An `Engine` that executes runs as Slurm jobs."""

    jobs: dict[str, _Job]
    stop_file: Path
    poll_seconds: float
    stopped_at: float | None = field(default=None, init=False)
    last_poll: float = field(default=0.0, init=False)

    @property
    def busy(self) -> bool:
        """True until all runs have ended."""
        return bool(self.jobs)

    def ended(self, timeout: float) -> list[tuple[WorkOrder, str | None]]:
        """Wait, then check the run folders and, every `poll_seconds` seconds, also the Slurm queue."""
        time.sleep(timeout)
        ended: list[tuple[WorkOrder, str | None]] = []
        for name in [
            name for name, job in self.jobs.items() if _ended(job.order) not in (None, job.ended_before)
        ]:
            ended.append((self.jobs.pop(name).order, None))
        if time.monotonic() - self.last_poll < self.poll_seconds:
            return ended
        self.last_poll = now = time.monotonic()
        queued = _queued()
        if queued is None:
            return ended  # the queue does not respond
        for name in list(self.jobs):
            job = self.jobs[name]
            if name in queued:
                job.missing_since = None
            elif job.missing_since is None:
                job.missing_since = now
            elif now - job.missing_since > GRACE_SECONDS:
                del self.jobs[name]
                ended.append(
                    (job.order, f"Slurm job {name} was lost, was killed or could not start ({job.log})")
                )
        return ended

    def stop(self) -> None:
        """Cancel pending jobs, signal running jobs to stop, and cancel remaining jobs after KILL_SECONDS."""
        if self.stopped_at is None:
            self.stopped_at = time.monotonic()
            touch(self.stop_file)
            _cancel(self.jobs, "--state=PENDING")
        elif time.monotonic() - self.stopped_at > KILL_SECONDS and self.jobs:
            self.close()

    def close(self) -> None:
        """Cancel the remaining jobs."""
        _cancel(self.jobs)
        self.jobs.clear()


def new_submission_folder(slurm_folder: Path) -> Path:
    """Create a folder for one submission; submitit follows existing links and leaves links of its own."""
    slurm_folder.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=time.strftime("%Y-%m-%d_%H-%M-%S_"), dir=slurm_folder))


def _ended(order: WorkOrder) -> float | None:
    """Return the end time recorded for a run (possibly during an earlier attempt), or None."""
    ended: float | None = (read_run_info(order.folder) or {}).get("ended")
    return ended


def _queued() -> set[str] | None:
    """Return the ids of this user's pending and running jobs, or None if Slurm does not respond."""
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
    output = _slurm(command)
    return None if output is None else set(output.split())


def _cancel(ids: Any, *options: str) -> None:
    if ids:
        _slurm(["scancel", *options, *ids])


def _slurm(command: list[str]) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return None
