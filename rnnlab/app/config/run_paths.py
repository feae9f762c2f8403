"""Which folders a command's runs may go to, checked before anything is made or looked for there."""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePath

from rnnlab.app.config.messages import ConfigProblems
from rnnlab.paths import path_problem
from rnnlab.records import ARTIFACTS, FIGURES_FOLDER, REPORT_FILE, TIMELINE_FOLDER
from rnnlab.runs.files import LINK, is_inside, link_between
from rnnlab.runs.log import SWEEP_LOG

SWEEP_FILE = "sweep.json"
SWEEP_LOCK = ".running"
SLURM_FOLDER = ".slurm"
"""Submitit's, with each job's output."""
RESULTS_FILE = "optimization_results.yaml"
"""What Hydra's Optuna sweeper writes at its end."""
STOP_PREFIX = ".stop-"
"""What the name of the file begins with that asks a cluster's jobs to end."""
SWEEP_FILES = (SWEEP_FILE, SWEEP_LOCK, SWEEP_LOG, SLURM_FOLDER, REPORT_FILE, RESULTS_FILE)
"""What a sweep's folder holds beside the runs; some are written beside their place first, as `<name>.new`."""
LONGEST_PATH = Path(FIGURES_FOLDER, TIMELINE_FOLDER, "00000000.png.new")
"""The longest path in a run's folder."""


def folder_named(key: str, given: str) -> Path:
    """The folder that a key of Hydra's names, absolute.

    Raises:
        ConfigProblems: There can be no such folder.
    """
    path = Path(given)
    if ".." in path.parts and not path_problem(path):
        path = Path(os.path.realpath(path))  # else a folder is made that is only gone through
    return _check_folder(f"{key}={given}", path.absolute())


def folder_in_sweep(sweep: Path, given: str) -> Path:
    """The folder of one run of a sweep, absolute.

    Raises:
        ConfigProblems: There can be no such folder, or it would be in the way of another file.
    """
    key = f"hydra.sweep.subdir={given}"
    if not is_inside(Path(given)):
        raise ConfigProblems([f"{key}: must be inside of the sweep's folder"])
    if given and (own := _own_file(Path(given))):
        raise ConfigProblems([f"{key}: must not be in the place of the sweep's own {own}"])
    return _check_folder(key, sweep / given)


def _check_folder(override: str, folder: Path) -> Path:
    problem = path_problem(folder / LONGEST_PATH)
    if not problem and folder.name == ARTIFACTS:
        problem = f"must not end with {ARTIFACTS}, in which commands look for no runs"
    if problem:
        raise ConfigProblems([f"{override}: {problem}"])
    return folder


def _own_file(subdir: PurePath) -> str | None:
    """What a sweep itself writes where a run's folder is to be, or would be below."""
    first = next(iter(subdir.parts), "")
    return next(
        (own for own in (*SWEEP_FILES, *(f"{own}.new" for own in SWEEP_FILES)) if first == own), None
    ) or (first if first.startswith(STOP_PREFIX) else None)


def can_hold_runs(sweep: Path, names: Collection[str]) -> bool:
    """Whether folders of these names can be those of a sweep's runs, beside one another in its folder."""
    paths = [PurePath(name) for name in names]
    fit = (path.parts and is_inside(Path(path)) and not _own_file(path) for path in paths)
    return (
        all(fit)
        and not any(_nested_folders(paths))
        and not any(path_problem(sweep / p / LONGEST_PATH) for p in paths)
    )


def _nested_folders(folders: Iterable[PurePath]) -> Iterator[tuple[PurePath, PurePath]]:
    """Folders that are inside of another, with that one."""
    paths = set(folders)
    for folder in sorted(paths):
        yield from ((folder, parent) for parent in folder.parents if parent in paths)


def sweep_problems(sweep: Path, runs: Collection[Path]) -> list[str]:
    """A line for each run's folder that is inside of another's, and for each link where a sweep writes.

    Args:
        sweep: The sweep's folder.
        runs: Those of its runs, below it.
    """
    problems = [
        f"{inner}: inside of {outer}, the folder of another run" for inner, outer in _nested_folders(runs)
    ]
    written = [sweep / own for own in SWEEP_FILES] + list(runs)
    links = dict.fromkeys(link for path in written if (link := link_between(sweep, path)))
    return problems + [LINK.format(link) for link in links]
