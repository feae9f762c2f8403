"""The answer of a measurement in one line: which layer, how far back, and what to try next."""

from dataclasses import dataclass

import numpy as np

from rnnlab.library.runs import Run
from rnnlab.text import format_number

GROWTH = 2.0
"""Number of decades by which the gradient norm must grow over all lags to count as exploding."""
REMEDIES = {
    ("vanishes", "rnn"): "cell=rnn,lstm,gru",
    ("vanishes", "lstm"): "cell=lstm cell.forget_bias=0,1,3",
    ("vanishes", "gru"): "cell=gru init=torch,orthogonal",
}
"""Axes of a sweep that compares remedies, by verdict and cell."""


@dataclass(frozen=True)
class _Reach:
    """How far back the gradient of one layer reaches.

    Attributes:
        layer: Number of the layer, from 1.
        horizon: Largest lag with at least 1 % of the gradient at lag 1.
        longest: Longest lag.
        decades: log10 of the gradient at the longest lag, relative to lag 1.
        gain: Factor per time step over the longer half of the lags.
    """

    layer: int
    horizon: float
    longest: int
    decades: float
    gain: float

    @property
    def word(self) -> str:
        """Verdict about the layer."""
        if self.decades > GROWTH:
            return "explodes"
        return "vanishes" if self.horizon < self.longest else "stays"

    def describe(self) -> str:
        """Return the verdict with its numbers."""
        factor = f"factor {self.gain:.3g} per time step at long lags"
        if self.word == "explodes":
            grown = format_number(self.decades, ".2g")
            return f"explodes: it grows by {grown} decades over {self.longest} lags ({factor})"
        if self.word == "vanishes":
            return f"vanishes: 1 % is left at lag {int(self.horizon)} of {self.longest} ({factor})"
        left = f"{100 * 10**self.decades:.3g} %"
        return f"neither vanishes nor explodes: {left} is left at lag {self.longest} ({factor})"


def verdict(run: Run) -> str:
    """Return one line about the gradient of a run: the layer, the lag, and a command to try next.

    The line names the layer whose gradient reaches the least far back. A gradient vanishes if less than 1 %
    of its value at lag 1 is left at the longest lag, and explodes if it grows there more than a hundredfold.

    Args:
        run: Run with lag curves, such as that of `measure_networks` or `train`.

    Raises:
        ValueError: If the run recorded no lag curve with a measurable decay.

    >>> net = rl.network("rnn", inputs=3, hidden=8)
    >>> run = rl.measure_networks(net, np.random.default_rng(1).standard_normal((50, 3, 4)))
    >>> print(rl.verdict(run).partition(":")[0])
    the gradient vanishes
    """
    reaches = _reaches(run)
    if not reaches:
        raise ValueError(f"{run.name}: recorded no lag curve with a measurable decay; use longer inputs")
    worst = min(reaches, key=lambda reach: (reach.word != "vanishes", reach.horizon, reach.decades))
    if worst.word == "stays":
        worst = max(reaches, key=lambda reach: (reach.word == "explodes", -reach.decades))
    where = "the gradient" if len(reaches) == 1 else f"the gradient of layer {worst.layer}"
    others = [reach for reach in reaches if reach.word == "explodes" and reach is not worst]
    also = "".join(f"; that of layer {reach.layer} {reach.describe()}" for reach in others)
    return f"{where} {worst.describe()}{also}; try next: {_next_command(run, worst.word)}"


def _reaches(run: Run) -> list[_Reach]:
    """Return the reach of each layer with a measurable decay."""
    summary, layers = run.summary, int(run.config["layers"])
    longest, found = int(run.lag_curve().lags[-1]), []
    for layer in range(1, layers + 1):
        prefix = "grad/" if layers == 1 else f"grad/l{layer}."
        names = ("horizon", "log10_decay", "gain_tail")
        horizon, decades, gain = (float(summary.get(prefix + name, np.nan)) for name in names)
        if np.isfinite(horizon) and np.isfinite(gain):
            decades = decades if np.isfinite(decades) else -np.inf  # the gradient is 0 at the longest lag
            found.append(_Reach(layer, horizon, longest, decades, gain))
    return found


def _next_command(run: Run, word: str) -> str:
    """Return a command that compares remedies on the adding task, for networks of the same sizes."""
    cell = str(run.summary["cell"])
    axes = {"explodes": f"cell={cell} clip=null,1 lr=1e-3,1e-2", "stays": f"cell={cell} lr=1e-3,1e-2"}
    varied = REMEDIES.get((word, cell)) or axes.get(word, "cell=lstm,gru")
    sizes = f"hidden_size={run.config['hidden_size']} seq_len={run.config['seq_len']}"
    return f"python -m rnnlab -m task=adding {varied} {sizes}"
