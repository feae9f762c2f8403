"""Resumption: which earlier run a job continues, and which runs are already complete.

A job matches an earlier run if both have the same data and the same resolved configuration, apart from keys
that do not affect results. Complete runs are skipped; `rnnlab.app.jobs.restore_run` continues the other runs
from their checkpoints.
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

from rnnlab.app.config.former_keys import ONE_LAYER, without_former_values
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.plan import KEYS_OUTSIDE_IDENTITY, Plan, sweep_name
from rnnlab.app.config.run_paths import SWEEP_FILE, SWEEP_LOCK, can_hold_runs, sweep_problems
from rnnlab.records import ENDED
from rnnlab.runs.checkpoint import clear_resume_files
from rnnlab.runs.files import LINK, link_in, replace_text
from rnnlab.runs.folder import MISPLACED_FOLDER, find_misplaced_folder, is_in_use
from rnnlab.runs.run_json import NewerFormat, read_run_info

ENGINE = "engine"
"""Key that changes results by rounding errors alone: a run that ended counts under any engine."""


@dataclass(frozen=True)
class Sweep:
    """Contents of `sweep.json`: the name of the sweep, and the identity of the run in each run folder."""

    folder: Path
    name: str
    runs: Mapping[str, str]


class _SweepFile(BaseModel):
    model_config = ConfigDict(strict=True)

    sweep: str
    runs: dict[str, str]


def identity(config: Mapping[str, Any], data: str) -> str:
    """Return a digest of everything that affects a run's result: its configuration and its data."""
    return identity_from_json({key: format_json(value) for key, value in config.items()}, data)


def identity_from_json(texts: Mapping[str, str], data: str) -> str:
    """Return the same digest as `identity`, computed from the JSON text of each key's value."""
    texts = {**texts, "cell": without_former_values(texts["cell"])} if "cell" in texts else texts
    outside = {*KEYS_OUTSIDE_IDENTITY, ENGINE}
    outside |= {key for key, default in ONE_LAYER.items() if texts.get(key) == format_json(default)}
    keys = sorted(set(texts).difference(outside))
    entries = (f"{format_json(key)}: {texts[key]}" for key in keys)
    text = f"[{{{', '.join(entries)}}}, {format_json(data)}]"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def format_json(value: Any) -> str:
    """Return a value as JSON with sorted keys, so that equal values give equal strings."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def resume_plan(plan: Plan, identities: Sequence[str], resume: bool | str) -> tuple[Plan, str | None]:
    """Return the plan; if runs are resumed, their jobs use the folders of the matching earlier runs.

    Args:
        plan: Plan of the command.
        identities: Digest of each job in the plan, as returned by `identity`.
        resume: Value of the key `resume`: true, false, a run folder, or the name or folder of a sweep.

    Returns:
        The plan, and a message if `resume` is true and no earlier run matches.

    Raises:
        ConfigProblems: If the sweep or run is missing or still running, or if its folder contains a symbolic
            link or a misplaced folder.
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
    note = "resume=true: no earlier sweep contains all of these runs; starting a new sweep"
    shared, name = nearest
    if shared:
        note += f" ({name} contains {shared} of {len(identities)} runs; "
        note += f"use resume={name} to add the missing runs)"
    return plan, note


def check_resume_name(plan: Plan, name: str) -> None:
    """Raise ConfigProblems if `resume` names neither a sweep nor a run, whatever the plan's configuration."""
    if plan.is_sweep:
        _find_sweep(plan, name)
    elif not _read_info(Path(name).absolute())["identity"]:
        _resume_run(plan, "", name)


def is_complete(folder: Path) -> bool:
    """Return True if the run in a folder is complete, and delete a checkpoint left by a killed process."""
    info = read_run_info(folder)
    if info is None or info["outcome"] not in ENDED:
        return False
    clear_resume_files(folder)
    return True


