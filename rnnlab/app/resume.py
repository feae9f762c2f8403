"""Which earlier runs a command asks for again.

A run is the same as an earlier one when everything that can change its result is: its resolved
configuration without the keys that cannot, and the data that it reads.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rnnlab.app.compose import Plan
from rnnlab.app.problems import ConfigProblems
from rnnlab.tracking.files import replace_file
from rnnlab.tracking.folder import in_use, read_run_info

WITHOUT_EFFECT = (
    "jobs",
    "resume",
    "fail_fast",
    "pair",
    "objective",
    "checkpoint_every",
    "figures",
    "tracking",
)
"""Keys that no result depends on."""
SWEEP_FILE = "sweep.json"
SWEEP_LOCK = ".running"


@dataclass(frozen=True)
class Sweep:
    """What `sweep.json` says: the sweep's name, and the identity of each run by its folder's name."""

    folder: Path
    name: str
    runs: Mapping[str, str]


def identity(config: Mapping[str, Any], data: str) -> str:
    """A digest of all that a run's result depends on, given the configuration and a digest of the data."""
    kept = {key: value for key, value in config.items() if key not in WITHOUT_EFFECT}
    text = json.dumps([kept, data], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def take_up(plan: Plan, identities: Sequence[str], wanted: bool | str) -> Plan:
    """The plan with the folders of the runs that an earlier command began, where it is to be resumed.

    Args:
        plan: What the command asks for.
        identities: Of the plan's jobs.
        wanted: `resume`: whether, or the name or folder of a sweep.

    Raises:
        ConfigProblems: There is no such sweep, or it is still running.
    """
    if wanted is False:
        return plan
    if not plan.is_sweep:
        return _take_up_run(plan, identities[0], wanted)
    sweeps = _sweeps(plan) if wanted is True else [_named(plan, wanted)]
    asked = _counted(identities)
    for sweep in sweeps:
        held = _counted(list(sweep.runs.values()))
        if wanted is not True or all(held[key] >= asked[key] for key in asked):
            return _placed(plan, identities, sweep)
    return plan


def note_sweep(plan: Plan, identities: Sequence[str]) -> None:
    """Write `sweep.json`, with the runs that the folder holds already."""
    before = _read(plan.folder)
    runs = dict(before.runs if before else {}) | {
        str(job.folder.relative_to(plan.folder)): key for job, key in zip(plan.jobs, identities, strict=True)
    }
    text = json.dumps({"sweep": plan.sweep, "runs": runs}, indent=1)
    replace_file(plan.folder / SWEEP_FILE, lambda path: path.write_text(text, encoding="utf-8"))


def sweep_lock(folder: Path) -> FileLock:
    """Held by the process that runs the sweep.

    Raises:
        ConfigProblems: Another one does.
    """
    lock = FileLock(folder / SWEEP_LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigProblems([f"{folder}: this sweep is still running, in another process"]) from None
    return lock


def _take_up_run(plan: Plan, key: str, wanted: bool | str) -> Plan:
    folders = plan.earlier if wanted is True else [Path(str(wanted)).absolute()]
    found = [(info["started"], folder) for folder in folders if (info := _info(folder))["identity"] == key]
    if not found:
        if wanted is True:
            return plan
        raise ConfigProblems([f"resume={wanted}: no folder of a run with this configuration"])
    folder = max(found)[1]
    if in_use(folder):
        raise ConfigProblems([f"{folder}: this run is still going on, in another process"])
    return replace(plan, folder=folder, jobs=[replace(plan.jobs[0], folder=folder)])


def _info(folder: Path) -> dict[str, Any]:
    return {"identity": None, "started": 0.0} | (read_run_info(folder) or {})


def _sweeps(plan: Plan) -> list[Sweep]:
    """All earlier sweeps, the newest first."""
    found = [sweep for folder in plan.earlier if (sweep := _read(folder)) is not None]
    return sorted(found, key=lambda sweep: (sweep.folder / SWEEP_FILE).stat().st_mtime, reverse=True)


def _named(plan: Plan, name: str) -> Sweep:
    sweeps = _sweeps(plan)
    for sweep in sweeps:
        if sweep.name == name:
            return sweep
    if (found := _read(Path(name).absolute())) is not None:
        return found
    known = f"; here are {', '.join(sweep.name for sweep in sweeps[:5])}" if sweeps else ""
    raise ConfigProblems([f"resume={name}: neither the name nor the folder of a sweep{known}"])


def _read(folder: Path) -> Sweep | None:
    path = folder / SWEEP_FILE
    if not path.is_file():
        return None
    listed = json.loads(path.read_text(encoding="utf-8"))
    return Sweep(folder, listed["sweep"], listed["runs"])


def _counted(identities: Sequence[str]) -> dict[str, int]:
    counts: defaultdict[str, int] = defaultdict(int)
    for key in identities:
        counts[key] += 1
    return counts


def _placed(plan: Plan, identities: Sequence[str], sweep: Sweep) -> Plan:
    """The plan in the sweep's folder: runs that it knows in theirs, others in free ones."""
    free: defaultdict[str, list[str]] = defaultdict(list)
    for name, key in sweep.runs.items():
        free[key].append(name)
    taken, jobs = set(sweep.runs), []
    for job, key in zip(plan.jobs, identities, strict=True):
        if free[key]:
            name = free[key].pop(0)
        else:
            own = str(job.folder.relative_to(plan.folder))
            names = [own, *(f"{own}_{number}" for number in range(2, len(taken) + 3))]
            name = next(name for name in names if name not in taken)
            taken.add(name)
        jobs.append(replace(job, folder=sweep.folder / name))
    return replace(plan, folder=sweep.folder, sweep=sweep.name, jobs=jobs)
