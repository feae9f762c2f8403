"""Send runs to MLflow; data that MLflow already has are not sent again.

Use this command for runs that were recorded without MLflow, while MLflow was unavailable, or on another
machine. Repeating the command is safe because no data are sent twice. A run whose process has died is marked
as killed; a run that is still in progress is skipped. If several copies of a run folder exist, only the most
advanced copy is sent.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlab.app.progress import Remaining, counting_bar
from rnnlab.mlflow_mirror.charts import run_colors, shared_view
from rnnlab.mlflow_mirror.mirror import PROCESS_DIED
from rnnlab.mlflow_mirror.mirrored_run import REQUIRED_KEYS, MirroredRun
from rnnlab.mlflow_mirror.store import error_line, open_experiment, tracking_uri, uri_problem
from rnnlab.mlflow_mirror.stored_sweep import stored_params
from rnnlab.mlflow_mirror.summary_run import find_summary
from rnnlab.paths import is_folder
from rnnlab.records import CONFIG_FILE, METRICS_FILE
from rnnlab.runs.advance import Advance, read_advance
from rnnlab.runs.closing import close_run
from rnnlab.runs.files import DamagedFile
from rnnlab.runs.folder import MISPLACED_FOLDER, RunInUse, find_misplaced_folder, run_folders
from rnnlab.runs.run_json import read_config, read_run_info
from rnnlab.signals import INTERRUPTED
from rnnlab.terminal.console import CommandParser, Terminal, nonempty_name, print_problems
from rnnlab.text import PASSWORD_MASK, format_run_count, redact

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SENT, COMPLETE, DELETED = "sent", "already complete", "deleted in MLflow"
RUNNING, LEFT, INTERRUPTED_BEFORE = "still running", "not sent", "not reached"
COPY = "skipped (another copy of the run is more advanced)"
MAX_FAILURES = 2
"""Number of consecutive failures after which no more runs are sent to a tracking store."""


def main(argv: Sequence[str]) -> int:
    """Send runs and return the exit code (1 if a run was not sent, 2 for invalid input, 130 on Ctrl-C)."""
    parser = CommandParser("rnnlab.sync", description=__doc__)
    parser.add_argument(
        "folders",
        nargs="*",
        type=nonempty_name,
        default=["."],
        help="folders that contain runs (default: current folder)",
    )
    parser.add_argument(
        "--uri",
        help="MLflow tracking URI (default: URI of each run, or else MLFLOW_TRACKING_URI, "
        "or else mlflow.db in the current folder)",
    )
    args = parser.parse_args(argv)
    folders = [Path(folder) for folder in args.folders]
    missing = [str(folder) for folder in folders if not is_folder(folder)]
    if missing:
        print_problems("rnnlab.sync", [f"{', '.join(missing)}: not found"])
        return 2
    found_folders = list(dict.fromkeys(run.resolve() for folder in folders for run in run_folders(folder)))
    runs = _drop_copies(found_folders)
    problem = None if runs else f"no runs in {', '.join(map(str, folders))}"
    if args.uri is not None and (wrong := uri_problem(args.uri, writing=True)):
        problem = f"--uri {args.uri}: {wrong}"
    if problem:
        print_problems("rnnlab.sync", [problem])
        return 2
    return _send(runs, len(found_folders), args.uri)


def _send(runs: Sequence[Path], folder_count: int, uri: str | None) -> int:
    """Send runs and print how many runs had each result; `folder_count` includes copies of runs."""
    sender, counts, console, interrupted = _Sender(uri, _colors(runs)), Counter[str](), Terminal(), False
    counts[COPY] = folder_count - len(runs)
    try:
        with counting_bar(console, "runs sent", Remaining()) as progress:
            for folder in progress.track(runs, description="Sending to MLflow"):
                counts[sender.send(folder)] += 1
        sender.update_views()
    except KeyboardInterrupt:
        interrupted = True
        counts[INTERRUPTED_BEFORE] = folder_count - counts.total()
        sender.problems.append("interrupted; repeat the command to send the remaining runs")
    print_problems("rnnlab.sync", sender.problems)
    count_texts = ", ".join(f"{count} {result}" for result, count in counts.items() if count)
    print(f"{format_run_count(folder_count)}: {count_texts}")
    return INTERRUPTED if interrupted else int(counts[LEFT] > 0)


def _drop_copies(folders: Sequence[Path]) -> list[Path]:
    """Return the most advanced copy of each run, and all folders with a damaged `run.json`."""
    furthest: dict[object, tuple[Advance, Path]] = {}
    for folder in folders:
        try:
            info = read_run_info(folder) or {}
        except ValueError:
            info = {}
        advance = read_advance(info, folder / METRICS_FILE)
        key = info.get("id") or folder
        if key not in furthest or advance > furthest[key][0]:
            furthest[key] = advance, folder
    return [folder for _, folder in furthest.values()]


def _colors(folders: Sequence[Path]) -> dict[Path, str]:
    """Return the colour of each run in MLflow's charts."""
    sweeps: dict[str, dict[Path, dict[str, str]]] = {}
    for folder in folders:
        with suppress(ValueError):
            info = read_run_info(folder, REQUIRED_KEYS) or {}
            sweeps.setdefault(info["tags"].get("sweep", ""), {})[folder] = info["params"]
    return {
        folder: color
        for runs in sweeps.values()
        for folder, color in zip(runs, run_colors(list(runs.values())), strict=True)
    }


