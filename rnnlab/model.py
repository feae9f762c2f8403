"""Cell, readout and loss as one model: forward to a tape, backward to gradients and deltas."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params
from rnnlab.cells import Cell, CellDeltas, CellTape, States
from rnnlab.cells.boundary import check_fields, check_params
from rnnlab.cells.weights import is_symbols
from rnnlab.initial_states import InitialState
from rnnlab.initializers import Init
from rnnlab.losses import Loss, losses_and_gradients, step_weights
from rnnlab.readout import Readout
from rnnlab.workspace import Workspace, by_feature


@dataclass(frozen=True)
class Batch:
    """Sequences to learn from.

    The network has an output at the last S time steps: S = T is one at every step, S = 1 one at the end.

    Attributes:
        x: Inputs, (T, B) symbols or (T, X, B) vectors.
        y: Targets of the last S steps, (S, B) classes or (S, Y, B) values.
        mask: Which of them count, (S, B) booleans; None: all.
        continues: Whether the sequences go on where the last batch's ended, so that its final state
            is the initial state here.
    """

    x: Array
    y: Array
    mask: Array | None = None
    continues: bool = False

    @property
    def size(self) -> int:
        """B."""
        return int(self.x.shape[-1])

    @property
    def time(self) -> int:
        """T."""
        return len(self.x)

    @property
    def first_output(self) -> int:
        """T - S, the number of time steps without an output."""
        return len(self.x) - len(self.y)


@dataclass(frozen=True)
class Tape:
    """A forward pass.

    Attributes:
        cell: The cell's tape.
        features: What the readout read, (H, S·B).
        outputs: o, (Y, S·B); of the cross-entropy the logits.
        losses: ℓ[t,b] of the last S steps, (S, B).
        weights: w[t,b], each loss's weight in the batch's loss, (S, B).
        d_outputs: ∂ℓ/∂o, not yet weighted, (Y, S·B).
        loss: L = Σ w ℓ.
        own_start: Whether the sequences started from the model's own initial state.
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
        """T - S, the number of time steps without an output."""
        return self.cell.time - len(self.losses)


