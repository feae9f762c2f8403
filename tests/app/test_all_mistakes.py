"""All mistakes of a command are reported together, in the order of its arguments."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.app.cli import main
from rnnlab.app.config import mistakes
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.uncertain_keys import UncertainKeys
from rnnlab.commands import show
from rnnlab.gradcheck.__main__ import main as gradcheck
from tests.app.mistakes import MISTAKES
from tests.app.test_messages import write_texts
from tests.fuzz.amount import examples
from tests.fuzz.inprocess import say

pytestmark = pytest.mark.usefixtures("kept_compositions")
GROUPS = ("cell", "task", "optimizer", "init", "initial_state", "probe", "tracking")
ALSO_CONCERNED = {
    r"the task \w+": ("task", "loss"),
    r"time steps?\b": ("task", "seq_len"),
    r"held-out|the text": ("task", "seq_len"),
    r"array|overflow to infinity": ("hidden_size", "cell", "dtype"),
    r"must contain at least|no such column|is not UTF-8|shortest, longest|different strings": ("task",),
    r"\A[+~]?experiment|\A--config-dir|\Ahydra\.searchpath": (*GROUPS, "experiment", "measurement", "hydra", "pair"),
    r"\A\+?measurement": ("probe.measurements",),
}  # fmt: skip
"""Keys that a mistake concerns although neither the command nor the start of its message names them."""
OTHER_COMMANDS = {"--cfg", "--help", "-sc", "--multirun=3"}
"""Options with which no run starts, or after which the other options cannot be read."""


def concerns(command: str) -> set[str]:
    """Return the keys on which a mistake and its message depend."""
    message, keys = MISTAKES[command], set[str]()
    for argument in command.split():
        if not argument.startswith("-"):
            keys.add(argument.partition("=")[0].lstrip("+~").replace("/", "."))
            refers = r"\w+" if argument.startswith("pair=") else r"\$\{(\w+)"
            keys.update(re.findall(refers, argument))
    named = mistakes._named_keys(message)
    if not UncertainKeys(frozenset(keys)).affect(*named):  # no argument can be left out to continue
        keys.update(("initial_state", "probe", "loss", "stop_when_solved"))
    keys.update(named, mistakes._suggestions(message))
    for pattern, more in ALSO_CONCERNED.items():
        keys.update(more if re.search(pattern, message) else ())
    return keys


def are_independent(first: str, second: str) -> bool:
    """Return True if neither mistake concerns a key of the other and both can occur in one command."""
    uncertain = UncertainKeys(frozenset(concerns(first)))
    needs_sweep = ["-m" in command.split() for command in (first, second)]
    is_single = ["add -m" in MISTAKES[command] for command in (first, second)]
    is_too_long = ["sweep of" in MISTAKES[command] for command in (first, second)]
    conflict = (any(needs_sweep) and any(is_single)) or (all(needs_sweep) and any(is_too_long))
    return not conflict and not uncertain.affect(*concerns(second))


SEVERAL = [
    command
    for command in MISTAKES
    if OTHER_COMMANDS.isdisjoint(command.split()) and command not in ("lr", "syntax")
]
"""Mistakes to combine; a word without = would be taken for a part of the argument before it."""


@st.composite
def combinations(draw: st.DrawFn) -> list[str]:
    """Draw two to four independent mistakes."""
    chosen = [draw(st.sampled_from(SEVERAL))]
    for _ in range(draw(st.integers(1, 3))):
        others = [command for command in SEVERAL if all(are_independent(command, c) for c in chosen)]
        chosen += [draw(st.sampled_from(others))] if others else []
    return chosen


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    outer = Path(tempfile.mkdtemp())
    write_texts(outer / "texts")
    (outer / "here").mkdir()
    yield outer / "here"
    shutil.rmtree(outer)


@examples(6)
@given(chosen=combinations())
def test_independent_mistakes_are_all_reported(folder: Path, chosen: list[str]) -> None:
    with chdir(folder):
        result = say(main, " ".join(chosen).split())
        assert not list(folder.iterdir())
    assert result.code == 2 and result.out == ""
    assert sorted(result.err) == sorted(f"rnnlab: {MISTAKES[command]}" for command in chosen)


def lines(command: str, capsys: pytest.CaptureFixture[str], here: Path) -> list[str]:
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and list(here.iterdir()) == []
    return [line.removeprefix("rnnlab: ") for line in err.splitlines()]


UNKNOWN_SEQ_LEN = "seqlen=10: unknown key; did you mean seq_len?"
BAD_LR = "lr=-1: must be greater than 0"
TOGETHER = {
    # unknown keys and values
    "seqlen=10 clip=-1": [UNKNOWN_SEQ_LEN, "clip=-1: must be greater than 0, or null"],
    "lr=-1 seqlen=10 cell=elman task.path=nowhere": [BAD_LR, UNKNOWN_SEQ_LEN, "cell=elman: unknown option; allowed: gru, lstm, rnn", "task.path=nowhere: cannot be read (No such file or directory)"],
    "lr=(1 seqlen=10 steps=0": ["lr=(1: cannot be parsed; quote special characters: 'lr=\"(1\"'", UNKNOWN_SEQ_LEN, "steps=0: must be greater than or equal to 1"],
    "+xyz=1 +experiment=quick": ["xyz=1: unknown key", "+experiment=quick: the group already exists; write experiment=quick"],
    "cell=5 init=null lr=-1": ["cell=5: must name an option", "init=null: must name an option", BAD_LR],
    "xa=1 xb=1 xc=1 xd=1 xe=1 xf=1": [f"x{letter}=1: unknown key; --help lists all keys" for letter in "abcdef"],
    # axes of a sweep, and mistakes of several jobs
    "-m seqlen=10,20,30 lr=1,-1,fast cell=rnn,lstm": ["seqlen=10,20,30: unknown key; did you mean seq_len?", BAD_LR, "lr=fast: must be a number"],
    "-m seed=range(5,1) seqlen=10 lr=-1,-2": ["seed=range(5,1): has no values; an axis needs at least one value", UNKNOWN_SEQ_LEN, BAD_LR, "lr=-2: must be greater than 0"],
    "-m seed=range(1000000000) lr=-1 seqlen=10": [BAD_LR, UNKNOWN_SEQ_LEN, "sweep of 1,000,000,000 runs (1,000,000,000 seeds) exceeds the limit of 100,000"],
    "-m cell=rnn,lstm cell.forget_bias=0,1 lr=-1": ["cell.forget_bias=0,1: unknown key of cell=rnn; cell=lstm has the key cell.forget_bias", BAD_LR],
    "-m jobs=1,2 fail_fast=true,false lr=-1": ["jobs: must be the same for all runs of a sweep", "fail_fast: must be the same for all runs of a sweep", BAD_LR],
    "-m pair=[seed,lr] seed=0,1 lr=-1,-2,-3": ["pair=[seed,lr]: seed has 2 values, lr has 3 values; paired axes must have the same number of values", BAD_LR, "lr=-2: must be greater than 0", "lr=-3: must be greater than 0"],
    # options
    "--foo lr=-1": ["unrecognized arguments: --foo; see --help", BAD_LR],
    "--config-name x lr=-1": ["--config-name, --config-path: not supported; use --config-dir to add your own options", BAD_LR],
    "--config-dir nowhere lr=-1": ["--config-dir=nowhere: no such folder", BAD_LR],
    "--config-dir": ["argument --config-dir/-cd: expected one argument; see --help"],
    "--multirun=3 lr=-1": ["argument --multirun/-m: ignored explicit argument '3'; see --help", BAD_LR],
    "--cfg job xyz=1 seqlen=10": ["xyz=1: unknown key; --help lists all keys", UNKNOWN_SEQ_LEN],
    # other arguments
    "resume=nowhere lr=-1": ["resume=nowhere: not the folder of a run with this configuration", BAD_LR],
    "-m resume=nowhere lr=-1 seed=0,1": ["resume=nowhere: neither the name nor the folder of a sweep", BAD_LR],
    "-m hydra.sweep.subdir=../x seed=0,1 lr=-1": ["hydra.sweep.subdir=../x: must be inside the sweep folder", BAD_LR],
}  # fmt: skip


@pytest.mark.parametrize("command", TOGETHER)
def test_mistakes_are_reported_together(command: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(command, capsys, here) == TOGETHER[command]


CONSEQUENCES = {
    "cell=lstmm cell.forget_bias=1": "cell=lstmm: unknown option; did you mean lstm? allowed: gru, lstm, rnn",
    "seqlen=64 task=digits": "seqlen=64: unknown key; did you mean seq_len?",
    "task.pth=x.csv task=series task.columns=[wind]": "task.pth=x.csv: unknown key of task=series; did you mean task.path?",
    "task=digit seq_len=64 stop_when_solved=true": "task=digit: unknown option; did you mean digits? allowed: adding, char_lm, copy, digits, digits_rows, latch, memorization_20bit, memorization_5bit, multiplication, noise, random_permutation, reber, series, temporal_order, temporal_order_3",
    "+measurement=jacobian probe.measurements.jacobians.examples=2": "measurement=jacobian: unknown option; did you mean jacobians? allowed: contributions, gates, gradient_direction, jacobians, lag_curves, lyapunov, norms, parameters, spectrum, theory, units",
    "-m pair=[cell,lr] cell=rnn,lstm lr=range(5,1)": "lr=range(5,1): has no values; an axis needs at least one value",
    "steps=${nowhere} hidden_size=${steps} initial_state=given initial_state.path=../texts/h.npz": "steps=${nowhere}: refers to the unknown key nowhere",
    "lr=${nowhere} steps=${lr}": "lr=${nowhere}: refers to the unknown key nowhere",
    "task.path=a b.txt": "b.txt: has no key; if it belongs to the previous argument, write 'task.path=\"a b.txt\"'",
    "hydra.searchpath=[/nowhere] cell=own": "hydra.searchpath=/nowhere: no such folder",
    "--config-dir nowhere cell=own cell.speed=1": "--config-dir=nowhere: no such folder",
    "task.path=nowhere.txt probe.length=10000": "task.path=nowhere.txt: cannot be read (No such file or directory)",
    "hidden_size=0 initial_state=given initial_state.path=../texts/h.npz": "hidden_size=0: must be greater than or equal to 1",
}  # fmt: skip
"""Commands with one mistake; the other arguments would be mistakes too, but only with default values."""


@pytest.mark.parametrize("command", CONSEQUENCES)
def test_a_consequence_of_a_mistake_is_not_reported(
    command: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_texts(here.parent / "texts")
    assert lines(command, capsys, here) == [CONSEQUENCES[command]]


def test_options_of_a_mistyped_experiment_are_not_checked(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = lines("experiment=quik cell.forget_bias=1 stop_when_solved=true", capsys, here)
    assert line.startswith("experiment=quik: unknown option; did you mean quick?")


def test_a_failing_command_is_tried_a_limited_number_of_times(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    original = mistakes.all_problems

    def counted(error: ConfigProblems, arguments: list[str], attempt: mistakes.Attempt) -> list[str]:
        def counting(arguments: list[str], uncertain: UncertainKeys) -> None:
            tried.append(len(arguments))
            attempt(arguments, uncertain)

        return original(error, arguments, counting)

    monkeypatch.setattr(mistakes, "all_problems", counted)
    unknown = [f"x{number}=1" for number in range(40)]
    *found, last = lines(" ".join(["-m", *unknown]), capsys, here)
    assert found == [f"{argument}: unknown key; --help lists all keys" for argument in unknown[: len(found)]]
    assert len(found) == mistakes.MAX_ROUNDS and last == "there may be further mistakes; correct these first"
    assert len(tried) == mistakes.MAX_ROUNDS and tried == sorted(set(tried), reverse=True)


def test_the_unknown_keys_of_a_single_run_take_one_composition(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = [f"x{number}=1" for number in range(40)]
    expected = [f"{argument}: unknown key; --help lists all keys" for argument in unknown]
    assert lines(" ".join([*unknown, "lr=-1"]), capsys, here) == [*expected, BAD_LR]


def test_many_values_of_one_axis_take_few_compositions(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = "hiden_size=range(5000): unknown key; did you mean hidden_size?"
    assert lines("-m hiden_size=range(5000) lr=-1", capsys, here) == [unknown, BAD_LR]


def test_a_long_list_of_mistakes_is_shortened(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    *shown, last = lines("-m lr=range(-70,0)", capsys, here)
    assert len(shown) == mistakes.MAX_LINES and last == "and 20 more problems"


@pytest.mark.parametrize(
    ("command", "name", "arguments"),
    [
        (show.main, "rnnlab.show", ["seqlen=10", "lr=-1"]),
        (gradcheck, "rnnlab.gradcheck", ["seqlen=10", "lr=-1"]),
        (gradcheck, "rnnlab.gradcheck", ["seqlen=10", "lr=-1", "cell=rnn"]),
    ],
)
def test_other_commands_report_all_mistakes_too(
    command, name: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    assert command(arguments) == 2
    assert capsys.readouterr().err.splitlines() == [f"{name}: {UNKNOWN_SEQ_LEN}", f"{name}: {BAD_LR}"]


def test_show_reports_its_own_option_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert show.main(["--examples", "0", "lr=-1"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "rnnlab.show: --examples=0: must be a positive integer" and second.endswith(BAD_LR)
