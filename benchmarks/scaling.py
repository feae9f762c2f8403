"""Time and peak memory of an LSTM's training step against T, H and B.

Memory is what NumPy allocates, by tracemalloc, over two steps with one workspace. It is held against the
arrays that the backward pass reads or hands over, counted in `needed_bytes`.

    python -m benchmarks.scaling --json scaling.json --figure scaling.png
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
import json
import tracemalloc
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
REPEATS = 5


def needed_bytes(shape: Shape) -> int:
    """The arrays that the backward pass of an LSTM reads or hands over.

    Of each unit, time step and example 17: h, c, tanh c and four gates (the tape); e, δ, κ, the immediate
    gradient at c, and dz of four gates with what goes back to c (the deltas); and the readout's input. Of
    each class 3: the logits and their gradient, alone and weighted. Of each weight 6: itself, its gradient,
    Adam's two means, and a copy each for the loops forward and backward.
    """
    weights = 4 * shape.H * (shape.H + shape.X + 1) + shape.Y * (shape.H + 1)
    return 4 * (shape.T * shape.B * (17 * shape.H + 3 * shape.Y) + 6 * weights)


def measure(shape: Shape) -> dict[str, float]:
    """Median milliseconds of a step and peak megabytes."""
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
    parser.add_argument("--json", type=Path, help="file for all values")
    parser.add_argument("--figure", type=Path, help="file for the figure")
    options = parser.parse_args()
    machine = about("numpy")
    print("   ".join(f"{name} {value}" for name, value in machine.items()))
    table = Table("axis", "H", "B", "T", "ms", "µs a time step", "peak MB", "÷ needed", box=None)
    rows = []
    for axis, shapes in AXES.items():
        for shape in shapes:
            found = measure(shape)
            sizes = {"H": shape.H, "B": shape.B, "T": shape.T}
            rows.append({"axis": axis, **sizes, **found})
            table.add_row(
                axis, *map(str, sizes.values()), f"{found['ms']:.2f}", f"{1e3 * found['ms'] / shape.T:.1f}",
                f"{found['peak_mb']:.1f}", f"{found['peak_mb'] / found['needed_mb']:.2f}",
            )  # fmt: skip
    Console(width=120).print(table)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}))
    if options.figure:
        draw(rows, options.figure)


def draw(rows: list[dict[str, object]], path: Path) -> None:
    """Time and memory along each axis."""
    import pandas as pd
    import seaborn as sns

    frame = pd.concat(
        frame.assign(size=frame[axis]) for axis, frame in pd.DataFrame(rows).groupby("axis", sort=False)
    )
    long = frame.melt(["axis", "size"], ["ms", "peak_mb", "needed_mb"])
    long["what"] = long["variable"].map({"ms": "ms"}).fillna("MB")
    grid = sns.relplot(
        long, x="size", y="value", hue="variable", col="axis", row="what", kind="line", marker="o",
        palette="colorblind", height=3, facet_kws={"sharex": False, "sharey": False},
    ).set(xscale="log", yscale="log")  # fmt: skip
    grid.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
