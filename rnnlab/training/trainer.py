"""Training loop, which yields records, writes no files and does not depend on a tracking tool."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import Any

import numpy as np

from rnnlab.arrays import Array, Params, copy_params
from rnnlab.cells import CellDeltas, States
from rnnlab.clipping import Clipping, clip_metrics
from rnnlab.diagnostics import (
    Previous,
    Probe,
    ProbeInputs,
    Readings,
    Snapshot,
    Spikes,
    first_non_finite,
    non_finite_weights,
)
from rnnlab.engine.updates import norm_of_gradients
from rnnlab.model import Batch, Model, Tape
from rnnlab.optimizers import Optimizer
from rnnlab.records import (
    GRAD_NORM,
    LOSS,
    STEPS_TO_SOLVE,
    VAL_LOSS,
    VAL_SOLVED,
    FirstNonFinite,
    StepRecord,
    finite_or_none,
)
from rnnlab.tasks import Task
from rnnlab.training.parts import end_to_end
from rnnlab.training.state import Stability, TrainingState
from rnnlab.training.state_validation import Limits, restore
from rnnlab.training.validation import Stopped, Workspaces, validate
from rnnlab.workspace import Loops, Workspace

UNSTABLE_WINDOW = 50
UNSTABLE_FACTOR = 2.0


@dataclass(frozen=True)
class Trainer:
    """The components and settings of a training run.

    Attributes:
        model: Network to be trained.
        task: Task that provides the batches.
        optimizer: Optimiser that computes the parameter updates from the gradients.
        clipping: Gradient clipping, applied before the optimiser.
        probe: Measurements of the network during training.
        steps: Number of parameter updates.
        val_every: Number of steps between validations; None for a single validation after the last update.
        stop_when_solved: True to end training at the first validation that meets the success criterion.
        loops: Compiled loops; None for the NumPy engine.
    """

    model: Model
    task: Task
    optimizer: Optimizer
    clipping: Clipping
    probe: Probe
    steps: int
    val_every: int | None
    stop_when_solved: bool
    loops: Loops | None = None

    def train(self, params: Params, rng: np.random.Generator) -> Iterator[StepRecord]:
        """Train `params` in place, and yield one record per training step and a final record.

        The record of step s describes the network after s updates. If the loss or a gradient becomes
        non-finite, training ends early with a record that names the first non-finite quantity.

        Args:
            params: Parameters, which are modified in place.
            rng: Random number generator for the batches; the probe uses a separate seed.

        Yields:
            One record for each of the steps 0 … steps-1, with the training metrics, and a final record with
                the validation metrics and the measurements after the last update. If training ends because
                the task is solved, the metrics of the last step are recorded, but its parameter update is
                reverted.
        """
        return self.continue_from(self.begin(params, rng))

    def begin(self, params: Params, rng: np.random.Generator) -> TrainingState:
        """Return the training state before the first step; `params` and `rng` are not copied."""
        return TrainingState(
            params=params,
            optimizer=self.optimizer.init(params),
            batches=rng,
            starts=rng.spawn(1)[0],  # a separate stream: initial states must not affect the batches
            spikes=Spikes(self.probe.spike_factor),
            stability=Stability(min(UNSTABLE_WINDOW, self.steps), UNSTABLE_FACTOR),
            engine="numpy" if self.loops is None else "compiled",
        )

    def restore(
        self, initial: TrainingState, arrays: Mapping[str, Array], plain: Mapping[str, Any]
    ) -> TrainingState:
        """Restore a training state from the output of `TrainingState.to_parts` and check its consistency.

        Raises:
            ImpossibleState: If this training run cannot reach the state.
        """
        sizes, dtype = self.model.cell.state_sizes, next(iter(initial.params.values())).dtype
        batch = self.task.batch_size
        continues_when_solved = bool(self.val_every) and not self.stop_when_solved
        limits = Limits(
            steps=self.steps,
            carried={name: np.zeros((size, batch), dtype) for name, size in sizes.items()},
            keeps_gradients=self.probe.needs_previous,
            non_negative=self.optimizer.non_negative,
            counters=self.optimizer.counters,
            clips=self.clipping.threshold is not None,
            solves=continues_when_solved and self.task.goal(self.model.loss).criterion is not None,
        )
        return restore(arrays, plain, initial, limits)

    def continue_from(
        self, state: TrainingState, stopping: Callable[[], bool] = lambda: False
    ) -> Iterator[StepRecord]:
        """Continue training from a state, which is modified in place; yield records as `train` does.

        After each batch of a validation that precedes a training step, `stopping` is called. If it returns
        True, no more records follow, and the state is that after the last record.

        The caller may save the state between two records, unless `TrainingState.is_closing`. The records and
        final parameters of training continued from the saved state are bit-identical to those of
        uninterrupted training.
        """
        steps = self._steps(state, stopping)
        while True:
            with np.errstate(all="ignore"):  # non-finite values are detected below and count as a result
                record = next(steps, None)
            if record is None:
                return
            yield record

    def _steps(self, state: TrainingState, stopping: Callable[[], bool]) -> Iterator[StepRecord]:
        if state.ended:
            return
        model, params, workspace = self.model, state.params, Workspace(self.loops)
        probe = _RunningProbe(self, self.probe_inputs(), Workspace(self.loops))
        workspaces = self._workspaces()
        plan, keeps_gradients = self.probe.plan(self.steps), self.probe.needs_previous
        chance = self.task.chance(model.loss)
        for step in range(state.step, self.steps):
            metrics: dict[str, float | None] = {}
            is_solved = False
            if self.val_every and step % self.val_every == 0:
                try:
                    metrics |= self.validate(params, workspaces, stopping)
                except Stopped:
                    return
                if metrics.get(VAL_SOLVED) and not state.solved:
                    state.solved = True
                    metrics[STEPS_TO_SOLVE] = float(step)
                    is_solved = self.stop_when_solved
            batch = self.task.batch(state.batches, step)
            initial = state.carried if batch.continues else None
            tape = model.forward(params, batch, initial, workspace, state.starts)
            grads, deltas = model.backward(params, tape, workspace, with_dx=False, scaled=True)
            norm = norm_of_gradients(grads, workspace)
            broken = not (isfinite(tape.loss) and isfinite(norm))
            due = self.probe.due(plan, step, state.spikes.update(norm))
            due = list(self.probe.measurements) if is_solved else due
            raw_grads = copy_params(grads) if due or keeps_gradients else {}
            previous = None
            if state.gradients is not None and state.carried is not None:
                previous = Previous(state.gradients, state.carried)
            report = self.clipping.apply(grads, norm, workspace)
            state.clipped += report.clipped
            metrics[LOSS] = finite_or_none(tape.loss)
            metrics |= clip_metrics(report, state.clipped, step + 1)
            if broken:
                where = first_non_finite(tape, grads, deltas, params) or FirstNonFinite(GRAD_NORM, None)
                yield self._broken(probe, state, step, metrics, tape, workspace, previous, where)
                return
            state.stability.update(step, tape.loss, float(tape.weights.sum()) * chance)
            state.carried = tape.cell.final_states()
            state.gradients = raw_grads if keeps_gradients else None
            before = copy_params(params) if due or is_solved else {}
            is_last = step == self.steps - 1
            starts = {name: values[0].copy() for name, values in tape.cell.states.items()} if is_last else {}
            overflowing = self.optimizer.update(params, grads, state.optimizer, workspace)
            if overflowing is not None and not is_solved:
                where = FirstNonFinite(overflowing, None)
                yield self._broken(probe, state, step, metrics, tape, workspace, previous, where)
                return
            readings = Readings()
            if due:
                updates = {name: params[name] - before[name] for name in params}
                readings = probe.measure(step, before, tape, deltas, raw_grads, updates, due, previous)
            if is_solved:
                for name, weights in params.items():
                    np.copyto(weights, before[name])
            state.step, state.ended, state.is_closing = step + 1, is_solved, is_last
            metrics |= readings.metrics
            diverged = non_finite_weights(params) if is_solved else None
            yield StepRecord(step, metrics, readings.curves, state.stability.since, diverged)
            if is_solved:
                return
        closing = self.validate(params, workspaces)
        if closing.get(VAL_SOLVED) and not state.solved:
            closing[STEPS_TO_SOLVE] = float(self.steps)
        diverged = non_finite_weights(params)  # a saturated unit may hide non-finite weights from the loss
        if diverged is None and closing[VAL_LOSS] is None:
            diverged = FirstNonFinite(VAL_LOSS, None)
        state.ended = True
        readings = self._measure_final(probe, params, batch, starts, workspace)
        closing |= readings.metrics
        yield StepRecord(self.steps, closing, readings.curves, state.stability.since, diverged)

    def _broken(
        self,
        probe: "_RunningProbe",
        state: TrainingState,
        step: int,
        metrics: dict[str, float | None],
        tape: Tape,
        workspace: Workspace,
        previous: Previous | None,
        where: FirstNonFinite,
    ) -> StepRecord:
        """Return the last record of a run that diverges, measured on the weights before the update."""
        state.ended = True
        params, due = state.params, list(self.probe.measurements)
        grads, deltas = self.model.backward(params, tape, workspace, with_dx=False, scaled=True)  # unclipped
        readings = probe.measure(step, params, tape, deltas, grads, {}, due, previous)
        return StepRecord(
            step, {**metrics, **readings.metrics}, readings.curves, state.stability.since, where
        )

    def _measure_final(
        self, probe: "_RunningProbe", params: Params, batch: Batch, starts: States, workspace: Workspace
    ) -> Readings:
        """Measure the network after the last update, on the last batch with the same initial states."""
        if not self.probe.measurements:
            return Readings()
        initial = None if self.model.initial_state.learned and not batch.continues else starts
        tape = self.model.forward(params, batch, initial, workspace)
        grads, deltas = self.model.backward(params, tape, workspace, with_dx=False, scaled=True)
        due = list(self.probe.measurements)
        return probe.measure(self.steps, params, tape, deltas, grads, {}, due)

    def probe_inputs(self) -> ProbeInputs:
        """Return the input sequences of the probe, which are identical at every call.

        Raises:
            ValueError: If the task has no sequences of the length that the probe requires.
        """
        probe, task = self.probe, self.task

        @cache
        def drawn(examples: int, length: int) -> Batch:
            return task.probe_batch(np.random.default_rng(probe.seed), examples, length)

        @cache
        def long(length: int) -> Batch:
            try:
                return drawn(1, length)
            except ValueError:  # short sequences are joined end to end
                return end_to_end(drawn(-(-length // task.time), task.time), length)

        batch = drawn(probe.examples, probe.length or task.time)
        return ProbeInputs(batch, long, probe.seed)

    def _workspaces(self) -> Workspaces:
        return defaultdict(lambda: Workspace(self.loops))

    def validate(
        self,
        params: Params,
        workspaces: Workspaces | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> dict[str, float | None]:
        """Return the validation metrics: mean loss, metrics of the task, baseline and success flag.

        Args:
            params: Parameters of the network.
            workspaces: Buffers to reuse, by the shape of the inputs.
            stopping: Function called after every batch.

        Raises:
            Stopped: If `stopping` returns True.
        """
        workspaces = self._workspaces() if workspaces is None else workspaces
        return validate(self.model, self.task, params, workspaces, stopping)


@dataclass(frozen=True)
class _RunningProbe:
    """The probe of a run in progress.

    Attributes:
        trainer: Trainer of the run.
        inputs: Inputs for measurements that run their own forward pass.
        workspace: Buffers reserved for measurements.
    """

    trainer: Trainer
    inputs: ProbeInputs
    workspace: Workspace

    def measure(
        self,
        step: int,
        params: Params,
        tape: Tape,
        deltas: CellDeltas,
        grads: Params,
        updates: Params,
        due: Sequence[str],
        previous: Previous | None = None,
    ) -> Readings:
        """Run the measurements named in `due`; see `Snapshot`."""
        model, task = self.trainer.model, self.trainer.task
        snapshot = Snapshot(
            step=step,
            model=model,
            params=params,
            tape=tape,
            deltas=deltas,
            grads=grads,
            updates=updates,
            inputs=self.inputs,
            task_lag=task.lag,
            workspace=self.workspace,
            previous=previous,
        )
        return self.trainer.probe.measure(snapshot, due)
