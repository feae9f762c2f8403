"""Untrusted strings appear as plain text on pages, terminals and in logs; passwords do not appear at all."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from rnnlab.analysis.figures.picture_files import picture_bytes
from rnnlab.analysis.report.page import report_html
from rnnlab.app.cli import main
from rnnlab.commands import compare, show, ui
from rnnlab.mlflow_mirror import mirrored_run
from rnnlab.mlflow_mirror.store import error_line, ui_address
from rnnlab.runs.folder import RunFolder
from rnnlab.text import one_line, redact, sanitize
from tests.app.conftest import here
from tests.processes import TINY, Done, run_info
from tests.security.promises import keeps

__all__ = ["here"]
ATTACK = "<img src=x onerror=alert(1)><script>alert(1)</script>\"'>&lt;b&gt;"
ESCAPES = "\x1b]0;owned\x07\x1b[31mred\x9b2J\r\u202egpj\x7f\u2067\u200f\u2028\ufffe"


class Elements(HTMLParser):
    """Every element of a page, with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def attacked(sweep: Done, here: Path) -> list[Path]:
    """Return the runs of a sweep with hostile strings in their files."""
    folders = []
    for name, folder in sweep.runs.items():
        copy = here / f"{name}<i>"
        shutil.copytree(folder, copy)
        info = run_info(copy)
        info |= {"name": f"{name} {ATTACK}{ESCAPES}", "command": f"python {ATTACK}{ESCAPES}"}
        info["params"][ATTACK + ESCAPES] = f"{name} {ATTACK}{ESCAPES}"
        info["overrides"].append(ESCAPES)
        info["machine"]["cpu"] = ATTACK + ESCAPES
        info["tags"]["sweep"] = f"s{ATTACK}{ESCAPES}"
        info["dataset"]["name"] = ATTACK + ESCAPES
        if name == "rnn":
            info |= {"outcome": "failed", "summary": {"error": ATTACK + ESCAPES}}
        (copy / "run.json").write_text(json.dumps(info), encoding="utf-8")
        text = (
            (copy / "config.yaml")
            .read_text(encoding="utf-8")
            .replace("path: null", f"path: '{name}{ATTACK.replace(chr(39), '')}'")
        )
        text += f"own: {json.dumps(name + ESCAPES)}\n{json.dumps(ESCAPES)}: '{ATTACK.replace(chr(39), '')}'\n"
        (copy / "config.yaml").write_text(text, encoding="utf-8")
        folders.append(copy)
    return folders