def write_sweep_file(plan: Plan, identities: Sequence[str]) -> None:
    """Write the runs of the plan to `sweep.json`; runs that the file already lists are kept."""
    before = _read_sweep(plan.folder)
    runs = dict(before.runs if before else {}) | {
        str(job.folder.relative_to(plan.folder)): key for job, key in zip(plan.jobs, identities, strict=True)
    }
    text = json.dumps({"sweep": plan.sweep, "runs": runs}, indent=1)
    replace_text(plan.folder / SWEEP_FILE, text)


def sweep_lock(folder: Path) -> FileLock:
    """Acquire and return the lock of a sweep folder.

    Raises:
        ConfigProblems: If another process holds the lock.
    """
    lock = FileLock(folder / SWEEP_LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigProblems([f"{folder}: this sweep is still in progress in another process"]) from None
    return lock


def _resume_run(plan: Plan, key: str, resume: bool | str) -> tuple[Plan, str | None]:
    folders = plan.earlier_folders if resume is True else [Path(str(resume)).absolute()]
    candidates = [
        (info["started"], folder) for folder in folders if (info := _read_info(folder))["identity"] == key
    ]
    if not candidates:
        if resume is True:
            return plan, "resume=true: no earlier run has this configuration; starting a new run"
        raise ConfigProblems([f"resume={resume}: {_refusal_reason(folders[0])}"])
    folder = max(candidates)[1]
    if link := link_in(folder):
        raise ConfigProblems([LINK.format(link)])
    if path := find_misplaced_folder(folder):
        raise ConfigProblems([f"{path}: {MISPLACED_FOLDER}"])
    if is_in_use(folder):
        raise ConfigProblems([f"{folder}: this run is still in progress in another process"])
    job = replace(plan.jobs[0], folder=folder)
    return replace(plan, folder=folder, sweep=sweep_name(folder), jobs=[job]), None


def _read_info(folder: Path) -> dict[str, Any]:
    """Return the content of `run.json` in a folder, or default values if the file cannot be read."""
    default = {"identity": None, "started": 0.0}
    with suppress(ValueError):
        return default | (read_run_info(folder) or {})
    return default


def _refusal_reason(folder: Path) -> str:
    """Return the reason why the run in a folder cannot be resumed."""
    try:
        read_run_info(folder)
    except NewerFormat as error:
        return str(error)
    except ValueError:
        pass
    return "not the folder of a run with this configuration"


def _earlier_sweeps(plan: Plan) -> list[Sweep]:
    """Return the sweeps in the earlier output folders of this command, newest first."""
    sweeps = [sweep for folder in plan.earlier_folders if (sweep := _read_sweep(folder)) is not None]
    return sorted(sweeps, key=lambda sweep: (sweep.folder / SWEEP_FILE).stat().st_mtime, reverse=True)


def _find_sweep(plan: Plan, name: str) -> Sweep:
    sweeps = _earlier_sweeps(plan)
    for sweep in sweeps:
        if name in (sweep.name, sweep.folder.name):
            return sweep
    if (named_sweep := _read_sweep(Path(name).absolute())) is not None:
        return named_sweep
    names = f"; available: {', '.join(sweep.name for sweep in sweeps[:5])}" if sweeps else ""
    raise ConfigProblems([f"resume={name}: neither the name nor the folder of a sweep{names}"])


def _read_sweep(folder: Path) -> Sweep | None:
    with suppress(OSError, ValueError):  # missing or damaged
        file = _SweepFile.model_validate_json((folder / SWEEP_FILE).read_bytes())
        if can_hold_runs(folder, file.runs):
            return Sweep(folder, file.sweep, file.runs)
    return None


def _place_jobs(plan: Plan, identities: Sequence[str], sweep: Sweep) -> Plan:
    """Return the plan with all jobs placed in an earlier sweep's folder; only new runs get new folders."""
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
    if misplaced := [path for job in jobs if (path := find_misplaced_folder(job.folder))]:
        raise ConfigProblems([f"{path}: {MISPLACED_FOLDER}" for path in misplaced])
    return replace(plan, folder=sweep.folder, sweep=sweep.name, jobs=jobs)
