"""Open tracked runs in the MLflow UI on this machine.

The command starts an MLflow server that is accessible only from this machine, and prints a link to the charts
of the newest sweep. If the tracking store is a remote server, the command only prints the link.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence

from rnnlab.mlflow_mirror.links import APP, charts_link, has_start_page
from rnnlab.mlflow_mirror.start_page import STORE_VARIABLE
from rnnlab.mlflow_mirror.store import (
    UI_PORT,
    connect,
    error_line,
    is_server,
    sqlite_file,
    tracking_uri,
    ui_address,
    uri_problem,
)
from rnnlab.paths import is_file
from rnnlab.terminal.console import CommandParser, print_problems

START_SECONDS = 60
END_SECONDS = 10


def main(argv: Sequence[str]) -> int:
    """Run the UI until it is interrupted, and return the exit code (2 for invalid input)."""
    parser = CommandParser("rnnlab.ui", description=__doc__)
    parser.add_argument(
        "--uri",
        help="MLflow tracking URI (default: MLFLOW_TRACKING_URI, or else mlflow.db in the current folder)",
    )
    parser.add_argument(
        "--port", type=int, default=UI_PORT, help="port of the MLflow UI (default: %(default)s)"
    )
    parser.add_argument("--experiment", default="rnnlab", help="MLflow experiment (default: %(default)s)")
    args = parser.parse_args(argv)
    uri = tracking_uri(args.uri)
    problem = uri_problem(uri) or _database_problem(uri)
    problem = f"{uri}: {problem}" if problem else None if is_server(uri) else _port_problem(args.port)
    if problem:
        print_problems("rnnlab.ui", [problem])
        return 2
    try:
        if is_server(uri):
            print(_newest_charts_link(uri, args.port, args.experiment))
            return 0
        return _serve(uri, args.port, args.experiment)
    except KeyboardInterrupt:
        return 0
    except Exception as error:  # databases and servers may raise any error
        print_problems("rnnlab.ui", [f"{uri}: {error_line(error)}"])
        return 2


def _serve(uri: str, port: int, experiment: str) -> int:
    # The server's job workers (seven processes of 240 MB) and telemetry are not needed. The URI goes into the
    # environment because it may contain a password, and other users can read the arguments of a process.
    environment = os.environ | {
        STORE_VARIABLE: uri,
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--allowed-hosts", f"127.0.0.1:{port},localhost:{port}"]
    command += ["--app-name", APP] if has_start_page() else []
    address = ui_address(uri, port)
    link = _newest_charts_link(uri, port, experiment)  # before the server migrates an older database
    print(f"Starting the MLflow UI at {address} ...", flush=True)
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        if not _wait_for_server(address, server):
            _stop_server(server)
            assert server.stderr is not None
            os.set_blocking(server.stderr.fileno(), False)  # child processes may keep the pipe open
            output = server.stderr.read() or b""
            lines = output.decode(errors="replace").splitlines()
            print_problems("rnnlab.ui", ["the MLflow server did not start", *lines])
            return 1
        print(f"Newest sweep: {link}\nPress Ctrl-C to stop the server.", flush=True)
        server.communicate()
    finally:
        _stop_server(server)
    return 0


def _stop_server(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _newest_charts_link(uri: str, port: int, experiment: str) -> str:
    """Return a link to the charts of the newest sweep or, if no sweep exists, to all experiments."""
    client = connect(uri)
    stored = client.get_experiment_by_name(experiment)
    runs = client.search_runs([stored.experiment_id], max_results=1) if stored else []
    if not runs or "sweep" not in runs[0].data.tags:
        return ui_address(uri, port)
    return charts_link(uri, runs[0].info.experiment_id, runs[0].data.tags["sweep"], port)


def _database_problem(uri: str) -> str | None:
    database = sqlite_file(uri)
    missing = database is not None and not is_file(database)
    return (
        "no such database; run `python -m rnnlab` in this folder first, or choose a database with --uri"
        if missing
        else None
    )


def _port_problem(port: int) -> str | None:
    if not 0 < port < 65536:
        return f"--port={port}: must be between 1 and 65535"
    with socket.socket() as probe:
        in_use = probe.connect_ex(("127.0.0.1", port)) == 0
    return f"--port={port}: already in use; choose another port" if in_use else None


def _wait_for_server(address: str, server: "subprocess.Popen[bytes]") -> bool:
    """Wait until the server responds; return False if the server exits or does not respond in time."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # bypass proxies
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with direct.open(f"{address}/health", timeout=1):
                return True
        except OSError:
            time.sleep(0.2)
    return False
