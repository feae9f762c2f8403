"""Repeat a run and report whether the result is bit-identical.

Specify the run by its run folder or its MLflow run id. The results are written to a new folder under
outputs/ and are not tracked in MLflow.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rnnlab.analysis.frames.identity import find_differences, find_unreadable_files
from rnnlab.analysis.frames.sources import find_run
from rnnlab.app.check import check
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.plan import Job, Plan, sweep_name
from rnnlab.app.display import Display
from rnnlab.app.launch import launch
from rnnlab.paths import is_file
from rnnlab.records import CONFIG_FILE, ENDED, GRADIENTS_FILE, METRICS_FILE, RUN_FILE, WEIGHTS_FILE
from rnnlab.runs.folder import latest_machine
from rnnlab.runs.run_json import read_config, read_run_info
from rnnlab.terminal.console import CommandParser, nonempty_name, print_line, print_problems

REQUIRED_KEYS = ("id", "identity", "name", "number", "overrides", "params", "dataset", "tags")
"""Keys of `run.json` that are required to repeat a run."""
COMPARED_FILES = (RUN_FILE, CONFIG_FILE, METRICS_FILE, GRADIENTS_FILE, WEIGHTS_FILE)


def main(argv: Sequence[str]) -> int:
    """Repeat a run and return the exit code (1 if the result differs, 2 if the run cannot be repeated)."""
    parser = CommandParser("rnnlab.repeat", description=__doc__)
    parser.add_argument("run", type=nonempty_name, help="MLflow run id or run folder")
    parser.add_argument(
        "--uri",
        help="MLflow tracking URI (default: MLFLOW_TRACKING_URI, or else mlflow.db in the current folder)",
    )
    args = parser.parse_args(argv)
    try:
        return _repeat(args.run, _find_folder(args.run, args.uri))
    except ConfigProblems as error:
        print_problems("rnnlab.repeat", error.problems)
        return 2


def _find_folder(run: str, uri: str | None) -> Path:
    """Return a local folder that contains the run's files; download the files from MLflow if necessary."""
    if uri is not None and is_file(Path(run, RUN_FILE)):
        raise ConfigProblems([f"--uri={uri}: applies only to an MLflow run id; {run} is a run folder"])
    try:
        stored = find_run(run, uri)
        names = [name for name in COMPARED_FILES if stored.file(name).is_file()]
    except (ValueError, ConnectionError) as error:
        raise ConfigProblems([str(error)]) from error
    if RUN_FILE not in names:
        raise ConfigProblems([f"{run}: the run is still in progress, or its files are not in MLflow"])
    return stored.local_folder


def _repeat(run: str, folder: Path) -> int:
    try:
        info = read_run_info(folder, REQUIRED_KEYS)
    except ValueError as error:
        raise ConfigProblems([f"{run}: {error}"]) from None
    assert info is not None
    if info["outcome"] is None:
        raise ConfigProblems(
            [
                f"{run}: the run is still in progress, or its process died; "
                "only a completed run can be repeated"
            ]
        )
    if info["outcome"] not in ENDED:
        raise ConfigProblems([f"{run}: {info['outcome']}; only a completed run can be repeated"])
    if missing := [name for name in COMPARED_FILES if not (folder / name).is_file()]:
        raise ConfigProblems([f"{run}: cannot be compared without {', '.join(missing)}"])
    if damaged := find_unreadable_files(folder):
        raise ConfigProblems([f"{run}: cannot be compared: {problem}" for problem in damaged])
    checked = check(_plan(run, folder, info))
    now = checked.orders[0].info
    if now["dataset"]["digest"] != info["dataset"]["digest"]:
        raise ConfigProblems([f"{run}: the data has changed since this run ({info['dataset']['source']})"])
    if now["identity"] != info["identity"]:
        raise ConfigProblems(
            [f"{run}: since this run, the data has changed or a configuration key has a new meaning"]
        )
    result = launch(checked, Display())
    if result.interrupted:
        return result.exit_code
    (repeated,) = result.infos
    if repeated["outcome"] not in ENDED:
        raise ConfigProblems([f"{run}: could not be repeated: {repeated['summary'].get('error')}"])
    differences = find_differences(folder, checked.plan.folder)
    print_line(f"Files: {checked.plan.folder.relative_to(Path.cwd())}")
    if not differences:
        print_line(f"The weights, metrics and gradient table are bit-identical to those of run {run}.")
        return 0
    print_line(f"Not identical to {run}:")
    for line in differences + _differing_origins(info, repeated):
        print_line(f"  {line}")
    return 1


def _plan(run: str, folder: Path, info: dict[str, Any]) -> Plan:
    config = read_config(folder / CONFIG_FILE)
    if not isinstance(config.get("tracking"), dict):
        raise ConfigProblems([f"{run}: {CONFIG_FILE} cannot be read"])
    config |= {"tracking": config["tracking"] | {"backend": "none"}, "resume": False}
    path = Path(
        "outputs",
        f"{datetime.now():%Y-%m-%d}",
        f"{datetime.now():%H-%M-%S}-repeat-{re.sub('[^0-9a-f]', '', info['id'])[:6]}",
    )
    choices = {key: value for key, value in info["params"].items() if key in config}
    job = Job(info["number"], info["name"], path.absolute(), config, info["overrides"], {}, choices)
    return Plan(job.folder, [job], False, str(path), sweep_name(job.folder))


def _differing_origins(info: dict[str, Any], repeated: dict[str, Any]) -> list[str]:
    """List the differences in code version and machine between the original run and its repetition."""
    before = {**_code(info), **latest_machine(info)}
    now = {**_code(repeated), **latest_machine(repeated)}
    return [f"{key}: {before.get(key)} before, {now[key]} now" for key in now if before.get(key) != now[key]]


def _code(info: dict[str, Any]) -> dict[str, Any]:
    tags = [info, *info.get("resumed", [])][-1].get("tags") or {}
    return {key: tags.get(key) for key in ("rnnlab_version", "git_commit")}
