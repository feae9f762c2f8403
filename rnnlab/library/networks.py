"""Networks outside a run: construction, forward passes and measurements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.analysis.frames.run_tables import frame_of_curves
from rnnlab.app.config.build import build_network
from rnnlab.arrays import Array, Params, copy_params
from rnnlab.blas import one_blas_thread
from rnnlab.cells import CellTape, layers_of
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
from rnnlab.interop import flax_layout, keras_layout, onnx_layout, torch_layout
from rnnlab.library.composing import compose_network, mistakes_as_value_errors
from rnnlab.library.curves import UNIT_LOSS, LagCurve, with_labels
from rnnlab.library.inputs import AXES, read_batch, read_inputs, refuse_mask_without_targets
from rnnlab.library.layer_weights import layer_weights
from rnnlab.model import Batch, Model
from rnnlab.workspace import Workspace

MAX_WARM_UP = 100
"""Maximum number of time steps that `Network.lyapunov` excludes at each end by default."""
MAX_EXPONENTS = 8
"""Number of Lyapunov exponents that `Network.lyapunov` returns by default."""


def network(
    cell: str | None = None,
    *,
    inputs: int,
    hidden: int | None = None,
    outputs: int = 1,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    **keys: Any,
) -> "Network":
    """Return an untrained network with the initial weights that a run of the same seed has.

    Args:
        cell: Name of the cell, such as `rnn`, `lstm` or `gru`.
        inputs: Number X of input features, or of symbols.
        hidden: Number H of hidden units in each layer.
        outputs: Number Y of outputs of the readout.
        seed: Seed of the weights.
        overrides: Further settings as on the command line, such as `"cell.forget_bias=1"`.
        **keys: Configuration keys of a network: `layers`, `residual`, `init`, `initial_state`, `dtype`,
            `loss`, `loss_reduction` and `readout_bias`. Keys that are not given have the defaults in `conf/`.

    Raises:
        ValueError: If a key or a value is invalid; the message has one line per mistake.

    >>> net = rl.network("lstm", inputs=3, hidden=16, outputs=2, seed=0, overrides=["cell.forget_bias=1"])
    >>> net
    Network(lstm, inputs=3, hidden=16, outputs=2, layers=1, dtype=float32, parameters=1314)
    """
    name, choice, config = compose_network(cell, inputs, hidden, outputs, seed, overrides, keys)
    with mistakes_as_value_errors():
        settings, model, params = build_network(config, int(inputs), int(outputs), "squared_error")
    return Network(name, choice, model, params, settings.seed, settings.loss is not None)


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """A recurrent network with its parameters; `network` and `Run.network` create it.

    Inputs `x` are arrays of real numbers with the axes (time, features, batch), or of integer symbols with
    the axes (time, batch). `axes="btf"` accepts arrays with the axes (batch, time, features) instead.
    A single sequence, (time, features), is a batch of one. Time steps are numbered from 1 to T.

    Attributes:
        name: Name of the network, such as `lstm hidden_size=16`.
        cell: Name of the cell.
        model: Equations of the network.
        params: Parameters by name, as in the derivations (`W_xh`, `W_hh`, …). The arrays may be changed in
            place.
        seed: Seed of the initial weights, and of random initial states.
        has_own_loss: True if the loss was chosen explicitly; otherwise, integer targets select the
            cross-entropy and real-valued targets the squared error.

    >>> net = rl.network("lstm", inputs=3, hidden=16, outputs=2)
    >>> net.inputs, net.hidden, net.outputs, net.layers, net.params["W_hh"].shape
    (3, 16, 2, 1, (64, 16))
    """

    name: str
    cell: str
    model: Model
    params: Params
    seed: int
    has_own_loss: bool = False

    @property
    def inputs(self) -> int:
        """Number X of input features or symbols."""
        return self.model.cell.input_size

    @property
    def hidden(self) -> int:
        """Number H of hidden units in each layer."""
        return self.model.cell.hidden_size

    @property
    def outputs(self) -> int:
        """Number Y of outputs."""
        return self.model.readout.output_size

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(layers_of(self.model.cell))

    @property
    def dtype(self) -> str:
        """Data type of the parameters."""
        return str(next(iter(self.params.values())).dtype)

    @property
    def state_size(self) -> int:
        """Size n of the full state, which is H for each state of each layer.

        >>> rl.network("lstm", inputs=3, hidden=16).state_size
        32
        """
        return sum(self.model.cell.state_sizes.values())

    def states(self, x: Any, axes: str = AXES) -> dict[str, Array]:
        """Return the values of each state over time, as arrays of shape (T+1, H, B); index 0 is s[0].

        Args:
            x: Inputs.
            axes: Order of the axes of `x`.

        Raises:
            ValueError: If `x` does not fit the network.

        >>> net = rl.network("lstm", inputs=3, hidden=16)
        >>> {name: h.shape for name, h in net.states(np.zeros((50, 3, 4))).items()}
        {'h': (51, 16, 4), 'c': (51, 16, 4)}
        """
        tape = self._forward(x, axes)
        return {name: values.copy() for name, values in tape.states.items()}

    def predict(self, x: Any, axes: str = AXES) -> Array:
        """Return the outputs o[t] = W_hy h[t] + b_y at every time step, shape (T, Y, B).

        Args:
            x: Inputs.
            axes: Order of the axes of `x`.

        Raises:
            ValueError: If `x` does not fit the network.

        >>> rl.network("rnn", inputs=3, hidden=16, outputs=2).predict(np.zeros((50, 3, 4))).shape
        (50, 2, 4)
        """
        tape = self._forward(x, axes)
        with np.errstate(all="ignore"):
            outputs, _ = self.model.readout.forward(self.params, tape.outputs, Workspace())
        return outputs.reshape(self.outputs, tape.time, -1).transpose(1, 0, 2)

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
        _check_range("seed", seed, 0, None, "integers")
        if y is None:
            refuse_mask_without_targets(mask)
            tape = self._forward(x, axes, until=target)
            with np.errstate(all="ignore"):
                logs = ln_unit_lag_curves(self.model.cell, self.params, tape, seed)
            return LagCurve.from_logs(logs, self.name, UNIT_LOSS, self.cell)
        model, batch = self._with_targets(x, y, mask, axes)
        if target is not None:
            _check_range("target", target, 1, batch.time, "time steps")
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
        _check_range("seed", seed, 0, None, "integers")
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
        _check_range("t", t, 1, tape.time, "time steps")
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
            _check_range("lags", lag, 1, tape.time, "lags")
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
        _check_range("exponents", exponents, 1, None, "integers")
        _check_range("warm_up", excluded, 0, None, "integers")
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

    def to_torch_state_dict(self) -> dict[str, Array]:
        """Return the weights of the recurrent layers with the names and the gate order of torch.

        torch adds two biases; the second is 0 here, except for the bias b_hn of a GRU.

        Raises:
            ValueError: If torch has no such network.

        >>> state = rl.network("rnn", inputs=3, hidden=16).to_torch_state_dict()
        >>> {name: w.shape for name, w in state.items()}
        {'weight_ih_l0': (16, 3), 'weight_hh_l0': (16, 16), 'bias_ih_l0': (16,), 'bias_hh_l0': (16,)}
        """
        return torch_layout.write(layer_weights(self.model.cell, self.params))

    def to_keras_weights(self) -> list[list[Array]]:
        """Return the arguments of `set_weights` of the Keras layer of each layer.

        Raises:
            ValueError: If Keras has no such network.

        >>> [w.shape for w in rl.network("gru", inputs=3, hidden=16).to_keras_weights()[0]]
        [(3, 48), (16, 48), (2, 48)]
        """
        return keras_layout.write(layer_weights(self.model.cell, self.params))

    def to_flax_params(self) -> list[dict[str, dict[str, Array]]]:
        """Return the parameters of the flax.linen cell of each layer.

        Raises:
            ValueError: If flax has no such network.

        >>> rl.network("lstm", inputs=3, hidden=16).to_flax_params()[0]["ii"]["kernel"].shape
        (3, 16)
        """
        return flax_layout.write(layer_weights(self.model.cell, self.params))

    def to_onnx_arrays(self) -> list[dict[str, Array]]:
        """Return the inputs W, R and B of the ONNX operator of each layer.

        A GRU requires the attribute `linear_before_reset=1`, unless it has `reset_after=false`.

        Raises:
            ValueError: If ONNX has no such network.

        >>> [arrays] = rl.network("lstm", inputs=3, hidden=16).to_onnx_arrays()
        >>> {name: w.shape for name, w in arrays.items()}
        {'W': (1, 64, 3), 'R': (1, 64, 16), 'B': (1, 128)}
        """
        return onnx_layout.write(layer_weights(self.model.cell, self.params))

    def _forward(self, x: Any, axes: str, until: int | None = None) -> CellTape:
        """Return the tape of a forward pass over the inputs, or over their first `until` time steps."""
        inputs = read_inputs(x, axes, self.inputs, self.dtype)
        if until is not None:
            _check_range("target", until, 1, len(inputs), "time steps")
            inputs = inputs[:until]
        start = self.model.start(self.params, inputs.shape[-1], self._start_rng())
        with np.errstate(all="ignore"):
            return self.model.cell.forward(self.params, inputs, start)

    def _with_targets(self, x: Any, y: Any, mask: Any, axes: str) -> tuple[Model, Batch]:
        """Return the model, with the loss that suits the targets, and the batch."""
        batch, loss = read_batch(x, y, mask, axes, self.inputs, self.outputs, self.dtype)
        return self.model if self.has_own_loss else replace(self.model, loss=loss), batch

    def _start_rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def _frame(self, found: Sequence[Any], loss: str) -> pd.DataFrame:
        return with_labels(frame_of_curves(0, found), run=self.name, cell=self.cell, loss=loss)

    def __repr__(self) -> str:
        sizes = ("inputs", "hidden", "outputs", "layers", "dtype")
        values = ", ".join(f"{name}={getattr(self, name)}" for name in sizes)
        return f"Network({self.cell}, {values}, parameters={count_parameters(self.params)})"


def count_parameters(params: Mapping[str, Array]) -> int:
    """Return the total number of parameters."""
    return sum(array.size for array in params.values())


def _check_range(argument: str, value: Any, low: int, high: int | None, what: str) -> None:
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < low or (high is not None and value > high):
        allowed = f"{low} or more" if high is None else f"{low} to {high}"
        raise ValueError(f"{argument}={value!r}: allowed are the {what} {allowed}")
