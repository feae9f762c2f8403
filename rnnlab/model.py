"""Recurrent network with a cell, a readout and a loss."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params
from rnnlab.cells import Cell, CellDeltas, CellTape, States
from rnnlab.engine.arguments import check_fields, check_params
from rnnlab.engine.weights import is_symbols
from rnnlab.initial_states import InitialState
from rnnlab.initializers import Init
from rnnlab.losses import Loss, losses_and_gradients, step_weights
from rnnlab.readout import Readout
from rnnlab.workspace import Workspace, by_feature


@dataclass(frozen=True)
class Batch:
    """A batch of sequences with targets.

    The network produces an output at each of the last S of the T time steps. S = T means an output at every
    time step, and S = 1 means a single output at the last time step.

    Attributes:
        x: Inputs: symbols, shape (T, B), or vectors, shape (T, X, B).
        y: Targets at the last S time steps: integer classes, shape (S, B), or real-valued targets, shape (S,
            Y, B).
        mask: Boolean mask of shape (S, B), True where a target contributes to the loss. None means that all
            targets contribute.
        continues: True if this batch continues the sequences of the previous batch. The final state of the
            previous batch is then the initial state of this batch.
    """

    x: Array
    y: Array
    mask: Array | None = None
    continues: bool = False

    @property
    def size(self) -> int:
        """Batch size B."""
        return int(self.x.shape[-1])

    @property
    def time(self) -> int:
        """Number of time steps T."""
        return len(self.x)

    @property
    def first_output(self) -> int:
        """Number of leading time steps without an output, T - S."""
        return len(self.x) - len(self.y)


@dataclass(frozen=True)
class Tape:
    """Results of a forward pass.

    Attributes:
        cell: Tape of the cell.
        features: Input to the readout, shape (H, S·B).
        outputs: Outputs o, shape (Y, S·B); with the cross-entropy loss, the outputs are logits.
        losses: Losses ℓ[t,b] at the last S time steps, shape (S, B).
        weights: Weights w[t,b] of the losses in the batch loss, shape (S, B).
        d_outputs: Unweighted gradients ∂ℓ/∂o, shape (Y, S·B).
        loss: Batch loss, L = Σ w ℓ.
        own_start: True if the forward pass used the model's own initial state rather than a state passed by
            the caller.
    """

    cell: CellTape
    features: Array
    outputs: Array
    losses: Array
    weights: Array
    d_outputs: Array
    loss: float
    own_start: bool

    @property
    def first_output(self) -> int:
        """Number of leading time steps without an output, T - S."""
        return self.cell.time - len(self.losses)


@dataclass(frozen=True)
class Model:
    """A recurrent network with a readout.

    Attributes:
        cell: Recurrent cell.
        readout: Affine map from the hidden state to the output.
        initial_state: Initial state of each sequence.
        loss: Name of the loss function applied to each target.
        loss_reduction: Reduction over the targets of an example: mean or sum.
    """

    cell: Cell
    readout: Readout
    initial_state: InitialState
    loss: Loss
    loss_reduction: Literal["mean", "sum"]

    def __post_init__(self) -> None:
        check_fields(self)

    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw the parameters of the cell and readout, and the initial state (h_0, c_0) if it is learned."""
        params = self.cell.init_params(rng, init, dtype) | self.readout.init_params(rng, dtype)
        if self.initial_state.learned:
            for state, size in self.cell.state_sizes.items():
                with np.errstate(over="ignore"):  # on overflow in float32, the run is reported as diverged
                    params[f"{state}_0"] = self.initial_state.draw(state, (size, 1), rng).astype(dtype)
        return params

    def start(self, params: Params, batch: int, rng: np.random.Generator | None = None) -> States:
        """Return the model's initial value of each state, shape (H, B).

        Raises:
            ValueError: If the initial state is random and `rng` is None.
        """
        return self._start(params, batch, check_params(params, self.cell.param_shapes()), rng)

    def _start(
        self, params: Params, batch: int, dtype: np.dtype[Any], rng: np.random.Generator | None
    ) -> States:
        sizes = self.cell.state_sizes
        if self.initial_state.learned:
            check_params(params, {f"{name}_0": (size, 1) for name, size in sizes.items()})
            return {name: np.repeat(params[f"{name}_0"], batch, axis=1) for name in sizes}
        return {
            name: self.initial_state.draw(name, (size, batch), rng).astype(dtype)
            for name, size in sizes.items()
        }

    def forward(
        self,
        params: Params,
        batch: Batch,
        initial: States | None = None,
        workspace: Workspace | None = None,
        rng: np.random.Generator | None = None,
    ) -> Tape:
        """Run the forward pass on a batch.

        The batch loss is L = Σ_{t,b} w[t,b] ℓ[t,b]. The weights w are chosen such that L is the mean loss
        over the examples of the batch; the loss of one example is the mean or the sum of the losses at its
        targets.

        Args:
            params: Parameters, with the names and shapes produced by `init_params`.
            batch: Inputs and targets; floating-point arrays are converted to the parameters' dtype.
            initial: Initial value of each state variable, shape (H, B); None selects the model's own initial
                state.
            workspace: Buffers to reuse; each call overwrites the results of earlier calls with the same
                workspace.
            rng: Random number generator; required for a random initial state.

        Raises:
            ValueError: If the shape, dtype or values of the parameters, inputs, targets or mask are invalid.
        """
        workspace = workspace or Workspace()
        dtype = check_params(params, self._readout_shapes)
        batch = _of_dtype(batch, dtype)
        _check_batch(batch, self.loss, self.readout.output_size)
        own_start = initial is None
        start = self._start(params, batch.size, dtype, rng) if initial is None else initial
        cell_tape = self.cell.forward(params, batch.x, start, workspace)
        h = cell_tape.outputs[batch.first_output :]
        outputs, features = self.readout.forward(params, h, workspace)
        y = batch.y.reshape(-1) if batch.y.ndim == 2 else by_feature(batch.y, workspace, "y")
        losses, d_outputs = losses_and_gradients(self.loss, outputs, y, workspace)
        losses = losses.reshape(len(batch.y), batch.size)
        if batch.mask is None:
            shape = losses.shape
            weights = workspace.latest(
                "weights", (self.loss_reduction, *shape), lambda: self._weights(None, *shape)
            )
            loss = np.add.reduce(losses * weights, axis=None).item()
        else:
            weights = self._weights(batch.mask, *losses.shape)
            # Exclude losses without a target instead of multiplying them by 0: they may be infinite.
            present = weights > 0
            loss = np.sum(losses[present] * weights[present]).item()
        return Tape(cell_tape, features, outputs, losses, weights, d_outputs, loss, own_start)

    @cached_property
    def _readout_shapes(self) -> dict[str, tuple[int, int]]:
        return self.readout.param_shapes()

    def _weights(self, mask: Array | None, time: int, batch: int) -> Array:
        """Return the weights of the losses as a read-only array."""
        weights = step_weights(mask, time, batch, self.loss_reduction)
        weights.flags.writeable = False
        return weights

    def backward(
        self,
        params: Params,
        tape: Tape,
        workspace: Workspace | None = None,
        with_dx: bool = True,
        scaled: bool = False,
    ) -> tuple[Params, CellDeltas]:
        """Return the gradients keyed by parameter name, and the result of the cell's backward pass.

        The arguments `with_dx` and `scaled` are those of `Cell.backward`.
        """
        workspace = workspace or Workspace()
        do = workspace.array("weighted_do", tape.d_outputs.shape, tape.d_outputs.dtype)
        weights, absent = workspace.prepared(
            "weights of do", (tape.weights, do.dtype), lambda: _flat_weights(tape.weights, do.dtype)
        )
        np.multiply(tape.d_outputs, weights, out=do)
        if absent is not None:
            do[:, absent] = 0  # a non-finite gradient times the weight 0 is NaN
        readout_grads, e = self.readout.backward(params, tape.features, do, len(tape.losses), workspace)
        deltas = self.cell.backward(params, tape.cell, e, workspace, with_dx, scaled)
        grads = deltas.grads | readout_grads
        if self.initial_state.learned:
            for name, d_initial in deltas.initial.items():
                share = d_initial if tape.own_start else np.zeros_like(d_initial)
                grads[f"{name}_0"] = share.sum(axis=1, keepdims=True)
        return grads, deltas


