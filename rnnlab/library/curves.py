"""Lag curves of networks and runs."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rnnlab.analysis.frames.run_tables import frame_of_curves
from rnnlab.arrays import Array
from rnnlab.diagnostics import LagSummary, lag_curves_of, summarize_lag_curve
from rnnlab.diagnostics.lag_curves import UNIT_DRAWS
from rnnlab.text import format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNIT_LOSS = "random unit vector"
"""Value of the column `loss` for lag curves without targets."""


@dataclass(frozen=True, eq=False)
class LagCurve:
    """Gradient norm of the loss at one time step τ, as a function of the lag k.

        g(k) = ‖∂ℓ/∂s[τ-k]‖      k = 0 … τ-1

    All values are base-10 logarithms of the geometric mean over the sequences of the batch.

    Attributes:
        frame: Data frame with one row per quantity and lag, and the columns of `load_gradients`; every
            drawing function accepts it.
        name: Name of the network or run.
        loss: Loss whose gradient was measured: `cross_entropy`, `squared_error` or `random unit vector`, and
            `last target` for a curve that a run recorded.

    >>> curve = rl.LagCurve.from_values(np.log10(0.5) * np.arange(50))
    >>> curve
    LagCurve(gain=0.5, horizon=7, regime='vanishing', lags=0…49, loss='own')
    """

    frame: pd.DataFrame
    name: str
    loss: str

    @classmethod
    def from_values(cls, log10_g: Any, name: str = "own network", loss: str = "own") -> "LagCurve":
        """Return the lag curve of a network that was measured elsewhere.

        Args:
            log10_g: Values of log10 g(k) for the lags k = 0 … K, shape (K+1,), or for several sequences,
                shape (K+1, B); -inf where g is 0, and NaN where g has no value.
            name: Name of the network.
            loss: Name of the loss.

        Raises:
            ValueError: If the array has the wrong shape or contains no numbers.

        >>> round(rl.LagCurve.from_values([0.0, -0.1, -0.2, -0.3]).gain, 3)
        0.794
        """
        try:
            values = np.asarray(log10_g, dtype=float)
        except (TypeError, ValueError) as error:
            raise ValueError(f"log10_g: must be an array of numbers ({error})") from None
        if values.ndim not in (1, 2) or len(values) < 2:
            shape = f"(lags,) or (lags, batch) with at least two lags, got {values.shape}"
            raise ValueError(f"log10_g: must have the shape {shape}")
        name, loss = str(name), str(loss)
        logs = {"state": values.reshape(len(values), -1) * np.log(10)}
        return cls.from_logs(logs, name, loss, cell=name)

    @classmethod
    def from_logs(cls, logs: dict[str, Array], name: str, loss: str, cell: str) -> "LagCurve":
        """Return a lag curve, given natural logarithms of g(k) by quantity, each of shape (K+1, B)."""
        frame = frame_of_curves(0, lag_curves_of(logs))
        return cls(with_labels(frame, run=name, cell=cell, loss=loss), name, loss)

    @cached_property
    def _state(self) -> pd.DataFrame:
        """Rows of the curve `state`: of all layers together, if there are several."""
        rows = self.frame[(self.frame["quantity"] == "state") & self.frame["lag"].notna()]
        rows = rows[rows["target"].isna()]
        ordered: pd.DataFrame = rows[rows["layer"] == rows["layer"].min()].sort_values("lag")
        return ordered

    @property
    def lags(self) -> Array:
        """Lags k = 0 … K.

        >>> rl.LagCurve.from_values([0.0, -0.1, -0.2]).lags
        array([0, 1, 2])
        """
        return self._state["lag"].to_numpy(dtype=np.int64)

    @property
    def log10_g(self) -> Array:
        """Values of log10 g(k) of the state, for all layers together; -inf where g is 0 in every sequence.

        >>> rl.LagCurve.from_values([0.0, -0.1, -0.2]).log10_g
        array([ 0. , -0.1, -0.2])
        """
        values = self._state["log10_gmean"].to_numpy(dtype=float)
        return np.where(self._state["zero_fraction"].to_numpy(dtype=float) == 1, -np.inf, values)

    @cached_property
    def summary(self) -> LagSummary:
        """All summary values of the curve, such as the gain, the half-life and the horizon.

        >>> rl.LagCurve.from_values([0.0, -0.1, -0.2, -0.3]).summary.regime
        'vanishing'
        """
        shares = self._state["zero_fraction"].to_numpy(dtype=float)
        return summarize_lag_curve(self.log10_g, None, shares)

    @property
    def gain(self) -> float | None:
        """Factor by which the gradient norm changes per time step of lag; None if the curve has no slope.

        >>> round(rl.LagCurve.from_values(np.log10(0.5) * np.arange(20)).gain, 6)
        0.5
        """
        return self.summary.gain

    @property
    def horizon(self) -> int | None:
        """Largest lag k with g(k) ≥ g(1)/100; a lower bound if it equals the last lag (`summary.censored`).

        >>> rl.LagCurve.from_values(np.log10(0.5) * np.arange(20)).horizon
        7
        """
        return self.summary.horizon

    def plot(self, ax: "Axes | None" = None, quantity: str = "state", relative: bool = True) -> "Axes":
        """Draw the curve, with its gain and horizon in the title.

        If the Axes already show a curve, the new one gets another colour, and a legend names all curves.

        Args:
            ax: Axes to draw on; None creates a new figure.
            quantity: Quantity whose curve is drawn: `state`, `h`, `c`, `x` or `dW_hh`.
            relative: True to draw g(k)/g(1) from lag 1; False to draw g(k) from lag 0.

        Returns:
            The Axes.

        Raises:
            ValueError: If the frame has no lag curve of the quantity.

        >>> ax = rl.LagCurve.from_values(np.log10(0.5) * np.arange(20)).plot()
        >>> print(ax.get_title(loc="left"))
        own network
        gain 0.5 per time step, horizon 7 (vanishing)
        """
        from rnnlab.analysis import draw_lag_curves
        from rnnlab.analysis.figures.style import PALETTE, add_legend, add_title

        earlier = [] if ax is None else list(ax.lines)
        drawn: Axes = draw_lag_curves(self.frame, ax, quantity, hue=None, relative=relative)
        first = f"{self.name}; loss: {self.loss}" if self.loss == UNIT_LOSS else self.name
        [line] = [line for line in drawn.lines if line not in earlier]
        line.set(label=f"{self.name}: {self._describe()}")
        if earlier:
            line.set_color(PALETTE[(len(earlier) - 1) % len(PALETTE)])
            add_title(drawn, f"Lag curves of {quantity}")
            add_legend(drawn, {str(line.get_label()): line for line in drawn.lines}, None, below=True)
        else:
            add_title(drawn, first, self._describe())
        return drawn

    def _describe(self) -> str:
        gain = format_number(self.gain, ".3g")
        bound = "≥ " if self.summary.censored else ""
        return f"gain {gain} per time step, horizon {bound}{self.horizon} ({self.summary.regime})"

    def __repr__(self) -> str:
        gain = None if self.gain is None else float(f"{self.gain:.4g}")
        end = self.lags[-1] if len(self.lags) else "none"
        loss = f"{self.loss}, geometric mean over {UNIT_DRAWS} draws" if self.loss == UNIT_LOSS else self.loss
        return (
            f"LagCurve(gain={gain}, horizon={self.horizon}, regime={self.summary.regime!r}, lags=0…{end}, "
            f"loss={loss!r})"
        )


def with_labels(frame: pd.DataFrame, **labels: str) -> pd.DataFrame:
    """Return a frame with a categorical first column for each label."""
    for position, (name, value) in enumerate(labels.items()):
        frame.insert(position, name, pd.Series([value] * len(frame), dtype="category"))
    return frame
