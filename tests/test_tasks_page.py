"""Tests that the table in docs/tasks.md agrees with the task classes."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

from rnnlab.paths import conf_dir
from tests.app.test_options import LENGTH, experiment_of

PAGE = (Path(__file__).parents[1] / "docs" / "tasks.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells[1:]
    for cells in re.findall(r"^\| (.+) \|$", PAGE, re.MULTILINE)
    for cells in [cells.split(" | ")]
}
ROWS = {name: cells for name, cells in ROWS.items() if (conf_dir() / "task" / f"{name}.yaml").is_file()}


def test_every_task_is_listed():
    assert sorted(ROWS) == sorted(file.stem for file in (conf_dir() / "task").glob("*.yaml"))


@pytest.mark.parametrize("name", ROWS)
def test_metric_baseline_criterion_and_lag(name):
    T = LENGTH.get(name, 40)
    task = experiment_of(f"task={name}", f"seq_len={T}").trainer.task
    goal = task.goal(task.losses[0])
    _, _, metric, solved, lag = ROWS[name]
    assert metric.startswith(f"`{goal.metric}`, ")
    assert solved == ("–" if goal.criterion is None else f"`{goal.criterion}` < {goal.below:g}")
    if fraction := re.fullmatch(r"`.+`, (\d+/\d+)(?: \(.+)?", metric):
        assert goal.baseline == pytest.approx(float(Fraction(fraction[1])))
    if lag.isdecimal():
        assert task.lag == int(lag)
    elif lag == "–":
        assert task.lag is None
    elif name != "reber":
        signs = {"+": 1, "-": -1}
        terms = re.findall(r"([+-]) (\S+)", lag)
        assert task.lag == T + sum(signs[sign] * (T // 10 if n == "T/10" else int(n)) for sign, n in terms)
