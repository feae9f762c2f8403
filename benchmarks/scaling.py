"""Time and peak memory of a training step for several sizes T, H and B of an LSTM and for all cells.

Memory is the peak that tracemalloc measures for Python and NumPy over two steps with one workspace. The table
compares it with the size of the arrays that the backward pass reads or returns, computed by `needed_bytes`.

    python -m benchmarks.scaling --json scaling.json --figure scaling.png
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
import json
import tracemalloc
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.contestants import Shape, rnnlab_step
from benchmarks.machine import about

AXES = {
    "T": [Shape("lstm", "symbols", 64, 8, T) for T in (100, 300, 1000, 3000, 10_000, 20_000)],
    "H": [Shape("lstm", "symbols", H, 32, 50) for H in (32, 64, 128, 256, 512, 1024)],
    "B": [Shape("lstm", "symbols", 128, B, 50) for B in (1, 4, 16, 64, 256, 512)],
}
OTHERS = [
    Shape(cell, inputs, *sizes)
    for sizes in ((64, 8, 4000), (32, 1, 10_000), (128, 32, 50))
    for inputs in ("symbols", "vectors")
    for cell in ("rnn", "lstm", "gru")
]
# All cells store h, e, δ and dz of the G gates. An LSTM adds its gates, c, tanh c, κ, the immediate gradient
# at c and the gradient passed back to c; a GRU adds its gates, a and da.
PER_UNIT: dict[str, int] = {"rnn": 4, "lstm": 16, "gru": 11}
REPEATS = 5


def needed_bytes(shape: Shape) -> int:
    """Return the size in bytes of the arrays that the backward pass reads or returns.

    Each unit needs `PER_UNIT` numbers per time step and example, plus one for the readout's input at time
    steps with an output. Input vectors are stored once. Each class needs 3 numbers per output: the output,
    its gradient and its weighted gradient. Each weight needs 6 numbers: the weight, its gradient, Adam's two
    means, and one copy each for the forward and the backward loop.
    """
    weights = shape.G * shape.H * (shape.H + shape.X + 1) + shape.Y * (shape.H + 1)
    inputs = shape.X if shape.inputs == "vectors" else 0
    of_steps = shape.T * (PER_UNIT[shape.cell] * shape.H + inputs) + shape.outputs * (shape.H + 3 * shape.Y)
    return 4 * (shape.B * of_steps + 6 * weights)


def measure(shape: Shape) -> dict[str, float]:
    """Return a training step's median time in milliseconds, and its peak and needed memory in megabytes."""
    tracemalloc.start()
    step = rnnlab_step.make(shape)
    step()
    step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    times = []
    for _ in range(REPEATS):
        began = perf_counter()
        step()
        times.append(1e3 * (perf_counter() - began))
    needed = needed_bytes(shape)
    return {
        "ms": float(np.median(times)),
        "peak_mb": peak / 1e6,
        "needed_mb": needed / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="output file for all values")
    parser.add_argument("--figure", type=Path, help="output file for the figure")
    options = parser.parse_args()
    machine = about("numpy")
    print("   ".join(f"{name} {value}" for name, value in machine.items()))
    columns = ("axis", "cell", "inputs", "H", "B", "T", "ms", "µs per time step", "peak MB", "÷ needed")
    table = Table(*columns, box=None)
    rows = []
    for axis, shapes in (AXES | {"": OTHERS}).items():
        for shape in shapes:
            result, sizes = measure(shape), asdict(shape)
            rows.append({"axis": axis, **sizes, **result})
            table.add_row(
                axis, *map(str, sizes.values()), f"{result['ms']:.2f}", f"{1e3 * result['ms'] / shape.T:.1f}",
                f"{result['peak_mb']:.1f}", f"{result['peak_mb'] / result['needed_mb']:.2f}",
            )  # fmt: skip
    Console(width=120).print(table)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}))
    if options.figure:
        draw(rows, options.figure)


def draw(rows: list[dict[str, object]], path: Path) -> None:
    """Draw time and memory along each axis."""
    import pandas as pd
    import seaborn as sns

    frame = pd.concat(
        frame.assign(size=frame[axis])
        for axis, frame in pd.DataFrame(rows).groupby("axis", sort=False)
        if axis
    )
    columns = {"ms": "time", "peak_mb": "peak memory", "needed_mb": "memory of needed arrays"}
    long = frame.rename(columns=columns).melt(["axis", "size"], list(columns.values()), var_name="quantity")
    long["row"] = (long["quantity"] == "time").map({True: "time (ms)", False: "memory (MB)"})
    grid = sns.relplot(
        long, x="size", y="value", hue="quantity", style="quantity", col="axis", row="row", kind="line",
        markers=True, dashes=False, palette="colorblind", height=3,
        facet_kws={"sharex": False, "sharey": False},
    ).set(xscale="log", yscale="log")  # fmt: skip
    labels = {"T": "time steps T", "H": "hidden size H", "B": "batch size B"}
    for (row, column), axes in grid.axes_dict.items():
        axes.set(title="", xlabel=labels[column], ylabel=row if axes in grid.axes[:, 0] else "")
    grid.legend.set_title("")
    grid.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
