"""The description of a run in MLflow: what the run is, what came out, and the metrics that matter first."""

import re
from typing import Any

import pytest

from rnnlab.metric_table import MAIN_METRICS, METRICS, is_shown
from rnnlab.mlflow_mirror.description import MAIN_COUNT, MAX_LENGTH, describe_run, is_unedited
from tests.processes import Done, run_info
from tests.security.promises import keeps
from tests.tracked import tracked_runs

ROW = re.compile(r"^\| `(.+?)` \| (.*?) \|", re.M)
SUMMARY = {
    "val/loss": 2.0,
    "val/bpc": 2.885,
    "val/baseline": 4.526,
    "train/loss": 2.1,
    "grad/gain": 0.75,
    "grad/log10_gain": -0.125,
    "grad/horizon": 6.0,
    "grad/horizon_first": 6.0,
    "grad/censored": 0.0,
    "grad/norm": 0.5,
}
INFO: dict[str, Any] = {
    "outcome": "finished",
    "params": {
        "cell": "lstm",
        "task": "char_lm",
        "seq_len": "50",
        "hidden_size": "128",
        "lr": "0.002",
        "clip": "1.0",
        "seed": "3",
    },
    "goal": {"metric": "val/bpc", "baseline": 4.525954, "criterion": None},
    "summary": SUMMARY,
}


def first_lines(info: dict[str, Any], report: str | None = None) -> list[str]:
    """Return the paragraphs above the first table without marks of Markdown."""
    text = describe_run(info, report).partition("\n|")[0]
    return [line for line in re.sub(r"[`*]", "", text).splitlines() if line]


def test_it_begins_with_the_run_and_its_result() -> None:
    assert first_lines(INFO) == [
        "Cell lstm, task char_lm: T = 50, H = 128, lr = 0.002, clip = 1.0, seed = 3",
        "Outcome: finished · val/bpc 2.885 bits per character (baseline 4.526) · gain 0.750 per time step · "
        "horizon 6 time steps: at all longer lags, the gradient is below 1 % of its norm at lag 1",
    ]


def test_the_first_line_links_to_the_report() -> None:
    assert describe_run(INFO, "#/r").splitlines()[0].endswith("· [report of the sweep](#/r)")
    assert "report of the sweep" not in describe_run(INFO)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"grad/censored": 1.0}, "horizon at least 6 time steps: the gradient is above 1 %"),
        ({"grad/horizon": 1.0}, "horizon 1 time step: at all longer lags"),
        ({"grad/horizon_first": 2.0}, "lag 1 (first under 1% after 2)"),
        ({"grad/zero_at_horizon": 0.5}, "lag 1 (50% zero)"),
        ({"grad/gain": 0.0}, "gain 0 per time step"),
    ],
)
def test_the_horizon_in_words(changes: dict[str, float], words: str) -> None:
    assert words in first_lines(INFO | {"summary": SUMMARY | changes})[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"outcome": None, "summary": {}}, "Running: the results follow when the run ends."),
        (
            {"outcome": "failed", "summary": {"error": "ValueError: too | bad\n# title"}},
            "Outcome: failed: ValueError: too bad # title",
        ),
        (
            {
                "outcome": "diverged",
                "summary": {"diverged_at": {"step": 7, "timestep": 3, "quantity": "h"}},
            },
            "Outcome: diverged at step 7, time step 3: h",
        ),
    ],
)
def test_a_run_without_results(changes: dict[str, Any], words: str) -> None:
    assert first_lines(INFO | changes)[1] == words


def test_a_goal_that_is_not_a_metric_is_omitted() -> None:
    goal = {"metric": "regime", "baseline": 1.0, "criterion": None}
    words = first_lines(INFO | {"goal": goal, "summary": SUMMARY | {"regime": "vanishing"}})[1]
    assert words.startswith("Outcome: finished · gain 0.750")


def test_ten_metrics_come_first_with_their_values() -> None:
    rows = ROW.findall(describe_run(INFO))
    present = [name for name in MAIN_METRICS if name in SUMMARY]
    assert [name for name, _ in rows[: len(present)]] == present and len(present) == 8
    assert [value for _, value in rows[:3]] == ["2", "2.885", "4.526"]
    everything = dict.fromkeys((row.name for row in METRICS if row.summary), 1.0)
    rows = ROW.findall(describe_run(INFO | {"summary": everything}))
    assert [name for name, _ in rows[:MAIN_COUNT]] == list(MAIN_METRICS[:MAIN_COUNT]) and MAIN_COUNT == 10
    assert len({name for name, _ in rows}) == len(rows)


def test_the_main_metrics_are_shown_in_mlflow() -> None:
    assert all(is_shown(name) for name in MAIN_METRICS)


def test_before_the_end_every_metric_is_listed() -> None:
    rows = [name for name, _ in ROW.findall(describe_run(INFO | {"outcome": None, "summary": {}}))]
    assert rows == [row.name for row in METRICS if row.mlflow]


@pytest.mark.parametrize("length", [1, 100, 100_000])
def test_it_fits_a_tag(length: int) -> None:
    summary = dict.fromkeys((row.name for row in METRICS), 1e-300) | {"error": "x" * length}
    params = INFO["params"] | {"cell": "y" * length}
    for outcome in (None, "failed"):
        text = describe_run(
            INFO | {"outcome": outcome, "summary": summary, "params": params}, "#/" + "r" * 200
        )
        assert len(text) <= MAX_LENGTH == 5000


def test_a_description_edited_by_the_user_is_recognised() -> None:
    text = describe_run(INFO, "#/r")
    assert is_unedited(text) and is_unedited(None) and is_unedited("")
    assert is_unedited("\n**Figures**: artifacts …")  # of an earlier version
    for edited in (text + "\nmine", "mine\n" + text, text.replace("finished", "lucky"), "mine"):
        assert not is_unedited(edited)


@keeps("text-stays-text")
def test_text_of_a_run_folder_is_code_without_markup() -> None:
    attack = "`</code>![x](http://evil.example)<img src=x>\n\n# title | [a](javascript:alert(1))"
    params = dict.fromkeys(INFO["params"], attack)
    goal = INFO["goal"] | {"metric": attack}
    text = describe_run(
        INFO
        | {"params": params, "goal": goal, "outcome": "failed", "summary": {attack: 1.0, "error": attack}}
    )
    outside = re.sub(r"`[^`\n]*`", "", text)
    assert text.count("`") % 2 == 0 and "evil" in text
    assert not {"evil", "<", "javascript", "title"} & set(re.findall(r"\w+|<", outside))


def test_mlflow_has_the_description_of_the_end(sweep: Done) -> None:
    for name, run in tracked_runs(sweep.uri).items():
        text = run.tags["mlflow.note.content"]
        assert text == describe_run(run_info(sweep.runs[name])) and "**Outcome**: `finished`" in text
