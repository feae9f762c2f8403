"""Cost of `rnnlab.torch.watch` in a training loop of torch, relative to a training step without it.

    python -m benchmarks.torch_callback

Each round takes five training steps without a probe, five between two measurements, and one that is
measured, in turn; times are CPU seconds on one thread, and the table gives medians of the ratios over the
rounds. The cost of a loop is that of a measured step divided by the interval. The cost of a step between two
measurements is given to show that it is within the noise.
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
from collections.abc import Callable
from inspect import signature
from statistics import median
from time import process_time
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import rnnlab.torch
from benchmarks.machine import about

INPUTS, CLASSES = 65, 65
CASES = (
    ("LSTM", 128, 1, 100, 32),
    ("GRU", 128, 1, 100, 32),
    ("RNN", 128, 1, 100, 32),
    ("LSTM", 256, 2, 35, 20),
    ("LSTM", 512, 1, 100, 64),
    ("LSTM", 32, 1, 50, 8),
)
"""Module, hidden units, layers, time steps and sequences."""
STEPS = 5
EVERY = signature(rnnlab.torch.watch).parameters["every"].default


def loop(kind: str, hidden: int, layers: int, time: int, batch: int) -> tuple[Any, Callable[[Any], None]]:
    """Return a recurrent module, and a function that takes one training step with an optional probe."""
    torch.manual_seed(0)
    module = getattr(torch.nn, kind)(INPUTS, hidden, layers)
    head = torch.nn.Linear(hidden, CLASSES)
    optimizer = torch.optim.Adam([*module.parameters(), *head.parameters()], lr=1e-3)
    x, y = torch.randn(time, batch, INPUTS), torch.randint(0, CLASSES, (time, batch))

    def step(probe: Any) -> None:
        optimizer.zero_grad()
        outputs = head(module(x)[0])
        torch.nn.functional.cross_entropy(outputs.flatten(0, 1), y.flatten()).backward()
        if probe is not None:
            probe.step()
        optimizer.step()

    return module, step


def seconds(step: Callable[[Any], None], probe: Any) -> float:
    """Return the CPU seconds of one training step."""
    began = process_time()
    step(probe)
    return process_time() - began


def costs(case: tuple[str, int, int, int, int], rounds: int) -> tuple[float, float, float]:
    """Return the milliseconds of a step, and the extra cost of a measured and of another step in steps."""
    module, step = loop(*case)
    plain, measured, between = [], [], []
    for number in range(rounds + 2):
        step(None)  # the caches are those of training again
        own = sum(seconds(step, None) for _ in range(STEPS)) / STEPS
        with rnnlab.torch.watch(module, start=1) as probe:
            other = sum(seconds(step, probe) for _ in range(STEPS)) / STEPS
        with rnnlab.torch.watch(module, every=1) as probe:
            whole = seconds(step, probe)
        if number >= 2:
            plain.append(own)
            measured.append(whole / own - 1)
            between.append(other / own - 1)
    return 1000 * median(plain), median(measured), median(between)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    table = Table(title=f"{about()}, torch {torch.__version__}")
    for name in ("module", "ms per step", "measured: + steps", "between: + %", f"loop, every={EVERY}: + %"):
        table.add_column(name, justify="right")
    for case in CASES:
        kind, hidden, layers, time, batch = case
        plain, measured, between = costs(case, rounds)
        total = 100 * measured / EVERY
        name = f"{kind} H={hidden} L={layers} T={time} B={batch}"
        table.add_row(name, f"{plain:.1f}", f"{measured:.1f}", f"{100 * between:.1f}", f"{total:.1f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
