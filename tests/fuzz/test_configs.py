"""Every command line either ends with error lines or can be trained."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from rnnlab.app.check import CheckedPlan
from rnnlab.app.cli import main
from tests.fuzz.amount import examples, tried
from tests.fuzz.configs import FLAGS, any_line, experiments, extreme, odd_sweep, valid
from tests.fuzz.inprocess import Said, empty_folder, say, train

MOST = 64
"""Limit on numbers for training; configurations with larger numbers are only checked."""


class Launched(BaseException):
    """Raised when the command line is valid."""

    def __init__(self, checked: CheckedPlan) -> None:
        self.checked = checked


@contextmanager
def launching() -> Iterator[None]:
    def launch(checked: CheckedPlan, _: object) -> None:
        raise Launched(checked)

    with mock.patch("rnnlab.app.launch.launch", launch):
        yield


def outcome_of(line: Sequence[str]) -> tuple[Said | None, CheckedPlan | None]:
    """Return the output of a command line, or the checked plan that it would execute."""
    with launching():
        try:
            return say(main, line), None
        except Launched as launched:
            return None, launched.checked


def judge(line: Sequence[str]) -> str:
    """Return the outcome of a command line, after checking it."""
    with empty_folder() as here:
        result, checked = outcome_of(line)
        assert list(here.iterdir()) == []
        if result is not None:
            return judge_result(result, shows=any(line[-len(flag) :] == flag for flag in FLAGS))
        assert checked is not None
        for order in checked.orders:
            if not order.folder.is_relative_to(here) or not is_small(order.config):
                return "valid, and too large or elsewhere"
        for order in checked.orders:
            train(order)
        return "trained"


def judge_result(result: Said, shows: bool) -> str:
    if result.code == 0:
        assert result.out or result.err
        return "shown"
    assert result.code == 2, result
    messages = [line for line in result.err if line]
    assert messages and not any("Traceback" in line for line in messages), result
    if not messages[0].startswith("usage:"):
        assert (shows or result.out == "") and all(
            line.startswith("rnnlab: ") and len(line) > 12 for line in messages
        ), result
    return "refused"


def is_small(config: dict[str, Any]) -> bool:
    """Return True if two training steps are fast."""
    left_out = ("steps", "seed", "val_every", "tracking", "jobs", "lr", "clip", "checkpoint_every")
    return all(number <= MOST for number in numbers({k: v for k, v in config.items() if k not in left_out}))


def numbers(tree: Any) -> Iterator[float]:
    if isinstance(tree, int | float):
        yield abs(tree)
    elif isinstance(tree, dict | list):
        for inner in tree.values() if isinstance(tree, dict) else tree:
            yield from numbers(inner)


@examples(2)
@given(valid())
def test_values_allowed_by_the_types_are_trained_or_refused_in_lines(line: list[str]) -> None:
    tried[f"configs, of allowed values: {judge(line)}"] += 1


@examples(5)
@given(any_line())
def test_any_configuration_is_trained_or_refused_in_lines(line: list[str]) -> None:
    tried[f"configs, of anything: {judge(line)}"] += 1


@examples(2)
@given(extreme())
def test_numbers_at_the_ends_of_the_range_are_trained_or_refused_in_lines(line: list[str]) -> None:
    tried[f"configs, of extreme numbers: {judge(line)}"] += 1


@examples(3)
@given(odd_sweep())
def test_unusual_axes_are_swept_or_refused_in_lines(line: list[str]) -> None:
    tried[f"sweeps, of odd axes: {judge(line)}"] += 1


@examples(3)
@given(experiments(), st.sampled_from(([], ["-m", "seed=0,1"], ["lr=1"], ["-m", "lr=1,2", "clip=1"])))
def test_experiments_that_refer_in_circles_are_refused_in_lines(text: str, line: list[str]) -> None:
    with empty_folder() as here:
        (here / "experiment").mkdir()
        (here / "experiment" / "own.yaml").write_text(text, encoding="utf-8")
        result, checked = outcome_of(["--config-dir=.", "experiment=own", "steps=1", *line])
        assert [path.name for path in here.iterdir()] == ["experiment"]
        if result is not None:
            judge_result(result, shows=False)
            assert not any("full_key" in message or "${}" in message for message in result.err), result
        tried[f"experiments, odd: {'refused' if checked is None else 'valid'}"] += 1
