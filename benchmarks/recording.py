"""Cost of recording: time of each measurement relative to a training step, and each probe's share of a run.

    python -m benchmarks.recording

The network has 128 hidden units and trains on text with 100 time steps and batches of 32. Each snapshot is
timed separately in CPU time, between training steps, and the table gives medians. The measurement `units`
belongs to no probe; it has a row among those of the probe `full` but does not count in its sum. The share of
a run is the total over all snapshots of a run of 2000 steps, according to their schedules.
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

from pathlib import Path
from time import process_time

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import about
from rnnlab.app.config.build import Experiment, build, generators
from rnnlab.app.config.compose import compose_plan
from rnnlab.arrays import copy_params
from rnnlab.diagnostics import Snapshot
from rnnlab.workspace import Workspace

APART = "units"
CONF = Path(__file__).parents[1] / "conf"
STEPS, ROUNDS = 2000, 15


def experiment_of(cell: str, probe: str) -> Experiment:
    """Return the experiment of a cell with a probe."""
    overrides = [f"cell={cell}", f"probe={probe}", "seq_len=100", "hidden_size=128", f"steps={STEPS}"]
    overrides += [f"+measurement={APART}"] if probe == "full" else []
    return build(compose_plan(CONF, overrides, multirun=False).jobs[0].config)


def milliseconds(cell: str, probe: str) -> tuple[float, dict[str, float]]:
    """Return the median milliseconds of a training step and of one snapshot per measurement of the probe."""
    experiment = experiment_of(cell, probe)
    trainer, settings = experiment.trainer, experiment.settings
    weights, batches, _ = generators(settings.seed)
    params = trainer.model.init_params(weights, settings.init, np.dtype(settings.dtype))
    state, workspace, own = trainer.optimizer.init(params), Workspace(), Workspace()
    inputs = trainer.probe_inputs()
    names = list(trainer.probe.measurements)
    times: dict[str, list[float]] = {name: [] for name in ["", *names]}
    for step in range(ROUNDS):
        began = process_time()
        batch = trainer.task.batch(batches, step)
        tape = trainer.model.forward(params, batch, None, workspace)
        grads, deltas = trainer.model.backward(params, tape, workspace, with_dx=False, scaled=True)
        trainer.clipping.apply(grads)
        before = copy_params(params)
        trainer.optimizer.update(params, grads, state)
        times[""].append(process_time() - began)
        updates = {name: params[name] - before[name] for name in params}
        snapshot = Snapshot(
            0, trainer.model, before, tape, deltas, copy_params(grads), updates, inputs, None, own
        )  # fmt: skip
        for name in names:
            began = process_time()
            trainer.probe.measurements[name].measure(snapshot)
            times[name].append(process_time() - began)
    medians = {name: 1e3 * float(np.median(values)) for name, values in times.items()}
    return medians.pop(""), medians


def main() -> None:
    print("   ".join(f"{name} {value}" for name, value in about("numpy").items()))
    table = Table(
        "cell", "probe", "measurement", "ms", "training steps", "snapshots", "share of run", box=None
    )
    for cell in ("rnn", "lstm", "gru"):
        for probe in ("light", "standard", "full"):
            step, snapshots = milliseconds(cell, probe)
            instrument = experiment_of(cell, probe).trainer.probe
            plan = instrument.plan(STEPS)
            due = [name for at in range(STEPS) for name in instrument.due(plan, at, False)]
            counts = {name: due.count(name) for name in snapshots}
            counts |= {"theory": 1} if "theory" in counts else {}  # theory is computed only at step 0
            for name, ms in snapshots.items() if probe == "full" else ():
                share = ms * counts[name] / (STEPS * step)
                table.add_row(
                    cell, "", name, f"{ms:.2f}", f"{ms / step:.2f}", str(counts[name]), f"{share:.2%}"
                )
            snapshots.pop(APART, None)
            total = sum(snapshots.values())
            share = sum(ms * counts[name] for name, ms in snapshots.items()) / (STEPS * step)
            table.add_row(cell, probe, "all", f"{total:.2f}", f"{total / step:.2f}", "", f"{share:.2%}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
