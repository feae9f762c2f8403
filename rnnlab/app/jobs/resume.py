"""Which earlier runs a command asks for again.

A run is the same as an earlier one when everything that can change its result is: its resolved
configuration without the keys that cannot, and the data that it reads.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.plan import KEYS_OUTSIDE_IDENTITY, Plan, sweep_name
from rnnlab.app.config.run_paths import SWEEP_FILE, SWEEP_LOCK, can_hold_runs, sweep_problems
from rnnlab.runs.files import LINK, link_in, replace_text
from rnnlab.runs.folder import MISPLACED_FOLDER, find_misplaced_folder, is_in_use
from rnnlab.runs.run_json import NewerFormat, read_run_info


@dataclass(frozen=True)
class Sweep:
    """What `sweep.json` says: the sweep's name, and the identity of each run by its folder's name."""

    folder: Path
    name: str
    runs: Mapping[str, str]


class _SweepFile(BaseModel):
    model_config = ConfigDict(strict=True)

    sweep: str
    runs: dict[str, str]


def identity(config: Mapping[str, Any], data: str) -> str:
    """A digest of all that a run's result depends on, given the configuration and a digest of the data."""
    return identity_from_json({key: format_json(value) for key, value in config.items()}, data)


def identity_from_json(texts: Mapping[str, str], data: str) -> str:
    """As `identity`, given every key's value as JSON."""
    kept = (f"{format_json(key)}: {texts[key]}" for key in sorted(texts) if key not in KEYS_OUTSIDE_IDENTITY)
    text = f"[{{{', '.join(kept)}}}, {format_json(data)}]"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def format_json(value: Any) -> str:
    """A value as text, the same for equal ones."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def resume_plan(plan: Plan, identities: Sequence[str], resume: bool | str) -> tuple[Plan, str | None]:
    """The plan with the folders of the runs that an earlier command began, where it is to be resumed.

    Args:
        plan: What the command asks for.
        identities: Of the plan's jobs.
        resume: The key: whether, or the name or folder of a sweep.

    Returns:
        The plan, and what there is to say if `resume` is true and nothing was found.

    Raises:
        ConfigProblems: There is no such sweep or run, it is still running, a folder stands where it has
            a file, or a link would lead out of its folder.
    """
    if resume is False:
        return plan, None
    if not plan.is_sweep:
        return _resume_run(plan, identities[0], resume)
    if resume is not True:
        return _place_jobs(plan, identities, _find_sweep(plan, resume)), None
    requested, nearest = Counter(identities), (0, "")
    for sweep in _earlier_sweeps(plan):
        recorded = Counter(sweep.runs.values())
        if recorded >= requested:
            return _place_jobs(plan, identities, sweep), None
        nearest = max(nearest, ((recorded & requested).total(), sweep.name))
    note = "resume=true: no earlier sweep has all of these runs, so a new one starts"
    shared, name = nearest
    if shared:
        note += f" ({name} has {shared} of {len(identities)}; resume={name} adds the others)"
    return plan, note


def write_sweep_file(plan: Plan, identities: Sequence[str]) -> None:
    """Write `sweep.json`, with the runs that the folder holds already."""
    before = _read_sweep(plan.folder)
    runs = dict(before.runs if before else {}) | {
        str(job.folder.relative_to(plan.folder)): key for job, key in zip(plan.jobs, identities, strict=True)
    }
    text = json.dumps({"sweep": plan.sweep, "runs": runs}, indent=1)
    replace_text(plan.folder / SWEEP_FILE, text)


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


def _resume_run(plan: Plan, key: str, resume: bool | str) -> tuple[Plan, str | None]:
    folders = plan.earlier_folders if resume is True else [Path(str(resume)).absolute()]
    found = [
        (info["started"], folder) for folder in folders if (info := _read_info(folder))["identity"] == key
    ]
    if not found:
        if resume is True:
            return plan, "resume=true: no earlier run of this configuration, so a new one starts"
        raise ConfigProblems([f"resume={resume}: {_refusal_reason(folders[0])}"])
    folder = max(found)[1]
    if link := link_in(folder):
        raise ConfigProblems([LINK.format(link)])
    if path := find_misplaced_folder(folder):
        raise ConfigProblems([f"{path}: {MISPLACED_FOLDER}"])
    if is_in_use(folder):
        raise ConfigProblems([f"{folder}: this run is still going on, in another process"])
    job = replace(plan.jobs[0], folder=folder)
    return replace(plan, folder=folder, sweep=sweep_name(folder), jobs=[job]), None


def _read_info(folder: Path) -> dict[str, Any]:
    """What a run's folder says; one that cannot be read is none to go on with."""
    nothing = {"identity": None, "started": 0.0}
    with suppress(ValueError):
        return nothing | (read_run_info(folder) or {})
    return nothing


def _refusal_reason(folder: Path) -> str:
    """Why a folder is not resumed."""
    try:
        read_run_info(folder)
    except NewerFormat as error:
        return str(error)
    except ValueError:
        pass
    return "no folder of a run with this configuration"


def _earlier_sweeps(plan: Plan) -> list[Sweep]:
    """All earlier sweeps, the newest first."""
    found = [sweep for folder in plan.earlier_folders if (sweep := _read_sweep(folder)) is not None]
    return sorted(found, key=lambda sweep: (sweep.folder / SWEEP_FILE).stat().st_mtime, reverse=True)


def _find_sweep(plan: Plan, name: str) -> Sweep:
    sweeps = _earlier_sweeps(plan)
    for sweep in sweeps:
        if name in (sweep.name, sweep.folder.name):
            return sweep
    if (found := _read_sweep(Path(name).absolute())) is not None:
        return found
    names = f"; here are {', '.join(sweep.name for sweep in sweeps[:5])}" if sweeps else ""
    raise ConfigProblems([f"resume={name}: neither the name nor the folder of a sweep{names}"])


def _read_sweep(folder: Path) -> Sweep | None:
    with suppress(OSError, ValueError):  # there is none, or it is damaged
        file = _SweepFile.model_validate_json((folder / SWEEP_FILE).read_bytes())
        if can_hold_runs(folder, file.runs):
            return Sweep(folder, file.sweep, file.runs)
    return None


def _place_jobs(plan: Plan, identities: Sequence[str], sweep: Sweep) -> Plan:
    """The plan in the sweep's folder: runs that it knows in theirs, others in free ones."""
    free: defaultdict[str, list[str]] = defaultdict(list)
    for name, key in sweep.runs.items():
        free[key].append(name)
    names_in_use, jobs = set(sweep.runs), []
    for job, key in zip(plan.jobs, identities, strict=True):
        if free[key]:
            name = free[key].pop(0)
        else:
            own = str(job.folder.relative_to(plan.folder))
            names = chain([own], (f"{own}_{number}" for number in count(2)))
            name = next(name for name in names if name not in names_in_use)
            names_in_use.add(name)
        jobs.append(replace(job, folder=sweep.folder / name))
    problems = sweep_problems(sweep.folder, [job.folder for job in jobs])
    if problems := problems or [LINK.format(link) for job in jobs if (link := link_in(job.folder))]:
        raise ConfigProblems(problems)
    if wrong := [path for job in jobs if (path := find_misplaced_folder(job.folder))]:
        raise ConfigProblems([f"{path}: {MISPLACED_FOLDER}" for path in wrong])
    return replace(plan, folder=sweep.folder, sweep=sweep.name, jobs=jobs)
