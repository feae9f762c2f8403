"""Small networks and batches on which everything about gradients is checked.

The cells are those of conf/cell with every choice they offer, so a new cell is checked as soon as it
has its file there. No two sizes are equal, so that no wrong transpose fits by chance.
"""

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from pydoc import locate
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import yaml

from rnnlab.arrays import Array, Params
from rnnlab.cells import LSTM, Cell, Vanilla
from rnnlab.initializers import Init, Initializer
from rnnlab.model import Batch, Model, Tape
from rnnlab.readout import Readout

TIME, BATCH, INPUTS, HIDDEN, OUTPUTS = 5, 3, 6, 4, 7

NORMAL = Init(*[Initializer("normal", 1.0)] * 3)
TANH = Vanilla(INPUTS, HIDDEN, "tanh", bias=True)
GATED = LSTM(INPUTS, HIDDEN, "tanh", bias=True, forget_bias=1.0)

MASKS = {
    "every step": None,
    "middle steps": [[0, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]],
    "last step": [[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1]],
    "one example without": [[1, 0, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0], [0, 0, 1]],
}
REDUCTIONS = ("mean", "sum")
INPUT_KINDS = ("symbols", "vectors")

# relu's slope jumps at 0: no pre-activation may be so near that a finite difference crosses it.
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
        """Everything the loss can be differentiated by; the arrays themselves, not copies."""
        inputs = {"x": self.batch.x} if self.batch.x.ndim == 3 else {}
        return self.params | inputs | {f"initial {name}": state for name, state in self.initial.items()}

    def gradients(self) -> dict[str, Array]:
        """The gradients by hand-derived backward pass, under the names of `variables`."""
        grads, deltas = self.model.backward(self.params, self.forward())
        inputs = {} if deltas.dx is None else {"x": deltas.dx}
        return grads | inputs | {f"initial {name}": grad for name, grad in deltas.initial.items()}


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
            except ValueError:  # a combination that the cell refuses
                continue
    return found


def cell_id(cell: Cell) -> str:
    chosen = (f"{name}={value}" for name, value in vars(cell).items() if not name.endswith("_size"))
    return f"{type(cell).__name__}({' '.join(chosen)})"


def build(
    cell: Cell,
    reduction: Literal["mean", "sum"] = "mean",
    mask: str = "every step",
    inputs: str = "symbols",
    time: int = TIME,
    batch: int = BATCH,
    dtype: Any = np.float64,
) -> Case:
    """A random case; the first of a few seeds that keeps clear of relu's kink."""
    for seed in range(100):
        case = _draw(np.random.default_rng(seed), cell, reduction, mask, inputs, time, batch, dtype)
        z = case.forward().cell.inner.get("z")
        if z is None or np.abs(z).min() > KINK_MARGIN:
            return case
    raise AssertionError("no seed keeps clear of the kink")


def with_mask(case: Case, mask: Array) -> Case:
    return replace(case, batch=replace(case.batch, mask=mask))


def example(case: Case, b: int) -> Case:
    """Example b as a batch of one."""
    batch, column = case.batch, slice(b, b + 1)
    mask = None if batch.mask is None else batch.mask[:, column]
    alone = Batch(batch.x[..., column], batch.y[:, column], mask)
    initial = {name: state[:, column] for name, state in case.initial.items()}
    return replace(case, batch=alone, initial=initial)


def _draw(rng, cell, reduction, mask, inputs, time, batch, dtype) -> Case:
    model = Model(cell, Readout(cell.hidden_size, OUTPUTS, bias=getattr(cell, "bias", True)), reduction)
    params = model.init_params(rng, NORMAL, dtype)
    if inputs == "symbols":
        x = rng.integers(0, cell.input_size, (time, batch))
    else:
        x = rng.standard_normal((time, cell.input_size, batch)).astype(dtype)
    y = rng.integers(0, OUTPUTS, (time, batch))
    present = None if MASKS[mask] is None else np.array(MASKS[mask], dtype=bool)
    initial = {name: rng.normal(0, 0.7, (cell.hidden_size, batch)).astype(dtype) for name in cell.states}
    return Case(model, params, Batch(x, y, present), initial)


def _choices(hint: Any, default: Any) -> tuple[Any, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    if hint is bool:
        return False, True
    return default, 1.0
