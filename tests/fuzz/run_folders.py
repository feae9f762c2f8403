"""A small sweep interrupted by a power failure, and possible damage to its files."""

import atexit
import copy
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import yaml
from hypothesis import strategies as st

from rnnlab.app.cli import main
from rnnlab.app.jobs.run_job import WorkOrder, execute
from rnnlab.runs.checkpoint import CHECKPOINT_FILE, GRADIENT_LOG
from tests import resigned
from tests.fuzz.contents import damaged
from tests.fuzz.inprocess import Here, say

SWEEP = (
    *(
        "-m",
        "cell=rnn,lstm,gru",
        "hydra.sweep.dir=sweep",
        "steps=4",
        "hidden_size=4",
        "batch_size=2",
        "seq_len=4",
    ),
    *("probe=light", "figures=false", "report=false", "tracking=none", "task.sample_length=3", "val_every=2"),
    "checkpoint_every=0",
)
FINISHED, KILLED, DEAD = (Path("sweep", name) for name in ("0_rnn", "1_lstm", "2_gru"))
SECRET = Path("..", "outside", "secret.txt")
"""A file outside the folder, which must remain unchanged."""


class PowerFailure(BaseException):
    """The end of a process without any clean-up."""


class Ill(Here):
    """A launcher that finishes the first run, stops the second after two steps and dies in the third."""

    def ended(self, _timeout: float) -> list[tuple[WorkOrder, str | None]]:
        order, asked = self._waiting.pop(0), 0

        def stopping() -> bool:
            nonlocal asked
            asked += sys._getframe(1).f_code.co_name != "validate"
            if asked > 2 and order.folder.name == DEAD.name:
                raise PowerFailure
            return asked > 2 and order.folder.name == KILLED.name

        execute(order, stopping)
        return [(order, None)]


@cache
def template() -> Path:
    """Return a folder to copy: a sweep of a finished, a stopped and a dead run."""
    outer = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, outer)
    (here := outer / "here").mkdir()
    (outer / SECRET.parent.name).mkdir()
    (outer / SECRET.parent.name / SECRET.name).write_text("secret\n")
    with chdir(here), mock.patch("rnnlab.app.launch.LocalPool", Ill):
        try:
            say(main, SWEEP)
        except PowerFailure:
            (DEAD / "gradients.parquet").unlink()
    return outer


def files() -> list[Path]:
    """Return every file of the sweep, relative to the folder."""
    here = template() / "here"
    return [
        file.relative_to(here) for file in sorted(here.rglob("*")) if file.is_file() and file.stat().st_size
    ]


@dataclass(frozen=True)
class Damage:
    """Damage to one file."""

    file: Path
    kind: str
    content: bytes = b""

    def __repr__(self) -> str:  # Hypothesis warns about long representations
        return f"Damage({str(self.file)!r}, {self.kind!r}, {self.content[:2000]!r})"

    def happen(self) -> None:
        """Apply the damage in the current folder."""
        if self.kind == "content":
            self.file.write_bytes(self.content)
            return
        if self.kind in LINKED:
            LINKED[self.kind](self.file)
            return
        self.file.unlink()
        if self.kind == "folder":
            self.file.mkdir()
        elif self.kind != "missing":
            os.symlink(self.kind, self.file)

    @property
    def hides_run(self) -> bool:
        """Return True if the damage can hide the run."""
        return self.file.name == "run.json" or self.kind == "run folder"

    @property
    def run(self) -> Path:
        """Return the folder of the damaged run."""
        of_sweep = self.file.parent == FINISHED.parent
        return FINISHED if of_sweep and self.kind == "run folder" else self.file.parent


def _link(path: Path, target: Path) -> None:
    path.symlink_to(os.path.relpath(target, path.parent))


def _scratch(file: Path) -> None:
    """Put a link at the temporary name used before the file is moved into place."""
    _link(file.with_name(f"{file.name}.new"), SECRET)


def _figure(folder: Path) -> None:
    folder.mkdir()
    _link(folder / "loss.svg", SECRET)


def _run_folder(file: Path) -> None:
    run = Damage(file, "run folder").run
    shutil.move(run, SECRET.parent / "run")
    _link(run, SECRET.parent / "run")


def _named_in_sweep(file: Path) -> None:
    run = KILLED if file.parent == KILLED.parent else file.parent
    _link(run.parent / "ln", SECRET.parent)
    sweep = json.loads((run.parent / "sweep.json").read_bytes())
    sweep["runs"][f"ln/{run.name}"] = sweep["runs"].pop(run.name)
    (run.parent / "sweep.json").write_text(json.dumps(sweep))


LINKED: dict[str, Callable[[Path], None]] = {
    "scratch": _scratch,
    "figures": lambda file: _link(file.parent / "figures", SECRET.parent),
    "figure": lambda file: _figure(file.parent / "figures"),
    "report": lambda file: _link(FINISHED.parent / "report.html", SECRET),
    "page's scratch": lambda file: _link(FINISHED.parent / "report.html.new", SECRET),
    "lock": lambda file: _link(file.parent / ".mirroring", SECRET),
    "run folder": _run_folder,
    "named in the sweep": _named_in_sweep,
}
"""Links to outside, next to a file or in place of its folders."""
KINDS = ("missing", "folder", "nowhere", os.path.relpath(SECRET, "sweep/0_rnn"), "run.json", ".", "/dev/null")
SCALARS = (
    *(
        None,
        True,
        -1,
        0,
        0.5,
        10**400,
        2**63,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "x",
        "0",
        "finished",
        "killed",
    ),
    *(
        "\ud800",
        "a\nb",
        "a\x00",
        "../..",
        "/",
        "[bold]",
        "9" * 30,
        [],
        {},
        [[]],
        {"": {}},
        {"step": 1},
        ["x"] * 3,
    ),
)


