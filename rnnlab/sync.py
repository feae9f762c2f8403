"""`python -m rnnlab.sync [folder …]`: send to MLflow what it does not have of the runs in folders.

For runs that were made while MLflow did not answer, without it, or on another machine. It may be used
any number of times: nothing is sent twice. A run whose process died is closed as killed, one that is
still going on is left alone.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console
from rich.progress import Progress

from rnnlab.records import CONFIG_FILE, RUN_FILE
from rnnlab.tracking.charts import shared_view
from rnnlab.tracking.folder import RunInUse, close_run, read_run_info
from rnnlab.tracking.mirror import DIED, told
from rnnlab.tracking.mirrored_run import MirroredRun
from rnnlab.tracking.store import open_experiment, tracking_uri, uri_problem

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SENT, COMPLETE, RUNNING, DELETED = "sent", "complete before", "still running", "deleted in MLflow"


def main(argv: Sequence[str]) -> int:
    """Send the runs; return the exit code: 1 when MLflow did not take all, 2 for a mistake in the input."""
    parser = argparse.ArgumentParser(prog="python -m rnnlab.sync", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path()], help="default: the current one")
    parser.add_argument("--uri", help="else each run's own, MLFLOW_TRACKING_URI, or mlflow.db here")
    args = parser.parse_args(argv)
    missing = [str(folder) for folder in args.folders if not folder.is_dir()]
    if missing:
        print(f"rnnlab.sync: {', '.join(missing)}: no such folder", file=sys.stderr)
        return 2
    runs = [file.parent.absolute() for folder in args.folders for file in sorted(folder.rglob(RUN_FILE))]
    if not runs:
        print(f"rnnlab.sync: no runs in {', '.join(map(str, args.folders))}", file=sys.stderr)
        return 2
    sender, counts = _Sender(args.uri), Counter[str]()
    try:
        with Progress(console=Console(), transient=True) as progress:
            for folder in progress.track(runs, description="sending"):
                counts[sender.send(folder)] += 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # whatever a database or a server can raise
        done = f"; {counts[SENT]} sent before that" if counts[SENT] else ""
        print(f"rnnlab.sync: MLflow cannot take the runs ({told(error)}){done}", file=sys.stderr)
        return 1
    print(f"{len(runs)} runs: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    return 0


class _Sender:
    """Sends runs to the stores and experiments that they belong to."""

    def __init__(self, uri: str | None) -> None:
        self._uri = uri
        self._opened: dict[tuple[str, str], tuple[MlflowClient, str]] = {}
        self._viewed: set[tuple[str, str]] = set()

    def send(self, folder: Path) -> str:
        """Send what is missing of one run, and say what that was."""
        info = read_run_info(folder)
        assert info is not None
        if info["outcome"] is None:
            try:
                info = close_run(folder, "killed", {"error": DIED})
            except RunInUse:
                return RUNNING
        uri = self._uri_of(folder)
        client, experiment_id = self._open(uri, info["tracking"]["experiment"])
        run = MirroredRun(folder, uri)
        if (state := _state(client, run)) == "deleted":
            return DELETED
        if state == "missing":
            run.forget()
        if (view := (experiment_id, info["tags"]["sweep"])) not in self._viewed:
            client.set_experiment_tag(experiment_id, *shared_view(info["tags"]["sweep"]))
            self._viewed.add(view)
        return SENT if run.update(client, experiment_id) else COMPLETE

    def _uri_of(self, folder: Path) -> str:
        config: dict[str, Any] = yaml.safe_load((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        uri = tracking_uri(self._uri or config["tracking"]["uri"])
        if problem := uri_problem(uri):
            raise ValueError(f"{uri}: {problem}")
        return uri

    def _open(self, uri: str, experiment: str) -> "tuple[MlflowClient, str]":
        if (uri, experiment) not in self._opened:
            self._opened[uri, experiment] = open_experiment(uri, experiment)
        return self._opened[uri, experiment]


def _state(client: "MlflowClient", run: MirroredRun) -> str:
    """What became of the MLflow run that was made for a folder."""
    from mlflow.exceptions import MlflowException

    run_id = run.run_id()
    if run_id is None:
        return "none"
    try:
        return str(client.get_run(run_id).info.lifecycle_stage)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return "missing"  # another database under the same address
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
