"""Tests of `python -m rnnlab.ui` as a separate process."""

import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from rnnlab.commands import ui
from rnnlab.mlflow_mirror.store import SQLITE_HEADER
from tests.conftest import Starter
from tests.entry_points import declare
from tests.processes import Done, children, finish, run, run_info, wait_until
from tests.security.promises import keeps
from tests.thorough import thorough


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (),
            "no such database; run `python -m rnnlab` in this folder first, or choose a database with --uri",
        ),
        (("--uri", "./mlruns"), "must be sqlite:///<file>, http(s)://<server> or a database"),
        (("--uri", "sqlite:////nowhere/at/all.db"), "/nowhere/at: not found"),
    ],
)
def test_reports_the_error(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert ui.main(arguments) == 2
    output = capsys.readouterr().err
    assert output.startswith("rnnlab.ui: ") and message in output and output.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_reports_that_the_port_is_in_use(sweep: Done, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert ui.main(["--uri", sweep.uri, "--port", port]) == 2
    assert f"--port={port}: already in use; choose another port" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "70000", "-1"])
def test_reports_an_invalid_port(port: str, sweep: Done, capsys: pytest.CaptureFixture[str]) -> None:
    assert ui.main(["--uri", sweep.uri, f"--port={port}"]) == 2
    assert f"--port={port}: must be between 1 and 65535\n" in capsys.readouterr().err


def test_a_file_that_is_not_a_database_leaves_no_server_running(start: Starter, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(SQLITE_HEADER + b"something else entirely" * 100)
    port = free_port()
    done = finish(tmp_path, start(tmp_path, "--port", str(port), module="rnnlab.ui"))
    assert (done.code, done.out) == (2, "")
    assert done.err == f"rnnlab.ui: {done.uri}: (sqlite3.DatabaseError) file is not a database\n"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_reports_that_a_server_does_not_answer(tmp_path: Path) -> None:
    done = run(tmp_path, "--uri", "http://127.0.0.1:9", module="rnnlab.ui")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("rnnlab.ui: http://127.0.0.1:9: ") and done.err.count("\n") == 1


@keeps("loopback")
@keeps("no-passwords")
@pytest.mark.parametrize("number", [signal.SIGINT, thorough(signal.SIGHUP)])
def test_serves_the_newest_sweep_on_loopback_until_it_is_ended(
    start: Starter, sweep: Done, tmp_path: Path, number: signal.Signals
) -> None:
    port = free_port()
    outside = {"http_proxy": "http://127.0.0.1:9", "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true"}
    outside["PYTHONPATH"] = declare(tmp_path / "metadata")
    process = start(sweep.folder, "--port", str(port), module="rnnlab.ui", PYTHONUNBUFFERED="1", **outside)
    assert process.stdout is not None
    line = ""
    while "Newest sweep" not in line:
        line = process.stdout.readline()
        assert line, "the UI ended before printing its link"
    name = run_info(sweep.runs["rnn"])["tags"]["sweep"]
    link = line.partition(": ")[2].strip()
    assert link == f"http://127.0.0.1:{port}/rnnlab/charts?experiment=1&sweep={name}"
    for page in (f"http://127.0.0.1:{port}/health", f"http://127.0.0.1:{port}/", link):
        with urllib.request.urlopen(page) as answer:
            assert answer.status == 200
            text, headers = answer.read().decode(), answer.headers
    assert f"tags.sweep = '{name}'" in text  # the start page, behind MLflow's security middleware
    assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == ("nosniff", "SAMEORIGIN")
    for host in ("evil.example", f"evil.example:{port}", f"10.0.0.1:{port}"):  # DNS rebinding
        for page in (f"http://127.0.0.1:{port}/", link):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(urllib.request.Request(page, headers={"Host": host}))
    listening = Path("/proc/net/tcp").read_text()
    assert f"0100007F:{port:04X}" in listening and f"00000000:{port:04X}" not in listening

    servers = [pid for child in children(process.pid) for pid in (child, *children(child))]
    command_lines = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (process.pid, *servers))
    assert b"mlflow" in command_lines and b"sqlite" not in command_lines  # an address may contain a password
    process.send_signal(number)
    assert finish(sweep.folder, process).code == 0
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in servers), "the server has ended")
