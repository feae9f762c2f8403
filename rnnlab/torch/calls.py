"""Calls of a recurrent module of torch, recorded by hooks: inputs, weights, outputs and their gradients."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.library.frameworks import installed
from rnnlab.torch.layers import Direction, cell_and_params


@dataclass
class Call:
    """One forward call of a module, and the gradients that a backward pass delivered to its outputs.

    All arrays are copies, so later updates of the weights do not change them.

    Attributes:
        mode: `mode` of the module.
        x: Inputs, shape (T, X, B).
        lengths: Number of time steps of each sequence, shape (B,).
        start: Initial values of each state, shape (layers · directions, H, B), empty for zeros.
        weights: Arrays `weight_ih` … of each layer and direction.
        output: Outputs, shape (T, D·H, B).
        dropout: Probability of dropout between layers.
        rng_state: State of torch's random number generator before the call; None without dropout.
        dtype: Name of torch's data type of `output`, such as `float32`.
        grads: Sums of the gradients of `output`, `h` and `c`, in the axes of torch.
        arrange: Function that brings the gradient of `output` to shape (T, D·H, B).
        is_single: True if the call had no batch axis.
    """

    mode: str
    x: Array
    lengths: Array
    start: dict[str, Array]
    weights: list[list[dict[str, Array]]]
    output: Array
    dropout: float
    rng_state: Any
    dtype: str
    arrange: Callable[[Any], Array]
    is_single: bool
    grads: dict[str, Any] = field(default_factory=dict)

    @property
    def is_half(self) -> bool:
        """True if tensors were converted to float32."""
        return self.dtype not in ("float32", "float64")

    @property
    def batch(self) -> int:
        """Number of sequences."""
        return int(self.x.shape[-1])

    def receive(self, name: str) -> Callable[[Any], None]:
        """Return a tensor hook that adds a gradient to `grads`."""

        def add(gradient: Any) -> None:
            copy = gradient.detach().clone()
            self.grads[name] = self.grads[name] + copy if name in self.grads else copy

        return add

    def d_output(self, some: slice) -> Array | None:
        """Return the gradient of the outputs of some sequences, (T, D·H, B), or None if there is none."""
        return self.arrange(self.grads["output"])[..., some] if "output" in self.grads else None

    def d_final(self, index: int, some: slice) -> dict[str, Array]:
        """Return the gradients of the final states of a layer and direction, each of shape (H, B)."""
        found = {name: _states(self.grads[name], self.is_single) for name in ("h", "c") if name in self.grads}
        return {name: values[index][:, some] for name, values in found.items()}

    def layers(self, some: slice) -> list[list[Direction]]:
        """Return the layers with the initial states of some sequences."""
        found, index = [], 0
        examples = len(range(self.batch)[some])
        for layer in self.weights:
            own = []
            for number, weights in enumerate(layer):
                cell, params = cell_and_params(self.mode, weights)
                start = {
                    name: np.ascontiguousarray(self.start[name][index][:, some])
                    if name in self.start
                    else np.zeros((size, examples), self.x.dtype)
                    for name, size in cell.state_sizes.items()
                }
                own.append(Direction(cell, params, start, is_reverse=number == 1))
                index += 1
            found.append(own)
        return found

    def masks(self, some: slice) -> list[Array]:
        """Return the factors of dropout on the outputs of each layer but the top one.

        The factors are drawn again, by a generator of their own, from the state that torch's generator had
        when the module was called.
        """
        if self.rng_state is None:
            return []
        torch = installed("torch")
        generator = torch.Generator()
        generator.set_state(self.rng_state)
        steps, features, examples = self.output.shape
        found = []
        for _ in self.weights[1:]:
            kept = torch.empty(steps, examples, features, dtype=getattr(torch, self.dtype))
            kept.bernoulli_(1 - self.dropout, generator=generator)
            mask = array(kept).transpose(0, 2, 1) / (1 - self.dropout)
            found.append(mask[..., some].astype(self.x.dtype))
        return found


def record(
    module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: Any, rng_state: Any
) -> tuple[Call | None, str]:
    """Return a record of a call, or None with the reason why the call cannot be measured.

    An empty reason stands for a call that is not part of training, such as an evaluation in `torch.no_grad`.
    """
    torch = installed("torch")
    inputs = args[0] if args else kwargs["input"]
    hx = args[1] if len(args) > 1 else kwargs.get("hx")
    output, last = outputs
    is_packed = isinstance(output, torch.nn.utils.rnn.PackedSequence)
    values = output.data if is_packed else output
    if not values.requires_grad:
        return None, ""
    is_single = not is_packed and values.ndim == 2
    arrange = _arrangement(output, module.batch_first, is_packed)
    x, y = arrange(inputs.data if is_packed else inputs), arrange(values)
    if len(x) < 2:
        return None, (
            "the module was called with one time step per call; "
            "measure such a loop with rnnlab.torch.lag_curve(step, state, x)"
        )
    if is_packed and rng_state is not None:
        return None, (
            "packed sequences and dropout between the layers: the dropout mask cannot be recovered; "
            "set dropout=0 and put nn.Dropout between modules of one layer"
        )
    lengths = np.full(x.shape[-1], len(x))
    if is_packed:
        lengths = torch.nn.utils.rnn.pad_packed_sequence(output)[1].numpy().astype(np.int64)
    start = {}
    if hx is not None:
        given = hx if isinstance(hx, tuple) else (hx,)
        start = {name: _states(part, is_single) for name, part in zip("hc", given, strict=False)}
    suffixes = ("", "_reverse") if module.bidirectional else ("",)
    kinds = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if module.bias else ()))
    weights = [
        [{kind: array(getattr(module, f"{kind}_l{k}{suffix}")) for kind in kinds} for suffix in suffixes]
        for k in range(module.num_layers)
    ]
    dtype = weights[0][0]["weight_ih"].dtype
    call = Call(
        module.mode,
        x.astype(dtype),
        lengths,
        {name: values.astype(dtype) for name, values in start.items()},
        weights,
        y,
        module.dropout,
        rng_state,
        str(values.dtype).removeprefix("torch."),
        arrange,
        is_single,
    )
    values.register_hook(call.receive("output"))
    for name, part in zip("hc", last if isinstance(last, tuple) else (last,), strict=False):
        part.register_hook(call.receive(name))
    return call, ""


def array(tensor: Any) -> Array:
    """Return a copy of a tensor as a NumPy array in float64 if the tensor is, otherwise in float32."""
    torch = installed("torch")
    dtype = torch.float64 if tensor.dtype == torch.float64 else torch.float32
    copied: Array = tensor.detach().to("cpu", dtype, copy=True).numpy()
    return copied


def _arrangement(output: Any, batch_first: bool, is_packed: bool) -> Callable[[Any], Array]:
    """Return the function that brings a tensor with the axes of `output` to shape (T, F, B)."""
    rnn = installed("torch").nn.utils.rnn
    if is_packed:
        sizes, *indices = output.batch_sizes, output.sorted_indices, output.unsorted_indices

        def padded(values: Any) -> Array:
            packed = rnn.PackedSequence(values.detach(), sizes, *indices)
            return array(rnn.pad_packed_sequence(packed)[0]).transpose(0, 2, 1)

        return padded
    if output.ndim == 2:
        return lambda values: array(values)[:, :, None]
    axes = (1, 2, 0) if batch_first else (0, 2, 1)
    return lambda values: array(values).transpose(axes)


def _states(tensor: Any, is_single: bool) -> Array:
    """Return states of torch, (layers · directions, B, H), as (layers · directions, H, B)."""
    values = array(tensor)
    return values[:, :, None] if is_single else values.transpose(0, 2, 1)
