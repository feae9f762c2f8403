"""Write a report on a sweep: one HTML page with figures and tables.

Specify the sweep by a folder that contains runs, or by the name of a sweep in MLflow. The report is a single
HTML file that works offline. If the sweep is tracked in MLflow, the report is also uploaded to the summary
run of the sweep.
"""

from collections.abc import Sequence
from pathlib import Path

from rnnlab.analysis.figures.backend import without_windows
from rnnlab.analysis.frames.runs_frame import RunEntry
from rnnlab.analysis.frames.sources import MLflowRuns, Source
from rnnlab.analysis.report.page import write_report
from rnnlab.app.progress import waiting_line
from rnnlab.mlflow_mirror.store import error_line, sqlite_file, tracking_uri
from rnnlab.mlflow_mirror.summary_run import log_report
from rnnlab.paths import is_file, is_folder, path_problem
from rnnlab.records import REPORT_FILE
from rnnlab.terminal.console import (
    CommandParser,
    Terminal,
    nonempty_name,
    nonempty_path,
    print_line,
    print_problems,
)
from rnnlab.text import PASSWORD_MASK, redact


def main(argv: Sequence[str]) -> int:
    """Write a report and return the exit code (1 if the upload to MLflow failed, 2 for invalid input)."""
    parser = CommandParser("rnnlab.report", description=__doc__)
    parser.add_argument(
        "sweep", type=nonempty_name, help="folder that contains runs, or name of a sweep in MLflow"
    )
    parser.add_argument(
        "--uri",
        help="MLflow tracking URI (default: URI of the sweep, or else MLFLOW_TRACKING_URI, "
        "or else mlflow.db in the current folder)",
    )
    parser.add_argument(
        "--experiment",
        default="rnnlab",
        help="MLflow experiment that contains a sweep specified by name (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=nonempty_path,
        help=f"path of the HTML file (default: {REPORT_FILE} in the sweep folder or, for a sweep in MLflow, "
        "in the current folder)",
    )
    args = parser.parse_args(argv)
    folder = Path(args.sweep) if is_folder(args.sweep) else None
    source: Source = folder or MLflowRuns(args.experiment, args.sweep, args.uri)
    page = Path(args.out or (folder or Path()) / REPORT_FILE)
    if not page.name or is_folder(page):
        return _refuse(f"{page}: is a directory")
    if not is_folder(page.parent):
        return _refuse(f"{page}: cannot be written (folder {page.parent} not found)")
    if problem := path_problem(page.absolute().with_name(f"{page.name}.new")):
        return _refuse(f"{page}: {problem}")
    try:
        with without_windows(), waiting_line(Terminal()) as progress:
            progress.add_task("Writing the report", total=None)
            runs = write_report(source, page)
    except (ValueError, ConnectionError) as error:
        return _refuse(str(error) if folder else f"{args.sweep}: not a folder, and {error}")
    except OSError as error:
        return _refuse(f"{page}: cannot be written ({error.strerror})")
    print_line(f"Report: {page}")
    return _log(runs, args.uri, page)


def _refuse(problem: str, code: int = 2) -> int:
    print_problems("rnnlab.report", [problem])
    return code


def _log(runs: Sequence[RunEntry], uri: str | None, page: Path) -> int:
    """Upload the report to MLflow if all runs belong to one sweep that is tracked in MLflow."""
    sweeps = {run.row["sweep"] for run in runs} - {None}  # None for a damaged run
    stores = {pair for run in runs if (pair := _store_and_experiment(run, uri)) is not None}
    if len(sweeps) != 1 or len(stores) != 1:
        return 0
    ((store, experiment),) = stores
    if (database := sqlite_file(store)) and not is_file(database):
        return 0
    try:
        log_report(store, experiment, sweeps.pop(), page)
    except Exception as error:  # databases and servers may raise any error
        return _refuse(f"MLflow at {redact(store)} did not accept the report ({error_line(error)})", 1)
    return 0


def _store_and_experiment(run: RunEntry, uri: str | None) -> tuple[str, str] | None:
    """Return the tracking store and MLflow experiment of a run, or None if a report cannot be uploaded."""
    tracking = run.config.get("tracking")
    tracking = tracking if isinstance(tracking, dict) else {}
    if tracking.get("backend") != "mlflow" and uri is None:
        return None
    own, experiment = tracking.get("uri"), tracking.get("experiment", "rnnlab")
    if not (isinstance(own, str | None) and isinstance(experiment, str)):
        return None
    uri = tracking_uri(uri or own)
    return None if PASSWORD_MASK in uri else (uri, experiment)
