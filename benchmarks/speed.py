"""Time of a training step in rnnlab, torch and JAX, with and without recording, and of its matrix products.

The benchmark runs in one process on one core with one BLAS thread. The contestants take turns, so that other
load on the machine affects all of them equally. The result for each contestant is the median over rounds.

    python -m benchmarks.speed --json speed.json --figure speed.png
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"
if hasattr(os, "sched_setaffinity"):  # before any thread pool counts the cores
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.contestants import SHAPES, Shape, products, rnnlab_step
from benchmarks.machine import about

try:
    import torch

    from benchmarks.contestants import jax_step, torch_step
except ModuleNotFoundError as error:
    sys.exit(f"{Path(__file__).name}: {error.name} is missing; install it with: pip install 'rnnlab[bench]'")

OURS, NUMPY, TORCH, TORCH_RECORDING, JAX, BOUND = (
    "rnnlab",
    "rnnlab numpy",
    "torch",
    "torch recording",
    "jax recording",
    "products",
)
MAKERS: dict[str, Callable[[Shape], Callable[[], None]]] = {
    OURS: rnnlab_step.make,
    NUMPY: partial(rnnlab_step.make, engine="numpy"),
    TORCH: torch_step.make,
    TORCH_RECORDING: torch_step.make_recording,
    JAX: jax_step.make,
    BOUND: products.make,
    "torch fused": partial(torch_step.make, fused=True),
}
DEFAULT_NAMES = [name for name in MAKERS if name != "torch fused"]
TURN_SECONDS = 0.05
Row = dict[str, object]


def measure(shape: Shape, names: Sequence[str], rounds: int) -> Row:
    """Return the median milliseconds of a training step for each contestant."""
    steps = {name: MAKERS[name](shape) for name in names}
    calls = {}
    for name, step in steps.items():
        step()  # compiles code and allocates memory
        began = perf_counter()
        step()
        calls[name] = max(1, round(TURN_SECONDS / (perf_counter() - began)))
    times: dict[str, list[float]] = {name: [] for name in names}
    order = list(names)
    for _ in range(rounds):
        for name in order:
            began = perf_counter()
            for _ in range(calls[name]):
                steps[name]()
            times[name].append(1e3 * (perf_counter() - began) / calls[name])
        order.append(order.pop(0))
    medians = {name: float(np.median(values)) for name, values in times.items()}
    return {"shape": asdict(shape), "ms": medians, "rounds": times}


def ratio(row: Row, name: str) -> float:
    """Return the factor by which rnnlab is faster; for the products, the factor by which rnnlab is slower."""
    ms = row["ms"]
    assert isinstance(ms, dict)
    if name not in ms or OURS not in ms:
        return float("nan")
    return float(ms[OURS] / ms[BOUND] if name == BOUND else ms[name] / ms[OURS])


def table_of(rows: Sequence[Row], names: Sequence[str]) -> Table:
    """Return a table with one row per shape and a row of geometric means."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("cell", "inputs", "H", "B", "T"):
        table.add_column(column, justify="left" if column in ("cell", "inputs") else "right")
    for name in names:
        table.add_column(f"{name} ms", justify="right")
    others = [name for name in names if name != OURS]
    for name in others:
        table.add_column("÷ products" if name == BOUND else f"{name} ÷", justify="right")
    for row in rows:
        shape, ms = row["shape"], row["ms"]
        assert isinstance(shape, dict) and isinstance(ms, dict)
        times = (f"{ms[name]:.2f}" for name in names)
        table.add_row(*map(str, shape.values()), *times, *(f"{ratio(row, name):.2f}" for name in others))
    means = [np.exp(np.mean([np.log(ratio(row, name)) for row in rows])) for name in others]
    table.add_row("geometric mean", *[""] * (4 + len(names)), *(f"{mean:.2f}" for mean in means))
    return table


def draw(rows: Sequence[Row], names: Sequence[str], path: Path) -> None:
    """Draw the factor by which rnnlab is faster, one point per shape."""
    import pandas as pd
    import seaborn as sns

    others = [name for name in names if name not in (OURS, BOUND)]
    points = [
        {"shape": "{H}, {B}, {T}".format(**row["shape"]), "against": name, "times faster": ratio(row, name)}  # type: ignore[arg-type]
        | {key: row["shape"][key] for key in ("cell", "inputs")}  # type: ignore[index]
        for row in rows
        for name in others
    ]
    grid = sns.catplot(
        pd.DataFrame(points), x="shape", y="times faster", hue="cell", col="against", row="inputs",
        kind="strip", jitter=False, palette="colorblind", height=3, aspect=1.4, log_scale=(False, True),
    )  # fmt: skip
    for axes in grid.axes.flat:
        axes.axhline(1, color="black", linewidth=0.8)
        axes.tick_params(axis="x", rotation=45)
        axes.set_yticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
        axes.minorticks_off()
        axes.set_xlabel("H, B, T")
    grid.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="number of rounds per contestant (default 9)")
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", help="only shapes that match all words, such as: lstm H=128"
    )
    parser.add_argument("--contestants", nargs="+", choices=MAKERS, default=DEFAULT_NAMES)
    parser.add_argument("--json", type=Path, help="output file for every round of every contestant")
    parser.add_argument("--figure", type=Path, help="output file for the figure")
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = about("numpy", "torch", "jax")
    print("   ".join(f"{name} {value}" for name, value in machine.items()))
    rows = []
    console = Console(width=160)
    with console.status("") as status:
        for shape in SHAPES:
            label = f"{shape.cell} {shape.inputs} H={shape.H} B={shape.B} T={shape.T}"
            if set(options.only or ()) <= set(label.split()):
                status.update(label)
                rows.append(measure(shape, options.contestants, options.rounds))
    console.print(table_of(rows, options.contestants))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}))
    if options.figure:
        draw(rows, options.contestants, options.figure)


if __name__ == "__main__":
    main()