def _flat_weights(weights: Array, dtype: np.dtype[Any]) -> tuple[Array, Array | None]:
    """Return the weights as a vector of a data type, and a mask of those that are 0 if there are any."""
    absent = weights.reshape(-1) == 0
    return weights.reshape(-1).astype(dtype), absent if absent.any() else None


def _of_dtype(batch: Batch, dtype: np.dtype[Any]) -> Batch:
    """Return the batch with floating-point arrays converted to the parameters' dtype."""

    def cast(a: Array) -> Array:
        kinds = a.dtype.kind + dtype.kind if isinstance(a, np.ndarray) else ""
        return a.astype(dtype, copy=False) if kinds == "ff" else a

    x, y = cast(batch.x), cast(batch.y)
    return batch if x is batch.x and y is batch.y else replace(batch, x=x, y=y)


def _check_batch(batch: Batch, loss: Loss, output_size: int) -> None:
    x, y, mask = batch.x, batch.y, batch.mask
    for name, array in {"x": x, "y": y, "mask": mask}.items():
        if not isinstance(array, np.ndarray) and not (name == "mask" and array is None):
            raise ValueError(f"{name}: expected an array, got a {type(array).__name__}")
    if x.ndim < 2:
        raise ValueError(f"x: expected shape (time, batch) or (time, features, batch), got {x.shape}")
    if y.ndim < 1 or not 1 <= len(y) <= len(x):
        raise ValueError(
            f"y: expected targets for 1 to {len(x)} time steps (x has {len(x)}), got shape {y.shape}"
        )
    shape, values_shape = (len(y), batch.size), (len(y), output_size, batch.size)
    classes = y.shape == shape and is_symbols(y)
    values = loss == "squared_error" and y.shape == values_shape and y.dtype.kind == "f"
    if not classes and not values:
        expected = f"integers of shape {shape}"
        if loss == "squared_error":
            expected += f" or floats of shape {values_shape}"
        raise ValueError(f"y: expected {expected} to match x, got {y.dtype} of shape {y.shape}")
    if mask is not None and (mask.shape != shape or mask.dtype != bool):
        raise ValueError(
            f"mask: expected booleans of shape {shape} to match y, got {mask.dtype} of shape {mask.shape}"
        )
