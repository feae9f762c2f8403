"""Comparison of rnnlab with torch's nn.RNN and nn.LSTM: time per training step and final validation loss.

All contestants run in one process with one thread on the same batches of the Sonnets. The contestants take
turns in blocks of steps, so that other load on the machine affects all of them equally. Validation is not
timed.

    python benchmarks/torch_comparison.py --seeds 3 --json comparison.json
"""

import os

# NumPy and torch read these variables on import.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import json
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_info

from rnnlab.app.config.build import build, generators
from rnnlab.app.config.compose import compose_plan
from rnnlab.model import Batch
from rnnlab.records import LOSS, StepRecord
from rnnlab.tasks import CharLM

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ModuleNotFoundError as error:
    sys.exit(f"{Path(__file__).name}: {error.name} is missing; install it with: pip install 'rnnlab[torch]'")

HIDDEN, BATCH, SEQ_LEN, HELD_OUT = 128, 32, 50, 0.1
LR, CLIP = 2e-3, 1.0
CONF = Path(__file__).parents[1] / "conf"

TORCH, RECORDED, BARE = "torch", "rnnlab", "rnnlab, no probe"
Records = Iterator[StepRecord]
"""One record per training step, followed by one record for the validation."""


@dataclass
class Run:
    """One training run of one contestant.

    Attributes:
        cell: `rnn` or `lstm`.
        contestant: Name of the contestant.
        seed: Seed of the initial weights.
        ms_per_step: Mean milliseconds of a training step in each block.
        loop_seconds: Total time of all training steps in seconds.
        bpc: Bits per character on the held-out part after the last step.
    """

    cell: str
    contestant: str
    seed: int
    ms_per_step: list[float] = field(default_factory=list)
    loop_seconds: float = 0.0
    bpc: float = np.nan


def train_rnnlab(cell: str, probe: str, seed: int, steps: int) -> Records:
    """Train as `python -m rnnlab` does, but without files or tracking."""
    overrides = [f"cell={cell}", f"probe={probe}", f"seed={seed}", f"steps={steps}", "val_every=null"]
    sizes = [f"hidden_size={HIDDEN}", f"batch_size={BATCH}", f"seq_len={SEQ_LEN}", f"lr={LR}", f"clip={CLIP}"]
    config = compose_plan(CONF, overrides + sizes, multirun=False).jobs[0].config
    experiment = build(config)
    weights, batches, _ = generators(seed)
    params = experiment.trainer.model.init_params(weights, experiment.settings.init, np.dtype(np.float32))
    yield from experiment.trainer.train(params, batches)


