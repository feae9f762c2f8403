"""Stacked layers: each layer reads the outputs of the layer below.

    x¹[t] = x[t]        xˡ[t] = yˡ⁻¹[t]        y¹[t] = h¹[t]
    yˡ[t] = hˡ[t], or hˡ[t] + xˡ[t] for ℓ ≥ 2 with residual connections

Here, hˡ is the output of the cell of layer ℓ. The readout reads yᴸ. Within one time step, the gradient moves
from the top layer down: the gradient with respect to xˡ[t], which is W_xhˡᵀ dzˡ[t], is added to the adjoint
of hˡ⁻¹[t]. Names of states, parameters and arrays start with the layer, as in `l2.W_hh`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params
from rnnlab.cells.base import Cell
from rnnlab.engine.exponents import align
from rnnlab.engine.tapes import CellDeltas, CellTape, States, StepDeltas, StepTape
from rnnlab.engine.weights import input_gradient
from rnnlab.initializers import Init, Parameter
from rnnlab.workspace import Workspace

Item = TypeVar("Item")
RESIDUAL_OUTPUT = "y"


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Attributes:
        number: Number of the layer, 1 … L from bottom to top.
        prefix: First part of the layer's names, such as `l2.`; "" in a network of one layer.
        cell: Cell of the layer.
    """

    number: int
    prefix: str
    cell: Cell

    def take(self, named: Mapping[str, Item]) -> dict[str, Item]:
        """Return the entries of this layer, under the names of the cell."""
        start = len(self.prefix)
        return {name[start:]: item for name, item in named.items() if name.startswith(self.prefix)}

    def label(self, named: Mapping[str, Item]) -> dict[str, Item]:
        """Return the entries under the names of the network; the inverse of `take`."""
        return {self.prefix + name: item for name, item in named.items()}


def split_layer(name: str) -> tuple[int | None, str]:
    """Return the number of the layer with which a name starts, or None, and the rest of the name.

    >>> split_layer("l2.W_hh"), split_layer("W_hh")
    ((2, 'W_hh'), (None, 'W_hh'))
    """
    found = re.fullmatch(r"l(\d+)\.(.+)", name)
    return (int(found[1]), found[2]) if found else (None, name)


def layers_of(cell: Cell) -> tuple[Layer, ...]:
    """Return the layers of a cell, from bottom to top; a cell that is not a stack is a layer of its own."""
    return cell.layers if isinstance(cell, Stack) else (Layer(1, "", cell),)