@st.composite
def damages(draw: st.DrawFn) -> Damage:
    """Return damage to one file of the sweep."""
    file = draw(st.sampled_from(files()))
    kind = draw(st.sampled_from(("content",) * 20 + KINDS + tuple(LINKED)))
    if kind != "content":
        return Damage(file, kind)
    whole = (template() / "here" / file).read_bytes()
    ways: list[st.SearchStrategy[bytes]] = [damaged(whole), st.sampled_from(ODD)]
    if file.suffix in EDITED:
        ways += [EDITED[file.suffix](whole)] * 3
    return Damage(file, "content", draw(st.one_of(ways)))


RESUMED_FROM = ("metrics.jsonl", GRADIENT_LOG, CHECKPOINT_FILE)
"""Files from which a run is resumed."""


@st.composite
def harms(draw: st.DrawFn) -> Damage:
    """Return a resume file with changed bits or digits; the small change lets the file be read to its end."""
    file = draw(st.sampled_from((KILLED, DEAD))) / draw(st.sampled_from(RESUMED_FROM))
    whole = bytearray((template() / "here" / file).read_bytes())
    digits = [at for at, byte in enumerate(whole) if file.suffix == ".jsonl" and chr(byte).isdigit()]
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 5)))):
        if digits and draw(st.booleans()):
            whole[draw(st.sampled_from(digits))] = ord(draw(st.sampled_from("0123456789")))
        else:
            whole[draw(st.integers(0, len(whole) - 1))] ^= 1 << draw(st.integers(0, 7))
    return Damage(file, "content", bytes(whole))


@st.composite
def forgeries(draw: st.DrawFn) -> tuple[Path, dict[str, Any], Any]:
    """Return a run with forged checkpoint content, for a correctly signed checkpoint."""
    run = draw(st.sampled_from((KILLED, DEAD)))
    arrays, kept = resigned.parts_of(template() / "here" / run)
    if draw(st.booleans()):
        return run, arrays, draw(_edited(kept))
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(arrays)))
        change = draw(st.sampled_from(sorted(OTHER_ARRAYS)))
        changed = OTHER_ARRAYS[change](arrays.pop(name))
        if changed is not None:
            new = draw(st.sampled_from((name, name, name, "params/x", "optimizer/x", "x")))
            arrays[new] = np.ascontiguousarray(changed)
        if not arrays:
            break
    return run, arrays, kept


OTHER_ARRAYS: dict[str, Callable[[np.ndarray], np.ndarray | None]] = {
    "none": lambda a: None,
    "wider": lambda a: a.astype(np.float64 if a.dtype != np.float64 else np.int64),
    "whole": lambda a: a.astype(np.int32),
    "longer": lambda a: np.append(a, a),
    "flat": lambda a: a.reshape(-1)[:-1],
    "turned": lambda a: a[None],
    "empty": lambda a: a.reshape(-1)[:0],
    "NaN": lambda a: a * np.nan,
    "infinite": lambda a: a + np.inf,
    "negative": lambda a: -1 - abs(a),
}
ODD = (
    *(
        b"",
        b"\n",
        b"\0",
        b"\0" * 1000,
        b"\xff\xfe",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"5",
        b'"x"',
        b"{}\n",
        b"[" * 100_000,
    ),
    *(
        b'{"a":' * 50_000,
        b"9" * 10_000,
        b'{"a": NaN}',
        b"\xef\xbb\xbf{}",
        b"a: &a [*a]",
        b"&a [*a, *a]",
        b"- " * 5_000,
    ),
    *(
        b"!!python/object/apply:os.system ['touch pwned']",
        b"PAR1PAR1",
        b"ARROW1",
        b"\x08\0\0\0\0\0\0\0{}      ",
    ),
)


def _edited_json(whole: bytes) -> st.SearchStrategy[bytes]:
    return _edited(json.loads(whole)).map(_as_json)


def _as_json(tree: Any) -> bytes:
    return json.dumps(tree).encode()


def _edited_lines(whole: bytes) -> st.SearchStrategy[bytes]:
    rows = [json.loads(line) for line in whole.splitlines()]
    return _edited(rows).map(lambda tree: b"".join(_as_json(row) + b"\n" for row in tree))


def _edited_yaml(whole: bytes) -> st.SearchStrategy[bytes]:
    return _edited(yaml.safe_load(whole)).map(lambda tree: _as_json(tree))  # JSON is also YAML


EDITED: dict[str, Callable[[bytes], st.SearchStrategy[bytes]]] = {
    ".json": _edited_json,
    ".jsonl": _edited_lines,
    ".yaml": _edited_yaml,
}


@st.composite
def _edited(draw: st.DrawFn, tree: Any) -> Any:
    """Return a tree with one or two values replaced or removed."""
    tree = json.loads(json.dumps(tree))
    for _ in range(draw(st.sampled_from((1, 1, 2)))):
        node, key = None, None
        place = tree
        for _ in range(draw(st.integers(1, 4))):
            if not (isinstance(place, dict | list) and place):
                break
            chosen = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            node, key, place = place, chosen, place[chosen]
        if node is None:
            break
        if draw(st.integers(0, 3)) == 3:
            del node[key]
        else:
            node[key] = copy.deepcopy(draw(st.sampled_from(SCALARS)))
    return tree