def train_torch(cell: str, task: CharLM, seed: int, steps: int) -> Records:
    """Train nn.RNN or nn.LSTM with an nn.Linear readout; record only the loss."""
    torch.manual_seed(seed)
    rng, symbols = np.random.default_rng(seed), task.input_size
    recurrent = {"rnn": nn.RNN, "lstm": nn.LSTM}[cell](symbols, HIDDEN)
    readout = nn.Linear(HIDDEN, symbols)
    params = [*recurrent.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(params, lr=LR)
    one_hot = torch.eye(symbols)

    def forward(batch: Batch, states: Any, reduction: str) -> tuple[torch.Tensor, Any]:
        x = functional.embedding(torch.from_numpy(batch.x), one_hot)  # 12 µs; functional.one_hot takes 56 µs
        h, states = recurrent(x, states if batch.continues else None)
        logits, targets = readout(h).reshape(-1, symbols), torch.from_numpy(batch.y).reshape(-1)
        return functional.cross_entropy(logits, targets, reduction=reduction), states

    states = None
    for step in range(steps):
        loss, states = forward(task.batch(rng, step), states, "mean")
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(params, CLIP)
        optimizer.step()
        states = states.detach() if cell == "rnn" else tuple(state.detach() for state in states)
        yield StepRecord(step, {LOSS: loss.item()})
    total, count, states = 0.0, 0, None
    with torch.no_grad():
        for batch in task.validation():
            losses, states = forward(batch, states, "none")
            present = np.ones(batch.y.size, bool) if batch.mask is None else batch.mask.reshape(-1)
            total += float(losses.numpy().sum(where=present, dtype=np.float64))
            count += int(present.sum())
    yield StepRecord(steps, {"val/bpc": total / count / np.log(2)})


def compare(cell: str, task: CharLM, seed: int, steps: int, block: int) -> list[Run]:
    """Train all contestants in turns of `block` steps; a different contestant starts each round."""
    start: dict[str, Callable[[int], Records]] = {
        TORCH: lambda steps: train_torch(cell, task, seed, steps),
        RECORDED: lambda steps: train_rnnlab(cell, "standard", seed, steps),
        BARE: lambda steps: train_rnnlab(cell, "none", seed, steps),
    }
    for warm_up in start.values():
        list(warm_up(3))
    turns = [(Run(cell, name, seed), begin(steps)) for name, begin in start.items()]
    for first in range(0, steps, block):
        size = min(block, steps - first)
        for run, records in turns:
            began = perf_counter()
            for _ in range(size):
                next(records)
            seconds = perf_counter() - began
            run.ms_per_step.append(1e3 * seconds / size)
            run.loop_seconds += seconds
        turns.append(turns.pop(0))
    for run, records in turns:
        run.bpc = next(records).metrics["val/bpc"] or np.nan  # None if the value is not finite
    return [run for run, _ in turns]


def summarize(runs: list[Run]) -> list[dict[str, str | float]]:
    """Return one row per cell and contestant; ratios are relative to torch, and above 1 means slower."""
    rows: list[dict[str, str | float]] = []
    for cell in dict.fromkeys(run.cell for run in runs):
        torch_step, torch_loop, torch_bpc = _figures(runs, cell, TORCH)
        for contestant in (TORCH, RECORDED, BARE):
            step, loop, bpc = _figures(runs, cell, contestant)
            row = {"ms_per_step": step, "step_ratio": step / torch_step, "loop_seconds": loop}
            row |= {"loop_ratio": loop / torch_loop, "val_bpc": bpc, "bpc_difference": bpc - torch_bpc}
            rows.append({"cell": cell, "contestant": contestant, **row})
    return rows


def _figures(runs: list[Run], cell: str, contestant: str) -> tuple[float, float, float]:
    """Return the median milliseconds per step, and the mean loop seconds and bits per character of a run."""
    own = [run for run in runs if (run.cell, run.contestant) == (cell, contestant)]
    step = np.median(np.concatenate([run.ms_per_step for run in own]))
    loop, bpc = np.mean([(run.loop_seconds, run.bpc) for run in own], axis=0)
    return float(step), float(loop), float(bpc)


def environment() -> dict[str, str | int]:
    """Return package versions, processor and numbers of threads."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in ("numpy", "torch")},
        "cpu": model[1] if model else platform.processor(),
        "cpus": os.cpu_count() or 1,
        "torch_threads": torch.get_num_threads(),
        "other_threads": max((pool["num_threads"] for pool in threadpool_info()), default=1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=2000, help="training steps per run (default 2000)")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0 (default 1)")
    parser.add_argument("--repeats", type=int, default=1, help="timed runs per seed (default 1)")
    parser.add_argument("--block", type=int, default=100, help="training steps per turn (default 100)")
    parser.add_argument("--json", type=Path, help="output file for all values")
    options = parser.parse_args()
    if min(options.steps, options.seeds, options.repeats, options.block) < 1:
        parser.error("--steps, --seeds, --repeats and --block must be at least 1")
    if options.json:
        options.json.touch()  # fail before the runs if the file cannot be written
    torch.set_num_threads(1)
    task = CharLM(SEQ_LEN, BATCH, None, True, "every", HELD_OUT, 0, 0.8)
    sizes = {"hidden": HIDDEN, "batch": BATCH, "seq_len": SEQ_LEN, "symbols": task.input_size}
    settings = {**sizes, "lr": LR, "clip": CLIP, **{k: v for k, v in vars(options).items() if k != "json"}}
    about = {"environment": environment(), "settings": settings}
    for values in about.values():
        print("   ".join(f"{name} {value}" for name, value in values.items()))
    order = [(c, seed) for c in ("rnn", "lstm") for seed in range(options.seeds)] * options.repeats
    runs = [run for c, seed in order for run in compare(c, task, seed, options.steps, options.block)]
    rows = summarize(runs)
    table = Table("cell", "", "ms/step", "÷ torch", "loop s", "÷ torch", "val bpc", "- torch", box=None)
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:.3f}" for value in row.values()))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps({**about, "summary": rows, "runs": [asdict(run) for run in runs]}))


if __name__ == "__main__":
    main()
