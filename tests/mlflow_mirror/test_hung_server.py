"""A server that accepts connections but never answers: training ends, and the data are sent later."""

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnlab.commands import sync
from tests.processes import TINY, metric_rows, run, run_info
from tests.tracked import tracked_runs


@pytest.fixture
def hung() -> Iterator[str]:
    """Yield the address of a server that never answers."""
    taken: list[socket.socket] = []

    def take(server: socket.socket) -> None:
        while True:
            try:
                taken.append(server.accept()[0])
            except OSError:  # the socket was closed
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=take, args=(server,))
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert taken, "nobody asked"
    for connection in taken:
        connection.close()


def test_a_hung_server_causes_only_a_message_and_a_later_sync(
    hung: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(tmp_path, *TINY, f"tracking.uri={hung}", "figures=false")
    assert (done.code, done.err) == (0, "")
    (folder,) = done.runs.values()
    info = run_info(folder)
    assert info["outcome"] == "finished" and info["summary"]["val/loss"] > 0
    assert (folder / "weights.safetensors").is_file() and (folder / "gradients.parquet").is_file()
    rows = metric_rows(folder)
    assert [row["step"] for row in rows] == list(range(13))
    messages = [line for line in done.out.splitlines() if "rnnlab.sync" in line]
    assert len(messages) == 1, done.out
    assert not re.search(r"Traceback|urllib3|Retrying", done.out)

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert sync.main([str(folder), "--uri", uri]) == 0
    assert capsys.readouterr().out.strip().endswith("1 run: 1 sent")
    (tracked,) = tracked_runs(uri).values()
    assert tracked.status == "FINISHED"
    for key in ("train/loss", "grad/norm", "val/loss"):
        assert tracked.history[key] == [(row["step"], row[key]) for row in rows if key in row]
