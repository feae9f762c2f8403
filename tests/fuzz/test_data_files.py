"""Whatever a user's file holds, it is trained with or refused in lines that name the key."""

from functools import cache
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rnnlab.app.compose import compose_plan
from rnnlab.app.orders import check
from rnnlab.app.plan import Plan
from rnnlab.app.problems import ConfigProblems
from rnnlab.paths import conf_dir
from tests.fuzz.amount import examples, tried
from tests.fuzz.configs import quoted
from tests.fuzz.contents import csvs, npzs, parquets, texts
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
"""Of which one is named in what is told."""


@cache
def plan_of(*overrides: str) -> Plan:
    return compose_plan(conf_dir(), [*FEW, *overrides], multirun=False)


def judge(file: str, content: bytes, *overrides: str) -> str:
    with empty_folder() as here:
        Path(file).write_bytes(content)
        try:
            (order,) = check(plan_of(*overrides)).orders
        except ConfigProblems as told:
            (problem,) = told.problems
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


@examples(15)
@given(parquets())
def test_a_parquet_file(content: bytes) -> None:
    tried[f"Parquet files: {judge('table.pq', content, 'task=series', 'task.path=table.pq')}"] += 1


@examples(15)
@given(npzs(), st.sampled_from(["rnn", "lstm"]))
def test_an_initial_state(content: bytes, cell: str) -> None:
    overrides = "initial_state=given", "initial_state.path=state", f"cell={cell}"
    tried[f"initial states: {judge('state', content, *overrides)}"] += 1
