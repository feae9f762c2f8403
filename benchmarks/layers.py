"""Time of a network of three layers, compared with its layers timed alone and with torch.

The table gives the milliseconds of a training step of rnnlab with recording and of torch without, and the
time of both passes through the stack relative to the sum of the passes through its layers alone.
One core, one BLAS thread; the contestants take turns.

    python -m benchmarks.layers
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if hasattr(os, "sched_setaffinity"):  # before any thread pool counts the cores
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.contestants import SHAPES, Shape, rnnlab_step
from benchmarks.machine import about
from rnnlab.cells import layers_of

try:
    import torch

    from benchmarks.contestants import torch_step
except ModuleNotFoundError as error:
    sys.exit(f"{Path(__file__).name}: {error.name} is missing; install it with: pip install 'rnnlab[bench]'")

LAYERS, ROUNDS, TURN_SECONDS = 3, 7, 0.05
SIZES = ((32, 16, 100), (128, 32, 50))


def medians(calls: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Return the median milliseconds of each call over the rounds."""
    counts: dict[str, int] = {}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for name, call in calls.items():
        call()  # compiles code and allocates memory
        began = perf_counter()
        call()
        counts[name] = max(1, round(TURN_SECONDS / (perf_counter() - began)))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began = perf_counter()
            for _ in range(counts[name]):
                call()
            times[name].append(1e3 * (perf_counter() - began) / counts[name])
    return {name: float(np.median(values)) for name, values in times.items()}


def main() -> None:
    """Measure all shapes and print the table."""
    torch.set_num_threads(1)
    print("   ".join(f"{name} {value}" for name, value in about("numpy", "torch").items()))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("cell", "inputs", "H, B, T", "rnnlab ms", "torch ms", "torch ÷", "stack ÷ layers"):
        table.add_column(column, justify="left" if column in ("cell", "inputs", "H, B, T") else "right")
    for shape in SHAPES:
        if (shape.H, shape.B, shape.T) not in SIZES:
            continue
        deep = replace(shape, layers=LAYERS)
        ms = medians({"ours": rnnlab_step.make(deep), "torch": torch_step.make(deep)} | _passes(deep))
        alone = sum(value for name, value in ms.items() if name.startswith("layer"))
        sizes = f"{shape.H}, {shape.B}, {shape.T}"
        numbers = (ms["ours"], ms["torch"], ms["torch"] / ms["ours"], ms["stack"] / alone)
        table.add_row(shape.cell, shape.inputs, sizes, *(f"{number:.2f}" for number in numbers))
    Console(width=120).print(table)


def _passes(shape: Shape) -> dict[str, Callable[[], None]]:
    """Return both passes through the stack, and through each of its layers alone."""
    stack, _, params = rnnlab_step.network_of(shape)
    rng = np.random.default_rng(1)
    e = rng.standard_normal((shape.outputs, shape.H, shape.B)).astype(np.float32)
    h = rng.standard_normal((shape.T, shape.H, shape.B)).astype(np.float32)
    x, _ = shape.batch()
    passes = {"stack": rnnlab_step.passes(stack.cell, params, x, e)}
    for layer in layers_of(stack.cell):
        inputs, of_output = (x if layer.number == 1 else h), (e if layer.number == LAYERS else h)
        own = layer.take(params)
        passes[f"layer {layer.number}"] = rnnlab_step.passes(
            layer.cell, own, inputs, of_output, with_dx=layer.number > 1
        )
    return passes


if __name__ == "__main__":
    main()