@dataclass(frozen=True)
class Stack(Cell):
    """Two or more layers of recurrent cells; `hidden_size` is that of the top layer.

    Attributes:
        cells: Cell of each layer, from bottom to top.
        residual: True to add the input of each layer from the second on to its output.
    """

    recurrent_matrix = None
    input_matrix = None

    cells: tuple[Cell, ...]
    residual: bool

    @classmethod
    def of(cls, cells: Sequence[Cell], residual: bool) -> "Stack":
        """Return a stack of cells.

        Raises:
            ValueError: If there are fewer than two cells, or if a size does not fit.

        >>> from rnnlab.cells import Vanilla
        >>> cells = [Vanilla(3, 4, "tanh", bias=True), Vanilla(4, 4, "tanh", bias=True)]
        >>> Stack.of(cells, residual=True).states
        ('l2.h', 'l1.h')
        """
        if len(cells) < 2:
            raise ValueError(f"cells: a stack has at least two layers, got {len(cells)}")
        for number, (below, above) in enumerate(pairwise(cells), start=2):
            if above.input_size != below.output_size:
                raise ValueError(
                    f"cells: layer {number} has inputs of size {above.input_size}, but layer "
                    f"{number - 1} has outputs of size {below.output_size}"
                )
            if residual and above.input_size != above.output_size:
                raise ValueError(
                    f"residual: layer {number} has inputs of size {above.input_size} and outputs of size "
                    f"{above.output_size}, which cannot be added"
                )
        top = cells[-1]
        bias = any(cell.bias for cell in cells)
        return cls(cells[0].input_size, top.output_size, tuple(cells), residual, bias=bias)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Layers from bottom to top."""
        return tuple(Layer(i, f"l{i}.", cell) for i, cell in enumerate(self.cells, start=1))

    @cached_property
    def states(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the states, those of the top layer first."""
        return tuple(f"{layer.prefix}{name}" for layer in self.layers[::-1] for name in layer.cell.states)

    @cached_property
    def output(self) -> str:  # type: ignore[override]
        """Name of the output: that of the top layer, or `y` with residual connections."""
        return RESIDUAL_OUTPUT if self.residual else f"l{len(self.cells)}.{self.cells[-1].output}"

    @cached_property
    def state_sizes(self) -> dict[str, int]:
        """Number of elements of each state per example."""
        return self._merged([cell.state_sizes for cell in self.cells])

    def _merged(self, parts: Sequence[Mapping[str, Item]]) -> dict[str, Item]:
        """Return the entries of all layers under the names of the network, those of the top layer first."""
        merged: dict[str, Item] = {}
        for layer, part in zip(self.layers[::-1], parts[::-1], strict=True):
            merged |= layer.label(part)
        return merged

    def parameters(self) -> dict[str, Parameter]:
        """Return the declarations of all parameters, those of the bottom layer first."""
        found: dict[str, Parameter] = {}
        for layer in self.layers:
            found |= layer.label(layer.cell.parameters())
        return found

    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw the parameters layer by layer."""
        params: Params = {}
        for layer in self.layers:
            params |= layer.label(layer.cell.init_params(rng, init, dtype))
        return params

    def arrays_per_step(self) -> tuple[int, int]:
        """Return the number of arrays of shape (H, B) per time step after the forward pass and at most.

        Each layer above the first has a copy of its inputs, and a gradient with respect to them in two
        arrangements; residual connections add their sums and one more gradient.
        """
        H, forward, both = self.hidden_size, 0, 0
        for cell in self.cells:
            before, most = cell.arrays_per_step()
            forward += -(-before * cell.hidden_size // H)
            both += -(-most * cell.hidden_size // H)
        above = len(self.cells) - 1
        return forward + above * (1 + self.residual), both + above * (3 + 2 * self.residual)

    # ── one time step ──

    def _step(self, params: Params, x: Array, before: States) -> tuple[States, dict[str, Array]]:
        after: dict[str, Array] = {}
        inner: dict[str, Array] = {}
        for layer in self.layers:
            states, values = layer.cell._step(layer.take(params), x, layer.take(before))
            after |= layer.label(states)
            inner |= layer.label(values)
            x = self._output(layer, x, states, values)
        inner |= {RESIDUAL_OUTPUT: x} if self.residual else {}
        return {name: after[name] for name in self.states}, inner

    def _output(self, layer: Layer, x: Array, states: States, inner: Mapping[str, Array]) -> Array:
        """Return the output of a layer at one time step, given its input."""
        name = layer.cell.output
        h = states[name] if name in states else inner[name]
        return h + x if self._is_residual(layer) else h

    def _is_residual(self, layer: Layer) -> bool:
        return self.residual and layer.number > 1

    def layer_tapes(self, tape: StepTape) -> Iterator[tuple[Layer, StepTape]]:
        """Yield each layer with its tape of one time step, from bottom to top."""
        x = tape.x
        for layer in self.layers:
            parts = (layer.take(part) for part in (tape.before, tape.after, tape.inner))
            of_layer = StepTape(x, *parts)
            yield layer, of_layer
            x = self._output(layer, x, of_layer.after, of_layer.inner)

    def _adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        found: list[StepDeltas] = []
        δ = adjoint[self.output] if self.residual else None
        for layer, of_layer in list(self.layer_tapes(tape))[::-1]:
            cell, own = layer.cell, layer.take(params)
            λ: States = layer.take(adjoint)
            deltas = cell.adjoint_step(own, of_layer, λ if δ is None else cell.with_immediate(λ, δ))
            dx = deltas.dx
            if dx is None and cell.input_matrix is not None:
                dx = own[cell.input_matrix].T @ _present(deltas.dz)
            δ = _present(dx) + δ if self._is_residual(layer) and δ is not None else dx
            found.insert(0, deltas)
        total, before = (
            self._merged([getattr(part, name) for part in found]) for name in ("total", "before")
        )
        return StepDeltas(total, before, dx=δ, layers=tuple(found))

    def _step_gradients(
        self, params: Params, tape: StepTape, deltas: StepDeltas
    ) -> tuple[Params, Array | None]:
        grads: Params = {}
        bottom_dx = None
        for (layer, of_layer), own in zip(self.layer_tapes(tape), deltas.layers, strict=True):
            of_params, dx = layer.cell._step_gradients(layer.take(params), of_layer, own)
            grads |= layer.label(of_params)
            bottom_dx = dx if layer.number == 1 else bottom_dx
        return grads, bottom_dx

    # ── a sequence, layer by layer ──

    def _forward(self, params: Params, x: Array, initial: States, workspace: Workspace) -> CellTape:
        inner: dict[str, Array] = {}
        tapes: list[CellTape] = []
        inputs = x
        for layer in self.layers:
            own = workspace.part(layer.prefix)
            tape = layer.cell._forward(layer.take(params), inputs, layer.take(initial), own)
            inner |= layer.label(tape.inner)
            tapes.append(tape)
            outputs = tape.outputs
            if self._is_residual(layer):
                outputs = np.add(outputs, inputs, out=own.array("outputs", outputs.shape, outputs.dtype))
            inputs = outputs
        inner |= {RESIDUAL_OUTPUT: inputs} if self.residual else {}
        states = self._merged([tape.states for tape in tapes])
        return CellTape(x, states, inner, self.output, layers=tuple(tapes))

    def _backward(
        self,
        params: Params,
        tape: CellTape,
        e: Array,
        first_loss: int,
        with_dx: bool,
        workspace: Workspace,
        exponents: Array | None = None,
    ) -> CellDeltas:
        found: list[CellDeltas] = []
        of_output = e
        for layer, of_layer in zip(self.layers[::-1], tape.layers[::-1], strict=True):
            own, part, is_bottom = layer.take(params), workspace.part(layer.prefix), layer.number == 1
            deltas = layer.cell._backward(
                own, of_layer, e, first_loss, with_dx and is_bottom, part, exponents
            )
            if self.residual or layer.number < len(self.cells):  # then e is not a gradient of the state alone
                deltas = replace(deltas, above=e)
            if layer.number < len(self.cells):
                deltas = replace(deltas, immediate={})
            found.append(deltas)
            if not is_bottom:
                # The loop has brought e to the exponents of the adjoints.
                above = (
                    (e, None if exponents is None else deltas.exponents) if self._is_residual(layer) else None
                )
                e, exponents = _input_gradient(layer.cell, own, of_layer, deltas, above, part)
                first_loss = 0
        found.reverse()
        grads: Params = {}
        for layer, deltas in zip(self.layers, found, strict=True):
            grads |= layer.label(deltas.grads)
        immediate = self.layers[-1].label(found[-1].immediate)
        return CellDeltas(
            grads,
            self._merged([deltas.total for deltas in found]),
            self._merged([deltas.adjoint for deltas in found]),
            immediate | {self.output: of_output},
            None,
            (),
            found[0].dx,
            self._merged([deltas.initial for deltas in found]),
            found[-1].first_loss,
            layers=tuple(found),
        )


def _present(array: Array | None) -> Array:
    assert array is not None
    return array


def _input_gradient(
    cell: Cell,
    params: Params,
    tape: CellTape,
    deltas: CellDeltas,
    residual: tuple[Array, Array | None] | None,
    workspace: Workspace,
) -> tuple[Array, Array | None]:
    """Return the gradient with respect to the inputs of a layer, (T, X, B), and its exponents, or None.

    `residual` contains the gradient with respect to the layer's output, and its exponents, if the layer adds
    its inputs to its output.
    """
    exponents = deltas.exponents
    if deltas.own_dx is not None:
        dx = deltas.own_dx.copy()
    else:
        dx = input_gradient(params, tape.x, _present(deltas.dz), workspace)
    if residual is None:
        return dx, exponents
    e, of_e = residual
    if exponents is None and of_e is None:
        dx += e
        return dx, None
    zeros = np.zeros((len(e), e.shape[2]), np.int32)
    one, two = (zeros if part is None else part for part in (exponents, of_e))
    added = e.copy()
    common = align([dx], one, added, two, (e != 0).any(axis=1))
    dx += added
    return dx, common
