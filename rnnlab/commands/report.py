"""`python -m rnnlab.report <sweep>`: a sweep in one HTML page, with figures and tables.

The sweep is a folder with runs, or the name of a sweep in MLflow. The page needs neither a network nor other
files. Where MLflow has the sweep, the page is put into its summary run there, too.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

from rnnlab.analysis.frames.runs_frame import RunEntry
from rnnlab.analysis.frames.sources import MLflowRuns, Source
from rnnlab.analysis.report.page import write_report
from rnnlab.mlflow_mirror.store import error_line, sqlite_file, tracking_uri
from rnnlab.mlflow_mirror.summary_run import log_report
from rnnlab.paths import is_file, is_folder, path_problem
from rnnlab.records import REPORT_FILE
from rnnlab.terminal.console import CommandParser, nonempty_name, nonempty_path, print_line, print_problems
from rnnlab.text import PASSWORD_MASK, redact


def main(argv: Sequence[str]) -> int:
    """Write a report; return the exit code: 1 when MLflow did not take it, 2 for a mistake in the input."""
    parser = CommandParser("rnnlab.report", description=__doc__)
    parser.add_argument("sweep", type=nonempty_name, help="folder with runs, or name of a sweep in MLflow")
    parser.add_argument(
        "--uri", help="else the sweep's own, MLFLOW_TRACKING_URI, or mlflow.db in this folder"
    )
    parser.add_argument("--experiment", default="rnnlab", help="where MLflow has a sweep that is named")
    parser.add_argument(
        "--out", type=nonempty_path, help=f"the page; else {REPORT_FILE} in the folder, or here"
    )
    args = parser.parse_args(argv)
    folder = Path(args.sweep) if is_folder(args.sweep) else None
    source: Source = folder or MLflowRuns(args.experiment, args.sweep, args.uri)
    page = Path(args.out or (folder or Path()) / REPORT_FILE)
    if not page.name or is_folder(page):
        return _refuse(f"{page}: cannot be written (it is a folder)")
    if not is_folder(page.parent):
        return _refuse(f"{page}: cannot be written (there is no folder {page.parent})")
    if problem := path_problem(page.absolute().with_name(f"{page.name}.new")):
        return _refuse(f"{page}: {problem}")
    matplotlib.use("Agg")  # no window
    try:
        runs = write_report(source, page)
    except (ValueError, ConnectionError) as error:
        return _refuse(str(error) if folder else f"{args.sweep}: no folder, and {error}")
    except OSError as error:
        return _refuse(f"{page}: cannot be written ({error.strerror})")
    print_line(f"Report: {page}")
    return _log(runs, args.uri, page)


def _refuse(problem: str, code: int = 2) -> int:
    print_problems("rnnlab.report", [problem])
    return code


def _log(runs: Sequence[RunEntry], uri: str | None, page: Path) -> int:
    """Put the page into MLflow, if that is where the runs are."""
    sweeps = {run.row["sweep"] for run in runs} - {None}  # which a damaged run does not know
    places = {place for run in runs if (place := _tracked_in(run, uri)) is not None}
    if len(sweeps) != 1 or len(places) != 1:
        return 0
    ((store, experiment),) = places
    if (database := sqlite_file(store)) and not is_file(database):
        return 0
    try:
        log_report(store, experiment, sweeps.pop(), page)
    except Exception as error:  # whatever a database or a server can raise
        return _refuse(f"MLflow at {redact(store)} does not take it ({error_line(error)})", 1)
    return 0


def _tracked_in(run: RunEntry, uri: str | None) -> tuple[str, str] | None:
    """The store and the experiment that a run is mirrored to."""
    tracking = run.config.get("tracking")
    tracking = tracking if isinstance(tracking, dict) else {}
    if tracking.get("backend") != "mlflow" and uri is None:
        return None
    own, experiment = tracking.get("uri"), tracking.get("experiment", "rnnlab")
    if not (isinstance(own, str | None) and isinstance(experiment, str)):
        return None
    uri = tracking_uri(uri or own)
    return None if PASSWORD_MASK in uri else (uri, experiment)
