"""Small networks and batches for all gradient tests.

The cells are those of conf/cell with all of their options, so a new file there adds a cell to the tests. All
sizes differ, so a wrong transpose cannot fit by chance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from pydoc import locate
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import yaml

from rnnlab.arrays import Array, Params
from rnnlab.cells import GRU, LSTM, Cell, CellTape, GRUResetBefore, Vanilla
from rnnlab.initial_states import Learned, Zero
from rnnlab.initializers import Init, Initializer
from rnnlab.model import Batch, Model, Tape
from rnnlab.readout import Readout

TIME, BATCH, INPUTS, HIDDEN, OUTPUTS = 5, 3, 6, 4, 7

NORMAL = Init(*[Initializer("normal", 1.0)] * 3)
TANH = Vanilla(INPUTS, HIDDEN, "tanh", bias=True)
GATED = LSTM(INPUTS, HIDDEN, "tanh", bias=True, forget_bias=1.0)
RESET = GRU(INPUTS, HIDDEN, bias=True, reset_after=True)

MASKS = {
    "every step": None,
    "middle steps": [[0, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]],
    "last step": [[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1]],
    "one example without": [[1, 0, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0], [0, 0, 1]],
    # outputs at the last time steps only
    "only output": [[1, 1, 1]],
    "last two outputs": [[1, 0, 1], [0, 1, 1]],
}
REDUCTIONS = ("mean", "sum")
LOSSES = ("cross_entropy", "squared_error", "squared_error of values")
STARTS = ("zero", "given", "learned")
INPUT_KINDS = ("symbols", "vectors")

# The slope of relu jumps at 0; finite differences must not cross 0, so pre-activations keep this distance.
KINK_MARGIN = 0.02


@dataclass(frozen=True)
class Case:
    model: Model
    params: Params
    batch: Batch
    initial: dict[str, Array] | None

    def forward(self) -> Tape:
        return self.model.forward(self.params, self.batch, self.initial)

    def variables(self) -> dict[str, Array]:
        """Return all variables of the loss, as the arrays themselves and not as copies."""
        inputs = {"x": self.batch.x} if self.batch.x.ndim == 3 else {}
        initial = self.initial or {}
        return self.params | inputs | {f"initial {name}": state for name, state in initial.items()}

    def gradients(self) -> dict[str, Array]:
        """Return the gradients from the hand-derived backward pass, under the names of `variables`."""
        grads, deltas = self.model.backward(self.params, self.forward())
        return gather(self, grads, deltas.dx, deltas.initial)


def gather(case: Case, grads: Params, dx: Array | None, d_initial: Mapping[str, Array]) -> dict[str, Array]:
    """Return gradients under the names of `Case.variables`."""
    inputs = {} if dx is None else {"x": dx}
    initial = {f"initial {name}": grad for name, grad in d_initial.items()} if case.initial else {}
    return grads | inputs | initial


def every_cell() -> list[Cell]:
    found = []
    for file in sorted((Path(__file__).parents[2] / "conf" / "cell").glob("*.yaml")):
        options = yaml.safe_load(file.read_text(encoding="utf-8"))
        cell_class = locate(options.pop("_target_"))
        hints = get_type_hints(cell_class)
        choices = [_choices(hints[name], default) for name, default in options.items()]
        for values in product(*choices):
            try:
                found.append(cell_class(INPUTS, HIDDEN, **dict(zip(options, values, strict=True))))
            except ValueError:  # invalid combination for this cell
                continue
    return found


def cell_id(cell: Cell) -> str:
    chosen = (f"{f.name}={getattr(cell, f.name)}" for f in fields(cell) if not f.name.endswith("_size"))
    return f"{type(cell).__name__}({' '.join(chosen)})"


def build(
    cell: Cell,
    reduction: Literal["mean", "sum"] = "mean",
    mask: str = "every step",
    inputs: str = "symbols",
    time: int = TIME,
    batch: int = BATCH,
    dtype: Any = np.float64,
    loss: str = "cross_entropy",
    start: str = "given",
    outputs: int | None = None,
) -> Case:
    """Return a random case; for short relu cases, take the first seed that keeps a distance from the kink.

    `outputs` is S, the number of time steps with an output; by default, the number of rows of the mask.
    """
    for seed in range(100):
        rng = np.random.default_rng(seed)
        case = _draw(rng, cell, reduction, mask, inputs, time, batch, dtype, loss, start, outputs)
        kink = getattr(cell, "nonlinearity", None) == "relu" and time <= 2 * TIME
        if not kink or _distance_to_kink(case) > KINK_MARGIN:
            return case
    raise AssertionError("all seeds are too close to the kink of relu")


def _distance_to_kink(case: Case) -> float:
    tape, p = case.forward().cell, case.params
    x = tape.x if tape.x.ndim == 3 else np.eye(case.model.cell.input_size)[tape.x].transpose(0, 2, 1)
    z = p["W_xh"] @ x + p["W_hh"] @ tape.states["h"][:-1] + p.get("b_h", 0.0)
    return float(np.abs(z).min())


def recurrent_shares(cell: Cell, tape: CellTape, recurrent: Array) -> Array:
    """Return the contribution of each time step and example to dW_hh, shape (T, G·H, H, B)."""
    h = tape.states["h"][:-1]
    shares = np.einsum("tfb,thb->tfhb", recurrent, h)
    if isinstance(cell, GRUResetBefore):
        n = cell.rows("n")
        shares[:, n] = np.einsum("tfb,thb->tfhb", recurrent[:, n], tape.inner["r"] * h)
    return shares


def with_mask(case: Case, mask: Array) -> Case:
    return replace(case, batch=replace(case.batch, mask=mask))


def example(case: Case, b: int) -> Case:
    """Return example b as a batch of one."""
    batch, column = case.batch, slice(b, b + 1)
    mask = None if batch.mask is None else batch.mask[:, column]
    alone = Batch(batch.x[..., column], batch.y[..., column], mask)
    initial = case.initial and {name: state[:, column] for name, state in case.initial.items()}
    return replace(case, batch=alone, initial=initial)


def _draw(rng, cell, reduction, mask, inputs, time, batch, dtype, loss, start, outputs) -> Case:
    readout = Readout(cell.hidden_size, OUTPUTS, bias=cell.bias)
    initial_state = Learned(std=0.7) if start == "learned" else Zero()
    model = Model(cell, readout, initial_state, loss.removesuffix(" of values"), reduction)
    params = model.init_params(rng, NORMAL, dtype)
    if inputs == "symbols":
        x = rng.integers(0, cell.input_size, (time, batch))
    else:
        x = rng.standard_normal((time, cell.input_size, batch)).astype(dtype)
    present = None if MASKS[mask] is None else np.array(MASKS[mask], dtype=bool)
    steps = outputs or (time if present is None else len(present))
    y = rng.integers(0, OUTPUTS, (steps, batch))
    if loss.endswith("of values"):
        y = rng.standard_normal((steps, OUTPUTS, batch)).astype(dtype)
    initial = {name: rng.normal(0, 0.7, (cell.hidden_size, batch)).astype(dtype) for name in cell.states}
    if start == "zero":
        initial = {name: np.zeros_like(state) for name, state in initial.items()}
    return Case(model, params, Batch(x, y, present), None if start == "learned" else initial)


def _choices(hint: Any, default: Any) -> tuple[Any, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    if hint is bool:
        return False, True
    return default, 1.0
