"""Commands with closed output or interrupted by a signal: resumed runs are bit-identical."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.amount import examples, tried
from tests.processes import PATIENCE, TINY, end
from tests.surroundings import environment, hear_signals

SMALL = ("steps=1500", *TINY[1:], "figures=false", "val_every=null", "probe=light")
COMMANDS = {
    "run": (*SMALL, "tracking=none", "hydra.run.dir=made"),
    "sweep": ("-m", "seed=0,1,2", "jobs=2", *SMALL, "tracking=none", "hydra.sweep.dir=made"),
    "tracked sweep": ("-m", "seed=0,1", "jobs=2", *SMALL, "hydra.sweep.dir=made"),
}
STREAMS = ("read", "closed", "full", "both full", "cut off")
SIGNALS = ("none", "SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGQUIT")
LONGEST = 6.0
LOST = b"rnnlab: standard output cannot be written (No space left on device); the printed output is lost\n"


def ended(
    folder: Path,
    arguments: tuple[str, ...],
    stream: str = "read",
    kept: int = 0,
    number: str = "none",
    after: float = 0,
    to_all: bool = False,
) -> tuple[int, bytes]:
    """Return the exit code and the standard error of a command.

    Args:
        folder: The current folder of the command.
        arguments: The arguments of the command.
        stream: The treatment of the standard output.
        kept: Number of bytes read before the output is closed.
        number: The signal to send.
        after: Delay in seconds after the signal handlers are installed.
        to_all: If True, the workers receive the signal too.
    """

    def prepare() -> None:
        hear_signals()
        if stream == "closed":
            os.closerange(0, 3)

    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "rnnlab", *arguments],
            cwd=folder,
            env=environment(),
            stdout=full if "full" in stream else subprocess.PIPE,
            stderr=full if stream == "both full" else subprocess.PIPE,
            start_new_session=True,
            preexec_fn=prepare,
        )
    try:
        if stream == "cut off":
            assert process.stdout is not None
            process.stdout.read(kept)
            process.stdout.close()
            process.stdout = None
        if number != "none":
            while process.poll() is None and not _listens(process.pid):
                time.sleep(0.02)
            with suppress(subprocess.TimeoutExpired):
                process.wait(after)
            if process.poll() is None:
                (os.killpg if to_all else os.kill)(process.pid, signal.Signals[number])
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        end(process)
    return process.returncode, errors or b""


def _listens(pid: int) -> bool:
    """Return True if a process handles SIGHUP; rnnlab installs the handler before it writes any file."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    caught = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt")), 0)
    return bool(caught & 1 << (signal.SIGHUP - 1))


def weights(folder: Path) -> dict[str, str]:
    """Return the digests of the weights of all runs."""
    files = sorted(folder.rglob("weights.safetensors"))
    return {
        str(file.relative_to(folder)): sha256(file.read_bytes()).hexdigest()
        for file in files
        if "mlartifacts" not in file.parts
    }


@cache
def undisturbed(command: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        assert ended(Path(folder), COMMANDS[command]) == (0, b"")
        return weights(Path(folder))


@examples(1)
@given(
    command=st.sampled_from(list(COMMANDS)),
    stream=st.sampled_from(STREAMS),
    kept=st.integers(0, 300),
    number=st.sampled_from(SIGNALS),
    after=st.floats(0, LONGEST),
    to_all=st.booleans(),
)
def test_a_command_ends_as_documented_and_can_be_resumed(
    command: str, stream: str, kept: int, number: str, after: float, to_all: bool
) -> None:
    expected = undisturbed(command)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        code, errors = ended(folder, COMMANDS[command], stream, kept, number, after, to_all)
        tried[f"streams and signals: {number}, exit code {code}"] += 1
        stopped = -signal.SIGQUIT if number == "SIGQUIT" else 130
        assert code in (0, stopped), (code, errors)
        assert errors in ((b"", LOST) if stream == "full" else (b"",)), errors
        if code == 0:
            assert weights(folder) == expected
        code, errors = ended(folder, (*COMMANDS[command], "resume=true"))
        assert (code, errors) == (0, b"")
        assert weights(folder) == expected
