"""Every user file is either used for training or refused with a message that names the key."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.app.check import check
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.plan import Plan
from rnnlab.paths import conf_dir
from rnnlab.tasks import Series
from tests.fuzz.amount import examples, tried
from tests.fuzz.configs import quoted
from tests.fuzz.contents import csvs, known_tables, npzs, parquets, texts
from tests.fuzz.inprocess import empty_folder, train

FEW = (
    "steps=2",
    "hidden_size=4",
    "batch_size=2",
    "seq_len=3",
    "probe=none",
    "figures=false",
    "tracking=none",
)

KEYS = ("task", "task.path", "task.columns", "task.held_out", "seq_len", "initial_state.path")
"""Keys of which every message names one."""


@cache
def plan_of(*overrides: str) -> Plan:
    return compose_plan(conf_dir(), [*FEW, *overrides], multirun=False)


def judge(file: str, content: bytes, *overrides: str) -> str:
    with empty_folder() as here:
        Path(file).write_bytes(content)
        try:
            (order,) = check(plan_of(*overrides)).orders
        except ConfigProblems as error:
            (problem,) = error.problems
            key = problem.partition("=")[0].partition(":")[0]
            assert key.split()[0] in KEYS, problem
            return "refused"
        train(type(order)(here / "run", order.config, order.info))
        return "trained"


@examples(20)
@given(texts())
def test_a_text(content: bytes) -> None:
    tried[f"texts: {judge('text', content, 'task.path=text', 'task.sample_length=3')}"] += 1


@examples(15)
@given(csvs(), st.sampled_from(".,"))
def test_a_csv_file(table: tuple[bytes, str], decimal: str) -> None:
    content, separator = table
    keys = (
        "task=series",
        "task.path=table",
        f"task.separator={quoted(separator)}",
        f"task.decimal='{decimal}'",
    )
    tried[f"CSV files: {judge('table', content, *keys)}"] += 1


def expected_of(columns: list[tuple[str, str, list[str]]], has_header: bool) -> list[str] | None:
    """Return the columns of plain numbers, by an independent reader; None for a table to refuse."""
    training = []
    for name, kind, cells in columns:
        whole = all(map(is_plain, cells))
        if name and ((kind == "spoilt" and not whole) or (whole and len(set(cells[:48])) == 1)):
            return None
        training += [name] if name and whole else []
    return training or None if has_header else None


def is_plain(cell: str) -> bool:
    return re.fullmatch(r"-?(\d+\.?\d*|\.\d+)(e-?\d+)?", cell) is not None


@examples(30)
@given(known_tables(), st.integers(0, 9))
def test_exactly_the_columns_of_numbers_train(
    table: tuple[str, bytes, list[tuple[str, str, list[str]]], bool], cut: int
) -> None:
    file, content, columns, has_header = table
    with empty_folder():
        Path(file).write_bytes(content)
        expected = expected_of(columns, has_header)
        try:
            task = Series(3, 2, file, None, 0.2, ",", ".")
        except ValueError as error:
            may_be_headless = has_header and "2019" in (expected or ()) and "no header" in str(error)
            assert (expected is None or may_be_headless) and "\n" not in str(error), (error, columns)
            tried["tables refused"] += 1
        else:
            assert task.input_names == expected, columns
            named = " ".join(task.remarks)
            assert all(name in expected or name[:40] in named for name, _, _ in columns), named
            values = np.array([cells for name, _, cells in columns if name in expected], float).T
            part = values[: len(values) - round(0.2 * len(values))] / abs(values).max(axis=0)
            found, _ = task._parts
            np.testing.assert_allclose(found, (part - part.mean(axis=0)) / part.std(axis=0), atol=1e-9)
            tried["tables trained"] += 1
        if cut and file != "table.csv":
            Path(file).write_bytes(content[: len(content) * cut // 10])
            with pytest.raises(ValueError, match=r"^path=table\.csv\.\w+: cannot be read \(.+\)$"):
                Series(3, 2, file, None, 0.2, ",", ".")


@examples(15)
@given(parquets())
def test_a_parquet_file(content: bytes) -> None:
    tried[f"Parquet files: {judge('table.pq', content, 'task=series', 'task.path=table.pq')}"] += 1


@examples(15)
@given(npzs(), st.sampled_from(["rnn", "lstm"]))
def test_an_initial_state(content: bytes, cell: str) -> None:
    overrides = "initial_state=given", "initial_state.path=state", f"cell={cell}"
    tried[f"initial states: {judge('state', content, *overrides)}"] += 1