@dataclass(frozen=True)
class Model:
    """A recurrent network with a readout.

    Attributes:
        cell: What carries the state.
        readout: From the hidden state to the output.
        initial_state: Where sequences start.
        loss: Of one target.
        loss_reduction: Over an example's targets in time.
    """

    cell: Cell
    readout: Readout
    initial_state: InitialState
    loss: Loss
    loss_reduction: Literal["mean", "sum"]

    def __post_init__(self) -> None:
        check_fields(self)

    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw all parameters: of the cell, W_hy and b_y of the readout, h_0 (and c_0) if learned."""
        params = self.cell.init_params(rng, init, dtype) | self.readout.init_params(rng, dtype)
        if self.initial_state.learned:
            shape = (self.cell.hidden_size, 1)
            for state in self.cell.states:
                with np.errstate(over="ignore"):  # infinite in float32: the run diverges, which is said
                    params[f"{state}_0"] = self.initial_state.draw(state, shape, rng).astype(dtype)
        return params

    def start(self, params: Params, batch: int, rng: np.random.Generator | None = None) -> States:
        """The model's own initial state, (H, B) each.

        Raises:
            ValueError: The initial state is random and there is no generator.
        """
        dtype = check_params(params, self.cell.param_shapes())
        H = self.cell.hidden_size
        if self.initial_state.learned:
            check_params(params, {f"{name}_0": (H, 1) for name in self.cell.states})
            return {name: np.repeat(params[f"{name}_0"], batch, axis=1) for name in self.cell.states}
        return {
            name: self.initial_state.draw(name, (H, batch), rng).astype(dtype) for name in self.cell.states
        }

    def forward(
        self,
        params: Params,
        batch: Batch,
        initial: States | None = None,
        workspace: Workspace | None = None,
        rng: np.random.Generator | None = None,
    ) -> Tape:
        """Run the network over a batch.

        L = Σ_{t,b} w[t,b] ℓ[t,b], the mean over examples of the mean or sum over their targets.

        Args:
            params: As `init_params` draws them.
            batch: Inputs and targets; vectors and values are taken in the parameters' dtype.
            initial: The states to start from, (H, B) each; None is the model's own initial state.
            workspace: Buffers to reuse; what was returned from them before is overwritten.
            rng: For an initial state that is random.

        Raises:
            ValueError: Parameters, inputs, targets or mask of a wrong shape, dtype or range.
        """
        workspace = workspace or Workspace()
        dtype = check_params(params, self.readout.param_shapes())
        batch = _of_dtype(batch, dtype)
        _check_batch(batch, self.loss, self.readout.output_size)
        own_start = initial is None
        start = self.start(params, batch.size, rng) if initial is None else initial
        cell_tape = self.cell.forward(params, batch.x, start, workspace)
        h = cell_tape.states["h"][1 + batch.first_output :]
        outputs, features = self.readout.forward(params, h, workspace)
        y = batch.y.reshape(-1) if batch.y.ndim == 2 else by_feature(batch.y, workspace, "y")
        losses, d_outputs = losses_and_gradients(self.loss, outputs, y, workspace)
        losses = losses.reshape(len(batch.y), batch.size)
        weights = step_weights(batch.mask, *losses.shape, self.loss_reduction)
        # Where there is no target the loss is left out, not multiplied by 0: it may be infinite.
        present = weights > 0
        loss = np.sum(losses[present] * weights[present]).item()
        return Tape(cell_tape, features, outputs, losses, weights, d_outputs, loss, own_start)

    def backward(
        self, params: Params, tape: Tape, workspace: Workspace | None = None, with_dx: bool = True
    ) -> tuple[Params, CellDeltas]:
        """Gradients of all parameters, under their names, and the cell's deltas.

        Without `with_dx`, those of the inputs are left out.
        """
        workspace = workspace or Workspace()
        do = workspace.array("weighted_do", tape.d_outputs.shape, tape.d_outputs.dtype)
        np.multiply(tape.d_outputs, tape.weights.reshape(-1).astype(do.dtype), out=do)
        absent = tape.weights.reshape(-1) == 0
        if absent.any():
            do[:, absent] = 0  # and not 0 times what may not be finite
        readout_grads, e = self.readout.backward(params, tape.features, do, len(tape.losses), workspace)
        deltas = self.cell.backward(params, tape.cell, e, workspace, with_dx)
        grads = deltas.grads | readout_grads
        if self.initial_state.learned:
            for name, d_initial in deltas.initial.items():
                share = d_initial if tape.own_start else np.zeros_like(d_initial)
                grads[f"{name}_0"] = share.sum(axis=1, keepdims=True)
        return grads, deltas


def _of_dtype(batch: Batch, dtype: np.dtype[Any]) -> Batch:
    """The same batch with its vectors and values in the parameters' precision."""

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
        raise ValueError(f"x: expected (time, batch) or (time, features, batch), got shape {x.shape}")
    if y.ndim < 1 or not 1 <= len(y) <= len(x):
        raise ValueError(f"y: expected targets of 1 to {len(x)} time steps, as x has, got shape {y.shape}")
    shape, values_shape = (len(y), batch.size), (len(y), output_size, batch.size)
    classes = y.shape == shape and is_symbols(y)
    values = loss == "squared_error" and y.shape == values_shape and y.dtype.kind == "f"
    if not classes and not values:
        expected = f"integers of shape {shape}"
        if loss == "squared_error":
            expected += f" or values of shape {values_shape}"
        raise ValueError(f"y: expected {expected}, as x, got {y.dtype} of shape {y.shape}")
    if mask is not None and (mask.shape != shape or mask.dtype != bool):
        raise ValueError(
            f"mask: expected booleans of shape {shape}, as y, got {mask.dtype} of shape {mask.shape}"
        )