class _Sender:
    """Object that sends each run to its tracking store and MLflow experiment.

    Attributes:
        problems: Error messages: one line for each run that cannot be sent and for each tracking store that
            does not accept runs.
    """

    def __init__(self, uri: str | None, colors: Mapping[Path, str]) -> None:
        self.problems: list[str] = []
        self._uri, self._colors = uri, colors
        self._opened: dict[tuple[str, str], tuple[MlflowClient, str]] = {}
        self._summaries: dict[tuple[str, str, str], str | None] = {}
        self._failures: Counter[str] = Counter()

    def send(self, folder: Path) -> str:
        """Send a run's unsent data to MLflow, and return a description of the result."""
        try:
            info = read_run_info(folder, REQUIRED_KEYS)
            assert info is not None
            if path := find_misplaced_folder(folder):
                raise ValueError(f"{path.name}: {MISPLACED_FOLDER}")
            experiment, sweep = info["tracking"]["experiment"], info["tags"].get("sweep", "")
            uri = self._uri_of(folder)
            if info["outcome"] is None:
                close_run(folder, "killed", {"error": PROCESS_DIED})
        except RunInUse:
            return RUNNING
        except (OSError, ValueError) as error:
            self.problems.append(f"{folder}: {error_line(error)}")
            return LEFT
        if self._failures[uri] >= MAX_FAILURES:
            return LEFT
        try:
            result = self._send_run(folder, uri, experiment, sweep)
        except DamagedFile as error:
            self.problems.append(f"{folder}: {error_line(error)}")
            return LEFT
        except Exception as error:  # databases and servers may raise any error
            self._failures[uri] += 1 if (uri, experiment) in self._opened else MAX_FAILURES
            origin = f"MLflow at {uri}" if self._failures[uri] >= MAX_FAILURES else str(folder)
            self.problems.append(f"{origin}: cannot be sent ({error_line(error)})")
            return LEFT
        self._failures[uri] = 0
        return result

    def _send_run(self, folder: Path, uri: str, experiment: str, sweep: str) -> str:
        if (uri, experiment) not in self._opened:
            self._opened[uri, experiment] = open_experiment(uri, experiment)
        client, experiment_id = self._opened[uri, experiment]
        key = uri, experiment, sweep
        if key not in self._summaries:
            self._summaries[key] = find_summary(client, experiment_id, sweep)
        run = MirroredRun(folder, uri, self._colors.get(folder))
        run.summary_id = self._summaries[key]
        sent = run.update(client, experiment_id)
        if run.outdated:
            return COPY
        return DELETED if run.deleted else SENT if sent else COMPLETE

    def update_views(self) -> None:
        """Update the view of each sweep on MLflow's chart page."""
        for uri, experiment, sweep in filter(lambda key: key[2], self._summaries):
            client, experiment_id = self._opened[uri, experiment]
            try:
                params = stored_params(client, experiment_id, sweep)
                client.set_experiment_tag(experiment_id, *shared_view(sweep, params))
            except Exception as error:  # databases and servers may raise any error
                self.problems.append(
                    f"MLflow at {redact(uri)}: chart page not updated ({error_line(error)}); try again"
                )

    def _uri_of(self, folder: Path) -> str:
        tracking = read_config(folder / CONFIG_FILE).get("tracking")
        own = tracking.get("uri") if isinstance(tracking, dict) else None
        if self._uri is None and not (isinstance(tracking, dict) and isinstance(own, str | None)):
            raise ValueError(f"{CONFIG_FILE} cannot be read; use --uri to choose the tracking store")
        uri = tracking_uri(self._uri or own)
        if problem := uri_problem(uri, writing=True):
            raise ValueError(f"{uri}: {problem}")
        if PASSWORD_MASK in uri:
            raise ValueError(f"{uri}: the password was not saved; specify the complete URI with --uri")
        return uri
