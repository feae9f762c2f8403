"""Real services for tests and benchmarks, each with its own folder, on the loopback address."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.processes import wait_until

SLURM_CONF = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
ReturnToService=2
MpiDefault=none
MinJobAge=3600
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=local Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_port() -> int:
    """Return an unused port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start a Slurm cluster of one node with two CPUs, as root; yield the environment for its commands."""
    folder.mkdir(mode=0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    conf = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    conf.write_text(SLURM_CONF.format(folder=folder, host=host, ports=(free_port(), free_port())))
    environment = os.environ | {"SLURM_CONF": str(conf)}
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    munged = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munged += [f"--{name}-file={folder}/munge.{name}" for name in ("log", "pid", "seed")]
    with ended_together() as begin:
        begin(munged)
        wait_until((folder / "munge.socket").exists, "munged listens")
        begin(["slurmctld", "-c", "-D", "-f", str(conf)])
        begin(["slurmd", "-D", "-N", host, "-f", str(conf)])

        def idle() -> bool:
            result = subprocess.run(
                ["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True, check=False
            )
            return result.stdout.strip() == "idle"

        wait_until(idle, "Slurm's node is idle")
        try:
            yield environment
        finally:
            subprocess.run(["scancel", "--me"], env=environment, check=False, capture_output=True)


@contextmanager
def ended_together() -> Iterator[Callable[[list[str]], "subprocess.Popen[bytes]"]]:
    """Yield a function that starts processes; the context ends them in reverse order."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(command: list[str], **settings: Any) -> "subprocess.Popen[bytes]":
        pipe = subprocess.DEVNULL
        started.append(
            subprocess.Popen(command, stdout=pipe, stderr=pipe, start_new_session=True, **settings)
        )
        return started[-1]

    try:
        yield begin
    finally:
        for process in reversed(started):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()


class PostgreSQL:
    """A PostgreSQL server with a database `mlflow`; started by root, it runs as the user `nobody`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        if getpass.getuser() == "root":
            shutil.chown(folder, "nobody")
            for parent in folder.parents[:-1]:
                parent.chmod(parent.stat().st_mode | 0o011)
        self._run("initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "mlflow", "-E", "UTF8")
        self.start()
        self._run(
            "psql",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            "mlflow",
            "-d",
            "postgres",
            "-c",
            "create database mlflow",
        )

    @property
    def uri(self) -> str:
        """URI for MLflow's `--backend-store-uri`."""
        return f"postgresql+psycopg://mlflow@127.0.0.1:{self.port}/mlflow"

    def start(self) -> None:
        """Start the server, also after a crash."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        self._run(
            "pg_ctl", "-D", f"{self.folder}/data", "-w", "-l", f"{self.folder}/log", "-o", options, "start"
        )

    def kill(self) -> None:
        """Stop the server immediately, as in a crash."""
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "stop")

    def stop(self) -> None:
        """Stop the server if it is running."""
        with suppress(subprocess.CalledProcessError):
            self.kill()

    def _run(self, name: str, *arguments: str) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        command = [str(found[-1]) if found else name, *arguments]
        if getpass.getuser() == "root":
            command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
        # The log goes to a file, because a pipe would stay open as long as the server runs.
        with (self.folder.parent / f"{self.folder.name}.{name}.log").open("w") as log:
            subprocess.run(command, stdout=log, stderr=log, cwd="/", check=True)


class MLflowServer:
    """An MLflow tracking server with a store."""

    def __init__(self, folder: Path, store: str, port: int | None = None) -> None:
        self.folder, self.store, self.port = folder, store, port or free_port()
        folder.mkdir(exist_ok=True)
        self.start()

    @property
    def uri(self) -> str:
        """The tracking URI of the server."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server, also after a crash, and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.store]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        quietly = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=os.environ | quietly, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self.answers, "MLflow's server answers")

    def answers(self) -> bool:
        """Return True if the server answers."""
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                return True
        except OSError:
            return False

    def signal(self, number: int) -> None:
        """Send a signal to all processes of the server."""
        os.killpg(self.process.pid, number)

    def stop(self) -> None:
        """Kill the server."""
        with suppress(ProcessLookupError):
            self.signal(9)
        self.process.wait()
