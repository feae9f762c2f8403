"""Measurements of a network: lag curves, gradient norms, Jacobians, singular values and exponents."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.analysis.frames.run_tables import frame_of_curves
from rnnlab.arrays import Array, copy_params
from rnnlab.blas import one_blas_thread
from rnnlab.diagnostics import (
    ProbeInputs,
    Snapshot,
    ln_lag_curves,
    ln_unit_lag_curves,
    log_singular_values,
    measure_norms,
    norms_by_timestep_of,
    state_jacobians,
)
from rnnlab.diagnostics.lyapunov import local_exponents
from rnnlab.diagnostics.statistics import BLOCKS, standard_error
from rnnlab.library.curves import UNIT_LOSS, LagCurve, with_labels
from rnnlab.library.inputs import AXES, refuse_mask_without_targets
from rnnlab.library.network_base import NetworkBase, check_range
from rnnlab.workspace import Workspace

MAX_WARM_UP = 100
"""Maximum number of time steps that `Network.lyapunov` excludes at each end by default."""
MAX_EXPONENTS = 8
"""Number of Lyapunov exponents that `Network.lyapunov` returns by default."""


class Measured(NetworkBase):
    """Methods of a network that measure its gradient through time."""

    @one_blas_thread()
    def lag_curve(
        self,
        x: Any,
        y: Any = None,
        *,
        mask: Any = None,
        target: int | None = None,
        axes: str = AXES,
        seed: int = 0,
    ) -> LagCurve:
        """Return the gradient norm of the loss at one time step τ as a function of the lag.

            g(k) = ‖∂ℓ_τ/∂s[τ-k]‖

        Without targets, ℓ = wᵀ h[T], where w is a random unit vector on the output of the top layer, and g(k)
        is the geometric mean over 32 draws of w. With targets, ℓ is the loss of the readout's output.

        Args:
            x: Inputs.
            y: Targets at the last S time steps: integer classes, shape (S, B), or real numbers, shape
                (S, Y, B); None for the random loss.
            mask: True where a target counts, shape (S, B); None for all targets.
            target: Time step τ of the loss, 1 … T; None selects the last target of each sequence.
            axes: Order of the axes of all arrays.
            seed: Seed of the draws of w.

        Raises:
            ValueError: If an array does not fit the network, or if no sequence has a target at `target`.

        >>> net = rl.network("rnn", inputs=3, hidden=16, overrides=["init.W_hh.gain=1.2"])
        >>> x = np.random.default_rng(1).standard_normal((50, 3, 4))
        >>> net.lag_curve(x).loss
        'random unit vector'
        >>> net.lag_curve(x, np.zeros((50, 1, 4))).loss
        'squared_error'
        """
        check_range("seed", seed, 0, None, "integers")
        if y is None:
            refuse_mask_without_targets(mask)
            tape = self._forward(x, axes, until=target)
            with np.errstate(all="ignore"):
                logs = ln_unit_lag_curves(self.model.cell, self.params, tape, seed)
            return LagCurve.from_logs(logs, self.name, UNIT_LOSS, self.cell)
        model, batch = self._with_targets(x, y, mask, axes)
        if target is not None:
            check_range("target", target, 1, batch.time, "time steps")
        with np.errstate(all="ignore"):
            logs = ln_lag_curves(model, self.params, batch, rng=self._start_rng(), target=target)
        if not logs:
            steps = f"{batch.first_output + 1} to {batch.time}"
            raise ValueError(f"target={target}: no target at this time step; y has targets at {steps}")
        return LagCurve.from_logs(logs, self.name, model.loss, self.cell)

    @one_blas_thread()
    def gradient_norms(
        self, x: Any, y: Any = None, *, mask: Any = None, axes: str = AXES, seed: int = 0
    ) -> pd.DataFrame:
        """Return gradient norms by time step, with one row per quantity and time step.

        With targets, the norms are those of the batch loss, as a run records them: `h`, `c`, `state`, `z`
        and `x` of the total gradient, `h_immediate` … of the loss at the same time step alone, and `h_norm`
        … of the states. Without targets, the loss is that of `lag_curve`, at the last time step.

        Args:
            x: Inputs.
            y: Targets, as in `lag_curve`; None for the random loss.
            mask: True where a target counts; None for all targets.
            axes: Order of the axes of all arrays.
            seed: Seed of the draws of w.

        Returns:
            Data frame with the columns of `load_gradients`; `log10_gmean` is the base-10 logarithm of the
            geometric mean over the sequences.

        Raises:
            ValueError: If an array does not fit the network.

        >>> net = rl.network("rnn", inputs=3, hidden=16, outputs=2)
        >>> x = np.random.default_rng(1).standard_normal((50, 3, 4))
        >>> norms = net.gradient_norms(x, np.zeros((1, 2, 4)))
        >>> norms.groupby("quantity", observed=True)["timestep"].agg(["min", "max"]).loc["h"].tolist()
        [1, 50]
        """
        check_range("seed", seed, 0, None, "integers")
        if y is None:
            refuse_mask_without_targets(mask)
            tape = self._forward(x, axes)
            with np.errstate(all="ignore"):
                logs = ln_unit_lag_curves(self.model.cell, self.params, tape, seed)
            return self._frame(norms_by_timestep_of(logs), UNIT_LOSS)
        model, batch = self._with_targets(x, y, mask, axes)
        with np.errstate(all="ignore"):
            passed = model.forward(self.params, batch, rng=self._start_rng())
            grads, deltas = model.backward(self.params, passed, with_dx=False, scaled=True)
            inputs = ProbeInputs(batch, lambda _: batch, self.seed)
            snapshot = Snapshot(0, model, self.params, passed, deltas, grads, {}, inputs, None, Workspace())
            return self._frame(measure_norms(snapshot).curves, model.loss)

    def state_jacobian(self, x: Any, t: int, axes: str = AXES) -> Array:
        """Return the Jacobian ∂s[t]/∂s[t-1] of each sequence, in float64.

        s is the full state; for an LSTM, its first H entries are h and its last H entries are c.

        Args:
            x: Inputs.
            t: Time step, 1 … T.
            axes: Order of the axes of `x`.

        Returns:
            Array of shape (B, n, n), where n is `state_size`.

        Raises:
            ValueError: If `x` does not fit the network, or if `t` is not a time step of `x`.

        >>> net = rl.network("lstm", inputs=3, hidden=16)
        >>> net.state_jacobian(np.zeros((50, 3, 4)), t=50).shape
        (4, 32, 32)
        """
        tape = self._forward(x, axes)
        check_range("t", t, 1, tape.time, "time steps")
        with np.errstate(all="ignore"):
            wide = copy_params(self.params, np.float64)
            return state_jacobians(self.model.cell, wide, tape.step(int(t)), tape.x.shape[-1])

    @one_blas_thread()
    def singular_values(self, x: Any, lags: Sequence[int] | None = None, axes: str = AXES) -> pd.DataFrame:
        """Return the largest and smallest singular values of ∂s[T]/∂s[T-k] for each lag and sequence.

        Args:
            x: Inputs.
            lags: Lags k in 1 … T; None for all of them.
            axes: Order of the axes of `x`.

        Returns:
            Data frame with the columns `lag`, `example` (from 0), `log10_sv_max` and `log10_sv_min`, which
            are base-10 logarithms; NaN if a Jacobian is singular or not finite.

        Raises:
            ValueError: If `x` does not fit the network, or if a lag is out of range.

        >>> net = rl.network("rnn", inputs=3, hidden=16)
        >>> x = np.random.default_rng(1).standard_normal((50, 3, 4))
        >>> net.singular_values(x, lags=[1, 10, 49]).groupby("lag")["log10_sv_max"].mean().round(1).to_dict()
        {1: -0.0, 10: -1.1, 49: -5.9}
        """
        tape = self._forward(x, axes)
        chosen = np.arange(1, tape.time + 1) if lags is None else np.array(sorted(set(lags)), dtype=object)
        if not len(chosen):
            raise ValueError(f"lags={lags!r}: must contain at least one lag")
        for lag in chosen:
            check_range("lags", lag, 1, tape.time, "lags")
        chosen, examples = chosen.astype(np.int64), tape.x.shape[-1]
        with np.errstate(all="ignore"):
            pair = log_singular_values(self.model.cell, self.params, tape, chosen, examples)
        largest, smallest = (logs.ravel() / np.log(10) for logs in pair)
        index = {"lag": np.repeat(chosen, examples), "example": np.tile(np.arange(examples), len(chosen))}
        return pd.DataFrame(index | {"log10_sv_max": largest, "log10_sv_min": smallest})

    @one_blas_thread()
    def lyapunov(
        self, x: Any, exponents: int = MAX_EXPONENTS, warm_up: int | None = None, axes: str = AXES
    ) -> pd.DataFrame:
        """Return the largest Lyapunov exponents along each sequence, in nats per time step.

        Args:
            x: Inputs.
            exponents: Maximum number of exponents for each sequence.
            warm_up: Number of time steps at each end that are excluded from the average; None for a tenth of
                the sequence, but at most 100. At least 10 time steps must remain.
            axes: Order of the axes of `x`.

        Returns:
            Data frame with the columns `example` (from 0), `exponent` (from 1, in descending order),
            `lyapunov_nats` and `standard_error_nats`.

        Raises:
            ValueError: If `x` does not fit the network, or if the sequences are too short.

        >>> net = rl.network("rnn", inputs=3, hidden=16, overrides=["init.W_hh.gain=0.5"])
        >>> net.lyapunov(np.zeros((200, 3, 1)), exponents=2)["lyapunov_nats"].lt(0).all()
        np.True_
        """
        tape = self._forward(x, axes)
        excluded = min(MAX_WARM_UP, tape.time // 10) if warm_up is None else warm_up
        check_range("exponents", exponents, 1, None, "integers")
        check_range("warm_up", excluded, 0, None, "integers")
        if tape.time - 2 * excluded < BLOCKS:
            raise ValueError(
                f"x: has {tape.time} time steps; must have at least {2 * excluded + BLOCKS} with "
                f"warm_up={excluded}, so that {BLOCKS} remain"
            )
        frames = []
        with np.errstate(all="ignore"):
            for b in range(tape.x.shape[-1]):
                local = local_exponents(self.model.cell, self.params, tape.example(b), excluded, exponents)
                columns = {"lyapunov_nats": local.mean(axis=0), "standard_error_nats": standard_error(local)}
                index = {"example": b, "exponent": np.arange(1, local.shape[1] + 1)}
                frames.append(pd.DataFrame(index | columns))
        return pd.concat(frames, ignore_index=True)

    def _frame(self, found: Sequence[Any], loss: str) -> pd.DataFrame:
        return with_labels(frame_of_curves(0, found), run=self.name, cell=self.cell, loss=loss)
