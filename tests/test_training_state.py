"""Training resumed from a state between two steps is bit-identical to uninterrupted training."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from rnnlab.app.config.build import Experiment, build, generators
from rnnlab.app.config.compose import compose_plan
from rnnlab.arrays import Params
from rnnlab.paths import conf_dir
from rnnlab.records import STEPS_TO_SOLVE, StepRecord
from rnnlab.runs.checkpoint import read_checkpoint
from rnnlab.runs.folder import RunFolder
from rnnlab.tasks import Goal
from rnnlab.training import Trainer, TrainingState

STEPS = 6
SMALL = (
    f"steps={STEPS}",
    "val_every=2",
    "stop_when_solved=false",
    "hidden_size=4",
    "batch_size=2",
    "clip=0.3",  # of which some steps are
    "probe.examples=2",
    "checkpoint_every=null",
)
TASKS = {
    "char_lm": ("seq_len=5", "task.sample_length=0", "task.held_out=0.01"),  # carries its state
    "adding": ("seq_len=6", "task.validation_examples=3"),
    "latch": ("seq_len=6", "task.validation_examples=3", "task.length_range=[4,7]"),
    "digits_rows": ("seq_len=8",),
    "series": ("seq_len=5",),
    "reber": ("seq_len=12", "task.validation_examples=3", "task.train_examples=9"),
    "temporal_order": ("seq_len=10", "task.validation_examples=3"),
    "random_permutation": ("seq_len=5", "task.validation_examples=3"),
}
OPTIMIZERS = ("sgd optimizer.momentum=0.9", "sgd", "adagrad", "rmsprop", "adam")
SOLVED_AT_ONCE = Goal("val/loss", 1.0, "val/loss", np.inf)

Making = tuple[str, ...]
"""Return the overrides of a run."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """Return the folder with the state from which a run resumes."""
    with RunFolder(tmp_path_factory.mktemp("shelf") / "run", {"steps": STEPS}, {}) as folder:
        yield folder


@cache
def composed(overrides: Making) -> dict[str, Any]:
    (job,) = compose_plan(conf_dir(), overrides, multirun=False).jobs
    return job.config


@dataclass(frozen=True)
class Run:
    """A run that can be started, stopped and resumed by a new trainer, as after a process restart."""

    overrides: Making
    alter: Callable[[Trainer], Trainer] = lambda trainer: trainer

    def _experiment(self) -> Experiment:
        return build(composed((*SMALL, *self.overrides)))

    def trainer(self) -> Trainer:
        return self.alter(self._experiment().trainer)

    def begin(self) -> tuple[Trainer, TrainingState]:
        experiment = self._experiment()
        trainer = self.alter(experiment.trainer)
        weights, batches, _ = generators(experiment.settings.seed)
        dtype = np.dtype(experiment.settings.dtype)
        params = trainer.model.init_params(weights, experiment.settings.init, dtype)
        return trainer, trainer.begin(params, batches)

    def uninterrupted(self) -> tuple[list[Any], Params]:
        trainer, state = self.begin()
        return list(map(exactly, trainer.continue_from(state))), state.params


def exactly(record: StepRecord) -> Any:
    """Return a key that is equal only for bit-identical records in the same order."""
    curves = [
        {name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in vars(c).items()}
        for c in record.gradients
    ]
    return record.step, repr(list(record.metrics.items())), curves, record.unstable_since, record.non_finite


def through(run: Run, shelf: RunFolder, state: TrainingState) -> TrainingState:
    """Return a state as another process would read it."""
    shelf.write_checkpoint(*state.to_parts())
    kept = read_checkpoint(shelf.folder)
    assert kept is not None
    trainer, begun = run.begin()
    return trainer.restore(begun, kept.arrays, kept.state)


def same(one: Params, other: Params) -> bool:
    return list(one) != [] and {n: (w.dtype, w.shape, w.tobytes()) for n, w in one.items()} == {
        n: (w.dtype, w.shape, w.tobytes()) for n, w in other.items()
    }


def goes_on_from_every_step(run: Run, shelf: RunFolder) -> list[Any]:
    """Stop and resume after any single step and after every step; return the records."""
    records, params = run.uninterrupted()
    for stop in range(1, len(records) - ("train/loss" not in records[-1][1])):
        trainer, state = run.begin()
        before = list(map(exactly, islice(trainer.continue_from(state), stop)))
        state = through(run, shelf, state)
        after = list(map(exactly, run.trainer().continue_from(state)))
        assert before + after == records, f"stopped after {stop}"
        assert same(state.params, params), f"stopped after {stop}"
    trainer, state = run.begin()
    again: list[Any] = []
    while not state.ended:
        rest = trainer.continue_from(state)
        again.append(exactly(next(rest)))
        if state.is_closing:  # the last two records belong together
            again += map(exactly, rest)
        elif not state.ended:
            trainer, state = run.trainer(), through(run, shelf, state)
    assert again == records
    assert same(state.params, params)
    assert state.ended and next(trainer.continue_from(state), None) is None
    return records


@given(
    cell=st.sampled_from(["rnn", "lstm", "gru"]),
    optimizer=st.sampled_from(OPTIMIZERS),
    task=st.sampled_from(sorted(TASKS)),
    dtype=st.sampled_from(["float32", "float64"]),
    start=st.sampled_from(["zero", "normal", "learned"]),
    probe=st.sampled_from(["light", "standard"]),
    seed=st.integers(0, 3),
)
@example("lstm", OPTIMIZERS[0], "char_lm", "float32", "learned", "standard", 0)
@example("gru", "adam", "char_lm", "float64", "normal", "light", 1)
@example("rnn", "adagrad", "adding", "float32", "normal", "light", 2)
@example("lstm", "rmsprop", "digits_rows", "float64", "zero", "light", 3)
@settings(max_examples=8, phases=[Phase.explicit, Phase.generate])  # no choice is simpler than the others
def test_any_run_can_be_resumed_from_any_step(
    shelf: RunFolder,
    cell: str,
    optimizer: str,
    task: str,
    dtype: str,
    start: str,
    probe: str,
    seed: int,
) -> None:
    chosen = [f"cell={cell}", f"task={task}", f"dtype={dtype}", f"initial_state={start}", f"probe={probe}"]
    overrides = (*chosen, f"seed={seed}", *TASKS[task], *f"optimizer={optimizer}".split())
    assert len(goes_on_from_every_step(Run(overrides), shelf)) == STEPS + 1


def test_a_measurement_of_two_training_steps_continues_after_a_resume(shelf: RunFolder) -> None:
    run = Run(("+measurement=gradient_direction", "probe.measurements.gradient_direction.when.every=1"))
    records = goes_on_from_every_step(run, shelf)
    measured = [step for step, metrics, *_ in records if "('grad/cosine_to_previous', None)" not in metrics]
    assert measured == list(range(1, STEPS))


def test_momentum_and_stream_position_are_restored(shelf: RunFolder, tmp_path: Path) -> None:
    """The text is so short that its streams restart during the run from a random state."""
    text = tmp_path / "text.txt"
    text.write_text("abcd abdc acbd " * 8, encoding="utf-8")
    overrides = ("task=char_lm", f"task.path={text}", "seq_len=8", "task.sample_length=0", "steps=12")
    start = ("initial_state=normal", "optimizer=sgd", "optimizer.momentum=0.9", "lr=0.1", "probe=light")
    goes_on_from_every_step(Run((*overrides, *start)), shelf)


def test_spikes_are_found_where_they_were(shelf: RunFolder) -> None:
    """Spike detection starts after ten norms and then pauses; both counters are part of the state."""
    when = "{dense: 1, per_decade: 0, every: null, on_spike: true}"
    overrides = ("task=adding", "seq_len=6", "task.validation_examples=3", "steps=24", "val_every=null")
    probe = ("probe=none", "probe.spike_factor=1.2", f"++probe.measurements.norms.when={when}")
    records = goes_on_from_every_step(Run((*overrides, "+measurement=norms", *probe)), shelf)
    measured = [step for step, _, curves, *_ in records if curves]
    spikes = [step for step in measured if step not in (0, 24)]
    assert len(spikes) == 1 and 10 <= spikes[0] < 22, "one, and a rest after it"


def test_the_first_unstable_step_is_found(shelf: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is stopped within a window of losses."""
    monkeypatch.setattr("rnnlab.training.trainer.UNSTABLE_WINDOW", 4)
    overrides = ("task=char_lm", *TASKS["char_lm"], "steps=10", "clip=null", "optimizer=sgd", "lr=30")
    records = goes_on_from_every_step(Run((*overrides, "probe=light", "val_every=null")), shelf)
    since = [unstable for *_, unstable, _ in records]
    assert since[0] is None and since[-1] in range(3, 9)
    assert set(since) == {None, since[-1]}


