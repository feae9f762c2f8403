"""Run folders of sweeps with random values, written without training."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rnnlab.records import Curve, StepRecord
from rnnlab.runs.folder import RunFolder
from tests.runs.small_runs import config_of, info_of


def write_sweep(
    folder: Path,
    axes: Mapping[str, Sequence[str]],
    length: int = 20,
    steps: int = 100,
    every: int = 10,
    first: int = 0,
) -> None:
    """Write one run folder per combination of values of the axes.

    Args:
        folder: Folder of the sweep.
        axes: Values of each sweep axis, as text.
        length: Number of time steps.
        steps: Number of training steps.
        every: Number of training steps between two validations and two recordings of the probe.
        first: Number of the first run; two sweeps in one report need different numbers.
    """
    for number, values in enumerate(itertools.product(*axes.values()), first):
        params = {"cell": "rnn", "task": "adding", "seq_len": str(length), "seed": "0"}
        params |= dict(zip(axes, values, strict=True))
        name = " ".join(f"{axis}={value}" for axis, value in params.items() if axis in axes)
        info = info_of(str(number)) | {
            "name": name,
            "number": number,
            "steps": steps,
            "params": params,
        }
        info |= {"goal": {"metric": "val/mse", "baseline": 1.0, "criterion": None}}
        rng = np.random.default_rng(number)
        slope = rng.uniform(-0.3, 0)
        with RunFolder(folder / str(number), info, config_of()) as run:
            for step in range(steps + 1):
                metrics = {"train/loss": rng.uniform(0.5, 1), "grad/norm": rng.uniform(1, 2)}
                if step % every:
                    run.write(StepRecord(step, metrics))
                    continue
                metrics |= {"val/loss": rng.uniform(0.5, 1), "val/mse": rng.uniform(0.5, 1)}
                by_lag = _curve("state", "lag", np.arange(length), slope, rng)
                by_time = _curve("h", "timestep", np.arange(1, length + 1), -slope, rng)
                run.write(StepRecord(step, metrics, (by_lag, by_time)))
            run.close()
            summary = {
                "val/mse": rng.uniform(0.5, 1),
                "grad/horizon": float(rng.integers(length)),
                "grad/gain": 0.5,
            }
            summary |= {"grad/log10_gain": -0.3, "grad/log10_gain_tail": slope, "grad/gain_tail": 10**slope}
            run.finish("finished", summary | {"regime": "vanishing", "seconds": 1.0})


def _curve(quantity: str, axis: str, index: np.ndarray, slope: float, rng: np.random.Generator) -> Curve:
    values = slope * index + rng.normal(0, 0.02, len(index))
    zeros = np.zeros(len(index))
    return Curve(quantity, axis, index, 10**values, 10**values, 10**values, values, zeros)  # type: ignore[arg-type]
