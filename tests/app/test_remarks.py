"""Tests that data left out of a table is reported on the terminal, in the log and by `rnnlab.show`."""

from pathlib import Path

import pytest

from rnnlab.app.cli import main
from rnnlab.commands import show
from tests.app.conftest import here
from tests.processes import TINY

__all__ = ["here"]
KEYS = ["task=series", "task.path=t.csv", "figures=false", "tracking=none"]
LINE = "task.path=t.csv: columns left out: 'day' (dates, such as '2020-01-01'), '$x_$' (text, such as 'u')"


@pytest.fixture
def table(here: Path) -> None:
    rows = "".join(f"2020-01-01,u,{t * 7 % 5}\n" for t in range(200))
    (here / "t.csv").write_text(f"day,$x_$,a\n{rows}", encoding="utf-8")


@pytest.mark.usefixtures("table")
def test_a_run_prints_the_remark_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, *KEYS]) == 0
    assert capsys.readouterr().out.startswith(f"{LINE}\n")
    (log,) = here.rglob("run.log")
    assert log.read_text(encoding="utf-8").count(LINE) == 1


@pytest.mark.usefixtures("table")
def test_a_sweep_prints_the_remark_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", *TINY, *KEYS, "seed=1,2", "jobs=1", "report=false"]) == 0
    assert capsys.readouterr().out.count(LINE) == 1
    (log,) = here.rglob("sweep.log")
    assert log.read_text(encoding="utf-8").count(LINE) == 1


@pytest.mark.usefixtures("table")
def test_show_reports_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert show.main([*KEYS[:2], "seq_len=5"]) == 0
    assert "'day' (dates, such as '2020-01-01')" in " ".join(capsys.readouterr().out.split())


def test_show_draws_names_with_dollars(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{t * 7 % 5},{t % 3}\n" for t in range(200))
    (here / "t.csv").write_text(f"$x_$,cost ($)\n{rows}", encoding="utf-8")
    assert show.main([*KEYS[:2], "seq_len=5"]) == 0
    assert (here / "outputs/show/series.png").is_file() and "$x_$" in capsys.readouterr().out