def test_a_diverging_run_diverges_at_the_same_step(shelf: RunFolder) -> None:
    overrides = (
        "cell=rnn",
        "cell.nonlinearity=relu",
        "task=adding",
        "seq_len=20",
        "task.validation_examples=3",
    )
    way = ("clip=null", "optimizer=sgd", "lr=1e4", "steps=12", "probe=light")
    *_, last = records = goes_on_from_every_step(Run((*overrides, *way)), shelf)
    assert 1 < len(records) < 12 and last[-1] is not None


def with_goal(goal: Goal) -> Callable[[Trainer], Trainer]:
    """Return a function that changes the goal of a trainer's task."""

    def alter(trainer: Trainer) -> Trainer:
        kind = type(trainer.task)
        own = type(kind.__name__, (kind,), {"goal": lambda self, loss: goal})
        task = object.__new__(own)
        task.__dict__.update(vars(trainer.task))
        return replace(trainer, task=task)

    return alter


EASY = ("task=latch", *TASKS["latch"], "probe=light")


def test_a_task_is_solved_once(shelf: RunFolder) -> None:
    records = goes_on_from_every_step(Run(EASY, with_goal(SOLVED_AT_ONCE)), shelf)
    assert [step for step, metrics, *_ in records if f"'{STEPS_TO_SOLVE}'" in metrics] == [0]


