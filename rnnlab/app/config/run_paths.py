"""Validation of run-folder paths, performed before any folder is created or searched."""

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
"""Folder in which submitit stores the output of each job."""
RESULTS_FILE = "optimization_results.yaml"
"""File that Hydra's Optuna sweeper writes at the end of a sweep."""
STOP_PREFIX = ".stop-"
"""Filename prefix of the stop file; cluster jobs stop once the stop file exists."""
SWEEP_FILES = (SWEEP_FILE, SWEEP_LOCK, SWEEP_LOG, SLURM_FOLDER, REPORT_FILE, RESULTS_FILE)
"""Contents of a sweep folder apart from the run folders; some files are first written as `<name>.new`."""
DEEPEST_RUN_FILE = Path(FIGURES_FOLDER, TIMELINE_FOLDER, "00000000.png.new")
"""Longest relative path of a file in a run folder."""


def resolve_folder(key: str, value: str) -> Path:
    """Return the absolute path of an output folder, given a Hydra key and its value.

    Raises:
        ConfigProblems: If the path is not valid for a run folder.
    """
    path = Path(value)
    if ".." in path.parts and not path_problem(path):
        path = Path(os.path.realpath(path))  # otherwise mkdir would also create the folders before ".."
    return _check_folder(f"{key}={value}", path.absolute())


def folder_in_sweep(sweep: Path, subdir: str) -> Path:
    """Return the absolute path of a run folder in a sweep.

    Raises:
        ConfigProblems: If the path is invalid or outside the sweep folder, or if the run folder would replace
            a sweep file.
    """
    override = f"hydra.sweep.subdir={subdir}"
    if not is_inside(Path(subdir)):
        raise ConfigProblems([f"{override}: must be inside the sweep folder"])
    if subdir and (file := _sweep_file_at(Path(subdir))):
        raise ConfigProblems([f"{override}: must not replace {file}, which belongs to the sweep"])
    return _check_folder(override, sweep / subdir)


def _check_folder(override: str, folder: Path) -> Path:
    problem = path_problem(folder / DEEPEST_RUN_FILE)
    if not problem and folder.name == ARTIFACTS:
        problem = f"must not end with {ARTIFACTS}; a folder with this name is not searched for runs"
    if problem:
        raise ConfigProblems([f"{override}: {problem}"])
    return folder


def _sweep_file_at(subdir: PurePath) -> str | None:
    """Return the name of the sweep file that a run folder would replace, or None."""
    first = next(iter(subdir.parts), "")
    names = (*SWEEP_FILES, *(f"{name}.new" for name in SWEEP_FILES))
    return first if first in names or first.startswith(STOP_PREFIX) else None


def can_hold_runs(sweep: Path, names: Collection[str]) -> bool:
    """Return True if all names are valid as names of run folders in the same sweep."""
    paths = [PurePath(name) for name in names]
    are_valid = (path.parts and is_inside(Path(path)) and not _sweep_file_at(path) for path in paths)
    return (
        all(are_valid)
        and not any(_nested_folders(paths))
        and not any(path_problem(sweep / path / DEEPEST_RUN_FILE) for path in paths)
    )


def _nested_folders(folders: Iterable[PurePath]) -> Iterator[tuple[PurePath, PurePath]]:
    """Yield each pair of nested folders: the inner folder, then the outer one."""
    paths = set(folders)
    for folder in sorted(paths):
        yield from ((folder, parent) for parent in folder.parents if parent in paths)


def sweep_problems(sweep: Path, runs: Collection[Path]) -> list[str]:
    """Return one message per nested run folder and one per symbolic link in a path inside the sweep.

    Args:
        sweep: Sweep folder.
        runs: Run folders of the sweep.
    """
    problems = [
        f"{inner}: must not be inside {outer}, the folder of another run"
        for inner, outer in _nested_folders(runs)
    ]
    paths = [sweep / name for name in SWEEP_FILES] + list(runs)
    links = dict.fromkeys(link for path in paths if (link := link_between(sweep, path)))
    return problems + [LINK.format(link) for link in links]