@keeps("text-stays-text")
@pytest.mark.filterwarnings("ignore:constrained_layout")  # long names leave no space for axes
def test_in_a_report(attacked: list[Path], here: Path) -> None:
    page = report_html(here)
    elements = Elements(page).found
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 5
    assert [attributes for tag, attributes in elements if tag == "script"] == [{}]  # rnnlab's own script
    assert not any(name.startswith("on") for _, attributes in elements for name in attributes)
    assert is_harmless(page) and page.count("\N{REPLACEMENT CHARACTER}]0;owned") > 10
    pictures = re.findall("<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) >= 3 and not any(tag == "img" for tag, _ in elements)
    parts = [part for picture in pictures for part in ElementTree.fromstring(picture).iter()]
    assert {part.tag for part in parts} <= {
        "svg",
        "defs",
        "style",
        "g",
        "path",
        "use",
        "clipPath",
        "rect",
        "image",
    }
    for part in parts:
        assert (part.get("href") or "#").startswith(("#", "data:image/png;base64,"))
    names = [part.get("data-name", "") for part in parts if part.get("class") == "curve"]
    assert any(ATTACK in name and "\N{REPLACEMENT CHARACTER}]0;owned" in name for name in names)
    (policy,) = (attributes["content"] for tag, attributes in elements if "http-equiv" in attributes)
    assert (
        policy and policy.startswith("default-src 'none'; img-src data:;") and "script-src 'sha256-" in policy
    )


@keeps("text-stays-text")
def test_in_mlflows_description(sweep: Done, here: Path) -> None:
    """MLflow shows the description as Markdown; a tag of the run folder cannot replace it."""
    made: dict[str, Any] = {}

    class Client:
        def search_runs(self, *_: Any, **__: Any) -> list[Any]:
            return []

        def create_run(self, _: str, tags: dict[str, str], **__: Any) -> Any:
            made.update(tags)
            raise InterruptedError

    copy = here / "run"
    shutil.copytree(sweep.runs["rnn"], copy, ignore=shutil.ignore_patterns("mlflow.json"))
    info = run_info(copy)
    info["tags"]["mlflow.note.content"] = info["params"]["cell"] = ATTACK
    (copy / "run.json").write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(InterruptedError):
        mirrored_run.MirroredRun(copy, "sqlite:///x.db").update(Client(), "1")  # type: ignore[arg-type]
    description = made["mlflow.note.content"]
    assert description.startswith("**Cell** `") and "<" not in description.partition("\n")[0]
    assert is_harmless(description)


@keeps("text-stays-text")
def test_of_a_run_in_mlflow(sweep: Done, here: Path) -> None:
    made: list[Any] = []

    class Client:
        def search_runs(self, *_: Any, **__: Any) -> list[Any]:
            return []

        def create_run(self, *_: Any, **keys: Any) -> Any:
            made.append(keys)
            return SimpleNamespace(info=SimpleNamespace(run_id="0" * 32))

        def log_batch(self, _: str, params: Any) -> None:
            made.append([vars(param) for param in params])

        def log_inputs(self, _: str, inputs: Any) -> None:
            made.append([one.to_dictionary() for one in inputs])
            raise InterruptedError

    copy = here / "run"
    shutil.copytree(sweep.runs["rnn"], copy, ignore=shutil.ignore_patterns("mlflow.json"))
    info = run_info(copy) | {"name": ESCAPES}
    info["tags"]["x"] = info["params"]["x"] = info["dataset"]["name"] = info["machine"]["cpu"] = ESCAPES
    (copy / "run.json").write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(InterruptedError):
        mirrored_run.MirroredRun(copy, "sqlite:///x.db").update(Client(), "1")  # type: ignore[arg-type]
    assert len(made) == 3 and str(made).count("owned") == 5
    assert is_harmless(json.dumps(made, ensure_ascii=False))


@keeps("text-stays-text")
@pytest.mark.parametrize("form", ["svg", "png"])
def test_in_a_figure(form: str) -> None:
    figure = Figure()
    figure.subplots().set(title=ESCAPES, xlabel=ESCAPES)
    with pytest.warns(UserWarning, match="missing from"):
        picture = picture_bytes(figure, form)
    if form == "svg":
        assert is_harmless(picture.decode()) and b"owned" in picture
        ElementTree.fromstring(picture)
    assert b"owned" not in picture or form == "svg"


@keeps("text-stays-text")
def test_in_texts_that_a_run_writes_for_people(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", {"name": "x"}, {}) as folder:
        folder.write_text("sample.txt", ESCAPES)
        folder.write_diff("code.diff", ESCAPES)
    assert is_harmless((tmp_path / "run" / "sample.txt").read_text(encoding="utf-8"))
    assert (
        tmp_path / "run" / "code.diff"
    ).read_bytes() == ESCAPES.encode()  # git must be able to apply the patch


@keeps("text-stays-text")
def test_in_warnings() -> None:
    code = (
        "import sys, warnings; from rnnlab.terminal.command import run_command; "
        "run_command(lambda arguments: warnings.warn(arguments[0]) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, ESCAPES], capture_output=True, check=True)
    err = done.stderr.decode()
    assert is_harmless(err) and "owned" in err


@keeps("text-stays-text")
def test_in_a_configuration_that_is_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cfg=job", f"+note='{ESCAPES}'", f"task.path='{ESCAPES}'"]) == 0
    out = capsys.readouterr().out
    assert is_harmless(out) and "owned" in out


@keeps("text-stays-text")
@pytest.mark.parametrize("tell", [sanitize, one_line])
def test_control_characters_become_visible(tell: Any) -> None:
    shown = tell(f"a {ESCAPES} ö")
    assert shown.isprintable() and shown.startswith("a ") and shown.endswith(" ö") and "red" in shown


def is_harmless(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


@keeps("text-stays-text")
def test_in_the_table_of_a_comparison(attacked: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main([str(folder) for folder in attacked]) == 0
    out = capsys.readouterr().out
    assert is_harmless(out) and "owned" in out.replace("\n", "")


@keeps("text-stays-text")
def test_in_examples_of_a_text(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "theirs.txt").write_text(f"[red]{ESCAPES}" * 400, encoding="utf-8", newline="")
    assert show.main(["task.path=theirs.txt", "seq_len=30"]) == 0
    out = capsys.readouterr().out
    assert is_harmless(out) and "\N{REPLACEMENT CHARACTER}" in out and "[red]" in out


@keeps("text-stays-text")
def test_in_messages(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"task.path='{ESCAPES}'"]) == 2
    assert compare.main([f"{ESCAPES}/a", "b"]) == 2
    assert is_harmless(capsys.readouterr().err)


SECRET = "s3cr/t@x"
URIS = [
    f"postgresql://me:{SECRET}@db.lab:5432/runs",
    f"http://me:{SECRET}@server.lab/mlflow",
    f"postgresql+psycopg://db.lab/runs?user=me&password={SECRET}&x=1",
    f"mssql+pyodbc://db.lab/?odbc_connect=PWD%3D{SECRET}",
    f"http://server.lab/?token={SECRET}",
]


@keeps("no-passwords")
@pytest.mark.parametrize("uri", URIS)
def test_of_an_address(uri: str) -> None:
    for text in (uri, f"no answer from '{uri}' (again: {uri})", f"tracking.uri={uri}"):
        assert SECRET not in redact(text) and "s3cr" not in redact(text) and "lab" in redact(text)
        assert "s3cr" not in error_line(RuntimeError(text))
    assert "s3cr" not in ui_address(URIS[1]) and ui_address(URIS[1]) == "http://server.lab/mlflow"
    assert redact("http://server.lab:5000/#/x") == "http://server.lab:5000/#/x"


@keeps("no-passwords")
@pytest.mark.parametrize(
    "arguments",
    [
        ["tracking.uri={}", "lr=-1"],
        ["+tracking.urii={}"],
        ["tracking.uri={}", "cell=x"],
        ["tracking.uri=ftp://me:{}"],
        ["tracking.points={}"],
    ],
)
def test_in_messages_about_a_command(
    arguments: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.format(f"'{URIS[0]}'") for argument in arguments]) == 2
    assert "s3cr" not in capsys.readouterr().err
    assert ui.main(["--uri", URIS[0].replace("postgresql", "ftp")]) == 2
    assert "s3cr" not in capsys.readouterr().err


@keeps("no-passwords")
@pytest.mark.parametrize(
    "shown", ["--cfg=job", "--cfg=all", "--cfg=job --resolve", "--info=config", "--help"]
)
@pytest.mark.parametrize("uri", URIS)
def test_in_output_without_a_run(
    shown: str, uri: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*shown.split(), f"tracking.uri='{uri}'"]) == 0
    out, err = capsys.readouterr()
    assert "lab" in out and "s3cr" not in out + err


@keeps("no-passwords")
def test_of_a_run(here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The password appears in no file and on no terminal, even if the server does not answer."""
    monkeypatch.setattr("rnnlab.mlflow_mirror.mirror.GIVE_UP_SECONDS", {True: 0.1, False: 0.1})
    uri = "http://me:s3cr%2Ft%40x@127.0.0.1:9"
    assert main([*TINY, "figures=false", f"tracking.uri='{uri}'"]) == 0
    out, err = capfd.readouterr()
    assert "MLflow does not accept the runs" in out or "Not fully sent to MLflow" in out
    assert "s3cr" not in out + err
    files = [file for file in here.rglob("*") if file.is_file() and file.name != "code.diff"]
    assert {"run.json", "config.yaml", "run.log"} <= {file.name for file in files}
    assert [file.name for file in files if b"s3cr" in file.read_bytes()] == []