@pytest.mark.parametrize("solved_at", [0, 4])
def test_a_run_that_stopped_when_solved_has_ended(shelf: RunFolder, solved_at: int) -> None:
    """The task is solved at an intermediate validation: the criterion is just above the loss at that step."""
    run = Run((*EASY, "lr=0.05"))
    trainer, state = run.begin()
    losses = {r.step: r.metrics["val/loss"] for r in trainer.continue_from(state) if "val/loss" in r.metrics}
    earlier = [loss for step, loss in losses.items() if step < solved_at]
    below = np.nextafter(losses[solved_at], np.inf)
    assert all(loss > below for loss in earlier), "it must not be solved before"
    goal = replace(SOLVED_AT_ONCE, below=float(below))
    stopping = Run((*EASY, "lr=0.05", "stop_when_solved=true"), with_goal(goal))
    records = goes_on_from_every_step(stopping, shelf)
    assert [step for step, *_ in records] == list(range(solved_at + 1))


def test_parsing_keeps_the_original_text(shelf: RunFolder) -> None:
    """Bits, types and shapes are preserved, including those of scalars and of 128-bit integers in JSON."""
    run = Run(("cell=lstm", "task=char_lm", *TASKS["char_lm"], "optimizer=adam"))
    trainer, state = run.begin()
    list(islice(trainer.continue_from(state), 3))
    (arrays, plain), (kept_arrays, kept) = state.to_parts(), through(run, shelf, state).to_parts()
    assert any(array.ndim == 0 for array in arrays.values())
    assert same(arrays, kept_arrays) and plain == kept
    assert {path.partition("/")[0] for path in arrays} == {"params", "optimizer", "carried"}
