"""File paths from users are local files; no server is contacted."""

import ast
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnlab.analysis.frames.sources import MLflowRuns, find_run, find_runs
from rnnlab.app.cli import main
from rnnlab.commands import compare, repeat, report, show, sync
from rnnlab.user_files import is_address
from tests.app.conftest import here
from tests.security.promises import keeps
from tests.surroundings import ROOT
from tests.thorough import covering

__all__ = ["here"]
pytestmark = pytest.mark.usefixtures("kept_compositions")
SCHEMES = (
    *("http://{}/t.csv", "https://{}/t.csv", "HTTP://{}/t.parquet", "http:/{}/t.csv", "ftp://{}/t.csv"),
    *("s3://{}/t.csv", "gs://{}/t.csv", "hdfs://{}/t.parquet", "file://{}/t.csv", "memory://{}/t.csv"),
    *("data:,a,b", "zip://t.csv::http://{}/t.zip", "simplecache::http://{}/t.csv", "\\\\{}\\share\\t.csv"),
)
FILES = (
    "t.csv",
    "./a:b.csv",
    "C:\\t.csv",
    "2020-01-01T12:00.csv",
    "/data/t.csv",
    "~/t.csv",
    "a.b/c.csv",
    "x:y.csv",
)
OPENERS = {"read_csv", "read_parquet", "read_table", "read_feather", "read_excel", "read_orc", "loadtxt", "genfromtxt", "fromfile", "memmap"}  # fmt: skip


@pytest.fixture
def deaf() -> Iterator[str]:
    """Yield the address of a server that never answers; check at the end that nobody connected."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\") + '"'


@keeps("files-of-this-machine")
@pytest.mark.parametrize(("address", "keys"), covering(SCHEMES, ["", "task=series", "initial_state=given"]))
def test_an_address_is_not_a_file(
    keys: str, address: str, deaf: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, key = address.format(deaf), "initial_state.path" if "given" in keys else "task.path"
    for command, name in ((main, "rnnlab"), (show.main, "rnnlab.show")):
        assert command([*keys.split(), f"{key}={quoted(path)}"]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1, err
        assert err.startswith(f"{name}: {key}=") and "(a URL or network path, not a local file" in err
    assert list(here.iterdir()) == []


@keeps("files-of-this-machine")
@pytest.mark.parametrize("address", SCHEMES)
def test_an_address_is_not_an_argument(
    address: str, deaf: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = address.format(deaf)
    commands = [(report, [address]), (report, ["runs", "--out", address]), (compare, [address, "a"])]
    commands += [
        (compare, ["a", address]),
        (repeat, [address]),
        (sync, [address]),
        (show, ["--config-dir", address]),
    ]
    for module, arguments in commands:
        with pytest.raises(SystemExit) as ended:
            module.main(arguments)
        out, err = capsys.readouterr()
        assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
        assert ": is a URL or network path; must be a local file or folder" in err
    for source in (address, [address], MLflowRuns(uri="sqlite:///none.db", cache=Path(address))):
        with pytest.raises(ValueError, match="not a URL"):
            find_runs(source)
    with pytest.raises(ValueError, match="not a URL"):
        find_run(address)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("path", FILES)
def test_file_names_are_not_addresses(path: str) -> None:
    assert not is_address(path)


@keeps("files-of-this-machine")
@pytest.mark.parametrize("keys", ["", "task=series", "initial_state=given"])
@pytest.mark.parametrize("path", ["pipe", "/dev/zero"])
def test_pipes_and_devices_are_not_read(
    keys: str, path: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("pipe")
    key = "initial_state.path" if "given" in keys else "task.path"
    assert main([*keys.split(), f"{key}={path}"]) == 2
    assert capsys.readouterr().err == f"rnnlab: {key}={path}: cannot be read (not a regular file)\n"


@keeps("files-of-this-machine")
def test_no_library_gets_a_path() -> None:
    """Libraries that would open a path receive bytes or an open file."""
    found = {}
    for file in sorted((ROOT / "rnnlab").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in OPENERS
            ):
                found.setdefault(str(file.relative_to(ROOT)), []).append(ast.unparse(node.args[0]))
    assert found == {
        "rnnlab/library/onnx_files.py": ["opened"],
        "rnnlab/tasks/tables.py": ["BytesIO(data)", "BytesIO(data)"],
        "rnnlab/tasks/digits.py": ["rows"],
    }
